// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_EPT_SWAP_STATE: the vCPU's state goes with its view.  Each class of registers
 * has a row: with the class left out of vmx/ept_state.c, its row fails.  What is under way
 * in a vCPU is in events_test.c.
 */
#include "harness.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)

#define FORCED_STATE	(KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_STATE)

#define MSR_TSC			0x10
#define MSR_SYSENTER_ESP	0x175
#define MSR_PAT			0x277
#define MSR_X2APIC_TPR		0x808
#define MSR_LSTAR		0xc0000082
#define MSR_FS_BASE		0xc0000100
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_KVM_WALL_CLOCK_NEW	0x4b564d00

#define CR4_TSD			(1ull << 2)
#define CR4_VMXE		(1ull << 13)
#define EFER_SVME		(1ull << 12)
#define APIC_LVT_LINT1		0x360
#define APIC_IRR		0x200

/* ---- the MSRs that are state ------------------------------------------------ */

#define NR_MSRS	5

struct msr_list {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[NR_MSRS];
};

static const struct msr_list the_list = {
	.head.nmsrs = NR_MSRS,
	.entry = {
		{ .index = MSR_SYSENTER_ESP }, { .index = MSR_PAT },
		{ .index = MSR_LSTAR }, { .index = MSR_KERNEL_GS_BASE },
		{ .index = MSR_FS_BASE },
	},
};

static int try_keep_list(struct vcpu *vcpu, unsigned int view, uint32_t flags,
			 uint64_t host_tsc, const void *list)
{
	struct kvm_hypr_keep keep = {
		.view = view,
		.flags = flags,
		.host_tsc = host_tsc,
		.msrs = (uintptr_t)list,
	};

	return try_ioctl(vcpu->fd, KVM_HYPR_KEEP_STATE, &keep);
}

static int try_keep(struct vcpu *vcpu, unsigned int view, uint32_t flags)
{
	return try_keep_list(vcpu, view, flags, 0, &the_list);
}

static int try_get(struct vm *vm, struct kvm_hypr_state *state)
{
	return try_ioctl(vm->fd, KVM_HYPR_GET_STATE, state);
}

/* ---- classes of registers --------------------------------------------------- */

struct class {
	const char *name;
	void (*set)(struct vcpu *vcpu, uint64_t value);
	uint64_t (*get)(struct vcpu *vcpu);
	uint64_t value[2];
};

static struct kvm_sregs sregs_get(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	return sregs;
}

#define SREGS_CLASS(name, field)					\
static void set_##name(struct vcpu *vcpu, uint64_t value)		\
{									\
	struct kvm_sregs sregs = sregs_get(vcpu);			\
									\
	sregs.field = value;						\
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));			\
}									\
static uint64_t get_##name(struct vcpu *vcpu)				\
{									\
	return sregs_get(vcpu).field;					\
}

SREGS_CLASS(fs, fs.base)
SREGS_CLASS(gs, gs.base)
SREGS_CLASS(ldt, ldt.base)
SREGS_CLASS(idt_limit, idt.limit)
SREGS_CLASS(gdt_limit, gdt.limit)
SREGS_CLASS(cr2, cr2)
SREGS_CLASS(cr3, cr3)
SREGS_CLASS(cr4, cr4)

/* The guest's loop uses neither R15 nor the flag ID. */
static void set_r15(struct vcpu *vcpu, uint64_t value)
{
	struct kvm_regs regs;

	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	regs.r15 = value;
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
}

static uint64_t get_r15(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	return regs.r15;
}

#define EFLAGS_ID	(1ull << 21)

static void set_flags(struct vcpu *vcpu, uint64_t value)
{
	struct kvm_regs regs;

	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	regs.rflags = (regs.rflags & ~EFLAGS_ID) | value;
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
}

static uint64_t get_flags(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	return regs.rflags & EFLAGS_ID;
}

/* XMM0, in the legacy region. */
#define XMM0_WORD	(160 / 4)
#define XSTATE_BV_WORD	(512 / 4)

