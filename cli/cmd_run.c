// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr run, hypr resurrect: a VM, in this process, from a kernel or from a VMO.  In the foreground its serial line is on
 * stdin and stdout; detached, it goes into a log file, and the command returns
 * when the VM runs.  KVM ties a VM to the process that made it, so detaching
 * forks before anything is made, and the child tells the parent how it went.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "hypr/hypr.h"

/* The first are both commands', the others of one each. */
enum {
	NAME, PIN, ENGINE, FORCED, PAUSE_TIMEOUT, DETACH, LOG,
	KERNEL, INITRD, CMDLINE, MEM, VCPUS,
	TIME = KERNEL, PREFAULT,
};

#define OPTIONS_OF_BOTH								\
	[NAME] = { "name", 'n', "NAME", "name of the VM (needed)" },		\
	[PIN] = { "pin", 'p', "LIST",						\
		  "host CPUs for the vCPUs in turn, as 1,2 or 1-3" },		\
	[ENGINE] = { "engine", 'e', "ENGINE",					\
		     "ept-swap (default) or stock; nothing else is taken instead" },		\
	[FORCED] = { "forced", 0, NULL, "never ask the guest to park" },	\
	[PAUSE_TIMEOUT] = { "pause-timeout", 0, "MS",				\
			    "for the guest to park (2000)" },			\
	[DETACH] = { "detach", 'd', NULL,					\
		     "return when it runs; console into a log file" },		\
	[LOG] = { "log", 'l', "FILE",						\
		  "log of a detached VM (NAME.log beside its socket)" }

