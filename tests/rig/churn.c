// SPDX-License-Identifier: GPL-2.0-only
/*
 * churn [SWAPS [KERNEL [INITRD]]]: a Linux guest with 3 vCPUs that checks itself
 * (guests/churn) is swapped at random among 8 moments of it, and put back to them.  Each
 * fifth swap is a reset as well.  After a tenth of the resets all pages are compared with the
 * moment; what runs on is for the guest to judge.  Prints TAP, and the seed (HYPR_SEED), with
 * which it does the same again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guests/churn/churn_report.h"
#include "hypr/hypr.h"

#define CMDLINE		"console=ttyS0 loglevel=3 panic=-1 reboot=t"
#define MEM_BYTES	(32ull << 20)
#define VCPUS		3
#define VIEWS		8
#define SPARES		4		/* of them, the first ones, have one */
#define WAIT_S		600		/* emulated PCs are slow */
#define STAY_NS		1000000		/* at most, in a view */
#define LOOK		500		/* swaps between two looks that all workers get on */
#define REPORT		10000		/* swaps between two lines that say how far it is */

static const char *kernel = "/demo/vmlinuz", *initrd = "/churn/initrd";
static atomic_uint rounds;
static uint64_t random_state;
static unsigned int tests;
static bool failed;

/* What was done. */
static unsigned long swaps, by_kernel, by_force, resets, verified, pages;
static unsigned long ways[4];

static void result(bool ok, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("%sok %u - ", ok ? "" : "not ", ++tests);
	vprintf(format, args);
	printf("\n");
	va_end(args);
	failed |= !ok;
}

static _Noreturn void give_up(const char *what)
{
	result(false, "%s: %s", what, hypr_error());
	exit(1);
}

