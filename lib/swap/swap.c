// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The swap, in the order in which it happens:
 *
 *	park	the guest's vCPUs wait at a fixed point		pause.c
 *	commit	the kernel changes every vCPU's EPT root	engine
 *	hold	the vCPU threads come to user space		hold.c
 *	save	vCPUs and devices, into the view that was left	state.c
 *	set	those of the view that was entered		state.c
 *	go	the threads enter the guest			hold.c
 *
 * That needs a guest that parked in both views, in the same boot: only then may its vCPUs
 * spin on while the engine exchanges the memory under them, if it can.  In all other cases
 * the threads are held, and the state saved, before the commit.
 *
 * An engine that keeps the state of vCPUs and chips with a view (view/kept.c) does all but
 * the last in one call, while no vCPU's thread leaves KVM_RUN.  The vCPUs need not park for
 * it, and their boots may differ: their whole state is exchanged.  A vCPU that is parked in
 * the new view waits there until the other devices are set, one that is not goes on, and
 * its exits wait (run/gate.c).
 *
 * All or none: up to and including the commit, an error lets the vCPUs go on where they are.
 * When the state cannot be moved after it, the view that was left is made active again.
 */
#include "base/error.h"
#include "base/time.h"
#include "engine/engine.h"
#include "model/state.h"
#include "model/vcpu.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/board.h"
#include "run/gate.h"
#include "run/hold.h"
#include "run/state.h"
#include "swap/pause.h"
#include "swap/swap.h"
#include "view/build.h"
#include "view/kept.h"
#include "view/restore.h"
#include "view/spare.h"
#include "view/written.h"
#include "vmo/vmo.h"

/* The engine waits for the guest so long at a time: a guest may end. */
#define PAUSE_STEP_NS	100000000ull
/* And so long for vCPUs that do not park: then their threads are held. */
#define HOLD_NS		100000000ull

/* vCPUs that were not parked when the state was saved, but for those that were down. */
static uint32_t count_unparked(const struct hypr_vm *vm, const struct hypr_state *state)
{
	uint32_t unparked = 0;
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++)
		unparked += !state->vcpu[i].parked && state->vcpu[i].control != HYPR_VCPU_OFFLINE;
	return unparked;
}

/* Was this state saved in the park loop of the guest that is running now? */
static bool parked_in_this_boot(struct hypr_vm *vm, const struct hypr_state *state)
{
	return !memcmp(state->boot_id, vm->control->boot_id, sizeof(state->boot_id)) &&
	       !count_unparked(vm, state);
}

/* The engine's swap; a view that lost its tables (host memory pressure) gets new ones. */
static int commit(struct hypr_vm *vm, struct hypr_view *to, struct hypr_engine_swap *swap)
{
	int ret;

	ret = vm->engine->swap(vm, to, to->edited, swap);
	if (ret == -ENODATA) {
		ret = hypr_view_prepare(vm, to, NULL);
		if (!ret)
			ret = vm->engine->swap(vm, to, to->edited, swap);
	}
	if (!ret)
		to->edited = false;
	return ret;
}

static int timed_commit(struct hypr_vm *vm, struct hypr_view *to,
			struct hypr_engine_swap *swap, struct hypr_swap_result *result)
{
	uint64_t start = hypr_tsc();
	int ret;

	ret = commit(vm, to, swap);
	result->ioctl_cycles = hypr_tsc() - start;
	result->commit_cycles = swap->commit_cycles;
	result->generation = swap->generation;
	return ret;
}

/*
 * Bring the vCPUs to user space, their state into the view that is left, and
 * the VM into @to, in whichever order is allowed.  @reset is not NULL when @to
 * is the active view and is to be put back to its moment, by the way of @flags.
 */
static int save_and_commit(struct hypr_vm *vm, struct hypr_view *to, unsigned int flags,
			   bool in_guest, struct hypr_swap_result *result,
			   struct hypr_reset_result *reset)
{
	struct hypr_view *from = vm->active;
	struct hypr_engine_swap swap = { 0 };
	bool committed = false;
	uint64_t start;
	int ret = 0;

