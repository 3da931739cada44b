// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page tables of the VM's process: many pages by one walk, and no reference to
 * any.  The MMU notifier makes that safe, as for KVM's host_pfn_mapping_level():
 * whoever changes an entry waits for mmu_lock first.
 *
 * And the other way: have the host map many pages of a file at once.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/userfaultfd_k.h>

#include "vmx_ept_swap.h"

/*
 * get_user_pages() refuses secret memory and has reasons of its own for other pages
 * that no file system keeps on a list: it looks at those itself.
 */
static bool hypr_page_is_plain(unsigned long pfn)
{
	struct page *page = pfn_to_page(pfn);
	struct folio *folio = page_folio(page);
	struct address_space *mapping;

	/* KVM would ask which memory type it has. */
	if (PageReserved(page))
		return false;
	/* Anonymous memory, and memory of a memfd. */
	if (folio_test_swapbacked(folio))
		return true;
	mapping = READ_ONCE(folio->mapping);
	return mapping && !((unsigned long)mapping & PAGE_MAPPING_FLAGS) &&
	       !mapping_unevictable(mapping);
}

static u64 hypr_host_page(unsigned long pfn, bool writable, u64 flags)
{
	return (u64)pfn << PAGE_SHIFT | flags | HYPR_HOST_PRESENT |
	       (writable ? HYPR_HOST_WRITABLE : 0);
}

/* gup_fast_pte_range() with flags 0 or FOLL_WRITE; the zero page is special. */
static u64 hypr_host_pte(pte_t pte)
{
	unsigned long pfn = pte_pfn(pte);

	if (!pte_access_permitted(pte, false) || pte_devmap(pte))
		return 0;
	if (pte_special(pte))
		return is_zero_pfn(pfn) ? hypr_host_page(pfn, false, 0) : 0;
	if (!hypr_page_is_plain(pfn))
		return 0;
	return hypr_host_page(pfn, pte_access_permitted(pte, true), 0);
}

/* Pages of one entry that maps 2 MiB, from @hva on.  As gup_fast_pmd_leaf(). */
static unsigned int hypr_host_pmd(pmd_t pmd, unsigned long hva, unsigned int n, u64 *page)
{
	unsigned long pfn = pmd_pfn(pmd) + pte_index(hva);
	bool writable = pmd_access_permitted(pmd, true);
	unsigned int i;

	if (!pmd_access_permitted(pmd, false) || pmd_special(pmd) || pmd_devmap(pmd) ||
	    !hypr_page_is_plain(pfn))
		return 0;
	for (i = 0; i < n; i++)
		page[i] = hypr_host_page(pfn + i, writable, HYPR_HOST_HUGE);
	return n;
}

/* The entry that maps 2 MiB, or has their table.  NULL: there is none, and no table above. */
static pmd_t *hypr_host_entry(struct mm_struct *mm, unsigned long hva)
{
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;

	/* Each entry is read once: it may become a huge page during the walk. */
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (pgd_none(pgd))
		return NULL;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		return NULL;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud) || pud_leaf(pud))
		return NULL;
	return pmd_offset(&pud, hva);
}

/* @n pages from @hva on, all of one last-level table.  Return: how many there are. */
static unsigned int hypr_host_table(struct mm_struct *mm, unsigned long hva,
				    unsigned int n, u64 *page)
{
	pmd_t *entry = hypr_host_entry(mm, hva), pmd;
	unsigned int i;
	pte_t *pte;

	if (!entry)
		return 0;
	pmd = READ_ONCE(*entry);
	if (pmd_none(pmd) || !pmd_present(pmd))
		return 0;
	if (pmd_leaf(pmd))
		return hypr_host_pmd(pmd, hva, n, page);
	pte = pte_offset_kernel(&pmd, hva);
	for (i = 0; i < n; i++) {
		page[i] = hypr_host_pte(ptep_get(pte + i));
		if (!page[i])
			break;
	}
	return i;
}

/**
 * hypr_host_look() - which pages does the host map?
 * @kvm: the VM
 * @hva: of the first page
 * @n: pages, at most HYPR_HOST_PAGES
 * @page: filled: host physical address and HYPR_HOST_*
 *
 * Nothing is faulted in.  The pages stay what they are until mmu_lock is released.
 *
 * Context: kvm->mmu_lock held, and no invalidation of these pages in progress.
 * Return: how many pages were found, up to the first one that is not mapped, or that
 * only get_user_pages() may judge.
 */
unsigned int hypr_host_look(struct kvm *kvm, unsigned long hva, unsigned int n, u64 *page)
{
	unsigned int part, found, i = 0;
	unsigned long flags;

	lockdep_assert_held(&kvm->mmu_lock);

	/* Keeps the tables: who frees one waits for this CPU. */
	local_irq_save(flags);
	do {
		part = min_t(unsigned int, n - i, PTRS_PER_PTE - pte_index(hva));
		found = hypr_host_table(kvm->mm, hva, part, page + i);
		i += found;
		hva += found * PAGE_SIZE;
	} while (found == part && i < n);
	local_irq_restore(flags);
	return i;
}

