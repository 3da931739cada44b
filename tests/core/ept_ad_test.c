// SPDX-License-Identifier: GPL-2.0-only
/* EPT: accessed and dirty bits: tests/core/ept_ad_test. */
#include "tests/core/ept_kit.h"
#include "tests/unit/unit.h"

#define RWX_WB	(EPT_RWX | EPT_WB)
#define K4	CORE_PAGE_4K
#define M2	CORE_PAGE_2M
#define G1	CORE_PAGE_1G
#define BOTH	(EPT_ACCESSED | EPT_DIRTY)

struct seen {
	u32 count;
	struct {
		u64 gpa, size;
		u32 bits;
	} page[8];
};

static void see(void *argument, hypr_gpa_t gpa, u64 size, u32 bits)
{
	struct seen *seen = argument;

	assert_true(seen->count < ARRAY_SIZE(seen->page));
	seen->page[seen->count].gpa = gpa.addr;
	seen->page[seen->count].size = size;
	seen->page[seen->count++].bits = bits;
}

static struct seen read_ad(struct ept_kit *kit, u64 gpa, u64 size, u32 which)
{
	struct seen seen = { 0 };

	assert_int_equal(ept_ad_read(&kit->ept, hypr_gpa(gpa), size, which, see, &seen), EPT_OK);
	return seen;
}

static struct seen clear_ad(struct ept_kit *kit, u64 gpa, u64 size, u32 which)
{
	struct seen seen = { 0 };

	assert_int_equal(ept_ad_clear(&kit->ept, hypr_gpa(gpa), size, which, see, &seen,
				      &kit->edit), EPT_OK);
	return seen;
}

static void assert_seen(const struct seen *seen, u32 at, u64 gpa, u64 size, u32 bits)
{
	assert_true(at < seen->count);
	assert_int_equal(seen->page[at].gpa, gpa);
	assert_int_equal(seen->page[at].size, size);
	assert_int_equal(seen->page[at].bits, bits);
}

/* 1 GiB at 0, 2 MiB at 1 GiB, 8 small pages after it. */
static void map_three_sizes(struct ept_kit *kit)
{
	assert_int_equal(ept_kit_map(kit, 0, 0, G1 + M2 + 8 * K4, RWX_WB), EPT_OK);
	assert_int_equal(kit->ept.stats.pages[2], 1);
	assert_int_equal(kit->ept.stats.pages[1], 1);
	assert_int_equal(kit->ept.stats.pages[0], 8);
}

static void test_read_reports_touched_pages_of_each_size(void **state)
{
	struct ept_kit *kit = *state;
	u64 small = G1 + M2 + 3 * K4;
	struct seen seen;

	map_three_sizes(kit);
	assert_int_equal(read_ad(kit, 0, 4 * G1, BOTH).count, 0);
	ept_kit_touch(kit, 5 * K4, true);
	ept_kit_touch(kit, G1 + 9 * K4, false);
	ept_kit_touch(kit, small, true);
	for (int i = 0; i < 2; i++) {
		seen = read_ad(kit, 0, 4 * G1, BOTH);
		assert_int_equal(seen.count, 3);
		assert_seen(&seen, 0, 0, G1, BOTH);
		assert_seen(&seen, 1, G1, M2, EPT_ACCESSED);
		assert_seen(&seen, 2, small, K4, BOTH);
	}
	seen = read_ad(kit, 0, 4 * G1, EPT_DIRTY);
	assert_int_equal(seen.count, 2);
	assert_seen(&seen, 1, small, K4, EPT_DIRTY);
	assert_int_equal(ept_ad_read(&kit->ept, hypr_gpa(0), G1, BOTH, NULL, NULL), EPT_OK);
}

static void test_clear_reports_once(void **state)
{
	struct ept_kit *kit = *state;
	u64 small = G1 + M2 + 3 * K4;

	map_three_sizes(kit);
	ept_kit_touch(kit, 5 * K4, true);
	ept_kit_touch(kit, small, true);
	assert_int_equal(clear_ad(kit, 0, 4 * G1, BOTH).count, 2);
	assert_true(kit->edit.invept);
	assert_int_equal(kit->edit.start.addr, 0);
	assert_true(kit->edit.end.addr > small);
	assert_int_equal(clear_ad(kit, 0, 4 * G1, BOTH).count, 0);
	assert_false(kit->edit.invept);
	assert_int_equal(kit->edit.end.addr, 0);
	ept_kit_touch(kit, small, false);
	assert_int_equal(read_ad(kit, 0, 4 * G1, BOTH).count, 1);
}

static void test_clear_of_one_bit_leaves_the_other_to_be_found(void **state)
{
	struct ept_kit *kit = *state;
	u64 small = G1 + M2;
	struct seen seen;

	map_three_sizes(kit);
	ept_kit_touch(kit, small, true);
	seen = clear_ad(kit, 0, 4 * G1, EPT_ACCESSED);
	assert_int_equal(seen.count, 1);
	assert_seen(&seen, 0, small, K4, EPT_ACCESSED);
	seen = clear_ad(kit, 0, 4 * G1, EPT_DIRTY);
	assert_int_equal(seen.count, 1);
	assert_seen(&seen, 0, small, K4, EPT_DIRTY);
	assert_int_equal(read_ad(kit, 0, 4 * G1, BOTH).count, 0);
}

