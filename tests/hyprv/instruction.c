// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions that exit, and that hyprv executes in the CPU's place: what they change, and
 * the exceptions that they end in.
 */
#define _GNU_SOURCE
#include "abi.h"
#include "harness.h"

#include <string.h>
#include <sys/ioctl.h>

#define CODE		((uint64_t)GUEST_FREE_GPA)
#define HANDLERS	(CODE + 0x1000)
#define STACK_TOP	(CODE + 0x3000)
#define DONE_PORT	0x80
/* The handler of each exception writes to a port of its own. */
#define VECTOR_PORT(i)	(0xa0 + (i))
#define VECTOR_DB	1
#define VECTOR_GP	13
#define VECTOR_AC	17

#define IDT32		(CODE + 0x4000)
#define PD32		(CODE + 0x5000)

#define TF		0x100ull
#define AC		0x40000ull
#define CR0_ON		0x80010033ull
#define CR0_PG		0x80000000ull
#define CR0_AM		0x40000ull
#define CR0_CD		0x40000000ull
#define CR4_PSE		0x10ull
#define CR4_PAE		0x20ull
#define CR4_MCE		0x40ull
#define CR4_PCIDE	0x20000ull
#define EFER_LME	0x100ull
#define EFER_LMA	0x400ull

static void write_handlers(struct vm *vm)
{
	uint64_t *gate = (uint64_t *)(vm->shared + GUEST_IDT);
	uint64_t at = HANDLERS, i;

	for (i = 0; i < 32; i++, at += 8) {
		/* out %al, $port; jmp to the out */
		*ram_word(vm, 0, at) = 0xfceb00e6 | VECTOR_PORT(i) << 8;
		gate[2 * i] = (at & 0xffff) | 8 << 16 | 0x8e00ull << 32 | at >> 16 << 48;
		gate[2 * i + 1] = 0;
	}
	/* The TSS: RSP0. */
	memcpy(vm->shared + GUEST_TSS + 4, &(uint64_t){ STACK_TOP }, 8);
}

/* A vCPU at level 0 that will execute @code. */
static struct vcpu *vcpu_beside(enum irqchip irqchip, const void *code, size_t bytes)
{
	struct kvm_regs regs = { .rip = CODE, .rsp = STACK_TOP, .rflags = 2 };
	struct vm *vm;

	need_cpus(1);
	vm = vm_new_plain_irqchip(irqchip);
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	write_handlers(vm);
	memcpy(ram_word(vm, 0, CODE), code, bytes);
	vm_vcpu_add(vm);
	OK(try_ioctl(vm->vcpu[0].fd, KVM_SET_REGS, &regs));
	return &vm->vcpu[0];
}

static struct vcpu *vcpu_with(const void *code, size_t bytes)
{
	return vcpu_beside(IRQCHIP_NONE, code, bytes);
}

static struct kvm_regs regs_of(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	return regs;
}

static void regs_set(struct vcpu *vcpu, struct kvm_regs regs)
{
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
}

static struct kvm_sregs sregs_of(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	return sregs;
}

static void sregs_set(struct vcpu *vcpu, struct kvm_sregs sregs)
{
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
}

/* It runs up to an OUT to @port. */
static void runs_to(struct vcpu *vcpu, unsigned int port)
{
	OK(try_ioctl(vcpu->fd, KVM_RUN, NULL));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.port, port);
}

/* Word @i of the stack in a handler: the error code of an exception that has one, RIP, ... */
static uint64_t pushed(struct vcpu *vcpu, unsigned int i)
{
	return *ram_word(vcpu->vm, 0, regs_of(vcpu).rsp + 8 * i);
}

static void faults_gp(struct vcpu *vcpu, uint64_t rip)
{
	runs_to(vcpu, VECTOR_PORT(VECTOR_GP));
	CHECK_EQ(pushed(vcpu, 0), 0);
	CHECK_EQ(pushed(vcpu, 1), rip);
}

/* ---- privilege ----------------------------------------------------------- */

