// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CAP_HYPR_EPT_SWAP: what it answers, when it can be enabled, and what a VM
 * has without it.
 */
#include "hypr.h"

#define NR_VIEWS	(KVM_HYPR_MAX_VIEWS - KVM_HYPR_VIEW_FIRST)

static void test_answer(void)
{
	struct kvm_vm *vm = vm_create_barebones();

	TEST_ASSERT_EQ(kvm_check_cap(KVM_CAP_HYPR_EPT_SWAP), NR_VIEWS);
	TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_HYPR_EPT_SWAP), NR_VIEWS);
	kvm_vm_free(vm);
}

/* User space that knows of SMM only must not take views for more of the same. */
static void test_address_spaces(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	int before = vm_check_cap(vm, KVM_CAP_MULTI_ADDRESS_SPACE);

	TEST_ASSERT_EQ(before, 2);
	TEST_ASSERT_EQ(kvm_check_cap(KVM_CAP_MULTI_ADDRESS_SPACE), 2);
	vm_enable_cap(vm, KVM_CAP_HYPR_EPT_SWAP, 0);
	TEST_ASSERT_EQ(vm_check_cap(vm, KVM_CAP_MULTI_ADDRESS_SPACE), before);
	kvm_vm_free(vm);
}

static void test_enable_once(void)
{
	struct kvm_vm *vm = vm_create_barebones();

	vm_enable_cap(vm, KVM_CAP_HYPR_EPT_SWAP, 0);
	TEST_ASSERT(__vm_enable_cap(vm, KVM_CAP_HYPR_EPT_SWAP, 0) == -1 &&
		    errno == EINVAL, "enabled twice, errno %d", errno);
	kvm_vm_free(vm);
}

static void test_enable_arguments(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPR_EPT_SWAP };
	struct kvm_vm *vm = vm_create_barebones();
	int i, r;

	for (i = 0; i < ARRAY_SIZE(cap.args); i++) {
		cap.args[i] = 1;
		r = __vm_ioctl(vm, KVM_ENABLE_CAP, &cap);
		TEST_ASSERT(r == -1 && errno == EINVAL,
			    "args[%d] = 1: %d, errno %d", i, r, errno);
		cap.args[i] = 0;
	}
	cap.flags = 1;
	r = __vm_ioctl(vm, KVM_ENABLE_CAP, &cap);
	TEST_ASSERT(r == -1 && errno == EINVAL, "flags = 1: %d, errno %d", r, errno);

	/* None of them has enabled anything. */
	vm_enable_cap(vm, KVM_CAP_HYPR_EPT_SWAP, 0);
	kvm_vm_free(vm);
}

static void test_enable_after_slot(void)
{
	struct kvm_vm *vm = vm_create_barebones();

	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, 0, 0, 1, 0);
	TEST_ASSERT(__vm_enable_cap(vm, KVM_CAP_HYPR_EPT_SWAP, 0) == -1 &&
		    errno == EINVAL, "enabled after a slot, errno %d", errno);
	kvm_vm_free(vm);
}

static void test_enable_after_vcpu(void)
{
	struct kvm_vm *vm = vm_create_barebones();

	__vm_vcpu_add(vm, 0);
	TEST_ASSERT(__vm_enable_cap(vm, KVM_CAP_HYPR_EPT_SWAP, 0) == -1 &&
		    errno == EINVAL, "enabled after a vCPU, errno %d", errno);
	kvm_vm_free(vm);
}

static int add_slot(struct kvm_vm *vm, uint32_t view, void *page)
{
	return __vm_set_user_memory_region(vm, hypr_slot(view, 0), 0, 0, 4096, page);
}

static void test_slots(void)
{
	struct kvm_vm *plain = vm_create_barebones();
	struct kvm_vm *vm = vm_create_barebones();
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t view;

	TEST_ASSERT(page != MAP_FAILED, "mmap() failed");
	TEST_ASSERT(add_slot(plain, KVM_HYPR_VIEW_FIRST, page) == -1 &&
		    errno == EINVAL, "a VM without views took a slot of one");

	vm_enable_cap(vm, KVM_CAP_HYPR_EPT_SWAP, 0);
	for (view = 0; view < KVM_HYPR_MAX_VIEWS; view++)
		TEST_ASSERT(!add_slot(vm, view, page),
			    "view %u takes no slot, errno %d", view, errno);
	TEST_ASSERT(add_slot(vm, view, page) == -1 && errno == EINVAL,
		    "view %u took a slot", view);

	kvm_vm_free(vm);
	kvm_vm_free(plain);
	munmap(page, 4096);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "the capability answers with the number of views", test_answer },
	{ "KVM_CAP_MULTI_ADDRESS_SPACE keeps its answer", test_address_spaces },
	{ "views are enabled once", test_enable_once },
	{ "arguments and flags are refused", test_enable_arguments },
	{ "too late after the first slot", test_enable_after_slot },
	{ "too late after the first vCPU", test_enable_after_vcpu },
	{ "every view takes slots, others do not", test_slots },
};

int main(int argc, char *argv[])
{
	int i;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_HYPR_EPT_SWAP));

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(tests));
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		tests[i].run();
		ksft_test_result_pass("%s\n", tests[i].name);
	}
	ksft_finished();
}
