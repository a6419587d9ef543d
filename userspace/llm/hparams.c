// SPDX-License-Identifier: MIT
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <hw/hearth_cmd.h>

#include "base/err.h"
#include "formats/gguf.h"
#include "llm/hparams.h"

#define MAX_LAYERS	1024
/* Of a rope table there are as many columns as a head has elements. */
#define MAX_HEAD_DIM	8192

static const struct arch {
	const char *name;
	uint32_t features;
} archs[] = {
	{ "llama", 0 },
	{ "baichuan", 0 },
	{ "qwen2", LLM_ROPE_HALVES },
	{ "qwen3", LLM_ROPE_HALVES | LLM_QK_NORM },
	{ "phi3", LLM_ROPE_HALVES | LLM_WINDOW | LLM_LONG_ROPE },
	{ "gemma2", LLM_ROPE_HALVES | LLM_POST_NORM | LLM_GELU | LLM_SCALE_EMBD | LLM_CAP_SCORES |
		    LLM_WINDOW },
	{ "gemma3", LLM_ROPE_HALVES | LLM_POST_NORM | LLM_GELU | LLM_SCALE_EMBD | LLM_QK_NORM |
		    LLM_WINDOW },
};

#define N_ARCHS	(sizeof(archs) / sizeof(*archs))

static void copy_str(char *dst, size_t size, struct gguf_str s)
{
	size_t n = s.len < size - 1 ? s.len : size - 1;

	memcpy(dst, s.ptr, n);
	dst[n] = '\0';
	/* these are shown, and a terminal obeys what a file may hold */
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)dst[i] < 0x20 || dst[i] == 0x7f ||
		    (i && dst[i - 1] == '\xc2' && (dst[i] & 0xe0) == 0x80))
			dst[i] = '?';
}

static int unknown_arch(const char *arch, struct hearth_err *err)
{
	char list[128] = "";
	size_t n = 0;

	for (size_t i = 0; i < N_ARCHS; i++)
		n += snprintf(list + n, sizeof(list) - n, "%s%s", i ? ", " : "", archs[i].name);
	return hearth_err_set(err, -EOPNOTSUPP,
			      "architecture '%s' is not supported; these are: %s", arch, list);
}

static bool is_arch(const struct llm_hparams *hp, const char *name)
{
	return !strcmp(hp->arch, name);
}

static int read_arch(const struct gguf *g, struct llm_hparams *hp,
		     struct hearth_err *err)
{
	struct gguf_str s = { "", 0 };
	size_t i = 0;
	int ret = gguf_get_str(g, "general.architecture", &s, err);

	if (ret)
		return ret;
	copy_str(hp->arch, sizeof(hp->arch), s);
	while (i < N_ARCHS && !is_arch(hp, archs[i].name))
		i++;
	if (i == N_ARCHS)
		return unknown_arch(hp->arch, err);
	hp->features = archs[i].features;
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
	/* the larger Baichuan has no rope, and only the number of layers tells */
	if (is_arch(hp, "baichuan") && hp->n_layer != 32)
		return hearth_err_set(err, -EOPNOTSUPP,
				      "baichuan.block_count is %u: only the layout of 32 layers is supported",
				      hp->n_layer);
	return 0;
}

static int read_heads(const struct gguf *g, struct llm_hparams *hp,
		      struct hearth_err *err)
{
	uint32_t value_dim;
	int ret;

