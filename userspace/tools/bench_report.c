// SPDX-License-Identifier: MIT
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench.h"
#include "tools/tool.h"

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct spread {
	double min, median, max;
};

static struct spread spread_of(const double *values, unsigned int n)
{
	double v[BENCH_MAX_REPS];

	memcpy(v, values, n * sizeof(*v));
	qsort(v, n, sizeof(*v), by_value);
	return (struct spread){ v[0], (v[(n - 1) / 2] + v[n / 2]) / 2, v[n - 1] };
}

/* Of each pass, by what DRAM gave in that time; the median. */
static double part_of_dram(const struct bench_result *r, const struct bench_series *s)
{
	double part[BENCH_MAX_REPS];

	for (unsigned int i = 0; i < s->n; i++)
		part[i] = 1e-9 * r->decode_bytes * s->speed[i] / s->dram_gbs[i];
	return spread_of(part, s->n).median;
}

/* 10^9 operations per second of the matrix products. The logits of a prompt's last token alone are made. */
static double gops(const struct bench_result *r, const struct bench_series *s, double speed)
{
	uint64_t macs = r->decode_macs - (s->prefill ? r->head_macs : 0);

	return 2e-9 * macs * speed;
}

static cJSON *machine_json(const struct machine *m)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, "threads", m->threads);
	cJSON_AddNumberToObject(o, "dram_gb_per_s", m->dram_gbs);
	if (m->file_gbs > 0)
		cJSON_AddNumberToObject(o, "file_gb_per_s", m->file_gbs);
	cJSON_AddNumberToObject(o, "int8_gops", m->int8_gops);
	cJSON_AddStringToObject(o, "int8_how", m->int8_how);
	cJSON_AddNumberToObject(o, "barrier_us", m->barrier_us);
	return o;
}

static cJSON *series_json(const struct bench_result *r, const struct bench_series *s)
{
	struct spread p = spread_of(s->speed, s->n);
	cJSON *o = cJSON_CreateObject();
	double ops = gops(r, s, p.median), gbs = 1e-9 * r->decode_bytes * p.median;

	cJSON_AddStringToObject(o, "test", s->prefill ? "prefill" : "decode");
	cJSON_AddNumberToObject(o, "tokens", s->tokens);
	cJSON_AddNumberToObject(o, "tokens_per_s", p.median);
	cJSON_AddItemToObject(o, "samples", cJSON_CreateDoubleArray(s->speed, s->n));
	cJSON_AddNumberToObject(o, "gops", ops);
	if (r->has_machine)
		cJSON_AddNumberToObject(o, "of_int8_peak", ops / r->machine.int8_gops);
	if (!s->prefill) {
		cJSON_AddNumberToObject(o, "gb_per_s", gbs);
		if (r->has_machine) {
			cJSON_AddNumberToObject(o, "dram_gb_per_s", spread_of(s->dram_gbs, s->n).median);
			cJSON_AddNumberToObject(o, "of_dram", part_of_dram(r, s));
		}
		if (r->has_machine && r->machine.file_gbs > 0)
			cJSON_AddNumberToObject(o, "of_file", gbs / r->machine.file_gbs);
	}
	return o;
}

static int print_json(cJSON *o)
{
	char *text = cJSON_Print(o);

	cJSON_Delete(o);
	if (!text)
		return fail("no memory for the JSON");
	puts(text);
	free(text);
	return 0;
}

static int result_json(const struct bench_result *r)
{
	cJSON *o = cJSON_CreateObject(), *tests;

	cJSON_AddStringToObject(o, "model", r->path);
	cJSON_AddStringToObject(o, "name", r->model.name);
	cJSON_AddStringToObject(o, "arch", r->model.arch);
	cJSON_AddStringToObject(o, "device", r->device.name);
	cJSON_AddStringToObject(o, "isa", r->device.isa);
	cJSON_AddNumberToObject(o, "threads", r->device.threads);
	cJSON_AddNumberToObject(o, "weights_bytes", r->model.weights_bytes);
	cJSON_AddNumberToObject(o, "kv_bytes", r->model.state_bytes);
	cJSON_AddNumberToObject(o, "activation_bytes", r->model.activation_bytes);
	cJSON_AddNumberToObject(o, "decode_bytes", r->decode_bytes);
	cJSON_AddNumberToObject(o, "decode_macs", r->decode_macs);
	cJSON_AddNumberToObject(o, "open_s", r->open_s);
	if (r->first_s > 0)
		cJSON_AddNumberToObject(o, "first_token_s", r->first_s);
	if (r->has_machine)
		cJSON_AddItemToObject(o, "machine", machine_json(&r->machine));
	tests = cJSON_AddArrayToObject(o, "tests");
	for (unsigned int i = 0; i < r->n_series; i++)
		cJSON_AddItemToArray(tests, series_json(r, &r->series[i]));
	return print_json(o);
}

static void machine_table(const struct machine *m)
{
	printf("machine: %u thread%s: DRAM reads %.1f GB/s, int8 %.0f GOPS (%s), barrier %.2f us\n",
	       m->threads, m->threads == 1 ? "" : "s", m->dram_gbs, m->int8_gops, m->int8_how,
	       m->barrier_us);
	if (m->file_gbs > 0)
		printf("file:    its pages are read at %.1f GB/s, %.0f %% of that\n", m->file_gbs,
		       100 * m->file_gbs / m->dram_gbs);
}

static void series_table(const struct bench_result *r, const struct bench_series *s)
{
	struct spread p = spread_of(s->speed, s->n);
	double ops = gops(r, s, p.median), gbs = 1e-9 * r->decode_bytes * p.median;

	printf("%-8s %6u  %10.2f  %9.2f to %-9.2f %8.1f GOPS", s->prefill ? "prefill" : "decode",
	       s->tokens, p.median, p.min, p.max, ops);
	if (r->has_machine)
		printf(" %3.0f %%", 100 * ops / r->machine.int8_gops);
	if (!s->prefill)
		printf(" %6.1f GB/s", gbs);
	if (!s->prefill && r->has_machine)
		printf(" %3.0f %%", 100 * part_of_dram(r, s));
	if (!s->prefill && r->has_machine && r->machine.file_gbs > 0)
		printf(", %.0f %% of the file's", 100 * gbs / r->machine.file_gbs);
	putchar('\n');
}

static void result_table(const struct bench_result *r)
{
	printf("model:   %s (%s, %s), weights %s\n", r->path, r->model.name, r->model.arch,
	       human_bytes(r->model.weights_bytes));
	printf("device:  %s, CPU kernels %s, %u thread%s\n", r->device.name, r->device.isa,
	       r->device.threads, r->device.threads == 1 ? "" : "s");
	if (r->has_machine)
		machine_table(&r->machine);
	printf("\n%-8s %6s  %10s  %9s    %-9s %13s%s\n", "test", "tokens", "tokens/s", "least",
	       "most", "reached", r->has_machine ? ", of the limit" : "");
	for (unsigned int i = 0; i < r->n_series; i++)
		series_table(r, &r->series[i]);
	printf("\nopen %.3f s", r->open_s);
	if (r->first_s > 0)
		printf(", exec to first token %.3f s", r->first_s);
	putchar('\n');
}

int bench_print(const struct bench_result *r, bool json)
{
	if (json)
		return result_json(r);
	result_table(r);
	return 0;
}

int bench_print_machine(const struct machine *m, bool json)
{
	if (json)
		return print_json(machine_json(m));
	machine_table(m);
	return 0;
}
