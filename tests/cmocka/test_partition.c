// SPDX-License-Identifier: MIT
/* What runs where: programs on an NPU inside of the test that lacks this or that. */
#include <errno.h>
#include <stdlib.h>

#include "fake_npu.h"
#include "graph_maker.h"

#define ACT	HEARTH_TENSOR_ACTIVATION
#define IN	HEARTH_TENSOR_INPUT
#define OUT	HEARTH_TENSOR_OUTPUT
#define I8	HEARTH_TYPE_I8

static struct hearth_device *dev;
static struct hearth_graph *g;
static struct hearth_program *p;
static hearth_tensor x, y;

/* x -> relu -> softmax -> add -> y */
static int make_graph(void **state)
{
	hearth_tensor a, b;

	fake_npu_reset();
	if (hearth_graph_create(&g))
		return -1;
	x = gm_quant(g, "x", I8, IN, DIMS(2, 8), 0.1f, 0);
	a = gm_quant(g, "a", I8, ACT, DIMS(2, 8), 0.1f, 0);
	b = gm_quant(g, "b", I8, ACT, DIMS(2, 8), 1 / 256.f, -128);
	y = gm_quant(g, "y", I8, OUT, DIMS(2, 8), 1 / 128.f, -128);
	gm_op(g, HEARTH_RELU, INPUTS(x), a, NULL);
	gm_op(g, HEARTH_SOFTMAX, INPUTS(a), b, NULL);
	gm_op(g, HEARTH_ADD, INPUTS(b, b), y, NULL);
	return 0;
}

static int destroy_all(void **state)
{
	hearth_program_destroy(p);
	hearth_graph_destroy(g);
	fake.fail_request = 0;
	hearth_device_close(dev);
	dev = NULL;
	p = NULL;
	return fake_npu_leaks();
}

static void compile(const char *device)
{
	HEARTH_OPTS(hearth_device_opts, opts, .threads = 1);

	if (hearth_device_open(device, &opts, &dev) || hearth_compile(g, dev, NULL, &p))
		fail_msg("%s", hearth_errmsg());
}

static void fill_and_run(void)
{
	int8_t *in = hearth_program_data(p, x, NULL);

	for (int i = 0; i < 16; i++)
		in[i] = i * 7 - 50;
	if (hearth_program_run(p))
		fail_msg("%s", hearth_errmsg());
}

/* The bytes that the CPU alone gives */
static void expect(int8_t want[16])
{
	struct hearth_device *cpu;
	struct hearth_program *q;

	assert_int_equal(hearth_device_open("cpu", NULL, &cpu), 0);
	assert_int_equal(hearth_compile(g, cpu, NULL, &q), 0);
	for (int i = 0; i < 16; i++)
		((int8_t *)hearth_program_data(q, x, NULL))[i] = i * 7 - 50;
	assert_int_equal(hearth_program_run(q), 0);
	memcpy(want, hearth_program_data(q, y, NULL), 16);
	hearth_program_destroy(q);
	hearth_device_close(cpu);
}

static void assert_same_bytes(void)
{
	int8_t want[16], zero[16] = { 0 };

	expect(want);
	assert_memory_not_equal(want, zero, 16);
	assert_memory_equal(hearth_program_data(p, y, NULL), want, 16);
}

struct seen {
	unsigned int n, on_npu;
	char names[256], engines[256], reasons[512];
	uint64_t bytes;
};

static int see(const struct hearth_op_report *r, void *arg)
{
	struct seen *s = arg;

	s->n++;
	s->on_npu += !strcmp(r->engine, "npu");
	s->bytes += r->bytes;
	snprintf(s->names + strlen(s->names), 32, "%s ", r->op);
	snprintf(s->engines + strlen(s->engines), 32, "%s ", r->engine);
	snprintf(s->reasons + strlen(s->reasons), 96, "%s|", r->reason ? r->reason : "");
	return 0;
}

static struct seen explain(void)
{
	struct seen s = { 0 };

	assert_int_equal(hearth_program_explain(p, see, &s), 0);
	return s;
}

static struct hearth_program_info info(void)
{
	struct hearth_program_info i = { .sz = sizeof(i) };

	assert_int_equal(hearth_program_get_info(p, &i), 0);
	return i;
}

static void a_run_is_one_submit(void **state)
{
	struct seen s;

	compile(fake.path);
	for (unsigned int i = 1; i <= 5; i++) {
		fill_and_run();
		assert_int_equal(fake.submits, i);
	}
	assert_same_bytes();
	s = explain();
	assert_string_equal(s.names, "lut8 softmax_q add_q ");
	assert_string_equal(s.engines, "npu npu npu ");
	assert_string_equal(s.reasons, "|||");
	/* Bytes in, out, and a table of 256 or 1024 */
	assert_int_equal(s.bytes, (32 + 256) + (32 + 1024) + 48);
	assert_int_equal(info().n_segments, 1);
	assert_int_equal(info().n_device_segments, 1);
	assert_int_equal(info().n_device_ops, 3);
}

static void what_the_device_lacks_runs_on_the_cpu(void **state)
{
	struct seen s;

	fake.ops &= ~(1ull << HEARTH_OP_SOFTMAX_Q);
	compile(fake.path);
	fill_and_run();
	assert_int_equal(fake.submits, 2);
	assert_same_bytes();
	s = explain();
	assert_string_equal(s.engines, "npu cpu npu ");
	assert_string_equal(s.reasons, "|the npu lacks op softmax_q||");
	assert_int_equal(info().n_segments, 3);
	assert_int_equal(info().n_device_segments, 2);
	assert_int_equal(info().n_device_ops, 2);
}

