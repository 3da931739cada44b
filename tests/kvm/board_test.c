// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_EPT_SWAP_BOARD: interrupt controllers and PIT go with the view.  Each chip has a
 * row: with the chip left out of vmx/ept_board.c, its row fails.
 */
#include "harness.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)

#define STATE		(KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_STATE)
#define BOARD		(STATE | KVM_EPT_SWAP_BOARD)
#define ONE_CALL	(KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME |	\
			 KVM_EPT_SWAP_STATE | KVM_EPT_SWAP_BOARD)

/* ---- chips ----------------------------------------------------------------- */

#define PIN		5	/* of the I/O APIC; no device is there */
#define PIN_MASKED	(1ull << 16)

static struct kvm_irqchip chip_get(struct vm *vm, uint32_t id)
{
	struct kvm_irqchip chip = { .chip_id = id };

	OK(try_ioctl(vm->fd, KVM_GET_IRQCHIP, &chip));
	return chip;
}

static struct kvm_pit_state2 pit_get(struct vm *vm)
{
	struct kvm_pit_state2 pit;

	OK(try_ioctl(vm->fd, KVM_GET_PIT2, &pit));
	return pit;
}

/* Masked: the guest has no handler for what a PIC hands on. */
static void pic_set(struct vm *vm, uint32_t id, uint64_t value)
{
	struct kvm_irqchip chip = chip_get(vm, id);

	chip.chip.pic.irq_base = (uint8_t)value;
	chip.chip.pic.imr = 0xff;
	OK(try_ioctl(vm->fd, KVM_SET_IRQCHIP, &chip));
}

static void master_set(struct vm *vm, uint64_t value)
{
	pic_set(vm, KVM_IRQCHIP_PIC_MASTER, value);
}

static uint64_t master_get(struct vm *vm)
{
	return chip_get(vm, KVM_IRQCHIP_PIC_MASTER).chip.pic.irq_base;
}

static void slave_set(struct vm *vm, uint64_t value)
{
	pic_set(vm, KVM_IRQCHIP_PIC_SLAVE, value);
}

static uint64_t slave_get(struct vm *vm)
{
	return chip_get(vm, KVM_IRQCHIP_PIC_SLAVE).chip.pic.irq_base;
}

static void ioapic_set(struct vm *vm, uint64_t value)
{
	struct kvm_irqchip chip = chip_get(vm, KVM_IRQCHIP_IOAPIC);

	chip.chip.ioapic.redirtbl[PIN].bits = value | PIN_MASKED;
	OK(try_ioctl(vm->fd, KVM_SET_IRQCHIP, &chip));
}

static uint64_t ioapic_get(struct vm *vm)
{
	return chip_get(vm, KVM_IRQCHIP_IOAPIC).chip.ioapic.redirtbl[PIN].fields.vector;
}

static void pit_set(struct vm *vm, unsigned int channel, uint8_t mode, uint32_t count)
{
	struct kvm_pit_state2 pit = pit_get(vm);

	pit.channels[channel].mode = mode;
	pit.channels[channel].count = count;
	OK(try_ioctl(vm->fd, KVM_SET_PIT2, &pit));
}

static void timer_set(struct vm *vm, uint64_t value)
{
	pit_set(vm, 0, 2, (uint32_t)value);
}

static uint64_t timer_get(struct vm *vm)
{
	return pit_get(vm).channels[0].count;
}

static void speaker_set(struct vm *vm, uint64_t value)
{
	pit_set(vm, 2, (uint8_t)value, 0x1234);
}

static uint64_t speaker_get(struct vm *vm)
{
	return pit_get(vm).channels[2].mode;
}

static const struct chip {
	const char *name;
	void (*set)(struct vm *vm, uint64_t value);
	uint64_t (*get)(struct vm *vm);
	uint64_t value[2];
} chips[] = {
	{ "master PIC", master_set, master_get, { 0x30, 0x40 } },
	{ "slave PIC", slave_set, slave_get, { 0x38, 0x48 } },
	{ "I/O APIC", ioapic_set, ioapic_get, { 0x51, 0x52 } },
	{ "PIT, channel 0", timer_set, timer_get, { 0xf000, 0xff00 } },
	{ "PIT, channel 2", speaker_set, speaker_get, { 3, 0 } },
};

#define NR_CHIPS	(sizeof(chips) / sizeof(chips[0]))

static void chips_set(struct vm *vm, unsigned int which)
{
	unsigned int i;

	for (i = 0; i < NR_CHIPS; i++)
		chips[i].set(vm, chips[i].value[which]);
}