static void set_xmm(struct vcpu *vcpu, uint64_t value)
{
	struct kvm_xsave xsave;

	OK(try_ioctl(vcpu->fd, KVM_GET_XSAVE, &xsave));
	memcpy(&xsave.region[XMM0_WORD], &value, sizeof(value));
	xsave.region[XSTATE_BV_WORD] |= 2;
	OK(try_ioctl(vcpu->fd, KVM_SET_XSAVE, &xsave));
}

static uint64_t get_xmm(struct vcpu *vcpu)
{
	struct kvm_xsave xsave;
	uint64_t value;

	OK(try_ioctl(vcpu->fd, KVM_GET_XSAVE, &xsave));
	memcpy(&value, &xsave.region[XMM0_WORD], sizeof(value));
	return value;
}

static void set_dr1(struct vcpu *vcpu, uint64_t value)
{
	struct kvm_debugregs regs;

	OK(try_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs));
	regs.db[1] = value;
	OK(try_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &regs));
}

static uint64_t get_dr1(struct vcpu *vcpu)
{
	struct kvm_debugregs regs;

	OK(try_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &regs));
	return regs.db[1];
}

static uint64_t msr_get(struct vcpu *vcpu, uint32_t index)
{
	struct msr_list list = { .head.nmsrs = 1, .entry = { { .index = index } } };

	CHECK_EQ(ioctl(vcpu->fd, KVM_GET_MSRS, &list), 1);
	return list.entry[0].data;
}

static void msr_set(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct msr_list list = {
		.head.nmsrs = 1,
		.entry = { { .index = index, .data = value } },
	};

	CHECK_EQ(ioctl(vcpu->fd, KVM_SET_MSRS, &list), 1);
}

#define MSR_CLASS(name, index)						\
static void set_##name(struct vcpu *vcpu, uint64_t value)		\
{									\
	msr_set(vcpu, index, value);					\
}									\
static uint64_t get_##name(struct vcpu *vcpu)				\
{									\
	return msr_get(vcpu, index);					\
}

MSR_CLASS(sysenter, MSR_SYSENTER_ESP)
MSR_CLASS(pat, MSR_PAT)
MSR_CLASS(lstar, MSR_LSTAR)
MSR_CLASS(kernel_gs, MSR_KERNEL_GS_BASE)

#define LINT1_KEPT	0x10400
#define LINT1_LEFT	0x10041

static void set_lapic(struct vcpu *vcpu, uint64_t value)
{
	struct kvm_lapic_state lapic;
	uint32_t word = (uint32_t)value;

	OK(try_ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic));
	memcpy(lapic.regs + APIC_LVT_LINT1, &word, sizeof(word));
	OK(try_ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic));
}

static uint64_t get_lapic(struct vcpu *vcpu)
{
	struct kvm_lapic_state lapic;
	uint32_t word;

	OK(try_ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic));
	memcpy(&word, lapic.regs + APIC_LVT_LINT1, sizeof(word));
	return word;
}

static const struct class classes[] = {
	{ "general registers", set_r15, get_r15, { 0x1111222233334444, 0x5555 } },
	{ "flags", set_flags, get_flags, { EFLAGS_ID, 0 } },
	{ "FPU and vector registers", set_xmm, get_xmm, { 0xabcdef0123456789, 7 } },
	{ "FS base", set_fs, get_fs, { 0x7f0000001000, 0x7f0000002000 } },
	{ "GS base", set_gs, get_gs, { 0x7f0000003000, 0x7f0000004000 } },
	{ "LDT", set_ldt, get_ldt, { 0x5000, 0x6000 } },
	{ "IDT", set_idt_limit, get_idt_limit, { 0xfff, 0xfef } },
	{ "GDT", set_gdt_limit, get_gdt_limit, { 0x7f, 0xff } },
	{ "CR2", set_cr2, get_cr2, { 0x123000, 0x456000 } },
	{ "debug registers", set_dr1, get_dr1, { 0x1000, 0x2000 } },
	{ "SYSENTER", set_sysenter, get_sysenter, { 0x8000, 0x9000 } },
	{ "PAT", set_pat, get_pat, { 0x0007040600070406, 0x0007010600070106 } },
	{ "LSTAR", set_lstar, get_lstar, { 0xa000, 0xb000 } },
	{ "KERNEL_GS_BASE", set_kernel_gs, get_kernel_gs, { 0xc000, 0xd000 } },
	{ "local APIC", set_lapic, get_lapic, { LINT1_KEPT, LINT1_LEFT } },
};

