// SPDX-License-Identifier: GPL-2.0-only
/*
 * Set the SPTEs of one table from what the host maps: all under one hold of mmu_lock
 * and by one walk.  KVM makes the first SPTE, and those that differ by more than the
 * address of their page; the others are copies of it.
 *
 * An SPTE here goes from non-present to a leaf of 4 KiB, and never another way: KVM
 * has its pages to count then and nothing else to do (handle_changed_spte()).
 */
#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/mmutrace.h"
#include "mmu/page_track.h"
#include "mmu/tdp_iter.h"
#include "mmu/tdp_mmu.h"

#include "vmx_ept_swap.h"

/**
 * struct hypr_fill - the filling of one table
 * @builder: the MMU context
 * @slot: the slot of the pages
 * @sp: the table
 * @as_id: of the root
 * @alike: SPTEs of the slot differ by page and permission alone
 * @model: SPTEs less the address of their page, read-only and writable; 0: not known yet
 * @set: SPTEs that were set
 * @first: the first page that @host is of
 * @last: the last one
 * @host: from hypr_host_look(), counted from the first one
 */
struct hypr_fill {
	struct kvm_vcpu *builder;
	const struct kvm_memory_slot *slot;
	struct kvm_mmu_page *sp;
	int as_id;
	bool alike;
	u64 model[2];
	unsigned int set;
	unsigned int first;
	unsigned int last;
	u64 host[HYPR_HOST_PAGES];
};

static bool hypr_is_invalidating(struct kvm *kvm, gfn_t start, gfn_t end)
{
	return kvm->mmu_invalidate_in_progress && start < kvm->mmu_invalidate_range_end &&
	       end > kvm->mmu_invalidate_range_start;
}

/* Find the entry of @gfn in a last-level table, or a leaf that maps more. */
static bool hypr_iter_begin(struct tdp_iter *iter, struct kvm_mmu_page *root, gfn_t gfn)
{
	for_each_tdp_pte((*iter), root, gfn, gfn + 1) {
		if (iter->level == PG_LEVEL_4K ||
		    (is_shadow_present_pte(iter->old_spte) &&
		     is_last_spte(iter->old_spte, iter->level)))
			return true;
	}
	return false;
}

/*
 * The memory type does not depend on the GFN, and pages that hypr_host_look() finds are
 * memory.  Who is to track writes of a page makes KVM look at each.
 */
static u64 hypr_fill_spte(struct hypr_fill *fill, gfn_t gfn, u64 old, u64 page)
{
	const struct kvm_memory_slot *slot = fill->slot;
	/* A writable SPTE would need an entry in the dirty log: see hypr_page_map(). */
	bool writable = (page & HYPR_HOST_WRITABLE) && !(slot->flags & KVM_MEM_READONLY) &&
			!kvm_slot_dirty_track_enabled(slot);
	u64 hpa = page & PAGE_MASK, spte;

	if (fill->model[writable])
		return fill->model[writable] | hpa;
	make_spte(fill->builder, fill->sp, slot, ACC_ALL, gfn, hpa >> PAGE_SHIFT, old, false,
		  true, writable, &spte);
	if (fill->alike)
		fill->model[writable] = spte & ~hpa;
	return spte;
}

/* Page @i of those that begin at @hva; 0: the caller maps it by itself. */
static u64 hypr_fill_look(struct hypr_fill *fill, unsigned long hva, unsigned int i,
			  unsigned int n)
{
	struct kvm *kvm = fill->builder->kvm;

	if (i >= fill->last) {
		if (fill->last && rwlock_needbreak(&kvm->mmu_lock))
			return 0;
		fill->first = i;
		fill->last = i + hypr_host_look(kvm, hva + i * PAGE_SIZE,
						min(n - i, HYPR_HOST_PAGES), fill->host);
		if (i == fill->last)
			return 0;
	}
	return fill->host[i - fill->first];
}

/* Return: entries from @iter on that map their page now. */
static unsigned int hypr_fill_entries(struct hypr_fill *fill, struct tdp_iter *iter,
				      unsigned int n, bool *huge)
{
	unsigned long hva = __gfn_to_hva_memslot(fill->slot, iter->gfn);
	u64 *sptep = rcu_dereference(iter->sptep);
	unsigned int i;

	for (i = 0; i < n; i++) {
		u64 old = READ_ONCE(sptep[i]), page, spte;

		if (is_shadow_present_pte(old))
			continue;
		page = hypr_fill_look(fill, hva, i, n);
		if (!page || is_frozen_spte(old))
			break;
		if (*huge && (page & HYPR_HOST_HUGE)) {
			*huge = false;
			break;
		}
		spte = hypr_fill_spte(fill, iter->gfn + i, old, page);
		/* A vCPU may fault here concurrently: its SPTE stays. */
		if (!try_cmpxchg64(&sptep[i], &old, spte))
			break;
		trace_kvm_tdp_mmu_spte_changed(fill->as_id, iter->gfn + i, PG_LEVEL_4K, old,
					       spte);
		fill->set++;
	}
	return i;
}

/**
 * hypr_table_fill() - map pages of one last-level table that the host maps already
 * @builder: the MMU context, with the root
 * @slot: the slot of the pages
 * @gfn: the first page
 * @n: pages, all of one table
 * @huge: stop at a page that the host maps by 2 MiB: KVM may do so, too.  Cleared then.
 *
 * Stops at a page that the host does not map, at a table that is missing, and where
 * others wait for mmu_lock: the caller maps the page where it stopped by itself, and
 * calls again.  Pages are mapped writable where the host maps them writable.
 *
 * Context: process context, kvm->srcu held.
 * Return: pages from @gfn on that the root maps; -EAGAIN KVM has dropped the root.
 */
int hypr_table_fill(struct kvm_vcpu *builder, const struct kvm_memory_slot *slot, gfn_t gfn,
		    unsigned int n, bool *huge)
{
	struct kvm_mmu_page *root = root_to_sp(builder->arch.mmu->root.hpa);
	struct hypr_fill fill = { .builder = builder, .slot = slot };
	struct kvm *kvm = builder->kvm;
	struct tdp_iter iter;
	int filled = 0;

	read_lock(&kvm->mmu_lock);
	rcu_read_lock();
	if (root->role.invalid) {
		filled = -EAGAIN;
	} else if (!hypr_is_invalidating(kvm, gfn, gfn + n) &&
		   hypr_iter_begin(&iter, root, gfn)) {
		if (iter.level > PG_LEVEL_4K) {
			filled = n;
		} else {
			fill.sp = sptep_to_sp(rcu_dereference(iter.sptep));
			fill.as_id = iter.as_id;
			fill.alike = !kvm_page_track_write_tracking_enabled(kvm);
			filled = hypr_fill_entries(&fill, &iter, n, huge);
			kvm_update_page_stats(kvm, PG_LEVEL_4K, fill.set);
		}
	}
	rcu_read_unlock();
	read_unlock(&kvm->mmu_lock);
	return filled;
}
