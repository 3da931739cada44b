// SPDX-License-Identifier: GPL-2.0-only
/* Memory pools: tests/core/pool_test.  The platform's CPU and failures are the test's. */
#include "tests/unit/unit.h"

#include "core/pool_parts.h"

/* ---- the platform ----------------------------------------------------------- */

void *__real_plat_page_alloc(u32 count, int node);
void *__real_plat_alloc(size_t bytes);
int __real_plat_lock_init(struct plat_lock *lock);
void *__wrap_plat_page_alloc(u32 count, int node);
void *__wrap_plat_alloc(size_t bytes);
int __wrap_plat_lock_init(struct plat_lock *lock);
u32 __wrap_plat_cpu(void);
u32 __wrap_plat_cpu_count(void);

#define NEVER	1000000
/* Allocations until one fails. */
static int left = NEVER;
static bool lock_fails;
static u32 this_cpu;

void *__wrap_plat_page_alloc(u32 count, int node)
{
	return left-- > 0 ? __real_plat_page_alloc(count, node) : NULL;
}

void *__wrap_plat_alloc(size_t bytes)
{
	return left-- > 0 ? __real_plat_alloc(bytes) : NULL;
}

int __wrap_plat_lock_init(struct plat_lock *lock)
{
	return lock_fails ? -ENOSPC : __real_plat_lock_init(lock);
}

u32 __wrap_plat_cpu(void)
{
	return this_cpu;
}

u32 __wrap_plat_cpu_count(void)
{
	return 4;
}

static struct pool_stats stats_of(struct memory_pool *pool)
{
	struct pool_stats stats;

	pool_stats(pool, &stats);
	return stats;
}

static void make(struct memory_pool *pool, u64 pages)
{
	assert_int_equal(init_memory_pool(pool, pages, PLAT_NODE_ANY), 0);
}

/* ---- beginning and end ------------------------------------------------------ */

static void test_init_rounds_up_and_refuses_no_pages(void **state)
{
	static const struct { u64 pages, got; } sizes[] = {
		{ 1, 1 }, { 3, 4 }, { 511, 512 }, { 512, 512 }, { 513, 1024 }, { 1025, 1536 },
	};
	struct memory_pool pool;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		make(&pool, sizes[i].pages);
		assert_int_equal(stats_of(&pool).pages, sizes[i].got);
		assert_int_equal(stats_of(&pool).pages_free, sizes[i].got);
		fini_memory_pool(&pool);
	}
	assert_int_equal(init_memory_pool(&pool, 0, PLAT_NODE_ANY), -EINVAL);
	assert_int_equal(init_memory_pool(&pool, POOL_PAGES_MAX + 1ull, PLAT_NODE_ANY), -EINVAL);
	fini_memory_pool(&pool);
	fini_memory_pool(NULL);
}

/* LeakSanitizer sees what is not given back. */
static void test_init_unwinds_each_failure(void **state)
{
	struct memory_pool pool;
	int ret = -ENOMEM, n = 0;

	(void)state;
	for (; ret; n++) {
		left = n;
		ret = init_memory_pool(&pool, 1024, PLAT_NODE_ANY);
		if (ret)
			assert_int_equal(ret, -ENOMEM);
	}
	left = NEVER;
	/* Four tables and two chunks. */
	assert_int_equal(n, 4 + 2 + 1);
	fini_memory_pool(&pool);

	lock_fails = true;
	assert_int_equal(init_memory_pool(&pool, 8, PLAT_NODE_ANY), -ENOSPC);
	lock_fails = false;
	fini_memory_pool(&pool);
}

static void test_the_cpus_lines_are_aligned(void **state)
{
	struct memory_pool pool;

	(void)state;
	make(&pool, 1);
	assert_int_equal((uintptr_t)pool.cpu % POOL_CACHE_LINE, 0);
	assert_true((u8 *)(pool.cpu + pool.cpu_count) <=
		    (u8 *)pool.cpu_memory + (pool.cpu_count + 1) * sizeof(*pool.cpu));
	fini_memory_pool(&pool);
}

/* ---- blocks ----------------------------------------------------------------- */

