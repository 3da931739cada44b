// SPDX-License-Identifier: GPL-2.0-only
/* EPT: unmap, protect, split and merge: tests/core/ept_range_test. */
#include <pthread.h>

#include "tests/core/ept_kit.h"
#include "tests/unit/unit.h"

#define RWX_WB	(EPT_RWX | EPT_WB)
#define RO_WB	(EPT_READ | EPT_WB)
#define K4	CORE_PAGE_4K
#define M2	CORE_PAGE_2M
#define G1	CORE_PAGE_1G

static void assert_pages(const struct ept_kit *kit, u64 small, u64 middle, u64 large)
{
	assert_int_equal(kit->ept.stats.pages[0], small);
	assert_int_equal(kit->ept.stats.pages[1], middle);
	assert_int_equal(kit->ept.stats.pages[2], large);
}

static void assert_edit(const struct ept_kit *kit, u64 gpa, u64 end, bool invept)
{
	assert_int_equal(kit->edit.start.addr, gpa);
	assert_int_equal(kit->edit.end.addr, end);
	assert_int_equal(kit->edit.invept, invept);
}

static enum ept_refusal unmap(struct ept_kit *kit, u64 gpa, u64 size)
{
	return ept_unmap(&kit->ept, hypr_gpa(gpa), size, &kit->edit);
}

static enum ept_refusal protect(struct ept_kit *kit, u64 gpa, u64 size, u32 permissions)
{
	return ept_protect(&kit->ept, hypr_gpa(gpa), size, permissions, &kit->edit);
}

/* A part of a 1 GiB page goes; exactly as many table pages as the splits need. */
static void test_unmap_splits_where_an_edge_cuts(void **state)
{
	static const struct {
		u64 gpa, size, tables, small, middle, large;
	} cases[] = {
		{ 0, G1, 0, 0, 0, 0 },
		{ 0, M2, 1, 0, 511, 0 },
		{ 0, K4, 2, 511, 511, 0 },
		{ K4, K4, 2, 511, 511, 0 },
		{ G1 - K4, K4, 2, 511, 511, 0 },
		/* Both edges in one 2 MiB page, in two, in one and at its end. */
		{ M2 + K4, 8 * K4, 2, 504, 511, 0 },
		{ M2 - K4, 2 * K4, 3, 1022, 510, 0 },
		{ M2 + K4, M2, 3, 512, 510, 0 },
		{ M2 + K4, M2 - K4, 2, 1, 511, 0 },
	};
	struct ept_kit *kit = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 gpa = cases[i].gpa, size = cases[i].size, live;

		assert_int_equal(ept_kit_map(kit, 0, G1, G1, RWX_WB), EPT_OK);
		live = kit->live;
		for (kit->fuse = 0; kit->fuse < cases[i].tables;) {
			u64 fuse = kit->fuse;

			assert_int_equal(unmap(kit, gpa, size), EPT_NO_MEMORY);
			assert_edit(kit, 0, 0, false);
			assert_pages(kit, 0, 0, 1);
			assert_int_equal(kit->live, live);
			kit->fuse = fuse + 1;
		}
		assert_int_equal(unmap(kit, gpa, size), EPT_OK);
		assert_int_equal(kit->fuse, 0);
		assert_edit(kit, gpa, gpa + size, true);
		assert_pages(kit, cases[i].small, cases[i].middle, cases[i].large);
		assert_true(ept_kit_clean(kit));
		kit->fuse = UINT64_MAX;
		assert_int_equal(unmap(kit, 0, G1), EPT_OK);
		ept_release_tables(&kit->ept);
	}
}

static void test_unmap_passes_over_holes(void **state)
{
	struct ept_kit *kit = *state;

	assert_int_equal(unmap(kit, 0, 1ull << 48), EPT_OK);
	assert_edit(kit, 0, 0, false);
	ept_kit_map(kit, 3 * M2, 0, K4, RWX_WB);
	ept_kit_map(kit, 9 * G1, 0, K4, RWX_WB);
	assert_int_equal(unmap(kit, 0, 1ull << 48), EPT_OK);
	assert_edit(kit, 3 * M2, 9 * G1 + K4, true);
	assert_int_equal(kit->ept.stats.tables, 1);
}

/* A CPU may still read a table that is out of the tree. */
static void test_retired_tables_wait_for_the_release(void **state)
{
	struct ept_kit *kit = *state;

	ept_kit_map(kit, 0, 0, K4, RWX_WB);
	unmap(kit, 0, K4);
	assert_int_equal(kit->ept.stats.retired, 3);
	assert_int_equal(kit->ept.stats.tables, 1);
	assert_int_equal(kit->live, 4);
	/* No link between them can be taken for a present entry. */
	for (u64 *table = kit->ept.retired; table; table = (u64 *)(uintptr_t)table[0])
		assert_int_equal(table[0] & 0xfff, 0);
	ept_release_tables(&kit->ept);
	assert_int_equal(kit->ept.stats.retired, 0);
	assert_int_equal(kit->live, 1);
	ept_release_tables(&kit->ept);
}

