/* SPDX-License-Identifier: GPL-2.0 */
#ifndef __HEARTH_PCI_H__
#define __HEARTH_PCI_H__

struct pci_driver;

extern struct pci_driver hearth_pci_driver;

#endif /* __HEARTH_PCI_H__ */
