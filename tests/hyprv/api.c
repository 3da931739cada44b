// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's API on /dev/hyprv: state in and out, interrupts, and what goes wrong: a guest that
 * halts, shuts down or cannot be entered, and calls that are refused.
 */
#define _GNU_SOURCE
#include "abi.h"
#include "harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/wait.h>
#include <unistd.h>

static struct vm *vm_with_memory(void)
{
	struct vm *vm = vm_new_plain_irqchip(IRQCHIP_NONE);

	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	return vm;
}

/* It runs, and what is unusual is the test's. */
static struct vcpu *caught_vcpu(void)
{
	struct vm *vm;

	need_cpus(1);
	vm = vm_with_memory();
	vm_vcpu_add(vm)->catch = true;
	vcpus_start(vm, 1);
	return &vm->vcpu[0];
}

/* This thread runs it once, since no other does. */
static int run_once(struct vcpu *vcpu)
{
	vcpu->run->immediate_exit = 0;
	return try_ioctl(vcpu->fd, KVM_RUN, NULL);
}

static void test_halts_and_is_woken(void)
{
	struct kvm_interrupt interrupt = { .irq = GUEST_WAKE_VECTOR };
	struct vcpu *vcpu = caught_vcpu();
	uint64_t *grant = ram_word(vcpu->vm, 0, GUEST_FREE_GPA);
	uint64_t i;

	/* There is no APIC: the handler takes this word back in place of an EOI. */
	vcpu->guest->pv_eoi_gpa = GUEST_FREE_GPA;
	for (i = 1; i <= 5; i++) {
		vcpu->guest->halt = 1;
		vcpu_ask(vcpu, GUEST_HALT, 0, 0, 0);
		vcpu_wait_outside(vcpu);
		CHECK_EQ(vcpu->caught, KVM_EXIT_HLT);
		CHECK_EQ(vcpu->run->if_flag, 1);
		CHECK_EQ(vcpu->run->ready_for_interrupt_injection, 1);
		*grant = 1;
		vcpu->guest->halt = 0;
		OK(try_ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt));
		CHECK_RET(try_ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt), -EEXIST);
		vcpu_resume(vcpu);
		vcpu_wait_done(vcpu);
		CHECK_EQ(vcpu->guest->wakes, i);
		CHECK_EQ(vcpu->guest->pv_eois, i);
	}
}

static void test_immediate_exit(void)
{
	struct vcpu *vcpu = caught_vcpu();

	vcpu_stop(vcpu);
	vcpu->run->immediate_exit = 1;
	CHECK_RET(try_ioctl(vcpu->fd, KVM_RUN, NULL), -EINTR);
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_INTR);
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 0);
}

/* Without an IDT the first exception is the end. */
static void test_triple_fault_shuts_down(void)
{
	struct vcpu *vcpu = caught_vcpu();
	struct kvm_sregs sregs;

	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	sregs.idt.limit = 0;
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
	vcpu_start(vcpu);
	vcpu_ask(vcpu, GUEST_RDMSR, 0x3a, 0, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_SHUTDOWN);
}

/* RDMSR of an MSR that is none: the handler is found by the IVT, and no error code is pushed. */
static void test_fault_in_real_mode(void)
{
	/* mov $0x3a, %ecx; rdmsr; hlt */
	static const uint8_t code[] = { 0x66, 0xb9, 0x3a, 0, 0, 0, 0x0f, 0x32, 0xf4 };
	struct kvm_regs regs = { .rflags = 2, .rsp = 0x8000 };
	struct kvm_sregs sregs;
	struct vcpu *vcpu;
	struct vm *vm;

	/* Shadow paging has no real mode, and neither has EPT on a CPU without unrestricted guests. */
	if (getenv("HYPR_NO_EPT"))
		skip("this CPU has no EPT for hyprv");
	need_cpus(1);
	harness_vm_type = HYPRV_VM_EPT;
	vm = vm_with_memory();
	vcpu = vm_vcpu_add(vm);
	memcpy(vm->ram[0] + 0x10000, code, sizeof(code));
	vm->ram[0][0x10020] = 0xf4;	/* hlt */
	memcpy(vm->ram[0] + 13 * 4, (uint16_t[]){ 0x20, 0x1000 }, 4);
	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	real_mode_set(&sregs, 0x10000);
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	OK(run_once(vcpu));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_HLT);
	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	CHECK_EQ(regs.rip, 0x21);
	CHECK_EQ(regs.rsp, 0x8000 - 6);
	CHECK_EQ(*(uint16_t *)(vm->ram[0] + 0x7ffa), 6);
	CHECK_EQ(*(uint16_t *)(vm->ram[0] + 0x7ffc), 0x1000);
}

