// SPDX-License-Identifier: GPL-2.0-only
/*
 * CONFIG_KVM_HYPR_DEBUG_TLB: warn at a VM-entry with a root that was edited
 * since this CPU flushed it.  The emulated PC empties its TLB at each VM-entry,
 * and real hardware may drop an entry at any time: a missing flush shows nowhere
 * else.  docs/spec/tlb.md has the rules that are checked.
 *
 * All TDP MMU roots of all VMs are watched, not those of views alone.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/ratelimit.h>

#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/spte.h"
#include "mmu/tdp_mmu.h"

#include "hypr/tlb_account.h"
#include "vmx_ept_swap.h"

static atomic64_t hypr_tlb_edits = ATOMIC64_INIT(0);
static DEFINE_PER_CPU(struct hypr_tlb_cpu, hypr_tlb_cpu);

/*
 * A flush that never happens is what the check is for: this makes one.  The
 * number of INVEPTs to leave out; counts down.
 */
static atomic_t hypr_tlb_drop = ATOMIC_INIT(0);

static int hypr_tlb_drop_set(const char *val, const struct kernel_param *kp)
{
	unsigned int n;
	int r;

	r = kstrtouint(val, 0, &n);
	if (r)
		return r;
	if (n > INT_MAX)
		return -ERANGE;
	atomic_set(&hypr_tlb_drop, n);
	return 0;
}

static int hypr_tlb_drop_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%d\n", atomic_read(&hypr_tlb_drop));
}

static const struct kernel_param_ops hypr_tlb_drop_ops = {
	.set = hypr_tlb_drop_set,
	.get = hypr_tlb_drop_get,
};
module_param_cb(ept_tlb_drop, &hypr_tlb_drop_ops, NULL, 0600);
MODULE_PARM_DESC(ept_tlb_drop,
		 "Leave out this many TLB flushes, to see that the check finds it");

/**
 * kvm_hypr_tlb_flush() - this CPU is about to execute INVEPT
 * @eptp: the context, or 0 for all of them
 *
 * If the task moves to another CPU before the INVEPT, then a vCPU that it has
 * loaded asks for a flush of all contexts there, and this CPU's account is
 * better than its TLB, which only makes the check miss something.
 *
 * Return: true if the INVEPT must be left out.
 */
bool kvm_hypr_tlb_flush(u64 eptp)
{
	struct hypr_tlb_cpu *cpu;
	u64 gen;

	if (atomic_read(&hypr_tlb_drop) &&
	    atomic_dec_if_positive(&hypr_tlb_drop) >= 0)
		return true;

	cpu = get_cpu_ptr(&hypr_tlb_cpu);
	gen = atomic64_read(&hypr_tlb_edits);
	if (eptp)
		hypr_tlb_flush_root(cpu, hypr_hpa(eptp & SPTE_BASE_ADDR_MASK), gen);
	else
		hypr_tlb_flush_all(cpu, gen);
	put_cpu_ptr(&hypr_tlb_cpu);
	return false;
}
EXPORT_SYMBOL_GPL(kvm_hypr_tlb_flush);

/* Edits of a root may race with each other: the latest counts. */
static void hypr_tlb_root_edited(struct kvm_mmu_page *root)
{
	u64 gen = atomic64_inc_return(&hypr_tlb_edits);
	u64 old = READ_ONCE(root->hypr_edited);

	while (old < gen && !try_cmpxchg64(&root->hypr_edited, &old, gen))
		;
}

/**
 * kvm_hypr_tlb_root_created() - a root was made: nobody has flushed it
 * @spt: its table; TLBs may hold entries of a former table at this address
 */
void kvm_hypr_tlb_root_created(u64 *spt)
{
	hypr_tlb_root_edited(sptep_to_sp(spt));
}

/**
 * kvm_hypr_tlb_spte_lost() - an SPTE lost permissions that a TLB may remember
 * @sptep: in a table of the TDP MMU
 *
 * Called after the SPTE has changed and before the flush is asked for.
 *
 * Context: mmu_lock held; RCU read lock held unless it is held for write.
 */
