// SPDX-License-Identifier: MIT
/* Sampling, and a whole model that the test itself makes. */
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

#include "base/err.h"
#include "count_allocations.h"
#include "fake_npu.h"
#include "hearth.h"
#include "llm_sample.h"
#include "llm/sample.h"

/* ---- sampling ---- */

static int32_t sample(const float *logits, uint32_t n,
		      struct hearth_generate_opts opts, unsigned int skip)
{
	struct llm_sampler *s = llm_sampler_create(n);
	int32_t id;

	llm_sampler_start(s, &opts);
	do
		id = llm_sampler_next(s, logits);
	while (skip--);
	llm_sampler_destroy(s);
	return id;
}

static void sample_greedy_takes_the_first_largest(void **state)
{
	const float ties[] = { 1, 5, 5, 2 }, nans[] = { NAN, -3, NAN, -2, NAN };
	const float hopeless[] = { NAN, NAN };
	struct hearth_generate_opts o = { 0 };

	assert_int_equal(sample(ties, 4, o, 0), 1);
	assert_int_equal(sample(nans, 5, o, 0), 3);
	o.temperature = 1;
	assert_int_equal(sample(hopeless, 2, o, 0), 0);
}

static void sample_follows_the_probabilities(void **state)
{
	/* e^0 : e^1 : e^2, of 20,000 draws */
	const float logits[] = { 0, 1, 2 };
	struct hearth_generate_opts o = { .temperature = 1, .seed = 42 };
	struct llm_sampler *s = llm_sampler_create(3);
	unsigned int count[3] = { 0 };
	const double want[] = { 0.0900, 0.2447, 0.6652 };

	llm_sampler_start(s, &o);
	for (int i = 0; i < 20000; i++)
		count[llm_sampler_next(s, logits)]++;
	for (int i = 0; i < 3; i++)
		assert_true(fabs(count[i] / 20000.0 - want[i]) < 0.015);
	llm_sampler_destroy(s);
}

static void sample_cuts_keep_what_they_say(void **state)
{
	const float logits[] = { 0, 1, 2, 3 };
	struct hearth_generate_opts k = { .temperature = 1, .top_k = 2 };
	struct hearth_generate_opts p = { .temperature = 1, .top_p = 0.6f };
	struct hearth_generate_opts m = { .temperature = 1, .min_p = 0.3f };

	for (unsigned int i = 0; i < 200; i++) {
		assert_true(sample(logits, 4, k, i) >= 2);
		assert_int_equal(sample(logits, 4, p, i), 3);
		assert_true(sample(logits, 4, m, i) >= 2);
	}
}

static void sample_same_seed_same_draws(void **state)
{
	float logits[100];
	struct hearth_generate_opts o = { .temperature = 2, .seed = 1 };
	bool differs = false;

	for (int i = 0; i < 100; i++)
		logits[i] = i % 7;
	for (unsigned int i = 0; i < 20; i++) {
		int32_t a = sample(logits, 100, o, i);

		assert_int_equal(a, sample(logits, 100, o, i));
		o.seed = 2;
		differs |= a != sample(logits, 100, o, i);
		o.seed = 1;
	}
	assert_true(differs);
}

/* ---- a model ---- */

struct fixture {
	struct hearth_device *dev;
	struct hearth_llm *llm;
	char path[64];
	int fd;
};

static struct fixture f;

static void make_file(const struct spec *s)
{
	struct bytes b = { 0 };

	write_model(&b, s);
	f.fd = memfd_create("model", MFD_CLOEXEC);
	assert_int_equal(write(f.fd, b.p, b.n), b.n);
	snprintf(f.path, sizeof(f.path), "/proc/self/fd/%d", f.fd);
	free(b.p);
}

static int open_model(void **state)
{
	HEARTH_OPTS(hearth_llm_opts, opts, .n_batch = 4);

	make_file(&good);
	return hearth_device_open("cpu", NULL, &f.dev) ||
	       hearth_llm_open(f.path, f.dev, &opts, &f.llm);
}

