// SPDX-License-Identifier: MIT
/* Models and admission, on a made up NPU and on the CPU. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <xf86drm.h>

#include <hw/hearth_cmd.h>

#include "fake_npu.h"
#include "hearth.h"
#include "runtime/device.h"

#define MIB		(1ull << 20)
#define FILE_BYTES	(3 * MIB + 5000)

static struct hearth_device *dev;
static char path[64];
static int fd = -1;

#define assert_message(TEXT) assert_non_null(strstr(hearth_errmsg(), TEXT))

/* A file of a file system with a page cache to share, not of tmpfs. */
static int make_file(void)
{
	char *data = malloc(FILE_BYTES);

	snprintf(path, sizeof(path), "/var/tmp/weights-XXXXXX");
	fd = mkstemp(path);
	for (size_t i = 0; i < FILE_BYTES; i++)
		data[i] = i * 7 + (i >> 12);
	memcpy(data, "GGUF", 4);
	if (write(fd, data, FILE_BYTES) != (ssize_t)FILE_BYTES || fsync(fd))
		return -1;
	free(data);
	return 0;
}

static int open_device(const char *name)
{
	HEARTH_OPTS(hearth_device_opts, opts, .threads = 1);

	return make_file() ? -1 : hearth_device_open(name, &opts, &dev);
}

static int open_npu(void **state)
{
	fake_npu_reset();
	return open_device(fake.path);
}

static int open_old_npu(void **state)
{
	fake_npu_reset();
	fake.extent_bytes = 0;
	fake.max_models = 0;
	return open_device(fake.path);
}

/* It has buffers of files, but no models yet. */
static int open_npu_without_models(void **state)
{
	fake_npu_reset();
	fake.max_models = 0;
	return open_device(fake.path);
}

static int open_cpu(void **state)
{
	fake_npu_reset();
	return open_device("cpu");
}

static int close_device(void **state)
{
	fake.fail_request = 0;
	hearth_device_close(dev);
	close(fd);
	unlink(path);
	return fake_npu_leaks();
}

static char file_byte(size_t i)
{
	return i * 7 + (i >> 12);
}

/* ---- buffers of files ---- */

static void file_buffer_is_the_file(void **state)
{
	struct hearth_buffer *b;

	assert_int_equal(hearth_buffer_from_file(dev, fd, 0, FILE_BYTES, NULL, &b), 0);
	assert_true(hearth_buffer_is_shared(b));
	assert_int_equal(hearth_buffer_address(b) % (2 * MIB), 0);
	assert_int_equal(((char *)hearth_buffer_data(b))[FILE_BYTES - 1],
			 file_byte(FILE_BYTES - 1));
	/* one copy: what is written to the file is there */
	assert_int_equal(pwrite(fd, "!", 1, 5000), 1);
	assert_int_equal(((char *)hearth_buffer_data(b))[5000], '!');
	hearth_buffer_destroy(b);
}

/* The device begins at an extent, the caller where he said. */
static void file_buffer_begins_at_any_page(void **state)
{
	const uint64_t part = MIB / 2;
	struct hearth_buffer *b, *small;
	uint64_t va;

	assert_int_equal(hearth_buffer_from_file(dev, fd, 2 * MIB + 8192, part, NULL, &b), 0);
	va = hearth_buffer_address(b);
	assert_int_equal(va % (2 * MIB), 8192);
	assert_int_equal(hearth_buffer_bytes(b), part);
	assert_int_equal(*(char *)hearth_buffer_data(b), file_byte(2 * MIB + 8192));
	assert_ptr_equal(hearth_table_find(&dev->table, va, part, HK_READ),
			 hearth_buffer_data(b));
	assert_null(hearth_table_find(&dev->table, va, 4, HK_WRITE));
	assert_null(hearth_table_find(&dev->table, va, part + 1, HK_READ));
	/* the rest of the extent belongs to nobody else */
	assert_int_equal(hearth_buffer_create(dev, 4096, NULL, &small), 0);
	assert_true(hearth_buffer_address(small) < va - 8192 ||
		    hearth_buffer_address(small) >= va - 8192 + 2 * MIB);
	hearth_buffer_destroy(small);
	hearth_buffer_destroy(b);
	assert_int_equal(dev->table.count, 0);
}

static void file_buffer_failure_at_each_step_leaves_nothing(void **state)
{
	static const unsigned long req[] = {
		DRM_IOCTL_HEARTH_BO_CREATE_FILE, DRM_IOCTL_HEARTH_VM_BIND,
	};
	struct hearth_buffer *b;

	for (unsigned int i = 0; i < 2; i++) {
		fake.fail_request = req[i];
		fake.fail_errno = ENOMEM;
		assert_int_equal(hearth_buffer_from_file(dev, fd, 0, FILE_BYTES, NULL, &b),
				 -ENOMEM);
		assert_int_equal(fake_npu_leaks(), 0);
		assert_int_equal(dev->table.count, 0);
	}
}

static void file_open_for_writing_is_told(void **state)
{
	struct hearth_buffer *b;

	fake.fail_request = DRM_IOCTL_HEARTH_BO_CREATE_FILE;
	fake.fail_errno = ETXTBSY;
	assert_int_equal(hearth_buffer_from_file(dev, fd, 0, 1, NULL, &b), -ETXTBSY);
	assert_message("open for writing");
}

