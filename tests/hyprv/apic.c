// SPDX-License-Identifier: GPL-2.0-only
/*
 * Local APICs of hyprv, as a guest and as user space see them.  Nearly all of it is KVM's
 * behaviour with a split irqchip: the program also runs on /dev/kvm.
 */
#define _GNU_SOURCE
#include "abi.h"
#include "harness.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MSR(offset)	(0x800 + (offset) / 16)
#define ID		0x20
#define VERSION		0x30
#define TPR		0x80
#define EOI		0xb0
#define LDR		0xd0
#define ISR		0x100
#define IRR		0x200
#define ICR		0x300
#define ICR_HIGH	0x310
#define LVT_TIMER	0x320
#define INITIAL		0x380
#define CURRENT		0x390
#define DIVIDE		0x3e0
#define SELF_IPI	0x3f0

#define PERIODIC	(1u << 17)
#define MASKED		(1u << 16)
#define BY_1		0xb
#define MS		1000000u	/* counts of the timer */
#define INIT_IPI	0x4500
#define STARTUP_IPI	0x4600
#define TO_OTHERS	0xc0000
/* The word of GUEST_WAKE_VECTOR, and its bit. */
#define WAKE_WORD	(GUEST_WAKE_VECTOR / 32 * 16)
#define WAKE_BIT	(1u << GUEST_WAKE_VECTOR % 32)

static struct vm *vm_with_apics(int nr_vcpus, bool xapic)
{
	struct vm *vm;

	need_cpus(nr_vcpus);
	vm = vm_new_plain_irqchip(IRQCHIP_SPLIT);
	vm->xapic = xapic;
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	vcpus_start(vm, nr_vcpus);
	return vm;
}

static uint64_t rdmsr(struct vcpu *vcpu, uint32_t offset)
{
	vcpu_do(vcpu, GUEST_RDMSR, MSR(offset), 0, 0);
	return vcpu->guest->result[0];
}

static void wrmsr(struct vcpu *vcpu, uint32_t offset, uint64_t value)
{
	vcpu_do(vcpu, GUEST_WRMSR, MSR(offset), value, 0);
}

static uint32_t page_read(struct vcpu *vcpu, uint32_t offset)
{
	vcpu_do(vcpu, GUEST_READ32, GUEST_APIC_VA + offset, 0, 0);
	return (uint32_t)vcpu->guest->result[0];
}

static void page_write(struct vcpu *vcpu, uint32_t offset, uint32_t value)
{
	vcpu_do(vcpu, GUEST_WRITE32, GUEST_APIC_VA + offset, value, 0);
}

static uint64_t wakes(struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->guest->wakes, __ATOMIC_SEQ_CST);
}

static int msi(struct vm *vm, uint32_t id, uint32_t data)
{
	struct kvm_msi arg = { .address_lo = 0xfee00000 | id << 12, .data = data };

	return try_ioctl(vm->fd, KVM_SIGNAL_MSI, &arg);
}

/* ---- registers -------------------------------------------------------------- */

static void test_x2apic_registers(void)
{
	struct vm *vm = vm_with_apics(2, false);
	int i;

	for (i = 0; i < 2; i++) {
		CHECK_EQ(rdmsr(&vm->vcpu[i], ID), i);
		CHECK_EQ(rdmsr(&vm->vcpu[i], VERSION) & 0xff, 0x14);
		CHECK_EQ(rdmsr(&vm->vcpu[i], LDR), 1 << i);
		wrmsr(&vm->vcpu[i], TPR, 0x30);
		CHECK_EQ(rdmsr(&vm->vcpu[i], TPR), 0x30);
	}
}

