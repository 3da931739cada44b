// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * All that a guest's tables map.  One walk finds a page or a hole, and the next begins
 * behind it: so a hole costs one walk, however large it is.  Of each table page and level
 * it is noted that the scan was there; whatever leads there again is left out.  So the
 * scan ends after 512 walks for each page of memory and level, whatever is in them.
 */
#include <stdlib.h>

#include "base/paging.h"
#include "vmo/vmo.h"
#include "vmo/vmo_tables.h"

#define CHECK_WALKS	(1u << 16)	/* from question to question whether to go on */

/**
 * struct scan - through all addresses that the tables can have
 * @at: the next one, as a plain number: no hole in the middle
 * @seen: a bit for each level and page of memory
 * @last: a stretch that may become longer; none while its bytes are 0
 */
struct scan {
	struct hypr_vmo_tables tables;
	hypr_vmo_mapping_fn fn;
	void *arg;
	uint64_t at, end;
	uint64_t pages;
	uint8_t *seen;
	uint64_t repeats;
	struct hypr_vmo_mapping last;
};

static const struct walk_level *level_of(const struct scan *scan, unsigned int number)
{
	return &scan->tables.walk.format->level[number - 1];
}

static uint64_t entry_span(const struct scan *scan, unsigned int number)
{
	return BIT_ULL(level_of(scan, number)->shift);
}

static uint64_t table_span(const struct scan *scan, unsigned int number)
{
	return BIT_ULL(level_of(scan, number)->shift + level_of(scan, number)->bits);
}

static uint64_t gva_of(const struct scan *scan, uint64_t at)
{
	const struct walk_format *format = scan->tables.walk.format;
	unsigned int unused = 64 - format->address_bits;

	return format->canonical ? (uint64_t)((int64_t)(at << unused) >> unused) : at;
}

static void go_behind(struct scan *scan, uint64_t span)
{
	scan->at = (scan->at & ~(span - 1)) + span;
}

/* Note a table; false: the scan was there before, at this level. */
static bool enter(struct scan *scan, unsigned int number, uint64_t gpa)
{
	uint64_t bit = (number - 1) * scan->pages + gpa / HYPR_VMO_PAGE_BYTES;
	uint8_t mask = (uint8_t)(1u << bit % 8);

	if (scan->seen[bit / 8] & mask)
		return false;
	scan->seen[bit / 8] |= mask;
	return true;
}

/* The level of a table that begins at this address and was there before; 0: none. */
static unsigned int repeated(struct scan *scan, const struct walk_result *found)
{
	unsigned int number, low = found->level;

	if (found->fault == WALK_FAULT_MEMORY)
		low++;		/* the last one is no table of the memory */
	for (number = found->top; number >= low; number--) {
		if (scan->at & (table_span(scan, number) - 1))
			continue;
		if (!enter(scan, number, found->step[number - 1].address))
			return number;
	}
	return 0;
}

static int flush(struct scan *scan)
{
	return scan->last.bytes ? scan->fn(scan->arg, &scan->last) : 0;
}

/* Only what is memory: a device's page has no contents. */
static int add(struct scan *scan, const struct walk_result *found)
{
	uint64_t mem_bytes = scan->tables.vmo->header.mem_bytes;
	struct hypr_vmo_mapping *last = &scan->last, mapping = {
		.gva = gva_of(scan, scan->at),
		.gpa = walk_gpa(found).addr,
		.bytes = found->page_bytes,
		.rights = hypr_paging_rights(found->rights),
	};
	int ret;

	if (mapping.gpa >= mem_bytes)
		return 0;
	if (mapping.bytes > mem_bytes - mapping.gpa)
		mapping.bytes = mem_bytes - mapping.gpa;
	if (last->bytes && last->gva + last->bytes == mapping.gva &&
	    last->gpa + last->bytes == mapping.gpa && last->rights == mapping.rights) {
		last->bytes += mapping.bytes;
		return 0;
	}
	ret = flush(scan);
	*last = mapping;
	return ret;
}

static int step(struct scan *scan)
{
	struct walk_result found;
	unsigned int number;
	int ret;

	ret = walk_peek(&scan->tables.walk, gva_of(scan, scan->at), 0, &found);
	if (scan->tables.error)
		return scan->tables.error;
	if (ret && ret != -EFAULT)
		return hypr_fail(ret, "%s: its tables cannot be walked",
				 scan->tables.vmo->file.name);
	number = repeated(scan, &found);
	if (number) {
		scan->repeats++;
		go_behind(scan, table_span(scan, number));
		return 0;
	}
	ret = ret ? 0 : add(scan, &found);
	if (found.fault == WALK_FAULT_MEMORY)
		go_behind(scan, table_span(scan, found.level));
	else
		go_behind(scan, entry_span(scan, found.level));
	return ret;
}

static int scan_init(struct scan *scan, struct hypr_vmo *vmo, const struct hypr_paging *paging)
{
	int ret;

	ret = hypr_vmo_tables_init(&scan->tables, vmo, paging);
	if (ret)
		return ret;
	if (!scan->tables.on) {
		ret = hypr_fail(-EINVAL, "%s: the vCPU has paging off: it has no virtual addresses (or give a CR3)",
				vmo->file.name);
		goto fini_tables;
	}
	scan->end = BIT_ULL(scan->tables.walk.format->address_bits);
	scan->pages = vmo->header.mem_bytes / HYPR_VMO_PAGE_BYTES;
	scan->seen = calloc(scan->pages * WALK_LEVELS / 8 + 1, 1);
	if (scan->seen)
		return 0;
	ret = hypr_fail(-ENOMEM, "%s: no memory to note its tables", vmo->file.name);
fini_tables:
	hypr_vmo_tables_fini(&scan->tables);
	return ret;
}

int hypr_vmo_mappings(struct hypr_vmo *vmo, const struct hypr_paging *paging,
		      hypr_vmo_mapping_fn fn, void *arg, uint64_t *repeats)
{
	struct scan scan = { .fn = fn, .arg = arg };
	uint32_t walks = 0;
	int ret;

	ret = scan_init(&scan, vmo, paging);
	if (ret)
		return ret;
	while (!ret && scan.at < scan.end) {
		ret = step(&scan);
		if (!ret && !(++walks % CHECK_WALKS))
			ret = hypr_progress_check();
	}
	if (!ret)
		ret = flush(&scan);
	if (!ret && repeats)
		*repeats = scan.repeats;
	free(scan.seen);
	hypr_vmo_tables_fini(&scan.tables);
	return ret;
}
