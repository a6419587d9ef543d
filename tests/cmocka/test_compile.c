// SPDX-License-Identifier: MIT
/* Compiling and running graphs on the CPU: memory, sharing, errors. */
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "graph/program.h"
#include "count_allocations.h"
#include "graph_maker.h"

static struct hearth_device *dev;
static struct hearth_graph *g;

static int open_cpu(void **state)
{
	HEARTH_OPTS(hearth_device_opts, opts, .threads = 2);

	return hearth_device_open("cpu", &opts, &dev);
}

static int close_cpu(void **state)
{
	hearth_device_close(dev);
	return 0;
}

static int make_graph(void **state)
{
	return hearth_graph_create(&g);
}

static int destroy_graph(void **state)
{
	hearth_graph_destroy(g);
	return 0;
}

static struct hearth_program *compile(struct hearth_program *share)
{
	HEARTH_OPTS(hearth_compile_opts, o, .share = share);
	struct hearth_program *p;

	if (hearth_compile(g, dev, &o, &p))
		fail_msg("%s", hearth_errmsg());
	return p;
}

static void refused(int error, const char *text)
{
	struct hearth_program *p;

	assert_int_equal(hearth_compile(g, dev, NULL, &p), error);
	assert_message(text);
}

static void run(struct hearth_program *p)
{
	if (hearth_program_run(p))
		fail_msg("%s", hearth_errmsg());
}

static struct hearth_program_info info_of(const struct hearth_program *p)
{
	struct hearth_program_info i = { .sz = sizeof(i) };

	assert_int_equal(hearth_program_get_info(p, &i), 0);
	return i;
}

static void *data(struct hearth_program *p, hearth_tensor t)
{
	void *d = hearth_program_data(p, t, NULL);

	assert_non_null(d);
	return d;
}

#define ACT	HEARTH_TENSOR_ACTIVATION
#define IN	HEARTH_TENSOR_INPUT
#define OUT	HEARTH_TENSOR_OUTPUT
#define STATE	HEARTH_TENSOR_STATE
#define F32	HEARTH_TYPE_F32
#define I8	HEARTH_TYPE_I8
#define I32	HEARTH_TYPE_I32

static hearth_tensor f32(const char *name, enum hearth_tensor_role role, const uint32_t *dims)
{
	return gm_tensor(g, name, F32, role, dims);
}

static void fill(float *x, unsigned int n, uint32_t seed)
{
	for (unsigned int i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		x[i] = (float)(int32_t)(seed >> 8) / (1 << 23) - 1;
	}
}

/* ---- memory ---- */

static void a_chain_works_in_place(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(64)), a = f32("a", ACT, DIMS(64));
	hearth_tensor b = f32("b", ACT, DIMS(64)), c = f32("c", ACT, DIMS(4, 16));
	hearth_tensor y = f32("y", OUT, DIMS(4, 16));
	struct hearth_program *p;
	float *in, *out;

	gm_op(g, HEARTH_ADD, INPUTS(x, x), a, NULL);
	gm_op(g, HEARTH_MUL, INPUTS(a, x), b, NULL);
	gm_op(g, HEARTH_RESHAPE, INPUTS(b), c, NULL);
	gm_op(g, HEARTH_ADD, INPUTS(c, c), y, NULL);
	p = compile(NULL);
	in = data(p, x);
	out = data(p, y);
	for (int i = 0; i < 64; i++)
		in[i] = i;
	run(p);
	for (int i = 0; i < 64; i++) {
		assert_true(out[i] == 4.0f * i * i);
		assert_true(in[i] == i);
	}
	/* The input, and one buffer for all that follows; no command to reshape */
	assert_int_equal(info_of(p).activation_bytes, 2 * 64 * 4);
	assert_int_equal(info_of(p).n_ops, 3);
	hearth_program_destroy(p);
}

