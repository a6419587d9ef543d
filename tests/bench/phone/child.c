// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "meter.h"

static void become(int in, int out, char *const argv[])
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, 0);
	dup2(out, 1);
	execv("/proc/self/exe", argv);
	_exit(127);
}

int child_start(struct child *c, char *const argv[])
{
	int in[2], out[2];

	*c = (struct child){ .pid = -1, .in = -1, .out = -1 };
	if (pipe2(in, O_CLOEXEC))
		return -errno;
	if (pipe2(out, O_CLOEXEC)) {
		close(in[0]);
		close(in[1]);
		return -errno;
	}
	c->pid = fork();
	if (!c->pid)
		become(in[0], out[1], argv);
	close(in[0]);
	close(out[1]);
	c->in = in[1];
	c->out = out[0];
	return c->pid < 0 ? -EAGAIN : 0;
}

bool child_tell(struct child *c, const char *line)
{
	char text[LINE_BYTES];
	int n = snprintf(text, sizeof(text), "%s\n", line);

	return c->in >= 0 && write(c->in, text, (size_t)n) == n;
}

/* A whole line in @c->buf, its end cut off, or NULL in time. */
static const char *read_line(struct child *c, uint64_t deadline)
{
	static char line[LINE_BYTES];

	for (;;) {
		char *end = memchr(c->buf, '\n', c->have);
		uint64_t now = now_ns();
		struct pollfd p = { .fd = c->out, .events = POLLIN };
		ssize_t n;

		if (end) {
			size_t len = (size_t)(end - c->buf);

			memcpy(line, c->buf, len);
			line[len] = '\0';
			c->have -= len + 1;
			memmove(c->buf, end + 1, c->have);
			return line;
		}
		if (now >= deadline || c->have == sizeof(c->buf) ||
		    poll(&p, 1, (int)((deadline - now) / 1000000 + 1)) <= 0)
			return NULL;
		n = read(c->out, c->buf + c->have, sizeof(c->buf) - c->have);
		if (n <= 0)
			return NULL;
		c->have += (size_t)n;
	}
}

static void reap(struct child *c)
{
	int status;

	if (c->pid > 0 && waitpid(c->pid, &status, 0) == c->pid && WIFSIGNALED(status))
		c->signal = WTERMSIG(status);
	c->pid = -1;
	if (c->in >= 0)
		close(c->in);
	if (c->out >= 0)
		close(c->out);
	c->in = -1;
	c->out = -1;
}

const char *child_ask(struct child *c, const char *line, unsigned int seconds)
{
	const char *answer = NULL;

	if (c->pid < 0)
		return NULL;
	if (!line || child_tell(c, line))
		answer = read_line(c, now_ns() + seconds * 1000000000ull);
	if (!answer) {
		/* Killed by the kernel it stays so; late ones are ended here. */
		kill(c->pid, SIGKILL);
		reap(c);
	}
	return answer;
}

void child_stop(struct child *c)
{
	struct pollfd p = { .fd = c->out, .events = POLLIN };

	if (c->pid < 0)
		return;
	close(c->in);
	c->in = -1;
	/* Its end closes the pipe. What it still says is of no interest. */
	for (int i = 0; i < 64 && poll(&p, 1, 30000) > 0; i++)
		if (read(c->out, c->buf, sizeof(c->buf)) <= 0)
			break;
	kill(c->pid, SIGKILL);
	reap(c);
}
