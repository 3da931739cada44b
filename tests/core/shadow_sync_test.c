// SPDX-License-Identifier: GPL-2.0-only
/* core/shadow*.c: the guest edits its tables and invalidates; bounded work. */
#include "tests/core/shadow_case.h"

static void test_first_write_sets_the_dirty_flag(void **state)
{
	(void)state;
	map(GVA, DATA, RWU);
	reaches(GVA, WALK_USER, DATA);
	assert_int_equal(*leaf(GVA) & (G_A | G_D), G_A);
	reaches(GVA, WALK_USER | WALK_WRITE, DATA);
	assert_int_equal(*leaf(GVA) & (G_A | G_D), G_A | G_D);
	assert_int_equal(stats().faults, 2);
	reaches(GVA + 8, WALK_USER | WALK_WRITE, DATA + 8);
	assert_int_equal(stats().faults, 2);
}

static void test_cleared_flags_are_set_again_after_invlpg(void **state)
{
	(void)state;
	map(GVA, DATA, RWU);
	reaches(GVA, WALK_USER | WALK_WRITE, DATA);
	/* Tracked: the guest's write is emulated, the next access faults. */
	*leaf(GVA) &= ~(G_A | G_D);
	shadow_guest_wrote(guest->table, hypr_gpa(guest_entry(guest, cr3, 4, 1, GVA)), 8);
	shadow_invlpg(&guest->vcpu[0], hypr_gva(GVA));
	reaches(GVA, WALK_USER, DATA);
	assert_int_equal(*leaf(GVA) & (G_A | G_D), G_A);
	reaches(GVA, WALK_USER | WALK_WRITE, DATA);
	assert_int_equal(*leaf(GVA) & (G_A | G_D), G_A | G_D);
}

static void test_leaf_table_goes_out_of_sync(void **state)
{
	u64 entry;

	(void)state;
	map(GVA, DATA, RWU);
	reaches(GVA, WALK_USER, DATA);
	entry = map_window();
	assert_false(guest_store(guest, 0, entry, (DATA + 0x1000) | RWU, 0).emulate);
	assert_int_equal(stats().unsync, 1);
	/* Old until the guest invalidates it. */
	reaches(GVA, WALK_USER, DATA);
	shadow_invlpg(&guest->vcpu[0], hypr_gva(GVA));
	reaches(GVA, WALK_USER, DATA + 0x1000);
	/* No more faults on writes. */
	assert_int_equal(stats().emulated, 0);
	for (u64 i = 1; i < 100; i++)
		guest_store(guest, 0, entry + i * 8, (DATA + i * 0x1000) | RWU, 0);
	assert_int_equal(stats().emulated, 0);
	assert_int_equal(stats().unsync, 1);
}

static void test_cr3_load_synchronises(void **state)
{
	u64 entry;

	(void)state;
	map(GVA, DATA, RWU);
	map(GVA + 0x1000, DATA, RWU);
	reaches(GVA, WALK_USER | WALK_WRITE, DATA);
	reaches(GVA + 0x1000, WALK_USER | WALK_WRITE, DATA);
	entry = map_window();
	/* Another page; and the same page, read-only. */
	guest_store(guest, 0, entry, (DATA + 0x1000) | RWU | G_A, 0);
	guest_store(guest, 0, entry + 8, DATA | G_P | G_U | G_A | G_D, 0);
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3), 0);
	assert_int_equal(stats().unsync, 0);
	reaches(GVA, WALK_USER, DATA + 0x1000);
	faults(GVA + 0x1000, WALK_USER | WALK_WRITE, 7);
	/* It is tracked again: the next write faults, once. */
	guest_store(guest, 0, entry, DATA | RWU, 0);
	assert_int_equal(stats().unsync, 1);
}

