/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HYPR views: what only the VMX side knows.  Included by vmx/main.c, which
 * publishes it in kvm_x86_ops.
 */
#ifndef __KVM_X86_VMX_EPT_VMCS_H
#define __KVM_X86_VMX_EPT_VMCS_H

#include "vmx_ops.h"

/* The EPTP that the next VM-entry of the loaded vCPU uses. */
static u64 vmx_get_eptp(struct kvm_vcpu *vcpu)
{
	return vmcs_read64(EPT_POINTER);
}

/* In a row in the VMCS: each field of the next segment is two further on. */
static void vmx_get_segment_at(struct kvm_segment *segment, unsigned int at)
{
	u32 ar = vmcs_read32(GUEST_ES_AR_BYTES + at);

	segment->base = vmcs_readl(GUEST_ES_BASE + at);
	segment->limit = vmcs_read32(GUEST_ES_LIMIT + at);
	segment->selector = vmcs_read16(GUEST_ES_SELECTOR + at);
	segment->unusable = !!(ar & BIT(16));
	segment->type = ar & 15;
	segment->s = !!(ar & BIT(4));
	segment->dpl = (ar >> 5) & 3;
	/* As vmx_get_segment() has it, with the reason. */
	segment->present = !segment->unusable;
	segment->avl = !!(ar & BIT(12));
	segment->l = !!(ar & BIT(13));
	segment->db = !!(ar & BIT(14));
	segment->g = !!(ar & BIT(15));
}

/* Each of vmx_get_segment()'s fields goes through a cache that is empty after an exit. */
static void vmx_get_segments(struct kvm_vcpu *vcpu, struct kvm_sregs *sregs)
{
	vmx_get_segment_at(&sregs->es, 0);
	vmx_get_segment_at(&sregs->cs, GUEST_CS_SELECTOR - GUEST_ES_SELECTOR);
	vmx_get_segment_at(&sregs->ss, GUEST_SS_SELECTOR - GUEST_ES_SELECTOR);
	vmx_get_segment_at(&sregs->ds, GUEST_DS_SELECTOR - GUEST_ES_SELECTOR);
	vmx_get_segment_at(&sregs->fs, GUEST_FS_SELECTOR - GUEST_ES_SELECTOR);
	vmx_get_segment_at(&sregs->gs, GUEST_GS_SELECTOR - GUEST_ES_SELECTOR);
	vmx_get_segment_at(&sregs->ldt, GUEST_LDTR_SELECTOR - GUEST_ES_SELECTOR);
	vmx_get_segment_at(&sregs->tr, GUEST_TR_SELECTOR - GUEST_ES_SELECTOR);
}

/* EPT entries are tagged by EPTRTA; SDM, "Information That May Be Cached". */
static const struct kvm_hypr_tdp vmx_hypr_tdp = {
	.tagged_by_root = true,
	.get_eptp = vmx_get_eptp,
	.get_segments = vmx_get_segments,
};

#endif /* __KVM_X86_VMX_EPT_VMCS_H */
