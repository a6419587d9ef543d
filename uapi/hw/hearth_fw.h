/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * Hearth device contract: firmware image, boot arguments, rings, messages.
 *
 * Everything here lies in host memory and is little endian. An index counts
 * up for ever as a u32 and is taken modulo the ring's size (a power of two);
 * insert - extract is the fill, never more than the size. Who writes an index
 * is fixed; the other side only reads it, and trusts it no further than that
 * rule.
 */
#ifndef _HEARTH_FW_H_
#define _HEARTH_FW_H_

#include <linux/types.h>

#include "hearth_regs.h"

#define HEARTH_FW_PATH			"hearth/npu.fw"
#define HEARTH_FW_MAGIC			0x57465248	/* "HRFW" */

/**
 * struct hearth_fw_header - first bytes of the firmware image
 */
struct hearth_fw_header {
	/** @magic: HEARTH_FW_MAGIC. */
	__le32 magic;

	/** @header_bytes: Size of this header as the image was built. */
	__le32 header_bytes;

	/** @image_bytes: Size of the image, header included. */
	__le32 image_bytes;

	/** @contract: Contract that the firmware speaks, major << 16 | minor. */
	__le32 contract;

	/** @version: Version of the firmware, major << 16 | minor. */
	__le32 version;

	/** @crc32: CRC-32 (IEEE 802.3) of the image behind the header. */
	__le32 crc32;

	/** @reserved: Must be zero. */
	__le32 reserved[2];
};

#define HEARTH_BOOT_MAGIC		0x42465248	/* "HRFB" */
#define HEARTH_RING_MIN_ENTRIES		8
#define HEARTH_RING_MAX_ENTRIES		4096

/**
 * struct hearth_hw_boot_args - what the host tells the firmware at boot
 */
struct hearth_hw_boot_args {
	/** @magic: HEARTH_BOOT_MAGIC. */
	__le32 magic;

	/** @bytes: sizeof(struct hearth_hw_boot_args) of the host. */
	__le32 bytes;

	/** @contract: Contract that the host speaks, major << 16 | minor. */
	__le32 contract;

	/** @reserved: Must be zero. */
	__le32 reserved;

	/** @host_page: Bus address of struct hearth_hw_host_page, 4 KiB aligned. */
	__le64 host_page;

	/** @fw_page: Bus address of struct hearth_hw_fw_page, 4 KiB aligned. */
	__le64 fw_page;

	/** @admin_ring: Bus address of the admin ring, 4 KiB aligned. */
	__le64 admin_ring;

	/** @event_ring: Bus address of the event ring, 4 KiB aligned. */
	__le64 event_ring;

	/** @admin_entries: Entries of the admin ring, a power of two. */
	__le32 admin_entries;

	/** @event_entries: Entries of the event ring, a power of two. */
	__le32 event_entries;
};

/**
 * struct hearth_hw_host_page - indices that the host writes
 */
struct hearth_hw_host_page {
	/** @admin_insert: Host's index in the admin ring. */
	__le32 admin_insert;

	/** @event_extract: Host's index in the event ring. */
	__le32 event_extract;

	/** @reserved: Must be zero. */
	__le32 reserved[14];

	/** @queue: Host's index in the command ring of each slot. */
	struct {
		/** @queue.insert: Entries inserted so far. */
		__le32 insert;
		/** @queue.reserved: Must be zero. */
		__le32 reserved[15];
	} queue[HEARTH_MAX_SLOTS];
};

/**
 * struct hearth_hw_fw_page - indices and counters that the firmware writes
 */
struct hearth_hw_fw_page {
	/** @admin_extract: Firmware's index in the admin ring. */
	__le32 admin_extract;

	/** @event_insert: Firmware's index in the event ring. */
	__le32 event_insert;

	/** @heartbeat: Counts up at least every 100 ms while the firmware lives. */
	__le32 heartbeat;

	/** @reserved: Zero. */
	__le32 reserved[13];

	/** @queue: State of each slot. */
	struct {
		/** @queue.extract: Entries taken from the command ring. */
		__le32 extract;
		/** @queue.op_index: Index of the command in execution. */
		__le32 op_index;
		/** @queue.progress: Commands completed since QUEUE_CREATE. */
		__le64 progress;
		/** @queue.completed: Sequence number of the last finished job. */
		__le64 completed;
		/** @queue.busy_ns: Time spent in jobs since QUEUE_CREATE. */
		__le64 busy_ns;
		/** @queue.reserved: Zero. */
		__le32 reserved[8];
	} queue[HEARTH_MAX_SLOTS];
};

/**
 * struct hearth_hw_job - entry of a command ring, 64 bytes
 */
struct hearth_hw_job {
	/** @seqno: Sequence number; each job of a queue has a larger one. */
	__le64 seqno;

	/** @stream_va: Device address of the command stream, 8-byte aligned. */
	__le64 stream_va;

	/** @stream_bytes: Size of the command stream, a multiple of 8. */
	__le32 stream_bytes;

	/** @reserved: Must be zero. */
	__le32 reserved[11];
};

/**
 * enum hearth_admin_op - what an admin entry asks for
 */
enum hearth_admin_op {
	/** @HEARTH_ADMIN_PING: Answer, nothing else. */
	HEARTH_ADMIN_PING = 1,

