// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr-bench-call: what it costs to run an empty function apart from its caller.
 *
 *	call		hypr_func_call(), the reset included
 *	new_vm		a new VM of the engine's device for each call, until it has run, the smallest: one page
 *			of code in real mode, one vCPU, nothing set but its registers
 *	new_vm_closed	and until it was given back: KVM waits for other CPUs then
 *	new_func	hypr_func_open(), hypr_func_call() and hypr_func_close()
 *	process		fork and exec of the function as a process without a C library
 *
 * All of them alternate in one loop.  The baselines are as cheap as they can be made.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <linux/kvm.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/stats.h"
#include "hypr/func.h"
#include "hypr/hypr.h"

#define WARM_UP		4
#define TIMEOUT_MS	60000	/* emulated PCs are slow */
#define PAGE		4096
#define CODE_GPA	0x1000

const char bench_name[] = "hypr-bench-call";

static struct hypr_func_config config = HYPR_FUNC_CONFIG_INIT;
static struct hypr_func *func;
static const char *process = "/call/process";
static int kvm_fd;		/* of the engine's device */
static size_t run_bytes;
static uint8_t *code;		/* one page */
static uint64_t answer_tsc;	/* when the new VM had run */

static void call_in(struct hypr_func *in)
{
	const struct hypr_call_params params = { .size = sizeof(params) };
	struct hypr_call_result result;

	bench_must(hypr_func_call(in, &params, &result), "a call");
	bench_must(result.value, "the function's value");
}

static void way_call(void)
{
	call_in(func);
}

static void way_new_func(void)
{
	struct hypr_func *fresh;

	bench_must(hypr_func_open(&config, &fresh), "opening the function");
	call_in(fresh);
	hypr_func_close(fresh);
}

