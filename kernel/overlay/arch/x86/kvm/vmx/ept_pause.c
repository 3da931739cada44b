// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's side of the control page: register it, ask the guest's vCPUs to
 * park, wait for them, release them.
 *
 * The page is guest memory.  The host takes from it one answer for each vCPU, "has
 * it parked?", and a wrong answer harms the guest alone.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/sched/signal.h>

#include "lapic.h"

#include "vmx_ept_swap.h"

/*
 * Without APICv an EOI is a VM-exit, and KVM decides what is in service.  With it the CPU
 * does both, and an EOI costs nothing.
 */
static void hypr_offer_no_eoi(struct kvm *kvm, struct hypr_control_page *control)
{
	if (enable_apicv)
		return;
	kvm->arch.hypr.no_eoi = true;
	WRITE_ONCE(control->features, READ_ONCE(control->features) | HYPR_CONTROL_NO_EOI);
}

/**
 * hypr_control_register() - share the control page with the guest
 * @kvm: the VM
 * @arg: the page; the caller has checked flags and reserved fields
 *
 * The page stays pinned until the VM goes.
 *
 * Context: process context of the VM's mm.  Takes kvm_hypr.lock.
 * Return: 0; -EINVAL for a wrong GPA or address, or if the boot view has no
 * slot there that maps @arg->userspace_addr; -EEXIST if there is a page
 * already; -EFAULT if the page cannot be pinned; -EINTR a fatal signal.
 */
int hypr_control_register(struct kvm *kvm, const struct kvm_hypr_control *arg)
{
	unsigned long hva = untagged_addr(arg->userspace_addr);
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct page *page;
	int r;

	if (arg->gpa != HYPR_CONTROL_GPA || !hva || !PAGE_ALIGNED(hva))
		return -EINVAL;
	if (!hypr_control_is_mapped(kvm, KVM_HYPR_VIEW_BOOT, hva))
		return -EINVAL;
	if (pin_user_pages_fast(hva, 1, FOLL_WRITE | FOLL_LONGTERM, &page) != 1)
		return -EFAULT;

	r = mutex_lock_killable(&h->lock);
	if (r)
		goto unpin;
	if (h->control_page) {
		r = -EEXIST;
	} else {
		h->control_hva = hva;
		h->control_page = page;
		WRITE_ONCE(h->control, page_address(page));
		WRITE_ONCE(h->control->generation, h->generation);
		hypr_offer_no_eoi(kvm, h->control);
	}
	mutex_unlock(&h->lock);

unpin:
	if (r)
		unpin_user_page(page);
	return r;
}

/**
 * hypr_control_release() - undo hypr_control_register()
 * @h: the VM's views; there may be no page
 */
void hypr_control_release(struct kvm_hypr *h)
{
	if (!h->control_page)
		return;
	unpin_user_pages_dirty_lock(&h->control_page, 1, true);
	h->control_page = NULL;
	h->control = NULL;
}

/**
 * hypr_control_is_mapped() - does @view map the control page?
 * @kvm: the VM
 * @view: the view
 * @hva: the control page in user space
 */
bool hypr_control_is_mapped(struct kvm *kvm, u32 view, unsigned long hva)
{
	gfn_t gfn = gpa_to_gfn(HYPR_CONTROL_GPA);
	struct kvm_memory_slot *slot;
	bool mapped;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	slot = __gfn_to_memslot(__kvm_memslots(kvm, view), gfn);
	mapped = slot && !(slot->flags & KVM_MEM_READONLY) &&
		 __gfn_to_hva_memslot(slot, gfn) == hva;
	srcu_read_unlock(&kvm->srcu, idx);
	return mapped;
}

static u32 *hypr_control_state(struct kvm_vcpu *vcpu)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;

	if (!h->control || vcpu->vcpu_id >= HYPR_CONTROL_MAX_VCPUS)
		return NULL;
	return &h->control->vcpu[vcpu->vcpu_id].state;
}

