// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ten million VM entries of a small machine whose page tables change at random, with a
 * software TLB that is flushed only as tlb_decide() says (tests/core/tlb_world.c).
 *
 *	core_tlb [--json FILE] [--steps N] [--seed N]
 *
 * Exits with 1 if a stale translation was used, a flush missed, or one failed.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/core/tlb_world.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void print(const struct world_counts *counts)
{
	u64 flushes = 0;

	printf("%-44s %12s\n", "flush", "decisions");
	for (u32 n = 0; n <= TLB_FLUSH_IMPOSSIBLE; n++) {
		printf("%-44s %12llu\n", tlb_flush_text((enum tlb_flush)n),
		       (unsigned long long)counts->flush[n]);
		if (n != TLB_FLUSH_NONE && n != TLB_FLUSH_IMPOSSIBLE)
			flushes += counts->flush[n];
	}
	printf("%-44s %12s\n", "because", "decisions");
	for (u32 n = 0; n <= TLB_WHY_UNCHANGED; n++)
		printf("%-44s %12llu\n", tlb_reason_text((enum tlb_reason)n),
		       (unsigned long long)counts->why[n]);
	printf("%llu steps, %llu accesses: %llu stale, %llu missed, %llu failed; "
	       "%llu of %llu flushes found nothing stale\n",
	       (unsigned long long)counts->steps, (unsigned long long)counts->accesses,
	       (unsigned long long)counts->stale, (unsigned long long)counts->missed,
	       (unsigned long long)counts->failed, (unsigned long long)counts->unneeded,
	       (unsigned long long)flushes);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "steps", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },
		{ 0 },
	};
	u64 steps = 10000000, seed = 18;
	struct world_counts counts;
	const char *path = NULL;
	double start;
	json_t *json;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			path = optarg;
			break;
		case 'n':
			steps = strtoull(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		default:
			fprintf(stderr, "usage: core_tlb [--json FILE] [--steps N] [--seed N]\n");
			return 2;
		}
	}
	start = now();
	world_run(tlb_decide, seed, steps, &counts);
	print(&counts);
	printf("seed %llu, %.1f s\n", (unsigned long long)seed, now() - start);

	json = json_pack("{s:I, s:I, s:I, s:I}", "tlb_steps", (json_int_t)counts.steps,
			 "tlb_stale", (json_int_t)counts.stale,
			 "tlb_missed", (json_int_t)counts.missed,
			 "tlb_unneeded", (json_int_t)counts.unneeded);
	if (path && json_dump_file(json, path, JSON_INDENT(1))) {
		fprintf(stderr, "core_tlb: cannot write %s\n", path);
		return 1;
	}
	json_decref(json);
	return counts.stale || counts.missed || counts.failed;
}