static void test_fini_gives_retired_tables_back(void **state)
{
	struct ept_kit *kit = *state;

	ept_kit_map(kit, 0, 0, K4, RWX_WB);
	unmap(kit, 0, K4);
	assert_int_equal(kit->ept.stats.retired, 3);
}

static void test_unmap_refuses(void **state)
{
	struct ept_kit *kit = *state;

	assert_int_equal(unmap(kit, 0, 0), EPT_ZERO_SIZE);
	assert_int_equal(unmap(kit, 12, K4), EPT_UNALIGNED);
	assert_int_equal(unmap(kit, -K4, 2 * K4), EPT_WRAPS);
	assert_int_equal(unmap(kit, 1ull << 48, K4), EPT_BEYOND_GPA_WIDTH);
	assert_edit(kit, 0, 0, false);
}

static void test_protect_refuses(void **state)
{
	struct ept_kit *kit = *state;

	ept_kit_map(kit, 0, 0, K4, RWX_WB);
	assert_int_equal(protect(kit, 0, 0, RO_WB), EPT_ZERO_SIZE);
	assert_int_equal(protect(kit, 12, K4, RO_WB), EPT_UNALIGNED);
	assert_int_equal(protect(kit, -K4, 2 * K4, RO_WB), EPT_WRAPS);
	assert_int_equal(protect(kit, 0, K4, 1 << 11), EPT_UNKNOWN_PERMISSIONS);
	assert_int_equal(protect(kit, 0, K4, EPT_READ | 7 << 3), EPT_RESERVED_TYPE);
	assert_int_equal(protect(kit, 0, K4, 0), EPT_NO_ACCESS);
	assert_int_equal(protect(kit, 0, K4, EPT_WRITE), EPT_WRITE_WITHOUT_READ);
	assert_int_equal(protect(kit, 1ull << 48, K4, RO_WB), EPT_BEYOND_GPA_WIDTH);
	assert_int_equal(protect(kit, 0, 2 * K4, RO_WB), EPT_NOT_MAPPED);
	assert_int_equal(protect(kit, M2, K4, RO_WB), EPT_NOT_MAPPED);
	kit->ept.can.user_execute = false;
	assert_int_equal(protect(kit, 0, K4, RWX_WB | EPT_USER_EXEC), EPT_NO_USER_EXECUTE);
	kit->ept.can.execute_only = false;
	assert_int_equal(protect(kit, 0, K4, EPT_EXEC), EPT_NO_EXECUTE_ONLY);
	assert_edit(kit, 0, 0, false);
	kit->ept.can.user_execute = true;
}

static void test_protect_splits_and_merges_back(void **state)
{
	struct ept_kit *kit = *state;
	u64 page = G1 + 5 * M2 + 7 * K4;
	u32 level;

	ept_kit_map(kit, G1, 4 * G1, G1, RWX_WB);
	assert_int_equal(protect(kit, page, K4, RO_WB), EPT_OK);
	assert_edit(kit, page, page + K4, true);
	assert_pages(kit, 512, 511, 0);
	assert_int_equal(kit->ept.stats.splits, 2);
	assert_int_equal(ept_entry(&kit->ept, hypr_gpa(page), &level),
			 (4 * G1 + 5 * M2 + 7 * K4) | 0x31);
	assert_true(ept_kit_clean(kit));
	/* 512 equal pages twice: one page of 1 GiB again. */
	assert_int_equal(protect(kit, page, K4, RWX_WB), EPT_OK);
	assert_edit(kit, G1, 2 * G1, true);
	assert_pages(kit, 0, 0, 1);
	assert_int_equal(kit->ept.stats.merges, 2);
	assert_int_equal(kit->ept.stats.retired, 2);
	assert_int_equal(ept_entry(&kit->ept, hypr_gpa(G1), &level), 4 * G1 | 0xb7);
}

static void test_protect_writes_nothing_that_is_so_already(void **state)
{
	struct ept_kit *kit = *state;

	ept_kit_map(kit, 0, 0, G1, RWX_WB);
	kit->fuse = 0;
	assert_int_equal(protect(kit, K4, K4, RWX_WB), EPT_OK);
	assert_edit(kit, 0, 0, false);
	assert_pages(kit, 0, 0, 1);
}

static void test_protect_out_of_memory_changes_nothing(void **state)
{
	struct ept_kit *kit = *state;

	ept_kit_map(kit, 0, 0, G1, RWX_WB);
	for (u64 fuse = 0; fuse < 3; fuse++) {
		kit->fuse = fuse;
		assert_int_equal(protect(kit, M2 - K4, 2 * K4, RO_WB), EPT_NO_MEMORY);
		assert_pages(kit, 0, 0, 1);
		assert_edit(kit, 0, 0, false);
	}
	kit->fuse = 3;
	assert_int_equal(protect(kit, M2 - K4, 2 * K4, RO_WB), EPT_OK);
	assert_pages(kit, 1024, 510, 0);
}