/* SplitMix64. */
static uint64_t random_next(void)
{
	uint64_t x = random_state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static void on_report(void *arg, unsigned int vcpu, uint32_t value, uint64_t tsc)
{
	(void)arg;
	(void)vcpu;
	(void)tsc;
	if ((value & CHURN_MASK) == CHURN_TAG)
		atomic_fetch_add(&rounds, 1);
}

static struct hypr_vm *vm_start(const char *cmdline, int console)
{
	static const int pin[VCPUS] = { 1, 2, 3 };
	struct hypr_vm_config config = HYPR_VM_CONFIG_INIT;
	struct hypr_vm *vm;

	config.name = "churn";
	config.kernel = kernel;
	config.initrd = initrd;
	config.cmdline = cmdline;
	config.mem_bytes = MEM_BYTES;
	config.vcpus = VCPUS;
	config.nr_pin = VCPUS;
	config.pin = pin;
	config.console_out = console;
	config.report = on_report;
	if (hypr_vm_create(&config, &vm) || hypr_vm_start(vm))
		give_up("the guest starts");
	return vm;
}

/* Every worker has done @nr rounds more since now; false: the guest ended, or stands still. */
static bool rounds_await(struct hypr_vm *vm, unsigned int nr)
{
	unsigned int begin = atomic_load(&rounds);
	time_t end = time(NULL) + WAIT_S;

	while (atomic_load(&rounds) - begin < nr) {
		if (hypr_vm_wait(vm, 5) != -ETIMEDOUT || time(NULL) > end)
			return false;
	}
	return true;
}

static void view_name(char name[HYPR_NAME_MAX], unsigned int view)
{
	snprintf(name, HYPR_NAME_MAX, "moment.%u", view);
}

static void moments_make(struct hypr_vm *vm)
{
	char name[HYPR_NAME_MAX];
	unsigned int view;

	for (view = 0; view < VIEWS; view++) {
		view_name(name, view);
		if (!rounds_await(vm, 1) || hypr_view_snapshot(vm, name, NULL) ||
		    (view < SPARES && hypr_view_spare(vm, name)))
			give_up("the moments are kept");
	}
	result(true, "%u moments are kept, %u of them with a spare", VIEWS, SPARES);
}

static void same_as_moment(struct hypr_vm *vm, const char *name)
{
	struct hypr_verify_result verify;

	if (hypr_view_verify(vm, name, &verify))
		give_up("a view is compared with its moment");
	if (verify.pages_mismatched) {
		result(false, "swap %lu: %" PRIu64 " pages of %s differ after its reset, from 0x%" PRIx64 " on",
		       swaps, verify.pages_mismatched, name, verify.range[0].start);
		exit(1);
	}
	if (verify.spare_mismatched) {
		result(false, "swap %lu: %" PRIu64 " pages of the spare of %s differ", swaps,
		       verify.spare_mismatched, name);
		exit(1);
	}
	verified++;
	pages += verify.pages_compared + verify.spare_compared;
}

static void account(const struct hypr_swap_result *swap)
{
	swaps++;
	by_kernel += swap->state_way == HYPR_STATE_KERNEL;
	by_force += swap->pause == HYPR_PAUSE_FORCED;
}

/* As KVM counts them: a signal took a vCPU's thread out of KVM_RUN. */
static unsigned long threads_out(void)
{
	FILE *file = fopen("/sys/kernel/debug/kvm/signal_exits", "r");
	unsigned long nr;

	if (!file || fscanf(file, "%lu", &nr) != 1)
		give_up("KVM's statistics are there");
	fclose(file);
	return nr;
}

/* No view was left or entered before. */
static void swap_first(struct hypr_vm *vm)
{
	unsigned long before = threads_out(), out;
	struct hypr_swap_result swap;
	char name[HYPR_NAME_MAX];
	unsigned int view;

	for (view = 0; view < VIEWS; view++) {
		view_name(name, view);
		if (hypr_view_swap(vm, name, 0, &swap))
			give_up("a first swap");
		account(&swap);
	}
	out = threads_out() - before;
	result(by_kernel == VIEWS && !out,
	       "the first swaps to %u views: %lu with the state moved by the kernel, a thread left KVM_RUN %lu times",
	       VIEWS, by_kernel, out);
}

static void swap_to(struct hypr_vm *vm, const char *name, unsigned int flags)
{
	struct hypr_swap_result swap;

	if (random_next() % 8 == 0)
		flags |= HYPR_SWAP_FORCE;
	if (hypr_view_swap(vm, name, flags, &swap))
		give_up("a swap");
	account(&swap);
	if (flags & HYPR_SWAP_RESET) {
		resets++;
		ways[swap.reset_way]++;
	}
}

/* A view that stands still: it is not active, or the VM is paused. */
static void reset_still(struct hypr_vm *vm, const char *name)
{
	struct hypr_reset_result reset;

	if (hypr_view_reset(vm, name, &reset))
		give_up("a reset");
	resets++;
	ways[reset.way]++;
	/* Two of three resets come here. */
	if (random_next() % 20 < 3)
		same_as_moment(vm, name);
}

static void reset_paused(struct hypr_vm *vm, const char *name)
{
	if (hypr_vm_pause(vm, NULL))
		give_up("a pause");
	reset_still(vm, name);
	if (hypr_vm_resume(vm))
		give_up("the way on after a pause");
}

/* One of: a swap; a swap to a view that is put back before, within it, or after it. */
static void step(struct hypr_vm *vm)
{
	char name[HYPR_NAME_MAX];
	struct hypr_vm_info info;

	view_name(name, random_next() % VIEWS);
	if (hypr_vm_info(vm, &info))
		give_up("the VM's state");
	switch (random_next() % 14) {
	case 0:
		if (strcmp(info.active_view, name))
			reset_still(vm, name);
		swap_to(vm, name, 0);
		break;
	case 1:
		swap_to(vm, name, HYPR_SWAP_RESET);
		break;
	case 2:
		swap_to(vm, name, 0);
		reset_paused(vm, name);
		break;
	default:
		swap_to(vm, name, 0);
	}
}

static void stay(void)
{
	struct timespec ts = { .tv_nsec = (long)(random_next() % STAY_NS) };

	nanosleep(&ts, NULL);
}

static void swap_around(struct hypr_vm *vm, unsigned long nr)
{
	while (swaps < nr) {
		step(vm);
		stay();
		if (swaps % LOOK == 0 && !rounds_await(vm, 2)) {
			result(false, "swap %lu: not all workers get on", swaps);
			exit(1);
		}
		if (swaps % REPORT == 0)
			printf("# %lu so far\n", swaps);
	}
	result(true, "%lu swaps, of them %lu by force, %lu with the state moved by the kernel",
	       swaps, by_force, by_kernel);
	result(resets && verified && ways[HYPR_RESET_SPARE], "%lu resets (%lu copy-back, %lu compare, %lu drop, %lu spare); after %lu of them all pages, %lu, were compared, and none differs",
	       resets, ways[HYPR_RESET_COPY_BACK], ways[HYPR_RESET_COMPARE],
	       ways[HYPR_RESET_DROP], ways[HYPR_RESET_SPARE], verified, pages);
}

static void all_get_on(struct hypr_vm *vm)
{
	char name[HYPR_NAME_MAX];
	unsigned int view;

	for (view = 0; view < VIEWS; view++) {
		view_name(name, view);
		swap_to(vm, name, 0);
		if (!rounds_await(vm, 2))
			break;
	}
	result(view == VIEWS, "at the end all workers get on in each view");
}

/* That the checks can fail. */
static void error_is_seen(const char *worker)
{
	char cmdline[sizeof(CMDLINE) + 64];
	struct hypr_vm *vm;

	snprintf(cmdline, sizeof(cmdline), "%s -- break %s", CMDLINE, worker);
	vm = vm_start(cmdline, -1);
	result(hypr_vm_wait(vm, WAIT_S * 1000) == -EIO, "an error of worker %s is seen", worker);
	hypr_vm_destroy(vm);
}

int main(int argc, char **argv)
{
	unsigned long nr = argc > 1 ? strtoul(argv[1], NULL, 10) : 5000;
	const char *seed = getenv("HYPR_SEED");
	struct hypr_vm *vm;

	if (argc > 2)
		kernel = argv[2];
	if (argc > 3)
		initrd = argv[3];
	setvbuf(stdout, NULL, _IOLBF, 0);
	random_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	printf("# HYPR_SEED=%" PRIu64 "\n", random_state);
	vm = vm_start(CMDLINE, STDOUT_FILENO);
	if (!rounds_await(vm, 2))
		give_up("all workers get on");
	result(true, "all workers get on");
	moments_make(vm);
	swap_first(vm);
	swap_around(vm, nr);
	all_get_on(vm);
	hypr_vm_destroy(vm);
	error_is_seen("pipe");
	printf("1..%u\n", tests);
	return failed;
}
