// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the pages of a view are: touched, private, written.  The host's page tables and
 * the kernel's report say so; no page is read, so that looking touches none.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/page.h"
#include "memory/pagemap.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/op.h"
#include "swap/pause.h"
#include "view/view.h"
#include "view/written.h"

/**
 * struct marks - HYPR_PAGE_* of each page
 * @of: @pages of them
 * @flag: which one mark() sets
 */
struct marks {
	uint8_t *of;
	uint64_t pages;
	uint8_t flag;
};

static int mark(void *arg, uint64_t gpa, uint64_t pages)
{
	const struct marks *marks = arg;
	uint64_t page = gpa / HYPR_PAGE_BYTES, end = page + pages;

	for (; page < end; page++)
		marks->of[page] |= marks->flag;
	return 0;
}

static int scan(const struct hypr_view *view, enum hypr_pages kind, uint8_t flag,
		struct marks *marks, uint64_t *pages)
{
	int ret;

	marks->flag = flag;
	ret = hypr_pagemap_scan(&view->mem, kind, mark, marks, pages);
	if (ret == -ENOTTY || ret == -ENOENT)
		return hypr_fail(-EOPNOTSUPP, "view '%s': which pages are there only Linux 6.7 and later report, through /proc/self/pagemap",
				 view->name);
	return ret ? hypr_fail_sys(ret, "view '%s': which pages are there", view->name) : 0;
}

/* Nobody runs in the view.  What is taken from the kernel, the next reset has as well. */
static int find(struct hypr_vm *vm, struct hypr_view *view, struct marks *marks,
		struct hypr_pages_result *result)
{
	int ret;

	ret = scan(view, HYPR_PAGES_PRESENT, HYPR_PAGE_TOUCHED, marks, &result->pages_touched);
	if (!ret)
		ret = scan(view, HYPR_PAGES_PRIVATE, HYPR_PAGE_PRIVATE, marks,
			   &result->pages_private);
	if (ret || !view->moment || !hypr_written_take(vm, view))
		return ret;
	result->written_known = 1;
	marks->flag = HYPR_PAGE_WRITTEN;
	return hypr_written_each(vm, view, mark, marks, &result->pages_written);
}

static int find_locked(struct hypr_vm *vm, struct hypr_view *view, struct marks *marks,
		       struct hypr_pages_result *result)
{
	bool halted;
	int ret;

	memcpy(result->name, view->name, sizeof(result->name));
	result->view = view->id;
	ret = hypr_view_halt(vm, view, &halted);
	if (ret)
		return ret;
	return hypr_view_go(vm, halted, find(vm, view, marks, result));
}

static int report(const struct marks *marks, hypr_page_run_fn fn, void *arg,
		  struct hypr_pages_result *result)
{
	uint64_t page, end;
	int ret = 0;

	for (page = 0; !ret && page < marks->pages; page = end) {
		struct hypr_page_run run = {
			.gpa = page * HYPR_PAGE_BYTES, .flags = marks->of[page],
		};

		for (end = page + 1; end < marks->pages && marks->of[end] == run.flags; end++)
			;
		run.pages = end - page;
		if (!run.flags)
			continue;
		result->nr_runs++;
		ret = fn ? fn(arg, &run) : 0;
	}
	return ret;
}

int hypr_view_pages(struct hypr_vm *vm, const char *name, hypr_page_run_fn fn, void *arg,
		    struct hypr_pages_result *result)
{
	struct marks marks = { .pages = vm->mem_bytes / HYPR_PAGE_BYTES };
	struct hypr_pages_result unused;
	struct hypr_view *view;
	int ret;

	if (!result)
		result = &unused;
	memset(result, 0, sizeof(*result));
	result->pages_total = marks.pages;
	marks.of = calloc(marks.pages, 1);
	if (!marks.of)
		return hypr_fail(-ENOMEM, "no memory to note %llu pages",
				 (unsigned long long)marks.pages);
	ret = hypr_vm_op_begin(vm);
	if (!ret) {
		view = name ? hypr_view_lookup(vm, name) : vm->active;
		ret = view ? find_locked(vm, view, &marks, result) : -ENOENT;
		hypr_vm_op_end(vm);
	}
	/* The VM goes on while @fn takes its time. */
	if (!ret)
		ret = report(&marks, fn, arg, result);
	free(marks.of);
	return ret;
}
