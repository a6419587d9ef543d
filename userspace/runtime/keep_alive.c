// SPDX-License-Identifier: MIT
/* Ollama's keep_alive: seconds, or Go's durations. */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "hearth.h"
#include "runtime/error.h"

static const struct {
	const char *name;
	int64_t ns;
} units[] = {
	/* longer names first: "ms" begins with "m" */
	{ "ns", 1 },
	{ "us", 1000 },
	{ "ms", 1000000 },
	{ "s", 1000000000 },
	{ "m", 60 * 1000000000ll },
	{ "h", 3600 * 1000000000ll },
};

static int refuse(const char *text)
{
	return hearth_seterr(-EINVAL,
			     "keep-alive '%.64s': seconds (300), a duration (5m, 1h30m), 0 for none or -1 for forever are needed",
			     text);
}

static int too_long(const char *text)
{
	return hearth_seterr(-ERANGE, "keep-alive '%.64s': at most 292 years are possible",
			     text);
}

/* A number's digits, "12.5": whole part, and billionths. */
struct number {
	int64_t whole;
	int64_t nano;
	bool digits, overflow;
};

static const char *read_number(const char *p, struct number *n)
{
	int64_t scale = 1000000000;

	memset(n, 0, sizeof(*n));
	for (; isdigit((unsigned char)*p); p++) {
		n->digits = true;
		if (__builtin_mul_overflow(n->whole, 10, &n->whole) ||
		    __builtin_add_overflow(n->whole, *p - '0', &n->whole))
			n->overflow = true;
	}
	if (*p != '.')
		return p;
	for (p++; isdigit((unsigned char)*p); p++) {
		n->digits = true;
		scale /= 10;
		n->nano += (*p - '0') * scale;
	}
	return p;
}

/* NULL if there is no unit at @p. */
static const char *read_unit(const char *p, int64_t *ns)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		size_t len = strlen(units[i].name);

		if (!strncmp(p, units[i].name, len)) {
			*ns = units[i].ns;
			return p + len;
		}
	}
	return NULL;
}

/* whole * unit + nano * unit / 1e9, added to @sum; false if it overflows. */
static bool add_part(const struct number *n, int64_t unit, int64_t *sum)
{
	int64_t part;

	/* nano < 1e9 and unit <= 3.6e12: without the split it would overflow */
	int64_t frac = unit >= 1000000000 ? n->nano * (unit / 1000000000) :
					    n->nano * unit / 1000000000;

	return !n->overflow && !__builtin_mul_overflow(n->whole, unit, &part) &&
	       !__builtin_add_overflow(*sum, part, sum) &&
	       !__builtin_add_overflow(*sum, frac, sum);
}

/* @p: behind the sign. */
static int parse_duration(const char *text, const char *p, int64_t *ns)
{
	bool first = true, fits = true;

	*ns = 0;
	do {
		int64_t unit = 1000000000;
		struct number n;

		p = read_number(p, &n);
		if (!n.digits)
			return refuse(text);
		if (*p || !first)
			p = read_unit(p, &unit);
		if (!p)
			return refuse(text);
		fits = add_part(&n, unit, ns) && fits;
		first = false;
	} while (*p);
	return fits ? 0 : too_long(text);
}

int hearth_keep_alive_parse(const char *text, int64_t *keep_alive_ns)
{
	const char *p = text;
	bool negative = *p == '-';
	int64_t ns;
	int ret;

	if (*p == '-' || *p == '+')
		p++;
	ret = parse_duration(text, p, &ns);
	if (ret)
		return ret;
	if (!ns)
		ns = HEARTH_KEEP_NONE;
	*keep_alive_ns = negative && ns > 0 ? HEARTH_KEEP_FOREVER : ns;
	return 0;
}