static int close_model(void **state)
{
	hearth_llm_close(f.llm);
	hearth_device_close(f.dev);
	close(f.fd);
	return 0;
}

static void model_tells_what_it_is(void **state)
{
	struct hearth_llm_info i = { .sz = sizeof(i) };

	assert_int_equal(hearth_llm_get_info(f.llm, &i), 0);
	assert_int_equal(i.n_vocab, VOCAB);
	assert_int_equal(i.n_ctx, CTX);
	assert_int_equal(i.bos, 1);
	/* two caches per layer, 2 heads of 8 half floats at 32 positions */
	assert_int_equal(i.state_bytes, 2 * LAYERS * 2 * 8 * 2 * CTX);
}

static void model_bits_do_not_depend_on_batching(void **state)
{
	const int32_t ids[11] = { 1, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130 };
	float one[VOCAB];
	const float *logits;

	for (int i = 0; i < 11; i++)
		assert_int_equal(hearth_llm_eval(f.llm, &ids[i], 1, &logits), 0);
	memcpy(one, logits, sizeof(one));
	for (int first = 1; first < 11; first++) {
		assert_int_equal(hearth_llm_rewind(f.llm, 0), 0);
		assert_int_equal(hearth_llm_eval(f.llm, ids, first, NULL), 0);
		assert_int_equal(hearth_llm_eval(f.llm, ids + first, 11 - first,
						 &logits), 0);
		assert_memory_equal(logits, one, sizeof(one));
	}
	assert_int_equal(hearth_llm_position(f.llm), 11);
}

/* Turns of a chat: what they share is not computed again, and no bit tells. */
static void model_reuses_what_it_was_fed(void **state)
{
	const int32_t first[6] = { 1, 40, 50, 60, 70, 80 };
	const int32_t next[9] = { 1, 40, 50, 60, 71, 81, 91, 101, 111 };
	float want[VOCAB];
	const float *logits;
	size_t reused;

	assert_int_equal(hearth_llm_eval(f.llm, next, 9, &logits), 0);
	memcpy(want, logits, sizeof(want));
	assert_int_equal(hearth_llm_rewind(f.llm, 0), 0);
	assert_int_equal(hearth_llm_prefill(f.llm, first, 6, &reused, NULL), 0);
	assert_int_equal(reused, 0);
	assert_int_equal(hearth_llm_prefill(f.llm, next, 9, &reused, &logits), 0);
	assert_int_equal(reused, 4);
	assert_int_equal(hearth_llm_position(f.llm), 9);
	assert_memory_equal(logits, want, sizeof(want));
	/* all of it: nothing is computed, unless the logits are gone */
	assert_int_equal(hearth_llm_prefill(f.llm, next, 9, &reused, &logits), 0);
	assert_int_equal(reused, 9);
	assert_memory_equal(logits, want, sizeof(want));
	assert_int_equal(hearth_llm_eval(f.llm, first, 1, NULL), 0);
	assert_int_equal(hearth_llm_prefill(f.llm, next, 9, &reused, &logits), 0);
	assert_int_equal(reused, 8);
	assert_memory_equal(logits, want, sizeof(want));
	assert_int_equal(hearth_llm_prefill(f.llm, next, 3, &reused, NULL), 0);
	assert_int_equal(reused, 2);
	assert_int_equal(hearth_llm_position(f.llm), 3);
}

static void model_prefill_refuses(void **state)
{
	int32_t ids[CTX + 1] = { 1, 40, 50 }, bad[3] = { 1, 40, VOCAB };
	size_t reused;

	assert_int_equal(hearth_llm_prefill(f.llm, ids, 0, NULL, NULL), -EINVAL);
	assert_int_equal(hearth_llm_prefill(f.llm, ids, CTX + 1, NULL, NULL), -ENOSPC);
	assert_non_null(strstr(hearth_errmsg(), "33 tokens exceed the context of 32"));
	assert_int_equal(hearth_llm_prefill(f.llm, ids, 3, NULL, NULL), 0);
	/* what is common stays; generate has nothing to go on with */
	assert_int_equal(hearth_llm_prefill(f.llm, bad, 3, &reused, NULL), -EINVAL);
	assert_int_equal(reused, 2);
	assert_int_equal(hearth_llm_position(f.llm), 2);
	assert_int_equal(hearth_llm_generate(f.llm, NULL, NULL, NULL), -EINVAL);
	assert_int_equal(hearth_llm_prefill(f.llm, ids, 3, &reused, NULL), 0);
	assert_int_equal(reused, 2);
}

