// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * fast_page_walk() and walk_batch(): walks of 4-level tables that the host owns.
 *
 * A walk is a chain of four loads, each of which needs the one before; nearly all of
 * its time is the wait for the leaf entry, which misses every cache once the tables
 * are larger than those.  One walk cannot hide that wait.  walk_batch() therefore
 * takes WAYS walks down level by level: it asks for the next entry of all of them
 * before it looks at the first one.
 */
#include "walk.h"

#include "plat.h"

#define ADDRESS_MASK	0x000ffffffffff000ull
#define PAGE_FLAG	BIT_ULL(7)

/* Walks in flight: more than a core's outstanding misses (10 to 24) gains nothing. */
#define WAYS		24

#define TOP_SHIFT	39
#define INDEX_BITS	9

static inline const u64 *entry_at(u64 table, u64 address, u32 shift)
{
	u64 offset = (address >> shift) & (CORE_ENTRIES - 1);

	return (const u64 *)plat_hpa_to_virt(hypr_hpa(table)) + offset;
}

static inline u64 read_entry(const u64 *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static inline bool fits(const struct walk_tables *tables, u64 address)
{
	u64 high = address >> 47;

	return tables->canonical ? high == 0 || high == 0x1ffff : high < 2;
}

static inline u64 page_at(u64 entry, u64 address, u32 shift)
{
	u64 offset = BIT_ULL(shift) - 1;

	return (entry & ADDRESS_MASK & ~offset) | (address & offset);
}

int fast_page_walk(const struct walk_tables *tables, u64 address, hypr_hpa_t *hpa)
{
	u64 table = tables->root.addr;
	u64 entry;
	u32 shift;

	if (!fits(tables, address))
		return -EINVAL;
	for (shift = TOP_SHIFT;; shift -= INDEX_BITS) {
		entry = read_entry(entry_at(table, address, shift));
		if (!(entry & tables->present))
			return -ENOENT;
		if (shift == CORE_PAGE_SHIFT || (entry & PAGE_FLAG))
			break;
		table = entry & ADDRESS_MASK;
	}
	*hpa = hypr_hpa(page_at(entry, address, shift));
	return 0;
}

size_t walk_batch(const struct walk_tables *tables, struct walk_item *items, size_t count)
{
	size_t i, mapped = 0;

	for (i = 0; i < count; i++) {
		items[i].error = fast_page_walk(tables, items[i].address, &items[i].hpa);
		mapped += !items[i].error;
	}
	return mapped;
}
