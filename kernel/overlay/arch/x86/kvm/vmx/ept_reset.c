// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: memory back to its moment, while a swap holds the vCPUs.
 *
 * User space says once where a view's moment is mapped (KVM_HYPR_SET_MOMENT).  A reset
 * then finds the pages that were written as ept_written.c does, and copies the moment's
 * bytes over them: from user memory to the page that the view's tables map.  What maps
 * the page stays as it is.
 *
 * Nothing faults under the locks.  First each page of the moment is looked at; one that
 * is not there ends the attempt before a byte was written, and hypr_swap() faults it in,
 * with no lock held, and tries again.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/tdp_iter.h"
#include "mmu/tdp_mmu.h"

#include "vmx_ept_swap.h"

static_assert(HYPR_REGION_PAGES == SPTE_ENT_PER_PAGE);

/**
 * struct hypr_put_back - a view that is being put back
 * @kvm: the VM
 * @moment: where the moment's bytes are
 * @missing: out: pages that have to be faulted in first
 * @view: its number
 * @shared_gfn: the control page, which is no view's own; or HYPR_GFN_END
 * @pages: that were found
 */
struct hypr_put_back {
	struct kvm *kvm;
	struct hypr_moment *moment;
	struct hypr_missing *missing;
	u32 view;
	gfn_t shared_gfn;
	u64 pages;
};

static void hypr_missing_add(struct hypr_missing *missing, unsigned long hva, bool write)
{
	if (missing->nr < HYPR_MISSING)
		missing->hva[missing->nr++] = hva | (write ? HYPR_MISSING_WRITE : 0);
}

/* ---- which pages --------------------------------------------------------------- */

static void hypr_table_collect(struct hypr_region *region)
{
	const u64 *sptes = region->sptes;
	unsigned int i, j;

	for (i = 0; i < HYPR_REGION_PAGES; i += 8) {
		/* Most are clean. */
		if (!((sptes[i] | sptes[i + 1] | sptes[i + 2] | sptes[i + 3] |
		       sptes[i + 4] | sptes[i + 5] | sptes[i + 6] | sptes[i + 7]) &
		      shadow_dirty_mask))
			continue;
		for (j = i; j < i + 8; j++) {
			if (is_shadow_present_pte(sptes[j]) && (sptes[j] & shadow_dirty_mask))
				__set_bit(j, region->written);
		}
	}
}

/* One entry for a region or more of them. */
static void hypr_huge_collect(struct hypr_moment *moment, struct tdp_iter *iter)
{
	unsigned int first = iter->gfn / HYPR_REGION_PAGES, i;
	unsigned int nr = KVM_PAGES_PER_HPAGE(iter->level) / HYPR_REGION_PAGES;
	bool dirty = iter->old_spte & shadow_dirty_mask;

	for (i = 0; i < nr && first + i < moment->nr_regions; i++) {
		struct hypr_region *region = &moment->region[first + i];

		region->entry = rcu_dereference(iter->sptep);
		region->huge = is_writable_pte(iter->old_spte);
		region->pfn = spte_to_pfn(iter->old_spte) + i * HYPR_REGION_PAGES;
		if (dirty)
			bitmap_fill(region->written, HYPR_REGION_PAGES);
	}
}

static void hypr_root_collect(struct hypr_moment *moment, struct kvm_mmu_page *root)
{
	struct hypr_region *region;
	struct tdp_iter iter;
	tdp_ptep_t table;

	for_each_tdp_pte_min_level(iter, root, PG_LEVEL_2M, 0, moment->pages) {
		if (!is_shadow_present_pte(iter.old_spte))
			continue;
		if (is_last_spte(iter.old_spte, iter.level)) {
			hypr_huge_collect(moment, &iter);
			continue;
		}
		if (iter.level != PG_LEVEL_2M)
			continue;
		region = &moment->region[iter.gfn / HYPR_REGION_PAGES];
		region->entry = rcu_dereference(iter.sptep);
		table = spte_to_child_pt(iter.old_spte, iter.level);
		region->sptes = rcu_dereference(table);
		/* No vCPU has used the table since the last time. */
		if (iter.old_spte & shadow_accessed_mask)
			hypr_table_collect(region);
	}
}

/* Begin with what user space itself has written. */
static int hypr_regions_begin(struct hypr_put_back *p)
{
	struct hypr_moment *moment = p->moment;
	unsigned long from = moment->bitmap;
	unsigned int i;

	for (i = 0; i < moment->nr_regions; i++) {
		struct hypr_region *region = &moment->region[i];
		gfn_t left = moment->pages - (gfn_t)i * HYPR_REGION_PAGES;
		size_t bytes = BITS_TO_LONGS(min_t(gfn_t, left, HYPR_REGION_PAGES)) *
			       sizeof(long);

		memset(region, 0, sizeof(*region));
		if (!from)
			continue;
		if (__copy_from_user_inatomic(region->written, (void __user *)from, bytes)) {
			hypr_missing_add(p->missing, from, false);
			return -EFAULT;
		}
		from += bytes;
	}
	return 0;
}

