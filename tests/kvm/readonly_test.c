// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access rights of a view: the same addresses, and even the same memory, are
 * read-only in one view and writable in another.
 */
#include "harness.h"

#include <errno.h>

#define A		KVM_HYPR_VIEW_FIRST
#define B		(KVM_HYPR_VIEW_FIRST + 1)
#define ROM_GPA		0x10000000ull
#define ROM_BYTES	0x10000
#define ROM_PAGES	(ROM_BYTES / 4096)
#define SLOT_ROM	SLOT_FREE

static uint64_t *rom;

/* View 0 has no memory there, A has it read-only, B writable. */
static struct vm *vm_with_rom(void)
{
	struct vm *vm;

	need_cpus(1);
	vm = vm_new();
	if (try_ioctl(vm->fd, KVM_CHECK_EXTENSION,
		      (void *)KVM_CAP_READONLY_MEM) <= 0)
		skip("this KVM has no KVM_CAP_READONLY_MEM");
	vm_views_add(vm, 2);
	rom = memory_new(ROM_BYTES);
	OK(try_set_slot(vm, A, SLOT_ROM, KVM_MEM_READONLY, ROM_GPA, ROM_BYTES,
			rom));
	OK(try_set_slot(vm, B, SLOT_ROM, 0, ROM_GPA, ROM_BYTES, rom));
	vm_vcpu_add(vm)->catch = true;
	vcpu_start(&vm->vcpu[0]);
	return vm;
}

/* The write comes to user space, which here drops it. */
static void check_write_exits(struct vcpu *vcpu, uint64_t gpa, uint64_t value)
{
	struct kvm_run *run = vcpu->run;

	vcpu_ask(vcpu, GUEST_WRITE, gpa, value, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_MMIO);
	CHECK_EQ(run->mmio.phys_addr, gpa);
	CHECK_EQ(run->mmio.len, 8);
	CHECK_EQ(run->mmio.is_write, 1);
	CHECK_EQ(*(uint64_t *)run->mmio.data, value);
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
}

static void check_access(struct vm *vm)
{
	struct vcpu *vcpu = &vm->vcpu[0];
	unsigned int i;

	for (i = 0; i < 10; i++) {
		uint64_t gpa = ROM_GPA + (i % ROM_PAGES) * 4096 + 8 * i;
		uint64_t *word = &rom[(gpa - ROM_GPA) / 8];

		*word = 1000 + i;
		vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
		CHECK_EQ(vcpu_read(vcpu, gpa), 1000 + i);
		check_write_exits(vcpu, gpa, 2000 + i);
		CHECK_EQ(*word, 1000 + i);
		CHECK_EQ(vcpu_read(vcpu, gpa), 1000 + i);

		vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
		vcpu_write(vcpu, gpa, 3000 + i);
		CHECK_EQ(*(volatile uint64_t *)word, 3000 + i);
		CHECK_EQ(vcpu_read(vcpu, gpa), 3000 + i);

		vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
		CHECK_EQ(vcpu_read(vcpu, gpa), 3000 + i);
		check_write_exits(vcpu, gpa, 4000 + i);
		CHECK_EQ(vcpu_read(vcpu, gpa), 3000 + i);
	}
}

static void test_prepared(void)
{
	struct vm *vm = vm_with_rom();

	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	check_access(vm);
}

/* The tables come by faults: prepared is the page with the view's number. */
static void test_faulted_in(void)
{
	struct kvm_hypr_prepare part = {
		.flags = KVM_HYPR_PREPARE_RANGE,
		.gpa = GUEST_ID_GPA,
		.size = 0x1000,
	};
	struct vm *vm = vm_with_rom();

	part.view = A;
	OK(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &part));
	part.view = B;
	OK(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &part));
	check_access(vm);
}

/* A view that maps the memory writable does not make it so in the other. */
static void test_prepared_later(void)
{
	struct vm *vm = vm_with_rom();
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t faults;

	OK(try_prepare(vm, B));
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	vcpu_write(vcpu, ROM_GPA, 1);
	OK(try_prepare(vm, A));
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	faults = vcpu_stat(vcpu, "pf_taken");
	CHECK_EQ(vcpu_read(vcpu, ROM_GPA), 1);
	CHECK_EQ(vcpu_stat(vcpu, "pf_taken") - faults, 0);
	check_write_exits(vcpu, ROM_GPA, 2);
	CHECK_EQ(vcpu_read(vcpu, ROM_GPA), 1);
}

static void test_no_memory_elsewhere(void)
{
	struct vm *vm = vm_with_rom();
	struct vcpu *vcpu = &vm->vcpu[0];

	OK(try_prepare(vm, A));
	check_write_exits(vcpu, ROM_GPA, 5);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	rom[0] = 77;
	CHECK_EQ(vcpu_read(vcpu, ROM_GPA), 77);
	check_write_exits(vcpu, ROM_GPA, 5);
	vm_commit(vm, 0, KVM_EPT_SWAP_FORCE);
	check_write_exits(vcpu, ROM_GPA, 6);
	CHECK_EQ(rom[0], 77);
}

static const struct test tests[] = {
	{ "a write exits in the view with KVM_MEM_READONLY and works in the other",
	  test_prepared },
	{ "the same where the guest's faults make the tables",
	  test_faulted_in },
	{ "a read-only view prepared after the writable one stays read-only",
	  test_prepared_later },
	{ "no memory in one view, read-only memory in the other",
	  test_no_memory_elsewhere },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
