// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page tables of HYPR views: build a batch of them ahead of time, find them,
 * count them and drop them.  Which view is built or dropped, and when, is for
 * ept_prepare.c and ept_cache.c to decide.
 *
 * A view's tables are an ordinary TDP MMU root whose role names the view's
 * address space.  MMU notifiers, dirty logging, faults and zapping work on such a
 * root as on any other.  Nothing here sets an SPTE by itself.
 */
#include <linux/bitmap.h>
#include <linux/nospec.h>

#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/tdp_mmu.h"
#include "x86.h"

#include "vmx_ept_swap.h"

/*
 * Pages between two releases of SRCU, which bounds the latency.  They are the
 * pages of one last-level table, so that a batch looks at one table.
 */
#define HYPR_BUILD_BATCH	SPTE_ENT_PER_PAGE
/* Tries to map a page that KVM keeps invalidating; after these a fault maps it. */
#define HYPR_BUILD_TRIES	4

/**
 * hypr_builder_create() - the MMU context in which tables are built
 * @kvm: the VM
 *
 * The builder has only what the TDP MMU looks at.  It is in no list, has no VMCS
 * and never runs.
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
	struct kvm_vcpu *vcpu = READ_ONCE(kvm->arch.hypr.vm->first);

	/* One on which nothing was called yet. */
	if (!vcpu)
		vcpu = kvm_get_vcpu(kvm, 0);
	if (!vcpu)
		return -EINVAL;

	role->word = READ_ONCE(vcpu->arch.root_mmu.root_role.word);
	role->guest_mode = 0;
	role->invalid = 0;
	role->smm = view;
	return 0;
}

/**
 * hypr_tables_root() - the root that @view's vCPUs would load
 * @kvm: the VM
 * @view: the view
 * @level: filled with the levels of the table; may be NULL
 *
 * Return: HPA of the root, INVALID_PAGE if the view has no root.  KVM may
 * invalidate the root at any time: the caller may compare the HPA, and must not use the
 * table.
 */
hpa_t hypr_tables_root(struct kvm *kvm, u32 view, int *level)
{
	union kvm_mmu_page_role role;
	struct kvm_mmu_page *root;
	hpa_t hpa = INVALID_PAGE;

	if (hypr_view_role(kvm, view, &role))
		return INVALID_PAGE;

	rcu_read_lock();
	list_for_each_entry_rcu(root, &kvm->arch.tdp_mmu_roots, link) {
		/* An invalid root has another word. */
		if (data_race(root->role.word) != role.word)
			continue;
		hpa = __pa(root->spt);
		if (level)
			*level = role.level;
		break;
	}
	rcu_read_unlock();
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
		 * A writable SPTE would need an entry in the dirty log.  Leave
		 * that to the guest's first write.
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

/* Have the host map @n pages, or the first of them.  Return: how many it has mapped. */
static unsigned int hypr_pages_fault_in(const struct kvm_memory_slot *slot, gfn_t gfn,
					unsigned int n)
{
	long r = get_user_pages_unlocked(__gfn_to_hva_memslot(slot, gfn), n, NULL, 0);

	return r > 0 ? r : 0;
}

/*
 * Pages that are zero in the moment, and that the host does not map: it would map the zero
 * page, and have to take it back when the guest writes.
 */
static unsigned int hypr_zeros_skip(struct kvm *kvm, u32 view, unsigned long hva, gfn_t gfn,
				    gfn_t last)
{
	const struct kvm_hypr *h = kvm->arch.hypr.vm;
	const struct hypr_moment *moment = h->moment[array_index_nospec(view, KVM_HYPR_MAX_VIEWS)];
	unsigned int at = gfn % HYPR_REGION_PAGES, end;
	const unsigned long *zero;

	lockdep_assert_held(&h->build_lock);

	if (!moment || gfn >= moment->pages)
		return 0;
	/* All in one table, and so in one region. */
	zero = moment->region[gfn / HYPR_REGION_PAGES].zero;
	end = at + (min(last, moment->pages) - gfn);
	end = find_next_zero_bit(zero, end, at);
	return end > at ? hypr_host_gap(kvm, hva, end - at) : 0;
}

/*
 * Build [gfn, last) of @slot, all of one last-level table; the caller holds SRCU.
 *
 * What the host maps is filled in at once.  Only where that stops - the table is
 * missing, the page is not mapped or is of another kind - goes a page the long way,
 * which makes the table, and has the host map the page.  Then the host maps what it has in
 * its cache of a file; where that is nothing, pages are faulted in ahead, more and more.
 */
static int hypr_slot_build(struct kvm_vcpu *builder, struct kvm_memory_slot *slot,
			   gfn_t gfn, gfn_t last, struct kvm_hypr_prepare *arg)
{
	struct kvm *kvm = builder->kvm;
	unsigned int ahead = 0;
	gfn_t asked = gfn;
	bool huge = true;
	int r;

	for (;;) {
		unsigned long hva;

		r = hypr_table_fill(builder, slot, gfn, last - gfn, &huge);
		if (r < 0)
			return r;
		arg->pages_mapped += r;
		gfn += r;
		if (gfn == last)
			return 0;
		ahead = r > ahead ? 0 : min(2 * ahead + 1, HYPR_HOST_PAGES);

		hva = __gfn_to_hva_memslot(slot, gfn);
		r = hypr_zeros_skip(kvm, arg->view, hva, gfn, last);
		if (r) {
			arg->pages_skipped += r;
			gfn += r;
			if (gfn == last)
				return 0;
			continue;
		}
		if (gfn >= asked && hypr_host_gap(kvm, hva, 1)) {
			r = hypr_host_map(kvm->mm, hva, last - gfn);
			asked = gfn + r;
			if (r)
				continue;
		}
		r = hypr_page_map(builder, slot, gfn);
		if (r < 0)
			return r;
		if (r)
			arg->pages_mapped++;
		else
			arg->pages_skipped++;
		gfn++;
		if (gfn == last)
			return 0;
		if (ahead > 1)
			ahead = hypr_pages_fault_in(slot, gfn,
						    min_t(u64, ahead, last - gfn));
	}
}

/**
 * hypr_build_begin() - give the builder the root of a view
 * @kvm: the VM
 * @view: the view; a view without a root gets a root
 *
 * Context: process context, kvm_hypr.build_lock held.
 * Return: 0, and the caller calls hypr_build_end(); -EINVAL without a vCPU;
 * -ENOMEM.
 */
int hypr_build_begin(struct kvm *kvm, u32 view)
{
	struct kvm_vcpu *builder = kvm->arch.hypr.vm->builder;
	union kvm_mmu_page_role role;
	int r;

	lockdep_assert_held(&kvm->arch.hypr.vm->build_lock);

	r = hypr_view_role(kvm, view, &role);
	if (r)
		return r;

	r = hypr_builder_topup(builder);
	if (r)
		return r;

	builder->arch.mmu->root_role = role;
	return kvm_tdp_mmu_alloc_root(builder);
}

/**
 * hypr_build_batch() - build the first batch of a range that has memory
 * @kvm: the VM
 * @gfn: where the range begins; moves on behind the batch
 * @last: where the range ends
 * @arg: @arg->view is the view of hypr_build_begin(); the page counts grow
 *
 * Each batch looks the slots up again: they may change between two batches.  What
 * the tables map already stays as it is.  Pages are mapped writable where the host
 * maps them writable, so copy-on-write memory stays shared.  vCPUs may run
 * concurrently, in this view too.
 *
 * Context: process context of the VM's mm, between hypr_build_begin() and
 * hypr_build_end().
 * Return: 1; 0 if the range has no memory; -ENOMEM; -EAGAIN KVM has dropped the
 * tables.
 */
int hypr_build_batch(struct kvm *kvm, gfn_t *gfn, gfn_t last,
		     struct kvm_hypr_prepare *arg)
{
	struct kvm_vcpu *builder = kvm->arch.hypr.vm->builder;
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
		r = hypr_slot_build(builder, slot, start, start + n, arg);
		if (!r) {
			*gfn = start + n;
			r = 1;
		}
		break;
	}
	srcu_read_unlock(&kvm->srcu, idx);
	return r;
}

