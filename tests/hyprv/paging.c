// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests that change their page tables, on /dev/hyprv with EPT or with shadow paging: what
 * they map, they reach, and what they unmap is gone.  And the VMs of the other kind.
 */
#define _GNU_SOURCE
#include "abi.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Its entry is the test's: the first of the view's own level-2 table. */
#define VA		GUEST_PRIVATE_VA
#define LEVEL2		((uint64_t)GUEST_PRIVATE_PD_GPA)
#define LEVEL1		((uint64_t)GUEST_FREE_GPA)
#define FRAME(i)	(GUEST_FREE_GPA + 0x1000ull + (i) * 0x1000ull)

static struct vcpu *one_vcpu(void)
{
	struct vm *vm;

	need_cpus(1);
	vm = vm_new_plain_irqchip(IRQCHIP_NONE);
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	vcpus_start(vm, 1);
	return &vm->vcpu[0];
}

static void remap(struct vcpu *vcpu, uint64_t entry, uint64_t value, uint64_t va)
{
	vcpu_do(vcpu, GUEST_REMAP, entry, value, va);
}

/* A count of the module's, from debugfs. */
static uint64_t shadow_count(const char *name)
{
	FILE *file = fopen("/sys/kernel/debug/hyprv/shadow", "r");
	unsigned long long value;
	char word[32];

	CHECK(file);
	while (fscanf(file, "%31s %llu", word, &value) == 2) {
		if (!strcmp(word, name)) {
			fclose(file);
			return value;
		}
	}
	FAIL("hyprv/shadow has no %s", name);
}

/* Two frames, by a leaf table that the guest writes. */
static struct vcpu *vcpu_with_page(void)
{
	struct vcpu *vcpu = one_vcpu();

	vcpu_write(vcpu, FRAME(0), 100);
	vcpu_write(vcpu, FRAME(1), 101);
	remap(vcpu, LEVEL1, FRAME(0) | 3, VA);
	remap(vcpu, LEVEL2, LEVEL1 | 3, VA);
	CHECK_EQ(vcpu_read(vcpu, VA), 100);
	return vcpu;
}

static void test_leaf_entry_changes(void)
{
	struct vcpu *vcpu = vcpu_with_page();
	unsigned int i;

	for (i = 1; i <= 200; i++) {
		remap(vcpu, LEVEL1, FRAME(i % 2) | 3, VA);
		CHECK_EQ(vcpu_read(vcpu, VA), 100 + i % 2);
	}
	/* Not present becomes present without an INVLPG of that page. */
	remap(vcpu, LEVEL1 + 8, FRAME(1) | 3, VA);
	CHECK_EQ(vcpu_read(vcpu, VA + 0x1000), 101);
}

static void test_upper_entry_changes(void)
{
	struct vcpu *vcpu = vcpu_with_page();
	uint64_t other = FRAME(2), emulated = on_shadow() ? shadow_count("emulated") : 0;
	unsigned int i;

	vcpu_write(vcpu, other, FRAME(1) | 3);
	for (i = 1; i <= 50; i++) {
		remap(vcpu, LEVEL2, (i % 2 ? other : LEVEL1) | 3, VA);
		CHECK_EQ(vcpu_read(vcpu, VA), 100 + i % 2);
	}
	if (on_shadow())
		CHECK(shadow_count("emulated") > emulated);
}

/* The processor sets them, or the shadow does in its place. */
static void test_accessed_and_dirty_flags(void)
{
	struct vcpu *vcpu = vcpu_with_page();

	CHECK_EQ(vcpu_read(vcpu, LEVEL1) & 0x60, 0x20);
	vcpu_write(vcpu, VA, 5);
	CHECK_EQ(vcpu_read(vcpu, LEVEL1) & 0x60, 0x60);
	CHECK_EQ(vcpu_read(vcpu, FRAME(0)), 5);
	remap(vcpu, LEVEL1, FRAME(0) | 3, VA);
	CHECK_EQ(vcpu_read(vcpu, VA), 5);
	CHECK_EQ(vcpu_read(vcpu, LEVEL1) & 0x60, 0x20);
}

