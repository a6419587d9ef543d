// SPDX-License-Identifier: GPL-2.0
/*
 * Budgets, verdicts and the choice of victims: numbers in, numbers out. They
 * need no device.
 */
#include <kunit/test.h>

#include <linux/module.h>
#include <linux/prandom.h>
#include <linux/sizes.h>

/* What is tested, with what it has to itself. */
#include "hearth_budget.c"
#include "hearth_verdict.c"

#define GB		((u64)SZ_1G)
#define MB		((u64)SZ_1M)

#define DROPPABLE	DRM_HEARTH_CLASS_DROPPABLE
#define NORMAL		DRM_HEARTH_CLASS_NORMAL
#define PROTECTED	DRM_HEARTH_CLASS_PROTECTED
#define PINNED		DRM_HEARTH_CLASS_PINNED

struct budget_test {
	struct hearth_budget budget;
	struct hearth_account *alice, *bob;
	struct hearth_charge a, b;
	struct hearth_lack lack;
};

static int budget_test_init(struct kunit *test)
{
	struct budget_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	hearth_budget_init(&t->budget, 10 * MB);
	t->alice = hearth_account_get(&t->budget, KUIDT_INIT(1000));
	t->bob = hearth_account_get(&t->budget, KUIDT_INIT(1001));
	KUNIT_ASSERT_NOT_NULL(test, t->alice);
	KUNIT_ASSERT_NOT_NULL(test, t->bob);
	hearth_charge_init(&t->a, t->alice);
	hearth_charge_init(&t->b, t->bob);
	return 0;
}

/* Whatever a test did: when all is given back, nothing is left. */
static void budget_test_exit(struct kunit *test)
{
	struct budget_test *t = test->priv;

	hearth_charge_fini(&t->a);
	hearth_charge_fini(&t->b);
	KUNIT_EXPECT_EQ(test, t->alice->used, 0);
	KUNIT_EXPECT_EQ(test, t->bob->used, 0);
	hearth_account_put(t->alice);
	hearth_account_put(t->bob);
	KUNIT_EXPECT_EQ(test, t->budget.plain, 0);
	KUNIT_EXPECT_EQ(test, t->budget.promised, 0);
	KUNIT_EXPECT_EQ(test, t->budget.promised_used, 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&t->budget.accounts));
}

static int try_charge(struct budget_test *t, struct hearth_charge *charge, u64 mb)
{
	return hearth_charge_try(charge, mb * MB, &t->lack);
}

static struct hearth_reservation *reserve(struct kunit *test, struct hearth_account *account,
					  u64 mb)
{
	struct budget_test *t = test->priv;
	struct hearth_reservation *r = hearth_reservation_create(account, mb * MB, &t->lack);

	KUNIT_ASSERT_FALSE(test, IS_ERR(r));
	return r;
}

static void end_promise(struct hearth_reservation *r)
{
	hearth_reservation_release(r);
	hearth_reservation_put(r);
}

static void one_account_per_user(struct kunit *test)
{
	struct budget_test *t = test->priv;
	struct hearth_account *again = hearth_account_get(&t->budget, KUIDT_INIT(1000));

	KUNIT_EXPECT_PTR_EQ(test, again, t->alice);
	hearth_account_put(again);
	again = hearth_account_get(&t->budget, KUIDT_INIT(0));
	KUNIT_EXPECT_PTR_NE(test, again, t->alice);
	hearth_account_put(again);
}

static void charge_up_to_the_budget(struct kunit *test)
{
	struct budget_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 6), 0);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 5), -EDQUOT);
	KUNIT_EXPECT_EQ(test, t->lack.bytes, 1 * MB);
	KUNIT_EXPECT_FALSE(test, t->lack.quota);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 4), 0);
	KUNIT_EXPECT_EQ(test, hearth_charge_try(&t->a, 1, &t->lack), -EDQUOT);
	hearth_charge_drop(&t->b, 1);
	KUNIT_EXPECT_EQ(test, hearth_charge_try(&t->a, 1, &t->lack), 0);
	KUNIT_EXPECT_EQ(test, hearth_charge_try(&t->a, U64_MAX, &t->lack), -EDQUOT);
}

static void charge_up_to_the_quota(struct kunit *test)
{
	struct budget_test *t = test->priv;

	t->budget.quota = 3 * MB;
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 3), 0);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 1), -EDQUOT);
	KUNIT_EXPECT_TRUE(test, t->lack.quota);
	KUNIT_EXPECT_EQ(test, t->lack.bytes, 1 * MB);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 3), 0);
}

