// SPDX-License-Identifier: MIT
/* hearth ps: the models of a device, of all processes. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/tool.h"

struct ps_args {
	struct device_args device;
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct ps_args *a = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &a->device;
		return 0;
	case 'j':
		a->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "one JSON object", 0 },
	{ 0 }
};

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "List the models that processes hold on a device: what of their weights is in memory, how dearly and "
	       "how long it is kept, who shares it, and what reading it again has cost. Without an NPU: the "
	       "GGUF files that processes have mapped.",
	.children = device_children,
};

struct listing {
	cJSON *models;
	unsigned int n;
};

static int add_json(const struct hearth_model_info *m, void *arg)
{
	struct listing *l = arg;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, "serial", m->serial);
	cJSON_AddStringToObject(o, "name", m->name);
	cJSON_AddStringToObject(o, "state", hearth_model_state_name(m->state));
	cJSON_AddStringToObject(o, "class", hearth_class_name(m->model_class));
	cJSON_AddStringToObject(o, "effective_class", hearth_class_name(m->effective_class));
	cJSON_AddNumberToObject(o, "keep_alive_ns", m->keep_alive_ns);
	cJSON_AddNumberToObject(o, "idle_ns", m->idle_ns);
	cJSON_AddNumberToObject(o, "sharers", m->sharers);
	cJSON_AddNumberToObject(o, "weights_bytes", m->weights_bytes);
	cJSON_AddNumberToObject(o, "resident_bytes", m->resident_bytes);
	cJSON_AddBoolToObject(o, "estimated", m->estimated);
	cJSON_AddNumberToObject(o, "state_bytes", m->state_bytes);
	cJSON_AddNumberToObject(o, "restored_bytes", m->restored_bytes);
	cJSON_AddNumberToObject(o, "restored_ns", m->restored_ns);
	cJSON_AddNumberToObject(o, "dropped_bytes", m->dropped_bytes);
	cJSON_AddNumberToObject(o, "uid", m->uid);
	cJSON_AddNumberToObject(o, "pid", m->pid);
	l->n++;
	return cJSON_AddItemToArray(l->models, o) ? 0 : -ENOMEM;
}

static int print_json(struct hearth_device *dev, const struct hearth_device_info *d)
{
	cJSON *o = cJSON_CreateObject();
	struct listing l = { .models = cJSON_AddArrayToObject(o, "models") };
	char *text = NULL;
	int ret;

	cJSON_AddStringToObject(o, "device", d->name);
	ret = hearth_model_list(dev, add_json, &l);
	if (!ret)
		text = cJSON_Print(o);
	if (text)
		puts(text);
	free(text);
	cJSON_Delete(o);
	return ret || !text ? fail("cannot list the models") : 0;
}

/* "900 MiB in 2.1 s" */
static void print_restores(const struct hearth_model_info *m)
{
	if (m->restored_ns)
		printf("  %s in %.2f s\n", human_bytes(m->restored_bytes), m->restored_ns * 1e-9);
	else
		printf("  -\n");
}

static int print_row(const struct hearth_model_info *m, void *arg)
{
	struct listing *l = arg;

	if (!l->n++)
		printf("%-28s %6s %6s %-9s %-9s %-8s %7s %10s %10s %10s  %s\n", "NAME", "PID", "UID", "STATE",
		       "CLASS", "KEEP", "SHARERS", "WEIGHTS", "RESIDENT", "KV", "RESTORED");
	printf("%-28.28s %6u %6u %-9s %-9s %-8s %7u %10s %s%9s %10s", m->name[0] ? m->name : "-", m->pid,
	       m->uid, hearth_model_state_name(m->state), hearth_class_name(m->effective_class),
	       m->keep_alive_ns == HEARTH_KEEP_DEFAULT ? "-" : human_keep_alive(m->keep_alive_ns), m->sharers,
	       human_bytes(m->weights_bytes), m->estimated ? ">" : " ", human_bytes(m->resident_bytes),
	       human_bytes(m->state_bytes));
	print_restores(m);
	return 0;
}

static int print_table(struct hearth_device *dev, const struct hearth_device_info *d)
{
	struct listing l = { 0 };

	if (!d->path)
		fprintf(stderr, "no NPU: these are the GGUF files that processes have mapped; the kernel drops their pages as it needs\n");
	if (hearth_model_list(dev, print_row, &l))
		return fail("cannot list the models");
	if (!l.n)
		printf("no models\n");
	if (d->path)
		print_device_memory(dev);
	return 0;
}

int cmd_ps(int argc, char **argv)
{
	struct hearth_device_info d = { .sz = sizeof(d) };
	struct ps_args a = { 0 };
	struct hearth_device *dev;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	dev = open_device(&a.device);
	if (!dev)
		return 1;
	hearth_device_get_info(dev, &d);
	ret = a.json ? print_json(dev, &d) : print_table(dev, &d);
	hearth_device_close(dev);
	return ret;
}