static void model_context_is_a_limit(void **state)
{
	int32_t ids[CTX + 1];

	for (int i = 0; i <= CTX; i++)
		ids[i] = i;
	assert_int_equal(hearth_llm_eval(f.llm, ids, CTX + 1, NULL), -ENOSPC);
	assert_non_null(strstr(hearth_errmsg(), "context of 32"));
	assert_int_equal(hearth_llm_position(f.llm), 0);
	assert_int_equal(hearth_llm_eval(f.llm, ids, CTX, NULL), 0);
	assert_int_equal(hearth_llm_eval(f.llm, ids, 1, NULL), -ENOSPC);
	assert_int_equal(hearth_llm_rewind(f.llm, CTX + 1), -EINVAL);
	assert_int_equal(hearth_llm_rewind(f.llm, CTX - 1), 0);
	assert_int_equal(hearth_llm_eval(f.llm, ids, 1, NULL), 0);
}

static void model_refuses_a_token_outside_of_the_vocabulary(void **state)
{
	int32_t id = VOCAB;

	assert_int_equal(hearth_llm_eval(f.llm, &id, 1, NULL), -EINVAL);
	assert_non_null(strstr(hearth_errmsg(), "get_rows"));
	assert_int_equal(hearth_llm_eval(f.llm, &id, 0, NULL), -EINVAL);
}

static int count_tokens(const struct hearth_llm_token *t, void *arg)
{
	int *n = arg;

	return ++*n == 100 ? 7 : 0;
}

static void model_generate_stops_where_it_should(void **state)
{
	HEARTH_OPTS(hearth_generate_opts, opts, .max_tokens = 5, .ignore_eos = true);
	int32_t id = 1;
	int n = 0;

	assert_int_equal(hearth_llm_generate(f.llm, &opts, count_tokens, &n), -EINVAL);
	assert_int_equal(hearth_llm_eval(f.llm, &id, 1, NULL), 0);
	assert_int_equal(hearth_llm_generate(f.llm, &opts, count_tokens, &n), 0);
	assert_int_equal(n, 5);
	/* the last one was not fed */
	assert_int_equal(hearth_llm_position(f.llm), 5);
	opts.max_tokens = 0;
	assert_int_equal(hearth_llm_generate(f.llm, &opts, count_tokens, &n), 0);
	assert_int_equal(hearth_llm_position(f.llm), CTX);
	hearth_llm_rewind(f.llm, 1);
	assert_int_equal(hearth_llm_eval(f.llm, &id, 1, NULL), 0);
	n = 99;
	assert_int_equal(hearth_llm_generate(f.llm, &opts, count_tokens, &n), 7);
}

static int last_end(const struct hearth_llm_token *t, void *arg)
{
	*(enum hearth_llm_end *)arg = t->end;
	return 0;
}

static void model_generate_tells_why_it_ends(void **state)
{
	HEARTH_OPTS(hearth_generate_opts, opts, .max_tokens = 5, .ignore_eos = true);
	static const char *const none[] = { "" };
	enum hearth_llm_end end = HEARTH_LLM_GOES_ON;
	int32_t id = 1;

	assert_int_equal(hearth_llm_eval(f.llm, &id, 1, NULL), 0);
	assert_int_equal(hearth_llm_generate(f.llm, &opts, last_end, &end), 0);
	assert_int_equal(end, HEARTH_LLM_END_LENGTH);
	opts.temperature = -1;
	assert_int_equal(hearth_llm_generate(f.llm, &opts, last_end, &end), -EINVAL);
	opts.temperature = 0;
	opts.stop = none;
	opts.n_stop = 1;
	assert_int_equal(hearth_llm_generate(f.llm, &opts, last_end, &end), -EINVAL);
}