static void dropping_too_much_is_dropping_all(struct kunit *test)
{
	struct budget_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 3), 0);
	hearth_charge_drop(&t->a, 5 * MB);
	KUNIT_EXPECT_EQ(test, t->a.bytes, 0);
	KUNIT_EXPECT_EQ(test, t->budget.plain, 0);
}

static void a_smaller_budget_breaks_nothing(struct kunit *test)
{
	struct budget_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 8), 0);
	t->budget.bytes = 4 * MB;
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 1), -EDQUOT);
	hearth_charge_drop(&t->a, 5 * MB);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 1), 0);
}

static void a_promise_is_kept(struct kunit *test)
{
	struct budget_test *t = test->priv;
	struct hearth_reservation *r = reserve(test, t->alice, 7);

	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 4), -EDQUOT);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 3), 0);
	/* Nor does its maker get it without showing it. */
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 1), -EDQUOT);
	hearth_charge_attach(&t->a, r);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 7), 0);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 1), -EDQUOT);
	/* What is given back returns to it. */
	hearth_charge_drop(&t->a, 7 * MB);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 1), -EDQUOT);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 7), 0);
	end_promise(r);
}

static void a_promise_pays_a_part(struct kunit *test)
{
	struct budget_test *t = test->priv;
	struct hearth_reservation *r = reserve(test, t->alice, 4);

	hearth_charge_attach(&t->a, r);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 6), 0);
	KUNIT_EXPECT_EQ(test, t->a.reserved, 4 * MB);
	KUNIT_EXPECT_EQ(test, t->budget.plain, 2 * MB);
	KUNIT_EXPECT_EQ(test, hearth_charge_plain(&t->a), 2 * MB);
	KUNIT_EXPECT_EQ(test, t->alice->used, 6 * MB);
	hearth_charge_drop(&t->a, 3 * MB);
	KUNIT_EXPECT_EQ(test, t->budget.plain, 0);
	KUNIT_EXPECT_EQ(test, r->used, 3 * MB);
	end_promise(r);
}

static void a_promise_pays_what_is_there(struct kunit *test)
{
	struct budget_test *t = test->priv;
	struct hearth_reservation *r;

	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 5), 0);
	r = reserve(test, t->alice, 4);
	hearth_charge_attach(&t->a, r);
	KUNIT_EXPECT_EQ(test, r->used, 4 * MB);
	KUNIT_EXPECT_EQ(test, t->budget.plain, 1 * MB);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 5), 0);
	end_promise(r);
}

static void the_end_of_a_promise(struct kunit *test)
{
	struct budget_test *t = test->priv;
	struct hearth_reservation *r = reserve(test, t->alice, 7);

	hearth_charge_attach(&t->a, r);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 5), 0);
	end_promise(r);
	KUNIT_EXPECT_EQ(test, t->alice->used, 5 * MB);
	KUNIT_EXPECT_EQ(test, hearth_charge_plain(&t->a), 5 * MB);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 6), -EDQUOT);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 5), 0);
	/* And nobody is promised what it gives back. */
	hearth_charge_drop(&t->a, 2 * MB);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 2), 0);
	/* A new promise takes its place. */
	hearth_charge_drop(&t->b, 7 * MB);
	r = reserve(test, t->bob, 4);
	hearth_charge_attach(&t->a, r);
	KUNIT_EXPECT_EQ(test, t->a.reserved, 3 * MB);
	KUNIT_EXPECT_EQ(test, t->alice->used, 0);
	KUNIT_EXPECT_EQ(test, t->bob->used, 4 * MB);
	end_promise(r);
}

/* The promise of one user pays for the other: it costs the other nothing. */
static void a_promise_for_somebody_else(struct kunit *test)
{
	struct budget_test *t = test->priv;
	struct hearth_reservation *r;

	t->budget.quota = 5 * MB;
	r = reserve(test, t->alice, 4);
	hearth_charge_attach(&t->b, r);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 9), 0);
	KUNIT_EXPECT_EQ(test, t->alice->used, 4 * MB);
	KUNIT_EXPECT_EQ(test, t->bob->used, 5 * MB);
	KUNIT_EXPECT_EQ(test, try_charge(t, &t->b, 1), -EDQUOT);
	KUNIT_EXPECT_TRUE(test, t->lack.quota);
	end_promise(r);
}