static void test_synchronised_entry_keeps_what_it_may(void **state)
{
	u64 entry, before;

	(void)state;
	guest->host[DATA / CORE_PAGE_4K] = HOST_NO_EXECUTE;
	map(GVA, DATA, RWU);
	reaches(GVA, WALK_USER | WALK_WRITE, DATA);
	entry = map_window();
	guest_store(guest, 0, entry, DATA | RWU | G_A | G_D, 0);
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3), 0);
	before = stats().faults;
	reaches(GVA, WALK_USER | WALK_WRITE, DATA);
	assert_int_equal(stats().faults, before);
	assert_int_equal(guest_access(guest, 0, GVA, WALK_USER | WALK_FETCH).result,
			 MMU_NO_MEMORY);
}

/* What has been invalidated while no path led to the table is seen through a new path. */
static void test_new_path_to_a_table_out_of_sync(void **state)
{
	u64 other = GVA + CORE_PAGE_2M, entry;

	(void)state;
	map(GVA, DATA, RWU);
	map(GVA + 0x1000, DATA, RWU);
	reaches(GVA, WALK_USER, DATA);
	set_level2(other, *guest_at(guest, guest_entry(guest, cr3, 4, 2, GVA)));
	entry = map_window();
	guest_store(guest, 0, entry, (DATA + 0x1000) | RWU | G_A, 0);
	assert_int_equal(stats().unsync, 1);
	reaches(other + 0x1000, WALK_USER, DATA);
	reaches(other, WALK_USER, DATA + 0x1000);
}

/* The same, where the path is broken above the table that leads to it. */
static void test_new_path_to_an_upper_table(void **state)
{
	u64 level3 = guest_entry(guest, cr3, 4, 3, GVA), was, entry;

	(void)state;
	map(GVA, DATA, RWU);
	map(GVA + 0x1000, DATA, RWU);
	reaches(GVA, WALK_USER, DATA);
	entry = map_window();
	guest_store(guest, 0, entry, (DATA + 0x1000) | RWU | G_A, 0);
	assert_int_equal(stats().unsync, 1);
	was = *guest_at(guest, level3);
	*guest_at(guest, level3) = 0;
	shadow_guest_wrote(guest->table, hypr_gpa(level3), 8);
	shadow_invlpg(&guest->vcpu[0], hypr_gva(GVA));
	*guest_at(guest, level3) = was;
	shadow_guest_wrote(guest->table, hypr_gpa(level3), 8);
	reaches(GVA + 0x1000, WALK_USER, DATA);
	reaches(GVA, WALK_USER, DATA + 0x1000);
}

static void test_table_out_of_sync_that_nobody_uses(void **state)
{
	u64 level2, entry, pages;

	(void)state;
	map(GVA, DATA, RWU);
	level2 = *guest_at(guest, guest_entry(guest, cr3, 4, 2, GVA));
	reaches(GVA, WALK_USER, DATA);
	entry = map_window();
	guest_store(guest, 0, entry, (DATA + 0x1000) | RWU, 0);
	set_level2(GVA, 0);
	pages = stats().pages;
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3), 0);
	assert_int_equal(stats().pages, pages - 1);
	/* The same, but a fault uses it before it is dropped. */
	set_level2(GVA, level2);
	reaches(GVA, WALK_USER, DATA + 0x1000);
	guest_store(guest, 0, entry, (DATA + 0x2000) | RWU, 0);
	assert_int_equal(stats().unsync, 1);
	set_level2(GVA, 0);
	shadow_invlpg(&guest->vcpu[0], hypr_gva(GVA));
	set_level2(GVA, level2);
	reaches(GVA, WALK_USER, DATA + 0x2000);
	assert_int_equal(stats().unsync, 0);
}

static void test_unused_leaf_table_is_dropped_at_a_write(void **state)
{
	u64 table, window = GVA + (1ull << 39), pages;

	(void)state;
	map(GVA, DATA, RWU);
	reaches(GVA, WALK_USER, DATA);
	table = guest_entry(guest, cr3, 4, 1, GVA) & ~0xfffull;
	map(window, table, G_P | G_W);
	reaches(window, 0, table);
	set_level2(GVA, 0);
	pages = stats().pages;
	assert_false(guest_store(guest, 0, window, 5, 0).emulate);
	assert_int_equal(stats().pages, pages - 1);
	assert_int_equal(stats().unsync, 0);
}

