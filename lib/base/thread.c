// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads: see thread.h. */
#include <signal.h>

#include "base/thread.h"

/**
 * hypr_thread_start() - a thread that takes no signal
 *
 * Return: 0, or -errno: see hypr_fail_thread().
 */
int hypr_thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	sigset_t all, old;
	int ret;

	/* It inherits the mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}