static void too_large_a_promise(struct kunit *test)
{
	struct budget_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 4), 0);
	KUNIT_EXPECT_EQ(test, PTR_ERR(hearth_reservation_create(t->bob, 7 * MB, &t->lack)),
			-EDQUOT);
	KUNIT_EXPECT_EQ(test, t->lack.bytes, 1 * MB);
	t->budget.quota = 2 * MB;
	KUNIT_EXPECT_EQ(test, PTR_ERR(hearth_reservation_create(t->bob, 3 * MB, &t->lack)),
			-EDQUOT);
	KUNIT_EXPECT_TRUE(test, t->lack.quota);
}

static void another_user_pays(struct kunit *test)
{
	struct budget_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, try_charge(t, &t->a, 4), 0);
	hearth_charge_move(&t->a, t->bob);
	KUNIT_EXPECT_EQ(test, t->alice->used, 0);
	KUNIT_EXPECT_EQ(test, t->bob->used, 4 * MB);
	KUNIT_EXPECT_EQ(test, t->budget.plain, 4 * MB);
	hearth_charge_move(&t->a, t->bob);
	KUNIT_EXPECT_EQ(test, t->bob->used, 4 * MB);
}

static void pinning_needs_a_quota(struct kunit *test)
{
	struct budget_test *t = test->priv;

	KUNIT_EXPECT_EQ(test, hearth_account_pin(t->alice, 1, false), -EPERM);
	KUNIT_EXPECT_EQ(test, hearth_account_pin(t->alice, 8 * MB, true), 0);
	t->budget.pinned_quota = 3 * MB;
	KUNIT_EXPECT_EQ(test, hearth_account_pin(t->alice, 1, false), -EDQUOT);
	KUNIT_EXPECT_EQ(test, hearth_account_pin(t->bob, 2 * MB, false), 0);
	KUNIT_EXPECT_EQ(test, hearth_account_pin(t->bob, 2 * MB, false), -EDQUOT);
	KUNIT_EXPECT_EQ(test, hearth_account_pin(t->bob, 1 * MB, false), 0);
	hearth_account_unpin(t->bob, 3 * MB);
	hearth_account_unpin(t->alice, 8 * MB);
	KUNIT_EXPECT_EQ(test, t->alice->pinned, 0);
	KUNIT_EXPECT_EQ(test, t->bob->pinned, 0);
}

/* Any order of calls; after each the sums are what the parts say. */
static void budget_random(struct kunit *test)
{
	struct budget_test *t = test->priv;
	struct hearth_reservation *r[2] = { };
	struct hearth_charge *c[2] = { &t->a, &t->b };
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, 0x48545248);
	for (i = 0; i < 20000; i++) {
		u64 mb = prandom_u32_state(&rnd) % 5, reserved = 0, promised = 0;
		unsigned int k = prandom_u32_state(&rnd) % 2, j = prandom_u32_state(&rnd) % 2;

		switch (prandom_u32_state(&rnd) % 6) {
		case 0:
		case 1:
			try_charge(t, c[k], mb);
			break;
		case 2:
			hearth_charge_drop(c[k], mb * MB);
			break;
		case 3:
			if (r[j])
				hearth_charge_attach(c[k], r[j]);
			break;
		case 4:
			hearth_charge_move(c[k], mb & 1 ? t->alice : t->bob);
			break;
		default:
			if (r[j]) {
				end_promise(r[j]);
				r[j] = NULL;
			} else {
				r[j] = hearth_reservation_create(j ? t->alice : t->bob, mb * MB,
								 &t->lack);
				if (IS_ERR(r[j]))
					r[j] = NULL;
			}
		}
		for (j = 0; j < 2; j++) {
			reserved += c[j]->reserved;
			promised += r[j] ? r[j]->bytes : 0;
		}
		KUNIT_ASSERT_EQ(test, t->budget.plain + reserved, t->a.bytes + t->b.bytes);
		KUNIT_ASSERT_EQ(test, t->budget.promised_used, reserved);
		KUNIT_ASSERT_GE(test, t->budget.promised, promised);
		KUNIT_ASSERT_LE(test, t->budget.plain + t->budget.promised, t->budget.bytes);
		KUNIT_ASSERT_EQ(test, t->alice->used + t->bob->used,
				t->budget.plain + t->budget.promised);
	}
	for (i = 0; i < 2; i++) {
		if (r[i])
			end_promise(r[i]);
	}
}

/* An 8 GiB phone of which 4 are for models; 1 is left. */
static const struct hearth_supply phone = {
	.budget = 4 * GB, .plain = 3 * GB, .quota = 4 * GB, .used = 2 * GB,
	.system = 3 * GB, .ram = 8 * GB, .va = 512 * GB,
	.droppable = { [DROPPABLE] = GB / 2, [NORMAL] = GB / 2, [PROTECTED] = GB },
	.own = { [DROPPABLE] = GB / 2, [NORMAL] = GB / 2, [PROTECTED] = GB },
	.physical = { [DROPPABLE] = GB / 2, [NORMAL] = GB / 2, [PROTECTED] = GB },
	.in_region = { [DROPPABLE] = GB / 4, [NORMAL] = GB / 4, [PROTECTED] = GB },
};

