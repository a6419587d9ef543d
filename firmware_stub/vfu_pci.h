/* SPDX-License-Identifier: MIT */
/*
 * The function's configuration space: identity, BARs, and the capabilities
 * power management, MSI or MSI-X, and PCI Express with function-level reset.
 */
#ifndef HEARTH_VFU_PCI_H
#define HEARTH_VFU_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VFU_PCI_CONFIG_BYTES	4096

struct vfu_pci {
	uint8_t config[VFU_PCI_CONFIG_BYTES];
	uint8_t writable[VFU_PCI_CONFIG_BYTES];
	bool msix;
};

/* What a write to the configuration space asks the device to do. */
enum vfu_pci_effect {
	VFU_PCI_FLR = 1 << 0,		/* initiate function-level reset */
	VFU_PCI_COMMAND = 1 << 1,	/* the command register was written */
	VFU_PCI_SLEEP = 1 << 2,		/* D0 to D3hot */
	VFU_PCI_WAKE = 1 << 3,		/* D3hot to D0: resets the function */
};

struct vfu_pci_identity {
	uint16_t vendor;
	uint16_t device;
	uint32_t class_code;	/* 24 bits */
	uint8_t revision;
	bool msix;
	unsigned int vectors;	/* a power of two for MSI */
	unsigned int msix_bar;
	uint32_t msix_table;
	uint32_t msix_pba;
};

void vfu_pci_init(struct vfu_pci *pci, const struct vfu_pci_identity *id);

/* Describe a 64-bit memory BAR; the client sizes and places it by itself. */
void vfu_pci_add_bar(struct vfu_pci *pci, unsigned int bar, bool prefetchable);

/* Writable fields back to their reset values. */
void vfu_pci_reset(struct vfu_pci *pci);

/* Write within bounds (the caller has checked); returns effects. */
unsigned int vfu_pci_write(struct vfu_pci *pci, size_t offset,
			   const uint8_t *data, size_t bytes);

bool vfu_pci_bus_master(const struct vfu_pci *pci);
bool vfu_pci_asleep(const struct vfu_pci *pci);

#endif
