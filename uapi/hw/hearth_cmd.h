/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * Hearth device contract: the command stream.
 *
 * A stream is a sequence of commands, executed in order, each one after the
 * effects of all before it. Each starts with &struct hearth_cmd_header, is a
 * multiple of 8 bytes long and 8-byte aligned. Fields named reserved must be
 * zero. Addresses are device addresses; an address field that says "or 0" is
 * optional. Operands are aligned to their element (block types: to 2 bytes)
 * and, where an operand is written, it must not overlap another one unless
 * the command says so. Tensors are dense, the last dimension contiguous.
 *
 * What each command computes, bit for bit, is in Documentation/arithmetic.rst.
 * A value that changes from run to run (token ids, positions) is data in
 * memory, so that a stream is built once and submitted as often as needed.
 *
 * The driver never reads a stream; the device checks every field.
 */
#ifndef _HEARTH_CMD_H_
#define _HEARTH_CMD_H_

#include <linux/types.h>

/* Each dimension, and each product of dimensions that counts elements. */
#define HEARTH_CMD_MAX_DIM		(1u << 24)
#define HEARTH_CMD_MAX_ELEMENTS		(1ull << 36)
#define HEARTH_CMD_MAX_BYTES		256

/* A KV cache in pages: positions of a page at least, pages at most. */
#define HEARTH_KV_MIN_PAGE		16
#define HEARTH_KV_MAX_PAGES		64

/*
 * enum hearth_type - data types; numbers are bits in HEARTH_REG_TYPES
 */
enum hearth_type {
	HEARTH_TYPE_F32 = 0,
	HEARTH_TYPE_F16 = 1,
	HEARTH_TYPE_BF16 = 2,
	HEARTH_TYPE_I8 = 3,
	HEARTH_TYPE_U8 = 4,
	HEARTH_TYPE_I16 = 5,
	HEARTH_TYPE_I32 = 6,
	/* ggml's block formats, by their names there */
	HEARTH_TYPE_Q4_0 = 16,
	HEARTH_TYPE_Q4_1 = 17,
	HEARTH_TYPE_Q5_0 = 18,
	HEARTH_TYPE_Q5_1 = 19,
	HEARTH_TYPE_Q8_0 = 20,
	HEARTH_TYPE_Q2_K = 21,
	HEARTH_TYPE_Q3_K = 22,
	HEARTH_TYPE_Q4_K = 23,
	HEARTH_TYPE_Q5_K = 24,
	HEARTH_TYPE_Q6_K = 25,
	HEARTH_TYPE_IQ4_NL = 26,
	HEARTH_TYPE_IQ4_XS = 27,
	HEARTH_TYPE_MXFP4 = 28,
	/*
	 * Contract 1.3: the same blocks, eight rows side by side. Such a tensor has
	 * a multiple of eight rows and as many bytes as one of the type without R8;
	 * MATMUL and GET_ROWS read it. The layout is in Documentation/arithmetic.rst.
	 */
	HEARTH_TYPE_Q4_0_R8 = 32,
	HEARTH_TYPE_Q8_0_R8 = 33,
	HEARTH_TYPE_Q4_K_R8 = 34,
	HEARTH_TYPE_Q5_K_R8 = 35,
	HEARTH_TYPE_Q6_K_R8 = 36,
	HEARTH_TYPE_COUNT = 64,
};

/*
 * enum hearth_opcode - commands; numbers are bits in HEARTH_REG_OPS
 */
enum hearth_opcode {
	HEARTH_OP_NOP = 0,
	HEARTH_OP_COPY_2D = 1,
	HEARTH_OP_PAD = 2,

	/* 8-bit integer networks */
	HEARTH_OP_CONV_2D = 8,
	HEARTH_OP_DEPTHWISE_CONV_2D = 9,
	HEARTH_OP_FULLY_CONNECTED = 10,
	HEARTH_OP_AVERAGE_POOL_2D = 11,
	HEARTH_OP_MAX_POOL_2D = 12,
	HEARTH_OP_ADD_Q = 13,
	HEARTH_OP_MUL_Q = 14,
	HEARTH_OP_SOFTMAX_Q = 15,
	HEARTH_OP_LUT8 = 16,
	HEARTH_OP_QUANTIZE = 17,
	HEARTH_OP_DEQUANTIZE = 18,
	HEARTH_OP_MEAN_Q = 19,

