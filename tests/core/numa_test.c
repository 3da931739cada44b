// SPDX-License-Identifier: GPL-2.0-only
/*
 * NUMA-aware allocation on a made-up machine: tests/core/numa_test.  Four nodes in a
 * line, two CPUs each.  tests/rig/numa.c is about the machine's own nodes.
 */
#include "tests/unit/unit.h"

#include "core/numa.h"

void *__real_plat_page_alloc(u32 count, int node);
void *__real_plat_alloc(size_t bytes);
void *__wrap_plat_page_alloc(u32 count, int node);
void *__wrap_plat_alloc(size_t bytes);
u32 __wrap_plat_cpu(void);
u32 __wrap_plat_node_count(void);
u32 __wrap_plat_node_of_cpu(u32 cpu);
u32 __wrap_plat_node_distance(u32 from, u32 to);

#define NODES	4
#define PAGES	8
#define NEVER	1000000

static u32 nodes = NODES, this_cpu;
static int left = NEVER, asked[NODES];

void *__wrap_plat_page_alloc(u32 count, int node)
{
	if (node >= 0 && node < NODES)
		asked[node]++;
	return left-- > 0 ? __real_plat_page_alloc(count, node) : NULL;
}

void *__wrap_plat_alloc(size_t bytes)
{
	return left-- > 0 ? __real_plat_alloc(bytes) : NULL;
}

u32 __wrap_plat_cpu(void)
{
	return this_cpu;
}

u32 __wrap_plat_node_count(void)
{
	return nodes;
}

u32 __wrap_plat_node_of_cpu(u32 cpu)
{
	return cpu / 2 % NODES;
}

/* This firmware says that node 3 is as far from itself as from all others. */
u32 __wrap_plat_node_distance(u32 from, u32 to)
{
	return from == 3 ? 40 : 10 + 10 * (from > to ? from - to : to - from);
}

static struct numa_info info;

static int setup(void **state)
{
	(void)state;
	nodes = NODES;
	this_cpu = 0;
	left = NEVER;
	memset(asked, 0, sizeof(asked));
	return init_numa_info(&info, PAGES);
}

static int teardown(void **state)
{
	(void)state;
	fini_numa_info(&info);
	return 0;
}

static int take_from(enum numa_policy policy, u32 node)
{
	return numa_aware_node(&info, numa_aware_alloc(&info, CORE_PAGE_4K, policy, node));
}

static void test_each_pool_is_asked_of_its_node(void **state)
{
	(void)state;
	for (u32 node = 0; node < NODES; node++)
		assert_int_equal(asked[node], 1);
}

static void test_local_goes_by_distance(void **state)
{
	static const u32 order[] = { 1, 0, 2, 3 };

	(void)state;
	this_cpu = 2;	/* of node 1; 0 and 2 are as near */
	for (u32 n = 0; n < NODES * PAGES; n++)
		assert_int_equal(take_from(NUMA_POLICY_LOCAL, 0), order[n / PAGES]);
	assert_null(numa_aware_alloc(&info, CORE_PAGE_4K, NUMA_POLICY_LOCAL, 0));
}

static void test_a_node_is_nearest_to_itself(void **state)
{
	static const u32 order[] = { 3, 0, 1, 2 };

	(void)state;
	for (u32 n = 0; n < NODES * PAGES; n++)
		assert_int_equal(take_from(NUMA_POLICY_PREFERRED, 3), order[n / PAGES]);
}

static void test_bind_takes_no_other_node(void **state)
{
	(void)state;
	for (u32 n = 0; n < PAGES; n++)
		assert_int_equal(take_from(NUMA_POLICY_BIND, 2), 2);
	assert_null(numa_aware_alloc(&info, CORE_PAGE_4K, NUMA_POLICY_BIND, 2));
	assert_int_equal(take_from(NUMA_POLICY_BIND, 1), 1);
}

static void test_preferred_goes_on_with_the_next(void **state)
{
	static const u32 order[] = { 2, 1, 3, 0 };

	(void)state;
	for (u32 n = 0; n < NODES * PAGES; n++)
		assert_int_equal(take_from(NUMA_POLICY_PREFERRED, 2), order[n / PAGES]);
}

