// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Working sets: which pages of a view a guest has touched, as a file that tells the
 * next VM what to map ahead.  A page that the guest touches is faulted into this
 * process's mapping of the view, since KVM reaches guest memory through it;
 * pagemap.c tells which are there.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "hypr/vmo.h"
#include "base/error.h"
#include "base/page.h"
#include "memory/pagemap.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/op.h"
#include "view/view.h"

struct set {
	struct hypr_vmo_range *range;
	size_t nr, max;
	uint64_t pages;
};

static int set_add(void *arg, uint64_t gpa, uint64_t pages)
{
	struct set *set = arg;
	struct hypr_vmo_range *last = set->nr ? &set->range[set->nr - 1] : NULL;
	size_t more = set->max ? 2 * set->max : 256;

	if (last && last->gpa + last->pages * HYPR_PAGE_BYTES == gpa) {
		last->pages += pages;
		return 0;
	}
	if (set->nr == set->max) {
		last = reallocarray(set->range, more, sizeof(*last));
		if (!last)
			return -ENOMEM;
		set->range = last;
		set->max = more;
	}
	set->range[set->nr++] = (struct hypr_vmo_range){ .gpa = gpa, .pages = pages };
	return 0;
}

static int write_set(struct hypr_vm *vm, const struct hypr_view *view, const char *path,
		     unsigned int flags, struct hypr_working_set_result *result)
{
	struct set set = { 0 };
	char *beside = NULL;
	int ret;

	ret = hypr_pagemap_scan(&view->mem, HYPR_PAGES_PRESENT, set_add, &set,
				&set.pages);
	if (ret)
		ret = hypr_fail_sys(ret, "view '%s': which pages are there", view->name);
	if (!ret && !path)
		ret = hypr_vmo_ws_path(view->moment->vmo, &beside);
	if (!ret)
		ret = hypr_vmo_ws_write(view->moment->vmo, path ? path : beside,
					flags & HYPR_SAVE_REPLACE ? HYPR_VMO_REPLACE : 0,
					set.range, set.nr);
	result->view = view->id;
	result->pages = set.pages;
	result->pages_total = vm->mem_bytes / HYPR_PAGE_BYTES;
	result->ranges = set.nr;
	snprintf(result->path, sizeof(result->path), "%s", path ? path : beside ? beside : "");
	free(set.range);
	free(beside);
	return ret;
}

static int working_set_locked(struct hypr_vm *vm, const char *name, const char *path,
			      unsigned int flags, struct hypr_working_set_result *result)
{
	struct hypr_view *view = name ? hypr_view_lookup(vm, name) : vm->active;

	if (!view)
		return -ENOENT;
	if (!view->record.on)
		return hypr_fail(-EINVAL, "view '%s' was not loaded to be recorded (--prefault record)",
				 view->name);
	if (view->record.spoilt)
		return hypr_fail(-ESTALE, "view '%s' %s since it was loaded, which touched every page: load it once more",
				 view->name, view->record.spoilt);
	return write_set(vm, view, path, flags, result);
}

int hypr_view_working_set(struct hypr_vm *vm, const char *name, const char *path,
			  unsigned int flags, struct hypr_working_set_result *result)
{
	struct hypr_working_set_result unused;
	int ret;

	if (!result)
		result = &unused;
	memset(result, 0, sizeof(*result));
	if (flags & ~HYPR_SAVE_REPLACE)
		return hypr_fail(-EINVAL, "working set: unknown flags 0x%x", flags);
	ret = hypr_vm_op_begin(vm);
	if (ret)
		return ret;
	ret = working_set_locked(vm, name, path, flags, result);
	hypr_vm_op_end(vm);
	return ret;
}
