/* SPDX-License-Identifier: MIT */
#ifndef HEARTH_FORMATS_GGUF_H
#define HEARTH_FORMATS_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hearth_err;
struct gguf;

/*
 * Blocks of a type with eight rows side by side, as `hearth pack` writes them; "HR"
 * in the number's upper half keeps it from ever being a type of the format.
 */
#define GGUF_R8(type)	(0x4852 << 16 | (type))
#define GGUF_R8_ROWS	8
/* A u32 that files with such tensors have, and the one value that is known. */
#define GGUF_PACK_KEY		"hearth.pack.version"
#define GGUF_PACK_VERSION	1

/* Tensor types, with the numbers of the file format. */
enum gguf_type {
	GGUF_TYPE_F32 = 0,
	GGUF_TYPE_F16 = 1,
	GGUF_TYPE_Q4_0 = 2,
	GGUF_TYPE_Q4_1 = 3,
	GGUF_TYPE_Q5_0 = 6,
	GGUF_TYPE_Q5_1 = 7,
	GGUF_TYPE_Q8_0 = 8,
	GGUF_TYPE_Q2_K = 10,
	GGUF_TYPE_Q3_K = 11,
	GGUF_TYPE_Q4_K = 12,
	GGUF_TYPE_Q5_K = 13,
	GGUF_TYPE_Q6_K = 14,
	GGUF_TYPE_IQ4_NL = 20,
	GGUF_TYPE_IQ4_XS = 23,
	GGUF_TYPE_BF16 = 30,
	GGUF_TYPE_MXFP4 = 39,
	GGUF_TYPE_Q4_0_R8 = GGUF_R8(GGUF_TYPE_Q4_0),
	GGUF_TYPE_Q8_0_R8 = GGUF_R8(GGUF_TYPE_Q8_0),
	GGUF_TYPE_Q4_K_R8 = GGUF_R8(GGUF_TYPE_Q4_K),
	GGUF_TYPE_Q5_K_R8 = GGUF_R8(GGUF_TYPE_Q5_K),
	GGUF_TYPE_Q6_K_R8 = GGUF_R8(GGUF_TYPE_Q6_K),
};

/* Types of metadata values. */
enum gguf_vtype {
	GGUF_VT_U8 = 0,
	GGUF_VT_I8 = 1,
	GGUF_VT_U16 = 2,
	GGUF_VT_I16 = 3,
	GGUF_VT_U32 = 4,
	GGUF_VT_I32 = 5,
	GGUF_VT_F32 = 6,
	GGUF_VT_BOOL = 7,
	GGUF_VT_STR = 8,
	GGUF_VT_ARR = 9,
	GGUF_VT_U64 = 10,
	GGUF_VT_I64 = 11,
	GGUF_VT_F64 = 12,
};

#define GGUF_MAX_DIMS 4

/* A view into the file: not NUL-terminated, may hold any byte. */
struct gguf_str {
	const char *ptr;
	uint64_t len;
};

struct gguf_type_info {
	const char *name;
	uint32_t block_elems;	/* 0: known by name only, no tensor of it can be used */
	uint32_t block_bytes;
	uint32_t group_rows;	/* rows that stand side by side; 0: each by itself */
};

/* An array of metadata. The elements are packed, so unaligned. */
struct gguf_arr {
	uint32_t type;		/* enum gguf_vtype, never GGUF_VT_ARR */
	uint64_t n;
	const uint8_t *data;
	uint64_t len;		/* bytes */
};

struct gguf_kv {
	struct gguf_str key;
	uint32_t type;		/* enum gguf_vtype */
	const uint8_t *val;	/* scalar: where its bytes lie */
	struct gguf_str str;	/* GGUF_VT_STR */
	struct gguf_arr arr;	/* GGUF_VT_ARR */
};

struct gguf_tensor {
	struct gguf_str name;
	uint32_t n_dims;
	uint32_t type;				/* as the file says, maybe unknown */
	uint64_t dims[GGUF_MAX_DIMS];		/* dims[0] is contiguous; unused ones are 1 */
	const struct gguf_type_info *info;	/* NULL: unknown type */
	uint64_t n_elems;
	/* of dims[0] elements, in a group its share; 0 if unusable type */
	uint64_t row_bytes;
	uint64_t nbytes;			/* 0 if unusable type */
	uint64_t offset;			/* from the start of the data section */
	uint64_t file_offset;
	const void *data;			/* in the mapping; NULL if unusable type */
};

/*
 * Open a file and check all of it but the tensors' contents. 0 or -errno:
 * -ENOEXEC not a GGUF file, -ENODATA ends too early, -EOVERFLOW a size does
 * not fit 64 bits, -EEXIST a name occurs twice, -EOPNOTSUPP a version or type
 * that this reader does not know, -EINVAL the rest.
 */
int gguf_open(const char *path, struct gguf **out, struct hearth_err *err);

/* The same for bytes in memory, which stay the caller's and must outlive @out. */
int gguf_open_mem(const void *buf, size_t size, struct gguf **out, struct hearth_err *err);
void gguf_close(struct gguf *g);

uint32_t gguf_version(const struct gguf *g);
uint32_t gguf_alignment(const struct gguf *g);
/* Written by `hearth pack`? Such a file alone has tensors in groups of rows. */
bool gguf_is_packed(const struct gguf *g);
const void *gguf_base(const struct gguf *g, uint64_t *size);
uint64_t gguf_data_offset(const struct gguf *g);
int gguf_fd(const struct gguf *g);	/* borrowed; -1 for memory */

uint64_t gguf_n_kv(const struct gguf *g);
const struct gguf_kv *gguf_kv_at(const struct gguf *g, uint64_t i);
const struct gguf_kv *gguf_find_kv(const struct gguf *g, const char *key);

/*
 * Typed lookups. An integer of any width and sign is taken if its value fits.
 * -ENOENT: no such key; -EINVAL: another type; -ERANGE: the value does not fit.
 * @out is untouched on error, so a default can stand in it.
 */
int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out, struct hearth_err *err);
int gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out, struct hearth_err *err);
int gguf_get_f32(const struct gguf *g, const char *key, float *out, struct hearth_err *err);
int gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct hearth_err *err);
int gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out,
		 struct hearth_err *err);
int gguf_get_arr(const struct gguf *g, const char *key, enum gguf_vtype type,
		 struct gguf_arr *out, struct hearth_err *err);

/* Element access; @i must be below arr->n and the type must be the function's. */
uint32_t gguf_arr_u32(const struct gguf_arr *arr, uint64_t i);
float gguf_arr_f32(const struct gguf_arr *arr, uint64_t i);
/* Walk a string array: *pos starts at 0. False after the last one. */
bool gguf_arr_next_str(const struct gguf_arr *arr, uint64_t *pos, struct gguf_str *out);

uint64_t gguf_n_tensors(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, uint64_t i);
/* Any tensor of that name, or NULL. Its type may be unusable. */
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);
/* A tensor whose data can be used: -ENOENT, or -EOPNOTSUPP with the type's name. */
int gguf_get_tensor(const struct gguf *g, const char *name, const struct gguf_tensor **out,
		    struct hearth_err *err);

/* NULL for a number that the format does not define. */
const struct gguf_type_info *gguf_type_info(uint32_t type);
/* Of a type that stands in groups of rows the one of its blocks, of others the same. */
uint32_t gguf_type_of_blocks(uint32_t type);
bool gguf_str_eq(struct gguf_str s, const char *z);

#endif