void kvm_hypr_tlb_spte_lost(u64 *sptep)
{
	struct kvm_mmu_page *sp = sptep_to_sp(sptep);

	while (sp->ptep)
		sp = sptep_to_sp((__force u64 *)sp->ptep);
	hypr_tlb_root_edited(sp);
}

/**
 * kvm_hypr_tlb_spte_changed() - an SPTE was zapped, mapped or replaced
 * @sptep: in a table of the TDP MMU
 * @old_spte: before
 * @new_spte: after
 *
 * A huge page that is split translates as before.  A fault may take the write
 * permission from an SPTE, which KVM does not flush: the page is the same, and
 * those who want to see writes ask for a flush on their own.
 *
 * Context: as kvm_hypr_tlb_spte_lost().
 */
void kvm_hypr_tlb_spte_changed(u64 *sptep, u64 old_spte, u64 new_spte)
{
	if (!is_shadow_present_pte(old_spte))
		return;
	if (!is_shadow_present_pte(new_spte) ||
	    (!is_large_pte(old_spte) && is_large_pte(new_spte)))
		kvm_hypr_tlb_spte_lost(sptep);
}

/**
 * kvm_hypr_tlb_view_edited() - bytes of a view were changed in place
 * @kvm: the VM
 * @view: the view
 *
 * Context: mmu_lock held for write until all vCPUs were asked for a flush.
 */
void kvm_hypr_tlb_view_edited(struct kvm *kvm, u32 view)
{
	struct kvm_mmu_page *root;

	lockdep_assert_held_write(&kvm->mmu_lock);

	list_for_each_entry(root, &kvm->arch.tdp_mmu_roots, link) {
		if (kvm_mmu_page_as_id(root) == view)
			hypr_tlb_root_edited(root);
	}
}

/*
 * An edit comes before the request for its flush: is somebody between the two?
 * KVM asks before it drops mmu_lock, or, for dirty logging, before it drops
 * slots_lock; for the dirty ring only after that, so such VMs are not judged.
 */
static bool hypr_tlb_edit_is_under_way(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	bool under_way;

	if (kvm->dirty_ring_size || !write_trylock(&kvm->mmu_lock))
		return true;
	under_way = mutex_is_locked(&kvm->slots_lock);
	/* What was asked for before a lock was dropped is seen by now. */
	smp_rmb();
	under_way |= kvm_request_pending(vcpu);
	write_unlock(&kvm->mmu_lock);
	return under_way;
}

/**
 * kvm_hypr_tlb_check() - is this VM-entry allowed to use what the TLB holds?
 * @vcpu: about to enter the guest: interrupts are off, vcpu->mode is
 *	IN_GUEST_MODE, requests are looked at once more after this
 *
 * After a warning the flush is made up for.
 */
void kvm_hypr_tlb_check(struct kvm_vcpu *vcpu)
{
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 10);
	hpa_t hpa = vcpu->arch.mmu->root.hpa;
	struct kvm_mmu_page *root;
	struct hypr_tlb_cpu *cpu = this_cpu_ptr(&hypr_tlb_cpu);
	u64 edited;

	lockdep_assert_irqs_disabled();

	/* A request is served first, be it for a flush or for another root. */
	if (!hypr_root_tags_tlb() || !VALID_PAGE(hpa) || kvm_request_pending(vcpu))
		return;
	root = root_to_sp(hpa);
	if (!root || !is_tdp_mmu_page(root))
		return;

	edited = READ_ONCE(root->hypr_edited);
	if (likely(!hypr_tlb_is_stale(cpu, hypr_hpa(hpa), edited)))
		return;
	if (hypr_tlb_edit_is_under_way(vcpu))
		return;

	if (__ratelimit(&limit))
		WARN(1, "EPT_SWAP: TLB not flushed: vCPU %d, view %u, CPU %d: edit %llu, flushed up to %llu\n",
		     vcpu->vcpu_id, kvm_mmu_page_as_id(root), smp_processor_id(),
		     edited, hypr_tlb_flushed(cpu, hypr_hpa(hpa)));
	kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
}
