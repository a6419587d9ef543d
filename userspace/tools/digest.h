/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_TOOLS_DIGEST_H
#define HEARTH_TOOLS_DIGEST_H

#include <sodium.h>

/* BLAKE2b-256 of everything that a run put out, in order. */
struct digest {
	crypto_generichash_state state;
};

void digest_init(struct digest *d);
void digest_add(struct digest *d, const void *data, size_t bytes);

#define DIGEST_TEXT	65

/* Lower-case hex. */
const char *digest_text(struct digest *d, char text[DIGEST_TEXT]);

#endif
