// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which view loses its tables, and when: stamps, masks and sums.  No KVM state
 * is touched and no lock is taken here; ept_cache.c says which one protects
 * what.  The same file is tested in user space and by KUnit.
 */
#include "ept_lru.h"

/*
 * A stamp is the time in jiffies, which compares VMs, times so much, which
 * leaves room to put in order what happens to one VM within a jiffy.
 */
#define HYPR_STAMP_SHIFT	20

#define HYPR_PAGES_2M		512ull
#define HYPR_PAGES_1G		(512ull * 512)

static u32 hypr_view_bit(u32 view)
{
	return 1u << view;
}

/**
 * hypr_lru_touch() - this view is, or was until now, in use
 * @lru: of the VM
 * @view: below HYPR_LRU_VIEWS
 * @time: in jiffies, all 64 bits
 */
void hypr_lru_touch(struct hypr_lru *lru, u32 view, u64 time)
{
	u64 now = time << HYPR_STAMP_SHIFT;

	lru->clock = now > lru->clock ? now : lru->clock + 1;
	lru->stamp[view] = lru->clock;
}

/**
 * hypr_lru_pin() - keep a view, or no longer
 * @lru: of the VM
 * @view: below HYPR_LRU_VIEWS; it need not have tables
 * @pin: keep it
 */
void hypr_lru_pin(struct hypr_lru *lru, u32 view, bool pin)
{
	if (pin)
		lru->pinned |= hypr_view_bit(view);
	else
		lru->pinned &= ~hypr_view_bit(view);
}

/**
 * hypr_lru_built() - a view has its tables, or some more of them
 * @lru: of the VM
 * @view: touched before
 * @tables: table pages that it had not before
 */
void hypr_lru_built(struct hypr_lru *lru, u32 view, u32 tables)
{
	lru->tables[view] += tables;
	lru->evicted &= ~hypr_view_bit(view);
}

/**
 * hypr_lru_dropped() - a view has lost its tables
 * @lru: of the VM
 * @view: below HYPR_LRU_VIEWS
 * @evicted: it was prepared, and a swap to it rebuilds the tables
 */
void hypr_lru_dropped(struct hypr_lru *lru, u32 view, bool evicted)
{
	lru->tables[view] = 0;
	if (evicted)
		lru->evicted |= hypr_view_bit(view);
	else
		lru->evicted &= ~hypr_view_bit(view);
}

/**
 * hypr_lru_candidates() - views that may be evicted
 * @lru: of the VM
 * @resident: mask of views that have tables
 * @in_use: mask of views that must keep them: active, or of a single vCPU
 *
 * Return: a mask of views.
 */
u32 hypr_lru_candidates(const struct hypr_lru *lru, u32 resident, u32 in_use)
{
	return resident & ~lru->pinned & ~in_use;
}

/**
 * hypr_lru_oldest() - the view that was not in use for the longest time
 * @lru: of the VM
 * @candidates: mask of views
 * @above: views with this stamp or a smaller one were tried before
 *
 * Return: the view, or -1 if there is none.
 */
int hypr_lru_oldest(const struct hypr_lru *lru, u32 candidates, u64 above)
{
	int view, oldest = -1;

	for (view = 0; view < HYPR_LRU_VIEWS; view++) {
		if (!(candidates & hypr_view_bit(view)) ||
		    lru->stamp[view] <= above)
			continue;
		if (oldest < 0 || lru->stamp[view] < lru->stamp[oldest])
			oldest = view;
	}
	return oldest;
}

/**
 * hypr_lru_estimate() - table pages that evicting these views would give back
 * @lru: of the VM
 * @candidates: mask of views
 *
 * Tables that came by faults were never counted: a view has one at least.
 */
u64 hypr_lru_estimate(const struct hypr_lru *lru, u32 candidates)
{
	u64 tables = 0;
	u32 view;

	for (view = 0; view < HYPR_LRU_VIEWS; view++) {
		if (candidates & hypr_view_bit(view))
			tables += lru->tables[view] ? lru->tables[view] : 1;
	}
	return tables;
}

/**
 * hypr_use_pages() - mappings of all sizes in pages of 4 KiB
 * @pages_4k: number of mappings of 4 KiB
 * @pages_2m: number of mappings of 2 MiB
 * @pages_1g: number of mappings of 1 GiB
 */
u64 hypr_use_pages(u64 pages_4k, u64 pages_2m, u64 pages_1g)
{
	return pages_4k + pages_2m * HYPR_PAGES_2M + pages_1g * HYPR_PAGES_1G;
}

/**
 * hypr_use_add() - sum up what several VMs take
 * @sum: grows
 * @use: of one VM
 */
void hypr_use_add(struct hypr_use *sum, const struct hypr_use *use)
{
	sum->tables += use->tables;
	sum->pages += use->pages;
}

/**
 * hypr_budget_default() - fill in what was not asked for
 * @budget: 0 in a field asks for the default
 * @fallback: the default; 0 is no limit
 */
void hypr_budget_default(struct hypr_use *budget, const struct hypr_use *fallback)
{
	if (!budget->tables)
		budget->tables = fallback->tables;
	if (!budget->pages)
		budget->pages = fallback->pages;
}

/**
 * hypr_budget_is_exceeded() - is more in use than there may be?
 * @budget: 0 in a field is no limit
 * @use: what is in use
 */
bool hypr_budget_is_exceeded(const struct hypr_use *budget,
			     const struct hypr_use *use)
{
	return (budget->tables && use->tables > budget->tables) ||
	       (budget->pages && use->pages > budget->pages);
}
