/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holes of the memfd that a moment is in: memory that is zero and takes no room. */
#ifndef LIB_VIEW_HOLE_H
#define LIB_VIEW_HOLE_H

#include <stdint.h>

uint64_t hypr_hole_find(int fd, uint64_t start, uint64_t end, uint64_t min_bytes,
			uint64_t *hole_end);
void hypr_hole_populate(int fd, uint8_t *mem, uint64_t bytes);
void hypr_hole_mark(int fd, uint64_t pages, uint64_t *bits);
int hypr_hole_map(int fd, uint8_t *mem, uint64_t bytes, int prot);

#endif /* LIB_VIEW_HOLE_H */