/* A page table that maps itself: the write to it goes through it. */
static void test_table_maps_itself(void)
{
	struct vcpu *vcpu = vcpu_with_page();
	unsigned int i;

	remap(vcpu, LEVEL1 + 8, LEVEL1 | 3, VA + 0x1000);
	for (i = 1; i <= 20; i++) {
		remap(vcpu, VA + 0x1000, FRAME(i % 2) | 3, VA);
		CHECK_EQ(vcpu_read(vcpu, VA), 100 + i % 2);
	}
	/* The level-2 table as its own leaf table. */
	remap(vcpu, LEVEL2 + 8, LEVEL2 | 3, VA + 0x200000);
	for (i = 1; i <= 20; i++) {
		remap(vcpu, VA + 0x201000 + 16, FRAME(i % 2) | 3, VA + 0x400000);
		CHECK_EQ(vcpu_read(vcpu, LEVEL2 + 16) & ~0xfffull, FRAME(i % 2));
		remap(vcpu, LEVEL2 + 16, 0, VA + 0x400000);
	}
	CHECK_EQ(vcpu_read(vcpu, VA), 100);
}

/* Level-2 tables one behind the other, and one store that changes an entry in each. */
static void test_write_to_two_tables(void)
{
	const uint64_t level3 = GUEST_SHARED_GPA + GUEST_PDPT, first = FRAME(4);
	const uint64_t va[] = { 2ull << 30, 3ull << 30 };
	struct vcpu *vcpu = vcpu_with_page();
	unsigned int i;

	vcpu_write(vcpu, FRAME(2), FRAME(1) | 3);
	for (i = 0; i < 2; i++) {
		vcpu_write(vcpu, first + i * 0x1000, LEVEL1 | 3);
		remap(vcpu, level3 + 16 + i * 8, (first + i * 0x1000) | 3, va[i]);
	}
	vcpu_write(vcpu, first + 511 * 8, LEVEL1 | 3);
	for (i = 1; i <= 10; i++) {
		CHECK_EQ(vcpu_read(vcpu, va[0] + 511 * 0x200000ull), 100);
		CHECK_EQ(vcpu_read(vcpu, va[1]), 100 + (i + 1) % 2);
		/* The upper half of the last entry of one, the lower half of the first. */
		remap(vcpu, first + 0x1000 - 4, ((i % 2 ? FRAME(2) : LEVEL1) | 3) << 32, va[1]);
	}
}

/* What one vCPU writes without an exit, another finds after its own INVLPG. */
static void test_another_vcpu_invalidates(void)
{
	uint64_t tables[] = { LEVEL1, FRAME(2) };
	struct vm *vm;
	unsigned int i;

	need_cpus(2);
	vm = vm_new_plain_irqchip(IRQCHIP_NONE);
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	for (i = 0; i < 2; i++) {
		*ram_word(vm, 0, FRAME(i)) = 100 + i;
		*ram_word(vm, 0, tables[i]) = FRAME(i) | 3;
	}
	*ram_word(vm, 0, LEVEL2) = LEVEL1 | 3;
	vcpus_start(vm, 2);
	for (i = 1; i <= 100; i++) {
		CHECK_EQ(vcpu_read(&vm->vcpu[1], VA), 100 + (i + 1) % 2);
		vcpu_write(&vm->vcpu[0], LEVEL2, tables[i % 2] | 3);
		remap(&vm->vcpu[1], FRAME(6), 0, VA);
		CHECK_EQ(vcpu_read(&vm->vcpu[1], VA), 100 + i % 2);
	}
}

/*
 * Two vCPUs take turns, by the word at RDI.  One maps a table, by the entry at RSI, and takes
 * it away again, all without an exit.  The other reads at RBX in between, and again after
 * INVLPG: R8 counts the page faults, RCX the rounds.
 */
