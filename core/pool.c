// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* A pool: its pages, which page a pointer is in, and blocks of any size. */
#include "pool_parts.h"

_Static_assert(sizeof(struct pool_cpu) == POOL_CACHE_LINE,
	       "a CPU's pages have a cache line of their own");
_Static_assert(POOL_BLOCK_MAX * 2 == CORE_PAGE_4K, "what is no block is a page");

/* ---- which page ------------------------------------------------------------- */

static u32 slot_of(const struct memory_pool *pool, u64 address)
{
	u64 chunk = address >> (CORE_PAGE_SHIFT + pool->chunk_order);

	return (u32)(chunk * 0x9e3779b97f4a7c15ull >> 32) & pool->slot_mask;
}

/* Half of the slots are free, so each search ends. */
u32 pool_number(const struct memory_pool *pool, const void *memory)
{
	u64 address = (u64)(uintptr_t)memory, bytes = CORE_PAGE_4K << pool->chunk_order;

	for (u32 at = slot_of(pool, address); pool->slot[at]; at = (at + 1) & pool->slot_mask) {
		u32 chunk = pool->slot[at] - 1;
		u64 offset = address - (u64)(uintptr_t)pool->chunk[chunk];

		if (offset < bytes)
			return (chunk << pool->chunk_order) + (u32)(offset >> CORE_PAGE_SHIFT);
	}
	return POOL_NONE;
}

bool pool_owns(const struct memory_pool *pool, const void *memory)
{
	return pool_number(pool, memory) != POOL_NONE;
}

/* ---- beginning and end ------------------------------------------------------ */

static void chunk_enter(struct memory_pool *pool, u32 chunk)
{
	u32 at = slot_of(pool, (u64)(uintptr_t)pool->chunk[chunk]);

	while (pool->slot[at])
		at = (at + 1) & pool->slot_mask;
	pool->slot[at] = chunk + 1;
}

static int chunks_take(struct memory_pool *pool, int node)
{
	for (u32 n = 0; n < pool->chunk_count; n++) {
		pool->chunk[n] = (u8 *)plat_page_alloc(1u << pool->chunk_order, node);
		if (!pool->chunk[n])
			return -ENOMEM;
		chunk_enter(pool, n);
	}
	return 0;
}

static void release(struct memory_pool *pool)
{
	for (u32 n = 0; pool->chunk && n < pool->chunk_count; n++)
		plat_page_free(pool->chunk[n], 1u << pool->chunk_order);
	plat_free(pool->cpu_memory);
	plat_free(pool->slot);
	plat_free(pool->page);
	plat_free(pool->chunk);
	memset(pool, 0, sizeof(*pool));
}

static void shape(struct memory_pool *pool, u64 pages)
{
	u32 slots = 2;

	while (pool->chunk_order < POOL_ORDER_MAX && (1ull << pool->chunk_order) < pages)
		pool->chunk_order++;
	pool->chunk_count = (u32)((pages + (1u << pool->chunk_order) - 1) >> pool->chunk_order);
	pool->page_count = pool->chunk_count << pool->chunk_order;
	while (slots < 2 * pool->chunk_count)
		slots *= 2;
	pool->slot_mask = slots - 1;
}

int init_memory_pool(struct memory_pool *pool, u64 pages, int node)
{
	int ret;

	memset(pool, 0, sizeof(*pool));
	if (!pages || pages > POOL_PAGES_MAX)
		return -EINVAL;
	shape(pool, pages);
	ret = -ENOMEM;
	pool->chunk = (u8 **)plat_alloc(pool->chunk_count * sizeof(*pool->chunk));
	pool->page = (struct pool_page *)plat_alloc(pool->page_count * sizeof(*pool->page));
	pool->slot = (u32 *)plat_alloc((pool->slot_mask + 1ul) * sizeof(*pool->slot));
	if (!pool->chunk || !pool->page || !pool->slot || pool_cpu_init(pool) ||
	    chunks_take(pool, node))
		goto give_back;
	ret = plat_lock_init(&pool->lock);
	if (ret)
		goto give_back;
	pool_buddy_init(pool);
	for (u32 n = 0; n < POOL_CLASSES; n++)
		pool->slab_head[n] = POOL_NONE;
	return 0;

give_back:
	release(pool);
	return ret;
}

