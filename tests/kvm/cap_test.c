// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CAP_HYPR_EPT_SWAP: what it answers, when it can be enabled, and what a
 * VM has without it.
 */
#include "harness.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

#define NR_VIEWS	(KVM_HYPR_MAX_VIEWS - KVM_HYPR_VIEW_FIRST)

static int check_extension(int fd, uintptr_t cap)
{
	return try_ioctl(fd, KVM_CHECK_EXTENSION, (void *)cap);
}

/* A plain VM on a host that has views. */
static struct vm *vm_on_hypr_host(void)
{
	struct vm *vm = vm_new_plain();
	struct utsname uts;

	uname(&uts);
	if (check_extension(vm->fd, KVM_CAP_HYPR_EPT_SWAP) <= 0)
		skip("this host (%s) has no KVM_CAP_HYPR_EPT_SWAP", uts.release);
	return vm;
}

/* A kernel that calls itself HYPR has no excuse. */
static void test_answer(void)
{
	struct vm *vm = vm_new_plain();
	int on_vm = check_extension(vm->fd, KVM_CAP_HYPR_EPT_SWAP);
	struct utsname uts;

	uname(&uts);
	note("kernel %s answers %d", uts.release, on_vm);
	if (on_vm <= 0 && !strstr(uts.release, "hypr"))
		skip("this host (%s) has no KVM_CAP_HYPR_EPT_SWAP", uts.release);
	CHECK_EQ(on_vm, NR_VIEWS);
	CHECK_EQ(check_extension(vm->kvm, KVM_CAP_HYPR_EPT_SWAP), NR_VIEWS);
}

static void test_address_spaces_answer(void)
{
	struct vm *vm = vm_on_hypr_host();

	CHECK_EQ(check_extension(vm->fd, KVM_CAP_MULTI_ADDRESS_SPACE), 2);
	OK(try_enable_views(vm));
	CHECK_EQ(check_extension(vm->fd, KVM_CAP_MULTI_ADDRESS_SPACE), 2);
}

static void test_enable(void)
{
	struct vm *vm = vm_on_hypr_host();

	OK(try_enable_views(vm));
	CHECK_EQ(check_extension(vm->fd, KVM_CAP_HYPR_EPT_SWAP), NR_VIEWS);
}

static void test_enable_twice(void)
{
	struct vm *vm = vm_on_hypr_host();

	OK(try_enable_views(vm));
	CHECK_RET(try_enable_views(vm), -EINVAL);
}

static void test_enable_with_argument(void)
{
	struct vm *vm = vm_on_hypr_host();
	unsigned int i;

	for (i = 0; i < 4; i++) {
		struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPR_EPT_SWAP };

		cap.args[i] = 1;
		if (try_ioctl(vm->fd, KVM_ENABLE_CAP, &cap) != -EINVAL)
			FAIL("args[%u] = 1 is not refused with EINVAL", i);
	}
	OK(try_enable_views(vm));
}

static void test_enable_with_flags(void)
{
	struct vm *vm = vm_on_hypr_host();
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_HYPR_EPT_SWAP,
		.flags = 1,
	};

	CHECK_RET(try_ioctl(vm->fd, KVM_ENABLE_CAP, &cap), -EINVAL);
	OK(try_enable_views(vm));
}

static void test_enable_after_slot(void)
{
	struct vm *vm = vm_on_hypr_host();

	OK(try_set_slot(vm, 0, 0, 0, 0, 4096, memory_new(4096)));
	CHECK_RET(try_enable_views(vm), -EINVAL);
}

/* Its generation would be shared by a view, and caches would mix the two up. */
static void test_enable_after_slot_that_went(void)
{
	unsigned int space;

	for (space = 0; space < KVM_HYPR_VIEW_FIRST; space++) {
		struct vm *vm = vm_on_hypr_host();

		OK(try_set_slot(vm, space, 0, 0, 0, 4096, memory_new(4096)));
		OK(try_set_slot(vm, space, 0, 0, 0, 0, NULL));
		CHECK_RET(try_enable_views(vm), -EINVAL);
		vm_close(vm);
	}
}

