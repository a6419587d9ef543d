// SPDX-License-Identifier: MIT
/*
 * Any bytes as what a host puts into its memory: image header, boot arguments,
 * indexes, admin entries, jobs, page tables and command streams. The device
 * must come through, keep to its operands and be ready for the next.
 */
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "crc32.h"
#include "driver.h"
#include "npu.h"
#include <hw/hearth_mmu.h>

#define RAM_BUS		0x40000000ull
#define RAM_BYTES	(1u << 20)
#define AT_IMAGE	0x0000
#define AT_ARGS		0x1000
#define AT_HOST_PAGE	0x2000
#define AT_FW_PAGE	0x3000
#define AT_ADMIN	0x4000
#define AT_EVENTS	0x5000
#define AT_QUEUES	0x8000	/* 4 pages */
#define AT_TABLES	0x10000	/* 3 pages */
#define AT_CANARY	0x1f000	/* mapped nowhere in the tables of a good host */
#define AT_DATA		0x20000
#define QUEUES		4
#define ENTRIES		8
#define PAGES		64	/* of AT_DATA, at device address 0; 0 to 3 are streams */
#define WAIT_NS		30000000ull

#define PAGE_FLAGS	(HEARTH_PTE_VALID | HEARTH_PTE_PAGE | HEARTH_PTE_AF)
#define TABLE_FLAGS	(HEARTH_PTE_VALID | HEARTH_PTE_TABLE)

const char *const fuzz_name = "npu";

const uint64_t fuzz_values[] = {
	0, 1, 2, 3, 4, 7, 8, 9, 16, 17, 31, 32, 33, 34, 35, 36, 37, 38, 40, 41, 48, 56, 63, 64,
	80, 88, 136, 255, 256, 264, 4095, 4096, 0x10000, PAGES * 4096, 1u << 24, INT32_MAX,
	UINT32_MAX, 1ull << 36, 1ull << 39, (1ull << 39) - 8, INT64_MAX, UINT64_MAX, RAM_BUS,
	RAM_BUS + AT_TABLES, 0x3f800000, 0x7f800000,
};
const size_t fuzz_n_values = sizeof(fuzz_values) / sizeof(fuzz_values[0]);

size_t fuzz_heap_limit(size_t size)
{
	return SIZE_MAX;
}

/* An input, over a machine that is right by itself. */
struct input {
	struct hearth_fw_header image;
	struct hearth_hw_boot_args args;
	uint32_t admin_insert;
	uint32_t event_extract;
	uint32_t insert[QUEUES];
	uint64_t pte[PAGES];
	struct hearth_hw_admin admin[ENTRIES];
	struct hearth_hw_job job[QUEUES][2];
	uint8_t stream[1024];
};

static struct npu *npu;
static uint8_t *ram;

static void start(void)
{
	struct npu_opts opts = { .caps = npu_caps_full(), .workers = 2 };
	struct vfu_msg_dma_map map = { sizeof(map), 3, 0, RAM_BUS, RAM_BYTES };
	const uint8_t master[2] = { PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY };
	int fd = memfd_create("ram", MFD_CLOEXEC);

	npu = npu_create(&opts);
	if (!npu || fd < 0 || ftruncate(fd, RAM_BYTES) || vfu_dma_map(&npu->vfu.dma, &map, fd))
		abort();
	ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ram == MAP_FAILED)
		abort();
	vfu_pci_write(&npu->vfu.pci, PCI_COMMAND, master, 2);
	vfu_update_dma(&npu->vfu);
}

static void lay_out(const struct input *in)
{
	struct hearth_hw_host_page *page = (void *)(ram + AT_HOST_PAGE);
	uint64_t *tables = (uint64_t *)(ram + AT_TABLES);

	memset(ram, 0, AT_DATA + sizeof(in->stream));
	memset(ram + AT_CANARY, 0xc5, 4096);
	memcpy(ram + AT_IMAGE, &in->image, sizeof(in->image));
	memcpy(ram + AT_ARGS, &in->args, sizeof(in->args));
	memcpy(ram + AT_ADMIN, in->admin, sizeof(in->admin));
	for (int i = 0; i < QUEUES; i++) {
		memcpy(ram + AT_QUEUES + i * 4096, in->job[i], sizeof(in->job[i]));
		page->queue[i].insert = 0;
	}
	tables[0] = (RAM_BUS + AT_TABLES + 0x1000) | TABLE_FLAGS;
	tables[512] = (RAM_BUS + AT_TABLES + 0x2000) | TABLE_FLAGS;
	memcpy(tables + 1024, in->pte, sizeof(in->pte));
	memcpy(ram + AT_DATA, in->stream, sizeof(in->stream));
}