static void test_blocks_are_aligned_to_their_size(void **state)
{
	struct memory_pool pool;

	(void)state;
	make(&pool, 1024);
	for (size_t bytes = 1; bytes <= CORE_PAGE_2M; bytes = bytes * 2 + 1) {
		size_t size = POOL_BLOCK_MIN;
		u8 *block = pool_alloc(&pool, bytes, 0);

		while (size < bytes)
			size *= 2;
		assert_non_null(block);
		assert_int_equal((uintptr_t)block % size, 0);
		memset(block, 0xa5, bytes);
		assert_int_equal(pool_free(&pool, block), 0);
	}
	for (size_t align = 1; align <= CORE_PAGE_2M; align *= 2) {
		u8 *block = pool_alloc(&pool, 24, align);

		assert_non_null(block);
		assert_int_equal((uintptr_t)block % align, 0);
		assert_int_equal(pool_free(&pool, block), 0);
	}
	assert_int_equal(stats_of(&pool).pages_free, 1024);
	fini_memory_pool(&pool);
}

static void test_alloc_refuses_what_no_chunk_has(void **state)
{
	struct memory_pool pool;

	(void)state;
	make(&pool, 4);
	assert_null(pool_alloc(&pool, 0, 0));
	assert_null(pool_alloc(&pool, 16, 24));
	assert_null(pool_alloc(&pool, 4 * CORE_PAGE_4K + 1, 0));
	assert_null(pool_alloc(&pool, 16, 8 * CORE_PAGE_4K));
	assert_null(pool_alloc(&pool, SIZE_MAX, 0));
	assert_int_equal(stats_of(&pool).allocs, 0);
	fini_memory_pool(&pool);
}

static void test_exhaustion_is_null_and_what_is_freed_comes_back(void **state)
{
	struct memory_pool pool;
	void *page[64], *block;

	(void)state;
	make(&pool, 64);
	for (u32 i = 0; i < 64; i++) {
		page[i] = pool_alloc(&pool, CORE_PAGE_4K, 0);
		assert_non_null(page[i]);
	}
	assert_null(pool_alloc(&pool, CORE_PAGE_4K, 0));
	assert_null(pool_alloc(&pool, 16, 0));
	assert_null(pool_page_get(&pool));
	assert_int_equal(stats_of(&pool).exhausted, 3);
	assert_int_equal(stats_of(&pool).pages_peak, 64);
	/* Every other page: no two are neighbours. */
	for (u32 i = 0; i < 64; i++)
		if (((uintptr_t)page[i] >> 12) % 2)
			assert_int_equal(pool_free(&pool, page[i]), 0);
	assert_int_equal(stats_of(&pool).pages_free, 32);
	assert_null(pool_alloc(&pool, 2 * CORE_PAGE_4K, 0));
	for (u32 i = 0; i < 64; i++)
		if (!(((uintptr_t)page[i] >> 12) % 2))
			assert_int_equal(pool_free(&pool, page[i]), 0);
	block = pool_alloc(&pool, 64 * CORE_PAGE_4K, 0);
	assert_non_null(block);
	assert_int_equal(pool_free(&pool, block), 0);
	assert_int_equal(stats_of(&pool).splits, 63);
	assert_int_equal(stats_of(&pool).merges, 63);
	fini_memory_pool(&pool);
}

static void test_a_slab_fills_its_page_and_gives_it_back(void **state)
{
	struct memory_pool pool;
	void *block[257];

	(void)state;
	make(&pool, 2);
	for (u32 bytes = POOL_BLOCK_MIN; bytes <= POOL_BLOCK_MAX; bytes *= 2) {
		u32 count = (u32)(CORE_PAGE_4K / bytes);

		for (u32 i = 0; i <= count; i++) {
			block[i] = pool_alloc(&pool, bytes, 0);
			assert_non_null(block[i]);
			memset(block[i], (int)i, bytes);
		}
		assert_int_equal(stats_of(&pool).pages_used, 2);
		assert_int_equal(stats_of(&pool).blocks, count + 1);
		for (u32 i = 0; i <= count; i++) {
			assert_int_equal(((u8 *)block[i])[bytes - 1], (u8)i);
			assert_int_equal(pool_free(&pool, block[i]), 0);
		}
		assert_int_equal(stats_of(&pool).pages_free, 2);
		assert_int_equal(stats_of(&pool).blocks, 0);
	}
	fini_memory_pool(&pool);
}

/* ---- wrong frees ------------------------------------------------------------ */

