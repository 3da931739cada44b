// SPDX-License-Identifier: GPL-2.0-only
/*
 * What else a vCPU's state is: the event under way, XCR0, debug registers, the offset of its
 * TSC; as user space gets and sets them.
 */
#include <linux/uaccess.h>
#include <asm/debugreg.h>
#include <asm/fpu/types.h>

#include "apic.h"
#include "hyprv.h"
#include "vmx.h"

#define VECTOR_NMI	2
#define VECTOR_BP	3
#define VECTOR_OF	4

/* ---- the event under way -------------------------------------------------- */

static bool is_exception(u32 event)
{
	return (event & EVENT_VALID) && (event & EVENT_TYPE) == EVENT_EXCEPTION;
}

/*
 * An event whose delivery was interrupted.  One of an instruction (INT n, INT3) is not in
 * struct kvm_vcpu_events in full: the guest is still at that instruction, and executes it again.
 */
int state_get_events(struct vcpu *vcpu, struct kvm_vcpu_events *events)
{
	u64 blocked;
	int err = vmcs_get(vcpu);

	if (err)
		return err;
	/* What others have posted is part of it. */
	if (vcpu->apic)
		apic_collect(vcpu);
	blocked = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
	vmcs_put(vcpu);
	memset(events, 0, sizeof(*events));
	events->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	if (is_exception(vcpu->event)) {
		events->exception.injected = 1;
		events->exception.nr = vcpu->event & EVENT_VECTOR;
		events->exception.has_error_code = !!(vcpu->event & EVENT_HAS_ERROR);
		events->exception.error_code = vcpu->event_error;
	} else if ((vcpu->event & EVENT_VALID) && (vcpu->event & EVENT_TYPE) == EVENT_EXTERNAL) {
		events->interrupt.injected = 1;
		events->interrupt.nr = vcpu->event & EVENT_VECTOR;
	} else if ((vcpu->event & EVENT_VALID) && (vcpu->event & EVENT_TYPE) == EVENT_NMI) {
		events->nmi.injected = 1;
	}
	events->nmi.pending = vcpu->nmi;
	events->nmi.masked = !!(blocked & BLOCKED_BY_NMI);
	events->interrupt.shadow = (blocked & BLOCKED_BY_STI ? KVM_X86_SHADOW_INT_STI : 0) |
				   (blocked & BLOCKED_BY_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS : 0);
	return 0;
}

static bool events_valid(const struct kvm_vcpu_events *events)
{
	const u32 known = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
			  KVM_VCPUEVENT_VALID_SIPI_VECTOR | KVM_VCPUEVENT_VALID_SMM;

	if ((events->flags & ~known) || events->exception.pending)
		return false;
	/* There is no SMM, and no software interrupts to be completed. */
	if (events->smi.smm || events->smi.pending || events->interrupt.soft)
		return false;
	if (events->nmi.injected && (events->exception.injected || events->interrupt.injected))
		return false;
	if (events->exception.injected &&
	    (events->exception.nr > 31 || events->exception.nr == VECTOR_NMI ||
	     events->exception.nr == VECTOR_BP || events->exception.nr == VECTOR_OF ||
	     events->interrupt.injected))
		return false;
	return !(events->interrupt.shadow & ~(KVM_X86_SHADOW_INT_STI | KVM_X86_SHADOW_INT_MOV_SS));
}

int state_set_events(struct vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	u8 shadow = events->interrupt.shadow;
	u64 blocked;
	int err;

	if (!events_valid(events))
		return -EINVAL;
	err = vmcs_get(vcpu);
	if (err)
		return err;
	blocked = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
	if (events->flags & KVM_VCPUEVENT_VALID_SHADOW)
		blocked = (shadow & KVM_X86_SHADOW_INT_STI ? BLOCKED_BY_STI : 0) |
			  (shadow & KVM_X86_SHADOW_INT_MOV_SS ? BLOCKED_BY_MOV_SS : 0);
	/* One that is under way blocks others when the guest takes it. */
	blocked &= ~BLOCKED_BY_NMI;
	if (events->nmi.masked && !events->nmi.injected)
		blocked |= BLOCKED_BY_NMI;
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, blocked);
	vmcs_put(vcpu);
	if (events->flags & KVM_VCPUEVENT_VALID_NMI_PENDING) {
		vcpu->nmi = events->nmi.pending;
		/* One that was posted before goes with the state that is replaced. */
		if (vcpu->apic)
			clear_bit(POSTED_NMI, &vcpu->apic->posted);
	}
	vcpu->event = 0;
	vcpu->event_bytes = 0;
	if (events->exception.injected) {
		vcpu->event = EVENT_VALID | EVENT_EXCEPTION | events->exception.nr |
			      (events->exception.has_error_code ? EVENT_HAS_ERROR : 0);
		vcpu->event_error = events->exception.error_code;
	} else if (events->interrupt.injected) {
		vcpu->event = EVENT_VALID | EVENT_EXTERNAL | events->interrupt.nr;
	} else if (events->nmi.injected) {
		vcpu->event = EVENT_VALID | EVENT_NMI | VECTOR_NMI;
	}
	return 0;
}

