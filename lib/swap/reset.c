// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The calls: swap, reset, and the spare that a reset may go by.  swap.c and back.c have
 * what they do.
 */
#include <errno.h>
#include <string.h>

#include "hypr/hypr.h"
#include "base/error.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/op.h"
#include "swap/back.h"
#include "swap/swap.h"
#include "view/restore.h"
#include "view/spare.h"
#include "view/view.h"

/* A view that is not active is put back first, while the VM runs on. */
static int reset_and_swap(struct hypr_vm *vm, struct hypr_view *to, unsigned int flags,
			  struct hypr_swap_result *result)
{
	struct hypr_reset_result reset = { 0 };
	int ret;

	if (!(flags & HYPR_SWAP_RESET))
		return hypr_swap_locked(vm, to, flags, result, NULL);

	ret = hypr_reset_check(flags);
	if (ret)
		return ret;
	if (to == vm->active) {
		ret = hypr_reset_active(vm, to, flags, result, &reset);
	} else {
		ret = hypr_reset_inactive(vm, to, flags, &reset);
		if (!ret)
			ret = hypr_swap_locked(vm, to, flags, result, NULL);
	}
	result->reset_cycles = reset.total_cycles;
	result->pages_restored = reset.pages_restored;
	result->reset_way = reset.way;
	result->reset_spare = reset.spare;
	return ret;
}

int hypr_view_swap(struct hypr_vm *vm, const char *name, unsigned int flags,
		   struct hypr_swap_result *result)
{
	struct hypr_swap_result unused;
	struct hypr_view *to;
	int ret;

	if (!result)
		result = &unused;
	memset(result, 0, sizeof(*result));
	if ((flags & ~(HYPR_SWAP_RESET | HYPR_SWAP_FORCE | HYPR_SWAP_COOPERATIVE |
		       (flags & HYPR_SWAP_RESET ? HYPR_RESET_FLAGS : 0))) ||
	    ((flags & HYPR_SWAP_FORCE) && (flags & HYPR_SWAP_COOPERATIVE)))
		return hypr_fail(-EINVAL, "swap: unknown or contradictory flags 0x%x", flags);

	ret = hypr_vm_op_begin(vm);
	if (ret)
		return ret;
	to = hypr_view_lookup(vm, name);
	if (!to) {
		ret = -ENOENT;
		goto unlock;
	}
	result->old_view = vm->active->id;
	result->new_view = to->id;
	memcpy(result->old_name, vm->active->name, sizeof(result->old_name));
	memcpy(result->new_name, to->name, sizeof(result->new_name));
	ret = reset_and_swap(vm, to, flags, result);
unlock:
	hypr_vm_op_end(vm);
	return ret;
}

static int reset_active(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
			struct hypr_reset_result *result)
{
	struct hypr_swap_result swap = { 0 };
	int ret;

	if (!view->moment)
		return hypr_view_restore(vm, view, flags, result);
	ret = hypr_reset_active(vm, view, flags, &swap, result);
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
		ret = hypr_reset_inactive(vm, view, flags, result);
	hypr_vm_op_end(vm);
	return ret;
}

int hypr_view_reset(struct hypr_vm *vm, const char *name, struct hypr_reset_result *result)
{
	return hypr_view_reset_by(vm, name, 0, result);
}

int hypr_view_spare(struct hypr_vm *vm, const char *name)
{
	struct hypr_view *view;
	int ret;

	ret = hypr_vm_op_begin(vm);
	if (ret)
		return ret;
	view = hypr_view_lookup(vm, name);
	ret = view ? hypr_spare_add(vm, view) : -ENOENT;
	hypr_vm_op_end(vm);
	return ret;
}
