// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: which vCPU must flush its TLB before it uses which view again.
 *
 * Whoever changes the tables of a view asks all vCPUs for an INVEPT of all
 * contexts, as KVM does for any of its roots.  This file remembers the changes that
 * no table shows: bytes that user space writes into an inactive view (page tables
 * of the guest among them; shadows that KVM made of such tables are dropped at
 * once), and events for which KVM flushes the current root alone.
 * docs/spec/tlb.md has the rules.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitops.h>
#include <linux/export.h>

#include "mmu.h"

#include "vmx_ept_swap.h"

/**
 * kvm_hypr_tlb_stale() - what a vCPU's translations rest on has changed
 * @vcpu: the vCPU, loaded
 *
 * For events that KVM answers with KVM_REQ_TLB_FLUSH_CURRENT: entries that are
 * tagged by the root of another view are as stale as those of the current one.
 */
void kvm_hypr_tlb_stale(struct kvm_vcpu *vcpu)
{
	/* Only this vCPU's thread clears bits, so none is lost here. */
	WRITE_ONCE(vcpu->arch.hypr.stale, ~0ul);
}
EXPORT_SYMBOL_GPL(kvm_hypr_tlb_stale);

/*
 * Hyper-V flushes the roots that KVM told it of, the last one of each vCPU:
 * entries of a view that was left before a change may outlive it.
 */
static bool hypr_remote_flush_is_partial(void)
{
#if IS_ENABLED(CONFIG_HYPERV)
	return kvm_x86_ops.flush_remote_tlbs;
#else
	return false;
#endif
}

/* Was @view edited since @vcpu last flushed for it?  The caller flushes. */
static bool hypr_vcpu_forget_stale(struct kvm_vcpu *vcpu, u8 view)
{
	if (!test_bit(view, &vcpu->arch.hypr.stale))
		return false;
	clear_bit(view, &vcpu->arch.hypr.stale);
	return true;
}

/**
 * hypr_vcpu_must_flush() - may @vcpu hold stale translations of @view?
 * @vcpu: loaded, its mutex held by this thread
 * @view: the view that the vCPU is about to take, or to go on in
 * @why: filled: the reason for a flush, or why there need be none
 *
 * It forgets what it knows: the caller flushes, by KVM_REQ_TLB_FLUSH.
 */
bool hypr_vcpu_must_flush(struct kvm_vcpu *vcpu, u8 view, enum tlb_reason *why)
{
	bool leaves = view != vcpu->arch.hypr.view;
	const struct tlb_facts facts = {
		.tag = hypr_root_tags_tlb() ? TLB_TAG_ROOT : TLB_TAG_ASID,
		/*
		 * A flush of the "current" root that is pending is for the view
		 * left now, which may come back.
		 */
		.edit = hypr_vcpu_forget_stale(vcpu, view) ||
			(leaves && kvm_test_request(KVM_REQ_TLB_FLUSH_CURRENT, vcpu)) ?
			TLB_EDIT_ROOT : TLB_EDIT_NONE,
		.other_root = leaves,
		.last_root_only = hypr_remote_flush_is_partial(),
		/* An ASID is never 0; with EPT nothing here rests on the VPID. */
		.vpid = 1,
		/* KVM_REQ_TLB_FLUSH covers each flush that a change of view needs. */
		.can = ~0ull,
	};
	struct tlb_decision decision = tlb_decide(&facts);

	*why = decision.why;
	return decision.flush != TLB_FLUSH_NONE;
}

/**
 * hypr_view_edited() - user space changed bytes of a view behind the guest's back
 * @kvm: the VM
 * @view: the view
 *
 * Each vCPU flushes when it takes the view next, at whichever swap that is; vCPUs
 * that are in the view flush before they go on.  A vCPU that swaps do not know yet
 * flushes when KVM first loads it, as any vCPU does.
 *
 * Context: kvm_hypr.lock held.
 */
void hypr_view_edited(struct kvm *kvm, u32 view)
{
	struct kvm_vcpu *vcpu;

	lockdep_assert_held(&kvm->arch.hypr.vm->lock);

	write_lock(&kvm->mmu_lock);
	/* The bytes may be of tables that a guest has built for a nested one. */
	hypr_shadows_drop(kvm, view);

	/* One step for kvm_hypr_tlb_check(): the edit and what it asks for. */
	kvm_hypr_tlb_view_edited(kvm, view);
	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm)
		set_bit(view, &vcpu->arch.hypr.stale);
	if (hypr_view_in_use(kvm, view))
		kvm_make_all_cpus_request(kvm, KVM_REQ_TLB_FLUSH);
	write_unlock(&kvm->mmu_lock);
}

/**
 * hypr_view_mark_edited() - KVM_HYPR_MARK_EDITED
 * @kvm: the VM
 * @view: the view
 *
 * Return: 0; -ENOENT no such view; -EINTR a fatal signal.
 */
int hypr_view_mark_edited(struct kvm *kvm, u32 view)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;

	if (!hypr_view_exists(kvm, view))
		return -ENOENT;

	if (mutex_lock_killable(&h->lock))
		return -EINTR;
	hypr_view_edited(kvm, view);
	mutex_unlock(&h->lock);

	hypr_dbg("mark edited %u\n", view);
	return 0;
}
