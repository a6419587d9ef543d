/* SPDX-License-Identifier: MIT */
/*
 * The function's interrupts: eventfds that the client gave for its vectors.
 * Any thread may trigger.
 */
#ifndef HEARTH_VFU_IRQ_H
#define HEARTH_VFU_IRQ_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/vfio.h>

#define VFU_MAX_VECTORS	8

struct vfu_irqs {
	pthread_mutex_t lock;
	unsigned int index;	/* VFIO_PCI_MSI_IRQ_INDEX or _MSIX_ */
	unsigned int vectors;
	int fds[VFU_MAX_VECTORS];
};

void vfu_irq_init(struct vfu_irqs *irqs, unsigned int index, unsigned int vectors);
void vfu_irq_fini(struct vfu_irqs *irqs);

/* Give up all eventfds. */
void vfu_irq_clear(struct vfu_irqs *irqs);

/* Number of vectors of an index; 0 for those that the device does not have. */
unsigned int vfu_irq_count(const struct vfu_irqs *irqs, unsigned int index);

/*
 * A SET_IRQS message. Files that are kept are replaced by -1 in @fds. Returns
 * 0, or -EINVAL with nothing changed.
 */
int vfu_irq_set(struct vfu_irqs *irqs, const uint8_t *body, size_t bytes,
		int *fds, unsigned int num_fds);

/*
 * Trigger @vector, or vector 0 if the client enabled fewer. -ENOENT if none
 * is enabled.
 */
int vfu_irq_trigger(struct vfu_irqs *irqs, unsigned int vector);

#endif