static void test_leaf_table_becomes_an_upper_one(void **state)
{
	u64 entry, table;

	(void)state;
	map(GVA, DATA, RWU);
	reaches(GVA, WALK_USER, DATA);
	entry = map_window();
	table = guest_entry(guest, cr3, 4, 1, GVA) & ~0xfffull;
	guest_store(guest, 0, entry, table | RWU | G_A, 0);
	assert_int_equal(stats().unsync, 1);
	/* Its entry for GVA points to itself: at level 2 it is a table, at level 1 a page. */
	*guest_at(guest, guest_entry(guest, cr3, 4, 3, GVA + (1ull << 39))) = table | RWU;
	reaches((GVA & ~0x3fffffffull) + (1ull << 39) + (GVA >> 12 & 511) * CORE_PAGE_2M +
		(GVA >> 12 & 511) * CORE_PAGE_4K, WALK_USER, table);
	assert_int_equal(stats().unsync, 0);
	assert_true(guest_store(guest, 0, entry + 8, 0, 0).emulate);
}

static void test_new_entries_need_no_invlpg(void **state)
{
	u64 entry;

	(void)state;
	map(GVA + 0x1000, DATA, RWU);
	entry = map_window();
	guest_store(guest, 0, entry, 0, 0);
	faults(GVA, WALK_USER, WALK_PF_USER);
	guest_store(guest, 0, entry, DATA | RWU, 0);
	reaches(GVA, WALK_USER, DATA);
}

static void test_global_entry_of_another_pcid_is_synchronised_by_invlpg(void **state)
{
	u64 other, entry, old_link;

	(void)state;
	set_mode(CR0_WP, CR4_PGE | CR4_PCIDE, EFER_NXE);
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3 | 1), 0);
	map(GVA, DATA, RWU | G_G);
	reaches(GVA, WALK_USER, DATA);
	entry = map_window();
	guest_store(guest, 0, entry, (DATA + 0x1000) | RWU | G_G | G_A, 0);
	assert_int_equal(stats().unsync, 1);
	/* The other address space has no shadow for this GVA yet. */
	other = guest_table(guest);
	old_link = *guest_at(guest, cr3 + (GVA >> 39 & 511) * 8);
	*guest_at(guest, other + (GVA >> 39 & 511) * 8) = old_link;
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], other | 2 | CR3_KEEP), 0);
	assert_int_equal(stats().unsync, 0);
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3 | 1 | CR3_KEEP), 0);
	reaches(GVA, WALK_USER, DATA + 0x1000);
	guest_store(guest, 0, entry, (DATA + 0x2000) | RWU | G_G | G_A, 0);
	assert_int_equal(stats().unsync, 1);
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], other | 2 | CR3_KEEP), 0);
	assert_int_equal(stats().unsync, 1);
	shadow_invlpg(&guest->vcpu[0], hypr_gva(GVA));
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3 | 1 | CR3_KEEP), 0);
	reaches(GVA, WALK_USER, DATA + 0x2000);
}

static void test_pcid_keeps_what_bit_63_says(void **state)
{
	(void)state;
	set_mode(CR0_WP, CR4_PCIDE, EFER_NXE);
	assert_int_equal(shadow_pcid(&guest->vcpu[0]), 0);
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3 | 1), 0);
	assert_int_equal(shadow_pcid(&guest->vcpu[0]), 1);
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3 | 2), 0);
	guest->flushes_context = 0;
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3 | 1 | CR3_KEEP), 0);
	assert_int_equal(guest->flushes_context, 0);
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3 | 1), 0);
	assert_int_equal(guest->flushes_context, 1);
	/* The PCID's entries are another root's. */
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], DATA | 1 | CR3_KEEP), 0);
	assert_int_equal(guest->flushes_context, 2);
	/* Forgotten after as many others. */
	for (u64 pcid = 10; pcid < 10 + SHADOW_ROOTS; pcid++)
		assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3 | pcid), 0);
	guest->flushes_context = 0;
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], DATA | 1 | CR3_KEEP), 0);
	assert_int_equal(guest->flushes_context, 1);
}

