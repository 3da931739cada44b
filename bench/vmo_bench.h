/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of hypr-bench-vmo share: memories, files, times.  Each measured
 * thing and what it is compared with alternate in one loop, and medians count.
 */
#ifndef BENCH_VMO_BENCH_H
#define BENCH_VMO_BENCH_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/bench.h"
#include "bench/stats.h"
#include "hypr/vmo.h"

#define BENCH_PAGE	4096u
#define BENCH_MIB	(1u << 20)
#define BENCH_VCPUS	2u

/**
 * struct vmo_bench - a run of the program
 * @dir: folder for the files, the run's own
 * @mem_bytes: memory of the guest that is written and verified
 * @root: of the JSON
 */
struct vmo_bench {
	const char *dir;
	uint64_t mem_bytes;
	unsigned int rounds;
	unsigned int clones;
	json_t *root;
};

/** bench_path() - valid until the eighth call after */
const char *bench_path(const struct vmo_bench *bench, const char *name);

/** bench_memory() - @bytes of address space; @fill: every page written, all unlike */
uint8_t *bench_memory(uint64_t bytes, int fill);

/**
 * bench_write() - a file of it, as a snapshot makes it: pages, then a state's sections
 * @parent: or NULL
 */
void bench_write(const char *path, const uint8_t *mem, uint64_t bytes, struct hypr_vmo *parent);

/** bench_row() - a line of the table, and @key of @to: nanoseconds */
uint64_t bench_row(json_t *to, const char *key, const char *text, struct samples *ns,
		   uint64_t bytes);

/** bench_bar() - a line that tells whether a bar is reached, and the same in JSON */
void bench_bar(struct vmo_bench *bench, const char *key, const char *text, double value,
	       double bar, int at_least);

/* The parts: vmo_speed.c, vmo_start.c, vmo_clones.c. */
void bench_vmo_write(struct vmo_bench *bench);
void bench_vmo_verify(struct vmo_bench *bench);
void bench_vmo_start(struct vmo_bench *bench);
void bench_vmo_layers(struct vmo_bench *bench);
void bench_vmo_clones(struct vmo_bench *bench);

#endif /* BENCH_VMO_BENCH_H */