/**
 * hypr_build_check() - are the tables that were built still those of the view?
 * @kvm: the VM
 *
 * A batch that found no page missing has not looked.
 *
 * Context: between hypr_build_begin() and hypr_build_end().
 * Return: 0; -EAGAIN KVM has dropped them.
 */
int hypr_build_check(struct kvm *kvm)
{
	struct kvm_vcpu *builder = kvm->arch.hypr.vm->builder;
	struct kvm_mmu_page *root = root_to_sp(builder->arch.mmu->root.hpa);
	int r = 0;

	read_lock(&kvm->mmu_lock);
	if (root->role.invalid)
		r = -EAGAIN;
	read_unlock(&kvm->mmu_lock);
	return r;
}

/**
 * hypr_build_end() - undo hypr_build_begin()
 * @kvm: the VM; what was built stays
 */
void hypr_build_end(struct kvm *kvm)
{
	struct kvm_mmu *mmu = kvm->arch.hypr.vm->builder->arch.mmu;

	kvm_mmu_free_roots(kvm, mmu, KVM_MMU_ROOTS_ALL);
}

/**
 * hypr_tables_invalidate() - make a view's tables unusable, to be zapped
 * @kvm: the VM
 * @view: a view that no vCPU uses or is about to use
 *
 * This does for one address space what kvm_mmu_zap_all_fast() does for all, but
 * for the last step: the caller calls kvm_tdp_mmu_zap_invalidated_roots() before
 * it releases slots_lock.
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
 * KVM counts all table pages but roots; this counts the valid roots too.  A vCPU
 * may hold a dropped root until it runs next: such a root has nothing below it and
 * is not counted.
 */
u64 hypr_tables_total(struct kvm *kvm)
{
	u64 tables = atomic64_read(&kvm->arch.tdp_mmu_pages);
	struct kvm_mmu_page *root;

	rcu_read_lock();
	list_for_each_entry_rcu(root, &kvm->arch.tdp_mmu_roots, link) {
		/* A root that becomes invalid concurrently is counted or not. */
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
		/* Only KVM itself drops roots without kvm_hypr.lock: all of them. */
		if (data_race(!root->role.invalid))
			resident |= BIT(kvm_mmu_page_as_id(root));
	}
	rcu_read_unlock();
	return resident;
}
