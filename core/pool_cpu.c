// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * The pages that each CPU keeps of a pool.
 *
 * Nobody waits for a CPU's pages: a thread that finds them busy (it was moved to
 * another CPU between the look and the take, or interrupted its like) uses the pool
 * itself.  So there is no lock order to keep but busy before the pool's lock.
 */
#include "pool_parts.h"

/* Pages that go from or to the pool at a time. */
#define BATCH	(POOL_CPU_PAGES / 2)

static bool cpu_enter(struct pool_cpu *cpu)
{
	return !__atomic_exchange_n(&cpu->busy, 1, __ATOMIC_ACQUIRE);
}

static void cpu_leave(struct pool_cpu *cpu)
{
	__atomic_store_n(&cpu->busy, 0, __ATOMIC_RELEASE);
}

/* pool_stats() reads the count of a busy CPU. */
static void count_set(struct pool_cpu *cpu, u32 count)
{
	__atomic_store_n(&cpu->count, count, __ATOMIC_RELAXED);
}

int pool_cpu_init(struct memory_pool *pool)
{
	uintptr_t memory;

	pool->cpu_count = plat_cpu_count();
	pool->cpu_memory = plat_alloc((pool->cpu_count + 1ul) * sizeof(*pool->cpu));
	if (!pool->cpu_memory)
		return -ENOMEM;
	memory = (uintptr_t)pool->cpu_memory;
	memory = (memory + POOL_CACHE_LINE - 1) & ~(uintptr_t)(POOL_CACHE_LINE - 1);
	pool->cpu = (struct pool_cpu *)memory;
	return 0;
}

static void cpu_refill(struct memory_pool *pool, struct pool_cpu *cpu)
{
	u32 count = 0;

	plat_lock_take(&pool->lock);
	for (; count < BATCH; count++) {
		u32 number = pool_buddy_take(pool, 0);

		if (number == POOL_NONE)
			break;
		pool_state_set(pool, number, POOL_CACHED);
		cpu->page[count] = number;
	}
	plat_lock_drop(&pool->lock);
	count_set(cpu, count);
}

/* Give pages back until @left remain. */
static void cpu_flush(struct memory_pool *pool, struct pool_cpu *cpu, u32 left)
{
	u32 count = cpu->count;

	plat_lock_take(&pool->lock);
	while (count > left)
		pool_buddy_give(pool, cpu->page[--count], 0);
	plat_lock_drop(&pool->lock);
	count_set(cpu, count);
}

void *pool_page_get(struct memory_pool *pool)
{
	struct pool_cpu *cpu = &pool->cpu[plat_cpu()];
	u32 number = POOL_NONE;

	if (cpu_enter(cpu)) {
		if (!cpu->count)
			cpu_refill(pool, cpu);
		if (cpu->count) {
			number = cpu->page[cpu->count - 1];
			count_set(cpu, cpu->count - 1);
			__atomic_store_n(&cpu->hits, cpu->hits + 1, __ATOMIC_RELAXED);
		}
		cpu_leave(cpu);
	}
	if (number == POOL_NONE)
		return pool_alloc(pool, CORE_PAGE_4K, 0);
	pool_state_set(pool, number, POOL_USED(0));
	return pool_address(pool, number);
}

int pool_page_put(struct memory_pool *pool, void *page)
{
	struct pool_cpu *cpu;
	u32 number;

	if (!page)
		return 0;
	number = pool_number(pool, page);
	if (number == POOL_NONE || (uintptr_t)page % CORE_PAGE_4K ||
	    !pool_state_change(pool, number, POOL_USED(0), POOL_CACHED))
		return pool_refuse(pool, number);
	cpu = &pool->cpu[plat_cpu()];
	if (!cpu_enter(cpu)) {
		plat_lock_take(&pool->lock);
		pool_buddy_give(pool, number, 0);
		plat_lock_drop(&pool->lock);
		return 0;
	}
	if (cpu->count == POOL_CPU_PAGES)
		cpu_flush(pool, cpu, POOL_CPU_PAGES - BATCH);
	cpu->page[cpu->count] = number;
	count_set(cpu, cpu->count + 1);
	cpu_leave(cpu);
	return 0;
}

void pool_drain(struct memory_pool *pool)
{
	for (u32 n = 0; n < pool->cpu_count; n++) {
		if (!cpu_enter(&pool->cpu[n]))
			continue;
		cpu_flush(pool, &pool->cpu[n], 0);
		cpu_leave(&pool->cpu[n]);
	}
}
