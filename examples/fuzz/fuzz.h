/* SPDX-License-Identifier: GPL-2.0-only */
/* The VM of a fuzzer: one execution after the other, each from the guest's moment. */
#ifndef EXAMPLES_FUZZ_FUZZ_H
#define EXAMPLES_FUZZ_FUZZ_H

#include <stdbool.h>

#include <hypr/run.h>

#include "guest.h"

/**
 * struct fuzz - a VM at its guest's moment, and what it cost
 * @coverage_gpa: of the guest's counters
 * @coverage: as the last execution left them
 * @is_stuck: the last execution ended so that the guest cannot ask to be put back
 * @ns: of all executions
 * @kernel_resets, @library_resets: by the kernel at the guest's request, and by the library
 * @spare_resets: of both, those that went on in the moment's spare
 * @reset_cycles: of all of these; @total_cycles: with what was between them
 */
struct fuzz {
	struct hypr_vm *vm;
	uint64_t coverage_gpa;
	uint8_t coverage[COVERAGE_BYTES];
	uint64_t executions;
	bool is_stuck;
	uint64_t ns;
	uint64_t kernel_resets;
	uint64_t library_resets;
	uint64_t spare_resets;
	uint64_t reset_cycles;
	uint64_t total_cycles;
	uint64_t pages_restored;
};

/** struct fuzz_options - what the command line of both fuzzers has */
struct fuzz_options {
	const char *guest;
	const char *engine;
	int pin[2];
	uint32_t nr_pin;
	uint64_t limit_ms;	/* of one execution */
	bool spare;		/* the moment has a spare */
};

/* Return: 0; -1: it is no option of these. */
int fuzz_option(struct fuzz_options *options, const char *name, const char *value);

/* Return: 0; -1 with the reason on stderr. */
int fuzz_open(struct fuzz *fuzz, const struct fuzz_options *options);
int fuzz_execute(struct fuzz *fuzz, const struct fuzz_options *options, const void *input,
		 size_t bytes, struct hypr_run_result *result);
void fuzz_close(struct fuzz *fuzz);

uint64_t fuzz_now_ns(void);

#endif /* EXAMPLES_FUZZ_FUZZ_H */
