// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr-bench-linux: what a whole swap and a reset of a Linux guest cost, by libhypr,
 * from the request until the guest goes on.  The guest is guests/beat: it reports when
 * a vCPU was away, and when it has written so many pages.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>
#include <linux/kvm_hypr.h>

#include "bench/bench.h"
#include "bench/stats_json.h"
#include "bench/timeline.h"
#include "guests/beat/beat.h"
#include "hypr/run.h"

#define CMDLINE		"console=ttyS0 loglevel=3 panic=-1 reboot=t"
#define VCPUS_MAX	3
#define WAIT_NS		300000000000ull	/* emulated PCs are slow */
#define SLICE_US	20000ull
#define WARM_UP		6		/* the first swaps are not the usual ones */
#define BIG_BYTES	(32ull << 20)	/* of a VM whose guest writes BEAT_PAGES_BIG pages */

const char bench_name[] = "hypr-bench-linux";

static struct report_log reports;
static const char *kernel = "/demo/vmlinuz", *initrd = "/demo/beat", *cmdline = CMDLINE;
static unsigned int vm_flags;
static const char *hyprctl;
static unsigned long rounds = 100, only;
static json_t *root;

/* What one kind of swap cost, and the parts of it. */
struct times {
	struct samples seen;		/* until the last vCPU had reported */
	struct samples total, pause, ioctl, commit, state;
};

static void add(struct samples *samples, uint64_t value)
{
	bench_must(samples_add(samples, value), "keeping a figure");
}

static void on_report(void *arg, unsigned int vcpu, uint32_t value, uint64_t tsc)
{
	(void)arg;
	(void)vcpu;
	report_log_push(&reports, value, tsc);
}

static void give_up(const char *why)
{
	fprintf(stderr, "%s: %s\n", bench_name, why);
	exit(1);
}

/* The next report of what was written after @after. */
static struct report next_report(struct hypr_vm *vm, uint64_t after)
{
	uint64_t deadline = bench_now_ns() + WAIT_NS;
	struct report report;

	for (;;) {
		while (report_log_pop(&reports, UINT64_MAX, &report))
			if (report.tsc > after)
				return report;
		if (hypr_vm_wait(vm, 0) != -ETIMEDOUT)
			give_up("the guest has ended");
		if (bench_now_ns() >= deadline)
			give_up("the guest does not report");
		report_log_wait(&reports, bench_now_ns() + 1000000000);
	}
}

/* When each vCPU had reported for the first time after @after. */
static uint64_t beats_await(struct hypr_vm *vm, unsigned int vcpus, uint64_t after)
{
	unsigned int seen = 0, all = (1u << vcpus) - 1, cpu;
	struct report report;

	do {
		report = next_report(vm, after);
		cpu = report.word & ~BEAT_MASK;
		if ((report.word & BEAT_MASK) == BEAT_TAG && cpu < vcpus)
			seen |= 1u << cpu;
	} while (seen != all);
	return report.tsc;
}

static void word_await(struct hypr_vm *vm, uint32_t word, uint64_t after)
{
	struct report report;

	do {
		report = next_report(vm, after);
	} while (report.word != word);
}

/* ---- the VM -------------------------------------------------------------- */

static struct hypr_vm *vm_start(unsigned int vcpus, uint64_t mem_bytes)
{
	static const int pin[VCPUS_MAX] = { 1, 2, 3 };
	struct hypr_vm_config config = HYPR_VM_CONFIG_INIT;
	struct hypr_vm *vm;
	cpu_set_t set;

	config.name = "bench";
	config.kernel = kernel;
	config.initrd = initrd;
	config.cmdline = cmdline;
	config.flags = vm_flags;
	config.vcpus = vcpus;
	config.mem_bytes = mem_bytes;
	config.nr_pin = VCPUS_MAX;
	config.pin = pin;
	config.report = on_report;
	bench_must(hypr_vm_create(&config, &vm), "making the VM");
	bench_must(hypr_vm_start(vm), "starting the VM");
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	bench_must_sys(!sched_setaffinity(0, sizeof(set), &set), "pinning the asking thread");
	return vm;
}

