// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/err.h"
#include "formats/gguf.h"
#include "kernels/exec.h"
#include "llm/llm.h"
#include "llm/sample.h"
#include "llm/tokenizer.h"
#include "runtime/error.h"
#include "runtime/opts.h"

#define MAX_CTX_DEFAULT	4096

static int open_file(struct hearth_llm *llm, const char *path)
{
	struct hearth_err err;
	int ret = gguf_open(path, &llm->gguf, &err);

	if (!ret)
		ret = llm_hparams_read(llm->gguf, &llm->hp, &err);
	return ret ? hearth_seterr(ret, "%s: %s", path, err.msg) : 0;
}

static int open_tokenizer(struct hearth_llm *llm, const char *path)
{
	struct hearth_err err;
	int ret = tok_open(llm->gguf, &llm->tok, &err);

	if (ret)
		return hearth_seterr(ret, "%s: %s", path, err.msg);
	if ((uint32_t)tok_n_vocab(llm->tok) != llm->hp.n_vocab)
		return hearth_seterr(-EINVAL,
				     "%s: the tokenizer has %d tokens, tensor 'token_embd.weight' %u rows",
				     path, tok_n_vocab(llm->tok),
				     llm->hp.n_vocab);
	return 0;
}

static int pick_ctx(struct hearth_llm *llm, uint32_t wanted)
{
	if (wanted > llm->hp.n_ctx)
		return hearth_seterr(-EINVAL,
				     "context of %u tokens: the model was trained for %u",
				     wanted, llm->hp.n_ctx);
	llm->n_ctx = wanted ? wanted :
		     llm->hp.n_ctx < MAX_CTX_DEFAULT ? llm->hp.n_ctx :
						       MAX_CTX_DEFAULT;
	return 0;
}

/* The file and the options: all that can be known without memory for it. */
static int begin(const char *path, struct hearth_device *dev,
		 const struct hearth_llm_opts *opts, struct hearth_llm **out)
{
	HEARTH_OPTS_LOCAL(hearth_llm_opts, o, opts, ret);
	struct hearth_llm *llm;

	if (ret)
		return ret;
	llm = calloc(1, sizeof(*llm));
	if (!llm)
		return hearth_seterr(-ENOMEM, "no memory for a model");
	ret = open_file(llm, path);
	if (!ret)
		ret = pick_ctx(llm, o.n_ctx);
	if (!ret)
		ret = llm_context_init(llm, dev, &o);
	if (ret)
		hearth_llm_close(llm);
	else
		*out = llm;
	return ret;
}

static int fill_demand(struct hearth_llm *llm, struct hearth_demand *d)
{
	HEARTH_OPTS_LOCAL(hearth_model_opts, model, llm->opts.model, ret);
	struct stat st;

	if (ret)
		return ret;
	if (fstat(gguf_fd(llm->gguf), &st))
		return hearth_seterr(-errno, "weights file: %s", strerror(errno));
	d->weights_bytes = st.st_size;
	d->model_class = model.model_class;
	return llm_context_demand(llm, d);
}

int hearth_llm_demand(const char *path, struct hearth_device *dev,
		      const struct hearth_llm_opts *opts, struct hearth_demand *demand,
		      int *file_fd)
{
	struct hearth_demand d = { .sz = sizeof(d) };
	struct hearth_llm *llm;
	int ret = begin(path, dev, opts, &llm);

	if (ret)
		return ret;
	ret = fill_demand(llm, &d);
	if (!ret && file_fd) {
		d.has_weights_fd = true;
		d.weights_fd = fcntl(gguf_fd(llm->gguf), F_DUPFD_CLOEXEC, 0);
		if (d.weights_fd < 0)
			ret = hearth_seterr(-errno, "%s: %s", path, strerror(errno));
		*file_fd = d.weights_fd;
	}
	if (!ret)
		ret = hearth_opts_give(demand, &d, sizeof(d), "hearth_demand");
	hearth_llm_close(llm);
	return ret;
}

/*
 * Nobody shall learn by being killed that it does not fit. Where no driver
 * keeps the books an estimate is no reason to refuse.
 */
