// SPDX-License-Identifier: GPL-2.0-only
/* Memories, files and lines of the table of hypr-bench-vmo: see vmo_bench.h. */
#include <stdio.h>
#include <sys/mman.h>

#include "vmo_bench.h"

const char *bench_path(const struct vmo_bench *bench, const char *name)
{
	static char path[8][320];
	static unsigned int next;
	char *to = path[next++ % 8];

	snprintf(to, sizeof(path[0]), "%s/%.40s", bench->dir, name);
	return to;
}

uint8_t *bench_memory(uint64_t bytes, int fill)
{
	uint8_t *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t state = 88172645463325252u, *word, at;

	bench_must_sys(mem != MAP_FAILED, "memory");
	for (at = 0; fill && at < bytes; at += sizeof(*word)) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		word = (uint64_t *)(mem + at);
		*word = state;
	}
	return mem;
}

void bench_write(const char *path, const uint8_t *mem, uint64_t bytes, struct hypr_vmo *parent)
{
	struct hypr_vmo_params params = {
		.size = sizeof(params),
		.mem_bytes = bytes,
		.nr_vcpus = BENCH_VCPUS,
		.parent = parent,
	};
	/* As long as those of a Linux guest with 2 vCPUs. */
	static const struct { uint32_t type, index; size_t bytes; } sections[] = {
		{ HYPR_VMO_CPU, 0, 1200 }, { HYPR_VMO_CLOCK, 0, 40 },
		{ HYPR_VMO_VCPU, 0, 6000 }, { HYPR_VMO_VCPU, 1, 6000 },
		{ HYPR_VMO_CHIPS, 0, 1560 }, { HYPR_VMO_PIT, 0, 112 },
		{ HYPR_VMO_CONSOLE, 0, 80 }, { HYPR_VMO_RTC, 0, 136 },
	};
	static const uint8_t state[6000] = { 1 };
	struct hypr_vmo_writer *writer;
	size_t i;

	bench_must(hypr_vmo_writer_create(path, &params, &writer), "a writer");
	bench_must(hypr_vmo_writer_pages(writer, 0, mem, bytes / BENCH_PAGE, HYPR_VMO_RUN_RWX),
		   "pages");
	for (i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		bench_must(hypr_vmo_writer_section(writer, sections[i].type, sections[i].index, 1,
						   0, state, sections[i].bytes), "sections");
	bench_must(hypr_vmo_writer_commit(writer, NULL), "the commit");
	hypr_vmo_writer_destroy(writer);
}

uint64_t bench_row(json_t *to, const char *key, const char *text, struct samples *ns,
		   uint64_t bytes)
{
	struct summary s;
	json_t *row;

	samples_summarize(ns, &s);
	row = json_pack("{sI sI sI sI}", "median_ns", (json_int_t)s.median,
			"p99_ns", (json_int_t)s.p99, "max_ns", (json_int_t)s.max,
			"samples", (json_int_t)ns->nr);
	printf("  %-46s %12.1f us", text, (double)s.median / 1000);
	if (bytes) {
		printf(" %8.2f GB/s", (double)bytes / (double)s.median);
		json_object_set_new(row, "bytes", json_integer((json_int_t)bytes));
	}
	putchar('\n');
	fflush(stdout);
	json_object_set_new(to, key, row);
	samples_fini(ns);
	return s.median;
}

void bench_bar(struct vmo_bench *bench, const char *key, const char *text, double value,
	       double bar, int at_least)
{
	int reached = at_least ? value >= bar : value <= bar;
	json_t *bars = json_object_get(bench->root, "bars");

	printf("  %-46s %12.2f    bar %g: %s\n", text, value, bar,
	       reached ? "reached" : "MISSED");
	json_object_set_new(bars, key, json_pack("{sf sf sb}", "value", value, "bar", bar,
						 "reached", reached));
}
