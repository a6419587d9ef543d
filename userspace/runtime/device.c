// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hw/hearth_mmu.h>

#include "kernels/cpus.h"
#include "runtime/device.h"
#include "runtime/error.h"
#include "runtime/opts.h"

#define MAX_THREADS	64

const char *hearth_version(void)
{
	return HEARTH_VERSION;
}

static int unknown_isa(const char *name, const char *from)
{
	const struct hk_isa *isa;
	char names[128] = "";
	size_t at = 0;

	for (unsigned int i = 0; (isa = hk_isa_list(i)) && at < sizeof(names); i++)
		at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", i ? ", " : "",
				       hk_isa_name(isa));
	return hearth_seterr(-EINVAL, "%s '%s' is unknown, or this CPU lacks it: it has %s",
			     from, name, names);
}

static int pick_isa(const struct hearth_device_opts *opts,
		    const struct hk_isa **isa)
{
	const char *name = opts->isa;

	*isa = name ? hk_isa_by_name(name) : hk_isa_best();
	if (*isa)
		return 0;
	if (name)
		return unknown_isa(name, "isa");
	name = getenv("HEARTH_ISA");
	return unknown_isa(name ? name : "", "isa (from HEARTH_ISA)");
}

/* One per big core that we may use, and on those where cores differ. */
static struct hk_pool *make_pool(unsigned int threads, unsigned int *n)
{
	struct hk_cpus cpus = { .n = 1 };
	cpu_set_t allowed;

	/* Fails on a machine with more cores than the set has bits. */
	if (!sched_getaffinity(0, sizeof(allowed), &allowed))
		hk_cpus_choose(HK_CPUS_SYSFS, &allowed, threads, &cpus);
	*n = threads ? threads : cpus.n;
	*n = *n > MAX_THREADS ? MAX_THREADS : *n;
	return hk_pool_create_on(*n, cpus.mixed ? &cpus.set : NULL);
}

static int cpu_side_init(struct hearth_device *dev,
			 const struct hearth_device_opts *opts)
{
	const struct hk_isa *isa;
	int ret = pick_isa(opts, &isa);

	if (ret)
		return ret;
	dev->info.isa = hk_isa_name(isa);
	dev->pool = make_pool(opts->threads, &dev->info.threads);
	dev->exec = dev->pool ? hk_exec_create(isa, dev->pool) : NULL;
	if (!dev->exec)
		return hearth_seterr(-ENOMEM, "no memory for %u threads",
				     dev->info.threads);
	return 0;
}

static void device_free(struct hearth_device *dev)
{
	hk_exec_destroy(dev->exec);
	hk_pool_destroy(dev->pool);
	pthread_mutex_destroy(&dev->run_lock);
	hearth_table_fini(&dev->table);
	free(dev);
}

static struct hearth_device *device_alloc(void)
{
	struct hearth_device *dev = calloc(1, sizeof(*dev));

	if (!dev)
		return NULL;
	dev->fd = -1;
	if (hearth_table_init(&dev->table, 1ull << HEARTH_MMU_VA_BITS)) {
		free(dev);
		return NULL;
	}
	pthread_mutex_init(&dev->run_lock, NULL);
	return dev;
}

static void cpu_open(struct hearth_device *dev)
{
	dev->backend = &hearth_backend_cpu;
	dev->info.ops = hk_ops_mask();
	dev->info.types = hk_types_mask();
	dev->info.extent_bytes = sysconf(_SC_PAGESIZE);
}

/*
 * Without a name, an NPU that is there but can't be used is an error, not a
 * reason to run much slower in silence.
 */
static int backend_open(struct hearth_device *dev, const char *name)
{
	int ret;

	if (name && !strcmp(name, "cpu")) {
		cpu_open(dev);
		return 0;
	}
	ret = hearth_npu_open(dev, name && strcmp(name, "npu") ? name : NULL);
	if (ret == -ENODEV && !name) {
		cpu_open(dev);
		ret = 0;
	}
	return ret;
}