	/* transformers */
	HEARTH_OP_GET_ROWS = 32,
	HEARTH_OP_MATMUL = 33,
	HEARTH_OP_RMS_NORM = 34,
	HEARTH_OP_ROPE = 35,
	HEARTH_OP_KV_WRITE = 36,
	HEARTH_OP_ATTENTION = 37,
	HEARTH_OP_ADD = 38,
	HEARTH_OP_MUL = 39,
	HEARTH_OP_GLU = 40,
	HEARTH_OP_ARGMAX = 41,
	/* contract 1.1 */
	HEARTH_OP_SOFTCAP = 42,
	HEARTH_OP_GEGLU = 43,
	HEARTH_OP_ATTENTION_2 = 44,
	HEARTH_OP_KV_WRITE_Q = 45,
	HEARTH_OP_KV_SHIFT = 46,
	/* contract 1.2 */
	HEARTH_OP_KV_WRITE_PAGED = 47,
	HEARTH_OP_ATTENTION_PAGED = 48,
	HEARTH_OP_KV_SHIFT_PAGED = 49,

	HEARTH_OP_COUNT = 64,
};

/**
 * struct hearth_cmd_header - start of every command
 */
struct hearth_cmd_header {
	/** @op: One of &enum hearth_opcode. */
	__le16 op;

	/** @reserved: Must be zero. */
	__le16 reserved;

	/** @bytes: Size of the command, this header included. */
	__le32 bytes;
};

/* HEARTH_OP_NOP is the bare header. */

/*
 * struct hearth_cmd_copy_2d - copy @rows rows of @row_bytes each
 */
struct hearth_cmd_copy_2d {
	struct hearth_cmd_header hdr;
	/** @src: First source row. */
	__le64 src;
	/** @dst: First destination row. */
	__le64 dst;
	/** @src_stride: Bytes between source rows, at least @row_bytes. */
	__le64 src_stride;
	/** @dst_stride: Bytes between destination rows, at least @row_bytes. */
	__le64 dst_stride;
	/** @row_bytes: Bytes of a row, not zero. */
	__le32 row_bytes;
	/** @rows: Number of rows, not zero. */
	__le32 rows;
};

/*
 * struct hearth_cmd_pad - put an 8-bit NHWC tensor into a larger one
 */
struct hearth_cmd_pad {
	struct hearth_cmd_header hdr;
	/** @src: Source, @dims elements of one byte. */
	__le64 src;
	/** @dst: Destination, before + dims + after elements. */
	__le64 dst;
	/** @dims: Source dimensions, outermost first. */
	__le32 dims[4];
	/** @before: Padding before, per dimension. */
	__le32 before[4];
	/** @after: Padding after, per dimension. */
	__le32 after[4];
	/** @value: Byte to pad with (low 8 bits; the rest must be zero). */
	__le32 value;
	__le32 reserved;
};

/**
 * struct hearth_requant - int32 sum to 8 bits, for one output channel
 *
 * TFLite's MultiplyByQuantizedMultiplier: x * multiplier * 2^(shift - 31).
 */
struct hearth_requant {
	/** @multiplier: Q31, 0 to 2^31 - 1. */
	__le32 multiplier;
	/** @shift: Exponent, -31 to 30. */
	__le32 shift;
};

/*
 * struct hearth_cmd_conv_2d - CONV_2D and DEPTHWISE_CONV_2D, NHWC, 8 bits
 *
 * Output (y, x) reads input (y * stride_h - pad_top + ky * dilation_h, ...);
 * what lies outside of the input contributes nothing. CONV_2D weights are
 * [out_c][k_h][k_w][in_c / groups], DEPTHWISE_CONV_2D weights are
 * [k_h][k_w][out_c] with @groups = in_c and out_c a multiple of in_c.
 */
struct hearth_cmd_conv_2d {
	struct hearth_cmd_header hdr;
	/** @src: Input [batch][in_h][in_w][in_c]. */
	__le64 src;
	/** @weights: Weights. */
	__le64 weights;
	/** @bias: Bias i32[out_c], or 0. */
	__le64 bias;
	/** @requant: &struct hearth_requant [out_c]. */
	__le64 requant;
	/** @dst: Output [batch][out_h][out_w][out_c]. */
	__le64 dst;
	/** @batch: Dimensions of input, output and filter, none zero. */
	__le32 batch, in_h, in_w, in_c;
	__le32 out_h, out_w, out_c;
	__le32 k_h, k_w;
	__le32 stride_h, stride_w;
	__le32 dilation_h, dilation_w;
	/** @pad_top: Padding before the first row and column. */
	__le32 pad_top, pad_left;
	/** @groups: Divides in_c and out_c. */
	__le32 groups;
	/** @src_zero: Zero points (s32) of input, weights and output. */
	__le32 src_zero, weights_zero, dst_zero;
	/** @act_min: Clamp of the output (s32), within the output's type. */
	__le32 act_min, act_max;
	/** @src_type: HEARTH_TYPE_I8 or HEARTH_TYPE_U8, each. */
	__u8 src_type, weights_type, dst_type;
	__u8 reserved;
};

