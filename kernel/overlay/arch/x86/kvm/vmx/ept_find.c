// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: the pages that a reset puts back, into the list of kvm_hypr.share.  These are
 * the pages that the view's tables say a vCPU has written, those that are noted
 * (ept_notes.c), and those that user space says it has written itself.  Regions of 2 MiB are
 * shared among threads (ept_share.c), as the copying is that follows.
 *
 * Nothing faults here.  A page that is not there, of the moment or of the view, is marked
 * as missing (ept_moment.c), and so are all others: then nothing is put back.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/tdp_iter.h"
#include "mmu/tdp_mmu.h"

#include "vmx_ept_swap.h"

static_assert(HYPR_REGION_PAGES == SPTE_ENT_PER_PAGE);

static gfn_t hypr_region_first(unsigned int n)
{
	return (gfn_t)n * HYPR_REGION_PAGES;
}

/* ---- where a page is ----------------------------------------------------------- */

/*
 * A page that the tables do not map for writing: KVM or user space wrote it.  It is where
 * user space has it.
 *
 * Return: see struct hypr_put; 0: nowhere, or it is missing.
 */
static noinline unsigned long hypr_unmapped_find(struct hypr_find *f, struct hypr_region *region,
						 gfn_t gfn)
{
	struct kvm_memory_slot *slot;
	struct page *page;

	slot = __gfn_to_memslot(__kvm_memslots(f->kvm, f->view), gfn);
	if (!slot)
		return 0;
	if (!get_user_page_fast_only(__gfn_to_hva_memslot(slot, gfn), FOLL_WRITE, &page)) {
		region->unmapped = true;
		__set_bit(gfn % HYPR_REGION_PAGES, region->missing);
		WRITE_ONCE(f->missing, true);
		return 0;
	}
	WRITE_ONCE(f->held, true);
	return (unsigned long)page_address(page) | HYPR_PUT_ADDRESS | HYPR_PUT_HELD;
}

/* What maps it stays while mmu_lock is held. */
static __always_inline unsigned long hypr_page_find(struct hypr_find *f,
						    struct hypr_region *region, gfn_t gfn)
{
	unsigned int i = gfn % HYPR_REGION_PAGES;
	u64 spte = region->sptes ? region->sptes[i] : 0;

	if (is_shadow_present_pte(spte) && is_writable_pte(spte)) {
		if (likely(pfn_valid(spte_to_pfn(spte))))
			return (unsigned long)&region->sptes[i];
	} else if (region->huge && pfn_valid(region->pfn + i)) {
		return (unsigned long)pfn_to_kaddr(region->pfn + i) | HYPR_PUT_ADDRESS;
	}
	return hypr_unmapped_find(f, region, gfn);
}

/* Fill a place in the list; it stays empty if there is nothing to do, or a page is missing. */
static __always_inline void hypr_page_list(struct hypr_find *f, struct hypr_region *region,
					   struct hypr_host_walk *walk, gfn_t gfn,
					   struct hypr_put *put)
{
	struct page *page;

	put->at = 0;
	put->from = 0;
	if (unlikely(gfn == f->shared_gfn))
		return;
	if (!test_bit(gfn % HYPR_REGION_PAGES, region->zero)) {
		page = hypr_host_get(walk, f->moment->hva + gfn * PAGE_SIZE);
		if (likely(page)) {
			put->from = (unsigned long)page_address(page);
		} else {
			__set_bit(gfn % HYPR_REGION_PAGES, region->missing);
			WRITE_ONCE(f->missing, true);
		}
	}
	put->at = hypr_page_find(f, region, gfn);
}

/* ---- which pages of a region ---------------------------------------------------- */

/*
 * What user space itself has written, and what is noted.
 *
 * Return: false: the bitmap of user space is not there.
 */
static bool hypr_others_find(struct hypr_find *f, unsigned int n, unsigned long *pages)
{
	const unsigned long __user *word = (unsigned long __user *)f->moment->bitmap;
	unsigned int i, words = BITS_TO_LONGS(min_t(gfn_t, HYPR_REGION_PAGES,
						    f->moment->pages - hypr_region_first(n)));

	bitmap_zero(pages, HYPR_REGION_PAGES);
	if (word) {
		word += n * HYPR_REGION_WORDS;
		__uaccess_begin();
		for (i = 0; i < words; i++)
			unsafe_get_user(pages[i], word + i, missing);
		user_access_end();
	}
	/* Beyond the end of the map none is noted: hypr_notes.all. */
	if (hypr_region_first(n) < f->notes->pages)
		hypr_notes_take(f->notes, n, pages, HYPR_REGION_WORDS);
	return true;
missing:
	user_access_end();
	WRITE_ONCE(f->moment->bitmap_missing, true);
	WRITE_ONCE(f->missing, true);
	return false;
}

