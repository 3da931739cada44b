// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: which pages were written since user space asked last.  A reset
 * then looks at these pages alone.
 *
 * The CPU sets the dirty flag of an SPTE, and the accessed flag of each table
 * above it, so a table that was not used is passed over as a whole.  What leaves
 * no flag is noted (ept_notes.c).  The answer errs on one side alone: a page that was
 * not written may count as written.
 *
 * Intel SDM volume 3C, "Accessed and Dirty Flags for EPT".
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/nospec.h>

#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/tdp_iter.h"
#include "mmu/tdp_mmu.h"

#include "vmx_ept_swap.h"

/* Pages whose tables are looked at under one hold of mmu_lock: 64 MiB. */
#define HYPR_WRITTEN_CHUNK	BIT(14)

/*
 * What has been noted, and is from here on in @bitmap alone.
 *
 * Who zaps flushes before it releases mmu_lock.  So a page that was zapped has no
 * user left whose write would go unnoticed.
 *
 * Return: may any page have been written?
 */
static bool hypr_notes_collect(struct kvm *kvm, struct hypr_notes *notes,
			       unsigned long *bitmap, unsigned int nr)
{
	struct hypr_note_map *map;
	unsigned int n;

	lockdep_assert_held_write(&kvm->mmu_lock);

	rcu_read_lock();
	map = rcu_dereference(notes->map);
	for (n = 0; n * HYPR_REGION_PAGES < nr; n++)
		hypr_notes_take(map, n, bitmap + n * HYPR_REGION_WORDS,
				min(HYPR_REGION_WORDS,
				    nr / BITS_PER_LONG - n * HYPR_REGION_WORDS));
	rcu_read_unlock();
	return xchg(&notes->all, false);
}

/* ---- flags ---------------------------------------------------------------- */

/* Clear @flag of an SPTE that was @spte.  Return: was the flag set? */
static bool hypr_flag_take(u64 *sptep, u64 spte, u64 flag)
{
	do {
		if (!is_shadow_present_pte(spte) || !(spte & flag))
			return false;
	} while (!try_cmpxchg64(sptep, &spte, spte & ~flag));
	return true;
}

static bool hypr_dirty_take(u64 *sptep, u64 spte)
{
	if (!hypr_flag_take(sptep, spte, shadow_dirty_mask))
		return false;
	/* As KVM does wherever it clears the flag: the host's page stays dirty. */
	kvm_set_pfn_dirty(spte_to_pfn(spte));
	return true;
}

static bool hypr_is_table(const struct tdp_iter *iter)
{
	return is_shadow_present_pte(iter->old_spte) &&
	       !is_last_spte(iter->old_spte, iter->level);
}

/* Each region of 2 MiB of [start, end) whose table was used since the last time. */
static void hypr_regions_take(struct kvm_mmu_page *root, gfn_t start, gfn_t end,
			      unsigned long *regions)
{
	struct tdp_iter iter;

	for_each_tdp_pte_min_level(iter, root, PG_LEVEL_2M, start, end) {
		if (iter.level == PG_LEVEL_2M && hypr_is_table(&iter) &&
		    hypr_flag_take(rcu_dereference(iter.sptep), iter.old_spte,
				   shadow_accessed_mask))
			__set_bit(iter.gfn / SPTE_ENT_PER_PAGE, regions);
	}
}

static void hypr_table_take(u64 *sptes, gfn_t gfn, gfn_t end,
			    unsigned long *bitmap)
{
	unsigned int i, n = min_t(u64, SPTE_ENT_PER_PAGE, end - gfn);

	for (i = 0; i < n; i++) {
		u64 spte = READ_ONCE(sptes[i]);

		if ((spte & shadow_dirty_mask) && hypr_dirty_take(&sptes[i], spte))
			__set_bit(gfn + i, bitmap);
	}
}

