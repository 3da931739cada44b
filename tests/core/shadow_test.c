// SPDX-License-Identifier: GPL-2.0-only
/* core/shadow*.c, one behaviour each. */
#include "tests/unit/unit.h"

#include "tests/core/shadow_guest.h"

#define GVA	0x7f0000400000ull
#define DATA	0x300000ull		/* GPA of a page that is no table */
#define RWU	(G_P | G_W | G_U)
#define RETRY	MMU_RETRY
#define REFLECT	MMU_REFLECT

static struct guest *guest;
static u64 cr3;
/* Allocations that succeed; -1: all. */
static int page_allocs_left = -1, allocs_left = -1;

void *__real_plat_page_alloc(u32 count, int node);
void *__wrap_plat_page_alloc(u32 count, int node);
void *__real_plat_alloc(size_t bytes);
void *__wrap_plat_alloc(size_t bytes);

void *__wrap_plat_page_alloc(u32 count, int node)
{
	if (!page_allocs_left)
		return NULL;
	page_allocs_left -= page_allocs_left > 0;
	return __real_plat_page_alloc(count, node);
}

void *__wrap_plat_alloc(size_t bytes)
{
	if (!allocs_left)
		return NULL;
	allocs_left -= allocs_left > 0;
	return __real_plat_alloc(bytes);
}

static void set_mode(u64 cr0, u64 cr4, u64 efer)
{
	assert_int_equal(shadow_set_registers(&guest->vcpu[0], CR0_ON | cr0, CR4_ON | cr4,
					      EFER_ON | efer), 0);
}

static int setup_with(u32 max_pages)
{
	int err;

	guest = guest_create(max_pages, &err);
	if (!guest)
		return err;
	guest->next_free = 16;
	cr3 = guest_table(guest);
	set_mode(CR0_WP, 0, EFER_NXE);
	return shadow_load_cr3(&guest->vcpu[0], cr3);
}

static int setup(void **state)
{
	(void)state;
	return setup_with(64);
}

static int teardown(void **state)
{
	(void)state;
	for (u32 i = 0; i < GUEST_VCPUS; i++)
		shadow_vcpu_fini(&guest->vcpu[i]);
	guest_destroy(guest);
	return 0;
}

static void map(u64 gva, u64 gpa, u64 flags)
{
	guest_map(guest, cr3, 4, 1, gva, gpa, flags);
}

static u64 *leaf(u64 gva)
{
	return guest_at(guest, guest_entry(guest, cr3, 4, 1, gva));
}

static struct shadow_stats stats(void)
{
	struct shadow_stats now;

	shadow_stats(guest->table, &now);
	return now;
}

static void reaches(u64 gva, u32 access, u64 gpa)
{
	struct guest_outcome outcome = guest_access(guest, 0, gva, access);

	assert_int_equal(outcome.result, MMU_RETRY);
	assert_int_equal(outcome.gpa, gpa);
}

static void faults(u64 gva, u32 access, u32 error_code)
{
	struct guest_outcome outcome = guest_access(guest, 0, gva, access);

	assert_int_equal(outcome.result, MMU_REFLECT);
	assert_int_equal(outcome.error_code, error_code);
}

static void test_page_is_mapped_on_demand(void **state)
{
	(void)state;
	map(GVA, DATA, RWU);
	reaches(GVA + 8, WALK_USER, DATA + 8);
	assert_int_equal(stats().faults, 1);
	reaches(GVA + 16, WALK_USER, DATA + 16);
	assert_int_equal(stats().faults, 1);
	assert_int_equal(stats().pages, 4);
}

static void test_missing_page_is_reflected(void **state)
{
	(void)state;
	faults(GVA, WALK_USER | WALK_WRITE, WALK_PF_USER | WALK_PF_WRITE);
	assert_int_equal(stats().reflected, 1);
}