/*
 * struct hearth_cmd_fully_connected - dst[r][o] = requant(sum(src[r] * w[o]))
 */
struct hearth_cmd_fully_connected {
	struct hearth_cmd_header hdr;
	/** @src: Input [rows][in_n]. */
	__le64 src;
	/** @weights: Weights [out_n][in_n]. */
	__le64 weights;
	/** @bias: Bias i32[out_n], or 0. */
	__le64 bias;
	/** @requant: &struct hearth_requant [out_n]. */
	__le64 requant;
	/** @dst: Output [rows][out_n]. */
	__le64 dst;
	/** @rows: Dimensions, none zero. */
	__le32 rows, in_n, out_n;
	/** @src_zero: Zero points (s32). */
	__le32 src_zero, weights_zero, dst_zero;
	/** @act_min: Clamp of the output (s32). */
	__le32 act_min, act_max;
	/** @src_type: HEARTH_TYPE_I8 or HEARTH_TYPE_U8, each. */
	__u8 src_type, weights_type, dst_type;
	__u8 reserved[5];
};

/*
 * struct hearth_cmd_pool_2d - AVERAGE_POOL_2D and MAX_POOL_2D, NHWC, 8 bits
 */
struct hearth_cmd_pool_2d {
	struct hearth_cmd_header hdr;
	/** @src: Input [batch][in_h][in_w][channels]. */
	__le64 src;
	/** @dst: Output [batch][out_h][out_w][channels]. */
	__le64 dst;
	/** @batch: Dimensions, none zero. */
	__le32 batch, in_h, in_w, channels;
	__le32 out_h, out_w;
	__le32 k_h, k_w;
	__le32 stride_h, stride_w;
	__le32 pad_top, pad_left;
	/** @act_min: Clamp of the output (s32). */
	__le32 act_min, act_max;
	/** @type: HEARTH_TYPE_I8 or HEARTH_TYPE_U8, of input and output. */
	__u8 type;
	__u8 reserved[7];
};

/*
 * struct hearth_cmd_binary_q - ADD_Q and MUL_Q, 8 bits
 *
 * Element i of the output takes element i of @a and element i % @b_n of @b.
 * @dst may be @a or, if b_n == n, @b.
 */
struct hearth_cmd_binary_q {
	struct hearth_cmd_header hdr;
	/** @a: First input, @n elements. */
	__le64 a;
	/** @b: Second input, @b_n elements. */
	__le64 b;
	/** @dst: Output, @n elements. */
	__le64 dst;
	/** @n: Elements, and elements of @b; b_n divides n. */
	__le32 n, b_n;
	/** @a_zero: Zero points (s32). */
	__le32 a_zero, b_zero, dst_zero;
	/** @left_shift: ADD_Q: shift of both inputs before scaling, 0 to 20. */
	__le32 left_shift;
	/** @a_scale: ADD_Q: scale of each input; MUL_Q: zero. */
	struct hearth_requant a_scale, b_scale;
	/** @dst_scale: Scale of the result. */
	struct hearth_requant dst_scale;
	/** @act_min: Clamp of the output (s32). */
	__le32 act_min, act_max;
	/** @a_type: HEARTH_TYPE_I8 or HEARTH_TYPE_U8, each. */
	__u8 a_type, b_type, dst_type;
	__u8 reserved[5];
};

/*
 * struct hearth_cmd_softmax_q - softmax over the last dimension, 8 bits
 *
 * With d the difference between the largest element of a row and an element,
 * the output is @table[255 - d] / (sum of the row * @dst_scale) + @dst_zero.
 */
struct hearth_cmd_softmax_q {
	struct hearth_cmd_header hdr;
	/** @src: Input [rows][n]. */
	__le64 src;
	/** @table: f32[256]; entry 255 - d is exp(-d * input scale * beta). */
	__le64 table;
	/** @dst: Output [rows][n]; may be @src. */
	__le64 dst;
	/** @rows: Dimensions, none zero. */
	__le32 rows, n;
	/** @dst_scale: Scale of the output (f32), positive and finite. */
	__le32 dst_scale;
	/** @dst_zero: Zero point of the output (s32). */
	__le32 dst_zero;
	/** @src_type: HEARTH_TYPE_I8 or HEARTH_TYPE_U8, each. */
	__u8 src_type, dst_type;
	__u8 reserved[6];
};

