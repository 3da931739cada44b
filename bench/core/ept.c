// SPDX-License-Identifier: GPL-2.0-only
/*
 * What ept_map_memory() costs for each entry, beside a plain store loop over as many
 * entries: out/bench/core_ept [--json FILE].
 *
 * Both sides write to table pages that are zeroed and present already: the bench
 * takes them from a stack of its own.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "ept.h"

#define SIZE		(16 * CORE_PAGE_1G)
#define REPEATS		15
/* Table pages of 16 GiB in small pages: 8192 page tables, and what is above them. */
#define STACK_PAGES	(8192 + 16 + 2)

static u8 *memory;
static u64 *pages[STACK_PAGES];
static u32 free_pages;

static void fail(const char *what)
{
	fprintf(stderr, "core_ept: %s\n", what);
	exit(1);
}

static void *stack_get(void *context)
{
	(void)context;
	return free_pages ? pages[--free_pages] : NULL;
}

static void stack_put(void *context, void *page)
{
	(void)context;
	pages[free_pages++] = page;
}

static const struct ept_allocator stack = { stack_get, stack_put, NULL };

static void stack_init(void)
{
	memory = mmap(NULL, STACK_PAGES * CORE_PAGE_4K, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("no memory for table pages");
}

/* All pages zeroed, and the lowest first: each run meets the same memory. */
static void stack_reset(void)
{
	memset(memory, 0, STACK_PAGES * CORE_PAGE_4K);
	for (free_pages = 0; free_pages < STACK_PAGES; free_pages++)
		pages[free_pages] = (u64 *)(memory + (STACK_PAGES - 1 - free_pages) * CORE_PAGE_4K);
}

static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

/* Map 16 GiB with pages of up to @level.  Return: ns for each entry. */
static double map_once(u32 level)
{
	struct ept_capabilities can = {
		.maxphyaddr = 52,
		.page_2m = level >= 2,
		.page_1g = level >= 3,
	};
	struct memory_mapping mapping;
	struct ept_context ept;
	struct ept_edit edit;
	double start, ns;
	u64 entries = SIZE >> (3 + 9 * level);

	stack_reset();
	if (init_ept_context(&ept, 4, &can, &stack) ||
	    init_memory_mapping(&mapping, hypr_gpa(0), hypr_hpa(64 * CORE_PAGE_1G), SIZE,
				EPT_RWX | EPT_WB))
		fail("no context");
	start = now_ns();
	if (ept_map_memory(&ept, &mapping, &edit))
		fail("the mapping was refused");
	ns = now_ns() - start;
	if (ept.stats.pages[level - 1] != entries)
		fail("the mapping has other pages than the bench counts");
	fini_ept_context(&ept);
	return ns / entries;
}

/* Store as many entries to as many page tables. */
static double store_once(u32 level)
{
	u64 entries = SIZE >> CORE_PAGE_SHIFT, value = 64 * CORE_PAGE_1G | 0x37;
	double start;

	(void)level;
	stack_reset();
	start = now_ns();
	for (u64 table = 0; table < entries / CORE_ENTRIES; table++) {
		u64 *entry = pages[free_pages - 1 - table];

		for (u32 i = 0; i < CORE_ENTRIES; i++, value += CORE_PAGE_4K)
			entry[i] = value;
		__asm__ volatile("" : : "r"(entry) : "memory");
	}
	return (now_ns() - start) / entries;
}

static int by_value(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static double median(double *values)
{
	qsort(values, REPEATS, sizeof(*values), by_value);
	return values[REPEATS / 2];
}

int main(int argc, char **argv)
{
	static const struct {
		const char *key;
		const char *name;
		double (*once)(u32 level);
		u32 level;
	} rows[] = {
		{ "ept_store_loop_ns", "plain store loop, 4 KiB entries", store_once, 1 },
		{ "ept_map_4k_ns", "map 16 GiB as 4 KiB pages", map_once, 1 },
		{ "ept_map_2m_ns", "map 16 GiB as 2 MiB pages", map_once, 2 },
		{ "ept_map_1g_ns", "map 16 GiB as 1 GiB pages", map_once, 3 },
	};
	static double ns[4][REPEATS];
	json_t *result = json_object();
	double ratio;

	stack_init();
	/* Round by round, so that a disturbance meets all rows. */
	for (u32 i = 0; i < REPEATS; i++) {
		for (u32 row = 0; row < 4; row++)
			ns[row][i] = rows[row].once(rows[row].level);
	}
	printf("%-34s %12s\n", "EPT", "ns per entry");
	for (u32 row = 0; row < 4; row++) {
		double value = median(ns[row]);

		printf("%-34s %12.2f\n", rows[row].name, value);
		json_object_set_new(result, rows[row].key, json_real(value));
	}
	ratio = ns[1][REPEATS / 2] / ns[0][REPEATS / 2];
	printf("%-34s %12.2f   (bar: at most 3)\n", "4 KiB map / store loop", ratio);
	json_object_set_new(result, "ept_map_ratio", json_real(ratio));
	if (argc == 3 && !strcmp(argv[1], "--json") &&
	    json_dump_file(result, argv[2], JSON_INDENT(2)))
		fail("cannot write the JSON file");
	json_decref(result);
	return 0;
}
