// SPDX-License-Identifier: MIT
/*
 * hearth run --chat: questions from standard input. The conversation is put
 * into tokens anew for each question, and what begins as before is not fed
 * again.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/run.h"

#define PART	128	/* tokens */

struct talk {
	const struct run_args *args;
	struct hearth_llm *llm;
	uint32_t n_ctx;
	struct hearth_chat_message *messages;
	size_t n;
	/* tokens that the model has seen, as many as its context holds */
	int32_t *fed;
	/* the answer as it grows */
	char *answer;
	size_t n_answer, room;
	struct speed speed;
};

static volatile sig_atomic_t interrupted;

/* Wakes whoever waits for a line: the signal may come before the wait, or to another thread. */
static int wake[2] = { -1, -1 };

static void interrupt(int signal)
{
	int error = errno;

	(void)signal;
	interrupted = 1;
	/* full: it wakes already */
	if (write(wake[1], "", 1) < 0)
		errno = error;
}

/* Ctrl-C ends an answer or a line from here on, not the program. */
static int catch_interrupts(void)
{
	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK))
		return fail("no pipe for ctrl-C");
	sigaction(SIGINT, &(struct sigaction){ .sa_handler = interrupt, .sa_flags = SA_RESTART }, NULL);
	return 0;
}

static void release_interrupts(void)
{
	signal(SIGINT, SIG_DFL);
	close(wake[0]);
	close(wake[1]);
}

/* Until the terminal has a line or its end, or ctrl-C: false. */
static bool wait_for_line(void)
{
	struct pollfd p[] = { { .fd = STDIN_FILENO, .events = POLLIN },
			      { .fd = wake[0], .events = POLLIN } };
	char drop[16];

	do {
		if (poll(p, 2, -1) < 0)
			continue;
		if (!p[1].revents)
			return true;
		/* maybe of a ctrl-C that ended the answer */
		while (read(wake[0], drop, sizeof(drop)) > 0)
			;
	} while (!interrupted);
	return false;
}

static int no_memory(void)
{
	fprintf(stderr, "hearth: no memory for the conversation\n");
	return 1;
}

/* Takes @text, which malloc() made. */
static int add_message(struct talk *t, const char *role, char *text)
{
	struct hearth_chat_message *m = realloc(t->messages, (t->n + 1) * sizeof(*m));

	if (!m || !text) {
		free(text);
		return no_memory();
	}
	t->messages = m;
	m[t->n++] = (struct hearth_chat_message){ role, text };
	return 0;
}

static void drop_messages(struct talk *t, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)t->messages[at + i].text);
	t->n -= n;
	memmove(t->messages + at, t->messages + at + n, (t->n - at) * sizeof(*t->messages));
}

/* Tokens of the conversation; 0 after a message. */
static size_t format(const struct talk *t, int32_t **ids)
{
	int n = hearth_llm_chat_format(t->llm, &t->args->format, t->messages, t->n, NULL, 0);

	*ids = n > 0 ? calloc(n, sizeof(**ids)) : NULL;
	if (n > 0 && !*ids)
		no_memory();
	if (!*ids)
		return n < 0 ? (fail("conversation"), 0) : 0;
	hearth_llm_chat_format(t->llm, &t->args->format, t->messages, t->n, *ids, n);
	return n;
}

/* Forget the oldest turns until the rest fits and leaves room to answer. */
static size_t fit(struct talk *t, int32_t **ids)
{
	size_t first = t->messages[0].role[0] == 's', dropped = 0, n;

	while ((n = format(t, ids)) && n + t->n_ctx / 8 > t->n_ctx && t->n >= first + 3) {
		free(*ids);
		drop_messages(t, first, 2);
		dropped += 2;
	}
	if (dropped)
		fprintf(stderr, "hearth: the context of %u tokens is full: the oldest %zu messages are forgotten\n",
			t->n_ctx, dropped);
	if (n >= t->n_ctx) {
		fprintf(stderr, "hearth: the question has %zu tokens with its frame: the context of %u cannot hold it\n",
			n, t->n_ctx);
		free(*ids);
		return 0;
	}
	return n;
}

/* Keep what is as before, feed the rest; a part at a time, to mind ctrl-C. */
static int feed(struct talk *t, const int32_t *ids, size_t n)
{
	size_t at = 0, known = hearth_llm_position(t->llm);
	double t0 = now_seconds();
	int ret;

	while (at < known && at + 1 < n && t->fed[at] == ids[at])
		at++;
	ret = hearth_llm_rewind(t->llm, at);
	t->speed.reused += at;
	t->speed.prompt += n - at;
	memcpy(t->fed + at, ids + at, (n - at) * sizeof(*ids));
	while (!ret && at < n && !interrupted) {
		size_t part = n - at < PART ? n - at : PART;

		ret = hearth_llm_eval(t->llm, ids + at, part, NULL);
		at += part;
	}
	t->speed.prompt_s += now_seconds() - t0;
	return ret ? fail("conversation of %zu tokens", n) : 0;
}

