// SPDX-License-Identifier: MIT
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control.h"
#include "vfu_message.h"

#define MAX_WORDS	8
#define MAX_DELAY_MS	60000

int control_open(struct control *ctl, struct npu *npu, const char *path)
{
	memset(ctl, 0, sizeof(*ctl));
	ctl->npu = npu;
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		ctl->client[i].fd = -1;
	ctl->listen_fd = vfu_listen_at(path);
	return ctl->listen_fd < 0 ? ctl->listen_fd : 0;
}

void control_close(struct control *ctl)
{
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		if (ctl->client[i].fd >= 0)
			close(ctl->client[i].fd);
	close(ctl->listen_fd);
}

__attribute__((format(printf, 3, 4)))
static void say(char *answer, size_t bytes, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(answer, bytes, fmt, ap);
	va_end(ap);
}

/* "name=number" */
static bool parse_number(const char *word, const char *name, uint64_t max, uint64_t *value)
{
	size_t n = strlen(name);
	char *end;

	if (strncmp(word, name, n) || word[n] != '=' || word[n + 1] < '0' || word[n + 1] > '9')
		return false;
	errno = 0;
	*value = strtoull(word + n + 1, &end, 0);
	return !*end && !errno && *value <= max;
}

/* Those that happen now rather than at an occasion. */
static bool inject_now(struct npu *npu, int kind, char *answer, size_t bytes)
{
	switch (kind) {
	case NPU_INJECT_CRASH:
		npu_fw_die(npu, "injected");
		break;
	case NPU_INJECT_REMOVAL:
		npu_inject_arm(&npu->inject, kind, NPU_ANY_SLOT, 0);
		npu_set_removed(npu, true);
		break;
	case NPU_INJECT_LOG:
		npu_fw_log(npu);
		break;
	case NPU_INJECT_LATE_IRQ:
		vfu_irq_trigger(&npu->vfu.irqs, 0);
		break;
	default:
		return false;
	}
	say(answer, bytes, "ok");
	return true;
}

/* Only "slow" has a value behind its name. */
static bool parse_name(const char *word, int *kind, uint64_t *value)
{
	char name[CONTROL_LINE];

	snprintf(name, sizeof(name), "%s", word);
	name[strcspn(name, "=")] = '\0';
	*kind = npu_inject_by_name(name);
	if (*kind == NPU_INJECT_SLOW)
		return parse_number(word, "slow", MAX_DELAY_MS, value);
	return *kind >= 0 && !strchr(word, '=');
}

static bool parse_option(const char *word, int kind, uint64_t *slot, uint64_t *value)
{
	if (parse_number(word, "slot", HEARTH_MAX_SLOTS - 1, slot))
		return true;
	return (kind == NPU_INJECT_HANG || kind == NPU_INJECT_HARD_HANG) &&
	       parse_number(word, "op", UINT32_MAX, value);
}

static void inject(struct npu *npu, char *const *words, unsigned int num,
		   char *answer, size_t bytes)
{
	uint64_t slot = NPU_ANY_SLOT, value = 0;
	int kind;

	if (!num || !parse_name(words[0], &kind, &value)) {
		say(answer, bytes, "err no injection \"%.32s\" (slow=MS takes 0 to %d, the others take no value); see help",
		    num ? words[0] : "", MAX_DELAY_MS);
		return;
	}
	for (unsigned int i = 1; i < num; i++) {
		if (!parse_option(words[i], kind, &slot, &value)) {
			say(answer, bytes, "err cannot read \"%.32s\"", words[i]);
			return;
		}
	}
	if (inject_now(npu, kind, answer, bytes))
		return;
	npu_inject_arm(&npu->inject, kind, slot, value);
	say(answer, bytes, "ok");
}

static void clear(struct npu *npu, char *answer, size_t bytes)
{
	npu_inject_clear(&npu->inject);
	npu_set_removed(npu, false);
	say(answer, bytes, "ok");
}

static void stats(struct npu *npu, char *answer, size_t bytes)
{
	struct npu_stats s;
	uint64_t maps, unmaps;
	unsigned int slots = 0, contexts = 0;
	uint32_t status;

	pthread_mutex_lock(&npu->lock);
	for (unsigned int i = 0; i < HEARTH_MAX_SLOTS; i++)
		slots += npu->slot[i].exists;
	for (unsigned int i = 0; i < NPU_CONTEXTS; i++)
		contexts += !!npu->ctx[i];
	status = npu->regs.status;
	pthread_mutex_unlock(&npu->lock);
	pthread_mutex_lock(&npu->vfu.dma.lock);
	maps = npu->vfu.dma.total_maps;
	unmaps = npu->vfu.dma.total_unmaps;
	pthread_mutex_unlock(&npu->vfu.dma.lock);
	for (unsigned int i = 0; i < sizeof(s) / sizeof(uint64_t); i++)
		((uint64_t *)&s)[i] = __atomic_load_n((uint64_t *)&npu->stats + i,
						      __ATOMIC_RELAXED);
#define N(x) ((unsigned long long)(x))
	say(answer, bytes,
	    "ok jobs=%llu commands=%llu preemptions=%llu events=%llu irqs=%llu resets=%llu "
	    "boots=%llu faults=%llu admin=%llu doorbells=%llu maps=%llu unmaps=%llu "
	    "refused=%llu injected=%llu slots=%u contexts=%u status=%u client=%d",
	    N(s.jobs), N(s.commands), N(s.preemptions), N(s.events), N(s.irqs), N(s.resets),
	    N(s.boots), N(s.faults), N(s.admin), N(s.doorbells), N(maps), N(unmaps),
	    N(npu->vfu.refused), N(npu_inject_total(&npu->inject)), slots, contexts, status,
	    npu->vfu.conn.fd >= 0);
#undef N
}