static void test_page_registers(void)
{
	struct vcpu *vcpu = &vm_with_apics(2, true)->vcpu[1];

	CHECK_EQ(page_read(vcpu, ID), 1u << 24);
	CHECK_EQ(page_read(vcpu, VERSION) & 0xff, 0x14);
	page_write(vcpu, LDR, 0x02000000);
	CHECK_EQ(page_read(vcpu, LDR), 0x02000000);
	vcpu_do(vcpu, GUEST_SET_CR8, 5, 0, 0);
	CHECK_EQ(page_read(vcpu, TPR), 0x50);
	page_write(vcpu, TPR, 0x20);
	CHECK_EQ(page_read(vcpu, TPR), 0x20);
	vcpu_stop(vcpu);
	CHECK_EQ(vcpu->run->cr8, 2);
}

/* ---- interrupts ------------------------------------------------------------- */

static void test_self_ipi(void)
{
	struct vcpu *vcpu = &vm_with_apics(1, false)->vcpu[0];
	uint64_t i;

	for (i = 1; i <= 50; i++) {
		wrmsr(vcpu, SELF_IPI, GUEST_WAKE_VECTOR);
		WAIT_UNTIL(wakes(vcpu) == i);
	}
	CHECK_EQ(rdmsr(vcpu, ISR + WAKE_WORD), 0);
	CHECK_EQ(rdmsr(vcpu, IRR + WAKE_WORD), 0);
}

/* In service until the guest writes EOI; the next one waits for that. */
static void test_page_eoi(void)
{
	struct vm *vm = vm_with_apics(1, true);
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t *grant = ram_word(vm, 0, GUEST_FREE_GPA);

	/* The handler takes this word back in place of an EOI. */
	vcpu->guest->pv_eoi_gpa = GUEST_FREE_GPA;
	*grant = 1;
	page_write(vcpu, ICR, 0x40000 | GUEST_WAKE_VECTOR);
	WAIT_UNTIL(wakes(vcpu) == 1);
	CHECK_EQ(page_read(vcpu, ISR + WAKE_WORD), WAKE_BIT);
	page_write(vcpu, ICR, 0x40000 | GUEST_WAKE_VECTOR);
	CHECK_EQ(page_read(vcpu, IRR + WAKE_WORD), WAKE_BIT);
	CHECK_EQ(wakes(vcpu), 1);
	*grant = 1;
	page_write(vcpu, EOI, 0);
	WAIT_UNTIL(wakes(vcpu) == 2);
	page_write(vcpu, EOI, 0);
	CHECK_EQ(page_read(vcpu, ISR + WAKE_WORD), 0);
}

static void test_priority_holds_back(void)
{
	struct vcpu *vcpu = &vm_with_apics(1, false)->vcpu[0];

	vcpu_do(vcpu, GUEST_SET_CR8, GUEST_WAKE_VECTOR >> 4, 0, 0);
	wrmsr(vcpu, SELF_IPI, GUEST_WAKE_VECTOR);
	CHECK_EQ(rdmsr(vcpu, IRR + WAKE_WORD), WAKE_BIT);
	CHECK_EQ(wakes(vcpu), 0);
	vcpu_do(vcpu, GUEST_SET_CR8, 0, 0, 0);
	WAIT_UNTIL(wakes(vcpu) == 1);
}

static void test_ipi_to_others(void)
{
	struct vm *vm = vm_with_apics(3, false);
	uint64_t i;

	for (i = 1; i <= 20; i++) {
		wrmsr(&vm->vcpu[0], ICR, 1ull << 32 | GUEST_WAKE_VECTOR);
		WAIT_UNTIL(wakes(&vm->vcpu[1]) == i);
	}
	CHECK_EQ(wakes(&vm->vcpu[2]), 0);
	wrmsr(&vm->vcpu[1], ICR, TO_OTHERS | GUEST_WAKE_VECTOR);
	WAIT_UNTIL(wakes(&vm->vcpu[0]) == 1 && wakes(&vm->vcpu[2]) == 1);
	CHECK_EQ(wakes(&vm->vcpu[1]), 20);
	/* By logical address, two of them. */
	wrmsr(&vm->vcpu[1], ICR, 5ull << 32 | 0x800 | GUEST_WAKE_VECTOR);
	WAIT_UNTIL(wakes(&vm->vcpu[0]) == 2 && wakes(&vm->vcpu[2]) == 2);
	CHECK_EQ(wakes(&vm->vcpu[1]), 20);
}