static void test_bad_state_names_its_field(void)
{
	static char log[1 << 16];
	struct vcpu *vcpu = caught_vcpu();
	struct kvm_sregs sregs;
	int bytes;

	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	sregs.cs.db = 1;
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
	OK(run_once(vcpu));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_FAIL_ENTRY);
	CHECK_EQ(vcpu->run->fail_entry.hardware_entry_failure_reason, 0x80000021);
	bytes = klogctl(3, log, sizeof(log) - 1);
	CHECK(bytes > 0);
	CHECK(strstr(log, "cannot enter the guest: GUEST_CS_RIGHTS: L and D are both 1"));
	sregs.cs.db = 0;
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 0);
}

/* What was set comes back, also after the guest has run. */
static void test_registers_stay(void)
{
	struct vcpu *vcpu = caught_vcpu();
	struct kvm_sregs sregs, sregs_after;
	struct kvm_fpu fpu, fpu_after;
	unsigned int i;

	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	OK(try_ioctl(vcpu->fd, KVM_GET_FPU, &fpu));
	CHECK_EQ(sregs.cr0, 0x80010033);
	CHECK_EQ(sregs.cr4, 0x20);
	CHECK_EQ(sregs.efer, 0x500);
	CHECK_EQ(sregs.cs.l, 1);
	CHECK_EQ(sregs.tr.limit, 0x67);
	for (i = 0; i < sizeof(fpu.xmm); i++)
		fpu.xmm[i / 16][i % 16] = i * 7 + 1;
	fpu.mxcsr = 0x1f00;
	OK(try_ioctl(vcpu->fd, KVM_SET_FPU, &fpu));
	sregs.cr2 = 0x123456;
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
	vcpu_start(vcpu);
	vcpu_view(vcpu);
	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_FPU, &fpu_after));
	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs_after));
	CHECK(!memcmp(fpu.xmm, fpu_after.xmm, sizeof(fpu.xmm)));
	CHECK_EQ(fpu_after.mxcsr, 0x1f00);
	CHECK(!memcmp(&sregs, &sregs_after, sizeof(sregs)));
}

static void test_xsave_comes_back(void)
{
	static struct kvm_xsave before, after;
	struct vcpu *vcpu = caught_vcpu();

	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_XSAVE, &before));
	((uint8_t *)before.region)[160] = 0x5a;	/* XMM0 */
	before.region[128] |= 3;		/* XSTATE_BV: x87 and SSE */
	OK(try_ioctl(vcpu->fd, KVM_SET_XSAVE, &before));
	vcpu_start(vcpu);
	vcpu_view(vcpu);
	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_XSAVE, &after));
	CHECK_EQ(((uint8_t *)after.region)[160], 0x5a);
	before.region[128] = 0xffffffff;
	CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_XSAVE, &before), -EINVAL);
}

static void test_bad_registers_are_refused(void)
{
	static const struct {
		const char *name;
		uint64_t cr0, cr3, cr4, efer;
	} bad[] = {
		{ "CR0: PG without PE", 0x80000010, 0, 0x20, 0 },
		{ "CR0: NW without CD", 0x20000010, 0, 0, 0 },
		{ "CR0: unknown bit", 1ull << 33, 0, 0, 0 },
		{ "CR3 beyond MAXPHYADDR", 0x80010033, 1ull << 52, 0x20, 0x500 },
		{ "CR4.VMXE", 0x80010033, 0, 0x2020, 0x500 },
		{ "CR4: unknown bit", 0x80010033, 0, 1ull << 40, 0x500 },
		{ "64-bit mode without PAE", 0x80010033, 0, 0, 0x500 },
		{ "LMA without LME", 0x80010033, 0, 0x20, 0x400 },
		{ "EFER: unknown bit", 0x80010033, 0, 0x20, 0x502 },
	};
	struct vcpu *vcpu = caught_vcpu();
	struct kvm_sregs sregs, after;
	size_t i;

	vcpu_stop(vcpu);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
		sregs.cr0 = bad[i].cr0;
		sregs.cr3 = bad[i].cr3;
		sregs.cr4 = bad[i].cr4;
		sregs.efer = bad[i].efer;
		if (try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) != -EINVAL)
			FAIL("%s is not refused", bad[i].name);
	}
	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &after));
	CHECK_EQ(after.efer, 0x500);
}

