/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_FORMATS_GGUF_PACK_H
#define HEARTH_FORMATS_GGUF_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gguf;
struct gguf_tensor;
struct hearth_err;

/* Gets the bytes of a file in their order; what it returns, if not 0, ends the writing. */
typedef int (*gguf_put)(void *arg, const void *data, size_t n);

/* Why a tensor's rows cannot stand in groups of eight; NULL: they can. */
const char *gguf_pack_refusal(const struct gguf_tensor *t);

/*
 * Write a file with the tensors of which @pack is true in rows of eight, and the key
 * that says so; all else is as in @g. A bounded buffer, whatever the size of the file.
 * 0, what @put returned, or -errno: -EEXIST it is packed, -EINVAL a tensor cannot be.
 */
int gguf_pack(const struct gguf *g, const bool *pack, gguf_put put, void *arg,
	      struct hearth_err *err);
/* The file that was packed. -EINVAL it is not. */
int gguf_unpack(const struct gguf *g, gguf_put put, void *arg, struct hearth_err *err);

/* Bytes that the one of the two that @g needs writes; @g has tensors. */
uint64_t gguf_pack_bytes(const struct gguf *g);

#endif