static void file_that_cannot_be_shared_is_copied(void **state)
{
	struct hearth_buffer *b;

	fake.fail_request = DRM_IOCTL_HEARTH_BO_CREATE_FILE;
	fake.fail_errno = EOPNOTSUPP;
	assert_int_equal(hearth_buffer_from_file(dev, fd, 4096, MIB, NULL, &b), 0);
	assert_false(hearth_buffer_is_shared(b));
	assert_int_equal(*(char *)hearth_buffer_data(b), file_byte(4096));
	/* a copy does not care what becomes of the file */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(hearth_buffer_check_file(b), 0);
	hearth_buffer_destroy(b);
}

static void a_changed_file_is_stale(void **state)
{
	struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct hearth_buffer *b;

	assert_int_equal(hearth_buffer_from_file(dev, fd, 0, FILE_BYTES, NULL, &b), 0);
	assert_int_equal(hearth_buffer_check_file(b), 0);
	/* another name or mode is no other content */
	assert_int_equal(fchmod(fd, 0640), 0);
	assert_int_equal(hearth_buffer_check_file(b), 0);
	assert_int_equal(futimens(fd, times), 0);
	assert_int_equal(hearth_buffer_check_file(b), -ESTALE);
	assert_message("written");
	assert_int_equal(ftruncate(fd, MIB), 0);
	assert_int_equal(hearth_buffer_check_file(b), -ESTALE);
	assert_message("1048576");
	hearth_buffer_destroy(b);
}

/* ---- state buffers ---- */

static void state_buffer_grows_up_to_its_size(void **state)
{
	HEARTH_OPTS(hearth_buffer_opts, o, .flags = HEARTH_BUFFER_STATE);
	struct hearth_buffer *b;

	assert_int_equal(hearth_buffer_create(dev, 5 * MIB, &o, &b), 0);
	assert_int_equal(fake.size, 6 * MIB);
	assert_int_equal(hearth_buffer_bytes(b), 5 * MIB);
	assert_int_equal(hearth_buffer_resize(b, 100), 0);
	assert_int_equal(fake.size, 2 * MIB);
	assert_int_equal(hearth_buffer_resize(b, 5 * MIB), 0);
	assert_int_equal(hearth_buffer_resize(b, 5 * MIB + 1), -EINVAL);
	assert_message("5242880");
	fake.fail_request = DRM_IOCTL_HEARTH_BO_RESIZE;
	fake.fail_errno = EDQUOT;
	assert_int_equal(hearth_buffer_resize(b, 1), -EDQUOT);
	hearth_buffer_destroy(b);
	assert_int_equal(hearth_buffer_create(dev, MIB, &o, &b), -EDQUOT);
	assert_int_equal(fake_npu_leaks(), 0);
}

static void state_buffer_begins_small(void **state)
{
	HEARTH_OPTS(hearth_buffer_opts, o, .flags = HEARTH_BUFFER_STATE, .used = 100);
	struct hearth_buffer *b;

	assert_int_equal(hearth_buffer_create(dev, 5 * MIB, &o, &b), 0);
	assert_int_equal(fake.size, 2 * MIB);
	assert_int_equal(hearth_buffer_bytes(b), 5 * MIB);
	assert_int_equal(hearth_buffer_resize(b, 3 * MIB), 0);
	assert_int_equal(fake.size, 4 * MIB);
	hearth_buffer_destroy(b);
	assert_int_equal(hearth_buffer_create(dev, 99, &o, &b), -EINVAL);
	assert_message("100 bytes in use, of a state of 99");
	o.flags = 0;
	assert_int_equal(hearth_buffer_create(dev, MIB, &o, &b), -EINVAL);
	assert_message("of a buffer");
}

static void a_driver_without_states_gives_plain_buffers(void **state)
{
	HEARTH_OPTS(hearth_buffer_opts, o, .flags = HEARTH_BUFFER_STATE);
	struct hearth_buffer *b;

	fake.no_states = true;
	assert_int_equal(hearth_buffer_create(dev, 5 * MIB, &o, &b), 0);
	assert_int_equal(hearth_buffer_resize(b, 4096), 0);
	assert_int_equal(fake.size, 0);
	assert_int_equal(hearth_buffer_advise(b, false, NULL), 0);
	hearth_buffer_destroy(b);
}

static void discarded_state_is_told(void **state)
{
	HEARTH_OPTS(hearth_buffer_opts, o, .flags = HEARTH_BUFFER_STATE);
	struct hearth_buffer *b;
	bool retained = false;

	assert_int_equal(hearth_buffer_create(dev, MIB, &o, &b), 0);
	assert_int_equal(hearth_buffer_advise(b, false, NULL), 0);
	assert_int_equal(fake.advice, DRM_HEARTH_BO_DONTNEED);
	assert_int_equal(hearth_buffer_advise(b, true, &retained), 0);
	assert_int_equal(fake.advice, DRM_HEARTH_BO_WILLNEED);
	assert_true(retained);
	fake.discard = true;
	assert_int_equal(hearth_buffer_advise(b, true, &retained), 0);
	assert_false(retained);
	hearth_buffer_destroy(b);
}

static void a_plain_buffer_is_no_state(void **state)
{
	struct hearth_buffer *b;

	assert_int_equal(hearth_buffer_create(dev, MIB, NULL, &b), 0);
	assert_int_equal(hearth_buffer_resize(b, 1), -EINVAL);
	assert_int_equal(hearth_buffer_advise(b, true, NULL), -EINVAL);
	assert_message("HEARTH_BUFFER_STATE");
	hearth_buffer_destroy(b);
}

