// SPDX-License-Identifier: MIT
/* What hearth top reads of fdinfo. */
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
#include "tools/usage.h"

#define OURS	"pos:\t0\ndrm-driver:\thearth\ndrm-client-id:\t7\ndrm-engine-npu:\t1500000 ns\n"	\
		"drm-engine-capacity-npu:\t16\ndrm-total-memory:\t12 KiB\ndrm-shared-memory:\t4 KiB\n"	\
		"drm-resident-memory:\t2 MiB\ndrm-purgeable-memory:\t100\ndrm-active-memory:\t1 KiB\n"	\
		"drm-resident-weights:\t1 MiB\n"

static void clients_are_read(void **state)
{
	struct usage u[4];

	file_tree_put("12/comm", "a\tphone\n");
	file_tree_put("12/fdinfo/3", OURS);
	file_tree_put("12/fdinfo/1", "pos:\t0\nflags:\t02\n");
	file_tree_put("self/fdinfo/3", OURS);
	assert_int_equal(usage_read(file_tree, u, 4), 1);
	assert_int_equal(u[0].pid, 12);
	assert_int_equal(u[0].client, 7);
	assert_int_equal(u[0].busy_ns, 1500000);
	assert_int_equal(u[0].total, 12 << 10);
	assert_int_equal(u[0].shared, 4 << 10);
	/* of all regions */
	assert_int_equal(u[0].resident, 3 << 20);
	assert_int_equal(u[0].purgeable, 100);
	assert_int_equal(u[0].active, 1 << 10);
	assert_string_equal(u[0].command, "a?phone");
}

static void a_client_counts_once(void **state)
{
	struct usage u[4];

	file_tree_put("12/fdinfo/3", OURS);
	file_tree_put("12/fdinfo/4", OURS);
	file_tree_put("13/fdinfo/3", "drm-driver:\thearth\ndrm-client-id:\t8\n");
	assert_int_equal(usage_read(file_tree, u, 4), 2);
	assert_string_equal(u[0].command, "?");
	/* no more than there is room for */
	assert_int_equal(usage_read(file_tree, u, 1), 1);
}

static void other_drivers_are_left_out(void **state)
{
	struct usage u[4];

	file_tree_put("12/fdinfo/3", "drm-driver:\ti915\ndrm-client-id:\t7\ndrm-engine-npu:\t5 ns\n");
	file_tree_put("12/fdinfo/4", "drm-client-id:\t7\n");
	file_tree_put("12/fdinfo/5", "drm-driver");
	assert_int_equal(usage_read(file_tree, u, 4), 0);
	assert_int_equal(usage_read("/nonexistent", u, 4), 0);
}

#define with_proc(TEST) cmocka_unit_test_setup_teardown(TEST, file_tree_make, file_tree_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_proc(clients_are_read),
		with_proc(a_client_counts_once),
		with_proc(other_drivers_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
