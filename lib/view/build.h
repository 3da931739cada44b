/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory of views, and of their spares.  op_lock held, or by the mender's thread. */
#ifndef LIB_VIEW_BUILD_H
#define LIB_VIEW_BUILD_H

#include <stdbool.h>
#include <stdint.h>

struct hypr_moment;
struct hypr_view;
struct hypr_vm;

struct hypr_view *hypr_view_build(struct hypr_vm *vm, const char *name, unsigned int number,
				  struct hypr_moment *moment, bool is_spare, int *ret);
void hypr_view_free(struct hypr_vm *vm, struct hypr_view *view);
int hypr_view_prepare(struct hypr_vm *vm, struct hypr_view *view, uint64_t *pages);

#endif /* LIB_VIEW_BUILD_H */