static void state_on_the_cpu_is_cut_to_zero(void **state)
{
	HEARTH_OPTS(hearth_buffer_opts, o, .flags = HEARTH_BUFFER_STATE);
	struct hearth_buffer *b;
	bool retained = false;
	char *p;

	assert_int_equal(hearth_buffer_create(dev, MIB, &o, &b), 0);
	p = hearth_buffer_data(b);
	memset(p, 1, MIB);
	assert_int_equal(hearth_buffer_resize(b, 4096), 0);
	assert_int_equal(hearth_buffer_resize(b, MIB), 0);
	assert_int_equal(p[4095], 1);
	assert_int_equal(p[4096], 0);
	assert_int_equal(hearth_buffer_advise(b, false, NULL), 0);
	assert_int_equal(hearth_buffer_advise(b, true, &retained), 0);
	assert_true(retained);
	hearth_buffer_destroy(b);
}

/* ---- models, wherever ---- */

static void names_and_numbers_are_checked(void **state)
{
	HEARTH_OPTS(hearth_model_opts, bad_class, .model_class = 9);
	HEARTH_OPTS(hearth_model_opts, bad_keep, .keep_alive_ns = -5);
	HEARTH_OPTS(hearth_model_opts, bad_name, .name = "a\nb");
	HEARTH_OPTS(hearth_model_opts, long_name,
		    .name = "0123456789012345678901234567890123456789012345678901234567890123");
	struct hearth_model *m = NULL;

	assert_int_equal(hearth_model_open(path, dev, &bad_class, &m), -EINVAL);
	assert_message("class 9");
	assert_int_equal(hearth_model_open(path, dev, &bad_keep, &m), -EINVAL);
	assert_message("-5");
	assert_int_equal(hearth_model_open(path, dev, &bad_name, &m), -EINVAL);
	assert_message("byte 1");
	assert_int_equal(hearth_model_open(path, dev, &long_name, &m), -EINVAL);
	assert_message("64 bytes: at most 63");
	assert_int_equal(hearth_model_open("/nonexistent", dev, NULL, &m), -ENOENT);
	assert_message("/nonexistent");
	assert_int_equal(hearth_model_open_fd(-1, dev, NULL, &m), -EBADF);
	assert_int_equal(hearth_model_open("/dev/null", dev, NULL, &m), -EINVAL);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(hearth_model_open(path, dev, NULL, &m), -EINVAL);
	assert_message("empty");
	assert_null(m);
	hearth_model_close(NULL);
	assert_int_equal(fake_npu_leaks(), 0);
}

static struct hearth_model_info info_of(struct hearth_model *m)
{
	struct hearth_model_info i = { .sz = sizeof(i) };

	assert_int_equal(hearth_model_get_info(m, &i), 0);
	return i;
}

static void a_model_is_named_like_its_file(void **state)
{
	struct hearth_model *m;
	char name[64], with_control[80];

	assert_int_equal(hearth_model_open(path, dev, NULL, &m), 0);
	assert_string_equal(info_of(m).name, strrchr(path, '/') + 1);
	hearth_model_close(m);
	snprintf(with_control, sizeof(with_control), "%s\tx", path);
	assert_int_equal(rename(path, with_control), 0);
	assert_int_equal(hearth_model_open(with_control, dev, NULL, &m), 0);
	snprintf(name, sizeof(name), "%s?x", strrchr(path, '/') + 1);
	assert_string_equal(info_of(m).name, name);
	hearth_model_close(m);
	assert_int_equal(rename(with_control, path), 0);
}

static void class_and_keep_alive_can_be_changed(void **state)
{
	HEARTH_OPTS(hearth_model_opts, o, .model_class = HEARTH_CLASS_PROTECTED);
	HEARTH_OPTS(hearth_model_opts, keep, .keep_alive_ns = HEARTH_KEEP_FOREVER);
	HEARTH_OPTS(hearth_model_opts, none, .keep_alive_ns = HEARTH_KEEP_NONE);
	HEARTH_OPTS(hearth_model_opts, name, .name = "x");
	HEARTH_OPTS(hearth_model_opts, bad, .model_class = 9, .keep_alive_ns = 1);
	struct hearth_model *m;

	assert_int_equal(hearth_model_open(path, dev, NULL, &m), 0);
	assert_int_equal(info_of(m).model_class, HEARTH_CLASS_NORMAL);
	assert_int_equal(info_of(m).keep_alive_ns, 300000000000);
	assert_int_equal(hearth_model_set(m, &o), 0);
	assert_int_equal(hearth_model_set(m, &keep), 0);
	assert_int_equal(info_of(m).model_class, HEARTH_CLASS_PROTECTED);
	assert_int_equal(info_of(m).keep_alive_ns, HEARTH_KEEP_FOREVER);
	assert_int_equal(hearth_model_set(m, &none), 0);
	assert_int_equal(info_of(m).keep_alive_ns, HEARTH_KEEP_NONE);
	assert_int_equal(hearth_model_set(m, &name), -EINVAL);
	assert_int_equal(hearth_model_set(m, &bad), -EINVAL);
	assert_int_equal(info_of(m).keep_alive_ns, HEARTH_KEEP_NONE);
	hearth_model_close(m);
}

