/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Swapping views.  op_lock held. */
#ifndef LIB_SWAP_SWAP_H
#define LIB_SWAP_SWAP_H

struct hypr_reset_result;
struct hypr_swap_result;
struct hypr_view;
struct hypr_vm;

int hypr_swap_locked(struct hypr_vm *vm, struct hypr_view *to, unsigned int flags,
		     struct hypr_swap_result *result, struct hypr_reset_result *reset);

#endif /* LIB_SWAP_SWAP_H */