/* A vCPU that never started, or waits for its next start, need not park. */
static bool hypr_vcpu_is_down(struct kvm_vcpu *vcpu)
{
	int mp_state = READ_ONCE(vcpu->arch.mp_state);
	u32 *state = hypr_control_state(vcpu);

	if (mp_state == KVM_MP_STATE_UNINITIALIZED ||
	    mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return true;

	/* A CPU that the guest took offline sits in HLT. */
	return state && READ_ONCE(*state) == HYPR_VCPU_OFFLINE &&
	       mp_state != KVM_MP_STATE_RUNNABLE;
}

static bool hypr_vcpu_can_park(struct kvm_vcpu *vcpu)
{
	return hypr_control_state(vcpu) && lapic_in_kernel(vcpu);
}

static bool hypr_vcpu_is_parked(struct kvm_vcpu *vcpu)
{
	u32 *state = hypr_control_state(vcpu);

	return state && READ_ONCE(*state) == HYPR_VCPU_PAUSED;
}

/**
 * hypr_pause_check() - does the VM have what a pause needs?
 * @kvm: the VM
 *
 * Each vCPU that may run needs an entry in the control page, by which the guest
 * answers, and a local APIC in the kernel, which takes the vector.
 *
 * Context: kvm_hypr.lock held.
 * Return: 0; -EINVAL if a vCPU lacks one of them.
 */
int hypr_pause_check(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;

	lockdep_assert_held(&kvm->arch.hypr.vm->lock);

	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm) {
		if (!hypr_vcpu_can_park(vcpu) && !hypr_vcpu_is_down(vcpu))
			return -EINVAL;
	}
	return 0;
}

/**
 * hypr_vcpu_is_quiescent() - may this vCPU be swapped without asking twice?
 * @vcpu: any vCPU
 *
 * True if its thread is not in KVM_RUN and no instruction is half done, if it never
 * started, or if the guest says that it has parked.
 */
bool hypr_vcpu_is_quiescent(struct kvm_vcpu *vcpu)
{
	return (!READ_ONCE(vcpu->wants_to_run) && !hypr_vcpu_has_io(vcpu)) ||
	       hypr_vcpu_is_parked(vcpu) || hypr_vcpu_is_down(vcpu);
}

static void hypr_notify(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic_irq irq = {
		.vector = HYPR_CONTROL_VECTOR,
		.delivery_mode = APIC_DM_FIXED,
		.level = 1,
	};

	kvm_apic_set_irq(vcpu, &irq, NULL);
}

/**
 * hypr_notify_all() - each vCPU is to look at the control page
 * @kvm: the VM; its vCPUs have a local APIC in the kernel
 *
 * Context: kvm_hypr.lock held.
 */
void hypr_notify_all(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;

	lockdep_assert_held(&kvm->arch.hypr.vm->lock);

	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm)
		hypr_notify(vcpu);
}

static void hypr_pause_request(struct kvm_vcpu *vcpu)
{
	u32 *state = hypr_control_state(vcpu);

	/* A vCPU that was down when hypr_pause_check() looked may lack them. */
	if (!hypr_vcpu_can_park(vcpu))
		return;
	if (cmpxchg(state, HYPR_VCPU_RUNNING, HYPR_VCPU_PAUSE_REQUESTED) !=
	    HYPR_VCPU_RUNNING)
		return;
	__set_bit(vcpu->vcpu_id, vcpu->kvm->arch.hypr.vm->asked);
	hypr_notify(vcpu);
}

static bool hypr_all_parked(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;

	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm) {
		if (!hypr_vcpu_is_parked(vcpu) && !hypr_vcpu_is_down(vcpu))
			return false;
	}
	return true;
}

/**
 * hypr_pause_all() - have every vCPU park itself
 * @kvm: the VM; hypr_pause_check() was content with it
 * @timeout_ns: give up after this long
 *
 * A vCPU thread outside KVM_RUN cannot answer: with a pause asked for, it keeps
 * the VM from being paused.
 *
 * Context: kvm_hypr.lock held.
 * Return: 0 with all vCPUs parked, those that parked before included; -EAGAIN
 * after the deadline and -EINTR after a fatal signal, both with every request
 * still there: the caller calls hypr_pause_undo().
 */
int hypr_pause_all(struct kvm *kvm, u64 timeout_ns)
{
	struct kvm_vcpu *vcpu;
	unsigned int spins = 0;
	ktime_t deadline = 0;
	int r;

	lockdep_assert_held(&kvm->arch.hypr.vm->lock);

	bitmap_zero(kvm->arch.hypr.vm->asked, HYPR_CONTROL_MAX_VCPUS);
	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm)
		hypr_pause_request(vcpu);

	while (!hypr_all_parked(kvm)) {
		r = hypr_wait_step(&spins, timeout_ns, &deadline);
		if (r)
			return r;
	}
	return 0;
}

