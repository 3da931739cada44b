/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/* What the files of a pool share.  Users include pool.h. */
#ifndef CORE_POOL_PARTS_H
#define CORE_POOL_PARTS_H

#include "pool.h"

/* No page. */
#define POOL_NONE	(~0u)

/* States of a page: what begins here, and its order from bit 8. */
#define POOL_INSIDE	0u		/* nothing: inside of a block */
#define POOL_SLAB	1u
#define POOL_CACHED	2u		/* a CPU keeps it */
#define POOL_FREE(order)	(3u | (order) << 8)
#define POOL_USED(order)	(4u | (order) << 8)
#define POOL_KIND(state)	((state) & 0xff)
#define POOL_ORDER(state)	((state) >> 8)

static inline u32 pool_state(const struct memory_pool *pool, u32 number)
{
	return __atomic_load_n(&pool->page[number].state, __ATOMIC_ACQUIRE);
}

static inline void pool_state_set(struct memory_pool *pool, u32 number, u32 state)
{
	__atomic_store_n(&pool->page[number].state, state, __ATOMIC_RELEASE);
}

/* Of several threads that free one page, one gets true. */
static inline bool pool_state_change(struct memory_pool *pool, u32 number, u32 from, u32 to)
{
	return __atomic_compare_exchange_n(&pool->page[number].state, &from, to, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static inline void *pool_address(const struct memory_pool *pool, u32 number)
{
	u32 in_chunk = number & ((1u << pool->chunk_order) - 1);

	return pool->chunk[number >> pool->chunk_order] + in_chunk * CORE_PAGE_4K;
}

/* pool.c.  The number of the page with @memory, POOL_NONE if it is not of this pool. */
u32 pool_number(const struct memory_pool *pool, const void *memory);
/* Why no block at @number can be freed: -EALREADY or -EINVAL.  Takes the lock. */
int pool_refuse(struct memory_pool *pool, u32 number);

/* pool_buddy.c, the pool's lock held.  A page that was taken is POOL_INSIDE. */
void pool_buddy_init(struct memory_pool *pool);
u32 pool_buddy_take(struct memory_pool *pool, u32 order);
void pool_buddy_give(struct memory_pool *pool, u32 number, u32 order);
void pool_list_push(struct memory_pool *pool, u32 *head, u32 number);
void pool_list_remove(struct memory_pool *pool, u32 *head, u32 number);

/* pool_slab.c, the pool's lock held. */
void *pool_slab_take(struct memory_pool *pool, u32 size_class);
int pool_slab_give(struct memory_pool *pool, u32 number, u32 offset);

/* pool_cpu.c */
int pool_cpu_init(struct memory_pool *pool);

#endif /* CORE_POOL_PARTS_H */