static void vm_end(struct hypr_vm *vm)
{
	cpu_set_t set;
	int cpu;

	hypr_vm_destroy(vm);
	CPU_ZERO(&set);
	for (cpu = 0; cpu <= VCPUS_MAX; cpu++)
		CPU_SET(cpu, &set);
	bench_must_sys(!sched_setaffinity(0, sizeof(set), &set), "unpinning the asking thread");
	if (reports.lost)
		give_up("reports were lost");
}

static uint64_t tables(struct hypr_vm *vm)
{
	struct kvm_hypr_cache cache = { .flags = KVM_HYPR_CACHE_GET };

	bench_must_sys(!ioctl(hypr_vm_fd(vm), KVM_HYPR_SET_CACHE, &cache), "KVM_HYPR_SET_CACHE");
	return cache.tables;
}

/* A moment that begins with the writer's rest. */
static struct hypr_snapshot_result moment_take(struct hypr_vm *vm, const char *view)
{
	struct hypr_snapshot_result snapshot;

	word_await(vm, BEAT_REST, bench_tsc());
	bench_must(hypr_vm_pause(vm, NULL), "pausing");
	bench_must(hypr_view_snapshot(vm, view, &snapshot), "taking a moment");
	bench_must(hypr_vm_resume(vm), "resuming");
	return snapshot;
}

/* ---- swaps --------------------------------------------------------------- */

static void swap_once(struct hypr_vm *vm, unsigned int vcpus, const char *view,
		      unsigned int flags, struct times *times)
{
	struct hypr_swap_result r;
	uint64_t seen;

	bench_must(hypr_view_swap(vm, view, flags, &r), "a swap");
	seen = beats_await(vm, vcpus, r.request_tsc + r.pause_cycles);
	if (!times)
		return;
	if (r.state_way != HYPR_STATE_KERNEL)
		give_up("the kernel did not exchange the vCPUs' state");
	add(&times->seen, seen - r.request_tsc);
	add(&times->total, r.total_cycles);
	add(&times->pause, r.pause_cycles);
	add(&times->ioctl, r.ioctl_cycles);
	add(&times->commit, r.commit_cycles);
	add(&times->state, r.state_cycles);
}

/* @what: "linux" or "forced". */
static void put_times(struct times *times, const char *what, unsigned int vcpus)
{
	const struct {
		const char *key, *text;
		struct samples *samples;
	} row[] = {
		{ "", NULL, &times->seen },
		{ "_released", "  until the vCPUs were let go", &times->total },
		{ "_pause", "  of that: pause", &times->pause },
		{ "_ioctl", "  of that: the commit's system call", &times->ioctl },
		{ "_commit", "  of that: until all had left the old view", &times->commit },
		{ "_state", "  of that: state of devices (forced: vCPUs too)", &times->state },
	};
	char key[48], text[80];
	unsigned int i;

	snprintf(text, sizeof(text), "swap of a guest (%s), %u vCPU, until seen", what, vcpus);
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		snprintf(key, sizeof(key), "swap_%s_%uvcpu%s", what, vcpus, row[i].key);
		samples_put(root, key, row[i].text ? row[i].text : text, row[i].samples);
	}
}

/*
 * A view's pages are its moment's until they are written for the first time.  Then each is
 * copied, while the guest reports nothing: 900 of them in one stage take as long as hundreds
 * of swaps.  So that no swap waits for that, the guest goes through its stages first.
 * @first: the swap to the view, which nobody was in before
 */
static void pages_await(struct hypr_vm *vm, const char *view, struct samples *first)
{
	struct hypr_swap_result r;
	uint64_t after;

	bench_must(hypr_view_swap(vm, view, 0, &r), "a swap");
	after = bench_tsc();
	if (r.state_way != HYPR_STATE_KERNEL)
		give_up("the kernel did not exchange the vCPUs' state in the first swap");
	add(first, r.total_cycles);
	word_await(vm, BEAT_REST, after);
	word_await(vm, BEAT_DIRTY | BEAT_PAGES_MAX, after);
}

