// SPDX-License-Identifier: MIT
/* What a language model takes, whether it is let in, and what becomes of its file. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <drm/hearth_accel.h>

#include "fake_npu.h"
#include "hearth.h"
#include "llm_sample.h"

#define MIB	(1ull << 20)

static struct hearth_device *dev;
static char path[64];
static int fd;

#define assert_message(TEXT) assert_non_null(strstr(hearth_errmsg(), TEXT))

static int open_device(const char *name)
{
	HEARTH_OPTS(hearth_device_opts, opts, .threads = 1);
	struct bytes b = { 0 };

	write_model(&b, &good);
	snprintf(path, sizeof(path), "/var/tmp/model-XXXXXX");
	fd = mkstemp(path);
	assert_int_equal(write(fd, b.p, b.n), b.n);
	free(b.p);
	return hearth_device_open(name, &opts, &dev);
}

static int open_npu(void **state)
{
	fake_npu_reset();
	fake.answer = (struct drm_hearth_admit){ .verdict = DRM_HEARTH_ADMIT_NOW };
	return open_device(fake.path);
}

static int open_cpu(void **state)
{
	fake_npu_reset();
	return open_device("cpu");
}

static int close_device(void **state)
{
	hearth_device_close(dev);
	close(fd);
	unlink(path);
	return fake_npu_leaks();
}

static uint64_t file_bytes(void)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_size;
}

/* What was measured is what is made; later steps may share constants. */
static void the_demand_is_what_is_taken(void **state)
{
	HEARTH_OPTS(hearth_model_opts, keep, .model_class = HEARTH_CLASS_PROTECTED);
	HEARTH_OPTS(hearth_llm_opts, o, .n_batch = 1, .model = &keep);
	struct hearth_program_info p = { .sz = sizeof(p) };
	struct hearth_demand d = { .sz = sizeof(d) };
	struct hearth_llm *llm;
	int file = -1;

	assert_int_equal(hearth_llm_demand(path, dev, &o, &d, &file), 0);
	assert_int_equal(hearth_llm_open(path, dev, &o, &llm), 0);
	assert_int_equal(hearth_program_get_info(hearth_llm_program(llm), &p), 0);
	assert_int_equal(d.weights_bytes, file_bytes());
	assert_true(d.state_bytes >= p.state_bytes && d.state_bytes < p.state_bytes + 4096);
	assert_int_equal(d.scratch_bytes, p.activation_bytes + p.constant_bytes + p.stream_bytes);
	assert_int_equal(d.model_class, HEARTH_CLASS_PROTECTED);
	assert_true(d.has_weights_fd && d.weights_fd == file && file >= 0);
	assert_true(p.weights_shared);
	close(file);
	hearth_llm_close(llm);
	/* a larger context takes more, no batch less */
	o.n_batch = 4;
	assert_int_equal(hearth_llm_demand(path, dev, &o, &d, NULL), 0);
	assert_false(d.has_weights_fd);
	assert_true(d.scratch_bytes > p.activation_bytes + p.constant_bytes + p.stream_bytes);
	o.n_ctx = 1 << 30;
	assert_int_equal(hearth_llm_demand(path, dev, &o, &d, NULL), -EINVAL);
	assert_message("1073741824");
	assert_int_equal(hearth_llm_demand("/nonexistent", dev, NULL, &d, NULL), -ENOENT);
}

static uint64_t activations(const struct hearth_llm *llm, uint64_t *all)
{
	struct hearth_llm_info i = { .sz = sizeof(i) };

	assert_int_equal(hearth_llm_get_info(llm, &i), 0);
	*all = i.activation_bytes;
	return i.activation_used_bytes;
}

