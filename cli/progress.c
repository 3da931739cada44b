// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a person sees of something long, on a terminal and after two seconds: how
 * far it is.  And Ctrl-C: it ends the operation in order, which leaves no file;
 * a second one ends the command at once.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "hypr/hypr.h"

#define FIRST_MS	2000
#define EVERY_MS	250

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

#define NR_SIGNALS	(sizeof(signals) / sizeof(signals[0]))

static volatile sig_atomic_t stop;
static atomic_ullong done_so_far, done_at_last;
static struct sigaction old[NR_SIGNALS];
static bool handles, shows;
static const char *what;
static int wake[2];
static pthread_t thread;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

static int note(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	atomic_store(&done_so_far, done);
	atomic_store(&done_at_last, total);
	return stop;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void show(uint64_t ms)
{
	unsigned long long done = atomic_load(&done_so_far), total = atomic_load(&done_at_last);
	char text[96];
	int len;

	if (total && done <= total)
		len = snprintf(text, sizeof(text), "\r\033[Khypr: %s: %llu %%, %llu s", what,
			       (unsigned long long)((double)done * 100 / (double)total),
			       (unsigned long long)ms / 1000);
	else
		len = snprintf(text, sizeof(text), "\r\033[Khypr: %s: %llu s", what,
			       (unsigned long long)ms / 1000);
	/* Nobody is there to read it: that is no failure of the operation. */
	if (write(STDERR_FILENO, text, (size_t)len) < 0)
		return;
}

static void *ticker(void *arg)
{
	struct pollfd pfd = { .fd = wake[0], .events = POLLIN };
	uint64_t start = now_ms(), ms = 0;
	bool shown = false;

	while (poll(&pfd, 1, ms < FIRST_MS ? (int)(FIRST_MS - ms) : EVERY_MS) == 0) {
		ms = now_ms() - start;
		if (ms < FIRST_MS)
			continue;
		show(ms);
		shown = true;
	}
	if (shown && write(STDERR_FILENO, "\r\033[K", 4) < 0)
		return NULL;
	return arg;
}

static void start_ticker(void)
{
	sigset_t all, before;

	if (pipe(wake) < 0)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	shows = !pthread_create(&thread, NULL, ticker, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!shows) {
		close(wake[0]);
		close(wake[1]);
	}
}

void cli_progress_start(const struct cli_args *args, const char *verb, bool can_stop)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
	size_t i;

	what = verb;
	stop = 0;
	atomic_store(&done_so_far, 0);
	atomic_store(&done_at_last, 0);
	hypr_progress_set(note, NULL);
	for (i = 0; can_stop && i < NR_SIGNALS; i++)
		sigaction(signals[i], &action, &old[i]);
	/* One that was ignored, as by nohup, stays so. */
	for (i = 0; can_stop && i < NR_SIGNALS; i++) {
		if (old[i].sa_handler == SIG_IGN)
			sigaction(signals[i], &old[i], NULL);
	}
	handles = can_stop;
	if (!args->json && isatty(STDERR_FILENO))
		start_ticker();
}

void cli_progress_stop(void)
{
	size_t i;

	if (shows) {
		close(wake[1]);
		pthread_join(thread, NULL);
		close(wake[0]);
		shows = false;
	}
	for (i = 0; handles && i < NR_SIGNALS; i++)
		sigaction(signals[i], &old[i], NULL);
	handles = false;
	hypr_progress_set(NULL, NULL);
}
