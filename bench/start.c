// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr-bench-start: from a file to the first useful work of its guest, in cycles,
 * with one vCPU and with two.  The guest is guests/epoch, and its work a step: all
 * workers have checked 4 MiB and one reports it.
 *
 * A file becomes a further view of a VM that runs, or a VM in a process of its own:
 * mapped, or read as a whole into the process's memory first, which is what most
 * monitors do.  All ways alternate in one loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/stats.h"
#include "bench/timeline.h"
#include "hypr/hypr.h"

#define CMDLINE		"console=ttyS0 loglevel=5 panic=-1 reboot=t epoch.pages_per_step=8"
#define BOOT_STEPS	4		/* before the file is written */
#define WAIT_NS		300000000000ull	/* emulated PCs are slow */
#define FILE_PATH	"/tmp/hypr-bench-start.vmo"
#define VIEW		"again"
#define VCPUS_MAX	2

enum how { FURTHER_VIEW, NEW_PROCESS, NEW_PROCESS_READS };

/* From the file to a guest that works. */
static const struct way {
	const char *key, *text, *engine, *prefault;
	enum how how;
} ways[] = {
	{ "view_ept_swap", "a further view, swapped to (ept-swap)",
	  HYPR_ENGINE_EPT_SWAP, "all", FURTHER_VIEW },
	{ "view_ept_swap_none", "the same, its tables not built ahead (ept-swap)",
	  HYPR_ENGINE_EPT_SWAP, "none", FURTHER_VIEW },
	{ "view_ept_swap_used", "the same, those of the recorded working set built",
	  HYPR_ENGINE_EPT_SWAP, "used", FURTHER_VIEW },
	{ "view_stock", "a further view, swapped to (stock)",
	  HYPR_ENGINE_STOCK, "all", FURTHER_VIEW },
	{ "new_ept_swap", "a new process, the file mapped (ept-swap)",
	  HYPR_ENGINE_EPT_SWAP, "none", NEW_PROCESS },
	{ "new_stock", "a new process, the file mapped (stock)",
	  HYPR_ENGINE_STOCK, "none", NEW_PROCESS },
	{ "new_read", "a new process that reads the whole file (stock)",
	  HYPR_ENGINE_STOCK, "none", NEW_PROCESS_READS },
};

#define NR_WAYS		(sizeof(ways) / sizeof(ways[0]))
#define BASELINE	(NR_WAYS - 1)

const char bench_name[] = "hypr-bench-start";

static struct report_log reports;
static const char *self;

static void on_report(void *arg, unsigned int vcpu, uint32_t value, uint64_t tsc)
{
	(void)arg;
	(void)vcpu;
	report_log_push(&reports, value, tsc);
}

/* The first whole record that the guest begins after @after; when that was. */
static uint64_t step_await(struct hypr_vm *vm, uint64_t after)
{
	uint64_t deadline = bench_now_ns() + WAIT_NS;
	struct epoch_stream stream = { .count = 0 };
	struct epoch_record record;
	struct report report;

	for (;;) {
		while (report_log_pop(&reports, UINT64_MAX, &report)) {
			if (report.tsc < after ||
			    !epoch_stream_push(&stream, report.word, &record))
				continue;
			if (record.failures) {
				fprintf(stderr, "hypr-bench-start: a check of the guest failed\n");
				exit(1);
			}
			return report.tsc;
		}
		if (hypr_vm_wait(vm, 0) != -ETIMEDOUT || bench_now_ns() >= deadline) {
			fprintf(stderr, "hypr-bench-start: the guest does not work\n");
			exit(1);
		}
		report_log_wait(&reports, bench_now_ns() + 1000000000);
	}
}

static struct hypr_vm *vm_start(struct hypr_vm_config *config)
{
	static const int pin[VCPUS_MAX] = { 1, 2 };
	struct hypr_vm *vm;

	config->name = "bench";
	config->nr_pin = VCPUS_MAX;
	config->pin = pin;
	config->report = on_report;
	bench_must(hypr_vm_create(config, &vm), "making the VM");
	bench_must(hypr_vm_start(vm), "starting the VM");
	return vm;
}

static struct hypr_vm *vm_from_file(const char *engine, const char *prefault, const char *path)
{
	struct hypr_vm_config config = HYPR_VM_CONFIG_INIT;