static void test_map_merges_with_its_neighbours(void **state)
{
	struct ept_kit *kit = *state;

	ept_kit_map(kit, 0, G1, 200 * K4, RWX_WB);
	assert_edit(kit, 0, 200 * K4, false);
	ept_kit_map(kit, 201 * K4, G1 + 201 * K4, 311 * K4, RWX_WB);
	assert_pages(kit, 511, 0, 0);
	assert_int_equal(ept_kit_map(kit, 200 * K4, G1 + 200 * K4, K4, RWX_WB), EPT_OK);
	assert_pages(kit, 0, 1, 0);
	/* The table page is out of the tree, so an INVEPT is needed. */
	assert_edit(kit, 0, M2, true);
	assert_int_equal(kit->ept.stats.retired, 1);
}

static void test_no_merge_of_pages_that_differ(void **state)
{
	static const struct {
		u64 hpa;
		u32 permissions;
	} cases[] = {
		{ G1 + K4, RO_WB },
		{ G1 + K4, EPT_RWX | EPT_WT },
		{ G1 + K4, RWX_WB | EPT_IGNORE_PAT },
		{ G1 + K4, RWX_WB | EPT_USER_EXEC },
		{ G1 + 2 * K4, RWX_WB },
	};
	struct ept_kit *kit = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ept_kit_map(kit, 0, G1, K4, RWX_WB);
		ept_kit_map(kit, 2 * K4, G1 + 2 * K4, 510 * K4, RWX_WB);
		assert_int_equal(ept_kit_map(kit, K4, cases[i].hpa, K4, cases[i].permissions),
				 EPT_OK);
		assert_pages(kit, 512, 0, 0);
		unmap(kit, 0, M2);
	}
}

static void test_keep_small_holds_merges_off(void **state)
{
	struct ept_kit *kit = *state;

	kit->ept.keep_small = true;
	ept_kit_map(kit, 0, 0, K4, RWX_WB);
	ept_kit_map(kit, K4, K4, 511 * K4, RWX_WB);
	assert_pages(kit, 512, 0, 0);
	assert_false(kit->edit.invept);
	/* The next change of the table makes up for it. */
	kit->ept.keep_small = false;
	assert_int_equal(protect(kit, 0, K4, RWX_WB), EPT_OK);
	assert_pages(kit, 0, 1, 0);
	assert_edit(kit, 0, M2, true);
}

/*
 * A CPU that sets the dirty bit of one page, while the mapper changes permissions.
 * The CPU's thread alone clears the bit, so a bit that is clear after the set was lost.
 */
struct writer {
	u64 *entry;
	u32 rounds;
	u32 lost;
	bool done;
};

static bool is_dirty(const u64 *entry)
{
	return __atomic_load_n(entry, __ATOMIC_SEQ_CST) & EPT_DIRTY;
}

static void *set_and_clear(void *argument)
{
	struct writer *writer = argument;

	for (u32 i = 0; i < writer->rounds; i++) {
		__atomic_fetch_or(writer->entry, EPT_DIRTY, __ATOMIC_SEQ_CST);
		/* Long enough for a store of the mapper to come after the set. */
		for (u32 look = 0; look < 16; look++) {
			if (!is_dirty(writer->entry)) {
				writer->lost++;
				break;
			}
		}
		__atomic_fetch_and(writer->entry, ~(u64)EPT_DIRTY, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&writer->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void test_protect_loses_no_dirty_bit(void **state)
{
	struct ept_kit *kit = *state;
	struct writer writer = { .rounds = 1000000 };
	pthread_t thread;
	u64 *table;

	ept_kit_map(kit, 0, 0, K4, RWX_WB);
	table = kit->ept.root;
	for (u32 level = 4; level > 1; level--)
		table = plat_hpa_to_virt(hypr_hpa(table[0] & 0xffffffffff000));
	writer.entry = &table[0];
	assert_int_equal(pthread_create(&thread, NULL, set_and_clear, &writer), 0);
	for (u32 i = 0; !__atomic_load_n(&writer.done, __ATOMIC_ACQUIRE); i++)
		protect(kit, 0, K4, i & 1 ? RWX_WB : RO_WB);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(writer.lost, 0);
}

#define with(test)	cmocka_unit_test_setup_teardown(test, ept_kit_setup, ept_kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with(test_unmap_splits_where_an_edge_cuts),
		with(test_unmap_passes_over_holes),
		with(test_retired_tables_wait_for_the_release),
		with(test_fini_gives_retired_tables_back),
		with(test_unmap_refuses),
		with(test_protect_refuses),
		with(test_protect_splits_and_merges_back),
		with(test_protect_writes_nothing_that_is_so_already),
		with(test_protect_out_of_memory_changes_nothing),
		with(test_map_merges_with_its_neighbours),
		with(test_no_merge_of_pages_that_differ),
		with(test_keep_small_holds_merges_off),
		with(test_protect_loses_no_dirty_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
