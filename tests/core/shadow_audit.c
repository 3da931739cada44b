// SPDX-License-Identifier: GPL-2.0-only
/* Inside of core/shadow*.c: what must hold between two calls.  See shadow_audit.h. */
#include "tests/core/shadow_audit.h"

#include "shadow_page.h"

/* An entry of a table that is tracked grants no more than the guest's. */
static void audit_entry(struct guest *guest, const struct shadow_page *page, u32 index)
{
	u64 entry = page->entries[index];
	u64 gpte = *guest_at(guest, page->key.gfn * CORE_PAGE_4K + index * 8);
	u64 what = page->slots[index].what;
	u64 gfn = gpte / CORE_PAGE_4K & (SPTE_ADDRESS / CORE_PAGE_4K);
	bool flipped = page->key.flip && (entry & SPTE_NX) && !(entry & SPTE_U);
	bool large = page->key.level > 1 && (gpte & SPTE_LARGE);

	/* Bit 12 of a large page is PAT. */
	if (large)
		gfn &= ~1ull;
	guest_check((gpte & SPTE_P) && (gpte & SPTE_A));
	guest_check(!(entry & SPTE_U) || (gpte & SPTE_U));
	guest_check(!(gpte & SPTE_NX) || (entry & SPTE_NX));
	guest_check(!(entry & SPTE_W) || (gpte & SPTE_W) || flipped);
	if (!(entry & SPTE_LEAF)) {
		const struct shadow_page *child = &guest->table->pages[what];

		guest_check(child->used && child->key.gfn == gfn);
		guest_check(child->key.direct == large);
		guest_check(child->key.level == page->key.level - 1);
		guest_check((entry & SPTE_ADDRESS) == plat_virt_to_hpa(child->entries).addr);
	} else {
		guest_check(page->key.level == 1 || large);
		guest_check(what == gfn);
		guest_check(!(entry & SPTE_W) || (gpte & SPTE_D) || flipped);
	}
}

/* An entry that maps memory: the host's page, and no way to write a tracked table. */
static void audit_leaf(struct guest *guest, const struct shadow_page *page, u32 index)
{
	u64 entry = page->entries[index], gfn = page->slots[index].what;
	u64 frame = (entry & SPTE_ADDRESS) - plat_virt_to_hpa(guest->frames).addr;
	u32 pages = page->key.level == 1 ? 1 : 512;

	for (u32 i = 0; i < pages; i++) {
		u32 host = guest->host[gfn + i];

		guest_check(frame / CORE_PAGE_4K + i == guest->frame[gfn + i]);
		guest_check(!(host & HOST_MISSING));
		guest_check(!(entry & SPTE_W) || !(host & HOST_READ_ONLY));
		guest_check((entry & SPTE_NX) || !(host & HOST_NO_EXECUTE));
		guest_check(!(entry & SPTE_W) || !shadow_is_tracked(guest->table, gfn + i));
	}
}

void shadow_audit(struct guest *guest)
{
	const struct shadow_page_table *table = guest->table;
	u32 used = 0, unsync = 0;

	for (u32 i = 0; i < table->params.max_pages; i++) {
		const struct shadow_page *page = &table->pages[i];
		u32 present = 0;

		if (!page->used)
			continue;
		used++;
		unsync += page->unsync;
		guest_check(!page->unsync || page->key.level == 1);
		for (u32 index = 0; index < CORE_ENTRIES; index++) {
			if (!page->entries[index])
				continue;
			present++;
			if (!page->key.direct && !page->unsync)
				audit_entry(guest, page, index);
			if (page->entries[index] & SPTE_LEAF)
				audit_leaf(guest, page, index);
		}
		guest_check(present == page->present);
	}
	guest_check(used == table->stats.pages && unsync == table->stats.unsync);
}
