// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which pages of a view may differ from its moment: see written.h.
 *
 * view->written has a bit for each page, and behind these bits the same number for
 * what the kernel reports: a reset that fails must not lose a report.
 */
#include <stdlib.h>
#include <string.h>

#include "base/page.h"
#include "engine/engine.h"
#include "model/view.h"
#include "model/vm.h"
#include "view/written.h"

#define WORD_PAGES	64

static uint64_t words_of(const struct hypr_vm *vm)
{
	uint64_t pages = vm->mem_bytes / HYPR_PAGE_BYTES;

	return (pages + WORD_PAGES - 1) / WORD_PAGES;
}

/* Can the engine put the view back, now that view->written is there? */
static bool put_back_begin(struct hypr_vm *vm, struct hypr_view *view)
{
	struct hypr_moment *moment = view->moment;
	bool map;

	if (!moment || !vm->engine->moment)
		return false;
	/* Or the first reset fetches its pages, and the guest runs meanwhile. */
	map = !moment->vmo && !moment->mapped;
	if (vm->engine->moment(vm, view, map))
		return false;
	moment->mapped |= map;
	return true;
}

bool hypr_written_take(struct hypr_vm *vm, struct hypr_view *view)
{
	uint64_t words = words_of(vm), all = UINT64_MAX, i, *reported;

	if (!vm->engine->written)
		return false;
	if (!view->written) {
		view->written = calloc(2 * words, sizeof(*view->written));
		view->put_back = view->written && put_back_begin(vm, view);
	}
	if (!view->written)
		return false;
	view->written_known = false;
	reported = view->written + words;
	if (vm->engine->written(vm, view, reported, words * WORD_PAGES))
		return false;
	for (i = 0; i < words; i++) {
		view->written[i] |= reported[i];
		all &= view->written[i];
	}
	view->written_known = all != UINT64_MAX;
	return view->written_known;
}

void hypr_written_start(struct hypr_vm *vm, struct hypr_view *view)
{
	/* What the kernel reports of the time before says nothing. */
	hypr_written_take(vm, view);
	hypr_written_clear(vm, view);
}

int hypr_written_each(const struct hypr_vm *vm, const struct hypr_view *view,
		      hypr_pages_fn fn, void *fn_arg, uint64_t *pages)
{
	uint64_t nr = vm->mem_bytes / HYPR_PAGE_BYTES, page = 0, end, word;
	int ret = 0;

	*pages = 0;
	while (!ret && page < nr) {
		word = view->written[page / WORD_PAGES] >> page % WORD_PAGES;
		if (!word) {
			page += WORD_PAGES - page % WORD_PAGES;
			continue;
		}
		page += (uint64_t)__builtin_ctzll(word);
		for (end = page; end < nr && (view->written[end / WORD_PAGES] >>
					      end % WORD_PAGES & 1); end++)
			;
		*pages += end - page;
		ret = fn(fn_arg, page * HYPR_PAGE_BYTES, end - page);
		page = end;
	}
	return ret;
}

void hypr_written_note(struct hypr_view *view, uint64_t gpa, uint64_t pages)
{
	uint64_t page = gpa / HYPR_PAGE_BYTES, end = page + pages;

	for (; view->written && page < end; page++)
		view->written[page / WORD_PAGES] |= 1ull << page % WORD_PAGES;
}

void hypr_written_clear(const struct hypr_vm *vm, struct hypr_view *view)
{
	if (view->written)
		memset(view->written, 0, words_of(vm) * sizeof(*view->written));
	view->written_known = view->written;
}