/* Release a parked vCPU, or withdraw a request without an answer. */
static void hypr_vcpu_release(struct kvm_vcpu *vcpu)
{
	u32 *state = hypr_control_state(vcpu);

	if (!state)
		return;
	/*
	 * If the guest parks between the two, the first cmpxchg() withdraws
	 * nothing, and the second releases the vCPU.
	 */
	cmpxchg(state, HYPR_VCPU_PAUSE_REQUESTED, HYPR_VCPU_RUNNING);
	cmpxchg(state, HYPR_VCPU_PAUSED, HYPR_VCPU_RUNNING);
}

/**
 * hypr_pause_undo() - undo what the last hypr_pause_all() did
 * @kvm: the VM
 *
 * vCPUs that an earlier call has parked stay parked.
 *
 * Context: kvm_hypr.lock held, and not released since hypr_pause_all().
 */
void hypr_pause_undo(struct kvm *kvm)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct kvm_vcpu *vcpu;

	lockdep_assert_held(&h->lock);

	hypr_for_each_vcpu(vcpu, h) {
		if (vcpu->vcpu_id < HYPR_CONTROL_MAX_VCPUS &&
		    test_bit(vcpu->vcpu_id, h->asked))
			hypr_vcpu_release(vcpu);
	}
}

/**
 * hypr_resume_all() - release all parked vCPUs, withdraw all requests
 * @kvm: the VM
 *
 * Context: kvm_hypr.lock held.
 */
void hypr_resume_all(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;

	lockdep_assert_held(&kvm->arch.hypr.vm->lock);

	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm)
		hypr_vcpu_release(vcpu);
}

/* What the control page says of a vCPU that goes on in a moment of which @online is known. */
static void hypr_vcpu_go_on(struct kvm_vcpu *vcpu, u64 online)
{
	u32 *state = hypr_control_state(vcpu), is, want;

	if (!state)
		return;
	want = online & BIT_ULL(vcpu->vcpu_id) ? HYPR_VCPU_RUNNING : HYPR_VCPU_OFFLINE;
	is = READ_ONCE(*state);
	/* Whoever waits for an answer to a request gets it in the moment. */
	if (is != want && (is != HYPR_VCPU_PAUSE_REQUESTED || want == HYPR_VCPU_OFFLINE))
		WRITE_ONCE(*state, want);
	if (want == HYPR_VCPU_RUNNING && lapic_in_kernel(vcpu))
		hypr_notify(vcpu);
}

/**
 * hypr_control_go_on() - the vCPUs go on in the moment to which a guest wanted back
 * @kvm: the VM; its vCPUs have their new state, and wait
 *
 * As user space would tell the guest: words that never were, and each vCPU is to look.
 *
 * Context: kvm_hypr.lock held.
 */
void hypr_control_go_on(struct kvm *kvm)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	u64 online = READ_ONCE(h->requests->online);
	struct kvm_vcpu *vcpu;

	lockdep_assert_held(&h->lock);

	if (!h->control)
		return;
	WRITE_ONCE(h->control->jump[0], get_random_u64());
	WRITE_ONCE(h->control->jump[1], get_random_u64());
	/* For a guest that knows the generation alone: never one that is counted. */
	WRITE_ONCE(h->control->generation, h->control->jump[0] | BIT_ULL(63));
	hypr_for_each_vcpu(vcpu, h)
		hypr_vcpu_go_on(vcpu, online);
}

/**
 * hypr_pause_assume() - each vCPU that answers pauses counts as parked
 * @kvm: the VM; its vCPUs are held, and get another state, in which they may be parked
 *
 * Context: kvm_hypr.lock held.
 */
void hypr_pause_assume(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	u32 *state;

	lockdep_assert_held(&kvm->arch.hypr.vm->lock);

	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm) {
		state = hypr_control_state(vcpu);
		if (!state)
			continue;
		cmpxchg(state, HYPR_VCPU_RUNNING, HYPR_VCPU_PAUSED);
		cmpxchg(state, HYPR_VCPU_PAUSE_REQUESTED, HYPR_VCPU_PAUSED);
	}
}
