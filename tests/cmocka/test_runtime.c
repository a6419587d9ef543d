// SPDX-License-Identifier: MIT
/* Devices, buffers and queues, on the CPU. */
#include <errno.h>
#include <fcntl.h>
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

#include <hw/hearth_cmd.h>

#include "hearth.h"
#include "runtime/table.h"

static struct hearth_device *dev;

static int open_cpu(void **state)
{
	HEARTH_OPTS(hearth_device_opts, opts, .threads = 2);

	return hearth_device_open("cpu", &opts, &dev);
}

static int close_cpu(void **state)
{
	hearth_device_close(dev);
	dev = NULL;
	return 0;
}

#define assert_message(TEXT) assert_non_null(strstr(hearth_errmsg(), TEXT))

/* ---- address table ---- */

static void table_gives_disjoint_aligned_ranges(void **state)
{
	struct hearth_range r[64];
	struct hearth_table t;

	assert_int_equal(hearth_table_init(&t, 1ull << 39), 0);
	for (unsigned int i = 0; i < 64; i++) {
		r[i] = (struct hearth_range){
			.bytes = i % 3 ? 4096ull * (i + 1) : 3ull << 20,
			.ptr = (void *)(uintptr_t)(0x1000000 * (i + 1)),
			.writable = true,
		};
		assert_int_equal(hearth_table_add(&t, &r[i]), 0);
		assert_int_equal(r[i].va % (i % 3 ? 1u << 16 : 1u << 21), 0);
	}
	for (unsigned int i = 0; i < 64; i++)
		for (unsigned int j = 0; j < i; j++)
			assert_true(r[i].va + r[i].bytes < r[j].va ||
				    r[j].va + r[j].bytes < r[i].va);
	for (unsigned int i = 0; i < 64; i++)
		assert_ptr_equal(hearth_table_find(&t, r[i].va + 5, 7, HK_READ_WRITE),
				 r[i].ptr + 5);
	hearth_table_fini(&t);
}

static void table_reuses_a_hole(void **state)
{
	struct hearth_range a = { .bytes = 4096 }, b = a, c = a, d = a;
	struct hearth_table t;

	hearth_table_init(&t, 1ull << 39);
	assert_int_equal(hearth_table_add(&t, &a), 0);
	assert_int_equal(hearth_table_add(&t, &b), 0);
	assert_int_equal(hearth_table_add(&t, &c), 0);
	hearth_table_remove(&t, b.va);
	assert_int_equal(hearth_table_add(&t, &d), 0);
	assert_int_equal(d.va, b.va);
	hearth_table_fini(&t);
}

static void table_find_obeys_bounds_and_rights(void **state)
{
	unsigned char mem[4096];
	struct hearth_range r = { .bytes = 4096, .ptr = mem };
	struct hearth_table t;

	hearth_table_init(&t, 1ull << 39);
	assert_int_equal(hearth_table_add(&t, &r), 0);
	assert_non_null(hearth_table_find(&t, r.va, 4096, HK_READ));
	assert_null(hearth_table_find(&t, r.va, 4097, HK_READ));
	assert_null(hearth_table_find(&t, r.va - 1, 1, HK_READ));
	assert_null(hearth_table_find(&t, r.va + 4096, 1, HK_READ));
	assert_null(hearth_table_find(&t, r.va + 4095, 2, HK_READ));
	assert_null(hearth_table_find(&t, r.va, UINT64_MAX, HK_READ));
	assert_null(hearth_table_find(&t, UINT64_MAX, 2, HK_READ));
	assert_null(hearth_table_find(&t, r.va, 1, HK_WRITE));
	hearth_table_fini(&t);
}

static void table_refuses_what_does_not_fit(void **state)
{
	struct hearth_range big = { .bytes = (1ull << 39) - (1 << 20) };
	struct hearth_range more = { .bytes = 4096 };
	struct hearth_range wrap = { .bytes = UINT64_MAX - 4095 };
	struct hearth_range none = { .bytes = 0 };
	struct hearth_table t;

	hearth_table_init(&t, 1ull << 39);
	assert_int_equal(hearth_table_add(&t, &wrap), -ENOSPC);
	assert_int_equal(hearth_table_add(&t, &none), -ENOSPC);
	/* 2 MiB alignment loses the first megabyte */
	assert_int_equal(hearth_table_add(&t, &big), -ENOSPC);
	big.bytes = (1ull << 39) - (2 << 20);
	assert_int_equal(hearth_table_add(&t, &big), 0);
	assert_int_equal(hearth_table_add(&t, &more), 0);
	hearth_table_fini(&t);
}