static void test_global_page_stays_in_the_tlb(void **state)
{
	(void)state;
	set_mode(CR0_WP, CR4_PGE, EFER_NXE);
	map(GVA, DATA, RWU | G_G);
	reaches(GVA, WALK_USER, DATA);
	*leaf(GVA) = 0;
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3), 0);
	reaches(GVA, WALK_USER, DATA);
	shadow_invlpg(&guest->vcpu[0], hypr_gva(GVA));
	shadow_guest_wrote(guest->table, hypr_gpa(guest_entry(guest, cr3, 4, 1, GVA)), 8);
	faults(GVA, WALK_USER, WALK_PF_USER);
}

/* Parts of a large global page are global: INVLPG drops them for every PCID. */
static void test_split_global_page_is_invalidated_for_every_pcid(void **state)
{
	u64 other = guest_table(guest);

	(void)state;
	set_mode(CR0_WP, CR4_PGE | CR4_PCIDE, EFER_NXE);
	/* Known already, so that going there flushes nothing. */
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], other | 2), 0);
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3 | 1), 0);
	guest->host[512 + 7] = HOST_READ_ONLY;
	guest_map(guest, cr3, 4, 2, GVA, CORE_PAGE_2M, RWU | G_G);
	guest_map(guest, cr3, 4, 3, 1ull << 40, 0, RWU | G_G);
	reaches(GVA, WALK_USER, CORE_PAGE_2M);
	reaches((1ull << 40) + CORE_PAGE_2M, WALK_USER, CORE_PAGE_2M);
	assert_true(stats().splits > 0);
	set_level2(GVA, 0);
	*guest_at(guest, guest_entry(guest, cr3, 4, 3, 1ull << 40)) = 0;
	shadow_guest_wrote(guest->table, hypr_gpa(guest_entry(guest, cr3, 4, 3, 1ull << 40)), 8);
	guest->flushes_all = 0;
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], other | 2 | CR3_KEEP), 0);
	shadow_invlpg(&guest->vcpu[0], hypr_gva(GVA));
	shadow_invlpg(&guest->vcpu[0], hypr_gva((1ull << 40) + CORE_PAGE_2M));
	assert_int_equal(shadow_load_cr3(&guest->vcpu[0], cr3 | 1 | CR3_KEEP), 0);
	assert_int_equal(guest->flushes_all, 0);
	faults(GVA, WALK_USER, WALK_PF_USER);
	faults((1ull << 40) + CORE_PAGE_2M, WALK_USER, WALK_PF_USER);
}

static void test_upper_table_write_is_emulated(void **state)
{
	u64 level2 = guest_entry(guest, cr3, 4, 2, GVA), entry;

	(void)state;
	map(GVA, DATA, RWU);
	map(GVA + 0x1000, level2 & ~0xfffull, G_P | G_W);
	reaches(GVA, WALK_USER, DATA);
	entry = GVA + 0x1000 + (level2 & 0xfff);
	assert_true(guest_store(guest, 0, entry, 0, 0).emulate);
	assert_int_equal(stats().emulated, 1);
	shadow_invlpg(&guest->vcpu[0], hypr_gva(GVA));
	faults(GVA, WALK_USER, WALK_PF_USER);
}

static void test_flooded_table_is_given_up(void **state)
{
	u64 level2, other = GVA + (1ull << 39);

	(void)state;
	map(GVA, DATA, RWU);
	reaches(GVA, WALK_USER, DATA);
	level2 = guest_entry(guest, cr3, 4, 2, GVA);
	/* Through another path, which does not use the table. */
	map(other, level2 & ~0xfffull, G_P | G_W);
	for (u64 i = 0; i < 3; i++)
		assert_true(guest_store(guest, 0, other + 0x100 + i * 8, 0, 0).emulate);
	assert_int_equal(stats().flooded, 1);
	for (u64 i = 0; i < 100; i++)
		assert_false(guest_store(guest, 0, other + 0x100 + i * 8, 0, 0).emulate);
	assert_int_equal(stats().emulated, 3);
	reaches(GVA, WALK_USER, DATA);
}

