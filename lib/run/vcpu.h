/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vCPUs and their threads. */
#ifndef LIB_RUN_VCPU_H
#define LIB_RUN_VCPU_H

struct hypr_vcpu;
struct hypr_vm;

int hypr_vcpu_init(struct hypr_vm *vm, unsigned int index);
void hypr_vcpu_fini(struct hypr_vcpu *vcpu);
int hypr_vcpu_start(struct hypr_vcpu *vcpu);
void hypr_vcpu_exit(struct hypr_vcpu *vcpu);

#endif /* LIB_RUN_VCPU_H */