/* The same code at level 3, and tables that allow it. */
static void go_to_level_3(struct vcpu *vcpu)
{
	struct kvm_sregs sregs = sregs_of(vcpu);
	static const uint32_t tables[] = { GUEST_PML4, GUEST_PDPT, GUEST_PD };
	size_t i;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		vcpu->vm->shared[tables[i]] |= 4;
	sregs.cs.selector = 0x23;
	sregs.cs.dpl = 3;
	sregs.ss.selector = 0x2b;
	sregs.ss.dpl = 3;
	sregs_set(vcpu, sregs);
}

static void test_debug_registers_at_level_3(void)
{
	/* mov %rax, %dr0 or so */
	static const uint8_t rows[][3] = {
		{ 0x0f, 0x23, 0xc0 }, { 0x0f, 0x23, 0xf8 }, { 0x0f, 0x21, 0xc0 },
		{ 0x0f, 0x21, 0xf0 },
	};
	struct kvm_debugregs before, after;
	struct kvm_regs regs;
	struct vcpu *vcpu;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		vcpu = vcpu_with(rows[i], sizeof(rows[i]));
		go_to_level_3(vcpu);
		regs = regs_of(vcpu);
		regs.rax = 0x1234;
		regs_set(vcpu, regs);
		OK(try_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &before));
		faults_gp(vcpu, CODE);
		CHECK_EQ(regs_of(vcpu).rax, 0x1234);
		OK(try_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &after));
		CHECK(!memcmp(&before, &after, sizeof(before)));
		vm_close(vcpu->vm);
	}
}

/* What the guest asks for itself is its own, whatever the host watches for. */
static void test_alignment_is_checked(void)
{
	/* mov 1(%rbx), %eax */
	static const uint8_t code[] = { 0x8b, 0x43, 0x01 };
	struct vcpu *vcpu = vcpu_with(code, sizeof(code));
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	go_to_level_3(vcpu);
	sregs = sregs_of(vcpu);
	sregs.cr0 |= CR0_AM;
	sregs_set(vcpu, sregs);
	regs = regs_of(vcpu);
	regs.rbx = CODE;
	regs.rflags |= AC;
	regs_set(vcpu, regs);
	runs_to(vcpu, VECTOR_PORT(VECTOR_AC));
	CHECK_EQ(pushed(vcpu, 0), 0);
	CHECK_EQ(pushed(vcpu, 1), CODE);
}

/* ---- debug exceptions ------------------------------------------------------ */

/* INT1 is a trap: the handler's IRET leads behind it. */
static void test_int1_traps_once(void)
{
	/* int1; out %al, $DONE_PORT */
	static const uint8_t code[] = { 0xf1, 0xe6, DONE_PORT };
	/* out %al, $port; iretq */
	static const uint8_t handler[] = { 0xe6, VECTOR_PORT(VECTOR_DB), 0x48, 0xcf };
	struct vcpu *vcpu = vcpu_with(code, sizeof(code));

	memcpy(ram_word(vcpu->vm, 0, HANDLERS + 8 * VECTOR_DB), handler, sizeof(handler));
	runs_to(vcpu, VECTOR_PORT(VECTOR_DB));
	CHECK_EQ(pushed(vcpu, 0), CODE + 1);
	runs_to(vcpu, DONE_PORT);
}