static bool is_idle(void)
{
	bool idle;

	pthread_mutex_lock(&npu->lock);
	idle = !npu->inside && !npu->boot_asked &&
	       !(npu->admin_pending && npu->regs.status == HEARTH_STATUS_READY);
	for (int i = 0; i < HEARTH_MAX_SLOTS; i++) {
		const struct npu_slot *s = &npu->slot[i];

		if (s->exists && !s->stopped && (s->running || s->pending || s->job.active) &&
		    npu->regs.status == HEARTH_STATUS_READY)
			idle = false;
	}
	pthread_mutex_unlock(&npu->lock);
	return idle;
}

/* What waits for ever, for room in the event ring, is not waited for. */
static void settle(void)
{
	uint64_t end = npu_now_ns() + WAIT_NS;

	while (!is_idle() && npu_now_ns() < end)
		sched_yield();
}

static void reg(uint64_t offset, uint32_t value)
{
	npu_bar_write(npu, HEARTH_BAR_REGS, offset, 4, value);
}

static void boot(void)
{
	npu_bar_write(npu, HEARTH_BAR_REGS, HEARTH_REG_FW_ADDR_LO, 8, RAM_BUS + AT_IMAGE);
	reg(HEARTH_REG_FW_SIZE, 4096);
	npu_bar_write(npu, HEARTH_BAR_REGS, HEARTH_REG_BOOT_ARGS_LO, 8, RAM_BUS + AT_ARGS);
	reg(HEARTH_REG_CTRL, HEARTH_CTRL_BOOT);
	settle();
}

static void run(const struct input *in)
{
	struct hearth_hw_host_page *page = (void *)(ram + AT_HOST_PAGE);

	__atomic_store_n(&page->event_extract, in->event_extract, __ATOMIC_RELEASE);
	__atomic_store_n(&page->admin_insert, in->admin_insert, __ATOMIC_RELEASE);
	npu_bar_write(npu, HEARTH_BAR_DOORBELL, HEARTH_DOORBELL_ADMIN * 4096, 4, 0);
	settle();
	for (int i = 0; i < QUEUES; i++) {
		__atomic_store_n(&page->queue[i].insert, in->insert[i], __ATOMIC_RELEASE);
		npu_bar_write(npu, HEARTH_BAR_DOORBELL, i * 4096, 4, 0);
	}
	settle();
}

/* Memory that no address of the input leads to must be as it was. */
static void check_canary(const struct input *in)
{
	const uint32_t *word = (const uint32_t *)in;

	for (size_t i = 0; i < sizeof(*in) / sizeof(*word); i++)
		if (word[i] >> 12 == (RAM_BUS + AT_CANARY) >> 12 ||
		    in->args.event_entries != 64 || in->args.event_ring != RAM_BUS + AT_EVENTS)
			return;
	for (int i = 0; i < 4096; i++)
		if (ram[AT_CANARY + i] != 0xc5)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { 0 };

	if (!npu)
		start();
	memcpy(&in, data, size < sizeof(in) ? size : sizeof(in));
	lay_out(&in);
	boot();
	run(&in);
	check_canary(&in);
	reg(HEARTH_REG_CTRL, HEARTH_CTRL_RESET);
	/* not npu->inside: the heart may beat at this moment */
	if (npu_bar_read(npu, HEARTH_BAR_REGS, HEARTH_REG_STATUS, 4) != HEARTH_STATUS_OFF)
		abort();
	return 0;
}

static void good_host(struct input *in)
{
	static const uint8_t payload[4096 - sizeof(struct hearth_fw_header)];

	memset(in, 0, sizeof(*in));
	in->image = (struct hearth_fw_header) {
		.magic = HEARTH_FW_MAGIC, .header_bytes = sizeof(in->image), .image_bytes = 4096,
		.contract = HEARTH_CONTRACT, .crc32 = crc32(payload, sizeof(payload)),
	};
	in->args = (struct hearth_hw_boot_args) {
		.magic = HEARTH_BOOT_MAGIC, .bytes = sizeof(in->args), .contract = HEARTH_CONTRACT,
		.host_page = RAM_BUS + AT_HOST_PAGE, .fw_page = RAM_BUS + AT_FW_PAGE,
		.admin_ring = RAM_BUS + AT_ADMIN, .event_ring = RAM_BUS + AT_EVENTS,
		.admin_entries = ENTRIES, .event_entries = 64,
	};
	in->admin_insert = 1 + QUEUES;
	in->admin[0] = (struct hearth_hw_admin) {
		.op = HEARTH_ADMIN_CTX_CREATE, .ctx = 1, .addr = RAM_BUS + AT_TABLES };
	for (uint32_t i = 0; i < QUEUES; i++) {
		in->admin[1 + i] = (struct hearth_hw_admin) {
			.op = HEARTH_ADMIN_QUEUE_CREATE, .ctx = 1, .slot = i, .priority = i,
			.addr = RAM_BUS + AT_QUEUES + i * 4096, .entries = ENTRIES };
		in->insert[i] = 2;
		in->job[i][0] = (struct hearth_hw_job) { .seqno = 1, .stream_va = i * 256,
							 .stream_bytes = 256 };
		in->job[i][1] = (struct hearth_hw_job) { .seqno = 2 };
	}
	for (uint64_t i = 0; i < PAGES; i++)
		in->pte[i] = (RAM_BUS + AT_DATA + (i ^ 1) * 4096) | PAGE_FLAGS;
	in->pte[0] = (RAM_BUS + AT_DATA) | PAGE_FLAGS | HEARTH_PTE_RO;
	in->pte[1] = (RAM_BUS + AT_DATA + 4096) | PAGE_FLAGS;
}

