/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of shadow paging share: one guest, its root table, what it reaches. */
#ifndef TESTS_CORE_SHADOW_CASE_H
#define TESTS_CORE_SHADOW_CASE_H

#include "tests/unit/unit.h"

#include "tests/core/shadow_guest.h"

#define GVA	0x7f0000400000ull
#define DATA	0x300000ull		/* GPA of a page that is no table */
#define RWU	(G_P | G_W | G_U)

static struct guest *guest;
static u64 cr3;

static inline void set_mode(u64 cr0, u64 cr4, u64 efer)
{
	assert_int_equal(shadow_set_registers(&guest->vcpu[0], CR0_ON | cr0, CR4_ON | cr4,
					      EFER_ON | efer), 0);
}

static inline int setup_with(u32 max_pages)
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

static inline int setup(void **state)
{
	(void)state;
	return setup_with(64);
}

static inline int teardown(void **state)
{
	(void)state;
	for (u32 i = 0; i < GUEST_VCPUS; i++)
		shadow_vcpu_fini(&guest->vcpu[i]);
	guest_destroy(guest);
	return 0;
}

static inline void map(u64 gva, u64 gpa, u64 flags)
{
	guest_map(guest, cr3, 4, 1, gva, gpa, flags);
}

static inline u64 *leaf(u64 gva)
{
	return guest_at(guest, guest_entry(guest, cr3, 4, 1, gva));
}

static inline struct shadow_stats stats(void)
{
	struct shadow_stats now;

	shadow_stats(guest->table, &now);
	return now;
}

static inline void reaches(u64 gva, u32 access, u64 gpa)
{
	struct guest_outcome outcome = guest_access(guest, 0, gva, access);

	assert_int_equal(outcome.result, MMU_RETRY);
	assert_int_equal(outcome.gpa, gpa);
}

static inline void faults(u64 gva, u32 access, u32 error_code)
{
	struct guest_outcome outcome = guest_access(guest, 0, gva, access);

	assert_int_equal(outcome.result, MMU_REFLECT);
	assert_int_equal(outcome.error_code, error_code);
}

/* GVA of the leaf table that maps GVA, mapped by itself. */
#define WINDOW	(GVA + 0x1ff000)

static inline u64 map_window(void)
{
	u64 table = guest_entry(guest, cr3, 4, 1, GVA) & ~0xfffull;

	map(WINDOW, table, G_P | G_W);
	return WINDOW + (GVA >> 12 & 511) * 8;
}

/* The guest's level-2 entry for @gva is @value; a device writes it. */
static inline void set_level2(u64 gva, u64 value)
{
	u64 entry = guest_entry(guest, cr3, 4, 2, gva);

	*guest_at(guest, entry) = value;
	shadow_guest_wrote(guest->table, hypr_gpa(entry), 8);
}

#define TEST(name)	cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

#endif /* TESTS_CORE_SHADOW_CASE_H */
