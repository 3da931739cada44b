// SPDX-License-Identifier: GPL-2.0-only
/* The VM of a fuzzer: see fuzz.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define BOOT_LIMIT_US	60000000

uint64_t fuzz_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int fuzz_option(struct fuzz_options *options, const char *name, const char *value)
{
	if (!strcmp(name, "--guest")) {
		options->guest = value;
	} else if (!strcmp(name, "--engine")) {
		options->engine = value;
	} else if (!strcmp(name, "--limit")) {
		options->limit_ms = strtoull(value, NULL, 10);
	} else if (!strcmp(name, "--spare")) {
		options->spare = strtoul(value, NULL, 10);
	} else if (!strcmp(name, "--pin")) {
		if (sscanf(value, "%d,%d", &options->pin[0], &options->pin[1]) != 2)
			return -1;
		options->nr_pin = 2;
	} else {
		return -1;
	}
	return 0;
}

static int failed(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, hypr_error());
	return -1;
}

/* The guest says where its counters are, makes its moment, and asks for an input. */
static int reach_moment(struct fuzz *fuzz)
{
	struct hypr_run_params params = {
		.size = sizeof(params), .timeout_us = BOOT_LIMIT_US,
	};
	struct hypr_run_result result;

	if (hypr_vm_run(fuzz->vm, &params, &result))
		return failed("boot");
	fuzz->coverage_gpa = result.value;
	if (result.what == HYPR_RUN_REPORT && hypr_vm_run(fuzz->vm, &params, &result))
		return failed("moment");
	if (result.what == HYPR_RUN_INPUT && result.moments == 1)
		return 0;
	fprintf(stderr, "the guest did not reach its moment: %s %s\n", hypr_run_name(result.what),
		result.reason);
	return -1;
}

/* The moment is the active view's. */
static int give_spare(const struct fuzz *fuzz)
{
	struct hypr_vm_info info;

	hypr_vm_info(fuzz->vm, &info);
	return hypr_view_spare(fuzz->vm, info.active_view) ? failed("spare") : 0;
}

int fuzz_open(struct fuzz *fuzz, const struct fuzz_options *options)
{
	struct hypr_vm_config config = HYPR_VM_CONFIG_INIT;

	memset(fuzz, 0, sizeof(*fuzz));
	config.name = "fuzz";
	config.engine = options->engine;
	config.kernel = options->guest;
	config.vcpus = 2;
	config.flags = HYPR_VM_GUEST_REQUESTS | HYPR_VM_FORCED;
	config.pin = options->pin;
	config.nr_pin = options->nr_pin;
	if (hypr_vm_create(&config, &fuzz->vm))
		return failed("VM");
	if (hypr_vm_start(fuzz->vm))
		return failed("start");
	if (reach_moment(fuzz))
		return -1;
	return options->spare ? give_spare(fuzz) : 0;
}

/* One that reported goes back by itself.  One that has crashed, or hangs, cannot ask. */
static int put_back(struct fuzz *fuzz)
{
	struct hypr_reset_result reset;

	if (!fuzz->is_stuck)
		return 0;
	if (hypr_view_reset(fuzz->vm, NULL, &reset))
		return failed("reset");
	fuzz->library_resets++;
	fuzz->spare_resets += reset.way == HYPR_RESET_SPARE;
	fuzz->reset_cycles += reset.total_cycles;
	fuzz->total_cycles += reset.total_cycles;
	fuzz->pages_restored += reset.pages_restored;
	return 0;
}

int fuzz_execute(struct fuzz *fuzz, const struct fuzz_options *options, const void *input,
		 size_t bytes, struct hypr_run_result *result)
{
	struct hypr_run_params params = {
		.size = sizeof(params), .timeout_us = options->limit_ms * 1000,
		.input = input, .input_bytes = bytes,
	};
	uint64_t start = fuzz_now_ns();

	if (put_back(fuzz))
		return -1;
	if (hypr_vm_run(fuzz->vm, &params, result))
		return failed("run");
	fuzz->ns += fuzz_now_ns() - start;
	fuzz->is_stuck = result->what != HYPR_RUN_REPORT &&
			 !(result->what == HYPR_RUN_CRASH && result->end == HYPR_END_PANIC);
	fuzz->kernel_resets += result->resets_in_kernel;
	fuzz->library_resets += result->resets - result->resets_in_kernel;
	fuzz->spare_resets += result->resets_by_spare;
	fuzz->reset_cycles += result->reset_cycles;
	fuzz->total_cycles += result->run_cycles;
	fuzz->pages_restored += result->reset_pages;
	fuzz->executions++;
	if (hypr_view_read(fuzz->vm, NULL, fuzz->coverage_gpa, fuzz->coverage, COVERAGE_BYTES))
		return failed("coverage");
	return 0;
}

void fuzz_close(struct fuzz *fuzz)
{
	hypr_vm_destroy(fuzz->vm);
	fuzz->vm = NULL;
}
