// SPDX-License-Identifier: LGPL-2.1-or-later
/* Holes of a memfd: see hole.h. */
#include <errno.h>
#include <unistd.h>

#include "view/hole.h"

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