static void hypr_tables_take(struct kvm_mmu_page *root, gfn_t start, gfn_t end,
			     const unsigned long *regions, unsigned long *bitmap)
{
	struct tdp_iter iter;

	for_each_tdp_pte_min_level(iter, root, PG_LEVEL_2M, start, end) {
		gfn_t last = min(iter.gfn + KVM_PAGES_PER_HPAGE(iter.level), end);
		tdp_ptep_t table;

		if (!is_shadow_present_pte(iter.old_spte))
			continue;
		if (is_last_spte(iter.old_spte, iter.level)) {
			if (hypr_dirty_take(rcu_dereference(iter.sptep),
					    iter.old_spte))
				bitmap_set(bitmap, iter.gfn, last - iter.gfn);
		} else if (iter.level == PG_LEVEL_2M &&
			   test_bit(iter.gfn / SPTE_ENT_PER_PAGE, regions)) {
			table = spte_to_child_pt(iter.old_spte, iter.level);
			hypr_table_take(rcu_dereference(table), iter.gfn, last,
					bitmap);
		}
	}
}

/*
 * Of every root of the view: roots differ by level, as vCPUs differ in their width
 * of physical addresses.  A nested guest without EPT (NPT) has one of its own, for
 * which the CPU may set no flags (construct_eptp()): they stay as KVM made them.
 *
 * Return: is there such a root?  Then any page may have been written.
 */
static bool hypr_roots_take(struct kvm *kvm, u32 view, gfn_t gfn, gfn_t end,
			    int pass, unsigned long *regions,
			    unsigned long *bitmap)
{
	struct kvm_mmu_page *root;
	bool nested = false;

	read_lock(&kvm->mmu_lock);
	rcu_read_lock();
	list_for_each_entry_rcu(root, &kvm->arch.tdp_mmu_roots, link,
				lockdep_is_held(&kvm->mmu_lock)) {
		if (root->role.invalid || kvm_mmu_page_as_id(root) != view)
			continue;
		if (root->role.guest_mode)
			nested = true;
		else if (pass == 1)
			hypr_regions_take(root, gfn, end, regions);
		else
			hypr_tables_take(root, gfn, end, regions, bitmap);
	}
	rcu_read_unlock();
	read_unlock(&kvm->mmu_lock);
	return nested;
}

/*
 * The accessed flags go first.  A vCPU that runs in the view may use a table by
 * what its CPU has cached of the entry above, and then no accessed flag shows what
 * it writes: it flushes before the tables are read.
 */
static bool hypr_flags_take(struct kvm *kvm, u32 view, u64 nr,
			    unsigned long *regions, unsigned long *bitmap)
{
	bool nested = false;
	gfn_t gfn;
	int pass;

	for (pass = 1; pass <= 2; pass++) {
		for (gfn = 0; gfn < nr; gfn += HYPR_WRITTEN_CHUNK) {
			gfn_t end = min_t(u64, nr, gfn + HYPR_WRITTEN_CHUNK);

			nested |= hypr_roots_take(kvm, view, gfn, end, pass,
						  regions, bitmap);
			cond_resched();
		}
		if (pass == 1 && hypr_view_in_use(kvm, view))
			kvm_make_all_cpus_request(kvm, KVM_REQ_TLB_FLUSH);
	}
	return nested;
}

/* ---- the ioctl ------------------------------------------------------------ */

/* How far the memory reaches, and whether it is logged. */
static void hypr_slots_look(struct kvm_memslots *slots, struct hypr_notes *notes)
{
	struct kvm_memory_slot *slot;
	int bkt;

	notes->slots_end = 0;
	notes->slots_logged = false;
	kvm_for_each_memslot(slot, bkt, slots) {
		if (slot->id >= KVM_USER_MEM_SLOTS)
			continue;
		notes->slots_end = max(notes->slots_end, slot->base_gfn + slot->npages);
		notes->slots_logged |= kvm_slot_dirty_track_enabled(slot);
	}
}

