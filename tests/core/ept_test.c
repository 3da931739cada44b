// SPDX-License-Identifier: GPL-2.0-only
/* EPT contexts: map, translate, unmap, protect, and each refusal: tests/core/ept_test. */
#include "tests/core/ept_kit.h"
#include "tests/unit/unit.h"

#define RWX_WB	(EPT_RWX | EPT_WB)
#define K4	CORE_PAGE_4K
#define M2	CORE_PAGE_2M
#define G1	CORE_PAGE_1G

static const struct ept_capabilities only_small = { .maxphyaddr = 52 };

static int start_5_levels(void **state)
{
	return ept_kit_start(state, 5, &ept_kit_all);
}

static int start_only_small(void **state)
{
	return ept_kit_start(state, 4, &only_small);
}

static int start_only_1g(void **state)
{
	static const struct ept_capabilities only_1g = { .maxphyaddr = 52, .page_1g = true };

	return ept_kit_start(state, 4, &only_1g);
}

static void assert_pages(const struct ept_kit *kit, u64 small, u64 middle, u64 large)
{
	assert_int_equal(kit->ept.stats.pages[0], small);
	assert_int_equal(kit->ept.stats.pages[1], middle);
	assert_int_equal(kit->ept.stats.pages[2], large);
	assert_int_equal(ept_mapped_bytes(&kit->ept), small * K4 + middle * M2 + large * G1);
}

static void assert_run(const struct ept_kit *kit, u64 gpa, u64 hpa, u64 size, u32 permissions)
{
	struct memory_mapping run;

	assert_int_equal(ept_translate(&kit->ept, hypr_gpa(gpa), size, &run), EPT_OK);
	assert_int_equal(run.gpa.addr, gpa);
	assert_int_equal(run.hpa.addr, hpa);
	assert_int_equal(run.size, size);
	assert_int_equal(run.permissions, permissions);
}

static void assert_hole(const struct ept_kit *kit, u64 gpa, u64 size)
{
	struct memory_mapping run;

	assert_int_equal(ept_translate(&kit->ept, hypr_gpa(gpa), size, &run), EPT_NOT_MAPPED);
	assert_int_equal(run.gpa.addr, gpa);
	assert_int_equal(run.hpa.addr, 0);
	assert_int_equal(run.size, size);
	assert_int_equal(run.permissions, 0);
}

static void assert_edit(const struct ept_kit *kit, u64 gpa, u64 end, bool invept)
{
	assert_int_equal(kit->edit.start.addr, gpa);
	assert_int_equal(kit->edit.end.addr, end);
	assert_int_equal(kit->edit.invept, invept);
}

static void test_a_new_context_maps_nothing(void **state)
{
	struct ept_kit *kit = *state;
	u32 level;

	assert_pages(kit, 0, 0, 0);
	assert_int_equal(kit->ept.stats.tables, 1);
	assert_hole(kit, 0, 1ull << 48);
	assert_int_equal(ept_entry(&kit->ept, hypr_gpa(1ull << 48), &level), 0);
	assert_int_equal(level, 4);
}

static void test_eptp_is_root_write_back_length_and_accessed_dirty(void **state)
{
	struct ept_kit *kit = *state;
	u64 root = plat_virt_to_hpa(kit->ept.root).addr;

	assert_int_equal(ept_context_eptp(&kit->ept), root | 0x5e);
	kit->ept.can.accessed_dirty = false;
	assert_int_equal(ept_context_eptp(&kit->ept), root | 0x1e);
}

static void test_eptp_of_5_levels(void **state)
{
	struct ept_kit *kit = *state;

	assert_int_equal(ept_context_eptp(&kit->ept) & 0xfff, 0x66);
}

static void test_the_default_allocator_serves_a_context(void **state)
{
	struct ept_context ept;
	struct ept_edit edit;
	struct memory_mapping mapping;

	(void)state;
	assert_int_equal(init_ept_context(&ept, 4, &ept_kit_all, NULL), EPT_OK);
	assert_int_equal(init_memory_mapping(&mapping, hypr_gpa(K4), hypr_hpa(7 * K4), K4, RWX_WB),
			 EPT_OK);
	assert_int_equal(ept_map_memory(&ept, &mapping, &edit), EPT_OK);
	assert_int_equal(ept.stats.tables, 4);
	fini_ept_context(&ept);
	assert_null(ept.root);
	fini_ept_context(&ept);
	fini_ept_context(NULL);
}

