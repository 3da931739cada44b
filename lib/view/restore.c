// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A view back to its moment, byte for byte.  The view is a private mapping of the
 * moment's memory, so only its private pages differ from it, and of these the pages
 * that were written since the last reset, where the kernel tells (written.c).  They get
 * the moment's bytes again, in place: what maps them stays as it is.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hypr/hypr.h"
#include "base/error.h"
#include "base/page.h"
#include "base/time.h"
#include "memory/pagemap.h"
#include "memory/privmem.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "run/state.h"
#include "view/build.h"
#include "view/kept.h"
#include "view/moment.h"
#include "view/peek.h"
#include "view/record.h"
#include "view/restore.h"
#include "view/written.h"
#include "vmo/vmo.h"

/* ---- of a view that stands on a file --------------------------------------- */

/**
 * struct collection - pages that differ from their file, as the file has them
 * @buf: HYPR_PEEK_PAGES pages
 * @fd: a memfd with the pages, @nr of them; @gpa: where they belong
 * @failed: a page could not be read or kept
 */
struct collection {
	const struct hypr_view *view;
	struct hypr_peek peek;
	uint8_t *buf;
	int fd;
	uint64_t *gpa;
	size_t nr, max;
	int failed;
};

static int no_memory(const struct hypr_view *view)
{
	return hypr_fail(-ENOMEM, "view '%s': no memory to put its pages back", view->name);
}

static int keep(struct collection *c, uint64_t gpa, const uint8_t *page)
{
	size_t more = c->max ? 2 * c->max : HYPR_PEEK_PAGES;
	uint64_t *gpas;

	if (c->nr == c->max) {
		gpas = reallocarray(c->gpa, more, sizeof(*gpas));
		if (!gpas)
			return no_memory(c->view);
		c->gpa = gpas;
		c->max = more;
	}
	if (pwrite(c->fd, page, HYPR_PAGE_BYTES, (off_t)(c->nr * HYPR_PAGE_BYTES)) !=
	    (ssize_t)HYPR_PAGE_BYTES)
		return no_memory(c->view);
	c->gpa[c->nr++] = gpa;
	return 0;
}

static int collect(void *arg, uint64_t gpa, uint64_t pages)
{
	struct collection *c = arg;
	const uint8_t *have, *want;
	uint64_t part, i;
	int ret = 0;

	for (; !ret && pages; pages -= part, gpa += part * HYPR_PAGE_BYTES) {
		part = pages < HYPR_PEEK_PAGES ? pages : HYPR_PEEK_PAGES;
		ret = hypr_moment_read(c->view->moment, hypr_gpa(gpa), part, c->buf, &want);
		if (!ret)
			ret = hypr_view_look(c->view, &c->peek, hypr_gpa(gpa), part, &have);
		for (i = 0; !ret && i < part * HYPR_PAGE_BYTES; i += HYPR_PAGE_BYTES) {
			if (memcmp(have + i, want + i, HYPR_PAGE_BYTES))
				ret = keep(c, gpa + i, want + i);
		}
	}
	c->failed = ret;
	return ret;
}

/*
 * Only pages that were written differ, and these are private.  A kernel that does not
 * tell the ones has the others compared, or all.
 */
static int collect_all(struct hypr_vm *vm, struct collection *c, bool told, uint64_t *pages)
{
	int ret;

	if (told)
		return hypr_written_each(vm, c->view, collect, c, pages);
	ret = hypr_pagemap_scan(&c->view->mem, HYPR_PAGES_PRIVATE, collect, c, pages);
	if (!ret || c->failed)
		return ret;
	*pages = vm->mem_bytes / HYPR_PAGE_BYTES;
	c->nr = 0;
	return collect(c, 0, *pages);
}

/*
 * A file takes the private copies of its pages with it when it is truncated, and
 * that may be now: so the kernel writes, and says when it cannot.
 */
static int write_back(const struct collection *c, bool *torn)
{
	const struct hypr_guest *guest = &c->view->mem;
	size_t i;

	for (i = 0; i < c->nr; i++) {
		void *page = hypr_guest_at(guest, hypr_gpa(c->gpa[i]), HYPR_PAGE_BYTES);

		if (page && pread(c->fd, page, HYPR_PAGE_BYTES, (off_t)(i * HYPR_PAGE_BYTES)) ==
			    (ssize_t)HYPR_PAGE_BYTES)
			continue;
		*torn = true;
		return hypr_vmo_gone(c->view->moment->vmo, c->gpa[i]);
	}
	return 0;
}

/**
 * restore_file() - make a view equal its file again
 * @view: stands on a file; nobody writes its memory meanwhile
 * @told: view->written has the pages that may differ
 * @pages: out: pages that were looked at
 * @torn: out: it failed in the middle of writing
 *
 * The file is read before anything is written.
 * Return: 0; -EBADMSG, -EIO the file has not got a page any more; -ENOMEM.
 */
