// SPDX-License-Identifier: LGPL-2.1-or-later
/* Bringing threads back from KVM_RUN, or from a write that nobody takes. */
#include <pthread.h>
#include <stddef.h>

#include "base/kick.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Nothing to do: that the signal came is all that counts. */
static void handler(int sig)
{
	(void)sig;
}

static void install(void)
{
	struct sigaction sa = { .sa_handler = handler };

	sigemptyset(&sa.sa_mask);
	sigaction(HYPR_KICK_SIGNAL, &sa, NULL);
}

void hypr_kick_install(void)
{
	pthread_once(&once, install);
}
