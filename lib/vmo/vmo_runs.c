// SPDX-License-Identifier: LGPL-2.1-or-later
/* Runs: which pages a file has, which are zero, which are the parent's. */
#include <stdlib.h>

#include "vmo/vmo.h"

#define KINDS	(HYPR_VMO_RUN_ZERO | HYPR_VMO_RUN_PARENT)
#define KNOWN	(HYPR_VMO_RUN_RWX | KINDS)

static int run_fail(const struct hypr_vmo *vmo, uint32_t n, const char *what)
{
	return hypr_fail(-EBADMSG, "%s: section RUNS: run %u at GPA 0x%llx %s", vmo->file.name, n,
			 (unsigned long long)vmo->run[n].gpa, what);
}

static int run_check(struct hypr_vmo *vmo, uint32_t n, uint64_t gpa, uint64_t stored)
{
	const struct hypr_vmo_run *run = &vmo->run[n];

	if (run->gpa != gpa)
		return run_fail(vmo, n, "does not begin where the one before it ends");
	if (!run->pages || run->pages > (vmo->header.mem_bytes - gpa) / HYPR_VMO_PAGE_BYTES)
		return run_fail(vmo, n, "has no pages, or some outside memory");
	if (run->flags & ~KNOWN)
		return hypr_fail(-EOPNOTSUPP, "%s: section RUNS: run %u has flags 0x%x, which are not known here",
				 vmo->file.name, n, run->flags);
	if (!(run->flags & HYPR_VMO_RUN_R))
		return run_fail(vmo, n, "cannot be read");
	if ((run->flags & KINDS) == KINDS)
		return run_fail(vmo, n, "is zero and the parent's at once");
	if (run->reserved)
		return run_fail(vmo, n, "uses reserved bytes");
	if ((run->flags & HYPR_VMO_RUN_PARENT) && hypr_digest_is_zero(vmo->header.parent))
		return run_fail(vmo, n, "is the parent's, and there is none");
	if (run->offset != (run->flags & KINDS ? 0 : stored * HYPR_VMO_PAGE_BYTES))
		return run_fail(vmo, n, "is not in its place in DATA");
	return 0;
}

static void run_count(struct hypr_vmo *vmo, const struct hypr_vmo_run *run)
{
	if (run->flags & HYPR_VMO_RUN_ZERO)
		vmo->pages_zero += run->pages;
	else if (run->flags & HYPR_VMO_RUN_PARENT)
		vmo->pages_parent += run->pages;
	else
		vmo->pages_stored += run->pages;
}

/* DATA and its digests have as many pages as the runs say. */
static int check_data(const struct hypr_vmo *vmo)
{
	const struct hypr_vmo_section *digests = hypr_vmo_find(vmo, HYPR_VMO_PAGE_DIGESTS, 0);
	uint64_t data_bytes = vmo->data ? vmo->data->bytes : 0;

	if (data_bytes != vmo->pages_stored * HYPR_VMO_PAGE_BYTES)
		return hypr_fail(-EBADMSG, "%s: section DATA: 0x%llx bytes for %llu pages of RUNS",
				 vmo->file.name, (unsigned long long)data_bytes,
				 (unsigned long long)vmo->pages_stored);
	if ((digests ? digests->bytes : 0) != vmo->pages_stored * sizeof(uint64_t))
		return hypr_fail(-EBADMSG, "%s: section PAGE_DIGESTS: 0x%llx bytes for %llu pages",
				 vmo->file.name, (unsigned long long)(digests ? digests->bytes : 0),
				 (unsigned long long)vmo->pages_stored);
	return 0;
}

