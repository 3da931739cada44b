/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exits to devices. */
#ifndef LIB_RUN_PORT_H
#define LIB_RUN_PORT_H

#include <stdbool.h>

struct hypr_vcpu;
struct hypr_vm;

void hypr_port_exit(struct hypr_vcpu *vcpu);
bool hypr_port_panic(struct hypr_vm *vm);

#endif /* LIB_RUN_PORT_H */
