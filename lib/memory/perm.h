/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the guest may do with which memory. */
#ifndef LIB_MEMORY_PERM_H
#define LIB_MEMORY_PERM_H

#include <stdint.h>

struct hypr_moment;

int hypr_perm_from_file(struct hypr_moment *moment, uint64_t mem_bytes);
int hypr_perm_copy(struct hypr_moment *moment, const struct hypr_moment *from);

#endif /* LIB_MEMORY_PERM_H */
