/* SPDX-License-Identifier: MIT */
/*
 * What the tests of transformer ops share: operands, and the same bits from
 * every ISA.
 */
#ifndef HEARTH_TESTS_FLOAT_OPS_H
#define HEARTH_TESTS_FLOAT_OPS_H

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel_space.h"
#include "kernels/f16.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct fixture {
	struct kspace ks;
	struct ks_rng rng;
	struct hk_exec *ex;
};

static inline int setup(void **state)
{
	static struct fixture f;

	ks_init(&f.ks);
	f.rng.s = 11;
	f.ex = hk_exec_create(NULL, NULL);
	*state = &f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	hk_exec_destroy(f->ex);
	ks_fini(&f->ks);
	return 0;
}

static inline float *floats(struct fixture *f, uint32_t n, bool odd)
{
	float *x = ks_alloc(&f->ks, n * 4ull);

	for (uint32_t i = 0; i < n; i++)
		x[i] = odd ? ks_odd(&f->rng) : ks_unit(&f->rng);
	return x;
}

/* Refill with few odd values, for sums to stay numbers. */
static inline void few_odd(struct fixture *f, float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		x[i] = ks_u32(&f->rng) % 64 ? ks_unit(&f->rng) : ks_odd(&f->rng);
}

/*
 * Runs @cmd on every ISA, alone and with three threads; @out must come out
 * with the bits that plain C gives. @out starts as @before each time.
 */
static inline void check_isas(struct fixture *f, const void *cmd, void *out, size_t bytes)
{
	struct hk_pool *pool = hk_pool_create(3);
	uint8_t *before = malloc(bytes), *want = malloc(bytes);
	const struct hk_isa *isa;

	memcpy(before, out, bytes);
	for (unsigned int i = 0; (isa = hk_isa_list(i / 2)); i++) {
		struct hk_exec *ex = hk_exec_create(isa, i % 2 ? pool : NULL);

		memcpy(out, before, bytes);
		ks_run(&f->ks, ex, cmd);
		if (i == 0)
			memcpy(want, out, bytes);
		for (size_t k = 0; k < bytes; k++) {
			if (((uint8_t *)out)[k] != want[k])
				fail_msg("%s on %s: byte %zu differs from plain",
					 hk_op_name(((const struct hearth_cmd_header *)cmd)->op),
					 hk_isa_name(isa), k);
		}
		hk_exec_destroy(ex);
	}
	free(before);
	free(want);
	hk_pool_destroy(pool);
}

/* No NaN but the canonical one. */
static inline void check_nan(const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		assert_true(x[i] == x[i] || ks_bits(x[i]) == HK_F32_NAN);
}

/* Needs f and good and c, the command to change. */
#define REFUSED(member, value, name) do {						\
		c = good;								\
		c.member = value;							\
		ks_fail(&f->ks, f->ex, &c, -EINVAL, HEARTH_HW_ERR_OPERAND, name);	\
	} while (0)

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif /* HEARTH_TESTS_FLOAT_OPS_H */