static void way_new_vm(void)
{
	struct kvm_userspace_memory_region region = {
		.guest_phys_addr = CODE_GPA, .memory_size = PAGE, .userspace_addr = (uintptr_t)code,
	};
	struct kvm_regs regs = { .rip = CODE_GPA, .rflags = 0x202 };
	int vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0), vcpu_fd;
	struct kvm_sregs sregs;
	struct kvm_run *run;

	bench_must_sys(vm_fd >= 0, "KVM_CREATE_VM");
	bench_must_sys(!ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region), "memory");
	vcpu_fd = ioctl(vm_fd, KVM_CREATE_VCPU, 0);
	bench_must_sys(vcpu_fd >= 0, "KVM_CREATE_VCPU");
	run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd, 0);
	bench_must_sys(run != MAP_FAILED, "the run page");
	bench_must_sys(!ioctl(vcpu_fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	bench_must_sys(!ioctl(vcpu_fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	bench_must_sys(!ioctl(vcpu_fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	bench_must_sys(!ioctl(vcpu_fd, KVM_RUN, 0), "KVM_RUN");
	bench_must(run->exit_reason == KVM_EXIT_IO ? 0 : -EIO, "the exit of a new VM");
	answer_tsc = bench_tsc();
	munmap(run, run_bytes);
	close(vcpu_fd);
	close(vm_fd);
}

static void way_process(void)
{
	char *argv[] = { (char *)process, NULL }, *envp[] = { NULL };
	int status;
	pid_t pid;

	bench_must(-posix_spawn(&pid, process, NULL, NULL, argv, envp), process);
	bench_must_sys(waitpid(pid, &status, 0) == pid, "waitpid");
	bench_must(status, "the process's status");
}

static struct way {
	const char *key, *text;
	void (*run)(void);
	struct samples cycles, ns;
	struct summary in_cycles, in_ns;
} ways[] = {
	/* This one first: ratios are to it. */
	{ .key = "call", .text = "a call of an empty function, reset included", .run = way_call },
	{ .key = "new_vm_closed", .text = "a new VM, the smallest there is, and its end",
	  .run = way_new_vm },
	{ .key = "new_func", .text = "open, call, close", .run = way_new_func },
	{ .key = "process", .text = "fork and exec of the function as a process",
	  .run = way_process },
};

/* Of way_new_vm(), until its answer. */
static struct samples until_answer;
static struct summary new_vm;

#define NR_WAYS	(sizeof(ways) / sizeof(ways[0]))

/* OUT, and round again. */
static void prepare(void)
{
	static const uint8_t out[] = { 0xe6, 0xf4, 0xeb, 0xfc };
	const char *device = "/dev/kvm";
	int bytes;

	if (config.engine && !strcmp(config.engine, HYPR_ENGINE_HYPRV))
		device = "/dev/hyprv";
	kvm_fd = open(device, O_RDWR | O_CLOEXEC);
	bench_must_sys(kvm_fd >= 0, device);
	bytes = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	bench_must_sys(bytes > 0, "KVM_GET_VCPU_MMAP_SIZE");
	run_bytes = (size_t)bytes;
	code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bench_must_sys(code != MAP_FAILED, "memory");
	memcpy(code, out, sizeof(out));
	bench_must(hypr_func_open(&config, &func), "opening the function");
}

static void measure(unsigned int rounds)
{
	uint64_t start, tsc, ns;
	unsigned int i;
	size_t w;

	for (i = 0; i < WARM_UP + rounds; i++) {
		for (w = 0; w < NR_WAYS; w++) {
			ns = bench_now_ns();
			start = bench_tsc();
			ways[w].run();
			tsc = bench_tsc() - start;
			ns = bench_now_ns() - ns;
			if (i < WARM_UP)
				continue;
			bench_must(samples_add(&ways[w].cycles, tsc), "a list");
			bench_must(samples_add(&ways[w].ns, ns), "a list");
			if (ways[w].run == way_new_vm)
				bench_must(samples_add(&until_answer, answer_tsc - start), "a list");
		}
	}
}

static double ratio(const struct summary *cycles)
{
	return (double)cycles->median / (double)ways[0].in_cycles.median;
}

static void print_row(const char *text, const struct summary *cycles)
{
	printf("%-46s %12" PRIu64 " %12" PRIu64 " %10.1f\n", text, cycles->median, cycles->p99,
	       ratio(cycles));
}

static void print_table(void)
{
	size_t w;

	printf("engine %s; cycles of the host's time stamp counter\n",
	       hypr_func_engine_name(func));
	printf("%-46s %12s %12s %10s\n", "", "median", "p99", "x a call");
	for (w = 0; w < NR_WAYS; w++)
		print_row(ways[w].text, &ways[w].in_cycles);
	print_row("a new VM, until it has run", &new_vm);
}

static json_t *to_json(unsigned int rounds)
{
	json_t *all = json_pack("{s:s, s:i}", "engine", hypr_func_engine_name(func), "rounds",
				(int)rounds);
	size_t w;

	for (w = 0; w < NR_WAYS; w++)
		json_object_set_new(all, ways[w].key, json_pack("{s:I, s:I, s:I, s:I, s:f}",
			"median", (json_int_t)ways[w].in_cycles.median,
			"p99", (json_int_t)ways[w].in_cycles.p99,
			"median_ns", (json_int_t)ways[w].in_ns.median,
			"p99_ns", (json_int_t)ways[w].in_ns.p99,
			"ratio", ratio(&ways[w].in_cycles)));
	json_object_set_new(all, "new_vm", json_pack("{s:I, s:I, s:f}",
			"median", (json_int_t)new_vm.median, "p99", (json_int_t)new_vm.p99,
			"ratio", ratio(&new_vm)));
	return all;
}

static _Noreturn void usage(void)
{
	fprintf(stderr, "usage: %s [--rounds N] [--engine ENGINE] [--function FILE] [--process FILE] [--json FILE]\n",
		bench_name);
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "engine", required_argument, NULL, 'e' },
		{ "function", required_argument, NULL, 'f' },
		{ "process", required_argument, NULL, 'p' },
		{ "json", required_argument, NULL, 'j' },
		{ 0 },
	};
	unsigned int rounds = 200;
	const char *json = NULL;
	json_t *all;
	size_t w;
	int c;

	config.path = "/call/empty.elf";
	config.timeout_ms = TIMEOUT_MS;
	config.vms = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (c) {
		case 'r': rounds = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'e': config.engine = optarg; break;
		case 'f': config.path = optarg; break;
		case 'p': process = optarg; break;
		case 'j': json = optarg; break;
		default: usage();
		}
	}
	if (optind != argc || !rounds || rounds > 1000000)
		usage();
	prepare();
	measure(rounds);
	for (w = 0; w < NR_WAYS; w++) {
		samples_summarize(&ways[w].cycles, &ways[w].in_cycles);
		samples_summarize(&ways[w].ns, &ways[w].in_ns);
	}
	samples_summarize(&until_answer, &new_vm);
	print_table();
	if (json) {
		all = to_json(rounds);
		bench_must_sys(!json_dump_file(all, json, JSON_INDENT(1)), json);
		json_decref(all);
	}
	hypr_func_close(func);
	return 0;
}
