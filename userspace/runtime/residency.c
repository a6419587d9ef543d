// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/residency.h"

/* Pages that are asked for at once */
#define WINDOW		8192
#define PAGEMAP_PRESENT	(1ull << 63)

/* As the kernel's can_do_mincore(), but for CAP_FOWNER. */
static bool may_ask(int fd)
{
	struct stat st;

	if (fd < 0 || (!fstat(fd, &st) && st.st_uid == geteuid()))
		return true;
	return !faccessat(fd, "", W_OK, AT_EMPTY_PATH | AT_EACCESS);
}

static uint64_t count_cached(char *p, uint64_t pages, uint64_t page)
{
	unsigned char in[WINDOW];
	uint64_t n = 0;

	for (uint64_t at = 0; at < pages; at += WINDOW) {
		uint64_t part = pages - at < WINDOW ? pages - at : WINDOW;

		if (mincore(p + at * page, part * page, in))
			return n;
		for (uint64_t i = 0; i < part; i++)
			n += in[i] & 1;
	}
	return n;
}

static uint64_t count_mapped(const char *p, uint64_t pages, uint64_t page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry[WINDOW / 8], n = 0;

	for (uint64_t at = 0; fd >= 0 && at < pages; ) {
		uint64_t part = pages - at < WINDOW / 8 ? pages - at : WINDOW / 8;
		ssize_t got = pread(fd, entry, part * sizeof(*entry),
				    ((uintptr_t)p / page + at) * sizeof(*entry));

		if (got < (ssize_t)sizeof(*entry))
			break;
		got /= sizeof(*entry);
		for (ssize_t i = 0; i < got; i++)
			n += !!(entry[i] & PAGEMAP_PRESENT);
		at += got;
	}
	if (fd >= 0)
		close(fd);
	return n;
}

uint64_t hearth_resident_bytes(void *p, uint64_t bytes, int fd, bool *estimated)
{
	uint64_t page = sysconf(_SC_PAGESIZE), pages = (bytes + page - 1) / page, n;

	*estimated = !may_ask(fd);
	n = *estimated ? count_mapped(p, pages, page) : count_cached(p, pages, page);
	return n * page < bytes ? n * page : bytes;
}

uint64_t hearth_cached_bytes(int fd, bool *estimated)
{
	struct stat st;
	uint64_t n;
	void *p;

	*estimated = true;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !st.st_size)
		return 0;
	p = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return 0;
	n = hearth_resident_bytes(p, st.st_size, fd, estimated);
	munmap(p, st.st_size);
	return n;
}
