// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The machines of a function, and the watch: one thread that kicks machines at their
 * time limits.
 *
 * A call must not cost a system call for its limit.  So the watch sleeps until the
 * earliest deadline that it knows of, and is woken only for an earlier one; while calls
 * follow one another with the same limit, there is none.
 */
#include <signal.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/kick.h"
#include "base/thread.h"
#include "base/time.h"
#include "func/pool.h"

#define NEVER		UINT64_MAX

/* ---- the watch ----------------------------------------------------------- */

/* One whose thread has not left KVM since the last kick gets another. */
#define KICK_AGAIN_NS	1000000ull

/*
 * The thread may be on its way into KVM_RUN: then the signal comes too early, and
 * immediate_exit sends it back.
 */
static void kick(struct hypr_func_machine *machine)
{
	__atomic_store_n(&machine->expired, true, __ATOMIC_RELEASE);
	__atomic_store_n(&machine->run->immediate_exit, 1, __ATOMIC_RELEASE);
	pthread_kill(machine->thread, HYPR_KICK_SIGNAL);
}

/* Return: when to look next. */
static uint64_t look(struct hypr_func_pool *pool, uint64_t now)
{
	uint64_t next = NEVER;
	unsigned int i;

	for (i = 0; i < pool->nr; i++) {
		struct hypr_func_machine *machine = pool->machine[i];

		if (machine->deadline_ns == NEVER)
			continue;
		if (machine->deadline_ns <= now) {
			kick(machine);
			machine->deadline_ns = now + KICK_AGAIN_NS;
		}
		if (machine->deadline_ns < next)
			next = machine->deadline_ns;
	}
	return next;
}

static void *watch(void *arg)
{
	struct hypr_func_pool *pool = arg;

	pthread_mutex_lock(&pool->lock);
	while (!pool->stop) {
		pool->watch_ns = look(pool, hypr_now_ns());
		if (pool->watch_ns == NEVER)
			pthread_cond_wait(&pool->watch_cond, &pool->lock);
		else
			hypr_cond_wait_until(&pool->watch_cond, &pool->lock, pool->watch_ns);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

void hypr_func_pool_start(struct hypr_func_pool *pool, struct hypr_func_machine *machine,
			  uint32_t timeout_ms)
{
	uint64_t deadline = hypr_now_ns() + timeout_ms * 1000000ull;

	machine->expired = false;
	machine->run->immediate_exit = 0;
	pthread_mutex_lock(&pool->lock);
	machine->deadline_ns = deadline;
	if (deadline < pool->watch_ns) {
		pool->watch_ns = deadline;
		pthread_cond_signal(&pool->watch_cond);
	}
	pthread_mutex_unlock(&pool->lock);
}

void hypr_func_pool_done(struct hypr_func_pool *pool, struct hypr_func_machine *machine)
{
	pthread_mutex_lock(&pool->lock);
	machine->deadline_ns = NEVER;
	pthread_mutex_unlock(&pool->lock);
}

/* ---- machines ------------------------------------------------------------ */

/* Best one that this thread had last. */
static struct hypr_func_machine *find_idle(struct hypr_func_pool *pool)
{
	struct hypr_func_machine *idle = NULL;
	unsigned int i;

	for (i = 0; i < pool->nr; i++) {
		struct hypr_func_machine *machine = pool->machine[i];

		if (machine->busy)
			continue;
		idle = machine;
		if (pthread_equal(machine->thread, pthread_self()))
			break;
	}
	return idle;
}

static bool has_room(const struct hypr_func_pool *pool)
{
	return pool->nr + pool->nr_making < pool->max;
}

static void wake_waiter(struct hypr_func_pool *pool)
{
	if (pool->waiters)
		pthread_cond_signal(&pool->idle_cond);
}

/* The lock is held; not while KVM makes the machine. */
static int make(struct hypr_func_pool *pool, struct hypr_func_machine **machinep)
{
	int ret;

	pool->nr_making++;
	pthread_mutex_unlock(&pool->lock);
	ret = hypr_func_machine_create(pool->host, machinep);
	pthread_mutex_lock(&pool->lock);
	pool->nr_making--;
	if (ret) {
		wake_waiter(pool);
		return ret;
	}
	(*machinep)->deadline_ns = NEVER;
	pool->machine[pool->nr++] = *machinep;
	return 0;
}

int hypr_func_pool_get(struct hypr_func_pool *pool, struct hypr_func_machine **machinep)
{
	struct hypr_func_machine *machine;
	int ret = 0;

	pthread_mutex_lock(&pool->lock);
	while (!(machine = find_idle(pool)) && !has_room(pool)) {
		pool->waiters++;
		pthread_cond_wait(&pool->idle_cond, &pool->lock);
		pool->waiters--;
	}
	if (!machine)
		ret = make(pool, &machine);
	if (!ret) {
		machine->busy = true;
		machine->thread = pthread_self();
		*machinep = machine;
	}
	pthread_mutex_unlock(&pool->lock);
	return ret;
}

static void forget(struct hypr_func_pool *pool, const struct hypr_func_machine *machine)
{
	unsigned int i;

	for (i = 0; i < pool->nr; i++) {
		if (pool->machine[i] == machine) {
			pool->machine[i] = pool->machine[--pool->nr];
			return;
		}
	}
}

void hypr_func_pool_put(struct hypr_func_pool *pool, struct hypr_func_machine *machine,
			bool whole)
{
	pthread_mutex_lock(&pool->lock);
	machine->busy = false;
	if (!whole)
		forget(pool, machine);
	wake_waiter(pool);
	pthread_mutex_unlock(&pool->lock);
	if (!whole)
		hypr_func_machine_destroy(machine);
}

/* ---- the pool ------------------------------------------------------------ */

int hypr_func_pool_init(struct hypr_func_pool *pool, const struct hypr_func_host *host,
			unsigned int max)
{
	int ret;

	*pool = (struct hypr_func_pool){ .host = host, .max = max, .watch_ns = NEVER };
	hypr_kick_install();
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->idle_cond, NULL);
	ret = hypr_cond_init(&pool->watch_cond);
	if (!ret)
		ret = hypr_thread_start(&pool->watch, watch, pool);
	return ret ? hypr_fail_thread(ret, "a thread for time limits") : 0;
}

/** hypr_func_pool_fini() - no machine is in use, and hypr_func_pool_init() returned 0 */
void hypr_func_pool_fini(struct hypr_func_pool *pool)
{
	unsigned int i;

	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_signal(&pool->watch_cond);
	pthread_mutex_unlock(&pool->lock);
	pthread_join(pool->watch, NULL);
	for (i = 0; i < pool->nr; i++)
		hypr_func_machine_destroy(pool->machine[i]);
	pthread_cond_destroy(&pool->watch_cond);
	pthread_cond_destroy(&pool->idle_cond);
	pthread_mutex_destroy(&pool->lock);
}