static void test_ipi_wakes_halted(void)
{
	struct vm *vm = vm_with_apics(2, false);
	struct vcpu *sleeper = &vm->vcpu[1];
	int i;

	for (i = 0; i < 20; i++) {
		vcpu_halt(sleeper);
		__atomic_store_n(&sleeper->guest->halt, 0, __ATOMIC_SEQ_CST);
		wrmsr(&vm->vcpu[0], ICR, 1ull << 32 | GUEST_WAKE_VECTOR);
		vcpu_wait_done(sleeper);
		vcpu_halt(sleeper);
		vcpu_wake(sleeper);
	}
	CHECK_EQ(wakes(sleeper), 40);
}

static void test_messages(void)
{
	struct vm *vm = vm_with_apics(2, false);
	struct kvm_msi bad = { .address_lo = 0xfee00000, .data = 0x40, .flags = 2 };

	CHECK_RET(msi(vm, 1, GUEST_WAKE_VECTOR), 1);
	WAIT_UNTIL(wakes(&vm->vcpu[1]) == 1);
	/* Nobody has that ID. */
	CHECK_RET(msi(vm, 9, GUEST_WAKE_VECTOR), on_hyprv() ? 0 : -1);
	CHECK_RET(try_ioctl(vm->fd, KVM_SIGNAL_MSI, &bad), -EINVAL);
	if (!on_hyprv())
		return;
	CHECK_RET(msi(vm, 1, 3), -EINVAL);
	CHECK_RET(msi(vm, 1, 0x200 | GUEST_WAKE_VECTOR), -EINVAL);
	bad = (struct kvm_msi) { .address_lo = 0xfed00000, .data = 0x40 };
	CHECK_RET(try_ioctl(vm->fd, KVM_SIGNAL_MSI, &bad), -EINVAL);
	vm = vm_new_plain_irqchip(IRQCHIP_NONE);
	CHECK_RET(msi(vm, 0, GUEST_WAKE_VECTOR), -EINVAL);
}

/* ---- the timer -------------------------------------------------------------- */

static void test_one_shot(void)
{
	struct vcpu *vcpu = &vm_with_apics(1, false)->vcpu[0];
	uint64_t before;

	wrmsr(vcpu, DIVIDE, BY_1);
	wrmsr(vcpu, LVT_TIMER, GUEST_WAKE_VECTOR);
	wrmsr(vcpu, INITIAL, 5 * MS);
	WAIT_UNTIL(wakes(vcpu) == 1);
	CHECK_EQ(rdmsr(vcpu, CURRENT), 0);
	/* It counts down, and masked it tells nobody. */
	wrmsr(vcpu, LVT_TIMER, MASKED | GUEST_WAKE_VECTOR);
	wrmsr(vcpu, INITIAL, 4000 * MS);
	before = rdmsr(vcpu, CURRENT);
	CHECK(before > 1000 * MS);
	WAIT_UNTIL(rdmsr(vcpu, CURRENT) < before);
	wrmsr(vcpu, INITIAL, 0);
	CHECK_EQ(rdmsr(vcpu, CURRENT), 0);
	CHECK_EQ(wakes(vcpu), 1);
}

static void test_periodic_wakes_halted(void)
{
	struct vcpu *vcpu = &vm_with_apics(1, false)->vcpu[0];
	uint64_t seen;

	wrmsr(vcpu, DIVIDE, BY_1);
	wrmsr(vcpu, LVT_TIMER, PERIODIC | GUEST_WAKE_VECTOR);
	vcpu->guest->halt = 1;
	wrmsr(vcpu, INITIAL, 2 * MS);
	vcpu_ask(vcpu, GUEST_HALT, 0, 0, 0);
	WAIT_UNTIL(wakes(vcpu) >= 20);
	__atomic_store_n(&vcpu->guest->halt, 0, __ATOMIC_SEQ_CST);
	vcpu_wait_done(vcpu);
	wrmsr(vcpu, INITIAL, 0);
	seen = wakes(vcpu);
	usleep(10000);
	CHECK_EQ(vcpu_view(vcpu), 0);
	CHECK_EQ(wakes(vcpu), seen);
}

