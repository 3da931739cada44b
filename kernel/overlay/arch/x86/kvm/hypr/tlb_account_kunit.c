// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of the generations by which CONFIG_KVM_HYPR_DEBUG_TLB knows a
 * forgotten flush: tlb_account.c.
 */
#include <kunit/test.h>

#include "tlb_account.h"

#define ROOT(n)	hypr_hpa(((u64)(n) + 1) << PAGE_SHIFT)

static struct hypr_tlb_cpu *tlb_cpu(struct kunit *test)
{
	struct hypr_tlb_cpu *cpu = kunit_kzalloc(test, sizeof(*cpu), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, cpu);
	return cpu;
}

static void tlb_edit_is_stale_until_flushed(struct kunit *test)
{
	struct hypr_tlb_cpu *cpu = tlb_cpu(test);

	KUNIT_EXPECT_FALSE(test, hypr_tlb_is_stale(cpu, ROOT(0), 0));
	KUNIT_EXPECT_TRUE(test, hypr_tlb_is_stale(cpu, ROOT(0), 1));
	hypr_tlb_flush_root(cpu, ROOT(0), 1);
	KUNIT_EXPECT_FALSE(test, hypr_tlb_is_stale(cpu, ROOT(0), 1));
	KUNIT_EXPECT_TRUE(test, hypr_tlb_is_stale(cpu, ROOT(1), 1));
	KUNIT_EXPECT_TRUE(test, hypr_tlb_is_stale(cpu, ROOT(0), 2));
	hypr_tlb_flush_all(cpu, 2);
	KUNIT_EXPECT_FALSE(test, hypr_tlb_is_stale(cpu, ROOT(0), 2));
	KUNIT_EXPECT_FALSE(test, hypr_tlb_is_stale(cpu, ROOT(1), 2));
}

static void tlb_older_flush_changes_nothing(struct kunit *test)
{
	struct hypr_tlb_cpu *cpu = tlb_cpu(test);

	hypr_tlb_flush_root(cpu, ROOT(0), 9);
	hypr_tlb_flush_root(cpu, ROOT(0), 3);
	hypr_tlb_flush_all(cpu, 5);
	hypr_tlb_flush_all(cpu, 4);
	KUNIT_EXPECT_EQ(test, hypr_tlb_flushed(cpu, ROOT(0)), 9);
	KUNIT_EXPECT_EQ(test, hypr_tlb_flushed(cpu, ROOT(1)), 5);
}

static void tlb_slots_are_used_again(struct kunit *test)
{
	struct hypr_tlb_cpu *cpu = tlb_cpu(test);
	u64 gen = 0;
	int round, i;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < HYPR_TLB_SLOTS; i++)
			hypr_tlb_flush_root(cpu, ROOT(100 * round + i), ++gen);
		for (i = 0; i < HYPR_TLB_SLOTS; i++)
			KUNIT_EXPECT_EQ(test, hypr_tlb_flushed(cpu, ROOT(100 * round + i)),
					gen - HYPR_TLB_SLOTS + 1 + i);
		KUNIT_EXPECT_EQ(test, cpu->forgotten, 0);
		hypr_tlb_flush_all(cpu, gen);
	}
}

static void tlb_more_roots_than_slots(struct kunit *test)
{
	struct hypr_tlb_cpu *cpu = tlb_cpu(test);
	int i;

	for (i = 0; i < 3 * HYPR_TLB_SLOTS; i++)
		hypr_tlb_flush_root(cpu, ROOT(i), i + 1);
	for (i = 0; i < 3 * HYPR_TLB_SLOTS; i++)
		KUNIT_EXPECT_FALSE(test, hypr_tlb_is_stale(cpu, ROOT(i), i + 1));
	KUNIT_EXPECT_TRUE(test, hypr_tlb_is_stale(cpu, ROOT(0), 3 * HYPR_TLB_SLOTS + 1));
}

static struct kunit_case tlb_cases[] = {
	KUNIT_CASE(tlb_edit_is_stale_until_flushed),
	KUNIT_CASE(tlb_older_flush_changes_nothing),
	KUNIT_CASE(tlb_slots_are_used_again),
	KUNIT_CASE(tlb_more_roots_than_slots),
	{}
};

static struct kunit_suite tlb_suite = {
	.name = "hypr_tlb",
	.test_cases = tlb_cases,
};

kunit_test_suite(tlb_suite);
