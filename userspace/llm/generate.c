// SPDX-License-Identifier: MIT
/* A stream: choose a token, spell it, look for its end, feed it, and again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "llm/llm.h"
#include "llm/sample.h"
#include "llm/stop.h"
#include "llm/tokenizer.h"
#include "runtime/error.h"
#include "runtime/opts.h"

struct stream {
	struct hearth_llm *llm;
	struct hearth_generate_opts opts;
	struct tok_stream chars;
	struct llm_stop stop;
	/* text of one token */
	char *text;
	size_t room;
};

static int stream_start(struct stream *s)
{
	int ret = llm_sampler_start(s->llm->sampler, &s->opts);

	if (ret)
		return ret;
	tok_stream_init(&s->chars, s->llm->tok, false);
	s->room = tok_stream_room(s->llm->tok) + TOK_STREAM_END;
	ret = llm_stop_start(&s->stop, s->opts.stop, s->opts.n_stop, s->room);
	if (ret)
		return ret;
	s->text = malloc(s->room);
	return s->text ? 0 : hearth_seterr(-ENOMEM, "no memory for %zu bytes of text", s->room);
}

static void stream_end(struct stream *s)
{
	free(s->text);
	llm_stop_end(&s->stop);
}

/* Choose the next token, after which @left may follow. */
static void choose(struct stream *s, uint32_t left, struct hearth_llm_token *t)
{
	struct hearth_llm *llm = s->llm;

	t->logits = llm->logits;
	t->id = llm_sampler_next(llm->sampler, llm->logits);
	t->end = HEARTH_LLM_GOES_ON;
	if (tok_is_eog(llm->tok, t->id) && !s->opts.ignore_eos)
		t->end = HEARTH_LLM_END_TOKEN;
	else if (!left || (llm->position == llm->n_ctx && !s->opts.shift))
		t->end = HEARTH_LLM_END_LENGTH;
}

/* What can be shown now; at the end, also what was held back. */
static int spell(struct stream *s, struct hearth_llm_token *t)
{
	bool last = t->end, found;
	int n = 0;

	if (t->end != HEARTH_LLM_END_TOKEN)
		n = tok_stream_put(&s->chars, s->llm->tok, t->id, s->text, s->room);
	if (n < 0)
		return hearth_seterr(n, "token %d: %s", t->id, strerror(-n));
	if (last)
		n += tok_stream_end(&s->chars, s->text + n, TOK_STREAM_END);
	t->text_bytes = llm_stop_put(&s->stop, s->text, n, last, &found);
	t->text = s->stop.text;
	if (found)
		t->end = HEARTH_LLM_END_STOP;
	return 0;
}

static int check_shift(const struct hearth_llm *llm, const struct hearth_generate_opts *o)
{
	if (!o->shift)
		return 0;
	if (!o->max_tokens)
		return hearth_seterr(-EINVAL, "shift without max_tokens would never end");
	/* half of one token is none */
	if (o->n_keep + 2ull > llm->n_ctx)
		return hearth_seterr(-EINVAL, "n_keep is %u: a context of %u keeps %u at most",
				     o->n_keep, llm->n_ctx, llm->n_ctx < 2 ? 0 : llm->n_ctx - 2);
	return 0;
}

/* Feed a token; if there is no room, that of half of the others. */
static int feed(struct stream *s, int32_t id)
{
	struct hearth_llm *llm = s->llm;
	int ret = 0;

	if (llm->position == llm->n_ctx)
		ret = hearth_llm_shift(llm, s->opts.n_keep, (llm->n_ctx - s->opts.n_keep) / 2);
	return ret ? ret : hearth_llm_eval(llm, &id, 1, NULL);
}

int hearth_llm_generate(struct hearth_llm *llm,
			const struct hearth_generate_opts *opts,
			int (*fn)(const struct hearth_llm_token *t, void *arg),
			void *arg)
{
	HEARTH_OPTS_LOCAL(hearth_generate_opts, o, opts, ret);
	struct stream s = { .llm = llm, .opts = o };
	struct hearth_llm_token t;

	if (ret)
		return ret;
	if (!llm->logits)
		return hearth_seterr(-EINVAL, "nothing was fed before generate");
	ret = check_shift(llm, &o);
	if (ret)
		return ret;
	ret = stream_start(&s);
	/* 0 wraps, and the context is full long before it comes down to 0 */
	for (uint32_t left = o.max_tokens; !ret;) {
		choose(&s, --left, &t);
		ret = spell(&s, &t);
		if (!ret)
			ret = fn(&t, arg);
		/* the last token is not fed: nobody asks what follows it */
		if (ret || t.end)
			break;
		ret = feed(&s, t.id);
	}
	stream_end(&s);
	return ret;
}
