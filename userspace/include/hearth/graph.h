/* SPDX-License-Identifier: MIT */
/*
 * The graph layer: define or import a graph, compile, bind, run, explain.
 * hearth.h has the conventions.
 */
#ifndef HEARTH_GRAPH_H
#define HEARTH_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hearth/model.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hearth_graph;
struct hearth_program;

/** hearth_tensor - index of a tensor in its graph; HEARTH_NO_TENSOR if none */
typedef int32_t hearth_tensor;
#define HEARTH_NO_TENSOR	(-1)
#define HEARTH_MAX_DIMS		4

enum hearth_tensor_role {
	/** Computed by an op; memory planned by the compiler. */
	HEARTH_TENSOR_ACTIVATION = 0,
	/** Written by the caller before a run. */
	HEARTH_TENSOR_INPUT,
	/** Read by the caller after a run. */
	HEARTH_TENSOR_OUTPUT,
	/** Constant in the caller's memory, copied by the compiler. */
	HEARTH_TENSOR_CONSTANT,
	/** Constant in the graph's weights file, used in place. */
	HEARTH_TENSOR_WEIGHTS,
	/** Kept from run to run (a KV cache); zero at first. */
	HEARTH_TENSOR_STATE,
};

struct hearth_tensor_opts {
	size_t sz;
	/** name: Copied; for messages and explain. */
	const char *name;
	/** type: enum hearth_type of uapi/hw/hearth_cmd.h. */
	unsigned int type;
	enum hearth_tensor_role role;
	/** dims: Outermost first, innermost contiguous; n_dims of them. */
	unsigned int n_dims;
	uint32_t dims[HEARTH_MAX_DIMS];
	/**
	 * n_scales: 8-bit and i32 tensors: 0, 1 (per tensor) or the size of
	 * dimension @channel_dim. real = scale * (value - zero_point).
	 */
	unsigned int n_scales;
	/** scales: Copied. */
	const float *scales;
	int32_t zero_point;
	unsigned int channel_dim;
	/** data: CONSTANT: the bytes. Copied when the graph is compiled. */
	const void *data;
	/** offset: WEIGHTS: where in the weights file. */
	uint64_t offset;
	size_t :0;
};

HEARTH_API int hearth_graph_create(struct hearth_graph **graph);
HEARTH_API void hearth_graph_destroy(struct hearth_graph *graph);

/**
 * hearth_graph_set_weights() - the file of all HEARTH_TENSOR_WEIGHTS
 * @file_fd: Borrowed; duplicated.
 */
HEARTH_API int hearth_graph_set_weights(struct hearth_graph *graph, int file_fd);

/**
 * hearth_graph_add_tensor() - add a tensor
 *
 * Returns its index (0, 1, ...) or a negative errno.
 */
HEARTH_API hearth_tensor
hearth_graph_add_tensor(struct hearth_graph *graph,
			const struct hearth_tensor_opts *opts);

/** enum hearth_op - what can be added to a graph; inputs in brackets */
enum hearth_op {
	/** 8 bits, NHWC [src, weights OHWI, bias or none] */
	HEARTH_CONV_2D = 1,
	/** 8 bits, NHWC [src, weights 1HWC, bias or none] */
	HEARTH_DEPTHWISE_CONV_2D,
	/** 8 bits [src, weights (out, in), bias or none] */
	HEARTH_FULLY_CONNECTED,
	/** 8 bits, NHWC [src] */
	HEARTH_AVERAGE_POOL_2D,
	HEARTH_MAX_POOL_2D,
	/** 8 bits or f32 [a, b]; b may repeat along the outer dimensions */
	HEARTH_ADD,
	HEARTH_MUL,
	/** 8 bits, last dimension [src] */
	HEARTH_SOFTMAX,
	/** any type, same bytes [src] */
	HEARTH_RESHAPE,
	/** 8 bits [src] */
	HEARTH_PAD,
	/** any type, along opts.axis [src ...] */
	HEARTH_CONCAT,
	/** 8 bits, mean over the dimensions in opts.axes [src] */
	HEARTH_MEAN,
	/** f32 to 8 bits, 8 bits to f32, 8 bits to 8 bits [src] */
	HEARTH_QUANTIZE,
	/** 8 bits, by table [src] */
	HEARTH_RELU,
	HEARTH_RELU6,
	HEARTH_LOGISTIC,
	HEARTH_TANH,
	HEARTH_LEAKY_RELU,
	HEARTH_HARD_SWISH,

