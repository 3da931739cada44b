// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions that exit, and that hyprv executes in the CPU's place: what they change, and
 * the exceptions that they end in.  It is what a CPU does: the program also runs on /dev/kvm.
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

#define TF		0x100ull

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
static struct vcpu *vcpu_with(const void *code, size_t bytes)
{
	struct kvm_regs regs = { .rip = CODE, .rsp = STACK_TOP, .rflags = 2 };
	struct vm *vm;

	need_cpus(1);
	vm = vm_new_plain_irqchip(IRQCHIP_NONE);
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	write_handlers(vm);
	memcpy(ram_word(vm, 0, CODE), code, bytes);
	vm_vcpu_add(vm);
	OK(try_ioctl(vm->vcpu[0].fd, KVM_SET_REGS, &regs));
	return &vm->vcpu[0];
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

static const struct test tests[] = {
	{ "debug registers are for level 0", test_debug_registers_at_level_3 },
	{ "INT1 traps once", test_int1_traps_once },
	{ "a step over STI, and over MOV SS", test_steps_over_blocking },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
