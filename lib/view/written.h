/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which pages of a view may differ from its moment, where the kernel tells.  Of a view
 * that nobody asked about yet these are all.
 */
#ifndef LIB_VIEW_WRITTEN_H
#define LIB_VIEW_WRITTEN_H

#include <stdbool.h>
#include <stdint.h>

#include "memory/pages.h"

struct hypr_view;
struct hypr_vm;

/** hypr_written_start() - the view equals its moment, and nothing has run in the view */
void hypr_written_start(struct hypr_vm *vm, struct hypr_view *view);

/**
 * hypr_written_take() - find the pages that were written since hypr_written_clear()
 * @view: no vCPU runs in the view
 *
 * Return: true if view->written has them; false if the kernel does not tell, or
 * tells that any page may have been written.
 */
bool hypr_written_take(struct hypr_vm *vm, struct hypr_view *view);

/**
 * hypr_written_each() - the pages that hypr_written_take() has found
 * @fn: called for each stretch of them, in order
 * @pages: out: how many there are
 *
 * Return: 0, or what @fn returned other than 0.
 */
int hypr_written_each(const struct hypr_vm *vm, const struct hypr_view *view,
		      hypr_pages_fn fn, void *fn_arg, uint64_t *pages);

/**
 * hypr_written_note() - the host wrote @pages pages from @gpa on
 *
 * A view of which nobody noted anything yet counts as written all over.
 */
void hypr_written_note(struct hypr_view *view, uint64_t gpa, uint64_t pages);

/** hypr_written_clear() - the view equals its moment */
void hypr_written_clear(const struct hypr_vm *vm, struct hypr_view *view);

#endif /* LIB_VIEW_WRITTEN_H */
