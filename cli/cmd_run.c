// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr run, hypr resurrect: a VM, in this process, from a kernel or from a VMO.  In the
 * foreground its serial line is on stdin and stdout; detached, it goes into a log file, and
 * the command returns when the VM runs.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run.h"

/* The first are both commands', the others of one each. */
enum {
	NAME, PIN, ENGINE, FORCED, PAUSE_TIMEOUT, DETACH, LOG, LOG_MAX, STAY_HALTED, REQUESTS,
	SPARES,
	KERNEL, INITRD, CMDLINE, MEM, VCPUS,
	TIME = KERNEL, PREFAULT,
};

#define OPTIONS_OF_BOTH								\
	[NAME] = { "name", 'n', "NAME", "name of the VM (needed)" },		\
	[PIN] = { "pin", 'p', "LIST",						\
		  "host CPUs for the vCPUs in turn, as 1,2 or 1-3" },		\
	[ENGINE] = { "engine", 'e', "ENGINE",					\
		     "ept-swap (default), stock or hyprv; nothing else is taken instead" },		\
	[FORCED] = { "forced", 0, NULL, "never ask the guest to park" },	\
	[PAUSE_TIMEOUT] = { "pause-timeout", 0, "MS",				\
			    "for the guest to park (2000)" },			\
	[DETACH] = { "detach", 'd', NULL,					\
		     "return when it runs; console into a log file" },		\
	[LOG] = { "log", 'l', "FILE",						\
		  "log of a detached VM (NAME.log beside its socket)" },		\
	[LOG_MAX] = { "log-max", 0, "SIZE",					\
		      "of the log, which becomes FILE.1 then (8M); 0: no limit" },	\
	[STAY_HALTED] = { "stay-halted", 0, NULL,				\
			  "a guest that halts for good does not end its VM" },		\
	[REQUESTS] = { "guest-requests", 0, NULL,				\
		       "serve what the guest asks for: reports, moments, resets" },	\
	[SPARES] = { "guest-spares", 0, NULL,					\
		     "with it: a spare for each moment, which resets go on in" }

static const struct cli_option options[] = {
	OPTIONS_OF_BOTH,
	[KERNEL] = { "kernel", 'k', "FILE", "bzImage, or multiboot ELF file, to boot (needed)" },
	[INITRD] = { "initrd", 'i', "FILE", "initial file system; multiboot: module 0" },
	[CMDLINE] = { "cmdline", 'c', "WORDS", "kernel command line (console=ttyS0)" },
	[MEM] = { "mem", 'm', "SIZE", "memory (16M)" },
	[VCPUS] = { "vcpus", 'v', "N", "vCPUs, 1 to 64 (1)" },
	{ 0 },
};

static const struct cli_option resurrect_options[] = {
	OPTIONS_OF_BOTH,
	[TIME] = { "time", 't', "HOW", "the guest's clock: freeze (default) or continue" },
	[PREFAULT] = { "prefault", 0, "WHAT",
		       "tables built before it runs: all (default), none, used, record" },
	{ 0 },
};

#define LOG_MAX_BYTES	(8ull << 20)
#define LOG_MAX_LEAST	(64ull << 10)

/* ---- the command line ---------------------------------------------------- */

static int read_numbers(const struct cli_args *args, struct cli_run *run)
{
	struct hypr_vm_config *config = &run->config;
	const char *const *option = args->option;
	int nr;

	if (option[PAUSE_TIMEOUT] &&
	    cli_parse_uint(option[PAUSE_TIMEOUT], 600000, &config->pause_timeout_ms))
		return cli_fail(args, EXIT_USAGE, run->verb,
				"--pause-timeout %.40s is no number of milliseconds up to 600000",
				option[PAUSE_TIMEOUT]);
	if (option[PIN]) {
		nr = cli_parse_list(option[PIN], run->pin, HYPR_VCPUS_MAX);
		if (nr < 0)
			return cli_fail(args, EXIT_USAGE, run->verb,
					"--pin %.40s is no list of host CPUs (1,2 or 1-3)",
					option[PIN]);
		config->pin = run->pin;
		config->nr_pin = (uint32_t)nr;
	}
	return EXIT_OK;
}

static int choose_log(const struct cli_args *args, struct cli_run *run)
{
	const char *max = args->option[LOG_MAX];
	char dir[256];
	char *file;
	int code;

	run->log_max = LOG_MAX_BYTES;
	if (max && (cli_parse_size(max, &run->log_max) ||
		    (run->log_max && run->log_max < LOG_MAX_LEAST)))
		return cli_fail(args, EXIT_USAGE, run->verb,
				"--log-max %.40s is no size from 64K on, nor 0", max);
	if (args->option[LOG]) {
		code = cli_path(args, run->verb, args->option[LOG], &file);
		run->log = file;
		return code;
	}
	if (hypr_runtime_dir(dir, sizeof(dir)))
		return cli_fail(args, EXIT_USAGE, run->verb, "%s", hypr_error());
	if (asprintf(&file, "%s/%s.log", dir, run->config.name) < 0)
		return cli_fail(args, EXIT_FAILED, run->verb, "no memory");
	run->log = file;
	return EXIT_OK;
}

