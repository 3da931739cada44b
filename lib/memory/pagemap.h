/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pages of a mapping. */
#ifndef LIB_MEMORY_PAGEMAP_H
#define LIB_MEMORY_PAGEMAP_H

#include <stdint.h>

#include "base/guest.h"
#include "memory/pages.h"

enum hypr_pages { HYPR_PAGES_PRESENT, HYPR_PAGES_PRIVATE };

int hypr_pagemap_scan(const struct hypr_guest *guest, enum hypr_pages kind,
		      hypr_pages_fn fn, void *fn_arg, uint64_t *pages);

#endif /* LIB_MEMORY_PAGEMAP_H */