/* ---- devices ---- */

static void device_unknown_isa_is_refused_by_name(void **state)
{
	HEARTH_OPTS(hearth_device_opts, opts, .isa = "z80");
	struct hearth_device *d = NULL;

	assert_int_equal(hearth_device_open("cpu", &opts, &d), -EINVAL);
	assert_null(d);
	assert_message("z80");
	/* And with the names that are possible. */
	assert_message("plain");
}

static void device_isa_from_the_environment(void **state)
{
	HEARTH_OPTS(hearth_device_opts, opts, .isa = "plain");
	HEARTH_OPTS(hearth_device_info, info);
	struct hearth_device *d = NULL;

	setenv("HEARTH_ISA", "6502", 1);
	assert_int_equal(hearth_device_open("cpu", NULL, &d), -EINVAL);
	assert_message("6502");
	assert_message("HEARTH_ISA");
	/* What the caller says comes first. */
	assert_int_equal(hearth_device_open("cpu", &opts, &d), 0);
	hearth_device_close(d);
	setenv("HEARTH_ISA", "plain", 1);
	assert_int_equal(hearth_device_open("cpu", NULL, &d), 0);
	assert_int_equal(hearth_device_get_info(d, &info), 0);
	assert_string_equal(info.isa, "plain");
	hearth_device_close(d);
	unsetenv("HEARTH_ISA");
}

static void device_node_that_is_none_is_refused(void **state)
{
	struct hearth_device *d = NULL;

	assert_int_equal(hearth_device_open("/dev/null", NULL, &d), -ENODEV);
	assert_message("/dev/null");
	assert_int_equal(hearth_device_open("/nonexistent", NULL, &d), -ENOENT);
	assert_message("/nonexistent");
}

static void device_info_fills_what_fits(void **state)
{
	struct {
		struct hearth_device_info info;
		uint64_t tail;
	} big;
	struct hearth_device_info small;

	memset(&big, 0xff, sizeof(big));
	big.info.sz = sizeof(big);
	assert_int_equal(hearth_device_get_info(dev, &big.info), 0);
	assert_string_equal(big.info.name, "cpu");
	assert_int_equal(big.info.threads, 2);
	assert_true(big.info.ops & 1ull << HEARTH_OP_MATMUL);
	assert_int_equal(big.tail, 0);
	memset(&small, 0xff, sizeof(small));
	small.sz = offsetof(struct hearth_device_info, path);
	assert_int_equal(hearth_device_get_info(dev, &small), 0);
	assert_string_equal(small.name, "cpu");
	assert_ptr_equal(small.path, (void *)-1);
	small.sz = 0;
	assert_int_equal(hearth_device_get_info(dev, &small), -EINVAL);
}

static void opts_of_another_size_are_checked(void **state)
{
	struct {
		struct hearth_buffer_opts o;
		uint64_t unknown;
	} big = { .o.sz = sizeof(big) };
	struct hearth_buffer *b;

	assert_int_equal(hearth_buffer_create(dev, 1, &big.o, &b), 0);
	hearth_buffer_destroy(b);
	big.unknown = 1;
	assert_int_equal(hearth_buffer_create(dev, 1, &big.o, &b), -E2BIG);
	big.o.sz = 1;
	assert_int_equal(hearth_buffer_create(dev, 1, &big.o, &b), -EINVAL);
	big.o.sz = 1 << 20;
	assert_int_equal(hearth_buffer_create(dev, 1, &big.o, &b), -EINVAL);
}

/* ---- buffers ---- */

static void buffer_is_zeroed_and_rounded(void **state)
{
	struct hearth_buffer *b;
	const unsigned char *p;

	assert_int_equal(hearth_buffer_create(dev, 5, NULL, &b), 0);
	assert_int_equal(hearth_buffer_bytes(b), 4096);
	p = hearth_buffer_data(b);
	for (int i = 0; i < 4096; i++)
		assert_int_equal(p[i], 0);
	hearth_buffer_destroy(b);
	hearth_buffer_destroy(NULL);
}

static void buffer_bad_sizes_and_flags_are_refused(void **state)
{
	HEARTH_OPTS(hearth_buffer_opts, opts, .flags = 1u << 31);
	struct hearth_buffer *b;

	assert_int_equal(hearth_buffer_create(dev, 0, NULL, &b), -EINVAL);
	assert_int_equal(hearth_buffer_create(dev, UINT64_MAX, NULL, &b), -EINVAL);
	assert_int_equal(hearth_buffer_create(dev, 1, &opts, &b), -EINVAL);
	assert_message("0x80000000");
}