static void test_init_refuses(void **state)
{
	static const struct {
		u32 levels;
		u8 maxphyaddr;
		u64 fuse;
		enum ept_refusal why;
	} cases[] = {
		{ 3, 52, 1, EPT_BAD_CAPABILITIES },
		{ 6, 52, 1, EPT_BAD_CAPABILITIES },
		{ 4, 31, 1, EPT_BAD_CAPABILITIES },
		{ 4, 53, 1, EPT_BAD_CAPABILITIES },
		{ 4, 52, 0, EPT_NO_MEMORY },
		{ 4, 32, 1, EPT_TABLE_BEYOND_MAXPHYADDR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ept_capabilities can = { .maxphyaddr = cases[i].maxphyaddr };
		struct ept_kit kit = { .fuse = cases[i].fuse };
		struct ept_allocator allocator = ept_kit_allocator(&kit);

		assert_int_equal(init_ept_context(&kit.ept, cases[i].levels, &can, &allocator),
				 cases[i].why);
		assert_int_equal(kit.live, 0);
		fini_ept_context(&kit.ept);
	}
}

/* The largest page by alignment of GPA and HPA, and what is left at the edges. */
static void test_map_takes_the_largest_page_that_fits(void **state)
{
	static const struct {
		u64 gpa, hpa, size, small, middle, large;
	} cases[] = {
		{ 0, 0, K4, 1, 0, 0 },
		{ 0, 0, M2, 0, 1, 0 },
		{ 0, 0, G1, 0, 0, 1 },
		{ 0, K4, M2, 512, 0, 0 },
		{ K4, 0, M2, 512, 0, 0 },
		{ K4, K4, M2, 512, 0, 0 },
		{ 0, M2, G1, 0, 512, 0 },
		{ G1 - M2 - K4, 5 * G1 - M2 - K4, 2 * G1 + 2 * M2 + 2 * K4, 2, 2, 2 },
		{ (1ull << 48) - G1, (1ull << 52) - G1, G1, 0, 0, 1 },
	};
	struct ept_kit *kit = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 gpa = cases[i].gpa, size = cases[i].size;

		assert_int_equal(ept_kit_map(kit, gpa, cases[i].hpa, size, RWX_WB), EPT_OK);
		assert_pages(kit, cases[i].small, cases[i].middle, cases[i].large);
		assert_run(kit, gpa, cases[i].hpa, size, RWX_WB);
		assert_edit(kit, gpa, gpa + size, false);
		assert_true(ept_kit_clean(kit));
		assert_int_equal(ept_unmap(&kit->ept, hypr_gpa(gpa), size, &kit->edit), EPT_OK);
		assert_edit(kit, gpa, gpa + size, true);
		assert_pages(kit, 0, 0, 0);
		assert_int_equal(kit->ept.stats.tables, 1);
		ept_release_tables(&kit->ept);
		assert_int_equal(kit->live, 1);
	}
}

static void test_map_without_large_pages_takes_small_ones(void **state)
{
	struct ept_kit *kit = *state;

	assert_int_equal(ept_kit_map(kit, 0, 0, 2 * M2, EPT_READ | EPT_WB), EPT_OK);
	assert_pages(kit, 1024, 0, 0);
	assert_int_equal(ept_unmap(&kit->ept, hypr_gpa(0), K4, &kit->edit), EPT_OK);
	assert_int_equal(ept_kit_map(kit, 0, 0, K4, EPT_READ | EPT_WB), EPT_OK);
	assert_pages(kit, 1024, 0, 0);
	assert_int_equal(kit->ept.stats.merges, 0);
}

/* Part of a 1 GiB page changes by way of 2 MiB pages: no CPU is asked for one without them. */
static void test_a_cpu_without_2m_pages_gets_no_1g_pages(void **state)
{
	struct ept_kit *kit = *state;

	assert_int_equal(ept_kit_map(kit, 0, 0, G1, RWX_WB), EPT_OK);
	assert_pages(kit, G1 / K4, 0, 0);
	assert_int_equal(ept_unmap(&kit->ept, hypr_gpa(0), K4, &kit->edit), EPT_OK);
	assert_true(ept_kit_clean(kit));
}

