// SPDX-License-Identifier: MIT
/* The library's NPU backend on a device inside of the test. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <xf86drm.h>

#include <hw/hearth_cmd.h>

#include "fake_npu.h"
#include "hearth.h"
#include "runtime/device.h"

static struct hearth_device *dev;

static int open_fake(void **state)
{
	HEARTH_OPTS(hearth_device_opts, opts, .threads = 1);

	fake_npu_reset();
	return hearth_device_open(fake.path, &opts, &dev);
}

static int close_fake(void **state)
{
	fake.fail_request = 0;
	hearth_device_close(dev);
	return fake_npu_leaks();
}

#define assert_message(TEXT) assert_non_null(strstr(hearth_errmsg(), TEXT))

static void open_reads_what_the_device_can(void **state)
{
	struct hearth_device_info i = { .sz = sizeof(i) };

	assert_int_equal(hearth_device_get_info(dev, &i), 0);
	assert_string_equal(i.name, "npu");
	assert_string_equal(i.path, fake.path);
	assert_true(i.ops == fake.ops);
	assert_int_equal(i.sram_bytes, 1 << 20);
	assert_int_equal(i.fw_version, 0x10002);
}

static void open_failures_are_told(void **state)
{
	static const unsigned long req[] = {
		DRM_IOCTL_HEARTH_DEV_QUERY, DRM_IOCTL_HEARTH_VM_CREATE,
	};
	struct hearth_device *d;

	for (unsigned int i = 0; i < 2; i++) {
		fake.fail_request = req[i];
		fake.fail_errno = EPROTO;
		assert_int_equal(hearth_device_open(fake.path, NULL, &d), -EPROTO);
		assert_message(fake.path);
	}
	fake.fail_request = DRM_IOCTL_VERSION;
	assert_int_equal(hearth_device_open(fake.path, NULL, &d), -ENODEV);
	assert_message("not a Hearth NPU");
}

static void buffer_failure_at_each_step_leaves_nothing(void **state)
{
	static const unsigned long req[] = {
		DRM_IOCTL_HEARTH_BO_CREATE, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET,
		DRM_IOCTL_HEARTH_VM_BIND,
	};
	struct hearth_buffer *b;

	for (unsigned int i = 0; i < 3; i++) {
		fake.fail_request = req[i];
		fake.fail_errno = ENOSPC;
		assert_int_equal(hearth_buffer_create(dev, 4096, NULL, &b), -ENOSPC);
		assert_int_equal(fake_npu_leaks(), 0);
		assert_int_equal(dev->table.count, 0);
	}
}

static void buffer_from_file_holds_the_file(void **state)
{
	struct hearth_buffer *b;
	int fd = memfd_create("w", MFD_CLOEXEC);

	assert_int_equal(pwrite(fd, "abc", 3, 5000), 3);
	assert_int_equal(hearth_buffer_from_file(dev, fd, 4096, 907, NULL, &b), 0);
	assert_memory_equal((char *)hearth_buffer_data(b) + 904, "abc", 3);
	hearth_buffer_destroy(b);
	close(fd);
}

static void queue_failure_at_each_step_leaves_nothing(void **state)
{
	static const unsigned long req[] = {
		DRM_IOCTL_SYNCOBJ_CREATE, DRM_IOCTL_HEARTH_QUEUE_CREATE,
	};
	struct hearth_queue *q;

	for (unsigned int i = 0; i < 2; i++) {
		fake.fail_request = req[i];
		fake.fail_errno = EMFILE;
		assert_int_equal(hearth_queue_create(dev, NULL, &q), -EMFILE);
		assert_int_equal(fake_npu_leaks(), 0);
	}
}

static void queue_priorities_reach_the_driver(void **state)
{
	static const uint32_t want[] = {
		[HEARTH_PRIORITY_DEFAULT] = DRM_HEARTH_QUEUE_NORMAL,
		[HEARTH_PRIORITY_IDLE] = DRM_HEARTH_QUEUE_IDLE,
		[HEARTH_PRIORITY_NORMAL] = DRM_HEARTH_QUEUE_NORMAL,
		[HEARTH_PRIORITY_FOCUS] = DRM_HEARTH_QUEUE_FOCUS,
		[HEARTH_PRIORITY_REALTIME] = DRM_HEARTH_QUEUE_REALTIME,
	};

	for (unsigned int p = 0; p < 5; p++) {
		HEARTH_OPTS(hearth_queue_opts, opts, .priority = p);
		struct hearth_queue *q;

		assert_int_equal(hearth_queue_create(dev, &opts, &q), 0);
		assert_int_equal(fake.priority, want[p]);
		hearth_queue_destroy(q);
	}
}

struct job {
	struct hearth_buffer *buf;
	struct hearth_queue *q;
	struct hearth_cmd_copy_2d *cmd;
};

static void job_create(struct job *j)
{
	uint64_t va;

	assert_int_equal(hearth_buffer_create(dev, 4096, NULL, &j->buf), 0);
	assert_int_equal(hearth_queue_create(dev, NULL, &j->q), 0);
	va = hearth_buffer_address(j->buf);
	j->cmd = hearth_buffer_data(j->buf);
	*j->cmd = (struct hearth_cmd_copy_2d){
		.hdr = { .op = HEARTH_OP_COPY_2D, .bytes = sizeof(*j->cmd) },
		.src = va + 1024,
		.dst = va + 2048,
		.src_stride = 8,
		.dst_stride = 8,
		.row_bytes = 8,
		.rows = 1,
	};
	memcpy((char *)j->cmd + 1024, "payload", 8);
}

static int job_run(struct job *j)
{
	int ret = hearth_queue_submit(j->q, hearth_buffer_address(j->buf),
				      sizeof(*j->cmd), NULL);

	return ret ? ret : hearth_queue_wait(j->q, UINT64_MAX);
}

static void job_destroy(struct job *j)
{
	hearth_queue_destroy(j->q);
	hearth_buffer_destroy(j->buf);
}

static void submit_runs_on_the_device(void **state)
{
	struct job j;

	job_create(&j);
	assert_int_equal(hearth_queue_wait(j.q, 0), 0);
	assert_int_equal(job_run(&j), 0);
	assert_int_equal(fake.submits, 1);
	assert_memory_equal((char *)j.cmd + 2048, "payload", 8);
	job_destroy(&j);
}

static void mmu_fault_names_command_and_address(void **state)
{
	struct job j;

	job_create(&j);
	j.cmd->src = 0x1234560000;
	assert_int_equal(job_run(&j), -EFAULT);
	assert_message("npu: command 0 (copy_2d): read of device address 0x1234560000");
	assert_int_equal(job_run(&j), -ECANCELED);
	job_destroy(&j);
}

static void every_fault_has_its_message(void **state)
{
	static const struct {
		uint32_t cause;
		int error;
		const char *text;
	} rows[] = {
		{ DRM_HEARTH_FAULT_TIMEOUT, ETIMEDOUT, "command 3 (matmul) hangs" },
		{ DRM_HEARTH_FAULT_FIRMWARE, EIO, "the firmware died" },
		{ DRM_HEARTH_FAULT_GONE, ENODEV, "the device was removed" },
		{ DRM_HEARTH_FAULT_BUS, EFAULT, "bus error at 0x42" },
		{ DRM_HEARTH_FAULT_OPCODE, EINVAL, "opcode 33 is not known" },
		{ DRM_HEARTH_FAULT_NONE, ECANCELED, "was cancelled" },
		{ 99, EIO, "was cancelled" },
	};

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct job j;

		job_create(&j);
		fake.fault = (struct drm_hearth_query_fault){
			.cause = rows[i].cause,
			.error = rows[i].error,
			.op_index = 3,
			.opcode = HEARTH_OP_MATMUL,
			.address = 0x42,
			.flags = DRM_HEARTH_FAULT_INNOCENT,
		};
		assert_int_equal(job_run(&j), -rows[i].error);
		assert_message(rows[i].text);
		assert_message("another queue was the cause");
		job_destroy(&j);
	}
}

/* The device tells the index only; a second command follows the copy. */
static void hang_names_the_command_from_the_stream(void **state)
{
	static const struct {
		uint32_t index, bytes;
		const char *text;
	} rows[] = {
		{ 0, sizeof(struct hearth_cmd_copy_2d), "command 0 (copy_2d) hangs" },
		{ 1, sizeof(struct hearth_cmd_copy_2d), "command 1 (nop) hangs" },
		{ 2, sizeof(struct hearth_cmd_copy_2d), "command 2 (unknown) hangs" },
		{ 1, 4, "command 1 (unknown) hangs" },
		{ 1, ~0u, "command 1 (unknown) hangs" },
	};

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct hearth_cmd_header nop = { .op = HEARTH_OP_NOP, .bytes = sizeof(nop) };
		struct job j;

		job_create(&j);
		memcpy(j.cmd + 1, &nop, sizeof(nop));
		j.cmd->hdr.bytes = rows[i].bytes;
		fake.fault = (struct drm_hearth_query_fault){
			.cause = DRM_HEARTH_FAULT_TIMEOUT,
			.error = ETIMEDOUT,
			.op_index = rows[i].index,
			.opcode = ~0u,
		};
		assert_int_equal(hearth_queue_submit(j.q, hearth_buffer_address(j.buf),
						     sizeof(*j.cmd) + sizeof(nop), NULL), 0);
		assert_int_equal(hearth_queue_wait(j.q, UINT64_MAX), -ETIMEDOUT);
		assert_message(rows[i].text);
		job_destroy(&j);
	}
}

