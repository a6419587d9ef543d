/* SPDX-License-Identifier: MIT */
/*
 * The macros of the kernel's kselftest_harness.h that we use, for machines
 * that have no kernel source. Each test runs in a process of its own, with a
 * time limit; the output is TAP.
 *
 *	TEST(name) { ... }
 *	FIXTURE(fix) { members };
 *	FIXTURE_SETUP(fix) { self->member = ...; }
 *	FIXTURE_TEARDOWN(fix) { ... }
 *	TEST_F(fix, name) { ... self->member ... }
 *	TEST_HARNESS_MAIN
 *
 * EXPECT_x(expected, seen) notes a failure and goes on, ASSERT_x() ends the
 * test. SKIP(reason) ends it too; in a setup it skips every test of the
 * fixture.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HARNESS_SECONDS	60
#define HARNESS_SKIPPED	4

/* What a test tells its parent; shared memory. */
struct harness_report {
	bool skipped;
	unsigned int failures;
	char reason[160];
};

struct harness_test {
	const char *name;
	void (*run)(struct harness_report *report);
	unsigned int seconds;
	struct harness_test *next;
};

static struct harness_test *harness_first;
static struct harness_test **harness_last = &harness_first;

static inline void harness_add(struct harness_test *t)
{
	*harness_last = t;
	harness_last = &t->next;
}

