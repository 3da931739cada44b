// SPDX-License-Identifier: GPL-2.0-only
/*
 * The barrier of a swap: bring the vCPUs out of the guest, hold them between two
 * views, and let each take its new one on its way back.  docs/flow.md tells it
 * step by step.
 */

#include <linux/delay.h>
#include <linux/sched/signal.h>
#include <trace/events/ipi.h>

#include "x86.h"

#include "vmx_ept_swap.h"

/* Poll this often before sleeping: a swap takes a few thousand cycles. */
#define HYPR_HOLD_SPINS		4000

/**
 * hypr_vcpus_update() - meet the vCPUs that came since the last time
 * @kvm: the VM
 *
 * vCPUs only come, and vcpu_idx counts them.  Each starts in the active view.
 * From here on it belongs to swaps; before, it can do nothing: the first ioctl on
 * it comes by here too (hypr_vcpu_meet()).  So there is one moment at which a swap
 * that is under way either has it or does not, whoever looks it up and how.
 *
 * Context: kvm_hypr.lock held.
 */
void hypr_vcpus_update(struct kvm *kvm)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct kvm_vcpu *vcpu;

	lockdep_assert_held(&h->lock);

	while (h->nr_vcpus < atomic_read(&kvm->online_vcpus)) {
		vcpu = kvm_get_vcpu(kvm, h->nr_vcpus);
		WRITE_ONCE(vcpu->arch.hypr.next, kvm->arch.hypr.active);
		kvm_make_request(KVM_REQ_HYPR_VIEW, vcpu);
		list_add_tail(&vcpu->arch.hypr.node, &h->vcpus);
		h->nr_vcpus++;
		/* Pairs with the acquire in kvm_hypr_vcpu_ioctl_begin(). */
		smp_store_release(&vcpu->arch.hypr.met, true);
	}
}

/**
 * hypr_vcpu_lock() - take kvm_hypr.lock in an ioctl on a vCPU
 * @vcpu: its mutex held by this thread
 *
 * A swap that has the lock may be waiting for this vCPU: tell it that the vCPU does
 * nothing until it has the lock.
 *
 * Return: 0 with kvm_hypr.lock held, -EINTR a fatal signal.
 */
int hypr_vcpu_lock(struct kvm_vcpu *vcpu)
{
	int r;

	lockdep_assert_held(&vcpu->mutex);

	WRITE_ONCE(vcpu->arch.hypr.waits, true);
	r = mutex_lock_killable(&vcpu->kvm->arch.hypr.vm->lock);
	WRITE_ONCE(vcpu->arch.hypr.waits, false);
	return r;
}

/* The first ioctl on a vCPU: may be before KVM_CREATE_VCPU has returned. */
static int hypr_vcpu_meet(struct kvm_vcpu *vcpu)
{
	int r;

	r = hypr_vcpu_lock(vcpu);
	if (r)
		return r;
	hypr_vcpus_update(vcpu->kvm);
	mutex_unlock(&vcpu->kvm->arch.hypr.vm->lock);
	return 0;
}

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
 */
