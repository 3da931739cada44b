// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Saving and setting all of a VM that is not memory: vCPUs (each on its own
 * thread), the guest's clock, and the board (board.c).
 *
 * The clock: a guest's TSC is the host's plus an offset, or, where KVM scales it,
 * the host's times a ratio plus an offset.  "The host's TSC as KVM counts it" below is
 * the one or the other before the offset.  Saving notes the offset and that count;
 * setting a state sets the offset so that the guest's TSC goes on from there.  One reading
 * serves all vCPUs, so they stay in step.  The offset is set as a device attribute, since KVM takes
 * a write to MSR_IA32_TSC that is near another vCPU's for an attempt to
 * synchronise them and alters it.  TSC_DEADLINE comes last: it is compared with
 * the guest's TSC.
 *
 * Interrupts: one on its way is in a line, in a chip, or in a LAPIC.  Setting goes
 * from the LAPICs to the chips to the lines, since what a chip is given it may hand
 * on at once, and a LAPIC that is set after that forgets it.  Saving goes the
 * other way round: what is handed on meanwhile is found in the LAPIC.  The console's
 * other end is kept away from the first save or set on until the vCPUs go on.
 *
 * Only ever called with every vCPU held.
 */
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "base/time.h"
#include "model/state.h"
#include "model/vcpu.h"
#include "model/vm.h"
#include "pc/msr.h"
#include "pc/console.h"
#include "run/board.h"
#include "run/hold.h"
#include "run/state.h"
#include "run/timers.h"

#define MSR_TSC			0x10
#define MSR_TSC_DEADLINE	0x6e0

/* ---- allocation ---------------------------------------------------------- */

struct hypr_state *hypr_state_alloc(struct hypr_vm *vm)
{
	struct hypr_state *state;
	unsigned int i;

	state = calloc(1, sizeof(*state) + vm->nr_vcpus * sizeof(state->vcpu[0]));
	if (!state)
		goto no_memory;
	for (i = 0; i < vm->nr_vcpus; i++) {
		state->vcpu[i].msrs = calloc(1, hypr_msrs_bytes(vm));
		state->vcpu[i].xsave = calloc(1, vm->xsave_bytes);
		if (!state->vcpu[i].msrs || !state->vcpu[i].xsave)
			goto free_state;
	}
	return state;

free_state:
	hypr_state_free(vm, state);
no_memory:
	hypr_fail(-ENOMEM, "no memory for the state of %u vCPUs", vm->nr_vcpus);
	return NULL;
}

void hypr_state_free(struct hypr_vm *vm, struct hypr_state *state)
{
	unsigned int i;

	if (!state)
		return;
	for (i = 0; i < vm->nr_vcpus; i++) {
		free(state->vcpu[i].msrs);
		free(state->vcpu[i].xsave);
	}
	free(state);
}

void hypr_state_copy(struct hypr_vm *vm, struct hypr_state *to, const struct hypr_state *from)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		struct kvm_msrs *msrs = to->vcpu[i].msrs;
		struct kvm_xsave *xsave = to->vcpu[i].xsave;

		memcpy(msrs, from->vcpu[i].msrs, hypr_msrs_bytes(vm));
		memcpy(xsave, from->vcpu[i].xsave, vm->xsave_bytes);
		to->vcpu[i] = from->vcpu[i];
		to->vcpu[i].msrs = msrs;
		to->vcpu[i].xsave = xsave;
	}
	to->valid = from->valid;
	to->host_tsc = from->host_tsc;
	to->stopped_ns = from->stopped_ns;
	memcpy(to->boot_id, from->boot_id, sizeof(to->boot_id));
	memcpy(to->chip, from->chip, sizeof(to->chip));
	to->pit = from->pit;
	to->console = from->console;
	to->rtc = from->rtc;
}

/* ---- one vCPU ------------------------------------------------------------ */

static int vcpu_ioctl(struct hypr_vcpu *vcpu, unsigned long request, void *arg)
{
	return ioctl(vcpu->fd, request, arg) < 0 ? -errno : 0;
}

/** hypr_state_tsc_offset() - on the vCPU's own thread */
int hypr_state_tsc_offset(struct hypr_vcpu *vcpu, uint64_t *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return vcpu_ioctl(vcpu, KVM_GET_DEVICE_ATTR, &attr);
}

static int tsc_offset_set(struct hypr_vcpu *vcpu, uint64_t offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	return vcpu_ioctl(vcpu, KVM_SET_DEVICE_ATTR, &attr);
}