static void test_every_leaf_table_written_stays_bounded(void **state)
{
	u64 work = 0, most = 0;

	(void)state;
	/* More leaf tables than may be out of sync, each one maps itself. */
	teardown(NULL);
	assert_int_equal(setup_with(256), 0);
	for (u64 i = 0; i < 100; i++) {
		u64 gva = GVA + (i << 21);

		map(gva, guest_entry(guest, cr3, 4, 1, gva) & ~0xfffull, G_P | G_W);
	}
	for (u32 round = 0; round < 3; round++) {
		for (u64 i = 0; i < 100; i++) {
			work = stats().work;
			guest_store(guest, 0, GVA + (i << 21) + 8 * 8, round, 0);
			if (stats().work - work > most)
				most = stats().work - work;
			assert_true(stats().unsync <= 64);
		}
	}
	assert_int_equal(stats().emulated, 0);
	assert_true(most < 4000);
}

static void test_many_mappings_of_one_page_stay_bounded(void **state)
{
	u64 work, table;

	(void)state;
	for (u64 i = 0; i < 600; i++) {
		map(GVA + i * CORE_PAGE_4K, DATA, RWU);
		reaches(GVA + i * CORE_PAGE_4K, WALK_USER | WALK_WRITE, DATA);
	}
	/* The page becomes a table: all mappings of it lose their write. */
	work = stats().work;
	map(GVA + (1ull << 39), DATA, RWU);
	table = guest_entry(guest, cr3, 4, 2, GVA + (1ull << 39));
	*guest_at(guest, table) = DATA | RWU;
	shadow_guest_wrote(guest->table, hypr_gpa(table), 8);
	guest_access(guest, 0, GVA + (1ull << 39), 0);
	assert_true(stats().work - work < 2000);
	for (u64 i = 0; i < 600; i += 100)
		reaches(GVA + i * CORE_PAGE_4K, WALK_USER, DATA);
}

static void test_table_pointed_to_from_everywhere_stays_bounded(void **state)
{
	u64 leaf_table, work;

	(void)state;
	map(GVA, DATA, RWU);
	leaf_table = guest_entry(guest, cr3, 4, 1, GVA) & ~0xfffull;
	/* GVA and 511 others in each of two level-2 tables. */
	for (u64 i = 0; i < 1024; i++) {
		u64 gva = (GVA & ~0x3fffffffull) + (i << 21) + (GVA & 0x1ff000);
		u64 entry = guest_entry(guest, cr3, 4, 2, gva);

		*guest_at(guest, entry) = leaf_table | RWU;
		shadow_guest_wrote(guest->table, hypr_gpa(entry), 8);
		work = stats().work;
		reaches(gva, WALK_USER, DATA);
		assert_true(stats().work - work < 2000);
	}
}

static void test_device_writes_reach_the_shadow(void **state)
{
	u64 *entry;

	(void)state;
	map(GVA, DATA, RWU);
	map(GVA + 0x1000, DATA + 0x1000, RWU);
	reaches(GVA, WALK_USER, DATA);
	reaches(GVA + 0x1000, WALK_USER, DATA + 0x1000);
	entry = leaf(GVA);
	/* Part of an entry; both, over a page's end; all memory. */
	memset(entry, 0, 1);
	shadow_guest_wrote(guest->table, hypr_gpa(guest_entry(guest, cr3, 4, 1, GVA) + 1), 1);
	shadow_invlpg(&guest->vcpu[0], hypr_gva(GVA));
	faults(GVA, WALK_USER, WALK_PF_USER);
	memset(entry, 0, 16);
	shadow_guest_wrote(guest->table,
			   hypr_gpa((guest_entry(guest, cr3, 4, 1, GVA) & ~0xfffull) - 8), 4096);
	shadow_invlpg(&guest->vcpu[0], hypr_gva(GVA + 0x1000));
	faults(GVA + 0x1000, WALK_USER, WALK_PF_USER);
	*entry = DATA | RWU;
	reaches(GVA, WALK_USER, DATA);
	*entry = 0;
	shadow_guest_wrote(guest->table, hypr_gpa(0), GUEST_PAGES * CORE_PAGE_4K);
	assert_int_equal(stats().pages, 1);
	shadow_invlpg(&guest->vcpu[0], hypr_gva(GVA));
	faults(GVA, WALK_USER, WALK_PF_USER);
	/* The end of the address space. */
	shadow_guest_wrote(guest->table, hypr_gpa(~0ull - 15), 15);
}

