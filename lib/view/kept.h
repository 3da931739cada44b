/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* States of vCPUs that the engine keeps for views.  op_lock held. */
#ifndef LIB_VIEW_KEPT_H
#define LIB_VIEW_KEPT_H

#include <stdbool.h>

#include "engine/engine.h"

struct hypr_view;
struct hypr_vm;

void hypr_kept_left(struct hypr_vm *vm, struct hypr_view *view);
bool hypr_kept_taken(struct hypr_vm *vm);
void hypr_kept_begin(struct hypr_vm *vm, const struct hypr_view *from, enum hypr_kept kept,
		     struct hypr_view *view);
void hypr_kept_entered(struct hypr_vm *vm, struct hypr_view *view);
void hypr_kept_moved(struct hypr_view *from);
void hypr_kept_at_moment(struct hypr_view *view);
int hypr_kept_fetch(struct hypr_vm *vm, struct hypr_view *view);

#endif /* LIB_VIEW_KEPT_H */
