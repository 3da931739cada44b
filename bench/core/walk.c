// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walks of EPT tables that the host owns, at random GPAs: one after the other without a
 * prefetch, fast_page_walk(), walk_batch().
 *
 *	core_walk [--json FILE] [--plot FILE] [--gib N]
 *
 * The tables map N GiB (64) in pages of 4 KiB; the memory itself is not there, since a
 * walk never touches it.  The tables lie in an arena of huge pages if the machine has
 * some: a hypervisor reaches its tables through a direct map of 2 MiB or 1 GiB pages,
 * so the walk pays for table entries, not for TLB misses on them.
 *
 * "single" is a plain loop over the four levels, called for one GPA after the other.
 * The calls do not depend on each other, so that the processor may overlap them by
 * itself as far as it can; "single, dependent" makes each GPA depend on the walk before,
 * as a page fault does that has to be resolved before the next one comes.  The ratio of
 * the bar is against the first, the harder one.
 */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "plat.h"
#include "walk.h"

#define GIB		(1ull << 30)
#define REPEATS		41
#define WALKS		(1u << 16)
#define ENTRY_MAP	0x37ull		/* read, write, execute; write-back */
#define ENTRY_TABLE	0x7ull
#define HUGE		(2ull << 20)

struct arena {
	void *map;
	u8 *base;
	size_t bytes;
	size_t used;
};

struct figures {
	double single, dependent, fast, batch;	/* ns per walk, medians */
	double batch_ratio, fast_ratio;		/* single / it, medians over the rounds */
	double huge_part;			/* of the tables, in huge pages */
};

