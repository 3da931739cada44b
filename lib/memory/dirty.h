/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which pages of a view were written. */
#ifndef LIB_MEMORY_DIRTY_H
#define LIB_MEMORY_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/pages.h"

struct hypr_view;
struct hypr_vm;

/**
 * struct hypr_dirty - a view whose writes are logged
 * @has_clear: reading and clearing are two calls
 * @bitmap: whole words for each slot, one slot after another
 */
struct hypr_dirty {
	struct hypr_vm *vm;
	const struct hypr_view *view;
	bool has_clear;
	uint64_t *bitmap;
};

int hypr_dirty_start(struct hypr_dirty *dirty, struct hypr_vm *vm, const struct hypr_view *view);
int hypr_dirty_get(struct hypr_dirty *dirty, bool clear, uint64_t *pages);
int hypr_dirty_each(const struct hypr_dirty *dirty, hypr_pages_fn fn, void *arg);
int hypr_dirty_stop(struct hypr_dirty *dirty);

#endif /* LIB_MEMORY_DIRTY_H */
