/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A view that does not run, back to its moment.  op_lock held. */
#ifndef LIB_VIEW_RESTORE_H
#define LIB_VIEW_RESTORE_H

struct hypr_reset_result;
struct hypr_view;
struct hypr_vm;

int hypr_view_restore(struct hypr_vm *vm, struct hypr_view *view,
		      struct hypr_reset_result *result);

#endif /* LIB_VIEW_RESTORE_H */
