// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page tables of the VM's process: many pages by one walk, and no reference to
 * any.  The MMU notifier makes that safe, as for KVM's host_pfn_mapping_level():
 * whoever changes an entry waits for mmu_lock first.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>

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

/* @n pages from @hva on, all of one last-level table.  Return: how many there are. */
static unsigned int hypr_host_table(struct mm_struct *mm, unsigned long hva,
				    unsigned int n, u64 *page)
{
	unsigned int i;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;
	pte_t *pte;

	/* Each entry is read once: it may become a huge page during the walk. */
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (pgd_none(pgd))
		return 0;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		return 0;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud) || pud_leaf(pud))
		return 0;
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
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
