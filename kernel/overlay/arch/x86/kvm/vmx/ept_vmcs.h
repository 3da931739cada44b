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

/* EPT entries are tagged by EPTRTA; SDM, "Information That May Be Cached". */
static const struct kvm_hypr_tdp vmx_hypr_tdp = {
	.tagged_by_root = true,
	.get_eptp = vmx_get_eptp,
};

#endif /* __KVM_X86_VMX_EPT_VMCS_H */
