// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Working sets: telling which pages of a view a guest has touched, and mapping
 * ahead only those that it touched the last time.
 *
 * A page that the guest touches is faulted into this process's mapping of the view,
 * since KVM reaches guest memory through it; pagemap.c tells which are there.  The kernel likes to map the neighbours of a file's page with it.  It does
 * not where writes are tracked by a userfaultfd, so a view that is recorded has
 * one, of the kind that reports nothing to anybody.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hypr/vmo.h"
#include "base/error.h"
#include "base/page.h"
#include "engine/engine.h"
#include "memory/pagemap.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "view/prefault.h"
#include "view/record.h"
#include "view/view.h"

/* From <linux/userfaultfd.h>; the headers of Debian 12 are older. */
#define FEATURE_WP_ASYNC	(1ull << 15)

#define PREPARE_TRIES		16

/* ---- recording ----------------------------------------------------------- */

static int track(int fd, const struct hypr_view *view, uint64_t bytes)
{
	struct uffdio_api api = { .api = UFFD_API, .features = FEATURE_WP_ASYNC };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)view->mem, .len = bytes },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	if (ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &range) < 0)
		return -errno;
	return 0;
}

/* Of a view that nobody has touched yet. */
static int record_start(struct hypr_vm *vm, struct hypr_view *view)
{
	int fd, ret;

	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	ret = fd < 0 ? -errno : track(fd, view, vm->mem_bytes);
	if (ret) {
		if (fd >= 0)
			close(fd);
		return hypr_fail(-EOPNOTSUPP, "view '%s': recording which pages are touched needs userfaultfd with WP_ASYNC (Linux 6.7, CONFIG_PTE_MARKER_UFFD_WP): %s",
				 view->name, strerrorname_np(-ret));
	}
	/* A huge page would stand for pages that were not touched. */
	madvise(view->mem, vm->mem_bytes, MADV_NOHUGEPAGE);
	view->record = (struct hypr_record){ .on = true, .fd = fd };
	return 0;
}

/** hypr_record_stop() - before the view's memory is unmapped */
void hypr_record_stop(struct hypr_view *view)
{
	if (view->record.on)
		close(view->record.fd);
	view->record.on = false;
}

/** hypr_record_spoil() - hypr itself reads all of the view: @why, as "was verified" */
void hypr_record_spoil(struct hypr_view *view, const char *why)
{
	view->record.spoilt = why;
}

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

	ret = hypr_pagemap_scan(view->mem, vm->mem_bytes, HYPR_PAGES_PRESENT, set_add, &set,
				&set.pages);
	if (ret)
		ret = hypr_fail_sys(ret, "view '%s': which pages are there", view->name);
	if (!ret && !path)
		ret = hypr_vmo_ws_path(view->moment->vmo, &beside);
	if (!ret)
		ret = hypr_vmo_ws_write(view->moment->vmo, path ? path : beside,
					flags & HYPR_SAVE_REPLACE ? HYPR_VMO_REPLACE : 0,
					set.range, set.nr);
	result->view = view->number;
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

/* ---- mapping ahead ------------------------------------------------------- */

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
	size_t i;
	int ret = 0;

	*pages = 0;
	for (i = 0; i < nr; i++) {
		if (madvise(view->mem + range[i].gpa, range[i].pages * HYPR_PAGE_BYTES,
			    MADV_POPULATE_READ) < 0)
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
	uint64_t unused;
	int ret = 0;

	if (!pages)
		pages = &unused;
	*pages = 0;
	if (flags & HYPR_LOAD_RECORD)
		ret = record_start(vm, view);
	else if (flags & HYPR_LOAD_PREFAULT_USED)
		ret = prepare_used(vm, view, pages);
	else if (!(flags & HYPR_LOAD_PREFAULT_NONE))
		ret = hypr_view_prepare(vm, view, pages);
	if (!ret && !view->prepared)
		ret = prepare_part(vm, view, HYPR_CONTROL_GPA, HYPR_CONTROL_SIZE, pages);
	return ret;
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
