// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr run, hypr resurrect: a VM, in this process, from a kernel or from a VMO.  In the foreground its serial line is on
 * stdin and stdout; detached, it goes into a log file, and the command returns
 * when the VM runs.  KVM ties a VM to the process that made it, so detaching
 * forks before anything is made, and the child tells the parent how it went.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
#include "hypr/run.h"

/* The first are both commands', the others of one each. */
enum {
	NAME, PIN, ENGINE, FORCED, PAUSE_TIMEOUT, DETACH, LOG, LOG_MAX, STAY_HALTED, REQUESTS,
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
		       "serve what the guest asks for: reports, moments, resets" }

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
	char *log;		/* absolute; to be freed */
	uint64_t log_max;
};

#define LOG_MAX_BYTES	(8ull << 20)
#define LOG_MAX_LEAST	(64ull << 10)

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
	const char *max = args->option[LOG_MAX];
	char dir[256];
	char *file;
	int code;

	setup->log_max = LOG_MAX_BYTES;
	if (max && (cli_parse_size(max, &setup->log_max) ||
		    (setup->log_max && setup->log_max < LOG_MAX_LEAST)))
		return cli_fail(args, EXIT_USAGE, setup->verb,
				"--log-max %.40s is no size from 64K on, nor 0", max);
	if (args->option[LOG]) {
		code = cli_path(args, setup->verb, args->option[LOG], &file);
		setup->log = file;
		return code;
	}
	if (hypr_runtime_dir(dir, sizeof(dir)))
		return cli_fail(args, EXIT_USAGE, setup->verb, "%s", hypr_error());
	if (asprintf(&file, "%s/%s.log", dir, setup->config.name) < 0)
		return cli_fail(args, EXIT_FAILED, setup->verb, "no memory");
	setup->log = file;
	return EXIT_OK;
}

static int read_options(const struct cli_args *args, struct setup *setup)
{
	struct hypr_vm_config *config = &setup->config;
	const char *const *option = args->option;
	int code;

	*config = (struct hypr_vm_config)HYPR_VM_CONFIG_INIT;
	if (!option[NAME])
		return cli_fail(args, EXIT_USAGE, setup->verb, "--name is missing");
	if (hypr_name_check(option[NAME]))
		return cli_fail(args, EXIT_USAGE, setup->verb, "%s", hypr_error());
	if ((option[LOG] || option[LOG_MAX]) && !option[DETACH])
		return cli_fail(args, EXIT_USAGE, setup->verb,
				"--log and --log-max go with --detach only");
	config->name = option[NAME];
	config->engine = option[ENGINE];
	config->flags = (option[FORCED] ? HYPR_VM_FORCED : 0) |
			(option[STAY_HALTED] ? 0 : HYPR_VM_END_HALTED) |
			(option[REQUESTS] ? HYPR_VM_GUEST_REQUESTS : 0);
	setup->detach = option[DETACH] != NULL;
	code = setup->detach ? choose_log(args, setup) : EXIT_OK;
	return code ? code : read_numbers(args, setup);
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

/*
 * Whatever would end the process, or stop it, with the terminal left raw, and that
 * another process may send.  SIGSEGV and the like are tty.c's.
 */
static const int signals[] = {
	SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGVTALRM, SIGPROF, SIGUSR2, SIGXCPU, SIGIO,
	SIGPWR, SIGSTKFLT, SIGTSTP, SIGCONT,
	SIGUSR1,	/* our own: the guest ended, or Ctrl-] */
};

static void block_signals(sigset_t *set)
{
	size_t i;

	sigemptyset(set);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(set, signals[i]);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void wake_main(void)
{
	pthread_kill(main_thread, SIGUSR1);
}

/**
 * struct waiting - for the VM's end, on a thread
 * @result: with --guest-requests, which keep a VM from its end: how it would have ended
 */
struct waiting {
	struct hypr_vm *vm;
	const struct hypr_vm_config *config;
	struct hypr_run_result result;
};

static void *wait_for_end(void *arg)
{
	struct waiting *waiting = arg;

	if (waiting->config->flags & HYPR_VM_GUEST_REQUESTS)
		cli_requests_serve(waiting->vm, waiting->config->name, &waiting->result);
	else
		hypr_vm_wait(waiting->vm, -1);
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

static int start_log(const struct setup *setup, char *error)
{
	int ret;

	if (cli_log_open(setup->log, setup->log_max, error))
		return EXIT_FAILED;
	ret = cli_log_start();
	if (!ret)
		return EXIT_OK;
	snprintf(error, CLI_ERROR_MAX, "log: its thread: %s", strerror(-ret));
	cli_log_remove();
	return EXIT_FAILED;
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
	if (ret) {
		ret = describe_failure(ret, &setup->config, error);
		goto destroy;
	}
	/* From here on the name is this VM's, and its log too. */
	ret = setup->detach ? start_log(setup, error) : EXIT_OK;
	if (ret)
		goto stop_server;
	ret = hypr_vm_start(*vm);
	if (!ret)
		return EXIT_OK;
	ret = describe_failure(ret, &setup->config, error);
	cli_log_remove();
stop_server:
	hypr_server_stop(*server);
destroy:
	hypr_vm_destroy(*vm);
	return ret;
}

static int end_code(const struct hypr_vm_info *info)
{
	switch (info->end) {
	case HYPR_END_PANIC:
		return EXIT_PANIC;
	case HYPR_END_TRIPLE_FAULT:
		return EXIT_TRIPLE_FAULT;
	case HYPR_END_FAILED:
		return EXIT_FAILED;
	case HYPR_END_EXIT_FAILED:
		return EXIT_GUEST;
	default:
		return EXIT_OK;
	}
}

/* Until the guest ends or a signal comes.  Return: an exit code, and why, in @info. */
static int wait_vm(struct hypr_vm *vm, const struct hypr_vm_config *config, const sigset_t *set,
		   struct hypr_vm_info *info)
{
	struct waiting arg = { .vm = vm, .config = config };
	pthread_t waiter;
	bool waiting;
	int signal;

	waiting = pthread_create(&waiter, NULL, wait_for_end, &arg) == 0;
	do {
		signal = sigwaitinfo(set, NULL);
		if (signal == SIGTSTP)
			cli_tty_suspend();
		if (signal == SIGCONT)
			cli_tty_resume();
	} while (signal < 0 || signal == SIGTSTP || signal == SIGCONT);
	hypr_vm_stop(vm);
	if (waiting)
		pthread_join(waiter, NULL);
	hypr_vm_info(vm, info);
	if (arg.result.end) {
		info->end = (uint32_t)arg.result.end;
		memcpy(info->end_reason, arg.result.reason, sizeof(info->end_reason));
	}
	return end_code(info);
}

/* The guest has stdout to itself when it runs in the foreground. */
static void say(const struct cli_args *args, const struct setup *setup, const char *what,
		const char *key, const char *value, int pid, int end)
{
	const char *engine = setup->config.engine ? setup->config.engine : HYPR_ENGINE_EPT_SWAP;
	FILE *to = setup->detach ? stdout : stderr;
	json_t *object;

	if (!args->json) {
		fprintf(to, "%s (%s): %s%s\n", setup->config.name, engine, what, value);
		return;
	}
	object = json_pack("{s:b, s:s, s:s, s:s, s:i}", "ok", 1, "vm", setup->config.name,
			   "engine", engine, key, value, "pid", pid);
	if (end)
		json_object_set_new(object, "end", json_string(hypr_end_name(end)));
	cli_print_json_to(to, object);
	json_decref(object);
	fflush(to);
}

/* Is there anybody who reads what we say?  A second is enough to tell. */
static bool is_heard(void)
{
	struct pollfd pfd = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&pfd, 1, 1000) > 0 && (pfd.revents & POLLOUT);
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
	    args->json ? "running" : isatty(STDIN_FILENO) ? "; Ctrl-] ends it" : "", getpid(), 0);

	code = wait_vm(vm, &setup->config, &set, &info);
	hypr_server_stop(server);
	cli_tty_stop();
	hypr_vm_destroy(vm);
	if (!is_heard())
		return code;
	if (code)
		cli_fail_to(stderr, args, code, setup->verb, "%s: %s", setup->config.name,
			    info.end_reason);
	else
		say(args, setup, "ended: ", "end_reason", info.end_reason, getpid(),
		    (int)info.end);
	return code;
}

/* ---- detached ------------------------------------------------------------ */

static void tell_parent(int fd, const struct outcome *outcome)
{
	/* A parent that is gone does not want to know. */
	if (write(fd, outcome, sizeof(*outcome)) < 0)
		return;
}

static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	cli_log_take_output();
	if (chdir("/") < 0)
		return;
}

