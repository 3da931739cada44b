// SPDX-License-Identifier: GPL-2.0-only
/*
 * The barrier of a swap: bring the vCPUs out of the guest, hold them between two
 * views, and let each vCPU take its new view on its way back.  docs/flow.md has the
 * steps.
 */

#include <linux/delay.h>
#include <linux/kvm_host.h>
#include <linux/sched/signal.h>
#include <trace/events/ipi.h>

#include "smm.h"
#include "x86.h"

#include "vmx_ept_swap.h"

/* Poll this often before sleeping: a swap takes a few thousand cycles. */
#define HYPR_HOLD_SPINS		4000

/* Where a vCPU's thread is that looks at the barrier. */
enum hypr_at {
	HYPR_IN_RUN,		/* in front of VM-entry */
	HYPR_BEFORE_RUN,	/* KVM_RUN has not begun */
	HYPR_IN_IOCTL,		/* another ioctl has not begun */
};

/*
 * True if @vcpu can neither touch guest memory nor change its mode (SMM, nested
 * guest) before it has passed the barrier:
 *
 *  - it is at the barrier;
 *  - its thread waits for kvm_hypr.lock, which the swap has;
 *  - no ioctl is under way on it, and the next one begins at the barrier.  That is
 *    not so while the I/O of its last exit is unfinished: KVM_RUN first completes
 *    the instruction, which may write to memory, and it does so in the old view;
 *  - KVM_RUN has it halted or not started: it comes by before VM-entry.
 *
 * A swap that moves states waits for the first of these: only the vCPU's own thread, in
 * KVM_RUN, can move its state.  A thread in user space may come back at once.
 */
static bool hypr_vcpu_is_held(struct kvm_vcpu *vcpu, const struct kvm_hypr *h)
{
	/* Pairs with the release in hypr_barrier_is_open(). */
	if (smp_load_acquire(&vcpu->arch.hypr.round) == h->round ||
	    READ_ONCE(vcpu->arch.hypr.waits))
		return true;
	if (h->moving)
		return false;
	if (!mutex_is_locked(&vcpu->mutex)) {
		/* Read what the last ioctl has left. */
		smp_acquire__after_ctrl_dep();
		return !hypr_vcpu_has_io(vcpu);
	}
	return READ_ONCE(vcpu->wants_to_run) &&
	       READ_ONCE(vcpu->arch.mp_state) != KVM_MP_STATE_RUNNABLE;
}

/* Is @vcpu one of those that this call swaps? */
bool hypr_swap_takes(const struct kvm_hypr_swap *swap, struct kvm_vcpu *vcpu)
{
	if (likely(!(swap->flags & KVM_EPT_SWAP_VCPUS)))
		return true;
	return vcpu->vcpu_id < BITS_PER_TYPE(swap->vcpu_mask) &&
	       (swap->vcpu_mask & BIT_ULL(vcpu->vcpu_id));
}

/* The deadline is set by the first vCPU that is waited for longer than a spin. */
static int hypr_wait_held(struct kvm_hypr *h, struct kvm_vcpu *vcpu,
			  u64 timeout_ns, ktime_t *deadline)
{
	unsigned int spins = 0;
	int r;

	while (!hypr_vcpu_is_held(vcpu, h)) {
		/* Any signal takes a vCPU's thread out of KVM_RUN, a swap of its own or not. */
		if (h->asker && signal_pending(current))
			return -EINTR;
		r = hypr_wait_step(&spins, timeout_ns, deadline);
		if (r)
			return r;
	}
	/* The signal may have ended KVM_RUN on the vCPU's own thread. */
	return spins && fatal_signal_pending(current) ? -EINTR : 0;
}

/*
 * Make the request, and have a vCPU that is in the guest come out, and one that is halted
 * come by if its state is to be moved.  Unlike
 * kvm_make_all_cpus_request() this does not wait for the exit: a vCPU is held only
 * when it has come to the barrier, and the barrier is behind the exit.
 */
static void hypr_vcpu_request(struct kvm_vcpu *vcpu)
{
	int cpu;

	kvm_make_request(KVM_REQ_HYPR_VIEW, vcpu);
	/*
	 * This call has the memory barrier between the request and the look at the
	 * mode.  It races with vcpu_enter_guest(), which reads the mode without a
	 * mark, as each request of KVM's own does: the last look of
	 * vcpu_enter_guest() comes behind a memory barrier.
	 */
	if (kvm_vcpu_exiting_guest_mode(vcpu) != IN_GUEST_MODE) {
		/* Pairs with the barrier in kvm_hypr_halted_poll(). */
		if (vcpu->kvm->arch.hypr.vm->moving &&
		    READ_ONCE(vcpu->arch.mp_state) == KVM_MP_STATE_HALTED) {
			kvm_make_request(KVM_REQ_UNBLOCK, vcpu);
			kvm_vcpu_wake_up(vcpu);
		}
		return;
	}

	/* A vCPU that moves to another CPU has come out. */
	preempt_disable();
	cpu = READ_ONCE(vcpu->cpu);
	if (cpu >= 0 && cpu_online(cpu))
		smp_send_reschedule(cpu);
	preempt_enable();
}

