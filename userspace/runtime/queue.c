// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>

#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/opts.h"

int hearth_queue_create(struct hearth_device *dev,
			const struct hearth_queue_opts *opts,
			struct hearth_queue **out)
{
	HEARTH_OPTS_LOCAL(hearth_queue_opts, o, opts, ret);
	struct hearth_queue *q;

	if (ret)
		return ret;
	if ((unsigned int)o.priority > HEARTH_PRIORITY_REALTIME)
		return hearth_seterr(-EINVAL, "unknown priority %u",
				     (unsigned int)o.priority);
	q = calloc(1, sizeof(*q));
	if (!q)
		return hearth_seterr(-ENOMEM, "no memory for a queue");
	q->dev = dev;
	ret = dev->backend->queue_create(q, &o);
	if (ret) {
		free(q);
		return ret;
	}
	*out = q;
	return 0;
}

void hearth_queue_destroy(struct hearth_queue *q)
{
	if (!q)
		return;
	q->dev->backend->queue_destroy(q);
	free(q);
}

int hearth_queue_submit(struct hearth_queue *q, uint64_t address,
			uint64_t bytes, const struct hearth_submit_opts *opts)
{
	HEARTH_OPTS_LOCAL(hearth_submit_opts, o, opts, ret);

	return ret ? ret : q->dev->backend->submit(q, address, bytes, &o);
}

int hearth_queue_wait(struct hearth_queue *q, uint64_t timeout_ns)
{
	return q->dev->backend->wait(q, timeout_ns);
}
