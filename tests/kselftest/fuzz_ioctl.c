// SPDX-License-Identifier: MIT
/*
 * Calls that are nearly right, in an order that nobody would choose, from a
 * fixed seed. No call may do harm: the kernel's log stays clean, nothing is
 * left, and others find the device as it was.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <hw/hearth_cmd.h>

#include "harness.h"
#include "weights.h"

#define CALLS		15000
#define FILES		3
#define KINDS		14
#define BYTES		(64 * NPU_PAGE)
#define PATH		WEIGHTS_FOLDER "/fuzz"

struct fuzz {
	uint64_t seed;
	int fds[FILES];
	uint8_t *memory;
	int weights;
	unsigned int good[KINDS], bad[KINDS];
};

static uint64_t next(struct fuzz *f)
{
	f->seed ^= f->seed << 13;
	f->seed ^= f->seed >> 7;
	f->seed ^= f->seed << 17;
	return f->seed;
}

static bool one_in(struct fuzz *f, unsigned int n)
{
	return !(next(f) % n);
}

/* A number that somebody may have forgotten. */
static uint64_t odd_number(struct fuzz *f)
{
	static const uint64_t odd[] = {
		0, 1, 7, 8, 0xfff, 0x1000, 0x1001, 0x1fffff, 0x200000, 0x7fffffff, 0x80000000,
		0xffffffff, 0x100000000, 0x7fffffffff, 0x8000000000, 0x7ffffffffffff000,
		0x8000000000000000, 0xfffffffffffff000, UINT64_MAX,
	};
	uint64_t value = odd[next(f) % (sizeof(odd) / sizeof(odd[0]))];

	return one_in(f, 4) ? value + next(f) % 17 - 8 : value;
}

/* Ids and handles are small; most are of something that is there. */
static uint32_t id(struct fuzz *f)
{
	return one_in(f, 60) ? odd_number(f) : 1 + next(f) % 6;
}

static uint32_t flags(struct fuzz *f, uint32_t known)
{
	return one_in(f, 60) ? odd_number(f) : next(f) & known;
}

static uint64_t pointer(struct fuzz *f)
{
	return one_in(f, 40) ? odd_number(f) : NPU_PTR(f->memory + next(f) % (BYTES / 2));
}

static uint64_t address(struct fuzz *f)
{
	return one_in(f, 60) ? odd_number(f) : 0x10000000 + next(f) % 64 * 0x10000;
}

static uint64_t size(struct fuzz *f)
{
	return one_in(f, 60) ? odd_number(f) : (1 + next(f) % 16) * NPU_PAGE;
}

/* Elements in the next free part of the memory. */
static struct drm_hearth_array array(struct fuzz *f, void *elements, uint32_t stride,
				     uint32_t count)
{
	return (struct drm_hearth_array){
		.stride = one_in(f, 100) ? odd_number(f) : stride,
		.count = one_in(f, 100) ? odd_number(f) : count,
		.array = one_in(f, 100) ? odd_number(f) : NPU_PTR(elements),
	};
}

static struct drm_hearth_array syncs(struct fuzz *f, unsigned int at)
{
	struct drm_hearth_sync *s = (void *)(f->memory + 0x20000 + at * 0x200);
	uint32_t i, count = next(f) % 3;

	for (i = 0; i < count; i++)
		s[i] = (struct drm_hearth_sync){
			.handle = id(f), .flags = one_in(f, 60) ? odd_number(f) : 1 + next(f) % 2,
			.point = one_in(f, 2) ? 0 : one_in(f, 60) ? odd_number(f) : next(f) % 100,
		};
	return array(f, s, sizeof(*s), count);
}

static int dev_query(struct fuzz *f, int fd)
{
	struct drm_hearth_dev_query args = {
		.type = next(f) % 3, .size = one_in(f, 4) ? size(f) : next(f) % 128,
		.pointer = pointer(f),
	};

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_DEV_QUERY, &args);
}

static int vm_call(struct fuzz *f, int fd)
{
	struct drm_hearth_vm_create create = { .flags = flags(f, 0) };
	struct drm_hearth_vm_destroy destroy = { .vm_id = id(f), .pad = flags(f, 0) };

	if (one_in(f, 12))
		return npu_ioctl(fd, DRM_IOCTL_HEARTH_VM_DESTROY, &destroy);
	if (one_in(f, 2))
		return npu_vm_state(fd, id(f)) < 0;
	return npu_ioctl(fd, DRM_IOCTL_HEARTH_VM_CREATE, &create);
}