#define NOW	DRM_HEARTH_ADMIT_NOW
#define AFTER	DRM_HEARTH_ADMIT_AFTER_DROP
#define WAIT	DRM_HEARTH_ADMIT_WAIT
#define NEVER	DRM_HEARTH_ADMIT_NEVER
#define LIMIT(x)	DRM_HEARTH_LIMIT_ ## x

struct situation {
	const char *name;
	struct hearth_demand demand;
	/* On @phone, what is not zero here. */
	struct hearth_supply other;
	u32 verdict;
	u32 limit;
	u64 needed;
};

static const struct situation situations[] = {
	{ "nothing", { .class = NORMAL }, { }, NOW, LIMIT(NONE), 0 },
	{ "just fits", { .weights = GB, .class = NORMAL }, { }, NOW, LIMIT(NONE), GB },
	{ "the parts add up",
	  { .weights = GB - 2 * MB, .state = MB, .scratch = MB, .class = NORMAL }, { },
	  NOW, LIMIT(NONE), GB },
	{ "a byte too much", { .weights = GB, .state = 1, .class = NORMAL }, { },
	  AFTER, LIMIT(BUDGET), GB + 1 },
	{ "all that may go", { .weights = 2 * GB, .class = NORMAL }, { },
	  AFTER, LIMIT(BUDGET), 2 * GB },
	{ "the dear stay", { .weights = 2 * GB + 1, .class = PROTECTED }, { },
	  WAIT, LIMIT(BUDGET), 2 * GB + 1 },
	{ "even for the pinned", { .weights = 2 * GB + 1, .class = PINNED }, { },
	  WAIT, LIMIT(BUDGET), 2 * GB + 1 },
	{ "the cheap drop the cheap", { .weights = GB + GB / 2, .class = DROPPABLE }, { },
	  AFTER, LIMIT(BUDGET), GB + GB / 2 },
	{ "and no other", { .weights = GB + GB / 2 + 1, .class = DROPPABLE }, { },
	  WAIT, LIMIT(BUDGET), GB + GB / 2 + 1 },
	{ "larger than all", { .weights = 4 * GB, .state = 1, .class = NORMAL }, { },
	  NEVER, LIMIT(BUDGET), 4 * GB + 1 },
	{ "shared is there", { .weights = 2 * GB, .there = GB, .class = NORMAL }, { },
	  NOW, LIMIT(NONE), GB },
	{ "shared, but too large", { .weights = 5 * GB, .there = 5 * GB, .class = NORMAL }, { },
	  NEVER, LIMIT(BUDGET), 0 },
	{ "more there than asked", { .weights = GB, .there = 2 * GB, .class = NORMAL }, { },
	  NOW, LIMIT(NONE), 0 },
	{ "promised to others", { .weights = GB, .class = NORMAL }, { .promised = GB / 2 },
	  AFTER, LIMIT(RESERVATION), GB },
	{ "promised, and too much", { .weights = 2 * GB, .class = NORMAL },
	  { .promised = GB / 2 }, WAIT, LIMIT(RESERVATION), 2 * GB },
	{ "promised and used is a load", { .weights = GB, .class = NORMAL },
	  { .promised = GB / 2, .promised_used = GB / 2 }, AFTER, LIMIT(BUDGET), GB },
	{ "the quota", { .weights = GB, .class = NORMAL }, { .quota = 2 * GB + GB / 2 },
	  AFTER, LIMIT(QUOTA), GB },
	{ "the quota, in use", { .weights = GB, .class = NORMAL },
	  { .quota = 2 * GB + GB / 2, .used = 2 * GB + GB / 2 }, AFTER, LIMIT(QUOTA), GB },
	{ "beyond the quota", { .weights = GB, .class = NORMAL }, { .quota = GB - 1 },
	  NEVER, LIMIT(QUOTA), GB },
	{ "shared is not on one's quota",
	  { .weights = GB, .there = GB - MB, .class = NORMAL }, { .quota = 2 * GB + MB },
	  NOW, LIMIT(NONE), MB },
	{ "the system is full", { .weights = GB, .class = NORMAL }, { .system = MB },
	  AFTER, LIMIT(SYSTEM), GB },
	{ "what is promised is not the system's",
	  { .weights = GB / 4, .class = NORMAL }, { .promised = GB / 2, .system = GB / 2 },
	  AFTER, LIMIT(SYSTEM), GB / 4 },
	{ "more than RAM", { .weights = 9 * GB, .class = NORMAL }, { .budget = 16 * GB,
	  .quota = 16 * GB }, NEVER, LIMIT(SYSTEM), 9 * GB },
	{ "the region", { .weights = GB, .class = NORMAL },
	  { .region = GB, .region_free = GB / 2 }, AFTER, LIMIT(REGION), GB },
	{ "in the region, a byte takes a block", { .weights = GB / 2 + 1, .class = DROPPABLE },
	  { .region = 2 * GB, .region_free = GB / 2 }, AFTER, LIMIT(REGION), GB / 2 + 1 },
	{ "in the region, what is there has its block",
	  { .weights = GB / 2 + 1, .there = GB / 2 + 1, .class = NORMAL },
	  { .region = GB, .region_free = 1 }, NOW, LIMIT(NONE), 0 },
	{ "in the region, nobody may go", { .weights = GB, .class = NORMAL },
	  { .region = GB, .region_free = GB / 2 - 1 }, WAIT, LIMIT(REGION), GB },
	{ "a small region", { .weights = GB, .class = NORMAL },
	  { .region = GB / 2, .region_free = GB / 2 }, NEVER, LIMIT(REGION), GB },
	{ "state is not in the region", { .state = GB, .class = NORMAL },
	  { .region = GB / 2, .region_free = 1 }, NOW, LIMIT(NONE), GB },
	{ "addresses", { .weights = 2 * GB, .class = NORMAL }, { .va = GB },
	  NEVER, LIMIT(VA), 2 * GB },
	{ "all the numbers there are",
	  { .weights = U64_MAX, .state = U64_MAX, .scratch = U64_MAX, .class = NORMAL }, { },
	  NEVER, LIMIT(VA), U64_MAX },
};