/*
 * One page is the table of levels 2 and 1 and the page that is mapped.  Its write changes
 * the path of the write; the processor may remember the old path until INVLPG.
 */
static void test_page_that_maps_itself_moves_at_invlpg(void **state)
{
	u64 gva = GVA + 2 * CORE_PAGE_4K, other = guest_table(guest);
	struct guest_outcome outcome;

	(void)state;
	assert_int_equal(gva >> 12 & 511, gva >> 21 & 511);
	*guest_at(guest, guest_entry(guest, cr3, 4, 3, gva)) = DATA | RWU;
	*guest_at(guest, DATA + 16) = DATA | RWU;
	*guest_at(guest, other + 16) = (DATA + CORE_PAGE_4K) | RWU;
	reaches(gva, WALK_USER, DATA);
	outcome = guest_store(guest, 0, gva + 16, other | RWU, WALK_USER);
	assert_true(outcome.emulate);
	assert_int_equal(outcome.gpa, DATA + 16);
	reaches(gva, WALK_USER, DATA);
	shadow_invlpg(&guest->vcpu[0], hypr_gva(gva));
	reaches(gva, WALK_USER, DATA + CORE_PAGE_4K);
}

static void meddle_leaf(struct guest *now)
{
	*guest_at(now, guest_entry(now, cr3, 4, 1, GVA)) = (DATA + 0x1000) | RWU;
}

static void meddle_root(struct guest *now)
{
	*guest_at(now, guest_entry(now, cr3, 4, 4, GVA)) = 0;
}

static void test_entry_changed_by_another_cpu_is_walked_again(void **state)
{
	(void)state;
	map(GVA, DATA, RWU);
	guest->meddle = meddle_leaf;
	reaches(GVA, WALK_USER, DATA + 0x1000);
	assert_int_equal(stats().faults, 2);
	guest->meddle = meddle_root;
	shadow_forget(guest->table);
	faults(GVA, WALK_USER, WALK_PF_USER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(first_write_sets_the_dirty_flag),
		TEST(cleared_flags_are_set_again_after_invlpg),
		TEST(leaf_table_goes_out_of_sync),
		TEST(cr3_load_synchronises),
		TEST(synchronised_entry_keeps_what_it_may),
		TEST(new_path_to_a_table_out_of_sync),
		TEST(new_path_to_an_upper_table),
		TEST(table_out_of_sync_that_nobody_uses),
		TEST(unused_leaf_table_is_dropped_at_a_write),
		TEST(leaf_table_becomes_an_upper_one),
		TEST(new_entries_need_no_invlpg),
		TEST(global_entry_of_another_pcid_is_synchronised_by_invlpg),
		TEST(pcid_keeps_what_bit_63_says),
		TEST(global_page_stays_in_the_tlb),
		TEST(split_global_page_is_invalidated_for_every_pcid),
		TEST(upper_table_write_is_emulated),
		TEST(flooded_table_is_given_up),
		TEST(every_leaf_table_written_stays_bounded),
		TEST(many_mappings_of_one_page_stay_bounded),
		TEST(table_pointed_to_from_everywhere_stays_bounded),
		TEST(device_writes_reach_the_shadow),
		TEST(page_that_maps_itself_moves_at_invlpg),
		TEST(entry_changed_by_another_cpu_is_walked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
