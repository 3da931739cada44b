// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_HYPR_SET_CONTROL_PAGE: which page it takes, what the host writes into it,
 * and that every view must have it.
 */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define A	KVM_HYPR_VIEW_FIRST

static int try_register(struct vm *vm, uint64_t gpa, void *addr)
{
	struct kvm_hypr_control control = {
		.gpa = gpa,
		.userspace_addr = (uintptr_t)addr,
	};

	return try_ioctl(vm->fd, KVM_HYPR_SET_CONTROL_PAGE, &control);
}

static struct vm *vm_with_view(void)
{
	struct vm *vm = vm_new();

	vm_views_add(vm, 1);
	vm_vcpu_add(vm);
	return vm;
}

static void test_wrong_gpa(void)
{
	struct vm *vm = vm_with_view();

	CHECK_RET(try_register(vm, 0, vm->control), -EINVAL);
	CHECK_RET(try_register(vm, HYPR_CONTROL_GPA + 1, vm->control), -EINVAL);
	CHECK_RET(try_register(vm, HYPR_CONTROL_GPA + 4096, vm->control), -EINVAL);
	OK(try_register(vm, HYPR_CONTROL_GPA, vm->control));
}

static void test_wrong_address(void)
{
	struct vm *vm = vm_with_view();
	uint8_t *control = (uint8_t *)vm->control;

	CHECK_RET(try_register(vm, HYPR_CONTROL_GPA, NULL), -EINVAL);
	CHECK_RET(try_register(vm, HYPR_CONTROL_GPA, control + 8), -EINVAL);
	CHECK_RET(try_register(vm, HYPR_CONTROL_GPA, vm->shared), -EINVAL);
	CHECK_RET(try_register(vm, HYPR_CONTROL_GPA, (void *)~0xfffull), -EINVAL);
}

static void test_boot_view_lacks_it(void)
{
	struct vm *vm = vm_with_view();

	OK(try_set_slot(vm, 0, SLOT_CONTROL, 0, 0, 0, NULL));
	CHECK_RET(try_register(vm, HYPR_CONTROL_GPA, vm->control), -EINVAL);
}

static void test_read_only_slot(void)
{
	struct vm *vm = vm_with_view();

	OK(try_set_slot(vm, 0, SLOT_CONTROL, 0, 0, 0, NULL));
	OK(try_set_slot(vm, 0, SLOT_CONTROL, KVM_MEM_READONLY, HYPR_CONTROL_GPA,
			HYPR_CONTROL_SIZE, vm->control));
	CHECK_RET(try_register(vm, HYPR_CONTROL_GPA, vm->control), -EINVAL);
}

static void test_not_writable(void)
{
	struct vm *vm = vm_with_view();

	CHECK(!mprotect(vm->control, HYPR_CONTROL_SIZE, PROT_READ));
	CHECK_RET(try_register(vm, HYPR_CONTROL_GPA, vm->control), -EFAULT);
	CHECK(!mprotect(vm->control, HYPR_CONTROL_SIZE, PROT_READ | PROT_WRITE));
	OK(try_register(vm, HYPR_CONTROL_GPA, vm->control));
}

static void test_twice(void)
{
	struct vm *vm = vm_with_view();

	OK(try_register(vm, HYPR_CONTROL_GPA, vm->control));
	CHECK_RET(try_register(vm, HYPR_CONTROL_GPA, vm->control), -EEXIST);
}

static void test_view_lacks_it(void)
{
	struct vm *vm = vm_with_view();

	vm_control_page_register(vm);
	OK(try_set_slot(vm, A, SLOT_CONTROL, 0, 0, 0, NULL));
	CHECK_RET(try_prepare(vm, A), -EINVAL);
	CHECK_RET(try_commit(vm, A, 0), -ENODATA);
}

static void test_view_has_another(void)
{
	struct vm *vm = vm_with_view();

	vm_control_page_register(vm);
	OK(try_set_slot(vm, A, SLOT_CONTROL, 0, 0, 0, NULL));
	OK(try_set_slot(vm, A, SLOT_CONTROL, 0, HYPR_CONTROL_GPA,
			HYPR_CONTROL_SIZE, memory_new(HYPR_CONTROL_SIZE)));
	CHECK_RET(try_prepare(vm, A), -EINVAL);
}

static void test_generation(void)
{
	struct vm *vm = vm_with_view();
	unsigned int i;

	vm_control_page_register(vm);
	OK(try_prepare(vm, 0));
	OK(try_prepare(vm, A));
	for (i = 0; i < 10; i++) {
		uint64_t before = vm->control->generation;
		struct kvm_hypr_swap swap = vm_commit(vm, i % 2 ? 0 : A, 0);

		CHECK(swap.generation != before);
		CHECK_EQ(vm->control->generation, swap.generation);
	}
}

