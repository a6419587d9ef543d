// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "npu.h"

#define MSIX_BAR_BYTES	0x1000
#define MSIX_PBA	0x800

uint64_t npu_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

void npu_log(struct npu *npu, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	if (!npu->verbose)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(stderr, "npu: %.3f %s\n", npu_now_ns() / 1e9, line);
}

void npu_wake_all(struct npu *npu)
{
	pthread_cond_broadcast(&npu->wake);
	pthread_cond_broadcast(&npu->fw_wake);
}

bool npu_enter(struct npu *npu)
{
	bool open;

	pthread_mutex_lock(&npu->lock);
	open = !npu->resetting && !npu->closing;
	npu->inside += open;
	pthread_mutex_unlock(&npu->lock);
	return open;
}

void npu_leave(struct npu *npu)
{
	pthread_mutex_lock(&npu->lock);
	npu->inside--;
	pthread_cond_broadcast(&npu->idle);
	pthread_mutex_unlock(&npu->lock);
}

static void forget_everything(struct npu *npu)
{
	for (unsigned int i = 0; i < HEARTH_MAX_SLOTS; i++)
		npu_slot_clear(&npu->slot[i]);
	for (unsigned int i = 0; i < NPU_CONTEXTS; i++) {
		npu_ctx_destroy(npu->ctx[i]);
		npu->ctx[i] = NULL;
	}
	memset(&npu->host, 0, sizeof(npu->host));
	npu->boot_asked = false;
	npu->admin_pending = false;
	npu->log_asked = false;
	npu->admin_extract = 0;
	npu->event_insert = 0;
	npu->heartbeat = 0;
	npu_regs_reset(npu);
}

void npu_reset(struct npu *npu)
{
	pthread_mutex_lock(&npu->lock);
	npu->resetting = true;
	npu_wake_all(npu);
	while (npu->inside)
		pthread_cond_wait(&npu->idle, &npu->lock);
	forget_everything(npu);
	npu->resetting = false;
	pthread_mutex_unlock(&npu->lock);
	npu_count(npu, resets);
}

static void reset_by_host(void *device, enum vfu_reset why)
{
	static const char *const names[] = {
		[VFU_RESET_MESSAGE] = "bus", [VFU_RESET_FLR] = "function level",
		[VFU_RESET_WAKE] = "wake-up", [VFU_RESET_SLEEP] = "low power",
		[VFU_RESET_GONE] = "client gone",
	};
	struct npu *npu = device;

	npu_log(npu, "reset: %s", names[why]);
	npu_reset(npu);
}

static bool is_removed(void *device)
{
	struct npu *npu = device;
	bool removed;

	pthread_mutex_lock(&npu->lock);
	removed = npu->removed;
	pthread_mutex_unlock(&npu->lock);
	return removed;
}

/* A device that was taken out does no DMA; one that comes back is new. */
void npu_set_removed(struct npu *npu, bool removed)
{
	bool was;

	pthread_mutex_lock(&npu->lock);
	was = npu->removed;
	npu->removed = removed;
	pthread_mutex_unlock(&npu->lock);
	if (was == removed)
		return;
	vfu_dma_block(&npu->vfu.dma, true);
	npu_reset(npu);
	vfu_pci_reset(&npu->vfu.pci);
}

static const struct vfu_device_ops device_ops = {
	.read = npu_bar_read,
	.write = npu_bar_write,
	.reset = reset_by_host,
	.removed = is_removed,
};

static int init_server(struct npu *npu, bool msix)
{
	const struct vfu_pci_identity id = {
		.vendor = HEARTH_PCI_VENDOR,
		.device = HEARTH_PCI_DEVICE,
		.class_code = HEARTH_PCI_CLASS,
		.revision = HEARTH_CONTRACT_MAJOR,
		.msix = msix,
		.vectors = HEARTH_VECTORS,
		.msix_bar = HEARTH_BAR_MSIX,
		.msix_pba = MSIX_PBA,
	};
	int ret;

	ret = vfu_server_init(&npu->vfu, &id, &device_ops, npu);
	if (ret)
		return ret;
	vfu_server_add_bar(&npu->vfu, HEARTH_BAR_REGS, HEARTH_BAR_REGS_SIZE, false);
	vfu_server_add_bar(&npu->vfu, HEARTH_BAR_DOORBELL, HEARTH_BAR_DOORBELL_SIZE, false);
	if (msix)
		vfu_server_add_bar(&npu->vfu, HEARTH_BAR_MSIX, MSIX_BAR_BYTES, false);
	return 0;
}