asm(".pushsection guest_text, \"ax\"\n"
    "turns_of_writer:\n"
    "1: pause\n cmpq $0, (%rdi)\n jne 1b\n"
    "mov %rdx, (%rsi)\n movq $1, (%rdi)\n"
    "2: pause\n cmpq $2, (%rdi)\n jne 2b\n"
    "movq $0, (%rsi)\n movq $3, (%rdi)\n"
    "jmp 1b\n"
    "turns_of_reader:\n"
    "1: pause\n cmpq $1, (%rdi)\n jne 1b\n"
    "mov (%rbx), %rax\n movq $2, (%rdi)\n"
    "2: pause\n cmpq $3, (%rdi)\n jne 2b\n"
    "invlpg (%rbx)\n mov (%rbx), %rax\n movq $0, (%rdi)\n"
    "dec %rcx\n jnz 1b\n"
    "out %al, $0x10\n"
    /* #PF: behind the 3 bytes that read. */
    "turns_page_fault:\n"
    "add $8, %rsp\n addq $3, (%rsp)\n inc %r8\n iretq\n"
    ".popsection\n");
extern const char turns_of_writer[], turns_of_reader[], turns_page_fault[];

static uint64_t code_at(const char *label)
{
	return GUEST_SHARED_GPA + GUEST_CODE + (uint64_t)(label - __start_guest_text);
}

static void start_at(struct vcpu *vcpu, uint64_t rip, struct kvm_regs regs)
{
	regs.rip = rip;
	regs.rsp = GUEST_SHARED_GPA + GUEST_STACK_TOP(vcpu->index);
	regs.rflags = 2;
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	/* It shows no beats. */
	vcpu->guest->halt = 1;
	vcpu_start(vcpu);
}

static void test_table_comes_and_goes_between_exits(void)
{
	const uint64_t turn = FRAME(5), rounds = 100;
	uint64_t *gate, handler = code_at(turns_page_fault);
	struct kvm_regs regs;
	struct vm *vm;

	need_cpus(2);
	vm = vm_new_plain_irqchip(IRQCHIP_NONE);
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	gate = (uint64_t *)(vm->shared + GUEST_IDT + GUEST_PF_VECTOR * 16);
	gate[0] = (handler & 0xffff) | 8 << 16 | 0x8e00ull << 32 | handler >> 16 << 48;
	*ram_word(vm, 0, LEVEL1) = FRAME(0) | 3;
	vm_vcpu_add(vm);
	vm_vcpu_add(vm);
	start_at(&vm->vcpu[0], code_at(turns_of_writer),
		 (struct kvm_regs) { .rdi = turn, .rsi = LEVEL2, .rdx = LEVEL1 | 3 });
	start_at(&vm->vcpu[1], code_at(turns_of_reader),
		 (struct kvm_regs) { .rdi = turn, .rbx = VA, .rcx = rounds });
	vcpu_wait_outside(&vm->vcpu[1]);
	OK(try_ioctl(vm->vcpu[1].fd, KVM_GET_REGS, &regs));
	CHECK_EQ(regs.r8, rounds);
}

static void expect_fault(struct vcpu *vcpu, enum guest_cmd cmd, uint64_t va)
{
	vcpu->catch = true;
	vcpu_ask(vcpu, cmd, va, 1, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.port, GUEST_FAULT_PORT);
}

/* #PF, with the address in CR2, and the error code where the handler has popped it. */
static void check_fault(struct vcpu *vcpu, uint64_t va, uint64_t error_code)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint64_t pushed;

	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	CHECK_EQ(sregs.cr2, va);
	memcpy(&pushed, vcpu->vm->shared + (regs.rsp - 8 - GUEST_SHARED_GPA), sizeof(pushed));
	CHECK_EQ(pushed, error_code);
}

static void test_unmapped_page_faults(void)
{
	struct vcpu *vcpu = vcpu_with_page();

	remap(vcpu, LEVEL1, 0, VA);
	expect_fault(vcpu, GUEST_READ, VA + 0x10);
	check_fault(vcpu, VA + 0x10, 0);
}

static void test_page_under_an_unmapped_table_faults(void)
{
	struct vcpu *vcpu = vcpu_with_page();

	remap(vcpu, LEVEL2, 0, VA);
	expect_fault(vcpu, GUEST_READ, VA);
	check_fault(vcpu, VA, 0);
}

