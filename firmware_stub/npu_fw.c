// SPDX-License-Identifier: MIT
/* The firmware's own threads: one boots and serves the admin ring, one beats. */
#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "npu.h"

/* Only a reset leads out of it. Rings and pages are not touched any more. */
void npu_fw_die(struct npu *npu, const char *why)
{
	bool alive;

	pthread_mutex_lock(&npu->lock);
	alive = !npu->resetting && (npu->regs.status == HEARTH_STATUS_READY ||
				    npu->regs.status == HEARTH_STATUS_BOOTING);
	if (alive)
		npu->regs.status = HEARTH_STATUS_DEAD;
	npu_wake_all(npu);
	pthread_mutex_unlock(&npu->lock);
	if (!alive)
		return;
	npu_log(npu, "firmware died: %s", why);
	npu_raise(npu, HEARTH_IRQ_STATE);
}

static void finish_boot(struct npu *npu, int result)
{
	if (result < 0)
		return;		/* a reset came; it has the last word */
	pthread_mutex_lock(&npu->lock);
	npu->regs.boot_error = result;
	pthread_mutex_unlock(&npu->lock);
	npu_count(npu, boots);
	npu_log(npu, "boot: error %d", result);
	npu_set_status(npu, result ? HEARTH_STATUS_FAILED : HEARTH_STATUS_READY);
}

void npu_fw_log(struct npu *npu)
{
	pthread_mutex_lock(&npu->lock);
	npu->log_asked = true;
	pthread_cond_signal(&npu->fw_wake);
	pthread_mutex_unlock(&npu->lock);
}

/* Text that nobody should print as it is. */
static void send_log(struct npu *npu)
{
	struct hearth_hw_event e = {
		.type = HEARTH_EVENT_LOG,
		.data = "injected\n\033[31m%s%n log",
	};

	npu_event_push(npu, &e);
}

enum work { NOTHING, BOOT, ADMIN, LOG };

/* Take what is to be done next. The lock is held. */
static enum work take_work(struct npu *npu)
{
	bool ready = npu->regs.status == HEARTH_STATUS_READY;

	if (npu->resetting)
		return NOTHING;
	if (npu->boot_asked) {
		npu->boot_asked = false;
		return BOOT;
	}
	if (npu->admin_pending && ready) {
		npu->admin_pending = false;
		return ADMIN;
	}
	if (npu->log_asked && ready) {
		npu->log_asked = false;
		return LOG;
	}
	return NOTHING;
}

static void do_work(struct npu *npu, enum work work)
{
	switch (work) {
	case BOOT:
		finish_boot(npu, npu_boot(npu));
		break;
	case ADMIN:
		npu_admin_serve(npu);
		break;
	case LOG:
		send_log(npu);
		break;
	case NOTHING:
		break;
	}
}

void *npu_firmware_main(void *arg)
{
	struct npu *npu = arg;
	enum work work;

	pthread_mutex_lock(&npu->lock);
	while (!npu->closing) {
		work = take_work(npu);
		if (work == NOTHING) {
			pthread_cond_wait(&npu->fw_wake, &npu->lock);
			continue;
		}
		npu->inside++;
		pthread_mutex_unlock(&npu->lock);
		do_work(npu, work);
		npu_leave(npu);
		pthread_mutex_lock(&npu->lock);
	}
	pthread_mutex_unlock(&npu->lock);
	return NULL;
}

static void beat(struct npu *npu)
{
	uint64_t page;

	pthread_mutex_lock(&npu->lock);
	page = npu->regs.status == HEARTH_STATUS_READY ? npu->host.fw_page : 0;
	pthread_mutex_unlock(&npu->lock);
	if (!page)
		return;
	if (vfu_dma_store32(&npu->vfu.dma,
			    page + offsetof(struct hearth_hw_fw_page, heartbeat),
			    ++npu->heartbeat))
		npu_fw_die(npu, "the firmware page cannot be written");
}

static void wait_until(struct npu *npu, uint64_t when)
{
	struct timespec ts = { when / 1000000000, when % 1000000000 };

	pthread_mutex_lock(&npu->lock);
	while (!npu->closing &&
	       pthread_cond_timedwait(&npu->stop, &npu->lock, &ts) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&npu->lock);
}

void *npu_heart_main(void *arg)
{
	struct npu *npu = arg;
	uint64_t when = npu_now_ns();
	bool closing;

	do {
		when += NPU_HEARTBEAT_MS * 1000000ull;
		wait_until(npu, when);
		if (npu_enter(npu)) {
			beat(npu);
			npu_leave(npu);
		}
		pthread_mutex_lock(&npu->lock);
		closing = npu->closing;
		pthread_mutex_unlock(&npu->lock);
	} while (!closing);
	return NULL;
}
