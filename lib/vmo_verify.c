// SPDX-License-Identifier: LGPL-2.1-or-later
/* Verify a VMO file: every section, every page, every layer, and signatures. */
#include <stdlib.h>

#include "vmo.h"

#define PIECE_PAGES	64

/**
 * struct verifier - a check under way
 * @total: pages of all layers
 * @piece: of a file
 */
struct verifier {
	struct hypr_vmo_verify_result *result;
	uint64_t total;
	uint8_t *piece;
};

static void note_bad(struct hypr_vmo_verify_result *result, const char *name, uint32_t layer,
		     uint64_t gpa)
{
	if (result->bad_pages++)
		return;
	result->bad_gpa = gpa;
	result->bad_layer = layer;
	hypr_fail(-EBADMSG, "%s: section DATA: the page at GPA 0x%llx does not fit its digest",
		  name, (unsigned long long)gpa);
}

/* Contents of sections that are ours; those of others only have a digest. */
static int verify_sections(struct hypr_vmo *vmo, struct hypr_vmo_verify_result *result)
{
	const struct hypr_vmo_section *section;
	void *content;
	uint32_t i;
	int ret;

	for (i = 0; i < vmo->header.nr_sections; i++) {
		section = &vmo->table[i];
		result->sections++;
		if (section->type == HYPR_VMO_DATA)
			continue;
		ret = hypr_vmo_load(vmo, section, &content);
		if (!ret && section->type == HYPR_VMO_WORKING_SET)
			ret = hypr_vmo_ranges_check(vmo->file.name, vmo->header.mem_bytes, content,
						    section->bytes);
		if (ret)
			return ret;
	}
	return 0;
}

static int verify_run(struct verifier *verifier, struct hypr_vmo *vmo,
		      const struct hypr_vmo_run *run, uint32_t layer, const uint64_t *digest)
{
	struct hypr_vmo_verify_result *result = verifier->result;
	uint8_t *piece = verifier->piece;
	uint64_t page, i, part;
	int ret;

	digest += run->offset / HYPR_VMO_PAGE_BYTES;
	for (page = 0; page < run->pages; page += part) {
		part = run->pages - page < PIECE_PAGES ? run->pages - page : PIECE_PAGES;
		ret = hypr_progress(result->pages + result->bad_pages, verifier->total);
		if (!ret)
			ret = hypr_vmo_file_read(&vmo->file, vmo->data->offset + run->offset +
						 page * HYPR_VMO_PAGE_BYTES, piece,
						 part * HYPR_VMO_PAGE_BYTES);
		if (ret)
			return ret;
		for (i = 0; i < part; i++) {
			if (hypr_page_digest(piece + i * HYPR_VMO_PAGE_BYTES) == digest[page + i])
				result->pages++;
			else
				note_bad(result, vmo->file.name, layer,
					 run->gpa + (page + i) * HYPR_VMO_PAGE_BYTES);
		}
	}
	return 0;
}

static int verify_pages(struct verifier *verifier, struct hypr_vmo *vmo, uint32_t layer)
{
	void *digests;
	uint32_t i;
	int ret;

	if (!vmo->data)
		return 0;
	ret = hypr_vmo_load(vmo, hypr_vmo_find(vmo, HYPR_VMO_PAGE_DIGESTS, 0), &digests);
	for (i = 0; !ret && i < vmo->nr_runs; i++) {
		if (vmo->run[i].flags & (HYPR_VMO_RUN_ZERO | HYPR_VMO_RUN_PARENT))
			continue;
		ret = verify_run(verifier, vmo, &vmo->run[i], layer, digests);
	}
	return ret;
}

int hypr_vmo_verify(struct hypr_vmo *vmo, struct hypr_vmo_verify_result *result)
{
	struct verifier verifier = {
		.result = result,
		.piece = malloc(PIECE_PAGES * HYPR_VMO_PAGE_BYTES),
	};
	const struct hypr_vmo *below;
	uint32_t layer;
	int ret = 0;

	memset(result, 0, sizeof(*result));
	if (!verifier.piece)
		return hypr_fail(-ENOMEM, "%s: no memory", vmo->file.name);
	for (below = vmo; below; below = below->parent)
		verifier.total += below->pages_stored;
	for (layer = 0; !ret && vmo; layer++, vmo = vmo->parent) {
		result->layers++;
		ret = verify_sections(vmo, result);
		if (!ret && vmo->header.signature.algorithm)
			ret = hypr_vmo_check_signature(vmo, NULL);
		if (!ret)
			ret = verify_pages(&verifier, vmo, layer);
	}
	free(verifier.piece);
	return !ret && result->bad_pages ? -EBADMSG : ret;
}
