// SPDX-License-Identifier: MIT
/* The sampler against a slow one that sorts, against probabilities, and against itself. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hearth.h"
#include "llm/sample.h"

#define VOCAB 300

/* Of a fixed generator; many are equal, as in real files. */
static void make_logits(float *logits, unsigned int n, uint32_t seed)
{
	for (unsigned int i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		logits[i] = (int)(seed >> 25) / 8.0f - 8.0f;
	}
}

static const float *by_logit_logits;

static int by_logit(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;
	float d = by_logit_logits[y] - by_logit_logits[x];

	return d > 0 ? 1 : d < 0 ? -1 : x - y;
}

/* Which tokens may be chosen, by sorting all and cutting as hearth.h says. */
static unsigned int may_be(const float *logits, const struct hearth_generate_opts *o,
			   double *p, bool *kept)
{
	int order[VOCAB];
	unsigned int n = 0, limit;
	double sum = 0, part = 0;

	memset(kept, 0, VOCAB * sizeof(*kept));
	for (int i = 0; i < VOCAB; i++)
		order[i] = i;
	by_logit_logits = logits;
	qsort(order, VOCAB, sizeof(*order), by_logit);
	limit = o->top_k ? o->top_k : VOCAB;
	while (n < VOCAB && n < limit) {
		p[n] = exp((logits[order[n]] - logits[order[0]]) / o->temperature);
		if (p[n] < o->min_p)
			break;
		sum += p[n++];
	}
	for (limit = 0; limit < n && (o->top_p == 0 || part < o->top_p * sum - 1e-9); limit++) {
		part += p[limit];
		kept[order[limit]] = true;
	}
	return limit;
}

static void check_cuts(struct llm_sampler *s, struct hearth_generate_opts o, uint32_t seed)
{
	unsigned int count[VOCAB] = { 0 }, n, seen = 0;
	float logits[VOCAB];
	double p[VOCAB];
	bool kept[VOCAB];

	make_logits(logits, VOCAB, seed);
	n = may_be(logits, &o, p, kept);
	assert_int_equal(llm_sampler_start(s, &o), 0);
	for (int i = 0; i < 3000; i++)
		count[llm_sampler_next(s, logits)]++;
	for (int i = 0; i < VOCAB; i++) {
		assert_true(kept[i] || !count[i]);
		seen += count[i] > 0;
	}
	/* and most of those that may be are */
	assert_true(n > 20 || seen >= n - n / 4);
}

static void cuts_are_those_of_a_sort(void **state)
{
	static const uint32_t ks[] = { 0, 1, 5, 40, VOCAB, 10 * VOCAB };
	static const float ps[] = { 0, 0.1f, 0.5f, 0.95f }, ms[] = { 0, 0.05f, 0.4f, 1 };
	struct llm_sampler *s = llm_sampler_create(VOCAB);
	uint32_t seed = 0;

	for (int k = 0; k < 6; k++)
		for (int p = 0; p < 4; p++)
			for (int m = 0; m < 4; m++)
				check_cuts(s, (struct hearth_generate_opts){
					.temperature = seed % 3 ? 0.7f : 3, .top_k = ks[k],
					.top_p = ps[p], .min_p = ms[m], .seed = seed }, ++seed);
	llm_sampler_destroy(s);
}

/* Chi squared of 20,000 draws over what a cut leaves. */
static void check_frequencies(struct hearth_generate_opts o)
{
	const float logits[6] = { 1, 3, 2, 2, -1, 0 };
	struct llm_sampler *s = llm_sampler_create(6);
	double p[6], sum = 0, chi = 0;
	unsigned int count[6] = { 0 };
	const int n = 20000;

	assert_int_equal(llm_sampler_start(s, &o), 0);
	for (int i = 0; i < n; i++)
		count[llm_sampler_next(s, logits)]++;
	for (int i = 0; i < 6; i++) {
		/* the cuts of the callers leave the tokens 1, 2 and 3 */
		bool cut = o.top_k || o.top_p > 0 || o.min_p > 0;

		p[i] = !cut || (i >= 1 && i <= 3) ? exp(logits[i] / o.temperature) : 0;
		sum += p[i];
	}
	for (int i = 0; i < 6; i++) {
		double want = n * p[i] / sum;

		if (want == 0)
			assert_int_equal(count[i], 0);
		else
			chi += (count[i] - want) * (count[i] - want) / want;
	}
	/* 5 degrees of freedom: one in 100,000 would be larger; the seed is fixed */
	assert_true(chi < 30);
	llm_sampler_destroy(s);
}

static void frequencies_are_the_probabilities(void **state)
{
	check_frequencies((struct hearth_generate_opts){ .temperature = 1, .seed = 1 });
	check_frequencies((struct hearth_generate_opts){ .temperature = 0.5f, .seed = 2 });
	check_frequencies((struct hearth_generate_opts){ .temperature = 2, .seed = 3 });
	check_frequencies((struct hearth_generate_opts){ .temperature = 1, .top_k = 3, .seed = 4 });
	check_frequencies((struct hearth_generate_opts){ .temperature = 1, .min_p = 0.2f, .seed = 5 });
	check_frequencies((struct hearth_generate_opts){ .temperature = 1, .top_p = 0.8f, .seed = 6 });
}

