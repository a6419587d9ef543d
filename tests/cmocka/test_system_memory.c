// SPDX-License-Identifier: MIT
/* What is read of /proc/meminfo and of the memory cgroup. */
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

#include "file_tree.h"
#include "hearth.h"
#include "runtime/system_memory.h"

static void put_group(const char *group, const char *max, const char *current, const char *stat)
{
	char path[256];

	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
	file_tree_put(path, max);
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.current", group);
	file_tree_put(path, current);
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.stat", group);
	file_tree_put(path, stat);
}

static void put_meminfo(void)
{
	file_tree_put("/proc/meminfo",
	    "MemTotal:       12000 kB\nMemFree:         1000 kB\nMemAvailable:    8000 kB\n");
}

static void meminfo_is_in_bytes(void **state)
{
	struct hearth_system_memory m;

	put_meminfo();
	assert_int_equal(hearth_system_memory_read(file_tree, &m), 0);
	assert_int_equal(m.total, 12000 * 1024);
	assert_int_equal(m.free, 1000 * 1024);
	assert_int_equal(m.available, 8000 * 1024);
	assert_false(m.limited);
}

static void meminfo_without_a_line_is_refused(void **state)
{
	struct hearth_system_memory m;

	assert_int_equal(hearth_system_memory_read(file_tree, &m), -EIO);
	file_tree_put("/proc/meminfo", "MemTotal: 12000 kB\nMemFree: 1000 kB\nMemAvailable: much kB\n");
	assert_int_equal(hearth_system_memory_read(file_tree, &m), -EIO);
	assert_non_null(strstr(hearth_errmsg(), "MemAvailable"));
	/* times 1024 it exceeds 64 bits */
	file_tree_put("/proc/meminfo", "MemTotal: 18446744073709551615 kB\n");
	assert_int_equal(hearth_system_memory_read(file_tree, &m), -EIO);
}

static void the_tightest_group_limits(void **state)
{
	struct hearth_system_memory m;

	put_meminfo();
	file_tree_put("/proc/self/cgroup", "1:name=x:/old\n0::/app/chat\n");
	put_group("", "9000000", "100", "inactive_file 0\nactive_file 0\n");
	put_group("/app", "5000000", "4000000", "active_file 500000\ninactive_file 700000\n");
	put_group("/app/chat", "max", "3000000", "inactive_file 1\n");
	assert_int_equal(hearth_system_memory_read(file_tree, &m), 0);
	assert_true(m.limited);
	assert_int_equal(m.limit, 5000000);
	assert_int_equal(m.used, 4000000);
	assert_int_equal(m.cache, 1200000);
}

static void the_root_group_is_looked_at(void **state)
{
	struct hearth_system_memory m;

	put_meminfo();
	file_tree_put("/proc/self/cgroup", "0::/\n");
	put_group("", "7000", "1000", "");
	assert_int_equal(hearth_system_memory_read(file_tree, &m), 0);
	assert_true(m.limited);
	assert_int_equal(m.limit, 7000);
	assert_int_equal(m.cache, 0);
}

static void groups_of_version_1_do_not_limit(void **state)
{
	struct hearth_system_memory m;

	put_meminfo();
	file_tree_put("/proc/self/cgroup", "4:memory:/app\n");
	put_group("/app", "7000", "1000", "");
	assert_int_equal(hearth_system_memory_read(file_tree, &m), 0);
	assert_false(m.limited);
}

static void this_system_has_memory(void **state)
{
	struct hearth_system_memory m;

	assert_int_equal(hearth_system_memory_read("", &m), 0);
	assert_true(m.total >= m.available && m.total >= m.free && m.total);
}

#define with_root(TEST) cmocka_unit_test_setup_teardown(TEST, file_tree_make, file_tree_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_root(meminfo_is_in_bytes),
		with_root(meminfo_without_a_line_is_refused),
		with_root(the_tightest_group_limits),
		with_root(the_root_group_is_looked_at),
		with_root(groups_of_version_1_do_not_limit),
		cmocka_unit_test(this_system_has_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
