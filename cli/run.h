/* SPDX-License-Identifier: GPL-2.0-only */
/* What hypr run and hypr resurrect have made of their command lines, and the life of the VM. */
#ifndef HYPR_CLI_RUN_H
#define HYPR_CLI_RUN_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli.h"
#include "hypr/hypr.h"

/**
 * struct cli_run - a VM that is to run
 * @config: its configuration, which points to @pin
 * @verb: the command, for messages
 * @pin: host CPUs for the vCPUs
 * @detach: in a process of its own, which outlives the command
 * @log: detached: the console's file, absolute; to be freed
 * @log_max: at most so many bytes; 0: no limit
 */
struct cli_run {
	struct hypr_vm_config config;
	const char *verb;
	int pin[HYPR_VCPUS_MAX];
	bool detach;
	char *log;
	uint64_t log_max;
};

/*
 * run_vm.c.  All signals that end or stop the process are blocked from
 * cli_run_begin() on, and cli_run_wait() takes them.
 */
void cli_run_begin(sigset_t *set);
int cli_run_start(const struct cli_run *run, struct hypr_vm **vm, struct hypr_server **server,
		  char *error);
int cli_run_wait(struct hypr_vm *vm, const struct hypr_vm_config *config, const sigset_t *set,
		 struct hypr_vm_info *info);
void cli_run_wake(void);
void cli_run_say(const struct cli_args *args, const struct cli_run *run, const char *what,
		 const char *key, const char *value, int pid, int end);

/* run_detached.c */
int cli_run_detached(const struct cli_args *args, struct cli_run *run);

#endif