static bool hypr_barrier_is_open(struct kvm_vcpu *vcpu, struct kvm_hypr *h, enum hypr_at at);

/**
 * hypr_close() - close the barrier, and ask the vCPUs to come out of the guest to it
 * @kvm: the VM
 * @swap: which vCPUs
 *
 * Context: kvm_hypr.lock held.  The caller calls hypr_hold(), and then hypr_release().
 */
void hypr_close(struct kvm *kvm, const struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct kvm_vcpu *vcpu;

	/* Odd: the barrier is closed, and the round is a new one, in one store. */
	WRITE_ONCE(h->round, h->round + HYPR_ROUND_CLOSED);
	/*
	 * An ioctl on a vCPU whose mutex was seen unlocked must find the request.
	 * Pairs with the barrier in mutex_lock(), before
	 * kvm_hypr_vcpu_ioctl_begin(), and with that between the store to
	 * vcpu->mode and the last look at requests in vcpu_enter_guest().
	 */
	smp_mb();
	/* This thread is the vCPU's own: it is at the barrier. */
	if (h->asker)
		hypr_barrier_is_open(h->asker, h, HYPR_IN_RUN);
	hypr_for_each_vcpu(vcpu, h) {
		if (hypr_swap_takes(swap, vcpu) && vcpu != h->asker)
			hypr_vcpu_request(vcpu);
	}
	/* The requests before the looks at where the vCPUs are. */
	smp_mb();
}

/**
 * hypr_hold() - wait until the vCPUs are at the barrier
 * @kvm: the VM
 * @swap: which vCPUs, and the deadline: an exit handler may take long, for example
 *	if a page of guest memory comes from a slow disk
 *
 * Context: kvm_hypr.lock held, hypr_close() called.
 * Return: 0, -EAGAIN, -EINTR, -EBUSY a vCPU is in a mode that no swap can leave; the
 * caller calls hypr_release() in any case.
 */
int hypr_hold(struct kvm *kvm, const struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct kvm_vcpu *vcpu;
	ktime_t deadline = 0;
	int r;

	hypr_for_each_vcpu(vcpu, h) {
		if (!hypr_swap_takes(swap, vcpu))
			continue;
		r = hypr_wait_held(h, vcpu, swap->timeout_ns, &deadline);
		if (r)
			return r;
		if (is_smm(vcpu) || is_guest_mode(vcpu))
			return -EBUSY;
	}
	return 0;
}

/**
 * hypr_wait_moved() - until each vCPU has the local APIC that this swap gave it
 * @h: the VM's views; the barrier is open
 * @left: what is counted in kvm_hypr.unmoved beside them
 * @timeout_ns: the vCPUs are on their way.  One whose thread a fatal signal has
 *	taken out of KVM_RUN is not, and is not waited for any longer than this.
 *
 * Context: kvm_hypr.lock held.
 */
void hypr_wait_moved(struct kvm_hypr *h, int left, u64 timeout_ns)
{
	ktime_t deadline = 0;
	unsigned int spins = 0;

	/* Pairs with the barrier in hypr_state_move(). */
	while (atomic_read_acquire(&h->unmoved) > left) {
		if (hypr_wait_step(&spins, timeout_ns, &deadline))
			return;
	}
}

/**
 * hypr_release() - open the barrier
 * @h: the VM's views
 *
 * Context: kvm_hypr.lock held.
 */
void hypr_release(struct kvm_hypr *h)
{
	/* The new views are visible before the vCPUs go on to read them. */
	smp_store_release(&h->round, h->round + HYPR_ROUND_CLOSED);
	if (wq_has_sleeper(&h->wq))
		wake_up_all(&h->wq);
}

/*
 * Can a swap that moves the vCPUs' state move this one, which is at the barrier?  That swap may
 * be over by now, and what it was to move replaced: hypr_copy_vcpu() waits before it frees.
 */
static bool hypr_vcpu_is_movable(struct kvm_vcpu *vcpu, struct kvm_hypr *h)
{
	struct hypr_kept *(*kept)[2] = vcpu->arch.hypr.kept, *room, *state;
	bool movable;

	rcu_read_lock();
	room = READ_ONCE(kept[vcpu->arch.hypr.next][HYPR_KEPT_LEFT]);
	state = READ_ONCE(kept[h->move_view][h->move_kind]);
	movable = hypr_state_can_move(vcpu) && hypr_state_has_room(vcpu, room) &&
		  hypr_state_fits(vcpu, state);
	rcu_read_unlock();
	return movable;
}

