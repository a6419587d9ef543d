// SPDX-License-Identifier: MIT
/* The KV cache: its types, and what is left of it after a shift. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_npu.h"
#include "hearth.h"
#include "llm_sample.h"

/* One layer: its keys and values depend on nothing but token and position. */
static struct spec shallow(void)
{
	struct spec s = good;

	s.layers = 1;
	return s;
}

/* Heads of whole blocks of Q8_0 */
static struct spec wide(void)
{
	struct spec s = good;

	s.heads = s.heads_kv = 1;
	s.rot = EMBD;
	s.kv_rows = EMBD;
	return s;
}

struct model {
	struct hearth_device *dev;
	struct hearth_llm *llm;
	int fd;
};

static int try_open(struct model *m, const struct spec *s, const char *device, const char *isa,
		    enum hearth_kv_type type)
{
	HEARTH_OPTS(hearth_device_opts, dev, .isa = isa);
	HEARTH_OPTS(hearth_llm_opts, llm, .n_batch = 8, .kv_type = type);
	struct bytes b = { 0 };
	char path[64];

	*m = (struct model){ 0 };
	write_model(&b, s);
	m->fd = memfd_create("model", MFD_CLOEXEC);
	assert_int_equal(write(m->fd, b.p, b.n), b.n);
	free(b.p);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", m->fd);
	assert_int_equal(hearth_device_open(device, &dev, &m->dev), 0);
	return hearth_llm_open(path, m->dev, &llm, &m->llm);
}

static struct model open_model(const struct spec *s, enum hearth_kv_type type)
{
	struct model m;

	assert_int_equal(try_open(&m, s, "cpu", NULL, type), 0);
	return m;
}

static void close_model(struct model *m)
{
	hearth_llm_close(m->llm);
	hearth_device_close(m->dev);
	close(m->fd);
}

static void feed(struct model *m, const int32_t *ids, size_t n, float *logits)
{
	const float *l;

	if (hearth_llm_eval(m->llm, ids, n, &l))
		fail_msg("%s", hearth_errmsg());
	if (logits)
		memcpy(logits, l, VOCAB * sizeof(*l));
}

static const int32_t text[20] = { 1, 40, 50, 60, 70, 80, 90, 100, 110, 120,
				  41, 51, 61, 71, 81, 91, 101, 111, 121, 131 };

static double distance(const float *a, const float *b)
{
	double worst = 0;

	for (int i = 0; i < VOCAB; i++) {
		double d = fabs((double)a[i] - b[i]);

		/* Not fmax(): GCC 12 for arm64 fails on it, in VOCAB's multiple of eight. */
		if (d > worst)
			worst = d;
	}
	return worst;
}

static void kv_types_are_near_each_other(void **state)
{
	static const struct {
		enum hearth_kv_type type;
		const char *name;
		unsigned int bytes;	/* of 32 values */
		double near;
	} types[] = {
		{ HEARTH_KV_F32, "f32", 128, 0 }, { HEARTH_KV_F16, "f16", 64, 2e-3 },
		{ HEARTH_KV_Q8_0, "q8_0", 34, 3e-2 }, { HEARTH_KV_DEFAULT, "f16", 64, 2e-3 },
	};
	float want[VOCAB], got[VOCAB];
	struct spec s = wide();

	for (unsigned int i = 0; i < 4; i++) {
		struct hearth_llm_info info = { .sz = sizeof(info) };
		struct model m = open_model(&s, types[i].type);

		assert_int_equal(hearth_llm_get_info(m.llm, &info), 0);
		assert_string_equal(info.kv_type, types[i].name);
		assert_int_equal(info.state_bytes, 2 * LAYERS * CTX * types[i].bytes);
		assert_int_equal(info.head_dim, EMBD);
		feed(&m, text, 20, i ? got : want);
		if (i)
			assert_in_range(1e6 * distance(got, want), 1, 1e6 * types[i].near);
		close_model(&m);
	}
}

/* All of the file's tensors, once: those that hold several, and a tied output. */
static void weights_are_used_where_they_lie(void **state)
{
	for (unsigned int i = 0; i < sizeof(families) / sizeof(*families); i++) {
		struct hearth_llm_info info = { .sz = sizeof(info) };
		struct hearth_program_info p = { .sz = sizeof(p) };
		struct model m = open_model(&families[i], HEARTH_KV_F16);
		struct bytes b = { 0 };

		assert_int_equal(hearth_llm_get_info(m.llm, &info), 0);
		assert_int_equal(info.weights_bytes, write_head(&b, &families[i]));
		/* a row for one row, and a number that embeddings are scaled by */
		assert_int_equal(hearth_program_get_info(hearth_llm_program(m.llm), &p), 0);
		assert_in_range(p.constant_bytes, 4, 8);
		free(b.p);
		close_model(&m);
	}
}

