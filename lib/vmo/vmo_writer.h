/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file that comes to be: vmo_writer.c adds pages, vmo_commit.c the rest. */
#ifndef LIB_VMO_VMO_WRITER_H
#define LIB_VMO_VMO_WRITER_H

#include "vmo/vmo.h"
#include "vmo/vmo_ahead.h"

struct hypr_vmo_pending {
	struct hypr_vmo_section entry;
	void *data;
};

/**
 * struct hypr_vmo_writer - a file that comes to be
 * @name: of the file, for messages
 * @flags: HYPR_VMO_*
 * @next_gpa: end of what was added
 * @failed: errno that ended it
 * @piece: of the parent's memory
 * @parent_name: as the file will have it
 */
struct hypr_vmo_writer {
	struct hypr_vmo_temp temp;
	const char *name;
	char *path;			/* as it was given */
	unsigned int flags;
	struct hypr_vmo *parent;
	char parent_name[HYPR_VMO_NAME_MAX_BYTES + 1];
	struct hypr_vmo_header header;
	uint64_t next_gpa;
	struct hypr_vmo_run *run;
	size_t nr_runs, max_runs;
	uint64_t *digest;
	size_t max_digests;
	uint64_t pages_stored, pages_zero, pages_parent;
	struct hypr_vmo_pending *section;
	uint32_t nr_sections;
	uint64_t sections_bytes;
	int failed;
	bool committed;
	uint8_t piece[HYPR_VMO_PIECE_PAGES * HYPR_VMO_PAGE_BYTES];
};

/** hypr_vmo_writer_no_memory() - Return: -ENOMEM, with hypr_error() set. */
int hypr_vmo_writer_no_memory(const struct hypr_vmo_writer *writer);

/** hypr_vmo_writer_fill() - what nobody added up to @gpa is as in the parent, or zero */
int hypr_vmo_writer_fill(struct hypr_vmo_writer *writer, uint64_t gpa);

#endif /* LIB_VMO_VMO_WRITER_H */