/* What a stream says, with its end; U+FFFD is what this model's bytes mostly are. */
struct spoken {
	char text[512];
	size_t n;
	unsigned int tokens;
	enum hearth_llm_end end;
};

static int listen(const struct hearth_llm_token *t, void *arg)
{
	struct spoken *s = arg;

	assert_int_equal(s->end, HEARTH_LLM_GOES_ON);
	assert_true(s->n + t->text_bytes < sizeof(s->text));
	memcpy(s->text + s->n, t->text, t->text_bytes);
	s->n += t->text_bytes;
	s->tokens++;
	s->end = t->end;
	return 0;
}

static struct spoken speak(const char *stop)
{
	HEARTH_OPTS(hearth_generate_opts, opts, .max_tokens = 24, .ignore_eos = true,
		    .temperature = 1.5f, .seed = 5, .stop = &stop, .n_stop = stop ? 1 : 0);
	struct spoken s = { 0 };
	int32_t id = 1;

	hearth_llm_rewind(f.llm, 0);
	assert_int_equal(hearth_llm_eval(f.llm, &id, 1, NULL), 0);
	assert_int_equal(hearth_llm_generate(f.llm, &opts, listen, &s), 0);
	return s;
}

/* Any part of the text as a stop string: the text up to its first place is told. */
static void model_generate_ends_at_a_stop_string(void **state)
{
	struct spoken all = speak(NULL);

	assert_int_equal(all.tokens, 24);
	assert_true(all.n > 12);
	for (size_t at = 0; at < all.n; at++) {
		for (size_t n = 1; n < 8 && at + n <= all.n; n++) {
			char stop[8] = "";
			struct spoken s;

			memcpy(stop, all.text + at, n);
			/* where a character begins and another ends */
			if ((all.text[at] & 0xc0) == 0x80 || (all.text[at + n] & 0xc0) == 0x80 ||
			    strlen(stop) != n)
				continue;
			s = speak(stop);
			assert_int_equal(s.end, HEARTH_LLM_END_STOP);
			assert_ptr_equal(all.text + s.n, memmem(all.text, all.n, stop, n));
			assert_memory_equal(s.text, all.text, s.n);
		}
	}
}

struct each {
	float logits[11][VOCAB];
	int n;
};

static int keep_logits(const float *logits, void *arg)
{
	struct each *e = arg;

	memcpy(e->logits[e->n++], logits, sizeof(e->logits[0]));
	return e->n == 11 ? 3 : 0;
}

static void model_eval_each_is_eval_of_each(void **state)
{
	const int32_t ids[11] = { 1, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130 };
	static struct each e;
	const float *logits;

	e.n = 0;
	assert_int_equal(hearth_llm_eval(f.llm, ids, 2, NULL), 0);
	e.n = 2;
	assert_int_equal(hearth_llm_eval_each(f.llm, ids + 2, 9, keep_logits, &e), 3);
	assert_int_equal(hearth_llm_position(f.llm), 11);
	hearth_llm_rewind(f.llm, 0);
	for (int i = 0; i < 11; i++) {
		assert_int_equal(hearth_llm_eval(f.llm, &ids[i], 1, &logits), 0);
		if (i >= 2)
			assert_memory_equal(logits, e.logits[i], sizeof(e.logits[i]));
	}
	assert_int_equal(hearth_llm_eval_each(f.llm, ids, 0, keep_logits, &e), -EINVAL);
	for (int left = CTX - 11 + 1; left > 11; left -= 11)
		assert_int_equal(hearth_llm_eval(f.llm, ids, 11, NULL), 0);
	e.n = 0;
	assert_int_equal(hearth_llm_eval_each(f.llm, ids, 11, keep_logits, &e), -ENOSPC);
	assert_int_equal(e.n, 0);
}

