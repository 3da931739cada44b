// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr-bench-engine: what an exit and a swap cost on one engine, by its device: KVM with
 * views, or hyprv.  bench/hyprv-run runs it on both.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "swap_bench.h"
#include "tests/guest/harness.h"

static void usage(void)
{
	puts("usage: hypr-bench-engine [--rounds N] [--json FILE]\n"
	     "\n"
	     "  --rounds N   measurements for each figure (default 200)\n"
	     "  --json FILE  the figures in that file too\n"
	     "\n"
	     "HYPR_DEVICE in the environment names the device (default /dev/kvm).\n"
	     "Cycles are those of the TSC: on the emulated PC, instructions.");
}

/* A row of the table, and the same under @key. */
static void put(json_t *root, const char *key, const char *text, struct samples *samples)
{
	struct summary s;

	samples_summarize(samples, &s);
	printf("%-52s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 "\n", text, s.median, s.p99, s.max);
	json_object_set_new(root, key, json_pack("{sI sI sI sI}",
			    "median", (json_int_t)s.median, "p99", (json_int_t)s.p99,
			    "max", (json_int_t)s.max, "samples", (json_int_t)samples->nr));
	samples_fini(samples);
}

static void measure(json_t *root, unsigned int rounds)
{
	struct samples exits = { 0 };
	char key[32], text[80];
	int n;

	bench_exit(rounds, &exits);
	put(root, "exit", "exit and re-entry in the kernel (CPUID)", &exits);
	for (n = 1; n <= BENCH_MAX_VCPUS; n++) {
		struct swap_times times = { 0 };

		bench_swap_cached(n, rounds, &times);
		snprintf(key, sizeof(key), "swap_%d", n);
		snprintf(text, sizeof(text), "swap, request to next guest instruction, %d vCPU", n);
		put(root, key, text, &times.seen);
		snprintf(key, sizeof(key), "swap_call_%d", n);
		put(root, key, "  of that, the ioctl", &times.call);
	}
}

static int run(unsigned int rounds, const char *path)
{
	json_t *root = json_object();
	int err = 0;

	if (!root)
		return -ENOMEM;
	setvbuf(stdout, NULL, _IOLBF, 0);
	json_object_set_new(root, "device", json_string(harness_device()));
	printf("%-52s %9s %9s %9s\n", harness_device(), "median", "p99", "max");
	measure(root, rounds);
	if (path && json_dump_file(root, path, JSON_INDENT(2))) {
		fprintf(stderr, "hypr-bench-engine: cannot write %s\n", path);
		err = -EIO;
	}
	json_decref(root);
	return err;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "json", required_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	unsigned long rounds = 200;
	const char *path = NULL;
	char *end;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			rounds = strtoul(optarg, &end, 10);
			if (*end || !rounds || rounds > 1000000) {
				fputs("hypr-bench-engine: --rounds: a number from 1 to 1000000\n",
				      stderr);
				return 2;
			}
			break;
		case 'j':
			path = optarg;
			break;
		case 'h':
			usage();
			return 0;
		default:
			usage();
			return 2;
		}
	}
	return run(rounds, path) ? 1 : 0;
}