static void test_a_double_free_is_refused(void **state)
{
	struct memory_pool pool;
	u8 *block, *other, *page;

	(void)state;
	make(&pool, 16);
	block = pool_alloc(&pool, 64, 0);
	other = pool_alloc(&pool, 64, 0);
	assert_int_equal(pool_free(&pool, block), 0);
	assert_int_equal(pool_free(&pool, block), -EALREADY);
	assert_int_equal(pool_free(&pool, other), 0);
	/* The slab's page is free, and part of a larger block. */
	assert_int_equal(pool_free(&pool, other), -EALREADY);

	page = pool_alloc(&pool, 4 * CORE_PAGE_4K, 0);
	assert_int_equal(pool_free(&pool, page), 0);
	assert_int_equal(pool_free(&pool, page), -EALREADY);
	assert_int_equal(pool_free(&pool, page + CORE_PAGE_4K), -EALREADY);

	page = pool_page_get(&pool);
	assert_int_equal(pool_page_put(&pool, page), 0);
	assert_int_equal(pool_page_put(&pool, page), -EALREADY);
	assert_int_equal(pool_free(&pool, page), -EALREADY);
	assert_int_equal(stats_of(&pool).refused, 6);
	pool_drain(&pool);
	assert_int_equal(stats_of(&pool).pages_free, 16);
	fini_memory_pool(&pool);
}

static void test_a_foreign_pointer_is_refused(void **state)
{
	struct memory_pool pool, none;
	u8 *pages, *block, *single, *foreign = malloc(64);

	(void)state;
	make(&pool, 16);
	make(&none, 1);
	pages = pool_alloc(&pool, 4 * CORE_PAGE_4K, 0);
	block = pool_alloc(&pool, 64, 0);
	single = pool_alloc(&pool, CORE_PAGE_4K, 0);
	assert_int_equal(pool_free(&pool, foreign), -EINVAL);
	assert_int_equal(pool_page_put(&pool, foreign), -EINVAL);
	assert_int_equal(pool_free(&none, block), -EINVAL);
	assert_int_equal(pool_free(&pool, block + 1), -EINVAL);
	assert_int_equal(pool_free(&pool, pages + CORE_PAGE_4K), -EINVAL);
	assert_int_equal(pool_free(&pool, pages + 8), -EINVAL);
	/* A block of another size is no table page. */
	assert_int_equal(pool_page_put(&pool, pages), -EINVAL);
	assert_int_equal(pool_page_put(&pool, block), -EINVAL);
	assert_int_equal(pool_page_put(&pool, single + 8), -EINVAL);
	assert_int_equal(stats_of(&pool).refused, 8);

	assert_int_equal(pool_free(&pool, NULL), 0);
	assert_int_equal(pool_page_put(&pool, NULL), 0);
	assert_int_equal(pool_free(&pool, pages), 0);
	assert_int_equal(pool_free(&pool, block), 0);
	assert_int_equal(pool_page_put(&pool, single), 0);
	assert_true(pool_owns(&pool, block));
	assert_false(pool_owns(&pool, foreign));
	free(foreign);
	fini_memory_pool(&none);
	fini_memory_pool(&pool);
}

/* ---- pages of CPUs ---------------------------------------------------------- */

static void test_a_cpu_keeps_pages(void **state)
{
	struct memory_pool pool;
	void *page[32];

	(void)state;
	make(&pool, 64);
	for (u32 i = 0; i < 32; i++) {
		page[i] = pool_page_get(&pool);
		assert_non_null(page[i]);
		assert_int_equal((uintptr_t)page[i] % CORE_PAGE_4K, 0);
		memset(page[i], (int)i, CORE_PAGE_4K);
	}
	assert_int_equal(stats_of(&pool).hits, 32);
	assert_int_equal(stats_of(&pool).pages_used, 32);
	for (u32 i = 0; i < 32; i++) {
		assert_int_equal(((u8 *)page[i])[17], i);
		assert_int_equal(pool_page_put(&pool, page[i]), 0);
	}
	assert_int_equal(stats_of(&pool).pages_used, 0);
	assert_true(stats_of(&pool).pages_cached > 0);
	assert_true(stats_of(&pool).pages_cached <= POOL_CPU_PAGES);
	pool_drain(&pool);
	assert_int_equal(stats_of(&pool).pages_cached, 0);
	assert_int_equal(stats_of(&pool).pages_free, 64);
	fini_memory_pool(&pool);
}

