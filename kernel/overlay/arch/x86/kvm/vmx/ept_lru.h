/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which views keep their tables: the arithmetic of the cache, without KVM state,
 * so that user space and KUnit test the same ept_lru.c.
 */
#ifndef __KVM_X86_VMX_EPT_LRU_H
#define __KVM_X86_VMX_EPT_LRU_H

#include <linux/types.h>

/* Bits in a mask of views; KVM_HYPR_MAX_VIEWS fits, see ept_cache.c. */
#define HYPR_LRU_VIEWS	16

/**
 * struct hypr_use - what views take, or may take
 * @tables: page-table pages of 4 KiB
 * @pages: guest memory that they map, in pages of 4 KiB
 */
struct hypr_use {
	u64 tables;
	u64 pages;
};

/**
 * struct hypr_lru - the views of one VM, as the cache sees them
 * @clock: the last stamp given out
 * @stamp: when each view was last in use: larger is later
 * @tables: table pages that were built for each view, an estimate
 * @pinned: views that user space wants kept
 * @evicted: views that were prepared and lost their tables to the cache: a swap
 *	rebuilds them
 */
struct hypr_lru {
	u64 clock;
	u64 stamp[HYPR_LRU_VIEWS];
	u32 tables[HYPR_LRU_VIEWS];
	u32 pinned;
	u32 evicted;
};

void hypr_lru_touch(struct hypr_lru *lru, u32 view, u64 time);
void hypr_lru_pin(struct hypr_lru *lru, u32 view, bool pin);
void hypr_lru_built(struct hypr_lru *lru, u32 view, u32 tables);
void hypr_lru_dropped(struct hypr_lru *lru, u32 view, bool evicted);
u32 hypr_lru_candidates(const struct hypr_lru *lru, u32 resident, u32 in_use);
int hypr_lru_oldest(const struct hypr_lru *lru, u32 candidates, u64 above);
u64 hypr_lru_estimate(const struct hypr_lru *lru, u32 candidates);

u64 hypr_use_pages(u64 pages_4k, u64 pages_2m, u64 pages_1g);
void hypr_use_add(struct hypr_use *sum, const struct hypr_use *use);
void hypr_budget_default(struct hypr_use *budget, const struct hypr_use *fallback);
bool hypr_budget_is_exceeded(const struct hypr_use *budget,
			     const struct hypr_use *use);

#endif /* __KVM_X86_VMX_EPT_LRU_H */
