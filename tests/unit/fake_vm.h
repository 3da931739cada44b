/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VM without KVM: memory, control page and locks are real, there are no vCPU
 * threads.  For tests of what does not need a guest.
 */
#ifndef TESTS_UNIT_FAKE_VM_H
#define TESTS_UNIT_FAKE_VM_H

#include "lib/model/vm.h"

#define FAKE_MEM_BYTES	HYPR_MEM_MIN_BYTES

struct hypr_vm *fake_vm_create(unsigned int vcpus);
void fake_vm_destroy(struct hypr_vm *vm);

#endif /* TESTS_UNIT_FAKE_VM_H */
