// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which MSRs belong to a state: those that KVM names, without the TSC (state.c
 * has it apart), without those of features that the guest does not have, and
 * without those that this KVM cannot read and write back as they are.
 */
#include <stdlib.h>
#include <sys/ioctl.h>

#include "internal.h"

struct range {
	uint32_t first;
	uint32_t last;
};

static const struct range left_out[] = {
	{ 0x00000010, 0x00000012 },	/* TSC; KVM clock */
	{ 0x000000c1, 0x000000c8 },	/* performance counters */
	{ 0x00000186, 0x0000018d },
	{ 0x00000309, 0x0000030c },
	{ 0x00000329, 0x00000329 },
	{ 0x00000345, 0x00000345 },
	{ 0x0000038d, 0x00000391 },
	{ 0x000003f1, 0x000003f2 },
	{ 0x00000480, 0x00000493 },	/* VMX */
	{ 0x000004c1, 0x000004c8 },	/* performance counters */
	{ 0x000006e0, 0x000006e0 },	/* TSC deadline */
	{ 0x40000000, 0x4fffffff },	/* Hyper-V */
	{ 0x4b564d00, 0x4b564dff },	/* KVM */
	{ 0xc0000300, 0xc0000303 },	/* performance counters */
	{ 0xc0010000, 0xc0010007 },
	{ 0xc0010200, 0xc001020b },
};

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

static bool is_left_out(uint32_t index)
{
	size_t i;

	for (i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++) {
		if (index >= left_out[i].first && index <= left_out[i].last)
			return true;
	}
	return false;
}

static bool can_be_moved(const struct hypr_vcpu *vcpu, uint32_t index)
{
	struct one_msr msr = { .head.nmsrs = 1, .entry.index = index };

	return ioctl(vcpu->fd, KVM_GET_MSRS, &msr) == 1 &&
	       ioctl(vcpu->fd, KVM_SET_MSRS, &msr) == 1;
}

/* Needs the vCPUs' CPUID set: what an MSR may hold depends on it. */
int hypr_msr_list_init(struct hypr_vm *vm)
{
	struct kvm_msr_list head = { .nmsrs = 0 };
	struct kvm_msr_list *list;
	unsigned int i;
	int ret = 0;

	/* Answers -E2BIG, and how many there are. */
	if (ioctl(vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, &head) < 0 && errno != E2BIG)
		return hypr_fail_sys(-errno, "KVM_GET_MSR_INDEX_LIST");
	list = calloc(1, sizeof(*list) + head.nmsrs * sizeof(list->indices[0]));
	vm->msr_index = calloc(head.nmsrs ? head.nmsrs : 1, sizeof(vm->msr_index[0]));
	if (!list || !vm->msr_index) {
		ret = hypr_fail(-ENOMEM, "no memory for the list of MSRs");
		goto free_list;
	}
	list->nmsrs = head.nmsrs;
	if (ioctl(vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, list) < 0) {
		ret = hypr_fail_sys(-errno, "KVM_GET_MSR_INDEX_LIST");
		goto free_list;
	}
	for (i = 0; i < list->nmsrs; i++) {
		if (!is_left_out(list->indices[i]) &&
		    can_be_moved(&vm->vcpu[0], list->indices[i]))
			vm->msr_index[vm->nr_msrs++] = list->indices[i];
	}
free_list:
	free(list);
	return ret;
}
