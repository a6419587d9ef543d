// SPDX-License-Identifier: MIT
/*
 * A program that loads a model and its state, and holds them: loader DEVICE FILE
 * STATE_BYTES CLASS [watched]. It says `loaded MISSING', the bytes of the weights that are not
 * in memory (again) after the load, or `error WHY', and ends with its input.
 * If memory runs out the kernel shall take this one.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <hearth.h>

#include "meter.h"
#include "roles.h"

#define PIECE	(128 * MIB)
/* How often a load is looked at. */
#define LOOK_NS	50000000

static int hold_state(struct hearth_device *dev, uint64_t bytes)
{
	while (bytes) {
		uint64_t n = bytes < PIECE ? bytes : PIECE;
		struct hearth_buffer *buf;
		int ret = hearth_buffer_create(dev, n, NULL, &buf);

		if (ret)
			return ret;
		memset(hearth_buffer_data(buf), 1, n);
		bytes -= n;
	}
	return 0;
}

/* A load in a thread of its own, so that somebody can watch it. */
static struct {
	struct hearth_model *model;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool over;
	int ret;
	char why[256];
} load = { .lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER };

static void *run_load(void *arg)
{
	int ret = hearth_model_load(load.model);

	pthread_mutex_lock(&load.lock);
	load.ret = ret;
	snprintf(load.why, sizeof(load.why), "%s", ret ? hearth_errmsg() : "");
	load.over = true;
	pthread_cond_signal(&load.done);
	pthread_mutex_unlock(&load.lock);
	return arg;
}

/* Not the end, and much of it was dropped already: it drops its beginning to read its end. */
static bool grinds(uint64_t dropped_before)
{
	struct hearth_model_info info = { .sz = sizeof(info) };

	return !hearth_model_get_info(load.model, &info) &&
	       info.dropped_bytes - dropped_before > info.weights_bytes / 8;
}

/* Loads the model; @watched: ends the process if that leads nowhere. */
static int load_model(bool watched)
{
	struct hearth_model_info info = { .sz = sizeof(info) };
	struct timespec until;
	pthread_t thread;
	int ret = hearth_model_get_info(load.model, &info);

	if (ret || pthread_create(&thread, NULL, run_load, NULL))
		return ret ? ret : -1;
	pthread_mutex_lock(&load.lock);
	while (!load.over) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += LOOK_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&load.done, &load.lock, &until);
		if (watched && !load.over && grinds(info.dropped_bytes)) {
			printf("error grinds\n");
			_exit(1);
		}
	}
	pthread_mutex_unlock(&load.lock);
	pthread_join(thread, NULL);
	return load.ret;
}

int role_loader(int argc, char **argv)
{
	struct hearth_model_info info = { .sz = sizeof(info) };
	HEARTH_OPTS(hearth_model_opts, opts);
	struct hearth_device *dev;
	int ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	set_oom_score_adj(BACKGROUND);
	if (argc != 5 && argc != 6)
		return 2;
	ret = hearth_class_parse(argv[4], &opts.model_class);
	ret = ret ? ret : hearth_device_open(argv[1], NULL, &dev);
	ret = ret ? ret : hearth_model_open(argv[2], dev, &opts, &load.model);
	ret = ret ? ret : hold_state(dev, strtoull(argv[3], NULL, 10));
	ret = ret ? ret : load_model(argc == 6);
	ret = ret ? ret : hearth_model_get_info(load.model, &info);
	if (ret) {
		printf("error %d %s\n", ret, load.over ? load.why : hearth_errmsg());
		return 1;
	}
	printf("loaded %llu\n", (unsigned long long)(info.weights_bytes - info.resident_bytes));
	while (getchar() != EOF)
		;
	return 0;
}
