/* SPDX-License-Identifier: MIT */
/* What this machine can do at best: the yardsticks of `hearth bench'. */
#ifndef HEARTH_TOOLS_MACHINE_H
#define HEARTH_TOOLS_MACHINE_H

struct machine {
	unsigned int threads;
	/* how int8 is multiplied: "vpdpbusd", "vpmaddubsw + vpmaddwd", ... */
	const char *int8_how;
	/* 10^9 multiplies and adds per second, from registers; all threads */
	double int8_gops;
	/* 10^9 bytes per second, read from a buffer beyond the caches */
	double dram_gbs;
	/* the same of a file's pages, which lie where they lie; 0: not measured */
	double file_gbs;
	/* one hk_pool_run() of empty tasks, in microseconds */
	double barrier_us;
};

/* Threads, and memory to read: 256 MiB, beyond the caches. One thread at a time may use it. */
struct machine_probe;

/* 0 or -ENOMEM, -EAGAIN (no threads). */
int machine_probe_open(unsigned int threads, struct machine_probe **probe);
void machine_probe_close(struct machine_probe *probe);

/*
 * All but file_gbs, with the instructions of @isa (a name of hk_isa_name()); takes about
 * half a second.
 */
void machine_measure(struct machine_probe *probe, const char *isa, struct machine *m);

/* dram_gbs once more, as the memory's other users leave it now; takes some 50 ms. */
double machine_measure_dram(struct machine_probe *probe);

/*
 * Sets @m->file_gbs: how fast the pages of the file @path are read, mapped as the library
 * maps weights. A file that caches may hold is left out. 0 or the error of opening or
 * mapping it.
 */
int machine_measure_file(struct machine_probe *probe, const char *path, struct machine *m);

#endif