#define NR_CLASSES	(sizeof(classes) / sizeof(classes[0]))

static void set_all(struct vcpu *vcpu, unsigned int which)
{
	unsigned int i;

	for (i = 0; i < NR_CLASSES; i++)
		classes[i].set(vcpu, classes[i].value[which]);
	set_cr4(vcpu, which ? get_cr4(vcpu) | CR4_TSD : get_cr4(vcpu) & ~CR4_TSD);
	/* PCD, which nothing looks at here. */
	set_cr3(vcpu, which ? get_cr3(vcpu) | 0x10 : get_cr3(vcpu) & ~0x10ull);
}

static void check_all(struct vcpu *vcpu, unsigned int which)
{
	unsigned int i;

	for (i = 0; i < NR_CLASSES; i++) {
		uint64_t value = classes[i].get(vcpu);

		if (value != classes[i].value[which])
			FAIL("%s: 0x%llx, not 0x%llx", classes[i].name,
			     (unsigned long long)value,
			     (unsigned long long)classes[i].value[which]);
	}
	CHECK_EQ(!!(get_cr4(vcpu) & CR4_TSD), which);
	CHECK_EQ(!!(get_cr3(vcpu) & 0x10), which);
}

/* ---- VMs ------------------------------------------------------------------- */

/*
 * One vCPU in the boot view.  Its state there has the second values; what is kept for
 * A, as left and as of its moment, has the first.
 */
static struct vm *vm_with_states(void)
{
	struct vm *vm = vm_new_stopped(1);
	struct vcpu *vcpu = &vm->vcpu[0];

	set_all(vcpu, 0);
	OK(try_keep(vcpu, A, 0));
	OK(try_keep(vcpu, A, KVM_HYPR_KEPT_MOMENT));
	OK(try_keep(vcpu, 0, 0));
	set_all(vcpu, 1);
	vcpu_start(vcpu);
	return vm;
}

static void check_stopped(struct vcpu *vcpu, unsigned int which)
{
	vcpu_stop(vcpu);
	check_all(vcpu, which);
	vcpu_start(vcpu);
}

static void test_classes(void)
{
	struct vm *vm = vm_with_states();
	struct vcpu *vcpu = &vm->vcpu[0];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		OK(try_swap_all(vm, A, FORCED_STATE));
		CHECK_EQ(vcpu_view(vcpu), A);
		check_stopped(vcpu, 0);
		OK(try_swap_all(vm, 0, FORCED_STATE));
		CHECK_EQ(vcpu_view(vcpu), 0);
		check_stopped(vcpu, 1);
	}
}

/*
 * KVM learns of what the guest writes, with a VM-exit and without one.  No ioctl on the
 * vCPU comes in between: with one, KVM reads all MSRs.
 */
static void test_written_by_the_guest(void)
{
	struct vm *vm = vm_with_states();
	struct vcpu *vcpu = &vm->vcpu[0];

	OK(try_swap_all(vm, A, FORCED_STATE));
	vcpu_do(vcpu, GUEST_WRMSR, MSR_LSTAR, 0xe000, 0);
	vcpu_do(vcpu, GUEST_WRMSR, MSR_SYSENTER_ESP, 0xf000, 0);
	vcpu_do(vcpu, GUEST_WRMSR, MSR_KERNEL_GS_BASE, 0x11000, 0);
	OK(try_swap_all(vm, 0, FORCED_STATE));
	CHECK_EQ(vcpu_view(vcpu), 0);
	OK(try_swap_all(vm, A, FORCED_STATE));
	CHECK_EQ(vcpu_view(vcpu), A);
	vcpu_stop(vcpu);
	CHECK_EQ(msr_get(vcpu, MSR_LSTAR), 0xe000);
	CHECK_EQ(msr_get(vcpu, MSR_SYSENTER_ESP), 0xf000);
	CHECK_EQ(msr_get(vcpu, MSR_KERNEL_GS_BASE), 0x11000);
	vcpu_start(vcpu);
	OK(try_swap_all(vm, 0, FORCED_STATE));
	check_stopped(vcpu, 1);
}