static int file_of(size_t bytes)
{
	int fd = memfd_create("weights", MFD_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = i * 7;

		assert_int_equal(write(fd, &c, 1), 1);
	}
	return fd;
}

static void buffer_from_file_shares_its_pages(void **state)
{
	struct hearth_buffer *b;
	int fd = file_of(10000);
	const unsigned char *p;

	assert_int_equal(hearth_buffer_from_file(dev, fd, 4096, 5904, NULL, &b), 0);
	p = hearth_buffer_data(b);
	assert_int_equal(p[1], (unsigned char)(4097 * 7));
	/* one copy: a write to the file is seen through the buffer */
	assert_int_equal(pwrite(fd, "!", 1, 4097), 1);
	assert_int_equal(p[1], '!');
	close(fd);
	assert_int_equal(p[5903], (unsigned char)(9999 * 7));
	hearth_buffer_destroy(b);
}

static void buffer_from_file_checks_the_range(void **state)
{
	struct hearth_buffer *b;
	int fd = file_of(5000), pipe_fd[2];

	assert_int_equal(hearth_buffer_from_file(dev, fd, 1, 10, NULL, &b), -EINVAL);
	assert_int_equal(hearth_buffer_from_file(dev, fd, 0, 5001, NULL, &b), -EINVAL);
	assert_message("5001");
	assert_message("5000");
	assert_int_equal(hearth_buffer_from_file(dev, fd, 8192, 1, NULL, &b), -EINVAL);
	assert_int_equal(hearth_buffer_from_file(dev, fd, 4096, UINT64_MAX, NULL, &b),
			 -EINVAL);
	assert_int_equal(hearth_buffer_from_file(dev, -1, 0, 1, NULL, &b), -EBADF);
	assert_int_equal(pipe(pipe_fd), 0);
	assert_int_equal(hearth_buffer_from_file(dev, pipe_fd[0], 0, 1, NULL, &b),
			 -EINVAL);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	close(fd);
}

static void buffer_dma_buf_needs_an_npu(void **state)
{
	struct hearth_buffer *b;
	int fd = file_of(4096);

	assert_int_equal(hearth_buffer_import(dev, fd, NULL, &b), -EOPNOTSUPP);
	assert_int_equal(hearth_buffer_create(dev, 1, NULL, &b), 0);
	assert_int_equal(hearth_buffer_export(b, &fd), -EOPNOTSUPP);
	hearth_buffer_destroy(b);
}

/* ---- queues ---- */

struct job {
	struct hearth_buffer *stream, *data;
	struct hearth_queue *q;
	struct hearth_cmd_copy_2d *cmd;
};

static void job_create(struct job *j, uint32_t data_flags)
{
	HEARTH_OPTS(hearth_buffer_opts, opts, .flags = data_flags);
	uint64_t va;

	assert_int_equal(hearth_buffer_create(dev, 4096, NULL, &j->stream), 0);
	assert_int_equal(hearth_buffer_create(dev, 4096, &opts, &j->data), 0);
	assert_int_equal(hearth_queue_create(dev, NULL, &j->q), 0);
	va = hearth_buffer_address(j->data);
	j->cmd = hearth_buffer_data(j->stream);
	*j->cmd = (struct hearth_cmd_copy_2d){
		.hdr = { .op = HEARTH_OP_COPY_2D, .bytes = sizeof(*j->cmd) },
		.src = va,
		.dst = va + 2048,
		.src_stride = 16,
		.dst_stride = 16,
		.row_bytes = 16,
		.rows = 1,
	};
	memcpy(hearth_buffer_data(j->data), "sixteen bytes!!", 16);
}

static void job_destroy(struct job *j)
{
	hearth_queue_destroy(j->q);
	hearth_buffer_destroy(j->data);
	hearth_buffer_destroy(j->stream);
}

static int job_submit(struct job *j)
{
	return hearth_queue_submit(j->q, hearth_buffer_address(j->stream),
				   sizeof(*j->cmd), NULL);
}

static void queue_executes_a_stream(void **state)
{
	struct job j;

	job_create(&j, 0);
	assert_int_equal(job_submit(&j), 0);
	assert_int_equal(hearth_queue_wait(j.q, UINT64_MAX), 0);
	assert_memory_equal((char *)hearth_buffer_data(j.data) + 2048,
			    "sixteen bytes!!", 16);
	job_destroy(&j);
}

