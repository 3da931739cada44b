// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Holes of a memfd: see hole.h.  Who made the file has noted them, a bit for each page: to
 * ask the file takes a look at each of its pages.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "base/page.h"
#include "view/hole.h"

/* Holes of so many pages have a mapping of their own, up to that many. */
#define HOLE_PAGES	8
#define HOLES_MAX	512

/* The first page in [page, end) that is a hole, or that is none; @end: there is none. */
static uint64_t find(const uint64_t *zeros, uint64_t page, uint64_t end, bool is_hole)
{
	uint64_t word;

	while (page < end) {
		word = (is_hole ? zeros[page / 64] : ~zeros[page / 64]) >> page % 64;
		if (word) {
			page += (uint64_t)__builtin_ctzll(word);
			return page < end ? page : end;
		}
		page += 64 - page % 64;
	}
	return end;
}

/**
 * hypr_hole_find() - the first hole of some length in pages [page, end)
 * @zeros: a bit for each page of the file that is a hole
 * @min_pages: shorter ones are passed over
 * @hole_end: out: its end
 *
 * Return: its first page; @end: there is none.
 */
uint64_t hypr_hole_find(const uint64_t *zeros, uint64_t page, uint64_t end, uint64_t min_pages,
			uint64_t *hole_end)
{
	uint64_t hole;

	for (; page < end; page = *hole_end) {
		hole = find(zeros, page, end, true);
		*hole_end = find(zeros, hole, end, false);
		if (*hole_end - hole >= min_pages)
			return hole;
	}
	*hole_end = end;
	return end;
}

/**
 * hypr_hole_map() - map plain memory where a mapping of a memfd has holes
 * @zeros: as for hypr_hole_find()
 * @mem: the mapping, of @bytes from the file's start
 * @prot: as the mapping's
 *
 * A page of the memfd would be made for whoever only reads a hole, and each takes the host
 * a while: plain memory is zero as well.  Page by page, since a reset goes by what was
 * written.
 *
 * Return: 0; -errno of mmap() or madvise(), with some holes mapped.
 */
int hypr_hole_map(const uint64_t *zeros, uint8_t *mem, uint64_t bytes, int prot)
{
	uint64_t pages = bytes / HYPR_PAGE_BYTES, hole, end = 0, hole_bytes;
	unsigned int nr;

	for (nr = 0; nr < HOLES_MAX; nr++) {
		hole = hypr_hole_find(zeros, end, pages, HOLE_PAGES, &end);
		if (hole == pages)
			break;
		hole_bytes = (end - hole) * HYPR_PAGE_BYTES;
		if (mmap(mem + hole * HYPR_PAGE_BYTES, hole_bytes, prot,
			 MAP_FIXED | MAP_PRIVATE | MAP_NORESERVE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			return -errno;
		/* -EINVAL: this host has no huge pages. */
		if (madvise(mem + hole * HYPR_PAGE_BYTES, hole_bytes, MADV_NOHUGEPAGE) < 0 &&
		    errno != EINVAL)
			return -errno;
	}
	return 0;
}