static int admit(struct hearth_llm *llm)
{
	HEARTH_OPTS_LOCAL(hearth_model_opts, model, llm->opts.model, ret);
	struct hearth_device_info info = { .sz = sizeof(info) };
	struct hearth_demand d = { .sz = sizeof(d) };
	struct hearth_answer a = { .sz = sizeof(a) };
	HEARTH_OPTS(hearth_admit_opts, o, .wait_ns = llm->opts.admit_wait_ns);

	if (!ret)
		ret = hearth_device_get_info(llm->dev, &info);
	/* who brings a reservation was promised the memory */
	if (ret || !info.max_models || llm->opts.no_admit || model.has_reservation)
		return ret;
	ret = fill_demand(llm, &d);
	/* it is opened with that, and told when it cannot grow */
	d.state_bytes = d.state_first_bytes;
	d.has_weights_fd = true;
	d.weights_fd = gguf_fd(llm->gguf);
	if (!ret)
		ret = hearth_admit(llm->dev, &d, &o, &a);
	if (ret || a.verdict <= HEARTH_ADMIT_AFTER_DROP)
		return ret;
	return hearth_seterr(a.verdict == HEARTH_ADMIT_NEVER ? -EDQUOT : -EBUSY, "%s", a.text);
}

void llm_give_back_heap(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

int hearth_llm_open(const char *path, struct hearth_device *dev,
		    const struct hearth_llm_opts *opts, struct hearth_llm **out)
{
	struct hearth_llm *llm;
	int ret = begin(path, dev, opts, &llm);

	if (ret)
		return ret;
	ret = open_tokenizer(llm, path);
	if (!ret)
		ret = admit(llm);
	if (!ret)
		ret = llm_context_open(llm);
	if (!ret) {
		llm->sampler = llm_sampler_create(llm->hp.n_vocab);
		if (!llm->sampler)
			ret = hearth_seterr(-ENOMEM, "no memory for the sampler");
	}
	if (ret) {
		hearth_llm_close(llm);
		return ret;
	}
	*out = llm;
	return 0;
}

void hearth_llm_close(struct hearth_llm *llm)
{
	if (!llm)
		return;
	llm_sampler_destroy(llm->sampler);
	llm_context_close(llm);
	tok_close(llm->tok);
	gguf_close(llm->gguf);
	free(llm);
}

int hearth_llm_get_info(const struct hearth_llm *llm, struct hearth_llm_info *info)
{
	struct hearth_program_info p = { .sz = sizeof(p) };
	struct hearth_llm_info i;
	size_t sz = info->sz;
	int ret = hearth_program_get_info(llm->runners[0].program, &p);

	if (ret)
		return ret;
	if (sz < sizeof(sz) || sz > 4096)
		return hearth_seterr(-EINVAL, "llm info: sz %zu", sz);
	i = (struct hearth_llm_info){
		.sz = sz,
		.name = llm->hp.name,
		.arch = llm->hp.arch,
		.n_vocab = llm->hp.n_vocab,
		.n_ctx = llm->n_ctx,
		.n_ctx_model = llm->hp.n_ctx,
		.n_layer = llm->hp.n_layer,
		.n_embd = llm->hp.n_embd,
		.bos = tok_bos(llm->tok),
		.eos = tok_eos(llm->tok),
		.weights_bytes = p.weights_bytes,
		.state_bytes = p.state_bytes,
		.kv_type = hk_type_name(llm->kv_type),
		.n_head = llm->hp.n_head,
		.n_head_kv = llm->hp.n_head_kv,
		.head_dim = llm->hp.head_dim,
		.n_ff = llm->hp.n_ff,
		.window = llm->hp.window,
		.kv_step = llm->kv_step,
		.state_used_bytes = llm->kv_step ? ((llm->room - 1) / llm->kv_step + 1) * p.state_page_bytes :
						   p.state_bytes,
	};
	llm_context_activations(llm, &i.activation_bytes, &i.activation_used_bytes);
	memset(info, 0, sz);
	memcpy(info, &i, sz < sizeof(i) ? sz : sizeof(i));
	return 0;
}

struct hearth_model *hearth_llm_model(struct hearth_llm *llm)
{
	return hearth_program_model(llm->runners[0].program);
}

struct hearth_program *hearth_llm_program(struct hearth_llm *llm)
{
	return llm->runners[0].program;
}

int hearth_llm_tokenize(const struct hearth_llm *llm, const char *text,
			size_t len, bool add_bos, int32_t *ids, size_t cap)
{
	int64_t n = tok_encode(llm->tok, text, len,
			       add_bos ? TOK_ADD_SPECIAL : 0, ids, cap);

	return n < 0 ? hearth_seterr(n, "cannot tokenize %zu bytes: %s", len,
				     strerror(-n)) : n;
}

int hearth_llm_detokenize(const struct hearth_llm *llm, int32_t id, char *buf,
			  size_t cap)
{
	int ret = tok_decode(llm->tok, id, buf, cap);

	return ret < 0 ? hearth_seterr(ret, "token %d: the vocabulary has %u", id,
				       llm->hp.n_vocab) : ret;
}
