// SPDX-License-Identifier: LGPL-2.1-or-later
/* One VMO file without a parent, of a file and all its parents. */
#include <stdlib.h>

#include "vmo/vmo.h"

#define PIECE_PAGES	256

static int copy_segment(struct hypr_vmo *vmo, const struct hypr_vmo_segment *segment,
			struct hypr_vmo_writer *writer, uint8_t *piece)
{
	uint32_t flags = segment->flags & HYPR_VMO_RUN_RWX;
	uint64_t page, part, gpa;
	int ret;

	if (segment->flags & HYPR_VMO_RUN_ZERO)
		return hypr_vmo_writer_pages(writer, segment->gpa, NULL, segment->pages, flags);
	for (page = 0; page < segment->pages; page += part) {
		part = segment->pages - page < PIECE_PAGES ? segment->pages - page : PIECE_PAGES;
		gpa = segment->gpa + page * HYPR_VMO_PAGE_BYTES;
		ret = hypr_vmo_read(vmo, gpa, piece, part * HYPR_VMO_PAGE_BYTES);
		if (!ret)
			ret = hypr_vmo_writer_pages(writer, gpa, piece, part, flags);
		if (ret)
			return ret;
	}
	return 0;
}

static int copy_memory(struct hypr_vmo *vmo, struct hypr_vmo_writer *writer)
{
	uint8_t *piece = malloc(PIECE_PAGES * HYPR_VMO_PAGE_BYTES);
	struct hypr_vmo_segment segment;
	uint64_t gpa;
	int ret = 0;

	if (!piece)
		return hypr_fail(-ENOMEM, "%s: no memory", vmo->file.name);
	for (gpa = 0; !ret && gpa < vmo->header.mem_bytes;
	     gpa += segment.pages * HYPR_VMO_PAGE_BYTES) {
		ret = hypr_vmo_segment(vmo, gpa, &segment);
		if (!ret)
			ret = copy_segment(vmo, &segment, writer, piece);
	}
	free(piece);
	return ret;
}

static int copy_sections(struct hypr_vmo *vmo, struct hypr_vmo_writer *writer)
{
	const struct hypr_vmo_section *section;
	void *content;
	uint32_t i;
	int ret;

	for (i = 0; i < vmo->header.nr_sections; i++) {
		section = &vmo->table[i];
		if (hypr_vmo_known(section->type) && section->type != HYPR_VMO_WORKING_SET)
			continue;
		ret = hypr_vmo_content(vmo, section, &content);
		if (!ret)
			ret = hypr_vmo_writer_section(writer, section->type, section->index,
						      section->version, section->flags, content,
						      section->bytes);
		if (ret)
			return ret;
	}
	return 0;
}

int hypr_vmo_flatten(struct hypr_vmo *vmo, const char *path, unsigned int flags,
		     struct hypr_vmo_written *written)
{
	struct hypr_vmo_params params = {
		.size = sizeof(params),
		.flags = flags,
		.mem_bytes = vmo->header.mem_bytes,
		.nr_vcpus = vmo->header.nr_vcpus,
		.created_ns = vmo->header.created_ns,
	};
	struct hypr_vmo_writer *writer;
	int ret;

	if (flags & ~HYPR_VMO_REPLACE)
		return hypr_fail(-EINVAL, "unknown flags %#x", flags & ~HYPR_VMO_REPLACE);
	ret = hypr_vmo_writer_create(path, &params, &writer);
	if (ret)
		return ret;
	/* The topmost file can be replaced: all of it is in the new one. */
	ret = hypr_vmo_writer_keep(writer, vmo->parent);
	if (!ret)
		ret = copy_memory(vmo, writer);
	if (!ret)
		ret = copy_sections(vmo, writer);
	if (!ret)
		ret = hypr_vmo_writer_commit(writer, written);
	hypr_vmo_writer_destroy(writer);
	return ret;
}