/* A command at @at of the streams; addresses in it are device addresses. */
static size_t put(struct input *in, size_t at, uint16_t op, const void *cmd, size_t bytes)
{
	struct hearth_cmd_header h = { .op = op, .bytes = bytes };

	memcpy(in->stream + at, cmd, bytes);
	memcpy(in->stream + at, &h, sizeof(h));
	return at + bytes;
}

static void fill_nops(struct input *in, size_t at, size_t end)
{
	const struct hearth_cmd_header nop = { 0 };

	while (at < end)
		at = put(in, at, HEARTH_OP_NOP, &nop, sizeof(nop));
}

static void floats(struct input *in)
{
	const struct hearth_cmd_matmul mm = { .weights = 0x4000, .src = 0x8000, .dst = 0xc000,
		.rows = 2, .in_n = 64, .out_n = 40, .type = HEARTH_TYPE_Q8_0 };
	const struct hearth_cmd_attention at = { .q = 0x8000, .k = 0x10000, .v = 0x14000,
		.pos = 0x4000, .dst = 0xc000, .rows = 2, .heads = 4, .kv_heads = 2,
		.head_dim = 16, .n_ctx = 32, .scale = 0x3f000000, .type = HEARTH_TYPE_F16 };
	const struct hearth_cmd_rope rope = { .x = 0x8000, .pos = 0x4000, .table = 0x10000,
		.rows = 2, .heads = 2, .head_dim = 16, .n_rot = 16, .n_ctx = 8 };
	const struct hearth_cmd_kv_write kv = { .src = 0x8000, .pos = 0x4000, .cache = 0x10000,
		.rows = 2, .kv_heads = 2, .head_dim = 16, .n_ctx = 32, .type = HEARTH_TYPE_F16 };
	const struct hearth_cmd_get_rows rows = { .table = 0x4000, .ids = 0x8000, .dst = 0xc000,
		.rows = 16, .cols = 32, .n = 3, .type = HEARTH_TYPE_Q4_0 };
	const struct hearth_cmd_get_rows groups = { .table = 0x4000, .ids = 0x8000,
		.dst = 0xc000, .rows = 16, .cols = 64, .n = 3, .type = HEARTH_TYPE_Q8_0_R8 };
	const struct hearth_cmd_rms_norm norm = { .src = 0x8000, .weights = 0x4000,
		.dst = 0x8000, .rows = 3, .n = 50, .eps = 0x358637bd };
	size_t p = put(in, 0, HEARTH_OP_MATMUL, &mm, sizeof(mm));

	fill_nops(in, put(in, p, HEARTH_OP_ATTENTION, &at, sizeof(at)), 256);
	p = put(in, 256, HEARTH_OP_ROPE, &rope, sizeof(rope));
	fill_nops(in, put(in, p, HEARTH_OP_KV_WRITE, &kv, sizeof(kv)), 512);
	p = put(in, 512, HEARTH_OP_GET_ROWS, &rows, sizeof(rows));
	p = put(in, p, HEARTH_OP_GET_ROWS, &groups, sizeof(groups));
	fill_nops(in, put(in, p, HEARTH_OP_RMS_NORM, &norm, sizeof(norm)), 768);
	fill_nops(in, 768, 1024);
}

