/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which exits wait until a swap has set the devices. */
#ifndef LIB_RUN_GATE_H
#define LIB_RUN_GATE_H

struct hypr_vcpu;
struct hypr_view;
struct hypr_vm;

void hypr_gate_close(struct hypr_vm *vm, const struct hypr_view *to);
void hypr_gate_open(struct hypr_vm *vm);
void hypr_gate_pass(struct hypr_vcpu *vcpu);

#endif /* LIB_RUN_GATE_H */
