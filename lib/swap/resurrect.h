/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A VM that begins in a file. */
#ifndef LIB_SWAP_RESURRECT_H
#define LIB_SWAP_RESURRECT_H

struct hypr_vm;
struct hypr_vm_config;

int hypr_vm_resurrect_open(struct hypr_vm *vm, const struct hypr_vm_config *config);
int hypr_vm_resurrect_prefault(struct hypr_vm *vm, unsigned int flags);
int hypr_vm_resurrect_go(struct hypr_vm *vm);

#endif /* LIB_SWAP_RESURRECT_H */
