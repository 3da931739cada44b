// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_HYPR_DISCARD_VIEW: gives a view's tables back, never those in use.
 */
#include "harness.h"

#include <errno.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)

static struct vm *prepared_vm(void)
{
	struct vm *vm = vm_new();

	need_cpus(1);
	vm_views_add(vm, 2);
	vcpus_start(vm, 1);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	return vm;
}

static void test_active(void)
{
	struct vm *vm = prepared_vm();

	CHECK_RET(try_discard(vm, KVM_HYPR_VIEW_BOOT), -EBUSY);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_RET(try_discard(vm, A), -EBUSY);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
}

static void test_boot_view_after_it_was_left(void)
{
	struct vm *vm = prepared_vm();

	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	OK(try_discard(vm, KVM_HYPR_VIEW_BOOT));
	CHECK_RET(try_commit(vm, 0, KVM_EPT_SWAP_FORCE), -ENODATA);
	OK(try_prepare(vm, KVM_HYPR_VIEW_BOOT));
	vm_commit(vm, 0, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
}

/* Swapped away from, but the vCPU has not run since: it is in no old view. */
static void test_left_by_a_stopped_vcpu(void)
{
	struct vm *vm = prepared_vm();

	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	vcpus_stop(vm);
	vm_commit(vm, B, 0);
	OK(try_discard(vm, A));
	vcpus_start(vm, 1);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), B);
	OK(try_prepare(vm, A));
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
}

static void test_no_such_view(void)
{
	struct vm *vm = prepared_vm();

	CHECK_RET(try_discard(vm, KVM_HYPR_VIEW_SMM), -ENOENT);
	CHECK_RET(try_discard(vm, B + 1), -ENOENT);
	CHECK_RET(try_discard(vm, KVM_HYPR_MAX_VIEWS), -ENOENT);
	CHECK_RET(try_discard(vm, ~0u), -ENOENT);
}

static void test_never_prepared(void)
{
	struct vm *vm = prepared_vm();

	vm_view_add(vm, B + 1);
	OK(try_discard(vm, B + 1));
	OK(try_discard(vm, B + 1));
	CHECK_RET(try_commit(vm, B + 1, KVM_EPT_SWAP_FORCE), -ENODATA);
}

static void test_contents_stay(void)
{
	struct vm *vm = prepared_vm();
	struct vcpu *vcpu = &vm->vcpu[0];
	unsigned int i;

	for (i = 0; i < 20; i++) {
		uint64_t seed = tap_random();

		vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
		vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
		vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
		OK(try_discard(vm, A));
		OK(try_prepare(vm, A));
		vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
		vcpu_verify(vcpu, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
	}
}

/* KVM_SET_EPTP puts one vCPU elsewhere: that view is in use too. */
static void test_view_of_a_single_vcpu(void)
{
	struct vm *vm = prepared_vm();
	struct kvm_hypr_eptp eptp = { 0 };
	struct vcpu *vcpu = &vm->vcpu[0];

	vcpu_stop(vcpu);
	vm_commit(vm, A, 0);
	OK(try_ioctl(vcpu->fd, KVM_GET_EPTP, &eptp));
	CHECK_EQ(eptp.view, A);
	vm_commit(vm, 0, 0);
	eptp.flags = 0;
	OK(try_ioctl(vcpu->fd, KVM_SET_EPTP, &eptp));
	CHECK_RET(try_discard(vm, A), -EBUSY);
	OK(try_discard(vm, B));
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), A);
}

static const struct test tests[] = {
	{ "EBUSY: the active view", test_active },
	{ "the boot view can be discarded once it was left",
	  test_boot_view_after_it_was_left },
	{ "a view left by a stopped vCPU can be discarded",
	  test_left_by_a_stopped_vcpu },
	{ "ENOENT: no such view", test_no_such_view },
	{ "a view that was never prepared can be discarded",
	  test_never_prepared },
	{ "discarding and preparing anew keeps the contents",
	  test_contents_stay },
	{ "EBUSY: the view that one vCPU was put into",
	  test_view_of_a_single_vcpu },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