static int restore_file(struct hypr_vm *vm, const struct hypr_view *view, bool told,
			uint64_t *pages, bool *torn)
{
	struct collection c = { .view = view, .peek = HYPR_PEEK_INIT, .fd = -1 };
	int ret;

	*torn = false;
	ret = hypr_vmo_check_length(view->moment->vmo);
	if (ret)
		return ret;
	c.buf = malloc(HYPR_PEEK_PAGES * HYPR_PAGE_BYTES);
	c.fd = memfd_create("hypr-reset", MFD_CLOEXEC);
	ret = c.buf && c.fd >= 0 ? hypr_peek_open(&c.peek) : no_memory(view);
	if (!ret)
		ret = collect_all(vm, &c, told, pages);
	if (!ret)
		ret = write_back(&c, torn);
	hypr_peek_close(&c.peek);
	if (c.fd >= 0)
		close(c.fd);
	free(c.buf);
	free(c.gpa);
	return ret;
}

/* ---- of any view ----------------------------------------------------------- */

static int refuse(const struct hypr_view *view, int way, const char *why)
{
	return hypr_fail(-EOPNOTSUPP, "view '%s' cannot be reset by %s: %s", view->name,
			 hypr_reset_name(way), why);
}

static bool may_go(int want, int way)
{
	return want == HYPR_RESET_ANY || want == way;
}

static int put_back_file(struct hypr_vm *vm, struct hypr_view *view, bool told,
			 struct hypr_reset_result *result)
{
	bool torn;
	int ret = restore_file(vm, view, told, &result->pages_restored, &torn);

	/* The view is half old, half new.  (No swap goes to such a view.) */
	if (ret && torn && !view->is_spare && view == vm->active)
		hypr_vm_end(vm, true, "view %s: its file was truncated during a reset", view->name);
	return ret;
}

static int put_back(struct hypr_vm *vm, struct hypr_view *view, int want,
		    struct hypr_reset_result *result)
{
	struct hypr_privmem memory = { &view->mem, &view->moment->mem };
	bool told = hypr_written_take(vm, view);
	int ret;

	if (want == HYPR_RESET_COPY_BACK && !told)
		return refuse(view, want, "the kernel does not report yet which pages were written");
	if (want == HYPR_RESET_DROP && hypr_view_is_on_file(view))
		return refuse(view, want, "it stands on a file");
	told = told && may_go(want, HYPR_RESET_COPY_BACK);
	result->way = told ? HYPR_RESET_COPY_BACK : HYPR_RESET_COMPARE;
	if (hypr_view_is_on_file(view))
		return put_back_file(vm, view, told, result);
	if (told)
		return hypr_written_each(vm, view, hypr_privmem_copy_back, &memory,
					 &result->pages_restored);
	if (may_go(want, HYPR_RESET_COMPARE)) {
		ret = hypr_privmem_restore(&memory, &result->pages_restored);
		if (!ret)
			return 0;
		if (want == HYPR_RESET_COMPARE)
			return refuse(view, want, "the kernel does not report private pages");
	}
	result->way = HYPR_RESET_DROP;
	ret = hypr_privmem_drop(&view->mem, &result->pages_restored);
	return ret ? hypr_fail_sys(ret, "view '%s': putting its private pages back",
				   view->name) : 0;
}

int hypr_reset_check(unsigned int flags)
{
	unsigned int ways = flags & HYPR_RESET_FLAGS;

	if (ways & (ways - 1))
		return hypr_fail(-EINVAL, "reset: at most one way, not flags 0x%x", flags);
	return 0;
}

/** hypr_reset_wanted() - the way that a call's flags ask for; HYPR_RESET_ANY: they do not */
int hypr_reset_wanted(unsigned int flags)
{
	int way;

	for (way = HYPR_RESET_COPY_BACK; way <= HYPR_RESET_SPARE; way++) {
		if (flags & HYPR_RESET_ONLY(way))
			return way;
	}
	return HYPR_RESET_ANY;
}

/**
 * hypr_view_restore() - put back memory and state of a view that does not run
 * @view: inactive, or active with all vCPUs held
 * @flags: HYPR_RESET_ONLY(), the only way that is allowed; none: any
 * @result: out
 */
int hypr_view_restore(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
		      struct hypr_reset_result *result)
{
	uint64_t start = hypr_tsc(), restored;
	bool dropped;
	int ret;

	*result = (struct hypr_reset_result){ .view = view->id };
	if (!view->moment)
		return hypr_fail(-EINVAL,
				 "view '%s' has no moment to go back to; take a snapshot and reset that",
				 view->name);
	ret = put_back(vm, view, hypr_reset_wanted(flags), result);
	if (ret)
		return ret;
	dropped = result->way == HYPR_RESET_DROP;
	hypr_written_clear(vm, view);
	view->edited = true;
	hypr_state_copy(vm, view->state, view->moment->state);
	hypr_kept_at_moment(view);
	restored = hypr_tsc();

	/* So that the first touch of a page that is gone does not fault. */
	if (dropped)
		hypr_record_spoil(view, "was reset, page by page,");
	if (dropped)
		ret = hypr_view_prepare(vm, view, NULL);
	view->resets++;
	result->restore_cycles = restored - start;
	result->total_cycles = hypr_tsc() - start;
	result->prepare_cycles = result->total_cycles - result->restore_cycles;
	return ret;
}
