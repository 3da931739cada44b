/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading memory that may be gone. */
#ifndef LIB_VIEW_PEEK_H
#define LIB_VIEW_PEEK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/guest.h"

struct hypr_view;

#define HYPR_PEEK_PAGES		64

/** struct hypr_peek - @buf has what was read; @fd < 0: not open */
struct hypr_peek {
	int fd;
	uint8_t *buf;
};

#define HYPR_PEEK_INIT	{ .fd = -1 }

int hypr_peek_open(struct hypr_peek *peek);
void hypr_peek_close(struct hypr_peek *peek);
uint64_t hypr_peek_pages(const struct hypr_peek *peek, const uint8_t *from, uint64_t pages);
int hypr_view_look(const struct hypr_view *view, const struct hypr_peek *peek, hypr_gpa_t gpa,
		   uint64_t pages, const uint8_t **memp);

#endif /* LIB_VIEW_PEEK_H */