static void measure_swaps(struct hypr_vm *vm, unsigned int vcpus)
{
	struct times times = { 0 };
	struct samples first = { 0 };
	unsigned long i;
	char key[48];

	pages_await(vm, "A", &first);
	pages_await(vm, "B", &first);
	snprintf(key, sizeof(key), "swap_linux_%uvcpu_first", vcpus);
	samples_put(root, key, "the first swaps to views, until the vCPUs were let go", &first);
	for (i = 0; i < WARM_UP + rounds; i++)
		swap_once(vm, vcpus, i % 2 ? "B" : "A", 0, i < WARM_UP ? NULL : &times);
	put_times(&times, "linux", vcpus);
	if (vcpus > 1)
		return;
	for (i = 0; i < WARM_UP + rounds; i++)
		swap_once(vm, vcpus, i % 2 ? "B" : "A", HYPR_SWAP_FORCE,
			  i < WARM_UP ? NULL : &times);
	put_times(&times, "forced", vcpus);
}

/* ---- resets -------------------------------------------------------------- */

/* What the last reset left is put back in the background: not a part of the next. */
static void spare_await(struct hypr_vm *vm)
{
	uint64_t deadline = bench_now_ns() + WAIT_NS;
	struct hypr_view_info info[3];
	struct report report;

	for (;;) {
		/* It may take longer than there is room for what the guest reports. */
		while (report_log_pop(&reports, UINT64_MAX, &report))
			;
		hypr_view_list(vm, info, 3);
		if (info[1].spare == HYPR_SPARE_READY)
			return;
		if (info[1].spare != HYPR_SPARE_DIRTY || bench_now_ns() >= deadline)
			give_up("the spare is not put back");
		usleep(200);
	}
}

/*
 * Of the active view A, by one way, once the guest has written @pages since its moment.
 * As a swap with a reset: its result has the parts.
 */
static void measure_resets(struct hypr_vm *vm, unsigned int pages, int way)
{
	const char *name = way == HYPR_RESET_COPY_BACK ? "copy" : hypr_reset_name(way);
	struct samples total = { 0 }, found = { 0 };
	struct times times = { 0 };
	uint64_t after = bench_tsc();
	struct hypr_swap_result r;
	const struct {
		const char *key, *text;
		struct samples *samples;
	} row[] = {
		{ "", NULL, &total },
		{ "_pause", "  of that: pause", &times.pause },
		{ "_restore", "  of that: finding the pages, putting them back", &times.commit },
		{ "_ioctl", "  of that: the commit's system call", &times.ioctl },
		{ "_state", "  of that: saving and setting vCPUs and devices", &times.state },
		{ "_pages", "  pages looked at", &found },
	};
	char key[48], text[80];
	unsigned long i;

	for (i = 0; i < WARM_UP + rounds; i++) {
		if (way == HYPR_RESET_SPARE)
			spare_await(vm);
		word_await(vm, BEAT_DIRTY | pages, after);
		bench_must(hypr_view_swap(vm, "A", HYPR_SWAP_RESET | HYPR_RESET_ONLY(way), &r),
			   "a reset");
		after = bench_tsc();
		if (i < WARM_UP)
			continue;
		if ((way == HYPR_RESET_COPY_BACK || way == HYPR_RESET_SPARE) &&
		    r.state_way != HYPR_STATE_KERNEL)
			give_up("the kernel did not move the vCPUs' state");
		add(&total, r.total_cycles);
		add(&times.pause, r.pause_cycles);
		add(&times.commit, r.reset_cycles);
		add(&times.ioctl, r.ioctl_cycles);
		add(&times.state, r.state_cycles);
		add(&found, r.pages_restored);
	}
	snprintf(text, sizeof(text), "Linux, 2 vCPUs: reset by %s, %u pages and its own",
		 hypr_reset_name(way), pages);
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		snprintf(key, sizeof(key), "reset_%s_%u%s", name, pages, row[i].key);
		samples_put(root, key, row[i].text ? row[i].text : text, row[i].samples);
	}
}

