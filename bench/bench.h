/* SPDX-License-Identifier: GPL-2.0-only */
/* What the benchmark programs share: clocks, and how they give up. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdint.h>

/* Of the program, for its messages: each program defines it. */
extern const char bench_name[];

/** bench_must() - unless @ret is 0, end the program with what hypr_error() says, or @ret */
void bench_must(int ret, const char *what);

/** bench_must_sys() - unless @ok, end the program with what errno says */
void bench_must_sys(int ok, const char *what);

uint64_t bench_now_ns(void);

/* Time stamp counter, ordered against what is measured. */
static inline uint64_t bench_tsc(void)
{
	uint32_t low, high;

	asm volatile("rdtscp\n\tlfence" : "=a" (low), "=d" (high) : :
		     "rcx", "memory");
	return (uint64_t)high << 32 | low;
}

#endif /* BENCH_BENCH_H */
