/* SPDX-License-Identifier: MIT */
/* What the kernel says of memory, and how long things take. */
#ifndef HEARTH_PHONE_METER_H
#define HEARTH_PHONE_METER_H

#include <stddef.h>
#include <stdint.h>

#define MIB	(1ull << 20)

/** struct meminfo - bytes, from /proc/meminfo */
struct meminfo {
	uint64_t total, free, available, cached, anon;
};

uint64_t now_ns(void);
void read_meminfo(struct meminfo *m);

/** What all of memory has in use, caches included. */
uint64_t used_bytes(void);

/** A counter of /proc/vmstat, or 0. */
uint64_t vmstat(const char *name);

/** A field of /proc/PID/smaps_rollup in bytes, or 0. */
uint64_t rollup(int pid, const char *field);

/** Page tables of a process, or 0. */
uint64_t page_table_bytes(int pid);

/** What the NPU's driver holds for one process and nobody else, and how long it computed. */
struct client_usage {
	uint64_t private_bytes, busy_ns;
};
void read_client(int pid, struct client_usage *u);

/** Page tables of the NPU's own MMU, of all processes. */
uint64_t npu_table_bytes(void);

/** Bytes of a file that are in the page cache; the file must be writable by us. */
uint64_t cached_bytes(const char *path);

/** Forgets what the page cache can forget. */
void drop_caches(void);

/* Of whom the kernel ends first. */
#define BACKGROUND	1000

/** Of this process. */
void set_oom_score_adj(int adj);

/** Reads a file once from its beginning to its end; ns that it took, 0 if it fails. */
uint64_t read_file(const char *path, uint64_t *bytes);

/** struct latencies - every sample, up to a fixed number */
struct latencies {
	uint32_t *ns;
	size_t n, cap;
	uint64_t max_ns;
};

/** Room for @cap samples; those beyond only count for the maximum. 0 or -1. */
int latencies_init(struct latencies *l, size_t cap);
void latencies_add(struct latencies *l, uint64_t ns);

/** The sample at @permille of all, which are sorted by it. */
uint64_t latencies_at(struct latencies *l, unsigned int permille);
void latencies_fini(struct latencies *l);

#endif