static void test_read_only_page_faults(void)
{
	struct vcpu *vcpu = vcpu_with_page();

	remap(vcpu, LEVEL1, FRAME(0) | 1, VA);
	CHECK_EQ(vcpu_read(vcpu, VA), 100);
	expect_fault(vcpu, GUEST_WRITE, VA);
	check_fault(vcpu, VA, 3);
	CHECK_EQ(*ram_word(vcpu->vm, 0, FRAME(0)), 100);
}

/* ---- all the time -------------------------------------------------------- */

static void check_churn(struct vcpu *vcpu)
{
	vcpu_wait_done(vcpu);
	CHECK_EQ(vcpu->guest->result[0], 0);
}

static void test_churn(void)
{
	struct vcpu *vcpu = one_vcpu();
	uint64_t rounds = 300;

	vcpu_ask_churn(vcpu, rounds);
	check_churn(vcpu);
	note("a round of edited page tables takes %llu cycles",
	     (unsigned long long)vcpu->guest->result[1] / (unsigned long long)rounds);
}

/* Beside it the host takes the tables and the pages away, and they come back the same. */
static void test_churn_of_three_vcpus(void)
{
	struct vm *vm;
	int i, round;

	need_cpus(3);
	vm = vm_new_plain_irqchip(IRQCHIP_NONE);
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	/* What madvise takes comes back from a file. */
	OK(try_set_slot(vm, 0, SLOT_RAM, 0, 0, 0, vm->ram[0]));
	vm->ram[0] = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);
	CHECK(vm->ram[0] != MAP_FAILED);
	OK(try_set_slot(vm, 0, SLOT_RAM, 0, 0, RAM_BYTES, vm->ram[0]));
	vcpus_start(vm, 3);
	for (i = 0; i < 3; i++)
		vcpu_ask_churn(&vm->vcpu[i], 100);
	for (round = 0; round < 30; round++) {
		CHECK(!madvise(vm->ram[0] + tap_random() % 0x80 * 0x1000, 0x40000,
			       MADV_DONTNEED));
		usleep(1000);
	}
	for (i = 0; i < 3; i++)
		check_churn(&vm->vcpu[i]);
}

/*
 * A page that nothing but an opened entry maps: the kernel writes it with CR0.WP = 0, below a
 * table that is read-only.  The host takes it while the guest writes.
 */
static void test_opened_page_is_taken(void)
{
	/* 1: incq (%rax); jmp 1b */
	static const uint8_t code[] = { 0x48, 0xff, 0x00, 0xeb, 0xfb };
	const uint64_t gpa = 0x4000000;
	struct vcpu *vcpu = one_vcpu();
	int fd = memfd_create("page", MFD_CLOEXEC);
	uint64_t seen, flushes = 0, *count;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint8_t *page;

	vcpu_stop(vcpu);
	CHECK(fd >= 0 && !ftruncate(fd, 0x1000));
	page = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	count = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(page != MAP_FAILED && count != MAP_FAILED);
	OK(try_set_slot(vcpu->vm, 0, 9, 0, gpa, 0x1000, page));
	*ram_word(vcpu->vm, 0, LEVEL2) = LEVEL1 | 1;
	*ram_word(vcpu->vm, 0, LEVEL1) = gpa | 3;
	memcpy(ram_word(vcpu->vm, 0, FRAME(0)), code, sizeof(code));
	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	sregs.cr0 &= ~0x10000ull;
	regs.rip = FRAME(0);
	regs.rax = VA;
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	/* It shows no beats. */
	vcpu->guest->halt = 1;
	vcpu->catch = true;
	vcpu_start(vcpu);
	WAIT_UNTIL(__atomic_load_n(count, __ATOMIC_SEQ_CST) > 100);
	/* More rights: the host itself has nothing to flush, and brings no CPU out. */
	if (on_shadow())
		flushes = shadow_count("flushes");
	CHECK(!mprotect(page, 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC));
	if (on_shadow())
		CHECK(shadow_count("flushes") > flushes);
	seen = __atomic_load_n(count, __ATOMIC_SEQ_CST);
	WAIT_UNTIL(__atomic_load_n(count, __ATOMIC_SEQ_CST) > seen + 100);
	CHECK(!mprotect(page, 0x1000, PROT_NONE));
	seen = __atomic_load_n(count, __ATOMIC_SEQ_CST);
	vcpu_wait_outside(vcpu);
	CHECK_RET(vcpu->caught, -EFAULT);
	CHECK_EQ(*count, seen);
}

