// SPDX-License-Identifier: MIT
/* Which weights of a model may stand in rows of eight, and what a model does with those. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "formats/gguf_pack.h"
#include "hearth.h"
#include "llm/pack.h"
#include "llm_sample.h"

#define MAX_TENSORS 64

/*
 * Matrices of Q8_0 in place of f32; they take less, so offsets stay. What is there
 * serves as numbers; scales are 1/64.
 */
static void to_q8_0(struct bytes *b)
{
	struct hearth_err err;
	struct gguf *g;

	assert_int_equal(gguf_open_mem(b->p, b->n, &g, &err), 0);
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		if (t->n_dims != 2)
			continue;
		bytes_set(b, (uint8_t *)t->name.ptr - b->p + t->name.len + 4 + 16, GGUF_TYPE_Q8_0, 4);
		for (uint64_t k = 0; k < t->n_elems / 32; k++)
			bytes_set(b, t->file_offset + 34 * k, 0x2400, 2);
	}
	gguf_close(g);
}

/* A file of these bytes, as long as the fd is open. */
static int file_of(const struct bytes *b, char path[64])
{
	int fd = memfd_create("model", MFD_CLOEXEC);

	assert_int_equal(write(fd, b->p, b->n), b->n);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static struct gguf *open_bytes(const struct bytes *b)
{
	struct hearth_err err;
	struct gguf *g = NULL;
	char path[64];
	int fd = file_of(b, path);

	assert_int_equal(gguf_open(path, &g, &err), 0);
	close(fd);
	return g;
}

static const char *why_of(const struct gguf *g, const char *const *why, const char *name)
{
	const struct gguf_tensor *t = gguf_find_tensor(g, name);

	assert_non_null(t);
	return why[t - gguf_tensor_at(g, 0)];
}

static void plan_is_the_networks(void **state)
{
	const char *why[MAX_TENSORS];
	struct bytes b = { 0 };
	struct gguf *g;

	write_model(&b, &good);
	to_q8_0(&b);
	g = open_bytes(&b);
	assert_int_equal(llm_pack_plan(g, why), 0);
	assert_null(why_of(g, why, "blk.0.attn_q.weight"));
	assert_null(why_of(g, why, "blk.1.ffn_down.weight"));
	assert_string_equal(why_of(g, why, "blk.0.attn_norm.weight"),
			    "the type has no form in rows of eight");
	/* the output matrix as well */
	assert_null(why_of(g, why, "token_embd.weight"));
	gguf_close(g);
	bytes_free(&b);
}

/* A row of an embedding that is nothing else is as fast where it lies by itself. */
static void an_embedding_alone_stays(void **state)
{
	const char *why[MAX_TENSORS];
	struct spec s = good;
	struct bytes b = { 0 };
	struct gguf *g;

	s.untied = true;
	write_model(&b, &s);
	to_q8_0(&b);
	g = open_bytes(&b);
	assert_int_equal(llm_pack_plan(g, why), 0);
	assert_string_equal(why_of(g, why, "token_embd.weight"),
			    "only single rows of it are read, by get_rows");
	assert_null(why_of(g, why, "output.weight"));
	gguf_close(g);
	bytes_free(&b);
}

static const struct spec fused = {
	.arch = "phi3", .ctx = CTX, .embd = EMBD, .ff = FF, .layers = LAYERS, .heads = 8, .heads_kv = 2,
	.rot = 4, .eps = 1e-5f, .base = 10000, .q_rows = EMBD, .kv_rows = 8, .extra_cols = EMBD,
	.fused = true, .more = { { "attention.sliding_window", GGUF_VT_U32, 9 } },
};

static void parts_must_be_groups(void **state)
{
	const char *why[MAX_TENSORS];
	struct spec s = fused;
	struct bytes b = { 0 };
	struct gguf *g;

	for (s.heads_kv = 1; s.heads_kv <= 2; s.heads_kv++) {
		s.kv_rows = 4 * s.heads_kv;
		write_model(&b, &s);
		to_q8_0(&b);
		g = open_bytes(&b);
		assert_int_equal(llm_pack_plan(g, why), 0);
		if (s.heads_kv == 2)
			assert_null(why_of(g, why, "blk.0.attn_qkv.weight"));
		else
			assert_string_equal(why_of(g, why, "blk.0.attn_qkv.weight"),
					    "parts of it are read that are no multiple of eight rows");
		assert_null(why_of(g, why, "blk.0.ffn_up.weight"));
		gguf_close(g);
		bytes_free(&b);
	}
}

static int put(void *arg, const void *data, size_t n)
{
	bytes_add(arg, data, n);
	return 0;
}

/* Who packs against the plan has a file that is refused. */
static void parts_that_cut_groups_are_refused(void **state)
{
	bool pack[MAX_TENSORS] = { false };
	struct bytes b = { 0 }, out = { 0 };
	const char *why[MAX_TENSORS];
	struct spec s = fused;
	struct hearth_err err;
	struct gguf *g;

	s.heads_kv = 1;
	s.kv_rows = 4;
	write_model(&b, &s);
	to_q8_0(&b);
	assert_int_equal(gguf_open_mem(b.p, b.n, &g, &err), 0);
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++)
		pack[i] = gguf_str_eq(gguf_tensor_at(g, i)->name, "blk.1.attn_qkv.weight");
	assert_int_equal(gguf_pack(g, pack, put, &out, &err), 0);
	gguf_close(g);
	g = open_bytes(&out);
	assert_int_equal(llm_pack_plan(g, why), -EOPNOTSUPP);
	assert_string_equal(hearth_errmsg(),
			    "tensor 'blk.1.attn_qkv.weight' of type Q8_0_R8: 4 rows from row 32 on are used, which cuts a group of 8");
	gguf_close(g);
	bytes_free(&out);
	bytes_free(&b);
}

