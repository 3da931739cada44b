// SPDX-License-Identifier: GPL-2.0-only
/* Pages on a machine with nodes, as the test plays libnuma: tests/core/plat_pages_test. */
#include "tests/unit/unit.h"

#include <sys/resource.h>

#include "core/plat.h"

int __wrap_numa_available(void);
int __wrap_numa_max_node(void);
int __wrap_numa_node_of_cpu(int cpu);
int __wrap_numa_distance(int from, int to);
void __wrap_numa_tonode_memory(void *start, size_t bytes, int node);

static struct {
	void *start;
	size_t bytes;
	int node;
	u32 calls;
} placed;

int __wrap_numa_available(void)
{
	return 0;
}

int __wrap_numa_max_node(void)
{
	return 1;
}

/* CPU 9 is not there. */
int __wrap_numa_node_of_cpu(int cpu)
{
	return cpu == 9 ? -1 : cpu % 2;
}

/* Of node 1 no distance is known. */
int __wrap_numa_distance(int from, int to)
{
	if (from == 1)
		return 0;
	return from == to ? 10 : 31;
}

void __wrap_numa_tonode_memory(void *start, size_t bytes, int node)
{
	placed.start = start;
	placed.bytes = bytes;
	placed.node = node;
	placed.calls++;
}

static void test_nodes_are_those_of_libnuma(void **state)
{
	(void)state;
	assert_int_equal(plat_node_count(), 2);
	assert_int_equal(plat_node_of_cpu(0), 0);
	assert_int_equal(plat_node_of_cpu(3), 1);
	assert_int_equal(plat_node_of_cpu(9), 0);
	assert_int_equal(plat_node_distance(0, 1), 31);
	assert_int_equal(plat_node_distance(0, 0), 10);
	assert_int_equal(plat_node_distance(1, 0), 20);
	assert_int_equal(plat_node_distance(1, 1), 10);
}

static void test_pages_are_placed_on_their_node(void **state)
{
	static const u32 counts[] = { 1, 2, 64, 512 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		size_t bytes = counts[i] * CORE_PAGE_4K;
		u8 *page = plat_page_alloc(counts[i], 1);

		assert_non_null(page);
		assert_int_equal((uintptr_t)page % bytes, 0);
		assert_ptr_equal(placed.start, page);
		assert_int_equal(placed.bytes, bytes);
		assert_int_equal(placed.node, 1);
		assert_int_equal(page[0], 0);
		page[bytes - 1] = 1;
		plat_page_free(page, counts[i]);
	}
	assert_int_equal(placed.calls, ARRAY_SIZE(counts));
}

static void test_no_node_is_no_placement(void **state)
{
	u32 calls = placed.calls;
	void *any = plat_page_alloc(1, PLAT_NODE_ANY), *none = plat_page_alloc(1, 7);

	(void)state;
	assert_non_null(any);
	assert_non_null(none);
	assert_int_equal(placed.calls, calls);
	plat_page_free(any, 1);
	plat_page_free(none, 1);
	plat_page_free(NULL, 1);
}

static void test_without_memory_there_is_null(void **state)
{
	struct rlimit all, none;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_AS, &all), 0);
	none = all;
	none.rlim_cur = CORE_PAGE_4K;
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	assert_null(plat_page_alloc(512, 1));
	assert_int_equal(setrlimit(RLIMIT_AS, &all), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nodes_are_those_of_libnuma),
		cmocka_unit_test(test_pages_are_placed_on_their_node),
		cmocka_unit_test(test_no_node_is_no_placement),
		cmocka_unit_test(test_without_memory_there_is_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
