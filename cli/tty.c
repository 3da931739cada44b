// SPDX-License-Identifier: GPL-2.0-only
/*
 * The terminal of `hypr run`: raw, so that the guest gets every key, but for
 * Ctrl-], which ends the VM.  What is typed goes through a pipe, which is where
 * the VM's serial line reads from; what a guest does not read, and the pipe does
 * not hold, is lost, as on any serial line.
 *
 * However the process ends, the terminal is given back: signals that others send
 * are waited for (cmd_run.c), and those of a fault are caught here.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"

#define ESCAPE	0x1d	/* Ctrl-] */

static struct termios saved, raw;
static bool is_raw;
static int pipe_write = -1;
static void (*on_escape)(void);

static void *tty_thread(void *arg)
{
	char buf[64];
	ssize_t n, i;

	for (;;) {
		n = read(STDIN_FILENO, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return arg;
		for (i = 0; i < n; i++) {
			if (buf[i] == ESCAPE) {
				on_escape();
				return arg;
			}
		}
		/* Without waiting: Ctrl-] is looked for also when the guest reads nothing. */
		if (write(pipe_write, buf, (size_t)n) < 0 && errno != EAGAIN)
			return arg;
	}
}

static int start_thread(void)
{
	sigset_t all, old;
	pthread_t thread;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&thread, NULL, tty_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!ret)
		pthread_detach(thread);
	return ret;
}

/* In the background the terminal is another's, and changing it would stop us. */
static bool is_ours(void)
{
	return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static void give_back(void)
{
	if (is_raw && is_ours())
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

/* Async-signal-safe; the handler is gone after it, and the signal comes once more. */
static void on_fault(int signal)
{
	give_back();
	raise(signal);
}

static void catch_faults(void)
{
	static const int faults[] = {
		SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS,
	};
	struct sigaction sa = { .sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND };
	size_t i;

	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigaction(faults[i], &sa, NULL);
}

int cli_tty_start(void (*escape)(void))
{
	int fds[2];

	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		return STDIN_FILENO;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	pipe_write = fds[1];
	on_escape = escape;
	raw = saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST;	/* our own messages end with a mere newline */
	catch_faults();
	is_raw = true;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0 || start_thread()) {
		cli_tty_stop();
		return -1;
	}
	return fds[0];
}

void cli_tty_stop(void)
{
	give_back();
	is_raw = false;
}

void cli_tty_suspend(void)
{
	give_back();
	raise(SIGSTOP);
}

void cli_tty_resume(void)
{
	if (is_raw && is_ours())
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}
