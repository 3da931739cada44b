// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* Shadow paging: entries, and the chains back to them. */
#include "shadow_page.h"

u32 shadow_hash(const struct shadow_page_table *table, u64 number, u32 mask)
{
	/* Fibonacci hashing, by a key that the guest does not know. */
	u64 hash = (number ^ table->params.hash_key) * 0x9e3779b97f4a7c15ull;

	hash = (hash ^ (hash >> 29)) * (table->params.hash_key | 1);
	return (u32)(hash >> 32) & mask;
}

void shadow_flush_stale(struct shadow_page_table *table)
{
	if (!table->stale)
		return;
	table->stale = false;
	table->stats.flushes++;
	table->params.tlb.flush_all(table->params.tlb.context);
}

static u32 entry_id(const struct shadow_page_table *table, const struct shadow_page *page,
		    u32 index)
{
	return (u32)(page - table->pages) * CORE_ENTRIES + index + 1;
}

static struct shadow_page *page_of(const struct shadow_page_table *table, u32 id)
{
	return &table->pages[(id - 1) / CORE_ENTRIES];
}

static u32 index_of(u32 id)
{
	return (id - 1) % CORE_ENTRIES;
}

static struct shadow_slot *slot_of(const struct shadow_page_table *table, u32 id)
{
	return &page_of(table, id)->slots[index_of(id)];
}

static struct shadow_chain *maps_of(const struct shadow_page_table *table, u64 gfn)
{
	return &table->maps[shadow_hash(table, gfn, table->maps_mask)];
}

/* The chain of a present entry. */
static struct shadow_chain *chain_of(const struct shadow_page_table *table,
				     const struct shadow_page *page, u32 index)
{
	u64 what = page->slots[index].what;

	return page->entries[index] & SPTE_LEAF ? maps_of(table, what) :
						  &table->pages[what].parents;
}

static void chain_join(struct shadow_page_table *table, struct shadow_chain *chain, u32 id)
{
	struct shadow_slot *slot;

	if (chain->count == SHADOW_CHAIN_MAX)
		shadow_chain_clear(table, chain);
	slot = slot_of(table, id);
	slot->prev = 0;
	slot->next = chain->first;
	if (chain->first)
		slot_of(table, chain->first)->prev = id;
	chain->first = id;
	chain->count++;
}

static void chain_leave(struct shadow_page_table *table, struct shadow_chain *chain, u32 id)
{
	const struct shadow_slot *slot = slot_of(table, id);

	if (slot->prev)
		slot_of(table, slot->prev)->next = slot->next;
	else
		chain->first = slot->next;
	if (slot->next)
		slot_of(table, slot->next)->prev = slot->prev;
	chain->count--;
}

/* The processor reads entries concurrently: each store is whole. */
static void store(struct shadow_page *page, u32 index, u64 entry)
{
	__atomic_store_n(&page->entries[index], entry, __ATOMIC_RELEASE);
}

void shadow_entry_clear(struct shadow_page_table *table, struct shadow_page *page,
			u32 index)
{
	table->stats.work++;
	if (!page->entries[index])
		return;
	chain_leave(table, chain_of(table, page, index), entry_id(table, page, index));
	store(page, index, 0);
	page->present--;
	table->stale = true;
}

void shadow_entry_set(struct shadow_page_table *table, struct shadow_page *page,
		      u32 index, u64 entry)
{
	u64 old = page->entries[index];

	table->stats.work++;
	if (old == entry)
		return;
	if ((old & ~entry & (SPTE_W | SPTE_U)) || (entry & ~old & SPTE_NX))
		table->stale = true;
	store(page, index, entry);
}

static void entry_add(struct shadow_page_table *table, struct shadow_page *page, u32 index,
		      struct shadow_chain *chain, u64 what, u64 entry)
{
	page->slots[index].what = what;
	chain_join(table, chain, entry_id(table, page, index));
	page->present++;
	store(page, index, entry);
}

void shadow_entry_map(struct shadow_page_table *table, struct shadow_page *page,
		      u32 index, u64 gfn, u64 entry)
{
	u64 old = page->entries[index];

	entry |= SPTE_P | SPTE_A | SPTE_D | SPTE_LEAF;
	if ((old & SPTE_LEAF) && page->slots[index].what == gfn &&
	    !((old ^ entry) & (SPTE_ADDRESS | SPTE_LARGE))) {
		shadow_entry_set(table, page, index, entry);
		return;
	}
	shadow_entry_clear(table, page, index);
	entry_add(table, page, index, maps_of(table, gfn), gfn, entry);
}

void shadow_entry_link(struct shadow_page_table *table, struct shadow_page *page,
		       u32 index, struct shadow_page *child, u64 rights)
{
	u64 entry = plat_virt_to_hpa(child->entries).addr | rights | SPTE_P | SPTE_A;

	if (shadow_child(table, page, index) == child) {
		shadow_entry_set(table, page, index, entry);
		return;
	}
	shadow_entry_clear(table, page, index);
	entry_add(table, page, index, &child->parents, (u64)(child - table->pages), entry);
}

struct shadow_page *shadow_child(struct shadow_page_table *table,
				 const struct shadow_page *page, u32 index)
{
	u64 entry = page->entries[index];

	return entry && !(entry & SPTE_LEAF) ? &table->pages[page->slots[index].what] : NULL;
}

void shadow_chain_clear(struct shadow_page_table *table, struct shadow_chain *chain)
{
	while (chain->first)
		shadow_entry_clear(table, page_of(table, chain->first),
				   index_of(chain->first));
}

/* Clears @rights in each entry of @level that maps @gfn; all of them: clears the entry. */
static void gfn_restrict(struct shadow_page_table *table, u64 gfn, u8 level, u64 rights)
{
	u32 id = maps_of(table, gfn)->first;

	while (id) {
		struct shadow_page *page = page_of(table, id);
		u32 index = index_of(id);

		id = page->slots[index].next;
		table->stats.work++;
		if (page->key.level != level || page->slots[index].what != gfn)
			continue;
		if (rights == ~0ull)
			shadow_entry_clear(table, page, index);
		else
			shadow_entry_set(table, page, index, page->entries[index] & ~rights);
	}
}

void shadow_gfn_protect(struct shadow_page_table *table, u64 gfn)
{
	gfn_restrict(table, gfn, 1, SPTE_W);
	gfn_restrict(table, gfn & ~511ull, 2, ~0ull);
	shadow_flush_stale(table);
}

void shadow_gfn_clear(struct shadow_page_table *table, u64 gfn)
{
	gfn_restrict(table, gfn, 1, ~0ull);
	gfn_restrict(table, gfn & ~511ull, 2, ~0ull);
}
