// SPDX-License-Identifier: GPL-2.0-only
/*
 * What shadow paging costs the host, beside a walk of the guest's tables alone:
 * out/bench/core_shadow [--json FILE].
 *
 * The guest has 64 MiB in small pages.  The fault is the host's part of it: the walk, the
 * shadow entries; neither the exit nor the flush of a TLB.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "plat.h"
#include "shadow.h"

#define PAGES		16384u		/* mapped, from GVA 0 on */
#define LEAVES		(PAGES / CORE_ENTRIES)
#define ROOT		((u64)PAGES * CORE_PAGE_4K)	/* GPA; level 3, level 2, leaves */
#define LEVEL2		(ROOT + 2 * CORE_PAGE_4K)
#define LEAF		(ROOT + 3 * CORE_PAGE_4K)
#define MEMORY_PAGES	(2 * PAGES)
#define REPEATS		15
#define ENTRY_FLAGS	0x27ull		/* P, W, U, A */

static u8 *memory;
static struct shadow_page_table *table;
static struct shadow_vcpu vcpu;

static void fail(const char *what)
{
	fprintf(stderr, "core_shadow: %s\n", what);
	exit(1);
}

static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

static bool guest_read(const struct walk_memory *guest, u64 address, u32 bytes, u64 *entry)
{
	(void)guest;
	return walk_host_memory.read(&walk_host_memory, (u64)(uintptr_t)memory + address, bytes,
				     entry);
}

static int guest_exchange(const struct walk_memory *guest, u64 address, u32 bytes, u64 old_entry,
			  u64 new_entry)
{
	(void)guest;
	return walk_host_memory.exchange(&walk_host_memory, (u64)(uintptr_t)memory + address,
					 bytes, old_entry, new_entry);
}

static const struct walk_memory guest = { guest_read, guest_exchange, NULL };

static int translate(void *context, hypr_gpa_t gpa, bool write, struct shadow_host_page *page)
{
	(void)context;
	(void)write;
	page->hpa = plat_virt_to_hpa(memory + gpa.addr);
	page->writable = true;
	page->executable = true;
	page->large = false;
	return 0;
}

static void no_flush_address(void *context, u16 pcid, hypr_gva_t gva)
{
	(void)context;
	(void)pcid;
	(void)gva;
}

static void no_flush_context(void *context, u16 pcid)
{
	(void)context;
	(void)pcid;
}

static void no_flush_all(void *context)
{
	(void)context;
}

static u64 *at(u64 gpa)
{
	return (u64 *)(memory + gpa);
}

/* The window: GVA of the guest's page at @gpa, for the guest's stores to its tables. */
static u64 window(u64 gpa)
{
	return CORE_PAGE_1G + gpa - ROOT;
}

static void start(u32 max_pages)
{
	const struct shadow_params params = {
		.memory = &guest,
		.translate = translate,
		.tlb = { no_flush_address, no_flush_context, no_flush_all, NULL },
		.maxphyaddr = 40,
		.max_pages = max_pages,
		.hash_key = 0x5851f42d4c957f2dull,
	};
	u64 window_tables = LEAF + LEAVES * CORE_PAGE_4K;

	*at(ROOT) = (ROOT + CORE_PAGE_4K) | ENTRY_FLAGS;
	*at(ROOT + CORE_PAGE_4K) = LEVEL2 | ENTRY_FLAGS;
	*at(ROOT + CORE_PAGE_4K + 8) = window_tables | ENTRY_FLAGS;
	*at(window_tables) = (window_tables + CORE_PAGE_4K) | ENTRY_FLAGS;
	for (u32 i = 0; i < CORE_ENTRIES; i++)
		*at(window_tables + CORE_PAGE_4K + i * 8) =
			(ROOT + i * CORE_PAGE_4K) | ENTRY_FLAGS;
	for (u32 i = 0; i < LEAVES; i++)
		*at(LEVEL2 + i * 8) = (LEAF + i * CORE_PAGE_4K) | ENTRY_FLAGS;
	for (u64 i = 0; i < PAGES; i++)
		*at(LEAF + i * 8) = i * CORE_PAGE_4K | ENTRY_FLAGS;
	if (create_shadow_page_table(&params, &table))
		fail("no shadow");
	shadow_vcpu_init(&vcpu, table);
	if (shadow_set_registers(&vcpu, 0x80010001, 0x20, 0x500) || shadow_load_cr3(&vcpu, ROOT))
		fail("no root");
}

static void stop(void)
{
	shadow_vcpu_fini(&vcpu);
	destroy_shadow_page_table(table);
}

static void fault(u64 gva, u32 access, enum mmu_result want)
{
	struct shadow_fault found;

	if (shadow_fault(&vcpu, hypr_gva(gva), access, 0, &found) || found.result != want)
		fail("a fault has another result");
}

/* A plain walk of the guest's tables for each page. */
static double walks(void)
{
	struct walk_result result;
	double begin;

	start(128);
	begin = now_ns();
	for (u64 i = 0; i < PAGES; i++)
		if (walk_translate(&vcpu.walk, i * CORE_PAGE_4K, 0, &result))
			fail("a walk faults");
	begin = now_ns() - begin;
	stop();
	return begin / PAGES;
}