static int bo_call(struct fuzz *f, int fd)
{
	struct drm_hearth_bo_create create = { .size = size(f), .flags = flags(f, 3) };
	struct drm_hearth_bo_mmap_offset offset = { .handle = id(f), .pad = flags(f, 0) };
	void *p;

	if (one_in(f, 5))
		return npu_bo_close(fd, id(f));
	if (one_in(f, 2))
		return npu_ioctl(fd, DRM_IOCTL_HEARTH_BO_CREATE, &create);
	if (npu_ioctl(fd, DRM_IOCTL_HEARTH_BO_MMAP_OFFSET, &offset))
		return -EINVAL;
	p = mmap(NULL, NPU_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset.offset);
	if (p == MAP_FAILED)
		return -errno;
	/* Not by ourselves: behind the size of state there is a SIGBUS, here -EFAULT. */
	syscall(SYS_getrandom, (uint8_t *)p + next(f) % NPU_PAGE, 1, 0);
	return munmap(p, NPU_PAGE);
}

static int state_call(struct fuzz *f, int fd)
{
	struct drm_hearth_bo_resize resize = {
		.handle = id(f), .pad = flags(f, 0), .size = one_in(f, 3) ? 0 : size(f),
	};
	struct drm_hearth_bo_advise advise = {
		.handle = id(f), .advice = flags(f, 1), .retained = flags(f, 0),
		.pad = flags(f, 0),
	};

	if (one_in(f, 2))
		return npu_ioctl(fd, DRM_IOCTL_HEARTH_BO_ADVISE, &advise);
	return npu_ioctl(fd, DRM_IOCTL_HEARTH_BO_RESIZE, &resize);
}

static int vm_bind(struct fuzz *f, int fd)
{
	struct drm_hearth_bind_op *ops = (void *)(f->memory + 0x30000);
	struct drm_hearth_vm_bind args = {
		.vm_id = id(f), .flags = flags(f, DRM_HEARTH_VM_BIND_ASYNC),
	};
	uint32_t i, count = 1 + next(f) % 4;

	for (i = 0; i < count; i++) {
		ops[i] = (struct drm_hearth_bind_op){
			.op = next(f) % 2, .va = address(f),
			.size = one_in(f, 20) ? size(f) : (1 + next(f) % 4) * NPU_PAGE,
		};
		if (ops[i].op == DRM_HEARTH_BIND_MAP || one_in(f, 60)) {
			ops[i].bo_handle = id(f);
			ops[i].bo_offset = one_in(f, 4) ? size(f) : 0;
			ops[i].flags = flags(f, DRM_HEARTH_BIND_READONLY);
		}
		if (args.flags || one_in(f, 60))
			ops[i].syncs = syncs(f, i);
	}
	args.ops = array(f, ops, sizeof(*ops), count);
	return npu_ioctl(fd, DRM_IOCTL_HEARTH_VM_BIND, &args);
}

static int queue_call(struct fuzz *f, int fd)
{
	struct drm_hearth_queue_create create = {
		.vm_id = id(f), .priority = one_in(f, 30) ? odd_number(f) : next(f) % 4,
		.flags = flags(f, 0),
		.progress_timeout_ns = one_in(f, 30) ? odd_number(f) : NPU_SECOND / 4,
		.job_timeout_ns = one_in(f, 30) ? odd_number(f) : NPU_SECOND,
	};
	struct drm_hearth_queue_destroy destroy = { .queue_id = id(f), .pad = flags(f, 0) };
	struct drm_hearth_query_fault fault = { .queue_id = id(f), .flags = flags(f, 0) };

	if (one_in(f, 4))
		return npu_ioctl(fd, DRM_IOCTL_HEARTH_QUEUE_DESTROY, &destroy);
	if (one_in(f, 4))
		return npu_ioctl(fd, DRM_IOCTL_HEARTH_QUERY_FAULT, &fault);
	return npu_ioctl(fd, DRM_IOCTL_HEARTH_QUEUE_CREATE, &create);
}