static void test_map_of_5_levels_reaches_57_bits(void **state)
{
	struct ept_kit *kit = *state;
	u64 top = 1ull << 57;

	assert_int_equal(ept_kit_map(kit, top - K4, K4, K4, RWX_WB), EPT_OK);
	assert_run(kit, top - K4, K4, K4, RWX_WB);
	assert_int_equal(kit->ept.stats.tables, 5);
	assert_int_equal(ept_kit_map(kit, top, K4, K4, RWX_WB), EPT_BEYOND_GPA_WIDTH);
	assert_hole(kit, 0, top - K4);
	assert_hole(kit, top - 5 * K4, 4 * K4);
}

static void test_entries_have_the_bits_of_the_sdm(void **state)
{
	struct ept_kit *kit = *state;
	u32 level;

	ept_kit_map(kit, 0, 0x12345000, K4, EPT_READ | EPT_USER_EXEC | EPT_WP | EPT_IGNORE_PAT);
	assert_int_equal(ept_entry(&kit->ept, hypr_gpa(0xfff), &level), 0x12345000 | 0x469);
	assert_int_equal(level, 1);
	ept_kit_map(kit, M2, 3 * M2, M2, EPT_RWX | EPT_WB);
	assert_int_equal(ept_entry(&kit->ept, hypr_gpa(M2), &level), 3 * M2 | 0xb7);
	assert_int_equal(level, 2);
	ept_kit_map(kit, G1, 3 * G1, G1, EPT_EXEC | EPT_UC);
	assert_int_equal(ept_entry(&kit->ept, hypr_gpa(G1), &level), 3 * G1 | 0x84);
	assert_int_equal(level, 3);
	/* An entry that refers to a table allows everything, user execute too. */
	assert_int_equal(kit->ept.root[0] & 0xfff, 0x407);
}

static void test_each_refusal_by_name(void **state)
{
	static const u64 wrap = UINT64_MAX - K4 + 1;
	static const struct {
		u64 gpa, hpa, size;
		u32 permissions;
		enum ept_refusal why;
		int error;
	} cases[] = {
		{ 0, 0, 0, RWX_WB, EPT_ZERO_SIZE, -EINVAL },
		{ 1, 0, K4, RWX_WB, EPT_UNALIGNED, -EINVAL },
		{ 0, 0x800, K4, RWX_WB, EPT_UNALIGNED, -EINVAL },
		{ 0, 0, K4 + 8, RWX_WB, EPT_UNALIGNED, -EINVAL },
		{ wrap, 0, 2 * K4, RWX_WB, EPT_WRAPS, -ERANGE },
		{ wrap, 0, K4, RWX_WB, EPT_WRAPS, -ERANGE },
		{ 0, wrap, 2 * K4, RWX_WB, EPT_WRAPS, -ERANGE },
		{ 0, 0, K4, RWX_WB | 1 << 7, EPT_UNKNOWN_PERMISSIONS, -EINVAL },
		{ 0, 0, K4, RWX_WB | EPT_DIRTY, EPT_UNKNOWN_PERMISSIONS, -EINVAL },
		{ 0, 0, K4, RWX_WB | 1u << 31, EPT_UNKNOWN_PERMISSIONS, -EINVAL },
		{ 0, 0, K4, EPT_RWX | 2 << 3, EPT_RESERVED_TYPE, -EINVAL },
		{ 0, 0, K4, EPT_RWX | 3 << 3, EPT_RESERVED_TYPE, -EINVAL },
		{ 0, 0, K4, EPT_RWX | 7 << 3, EPT_RESERVED_TYPE, -EINVAL },
		{ 0, 0, K4, EPT_WB, EPT_NO_ACCESS, -EINVAL },
		{ 0, 0, K4, EPT_WRITE | EPT_WB, EPT_WRITE_WITHOUT_READ, -EINVAL },
		{ 0, 0, K4, EPT_WRITE | EPT_EXEC, EPT_WRITE_WITHOUT_READ, -EINVAL },
		{ 0, 0, K4, RWX_WB | EPT_USER_EXEC, EPT_NO_USER_EXECUTE, -EOPNOTSUPP },
		{ 0, 0, K4, EPT_EXEC | EPT_WB, EPT_NO_EXECUTE_ONLY, -EOPNOTSUPP },
		{ 1ull << 48, 0, K4, RWX_WB, EPT_BEYOND_GPA_WIDTH, -ERANGE },
		{ (1ull << 48) - K4, 0, 2 * K4, RWX_WB, EPT_BEYOND_GPA_WIDTH, -ERANGE },
		{ 0, 1ull << 52, K4, RWX_WB, EPT_BEYOND_MAXPHYADDR, -ERANGE },
		{ 0, (1ull << 52) - K4, 2 * K4, RWX_WB, EPT_BEYOND_MAXPHYADDR, -ERANGE },
		{ 4 * K4, 0, K4, RWX_WB, EPT_OVERLAP, -EEXIST },
		{ 3 * K4, 0, M2, RWX_WB, EPT_OVERLAP, -EEXIST },
		{ 0, 0, 4 * G1, RWX_WB, EPT_OVERLAP, -EEXIST },
	};
	struct ept_kit *kit = *state;

	assert_int_equal(ept_kit_map(kit, 4 * K4, 0, K4, RWX_WB), EPT_OK);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(ept_kit_map(kit, cases[i].gpa, cases[i].hpa, cases[i].size,
					     cases[i].permissions), cases[i].why);
		assert_int_equal(ept_refusal_errno(cases[i].why), cases[i].error);
		assert_edit(kit, 0, 0, false);
		assert_int_equal(kit->live, 4);
		assert_pages(kit, 1, 0, 0);
	}
}

