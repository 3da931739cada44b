// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page tables of HYPR views: build them ahead of time, find them, drop
 * them, and make a vCPU use them.
 *
 * A view's tables are an ordinary TDP MMU root whose role names the view's
 * address space, so MMU notifiers, dirty logging, faults and zapping work on it
 * as on any other.  Nothing here sets an SPTE by itself.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/tdp_iter.h"
#include "mmu/tdp_mmu.h"
#include "smm.h"
#include "x86.h"

#include "ept_trace.h"
#include "vmx_ept_swap.h"

/*
 * Pages between two releases of SRCU, which bounds the latency: those of one
 * last-level table, so that a batch looks at one table.
 */
#define HYPR_BUILD_BATCH	SPTE_ENT_PER_PAGE
/* How often a page that keeps being invalidated is tried before it is left. */
#define HYPR_BUILD_TRIES	4

/**
 * hypr_builder_create() - the MMU context in which tables are built
 * @kvm: the VM
 *
 * Only what the TDP MMU looks at is set up.  The builder is in no list, has no
 * VMCS and never runs.
 *
 * Return: the builder, owned by the caller, or NULL without memory.
 */
struct kvm_vcpu *hypr_builder_create(struct kvm *kvm)
{
	struct kvm_vcpu *builder;

	builder = kvzalloc(sizeof(*builder), GFP_KERNEL_ACCOUNT);
	if (!builder)
		return NULL;

	builder->kvm = kvm;
	if (kvm_mmu_create(builder)) {
		kvfree(builder);
		return NULL;
	}
	return builder;
}

/**
 * hypr_builder_destroy() - undo hypr_builder_create()
 * @builder: may be NULL
 */
void hypr_builder_destroy(struct kvm_vcpu *builder)
{
	if (!builder)
		return;
	kvm_mmu_destroy(builder);
	kvfree(builder);
}

/*
 * The role of @view's root, as the VM's vCPUs compute it: their own with the
 * address space exchanged.  The level comes from the guest's CPUID.
 */
static int hypr_view_role(struct kvm *kvm, u32 view,
			  union kvm_mmu_page_role *role)
{
	struct kvm_vcpu *vcpu = kvm_get_vcpu(kvm, 0);

	if (!vcpu)
		return -EINVAL;

	role->word = READ_ONCE(vcpu->arch.root_mmu.root_role.word);
	role->guest_mode = 0;
	role->invalid = 0;
	role->smm = view;
	return 0;
}

static struct kvm_mmu_page *hypr_find_root(struct kvm *kvm,
					   union kvm_mmu_page_role role)
{
	struct kvm_mmu_page *root;

	lockdep_assert_held(&kvm->mmu_lock);

	list_for_each_entry_rcu(root, &kvm->arch.tdp_mmu_roots, link,
				lockdep_is_held(&kvm->mmu_lock)) {
		if (root->role.word == role.word)
			return root;
	}
	return NULL;
}

/**
 * hypr_tables_root() - the root that @view's vCPUs would load
 * @kvm: the VM
 * @view: the view
 * @level: filled with the levels of the table; may be NULL
 *
 * Return: HPA of the root, INVALID_PAGE if there is none.  It may be
 * invalidated as soon as mmu_lock is released: good for comparing, not for use.
 */
hpa_t hypr_tables_root(struct kvm *kvm, u32 view, int *level)
{
	union kvm_mmu_page_role role;
	struct kvm_mmu_page *root;
	hpa_t hpa = INVALID_PAGE;

	if (hypr_view_role(kvm, view, &role))
		return INVALID_PAGE;

	read_lock(&kvm->mmu_lock);
	rcu_read_lock();
	root = hypr_find_root(kvm, role);
	if (root) {
		hpa = __pa(root->spt);
		if (level)
			*level = root->role.level;
	}
	rcu_read_unlock();
	read_unlock(&kvm->mmu_lock);
	return hpa;
}

static int hypr_builder_topup(struct kvm_vcpu *builder)
{
	int r;

	r = kvm_mmu_topup_memory_cache(&builder->arch.mmu_shadow_page_cache,
				       PT64_ROOT_MAX_LEVEL);
	if (r)
		return r;
	return kvm_mmu_topup_memory_cache(&builder->arch.mmu_page_header_cache,
					  PT64_ROOT_MAX_LEVEL);
}

/*
 * Pin the page behind @hva without breaking copy-on-write: writable only if the
 * host maps it writable already.  NULL for what is not ordinary memory.
 */
static struct page *hypr_page_get(unsigned long hva, bool *writable)
{
	struct page *page;

	if (*writable && get_user_page_fast_only(hva, FOLL_WRITE, &page))
		return page;

	*writable = false;
	if (get_user_pages_fast(hva, 1, 0, &page) == 1)
		return page;
	return NULL;
}

