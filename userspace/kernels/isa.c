// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>

#include "kernels/exec.h"
#include "kernels/isa.h"

const struct hk_isa *hk_isa_list(unsigned int i)
{
	for (const struct hk_isa *isa = hk_isas; isa->name; isa++) {
		if ((!isa->runs || isa->runs()) && i-- == 0)
			return isa;
	}
	return NULL;
}

const struct hk_isa *hk_isa_by_name(const char *name)
{
	const struct hk_isa *isa;

	for (unsigned int i = 0; (isa = hk_isa_list(i)); i++) {
		if (!strcmp(isa->name, name))
			return isa;
	}
	return NULL;
}

const struct hk_isa *hk_isa_best(void)
{
	const char *name = getenv("HEARTH_ISA");
	const struct hk_isa *isa, *best = NULL;

	if (name && *name)
		return hk_isa_by_name(name);
	for (unsigned int i = 0; (isa = hk_isa_list(i)); i++)
		best = isa;
	return best;
}

const char *hk_isa_name(const struct hk_isa *isa)
{
	return isa->name;
}
