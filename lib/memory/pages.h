/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs of pages, as one file tells them to another. */
#ifndef LIB_MEMORY_PAGES_H
#define LIB_MEMORY_PAGES_H

#include <stdint.h>

/* Of a memory, from @gpa on.  Return: 0 to go on. */
typedef int (*hypr_pages_fn)(void *arg, uint64_t gpa, uint64_t pages);

#endif /* LIB_MEMORY_PAGES_H */
