/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The line of a function file's source that an address belongs to. */
#ifndef LIB_FUNC_LINE_H
#define LIB_FUNC_LINE_H

#include <stddef.h>
#include <stdint.h>

/**
 * hypr_func_line() - from the section .debug_line (DWARF 2 to 5)
 * @file: which hypr_func_elf_parse() accepted
 * @source: out: the name of the source file, without folders; printable
 * Return: 0; -ENOENT no table has the address, or the tables are damaged, compressed, or
 *	larger than 16 MiB.
 */
int hypr_func_line(const uint8_t *file, size_t bytes, uint64_t address, char *source,
		   size_t size, uint32_t *line);

#endif /* LIB_FUNC_LINE_H */
