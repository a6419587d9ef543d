/* SPDX-License-Identifier: MIT */
/*
 * The float kernels of one ISA, and the ops that are built on them. Internal
 * to kernels/. Every ISA gives the bits of Documentation/arithmetic.rst.
 */
#ifndef HEARTH_KERNELS_FLOAT_H
#define HEARTH_KERNELS_FLOAT_H

#include "kernels/isa.h"
#include "kernels/op.h"
#include "kernels/types.h"

/* Input rows that one pass over the weights serves at most. */
#define HK_MATMUL_ROWS	128

/* Output rows of a matmul tile: every ISA's kernel starts at a multiple. */
#define HK_MATMUL_TILE	16

/* Elements that lie together; with weights in blocks of 32 they have a scale. */
#define HK_ACT_BLOCK	32

/* Elements with one activation scale, where weights come in as large blocks. */
#define HK_ACT_SUPER	256
#define HK_ACT_BLOCKS	(HK_ACT_SUPER / HK_ACT_BLOCK)

/**
 * struct hk_act - rows quantized to 8 bits: x[k] is about q[k] * d[k / block]
 *
 * A block is 32 or 256 elements, as the weights have it. Blocks outermost: what
 * a kernel reads for a block of weights is contiguous.
 */
struct hk_act {
	/** @rows: Rows of the pass. */
	uint32_t rows;
	/** @q: [n / 32][rows][32], -127 to 127. */
	int8_t *q;
	/** @u: The same plus 128, for kernels of x86; NULL: none reads it. */
	uint8_t *u;
	/** @d: [n / block][rows]. */
	float *d;
	/** @sum: Blocks of 32: [n / 32][rows], sums of q; @total: the same. */
	int32_t *sum;
	float *total;
	/** @sum16: Blocks of 256: [n / 256][rows][16], sums of 16 values of q each. */
	int16_t *sum16;
	/** @sum32: Blocks of 256: [n / 256][rows][8], sums of 32 each. */
	int16_t *sum32;
};

/**
 * struct hk_matmul - one pass: some rows of the input times a tile of weights
 */
struct hk_matmul {
	unsigned int type;
	uint32_t rows, in_n;
	/** @weights: First row of the tile. */
	const uint8_t *weights;
	uint64_t row_bytes;
	/** @src: Dense types: f32 [rows][in_n]. */
	const float *src;
	/** @act: Block types: the same, quantized. */
	struct hk_act act;
	/** @dst: Column of the tile's first row; rows are @dst_stride apart. */
	float *dst;
	uint64_t dst_stride;
};

struct hk_rope_row {
	float *x;
	const float *table;
	uint32_t heads, head_dim, n_rot, mode;
};

/* Queries of one key/value head that an attention kernel serves at a time. */
#define HK_QUERIES	4

struct hk_float_kernels {
	/* Sum of squares, 16 lanes. */
	float (*sum_squares)(const float *x, uint32_t n);
	/* y[i] = x[i] * r * w[i] */
	void (*scale_gain)(float *y, const float *x, float r, const float *w, uint32_t n);
	void (*rope)(const struct hk_rope_row *row);
	void (*add)(float *y, const float *a, const float *b, uint32_t n);
	void (*mul)(float *y, const float *a, const float *b, uint32_t n);
	void (*glu_silu)(float *y, const float *gate, const float *up, uint32_t n);
	void (*glu_gelu)(float *y, const float *gate, const float *up, uint32_t n);
	/* y[i] = cap * tanh(x[i] / cap); @y may be @x. */
	void (*softcap)(float *y, const float *x, float cap, uint32_t n);
	/* In place. */
	void (*softmax)(float *s, uint32_t n);
	/* s[t] = dot(q, k[t]) * scale for t < n; @f16 tells the type of k. */
	void (*scores)(float *s, const float *q, const void *k, bool f16, uint32_t n,
		       uint32_t dim, float scale);
	/* out[c] += sum over t of p[t] * v[t][c], t ascending */
	void (*weighted_sum)(float *out, const float *p, const void *v, bool f16,
			     uint32_t n, uint32_t dim);
	/*
	 * scores() for HK_QUERIES queries, and out[i][c] += sum over t of
	 * p[i][t] * v[t][c] for one or HK_QUERIES of them, t ascending, in canonical
	 * form; any type of cache, @dim a multiple of 8. Both, or NULL: one by one is
	 * as fast.
	 */
	void (*scores_4)(float *const s[HK_QUERIES], const float *const q[HK_QUERIES],
			 const uint8_t *k, unsigned int type, uint32_t n, uint32_t dim,
			 float scale);
	void (*weighted_add)(float *const out[], const float *const p[], uint32_t n_q,
			     const uint8_t *v, unsigned int type, uint32_t n, uint32_t dim);
	/* scores(), weighted_sum() and to_f16() for caches of Q8_0; @dim and @n of to_q8 are whole blocks. */
	void (*scores_q8)(float *s, const float *q, const uint8_t *k, uint32_t n,
			  uint32_t dim, float scale);
	void (*weighted_sum_q8)(float *out, const float *p, const uint8_t *v, uint32_t n,
				uint32_t dim);
	void (*to_q8)(uint8_t *y, const float *x, uint32_t n);
	void (*to_f16)(uint16_t *y, const float *x, uint32_t n);
	/* Decode a row of @n elements of any weight type but those in rows of eight. */
	void (*get_row)(float *y, const uint8_t *row, unsigned int type, uint32_t n);
	/* Quantize one row, in blocks of 32, or of 256. */
	void (*quantize)(const struct hk_act *act, uint32_t row, const float *x, uint32_t n);
	void (*quantize_256)(const struct hk_act *act, uint32_t row, const float *x,
			     uint32_t n);
	/* Outputs @first to @last - 1 of the tile. */
	void (*matmul)(const struct hk_matmul *m, uint32_t first, uint32_t last);
};

