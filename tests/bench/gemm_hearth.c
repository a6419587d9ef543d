// SPDX-License-Identifier: MIT
/* Our own: the MATMUL command on Q4_0 and Q8_0 blocks as they lie in a file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gemm.h"
#include "kernels/exec.h"
#include "kernels/pool.h"
#include "kernels/types.h"
#include "random_blocks.h"

/* A device address: the operand's number in its upper half, the offset in the lower. */
enum { WEIGHTS = 1, SRC, DST, OPERANDS };

#define VA(n)	((uint64_t)(n) << 32)

static uint8_t *operand[OPERANDS];

static int map(struct hk_space *space, struct hk_map *m, struct hk_fault *fault)
{
	m->ptr = operand[m->va >> 32] + (uint32_t)m->va;
	return 0;
}

static int unmap(struct hk_space *space, struct hk_map *m, struct hk_fault *fault)
{
	return 0;
}

static const struct hk_space_ops ops = { map, unmap };
static struct hk_space space = { .ops = &ops };
static struct hk_exec *exec;

struct state {
	struct hearth_cmd_matmul cmd;
	void *weights;
	struct gemm g;
};

static void open_engine(unsigned int threads)
{
	struct hk_pool *pool = hk_pool_create(threads);

	gemm_need(pool, "hk_pool_create");
	exec = hk_exec_create(hk_isa_best(), pool);
	gemm_need(exec, "hk_exec_create");
}

static void *prepare(const struct gemm *g)
{
	const enum gguf_type type = g->bits == 4 ? GGUF_TYPE_Q4_0 : GGUF_TYPE_Q8_0;
	const size_t blocks = (size_t)g->out * g->in / 32;
	struct state *s = calloc(1, sizeof(*s));
	struct random_blocks r;

	gemm_need(s && !posix_memalign(&s->weights, 4096, blocks * gguf_type_info(type)->block_bytes),
		  "memory");
	random_blocks_seed(&r, 1);
	random_blocks_fill(&r, type, s->weights, blocks);
	s->g = *g;
	s->cmd = (struct hearth_cmd_matmul){
		.hdr = { .op = HEARTH_OP_MATMUL, .bytes = sizeof(s->cmd) },
		.weights = VA(WEIGHTS), .src = VA(SRC), .dst = VA(DST),
		.rows = g->rows, .in_n = g->in, .out_n = g->out,
		.type = g->bits == 4 ? HEARTH_TYPE_Q4_0 : HEARTH_TYPE_Q8_0,
	};
	return s;
}

static void run(void *state)
{
	struct state *s = state;
	struct hk_fault fault;

	operand[WEIGHTS] = s->weights;
	operand[SRC] = (uint8_t *)s->g.src;
	operand[DST] = (uint8_t *)s->g.dst;
	if (hk_exec_one(exec, &space, &s->cmd.hdr, HEARTH_CMD_MAX_BYTES, &fault) < 0)
		gemm_need(false, fault.field ? fault.field : "MATMUL");
}

static void release(void *state)
{
	struct state *s = state;

	free(s->weights);
	free(s);
}

const struct gemm_engine gemm_engine = { open_engine, prepare, run, release };
