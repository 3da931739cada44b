// SPDX-License-Identifier: GPL-2.0-only
/* core/shadow*.c: tables for one write, tables read again, memory of the caller's. */
#include "tests/core/shadow_case.h"

static struct shadow_opening opening;
static hypr_gpa_t gpa;
static hypr_hpa_t page;

static int with_tables(void **state)
{
	for (u32 i = 0; i < SHADOW_OPEN_TABLES; i++) {
		opening.table[i] = plat_page_alloc(1, PLAT_NODE_ANY);
		if (!opening.table[i])
			return -1;
	}
	opening.tables = 0;
	return setup(state);
}

static int without_tables(void **state)
{
	for (u32 i = 0; i < SHADOW_OPEN_TABLES; i++)
		plat_page_free(opening.table[i], 1);
	return teardown(state);
}

static bool more(u64 gva, u32 access)
{
	return shadow_open_page(&guest->vcpu[0], hypr_gva(gva), access, 0, &opening, &gpa, &page);
}

static bool opens(u64 gva, u32 access)
{
	opening.tables = 0;
	return more(gva, access);
}

/* The processor, in the guest's mode but with CR0.WP = 1, on the opening's tables. */
static bool allows(u64 gva, u32 access)
{
	struct walk walk = guest->vcpu[0].walk;
	struct walk_result result;

	walk.memory = &walk_host_memory;
	walk.root = shadow_open_root(&opening).addr;
	walk.mode.maxphyaddr = 52;
	walk.mode.flags |= WALK_WP | WALK_NXE;
	return !walk_peek(&walk, gva, access, &result);
}

static void test_tracked_table_can_be_written(void **state)
{
	u64 upper, entry;
	struct shadow_fault fault;

	(void)state;
	map(GVA, DATA, RWU);
	map(GVA + 0x1000, DATA + 0x1000, G_P | G_W);
	map(GVA + 0x2000, DATA + 0x2000, G_P | G_U);
	upper = guest_entry(guest, cr3, 4, 2, GVA) & ~0xfffull;
	map(GVA + 0x3000, upper, G_P | G_W);
	reaches(GVA, WALK_USER | WALK_WRITE, DATA);
	reaches(GVA + 0x1000, WALK_WRITE, DATA + 0x1000);
	reaches(GVA + 0x2000, WALK_USER, DATA + 0x2000);
	assert_int_equal(shadow_fault(&guest->vcpu[0], hypr_gva(GVA + 0x3000), WALK_WRITE, 0,
				      &fault), 0);
	assert_int_equal(fault.result, MMU_EMULATE);
	assert_true(opens(GVA + 0x3008, WALK_WRITE));
	assert_ptr_equal((u8 *)page.addr, (u8 *)guest_at(guest, upper));
	assert_int_equal(gpa.addr, upper);
	assert_true(allows(GVA + 0x3008, WALK_WRITE));
	assert_false(allows(GVA + 0x3008, WALK_USER));
	/* All else is as in the vCPU's own tables. */
	assert_true(allows(GVA, WALK_USER | WALK_WRITE));
	assert_true(allows(GVA + 0x1000, WALK_WRITE));
	assert_false(allows(GVA + 0x1000, WALK_USER));
	assert_true(allows(GVA + 0x2000, WALK_USER));
	assert_false(allows(GVA + 0x2000, WALK_USER | WALK_WRITE));
	assert_false(allows(GVA + 0x4000, 0));
	/* The vCPU's own tables still let nobody write the table. */
	entry = *guest_at(guest, guest_entry(guest, cr3, 4, 1, GVA + 0x3000));
	assert_int_equal(entry & G_D, G_D);
	assert_true(guest_store(guest, 0, GVA + 0x3000 + 8 * 300, 0, WALK_WRITE).emulate);
}

static void test_rights_of_upper_entries_hold(void **state)
{
	u64 entry;

	(void)state;
	set_mode(0, CR4_SMAP, EFER_NXE);
	map(GVA, DATA, G_P | G_W);
	map(GVA + 0x1000, DATA + 0x1000, G_P | G_W);
	entry = guest_entry(guest, cr3, 4, 2, GVA);
	*guest_at(guest, entry) = (*guest_at(guest, entry) & ~G_W) | G_NX;
	shadow_guest_wrote(guest->table, hypr_gpa(entry), 8);
	reaches(GVA + 0x1000, 0, DATA + 0x1000);
	/* With CR0.WP = 0 the guest's kernel may write; the shadow's CR0.WP is 1. */
	assert_true(opens(GVA, WALK_WRITE));
	assert_true(allows(GVA, WALK_WRITE));
	assert_false(allows(GVA, WALK_FETCH));
	assert_true(allows(GVA + 0x1000, 0));
	assert_false(allows(GVA + 0x1000, WALK_WRITE));
	assert_false(allows(GVA + 0x1000, WALK_FETCH));
}