static void test_pages_of_other_cpus_are_no_exhaustion(void **state)
{
	struct memory_pool pool;
	void *page[16];

	(void)state;
	make(&pool, 16);
	for (u32 i = 0; i < 16; i++) {
		this_cpu = i % 4;
		page[i] = pool_page_get(&pool);
		assert_non_null(page[i]);
	}
	for (u32 i = 0; i < 16; i++) {
		this_cpu = i % 4;
		assert_int_equal(pool_page_put(&pool, page[i]), 0);
	}
	this_cpu = 0;
	for (u32 i = 0; i < 16; i++) {
		page[i] = pool_page_get(&pool);
		assert_non_null(page[i]);
	}
	assert_null(pool_page_get(&pool));
	for (u32 i = 0; i < 16; i++)
		assert_int_equal(pool_page_put(&pool, page[i]), 0);
	page[0] = pool_alloc(&pool, 16 * CORE_PAGE_4K, 0);
	assert_non_null(page[0]);
	fini_memory_pool(&pool);
}

/* As a thread sees it that was moved in between. */
static void test_a_busy_cpu_is_passed_over(void **state)
{
	struct memory_pool pool;
	void *page;

	(void)state;
	make(&pool, 8);
	pool.cpu[0].busy = 1;
	page = pool_page_get(&pool);
	assert_non_null(page);
	assert_int_equal(pool_page_put(&pool, page), 0);
	pool_drain(&pool);
	assert_int_equal(stats_of(&pool).hits, 0);
	assert_int_equal(stats_of(&pool).pages_free, 8);
	fini_memory_pool(&pool);
}

/* ---- at random -------------------------------------------------------------- */

static u64 seed;

static u32 draw(u32 below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(seed >> 33) % below;
}

#define LIVE	600

static void test_random_blocks_keep_their_bytes(void **state)
{
	static struct { u8 *at; size_t bytes; u8 mark; bool page; } live[LIVE];
	struct memory_pool pool;

	(void)state;
	seed = 0x18f00d;
	print_message("seed %#llx\n", (unsigned long long)seed);
	make(&pool, 1536);
	for (u32 step = 0; step < 100000; step++) {
		u32 i = draw(LIVE);
		int ret;

		this_cpu = draw(4);
		if (live[i].at) {
			assert_int_equal(live[i].at[0], live[i].mark);
			assert_int_equal(live[i].at[live[i].bytes - 1], live[i].mark);
			ret = live[i].page ? pool_page_put(&pool, live[i].at) :
					     pool_free(&pool, live[i].at);
			assert_int_equal(ret, 0);
			live[i].at = NULL;
			continue;
		}
		live[i].page = !draw(2);
		live[i].bytes = live[i].page ? CORE_PAGE_4K : 1 + draw(16u << draw(12));
		live[i].at = live[i].page ? pool_page_get(&pool) :
					    pool_alloc(&pool, live[i].bytes, 0);
		live[i].mark = (u8)step;
		if (live[i].at) {
			live[i].at[0] = live[i].mark;
			live[i].at[live[i].bytes - 1] = live[i].mark;
		}
	}
	for (u32 i = 0; i < LIVE; i++)
		assert_int_equal(pool_free(&pool, live[i].at), 0);
	pool_drain(&pool);
	assert_int_equal(stats_of(&pool).pages_free, 1536);
	assert_int_equal(stats_of(&pool).splits, stats_of(&pool).merges);
	assert_int_equal(stats_of(&pool).blocks, 0);
	assert_int_equal(stats_of(&pool).refused, 0);
	fini_memory_pool(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_rounds_up_and_refuses_no_pages),
		cmocka_unit_test(test_init_unwinds_each_failure),
		cmocka_unit_test(test_the_cpus_lines_are_aligned),
		cmocka_unit_test(test_blocks_are_aligned_to_their_size),
		cmocka_unit_test(test_alloc_refuses_what_no_chunk_has),
		cmocka_unit_test(test_exhaustion_is_null_and_what_is_freed_comes_back),
		cmocka_unit_test(test_a_slab_fills_its_page_and_gives_it_back),
		cmocka_unit_test(test_a_double_free_is_refused),
		cmocka_unit_test(test_a_foreign_pointer_is_refused),
		cmocka_unit_test(test_a_cpu_keeps_pages),
		cmocka_unit_test(test_pages_of_other_cpus_are_no_exhaustion),
		cmocka_unit_test(test_a_busy_cpu_is_passed_over),
		cmocka_unit_test(test_random_blocks_keep_their_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
