// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Building a new view's tables ahead of time: all of them, those of the pages that
 * a guest touched the last time, or none.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "hypr/vmo.h"
#include "base/error.h"
#include "base/page.h"
#include "base/time.h"
#include "engine/engine.h"
#include "model/view.h"
#include "model/vm.h"
#include "view/build.h"
#include "view/prefault.h"
#include "view/record.h"
#include "view/view.h"

#define PREPARE_TRIES		16

static int prepare_part(struct hypr_vm *vm, struct hypr_view *view, uint64_t gpa, uint64_t bytes,
			uint64_t *pages)
{
	int ret;

	if (!vm->engine->prepare_part)
		return hypr_fail(-EOPNOTSUPP, "engine %s prepares no part of a view",
				 vm->engine->name);
	ret = vm->engine->prepare_part(vm, view, gpa, bytes, pages);
	view->prepared |= !ret;
	return ret;
}

/* Pages from the file first, many at a time; then the tables that map them. */
static int prepare_ranges(struct hypr_vm *vm, struct hypr_view *view,
			  const struct hypr_vmo_range *range, size_t nr, uint64_t *pages)
{
	uint64_t bytes;
	void *mem;
	size_t i;
	int ret = 0;

	*pages = 0;
	for (i = 0; i < nr; i++) {
		bytes = range[i].pages * HYPR_PAGE_BYTES;
		mem = hypr_guest_at(&view->mem, hypr_gpa(range[i].gpa), bytes);
		if (!mem)
			return hypr_guest_fail(&view->mem, hypr_gpa(range[i].gpa), bytes,
					       view->name);
		if (madvise(mem, bytes, MADV_POPULATE_READ) < 0)
			return hypr_fail_sys(-errno, "view '%s': pages of its working set, at GPA 0x%llx",
					     view->name, (unsigned long long)range[i].gpa);
	}
	for (i = 0; !ret && i < nr; i++) {
		bytes = range[i].pages * HYPR_PAGE_BYTES;
		ret = prepare_part(vm, view, range[i].gpa, bytes, pages);
	}
	return ret;
}

static int prepare_used(struct hypr_vm *vm, struct hypr_view *view, uint64_t *pages)
{
	struct hypr_vmo_range *range;
	int ret, tries = PREPARE_TRIES;
	size_t nr;

	ret = hypr_vmo_ws_read(view->moment->vmo, &range, &nr);
	if (ret)
		return ret;
	/* -EAGAIN: the tables were dropped meanwhile, and what was built with them. */
	do
		ret = prepare_ranges(vm, view, range, nr, pages);
	while (ret == -EAGAIN && --tries);
	free(range);
	return ret;
}

/**
 * hypr_view_prefault() - build of a new view's tables what is asked for
 * @flags: HYPR_LOAD_*
 * @pages: out: 4 KiB pages that the tables map
 *
 * A view must be prepared before it is swapped to: where nothing is to be built,
 * the control page alone is.  The boot view runs from the start.
 */
int hypr_view_prefault(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
		       uint64_t *pages)
{
	int ret = 0, tries = PREPARE_TRIES;
	uint64_t unused;

	if (!pages)
		pages = &unused;
	*pages = 0;
	if (flags & HYPR_LOAD_RECORD)
		ret = hypr_record_start(view);
	else if (flags & HYPR_LOAD_PREFAULT_USED)
		ret = prepare_used(vm, view, pages);
	else if (!(flags & HYPR_LOAD_PREFAULT_NONE))
		ret = hypr_view_prepare(vm, view, pages);
	if (ret || view->prepared)
		return ret;
	do
		ret = prepare_part(vm, view, HYPR_CONTROL_GPA, HYPR_CONTROL_SIZE, pages);
	while (ret == -EAGAIN && --tries);
	return ret;
}

/**
 * hypr_view_add() - make a view of a moment, and build of its tables what is asked for
 * @moment: is taken over, also after an error
 * @flags: HYPR_LOAD_*, of a moment from a file
 * @result: out: the view, its pages, and what building it took
 */
int hypr_view_add(struct hypr_vm *vm, const char *name, struct hypr_moment *moment,
		  unsigned int flags, struct hypr_snapshot_result *result)
{
	uint64_t start = hypr_tsc();
	struct hypr_view *view;
	int ret;

	ret = hypr_view_create(vm, name, moment, &view);
	if (!ret) {
		ret = hypr_view_prefault(vm, view, flags, &result->pages_mapped);
		if (ret)
			hypr_view_destroy(vm, view);
	}
	result->prepare_cycles = hypr_tsc() - start;
	if (ret)
		return ret;
	result->view = view->id;
	result->pages_total = vm->mem_bytes / HYPR_PAGE_BYTES;
	result->pages_stored = moment->pages_stored;
	return 0;
}

/** hypr_load_flags_check() - Return: 0; -EINVAL unknown, or not together. */
int hypr_load_flags_check(unsigned int flags)
{
	unsigned int prefault = flags & (HYPR_LOAD_PREFAULT_NONE | HYPR_LOAD_PREFAULT_USED |
					 HYPR_LOAD_RECORD);

	if (flags & ~(HYPR_LOAD_TIME_CONTINUE | prefault))
		return hypr_fail(-EINVAL, "load: unknown flags 0x%x", flags);
	if (prefault & (prefault - 1))
		return hypr_fail(-EINVAL, "load: flags 0x%x do not go together", prefault);
	return 0;
}
