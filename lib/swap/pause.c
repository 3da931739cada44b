// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Bringing the vCPUs to a stop, in two steps.
 *
 * *Park*: each running vCPU is asked, through the control page and by interrupt
 * 0xF0, to wait at a fixed point of the guest kernel.  It stays in KVM_RUN.  A
 * guest that cannot or does not want to (no HYPR guest kernel, interrupts off
 * for too long) is not waited for beyond the deadline.
 * *Hold*: the vCPU threads leave the guest (run/hold.c).
 *
 * A parked VM that is held was paused cooperatively, one that is held without
 * having parked was forced.  The control page is guest memory: what it says
 * decides how the guest is paused, never whether the host is safe.
 */
#include <sched.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "base/time.h"
#include "model/state.h"
#include "model/vcpu.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/board.h"
#include "run/hold.h"
#include "run/op.h"
#include "run/state.h"
#include "swap/pause.h"

#define MSI_ADDRESS		0xfee00000u
#define POLLS_PER_CLOCK		64

static uint32_t *control_state(struct hypr_vm *vm, unsigned int i)
{
	return &vm->control->vcpu[i].state;
}

static uint32_t control_get(struct hypr_vm *vm, unsigned int i)
{
	return __atomic_load_n(control_state(vm, i), __ATOMIC_ACQUIRE);
}

static bool control_change(struct hypr_vm *vm, unsigned int i, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(control_state(vm, i), &from, to, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Interrupt 0xF0: look at the control page. */
static void notify(struct hypr_vm *vm, unsigned int i)
{
	struct kvm_msi msi = {
		.address_lo = MSI_ADDRESS | i << 12,
		.data = HYPR_CONTROL_VECTOR,
	};

	/* One that is not delivered shows as a guest that does not park. */
	ioctl(vm->vm_fd, KVM_SIGNAL_MSI, &msi);
}

/* Offline vCPUs are not waited for. */
static bool all_parked(struct hypr_vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		uint32_t state = control_get(vm, i);

		if (state != HYPR_VCPU_PAUSED && state != HYPR_VCPU_OFFLINE)
			return false;
	}
	return true;
}

static int did_not_park(struct hypr_vm *vm)
{
	return hypr_fail(-EAGAIN, "the guest did not park within %u ms", vm->pause_timeout_ms);
}

/**
 * hypr_vm_not_parked() - the guest has not parked for the engine, which asked in vain
 *
 * Return: 0: go on by force; -ESHUTDOWN it has ended; -EAGAIN HYPR_SWAP_COOPERATIVE.
 */
int hypr_vm_not_parked(struct hypr_vm *vm, unsigned int flags)
{
	int ret = hypr_vm_check_alive(vm);

	return !ret && (flags & HYPR_SWAP_COOPERATIVE) ? did_not_park(vm) : ret;
}

/* Return: 0, -EAGAIN, -ESHUTDOWN; withdraws its requests unless it succeeds. */
static int park_and_wait(struct hypr_vm *vm)
{
	uint64_t deadline = hypr_now_ns() + vm->pause_timeout_ms * 1000000ull;
	unsigned int i, polls = 0;

	for (i = 0; i < vm->nr_vcpus; i++) {
		if (control_change(vm, i, HYPR_VCPU_RUNNING, HYPR_VCPU_PAUSE_REQUESTED))
			notify(vm, i);
	}
	while (!all_parked(vm)) {
		__builtin_ia32_pause();
		if (++polls % POLLS_PER_CLOCK)
			continue;
		if (hypr_vm_has_ended(vm)) {
			hypr_vm_unpark(vm);
			return hypr_vm_check_alive(vm);
		}
		if (hypr_now_ns() > deadline) {
			hypr_vm_unpark(vm);
			return did_not_park(vm);
		}
		sched_yield();
	}
	return 0;
}

/**
 * hypr_vm_unpark() - let parked vCPUs go on, withdraw standing requests
 *
 * For vCPUs that are where they parked; after a state was set it is
 * hypr_state_set_control() that releases.
 */
void hypr_vm_unpark(struct hypr_vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		/* It may park between the two: then the second releases it. */
		control_change(vm, i, HYPR_VCPU_PAUSE_REQUESTED, HYPR_VCPU_RUNNING);
		control_change(vm, i, HYPR_VCPU_PAUSED, HYPR_VCPU_RUNNING);
	}
}

/**
 * hypr_vm_may_park() - is there a use in asking the guest to park?
 * @flags: HYPR_SWAP_FORCE does not ask
 */
bool hypr_vm_may_park(struct hypr_vm *vm, unsigned int flags)
{
	/* The boot processor answers before all others, or nobody does. */
	return !(flags & HYPR_SWAP_FORCE) && !(vm->flags & HYPR_VM_FORCED) &&
	       control_get(vm, 0) == HYPR_VCPU_RUNNING;
}

/**
 * hypr_vm_park() - ask the guest to park
 * @flags: HYPR_SWAP_FORCE does not ask, HYPR_SWAP_COOPERATIVE insists
 * @result: out
 *
 * Return: 0, with @result->pause telling whether the guest has parked
 * (COOPERATIVE) or runs on and has to be held (FORCED); -EAGAIN it did not park
 * and the caller insists; -ESHUTDOWN.
 */