/* Twice, with what the vCPU had there thrown away. */
static void test_moment(void)
{
	struct vm *vm = vm_with_states();
	struct vcpu *vcpu = &vm->vcpu[0];
	unsigned int i;

	OK(try_swap_all(vm, A, FORCED_STATE | KVM_EPT_SWAP_MOMENT));
	for (i = 0; i < 2; i++) {
		check_stopped(vcpu, 0);
		vcpu_stop(vcpu);
		set_all(vcpu, 1);
		vcpu_start(vcpu);
		OK(try_swap_all(vm, A, FORCED_STATE | KVM_EPT_SWAP_MOMENT));
	}
	check_stopped(vcpu, 0);
	CHECK_EQ(vcpu_view(vcpu), A);
}

/* @lint1: of the view that is left, also as A has it: then nothing else differs. */
static void interrupt_with(uint64_t lint1)
{
	struct vm *vm = vm_with_states();
	struct vcpu *vcpu = &vm->vcpu[0];
	struct guest_cpu *me = vcpu->guest;
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = GUEST_WAKE_VECTOR };
	uint64_t wakes = me->wakes;

	vcpu_stop(vcpu);
	set_lapic(vcpu, lint1);
	vcpu_start(vcpu);
	vcpu_do(vcpu, GUEST_SET_CR8, 15, 0, 0);
	CHECK_EQ(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi), 1);
	OK(try_swap_all(vm, A, FORCED_STATE));
	CHECK_EQ(vcpu_view(vcpu), A);
	/* In A nothing holds interrupts back, and none is there. */
	CHECK_EQ(me->wakes, wakes);
	OK(try_swap_all(vm, 0, FORCED_STATE));
	CHECK_EQ(vcpu_view(vcpu), 0);
	CHECK_EQ(me->wakes, wakes);
	vcpu_do(vcpu, GUEST_SET_CR8, 0, 0, 0);
	WAIT_UNTIL(me->wakes == wakes + 1);
}

/* An interrupt that waits stays with the view that it was sent in. */
static void test_interrupt(void)
{
	interrupt_with(LINT1_LEFT);
	interrupt_with(LINT1_KEPT);
}

/* The guest's clock stops when the vCPU leaves a view. */
static void test_clock(void)
{
	struct vm *vm = vm_with_states();
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_hypr_state state = { .view = 0 };
	uint64_t stopped, now, spent, start;

	OK(try_swap_all(vm, A, FORCED_STATE));
	OK(try_get(vm, &state));
	stopped = state.host_tsc + state.tsc_offset;
	start = __builtin_ia32_rdtsc();
	while (__builtin_ia32_rdtsc() - start < 20000000)
		vcpu_view(vcpu);
	OK(try_swap_all(vm, 0, FORCED_STATE));
	start = __builtin_ia32_rdtsc();
	vcpu_stop(vcpu);
	now = msr_get(vcpu, MSR_TSC);
	spent = __builtin_ia32_rdtsc() - start;
	CHECK(now >= stopped);
	/* The swap itself takes a few thousand cycles. */
	CHECK(now - stopped < spent + 10000000);
}

/* ---- reading --------------------------------------------------------------- */

