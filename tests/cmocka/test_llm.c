// SPDX-License-Identifier: MIT
/* Metadata, sampling, and a whole model that the test itself makes. */
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
#include "gguf_writer.h"
#include "hearth.h"
#include "llm/hparams.h"
#include "llm/sample.h"

#define VOCAB	(3 + 256)
#define EMBD	32
#define FF	64
#define HEADS	4
#define HEAD_DIM (EMBD / HEADS)
#define CTX	32
#define LAYERS	2

/* What a test changes in the model before it is written. */
struct spec {
	const char *arch;
	uint32_t ctx, embd, ff, layers, heads, heads_kv, rot, experts;
	float eps, base;
	const char *scaling;
	float factor;
	bool rope_freqs;
	uint64_t q_rows;
};

static const struct spec good = {
	.arch = "llama", .ctx = CTX, .embd = EMBD, .ff = FF, .layers = LAYERS,
	.heads = HEADS, .heads_kv = 2, .rot = HEAD_DIM, .eps = 1e-5f, .base = 10000,
	.q_rows = EMBD,
};

static void kv_f32(struct bytes *b, const char *key, float v)
{
	uint32_t bits;

	memcpy(&bits, &v, 4);
	gw_key(b, key, GGUF_VT_F32);
	bytes_u32(b, bits);
}

/* A SentencePiece vocabulary of control tokens and single bytes. */
static void write_vocab(struct bytes *b)
{
	char piece[8];

	gw_kv_str(b, "tokenizer.ggml.model", "llama");
	gw_kv_arr(b, "tokenizer.ggml.tokens", GGUF_VT_STR, VOCAB);
	gw_str(b, "<unk>");
	gw_str(b, "<s>");
	gw_str(b, "</s>");
	for (int i = 0; i < 256; i++) {
		snprintf(piece, sizeof(piece), "<0x%02X>", i);
		gw_str(b, piece);
	}
	gw_kv_arr(b, "tokenizer.ggml.scores", GGUF_VT_F32, VOCAB);
	for (int i = 0; i < VOCAB; i++)
		bytes_u32(b, 0);
	gw_kv_arr(b, "tokenizer.ggml.token_type", GGUF_VT_I32, VOCAB);
	for (int i = 0; i < VOCAB; i++)
		bytes_u32(b, i == 0 ? 2 : i < 3 ? 3 : 6);
	gw_kv_u32(b, "tokenizer.ggml.bos_token_id", 1);
	gw_kv_u32(b, "tokenizer.ggml.eos_token_id", 2);
}
#define VOCAB_KVS	6

static unsigned int write_kvs(struct bytes *b, const struct spec *s)
{
	unsigned int n = 12;

	gw_kv_str(b, "general.architecture", s->arch);
	gw_kv_u32(b, "llama.context_length", s->ctx);
	gw_kv_u32(b, "llama.embedding_length", s->embd);
	gw_kv_u32(b, "llama.feed_forward_length", s->ff);
	gw_kv_u32(b, "llama.block_count", s->layers);
	gw_kv_u32(b, "llama.attention.head_count", s->heads);
	gw_kv_u32(b, "llama.attention.head_count_kv", s->heads_kv);
	gw_kv_u32(b, "llama.rope.dimension_count", s->rot);
	gw_kv_u32(b, "llama.expert_count", s->experts);
	kv_f32(b, "llama.attention.layer_norm_rms_epsilon", s->eps);
	kv_f32(b, "llama.rope.freq_base", s->base);
	kv_f32(b, "llama.rope.scaling.factor", s->factor);
	if (s->scaling) {
		gw_kv_str(b, "llama.rope.scaling.type", s->scaling);
		n++;
	}
	write_vocab(b);
	return n + VOCAB_KVS;
}

struct data {
	uint64_t bytes;
	unsigned int n;
};

static void tensor(struct bytes *b, struct data *d, const char *name,
		   uint64_t rows, uint64_t cols)
{
	uint64_t dims[2] = { cols, rows };

	gw_tensor(b, name, GGUF_TYPE_F32, rows > 1 ? 2 : 1, dims, d->bytes);
	d->bytes = (d->bytes + rows * cols * 4 + 31) & ~31ull;
	d->n++;
}

