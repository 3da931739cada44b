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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_page_is_mapped_on_demand, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_page_is_reflected, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rights_are_those_of_bare_metal, setup,
						teardown),
	};

	(void)leaf;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