static void kv_types_that_cannot_be_are_refused(void **state)
{
	struct model m;

	assert_int_equal(try_open(&m, &good, "cpu", NULL, HEARTH_KV_Q8_0), -EINVAL);
	assert_non_null(strstr(hearth_errmsg(), "heads of the model have 8 elements"));
	close_model(&m);
	assert_int_equal(try_open(&m, &good, "cpu", NULL, 7), -EINVAL);
	assert_non_null(strstr(hearth_errmsg(), "kv_type is 7: 0 to 3"));
	close_model(&m);
}

/* What is left has the logits of a context that never had more, but for roundings. */
static void a_shift_is_a_shorter_context(void **state)
{
	static const struct {
		uint32_t keep, drop;
	} shifts[] = { { 0, 1 }, { 4, 7 }, { 1, 18 }, { 0, 19 }, { 7, 6 } };
	struct spec s = shallow();

	for (unsigned int i = 0; i < sizeof(shifts) / sizeof(*shifts); i++) {
		uint32_t keep = shifts[i].keep, drop = shifts[i].drop, left = 20 - drop;
		struct model a = open_model(&s, HEARTH_KV_F32), b = open_model(&s, HEARTH_KV_F32);
		float got[VOCAB], want[VOCAB];

		feed(&a, text, 20, NULL);
		assert_int_equal(hearth_llm_shift(a.llm, keep, drop), 0);
		assert_int_equal(hearth_llm_position(a.llm), left);
		feed(&a, text, 1, got);
		if (keep)
			feed(&b, text, keep, NULL);
		feed(&b, text + keep + drop, left - keep, NULL);
		feed(&b, text, 1, want);
		assert_true(distance(got, want) < 1e-5);
		close_model(&a);
		close_model(&b);
	}
}

/* Again and again, for keys that were turned before to be turned again. */
static void shifts_add_up(void **state)
{
	struct spec s = shallow();
	struct model a = open_model(&s, HEARTH_KV_F32), b = open_model(&s, HEARTH_KV_F32);
	float got[VOCAB], want[VOCAB];

	feed(&a, text, 2, NULL);
	for (int i = 0; i < 100; i++) {
		feed(&a, text + 2 + i % 18, 1, NULL);
		if (hearth_llm_position(a.llm) == 8)
			assert_int_equal(hearth_llm_shift(a.llm, 2, 3), 0);
	}
	/* 2 kept, and of the others the last ones */
	feed(&b, text, 2, NULL);
	for (int i = 100 - ((int)hearth_llm_position(a.llm) - 2); i < 100; i++)
		feed(&b, text + 2 + i % 18, 1, NULL);
	assert_int_equal(hearth_llm_position(a.llm), hearth_llm_position(b.llm));
	feed(&a, text, 1, got);
	feed(&b, text, 1, want);
	assert_true(distance(got, want) < 1e-4);
	close_model(&a);
	close_model(&b);
}

/* The bits of a stream that shifts, on a device */
static void shifting_stream(const struct spec *s, const char *device, const char *isa,
			    enum hearth_kv_type type, float *logits)
{
	struct model m;

	assert_int_equal(try_open(&m, s, device, isa, type), 0);
	feed(&m, text, 20, NULL);
	for (int i = 0; i < 40; i++) {
		if (hearth_llm_position(m.llm) == CTX)
			assert_int_equal(hearth_llm_shift(m.llm, 4, 14), 0);
		feed(&m, text + i % 20, 1, logits);
	}
	close_model(&m);
}

/* Each family, and each type of cache */
static void shifts_have_the_same_bits_everywhere(void **state)
{
	static const enum hearth_kv_type types[] = { HEARTH_KV_F32, HEARTH_KV_F16, HEARTH_KV_Q8_0 };

	for (unsigned int i = 0; i < 3 * sizeof(families) / sizeof(*families); i++) {
		float plain[VOCAB], best[VOCAB], npu[VOCAB], lesser[VOCAB];
		const struct spec *s = &families[i / 3];
		enum hearth_kv_type type = types[i % 3];

		fake_npu_reset();
		shifting_stream(s, "cpu", "plain", type, plain);
		shifting_stream(s, "cpu", NULL, type, best);
		shifting_stream(s, fake.path, NULL, type, npu);
		/* the prompt in three steps, and two shifts */
		assert_int_equal(fake.submits, 3 + 40 + 2);
		/* an NPU of contract 1.0 */
		fake_npu_reset();
		fake.ops &= (1ull << 42) - 1;
		shifting_stream(s, fake.path, NULL, type, lesser);
		for (int k = 0; k < VOCAB; k++)
			assert_true(isfinite(plain[k]));
		assert_memory_equal(plain, best, sizeof(plain));
		assert_memory_equal(plain, npu, sizeof(plain));
		assert_memory_equal(plain, lesser, sizeof(plain));
		assert_int_equal(fake_npu_leaks(), 0);
	}
}

