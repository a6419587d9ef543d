// SPDX-License-Identifier: GPL-2.0
/*
 * The arithmetic of budgets. Nothing here waits, allocates under a lock or
 * drops anything: hearth_reclaim.c makes room.
 */
#include <linux/err.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "hearth_budget.h"

void hearth_budget_init(struct hearth_budget *budget, u64 bytes)
{
	spin_lock_init(&budget->lock);
	INIT_LIST_HEAD(&budget->accounts);
	init_waitqueue_head(&budget->freed);
	budget->bytes = bytes;
	budget->quota = HEARTH_QUOTA_BUDGET;
}

/* Whoever has something left has the device as well; then this is not called. */
void hearth_budget_fini(struct hearth_budget *budget)
{
	WARN_ON(!list_empty(&budget->accounts));
	WARN_ON(budget->plain || budget->promised || budget->promised_used);
}

static u64 hearth_budget_quota_locked(struct hearth_budget *budget)
{
	return min(budget->quota, budget->bytes);
}

static u64 hearth_budget_room_locked(struct hearth_budget *budget)
{
	return hearth_room(budget->bytes, hearth_sum(budget->plain, budget->promised));
}

static int hearth_account_room_locked(struct hearth_account *account, u64 bytes,
				      struct hearth_lack *lack)
{
	struct hearth_budget *budget = account->budget;
	u64 quota = hearth_room(hearth_budget_quota_locked(budget), account->used);
	u64 room = hearth_budget_room_locked(budget);

	lockdep_assert_held(&budget->lock);

	if (bytes > quota) {
		*lack = (struct hearth_lack){ .bytes = bytes - quota, .quota = true };
		return -EDQUOT;
	}
	if (bytes > room) {
		*lack = (struct hearth_lack){ .bytes = bytes - room };
		return -EDQUOT;
	}
	return 0;
}

struct hearth_account *hearth_account_ref(struct hearth_account *account)
{
	kref_get(&account->refs);
	return account;
}

static struct hearth_account *hearth_account_find_locked(struct hearth_budget *budget, kuid_t uid)
{
	struct hearth_account *account;

	list_for_each_entry(account, &budget->accounts, node) {
		if (uid_eq(account->uid, uid))
			return hearth_account_ref(account);
	}
	return NULL;
}

struct hearth_account *hearth_account_get(struct hearth_budget *budget, kuid_t uid)
{
	struct hearth_account *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT), *account;

	if (fresh) {
		kref_init(&fresh->refs);
		fresh->budget = budget;
		fresh->uid = uid;
	}

	spin_lock(&budget->lock);
	account = hearth_account_find_locked(budget, uid);
	if (!account && fresh) {
		list_add(&fresh->node, &budget->accounts);
		swap(account, fresh);
	}
	spin_unlock(&budget->lock);

	kfree(fresh);
	return account;
}

static void hearth_account_unlist_locked(struct kref *kref)
{
	struct hearth_account *account = container_of(kref, struct hearth_account, refs);

	WARN_ON(account->used || account->pinned);
	list_del(&account->node);
}

/* Under the lock, so that nobody finds one that is about to go. */
void hearth_account_put(struct hearth_account *account)
{
	struct hearth_budget *budget;
	bool last;

	if (!account)
		return;
	budget = account->budget;
	spin_lock(&budget->lock);
	last = kref_put(&account->refs, hearth_account_unlist_locked);
	spin_unlock(&budget->lock);
	if (last)
		kfree(account);
}

int hearth_account_pin(struct hearth_account *account, u64 bytes, bool privileged)
{
	struct hearth_budget *budget = account->budget;
	int ret = 0;

	spin_lock(&budget->lock);
	if (!privileged && bytes > hearth_room(budget->pinned_quota, account->pinned))
		ret = budget->pinned_quota ? -EDQUOT : -EPERM;
	else
		account->pinned = hearth_sum(account->pinned, bytes);
	spin_unlock(&budget->lock);
	return ret;
}

