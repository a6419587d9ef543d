// SPDX-License-Identifier: MIT
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <hw/hearth_cmd.h>

#include "base/err.h"
#include "formats/gguf.h"
#include "llm/hparams.h"

#define MAX_LAYERS	1024

static const char *const known_archs = "llama";

static void copy_str(char *dst, size_t size, struct gguf_str s)
{
	size_t n = s.len < size - 1 ? s.len : size - 1;

	memcpy(dst, s.ptr, n);
	dst[n] = '\0';
}

static int read_arch(const struct gguf *g, struct llm_hparams *hp,
		     struct hearth_err *err)
{
	struct gguf_str s = { "", 0 };
	int ret = gguf_get_str(g, "general.architecture", &s, err);

	if (ret)
		return ret;
	copy_str(hp->arch, sizeof(hp->arch), s);
	if (strcmp(hp->arch, known_archs))
		return hearth_err_set(err, -EOPNOTSUPP,
				      "architecture '%s' is not supported; these are: %s",
				      hp->arch, known_archs);
	s = (struct gguf_str){ "unnamed", 7 };
	ret = gguf_get_str(g, "general.name", &s, err);
	if (ret && ret != -ENOENT)
		return ret;
	copy_str(hp->name, sizeof(hp->name), s);
	return 0;
}

/* "<arch>.<key>"; a key that is not there leaves the default in *v. */
static int get_u32(const struct gguf *g, const struct llm_hparams *hp,
		   const char *key, bool needed, uint32_t *v,
		   struct hearth_err *err)
{
	char full[96];
	int ret;

	snprintf(full, sizeof(full), "%s.%s", hp->arch, key);
	ret = gguf_get_u32(g, full, v, err);
	return ret == -ENOENT && !needed ? 0 : ret;
}

static int get_f32(const struct gguf *g, const struct llm_hparams *hp,
		   const char *key, float *v, struct hearth_err *err)
{
	char full[96];
	int ret;

	snprintf(full, sizeof(full), "%s.%s", hp->arch, key);
	ret = gguf_get_f32(g, full, v, err);
	return ret == -ENOENT ? 0 : ret;
}

static int read_sizes(const struct gguf *g, struct llm_hparams *hp,
		      struct hearth_err *err)
{
	const struct {
		const char *key;
		uint32_t *v;
	} needed[] = {
		{ "context_length", &hp->n_ctx },
		{ "embedding_length", &hp->n_embd },
		{ "feed_forward_length", &hp->n_ff },
		{ "block_count", &hp->n_layer },
		{ "attention.head_count", &hp->n_head },
	};
	size_t i;

	for (i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		int ret = get_u32(g, hp, needed[i].key, true, needed[i].v, err);

		if (ret)
			return ret;
		if (!*needed[i].v || *needed[i].v > HEARTH_CMD_MAX_DIM)
			return hearth_err_set(err, -EINVAL,
					      "%s.%s is %u: 1 to %u are possible",
					      hp->arch, needed[i].key,
					      *needed[i].v, HEARTH_CMD_MAX_DIM);
	}
	if (hp->n_layer > MAX_LAYERS)
		return hearth_err_set(err, -EINVAL,
				      "%s.block_count is %u: at most %u are possible",
				      hp->arch, hp->n_layer, MAX_LAYERS);
	return 0;
}

static int read_heads(const struct gguf *g, struct llm_hparams *hp,
		      struct hearth_err *err)
{
	uint32_t value_dim;
	int ret;

	hp->n_head_kv = hp->n_head;
	hp->head_dim = hp->n_embd / hp->n_head;
	ret = get_u32(g, hp, "attention.head_count_kv", false, &hp->n_head_kv, err);
	if (!ret)
		ret = get_u32(g, hp, "attention.key_length", false,
			      &hp->head_dim, err);
	value_dim = hp->head_dim;
	if (!ret)
		ret = get_u32(g, hp, "attention.value_length", false,
			      &value_dim, err);
	hp->n_rot = hp->head_dim;
	if (!ret)
		ret = get_u32(g, hp, "rope.dimension_count", false, &hp->n_rot,
			      err);
	if (ret)
		return ret;
	if (!hp->n_head_kv || hp->n_head % hp->n_head_kv)
		return hearth_err_set(err, -EINVAL,
				      "%s.attention.head_count_kv is %u, which does not divide %u heads",
				      hp->arch, hp->n_head_kv, hp->n_head);
	if (!hp->head_dim || hp->head_dim > HEARTH_CMD_MAX_DIM / hp->n_head ||
	    value_dim != hp->head_dim)
		return hearth_err_set(err, -EINVAL,
				      "%s.attention: key length %u, value length %u, %u heads",
				      hp->arch, hp->head_dim, value_dim,
				      hp->n_head);
	if (!hp->n_rot || hp->n_rot % 2 || hp->n_rot > hp->head_dim)
		return hearth_err_set(err, -EINVAL,
				      "%s.rope.dimension_count is %u: an even number up to %u is possible",
				      hp->arch, hp->n_rot, hp->head_dim);
	return 0;
}

