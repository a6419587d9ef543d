// SPDX-License-Identifier: MIT
/* A queue's jobs: fetch, execute command by command, tell the host. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "npu.h"

#define INJECTED_FAULT_ADDR	0xdead000u
#define NO_OPCODE		(~0u)

enum outcome {
	GO_ON,
	JOB_ENDED,
	GIVE_WAY,	/* preempted, destroyed, reset, dead */
	FAULTED,
};

/* Bus address of the slot's part of the firmware page, at @field of it. */
static uint64_t fw_field(const struct npu *npu, unsigned int index, size_t field)
{
	return npu->host.fw_page + field +
	       index * sizeof(((struct hearth_hw_fw_page *)0)->queue[0]);
}

#define QUEUE_FIELD(name)	offsetof(struct hearth_hw_fw_page, queue[0].name)

/* What the host may watch. Losing the page is the end of the firmware. */
static bool publish(struct npu *npu, unsigned int index, const struct npu_slot *s)
{
	struct vfu_dma *dma = &npu->vfu.dma;

	if (!vfu_dma_store32(dma, fw_field(npu, index, QUEUE_FIELD(op_index)), s->job.op_index) &&
	    !vfu_dma_store64(dma, fw_field(npu, index, QUEUE_FIELD(progress)), s->progress) &&
	    !vfu_dma_store64(dma, fw_field(npu, index, QUEUE_FIELD(busy_ns)), s->busy_ns))
		return true;
	npu_fw_die(npu, "the firmware page cannot be written");
	return false;
}

static bool publish_completed(struct npu *npu, unsigned int index, uint64_t seqno)
{
	if (!vfu_dma_store64(&npu->vfu.dma, fw_field(npu, index, QUEUE_FIELD(completed)), seqno))
		return true;
	npu_fw_die(npu, "the firmware page cannot be written");
	return false;
}

/* The slot takes no more jobs; what the host sees says which one and why. */
static enum outcome fail(struct npu *npu, unsigned int index, const struct hk_fault *f)
{
	struct npu_slot *s = &npu->slot[index];
	struct hearth_hw_event e = {
		.type = HEARTH_EVENT_JOB_FAULT,
		.slot = index,
		.error = f->error,
		.seqno = s->job.seqno,
		.addr = f->addr,
		.op_index = s->job.op_index,
		.opcode = f->opcode,
	};

	npu_log(npu, "slot %u job %llu op %u opcode %#x: error %u addr %#llx field %s", index,
		(unsigned long long)e.seqno, e.op_index, e.opcode, e.error,
		(unsigned long long)e.addr, f->field ? f->field : "-");
	npu_count(npu, faults);
	publish(npu, index, s);
	pthread_mutex_lock(&npu->lock);
	s->stopped = true;
	s->job.active = false;
	pthread_mutex_unlock(&npu->lock);
	npu_event_push(npu, &e);
	return FAULTED;
}

static enum outcome fail_with(struct npu *npu, unsigned int index, uint32_t error,
			      uint64_t addr, const char *field)
{
	struct hk_fault f = {
		.error = error, .addr = addr, .opcode = NO_OPCODE, .field = field,
	};

	return fail(npu, index, &f);
}

/* Take the pending flag before the index is read: a later doorbell sets it again. */
static bool ring_has_job(struct npu *npu, unsigned int index, uint32_t *fill)
{
	const uint64_t addr = npu->host.host_page +
			      offsetof(struct hearth_hw_host_page, queue) +
			      index * sizeof(((struct hearth_hw_host_page *)0)->queue[0]);
	struct npu_slot *s = &npu->slot[index];
	uint32_t insert;

	pthread_mutex_lock(&npu->lock);
	s->pending = false;
	pthread_mutex_unlock(&npu->lock);
	if (vfu_dma_load32(&npu->vfu.dma, addr, &insert)) {
		npu_fw_die(npu, "the host page cannot be read");
		return false;
	}
	*fill = insert - s->extract;
	return *fill;
}

static const char *bad_job(const struct hearth_hw_job *job, uint64_t last_seqno)
{
	for (unsigned int i = 0; i < sizeof(job->reserved) / sizeof(job->reserved[0]); i++)
		if (job->reserved[i])
			return "reserved";
	if (job->seqno <= last_seqno)
		return "seqno";
	if (job->stream_va % 8)
		return "stream_va";
	if (job->stream_bytes % 8)
		return "stream_bytes";
	return NULL;
}