static void check_chips(struct vm *vm, unsigned int which)
{
	unsigned int i;

	for (i = 0; i < NR_CHIPS; i++) {
		uint64_t value = chips[i].get(vm);

		if (value != chips[i].value[which])
			FAIL("%s: 0x%llx, not 0x%llx", chips[i].name,
			     (unsigned long long)value,
			     (unsigned long long)chips[i].value[which]);
	}
}

/* ---- VMs ------------------------------------------------------------------- */

static int try_keep(struct vm *vm, unsigned int view, uint32_t flags)
{
	struct kvm_hypr_keep_board keep = { .view = view, .flags = flags };

	return try_ioctl(vm->fd, KVM_HYPR_KEEP_BOARD, &keep);
}

static int try_get(struct vm *vm, struct kvm_hypr_board *board)
{
	return try_ioctl(vm->fd, KVM_HYPR_GET_BOARD, board);
}

static void keep_vcpu(struct vcpu *vcpu, unsigned int view, uint32_t flags)
{
	struct kvm_msrs none = { 0 };
	struct kvm_hypr_keep keep = {
		.view = view,
		.flags = flags,
		.msrs = (uintptr_t)&none,
	};

	OK(try_ioctl(vcpu->fd, KVM_HYPR_KEEP_STATE, &keep));
}

/* All views of this guest have one stack page.  In A the guest starts in its lower half. */
static void keep_start(struct vcpu *vcpu)
{
	struct kvm_regs regs, lower;

	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	lower = regs;
	lower.rsp -= 0x800;
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &lower));
	keep_vcpu(vcpu, A, 0);
	keep_vcpu(vcpu, A, KVM_HYPR_KEPT_MOMENT);
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
}

/* One vCPU in the boot view, with states for it and for A; chips, and no board kept. */
static struct vm *vm_without_boards(void)
{
	struct kvm_pit_config config = { 0 };
	struct vm *vm;

	need_cpus(1);
	vm = vm_new_prepared(1);
	OK(try_ioctl(vm->fd, KVM_CREATE_PIT2, &config));
	master_set(vm, 0x20);
	slave_set(vm, 0x28);
	keep_start(&vm->vcpu[0]);
	keep_vcpu(&vm->vcpu[0], 0, 0);
	vcpus_start(vm, 1);
	return vm;
}

/* The chips have the second values; what is kept for A has the first. */
static struct vm *vm_with_boards(void)
{
	struct vm *vm = vm_without_boards();

	chips_set(vm, 0);
	OK(try_keep(vm, A, 0));
	OK(try_keep(vm, A, KVM_HYPR_KEPT_MOMENT));
	OK(try_keep(vm, 0, 0));
	chips_set(vm, 1);
	return vm;
}

static void test_chips(void)
{
	struct vm *vm = vm_with_boards();
	unsigned int i;

	for (i = 0; i < 3; i++) {
		OK(try_swap_all(vm, A, BOARD));
		CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
		check_chips(vm, 0);
		OK(try_swap_all(vm, 0, BOARD));
		CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
		check_chips(vm, 1);
	}
}

static void test_moment(void)
{
	struct vm *vm = vm_with_boards();
	unsigned int i;

	OK(try_swap_all(vm, A, BOARD | KVM_EPT_SWAP_MOMENT));
	for (i = 0; i < 2; i++) {
		check_chips(vm, 0);
		chips_set(vm, 1);
		OK(try_swap_all(vm, A, BOARD | KVM_EPT_SWAP_MOMENT));
	}
	check_chips(vm, 0);
}

static void test_without_the_flag(void)
{
	struct vm *vm = vm_with_boards();

	OK(try_swap_all(vm, A, STATE));
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	check_chips(vm, 1);
}

static uint32_t pins_waiting(struct vm *vm)
{
	return chip_get(vm, KVM_IRQCHIP_IOAPIC).chip.ioapic.irr;
}

/* An edge on a masked pin waits in the I/O APIC. */
static void test_interrupt(void)
{
	struct vm *vm = vm_with_boards();
	struct kvm_irq_level line = { .irq = PIN, .level = 1 };

	OK(try_ioctl(vm->fd, KVM_IRQ_LINE, &line));
	CHECK_EQ(pins_waiting(vm), 1u << PIN);
	OK(try_swap_all(vm, A, BOARD));
	CHECK_EQ(pins_waiting(vm), 0);
	OK(try_swap_all(vm, 0, BOARD));
	CHECK_EQ(pins_waiting(vm), 1u << PIN);
}

/* ---- the PIT's one-shot -------------------------------------------------------- */

static bool tick_waits(struct vm *vm)
{
	return chip_get(vm, KVM_IRQCHIP_PIC_MASTER).chip.pic.irr & 1;
}

static void tick_forget(struct vm *vm)
{
	struct kvm_irqchip chip = chip_get(vm, KVM_IRQCHIP_PIC_MASTER);

	chip.chip.pic.irr = 0;
	OK(try_ioctl(vm->fd, KVM_SET_IRQCHIP, &chip));
}