static int read_rope_scaling(const struct gguf *g, struct llm_hparams *hp,
			     struct hearth_err *err)
{
	struct gguf_str type = { "none", 4 };
	float factor = 1.0f;
	char key[96];
	int ret;

	snprintf(key, sizeof(key), "%s.rope.scaling.type", hp->arch);
	ret = gguf_get_str(g, key, &type, err);
	if (ret && ret != -ENOENT)
		return ret;
	ret = get_f32(g, hp, "rope.scaling.factor", &factor, err);
	if (ret)
		return ret;
	if (gguf_find_tensor(g, "rope_freqs.weight"))
		return hearth_err_set(err, -EOPNOTSUPP,
				      "tensor 'rope_freqs.weight': per-frequency rope scaling is not supported");
	if (gguf_str_eq(type, "none"))
		factor = 1.0f;
	else if (!gguf_str_eq(type, "linear"))
		return hearth_err_set(err, -EOPNOTSUPP,
				      "%s '%.*s' is not supported; none and linear are",
				      key, (int)(type.len < 32 ? type.len : 32),
				      type.ptr);
	if (!(factor > 0.0f) || !isfinite(factor))
		return hearth_err_set(err, -EINVAL, "%s.rope.scaling.factor is %g",
				      hp->arch, factor);
	hp->rope_freq_scale = 1.0f / factor;
	return 0;
}

static int read_floats(const struct gguf *g, struct llm_hparams *hp,
		       struct hearth_err *err)
{
	int ret;

	hp->rms_eps = 1e-5f;
	hp->rope_base = 10000.0f;
	ret = get_f32(g, hp, "attention.layer_norm_rms_epsilon", &hp->rms_eps, err);
	if (!ret)
		ret = get_f32(g, hp, "rope.freq_base", &hp->rope_base, err);
	if (ret)
		return ret;
	if (!(hp->rms_eps >= 0.0f) || !isfinite(hp->rms_eps))
		return hearth_err_set(err, -EINVAL,
				      "%s.attention.layer_norm_rms_epsilon is %g",
				      hp->arch, hp->rms_eps);
	if (!(hp->rope_base >= 1.0f) || !isfinite(hp->rope_base))
		return hearth_err_set(err, -EINVAL, "%s.rope.freq_base is %g",
				      hp->arch, hp->rope_base);
	return read_rope_scaling(g, hp, err);
}

/* The embedding's rows are the vocabulary that the network knows. */
static int read_vocab(const struct gguf *g, struct llm_hparams *hp,
		      struct hearth_err *err)
{
	const struct gguf_tensor *t;
	int ret = gguf_get_tensor(g, "token_embd.weight", &t, err);

	if (ret)
		return ret;
	if (t->dims[1] > HEARTH_CMD_MAX_DIM)
		return hearth_err_set(err, -EINVAL,
				      "tensor 'token_embd.weight' has %llu rows: at most %u are possible",
				      (unsigned long long)t->dims[1],
				      HEARTH_CMD_MAX_DIM);
	hp->n_vocab = t->dims[1];
	return 0;
}

static int refuse_experts(const struct gguf *g, struct llm_hparams *hp,
			  struct hearth_err *err)
{
	uint32_t n = 0;
	int ret = get_u32(g, hp, "expert_count", false, &n, err);

	if (ret)
		return ret;
	return n ? hearth_err_set(err, -EOPNOTSUPP,
				  "%s.expert_count is %u: mixtures of experts are not supported",
				  hp->arch, n) : 0;
}

int llm_hparams_read(const struct gguf *g, struct llm_hparams *hp,
		     struct hearth_err *err)
{
	int (*const steps[])(const struct gguf *, struct llm_hparams *,
			     struct hearth_err *) = {
		read_arch, read_sizes, read_heads, read_floats, read_vocab,
		refuse_experts,
	};
	size_t i;

	memset(hp, 0, sizeof(*hp));
	for (i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		int ret = steps[i](g, hp, err);

		if (ret)
			return ret;
	}
	return 0;
}
