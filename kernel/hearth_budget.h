/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who may have how many bytes of a device's memory.
 *
 * Every byte that is resident is charged once: to a reservation as far as that
 * reaches, else plainly. What is plain and what is promised to reservations
 * never exceeds the budget together, unless an administrator shrinks it:
 *
 *	plain + sum of reservations <= budget
 *
 * Bytes that a reservation pays stay with it until they are dropped, whoever
 * uses them meanwhile. So a promise cannot be broken by giving back and taking
 * again in the wrong order.
 */
#ifndef __HEARTH_BUDGET_H__
#define __HEARTH_BUDGET_H__

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/math64.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>

/* What hearth_budget.quota says while the whole budget is allowed. */
#define HEARTH_QUOTA_BUDGET	U64_MAX

/**
 * struct hearth_budget - the budget of one device
 */
struct hearth_budget {
	/**
	 * @lock: Protects all of this, accounts, reservations and charges.
	 * Innermost; taken in reclaim.
	 */
	spinlock_t lock;

	/** @bytes: What all may have together. */
	u64 bytes;

	/** @quota: What one user may have, or %HEARTH_QUOTA_BUDGET. */
	u64 quota;

	/** @pinned_quota: What one user may pin without CAP_SYS_RESOURCE. */
	u64 pinned_quota;

	/** @plain: Charged, and paid by no reservation. */
	u64 plain;

	/** @promised: Sum of all reservations, used or not. */
	u64 promised;

	/** @promised_used: What is charged to reservations. */
	u64 promised_used;

	/** @accounts: Every &struct hearth_account. As many as users have it open. */
	struct list_head accounts;

	/** @freed: Something was given back, or has become droppable. */
	wait_queue_head_t freed;
};

/**
 * struct hearth_account - what one user has
 */
struct hearth_account {
	/** @refs: Opens, charges and reservations. */
	struct kref refs;

	/** @budget: Where it belongs. */
	struct hearth_budget *budget;

	/** @node: Entry in hearth_budget.accounts. */
	struct list_head node;

	/** @uid: The user. */
	kuid_t uid;

	/** @used: Charged plainly, and reserved. */
	u64 used;

	/** @pinned: Size of the user's pinned models. */
	u64 pinned;
};

/**
 * struct hearth_reservation - bytes that are promised
 */
struct hearth_reservation {
	/** @refs: Its file, and the charges that it pays. */
	struct kref refs;

	/** @account: Who promised; holds it. */
	struct hearth_account *account;

	/** @bytes: What is promised; once @released, the same as @used. */
	u64 bytes;

	/** @used: What of it is charged. */
	u64 used;

	/** @released: The promise has ended. */
	bool released;
};

/**
 * struct hearth_charge - what one buffer, or one file, costs
 */
struct hearth_charge {
	/** @budget: Where it belongs, from the first call on. */
	struct hearth_budget *budget;

	/** @account: Who pays what no reservation does. */
	struct hearth_account *account;

	/** @reservation: Who pays first, or NULL. */
	struct hearth_reservation *reservation;

	/** @bytes: What is charged. */
	u64 bytes;

	/** @reserved: The part of it that @reservation pays. */
	u64 reserved;
};

/* What is over of @limit. */
static inline u64 hearth_room(u64 limit, u64 used)
{
	return used < limit ? limit - used : 0;
}

static inline u64 hearth_sum(u64 a, u64 b)
{
	return a + b < a ? U64_MAX : a + b;
}

void hearth_budget_init(struct hearth_budget *budget, u64 bytes);
void hearth_budget_fini(struct hearth_budget *budget);

/* The account of a user, made if there is none; NULL without memory. */
struct hearth_account *hearth_account_get(struct hearth_budget *budget, kuid_t uid);
struct hearth_account *hearth_account_ref(struct hearth_account *account);
void hearth_account_put(struct hearth_account *account);
/* Unless @privileged: -EDQUOT beyond the quota of what may be pinned, -EPERM if that is 0. */
int hearth_account_pin(struct hearth_account *account, u64 bytes, bool privileged);
void hearth_account_unpin(struct hearth_account *account, u64 bytes);

/* @account pays, unless somebody does. hearth_charge_fini() gives all back. */
void hearth_charge_init(struct hearth_charge *charge, struct hearth_account *account);
void hearth_charge_fini(struct hearth_charge *charge);

/**
 * struct hearth_lack - why a charge was refused
 */
struct hearth_lack {
	/** @bytes: What is missing. */
	u64 bytes;

	/** @quota: The user has too much; else all together have. */
	bool quota;
};

/* 0, or -EDQUOT and what is missing. Any context. */
int hearth_charge_try(struct hearth_charge *charge, u64 bytes, struct hearth_lack *lack);
/* Gives back; never more than there is. Any context. */
void hearth_charge_drop(struct hearth_charge *charge, u64 bytes);
/* Another user pays from now on, whatever that user's quota says. */
void hearth_charge_move(struct hearth_charge *charge, struct hearth_account *account);
/* @reservation pays what it can of this charge, also of what there is already. */
void hearth_charge_attach(struct hearth_charge *charge, struct hearth_reservation *reservation);
/* What would be free for others if it was dropped. */
u64 hearth_charge_plain(struct hearth_charge *charge);

/* ERR_PTR(-EDQUOT) and @lack, or ERR_PTR(-ENOMEM). */
struct hearth_reservation *hearth_reservation_create(struct hearth_account *account, u64 bytes,
						     struct hearth_lack *lack);
struct hearth_reservation *hearth_reservation_get(struct hearth_reservation *reservation);
void hearth_reservation_put(struct hearth_reservation *reservation);
/* The promise ends; what is charged to it stays so until it is dropped. */
void hearth_reservation_release(struct hearth_reservation *reservation);

/**
 * struct hearth_budget_sums - the budget at one moment
 */
struct hearth_budget_sums {
	/** @bytes: Of the device. */
	u64 bytes;
	/** @plain: Charged and paid by no reservation. */
	u64 plain;
	/** @promised: To reservations. */
	u64 promised;
	/** @promised_used: Part of it that is charged. */
	u64 promised_used;
	/** @quota: Of the user. */
	u64 quota;
	/** @used: By the user. */
	u64 used;
	/** @pinned: By all users. */
	u64 pinned;
};

/* @account may be NULL: then @quota and @used are 0. */
void hearth_budget_read(struct hearth_budget *budget, struct hearth_account *account,
			struct hearth_budget_sums *sums);

#endif /* __HEARTH_BUDGET_H__ */
