/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Building a new view's tables ahead of time.  op_lock held. */
#ifndef LIB_VIEW_PREFAULT_H
#define LIB_VIEW_PREFAULT_H

#include <stdint.h>

struct hypr_moment;
struct hypr_snapshot_result;
struct hypr_view;
struct hypr_vm;

int hypr_load_flags_check(unsigned int flags);
int hypr_view_prefault(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
		       uint64_t *pages);
int hypr_view_add(struct hypr_vm *vm, const char *name, struct hypr_moment *moment,
		  unsigned int flags, struct hypr_snapshot_result *result);

#endif /* LIB_VIEW_PREFAULT_H */