/*
 * The one root of the view.  Roots differ by level, as vCPUs differ in their width of
 * physical addresses, and a nested guest without EPT has one whose flags the CPU does not
 * set: then there are more, and none is found.
 */
static struct kvm_mmu_page *hypr_root_find(struct kvm *kvm, u32 view)
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

static void hypr_note_collect(struct hypr_moment *moment, gfn_t gfn)
{
	if (gfn < moment->pages)
		__set_bit(gfn % HYPR_REGION_PAGES,
			  moment->region[gfn / HYPR_REGION_PAGES].written);
}

static int hypr_pages_collect(struct hypr_put_back *p)
{
	struct hypr_notes *notes = &p->kvm->arch.hypr.vm->notes[p->view];
	struct kvm_mmu_page *root;
	int i, r;

	root = hypr_root_find(p->kvm, p->view);
	if (!root || READ_ONCE(notes->all)) {
		hypr_dbg("view %u: %s: no reset\n", p->view,
			 root ? "any page may have been written" : "not one set of tables");
		return -EOPNOTSUPP;
	}
	r = hypr_regions_begin(p);
	if (r)
		return r;
	hypr_root_collect(p->moment, root);
	for (i = 0; i < HYPR_NOTES; i++) {
		if (notes->page[i])
			hypr_note_collect(p->moment, notes->page[i] - 1);
	}
	return 0;
}

/* ---- one page ------------------------------------------------------------------ */

/* A page that the view's tables map for writing stays while mmu_lock is held. */
static void *hypr_mapped_page(const struct hypr_region *region, unsigned int i)
{
	kvm_pfn_t pfn;
	u64 spte;

	if (region->huge) {
		pfn = region->pfn + i;
	} else {
		spte = region->sptes ? region->sptes[i] : 0;
		if (!is_shadow_present_pte(spte) || !is_writable_pte(spte))
			return NULL;
		pfn = spte_to_pfn(spte);
	}
	return pfn_valid(pfn) ? pfn_to_kaddr(pfn) : NULL;
}

/* Where the page is in user memory; 0: nowhere. */
static unsigned long hypr_page_hva(const struct hypr_put_back *p, gfn_t gfn)
{
	struct kvm_memory_slot *slot;

	slot = __gfn_to_memslot(__kvm_memslots(p->kvm, p->view), gfn);
	return slot ? __gfn_to_hva_memslot(slot, gfn) : 0;
}

/* REP MOVSQ, which has no fault that is not fixed up.  Return: bytes that are left. */
static __always_inline unsigned long hypr_copy_page(void *to, const void __user *from)
{
	unsigned long left = PAGE_SIZE / sizeof(u64);

	stac();
	asm volatile("1: rep movsq\n"
		     "2:\n"
		     _ASM_EXTABLE_UA(1b, 2b)
		     : "+c" (left), "+D" (to), "+S" (from) : : "memory");
	clac();
	return left * sizeof(u64);
}

/* A page that the tables do not map for writing: KVM or user space wrote it. */
static int hypr_unmapped_put_back(struct hypr_put_back *p, gfn_t gfn,
				  const void __user *from, bool copy)
{
	unsigned long hva = hypr_page_hva(p, gfn);
	struct page *page;
	int r = 0;

	if (!hva)
		return 0;
	if (!get_user_page_fast_only(hva, FOLL_WRITE, &page)) {
		hypr_missing_add(p->missing, hva, true);
		return -EFAULT;
	}
	if (copy) {
		if (hypr_copy_page(page_address(page), from))
			r = -EFAULT;
		SetPageDirty(page);
	}
	put_page(page);
	return r;
}

/* Without @copy: could it be done? */
static int hypr_page_put_back(struct hypr_put_back *p, struct hypr_region *region,
			      gfn_t gfn, bool copy)
{
	const u8 __user *from = (void __user *)(p->moment->hva + gfn * PAGE_SIZE);
	unsigned int i = gfn % HYPR_REGION_PAGES;
	void *to = hypr_mapped_page(region, i);
	u8 __maybe_unused byte;

	if (unlikely(gfn == p->shared_gfn))
		return 0;
	if (!copy && __get_user(byte, from)) {
		hypr_missing_add(p->missing, (unsigned long)from, false);
		return -EFAULT;
	}
	if (unlikely(!to))
		return hypr_unmapped_put_back(p, gfn, from, copy);
	if (!copy)
		return 0;
	if (hypr_copy_page(to, from))
		return -EFAULT;
	if (!region->huge)
		region->sptes[i] &= ~shadow_dirty_mask;
	/* As KVM does wherever it clears the flag. */
	kvm_set_pfn_dirty(PHYS_PFN(__pa(to)));
	return 0;
}

