// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The board: interrupt controllers, PIT, serial line, clock chip, and the control
 * page.  It is saved before the vCPUs and set after them (state.c says why), while no
 * vCPU can reach it: held, or parked in the guest.  In a swap in which the engine moves
 * the chips, the rest is exchanged after it, with the vCPUs parked in the new view.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>

#include "base/error.h"
#include "base/time.h"
#include "model/state.h"
#include "model/vm.h"
#include "pc/console.h"
#include "run/back.h"
#include "run/board.h"
#include "run/device.h"

#define NR_CHIPS	3

/* ---- devices ------------------------------------------------------------- */

/* ELCR bits that a PIC has, where the I/O APIC is, a PIT's counter that nobody has set up. */
#define ELCR_MASTER		0xf8
#define ELCR_SLAVE		0xde
#define IOAPIC_BASE		0xfec00000
#define PIT_MODE_NONE		0xff

/* As chips that no guest has touched: a state has them, also of a VM that does not. */
static void chips_untouched(struct kvm_irqchip chip[NR_CHIPS], struct kvm_pit_state2 *pit)
{
	unsigned int i;

	memset(chip, 0, NR_CHIPS * sizeof(*chip));
	memset(pit, 0, sizeof(*pit));
	for (i = 0; i < NR_CHIPS; i++)
		chip[i].chip_id = i;
	chip[0].chip.pic.elcr_mask = ELCR_MASTER;
	chip[1].chip.pic.elcr_mask = ELCR_SLAVE;
	chip[2].chip.ioapic.base_address = IOAPIC_BASE;
	for (i = 0; i < KVM_IOAPIC_NUM_PINS; i++)
		chip[2].chip.ioapic.redirtbl[i].fields.mask = 1;
	for (i = 0; i < 3; i++) {
		pit->channels[i].mode = PIT_MODE_NONE;
		pit->channels[i].gate = i != 2;
	}
}

/** hypr_board_needs_chips() - has the guest of @state used the PIC, the I/O APIC or the PIT? */
bool hypr_board_needs_chips(const struct hypr_state *state)
{
	struct kvm_irqchip chip[NR_CHIPS];
	struct kvm_pit_state2 pit;

	chips_untouched(chip, &pit);
	return memcmp(chip, state->chip, sizeof(chip)) || memcmp(&pit, &state->pit, sizeof(pit));
}

static int devices_save(struct hypr_vm *vm, struct hypr_state *state)
{
	unsigned int i;

	hypr_back_devices(vm);
	hypr_devices_save(vm, state);
	if (vm->apics_only) {
		chips_untouched(state->chip, &state->pit);
		return 0;
	}
	for (i = 0; i < NR_CHIPS; i++) {
		state->chip[i].chip_id = i;
		if (ioctl(vm->vm_fd, KVM_GET_IRQCHIP, &state->chip[i]) < 0)
			return -errno;
	}
	if (ioctl(vm->vm_fd, KVM_GET_PIT2, &state->pit) < 0)
		return -errno;
	return 0;
}

/* The vCPUs' LAPICs are set: what a chip hands on stays there. */
static int devices_set(struct hypr_vm *vm, const struct hypr_state *state)
{
	unsigned int i;

	for (i = 0; i < NR_CHIPS && !vm->apics_only; i++) {
		if (ioctl(vm->vm_fd, KVM_SET_IRQCHIP, &state->chip[i]) < 0)
			return -errno;
	}
	if (!vm->apics_only && ioctl(vm->vm_fd, KVM_SET_PIT2, &state->pit) < 0)
		return -errno;
	hypr_console_lower(&vm->console);
	hypr_devices_set(vm, state);
	return 0;
}

/* ---- the control page ---------------------------------------------------- */

static void control_save(struct hypr_vm *vm, struct hypr_state *state)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		uint32_t control = __atomic_load_n(&vm->control->vcpu[i].state,
						   __ATOMIC_ACQUIRE);

		state->vcpu[i].parked = control == HYPR_VCPU_PAUSED;
		state->vcpu[i].control = control == HYPR_VCPU_OFFLINE ?
					 HYPR_VCPU_OFFLINE : HYPR_VCPU_RUNNING;
	}
	memcpy(state->boot_id, vm->control->boot_id, sizeof(state->boot_id));
}

