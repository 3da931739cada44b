/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A view's memory into that of a new moment. */
#ifndef LIB_VIEW_COPY_H
#define LIB_VIEW_COPY_H

#include <stdint.h>

#include "view/peek.h"

struct hypr_moment;
struct hypr_view;
struct hypr_vm;

/**
 * struct hypr_copy - a copy under way
 * @fd: a memfd, with holes for zero pages; given to the moment at the end
 * @stored: a bit for each page that is none
 */
struct hypr_copy {
	struct hypr_vm *vm;
	const struct hypr_view *view;
	int fd;
	uint64_t *stored;
	uint64_t pages_stored;
	struct hypr_peek peek;
};

int hypr_copy_open(struct hypr_copy *copy, struct hypr_vm *vm, const struct hypr_view *view);
int hypr_copy_pages(struct hypr_copy *copy, uint64_t gpa, uint64_t pages);
int hypr_copy_finish(struct hypr_copy *copy, struct hypr_moment *moment);
void hypr_copy_close(struct hypr_copy *copy);

#endif /* LIB_VIEW_COPY_H */
