// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VM may be, and may ask for, so that it can have views.  The tables here
 * are the only place that says so, and whatever they name is refused in both
 * orders: a VM with views cannot ask for it, and a VM that has asked for it (be
 * it in vain) cannot enable views.
 *
 * To make one of them work with views, show it by tests and take it off its table.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <asm/hyperv-tlfs.h>

#include "mmu.h"
#include "x86.h"

#include "vmx_ept_swap.h"

/* "Hv#1": the CPU is one of Hyper-V's.  KVM names it where Hyper-V is compiled in. */
#define HYPR_HYPERV_SIGNATURE	0x31237648

/* kvm_hypr_arch.kind: decided once, by whoever comes first. */
enum {
	HYPR_KIND_OPEN,
	HYPR_KIND_VIEWS,
	HYPR_KIND_OTHER,
};

/* ioctls of the VM */
static const unsigned int hypr_refused_ioctls[] = {
	/* SEV: memory and registers that KVM cannot read, bound to one root */
	KVM_MEMORY_ENCRYPT_OP,
	KVM_MEMORY_ENCRYPT_REG_REGION,
	/* Xen: pages of the boot view are cached and written to at any time */
	KVM_XEN_HVM_CONFIG,
	KVM_XEN_HVM_SET_ATTR,
	KVM_XEN_HVM_EVTCHN_SEND,
	/* Hyper-V: the same, and it flushes the TLB of the last root alone */
	KVM_HYPERV_EVENTFD,
};

/* capabilities that are enabled on the VM */
static const u32 hypr_refused_caps[] = {
	/* SEV, from another VM */
	KVM_CAP_VM_COPY_ENC_CONTEXT_FROM,
	KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
};

/* ioctls of a vCPU, which comes after views were enabled */
static const unsigned int hypr_refused_vcpu_ioctls[] = {
	KVM_XEN_VCPU_SET_ATTR,
};

/* capabilities that are enabled on a vCPU */
static const u32 hypr_refused_vcpu_caps[] = {
	KVM_CAP_HYPERV_SYNIC,
	KVM_CAP_HYPERV_SYNIC2,
	KVM_CAP_HYPERV_ENLIGHTENED_VMCS,
	KVM_CAP_HYPERV_DIRECT_TLBFLUSH,
};

static bool hypr_is_listed(const u32 *list, size_t nr, u32 value)
{
	while (nr--) {
		if (list[nr] == value)
			return true;
	}
	return false;
}

/* ---- what the VM must be ------------------------------------------------- */

static bool hypr_has_tdp_mmu(struct kvm *kvm)
{
	return tdp_mmu_enabled;
}

/* The other types have memory that user space cannot map. */
static bool hypr_is_default_type(struct kvm *kvm)
{
	return kvm->arch.vm_type == KVM_X86_DEFAULT_VM;
}

static bool hypr_has_no_views(struct kvm *kvm)
{
	return !kvm->arch.hypr.vm;
}

static bool hypr_has_no_vcpu(struct kvm *kvm)
{
	return !kvm->created_vcpus;
}

/*
 * Did the VM never have a memory slot?  It is not enough that it has none now: a
 * slot that came and went has moved the generation of its address space on by
 * twos, and the generations of views, which grow by KVM_HYPR_MAX_VIEWS, would
 * meet it.  KVM's caches of slots and addresses compare nothing but generations.
 */
static bool hypr_never_had_slots(struct kvm *kvm)
{
	struct kvm_memslots *slots;
	int i;

	lockdep_assert_held(&kvm->slots_lock);

	for (i = 0; i < KVM_HYPR_VIEW_FIRST; i++) {
		slots = __kvm_memslots(kvm, i);
		if (!kvm_memslots_empty(slots) || slots->generation != i)
			return false;
	}
	return true;
}

static const struct {
	bool (*is_met)(struct kvm *kvm);
	const char *what;
} hypr_needs[] = {
	{ hypr_has_tdp_mmu, "the TDP MMU" },
	{ hypr_is_default_type, "a VM of the default type" },
	{ hypr_has_no_views, "a VM without views" },
	{ hypr_has_no_vcpu, "a VM without vCPUs" },
	{ hypr_never_had_slots, "a VM that never had a memory slot" },
};

/**
 * hypr_vm_claim() - may this VM have views?  Then nothing else can come first
 * @kvm: the VM
 *
 * Context: kvm->lock and kvm->slots_lock held.
 * Return: 0, and what the tables name is refused from here on; -EINVAL if the VM
 * lacks something or has asked for something that the tables name.
 */
