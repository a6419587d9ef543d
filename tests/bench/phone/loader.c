// SPDX-License-Identifier: MIT
/*
 * A program that loads a model and its state, and holds them: loader DEVICE FILE
 * STATE_BYTES CLASS. It says `loaded' or `error WHY', and ends with its input.
 * If memory runs out the kernel shall take this one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hearth.h>

#include "meter.h"
#include "roles.h"

#define PIECE	(128 * MIB)

static void be_the_victim(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "1000", 4) != 4)
		perror("oom_score_adj");
	close(fd);
}

static int hold_state(struct hearth_device *dev, uint64_t bytes)
{
	while (bytes) {
		uint64_t n = bytes < PIECE ? bytes : PIECE;
		struct hearth_buffer *buf;
		int ret = hearth_buffer_create(dev, n, NULL, &buf);

		if (ret)
			return ret;
		memset(hearth_buffer_data(buf), 1, n);
		bytes -= n;
	}
	return 0;
}

int role_loader(int argc, char **argv)
{
	HEARTH_OPTS(hearth_model_opts, opts);
	struct hearth_device *dev;
	struct hearth_model *model;
	int ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	be_the_victim();
	if (argc != 5)
		return 2;
	ret = hearth_class_parse(argv[4], &opts.model_class);
	ret = ret ? ret : hearth_device_open(argv[1], NULL, &dev);
	ret = ret ? ret : hearth_model_open(argv[2], dev, &opts, &model);
	ret = ret ? ret : hold_state(dev, strtoull(argv[3], NULL, 10));
	ret = ret ? ret : hearth_model_load(model);
	if (ret) {
		printf("error %d %s\n", ret, hearth_errmsg());
		return 1;
	}
	printf("loaded\n");
	while (getchar() != EOF)
		;
	return 0;
}