/* A timer of a nanosecond's period neither stops the guest nor the host. */
static void test_shortest_period(void)
{
	struct vcpu *vcpu = &vm_with_apics(1, false)->vcpu[0];
	int i;

	wrmsr(vcpu, DIVIDE, BY_1);
	wrmsr(vcpu, LVT_TIMER, PERIODIC | GUEST_WAKE_VECTOR);
	wrmsr(vcpu, INITIAL, 1);
	for (i = 0; i < 20; i++)
		CHECK_EQ(vcpu_view(vcpu), 0);
	WAIT_UNTIL(wakes(vcpu) >= 5);
	wrmsr(vcpu, INITIAL, 0);
}

/* ---- other processors --------------------------------------------------------- */

static void test_init_and_startup(void)
{
	/* movw $0x1234, 0x7000; hlt; jmp to the hlt: in real mode, at page 0x10 */
	static const uint8_t code[] = {
		0xc7, 0x06, 0x00, 0x70, 0x34, 0x12, 0xf4, 0xeb, 0xfd,
	};
	struct kvm_mp_state state;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct vcpu *other;
	struct vm *vm;

	/* Shadow paging has no real mode. */
	harness_vm_type = on_hyprv() ? HYPRV_VM_EPT : 0;
	vm = vm_with_apics(2, false);
	other = &vm->vcpu[1];
	memcpy(vm->ram[0] + 0x10000, code, sizeof(code));
	/* A startup is for one that waits for it. */
	wrmsr(&vm->vcpu[0], ICR, 1ull << 32 | STARTUP_IPI | 0x10);
	CHECK_EQ(vcpu_view(other), 0);
	wrmsr(&vm->vcpu[0], ICR, 1ull << 32 | INIT_IPI);
	vcpu_wait_asleep(other);
	wrmsr(&vm->vcpu[0], ICR, 1ull << 32 | STARTUP_IPI | 0x10);
	WAIT_UNTIL((*ram_word(vm, 0, 0x7000) & 0xffff) == 0x1234);
	vcpu_wait_asleep(other);
	vcpu_stop(other);
	OK(try_ioctl(other->fd, KVM_GET_MP_STATE, &state));
	OK(try_ioctl(other->fd, KVM_GET_REGS, &regs));
	OK(try_ioctl(other->fd, KVM_GET_SREGS, &sregs));
	CHECK_EQ(state.mp_state, KVM_MP_STATE_HALTED);
	CHECK_EQ(regs.rip, 7);
	CHECK_EQ(sregs.cs.base, 0x10000);
	CHECK_EQ(sregs.cs.selector, 0x1000);
	CHECK_EQ(sregs.efer, 0);
	CHECK_EQ(sregs.cr0 & 0x80000001, 0);
}

static void test_new_vcpu_waits(void)
{
	struct vm *vm = vm_new_plain_irqchip(IRQCHIP_SPLIT);
	struct kvm_mp_state state;
	int i, fd;

	for (i = 0; i < 2; i++) {
		fd = try_ioctl(vm->fd, KVM_CREATE_VCPU, (void *)(uintptr_t)i);
		CHECK(fd >= 0);
		OK(try_ioctl(fd, KVM_GET_MP_STATE, &state));
		CHECK_EQ(state.mp_state, i ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE);
		state.mp_state = 99;
		CHECK_RET(try_ioctl(fd, KVM_SET_MP_STATE, &state), -EINVAL);
	}
}

