// SPDX-License-Identifier: GPL-2.0-only
/*
 * The views of a VM: which of them exist, and which are in use.
 */
#include <linux/nospec.h>

#include "vmx_ept_swap.h"

/**
 * hypr_has_user_slots() - does user space have memory in this address space?
 * @kvm: the VM
 * @as_id: the address space
 *
 * KVM's internal slots are in every address space and do not count.
 */
bool hypr_has_user_slots(struct kvm *kvm, u32 as_id)
{
	struct kvm_memslot_iter iter;
	bool has = false;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_for_each_memslot_in_gfn_range(&iter, __kvm_memslots(kvm, as_id),
					  0, HYPR_GFN_END) {
		has = iter.slot->id < KVM_USER_MEM_SLOTS;
		if (has)
			break;
	}
	srcu_read_unlock(&kvm->srcu, idx);
	return has;
}

/**
 * hypr_view_exists() - does user space have memory in this view?
 * @kvm: the VM
 * @view: from user space
 *
 * Each change of a view's slots gives them another generation.  So one that was found to
 * have memory need not be looked at again; no lock is needed for that.
 */
bool hypr_view_exists(struct kvm *kvm, u32 view)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	u64 generation;

	if (!hypr_view_is_valid(view))
		return false;
	view = array_index_nospec(view, KVM_HYPR_MAX_VIEWS);
	/* Both sets of a view's slots are in @kvm: neither is ever freed. */
	generation = READ_ONCE(rcu_access_pointer(kvm->memslots[view])->generation) + 1;
	if (READ_ONCE(h->existed[view]) == generation)
		return true;
	if (!hypr_has_user_slots(kvm, view))
		return false;
	WRITE_ONCE(h->existed[view], generation);
	return true;
}

/**
 * hypr_view_in_use() - is the view active, or a vCPU in it?
 * @kvm: the VM
 * @view: any view
 *
 * Context: kvm_hypr.lock held, so that the answer lasts.
 */
bool hypr_view_in_use(struct kvm *kvm, u32 view)
{
	struct kvm_vcpu *vcpu;

	lockdep_assert_held(&kvm->arch.hypr.vm->lock);

	if (view == kvm->arch.hypr.active)
		return true;
	/* KVM_SET_EPTP may have taken single vCPUs elsewhere. */
	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm) {
		if (READ_ONCE(vcpu->arch.hypr.next) == view)
			return true;
	}
	return false;
}
