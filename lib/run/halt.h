/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest that has halted for good. */
#ifndef LIB_RUN_HALT_H
#define LIB_RUN_HALT_H

struct hypr_vm;

int hypr_halt_watch(struct hypr_vm *vm);
void hypr_halt_end(struct hypr_vm *vm);

#endif /* LIB_RUN_HALT_H */