static void test_every_refusal_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (u32 i = 0; i < EPT_REFUSAL_COUNT; i++) {
		assert_non_null(ept_refusal_name(i));
		assert_true(i ? ept_refusal_errno(i) < 0 : ept_refusal_errno(i) == 0);
		for (u32 j = 0; j < i; j++)
			assert_string_not_equal(ept_refusal_name(i), ept_refusal_name(j));
	}
	assert_string_equal(ept_refusal_name(EPT_REFUSAL_COUNT), "unknown");
	assert_int_equal(ept_refusal_errno(EPT_REFUSAL_COUNT), -EINVAL);
	assert_int_equal(ept_refusal_errno(EPT_NO_MEMORY), -ENOMEM);
	assert_int_equal(ept_refusal_errno(EPT_NOT_MAPPED), -ENOENT);
}

static void test_mapping_is_checked_before_a_context_is_known(void **state)
{
	struct memory_mapping mapping = { .size = 42 };

	(void)state;
	assert_int_equal(init_memory_mapping(&mapping, hypr_gpa(0), hypr_hpa(0), 0, RWX_WB),
			 EPT_ZERO_SIZE);
	assert_int_equal(init_memory_mapping(&mapping, hypr_gpa(0), hypr_hpa(0), K4, EPT_WRITE),
			 EPT_WRITE_WITHOUT_READ);
	assert_int_equal(mapping.size, 42);
	assert_int_equal(init_memory_mapping(&mapping, hypr_gpa(K4), hypr_hpa(M2), G1, RWX_WB),
			 EPT_OK);
	assert_int_equal(mapping.gpa.addr, K4);
	assert_int_equal(mapping.hpa.addr, M2);
	assert_int_equal(mapping.size, G1);
	assert_int_equal(mapping.permissions, RWX_WB);
}

static void test_map_out_of_memory_changes_nothing(void **state)
{
	struct ept_kit *kit = *state;

	for (u64 fuse = 0; fuse < 4; fuse++) {
		kit->fuse = fuse;
		assert_int_equal(ept_kit_map(kit, G1 - K4, 0, 2 * K4, RWX_WB), EPT_NO_MEMORY);
		assert_edit(kit, 0, 0, false);
		assert_int_equal(kit->live, 1);
		assert_hole(kit, 0, 1ull << 48);
	}
	kit->fuse = 5;
	assert_int_equal(ept_kit_map(kit, G1 - K4, 0, 2 * K4, RWX_WB), EPT_OK);
	assert_int_equal(kit->live, 6);
}

