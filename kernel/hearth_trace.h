/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM hearth

#if !defined(__HEARTH_TRACE_H__) || defined(TRACE_HEADER_MULTI_READ)
#define __HEARTH_TRACE_H__

#include <linux/tracepoint.h>

#include "hearth_device.h"
#include "hearth_job.h"
#include "hearth_queue.h"

DECLARE_EVENT_CLASS(hearth_job,
		    TP_PROTO(const struct hearth_job *job, int error),
		    TP_ARGS(job, error),
		    TP_STRUCT__entry(__field(u64, queue)
				     __field(u64, seqno)
				     __field(int, slot)
				     __field(int, error)),
		    TP_fast_assign(__entry->queue = job->queue->fence_context;
				   __entry->seqno = job->seqno;
				   __entry->slot = job->queue->slot;
				   __entry->error = error;),
		    TP_printk("queue=%llu seqno=%llu slot=%d error=%d", __entry->queue,
			      __entry->seqno, __entry->slot, __entry->error)
);

/* The ioctl has queued the job. */
DEFINE_EVENT(hearth_job, hearth_job_submit,
	     TP_PROTO(const struct hearth_job *job, int error),
	     TP_ARGS(job, error)
);

/* Its dependencies are met. */
DEFINE_EVENT(hearth_job, hearth_job_run,
	     TP_PROTO(const struct hearth_job *job, int error),
	     TP_ARGS(job, error)
);

/* Its fence is about to be signalled. */
DEFINE_EVENT(hearth_job, hearth_job_done,
	     TP_PROTO(const struct hearth_job *job, int error),
	     TP_ARGS(job, error)
);

/* One SUBMIT that was accepted. */
TRACE_EVENT(hearth_submit,
	    TP_PROTO(u64 queue, u32 jobs),
	    TP_ARGS(queue, jobs),
	    TP_STRUCT__entry(__field(u64, queue)
			     __field(u32, jobs)),
	    TP_fast_assign(__entry->queue = queue;
			   __entry->jobs = jobs;),
	    TP_printk("queue=%llu jobs=%u", __entry->queue, __entry->jobs)
);

/* A restore has ended. */
TRACE_EVENT(hearth_restore,
	    TP_PROTO(u64 store, u64 bytes, u64 ns, int error),
	    TP_ARGS(store, bytes, ns, error),
	    TP_STRUCT__entry(__field(u64, store)
			     __field(u64, bytes)
			     __field(u64, ns)
			     __field(int, error)),
	    TP_fast_assign(__entry->store = store;
			   __entry->bytes = bytes;
			   __entry->ns = ns;
			   __entry->error = error;),
	    TP_printk("store=%llu bytes=%llu ns=%llu error=%d", __entry->store,
		      __entry->bytes, __entry->ns, __entry->error)
);

/* Extents were dropped. */
TRACE_EVENT(hearth_evict,
	    TP_PROTO(u64 store, u64 bytes),
	    TP_ARGS(store, bytes),
	    TP_STRUCT__entry(__field(u64, store)
			     __field(u64, bytes)),
	    TP_fast_assign(__entry->store = store;
			   __entry->bytes = bytes;),
	    TP_printk("store=%llu bytes=%llu", __entry->store, __entry->bytes)
);

/* Somebody asked whether it would fit. */
TRACE_EVENT(hearth_admit,
	    TP_PROTO(struct hearth_device *hdev, const struct hearth_judgement *judgement),
	    TP_ARGS(hdev, judgement),
	    TP_STRUCT__entry(__string(dev, dev_name(hdev->base.dev))
			     __field(u64, needed)
			     __field(u64, available)
			     __field(u64, after_drop)
			     __field(u32, verdict)
			     __field(u32, limit)),
	    TP_fast_assign(__assign_str(dev);
			   __entry->needed = judgement->needed;
			   __entry->available = judgement->available;
			   __entry->after_drop = judgement->after_drop;
			   __entry->verdict = judgement->verdict;
			   __entry->limit = judgement->limit;),
	    TP_printk("dev=%s verdict=%u limit=%u needed=%llu available=%llu after_drop=%llu",
		      __get_str(dev), __entry->verdict, __entry->limit, __entry->needed,
		      __entry->available, __entry->after_drop)
);

/* Of one class, for one kind of pressure; 0 bytes if the store could give nothing. */
TRACE_EVENT(hearth_reclaim,
	    TP_PROTO(struct hearth_device *hdev, u32 class, u32 pressure, u64 bytes),
	    TP_ARGS(hdev, class, pressure, bytes),
	    TP_STRUCT__entry(__string(dev, dev_name(hdev->base.dev))
			     __field(u32, class)
			     __field(u32, pressure)
			     __field(u64, bytes)),
	    TP_fast_assign(__assign_str(dev);
			   __entry->class = class;
			   __entry->pressure = pressure;
			   __entry->bytes = bytes;),
	    TP_printk("dev=%s class=%u pressure=%u bytes=%llu", __get_str(dev),
		      __entry->class, __entry->pressure, __entry->bytes)
);

TRACE_EVENT(hearth_reset,
	    TP_PROTO(struct hearth_device *hdev, int blame, int error),
	    TP_ARGS(hdev, blame, error),
	    TP_STRUCT__entry(__string(dev, dev_name(hdev->base.dev))
			     __field(int, blame)
			     __field(int, error)),
	    TP_fast_assign(__assign_str(dev);
			   __entry->blame = blame;
			   __entry->error = error;),
	    TP_printk("dev=%s blame=%d error=%d", __get_str(dev),
		      __entry->blame, __entry->error)
);

#endif /* __HEARTH_TRACE_H__ */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE hearth_trace
#include <trace/define_trace.h>
