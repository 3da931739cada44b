// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Verify: compare every page of a view with its moment.  It reads through two
 * mappings, the view's private one and the moment's shared one; reading makes
 * no page private.  The control page is left out: it is shared by all views
 * and belongs to none.
 */
#include "internal.h"

static void note_mismatch(struct hypr_verify_result *result, uint64_t gpa)
{
	uint32_t n = result->nr_ranges;

	result->pages_mismatched++;
	if (n && result->range[n - 1].end == gpa) {
		result->range[n - 1].end += HYPR_PAGE_BYTES;
	} else if (n < HYPR_VERIFY_RANGES) {
		result->range[n].start = gpa;
		result->range[n].end = gpa + HYPR_PAGE_BYTES;
		result->nr_ranges++;
	}
}

static void compare(const struct hypr_vm *vm, const struct hypr_view *view,
		    struct hypr_verify_result *result)
{
	uint64_t start = hypr_tsc(), gpa;

	for (gpa = 0; gpa < vm->mem_bytes; gpa += HYPR_PAGE_BYTES) {
		if (gpa == HYPR_CONTROL_GPA)
			continue;
		result->pages_compared++;
		if (memcmp(view->mem + gpa, view->moment->mem + gpa, HYPR_PAGE_BYTES))
			note_mismatch(result, gpa);
	}
	result->cycles = hypr_tsc() - start;
}

static int verify_locked(struct hypr_vm *vm, struct hypr_view *view,
			 struct hypr_verify_result *result)
{
	struct hypr_pause_result pause;
	bool running = view == vm->active && !vm->paused;
	int ret;

	result->view = view->number;
	if (!view->moment)
		return hypr_fail(-EINVAL, "view '%s' has no moment to be compared with",
				 view->name);
	if (running) {
		ret = hypr_vm_halt(vm, 0, &pause);
		if (ret)
			return ret;
	}
	compare(vm, view, result);
	hypr_record_spoil(view, "was verified");
	return running ? hypr_vm_go(vm) : 0;
}

int hypr_view_verify(struct hypr_vm *vm, const char *name, struct hypr_verify_result *result)
{
	struct hypr_view *view;
	int ret;

	memset(result, 0, sizeof(*result));
	pthread_mutex_lock(&vm->op_lock);
	ret = hypr_vm_check_alive(vm);
	if (ret)
		goto unlock;
	view = hypr_view_lookup(vm, name);
	ret = view ? verify_locked(vm, view, result) : -ENOENT;
unlock:
	pthread_mutex_unlock(&vm->op_lock);
	return ret;
}
