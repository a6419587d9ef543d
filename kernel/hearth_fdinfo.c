// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_file.h>
#include <drm/drm_print.h>

#include "hearth_device.h"
#include "hearth_fdinfo.h"
#include "hearth_queue.h"

static u64 hearth_fdinfo_engine_ns(struct hearth_file *hfile)
{
	u64 ns = atomic64_read(&hfile->retired_ns);
	struct hearth_queue *queue;
	unsigned long id = 0;

	for (id = 1; id <= HEARTH_MAX_QUEUES; id++) {
		queue = hearth_queue_lookup(hfile, id);
		if (!queue)
			continue;
		ns += hearth_queue_busy_ns(queue);
		hearth_queue_put(queue);
	}
	return ns;
}

void hearth_show_fdinfo(struct drm_printer *p, struct drm_file *file)
{
	struct hearth_file *hfile = to_hearth_file(file);

	drm_printf(p, "drm-engine-npu:\t%llu ns\n", hearth_fdinfo_engine_ns(hfile));
	drm_printf(p, "drm-engine-capacity-npu:\t%u\n", hfile->hdev->caps.slots);
	drm_show_memory_stats(p, file);
}
