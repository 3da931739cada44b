/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a caller asks for, as a struct hypr_vm_config. */
#ifndef LIB_VM_CONFIG_H
#define LIB_VM_CONFIG_H

struct hypr_vm;
struct hypr_vm_config;

int hypr_config_check(const struct hypr_vm_config *config);
int hypr_config_copy(struct hypr_vm *vm, const struct hypr_vm_config *config);

#endif /* LIB_VM_CONFIG_H */