static void what_is_read_later_is_not_written_over(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(16)), a = f32("a", ACT, DIMS(16));
	hearth_tensor r = f32("r", ACT, DIMS(4, 4)), b = f32("b", ACT, DIMS(16));
	hearth_tensor y = f32("y", OUT, DIMS(4, 4)), z = f32("z", OUT, DIMS(16));
	struct hearth_program *p;

	gm_op(g, HEARTH_ADD, INPUTS(x, x), a, NULL);
	gm_op(g, HEARTH_RESHAPE, INPUTS(a), r, NULL);
	gm_op(g, HEARTH_MUL, INPUTS(a, x), b, NULL);
	gm_op(g, HEARTH_ADD, INPUTS(r, r), y, NULL);
	gm_op(g, HEARTH_ADD, INPUTS(b, b), z, NULL);
	p = compile(NULL);
	for (int i = 0; i < 16; i++)
		((float *)data(p, x))[i] = i;
	run(p);
	for (int i = 0; i < 16; i++) {
		assert_true(((float *)data(p, y))[i] == 4.0f * i);
		assert_true(((float *)data(p, z))[i] == 4.0f * i * i);
	}
	hearth_program_destroy(p);
}

static void an_output_that_is_read_again_is_kept(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(16)), y = f32("y", OUT, DIMS(16));
	hearth_tensor z = f32("z", OUT, DIMS(16)), r = f32("r", OUT, DIMS(16, 1));
	hearth_tensor c = f32("c", OUT, DIMS(2, 8));
	struct hearth_program *p;

	gm_op(g, HEARTH_ADD, INPUTS(x, x), y, NULL);
	gm_op(g, HEARTH_RESHAPE, INPUTS(y), r, NULL);
	gm_op(g, HEARTH_RESHAPE, INPUTS(x), c, NULL);
	gm_op(g, HEARTH_ADD, INPUTS(y, y), z, NULL);
	p = compile(NULL);
	for (int i = 0; i < 16; i++)
		((float *)data(p, x))[i] = i;
	run(p);
	for (int i = 0; i < 16; i++) {
		assert_true(((float *)data(p, y))[i] == 2.0f * i);
		assert_true(((float *)data(p, z))[i] == 4.0f * i);
		assert_true(((float *)data(p, r))[i] == 2.0f * i);
		assert_true(((float *)data(p, c))[i] == i);
	}
	assert_ptr_not_equal(data(p, y), data(p, r));
	hearth_program_destroy(p);
}

static void a_norm_by_itself_is_not_in_place(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(1, 8)), a = f32("a", ACT, DIMS(1, 8));
	hearth_tensor y = f32("y", OUT, DIMS(1, 8));
	struct hearth_program *p;

	gm_op(g, HEARTH_ADD, INPUTS(x, x), a, NULL);
	gm_op(g, HEARTH_RMS_NORM, INPUTS(a, a), y, NULL);
	p = compile(NULL);
	for (int i = 0; i < 8; i++)
		((float *)data(p, x))[i] = 1;
	run(p);
	for (int i = 0; i < 8; i++)
		assert_true(fabsf(((float *)data(p, y))[i] - 2) < 1e-6f);
	hearth_program_destroy(p);
}

static void constants_are_copied_and_kept_once(void **state)
{
	float one[16], two[16];
	hearth_tensor x = f32("x", IN, DIMS(16)), a = f32("a", ACT, DIMS(16));
	hearth_tensor y = f32("y", OUT, DIMS(16)), c, d;
	struct hearth_program *p;

	for (int i = 0; i < 16; i++)
		one[i] = two[i] = i;
	c = gm_const(g, "c", F32, DIMS(16), one);
	d = gm_const(g, "d", F32, DIMS(16), two);
	gm_const(g, "unused", F32, DIMS(4), one);
	gm_op(g, HEARTH_ADD, INPUTS(x, c), a, NULL);
	gm_op(g, HEARTH_ADD, INPUTS(a, d), y, NULL);
	p = compile(NULL);
	memset(one, 0, sizeof(one));
	memset(two, 0, sizeof(two));
	run(p);
	for (int i = 0; i < 16; i++)
		assert_true(((float *)data(p, y))[i] == 2.0f * i);
	assert_int_equal(info_of(p).constant_bytes, 64);
	hearth_program_destroy(p);
}

