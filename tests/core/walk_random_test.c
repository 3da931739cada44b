// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random tables, modes and accesses: core/walk.c against the oracle; and the fast walks
 * of random tables against walk_translate().  HYPR_SEED repeats a run.
 */
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <time.h>

#include "plat.h"
#include "tests/core/walk_case.h"

#define MEMORY_PAGES	16
#define MEMORY_BYTES	(MEMORY_PAGES * 4096)
#define CASES		200000

static u64 seed;
static u64 state_word;

/* SplitMix64. */
static u64 draw(void)
{
	u64 z = state_word += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static u64 below(u64 limit)
{
	return draw() % limit;
}

static bool one_in(u64 count)
{
	return below(count) == 0;
}

/* Mostly well-formed: present, a table of this memory, now and then one bit wrong. */
static u64 draw_entry(bool ept)
{
	u64 entry = below(MEMORY_PAGES) << 12;

	if (ept) {
		entry |= one_in(4) ? draw() & 7 : 7;
		entry |= draw() & (BIT_ULL(8) | BIT_ULL(9) | BIT_ULL(10));
		if (one_in(4))
			entry |= BIT_ULL(7) | (6 << 3);
	} else {
		entry |= one_in(4) ? draw() & 7 : 7;
		entry |= draw() & (BIT_ULL(5) | BIT_ULL(6));
		entry |= one_in(4) ? draw() & (BIT_ULL(3) | BIT_ULL(4) | BIT_ULL(8)) : 0;
		if (one_in(4))
			entry |= BIT_ULL(7);
		if (one_in(3))
			entry |= (draw() & 15) << 59;
	}
	if (one_in(3))
		entry &= ~0x1ff000ull;
	if (one_in(8))
		entry ^= BIT_ULL(below(64));
	return entry;
}

static void draw_memory(u8 *memory, u8 kind)
{
	bool ept = kind == ORACLE_EPT4 || kind == ORACLE_EPT5;

	for (size_t at = 0; at < MEMORY_BYTES; at += 8) {
		u64 entry = draw_entry(ept);

		if (kind == ORACLE_32BIT)
			entry = (entry & UINT32_MAX) | draw_entry(ept) << 32;
		else if (kind == ORACLE_PAE && (at % 4096) < 32 && !one_in(8))
			entry &= ~0x7ff00000000001e6ull;
		memcpy(memory + at, &entry, 8);
	}
}

static void draw_case(struct walk_case *one)
{
	memset(one, 0, sizeof(*one));
	one->kind = below(ORACLE_KINDS);
	one->maxphyaddr = one_in(50) ? draw() : 32 + below(21);
	one->flags = draw();
	one->access = draw() & 63;
	if ((one->access & WALK_WRITE) && !one_in(50))
		one->access &= ~WALK_FETCH;
	if ((one->access & WALK_USER) && !one_in(50))
		one->access &= ~WALK_IMPLICIT;
	one->pkru = draw();
	one->pkrs = draw();
	one->root = below(MEMORY_PAGES + one_in(50)) << 12 | (draw() & 0xfff);
	one->address = draw();
	if (one_in(50))
		return;
	if (one->kind == ORACLE_32BIT || one->kind == ORACLE_PAE)
		one->address &= UINT32_MAX;
	else if (one->kind == ORACLE_EPT4)
		one->address >>= 16;
	else if (one->kind == ORACLE_EPT5)
		one->address >>= 7;
	else if (one->kind == ORACLE_4LEVEL)
		one->address = (u64)((s64)one->address >> 16);
	else
		one->address = (u64)((s64)one->address >> 7);
}

static void test_walker_and_oracle_agree(void **state)
{
	size_t outcomes[ORACLE_INVALID + 1] = { 0 };
	u8 *memory = malloc(MEMORY_BYTES);
	struct walk_case one;

	(void)state;
	assert_non_null(memory);
	for (unsigned int i = 0; i < CASES; i++) {
		enum oracle_outcome outcome = ORACLE_INVALID;
		const char *difference;

		draw_case(&one);
		if (i % 64 == 0 || one.kind != i % ORACLE_KINDS)
			one.kind = i / 64 % ORACLE_KINDS;
		if (i % 64 == 0)
			draw_memory(memory, one.kind);
		difference = walk_case_differs(&one, memory, MEMORY_BYTES, &outcome);
		if (difference)
			fail_msg("case %u of seed %" PRIu64 ": %s: %s", i, seed,
				 walk_case_formats[one.kind]->name, difference);
		outcomes[outcome]++;
	}
	/* The generator reaches everything, and often enough. */
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++)
		assert_true(outcomes[i] > CASES / 500);
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walker_and_oracle_agree),
	};
	const char *given = getenv("HYPR_SEED");

	seed = given ? strtoull(given, NULL, 0) : (u64)time(NULL) ^ (u64)getpid() << 32;
	printf("# HYPR_SEED=%" PRIu64 "\n", seed);
	fflush(stdout);
	state_word = seed;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