static void unknown_drop_flags_are_refused(void **state)
{
	struct hearth_model *m;

	assert_int_equal(hearth_model_open(path, dev, NULL, &m), 0);
	assert_int_equal(hearth_model_drop(m, 2, NULL), -EINVAL);
	assert_message("0x2");
	hearth_model_close(m);
}

/* ---- models of the driver ---- */

static void the_driver_knows_the_model(void **state)
{
	HEARTH_OPTS(hearth_model_opts, o, .model_class = HEARTH_CLASS_PINNED,
		    .keep_alive_ns = HEARTH_KEEP_NONE, .name = "chat");
	struct hearth_model_info i;
	struct hearth_model *a, *b;

	assert_int_equal(hearth_model_open(path, dev, &o, &a), 0);
	assert_int_equal(fake.model.model_class, DRM_HEARTH_CLASS_PINNED);
	assert_int_equal(fake.model.keep_alive_ns, 0);
	assert_int_equal(fake.model.reservation_fd, -1);
	assert_string_equal(fake.model.name, "chat");
	o.keep_alive_ns = HEARTH_KEEP_FOREVER;
	o.has_reservation = true;
	o.reservation_fd = 1;
	assert_int_equal(hearth_model_open_fd(fd, dev, &o, &b), 0);
	assert_int_equal(fake.model.keep_alive_ns, DRM_HEARTH_KEEP_FOREVER);
	assert_int_equal(fake.model.reservation_fd, 1);
	i = info_of(b);
	assert_int_equal(i.weights_bytes, FILE_BYTES);
	assert_int_equal(i.sharers, 2);
	assert_int_equal(i.state, HEARTH_MODEL_DROPPED);
	assert_int_equal(i.model_class, HEARTH_CLASS_PINNED);
	assert_true(i.serial && i.shared && i.pid == (uint32_t)getpid());
	hearth_model_close(a);
	assert_int_equal(info_of(b).sharers, 1);
	hearth_model_close(b);
}

static void load_and_drop_are_counted(void **state)
{
	struct hearth_model_info i;
	struct hearth_model *m;
	uint64_t bytes = 0;

	assert_int_equal(hearth_model_open(path, dev, NULL, &m), 0);
	assert_int_equal(hearth_model_load(m), 0);
	i = info_of(m);
	assert_int_equal(i.state, HEARTH_MODEL_RESIDENT);
	assert_int_equal(i.restored_bytes, FILE_BYTES);
	assert_true(i.restored_ns);
	assert_int_equal(hearth_model_drop(m, HEARTH_DROP_CACHE, &bytes), 0);
	assert_int_equal(bytes, FILE_BYTES);
	i = info_of(m);
	assert_int_equal(i.state, HEARTH_MODEL_DROPPED);
	assert_int_equal(i.dropped_bytes, FILE_BYTES);
	fake.fail_request = DRM_IOCTL_HEARTH_MODEL_DROP;
	fake.fail_errno = EBUSY;
	assert_int_equal(hearth_model_drop(m, 0, &bytes), -EBUSY);
	assert_message("in use");
	hearth_model_close(m);
}

static void a_load_that_fails_says_why(void **state)
{
	static const struct {
		uint32_t cause;
		int error;
		const char *text;
	} rows[] = {
		{ DRM_HEARTH_FAULT_STALE, ESTALE, "changed after it was opened" },
		{ DRM_HEARTH_FAULT_RESTORE, EIO, "Input/output error" },
		{ DRM_HEARTH_FAULT_RESTORE, ENOMEM, "no memory" },
		{ DRM_HEARTH_FAULT_RESTORE, EDQUOT, "budget" },
	};
	struct hearth_model *m;

	assert_int_equal(hearth_model_open(path, dev, NULL, &m), 0);
	for (unsigned int i = 0; i < 4; i++) {
		fake.fault = (struct drm_hearth_query_fault){
			.cause = rows[i].cause,
			.error = rows[i].error,
		};
		assert_int_equal(hearth_model_load(m), -rows[i].error);
		assert_message(rows[i].text);
	}
	assert_int_equal(ftruncate(fd, 5), 0);
	assert_int_equal(hearth_model_load(m), -ESTALE);
	hearth_model_close(m);
}

static void pinning_without_the_right_is_told(void **state)
{
	HEARTH_OPTS(hearth_model_opts, o, .model_class = HEARTH_CLASS_PINNED, .name = "chat");
	struct hearth_model *m;

	fake.fail_request = DRM_IOCTL_HEARTH_MODEL_CREATE;
	fake.fail_errno = EPERM;
	assert_int_equal(hearth_model_open(path, dev, &o, &m), -EPERM);
	assert_message("'chat' may not be pinned");
	assert_message("CAP_SYS_RESOURCE");
	assert_int_equal(fake_npu_leaks(), 0);
}

static void model_calls_that_fail_change_nothing(void **state)
{
	HEARTH_OPTS(hearth_model_opts, o, .model_class = HEARTH_CLASS_DROPPABLE);
	struct hearth_model_info i = { .sz = sizeof(i) };
	struct hearth_model *m;

	assert_int_equal(hearth_model_open(path, dev, NULL, &m), 0);
	fake.fail_request = DRM_IOCTL_HEARTH_MODEL_SET;
	fake.fail_errno = EINVAL;
	assert_int_equal(hearth_model_set(m, &o), -EINVAL);
	assert_message("change model");
	fake.fail_request = DRM_IOCTL_HEARTH_MODEL_GET;
	assert_int_equal(hearth_model_get_info(m, &i), -EINVAL);
	fake.fail_request = 0;
	assert_int_equal(info_of(m).model_class, HEARTH_CLASS_NORMAL);
	hearth_model_close(m);
}