	/** [table (rows, cols), ids i32] -> f32 (n, cols) */
	HEARTH_GET_ROWS = 64,
	/** [src f32 (rows, in), weights (out, in)] -> f32 (rows, out) */
	HEARTH_MATMUL,
	/** [src f32 (rows, n), gains f32 (n)] */
	HEARTH_RMS_NORM,
	/**
	 * [x f32 (rows, heads, head_dim), table f32 (n, dims), pos i32 (rows) or
	 * none]; row i is turned by row pos[i] of the table, or by row i: cosine
	 * and sine of each pair, as hearth_rope_rows() gives them. The first dims
	 * elements of a head are turned; opts.rope_halves
	 */
	HEARTH_ROPE,
	/**
	 * [src f32 (rows, kv_heads, head_dim), pos i32 (rows)] -> state of
	 * f32, f16 or q8_0 (kv_heads, ctx, head_dim)
	 */
	HEARTH_KV_WRITE,
	/**
	 * [q (rows, heads, head_dim), k state, v state, pos i32 (rows)];
	 * opts.scale, opts.window, opts.softcap
	 */
	HEARTH_ATTENTION,
	/** [gate f32, up f32]; silu(gate) * up */
	HEARTH_SWIGLU,
	/** [src f32 (rows, n)] -> i32 (rows) */
	HEARTH_ARGMAX,
	/** [gate f32, up f32]; gelu(gate) * up, by tanh */
	HEARTH_GEGLU,
	/** [src f32]; opts.softcap * tanh(src / opts.softcap) */
	HEARTH_SOFTCAP,
	/**
	 * [shift i32 (3): first, by, n; none or a table as for ROPE, f32 (ctx, dims)]
	 * -> state (kv_heads, ctx, head_dim). Entries first + by to
	 * first + by + n - 1 move down by as many positions, turned back by row by
	 * of the table, the only one that is read; opts.rope_halves
	 */
	HEARTH_KV_SHIFT,
};

enum hearth_padding {
	HEARTH_PADDING_VALID = 0,
	HEARTH_PADDING_SAME,
};

enum hearth_activation {
	HEARTH_ACT_NONE = 0,
	HEARTH_ACT_RELU,
	HEARTH_ACT_RELU6,
	HEARTH_ACT_RELU_N1_TO_1,
};

struct hearth_op_opts {
	size_t sz;
	/** name: Copied; for messages and explain. */
	const char *name;
	/* convolutions and pools */
	enum hearth_padding padding;
	enum hearth_activation activation;
	uint32_t stride_h, stride_w, dilation_h, dilation_w;
	uint32_t filter_h, filter_w;
	/* PAD: elements before and after, per dimension */
	uint32_t pad_before[HEARTH_MAX_DIMS], pad_after[HEARTH_MAX_DIMS];
	/* CONCAT */
	uint32_t axis;
	/* MEAN: bit n: dimension n is reduced */
	uint32_t axes;
	/* SOFTMAX */
	float beta;
	/* LEAKY_RELU */
	float alpha;
	/* RMS_NORM */
	float eps;
	/* ATTENTION: 0 = 1 / sqrt(head_dim) */
	float scale;
	/* ROPE: pairs are elements i and i + dims / 2, not 2i and 2i + 1 */
	uint32_t rope_halves;
	/* ATTENTION: positions that a row attends to, its own included; 0 = all */
	uint32_t window;
	/* SOFTCAP; ATTENTION: of the scores, 0 = none */
	float softcap;
	size_t :0;
};

/**
 * hearth_graph_add_op() - add an op; ops run in the order of their addition
 * @inputs: Tensors, HEARTH_NO_TENSOR for an optional one that is not there.
 * @output: ACTIVATION, OUTPUT or STATE; each is written by one op only.
 *
 * Shapes, types and quantization are checked here; the message names the op,
 * the tensor and the numbers.
 */
