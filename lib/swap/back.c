// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A view back to its moment, by the way that is asked for or the cheapest: by its spare, if
 * the spare is ready; else what differs is put back.
 */
#include <errno.h>
#include <string.h>

#include "hypr/hypr.h"
#include "base/error.h"
#include "base/time.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "run/mender.h"
#include "swap/back.h"
#include "swap/swap.h"
#include "view/restore.h"
#include "view/spare.h"

/*
 * May it go by the spare?  If that is the only way that is allowed, it is waited for.
 * @state: out: HYPR_SPARE_*, as the spare is now
 * Return: 1; 0; -EOPNOTSUPP it can go in no other way, and there is no spare.
 */
static int takes_spare(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags, int *state)
{
	int want = hypr_reset_wanted(flags), ret;

	if (want == HYPR_RESET_SPARE && view->moment) {
		ret = hypr_spare_await(vm, view);
		*state = hypr_spare_state(vm, view);
		return ret ? ret : 1;
	}
	*state = hypr_spare_state(vm, view);
	/* It may do better now, for the next time. */
	if (*state == HYPR_SPARE_FAILED)
		hypr_spare_mend(vm, view);
	return want == HYPR_RESET_ANY && *state == HYPR_SPARE_READY;
}

static void change_places(struct hypr_vm *vm, struct hypr_view *view,
			  struct hypr_reset_result *reset)
{
	hypr_spare_exchange(view);
	hypr_spare_mend(vm, view);
	view->resets++;
	*reset = (struct hypr_reset_result){ .view = view->id, .way = HYPR_RESET_SPARE };
}

/* What the guest does now is forgotten, so it is not asked to park unless the caller insists. */
static int swap_to_spare(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
			 struct hypr_swap_result *result, struct hypr_reset_result *reset)
{
	unsigned int how = flags & HYPR_SWAP_COOPERATIVE ? HYPR_SWAP_COOPERATIVE : HYPR_SWAP_FORCE;
	int ret = hypr_swap_locked(vm, view->spare->view, how, result, NULL);

	if (ret)
		return ret;
	change_places(vm, view, reset);
	vm->active = view;
	view->swaps++;
	reset->total_cycles = result->total_cycles;
	return 0;
}

/**
 * hypr_reset_active() - the active view, by a swap, which tells the guest
 * @flags: HYPR_SWAP_FORCE, HYPR_SWAP_COOPERATIVE, HYPR_RESET_ONLY()
 * @result: out; names and numbers are the caller's to fill, before or afterwards
 * @reset: out
 */
int hypr_reset_active(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
		      struct hypr_swap_result *result, struct hypr_reset_result *reset)
{
	const struct hypr_swap_result asked = *result;
	int state, ret = takes_spare(vm, view, flags, &state);

	if (ret < 0)
		return ret;
	if (ret) {
		ret = swap_to_spare(vm, view, flags, result, reset);
		/* The VM runs on where it was: there are other ways. */
		if (ret && hypr_reset_wanted(flags) == HYPR_RESET_ANY &&
		    !(flags & HYPR_SWAP_COOPERATIVE) && !hypr_vm_has_ended(vm)) {
			*result = asked;
			state = HYPR_SPARE_FAILED;
			ret = hypr_swap_locked(vm, view, flags, result, reset);
		}
	} else {
		ret = hypr_swap_locked(vm, view, flags, result, reset);
	}
	reset->spare = state;
	return ret;
}

/** hypr_reset_inactive() - a view that no vCPU is in; the VM runs on */
int hypr_reset_inactive(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
			struct hypr_reset_result *reset)
{
	uint64_t start = hypr_tsc();
	int state, ret = takes_spare(vm, view, flags, &state);

	if (ret < 0)
		return ret;
	if (ret) {
		change_places(vm, view, reset);
		reset->total_cycles = hypr_tsc() - start;
		ret = 0;
	} else {
		ret = hypr_view_restore(vm, view, flags, reset);
	}
	reset->spare = state;
	return ret;
}