	config.engine = engine;
	config.vmo = path;
	config.load_flags = (uint32_t)hypr_prefault_flags(prefault);
	return vm_start(&config);
}

/* A guest in the middle of its work. */
static void file_write(uint32_t vcpus)
{
	const struct hypr_save_params params = {
		.size = sizeof(params), .flags = HYPR_SAVE_REPLACE, .path = FILE_PATH,
	};
	struct hypr_vm_config config = HYPR_VM_CONFIG_INIT;
	uint64_t start = bench_tsc();
	struct hypr_vm *vm;
	unsigned int i;

	config.kernel = "/demo/vmlinuz";
	config.initrd = "/demo/initrd";
	config.cmdline = CMDLINE;
	config.vcpus = vcpus;
	vm = vm_start(&config);
	for (i = 0; i < BOOT_STEPS; i++)
		step_await(vm, start);	/* not what the VMs before have said */
	bench_must(hypr_view_save(vm, NULL, &params, NULL), "writing the file");
	hypr_vm_destroy(vm);
}

/* Which pages its guest touches until it has done its first work, beside the file. */
static void working_set_record(void)
{
	struct hypr_vm *vm = vm_from_file(HYPR_ENGINE_EPT_SWAP, "record", FILE_PATH);

	step_await(vm, bench_tsc());
	bench_must(hypr_view_working_set(vm, NULL, NULL, HYPR_SAVE_REPLACE, NULL),
		   "the working set");
	hypr_vm_destroy(vm);
}

/* ---- a new process ---------------------------------------------------------- */

/* Into memory that is this process's alone; its name. */
static const char *read_whole(const char *path)
{
	static char name[32];
	int from = open(path, O_RDONLY | O_CLOEXEC), fd = memfd_create("bench", MFD_CLOEXEC);
	struct stat st;
	uint8_t *mem;
	off_t at = 0;
	ssize_t n;

	bench_must_sys(from >= 0 && fd >= 0 && !fstat(from, &st) && !ftruncate(fd, st.st_size),
		       path);
	mem = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	bench_must_sys(mem != MAP_FAILED, path);
	while (at < st.st_size) {
		n = read(from, mem + at, (size_t)(st.st_size - at));
		bench_must_sys(n > 0, path);
		at += n;
	}
	munmap(mem, (size_t)st.st_size);
	close(from);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return name;
}

static int child(const struct way *way)
{
	const char *path = way->how == NEW_PROCESS_READS ? read_whole(FILE_PATH) : FILE_PATH;
	struct hypr_vm *vm;
	uint64_t tsc;

	vm = vm_from_file(way->engine, way->prefault, path);
	tsc = step_await(vm, 0);
	hypr_vm_destroy(vm);
	printf("%" PRIu64 "\n", tsc);
	return 0;
}

static uint64_t new_process(unsigned int n)
{
	char number[8], answer[32] = "";
	char *argv[] = { (char *)self, (char *)"--child", number, NULL };
	posix_spawn_file_actions_t actions;
	uint64_t start, end;
	ssize_t len;
	int fds[2], status;
	pid_t pid;

	snprintf(number, sizeof(number), "%u", n);
	bench_must_sys(!pipe2(fds, O_CLOEXEC), "pipe");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	start = bench_tsc();
	bench_must(-posix_spawn(&pid, self, &actions, NULL, argv, environ), self);
	close(fds[1]);
	len = read(fds[0], answer, sizeof(answer) - 1);
	bench_must_sys(waitpid(pid, &status, 0) == pid, "waitpid");
	close(fds[0]);
	posix_spawn_file_actions_destroy(&actions);
	if (status || len <= 0)
		exit(1);	/* it has said why */
	end = strtoull(answer, NULL, 10);
	return end - start;
}

/* ---- a further view ---------------------------------------------------------- */

static uint64_t further_view(struct hypr_vm *vm, const struct way *way)
{
	struct hypr_swap_result swap;
	uint64_t start = bench_tsc(), end;

	bench_must(hypr_view_load(vm, VIEW, FILE_PATH,
				  (uint32_t)hypr_prefault_flags(way->prefault), NULL),
	     "loading the file");
	bench_must(hypr_view_swap(vm, VIEW, 0, &swap), "swapping");
	end = step_await(vm, swap.resume_tsc);
	bench_must(hypr_view_swap(vm, HYPR_VIEW_BOOT_NAME, 0, NULL), "swapping back");
	bench_must(hypr_view_remove(vm, VIEW), "removing the view");
	return end - start;
}

