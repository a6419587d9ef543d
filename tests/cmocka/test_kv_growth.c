// SPDX-License-Identifier: MIT
/* The KV cache grows as tokens are fed: the same bits, and nothing lost if it cannot. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include <drm/hearth_accel.h>
#include <hw/hearth_cmd.h>

#include "fake_npu.h"
#include "hearth.h"
#include "llm_sample.h"

#define KIB	1024ull
#define MIB	(1024 * KIB)

#define assert_message(TEXT) assert_non_null(strstr(hearth_errmsg(), TEXT))

struct model {
	struct hearth_device *dev;
	struct hearth_llm *llm;
	char path[64];
	int fd;
};

static void make_model(struct model *m, const struct spec *s, const char *device)
{
	HEARTH_OPTS(hearth_device_opts, dev, .threads = 1);
	struct bytes b = { 0 };

	*m = (struct model){ 0 };
	write_model(&b, s);
	snprintf(m->path, sizeof(m->path), "/var/tmp/model-XXXXXX");
	m->fd = mkstemp(m->path);
	assert_int_equal(write(m->fd, b.p, b.n), b.n);
	free(b.p);
	assert_int_equal(hearth_device_open(device, &dev, &m->dev), 0);
}

static struct model open_model(const struct spec *s, const char *device,
			       enum hearth_kv_type type, uint32_t step)
{
	HEARTH_OPTS(hearth_llm_opts, o, .n_batch = 16, .kv_type = type, .kv_step = step);
	struct model m;

	make_model(&m, s, device);
	if (hearth_llm_open(m.path, m.dev, &o, &m.llm))
		fail_msg("%s", hearth_errmsg());
	return m;
}

static void close_model(struct model *m)
{
	hearth_llm_close(m->llm);
	hearth_device_close(m->dev);
	close(m->fd);
	unlink(m->path);
}

static int start(void **state)
{
	fake_npu_reset();
	fake.answer = (struct drm_hearth_admit){ .verdict = DRM_HEARTH_ADMIT_NOW };
	return 0;
}

static int end(void **state)
{
	return fake_npu_leaks();
}

/* With that many positions, and heads of a block of Q8_0 */
static struct spec with_ctx(uint32_t ctx)
{
	struct spec s = good;

	s.ctx = ctx;
	s.heads = s.heads_kv = 1;
	s.rot = s.kv_rows = EMBD;
	return s;
}

/* Bytes of a position in f16: two layers' keys and values */
#define POSITION	(2 * LAYERS * EMBD * 2)

static uint64_t used(const struct model *m)
{
	struct hearth_llm_info i = { .sz = sizeof(i) };

	assert_int_equal(hearth_llm_get_info(m->llm, &i), 0);
	return i.state_used_bytes;
}

static int32_t token(uint32_t i)
{
	return 3 + (int32_t)(i * 37 % 250);
}

static int feed(struct model *m, uint32_t first, uint32_t n, const float **logits)
{
	int32_t *ids = calloc(n, sizeof(*ids));
	int ret;

	for (uint32_t i = 0; i < n; i++)
		ids[i] = token(first + i);
	ret = hearth_llm_eval(m->llm, ids, n, logits);
	free(ids);
	return ret;
}

/* Fed to one on the CPU, and to one whose cache grows by 16: the same logits? */
static void feed_both(struct model m[2], uint32_t first, uint32_t n)
{
	const float *logits[2];

	for (int i = 0; i < 2; i++) {
		if (feed(&m[i], first, n, &logits[i]))
			fail_msg("%s", hearth_errmsg());
	}
	assert_memory_equal(logits[0], logits[1], VOCAB * sizeof(float));
}

static void prefill_both(struct model m[2], const int32_t *ids, size_t n, size_t reused)
{
	const float *logits[2];
	size_t same;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(hearth_llm_prefill(m[i].llm, ids, n, &same, &logits[i]), 0);
		assert_int_equal(same, reused);
	}
	assert_memory_equal(logits[0], logits[1], VOCAB * sizeof(float));
}

static void talk(struct model m[2])
{
	uint64_t step = used(&m[1]);
	int32_t ids[130];

	/* a step is rounded up to 64 bytes for each cache */
	assert_in_range(step, used(&m[0]) / 16, used(&m[0]) / 16 + 2 * LAYERS * 63);
	feed_both(m, 0, 5);
	feed_both(m, 5, 40);		/* over two borders, in several steps */
	assert_int_equal(used(&m[1]), 3 * step);
	for (uint32_t i = 45; i < 70; i++)
		feed_both(m, i, 1);
	for (int i = 0; i < 2; i++)
		assert_int_equal(hearth_llm_shift(m[i].llm, 3, 30), 0);
	feed_both(m, 100, 80);
	for (int i = 0; i < 2; i++)
		assert_int_equal(hearth_llm_rewind(m[i].llm, 60), 0);
	feed_both(m, 200, 7);
	for (uint32_t i = 0; i < 130; i++)
		ids[i] = token(i);
	prefill_both(m, ids, 130, 3);	/* what no shift has touched */
	ids[90]++;
	prefill_both(m, ids, 130, 90);
	feed_both(m, 7, 256 - 130);
	assert_int_equal(used(&m[1]), 16 * step);
	for (int i = 0; i < 2; i++)
		assert_int_equal(feed(&m[i], 0, 1, NULL), -ENOSPC);
	/* what a shorter text leaves is given back when there is time */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(hearth_llm_rewind(m[i].llm, 20), 0);
		assert_int_equal(hearth_llm_idle(m[i].llm), 0);
	}
	assert_int_equal(used(&m[1]), 2 * step);
	feed_both(m, 3, 200);
}

