// SPDX-License-Identifier: MIT
/* An input is a text that a user typed, up to its first zero. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "hearth.h"

const char *const fuzz_name = "keep_alive";

const uint64_t fuzz_values[] = {
	'0', '9', '.', '-', '+', 's', 'm', 'h', 'u', 'n', 0x736d, 0x736e, 0x7375, 0x39393939,
	0x3939393939393939, 0x6839393939393939, 0x3030303030303030, 0x2e2e, 0,
};
const size_t fuzz_n_values = sizeof(fuzz_values) / sizeof(fuzz_values[0]);

size_t fuzz_heap_limit(size_t size)
{
	return 4096 + size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	enum hearth_model_class c;
	int64_t ns = 77;
	int ret;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	ret = hearth_keep_alive_parse(text, &ns);
	if (ret ? ns != 77 || (ret != -EINVAL && ret != -ERANGE) || !*hearth_errmsg() :
		  ns <= 0 && ns != HEARTH_KEEP_FOREVER && ns != HEARTH_KEEP_NONE)
		abort();
	hearth_class_parse(text, &c);
	free(text);
	return 0;
}

void fuzz_seeds(void (*add)(const void *data, size_t size))
{
	static const char *const text[] = {
		"300", "5m", "1h30m", "-1", "0", "1.5h", "250ms", "9223372036s", "2562047h47m16.854775807s",
	};

	for (size_t i = 0; i < sizeof(text) / sizeof(*text); i++)
		add(text[i], strlen(text[i]));
}
