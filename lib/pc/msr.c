// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which MSRs belong to a state: those that KVM names and those that a guest can
 * change though KVM does not name them, without the TSC (state.c has it apart),
 * without those of features that the guest does not have, and without those that
 * this KVM cannot read and write back as they are.  docs/spec/swap-semantics.md says
 * of each why, and why not.
 *
 * What an MSR is when a vCPU is created is kept: a state from a file that does not
 * have it, because hypr or KVM did not know it then, gets that value.
 */
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "model/vcpu.h"
#include "model/vm.h"
#include "pc/msr.h"

struct range {
	uint32_t first;
	uint32_t last;
};

/* Named by KVM. */
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
	{ 0x00000600, 0x00000600 },
	{ 0x000006e0, 0x000006e0 },	/* TSC deadline */
	{ 0x40000000, 0x4fffffff },	/* Hyper-V */
	{ 0x4b564d00, 0x4b564dff },	/* KVM */
	{ 0xc0000300, 0xc0000303 },	/* performance counters */
	{ 0xc0010000, 0xc0010007 },
	{ 0xc0010200, 0xc001020b },
};

/* Not named by KVM; ascending.  Those of banks that the VM lacks cannot be read. */
static const struct range added[] = {
	{ 0x00000200, 0x0000020f },	/* MTRRs: variable */
	{ 0x00000250, 0x00000250 },	/* fixed */
	{ 0x00000258, 0x00000259 },
	{ 0x00000268, 0x0000026f },
	{ 0x000002ff, 0x000002ff },	/* default type */
	{ 0x00000400, 0x0000047f },	/* machine check banks: CTL, STATUS, ADDR, MISC */
	{ 0xc0010140, 0xc0010141 },	/* AMD: OSVW */
	{ 0xc0011029, 0xc0011029 },	/* AMD: DE_CFG */
};

#define ADDED_MAX	256

static bool is_in(uint32_t index, const struct range *range, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (index >= range[i].first && index <= range[i].last)
			return true;
	}
	return false;
}

#define IS_IN(index, ranges)	is_in(index, ranges, sizeof(ranges) / sizeof(ranges[0]))

/* Its value can be read and is taken back as it is. */
static void add_if_moved(struct hypr_vm *vm, uint32_t index)
{
	struct hypr_one_msr msr = { .head.nmsrs = 1, .entry.index = index };
	int fd = vm->vcpu[0].fd;

	if (ioctl(fd, KVM_GET_MSRS, &msr) != 1 || ioctl(fd, KVM_SET_MSRS, &msr) != 1)
		return;
	vm->msr_reset[vm->nr_msrs] = msr.entry.data;
	vm->msr_index[vm->nr_msrs++] = index;
}

/* How many of them a guest of this VM has. */
static bool bank_is_there(const struct hypr_vm *vm, uint32_t index)
{
	return index < 0x400 || index > 0x47f || (index - 0x400) / 4 < vm->mce_banks;
}

static void list_fill(struct hypr_vm *vm, const struct kvm_msr_list *list)
{
	unsigned int i;
	uint32_t index;

	for (i = 0; i < list->nmsrs; i++) {
		if (!IS_IN(list->indices[i], left_out) && !IS_IN(list->indices[i], added))
			add_if_moved(vm, list->indices[i]);
	}
	for (i = 0; i < sizeof(added) / sizeof(added[0]); i++) {
		for (index = added[i].first; index <= added[i].last; index++) {
			if (bank_is_there(vm, index))
				add_if_moved(vm, index);
		}
	}
}

/** hypr_msrs_bytes() - of a list with all MSRs of this VM */
size_t hypr_msrs_bytes(const struct hypr_vm *vm)
{
	return sizeof(struct kvm_msrs) + vm->nr_msrs * sizeof(struct kvm_msr_entry);
}

/* Room for all of them, for what each vCPU is set to. */
static int alloc_sets(struct hypr_vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		vm->vcpu[i].msrs_set = malloc(hypr_msrs_bytes(vm));
		if (!vm->vcpu[i].msrs_set)
			return hypr_fail(-ENOMEM, "no memory for the list of MSRs");
	}
	return 0;
}

/* Needs the vCPUs' CPUID set: what an MSR may hold depends on it. */
int hypr_msr_list_init(struct hypr_vm *vm)
{
	struct kvm_msr_list head = { .nmsrs = 0 };
	struct kvm_msr_list *list;
	int ret = 0;

	/* Answers -E2BIG, and how many there are. */
	if (ioctl(vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, &head) < 0 && errno != E2BIG)
		return hypr_fail_sys(-errno, "KVM_GET_MSR_INDEX_LIST");
	list = calloc(1, sizeof(*list) + head.nmsrs * sizeof(list->indices[0]));
	vm->msr_index = calloc(head.nmsrs + ADDED_MAX, sizeof(vm->msr_index[0]));
	vm->msr_reset = calloc(head.nmsrs + ADDED_MAX, sizeof(vm->msr_reset[0]));
	if (!list || !vm->msr_index || !vm->msr_reset) {
		ret = hypr_fail(-ENOMEM, "no memory for the list of MSRs");
		goto free_list;
	}
	list->nmsrs = head.nmsrs;
	if (ioctl(vm->kvm_fd, KVM_GET_MSR_INDEX_LIST, list) < 0) {
		ret = hypr_fail_sys(-errno, "KVM_GET_MSR_INDEX_LIST");
		goto free_list;
	}
	list_fill(vm, list);
	ret = alloc_sets(vm);
free_list:
	free(list);
	return ret;
}

/*
 * An MSR that promises, as a leaf of CPUID does, that this CPU has something or is not
 * affected by something.  Not so bits 2 and 19, RSBA and RRSBA: they warn.
 */
#define ARCH_CAPABILITIES	0x10a
#define ARCH_CAP_WARNINGS	(1ull << 2 | 1ull << 19)

/**
 * hypr_msr_check() - does this host keep what an MSR has promised to a guest?
 * @place: of the MSR in the list of the VM
 */
int hypr_msr_check(const struct hypr_vm *vm, const char *what, unsigned int place,
		   uint64_t value)
{
	uint64_t missing = value & ~vm->msr_reset[place] & ~ARCH_CAP_WARNINGS;

	if (vm->msr_index[place] != ARCH_CAPABILITIES || !missing)
		return 0;
	return hypr_fail(-EOPNOTSUPP,
			 "%s: its guest uses a CPU with IA32_ARCH_CAPABILITIES[%d], which this host lacks",
			 what, __builtin_ctzll(missing));
}

/** hypr_msr_place() - of an MSR in the list of the VM; -1: it is not there */
int hypr_msr_place(const struct hypr_vm *vm, uint32_t index)
{
	unsigned int i;

	for (i = 0; i < vm->nr_msrs; i++) {
		if (vm->msr_index[i] == index)
			return (int)i;
	}
	return -1;
}
