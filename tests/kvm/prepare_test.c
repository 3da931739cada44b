// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_PREPARE_EPT_SWAP: which views it takes, what it maps, and that a guest
 * swapped to a prepared view faults no more.
 */
#include "harness.h"

#include <errno.h>
#include <sys/mman.h>

#define VIEW		KVM_HYPR_VIEW_FIRST
#define VIEW_PAGES	((RAM_BYTES + HYPR_CONTROL_SIZE + GUEST_SHARED_BYTES) / 4096)

static struct vm *vm_with_view(void)
{
	struct vm *vm = vm_new();

	vm_views_add(vm, 1);
	return vm;
}

static struct kvm_hypr_prepare prepare(struct vm *vm, unsigned int view)
{
	struct kvm_hypr_prepare arg = { .view = view };

	OK(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &arg));
	return arg;
}

static void touch(void *memory, size_t bytes)
{
	volatile uint8_t *p = memory;
	size_t i;

	for (i = 0; i < bytes; i += 4096)
		p[i] = p[i];
}

static void touch_view(struct vm *vm, unsigned int view)
{
	touch(vm->ram[view], vm->ram_bytes);
	touch(vm->control, HYPR_CONTROL_SIZE);
	touch(vm->shared, GUEST_SHARED_BYTES);
}

static void test_no_such_view(void)
{
	struct vm *vm = vm_with_view();

	vm_vcpu_add(vm);
	CHECK_RET(try_prepare(vm, KVM_HYPR_VIEW_SMM), -ENOENT);
	CHECK_RET(try_prepare(vm, KVM_HYPR_MAX_VIEWS), -ENOENT);
	CHECK_RET(try_prepare(vm, 0x10002), -ENOENT);
	CHECK_RET(try_prepare(vm, ~0u), -ENOENT);
}

static void test_view_without_slots(void)
{
	struct vm *vm = vm_with_view();

	CHECK_RET(try_prepare(vm, VIEW + 1), -ENOENT);
	vm_vcpu_add(vm);
	CHECK_RET(try_prepare(vm, VIEW + 1), -ENOENT);
}

/* A vCPU that has run has made KVM set up slots of its own. */
static void test_view_without_slots_after_run(void)
{
	struct vm *vm = vm_with_view();

	need_cpus(1);
	vcpus_start(vm, 1);
	CHECK_RET(try_prepare(vm, VIEW + 1), -ENOENT);
}

static void test_view_whose_slots_went(void)
{
	struct vm *vm = vm_with_view();

	vm_vcpu_add(vm);
	OK(try_prepare(vm, VIEW));
	OK(try_set_slot(vm, VIEW, SLOT_RAM, 0, 0, 0, NULL));
	OK(try_set_slot(vm, VIEW, SLOT_CONTROL, 0, 0, 0, NULL));
	OK(try_prepare(vm, VIEW));
	OK(try_set_slot(vm, VIEW, SLOT_SHARED, 0, 0, 0, NULL));
	CHECK_RET(try_prepare(vm, VIEW), -ENOENT);
	CHECK_RET(try_commit(vm, VIEW, 0), -ENOENT);
}

static void test_without_vcpu(void)
{
	struct vm *vm = vm_with_view();

	CHECK_RET(try_prepare(vm, VIEW), -EINVAL);
	vm_vcpu_add(vm);
	OK(try_prepare(vm, VIEW));
}

static void test_counts_pages(void)
{
	struct vm *vm = vm_with_view();
	struct kvm_hypr_prepare arg;

	vm_vcpu_add(vm);
	arg = prepare(vm, VIEW);
	CHECK_EQ(arg.pages_mapped, VIEW_PAGES);
	CHECK_EQ(arg.pages_skipped, 0);
	CHECK(arg.cycles > 0);
}

static void test_twice(void)
{
	struct vm *vm = vm_with_view();
	struct kvm_hypr_prepare arg;

	vm_vcpu_add(vm);
	prepare(vm, VIEW);
	arg = prepare(vm, VIEW);
	CHECK_EQ(arg.pages_mapped, VIEW_PAGES);
	CHECK_EQ(arg.pages_skipped, 0);
}

static void test_active_view(void)
{
	struct vm *vm = vm_with_view();
	struct kvm_hypr_prepare arg;

	need_cpus(1);
	vcpus_start(vm, 1);
	arg = prepare(vm, KVM_HYPR_VIEW_BOOT);
	CHECK_EQ(arg.pages_mapped, VIEW_PAGES);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
}

static void test_while_running(void)
{
	struct vm *vm = vm_with_view();
	unsigned int i;

	need_cpus(1);
	vcpus_start(vm, 1);
	for (i = 0; i < 20; i++) {
		CHECK_EQ(prepare(vm, VIEW).pages_mapped, VIEW_PAGES);
		CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
		OK(try_discard(vm, VIEW));
	}
}

