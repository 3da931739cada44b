/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HYPR views: shadow pages.  KVM shadows the EPT (NPT) that a guest builds for a
 * nested guest of its own, and keeps each shadow up to date by what the guest writes.
 * It does not see what user space writes there.  Included by mmu/mmu.c, whose
 * functions this needs.
 */
#ifndef __KVM_X86_VMX_EPT_SHADOW_H
#define __KVM_X86_VMX_EPT_SHADOW_H

#include "vmx_ept_swap.h"

/**
 * hypr_shadows_drop() - drop the shadow pages of a view
 * @kvm: the VM
 * @view: the view; its own tables stay
 *
 * A nested guest faults them in again.
 *
 * Context: kvm->mmu_lock held for write; may be released and taken again.
 */
void hypr_shadows_drop(struct kvm *kvm, u32 view)
{
	struct kvm_mmu_page *sp, *node;
	LIST_HEAD(invalid_list);
	int nr_zapped;

	lockdep_assert_held_write(&kvm->mmu_lock);

restart:
	list_for_each_entry_safe(sp, node, &kvm->arch.active_mmu_pages, link) {
		if (sp->role.invalid || kvm_mmu_page_as_id(sp) != view)
			continue;
		/* True if others left the list too. */
		if (__kvm_mmu_prepare_zap_page(kvm, sp, &invalid_list, &nr_zapped))
			goto restart;
		/* Others may free a page that a vCPU still has in its TLB: flush first. */
		if (need_resched() || rwlock_needbreak(&kvm->mmu_lock)) {
			kvm_mmu_remote_flush_or_zap(kvm, &invalid_list, false);
			cond_resched_rwlock_write(&kvm->mmu_lock);
			goto restart;
		}
	}
	kvm_mmu_commit_zap_page(kvm, &invalid_list);
}

#endif /* __KVM_X86_VMX_EPT_SHADOW_H */
