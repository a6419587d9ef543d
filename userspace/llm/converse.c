// SPDX-License-Identifier: MIT
/* Conversations with an open model: its chat template, named or its own. */
#include <errno.h>
#include <limits.h>

#include "base/err.h"
#include "formats/gguf.h"
#include "llm/chat.h"
#include "llm/chat_table.h"
#include "llm/llm.h"
#include "runtime/error.h"
#include "runtime/opts.h"

static int own_template(const struct hearth_llm *llm, const struct chat_template **c,
			struct gguf_str *text, struct hearth_err *err)
{
	char list[200];
	int ret = gguf_get_str(llm->gguf, "tokenizer.chat_template", text, err);

	if (ret == -ENOENT)
		return hearth_err_set(err, ret, "the model has no chat template; name one of these: %s",
				      chat_names(list, sizeof(list)));
	return ret ? ret : chat_detect(text->ptr, text->len, c, err);
}

const char *hearth_llm_chat_template(const struct hearth_llm *llm)
{
	const struct chat_template *c;
	struct gguf_str text;
	struct hearth_err err;

	if (own_template(llm, &c, &text, &err)) {
		hearth_seterr_from(&err);
		return NULL;
	}
	return c->name;
}

int hearth_llm_chat_format(const struct hearth_llm *llm,
			   const struct hearth_chat_opts *opts,
			   const struct hearth_chat_message *messages, size_t n,
			   int32_t *ids, size_t cap)
{
	HEARTH_OPTS_LOCAL(hearth_chat_opts, o, opts, ret);
	const struct chat_template *c = NULL;
	struct gguf_str text = { "", 0 };
	const char *system = NULL;
	struct hearth_err err;
	int64_t count;

	if (ret)
		return ret;
	ret = o.template_name ? chat_find(o.template_name, &c, &err) :
				own_template(llm, &c, &text, &err);
	if (ret)
		return hearth_seterr_from(&err);
	count = chat_default_system(text.ptr, text.len, &system);
	count = chat_format(c, llm->tok, &o, system, count, messages, n, ids, cap, &err);
	if (count < 0)
		return hearth_seterr_from(&err);
	return count <= INT_MAX ? (int)count :
		hearth_seterr(-E2BIG, "conversation: %lld tokens", (long long)count);
}
