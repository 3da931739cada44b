// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The private pages of a mapping: those that were written since, and so are no
 * longer the file's.  Where the kernel does not tell them (pagemap.c), all pages
 * are dropped, which comes to the same and takes longer.
 *
 * Putting them back copies the file's bytes into them.  They stay private, and
 * mapped where the guest's tables map them: the guest writes most of them again
 * soon, and then neither breaks copy-on-write nor faults.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/page.h"
#include "memory/pagemap.h"
#include "memory/privmem.h"
#include "model/view.h"
#include "model/vm.h"
#include "view/moment.h"
#include "view/peek.h"
#include "view/restore.h"
#include "vmo/vmo.h"

struct putting_back {
	uint8_t *mem;
	const uint8_t *from;
};

/* Most private pages are as they were: compare, and write those that are not. */
static int put_back(void *arg, uint64_t at, uint64_t pages)
{
	const struct putting_back *p = arg;

	for (; pages; pages--, at += HYPR_PAGE_BYTES) {
		if (memcmp(p->mem + at, p->from + at, HYPR_PAGE_BYTES))
			memcpy(p->mem + at, p->from + at, HYPR_PAGE_BYTES);
	}
	return 0;
}

/** hypr_privmem_count() - Return: 0; -errno when this kernel does not tell. */
int hypr_privmem_count(uint8_t *mem, uint64_t bytes, uint64_t *pages)
{
	return hypr_pagemap_scan(mem, bytes, HYPR_PAGES_PRIVATE, NULL, NULL, pages);
}

/**
 * hypr_privmem_restore() - make a private mapping equal its file again
 * @mem: the mapping, which nobody writes meanwhile
 * @from: the file, mapped as a whole
 * @pages: out: private pages put back; all pages when the kernel does not tell
 * @dropped: out: they were dropped, not copied: nothing is mapped any more
 *
 * Return: 0; -errno of madvise().
 */
int hypr_privmem_restore(uint8_t *mem, uint64_t bytes, const uint8_t *from,
			 uint64_t *pages, bool *dropped)
{
	struct putting_back p = { mem, from };

	*dropped = hypr_pagemap_scan(mem, bytes, HYPR_PAGES_PRIVATE, put_back, &p, pages) != 0;
	if (!*dropped)
		return 0;
	*pages = bytes / HYPR_PAGE_BYTES;
	return madvise(mem, bytes, MADV_DONTNEED) ? -errno : 0;
}

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
		ret = hypr_moment_read(c->view->moment, gpa, part, c->buf, &want);
		if (!ret)
			ret = hypr_view_look(c->view, &c->peek, gpa, part, &have);
		for (i = 0; !ret && i < part * HYPR_PAGE_BYTES; i += HYPR_PAGE_BYTES) {
			if (memcmp(have + i, want + i, HYPR_PAGE_BYTES))
				ret = keep(c, gpa + i, want + i);
		}
	}
	c->failed = ret;
	return ret;
}

/*
 * Only private pages differ.  A kernel that does not tell them has all pages
 * compared.
 */
static int collect_all(struct hypr_vm *vm, struct collection *c, uint64_t *pages)
{
	int ret = hypr_pagemap_scan(c->view->mem, vm->mem_bytes, HYPR_PAGES_PRIVATE, collect, c,
				    pages);

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
	uint8_t *mem = c->view->mem;
	size_t i;

	for (i = 0; i < c->nr; i++) {
		if (pread(c->fd, mem + c->gpa[i], HYPR_PAGE_BYTES, (off_t)(i * HYPR_PAGE_BYTES)) ==
		    (ssize_t)HYPR_PAGE_BYTES)
			continue;
		*torn = true;
		return hypr_vmo_gone(c->view->moment->vmo, c->gpa[i]);
	}
	return 0;
}

/**
 * hypr_privmem_restore_file() - make a view equal its file again
 * @view: stands on a file; nobody writes its memory meanwhile
 * @pages: out: private pages that were looked at
 * @torn: out: it failed in the middle of writing
 *
 * The file is read before anything is written.
 * Return: 0; -EBADMSG, -EIO the file has not got a page any more; -ENOMEM.
 */
int hypr_privmem_restore_file(struct hypr_vm *vm, const struct hypr_view *view, uint64_t *pages,
			      bool *torn)
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
		ret = collect_all(vm, &c, pages);
	if (!ret)
		ret = write_back(&c, torn);
	hypr_peek_close(&c.peek);
	if (c.fd >= 0)
		close(c.fd);
	free(c.buf);
	free(c.gpa);
	return ret;
}