/*
 * struct hearth_cmd_lut8 - dst[i] = table[src[i]], the byte as unsigned index
 */
struct hearth_cmd_lut8 {
	struct hearth_cmd_header hdr;
	/** @src: Input, @n bytes. */
	__le64 src;
	/** @table: 256 bytes. */
	__le64 table;
	/** @dst: Output, @n bytes; may be @src. */
	__le64 dst;
	/** @n: Elements, not zero. */
	__le32 n;
	__le32 reserved;
};

/*
 * struct hearth_cmd_quantize - QUANTIZE (f32 to 8 bits) and DEQUANTIZE
 */
struct hearth_cmd_quantize {
	struct hearth_cmd_header hdr;
	/** @src: Input, @n elements. */
	__le64 src;
	/** @dst: Output, @n elements. */
	__le64 dst;
	/** @n: Elements, not zero. */
	__le32 n;
	/** @scale: Scale (f32), positive and finite. */
	__le32 scale;
	/** @zero: Zero point (s32). */
	__le32 zero;
	/** @type: HEARTH_TYPE_I8 or HEARTH_TYPE_U8, of the 8-bit side. */
	__u8 type;
	__u8 reserved[3];
};

/*
 * struct hearth_cmd_mean_q - mean over the middle dimension, 8 bits
 *
 * Sums [outer][n][inner] over n, then requantizes as TFLite's MEAN does.
 */
struct hearth_cmd_mean_q {
	struct hearth_cmd_header hdr;
	/** @src: Input [outer][n][inner]. */
	__le64 src;
	/** @dst: Output [outer][inner]. */
	__le64 dst;
	/** @outer: Dimensions, none zero. */
	__le32 outer, n, inner;
	/** @src_zero: Zero points (s32). */
	__le32 src_zero, dst_zero;
	/** @scale: Scale of the sum. */
	struct hearth_requant scale;
	/** @type: HEARTH_TYPE_I8 or HEARTH_TYPE_U8, of input and output. */
	__u8 type;
	__u8 reserved[3];
};

/*
 * struct hearth_cmd_get_rows - dst[i] = table[ids[i]], decoded to f32
 */
struct hearth_cmd_get_rows {
	struct hearth_cmd_header hdr;
	/**
	 * @table: Table of @rows rows of @cols elements of @type. What is read are the
	 * rows that @ids name; of a type in rows of eight their groups, eight rows
	 * each, from row @ids[i] rounded down to a multiple of eight on.
	 */
	__le64 table;
	/** @ids: Row numbers, i32[n]; one outside of the table is a fault. */
	__le64 ids;
	/** @dst: Output, f32 [n][cols]. */
	__le64 dst;
	/**
	 * @rows: Dimensions, none zero; @cols a multiple of @type's block, @rows a
	 * multiple of eight if @type is in rows of eight.
	 */
	__le32 rows, cols, n;
	/** @type: F32, F16, BF16 or a block type. */
	__u8 type;
	__u8 reserved[3];
};

/*
 * struct hearth_cmd_matmul - dst[i][o] = sum over k of src[i][k] * w[o][k]
 */
struct hearth_cmd_matmul {
	struct hearth_cmd_header hdr;
	/** @weights: Weights [out_n][in_n] of @type. */
	__le64 weights;
	/** @src: Input, f32 [rows][in_n]. */
	__le64 src;
	/** @dst: Output, f32 [rows][out_n]. */
	__le64 dst;
	/**
	 * @rows: Dimensions, none zero; @in_n a multiple of @type's block, @out_n a
	 * multiple of eight if @type is in rows of eight.
	 */
	__le32 rows, in_n, out_n;
	/** @type: F32, F16, BF16 or a block type. */
	__u8 type;
	__u8 reserved[3];
};

/*
 * struct hearth_cmd_rms_norm - dst[i] = src[i] / rms(src[i]) * weights
 */
struct hearth_cmd_rms_norm {
	struct hearth_cmd_header hdr;
	/** @src: Input, f32 [rows][n]. */
	__le64 src;
	/** @weights: Gains, f32 [n]. */
	__le64 weights;
	/** @dst: Output, f32 [rows][n]; may be @src. */
	__le64 dst;
	/** @rows: Dimensions, none zero. */
	__le32 rows, n;
	/** @eps: Added to the mean of squares (f32), finite, not negative. */
	__le32 eps;
	__le32 reserved;
};