/* ---- swaps -------------------------------------------------------------------- */

static void test_halted_vcpu_is_swapped(void)
{
	struct vm *vm;
	int i;

	need_cpus(2);
	vm = vm_new_irqchip(IRQCHIP_SPLIT);
	vm_views_add(vm, 1);
	vcpus_start(vm, 2);
	OK(try_prepare(vm, KVM_HYPR_VIEW_FIRST));
	for (i = 0; i < 20; i++) {
		unsigned int view = i & 1 ? 0 : KVM_HYPR_VIEW_FIRST;

		vcpu_halt(&vm->vcpu[1]);
		vm_swap_all(vm, view, KVM_EPT_SWAP_FORCE);
		vcpu_wake(&vm->vcpu[1]);
		check_all_in_view(vm, view);
	}
	CHECK_EQ(wakes(&vm->vcpu[1]), 20);
}

/* None is lost while the vCPUs are swapped as fast as it goes. */
static void test_ipis_during_swaps(void)
{
	struct vm *vm;
	int i;

	need_cpus(2);
	vm = vm_new_irqchip(IRQCHIP_SPLIT);
	vm_views_add(vm, 1);
	vcpus_start(vm, 2);
	OK(try_prepare(vm, KVM_HYPR_VIEW_FIRST));
	for (i = 1; i <= 200; i++) {
		vcpu_ask(&vm->vcpu[0], GUEST_WRMSR, MSR(ICR), 1ull << 32 | GUEST_WAKE_VECTOR, 0);
		vm_swap_all(vm, i & 1 ? KVM_HYPR_VIEW_FIRST : 0, KVM_EPT_SWAP_FORCE);
		CHECK_RET(msi(vm, 0, GUEST_WAKE_VECTOR), 1);
		WAIT_UNTIL(wakes(&vm->vcpu[1]) == (uint64_t)i && wakes(&vm->vcpu[0]) == (uint64_t)i);
		vcpu_wait_done(&vm->vcpu[0]);
	}
}

/* ---- state -------------------------------------------------------------------- */

static void test_state_comes_back(void)
{
	struct vm *vm = vm_with_apics(2, false);
	struct vcpu *vcpu = &vm->vcpu[1];
	struct kvm_lapic_state before, after;

	vcpu_do(vcpu, GUEST_SET_CR8, 15, 0, 0);
	wrmsr(vcpu, DIVIDE, BY_1);
	wrmsr(vcpu, LVT_TIMER, MASKED | PERIODIC | 0x55);
	wrmsr(vcpu, INITIAL, 4000u * MS);
	vcpu_stop(vcpu);
	/* What was posted is in it. */
	CHECK_RET(msi(vm, 1, GUEST_WAKE_VECTOR), 1);
	OK(try_ioctl(vcpu->fd, KVM_GET_LAPIC, &before));
	CHECK_EQ(*(uint32_t *)(before.regs + IRR + WAKE_WORD), WAKE_BIT);
	CHECK(*(uint32_t *)(before.regs + CURRENT));
	/* What is posted now goes with the state that is replaced. */
	CHECK_RET(msi(vm, 1, 0x99), 1);
	OK(try_ioctl(vcpu->fd, KVM_SET_LAPIC, &before));
	OK(try_ioctl(vcpu->fd, KVM_GET_LAPIC, &after));
	memset(before.regs + CURRENT, 0, 4);
	memset(after.regs + CURRENT, 0, 4);
	if (on_hyprv())
		CHECK(!memcmp(&before, &after, sizeof(before)));
	vcpu_start(vcpu);
	CHECK_EQ(wakes(vcpu), 0);
	vcpu_do(vcpu, GUEST_SET_CR8, 0, 0, 0);
	WAIT_UNTIL(wakes(vcpu) == 1);
	vcpu_stop(vcpu);
	*(uint32_t *)(before.regs + ID) = 7;
	CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_LAPIC, &before), -EINVAL);
}

