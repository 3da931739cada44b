/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the demo found: the table at its end, the bars, and demo.json.
 */
#ifndef BENCH_DEMO_RESULT_H
#define BENCH_DEMO_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "memslot_replace.h"
#include "stats.h"
#include "timeline.h"

#define BAR_COMMIT_CYCLES	4000	/* on the emulated PC */
#define BAR_RATIO		1000

/**
 * struct demo_result - filled by demo.c
 * @emulated: cycles are those of an emulated CPU, which counts instructions
 * @swaps_wanted, @swaps: asked for, and done with a completed step after each
 * @forced: swaps for which the guest had not parked
 * @differing: pages that differed from their moment before the last reset
 * @first: from a swap's request until the host heard of a completed step
 * @reset: putting the active view back to its moment, until it ran again
 * @first_reset: from then until the host heard of a completed step
 */
struct demo_result {
	char engine[16];
	char host_kernel[65];
	char guest_kernel[65];
	bool emulated;
	uint32_t vcpus;
	uint64_t mem_bytes;
	uint64_t seed;
	uint64_t swaps_wanted;
	uint64_t swaps;
	uint64_t swaps_continued;
	uint64_t swaps_reset;
	uint64_t forced;
	uint64_t unchecked;	/* swaps without a check after them */
	uint64_t reports_lost;
	uint64_t pages_verified;
	uint64_t pages_mismatched;
	uint64_t pages_differing;
	struct guest_checks guest;
	struct samples pause_cycles;
	struct samples commit_cycles;
	struct samples first_cycles;
	struct samples total_cycles;
	struct samples reset_cycles;
	struct samples first_reset_cycles;
	struct summary pause;
	struct summary commit;
	struct summary first;
	struct summary total;
	struct summary reset;
	struct summary first_reset;
	struct memslot_replace memslot;
	double ratio;
};

/* Medians and the like from the samples; before the other three. */
void demo_result_close(struct demo_result *result);

void demo_result_print(const struct demo_result *result);

/* Print each bar that is missed.  Return how many. */
unsigned int demo_result_bars(const struct demo_result *result);

/* Return 0 or -errno. */
int demo_result_json(const struct demo_result *result, bool passed,
		     const char *path);

void demo_result_fini(struct demo_result *result);

#endif /* BENCH_DEMO_RESULT_H */
