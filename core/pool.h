/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Memory pools: pages, blocks, and table pages kept by each CPU.
 *
 * A pool takes all its pages when it is made, in chunks of at most 2 MiB.  A buddy
 * allocator (pool_buddy.c) hands out powers of two of them, slabs (pool_slab.c) blocks
 * of 16 bytes to 2 KiB, and pool_cpu.c single pages without the pool's lock.  All that
 * the pool knows of a page is in struct pool_page, none of it in the page: a guest's or
 * a caller's stray write cannot mislead the pool.
 *
 * A block of 2^n bytes is aligned to 2^n bytes.  Memory is not zeroed.
 */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include "plat.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A chunk has at most 2^POOL_ORDER_MAX pages, and so has a block. */
#define POOL_ORDER_MAX		9
#define POOL_CHUNK_PAGES	(1u << POOL_ORDER_MAX)
#define POOL_PAGES_MAX		(1u << 30)

/* Blocks of 16 << n bytes come from slabs of one page. */
#define POOL_BLOCK_MIN		16u
#define POOL_CLASSES		8
#define POOL_BLOCK_MAX		(POOL_BLOCK_MIN << (POOL_CLASSES - 1))

#define POOL_CACHE_LINE		64
/* Pages that a CPU keeps: what fits in one cache line with its counters. */
#define POOL_CPU_PAGES		12

/**
 * struct pool_page - what the pool knows of one page
 * @state: pool_parts.h, changed atomically: whoever takes a page out of "used"
 *	frees it, and a second free fails
 * @size_class: of a slab
 * @used: blocks of a slab in use
 * @prev: list of free blocks of one order, or of slabs with room of one class
 * @next: likewise
 * @block: a slab's blocks in use, a bit each
 */
struct pool_page {
	u32 state;
	u16 size_class;
	u16 used;
	u32 prev;
	u32 next;
	u64 block[4];
};

/**
 * struct pool_cpu - the pages that one CPU keeps
 * @busy: taken by whoever uses it; others go to the pool instead of waiting
 * @count: pages in @page
 * @hits: pages taken from here
 * @page: numbers of the pages
 *
 * One cache line each: two CPUs that share one take it from each other at each
 * page (bench/core/pool.c measures how much that costs).
 */
struct pool_cpu {
	u32 busy;
	u32 count;
	u64 hits;
	u32 page[POOL_CPU_PAGES];
} __attribute__((aligned(POOL_CACHE_LINE)));

/**
 * struct pool_stats - what a pool has done and holds
 * @pages: all pages
 * @pages_free: free in the buddy allocator
 * @pages_cached: kept by CPUs
 * @pages_used: the others, those of slabs included
 * @pages_peak: the most that were not free at one time
 * @blocks: blocks of slabs in use
 * @allocs: blocks and pages handed out under the pool's lock
 * @hits: pages handed out by CPUs' caches
 * @splits: free blocks halved
 * @merges: free blocks joined
 * @exhausted: requests that got NULL
 * @refused: frees that failed
 */
struct pool_stats {
	u64 pages;
	u64 pages_free;
	u64 pages_cached;
	u64 pages_used;
	u64 pages_peak;
	u64 blocks;
	u64 allocs;
	u64 hits;
	u64 splits;
	u64 merges;
	u64 exhausted;
	u64 refused;
};

/**
 * struct memory_pool - a pool; its fields are the pool's own
 * @lock: guards the lists, @stats, and of @page all but the states
 * @chunk: the chunks' addresses; page n is in chunk n >> @chunk_order
 * @page: one for each page
 * @slot: chunk numbers + 1 by a hash of the address, for finding a pointer's chunk
 * @cpu: one for each CPU, in @cpu_memory
 * @free_head: by order, number of the first free block
 * @slab_head: by class, number of the first slab with room
 * @stats: but the parts that pool_stats() adds up
 */
struct memory_pool {
	struct plat_lock lock;
	u8 **chunk;
	struct pool_page *page;
	u32 *slot;
	struct pool_cpu *cpu;
	void *cpu_memory;
	u32 cpu_count;
	u32 chunk_count;
	u32 chunk_order;
	u32 slot_mask;
	u32 page_count;
	u32 free_head[POOL_ORDER_MAX + 1];
	u32 slab_head[POOL_CLASSES];
	struct pool_stats stats;
};

/**
 * init_memory_pool() - take pages and make a pool of them
 * @pool: the caller's; undone by fini_memory_pool()
 * @pages: pages of 4 KiB in [1, POOL_PAGES_MAX]; rounded up to a power of two, above
 *	POOL_CHUNK_PAGES to a multiple of that
 * @node: NUMA node to take them from, or PLAT_NODE_ANY
 *
 * Context: may sleep in the kernel.
 * Return: 0; -EINVAL for @pages; -ENOMEM, with everything given back; what
 * plat_lock_init() returns.
 */
int init_memory_pool(struct memory_pool *pool, u64 pages, int node);

/**
 * fini_memory_pool() - give all pages back, those in use too
 * @pool: no thread uses it; NULL, or one whose init failed, is allowed
 */
void fini_memory_pool(struct memory_pool *pool);

/**
 * pool_alloc() - take a block
 * @pool: the pool
 * @bytes: at least 1; rounded up to a power of two, at least POOL_BLOCK_MIN
 * @align: a power of two, or 0; the block is aligned to its own size anyway
 *
 * O(log n) in the size of a chunk.  Takes and drops the pool's lock.
 *
 * Return: the block, not zeroed; NULL if there is none, or @bytes is 0, or @align is no
 * power of two, or either is beyond a chunk.
 */
void *pool_alloc(struct memory_pool *pool, size_t bytes, size_t align);

/**
 * pool_free() - give back what pool_alloc() or pool_page_get() returned
 * @pool: the pool
 * @memory: NULL is allowed
 *
 * O(log n).  Takes and drops the pool's lock.
 *
 * Return: 0; -EINVAL if @memory is not this pool's, or not the beginning of a block;
 * -EALREADY if it is free.  The pool is unchanged after an error.
 */
int pool_free(struct memory_pool *pool, void *memory);

/**
 * pool_page_get() - take a table page
 * @pool: the pool
 *
 * O(1), mostly without the pool's lock: from the pages that this CPU keeps.
 *
 * Return: 4 KiB, aligned, not zeroed; NULL if no page of the pool is free.
 */
void *pool_page_get(struct memory_pool *pool);

/**
 * pool_page_put() - give back what pool_page_get() returned
 * @pool: the pool
 * @page: NULL is allowed
 *
 * Return: as pool_free(), and -EINVAL if @page is a block of another size.
 */
int pool_page_put(struct memory_pool *pool, void *page);

/**
 * pool_drain() - give the pages that CPUs keep back to the pool
 * @pool: the pool
 *
 * Joins them with their neighbours, so that larger blocks are there again.  An
 * allocation that finds too little does it on its own.
 */
void pool_drain(struct memory_pool *pool);

/** pool_stats() - fill @stats; a moment's figures while other threads use @pool */
void pool_stats(struct memory_pool *pool, struct pool_stats *stats);

/** pool_owns() - is @memory in one of @pool's pages?  Takes no lock. */
bool pool_owns(const struct memory_pool *pool, const void *memory);

#ifdef __cplusplus
}
#endif

#endif /* CORE_POOL_H */
