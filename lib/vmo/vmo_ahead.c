// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Looking at pages ahead of who writes them: which are zero, and the digests of
 * the others, by a thread beside the caller's.  The system's copy into the file and
 * the look at the memory then take place at once.  What the thread has not begun
 * when it is asked for, the caller does: nobody waits for a thread that does not
 * get a CPU.
 */
#include <stdlib.h>

#include "base/thread.h"
#include "vmo/vmo_ahead.h"

static uint64_t piece_pages(const struct hypr_vmo_ahead *ahead, uint64_t n)
{
	uint64_t left = ahead->pages - n * HYPR_VMO_PIECE_PAGES;

	return left < HYPR_VMO_PIECE_PAGES ? left : HYPR_VMO_PIECE_PAGES;
}

static void look(struct hypr_vmo_ahead *ahead, uint64_t n)
{
	uint64_t i, first = n * HYPR_VMO_PIECE_PAGES, end = first + piece_pages(ahead, n);
	const uint8_t *page;

	for (i = first; i < end; i++) {
		page = ahead->mem + i * HYPR_VMO_PAGE_BYTES;
		ahead->zero[i] = hypr_page_is_zero(page);
		if (!ahead->zero[i])
			ahead->digest[i] = hypr_page_digest(page);
	}
}

static void *run(void *arg)
{
	struct hypr_vmo_ahead *ahead = arg;
	uint64_t n;

	pthread_mutex_lock(&ahead->lock);
	while (!ahead->stop && ahead->begun < ahead->pieces) {
		n = ahead->begun++;
		ahead->busy = n;
		pthread_mutex_unlock(&ahead->lock);
		look(ahead, n);
		pthread_mutex_lock(&ahead->lock);
		ahead->busy = HYPR_VMO_AHEAD_IDLE;
		pthread_cond_signal(&ahead->idle);
	}
	pthread_mutex_unlock(&ahead->lock);
	return NULL;
}

static bool start(struct hypr_vmo_ahead *ahead)
{
	return !hypr_thread_start(&ahead->thread, run, ahead);
}

int hypr_vmo_ahead_init(struct hypr_vmo_ahead *ahead, const uint8_t *mem, uint64_t pages)
{
	memset(ahead, 0, sizeof(*ahead));
	ahead->mem = mem;
	ahead->pages = pages;
	ahead->pieces = (pages + HYPR_VMO_PIECE_PAGES - 1) / HYPR_VMO_PIECE_PAGES;
	ahead->busy = HYPR_VMO_AHEAD_IDLE;
	ahead->zero = malloc(pages * sizeof(*ahead->zero));
	ahead->digest = malloc(pages * sizeof(*ahead->digest));
	if (!ahead->zero || !ahead->digest) {
		free(ahead->zero);
		free(ahead->digest);
		return -ENOMEM;
	}
	pthread_mutex_init(&ahead->lock, NULL);
	pthread_cond_init(&ahead->idle, NULL);
	if (pages >= HYPR_VMO_AHEAD_LEAST_PAGES)
		ahead->has_thread = start(ahead);
	return 0;
}

void hypr_vmo_ahead_need(struct hypr_vmo_ahead *ahead, uint64_t n)
{
	bool mine;

	pthread_mutex_lock(&ahead->lock);
	mine = ahead->begun <= n;
	if (mine)
		ahead->begun = n + 1;
	while (!mine && ahead->busy == n)
		pthread_cond_wait(&ahead->idle, &ahead->lock);
	pthread_mutex_unlock(&ahead->lock);
	if (mine)
		look(ahead, n);
}

void hypr_vmo_ahead_fini(struct hypr_vmo_ahead *ahead)
{
	if (ahead->has_thread) {
		pthread_mutex_lock(&ahead->lock);
		ahead->stop = true;
		pthread_mutex_unlock(&ahead->lock);
		pthread_join(ahead->thread, NULL);
	}
	pthread_cond_destroy(&ahead->idle);
	pthread_mutex_destroy(&ahead->lock);
	free(ahead->zero);
	free(ahead->digest);
}