static void hypr_dirty_find(const u64 *sptes, unsigned long *pages)
{
	const u64 dirty = shadow_dirty_mask;
	unsigned int i, j;

	for (i = 0; i < HYPR_REGION_PAGES; i += 8) {
		/* Most are clean. */
		if (likely(!((sptes[i] | sptes[i + 1] | sptes[i + 2] | sptes[i + 3] |
			      sptes[i + 4] | sptes[i + 5] | sptes[i + 6] | sptes[i + 7]) &
			     dirty)))
			continue;
		for (j = i; j < i + 8; j++) {
			if ((sptes[j] & dirty) && is_shadow_present_pte(sptes[j]))
				__set_bit(j, pages);
		}
	}
}

/* Work of hypr_share_run(): list the pages of region @n. */
static void hypr_region_find(struct kvm_hypr *h, u32 n)
{
	struct hypr_find *f = h->share.find;
	struct hypr_region *region = &f->moment->region[n];
	gfn_t first = hypr_region_first(n), left = f->moment->pages - first;
	struct hypr_host_walk walk = { .mm = f->kvm->mm };
	unsigned int word, nr, at;
	unsigned long bits, flags;

	if (!hypr_others_find(f, n, region->written))
		return;
	/* Without an entry: no vCPU has used the table since the last time. */
	if (region->entry && region->sptes)
		hypr_dirty_find(region->sptes, region->written);
	else if (region->entry)
		bitmap_fill(region->written, HYPR_REGION_PAGES);
	if (unlikely(left < HYPR_REGION_PAGES))
		bitmap_clear(region->written, left, HYPR_REGION_PAGES - left);

	nr = bitmap_weight(region->written, HYPR_REGION_PAGES);
	if (!nr)
		return;
	at = atomic_fetch_add(nr, &f->nr);
	/* They are too many, and none is put back. */
	if (unlikely(at + nr > h->share.room)) {
		for (; at < h->share.room; at++)
			h->share.put[at] = (struct hypr_put){ };
		return;
	}
	/* For the walk: hypr_host_get(). */
	local_irq_save(flags);
	for (word = 0; word < HYPR_REGION_WORDS; word++) {
		for (bits = region->written[word]; bits; bits &= bits - 1)
			hypr_page_list(f, region, &walk,
				       first + word * BITS_PER_LONG + __ffs(bits),
				       &h->share.put[at++]);
	}
	local_irq_restore(flags);
}

/* ---- what maps a region --------------------------------------------------------- */

/* One entry for a region or more of them. */
static void hypr_huge_walk(struct hypr_moment *moment, struct tdp_iter *iter)
{
	unsigned int first = iter->gfn / HYPR_REGION_PAGES, i;
	unsigned int nr = KVM_PAGES_PER_HPAGE(iter->level) / HYPR_REGION_PAGES;
	bool dirty = iter->old_spte & shadow_dirty_mask;

	for (i = 0; i < nr && first + i < moment->nr_regions; i++) {
		struct hypr_region *region = &moment->region[first + i];

		region->entry = dirty ? rcu_dereference(iter->sptep) : NULL;
		region->huge = is_writable_pte(iter->old_spte);
		region->pfn = spte_to_pfn(iter->old_spte) + i * HYPR_REGION_PAGES;
	}
}

static void hypr_root_walk(struct hypr_moment *moment, struct kvm_mmu_page *root)
{
	struct hypr_region *region;
	struct tdp_iter iter;
	tdp_ptep_t table;
	unsigned int n;

	for (n = 0; n < moment->nr_regions; n++) {
		region = &moment->region[n];
		region->entry = NULL;
		region->sptes = NULL;
		region->huge = false;
	}
	for_each_tdp_pte_min_level(iter, root, PG_LEVEL_2M, 0, moment->pages) {
		if (!is_shadow_present_pte(iter.old_spte))
			continue;
		if (is_last_spte(iter.old_spte, iter.level)) {
			hypr_huge_walk(moment, &iter);
			continue;
		}
		if (iter.level != PG_LEVEL_2M)
			continue;
		region = &moment->region[iter.gfn / HYPR_REGION_PAGES];
		table = spte_to_child_pt(iter.old_spte, iter.level);
		region->sptes = rcu_dereference(table);
		if (iter.old_spte & shadow_accessed_mask)
			region->entry = rcu_dereference(iter.sptep);
	}
}