static void growth_changes_no_bit(void **state)
{
	static const enum hearth_kv_type types[] = { HEARTH_KV_F16, HEARTH_KV_F32, HEARTH_KV_Q8_0 };
	struct spec s = with_ctx(256);

	for (int i = 0; i < 6; i++) {
		const char *device = i % 2 ? fake.path : "cpu";
		struct model m[2] = { open_model(&s, "cpu", types[i / 2], 256),
				      open_model(&s, device, types[i / 2], 16) };

		talk(m);
		close_model(&m[0]);
		close_model(&m[1]);
	}
}

/* What was discarded while idle is computed again, in what memory there is. */
static void a_lost_cache_is_filled_again(void **state)
{
	struct spec s = with_ctx(256);
	struct model m[2] = { open_model(&s, "cpu", HEARTH_KV_F16, 256),
			      open_model(&s, fake.path, HEARTH_KV_F16, 16) };

	feed_both(m, 0, 50);
	assert_int_equal(hearth_llm_idle(m[1].llm), 0);
	fake.discard = true;
	feed_both(m, 50, 50);
	close_model(&m[0]);
	close_model(&m[1]);
}

/* @what is to be refused: nothing may have changed then. */
static void check_refused(struct model *m, int error)
{
	uint32_t position = hearth_llm_position(m->llm);
	uint64_t before = used(m);
	int32_t ids[200] = { token(0), token(1) };

	assert_int_equal(feed(m, position, 150, NULL), error);
	assert_message("the KV cache has memory for");
	assert_int_equal(hearth_llm_eval_each(m->llm, ids, 200, NULL, NULL), error);
	assert_int_equal(hearth_llm_prefill(m->llm, ids, 200, NULL, NULL), error);
	assert_int_equal(hearth_llm_position(m->llm), position);
	assert_int_equal(used(m), before);
}

static void the_budget_may_refuse_growth(void **state)
{
	struct spec s = with_ctx(256);
	struct model m[2] = { open_model(&s, "cpu", HEARTH_KV_F16, 256),
			      open_model(&s, fake.path, HEARTH_KV_F16, 16) };
	const float *logits;
	float kept[VOCAB];

	feed_both(m, 0, 20);
	assert_int_equal(feed(&m[1], 20, 1, &logits), 0);
	memcpy(kept, logits, sizeof(kept));
	fake.fail_request = DRM_IOCTL_HEARTH_BO_RESIZE;
	fake.fail_errno = EDQUOT;
	check_refused(&m[1], -EDQUOT);
	assert_message("for 32 of 256 positions");
	assert_message("for 200");
	assert_memory_equal(logits, kept, sizeof(kept));
	assert_int_equal(feed(&m[0], 20, 1, NULL), 0);
	/* there is room for eleven more */
	feed_both(m, 21, 11);
	assert_int_equal(feed(&m[1], 32, 1, NULL), -EDQUOT);
	fake.fail_request = 0;
	feed_both(m, 32, 150);
	close_model(&m[0]);
	close_model(&m[1]);
}

static uint64_t data_bytes(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long kib = 0;
	char line[256];

	assert_non_null(f);
	while (!kib && fgets(line, sizeof(line), f))
		sscanf(line, "VmData: %llu kB", &kib);
	fclose(f);
	return kib * KIB;
}

static void the_system_may_refuse_growth(void **state)
{
	struct spec s = with_ctx(8192);
	struct model m[2] = { open_model(&s, "cpu", HEARTH_KV_F16, 8192),
			      open_model(&s, "cpu", HEARTH_KV_F16, 128) };
	struct rlimit old, tight;

	feed_both(m, 0, 60);
	assert_int_equal(getrlimit(RLIMIT_DATA, &old), 0);
	tight = old;
	tight.rlim_cur = data_bytes() + 16 * KIB;	/* a step is 32 KiB */
	assert_int_equal(setrlimit(RLIMIT_DATA, &tight), 0);
	check_refused(&m[1], -ENOMEM);
	assert_int_equal(feed(&m[1], 60, 60, NULL), 0);
	assert_int_equal(setrlimit(RLIMIT_DATA, &old), 0);
	assert_int_equal(feed(&m[0], 60, 60, NULL), 0);
	feed_both(m, 120, 100);
	close_model(&m[0]);
	close_model(&m[1]);
}