static struct hearth_supply supply_of(const struct situation *s)
{
	struct hearth_supply supply = phone;

	supply.budget = s->other.budget ?: phone.budget;
	supply.promised = s->other.promised;
	supply.promised_used = s->other.promised_used;
	supply.quota = s->other.quota ?: phone.quota;
	supply.used = s->other.used ?: phone.used;
	supply.system = s->other.system ?: phone.system;
	supply.region = s->other.region;
	supply.region_free = s->other.region_free;
	supply.va = s->other.va ?: phone.va;
	return supply;
}

static void verdicts(struct kunit *test)
{
	struct hearth_judgement j;
	struct hearth_supply supply;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(situations); i++) {
		const struct situation *s = &situations[i];

		supply = supply_of(s);
		hearth_judge(&s->demand, &supply, &j);
		KUNIT_EXPECT_EQ_MSG(test, j.verdict, s->verdict, "%s", s->name);
		KUNIT_EXPECT_EQ_MSG(test, j.limit, s->limit, "%s", s->name);
		KUNIT_EXPECT_EQ_MSG(test, j.needed, s->needed, "%s", s->name);
	}
}

static void verdict_numbers(struct kunit *test)
{
	struct hearth_demand demand = { .weights = 2 * GB, .class = NORMAL };
	struct hearth_judgement j;

	hearth_judge(&demand, &phone, &j);
	KUNIT_EXPECT_EQ(test, j.available, 1 * GB);
	KUNIT_EXPECT_EQ(test, j.after_drop, 2 * GB);
	KUNIT_EXPECT_EQ(test, j.limit_bytes, 4 * GB);
	demand.class = DROPPABLE;
	hearth_judge(&demand, &phone, &j);
	KUNIT_EXPECT_EQ(test, j.after_drop, GB + GB / 2);
}

static u64 some_bytes(struct rnd_state *rnd)
{
	u64 bytes = prandom_u32_state(rnd) % 64 * GB / 8;

	return prandom_u32_state(rnd) % 50 ? bytes : U64_MAX - bytes;
}

static void some_situation(struct rnd_state *rnd, struct hearth_demand *demand,
			   struct hearth_supply *supply)
{
	unsigned int i;