static void test_bad_regions_are_refused(void)
{
	struct vm *vm = vm_with_memory();
	uint8_t *p = memory_new(0x4000);
	uint64_t gpa = 0x4000000;

	CHECK_RET(try_set_slot(vm, 0, 9, 0, gpa + 1, 0x1000, p), -EINVAL);
	CHECK_RET(try_set_slot(vm, 0, 9, 0, gpa, 0x1001, p), -EINVAL);
	CHECK_RET(try_set_slot(vm, 0, 9, 0, gpa, 0x1000, p + 8), -EINVAL);
	CHECK_RET(try_set_slot(vm, 0, 9, KVM_MEM_LOG_DIRTY_PAGES, gpa, 0x1000, p), -EINVAL);
	CHECK_RET(try_set_slot(vm, 1, 9, 0, gpa, 0x1000, p), -EINVAL);
	CHECK_RET(try_set_slot(vm, 0, 9, 0, gpa, 0, p), -EINVAL);
	CHECK_RET(try_set_slot(vm, 0, 9, 0, 0, 0x1000, p), -EEXIST);
	CHECK_RET(try_set_slot(vm, 0, 9, 0, ~0xfffull, 0x2000, p), -EINVAL);
	CHECK_RET(try_set_slot(vm, 0, 9, 0, 1ull << 50, 0x1000, p), -EINVAL);
	CHECK_RET(try_set_slot(vm, 0, 9, 0, gpa, 0x1000, (void *)0xffff888000000000ull),
		  -EINVAL);
	OK(try_set_slot(vm, 0, 9, 0, gpa, 0x1000, p));
	CHECK_RET(try_set_slot(vm, 0, 9, 0, gpa, 0x2000, p), -EINVAL);
	OK(try_set_slot(vm, 0, 9, 0, gpa, 0, p));
}

static void test_calls_are_refused(void)
{
	struct vm *vm = vm_with_memory();
	struct vcpu *vcpu = vm_vcpu_add(vm);
	struct kvm_interrupt interrupt = { .irq = 256 };
	struct kvm_regs regs;
	int status;
	pid_t child;

	CHECK_RET(try_ioctl(vm->kvm, KVM_GET_API_VERSION, NULL), KVM_API_VERSION);
	CHECK_RET(try_ioctl(vm->kvm, KVM_CREATE_VM, (void *)1), -EINVAL);
	CHECK_RET(try_ioctl(vm->kvm, KVM_RUN, NULL), -ENOTTY);
	CHECK_RET(try_ioctl(vm->fd, KVM_CREATE_IRQCHIP, NULL), -ENOTTY);
	CHECK_RET(try_ioctl(vm->fd, KVM_CREATE_VCPU, NULL), -EEXIST);
	CHECK_RET(try_ioctl(vm->fd, KVM_CREATE_VCPU, (void *)64), -EINVAL);
	CHECK_RET(try_ioctl(vcpu->fd, KVM_CREATE_VM, NULL), -ENOTTY);
	CHECK_RET(try_ioctl(vcpu->fd, KVM_RUN, (void *)1), -EINVAL);
	CHECK_RET(try_ioctl(vcpu->fd, KVM_INTERRUPT, &interrupt), -EINVAL);
	CHECK_RET(try_ioctl(vcpu->fd, KVM_GET_REGS, NULL), -EFAULT);
	CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_SREGS, (void *)8), -EFAULT);
	child = fork();
	CHECK(child >= 0);
	if (!child)
		_exit(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs) != -EIO);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_EQ(status, 0);
}