enum hearth_rope_mode {
	HEARTH_ROPE_PAIRS = 0,	/* rotates elements 2i and 2i + 1 (llama) */
	HEARTH_ROPE_HALVES = 1,	/* rotates elements i and i + n_rot / 2 (neox) */
};

/*
 * struct hearth_cmd_rope - rotary position embedding, in place
 */
struct hearth_cmd_rope {
	struct hearth_cmd_header hdr;
	/** @x: In and out, f32 [rows][heads][head_dim]. */
	__le64 x;
	/** @pos: Positions, i32[rows]; outside of 0..n_ctx - 1 is a fault. */
	__le64 pos;
	/** @table: Cosine and sine, f32 [n_ctx][n_rot / 2][2]. */
	__le64 table;
	/** @rows: Dimensions, none zero. */
	__le32 rows, heads, head_dim;
	/** @n_rot: Elements of a head that are rotated, even, <= head_dim. */
	__le32 n_rot;
	/** @n_ctx: Rows of @table. */
	__le32 n_ctx;
	/** @mode: One of &enum hearth_rope_mode. */
	__le32 mode;
};

/*
 * struct hearth_cmd_kv_write - cache[h][pos[i]] = src[i][h] for each head h
 *
 * KV_WRITE stores numbers, KV_WRITE_Q blocks of HEARTH_TYPE_Q8_0.
 */
struct hearth_cmd_kv_write {
	struct hearth_cmd_header hdr;
	/** @src: Keys or values, f32 [rows][kv_heads][head_dim]. */
	__le64 src;
	/** @pos: Positions, i32[rows]; outside of 0..n_ctx - 1 is a fault. */
	__le64 pos;
	/** @cache: Cache [kv_heads][n_ctx][head_dim] of @type. */
	__le64 cache;
	/** @rows: Dimensions, none zero. */
	__le32 rows, kv_heads, head_dim, n_ctx;
	/** @type: HEARTH_TYPE_F32 or HEARTH_TYPE_F16; KV_WRITE_Q: Q8_0. */
	__u8 type;
	__u8 reserved[7];
};

/*
 * struct hearth_cmd_kv_shift - entries move to lower positions in a cache
 *
 * For t from first to first + n - 1, ascending, and each head h:
 * cache[h][t] = cache[h][t + by], turned back by as many positions if there
 * is a @table.
 */
struct hearth_cmd_kv_shift {
	struct hearth_cmd_header hdr;
	/** @cache: Cache [kv_heads][n_ctx][head_dim] of @type, in and out. */
	__le64 cache;
	/** @shift: i32[3]: first, by, n; first + by + n above n_ctx is a fault. */
	__le64 shift;
	/** @table: As for ROPE, f32 [n_ctx][n_rot / 2][2], or 0. */
	__le64 table;
	/** @kv_heads: Dimensions, none zero. */
	__le32 kv_heads, head_dim, n_ctx;
	/** @n_rot: As for ROPE; 0 without a @table. */
	__le32 n_rot;
	/** @mode: One of &enum hearth_rope_mode; 0 without a @table. */
	__le32 mode;
	/** @type: HEARTH_TYPE_F32, HEARTH_TYPE_F16 or HEARTH_TYPE_Q8_0. */
	__u8 type;
	__u8 reserved[3];
};

/*
 * struct hearth_cmd_attention - causal attention over a KV cache
 *
 * Row i, head h attends with keys and values of head h / (heads / kv_heads)
 * at positions 0 to pos[i].
 */
struct hearth_cmd_attention {
	struct hearth_cmd_header hdr;
	/** @q: Queries, f32 [rows][heads][head_dim]. */
	__le64 q;
	/** @k: Key cache [kv_heads][n_ctx][head_dim] of @type. */
	__le64 k;
	/** @v: Value cache, as @k. */
	__le64 v;
	/** @pos: Positions, i32[rows]; outside of 0..n_ctx - 1 is a fault. */
	__le64 pos;
	/** @dst: Output, f32 [rows][heads][head_dim]; may be @q. */
	__le64 dst;
	/** @rows: Dimensions, none zero; kv_heads divides heads. */
	__le32 rows, heads, kv_heads, head_dim, n_ctx;
	/** @scale: Multiplies the scores (f32), finite. */
	__le32 scale;
	/** @type: HEARTH_TYPE_F32 or HEARTH_TYPE_F16, of the caches. */
	__u8 type;
	__u8 reserved[7];
};

