/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * Hearth device contract: PCI identity, registers, doorbells, interrupts.
 * The prose is in Documentation/datasheet.rst. All registers are 32 bits wide
 * and little endian; a 64-bit value is two of them, low half first. Reads of
 * what is not listed give 0, writes are ignored. A read of all ones from
 * HEARTH_REG_ID means that the device is gone.
 */
#ifndef _HEARTH_REGS_H_
#define _HEARTH_REGS_H_

#define HEARTH_PCI_VENDOR		0x1234
#define HEARTH_PCI_DEVICE		0x4e50
#define HEARTH_PCI_CLASS		0x120000	/* processing accelerator */

#define HEARTH_BAR_REGS			0
#define HEARTH_BAR_REGS_SIZE		0x10000
#define HEARTH_BAR_DOORBELL		2
#define HEARTH_BAR_DOORBELL_SIZE	0x20000
#define HEARTH_BAR_MSIX			4

/* major: incompatible; minor: additions that old drivers may ignore */
#define HEARTH_CONTRACT_MAJOR		1
#define HEARTH_CONTRACT_MINOR		3
#define HEARTH_CONTRACT \
	((HEARTH_CONTRACT_MAJOR << 16) | HEARTH_CONTRACT_MINOR)

#define HEARTH_REG_ID			0x0000
#define   HEARTH_ID			0x48545248	/* "HRTH" */
#define HEARTH_REG_CONTRACT		0x0004		/* of the hardware */

#define HEARTH_REG_CTRL			0x0010
#define   HEARTH_CTRL_RESET		(1u << 0)	/* self-clearing */
#define   HEARTH_CTRL_BOOT		(1u << 1)	/* self-clearing */
#define HEARTH_REG_STATUS		0x0014
#define   HEARTH_STATUS_STATE_MASK	0x7
#define   HEARTH_STATUS_OFF		0		/* after reset */
#define   HEARTH_STATUS_BOOTING		1
#define   HEARTH_STATUS_READY		2
#define   HEARTH_STATUS_SUSPENDED	3
#define   HEARTH_STATUS_FAILED		4		/* boot failed, see BOOT_ERROR */
#define   HEARTH_STATUS_DEAD		5		/* firmware died, reset needed */
#define HEARTH_REG_BOOT_ERROR		0x0018
#define   HEARTH_BOOT_OK		0
#define   HEARTH_BOOT_BAD_IMAGE		1		/* magic, size or checksum */
#define   HEARTH_BOOT_BAD_CONTRACT	2		/* image is for another contract */
#define   HEARTH_BOOT_BAD_ARGS		3		/* boot arguments refused */
#define   HEARTH_BOOT_BUS		4		/* image or arguments unreadable */
#define HEARTH_REG_FW_VERSION		0x001c		/* valid when READY */

#define HEARTH_REG_FW_ADDR_LO		0x0020		/* bus address of the image */
#define HEARTH_REG_FW_ADDR_HI		0x0024
#define HEARTH_REG_FW_SIZE		0x0028
#define HEARTH_REG_BOOT_ARGS_LO		0x0030		/* struct hearth_hw_boot_args */
#define HEARTH_REG_BOOT_ARGS_HI		0x0034

#define HEARTH_REG_IRQ_STATUS		0x0040		/* write 1 to clear */
#define HEARTH_REG_IRQ_ENABLE		0x0044
#define   HEARTH_IRQ_EVENT		(1u << 0)	/* event ring not empty */
#define   HEARTH_IRQ_STATE		(1u << 1)	/* STATUS changed */
#define   HEARTH_IRQ_ALL		0x3

#define HEARTH_REG_OPS_LO		0x0100		/* opcodes executed */
#define HEARTH_REG_OPS_HI		0x0104
#define HEARTH_REG_TYPES_LO		0x0108		/* data types known */
#define HEARTH_REG_TYPES_HI		0x010c
#define HEARTH_REG_SRAM_BYTES		0x0110
#define HEARTH_REG_VA_BITS		0x0114
#define HEARTH_REG_PAGE_SIZES		0x0118		/* bit n: blocks of 1 << n */
#define HEARTH_REG_SLOTS		0x011c
#define HEARTH_REG_CONTEXTS		0x0120
#define HEARTH_REG_PRIORITIES		0x0124
#define HEARTH_REG_FREQ_MHZ		0x0128

/*
 * Doorbells: page n of the doorbell BAR belongs to queue slot n, the page
 * after the last slot to the admin ring. A write of any value to offset 0
 * tells the device to look at that ring's insert index.
 */
#define HEARTH_DOORBELL_STRIDE		0x1000
#define HEARTH_MAX_SLOTS		16
#define HEARTH_DOORBELL_ADMIN		HEARTH_MAX_SLOTS

/*
 * Interrupt vectors. With at least two, vector 0 is EVENT and vector 1 is
 * STATE, and IRQ_STATUS need not be read. With one, both causes raise it.
 */
#define HEARTH_VECTOR_EVENT		0
#define HEARTH_VECTOR_STATE		1
#define HEARTH_VECTORS			2

#endif /* _HEARTH_REGS_H_ */
