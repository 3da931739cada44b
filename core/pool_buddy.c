// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* The buddy allocator of a pool: free blocks of 2^order pages, by order. */
#include "pool_parts.h"

void pool_list_push(struct memory_pool *pool, u32 *head, u32 number)
{
	struct pool_page *page = &pool->page[number];

	page->prev = POOL_NONE;
	page->next = *head;
	if (*head != POOL_NONE)
		pool->page[*head].prev = number;
	*head = number;
}

void pool_list_remove(struct memory_pool *pool, u32 *head, u32 number)
{
	struct pool_page *page = &pool->page[number];

	if (page->prev == POOL_NONE)
		*head = page->next;
	else
		pool->page[page->prev].next = page->next;
	if (page->next != POOL_NONE)
		pool->page[page->next].prev = page->prev;
}

static void add_free(struct memory_pool *pool, u32 number, u32 order)
{
	pool_state_set(pool, number, POOL_FREE(order));
	pool_list_push(pool, &pool->free_head[order], number);
}

void pool_buddy_init(struct memory_pool *pool)
{
	for (u32 order = 0; order <= POOL_ORDER_MAX; order++)
		pool->free_head[order] = POOL_NONE;
	for (u32 chunk = pool->chunk_count; chunk; chunk--)
		add_free(pool, (chunk - 1) << pool->chunk_order, pool->chunk_order);
	pool->stats.pages = pool->page_count;
	pool->stats.pages_free = pool->page_count;
}

/* Return: the first page of 2^@order, POOL_NONE if there is no such block. */
u32 pool_buddy_take(struct memory_pool *pool, u32 order)
{
	struct pool_stats *stats = &pool->stats;
	u32 number, at = order;

	while (at <= pool->chunk_order && pool->free_head[at] == POOL_NONE)
		at++;
	if (at > pool->chunk_order)
		return POOL_NONE;
	number = pool->free_head[at];
	pool_list_remove(pool, &pool->free_head[at], number);
	/* The lower half is taken, the upper stays free. */
	while (at > order) {
		at--;
		add_free(pool, number + (1u << at), at);
		stats->splits++;
	}
	pool_state_set(pool, number, POOL_INSIDE);
	stats->pages_free -= 1u << order;
	if (stats->pages - stats->pages_free > stats->pages_peak)
		stats->pages_peak = stats->pages - stats->pages_free;
	return number;
}

/* Free a block, and join it with its buddy for as long as that one is free too. */
void pool_buddy_give(struct memory_pool *pool, u32 number, u32 order)
{
	pool->stats.pages_free += 1u << order;
	for (; order < pool->chunk_order; order++) {
		u32 buddy = number ^ (1u << order);

		if (pool_state(pool, buddy) != POOL_FREE(order))
			break;
		pool_list_remove(pool, &pool->free_head[order], buddy);
		pool_state_set(pool, buddy, POOL_INSIDE);
		pool_state_set(pool, number, POOL_INSIDE);
		number &= ~(1u << order);
		pool->stats.merges++;
	}
	add_free(pool, number, order);
}