	hp->n_head_kv = hp->n_head;
	hp->head_dim = hp->n_embd % hp->n_head ? 0 : hp->n_embd / hp->n_head;
	ret = get_u32(g, hp, "attention.head_count_kv", false, &hp->n_head_kv, err);
	if (!ret)
		ret = get_u32(g, hp, "attention.key_length", false,
			      &hp->head_dim, err);
	if (!ret && !hp->head_dim)
		return hearth_err_set(err, -EINVAL,
				      "%s.attention: head_count %u does not divide embedding_length %u, and key_length is 0",
				      hp->arch, hp->n_head, hp->n_embd);
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
	if (hp->head_dim > MAX_HEAD_DIM || hp->head_dim > HEARTH_CMD_MAX_DIM / hp->n_head)
		return hearth_err_set(err, -EINVAL,
				      "%s.attention: %u heads of %u elements: at most %u elements, %u in all",
				      hp->arch, hp->n_head, hp->head_dim, MAX_HEAD_DIM,
				      HEARTH_CMD_MAX_DIM);
	if (value_dim != hp->head_dim)
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

static int bad_float(const struct llm_hparams *hp, const char *key, float v,
		     struct hearth_err *err)
{
	return hearth_err_set(err, -EINVAL, "%s.%s is %g", hp->arch, key, v);
}

static int unknown_scaling(const struct llm_hparams *hp, struct gguf_str type,
			   struct hearth_err *err)
{
	return hearth_err_set(err, -EOPNOTSUPP,
			      "%s.rope.scaling.type '%.*s' is not supported; none, linear%s are",
			      hp->arch, (int)(type.len < 32 ? type.len : 32), type.ptr,
			      hp->features & LLM_LONG_ROPE ? ", longrope" : "");
}

/* Without a type a factor is a linear one, and 0 is none. */
static int read_rope_scaling(const struct gguf *g, struct llm_hparams *hp,
			     struct hearth_err *err)
{
	struct gguf_str type = { "", 0 };
	float factor = 1.0f;
	char key[96];
	int ret;

	snprintf(key, sizeof(key), "%s.rope.scaling.type", hp->arch);
	ret = gguf_get_str(g, key, &type, err);
	if (ret && ret != -ENOENT)
		return ret;
	ret = get_f32(g, hp, "rope.scale_linear", &factor, err);
	if (!ret)
		ret = get_f32(g, hp, "rope.scaling.factor", &factor, err);
	if (ret)
		return ret;
	if (gguf_str_eq(type, "none") || (!type.len && factor == 0))
		factor = 1.0f;
	else if (type.len && !gguf_str_eq(type, "linear") &&
		 !(hp->features & LLM_LONG_ROPE && gguf_str_eq(type, "longrope")))
		return unknown_scaling(hp, type, err);
	if (!(factor > 0.0f) || !isfinite(factor))
		return bad_float(hp, "rope.scaling.factor", factor, err);
	hp->rope.freq_scale = 1.0f / factor;
	return 0;
}

static int read_rope(const struct gguf *g, struct llm_hparams *hp, struct hearth_err *err)
{
	int ret;

	hp->rope = hp->rope_local = (struct llm_rope){ 10000.0f, 1.0f, 1.0f };
	hp->n_ctx_short = hp->n_ctx;
	ret = get_f32(g, hp, "rope.freq_base", &hp->rope.base, err);
	if (!ret)
		ret = get_f32(g, hp, "rope.scaling.attn_factor", &hp->rope.magnitude, err);
	if (!ret)
		ret = get_u32(g, hp, "rope.scaling.original_context_length", false,
			      &hp->n_ctx_short, err);
	if (!ret)
		ret = read_rope_scaling(g, hp, err);
	/* gemma3's local layers have a base of their own, other models' have not */
	if (!is_arch(hp, "gemma3"))
		hp->rope_local = hp->rope;
	else if (!ret)
		ret = get_f32(g, hp, "rope.freq_base_swa", &hp->rope_local.base, err);
	if (ret)
		return ret;
	if (!(hp->rope.base >= 1.0f) || !isfinite(hp->rope.base))
		return bad_float(hp, "rope.freq_base", hp->rope.base, err);
	if (!(hp->rope_local.base >= 1.0f) || !isfinite(hp->rope_local.base))
		return bad_float(hp, "rope.freq_base_swa", hp->rope_local.base, err);
	if (!(hp->rope.magnitude > 0.0f) || !isfinite(hp->rope.magnitude))
		return bad_float(hp, "rope.scaling.attn_factor", hp->rope.magnitude, err);
	return 0;
}

static int read_caps(const struct gguf *g, struct llm_hparams *hp, struct hearth_err *err)
{
	int ret;

	if (hp->features & LLM_CAP_SCORES) {
		hp->attn_cap = 50.0f;
		hp->logit_cap = 30.0f;
	}
	ret = get_f32(g, hp, "attn_logit_softcapping", &hp->attn_cap, err);
	if (!ret)
		ret = get_f32(g, hp, "final_logit_softcapping", &hp->logit_cap, err);
	if (ret)
		return ret;
	if (!(hp->attn_cap >= 0.0f) || !isfinite(hp->attn_cap))
		return bad_float(hp, "attn_logit_softcapping", hp->attn_cap, err);
	if (!(hp->logit_cap >= 0.0f) || !isfinite(hp->logit_cap))
		return bad_float(hp, "final_logit_softcapping", hp->logit_cap, err);
	return 0;
}

/* The largest gemmas divide scores by another number; no key tells. */
static bool scales_by_embd(const struct llm_hparams *hp)
{
	return (is_arch(hp, "gemma2") && hp->n_layer == 46) ||
	       (is_arch(hp, "gemma3") && hp->n_layer == 62);
}

static int read_floats(const struct gguf *g, struct llm_hparams *hp,
		       struct hearth_err *err)
{
	int ret;

