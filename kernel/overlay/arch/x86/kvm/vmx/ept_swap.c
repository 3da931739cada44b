// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: the swap.  Start reading at hypr_swap().
 *
 * All vCPUs or none: the swap closes a barrier in front of VM-entry (ept_barrier.c),
 * asks every vCPU to come there, and waits until each vCPU is there or cannot move
 * without passing it.  Then the swap decides whether it happens, and only then does
 * any vCPU learn of its new view.  A vCPU that is halted, or on which no ioctl is
 * under way, takes the view at its next step.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/nospec.h>

#include <asm/tsc.h>

#include "mmu.h"
#include "x86.h"

#include "ept_trace.h"
#include "vmx_ept_swap.h"

static u32 hypr_count_forced(struct kvm *kvm, const struct kvm_hypr_swap *swap)
{
	struct kvm_vcpu *vcpu;
	u32 forced = 0;

	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm)
		forced += hypr_swap_takes(swap, vcpu) && !hypr_vcpu_is_quiescent(vcpu);
	return forced;
}

static enum hypr_kept_kind hypr_move_kind(const struct kvm_hypr_swap *swap)
{
	return swap->flags & KVM_EPT_SWAP_MOMENT ? HYPR_KEPT_MOMENT : HYPR_KEPT_LEFT;
}

/*
 * KVM_EPT_SWAP_STATE: is there a state to go on from, and room for the other, of each
 * vCPU and of the board?  The view exists.
 */
static int hypr_check_kept(struct kvm *kvm, const struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct kvm_vcpu *vcpu;

	if (!(swap->flags & KVM_EPT_SWAP_MOMENT) && swap->view == kvm->arch.hypr.active)
		return -EINVAL;
	if ((swap->flags & KVM_EPT_SWAP_BOARD) &&
	    (!hypr_board_find(h, swap->view, hypr_move_kind(swap)) ||
	     !hypr_board_find(h, kvm->arch.hypr.active, HYPR_KEPT_LEFT)))
		return -ENXIO;
	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm) {
		u32 view = array_index_nospec(swap->view, KVM_HYPR_MAX_VIEWS);

		if (!vcpu->arch.hypr.kept[view][hypr_move_kind(swap)] ||
		    !vcpu->arch.hypr.kept[vcpu->arch.hypr.next][HYPR_KEPT_LEFT])
			return -ENXIO;
	}
	return 0;
}

/*
 * With the vCPUs held: each of them has looked at its own state at the barrier, and
 * nothing has come since.
 */
static int hypr_check_movable(struct kvm *kvm)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct kvm_vcpu *vcpu;

	hypr_for_each_vcpu(vcpu, h) {
		/* Pairs with the release in hypr_barrier_is_open(). */
		if (smp_load_acquire(&vcpu->arch.hypr.round) != h->round ||
		    vcpu->arch.hypr.movable != h->round ||
		    READ_ONCE(vcpu->arch.hypr.move_to) || hypr_events_have_come(vcpu))
			return -EBUSY;
	}
	return 0;
}

static void hypr_move_begin(struct kvm_vcpu *vcpu, struct kvm_hypr *h)
{
	struct hypr_kept **kept = vcpu->arch.hypr.kept[vcpu->arch.hypr.next];

	vcpu->arch.hypr.move_from = kept[HYPR_KEPT_LEFT];
	atomic_inc(&h->unmoved);
	WRITE_ONCE(vcpu->arch.hypr.move_to,
		   vcpu->arch.hypr.kept[h->move_view][h->move_kind]);
}

/* What a swap does between the last vCPU's state and its way on. */
#define HYPR_AFTER_MOVE	(KVM_EPT_SWAP_BOARD | KVM_EPT_SWAP_NOTIFY)

/* The point of no return. */
static void hypr_activate(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct kvm_vcpu *vcpu;
	bool all = true;
	u64 faults = 0;

	lockdep_assert_held(&h->lock);

	if (h->moving)
		h->move_tsc = rdtsc();
	/* No vCPU goes on before the board has moved, too, and they are notified. */
	if (swap->flags & HYPR_AFTER_MOVE)
		atomic_inc(&h->unmoved);
	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm) {
		faults += READ_ONCE(vcpu->stat.pf_taken);
		if (!hypr_swap_takes(swap, vcpu)) {
			all &= vcpu->arch.hypr.next == swap->view;
			continue;
		}
		if (h->moving)
			hypr_move_begin(vcpu, h);
		WRITE_ONCE(vcpu->arch.hypr.next, swap->view);
	}
	if (all) {
		/* If it ever ran it has tables; hypr_check_target() checks. */
		set_bit(kvm->arch.hypr.active, h->prepared);
		WRITE_ONCE(kvm->arch.hypr.active, swap->view);
	}
	h->faults = faults;

	h->generation++;
	if (h->control)
		WRITE_ONCE(h->control->generation, h->generation);
}