static inline void __attribute__((format(printf, 4, 5)))
harness_fail(struct harness_report *report, const char *file, int line, const char *format, ...)
{
	va_list args;

	report->failures++;
	printf("# %s:%d: ", file, line);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

#define HARNESS_TEST(id, title, limit)                                                   \
	static void id(struct harness_report *_report);                                  \
	static struct harness_test id##_entry = { .name = title, .run = id, .seconds = limit }; \
	static void __attribute__((constructor)) id##_register(void)                     \
	{                                                                                \
		harness_add(&id##_entry);                                                \
	}                                                                                \
	static void id(struct harness_report *_report)

#define TEST_TIMEOUT(name, seconds)                                                      \
	static void name##_body(struct harness_report *_report);                         \
	HARNESS_TEST(test_##name, #name, seconds)                                        \
	{                                                                                \
		name##_body(_report);                                                    \
	}                                                                                \
	static void name##_body(struct harness_report *_report __attribute__((unused)))

#define TEST(name)	TEST_TIMEOUT(name, HARNESS_SECONDS)

#define FIXTURE(fix)	struct fixture_##fix

#define FIXTURE_SETUP(fix)                                                               \
	static void fix##_setup(struct harness_report *_report __attribute__((unused)),  \
				struct fixture_##fix *self __attribute__((unused)))

#define FIXTURE_TEARDOWN(fix)                                                            \
	static void fix##_teardown(struct harness_report *_report __attribute__((unused)), \
				   struct fixture_##fix *self __attribute__((unused)))

/* What a failed setup left, the end of the process frees. */
#define TEST_F_TIMEOUT(fix, name, seconds)                                               \
	static void fix##_##name##_body(struct harness_report *_report,                  \
					struct fixture_##fix *self);                     \
	HARNESS_TEST(test_##fix##_##name, #fix "." #name, seconds)                       \
	{                                                                                \
		struct fixture_##fix self;                                               \
		memset(&self, 0, sizeof(self));                                          \
		fix##_setup(_report, &self);                                             \
		if (_report->skipped || _report->failures)                               \
			return;                                                          \
		fix##_##name##_body(_report, &self);                                     \
		fix##_teardown(_report, &self);                                          \
	}                                                                                \
	static void fix##_##name##_body(struct harness_report *_report                   \
					__attribute__((unused)),                         \
					struct fixture_##fix *self __attribute__((unused)))

#define TEST_F(fix, name)	TEST_F_TIMEOUT(fix, name, HARNESS_SECONDS)

#define SKIP(...)                                                                        \
	do {                                                                             \
		_report->skipped = true;                                                 \
		snprintf(_report->reason, sizeof(_report->reason), __VA_ARGS__);         \
		return;                                                                  \
	} while (0)

#define HARNESS_CHECK(a, op, b, or_else)                                                 \
	do {                                                                             \
		__typeof__(a) _a = (a);                                                  \
		__typeof__(b) _b = (b);                                                  \
		if (!(_a op _b)) {                                                       \
			harness_fail(_report, __FILE__, __LINE__,                        \
				     "expected %s " #op " %s, but %lld (%#llx) " #op " %lld (%#llx)", \
				     #a, #b, (long long)(intptr_t)_a,                    \
				     (unsigned long long)(uintptr_t)_a,                  \
				     (long long)(intptr_t)_b,                            \
				     (unsigned long long)(uintptr_t)_b);                 \
			or_else;                                                         \
		}                                                                        \
	} while (0)

#define EXPECT_EQ(a, b)		HARNESS_CHECK(a, ==, b, (void)0)
#define EXPECT_NE(a, b)		HARNESS_CHECK(a, !=, b, (void)0)
#define EXPECT_LT(a, b)		HARNESS_CHECK(a, <, b, (void)0)
#define EXPECT_LE(a, b)		HARNESS_CHECK(a, <=, b, (void)0)
#define EXPECT_GT(a, b)		HARNESS_CHECK(a, >, b, (void)0)
#define EXPECT_GE(a, b)		HARNESS_CHECK(a, >=, b, (void)0)
#define EXPECT_TRUE(a)		HARNESS_CHECK(!!(a), ==, true, (void)0)
#define EXPECT_FALSE(a)		HARNESS_CHECK(!!(a), ==, false, (void)0)
#define ASSERT_EQ(a, b)		HARNESS_CHECK(a, ==, b, return)
#define ASSERT_NE(a, b)		HARNESS_CHECK(a, !=, b, return)
#define ASSERT_LT(a, b)		HARNESS_CHECK(a, <, b, return)
#define ASSERT_LE(a, b)		HARNESS_CHECK(a, <=, b, return)
#define ASSERT_GT(a, b)		HARNESS_CHECK(a, >, b, return)
#define ASSERT_GE(a, b)		HARNESS_CHECK(a, >=, b, return)
#define ASSERT_TRUE(a)		HARNESS_CHECK(!!(a), ==, true, return)
#define ASSERT_FALSE(a)		HARNESS_CHECK(!!(a), ==, false, return)

static inline int harness_run_one(const struct harness_test *t, struct harness_report *report)
{
	int status;
	pid_t pid;

	memset(report, 0, sizeof(*report));
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		harness_fail(report, __FILE__, __LINE__, "fork: %s", strerror(errno));
		return 1;
	}
	if (!pid) {
		alarm(t->seconds);
		t->run(report);
		fflush(stdout);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		printf("# time is up after %u s\n", t->seconds);
	else if (WIFSIGNALED(status))
		printf("# killed by signal %d\n", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		printf("# ended with status %d\n", WEXITSTATUS(status));
	return report->failures || status;
}

/* Names with wildcards as arguments choose tests; none means all. */
static inline bool harness_wanted(const struct harness_test *t, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (!fnmatch(argv[i], t->name, 0))
			return true;
	}
	return argc < 2;
}

static inline int harness_main(int argc, char **argv)
{
	unsigned int planned = 0, number = 0, failed = 0, skipped = 0;
	struct harness_report *report;
	struct harness_test *t;

	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (report == MAP_FAILED)
		return 1;

	for (t = harness_first; t; t = t->next)
		planned += harness_wanted(t, argc, argv);
	printf("TAP version 13\n1..%u\n", planned);
	for (t = harness_first; t; t = t->next) {
		if (!harness_wanted(t, argc, argv))
			continue;
		number++;
		if (harness_run_one(t, report)) {
			failed++;
			printf("not ok %u %s\n", number, t->name);
		} else if (report->skipped) {
			skipped++;
			printf("ok %u %s # SKIP %s\n", number, t->name, report->reason);
		} else {
			printf("ok %u %s\n", number, t->name);
		}
		fflush(stdout);
	}
	return failed ? 1 : planned && skipped == planned ? HARNESS_SKIPPED : 0;
}

#define TEST_HARNESS_MAIN                                                                \
	int main(int argc, char **argv)                                                  \
	{                                                                                \
		return harness_main(argc, argv);                                         \
	}

#endif /* HARNESS_H */