static int submit(struct fuzz *f, int fd)
{
	struct drm_hearth_job *jobs = (void *)(f->memory + 0x28000);
	struct drm_hearth_submit args = { .queue_id = id(f), .flags = flags(f, 0) };
	uint32_t i, count = 1 + next(f) % 4;

	for (i = 0; i < count; i++)
		jobs[i] = (struct drm_hearth_job){
			.stream_va = address(f),
			.stream_bytes = one_in(f, 60) ? odd_number(f) : 8 * (1 + next(f) % 64),
			.syncs = syncs(f, i),
		};
	args.jobs = array(f, jobs, sizeof(*jobs), count);
	return npu_ioctl(fd, DRM_IOCTL_HEARTH_SUBMIT, &args);
}

static int syncobj_call(struct fuzz *f, int fd)
{
	if (one_in(f, 12))
		return npu_syncobj_destroy(fd, id(f));
	if (one_in(f, 2))
		return npu_syncobj_signal(fd, id(f), next(f) % 100);
	return npu_syncobj_create(fd, !one_in(f, 8)) < 0;
}

/* Without a disk there are no buffers to make models of; then all are refused. */
static int file_call(struct fuzz *f, int fd)
{
	struct drm_hearth_bo_create_file args = {
		.fd = one_in(f, 40) ? (int)odd_number(f) : f->weights, .flags = flags(f, 0),
		.offset = one_in(f, 4) ? size(f) : next(f) % 3 * 0x200000,
		.size = one_in(f, 3) ? size(f) : 0, .pad = flags(f, 0),
	};

	return npu_ioctl(fd, DRM_IOCTL_HEARTH_BO_CREATE_FILE, &args);
}

static int model_create(struct fuzz *f, int fd)
{
	uint32_t *bos = (void *)(f->memory + 0x2c000), i, count = 1 + next(f) % 2;
	struct drm_hearth_model_create args = {
		.keep_alive_ns = one_in(f, 30) ? odd_number(f) : next(f) % 3 * 1000000 - 1,
		.model_class = one_in(f, 30) ? odd_number(f) : next(f) % 4, .flags = flags(f, 0),
		.reservation_fd = one_in(f, 30) ? (int)odd_number(f) : -1,
	};

	for (i = 0; i < count; i++)
		bos[i] = id(f);
	args.bos = array(f, bos, sizeof(*bos), count);
	return npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_CREATE, &args);
}

static int model_events(int fd, uint32_t model)
{
	struct drm_hearth_model_events args = { .model_id = model };
	int ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_EVENTS, &args);

	return ret ? ret : close(args.fd);
}

static int model_call(struct fuzz *f, int fd)
{
	struct drm_hearth_model_destroy destroy = { .model_id = id(f), .pad = flags(f, 0) };
	struct drm_hearth_model_drop drop = { .model_id = id(f), .flags = flags(f, 1) };
	struct drm_hearth_model_get get = {
		.model_id = id(f), .size = next(f) % 256, .pointer = pointer(f),
	};
	struct drm_hearth_model_set set = {
		.model_id = id(f), .fields = flags(f, 3), .model_class = next(f) % 5,
		.keep_alive_ns = one_in(f, 30) ? odd_number(f) : next(f) % 1000000,
	};
	struct drm_hearth_model_list list = {
		.models = array(f, f->memory + 0x24000, one_in(f, 2) ? 184 : 16, next(f) % 20),
	};

	switch (next(f) % 8) {
	case 0:
		return npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_DESTROY, &destroy);
	case 1:
		return npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_DROP, &drop);
	case 2:
		return npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_GET, &get);
	case 3:
		return npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_SET, &set);
	case 4:
		return npu_ioctl(fd, DRM_IOCTL_HEARTH_MODEL_LIST, &list);
	case 5:
		return model_events(fd, id(f));
	default:
		return model_create(f, fd);
	}
}