/*
 * While the vCPUs exchange their local APICs the board is read; it gets its new state, which
 * it hands on to them, when each of them has its own.
 */
static void hypr_finish_move(struct kvm *kvm, const struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	bool after = swap->flags & HYPR_AFTER_MOVE;
	struct hypr_board *to = NULL;
	unsigned int differs = 0;

	if (swap->flags & KVM_EPT_SWAP_BOARD) {
		to = hypr_board_find(h, swap->view, hypr_move_kind(swap));
		differs = hypr_board_leave(kvm, hypr_board_find(h, swap->old_view,
								HYPR_KEPT_LEFT), to);
	}
	hypr_wait_moved(h, after, swap->timeout_ns);
	if (!after)
		return;
	if (to)
		hypr_board_enter(kvm, to, differs);
	if (h->asker)
		hypr_control_go_on(kvm);
	else if (swap->flags & KVM_EPT_SWAP_NOTIFY)
		hypr_notify_all(kvm);
	/* Pairs with hypr_wait_others(): the chips' state is visible before. */
	smp_mb__before_atomic();
	atomic_dec(&h->unmoved);
}

/* With the vCPUs held: memory back, and the vCPUs, in their moment, will wait. */
static int hypr_reset(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	int r = hypr_put_back(kvm, swap);

	if (r)
		return r;
	if (!h->asker && (swap->flags & KVM_EPT_SWAP_STATE))
		hypr_pause_assume(kvm);
	return 0;
}

/*
 * With the vCPUs held, and nothing fails any more: a reset that the guest asked for, in the
 * active view or by going on in its spare.  User space learns of it from words, and not by
 * a call.
 */
static void hypr_asked_count(struct kvm *kvm, const struct kvm_hypr_swap *swap)
{
	struct kvm_hypr_requests_page *page = kvm->arch.hypr.vm->requests;

	if (swap->view != kvm->arch.hypr.active) {
		/* Or user space has forbidden requests since. */
		cmpxchg(&page->view, kvm->arch.hypr.active, swap->view);
		WRITE_ONCE(page->spare, 0);
		WRITE_ONCE(page->spares, page->spares + 1);
	}
	WRITE_ONCE(page->resets, page->resets + 1);
}

/* The vCPU that this thread runs goes on, as the others do on theirs. */
static void hypr_asker_take_view(struct kvm_vcpu *vcpu)
{
	int idx = srcu_read_lock(&vcpu->kvm->srcu);

	kvm_clear_request(KVM_REQ_HYPR_VIEW, vcpu);
	hypr_vcpu_take_view(vcpu);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
}

static int hypr_commit(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	bool moving = swap->flags & KVM_EPT_SWAP_STATE;
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	u32 left = kvm->arch.hypr.active;
	u64 start = rdtsc_ordered();
	int r;

	h->move_view = swap->view;
	h->move_kind = hypr_move_kind(swap);
	WRITE_ONCE(h->moving, moving);
	hypr_close(kvm, swap);
	/* They are on their way. */
	if (swap->flags & KVM_EPT_SWAP_FORCE)
		swap->forced = hypr_count_forced(kvm, swap);
	r = hypr_hold(kvm, swap);
	if (!r && moving)
		r = hypr_check_movable(kvm);
	if (!r && (swap->flags & KVM_EPT_SWAP_RESET))
		r = hypr_reset(kvm, swap);
	if (!r && h->asker)
		hypr_asked_count(kvm, swap);
	if (!r)
		hypr_activate(kvm, swap);
	hypr_release(h);
	WRITE_ONCE(h->moving, false);

	swap->commit_cycles = rdtsc_ordered() - start;
	if (!r && h->asker)
		hypr_asker_take_view(h->asker);
	if (!r && moving)
		hypr_finish_move(kvm, swap);
	if (!r) {
		hypr_cache_touch(h, left);
		hypr_cache_touch(h, swap->view);
	}
	trace_kvm_hypr_commit(kvm, swap, r);
	return r;
}

static int hypr_pause(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	u64 start = rdtsc_ordered();
	int r;

	r = hypr_pause_all(kvm, swap->timeout_ns);
	swap->pause_cycles = rdtsc_ordered() - start;
	trace_kvm_hypr_pause(kvm, swap, r);

	/* A guest that does not answer is what force is for. */
	if (r == -EAGAIN && (swap->flags & KVM_EPT_SWAP_FORCE))
		r = 0;
	return r;
}

