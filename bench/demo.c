// SPDX-License-Identifier: GPL-2.0-only
/*
 * The demonstration: one VM, two moments of it, 1,000 swaps between them, and
 * everything that the guest tells compared with what it must tell.
 *
 * The guest is guests/epoch.  It checks 4 MiB at each step and reports the
 * epoch that it has reached and the ends of its hash chain.  After a swap that
 * continues a view, the next report must be that view's next; after a reset, it
 * must be the one that follows the moment.  Words are told apart by time: those
 * from before all vCPUs had stopped belong to the view that was left.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"
#include "demo_result.h"
#include "hypr/hypr.h"
#include "timeline.h"

#define GUEST_CMDLINE	"console=ttyS0 loglevel=5 panic=-1 reboot=t epoch.pages_per_step=8"
#define BOOT_NS		300000000000ull	/* emulated PCs are slow */
#define REPORT_NS	60000000000ull
#define MOMENT_STEPS	4		/* the guest runs before each moment */
#define MEMSLOT_ROUNDS	5
#define RESETS_EACH	10	/* swaps; a reset takes as long as fifteen */
#define DOTS		20

const char bench_name[] = "hypr-demo";

struct options {
	uint64_t swaps;
	uint32_t vcpus;
	uint64_t seed;
	const char *kernel;
	const char *initrd;
	const char *json;
	bool emulated;
};

/* A view, where it stands, and where its moment does. */
struct line {
	const char *name;
	struct timeline now;
	struct timeline moment;
};

struct demo {
	struct options options;
	struct hypr_vm *vm;
	struct report_log log;
	struct line boot;
	struct line a;
	struct line b;
	struct line *current;
	struct demo_result result;
	int console;		/* memfd with what the guest's console said */
	int pin[HYPR_VCPUS_MAX];
	uint64_t start_ns;
	uint64_t step_ns;	/* what a step of the guest takes, about */
	uint64_t random;
};

/* ---- the screen ---------------------------------------------------------- */

static void begin(const struct demo *demo, const char *what)
{
	printf("[%6.1f s] %-40s ", (double)(bench_now_ns() - demo->start_ns) / 1e9,
	       what);
	fflush(stdout);
}

