/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HYPR views: what only the VMX side knows.  Included by vmx/main.c, which
 * publishes it in kvm_x86_ops.
 */
#ifndef __KVM_X86_VMX_EPT_VMCS_H
#define __KVM_X86_VMX_EPT_VMCS_H

#include "vmx.h"
#include "vmx_ops.h"

/* The EPTP that the next VM-entry of the loaded vCPU uses. */
static u64 vmx_get_eptp(struct kvm_vcpu *vcpu)
{
	return vmcs_read64(EPT_POINTER);
}

/* In a row in the VMCS: each field of the next segment is two further on. */
static void vmx_get_segment_at(struct hypr_segment *segment, unsigned int at)
{
	segment->base = vmcs_readl(GUEST_ES_BASE + at);
	segment->limit = vmcs_read32(GUEST_ES_LIMIT + at);
	segment->ar = vmcs_read32(GUEST_ES_AR_BYTES + at);
	segment->selector = vmcs_read16(GUEST_ES_SELECTOR + at);
}

/* Each of vmx_get_segment()'s fields goes through a cache that is empty after an exit. */
static void vmx_get_segments(struct kvm_vcpu *vcpu, struct hypr_segment *segments)
{
	vmx_get_segment_at(&segments[VCPU_SREG_ES], 0);
	vmx_get_segment_at(&segments[VCPU_SREG_CS], GUEST_CS_SELECTOR - GUEST_ES_SELECTOR);
	vmx_get_segment_at(&segments[VCPU_SREG_SS], GUEST_SS_SELECTOR - GUEST_ES_SELECTOR);
	vmx_get_segment_at(&segments[VCPU_SREG_DS], GUEST_DS_SELECTOR - GUEST_ES_SELECTOR);
	vmx_get_segment_at(&segments[VCPU_SREG_FS], GUEST_FS_SELECTOR - GUEST_ES_SELECTOR);
	vmx_get_segment_at(&segments[VCPU_SREG_GS], GUEST_GS_SELECTOR - GUEST_ES_SELECTOR);
	vmx_get_segment_at(&segments[VCPU_SREG_LDTR], GUEST_LDTR_SELECTOR - GUEST_ES_SELECTOR);
	vmx_get_segment_at(&segments[VCPU_SREG_TR], GUEST_TR_SELECTOR - GUEST_ES_SELECTOR);
}

/* The CPU has it from the first VM-entry until another task, or user space, needs its own. */
static u64 vmx_get_kernel_gs_base(struct vcpu_vmx *vmx)
{
	u64 base = vmx->msr_guest_kernel_gs_base;

	preempt_disable();
	if (vmx->guest_state_loaded)
		rdmsrl(MSR_KERNEL_GS_BASE, base);
	preempt_enable();
	return base;
}

/* What vmx_get_msr() does for these, without the look at all others. */
static bool vmx_get_live_msr(struct kvm_vcpu *vcpu, u32 index, u64 *data)
{
	switch (index) {
	case MSR_KERNEL_GS_BASE:
		*data = vmx_get_kernel_gs_base(to_vmx(vcpu));
		return true;
	case MSR_IA32_SYSENTER_CS:
		*data = vmcs_read32(GUEST_SYSENTER_CS);
		return true;
	case MSR_IA32_SYSENTER_ESP:
		*data = vmcs_readl(GUEST_SYSENTER_ESP);
		return true;
	case MSR_IA32_SYSENTER_EIP:
		*data = vmcs_readl(GUEST_SYSENTER_EIP);
		return true;
	case MSR_IA32_CR_PAT:
		*data = vcpu->arch.pat;
		return true;
	default:
		return false;
	}
}

/* EPT entries are tagged by EPTRTA; SDM, "Information That May Be Cached". */
static const struct kvm_hypr_tdp vmx_hypr_tdp = {
	.tagged_by_root = true,
	.get_eptp = vmx_get_eptp,
	.get_segments = vmx_get_segments,
	.get_live_msr = vmx_get_live_msr,
};

#endif /* __KVM_X86_VMX_EPT_VMCS_H */
