/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pages that a private mapping does not share with its file. */
#ifndef LIB_MEMORY_PRIVMEM_H
#define LIB_MEMORY_PRIVMEM_H

#include <stdbool.h>
#include <stdint.h>

struct hypr_guest;

/* A mapping that nobody writes meanwhile, and the file, mapped as a whole. */
struct hypr_privmem {
	const struct hypr_guest *guest;
	const struct hypr_guest *from;
};

int hypr_privmem_count(const struct hypr_guest *guest, uint64_t *pages);
int hypr_privmem_copy_back(void *privmem, uint64_t gpa, uint64_t pages);
int hypr_privmem_put_back(void *privmem, uint64_t gpa, uint64_t pages);
int hypr_privmem_restore(struct hypr_privmem *privmem, uint64_t *pages);
int hypr_privmem_drop(const struct hypr_guest *guest, uint64_t *pages);

#endif /* LIB_MEMORY_PRIVMEM_H */