	/** @HEARTH_ADMIN_CTX_CREATE: Context @ctx walks tables at @addr. */
	HEARTH_ADMIN_CTX_CREATE,

	/** @HEARTH_ADMIN_CTX_DESTROY: Context @ctx goes; it has no queue. */
	HEARTH_ADMIN_CTX_DESTROY,

	/**
	 * @HEARTH_ADMIN_TLB_FLUSH: Forget translations of @ctx in
	 * [@addr, @addr + @size). The answer comes when no access that used
	 * an old translation is under way.
	 */
	HEARTH_ADMIN_TLB_FLUSH,

	/**
	 * @HEARTH_ADMIN_QUEUE_CREATE: Slot @slot serves the command ring of
	 * @entries jobs at @addr (4 KiB aligned) in context @ctx with
	 * @priority. The slot's host index must be 0.
	 */
	HEARTH_ADMIN_QUEUE_CREATE,

	/**
	 * @HEARTH_ADMIN_QUEUE_DESTROY: Slot @slot stops at the next command
	 * boundary. No event of it comes after the answer.
	 */
	HEARTH_ADMIN_QUEUE_DESTROY,

	/** @HEARTH_ADMIN_QUEUE_PRIORITY: Slot @slot gets @priority. */
	HEARTH_ADMIN_QUEUE_PRIORITY,

	/**
	 * @HEARTH_ADMIN_SUSPEND: Enter low power; refused (-EBUSY) if a slot
	 * exists. The answer is the last event; STATUS becomes SUSPENDED, and
	 * a reset and a boot lead back.
	 */
	HEARTH_ADMIN_SUSPEND,
};

/**
 * struct hearth_hw_admin - entry of the admin ring, 64 bytes
 */
struct hearth_hw_admin {
	/** @op: One of &enum hearth_admin_op. */
	__le32 op;

	/** @cookie: Returned in the event that answers. */
	__le32 cookie;

	/** @ctx: Context id, below HEARTH_REG_CONTEXTS. */
	__le32 ctx;

	/** @slot: Queue slot, below HEARTH_REG_SLOTS. */
	__le32 slot;

	/** @addr: Bus address (CTX_CREATE, QUEUE_CREATE), device address (TLB_FLUSH). */
	__le64 addr;

	/** @size: Bytes (TLB_FLUSH). */
	__le64 size;

	/** @entries: Ring entries, a power of two (QUEUE_CREATE). */
	__le32 entries;

	/** @priority: 0 (lowest) to HEARTH_REG_PRIORITIES - 1. */
	__le32 priority;

	/** @reserved: Must be zero. */
	__le32 reserved[6];
};

/**
 * enum hearth_event_type - what an event tells
 */
enum hearth_event_type {
	/** @HEARTH_EVENT_ADMIN: The admin entry with @cookie ended with @error. */
	HEARTH_EVENT_ADMIN = 1,

	/** @HEARTH_EVENT_JOB_DONE: Job @seqno of @slot, and all before it, ended. */
	HEARTH_EVENT_JOB_DONE,

	/**
	 * @HEARTH_EVENT_JOB_FAULT: Job @seqno of @slot failed with @error; the
	 * slot takes no more jobs until it is destroyed.
	 */
	HEARTH_EVENT_JOB_FAULT,

	/** @HEARTH_EVENT_LOG: @data words of text follow in the entry; informative. */
	HEARTH_EVENT_LOG,
};

/*
 * enum hearth_hw_error - errors in events
 */
enum hearth_hw_error {
	HEARTH_HW_OK = 0,
	HEARTH_HW_ERR_ARGS,	/* admin: a field out of range; job: index of the ring */
	HEARTH_HW_ERR_BUSY,	/* admin: in use, or exists; job: no memory left */
	HEARTH_HW_ERR_NOENT,	/* admin: no such context or slot */
	HEARTH_HW_ERR_READ,	/* job: MMU fault on read, @addr */
	HEARTH_HW_ERR_WRITE,	/* job: MMU fault on write, @addr */
	HEARTH_HW_ERR_BUS,	/* both: bus error, @addr is the bus address */
	HEARTH_HW_ERR_OPCODE,	/* job: opcode unknown or not in caps */
	HEARTH_HW_ERR_OPERAND,	/* job: a field of the command out of range */
};

/**
 * struct hearth_hw_event - entry of the event ring, 64 bytes
 */
struct hearth_hw_event {
	/** @type: One of &enum hearth_event_type. */
	__le32 type;

	/** @cookie: Of the admin entry (ADMIN). */
	__le32 cookie;

	/** @slot: Queue slot (JOB_*). */
	__le32 slot;

	/** @error: One of &enum hearth_hw_error. */
	__le32 error;

	/** @seqno: Sequence number of the job (JOB_*). */
	__le64 seqno;

	/** @addr: Address of the fault. */
	__le64 addr;

	/** @op_index: Index of the command that failed (JOB_FAULT). */
	__le32 op_index;

	/** @opcode: Its opcode, or ~0 if it could not be read. */
	__le32 opcode;

	/** @data: Text of a LOG, zero padded; else zero. */
	__u8 data[24];
};

#endif /* _HEARTH_FW_H_ */