/* The process is charged with what the cache has memory for. */
static void the_cpu_counts_what_is_used(void **state)
{
	struct spec s = with_ctx(8192);
	struct model m = open_model(&s, "cpu", HEARTH_KV_F16, 1024);
	uint64_t first;

	/* then it has all else that it needs */
	assert_int_equal(feed(&m, 0, 1024, NULL), 0);
	assert_int_equal(used(&m), 1024 * POSITION);
	first = data_bytes();
	assert_int_equal(feed(&m, 1024, 1, NULL), 0);
	assert_in_range(data_bytes(), first + 256 * KIB, first + 512 * KIB);
	assert_int_equal(hearth_llm_rewind(m.llm, 10), 0);
	assert_int_equal(hearth_llm_idle(m.llm), 0);
	assert_in_range(data_bytes(), first, first + 128 * KIB);
	close_model(&m);
}

/* On the CPU as on the NPU what there is no memory for is a fault, not a crash. */
static void a_run_beyond_the_memory_faults(void **state)
{
	struct spec s = with_ctx(256);
	struct model m = open_model(&s, "cpu", HEARTH_KV_F16, 16);

	assert_int_equal(feed(&m, 0, 60, NULL), 0);
	assert_int_equal(hearth_program_resize_state(hearth_llm_program(m.llm), 257), -EINVAL);
	assert_int_equal(hearth_program_resize_state(hearth_llm_program(m.llm), 16), 0);
	assert_int_equal(feed(&m, 60, 1, NULL), -EFAULT);
	assert_message("kv_write_paged");
	close_model(&m);
}

static void a_step_is_chosen(void **state)
{
	struct hearth_llm_info i = { .sz = sizeof(i) };
	struct hearth_demand d = { .sz = sizeof(d) };
	struct spec s = with_ctx(65536);
	HEARTH_OPTS(hearth_llm_opts, o, .n_ctx = 65536, .n_batch = 1);
	struct model m;

	make_model(&m, &s, fake.path);
	assert_int_equal(hearth_llm_demand(m.path, m.dev, &o, &d, NULL), 0);
	assert_int_equal(d.state_bytes, 65536 * POSITION);
	assert_int_equal(d.state_first_bytes, 2 * MIB);
	assert_int_equal(hearth_llm_open(m.path, m.dev, &o, &m.llm), 0);
	assert_int_equal(fake.asked.demand.state_bytes, 2 * MIB);
	assert_int_equal(hearth_llm_get_info(m.llm, &i), 0);
	assert_int_equal(i.kv_step, 2 * MIB / POSITION);
	assert_int_equal(i.state_bytes, 65536 * POSITION);
	assert_int_equal(i.state_used_bytes, 2 * MIB);
	assert_int_equal(fake.size, 2 * MIB);
	hearth_llm_close(m.llm);
	/* all of it is less than two steps */
	o.n_ctx = 8192;
	assert_int_equal(hearth_llm_open(m.path, m.dev, &o, &m.llm), 0);
	assert_int_equal(hearth_llm_get_info(m.llm, &i), 0);
	assert_int_equal(i.kv_step, 0);
	assert_int_equal(i.state_used_bytes, 8192 * POSITION);
	close_model(&m);
}

/* A device of an older contract gets all of it at once, in one piece. */
static void a_device_without_the_ops_has_it_whole(void **state)
{
	struct hearth_llm_info i = { .sz = sizeof(i) };
	struct spec s = with_ctx(256);
	struct model m;

	fake.ops &= ~(1ull << HEARTH_OP_KV_SHIFT_PAGED);
	m = open_model(&s, fake.path, HEARTH_KV_F16, 16);
	assert_int_equal(hearth_llm_get_info(m.llm, &i), 0);
	assert_int_equal(i.kv_step, 0);
	assert_int_equal(i.state_used_bytes, i.state_bytes);
	assert_int_equal(feed(&m, 0, 256, NULL), 0);
	close_model(&m);
}

static void a_bad_step_is_refused(void **state)
{
	static const uint32_t steps[] = { 1, 8, 24, 32, 100 };
	struct spec s = with_ctx(4096);
	struct model m;

	make_model(&m, &s, "cpu");
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		HEARTH_OPTS(hearth_llm_opts, o, .kv_step = steps[i]);

		assert_int_equal(hearth_llm_open(m.path, m.dev, &o, &m.llm), -EINVAL);
		assert_message("kv_step");
	}
	m.llm = NULL;
	close_model(&m);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(growth_changes_no_bit),
		TEST(a_lost_cache_is_filled_again),
		TEST(the_budget_may_refuse_growth),
		TEST(the_system_may_refuse_growth),
		TEST(the_cpu_counts_what_is_used),
		TEST(a_run_beyond_the_memory_faults),
		TEST(a_step_is_chosen),
		TEST(a_device_without_the_ops_has_it_whole),
		TEST(a_bad_step_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
