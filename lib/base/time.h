/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deadlines on the monotonic clock, the time of day, and the time stamp counter. */
#ifndef LIB_BASE_TIME_H
#define LIB_BASE_TIME_H

#include <pthread.h>
#include <stdint.h>

uint64_t hypr_now_ns(void);
uint64_t hypr_unix_ns(void);
int hypr_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t ns);
int hypr_cond_init(pthread_cond_t *cond);
int hypr_mutex_lock_until(pthread_mutex_t *mutex, uint64_t ns);

static inline uint64_t hypr_tsc(void)
{
	uint32_t lo, hi;

	/* rdtscp waits for what came before; lfence holds back what comes after. */
	asm volatile("rdtscp\n\tlfence" : "=a" (lo), "=d" (hi) : : "rcx", "memory");
	return (uint64_t)hi << 32 | lo;
}

#endif /* LIB_BASE_TIME_H */
