// SPDX-License-Identifier: GPL-2.0
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "hearth_device.h"
#include "hearth_pci.h"
#include "hearth_pm.h"
#include "hearth_sysfs.h"

static void hearth_pci_isolate(struct device *dev)
{
	pci_clear_master(to_pci_dev(dev));
}

static const struct hearth_bus_ops hearth_pci_bus_ops = {
	.isolate = hearth_pci_isolate,
};

static void __iomem *hearth_pci_map(struct pci_dev *pdev, int bar, resource_size_t size)
{
	if (pci_resource_len(pdev, bar) < size) {
		dev_err(&pdev->dev, "BAR %d is too small\n", bar);
		return IOMEM_ERR_PTR(-ENODEV);
	}
	return pcim_iomap_region(pdev, bar, "hearth");
}

static int hearth_pci_irqs(struct pci_dev *pdev, int *irqs)
{
	int count, i;

	count = pci_alloc_irq_vectors(pdev, 1, HEARTH_VECTORS, PCI_IRQ_MSI | PCI_IRQ_MSIX);
	if (count < 0)
		return dev_err_probe(&pdev->dev, count, "no MSI vector\n");

	/* Looked up here: pci_irq_vector() sleeps. */
	for (i = 0; i < count; i++)
		irqs[i] = pci_irq_vector(pdev, i);
	return count;
}

static int hearth_pci_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	void __iomem *regs, *doorbells;
	struct hearth_device *hdev;
	int irqs[HEARTH_VECTORS];
	int ret, num_irqs;

	ret = pcim_enable_device(pdev);
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "cannot enable\n");
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(52));
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "no usable DMA mask\n");
	/* Page table entries have 2 MiB blocks at most, segments need no limit. */
	dma_set_max_seg_size(&pdev->dev, UINT_MAX);

	regs = hearth_pci_map(pdev, HEARTH_BAR_REGS, HEARTH_BAR_REGS_SIZE);
	if (IS_ERR(regs))
		return PTR_ERR(regs);
	doorbells = hearth_pci_map(pdev, HEARTH_BAR_DOORBELL, HEARTH_BAR_DOORBELL_SIZE);
	if (IS_ERR(doorbells))
		return PTR_ERR(doorbells);

	num_irqs = hearth_pci_irqs(pdev, irqs);
	if (num_irqs < 0)
		return num_irqs;
	pci_set_master(pdev);

	hdev = hearth_device_alloc(&pdev->dev);
	if (IS_ERR(hdev))
		return PTR_ERR(hdev);
	ret = hearth_device_init(hdev, regs, doorbells, irqs, num_irqs, &hearth_pci_bus_ops);
	if (ret)
		pci_clear_master(pdev);
	return ret;
}

static void hearth_pci_remove(struct pci_dev *pdev)
{
	hearth_device_fini(pci_get_drvdata(pdev));
	pci_clear_master(pdev);
}

static void hearth_pci_shutdown(struct pci_dev *pdev)
{
	hearth_device_unplug(pci_get_drvdata(pdev));
}

/* The function is reset through sysfs, or by a driver of the bus. */
static void hearth_pci_reset_prepare(struct pci_dev *pdev)
{
	struct hearth_device *hdev = pci_get_drvdata(pdev);

	hdev->resetting = !hearth_pm_reset_prepare(hdev);
}

static void hearth_pci_reset_done(struct pci_dev *pdev)
{
	struct hearth_device *hdev = pci_get_drvdata(pdev);

	if (hdev->resetting)
		hearth_pm_reset_done(hdev);
	hdev->resetting = false;
}

static const struct pci_error_handlers hearth_pci_err_handler = {
	.reset_prepare = hearth_pci_reset_prepare,
	.reset_done = hearth_pci_reset_done,
};

static const struct pci_device_id hearth_pci_ids[] = {
	{ PCI_DEVICE(HEARTH_PCI_VENDOR, HEARTH_PCI_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, hearth_pci_ids);

struct pci_driver hearth_pci_driver = {
	.name = "hearth",
	.id_table = hearth_pci_ids,
	.probe = hearth_pci_probe,
	.remove = hearth_pci_remove,
	.shutdown = hearth_pci_shutdown,
	.err_handler = &hearth_pci_err_handler,
	.dev_groups = hearth_sysfs_groups,
	.driver.pm = pm_ptr(&hearth_pm_ops),
};