static int admit_call(struct fuzz *f, int fd)
{
	struct drm_hearth_admit admit = {
		.demand = {
			.weights_bytes = size(f), .state_bytes = size(f), .scratch_bytes = size(f),
			.model_class = one_in(f, 30) ? odd_number(f) : next(f) % 4,
			.weights_fd = one_in(f, 3) ? f->weights : one_in(f, 30) ? 777 : -1,
		},
		.flags = flags(f, DRM_HEARTH_ADMIT_BLOCK), .pad = flags(f, 0),
		.timeout_ns = one_in(f, 2) ? 1 + next(f) % 1000000 : 0,
		.victims = array(f, f->memory + 0x24000, 184, next(f) % 20),
	};
	struct drm_hearth_reserve reserve = {
		.bytes = size(f), .model_class = next(f) % 5, .flags = flags(f, 0),
	};
	int ret;

	if (one_in(f, 2))
		return npu_ioctl(fd, DRM_IOCTL_HEARTH_ADMIT, &admit);
	ret = npu_ioctl(fd, DRM_IOCTL_HEARTH_RESERVE, &reserve);
	return ret ? ret : close(reserve.fd);
}

/* Between files, by PRIME. */
static int prime_call(struct fuzz *f, int fd)
{
	int dma_buf = npu_export(fd, id(f), DRM_CLOEXEC | DRM_RDWR), ret;

	if (dma_buf < 0)
		return dma_buf;
	ret = npu_import(f->fds[next(f) % FILES], dma_buf);
	close(dma_buf);
	return ret < 0 ? ret : 0;
}

/* Any number, any size, any bytes. */
static int raw(struct fuzz *f, int fd)
{
	uint64_t args[32];
	unsigned long request;
	size_t i;

	for (i = 0; i < 32; i++)
		args[i] = one_in(f, 3) ? odd_number(f) : next(f) % 16;
	request = _IOC(next(f) % 4, 'd', DRM_COMMAND_BASE + next(f) % 26, next(f) % sizeof(args));
	return npu_ioctl(fd, request, one_in(f, 20) ? (void *)(uintptr_t)odd_number(f) : args);
}

/* A life that ends without a word. */
static int reopen(struct fuzz *f, int fd)
{
	int i, fresh = npu_open();

	if (fresh < 0)
		return fresh;
	for (i = 0; i < FILES; i++) {
		if (f->fds[i] == fd)
			f->fds[i] = fresh;
	}
	return close(fd);
}

static const struct {
	const char *name;
	int (*make)(struct fuzz *f, int fd);
	unsigned int weight;
} calls[KINDS] = {
	{ "dev_query", dev_query, 12 },
	{ "vm", vm_call, 32 },
	{ "bo", bo_call, 40 },
	{ "state", state_call, 14 },
	{ "file", file_call, 10 },
	{ "model", model_call, 26 },
	{ "admit", admit_call, 14 },
	{ "vm_bind", vm_bind, 68 },
	{ "queue", queue_call, 54 },
	{ "submit", submit, 65 },
	{ "syncobj", syncobj_call, 32 },
	{ "prime", prime_call, 12 },
	{ "raw", raw, 20 },
	{ "reopen", reopen, 1 },
};

static void call(struct fuzz *f)
{
	unsigned int i, at = next(f) % 400;

	for (i = 0; at >= calls[i].weight; i++)
		at -= calls[i].weight;
	if (calls[i].make(f, f->fds[next(f) % FILES]))
		f->bad[i]++;
	else
		f->good[i]++;
}

static int fuzz_init(struct fuzz *f, uint64_t seed)
{
	int i;

	*f = (struct fuzz){ .seed = seed, .weights = -1 };
	if (!weights_lack(0) && !weights_write(PATH, 5000000, 1))
		f->weights = open(PATH, O_RDONLY | O_CLOEXEC);
	f->memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f->memory == MAP_FAILED)
		return -errno;
	for (i = 0; i < FILES; i++) {
		f->fds[i] = npu_open();
		if (f->fds[i] < 0)
			return f->fds[i];
	}
	return 0;
}

static void fuzz_fini(struct fuzz *f)
{
	int i;

	for (i = 0; i < FILES; i++)
		close(f->fds[i]);
	close(f->weights);
	unlink(PATH);
	munmap(f->memory, BYTES);
}

FIXTURE(fuzz)
{
};

FIXTURE_SETUP(fuzz)
{
	int fd = npu_open();

	if (fd == -ENOENT)
		SKIP("no NPU");
	ASSERT_GE(fd, 0);
	close(fd);
	ASSERT_EQ(rig_idle(), 0);
}

