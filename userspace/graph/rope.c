// SPDX-License-Identifier: MIT
/*
 * The cosines and sines that are given to ROPE.
 */
#include <errno.h>
#include <stdlib.h>

#include <hw/hearth_cmd.h>

#include "hearth.h"
#include "kernels/rope_table.h"
#include "runtime/error.h"
#include "runtime/opts.h"

struct hearth_rope {
	struct hk_rope_params p;
	double freqs[];
};

int hearth_rope_create(const struct hearth_rope_opts *opts, struct hearth_rope **out)
{
	HEARTH_OPTS_LOCAL(hearth_rope_opts, o, opts, ret);
	struct hearth_rope *rope;
	size_t pairs;

	if (ret)
		return ret;
	/* more of them are refused below */
	pairs = o.dims <= HEARTH_CMD_MAX_DIM ? o.dims / 2 : 0;
	rope = malloc(sizeof(*rope) + pairs * sizeof(*rope->freqs));
	if (!rope)
		return hearth_seterr(-ENOMEM, "no memory for a rope of %u dims", o.dims);
	rope->p = (struct hk_rope_params){
		.n_ctx = o.n_ctx,
		.n_rot = o.dims,
		.freq_base = o.base,
		.scale = o.freq_scale == 0 ? 1 : o.freq_scale,
		.factors = o.factors,
		.magnitude = o.magnitude,
	};
	if (hk_rope_freqs(&rope->p, rope->freqs)) {
		free(rope);
		return hearth_seterr(-EINVAL,
				     "no rope of %u positions, dims %u, base %g, freq_scale %g, magnitude %g is possible",
				     o.n_ctx, o.dims, (double)o.base, (double)o.freq_scale,
				     (double)o.magnitude);
	}
	/* They are in the frequencies now, and the caller's to free. */
	rope->p.factors = NULL;
	*out = rope;
	return 0;
}

void hearth_rope_destroy(struct hearth_rope *rope)
{
	free(rope);
}

int hearth_rope_rows(const struct hearth_rope *rope, uint32_t first, uint32_t n, float *rows)
{
	if (first > rope->p.n_ctx || n > rope->p.n_ctx - first)
		return hearth_seterr(-EINVAL, "rope: positions %u to %llu: there are %u", first,
				     (unsigned long long)first + n, rope->p.n_ctx);
	hk_rope_rows(&rope->p, rope->freqs, first, n, rows);
	return 0;
}
