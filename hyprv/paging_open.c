// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow paging: the guest writes to one of its page tables that the shadow follows.  No
 * instruction is decoded: the CPU executes it, on tables of the vCPU's own in which the page
 * is open for writes.  The next exit ends that, and what has changed in the page goes to
 * the shadow.  Until then the vCPU may write there as often as it likes.
 *
 * The tables are as good as entries of this vCPU's TLB.  A flush of the view makes them
 * stale, and its interrupt brings the vCPU out of the guest.  Another vCPU that executes
 * INVLPG or loads CR3 has all open pages reported first.
 */
#include "hyprv.h"
#include "vmx.h"

int paging_open_create(struct paging_open *open)
{
	u32 i;

	INIT_LIST_HEAD(&open->on_view);
	for (i = 0; i < SHADOW_OPEN_TABLES; i++) {
		open->opening.table[i] = plat_page_alloc(1, PLAT_NODE_ANY);
		if (!open->opening.table[i])
			return -ENOMEM;
	}
	for (i = 0; i < SHADOW_OPEN_PAGES; i++) {
		open->page[i].before = plat_page_alloc(1, PLAT_NODE_ANY);
		if (!open->page[i].before)
			return -ENOMEM;
	}
	return 0;
}

void paging_open_destroy(struct paging_open *open)
{
	u32 i;

	for (i = 0; i < SHADOW_OPEN_TABLES; i++)
		plat_page_free(open->opening.table[i], 1);
	for (i = 0; i < SHADOW_OPEN_PAGES; i++)
		plat_page_free(open->page[i].before, 1);
}

/* One instruction may need two: the first stays open if the second write faulted there. */
void paging_open_ask(struct paging_open *open, u64 gva, u32 access)
{
	struct paging_page oldest = open->page[0];
	u32 i;

	/* One that was open and faults all the same begins from scratch. */
	for (i = 0; i < open->pages; i++)
		open->ended &= (open->page[i].gva.addr ^ gva) >= PAGE_SIZE;
	if (!open->ended)
		open->pages = 0;
	if (open->pages == SHADOW_OPEN_PAGES) {
		memmove(open->page, open->page + 1, sizeof(oldest) * (SHADOW_OPEN_PAGES - 1));
		open->page[--open->pages] = oldest;
	}
	open->page[open->pages].gva = hypr_gva(gva);
	open->page[open->pages++].access = access;
	open->armed = true;
}

static bool page_open(struct vcpu *vcpu, struct mmu_vcpu *in, struct paging_page *page)
{
	struct shadow_opening *opening = &vcpu->paging->open.opening;
	u64 rflags = vmcs_read(VMCS_GUEST_RFLAGS);

	if (!shadow_open_page(&in->shadow, page->gva, page->access, rflags, opening,
			      &page->gpa, &page->hpa))
		return false;
	/* What another vCPU changes now is that vCPU's to report. */
	memcpy(page->before, plat_hpa_to_virt(page->hpa), PAGE_SIZE);
	return true;
}

u64 paging_open_begin(struct vcpu *vcpu, struct mmu_vcpu *in)
{
	struct paging_open *open = &vcpu->paging->open;
	u32 i;

	lockdep_assert_held(&vcpu->vm->lock);
	list_del_init(&open->on_view);
	open->opening.tables = 0;
	for (i = 0; i < open->pages && open->armed; i++)
		open->armed = page_open(vcpu, in, &open->page[i]);
	if (!open->armed)
		return 0;
	open->flushes = vcpu->view->flushes;
	open->installs = vcpu->view->installs;
	list_add(&open->on_view, &vcpu->view->open);
	return shadow_open_root(&open->opening).addr;
}

/* What differs now goes to the shadow. */
static void page_compare(struct view *view, struct paging_page *page, const u64 *now)
{
	u32 i, first = CORE_ENTRIES, last = 0;

	if (!memcmp(now, page->before, PAGE_SIZE))
		return;
	for (i = 0; i < CORE_ENTRIES; i++) {
		u64 entry = READ_ONCE(now[i]);

		if (entry == page->before[i])
			continue;
		page->before[i] = entry;
		first = min(first, i);
		last = i;
	}
	if (first <= last)
		view->mmu.page_table->wrote(&view->mmu, hypr_gpa(page->gpa.addr + 8 * first),
					    8 * (last - first + 1));
}

/*
 * Tell the shadow what has been written since the last report.  Another vCPU's fault may have
 * read an entry that has since become again what it was: the comparison does not see that.
 */
static void page_report(struct view *view, const struct paging_open *open,
			struct paging_page *page)
{
	struct memory_mapping run;

	/* Taken away in the meantime: the shadow has dropped all that came of it. */
	if (view->mmu.page_table->translate(&view->mmu, page->gpa, PAGE_SIZE, &run) ||
	    run.hpa.addr != page->hpa.addr)
		return;
	page_compare(view, page, plat_hpa_to_virt(page->hpa));
	if (view->installs != open->installs)
		shadow_read_again(view->mmu.shadow, page->gpa, PAGE_SIZE);
}

void paging_open_report(struct view *view)
{
	struct paging_open *open;
	u32 i;

	lockdep_assert_held(&view->vm->lock);
	list_for_each_entry(open, &view->open, on_view)
		for (i = 0; i < open->pages; i++)
			page_report(view, open, &open->page[i]);
}

void paging_open_end(struct vcpu *vcpu)
{
	struct paging_open *open = &vcpu->paging->open;
	u32 i;

	open->armed = false;
	paging_flush(vcpu, FLUSH_OPEN);
	spin_lock(&vcpu->vm->lock);
	list_del_init(&open->on_view);
	for (i = 0; i < open->pages; i++)
		page_report(vcpu->paging->view, open, &open->page[i]);
	spin_unlock(&vcpu->vm->lock);
}
