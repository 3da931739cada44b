// SPDX-License-Identifier: GPL-2.0-only
/* Clocks and failures of the benchmark programs: see bench.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "hypr/hypr.h"

static void give_up(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", bench_name, what, why);
	exit(1);
}

void bench_must(int ret, const char *what)
{
	if (ret)
		give_up(what, *hypr_error() ? hypr_error() : strerror(-ret));
}

void bench_must_sys(int ok, const char *what)
{
	if (!ok)
		give_up(what, strerror(errno));
}

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
