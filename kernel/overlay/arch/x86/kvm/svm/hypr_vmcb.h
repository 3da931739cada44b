/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HYPR views: what only the SVM side knows.  Included by svm/svm.c, which
 * publishes it in kvm_x86_ops.
 */
#ifndef __KVM_X86_SVM_HYPR_VMCB_H
#define __KVM_X86_SVM_HYPR_VMCB_H

#include "svm.h"

/* The nested CR3 that the next VMRUN uses, encryption bit included. */
static u64 svm_get_nested_cr3(struct kvm_vcpu *vcpu)
{
	return to_svm(vcpu)->vmcb->control.nested_cr3;
}

/*
 * Guest and nested translations alike are tagged by ASID, and KVM gives a vCPU
 * one ASID for all its roots: a flush of the ASID is what parts them.  AMD APM
 * volume 2, "TLB Control".
 */
static const struct kvm_hypr_tdp svm_hypr_tdp = {
	.eptp_flags = KVM_HYPR_EPTP_NPT,
	.tagged_by_root = false,
	.get_eptp = svm_get_nested_cr3,
};

#endif /* __KVM_X86_SVM_HYPR_VMCB_H */