int hypr_vm_park(struct hypr_vm *vm, unsigned int flags, struct hypr_pause_result *result)
{
	uint64_t start = hypr_tsc();
	int ret;

	result->pause = HYPR_PAUSE_FORCED;
	ret = hypr_vm_check_alive(vm);
	if (ret)
		return ret;
	if (!hypr_vm_may_park(vm, flags))
		ret = hypr_fail(-EAGAIN, "the guest does not offer to park");
	else
		ret = park_and_wait(vm);
	if (!ret)
		result->pause = HYPR_PAUSE_COOPERATIVE;
	else if (ret == -EAGAIN && !(flags & HYPR_SWAP_COOPERATIVE))
		ret = 0;
	result->pause_cycles = hypr_tsc() - start;
	return ret;
}

/**
 * hypr_vm_halt() - stop the vCPUs and save where they are, in the active view
 *
 * Return: 0; after an error the vCPUs run on, or the VM has ended.
 */
int hypr_vm_halt(struct hypr_vm *vm, unsigned int flags, struct hypr_pause_result *result)
{
	uint64_t start = hypr_tsc();
	int ret;

	ret = hypr_vm_park(vm, flags, result);
	if (ret)
		return ret;
	ret = hypr_vcpus_hold(vm);
	if (ret)
		goto release;
	result->pause_cycles = hypr_tsc() - start;
	ret = hypr_state_save(vm, vm->active->state);
	if (ret)
		goto release;
	return 0;

release:
	hypr_vm_unpark(vm);
	hypr_vcpus_release(vm);
	return ret;
}

static int rested(struct hypr_vm *vm, int ret)
{
	if (ret) {
		hypr_vcpus_release(vm);
		return ret;
	}
	vm->paused = vm->paused_by_run = true;
	vm->paused_how = HYPR_PAUSE_FORCED;
	return 0;
}

/**
 * hypr_vm_rest() - the VM, whose vCPUs are held without having been asked, is paused
 *
 * Return: 0, also if it was; after an error the vCPUs run on, or the VM has ended.
 */
int hypr_vm_rest(struct hypr_vm *vm)
{
	if (vm->paused)
		return hypr_state_complete(vm, vm->active->state);
	return rested(vm, hypr_state_save(vm, vm->active->state));
}

/** hypr_vm_rest_noted() - the same; the state is saved when somebody wants it */
int hypr_vm_rest_noted(struct hypr_vm *vm)
{
	return vm->paused ? 0 : rested(vm, hypr_state_note(vm, vm->active->state));
}

/* A swap tells a guest that parked; this tells one that did not. */
static void notify_unparked(struct hypr_vm *vm, const struct hypr_state *state)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		if (!state->vcpu[i].parked && state->vcpu[i].control == HYPR_VCPU_RUNNING)
			notify(vm, i);
	}
}

/** hypr_vm_release() - let the held vCPUs go on: @state is set, clock and all */
void hypr_vm_release(struct hypr_vm *vm, const struct hypr_state *state)
{
	hypr_state_set_control(vm, state);
	notify_unparked(vm, state);
	hypr_vcpus_release(vm);
}

/**
 * hypr_vm_go() - let the vCPUs go on that hypr_vm_halt() stopped
 *
 * Their registers are untouched; only the clock is set, so that the guest does
 * not see the time that has passed.
 */
int hypr_vm_go(struct hypr_vm *vm)
{
	int ret;

	ret = hypr_state_set_time(vm, vm->active->state);
	hypr_vm_release(vm, vm->active->state);
	return ret;
}

/**
 * hypr_view_halt() - stop the vCPUs if they run in @view
 * @halted: out: they did
 */
int hypr_view_halt(struct hypr_vm *vm, const struct hypr_view *view, bool *halted)
{
	struct hypr_pause_result pause;

	*halted = view == vm->active && !vm->paused;
	return *halted ? hypr_vm_halt(vm, 0, &pause) : 0;
}

/**
 * hypr_view_go() - undo a hypr_view_halt() that succeeded
 * @ret: of what was done meanwhile
 *
 * Return: @ret; if that is 0, what letting the vCPUs go on returned.
 */
int hypr_view_go(struct hypr_vm *vm, bool halted, int ret)
{
	int go = halted ? hypr_vm_go(vm) : 0;

	return ret ? ret : go;
}

int hypr_vm_pause(struct hypr_vm *vm, struct hypr_pause_result *result)
{
	struct hypr_pause_result unused;
	int ret;

	if (!result)
		result = &unused;
	memset(result, 0, sizeof(*result));
	ret = hypr_vm_op_begin(vm);
	if (ret)
		return ret;
	if (vm->paused && !vm->paused_by_run)
		ret = hypr_fail(-EALREADY, "%s is paused already", vm->name);
	else if (!vm->paused)
		ret = hypr_vm_halt(vm, 0, result);
	else
		result->pause = vm->paused_how;
	if (!ret) {
		vm->paused = true;
		vm->paused_by_run = false;
		vm->paused_how = result->pause;
	}
	hypr_vm_op_end(vm);
	return ret;
}

int hypr_vm_resume(struct hypr_vm *vm)
{
	int ret;

	ret = hypr_vm_op_begin(vm);
	if (ret)
		return ret;
	if (!vm->paused)
		ret = hypr_fail(-EALREADY, "%s is not paused", vm->name);
	if (!ret) {
		ret = hypr_vm_go(vm);
		vm->paused = false;
	}
	hypr_vm_op_end(vm);
	return ret;
}