static bool hypr_vcpu_is_held(struct kvm_vcpu *vcpu, u32 round)
{
	/* Pairs with the release in hypr_barrier_is_open(). */
	if (smp_load_acquire(&vcpu->arch.hypr.round) == round ||
	    READ_ONCE(vcpu->arch.hypr.waits))
		return true;
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

	while (!hypr_vcpu_is_held(vcpu, h->round)) {
		if (spins++ < HYPR_HOLD_SPINS && !need_resched()) {
			cpu_relax();
			continue;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		if (!*deadline)
			*deadline = ktime_add_ns(ktime_get(), timeout_ns);
		if (ktime_after(ktime_get(), *deadline))
			return -EAGAIN;
		usleep_range(10, 20);
	}
	/* The signal may have thrown the vCPU's own thread out of KVM_RUN. */
	return spins && fatal_signal_pending(current) ? -EINTR : 0;
}

/*
 * Make the request, and have a vCPU that is in the guest come out.  It need not
 * be waited for here, as kvm_make_all_cpus_request() does: a vCPU is held only
 * when it has come to the barrier, and that is behind its exit.
 */
static void hypr_vcpu_request(struct kvm_vcpu *vcpu)
{
	int cpu;

	kvm_make_request(KVM_REQ_HYPR_VIEW, vcpu);
	/*
	 * Has the barrier between the request and the look at the mode.  It races
	 * with vcpu_enter_guest(), which reads the mode without a mark, as each
	 * request of KVM's own does: its last look comes behind a barrier.
	 */
	if (kvm_vcpu_exiting_guest_mode(vcpu) != IN_GUEST_MODE)
		return;

	/* If it moves to another CPU meanwhile, then it has come out. */
	preempt_disable();
	cpu = READ_ONCE(vcpu->cpu);
	if (cpu >= 0 && cpu_online(cpu))
		smp_send_reschedule(cpu);
	preempt_enable();
}

/*
 * Bring the vCPUs out of the guest and to the barrier.  An exit handler may
 * take long (a page of guest memory comes from a slow disk, say): hence the
 * deadline.
 *
 * Return: 0, -EAGAIN, -EINTR; the caller calls hypr_release() in any case.
 */
int hypr_hold(struct kvm *kvm, const struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct kvm_vcpu *vcpu;
	ktime_t deadline = 0;
	int r = 0;

	/* Odd: the barrier is closed, and the round is a new one, in one store. */
	WRITE_ONCE(h->round, h->round + HYPR_ROUND_CLOSED);
	/*
	 * An ioctl on a vCPU whose mutex was seen unlocked must find the request.
	 * Pairs with the barrier in mutex_lock(), before
	 * kvm_hypr_vcpu_ioctl_begin(), and with that between the store to
	 * vcpu->mode and the last look at requests in vcpu_enter_guest().
	 */
	smp_mb();
	hypr_for_each_vcpu(vcpu, h) {
		if (hypr_swap_takes(swap, vcpu))
			hypr_vcpu_request(vcpu);
	}
	/* The requests before the looks at where the vCPUs are. */
	smp_mb();

	hypr_for_each_vcpu(vcpu, h) {
		if (!hypr_swap_takes(swap, vcpu))
			continue;
		r = hypr_wait_held(h, vcpu, swap->timeout_ns, &deadline);
		if (r)
			break;
	}
	return r;
}

void hypr_release(struct kvm_hypr *h)
{
	/* The new views are visible before the vCPUs go on to read them. */
	smp_store_release(&h->round, h->round + HYPR_ROUND_CLOSED);
	if (wq_has_sleeper(&h->wq))
		wake_up_all(&h->wq);
}

/**
 * hypr_vcpu_take_view() - go to the view that the last swap has chosen
 * @vcpu: loaded, its mutex held by this thread, and kvm->srcu too: the MMU frees
 *	roots and looks at memslots on the way
 */
void hypr_vcpu_take_view(struct kvm_vcpu *vcpu)
{
	u8 next = READ_ONCE(vcpu->arch.hypr.next);
	bool flush;

	lockdep_assert_held(&vcpu->mutex);
	lockdep_assert_once(srcu_read_lock_held(&vcpu->kvm->srcu));

	flush = hypr_vcpu_must_flush(vcpu, next);
	if (next != vcpu->arch.hypr.view || flush)
		hypr_vcpu_mmu_switch(vcpu, next, flush);
}

/*
 * One look at the barrier.  The round is published anew each time: a swap may
 * follow so closely on the one before that this vCPU never saw the barrier open
 * in between, and then it is held for the later one.
 *
 * Which round it is and whether the barrier is closed are one word.  Were they
 * two, a vCPU could find the barrier closed by the next round, publish the last
 * one and go to sleep: nobody would wake it before that swap's deadline.
 */
static bool hypr_barrier_is_open(struct kvm_vcpu *vcpu, struct kvm_hypr *h)
{
	/* Pairs with the release in hypr_release(). */
	u32 round = smp_load_acquire(&h->round);

	if (vcpu->arch.hypr.round != round) {
		/* All that this vCPU did in the old view is done. */
		smp_store_release(&vcpu->arch.hypr.round, round);
	}
	return !(round & HYPR_ROUND_CLOSED);
}

/* Most swaps are over sooner than a thread goes to sleep and wakes up again. */
static bool hypr_barrier_spin(struct kvm_vcpu *vcpu, struct kvm_hypr *h)
{
	unsigned int spins = 0;

	while (!hypr_barrier_is_open(vcpu, h)) {
		if (spins++ >= HYPR_HOLD_SPINS || need_resched())
			return false;
		cpu_relax();
	}
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
 * Return: false to go on to the guest; true after a signal: vcpu_enter_guest() must
 * return @ret at once, without a look at guest memory, because for the swap this
 * vCPU is at the barrier.
 */
bool kvm_hypr_vcpu_sync(struct kvm_vcpu *vcpu, int *ret)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	int r;

	if (!hypr_barrier_spin(vcpu, h)) {
		kvm_vcpu_srcu_read_unlock(vcpu);
		r = wait_event_interruptible(h->wq, hypr_barrier_is_open(vcpu, h));
		kvm_vcpu_srcu_read_lock(vcpu);
		if (r) {
			kvm_make_request(KVM_REQ_HYPR_VIEW, vcpu);
			*ret = 1;	/* vcpu_run() looks for signals */
			return true;
		}
	}
	hypr_vcpu_take_view(vcpu);
	return false;
}

/*
 * The barrier before an ioctl.  KVM_RUN ends at any signal, as ever; no caller of
 * another ioctl expects that, so that only a fatal one ends it.
 */
static int hypr_barrier_wait(struct kvm_vcpu *vcpu, bool run)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	int r;

	if (hypr_barrier_spin(vcpu, h))
		return 0;
	if (!run)
		return wait_event_killable(h->wq, hypr_barrier_is_open(vcpu, h));

	r = wait_event_interruptible(h->wq, hypr_barrier_is_open(vcpu, h));
	if (r)
		vcpu->run->exit_reason = KVM_EXIT_INTR;
	return r;
}

