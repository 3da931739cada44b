/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A moment of the active view.  op_lock held. */
#ifndef LIB_SWAP_SNAPSHOT_H
#define LIB_SWAP_SNAPSHOT_H

#include <stdbool.h>

struct hypr_moment;
struct hypr_snapshot_result;
struct hypr_vm;

int hypr_moment_take(struct hypr_vm *vm, struct hypr_snapshot_result *result,
		     struct hypr_moment **momentp, bool *kept);

int hypr_snapshot_locked(struct hypr_vm *vm, const char *name,
			 struct hypr_snapshot_result *result);

#endif /* LIB_SWAP_SNAPSHOT_H */