/* ---- XCR0 ------------------------------------------------------------------ */

bool state_xcr0_is_valid(u64 value)
{
	u64 avx512 = value & XFEATURE_MASK_AVX512;

	return !(value & ~hypervisor.xcr0) && (value & XFEATURE_MASK_FP) &&
	       (!(value & XFEATURE_MASK_YMM) || (value & XFEATURE_MASK_SSE)) &&
	       (!avx512 || (avx512 == XFEATURE_MASK_AVX512 && (value & XFEATURE_MASK_YMM)));
}

void state_get_xcrs(const struct vcpu *vcpu, struct kvm_xcrs *xcrs)
{
	memset(xcrs, 0, sizeof(*xcrs));
	if (!hypervisor.xcr0)
		return;
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].value = vcpu->xcr0;
}

int state_set_xcrs(struct vcpu *vcpu, const struct kvm_xcrs *xcrs)
{
	u32 i;

	if (xcrs->nr_xcrs > KVM_MAX_XCRS || xcrs->flags)
		return -EINVAL;
	for (i = 0; i < xcrs->nr_xcrs; i++) {
		if (xcrs->xcrs[i].xcr || !state_xcr0_is_valid(xcrs->xcrs[i].value))
			return -EINVAL;
		vcpu->xcr0 = xcrs->xcrs[i].value;
	}
	return 0;
}

/* ---- debug registers ------------------------------------------------------- */

int state_get_debug(struct vcpu *vcpu, struct kvm_debugregs *regs)
{
	memset(regs, 0, sizeof(*regs));
	memcpy(regs->db, vcpu->dr, sizeof(regs->db));
	regs->dr6 = vcpu->dr6;
	regs->dr7 = vcpu->dr7;
	return 0;
}

int state_set_debug(struct vcpu *vcpu, const struct kvm_debugregs *regs)
{
	int err;

	if (regs->flags || regs->dr6 >> 32 || regs->dr7 >> 32)
		return -EINVAL;
	err = vmcs_get(vcpu);
	if (err)
		return err;
	memcpy(vcpu->dr, regs->db, sizeof(regs->db));
	vcpu->dr6 = (regs->dr6 & 0xe00f) | DR6_RESERVED;
	vcpu->dr7 = (regs->dr7 & 0xffff2bffull) | DR7_FIXED_1;
	vmcs_write(VMCS_GUEST_DR7, vcpu->dr7);
	vmcs_put(vcpu);
	return 0;
}

/* ---- the TSC's offset ------------------------------------------------------ */

int state_attribute(struct vcpu *vcpu, unsigned int request, const struct kvm_device_attr *attr)
{
	u64 __user *user = (u64 __user *)(uintptr_t)attr->addr;
	u64 offset = 0;
	int err;

	if (attr->flags || attr->group != KVM_VCPU_TSC_CTRL || attr->attr != KVM_VCPU_TSC_OFFSET)
		return -ENXIO;
	if (request == KVM_HAS_DEVICE_ATTR)
		return 0;
	if (request == KVM_SET_DEVICE_ATTR && get_user(offset, user))
		return -EFAULT;
	err = vmcs_get(vcpu);
	if (err)
		return err;
	if (request == KVM_SET_DEVICE_ATTR)
		vmcs_write(VMCS_TSC_OFFSET, offset);
	else
		offset = vmcs_read(VMCS_TSC_OFFSET);
	vmcs_put(vcpu);
	return request == KVM_GET_DEVICE_ATTR && put_user(offset, user) ? -EFAULT : 0;
}
