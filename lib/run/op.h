/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One operation on a VM at a time. */
#ifndef LIB_RUN_OP_H
#define LIB_RUN_OP_H

struct hypr_vm;

int hypr_vm_op_begin(struct hypr_vm *vm);
int hypr_vm_op_begin_memory(struct hypr_vm *vm);
void hypr_vm_op_end(struct hypr_vm *vm);

#endif /* LIB_RUN_OP_H */