HEARTH_API int hearth_graph_add_op(struct hearth_graph *graph, enum hearth_op op,
				   const hearth_tensor *inputs,
				   unsigned int n_inputs, hearth_tensor output,
				   const struct hearth_op_opts *opts);

/** struct hearth_rope - the angles of a model's ROPE */
struct hearth_rope;

struct hearth_rope_opts {
	size_t sz;
	/** n_ctx: Positions that there are. */
	uint32_t n_ctx;
	/** dims: Elements of a head that are turned, even. */
	uint32_t dims;
	/** base: Pair i turns by base^(-2 i / dims) per position; at least 1. */
	float base;
	/** freq_scale: Multiplies positions; 0 = 1. */
	float freq_scale;
	/** magnitude: Multiplies what is turned; 0 = 1. */
	float magnitude;
	/** factors: Divisors of the turns, one for each pair, or NULL; read once. */
	const float *factors;
	size_t :0;
};

/**
 * hearth_rope_create() - prepare to compute the table of HEARTH_ROPE
 *
 * The same bits on any host. Errors: -EINVAL a number that cannot be, or an angle
 * above 2^24; the message has them.
 */
HEARTH_API int hearth_rope_create(const struct hearth_rope_opts *opts, struct hearth_rope **rope);
HEARTH_API void hearth_rope_destroy(struct hearth_rope *rope);

/**
 * hearth_rope_rows() - cosines and sines of @n positions from @first on
 * @rows: f32 (n, dims): for the input of a run that turns as many positions, or for
 *	a constant with all of them.
 *
 * Allocates nothing. Errors: -EINVAL beyond n_ctx.
 */
HEARTH_API int hearth_rope_rows(const struct hearth_rope *rope, uint32_t first, uint32_t n,
				float *rows);

/**
 * hearth_graph_load_tflite() - a graph from a TFLite file
 *
 * Errors: -EINVAL broken file (the message names the field), -EOPNOTSUPP an
 * op or type that Hearth lacks (the message names it).
 */
HEARTH_API int hearth_graph_load_tflite(const char *path,
					struct hearth_graph **graph);

HEARTH_API unsigned int hearth_graph_n_inputs(const struct hearth_graph *graph);
HEARTH_API unsigned int hearth_graph_n_outputs(const struct hearth_graph *graph);
/** hearth_graph_input() - i-th INPUT in order of addition, or -ENOENT */
HEARTH_API hearth_tensor hearth_graph_input(const struct hearth_graph *graph,
					    unsigned int i);
HEARTH_API hearth_tensor hearth_graph_output(const struct hearth_graph *graph,
					     unsigned int i);
/** hearth_graph_get_tensor() - description; pointers live as long as graph */
HEARTH_API int hearth_graph_get_tensor(const struct hearth_graph *graph,
				       hearth_tensor tensor,
				       struct hearth_tensor_opts *opts);

struct hearth_compile_opts {
	size_t sz;
	/** priority: Of the queue that the program runs on. */
	enum hearth_priority priority;
	/**
	 * share: Another program of the same device and weights file: its
	 * weights buffer and, tensor for tensor by name, its states are used.
	 */
	struct hearth_program *share;
	/**
	 * model: How the weights file and the states are kept; NULL = normal, for
	 * five minutes. Without meaning if @share is given.
	 */
	const struct hearth_model_opts *model;
	/**
	 * state_page: Positions by which the KV caches can grow: a power of two
	 * from 16 on, so that a cache has at most 64 pages. They have one at
	 * first. 0: they are whole. Without meaning if @share is given, and on a
	 * device that lacks the ops for it; struct hearth_program_info tells.
	 */
	uint32_t state_page;
	size_t :0;
};

/**
 * hearth_compile() - make a program
 *
 * Plans the memory, allocates it, emits the command stream. The graph may be
 * destroyed afterwards. A run allocates nothing. The device and @share must
 * outlive the program.
 */