static void test_lists_that_are_too_long_are_refused(void)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[101];
	} set = { .head.nent = 2 }, got = { .head.nent = 1 };
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[257];
	} msrs = { .head.nmsrs = 257 };
	struct vcpu *vcpu = vm_vcpu_add(vm_with_memory());

	set.entry[0] = (struct kvm_cpuid_entry2){ .function = 0, .eax = 1, .ebx = 2 };
	set.entry[1] = (struct kvm_cpuid_entry2){ .function = 1, .ecx = 3 };
	OK(try_ioctl(vcpu->fd, KVM_SET_CPUID2, &set));
	CHECK_RET(try_ioctl(vcpu->fd, KVM_GET_CPUID2, &got), -E2BIG);
	CHECK_EQ(got.head.nent, 2);
	OK(try_ioctl(vcpu->fd, KVM_GET_CPUID2, &got));
	CHECK(!memcmp(got.entry, set.entry, 2 * sizeof(set.entry[0])));
	set.head.nent = 101;
	CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_CPUID2, &set), -E2BIG);
	got.head.nent = 1;
	CHECK_RET(try_ioctl(vcpu->vm->kvm, KVM_GET_SUPPORTED_CPUID, &got), -E2BIG);
	CHECK_RET(try_ioctl(vcpu->fd, KVM_GET_MSRS, &msrs), -E2BIG);
	CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_MSRS, &msrs), -E2BIG);
	/* How many were read: the second is none of hyprv's. */
	msrs.head.nmsrs = 2;
	msrs.entry[0].index = 0xc0000080;
	msrs.entry[1].index = 0x12345;
	CHECK_RET(try_ioctl(vcpu->fd, KVM_GET_MSRS, &msrs), 1);
}

/* RIP is where no memory is: the report, and no loop. */
static void test_jump_into_nothing_ends_the_vm(void)
{
	struct vcpu *vcpu = caught_vcpu();
	struct kvm_regs regs;

	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	regs.rip = 0x800000;
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	OK(run_once(vcpu));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	CHECK_EQ(vcpu->run->internal.data[2], 0x800000);
	CHECK_RET(run_once(vcpu), -EIO);
}

/* What the guest does to a page that is read-only for it comes to user space. */
static void test_read_only_memory(void)
{
	struct vcpu *vcpu = caught_vcpu();
	uint64_t gpa = 0x4000000;
	uint64_t *p = memory_new(0x1000);

	*p = 0x4711;
	vcpu_stop(vcpu);
	OK(try_set_slot(vcpu->vm, 0, 9, KVM_MEM_READONLY, gpa, 0x1000, p));
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_read(vcpu, gpa), 0x4711);
	vcpu_ask(vcpu, GUEST_WRITE, gpa, 1, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_MMIO);
	CHECK_EQ(vcpu->run->mmio.is_write, 1);
	CHECK_EQ(*p, 0x4711);
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
	CHECK_EQ(vcpu_read(vcpu, gpa), 0x4711);
}

static const struct test tests[] = {
	{ "the guest halts, and an interrupt wakes it", test_halts_and_is_woken },
	{ "immediate_exit keeps the vCPU out", test_immediate_exit },
	{ "a triple fault is KVM_EXIT_SHUTDOWN", test_triple_fault_shuts_down },
	{ "a fault in real mode has no error code", test_fault_in_real_mode },
	{ "a state that cannot be entered is named in the log", test_bad_state_names_its_field },
	{ "registers stay as they were set", test_registers_stay },
	{ "an XSAVE area comes back", test_xsave_comes_back },
	{ "bad system registers are refused", test_bad_registers_are_refused },
	{ "bad regions are refused", test_bad_regions_are_refused },
	{ "calls that make no sense are refused", test_calls_are_refused },
	{ "lists that are too long are refused", test_lists_that_are_too_long_are_refused },
	{ "a jump to where no memory is ends the VM", test_jump_into_nothing_ends_the_vm },
	{ "read-only memory stays as it is", test_read_only_memory },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
