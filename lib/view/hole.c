// SPDX-License-Identifier: LGPL-2.1-or-later
/* Holes of a memfd: see hole.h. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/page.h"
#include "view/hole.h"

/* Holes of so many pages have a mapping of their own, up to that many. */
#define HOLE_PAGES	8
#define HOLES_MAX	512

/**
 * hypr_hole_find() - the first hole of some length in [start, end) of a file
 * @min_bytes: shorter ones are passed over
 * @hole_end: out: its end
 *
 * Return: its start; @end: there is none.
 */
uint64_t hypr_hole_find(int fd, uint64_t start, uint64_t end, uint64_t min_bytes,
			uint64_t *hole_end)
{
	off_t hole, data;

	*hole_end = end;
	while (start < end) {
		hole = lseek(fd, (off_t)start, SEEK_HOLE);
		if (hole < 0 || (uint64_t)hole >= end)
			break;
		/* -ENXIO: no data behind it. */
		data = lseek(fd, hole, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			break;
		start = data < 0 || (uint64_t)data > end ? end : (uint64_t)data;
		if (start - (uint64_t)hole >= min_bytes) {
			*hole_end = start;
			return (uint64_t)hole;
		}
	}
	return end;
}

/**
 * hypr_hole_map() - map plain memory where a mapping of a memfd has holes
 * @mem: the mapping, of @bytes from the file's start
 * @prot: as the mapping's
 *
 * A page of the memfd would be made for whoever only reads a hole, and each takes the host
 * a while: plain memory is zero as well.  Page by page, since a reset goes by what was
 * written.
 *
 * Return: 0; -errno of mmap() or madvise(), with some holes mapped.
 */
int hypr_hole_map(int fd, uint8_t *mem, uint64_t bytes, int prot)
{
	uint64_t hole, end = 0, hole_bytes;
	unsigned int nr;

	for (nr = 0; nr < HOLES_MAX; nr++) {
		hole = hypr_hole_find(fd, end, bytes, HOLE_PAGES * HYPR_PAGE_BYTES, &end);
		if (hole == bytes)
			break;
		hole_bytes = end - hole;
		if (mmap(mem + hole, hole_bytes, prot,
			 MAP_FIXED | MAP_PRIVATE | MAP_NORESERVE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			return -errno;
		/* -EINVAL: this host has no huge pages. */
		if (madvise(mem + hole, hole_bytes, MADV_NOHUGEPAGE) < 0 && errno != EINVAL)
			return -errno;
	}
	return 0;
}

/**
 * hypr_hole_populate() - map all pages of a memfd that are no hole, for reading
 * @mem: a mapping of it, of @bytes from its start
 *
 * A host that cannot (before Linux 5.14) faults them in one by one later.
 */
void hypr_hole_populate(int fd, uint8_t *mem, uint64_t bytes)
{
	uint64_t data = 0, hole, end;

	while (data < bytes) {
		hole = hypr_hole_find(fd, data, bytes, HYPR_PAGE_BYTES, &end);
		if (hole > data && madvise(mem + data, hole - data, MADV_POPULATE_READ))
			return;
		data = end;
	}
}

/**
 * hypr_hole_mark() - which pages of a memfd are holes
 * @pages: of the file, from its start
 * @bits: a bit for each page is set; it has to be zero before
 */
void hypr_hole_mark(int fd, uint64_t pages, uint64_t *bits)
{
	uint64_t bytes = pages * HYPR_PAGE_BYTES, hole, end = 0;

	for (;;) {
		hole = hypr_hole_find(fd, end, bytes, HYPR_PAGE_BYTES, &end);
		if (hole == bytes)
			break;
		for (; hole < end; hole += HYPR_PAGE_BYTES)
			bits[hole / HYPR_PAGE_BYTES / 64] |= 1ull << hole / HYPR_PAGE_BYTES % 64;
	}
}
