/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Resets that the kernel does because the guest asks for them. */
#ifndef LIB_RUN_BACK_H
#define LIB_RUN_BACK_H

#include <stdint.h>

struct hypr_vm;

void hypr_back_allow(struct hypr_vm *vm);
void hypr_back_forbid(struct hypr_vm *vm);
void hypr_back_devices(struct hypr_vm *vm);

#endif /* LIB_RUN_BACK_H */
