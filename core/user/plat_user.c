// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* core/plat.h in user space, but for pages and NUMA nodes: plat_pages.c. */
#include <pthread.h>
#include <sched.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "plat.h"

u64 plat_direct_map;

/* ---- small memory, locks, CPUs ---------------------------------------------- */

void *plat_alloc(size_t bytes)
{
	return calloc(1, bytes);
}

void plat_free(void *memory)
{
	free(memory);
}

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(struct plat_lock),
	       "struct plat_lock holds a mutex");

static pthread_mutex_t *lock_of(struct plat_lock *lock)
{
	return (pthread_mutex_t *)lock->opaque;
}

int plat_lock_init(struct plat_lock *lock)
{
	return -pthread_mutex_init(lock_of(lock), NULL);
}

void plat_lock_fini(struct plat_lock *lock)
{
	pthread_mutex_destroy(lock_of(lock));
}

void plat_lock_take(struct plat_lock *lock)
{
	pthread_mutex_lock(lock_of(lock));
}

void plat_lock_drop(struct plat_lock *lock)
{
	pthread_mutex_unlock(lock_of(lock));
}

/* sysconf() reads files: it is asked once. */
u32 plat_cpu_count(void)
{
	static u32 known;
	u32 count = __atomic_load_n(&known, __ATOMIC_RELAXED);
	long said;

	if (count)
		return count;
	said = sysconf(_SC_NPROCESSORS_CONF);
	count = said > 0 ? (u32)said : 1;
	__atomic_store_n(&known, count, __ATOMIC_RELAXED);
	return count;
}

u32 plat_cpu(void)
{
	u32 cpu = (u32)sched_getcpu(), count = plat_cpu_count();

	return cpu < count ? cpu : cpu % count;
}

/* ---- random bytes and secrets ----------------------------------------------- */

int plat_random(void *buffer, size_t bytes)
{
	u8 *at = buffer;

	while (bytes) {
		ssize_t got = getrandom(at, bytes, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -EIO;
		at += got;
		bytes -= got;
	}
	return 0;
}

int plat_digest(const u8 *key, const void *data, size_t bytes, u8 *out)
{
	if (sodium_init() < 0 ||
	    crypto_generichash(out, PLAT_DIGEST_BYTES, data, bytes, key, PLAT_DIGEST_BYTES))
		return -EIO;
	return 0;
}

void *plat_secret_alloc(size_t bytes)
{
	return sodium_init() < 0 ? NULL : sodium_malloc(bytes);
}

void plat_secret_free(void *secret)
{
	sodium_free(secret);
}

int plat_secret_protect(void *secret, enum plat_secret_access access)
{
	int failed;

	if (access == PLAT_SECRET_NONE)
		failed = sodium_mprotect_noaccess(secret);
	else if (access == PLAT_SECRET_READ)
		failed = sodium_mprotect_readonly(secret);
	else
		failed = sodium_mprotect_readwrite(secret);
	return failed ? -EIO : 0;
}

/* ---- the log ---------------------------------------------------------------- */

void plat_log(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}