static enum outcome start_job(struct npu *npu, unsigned int index,
			      const struct hearth_hw_job *job)
{
	struct npu_slot *s = &npu->slot[index];
	const char *bad = bad_job(job, s->last_seqno);

	s->job = (struct npu_job) {
		.active = true,
		.seqno = job->seqno,
		.stream_va = job->stream_va,
		.stream_bytes = job->stream_bytes,
	};
	if (bad)
		return fail_with(npu, index, HEARTH_HW_ERR_OPERAND, 0, bad);
	s->last_seqno = job->seqno;
	return GO_ON;
}

static enum outcome fetch_job(struct npu *npu, unsigned int index)
{
	struct npu_slot *s = &npu->slot[index];
	struct vfu_dma *dma = &npu->vfu.dma;
	struct hearth_hw_job job;
	uint64_t at, bad;
	uint32_t fill;

	if (!ring_has_job(npu, index, &fill))
		return GIVE_WAY;
	s->job = (struct npu_job) { .seqno = s->last_seqno };
	if (fill > s->entries)
		return fail_with(npu, index, HEARTH_HW_ERR_ARGS, 0, "insert");
	at = s->ring + s->extract % s->entries * sizeof(job);
	if (vfu_dma_read(dma, at, &job, sizeof(job), &bad))
		return fail_with(npu, index, HEARTH_HW_ERR_BUS, bad, NULL);
	s->extract++;
	if (vfu_dma_store32(dma, fw_field(npu, index, QUEUE_FIELD(extract)), s->extract)) {
		npu_fw_die(npu, "the firmware page cannot be written");
		return GIVE_WAY;
	}
	/* there may be more behind it that no doorbell will tell of */
	if (fill > 1) {
		pthread_mutex_lock(&npu->lock);
		s->pending = true;
		pthread_mutex_unlock(&npu->lock);
	}
	return start_job(npu, index, &job);
}

static enum outcome end_job(struct npu *npu, unsigned int index)
{
	struct npu_slot *s = &npu->slot[index];
	struct hearth_hw_event e = {
		.type = HEARTH_EVENT_JOB_DONE,
		.slot = index,
		.seqno = s->job.seqno,
	};

	pthread_mutex_lock(&npu->lock);
	s->job.active = false;
	pthread_mutex_unlock(&npu->lock);
	npu_count(npu, jobs);
	if (!publish(npu, index, s) || !publish_completed(npu, index, e.seqno))
		return GIVE_WAY;
	if (npu_inject_take(&npu->inject, NPU_INJECT_NO_COMPLETION, index))
		return JOB_ENDED;
	return npu_event_push(npu, &e) ? JOB_ENDED : GIVE_WAY;
}

/* Read @bytes of the stream at the job's offset; the fault is filled. */
static int read_stream(struct npu_worker *w, const struct npu_slot *s, uint32_t skip,
		       void *to, uint32_t bytes, struct hk_fault *fault)
{
	struct hk_map m = {
		.va = s->job.stream_va + s->job.offset + skip,
		.bytes = bytes,
		.access = HK_READ,
	};
	int ret = w->space.base.ops->map(&w->space.base, &m, fault);

	if (ret)
		return ret;
	memcpy(to, m.ptr, bytes);
	return w->space.base.ops->unmap(&w->space.base, &m, fault);
}

static int refuse(struct hk_fault *fault, const char *field)
{
	fault->error = HEARTH_HW_ERR_OPERAND;
	fault->field = field;
	return -EINVAL;
}

/* Copy one command out of the host's reach. */
static int fetch_command(struct npu_worker *w, const struct npu_slot *s,
			 struct hearth_cmd_header *cmd, struct hk_fault *fault)
{
	uint32_t left = s->job.stream_bytes - s->job.offset;
	int ret;

	ret = read_stream(w, s, 0, cmd, sizeof(*cmd), fault);
	if (ret)
		return ret;
	fault->opcode = cmd->op;
	if (cmd->bytes < sizeof(*cmd) || cmd->bytes > HEARTH_CMD_MAX_BYTES ||
	    cmd->bytes % 8 || cmd->bytes > left)
		return refuse(fault, "bytes");
	if (cmd->bytes == sizeof(*cmd))
		return 0;
	return read_stream(w, s, sizeof(*cmd), cmd + 1, cmd->bytes - sizeof(*cmd), fault);
}