/* A step over STI or MOV SS, after which interrupts are still blocked. */
static void test_steps_over_blocking(void)
{
	/* sti; nop; out %al, $DONE_PORT, and mov %eax, %ss in place of sti */
	static const uint8_t sti[] = { 0xfb, 0x90, 0xe6, DONE_PORT };
	static const uint8_t mov_ss[] = { 0x8e, 0xd0, 0x90, 0xe6, DONE_PORT };
	struct vcpu *vcpu = vcpu_with(sti, sizeof(sti));
	struct kvm_debugregs debug;
	struct kvm_regs regs;

	regs = regs_of(vcpu);
	regs.rflags |= TF;
	regs_set(vcpu, regs);
	runs_to(vcpu, VECTOR_PORT(VECTOR_DB));
	CHECK_EQ(pushed(vcpu, 0), CODE + 1);
	OK(try_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &debug));
	CHECK_EQ(debug.dr6 & 0x4000, 0x4000);

	vcpu = vcpu_with(mov_ss, sizeof(mov_ss));
	regs = regs_of(vcpu);
	regs.rflags |= TF;
	regs.rax = 16;
	regs_set(vcpu, regs);
	runs_to(vcpu, VECTOR_PORT(VECTOR_DB));
	CHECK_EQ(pushed(vcpu, 0), CODE + 3);
}

/* The step over HLT ends it, with a local APIC and without. */
static void test_step_over_hlt(void)
{
	/* hlt; out %al, $DONE_PORT */
	static const uint8_t code[] = { 0xf4, 0xe6, DONE_PORT };
	static const enum irqchip rows[] = { IRQCHIP_NONE, IRQCHIP_SPLIT };
	struct kvm_regs regs;
	struct vcpu *vcpu;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		vcpu = vcpu_beside(rows[i], code, sizeof(code));
		regs = regs_of(vcpu);
		regs.rflags |= TF;
		regs_set(vcpu, regs);
		runs_to(vcpu, VECTOR_PORT(VECTOR_DB));
		CHECK_EQ(pushed(vcpu, 0), CODE + 1);
	}
}

/* ---- control registers ------------------------------------------------------ */

/* A bit that is the host's makes the move exit: CR0.CD, CR4.MCE. */
static const uint8_t mov_cr0[] = { 0x0f, 0x22, 0xc0 };
static const uint8_t mov_cr4[] = { 0x0f, 0x22, 0xe0 };

/* 32-bit protected mode with paging off; the handlers are there too. */
static void go_to_32_bits(struct vcpu *vcpu)
{
	struct kvm_sregs sregs = sregs_of(vcpu);
	uint64_t at = HANDLERS, i;

	for (i = 0; i < 32; i++, at += 8)
		*ram_word(vcpu->vm, 0, IDT32 + 8 * i) =
			(at & 0xffff) | 8 << 16 | 0x8e00ull << 32 | at >> 16 << 48;
	sregs.idt.base = IDT32;
	sregs.cs.l = 0;
	sregs.cs.db = 1;
	sregs.cr0 = CR0_ON & ~CR0_PG;
	sregs.cr3 = PD32;
	sregs.cr4 = 0;
	sregs.efer = 0;
	sregs_set(vcpu, sregs);
}

static struct vcpu *vcpu_32(const uint8_t *code, uint64_t value)
{
	struct vcpu *vcpu;
	struct kvm_regs regs;

	/* Shadow paging has no such mode. */
	harness_vm_type = on_hyprv() ? HYPRV_VM_EPT : 0;
	vcpu = vcpu_with(code, 3);
	go_to_32_bits(vcpu);
	regs = regs_of(vcpu);
	regs.rax = value;
	regs_set(vcpu, regs);
	return vcpu;
}

static struct vcpu *vcpu_64(const uint8_t *code, uint64_t value)
{
	struct vcpu *vcpu = vcpu_with(code, 3);
	struct kvm_regs regs = regs_of(vcpu);

	regs.rax = value;
	regs_set(vcpu, regs);
	return vcpu;
}

/* Its handler has a frame of 32-bit words. */
static void faults_gp_32(struct vcpu *vcpu)
{
	runs_to(vcpu, VECTOR_PORT(VECTOR_GP));
	CHECK_EQ(pushed(vcpu, 0), CODE << 32);
}

static void test_paging_off_in_64_bit_mode(void)
{
	struct vcpu *vcpu = vcpu_64(mov_cr0, (CR0_ON | CR0_CD) & ~CR0_PG);

	faults_gp(vcpu, CODE);
	CHECK_EQ(sregs_of(vcpu).cr0, CR0_ON);
}