static void test_generation_after_refusal(void)
{
	struct vm *vm = vm_with_view();
	uint64_t before;

	vm_control_page_register(vm);
	before = vm->control->generation;
	CHECK_RET(try_commit(vm, A, 0), -ENODATA);
	CHECK_RET(try_commit(vm, A + 1, 0), -ENOENT);
	CHECK_EQ(vm->control->generation, before);
}

/* The host may take the page's memory back, not the page from the kernel. */
static void test_memory_unmapped(void)
{
	struct vm *vm = vm_with_view();

	vm_control_page_register(vm);
	OK(try_prepare(vm, 0));
	OK(try_prepare(vm, A));
	CHECK(!munmap(vm->control, HYPR_CONTROL_SIZE));
	vm_commit(vm, A, 0);
	vm_commit(vm, 0, 0);
}

static void test_guest_sees_one_page(void)
{
	struct vm *vm = vm_with_view();
	struct vcpu *vcpu = &vm->vcpu[0];
	const uint64_t gpa = HYPR_CONTROL_GPA +
			     offsetof(struct hypr_control_page, reserved1);

	need_cpus(1);
	vm_control_page_register(vm);
	OK(try_prepare(vm, A));
	vcpu_start(vcpu);
	vcpu_write(vcpu, gpa, 0xabcdef);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_read(vcpu, gpa), 0xabcdef);
	CHECK_EQ(vcpu_read(vcpu, HYPR_CONTROL_GPA), HYPR_CONTROL_MAGIC);
	vcpu_write(vcpu, gpa, 0x123);
	vm_commit(vm, 0, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_read(vcpu, gpa), 0x123);
}

/* One module of the two is there, or none that says so. */
static bool has_apicv(void)
{
	static const char *const parameter[] = {
		"/sys/module/kvm_intel/parameters/enable_apicv",
		"/sys/module/kvm_amd/parameters/avic",
	};
	char answer = 'N';
	unsigned int i;
	FILE *file;

	for (i = 0; answer == 'N' && i < 2; i++) {
		file = fopen(parameter[i], "r");
		if (!file)
			continue;
		CHECK_EQ(fread(&answer, 1, 1, file), 1);
		fclose(file);
	}
	return answer == 'Y' || answer == '1';
}

/* Without an EOI the guest gets the vector again, and others below it. */
static void test_no_eoi(void)
{
	struct kvm_msi wake = { .address_lo = 0xfee00000, .data = GUEST_WAKE_VECTOR };
	struct kvm_msi pause = { .address_lo = 0xfee00000, .data = HYPR_CONTROL_VECTOR };
	struct vm *vm = vm_with_view();
	struct guest_cpu *me = vm->vcpu[0].guest;
	unsigned int i;

	need_cpus(1);
	vm->control->features = HYPR_CONTROL_MOVES_TIMERS;
	vm_control_page_register(vm);
	CHECK_EQ(vm->control->features,
		 HYPR_CONTROL_MOVES_TIMERS | (has_apicv() ? 0 : HYPR_CONTROL_NO_EOI));
	vcpu_start(&vm->vcpu[0]);
	for (i = 1; i <= 3; i++) {
		CHECK_EQ(ioctl(vm->fd, KVM_SIGNAL_MSI, &pause), 1);
		WAIT_UNTIL(me->pause_irqs == i);
		CHECK_EQ(ioctl(vm->fd, KVM_SIGNAL_MSI, &wake), 1);
		WAIT_UNTIL(me->wakes == i);
	}
}

static const struct test tests[] = {
	{ "EINVAL: a wrong GPA", test_wrong_gpa },
	{ "EINVAL: an address that the boot view does not map there",
	  test_wrong_address },
	{ "EINVAL: the boot view has no slot there", test_boot_view_lacks_it },
	{ "EINVAL: the boot view's slot is read-only", test_read_only_slot },
	{ "EFAULT: the page is not writable", test_not_writable },
	{ "EEXIST: registered twice", test_twice },
	{ "EINVAL: a view without the control page is not prepared",
	  test_view_lacks_it },
	{ "EINVAL: a view with another page there is not prepared",
	  test_view_has_another },
	{ "each swap changes the generation in the page", test_generation },
	{ "a refused swap leaves the generation",
	  test_generation_after_refusal },
	{ "the page outlives its mapping", test_memory_unmapped },
	{ "the guest sees the same page in every view",
	  test_guest_sees_one_page },
	{ "vector 0xF0 needs no EOI without APICv", test_no_eoi },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
