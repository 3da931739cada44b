// SPDX-License-Identifier: LGPL-2.1-or-later
/* A view of a moment that is in a file. */
#include <string.h>

#include "hypr/hypr.h"
#include "hypr/vmo.h"
#include "base/time.h"
#include "model/vm.h"
#include "run/op.h"
#include "view/moment.h"
#include "view/prefault.h"
#include "view/view.h"

static int load_locked(struct hypr_vm *vm, const char *name, const char *path,
		       unsigned int flags, struct hypr_snapshot_result *result)
{
	struct hypr_moment *moment;
	struct hypr_vmo *vmo;
	int ret;

	ret = hypr_view_check_new(vm, name);
	if (!ret)
		ret = hypr_vmo_open(path, &vmo);
	if (!ret)
		ret = hypr_moment_from_vmo(vm, vmo, path, flags, &moment);
	if (ret)
		return ret;
	return hypr_view_add(vm, name, moment, flags, result);
}

int hypr_view_load(struct hypr_vm *vm, const char *name, const char *path, unsigned int flags,
		   struct hypr_snapshot_result *result)
{
	struct hypr_snapshot_result unused;
	uint64_t start = hypr_tsc();
	int ret;

	if (!result)
		result = &unused;
	memset(result, 0, sizeof(*result));
	ret = hypr_load_flags_check(flags);
	if (ret)
		return ret;
	ret = hypr_vm_op_begin(vm);
	if (!ret) {
		ret = load_locked(vm, name, path, flags, result);
		hypr_vm_op_end(vm);
	}
	result->total_cycles = hypr_tsc() - start;
	return ret;
}
