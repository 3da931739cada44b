// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * EPT: accessed and dirty bits.
 *
 * The CPU sets the accessed bit of every entry that it walks.  So a page with either
 * bit set has an accessed entry at each level above it, and a table below an entry
 * that was not accessed needs no look.  ept_split() and the clear below keep it so.
 */
#include "ept_table.h"

struct ept_ad_scan {
	struct ept_context *ept;
	u64 which;
	ept_touched_fn touched;
	void *argument;
	/* NULL: read only. */
	struct ept_edit *edit;
};

/* Clear @bits of @entry.  Return: the entry before. */
static u64 ad_take(struct ept_ad_scan *scan, u64 *entry, u64 bits, u64 gpa, u64 end)
{
	ept_note(scan->edit, gpa, end);
	scan->edit->invept = true;
	return __atomic_fetch_and(entry, ~bits, __ATOMIC_ACQ_REL);
}

/* Return: whether an accessed or dirty bit is left in [@gpa, @end). */
static bool ad_table(struct ept_ad_scan *scan, u64 *table, u32 level, u64 gpa, u64 end)
{
	bool left = false;

	scan->ept->stats.ad_tables++;
	for (u64 next; gpa < end; gpa = next) {
		u64 *entry = &table[ept_index(gpa, level)];
		u64 old = ept_load(entry);
		u64 bits = old & scan->which;
		bool whole;

		next = ept_next(gpa, end, level);
		whole = next - gpa == ept_bytes(level);
		if (!ept_present(old))
			continue;
		if (!ept_leaf(old, level)) {
			if (!(old & EPT_ACCESSED))
				continue;
			if (ad_table(scan, ept_child(old), level - 1, gpa, next) || !whole)
				left = true;
			else if (scan->edit)
				ad_take(scan, entry, EPT_ACCESSED, gpa, next);
			continue;
		}
		if (bits && scan->edit && whole) {
			old = ad_take(scan, entry, scan->which, gpa, next);
			bits = old & scan->which;
			old &= ~scan->which;
		}
		if (old & EPT_AD)
			left = true;
		if (bits && scan->touched)
			scan->touched(scan->argument, hypr_gpa(gpa), next - gpa, bits);
	}
	return left;
}

static enum ept_refusal ad_range(struct ept_ad_scan *scan, u64 gpa, u64 size)
{
	struct ept_context *ept = scan->ept;
	enum ept_refusal why = ept_check_range(gpa, 0, size);

	if (!why && (!scan->which || scan->which & ~EPT_AD))
		why = EPT_UNKNOWN_PERMISSIONS;
	if (!why && !ept->can.accessed_dirty)
		why = EPT_NO_ACCESSED_DIRTY;
	if (!why)
		why = ept_check_width(ept, gpa, size);
	if (!why)
		ad_table(scan, ept->root, ept->levels, gpa, gpa + size);
	return why;
}

enum ept_refusal ept_ad_read(struct ept_context *ept, hypr_gpa_t gpa, u64 size, u32 which,
			     ept_touched_fn touched, void *argument)
{
	struct ept_ad_scan scan = { ept, which, touched, argument, NULL };

	return ad_range(&scan, gpa.addr, size);
}

enum ept_refusal ept_ad_clear(struct ept_context *ept, hypr_gpa_t gpa, u64 size, u32 which,
			      ept_touched_fn touched, void *argument, struct ept_edit *edit)
{
	struct ept_ad_scan scan = { ept, which, touched, argument, edit };

	memset(edit, 0, sizeof(*edit));
	return ad_range(&scan, gpa.addr, size);
}