/* ---- VMs of both kinds ---------------------------------------------------- */

static int create_ept_vm(void)
{
	int device = open("/dev/hyprv", O_RDWR | O_CLOEXEC), ret;

	CHECK(device >= 0);
	ret = try_ioctl(device, KVM_CREATE_VM, (void *)HYPRV_VM_EPT);
	close(device);
	return ret;
}

/* Who boots the emulated PC knows whether its CPU has what EPT needs. */
static void test_ept_is_refused_where_it_is_not(void)
{
	int ret = create_ept_vm();

	if (getenv("HYPR_NO_EPT"))
		CHECK_RET(ret, -EOPNOTSUPP);
	else
		CHECK(ret >= 0);
}

static void test_both_kinds_at_once(void)
{
	struct vcpu *ept, *shadow;
	uint64_t faults;

	if (create_ept_vm() == -EOPNOTSUPP)
		skip("this CPU has not what EPT needs");
	harness_vm_type = HYPRV_VM_EPT;
	ept = one_vcpu();
	harness_vm_type = HYPRV_VM_SHADOW;
	faults = shadow_count("faults");
	/* The same CPU has vCPUs of both kinds, one after the other. */
	vcpu_stop(ept);
	shadow = one_vcpu();
	vcpu_ask_churn(shadow, 20);
	check_churn(shadow);
	CHECK(shadow_count("faults") > faults);
	vcpu_stop(shadow);
	vcpu_start(ept);
	faults = shadow_count("faults");
	vcpu_ask_churn(ept, 20);
	check_churn(ept);
	CHECK_EQ(shadow_count("faults"), faults);
	harness_vm_type = 0;
	CHECK_RET(try_ioctl(ept->vm->kvm, KVM_CREATE_VM, (void *)(HYPRV_VM_SHADOW + 1)),
		  -EINVAL);
}

/* The state after reset is real mode. */
static void test_real_mode_needs_ept(void)
{
	struct vm *vm;
	struct vcpu *vcpu;
	struct kvm_sregs sregs;

	harness_vm_type = HYPRV_VM_SHADOW;
	vm = vm_new_plain_irqchip(IRQCHIP_NONE);
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	vcpu = vm_vcpu_add(vm);
	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	sregs.cr0 &= ~0x80000000ull;
	sregs.efer = 0;
	sregs.cs.l = 0;
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
	OK(try_ioctl(vcpu->fd, KVM_RUN, NULL));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	CHECK_RET(try_ioctl(vcpu->fd, KVM_RUN, NULL), -EIO);
}

static const struct test tests[] = {
	{ "a leaf entry that changes is followed", test_leaf_entry_changes },
	{ "an upper entry that changes is followed", test_upper_entry_changes },
	{ "accessed and dirty flags are set", test_accessed_and_dirty_flags },
	{ "page tables that map themselves", test_table_maps_itself },
	{ "one store to two page tables", test_write_to_two_tables },
	{ "a vCPU writes a table, another invalidates", test_another_vcpu_invalidates },
	{ "a table that comes and goes between two exits",
	  test_table_comes_and_goes_between_exits },
	{ "a page that the guest unmaps is a #PF", test_unmapped_page_faults },
	{ "so is one under a table that it unmaps", test_page_under_an_unmapped_table_faults },
	{ "so is a write to a page that it makes read-only", test_read_only_page_faults },
	{ "page tables that change all the time", test_churn },
	{ "the same on three vCPUs, while the host takes memory", test_churn_of_three_vcpus },
	{ "a page is taken that the guest writes by an opened entry", test_opened_page_is_taken },
	{ "EPT is refused on a CPU that lacks what it needs", test_ept_is_refused_where_it_is_not },
	{ "a VM with EPT beside one with shadow paging", test_both_kinds_at_once },
	{ "a guest without paging needs EPT", test_real_mode_needs_ept },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
