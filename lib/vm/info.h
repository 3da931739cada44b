/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looking at a VM. */
#ifndef LIB_VM_INFO_H
#define LIB_VM_INFO_H

struct hypr_vm;
struct hypr_vm_info;

const char *hypr_vm_engine_name(const struct hypr_vm *vm);
void hypr_vm_info_within(struct hypr_vm *vm, unsigned int ms, struct hypr_vm_info *info);

#endif /* LIB_VM_INFO_H */