/*
 * Mark in @missing the GFNs of [start, start + n), all of one last-level table,
 * that the root does not map.
 *
 * Return: the number of those that it maps.
 */
static unsigned int hypr_find_missing(struct kvm *kvm, struct kvm_mmu_page *root,
				      gfn_t start, unsigned int n,
				      unsigned long *missing)
{
	unsigned int i, found = 0;
	struct tdp_iter iter;
	u64 *sptep;

	bitmap_fill(missing, n);

	read_lock(&kvm->mmu_lock);
	rcu_read_lock();
	for_each_tdp_pte(iter, root, start, start + n) {
		if (is_shadow_present_pte(iter.old_spte) &&
		    is_last_spte(iter.old_spte, iter.level) &&
		    iter.level > PG_LEVEL_4K) {
			bitmap_zero(missing, n);
			found = n;
			break;
		}
		if (iter.level > PG_LEVEL_4K)
			continue;

		/* The walk has come to the first entry: the others follow. */
		sptep = rcu_dereference(iter.sptep);
		for (i = 0; i < n; i++) {
			if (!is_shadow_present_pte(READ_ONCE(sptep[i])))
				continue;
			__clear_bit(i, missing);
			found++;
		}
		break;
	}
	rcu_read_unlock();
	read_unlock(&kvm->mmu_lock);
	return found;
}

/* Return: 1 mapped, 0 left to be faulted in, -errno. */
static int hypr_page_map(struct kvm_vcpu *builder, struct kvm_memory_slot *slot,
			 gfn_t gfn)
{
	struct kvm *kvm = builder->kvm;
	int tries, ret = RET_PF_RETRY;

	for (tries = 0; tries < HYPR_BUILD_TRIES && ret == RET_PF_RETRY; tries++) {
		struct kvm_page_fault fault = {
			.addr = gfn_to_gpa(gfn),
			.is_tdp = true,
			.nx_huge_page_workaround_enabled =
				is_nx_huge_page_enabled(kvm),
			.max_level = KVM_MAX_HUGEPAGE_LEVEL,
			.req_level = PG_LEVEL_4K,
			.goal_level = PG_LEVEL_4K,
			.gfn = gfn,
			.slot = slot,
		};
		struct page *page;
		bool writable;
		int r;

		r = hypr_builder_topup(builder);
		if (r)
			return r;

		fault.mmu_seq = kvm->mmu_invalidate_seq;
		smp_rmb();	/* as in kvm_faultin_pfn(): before the lookup */

		fault.hva = gfn_to_hva_memslot_prot(slot, gfn, &writable);
		if (kvm_is_error_hva(fault.hva))
			return 0;

		/*
		 * A writable SPTE would have to be entered in the dirty log
		 * here.  Let the guest's first write do that.
		 */
		if (kvm_slot_dirty_track_enabled(slot))
			writable = false;

		page = hypr_page_get(fault.hva, &writable);
		if (!page)
			return 0;

		fault.pfn = page_to_pfn(page);
		fault.map_writable = writable;

		read_lock(&kvm->mmu_lock);
		if (root_to_sp(builder->arch.mmu->root.hpa)->role.invalid)
			ret = -EAGAIN;
		else if (!mmu_invalidate_retry_gfn(kvm, fault.mmu_seq, gfn))
			ret = kvm_tdp_mmu_map(builder, &fault);
		read_unlock(&kvm->mmu_lock);
		put_page(page);
	}

	if (ret < 0)
		return ret;
	return ret == RET_PF_FIXED || ret == RET_PF_SPURIOUS;
}

/* Build [start, start + n) of @slot; the caller holds SRCU. */
static int hypr_batch_build(struct kvm_vcpu *builder,
			    struct kvm_memory_slot *slot, gfn_t start,
			    unsigned int n, struct kvm_hypr_prepare *arg)
{
	struct kvm_mmu_page *root = root_to_sp(builder->arch.mmu->root.hpa);
	DECLARE_BITMAP(missing, HYPR_BUILD_BATCH);
	unsigned int i;
	int r;

	arg->pages_mapped += hypr_find_missing(builder->kvm, root, start, n,
					       missing);
	for_each_set_bit(i, missing, n) {
		r = hypr_page_map(builder, slot, start + i);
		if (r < 0)
			return r;
		if (r)
			arg->pages_mapped++;
		else
			arg->pages_skipped++;
	}
	return 0;
}

/*
 * Find the first slot of the view that has memory in [gfn, last), and build a
 * batch of it.  The slots are looked up anew for each batch: they may change in
 * between.
 *
 * Return: 1 with @gfn moved on, 0 if there is no more memory, -errno.
 */