void hearth_account_unpin(struct hearth_account *account, u64 bytes)
{
	spin_lock(&account->budget->lock);
	account->pinned = hearth_room(account->pinned, bytes);
	spin_unlock(&account->budget->lock);
}

void hearth_charge_init(struct hearth_charge *charge, struct hearth_account *account)
{
	spin_lock(&account->budget->lock);
	if (!charge->account) {
		charge->budget = account->budget;
		charge->account = hearth_account_ref(account);
	}
	spin_unlock(&account->budget->lock);
}

void hearth_charge_fini(struct hearth_charge *charge)
{
	hearth_charge_drop(charge, U64_MAX);
	hearth_reservation_put(charge->reservation);
	hearth_account_put(charge->account);
	*charge = (struct hearth_charge){ };
}

static void hearth_charge_pay_locked(struct hearth_charge *charge, u64 reserved, u64 plain)
{
	struct hearth_budget *budget = charge->budget;

	if (reserved) {
		charge->reservation->used += reserved;
		budget->promised_used += reserved;
	}
	charge->reserved += reserved;
	charge->bytes += reserved + plain;
	charge->account->used += plain;
	budget->plain += plain;
}

static u64 hearth_reservation_room_locked(struct hearth_reservation *reservation)
{
	return reservation && !reservation->released ?
	       hearth_room(reservation->bytes, reservation->used) : 0;
}

int hearth_charge_try(struct hearth_charge *charge, u64 bytes, struct hearth_lack *lack)
{
	struct hearth_budget *budget = charge->budget;
	u64 reserved;
	int ret;

	spin_lock(&budget->lock);
	reserved = min(bytes, hearth_reservation_room_locked(charge->reservation));
	ret = bytes == reserved ? 0 :
	      hearth_account_room_locked(charge->account, bytes - reserved, lack);
	if (!ret)
		hearth_charge_pay_locked(charge, reserved, bytes - reserved);
	spin_unlock(&budget->lock);
	return ret;
}

/* Bytes of a promise that has ended are nobody's any more when they are given back. */
static void hearth_reservation_return_locked(struct hearth_reservation *reservation, u64 bytes)
{
	struct hearth_budget *budget = reservation->account->budget;

	reservation->used -= bytes;
	budget->promised_used -= bytes;
	if (!reservation->released)
		return;
	reservation->bytes -= bytes;
	reservation->account->used -= bytes;
	budget->promised -= bytes;
}

/* What is plain goes first: that is for all, the rest for one. */
void hearth_charge_drop(struct hearth_charge *charge, u64 bytes)
{
	struct hearth_budget *budget = charge->budget;
	u64 plain;

	if (!budget)
		return;

	spin_lock(&budget->lock);
	bytes = min(bytes, charge->bytes);
	plain = min(bytes, charge->bytes - charge->reserved);
	charge->account->used -= plain;
	budget->plain -= plain;
	if (bytes > plain) {
		hearth_reservation_return_locked(charge->reservation, bytes - plain);
		charge->reserved -= bytes - plain;
	}
	charge->bytes -= bytes;
	spin_unlock(&budget->lock);

	if (bytes)
		wake_up_all(&budget->freed);
}

void hearth_charge_move(struct hearth_charge *charge, struct hearth_account *account)
{
	struct hearth_account *old = hearth_account_ref(account);
	struct hearth_budget *budget = account->budget;
	u64 plain;

	spin_lock(&budget->lock);
	plain = charge->bytes - charge->reserved;
	swap(charge->account, old);
	old->used -= plain;
	account->used += plain;
	spin_unlock(&budget->lock);

	hearth_account_put(old);
	wake_up_all(&budget->freed);
}

/* Takes the charge away from a promise that has ended; its reference is the caller's. */
static struct hearth_reservation *hearth_charge_detach_locked(struct hearth_charge *charge)
{
	struct hearth_reservation *old = charge->reservation;
	u64 bytes = charge->reserved;

	if (bytes)
		hearth_reservation_return_locked(old, bytes);
	charge->reservation = NULL;
	charge->reserved = 0;
	charge->account->used += bytes;
	charge->budget->plain += bytes;
	return old;
}

