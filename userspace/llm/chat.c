// SPDX-License-Identifier: MIT
#include "llm/chat.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "hearth.h"
#include "llm/chat_table.h"
#include "llm/tokenizer_internal.h"

#define MAX_MESSAGES	65536
#define NO_THOUGHT	"<think>\n\n</think>\n\n"
#define THOUGHT_END	"</think>"

/* A conversation on its way to tokens. After the first failure nothing is done. */
struct builder {
	const struct chat_template *c;
	const struct tok *t;
	struct hearth_err *err;
	int32_t *ids;
	size_t cap;
	int64_t n;
	/* text since the last control token, which may change how it is cut */
	char *run;
	size_t len, room;
	int32_t behind;
	int ret;
};

static void flush(struct builder *b)
{
	size_t at = (uint64_t)b->n < b->cap ? (size_t)b->n : b->cap;
	int64_t n;

	if (b->ret || !b->len)
		return;
	n = tok_encode_behind(b->t, b->behind, b->run, b->len, b->ids ? b->ids + at : NULL,
			      b->cap - at);
	b->len = 0;
	if (n < 0)
		b->ret = hearth_err_set(b->err, n, "conversation: %s",
					n == -EILSEQ ? "the vocabulary cannot spell a byte of it" :
						       strerror(-n));
	else
		b->n += n;
}

static void put_token(struct builder *b, int32_t id)
{
	flush(b);
	if (b->ret)
		return;
	if ((uint64_t)b->n < b->cap)
		b->ids[b->n] = id;
	b->n++;
	b->behind = id;
}

static int reserve(struct builder *b, size_t len)
{
	size_t room = b->room ? b->room : 4096;
	char *run;

	if (len > TOK_MAX_TEXT - b->len)
		return hearth_err_set(b->err, -E2BIG, "conversation: more than %u bytes",
				      TOK_MAX_TEXT);
	while (room - b->len < len)
		room *= 2;
	run = room > b->room ? realloc(b->run, room) : b->run;
	if (!run)
		return hearth_err_set(b->err, -ENOMEM, "conversation: no memory for %zu bytes",
				      room);
	b->run = run;
	b->room = room;
	return 0;
}

/* Text of whom we do not trust: it stays text. */
static void put_text(struct builder *b, const char *text, size_t len)
{
	if (!b->ret)
		b->ret = reserve(b, len);
	if (b->ret)
		return;
	memcpy(b->run + b->len, text, len);
	b->len += len;
}

/* Text of a template: its control tokens are ones. */
static void put_mark(struct builder *b, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		int32_t id = tok_match_special(b->t, text, left, true);
		size_t n = 1;

		if (*text == *CHAT_EOS) {
			put_token(b, b->t->eos);
		} else if (id >= 0 && tok_is_control(b->t, id)) {
			put_token(b, id);
			n = tok_len(b->t, id);
		} else {
			put_text(b, text, 1);
		}
		text += n;
		left -= n;
	}
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void put_trimmed(struct builder *b, const char *text, size_t len, bool trim)
{
	while (trim && len && is_space(text[0])) {
		text++;
		len--;
	}
	while (trim && len && is_space(text[len - 1]))
		len--;
	put_text(b, text, len);
}

/* An answer without the thought that led to it. */
static const char *without_thought(const char *text)
{
	const char *end;

	while ((end = strstr(text, THOUGHT_END)))
		for (text = end + strlen(THOUGHT_END); *text == '\n'; text++)
			;
	return text;
}

static void put_bos(struct builder *b)
{
	if (b->t->bos >= 0)
		put_token(b, b->t->bos);
}

static void put_system(struct builder *b, const char *text, size_t len)
{
	if (!len)
		return;
	put_mark(b, b->c->before[CHAT_SYSTEM]);
	put_trimmed(b, text, len, b->c->trim);
	put_mark(b, b->c->after[CHAT_SYSTEM]);
}

static void put_message(struct builder *b, enum chat_role role, const char *text)
{
	bool trim = b->c->trim || (b->c->trim_answers && role == CHAT_ASSISTANT);

	put_trimmed(b, text, strlen(text), trim);
	put_mark(b, b->c->after[role]);
}

/* ---- checks ---- */

static const char *const roles[CHAT_ROLES] = { "system", "user", "assistant" };

static int find_role(const char *name)
{
	for (int i = 0; name && i < CHAT_ROLES; i++)
		if (!strcmp(name, roles[i]))
			return i;
	return -1;
}

static int check_messages(const struct chat_template *c,
			  const struct hearth_chat_message *m, size_t n,
			  struct hearth_err *err)
{
	if (!n || n > MAX_MESSAGES)
		return hearth_err_set(err, n ? -E2BIG : -EINVAL,
				      "conversation: %zu messages: 1 to %d are possible", n,
				      MAX_MESSAGES);
	for (size_t i = 0; i < n; i++) {
		int role = find_role(m[i].role);

		if (role < 0)
			return hearth_err_set(err, -EINVAL,
					      "message %zu: role '%s' is none of system, user, assistant",
					      i, m[i].role ? m[i].role : "");
		if (!m[i].text)
			return hearth_err_set(err, -EINVAL, "message %zu: no text", i);
		if (role == CHAT_SYSTEM && i)
			return hearth_err_set(err, -EINVAL,
					      "message %zu: only the first can be of role system", i);
	}
	if (c->system_in_question && find_role(m[0].role) == CHAT_SYSTEM &&
	    (n < 2 || find_role(m[1].role) != CHAT_USER))
		return hearth_err_set(err, -EINVAL,
				      "template '%s' needs a message of role user behind that of system",
				      c->name);
	return 0;
}