	if (in_guest) {
		ret = timed_commit(vm, to, &swap, result);
		/* -EBUSY: a vCPU came up meanwhile and has not parked.  Hold them all. */
		if (ret && ret != -EBUSY)
			return ret;
		committed = !ret;
	}
	from->kept = HYPR_KEPT_NONE;
	from->at_moment = false;
	if (!vm->paused) {
		ret = hypr_vcpus_hold(vm);
		if (ret)
			goto undo;
		start = hypr_tsc();
		/* A guest that did not park has stopped only now. */
		if (result->pause == HYPR_PAUSE_FORCED)
			result->pause_cycles = start - result->request_tsc;
		ret = hypr_state_save(vm, from->state);
		if (ret)
			goto undo;
		/* So that a later swap between the two can leave it to the engine. */
		if (from != to || (reset && !to->keeps_left))
			hypr_kept_left(vm, from);
		result->state_cycles += hypr_tsc() - start;
	}
	if (reset)
		ret = hypr_view_restore(vm, to, flags, reset);
	if (!ret && !committed)
		ret = timed_commit(vm, to, &swap, result);
	/* The registers that the vCPUs have are of memory that is gone. */
	if (ret && reset && reset->restore_cycles)
		hypr_vm_end(vm, true, "view %s: lost, its reset failed half way", to->name);
	return ret;

undo:
	if (committed)
		commit(vm, from, &swap);
	return ret;
}

static int state_set(struct hypr_vm *vm, struct hypr_view *to, struct hypr_swap_result *result)
{
	/* Of a paused VM they were saved long ago. */
	bool is_known = vm->engine->keeps_vcpus && !vm->paused && to != vm->active;
	uint64_t start = hypr_tsc();
	int ret;

	ret = hypr_state_set(vm, to->state, is_known ? vm->active->state : NULL);
	if (!ret && (vm->active != to || to->put_back)) {
		hypr_kept_entered(vm, to);
		hypr_spare_kept(vm, to);
	}
	result->state_cycles += hypr_tsc() - start;
	return ret;
}

/* The state of the other view cannot be set: back to where the VM was. */
static void swap_back(struct hypr_vm *vm, struct hypr_view *from)
{
	struct hypr_engine_swap swap = { 0 };

	if (commit(vm, from, &swap) || hypr_state_set(vm, from->state, NULL))
		hypr_vm_end(vm, true, "view %s: lost, its state cannot be set again",
			    from->name);
}

/* Can the engine move the vCPUs' state in a swap? */
static bool engine_moves(struct hypr_vm *vm, const struct hypr_view *to)
{
	const struct hypr_view *from = vm->active;

	return !vm->paused && from->keeps_left && to != from && to->kept;
}

/* And in a reset of the active view, whose memory it puts back as well? */
static bool engine_puts_back(struct hypr_vm *vm, const struct hypr_view *view,
			     unsigned int flags)
{
	return !vm->paused && view == vm->active && view->put_back && view->written_known &&
	       view->keeps_left && view->keeps_moment &&
	       (!(flags & HYPR_RESET_FLAGS) ||
		(flags & HYPR_RESET_ONLY(HYPR_RESET_COPY_BACK))) &&
	       parked_in_this_boot(vm, view->moment->state);
}

/* The engine's whole swap, with the guest asked again until the pause's deadline. */
static int park_and_commit(struct hypr_vm *vm, struct hypr_view *to,
			   struct hypr_engine_swap *swap, struct hypr_swap_result *result)
{
	uint64_t left = vm->pause_timeout_ms * 1000000ull;
	int ret;

	do {
		swap->pause_ns = left < PAUSE_STEP_NS ? left : PAUSE_STEP_NS;
		left -= swap->pause_ns;
		ret = timed_commit(vm, to, swap, result);
		result->pause_cycles += swap->pause_cycles;
	} while (ret == -EAGAIN && left && !hypr_vm_has_ended(vm));
	return ret;
}

/* Ask the guest to park if it offers that, and swap; without force if it has to park. */
static int commit_moving(struct hypr_vm *vm, struct hypr_view *to, unsigned int flags,
			 struct hypr_engine_swap *swap, struct hypr_swap_result *result)
{
	int ret;

