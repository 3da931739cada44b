// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr-bench-swap: the price of a swap and of plain KVM, as a table and as JSON.
 * `make bench` boots it on the HYPR kernel; with --plain it runs on an unpatched
 * one too.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "memslot_replace.h"
#include "prepare_bench.h"
#include "reset_bench.h"
#include "stats_json.h"
#include "swap_bench.h"
#include "tests/guest/harness.h"

#define MEM_BYTES	(16u << 20)
#define ROTATION	5

static void usage(void)
{
	puts("usage: hypr-bench-swap [--rounds N] [--plain | --device | --prepare | --requested] [--json FILE]\n"
	     "\n"
	     "  --rounds N   swaps measured for each figure (default 200)\n"
	     "  --plain      only what KVM without views can do\n"
	     "  --device     only an exit, page-table edits and swaps, of the device that\n"
	     "               HYPR_DEVICE in the environment names (default /dev/kvm)\n"
	     "  --prepare    only what building a view's tables costs\n"
	     "  --requested  only what a reset costs that the guest asks for\n"
	     "  --json FILE  the figures in that file too\n"
	     "\n"
	     "Cycles are those of the TSC: on the emulated PC, instructions.");
}

static void put_number(json_t *root, const char *key, const char *text, uint64_t value)
{
	printf("%-52s %9" PRIu64 "\n", text, value);
	json_object_set_new(root, key, json_integer((json_int_t)value));
}

static void measure_dirty_resets(json_t *root, unsigned int rounds, bool views)
{
	static const unsigned int pages[] = { 1, 64, BENCH_MAX_DIRTY };
	struct samples samples = { 0 };
	char key[32], text[80];
	unsigned int i;

	for (i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		bench_dirty_reset(pages[i], views, rounds, &samples);
		snprintf(key, sizeof(key), "%s_%u", views ? "reset_written" : "reset_dirty_log",
			 pages[i]);
		snprintf(text, sizeof(text), "put back %u pages by %s, 1 vCPU, held", pages[i],
			 views ? "KVM_HYPR_GET_WRITTEN" : "the dirty log");
		samples_put(root, key, text, &samples);
	}
}

static void measure_requested_by(json_t *root, int nr_vcpus, bool spare, unsigned int rounds)
{
	struct samples seen = { 0 }, kernel = { 0 };
	char key[64], text[80];

	bench_requested_reset(nr_vcpus, spare, rounds, &seen, &kernel);
	snprintf(key, sizeof(key), nr_vcpus > 1 ? "swap_guest_requested%s_%dvcpu" :
						  "swap_guest_requested%s",
		 spare ? "_spare" : "", nr_vcpus);
	snprintf(text, sizeof(text), "the guest asks for its moment%s, %d vCPU, until seen",
		 spare ? ", by spare" : "", nr_vcpus);
	samples_put(root, key, text, &seen);
	strcat(key, "_kernel");
	samples_put(root, key, "  of that in the kernel", &kernel);
}

static void measure_requested(json_t *root, unsigned int rounds)
{
	int n;

	for (n = 1; n <= BENCH_MAX_VCPUS; n++) {
		measure_requested_by(root, n, false, rounds);
		measure_requested_by(root, n, true, rounds);
	}
}

static void measure_exit(json_t *root, unsigned int rounds)
{
	struct samples samples = { 0 };

	bench_exit(rounds, &samples);
	samples_put(root, "exit", "exit and re-entry in the kernel (CPUID)", &samples);
}

static void measure_churn(json_t *root, unsigned int rounds)
{
	struct samples samples = { 0 };

	bench_churn(rounds, &samples);
	samples_put(root, "churn", "11 page-table edits, a load of CR3, 2 INVLPG", &samples);
}