static void check_equals_moment(struct hypr_vm *vm)
{
	struct hypr_verify_result v;

	bench_must(hypr_view_verify(vm, "A", &v), "verifying");
	if (v.pages_mismatched)
		give_up("a view that was reset differs from its moment");
}

static void measure_all_resets(struct hypr_vm *vm)
{
	static const unsigned int pages[] = { 1, 100, BEAT_PAGES_MAX };
	unsigned int i;

	bench_must(hypr_view_swap(vm, "A", HYPR_SWAP_RESET, NULL), "entering A");
	for (i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
		measure_resets(vm, pages[i], HYPR_RESET_COPY_BACK);
	measure_resets(vm, 100, HYPR_RESET_COMPARE);
	measure_resets(vm, 100, HYPR_RESET_DROP);
	bench_must(hypr_view_swap(vm, "B", 0, NULL), "leaving A");
	bench_must(hypr_view_reset(vm, "A", NULL), "a reset");
	check_equals_moment(vm);
}

/* In a VM of its own, in which so many pages can be written. */
static void measure_spare(void)
{
	struct hypr_vm *vm = vm_start(2, BIG_BYTES);

	moment_take(vm, "A");
	bench_must(hypr_view_spare(vm, "A"), "a spare");
	bench_must(hypr_view_swap(vm, "A", 0, NULL), "entering A");
	measure_resets(vm, 1, HYPR_RESET_SPARE);
	measure_resets(vm, BEAT_PAGES_BIG, HYPR_RESET_SPARE);
	spare_await(vm);
	bench_must(hypr_view_swap(vm, "boot", 0, NULL), "leaving A");
	bench_must(hypr_view_reset_by(vm, "A", HYPR_RESET_ONLY(HYPR_RESET_SPARE), NULL), "a reset");
	check_equals_moment(vm);
	spare_await(vm);
	bench_must(hypr_view_reset_by(vm, "A", HYPR_RESET_ONLY(HYPR_RESET_SPARE), NULL), "a reset");
	check_equals_moment(vm);
	vm_end(vm);
}

/* ---- asked for by the guest ------------------------------------------------- */

/*
 * hyprctl of a Linux guest makes a moment and asks for it, again and again.  A figure is the
 * mean of a slice of that: nobody but the kernel sees a single one.
 */
static void slice(struct hypr_vm *vm, struct hypr_run_result *r)
{
	const struct hypr_run_params params = { .size = sizeof(params), .timeout_us = SLICE_US };

	bench_must(hypr_vm_run(vm, &params, r), "a run");
	if (r->what != HYPR_RUN_TIMEOUT)
		give_up("the guest has ended");
}

static void measure_requested(void)
{
	uint64_t deadline = bench_now_ns() + WAIT_NS;
	struct samples cycles = { 0 }, pages = { 0 };
	struct hypr_run_result r;
	struct hypr_vm *vm;
	unsigned long i;

	initrd = hyprctl;
	cmdline = CMDLINE " -- moment back";
	vm_flags = HYPR_VM_GUEST_REQUESTS;
	vm = vm_start(1, HYPR_MEM_MIN_BYTES);
	do
		slice(vm, &r);
	while (r.resets_in_kernel < WARM_UP && bench_now_ns() < deadline);
	/* The end of a slice may come between a request and its reset: user space does that one. */
	for (i = 0; i < rounds; i++) {
		do
			slice(vm, &r);
		while ((!r.resets || r.resets != r.resets_in_kernel) && bench_now_ns() < deadline);
		if (!r.resets || r.resets != r.resets_in_kernel)
			give_up("the kernel did not put the guest back that asked");
		add(&cycles, r.reset_cycles / r.resets);
		add(&pages, r.reset_pages / r.resets);
	}
	samples_put(root, "swap_guest_requested_linux",
		    "Linux, 1 vCPU: asks for its moment, until it goes on", &cycles);
	samples_put(root, "swap_guest_requested_linux_pages", "  pages looked at", &pages);
	vm_end(vm);
}

/* ---- all ----------------------------------------------------------------- */

static void put_number(const char *key, const char *text, uint64_t value)
{
	json_object_set_new(root, key, json_integer((json_int_t)value));
	printf("%-52s %9" PRIu64 "\n", text, value);
}

static void measure(unsigned int vcpus)
{
	struct hypr_vm *vm = vm_start(vcpus, HYPR_MEM_MIN_BYTES);
	struct hypr_snapshot_result a;
	uint64_t before;

	word_await(vm, BEAT_REST, 0);
	before = tables(vm);
	a = moment_take(vm, "A");
	if (vcpus == 1) {
		put_number("prepare_4k_per_page", "a new view: cycles for each 4 KiB page mapped",
			   a.prepare_cycles / a.pages_mapped);
		put_number("prepare_4k_pages", "  pages mapped; the others are zero in the moment",
			   a.pages_mapped);
		put_number("prepare_view", "  cycles for all of the view, of 4,096 pages",
			   a.prepare_cycles);
		put_number("view_bytes_overhead", "tables of a view of 16 MiB: bytes",
			   (tables(vm) - before) * 4096);
	}
	moment_take(vm, "B");
	measure_swaps(vm, vcpus);
	if (vcpus == 2)
		measure_all_resets(vm);
	vm_end(vm);
	if (vcpus == 2)
		measure_spare();
}

static void usage(FILE *to)
{
	fputs("usage: hypr-bench-linux [--rounds N] [--kernel FILE] [--initrd FILE] [--hyprctl FILE] [--vcpus N] [--json FILE]\n"
	      "\n"
	      "  --rounds N     swaps and resets measured for each figure (default 100)\n"
	      "  --kernel FILE  of the guest, with HYPR's patch (/demo/vmlinuz)\n"
	      "  --initrd FILE  guests/beat (/demo/beat)\n"
	      "  --hyprctl FILE guests/hyprctl: what a reset costs that the guest asks for\n"
	      "  --vcpus N      only with so many vCPUs, and resets with 2\n"
	      "  --json FILE    the figures in that file too\n", to);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "kernel", required_argument, NULL, 'k' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "hyprctl", required_argument, NULL, 'y' },
		{ "vcpus", required_argument, NULL, 'v' },
		{ "json", required_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *path = NULL;
	unsigned int vcpus;
	char *end = "";
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'r')
			rounds = strtoul(optarg, &end, 10);
		else if (c == 'k')
			kernel = optarg;
		else if (c == 'i')
			initrd = optarg;
		else if (c == 'y')
			hyprctl = optarg;
		else if (c == 'v')
			only = strtoul(optarg, &end, 10);
		else if (c == 'j')
			path = optarg;
		else
			usage(c == 'h' ? stdout : stderr);
		if (c == 'h')
			return 0;
		if (c == '?' || *end || !rounds || rounds > 100000 || only > VCPUS_MAX)
			return 2;
	}
	if (sysconf(_SC_NPROCESSORS_ONLN) <= VCPUS_MAX)
		give_up("needs four CPUs: one for each vCPU, one that asks");
	root = json_object();
	report_log_init(&reports);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("%-52s %9s %9s %9s\n", "a Linux guest", "median", "p99", "max");
	for (vcpus = 1; vcpus <= VCPUS_MAX; vcpus++)
		if (!only || vcpus == only)
			measure(vcpus);
	if (hyprctl)
		measure_requested();
	if (path && json_dump_file(root, path, JSON_INDENT(2)))
		give_up("cannot write the file of --json");
	json_decref(root);
	return 0;
}
