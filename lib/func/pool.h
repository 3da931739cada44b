/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machines of a function: who has which, and until when. */
#ifndef LIB_FUNC_POOL_H
#define LIB_FUNC_POOL_H

#include "hypr/func.h"
#include "func/machine.h"

struct hypr_func_pool {
	const struct hypr_func_host *host;
	unsigned int max;

	pthread_mutex_t lock;
	pthread_cond_t idle_cond;	/* to callers that wait for a machine */
	pthread_cond_t watch_cond;	/* to the watch: a deadline before its own, or stop */
	struct hypr_func_machine *machine[HYPR_FUNC_VMS_MAX];	/* lock; the first @nr */
	unsigned int nr;		/* lock */
	unsigned int nr_making;		/* lock; machines that are not in @machine yet */
	unsigned int waiters;		/* lock */
	uint64_t watch_ns;		/* lock; when the watch looks next */
	bool stop;			/* lock */
	pthread_t watch;
};

/** hypr_func_pool_init() - empty; Return: 0; -ENOMEM no thread. */
int hypr_func_pool_init(struct hypr_func_pool *pool, const struct hypr_func_host *host,
			unsigned int max);
void hypr_func_pool_fini(struct hypr_func_pool *pool);

/**
 * hypr_func_pool_get() - a machine at its moment, for this thread
 *
 * Waits while all are in use.  A machine that this thread had is preferred: KVM is slow
 * when another thread runs a vCPU.
 */
int hypr_func_pool_get(struct hypr_func_pool *pool, struct hypr_func_machine **machinep);

/** hypr_func_pool_start() - from now on it has @timeout_ms */
void hypr_func_pool_start(struct hypr_func_pool *pool, struct hypr_func_machine *machine,
			  uint32_t timeout_ms);

/** hypr_func_pool_done() - it is back from KVM: nobody will kick this thread any more */
void hypr_func_pool_done(struct hypr_func_pool *pool, struct hypr_func_machine *machine);

/** hypr_func_pool_put() - give it back; @whole: it is at its moment, else it is destroyed */
void hypr_func_pool_put(struct hypr_func_pool *pool, struct hypr_func_machine *machine,
			bool whole);

#endif /* LIB_FUNC_POOL_H */
