// SPDX-License-Identifier: MIT
/*
 * The phone of `make bench-phone`, inside the guest: scenes that measure, and
 * the processes that play in them. One JSON object per line on stdout.
 */
#include <stdio.h>
#include <string.h>

#include "roles.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} roles[] = {
	{ "scene", role_scene },
	{ "admission", role_admission },
	{ "app", role_app },
	{ "client", role_client },
	{ "loader", role_loader },
};

int main(int argc, char **argv)
{
	/* Children are started with the role as argv[0]. */
	for (int i = 0; i < 2 && i < argc; i++)
		for (size_t r = 0; r < sizeof(roles) / sizeof(roles[0]); r++)
			if (!strcmp(argv[i], roles[r].name))
				return roles[r].run(argc - i, argv + i);
	fprintf(stderr, "Usage: phone scene|admission ...\n");
	return 2;
}