static void a_missing_type_is_named(void **state)
{
	struct seen s;

	fake.types &= ~(1ull << I8);
	compile(fake.path);
	fill_and_run();
	/* A table maps bytes: it has no type. */
	assert_int_equal(fake.submits, 1);
	assert_same_bytes();
	s = explain();
	assert_string_equal(s.engines, "npu cpu cpu ");
	assert_string_equal(s.reasons, "|the npu lacks type i8|the npu lacks type i8|");
	assert_int_equal(info().n_segments, 2);
}

static void a_device_without_ops_leaves_all_to_the_cpu(void **state)
{
	fake.ops = 0;
	compile(fake.path);
	fill_and_run();
	assert_int_equal(fake.submits, 0);
	assert_same_bytes();
	assert_int_equal(info().n_device_ops, 0);
	assert_int_equal(info().n_segments, 1);
}

static void the_cpu_as_device_needs_no_reason(void **state)
{
	struct seen s;

	compile("cpu");
	fill_and_run();
	s = explain();
	assert_string_equal(s.engines, "cpu cpu cpu ");
	assert_string_equal(s.reasons, "|||");
	assert_int_equal(info().n_device_ops, 3);
}

static int stop_at_second(const struct hearth_op_report *r, void *arg)
{
	return ++*(int *)arg == 2 ? 77 : 0;
}

static void explain_can_be_stopped(void **state)
{
	int n = 0;

	compile("cpu");
	assert_int_equal(hearth_program_explain(p, stop_at_second, &n), 77);
	assert_int_equal(n, 2);
}

static int count(const struct hearth_op_report *r, void *arg)
{
	*(uint64_t *)arg += r->macs;
	return 0;
}

static void multiplications_are_counted(void **state)
{
	hearth_tensor a, w, z;
	HEARTH_OPTS(hearth_op_opts, o, .padding = HEARTH_PADDING_SAME);
	uint64_t macs = 0;

	hearth_graph_destroy(g);
	assert_int_equal(hearth_graph_create(&g), 0);
	a = gm_quant(g, "a", I8, IN, DIMS(1, 4, 4, 6), 0.1f, 0);
	w = gm_quant(g, "w", I8, IN, DIMS(8, 3, 3, 3), 0.1f, 0);
	z = gm_quant(g, "z", I8, OUT, DIMS(1, 4, 4, 8), 0.1f, 0);
	gm_op(g, HEARTH_CONV_2D, INPUTS(a, w), z, &o);
	compile("cpu");
	assert_int_equal(hearth_program_explain(p, count, &macs), 0);
	assert_int_equal(macs, 4 * 4 * 8 * 3 * 3 * 3);
}

static void a_lost_job_is_told_and_the_next_run_works(void **state)
{
	compile(fake.path);
	fake.fault = (struct drm_hearth_query_fault){
		.error = ETIMEDOUT,
		.cause = DRM_HEARTH_FAULT_TIMEOUT,
	};
	assert_int_equal(hearth_program_run(p), -ETIMEDOUT);
	assert_true(strlen(hearth_errmsg()) > 0);
	memset(&fake.fault, 0, sizeof(fake.fault));
	fill_and_run();
	assert_same_bytes();
}

static void a_compile_that_fails_leaves_nothing(void **state)
{
	static const unsigned long requests[] = {
		DRM_IOCTL_HEARTH_BO_CREATE, DRM_IOCTL_HEARTH_VM_BIND,
		DRM_IOCTL_HEARTH_QUEUE_CREATE,
	};

	assert_int_equal(hearth_device_open(fake.path, NULL, &dev), 0);
	fake.fail_errno = ENOMEM;
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		unsigned int bos = fake.bos, queues = fake.queues;

		fake.fail_request = requests[i];
		assert_int_equal(hearth_compile(g, dev, NULL, &p), -ENOMEM);
		assert_int_equal(fake.bos, bos);
		assert_int_equal(fake.queues, queues);
		p = NULL;
	}
}

static void the_priority_is_the_queue_s(void **state)
{
	HEARTH_OPTS(hearth_compile_opts, o, .priority = HEARTH_PRIORITY_IDLE);

	assert_int_equal(hearth_device_open(fake.path, NULL, &dev), 0);
	assert_int_equal(hearth_compile(g, dev, &o, &p), 0);
	assert_int_equal(fake.priority, DRM_HEARTH_QUEUE_IDLE);
	hearth_program_destroy(p);
	o.priority = 99;
	assert_int_equal(hearth_compile(g, dev, &o, &p), -EINVAL);
	assert_message("priority 99");
	p = NULL;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_graph, destroy_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_run_is_one_submit),
		TEST(what_the_device_lacks_runs_on_the_cpu),
		TEST(a_missing_type_is_named),
		TEST(a_device_without_ops_leaves_all_to_the_cpu),
		TEST(the_cpu_as_device_needs_no_reason),
		TEST(explain_can_be_stopped),
		TEST(multiplications_are_counted),
		TEST(a_lost_job_is_told_and_the_next_run_works),
		TEST(a_compile_that_fails_leaves_nothing),
		TEST(the_priority_is_the_queue_s),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
