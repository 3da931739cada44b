// SPDX-License-Identifier: GPL-2.0-only
/*
 * The board of a VM: the interrupt controllers and the timer that are KVM's own.  A
 * swap can exchange it together with the vCPUs' state, so that user space need not read
 * and set it by an ioctl for each chip.  As with vCPUs (ept_kept.c), KVM fills what is
 * kept for a view itself; user space reads it and cannot write it.
 *
 * Every chip has a lock of its own, and none of them is held with another one.
 */

#include <linux/hrtimer.h>
#include <linux/kvm_host.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "i8254.h"
#include "ioapic.h"
#include "irq.h"

#include "vmx_ept_swap.h"

static_assert(sizeof(struct kvm_pic_state) == offsetof(struct kvm_kpic_state, isr_ack));
static_assert(sizeof_field(struct kvm_pit_state2, channels) ==
	      sizeof_field(struct kvm_kpit_state, channels));

/**
 * hypr_has_board() - does the VM have these chips?
 * @kvm: the VM; what is there stays until the VM goes
 */
bool hypr_has_board(struct kvm *kvm)
{
	return irqchip_kernel(kvm) && READ_ONCE(kvm->arch.vpit);
}

/* ---- reading ---------------------------------------------------------------- */

static void hypr_pit_read(struct kvm_kpit_state *pit, struct hypr_board *board)
{
	mutex_lock(&pit->lock);
	memcpy(board->pit.channels, pit->channels, sizeof(board->pit.channels));
	board->pit.flags = pit->flags;
	board->pit_runs = hrtimer_active(&pit->timer);
	mutex_unlock(&pit->lock);
}

static void hypr_board_read(struct kvm *kvm, struct hypr_board *board)
{
	struct kvm_pic *pic = kvm->arch.vpic;
	int i;

	spin_lock(&pic->lock);
	for (i = 0; i < ARRAY_SIZE(board->pic); i++)
		memcpy(&board->pic[i], &pic->pics[i], sizeof(board->pic[i]));
	spin_unlock(&pic->lock);
	kvm_get_ioapic(kvm, &board->ioapic);
	hypr_pit_read(&kvm->arch.vpit->pit_state, board);
}

/* ---- writing, as KVM_SET_IRQCHIP and KVM_SET_PIT2 do it --------------------------- */

static void hypr_pic_write(struct kvm_pic *pic, const struct hypr_board *to)
{
	int i;

	spin_lock(&pic->lock);
	for (i = 0; i < ARRAY_SIZE(to->pic); i++)
		memcpy(&pic->pics[i], &to->pic[i], sizeof(to->pic[i]));
	spin_unlock(&pic->lock);
	kvm_pic_update_irq(pic);
}

/*
 * Setting a channel starts its count: KVM keeps no phase of it.  So when the count was
 * loaded does not matter, only whether channel 0 still runs.
 */
static bool hypr_pits_match(const struct hypr_board *from, const struct hypr_board *to)
{
	int i;

	if (from->pit_runs != to->pit_runs || from->pit.flags != to->pit.flags)
		return false;
	for (i = 0; i < ARRAY_SIZE(to->pit.channels); i++) {
		if (memcmp(&from->pit.channels[i], &to->pit.channels[i],
			   offsetof(struct kvm_pit_channel_state, count_load_time)))
			return false;
	}
	return true;
}

static void hypr_pit_write(struct kvm_pit *pit, const struct hypr_board *to)
{
	struct kvm_kpit_state *state = &pit->pit_state;
	int i;

	mutex_lock(&state->lock);
	memcpy(state->channels, to->pit.channels, sizeof(state->channels));
	state->flags = to->pit.flags;
	/* "HPET legacy start" is KVM's word for: no timer, and the mode stays. */
	for (i = 0; i < ARRAY_SIZE(state->channels); i++)
		kvm_pit_load_count(pit, i, state->channels[i].count,
				   i == 0 && !to->pit_runs);
	mutex_unlock(&state->lock);
}

/*
 * As kvm_pit_reset_reinject(), a part of writing it: KVM raises no tick before the last one has
 * had its EOI, and nobody does that in the new view.
 */
static void hypr_pit_forget(struct kvm_pit *pit)
{
	atomic_set(&pit->pit_state.pending, 0);
	atomic_set(&pit->pit_state.irq_ack, 1);
}

/* Chips that have not alike what two boards keep of them. */
#define HYPR_BOARD_PIC		BIT(0)
#define HYPR_BOARD_IOAPIC	BIT(1)
#define HYPR_BOARD_PIT		BIT(2)

/**
 * hypr_board_leave() - what the board has when the VM leaves a view
 * @kvm: the VM
 * @from: filled
 * @to: hypr_board_find() of the new view
 *
 * This comes before the vCPUs' local APICs, or beside them: what a chip hands on is found
 * there.
 *
 * Context: kvm_hypr.lock held, no vCPU in the guest.  Takes the chips' locks.
 * Return: what @to has differently, for hypr_board_enter().
 */
unsigned int hypr_board_leave(struct kvm *kvm, struct hypr_board *from,
			      const struct hypr_board *to)
{
	lockdep_assert_held(&kvm->arch.hypr.vm->lock);

	hypr_board_read(kvm, from);
	return (memcmp(from->pic, to->pic, sizeof(to->pic)) ? HYPR_BOARD_PIC : 0) |
	       (memcmp(&from->ioapic, &to->ioapic, sizeof(to->ioapic)) ? HYPR_BOARD_IOAPIC : 0) |
	       (hypr_pits_match(from, to) ? 0 : HYPR_BOARD_PIT);
}