static void test_nothing_to_open(void **state)
{
	struct shadow_vcpu none;

	(void)state;
	assert_false(opens(GVA, WALK_WRITE));
	map(GVA, DATA, G_P);
	assert_false(opens(GVA, WALK_WRITE));
	map(GVA, DATA, RWU);
	guest->host[DATA / CORE_PAGE_4K] = HOST_READ_ONLY;
	assert_false(opens(GVA, WALK_WRITE));
	guest->host[DATA / CORE_PAGE_4K] = HOST_MISSING;
	assert_false(opens(GVA, WALK_WRITE));
	guest->host[DATA / CORE_PAGE_4K] = 0;
	assert_true(opens(GVA, WALK_WRITE));
	shadow_vcpu_init(&none, guest->table);
	assert_false(shadow_open_page(&none, hypr_gva(GVA), WALK_WRITE, 0, &opening, &gpa, &page));
}

/* An entry of the opening may be the only one to a page, which the host takes all the same. */
static void test_page_that_the_host_takes_is_flushed(void **state)
{
	struct shadow_fault fault;
	u32 before;

	(void)state;
	set_mode(0, CR4_SMAP, EFER_NXE);
	map(GVA, DATA, G_P);
	shadow_invalidate(guest->table);
	assert_int_equal(shadow_fault(&guest->vcpu[0], hypr_gva(GVA), WALK_WRITE, 0, &fault), 0);
	assert_int_equal(fault.result, MMU_EMULATE);
	for (int i = 0; i < 2; i++) {
		guest->host[DATA / CORE_PAGE_4K] = 0;
		assert_true(opens(GVA, WALK_WRITE));
		guest->host[DATA / CORE_PAGE_4K] = HOST_MISSING;
		before = guest->flushes_all;
		shadow_host_changed(guest->table, hypr_gpa(DATA), CORE_PAGE_4K);
		assert_int_equal(guest->flushes_all, before + 1);
	}
}

/* An instruction may write two pages, in any two places. */
static void test_two_pages(void **state)
{
	static const u64 second[] = { 0x1000, 1ull << 21, 1ull << 30, 1ull << 39 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(second); i++) {
		u64 gva = (u64)(i + 1) << 40;
		u64 tables = 0;

		map(gva, DATA, G_P | G_W);
		map(gva + 0x5000, DATA + 0x5000, G_P | G_W);
		map(gva + second[i], DATA + 0x1000, RWU);
		reaches(gva + 0x5000, WALK_WRITE, DATA + 0x5000);
		assert_true(opens(gva, WALK_WRITE));
		tables = opening.tables;
		assert_int_equal(tables, 4);
		assert_true(more(gva + second[i], WALK_WRITE | WALK_USER));
		assert_int_equal(opening.tables, tables + i);
		assert_true(allows(gva, WALK_WRITE));
		assert_false(allows(gva, WALK_USER));
		assert_true(allows(gva + second[i], WALK_WRITE | WALK_USER));
		assert_true(allows(gva + 0x5000, WALK_WRITE));
		assert_false(allows(gva + 0x6000, 0));
	}
}

/* ---- written by a way that nobody saw -------------------------------------- */

static void again(void)
{
	shadow_read_again(guest->table, hypr_gpa(0), GUEST_PAGES / 4 * CORE_PAGE_4K);
}

/* No fault more: the access goes by what the shadow has. */
static void reaches_at_once(u64 gva, u32 access, u64 gpa)
{
	u64 before = stats().faults;

	reaches(gva, access, gpa);
	assert_int_equal(stats().faults, before);
}

static void test_what_agrees_stays(void **state)
{
	u64 large = GVA + (1ull << 30), huge = 1ull << 40;

	(void)state;
	map(GVA, DATA, RWU);
	map(GVA + 0x1000, DATA + 0x1000, G_P | G_U);
	guest_map(guest, cr3, 4, 2, large, CORE_PAGE_2M, RWU);
	guest_map(guest, cr3, 4, 2, large + CORE_PAGE_2M, CORE_PAGE_2M, G_P | G_U);
	guest_map(guest, cr3, 4, 3, huge, 0, RWU);
	reaches(GVA, WALK_USER | WALK_WRITE, DATA);
	reaches(GVA + 0x1000, WALK_USER, DATA + 0x1000);
	reaches(large, WALK_USER | WALK_WRITE, CORE_PAGE_2M);
	reaches(large + CORE_PAGE_2M, WALK_USER, CORE_PAGE_2M);
	reaches(huge, WALK_USER | WALK_WRITE, 0);
	for (int i = 0; i < 5; i++) {
		again();
		shadow_invlpg(&guest->vcpu[0], hypr_gva(GVA));
		shadow_invalidate(guest->table);
		reaches_at_once(GVA, WALK_USER | WALK_WRITE, DATA);
		reaches_at_once(GVA + 0x1000, WALK_USER, DATA + 0x1000);
		reaches_at_once(large, WALK_USER | WALK_WRITE, CORE_PAGE_2M);
		reaches_at_once(large + CORE_PAGE_2M, WALK_USER, CORE_PAGE_2M);
		reaches_at_once(huge, WALK_USER | WALK_WRITE, 0);
	}
	assert_int_equal(stats().flooded, 0);
}

