// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pool under threads: tests/core/pool_thread_test, and the same under TSan.  Each
 * thread writes what it owns: two that own one page are a data race, and read it back.
 */
#include "tests/unit/unit.h"

#include <pthread.h>

#include "pool.h"

#define THREADS	4
#define STEPS	20000
#define HELD	96

struct worker {
	pthread_t thread;
	struct memory_pool *pool;
	u64 seed;
	u32 number;
	u64 wrong;
	u64 got;
};

static u32 draw(struct worker *worker, u32 below)
{
	worker->seed = worker->seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(worker->seed >> 33) % below;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct { u64 *at; bool page; } held[HELD] = { 0 };

	for (u32 step = 0; step < STEPS; step++) {
		u32 i = draw(worker, HELD);
		u64 mark = (u64)worker->number << 32 | i;

		if (held[i].at) {
			worker->wrong += *held[i].at != mark;
			worker->wrong += !!(held[i].page ?
					    pool_page_put(worker->pool, held[i].at) :
					    pool_free(worker->pool, held[i].at));
			held[i].at = NULL;
		} else {
			held[i].page = draw(worker, 4);
			held[i].at = held[i].page ? pool_page_get(worker->pool) :
				pool_alloc(worker->pool, 16u << draw(worker, 10), 0);
			if (held[i].at) {
				*held[i].at = mark;
				worker->got++;
			}
		}
		if (!draw(worker, 1000))
			pool_drain(worker->pool);
	}
	for (u32 i = 0; i < HELD; i++)
		worker->wrong += !!pool_free(worker->pool, held[i].at);
	return NULL;
}

static void test_threads_share_a_pool(void **state)
{
	struct worker worker[THREADS];
	struct memory_pool pool;
	struct pool_stats stats;

	(void)state;
	print_message("seed 18\n");
	/* Less than one thread wants at a time, so that there is exhaustion too. */
	assert_int_equal(init_memory_pool(&pool, 32, PLAT_NODE_ANY), 0);
	for (u32 n = 0; n < THREADS; n++) {
		worker[n] = (struct worker){ .pool = &pool, .seed = 18 + n, .number = n };
		assert_int_equal(pthread_create(&worker[n].thread, NULL, work, &worker[n]), 0);
	}
	for (u32 n = 0; n < THREADS; n++) {
		pthread_join(worker[n].thread, NULL);
		assert_int_equal(worker[n].wrong, 0);
		assert_true(worker[n].got > 0);
	}
	pool_drain(&pool);
	pool_stats(&pool, &stats);
	assert_int_equal(stats.pages_free, stats.pages);
	assert_int_equal(stats.refused, 0);
	assert_true(stats.exhausted > 0);
	fini_memory_pool(&pool);
}

struct race {
	pthread_barrier_t together;
	struct memory_pool *pool;
	void *page;
	u64 freed;
	u64 refused;
};

static void *free_once(void *argument)
{
	struct race *race = argument;
	int ret;

	for (u32 round = 0; round < 200; round++) {
		if (pthread_barrier_wait(&race->together) == PTHREAD_BARRIER_SERIAL_THREAD)
			race->page = pool_page_get(race->pool);
		pthread_barrier_wait(&race->together);
		ret = pool_page_put(race->pool, race->page);
		if (!ret)
			__atomic_add_fetch(&race->freed, 1, __ATOMIC_RELAXED);
		else if (ret == -EALREADY)
			__atomic_add_fetch(&race->refused, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Nobody takes pages between the two frees, so that the second is one. */
static void test_of_two_threads_that_free_a_page_one_is_refused(void **state)
{
	struct memory_pool pool;
	struct race race = { .pool = &pool };
	pthread_t thread[2];

	(void)state;
	assert_int_equal(init_memory_pool(&pool, 16, PLAT_NODE_ANY), 0);
	pthread_barrier_init(&race.together, NULL, 2);
	for (u32 n = 0; n < 2; n++)
		assert_int_equal(pthread_create(&thread[n], NULL, free_once, &race), 0);
	for (u32 n = 0; n < 2; n++)
		pthread_join(thread[n], NULL);
	pthread_barrier_destroy(&race.together);
	assert_int_equal(race.freed, 200);
	assert_int_equal(race.refused, 200);
	fini_memory_pool(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_share_a_pool),
		cmocka_unit_test(test_of_two_threads_that_free_a_page_one_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
