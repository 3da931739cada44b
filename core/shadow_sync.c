// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Shadow paging: the guest edits its tables, the host changes guest memory.
 *
 * A tracked table: each write is emulated and arrives in shadow_guest_wrote().  A
 * table that the guest keeps writing is given up.  A leaf table goes out of sync at
 * the first write instead: no more faults, until the next load of CR3 reads it again.
 */
#include "shadow_page.h"

static void drop_range(struct shadow_page_table *table, u64 first, u64 last)
{
	u32 i;

	for (i = 0; i < table->params.max_pages; i++) {
		struct shadow_page *page = &table->pages[i];

		if (page->used && !page->key.direct && page->key.gfn >= first &&
		    page->key.gfn <= last)
			shadow_page_drop(table, page);
	}
}

/* The entry of a leaf table that the guest has at @index, if it can be used as it is. */
static bool usable_gpte(struct shadow_page_table *table, const struct shadow_page *page,
			u32 index, u64 *gpte)
{
	const struct walk_memory *memory = table->params.memory;
	u64 reserved = SPTE_ADDRESS & ~(BIT_ULL(table->params.maxphyaddr) - 1);

	if (!page->key.nxe)
		reserved |= SPTE_NX;
	return memory->read(memory, page->key.gfn * CORE_PAGE_4K + index * 8, 8, gpte) &&
	       (*gpte & SPTE_P) && (*gpte & SPTE_A) && !(*gpte & reserved);
}

/* Makes a present entry of a leaf table follow the guest's. */
static void sync_entry(struct shadow_page_table *table, struct shadow_page *page, u32 index)
{
	u64 old = page->entries[index];
	u64 gfn = page->slots[index].what, gpte, entry;

	table->stats.work++;
	if (!old)
		return;
	if (!usable_gpte(table, page, index, &gpte) ||
	    (gpte & SPTE_ADDRESS) / CORE_PAGE_4K != gfn) {
		shadow_entry_clear(table, page, index);
		return;
	}
	entry = old & ~(SPTE_W | SPTE_U | SPTE_G | SPTE_NX);
	entry |= gpte & (SPTE_U | SPTE_G | SPTE_NX);
	if (old & SPTE_HOST_NX)
		entry |= SPTE_NX;
	if ((gpte & SPTE_W) && (gpte & SPTE_D) && (old & SPTE_HOST_W) &&
	    !shadow_is_tracked(table, gfn))
		entry |= SPTE_W;
	shadow_entry_set(table, page, index, entry);
}

void shadow_unsync_drop(struct shadow_page_table *table, struct shadow_page *page)
{
	u32 at = 0;

	while (table->unsync[at] != page)
		at++;
	page->unsync = false;
	for (table->stats.unsync--; at < table->stats.unsync; at++)
		table->unsync[at] = table->unsync[at + 1];
}

void shadow_sync_page(struct shadow_page_table *table, struct shadow_page *page)
{
	u32 index;

	table->stats.synced++;
	if (!page->parents.count) {
		/* Nobody needs it, or a fault that links it just now needs it empty. */
		if (page->pins) {
			shadow_unsync_drop(table, page);
			shadow_gfn_protect(table, page->key.gfn);
		}
		shadow_page_drop(table, page);
		return;
	}
	shadow_unsync_drop(table, page);
	/* First no more writes, then read. */
	shadow_gfn_protect(table, page->key.gfn);
	for (index = 0; index < CORE_ENTRIES; index++)
		sync_entry(table, page, index);
}

void shadow_sync_all(struct shadow_page_table *table)
{
	while (table->stats.unsync)
		shadow_sync_page(table, table->unsync[0]);
}

