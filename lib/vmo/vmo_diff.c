// SPDX-License-Identifier: LGPL-2.1-or-later
/* How the memory of two VMO files differs. */
#include <stdlib.h>

#include "vmo/vmo.h"

#define PIECE_PAGES	64

/**
 * struct differ - a comparison, and the stretch that was found last
 * @a, @b: pieces of memory
 */
struct differ {
	struct hypr_vmo *from, *to;
	hypr_vmo_diff_fn fn;
	void *arg;
	uint64_t gpa, pages;
	int kind;
	uint8_t a[PIECE_PAGES * HYPR_VMO_PAGE_BYTES];
	uint8_t b[PIECE_PAGES * HYPR_VMO_PAGE_BYTES];
};

static int add(struct differ *differ, uint64_t gpa, uint64_t pages, int kind)
{
	int ret = 0;

	if (differ->pages && differ->kind == kind) {
		differ->pages += pages;
		return 0;
	}
	if (differ->pages)
		ret = differ->fn(differ->arg, differ->gpa, differ->pages, differ->kind);
	differ->gpa = gpa;
	differ->pages = pages;
	differ->kind = kind;
	return ret;
}

static int kind_of(const uint8_t *from, const uint8_t *to)
{
	static const uint8_t zero[HYPR_VMO_PAGE_BYTES];
	bool is_zero = !memcmp(to, zero, sizeof(zero));

	if (!memcmp(from, to, HYPR_VMO_PAGE_BYTES))
		return is_zero ? HYPR_VMO_SAME_ZERO : HYPR_VMO_SAME;
	return is_zero ? HYPR_VMO_ZEROED : HYPR_VMO_CHANGED;
}

static int compare(struct differ *differ, uint64_t gpa, uint64_t pages)
{
	uint64_t i, bytes = pages * HYPR_VMO_PAGE_BYTES, at;
	int ret;

	ret = hypr_vmo_read(differ->from, gpa, differ->a, bytes);
	if (!ret)
		ret = hypr_vmo_read(differ->to, gpa, differ->b, bytes);
	for (i = 0; !ret && i < pages; i++) {
		at = i * HYPR_VMO_PAGE_BYTES;
		ret = add(differ, gpa + at, 1, kind_of(differ->a + at, differ->b + at));
	}
	return ret;
}

/* From one place of one file: they cannot differ. */
static bool is_shared(const struct differ *differ, const struct hypr_vmo_segment *a,
		      const struct hypr_vmo_segment *b)
{
	const struct hypr_vmo_file *from = &hypr_vmo_layer(differ->from, a->layer)->file;
	const struct hypr_vmo_file *to = &hypr_vmo_layer(differ->to, b->layer)->file;

	return from->dev == to->dev && from->ino == to->ino && a->offset == b->offset;
}

/* One step: as far as both are alike in kind. */
static int step(struct differ *differ, uint64_t gpa, uint64_t *pages)
{
	struct hypr_vmo_segment a, b;
	bool a_zero, b_zero;
	int ret;

	ret = hypr_vmo_segment(differ->from, gpa, &a);
	if (!ret)
		ret = hypr_vmo_segment(differ->to, gpa, &b);
	if (ret)
		return ret;
	a_zero = a.flags & HYPR_VMO_RUN_ZERO;
	b_zero = b.flags & HYPR_VMO_RUN_ZERO;
	*pages = a.pages < b.pages ? a.pages : b.pages;
	if (a_zero && b_zero)
		return add(differ, gpa, *pages, HYPR_VMO_SAME_ZERO);
	if (!a_zero && !b_zero && is_shared(differ, &a, &b))
		return add(differ, gpa, *pages, HYPR_VMO_SAME);
	if (*pages > PIECE_PAGES)
		*pages = PIECE_PAGES;
	return compare(differ, gpa, *pages);
}

int hypr_vmo_diff(struct hypr_vmo *from, struct hypr_vmo *to, hypr_vmo_diff_fn fn, void *arg)
{
	uint64_t gpa, pages, mem_bytes = from->header.mem_bytes;
	struct differ *differ;
	int ret = 0;

	if (to->header.mem_bytes != mem_bytes)
		return hypr_fail(-EINVAL, "%s has %llu bytes of memory, and %s has %llu",
				 from->file.name, (unsigned long long)mem_bytes, to->file.name,
				 (unsigned long long)to->header.mem_bytes);
	differ = calloc(1, sizeof(*differ));
	if (!differ)
		return hypr_fail(-ENOMEM, "%s: no memory", from->file.name);
	differ->from = from;
	differ->to = to;
	differ->fn = fn;
	differ->arg = arg;
	for (gpa = 0; !ret && gpa < mem_bytes; gpa += pages * HYPR_VMO_PAGE_BYTES) {
		ret = hypr_progress(gpa, mem_bytes);
		if (!ret)
			ret = step(differ, gpa, &pages);
	}
	if (!ret)
		ret = fn(arg, differ->gpa, differ->pages, differ->kind);
	free(differ);
	return ret;
}