/* What is not there to be mapped is counted, and left to faults. */
static void test_skips_what_is_no_memory(void)
{
	struct vm *vm = vm_with_view();
	struct kvm_hypr_prepare arg;

	vm_vcpu_add(vm);
	CHECK(!mprotect(vm->ram[VIEW] + 0x20000, 0x5000, PROT_NONE));
	arg = prepare(vm, VIEW);
	CHECK_EQ(arg.pages_mapped, VIEW_PAGES - 5);
	CHECK_EQ(arg.pages_skipped, 5);
}

static void test_no_fault_after_swap(void)
{
	struct vm *vm = vm_with_view();
	uint64_t seed = tap_random(), faults;
	struct vcpu *vcpu;

	need_cpus(1);
	touch_view(vm, KVM_HYPR_VIEW_BOOT);
	touch_view(vm, VIEW);
	vcpus_start(vm, 1);
	vcpu = &vm->vcpu[0];
	prepare(vm, VIEW);
	faults = vcpu_stat(vcpu, "pf_taken");
	vm_commit(vm, VIEW, KVM_EPT_SWAP_FORCE);
	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
	vcpu_verify(vcpu, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
	CHECK_EQ(vcpu_stat(vcpu, "pf_taken") - faults, 0);
}

/* And without being prepared, the same does fault: the count means something. */
static void test_faults_are_counted(void)
{
	struct vm *vm = vm_with_view();
	struct vcpu *vcpu;
	uint64_t faults;

	need_cpus(1);
	touch_view(vm, KVM_HYPR_VIEW_BOOT);
	vcpus_start(vm, 1);
	vcpu = &vm->vcpu[0];
	faults = vcpu_stat(vcpu, "pf_taken");
	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, 1);
	CHECK(vcpu_stat(vcpu, "pf_taken") - faults >= 100);
}

static void test_going_back_faults_not(void)
{
	struct vm *vm = vm_with_view();
	struct vcpu *vcpu;
	uint64_t faults;
	unsigned int i;

	need_cpus(1);
	touch_view(vm, KVM_HYPR_VIEW_BOOT);
	touch_view(vm, VIEW);
	vcpus_start(vm, 1);
	vcpu = &vm->vcpu[0];
	prepare(vm, VIEW);
	prepare(vm, KVM_HYPR_VIEW_BOOT);
	faults = vcpu_stat(vcpu, "pf_taken");
	for (i = 0; i < 50; i++) {
		unsigned int view = i % 2 ? KVM_HYPR_VIEW_BOOT : VIEW;

		vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
		vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, i);
	}
	CHECK_EQ(vcpu_stat(vcpu, "pf_taken") - faults, 0);
}

/* Other views keep their tables when a slot of one view goes. */
static void test_slot_removal_elsewhere(void)
{
	struct vm *vm = vm_with_view();
	struct vcpu *vcpu;
	uint64_t faults;

	need_cpus(1);
	vm_view_add(vm, VIEW + 1);
	touch_view(vm, VIEW);
	vcpus_start(vm, 1);
	vcpu = &vm->vcpu[0];
	prepare(vm, VIEW);
	prepare(vm, VIEW + 1);
	OK(try_set_slot(vm, VIEW + 1, SLOT_RAM, 0, 0, 0, NULL));
	faults = vcpu_stat(vcpu, "pf_taken");
	vm_commit(vm, VIEW, KVM_EPT_SWAP_FORCE);
	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, 1);
	CHECK_EQ(vcpu_stat(vcpu, "pf_taken") - faults, 0);
}

static const struct test tests[] = {
	{ "ENOENT: SMM's address space and numbers beyond", test_no_such_view },
	{ "ENOENT: a view without memory slots", test_view_without_slots },
	{ "ENOENT: the same after a vCPU has run",
	  test_view_without_slots_after_run },
	{ "ENOENT: a view whose slots were removed", test_view_whose_slots_went },
	{ "EINVAL: no vCPU yet", test_without_vcpu },
	{ "every page is mapped and counted", test_counts_pages },
	{ "preparing twice changes nothing", test_twice },
	{ "the active view can be prepared while it runs", test_active_view },
	{ "a view is prepared while another runs", test_while_running },
	{ "what is no memory is skipped and counted",
	  test_skips_what_is_no_memory },
	{ "no fault after a swap to a prepared view", test_no_fault_after_swap },
	{ "faults are counted where nothing was prepared",
	  test_faults_are_counted },
	{ "no fault when swapping to and fro", test_going_back_faults_not },
	{ "removing a slot of one view leaves the others mapped",
	  test_slot_removal_elsewhere },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