static void test_interleave_passes_over_an_empty_node(void **state)
{
	(void)state;
	for (u32 n = 0; n < 2 * NODES; n++)
		assert_int_equal(take_from(NUMA_POLICY_INTERLEAVE, 0), n % NODES);
	while (numa_aware_alloc(&info, CORE_PAGE_4K, NUMA_POLICY_BIND, 1))
		;
	assert_int_equal(take_from(NUMA_POLICY_INTERLEAVE, 0), 0);
	assert_int_equal(take_from(NUMA_POLICY_INTERLEAVE, 0), 2);
	/* The count wraps without leaving a node out. */
	info.next = ~0u;
	for (u32 n = 0; n < 3 * PAGES; n++)
		if (!numa_aware_alloc(&info, CORE_PAGE_4K, NUMA_POLICY_INTERLEAVE, 0))
			break;
	for (u32 node = 0; node < NODES; node++)
		assert_null(numa_aware_alloc(&info, CORE_PAGE_4K, NUMA_POLICY_BIND, node));
}

static void test_local_and_remote_are_counted(void **state)
{
	(void)state;
	this_cpu = 7;	/* of node 3 */
	take_from(NUMA_POLICY_LOCAL, 0);
	take_from(NUMA_POLICY_BIND, 3);
	take_from(NUMA_POLICY_BIND, 0);
	assert_int_equal(numa_aware_counts(&info, 3).local, 2);
	assert_int_equal(numa_aware_counts(&info, 3).remote, 0);
	assert_int_equal(numa_aware_counts(&info, 0).local, 0);
	assert_int_equal(numa_aware_counts(&info, 0).remote, 1);
	assert_int_equal(numa_aware_counts(&info, 1).remote, 0);
}

static void test_free_finds_the_pool(void **state)
{
	void *block[NODES];
	int foreign;

	(void)state;
	for (u32 node = 0; node < NODES; node++)
		block[node] = numa_aware_alloc(&info, 100, NUMA_POLICY_BIND, node);
	for (u32 node = 0; node < NODES; node++) {
		assert_int_equal(numa_aware_free(&info, block[node]), 0);
		assert_int_equal(numa_aware_free(&info, block[node]), -EALREADY);
	}
	assert_int_equal(numa_aware_free(&info, &foreign), -EINVAL);
	assert_int_equal(numa_aware_node(&info, &foreign), PLAT_NODE_ANY);
	assert_int_equal(numa_aware_free(&info, NULL), 0);
}

static void test_unknown_nodes_and_policies_get_nothing(void **state)
{
	(void)state;
	assert_null(numa_aware_alloc(&info, 64, NUMA_POLICY_BIND, NODES));
	assert_null(numa_aware_alloc(&info, 64, NUMA_POLICY_PREFERRED, NODES));
	assert_null(numa_aware_alloc(&info, 64, (enum numa_policy)17, 0));
	assert_null(numa_aware_alloc(&info, 0, NUMA_POLICY_LOCAL, 0));
}

static void test_init_unwinds_each_failure(void **state)
{
	struct numa_info other;
	int ret = -ENOMEM, n = 0;

	(void)state;
	for (; ret; n++) {
		left = n;
		ret = init_numa_info(&other, PAGES);
		if (ret)
			assert_int_equal(ret, -ENOMEM);
	}
	left = NEVER;
	/* Three tables; four tables and a chunk of each pool. */
	assert_int_equal(n, 3 + NODES * 5 + 1);
	fini_numa_info(&other);
	assert_int_equal(init_numa_info(&other, 0), -EINVAL);
	nodes = NUMA_NODES_MAX + 1;
	assert_int_equal(init_numa_info(&other, PAGES), -E2BIG);
	nodes = NODES;
	fini_numa_info(&other);
	fini_numa_info(NULL);
}

#define TEST(test)	cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_pool_is_asked_of_its_node),
		TEST(test_local_goes_by_distance),
		TEST(test_a_node_is_nearest_to_itself),
		TEST(test_bind_takes_no_other_node),
		TEST(test_preferred_goes_on_with_the_next),
		TEST(test_interleave_passes_over_an_empty_node),
		TEST(test_local_and_remote_are_counted),
		TEST(test_free_finds_the_pool),
		TEST(test_unknown_nodes_and_policies_get_nothing),
		TEST(test_init_unwinds_each_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
