// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * fast_page_walk() and walk_batch(): walks of 4-level tables that the host owns.
 *
 * A walk is a chain of four loads, each of which needs the one before.  Nearly all of
 * its time is the wait for the leaf entry, once the tables are larger than the caches.
 * A walk alone has nothing to prefetch: it learns an address when it needs the address.
 * fast_page_walk() gains by few instructions, so that the processor overlaps more calls
 * of a loop.  walk_batch() is a pipeline of three stages, WAYS walks apart: each stage
 * prefetches the entry that the next stage reads, so that the waits run concurrently.
 */
#include "walk.h"

#include "plat.h"

#define ADDRESS_MASK	0x000ffffffffff000ull
#define PAGE_FLAG	BIT_ULL(7)

/*
 * Walks from one stage to the next.  A core has 10 to 24 misses outstanding; bench/core/walk.c
 * measures 8 as slower, and 24 and 32 as no faster.
 */
#define WAYS		16

static inline const u64 *entry_at(u64 table, u64 address, u32 shift)
{
	u64 index = (address >> shift) & (CORE_ENTRIES - 1);

	return (const u64 *)plat_hpa_to_virt(hypr_hpa(table)) + index;
}

static inline u64 read_entry(const u64 *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

/* The address space is 2^48 bytes, wherever it begins. */
static inline bool fits(const struct walk_tables *tables, u64 address)
{
	return !((address + tables->below_zero) >> 48);
}

static inline u64 page_at(u64 entry, u64 address, u32 shift)
{
	u64 offset = BIT_ULL(shift) - 1;

	return (entry & ADDRESS_MASK & ~offset) | (address & offset);
}

static inline int found(u64 entry, u64 address, u32 shift, hypr_hpa_t *hpa)
{
	*hpa = hypr_hpa(page_at(entry, address, shift));
	return 0;
}

int fast_page_walk(const struct walk_tables *tables, u64 address, hypr_hpa_t *hpa)
{
	const u64 present = tables->present;
	u64 entry;

	if (!fits(tables, address))
		return -EINVAL;
	entry = read_entry(entry_at(tables->root.addr, address, 39));
	if (!(entry & present))
		return -ENOENT;
	entry = read_entry(entry_at(entry & ADDRESS_MASK, address, 30));
	if (!(entry & present))
		return -ENOENT;
	if (entry & PAGE_FLAG)
		return found(entry, address, 30, hpa);
	entry = read_entry(entry_at(entry & ADDRESS_MASK, address, 21));
	if (!(entry & present))
		return -ENOENT;
	if (entry & PAGE_FLAG)
		return found(entry, address, 21, hpa);
	entry = read_entry(entry_at(entry & ADDRESS_MASK, address, 12));
	if (!(entry & present))
		return -ENOENT;
	return found(entry, address, 12, hpa);
}

/*
 * The stages of a walk in a batch.  Each reads an entry that an earlier stage asked
 * for, and returns the entry of the next level, asked for; NULL if the walk has ended.
 */
static inline const u64 *ask(u64 entry, u64 address, u32 shift)
{
	const u64 *next = entry_at(entry & ADDRESS_MASK, address, shift);

	__builtin_prefetch(next);
	return next;
}

/* Levels 4 and 3: two pages for 512 GiB, which are in the L1 cache. */
static inline const u64 *stage_top(const struct walk_tables *tables, struct walk_item *item)
{
	u64 address = item->address;
	u64 entry;

	item->error = -EINVAL;
	if (!fits(tables, address))
		return NULL;
	item->error = -ENOENT;
	entry = read_entry(entry_at(tables->root.addr, address, 39));
	if (!(entry & tables->present))
		return NULL;
	entry = read_entry(entry_at(entry & ADDRESS_MASK, address, 30));
	if (!(entry & tables->present))
		return NULL;
	if (entry & PAGE_FLAG) {
		item->error = found(entry, address, 30, &item->hpa);
		return NULL;
	}
	return ask(entry, address, 21);
}

static inline const u64 *stage_middle(const struct walk_tables *tables, struct walk_item *item,
				      const u64 *at)
{
	u64 entry;

	if (!at)
		return NULL;
	entry = read_entry(at);
	if (!(entry & tables->present))
		return NULL;
	if (entry & PAGE_FLAG) {
		item->error = found(entry, item->address, 21, &item->hpa);
		return NULL;
	}
	return ask(entry, item->address, 12);
}

static inline void stage_leaf(const struct walk_tables *tables, struct walk_item *item,
			      const u64 *at)
{
	u64 entry;

	if (!at)
		return;
	entry = read_entry(at);
	if (entry & tables->present)
		item->error = found(entry, item->address, 12, &item->hpa);
}

size_t walk_batch(const struct walk_tables *given, struct walk_item *items, size_t count)
{
	const struct walk_tables tables = *given;
	const u64 *middle[WAYS], *leaf[WAYS];
	size_t mapped = 0;
	size_t i;

	for (i = 0; i < count + 2 * WAYS; i++) {
		size_t way = i % WAYS;

		if (i >= 2 * WAYS) {
			struct walk_item *item = &items[i - 2 * WAYS];

			stage_leaf(&tables, item, leaf[way]);
			mapped += !item->error;
		}
		if (i >= WAYS && i - WAYS < count)
			leaf[way] = stage_middle(&tables, &items[i - WAYS], middle[way]);
		if (i < count)
			middle[way] = stage_top(&tables, &items[i]);
	}
	return mapped;
}
