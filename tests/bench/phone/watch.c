// SPDX-License-Identifier: MIT
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include <hearth.h>

#include "meter.h"
#include "watch.h"

#define INTERVAL_NS	200000000

static struct {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	struct hearth_model *model;
	uint64_t start;
	_Atomic(const char *) mark;
	_Atomic int app;
} watch = { .lock = PTHREAD_MUTEX_INITIALIZER };

void say(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	flockfile(stdout);
	puts(line);
	fflush(stdout);
	funlockfile(stdout);
}

void watch_mark(const char *what)
{
	atomic_store(&watch.mark, what);
}

void watch_app(int pid)
{
	atomic_store(&watch.app, pid);
}

static void sample(void)
{
	struct hearth_model_info info = { .sz = sizeof(info) };
	const char *mark = atomic_exchange(&watch.mark, NULL);
	int app = atomic_load(&watch.app);
	struct meminfo m;

	read_meminfo(&m);
	hearth_model_get_info(watch.model, &info);
	say("{\"sample\": %.3f, \"free\": %llu, \"available\": %llu, \"cached\": %llu, \"anon\": %llu, "
	    "\"weights\": %llu, \"app\": %llu, \"oom\": %llu, \"mark\": \"%s\"}",
	    (double)(now_ns() - watch.start) / 1e9, (unsigned long long)m.free,
	    (unsigned long long)m.available, (unsigned long long)m.cached,
	    (unsigned long long)m.anon, (unsigned long long)info.resident_bytes,
	    app ? (unsigned long long)rollup(app, "Anonymous") : 0,
	    (unsigned long long)vmstat("oom_kill"), mark ? mark : "");
}

static void *run(void *arg)
{
	struct timespec until;

	pthread_mutex_lock(&watch.lock);
	while (!watch.stop) {
		sample();
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += INTERVAL_NS;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		pthread_cond_timedwait(&watch.wake, &watch.lock, &until);
	}
	pthread_mutex_unlock(&watch.lock);
	return NULL;
}

int watch_start(struct hearth_device *dev, const char *path)
{
	HEARTH_OPTS(hearth_model_opts, opts, .model_class = HEARTH_CLASS_DROPPABLE,
		    .name = "watched");
	int ret = hearth_model_open(path, dev, &opts, &watch.model);

	if (ret)
		return ret;
	watch.start = now_ns();
	pthread_cond_init(&watch.wake, NULL);
	ret = pthread_create(&watch.thread, NULL, run, NULL);
	if (ret)
		hearth_model_close(watch.model);
	return -ret;
}

void watch_stop(void)
{
	pthread_mutex_lock(&watch.lock);
	watch.stop = true;
	pthread_cond_signal(&watch.wake);
	pthread_mutex_unlock(&watch.lock);
	pthread_join(watch.thread, NULL);
	hearth_model_close(watch.model);
}