#define ONE_MS_COUNT	1193

static void test_one_shot_that_ran_out(void)
{
	struct vm *vm = vm_without_boards();
	uint64_t end;

	OK(try_keep(vm, A, 0));
	pit_set(vm, 0, 0, ONE_MS_COUNT);
	WAIT_UNTIL(tick_waits(vm));
	tick_forget(vm);
	OK(try_keep(vm, 0, 0));
	OK(try_swap_all(vm, A, BOARD));
	OK(try_swap_all(vm, 0, BOARD));
	/* One that had been started would tick now. */
	end = now_ns() + 20000000;
	while (now_ns() < end)
		vcpu_view(&vm->vcpu[0]);
	CHECK(!tick_waits(vm));
	CHECK_EQ(pit_get(vm).channels[0].count, ONE_MS_COUNT);
}

static void test_one_shot_that_runs(void)
{
	struct vm *vm = vm_without_boards();

	tick_forget(vm);
	pit_set(vm, 0, 0, 0xffff);
	OK(try_keep(vm, A, 0));
	pit_set(vm, 0, 5, 0xffff);
	OK(try_keep(vm, 0, 0));
	CHECK(!tick_waits(vm));
	OK(try_swap_all(vm, A, BOARD));
	WAIT_UNTIL(tick_waits(vm));
}

/*
 * KVM raises no tick before the last one has had its EOI.  That one is in the view that was
 * left, so a timer that is alike in both has to tick in the new one all the same.
 */
static void test_periodic(void)
{
	struct vm *vm = vm_without_boards();
	unsigned int i;

	tick_forget(vm);
	pit_set(vm, 0, 2, 0xffff);
	OK(try_keep(vm, A, 0));
	OK(try_keep(vm, A, KVM_HYPR_KEPT_MOMENT));
	OK(try_keep(vm, 0, 0));
	CHECK(!tick_waits(vm));
	for (i = 0; i < 3; i++) {
		WAIT_UNTIL(tick_waits(vm));
		OK(try_swap_all(vm, A, i ? BOARD | KVM_EPT_SWAP_MOMENT : BOARD));
	}
	WAIT_UNTIL(tick_waits(vm));
}

/* ---- the whole swap in one call -------------------------------------------------- */

static void test_one_call(void)
{
	struct vm *vm = vm_with_boards();
	struct hypr_control_vcpu *control = &vm->control->vcpu[0];
	uint64_t i;

	vm_control_page_register(vm);
	vcpu_do(&vm->vcpu[0], GUEST_ONLINE, 0, 0, 0);
	for (i = 0; i < 4; i++) {
		OK(try_swap_all(vm, i % 2 ? 0 : A, ONE_CALL));
		CHECK_EQ(vcpu_view(&vm->vcpu[0]), i % 2 ? 0 : A);
		check_chips(vm, i % 2);
		CHECK_EQ(control->state, HYPR_VCPU_RUNNING);
	}
	/* It has left the park loop of the boot view twice, and that of A once. */
	WAIT_UNTIL(control->pauses == 3);
}

static void test_does_not_park(void)
{
	struct vm *vm = vm_with_boards();
	struct kvm_hypr_swap swap = {
		.view = A,
		.flags = ONE_CALL,
		.timeout_ns = 5000000,
	};

	vm_control_page_register(vm);
	vcpu_do(&vm->vcpu[0], GUEST_ONLINE, 0, 0, 0);
	vcpu_do(&vm->vcpu[0], GUEST_SET_CR8, 15, 0, 0);
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap), -EAGAIN);
	CHECK_EQ(vm->control->vcpu[0].state, HYPR_VCPU_RUNNING);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	check_chips(vm, 1);
}

/* ---- reading --------------------------------------------------------------- */

static void test_get(void)
{
	struct vm *vm = vm_with_boards();
	struct kvm_pic_state master, slave;
	struct kvm_ioapic_state ioapic;
	struct kvm_pit_state2 pit;
	struct kvm_hypr_board board = {
		.view = 0,
		.pic_master = (uintptr_t)&master,
		.pic_slave = (uintptr_t)&slave,
		.ioapic = (uintptr_t)&ioapic,
		.pit = (uintptr_t)&pit,
	};

	OK(try_swap_all(vm, A, BOARD));
	OK(try_get(vm, &board));
	CHECK_EQ(master.irq_base, chips[0].value[1]);
	CHECK_EQ(slave.irq_base, chips[1].value[1]);
	CHECK_EQ(ioapic.redirtbl[PIN].fields.vector, chips[2].value[1]);
	CHECK_EQ(pit.channels[0].count, chips[3].value[1]);
	CHECK_EQ(pit.channels[2].mode, chips[4].value[1]);
}

