/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a VM has besides memory and vCPUs: chips, devices, the control page. */
#ifndef LIB_RUN_BOARD_H
#define LIB_RUN_BOARD_H

#include <stdbool.h>

struct hypr_state;
struct hypr_vm;

void hypr_board_note(struct hypr_vm *vm, struct hypr_state *state);
int hypr_board_save(struct hypr_vm *vm, struct hypr_state *state);
int hypr_board_set(struct hypr_vm *vm, const struct hypr_state *state);
int hypr_board_leave(struct hypr_vm *vm);
void hypr_board_exchange(struct hypr_vm *vm, struct hypr_state *from,
			 const struct hypr_state *to);
void hypr_board_reset(struct hypr_vm *vm, const struct hypr_state *to);
int hypr_board_draw(struct hypr_vm *vm);
void hypr_state_set_control(struct hypr_vm *vm, const struct hypr_state *state);

bool hypr_board_needs_chips(const struct hypr_state *state);

#endif /* LIB_RUN_BOARD_H */