	hp->rms_eps = 1e-5f;
	hp->embd_scale = hp->features & LLM_SCALE_EMBD ? sqrtf((float)hp->n_embd) : 1.0f;
	if (scales_by_embd(hp))
		hp->attn_scale = 1.0f / sqrtf((float)(hp->n_embd / hp->n_head));
	ret = get_f32(g, hp, "attention.layer_norm_rms_epsilon", &hp->rms_eps, err);
	if (!ret)
		ret = get_f32(g, hp, "attention.scale", &hp->attn_scale, err);
	if (ret)
		return ret;
	if (!(hp->rms_eps >= 0.0f) || !isfinite(hp->rms_eps))
		return bad_float(hp, "attention.layer_norm_rms_epsilon", hp->rms_eps, err);
	if (!isfinite(hp->attn_scale))
		return bad_float(hp, "attention.scale", hp->attn_scale, err);
	ret = read_caps(g, hp, err);
	return ret ? ret : read_rope(g, hp, err);
}

/* Only families that were trained with a window have one here; 0 is phi3's for none. */
static int read_window(const struct gguf *g, struct llm_hparams *hp, struct hearth_err *err)
{
	uint32_t period = is_arch(hp, "gemma2") ? 2 : is_arch(hp, "gemma3") ? 6 : 0;
	uint32_t window = is_arch(hp, "gemma2") ? 4096 : 0, absent = window;
	int ret;

	if (!(hp->features & LLM_WINDOW))
		return 0;
	ret = get_u32(g, hp, "attention.sliding_window", true, &window, err);
	if (!ret && (window > HEARTH_CMD_MAX_DIM || (!window && !is_arch(hp, "phi3"))))
		return hearth_err_set(err, -EINVAL,
				      "%s.attention.sliding_window is %u: 1 to %u are possible",
				      hp->arch, window, HEARTH_CMD_MAX_DIM);
	hp->window = ret == -ENOENT ? absent : window;
	if ((ret && ret != -ENOENT) || !period)
		return ret == -ENOENT ? 0 : ret;
	hp->window_period = period;
	ret = get_u32(g, hp, "attention.sliding_window_pattern", false, &hp->window_period, err);
	if (!ret && !hp->window_period)
		return hearth_err_set(err, -EINVAL,
				      "%s.attention.sliding_window_pattern is 0: 1 or more are possible",
				      hp->arch);
	return ret;
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

/* Keys whose models compute something else than is built here. */
static int refuse_others(const struct gguf *g, struct llm_hparams *hp,
			 struct hearth_err *err)
{
	static const char *const keys[] = {
		"expert_count", "expert_used_count", "ssm.conv_kernel", "altup.num_inputs",
		"embedding_length_per_layer_input",
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		uint32_t n = 0;
		int ret = get_u32(g, hp, keys[i], false, &n, err);

		if (ret)
			return ret;
		if (n)
			return hearth_err_set(err, -EOPNOTSUPP,
					      "%s.%s is %u: %s not supported", hp->arch, keys[i], n,
					      i < 2 ? "mixtures of experts are" : "this is");
	}
	return 0;
}

int llm_hparams_read(const struct gguf *g, struct llm_hparams *hp,
		     struct hearth_err *err)
{
	int (*const steps[])(const struct gguf *, struct llm_hparams *,
			     struct hearth_err *) = {
		read_arch, read_sizes, read_heads, read_floats, read_window, read_vocab,
		refuse_others,
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