HEARTH_API int hearth_compile(struct hearth_graph *graph,
			      struct hearth_device *dev,
			      const struct hearth_compile_opts *opts,
			      struct hearth_program **program);
HEARTH_API void hearth_program_destroy(struct hearth_program *program);

/**
 * hearth_program_data() - memory of an INPUT, OUTPUT or STATE tensor
 * @bytes: Returned size, or NULL.
 *
 * Returns the tensor's memory, valid as long as the program, or NULL: also for a
 * STATE in pages, which is not in one piece. Write inputs before and read outputs
 * after a run.
 */
HEARTH_API void *hearth_program_data(struct hearth_program *program,
				     hearth_tensor tensor, uint64_t *bytes);

/**
 * hearth_program_model() - weights and states as a model; borrowed
 *
 * That of @share if it was compiled with one.
 */
HEARTH_API struct hearth_model *hearth_program_model(struct hearth_program *program);

/**
 * hearth_program_resize_state() - have memory for some positions of the KV caches
 * @positions: From the first on, rounded up to pages; at least one page stays.
 *
 * For programs with caches in pages, and for all that share them; where they are
 * whole it does nothing. What was there stays where it is, what is cut off is gone.
 * A run that goes beyond fails with -EFAULT. Not while a run is under way.
 *
 * Errors: -EINVAL more positions than the caches were made for, and those of
 * hearth_buffer_resize(). Nothing has changed then.
 */
HEARTH_API int hearth_program_resize_state(struct hearth_program *program,
					   uint32_t positions);

/** hearth_program_run() - run once and wait; errors as hearth_queue_wait() */
HEARTH_API int hearth_program_run(struct hearth_program *program);

struct hearth_program_info {
	size_t sz;
	/** weights_bytes: Bytes of weights, in the file. */
	uint64_t weights_bytes;
	/** activation_bytes: Peak of what is live at one time; as allocated. */
	uint64_t activation_bytes;
	/** state_bytes: STATE tensors, at their largest. */
	uint64_t state_bytes;
	/** constant_bytes: What the compiler added: tables, scales. */
	uint64_t constant_bytes;
	/** stream_bytes: Command stream. */
	uint64_t stream_bytes;
	/** n_ops: Commands; n_device_ops of them run on the device. */
	unsigned int n_ops, n_device_ops;
	/** n_segments: Runs of commands on one engine; submits per run on an NPU. */
	unsigned int n_segments, n_device_segments;
	/** weights_shared: The weights are the file's pages, not a copy. */
	bool weights_shared;
	/** state_page: Positions of a page of the KV caches; 0: they are whole. */
	uint32_t state_page;
	/** state_page_bytes: Of a page of all caches. */
	uint64_t state_page_bytes;
	size_t :0;
};

HEARTH_API int hearth_program_get_info(const struct hearth_program *program,
				       struct hearth_program_info *info);

/**
 * hearth_graph_measure() - what a program of @graph would take
 * @info: All but the segments; activation, constant and stream bytes make up
 *	the scratch_bytes of a struct hearth_demand.
 *
 * Allocates none of it. Errors as hearth_compile().
 */
HEARTH_API int hearth_graph_measure(struct hearth_graph *graph,
				    struct hearth_device *dev,
				    struct hearth_program_info *info);

/** struct hearth_op_report - one command, as explain tells it */
struct hearth_op_report {
	/** name: Of the op, as given or as in the file. */
	const char *name;
	/** op: "conv_2d", "matmul", ... */
	const char *op;
	/** engine: "npu" or "cpu". */
	const char *engine;
	/** reason: Why it is not on the NPU, or NULL. */
	const char *reason;
	/** macs: Multiply-accumulates. */
	uint64_t macs;
	/** bytes: Operand bytes, read and written. */
	uint64_t bytes;
};

/**
 * hearth_program_explain() - tell of each command where it runs, and why
 * @fn: Called in order; a return other than 0 ends it and is returned.
 */
HEARTH_API int hearth_program_explain(const struct hearth_program *program,
				      int (*fn)(const struct hearth_op_report *r,
						void *arg),
				      void *arg);

#ifdef __cplusplus
}
#endif

#endif /* HEARTH_GRAPH_H */
