/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory of a function VM before it runs for the first time. */
#ifndef LIB_FUNC_IMAGE_H
#define LIB_FUNC_IMAGE_H

#include <stdint.h>

#include "func/elf.h"

/* A piece of the function's memory; page-aligned. */
struct hypr_func_window {
	uint64_t start;
	uint64_t bytes;
};

/* Where what is; each begins in 2 MiB of its own. */
struct hypr_func_layout {
	uint64_t info;		/* struct hypr_func_info: a page before the input */
	struct hypr_func_window in;
	struct hypr_func_window heap;
	struct hypr_func_window stack;	/* what is below it is not mapped */
	struct hypr_func_window out;
	uint64_t mem_bytes;
};

int hypr_func_layout_plan(const struct hypr_func_elf *elf, uint64_t in_max, uint64_t heap_bytes,
			  uint64_t stack_bytes, uint64_t out_max, struct hypr_func_layout *layout);
void hypr_func_image_build(uint8_t *mem, const struct hypr_func_elf *elf,
			   const struct hypr_func_layout *layout);

#endif /* LIB_FUNC_IMAGE_H */