static void only_ends_and_states_can_be_reached(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(16)), a = f32("a", ACT, DIMS(16));
	hearth_tensor y = f32("y", OUT, DIMS(16)), unused = f32("unused", IN, DIMS(3));
	struct hearth_program *p;
	uint64_t bytes;

	gm_op(g, HEARTH_ADD, INPUTS(x, x), a, NULL);
	gm_op(g, HEARTH_ADD, INPUTS(a, x), y, NULL);
	p = compile(NULL);
	assert_non_null(hearth_program_data(p, unused, &bytes));
	assert_int_equal(bytes, 12);
	assert_null(hearth_program_data(p, a, &bytes));
	assert_message("tensor 1 is no input");
	assert_null(hearth_program_data(p, -1, &bytes));
	assert_null(hearth_program_data(p, 4, &bytes));
	hearth_program_destroy(p);
}

/* ---- weights ---- */

static int weights_file(const void *bytes, size_t n, off_t offset)
{
	FILE *f = tmpfile();
	int fd;

	assert_non_null(f);
	fd = dup(fileno(f));
	fclose(f);
	assert_int_equal(pwrite(fd, bytes, n, offset), n);
	return fd;
}

static hearth_tensor weights(const char *name, const uint32_t *dims, uint64_t offset)
{
	struct hearth_tensor_opts o = gm_opts(name, F32, HEARTH_TENSOR_WEIGHTS, dims);

	o.offset = offset;
	return gm_add(g, &o);
}

static void weights_are_used_in_their_file(void **state)
{
	const float w[4] = { 1, 2, 3, 4 };
	int fd = weights_file(w, sizeof(w), 9000);
	hearth_tensor x = f32("x", IN, DIMS(4)), y = f32("y", OUT, DIMS(4));
	struct hearth_program *p;

	assert_int_equal(hearth_graph_set_weights(g, fd), 0);
	close(fd);
	gm_op(g, HEARTH_ADD, INPUTS(x, weights("w", DIMS(4), 9000)), y, NULL);
	weights("unused, beyond the end", DIMS(1), 1 << 20);
	p = compile(NULL);
	run(p);
	assert_memory_equal(data(p, y), w, sizeof(w));
	assert_int_equal(info_of(p).weights_bytes, sizeof(w));
	assert_int_equal(info_of(p).constant_bytes, 0);
	hearth_program_destroy(p);
}

static void weights_that_overlap_are_counted_once(void **state)
{
	float w[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	int fd = weights_file(w, sizeof(w), 0);
	hearth_tensor x = f32("x", IN, DIMS(4)), a = f32("a", ACT, DIMS(4));
	hearth_tensor b = f32("b", ACT, DIMS(4)), y = f32("y", OUT, DIMS(4));
	struct hearth_program *p;

	hearth_graph_set_weights(g, fd);
	close(fd);
	gm_op(g, HEARTH_ADD, INPUTS(x, weights("w0", DIMS(4), 8)), a, NULL);
	gm_op(g, HEARTH_ADD, INPUTS(a, weights("w1", DIMS(4), 0)), b, NULL);
	gm_op(g, HEARTH_ADD, INPUTS(b, weights("w2", DIMS(1), 28)), y, NULL);
	p = compile(NULL);
	run(p);
	for (int i = 0; i < 4; i++)
		assert_true(((float *)data(p, y))[i] == w[i] + w[i + 2] + 8);
	assert_int_equal(info_of(p).weights_bytes, 24 + 4);
	hearth_program_destroy(p);
}

static void weights_must_lie_in_a_file(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(4)), y = f32("y", OUT, DIMS(4));
	float w[4] = { 0 };
	int fd = weights_file(w, sizeof(w), 0), pipes[2];

	gm_op(g, HEARTH_ADD, INPUTS(x, weights("far", DIMS(4), 4)), y, NULL);
	refused(-EINVAL, "the graph has weights but no file");
	hearth_graph_set_weights(g, fd);
	refused(-EINVAL, "weights 'far': 16 bytes at 4, the file has 16");
	close(fd);
	assert_int_equal(pipe(pipes), 0);
	hearth_graph_set_weights(g, pipes[0]);
	refused(-EINVAL, "");
	close(pipes[0]);
	close(pipes[1]);
}

