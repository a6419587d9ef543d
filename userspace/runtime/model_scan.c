// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/error.h"
#include "runtime/model_scan.h"
#include "runtime/residency.h"

/* Most models of the list */
#define MAX_FOUND	1024

struct found {
	struct hearth_model_info info;
	dev_t dev;
	ino_t ino;
};

struct scan {
	const char *proc;
	struct found *list;
	size_t n;
	/* the process at hand: its id, and where its files begin in the list */
	uint32_t pid, uid;
	size_t first;
};

static bool is_gguf(int fd)
{
	char magic[4];

	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	       !memcmp(magic, "GGUF", sizeof(magic));
}

/* Has the process the file in more than one mapping? */
static bool known(const struct scan *s, const struct stat *st)
{
	for (size_t i = s->first; i < s->n; i++) {
		if (s->list[i].ino == st->st_ino && s->list[i].dev == st->st_dev)
			return true;
	}
	return false;
}

static void fill(struct found *f, const struct scan *s, const struct stat *st, int fd,
		 const char *path)
{
	const char *base = strrchr(path, '/') + 1;
	struct hearth_model_info *m = &f->info;

	memset(f, 0, sizeof(*f));
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	m->sz = sizeof(*m);
	m->weights_bytes = st->st_size;
	m->resident_bytes = hearth_cached_bytes(fd, &m->estimated);
	m->state = m->resident_bytes >= m->weights_bytes ? HEARTH_MODEL_RESIDENT :
		   m->resident_bytes ? HEARTH_MODEL_PARTLY : HEARTH_MODEL_DROPPED;
	m->model_class = m->effective_class = HEARTH_CLASS_DROPPABLE;
	m->shared = true;
	m->pid = s->pid;
	m->uid = s->uid;
	for (size_t i = 0; base[i] && i < sizeof(m->name) - 1; i++)
		m->name[i] = isprint((unsigned char)base[i]) ? base[i] : '?';
}

/* @ino: of the mapping; the path may lead to another file by now. */
static void add_file(struct scan *s, const char *path, unsigned long ino)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_ino == ino &&
	    s->n < MAX_FOUND && !known(s, &st) && is_gguf(fd))
		fill(&s->list[s->n++], s, &st, fd, path);
	close(fd);
}

static void scan_process(struct scan *s, const char *pid)
{
	char path[PATH_MAX], line[PATH_MAX + 128], perms[8];
	struct stat st;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/maps", s->proc, pid);
	f = fopen(path, "re");
	if (!f)
		return;
	s->pid = strtoul(pid, NULL, 10);
	s->uid = fstat(fileno(f), &st) ? 0 : st.st_uid;
	s->first = s->n;
	while (fgets(line, sizeof(line), f)) {
		unsigned long ino;
		int at = 0;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%*s %7s %*s %*s %lu %n", perms, &ino, &at) == 2 && at &&
		    perms[0] == 'r' && perms[1] == '-' && line[at] == '/')
			add_file(s, line + at, ino);
	}
	fclose(f);
}

static void count_sharers(struct scan *s)
{
	for (size_t i = 0; i < s->n; i++) {
		for (size_t j = 0; j < s->n; j++)
			s->list[i].info.sharers += s->list[i].ino == s->list[j].ino &&
						   s->list[i].dev == s->list[j].dev;
	}
}

int hearth_model_scan(const char *proc,
		      int (*fn)(const struct hearth_model_info *info, void *arg), void *arg)
{
	struct scan s = {
		.proc = proc,
		.list = malloc(MAX_FOUND * sizeof(*s.list)),
	};
	DIR *dir = s.list ? opendir(proc) : NULL;
	struct dirent *e;
	int ret = 0;

	if (!dir) {
		free(s.list);
		return hearth_seterr(s.list ? -errno : -ENOMEM, "cannot list processes");
	}
	while ((e = readdir(dir)))
		if (isdigit((unsigned char)e->d_name[0]))
			scan_process(&s, e->d_name);
	closedir(dir);
	count_sharers(&s);
	for (size_t i = 0; !ret && i < s.n; i++)
		ret = fn(&s.list[i].info, arg);
	free(s.list);
	return ret;
}
