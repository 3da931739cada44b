// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the guest may do with which memory: a file says so for each run, and a
 * moment that is taken of such a view has it from there.
 */
#include <stdlib.h>

#include "hypr/vmo.h"
#include "base/error.h"
#include "base/page.h"
#include "memory/perm.h"
#include "model/view.h"

static int append(struct hypr_moment *moment, size_t *max, const struct hypr_vmo_segment *segment)
{
	uint32_t flags = segment->flags & HYPR_VMO_RUN_RWX;
	uint64_t bytes = segment->pages * HYPR_PAGE_BYTES;
	struct hypr_perm *grown, *last = NULL;

	if (moment->nr_perms)
		last = &moment->perm[moment->nr_perms - 1];
	if (last && last->flags == flags) {
		last->bytes += bytes;
		return 0;
	}
	if (moment->nr_perms == *max) {
		*max = *max ? 2 * *max : 16;
		grown = reallocarray(moment->perm, *max, sizeof(*grown));
		if (!grown)
			return hypr_fail(-ENOMEM, "no memory for a moment");
		moment->perm = grown;
	}
	moment->perm[moment->nr_perms++] = (struct hypr_perm){
		.gpa = segment->gpa,
		.bytes = bytes,
		.flags = flags,
	};
	return 0;
}

/** hypr_perm_from_file() - those that moment->vmo has */
int hypr_perm_from_file(struct hypr_moment *moment, uint64_t mem_bytes)
{
	struct hypr_vmo_segment segment;
	uint64_t gpa = 0;
	size_t max = 0;
	int ret = 0;

	while (!ret && gpa < mem_bytes) {
		ret = hypr_vmo_segment(moment->vmo, gpa, &segment);
		if (!ret)
			ret = append(moment, &max, &segment);
		gpa += segment.pages * HYPR_PAGE_BYTES;
	}
	return ret;
}

/** hypr_perm_copy() - those of the moment that a view stands on, which may be NULL */
int hypr_perm_copy(struct hypr_moment *moment, const struct hypr_moment *from)
{
	size_t bytes;

	if (!from || !from->nr_perms)
		return 0;
	bytes = from->nr_perms * sizeof(*from->perm);
	moment->perm = malloc(bytes);
	if (!moment->perm)
		return hypr_fail(-ENOMEM, "no memory for a moment");
	memcpy(moment->perm, from->perm, bytes);
	moment->nr_perms = from->nr_perms;
	return 0;
}