/* Each bit that matters of an entry at each level. */
static void test_what_differs_goes(void **state)
{
	static const struct {
		u32 leaf;
		u32 level;
		u64 flip;
		u32 access, error_code;
	} rows[] = {
		{ 1, 1, G_P, WALK_USER, 4 },
		{ 1, 1, G_W, WALK_USER | WALK_WRITE, 7 },
		{ 1, 1, G_U, WALK_USER, 5 },
		{ 1, 1, G_NX, WALK_USER | WALK_FETCH, 0x15 },
		{ 1, 1, 1ull << 45, WALK_USER, 0xd },
		{ 1, 2, G_P, WALK_USER, 4 },
		{ 1, 2, G_W, WALK_USER | WALK_WRITE, 7 },
		{ 1, 2, G_U, WALK_USER, 5 },
		{ 1, 2, G_NX, WALK_USER | WALK_FETCH, 0x15 },
		{ 1, 2, 1ull << 45, WALK_USER, 0xd },
		{ 1, 3, G_P, WALK_USER, 4 },
		{ 1, 3, G_W, WALK_USER | WALK_WRITE, 7 },
		{ 1, 4, G_U, WALK_USER, 5 },
		{ 1, 4, G_LARGE, WALK_USER, 0xd },
		{ 2, 2, G_P, WALK_USER, 4 },
		{ 2, 2, G_W, WALK_USER | WALK_WRITE, 7 },
		{ 2, 2, G_U, WALK_USER, 5 },
		{ 2, 2, G_NX, WALK_USER | WALK_FETCH, 0x15 },
		{ 2, 2, 1ull << 13, WALK_USER, 0xd },
		{ 3, 3, G_P, WALK_USER, 4 },
		{ 3, 3, G_W, WALK_USER | WALK_WRITE, 7 },
		{ 3, 3, G_U, WALK_USER, 5 },
		{ 3, 3, G_NX, WALK_USER | WALK_FETCH, 0x15 },
		{ 3, 3, 1ull << 21, WALK_USER, 0xd },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 gva = (u64)(i + 1) << 39;
		u64 gpa = rows[i].leaf == 1 ? DATA : rows[i].leaf == 2 ? CORE_PAGE_2M : 0;
		u64 *entry;

		guest_map(guest, cr3, 4, rows[i].leaf, gva, gpa, RWU);
		reaches(gva, WALK_USER | WALK_WRITE, gpa);
		entry = guest_at(guest, guest_entry(guest, cr3, 4, rows[i].level, gva));
		*entry ^= rows[i].flip;
		again();
		shadow_invalidate(guest->table);
		faults(gva, rows[i].access, rows[i].error_code);
		*entry ^= rows[i].flip;
		again();
		reaches(gva, WALK_USER | WALK_WRITE, gpa);
	}
}

static void test_another_table_or_page_is_seen(void **state)
{
	u64 large = GVA + (1ull << 30), entry, other = GVA + (1ull << 32);

	(void)state;
	map(GVA, DATA, RWU);
	map(other, DATA + 0x1000, RWU);
	guest_map(guest, cr3, 4, 2, large, CORE_PAGE_2M, RWU);
	reaches(GVA, WALK_USER, DATA);
	reaches(other, WALK_USER, DATA + 0x1000);
	reaches(large, WALK_USER, CORE_PAGE_2M);
	*guest_at(guest, guest_entry(guest, cr3, 4, 2, GVA)) =
		*guest_at(guest, guest_entry(guest, cr3, 4, 2, other));
	*guest_at(guest, guest_entry(guest, cr3, 4, 2, large)) += CORE_PAGE_2M;
	again();
	shadow_invalidate(guest->table);
	reaches(GVA, WALK_USER, DATA + 0x1000);
	reaches(large, WALK_USER, 2 * CORE_PAGE_2M);
	/* A table where a large page was, and the other way round. */
	entry = *guest_at(guest, guest_entry(guest, cr3, 4, 2, GVA));
	*guest_at(guest, guest_entry(guest, cr3, 4, 2, GVA)) =
		*guest_at(guest, guest_entry(guest, cr3, 4, 2, large));
	*guest_at(guest, guest_entry(guest, cr3, 4, 2, large)) = entry;
	again();
	shadow_invalidate(guest->table);
	reaches(GVA, WALK_USER, 2 * CORE_PAGE_2M);
	reaches(large, WALK_USER, DATA + 0x1000);
}

