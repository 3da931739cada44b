// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is under way in a vCPU, and goes with its view: an exception, an interrupt or an
 * NMI that is being delivered or waits for that, what holds interrupts and NMIs back, and
 * HLT.
 *
 * What KVM has nowhere but in a request or a counter that other CPUs change is not moved:
 * a vCPU that has it is refused before the swap is committed.
 */
#include "lapic.h"
#include "x86.h"

#include "vmx_ept_swap.h"

/**
 * hypr_events_have_come() - has another CPU sent what this file does not move?
 * @vcpu: any vCPU with a local APIC in the kernel
 */
bool hypr_events_have_come(struct kvm_vcpu *vcpu)
{
	return atomic_read(&vcpu->arch.nmi_queued) ||
	       READ_ONCE(vcpu->arch.apic->pending_events) ||
	       kvm_test_request(KVM_REQ_SMI, vcpu);
}

/**
 * hypr_events_can_move() - is all that is under way what this file moves?
 * @vcpu: loaded, with a local APIC in the kernel, its mutex held by this thread
 */
bool hypr_events_can_move(struct kvm_vcpu *vcpu)
{
	return hypr_vcpu_comes_by(vcpu) &&
	       !vcpu->arch.exception_vmexit.pending && !vcpu->arch.smi_pending &&
	       !vcpu->arch.apf.halted && !kvm_test_request(KVM_REQ_TRIPLE_FAULT, vcpu) &&
	       !hypr_events_have_come(vcpu);
}

/**
 * hypr_events_read() - what is under way now
 * @vcpu: loaded, its mutex held by this thread, hypr_events_can_move()
 * @events: filled
 *
 * Before CR2 and DR6 are read: an exception that waits leaves its address or its bits there.
 */
void hypr_events_read(struct kvm_vcpu *vcpu, struct hypr_events *events)
{
	struct kvm_queued_exception *ex = &vcpu->arch.exception;

	if (ex->pending && ex->has_payload)
		kvm_deliver_exception_payload(vcpu, ex);
	events->exception = *ex;
	/* RIP is still that of the INT3, INTO or INT n: the guest comes to it again. */
	if (kvm_exception_is_soft(ex->vector)) {
		events->exception.pending = false;
		events->exception.injected = false;
	}
	events->interrupt_nr = vcpu->arch.interrupt.nr;
	events->interrupt = vcpu->arch.interrupt.injected && !vcpu->arch.interrupt.soft;
	events->nmi_injected = vcpu->arch.nmi_injected;
	events->nmi_pending = vcpu->arch.nmi_pending;
	events->nmi_masked = kvm_x86_call(get_nmi_mask)(vcpu);
	events->shadow = kvm_x86_call(get_interrupt_shadow)(vcpu);
	events->mp_state = vcpu->arch.mp_state;
}

/**
 * hypr_events_write() - go on with what was under way in the other view
 * @vcpu: loaded, its mutex held by this thread
 * @from: what hypr_events_read() has found in this vCPU
 * @to: from the same vCPU
 */
void hypr_events_write(struct kvm_vcpu *vcpu, const struct hypr_events *from,
		       const struct hypr_events *to)
{
	vcpu->arch.exception = to->exception;
	vcpu->arch.interrupt.injected = to->interrupt;
	vcpu->arch.interrupt.nr = to->interrupt_nr;
	vcpu->arch.interrupt.soft = false;
	vcpu->arch.nmi_injected = to->nmi_injected;
	vcpu->arch.nmi_pending = to->nmi_pending;
	if (from->nmi_masked != to->nmi_masked)
		kvm_x86_call(set_nmi_mask)(vcpu, to->nmi_masked);
	if (from->shadow != to->shadow)
		kvm_x86_call(set_interrupt_shadow)(vcpu, to->shadow);
	/* Others look whether it is halted: hypr_vcpu_is_held(). */
	WRITE_ONCE(vcpu->arch.mp_state, to->mp_state);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/**
 * hypr_events_copy() - the same as KVM_GET_VCPU_EVENTS would have it
 * @kvm: the VM
 * @events: of one of its vCPUs
 * @user: filled
 */
void hypr_events_copy(struct kvm *kvm, const struct hypr_events *events,
		      struct kvm_vcpu_events *user)
{
	const struct kvm_queued_exception *ex = &events->exception;
	bool has_payloads = kvm->arch.exception_payload_enabled;

	memset(user, 0, sizeof(*user));
	user->exception.pending = ex->pending;
	/* To those who know of no payload there is but one kind of exception. */
	user->exception.injected = ex->injected || (ex->pending && !has_payloads);
	user->exception.nr = ex->vector;
	user->exception.has_error_code = ex->has_error_code;
	user->exception.error_code = ex->error_code;
	user->interrupt.injected = events->interrupt;
	user->interrupt.nr = events->interrupt_nr;
	user->interrupt.shadow = events->shadow;
	user->nmi.injected = events->nmi_injected;
	user->nmi.pending = events->nmi_pending;
	user->nmi.masked = events->nmi_masked;
	user->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
		      (has_payloads ? KVM_VCPUEVENT_VALID_PAYLOAD : 0);
}
