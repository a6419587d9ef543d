// SPDX-License-Identifier: GPL-2.0
/*
 * Reservations. The promise lives as long as its file: it is passed to another
 * process with the file descriptor, and ends with the last one.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <drm/drm_device.h>
#include <drm/drm_drv.h>

#include "hearth_device.h"
#include "hearth_reclaim.h"

/**
 * struct hearth_promise - a reservation's file
 */
struct hearth_promise {
	/** @hdev: Device; holds it. */
	struct hearth_device *hdev;

	/** @reservation: The bytes; holds it. */
	struct hearth_reservation *reservation;
};

static void hearth_promise_free(struct hearth_promise *promise)
{
	hearth_reservation_release(promise->reservation);
	hearth_reservation_put(promise->reservation);
	drm_dev_put(&promise->hdev->base);
	kfree(promise);
}

static int hearth_promise_release(struct inode *inode, struct file *file)
{
	hearth_promise_free(file->private_data);
	return 0;
}

static void hearth_promise_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct hearth_promise *promise = file->private_data;

	seq_printf(m, "hearth-reserved:\t%llu\nhearth-used:\t%llu\n",
		   READ_ONCE(promise->reservation->bytes), READ_ONCE(promise->reservation->used));
}

static const struct file_operations hearth_promise_fops = {
	.owner = THIS_MODULE,
	.release = hearth_promise_release,
	.show_fdinfo = hearth_promise_show_fdinfo,
	.llseek = noop_llseek,
};

struct hearth_reservation *hearth_reservation_from_fd(struct hearth_device *hdev, int fd)
{
	struct hearth_reservation *reservation = ERR_PTR(-EINVAL);
	struct hearth_promise *promise;
	struct file *file = fget(fd);

	if (!file)
		return ERR_PTR(-EBADF);
	if (file->f_op == &hearth_promise_fops) {
		promise = file->private_data;
		if (promise->hdev == hdev)
			reservation = hearth_reservation_get(promise->reservation);
	}
	fput(file);
	return reservation;
}

/* Drops others for it if it must, as a charge would. */
static struct hearth_reservation *hearth_reserve_bytes(struct hearth_device *hdev,
						       struct hearth_account *account,
						       u64 bytes, u32 class)
{
	struct hearth_reservation *reservation;
	struct hearth_lack lack;
	unsigned int round;

	for (round = 0; round < HEARTH_CHARGE_ROUNDS; round++) {
		reservation = hearth_reservation_create(account, bytes, &lack);
		if (PTR_ERR_OR_ZERO(reservation) != -EDQUOT ||
		    !hearth_reclaim_for(hdev, NULL, account, &lack, class))
			break;
	}
	return reservation;
}

static struct hearth_promise *hearth_promise_create(struct hearth_device *hdev,
						    struct hearth_account *account, u64 bytes,
						    u32 class)
{
	struct hearth_promise *promise = kzalloc(sizeof(*promise), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!promise)
		return ERR_PTR(-ENOMEM);
	promise->reservation = hearth_reserve_bytes(hdev, account, bytes, class);
	if (IS_ERR(promise->reservation)) {
		ret = PTR_ERR(promise->reservation);
		kfree(promise);
		/* Somebody was faster than our answer. */
		return ERR_PTR(ret == -EDQUOT ? -EBUSY : ret);
	}
	drm_dev_get(&hdev->base);
	promise->hdev = hdev;
	return promise;
}

int hearth_ioctl_reserve(struct drm_device *drm, void *data, struct drm_file *file)
{
	struct hearth_device *hdev = to_hearth_device(drm);
	struct hearth_account *account = to_hearth_file(file)->account;
	struct drm_hearth_reserve *args = data;
	struct hearth_demand demand = { .class = args->model_class };
	struct hearth_judgement judgement;
	struct hearth_promise *promise;

	if (args->flags || args->pad || !args->bytes || args->model_class >= HEARTH_CLASSES)
		return -EINVAL;
	/* No device has as much, and the sum below does not wrap. */
	if (args->bytes > U64_MAX / 2)
		return -EDQUOT;

	demand.scratch = ALIGN(args->bytes, SZ_2M);
	demand.class = hearth_class_effective(args->model_class, hearth_file_in_background(file),
					      false);
	hearth_admit_judge(hdev, account, &demand, NULL, &judgement);
	if (judgement.verdict == DRM_HEARTH_ADMIT_NEVER)
		return -EDQUOT;
	if (judgement.verdict == DRM_HEARTH_ADMIT_WAIT)
		return -EBUSY;

	promise = hearth_promise_create(hdev, account, demand.scratch, demand.class);
	if (IS_ERR(promise))
		return PTR_ERR(promise);
	args->fd = anon_inode_getfd("[hearth_reservation]", &hearth_promise_fops, promise,
				    O_RDWR | O_CLOEXEC);
	if (args->fd < 0) {
		hearth_promise_free(promise);
		return args->fd;
	}
	args->bytes = demand.scratch;
	return 0;
}
