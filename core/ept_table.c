// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* What the parts of the EPT mapper share: ept_table.h. */
#include "ept_table.h"

static const struct {
	const char *name;
	int error;
} ept_refusals[EPT_REFUSAL_COUNT] = {
	[EPT_OK] = { "done", 0 },
	[EPT_BAD_CAPABILITIES] = { "capabilities or levels out of range", -EINVAL },
	[EPT_ZERO_SIZE] = { "size is zero", -EINVAL },
	[EPT_UNALIGNED] = { "address or size is no multiple of 4 KiB", -EINVAL },
	[EPT_WRAPS] = { "range wraps at 2^64", -ERANGE },
	[EPT_UNKNOWN_PERMISSIONS] = { "unknown permissions", -EINVAL },
	[EPT_RESERVED_TYPE] = { "reserved memory type", -EINVAL },
	[EPT_NO_ACCESS] = { "neither read, write nor execute", -EINVAL },
	[EPT_WRITE_WITHOUT_READ] = { "write without read", -EINVAL },
	[EPT_NO_USER_EXECUTE] = { "user execute without mode-based execute control", -EOPNOTSUPP },
	[EPT_NO_EXECUTE_ONLY] = { "execute without read, which the CPU lacks", -EOPNOTSUPP },
	[EPT_NO_ACCESSED_DIRTY] = { "no accessed and dirty bits", -EOPNOTSUPP },
	[EPT_BEYOND_GPA_WIDTH] = { "guest-physical address too wide", -ERANGE },
	[EPT_BEYOND_MAXPHYADDR] = { "host-physical address beyond MAXPHYADDR", -ERANGE },
	[EPT_OVERLAP] = { "overlaps with a mapping", -EEXIST },
	[EPT_NOT_MAPPED] = { "not mapped", -ENOENT },
	[EPT_NO_MEMORY] = { "no table page", -ENOMEM },
	[EPT_TABLE_BEYOND_MAXPHYADDR] = { "table page beyond MAXPHYADDR", -ERANGE },
};

const char *ept_refusal_name(enum ept_refusal why)
{
	return (u32)why < EPT_REFUSAL_COUNT ? ept_refusals[why].name : "unknown";
}

int ept_refusal_errno(enum ept_refusal why)
{
	return (u32)why < EPT_REFUSAL_COUNT ? ept_refusals[why].error : -EINVAL;
}

enum ept_refusal ept_check_range(u64 gpa, u64 hpa, u64 size)
{
	if (!size)
		return EPT_ZERO_SIZE;
	if ((gpa | hpa | size) & (CORE_PAGE_4K - 1))
		return EPT_UNALIGNED;
	if (gpa + size < gpa || hpa + size < hpa)
		return EPT_WRAPS;
	return EPT_OK;
}

enum ept_refusal ept_check_attributes(u32 permissions)
{
	/* Types 2, 3 and 7 are reserved. */
	static const u8 reserved_types = 1 << 2 | 1 << 3 | 1 << 7;

	if (permissions & ~EPT_ATTRIBUTES)
		return EPT_UNKNOWN_PERMISSIONS;
	if (reserved_types >> ((permissions & EPT_TYPE) >> 3) & 1)
		return EPT_RESERVED_TYPE;
	if (!ept_present(permissions))
		return EPT_NO_ACCESS;
	if ((permissions & EPT_WRITE) && !(permissions & EPT_READ))
		return EPT_WRITE_WITHOUT_READ;
	return EPT_OK;
}

enum ept_refusal ept_check_support(const struct ept_context *ept, u32 permissions)
{
	if ((permissions & EPT_USER_EXEC) && !ept->can.user_execute)
		return EPT_NO_USER_EXECUTE;
	if (!(permissions & EPT_READ) && !ept->can.execute_only)
		return EPT_NO_EXECUTE_ONLY;
	return EPT_OK;
}

enum ept_refusal ept_check_width(const struct ept_context *ept, u64 gpa, u64 size)
{
	return gpa + size > ept_bytes(ept->levels + 1) ? EPT_BEYOND_GPA_WIDTH : EPT_OK;
}