/* One submit per token, and nothing allocated once the first one ran. */
static void npu_token_is_one_submit_and_no_allocation(void **state)
{
	const int32_t ids[6] = { 1, 2, 3, 4, 5, 6 };
	struct hearth_device *dev;
	const float *logits;
	struct hearth_llm *llm;
	unsigned int before;

	fake_npu_reset();
	make_file(&good);
	assert_int_equal(hearth_device_open(fake.path, NULL, &dev), 0);
	assert_int_equal(hearth_llm_open(f.path, dev, NULL, &llm), 0);
	assert_int_equal(hearth_llm_eval(llm, ids, 6, NULL), 0);
	assert_int_equal(fake.submits, 1);
	assert_int_equal(hearth_llm_eval(llm, ids, 1, NULL), 0);
	before = allocations;
	for (int i = 0; i < 6; i++)
		assert_int_equal(hearth_llm_eval(llm, &ids[i], 1, &logits), 0);
	assert_int_equal(allocations, before);
	assert_int_equal(fake.submits, 8);
	if (counting)
		assert_true(before > 0);
	hearth_llm_close(llm);
	hearth_device_close(dev);
	assert_int_equal(fake_npu_leaks(), 0);
	close(f.fd);
}

static void open_failures_are_told(void **state)
{
	HEARTH_OPTS(hearth_llm_opts, opts, .n_ctx = CTX + 1);
	struct hearth_device *dev;
	struct hearth_llm *llm;
	struct spec s = good;

	assert_int_equal(hearth_device_open("cpu", NULL, &dev), 0);
	assert_int_equal(hearth_llm_open("/nonexistent", dev, NULL, &llm), -ENOENT);
	assert_non_null(strstr(hearth_errmsg(), "/nonexistent"));
	make_file(&good);
	assert_int_equal(hearth_llm_open(f.path, dev, &opts, &llm), -EINVAL);
	assert_non_null(strstr(hearth_errmsg(), "trained for 32"));
	opts.n_ctx = 0;
	opts.n_batch = 5000;
	assert_int_equal(hearth_llm_open(f.path, dev, &opts, &llm), -EINVAL);
	close(f.fd);
	s.q_rows = 16;
	make_file(&s);
	assert_int_equal(hearth_llm_open(f.path, dev, NULL, &llm), -EINVAL);
	assert_non_null(strstr(hearth_errmsg(), "'blk.0.attn_q.weight' is 32 x 16"));
	close(f.fd);
	/* a tensor that nothing here reads means a network that is another one */
	s = good;
	s.extra = "blk.0.attn_sinks.weight";
	make_file(&s);
	assert_int_equal(hearth_llm_open(f.path, dev, NULL, &llm), -EOPNOTSUPP);
	assert_non_null(strstr(hearth_errmsg(),
			       "tensor 'blk.0.attn_sinks.weight' is not supported in architecture 'llama'"));
	close(f.fd);
	s.extra = "rope_freqs.weight";
	make_file(&s);
	assert_int_equal(hearth_llm_open(f.path, dev, NULL, &llm), -EINVAL);
	assert_non_null(strstr(hearth_errmsg(), "'rope_freqs.weight' is 32 x 1 x 1 x 1, 4 x 1"));
	close(f.fd);
	hearth_device_close(dev);
}

#define with_model(TEST) cmocka_unit_test_setup_teardown(TEST, open_model, close_model)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sample_greedy_takes_the_first_largest),
		cmocka_unit_test(sample_follows_the_probabilities),
		cmocka_unit_test(sample_cuts_keep_what_they_say),
		cmocka_unit_test(sample_same_seed_same_draws),
		with_model(model_tells_what_it_is),
		with_model(model_bits_do_not_depend_on_batching),
		with_model(model_reuses_what_it_was_fed),
		with_model(model_prefill_refuses),
		with_model(model_context_is_a_limit),
		with_model(model_refuses_a_token_outside_of_the_vocabulary),
		with_model(model_generate_stops_where_it_should),
		with_model(model_generate_tells_why_it_ends),
		with_model(model_generate_ends_at_a_stop_string),
		with_model(model_eval_each_is_eval_of_each),
		cmocka_unit_test(npu_token_is_one_submit_and_no_allocation),
		cmocka_unit_test(open_failures_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
