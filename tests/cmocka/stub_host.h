/* SPDX-License-Identifier: MIT */
/*
 * A host without a kernel: what a driver does to boot the NPU and to give it
 * work, in the least code that can. RAM is laid out by hand.
 */
#ifndef STUB_HOST_H
#define STUB_HOST_H

#include <hw/hearth_mmu.h>

#include "stub_client.h"

/* Offsets in RAM */
#define AT_IMAGE	0x00000
#define AT_ARGS		0x10000
#define AT_HOST_PAGE	0x11000
#define AT_FW_PAGE	0x12000
#define AT_ADMIN	0x13000		/* 8 entries */
#define AT_EVENTS	0x14000		/* 64 entries */
#define AT_QUEUES	0x20000		/* one page each */
#define AT_TABLES	0x100000	/* page tables grow from here */
#define AT_DATA		0x400000	/* for the tests */

#define IMAGE_BYTES	4096
#define EVENT_ENTRIES	64
#define QUEUE_ENTRIES	16

struct host {
	struct client c;
	struct hearth_fw_header *image;
	struct hearth_hw_boot_args *args;
	struct hearth_hw_host_page *host_page;
	volatile struct hearth_hw_fw_page *fw_page;
	struct hearth_hw_admin *admin;
	struct hearth_hw_event *events;
	uint64_t next_table;
	uint32_t cookie;
	uint32_t admin_insert;
	uint32_t event_extract;
	uint32_t insert[HEARTH_MAX_SLOTS];
	uint64_t seqno[HEARTH_MAX_SLOTS];
};

/* Server, client, image and arguments that are right; not booted. */
void host_start(struct host *h, const struct npu_opts *opts, bool by_messages);
void host_stop(struct host *h);

/* Lay out image, arguments and rings anew. */
void host_prepare(struct host *h);
/* Returns STATUS when it is no longer BOOTING. */
uint32_t host_boot(struct host *h);
/* Start, setup, boot. */
void host_up(struct host *h, const struct npu_opts *opts);
void host_reset(struct host *h);

/* The next event; false after @ms without one. */
bool host_event(struct host *h, struct hearth_hw_event *e, int ms);
/* As above, for a test that needs one. */
struct hearth_hw_event host_want(struct host *h);

/* Put the entry into the ring and ring the bell; its cookie is returned. */
uint32_t host_post(struct host *h, struct hearth_hw_admin *a);
/* Post, and return the error of the answer. */
uint32_t host_admin(struct host *h, struct hearth_hw_admin a);

void *host_ptr(struct host *h, uint64_t offset);
uint64_t host_bus(struct host *h, const void *ptr);

/* An empty root table; returns its bus address. */
uint64_t host_tables(struct host *h);
/* Entry of @va at @level (1 to 3), with the tables above it made. */
uint64_t *host_pte(struct host *h, uint64_t root, uint64_t va, int level);
/* Map pages of 4 KiB. @flags: HEARTH_PTE_RO or 0. */
void host_map(struct host *h, uint64_t root, uint64_t va, uint64_t bus, uint64_t bytes,
	      uint64_t flags);

/* A context and a queue in @slot; asserts success. */
void host_ctx(struct host *h, uint32_t ctx, uint64_t root);
void host_queue(struct host *h, uint32_t slot, uint32_t ctx, uint32_t priority);
uint32_t host_destroy(struct host *h, uint32_t slot);

/* Queue a job without ringing; with it. Returns its sequence number. */
uint64_t host_put(struct host *h, uint32_t slot, uint64_t va, uint32_t bytes);
void host_ring(struct host *h, uint32_t slot);
uint64_t host_submit(struct host *h, uint32_t slot, uint64_t va, uint32_t bytes);

/* The end of @seqno of @slot, whatever other events come first. */
void host_want_done(struct host *h, uint32_t slot, uint64_t seqno);

#endif