/* ---- states and sharing ---- */

static hearth_tensor cache_in, cache_pos, cache_state;

static void make_cache(const char *name, uint32_t rows, unsigned int type, uint32_t n_ctx)
{
	cache_in = f32("kv", IN, DIMS(rows, 1, 2));
	cache_pos = gm_tensor(g, "pos", I32, IN, DIMS(rows));
	cache_state = gm_tensor(g, name, type, STATE, DIMS(1, n_ctx, 2));
	gm_op(g, HEARTH_KV_WRITE, INPUTS(cache_in, cache_pos), cache_state, NULL);
}

static void again(void)
{
	hearth_graph_destroy(g);
	assert_int_equal(hearth_graph_create(&g), 0);
}

static void states_are_kept_and_shared_by_name(void **state)
{
	struct hearth_program *p, *q;
	float *in;

	make_cache("cache", 1, F32, 4);
	p = compile(NULL);
	again();
	make_cache("cache", 2, F32, 4);
	q = compile(p);
	assert_ptr_equal(data(p, cache_state), data(q, cache_state));
	assert_int_equal(info_of(q).state_bytes, 4 * 2 * 4);

	in = data(p, cache_in);
	in[0] = 1;
	in[1] = 2;
	*(int32_t *)data(p, cache_pos) = 3;
	run(p);
	in = data(q, cache_in);
	fill(in, 4, 1);
	((int32_t *)data(q, cache_pos))[1] = 1;
	run(q);
	in = data(q, cache_state);
	assert_memory_equal(in, data(q, cache_in), 16);
	assert_true(in[4] == 0 && in[6] == 1 && in[7] == 2);
	hearth_program_destroy(q);
	hearth_program_destroy(p);
}

static void states_of_other_names_are_their_own(void **state)
{
	struct hearth_program *p, *q;

	make_cache("a", 1, F32, 4);
	p = compile(NULL);
	again();
	make_cache("b", 1, F32, 4);
	q = compile(p);
	assert_ptr_not_equal(data(p, cache_state), data(q, cache_state));
	hearth_program_destroy(q);
	hearth_program_destroy(p);
}

static void states_that_differ_are_not_shared(void **state)
{
	HEARTH_OPTS(hearth_compile_opts, o);
	struct hearth_program *p, *q;

	make_cache("cache", 1, F32, 4);
	o.share = p = compile(NULL);
	again();
	make_cache("cache", 1, F32, 5);
	assert_int_equal(hearth_compile(g, dev, &o, &q), -EINVAL);
	assert_message("state 'cache' is f32 of 40 bytes");
	again();
	make_cache("cache", 1, HEARTH_TYPE_F16, 8);
	assert_int_equal(hearth_compile(g, dev, &o, &q), -EINVAL);
	assert_message("state 'cache' is f16 of 32 bytes, the program to share with has f32");
	hearth_program_destroy(p);
}

/* Not one piece: nobody gets an address. Programs that share have the same pages. */
static void states_may_be_in_pages(void **state)
{
	HEARTH_OPTS(hearth_compile_opts, o, .state_page = 16);
	HEARTH_OPTS(hearth_compile_opts, share);
	struct hearth_program *p, *q;

	make_cache("cache", 1, F32, 40);
	assert_int_equal(hearth_compile(g, dev, &o, &p), 0);
	assert_int_equal(info_of(p).state_page, 16);
	assert_int_equal(info_of(p).state_page_bytes, 16 * 2 * 4);
	assert_null(hearth_program_data(p, cache_state, NULL));
	assert_message("state 'cache' is in pages");
	*(int32_t *)data(p, cache_pos) = 39;
	assert_int_equal(hearth_program_resize_state(p, 40), 0);
	assert_int_equal(hearth_program_resize_state(p, 41), -EINVAL);
	assert_message("41 positions: the caches were made for 40");
	run(p);
	share.share = p;
	assert_int_equal(hearth_compile(g, dev, &share, &q), 0);
	assert_int_equal(info_of(q).state_page, 16);
	run(q);
	hearth_program_destroy(q);
	again();
	make_cache("other", 1, F32, 40);
	assert_int_equal(hearth_compile(g, dev, &share, &q), -EINVAL);
	assert_message("state 'other': the program to share with has its states in pages");
	hearth_program_destroy(p);
}