/* A step of many tokens is made when they come; without memory for it fewer do it. */
static void steps_are_made_when_they_are_needed(void **state)
{
	static const int32_t ids[] = { 1, 4, 2, 7, 3, 5 };
	HEARTH_OPTS(hearth_llm_opts, o, .n_batch = 4);
	struct hearth_program_info p = { .sz = sizeof(p) };
	const float *logits;
	struct hearth_llm *llm;
	unsigned int submits;
	uint64_t all;
	float want;

	assert_int_equal(hearth_llm_open(path, dev, &o, &llm), 0);
	assert_int_equal(hearth_program_get_info(hearth_llm_program(llm), &p), 0);
	assert_int_equal(activations(llm, &all), p.activation_bytes);
	assert_true(all > p.activation_bytes);
	fake.fail_request = DRM_IOCTL_HEARTH_BO_CREATE;
	fake.fail_errno = EPERM;
	assert_int_equal(hearth_llm_eval(llm, ids, 6, NULL), -EPERM);
	fake.fail_errno = ENOMEM;
	fake.failed = 0;
	submits = fake.submits;
	assert_int_equal(hearth_llm_eval(llm, ids, 6, &logits), 0);
	assert_int_equal(fake.submits, submits + 6);
	/* and it is not tried again for each of them */
	assert_int_equal(fake.failed, 1);
	assert_int_equal(activations(llm, &all), p.activation_bytes);
	want = logits[0];
	fake.fail_request = 0;
	assert_int_equal(hearth_llm_rewind(llm, 0), 0);
	assert_int_equal(hearth_llm_eval(llm, ids, 6, &logits), 0);
	assert_int_equal(fake.submits, submits + 8);
	assert_int_equal(activations(llm, &all), all);
	assert_true(logits[0] == want);
	hearth_llm_close(llm);
}

static void what_does_not_fit_is_not_opened(void **state)
{
	HEARTH_OPTS(hearth_model_opts, paid, .has_reservation = true, .reservation_fd = fd);
	HEARTH_OPTS(hearth_llm_opts, wait, .admit_wait_ns = 77);
	HEARTH_OPTS(hearth_llm_opts, force, .no_admit = true);
	HEARTH_OPTS(hearth_llm_opts, reserved, .model = &paid);
	struct hearth_llm *llm;

	fake.answer = (struct drm_hearth_admit){
		.verdict = DRM_HEARTH_ADMIT_NEVER,
		.limit = DRM_HEARTH_LIMIT_QUOTA,
		.limit_bytes = 50 * MIB,
		.needed_bytes = 100 * MIB,
	};
	assert_int_equal(hearth_llm_open(path, dev, NULL, &llm), -EDQUOT);
	assert_string_equal(hearth_errmsg(),
			    "model needs 100 MiB, quota is 50 MiB: choose a smaller one");
	assert_int_equal(fake.asked.demand.weights_bytes, file_bytes());
	assert_true(fake.asked.demand.state_bytes && fake.asked.demand.scratch_bytes);
	assert_true(fake.asked.demand.weights_fd >= 0);
	assert_int_equal(fake_npu_leaks(), 0);
	fake.answer.verdict = DRM_HEARTH_ADMIT_WAIT;
	assert_int_equal(hearth_llm_open(path, dev, &wait, &llm), -EBUSY);
	assert_message("wait, drop, or choose a smaller one");
	assert_int_equal(fake.asked.timeout_ns, 77);
	fake.asked.timeout_ns = 5;
	assert_int_equal(hearth_llm_open(path, dev, &force, &llm), 0);
	hearth_llm_close(llm);
	assert_int_equal(hearth_llm_open(path, dev, &reserved, &llm), 0);
	hearth_llm_close(llm);
	assert_int_equal(fake.asked.timeout_ns, 5);
}

static void the_driver_knows_weights_and_cache(void **state)
{
	HEARTH_OPTS(hearth_model_opts, keep, .keep_alive_ns = 5, .name = "chat");
	HEARTH_OPTS(hearth_llm_opts, o, .model = &keep);
	struct hearth_model_info i = { .sz = sizeof(i) };
	struct hearth_llm *llm;

	assert_int_equal(hearth_llm_open(path, dev, &o, &llm), 0);
	/* all steps are one model, of a file and a cache */
	assert_int_equal(fake.models, 1);
	assert_int_equal(fake.model.bos.count, 2);
	assert_int_equal(hearth_model_get_info(hearth_llm_model(llm), &i), 0);
	assert_string_equal(i.name, "chat");
	assert_int_equal(i.keep_alive_ns, 5);
	assert_int_equal(i.weights_bytes, file_bytes());
	assert_int_equal(i.state_bytes, 2 * MIB);
	assert_int_equal(i.state, HEARTH_MODEL_DROPPED);
	assert_int_equal(hearth_llm_eval(llm, (int32_t[]){ 1, 2 }, 2, NULL), 0);
	assert_int_equal(hearth_model_get_info(hearth_llm_model(llm), &i), 0);
	assert_int_equal(i.state, HEARTH_MODEL_RESIDENT);
	assert_int_equal(i.restored_bytes, file_bytes());
	hearth_llm_close(llm);
}

