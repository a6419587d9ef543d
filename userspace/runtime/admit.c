// SPDX-License-Identifier: MIT
/* Would it fit? The question, and the answer as a sentence. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/model.h"
#include "runtime/opts.h"
#include "runtime/residency.h"
#include "runtime/system_memory.h"

/* Holders that the sentence names */
#define NAMED	3

#define MIB	(1ull << 20)

/* ---- the system's own answer ---- */

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* The smallest of what binds decides; @limit is the one that does. */
static void bind_limits(const struct hearth_system_memory *m, uint64_t cached,
			struct hearth_answer *a)
{
	a->limit = HEARTH_LIMIT_SYSTEM;
	a->limit_bytes = m->total;
	a->available_bytes = m->free;
	/* weights that are there already are no room for what is missing */
	a->after_drop_bytes = less(m->available, cached);
	if (m->limited) {
		uint64_t free = less(m->limit, m->used);
		uint64_t after = less(less(m->limit + m->cache, m->used), cached);

		if (after < a->after_drop_bytes || m->limit < m->total) {
			a->limit = HEARTH_LIMIT_QUOTA;
			a->limit_bytes = m->limit;
		}
		a->available_bytes = min(a->available_bytes, free);
		a->after_drop_bytes = min(a->after_drop_bytes, after);
	}
	if (a->available_bytes > a->after_drop_bytes)
		a->available_bytes = a->after_drop_bytes;
}

int hearth_system_admit(const struct hearth_demand *d, struct hearth_answer *a)
{
	uint64_t all = d->weights_bytes + d->state_bytes + d->scratch_bytes;
	struct hearth_system_memory m;
	uint64_t cached = 0;
	bool estimated;
	int ret = hearth_system_memory_read("", &m);

	if (ret)
		return ret;
	if (d->has_weights_fd)
		cached = min(hearth_cached_bytes(d->weights_fd, &estimated), d->weights_bytes);
	a->estimated = true;
	a->needed_bytes = all - cached;
	bind_limits(&m, cached, a);
	if (all > a->limit_bytes) {
		a->verdict = HEARTH_ADMIT_NEVER;
		return 0;
	}
	a->verdict = a->needed_bytes <= a->available_bytes ? HEARTH_ADMIT_NOW :
		     a->needed_bytes <= a->after_drop_bytes ? HEARTH_ADMIT_AFTER_DROP :
							      HEARTH_ADMIT_WAIT;
	if (a->verdict == HEARTH_ADMIT_NOW || a->verdict == HEARTH_ADMIT_AFTER_DROP) {
		a->limit = HEARTH_LIMIT_NONE;
		a->limit_bytes = 0;
	}
	return 0;
}

int hearth_system_memory(struct hearth_memory_info *info)
{
	struct hearth_system_memory m;
	int ret = hearth_system_memory_read("", &m);

	if (ret)
		return ret;
	info->budget = m.limited ? min(m.limit, m.total) : m.total;
	info->system_available = m.available;
	if (m.limited)
		info->system_available = min(m.available, less(m.limit + m.cache, m.used));
	return 0;
}

/* ---- the sentence ---- */

struct text {
	char *buf;
	size_t size, at;
};

__attribute__((format(printf, 2, 3)))
static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->at, t->size - t->at, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->at = min(t->at + n, t->size - 1);
}

/* Of whole MiB from 10 on, which is where people read models' sizes. */
static void put_mib(struct text *t, uint64_t bytes)
{
	if (bytes < 10 * MIB)
		put(t, "%.1f MiB", (double)bytes / MIB);
	else
		put(t, "%llu MiB", (unsigned long long)((bytes + MIB / 2) / MIB));
}

static const char *limit_name(enum hearth_limit limit)
{
	static const char *const name[] = {
		[HEARTH_LIMIT_NONE] = "memory",
		[HEARTH_LIMIT_BUDGET] = "budget",
		[HEARTH_LIMIT_QUOTA] = "quota",
		[HEARTH_LIMIT_RESERVATION] = "what reservations of others leave",
		[HEARTH_LIMIT_SYSTEM] = "the system's memory",
		[HEARTH_LIMIT_REGION] = "the region for weights",
		[HEARTH_LIMIT_VA] = "the device's address space",
	};

	return (unsigned int)limit <= HEARTH_LIMIT_VA ? name[limit] : "an unknown limit";
}

struct holders {
	const struct hearth_admit_opts *opts;
	struct text list;
	char buf[240];
	unsigned int n;
	/* ret: of the caller's function */
	int ret;
};

static int add_holder(const struct hearth_model_info *m, void *arg)
{
	struct holders *h = arg;

	if (h->n++ < NAMED) {
		put(&h->list, "%s%s (uid %u, ", h->n > 1 ? ", " : "",
		    m->name[0] ? m->name : "a model", m->uid);
		put_mib(&h->list, m->resident_bytes + m->state_bytes);
		put(&h->list, ")");
	}
	if (!h->ret && h->opts->victim)
		h->ret = h->opts->victim(m, h->opts->arg);
	return 0;
}

