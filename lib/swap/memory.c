// SPDX-License-Identifier: LGPL-2.1-or-later
/* A caller reads and writes memory of a view. */
#include <errno.h>
#include <stdbool.h>

#include "hypr/run.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/op.h"
#include "swap/pause.h"
#include "view/poke.h"
#include "view/record.h"
#include "view/view.h"

/* @to or @from is NULL. */
static int access_locked(struct hypr_vm *vm, struct hypr_view *view, uint64_t gpa, void *to,
			 const void *from, size_t bytes)
{
	bool halted;
	int ret;

	ret = hypr_view_halt(vm, view, &halted);
	if (ret)
		return ret;
	hypr_record_spoil(view, to ? "was read from" : "was written to");
	ret = to ? hypr_poke_get(view, gpa, to, bytes) : hypr_poke_put(view, gpa, from, bytes);
	return hypr_view_go(vm, halted, ret);
}

static int access_view(struct hypr_vm *vm, const char *name, uint64_t gpa, void *to,
		  const void *from, size_t bytes)
{
	struct hypr_view *view;
	int ret;

	ret = hypr_vm_op_begin_memory(vm);
	if (ret)
		return ret;
	view = name ? hypr_view_lookup(vm, name) : vm->active;
	ret = view ? access_locked(vm, view, gpa, to, from, bytes) : -ENOENT;
	hypr_vm_op_end(vm);
	return ret;
}

int hypr_view_read(struct hypr_vm *vm, const char *view, uint64_t gpa, void *to, size_t bytes)
{
	return access_view(vm, view, gpa, to, NULL, bytes);
}

int hypr_view_write(struct hypr_vm *vm, const char *view, uint64_t gpa, const void *from,
		    size_t bytes)
{
	return access_view(vm, view, gpa, NULL, from, bytes);
}