/* A guest's TSC without its offset.  KVM alone knows the ratio to its last bit. */
static int tsc_without_offset(struct hypr_vcpu *vcpu, uint64_t *tsc)
{
	struct hypr_one_msr msr = { .head.nmsrs = 1, .entry.index = MSR_TSC };
	uint64_t offset;
	int ret;

	ret = hypr_state_tsc_offset(vcpu, &offset);
	if (ret)
		return ret;
	if (ioctl(vcpu->fd, KVM_GET_MSRS, &msr) != 1)
		return -EIO;
	*tsc = msr.entry.data - offset;
	return 0;
}

/**
 * hypr_state_tsc_init() - does KVM scale the TSC of this VM?
 *
 * Needs vCPU 0 with its frequency set.  What is not scaled lies between two readings
 * of the host's own.
 */
int hypr_state_tsc_init(struct hypr_vm *vm)
{
	uint64_t before = hypr_tsc(), tsc;
	int ret = tsc_without_offset(&vm->vcpu[0], &tsc);

	if (ret)
		return hypr_fail_sys(ret, "vCPU 0: reading its TSC");
	vm->tsc_scaled = tsc < before || tsc > hypr_tsc();
	return 0;
}

/**
 * hypr_state_tsc_now() - the host's TSC as KVM counts it for this guest
 *
 * With the vCPUs held, or before their threads are there.
 */
int hypr_state_tsc_now(struct hypr_vm *vm, uint64_t *tsc)
{
	int ret;

	*tsc = hypr_tsc();
	if (!vm->tsc_scaled)
		return 0;
	ret = tsc_without_offset(&vm->vcpu[0], tsc);
	return ret ? hypr_fail_sys(ret, "vCPU 0: reading its TSC") : 0;
}

static int deadline_get(struct hypr_vcpu *vcpu, uint64_t *deadline)
{
	struct hypr_one_msr msr = { .head.nmsrs = 1, .entry.index = MSR_TSC_DEADLINE };

	*deadline = 0;
	if (!vcpu->vm->has_deadline)
		return 0;
	if (ioctl(vcpu->fd, KVM_GET_MSRS, &msr) != 1)
		return -EIO;
	*deadline = msr.entry.data;
	return 0;
}

static int deadline_set(struct hypr_vcpu *vcpu, uint64_t deadline)
{
	struct hypr_one_msr msr = {
		.head.nmsrs = 1,
		.entry = { .index = MSR_TSC_DEADLINE, .data = deadline },
	};

	if (!vcpu->vm->has_deadline)
		return 0;
	return ioctl(vcpu->fd, KVM_SET_MSRS, &msr) == 1 ? 0 : -EIO;
}

static int msrs_get(struct hypr_vcpu *vcpu, struct kvm_msrs *msrs)
{
	unsigned int i;

	msrs->nmsrs = vcpu->vm->nr_msrs;
	for (i = 0; i < msrs->nmsrs; i++)
		msrs->entries[i] = (struct kvm_msr_entry){ .index = vcpu->vm->msr_index[i] };
	return ioctl(vcpu->fd, KVM_GET_MSRS, msrs) == (int)msrs->nmsrs ? 0 : -EIO;
}

/* Those that differ from what the vCPU has; @known NULL: all. */
static int msrs_set(struct hypr_vcpu *vcpu, const struct hypr_vcpu_state *state,
		    const struct hypr_vcpu_state *known)
{
	const struct kvm_msrs *msrs = state->msrs;
	struct kvm_msrs *set = vcpu->msrs_set;
	unsigned int i;

	set->nmsrs = 0;
	for (i = 0; i < msrs->nmsrs; i++) {
		if (!known || msrs->entries[i].data != known->msrs->entries[i].data)
			set->entries[set->nmsrs++] = msrs->entries[i];
	}
	if (!set->nmsrs)
		return 0;
	return ioctl(vcpu->fd, KVM_SET_MSRS, set) == (int)set->nmsrs ? 0 : -EIO;
}