/* Logits of a short text, read by steps of several rows and of one. */
static void answer(const struct bytes *b, float logits[VOCAB])
{
	static const int32_t ids[] = { 1, 40, 77, 200, 9, 120, 33 };
	struct hearth_device *dev;
	struct hearth_llm *llm;
	const float *found;
	char path[64];
	int fd = file_of(b, path);

	assert_int_equal(hearth_device_open("cpu", NULL, &dev), 0);
	if (hearth_llm_open(path, dev, NULL, &llm))
		fail_msg("%s", hearth_errmsg());
	assert_int_equal(hearth_llm_eval(llm, ids, 6, NULL), 0);
	assert_int_equal(hearth_llm_eval(llm, ids + 6, 1, &found), 0);
	memcpy(logits, found, VOCAB * sizeof(*logits));
	hearth_llm_close(llm);
	hearth_device_close(dev);
	close(fd);
}

/* All that can be, but for the embedding if @embedding is false. */
static void pack_all(const struct bytes *b, struct bytes *out, bool embedding)
{
	struct gguf *g = open_bytes(b);
	bool pack[MAX_TENSORS] = { false };
	const char *why[MAX_TENSORS];
	struct hearth_err err;
	unsigned int n = 0;

	assert_int_equal(llm_pack_plan(g, why), 0);
	for (uint64_t i = 0; i < gguf_n_tensors(g); i++) {
		pack[i] = !why[i] && (embedding || !gguf_str_eq(gguf_tensor_at(g, i)->name,
								"token_embd.weight"));
		n += pack[i];
	}
	/* of a layer q, k, v, output and the three behind them, of which some are one */
	assert_true(n >= 4 * LAYERS);
	assert_int_equal(gguf_pack(g, pack, put, out, &err), 0);
	gguf_close(g);
}

static void check_answers(const struct spec *s, bool embedding)
{
	struct bytes b = { 0 }, out = { 0 };
	float rows[VOCAB], groups[VOCAB];

	write_model(&b, s);
	to_q8_0(&b);
	pack_all(&b, &out, embedding);
	answer(&b, rows);
	answer(&out, groups);
	assert_true(rows[0] == rows[0] && rows[0] != rows[1]);
	assert_memory_equal(groups, rows, sizeof(rows));
	bytes_free(&out);
	bytes_free(&b);
}

static void families_answer_the_same(void **state)
{
	struct spec untied = good;

	for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
		check_answers(&families[i], true);
	check_answers(&fused, true);
	untied.untied = true;
	check_answers(&untied, true);
}

/* As files are in which no embedding was packed */
static void an_embedding_in_rows_does_as_well(void **state)
{
	check_answers(&families[0], false);
}

static void no_network_no_plan(void **state)
{
	const char *why[MAX_TENSORS];
	struct spec s = good;
	struct bytes b = { 0 };
	struct gguf *g;

	s.extra = "blk.0.surprise.weight";
	write_model(&b, &s);
	g = open_bytes(&b);
	assert_int_equal(llm_pack_plan(g, why), -EOPNOTSUPP);
	assert_non_null(strstr(hearth_errmsg(), "'blk.0.surprise.weight' is not supported"));
	gguf_close(g);
	bytes_free(&b);
	s = good;
	s.arch = "mamba";
	write_model(&b, &s);
	g = open_bytes(&b);
	assert_int_equal(llm_pack_plan(g, why), -EOPNOTSUPP);
	assert_non_null(strstr(hearth_errmsg(), "'mamba' is not supported"));
	gguf_close(g);
	bytes_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plan_is_the_networks),
		cmocka_unit_test(an_embedding_alone_stays),
		cmocka_unit_test(parts_must_be_groups),
		cmocka_unit_test(parts_that_cut_groups_are_refused),
		cmocka_unit_test(families_answer_the_same),
		cmocka_unit_test(an_embedding_in_rows_does_as_well),
		cmocka_unit_test(no_network_no_plan),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