void hearth_charge_attach(struct hearth_charge *charge, struct hearth_reservation *reservation)
{
	struct hearth_budget *budget = charge->budget;
	struct hearth_reservation *old = NULL;
	u64 moved = 0;

	spin_lock(&budget->lock);
	if (charge->reservation && charge->reservation->released)
		old = hearth_charge_detach_locked(charge);
	/* Who pays already goes on. */
	if (!charge->reservation)
		charge->reservation = hearth_reservation_get(reservation);
	if (charge->reservation == reservation) {
		moved = min(charge->bytes - charge->reserved,
			    hearth_reservation_room_locked(reservation));
		charge->account->used -= moved;
		budget->plain -= moved;
		budget->promised_used += moved;
		reservation->used += moved;
		charge->reserved += moved;
	}
	spin_unlock(&budget->lock);

	hearth_reservation_put(old);
	if (moved)
		wake_up_all(&budget->freed);
}

u64 hearth_charge_plain(struct hearth_charge *charge)
{
	struct hearth_budget *budget = charge->budget;
	u64 plain;

	spin_lock(&budget->lock);
	plain = charge->bytes - charge->reserved;
	if (charge->reservation && charge->reservation->released)
		plain = charge->bytes;
	spin_unlock(&budget->lock);
	return plain;
}

struct hearth_reservation *hearth_reservation_create(struct hearth_account *account, u64 bytes,
						     struct hearth_lack *lack)
{
	struct hearth_reservation *reservation = kzalloc(sizeof(*reservation), GFP_KERNEL_ACCOUNT);
	struct hearth_budget *budget = account->budget;
	int ret;

	if (!reservation)
		return ERR_PTR(-ENOMEM);
	kref_init(&reservation->refs);

	spin_lock(&budget->lock);
	ret = hearth_account_room_locked(account, bytes, lack);
	if (!ret) {
		account->used += bytes;
		budget->promised += bytes;
		reservation->bytes = bytes;
		reservation->account = hearth_account_ref(account);
	}
	spin_unlock(&budget->lock);

	if (ret) {
		kfree(reservation);
		return ERR_PTR(ret);
	}
	return reservation;
}

struct hearth_reservation *hearth_reservation_get(struct hearth_reservation *reservation)
{
	kref_get(&reservation->refs);
	return reservation;
}

static void hearth_reservation_free(struct kref *kref)
{
	struct hearth_reservation *reservation =
		container_of(kref, struct hearth_reservation, refs);

	WARN_ON(reservation->bytes || reservation->used);
	hearth_account_put(reservation->account);
	kfree(reservation);
}

void hearth_reservation_put(struct hearth_reservation *reservation)
{
	if (reservation)
		kref_put(&reservation->refs, hearth_reservation_free);
}

/*
 * Charges keep what they have, on the bill of who reserved it, until it is
 * dropped; then it is free for all.
 */
void hearth_reservation_release(struct hearth_reservation *reservation)
{
	struct hearth_budget *budget = reservation->account->budget;
	u64 unused;

	spin_lock(&budget->lock);
	unused = reservation->bytes - reservation->used;
	budget->promised -= unused;
	reservation->account->used -= unused;
	reservation->bytes -= unused;
	reservation->released = true;
	spin_unlock(&budget->lock);
	wake_up_all(&budget->freed);
}

void hearth_budget_read(struct hearth_budget *budget, struct hearth_account *account,
			struct hearth_budget_sums *sums)
{
	struct hearth_account *other;

	*sums = (struct hearth_budget_sums){ };
	spin_lock(&budget->lock);
	sums->bytes = budget->bytes;
	sums->plain = budget->plain;
	sums->promised = budget->promised;
	sums->promised_used = budget->promised_used;
	list_for_each_entry(other, &budget->accounts, node)
		sums->pinned = hearth_sum(sums->pinned, other->pinned);
	if (account) {
		sums->quota = hearth_budget_quota_locked(budget);
		sums->used = account->used;
	}
	spin_unlock(&budget->lock);
}
