/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A growing list of measured values, and what is told about it: median, 99th
 * percentile, maximum.
 */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>
#include <stdint.h>

struct samples {
	uint64_t *value;
	size_t nr;
	size_t room;
};

struct summary {
	uint64_t median;
	uint64_t p99;
	uint64_t max;
};

/* Return 0 or -ENOMEM. */
int samples_add(struct samples *samples, uint64_t value);

/* All zero when there are none.  Sorts the list. */
void samples_summarize(struct samples *samples, struct summary *summary);

void samples_fini(struct samples *samples);

#endif /* BENCH_STATS_H */