static void spare_drop(struct ept_context *ept, struct ept_spare *spare)
{
	while (spare->head) {
		u64 *page = spare->head;

		spare->head = (u64 *)(uintptr_t)page[0];
		ept->allocator.put(ept->allocator.context, page);
	}
}

enum ept_refusal ept_spare_fill(struct ept_context *ept, struct ept_spare *spare, u64 count)
{
	u64 *last = NULL;

	/* In the allocator's order, which is the order of memory at best. */
	for (spare->head = NULL; count; count--) {
		u64 *page = ept->allocator.get(ept->allocator.context);

		if (!page) {
			spare_drop(ept, spare);
			return EPT_NO_MEMORY;
		}
		page[0] = 0;
		if (last)
			last[0] = (uintptr_t)page;
		else
			spare->head = page;
		last = page;
		if (plat_virt_to_hpa(page).addr >> ept->can.maxphyaddr) {
			spare_drop(ept, spare);
			return EPT_TABLE_BEYOND_MAXPHYADDR;
		}
	}
	return EPT_OK;
}

u64 *ept_spare_take(struct ept_context *ept, struct ept_spare *spare)
{
	u64 *page = spare->head;

	spare->head = (u64 *)(uintptr_t)page[0];
	page[0] = 0;
	ept->stats.tables++;
	return page;
}

/*
 * The link to the next retired page takes the place of entry 0.  It is the address
 * of a page, so bits 0 to 11 are clear: a CPU that still has the table cached reads
 * an entry that is not present.
 */
void ept_retire(struct ept_context *ept, u64 *table)
{
	ept_store(&table[0], (uintptr_t)ept->retired);
	ept->retired = table;
	ept->stats.tables--;
	ept->stats.retired++;
}

void ept_release_tables(struct ept_context *ept)
{
	struct ept_spare pages = { ept->retired };

	spare_drop(ept, &pages);
	ept->retired = NULL;
	ept->stats.retired = 0;
}

void ept_note(struct ept_edit *edit, u64 gpa, u64 end)
{
	if (edit->start.addr == edit->end.addr)
		edit->start.addr = edit->end.addr = gpa;
	if (gpa < edit->start.addr)
		edit->start.addr = gpa;
	if (end > edit->end.addr)
		edit->end.addr = end;
}

/*
 * The small pages inherit the large one's accessed and dirty bits, and the entry
 * above them has been accessed if they have: ept_ad_read() relies on that.
 */
u64 *ept_split(struct ept_context *ept, u64 *entry, u32 level, struct ept_spare *spare)
{
	u64 *table = ept_spare_take(ept, spare);
	u64 link = ept_table_entry(ept, table);
	u64 old = ept_load(entry), value;

	do {
		value = level == 2 ? old & ~EPT_LARGE : old;
		for (u32 i = 0; i < CORE_ENTRIES; i++, value += ept_bytes(level - 1))
			table[i] = value;
	} while (!ept_replace(entry, &old, link | (old & EPT_AD ? EPT_ACCESSED : 0)));
	ept->stats.pages[level - 1]--;
	ept->stats.pages[level - 2] += CORE_ENTRIES;
	ept->stats.splits++;
	return table;
}

void ept_merge(struct ept_context *ept, u64 *entry, u32 level, u64 gpa, struct ept_edit *edit)
{
	u64 *table = ept_child(ept_load(entry));
	u64 first = ept_load(&table[0]) & ~EPT_AD;
	u64 bits = 0;

	if (ept->keep_small || !ept_maps(ept, level) || !ept_present(first) ||
	    !ept_leaf(first, level - 1) || (first & EPT_ADDRESS & (ept_bytes(level) - 1)))
		return;
	/* The last entry first: it ends most attempts. */
	for (u32 i = CORE_ENTRIES; i--;) {
		u64 small = ept_load(&table[i]);

		if ((small & ~EPT_AD) != first + i * ept_bytes(level - 1))
			return;
		bits |= small & EPT_AD;
	}
	ept_store(entry, first | bits | EPT_LARGE);
	ept_retire(ept, table);
	ept->stats.pages[level - 1]++;
	ept->stats.pages[level - 2] -= CORE_ENTRIES;
	ept->stats.merges++;
	gpa &= ~(ept_bytes(level) - 1);
	ept_note(edit, gpa, gpa + ept_bytes(level));
	edit->invept = true;
}
