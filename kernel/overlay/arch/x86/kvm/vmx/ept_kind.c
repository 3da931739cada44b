// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kind of a VM: what a VM must be so that it can have views, and what it then
 * cannot ask for.  The tables here are the only place that says so.  KVM refuses
 * what they name in both orders: a VM with views cannot ask for it, and a VM that
 * has asked for it, even in vain, cannot enable views.
 *
 * To make an entry work with views, show that by tests and delete the entry.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <asm/hyperv-tlfs.h>

#include "mmu.h"

#include "vmx_ept_swap.h"

/* "Hv#1": Hyper-V made this CPU.  KVM has a name for it with CONFIG_KVM_HYPERV alone. */
#define HYPR_HYPERV_SIGNATURE	0x31237648

/* kvm_hypr_arch.kind: decided once, by the first who asks. */
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
	/* Xen: KVM caches pages of the boot view and writes to them at any time */
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

/* types of devices that are created on the VM */
static const u32 hypr_refused_devices[] = {
	/* a device's DMA has one address space: that of the boot view */
	KVM_DEV_TYPE_VFIO,
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
 * Did the VM never have a memory slot?  It is not enough that it has no slot now: a
 * slot that came and went has moved the generation of its address space on by
 * twos.  The generations of views grow by KVM_HYPR_MAX_VIEWS and would meet it.
 * KVM's caches of slots and addresses compare nothing but generations.
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
 * hypr_vm_claim() - decide that this VM has views, if it may
 * @kvm: the VM
 *
 * Context: kvm->lock and kvm->slots_lock held.
 * Return: 0, and from here on KVM refuses what the tables name; -EINVAL if the VM
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
 * Return: false if the VM has views: refuse.  True if it has no views, and from
 * here on it cannot enable them.
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
 * kvm_hypr_may_create_device() - before KVM_CREATE_DEVICE creates one
 * @kvm: any VM
 * @type: KVM_DEV_TYPE_*
 *
 * Return: false if the VM has views, and devices of this type do not go with views.
 */
bool kvm_hypr_may_create_device(struct kvm *kvm, u32 type)
{
	return !hypr_is_listed(hypr_refused_devices,
			       ARRAY_SIZE(hypr_refused_devices), type) ||
	       kvm_hypr_claim_other(kvm);
}

/**
 * hypr_refuses_vm_ioctl() - is this an ioctl of a VM that does not go with views?
 * @ioctl: number
 */
bool hypr_refuses_vm_ioctl(unsigned int ioctl)
{
	return hypr_is_listed(hypr_refused_ioctls,
			      ARRAY_SIZE(hypr_refused_ioctls), ioctl);
}

/**
 * hypr_refuses_vm_cap() - is this a capability of a VM that does not go with views?
 * @cap: the capability
 */
bool hypr_refuses_vm_cap(u32 cap)
{
	return hypr_is_listed(hypr_refused_caps,
			      ARRAY_SIZE(hypr_refused_caps), cap);
}

/**
 * hypr_refuses_vcpu_ioctl() - is this an ioctl of a vCPU that does not go with views?
 * @ioctl: number
 */
bool hypr_refuses_vcpu_ioctl(unsigned int ioctl)
{
	return hypr_is_listed(hypr_refused_vcpu_ioctls,
			      ARRAY_SIZE(hypr_refused_vcpu_ioctls), ioctl);
}

/**
 * kvm_hypr_refuses_vcpu_cap() - must KVM refuse KVM_ENABLE_CAP on a vCPU?
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
 * kvm_hypr_refuses_cpuid() - must KVM refuse KVM_SET_CPUID2?
 * @vcpu: a vCPU of any VM
 * @entries: what its guest will see
 * @nent: how many
 *
 * With this leaf KVM gives the guest Hyper-V's registers and hypercalls, by which
 * KVM itself uses pages of the guest.
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