static void pages_that_cannot_be_are_refused(void **state)
{
	static const struct {
		uint32_t page;
		const char *text;
	} bad[] = {
		{ 8, "state_page is 8" }, { 24, "state_page is 24" }, { 1u << 25, "state_page is" },
		{ 16, "state 'cache' has 1025 positions: more than 64 pages of 16" },
	};
	HEARTH_OPTS(hearth_compile_opts, o);
	struct hearth_program *p;
	hearth_tensor v;

	make_cache("cache", 1, F32, 1025);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		o.state_page = bad[i].page;
		assert_int_equal(hearth_compile(g, dev, &o, &p), -EINVAL);
		assert_message(bad[i].text);
	}
	again();
	make_cache("cache", 1, F32, 64);
	v = gm_tensor(g, "longer", F32, STATE, DIMS(1, 65, 2));
	gm_op(g, HEARTH_KV_WRITE, INPUTS(cache_in, cache_pos), v, NULL);
	assert_int_equal(hearth_compile(g, dev, &o, &p), -EINVAL);
	assert_message("they cannot grow together");
	again();
	make_cache("cache", 1, F32, 16);
	assert_int_equal(hearth_compile(g, dev, &o, &p), 0);
	assert_int_equal(info_of(p).state_page, 0);
	assert_int_equal(hearth_program_resize_state(p, 1), 0);
	hearth_program_destroy(p);
}

static const float table[1024][2] = { [1023] = { 1, 2 } };

/* Of weights and a large constant */
static void make_sum(uint32_t rows, int fd)
{
	hearth_tensor x = f32("x", IN, DIMS(rows, 1, 2)), a = f32("a", ACT, DIMS(rows, 1, 2));
	hearth_tensor y = f32("y", OUT, DIMS(rows, 1, 2));
	hearth_tensor pos = gm_tensor(g, "pos", I32, IN, DIMS(rows));

	hearth_graph_set_weights(g, fd);
	gm_op(g, HEARTH_ADD, INPUTS(x, weights("w", DIMS(2), 0)), a, NULL);
	gm_op(g, HEARTH_ROPE, INPUTS(a, gm_const(g, "t", F32, DIMS(1024, 2), table), pos), y, NULL);
}

static void weights_and_constants_are_shared(void **state)
{
	const float w[2] = { 1, 2 };
	int fd = weights_file(w, sizeof(w), 0), other = weights_file(w, sizeof(w), 0);
	struct hearth_program *p, *q, *r, *s;

	make_sum(1, fd);
	p = compile(NULL);
	again();
	make_sum(2, fd);
	q = compile(p);
	/* What it shares it passes on. */
	r = compile(q);
	again();
	make_sum(2, other);
	s = compile(p);
	assert_ptr_equal(p->weights.buffer, q->weights.buffer);
	assert_ptr_equal(p->weights.buffer, r->weights.buffer);
	assert_ptr_not_equal(p->weights.buffer, s->weights.buffer);
	assert_true(p->weights.owned && !q->weights.owned && !r->weights.owned);
	assert_int_equal(info_of(q).constant_bytes, sizeof(table));
	assert_in_range(hearth_buffer_bytes(p->fixed), 8192, 16384);
	assert_int_equal(hearth_buffer_bytes(q->fixed), 4096);
	assert_int_equal(hearth_buffer_bytes(r->fixed), 4096);
	run(p);
	run(q);
	run(r);
	run(s);
	hearth_program_destroy(s);
	hearth_program_destroy(r);
	hearth_program_destroy(q);
	hearth_program_destroy(p);
	close(fd);
	close(other);
}