/* CPU time of this thread: other work on the machine does not count. */
static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static u64 draw(u64 *word)
{
	u64 z = *word += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void *take_page(struct arena *arena)
{
	void *page = arena->base + arena->used;

	if (arena->used == arena->bytes) {
		fprintf(stderr, "core_walk: the arena is too small\n");
		exit(1);
	}
	arena->used += CORE_PAGE_4K;
	return page;
}

static bool arena_open(struct arena *arena, u64 mapped_bytes)
{
	u64 leaf_pages = mapped_bytes / CORE_PAGE_2M;
	u64 pages = leaf_pages + leaf_pages / CORE_ENTRIES + 2 + 2;

	arena->bytes = (pages * CORE_PAGE_4K + HUGE - 1) / HUGE * HUGE;
	arena->used = 0;
	arena->map = mmap(NULL, arena->bytes + HUGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (arena->map == MAP_FAILED)
		return false;
	arena->base = (u8 *)(((uintptr_t)arena->map + HUGE - 1) / HUGE * HUGE);
	/* A kernel without huge pages refuses; huge_kib() then reports 0. */
	(void)madvise(arena->base, arena->bytes, MADV_HUGEPAGE);
	return true;
}

/* KiB of this process in huge pages, which is the arena alone. */
static u64 huge_kib(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	char line[256];
	u64 kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "AnonHugePages: %" SCNu64, &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static u64 *table_below(struct arena *arena, u64 *entry)
{
	if (!*entry)
		*entry = plat_virt_to_hpa(take_page(arena)).addr | ENTRY_TABLE;
	return plat_hpa_to_virt(hypr_hpa(*entry & ~0xfffull));
}

/* GPA g maps to an HPA that is nowhere: a hash of g, so that a wrong walk shows. */
static u64 made_up_page(u64 gpa)
{
	u64 word = gpa;

	return draw(&word) & 0x0000fffffffff000ull;
}

static u64 *build(struct arena *arena, u64 mapped_bytes)
{
	u64 *root = take_page(arena);

	for (u64 gpa = 0; gpa < mapped_bytes; gpa += CORE_PAGE_4K) {
		u64 *pdpt = table_below(arena, &root[gpa >> 39 & 511]);
		u64 *pd = table_below(arena, &pdpt[gpa >> 30 & 511]);
		u64 *pt = table_below(arena, &pd[gpa >> 21 & 511]);

		pt[gpa >> 12 & 511] = made_up_page(gpa) | ENTRY_MAP;
	}
	return root;
}

/* The baseline: what anybody writes first. */
__attribute__((noinline))
static int plain_walk(const struct walk_tables *tables, u64 gpa, hypr_hpa_t *hpa)
{
	u64 table = tables->root.addr;

	if (gpa >> 48)
		return -EINVAL;
	for (int level = 4;; level--) {
		u32 shift = 12 + 9 * (level - 1);
		const u64 *entries = plat_hpa_to_virt(hypr_hpa(table));
		u64 entry = entries[gpa >> shift & 511];
		u64 offset = (1ull << shift) - 1;

		if (!(entry & tables->present))
			return -ENOENT;
		if (level == 1 || (entry & BIT_ULL(7))) {
			*hpa = hypr_hpa((entry & 0x000ffffffffff000ull & ~offset) |
					(gpa & offset));
			return 0;
		}
		table = entry & 0x000ffffffffff000ull;
	}
}

enum way { SINGLE, DEPENDENT, FAST, BATCH, WAY_COUNT };

/* Walks all items one way; ns per walk. */
static double walk_all(const struct walk_tables *tables, struct walk_item *items, enum way way)
{
	double start = now_ns();
	u64 last = 0;

	switch (way) {
	case SINGLE:
		for (u32 i = 0; i < WALKS; i++)
			items[i].error = plain_walk(tables, items[i].address, &items[i].hpa);
		break;
	case DEPENDENT:
		for (u32 i = 0; i < WALKS; i++) {
			u64 address = items[i].address ^ (last & 1);

			items[i].error = plain_walk(tables, address, &items[i].hpa);
			/* Always 0, but not for the compiler or the processor. */
			last = items[i].hpa.addr >> 63;
		}
		break;
	case FAST:
		for (u32 i = 0; i < WALKS; i++)
			items[i].error = fast_page_walk(tables, items[i].address,
							&items[i].hpa);
		break;
	case BATCH:
		walk_batch(tables, items, WALKS);
		break;
	case WAY_COUNT:
		break;
	}
	return (now_ns() - start) / WALKS;
}

static void check_all(const struct walk_item *items)
{
	for (u32 i = 0; i < WALKS; i++) {
		u64 want = made_up_page(items[i].address & ~0xfffull) |
			   (items[i].address & 0xfff);

		if (items[i].error || items[i].hpa.addr != want) {
			fprintf(stderr, "core_walk: walk %u of GPA 0x%" PRIx64 " is wrong\n",
				i, items[i].address);
			exit(1);
		}
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, REPEATS, sizeof(*values), by_value);
	return values[REPEATS / 2];
}

/*
 * The ways take turns, in another order each time, each with GPAs of its own, so that
 * none finds leaf entries in the caches that the one before brought there.
 */
static bool measure(u64 mapped_bytes, struct figures *figures)
{
	double ns[WAY_COUNT][REPEATS], batch_ratio[REPEATS], fast_ratio[REPEATS];
	struct walk_item *items = calloc(WALKS, sizeof(*items));
	struct arena arena;
	struct walk_tables tables;
	u64 word = 42;

	if (!items || !arena_open(&arena, mapped_bytes)) {
		free(items);
		return false;
	}
	tables = walk_tables_ept(plat_virt_to_hpa(build(&arena, mapped_bytes)), false);
	figures->huge_part = huge_kib() * 1024.0 / arena.bytes;
	for (u32 repeat = 0; repeat < REPEATS; repeat++) {
		for (u32 turn = 0; turn < WAY_COUNT; turn++) {
			enum way way = (turn + repeat) % WAY_COUNT;

			for (u32 i = 0; i < WALKS; i++) {
				items[i].address = draw(&word) % mapped_bytes;
				items[i].error = -1;
			}
			ns[way][repeat] = walk_all(&tables, items, way);
			check_all(items);
		}
	}
	for (u32 repeat = 0; repeat < REPEATS; repeat++) {
		batch_ratio[repeat] = ns[SINGLE][repeat] / ns[BATCH][repeat];
		fast_ratio[repeat] = ns[SINGLE][repeat] / ns[FAST][repeat];
	}
	figures->batch_ratio = median(batch_ratio);
	figures->fast_ratio = median(fast_ratio);
	figures->single = median(ns[SINGLE]);
	figures->dependent = median(ns[DEPENDENT]);
	figures->fast = median(ns[FAST]);
	figures->batch = median(ns[BATCH]);
	munmap(arena.map, arena.bytes + HUGE);
	free(items);
	return true;
}

static void print_row(const char *name, double ns, double ratio)
{
	printf("%-28s %10.1f %12.2f\n", name, ns, ratio);
}

static void print_table(u64 gib, const struct figures *f)
{
	printf("EPT walks at random GPAs, %" PRIu64 " GiB of 4 KiB pages, "
	       "%.0f %% of the tables in huge pages\n", gib, 100 * f->huge_part);
	printf("%-28s %10s %12s\n", "", "ns a walk", "single / it");
	print_row("single", f->single, 1);
	print_row("single, dependent", f->dependent, f->single / f->dependent);
	print_row("fast_page_walk()", f->fast, f->fast_ratio);
	print_row("walk_batch()", f->batch, f->batch_ratio);
}

static bool write_json(const char *path, const struct figures *f)
{
	json_t *json = json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
				 "walk_batch_ratio", f->batch_ratio,
				 "walk_fast_ratio", f->fast_ratio,
				 "walk_batch_dependent_ratio", f->dependent / f->batch,
				 "walk_single_ns", f->single,
				 "walk_single_dependent_ns", f->dependent,
				 "walk_fast_ns", f->fast,
				 "walk_batch_ns", f->batch);
	bool written = json && !json_dump_file(json, path, JSON_INDENT(1));

	json_decref(json);
	return written;
}

static bool write_plot(const char *path)
{
	FILE *file = fopen(path, "w");
	struct figures f;
	bool fine = file;

	if (file)
		fprintf(file, "# GiB mapped, ns per walk: single, dependent, fast, batch\n");
	for (u64 gib = 1; fine && gib <= 64; gib *= 2) {
		fine = measure(gib * GIB, &f);
		if (fine)
			fprintf(file, "%" PRIu64 " %.2f %.2f %.2f %.2f\n", gib, f.single,
				f.dependent, f.fast, f.batch);
	}
	if (file && fclose(file))
		fine = false;
	return fine;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "plot", required_argument, NULL, 'p' },
		{ "gib", required_argument, NULL, 'g' },
		{ NULL, 0, NULL, 0 },
	};
	const char *json = NULL, *plot = NULL;
	struct figures f;
	u64 gib = 64;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'j')
			json = optarg;
		else if (option == 'p')
			plot = optarg;
		else if (option == 'g')
			gib = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	if (gib < 1 || gib > 512) {
		fprintf(stderr, "core_walk: --gib takes 1 to 512\n");
		return 2;
	}
	if (!measure(gib * GIB, &f)) {
		fprintf(stderr, "core_walk: no memory for tables of %" PRIu64 " GiB\n", gib);
		return 1;
	}
	print_table(gib, &f);
	if (json && !write_json(json, &f)) {
		fprintf(stderr, "core_walk: cannot write %s\n", json);
		return 1;
	}
	if (plot && !write_plot(plot)) {
		fprintf(stderr, "core_walk: cannot write %s\n", plot);
		return 1;
	}
	return 0;
}