/**
 * hypr_written_check() - were all writes since the last time flagged or noted?
 * @kvm: the VM
 * @view: the view
 * @nr: pages that the caller asks about
 * @all: out: they were not; who loses this sets kvm_hypr.notes[].all
 *
 * Dirty logging clears dirty flags for its own use; to switch it needs new memory slots,
 * which have another generation.
 *
 * Context: kvm_hypr.lock held, and kvm->srcu or slots_lock.
 * Return: 0, -ENOENT, -EOPNOTSUPP, -E2BIG as struct kvm_hypr_written says.
 */
int hypr_written_check(struct kvm *kvm, u32 view, u64 nr, bool *all)
{
	struct kvm_memslots *slots = __kvm_memslots(kvm, view);
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct hypr_notes *notes = &h->notes[view];
	u64 generation;

	lockdep_assert_held(&h->lock);

	/* Memory of SMM may have come and gone, too.  Both only grow. */
	generation = slots->generation +
		     __kvm_memslots(kvm, KVM_HYPR_VIEW_SMM)->generation;
	*all = generation != notes->slots_generation;
	if (*all && !hypr_view_exists(kvm, view))
		return -ENOENT;
	/* Nested guests write by tables of their own, SMM by a root of its own. */
	if (!kvm_ad_enabled() || kvm_shadow_root_allocated(kvm) ||
	    (*all && hypr_has_user_slots(kvm, KVM_HYPR_VIEW_SMM)))
		return -EOPNOTSUPP;
	if (*all)
		hypr_slots_look(slots, notes);
	if (notes->slots_end > nr)
		return -E2BIG;
	*all |= notes->slots_logged;
	notes->slots_generation = generation;
	return 0;
}

/**
 * hypr_view_written() - take the pages of a view that may have been written
 * @kvm: the VM
 * @view: the view
 * @nr: pages that @bitmap has bits for, a multiple of BITS_PER_LONG
 * @bitmap: zeroed; a bit is set for each page that may have been written since
 *	the last call for the view
 *
 * The next call starts from here: a caller that loses the bitmap calls
 * kvm_hypr_note_written() for all pages.
 *
 * Context: process context, no lock of HYPR held.
 * Return: 0; -ENOENT no such view; -E2BIG it has memory beyond @nr; -EOPNOTSUPP
 * the CPU has no accessed and dirty flags, or the VM has run nested guests or has
 * memory of SMM; -ENOMEM; -EINTR a fatal signal.
 */
int hypr_view_written(struct kvm *kvm, u32 view, unsigned int nr,
		      unsigned long *bitmap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	unsigned long *regions;
	bool all;
	int r;

	if (!hypr_view_is_valid(view))
		return -ENOENT;
	view = array_index_nospec(view, KVM_HYPR_MAX_VIEWS);
	regions = bitmap_zalloc(DIV_ROUND_UP(nr, SPTE_ENT_PER_PAGE),
				GFP_KERNEL_ACCOUNT);
	if (!regions)
		return -ENOMEM;
	r = -EINTR;
	if (mutex_lock_killable(&h->build_lock))
		goto free;
	r = hypr_notes_fit(h, view, nr);
	if (r)
		goto unlock_build;
	r = hypr_lock_to_drop(kvm, HYPR_NO_TIMEOUT);
	if (r)
		goto unlock_build;

	r = hypr_written_check(kvm, view, nr, &all);
	if (r)
		goto unlock;
	all |= hypr_flags_take(kvm, view, nr, regions, bitmap);
	/* CPUs have cached flags that are clear now. */
	hypr_view_edited(kvm, view);
	write_lock(&kvm->mmu_lock);
	all |= hypr_notes_collect(kvm, &h->notes[view], bitmap, nr);
	write_unlock(&kvm->mmu_lock);
	if (all)
		bitmap_fill(bitmap, nr);
unlock:
	mutex_unlock(&h->lock);
	mutex_unlock(&kvm->slots_lock);
unlock_build:
	mutex_unlock(&h->build_lock);
free:
	bitmap_free(regions);
	return r;
}