/* Each page for the first time. */
static double faults(void)
{
	double begin;

	start(128);
	begin = now_ns();
	for (u64 i = 0; i < PAGES; i++)
		fault(i * CORE_PAGE_4K, 0, MMU_RETRY);
	begin = now_ns() - begin;
	stop();
	return begin / PAGES;
}

/* The guest edits an entry of a leaf table, invalidates and uses it. */
static double edits(void)
{
	double begin;

	start(128);
	fault(0, 0, MMU_RETRY);
	fault(window(LEAF), WALK_WRITE, MMU_RETRY);
	begin = now_ns();
	for (u64 i = 0; i < PAGES; i++) {
		*at(LEAF + i % CORE_ENTRIES * 8) = (i + 1) * CORE_PAGE_4K | ENTRY_FLAGS;
		shadow_invlpg(&vcpu, hypr_gva(i % CORE_ENTRIES * CORE_PAGE_4K));
		fault(i % CORE_ENTRIES * CORE_PAGE_4K, 0, MMU_RETRY);
	}
	begin = now_ns() - begin;
	stop();
	return begin / PAGES;
}

/* The guest writes an upper table as fast as it can, and uses it in between. */
static double floods(void)
{
	double begin;

	start(128);
	fault(0, 0, MMU_RETRY);
	begin = now_ns();
	for (u64 i = 0; i < PAGES; i++) {
		fault(window(LEVEL2), WALK_WRITE, MMU_EMULATE);
		shadow_guest_wrote(table, hypr_gpa(LEVEL2), 8);
		fault(0, 0, MMU_RETRY);
	}
	begin = now_ns() - begin;
	stop();
	return begin / PAGES;
}

/* A load of CR3 with every leaf table full and out of sync. */
static double loads(void)
{
	double sum = 0, begin;

	start(128);
	for (u64 i = 0; i < PAGES; i++)
		fault(i * CORE_PAGE_4K, 0, MMU_RETRY);
	for (u32 round = 0; round < 4; round++) {
		for (u64 i = 0; i < LEAVES; i++)
			fault(window(LEAF + i * CORE_PAGE_4K), WALK_WRITE, MMU_RETRY);
		begin = now_ns();
		if (shadow_load_cr3(&vcpu, ROOT))
			fail("no root");
		sum += now_ns() - begin;
	}
	stop();
	return sum / 4 / LEAVES;
}

/* More leaf tables than shadow pages: each fault recycles one. */
static double recycles(void)
{
	struct shadow_stats stats;
	double begin;

	start(SHADOW_PAGES_MIN);
	begin = now_ns();
	for (u64 i = 0; i < PAGES; i++)
		fault((i % LEAVES * CORE_ENTRIES + i / LEAVES) * CORE_PAGE_4K, 0, MMU_RETRY);
	begin = now_ns() - begin;
	shadow_stats(table, &stats);
	if (stats.recycled < PAGES / 2)
		fail("nothing is recycled");
	stop();
	return begin / PAGES;
}

static int by_value(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static const struct {
	const char *key;
	const char *what;
	double (*once)(void);
} rows[] = {
	{ "shadow_walk_ns", "walk of the guest's tables", walks },
	{ "shadow_fault_ns", "fault, page seen first", faults },
	{ "shadow_edit_ns", "edit of a leaf entry: INVLPG and fault", edits },
	{ "shadow_flood_ns", "write to an upper table: two faults", floods },
	{ "shadow_recycle_ns", "fault that recycles a shadow page", recycles },
	{ "shadow_sync_ns", "CR3 load, for each full leaf table", loads },
};

#define ROWS	(sizeof(rows) / sizeof(rows[0]))

int main(int argc, char **argv)
{
	static double ns[ROWS][REPEATS];
	json_t *json = json_object();

	if (argc != 1 && (argc != 3 || strcmp(argv[1], "--json")))
		fail("usage: core_shadow [--json FILE]");
	memory = plat_page_alloc(MEMORY_PAGES, PLAT_NODE_ANY);
	if (!memory)
		fail("no guest memory");
	for (u32 repeat = 0; repeat < REPEATS; repeat++)
		for (size_t row = 0; row < ROWS; row++)
			ns[row][repeat] = rows[row].once();
	printf("%-42s %10s %10s\n", "shadow paging, median", "ns", "walks");
	for (size_t row = 0; row < ROWS; row++) {
		qsort(ns[row], REPEATS, sizeof(double), by_value);
		printf("%-42s %10.1f %10.2f\n", rows[row].what, ns[row][REPEATS / 2],
		       ns[row][REPEATS / 2] / ns[0][REPEATS / 2]);
		json_object_set_new(json, rows[row].key, json_real(ns[row][REPEATS / 2]));
	}
	json_object_set_new(json, "shadow_fault_ratio",
			    json_real(ns[1][REPEATS / 2] / ns[0][REPEATS / 2]));
	if (argc == 3 && json_dump_file(json, argv[2], JSON_INDENT(2)))
		fail("cannot write the JSON file");
	json_decref(json);
	plat_page_free(memory, MEMORY_PAGES);
	return 0;
}