	*demand = (struct hearth_demand){
		.weights = some_bytes(rnd), .there = some_bytes(rnd) / 2,
		.state = some_bytes(rnd) / 4, .scratch = some_bytes(rnd) / 8,
		.class = prandom_u32_state(rnd) % HEARTH_CLASSES,
	};
	*supply = (struct hearth_supply){
		.budget = some_bytes(rnd), .plain = some_bytes(rnd) / 4,
		.promised = some_bytes(rnd) / 4, .quota = some_bytes(rnd),
		.used = some_bytes(rnd) / 4, .system = some_bytes(rnd),
		.ram = some_bytes(rnd), .va = 512 * GB,
	};
	supply->promised_used = supply->promised / 2;
	if (prandom_u32_state(rnd) % 4 == 0) {
		supply->region = some_bytes(rnd);
		supply->region_free = supply->region / 2;
	}
	for (i = 0; i < HEARTH_CLASSES; i++) {
		supply->droppable[i] = some_bytes(rnd) / 8;
		supply->own[i] = some_bytes(rnd) / 16;
		supply->physical[i] = some_bytes(rnd) / 8;
		supply->in_region[i] = some_bytes(rnd) / 8;
	}
}

/* A budget in the state that @supply says. */
static int charge_as_told(struct kunit *test, const struct hearth_supply *supply, u64 bytes)
{
	struct hearth_budget budget;
	struct hearth_account *account;
	struct hearth_charge charge;
	struct hearth_lack lack;
	int ret;

	hearth_budget_init(&budget, supply->budget);
	budget.quota = supply->quota;
	budget.plain = supply->plain;
	budget.promised = supply->promised;
	account = hearth_account_get(&budget, KUIDT_INIT(0));
	KUNIT_ASSERT_NOT_NULL(test, account);
	account->used = supply->used;
	hearth_charge_init(&charge, account);
	ret = hearth_charge_try(&charge, bytes, &lack);
	hearth_charge_fini(&charge);
	account->used = 0;
	hearth_account_put(account);
	return ret;
}

/* What was said is what comes: NOW is charged, what no budget bounds as well. */
static void now_means_now(struct kunit *test)
{
	struct hearth_judgement j;
	struct hearth_demand demand;
	struct hearth_supply supply;
	unsigned int i, seen[4] = { };
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 1);
	for (i = 0; i < 20000; i++) {
		some_situation(&rnd, &demand, &supply);
		supply.quota = min(supply.quota, supply.budget);
		hearth_judge(&demand, &supply, &j);
		KUNIT_ASSERT_LE(test, j.verdict, NEVER);
		seen[j.verdict]++;
		if (j.verdict == NOW) {
			KUNIT_ASSERT_EQ(test, charge_as_told(test, &supply, j.needed), 0);
			KUNIT_ASSERT_EQ(test, j.limit, LIMIT(NONE));
			/* Of a region it takes the weights only. */
			if (!supply.region)
				KUNIT_ASSERT_LE(test, j.needed, j.available);
		} else {
			KUNIT_ASSERT_NE(test, j.limit, LIMIT(NONE));
		}
		if (j.verdict == AFTER &&
		    (j.limit == LIMIT(BUDGET) || j.limit == LIMIT(RESERVATION) ||
		     j.limit == LIMIT(QUOTA)))
			KUNIT_ASSERT_EQ(test, charge_as_told(test, &supply, j.needed), -EDQUOT);
		KUNIT_ASSERT_LE(test, j.available, j.after_drop);
	}
	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_GT(test, seen[i], 100);
}

/* Who asks for more, or leaves less, hears nothing better. */
static void verdict_is_monotone(struct kunit *test)
{
	struct hearth_judgement j, worse;
	struct hearth_demand demand;
	struct hearth_supply supply;
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, 2);
	for (i = 0; i < 20000; i++) {
		u64 more = prandom_u32_state(&rnd);

		some_situation(&rnd, &demand, &supply);
		hearth_judge(&demand, &supply, &j);
		switch (prandom_u32_state(&rnd) % 7) {
		case 0:
			demand.weights = hearth_sum(demand.weights, more);
			break;
		case 1:
			demand.state = hearth_sum(demand.state, more);
			break;
		case 2:
			demand.there = hearth_room(demand.there, more);
			break;
		case 3:
			supply.plain = hearth_sum(supply.plain, more);
			break;
		case 4:
			supply.system = hearth_room(supply.system, more);
			break;
		case 5:
			supply.used = hearth_sum(supply.used, more);
			break;
		default:
			supply.droppable[0] = hearth_room(supply.droppable[0], more);
		}
		hearth_judge(&demand, &supply, &worse);
		KUNIT_ASSERT_GE(test, worse.verdict, j.verdict);
		KUNIT_ASSERT_GE(test, worse.needed, j.needed);
		KUNIT_ASSERT_LE(test, worse.after_drop, j.after_drop);
	}
}