/* A cache of three pages, with those of another between them. */
static void paged(struct input *in)
{
	const struct hearth_cmd_kv_pages pages = { .positions = 16, .stride = 0x1000 };
	const struct hearth_cmd_kv_write_paged kv = { .base = { .src = 0x8000, .pos = 0x4000,
		.cache = 0x10000, .rows = 2, .kv_heads = 2, .head_dim = 16, .n_ctx = 40,
		.type = HEARTH_TYPE_F16 }, .pages = pages };
	const struct hearth_cmd_attention_paged at = { .base = { .base = { .q = 0x8000,
		.k = 0x10000, .v = 0x10800, .pos = 0x4000, .dst = 0xc000, .rows = 2, .heads = 4,
		.kv_heads = 2, .head_dim = 16, .n_ctx = 40, .scale = 0x3f000000,
		.type = HEARTH_TYPE_F16 }, .window = 20 }, .pages = pages };
	const struct hearth_cmd_kv_shift_paged sh = { .base = { .cache = 0x10000,
		.shift = 0x4000, .kv_heads = 2, .head_dim = 16, .n_ctx = 40,
		.type = HEARTH_TYPE_F16 }, .pages = pages };
	size_t p = put(in, 0, HEARTH_OP_KV_WRITE_PAGED, &kv, sizeof(kv));

	fill_nops(in, put(in, p, HEARTH_OP_ATTENTION_PAGED, &at, sizeof(at)), 256);
	fill_nops(in, put(in, 256, HEARTH_OP_KV_SHIFT_PAGED, &sh, sizeof(sh)), 1024);
}

static void bytes(struct input *in)
{
	const struct hearth_cmd_conv_2d conv = { .src = 0x4000, .weights = 0x8000,
		.requant = 0xa000, .dst = 0xc000, .batch = 1, .in_h = 8, .in_w = 8, .in_c = 4,
		.out_h = 8, .out_w = 8, .out_c = 8, .k_h = 3, .k_w = 3, .stride_h = 1,
		.stride_w = 1, .dilation_h = 1, .dilation_w = 1, .pad_top = 1, .pad_left = 1,
		.groups = 1, .act_min = -128, .act_max = 127, .src_type = HEARTH_TYPE_I8,
		.weights_type = HEARTH_TYPE_I8, .dst_type = HEARTH_TYPE_I8 };
	const struct hearth_cmd_copy_2d copy = { .src = 0x4ff0, .dst = 0x9008, .src_stride = 100,
		.dst_stride = 200, .row_bytes = 90, .rows = 50 };
	const struct hearth_cmd_pool_2d pool = { .src = 0x4000, .dst = 0x8000, .batch = 1,
		.in_h = 8, .in_w = 8, .channels = 16, .out_h = 4, .out_w = 4, .k_h = 2,
		.k_w = 2, .stride_h = 2, .stride_w = 2, .act_min = -128, .act_max = 127,
		.type = HEARTH_TYPE_I8 };
	const struct hearth_cmd_pad pad = { .src = 0x4000, .dst = 0x8000, .dims = { 1, 4, 4, 3 },
		.before = { 0, 1, 1, 0 }, .after = { 0, 1, 1, 0 }, .value = 7 };
	const struct hearth_cmd_lut8 lut = { .src = 0x4000, .table = 0x6000, .dst = 0x4000, .n = 5000 };
	size_t p = put(in, 0, HEARTH_OP_CONV_2D, &conv, sizeof(conv));

	fill_nops(in, put(in, p, HEARTH_OP_COPY_2D, &copy, sizeof(copy)), 256);
	p = put(in, 256, HEARTH_OP_AVERAGE_POOL_2D, &pool, sizeof(pool));
	fill_nops(in, put(in, p, HEARTH_OP_PAD, &pad, sizeof(pad)), 512);
	fill_nops(in, put(in, 512, HEARTH_OP_LUT8, &lut, sizeof(lut)), 768);
	fill_nops(in, 768, 1024);
}

void fuzz_seeds(void (*add)(const void *data, size_t size))
{
	struct input in;

	good_host(&in);
	floats(&in);
	add(&in, sizeof(in));
	good_host(&in);
	paged(&in);
	add(&in, sizeof(in));
	good_host(&in);
	bytes(&in);
	add(&in, sizeof(in));
	good_host(&in);
	fill_nops(&in, 0, 1024);
	in.admin[5] = (struct hearth_hw_admin) {
		.op = HEARTH_ADMIN_TLB_FLUSH, .ctx = 1, .size = 1ull << 39 };
	in.admin[6] = (struct hearth_hw_admin) { .op = HEARTH_ADMIN_QUEUE_DESTROY, .slot = 3 };
	in.admin[7] = (struct hearth_hw_admin) {
		.op = HEARTH_ADMIN_QUEUE_PRIORITY, .slot = 2, .priority = 0 };
	in.admin_insert = 8;
	add(&in, sizeof(in));
}