/* As gup_fast_pte_range(): an entry that is still the same protects what it had. */
static __always_inline struct page *hypr_pte_get(pte_t *ptep)
{
	pte_t pte = ptep_get(ptep);
	struct folio *folio;
	struct page *page;

	if (!hypr_host_pte(pte))
		return NULL;
	page = pte_page(pte);
	folio = page_folio(page);
	if (!folio_try_get(folio))
		return NULL;
	if (likely(page_folio(page) == folio && pte_same(pte, ptep_get(ptep))))
		return page;
	folio_put(folio);
	return NULL;
}

/* The last-level table that has @hva is that of the page before, or is looked up. */
static void hypr_host_walk_to(struct hypr_host_walk *walk, unsigned long hva)
{
	pmd_t *entry, pmd;

	walk->hva = hva & PMD_MASK;
	entry = hypr_host_entry(walk->mm, hva);
	pmd = entry ? READ_ONCE(*entry) : __pmd(0);
	walk->table = pmd_present(pmd) && !pmd_leaf(pmd) ?
		      pte_offset_kernel(&pmd, walk->hva) : NULL;
}

/**
 * hypr_host_get() - a reference to a page that the host maps, to read it
 * @walk: @mm of the current process; else zero, or as the page before has left it
 * @hva: its address, which user space may use
 *
 * Context: interrupts disabled, from the first page of @walk to the last: that keeps the
 * host's tables, and a page until it has its reference.  Takes no lock.
 * Return: the page; NULL: it is not mapped.
 */
struct page *hypr_host_get(struct hypr_host_walk *walk, unsigned long hva)
{
	struct page *page = NULL;

	lockdep_assert_irqs_disabled();

	if (unlikely(!walk->table || walk->hva != (hva & PMD_MASK)))
		hypr_host_walk_to(walk, hva);
	if (likely(walk->table))
		page = hypr_pte_get(walk->table + pte_index(hva));
	/* The kinds of pages that it alone may judge, and huge ones. */
	if (unlikely(!page) && !get_user_page_fast_only(hva, 0, &page))
		return NULL;
	return page;
}

/**
 * hypr_host_gap() - for how many pages has the host no entry?
 * @kvm: the VM
 * @hva: of the first page
 * @n: pages
 *
 * Context: takes no lock: the answer may be old.
 * Return: pages up to the first one that has an entry, or to the end of a table of the host's.
 */
unsigned int hypr_host_gap(struct kvm *kvm, unsigned long hva, unsigned int n)
{
	unsigned int part = min_t(unsigned int, n, PTRS_PER_PTE - pte_index(hva)), i = 0;
	unsigned long flags;
	pmd_t *entry, pmd;
	pte_t *pte;

	local_irq_save(flags);
	entry = hypr_host_entry(kvm->mm, hva);
	pmd = entry ? READ_ONCE(*entry) : __pmd(0);
	if (pmd_none(pmd)) {
		i = part;
	} else if (pmd_present(pmd) && !pmd_leaf(pmd)) {
		pte = pte_offset_kernel(&pmd, hva);
		while (i < part && pte_none(ptep_get(pte + i)))
			i++;
	}
	local_irq_restore(flags);
	return i;
}

/* May a read fault there map pages around the one that faults?  do_read_fault() */
static bool hypr_maps_around(struct vm_area_struct *vma)
{
	return vma->vm_ops && vma->vm_ops->map_pages && (vma->vm_flags & VM_READ) &&
	       !userfaultfd_armed(vma);
}

/**
 * hypr_host_map() - have the host map pages of a file that are in its cache
 * @mm: that of the current process
 * @hva: of the first page
 * @n: pages
 *
 * What a read fault does for the pages around (do_fault_around()), for a whole table of
 * the host's at once.  Pages that are mapped already stay as they are, and nobody is asked
 * to fetch one.
 *
 * Context: process context; takes mmap_lock for reading.
 * Return: pages from @hva on of which none can be mapped so by another call, at least 1; 0:
 * the host has no table for them yet, and faulting in one page of them makes it.
 */
unsigned int hypr_host_map(struct mm_struct *mm, unsigned long hva, unsigned int n)
{
	unsigned int part = min_t(unsigned int, n, PTRS_PER_PTE - pte_index(hva));
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, hva);
	if (vma)
		part = min_t(unsigned long, part, (vma->vm_end - hva) >> PAGE_SHIFT);
	if (vma && hypr_maps_around(vma)) {
		struct vm_fault vmf = {
			.vma = vma,
			.gfp_mask = GFP_KERNEL,
			.pgoff = linear_page_index(vma, hva),
			.address = hva,
			.real_address = hva,
			.pmd = hypr_host_entry(mm, hva),
		};

		if (!vmf.pmd || pmd_none(READ_ONCE(*vmf.pmd))) {
			part = 0;
		} else {
			rcu_read_lock();
			vma->vm_ops->map_pages(&vmf, vmf.pgoff, vmf.pgoff + part - 1);
			rcu_read_unlock();
		}
	}
	mmap_read_unlock(mm);
	return part;
}
