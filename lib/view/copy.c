// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A view's memory into that of a new moment: a memfd with holes for zero pages.
 * A page may be copied more than once; what counts is how it was the last time.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/page.h"
#include "base/progress.h"
#include "model/view.h"
#include "model/vm.h"
#include "view/copy.h"
#include "view/hole.h"
#include "view/peek.h"
#include "vmo/vmo.h"

static uint64_t stored_words(const struct hypr_copy *copy)
{
	return copy->vm->mem_bytes / HYPR_PAGE_BYTES / 64 + 1;
}

static uint64_t *stored_word(const struct hypr_copy *copy, uint64_t gpa)
{
	return &copy->stored[gpa / HYPR_PAGE_BYTES / 64];
}

static uint64_t stored_bit(uint64_t gpa)
{
	return 1ull << gpa / HYPR_PAGE_BYTES % 64;
}

static void note_stored(struct hypr_copy *copy, uint64_t gpa, uint64_t end)
{
	for (; gpa < end; gpa += HYPR_PAGE_BYTES) {
		copy->pages_stored += !(*stored_word(copy, gpa) & stored_bit(gpa));
		*stored_word(copy, gpa) |= stored_bit(gpa);
	}
}

/* By pwrite(): memory that there is not is an error then and no signal. */
static int store(struct hypr_copy *copy, uint64_t gpa, const uint8_t *from, uint64_t bytes)
{
	uint64_t done = 0;
	ssize_t n;

	while (done < bytes) {
		n = pwrite(copy->fd, from + done, bytes - done, (off_t)(gpa + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return hypr_fail_sys(n ? -errno : -EIO, "a moment's memory");
		done += (uint64_t)n;
	}
	note_stored(copy, gpa, gpa + bytes);
	return 0;
}

/* A page that is zero now, and was stored when it was not. */
static int drop(struct hypr_copy *copy, uint64_t gpa)
{
	if (!(*stored_word(copy, gpa) & stored_bit(gpa)))
		return 0;
	if (fallocate(copy->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)gpa,
		      (off_t)HYPR_PAGE_BYTES) < 0)
		return hypr_fail_sys(-errno, "a hole in a moment's memory");
	*stored_word(copy, gpa) &= ~stored_bit(gpa);
	copy->pages_stored--;
	return 0;
}

/* The control page's place in the view's own mapping is not guest memory. */
static bool is_hole(uint64_t gpa, const uint8_t *page)
{
	return gpa == HYPR_CONTROL_GPA || hypr_page_is_zero(page);
}

static int copy_piece(struct hypr_copy *copy, uint64_t gpa, const uint8_t *from, uint64_t bytes)
{
	uint64_t start, at;
	int ret = 0;

	for (start = at = 0; !ret && at < bytes; at += HYPR_PAGE_BYTES) {
		if (!is_hole(gpa + at, from + at))
			continue;
		if (start < at)
			ret = store(copy, gpa + start, from + start, at - start);
		if (!ret)
			ret = drop(copy, gpa + at);
		start = at + HYPR_PAGE_BYTES;
	}
	if (!ret && start < bytes)
		ret = store(copy, gpa + start, from + start, bytes - start);
	return ret;
}

/** hypr_copy_pages() - copy them, once more perhaps; the guest may run meanwhile */
int hypr_copy_pages(struct hypr_copy *copy, uint64_t gpa, uint64_t pages)
{
	const uint8_t *from;
	uint64_t part;
	int ret = 0;

	for (; !ret && pages; pages -= part) {
		part = pages < HYPR_PEEK_PAGES ? pages : HYPR_PEEK_PAGES;
		ret = hypr_view_look(copy->view, &copy->peek, hypr_gpa(gpa), part, &from);
		if (!ret)
			ret = copy_piece(copy, gpa, from, part * HYPR_PAGE_BYTES);
		if (!ret)
			ret = hypr_progress_check();
		gpa += part * HYPR_PAGE_BYTES;
	}
	return ret;
}

/** hypr_copy_open() - begin one; to be ended with hypr_copy_close() in any case */
int hypr_copy_open(struct hypr_copy *copy, struct hypr_vm *vm, const struct hypr_view *view)
{
	*copy = (struct hypr_copy){ .vm = vm, .view = view, .fd = -1, .peek = HYPR_PEEK_INIT };
	copy->stored = calloc(stored_words(copy), sizeof(*copy->stored));
	if (!copy->stored)
		return hypr_fail(-ENOMEM, "no memory for a moment");
	copy->fd = memfd_create("hypr-moment", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (copy->fd < 0 || ftruncate(copy->fd, (off_t)vm->mem_bytes) < 0)
		return hypr_fail_sys(-errno, "a moment's memory");
	return hypr_view_is_on_file(view) ? hypr_peek_open(&copy->peek) : 0;
}

/** hypr_copy_finish() - seal the memory, and give it to a moment */
int hypr_copy_finish(struct hypr_copy *copy, struct hypr_moment *moment)
{
	uint64_t i;
	void *mem;
	int ret;

	if (fcntl(copy->fd, F_ADD_SEALS,
		  F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return hypr_fail_sys(-errno, "sealing a moment");
	mem = mmap(NULL, copy->vm->mem_bytes, PROT_READ, MAP_SHARED, copy->fd, 0);
	if (mem == MAP_FAILED)
		return hypr_fail_sys(-errno, "mapping a moment of %llu MiB",
				     (unsigned long long)copy->vm->mem_bytes >> 20);
	for (i = 0; i < stored_words(copy); i++)
		copy->stored[i] = ~copy->stored[i];
	ret = hypr_hole_map(copy->stored, mem, copy->vm->mem_bytes, PROT_READ);
	if (ret) {
		munmap(mem, copy->vm->mem_bytes);
		return hypr_fail_sys(ret, "mapping the holes of a moment");
	}
	moment->mem = (struct hypr_guest){ mem, copy->vm->mem_bytes };
	moment->fd = copy->fd;
	moment->zeros = copy->stored;
	moment->pages_stored = copy->pages_stored;
	copy->fd = -1;
	copy->stored = NULL;
	return 0;
}

void hypr_copy_close(struct hypr_copy *copy)
{
	if (copy->fd >= 0)
		close(copy->fd);
	hypr_peek_close(&copy->peek);
	free(copy->stored);
}
