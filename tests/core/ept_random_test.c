// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random operations on an EPT context against a flat model: tests/core/ept_random_test.
 * EPT_SEED=n repeats a run.
 */
#include <time.h>

#include "tests/core/ept_model.h"
#include "tests/unit/unit.h"

static u64 seed;
static struct ept_model_tally tally;
static u64 all_steps;

/* xorshift64*, Marsaglia and Vigna. */
static u64 draw(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

static void run(u32 runs, u32 steps, u8 window)
{
	size_t size = EPT_MODEL_HEAD + steps * EPT_MODEL_STEP;
	u8 *bytes = malloc(size);
	u64 state = seed;

	assert_non_null(bytes);
	printf("EPT_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	for (u32 i = 0; i < runs; i++) {
		for (size_t at = 0; at < size; at++)
			bytes[at] = draw(&state) >> 56;
		/* Each set of capabilities in turn. */
		bytes[0] = window ? i << 2 | 3 : i;
		bytes[1] = window;
		ept_model_run(bytes, size, &tally);
	}
	free(bytes);
	all_steps += runs * steps;
}

static void test_random_operations_on_pages_up_to_2m(void **state)
{
	(void)state;
	run(128, 100, 0);
}

static void test_random_operations_on_pages_up_to_1g(void **state)
{
	(void)state;
	run(8, EPT_MODEL_LARGE_STEPS, EPT_MODEL_LARGE);
}

static void test_the_runs_met_everything(void **state)
{
	(void)state;
	printf("%llu done, %llu refused, %llu out of memory, ",
	       (unsigned long long)tally.done, (unsigned long long)tally.refused,
	       (unsigned long long)tally.out_of_memory);
	printf("%llu splits, %llu merges, %llu touched\n", (unsigned long long)tally.splits,
	       (unsigned long long)tally.merges, (unsigned long long)tally.touched);
	assert_int_equal(tally.done + tally.refused + tally.out_of_memory, all_steps);
	assert_true(tally.done > all_steps / 8);
	assert_true(tally.refused > all_steps / 20);
	assert_true(tally.out_of_memory && tally.splits && tally.merges && tally.touched);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations_on_pages_up_to_2m),
		cmocka_unit_test(test_random_operations_on_pages_up_to_1g),
		cmocka_unit_test(test_the_runs_met_everything),
	};
	const char *given = getenv("EPT_SEED");

	seed = given ? strtoull(given, NULL, 0) : (u64)time(NULL) | 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
