// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pointer to a view's tables, as the CPU takes it and as user space sees
 * it: an EPTP on Intel, a nested CR3 on AMD.  The vendor module says which
 * (struct kvm_hypr_tdp).
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mem_encrypt.h>

#include <asm/msr.h>

#include "mmu.h"
#include "mmu/spte.h"
#include "x86.h"

#include "hypr/eptp.h"
#include "vmx_ept_swap.h"

static bool hypr_root_is_ncr3(void)
{
	return kvm_x86_ops.hypr_tdp->eptp_flags & KVM_HYPR_EPTP_NPT;
}

/**
 * hypr_root_read() - the pointer that the next VM-entry uses
 * @vcpu: loaded, its MMU too
 * @arg: @arg->eptp and @arg->flags are filled
 */
void hypr_root_read(struct kvm_vcpu *vcpu, struct kvm_hypr_eptp *arg)
{
	arg->eptp = kvm_x86_ops.hypr_tdp->get_eptp(vcpu);
	arg->flags = kvm_x86_ops.hypr_tdp->eptp_flags;
}

/**
 * hypr_root_encode() - the pointer to a root, as KVM loads it
 * @root: HPA of the root table
 * @level: levels of the table; a nested CR3 does not hold them
 */
u64 hypr_root_encode(hpa_t root, int level)
{
	if (hypr_root_is_ncr3())
		return __sme_set(root);
	return hypr_eptp_encode(hypr_hpa(root), level, kvm_ad_enabled());
}

/**
 * hypr_root_check() - would the CPU take this pointer?
 * @value: untrusted
 *
 * Return: 0, or -EINVAL.  0 says nothing about what is at the address.
 */
int hypr_root_check(u64 value)
{
	u8 maxphyaddr = boot_cpu_data.x86_phys_bits;
	struct hypr_ept_caps caps;
	u64 msr;

	if (hypr_root_is_ncr3())
		return hypr_ncr3_check(value, maxphyaddr, sme_me_mask);

	if (rdmsrl_safe(MSR_IA32_VMX_EPT_VPID_CAP, &msr))
		return -EINVAL;
	hypr_ept_caps_decode(&caps, msr, maxphyaddr);
	return hypr_eptp_check(value, &caps);
}