static void events_are_polled_and_read(void **state)
{
	struct hearth_model_event e = { .sz = sizeof(e) };
	struct hearth_model *m;
	struct pollfd p = { .events = POLLIN };

	assert_int_equal(hearth_model_open(path, dev, NULL, &m), 0);
	assert_int_equal(hearth_model_events(m, &p.fd), 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(hearth_model_read_event(p.fd, &e), -EAGAIN);
	assert_int_equal(hearth_model_load(m), 0);
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(hearth_model_read_event(p.fd, &e), 0);
	assert_int_equal(e.events, HEARTH_EVENT_RESTORED);
	assert_int_equal(e.state, HEARTH_MODEL_RESIDENT);
	assert_int_equal(e.resident_bytes, FILE_BYTES);
	fake_npu_drop();
	assert_int_equal(hearth_model_read_event(p.fd, &e), 0);
	assert_int_equal(e.events, HEARTH_EVENT_ABOUT_TO_DROP | HEARTH_EVENT_DROPPED);
	hearth_model_close(m);
	assert_int_equal(hearth_model_read_event(p.fd, &e), -EPIPE);
	close(p.fd);
	assert_int_equal(hearth_model_read_event(p.fd, &e), -EBADF);
}

static void an_event_cut_short_is_refused(void **state)
{
	struct hearth_model_event e = { .sz = sizeof(e) };
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "abc", 3), 3);
	assert_int_equal(hearth_model_read_event(p[0], &e), -EIO);
	close(p[0]);
	close(p[1]);
}

static int count_model(const struct hearth_model_info *m, void *arg)
{
	unsigned int *n = arg;

	assert_true(m->serial > 100);
	return ++*n == 75 ? 7 : 0;
}

/* More than one call of the driver can hold. */
static void all_models_are_listed(void **state)
{
	struct hearth_model *m[75];
	unsigned int n = 0;

	fake.max_models = 79;
	/* one BO each, of which the fake has fewer: the state of one buffer */
	for (unsigned int i = 0; i < 60; i++)
		assert_int_equal(hearth_model_open(path, dev, NULL, &m[i]), 0);
	assert_int_equal(hearth_model_list(dev, count_model, &n), 0);
	assert_int_equal(n, 60);
	for (unsigned int i = 0; i < 60; i++)
		hearth_model_close(m[i]);
	n = 74;
	assert_int_equal(hearth_model_list(dev, count_model, &n), 0);
	assert_int_equal(n, 74);
	assert_int_equal(hearth_model_open(path, dev, NULL, &m[0]), 0);
	assert_int_equal(hearth_model_list(dev, count_model, &n), 7);
	fake.fail_request = DRM_IOCTL_HEARTH_MODEL_LIST;
	fake.fail_errno = EFAULT;
	assert_int_equal(hearth_model_list(dev, count_model, &n), -EFAULT);
	hearth_model_close(m[0]);
}

/* ---- with a driver that lacks some of it ---- */

static void an_old_driver_gets_copies(void **state)
{
	HEARTH_OPTS(hearth_model_opts, pinned, .model_class = HEARTH_CLASS_PINNED);
	HEARTH_OPTS(hearth_buffer_opts, state_opts, .flags = HEARTH_BUFFER_STATE);
	HEARTH_OPTS(hearth_demand, d, .weights_bytes = 1);
	struct hearth_memory_info mem = { .sz = sizeof(mem) };
	struct hearth_answer a = { .sz = sizeof(a) };
	struct hearth_model *m;
	struct hearth_buffer *b;
	unsigned int n = 0;
	int out;

	assert_int_equal(hearth_model_open(path, dev, NULL, &m), 0);
	assert_false(info_of(m).shared);
	assert_int_equal(info_of(m).state, HEARTH_MODEL_RESIDENT);
	assert_int_equal(hearth_model_load(m), 0);
	assert_int_equal(hearth_model_drop(m, 0, NULL), -EOPNOTSUPP);
	assert_message("copy");
	assert_int_equal(hearth_model_set(m, &pinned), -EOPNOTSUPP);
	assert_int_equal(hearth_model_events(m, &out), -EOPNOTSUPP);
	assert_message("too old");
	hearth_model_close(m);
	assert_int_equal(hearth_model_open(path, dev, &pinned, &m), -EOPNOTSUPP);
	assert_int_equal(hearth_buffer_create(dev, MIB, &state_opts, &b), 0);
	assert_int_equal(hearth_buffer_resize(b, 1), 0);
	assert_int_equal(hearth_buffer_advise(b, true, NULL), 0);
	hearth_buffer_destroy(b);
	assert_int_equal(hearth_model_list(dev, count_model, &n), -EOPNOTSUPP);
	assert_int_equal(hearth_device_get_memory(dev, &mem), -EOPNOTSUPP);
	assert_int_equal(hearth_reserve(dev, 1, HEARTH_CLASS_NORMAL, &out), -EOPNOTSUPP);
	assert_int_equal(hearth_admit(dev, &d, NULL, &a), 0);
	assert_true(a.estimated);
}

