// SPDX-License-Identifier: MIT
/*
 * A KV cache that grows on the NPU, for tests/e2e/growth: prints what the driver
 * tells at each step as "NAME VALUE" lines.
 *
 *	growth_run MODEL.gguf
 *
 * Needs root: it changes the device's budget.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hearth.h"

#define CTX	4096
#define STEP	256	/* of 3 KiB each in f32 */
#define TOKENS	700	/* over two borders; one needs another extent */

static const char *path;

static void say(const char *name, uint64_t value)
{
	printf("%s %llu\n", name, (unsigned long long)value);
	fflush(stdout);
}

static void need(int ret, const char *what)
{
	if (!ret)
		return;
	printf("error %s: %s\n", what, hearth_errmsg());
	exit(1);
}

/* Dearer than what growth may drop: else it would take the place of the weights. */
static struct hearth_llm *open_model(struct hearth_device *dev, uint32_t step,
				     enum hearth_model_class model_class)
{
	HEARTH_OPTS(hearth_model_opts, keep, .model_class = model_class,
		    .keep_alive_ns = HEARTH_KEEP_FOREVER);
	HEARTH_OPTS(hearth_llm_opts, o, .n_ctx = CTX, .kv_type = HEARTH_KV_F32, .kv_step = step,
		    .model = &keep);
	struct hearth_llm *llm;

	need(hearth_llm_open(path, dev, &o, &llm), "model");
	return llm;
}

static int feed(struct hearth_llm *llm, uint32_t n, const float **logits)
{
	uint32_t first = hearth_llm_position(llm);
	int32_t ids[TOKENS];

	for (uint32_t k = 0; k < n; k++)
		ids[k] = 1 + (int32_t)((first + k) * 3 % 256);
	return hearth_llm_eval(llm, ids, n, logits);
}

/* FNV-1a of the logits */
static uint64_t digest(struct hearth_llm *llm, const float *logits)
{
	struct hearth_llm_info i = { .sz = sizeof(i) };
	const unsigned char *p = (const unsigned char *)logits;
	uint64_t hash = 0xcbf29ce484222325;

	need(hearth_llm_get_info(llm, &i), "info");
	for (size_t k = 0; k < i.n_vocab * sizeof(*logits); k++)
		hash = (hash ^ p[k]) * 0x100000001b3;
	return hash;
}

static uint64_t kv(struct hearth_llm *llm)
{
	struct hearth_model_info i = { .sz = sizeof(i) };

	need(hearth_model_get_info(hearth_llm_model(llm), &i), "model info");
	return i.state_bytes;
}

static uint64_t resident(struct hearth_device *dev)
{
	struct hearth_memory_info i = { .sz = sizeof(i) };

	need(hearth_device_get_memory(dev, &i), "memory");
	return i.resident;
}

static void set_budget(uint64_t bytes)
{
	FILE *f = fopen("/sys/class/accel/accel0/device/hearth/memory_budget", "w");

	if (!f || fprintf(f, "%llu\n", (unsigned long long)bytes) < 0 || fclose(f)) {
		perror("memory_budget");
		exit(1);
	}
}

static uint64_t budget(struct hearth_device *dev)
{
	struct hearth_memory_info i = { .sz = sizeof(i) };

	need(hearth_device_get_memory(dev, &i), "memory");
	return i.budget;
}

static void refuse(struct hearth_device *dev, struct hearth_llm *llm, const char *name)
{
	char line[64];

	set_budget(resident(dev));
	snprintf(line, sizeof(line), "%s.status", name);
	say(line, (uint64_t)-feed(llm, 400, NULL));
	printf("%s: %s\n", name, hearth_errmsg());
	snprintf(line, sizeof(line), "%s.position", name);
	say(line, hearth_llm_position(llm));
	snprintf(line, sizeof(line), "%s.kv", name);
	say(line, kv(llm));
}

/* Fed in three parts; the last is refused at first. */
static void grow(struct hearth_device *dev, enum hearth_model_class model_class, const char *name)
{
	struct hearth_llm *llm = open_model(dev, STEP, model_class);
	uint64_t before = budget(dev);
	const float *logits;
	char line[64];

	say("open.kv", kv(llm));
	need(feed(llm, 200, NULL), "first part");
	refuse(dev, llm, name);
	/* what there is room for goes on */
	need(feed(llm, 100, NULL), "second part");
	set_budget(before);
	need(feed(llm, 400, &logits), "last part");
	snprintf(line, sizeof(line), "%s.digest", name);
	say(line, digest(llm, logits));
	say("grown.kv", kv(llm));
	need(hearth_llm_rewind(llm, 100), "rewind");
	need(hearth_llm_idle(llm), "idle");
	say("idle.kv", kv(llm));
	need(feed(llm, 600, &logits), "after idle");
	snprintf(line, sizeof(line), "%s.again", name);
	say(line, digest(llm, logits));
	hearth_llm_close(llm);
}

int main(int argc, char **argv)
{
	struct hearth_device *dev;
	struct hearth_llm *llm;
	const float *logits;

	if (argc != 2)
		return 2;
	path = argv[1];
	need(hearth_device_open("npu", NULL, &dev), "open");
	llm = open_model(dev, CTX, HEARTH_CLASS_NORMAL);
	say("whole.kv", kv(llm));
	need(feed(llm, 200, NULL), "whole");
	need(feed(llm, 100, NULL), "whole");
	need(feed(llm, 400, &logits), "whole");
	say("whole.digest", digest(llm, logits));
	hearth_llm_close(llm);
	grow(dev, HEARTH_CLASS_PROTECTED, "protected");
	grow(dev, HEARTH_CLASS_NORMAL, "normal");
	hearth_device_close(dev);
	say("done", 1);
	return 0;
}