void shadow_unsync_gfn(struct shadow_page_table *table, u64 gfn)
{
	struct shadow_page *page, *next;

	for (page = shadow_page_first(table, gfn); page; page = shadow_page_next(page))
		if (page->key.level != 1)
			return;
	/* Room for the shadows of one table: .nxe and .flip make 4. */
	while (table->stats.unsync > SHADOW_UNSYNC_MAX - 4)
		shadow_sync_page(table, table->unsync[0]);
	for (page = shadow_page_first(table, gfn); page; page = next) {
		next = shadow_page_next(page);
		if (page->unsync)
			continue;
		if (!page->parents.count) {
			shadow_page_drop(table, page);
			continue;
		}
		page->unsync = true;
		table->unsync[table->stats.unsync++] = page;
	}
}

/* The guest wrote entries @first to @last of its table @gfn. */
static void table_wrote(struct shadow_page_table *table, u64 gfn, u32 first, u32 last)
{
	struct shadow_page *page, *next;
	u32 index;

	for (page = shadow_page_first(table, gfn); page; page = next) {
		next = shadow_page_next(page);
		if (page->unsync)
			continue;
		for (index = first; index <= last; index++) {
			if (page->key.level == 1)
				sync_entry(table, page, index);
			else
				shadow_entry_clear(table, page, index);
		}
		if (page->pins)
			continue;
		if (++page->writes >= SHADOW_FLOOD || !page->parents.count) {
			shadow_page_drop(table, page);
			table->stats.flooded++;
		}
	}
}

void shadow_guest_wrote(struct shadow_page_table *table, hypr_gpa_t gpa, u64 bytes)
{
	u64 end = gpa.addr + bytes, at, stop;

	if (bytes / CORE_PAGE_4K > SHADOW_RANGE_MAX) {
		drop_range(table, gpa.addr / CORE_PAGE_4K, (end - 1) / CORE_PAGE_4K);
		return;
	}
	for (at = gpa.addr; at < end; at = stop) {
		stop = (at | (CORE_PAGE_4K - 1)) + 1;
		if (stop > end || !stop)
			stop = end;
		table_wrote(table, at / CORE_PAGE_4K, (u32)(at % CORE_PAGE_4K / 8),
			    (u32)((stop - 1) % CORE_PAGE_4K / 8));
	}
}

/* Is @gpte, which maps a large page, what entry @index of @page was made of? */
static bool is_large_page_of(struct shadow_page_table *table, const struct shadow_page *page,
			     u32 index, u64 gpte, u64 reserved)
{
	const struct shadow_page *child = shadow_child(table, page, index);
	u64 old = page->entries[index], rights = gpte & (SPTE_U | SPTE_NX);
	u64 offset = (BIT_ULL(9 * (page->key.level - 1)) - 1) * CORE_PAGE_4K;
	u64 gfn = child ? child->key.gfn : page->slots[index].what;
	u64 mask = SPTE_W | SPTE_U | (old & SPTE_HOST_NX ? 0 : SPTE_NX);

	/* Bit 12 is of the PAT. */
	reserved |= offset & ~CORE_PAGE_4K;
	if ((gpte & reserved) || (gpte & SPTE_ADDRESS & ~offset) / CORE_PAGE_4K != gfn)
		return false;
	if (!(gpte & SPTE_G) != !(child ? child->key.global : !!(old & SPTE_G)))
		return false;
	if ((gpte & SPTE_W) && (gpte & SPTE_D) && (child || (old & SPTE_HOST_W)))
		rights |= SPTE_W;
	return (old & mask) == (rights & mask);
}

/* Is present entry @index of @page, no leaf table, what the guest's entry makes of it? */
static bool agrees(struct shadow_page_table *table, const struct shadow_page *page, u32 index)
{
	const struct walk_memory *memory = table->params.memory;
	const struct shadow_page *child = shadow_child(table, page, index);
	u64 reserved = SPTE_ADDRESS & ~(BIT_ULL(table->params.maxphyaddr) - 1);
	u64 rights = SPTE_W | SPTE_U | SPTE_NX, gpte;

	if (!page->key.nxe)
		reserved |= SPTE_NX;
	if (!memory->read(memory, page->key.gfn * CORE_PAGE_4K + index * 8, 8, &gpte) ||
	    !(gpte & SPTE_P) || !(gpte & SPTE_A) || (gpte & reserved))
		return false;
	if (gpte & SPTE_LARGE)
		return page->key.level < 4 && (!child || child->key.direct) &&
		       is_large_page_of(table, page, index, gpte, reserved);
	return child && !child->key.direct && !((gpte ^ page->entries[index]) & rights) &&
	       (gpte & SPTE_ADDRESS) / CORE_PAGE_4K == child->key.gfn;
}