	result->pause_cycles = 0;
	result->pause = HYPR_PAUSE_COOPERATIVE;
	swap->notify = count_unparked(vm, to->state);
	if (swap->notify)
		hypr_gate_close(vm, to);
	if (hypr_vm_may_park(vm, flags)) {
		ret = park_and_commit(vm, to, swap, result);
		if (ret != -EAGAIN)
			return ret;
		ret = hypr_vm_not_parked(vm, flags);
		if (ret)
			return ret;
	} else if (flags & HYPR_SWAP_COOPERATIVE) {
		return -EBUSY;
	}
	/* A vCPU that is parked in @to is not asked to wait, either. */
	if (!swap->notify)
		hypr_gate_close(vm, to);
	result->pause = HYPR_PAUSE_FORCED;
	swap->pause_ns = 0;
	swap->hold_ns = HOLD_NS;
	ret = timed_commit(vm, to, swap, result);
	/* The vCPUs stop when the engine takes them. */
	result->pause_cycles += swap->commit_cycles;
	return ret;
}

/*
 * A swap in which no vCPU's thread leaves KVM_RUN: the engine exchanges the state of vCPUs
 * and chips; the other devices follow.
 *
 * Return: 0 with the vCPUs in @to; after an error they run on in the old view: -EBUSY,
 * -ENXIO the engine cannot move the state of some vCPU.
 */
static int swap_moving(struct hypr_vm *vm, struct hypr_view *to, unsigned int flags,
		       struct hypr_swap_result *result)
{
	struct hypr_engine_swap swap = { .kept = to->kept };
	struct hypr_view *from = vm->active;
	uint64_t start;
	int ret;

	ret = hypr_board_leave(vm);
	if (ret)
		return ret;
	ret = commit_moving(vm, to, flags, &swap, result);
	if (!ret) {
		start = hypr_tsc();
		hypr_kept_moved(from);
		hypr_board_exchange(vm, from->state, to->state);
		result->state_cycles = result->ioctl_cycles - swap.pause_cycles -
				       swap.commit_cycles + hypr_tsc() - start;
		result->state_way = HYPR_STATE_KERNEL;
	}
	hypr_gate_open(vm);
	return ret;
}

static int park_and_reset(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
			  struct hypr_engine_swap *swap, struct hypr_swap_result *result)
{
	int ret;

	result->pause_cycles = 0;
	ret = park_and_commit(vm, view, swap, result);
	if (ret != -EAGAIN)
		return ret;
	result->pause = HYPR_PAUSE_FORCED;
	ret = hypr_vm_not_parked(vm, flags);
	return ret ? ret : -EBUSY;
}

/*
 * A reset of the active view by the engine alone.  It believes the guest nothing: no vCPU
 * enters the guest before memory and vCPUs are back.  What the guest does now is
 * forgotten, so it is not asked to park, unless a vCPU is in the middle of something that
 * the engine cannot throw away, or the caller insists.
 *
 * Return: as swap_moving(); also -EOPNOTSUPP, -E2BIG, -EFAULT the engine cannot do it.
 */
static int reset_held(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
		      struct hypr_swap_result *result, struct hypr_reset_result *reset)
{
	struct hypr_engine_swap swap = {
		.kept = HYPR_KEPT_MOMENT, .put_back = true, .hold_ns = HOLD_NS,
	};
	int ret = hypr_board_leave(vm);

	if (ret)
		return ret;
	result->pause = HYPR_PAUSE_COOPERATIVE;
	ret = -EBUSY;
	if (!(flags & HYPR_SWAP_COOPERATIVE))
		ret = timed_commit(vm, view, &swap, result);
	/* It ran while pages of the moment were fetched. */
	result->pause_cycles = swap.pause_cycles;
	if (!ret)
		result->pause = HYPR_PAUSE_FORCED;
	else if (ret == -EAGAIN)
		ret = -EBUSY;
	else if (ret == -EBUSY && hypr_vm_may_park(vm, flags))
		ret = park_and_reset(vm, view, flags, &swap, result);
	if (ret)
		return ret;
	hypr_board_reset(vm, view->moment->state);
	hypr_written_clear(vm, view);
	view->resets++;
	result->state_way = HYPR_STATE_KERNEL;
	result->state_cycles = result->ioctl_cycles - swap.pause_cycles - swap.commit_cycles;
	*reset = (struct hypr_reset_result){
		.view = view->id,
		.way = HYPR_RESET_COPY_BACK,
		.pages_restored = swap.pages,
		.restore_cycles = swap.commit_cycles,
		.total_cycles = swap.commit_cycles,
	};
	return 0;
}

