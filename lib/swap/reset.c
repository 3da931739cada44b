// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reset: a view back to its moment (restore.c).  Among the bytes that it gets again
 * are page tables of the guest, so the next swap to the view has to flush what the
 * TLBs know of it.
 */
#include <errno.h>
#include <string.h>

#include "hypr/hypr.h"
#include "base/error.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "swap/swap.h"
#include "view/restore.h"
#include "view/view.h"

/* The active view is put back by a swap to itself, which tells the guest, too. */
static int reset_active(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
			struct hypr_reset_result *result)
{
	struct hypr_swap_result swap = { 0 };
	int ret;

	if (!view->moment)
		return hypr_view_restore(vm, view, flags, result);
	ret = hypr_swap_locked(vm, view, flags, &swap, result);
	result->pause = swap.pause;
	result->state_way = swap.state_way;
	result->pause_cycles = swap.pause_cycles;
	result->total_cycles = swap.total_cycles;
	return ret;
}

int hypr_view_reset_by(struct hypr_vm *vm, const char *name, unsigned int flags,
		       struct hypr_reset_result *result)
{
	struct hypr_reset_result unused;
	struct hypr_view *view;
	int ret;

	if (!result)
		result = &unused;
	memset(result, 0, sizeof(*result));
	if (flags & ~HYPR_RESET_FLAGS)
		return hypr_fail(-EINVAL, "reset: unknown flags 0x%x", flags);
	ret = hypr_reset_check(flags);
	if (!ret)
		ret = hypr_vm_op_begin(vm);
	if (ret)
		return ret;
	view = name ? hypr_view_lookup(vm, name) : vm->active;
	if (!view)
		ret = -ENOENT;
	else if (view == vm->active)
		ret = reset_active(vm, view, flags, result);
	else
		ret = hypr_view_restore(vm, view, flags, result);
	hypr_vm_op_end(vm);
	return ret;
}

int hypr_view_reset(struct hypr_vm *vm, const char *name, struct hypr_reset_result *result)
{
	return hypr_view_reset_by(vm, name, 0, result);
}
