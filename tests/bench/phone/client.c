// SPDX-License-Identifier: MIT
/*
 * A program that uses a model: client DEVICE MODEL CONTEXT. It says
 *
 *	open NS			ready
 *
 * and obeys
 *
 *	prompt N		feed N tokens to an empty context: prompt NS DIGEST ALL USED
 *
 * with what it has for itself by the library's account: KV cache and activations,
 * as large as the cache may become, and as far as there is memory for it yet.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hearth.h>

#include "meter.h"
#include "roles.h"
#include "tools/digest.h"

#define MAX_TOKENS	512

static int failed(const char *what)
{
	printf("error %s: %s\n", what, hearth_errmsg());
	return 1;
}

static void prompt(struct hearth_llm *llm, uint32_t n_vocab, size_t n)
{
	int32_t ids[MAX_TOKENS];
	const float *logits;
	struct hearth_llm_info info = { .sz = sizeof(info) };
	struct digest d;
	char text[DIGEST_TEXT];
	uint64_t start = now_ns(), ns;

	if (!n || n > MAX_TOKENS)
		n = 1;
	for (size_t i = 0; i < n; i++)
		ids[i] = (int32_t)((i * 7919 + 17) % n_vocab);
	if (hearth_llm_rewind(llm, 0) || hearth_llm_eval(llm, ids, n, &logits)) {
		failed("prompt");
		return;
	}
	digest_init(&d);
	digest_add(&d, logits, n_vocab * sizeof(*logits));
	ns = now_ns() - start;
	hearth_llm_get_info(llm, &info);
	printf("prompt %llu %s %llu %llu\n", (unsigned long long)ns, digest_text(&d, text),
	       (unsigned long long)(info.state_bytes + info.activation_used_bytes),
	       (unsigned long long)(info.state_used_bytes + info.activation_used_bytes));
}

static void obey(struct hearth_llm *llm, uint32_t n_vocab)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin)) {
		unsigned int n;

		if (sscanf(line, "prompt %u", &n) == 1)
			prompt(llm, n_vocab, n);
		else
			printf("error unknown command\n");
	}
}

int role_client(int argc, char **argv)
{
	struct hearth_llm_info info = { .sz = sizeof(info) };
	HEARTH_OPTS(hearth_llm_opts, opts);
	struct hearth_device *dev;
	struct hearth_llm *llm;
	uint64_t start = now_ns();

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 4)
		return 2;
	opts.n_ctx = (uint32_t)atoi(argv[3]);
	if (hearth_device_open(argv[1], NULL, &dev))
		return failed(argv[1]);
	if (hearth_llm_open(argv[2], dev, &opts, &llm))
		return failed(argv[2]);
	hearth_llm_get_info(llm, &info);
	printf("open %llu\n", (unsigned long long)(now_ns() - start));
	obey(llm, info.n_vocab);
	hearth_llm_close(llm);
	hearth_device_close(dev);
	return 0;
}
