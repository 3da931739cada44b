// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random guests on shadow tables against a walk of their own tables.  HYPR_SEED repeats
 * a run, HYPR_STEPS makes it longer.
 */
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <time.h>

#include "tests/core/shadow_machine.h"

#define STEPS	60000u

static u64 seed;

/* SplitMix64. */
static u64 draw(void *source)
{
	u64 *state = source;
	u64 z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static u32 steps(void)
{
	const char *text = getenv("HYPR_STEPS");

	return text ? (u32)strtoul(text, NULL, 0) : STEPS;
}

static struct machine_counts run(u32 max_pages, u32 levels)
{
	u64 state = seed ^ max_pages ^ levels;
	struct machine *machine = machine_create(max_pages, levels, draw, &state);
	struct machine_counts counts;

	for (u32 i = 0; i < steps(); i++)
		machine_step(machine);
	machine_counts(machine, &counts);
	machine_destroy(machine);
	print_message("# %u levels, %u pages: %" PRIu64 " accesses, %" PRIu64 " through, %" PRIu64
		      " stale; %" PRIu64 " edits, at most %" PRIu64 " entries a step\n"
		      "# faults %" PRIu64 ", emulated %" PRIu64 ", recycled %" PRIu64
		      ", flooded %" PRIu64 ", synced %" PRIu64 ", splits %" PRIu64 "\n",
		      levels, max_pages, counts.accesses, counts.reached, counts.stale,
		      counts.edits, counts.most_work, counts.shadow.faults,
		      counts.shadow.emulated, counts.shadow.recycled, counts.shadow.flooded,
		      counts.shadow.synced, counts.shadow.splits);
	return counts;
}

static void test_every_access_is_that_of_the_guests_tables(void **state)
{
	struct machine_counts counts = run(512, 4);

	(void)state;
	/* The random guest does what the test is for. */
	assert_true(counts.reached > counts.accesses / 10);
	assert_true(counts.stale > 0);
	assert_true(counts.shadow.emulated > 0);
	assert_true(counts.shadow.synced > 0);
	assert_true(counts.shadow.splits > 0);
}

static void test_the_same_with_few_shadow_pages(void **state)
{
	struct machine_counts counts = run(SHADOW_PAGES_MIN, 4);

	(void)state;
	assert_true(counts.shadow.recycled > 0);
	assert_true(counts.shadow.pages <= SHADOW_PAGES_MIN);
}

static void test_the_same_with_5_levels(void **state)
{
	(void)state;
	assert_true(run(128, 5).reached > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_access_is_that_of_the_guests_tables),
		cmocka_unit_test(test_the_same_with_few_shadow_pages),
		cmocka_unit_test(test_the_same_with_5_levels),
	};
	const char *text = getenv("HYPR_SEED");

	seed = text ? strtoull(text, NULL, 0) : (u64)time(NULL) * 1000003 + (u64)getpid();
	print_message("# HYPR_SEED=%" PRIu64 "\n", seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
