/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holes of the memfd that a moment is in: memory that is zero and takes no room. */
#ifndef LIB_VIEW_HOLE_H
#define LIB_VIEW_HOLE_H

#include <stdint.h>

uint64_t hypr_hole_find(const uint64_t *zeros, uint64_t page, uint64_t end, uint64_t min_pages,
			uint64_t *hole_end);
int hypr_hole_map(const uint64_t *zeros, uint8_t *mem, uint64_t bytes, int prot);

#endif /* LIB_VIEW_HOLE_H */