extern const struct hk_float_kernels hk_float_plain;
extern const struct hk_float_kernels hk_float_avx2;
extern const struct hk_float_kernels hk_float_avx512;
extern const struct hk_float_kernels hk_float_dotprod;
extern const struct hk_float_kernels hk_float_i8mm;

static inline const struct hk_float_kernels *hk_flt(const struct hk_run *r)
{
	return r->isa->flt;
}

/* Rows of an op spread over the pool: fn(arg, first, last, worker). */
typedef void (*hk_rows_fn)(void *arg, uint32_t first, uint32_t last, unsigned int worker);

/*
 * @grain: rows that are worth a task; fewer than two grains stay in the caller.
 */
void hk_for_rows(struct hk_pool *pool, hk_rows_fn fn, void *arg, uint32_t rows,
		 uint32_t grain);

/* Map one operand; hk_unmap() keeps @ret if it is an error. */
int hk_map(struct hk_space *space, struct hk_map *map, const struct hk_operand *op,
	   struct hk_fault *fault);
int hk_unmap(struct hk_space *space, struct hk_map *map, int ret,
	     struct hk_fault *fault);

/*
 * Copies @n numbers and finds the largest; hk_bad(field) if one is outside of
 * 0..limit - 1. Copies, for whoever owns the memory may write to it.
 */
int hk_check_index(const int32_t *index, int32_t *copy, uint32_t n, uint32_t limit,
		   uint32_t *largest, const char *field, struct hk_fault *fault);

/* f32, finite? Takes the bits as they stand in a command. */
bool hk_finite_bits(uint32_t bits);
/* Finite and more than 0? */
bool hk_positive_bits(uint32_t bits);

int hk_get_rows_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault);
int hk_get_rows_exec(const void *cmd, struct hk_space *space, struct hk_run *r);

int hk_matmul_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault);
size_t hk_matmul_scratch(const void *cmd, unsigned int threads);
bool hk_matmul_joins(const void *cmd, const void *next);
int hk_matmul_exec(const void *cmd, struct hk_space *space, struct hk_run *r);

int hk_rms_norm_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault);
int hk_rms_norm_run(const void *cmd, void *const ptr[], struct hk_run *r);

int hk_rope_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault);
size_t hk_rope_scratch(const void *cmd, unsigned int threads);
int hk_rope_run(const void *cmd, void *const ptr[], struct hk_run *r);

int hk_kv_write_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault);
size_t hk_kv_write_scratch(const void *cmd, unsigned int threads);
int hk_kv_write_exec(const void *cmd, struct hk_space *space, struct hk_run *r);

int hk_kv_shift_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault);
size_t hk_kv_shift_scratch(const void *cmd, unsigned int threads);
int hk_kv_shift_exec(const void *cmd, struct hk_space *space, struct hk_run *r);

int hk_attention_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault);
int hk_attention_2_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault);
size_t hk_attention_scratch(const void *cmd, unsigned int threads);
int hk_attention_exec(const void *cmd, struct hk_space *space, struct hk_run *r);

int hk_binary_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault);
int hk_add_run(const void *cmd, void *const ptr[], struct hk_run *r);
int hk_mul_run(const void *cmd, void *const ptr[], struct hk_run *r);

int hk_glu_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault);
int hk_glu_run(const void *cmd, void *const ptr[], struct hk_run *r);

int hk_softcap_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault);
int hk_softcap_run(const void *cmd, void *const ptr[], struct hk_run *r);

int hk_argmax_operands(const void *cmd, struct hk_operand *op, struct hk_fault *fault);
int hk_argmax_run(const void *cmd, void *const ptr[], struct hk_run *r);

#endif /* HEARTH_KERNELS_FLOAT_H */
