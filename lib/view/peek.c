// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading memory that may be gone.  Pages of a file that was truncated are still
 * mapped, and to touch one is SIGBUS.  The kernel, copying from there, stops and
 * says how far it came: so the pages are written to a memfd, which is mapped, and
 * looked at there.  (process_vm_readv() would do, but not all kernels have it.)
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/page.h"
#include "model/view.h"
#include "view/peek.h"
#include "vmo/vmo.h"

#define BUF_BYTES	(HYPR_PEEK_PAGES * HYPR_PAGE_BYTES)

/** hypr_peek_open() - Return: 0; -errno with hypr_error() set */
int hypr_peek_open(struct hypr_peek *peek)
{
	void *buf = MAP_FAILED;

	peek->fd = memfd_create("hypr-peek", MFD_CLOEXEC);
	if (peek->fd >= 0 && !ftruncate(peek->fd, (off_t)BUF_BYTES))
		buf = mmap(NULL, BUF_BYTES, PROT_READ, MAP_SHARED, peek->fd, 0);
	if (buf == MAP_FAILED) {
		hypr_fail_sys(-errno, "a buffer of %llu bytes", BUF_BYTES);
		hypr_peek_close(peek);
		return -ENOMEM;
	}
	peek->buf = buf;
	return 0;
}

/** hypr_peek_close() - one that is not open does not matter */
void hypr_peek_close(struct hypr_peek *peek)
{
	if (peek->buf)
		munmap(peek->buf, BUF_BYTES);
	if (peek->fd >= 0)
		close(peek->fd);
	*peek = (struct hypr_peek)HYPR_PEEK_INIT;
}

/**
 * hypr_peek_pages() - read pages into peek->buf
 * @pages: up to HYPR_PEEK_PAGES
 * Return: how many of them there are; fewer than @pages: the next one is gone.
 */
uint64_t hypr_peek_pages(const struct hypr_peek *peek, const uint8_t *from, uint64_t pages)
{
	uint64_t done = 0, bytes = pages * HYPR_PAGE_BYTES;
	ssize_t n;

	while (done < bytes) {
		n = pwrite(peek->fd, from + done, bytes - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (uint64_t)n;
	}
	return done / HYPR_PAGE_BYTES;
}

/**
 * hypr_view_look() - memory of a view, to be read
 * @peek: open when the view stands on a file
 * @pages: up to HYPR_PEEK_PAGES
 * @memp: out: the memory itself, or what @peek has read, valid until it reads again
 *
 * Return: 0; -EBADMSG, -EIO a page is gone, with hypr_error() naming file and GPA.
 */
int hypr_view_look(const struct hypr_view *view, const struct hypr_peek *peek, hypr_gpa_t gpa,
		   uint64_t pages, const uint8_t **memp)
{
	const uint8_t *mem = hypr_guest_at(&view->mem, gpa, pages * HYPR_PAGE_BYTES);
	uint64_t there;

	if (!mem)
		return hypr_guest_fail(&view->mem, gpa, pages * HYPR_PAGE_BYTES, view->name);
	*memp = mem;
	if (!hypr_view_is_on_file(view))
		return 0;
	*memp = peek->buf;
	there = hypr_peek_pages(peek, mem, pages);
	if (there == pages)
		return 0;
	return hypr_vmo_gone(view->moment->vmo, gpa.addr + there * HYPR_PAGE_BYTES);
}
