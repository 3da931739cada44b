// SPDX-License-Identifier: GPL-2.0-only
/* core/shadow*.c: memory that runs out, what is refused, what is not there. */
#include "tests/core/alloc_left.h"
#include "tests/core/shadow_case.h"

static void test_host_without_memory_exits(void **state)
{
	struct guest_outcome outcome;
	struct shadow_fault fault;

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
	assert_int_equal(shadow_fault(&guest->vcpu[0], hypr_gva(GVA + 0x1000), 0, 0, &fault), 0);
	assert_int_equal(fault.gpa.addr, cr3 + (GVA >> 39 & 511) * 8);
}

static void test_flags_in_read_only_tables_exit(void **state)
{
	(void)state;
	map(GVA, DATA, RWU);
	guest->no_table_write = true;
	assert_int_equal(guest_access(guest, 0, GVA, WALK_USER).result, MMU_NO_TABLE);
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
	/* A part of a large page, which is no table of the guest's. */
	guest->host[512 + 3] = HOST_READ_ONLY;
	guest_map(guest, cr3, 4, 2, GVA + (40ull << 21), CORE_PAGE_2M, RWU);
	flushes = guest->flushes_all;
	reaches(GVA + (40ull << 21), WALK_USER, CORE_PAGE_2M);
	assert_int_equal(guest->flushes_all, flushes + 1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(host_without_memory_exits),
		TEST(flags_in_read_only_tables_exit),
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
