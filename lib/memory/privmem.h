/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The pages that a private mapping does not share with its file. */
#ifndef LIB_MEMORY_PRIVMEM_H
#define LIB_MEMORY_PRIVMEM_H

#include <stdbool.h>
#include <stdint.h>

int hypr_privmem_count(uint8_t *mem, uint64_t bytes, uint64_t *pages);
int hypr_privmem_restore(uint8_t *mem, uint64_t bytes, const uint8_t *from,
			 uint64_t *pages, bool *dropped);

#endif /* LIB_MEMORY_PRIVMEM_H */
