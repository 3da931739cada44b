// SPDX-License-Identifier: GPL-2.0-only
/* The user-space platform of core/: tests/core/plat_test. */
#include "tests/unit/unit.h"

#include "plat.h"

static void test_pages_are_zeroed_and_aligned_to_their_size(void **state)
{
	static const u32 counts[] = { 1, 2, 8, 512 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		size_t bytes = counts[i] * CORE_PAGE_4K;
		u8 *page = plat_page_alloc(counts[i], PLAT_NODE_ANY);

		assert_non_null(page);
		assert_int_equal((uintptr_t)page % bytes, 0);
		for (size_t at = 0; at < bytes; at++)
			assert_int_equal(page[at], 0);
		assert_ptr_equal(plat_hpa_to_virt(plat_virt_to_hpa(page)), page);
		plat_page_free(page, counts[i]);
	}
}

static void test_cpu_and_node_are_in_range(void **state)
{
	(void)state;
	assert_true(plat_cpu_count() >= 1);
	assert_true(plat_cpu() < plat_cpu_count());
	assert_true(plat_node_count() >= 1);
	for (u32 cpu = 0; cpu < plat_cpu_count(); cpu++)
		assert_true(plat_node_of_cpu(cpu) < plat_node_count());
	assert_int_equal(plat_node_distance(0, 0), 10);
}

static void test_random_bytes_differ(void **state)
{
	u8 one[32] = { 0 }, two[32] = { 0 };

	(void)state;
	assert_int_equal(plat_random(one, sizeof(one)), 0);
	assert_int_equal(plat_random(two, sizeof(two)), 0);
	assert_memory_not_equal(one, two, sizeof(one));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_are_zeroed_and_aligned_to_their_size),
		cmocka_unit_test(test_cpu_and_node_are_in_range),
		cmocka_unit_test(test_random_bytes_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