static void test_upper_half_of_cr0(void)
{
	faults_gp(vcpu_64(mov_cr0, CR0_ON | CR0_CD | 1ull << 32), CODE);
}

static void test_paging_off_with_pcids(void)
{
	struct vcpu *vcpu = vcpu_64(mov_cr0, (CR0_ON | CR0_CD) & ~CR0_PG);
	struct kvm_sregs sregs = sregs_of(vcpu);

	/* Compatibility mode. */
	sregs.cs.l = 0;
	sregs.cs.db = 1;
	sregs.cr4 |= CR4_PCIDE;
	sregs_set(vcpu, sregs);
	faults_gp(vcpu, CODE);
}

static void test_long_mode_from_64_bit_segment(void)
{
	struct vcpu *vcpu = vcpu_32(mov_cr0, CR0_ON | CR0_CD);
	struct kvm_sregs sregs = sregs_of(vcpu);

	sregs.cs.l = 1;
	sregs.cs.db = 0;
	sregs.cr3 = GUEST_SHARED_GPA + GUEST_PML4;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME;
	sregs_set(vcpu, sregs);
	faults_gp_32(vcpu);
	CHECK_EQ(sregs_of(vcpu).efer, EFER_LME);
}

static void test_long_mode_with_16_bit_tss(void)
{
	struct vcpu *vcpu = vcpu_32(mov_cr0, CR0_ON | CR0_CD);
	struct kvm_sregs sregs = sregs_of(vcpu);

	sregs.tr.type = 3;
	sregs.cr3 = GUEST_SHARED_GPA + GUEST_PML4;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME;
	sregs_set(vcpu, sregs);
	faults_gp_32(vcpu);
}

static void test_pcids_outside_of_long_mode(void)
{
	faults_gp_32(vcpu_32(mov_cr4, CR4_MCE | CR4_PCIDE));
}

static void test_pcids_with_a_pcid(void)
{
	struct vcpu *vcpu = vcpu_64(mov_cr4, CR4_PAE | CR4_MCE | CR4_PCIDE);
	struct kvm_sregs sregs = sregs_of(vcpu);

	/* CR3.PWT; the low bits are a PCID as soon as there are PCIDs. */
	sregs.cr3 |= 8;
	sregs_set(vcpu, sregs);
	faults_gp(vcpu, CODE);
}

static void ends(struct vcpu *vcpu)
{
	OK(try_ioctl(vcpu->fd, KVM_RUN, NULL));
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
}

/* The CPU would load PDPTEs: hyprv ends the VM. */
static void test_pae_under_paging(void)
{
	struct vcpu *vcpu = vcpu_32(mov_cr4, CR4_PSE | CR4_MCE | CR4_PAE);
	struct kvm_sregs sregs = sregs_of(vcpu);

	*ram_word(vcpu->vm, 0, PD32) = 0xe3;
	sregs.cr0 |= CR0_PG;
	sregs.cr4 = CR4_PSE;
	sregs_set(vcpu, sregs);
	ends(vcpu);
}

/* 32-bit code under PAE paging, which maps the first 2 MiB, with PDPTEs of SET_SREGS. */
static struct vcpu *vcpu_pae(struct vcpu *vcpu)
{
	struct kvm_sregs sregs = sregs_of(vcpu);

	*ram_word(vcpu->vm, 0, PD32) = (PD32 + 0x1000) | 1;
	*ram_word(vcpu->vm, 0, PD32 + 0x1000) = 0xe3;
	sregs.cr0 |= CR0_PG;
	sregs.cr4 = CR4_PAE;
	sregs_set(vcpu, sregs);
	return vcpu;
}

static void test_caching_under_pae(void)
{
	ends(vcpu_pae(vcpu_32(mov_cr0, CR0_ON | CR0_CD)));
}

static void test_large_pages_under_pae(void)
{
	ends(vcpu_pae(vcpu_32(mov_cr4, CR4_PAE | CR4_MCE | CR4_PSE)));
}