static void classes(struct kunit *test)
{
	u32 class;

	KUNIT_EXPECT_EQ(test, hearth_class_effective(NORMAL, false, false), NORMAL);
	KUNIT_EXPECT_EQ(test, hearth_class_effective(NORMAL, true, false), DROPPABLE);
	KUNIT_EXPECT_EQ(test, hearth_class_effective(PROTECTED, true, false), NORMAL);
	KUNIT_EXPECT_EQ(test, hearth_class_effective(DROPPABLE, true, false), DROPPABLE);
	KUNIT_EXPECT_EQ(test, hearth_class_effective(PINNED, true, false), PINNED);
	for (class = 0; class < HEARTH_CLASSES; class++) {
		KUNIT_EXPECT_EQ(test, hearth_class_effective(class, false, true), DROPPABLE);
		KUNIT_EXPECT_LE(test, hearth_class_may_drop(class), NORMAL);
		KUNIT_EXPECT_LE(test, hearth_class_may_drop(class), class);
	}
}

/* Cheapest first, the pinned never, the protected only before a kill. */
static void stages(struct kunit *test)
{
	size_t i;

	for (i = 0; i < HEARTH_STAGES; i++) {
		KUNIT_EXPECT_NE(test, hearth_stages[i].class, PINNED);
		KUNIT_EXPECT_TRUE(test, hearth_stages[i].when & HEARTH_PRESSURE_OOM);
		if (i)
			KUNIT_EXPECT_GT(test, hearth_stages[i].class, hearth_stages[i - 1].class);
		if (hearth_stages[i].class == PROTECTED)
			KUNIT_EXPECT_EQ(test, hearth_stages[i].when, HEARTH_PRESSURE_OOM);
	}
}

static u32 state(u64 all, u64 resident, bool restoring, bool stale)
{
	struct hearth_totals totals = { all, resident, restoring, stale };

	return hearth_totals_state(&totals);
}

static void states(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, state(4, 0, false, false), DRM_HEARTH_MODEL_DROPPED);
	KUNIT_EXPECT_EQ(test, state(4, 1, false, false), DRM_HEARTH_MODEL_PARTLY);
	KUNIT_EXPECT_EQ(test, state(4, 4, false, false), DRM_HEARTH_MODEL_RESIDENT);
	KUNIT_EXPECT_EQ(test, state(4, 1, true, false), DRM_HEARTH_MODEL_RESTORING);
	KUNIT_EXPECT_EQ(test, state(4, 4, true, true), DRM_HEARTH_MODEL_STALE);
	KUNIT_EXPECT_EQ(test, state(0, 0, false, false), DRM_HEARTH_MODEL_RESIDENT);
}

static u64 score(u64 bytes, u64 restored, u64 ns, u64 idle_ms)
{
	struct hearth_victim victim = {
		.bytes = bytes, .restored_bytes = restored, .restored_ns = ns,
		.idle_ns = idle_ms * NSEC_PER_MSEC,
	};

	return hearth_victim_score(&victim);
}

static void victims(struct kunit *test)
{
	/* Who is idle for longer. */
	KUNIT_EXPECT_GT(test, score(GB, GB, NSEC_PER_SEC, 2000), score(GB, GB, NSEC_PER_SEC, 1000));
	/* What comes back faster. */
	KUNIT_EXPECT_GT(test, score(GB, GB, NSEC_PER_SEC, 1000),
			score(GB, GB, 2 * NSEC_PER_SEC, 1000));
	/* One large rather than one small, which costs a restore as well. */
	KUNIT_EXPECT_GT(test, score(GB, GB, NSEC_PER_SEC, 1000),
			score(2 * MB, GB, NSEC_PER_SEC, 1000));
	/* Three times as slow, but idle for ten times as long. */
	KUNIT_EXPECT_GT(test, score(GB, GB, 3 * NSEC_PER_SEC, 10000),
			score(GB, GB, NSEC_PER_SEC, 1000));
	/* Nothing there, nothing to take; the least there is can be taken. */
	KUNIT_EXPECT_EQ(test, score(0, GB, NSEC_PER_SEC, 1000), 0);
	KUNIT_EXPECT_GT(test, score(1, 1, U64_MAX, 0), 0);
	KUNIT_EXPECT_GT(test, score(U64_MAX, 0, 0, 0), 0);
	KUNIT_EXPECT_GT(test, score(U64_MAX, U64_MAX, 0, U64_MAX / NSEC_PER_MSEC), 0);
}

