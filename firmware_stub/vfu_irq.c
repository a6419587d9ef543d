// SPDX-License-Identifier: MIT
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vfu_irq.h"

void vfu_irq_init(struct vfu_irqs *irqs, unsigned int index, unsigned int vectors)
{
	pthread_mutex_init(&irqs->lock, NULL);
	irqs->index = index;
	irqs->vectors = vectors;
	for (unsigned int i = 0; i < VFU_MAX_VECTORS; i++)
		irqs->fds[i] = -1;
}

void vfu_irq_fini(struct vfu_irqs *irqs)
{
	vfu_irq_clear(irqs);
	pthread_mutex_destroy(&irqs->lock);
}

static void replace(struct vfu_irqs *irqs, unsigned int vector, int fd)
{
	if (irqs->fds[vector] >= 0)
		close(irqs->fds[vector]);
	irqs->fds[vector] = fd;
}

void vfu_irq_clear(struct vfu_irqs *irqs)
{
	pthread_mutex_lock(&irqs->lock);
	for (unsigned int i = 0; i < VFU_MAX_VECTORS; i++)
		replace(irqs, i, -1);
	pthread_mutex_unlock(&irqs->lock);
}

unsigned int vfu_irq_count(const struct vfu_irqs *irqs, unsigned int index)
{
	return index == irqs->index ? irqs->vectors : 0;
}

static int fire(struct vfu_irqs *irqs, unsigned int vector)
{
	const uint64_t one = 1;

	if (irqs->fds[vector] < 0)
		return -ENOENT;
	/* EAGAIN: the counter is full, so the client has enough to notice */
	if (write(irqs->fds[vector], &one, sizeof(one)) < 0 && errno != EAGAIN)
		return -errno;
	return 0;
}

int vfu_irq_trigger(struct vfu_irqs *irqs, unsigned int vector)
{
	int ret = -ENOENT;

	pthread_mutex_lock(&irqs->lock);
	if (vector < irqs->vectors)
		ret = fire(irqs, vector);
	if (ret == -ENOENT)
		ret = fire(irqs, 0);
	pthread_mutex_unlock(&irqs->lock);
	return ret;
}

static int set_eventfds(struct vfu_irqs *irqs, const struct vfio_irq_set *set,
			int *fds, unsigned int num_fds)
{
	if (num_fds && num_fds != set->count)
		return -EINVAL;
	for (unsigned int i = 0; i < set->count; i++) {
		replace(irqs, set->start + i, num_fds ? fds[i] : -1);
		if (num_fds)
			fds[i] = -1;
	}
	return 0;
}

/* The client fires the interrupt by itself, to test the path. */
static int loop_back(struct vfu_irqs *irqs, const struct vfio_irq_set *set,
		     const uint8_t *data)
{
	for (unsigned int i = 0; i < set->count; i++)
		if (!data || data[i])
			fire(irqs, set->start + i);
	return 0;
}

static int trigger_action(struct vfu_irqs *irqs, const struct vfio_irq_set *set,
			  const uint8_t *data, size_t bytes, int *fds,
			  unsigned int num_fds)
{
	switch (set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		if (!set->count)	/* disable the whole index */
			for (unsigned int i = 0; i < irqs->vectors; i++)
				replace(irqs, i, -1);
		return loop_back(irqs, set, NULL);
	case VFIO_IRQ_SET_DATA_BOOL:
		if (bytes < set->count)
			return -EINVAL;
		return loop_back(irqs, set, data);
	case VFIO_IRQ_SET_DATA_EVENTFD:
		return set_eventfds(irqs, set, fds, num_fds);
	default:
		return -EINVAL;
	}
}

int vfu_irq_set(struct vfu_irqs *irqs, const uint8_t *body, size_t bytes,
		int *fds, unsigned int num_fds)
{
	struct vfio_irq_set set;
	unsigned int count;
	int ret = 0;

	if (bytes < sizeof(set))
		return -EINVAL;
	memcpy(&set, body, sizeof(set));
	if (set.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	count = vfu_irq_count(irqs, set.index);
	if (set.start > count || set.count > count - set.start)
		return -EINVAL;
	if (!count)	/* an index without vectors: nothing to disable */
		return num_fds ? -EINVAL : 0;
	pthread_mutex_lock(&irqs->lock);
	switch (set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
	case VFIO_IRQ_SET_ACTION_TRIGGER:
		ret = trigger_action(irqs, &set, body + sizeof(set),
				     bytes - sizeof(set), fds, num_fds);
		break;
	case VFIO_IRQ_SET_ACTION_MASK:
	case VFIO_IRQ_SET_ACTION_UNMASK:
		break;		/* the client masks message interrupts itself */
	default:
		ret = -EINVAL;
	}
	pthread_mutex_unlock(&irqs->lock);
	return ret;
}