static void measure_plain(json_t *root, unsigned int rounds)
{
	struct samples samples = { 0 };
	char key[32], text[80];
	int n;

	measure_exit(root, rounds);
	bench_round_trip(rounds, &samples);
	samples_put(root, "round_trip", "KVM_RUN through user space (OUT)", &samples);
	for (n = 1; n <= BENCH_MAX_VCPUS; n++) {
		snprintf(key, sizeof(key), "pool_%d", n);
		snprintf(text, sizeof(text),
			 "pool of VMs, kicked by a signal, %d vCPU", n);
		bench_pool(n, rounds, &samples);
		samples_put(root, key, text, &samples);
	}
	measure_dirty_resets(root, (rounds + 3) / 4, false);
}

/* Swaps, and what replaces them without views, against the size of memory. */
static int measure_sizes(json_t *root, unsigned int rounds)
{
	struct swap_times times = { 0 };
	struct memslot_replace replace;
	char key[32], text[80];
	unsigned int mib;
	int ret;

	for (mib = 2; mib <= 16; mib *= 2) {
		bench_swap_size((unsigned long)mib << 20, rounds, &times);
		snprintf(key, sizeof(key), "swap_mib_%u", mib);
		snprintf(text, sizeof(text), "swap until seen, %u MiB, 1 vCPU", mib);
		samples_put(root, key, text, &times.seen);
		samples_fini(&times.call);
		ret = memslot_replace_measure((uint64_t)mib << 20, 1, &replace);
		if (ret)
			return ret;
		snprintf(key, sizeof(key), "memslot_mib_%u", mib);
		put_number(root, key, "  replace the memslot, touch it again", replace.total);
	}
	return 0;
}

static void measure_cached(json_t *root, unsigned int rounds)
{
	struct swap_times times = { 0 };
	char key[32], text[80];
	int n;

	for (n = 1; n <= BENCH_MAX_VCPUS; n++) {
		bench_swap_cached(n, rounds, &times);
		snprintf(key, sizeof(key), "swap_%d", n);
		snprintf(text, sizeof(text),
			 "swap until seen, root cached, %d vCPU", n);
		samples_put(root, key, text, &times.seen);
		snprintf(key, sizeof(key), "swap_call_%d", n);
		samples_put(root, key, "  of that, the ioctl", &times.call);
	}
}

static void measure_swaps(json_t *root, unsigned int rounds)
{
	struct swap_times times = { 0 };

	measure_cached(root, rounds);
	bench_swap_pv(rounds, &times);
	samples_put(root, "swap_pv", "swap until seen, kvmclock and steal time on, 1 vCPU",
		    &times.seen);
	samples_put(root, "swap_pv_call", "  of that, the ioctl", &times.call);
	bench_swap_rotation(ROTATION, rounds, &times);
	samples_put(root, "swap_five", "swap until seen, five views in turn, 1 vCPU",
		    &times.seen);
	samples_put(root, "swap_five_call", "  of that, the ioctl", &times.call);
	bench_swap_dontneed(rounds, &times);
	samples_put(root, "swap_dontneed", "swap until seen, beside MADV_DONTNEED, 1 vCPU",
		    &times.seen);
	samples_put(root, "swap_dontneed_call", "  of that, the ioctl", &times.call);
	/* 14 views a VM. */
	bench_swap_first((rounds + 49) / 50, &times);
	samples_put(root, "swap_first", "swap until seen, root never loaded, 1 vCPU",
		    &times.seen);
	samples_put(root, "swap_first_call", "  of that, the ioctl", &times.call);
}

static void measure_prepare(json_t *root, unsigned int rounds)
{
	static const struct {
		enum prepare_memory kind;
		const char *key, *text;
	} row[] = {
		{ PREPARE_SHARED, "prepare_shared_4k_per_page",
		  "prepare a page of 4 KiB: mapped by the host, read-only" },
		{ PREPARE_WRITTEN, "prepare_written_4k_per_page",
		  "  mapped by the host, writable" },
		{ PREPARE_COLD, "prepare_cold_4k_per_page", "  in a file, not mapped yet" },
		{ PREPARE_HOLES, "prepare_hole_4k_per_page", "  a hole of a file, not mapped yet" },
		{ PREPARE_EMPTY, "prepare_empty_4k_per_page", "  plain memory, never touched" },
		{ PREPARE_HUGE, "prepare_2m_per_page", "prepare a page of 2 MiB" },
	};
	struct samples samples = { 0 };
	unsigned int i;

	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		bench_prepare(row[i].kind, rounds, &samples);
		if (samples.nr)
			samples_put(root, row[i].key, row[i].text, &samples);
		else
			printf("%s: the host has none (transparent_hugepage/enabled)\n",
			       row[i].text);
	}
}