static int check_vocabulary(const struct chat_template *c, const struct tok *t,
			    struct hearth_err *err)
{
	for (size_t i = 0; i < sizeof(c->needs) / sizeof(*c->needs) && c->needs[i]; i++)
		if (tok_find_special(t, c->needs[i], strlen(c->needs[i])) < 0)
			return hearth_err_set(err, -EINVAL,
					      "template '%s' needs the token '%s', which the vocabulary lacks",
					      c->name, c->needs[i]);
	if (strstr(c->after[CHAT_ASSISTANT], CHAT_EOS) && t->eos < 0)
		return hearth_err_set(err, -EINVAL,
				      "template '%s' needs an end token, which the vocabulary lacks",
				      c->name);
	return 0;
}

/* ---- the conversation ---- */

static void put_all(struct builder *b, const struct hearth_chat_opts *opts, const char *system,
		    size_t n_system, const struct hearth_chat_message *m, size_t n)
{
	const struct chat_template *c = b->c;
	size_t last = n, i = 0;

	while (last && find_role(m[last - 1].role) != CHAT_USER)
		last--;
	if (find_role(m[0].role) == CHAT_SYSTEM) {
		system = m[i++].text;
		n_system = strlen(system);
	}
	if (c->bos || tok_adds_bos(b->t))
		put_bos(b);
	if (!c->system_in_question)
		put_system(b, system, n_system);
	for (size_t start = i; i < n; i++) {
		enum chat_role role = find_role(m[i].role);
		bool old = i < last && role == CHAT_ASSISTANT;

		if (c->bos_each && role == CHAT_USER && i != start)
			put_bos(b);
		put_mark(b, c->before[role]);
		if (c->system_in_question && i == start && role == CHAT_USER)
			put_system(b, system, n_system);
		put_message(b, role, c->thinks && old ? without_thought(m[i].text) : m[i].text);
	}
	if (!opts->no_answer)
		put_mark(b, c->answer);
	if (opts->no_think)
		put_text(b, NO_THOUGHT, strlen(NO_THOUGHT));
	flush(b);
}

int64_t chat_format(const struct chat_template *c, const struct tok *t,
		    const struct hearth_chat_opts *opts, const char *system, size_t n_system,
		    const struct hearth_chat_message *messages, size_t n,
		    int32_t *ids, size_t cap, struct hearth_err *err)
{
	struct builder b = { .c = c, .t = t, .err = err, .ids = ids, .cap = cap, .behind = -1 };

	b.ret = check_messages(c, messages, n, err);
	if (!b.ret)
		b.ret = check_vocabulary(c, t, err);
	if (!b.ret && opts->no_think && (!c->thinks || opts->no_answer))
		b.ret = hearth_err_set(err, -EINVAL, "template '%s' has no thought to leave out here",
				       c->name);
	if (!b.ret)
		put_all(&b, opts, system, n_system, messages, n);
	free(b.run);
	return b.ret ? b.ret : b.n;
}

/* ---- which template ---- */

const char *hearth_chat_template_name(unsigned int i)
{
	for (unsigned int k = 0; chat_templates[k].name; k++)
		if (k == i)
			return chat_templates[k].name;
	return NULL;
}

const char *chat_names(char *buf, size_t cap)
{
	const char *name;
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned int i = 0; (name = hearth_chat_template_name(i)) && n < cap; i++)
		n += snprintf(buf + n, cap - n, "%s%s", i ? ", " : "", name);
	return buf;
}

int chat_find(const char *name, const struct chat_template **out, struct hearth_err *err)
{
	char list[200];

	for (const struct chat_template *c = chat_templates; c->name; c++) {
		if (strcmp(c->name, name))
			continue;
		*out = c;
		return 0;
	}
	return hearth_err_set(err, -EOPNOTSUPP, "template '%.40s' is not known; these are: %s", name,
			      chat_names(list, sizeof(list)));
}

static bool holds(const char *text, size_t len, const char *mark)
{
	return memmem(text, len, mark, strlen(mark));
}

static bool matches(const struct chat_template *c, const char *text, size_t len)
{
	for (size_t i = 0; i < sizeof(c->has) / sizeof(*c->has) && c->has[i]; i++)
		if (!holds(text, len, c->has[i]))
			return false;
	for (size_t i = 0; i < sizeof(c->lacks) / sizeof(*c->lacks) && c->lacks[i]; i++)
		if (holds(text, len, c->lacks[i]))
			return false;
	return true;
}

int chat_detect(const char *text, size_t len, const struct chat_template **out,
		struct hearth_err *err)
{
	char list[200];

	for (const struct chat_template *c = chat_templates; c->name; c++) {
		if (!matches(c, text, len))
			continue;
		*out = c;
		return 0;
	}
	return hearth_err_set(err, -EOPNOTSUPP,
			      "the model's chat template is not known; name one of these: %s",
			      chat_names(list, sizeof(list)));
}

/* The template is a program: only a plain string is taken from it. */
size_t chat_default_system(const char *text, size_t len, const char **out)
{
	static const char *const heads[] = { "<|im_start|>system\\n", "<|im_start|>system\n" };
	static const char tail[] = "<|im_end|>";

	for (size_t k = 0; k < sizeof(heads) / sizeof(*heads); k++) {
		size_t n = strlen(heads[k]), left = len;
		const char *p = text, *end;

		while ((p = memmem(p, left, heads[k], n))) {
			p += n;
			left = text + len - p;
			end = memmem(p, left, tail, strlen(tail));
			for (*out = p; p < end && !strchr("'\"\\{}\n", *p); p++)
				;
			if (end && p == end && p > *out)
				return end - *out;
			left = text + len - p;
		}
	}
	return 0;
}