static int hypr_batch_next(struct kvm_vcpu *builder, gfn_t *gfn, gfn_t last,
			   struct kvm_hypr_prepare *arg)
{
	struct kvm *kvm = builder->kvm;
	struct kvm_memslot_iter iter;
	int r = 0, idx;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_for_each_memslot_in_gfn_range(&iter, __kvm_memslots(kvm, arg->view),
					  *gfn, last) {
		struct kvm_memory_slot *slot = iter.slot;
		gfn_t end = min(slot->base_gfn + slot->npages, last);
		gfn_t start = max(*gfn, slot->base_gfn);
		unsigned int n = min_t(u64, end - start, HYPR_BUILD_BATCH -
				       start % HYPR_BUILD_BATCH);

		/*
		 * KVM's own slots are left to faults: whether the APIC-access
		 * page may be mapped depends on the vCPU (kvm_faultin_pfn()).
		 */
		if (slot->id >= KVM_USER_MEM_SLOTS ||
		    (slot->flags & KVM_MEMSLOT_INVALID)) {
			*gfn = end;
			r = 1;
			break;
		}
		r = hypr_batch_build(builder, slot, start, n, arg);
		if (!r) {
			*gfn = start + n;
			r = 1;
		}
		break;
	}
	srcu_read_unlock(&kvm->srcu, idx);
	return r;
}

/* Build [gfn, last); @gfn moves on to where the build stopped. */
static int hypr_range_build(struct kvm_vcpu *builder, gfn_t *gfn, gfn_t last,
			    struct kvm_hypr_prepare *arg)
{
	struct kvm_mmu_page *root = root_to_sp(builder->arch.mmu->root.hpa);
	int r = 1;

	while (r > 0 && *gfn < last) {
		if (signal_pending(current))
			return -EINTR;
		cond_resched();
		hypr_cache_make_room(builder->kvm, BIT(arg->view));
		r = hypr_batch_next(builder, gfn, last, arg);
	}
	if (r < 0)
		return r;

	/* Where nothing was missing nobody has looked. */
	r = 0;
	read_lock(&builder->kvm->mmu_lock);
	if (root->role.invalid)
		r = -EAGAIN;
	read_unlock(&builder->kvm->mmu_lock);
	if (!r)
		*gfn = last;
	return r;
}

/**
 * hypr_tables_build() - build a view's tables for its memory, or a part of it
 * @kvm: the VM
 * @arg: @arg->view names the view, @arg->flags, @arg->gpa and @arg->size (checked
 *	for form) the part; the page counts and @arg->next_gpa are filled
 *
 * What is mapped already stays as it is.  Pages are mapped writable where the
 * host maps them writable, so copy-on-write memory stays shared.  vCPUs may run
 * meanwhile, in this view too.
 *
 * Context: process context of the VM's mm, kvm_hypr.build_lock held.
 * Return: 0; -EINVAL without a vCPU, -ENOMEM, -EINTR after a signal (what was
 * built stays, call again), -EAGAIN if the tables were dropped meanwhile.
 */
int hypr_tables_build(struct kvm *kvm, struct kvm_hypr_prepare *arg)
{
	struct kvm_vcpu *builder = kvm->arch.hypr.vm->builder;
	struct kvm_mmu *mmu = builder->arch.mmu;
	union kvm_mmu_page_role role;
	gfn_t gfn = 0, last = HYPR_GFN_END;
	int r;

	lockdep_assert_held(&kvm->arch.hypr.vm->build_lock);

	r = hypr_view_role(kvm, arg->view, &role);
	if (r)
		return r;

	r = hypr_builder_topup(builder);
	if (r)
		return r;

	mmu->root_role = role;
	r = kvm_tdp_mmu_alloc_root(builder);
	if (r)
		return r;

	if (arg->flags & KVM_HYPR_PREPARE_RANGE) {
		gfn = gpa_to_gfn(arg->gpa);
		last = gfn + gpa_to_gfn(arg->size);
	}
	r = hypr_range_build(builder, &gfn, last, arg);
	if (arg->flags & KVM_HYPR_PREPARE_RANGE)
		arg->next_gpa = gfn_to_gpa(gfn);

	kvm_mmu_free_roots(kvm, mmu, KVM_MMU_ROOTS_ALL);
	return r;
}

/**
 * hypr_tables_invalidate() - make a view's tables unusable, to be zapped
 * @kvm: the VM
 * @view: a view that no vCPU uses or is about to use
 *
 * Does for one address space what kvm_mmu_zap_all_fast() does for all, but for
 * the last step: kvm_tdp_mmu_zap_invalidated_roots() follows, before slots_lock
 * is released.
 *
 * Context: kvm_hypr.lock and kvm->slots_lock held.
 */
