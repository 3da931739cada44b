// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* EPT contexts: make, map, translate.  ept.h first. */
#include "ept_table.h"
#include "eptp.h"

static void *default_get(void *context)
{
	(void)context;
	return plat_page_alloc(1, PLAT_NODE_ANY);
}

static void default_put(void *context, void *page)
{
	(void)context;
	plat_page_free(page, 1);
}

enum ept_refusal init_ept_context(struct ept_context *ept, u32 levels,
				  const struct ept_capabilities *can,
				  const struct ept_allocator *allocator)
{
	static const struct ept_allocator plain = { default_get, default_put, NULL };
	struct ept_spare spare;
	enum ept_refusal why;

	memset(ept, 0, sizeof(*ept));
	if ((levels != 4 && levels != 5) || can->maxphyaddr < 32 || can->maxphyaddr > 52)
		return EPT_BAD_CAPABILITIES;
	ept->levels = levels;
	ept->can = *can;
	ept->allocator = allocator ? *allocator : plain;
	why = ept_spare_fill(ept, &spare, 1);
	if (!why)
		ept->root = ept_spare_take(ept, &spare);
	return why;
}

static void free_tree(struct ept_context *ept, u64 *table, u32 level)
{
	for (u32 i = 0; level > 1 && i < CORE_ENTRIES; i++) {
		u64 entry = ept_load(&table[i]);

		if (ept_present(entry) && !ept_leaf(entry, level))
			free_tree(ept, ept_child(entry), level - 1);
	}
	ept->allocator.put(ept->allocator.context, table);
}

void fini_ept_context(struct ept_context *ept)
{
	if (!ept || !ept->root)
		return;
	ept_release_tables(ept);
	free_tree(ept, ept->root, ept->levels);
	memset(ept, 0, sizeof(*ept));
}

u64 ept_context_eptp(const struct ept_context *ept)
{
	return hypr_eptp_encode(plat_virt_to_hpa(ept->root), ept->levels,
				ept->can.accessed_dirty);
}

u64 ept_mapped_bytes(const struct ept_context *ept)
{
	u64 bytes = 0;

	for (u32 level = 1; level <= 3; level++)
		bytes += ept->stats.pages[level - 1] << ept_shift(level);
	return bytes;
}

enum ept_refusal init_memory_mapping(struct memory_mapping *mapping, hypr_gpa_t gpa,
				     hypr_hpa_t hpa, u64 size, u32 permissions)
{
	enum ept_refusal why = ept_check_range(gpa.addr, hpa.addr, size);

	if (!why)
		why = ept_check_attributes(permissions);
	if (why)
		return why;
	mapping->gpa = gpa;
	mapping->hpa = hpa;
	mapping->size = size;
	mapping->permissions = permissions;
	return EPT_OK;
}

/* A mapping on its way into the tables: hpa is gpa + @offset, modulo 2^64. */
struct ept_map {
	struct ept_context *ept;
	u64 offset;
	u64 permissions;
	struct ept_spare spare;
	struct ept_edit *edit;
};

/* Pages of @level that fit at @gpa, up to @end. */
static u64 map_run(const struct ept_map *map, u32 level, u64 gpa, u64 end)
{
	if (!ept_maps(map->ept, level) || ((gpa | (gpa + map->offset)) & (ept_bytes(level) - 1)))
		return 0;
	return (end - gpa) >> ept_shift(level);
}

/*
 * Count to @tables the table pages that [@gpa, @end) needs below @table, which is
 * NULL if it is one of them.
 */
static enum ept_refusal map_plan(const struct ept_map *map, const u64 *table, u32 level, u64 gpa,
				 u64 end, u64 *tables)
{
	while (gpa < end) {
		u64 entry = table ? ept_load(&table[ept_index(gpa, level)]) : 0;
		u64 next = ept_next(gpa, end, level);
		u64 run = map_run(map, level, gpa, end);
		const u64 *child = NULL;
		enum ept_refusal why;

		if (ept_present(entry)) {
			if (ept_leaf(entry, level))
				return EPT_OVERLAP;
			child = ept_child(entry);
		} else if (run) {
			gpa = table ? next : gpa + (run << ept_shift(level));
			continue;
		} else {
			++*tables;
		}
		/* A new page table needs no more. */
		if (child || level > 2) {
			why = map_plan(map, child, level - 1, gpa, next, tables);
			if (why)
				return why;
		}
		gpa = next;
	}
	return EPT_OK;
}

