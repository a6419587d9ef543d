// SPDX-License-Identifier: GPL-2.0
#include <linux/errno.h>
#include <linux/nospec.h>

#include "hearth_device.h"
#include "hearth_fault.h"
#include "hearth_queue.h"

bool hearth_fault_from_hw(struct hearth_fault *fault, u32 hw_error)
{
	static const struct {
		enum drm_hearth_fault_cause cause;
		int error;
	} map[] = {
		[HEARTH_HW_ERR_BUSY] = { DRM_HEARTH_FAULT_OPERAND, -ENOMEM },
		[HEARTH_HW_ERR_READ] = { DRM_HEARTH_FAULT_MMU_READ, -EFAULT },
		[HEARTH_HW_ERR_WRITE] = { DRM_HEARTH_FAULT_MMU_WRITE, -EFAULT },
		[HEARTH_HW_ERR_BUS] = { DRM_HEARTH_FAULT_BUS, -EFAULT },
		[HEARTH_HW_ERR_OPCODE] = { DRM_HEARTH_FAULT_OPCODE, -EINVAL },
		[HEARTH_HW_ERR_OPERAND] = { DRM_HEARTH_FAULT_OPERAND, -EINVAL },
	};

	if (hw_error >= ARRAY_SIZE(map))
		return false;
	hw_error = array_index_nospec(hw_error, ARRAY_SIZE(map));
	if (!map[hw_error].error)
		return false;
	fault->cause = map[hw_error].cause;
	fault->error = map[hw_error].error;
	return true;
}

int hearth_ioctl_query_fault(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct drm_hearth_query_fault *args = data;
	struct hearth_queue *queue;

	if (args->flags)
		return -EINVAL;

	queue = hearth_queue_lookup(to_hearth_file(file), args->queue_id);
	if (!queue)
		return -ENOENT;

	spin_lock(&queue->lock);
	args->flags = queue->fault.innocent ? DRM_HEARTH_FAULT_INNOCENT : 0;
	args->cause = queue->fault.cause;
	args->error = -queue->fault.error;
	args->job = queue->fault.job;
	args->op_index = queue->fault.op_index;
	args->opcode = queue->fault.opcode;
	args->address = queue->fault.address;
	spin_unlock(&queue->lock);

	hearth_queue_put(queue);
	return 0;
}
