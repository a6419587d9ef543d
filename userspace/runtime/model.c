// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/model.h"
#include "runtime/opts.h"

#define KEEP_ALIVE_DEFAULT	(300 * 1000000000ll)

static const char *const class_names[] = {
	[HEARTH_CLASS_DROPPABLE] = "droppable",
	[HEARTH_CLASS_NORMAL] = "normal",
	[HEARTH_CLASS_PROTECTED] = "protected",
	[HEARTH_CLASS_PINNED] = "pinned",
};

int hearth_class_parse(const char *text, enum hearth_model_class *model_class)
{
	for (unsigned int i = HEARTH_CLASS_DROPPABLE; i <= HEARTH_CLASS_PINNED; i++) {
		if (!strcmp(text, class_names[i])) {
			*model_class = i;
			return 0;
		}
	}
	return hearth_seterr(-EINVAL,
			     "class '%.32s': droppable, normal, protected or pinned is needed",
			     text);
}

const char *hearth_class_name(enum hearth_model_class c)
{
	if (c == HEARTH_CLASS_DEFAULT)
		c = HEARTH_CLASS_NORMAL;
	return (unsigned int)c <= HEARTH_CLASS_PINNED ? class_names[c] : "?";
}

const char *hearth_model_state_name(enum hearth_model_state state)
{
	static const char *const name[] = {
		[HEARTH_MODEL_DROPPED] = "dropped",
		[HEARTH_MODEL_PARTLY] = "partly",
		[HEARTH_MODEL_RESTORING] = "restoring",
		[HEARTH_MODEL_RESIDENT] = "resident",
		[HEARTH_MODEL_STALE] = "stale",
	};

	return (unsigned int)state <= HEARTH_MODEL_STALE ? name[state] : "?";
}

int hearth_class_check(enum hearth_model_class *c)
{
	if (*c == HEARTH_CLASS_DEFAULT)
		*c = HEARTH_CLASS_NORMAL;
	if ((unsigned int)*c <= HEARTH_CLASS_PINNED)
		return 0;
	return hearth_seterr(-EINVAL, "unknown model class %u", (unsigned int)*c);
}

static int check_keep_alive(int64_t *ns)
{
	if (*ns == HEARTH_KEEP_DEFAULT)
		*ns = KEEP_ALIVE_DEFAULT;
	if (*ns > 0 || *ns == HEARTH_KEEP_FOREVER || *ns == HEARTH_KEEP_NONE)
		return 0;
	return hearth_seterr(-EINVAL,
			     "keep_alive_ns is %lld: nanoseconds, HEARTH_KEEP_FOREVER or HEARTH_KEEP_NONE are possible",
			     (long long)*ns);
}

static bool printable(unsigned char c)
{
	return c >= ' ' && c < 0x7f;
}

static int set_name(struct hearth_model *m, const char *name)
{
	size_t len = strlen(name);

	if (len >= sizeof(m->name))
		return hearth_seterr(-EINVAL,
				     "the model's name has %zu bytes: at most %zu are possible",
				     len, sizeof(m->name) - 1);
	for (size_t i = 0; i < len; i++) {
		if (!printable(name[i]))
			return hearth_seterr(-EINVAL,
					     "byte %zu of the model's name, %#x, is not printable ASCII",
					     i, (unsigned char)name[i]);
	}
	memcpy(m->name, name, len + 1);
	return 0;
}

/* What a file is called may be longer, and of any bytes. */
static void derive_name(struct hearth_model *m, int fd)
{
	char link[64], path[PATH_MAX];
	const char *base = "model";
	ssize_t len;
	size_t i;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len > 0) {
		path[len] = '\0';
		base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	}
	for (i = 0; base[i] && i < sizeof(m->name) - 1; i++)
		m->name[i] = printable(base[i]) ? base[i] : '?';
	m->name[i] = '\0';
}

static int model_init(struct hearth_model *m, int name_fd,
		      const struct hearth_model_opts *o)
{
	int ret;

	m->model_class = o->model_class;
	m->keep_alive_ns = o->keep_alive_ns;
	ret = hearth_class_check(&m->model_class);
	if (!ret)
		ret = check_keep_alive(&m->keep_alive_ns);
	if (!ret && o->name)
		return set_name(m, o->name);
	derive_name(m, name_fd);
	return ret;
}

int hearth_model_of(struct hearth_device *dev, struct hearth_buffer *weights,
		    struct hearth_buffer *state, int name_fd,
		    const struct hearth_model_opts *opts, struct hearth_model **model)
{
	HEARTH_OPTS_LOCAL(hearth_model_opts, o, opts, ret);
	struct hearth_model *m;

	if (ret)
		return ret;
	m = calloc(1, sizeof(*m));
	if (!m)
		return hearth_seterr(-ENOMEM, "no memory for a model");
	m->dev = dev;
	m->weights = weights;
	m->state = state;
	ret = model_init(m, name_fd, &o);
	if (!ret)
		ret = dev->backend->models->create(m, o.has_reservation ?
						      o.reservation_fd : -1);
	if (ret) {
		free(m);
		return ret;
	}
	*model = m;
	return 0;
}

