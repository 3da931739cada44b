// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* EPT: change what is mapped.  ept_unmap(), ept_protect(). */
#include "ept_table.h"

/* @permissions of a change that unmaps. */
#define UNMAP	0

struct ept_change {
	struct ept_context *ept;
	u64 permissions;
	struct ept_spare spare;
	struct ept_edit *edit;
};

/* The entry has what the change gives. */
static bool change_is_idle(const struct ept_change *change, u64 entry)
{
	return (entry & EPT_ATTRIBUTES) == change->permissions;
}

/*
 * Table pages for the splits of large pages that an edge of [@start, @end) cuts: one
 * for each level at which the edge lies within a page.
 */
static u64 change_splits(const struct ept_change *change, u64 start, u64 end)
{
	u64 edges[2] = { start, end }, count = 0;

	for (u32 i = 0; i < 2; i++) {
		u32 level;
		u64 entry = ept_entry(change->ept, hypr_gpa(edges[i]), &level);

		if (!ept_present(entry) || change_is_idle(change, entry))
			continue;
		for (; edges[i] & (ept_bytes(level) - 1); level--) {
			/* Not again what the first edge splits. */
			if (i && start & (ept_bytes(level) - 1) &&
			    start >> ept_shift(level) == end >> ept_shift(level))
				continue;
			count++;
		}
	}
	return count;
}

static bool is_mapped(const u64 *table, u32 level, u64 gpa, u64 end)
{
	for (u64 next; gpa < end; gpa = next) {
		u64 entry = ept_load(&table[ept_index(gpa, level)]);

		next = ept_next(gpa, end, level);
		if (!ept_present(entry) ||
		    (!ept_leaf(entry, level) && !is_mapped(ept_child(entry), level - 1, gpa, next)))
			return false;
	}
	return true;
}

static bool is_empty(const u64 *table)
{
	for (u32 i = 0; i < CORE_ENTRIES; i++) {
		if (ept_present(ept_load(&table[i])))
			return false;
	}
	return true;
}

static void change_page(struct ept_change *change, u64 *entry, u32 level, u64 gpa, u64 end)
{
	u64 old = ept_load(entry), value;

	do {
		value = (old & ~(u64)EPT_ATTRIBUTES) | change->permissions;
		if (change->permissions == UNMAP)
			value = 0;
	} while (!ept_replace(entry, &old, value));
	if (!value)
		change->ept->stats.pages[level - 1]--;
	ept_note(change->edit, gpa, end);
	change->edit->invept = true;
}

static void change_table(struct ept_change *change, u64 *table, u32 level, u64 gpa, u64 end)
{
	for (u64 next; gpa < end; gpa = next) {
		u64 *entry = &table[ept_index(gpa, level)];
		u64 old = ept_load(entry);
		u64 *child;

		next = ept_next(gpa, end, level);
		if (!ept_present(old))
			continue;
		if (ept_leaf(old, level)) {
			if (change_is_idle(change, old))
				continue;
			if (next - gpa == ept_bytes(level)) {
				change_page(change, entry, level, gpa, next);
				continue;
			}
			child = ept_split(change->ept, entry, level, &change->spare);
		} else {
			child = ept_child(old);
		}
		change_table(change, child, level - 1, gpa, next);
		if (change->permissions != UNMAP) {
			ept_merge(change->ept, entry, level, gpa, change->edit);
		} else if (is_empty(child)) {
			ept_store(entry, 0);
			ept_retire(change->ept, child);
		}
	}
}

static enum ept_refusal change_range(struct ept_change *change, u64 gpa, u64 end)
{
	struct ept_context *ept = change->ept;
	enum ept_refusal why;

	why = ept_spare_fill(ept, &change->spare, change_splits(change, gpa, end));
	if (!why)
		change_table(change, ept->root, ept->levels, gpa, end);
	return why;
}

enum ept_refusal ept_unmap(struct ept_context *ept, hypr_gpa_t gpa, u64 size,
			   struct ept_edit *edit)
{
	struct ept_change change = { ept, UNMAP, { NULL }, edit };
	enum ept_refusal why = ept_check_range(gpa.addr, 0, size);

	memset(edit, 0, sizeof(*edit));
	if (!why)
		why = ept_check_width(ept, gpa.addr, size);
	if (!why)
		why = change_range(&change, gpa.addr, gpa.addr + size);
	return why;
}

enum ept_refusal ept_protect(struct ept_context *ept, hypr_gpa_t gpa, u64 size,
			     u32 permissions, struct ept_edit *edit)
{
	struct ept_change change = { ept, permissions, { NULL }, edit };
	enum ept_refusal why = ept_check_range(gpa.addr, 0, size);

	memset(edit, 0, sizeof(*edit));
	if (!why)
		why = ept_check_attributes(permissions);
	if (!why)
		why = ept_check_support(ept, permissions);
	if (!why)
		why = ept_check_width(ept, gpa.addr, size);
	if (!why && !is_mapped(ept->root, ept->levels, gpa.addr, gpa.addr + size))
		why = EPT_NOT_MAPPED;
	if (!why)
		why = change_range(&change, gpa.addr, gpa.addr + size);
	return why;
}
