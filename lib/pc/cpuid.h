/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The CPU that a guest sees. */
#ifndef LIB_PC_CPUID_H
#define LIB_PC_CPUID_H

#include <linux/kvm.h>
#include <stddef.h>

struct hypr_vm;

int hypr_cpuid_set(struct hypr_vm *vm, const struct kvm_cpuid_entry2 *saved, size_t nr_saved,
		   const char *what);
int hypr_cpuid_give(const struct hypr_vm *vm, int vcpu_fd, unsigned int index);

#endif /* LIB_PC_CPUID_H */
