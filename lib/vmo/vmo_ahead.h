/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages that are looked at before they are written; see vmo_ahead.c. */
#ifndef LIB_VMO_VMO_AHEAD_H
#define LIB_VMO_VMO_AHEAD_H

#include <pthread.h>

#include "vmo/vmo.h"

#define HYPR_VMO_PIECE_PAGES		64	/* stay in the CPU's cache */
#define HYPR_VMO_AHEAD_LEAST_PAGES	1024	/* for which a thread is worth it */
#define HYPR_VMO_AHEAD_IDLE		UINT64_MAX

/**
 * struct hypr_vmo_ahead - pages that follow one another, in pieces
 * @zero, @digest: of each page, once its piece was asked for; a zero page has no digest
 * @begun: pieces below it are done, or being looked at	(lock)
 * @busy: the one that the thread is at, or IDLE	(lock)
 * @idle: it is at another one				(lock)
 */
struct hypr_vmo_ahead {
	const uint8_t *mem;
	uint64_t pages;
	uint64_t pieces;
	bool *zero;
	uint64_t *digest;
	bool has_thread;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	uint64_t begun;
	uint64_t busy;
	bool stop;
};

/**
 * hypr_vmo_ahead_init() - begin to look at @pages pages, at least 1, of @mem
 * Return: 0 or -ENOMEM.  A system that has no thread to give is no error.
 */
int hypr_vmo_ahead_init(struct hypr_vmo_ahead *ahead, const uint8_t *mem, uint64_t pages);
void hypr_vmo_ahead_fini(struct hypr_vmo_ahead *ahead);

/** hypr_vmo_ahead_need() - piece @n was looked at, when this returns; asked for in order */
void hypr_vmo_ahead_need(struct hypr_vmo_ahead *ahead, uint64_t n);

#endif /* LIB_VMO_VMO_AHEAD_H */
