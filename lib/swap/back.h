/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A view back to its moment.  op_lock held. */
#ifndef LIB_SWAP_BACK_H
#define LIB_SWAP_BACK_H

struct hypr_reset_result;
struct hypr_swap_result;
struct hypr_view;
struct hypr_vm;

int hypr_reset_active(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
		      struct hypr_swap_result *result, struct hypr_reset_result *reset);
int hypr_reset_inactive(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
			struct hypr_reset_result *reset);

#endif /* LIB_SWAP_BACK_H */
