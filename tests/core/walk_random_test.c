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

#define MEMORY_PAGES	8
#define MEMORY_BYTES	(MEMORY_PAGES * 4096)
#define CASES		40000

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

#define FAST_PAGES	128
#define FAST_WALKS	5000

/* Few indices, so that mappings share tables. */
static u64 draw_fast_address(void)
{
	static const u64 indices[] = { 0, 1, 255, 256, 511 };
	u64 address = draw() & 0xfff;

	for (u32 shift = 12; shift <= 39; shift += 9)
		address |= indices[below(ARRAY_SIZE(indices))] << shift;
	return address;
}

/* Maps a page of a random size at @address; stops at a page that is there already. */
static void map_one(u64 *root, u64 address, u64 **pages, size_t *used)
{
	u32 last = 12 + 9 * below(3);
	u64 *table = root;

	for (u32 shift = 39; shift > last; shift -= 9) {
		u64 *entry = &table[address >> shift & 511];

		if (*entry & BIT_ULL(7))
			return;
		if (!*entry) {
			if (*used == FAST_PAGES)
				return;
			pages[*used] = plat_page_alloc(1, PLAT_NODE_ANY);
			assert_non_null(pages[*used]);
			*entry = plat_virt_to_hpa(pages[(*used)++]).addr | 7;
		}
		table = plat_hpa_to_virt(hypr_hpa(*entry & ~0xfffull));
	}
	if (!table[address >> last & 511])
		table[address >> last & 511] = (draw() & 0xffffffffff000 & ~0ull << last) |
					       (last > 12 ? BIT_ULL(7) : 0) | 6 << 3 | 7;
}

static void test_fast_walks_and_the_walker_agree(void **state)
{
	static struct walk_item items[FAST_WALKS];
	u64 *pages[FAST_PAGES] = { plat_page_alloc(1, PLAT_NODE_ANY) };
	struct walk walk = {
		.format = &walk_ept_4level,
		.mode = { .flags = WALK_PAGE_2M | WALK_PAGE_1G, .maxphyaddr = 52 },
		.memory = &walk_host_memory,
	};
	struct walk_tables tables;
	size_t used = 1, mapped = 0, by_level[3] = { 0 };

	(void)state;
	assert_non_null(pages[0]);
	walk.root = plat_virt_to_hpa(pages[0]).addr;
	tables = walk_tables_ept(hypr_hpa(walk.root), false);
	for (unsigned int i = 0; i < 300; i++)
		map_one(pages[0], draw_fast_address(), pages, &used);

	for (size_t i = 0; i < FAST_WALKS; i++)
		items[i].address = draw_fast_address() | (one_in(50) ? draw() << 48 : 0);
	walk_batch(&tables, items, FAST_WALKS);
	for (size_t i = 0; i < FAST_WALKS; i++) {
		struct walk_result result;
		hypr_hpa_t hpa;
		int error = fast_page_walk(&tables, items[i].address, &hpa);

		assert_int_equal(items[i].error, error);
		assert_int_equal(error == -EINVAL, items[i].address >> 48 != 0);
		assert_int_equal(walk_peek(&walk, items[i].address, 0, &result),
				 error ? -EFAULT : 0);
		if (error)
			continue;
		assert_int_equal(hpa.addr, result.address);
		assert_int_equal(items[i].hpa.addr, result.address);
		by_level[result.level - 1]++;
		mapped++;
	}
	assert_true(mapped < FAST_WALKS);
	for (size_t i = 0; i < ARRAY_SIZE(by_level); i++)
		assert_true(by_level[i] > 0);
	for (size_t i = 0; i < used; i++)
		plat_page_free(pages[i], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walker_and_oracle_agree),
		cmocka_unit_test(test_fast_walks_and_the_walker_agree),
	};
	const char *given = getenv("HYPR_SEED");

	seed = given ? strtoull(given, NULL, 0) : (u64)time(NULL) ^ (u64)getpid() << 32;
	printf("# HYPR_SEED=%" PRIu64 "\n", seed);
	fflush(stdout);
	state_word = seed;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