/*
 * Releases the vCPUs of @state that are parked.  A vCPU that is in the guest already may
 * change its word: where the word says what it must it is left alone.
 */
void hypr_state_set_control(struct hypr_vm *vm, const struct hypr_state *state)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		uint32_t *word = &vm->control->vcpu[i].state;

		if (__atomic_load_n(word, __ATOMIC_RELAXED) != state->vcpu[i].control)
			__atomic_store_n(word, state->vcpu[i].control, __ATOMIC_RELEASE);
	}
}

/** hypr_board_draw() - the random words of the next jump, ahead of it */
int hypr_board_draw(struct hypr_vm *vm)
{
	if (!vm->has_jump && getrandom(vm->jump, sizeof(vm->jump), 0) != sizeof(vm->jump))
		return hypr_fail_sys(-EIO, "random numbers for the guest");
	vm->has_jump = true;
	return 0;
}

/*
 * The vCPUs go on where they, or others with the same memory, may have been before:
 * tell the guest by words that never were (@jump), so that no two random pools go on
 * alike.
 */
static int jump_set(struct hypr_vm *vm)
{
	int ret = hypr_board_draw(vm);

	if (ret)
		return ret;
	vm->has_jump = false;
	__atomic_store_n(&vm->control->jump[0], vm->jump[0], __ATOMIC_RELEASE);
	__atomic_store_n(&vm->control->jump[1], vm->jump[1], __ATOMIC_RELEASE);
	return 0;
}

/*
 * A guest that does not know those words looks at the generation, which counts in each VM
 * from 1; so that one is made random too, and never one that is counted.
 */
static void generation_set(struct hypr_vm *vm)
{
	__atomic_store_n(&vm->control->generation, vm->jump[0] | 1ull << 63, __ATOMIC_RELEASE);
}

/* ---- the whole ----------------------------------------------------------- */

/** hypr_board_note() - when it was, and the control page, but no device: that waits, too */
void hypr_board_note(struct hypr_vm *vm, struct hypr_state *state)
{
	state->stopped_ns = hypr_unix_ns();
	hypr_console_freeze(&vm->console);
	control_save(vm, state);
}

/**
 * hypr_board_save() - the board as it is; its console's other end waits from here on
 * @state: out, its vCPUs excepted
 */
int hypr_board_save(struct hypr_vm *vm, struct hypr_state *state)
{
	int ret;

	hypr_board_note(vm, state);
	ret = devices_save(vm, state);
	return ret ? hypr_fail_sys(ret, "saving the devices' state") : 0;
}

/** hypr_board_set() - the board of @state, whose vCPUs are set */
int hypr_board_set(struct hypr_vm *vm, const struct hypr_state *state)
{
	int ret = devices_set(vm, state);

	if (ret)
		return hypr_fail_sys(ret, "setting the devices' state");
	/* A guest from a file is of another boot than the one that ran here. */
	memcpy(vm->control->boot_id, state->boot_id, sizeof(state->boot_id));
	ret = jump_set(vm);
	if (!ret)
		generation_set(vm);
	return ret;
}

/**
 * hypr_board_leave() - before the engine moves vCPUs and chips
 *
 * Nothing arrives any more until hypr_vcpus_release().  The jump comes first: a vCPU that
 * is not parked may look at it as soon as it is in the new view.
 */
int hypr_board_leave(struct hypr_vm *vm)
{
	hypr_console_freeze(&vm->console);
	return jump_set(vm);
}

/**
 * hypr_board_exchange() - the board, but for the chips, which the engine has moved
 * @from: out: of the view that was left, but for @stopped_ns: nobody waits for that
 * @to: of the view that the vCPUs are in
 */
void hypr_board_exchange(struct hypr_vm *vm, struct hypr_state *from, const struct hypr_state *to)
{
	control_save(vm, from);
	memcpy(vm->control->boot_id, to->boot_id, sizeof(to->boot_id));
	/* What the guest has asked for before, in the view that was left. */
	hypr_back_devices(vm);
	hypr_devices_save(vm, from);
	hypr_devices_set(vm, to);
	generation_set(vm);
}

/**
 * hypr_board_reset() - the same, when the engine has put the active view back
 * @to: of its moment; what was before is forgotten
 */
void hypr_board_reset(struct hypr_vm *vm, const struct hypr_state *to)
{
	hypr_devices_set(vm, to);
	generation_set(vm);
}