static void programs_of_other_devices_are_not_shared(void **state)
{
	struct hearth_device *other;
	struct hearth_program *p, *q;
	HEARTH_OPTS(hearth_compile_opts, o);

	assert_int_equal(hearth_device_open("cpu", NULL, &other), 0);
	make_cache("cache", 1, F32, 4);
	o.share = p = compile(NULL);
	assert_int_equal(hearth_compile(g, other, &o, &q), -EINVAL);
	assert_message("of another device");
	hearth_program_destroy(p);
	hearth_device_close(other);
}

/* ---- runs ---- */

static void a_failed_run_is_told_and_the_next_one_works(void **state)
{
	float table[6] = { 1, 2, 3, 4, 5, 6 };
	hearth_tensor ids = gm_tensor(g, "ids", I32, IN, DIMS(1));
	hearth_tensor y = f32("y", OUT, DIMS(1, 2));
	struct hearth_program *p;
	int32_t *id;

	gm_op(g, HEARTH_GET_ROWS, INPUTS(gm_const(g, "t", F32, DIMS(3, 2), table), ids), y,
	      NULL);
	p = compile(NULL);
	id = data(p, ids);
	for (int round = 0; round < 3; round++) {
		*id = 3;
		assert_true(hearth_program_run(p) < 0);
		assert_message("get_rows");
		*id = 2;
		run(p);
		assert_true(((float *)data(p, y))[1] == 6);
	}
	hearth_program_destroy(p);
}

static void a_run_allocates_nothing(void **state)
{
	static float w[256 * 256];
	hearth_tensor x = f32("x", IN, DIMS(32, 256)), a = f32("a", ACT, DIMS(32, 256));
	hearth_tensor y = f32("y", OUT, DIMS(32, 256));
	struct hearth_program *p;
	unsigned int before;

	fill(w, 256 * 256, 5);
	gm_op(g, HEARTH_MUL, INPUTS(x, x), a, NULL);
	gm_op(g, HEARTH_MATMUL, INPUTS(a, gm_const(g, "w", F32, DIMS(256, 256), w)), y, NULL);
	p = compile(NULL);
	before = allocations;
	assert_true(!counting || before > 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(hearth_program_run(p), 0);
	assert_int_equal(allocations, before);
	hearth_program_destroy(p);
}

/* With positions a row may be read twice; without them row i is for row i. */
static void a_rope_turns_by_the_rows_of_its_table(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(2, 1, 2)), t = f32("t", IN, DIMS(2, 2));
	hearth_tensor y = f32("y", OUT, DIMS(2, 1, 2)), z = f32("z", OUT, DIMS(2, 1, 2));
	hearth_tensor pos = gm_tensor(g, "pos", I32, IN, DIMS(2));
	struct hearth_program *p;

	gm_op(g, HEARTH_ROPE, INPUTS(x, t), y, NULL);
	gm_op(g, HEARTH_ROPE, INPUTS(x, t, pos), z, NULL);
	p = compile(NULL);
	memcpy(data(p, x), (float[]){ 1, 2, 3, 4 }, 16);
	memcpy(data(p, t), (float[]){ 1, 0, 0, 1 }, 16);
	memcpy(data(p, pos), (int32_t[]){ 1, 0 }, 8);
	run(p);
	assert_memory_equal(data(p, y), ((float[]){ 1, 2, -4, 3 }), 16);
	assert_memory_equal(data(p, z), ((float[]){ -2, 1, 3, 4 }), 16);
	*(int32_t *)data(p, pos) = 2;
	assert_true(hearth_program_run(p) < 0);
	assert_message("rope");
	hearth_program_destroy(p);
}

