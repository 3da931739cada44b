// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which pages of a view the guest writes, by KVM's dirty log.  Slots are switched
 * to logging and back while the guest runs; the control page is no view's own and
 * read-only slots are not written, so neither is logged.
 *
 * Where KVM can, reading the log and starting it anew are two calls
 * (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE): the last reading, while the vCPUs stand,
 * then write-protects nothing.  KVM_DIRTY_LOG_INITIALLY_SET is left off: with it
 * switching on protects nothing and the first reading names all pages, so that a
 * pass of clearing would have to come before the first copy; that pays where
 * switching on must be short, and here the guest runs meanwhile either way.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/page.h"
#include "memory/dirty.h"
#include "memory/mem.h"
#include "memory/pages.h"
#include "model/view.h"
#include "model/vm.h"

static bool is_logged(const struct hypr_slot *slot)
{
	return !slot->readonly && !slot->control;
}

static size_t words(const struct hypr_slot *slot)
{
	return (slot->bytes / HYPR_PAGE_BYTES + 63) / 64;
}

/* Few of them, mostly: words that are zero are passed by quickly. */
static uint64_t count(const uint64_t *bitmap, size_t nr)
{
	uint64_t pages = 0;
	size_t i;

	for (i = 0; i < nr; i++) {
		if (bitmap[i])
			pages += (uint64_t)__builtin_popcountll(bitmap[i]);
	}
	return pages;
}

static int slots_set(struct hypr_dirty *dirty, bool on, unsigned int nr)
{
	const struct hypr_view *view = dirty->view;
	unsigned int n;
	int r, ret = 0;

	for (n = 0; n < nr; n++) {
		if (!is_logged(&view->slot[n]))
			continue;
		r = hypr_mem_log_set(dirty->vm, view, n, on);
		/* It may have lacked memory; a slot that logs on is slow for good. */
		if (r && !on)
			r = hypr_mem_log_set(dirty->vm, view, n, on);
		if (r && !ret)
			ret = r;
		if (r && on)
			break;
	}
	if (ret && on)
		slots_set(dirty, false, n + 1);
	return ret;
}

/**
 * hypr_dirty_start() - log what the guest writes into a view from here on
 *
 * Return: 0, and the log is to be ended with hypr_dirty_stop(); -ENOTSUP this KVM
 * has no log; another -errno with hypr_error() set.  After an error nothing logs.
 */
int hypr_dirty_start(struct hypr_dirty *dirty, struct hypr_vm *vm, const struct hypr_view *view)
{
	uint64_t pages;
	size_t nr = 0;
	unsigned int n;
	int ret;

	*dirty = (struct hypr_dirty){ .vm = vm, .view = view };
	for (n = 0; n < view->nr_slots; n++)
		nr += words(&view->slot[n]);
	dirty->bitmap = calloc(nr, sizeof(*dirty->bitmap));
	if (!dirty->bitmap)
		return hypr_fail(-ENOMEM, "view '%s': no memory for a dirty log", view->name);
	ret = hypr_mem_log_has_clear(view, &dirty->has_clear);
	if (ret)
		goto free_bitmap;
	ret = slots_set(dirty, true, view->nr_slots);
	if (ret)
		goto free_bitmap;
	/* Can it be read?  What it has is of no interest before the first copy. */
	ret = hypr_dirty_get(dirty, false, &pages);
	if (!ret)
		return 0;
	slots_set(dirty, false, view->nr_slots);
free_bitmap:
	free(dirty->bitmap);
	dirty->bitmap = NULL;
	/* What a KVM says that knows neither the flag nor the call. */
	if (ret == -EINVAL || ret == -ENOTTY)
		return -ENOTSUP;
	return ret;
}

/**
 * hypr_dirty_get() - read which pages were written, for hypr_dirty_each()
 * @clear: and log them anew: for a copy that comes now
 * @pages: out: how many
 *
 * A KVM with one call for both always logs anew.
 */
int hypr_dirty_get(struct hypr_dirty *dirty, bool clear, uint64_t *pages)
{
	const struct hypr_view *view = dirty->view;
	uint64_t *bitmap = dirty->bitmap, found;
	unsigned int n;
	int ret;

	*pages = 0;
	for (n = 0; n < view->nr_slots; bitmap += words(&view->slot[n++])) {
		if (!is_logged(&view->slot[n]))
			continue;
		ret = hypr_mem_log_get(view, n, bitmap);
		if (ret)
			return ret;
		found = count(bitmap, words(&view->slot[n]));
		*pages += found;
		if (!found || !clear || !dirty->has_clear)
			continue;
		ret = hypr_mem_log_clear(view, n, bitmap);
		if (ret)
			return ret;
	}
	return 0;
}

static bool is_set(const uint64_t *bitmap, uint64_t page)
{
	return bitmap[page / 64] >> page % 64 & 1;
}

static int each_of_slot(const struct hypr_slot *slot, const uint64_t *bitmap, hypr_pages_fn fn,
			void *arg)
{
	uint64_t start, end = 0, pages = slot->bytes / HYPR_PAGE_BYTES;
	int ret = 0;

	for (start = 0; !ret && start < pages; start = end) {
		end = start + 1;
		if (!(start % 64) && !bitmap[start / 64]) {
			end = start + 64;
			continue;
		}
		if (!is_set(bitmap, start))
			continue;
		while (end < pages && is_set(bitmap, end))
			end++;
		ret = fn(arg, slot->gpa + start * HYPR_PAGE_BYTES, end - start);
	}
	return ret;
}

/** hypr_dirty_each() - the pages that were read last.  Return: 0, or what @fn returned. */
int hypr_dirty_each(const struct hypr_dirty *dirty, hypr_pages_fn fn, void *arg)
{
	const struct hypr_view *view = dirty->view;
	const uint64_t *bitmap = dirty->bitmap;
	unsigned int n;
	int ret = 0;

	for (n = 0; !ret && n < view->nr_slots; bitmap += words(&view->slot[n++])) {
		if (is_logged(&view->slot[n]))
			ret = each_of_slot(&view->slot[n], bitmap, fn, arg);
	}
	return ret;
}

/** hypr_dirty_stop() - log no more; one that was not started does not matter */
int hypr_dirty_stop(struct hypr_dirty *dirty)
{
	int ret = 0;

	if (dirty->bitmap)
		ret = slots_set(dirty, false, dirty->view->nr_slots);
	free(dirty->bitmap);
	dirty->bitmap = NULL;
	return ret;
}
