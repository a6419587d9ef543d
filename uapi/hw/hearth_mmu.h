/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * Hearth device contract: page tables of the NPU's own MMU.
 *
 * Three levels of 512 entries of 64 bits, little endian, each table one 4 KiB
 * page of bus memory. A device address has HEARTH_MMU_VA_BITS bits:
 *
 *	38..30 level 1	29..21 level 2	20..12 level 3	11..0 offset
 *
 * Bit positions follow Arm's LPAE stage 1 format, so that an io-pgtable can
 * fill these tables too. Bits that are not listed must be zero.
 *
 * A level 2 entry is a table or a 2 MiB block; a level 1 entry is a table; a
 * level 3 entry is a 4 KiB page. Sixteen level 3 entries that map an aligned
 * 64 KiB of bus memory at an aligned device address, with equal rights, may
 * all carry CONT: the device may then keep one translation for all of them.
 *
 * The host changes entries while the device walks them:
 *
 * - The device reads an entry in one piece, and keeps none that is not valid:
 *   a map of an empty range needs no flush.
 * - The host may replace an entry by another one that translates what both
 *   map in the same way: a block by a table, CONT by no CONT in the entries of
 *   a run, one after the other. The device uses the old or the new one.
 * - HEARTH_ADMIN_TLB_FLUSH forgets the tables on the way to the range as well.
 *   A table or a page is used for something else only after its answer.
 */
#ifndef _HEARTH_MMU_H_
#define _HEARTH_MMU_H_

#define HEARTH_MMU_VA_BITS		39
#define HEARTH_MMU_LEVELS		3
#define HEARTH_MMU_ENTRIES		512
#define HEARTH_MMU_PAGE_SHIFT		12
#define HEARTH_MMU_CONT_SHIFT		16
#define HEARTH_MMU_BLOCK_SHIFT		21
#define HEARTH_MMU_L1_SHIFT		30

#define HEARTH_PTE_VALID		(1ull << 0)
#define HEARTH_PTE_TABLE		(1ull << 1)	/* level 1, 2: next table */
#define HEARTH_PTE_PAGE			(1ull << 1)	/* level 3: always set */
#define HEARTH_PTE_RO			(1ull << 7)	/* leaf: writes fault */
#define HEARTH_PTE_AF			(1ull << 10)	/* leaf: always set */
#define HEARTH_PTE_CONT			(1ull << 52)	/* level 3: 64 KiB run */
#define HEARTH_PTE_ADDR			0x000ffffffffff000ull

#endif /* _HEARTH_MMU_H_ */
