// SPDX-License-Identifier: LGPL-2.1-or-later
/* Deadlines on the monotonic clock, which nobody sets back, and the time of day. */
#include <time.h>

#include "base/time.h"

uint64_t hypr_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

uint64_t hypr_unix_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / 1000000000ull),
		.tv_nsec = (long)(ns % 1000000000ull),
	};
}

/* Return: 0 locked, -ETIMEDOUT. */
int hypr_mutex_lock_until(pthread_mutex_t *mutex, uint64_t ns)
{
	struct timespec ts = timespec_of(ns);

	return -pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &ts);
}

int hypr_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int ret;

	ret = pthread_condattr_init(&attr);
	if (ret)
		return -ret;
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	ret = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return -ret;
}

/* Return: 0 woken, -ETIMEDOUT. */
int hypr_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t ns)
{
	struct timespec ts = timespec_of(ns);

	return -pthread_cond_timedwait(cond, mutex, &ts);
}