/* What a shift touched is not what a prompt would give: it is fed again. */
static void a_prompt_reuses_nothing_that_was_shifted(void **state)
{
	struct model a = open_model(&good, HEARTH_KV_F32), b = open_model(&good, HEARTH_KV_F32);
	float got[VOCAB], want[VOCAB];
	int32_t ids[14];
	const float *logits;
	size_t reused;

	feed(&a, text, 20, NULL);
	assert_int_equal(hearth_llm_shift(a.llm, 4, 6), 0);
	memcpy(ids, text, 4 * sizeof(*ids));
	memcpy(ids + 4, text + 10, 10 * sizeof(*ids));
	assert_int_equal(hearth_llm_prefill(a.llm, ids, 14, &reused, &logits), 0);
	assert_int_equal(reused, 4);
	memcpy(got, logits, sizeof(got));
	feed(&b, ids, 14, want);
	assert_memory_equal(got, want, sizeof(got));
	/* and what was fed since counts again */
	assert_int_equal(hearth_llm_prefill(a.llm, ids, 14, &reused, NULL), 0);
	assert_int_equal(reused, 14);
	close_model(&a);
	close_model(&b);
}

static void shifts_are_checked(void **state)
{
	struct model m = open_model(&good, HEARTH_KV_F16);
	float before[VOCAB], after[VOCAB];

	assert_int_equal(hearth_llm_shift(m.llm, 0, 1), -EINVAL);
	feed(&m, text, 10, NULL);
	assert_int_equal(hearth_llm_shift(m.llm, 5, 6), -EINVAL);
	assert_non_null(strstr(hearth_errmsg(), "5 tokens to keep and 6 to drop, only 10"));
	assert_int_equal(hearth_llm_shift(m.llm, 11, 0), -EINVAL);
	assert_int_equal(hearth_llm_shift(m.llm, UINT32_MAX, UINT32_MAX), -EINVAL);
	assert_int_equal(hearth_llm_position(m.llm), 10);
	/* nothing to move: a rewind */
	assert_int_equal(hearth_llm_shift(m.llm, 10, 0), 0);
	assert_int_equal(hearth_llm_shift(m.llm, 6, 4), 0);
	assert_int_equal(hearth_llm_position(m.llm), 6);
	feed(&m, text + 6, 1, before);
	assert_int_equal(hearth_llm_rewind(m.llm, 6), 0);
	assert_int_equal(hearth_llm_shift(m.llm, 2, 0), 0);
	feed(&m, text + 6, 1, after);
	assert_memory_equal(before, after, sizeof(before));
	close_model(&m);
}

static int count(const struct hearth_llm_token *t, void *arg)
{
	++*(int *)arg;
	return 0;
}

static void generate_goes_on_in_a_full_context(void **state)
{
	HEARTH_OPTS(hearth_generate_opts, o, .max_tokens = 100, .ignore_eos = true);
	struct model m = open_model(&good, HEARTH_KV_F16);
	int n = 0;

	feed(&m, text, 4, NULL);
	assert_int_equal(hearth_llm_generate(m.llm, &o, count, &n), 0);
	assert_int_equal(n, CTX - 4 + 1);
	assert_int_equal(hearth_llm_position(m.llm), CTX);
	o.shift = true;
	o.n_keep = 4;
	n = 0;
	assert_int_equal(hearth_llm_generate(m.llm, &o, count, &n), 0);
	assert_int_equal(n, 100);
	assert_in_range(hearth_llm_position(m.llm), 5, CTX);
	o.max_tokens = 0;
	assert_int_equal(hearth_llm_generate(m.llm, &o, count, &n), -EINVAL);
	assert_non_null(strstr(hearth_errmsg(), "would never end"));
	o.max_tokens = 1;
	o.n_keep = CTX - 1;
	assert_int_equal(hearth_llm_generate(m.llm, &o, count, &n), -EINVAL);
	assert_non_null(strstr(hearth_errmsg(), "n_keep is 31: a context of 32 keeps 30 at most"));
	close_model(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kv_types_are_near_each_other),
		cmocka_unit_test(weights_are_used_where_they_lie),
		cmocka_unit_test(kv_types_that_cannot_be_are_refused),
		cmocka_unit_test(a_shift_is_a_shorter_context),
		cmocka_unit_test(shifts_add_up),
		cmocka_unit_test(shifts_have_the_same_bits_everywhere),
		cmocka_unit_test(a_prompt_reuses_nothing_that_was_shifted),
		cmocka_unit_test(shifts_are_checked),
		cmocka_unit_test(generate_goes_on_in_a_full_context),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
