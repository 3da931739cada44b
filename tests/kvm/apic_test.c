// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pause needs interrupts: VMs without a local APIC in the kernel, with a split
 * irqchip, and with a vCPU that the control page has no room for.
 */
#include "harness.h"

#include <errno.h>
#include <string.h>

#define A	KVM_HYPR_VIEW_FIRST
#define PAUSE	KVM_EPT_SWAP_PAUSE
#define RESUME	KVM_EPT_SWAP_RESUME
#define FORCE	KVM_EPT_SWAP_FORCE

/* A vCPU of which the guest claims that it can be asked to park. */
static struct vm *vm_with(enum irqchip irqchip)
{
	struct vm *vm = vm_new_irqchip(irqchip);

	vm_views_add(vm, 1);
	vm_vcpu_add(vm);
	vm_control_page_register(vm);
	OK(try_prepare(vm, A));
	vm->control->vcpu[0].state = HYPR_VCPU_RUNNING;
	return vm;
}

static void test_without_irqchip(void)
{
	struct vm *vm = vm_with(IRQCHIP_NONE);

	CHECK_RET(try_swap_all(vm, A, PAUSE), -EINVAL);
	CHECK_RET(try_swap_all(vm, A, PAUSE | RESUME), -EINVAL);
	CHECK_RET(try_swap_all(vm, A, PAUSE | RESUME | FORCE), -EINVAL);
	/* Nothing was asked of the guest. */
	CHECK_EQ(vm->control->vcpu[0].state, HYPR_VCPU_RUNNING);
	CHECK_EQ(vm->control->generation, 0);
}

/* The host may run a guest that parks by itself. */
static void test_without_irqchip_no_pause(void)
{
	struct vm *vm = vm_with(IRQCHIP_NONE);

	vm_commit(vm, A, 0);
	vm->control->vcpu[0].state = HYPR_VCPU_PAUSED;
	vm_swap_all(vm, 0, RESUME);
	CHECK_EQ(vm->control->vcpu[0].state, HYPR_VCPU_RUNNING);
}

static void test_split_irqchip(void)
{
	struct vm *vm;
	unsigned int i;

	need_cpus(2);
	vm = vm_with(IRQCHIP_SPLIT);
	vcpus_start(vm, 2);
	for (i = 0; i < 2; i++)
		vcpu_do(&vm->vcpu[i], GUEST_ONLINE, 0, 0, 0);
	for (i = 0; i < 20; i++) {
		unsigned int view = i % 2 ? 0 : A;
		struct kvm_hypr_swap swap = {
			.view = view,
			.flags = PAUSE | RESUME,
			.timeout_ns = SWAP_WAIT_NS,
		};

		OK(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap));
		CHECK_EQ(swap.forced, 0);
		check_all_in_view(vm, view);
	}
	CHECK_EQ(vm->control->vcpu[1].pauses, 20);
}

/* One that may run cannot be asked; one that waits for its SIPI need not be. */
static void test_vcpu_without_entry(void)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_UNINITIALIZED };
	struct vm *vm = vm_new();
	int fd;

	vm_views_add(vm, 1);
	fd = try_ioctl(vm->fd, KVM_CREATE_VCPU,
		       (void *)(uintptr_t)HYPR_CONTROL_MAX_VCPUS);
	CHECK(fd >= 0);
	vm_control_page_register(vm);
	OK(try_prepare(vm, A));
	OK(try_ioctl(fd, KVM_SET_MP_STATE, &state));
	vm_swap_all(vm, A, PAUSE | RESUME);
	state.mp_state = KVM_MP_STATE_RUNNABLE;
	OK(try_ioctl(fd, KVM_SET_MP_STATE, &state));
	CHECK_RET(try_swap_all(vm, 0, PAUSE | RESUME), -EINVAL);
	vm_swap_all(vm, 0, RESUME);
}

static const struct test tests[] = {
	{ "EINVAL: a pause without an APIC in the kernel", test_without_irqchip },
	{ "without an APIC in the kernel all but the pause works",
	  test_without_irqchip_no_pause },
	{ "cooperative swaps with a split irqchip, 2 vCPUs",
	  test_split_irqchip },
	{ "EINVAL: a pause of a vCPU that has no entry in the control page",
	  test_vcpu_without_entry },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
