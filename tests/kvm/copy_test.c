// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_HYPR_COPY_STATE: what is kept for one view is kept for another, while the vCPUs run.
 */
#include "harness.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)

#define STATE		(KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_STATE)
#define BOARD		(STATE | KVM_EPT_SWAP_BOARD)
#define MOMENT		KVM_HYPR_KEPT_MOMENT
#define MSR_LSTAR	0xc0000082u
#define PIN		5	/* of the I/O APIC; no device is there */
#define PIN_MASKED	(1ull << 16)

struct msr_list {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[1];
};

static const struct msr_list the_list = {
	.head.nmsrs = 1,
	.entry = { { .index = MSR_LSTAR } },
};

static void keep(struct vcpu *vcpu, uint32_t view, uint32_t flags)
{
	struct kvm_hypr_keep arg = {
		.view = view, .flags = flags, .msrs = (uintptr_t)&the_list,
	};

	OK(try_ioctl(vcpu->fd, KVM_HYPR_KEEP_STATE, &arg));
}

static int try_copy(struct vm *vm, uint32_t from, uint32_t from_flags, uint32_t to,
		    uint32_t to_flags)
{
	struct kvm_hypr_copy arg = {
		.view = to, .flags = to_flags, .from_view = from, .from_flags = from_flags,
	};

	return try_ioctl(vm->fd, KVM_HYPR_COPY_STATE, &arg);
}

/* A register that the guest's loop does not use, and an MSR. */
static void mark_set(struct vcpu *vcpu, uint64_t value)
{
	struct msr_list list = the_list;
	struct kvm_regs regs;

	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	regs.r15 = value;
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	list.entry[0].data = value;
	CHECK_EQ(ioctl(vcpu->fd, KVM_SET_MSRS, &list), 1);
}

static void check_mark(struct vcpu *vcpu, uint64_t value)
{
	struct msr_list list = the_list;
	struct kvm_regs regs;

	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	CHECK_EQ(ioctl(vcpu->fd, KVM_GET_MSRS, &list), 1);
	vcpu_start(vcpu);
	CHECK_EQ(regs.r15, value);
	CHECK_EQ(list.entry[0].data, value);
}

#define KEPT	0x1000ull
#define LEFT	0x2000ull

/* One vCPU in the boot view, with LEFT; for the boot view a state is kept, with KEPT. */
static struct vm *vm_with_state(void)
{
	struct vm *vm = vm_new_stopped(1);
	struct vcpu *vcpu = &vm->vcpu[0];

	mark_set(vcpu, KEPT);
	keep(vcpu, 0, 0);
	mark_set(vcpu, LEFT);
	vcpu_start(vcpu);
	return vm;
}

/* A view that no state was kept for is entered and left; nothing of the vCPU was asked. */
static void test_a_new_view(void)
{
	struct vm *vm = vm_with_state();
	struct vcpu *vcpu = &vm->vcpu[0];
	unsigned int i;

	CHECK_RET(try_swap_all(vm, A, STATE), -ENXIO);
	OK(try_copy(vm, 0, 0, A, MOMENT));
	CHECK_RET(try_swap_all(vm, A, STATE), -ENXIO);
	OK(try_copy(vm, A, MOMENT, A, 0));
	for (i = 0; i < 2; i++) {
		OK(try_swap_all(vm, A, STATE | (i ? 0 : KVM_EPT_SWAP_MOMENT)));
		CHECK_EQ(vcpu_view(vcpu), A);
		check_mark(vcpu, KEPT);
		OK(try_swap_all(vm, 0, STATE));
		CHECK_EQ(vcpu_view(vcpu), 0);
		check_mark(vcpu, LEFT);
	}
	/* The copy is its own: what the vCPU left in the boot view is not in it. */
	OK(try_swap_all(vm, A, STATE | KVM_EPT_SWAP_MOMENT));
	check_mark(vcpu, KEPT);
}

/*
 * KVM reads most MSRs only if it has set one, and else believes the state that the vCPU came
 * from.  That one is replaced, while the vCPU is in the view.
 */
static void test_what_the_vcpu_came_from(void)
{
	struct vm *vm = vm_with_state();
	struct vcpu *vcpu = &vm->vcpu[0];

	OK(try_copy(vm, 0, 0, A, 0));
	OK(try_swap_all(vm, A, STATE));
	CHECK_EQ(vcpu_view(vcpu), A);
	/* Now LEFT is kept for the boot view, and the vCPU has KEPT. */
	OK(try_copy(vm, 0, 0, A, 0));
	OK(try_copy(vm, 0, 0, A, MOMENT));
	OK(try_swap_all(vm, 0, STATE));
	CHECK_EQ(vcpu_view(vcpu), 0);
	OK(try_swap_all(vm, A, STATE));
	CHECK_EQ(vcpu_view(vcpu), A);
	check_mark(vcpu, KEPT);
	OK(try_swap_all(vm, A, STATE | KVM_EPT_SWAP_MOMENT));
	check_mark(vcpu, LEFT);
}

