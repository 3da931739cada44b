/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of vCPUs and devices, saved and set with all vCPUs held. */
#ifndef LIB_RUN_STATE_H
#define LIB_RUN_STATE_H

#include <stdint.h>

struct hypr_state;
struct hypr_vcpu;
struct hypr_vm;

struct hypr_state *hypr_state_alloc(struct hypr_vm *vm);
void hypr_state_free(struct hypr_vm *vm, struct hypr_state *state);
void hypr_state_copy(struct hypr_vm *vm, struct hypr_state *to, const struct hypr_state *from);
int hypr_state_tsc_offset(struct hypr_vcpu *vcpu, uint64_t *offset);
int hypr_state_tsc_init(struct hypr_vm *vm);
int hypr_state_tsc_now(struct hypr_vm *vm, uint64_t *tsc);
int hypr_state_save(struct hypr_vm *vm, struct hypr_state *state);
int hypr_state_note(struct hypr_vm *vm, struct hypr_state *state);
int hypr_state_complete(struct hypr_vm *vm, struct hypr_state *state);
int hypr_state_set(struct hypr_vm *vm, const struct hypr_state *state,
		    const struct hypr_state *known);
int hypr_state_set_time(struct hypr_vm *vm, const struct hypr_state *state);

#endif /* LIB_RUN_STATE_H */