static void wait_times_out(void **state)
{
	struct job j;

	job_create(&j);
	fake.never = true;
	assert_int_equal(hearth_queue_submit(j.q, hearth_buffer_address(j.buf),
					     sizeof(*j.cmd), NULL), 0);
	assert_int_equal(hearth_queue_wait(j.q, 5000000), -ETIME);
	assert_message("5 ms");
	fake.never = false;
	job_destroy(&j);
}

static void fences_go_in_and_out(void **state)
{
	int out = -1;
	HEARTH_OPTS(hearth_submit_opts, opts, .has_wait_fd = true, .wait_fd = 0,
		    .signal_fd = &out);
	struct job j;

	job_create(&j);
	assert_int_equal(hearth_queue_submit(j.q, hearth_buffer_address(j.buf),
					     sizeof(*j.cmd), &opts), 0);
	assert_true(out >= 0);
	close(out);
	fake.fail_request = DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE;
	fake.fail_errno = EINVAL;
	assert_int_equal(hearth_queue_submit(j.q, hearth_buffer_address(j.buf),
					     sizeof(*j.cmd), &opts), -EINVAL);
	assert_message("import fence");
	fake.fail_request = 0;
	job_destroy(&j);
}

static void the_same_stream_runs_on_the_cpu(void **state)
{
	struct job j;

	job_create(&j);
	assert_int_equal(hearth_device_run_cpu(dev, hearth_buffer_address(j.buf),
					       sizeof(*j.cmd)), 0);
	assert_int_equal(fake.submits, 0);
	assert_memory_equal((char *)j.cmd + 2048, "payload", 8);
	job_destroy(&j);
}

#define with_npu(TEST) cmocka_unit_test_setup_teardown(TEST, open_fake, close_fake)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_npu(open_reads_what_the_device_can),
		with_npu(open_failures_are_told),
		with_npu(buffer_failure_at_each_step_leaves_nothing),
		with_npu(buffer_from_file_holds_the_file),
		with_npu(queue_failure_at_each_step_leaves_nothing),
		with_npu(queue_priorities_reach_the_driver),
		with_npu(submit_runs_on_the_device),
		with_npu(mmu_fault_names_command_and_address),
		with_npu(every_fault_has_its_message),
		with_npu(hang_names_the_command_from_the_stream),
		with_npu(wait_times_out),
		with_npu(fences_go_in_and_out),
		with_npu(the_same_stream_runs_on_the_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