/* Before, and while: neither gives logits that nobody can trust. */
static void a_file_that_changes_stops_the_model(void **state)
{
	struct hearth_model_info i = { .sz = sizeof(i) };
	struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	const float *logits = NULL;
	struct hearth_llm *llm;

	assert_int_equal(hearth_llm_open(path, dev, NULL, &llm), 0);
	assert_int_equal(hearth_llm_eval(llm, (int32_t[]){ 1 }, 1, &logits), 0);
	assert_int_equal(futimens(fd, old), 0);
	assert_int_equal(hearth_llm_eval(llm, (int32_t[]){ 1 }, 1, &logits), -ESTALE);
	assert_message("open it anew");
	assert_int_equal(hearth_model_get_info(hearth_llm_model(llm), &i), 0);
	hearth_llm_close(llm);
	/* and anew it works */
	assert_int_equal(hearth_llm_open(path, dev, NULL, &llm), 0);
	assert_int_equal(hearth_llm_eval(llm, (int32_t[]){ 1 }, 1, &logits), 0);
	hearth_llm_close(llm);
}

/* The old inode stays as it was: who replaces a file by a rename harms nobody. */
static void a_file_that_is_replaced_stays(void **state)
{
	const float *logits = NULL;
	struct hearth_llm *llm;
	char other[80];
	FILE *f;

	snprintf(other, sizeof(other), "%s.new", path);
	assert_int_equal(hearth_llm_open(path, dev, NULL, &llm), 0);
	f = fopen(other, "w");
	assert_non_null(f);
	fputs("something else", f);
	fclose(f);
	assert_int_equal(rename(other, path), 0);
	assert_int_equal(hearth_llm_eval(llm, (int32_t[]){ 1 }, 1, &logits), 0);
	hearth_llm_close(llm);
}

static const int32_t story[] = { 1, 4, 2, 7, 3, 5 };

/* The logits after @story, which is fed in two parts with idle time between them. */
static void tell_story(struct hearth_llm *llm, bool idle, bool discard, float out[], size_t bytes)
{
	const float *logits;

	assert_int_equal(hearth_llm_rewind(llm, 0), 0);
	assert_int_equal(hearth_llm_eval(llm, story, 4, NULL), 0);
	if (idle)
		assert_int_equal(hearth_llm_idle(llm), 0);
	fake.discard = discard;
	assert_int_equal(hearth_llm_eval(llm, story + 4, 2, &logits), 0);
	assert_int_equal(hearth_llm_position(llm), 6);
	memcpy(out, logits, bytes);
}

static void a_discarded_cache_is_computed_again(void **state)
{
	struct hearth_llm_info i = { .sz = sizeof(i) };
	struct hearth_llm *llm;
	unsigned int submits;
	float *want, *got;
	size_t bytes;

	assert_int_equal(hearth_llm_open(path, dev, NULL, &llm), 0);
	hearth_llm_get_info(llm, &i);
	bytes = i.n_vocab * sizeof(*want);
	want = malloc(bytes);
	got = malloc(bytes);
	tell_story(llm, false, false, want, bytes);
	submits = fake.submits;
	tell_story(llm, true, false, got, bytes);
	/* nothing was lost: nothing is computed twice */
	assert_int_equal(fake.submits, 2 * submits);
	assert_memory_equal(got, want, bytes);
	assert_int_equal(fake.advice, DRM_HEARTH_BO_WILLNEED);
	tell_story(llm, true, true, got, bytes);
	assert_true(fake.submits > 3 * submits);
	assert_memory_equal(got, want, bytes);
	free(want);
	free(got);
	hearth_llm_close(llm);
}

