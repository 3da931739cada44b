// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* Small blocks of a pool: a slab is a page of blocks of one size. */
#include "pool_parts.h"

static u32 blocks_of(u32 size_class)
{
	return (u32)(CORE_PAGE_4K / (POOL_BLOCK_MIN << size_class));
}

static u32 slab_create(struct memory_pool *pool, u32 size_class)
{
	u32 number = pool_buddy_take(pool, 0);
	struct pool_page *slab;

	if (number == POOL_NONE)
		return POOL_NONE;
	slab = &pool->page[number];
	slab->size_class = (u16)size_class;
	slab->used = 0;
	memset(slab->block, 0, sizeof(slab->block));
	pool_state_set(pool, number, POOL_SLAB);
	pool_list_push(pool, &pool->slab_head[size_class], number);
	return number;
}

/* Mark the first free block of a slab with room as used. */
static u32 block_take(struct pool_page *slab)
{
	u32 word = 0, bit;

	while (!~slab->block[word])
		word++;
	bit = (u32)__builtin_ctzll(~slab->block[word]);
	slab->block[word] |= BIT_ULL(bit);
	slab->used++;
	return word * 64 + bit;
}

/* Return: a block of POOL_BLOCK_MIN << @size_class bytes, NULL without a page. */
void *pool_slab_take(struct memory_pool *pool, u32 size_class)
{
	u32 number = pool->slab_head[size_class], block;
	struct pool_page *slab;

	if (number == POOL_NONE)
		number = slab_create(pool, size_class);
	if (number == POOL_NONE)
		return NULL;
	slab = &pool->page[number];
	block = block_take(slab);
	if (slab->used == blocks_of(size_class))
		pool_list_remove(pool, &pool->slab_head[size_class], number);
	pool->stats.blocks++;
	return (u8 *)pool_address(pool, number) + block * (POOL_BLOCK_MIN << size_class);
}

/* Return: 0; -EINVAL if no block begins at @offset of the slab; -EALREADY. */
int pool_slab_give(struct memory_pool *pool, u32 number, u32 offset)
{
	struct pool_page *slab = &pool->page[number];
	u32 *head = &pool->slab_head[slab->size_class];
	u32 bytes = POOL_BLOCK_MIN << slab->size_class;
	u32 block = offset / bytes;

	if (offset % bytes)
		return -EINVAL;
	if (!(slab->block[block / 64] & BIT_ULL(block % 64)))
		return -EALREADY;
	slab->block[block / 64] &= ~BIT_ULL(block % 64);
	if (slab->used == blocks_of(slab->size_class))
		pool_list_push(pool, head, number);
	slab->used--;
	pool->stats.blocks--;
	if (!slab->used) {
		pool_list_remove(pool, head, number);
		pool_buddy_give(pool, number, 0);
	}
	return 0;
}