static void test_get(void)
{
	struct vm *vm = vm_with_states();
	struct vcpu *vcpu = &vm->vcpu[0];
	struct msr_list list = the_list;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic, had_lapic;
	struct kvm_sregs sregs, had;
	struct kvm_xsave xsave;
	struct kvm_regs regs;
	struct kvm_xcrs xcrs;
	struct kvm_hypr_state state = {
		.view = 0,
		.regs = (uintptr_t)&regs,
		.sregs = (uintptr_t)&sregs,
		.xcrs = (uintptr_t)&xcrs,
		.debugregs = (uintptr_t)&debugregs,
		.lapic = (uintptr_t)&lapic,
		.msrs = (uintptr_t)&list,
		.xsave = (uintptr_t)&xsave,
		.xsave_bytes = sizeof(xsave),
	};
	uint64_t xmm;
	uint32_t lint1;

	vcpu_stop(vcpu);
	had = sregs_get(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_LAPIC, &had_lapic));
	vcpu_start(vcpu);
	OK(try_swap_all(vm, A, FORCED_STATE));
	CHECK_EQ(vcpu_view(vcpu), A);
	OK(try_get(vm, &state));
	memcpy(&xmm, &xsave.region[XMM0_WORD], sizeof(xmm));
	memcpy(&lint1, lapic.regs + APIC_LVT_LINT1, sizeof(lint1));
	CHECK_EQ(regs.r15, 0x5555);
	CHECK_EQ(regs.rflags & EFLAGS_ID, 0);
	CHECK_EQ(xmm, 7);
	CHECK_EQ(sregs.fs.base, 0x7f0000002000);
	CHECK_EQ(sregs.cr2, 0x456000);
	CHECK(sregs.cr4 & CR4_TSD);
	CHECK_EQ(debugregs.db[1], 0x2000);
	CHECK_EQ(lint1, 0x10041);
	CHECK_EQ(list.entry[2].data, 0xb000);
	CHECK_EQ(list.entry[3].data, 0xd000);
	CHECK_EQ(list.entry[4].data, 0x7f0000002000);
	/* From CS to the descriptor tables. */
	CHECK(!memcmp(&sregs, &had, offsetof(struct kvm_sregs, cr0)));
	CHECK(!memcmp(&lapic, &had_lapic, sizeof(lapic)));
	CHECK_EQ(xcrs.nr_xcrs, 1);
}

/* ---- errors ---------------------------------------------------------------- */

static void test_nothing_kept(void)
{
	struct vm *vm = vm_with_states();
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_hypr_state state = { .view = B };

	CHECK_RET(try_swap_all(vm, B, FORCED_STATE), -ENXIO);
	CHECK_RET(try_swap_all(vm, B, FORCED_STATE | KVM_EPT_SWAP_MOMENT), -ENXIO);
	CHECK_RET(try_get(vm, &state), -ENXIO);
	CHECK_EQ(vcpu_view(vcpu), 0);
	check_stopped(vcpu, 1);
}

/* The new view has a state, and there is no room for that of the old one. */
static void test_no_room(void)
{
	struct vm *vm = vm_with_states();
	struct vcpu *vcpu = &vm->vcpu[0];

	OK(try_commit(vm, B, KVM_EPT_SWAP_FORCE));
	CHECK_RET(try_swap_all(vm, A, FORCED_STATE), -ENXIO);
	CHECK_EQ(vcpu_view(vcpu), B);
}

static void test_flags(void)
{
	struct vm *vm = vm_with_states();

	CHECK_RET(try_swap_all(vm, A, FORCED_STATE | KVM_EPT_SWAP_RESUME), -EINVAL);
	CHECK_RET(try_swap_all(vm, A, KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_MOMENT), -EINVAL);
	CHECK_RET(try_swap_all(vm, 0, FORCED_STATE), -EINVAL);
	CHECK_RET(try_commit(vm, A, FORCED_STATE), -EINVAL);
	/* A view that cannot be one indexes nothing. */
	CHECK_RET(try_swap_all(vm, B + 1, FORCED_STATE), -ENOENT);
	CHECK_RET(try_swap_all(vm, KVM_HYPR_MAX_VIEWS, FORCED_STATE), -ENOENT);
	CHECK_RET(try_swap_all(vm, 0xfffffff0, FORCED_STATE), -ENOENT);
	CHECK_RET(try_swap_all(vm, ~0u, FORCED_STATE | KVM_EPT_SWAP_MOMENT), -ENOENT);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
}