/*
 * The one root of the view.  Roots differ by level, as vCPUs differ in their width of
 * physical addresses, and a nested guest without EPT has one whose flags the CPU does not
 * set: then there are more, and none is found.
 */
static struct kvm_mmu_page *hypr_only_root(struct kvm *kvm, u32 view)
{
	struct kvm_mmu_page *root, *found = NULL;

	list_for_each_entry(root, &kvm->arch.tdp_mmu_roots, link) {
		if (root->role.invalid || kvm_mmu_page_as_id(root) != view)
			continue;
		if (found || root->role.guest_mode)
			return NULL;
		found = root;
	}
	return found;
}

/* ---- all ------------------------------------------------------------------------ */

/* References go; @written: the pages with one have other bytes now. */
static void hypr_held_put(struct hypr_find *f, bool written)
{
	const struct hypr_share *share = &f->kvm->arch.hypr.vm->share;
	unsigned int i, nr = min_t(unsigned int, atomic_read(&f->nr), share->room);
	struct page *page;

	for (i = 0; f->held && i < nr; i++) {
		if (!(share->put[i].at & HYPR_PUT_HELD))
			continue;
		page = virt_to_page((void *)(share->put[i].at & ~HYPR_PUT_FLAGS));
		if (written)
			SetPageDirty(page);
		put_page(page);
	}
}

/* Nothing was put back: what was noted stays so, and other pages with it. */
static void hypr_find_undo(struct hypr_find *f)
{
	const struct hypr_share *share = &f->kvm->arch.hypr.vm->share;
	struct hypr_moment *moment = f->moment;
	unsigned int n;

	hypr_held_put(f, false);
	for (n = 0; n < min_t(unsigned int, atomic_read(&f->nr), share->room); n++) {
		if (share->put[n].from)
			put_page(virt_to_page((void *)share->put[n].from));
	}
	for (n = 0; n < moment->nr_regions && hypr_region_first(n) < f->notes->pages; n++)
		hypr_notes_return(f->notes, n, moment->region[n].written);
}

/**
 * hypr_pages_find() - list the pages of a view that a reset puts back
 * @f: its first fields; the others are filled
 *
 * Context: kvm_hypr.lock, kvm->srcu and mmu_lock, for write, held; RCU read side; all vCPUs
 * held (hypr_hold()); page faults switched off.
 * Return: 0; hypr_pages_forget() has to follow.  -EOPNOTSUPP it is not known which pages
 * were written; -E2BIG they are too many; -EFAULT some are missing: in these cases all is as
 * it was.
 */
int hypr_pages_find(struct hypr_find *f)
{
	struct kvm_hypr *h = f->kvm->arch.hypr.vm;
	struct hypr_notes *notes = &h->notes[f->view];
	struct kvm_mmu_page *root;
	int r = 0;

	lockdep_assert_held_write(&f->kvm->mmu_lock);

	root = hypr_only_root(f->kvm, f->view);
	f->notes = rcu_dereference(notes->map);
	if (!root || READ_ONCE(notes->all) || !f->notes) {
		hypr_dbg("view %u: %s: no reset\n", f->view,
			 root ? "any page may have been written" : "not one set of tables");
		return -EOPNOTSUPP;
	}
	hypr_root_walk(f->moment, root);
	h->share.find = f;
	hypr_share_run(h, hypr_region_find, f->moment->nr_regions, 1);
	if (atomic_read(&f->nr) > KVM_HYPR_RESET_MAX_PAGES)
		r = -E2BIG;
	else if (f->missing)
		r = -EFAULT;
	if (r)
		hypr_find_undo(f);
	return r;
}

/**
 * hypr_pages_forget() - the pages of the list are as they were at the moment
 * @f: what hypr_pages_find() has filled
 *
 * The dirty flags of pages of 4 KiB are taken already: hypr_pages_copy().
 *
 * Context: as hypr_pages_find().
 */
void hypr_pages_forget(struct hypr_find *f)
{
	unsigned int n;

	for (n = 0; n < f->moment->nr_regions; n++) {
		struct hypr_region *region = &f->moment->region[n];

		if (region->entry)
			*region->entry &= ~(region->sptes ? shadow_accessed_mask :
							    shadow_dirty_mask);
	}
	hypr_held_put(f, true);
}