static void without_models_weights_are_shared_still(void **state)
{
	struct hearth_model *m;

	assert_int_equal(hearth_model_open(path, dev, NULL, &m), 0);
	assert_true(info_of(m).shared);
	assert_true(info_of(m).estimated);
	assert_int_equal(hearth_model_load(m), 0);
	assert_int_equal(fake.submits, 1);
	assert_int_equal(hearth_model_drop(m, 0, NULL), -EOPNOTSUPP);
	hearth_model_close(m);
}

/* ---- the CPU ---- */

static void cached_pages_are_counted(void **state)
{
	struct hearth_model_info i;
	struct hearth_model *m;
	uint64_t bytes = 0;

	assert_int_equal(hearth_model_open(path, dev, NULL, &m), 0);
	assert_int_equal(hearth_model_load(m), 0);
	i = info_of(m);
	assert_int_equal(i.weights_bytes, FILE_BYTES);
	assert_int_equal(i.resident_bytes, FILE_BYTES);
	assert_int_equal(i.state, HEARTH_MODEL_RESIDENT);
	assert_int_equal(i.effective_class, HEARTH_CLASS_DROPPABLE);
	assert_false(i.estimated);
	assert_int_equal(hearth_model_drop(m, 0, &bytes), 0);
	i = info_of(m);
	assert_int_equal(i.dropped_bytes, bytes);
	assert_true(i.resident_bytes + bytes >= FILE_BYTES);
	/* not all file systems drop (overlays of some kinds do not) */
	if (bytes) {
		assert_true(i.state == HEARTH_MODEL_DROPPED ||
			    i.state == HEARTH_MODEL_PARTLY);
		assert_int_equal(hearth_model_load(m), 0);
		i = info_of(m);
		assert_int_equal(i.state, HEARTH_MODEL_RESIDENT);
		assert_true(i.restored_bytes >= bytes && i.restored_ns);
	}
	assert_int_equal(ftruncate(fd, FILE_BYTES - 1), 0);
	assert_int_equal(info_of(m).state, HEARTH_MODEL_STALE);
	assert_int_equal(hearth_model_load(m), -ESTALE);
	hearth_model_close(m);
}

static void the_cpu_promises_nothing(void **state)
{
	HEARTH_OPTS(hearth_model_opts, pinned, .model_class = HEARTH_CLASS_PINNED);
	HEARTH_OPTS(hearth_model_opts, paid, .has_reservation = true);
	struct hearth_model *m;
	int out;

	assert_int_equal(hearth_model_open(path, dev, &pinned, &m), -EOPNOTSUPP);
	assert_message("cannot pin");
	assert_int_equal(hearth_model_open(path, dev, &paid, &m), -EOPNOTSUPP);
	assert_message("reservation");
	assert_int_equal(hearth_reserve(dev, MIB, HEARTH_CLASS_NORMAL, &out), -EOPNOTSUPP);
	assert_message("cannot reserve");
	assert_int_equal(hearth_model_open(path, dev, NULL, &m), 0);
	assert_int_equal(hearth_model_set(m, &pinned), -EOPNOTSUPP);
	assert_int_equal(info_of(m).model_class, HEARTH_CLASS_NORMAL);
	assert_int_equal(hearth_model_events(m, &out), -EOPNOTSUPP);
	assert_message("does not tell");
	hearth_model_close(m);
}

static int find_ours(const struct hearth_model_info *m, void *arg)
{
	if (m->pid != (uint32_t)getpid() || strcmp(m->name, strrchr(path, '/') + 1))
		return 0;
	assert_int_equal(m->weights_bytes, FILE_BYTES);
	assert_int_equal(m->uid, getuid());
	assert_int_equal(m->sharers, 1);
	++*(unsigned int *)arg;
	return 0;
}