static void ropes_that_cannot_be_are_refused(void **state)
{
	static const float factor = -1;
	static const struct {
		struct hearth_rope_opts o;
		const char *text;
	} bad[] = {
		{ { .n_ctx = 8, .dims = 2, .base = 0.5f }, "no rope of 8 positions, dims 2, base 0.5" },
		{ { .n_ctx = 8, .dims = 3, .base = 100 }, "dims 3" },
		{ { .n_ctx = 8, .dims = 2, .base = 100, .freq_scale = -2 }, "freq_scale -2" },
		{ { .n_ctx = 8, .dims = 2, .base = 100, .magnitude = -1 }, "magnitude -1" },
		{ { .n_ctx = 8, .dims = 2, .base = 100, .factors = &factor }, "no rope" },
		{ { .n_ctx = 8, .dims = UINT32_MAX, .base = 100 }, "dims 4294967295" },
	};
	struct hearth_rope *rope;
	float rows[2][2];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct hearth_rope_opts o = bad[i].o;

		o.sz = sizeof(o);
		assert_int_equal(hearth_rope_create(&o, &rope), -EINVAL);
		assert_message(bad[i].text);
	}
	HEARTH_OPTS(hearth_rope_opts, good, .n_ctx = 8, .dims = 2, .base = 100);
	assert_int_equal(hearth_rope_create(&good, &rope), 0);
	assert_int_equal(hearth_rope_rows(rope, 6, 2, rows[0]), 0);
	assert_int_equal(hearth_rope_rows(rope, 7, 2, rows[0]), -EINVAL);
	assert_message("positions 7 to 9: there are 8");
	assert_int_equal(hearth_rope_rows(rope, 9, 0, rows[0]), -EINVAL);
	hearth_rope_destroy(rope);
}

/* ---- what cannot be compiled ---- */

static void incomplete_graphs_are_refused(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(4));

	refused(-EINVAL, "nothing to compute");
	gm_op(g, HEARTH_ADD, INPUTS(x, x), f32("a", ACT, DIMS(4)), NULL);
	f32("y", OUT, DIMS(4));
	refused(-EINVAL, "output 'y' is computed by no op");
}

static void commands_have_limits(void **state)
{
	hearth_tensor x = f32("x", IN, DIMS(1 << 13, 1 << 12)), y = f32("y", OUT, DIMS(1 << 13, 1 << 12));

	gm_op(g, HEARTH_ADD, INPUTS(x, x), y, NULL);
	refused(-EINVAL, "'x' has 33554432 elements: at most 16777216");
}

static void scales_that_cannot_be_expressed_are_refused(void **state)
{
	hearth_tensor x = gm_quant(g, "x", I8, IN, DIMS(4), 1e30f, 0);
	hearth_tensor y = gm_quant(g, "y", I8, OUT, DIMS(4), 1e-30f, 0);

	gm_op(g, HEARTH_MUL, INPUTS(x, x), y, NULL);
	refused(-EINVAL, "mul 'op 0': the scales cannot be expressed");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_graph, destroy_graph)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_chain_works_in_place),
		TEST(what_is_read_later_is_not_written_over),
		TEST(an_output_that_is_read_again_is_kept),
		TEST(a_norm_by_itself_is_not_in_place),
		TEST(constants_are_copied_and_kept_once),
		TEST(only_ends_and_states_can_be_reached),
		TEST(weights_are_used_in_their_file),
		TEST(weights_that_overlap_are_counted_once),
		TEST(weights_must_lie_in_a_file),
		TEST(states_are_kept_and_shared_by_name),
		TEST(states_of_other_names_are_their_own),
		TEST(states_that_differ_are_not_shared),
		TEST(states_may_be_in_pages),
		TEST(pages_that_cannot_be_are_refused),
		TEST(weights_and_constants_are_shared),
		TEST(programs_of_other_devices_are_not_shared),
		TEST(a_failed_run_is_told_and_the_next_one_works),
		TEST(a_run_allocates_nothing),
		TEST(a_rope_turns_by_the_rows_of_its_table),
		TEST(ropes_that_cannot_be_are_refused),
		TEST(incomplete_graphs_are_refused),
		TEST(commands_have_limits),
		TEST(scales_that_cannot_be_expressed_are_refused),
	};

	return cmocka_run_group_tests(tests, open_cpu, close_cpu);
}
