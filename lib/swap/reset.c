// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reset: a view back to its moment, byte for byte.  The view is a private
 * mapping of the moment's memory, so only its private pages differ from it.
 * They get the moment's bytes again, in place: what maps them stays as it is.
 * Among these bytes are page tables of the guest, so the next swap to the view
 * has to flush what the TLBs know of it.
 */
#include "base/error.h"
#include "base/time.h"
#include "memory/privmem.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "run/state.h"
#include "swap/swap.h"
#include "view/record.h"
#include "view/restore.h"
#include "view/view.h"

static int put_back(struct hypr_vm *vm, struct hypr_view *view,
		    struct hypr_reset_result *result, bool *dropped)
{
	bool torn;
	int ret;

	if (hypr_view_is_on_file(view)) {
		ret = hypr_privmem_restore_file(vm, view, &result->pages_restored, &torn);
		/* Neither what it was nor what it is to be.  (No swap goes to such a view.) */
		if (ret && torn && view == vm->active)
			hypr_vm_end(vm, true, "view %s: its file was truncated during a reset",
				    view->name);
		return ret;
	}
	ret = hypr_privmem_restore(view->mem, vm->mem_bytes, view->moment->mem,
				   &result->pages_restored, dropped);
	return ret ? hypr_fail_sys(ret, "view '%s': putting its private pages back",
				   view->name) : 0;
}

/**
 * hypr_view_restore() - put back memory and state of a view that does not run
 * @view: inactive, or active with all vCPUs held
 * @result: out
 */
int hypr_view_restore(struct hypr_vm *vm, struct hypr_view *view,
		      struct hypr_reset_result *result)
{
	uint64_t start = hypr_tsc(), restored;
	bool dropped = false;
	int ret;

	memset(result, 0, sizeof(*result));
	result->view = view->number;
	if (!view->moment)
		return hypr_fail(-EINVAL,
				 "view '%s' has no moment to go back to; take a snapshot and reset that",
				 view->name);
	ret = put_back(vm, view, result, &dropped);
	if (ret)
		return ret;
	view->edited = true;
	hypr_state_copy(vm, view->state, view->moment->state);
	restored = hypr_tsc();

	/* So that the first touch of a page that is gone does not fault. */
	if (dropped)
		hypr_record_spoil(view, "was reset, page by page,");
	if (dropped)
		ret = hypr_view_prepare(vm, view, NULL);
	view->resets++;
	result->restore_cycles = restored - start;
	result->total_cycles = hypr_tsc() - start;
	result->prepare_cycles = result->total_cycles - result->restore_cycles;
	return ret;
}

/* The active view is put back by a swap to itself, which tells the guest, too. */
static int reset_active(struct hypr_vm *vm, struct hypr_view *view,
			struct hypr_reset_result *result)
{
	struct hypr_swap_result swap = { 0 };
	int ret;

	if (!view->moment)
		return hypr_view_restore(vm, view, result);
	ret = hypr_swap_locked(vm, view, 0, &swap, result);
	result->pause = swap.pause;
	result->pause_cycles = swap.pause_cycles;
	result->total_cycles = swap.total_cycles;
	return ret;
}

int hypr_view_reset(struct hypr_vm *vm, const char *name, struct hypr_reset_result *result)
{
	struct hypr_reset_result unused;
	struct hypr_view *view;
	int ret;

	if (!result)
		result = &unused;
	memset(result, 0, sizeof(*result));
	ret = hypr_vm_op_begin(vm);
	if (ret)
		return ret;
	view = hypr_view_lookup(vm, name);
	if (!view)
		ret = -ENOENT;
	else if (view == vm->active)
		ret = reset_active(vm, view, result);
	else
		ret = hypr_view_restore(vm, view, result);
	hypr_vm_op_end(vm);
	return ret;
}