static int read_options(const struct cli_args *args, struct cli_run *run)
{
	struct hypr_vm_config *config = &run->config;
	const char *const *option = args->option;
	int code;

	*config = (struct hypr_vm_config)HYPR_VM_CONFIG_INIT;
	if (!option[NAME])
		return cli_fail(args, EXIT_USAGE, run->verb, "--name is missing");
	if (hypr_name_check(option[NAME]))
		return cli_fail(args, EXIT_USAGE, run->verb, "%s", hypr_error());
	if ((option[LOG] || option[LOG_MAX]) && !option[DETACH])
		return cli_fail(args, EXIT_USAGE, run->verb,
				"--log and --log-max go with --detach only");
	if (option[SPARES] && !option[REQUESTS])
		return cli_fail(args, EXIT_USAGE, run->verb,
				"--guest-spares goes with --guest-requests only");
	config->name = option[NAME];
	config->engine = option[ENGINE];
	config->flags = (option[FORCED] ? HYPR_VM_FORCED : 0) |
			(option[STAY_HALTED] ? 0 : HYPR_VM_END_HALTED) |
			(option[REQUESTS] ? HYPR_VM_GUEST_REQUESTS : 0) |
			(option[SPARES] ? HYPR_VM_GUEST_SPARES : 0);
	run->detach = option[DETACH] != NULL;
	code = run->detach ? choose_log(args, run) : EXIT_OK;
	return code ? code : read_numbers(args, run);
}

static int read_boot_options(const struct cli_args *args, struct cli_run *run)
{
	struct hypr_vm_config *config = &run->config;
	const char *const *option = args->option;

	if (!option[KERNEL])
		return cli_fail(args, EXIT_USAGE, run->verb, "--kernel is missing");
	if (option[MEM] && cli_parse_size(option[MEM], &config->mem_bytes))
		return cli_fail(args, EXIT_USAGE, run->verb,
				"--mem %.40s is no size (16M, 1G, ...)", option[MEM]);
	if (option[VCPUS] && cli_parse_uint(option[VCPUS], HYPR_VCPUS_MAX, &config->vcpus))
		return cli_fail(args, EXIT_USAGE, run->verb, "--vcpus %.40s is not 1 to %d",
				option[VCPUS], HYPR_VCPUS_MAX);
	config->kernel = option[KERNEL];
	config->initrd = option[INITRD];
	config->cmdline = option[CMDLINE];
	return EXIT_OK;
}

static int read_load_options(const struct cli_args *args, struct cli_run *run)
{
	const char *time = args->option[TIME], *prefault = args->option[PREFAULT];
	struct hypr_vm_config *config = &run->config;
	int flags = prefault ? hypr_prefault_flags(prefault) : 0;

	if (time && !strcmp(time, "continue"))
		config->load_flags |= HYPR_LOAD_TIME_CONTINUE;
	else if (time && strcmp(time, "freeze"))
		return cli_fail(args, EXIT_USAGE, run->verb, "--time is freeze or continue");
	if (flags < 0)
		return cli_fail(args, EXIT_USAGE, run->verb,
				"--prefault is all, none, used or record");
	config->load_flags |= (uint32_t)flags;
	config->vmo = args->arg[0];
	return EXIT_OK;
}

/* Before anything is built: is there a VM of this name? */
static int check_name_free(const struct cli_args *args, const char *verb, const char *name)
{
	if (hypr_client_check(name))
		return EXIT_OK;
	return cli_fail(args, EXIT_EXISTS, verb,
			"%s: a VM of this name runs already (hypr stop %s ends it)", name, name);
}

/* ---- in the foreground --------------------------------------------------- */

/* Is there anybody who reads what we say?  A second is enough to tell. */
static bool is_heard(void)
{
	struct pollfd pfd = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&pfd, 1, 1000) > 0 && (pfd.revents & POLLOUT);
}

static int run_foreground(const struct cli_args *args, struct cli_run *run)
{
	char error[CLI_ERROR_MAX];
	struct hypr_server *server;
	struct hypr_vm_info info;
	struct hypr_vm *vm;
	sigset_t set;
	int code;

	cli_run_begin(&set);
	run->config.console_in = cli_tty_start(cli_run_wake);
	run->config.console_out = STDOUT_FILENO;
	code = cli_run_start(run, &vm, &server, error);
	if (code) {
		cli_tty_stop();
		return cli_fail(args, code, run->verb, "%s", error);
	}
	cli_run_say(args, run, "runs", "state",
		    args->json ? "running" : isatty(STDIN_FILENO) ? "; Ctrl-] ends it" : "", getpid(), 0);

	code = cli_run_wait(vm, &run->config, &set, &info);
	hypr_server_stop(server);
	cli_tty_stop();
	hypr_vm_destroy(vm);
	if (!is_heard())
		return code;
	if (code)
		cli_fail_to(stderr, args, code, run->verb, "%s: %s", run->config.name,
			    info.end_reason);
	else
		cli_run_say(args, run, "ended: ", "end_reason", info.end_reason, getpid(),
			    (int)info.end);
	return code;
}

static int go(const struct cli_args *args, struct cli_run *run)
{
	int code = check_name_free(args, run->verb, run->config.name);

	if (code)
		return code;
	return run->detach ? cli_run_detached(args, run) : run_foreground(args, run);
}

static int run(const struct cli_args *args)
{
	struct cli_run vm = { .verb = "run" };
	int code;

	code = read_options(args, &vm);
	if (!code)
		code = read_boot_options(args, &vm);
	if (!code)
		code = go(args, &vm);
	free(vm.log);
	return code;
}

const struct cli_command cmd_run = {
	.name = "run",
	.args = "",
	.summary = "run a VM",
	.options = options,
	.nr_args = 0,
	.run = run,
};

static int resurrect(const struct cli_args *args)
{
	struct cli_run vm = { .verb = "resurrect" };
	int code;

	code = read_options(args, &vm);
	if (!code)
		code = read_load_options(args, &vm);
	if (!code)
		code = go(args, &vm);
	free(vm.log);
	return code;
}

const struct cli_command cmd_resurrect = {
	.name = "resurrect",
	.args = "FILE",
	.summary = "run a VM from a VMO",
	.options = resurrect_options,
	.nr_args = 1,
	.run = resurrect,
};