/*
 * One look at the barrier: may the vCPU go on?  Each look publishes the round: a swap may
 * follow so closely on the swap before that this vCPU never saw the barrier open in
 * between, and then the later swap holds the vCPU.
 *
 * Which round it is and whether the barrier is closed are one word.  With two
 * words, a vCPU could find the barrier closed by the next round, publish the last
 * round and go to sleep: nobody would wake it before that swap's deadline.
 *
 * A swap that moves states wants the vCPU in KVM_RUN, and until it is there counts it as
 * held by nothing else.  So from in front of KVM_RUN the vCPU goes on to there, with no
 * round published: a vCPU that is held out here makes the swap fail.
 */
static bool hypr_barrier_is_open(struct kvm_vcpu *vcpu, struct kvm_hypr *h, enum hypr_at at)
{
	/* Pairs with the release in hypr_release(). */
	u32 round = smp_load_acquire(&h->round);

	if (vcpu->arch.hypr.round != round) {
		if ((round & HYPR_ROUND_CLOSED) && READ_ONCE(h->moving)) {
			if (at == HYPR_BEFORE_RUN && hypr_vcpu_comes_by(vcpu))
				return true;
			if (at == HYPR_IN_RUN && hypr_vcpu_is_movable(vcpu, h))
				vcpu->arch.hypr.movable = round;
		}
		/* All that this vCPU did in the old view is done. */
		smp_store_release(&vcpu->arch.hypr.round, round);
	}
	return !(round & HYPR_ROUND_CLOSED);
}

/*
 * Most swaps end before a thread could go to sleep and wake up again.  While a reset copies
 * pages, a thread that is still awake copies some.
 */
static bool hypr_barrier_spin(struct kvm_vcpu *vcpu, struct kvm_hypr *h, enum hypr_at at)
{
	unsigned int spins = 0;

	while (!hypr_barrier_is_open(vcpu, h, at)) {
		if (hypr_share_help(h))
			continue;
		if (spins++ >= HYPR_HOLD_SPINS || need_resched())
			return false;
		cpu_relax();
	}
	return true;
}

/*
 * A signal ends the wait, unless a swap counts on moving this vCPU's state: until that
 * swap opens the barrier, the vCPU stays.
 */
static int hypr_barrier_sleep(struct kvm_vcpu *vcpu, struct kvm_hypr *h)
{
	int r;

	r = wait_event_interruptible(h->wq, hypr_barrier_is_open(vcpu, h, HYPR_IN_RUN));
	if (r && vcpu->arch.hypr.movable == vcpu->arch.hypr.round)
		r = wait_event_killable(h->wq, hypr_barrier_is_open(vcpu, h, HYPR_IN_RUN));
	return r;
}

/*
 * Until all vCPUs have the local APIC that the swap gave them: an interrupt that this vCPU
 * sends must not go to one of the old view, and one that it takes must not come from the
 * old view's devices.
 *
 * Return: false: a signal came first.
 */
static bool hypr_wait_others(struct kvm_hypr *h)
{
	unsigned int spins = 0;

	/* Pairs with the barriers in hypr_state_move() and hypr_finish_move(). */
	while (atomic_read_acquire(&h->unmoved)) {
		if (signal_pending(current))
			return false;
		if (spins++ < HYPR_HOLD_SPINS && !need_resched())
			cpu_relax();
		else
			usleep_range(10, 20);
	}
	return true;
}

/* To come by here again.  vcpu_run() looks for the signal. */
static bool hypr_vcpu_interrupted(struct kvm_vcpu *vcpu, int *ret)
{
	kvm_make_request(KVM_REQ_HYPR_VIEW, vcpu);
	*ret = 1;
	return true;
}

/**
 * kvm_hypr_vcpu_sync() - the barrier in front of VM-entry
 * @vcpu: in KVM_RUN
 * @ret: filled if this function returns true
 *
 * Services KVM_REQ_HYPR_VIEW: waits for the swap to end, and takes the view.  The
 * thread sleeps without kvm->srcu, which a change of memslots may be waiting for,
 * and a signal wakes it.
 *
 * Return: false to go on to the guest; true after a signal, and with a vCPU that is
 * halted: vcpu_enter_guest() must return @ret at once, without a look at guest memory,
 * because for the swap this vCPU is at the barrier.
 */