static void queue_error_comes_from_wait_and_stops_the_queue(void **state)
{
	struct job j;

	job_create(&j, 0);
	j.cmd->dst = 0x7f00000000;
	assert_int_equal(job_submit(&j), 0);
	assert_int_equal(hearth_queue_wait(j.q, 0), -EFAULT);
	assert_message("command 0 (copy_2d)");
	assert_message("0x7f00000000");
	assert_int_equal(job_submit(&j), -ECANCELED);
	assert_int_equal(hearth_queue_wait(j.q, 0), -EFAULT);
	job_destroy(&j);
}

static void queue_readonly_buffer_is_not_written(void **state)
{
	struct job j;

	job_create(&j, HEARTH_BUFFER_READONLY);
	assert_int_equal(job_submit(&j), 0);
	assert_int_equal(hearth_queue_wait(j.q, 0), -EFAULT);
	assert_message("mapped for writing");
	assert_int_equal(((char *)hearth_buffer_data(j.data))[2048], 0);
	job_destroy(&j);
}

static void queue_bad_command_names_op_and_field(void **state)
{
	struct job j;

	job_create(&j, 0);
	j.cmd->rows = 0;
	assert_int_equal(job_submit(&j), 0);
	assert_int_equal(hearth_queue_wait(j.q, 0), -EINVAL);
	assert_message("command 0 (copy_2d): field 'rows'");
	job_destroy(&j);
}

static void queue_bad_streams_are_refused(void **state)
{
	struct job j;
	uint64_t va;

	job_create(&j, 0);
	va = hearth_buffer_address(j.stream);
	assert_int_equal(hearth_queue_submit(j.q, va, 0, NULL), 0);
	assert_int_equal(hearth_queue_wait(j.q, 0), -EINVAL);
	job_destroy(&j);
	job_create(&j, 0);
	va = hearth_buffer_address(j.stream);
	assert_int_equal(hearth_queue_submit(j.q, va, 8192, NULL), 0);
	assert_int_equal(hearth_queue_wait(j.q, 0), -EFAULT);
	assert_message("not in a buffer");
	job_destroy(&j);
}

static void queue_has_no_fences_on_the_cpu(void **state)
{
	int fd = -1;
	HEARTH_OPTS(hearth_submit_opts, opts, .signal_fd = &fd);
	struct job j;

	job_create(&j, 0);
	assert_int_equal(hearth_queue_submit(j.q, hearth_buffer_address(j.stream),
					     sizeof(*j.cmd), &opts), -EOPNOTSUPP);
	assert_int_equal(fd, -1);
	job_destroy(&j);
}

static void queue_unknown_priority_is_refused(void **state)
{
	HEARTH_OPTS(hearth_queue_opts, opts, .priority = 77);
	struct hearth_queue *q;

	assert_int_equal(hearth_queue_create(dev, &opts, &q), -EINVAL);
	assert_message("77");
}

#define with_cpu(TEST) cmocka_unit_test_setup_teardown(TEST, open_cpu, close_cpu)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_gives_disjoint_aligned_ranges),
		cmocka_unit_test(table_reuses_a_hole),
		cmocka_unit_test(table_find_obeys_bounds_and_rights),
		cmocka_unit_test(table_refuses_what_does_not_fit),
		cmocka_unit_test(device_unknown_isa_is_refused_by_name),
		cmocka_unit_test(device_isa_from_the_environment),
		cmocka_unit_test(device_node_that_is_none_is_refused),
		with_cpu(device_info_fills_what_fits),
		with_cpu(opts_of_another_size_are_checked),
		with_cpu(buffer_is_zeroed_and_rounded),
		with_cpu(buffer_bad_sizes_and_flags_are_refused),
		with_cpu(buffer_from_file_shares_its_pages),
		with_cpu(buffer_from_file_checks_the_range),
		with_cpu(buffer_dma_buf_needs_an_npu),
		with_cpu(queue_executes_a_stream),
		with_cpu(queue_error_comes_from_wait_and_stops_the_queue),
		with_cpu(queue_readonly_buffer_is_not_written),
		with_cpu(queue_bad_command_names_op_and_field),
		with_cpu(queue_bad_streams_are_refused),
		with_cpu(queue_has_no_fences_on_the_cpu),
		with_cpu(queue_unknown_priority_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