/**
 * hypr_board_enter() - the board goes on in a view
 * @kvm: the VM
 * @to: as for hypr_board_leave()
 * @differs: what that has returned; all else is left as it is, but for ticks of the PIT that
 *	the guest has not acknowledged: those that are delivered are in the old view
 *
 * The vCPUs' local APICs are those of the new view: what a chip hands on stays there.
 *
 * Context: kvm_hypr.lock held, no vCPU in the guest.  Takes the chips' locks, and waits
 * for a tick of the PIT that is being delivered.
 */
void hypr_board_enter(struct kvm *kvm, struct hypr_board *to, unsigned int differs)
{
	lockdep_assert_held(&kvm->arch.hypr.vm->lock);

	if (differs & HYPR_BOARD_PIC)
		hypr_pic_write(kvm->arch.vpic, to);
	if (differs & HYPR_BOARD_IOAPIC)
		kvm_set_ioapic(kvm, &to->ioapic);
	if (differs & HYPR_BOARD_PIT)
		hypr_pit_write(kvm->arch.vpit, to);
	else
		hypr_pit_forget(kvm->arch.vpit);
}

/* ---- keep and read ------------------------------------------------------------ */

/**
 * hypr_board_find() - what is kept for a view, or NULL
 * @h: the VM's views
 * @view: any number
 * @kind: which of the two
 *
 * Context: kvm_hypr.lock held.
 */
struct hypr_board *hypr_board_find(struct kvm_hypr *h, u32 view, enum hypr_kept_kind kind)
{
	lockdep_assert_held(&h->lock);

	if (!hypr_view_is_valid(view))
		return NULL;
	return h->board[array_index_nospec(view, KVM_HYPR_MAX_VIEWS)][kind];
}

/**
 * hypr_board_keep() - KVM_HYPR_KEEP_BOARD
 * @kvm: the VM
 * @arg: the caller has checked flags and reserved fields
 *
 * Context: process context.  Takes kvm_hypr.lock.
 * Return: 0 or as struct kvm_hypr_keep_board says.
 */
long hypr_board_keep(struct kvm *kvm, const struct kvm_hypr_keep_board *arg)
{
	enum hypr_kept_kind kind = hypr_kept_kind(arg->flags);
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct hypr_board *board;
	long r;

	if (!hypr_view_is_valid(arg->view))
		return -ENOENT;
	if (!hypr_has_board(kvm))
		return -ENXIO;
	board = kzalloc(sizeof(*board), GFP_KERNEL_ACCOUNT);
	if (!board)
		return -ENOMEM;

	r = mutex_lock_killable(&h->lock);
	if (r)
		goto free;
	if (!hypr_view_exists(kvm, arg->view)) {
		r = -ENOENT;
	} else {
		hypr_board_read(kvm, board);
		swap(h->board[array_index_nospec(arg->view, KVM_HYPR_MAX_VIEWS)][kind],
		     board);
	}
	mutex_unlock(&h->lock);
free:
	kfree(board);
	return r;
}

static bool hypr_copy_chip(u64 to, const void *from, size_t bytes)
{
	return to && copy_to_user(u64_to_user_ptr(to), from, bytes);
}

/**
 * hypr_board_get() - KVM_HYPR_GET_BOARD
 * @kvm: the VM
 * @arg: the caller has checked flags and reserved fields
 *
 * Context: process context.  Takes kvm_hypr.lock.
 * Return: 0 or as struct kvm_hypr_board says.
 */
long hypr_board_get(struct kvm *kvm, const struct kvm_hypr_board *arg)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct hypr_board *kept, *board;
	long r;

	/* A copy, so that no user memory is touched under the lock. */
	board = kmalloc(sizeof(*board), GFP_KERNEL_ACCOUNT);
	if (!board)
		return -ENOMEM;
	r = mutex_lock_killable(&h->lock);
	if (r)
		goto free;
	kept = hypr_board_find(h, arg->view, hypr_kept_kind(arg->flags));
	if (!hypr_view_is_valid(arg->view) || !hypr_view_exists(kvm, arg->view))
		r = -ENOENT;
	else if (!kept)
		r = -ENXIO;
	else
		*board = *kept;
	mutex_unlock(&h->lock);

	if (!r && (hypr_copy_chip(arg->pic_master, &board->pic[0], sizeof(board->pic[0])) ||
		   hypr_copy_chip(arg->pic_slave, &board->pic[1], sizeof(board->pic[1])) ||
		   hypr_copy_chip(arg->ioapic, &board->ioapic, sizeof(board->ioapic)) ||
		   hypr_copy_chip(arg->pit, &board->pit, sizeof(board->pit))))
		r = -EFAULT;
free:
	kfree(board);
	return r;
}

/**
 * hypr_boards_free() - the VM goes
 * @h: the VM's views
 */
void hypr_boards_free(struct kvm_hypr *h)
{
	struct hypr_board **all = &h->board[0][0];
	int i;

	for (i = 0; i < KVM_HYPR_MAX_VIEWS * 2; i++)
		kfree(all[i]);
}
