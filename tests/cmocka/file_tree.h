/* SPDX-License-Identifier: MIT */
/* A folder of files that a test makes, in the place of /proc or /sys. */
#ifndef HEARTH_TESTS_FILE_TREE_H
#define HEARTH_TESTS_FILE_TREE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char file_tree[64];

/* For cmocka: group setup and teardown. */
static int file_tree_make(void **state)
{
	snprintf(file_tree, sizeof(file_tree), "/tmp/hearth-test-XXXXXX");
	return mkdtemp(file_tree) ? 0 : -1;
}

static int file_tree_remove(void **state)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -r %s", file_tree);
	return system(command);
}

/* Writes a file below it, with the folders that it needs. */
static void file_tree_put(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", file_tree, path);
	for (char *p = strchr(full + strlen(file_tree) + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(full, 0777);
		*p = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

#endif
