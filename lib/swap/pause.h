/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bringing the vCPUs to a stop, and letting them go on.  op_lock held. */
#ifndef LIB_SWAP_PAUSE_H
#define LIB_SWAP_PAUSE_H

#include <stdbool.h>

struct hypr_pause_result;
struct hypr_state;
struct hypr_view;
struct hypr_vm;

bool hypr_vm_may_park(struct hypr_vm *vm, unsigned int flags);
int hypr_vm_not_parked(struct hypr_vm *vm, unsigned int flags);
int hypr_vm_park(struct hypr_vm *vm, unsigned int flags, struct hypr_pause_result *result);
void hypr_vm_unpark(struct hypr_vm *vm);
int hypr_vm_halt(struct hypr_vm *vm, unsigned int flags, struct hypr_pause_result *result);
int hypr_vm_rest(struct hypr_vm *vm);
int hypr_vm_rest_noted(struct hypr_vm *vm);
int hypr_vm_go(struct hypr_vm *vm);
int hypr_view_halt(struct hypr_vm *vm, const struct hypr_view *view, bool *halted);
int hypr_view_go(struct hypr_vm *vm, bool halted, int ret);
void hypr_vm_release(struct hypr_vm *vm, const struct hypr_state *state);

#endif /* LIB_SWAP_PAUSE_H */