static void test_stopped(void)
{
	struct vm *vm = vm_with_states();
	struct vcpu *vcpu = &vm->vcpu[0];

	vcpu_stop(vcpu);
	CHECK_RET(try_swap_all(vm, A, FORCED_STATE), -EAGAIN);
	check_all(vcpu, 1);
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 0);
	OK(try_swap_all(vm, A, FORCED_STATE));
	check_stopped(vcpu, 0);
}

static void test_keep_errors(void)
{
	struct vm *vm = vm_with_states();
	struct vcpu *vcpu = &vm->vcpu[0];
	struct msr_list list = the_list;
	struct kvm_hypr_keep keep = { .view = A, .msrs = (uintptr_t)&list };

	vcpu_stop(vcpu);
	CHECK_RET(try_keep(vcpu, KVM_HYPR_VIEW_SMM, 0), -ENOENT);
	CHECK_RET(try_keep(vcpu, B + 1, 0), -ENOENT);
	CHECK_RET(try_keep(vcpu, ~0u, 0), -ENOENT);
	CHECK_RET(try_keep(vcpu, A, 2), -EINVAL);
	CHECK_RET(try_keep_list(vcpu, A, 0, 0, NULL), -EFAULT);
	keep.reserved[4] = 1;
	CHECK_RET(try_ioctl(vcpu->fd, KVM_HYPR_KEEP_STATE, &keep), -EINVAL);

	list.head.nmsrs = KVM_HYPR_KEPT_MAX_MSRS + 1;
	CHECK_RET(try_keep_list(vcpu, A, 0, 0, &list), -E2BIG);
	list.head.nmsrs = NR_MSRS - 1;
	CHECK_RET(try_keep_list(vcpu, A, 0, 0, &list), -EINVAL);
	list = the_list;
	/* Not the list of the other states. */
	list.entry[1].index = 0x12345678;
	CHECK_RET(try_keep_list(vcpu, A, 0, 0, &list), -EINVAL);
	list.entry[1].index = MSR_TSC;
	CHECK_RET(try_keep_list(vcpu, A, 0, 0, &list), -EINVAL);
	list.entry[1].index = MSR_X2APIC_TPR;
	CHECK_RET(try_keep_list(vcpu, A, 0, 0, &list), -EINVAL);
	list.entry[1].index = MSR_KVM_WALL_CLOCK_NEW;
	CHECK_RET(try_keep_list(vcpu, A, 0, 0, &list), -EINVAL);
	list.entry[1].index = MSR_LSTAR;
	CHECK_RET(try_keep_list(vcpu, A, 0, 0, &list), -EINVAL);
	/* Nothing of that has harmed what is kept. */
	vcpu_start(vcpu);
	OK(try_swap_all(vm, A, FORCED_STATE));
	check_stopped(vcpu, 0);
}

static void test_keep_busy(void)
{
	struct vm *vm = vm_with_states();
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE };

	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug));
	CHECK_RET(try_keep(vcpu, A, 0), -EBUSY);
	vcpu_start(vcpu);
	CHECK_RET(try_swap_all(vm, A, FORCED_STATE), -EBUSY);
	vcpu_stop(vcpu);
	debug.control = 0;
	OK(try_ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug));
	OK(try_keep(vcpu, A, 0));
	vcpu_mp_state_set(vcpu, KVM_MP_STATE_UNINITIALIZED);
	CHECK_RET(try_keep(vcpu, A, 0), -EBUSY);
}

/* VMX operation, or SVM, is more than registers. */
static void test_hypervisor(void)
{
	struct vm *vm = vm_new();
	struct kvm_sregs sregs, had;
	struct vcpu *vcpu;

	if (!vm_has_vmx(vm) && !vm_has_svm(vm))
		skip("this KVM has no nested guests");
	vm->nested = true;
	vm_views_add(vm, 1);
	vcpu = vm_vcpu_add(vm);
	OK(try_prepare(vm, A));
	vcpu_start(vcpu);
	vcpu_stop(vcpu);
	OK(try_keep(vcpu, A, 0));
	OK(try_keep(vcpu, 0, 0));
	had = sregs = sregs_get(vcpu);
	if (vm_has_vmx(vm))
		sregs.cr4 |= CR4_VMXE;
	else
		sregs.efer |= EFER_SVME;
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
	CHECK_RET(try_keep(vcpu, A, 0), -EBUSY);
	vcpu_start(vcpu);
	CHECK_RET(try_swap_all(vm, A, FORCED_STATE), -EBUSY);
	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, &had));
	vcpu_start(vcpu);
	OK(try_swap_all(vm, A, FORCED_STATE));
	CHECK_EQ(vcpu_view(vcpu), A);
}

