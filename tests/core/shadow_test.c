// SPDX-License-Identifier: GPL-2.0-only
/* core/shadow*.c: faults, rights, large pages, several vCPUs, the host. */
#include "tests/core/shadow_case.h"

#define RETRY	MMU_RETRY
#define REFLECT	MMU_REFLECT

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
	{ "user writes read-only", G_P | G_U, CR0_WP, 0, 0, 0, WALK_USER | WALK_WRITE, REFLECT,
	  7 },
	{ "kernel writes read-only, WP", G_P | G_U, CR0_WP, 0, 0, 0, WALK_WRITE, REFLECT, 3 },
	{ "kernel writes read-only", G_P | G_U, 0, 0, 0, 0, WALK_WRITE, RETRY, 0 },
	{ "kernel writes kernel read-only", G_P, 0, 0, 0, 0, WALK_WRITE, RETRY, 0 },
	{ "user writes read-only, no WP", G_P | G_U, 0, 0, 0, 0, WALK_USER | WALK_WRITE,
	  REFLECT, 7 },
	{ "fetch of NX", RWU | G_NX, CR0_WP, 0, EFER_NXE, 0, WALK_USER | WALK_FETCH,
	  REFLECT, 0x15 },
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(page_is_mapped_on_demand),
		TEST(missing_page_is_reflected),
		TEST(rights_are_those_of_bare_metal),
		TEST(large_page_stays_large),
		TEST(large_page_is_split_where_the_host_needs_it),
		TEST(table_in_a_large_page_is_tracked),
		TEST(5_levels),
		TEST(vcpus_share_tables),
		TEST(flipped_page_flips_back),
		TEST(write_below_a_read_only_table_is_emulated),
		TEST(host_takes_a_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