void fini_memory_pool(struct memory_pool *pool)
{
	if (!pool || !pool->chunk)
		return;
	plat_lock_fini(&pool->lock);
	release(pool);
}

/* ---- blocks ----------------------------------------------------------------- */

static void *block_take(struct memory_pool *pool, u64 bytes)
{
	u32 order = 0, number;
	void *block = NULL;

	plat_lock_take(&pool->lock);
	if (bytes <= POOL_BLOCK_MAX) {
		u32 size_class = 0;

		while (POOL_BLOCK_MIN << size_class < bytes)
			size_class++;
		block = pool_slab_take(pool, size_class);
	} else {
		while (CORE_PAGE_4K << order < bytes)
			order++;
		number = pool_buddy_take(pool, order);
		if (number != POOL_NONE) {
			pool_state_set(pool, number, POOL_USED(order));
			block = pool_address(pool, number);
		}
	}
	if (block)
		pool->stats.allocs++;
	plat_lock_drop(&pool->lock);
	return block;
}

void *pool_alloc(struct memory_pool *pool, size_t bytes, size_t align)
{
	u64 wanted = bytes > align ? bytes : align;
	void *block;

	if (!bytes || align & (align - 1) || wanted > CORE_PAGE_4K << pool->chunk_order)
		return NULL;
	block = block_take(pool, wanted);
	if (block)
		return block;
	/* The pages that CPUs keep may be all that lacks. */
	pool_drain(pool);
	block = block_take(pool, wanted);
	if (!block) {
		plat_lock_take(&pool->lock);
		pool->stats.exhausted++;
		plat_lock_drop(&pool->lock);
	}
	return block;
}

/* Is @number in a free block?  The pool's lock is held. */
static bool is_free(const struct memory_pool *pool, u32 number)
{
	for (u32 order = 0; order <= pool->chunk_order; order++) {
		u32 head = number & ~((1u << order) - 1), state = pool_state(pool, head);

		if (POOL_KIND(state) == POOL_KIND(POOL_FREE(0)))
			return number - head < 1u << POOL_ORDER(state);
	}
	return false;
}

int pool_refuse(struct memory_pool *pool, u32 number)
{
	int ret = -EINVAL;

	plat_lock_take(&pool->lock);
	if (number != POOL_NONE && (pool_state(pool, number) == POOL_CACHED ||
				    is_free(pool, number)))
		ret = -EALREADY;
	pool->stats.refused++;
	plat_lock_drop(&pool->lock);
	return ret;
}

int pool_free(struct memory_pool *pool, void *memory)
{
	u32 number, state, offset = (u32)((uintptr_t)memory % CORE_PAGE_4K);
	int ret;

	if (!memory)
		return 0;
	number = pool_number(pool, memory);
	if (number == POOL_NONE)
		return pool_refuse(pool, number);
	plat_lock_take(&pool->lock);
	state = pool_state(pool, number);
	if (state == POOL_SLAB) {
		ret = pool_slab_give(pool, number, offset);
		if (ret)
			pool->stats.refused++;
		plat_lock_drop(&pool->lock);
		return ret;
	}
	if (!offset && POOL_KIND(state) == POOL_KIND(POOL_USED(0)) &&
	    pool_state_change(pool, number, state, POOL_INSIDE)) {
		pool_buddy_give(pool, number, POOL_ORDER(state));
		plat_lock_drop(&pool->lock);
		return 0;
	}
	plat_lock_drop(&pool->lock);
	return pool_refuse(pool, number);
}

void pool_stats(struct memory_pool *pool, struct pool_stats *stats)
{
	u64 cached = 0, hits = 0;

	for (u32 n = 0; n < pool->cpu_count; n++) {
		cached += __atomic_load_n(&pool->cpu[n].count, __ATOMIC_RELAXED);
		hits += __atomic_load_n(&pool->cpu[n].hits, __ATOMIC_RELAXED);
	}
	plat_lock_take(&pool->lock);
	*stats = pool->stats;
	plat_lock_drop(&pool->lock);
	stats->pages_cached = cached;
	stats->hits = hits;
	stats->pages_used = stats->pages - stats->pages_free;
	/* A page may have moved in between. */
	stats->pages_used -= cached < stats->pages_used ? cached : stats->pages_used;
}