/* A page, a mode, an access; what bare metal does. */
static const struct {
	const char *what;
	u64 page, cr0, cr4, efer, rflags;
	u32 access;
	enum mmu_result result;
	u32 error_code;
} rights[] = {
	{ "user reads user", RWU, CR0_WP, 0, 0, 0, WALK_USER, RETRY, 0 },
	{ "user reads kernel", G_P | G_W, CR0_WP, 0, 0, 0, WALK_USER, REFLECT, 5 },
	{ "kernel reads user", RWU, CR0_WP, 0, 0, 0, 0, RETRY, 0 },
	{ "user writes read-only", G_P | G_U, CR0_WP, 0, 0, 0, WALK_USER | WALK_WRITE, REFLECT, 7 },
	{ "kernel writes read-only, WP", G_P | G_U, CR0_WP, 0, 0, 0, WALK_WRITE, REFLECT, 3 },
	{ "kernel writes read-only", G_P | G_U, 0, 0, 0, 0, WALK_WRITE, RETRY, 0 },
	{ "kernel writes kernel read-only", G_P, 0, 0, 0, 0, WALK_WRITE, RETRY, 0 },
	{ "user writes read-only, no WP", G_P | G_U, 0, 0, 0, 0, WALK_USER | WALK_WRITE, REFLECT, 7 },
	{ "fetch of NX", RWU | G_NX, CR0_WP, 0, EFER_NXE, 0, WALK_USER | WALK_FETCH, REFLECT, 0x15 },
	{ "read of NX", RWU | G_NX, CR0_WP, 0, EFER_NXE, 0, WALK_USER, RETRY, 0 },
	{ "bit 63 without NXE", RWU | G_NX, CR0_WP, 0, 0, 0, WALK_USER, REFLECT, 0xd },
	{ "fetch of user, SMEP", RWU, CR0_WP, CR4_SMEP, EFER_NXE, 0, WALK_FETCH, REFLECT, 0x11 },
	{ "fetch of kernel, SMEP", G_P, CR0_WP, CR4_SMEP, EFER_NXE, 0, WALK_FETCH, RETRY, 0 },
	{ "fetch of user, no SMEP", RWU, CR0_WP, 0, EFER_NXE, 0, WALK_FETCH, RETRY, 0 },
	{ "SMAP", RWU, CR0_WP, CR4_SMAP, 0, 0, 0, REFLECT, 1 },
	{ "SMAP, AC", RWU, CR0_WP, CR4_SMAP, 0, RFLAGS_AC, 0, RETRY, 0 },
	{ "SMAP, AC, implicit", RWU, CR0_WP, CR4_SMAP, 0, RFLAGS_AC, WALK_IMPLICIT, REFLECT, 1 },
	{ "SMAP, AC, write, no WP", G_P | G_U, 0, CR4_SMAP, 0, RFLAGS_AC, WALK_WRITE, RETRY, 0 },
	{ "reserved bit", RWU | 1ull << 45, CR0_WP, 0, 0, 0, WALK_USER, REFLECT, 0xd },
};

static void test_rights_are_those_of_bare_metal(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rights); i++) {
		struct guest_outcome outcome;

		set_mode(rights[i].cr0, rights[i].cr4, rights[i].efer);
		guest->rflags = rights[i].rflags;
		map(GVA, DATA, rights[i].page);
		shadow_invlpg(&guest->vcpu[0], hypr_gva(GVA));
		outcome = guest_access(guest, 0, GVA, rights[i].access);
		if (outcome.result != rights[i].result ||
		    outcome.error_code != rights[i].error_code)
			fail_msg("%s: %d, %x", rights[i].what, outcome.result,
				 outcome.error_code);
	}
}

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

/* GVA of the leaf table that maps GVA, mapped by itself. */
#define WINDOW	(GVA + 0x1ff000)