static void help(char *answer, size_t bytes)
{
	size_t n = 0;

	n += snprintf(answer, bytes,
		      "ok version; stats; clear; inject NAME [slot=N] [op=N], NAME:");
	for (int i = 0; i < NPU_INJECT_COUNT && n < bytes; i++)
		n += snprintf(answer + n, bytes - n, " %s%s", npu_inject_name(i),
			      i == NPU_INJECT_SLOW ? "=MS" : "");
}

void control_execute(struct npu *npu, const char *line, char *answer, size_t bytes)
{
	char copy[CONTROL_LINE], *words[MAX_WORDS], *save, *w;
	unsigned int num = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	for (w = strtok_r(copy, " \t\r", &save); w && num < MAX_WORDS;
	     w = strtok_r(NULL, " \t\r", &save))
		words[num++] = w;
	if (!num)
		say(answer, bytes, "err empty line, see help");
	else if (w)
		say(answer, bytes, "err more than %d words", MAX_WORDS);
	else if (!strcmp(words[0], "inject"))
		inject(npu, words + 1, num - 1, answer, bytes);
	else if (num > 1)
		say(answer, bytes, "err %.32s takes no arguments", words[0]);
	else if (!strcmp(words[0], "clear"))
		clear(npu, answer, bytes);
	else if (!strcmp(words[0], "stats"))
		stats(npu, answer, bytes);
	else if (!strcmp(words[0], "version"))
		say(answer, bytes, "ok hearth-npu contract=%d.%d",
		    HEARTH_CONTRACT_MAJOR, HEARTH_CONTRACT_MINOR);
	else if (!strcmp(words[0], "help"))
		help(answer, bytes);
	else
		say(answer, bytes, "err no command \"%.32s\", see help", words[0]);
}

static void drop(struct control *ctl, unsigned int i)
{
	close(ctl->client[i].fd);
	ctl->client[i].fd = -1;
	ctl->client[i].have = 0;
}

static bool answer_line(struct control *ctl, int fd, const char *line)
{
	char answer[1024];
	size_t n;

	control_execute(ctl->npu, line, answer, sizeof(answer) - 1);
	n = strlen(answer);
	answer[n++] = '\n';
	/* a client that does not read its answers is given up */
	return send(fd, answer, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n;
}

/* Take whole lines out of the buffer. */
static bool serve_lines(struct control *ctl, unsigned int i)
{
	char *line = ctl->client[i].line, *end;

	while ((end = memchr(line, '\n', ctl->client[i].have))) {
		size_t n = end - line + 1;

		*end = '\0';
		if (!answer_line(ctl, ctl->client[i].fd, line))
			return false;
		ctl->client[i].have -= n;
		memmove(line, line + n, ctl->client[i].have);
	}
	if (ctl->client[i].have < CONTROL_LINE)
		return true;
	send(ctl->client[i].fd, "err line too long\n", 18, MSG_NOSIGNAL | MSG_DONTWAIT);
	return false;
}

static void serve_client(struct control *ctl, unsigned int i)
{
	ssize_t n = recv(ctl->client[i].fd, ctl->client[i].line + ctl->client[i].have,
			 CONTROL_LINE - ctl->client[i].have, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		ctl->client[i].have += n;
		if (serve_lines(ctl, i))
			return;
	}
	drop(ctl, i);
}

static void accept_client(struct control *ctl)
{
	int fd = accept4(ctl->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++) {
		if (ctl->client[i].fd < 0) {
			ctl->client[i].fd = fd;
			ctl->client[i].have = 0;
			return;
		}
	}
	send(fd, "err too many clients\n", 21, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static unsigned int poll_fds(const struct control *ctl, struct pollfd *fds)
{
	unsigned int n = 0;

	fds[n++] = (struct pollfd) { .fd = ctl->listen_fd, .events = POLLIN };
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		if (ctl->client[i].fd >= 0)
			fds[n++] = (struct pollfd) { .fd = ctl->client[i].fd, .events = POLLIN };
	return n;
}

static void serve_control(struct control *ctl, const struct pollfd *fds, unsigned int num)
{
	for (unsigned int f = 1; f < num; f++)
		for (unsigned int i = 0; fds[f].revents && i < CONTROL_CLIENTS; i++)
			if (ctl->client[i].fd == fds[f].fd)
				serve_client(ctl, i);
	if (num && fds[0].revents)
		accept_client(ctl);
}

int control_loop(struct npu *npu, struct control *ctl, int stop_fd)
{
	struct pollfd fds[3 + 1 + CONTROL_CLIENTS];
	unsigned int num;

	for (;;) {
		fds[0] = (struct pollfd) { .fd = stop_fd, .events = POLLIN };
		fds[1] = (struct pollfd) { .fd = npu->vfu.listen_fd, .events = POLLIN };
		fds[2] = (struct pollfd) { .fd = npu->vfu.conn.fd, .events = POLLIN };
		num = ctl ? poll_fds(ctl, fds + 3) : 0;
		if (poll(fds, 3 + num, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (fds[0].revents)
			return 0;
		if (fds[2].revents)
			vfu_serve(&npu->vfu);
		if (fds[1].revents && !vfu_accept(&npu->vfu))
			npu_log(npu, "client connected");
		if (ctl)
			serve_control(ctl, fds + 3, num);
	}
}