static void test_map_refuses_table_pages_beyond_maxphyaddr(void **state)
{
	struct ept_kit *kit = *state;

	kit->ept.can.maxphyaddr = 32;
	assert_int_equal(ept_kit_map(kit, 0, 0, K4, RWX_WB), EPT_TABLE_BEYOND_MAXPHYADDR);
	assert_edit(kit, 0, 0, false);
	assert_int_equal(kit->live, 1);
	kit->ept.can.maxphyaddr = 52;
	assert_hole(kit, 0, 1ull << 48);
}

static void test_translate_ends_a_run_where_it_breaks(void **state)
{
	struct ept_kit *kit = *state;
	struct memory_mapping run;

	ept_kit_map(kit, 0, 0, M2, RWX_WB);
	ept_kit_map(kit, M2, M2, K4, RWX_WB);
	assert_run(kit, 0, 0, M2 + K4, RWX_WB);
	assert_run(kit, K4, K4, 2 * K4, RWX_WB);
	/* A gap in the HPAs, other permissions, a hole. */
	ept_kit_map(kit, M2 + K4, 9 * M2, K4, RWX_WB);
	assert_int_equal(ept_translate(&kit->ept, hypr_gpa(0), G1, &run), EPT_OK);
	assert_int_equal(run.size, M2 + K4);
	ept_kit_map(kit, M2 + 2 * K4, 9 * M2 + K4, K4, EPT_READ | EPT_WB);
	assert_int_equal(ept_translate(&kit->ept, hypr_gpa(M2 + K4), G1, &run), EPT_OK);
	assert_int_equal(run.size, K4);
	assert_int_equal(ept_translate(&kit->ept, hypr_gpa(M2 + 2 * K4), G1, &run), EPT_OK);
	assert_int_equal(run.size, K4);
	ept_kit_map(kit, 4 * M2, 0, K4, RWX_WB);
	assert_int_equal(ept_translate(&kit->ept, hypr_gpa(2 * M2), G1, &run), EPT_NOT_MAPPED);
	assert_int_equal(run.size, 2 * M2);
}

static void test_translate_refuses(void **state)
{
	struct ept_kit *kit = *state;
	struct memory_mapping run;

	assert_int_equal(ept_translate(&kit->ept, hypr_gpa(0), 0, &run), EPT_ZERO_SIZE);
	assert_int_equal(ept_translate(&kit->ept, hypr_gpa(1), K4, &run), EPT_UNALIGNED);
	assert_int_equal(ept_translate(&kit->ept, hypr_gpa(-K4), 2 * K4, &run), EPT_WRAPS);
	assert_int_equal(ept_translate(&kit->ept, hypr_gpa(1ull << 48), K4, &run),
			 EPT_BEYOND_GPA_WIDTH);
}

#define with(test, setup)	cmocka_unit_test_setup_teardown(test, setup, ept_kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with(test_a_new_context_maps_nothing, ept_kit_setup),
		with(test_eptp_is_root_write_back_length_and_accessed_dirty, ept_kit_setup),
		with(test_eptp_of_5_levels, start_5_levels),
		cmocka_unit_test(test_the_default_allocator_serves_a_context),
		cmocka_unit_test(test_init_refuses),
		with(test_map_takes_the_largest_page_that_fits, ept_kit_setup),
		with(test_map_without_large_pages_takes_small_ones, start_only_small),
		with(test_a_cpu_without_2m_pages_gets_no_1g_pages, start_only_1g),
		with(test_map_of_5_levels_reaches_57_bits, start_5_levels),
		with(test_entries_have_the_bits_of_the_sdm, ept_kit_setup),
		with(test_each_refusal_by_name, start_only_small),
		cmocka_unit_test(test_every_refusal_has_a_name_of_its_own),
		cmocka_unit_test(test_mapping_is_checked_before_a_context_is_known),
		with(test_map_out_of_memory_changes_nothing, ept_kit_setup),
		with(test_map_refuses_table_pages_beyond_maxphyaddr, ept_kit_setup),
		with(test_translate_ends_a_run_where_it_breaks, ept_kit_setup),
		with(test_translate_refuses, ept_kit_setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