static void test_enable_after_vcpu(void)
{
	struct vm *vm = vm_on_hypr_host();

	vm_vcpu_add(vm);
	CHECK_RET(try_enable_views(vm), -EINVAL);
}

static void test_ioctls_without_views(void)
{
	struct vm *vm = vm_on_hypr_host();
	struct kvm_hypr_control control = { .gpa = HYPR_CONTROL_GPA };
	struct kvm_hypr_eptp eptp = { 0 };
	struct vcpu *vcpu;

	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	vcpu = vm_vcpu_add(vm);
	control.userspace_addr = (uintptr_t)vm->control;
	CHECK_RET(try_prepare(vm, 0), -EINVAL);
	CHECK_RET(try_commit(vm, 0, 0), -EINVAL);
	CHECK_RET(try_swap_all(vm, 0, 0), -EINVAL);
	CHECK_RET(try_discard(vm, 2), -EINVAL);
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_CONTROL_PAGE, &control), -EINVAL);
	CHECK_RET(try_ioctl(vcpu->fd, KVM_GET_EPTP, &eptp), -EINVAL);
	CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_EPTP, &eptp), -EINVAL);
}

static void test_slot_without_views(void)
{
	struct vm *vm = vm_on_hypr_host();

	CHECK_RET(try_set_slot(vm, 2, 0, 0, 0, 4096, memory_new(4096)), -EINVAL);
}

static void test_slots_of_all_views(void)
{
	struct vm *vm = vm_new();
	unsigned int view;

	for (view = 0; view < KVM_HYPR_MAX_VIEWS; view++)
		OK(try_set_slot(vm, view, 0, 0, 0, 4096, memory_new(4096)));
	CHECK_RET(try_set_slot(vm, KVM_HYPR_MAX_VIEWS, 0, 0, 0, 4096,
			       memory_new(4096)), -EINVAL);
}

static void test_guest_without_views(void)
{
	struct vm *vm = vm_on_hypr_host();

	need_cpus(1);
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	vcpus_start(vm, 1);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	vcpu_do(&vm->vcpu[0], GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, 1);
	vcpu_verify(&vm->vcpu[0], GUEST_FREE_GPA, GUEST_ID2_GPA, 1);
}

static void test_unknown_numbers(void)
{
	struct vm *vm = vm_new();
	uint64_t arg[16] = { 0 };

	CHECK_RET(try_ioctl(vm->fd, _IOWR(KVM_HYPR_IO, 0xff, uint64_t[8]), arg),
		  -ENOTTY);
	/* The size is part of the number: a longer struct is another ioctl. */
	CHECK_RET(try_ioctl(vm->fd, _IOWR(KVM_HYPR_IO, 0xf2, uint64_t[9]), arg),
		  -ENOTTY);
}

static const struct test tests[] = {
	{ "the capability answers with the number of views", test_answer },
	{ "KVM_CAP_MULTI_ADDRESS_SPACE still answers 2",
	  test_address_spaces_answer },
	{ "views can be enabled", test_enable },
	{ "EINVAL: enabled twice", test_enable_twice },
	{ "EINVAL: enabled with an argument", test_enable_with_argument },
	{ "EINVAL: enabled with flags", test_enable_with_flags },
	{ "EINVAL: enabled after a memory slot", test_enable_after_slot },
	{ "EINVAL: enabled after a memory slot that came and went",
	  test_enable_after_slot_that_went },
	{ "EINVAL: enabled after a vCPU", test_enable_after_vcpu },
	{ "EINVAL: every ioctl on a VM without views", test_ioctls_without_views },
	{ "EINVAL: a view's slot in a VM without views", test_slot_without_views },
	{ "every view takes slots, one beyond does not", test_slots_of_all_views },
	{ "a VM without views runs as ever", test_guest_without_views },
	{ "ENOTTY: unknown numbers and sizes", test_unknown_numbers },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