static void test_other_state_comes_back(void)
{
	struct vcpu *vcpu = &vm_with_apics(1, false)->vcpu[0];
	struct kvm_debugregs debug = { .db = { 1, 2, 3, 4 }, .dr6 = 0xffff0ff1, .dr7 = 0x400 };
	struct kvm_vcpu_events events = { .flags = KVM_VCPUEVENT_VALID_SHADOW }, events_after;
	struct kvm_debugregs debug_after;
	struct kvm_xcrs xcrs;
	uint64_t offset = 0x123456789, offset_after = 0;
	struct kvm_device_attr attr = { .addr = (uintptr_t)&offset };

	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &debug));
	OK(try_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &debug_after));
	CHECK(!memcmp(&debug, &debug_after, sizeof(debug)));
	debug.flags = 1;
	CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &debug), -EINVAL);
	debug.flags = 0;
	debug.dr7 = 1ull << 32;
	CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &debug), -EINVAL);

	events.interrupt.injected = 1;
	events.interrupt.nr = GUEST_WAKE_VECTOR;
	OK(try_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
	OK(try_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events_after));
	CHECK_EQ(events_after.interrupt.injected, 1);
	CHECK_EQ(events_after.interrupt.nr, GUEST_WAKE_VECTOR);
	events.flags = 1u << 31;
	CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events), -EINVAL);

	OK(try_ioctl(vcpu->fd, KVM_GET_XCRS, &xcrs));
	if (xcrs.nr_xcrs) {
		OK(try_ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs));
		xcrs.xcrs[0].value = 0;
		CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs), -EINVAL);
	}

	OK(try_ioctl(vcpu->fd, KVM_HAS_DEVICE_ATTR, &attr));
	OK(try_ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &attr));
	attr.addr = (uintptr_t)&offset_after;
	OK(try_ioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr));
	CHECK_EQ(offset_after, offset);
	attr.attr = 77;
	CHECK_RET(try_ioctl(vcpu->fd, KVM_HAS_DEVICE_ATTR, &attr), -ENXIO);
	CHECK(try_ioctl(vcpu->fd, KVM_GET_TSC_KHZ, NULL) > 1000);

	/* The interrupt under way arrives: the guest runs the handler, which writes EOI. */
	vcpu_start(vcpu);
	WAIT_UNTIL(wakes(vcpu) == 1);
}

static void inject(struct vcpu *vcpu, bool nmi)
{
	struct kvm_vcpu_events events = { .nmi.injected = nmi };

	events.interrupt.injected = !nmi;
	events.interrupt.nr = GUEST_WAKE_VECTOR;
	OK(try_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
}

/* What the local APIC has in service, KVM_SET_REGS does not take away. */
static void test_registers_leave_interrupts(void)
{
	struct vcpu *vcpu = &vm_with_apics(1, false)->vcpu[0];
	struct kvm_vcpu_events events;
	struct kvm_regs regs;

	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	inject(vcpu, true);
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	OK(try_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	CHECK_EQ(events.nmi.injected, 1);
	inject(vcpu, false);
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	vcpu_start(vcpu);
	WAIT_UNTIL(wakes(vcpu) == 1);
	if (!on_hyprv())
		return;
	/* With interrupts off it waits. */
	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	regs.rflags &= ~0x200ull;
	inject(vcpu, false);
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	vcpu_start(vcpu);
	CHECK_EQ(wakes(vcpu), 1);
	vcpu_do(vcpu, GUEST_READ_CLI, GUEST_ID_GPA, 0, 0);
	WAIT_UNTIL(wakes(vcpu) == 2);
}

/* Each of them is one that can be read and set. */
static void test_msr_list(void)
{
	struct vcpu *vcpu = &vm_with_apics(1, false)->vcpu[0];
	struct {
		struct kvm_msr_list head;
		uint32_t index[512];
	} list = { .head.nmsrs = 0 };
	uint32_t i;

	vcpu_stop(vcpu);
	CHECK_RET(try_ioctl(vcpu->vm->kvm, KVM_GET_MSR_INDEX_LIST, &list), -E2BIG);
	CHECK(list.head.nmsrs > 5 && list.head.nmsrs < 512);
	OK(try_ioctl(vcpu->vm->kvm, KVM_GET_MSR_INDEX_LIST, &list));
	for (i = 0; on_hyprv() && i < list.head.nmsrs; i++) {
		struct {
			struct kvm_msrs head;
			struct kvm_msr_entry entry;
		} msr = { .head.nmsrs = 1, .entry.index = list.index[i] };

		CHECK_RET(try_ioctl(vcpu->fd, KVM_GET_MSRS, &msr), 1);
		CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_MSRS, &msr), 1);
	}
}