/* No numbers make a division fail, and more time is never a lower score. */
static void victims_random(struct kunit *test)
{
	struct rnd_state rnd;
	unsigned int i;

	prandom_seed_state(&rnd, 3);
	for (i = 0; i < 20000; i++) {
		u64 bytes = some_bytes(&rnd) >> prandom_u32_state(&rnd) % 40;
		u64 restored = some_bytes(&rnd) >> prandom_u32_state(&rnd) % 63;
		u64 ns = some_bytes(&rnd) >> prandom_u32_state(&rnd) % 63;
		u64 idle = prandom_u32_state(&rnd);
		u64 one = score(bytes, restored, ns, idle);

		KUNIT_ASSERT_LE(test, one, score(bytes, restored, ns, idle + 1000));
		KUNIT_ASSERT_GE(test, one, score(bytes, restored, hearth_sum(ns, ns), idle));
		KUNIT_ASSERT_EQ(test, !one, !bytes);
	}
}

/* What reclaim may drop counts, what only a kill would free does not. */
static void room_for_a_restore(struct kunit *test)
{
	struct hearth_supply supply = {
		.system = 1 * GB,
		.utmost = 3 * GB,
		.physical[DRM_HEARTH_CLASS_DROPPABLE] = 3 * GB,
		.physical[DRM_HEARTH_CLASS_NORMAL] = 4 * GB,
		.physical[DRM_HEARTH_CLASS_PROTECTED] = 5 * GB,
		.physical[DRM_HEARTH_CLASS_PINNED] = 6 * GB,
	};

	KUNIT_EXPECT_TRUE(test, hearth_supply_could_give(&supply, 0));
	KUNIT_EXPECT_TRUE(test, hearth_supply_could_give(&supply, 10 * GB));
	KUNIT_EXPECT_FALSE(test, hearth_supply_could_give(&supply, 10 * GB + 1));
	KUNIT_EXPECT_FALSE(test, hearth_supply_could_give(&supply, U64_MAX));
	supply.utmost = U64_MAX;
	KUNIT_EXPECT_TRUE(test, hearth_supply_could_give(&supply, U64_MAX));
	supply = (struct hearth_supply){ };
	KUNIT_EXPECT_TRUE(test, hearth_supply_could_give(&supply, 0));
	KUNIT_EXPECT_FALSE(test, hearth_supply_could_give(&supply, 1));
}

static void restore_time(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, hearth_restore_ns(0, 0, 0), HEARTH_RESTORE_LATENCY_NS);
	KUNIT_EXPECT_EQ(test, hearth_restore_ns(GB, 2 * GB, 4 * NSEC_PER_SEC),
			HEARTH_RESTORE_LATENCY_NS + 2 * NSEC_PER_SEC);
	KUNIT_EXPECT_GT(test, hearth_restore_ns(U64_MAX, 1, U64_MAX), 0);
}

static struct kunit_case budget_cases[] = {
	KUNIT_CASE(one_account_per_user),
	KUNIT_CASE(charge_up_to_the_budget),
	KUNIT_CASE(charge_up_to_the_quota),
	KUNIT_CASE(dropping_too_much_is_dropping_all),
	KUNIT_CASE(a_smaller_budget_breaks_nothing),
	KUNIT_CASE(a_promise_is_kept),
	KUNIT_CASE(a_promise_pays_a_part),
	KUNIT_CASE(a_promise_pays_what_is_there),
	KUNIT_CASE(the_end_of_a_promise),
	KUNIT_CASE(a_promise_for_somebody_else),
	KUNIT_CASE(too_large_a_promise),
	KUNIT_CASE(another_user_pays),
	KUNIT_CASE(pinning_needs_a_quota),
	KUNIT_CASE(budget_random),
	{}
};

static struct kunit_case verdict_cases[] = {
	KUNIT_CASE(verdicts),
	KUNIT_CASE(verdict_numbers),
	KUNIT_CASE(now_means_now),
	KUNIT_CASE(verdict_is_monotone),
	KUNIT_CASE(classes),
	KUNIT_CASE(stages),
	KUNIT_CASE(states),
	KUNIT_CASE(victims),
	KUNIT_CASE(victims_random),
	KUNIT_CASE(room_for_a_restore),
	KUNIT_CASE(restore_time),
	{}
};

static struct kunit_suite budget_suite = {
	.name = "hearth_budget",
	.init = budget_test_init,
	.exit = budget_test_exit,
	.test_cases = budget_cases,
};

static struct kunit_suite verdict_suite = {
	.name = "hearth_verdict",
	.test_cases = verdict_cases,
};

kunit_test_suites(&budget_suite, &verdict_suite);

MODULE_DESCRIPTION("KUnit tests of the Hearth NPU's budgets and verdicts");
MODULE_LICENSE("GPL");