/*
 * One VM at a time has the CPUs: those that wait for a further view are paused
 * while others are measured.
 */
static void measure(uint32_t vcpus, unsigned int rounds, json_t *out)
{
	struct hypr_vm *vm[2] = {
		vm_from_file(HYPR_ENGINE_EPT_SWAP, "all", FILE_PATH),
		vm_from_file(HYPR_ENGINE_STOCK, "all", FILE_PATH),
	}, *at;
	struct samples samples[NR_WAYS] = { 0 };
	struct summary sum[NR_WAYS];
	unsigned int i, n;

	bench_must(hypr_vm_pause(vm[0], NULL), "pausing");
	bench_must(hypr_vm_pause(vm[1], NULL), "pausing");
	for (i = 0; i < rounds * NR_WAYS; i++) {
		n = i % NR_WAYS;
		at = vm[!strcmp(ways[n].engine, HYPR_ENGINE_STOCK)];
		if (ways[n].how == FURTHER_VIEW) {
			bench_must(hypr_vm_resume(at), "resuming");
			bench_must(samples_add(&samples[n], further_view(at, &ways[n])), "samples");
			bench_must(hypr_vm_pause(at, NULL), "pausing");
		} else {
			bench_must(samples_add(&samples[n], new_process(n)), "samples");
		}
	}
	hypr_vm_destroy(vm[0]);
	hypr_vm_destroy(vm[1]);

	printf("\n%u vCPU%s, 16 MiB, %u rounds: from a file to the first useful work\n", vcpus,
	       vcpus > 1 ? "s" : "", rounds);
	printf("  %-48s %12s %12s %8s\n", "", "median", "max", "of read");
	for (n = 0; n < NR_WAYS; n++)
		samples_summarize(&samples[n], &sum[n]);
	for (n = 0; n < NR_WAYS; n++) {
		double ratio = (double)sum[n].median / (double)sum[BASELINE].median;

		printf("  %-48s %12" PRIu64 " %12" PRIu64 " %8.3f\n", ways[n].text, sum[n].median,
		       sum[n].max, ratio);
		json_object_set_new(out, ways[n].key, json_pack("{s:I, s:I, s:f}", "median",
			(json_int_t)sum[n].median, "max", (json_int_t)sum[n].max, "of_read", ratio));
		samples_fini(&samples[n]);
	}
	fflush(stdout);
}

static int usage(FILE *to, int code)
{
	fprintf(to, "usage: hypr-bench-start [--rounds N] [--json FILE]\n\n"
		"From a file to the first useful work of its guest: further views, new\n"
		"processes, and a new process that reads the whole file; in cycles.\n"
		"  --rounds N   of each way (5)\n"
		"  --json FILE  write the figures there\n");
	return code;
}

int main(int argc, char **argv)
{
	static const struct option table[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "json", required_argument, NULL, 'j' },
		{ "child", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *json = NULL;
	unsigned int rounds = 5;
	json_t *root, *out;
	uint32_t vcpus;
	int opt;

	self = "/proc/self/exe";
	report_log_init(&reports);
	while ((opt = getopt_long(argc, argv, "h", table, NULL)) != -1) {
		if (opt == 'r')
			rounds = (unsigned int)strtoul(optarg, NULL, 10);
		else if (opt == 'j')
			json = optarg;
		else if (opt == 'c')
			return child(&ways[strtoul(optarg, NULL, 10) % NR_WAYS]);
		else
			return usage(opt == 'h' ? stdout : stderr, opt == 'h' ? 0 : 2);
	}
	if (!rounds || rounds > 1000 || optind != argc)
		return usage(stderr, 2);

	root = json_pack("{s:s, s:i}", "unit", "cycles", "rounds", (int)rounds);
	for (vcpus = 1; vcpus <= VCPUS_MAX; vcpus++) {
		out = json_object();
		file_write(vcpus);
		working_set_record();
		measure(vcpus, rounds, out);
		json_object_set_new(root, vcpus > 1 ? "vcpus_2" : "vcpus_1", out);
		unlink(FILE_PATH);
		unlink(FILE_PATH ".ws");
	}
	if (json)
		bench_must(json_dump_file(root, json, JSON_INDENT(2)) ? -EIO : 0, json);
	json_decref(root);
	return 0;
}
