// SPDX-License-Identifier: GPL-2.0-only
/*
 * The terminal of `hypr run`: raw, so that the guest gets every key, but for
 * Ctrl-], which ends the VM.  What is typed goes through a pipe, which is where
 * the VM's serial line reads from.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <termios.h>
#include <unistd.h>

#include "cli.h"

#define ESCAPE	0x1d	/* Ctrl-] */

static struct termios saved;
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
		if (write(pipe_write, buf, (size_t)n) != n)
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

int cli_tty_start(void (*escape)(void))
{
	struct termios raw;
	int fds[2];

	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		return STDIN_FILENO;
	if (pipe(fds) < 0)
		return -1;
	pipe_write = fds[1];
	on_escape = escape;
	raw = saved;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST;	/* our own messages end with a mere newline */
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
		return -1;
	is_raw = true;
	if (start_thread()) {
		cli_tty_stop();
		return -1;
	}
	return fds[0];
}

void cli_tty_stop(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	is_raw = false;
}