int hearth_model_open_fd(int file_fd, struct hearth_device *dev,
			 const struct hearth_model_opts *opts, struct hearth_model **model)
{
	struct hearth_buffer *weights;
	struct stat st;
	int ret;

	if (fstat(file_fd, &st))
		return hearth_seterr(-errno, "weights file: %s", strerror(errno));
	if (S_ISREG(st.st_mode) && !st.st_size)
		return hearth_seterr(-EINVAL, "the weights file is empty");
	ret = hearth_buffer_from_file(dev, file_fd, 0, st.st_size, NULL, &weights);
	if (ret)
		return ret;
	ret = hearth_model_of(dev, weights, NULL, file_fd, opts, model);
	if (ret)
		hearth_buffer_destroy(weights);
	else
		(*model)->owned = true;
	return ret;
}

int hearth_model_open(const char *path, struct hearth_device *dev,
		      const struct hearth_model_opts *opts, struct hearth_model **model)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret;

	if (fd < 0)
		return hearth_seterr(-errno, "%s: %s", path, strerror(errno));
	ret = hearth_model_open_fd(fd, dev, opts, model);
	close(fd);
	return ret;
}

void hearth_model_close(struct hearth_model *m)
{
	if (!m)
		return;
	m->dev->backend->models->destroy(m);
	if (m->owned)
		hearth_buffer_destroy(m->weights);
	free(m);
}

int hearth_model_get_info(struct hearth_model *m, struct hearth_model_info *info)
{
	struct hearth_model_info i = { .sz = sizeof(i) };
	int ret;

	i.model_class = m->model_class;
	i.effective_class = m->model_class;
	i.keep_alive_ns = m->keep_alive_ns;
	i.shared = m->weights && hearth_buffer_is_shared(m->weights);
	i.weights_bytes = m->weights ? hearth_buffer_bytes(m->weights) : 0;
	i.uid = geteuid();
	i.pid = getpid();
	memcpy(i.name, m->name, sizeof(i.name));
	ret = m->dev->backend->models->info(m, &i);
	return ret ? ret : hearth_opts_give(info, &i, sizeof(i), "hearth_model_info");
}

int hearth_model_set(struct hearth_model *m, const struct hearth_model_opts *opts)
{
	HEARTH_OPTS_LOCAL(hearth_model_opts, o, opts, ret);
	struct hearth_model old = *m;

	if (ret)
		return ret;
	if (o.name || o.has_reservation)
		return hearth_seterr(-EINVAL,
				     "name and reservation of a model are given when it is opened");
	if (o.model_class != HEARTH_CLASS_DEFAULT)
		m->model_class = o.model_class;
	if (o.keep_alive_ns != HEARTH_KEEP_DEFAULT)
		m->keep_alive_ns = o.keep_alive_ns;
	ret = hearth_class_check(&m->model_class);
	if (!ret)
		ret = check_keep_alive(&m->keep_alive_ns);
	if (!ret)
		ret = m->dev->backend->models->set(m);
	if (ret) {
		m->model_class = old.model_class;
		m->keep_alive_ns = old.keep_alive_ns;
	}
	return ret;
}

int hearth_model_load(struct hearth_model *m)
{
	int ret = m->weights ? hearth_buffer_check_file(m->weights) : 0;

	return ret || !m->weights ? ret : m->dev->backend->models->load(m);
}

int hearth_model_drop(struct hearth_model *m, uint32_t flags, uint64_t *bytes)
{
	uint64_t n = 0;
	int ret = 0;

	if (flags & ~(uint32_t)HEARTH_DROP_CACHE)
		return hearth_seterr(-EINVAL, "unknown drop flags %#x", flags);
	if (m->weights && !hearth_buffer_is_shared(m->weights))
		return hearth_seterr(-EOPNOTSUPP,
				     "the weights are a copy of this process: close the model to free them");
	if (m->weights)
		ret = m->dev->backend->models->drop(m, flags, &n);
	if (!ret && bytes)
		*bytes = n;
	return ret;
}

int hearth_model_advise_state(struct hearth_model *m, bool needed, bool *retained)
{
	if (m->state)
		return hearth_buffer_advise(m->state, needed, retained);
	if (retained)
		*retained = true;
	return 0;
}

int hearth_model_events(struct hearth_model *m, int *event_fd)
{
	return m->dev->backend->models->events(m, event_fd);
}

int hearth_model_list(struct hearth_device *dev,
		      int (*fn)(const struct hearth_model_info *info, void *arg), void *arg)
{
	return dev->backend->models->list(dev, fn, arg);
}