static int hypr_check_target(struct kvm *kvm, u32 view)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;

	if (!hypr_view_exists(kvm, view))
		return -ENOENT;
	if (view == kvm->arch.hypr.active)
		return 0;
	if (!test_bit(view, h->prepared))
		return -ENODATA;
	if (!VALID_PAGE(hypr_tables_root(kvm, view, NULL))) {
		hypr_cache_lost(h, view);
		return -ENODATA;
	}
	return 0;
}

/*
 * KVM_EPT_SWAP_VCPUS: each vCPU of the mask must exist, among the vCPUs that this
 * swap knows: these are what it holds and moves.
 */
static int hypr_check_mask(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	u64 missing = swap->vcpu_mask;
	struct kvm_vcpu *vcpu;

	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm) {
		if (!hypr_swap_takes(swap, vcpu))
			continue;
		missing &= ~BIT_ULL(vcpu->vcpu_id);
		if (vcpu->vcpu_id == __ffs64(swap->vcpu_mask))
			swap->old_view = vcpu->arch.hypr.next;
	}
	return missing ? -EINVAL : 0;
}

/* KVM_EPT_SWAP_EXPECT: are the VM and the vCPUs where the caller believes? */
static int hypr_check_expected(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_vcpu *vcpu;

	if (swap->old_view != swap->expected_view)
		return -ESTALE;

	/* KVM_SET_EPTP and masks may have taken vCPUs elsewhere. */
	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm) {
		if (!hypr_swap_takes(swap, vcpu) ||
		    vcpu->arch.hypr.next == swap->expected_view)
			continue;
		swap->old_view = vcpu->arch.hypr.next;
		return -ESTALE;
	}
	return 0;
}

static int hypr_check_flags(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	int r = 0;

	if (swap->flags & KVM_EPT_SWAP_VCPUS)
		r = hypr_check_mask(kvm, swap);
	if (!r && (swap->flags & KVM_EPT_SWAP_EXPECT))
		r = hypr_check_expected(kvm, swap);
	if (!r && (swap->flags & KVM_EPT_SWAP_RESET) && swap->view != swap->old_view)
		r = -EINVAL;
	if (!r && (swap->flags & (KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME)) &&
	    !kvm->arch.hypr.vm->control)
		r = -EINVAL;
	if (!r && (swap->flags & KVM_EPT_SWAP_PAUSE))
		r = hypr_pause_check(kvm);
	return r;
}

/**
 * hypr_swap_locked() - one attempt of a swap
 * @kvm: the VM
 * @swap: as for hypr_swap(), with a deadline
 *
 * Context: kvm_hypr.lock held, and kvm->srcu not; hypr_vcpus_update() was called.
 * Return: as hypr_swap(); -EFAULT, of a reset: see hypr_missing_fault_in().
 */
int hypr_swap_locked(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	int r;

	lockdep_assert_held(&h->lock);

	swap->old_view = kvm->arch.hypr.active;

	r = hypr_check_flags(kvm, swap);
	if (!r)
		r = hypr_check_target(kvm, swap->view);
	if (!r && (swap->flags & KVM_EPT_SWAP_STATE))
		r = hypr_check_kept(kvm, swap);
	if (!r && (swap->flags & KVM_EPT_SWAP_RESET))
		r = hypr_moment_check(kvm, swap->view);
	if (r)
		return r;

	/*
	 * The bytes are edited whether or not the swap happens.  Another context may
	 * use a PCID of the view for another process.  A reset sees to that itself, with
	 * the vCPUs held.
	 */
	if ((swap->flags & KVM_EPT_SWAP_FLUSH) ||
	    (swap->flags & (KVM_EPT_SWAP_MOMENT | KVM_EPT_SWAP_RESET)) == KVM_EPT_SWAP_MOMENT)
		hypr_view_edited(kvm, swap->view);

	if (swap->flags & KVM_EPT_SWAP_PAUSE)
		r = hypr_pause(kvm, swap);
	if (!r && !(swap->flags & KVM_EPT_SWAP_FORCE)) {
		swap->forced = hypr_count_forced(kvm, swap);
		r = swap->forced ? -EBUSY : 0;
	}
	if (!r)
		r = hypr_commit(kvm, swap);

	if (swap->flags & KVM_EPT_SWAP_RESUME) {
		hypr_resume_all(kvm);
		trace_kvm_hypr_resume(kvm, kvm->arch.hypr.active);
	} else if (r && (swap->flags & KVM_EPT_SWAP_PAUSE)) {
		/* The vCPUs that an earlier call has parked stay parked. */
		hypr_pause_undo(kvm);
		trace_kvm_hypr_resume(kvm, kvm->arch.hypr.active);
	}
	return r;
}