/* A discard that nobody hears of would give other logits: the test can fail. */
static void a_cache_of_zeros_gives_other_logits(void **state)
{
	struct hearth_llm_info i = { .sz = sizeof(i) };
	const float *logits;
	struct hearth_llm *llm;
	bool retained = true;
	float *want;

	assert_int_equal(hearth_llm_open(path, dev, NULL, &llm), 0);
	hearth_llm_get_info(llm, &i);
	want = malloc(i.n_vocab * sizeof(*want));
	tell_story(llm, false, false, want, i.n_vocab * sizeof(*want));
	assert_int_equal(hearth_llm_rewind(llm, 4), 0);
	fake.discard = true;
	assert_int_equal(hearth_model_advise_state(hearth_llm_model(llm), true, &retained), 0);
	assert_false(retained);
	assert_int_equal(hearth_llm_eval(llm, story + 4, 2, &logits), 0);
	assert_memory_not_equal(logits, want, i.n_vocab * sizeof(*want));
	free(want);
	hearth_llm_close(llm);
}

static void a_cache_that_cannot_be_filled_is_tried_again(void **state)
{
	struct hearth_llm_info i = { .sz = sizeof(i) };
	const float *logits;
	struct hearth_llm *llm;
	float *want;

	assert_int_equal(hearth_llm_open(path, dev, NULL, &llm), 0);
	hearth_llm_get_info(llm, &i);
	want = malloc(i.n_vocab * sizeof(*want));
	tell_story(llm, false, false, want, i.n_vocab * sizeof(*want));
	assert_int_equal(hearth_llm_rewind(llm, 4), 0);
	assert_int_equal(hearth_llm_idle(llm), 0);
	fake.discard = true;
	fake.fault = (struct drm_hearth_query_fault){
		.cause = DRM_HEARTH_FAULT_RESTORE,
		.error = ENOMEM,
	};
	assert_int_equal(hearth_llm_eval(llm, story + 4, 2, &logits), -ENOMEM);
	assert_int_equal(hearth_llm_position(llm), 4);
	fake.fault.error = 0;
	assert_int_equal(hearth_llm_eval(llm, story + 4, 2, &logits), 0);
	assert_memory_equal(logits, want, i.n_vocab * sizeof(*want));
	/* a shifted context could not be computed again: it is kept */
	assert_int_equal(hearth_llm_shift(llm, 1, 2), 0);
	fake.advice = 77;
	assert_int_equal(hearth_llm_idle(llm), 0);
	assert_int_equal(fake.advice, 77);
	free(want);
	hearth_llm_close(llm);
}

static void a_model_that_is_refused_leaves_nothing(void **state)
{
	HEARTH_OPTS(hearth_model_opts, bad, .model_class = 9);
	HEARTH_OPTS(hearth_llm_opts, o, .model = &bad, .no_admit = true);
	struct hearth_llm *llm;

	assert_int_equal(hearth_llm_open(path, dev, &o, &llm), -EINVAL);
	assert_message("class 9");
	fake.fail_request = DRM_IOCTL_HEARTH_MODEL_CREATE;
	fake.fail_errno = EMFILE;
	assert_int_equal(hearth_llm_open(path, dev, NULL, &llm), -EMFILE);
	assert_int_equal(fake_npu_leaks(), 0);
	fake.fail_request = 0;
}

#define with(OPEN, TEST) cmocka_unit_test_setup_teardown(TEST, OPEN, close_device)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with(open_npu, the_demand_is_what_is_taken),
		with(open_cpu, the_demand_is_what_is_taken),
		with(open_npu, steps_are_made_when_they_are_needed),
		with(open_npu, what_does_not_fit_is_not_opened),
		with(open_npu, the_driver_knows_weights_and_cache),
		with(open_npu, a_file_that_changes_stops_the_model),
		with(open_cpu, a_file_that_changes_stops_the_model),
		with(open_npu, a_file_that_is_replaced_stays),
		with(open_cpu, a_file_that_is_replaced_stays),
		with(open_npu, a_discarded_cache_is_computed_again),
		with(open_npu, a_cache_of_zeros_gives_other_logits),
		with(open_npu, a_cache_that_cannot_be_filled_is_tried_again),
		with(open_npu, a_model_that_is_refused_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