bool kvm_hypr_vcpu_sync(struct kvm_vcpu *vcpu, int *ret)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	int r;

	if (!hypr_barrier_spin(vcpu, h, HYPR_IN_RUN)) {
		kvm_vcpu_srcu_read_unlock(vcpu);
		r = hypr_barrier_sleep(vcpu, h);
		kvm_vcpu_srcu_read_lock(vcpu);
		if (r)
			return hypr_vcpu_interrupted(vcpu, ret);
	}
	hypr_vcpu_take_view(vcpu);
	if (!hypr_wait_others(h))
		return hypr_vcpu_interrupted(vcpu, ret);
	*ret = 1;
	return vcpu->arch.mp_state == KVM_MP_STATE_HALTED;
}

/**
 * kvm_hypr_halted_poll() - does a swap want this vCPU at the barrier?
 * @vcpu: in KVM_RUN, not running
 */
bool kvm_hypr_halted_poll(struct kvm_vcpu *vcpu)
{
	if (vcpu->arch.mp_state != KVM_MP_STATE_HALTED)
		return false;
	/* The MP state is visible before the look at requests: hypr_vcpu_request(). */
	smp_mb();
	return kvm_test_request(KVM_REQ_HYPR_VIEW, vcpu);
}

/*
 * The barrier before an ioctl.  Any signal ends KVM_RUN, as ever.  No caller of
 * another ioctl expects that: only a fatal signal ends the wait there.
 */
static int hypr_barrier_wait(struct kvm_vcpu *vcpu, bool run)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	int r;

	if (hypr_barrier_spin(vcpu, h, run ? HYPR_BEFORE_RUN : HYPR_IN_IOCTL))
		return 0;
	if (!run)
		return wait_event_killable(h->wq, hypr_barrier_is_open(vcpu, h, HYPR_IN_IOCTL));

	r = wait_event_interruptible(h->wq, hypr_barrier_is_open(vcpu, h, HYPR_BEFORE_RUN));
	if (r)
		vcpu->run->exit_reason = KVM_EXIT_INTR;
	return r;
}

static int hypr_vcpu_sync_outside(struct kvm_vcpu *vcpu, bool run)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	int idx;

	if (hypr_barrier_wait(vcpu, run)) {
		kvm_make_request(KVM_REQ_HYPR_VIEW, vcpu);
		return -EINTR;
	}
	/*
	 * A swap does not hold it yet, wants it in KVM_RUN, and may have asked before; or vCPUs
	 * are still being moved: kvm_hypr_vcpu_sync().
	 */
	if (vcpu->arch.hypr.round != READ_ONCE(h->round) || atomic_read(&h->unmoved))
		kvm_make_request(KVM_REQ_HYPR_VIEW, vcpu);
	/* Until it is held, it gets no other view than this. */
	vcpu_load(vcpu);
	idx = srcu_read_lock(&vcpu->kvm->srcu);
	hypr_vcpu_take_view(vcpu);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
	vcpu_put(vcpu);
	return 0;
}

/**
 * kvm_hypr_vcpu_ioctl_begin() - take the view before a vCPU ioctl
 * @vcpu: its mutex is held, it is not loaded
 * @ioctl: number
 *
 * KVM_SET_SREGS and others look at guest memory: after this they look at that of
 * the view which the vCPU is in.
 *
 * Return: 0; -EINVAL for an ioctl that does not go with views; -EINTR a fatal
 * signal, in KVM_RUN any signal.
 */
int kvm_hypr_vcpu_ioctl_begin(struct kvm_vcpu *vcpu, unsigned int ioctl)
{
	int r;

	lockdep_assert_held(&vcpu->mutex);

	if (!vcpu->kvm->arch.hypr.vm)
		return 0;
	if (ioctl != KVM_RUN && ioctl != KVM_GET_EPTP) {
		vcpu->arch.hypr.msrs_written = true;
		/* User space may look, or set other registers: the guest asks again. */
		kvm_clear_request(KVM_REQ_HYPR_BACK, vcpu);
	}
	if (unlikely(hypr_refuses_vcpu_ioctl(ioctl)))
		return -EINVAL;
	/* Pairs with the release in hypr_vcpus_update(). */
	if (unlikely(!smp_load_acquire(&vcpu->arch.hypr.met))) {
		r = hypr_vcpu_meet(vcpu);
		if (r)
			return r;
	}
	/* The vCPU leaves the old view when the instruction is complete. */
	if (unlikely(hypr_vcpu_has_io(vcpu)))
		return 0;
	if (likely(!kvm_test_request(KVM_REQ_HYPR_VIEW, vcpu)))
		return 0;
	kvm_clear_request(KVM_REQ_HYPR_VIEW, vcpu);
	/* The request before what it stands for, as in kvm_check_request(). */
	smp_mb__after_atomic();
	return hypr_vcpu_sync_outside(vcpu, ioctl == KVM_RUN);
}
