// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: waits, for locks most of all.  Each wait ends: a swap has a deadline, and a fatal
 * signal ends any wait behind a swap.
 */
#include <linux/delay.h>
#include <linux/sched/signal.h>

#include "vmx_ept_swap.h"

/* Poll this often before sleeping between polls. */
#define HYPR_LOCK_SPINS	4000

/**
 * hypr_wait_step() - a look was in vain: poll for a while, then sleep between looks
 * @spins: 0 at first; counts the looks
 * @timeout_ns: how long to look, from the first sleep on
 * @deadline: 0 at first; set by the first sleep
 *
 * Return: 0 to look again; -EINTR a fatal signal; -EAGAIN the deadline has passed.
 */
int hypr_wait_step(unsigned int *spins, u64 timeout_ns, ktime_t *deadline)
{
	if ((*spins)++ < HYPR_LOCK_SPINS && !need_resched()) {
		cpu_relax();
		return 0;
	}
	if (fatal_signal_pending(current))
		return -EINTR;
	if (!*deadline)
		*deadline = ktime_add_ns(ktime_get(), timeout_ns);
	if (ktime_after(ktime_get(), *deadline))
		return -EAGAIN;
	usleep_range(10, 20);
	return 0;
}

/**
 * hypr_lock_within() - take a mutex within a time
 * @lock: the mutex
 * @timeout_ns: how long to wait; 0 to try only, HYPR_NO_TIMEOUT for ever
 *
 * Context: process context; with 0 it does not wait.
 * Return: 0 with @lock held; -EAGAIN it took too long; -EINTR a fatal signal.
 */
int hypr_lock_within(struct mutex *lock, u64 timeout_ns)
{
	unsigned int spins = 0;
	ktime_t deadline;

	if (timeout_ns == HYPR_NO_TIMEOUT)
		return mutex_lock_killable(lock);
	if (mutex_trylock(lock))
		return 0;
	if (!timeout_ns)
		return -EAGAIN;

	deadline = ktime_add_ns(ktime_get(), timeout_ns);
	while (!mutex_trylock(lock)) {
		if (fatal_signal_pending(current))
			return -EINTR;
		if (ktime_after(ktime_get(), deadline))
			return -EAGAIN;
		if (spins++ < HYPR_LOCK_SPINS && !need_resched())
			cpu_relax();
		else
			usleep_range(10, 20);
	}
	return 0;
}

/**
 * hypr_lock_to_drop() - take what dropping tables needs
 * @kvm: the VM
 * @timeout_ns: as in hypr_lock_within(), for each lock
 *
 * The wait for kvm->slots_lock may be long: its owner waits for every reader of
 * memslots, and a reader may wait for a page from a slow disk.  Swaps go on
 * concurrently: this waits for neither lock while it holds the other.
 *
 * Context: kvm_hypr.build_lock held.
 * Return: 0 with kvm->slots_lock and kvm_hypr.lock held; -EAGAIN, -EINTR.
 */
int hypr_lock_to_drop(struct kvm *kvm, u64 timeout_ns)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	int r;

	lockdep_assert_held(&h->build_lock);

	for (;;) {
		r = hypr_lock_within(&kvm->slots_lock, timeout_ns);
		if (r)
			return r;
		if (mutex_trylock(&h->lock))
			return 0;
		mutex_unlock(&kvm->slots_lock);

		/* A swap has it, and ends: sleep until then. */
		r = hypr_lock_within(&h->lock, timeout_ns);
		if (r)
			return r;
		mutex_unlock(&h->lock);
	}
}

/**
 * hypr_vcpu_lock() - take kvm_hypr.lock in an ioctl on a vCPU
 * @vcpu: its mutex held by this thread
 *
 * A swap that has the lock may be waiting for this vCPU.  @waits says that the vCPU
 * does nothing until its thread has the lock.
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

/* A pausing swap has the lock and waits for that: nobody else makes the vCPU go there. */
static bool hypr_vcpu_is_to_park(struct kvm_vcpu *vcpu)
{
	struct hypr_control_page *control = READ_ONCE(vcpu->kvm->arch.hypr.vm->control);

	return control && vcpu->vcpu_id < HYPR_CONTROL_MAX_VCPUS &&
	       READ_ONCE(control->vcpu[vcpu->vcpu_id].state) == HYPR_VCPU_PAUSE_REQUESTED;
}

/**
 * hypr_run_lock() - take kvm_hypr.lock on a vCPU's thread, in KVM_RUN
 * @vcpu: its mutex held by this thread
 * @timeout_ns: how long to wait
 *
 * A swap that has the lock may be waiting for this vCPU, which then has to go to the
 * barrier first.
 *
 * Or for this vCPU to park in the guest: what it wanted is forgotten then.
 *
 * Return: 0 with kvm_hypr.lock held; -ERESTART, to go there, or for a signal, and come
 * again; -ECANCELED, to go on to the guest; -EAGAIN it took too long.
 */
int hypr_run_lock(struct kvm_vcpu *vcpu, u64 timeout_ns)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	unsigned int spins = 0;
	ktime_t deadline = 0;
	int r;

	while (!mutex_trylock(&h->lock)) {
		if (kvm_test_request(KVM_REQ_HYPR_VIEW, vcpu) || signal_pending(current))
			return -ERESTART;
		if (hypr_vcpu_is_to_park(vcpu))
			return -ECANCELED;
		r = hypr_wait_step(&spins, timeout_ns, &deadline);
		if (r)
			return r == -EINTR ? -ERESTART : r;
	}
	return 0;
}