void hypr_tables_invalidate(struct kvm *kvm, u32 view)
{
	struct kvm_mmu_page *root;

	lockdep_assert_held(&kvm->arch.hypr.vm->lock);
	lockdep_assert_held(&kvm->slots_lock);

	write_lock(&kvm->mmu_lock);
	list_for_each_entry(root, &kvm->arch.tdp_mmu_roots, link) {
		if (root->role.invalid || kvm_mmu_page_as_id(root) != view)
			continue;
		root->tdp_mmu_scheduled_root_to_zap = true;
		root->role.invalid = true;
	}
	/* vCPUs may hold the root among their previous ones. */
	kvm_make_all_cpus_request(kvm, KVM_REQ_MMU_FREE_OBSOLETE_ROOTS);
	write_unlock(&kvm->mmu_lock);
}

/**
 * hypr_tables_total() - table pages of all views, SMM's address space included
 * @kvm: the VM
 *
 * KVM counts all but roots.  A root that was dropped and that a vCPU, until it
 * runs, still holds has nothing below it and is not counted.
 */
u64 hypr_tables_total(struct kvm *kvm)
{
	u64 tables = atomic64_read(&kvm->arch.tdp_mmu_pages);
	struct kvm_mmu_page *root;

	rcu_read_lock();
	list_for_each_entry_rcu(root, &kvm->arch.tdp_mmu_roots, link) {
		/* One that becomes invalid meanwhile is counted or not. */
		tables += data_race(!root->role.invalid);
	}
	rcu_read_unlock();
	return tables;
}

/**
 * hypr_tables_resident() - address spaces that have a root
 * @kvm: the VM
 *
 * Return: a mask of them, SMM's included.
 */
u32 hypr_tables_resident(struct kvm *kvm)
{
	struct kvm_mmu_page *root;
	u32 resident = 0;

	rcu_read_lock();
	list_for_each_entry_rcu(root, &kvm->arch.tdp_mmu_roots, link) {
		/* Only KVM's dropping of all roots is not under kvm_hypr.lock. */
		if (data_race(!root->role.invalid))
			resident |= BIT(kvm_mmu_page_as_id(root));
	}
	rcu_read_unlock();
	return resident;
}

/*
 * Another view changes one byte of the MMU's role and nothing that KVM derives
 * from it: kvm_init_mmu() would compute the same permission bitmaps again, which
 * takes longer than all the rest of a swap on the vCPU's side.
 */
static void hypr_vcpu_role_switch(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->arch.root_mmu;
	union kvm_mmu_page_role role = mmu->root_role;

	if (vcpu->arch.mmu == mmu && mmu->cpu_role.ext.valid &&
	    role.direct && !is_smm(vcpu)) {
		mmu->cpu_role.base.smm = vcpu->arch.hypr.view;
		role.smm = vcpu->arch.hypr.view;
		/* Others look at it: hypr_view_role(). */
		WRITE_ONCE(mmu->root_role.word, role.word);
	} else {
		kvm_init_mmu(vcpu);
	}
}

/**
 * hypr_vcpu_mmu_switch() - make a vCPU use another view
 * @vcpu: a loaded vCPU whose mutex, and kvm->srcu, the caller's thread holds
 * @view: the view
 * @flush: drop all TLB entries before the next VM-entry
 *
 * A root among the vCPU's previous ones is taken without a flush: TLB entries
 * are tagged by EPT root, and whoever changed the root's tables meanwhile has
 * asked all vCPUs for a flush.  Any other root is looked up, and flushed, by
 * kvm_mmu_load() before the next VM-entry.  NPT entries are tagged by ASID
 * alone: there, every switch flushes.
 */
void hypr_vcpu_mmu_switch(struct kvm_vcpu *vcpu, u8 view, bool flush)
{
	bool left = vcpu->arch.hypr.view != view;

	/*
	 * The nested guest's shadow tables belong to the old view.  A swap looks
	 * at the mode when the vCPU is held, and the vCPU comes by here before
	 * anything can change it.
	 */
	if (WARN_ON_ONCE(left && is_guest_mode(vcpu)))
		kvm_leave_nested(vcpu);

	vcpu->arch.hypr.view = view;
	/*
	 * In a nested guest it is here to flush alone (hypr_view_edited()), and
	 * the MMU in use is not one of views: its role and root stay.
	 */
	if (!is_guest_mode(vcpu)) {
		hypr_vcpu_role_switch(vcpu);
		kvm_mmu_new_pgd(vcpu, 0);
	}
	vcpu_clear_mmio_info(vcpu, MMIO_GVA_ANY);
	if (flush || !hypr_root_tags_tlb()) {
		kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
		vcpu->arch.hypr.flushes++;
		trace_kvm_hypr_flush(vcpu, view, flush ? HYPR_FLUSH_ASKED :
							 HYPR_FLUSH_ASID);
	}
	hypr_vcpu_pv_switch(vcpu, left);
}