/* One call does a bounded amount of work. */
static void test_many_tables_are_dropped(void **state)
{
	const u64 tables = 300;

	(void)state;
	teardown(NULL);
	assert_int_equal(setup_with(512), 0);
	for (u64 i = 0; i < tables; i++) {
		map(GVA + (i << 21), (GUEST_PAGES - 1) * CORE_PAGE_4K, RWU);
		reaches(GVA + (i << 21), WALK_USER, (GUEST_PAGES - 1) * CORE_PAGE_4K);
	}
	assert_true(stats().pages > tables);
	shadow_read_again(guest->table, hypr_gpa(0), 0);
	assert_true(stats().pages > tables);
	shadow_read_again(guest->table, hypr_gpa(0), GUEST_PAGES * CORE_PAGE_4K);
	assert_int_equal(stats().pages, 1);
	reaches(GVA, WALK_USER, (GUEST_PAGES - 1) * CORE_PAGE_4K);
}

/* ---- memory of the caller's ---------------------------------------------- */

static struct {
	u32 left, taken;
} store;

static void *store_get(void *context, u32 pages)
{
	assert_ptr_equal(context, &store);
	if (!store.left)
		return NULL;
	store.left--;
	store.taken += pages;
	return plat_page_alloc(pages, PLAT_NODE_ANY);
}

static void store_put(void *context, void *memory, u32 pages)
{
	assert_ptr_equal(context, &store);
	assert_non_null(memory);
	store.taken -= pages;
	plat_page_free(memory, pages);
}

static void test_memory_is_the_callers(void **state)
{
	struct shadow_page_table *old = guest->table;
	struct shadow_params params;
	struct shadow_vcpu vcpu;
	struct shadow_fault fault;

	(void)state;
	guest_params(guest, 64, &params);
	params.allocator = (struct shadow_allocator) { store_get, store_put, &store };
	store.left = 2 * SHADOW_TAKES;
	assert_int_equal(create_shadow_page_table(&params, &guest->table), 0);
	assert_int_equal(store.taken, 0);
	shadow_vcpu_init(&vcpu, guest->table);
	assert_int_equal(shadow_set_registers(&vcpu, CR0_ON | CR0_WP, CR4_ON, EFER_ON), 0);
	assert_int_equal(shadow_load_cr3(&vcpu, cr3), 0);
	assert_int_equal(store.taken, 3);
	map(GVA, DATA, RWU);
	assert_int_equal(shadow_fault(&vcpu, hypr_gva(GVA), WALK_USER, 0, &fault), 0);
	assert_int_equal(fault.result, MMU_RETRY);
	assert_int_equal(store.taken, 4 * 3);
	/* Pages without a use keep their memory until it is asked back. */
	shadow_forget(guest->table);
	assert_int_equal(store.taken, 4 * 3);
	shadow_trim(guest->table);
	assert_int_equal(store.taken, 3);
	store.left = 0;
	assert_int_equal(shadow_fault(&vcpu, hypr_gva(GVA), WALK_USER, 0, &fault), -ENOMEM);
	store.left = 2 * SHADOW_TAKES;
	assert_int_equal(shadow_fault(&vcpu, hypr_gva(GVA), WALK_USER, 0, &fault), 0);
	shadow_vcpu_fini(&vcpu);
	destroy_shadow_page_table(guest->table);
	assert_int_equal(store.taken, 0);
	guest->table = old;
}

/* The trimmed memory must not be in a paging-structure cache. */
static void test_trim_flushes_first(void **state)
{
	u32 before;

	(void)state;
	map(GVA, DATA, RWU);
	reaches(GVA, WALK_USER, DATA);
	set_level2(GVA, 0);
	before = guest->flushes_all;
	shadow_trim(guest->table);
	assert_int_equal(guest->flushes_all, before + 1);
	faults(GVA, WALK_USER, 4);
}

#define OPENS(name) \
	cmocka_unit_test_setup_teardown(test_##name, with_tables, without_tables)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPENS(tracked_table_can_be_written),
		OPENS(rights_of_upper_entries_hold),
		OPENS(page_that_the_host_takes_is_flushed),
		OPENS(two_pages),
		OPENS(nothing_to_open),
		TEST(what_agrees_stays),
		TEST(what_differs_goes),
		TEST(another_table_or_page_is_seen),
		TEST(many_tables_are_dropped),
		TEST(memory_is_the_callers),
		TEST(trim_flushes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