static int hypr_swap_once(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	int r;

	r = hypr_lock_within(&h->lock, swap->timeout_ns);
	if (r) {
		swap->old_view = READ_ONCE(kvm->arch.hypr.active);
		swap->generation = READ_ONCE(h->generation);
		if (r == -EAGAIN)
			hypr_stat_lock_timeout(kvm);
		return r;
	}
	hypr_vcpus_update(kvm);
	r = hypr_swap_locked(kvm, swap);
	swap->generation = h->generation;
	if (r != -ENODATA)
		hypr_stat_swap(kvm, swap, r);
	mutex_unlock(&h->lock);
	return r;
}

/* The view has no tables.  If it lost them and was not discarded: rebuild, swap. */
static int hypr_swap_evicted(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	int r;

	r = hypr_rebuild_begin(kvm, swap->view, swap->timeout_ns);
	if (!r) {
		r = hypr_swap_once(kvm, swap);
		hypr_rebuild_end(kvm, swap->view);
		/* With build_lock held, nobody but KVM itself drops the tables. */
		if (r != -ENODATA)
			return r;
		r = -EAGAIN;
	}
	if (r == -EAGAIN) {
		hypr_stat_lock_timeout(kvm);
		return r;
	}
	/* hypr_swap_once() does not count a swap that found no tables. */
	if (!hypr_lock_within(&h->lock, swap->timeout_ns)) {
		hypr_stat_swap(kvm, swap, r);
		mutex_unlock(&h->lock);
	}
	return r;
}

/**
 * hypr_swap() - make a prepared view the active one, on all vCPUs or on none
 * @kvm: the VM
 * @swap: arguments checked for form; the out fields are filled
 *
 * With KVM_EPT_SWAP_VCPUS "all" are the vCPUs of the mask.
 *
 * A swap to the active view is allowed and counts as a swap: the generation
 * changes, and by it a guest learns that its memory was put back.
 *
 * If the cache has evicted the view, or KVM has zapped its tables, the swap builds
 * it first, under build_lock alone, and can fail as hypr_view_prepare() can.
 *
 * Each wait of a swap (for other calls on the VM's views, for the guest to park,
 * for the vCPUs) ends at the deadline, and at a fatal signal.  A build ends at any
 * signal.
 *
 * Context: process context.
 * Return: 0; after an error every vCPU is still in the old view:
 * -ENOENT no such view; -ENODATA the view was never prepared, or was discarded:
 * prepare it; -EINVAL the caller asks for a pause, and the VM has no control page,
 * or a vCPU has no entry in it or no in-kernel APIC; -EINVAL a vCPU of the mask
 * does not exist; -ESTALE the VM, or a vCPU to be swapped, is not in the expected
 * view; -EAGAIN a deadline passed, or KVM zapped the tables that the swap has just
 * built; -EBUSY a vCPU runs or has left an instruction half done, and the caller
 * asks for neither pause nor force; -EBUSY a vCPU is in SMM or in a nested guest;
 * -EBUSY, with KVM_EPT_SWAP_STATE, a vCPU has more than the swap can move; -ENXIO no
 * state is kept; -EINVAL the active view, without KVM_EPT_SWAP_MOMENT; -EINTR a fatal
 * signal; with KVM_EPT_SWAP_RESET -EINVAL another view than the active one, and as
 * struct kvm_hypr_swap says.
 */
int hypr_swap(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	u64 start = rdtsc_ordered(), fetched = 0;
	unsigned int tries = 0;
	int r;

	swap->pages = 0;
	swap->pause_cycles = 0;
	swap->commit_cycles = 0;
	swap->forced = 0;
	if (!swap->timeout_ns)
		swap->timeout_ns = KVM_EPT_SWAP_TIMEOUT_DEFAULT_NS;

	do {
		r = hypr_swap_once(kvm, swap);
		if (r == -ENODATA)
			r = hypr_swap_evicted(kvm, swap);
		if (r != -EFAULT)
			break;
		/* A reset, which has done nothing yet. */
		r = hypr_missing_fault_in(kvm, swap->view, swap->timeout_ns, NULL);
		fetched = rdtsc_ordered() - start;
		if (!r)
			r = -EAGAIN;
	} while (r == -EAGAIN && ++tries < HYPR_RESET_TRIES);
	/* Meanwhile the vCPUs ran. */
	swap->pause_cycles += fetched;

	hypr_dbg("swap %u -> %u: %d, %u forced, pause %llu commit %llu cycles\n",
		 swap->old_view, swap->view, r, swap->forced,
		 swap->pause_cycles, swap->commit_cycles);
	return r;
}