static int execute_command(struct npu_worker *w, const struct npu_slot *s,
			   uint32_t *bytes, struct hk_fault *fault)
{
	union {
		struct hearth_cmd_header hdr;
		uint64_t words[HEARTH_CMD_MAX_BYTES / 8];
	} cmd;
	int ret;

	*fault = (struct hk_fault) { .opcode = NO_OPCODE };
	if (npu_inject_take(&w->npu->inject, NPU_INJECT_MMU_FAULT, s - w->npu->slot)) {
		fault->error = HEARTH_HW_ERR_READ;
		fault->addr = INJECTED_FAULT_ADDR;
		return -EFAULT;
	}
	ret = fetch_command(w, s, &cmd.hdr, fault);
	if (ret)
		return ret;
	*bytes = cmd.hdr.bytes;
	if (!npu_caps_allow(&w->npu->caps, &cmd.hdr, fault))
		return -EINVAL;
	ret = hk_exec_one(w->exec, &w->space.base, &cmd.hdr, cmd.hdr.bytes, fault);
	return ret < 0 ? ret : 0;
}

/* Wait until the slot is destroyed (unless @hard), or the firmware is reset. */
static void hang(struct npu *npu, struct npu_slot *s, bool hard)
{
	npu_log(npu, "injected hang of slot %u", (unsigned int)(s - npu->slot));
	pthread_mutex_lock(&npu->lock);
	while (!npu->resetting && npu->regs.status == HEARTH_STATUS_READY &&
	       !(s->dying && !hard))
		pthread_cond_wait(&npu->wake, &npu->lock);
	pthread_mutex_unlock(&npu->lock);
}

static void delay(struct npu *npu, const struct npu_slot *s, uint64_t ms)
{
	uint64_t when = npu_now_ns() + ms * 1000000ull;
	struct timespec ts = { when / 1000000000, when % 1000000000 };

	pthread_mutex_lock(&npu->lock);
	while (!npu->resetting && !s->dying && npu->regs.status == HEARTH_STATUS_READY &&
	       pthread_cond_timedwait(&npu->wake, &npu->lock, &ts) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&npu->lock);
}

/* Returns false if the slot must be let go of afterwards. */
static bool misbehave(struct npu *npu, struct npu_slot *s, unsigned int index)
{
	struct npu_inject *inj = &npu->inject;
	uint64_t ms;

	if (npu_inject_take_at(inj, NPU_INJECT_HANG, index, s->job.op_index)) {
		hang(npu, s, false);
		return false;
	}
	if (npu_inject_take_at(inj, NPU_INJECT_HARD_HANG, index, s->job.op_index)) {
		hang(npu, s, true);
		return false;
	}
	if (npu_inject_armed(inj, NPU_INJECT_SLOW, &ms))
		delay(npu, s, ms);
	return true;
}

static enum outcome run_command(struct npu_worker *w, unsigned int index)
{
	struct npu *npu = w->npu;
	struct npu_slot *s = &npu->slot[index];
	struct hk_fault fault;
	uint32_t bytes = 0;
	uint64_t start;
	int ret;

	if (s->job.offset == s->job.stream_bytes)
		return end_job(npu, index);
	if (!publish(npu, index, s))
		return GIVE_WAY;
	start = npu_now_ns();
	if (!misbehave(npu, s, index))
		return GIVE_WAY;
	ret = execute_command(w, s, &bytes, &fault);
	s->busy_ns += npu_now_ns() - start;
	if (ret)
		return fail(npu, index, &fault);
	npu_count(npu, commands);
	s->job.offset += bytes;
	s->job.op_index++;
	s->progress++;
	return GO_ON;
}

void npu_slot_run(struct npu_worker *worker, unsigned int index)
{
	struct npu *npu = worker->npu;
	struct npu_slot *s = &npu->slot[index];
	uint64_t since = npu_now_ns();
	enum outcome out;

	worker->space.ctx = s->ctx;
	do {
		out = s->job.active ? run_command(worker, index) : fetch_job(npu, index);
	} while ((out == GO_ON || out == JOB_ENDED) && !npu_slot_must_stop(npu, s, since));
	if (npu_status(npu) == HEARTH_STATUS_READY)
		publish(npu, index, s);
}