static void init_locks(struct npu *npu)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&npu->lock, NULL);
	pthread_mutex_init(&npu->event_lock, NULL);
	pthread_cond_init(&npu->wake, &attr);
	pthread_cond_init(&npu->fw_wake, &attr);
	pthread_cond_init(&npu->stop, &attr);
	pthread_cond_init(&npu->idle, &attr);
	pthread_condattr_destroy(&attr);
}

static void stop_worker(struct npu_worker *w)
{
	hk_exec_destroy(w->exec);
	hk_pool_destroy(w->pool);
	npu_space_fini(&w->space);
}

static int start_worker(struct npu *npu, unsigned int cores)
{
	struct npu_worker *w = &npu->worker[npu->workers];

	w->npu = npu;
	npu_space_init(&w->space);
	if (cores > 1) {
		w->pool = hk_pool_create(cores);
		if (!w->pool)
			return -errno;
	}
	w->exec = hk_exec_create(NULL, w->pool);
	if (!w->exec || pthread_create(&w->thread, NULL, npu_worker_main, w)) {
		stop_worker(w);
		return -EAGAIN;
	}
	npu->workers++;
	return 0;
}

static int start_threads(struct npu *npu, const struct npu_opts *opts)
{
	if (pthread_create(&npu->firmware, NULL, npu_firmware_main, npu))
		return -EAGAIN;
	if (pthread_create(&npu->heart, NULL, npu_heart_main, npu)) {
		npu->heart = 0;
		return -EAGAIN;
	}
	while (npu->workers < opts->workers) {
		int ret = start_worker(npu, opts->cores);

		if (ret)
			return ret;
	}
	return 0;
}

struct npu *npu_create(const struct npu_opts *opts)
{
	struct npu *npu = calloc(1, sizeof(*npu));
	int ret;

	if (!npu)
		return NULL;
	ret = init_server(npu, opts->msix);
	if (ret) {
		free(npu);
		errno = -ret;
		return NULL;
	}
	npu->caps = opts->caps;
	npu->verbose = opts->verbose;
	npu->vfu.verbose = opts->verbose;
	npu_inject_init(&npu->inject);
	init_locks(npu);
	npu_regs_reset(npu);
	ret = start_threads(npu, opts);
	if (ret) {
		npu_destroy(npu);
		errno = -ret;
		return NULL;
	}
	return npu;
}

static void stop_threads(struct npu *npu)
{
	pthread_mutex_lock(&npu->lock);
	npu->closing = true;
	npu->resetting = true;
	npu_wake_all(npu);
	pthread_cond_broadcast(&npu->stop);
	pthread_mutex_unlock(&npu->lock);
	if (npu->firmware)
		pthread_join(npu->firmware, NULL);
	if (npu->heart)
		pthread_join(npu->heart, NULL);
	for (unsigned int i = 0; i < npu->workers; i++) {
		pthread_join(npu->worker[i].thread, NULL);
		stop_worker(&npu->worker[i]);
	}
}

void npu_destroy(struct npu *npu)
{
	if (!npu)
		return;
	vfu_dma_block(&npu->vfu.dma, true);
	stop_threads(npu);
	forget_everything(npu);
	vfu_server_fini(&npu->vfu);
	npu_inject_fini(&npu->inject);
	pthread_cond_destroy(&npu->idle);
	pthread_cond_destroy(&npu->stop);
	pthread_cond_destroy(&npu->fw_wake);
	pthread_cond_destroy(&npu->wake);
	pthread_mutex_destroy(&npu->event_lock);
	pthread_mutex_destroy(&npu->lock);
	free(npu);
}