int hypr_vm_claim(struct kvm *kvm)
{
	unsigned int i;

	lockdep_assert_held(&kvm->lock);
	lockdep_assert_held(&kvm->slots_lock);

	for (i = 0; i < ARRAY_SIZE(hypr_needs); i++) {
		if (hypr_needs[i].is_met(kvm))
			continue;
		hypr_dbg("views need %s\n", hypr_needs[i].what);
		return -EINVAL;
	}
	/* Decides the race with kvm_hypr_claim_other(). */
	if (cmpxchg(&kvm->arch.hypr.kind, HYPR_KIND_OPEN, HYPR_KIND_VIEWS) !=
	    HYPR_KIND_OPEN) {
		hypr_dbg("views do not go with what the VM has asked for\n");
		return -EINVAL;
	}
	return 0;
}

/**
 * kvm_hypr_claim_other() - the VM asks for what does not go with views
 * @kvm: any VM
 *
 * Context: any, no lock needed.
 * Return: false if it has views: refuse.  True if it has none, and then it cannot
 * enable them any more.
 */
bool kvm_hypr_claim_other(struct kvm *kvm)
{
	return cmpxchg(&kvm->arch.hypr.kind, HYPR_KIND_OPEN, HYPR_KIND_OTHER) !=
	       HYPR_KIND_VIEWS;
}

/**
 * kvm_hypr_nr_views() - answer to KVM_CAP_HYPR_EPT_SWAP
 * @kvm: the VM, NULL when asked on /dev/kvm
 *
 * Return: the number of views that a VM can have besides the boot view.
 */
int kvm_hypr_nr_views(struct kvm *kvm)
{
	if (!hypr_has_tdp_mmu(kvm) || (kvm && !hypr_is_default_type(kvm)))
		return 0;
	return KVM_HYPR_MAX_VIEWS - KVM_HYPR_VIEW_FIRST;
}

/* ---- what it may ask for ------------------------------------------------- */

/**
 * kvm_hypr_vm_ioctl() - before KVM looks at an ioctl on the VM fd
 * @kvm: the VM
 * @ioctl: number
 * @arg: user pointer
 * @ret: what the ioctl returns, filled if this function returns true
 *
 * Return: true if there is nothing left to do for KVM: it is HYPR's own, or it is
 * refused with -EINVAL.
 */
bool kvm_hypr_vm_ioctl(struct kvm *kvm, unsigned int ioctl, unsigned long arg,
		       int *ret)
{
	if (hypr_is_listed(hypr_refused_ioctls,
			   ARRAY_SIZE(hypr_refused_ioctls), ioctl)) {
		*ret = -EINVAL;
		return !kvm_hypr_claim_other(kvm);
	}
	*ret = hypr_vm_ioctl(kvm, ioctl, arg);
	return *ret != -ENOTTY;
}

/**
 * kvm_hypr_enable_cap() - before KVM looks at KVM_ENABLE_CAP on the VM fd
 * @kvm: the VM
 * @cap: as user space passed it
 * @ret: what the ioctl returns, filled if this function returns true
 *
 * Return: as kvm_hypr_vm_ioctl().
 */
bool kvm_hypr_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap, int *ret)
{
	if (hypr_is_listed(hypr_refused_caps, ARRAY_SIZE(hypr_refused_caps),
			   cap->cap)) {
		*ret = -EINVAL;
		return !kvm_hypr_claim_other(kvm);
	}
	if (cap->cap != KVM_CAP_HYPR_EPT_SWAP)
		return false;
	*ret = hypr_enable(kvm, cap);
	return true;
}

/**
 * hypr_refuses_vcpu_ioctl() - must this ioctl on a vCPU be refused?
 * @ioctl: number
 *
 * Of a VM with views.
 */
bool hypr_refuses_vcpu_ioctl(unsigned int ioctl)
{
	return hypr_is_listed(hypr_refused_vcpu_ioctls,
			      ARRAY_SIZE(hypr_refused_vcpu_ioctls), ioctl);
}

/**
 * kvm_hypr_refuses_vcpu_cap() - must KVM_ENABLE_CAP on a vCPU be refused?
 * @vcpu: a vCPU of any VM
 * @cap: the capability
 */
bool kvm_hypr_refuses_vcpu_cap(struct kvm_vcpu *vcpu, u32 cap)
{
	return vcpu->kvm->arch.hypr.vm &&
	       hypr_is_listed(hypr_refused_vcpu_caps,
			      ARRAY_SIZE(hypr_refused_vcpu_caps), cap);
}

/**
 * kvm_hypr_refuses_cpuid() - must KVM_SET_CPUID2 be refused?
 * @vcpu: a vCPU of any VM
 * @entries: what its guest is to see
 * @nent: how many
 *
 * With this leaf KVM gives the guest Hyper-V's registers and hypercalls, which
 * put pages of the guest to KVM's own use.
 */
bool kvm_hypr_refuses_cpuid(struct kvm_vcpu *vcpu,
			    const struct kvm_cpuid_entry2 *entries, int nent)
{
	if (!vcpu->kvm->arch.hypr.vm)
		return false;
	for (; nent > 0; nent--, entries++) {
		if (entries->function == HYPERV_CPUID_INTERFACE &&
		    entries->eax == HYPR_HYPERV_SIGNATURE)
			return true;
	}
	return false;
}