static void test_clear_of_a_part_leaves_the_rest_to_be_found(void **state)
{
	struct ept_kit *kit = *state;
	u64 small = G1 + M2;
	struct seen seen;

	map_three_sizes(kit);
	ept_kit_touch(kit, small, true);
	ept_kit_touch(kit, small + 7 * K4, true);
	assert_int_equal(clear_ad(kit, small, K4, BOTH).count, 1);
	seen = read_ad(kit, 0, 4 * G1, BOTH);
	assert_int_equal(seen.count, 1);
	assert_seen(&seen, 0, small + 7 * K4, K4, BOTH);
	/* A large page that is cut is reported, and keeps its bits. */
	ept_kit_touch(kit, 0, true);
	seen = clear_ad(kit, M2, M2, BOTH);
	assert_int_equal(seen.count, 1);
	assert_seen(&seen, 0, M2, M2, BOTH);
	assert_false(kit->edit.invept);
	assert_int_equal(clear_ad(kit, 0, G1, BOTH).count, 1);
	assert_int_equal(read_ad(kit, 0, G1, BOTH).count, 0);
}

/* 4 GiB in 2048 page tables; one page is touched. */
static void test_read_passes_over_tables_that_were_not_touched(void **state)
{
	struct ept_kit *kit = *state;
	u64 before;

	assert_int_equal(ept_kit_map(kit, 0, K4, 4 * G1, RWX_WB), EPT_OK);
	assert_int_equal(kit->ept.stats.tables, 2 + 4 + 4 * 512);
	before = kit->ept.stats.ad_tables;
	assert_int_equal(read_ad(kit, 0, 4 * G1, BOTH).count, 0);
	assert_int_equal(kit->ept.stats.ad_tables - before, 1);
	ept_kit_touch(kit, 3 * G1 + 77 * K4, true);
	before = kit->ept.stats.ad_tables;
	assert_int_equal(clear_ad(kit, 0, 4 * G1, BOTH).count, 1);
	assert_int_equal(kit->ept.stats.ad_tables - before, 4);
	/*
	 * Cleared: the way to the page is untouched again, up to the entries that
	 * the range does not cover whole.
	 */
	before = kit->ept.stats.ad_tables;
	assert_int_equal(read_ad(kit, 0, 4 * G1, BOTH).count, 0);
	assert_int_equal(kit->ept.stats.ad_tables - before, 2);
}

static void test_split_and_merge_keep_the_bits(void **state)
{
	struct ept_kit *kit = *state;
	struct seen seen;

	map_three_sizes(kit);
	ept_kit_touch(kit, 0, true);
	/* Each part of a dirty page is dirty. */
	assert_int_equal(ept_protect(&kit->ept, hypr_gpa(K4), K4, EPT_READ | EPT_WB, &kit->edit),
			 EPT_OK);
	seen = read_ad(kit, 0, 3 * K4, BOTH);
	assert_int_equal(seen.count, 3);
	assert_seen(&seen, 1, K4, K4, BOTH);
	/* A page with one dirty part is dirty. */
	assert_int_equal(ept_ad_clear(&kit->ept, hypr_gpa(K4), G1 - K4, BOTH, NULL, NULL,
				      &kit->edit), EPT_OK);
	assert_int_equal(ept_protect(&kit->ept, hypr_gpa(K4), K4, RWX_WB, &kit->edit), EPT_OK);
	assert_int_equal(kit->ept.stats.pages[2], 1);
	seen = read_ad(kit, 0, G1, BOTH);
	assert_int_equal(seen.count, 1);
	assert_seen(&seen, 0, 0, G1, BOTH);
}

static void test_split_of_an_untouched_page_stays_untouched(void **state)
{
	struct ept_kit *kit = *state;
	u64 before;

	map_three_sizes(kit);
	/* The entry above the table of the 1 GiB page is accessed by another page. */
	ept_kit_touch(kit, G1, true);
	ept_unmap(&kit->ept, hypr_gpa(K4), K4, &kit->edit);
	before = kit->ept.stats.ad_tables;
	assert_int_equal(read_ad(kit, 0, G1, BOTH).count, 0);
	assert_int_equal(kit->ept.stats.ad_tables - before, 2);
}

static void test_refusals(void **state)
{
	struct ept_kit *kit = *state;
	static const struct {
		u64 gpa, size;
		u32 which;
		enum ept_refusal why;
	} cases[] = {
		{ 0, 0, BOTH, EPT_ZERO_SIZE },
		{ 1, K4, BOTH, EPT_UNALIGNED },
		{ -K4, 2 * K4, BOTH, EPT_WRAPS },
		{ 0, K4, 0, EPT_UNKNOWN_PERMISSIONS },
		{ 0, K4, BOTH | EPT_READ, EPT_UNKNOWN_PERMISSIONS },
		{ 1ull << 48, K4, BOTH, EPT_BEYOND_GPA_WIDTH },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(ept_ad_read(&kit->ept, hypr_gpa(cases[i].gpa), cases[i].size,
					     cases[i].which, NULL, NULL), cases[i].why);
		assert_int_equal(ept_ad_clear(&kit->ept, hypr_gpa(cases[i].gpa), cases[i].size,
					      cases[i].which, NULL, NULL, &kit->edit),
				 cases[i].why);
		assert_false(kit->edit.invept);
	}
	kit->ept.can.accessed_dirty = false;
	assert_int_equal(ept_ad_read(&kit->ept, hypr_gpa(0), K4, BOTH, NULL, NULL),
			 EPT_NO_ACCESSED_DIRTY);
}

#define with(test)	cmocka_unit_test_setup_teardown(test, ept_kit_setup, ept_kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with(test_read_reports_touched_pages_of_each_size),
		with(test_clear_reports_once),
		with(test_clear_of_one_bit_leaves_the_other_to_be_found),
		with(test_clear_of_a_part_leaves_the_rest_to_be_found),
		with(test_read_passes_over_tables_that_were_not_touched),
		with(test_split_and_merge_keep_the_bits),
		with(test_split_of_an_untouched_page_stays_untouched),
		with(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