static int hypr_vcpu_sync_outside(struct kvm_vcpu *vcpu, bool run)
{
	int idx;

	if (hypr_barrier_wait(vcpu, run)) {
		kvm_make_request(KVM_REQ_HYPR_VIEW, vcpu);
		return -EINTR;
	}
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
 * So that KVM_SET_SREGS and others that look at guest memory look at that of
 * the view which the vCPU is in.
 *
 * Return: 0; -EINVAL for an ioctl that does not go with views; -EINTR a fatal
 * signal, to KVM_RUN any signal.
 */
int kvm_hypr_vcpu_ioctl_begin(struct kvm_vcpu *vcpu, unsigned int ioctl)
{
	int r;

	lockdep_assert_held(&vcpu->mutex);

	if (!vcpu->kvm->arch.hypr.vm)
		return 0;
	if (unlikely(hypr_refuses_vcpu_ioctl(ioctl)))
		return -EINVAL;
	/* Pairs with the release in hypr_vcpus_update(). */
	if (unlikely(!smp_load_acquire(&vcpu->arch.hypr.met))) {
		r = hypr_vcpu_meet(vcpu);
		if (r)
			return r;
	}
	/* The old view is left when the instruction is complete. */
	if (unlikely(hypr_vcpu_has_io(vcpu)))
		return 0;
	if (likely(!kvm_check_request(KVM_REQ_HYPR_VIEW, vcpu)))
		return 0;
	return hypr_vcpu_sync_outside(vcpu, ioctl == KVM_RUN);
}
