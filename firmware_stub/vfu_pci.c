// SPDX-License-Identifier: MIT
#include <string.h>

#include <linux/pci_regs.h>

#include "vfu_pci.h"

/* Capabilities, in the order of their list */
#define CAP_PM		0x40
#define CAP_MSI		0x50
#define CAP_EXPRESS	0x70

#define PM_VERSION	3	/* PCI PM 1.2 */
#define EXPRESS_VERSION	2
#define LINK_GEN1_X4	0x41
/* Everything below bit 15 (initiate function-level reset, reads as zero). */
#define DEVCTL_WRITABLE	0x7fff
#define DEVCTL_DEFAULT	0x2810	/* as in the specification: 512 bytes reads, relaxed, snoop */

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = v;
	p[1] = v >> 8;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v);
	put16(p + 2, v >> 16);
}

static uint16_t get16(const uint8_t *p)
{
	return p[0] | p[1] << 8;
}

static void init_header(struct vfu_pci *pci, const struct vfu_pci_identity *id)
{
	uint8_t *c = pci->config;

	put16(c + PCI_VENDOR_ID, id->vendor);
	put16(c + PCI_DEVICE_ID, id->device);
	put32(c + PCI_CLASS_REVISION, id->class_code << 8 | id->revision);
	put16(c + PCI_SUBSYSTEM_VENDOR_ID, id->vendor);
	put16(c + PCI_SUBSYSTEM_ID, id->device);
	put16(c + PCI_STATUS, PCI_STATUS_CAP_LIST);
	c[PCI_CAPABILITY_LIST] = CAP_PM;
	put16(pci->writable + PCI_COMMAND,
	      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
}

/* No_Soft_Reset is 0: waking up resets the function. */
static void init_pm(struct vfu_pci *pci)
{
	uint8_t *c = pci->config + CAP_PM;

	c[0] = PCI_CAP_ID_PM;
	c[1] = CAP_MSI;
	put16(c + PCI_PM_PMC, PM_VERSION);
	put16(pci->writable + CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK);
}

static void init_msi(struct vfu_pci *pci, unsigned int vectors)
{
	uint8_t *c = pci->config + CAP_MSI;
	uint8_t *w = pci->writable + CAP_MSI;
	unsigned int log2 = 0;

	while ((2u << log2) <= vectors)
		log2++;
	c[0] = PCI_CAP_ID_MSI;
	c[1] = CAP_EXPRESS;
	put16(c + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT | log2 << 1);
	put16(w + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	put32(w + PCI_MSI_ADDRESS_LO, 0xfffffffc);
	put32(w + PCI_MSI_ADDRESS_HI, 0xffffffff);
	put16(w + PCI_MSI_DATA_64, 0xffff);
}

static void init_msix(struct vfu_pci *pci, const struct vfu_pci_identity *id)
{
	uint8_t *c = pci->config + CAP_MSI;

	c[0] = PCI_CAP_ID_MSIX;
	c[1] = CAP_EXPRESS;
	put16(c + PCI_MSIX_FLAGS, id->vectors - 1);
	put32(c + PCI_MSIX_TABLE, id->msix_table | id->msix_bar);
	put32(c + PCI_MSIX_PBA, id->msix_pba | id->msix_bar);
	put16(pci->writable + CAP_MSI + PCI_MSIX_FLAGS,
	      PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
}

static void init_express(struct vfu_pci *pci)
{
	uint8_t *c = pci->config + CAP_EXPRESS;

	c[0] = PCI_CAP_ID_EXP;
	put16(c + PCI_EXP_FLAGS, EXPRESS_VERSION | PCI_EXP_TYPE_ENDPOINT << 4);
	put32(c + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR | PCI_EXP_DEVCAP_RBER);
	put16(c + PCI_EXP_DEVCTL, DEVCTL_DEFAULT);
	put16(pci->writable + CAP_EXPRESS + PCI_EXP_DEVCTL, DEVCTL_WRITABLE);
	put32(c + PCI_EXP_LNKCAP, LINK_GEN1_X4);
	put16(c + PCI_EXP_LNKSTA, LINK_GEN1_X4);
}

void vfu_pci_init(struct vfu_pci *pci, const struct vfu_pci_identity *id)
{
	memset(pci, 0, sizeof(*pci));
	pci->msix = id->msix;
	init_header(pci, id);
	init_pm(pci);
	if (id->msix)
		init_msix(pci, id);
	else
		init_msi(pci, id->vectors);
	init_express(pci);
}

void vfu_pci_add_bar(struct vfu_pci *pci, unsigned int bar, bool prefetchable)
{
	uint32_t v = PCI_BASE_ADDRESS_MEM_TYPE_64;

	if (prefetchable)
		v |= PCI_BASE_ADDRESS_MEM_PREFETCH;
	put32(pci->config + PCI_BASE_ADDRESS_0 + 4 * bar, v);
}

void vfu_pci_reset(struct vfu_pci *pci)
{
	for (size_t i = 0; i < VFU_PCI_CONFIG_BYTES; i++)
		pci->config[i] &= ~pci->writable[i];
	put16(pci->config + CAP_EXPRESS + PCI_EXP_DEVCTL, DEVCTL_DEFAULT);
}

static bool covers(size_t offset, size_t bytes, size_t reg)
{
	return offset <= reg && reg - offset < bytes;
}

unsigned int vfu_pci_write(struct vfu_pci *pci, size_t offset,
			   const uint8_t *data, size_t bytes)
{
	const size_t flr = CAP_EXPRESS + PCI_EXP_DEVCTL + 1;
	bool asleep = vfu_pci_asleep(pci);
	unsigned int effects = 0;

	for (size_t i = 0; i < bytes; i++) {
		uint8_t w = pci->writable[offset + i];

		pci->config[offset + i] = (pci->config[offset + i] & ~w) | (data[i] & w);
	}
	if (covers(offset, bytes, flr) &&
	    (data[flr - offset] & (PCI_EXP_DEVCTL_BCR_FLR >> 8)))
		effects |= VFU_PCI_FLR;
	if (covers(offset, bytes, PCI_COMMAND))
		effects |= VFU_PCI_COMMAND;
	if (!asleep && vfu_pci_asleep(pci))
		effects |= VFU_PCI_SLEEP;
	if (asleep && !vfu_pci_asleep(pci))
		effects |= VFU_PCI_WAKE;
	return effects;
}

bool vfu_pci_bus_master(const struct vfu_pci *pci)
{
	return get16(pci->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

bool vfu_pci_asleep(const struct vfu_pci *pci)
{
	return get16(pci->config + CAP_PM + PCI_PM_CTRL) & PCI_PM_CTRL_STATE_MASK;
}