/* swap_moving(), reset_held() returned @ret: 0 to go on without it, and with the flags for that. */
static int after_swap_moving(int ret, const struct hypr_swap_result *result,
			     unsigned int *flags)
{
	/* It is not asked twice. */
	if (result->pause == HYPR_PAUSE_FORCED)
		*flags |= HYPR_SWAP_FORCE;
	if (ret == -EBUSY || ret == -ENXIO || ret == -EOPNOTSUPP || ret == -E2BIG ||
	    ret == -EFAULT || (ret == -EAGAIN && result->pause == HYPR_PAUSE_FORCED))
		return 0;
	return ret;
}

static void account(struct hypr_vm *vm, struct hypr_view *to, struct hypr_swap_result *result)
{
	/* A guest without HYPR's patch leaves all its vCPUs "offline". */
	result->forced_vcpus = result->pause == HYPR_PAUSE_FORCED ?
			       vm->nr_vcpus : count_unparked(vm, vm->active->state);
	vm->active = to;
	to->at_moment = false;
	to->state_is_old = false;
	vm->swaps++;
	vm->generation = result->generation;
	to->swaps++;
}

/**
 * hypr_swap_locked() - the whole of a swap
 * @flags: HYPR_SWAP_FORCE, HYPR_SWAP_COOPERATIVE; with @reset HYPR_RESET_ONLY()
 * @result: out; names and numbers are the caller's to fill
 * @reset: not NULL to put back @to, which is the active view, in the pause; out
 */
int hypr_swap_locked(struct hypr_vm *vm, struct hypr_view *to, unsigned int flags,
		     struct hypr_swap_result *result, struct hypr_reset_result *reset)
{
	struct hypr_view *from = vm->active;
	struct hypr_pause_result pause = { .pause = vm->paused_how };
	bool in_guest;
	int ret;

	result->request_tsc = hypr_tsc();
	/* Rather here than where memory is missing. */
	if (hypr_view_is_on_file(to)) {
		ret = hypr_vmo_check_length(to->moment->vmo);
		if (ret)
			return ret;
	}
	if (reset ? engine_puts_back(vm, to, flags) : engine_moves(vm, to)) {
		ret = reset ? reset_held(vm, to, flags, result, reset) :
			      swap_moving(vm, to, flags, result);
		if (!ret)
			goto swapped;
		ret = after_swap_moving(ret, result, &flags);
		if (ret)
			goto go_on;
	}
	if (!vm->paused) {
		ret = hypr_vm_park(vm, flags, &pause);
		if (ret)
			goto go_on;
		/* It ran on while the engine tried. */
		result->pause_cycles = hypr_tsc() - result->request_tsc;
	}
	result->pause = pause.pause;
	ret = hypr_kept_fetch(vm, to);
	if (ret)
		goto go_on;
	in_guest = vm->engine->swaps_in_guest && !vm->paused && pause.pause == HYPR_PAUSE_COOPERATIVE &&
		   to != from && parked_in_this_boot(vm, to->state);

	ret = save_and_commit(vm, to, flags, in_guest, result, reset);
	if (ret)
		goto go_on;
	ret = state_set(vm, to, result);
	if (ret) {
		swap_back(vm, from);
		goto go_on;
	}
swapped:
	account(vm, to, result);
	if (result->state_way == HYPR_STATE_KERNEL) {
		hypr_state_set_control(vm, reset ? to->moment->state : to->state);
		hypr_vcpus_release(vm);
		result->resume_tsc = hypr_tsc();
		if (!reset)
			from->state->stopped_ns = hypr_unix_ns();
	} else if (!vm->paused) {
		hypr_vm_release(vm, to->state);
		result->resume_tsc = hypr_tsc();
	}
	result->total_cycles = hypr_tsc() - result->request_tsc;
	/* Of the next swap, which will not have to wait for it; or it fails there. */
	hypr_board_draw(vm);
	return 0;

go_on:
	if (!vm->paused) {
		hypr_vm_unpark(vm);
		hypr_vcpus_release(vm);
	}
	return ret;
}