FIXTURE_TEARDOWN(fuzz)
{
	EXPECT_EQ(rig_other_process_works(), 0);
	EXPECT_EQ(rig_idle(), 0);
}

/* A kind of call that is refused always, or never, tests nothing. */
static void run(struct harness_report *_report, uint64_t seed)
{
	unsigned int i;
	struct fuzz f;

	ASSERT_EQ(fuzz_init(&f, seed), 0);
	for (i = 0; i < CALLS; i++)
		call(&f);
	for (i = 0; i < KINDS; i++) {
		printf("# %s: %u succeeded, %u were refused\n", calls[i].name, f.good[i],
		       f.bad[i]);
		EXPECT_GE(f.good[i], calls[i].make == raw ||
			  (f.weights < 0 && calls[i].make == file_call) ? 0u : 10u);
		EXPECT_TRUE(f.bad[i] >= 10 || calls[i].make == reopen);
	}
	fuzz_fini(&f);
}

TEST_F_TIMEOUT(fuzz, one_thread, 150)
{
	run(_report, 0x9e3779b97f4a7c15);
}

TEST_F_TIMEOUT(fuzz, another_seed, 150)
{
	run(_report, 0xd1b54a32d192ed03);
}

/* Three threads on the same files: what one uses, another destroys. */
struct thread {
	struct fuzz fuzz;
	pthread_t thread;
	unsigned int calls;
};

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	unsigned int i;

	for (i = 0; i < t->calls; i++)
		call(&t->fuzz);
	return NULL;
}

TEST_F_TIMEOUT(fuzz, three_threads, 150)
{
	struct thread threads[3];
	struct fuzz shared;
	int i;

	ASSERT_EQ(fuzz_init(&shared, 1), 0);
	for (i = 0; i < 3; i++) {
		threads[i].fuzz = shared;
		threads[i].fuzz.seed = 0x2545f4914f6cdd1d + i;
		threads[i].fuzz.memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT_NE(threads[i].fuzz.memory, MAP_FAILED);
		threads[i].calls = CALLS / 3;
		ASSERT_EQ(pthread_create(&threads[i].thread, NULL, thread_main, &threads[i]), 0);
	}
	for (i = 0; i < 3; i++)
		EXPECT_EQ(pthread_join(threads[i].thread, NULL), 0);
	/* Those that were opened anew end with the process. */
	fuzz_fini(&shared);
	for (i = 0; i < 3; i++)
		fuzz_fini(&threads[i].fuzz);
}

/* Streams of noise: what the device makes of them is a fault at worst. */
static size_t noise(struct fuzz *f, uint8_t *p, size_t bytes)
{
	struct hearth_cmd_header cmd;
	size_t n = 0, i;

	while (n + HEARTH_CMD_MAX_BYTES <= bytes) {
		uint32_t length = 8 * (1 + next(f) % 24);

		for (i = 0; i < length; i += 8) {
			uint64_t word = one_in(f, 2) ? next(f) % 64 : NPU_STREAM_VA + next(f) % 0x10000;

			if (one_in(f, 10))
				word = odd_number(f);
			memcpy(p + n + i, &word, 8);
		}
		cmd = (struct hearth_cmd_header){ .op = next(f) % 43, .bytes = length };
		memcpy(p + n, &cmd, sizeof(cmd));
		n += length;
	}
	return n;
}

TEST_F_TIMEOUT(fuzz, streams, 150)
{
	struct fuzz f = { .seed = 0xbf58476d1ce4e5b9 };
	unsigned int i, failed = 0;
	struct npu_ctx ctx;
	int fd = npu_open(), ret;
	size_t bytes;

	ASSERT_GE(fd, 0);
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(npu_ctx_init(&ctx, fd, DRM_HEARTH_QUEUE_NORMAL), 0);
		bytes = noise(&f, ctx.stream, 0x800);
		ret = npu_ctx_run(&ctx, bytes, RIG_DEADLINE);
		EXPECT_TRUE(!ret || ret == -EFAULT || ret == -EINVAL);
		failed += ret != 0;
		npu_ctx_fini(&ctx);
	}
	EXPECT_GT(failed, 100u);
	close(fd);
}

TEST_HARNESS_MAIN
