// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The host reads and writes memory of a view.  A file under the view may be truncated:
 * its pages are read and written by the kernel then, which says so (see peek.c).
 *
 * What is written here no vCPU has written, so the kernel does not report it: it is noted
 * (written.c), and the next swap to the view flushes what the TLBs know of it.
 */
#include <linux/kvm_hypr.h>
#include <unistd.h>

#include "base/error.h"
#include "base/guest.h"
#include "base/page.h"
#include "model/view.h"
#include "view/peek.h"
#include "view/poke.h"
#include "view/written.h"
#include "vmo/vmo.h"

/* Return: NULL with hypr_error() set: a byte of the range is not memory. */
static uint8_t *find(const struct hypr_view *view, uint64_t gpa, uint64_t bytes)
{
	uint8_t *mem = hypr_guest_at(&view->mem, hypr_gpa(gpa), bytes);

	if (!mem) {
		hypr_guest_fail(&view->mem, hypr_gpa(gpa), bytes, view->name);
		return NULL;
	}
	if (gpa < HYPR_CONTROL_GPA + HYPR_CONTROL_SIZE && gpa + bytes > HYPR_CONTROL_GPA) {
		hypr_fail(-EFAULT, "%s: the control page, GPA 0x%llx, is no view's", view->name,
			  HYPR_CONTROL_GPA);
		return NULL;
	}
	return mem;
}

static int file_get(const struct hypr_view *view, uint64_t gpa, uint8_t *to, uint64_t bytes)
{
	struct hypr_peek peek = HYPR_PEEK_INIT;
	int ret = hypr_peek_open(&peek);
	const uint8_t *page;
	uint64_t at, part;

	for (; !ret && bytes; gpa += part, to += part, bytes -= part) {
		at = gpa % HYPR_PAGE_BYTES;
		part = HYPR_PAGE_BYTES - at < bytes ? HYPR_PAGE_BYTES - at : bytes;
		ret = hypr_view_look(view, &peek, hypr_gpa(gpa - at), 1, &page);
		if (!ret)
			memcpy(to, page + at, part);
	}
	hypr_peek_close(&peek);
	return ret;
}

static int file_put(const struct hypr_view *view, uint64_t gpa, uint8_t *mem,
		    const uint8_t *from, uint64_t bytes)
{
	struct hypr_peek peek = HYPR_PEEK_INIT;
	int ret = hypr_peek_open(&peek);
	uint64_t part;

	for (; !ret && bytes; gpa += part, mem += part, from += part, bytes -= part) {
		part = HYPR_PAGE_BYTES - gpa % HYPR_PAGE_BYTES;
		part = part < bytes ? part : bytes;
		if (pwrite(peek.fd, from, part, 0) != (ssize_t)part)
			ret = hypr_fail(-ENOMEM, "view '%s': no memory to write to it", view->name);
		else if (pread(peek.fd, mem, part, 0) != (ssize_t)part)
			ret = hypr_vmo_gone(view->moment->vmo, gpa - gpa % HYPR_PAGE_BYTES);
	}
	hypr_peek_close(&peek);
	return ret;
}

int hypr_poke_get(const struct hypr_view *view, uint64_t gpa, void *to, uint64_t bytes)
{
	const uint8_t *mem = find(view, gpa, bytes);

	if (!mem)
		return -EFAULT;
	if (hypr_view_is_on_file(view))
		return file_get(view, gpa, to, bytes);
	if (bytes)
		memcpy(to, mem, bytes);
	return 0;
}

int hypr_poke_put(struct hypr_view *view, uint64_t gpa, const void *from, uint64_t bytes)
{
	uint8_t *mem = find(view, gpa, bytes);

	if (!mem)
		return -EFAULT;
	if (!bytes)
		return 0;
	/* Also when it fails half way. */
	hypr_written_note(view, gpa, (gpa % HYPR_PAGE_BYTES + bytes - 1) / HYPR_PAGE_BYTES + 1);
	view->edited = true;
	if (hypr_view_is_on_file(view))
		return file_put(view, gpa, mem, from, bytes);
	memcpy(mem, from, bytes);
	return 0;
}
