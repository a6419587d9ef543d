// SPDX-License-Identifier: GPL-2.0
/*
 * Attributes of the device: the budget, and what monitors of NPUs read. See
 * Documentation/ABI/testing/sysfs-driver-hearth.
 */
#include <linux/device.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/sysfs.h>

#include <drm/drm_drv.h>

#include "hearth_device.h"
#include "hearth_queue.h"
#include "hearth_reclaim.h"
#include "hearth_sysfs.h"

/* Percents of less than this are noise. */
#define HEARTH_BUSY_WINDOW_NS	(50 * NSEC_PER_MSEC)

static u64 hearth_sysfs_resident(struct hearth_device *hdev)
{
	struct hearth_budget_sums sums;

	hearth_budget_read(&hdev->budget, NULL, &sums);
	return sums.plain + sums.promised_used;
}

static ssize_t npu_memory_total_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%llu\n", READ_ONCE(hdev->budget.bytes));
}
static DEVICE_ATTR_RO(npu_memory_total);

static ssize_t npu_memory_utilization_show(struct device *dev, struct device_attribute *attr,
					   char *buf)
{
	return sysfs_emit(buf, "%llu\n", hearth_sysfs_resident(dev_get_drvdata(dev)));
}
static DEVICE_ATTR_RO(npu_memory_utilization);

static u64 hearth_sysfs_busy_ns(struct hearth_device *hdev)
{
	struct hearth_queue *queue;
	u64 ns;

	mutex_lock(&hdev->queues_lock);
	ns = hdev->retired_ns;
	list_for_each_entry(queue, &hdev->queues, node)
		ns += hearth_queue_busy_ns(queue);
	mutex_unlock(&hdev->queues_lock);
	return ns;
}

/*
 * Between two reads, whoever made them. Queues on several engines may be busy
 * for longer than the clock ran: that is all there is.
 */
static unsigned int hearth_sysfs_busy_percent(struct hearth_device *hdev)
{
	ktime_t now = ktime_get();
	s64 passed;
	u64 ns;

	mutex_lock(&hdev->busy.lock);
	passed = ktime_to_ns(ktime_sub(now, hdev->busy.at));
	if (passed >= HEARTH_BUSY_WINDOW_NS) {
		ns = hearth_sysfs_busy_ns(hdev);
		hdev->busy.percent = min(div64_u64((ns - hdev->busy.ns) * 100, passed), 100ULL);
		hdev->busy.ns = ns;
		hdev->busy.at = now;
	}
	mutex_unlock(&hdev->busy.lock);
	return hdev->busy.percent;
}

static ssize_t npu_busy_percent_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);
	unsigned int percent;
	int idx;

	if (!drm_dev_enter(&hdev->base, &idx))
		return -ENODEV;
	percent = hearth_sysfs_busy_percent(hdev);
	drm_dev_exit(idx);
	return sysfs_emit(buf, "%u\n", percent);
}
static DEVICE_ATTR_RO(npu_busy_percent);

static int hearth_sysfs_bytes(const char *buf, u64 *bytes)
{
	u64 ram = (u64)totalram_pages() << PAGE_SHIFT;
	int ret = kstrtou64(buf, 0, bytes);

	return ret ?: *bytes > ram ? -EINVAL : 0;
}

static void hearth_sysfs_set(struct hearth_device *hdev, u64 *field, u64 bytes)
{
	spin_lock(&hdev->budget.lock);
	*field = bytes;
	spin_unlock(&hdev->budget.lock);
	wake_up_all(&hdev->budget.freed);
}

static ssize_t memory_budget_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return npu_memory_total_show(dev, attr, buf);
}

static ssize_t memory_budget_store(struct device *dev, struct device_attribute *attr,
				   const char *buf, size_t count)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);
	u64 bytes;
	int ret = hearth_sysfs_bytes(buf, &bytes);

	if (ret)
		return ret;
	hearth_sysfs_set(hdev, &hdev->budget.bytes, bytes);
	hearth_budget_enforce(hdev);
	return count;
}
static DEVICE_ATTR_RW(memory_budget);

static ssize_t uid_quota_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);
	u64 quota = READ_ONCE(hdev->budget.quota);

	if (quota == HEARTH_QUOTA_BUDGET)
		return sysfs_emit(buf, "max\n");
	return sysfs_emit(buf, "%llu\n", quota);
}

static ssize_t uid_quota_store(struct device *dev, struct device_attribute *attr, const char *buf,
			       size_t count)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);
	u64 bytes = HEARTH_QUOTA_BUDGET;
	int ret = sysfs_streq(buf, "max") ? 0 : hearth_sysfs_bytes(buf, &bytes);

	if (ret)
		return ret;
	hearth_sysfs_set(hdev, &hdev->budget.quota, bytes);
	return count;
}
static DEVICE_ATTR_RW(uid_quota);

static ssize_t pinned_quota_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%llu\n", READ_ONCE(hdev->budget.pinned_quota));
}

static ssize_t pinned_quota_store(struct device *dev, struct device_attribute *attr,
				  const char *buf, size_t count)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);
	u64 bytes;
	int ret = hearth_sysfs_bytes(buf, &bytes);

	if (ret)
		return ret;
	hearth_sysfs_set(hdev, &hdev->budget.pinned_quota, bytes);
	return count;
}
static DEVICE_ATTR_RW(pinned_quota);

static ssize_t memory_reserved_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);
	struct hearth_budget_sums sums;

	hearth_budget_read(&hdev->budget, NULL, &sums);
	return sysfs_emit(buf, "%llu\n", sums.promised - sums.promised_used);
}
static DEVICE_ATTR_RO(memory_reserved);

static ssize_t memory_droppable_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct drm_hearth_memory memory = { };

	hearth_query_memory(dev_get_drvdata(dev), NULL, &memory);
	return sysfs_emit(buf, "%llu\n", memory.droppable);
}
static DEVICE_ATTR_RO(memory_droppable);

static ssize_t restored_bytes_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%lld\n", atomic64_read(&hdev->reclaim.restored_bytes));
}
static DEVICE_ATTR_RO(restored_bytes);

static ssize_t restored_ns_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct hearth_device *hdev = dev_get_drvdata(dev);

	return sysfs_emit(buf, "%lld\n", atomic64_read(&hdev->reclaim.restored_ns));
}
static DEVICE_ATTR_RO(restored_ns);

static struct attribute *hearth_sysfs_npu_attrs[] = {
	&dev_attr_npu_memory_total.attr,
	&dev_attr_npu_memory_utilization.attr,
	&dev_attr_npu_busy_percent.attr,
	NULL
};

static const struct attribute_group hearth_sysfs_npu_group = {
	.attrs = hearth_sysfs_npu_attrs,
};

static struct attribute *hearth_sysfs_attrs[] = {
	&dev_attr_memory_budget.attr,
	&dev_attr_memory_droppable.attr,
	&dev_attr_memory_reserved.attr,
	&dev_attr_pinned_quota.attr,
	&dev_attr_restored_bytes.attr,
	&dev_attr_restored_ns.attr,
	&dev_attr_uid_quota.attr,
	NULL
};

static const struct attribute_group hearth_sysfs_group = {
	.name = "hearth",
	.attrs = hearth_sysfs_attrs,
};

const struct attribute_group *hearth_sysfs_groups[] = {
	&hearth_sysfs_npu_group,
	&hearth_sysfs_group,
	NULL
};
