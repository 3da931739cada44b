// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a CPU has flushed: tests/core/tlb_account_test.  The second opinion is a
 * TLB that is simulated: every root's entry with the count at which it was made.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "tlb_account.h"

#define ROOT(n)	hypr_hpa(((u64)(n) + 1) << 12)

static void test_nothing_edited_is_not_stale(void **state)
{
	struct hypr_tlb_cpu cpu = { 0 };

	(void)state;
	assert_false(hypr_tlb_is_stale(&cpu, ROOT(0), 0));
}

static void test_edit_is_stale_until_flushed(void **state)
{
	struct hypr_tlb_cpu cpu = { 0 };

	(void)state;
	assert_true(hypr_tlb_is_stale(&cpu, ROOT(0), 1));
	hypr_tlb_flush_root(&cpu, ROOT(0), 1);
	assert_false(hypr_tlb_is_stale(&cpu, ROOT(0), 1));
	assert_true(hypr_tlb_is_stale(&cpu, ROOT(0), 2));
	hypr_tlb_flush_all(&cpu, 2);
	assert_false(hypr_tlb_is_stale(&cpu, ROOT(0), 2));
}

static void test_flush_of_one_root_leaves_others_stale(void **state)
{
	struct hypr_tlb_cpu cpu = { 0 };

	(void)state;
	hypr_tlb_flush_root(&cpu, ROOT(0), 7);
	assert_true(hypr_tlb_is_stale(&cpu, ROOT(1), 7));
	assert_int_equal(hypr_tlb_flushed(&cpu, ROOT(0)), 7);
	assert_int_equal(hypr_tlb_flushed(&cpu, ROOT(1)), 0);
}

/* What was noted does not go back. */
static void test_older_flush_changes_nothing(void **state)
{
	struct hypr_tlb_cpu cpu = { 0 };

	(void)state;
	hypr_tlb_flush_root(&cpu, ROOT(0), 9);
	hypr_tlb_flush_root(&cpu, ROOT(0), 3);
	assert_int_equal(hypr_tlb_flushed(&cpu, ROOT(0)), 9);
	hypr_tlb_flush_all(&cpu, 5);
	assert_int_equal(hypr_tlb_flushed(&cpu, ROOT(0)), 9);
	assert_int_equal(hypr_tlb_flushed(&cpu, ROOT(1)), 5);
	hypr_tlb_flush_all(&cpu, 4);
	assert_int_equal(hypr_tlb_flushed(&cpu, ROOT(1)), 5);
}

/* Exact for as many roots as there are slots, again after each full flush. */
static void test_slots_are_used_again(void **state)
{
	struct hypr_tlb_cpu cpu = { 0 };
	u64 gen = 0;
	int round, i;

	(void)state;
	for (round = 0; round < 3; round++) {
		for (i = 0; i < HYPR_TLB_SLOTS; i++)
			hypr_tlb_flush_root(&cpu, ROOT(100 * round + i), ++gen);
		for (i = 0; i < HYPR_TLB_SLOTS; i++) {
			hypr_hpa_t root = ROOT(100 * round + i);
			u64 at = gen - HYPR_TLB_SLOTS + 1 + i;

			assert_int_equal(hypr_tlb_flushed(&cpu, root), at);
			assert_true(hypr_tlb_is_stale(&cpu, root, at + 1));
		}
		assert_int_equal(cpu.forgotten, 0);
		hypr_tlb_flush_all(&cpu, gen);
	}
}

/* Then it may miss something, and never warns of what was flushed. */
static void test_more_roots_than_slots(void **state)
{
	struct hypr_tlb_cpu cpu = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 3 * HYPR_TLB_SLOTS; i++)
		hypr_tlb_flush_root(&cpu, ROOT(i), i + 1);
	for (i = 0; i < 3 * HYPR_TLB_SLOTS; i++)
		assert_false(hypr_tlb_is_stale(&cpu, ROOT(i), i + 1));
	assert_true(hypr_tlb_is_stale(&cpu, ROOT(0), 3 * HYPR_TLB_SLOTS + 1));
}

/* Roots few enough to have slots: the answer is that of the simulation. */
static void test_random_against_simulation(void **state)
{
	const char *env = getenv("HYPR_SEED");
	unsigned int seed = env ? strtoul(env, NULL, 0) : (unsigned int)time(NULL);
	u64 edited[HYPR_TLB_SLOTS] = { 0 }, flushed[HYPR_TLB_SLOTS] = { 0 };
	struct hypr_tlb_cpu cpu = { 0 };
	u64 gen = 0;
	int step, i;

	(void)state;
	print_message("# HYPR_SEED=%u\n", seed);
	srand(seed);
	for (step = 0; step < 200000; step++) {
		int n = rand() % HYPR_TLB_SLOTS;

		switch (rand() % 16) {
		case 0:
			hypr_tlb_flush_all(&cpu, gen);
			for (i = 0; i < HYPR_TLB_SLOTS; i++)
				flushed[i] = gen;
			break;
		case 1 ... 6:
			hypr_tlb_flush_root(&cpu, ROOT(n), gen);
			flushed[n] = gen;
			break;
		default:
			edited[n] = ++gen;
		}
		n = rand() % HYPR_TLB_SLOTS;
		assert_int_equal(hypr_tlb_is_stale(&cpu, ROOT(n), edited[n]),
				 edited[n] > flushed[n]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_edited_is_not_stale),
		cmocka_unit_test(test_edit_is_stale_until_flushed),
		cmocka_unit_test(test_flush_of_one_root_leaves_others_stale),
		cmocka_unit_test(test_older_flush_changes_nothing),
		cmocka_unit_test(test_slots_are_used_again),
		cmocka_unit_test(test_more_roots_than_slots),
		cmocka_unit_test(test_random_against_simulation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
