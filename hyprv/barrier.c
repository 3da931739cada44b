// SPDX-License-Identifier: GPL-2.0-only
/*
 * The barrier of a swap, in front of the guest: the swap closes it for each vCPU that it
 * takes, brings those that run out of the guest, and waits until each of them is held: it
 * is at the barrier, or no ioctl is under way on it.  A held vCPU touches no guest memory.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>
#include <trace/events/ipi.h>

#include "apic.h"
#include "hyprv.h"
#include "vmx.h"

#define CLOSED	1u
/* Looks before a thread sleeps: a swap takes a few thousand cycles. */
#define SPINS	4000

/* ---- the vCPU's side ---------------------------------------------------- */

/*
 * Each look publishes what it saw: a swap may follow so closely on the one before that
 * the vCPU never sees the barrier open in between.
 */
static bool look(struct vcpu *vcpu)
{
	/* Pairs with the release in barrier_open(). */
	u32 asked = smp_load_acquire(&vcpu->asked);

	if (vcpu->came != asked) {
		/* What this vCPU did in the old view is done.  Pairs with is_held(). */
		smp_store_release(&vcpu->came, asked);
	}
	return !(asked & CLOSED);
}

bool swap_pass(struct vcpu *vcpu)
{
	u32 spins = 0;

	while (!look(vcpu)) {
		if (spins++ >= SPINS || need_resched() || signal_pending(current))
			return false;
		cpu_relax();
	}
	vcpu->view = vcpu->vm->view[vcpu->next];
	return true;
}

int swap_sleep(struct vcpu *vcpu, bool killable)
{
	wait_queue_head_t *barrier = &vcpu->vm->barrier;
	int err = killable ? wait_event_killable(*barrier, look(vcpu)) :
			     wait_event_interruptible(*barrier, look(vcpu));

	return err ? -EINTR : 0;
}

int view_load(struct vcpu *vcpu)
{
	struct view *view = vcpu->view;
	u64 edited = READ_ONCE(view->edited);
	struct tlb_facts facts = {
		.vpid = vcpu->vpid,
		.root = hypr_hpa(view->eptp & PAGE_MASK),
		.can = hypervisor.can.ept_vpid,
	};
	struct tlb_decision decision;

	if (vcpu->paging)
		return paging_load(vcpu);
	if (likely(vcpu->loaded == view && vcpu->flushed[view->number] == edited))
		return 1;
	facts.other_root = vcpu->loaded != view;
	if (vcpu->flushed[view->number] != edited)
		facts.edit = TLB_EDIT_CONTEXT;
	decision = tlb_decide(&facts);
	if (vcpu->loaded != view) {
		if (!cpumask_test_cpu(smp_processor_id(), &view->cpus))
			cpumask_set_cpu(smp_processor_id(), &view->cpus);
		/*
		 * Whoever edits the tables flushes this CPU too; whoever asks this vCPU
		 * from now on sends the interrupt here, or vcpu_enter() sees the request.
		 */
		smp_mb();
		vmcs_write(VMCS_EPT_POINTER, view->eptp);
		vcpu->loaded = view;
	}
	vcpu->flushed[view->number] = edited;
	if (decision.flush == TLB_FLUSH_NONE)
		return 1;
	vcpu->flushes++;
	flush_count(FLUSH_VIEW);
	WARN_ON_ONCE(flush_tlb(&hypervisor.tlb, &view->eptp, &decision));
	return 1;
}

/* ---- the barrier -------------------------------------------------------- */

bool swap_takes(const struct kvm_hypr_swap *swap, const struct vcpu *vcpu)
{
	return !(swap->flags & KVM_EPT_SWAP_VCPUS) || (swap->vcpu_mask & BIT_ULL(vcpu->index));
}

/*
 * The next ioctl on a vCPU whose lock was free begins at the barrier: mutex_lock() is a
 * full barrier on x86, before the look at the request.  It is not so while the vCPU waits
 * for user space's answer: KVM_RUN first completes the instruction, in the old view.
 */
static bool is_held(struct vcpu *vcpu, bool may_wait)
{
	/* Pairs with the release in look(). */
	if (smp_load_acquire(&vcpu->came) == vcpu->asked || READ_ONCE(vcpu->waits))
		return true;
	if (mutex_is_locked(&vcpu->lock))
		return false;
	/* Read what the last ioctl has left. */
	smp_acquire__after_ctrl_dep();
	return may_wait || vcpu->wait == WAIT_NOTHING;
}

void vcpu_kick(struct vcpu *vcpu)
{
	int cpu = READ_ONCE(vcpu->cpu), here = get_cpu();

	if (cpu >= 0 && cpu != here && cpu_online(cpu) && mutex_is_locked(&vcpu->lock))
		smp_send_reschedule(cpu);
	put_cpu();
}

/* A look was in vain.  0: look again; -EINTR: a fatal signal; -EAGAIN: the deadline. */
static int wait_step(u32 *spins, u64 timeout_ns, ktime_t *deadline)
{
	if ((*spins)++ < SPINS && !need_resched()) {
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

int barrier_close(struct vm *vm, const struct kvm_hypr_swap *swap, bool may_wait)
{
	ktime_t deadline = 0;
	u32 i, spins = 0;
	int err;

	lockdep_assert_held(&vm->swap_lock);
	for (i = 0; i < vm->vcpus; i++)
		if (swap_takes(swap, vm->vcpu[i]))
			WRITE_ONCE(vm->vcpu[i]->asked, vm->vcpu[i]->asked + CLOSED);
	/*
	 * The requests before the looks at where the vCPUs are.  Pairs with the barriers in
	 * view_load() and mutex_lock().
	 */
	smp_mb();
	for (i = 0; i < vm->vcpus; i++)
		if (swap_takes(swap, vm->vcpu[i]))
			apic_wake(vm->vcpu[i]);
	for (i = 0; i < vm->vcpus; i++) {
		while (swap_takes(swap, vm->vcpu[i]) && !is_held(vm->vcpu[i], may_wait)) {
			err = wait_step(&spins, swap->timeout_ns, &deadline);
			if (err)
				return err;
		}
	}
	return 0;
}

void barrier_open(struct vm *vm, const struct kvm_hypr_swap *swap)
{
	u32 i;

	for (i = 0; i < vm->vcpus; i++) {
		struct vcpu *vcpu = vm->vcpu[i];

		if (!swap_takes(swap, vcpu))
			continue;
		/* The next view is visible before the vCPU goes on.  Pairs with look(). */
		smp_store_release(&vcpu->asked, vcpu->asked + CLOSED);
	}
	if (wq_has_sleeper(&vm->barrier))
		wake_up_all(&vm->barrier);
}

int swap_lock_within(struct vm *vm, u64 timeout_ns)
{
	ktime_t deadline = 0;
	u32 spins = 0;

	while (!mutex_trylock(&vm->swap_lock)) {
		int err = wait_step(&spins, timeout_ns, &deadline);

		if (err)
			return err;
	}
	return 0;
}