/* A bit for which the CPU loads none. */
static void test_machine_checks_under_pae(void)
{
	/* mov %eax, %cr4; out %al, $DONE_PORT */
	static const uint8_t code[] = { 0x0f, 0x22, 0xe0, 0xe6, DONE_PORT };
	struct vcpu *vcpu = vcpu_pae(vcpu_32(mov_cr4, CR4_PAE | CR4_MCE));

	memcpy(ram_word(vcpu->vm, 0, CODE), code, sizeof(code));
	runs_to(vcpu, DONE_PORT);
	CHECK_EQ(sregs_of(vcpu).cr4, CR4_PAE | CR4_MCE);
}

/* What is right goes through. */
static void test_control_registers_change(void)
{
	/* mov %rax, %cr0; mov %rbx, %cr4; out %al, $DONE_PORT */
	static const uint8_t code[] = {
		0x0f, 0x22, 0xc0, 0x0f, 0x22, 0xe3, 0xe6, DONE_PORT,
	};
	struct vcpu *vcpu = vcpu_with(code, sizeof(code));
	struct kvm_regs regs = regs_of(vcpu);

	regs.rax = CR0_ON | CR0_CD;
	regs.rbx = CR4_PAE | CR4_MCE | CR4_PCIDE;
	regs_set(vcpu, regs);
	runs_to(vcpu, DONE_PORT);
	CHECK_EQ(sregs_of(vcpu).cr0, CR0_ON | CR0_CD);
	CHECK_EQ(sregs_of(vcpu).cr4, CR4_PAE | CR4_MCE | CR4_PCIDE);
}

/* From 32-bit code, whose registers have upper halves of another time. */
static void test_long_mode_begins(void)
{
	/* mov %eax, %cr0; out %al, $DONE_PORT */
	static const uint8_t code[] = { 0x0f, 0x22, 0xc0, 0xe6, DONE_PORT };
	struct vcpu *vcpu = vcpu_32(mov_cr0, 1ull << 32 | CR0_ON | CR0_CD);
	struct kvm_sregs sregs = sregs_of(vcpu);

	memcpy(ram_word(vcpu->vm, 0, CODE), code, sizeof(code));
	sregs.cr3 = GUEST_SHARED_GPA + GUEST_PML4;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME;
	sregs_set(vcpu, sregs);
	runs_to(vcpu, DONE_PORT);
	CHECK_EQ(sregs_of(vcpu).efer, EFER_LME | EFER_LMA);
}

static const struct test tests[] = {
	{ "debug registers are for level 0", test_debug_registers_at_level_3 },
	{ "alignment is checked at level 3", test_alignment_is_checked },
	{ "INT1 traps once", test_int1_traps_once },
	{ "a step over STI, and over MOV SS", test_steps_over_blocking },
	{ "a step over HLT", test_step_over_hlt },
	{ "CR0 and CR4 change", test_control_registers_change },
	{ "long mode begins", test_long_mode_begins },
	{ "#GP: bits of CR0's upper half", test_upper_half_of_cr0 },
	{ "#GP: paging goes off in 64-bit mode", test_paging_off_in_64_bit_mode },
	{ "#GP: paging goes off with PCIDs on", test_paging_off_with_pcids },
	{ "#GP: long mode begins in a 64-bit segment", test_long_mode_from_64_bit_segment },
	{ "#GP: long mode begins with a 16-bit TSS", test_long_mode_with_16_bit_tss },
	{ "#GP: PCIDs go on outside of long mode", test_pcids_outside_of_long_mode },
	{ "#GP: PCIDs go on while CR3 has low bits", test_pcids_with_a_pcid },
	{ "PAE goes on under paging: the VM ends", test_pae_under_paging },
	{ "CR0.CD changes under PAE paging: the VM ends", test_caching_under_pae },
	{ "CR4.PSE changes under PAE paging: the VM ends", test_large_pages_under_pae },
	{ "CR4.MCE changes under PAE paging", test_machine_checks_under_pae },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