/*
 * struct hearth_cmd_attention_2 - attention with a window and capped scores
 */
struct hearth_cmd_attention_2 {
	/** @base: As ATTENTION; its type may be HEARTH_TYPE_Q8_0 too. */
	struct hearth_cmd_attention base;
	/** @window: Row i attends to this many positions up to pos[i]; 0: to all. */
	__le32 window;
	/** @softcap: Scores s become c * tanh(s / c) (f32), finite; 0: they stay. */
	__le32 softcap;
};

/*
 * struct hearth_cmd_kv_pages - how a cache lies that is made page by page
 *
 * Position t of head h is row h * positions + t % positions of page
 * t / positions. Between the pages is what belongs to others, such as the caches
 * of other layers: so one range of memory for all of them grows at its end.
 */
struct hearth_cmd_kv_pages {
	/**
	 * @positions: In a page: a power of two, at least HEARTH_KV_MIN_PAGE;
	 * n_ctx has at most HEARTH_KV_MAX_PAGES pages, the last one is whole.
	 */
	__le32 positions;
	__le32 reserved;
	/** @stride: Bytes from a page to the next: at least a page's, a multiple of 4. */
	__le64 stride;
};

/*
 * struct hearth_cmd_kv_write_paged - KV_WRITE and KV_WRITE_Q, of any of their types
 */
struct hearth_cmd_kv_write_paged {
	struct hearth_cmd_kv_write base;
	struct hearth_cmd_kv_pages pages;
};

/*
 * struct hearth_cmd_attention_paged - ATTENTION_2; both caches lie alike
 */
struct hearth_cmd_attention_paged {
	struct hearth_cmd_attention_2 base;
	struct hearth_cmd_kv_pages pages;
};

/*
 * struct hearth_cmd_kv_shift_paged - KV_SHIFT
 */
struct hearth_cmd_kv_shift_paged {
	struct hearth_cmd_kv_shift base;
	struct hearth_cmd_kv_pages pages;
};

/*
 * struct hearth_cmd_binary - ADD and MUL, f32
 *
 * Element i of the output takes element i of @a and element i % @b_n of @b.
 * @dst may be @a or, if b_n == n, @b.
 */
struct hearth_cmd_binary {
	struct hearth_cmd_header hdr;
	/** @a: First input, f32 [n]. */
	__le64 a;
	/** @b: Second input, f32 [b_n]. */
	__le64 b;
	/** @dst: Output, f32 [n]. */
	__le64 dst;
	/** @n: Elements, and elements of @b; b_n divides n. */
	__le32 n, b_n;
};

enum hearth_glu_mode {
	HEARTH_GLU_SILU = 0,	/* silu(gate) * up */
	HEARTH_GLU_GELU = 1,	/* gelu(gate) * up, by tanh */
};

/*
 * struct hearth_cmd_glu - dst[i] = act(gate[i]) * up[i], f32
 *
 * GLU has the mode SILU, GEGLU has GELU: a device may lack either.
 */
struct hearth_cmd_glu {
	struct hearth_cmd_header hdr;
	/** @gate: Gates, f32 [n]. */
	__le64 gate;
	/** @up: Values, f32 [n]. */
	__le64 up;
	/** @dst: Output, f32 [n]; may be @gate or @up. */
	__le64 dst;
	/** @n: Elements, not zero. */
	__le32 n;
	/** @mode: One of &enum hearth_glu_mode. */
	__le32 mode;
};

/*
 * struct hearth_cmd_softcap - dst[i] = cap * tanh(src[i] / cap), f32
 */
struct hearth_cmd_softcap {
	struct hearth_cmd_header hdr;
	/** @src: Input, f32 [n]. */
	__le64 src;
	/** @dst: Output, f32 [n]; may be @src. */
	__le64 dst;
	/** @n: Elements, not zero. */
	__le32 n;
	/** @cap: f32, positive and finite. */
	__le32 cap;
};

/*
 * struct hearth_cmd_argmax - index of the first largest element of each row
 *
 * NaN is smaller than every number.
 */
struct hearth_cmd_argmax {
	struct hearth_cmd_header hdr;
	/** @src: Input, f32 [rows][n]. */
	__le64 src;
	/** @dst: Output, i32 [rows]. */
	__le64 dst;
	/** @rows: Dimensions, none zero. */
	__le32 rows, n;
};

#endif /* _HEARTH_CMD_H_ */