static int vcpu_save(struct hypr_vcpu *vcpu, void *arg)
{
	struct hypr_state *all = arg;
	struct hypr_vcpu_state *state = &all->vcpu[vcpu->index];
	unsigned long get_xsave = vcpu->vm->has_xsave2 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE;
	int ret;

	/* First: it takes pending INIT and SIPI, and so alters the rest. */
	ret = vcpu_ioctl(vcpu, KVM_GET_MP_STATE, &state->mp_state);
	/* Then: an exception that waits gives its address to CR2, or its bits to DR6. */
	if (!ret)
		ret = vcpu_ioctl(vcpu, KVM_GET_VCPU_EVENTS, &state->events);
	if (!ret)
		ret = vcpu_ioctl(vcpu, KVM_GET_REGS, &state->regs);
	if (!ret)
		ret = vcpu_ioctl(vcpu, KVM_GET_SREGS, &state->sregs);
	if (!ret)
		ret = vcpu_ioctl(vcpu, KVM_GET_XCRS, &state->xcrs);
	if (!ret)
		ret = vcpu_ioctl(vcpu, get_xsave, state->xsave);
	if (!ret)
		ret = deadline_get(vcpu, &state->tsc_deadline);
	if (!ret)
		ret = vcpu_ioctl(vcpu, KVM_GET_LAPIC, &state->lapic);
	if (!ret)
		ret = msrs_get(vcpu, state->msrs);
	if (!ret)
		ret = vcpu_ioctl(vcpu, KVM_GET_DEBUGREGS, &state->debugregs);
	if (!ret)
		ret = hypr_state_tsc_offset(vcpu, &state->tsc_offset);
	if (!ret)
		hypr_lapic_note_expired(&state->lapic);
	return ret;
}

struct setting {
	const struct hypr_state *state;
	const struct hypr_state *known;	/* what the vCPUs have; NULL: not known */
	uint64_t tsc_shift;	/* added to each vCPU's TSC offset */
};

static int vcpu_set_time(struct hypr_vcpu *vcpu, void *arg)
{
	const struct setting *setting = arg;
	const struct hypr_vcpu_state *state = &setting->state->vcpu[vcpu->index];
	int ret;

	ret = tsc_offset_set(vcpu, state->tsc_offset + setting->tsc_shift);
	if (!ret)
		ret = deadline_set(vcpu, state->tsc_deadline);
	return ret;
}

/* Where a register file is in struct hypr_vcpu_state, and its size. */
#define REGISTERS(file)	offsetof(struct hypr_vcpu_state, file), \
			sizeof(((struct hypr_vcpu_state *)0)->file)

/* A register file of KVM's, unless the vCPU has it: @known, or NULL. */
static int registers_set(struct hypr_vcpu *vcpu, unsigned long request,
			 struct hypr_vcpu_state *state, const struct hypr_vcpu_state *known,
			 size_t offset, size_t bytes)
{
	void *to = (uint8_t *)state + offset;

	if (known && !memcmp(to, (const uint8_t *)known + offset, bytes))
		return 0;
	return vcpu_ioctl(vcpu, request, to);
}

#define APIC_ISR	0x100

/*
 * A state from another host may have the vector in service, and a guest that then does no
 * EOI here.  One EOI more, of a guest that will do it, does no harm.
 */
static void forget_vector(const struct hypr_vm *vm, struct kvm_lapic_state *lapic)
{
	uint8_t *isr = (uint8_t *)lapic->regs + APIC_ISR + HYPR_CONTROL_VECTOR / 32 * 0x10;

	if (vm->control->features & HYPR_CONTROL_NO_EOI)
		isr[HYPR_CONTROL_VECTOR % 32 / 8] &= (uint8_t)~(1u << HYPR_CONTROL_VECTOR % 8);
}

static int xsave_set(struct hypr_vcpu *vcpu, const struct hypr_vcpu_state *state,
		     const struct hypr_vcpu_state *known)
{
	if (known && !memcmp(state->xsave, known->xsave, vcpu->vm->xsave_bytes))
		return 0;
	return vcpu_ioctl(vcpu, KVM_SET_XSAVE, state->xsave);
}

/*
 * What two views have alike is left in the vCPU: most MSRs, often the FPU.  Not so the
 * LAPIC and pending events, which may have changed since they were saved.
 */
static int vcpu_set_state(struct hypr_vcpu *vcpu, void *arg)
{
	const struct setting *setting = arg;
	unsigned int i = vcpu->index;
	const struct hypr_vcpu_state *known = setting->known ? &setting->known->vcpu[i] : NULL;
	/* KVM only reads them; its ioctls' arguments are not const. */
	struct hypr_vcpu_state *state = (struct hypr_vcpu_state *)&setting->state->vcpu[i];
	int ret;

	/* The deadline of the state that is being left must not fire in this one. */
	ret = deadline_set(vcpu, 0);
	if (!ret)
		ret = registers_set(vcpu, KVM_SET_SREGS, state, known, REGISTERS(sregs));
	if (!ret)
		ret = registers_set(vcpu, KVM_SET_XCRS, state, known, REGISTERS(xcrs));
	if (!ret)
		ret = xsave_set(vcpu, state, known);
	if (!ret)
		ret = vcpu_ioctl(vcpu, KVM_SET_REGS, &state->regs);
	forget_vector(vcpu->vm, &state->lapic);
	if (!ret)
		ret = vcpu_ioctl(vcpu, KVM_SET_LAPIC, &state->lapic);
	if (!ret)
		ret = msrs_set(vcpu, state, known);
	if (!ret)
		ret = vcpu_ioctl(vcpu, KVM_SET_VCPU_EVENTS, &state->events);
	if (!ret)
		ret = registers_set(vcpu, KVM_SET_DEBUGREGS, state, known, REGISTERS(debugregs));
	if (!ret)
		ret = vcpu_ioctl(vcpu, KVM_SET_MP_STATE, &state->mp_state);
	if (!ret)
		ret = vcpu_set_time(vcpu, arg);
	return ret;
}