/* ---- all of them --------------------------------------------------------------- */

static int hypr_region_put_back(struct hypr_put_back *p, unsigned int n, bool copy)
{
	struct hypr_region *region = &p->moment->region[n];
	gfn_t first = (gfn_t)n * HYPR_REGION_PAGES, gfn;
	unsigned int word;
	int r, ret = 0;

	for (word = 0; word < ARRAY_SIZE(region->written); word++) {
		unsigned long bits = region->written[word];

		for (; bits; bits &= bits - 1) {
			gfn = first + word * BITS_PER_LONG + __ffs(bits);
			if (gfn >= p->moment->pages)
				break;
			r = hypr_page_put_back(p, region, gfn, copy);
			if (r && copy)
				return r;
			if (r)
				ret = r;
			p->pages += !copy;
		}
	}
	return ret;
}

static int hypr_regions_put_back(struct hypr_put_back *p, bool copy)
{
	unsigned int n;
	int r, ret = 0;

	for (n = 0; n < p->moment->nr_regions; n++) {
		r = hypr_region_put_back(p, n, copy);
		if (r && copy)
			return r;
		if (r)
			ret = r;
		if (p->pages > KVM_HYPR_RESET_MAX_PAGES)
			return -E2BIG;
	}
	return ret;
}

/* All is as it was at the moment: nothing was written since. */
static void hypr_written_forget(struct hypr_put_back *p)
{
	struct hypr_notes *notes = &p->kvm->arch.hypr.vm->notes[p->view];
	unsigned int n;

	memset(notes->page, 0, sizeof(notes->page));
	for (n = 0; n < p->moment->nr_regions; n++) {
		struct hypr_region *region = &p->moment->region[n];

		if (region->entry)
			*region->entry &= ~(region->huge ? shadow_dirty_mask :
							   shadow_accessed_mask);
	}
}

/*
 * Under mmu_lock, nobody zaps an entry, and so nobody takes a page away.  The vCPUs are
 * held, and no CPU sets a flag.
 */
static int hypr_put_back_locked(struct hypr_put_back *p)
{
	int r;

	lockdep_assert_held_write(&p->kvm->mmu_lock);

	r = hypr_pages_collect(p);
	if (!r)
		r = hypr_regions_put_back(p, false);
	if (r)
		return r;
	if (hypr_regions_put_back(p, true)) {
		hypr_dbg("view %u: its moment went away in the middle of a reset: the VM ends\n",
			 p->view);
		kvm_vm_dead(p->kvm);
		return -EIO;
	}
	hypr_written_forget(p);
	return 0;
}

static int hypr_put_back_view(struct hypr_put_back *p)
{
	int r;

	write_lock(&p->kvm->mmu_lock);
	rcu_read_lock();
	pagefault_disable();
	r = hypr_put_back_locked(p);
	pagefault_enable();
	rcu_read_unlock();
	write_unlock(&p->kvm->mmu_lock);
	return r;
}

/**
 * hypr_put_back() - memory of a view back to its moment
 * @kvm: the VM
 * @swap: to the active view, which hypr_moment_check() was content with; @pages is filled
 *
 * Context: kvm_hypr.lock held, and all vCPUs (hypr_hold()); process context of the VM's
 * mm.  Takes kvm->srcu and mmu_lock.
 * Return: 0; -EOPNOTSUPP it is not known which pages were written; -E2BIG they are too
 * many, or the view has memory that the moment has not; -EFAULT a page is missing: see
 * kvm_hypr.missing; in these cases nothing was written.  -EIO a page went away in the
 * middle: the VM is dead.
 */
int hypr_put_back(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	u32 view = array_index_nospec(swap->view, KVM_HYPR_MAX_VIEWS);
	struct hypr_put_back p = {
		.kvm = kvm,
		.moment = h->moment[view],
		.missing = &h->missing,
		.view = view,
		.shared_gfn = h->control_page ? gpa_to_gfn(HYPR_CONTROL_GPA) : HYPR_GFN_END,
	};
	bool all = false;
	int idx, r;

	lockdep_assert_held(&h->lock);

	h->missing.nr = 0;
	idx = srcu_read_lock(&kvm->srcu);
	r = hypr_written_check(kvm, view, p.moment->pages, &all);
	/* The next KVM_HYPR_GET_WRITTEN has to say so. */
	if (all)
		WRITE_ONCE(h->notes[view].all, true);
	if (!r)
		r = hypr_put_back_view(&p);
	srcu_read_unlock(&kvm->srcu, idx);
	if (r)
		return r;
	swap->pages = p.pages;
	/* What CPUs have cached says that pages are dirty, and tables used. */
	hypr_view_edited(kvm, view);
	return 0;
}