static int measure_memslot(json_t *root)
{
	struct memslot_replace result = { 0 };
	int ret = memslot_replace_measure(MEM_BYTES, 3, &result);

	if (ret) {
		fprintf(stderr, "hypr-bench-swap: replacing memory: %s\n",
			strerror(-ret));
		return ret;
	}
	put_number(root, "memslot_replace", "replace the memslot, touch 16 MiB again",
		   result.total);
	return 0;
}

/* A clone: memory of a file, mapped privately. */
static int measure_new_vm(json_t *root, unsigned int rounds)
{
	struct samples first = { 0 };
	int ret = memslot_new_vm_measure(MEM_BYTES, rounds, &first);

	if (ret) {
		fprintf(stderr, "hypr-bench-swap: a new VM: %s\n", strerror(-ret));
		return ret;
	}
	samples_put(root, "new_vm", "a new VM over mmap(MAP_PRIVATE), until its first exit", &first);
	return 0;
}

enum what { ALL, PLAIN, DEVICE, PREPARE, REQUESTED };

static int measure_kernel(json_t *root, unsigned int rounds, enum what what)
{
	int ret;

	measure_plain(root, rounds);
	ret = measure_memslot(root);
	if (!ret)
		ret = measure_new_vm(root, (rounds + 9) / 10);
	if (!ret && what == ALL) {
		measure_swaps(root, rounds);
		measure_dirty_resets(root, (rounds + 3) / 4, true);
		measure_requested(root, rounds);
		measure_prepare(root, (rounds + 19) / 20);
		ret = measure_sizes(root, rounds);
	}
	return ret;
}

static int measure(unsigned int rounds, enum what what, const char *path)
{
	json_t *root = json_object();
	struct utsname uts;
	int ret = 0;

	if (!root)
		return -ENOMEM;
	setvbuf(stdout, NULL, _IOLBF, 0);
	uname(&uts);
	json_object_set_new(root, "kernel", json_string(uts.release));
	printf("%-52s %9s %9s %9s\n", uts.release, "median", "p99", "max");
	if (what == DEVICE) {
		json_object_set_new(root, "device", json_string(harness_device()));
		measure_exit(root, rounds);
		measure_churn(root, rounds);
		measure_cached(root, rounds);
	} else if (what == PREPARE) {
		measure_prepare(root, rounds);
	} else if (what == REQUESTED) {
		measure_requested(root, rounds);
	} else {
		ret = measure_kernel(root, rounds, what);
	}
	if (!ret && path && json_dump_file(root, path, JSON_INDENT(2))) {
		fprintf(stderr, "hypr-bench-swap: cannot write %s\n", path);
		ret = -EIO;
	}
	json_decref(root);
	return ret;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "plain", no_argument, NULL, 'p' },
		{ "device", no_argument, NULL, 'd' },
		{ "prepare", no_argument, NULL, 'b' },
		{ "requested", no_argument, NULL, 'q' },
		{ "json", required_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *path = NULL;
	unsigned long rounds = 200;
	enum what what = ALL;
	char *end;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'r':
			rounds = strtoul(optarg, &end, 10);
			if (*end || !rounds || rounds > 1000000) {
				fprintf(stderr, "hypr-bench-swap: --rounds: a number from 1 to 1000000\n");
				return 2;
			}
			break;
		case 'p':
			what = PLAIN;
			break;
		case 'd':
			what = DEVICE;
			break;
		case 'b':
			what = PREPARE;
			break;
		case 'q':
			what = REQUESTED;
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
	return measure(rounds, what, path) ? 1 : 0;
}