/* ---- the whole ----------------------------------------------------------- */

int hypr_state_save(struct hypr_vm *vm, struct hypr_state *state)
{
	int ret;

	state->valid = false;
	ret = hypr_state_tsc_now(vm, &state->host_tsc);
	if (ret)
		return ret;
	ret = hypr_board_save(vm, state);
	if (ret)
		return ret;
	ret = hypr_vcpus_do(vm, vcpu_save, state);
	if (ret)
		return hypr_fail_sys(ret, "saving the vCPUs' state");
	state->valid = true;
	return 0;
}

/* What vcpu_set_time() needs. */
static int vcpu_note(struct hypr_vcpu *vcpu, void *arg)
{
	struct hypr_state *all = arg;
	struct hypr_vcpu_state *state = &all->vcpu[vcpu->index];
	int ret = deadline_get(vcpu, &state->tsc_deadline);

	return ret ? ret : hypr_state_tsc_offset(vcpu, &state->tsc_offset);
}

/**
 * hypr_state_note() - what letting the vCPUs go on as they are needs, a tenth of a state
 *
 * The rest stays with the vCPUs and devices, as long as they are held.  Sets vm->noted; who
 * wants the state calls hypr_state_complete() first.
 */
int hypr_state_note(struct hypr_vm *vm, struct hypr_state *state)
{
	int ret;

	state->valid = false;
	ret = hypr_state_tsc_now(vm, &state->host_tsc);
	if (ret)
		return ret;
	hypr_board_note(vm, state);
	ret = hypr_vcpus_do(vm, vcpu_note, state);
	if (ret)
		return hypr_fail_sys(ret, "saving the vCPUs' time");
	vm->noted = true;
	return 0;
}

/** hypr_state_complete() - save what was only noted, if it was; the time stays that of then */
int hypr_state_complete(struct hypr_vm *vm, struct hypr_state *state)
{
	uint64_t host_tsc = state->host_tsc, stopped_ns = state->stopped_ns;
	int ret;

	if (!vm->noted)
		return 0;
	ret = hypr_state_save(vm, state);
	state->host_tsc = host_tsc;
	state->stopped_ns = stopped_ns;
	vm->noted = ret;
	return ret;
}

static int set_now(struct hypr_vm *vm, const struct hypr_state *state, struct setting *setting)
{
	uint64_t now = 0;
	int ret = hypr_state_tsc_now(vm, &now);

	setting->state = state;
	setting->tsc_shift = state->host_tsc - now;
	return ret;
}

/**
 * hypr_state_set() - the vCPUs and devices go on from @state
 * @known: what the vCPUs have, as hypr_state_save() found it in this pause, which is
 *	then not set again; NULL: not known
 */
int hypr_state_set(struct hypr_vm *vm, const struct hypr_state *state,
		    const struct hypr_state *known)
{
	struct setting setting = { .known = known };
	int ret;

	hypr_console_freeze(&vm->console);
	ret = set_now(vm, state, &setting);
	if (ret)
		return ret;
	hypr_vcpus_forget(vm);
	ret = hypr_vcpus_do(vm, vcpu_set_state, &setting);
	if (ret)
		return hypr_fail_sys(ret, "setting the vCPUs' state");
	return hypr_board_set(vm, state);
}

/* Only the clock: the guest goes on as if no time had passed since it was saved. */
int hypr_state_set_time(struct hypr_vm *vm, const struct hypr_state *state)
{
	struct setting setting;
	int ret;

	ret = set_now(vm, state, &setting);
	if (ret)
		return ret;
	ret = hypr_vcpus_do(vm, vcpu_set_time, &setting);
	if (ret)
		return hypr_fail_sys(ret, "setting the guest's clock");
	return 0;
}
