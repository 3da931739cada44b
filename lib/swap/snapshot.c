// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Snapshots: a moment of the active view is taken, for which the VM is paused, and
 * another view is made of it.
 */
#include <errno.h>
#include <string.h>

#include "hypr/hypr.h"
#include "base/time.h"
#include "memory/perm.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/op.h"
#include "run/state.h"
#include "swap/precopy.h"
#include "swap/snapshot.h"
#include "view/copy.h"
#include "view/kept.h"
#include "view/moment.h"
#include "view/prefault.h"
#include "view/record.h"
#include "view/view.h"

/* The active view, whose vCPUs are brought to a stop unless they stand already. */
static int take(struct hypr_vm *vm, const struct hypr_view *view,
		struct hypr_snapshot_result *result, struct hypr_moment *moment, bool *kept)
{
	struct hypr_copy copy;
	int ret;

	ret = hypr_copy_open(&copy, vm, view);
	if (!ret)
		ret = hypr_precopy(&copy, result, kept);
	if (!ret)
		ret = hypr_perm_copy(moment, view->moment);
	if (!ret)
		ret = hypr_copy_finish(&copy, moment);
	hypr_copy_close(&copy);
	if (!ret)
		hypr_state_copy(vm, moment->state, view->state);
	return ret;
}

/**
 * hypr_moment_take() - keep this moment of the active view
 * @result: out: the pause and the copy
 * @momentp: out: to be given back with hypr_moment_destroy()
 * @kept: out: the engine has kept its vCPUs and chips, see hypr_kept_taken(); NULL: no need
 *
 * The VM goes on, unless it was paused before.
 */
int hypr_moment_take(struct hypr_vm *vm, struct hypr_snapshot_result *result,
		     struct hypr_moment **momentp, bool *kept)
{
	struct hypr_moment *moment = hypr_moment_alloc(vm);
	int ret;

	if (!moment)
		return -ENOMEM;
	hypr_record_spoil(vm->active, "was copied for a snapshot");
	ret = take(vm, vm->active, result, moment, kept);
	if (ret)
		hypr_moment_destroy(vm, moment);
	else
		*momentp = moment;
	return ret;
}

/** hypr_snapshot_locked() - the whole of hypr_view_snapshot(), but for total_cycles */
int hypr_snapshot_locked(struct hypr_vm *vm, const char *name,
			 struct hypr_snapshot_result *result)
{
	struct hypr_moment *moment;
	bool kept = false;
	int ret;

	ret = hypr_view_check_new(vm, name);
	if (ret)
		return ret;
	ret = hypr_moment_take(vm, result, &moment, &kept);
	if (ret)
		return ret;
	ret = hypr_view_add(vm, name, moment, 0, result);
	if (!ret && kept)
		hypr_kept_begin(vm, vm->active, HYPR_KEPT_LEFT, vm->view[result->view]);
	return ret;
}

int hypr_view_snapshot(struct hypr_vm *vm, const char *name,
		       struct hypr_snapshot_result *result)
{
	struct hypr_snapshot_result unused;
	uint64_t start = hypr_tsc();
	int ret;

	if (!result)
		result = &unused;
	memset(result, 0, sizeof(*result));
	ret = hypr_vm_op_begin(vm);
	if (!ret) {
		ret = hypr_snapshot_locked(vm, name, result);
		hypr_vm_op_end(vm);
	}
	result->total_cycles = hypr_tsc() - start;
	return ret;
}