/* Every machine must draw these: a change of one is a change of everybody's texts. */
static void sequences_are_these(void **state)
{
	static const struct {
		struct hearth_generate_opts o;
		int32_t want[8];
	} rows[] = {
		{ { .temperature = 1, .seed = 1 },
		  { 191, 217, 291, 153, 146, 230, 285, 156 } },
		{ { .temperature = 0.8f, .top_k = 40, .seed = 7 },
		  { 276, 58, 230, 18, 49, 153, 150, 63 } },
		{ { .temperature = 0.8f, .top_p = 0.95f, .seed = 7 },
		  { 30, 285, 230, 18, 49, 176, 150, 63 } },
		{ { .temperature = 1.5f, .min_p = 0.05f, .seed = ~0ull },
		  { 288, 273, 36, 153, 212, 240, 297, 91 } },
		{ { .temperature = 0.9f, .top_k = 40, .top_p = 0.9f, .min_p = 0.02f,
		    .repeat_penalty = 1.1f, .seed = 3 },
		  { 69, 207, 71, 212, 43, 22, 288, 226 } },
	};
	struct llm_sampler *s = llm_sampler_create(VOCAB);
	float logits[VOCAB];

	for (size_t r = 0; r < sizeof(rows) / sizeof(*rows); r++) {
		assert_int_equal(llm_sampler_start(s, &rows[r].o), 0);
		for (int i = 0; i < 8; i++) {
			int32_t id;

			make_logits(logits, VOCAB, 1000 + i % 3);
			id = llm_sampler_next(s, logits);
			if (id != rows[r].want[i])
				fail_msg("row %zu, draw %d: %d, wanted %d", r, i, id, rows[r].want[i]);
		}
	}
	llm_sampler_destroy(s);
}

static void repeating_costs(void **state)
{
	const float logits[4] = { -1, 5, 4.6f, -2 };
	struct hearth_generate_opts o = { .repeat_penalty = 1.2f, .repeat_window = 2 };
	struct llm_sampler *s = llm_sampler_create(4);

	assert_int_equal(llm_sampler_start(s, &o), 0);
	/* 5 / 1.2 < 4.6; then both are punished, twice; then the other is forgotten */
	for (int i = 0; i < 6; i++)
		assert_int_equal(llm_sampler_next(s, logits), i % 3 == 1 ? 2 : 1);
	/* a new stream remembers nothing, and without a penalty nothing is punished */
	assert_int_equal(llm_sampler_start(s, &o), 0);
	assert_int_equal(llm_sampler_next(s, logits), 1);
	o.repeat_penalty = 1;
	assert_int_equal(llm_sampler_start(s, &o), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(llm_sampler_next(s, logits), 1);
	llm_sampler_destroy(s);
}

/* Negative logits become less likely too. */
static void repeating_costs_below_zero(void **state)
{
	const float logits[3] = { -1, -1.1f, -9 };
	struct hearth_generate_opts o = { .repeat_penalty = 2 };
	struct llm_sampler *s = llm_sampler_create(3);

	assert_int_equal(llm_sampler_start(s, &o), 0);
	assert_int_equal(llm_sampler_next(s, logits), 0);
	assert_int_equal(llm_sampler_next(s, logits), 1);
	assert_int_equal(llm_sampler_next(s, logits), 0);
	llm_sampler_destroy(s);
}

static void odd_logits_are_survived(void **state)
{
	const float rows[][4] = {
		{ NAN, NAN, NAN, NAN }, { INFINITY, 1, 2, 3 }, { -INFINITY, -INFINITY, -INFINITY, 0 },
		{ -INFINITY, -INFINITY, -INFINITY, -INFINITY }, { NAN, 1, NAN, INFINITY },
		{ 3e38f, -3e38f, 3e38f, 0 },
	};
	static const int32_t greedy[] = { 0, 0, 3, 0, 3, 0 };
	struct llm_sampler *s = llm_sampler_create(4);
	struct hearth_generate_opts o = { 0 };

	for (int i = 0; i < 6; i++) {
		int32_t id;

		o.temperature = 0;
		assert_int_equal(llm_sampler_start(s, &o), 0);
		assert_int_equal(llm_sampler_next(s, rows[i]), greedy[i]);
		o.temperature = 1e-6f;
		o.top_p = 0.9f;
		o.top_k = 3;
		assert_int_equal(llm_sampler_start(s, &o), 0);
		id = llm_sampler_next(s, rows[i]);
		assert_true(id >= 0 && id < 4 && (i == 0 || !isnan(rows[i][id])));
	}
	llm_sampler_destroy(s);
}

static void bad_options_are_refused(void **state)
{
	static const struct {
		struct hearth_generate_opts o;
		const char *msg;
	} rows[] = {
		{ { .temperature = -1 }, "temperature is -1: 0 to 1e6 is possible" },
		{ { .temperature = NAN }, "temperature is nan" },
		{ { .temperature = INFINITY }, "temperature is inf" },
		{ { .top_p = 1.5f }, "top_p is 1.5: 0 to 1 is possible" },
		{ { .min_p = -0.5f }, "min_p is -0.5: 0 to 1 is possible" },
		{ { .repeat_penalty = -1 }, "repeat_penalty is -1: 0.01 to 100 is possible" },
		{ { .repeat_penalty = NAN }, "repeat_penalty is nan" },
		{ { .repeat_penalty = 2, .repeat_window = 65537 },
		  "repeat_window is 65537: at most 65536 are possible" },
	};
	struct llm_sampler *s = llm_sampler_create(2);

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_int_equal(llm_sampler_start(s, &rows[i].o), -EINVAL);
		if (!strstr(hearth_errmsg(), rows[i].msg))
			fail_msg("'%s', wanted '%s'", hearth_errmsg(), rows[i].msg);
	}
	llm_sampler_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuts_are_those_of_a_sort),
		cmocka_unit_test(frequencies_are_the_probabilities),
		cmocka_unit_test(sequences_are_these),
		cmocka_unit_test(repeating_costs),
		cmocka_unit_test(repeating_costs_below_zero),
		cmocka_unit_test(odd_logits_are_survived),
		cmocka_unit_test(bad_options_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