static const struct cli_option options[] = {
	OPTIONS_OF_BOTH,
	[KERNEL] = { "kernel", 'k', "FILE", "bzImage to boot (needed)" },
	[INITRD] = { "initrd", 'i', "FILE", "initial file system" },
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

/* What the child of a detached run tells its parent. */
struct outcome {
	int code;
	int pid;
	char error[CLI_ERROR_MAX];
};

struct setup {
	struct hypr_vm_config config;
	const char *verb;
	int pin[HYPR_VCPUS_MAX];
	bool detach;
	char log[512];
	bool log_made;
};

static pthread_t main_thread;

/* ---- the command line ---------------------------------------------------- */

static int read_numbers(const struct cli_args *args, struct setup *setup)
{
	struct hypr_vm_config *config = &setup->config;
	const char *const *option = args->option;
	int nr;

	if (option[PAUSE_TIMEOUT] &&
	    cli_parse_uint(option[PAUSE_TIMEOUT], 600000, &config->pause_timeout_ms))
		return cli_fail(args, EXIT_USAGE, setup->verb,
				"--pause-timeout %.40s is no number of milliseconds up to 600000",
				option[PAUSE_TIMEOUT]);
	if (option[PIN]) {
		nr = cli_parse_list(option[PIN], setup->pin, HYPR_VCPUS_MAX);
		if (nr < 0)
			return cli_fail(args, EXIT_USAGE, setup->verb,
					"--pin %.40s is no list of host CPUs (1,2 or 1-3)",
					option[PIN]);
		config->pin = setup->pin;
		config->nr_pin = (uint32_t)nr;
	}
	return EXIT_OK;
}

static int choose_log(const struct cli_args *args, struct setup *setup)
{
	char dir[256];
	int ret, len;

	if (args->option[LOG]) {
		len = snprintf(setup->log, sizeof(setup->log), "%s", args->option[LOG]);
	} else {
		ret = hypr_runtime_dir(dir, sizeof(dir));
		if (ret)
			return cli_fail(args, EXIT_FAILED, setup->verb, "%s", hypr_error());
		len = snprintf(setup->log, sizeof(setup->log), "%s/%s.log", dir,
			       setup->config.name);
	}
	if (len < 0 || (size_t)len >= sizeof(setup->log))
		return cli_fail(args, EXIT_USAGE, setup->verb, "the log's name is too long");
	return EXIT_OK;
}

static int read_options(const struct cli_args *args, struct setup *setup)
{
	struct hypr_vm_config *config = &setup->config;
	const char *const *option = args->option;

	*config = (struct hypr_vm_config)HYPR_VM_CONFIG_INIT;
	if (!option[NAME])
		return cli_fail(args, EXIT_USAGE, setup->verb, "--name is missing");
	if (hypr_name_check(option[NAME]))
		return cli_fail(args, EXIT_USAGE, setup->verb, "%s", hypr_error());
	if (option[LOG] && !option[DETACH])
		return cli_fail(args, EXIT_USAGE, setup->verb, "--log goes with --detach only");
	config->name = option[NAME];
	config->engine = option[ENGINE];
	config->flags = option[FORCED] ? HYPR_VM_FORCED : 0;
	setup->detach = option[DETACH] != NULL;
	if (setup->detach && choose_log(args, setup))
		return EXIT_FAILED;
	return read_numbers(args, setup);
}

static int read_boot_options(const struct cli_args *args, struct setup *setup)
{
	struct hypr_vm_config *config = &setup->config;
	const char *const *option = args->option;

	if (!option[KERNEL])
		return cli_fail(args, EXIT_USAGE, setup->verb, "--kernel is missing");
	if (option[MEM] && cli_parse_size(option[MEM], &config->mem_bytes))
		return cli_fail(args, EXIT_USAGE, setup->verb,
				"--mem %.40s is no size (16M, 1G, ...)", option[MEM]);
	if (option[VCPUS] && cli_parse_uint(option[VCPUS], HYPR_VCPUS_MAX, &config->vcpus))
		return cli_fail(args, EXIT_USAGE, setup->verb, "--vcpus %.40s is not 1 to %d",
				option[VCPUS], HYPR_VCPUS_MAX);
	config->kernel = option[KERNEL];
	config->initrd = option[INITRD];
	config->cmdline = option[CMDLINE];
	return EXIT_OK;
}

static int read_load_options(const struct cli_args *args, struct setup *setup)
{
	const char *time = args->option[TIME], *prefault = args->option[PREFAULT];
	struct hypr_vm_config *config = &setup->config;
	int flags = prefault ? hypr_prefault_flags(prefault) : 0;

	if (time && !strcmp(time, "continue"))
		config->load_flags |= HYPR_LOAD_TIME_CONTINUE;
	else if (time && strcmp(time, "freeze"))
		return cli_fail(args, EXIT_USAGE, setup->verb, "--time is freeze or continue");
	if (flags < 0)
		return cli_fail(args, EXIT_USAGE, setup->verb,
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

/* ---- the VM -------------------------------------------------------------- */

static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);	/* our own: the guest ended, or Ctrl-] */
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void wake_main(void)
{
	pthread_kill(main_thread, SIGUSR1);
}

static void *wait_for_end(void *arg)
{
	hypr_vm_wait(arg, -1);
	wake_main();
	return NULL;
}

static int failure_code(int ret, const struct hypr_vm_config *config)
{
	if (ret == -EINVAL)
		return EXIT_USAGE;
	/* Here it is the host that lacks something. */
	if (!config->vmo || ret == -EOPNOTSUPP)
		return cli_code(ret);
	return cli_vmo_code(ret);
}

static int describe_failure(int ret, const struct hypr_vm_config *config, char *error)
{
	int code = failure_code(ret, config);
	const char *name = config->name;

	if (ret == -EADDRINUSE)
		snprintf(error, CLI_ERROR_MAX, "%s: %s (hypr stop %s ends it)", name,
			 hypr_error(), name);
	else
		snprintf(error, CLI_ERROR_MAX, "%s: %s", name, hypr_error());
	return code;
}

/* Return: EXIT_OK with a VM that runs and is reachable, or a code and its reason. */
static int start_vm(const struct setup *setup, struct hypr_vm **vm,
		    struct hypr_server **server, char *error)
{
	int ret;

	*server = NULL;
	ret = hypr_vm_create(&setup->config, vm);
	if (ret)
		return describe_failure(ret, &setup->config, error);
	ret = hypr_server_start(*vm, server);
	if (!ret)
		ret = hypr_vm_start(*vm);
	if (!ret)
		return EXIT_OK;
	ret = describe_failure(ret, &setup->config, error);
	hypr_server_stop(*server);
	hypr_vm_destroy(*vm);
	return ret;
}

/* Until the guest ends or a signal comes.  Return: 0 or -EIO, and why, in @info. */
static int wait_vm(struct hypr_vm *vm, const sigset_t *set, struct hypr_vm_info *info)
{
	pthread_t waiter;
	bool waiting;
	int ret;

	waiting = pthread_create(&waiter, NULL, wait_for_end, vm) == 0;
	while (sigwaitinfo(set, NULL) < 0 && errno == EINTR)
		;
	hypr_vm_stop(vm);
	if (waiting)
		pthread_join(waiter, NULL);
	ret = hypr_vm_wait(vm, 0);
	hypr_vm_info(vm, info);
	return ret;
}

static void say(const struct cli_args *args, const struct setup *setup, const char *what,
		const char *key, const char *value, int pid)
{
	const char *engine = setup->config.engine ? setup->config.engine : HYPR_ENGINE_EPT_SWAP;
	json_t *object;

	if (!args->json) {
		fprintf(setup->detach ? stdout : stderr, "%s (%s): %s%s\n", setup->config.name,
			engine, what, value);
		return;
	}
	object = json_pack("{s:b, s:s, s:s, s:s, s:i}", "ok", 1, "vm", setup->config.name,
			   "engine", engine, key, value, "pid", pid);
	cli_print_json(object);
	json_decref(object);
	fflush(stdout);
}

static int run_foreground(const struct cli_args *args, struct setup *setup)
{
	char error[CLI_ERROR_MAX];
	struct hypr_server *server;
	struct hypr_vm_info info;
	struct hypr_vm *vm;
	sigset_t set;
	int code;

	main_thread = pthread_self();
	block_signals(&set);
	setup->config.console_in = cli_tty_start(wake_main);
	setup->config.console_out = STDOUT_FILENO;
	code = start_vm(setup, &vm, &server, error);
	if (code) {
		cli_tty_stop();
		return cli_fail(args, code, setup->verb, "%s", error);
	}
	say(args, setup, "runs", "state",
	    args->json ? "running" : isatty(STDIN_FILENO) ? "; Ctrl-] ends it" : "", getpid());

	code = wait_vm(vm, &set, &info) ? EXIT_FAILED : EXIT_OK;
	hypr_server_stop(server);
	cli_tty_stop();
	if (code)
		cli_fail(args, code, setup->verb, "%s: %s", setup->config.name, info.end_reason);
	else
		say(args, setup, "ended: ", "end_reason", info.end_reason, getpid());
	hypr_vm_destroy(vm);
	return code;
}

/* ---- detached ------------------------------------------------------------ */

static int open_log(struct setup *setup, char *error)
{
	int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
	char dir[256];
	int fd;

	/* Made here when the log is the first thing to stand in it. */
	if (!hypr_runtime_dir(dir, sizeof(dir)) && !strncmp(setup->log, dir, strlen(dir)))
		mkdir(dir, 0700);
	setup->log_made = access(setup->log, F_OK) < 0;
	fd = open(setup->log, flags, 0600);
	if (fd < 0)
		snprintf(error, CLI_ERROR_MAX, "log %.300s: %s", setup->log, strerror(errno));
	return fd;
}

static void tell_parent(int fd, const struct outcome *outcome)
{
	/* A parent that is gone does not want to know. */
	if (write(fd, outcome, sizeof(*outcome)) < 0)
		return;
}

static void leave_terminal(int log)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	if (chdir("/") < 0)
		return;
}

/* The child, to its end. */
static int run_detached(struct setup *setup, int parent)
{
	struct outcome outcome = { .pid = getpid() };
	struct hypr_server *server;
	struct hypr_vm_info info;
	struct hypr_vm *vm;
	sigset_t set;
	int log, ret;

	main_thread = pthread_self();
	block_signals(&set);
	log = open_log(setup, outcome.error);
	if (log < 0) {
		outcome.code = EXIT_FAILED;
		tell_parent(parent, &outcome);
		return outcome.code;
	}
	setup->config.console_out = log;
	outcome.code = start_vm(setup, &vm, &server, outcome.error);
	if (outcome.code && setup->log_made)
		unlink(setup->log);
	if (!outcome.code)
		leave_terminal(log);
	tell_parent(parent, &outcome);
	close(parent);
	if (outcome.code)
		return outcome.code;

	ret = wait_vm(vm, &set, &info);
	hypr_server_stop(server);
	dprintf(log, "\nhypr: %s (%s) ended: %s\n", info.name, info.engine, info.end_reason);
	hypr_vm_destroy(vm);
	return ret ? EXIT_FAILED : EXIT_OK;
}

static int detach(const struct cli_args *args, struct setup *setup)
{
	struct outcome outcome;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return cli_fail(args, EXIT_FAILED, setup->verb, "pipe: %s", strerror(errno));
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return cli_fail(args, EXIT_FAILED, setup->verb, "fork: %s", strerror(errno));
	if (pid == 0) {
		close(fds[0]);
		_exit(run_detached(setup, fds[1]));
	}
	close(fds[1]);
	do
		n = read(fds[0], &outcome, sizeof(outcome));
	while (n < 0 && errno == EINTR);
	close(fds[0]);
	if (n != sizeof(outcome)) {
		waitpid(pid, &status, 0);
		return cli_fail(args, EXIT_FAILED, setup->verb, "%s: its process died",
				setup->config.name);
	}
	if (outcome.code) {
		waitpid(pid, &status, 0);
		return cli_fail(args, outcome.code, setup->verb, "%s", outcome.error);
	}
	say(args, setup, "runs, console in ", "log", setup->log, outcome.pid);
	return EXIT_OK;
}

static int go(const struct cli_args *args, struct setup *setup)
{
	int code = check_name_free(args, setup->verb, setup->config.name);

	if (code)
		return code;
	return setup->detach ? detach(args, setup) : run_foreground(args, setup);
}

static int run(const struct cli_args *args)
{
	struct setup setup = { .verb = "run" };
	int code;

	code = read_options(args, &setup);
	if (!code)
		code = read_boot_options(args, &setup);
	return code ? code : go(args, &setup);
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
	struct setup setup = { .verb = "resurrect" };
	int code;

	code = read_options(args, &setup);
	if (!code)
		code = read_load_options(args, &setup);
	return code ? code : go(args, &setup);
}

const struct cli_command cmd_resurrect = {
	.name = "resurrect",
	.args = "FILE",
	.summary = "run a VM from a VMO",
	.options = resurrect_options,
	.nr_args = 1,
	.run = resurrect,
};