static u64 map_window(void)
{
	u64 table = guest_entry(guest, cr3, 4, 1, GVA) & ~0xfffull;

	map(WINDOW, table, G_P | G_W);
	return WINDOW + (GVA >> 12 & 511) * 8;
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

/* The guest's level-2 entry for @gva is @value; a device writes it. */
static void set_level2(u64 gva, u64 value)
{
	u64 entry = guest_entry(guest, cr3, 4, 2, gva);

	*guest_at(guest, entry) = value;
	shadow_guest_wrote(guest->table, hypr_gpa(entry), 8);
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

static void test_large_page_stays_large(void **state)
{
	(void)state;
	guest_map(guest, cr3, 4, 2, GVA, CORE_PAGE_2M, RWU);
	reaches(GVA + 0x5000, WALK_USER, CORE_PAGE_2M + 0x5000);
	reaches(GVA + 0x7008, WALK_USER, CORE_PAGE_2M + 0x7008);
	assert_int_equal(stats().faults, 1);
	assert_int_equal(stats().pages, 3);
	assert_int_equal(stats().splits, 0);
	/* 1 GiB: the shadow's pages have 2 MiB. */
	guest_map(guest, cr3, 4, 3, 1ull << 40, 0, RWU);
	reaches((1ull << 40) + CORE_PAGE_2M, WALK_USER, CORE_PAGE_2M);
	reaches((1ull << 40) + CORE_PAGE_2M + 0x9000, WALK_USER, CORE_PAGE_2M + 0x9000);
	assert_int_equal(stats().faults, 2);
}

static void test_large_page_is_split_where_the_host_needs_it(void **state)
{
	u32 gfn = 512 + 7;

	(void)state;
	guest_map(guest, cr3, 4, 2, GVA, CORE_PAGE_2M, RWU);
	reaches(GVA, WALK_USER | WALK_WRITE, CORE_PAGE_2M);
	guest->host[gfn] = HOST_READ_ONLY;
	shadow_host_changed(guest->table, hypr_gpa(gfn * CORE_PAGE_4K), CORE_PAGE_4K);
	reaches(GVA + 0x6000, WALK_USER | WALK_WRITE, CORE_PAGE_2M + 0x6000);
	assert_int_equal(guest_access(guest, 0, GVA + 0x7000, WALK_USER | WALK_WRITE).result,
			 MMU_NO_MEMORY);
	reaches(GVA + 0x7000, WALK_USER, CORE_PAGE_2M + 0x7000);
	assert_true(stats().splits > 0);
	/* And large again. */
	guest->host[gfn] = 0;
	shadow_host_changed(guest->table, hypr_gpa(gfn * CORE_PAGE_4K), CORE_PAGE_4K);
	shadow_forget(guest->table);
	reaches(GVA + 0x7000, WALK_USER | WALK_WRITE, CORE_PAGE_2M + 0x7000);
	reaches(GVA + 0x8000, WALK_USER | WALK_WRITE, CORE_PAGE_2M + 0x8000);
}

static void test_table_in_a_large_page_is_tracked(void **state)
{
	u64 table = CORE_PAGE_2M + 0x10000;

	(void)state;
	guest_map(guest, cr3, 4, 2, GVA, CORE_PAGE_2M, RWU);
	reaches(GVA + 0x10000, WALK_USER | WALK_WRITE, table);
	/* A page in it becomes a table of level 2, and then one of level 1. */
	*guest_at(guest, guest_entry(guest, cr3, 4, 3, 1ull << 40)) = table | RWU;
	*guest_at(guest, table) = (table + 0x1000) | RWU;
	*guest_at(guest, table + 0x1000) = DATA | RWU;
	reaches(1ull << 40, WALK_USER, DATA);
	assert_true(guest_store(guest, 0, GVA + 0x10000, 0, WALK_USER).emulate);
	shadow_invlpg(&guest->vcpu[0], hypr_gva(1ull << 40));
	faults(1ull << 40, WALK_USER, WALK_PF_USER);
}

static void test_5_levels(void **state)
{
	u64 gva = 0x00123456789ab000ull;

	(void)state;
	assert_int_equal(shadow_set_registers(&guest->vcpu[1], CR0_ON | CR0_WP,
					      CR4_ON | CR4_LA57, EFER_ON), 0);
	assert_int_equal(shadow_load_cr3(&guest->vcpu[1], DATA), 0);
	guest_map(guest, DATA, 5, 1, gva, DATA + 0x1000, RWU);
	assert_int_equal(guest_access(guest, 1, gva, WALK_USER).gpa, DATA + 0x1000);
}

static void test_vcpus_share_tables(void **state)
{
	u64 entry;

	(void)state;
	assert_int_equal(shadow_set_registers(&guest->vcpu[1], CR0_ON | CR0_WP, CR4_ON, EFER_ON |
					      EFER_NXE), 0);
	assert_int_equal(shadow_load_cr3(&guest->vcpu[1], cr3), 0);
	map(GVA, DATA, RWU);
	reaches(GVA, WALK_USER, DATA);
	assert_int_equal(guest_access(guest, 1, GVA, WALK_USER).gpa, DATA);
	assert_int_equal(stats().faults, 1);
	/* With another CR0.WP the second has tables of its own. */
	entry = guest_entry(guest, cr3, 4, 1, GVA);
	*guest_at(guest, entry) = DATA | G_P | G_U | G_A;
	shadow_guest_wrote(guest->table, hypr_gpa(entry), 8);
	shadow_invalidate(guest->table);
	assert_int_equal(shadow_set_registers(&guest->vcpu[1], CR0_ON, CR4_ON, EFER_ON |
					      EFER_NXE), 0);
	assert_int_equal(guest_access(guest, 1, GVA, WALK_WRITE).result, MMU_RETRY);
	faults(GVA, WALK_WRITE, WALK_PF_P | WALK_PF_WRITE);
}

/* A page that the kernel wrote with CR0.WP = 0 is the user's again, as it was. */
static void test_flipped_page_flips_back(void **state)
{
	(void)state;
	set_mode(0, CR4_SMEP, EFER_NXE);
	map(GVA, DATA, G_P | G_U);
	assert_false(guest_access(guest, 0, GVA, WALK_WRITE).emulate);
	faults(GVA, WALK_USER | WALK_WRITE, 7);
	reaches(GVA, WALK_USER, DATA);
	faults(GVA, WALK_FETCH, 0x11);
	reaches(GVA, WALK_WRITE, DATA);
	faults(GVA, WALK_FETCH, 0x11);
	reaches(GVA, WALK_USER | WALK_FETCH, DATA);
}

static void test_write_below_a_read_only_table_is_emulated(void **state)
{
	u64 entry;

	(void)state;
	set_mode(0, 0, EFER_NXE);
	map(GVA, DATA, RWU);
	entry = guest_entry(guest, cr3, 4, 2, GVA);
	*guest_at(guest, entry) &= ~G_W;
	assert_true(guest_access(guest, 0, GVA, WALK_WRITE).emulate);
	faults(GVA, WALK_USER | WALK_WRITE, 7);
}

static void test_host_without_memory_exits(void **state)
{
	struct guest_outcome outcome;

	(void)state;
	map(GVA, GUEST_PAGES * CORE_PAGE_4K, RWU);
	outcome = guest_access(guest, 0, GVA + 4, WALK_USER);
	assert_int_equal(outcome.result, MMU_NO_MEMORY);
	assert_int_equal(outcome.gpa, GUEST_PAGES * CORE_PAGE_4K + 4);
	guest_map(guest, cr3, 4, 1, GVA, DATA, RWU);
	guest->host[DATA / CORE_PAGE_4K] = HOST_NO_EXECUTE;
	assert_int_equal(guest_access(guest, 0, GVA, WALK_USER | WALK_FETCH).result,
			 MMU_NO_MEMORY);
	reaches(GVA, WALK_USER, DATA);
	guest->host[cr3 / CORE_PAGE_4K] = HOST_MISSING;
	assert_int_equal(guest_access(guest, 0, GVA + 0x1000, WALK_USER).result, MMU_NO_TABLE);
}

static void test_flags_in_read_only_tables_exit(void **state)
{
	(void)state;
	map(GVA, DATA, RWU);
	guest->no_table_write = true;
	assert_int_equal(guest_access(guest, 0, GVA, WALK_USER).result, MMU_NO_TABLE);
}

static void test_host_takes_a_page(void **state)
{
	(void)state;
	map(GVA, DATA, RWU);
	reaches(GVA, WALK_USER | WALK_WRITE, DATA);
	guest->flushes_all = 0;
	guest_move(guest, DATA / CORE_PAGE_4K);
	assert_int_equal(guest->flushes_all, 1);
	reaches(GVA, WALK_USER | WALK_WRITE, DATA);
	/* A table; a range; nothing. */
	guest_move(guest, cr3 / CORE_PAGE_4K);
	reaches(GVA, WALK_USER, DATA);
	for (u32 gfn = 0; gfn < GUEST_PAGES; gfn++)
		guest->host[gfn] = HOST_MISSING;
	shadow_host_changed(guest->table, hypr_gpa(0), 0);
	shadow_host_changed(guest->table, hypr_gpa(0), GUEST_PAGES * CORE_PAGE_4K);
	assert_int_equal(guest_access(guest, 0, GVA, WALK_USER).result, MMU_NO_TABLE);
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

static void test_recycled_page_is_not_in_a_tlb(void **state)
{
	u32 flushes;

	(void)state;
	teardown(NULL);
	assert_int_equal(setup_with(SHADOW_PAGES_MIN), 0);
	for (u64 i = 0; i < 40; i++)
		map(GVA + (i << 21), DATA + i * CORE_PAGE_4K, RWU);
	for (u64 i = 0; i < 40; i++) {
		flushes = guest->flushes_all;
		reaches(GVA + (i << 21), WALK_USER, DATA + i * CORE_PAGE_4K);
		if (i >= SHADOW_PAGES_MIN - 3)
			assert_int_equal(guest->flushes_all, flushes + 1);
	}
	assert_int_equal(stats().recycled, 40 + 3 - SHADOW_PAGES_MIN);
	assert_int_equal(stats().pages, SHADOW_PAGES_MIN);
	reaches(GVA, WALK_USER, DATA);
}

static void test_without_memory_the_oldest_page_is_recycled(void **state)
{
	struct shadow_fault fault;

	(void)state;
	for (u64 i = 0; i < 10; i++)
		map(GVA + (i << 21), DATA, RWU);
	reaches(GVA, WALK_USER, DATA);
	page_allocs_left = 0;
	reaches(GVA + (1 << 21), WALK_USER, DATA);
	assert_int_equal(stats().recycled, 1);
	/* Nothing to recycle: the root alone is left. */
	shadow_forget(guest->table);
	page_allocs_left = -1;
	teardown(NULL);
	assert_int_equal(setup_with(64), 0);
	map(GVA, DATA, RWU);
	for (int left = 0; left < 5; left++) {
		page_allocs_left = left;
		assert_int_equal(shadow_fault(&guest->vcpu[0], hypr_gva(GVA), 0, 0, &fault),
				 -ENOMEM);
		shadow_forget(guest->table);
		assert_int_equal(stats().pages, 1);
		page_allocs_left = -1;
		teardown(NULL);
		assert_int_equal(setup_with(64), 0);
		map(GVA, DATA, RWU);
	}
	reaches(GVA, 0, DATA);
	/* 1 GiB, whose shadow needs a page of its own. */
	teardown(NULL);
	assert_int_equal(setup_with(64), 0);
	guest_map(guest, cr3, 4, 3, 1ull << 40, 0, RWU);
	page_allocs_left = 2;
	shadow_forget(guest->table);
	assert_int_equal(shadow_fault(&guest->vcpu[0], hypr_gva(1ull << 40), 0, 0, &fault),
			 -ENOMEM);
	page_allocs_left = -1;
	reaches(1ull << 40, 0, 0);
}

static void test_root_without_memory(void **state)
{
	struct shadow_vcpu *vcpu = &guest->vcpu[0];
	hypr_hpa_t root = shadow_root(vcpu);

	(void)state;
	page_allocs_left = 0;
	assert_int_equal(shadow_load_cr3(vcpu, DATA), -ENOMEM);
	assert_int_equal(shadow_set_registers(vcpu, CR0_ON, CR4_ON, EFER_ON), -ENOMEM);
	assert_int_equal(shadow_root(vcpu).addr, root.addr);
	page_allocs_left = -1;
	map(GVA, DATA, G_P | G_U);
	faults(GVA, WALK_WRITE, 3);
	/* All pages are roots in use. */
	page_allocs_left = -1;
	for (u32 i = 1; i < 64; i++) {
		struct shadow_vcpu more;

		shadow_vcpu_init(&more, guest->table);
		assert_int_equal(shadow_set_registers(&more, CR0_ON, CR4_ON, EFER_ON), 0);
		assert_int_equal(shadow_load_cr3(&more, DATA + i * CORE_PAGE_4K), 0);
	}
	assert_int_equal(shadow_load_cr3(vcpu, DATA), -ENOMEM);
}

static void test_create_checks_parameters(void **state)
{
	struct shadow_page_table *table;
	struct walk_memory no_write = guest->memory;
	struct shadow_params good, params;

	(void)state;
	guest_params(guest, 64, &good);
	no_write.exchange = NULL;
#define REFUSED(field, value) do {						\
		params = good;							\
		params.field = value;						\
		assert_int_equal(create_shadow_page_table(&params, &table), -EINVAL); \
	} while (0)
	REFUSED(memory, NULL);
	REFUSED(memory, &no_write);
	REFUSED(translate, NULL);
	REFUSED(tlb.flush_all, NULL);
	REFUSED(tlb.flush_context, NULL);
	REFUSED(tlb.flush_address, NULL);
	REFUSED(maxphyaddr, 31);
	REFUSED(maxphyaddr, 53);
	REFUSED(max_pages, SHADOW_PAGES_MIN - 1);
	REFUSED(max_pages, SHADOW_PAGES_MAX + 1);
	for (int left = 0; left < 5; left++) {
		allocs_left = left;
		assert_int_equal(create_shadow_page_table(&good, &table), -ENOMEM);
	}
	allocs_left = -1;
	assert_int_equal(create_shadow_page_table(&good, &table), 0);
	destroy_shadow_page_table(table);
	destroy_shadow_page_table(NULL);
}

static void test_refused_modes(void **state)
{
	struct shadow_vcpu *vcpu = &guest->vcpu[0];

	(void)state;
	assert_int_equal(shadow_set_registers(vcpu, 1, CR4_ON, EFER_ON), -EOPNOTSUPP);
	assert_int_equal(shadow_set_registers(vcpu, CR0_ON, 0, 0), -EOPNOTSUPP);
	assert_int_equal(shadow_set_registers(vcpu, CR0_ON, CR4_ON, 0), -EOPNOTSUPP);
	assert_int_equal(shadow_set_registers(vcpu, CR0_ON, CR4_ON | CR4_PKE, EFER_ON),
			 -EOPNOTSUPP);
	assert_int_equal(shadow_load_cr3(vcpu, cr3 | 1ull << 40), -EINVAL);
	assert_int_equal(shadow_load_cr3(vcpu, cr3 | CR3_KEEP), -EINVAL);
}

static void test_calls_out_of_order_are_refused(void **state)
{
	struct shadow_fault fault;
	struct shadow_vcpu *vcpu = &guest->vcpu[1];

	(void)state;
	assert_int_equal(shadow_load_cr3(vcpu, cr3), -EINVAL);
	assert_int_equal(shadow_fault(vcpu, hypr_gva(0), 0, 0, &fault), -EINVAL);
	vcpu = &guest->vcpu[0];
	assert_int_equal(shadow_fault(vcpu, hypr_gva(1ull << 50), 0, 0, &fault), -EINVAL);
	assert_int_equal(shadow_fault(vcpu, hypr_gva(0), WALK_WRITE | WALK_FETCH, 0, &fault),
			 -EINVAL);
	/* Without a root there is nothing to synchronise. */
	shadow_invlpg(&guest->vcpu[1], hypr_gva(0));
	assert_int_equal(guest->flushes_address, 1);
}

static int never_the_same(const struct walk_memory *memory, u64 address, u32 bytes, u64 old_entry,
			  u64 new_entry)
{
	(void)memory;
	(void)address;
	(void)bytes;
	(void)old_entry;
	(void)new_entry;
	return -EAGAIN;
}

static void test_table_that_changes_all_the_time_is_retried(void **state)
{
	struct shadow_fault fault = { .result = MMU_REFLECT };

	(void)state;
	map(GVA, DATA, RWU);
	guest->memory.exchange = never_the_same;
	assert_int_equal(shadow_fault(&guest->vcpu[0], hypr_gva(GVA), 0, 0, &fault), 0);
	assert_int_equal(fault.result, MMU_RETRY);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(page_is_mapped_on_demand),
		TEST(missing_page_is_reflected),
		TEST(rights_are_those_of_bare_metal),
		TEST(first_write_sets_the_dirty_flag),
		TEST(cleared_flags_are_set_again_after_invlpg),
		TEST(leaf_table_goes_out_of_sync),
		TEST(cr3_load_synchronises),
		TEST(synchronised_entry_keeps_what_it_may),
		TEST(new_path_to_a_table_out_of_sync),
		TEST(table_out_of_sync_that_nobody_uses),
		TEST(unused_leaf_table_is_dropped_at_a_write),
		TEST(leaf_table_becomes_an_upper_one),
		TEST(new_entries_need_no_invlpg),
		TEST(global_entry_of_another_pcid_is_synchronised_by_invlpg),
		TEST(pcid_keeps_what_bit_63_says),
		TEST(global_page_stays_in_the_tlb),
		TEST(upper_table_write_is_emulated),
		TEST(flooded_table_is_given_up),
		TEST(every_leaf_table_written_stays_bounded),
		TEST(many_mappings_of_one_page_stay_bounded),
		TEST(table_pointed_to_from_everywhere_stays_bounded),
		TEST(large_page_stays_large),
		TEST(large_page_is_split_where_the_host_needs_it),
		TEST(table_in_a_large_page_is_tracked),
		TEST(5_levels),
		TEST(vcpus_share_tables),
		TEST(flipped_page_flips_back),
		TEST(write_below_a_read_only_table_is_emulated),
		TEST(host_without_memory_exits),
		TEST(flags_in_read_only_tables_exit),
		TEST(host_takes_a_page),
		TEST(device_writes_reach_the_shadow),
		TEST(entry_changed_by_another_cpu_is_walked_again),
		TEST(recycled_page_is_not_in_a_tlb),
		TEST(without_memory_the_oldest_page_is_recycled),
		TEST(root_without_memory),
		TEST(create_checks_parameters),
		TEST(refused_modes),
		TEST(calls_out_of_order_are_refused),
		TEST(table_that_changes_all_the_time_is_retried),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