int hypr_vmo_runs_check(struct hypr_vmo *vmo)
{
	const struct hypr_vmo_section *section = hypr_vmo_find(vmo, HYPR_VMO_RUNS, 0);
	uint64_t gpa = 0;
	void *content;
	uint32_t i;
	int ret;

	if (!section)
		return hypr_fail(-EBADMSG, "%s: section RUNS: missing", vmo->file.name);
	if (section->bytes % sizeof(*vmo->run))
		return hypr_fail(-EBADMSG, "%s: section RUNS: 0x%llx bytes are no whole runs",
				 vmo->file.name, (unsigned long long)section->bytes);
	ret = hypr_vmo_content(vmo, section, &content);
	if (ret)
		return ret;
	vmo->run = content;
	vmo->nr_runs = (uint32_t)(section->bytes / sizeof(*vmo->run));
	for (i = 0; i < vmo->nr_runs; i++) {
		ret = run_check(vmo, i, gpa, vmo->pages_stored);
		if (ret)
			return ret;
		run_count(vmo, &vmo->run[i]);
		gpa += vmo->run[i].pages * HYPR_VMO_PAGE_BYTES;
	}
	if (gpa != vmo->header.mem_bytes)
		return hypr_fail(-EBADMSG, "%s: section RUNS: they end at GPA 0x%llx, and memory at 0x%llx",
				 vmo->file.name, (unsigned long long)gpa,
				 (unsigned long long)vmo->header.mem_bytes);
	return check_data(vmo);
}

int hypr_vmo_ranges_check(const char *name, uint64_t mem_bytes,
			  const struct hypr_vmo_range *range, uint64_t bytes)
{
	size_t i, nr = bytes / sizeof(*range);
	uint64_t end = 0;

	if (bytes % sizeof(*range))
		return hypr_fail(-EBADMSG, "%s: section WORKING_SET: 0x%llx bytes are no whole ranges",
				 name, (unsigned long long)bytes);
	for (i = 0; i < nr; i++) {
		if (range[i].gpa % HYPR_VMO_PAGE_BYTES || range[i].gpa < end || !range[i].pages ||
		    range[i].gpa >= mem_bytes ||
		    range[i].pages > (mem_bytes - range[i].gpa) / HYPR_VMO_PAGE_BYTES)
			return hypr_fail(-EBADMSG, "%s: section WORKING_SET: range %zu at GPA 0x%llx is empty, out of order or outside memory",
					 name, i, (unsigned long long)range[i].gpa);
		end = range[i].gpa + range[i].pages * HYPR_VMO_PAGE_BYTES;
	}
	return 0;
}

/* The run that has @gpa, which is within memory. */
static const struct hypr_vmo_run *run_at(const struct hypr_vmo *vmo, uint64_t gpa)
{
	uint32_t low = 0, high = vmo->nr_runs, middle;

	while (high - low > 1) {
		middle = low + (high - low) / 2;
		if (vmo->run[middle].gpa <= gpa)
			low = middle;
		else
			high = middle;
	}
	return &vmo->run[low];
}

int hypr_vmo_segment(const struct hypr_vmo *vmo, uint64_t gpa, struct hypr_vmo_segment *segment)
{
	const struct hypr_vmo_run *run;
	uint64_t pages;
	uint32_t layer = 0;

	if (gpa >= vmo->header.mem_bytes || gpa % HYPR_VMO_PAGE_BYTES)
		return hypr_fail(-EINVAL, "%s: no page of its memory is at 0x%llx",
				 vmo->file.name, (unsigned long long)gpa);
	run = run_at(vmo, gpa);
	pages = run->pages - (gpa - run->gpa) / HYPR_VMO_PAGE_BYTES;
	*segment = (struct hypr_vmo_segment){
		.gpa = gpa,
		.pages = pages,
		.flags = run->flags & HYPR_VMO_RUN_RWX,
		.fd = -1,
	};
	while (run->flags & HYPR_VMO_RUN_PARENT) {
		vmo = vmo->parent;
		layer++;
		run = run_at(vmo, gpa);
		pages = run->pages - (gpa - run->gpa) / HYPR_VMO_PAGE_BYTES;
		if (pages < segment->pages)
			segment->pages = pages;
	}
	if (run->flags & HYPR_VMO_RUN_ZERO) {
		segment->flags |= HYPR_VMO_RUN_ZERO;
		return 0;
	}
	segment->layer = layer;
	segment->fd = vmo->file.fd;
	segment->offset = vmo->data->offset + run->offset + (gpa - run->gpa);
	return 0;
}
