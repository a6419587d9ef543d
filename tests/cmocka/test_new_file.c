// SPDX-License-Identifier: MIT
/* Files that are there when they are complete, or not at all. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/new_file.h"
#include "file_tree.h"

static struct hearth_new_file file;
static struct hearth_err err;
static char path[128];

static const char *in_tree(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", file_tree, name);
	return path;
}

static unsigned int files(void)
{
	DIR *d = opendir(file_tree);
	unsigned int n = 0;

	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void assert_holds(const char *text)
{
	char buf[16] = { 0 };
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_int_equal(fread(buf, 1, sizeof(buf), f), strlen(text));
	assert_string_equal(buf, text);
	fclose(f);
}

static void appears_when_complete(void **state)
{
	assert_int_equal(hearth_new_file_begin(&file, in_tree("a"), 6, false, &err), 0);
	assert_int_equal(hearth_new_file_write(&file, "abc", 3, &err), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(hearth_new_file_write(&file, "def", 3, &err), 0);
	assert_int_equal(hearth_new_file_commit(&file, &err), 0);
	assert_holds("abcdef");
	assert_int_equal(files(), 1);
	/* of no effect any more */
	hearth_new_file_drop(&file);
	assert_holds("abcdef");
	unlink(path);
}

#define BYTES	(64 * 4096)

/* Of the file @path, how many pages are in the page cache? */
static unsigned int cached_pages(void)
{
	unsigned char there[BYTES / 4096] = { 0 };
	int fd = open(path, O_RDONLY);
	unsigned int n = 0;
	void *p;

	assert_int_not_equal(fd, -1);
	p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mincore(p, BYTES, there), 0);
	for (size_t i = 0; i < sizeof(there); i++)
		n += there[i] & 1;
	munmap(p, BYTES);
	close(fd);
	return n;
}

/* Read again, it comes in pages as large as the file system has them. */
static void leaves_the_page_cache(void **state)
{
	static const char data[BYTES];
	struct statfs fs;

	assert_int_equal(statfs(file_tree, &fs), 0);
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) {
		print_message("SKIP: a file in memory is nowhere else\n");
		skip();
	}
	assert_int_equal(hearth_new_file_begin(&file, in_tree("f"), BYTES, false, &err), 0);
	assert_int_equal(hearth_new_file_write(&file, data, BYTES, &err), 0);
	assert_int_equal(hearth_new_file_commit(&file, &err), 0);
	assert_int_equal(cached_pages(), 0);
	unlink(path);
}

static void leaves_nothing_when_dropped(void **state)
{
	assert_int_equal(hearth_new_file_begin(&file, in_tree("b"), 6, false, &err), 0);
	assert_int_equal(hearth_new_file_write(&file, "abc", 3, &err), 0);
	assert_int_equal(files(), 1);
	hearth_new_file_drop(&file);
	assert_int_equal(files(), 0);
}

static void replaces_when_told(void **state)
{
	file_tree_put("c", "old");
	assert_int_equal(hearth_new_file_begin(&file, in_tree("c"), 3, false, &err), -EEXIST);
	assert_string_equal(err.msg, "exists");
	assert_int_equal(hearth_new_file_begin(&file, path, 3, true, &err), 0);
	assert_holds("old");
	assert_int_equal(hearth_new_file_write(&file, "new", 3, &err), 0);
	assert_int_equal(hearth_new_file_commit(&file, &err), 0);
	assert_holds("new");
	assert_int_equal(files(), 1);
	unlink(path);
}

/* Somebody else's file of that name, made meanwhile, stays. */
static void does_not_replace_by_accident(void **state)
{
	assert_int_equal(hearth_new_file_begin(&file, in_tree("d"), 3, false, &err), 0);
	file_tree_put("d", "theirs");
	assert_int_equal(hearth_new_file_commit(&file, &err), -EEXIST);
	assert_holds("theirs");
	assert_int_equal(files(), 1);
	unlink(path);
}

static void full_disk_is_known_first(void **state)
{
	assert_int_equal(hearth_new_file_begin(&file, in_tree("e"), 1ull << 60, false, &err), -ENOSPC);
	assert_memory_equal(err.msg, "1152921504606846976 bytes are needed, ", 38);
	assert_non_null(strstr(err.msg, " are free on the disk"));
	assert_int_equal(files(), 0);
}

static void other_kinds_are_refused(void **state)
{
	assert_int_equal(hearth_new_file_begin(&file, file_tree, 3, true, &err), -EINVAL);
	assert_string_equal(err.msg, "is no regular file");
	assert_int_equal(hearth_new_file_begin(&file, "/dev/null", 3, true, &err), -EINVAL);
	assert_int_equal(hearth_new_file_begin(&file, in_tree("no/such"), 3, false, &err), -ENOENT);
	assert_string_equal(err.msg, strerror(ENOENT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appears_when_complete),
		cmocka_unit_test(leaves_the_page_cache),
		cmocka_unit_test(leaves_nothing_when_dropped),
		cmocka_unit_test(replaces_when_told),
		cmocka_unit_test(does_not_replace_by_accident),
		cmocka_unit_test(full_disk_is_known_first),
		cmocka_unit_test(other_kinds_are_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, file_tree_make, file_tree_remove);
}