/* ---- errors ---------------------------------------------------------------- */

static void test_nothing_kept(void)
{
	struct vm *vm = vm_without_boards();
	struct kvm_hypr_board board = { .view = A };

	chips_set(vm, 1);
	OK(try_keep(vm, 0, 0));
	CHECK_RET(try_swap_all(vm, A, BOARD), -ENXIO);
	CHECK_RET(try_get(vm, &board), -ENXIO);
	OK(try_keep(vm, A, 0));
	CHECK_RET(try_swap_all(vm, A, BOARD | KVM_EPT_SWAP_MOMENT), -ENXIO);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	check_chips(vm, 1);
	OK(try_swap_all(vm, A, BOARD));
}

static void test_no_room(void)
{
	struct vm *vm = vm_without_boards();

	OK(try_keep(vm, A, 0));
	CHECK_RET(try_swap_all(vm, A, BOARD), -ENXIO);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
}

static void test_no_chips(void)
{
	struct vm *vm = vm_new_irqchip(IRQCHIP_SPLIT);

	vm_view_add(vm, 0);
	CHECK_RET(try_keep(vm, 0, 0), -ENXIO);
	/* No PIT. */
	vm = vm_new();
	vm_view_add(vm, 0);
	CHECK_RET(try_keep(vm, 0, 0), -ENXIO);
}

static void test_flags(void)
{
	struct vm *vm = vm_with_boards();

	CHECK_RET(try_swap_all(vm, A, KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_BOARD), -EINVAL);
	CHECK_RET(try_commit(vm, A, BOARD), -EINVAL);
	/* There is no control page. */
	CHECK_RET(try_swap_all(vm, A, BOARD | KVM_EPT_SWAP_RESUME), -EINVAL);
	CHECK_RET(try_swap_all(vm, ~0u, BOARD), -ENOENT);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	check_chips(vm, 1);
}

static void test_busy(void)
{
	struct vm *vm = vm_with_boards();

	vcpu_stop(&vm->vcpu[0]);
	CHECK_RET(try_swap_all(vm, A, BOARD), -EAGAIN);
	check_chips(vm, 1);
	vcpu_start(&vm->vcpu[0]);
	OK(try_swap_all(vm, A, BOARD));
	check_chips(vm, 0);
}

static const unsigned int no_views[] = { KVM_HYPR_VIEW_SMM, B + 1, KVM_HYPR_MAX_VIEWS, ~0u };

static void test_no_view(void)
{
	struct vm *vm = vm_with_boards();
	struct kvm_hypr_board board = { 0 };
	unsigned int i;

	for (i = 0; i < sizeof(no_views) / sizeof(no_views[0]); i++) {
		board.view = no_views[i];
		CHECK_RET(try_keep(vm, no_views[i], 0), -ENOENT);
		CHECK_RET(try_get(vm, &board), -ENOENT);
	}
}

static void test_bad_addresses(void)
{
	struct vm *vm = vm_with_boards();
	struct kvm_hypr_board board = { .view = A };

	OK(try_get(vm, &board));
	board.pic_slave = 8;
	CHECK_RET(try_get(vm, &board), -EFAULT);
	board = (struct kvm_hypr_board){ .view = A, .pit = ~0ull };
	CHECK_RET(try_get(vm, &board), -EFAULT);
	CHECK_RET(try_get(vm, NULL), -EFAULT);
}

static const struct test tests[] = {
	{ "each chip goes with its view", test_chips },
	{ "back to the moment, again and again", test_moment },
	{ "without the flag the chips stay", test_without_the_flag },
	{ "an interrupt that waits in the I/O APIC stays with its view", test_interrupt },
	{ "a one-shot that has run out does not tick again", test_one_shot_that_ran_out },
	{ "a one-shot that runs ticks in its view", test_one_shot_that_runs },
	{ "a periodic timer ticks on, though a tick is left unacknowledged", test_periodic },
	{ "pause, swap of state and board, resume in one call", test_one_call },
	{ "EAGAIN: the guest does not park: no chip has moved", test_does_not_park },
	{ "KVM_HYPR_GET_BOARD reads what was left", test_get },
	{ "ENXIO: no board is kept for the new view", test_nothing_kept },
	{ "ENXIO: there is no room for the board of the old view", test_no_room },
	{ "ENXIO: no chips in the kernel", test_no_chips },
	{ "EINVAL: flags that do not go together", test_flags },
	{ "EAGAIN: a vCPU outside KVM_RUN: no chip has moved", test_busy },
	{ "ENOENT: no such view", test_no_view },
	{ "EFAULT: an address that cannot be written", test_bad_addresses },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