/* It may come again, and then a swap would go through its list beside another. */
static void test_list_of_a_view_that_is_gone(void)
{
	struct vm *vm = vm_new_stopped(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	struct msr_list list = the_list;

	OK(try_keep(vcpu, B, 0));
	OK(try_set_slot(vm, B, SLOT_RAM, 0, 0, 0, NULL));
	OK(try_set_slot(vm, B, SLOT_CONTROL, 0, 0, 0, NULL));
	OK(try_set_slot(vm, B, SLOT_SHARED, 0, 0, 0, NULL));
	CHECK_RET(try_keep(vcpu, B, 0), -ENOENT);
	list.head.nmsrs = NR_MSRS - 1;
	CHECK_RET(try_keep_list(vcpu, A, 0, 0, &list), -EINVAL);
	OK(try_keep(vcpu, A, 0));
}

static void test_get_errors(void)
{
	struct vm *vm = vm_with_states();
	struct msr_list list = the_list;
	struct kvm_xsave xsave;
	struct kvm_hypr_state state = { .view = A };

	OK(try_get(vm, &state));
	state.view = KVM_HYPR_VIEW_SMM;
	CHECK_RET(try_get(vm, &state), -ENOENT);
	state.view = ~0u;
	CHECK_RET(try_get(vm, &state), -ENOENT);
	state = (struct kvm_hypr_state){ .view = A, .vcpu = 5 };
	CHECK_RET(try_get(vm, &state), -ENOENT);
	state = (struct kvm_hypr_state){ .view = A, .flags = 2 };
	CHECK_RET(try_get(vm, &state), -EINVAL);
	state = (struct kvm_hypr_state){ .view = A, .reserved[1] = 1 };
	CHECK_RET(try_get(vm, &state), -EINVAL);
	state = (struct kvm_hypr_state){ .view = A, .regs = 8 };
	CHECK_RET(try_get(vm, &state), -EFAULT);
	state = (struct kvm_hypr_state){ .view = A, .xsave = (uintptr_t)&xsave };
	CHECK_RET(try_get(vm, &state), -EINVAL);
	state = (struct kvm_hypr_state){ .view = A, .xsave_bytes = sizeof(xsave) };
	CHECK_RET(try_get(vm, &state), -EINVAL);
	list.entry[0].index = MSR_PAT;
	state = (struct kvm_hypr_state){ .view = A, .msrs = (uintptr_t)&list };
	CHECK_RET(try_get(vm, &state), -EINVAL);
}

static const struct test tests[] = {
	{ "each class of registers goes with its view", test_classes },
	{ "what the guest writes into MSRs goes with its view", test_written_by_the_guest },
	{ "back to the moment, again and again", test_moment },
	{ "an interrupt that waits stays with its view", test_interrupt },
	{ "the clock stands still for a view that is left", test_clock },
	{ "KVM_HYPR_GET_STATE reads what was left", test_get },
	{ "ENXIO: nothing is kept for the new view", test_nothing_kept },
	{ "ENXIO: there is no room for the state of the old view", test_no_room },
	{ "EINVAL: flags that do not go together, the active view", test_flags },
	{ "EAGAIN: a vCPU outside KVM_RUN", test_stopped },
	{ "KVM_HYPR_KEEP_STATE's errors", test_keep_errors },
	{ "EBUSY: a vCPU that is debugged, one that was never started", test_keep_busy },
	{ "EBUSY: a vCPU that is a hypervisor", test_hypervisor },
	{ "EINVAL: not the MSRs of a state that is kept for a view without slots",
	  test_list_of_a_view_that_is_gone },
	{ "KVM_HYPR_GET_STATE's errors", test_get_errors },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
