// SPDX-License-Identifier: MIT
/* What the metadata of a GGUF file says of a model, and what it must not say. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "llm/hparams.h"
#include "llm_sample.h"

static int read_hparams(const struct spec *s, struct llm_hparams *hp,
			struct hearth_err *err)
{
	struct bytes b = { 0 };
	struct gguf *g;
	int ret;

	write_model(&b, s);
	assert_int_equal(gguf_open_mem(b.p, b.n, &g, err), 0);
	ret = llm_hparams_read(g, hp, err);
	gguf_close(g);
	free(b.p);
	return ret;
}

static void hparams_are_read(void **state)
{
	struct llm_hparams hp;
	struct hearth_err err;

	assert_int_equal(read_hparams(&good, &hp, &err), 0);
	assert_string_equal(hp.arch, "llama");
	assert_string_equal(hp.name, "unnamed");
	assert_int_equal(hp.n_vocab, VOCAB);
	assert_int_equal(hp.n_ctx, CTX);
	assert_int_equal(hp.n_head_kv, 2);
	assert_int_equal(hp.head_dim, HEAD_DIM);
	assert_true(hp.rope.freq_scale == 1.0f);
}

static void hparams_linear_scaling_is_read(void **state)
{
	struct spec s = good;
	struct llm_hparams hp;
	struct hearth_err err;

	s.scaling = "linear";
	s.factor = 4;
	assert_int_equal(read_hparams(&s, &hp, &err), 0);
	assert_true(hp.rope.freq_scale == 0.25f);
}

static void hparams_bad_values_are_refused_by_name(void **state)
{
#define BAD(FIELD, VALUE, CODE, TEXT)					\
	do {								\
		struct spec s_ = good;					\
		struct llm_hparams hp_;					\
		struct hearth_err err_;					\
									\
		s_.FIELD = VALUE;					\
		assert_int_equal(read_hparams(&s_, &hp_, &err_), CODE);	\
		assert_non_null(strstr(err_.msg, TEXT));		\
	} while (0)

	BAD(arch, "mamba", -EOPNOTSUPP,
	    "'mamba' is not supported; these are: llama, baichuan, qwen2, qwen3, phi3, gemma2, gemma3");
	BAD(arch, "llama4", -EOPNOTSUPP, "'llama4'");
	BAD(arch, "baichuan", -EOPNOTSUPP, "baichuan.block_count is 2");
	BAD(ctx, 0, -EINVAL, "llama.context_length is 0");
	BAD(embd, 1u << 30, -EINVAL, "llama.embedding_length");
	BAD(ff, 0, -EINVAL, "llama.feed_forward_length");
	BAD(layers, 5000, -EINVAL, "llama.block_count is 5000");
	BAD(heads, 0, -EINVAL, "llama.attention.head_count");
	BAD(heads_kv, 3, -EINVAL, "head_count_kv is 3");
	BAD(heads_kv, 0, -EINVAL, "head_count_kv is 0");
	BAD(heads, 64, -EINVAL, "head_count 64 does not divide embedding_length 32");
	BAD(heads, 3, -EINVAL, "head_count 3 does not divide embedding_length 32");
	BAD(heads, 1u << 25, -EINVAL, "llama.attention.head_count is 33554432");
	BAD(rot, 7, -EINVAL, "llama.rope.dimension_count is 7");
	BAD(rot, 64, -EINVAL, "llama.rope.dimension_count is 64");
	BAD(rot, 0, -EINVAL, "llama.rope.dimension_count is 0");
	BAD(eps, -1, -EINVAL, "layer_norm_rms_epsilon is -1");
	BAD(eps, NAN, -ERANGE, "layer_norm_rms_epsilon");
	BAD(base, 0, -EINVAL, "llama.rope.freq_base is 0");
	BAD(base, INFINITY, -ERANGE, "llama.rope.freq_base");
	BAD(scaling, "yarn", -EOPNOTSUPP, "'yarn'");
	BAD(scaling, "linear", -EINVAL, "llama.rope.scaling.factor is 0");
	BAD(scaling, "longrope", -EOPNOTSUPP, "'longrope' is not supported; none, linear are");
	BAD(experts, 8, -EOPNOTSUPP, "llama.expert_count is 8");
#undef BAD
}

/* One more key, which an architecture must not have with that value. */
static void hparams_bad_keys_are_refused_by_name(void **state)
{
	static const struct {
		const char *arch, *key;
		double v;
		int code;
		const char *text;
	} bad[] = {
		{ "llama", "attention.key_length", 0, -EINVAL, "key_length is 0" },
		{ "llama", "attention.key_length", 8193, -EINVAL,
		  "llama.attention: 4 heads of 8193 elements: at most 8192 elements" },
		{ "llama", "attention.value_length", 7, -EINVAL, "key length 8, value length 7" },
		{ "llama", "attention.scale", INFINITY, -ERANGE, "llama.attention.scale" },
		{ "llama", "expert_used_count", 2, -EOPNOTSUPP,
		  "llama.expert_used_count is 2: mixtures of experts" },
		{ "llama", "ssm.conv_kernel", 4, -EOPNOTSUPP, "llama.ssm.conv_kernel is 4" },
		{ "llama", "rope.scaling.attn_factor", -1, -EINVAL, "attn_factor is -1" },
		{ "llama", "attn_logit_softcapping", -1, -EINVAL, "attn_logit_softcapping is -1" },
		{ "gemma2", "final_logit_softcapping", -2, -EINVAL, "final_logit_softcapping is -2" },
		{ "gemma2", "attention.sliding_window", 0, -EINVAL,
		  "gemma2.attention.sliding_window is 0: 1 to 16777216" },
		{ "gemma3", "attention.sliding_window", 0, -EINVAL, "sliding_window is 0" },
		{ "phi3", "attention.sliding_window", (1 << 24) + 1, -EINVAL,
		  "phi3.attention.sliding_window is 16777217" },
		{ "gemma3", "attention.sliding_window_pattern", 0, -EINVAL,
		  "gemma3.attention.sliding_window_pattern is 0" },
		{ "gemma3", "rope.freq_base_swa", 0, -EINVAL, "gemma3.rope.freq_base_swa is 0" },
		{ "gemma3", "altup.num_inputs", 4, -EOPNOTSUPP, "gemma3.altup.num_inputs" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		bool whole = strstr(bad[i].key, "length") || strstr(bad[i].key, "count") ||
			     strstr(bad[i].key, "window") || strstr(bad[i].key, "kernel") ||
			     strstr(bad[i].key, "inputs");
		struct spec s = good;
		struct llm_hparams hp;
		struct hearth_err err;

		s.arch = bad[i].arch;
		s.more[0].key = bad[i].key;
		s.more[0].type = whole ? GGUF_VT_U32 : GGUF_VT_F32;
		s.more[0].v = bad[i].v;
		assert_int_equal(read_hparams(&s, &hp, &err), bad[i].code);
		if (!strstr(err.msg, bad[i].text))
			fail_msg("\"%s\" lacks \"%s\"", err.msg, bad[i].text);
	}
}

static void hparams_keys_are_needed(void **state)
{
	static const char *const keys[] = { "context_length", "embedding_length",
					    "feed_forward_length", "block_count",
					    "attention.head_count" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		struct spec s = good;
		struct llm_hparams hp;
		struct hearth_err err;

		s.without = keys[i];
		assert_int_equal(read_hparams(&s, &hp, &err), -ENOENT);
		assert_non_null(strstr(err.msg, keys[i]));
	}
}

/* Defaults of the families where the file is silent */
static void hparams_defaults_are_the_family_s(void **state)
{
	struct spec s = good;
	struct llm_hparams hp;
	struct hearth_err err;

	s.arch = "gemma2";
	assert_int_equal(read_hparams(&s, &hp, &err), 0);
	assert_int_equal(hp.window, 4096);
	assert_true(hp.attn_cap == 50 && hp.logit_cap == 30);
	assert_true(hp.embd_scale == sqrtf(EMBD) && hp.attn_scale == 0);
	assert_true(llm_is_local(&hp, 0) && !llm_is_local(&hp, 1));
	s.layers = 46;
	assert_int_equal(read_hparams(&s, &hp, &err), 0);
	assert_true(hp.attn_scale == 1 / sqrtf(EMBD / HEADS));
	s.arch = "gemma3";
	s.layers = 8;
	assert_int_equal(read_hparams(&s, &hp, &err), 0);
	assert_true(!hp.window && !llm_is_local(&hp, 0) && hp.attn_cap == 0 && hp.logit_cap == 0);
	s.scaling = "linear";
	s.factor = 8;
	s.more[0].key = "attention.sliding_window";
	s.more[0].type = GGUF_VT_U32;
	s.more[0].v = 512;
	assert_int_equal(read_hparams(&s, &hp, &err), 0);
	assert_true(llm_is_local(&hp, 4) && !llm_is_local(&hp, 5) && llm_is_local(&hp, 6));
	assert_true(hp.rope.freq_scale == 0.125f && hp.rope_local.freq_scale == 1);
	assert_true(hp.rope_local.base == 10000);
	/* all layers, and 0 is none */
	s.arch = "phi3";
	s.scaling = "longrope";
	assert_int_equal(read_hparams(&s, &hp, &err), 0);
	assert_true(hp.window == 512 && llm_is_local(&hp, 0) && llm_is_local(&hp, 7));
	s.more[0].v = 0;
	assert_int_equal(read_hparams(&s, &hp, &err), 0);
	assert_false(llm_is_local(&hp, 0));
	/* not trained with one */
	s = good;
	s.more[0].key = "attention.sliding_window";
	s.more[0].type = GGUF_VT_U32;
	s.more[0].v = 16;
	assert_int_equal(read_hparams(&s, &hp, &err), 0);
	assert_int_equal(hp.window, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hparams_are_read),
		cmocka_unit_test(hparams_linear_scaling_is_read),
		cmocka_unit_test(hparams_bad_values_are_refused_by_name),
		cmocka_unit_test(hparams_bad_keys_are_refused_by_name),
		cmocka_unit_test(hparams_keys_are_needed),
		cmocka_unit_test(hparams_defaults_are_the_family_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