/* Of what was inherited, the standard three and the way to the parent stay. */
static void close_inherited(int *parent)
{
	int keep = dup3(*parent, STDERR_FILENO + 1, O_CLOEXEC);

	if (keep >= 0)
		*parent = keep;
	if (*parent == STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 2, ~0u, 0);
}

/* The child, to its end. */
static int run_detached(struct setup *setup, int parent)
{
	struct outcome outcome = { .pid = getpid() };
	struct hypr_server *server;
	struct hypr_vm_info info;
	struct hypr_vm *vm;
	char text[256];
	sigset_t set;
	int code;

	main_thread = pthread_self();
	block_signals(&set);
	close_inherited(&parent);
	setup->config.console_out = cli_log_console();
	if (setup->config.console_out < 0) {
		outcome.code = EXIT_FAILED;
		snprintf(outcome.error, sizeof(outcome.error), "log: a pipe to it: %s",
			 strerror(-setup->config.console_out));
	} else {
		outcome.code = start_vm(setup, &vm, &server, outcome.error);
	}
	if (!outcome.code)
		leave_terminal();
	tell_parent(parent, &outcome);
	close(parent);
	if (outcome.code)
		return outcome.code;

	code = wait_vm(vm, &setup->config, &set, &info);
	hypr_server_stop(server);
	hypr_vm_destroy(vm);
	snprintf(text, sizeof(text), "\nhypr: %s (%s) ended: %s\n", info.name, info.engine,
		 info.end_reason);
	cli_log_end(text);
	return code;
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
	say(args, setup, "runs, console in ", "log", setup->log, outcome.pid, 0);
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
	if (!code)
		code = go(args, &setup);
	free(setup.log);
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
	struct setup setup = { .verb = "resurrect" };
	int code;

	code = read_options(args, &setup);
	if (!code)
		code = read_load_options(args, &setup);
	if (!code)
		code = go(args, &setup);
	free(setup.log);
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
