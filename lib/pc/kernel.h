/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Kernel and initrd from files into the boot view. */
#ifndef LIB_PC_KERNEL_H
#define LIB_PC_KERNEL_H

struct hypr_vm;
struct hypr_vm_config;

int hypr_kernel_place(struct hypr_vm *vm, const struct hypr_vm_config *config);

#endif /* LIB_PC_KERNEL_H */