static void end(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void end(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

/* The last lines of the guest's console, for a demo that went wrong. */
static void console_show(const struct demo *demo)
{
	char buf[1024];
	off_t size = lseek(demo->console, 0, SEEK_END);
	off_t from = size > (off_t)sizeof(buf) ? size - (off_t)sizeof(buf) : 0;
	ssize_t len = pread(demo->console, buf, sizeof(buf), from);

	if (len > 0)
		fprintf(stderr, "---- the guest's console ended with\n%.*s\n----\n",
			(int)len, buf);
}

static int failed(const struct demo *demo, int err, const char *what)
{
	const char *why = hypr_error();

	printf("\n");
	fflush(stdout);
	fprintf(stderr, "hypr-demo: %s: %s\n", what,
		*why ? why : strerror(-err));
	console_show(demo);
	return err;
}

/* ---- the guest ----------------------------------------------------------- */

static void on_report(void *arg, unsigned int vcpu, uint32_t value, uint64_t tsc)
{
	struct demo *demo = arg;

	(void)vcpu;
	report_log_push(&demo->log, value, tsc);
}

/* Take what was written before @before_tsc; true when a record was completed. */
static bool drain(struct demo *demo, uint64_t before_tsc, uint64_t *record_tsc)
{
	struct line *line = demo->current;
	struct report report;
	bool some = false;

	while (report_log_pop(&demo->log, before_tsc, &report)) {
		if (!timeline_push(&line->now, line->name, report.word,
				   &demo->result.guest))
			continue;
		if (!some && record_tsc)
			*record_tsc = report.tsc;
		some = true;
	}
	return some;
}

/* Wait until the guest has completed a step; @tsc: when that was reported. */
static int step_await(struct demo *demo, uint64_t timeout_ns, uint64_t *tsc)
{
	uint64_t deadline = bench_now_ns() + timeout_ns;

	while (!drain(demo, UINT64_MAX, tsc)) {
		if (bench_now_ns() >= deadline)
			return -ETIMEDOUT;
		if (hypr_vm_wait(demo->vm, 0) != -ETIMEDOUT)
			return -ESHUTDOWN;
		report_log_wait(&demo->log, bench_now_ns() + 1000000000);
	}
	return 0;
}

static int steps_await(struct demo *demo, uint32_t steps)
{
	uint64_t start = bench_now_ns();
	uint32_t from = demo->current->now.last.epoch;
	int ret = 0;

	while (!ret && demo->current->now.last.epoch < from + steps)
		ret = step_await(demo, REPORT_NS, NULL);
	demo->step_ns = (bench_now_ns() - start) / steps;
	return ret;
}

/* Let the guest go on for a random part of half a step. */
static void stroll(struct demo *demo)
{
	struct timespec ts = { .tv_sec = 0 };

	demo->random ^= demo->random << 13;
	demo->random ^= demo->random >> 7;
	demo->random ^= demo->random << 17;
	ts.tv_nsec = (long)(demo->random % (demo->step_ns / 2 + 1) % 1000000000);
	nanosleep(&ts, NULL);
}

static int kernel_version(const char *path, char *to, size_t size)
{
	uint8_t head[0x210];
	ssize_t len;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	snprintf(to, size, "unknown");
	if (fd < 0)
		return -errno;
	/* The version's place in a bzImage: boot protocol, kernel_version. */
	len = pread(fd, head, sizeof(head), 0);
	if (len == (ssize_t)sizeof(head)) {
		len = pread(fd, to, size - 1,
			    0x200 + (head[0x20e] | head[0x20f] << 8));
		to[len > 0 ? len : 0] = '\0';
		to[strcspn(to, " ")] = '\0';
	}
	close(fd);
	return 0;
}

/* Each vCPU on a CPU of its own, when one is left for this thread. */
static uint32_t cpus_choose(struct demo *demo)
{
	uint32_t i;

	if (sysconf(_SC_NPROCESSORS_ONLN) <= (long)demo->options.vcpus)
		return 0;
	for (i = 0; i < demo->options.vcpus; i++)
		demo->pin[i] = (int)i + 1;
	return demo->options.vcpus;
}

/* This thread on the first CPU; not sooner than the vCPUs' threads are made. */
static void first_cpu_pin(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static int guest_start(struct demo *demo)
{
	struct hypr_vm_config config = HYPR_VM_CONFIG_INIT;
	struct hypr_vm_info info;
	int ret;

	config.name = "demo";
	config.kernel = demo->options.kernel;
	config.initrd = demo->options.initrd;
	config.cmdline = GUEST_CMDLINE;
	config.vcpus = demo->options.vcpus;
	config.nr_pin = cpus_choose(demo);
	config.pin = demo->pin;
	config.console_out = demo->console;
	config.report = on_report;
	config.report_arg = demo;
	ret = hypr_vm_create(&config, &demo->vm);
	if (ret)
		return failed(demo, ret, "making the VM");
	hypr_vm_info(demo->vm, &info);
	memcpy(demo->result.engine, info.engine, sizeof(info.engine));
	demo->result.mem_bytes = info.mem_bytes;
	demo->result.vcpus = info.vcpus;
	ret = hypr_vm_start(demo->vm);
	if (!ret && config.nr_pin)
		first_cpu_pin();
	return ret ? failed(demo, ret, "starting the VM") : 0;
}

/* ---- the story ----------------------------------------------------------- */

static void tell_who(struct demo *demo)
{
	struct demo_result *result = &demo->result;

	printf("HYPR: one VM, many moments (engine %s)\n", result->engine);
	printf("  host   %s%s\n", result->host_kernel, result->emulated ?
	       ", an emulated PC: cycles are instructions there" : "");
	printf("  guest  %s, %u vCPUs, %" PRIu64 " MiB; it checks 4 MiB at every step\n\n",
	       result->guest_kernel, result->vcpus, result->mem_bytes >> 20);
}

static int boot(struct demo *demo)
{
	int ret = guest_start(demo);

	if (ret)
		return ret;
	tell_who(demo);
	begin(demo, "boot the guest");
	ret = step_await(demo, BOOT_NS, NULL);
	if (ret)
		return failed(demo, ret, "waiting for the guest's first step");
	end("it is at epoch %u", demo->current->now.last.epoch);
	return 0;
}

/*
 * Paused, so that the moment's place in the guest's reports is known to the
 * word.
 */
static int moment_take(struct demo *demo, struct line *line, const char *what)
{
	struct hypr_snapshot_result snapshot;
	int ret = steps_await(demo, MOMENT_STEPS);

	if (ret)
		return failed(demo, ret, "waiting for the guest's next step");
	begin(demo, what);
	ret = hypr_vm_pause(demo->vm, NULL);
	if (ret)
		return failed(demo, ret, "pausing");
	drain(demo, UINT64_MAX, NULL);
	line->now = demo->current->now;
	line->moment = line->now;
	ret = hypr_view_snapshot(demo->vm, line->name, &snapshot);
	if (ret)
		return failed(demo, ret, "taking a moment");
	ret = hypr_vm_resume(demo->vm);
	if (ret)
		return failed(demo, ret, "resuming");
	end("epoch %u, %" PRIu64 " pages kept", line->moment.last.epoch,
	    snapshot.pages_stored);
	return 0;
}

static int swap_account(struct demo *demo, const struct hypr_swap_result *swap,
			const struct hypr_swap_result *reset, uint64_t first_tsc)
{
	struct demo_result *result = &demo->result;
	int ret;

	result->swaps++;
	result->forced += swap->pause == HYPR_PAUSE_FORCED || swap->forced_vcpus;
	ret = samples_add(&result->pause_cycles, swap->pause_cycles);
	if (!ret)
		ret = samples_add(&result->commit_cycles, swap->commit_cycles);
	if (!ret)
		ret = samples_add(&result->total_cycles, swap->total_cycles);
	if (ret)
		return ret;
	if (!reset)
		return samples_add(&result->first_cycles,
				   first_tsc - swap->request_tsc);
	ret = samples_add(&result->reset_cycles, reset->total_cycles);
	if (!ret)
		ret = samples_add(&result->first_reset_cycles,
				  first_tsc - reset->resume_tsc);
	return ret;
}

/*
 * Swap to @to.  With @reset put it back to its moment, which the guest must
 * then start from again; @to may be the active view.
 */
static int swap_to(struct demo *demo, struct line *to, bool reset,
		   struct hypr_swap_result *swap)
{
	uint64_t stopped;
	int ret;

	ret = hypr_view_swap(demo->vm, to->name, reset ? HYPR_SWAP_RESET : 0,
			     swap);
	if (ret)
		return failed(demo, ret, reset ? "resetting" : "swapping");
	/* Nothing is written between the last vCPU's stop and the resume. */
	stopped = swap->request_tsc + swap->pause_cycles;
	drain(demo, stopped + (swap->resume_tsc - stopped) / 2, NULL);
	demo->current = to;
	if (reset)
		to->now = to->moment;
	return 0;
}

/*
 * A swap, and one completed step of the guest after it.  A view that is to be
 * reset is put back in place, once it is the active one.
 */
static int round_do(struct demo *demo, struct line *to, bool resets)
{
	struct hypr_swap_result swap, reset = { 0 };
	uint64_t checks, first_tsc = 0;
	int ret;

	ret = swap_to(demo, to, false, &swap);
	if (!ret && resets)
		ret = swap_to(demo, to, true, &reset);
	if (ret)
		return ret;
	checks = demo->result.guest.checks;
	ret = step_await(demo, REPORT_NS, &first_tsc);
	if (ret)
		return failed(demo, ret, "waiting for a step after a swap");
	demo->result.unchecked += demo->result.guest.checks == checks;
	ret = swap_account(demo, &swap, resets ? &reset : NULL, first_tsc);
	if (ret)
		return failed(demo, ret, "keeping the figures");
	stroll(demo);
	return 0;
}

static int swaps_do(struct demo *demo, const char *what, uint64_t nr, bool resets)
{
	uint64_t checks = demo->result.guest.checks, i, dots = 0;
	uint64_t bad = demo->result.guest.failures + demo->result.guest.breaks;
	int ret = 0;

	begin(demo, what);
	for (i = 0; i < nr && !ret; i++) {
		ret = round_do(demo, i % 2 ? &demo->b : &demo->a, resets);
		while (dots < (i + 1) * DOTS / nr) {
			dots++;
			putchar('.');
			fflush(stdout);
		}
	}
	if (ret)
		return ret;
	bad = demo->result.guest.failures + demo->result.guest.breaks - bad;
	end(" %s", bad ? "WRONG" : "right");
	if (resets)
		end("%12s each began again at epoch %u (A) or %u (B);", "",
		    demo->a.moment.last.epoch + 1,
		    demo->b.moment.last.epoch + 1);
	else
		end("%12s A went from epoch %u to %u, B from %u to %u;", "",
		    demo->a.moment.last.epoch, demo->a.now.last.epoch,
		    demo->b.moment.last.epoch, demo->b.now.last.epoch);
	end("%12s %" PRIu64 " swaps, %" PRIu64 " full checks by the guest, %" PRIu64
	    " wrong", "", nr, demo->result.guest.checks - checks, bad);
	*(resets ? &demo->result.swaps_reset : &demo->result.swaps_continued) += nr;
	return 0;
}

static int verify(struct demo *demo, uint64_t *compared, uint64_t *differing)
{
	const char * const name[] = { demo->a.name, demo->b.name };
	struct hypr_verify_result result;
	unsigned int i;
	int ret;

	for (i = 0; i < 2; i++) {
		ret = hypr_view_verify(demo->vm, name[i], &result);
		if (ret)
			return failed(demo, ret, "verifying");
		*compared += result.pages_compared;
		*differing += result.pages_mismatched;
	}
	return 0;
}

/*
 * Back in the boot view, so that neither is running.  They are verified before
 * the reset too: a check that finds nothing then would find nothing now either.
 */
static int reset_and_verify(struct demo *demo)
{
	struct demo_result *result = &demo->result;
	uint64_t unused = 0;
	int ret;

	begin(demo, "compare every page of A and B, as left");
	ret = hypr_view_swap(demo->vm, HYPR_VIEW_BOOT_NAME, 0, NULL);
	if (ret)
		return failed(demo, ret, "swapping");
	ret = verify(demo, &unused, &result->pages_differing);
	if (ret)
		return ret;
	end("%" PRIu64 " differ from the moments", result->pages_differing);

	begin(demo, "reset both, compare every page again");
	ret = hypr_view_reset(demo->vm, demo->a.name, NULL);
	if (!ret)
		ret = hypr_view_reset(demo->vm, demo->b.name, NULL);
	if (ret)
		return failed(demo, ret, "resetting");
	ret = verify(demo, &result->pages_verified, &result->pages_mismatched);
	if (ret)
		return ret;
	end("%" PRIu64 " of %" PRIu64 " differ", result->pages_mismatched,
	    result->pages_verified);
	return 0;
}

static int baseline(struct demo *demo)
{
	int ret;

	begin(demo, "the same without views: replace memory");
	ret = memslot_replace_measure(demo->result.mem_bytes, MEMSLOT_ROUNDS,
				      &demo->result.memslot);
	if (ret) {
		fprintf(stderr, "\nhypr-demo: replacing memory slots: %s\n",
			strerror(-ret));
		return ret;
	}
	end("%d rounds", MEMSLOT_ROUNDS);
	return 0;
}

static int story(struct demo *demo)
{
	uint64_t resets = (demo->options.swaps + RESETS_EACH - 1) / RESETS_EACH;
	int ret;

	ret = boot(demo);
	if (!ret)
		ret = moment_take(demo, &demo->a, "moment A");
	if (!ret)
		ret = moment_take(demo, &demo->b, "let it run, then moment B");
	if (!ret)
		ret = swaps_do(demo, "swap: A and B in turn, each goes on",
			       demo->options.swaps - resets, false);
	if (!ret)
		ret = swaps_do(demo, "swap and reset: each starts again",
			       resets, true);
	if (!ret)
		ret = reset_and_verify(demo);
	demo->result.reports_lost = demo->log.lost;
	hypr_vm_destroy(demo->vm);
	if (!ret)
		ret = baseline(demo);
	return ret;
}

/* ---- main ---------------------------------------------------------------- */

static void usage(FILE *to)
{
	fprintf(to,
		"usage: hypr-demo [options]\n"
		"  --swaps N      swaps, one in ten of them with a reset (1000)\n"
		"  --vcpus N      of the guest (2)\n"
		"  --seed N       of the random times between swaps (1)\n"
		"  --kernel FILE  of the guest (/demo/vmlinuz)\n"
		"  --initrd FILE  with the program \"epoch\" (/demo/initrd)\n"
		"  --json FILE    write the figures there\n"
		"  --emulated     cycles are those of an emulated CPU; taken for\n"
		"                 granted on a kernel whose name ends in -hypr-rig\n"
		"Exit status: 0 all bars met, 1 one is missed or something failed,\n"
		"2 wrong usage.\n");
}

static bool number(const char *text, uint64_t max, uint64_t *value)
{
	char *rest;

	errno = 0;
	*value = strtoull(text, &rest, 10);
	return *text >= '0' && *text <= '9' && !*rest && !errno && *value <= max;
}

/* Return 0, or the exit status with which to end at once, plus one. */
static int options_parse(int argc, char **argv, struct options *options)
{
	static const struct option table[] = {
		{ "swaps", required_argument, NULL, 's' },
		{ "vcpus", required_argument, NULL, 'v' },
		{ "seed", required_argument, NULL, 'S' },
		{ "kernel", required_argument, NULL, 'k' },
		{ "initrd", required_argument, NULL, 'i' },
		{ "json", required_argument, NULL, 'j' },
		{ "emulated", no_argument, NULL, 'e' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t vcpus = options->vcpus;
	bool ok = true;
	int opt;

	while (ok && (opt = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		switch (opt) {
		case 's':
			ok = number(optarg, 1000000, &options->swaps) &&
			     options->swaps >= 2;
			break;
		case 'v':
			ok = number(optarg, HYPR_VCPUS_MAX, &vcpus) && vcpus;
			break;
		case 'S':
			ok = number(optarg, UINT64_MAX, &options->seed);
			break;
		case 'k':
			options->kernel = optarg;
			break;
		case 'i':
			options->initrd = optarg;
			break;
		case 'j':
			options->json = optarg;
			break;
		case 'e':
			options->emulated = true;
			break;
		case 'h':
			usage(stdout);
			return 1;
		default:
			ok = false;
		}
	}
	options->vcpus = (uint32_t)vcpus;
	if (ok && optind == argc)
		return 0;
	usage(stderr);
	return 3;
}

static int demo_init(struct demo *demo)
{
	struct demo_result *result = &demo->result;
	const char *suffix;
	struct utsname uts;

	demo->start_ns = bench_now_ns();
	demo->random = demo->options.seed * 0x9e3779b97f4a7c15ull + 1;
	demo->boot.name = HYPR_VIEW_BOOT_NAME;
	demo->a.name = "A";
	demo->b.name = "B";
	demo->current = &demo->boot;
	report_log_init(&demo->log);
	demo->console = memfd_create("console", MFD_CLOEXEC);
	if (demo->console < 0)
		return -errno;

	uname(&uts);
	snprintf(result->host_kernel, sizeof(result->host_kernel), "%s",
		 uts.release);
	suffix = strstr(uts.release, "-hypr-rig");
	result->emulated = demo->options.emulated || (suffix && !suffix[9]);
	result->seed = demo->options.seed;
	result->swaps_wanted = demo->options.swaps;
	kernel_version(demo->options.kernel, result->guest_kernel,
		       sizeof(result->guest_kernel));
	return 0;
}

int main(int argc, char **argv)
{
	static struct demo demo = {
		.options = {
			.swaps = 1000, .vcpus = 2, .seed = 1,
			.kernel = "/demo/vmlinuz", .initrd = "/demo/initrd",
		},
	};
	unsigned int missed;
	int ret;

	ret = options_parse(argc, argv, &demo.options);
	if (ret)
		return ret - 1;
	ret = demo_init(&demo);
	if (!ret)
		ret = story(&demo);
	if (ret)
		return 1;

	demo_result_close(&demo.result);
	demo_result_print(&demo.result);
	missed = demo_result_bars(&demo.result);
	printf("  %s\n", missed ? "NOT ALL BARS ARE MET." : "All bars are met.");
	if (demo.options.json) {
		ret = demo_result_json(&demo.result, !missed, demo.options.json);
		if (ret)
			fprintf(stderr, "hypr-demo: %s: %s\n", demo.options.json,
				strerror(-ret));
	}
	demo_result_fini(&demo.result);
	return missed || ret;
}