static void map_pages(u64 *entry, u64 value, u64 step, u64 count)
{
	for (; count; count--, value += step)
		ept_store(entry++, value);
}

static void map_fill(struct ept_map *map, u64 *table, u32 level, u64 gpa, u64 end)
{
	struct ept_context *ept = map->ept;

	while (gpa < end) {
		u64 *entry = &table[ept_index(gpa, level)];
		u64 next = ept_next(gpa, end, level);
		u64 run = map_run(map, level, gpa, end);
		u64 old = ept_load(entry);
		u64 *child;

		if (run && !ept_present(old)) {
			map_pages(entry, (gpa + map->offset) | map->permissions |
				  (level > 1 ? EPT_LARGE : 0), ept_bytes(level), run);
			ept->stats.pages[level - 1] += run;
			gpa += run << ept_shift(level);
			continue;
		}
		if (ept_present(old)) {
			map_fill(map, ept_child(old), level - 1, gpa, next);
			ept_merge(ept, entry, level, gpa, map->edit);
		} else {
			/* The CPU sees a new table when it is complete. */
			child = ept_spare_take(ept, &map->spare);
			map_fill(map, child, level - 1, gpa, next);
			ept_store(entry, ept_table_entry(ept, child));
		}
		gpa = next;
	}
}

enum ept_refusal ept_map_memory(struct ept_context *ept, const struct memory_mapping *mapping,
				struct ept_edit *edit)
{
	u64 gpa = mapping->gpa.addr, hpa = mapping->hpa.addr, size = mapping->size;
	struct ept_map map = { ept, hpa - gpa, mapping->permissions, { NULL }, edit };
	enum ept_refusal why;
	u64 tables = 0;

	memset(edit, 0, sizeof(*edit));
	why = ept_check_range(gpa, hpa, size);
	if (!why)
		why = ept_check_attributes(mapping->permissions);
	if (!why)
		why = ept_check_support(ept, mapping->permissions);
	if (!why)
		why = ept_check_width(ept, gpa, size);
	if (!why && (hpa + size - 1) >> ept->can.maxphyaddr)
		why = EPT_BEYOND_MAXPHYADDR;
	if (!why)
		why = map_plan(&map, ept->root, ept->levels, gpa, gpa + size, &tables);
	if (!why)
		why = ept_spare_fill(ept, &map.spare, tables);
	if (why)
		return why;
	ept_note(edit, gpa, gpa + size);
	map_fill(&map, ept->root, ept->levels, gpa, gpa + size);
	return EPT_OK;
}

u64 ept_entry(const struct ept_context *ept, hypr_gpa_t gpa, u32 *level)
{
	const u64 *table = ept->root;

	*level = ept->levels;
	if (gpa.addr >> ept_shift(ept->levels + 1))
		return 0;
	for (;; --*level) {
		u64 entry = ept_load(&table[ept_index(gpa.addr, *level)]);

		if (!ept_present(entry) || ept_leaf(entry, *level))
			return entry;
		table = ept_child(entry);
	}
}

enum ept_refusal ept_translate(const struct ept_context *ept, hypr_gpa_t gpa, u64 size,
			       struct memory_mapping *run)
{
	enum ept_refusal why = ept_check_range(gpa.addr, 0, size);
	u64 at, end = gpa.addr + size;
	bool mapped = false;

	if (!why)
		why = ept_check_width(ept, gpa.addr, size);
	if (why)
		return why;
	for (at = gpa.addr; at < end;) {
		u32 level;
		u64 entry = ept_entry(ept, hypr_gpa(at), &level);
		u64 hpa = (entry & EPT_ADDRESS) + (at & (ept_bytes(level) - 1));
		u32 permissions = entry & EPT_ATTRIBUTES;

		if (at == gpa.addr) {
			mapped = ept_present(entry);
			run->gpa = gpa;
			run->hpa.addr = hpa;
			run->permissions = permissions;
		} else if (mapped != ept_present(entry) || (mapped &&
			   (permissions != run->permissions ||
			    hpa != run->hpa.addr + (at - gpa.addr)))) {
			break;
		}
		at = ept_next(at, end, level);
	}
	run->size = at - gpa.addr;
	if (mapped)
		return EPT_OK;
	run->hpa.addr = 0;
	return EPT_NOT_MAPPED;
}
