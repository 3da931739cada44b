/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which MSRs belong to a state. */
#ifndef LIB_PC_MSR_H
#define LIB_PC_MSR_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

struct hypr_vm;

/*
 * Machine check banks: each is four MSRs to save and set at every swap.  KVM gives a
 * vCPU 32 unless it is told otherwise, and so did hypr once.
 */
#define HYPR_MCE_BANKS		1
#define HYPR_MCE_BANKS_KVM	32
#define HYPR_MSR_MCG_CAP	0x179	/* in files; KVM sets it by an ioctl of its own */

/* An argument of KVM_GET_MSRS and KVM_SET_MSRS with one entry. */
struct hypr_one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

size_t hypr_msrs_bytes(const struct hypr_vm *vm);
int hypr_msr_list_init(struct hypr_vm *vm);
int hypr_msr_place(const struct hypr_vm *vm, uint32_t index);
int hypr_msr_check(const struct hypr_vm *vm, const char *what, unsigned int place,
		   uint64_t value);

#endif /* LIB_PC_MSR_H */
