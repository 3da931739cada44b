// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM that outlives the command.  KVM ties a VM to the process that made it, so this
 * forks before anything is made, and the child tells the parent how it went.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run.h"

/* What the child of a detached run tells its parent. */
struct outcome {
	int code;
	int pid;
	char error[CLI_ERROR_MAX];
};

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
static int live(struct cli_run *run, int parent)
{
	struct outcome outcome = { .pid = getpid() };
	struct hypr_server *server;
	struct hypr_vm_info info;
	struct hypr_vm *vm;
	char text[256];
	sigset_t set;
	int code;

	cli_run_begin(&set);
	close_inherited(&parent);
	run->config.console_out = cli_log_console();
	if (run->config.console_out < 0) {
		outcome.code = EXIT_FAILED;
		snprintf(outcome.error, sizeof(outcome.error), "log: a pipe to it: %s",
			 strerror(-run->config.console_out));
	} else {
		outcome.code = cli_run_start(run, &vm, &server, outcome.error);
	}
	if (!outcome.code)
		leave_terminal();
	tell_parent(parent, &outcome);
	close(parent);
	if (outcome.code)
		return outcome.code;

	code = cli_run_wait(vm, &run->config, &set, &info);
	hypr_server_stop(server);
	hypr_vm_destroy(vm);
	snprintf(text, sizeof(text), "\nhypr: %s (%s) ended: %s\n", info.name, info.engine,
		 info.end_reason);
	cli_log_end(text);
	return code;
}

int cli_run_detached(const struct cli_args *args, struct cli_run *run)
{
	struct outcome outcome;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return cli_fail(args, EXIT_FAILED, run->verb, "pipe: %s", strerror(errno));
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return cli_fail(args, EXIT_FAILED, run->verb, "fork: %s", strerror(errno));
	if (pid == 0) {
		close(fds[0]);
		_exit(live(run, fds[1]));
	}
	close(fds[1]);
	do
		n = read(fds[0], &outcome, sizeof(outcome));
	while (n < 0 && errno == EINTR);
	close(fds[0]);
	if (n != sizeof(outcome)) {
		waitpid(pid, &status, 0);
		return cli_fail(args, EXIT_FAILED, run->verb, "%s: its process died",
				run->config.name);
	}
	if (outcome.code) {
		waitpid(pid, &status, 0);
		return cli_fail(args, outcome.code, run->verb, "%s", outcome.error);
	}
	cli_run_say(args, run, "runs, console in ", "log", run->log, outcome.pid, 0);
	return EXIT_OK;
}