static void end_holders(struct holders *h, uint32_t n_victims)
{
	if (n_victims > NAMED)
		put(&h->list, " and %u more", n_victims - NAMED);
}

/* What there is, and who has the rest. */
static void put_holders(struct text *t, const struct hearth_answer *a, const char *holders)
{
	uint64_t evictable = less(a->after_drop_bytes, a->available_bytes);
	const char *held = " held by ";

	if (a->available_bytes) {
		put_mib(t, a->available_bytes);
		put(t, " free");
	}
	if (evictable) {
		put(t, "%s", a->available_bytes ? " and " : "");
		put_mib(t, evictable);
		put(t, " evictable");
	} else {
		put(t, "%s", a->available_bytes ? "" : "nothing free");
		held = a->available_bytes ? ", the rest held by " : ", all held by ";
	}
	if (*holders)
		put(t, "%s%s", held, holders);
}

static void describe(struct hearth_answer *a, const struct holders *h)
{
	struct text t = { a->text, sizeof(a->text), 0 };

	put(&t, "model needs ");
	put_mib(&t, a->needed_bytes);
	switch (a->verdict) {
	case HEARTH_ADMIT_NOW:
		put(&t, ", and ");
		put_mib(&t, a->available_bytes);
		put(&t, " are free");
		return;
	case HEARTH_ADMIT_AFTER_DROP:
		put(&t, ", of which ");
		put_mib(&t, a->available_bytes);
		put(&t, " are free; the rest comes from dropping %s",
		    h->n ? h->buf : "what can be read again");
		return;
	default:
		put(&t, ", %s is ", limit_name(a->limit));
		put_mib(&t, a->limit_bytes);
	}
	if (a->verdict == HEARTH_ADMIT_WAIT) {
		put(&t, " with ");
		put_holders(&t, a, h->buf);
		put(&t, ": wait, drop, or choose a smaller one");
	} else {
		put(&t, ": choose a smaller one");
	}
}

/* ---- the question ---- */

static int check_demand(struct hearth_demand *d)
{
	uint64_t sum;

	if (__builtin_add_overflow(d->weights_bytes, d->state_bytes, &sum) ||
	    __builtin_add_overflow(sum, d->scratch_bytes, &sum))
		return hearth_seterr(-EINVAL, "demand of more than 2^64 bytes");
	if (!sum)
		return hearth_seterr(-EINVAL, "demand of 0 bytes");
	return hearth_class_check(&d->model_class);
}

int hearth_admit(struct hearth_device *dev, const struct hearth_demand *demand,
		 const struct hearth_admit_opts *opts, struct hearth_answer *answer)
{
	HEARTH_OPTS_LOCAL(hearth_demand, d, demand, ret);
	struct hearth_answer a = { .sz = sizeof(a) };
	struct hearth_admit_opts caller, inner;
	struct holders h = { .opts = &caller, .list = { h.buf, sizeof(h.buf), 0 } };

	if (!ret)
		ret = hearth_opts_copy(&caller, sizeof(caller), opts, "hearth_admit_opts");
	if (!ret)
		ret = check_demand(&d);
	if (ret)
		return ret;
	inner = caller;
	inner.victim = add_holder;
	inner.arg = &h;
	ret = dev->backend->models->admit(dev, &d, &inner, &a);
	if (ret)
		return ret;
	end_holders(&h, a.n_victims);
	describe(&a, &h);
	ret = hearth_opts_give(answer, &a, sizeof(a), "hearth_answer");
	return ret ? ret : h.ret;
}

int hearth_reserve(struct hearth_device *dev, uint64_t bytes,
		   enum hearth_model_class model_class, int *reservation_fd)
{
	HEARTH_OPTS(hearth_demand, d, .state_bytes = bytes, .model_class = model_class);
	struct hearth_answer a = { .sz = sizeof(a) };
	int ret = check_demand(&d);

	if (!ret)
		ret = dev->backend->models->reserve(dev, bytes, d.model_class,
						    reservation_fd);
	if ((ret == -EDQUOT || ret == -EBUSY) && !hearth_admit(dev, &d, NULL, &a) &&
	    a.verdict > HEARTH_ADMIT_AFTER_DROP)
		hearth_seterr(ret, "%s", a.text);
	return ret;
}

int hearth_device_get_memory(struct hearth_device *dev, struct hearth_memory_info *info)
{
	struct hearth_memory_info i = { .sz = sizeof(i) };
	int ret = dev->backend->models->memory(dev, &i);

	return ret ? ret : hearth_opts_give(info, &i, sizeof(i), "hearth_memory_info");
}
