// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Copying the memory of a guest that runs (docs/adr/0005).  All of it is copied
 * once, then what was written meanwhile, in rounds, until that is little; the
 * vCPUs stand only for the last round and for their own state.
 */
#include <errno.h>

#include "base/page.h"
#include "base/time.h"
#include "memory/dirty.h"
#include "memory/pagemap.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "swap/pause.h"
#include "swap/precopy.h"
#include "view/copy.h"
#include "view/kept.h"

#define FEW_PAGES	64	/* they are copied while the vCPUs stand */
#define ROUNDS_MAX	4
#define CHUNK_PAGES	1024

static int copy_pages(void *arg, uint64_t gpa, uint64_t pages)
{
	return hypr_copy_pages(arg, gpa, pages);
}

struct all {
	struct hypr_copy *copy;
	uint64_t *pages;
};

/* A VM that ends meanwhile is not copied to the end. */
static int copy_stretch(void *arg, uint64_t gpa, uint64_t pages)
{
	const struct all *all = arg;
	uint64_t part;
	int ret = 0;

	for (; pages; pages -= part, gpa += part * HYPR_PAGE_BYTES) {
		part = pages < CHUNK_PAGES ? pages : CHUNK_PAGES;
		ret = hypr_vm_check_alive(all->copy->vm);
		if (!ret)
			ret = hypr_copy_pages(all->copy, gpa, part);
		if (ret)
			break;
		*all->pages += part;
	}
	return ret;
}

/*
 * @pages: out: how many were copied.  In memory of its own (not on a moment) a view has
 * the pages that were touched; to look at the others would give them to it.
 */
static int copy_all(struct hypr_copy *copy, uint64_t *pages)
{
	struct all all = { .copy = copy, .pages = pages };
	uint64_t bytes = copy->vm->mem_bytes, found;
	int ret = -ENOTTY;

	*pages = 0;
	if (!copy->view->moment)
		ret = hypr_pagemap_scan(&copy->view->mem, HYPR_PAGES_PRESENT,
					copy_stretch, &all, &found);
	/* All of it, where the kernel cannot say. */
	if (ret == -ENOTTY || ret == -ENOENT)
		ret = copy_stretch(&all, 0, bytes / HYPR_PAGE_BYTES);
	return ret;
}

static int run_rounds(struct hypr_copy *copy, struct hypr_dirty *dirty,
		      struct hypr_snapshot_result *result)
{
	uint64_t pages, before = UINT64_MAX;
	int ret;

	ret = copy_all(copy, &result->pages_precopied);
	while (!ret && result->rounds < ROUNDS_MAX) {
		/* Logged anew before the copy: what is written during it counts. */
		ret = hypr_dirty_get(dirty, true, &pages);
		if (!ret)
			ret = hypr_dirty_each(dirty, copy_pages, copy);
		if (ret)
			break;
		result->rounds++;
		result->pages_precopied += pages;
		if (pages <= FEW_PAGES || pages >= before)
			break;
		before = pages;
	}
	return ret;
}

/* The vCPUs stand. */
static int copy_rest(struct hypr_copy *copy, struct hypr_dirty *dirty,
		     struct hypr_snapshot_result *result, bool *kept)
{
	uint64_t start = hypr_tsc();
	int ret;

	if (result->copy == HYPR_COPY_PRECOPY) {
		ret = hypr_dirty_get(dirty, false, &result->pages_in_pause);
		if (!ret)
			ret = hypr_dirty_each(dirty, copy_pages, copy);
	} else {
		ret = copy_all(copy, &result->pages_in_pause);
	}
	result->copy_cycles = hypr_tsc() - start;
	if (!ret && kept)
		*kept = hypr_kept_taken(copy->vm);
	return ret;
}

static int halt_and_copy(struct hypr_copy *copy, struct hypr_dirty *dirty,
			 struct hypr_snapshot_result *result, bool *kept)
{
	struct hypr_pause_result pause = { 0 };
	int ret, go;

	ret = hypr_vm_halt(copy->vm, 0, &pause);
	if (ret)
		return ret;
	result->pause = pause.pause;
	result->pause_cycles = pause.pause_cycles;
	ret = copy_rest(copy, dirty, result, kept);
	go = hypr_vm_go(copy->vm);
	return ret ? ret : go;
}

/**
 * hypr_precopy() - copy the active view as it is at one moment
 * @result: out: the pause and the copy
 * @kept: out: as hypr_kept_taken() returns; NULL: it is not called
 *
 * A VM that is paused is copied as it stands.  One that runs goes on, also after
 * an error, and then nothing is logged any more.
 */
int hypr_precopy(struct hypr_copy *copy, struct hypr_snapshot_result *result, bool *kept)
{
	struct hypr_vm *vm = copy->vm;
	struct hypr_dirty dirty;
	uint64_t start = hypr_tsc();
	int ret, stop;

	if (vm->paused) {
		result->copy = HYPR_COPY_PAUSED;
		result->pause = vm->paused_how;
		return copy_rest(copy, NULL, result, kept);
	}
	ret = hypr_dirty_start(&dirty, vm, copy->view);
	if (ret && ret != -ENOTSUP)
		return ret;
	result->copy = ret ? HYPR_COPY_STOPPED : HYPR_COPY_PRECOPY;
	ret = ret ? 0 : run_rounds(copy, &dirty, result);
	result->precopy_cycles = hypr_tsc() - start;
	if (!ret)
		ret = halt_and_copy(copy, &dirty, result, kept);
	stop = hypr_dirty_stop(&dirty);
	return ret ? ret : stop;
}
