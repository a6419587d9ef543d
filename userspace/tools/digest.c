// SPDX-License-Identifier: MIT
#include "tools/digest.h"

void digest_init(struct digest *d)
{
	crypto_generichash_init(&d->state, NULL, 0, crypto_generichash_BYTES);
}

void digest_add(struct digest *d, const void *data, size_t bytes)
{
	crypto_generichash_update(&d->state, data, bytes);
}

const char *digest_text(struct digest *d, char text[DIGEST_TEXT])
{
	unsigned char hash[crypto_generichash_BYTES];

	crypto_generichash_final(&d->state, hash, sizeof(hash));
	return sodium_bin2hex(text, DIGEST_TEXT, hash, sizeof(hash));
}