static uint64_t pin_get(struct vm *vm)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	OK(try_ioctl(vm->fd, KVM_GET_IRQCHIP, &chip));
	return chip.chip.ioapic.redirtbl[PIN].fields.vector;
}

static void pin_set(struct vm *vm, uint8_t vector)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	OK(try_ioctl(vm->fd, KVM_GET_IRQCHIP, &chip));
	chip.chip.ioapic.redirtbl[PIN].bits = vector | PIN_MASKED;
	OK(try_ioctl(vm->fd, KVM_SET_IRQCHIP, &chip));
}

static void test_the_board(void)
{
	struct kvm_hypr_keep_board board = { .view = 0 };
	struct kvm_pit_config config = { 0 };
	struct vm *vm = vm_with_state();

	OK(try_ioctl(vm->fd, KVM_CREATE_PIT2, &config));
	/* Without one there is none afterwards. */
	OK(try_copy(vm, 0, 0, A, 0));
	CHECK_RET(try_swap_all(vm, A, BOARD), -ENXIO);
	pin_set(vm, 0x41);
	OK(try_ioctl(vm->fd, KVM_HYPR_KEEP_BOARD, &board));
	pin_set(vm, 0x42);
	OK(try_copy(vm, 0, 0, A, 0));
	OK(try_swap_all(vm, A, BOARD));
	CHECK_EQ(pin_get(vm), 0x41);
	OK(try_swap_all(vm, 0, BOARD));
	CHECK_EQ(pin_get(vm), 0x42);
}

static void test_errors(void)
{
	struct vm *vm = vm_with_state();
	struct kvm_hypr_copy arg = { .view = A, .flags = 2 };

	CHECK_RET(try_copy(vm, 0, 0, 0, 0), -EINVAL);
	CHECK_RET(try_copy(vm, A, MOMENT, A, MOMENT), -EINVAL);
	CHECK_RET(try_copy(vm, 0, MOMENT, A, 0), -ENXIO);
	CHECK_RET(try_copy(vm, A, 0, B, 0), -ENXIO);
	CHECK_RET(try_copy(vm, 0, 0, KVM_HYPR_VIEW_SMM, 0), -ENOENT);
	CHECK_RET(try_copy(vm, KVM_HYPR_VIEW_SMM, 0, A, 0), -ENOENT);
	CHECK_RET(try_copy(vm, 0, 0, B + 1, 0), -ENOENT);
	CHECK_RET(try_copy(vm, B + 1, 0, A, 0), -ENOENT);
	CHECK_RET(try_copy(vm, 0, 0, ~0u, 0), -ENOENT);
	CHECK_RET(try_copy(vm, ~0u, 0, A, 0), -ENOENT);
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_COPY_STATE, &arg), -EINVAL);
	arg = (struct kvm_hypr_copy){ .view = A, .from_flags = 2 };
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_COPY_STATE, &arg), -EINVAL);
	arg = (struct kvm_hypr_copy){ .view = A, .reserved[1] = 1 };
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_COPY_STATE, &arg), -EINVAL);
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_COPY_STATE, NULL), -EFAULT);
	/* Nothing of that has made a state. */
	CHECK_RET(try_swap_all(vm, A, STATE), -ENXIO);
}

/* A state of one vCPU alone is none of the VM's. */
static void test_a_vcpu_without_state(void)
{
	struct vm *vm;

	need_cpus(2);
	vm = vm_new_prepared(2);
	keep(&vm->vcpu[0], 0, 0);
	vcpus_start(vm, 2);
	CHECK_RET(try_copy(vm, 0, 0, A, 0), -ENXIO);
	CHECK_RET(try_swap_all(vm, A, STATE), -ENXIO);
}

static const struct test tests[] = {
	{ "a view is entered and left for the first time", test_a_new_view },
	{ "the state that the vCPU came from is replaced", test_what_the_vcpu_came_from },
	{ "the board is copied, too", test_the_board },
	{ "KVM_HYPR_COPY_STATE's errors", test_errors },
	{ "ENXIO: a vCPU without a state", test_a_vcpu_without_state },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