/* Twice in one process is one model; what is no GGUF file is none. */
static void mapped_files_are_found(void **state)
{
	struct hearth_model *a, *b;
	unsigned int n = 0;

	assert_int_equal(hearth_model_list(dev, find_ours, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(hearth_model_open(path, dev, NULL, &a), 0);
	assert_int_equal(hearth_model_open(path, dev, NULL, &b), 0);
	assert_int_equal(hearth_model_list(dev, find_ours, &n), 0);
	assert_int_equal(n, 1);
	n = 0;
	assert_int_equal(pwrite(fd, "GGML", 4, 0), 4);
	assert_int_equal(hearth_model_list(dev, find_ours, &n), 0);
	assert_int_equal(n, 0);
	hearth_model_close(a);
	hearth_model_close(b);
}

static void the_system_answers(void **state)
{
	HEARTH_OPTS(hearth_demand, d, .weights_bytes = FILE_BYTES, .has_weights_fd = true,
		    .weights_fd = fd);
	HEARTH_OPTS(hearth_demand, huge, .state_bytes = 1ull << 60);
	struct hearth_memory_info mem = { .sz = sizeof(mem) };
	struct hearth_answer a = { .sz = sizeof(a) };

	assert_int_equal(hearth_admit(dev, &d, NULL, &a), 0);
	assert_true(a.verdict <= HEARTH_ADMIT_AFTER_DROP);
	assert_true(a.estimated);
	/* just written: it is in the cache */
	assert_true(a.needed_bytes < FILE_BYTES);
	assert_int_equal(hearth_admit(dev, &huge, NULL, &a), 0);
	assert_int_equal(a.verdict, HEARTH_ADMIT_NEVER);
	assert_true(a.limit == HEARTH_LIMIT_SYSTEM || a.limit == HEARTH_LIMIT_QUOTA);
	assert_non_null(strstr(a.text, "model needs 1099511627776 MiB"));
	assert_non_null(strstr(a.text, "choose a smaller one"));
	assert_int_equal(hearth_device_get_memory(dev, &mem), 0);
	assert_true(mem.budget && mem.system_available && mem.system_available <= mem.budget);
}

/* ---- admission ---- */

static void a_demand_is_checked(void **state)
{
	HEARTH_OPTS(hearth_demand, none);
	HEARTH_OPTS(hearth_demand, wraps, .weights_bytes = UINT64_MAX, .state_bytes = 1);
	HEARTH_OPTS(hearth_demand, bad, .weights_bytes = 1, .model_class = 9);
	struct hearth_answer a = { .sz = sizeof(a) };
	int out;

	assert_int_equal(hearth_admit(dev, &none, NULL, &a), -EINVAL);
	assert_message("0 bytes");
	assert_int_equal(hearth_admit(dev, &wraps, NULL, &a), -EINVAL);
	assert_int_equal(hearth_admit(dev, &bad, NULL, &a), -EINVAL);
	assert_message("class 9");
	assert_int_equal(hearth_reserve(dev, 0, HEARTH_CLASS_NORMAL, &out), -EINVAL);
	assert_int_equal(hearth_reserve(dev, 1, 9, &out), -EINVAL);
}

static int note_victim(const struct hearth_model_info *m, void *arg)
{
	*(char **)arg = strdup(m->name);
	return 3;
}

static void a_refusal_says_who_holds_what(void **state)
{
	HEARTH_OPTS(hearth_model_opts, o, .name = "chat");
	HEARTH_OPTS(hearth_demand, d, .weights_bytes = 4013 * MIB, .state_bytes = 5,
		    .scratch_bytes = 7, .model_class = HEARTH_CLASS_PROTECTED);
	char *name = NULL, want[200];
	HEARTH_OPTS(hearth_admit_opts, ao, .wait_ns = 9, .victim = note_victim, .arg = &name);
	struct hearth_answer a = { .sz = sizeof(a) };
	struct hearth_model *m;
	int out;

	assert_int_equal(hearth_model_open(path, dev, &o, &m), 0);
	assert_int_equal(hearth_model_load(m), 0);
	fake.answer = (struct drm_hearth_admit){
		.verdict = DRM_HEARTH_ADMIT_WAIT,
		.limit = DRM_HEARTH_LIMIT_BUDGET,
		.limit_bytes = 6144 * MIB,
		.needed_bytes = 4013 * MIB,
		.after_drop_bytes = 2900 * MIB,
		.restore_ns = 5,
	};
	assert_int_equal(hearth_admit(dev, &d, &ao, &a), 3);
	assert_string_equal(name, "chat");
	free(name);
	snprintf(want, sizeof(want),
		 "model needs 4013 MiB, budget is 6144 MiB with 2900 MiB evictable held by chat (uid %u, 3.0 MiB): wait, drop, or choose a smaller one",
		 getuid());
	assert_string_equal(a.text, want);
	assert_int_equal(a.verdict, HEARTH_ADMIT_WAIT);
	assert_int_equal(a.limit, HEARTH_LIMIT_BUDGET);
	assert_int_equal(a.n_victims, 1);
	assert_int_equal(a.restore_ns, 5);
	assert_false(a.estimated);
	assert_int_equal(fake.asked.demand.weights_bytes, 4013 * MIB);
	assert_int_equal(fake.asked.demand.state_bytes, 5);
	assert_int_equal(fake.asked.demand.scratch_bytes, 7);
	assert_int_equal(fake.asked.demand.model_class, DRM_HEARTH_CLASS_PROTECTED);
	assert_int_equal(fake.asked.demand.weights_fd, -1);
	assert_int_equal(fake.asked.flags, DRM_HEARTH_ADMIT_BLOCK);
	assert_int_equal(fake.asked.timeout_ns, 9);
	fake.answer.available_bytes = 20 * MIB;
	assert_int_equal(hearth_admit(dev, &d, NULL, &a), 0);
	assert_non_null(strstr(a.text, "is 6144 MiB with 20 MiB free and 2880 MiB evictable held by chat"));
	fake.answer.after_drop_bytes = 20 * MIB;
	assert_int_equal(hearth_admit(dev, &d, NULL, &a), 0);
	assert_non_null(strstr(a.text, "is 6144 MiB with 20 MiB free, the rest held by chat"));
	fake.answer.available_bytes = fake.answer.after_drop_bytes = 0;
	assert_int_equal(hearth_admit(dev, &d, NULL, &a), 0);
	assert_non_null(strstr(a.text, "is 6144 MiB with nothing free, all held by chat"));
	/* a reservation is refused with the same words */
	assert_int_equal(hearth_reserve(dev, 4013 * MIB, HEARTH_CLASS_NORMAL, &out), -EBUSY);
	assert_message("held by chat");
	fake.answer.verdict = DRM_HEARTH_ADMIT_NEVER;
	assert_int_equal(hearth_reserve(dev, 4013 * MIB, HEARTH_CLASS_NORMAL, &out), -EDQUOT);
	assert_message("budget is 6144 MiB: choose a smaller one");
	hearth_model_close(m);
}

static void a_yes_has_its_numbers(void **state)
{
	HEARTH_OPTS(hearth_model_opts, o, .name = "chat");
	HEARTH_OPTS(hearth_demand, d, .weights_bytes = 100 * MIB, .has_weights_fd = true,
		    .weights_fd = fd);
	struct hearth_answer a = { .sz = sizeof(a) };
	struct hearth_model *m[5];

	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(hearth_model_open(path, dev, &o, &m[i]), 0);
	fake.answer = (struct drm_hearth_admit){
		.verdict = DRM_HEARTH_ADMIT_NOW,
		.needed_bytes = 100 * MIB,
		.available_bytes = 200 * MIB,
	};
	assert_int_equal(hearth_admit(dev, &d, NULL, &a), 0);
	assert_int_equal(fake.asked.demand.weights_fd, fd);
	assert_int_equal(fake.asked.flags, 0);
	assert_string_equal(a.text, "model needs 100 MiB, and 200 MiB are free");
	fake.answer.verdict = DRM_HEARTH_ADMIT_AFTER_DROP;
	fake.answer.available_bytes = 4 * MIB;
	fake.answer.after_drop_bytes = 300 * MIB;
	assert_int_equal(hearth_admit(dev, &d, NULL, &a), 0);
	assert_int_equal(a.n_victims, 5);
	assert_non_null(strstr(a.text, "of which 4.0 MiB are free; the rest comes from dropping chat ("));
	assert_non_null(strstr(a.text, "and 2 more"));
	for (unsigned int i = 0; i < 5; i++)
		hearth_model_close(m[i]);
	fake.fail_request = DRM_IOCTL_HEARTH_ADMIT;
	fake.fail_errno = EINTR;
	assert_int_equal(hearth_admit(dev, &d, NULL, &a), -EINTR);
	assert_message("interrupted");
}

static void a_reservation_is_a_descriptor(void **state)
{
	struct hearth_memory_info mem = { .sz = sizeof(mem) };
	int out = -1;

	assert_int_equal(hearth_reserve(dev, 5, HEARTH_CLASS_DROPPABLE, &out), 0);
	assert_int_equal(fake.reserved, 2 * MIB);
	assert_true(out >= 0);
	assert_true(fcntl(out, F_GETFD) & FD_CLOEXEC);
	close(out);
	fake.memory = (struct drm_hearth_memory){ 1, 2, 3, 4, 5, 6, 7, 8 };
	assert_int_equal(hearth_device_get_memory(dev, &mem), 0);
	assert_int_equal(mem.budget, 1);
	assert_int_equal(mem.resident, 2);
	assert_int_equal(mem.reserved, 3);
	assert_int_equal(mem.droppable, 4);
	assert_int_equal(mem.pinned, 5);
	assert_int_equal(mem.uid_quota, 6);
	assert_int_equal(mem.uid_used, 7);
	assert_int_equal(mem.system_available, 8);
}

#define with(OPEN, TEST) cmocka_unit_test_setup_teardown(TEST, OPEN, close_device)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with(open_npu, file_buffer_is_the_file),
		with(open_npu, file_buffer_begins_at_any_page),
		with(open_npu, file_buffer_failure_at_each_step_leaves_nothing),
		with(open_npu, file_open_for_writing_is_told),
		with(open_npu, file_that_cannot_be_shared_is_copied),
		with(open_npu, a_changed_file_is_stale),
		with(open_cpu, a_changed_file_is_stale),
		with(open_npu, state_buffer_grows_up_to_its_size),
		with(open_npu, state_buffer_begins_small),
		with(open_npu, a_driver_without_states_gives_plain_buffers),
		with(open_npu, discarded_state_is_told),
		with(open_npu, a_plain_buffer_is_no_state),
		with(open_cpu, state_on_the_cpu_is_cut_to_zero),
		with(open_npu, names_and_numbers_are_checked),
		with(open_cpu, names_and_numbers_are_checked),
		with(open_npu, a_model_is_named_like_its_file),
		with(open_cpu, a_model_is_named_like_its_file),
		with(open_npu, class_and_keep_alive_can_be_changed),
		with(open_cpu, class_and_keep_alive_can_be_changed),
		with(open_npu_without_models, class_and_keep_alive_can_be_changed),
		with(open_cpu, unknown_drop_flags_are_refused),
		with(open_npu, the_driver_knows_the_model),
		with(open_npu, load_and_drop_are_counted),
		with(open_npu, a_load_that_fails_says_why),
		with(open_npu, pinning_without_the_right_is_told),
		with(open_npu, model_calls_that_fail_change_nothing),
		with(open_npu, events_are_polled_and_read),
		with(open_npu, an_event_cut_short_is_refused),
		with(open_npu, all_models_are_listed),
		with(open_old_npu, an_old_driver_gets_copies),
		with(open_npu_without_models, without_models_weights_are_shared_still),
		with(open_cpu, cached_pages_are_counted),
		with(open_cpu, the_cpu_promises_nothing),
		with(open_cpu, mapped_files_are_found),
		with(open_cpu, the_system_answers),
		with(open_npu, a_demand_is_checked),
		with(open_npu, a_refusal_says_who_holds_what),
		with(open_npu, a_yes_has_its_numbers),
		with(open_npu, a_reservation_is_a_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