static void read_again(struct shadow_page_table *table, struct shadow_page *page)
{
	u32 index, left = page->present;

	for (index = 0; left; index++) {
		if (!page->entries[index])
			continue;
		left--;
		if (page->key.level == 1)
			sync_entry(table, page, index);
		else if (!agrees(table, page, index))
			shadow_entry_clear(table, page, index);
	}
}

/* Entries alone are cleared: the list by age stays as it is. */
void shadow_read_again(struct shadow_page_table *table, hypr_gpa_t gpa, u64 bytes)
{
	u64 first = gpa.addr / CORE_PAGE_4K, last;
	struct shadow_page *page;

	if (!bytes)
		return;
	last = (gpa.addr + bytes - 1) / CORE_PAGE_4K;
	if (table->stats.pages > SHADOW_READ_MAX) {
		drop_range(table, first, last);
		return;
	}
	for (page = table->newest; page; page = page->older)
		if (!page->key.direct && !page->unsync && page->key.gfn >= first &&
		    page->key.gfn <= last)
			read_again(table, page);
}

void shadow_host_changed(struct shadow_page_table *table, hypr_gpa_t gpa, u64 bytes)
{
	u64 gfn = gpa.addr / CORE_PAGE_4K, last;

	if (!bytes)
		return;
	last = (gpa.addr + bytes - 1) / CORE_PAGE_4K;
	if (last - gfn >= SHADOW_RANGE_MAX) {
		shadow_forget(table);
		return;
	}
	for (; gfn <= last; gfn++) {
		struct shadow_page *page, *next;

		shadow_gfn_clear(table, gfn);
		for (page = shadow_page_first(table, gfn); page; page = next) {
			next = shadow_page_next(page);
			shadow_page_drop(table, page);
		}
	}
	shadow_flush_stale(table);
}

void shadow_forget(struct shadow_page_table *table)
{
	u32 i;

	for (i = 0; i < table->params.max_pages; i++)
		if (table->pages[i].used)
			shadow_page_drop(table, &table->pages[i]);
	shadow_flush_stale(table);
}

void shadow_invlpg(struct shadow_vcpu *vcpu, hypr_gva_t gva)
{
	struct shadow_page_table *table = vcpu->table;
	struct shadow_page *page = vcpu->root, *child = page;
	u32 index = 0;

	while (child) {
		page = child;
		index = gva.addr >> (CORE_PAGE_SHIFT + 9 * (page->key.level - 1)) &
			(CORE_ENTRIES - 1);
		child = shadow_child(table, page, index);
	}
	/*
	 * INVLPG drops global entries for every PCID.  Without a path of this PCID to the
	 * leaf table, another PCID may have one.
	 */
	if (page && page->unsync)
		sync_entry(table, page, index);
	else if (page && !page->entries[index] && (vcpu->cr4 & SHADOW_CR4_PGE) &&
		 (vcpu->cr4 & SHADOW_CR4_PCIDE))
		shadow_sync_all(table);
	table->params.tlb.flush_address(table->params.tlb.context, shadow_pcid(vcpu), gva);
}

void shadow_flush_context(struct shadow_vcpu *vcpu)
{
	const struct mmu_tlb *tlb = &vcpu->table->params.tlb;

	shadow_sync_all(vcpu->table);
	tlb->flush_context(tlb->context, shadow_pcid(vcpu));
}

void shadow_invalidate(struct shadow_page_table *table)
{
	shadow_sync_all(table);
	table->stale = true;
	shadow_flush_stale(table);
}
