/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Allocations of the platform that fail after so many, for a test that is linked with
 * $(CORE_WRAP_PAGES) (core/build.mk).  To be included by one file of the test.
 */
#ifndef TESTS_CORE_ALLOC_LEFT_H
#define TESTS_CORE_ALLOC_LEFT_H

#include "plat.h"

/* Allocations that succeed; -1: all. */
static int page_allocs_left = -1, allocs_left = -1;

void *__real_plat_page_alloc(u32 count, int node);
void *__wrap_plat_page_alloc(u32 count, int node);
void *__real_plat_alloc(size_t bytes);
void *__wrap_plat_alloc(size_t bytes);

void *__wrap_plat_page_alloc(u32 count, int node)
{
	if (!page_allocs_left)
		return NULL;
	page_allocs_left -= page_allocs_left > 0;
	return __real_plat_page_alloc(count, node);
}

void *__wrap_plat_alloc(size_t bytes)
{
	if (!allocs_left)
		return NULL;
	allocs_left -= allocs_left > 0;
	return __real_plat_alloc(bytes);
}

#endif /* TESTS_CORE_ALLOC_LEFT_H */
