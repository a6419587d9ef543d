// SPDX-License-Identifier: MIT
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "kernel_space.h"

#define PAGE	4096

static const struct ks_buffer *find(const struct kspace *ks, uint64_t va, uint64_t bytes)
{
	for (unsigned int i = 0; i < ks->buffers; i++) {
		const struct ks_buffer *b = &ks->buffer[i];

		if (va >= b->va && va - b->va <= b->bytes && bytes <= b->bytes - (va - b->va))
			return b;
	}
	return NULL;
}

static int space_map(struct hk_space *space, struct hk_map *m, struct hk_fault *fault)
{
	struct kspace *ks = (struct kspace *)space;
	const struct ks_buffer *b = find(ks, m->va, m->bytes);
	bool fail = ks->fail_map && --ks->fail_map == 0;

	assert_true(m->bytes > 0);
	if (ks->on_map)
		ks->on_map(ks, m);
	if (!b || fail || (b->read_only && m->access & HK_WRITE)) {
		fault->error = m->access & HK_WRITE ? HEARTH_HW_ERR_WRITE :
						      HEARTH_HW_ERR_READ;
		fault->addr = m->va;
		return -EFAULT;
	}
	m->ptr = b->ptr + (m->va - b->va);
	m->priv = (void *)(uintptr_t)++ks->live_maps;
	ks->maps++;
	ks->bytes_mapped += m->bytes;
	if (m->bytes > ks->largest_map)
		ks->largest_map = m->bytes;
	if (ks->live_maps > ks->most_maps)
		ks->most_maps = ks->live_maps;
	return 0;
}

static int space_unmap(struct hk_space *space, struct hk_map *m, struct hk_fault *fault)
{
	struct kspace *ks = (struct kspace *)space;

	/* In the reverse order. */
	assert_int_equal((uintptr_t)m->priv, ks->live_maps);
	ks->live_maps--;
	if (!ks->fail_unmap)
		return 0;
	fault->error = HEARTH_HW_ERR_BUS;
	fault->addr = m->va;
	return -EFAULT;
}

static const struct hk_space_ops space_ops = {
	.map = space_map,
	.unmap = space_unmap,
};

void ks_init(struct kspace *ks)
{
	memset(ks, 0, sizeof(*ks));
	ks->space.ops = &space_ops;
}

void ks_fini(struct kspace *ks)
{
	assert_int_equal(ks->live_maps, 0);
	for (unsigned int i = 0; i < ks->buffers; i++)
		munmap(ks->buffer[i].pages, ks->buffer[i].pages_bytes);
	ks->buffers = 0;
}

void *ks_alloc(struct kspace *ks, size_t bytes)
{
	struct ks_buffer *b = &ks->buffer[ks->buffers];
	size_t room = (bytes + PAGE - 1) / PAGE * PAGE;
	/* Operands of 4-byte elements: the gap to the guard is below 4 bytes. */
	size_t used = (bytes + 3) / 4 * 4;

	assert_true(ks->buffers < KS_MAX_BUFFERS);
	b->pages_bytes = room + PAGE;
	b->pages = mmap(NULL, b->pages_bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(b->pages, MAP_FAILED);
	assert_int_equal(mprotect((uint8_t *)b->pages + room, PAGE, PROT_NONE), 0);
	b->ptr = (uint8_t *)b->pages + room - used;
	b->bytes = bytes;
	b->va = ((uint64_t)++ks->buffers << 32) | ((uintptr_t)b->ptr & (PAGE - 1));
	return b->ptr;
}

static struct ks_buffer *owner(const struct kspace *ks, const void *ptr)
{
	for (unsigned int i = 0; i < ks->buffers; i++) {
		const struct ks_buffer *b = &ks->buffer[i];

		if ((const uint8_t *)ptr >= b->ptr && (const uint8_t *)ptr <= b->ptr + b->bytes)
			return (struct ks_buffer *)b;
	}
	fail_msg("pointer into no buffer");
	return NULL;
}

void ks_read_only(struct kspace *ks, const void *ptr)
{
	owner(ks, ptr)->read_only = true;
}

uint64_t ks_va(const struct kspace *ks, const void *ptr)
{
	const struct ks_buffer *b = owner(ks, ptr);

	return b->va + (uint64_t)((const uint8_t *)ptr - b->ptr);
}

void ks_run(struct kspace *ks, struct hk_exec *ex, const void *cmd)
{
	const struct hearth_cmd_header *hdr = cmd;
	struct hk_fault fault = { 0 };
	int ret = hk_exec_one(ex, &ks->space, hdr, hdr->bytes, &fault);

	if (ret < 0)
		fail_msg("%s: error %d, fault %u at %s, address %llx", hk_op_name(hdr->op),
			 ret, fault.error, fault.field ? fault.field : "-",
			 (unsigned long long)fault.addr);
	assert_int_equal(ret, hdr->bytes);
	assert_int_equal(ks->live_maps, 0);
}

void ks_fail(struct kspace *ks, struct hk_exec *ex, const void *cmd, int err,
	     uint32_t error, const char *field)
{
	const struct hearth_cmd_header *hdr = cmd;
	struct hk_fault fault = { 0 };
	size_t avail = hdr->bytes < sizeof(*hdr) ? sizeof(*hdr) : hdr->bytes;

	avail = avail < HEARTH_CMD_MAX_BYTES ? avail : HEARTH_CMD_MAX_BYTES;
	assert_int_equal(hk_exec_one(ex, &ks->space, hdr, avail, &fault), err);
	assert_int_equal(fault.error, error);
	assert_int_equal(fault.opcode, hdr->op);
	if (field) {
		assert_non_null(fault.field);
		assert_string_equal(fault.field, field);
	}
	assert_int_equal(ks->live_maps, 0);
}

uint32_t ks_u32(struct ks_rng *rng)
{
	/* splitmix64 */
	uint64_t z = rng->s += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return (uint32_t)((z ^ (z >> 31)) >> 32);
}

float ks_unit(struct ks_rng *rng)
{
	return (float)(int32_t)ks_u32(rng) * 0x1p-31f;
}

float ks_odd(struct ks_rng *rng)
{
	static const uint32_t special[] = {
		0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001,
		0x7f800001, 0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff, 0xff7fffff,
		0x0d7fffff, 0x0d800000, 0x3f800000, 0xbf800000, 0x42b17218, 0xc2d00000,
	};
	uint32_t r = ks_u32(rng);

	if (r % 4 == 0)
		return ks_float(special[(r >> 8) % (sizeof(special) / sizeof(special[0]))]);
	if (r % 4 == 1)
		return ks_float(ks_u32(rng));
	return ks_unit(rng);
}