static void write_tensors(struct bytes *b, const struct spec *s, struct data *d)
{
	char n[64];

	tensor(b, d, "token_embd.weight", VOCAB, EMBD);
	tensor(b, d, "output_norm.weight", 1, EMBD);
	if (s->rope_freqs)
		tensor(b, d, "rope_freqs.weight", 1, HEAD_DIM / 2);
	for (int l = 0; l < LAYERS; l++) {
		const struct {
			const char *name;
			uint64_t rows, cols;
		} w[] = {
			{ "attn_norm", 1, EMBD }, { "attn_q", s->q_rows, EMBD },
			{ "attn_k", 16, EMBD }, { "attn_v", 16, EMBD },
			{ "attn_output", EMBD, EMBD }, { "ffn_norm", 1, EMBD },
			{ "ffn_gate", FF, EMBD }, { "ffn_up", FF, EMBD },
			{ "ffn_down", EMBD, FF },
		};

		for (unsigned int i = 0; i < sizeof(w) / sizeof(*w); i++) {
			snprintf(n, sizeof(n), "blk.%d.%s.weight", l, w[i].name);
			tensor(b, d, n, w[i].rows, w[i].cols);
		}
	}
}

/* Header with counts, filled in when they are known. */
static void write_model(struct bytes *b, const struct spec *s)
{
	struct data d = { 0 };
	uint32_t v = 1, n_kv;
	size_t counts = gw_header(b, 3, 0, 0);

	n_kv = write_kvs(b, s);
	write_tensors(b, s, &d);
	memcpy(b->p + counts, &(uint64_t){ d.n }, 8);
	memcpy(b->p + counts + 8, &(uint64_t){ n_kv }, 8);
	while (b->n % 32)
		bytes_u8(b, 0);
	for (uint64_t i = 0; i < d.bytes / 4; i++) {
		float f;
		uint32_t bits;

		v = v * 1664525 + 1013904223;
		f = (int32_t)v * 0x1p-33f;
		memcpy(&bits, &f, 4);
		bytes_u32(b, bits);
	}
}

/* ---- metadata ---- */

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
	assert_true(hp.rope_freq_scale == 1.0f);
}

static void hparams_linear_scaling_is_read(void **state)
{
	struct spec s = good;
	struct llm_hparams hp;
	struct hearth_err err;

	s.scaling = "linear";
	s.factor = 4;
	assert_int_equal(read_hparams(&s, &hp, &err), 0);
	assert_true(hp.rope_freq_scale == 0.25f);
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

	BAD(arch, "mamba", -EOPNOTSUPP, "'mamba'");
	BAD(ctx, 0, -EINVAL, "llama.context_length is 0");
	BAD(embd, 1u << 30, -EINVAL, "llama.embedding_length");
	BAD(ff, 0, -EINVAL, "llama.feed_forward_length");
	BAD(layers, 5000, -EINVAL, "llama.block_count is 5000");
	BAD(heads, 0, -EINVAL, "llama.attention.head_count");
	BAD(heads_kv, 3, -EINVAL, "head_count_kv is 3");
	BAD(heads_kv, 0, -EINVAL, "head_count_kv is 0");
	BAD(heads, 64, -EINVAL, "llama.attention: key length 0");
	BAD(rot, 7, -EINVAL, "llama.rope.dimension_count is 7");
	BAD(rot, 64, -EINVAL, "llama.rope.dimension_count is 64");
	BAD(rot, 0, -EINVAL, "llama.rope.dimension_count is 0");
	BAD(eps, -1, -EINVAL, "layer_norm_rms_epsilon is -1");
	BAD(eps, NAN, -ERANGE, "layer_norm_rms_epsilon");
	BAD(base, 0, -EINVAL, "llama.rope.freq_base is 0");
	BAD(base, INFINITY, -ERANGE, "llama.rope.freq_base");
	BAD(scaling, "yarn", -EOPNOTSUPP, "'yarn'");
	BAD(scaling, "linear", -EINVAL, "llama.rope.scaling.factor is 0");
	BAD(rope_freqs, true, -EOPNOTSUPP, "rope_freqs.weight");
	BAD(experts, 8, -EOPNOTSUPP, "llama.expert_count is 8");
#undef BAD
}

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
	hearth_device_close(dev);
}

#define with_model(TEST) cmocka_unit_test_setup_teardown(TEST, open_model, close_model)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hparams_are_read),
		cmocka_unit_test(hparams_linear_scaling_is_read),
		cmocka_unit_test(hparams_bad_values_are_refused_by_name),
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