int hearth_device_open(const char *name, const struct hearth_device_opts *opts,
		       struct hearth_device **out)
{
	HEARTH_OPTS_LOCAL(hearth_device_opts, o, opts, ret);
	struct hearth_device *dev;

	if (ret)
		return ret;
	dev = device_alloc();
	if (!dev)
		return hearth_seterr(-ENOMEM, "no memory for a device");
	ret = cpu_side_init(dev, &o);
	if (!ret)
		ret = backend_open(dev, name);
	if (ret) {
		device_free(dev);
		return ret;
	}
	dev->info.name = dev->backend->name;
	*out = dev;
	return 0;
}

void hearth_device_close(struct hearth_device *dev)
{
	if (!dev)
		return;
	dev->backend->close(dev);
	device_free(dev);
}

int hearth_device_get_info(const struct hearth_device *dev,
			   struct hearth_device_info *info)
{
	return hearth_opts_give(info, &dev->info, sizeof(dev->info), "hearth_device_info");
}

void hearth_fault_describe(char *buf, size_t size, const char *engine,
			   const struct hk_fault *f)
{
	const char *op = hk_op_name(f->opcode);
	int n = snprintf(buf, size, "%s: command %u (%s): ", engine, f->op_index,
			 op ? op : "unknown");

	if (n < 0 || (size_t)n >= size)
		return;
	buf += n;
	size -= n;
	switch (f->error) {
	case HEARTH_HW_ERR_READ:
	case HEARTH_HW_ERR_WRITE:
		snprintf(buf, size, "%s of device address %#llx, which is not %s",
			 f->error == HEARTH_HW_ERR_READ ? "read" : "write",
			 (unsigned long long)f->addr,
			 f->error == HEARTH_HW_ERR_READ ? "mapped" :
							  "mapped for writing");
		break;
	case HEARTH_HW_ERR_BUS:
		snprintf(buf, size, "bus error at %#llx",
			 (unsigned long long)f->addr);
		break;
	case HEARTH_HW_ERR_OPCODE:
		snprintf(buf, size, "opcode %u is not known", f->opcode);
		break;
	default:
		snprintf(buf, size, "field '%s' is out of its range",
			 f->field ? f->field : "?");
	}
}

/* Commands of [stream, stream + bytes) one by one; index in fault->op_index. */
static int run_stream(struct hearth_device *dev, const char *stream,
		      uint64_t bytes, struct hk_fault *fault)
{
	uint64_t at = 0;

	while (at < bytes) {
		int ret = hk_exec_one(dev->exec, &dev->table.space,
				      (const void *)(stream + at), bytes - at,
				      fault);

		if (ret < 0)
			return ret;
		at += ret;
		fault->op_index++;
	}
	return 0;
}

int hearth_device_run_cpu(struct hearth_device *dev, uint64_t va, uint64_t bytes)
{
	struct hk_fault fault = { .opcode = ~0u };
	const char *stream;
	char msg[256];
	int ret;

	if (!bytes || (bytes & 7) || (va & 7))
		return hearth_seterr(-EINVAL,
				     "stream at %#llx of %llu bytes: both must be multiples of 8, and bytes not 0",
				     (unsigned long long)va,
				     (unsigned long long)bytes);
	stream = hearth_table_find(&dev->table, va, bytes, HK_READ);
	if (!stream)
		return hearth_seterr(-EFAULT,
				     "stream at %#llx of %llu bytes is not in a buffer",
				     (unsigned long long)va,
				     (unsigned long long)bytes);
	pthread_mutex_lock(&dev->run_lock);
	ret = run_stream(dev, stream, bytes, &fault);
	pthread_mutex_unlock(&dev->run_lock);
	if (!ret)
		return 0;
	if (ret == -ENOMEM)
		return hearth_seterr(ret, "cpu: command %u (%s): no memory",
				     fault.op_index, hk_op_name(fault.opcode));
	hearth_fault_describe(msg, sizeof(msg), "cpu", &fault);
	return hearth_seterr(ret, "%s", msg);
}