static void test_when_it_is_too_late(void)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct vm *vm = vm_new_plain_irqchip(IRQCHIP_NONE);
	struct kvm_lapic_state lapic;
	uint8_t *memory = memory_new(0x1000);

	cap.args[0] = 1000;
	CHECK_RET(try_ioctl(vm->fd, KVM_ENABLE_CAP, &cap), -EINVAL);
	cap.args[0] = 24;
	vm_vcpu_add(vm);
	CHECK_RET(try_ioctl(vm->fd, KVM_ENABLE_CAP, &cap), -EEXIST);
	CHECK_RET(try_ioctl(vm->vcpu[0].fd, KVM_GET_LAPIC, &lapic), -EINVAL);
	CHECK_RET(try_ioctl(vm->vcpu[0].fd, KVM_SET_LAPIC, &lapic), -EINVAL);
	vm = vm_new_plain_irqchip(IRQCHIP_SPLIT);
	CHECK_RET(try_ioctl(vm->fd, KVM_ENABLE_CAP, &cap), -EEXIST);
	if (!on_hyprv())
		return;
	/* Their page is theirs. */
	CHECK_RET(try_set_slot(vm, 0, 0, 0, 0xfee00000, 0x1000, memory), -EEXIST);
	vm = vm_new_plain_irqchip(IRQCHIP_NONE);
	OK(try_set_slot(vm, 0, 0, 0, 0xfee00000, 0x1000, memory));
	CHECK_RET(try_ioctl(vm->fd, KVM_ENABLE_CAP, &cap), -EEXIST);
}

static const struct test tests[] = {
	{ "x2APIC: ID, version, logical ID, priority", test_x2apic_registers },
	{ "xAPIC: the page; CR8 is its TPR", test_page_registers },
	{ "IPIs to self arrive, 50 times", test_self_ipi },
	{ "an interrupt is in service until EOI", test_page_eoi },
	{ "the TPR holds an interrupt back", test_priority_holds_back },
	{ "IPIs to one, to all others, by logical ID", test_ipi_to_others },
	{ "an IPI and a message wake a halted vCPU, 40 times", test_ipi_wakes_halted },
	{ "messages from user space, and those that are refused", test_messages },
	{ "the one-shot timer", test_one_shot },
	{ "the periodic timer wakes a halted vCPU", test_periodic_wakes_halted },
	{ "the shortest period leaves guest and host time", test_shortest_period },
	{ "INIT and startup begin in real mode", test_init_and_startup },
	{ "a new vCPU waits for INIT", test_new_vcpu_waits },
	{ "a halted vCPU is swapped, and woken there", test_halted_vcpu_is_swapped },
	{ "no interrupt is lost in 200 swaps", test_ipis_during_swaps },
	{ "KVM_GET_LAPIC and KVM_SET_LAPIC", test_state_comes_back },
	{ "events, debug registers, XCR0, the TSC's offset", test_other_state_comes_back },
	{ "KVM_SET_REGS leaves interrupts that are under way", test_registers_leave_interrupts },
	{ "the list of MSRs", test_msr_list },
	{ "EEXIST: APICs after a vCPU or memory, memory at their page", test_when_it_is_too_late },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
