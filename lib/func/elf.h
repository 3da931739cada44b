/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Function files: static ELF programs for x86-64. */
#ifndef LIB_FUNC_ELF_H
#define LIB_FUNC_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUNC_SEGMENTS_MAX	16

/* Loaded from [data, data + file_bytes); what is beyond is zero. */
struct hypr_func_segment {
	uint64_t start;		/* virtual address, not page-aligned */
	uint64_t bytes;
	uint64_t file_bytes;
	const uint8_t *data;
	bool write;
	bool execute;
};

struct hypr_func_elf {
	uint64_t entry;
	uint64_t end;		/* of the last segment */
	unsigned int nr_segments;
	struct hypr_func_segment segment[FUNC_SEGMENTS_MAX];	/* ascending */
};

int hypr_func_elf_parse(const uint8_t *file, size_t bytes, const char *name,
			struct hypr_func_elf *elf);
int hypr_func_elf_read(const char *path, uint8_t **filep, size_t *bytesp);
int hypr_func_elf_section(const uint8_t *file, size_t bytes, const char *name, uint64_t *start,
			  uint64_t *size);
int hypr_func_elf_symbol(const uint8_t *file, size_t bytes, uint64_t address, char *text,
			 size_t size);

#endif /* LIB_FUNC_ELF_H */