static int keep(const struct hearth_llm_token *token, void *arg)
{
	struct talk *t = arg;
	uint32_t at = hearth_llm_position(t->llm);

	if (t->n_answer + token->text_bytes >= t->room) {
		size_t room = 2 * t->room + token->text_bytes + 256;
		char *answer = realloc(t->answer, room);

		if (!answer)
			return -ENOMEM;
		t->answer = answer;
		t->room = room;
	}
	memcpy(t->answer + t->n_answer, token->text, token->text_bytes);
	t->n_answer += token->text_bytes;
	t->answer[t->n_answer] = '\0';
	/* it is fed next, if it is not the last */
	if (at < t->n_ctx)
		t->fed[at] = token->id;
	return interrupted ? 1 : 0;
}

static int answer(struct talk *t)
{
	struct stream s = { .args = t->args, .also = keep, .arg = t };
	double t0 = now_seconds();
	int ret;

	t->n_answer = 0;
	ret = hearth_llm_generate(t->llm, &t->args->gen, put_token, &s);
	t->speed.text_s += now_seconds() - t0;
	t->speed.text += s.tokens;
	t->speed.steps += s.tokens ? s.tokens - 1 : 0;
	putchar('\n');
	if (fflush(stdout) || ferror(stdout))
		return 1;
	if (ret < 0)
		return fail("answer");
	if (s.end == HEARTH_LLM_END_LENGTH && !t->args->gen.max_tokens)
		fprintf(stderr, "hearth: the context of %u tokens is full: the answer ends here\n",
			t->n_ctx);
	return add_message(t, "assistant", strdup(t->n_answer ? t->answer : ""));
}

/* One question and its answer. A question that cannot be put is forgotten. */
static int turn(struct talk *t, char *question)
{
	int32_t *ids;
	size_t n;
	int ret;

	if (add_message(t, "user", question))
		return 1;
	interrupted = 0;
	n = fit(t, &ids);
	if (!n) {
		drop_messages(t, t->n - 1, 1);
		return isatty(STDIN_FILENO) ? 0 : 1;
	}
	ret = feed(t, ids, n);
	free(ids);
	if (!ret && interrupted)
		drop_messages(t, t->n - 1, 1);
	else if (!ret)
		ret = answer(t);
	return ret;
}

/* A line without its end, or -1 at the end of the input; ctrl-C begins anew. */
static ssize_t read_line(bool tty, const char *prompt, char **line, size_t *cap)
{
	ssize_t n;

	for (;;) {
		interrupted = 0;
		if (tty)
			fputs(prompt, stderr);
		if (!tty || wait_for_line()) {
			n = getline(line, cap, stdin);
			break;
		}
		if (interrupted)
			fputs("\n(ctrl-D ends)\n", stderr);
	}
	if (n < 0 && tty)
		fputs("\n", stderr);
	while (n > 0 && ((*line)[n - 1] == '\n' || (*line)[n - 1] == '\r'))
		(*line)[--n] = '\0';
	return n;
}

/*
 * The next question; NULL at the end of the input. A line that ends in '\' goes
 * on with the next one. malloc() made it.
 */
static char *read_question(bool tty)
{
	char *line = NULL, *text = NULL;
	size_t cap = 0, len = 0;
	bool more = true;
	ssize_t n = 0;

	while (more && (n = read_line(tty, len ? "| " : "> ", &line, &cap)) >= 0) {
		char *longer = realloc(text, len + n + 2);

		if (!longer)
			break;
		text = longer;
		more = n && line[n - 1] == '\\';
		memcpy(text + len, line, n);
		len += n;
		if (more)
			text[len - 1] = '\n';
		text[len] = '\0';
	}
	free(line);
	return text;
}

static int converse(struct talk *t)
{
	bool tty = isatty(STDIN_FILENO);
	char *question;
	int ret = 0;

	if (tty && catch_interrupts())
		return 1;
	while (!ret && (question = read_question(tty))) {
		if (question[strspn(question, " \t")])
			ret = turn(t, question);
		else
			free(question);
	}
	if (tty)
		release_interrupts();
	return ret;
}

static void finish(struct talk *t)
{
	while (t->n)
		drop_messages(t, t->n - 1, 1);
	free(t->messages);
	free(t->fed);
	free(t->answer);
}

int talk(const struct run_args *a, struct hearth_llm *llm)
{
	struct hearth_llm_info info = { .sz = sizeof(info) };
	struct talk t = { .args = a, .llm = llm };
	int ret = 0;

	hearth_llm_get_info(llm, &info);
	t.n_ctx = info.n_ctx;
	if (!a->format.template_name && !hearth_llm_chat_template(llm)) {
		fail("%s", a->model);
		hint_template(-ENOENT);
		return 1;
	}
	t.fed = calloc(t.n_ctx, sizeof(*t.fed));
	if (!t.fed)
		ret = no_memory();
	if (!ret && a->system)
		ret = add_message(&t, "system", strdup(a->system));
	if (!ret)
		ret = converse(&t);
	if (!a->quiet && t.speed.text)
		print_speed(&t.speed);
	finish(&t);
	return ret;
}
