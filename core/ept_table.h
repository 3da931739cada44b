/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * What the parts of the EPT mapper share: entries, levels, spare and retired table
 * pages, split and merge.  Nobody else includes this header.
 *
 * Level 1 is the page table, level 2 the page directory; an entry of level n covers
 * 512 times what one of level n - 1 does.  Functions that follow the tree call
 * themselves once for each level, at most 5 deep.
 */
#ifndef CORE_EPT_TABLE_H
#define CORE_EPT_TABLE_H

#include "ept.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EPT_LARGE	BIT_ULL(7)
#define EPT_AD		((u64)(EPT_ACCESSED | EPT_DIRTY))
#define EPT_ADDRESS	0x000ffffffffff000ull

static inline u32 ept_shift(u32 level)
{
	return CORE_PAGE_SHIFT + 9 * (level - 1);
}

/* Bytes that an entry of @level covers. */
static inline u64 ept_bytes(u32 level)
{
	return 1ull << ept_shift(level);
}

static inline u32 ept_index(u64 gpa, u32 level)
{
	return gpa >> ept_shift(level) & (CORE_ENTRIES - 1);
}

/* The end of @gpa's entry at @level, or @end if that comes first. */
static inline u64 ept_next(u64 gpa, u64 end, u32 level)
{
	u64 next = (gpa | (ept_bytes(level) - 1)) + 1;

	return next < end ? next : end;
}

/* A CPU sets accessed and dirty bits concurrently: each access is atomic. */
static inline u64 ept_load(const u64 *entry)
{
	return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

/* The CPU sees what was stored before, when it sees @value. */
static inline void ept_store(u64 *entry, u64 value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

/* Store @value if the entry still is *@old, else load it to *@old. */
static inline bool ept_replace(u64 *entry, u64 *old, u64 value)
{
	return __atomic_compare_exchange_n(entry, old, value, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

static inline bool ept_present(u64 entry)
{
	return entry & (EPT_RWX | EPT_USER_EXEC);
}

/* A present entry that maps a page. */
static inline bool ept_leaf(u64 entry, u32 level)
{
	return level == 1 || entry & EPT_LARGE;
}

static inline u64 *ept_child(u64 entry)
{
	return (u64 *)plat_hpa_to_virt(hypr_hpa(entry & EPT_ADDRESS));
}

/* Whether the CPU can map a page by an entry of @level. */
static inline bool ept_maps(const struct ept_context *ept, u32 level)
{
	return level == 1 || (level == 2 && ept->can.page_2m) ||
	       (level == 3 && ept->can.page_2m && ept->can.page_1g);
}

/* An entry that refers to @table: the pages below it alone decide on permissions. */
static inline u64 ept_table_entry(const struct ept_context *ept, const u64 *table)
{
	return plat_virt_to_hpa(table).addr | EPT_RWX |
	       (ept->can.user_execute ? EPT_USER_EXEC : 0);
}

/* Table pages taken before the edit, linked by their first word. */
struct ept_spare {
	u64 *head;
};

/* Take @count pages.  Return: EPT_OK, EPT_NO_MEMORY, EPT_TABLE_BEYOND_MAXPHYADDR. */
enum ept_refusal ept_spare_fill(struct ept_context *ept, struct ept_spare *spare, u64 count);
/* One page of them, zeroed; there is one. */
u64 *ept_spare_take(struct ept_context *ept, struct ept_spare *spare);

/* Take @table out of the tree; a CPU may still read it. */
void ept_retire(struct ept_context *ept, u64 *table);

/* Widen @edit by [@gpa, @end). */
void ept_note(struct ept_edit *edit, u64 gpa, u64 end);

/* Make the large page at @entry of @level a table of equal pages. */
u64 *ept_split(struct ept_context *ept, u64 *entry, u32 level, struct ept_spare *spare);
/* Make the table below @entry of @level a large page, if its pages continue each other. */
void ept_merge(struct ept_context *ept, u64 *entry, u32 level, u64 gpa, struct ept_edit *edit);

/* The checks of enum ept_refusal, each in its order there. */
enum ept_refusal ept_check_range(u64 gpa, u64 hpa, u64 size);
enum ept_refusal ept_check_attributes(u32 permissions);
enum ept_refusal ept_check_support(const struct ept_context *ept, u32 permissions);
/* The range ends within the context's GPAs. */
enum ept_refusal ept_check_width(const struct ept_context *ept, u64 gpa, u64 size);

#ifdef __cplusplus
}
#endif

#endif /* CORE_EPT_TABLE_H */
