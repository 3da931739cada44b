// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * The SDM's rules for EPT entries: ept_check.h.
 *
 * No constant comes from the mapper; each is written as the SDM's tables give it.
 */
#include "ept_check.h"

/* The deepest walk. */
#define MOST_LEVELS	5

/* Bits @high to @low, as the SDM writes them. */
#define BITS(high, low)	((~0ull >> (63 - (high))) & (~0ull << (low)))

/*
 * Bits that must be 0 besides those beyond MAXPHYADDR, by level: of an entry that
 * refers to a table, and of an entry that maps a page.
 */
static const struct {
	u64 table;
	u64 page;
} reserved[MOST_LEVELS + 1] = {
	/* Format of an EPT PML5 Entry, of an EPT PML4 Entry */
	[5] = { .table = BITS(7, 3) },
	[4] = { .table = BITS(7, 3) },
	/* Format of an EPT Page-Directory-Pointer-Table Entry: a directory, 1 GByte */
	[3] = { .table = BITS(6, 3), .page = BITS(29, 12) },
	/* Format of an EPT Page-Directory Entry: a page table, 2 MByte */
	[2] = { .table = BITS(6, 3), .page = BITS(20, 12) },
	/* Format of an EPT Page-Table Entry */
	[1] = { .page = 0 },
};

static const char *const rule_names[EPT_RULE_COUNT] = {
	[EPT_RULE_NONE] = "none",
	[EPT_RULE_WRITE_WITHOUT_READ] = "write without read",
	[EPT_RULE_EXECUTE_WITHOUT_READ] = "execute without read",
	[EPT_RULE_USER_EXECUTE_WITHOUT_READ] = "user execute without read",
	[EPT_RULE_PAGE_SIZE] = "page size that the CPU does not have",
	[EPT_RULE_RESERVED_BIT] = "reserved bit",
	[EPT_RULE_BEYOND_MAXPHYADDR] = "address beyond MAXPHYADDR",
	[EPT_RULE_MEMORY_TYPE] = "reserved memory type",
};

const char *ept_rule_name(enum ept_check_rule rule)
{
	return (u32)rule < EPT_RULE_COUNT ? rule_names[rule] : "unknown";
}

static bool entry_is_present(const struct ept_check_cpu *cpu, u64 entry)
{
	return (entry & BITS(2, 0)) || (cpu->user_execute && (entry & BITS(10, 10)));
}

static bool entry_maps_page(u32 level, u64 entry)
{
	return level == 1 || (level <= 3 && (entry & BITS(7, 7)));
}

enum ept_check_rule ept_check_entry(const struct ept_check_cpu *cpu, u32 level, u64 entry)
{
	bool page = entry_maps_page(level, entry);
	bool read = entry & BITS(0, 0);
	u64 type = (entry & BITS(5, 3)) >> 3;

	if (!entry_is_present(cpu, entry))
		return EPT_RULE_NONE;
	if (!read && (entry & BITS(1, 1)))
		return EPT_RULE_WRITE_WITHOUT_READ;
	if (!read && !cpu->execute_only) {
		if (entry & BITS(2, 2))
			return EPT_RULE_EXECUTE_WITHOUT_READ;
		return EPT_RULE_USER_EXECUTE_WITHOUT_READ;
	}
	if (page && ((level == 3 && !cpu->page_1g) || (level == 2 && !cpu->page_2m)))
		return EPT_RULE_PAGE_SIZE;
	if (entry & (page ? reserved[level].page : reserved[level].table))
		return EPT_RULE_RESERVED_BIT;
	if (cpu->maxphyaddr < 52 && (entry & BITS(51, cpu->maxphyaddr)))
		return EPT_RULE_BEYOND_MAXPHYADDR;
	if (page && (type == 2 || type == 3 || type == 7))
		return EPT_RULE_MEMORY_TYPE;
	return EPT_RULE_NONE;
}

/* The walk's place at each level: the table, and the next entry to look at. */
struct ept_check_place {
	const u64 *table;
	u32 next;
};

static hypr_gpa_t place_gpa(const struct ept_check_place *places, u32 level, u32 levels)
{
	u64 gpa = 0;

	for (; level <= levels; level++)
		gpa += (u64)(places[level].next - 1) << (12 + 9 * (level - 1));
	return hypr_gpa(gpa);
}

enum ept_check_rule ept_check_tables(const struct ept_check_cpu *cpu, hypr_hpa_t root,
				     struct ept_check_result *result)
{
	struct ept_check_place places[MOST_LEVELS + 1] = { 0 };
	u32 level = cpu->levels;

	memset(result, 0, sizeof(*result));
	places[level].table = (const u64 *)plat_hpa_to_virt(root);
	result->tables = 1;
	while (level <= cpu->levels) {
		struct ept_check_place *place = &places[level];
		u64 entry;

		if (place->next == 512) {
			level++;
			continue;
		}
		entry = __atomic_load_n(&place->table[place->next++], __ATOMIC_RELAXED);
		result->rule = ept_check_entry(cpu, level, entry);
		if (result->rule) {
			result->level = level;
			result->gpa = place_gpa(places, level, cpu->levels);
			result->entry = entry;
			break;
		}
		if (!entry_is_present(cpu, entry))
			continue;
		if (entry_maps_page(level, entry)) {
			result->pages[level - 1]++;
			continue;
		}
		level--;
		places[level].table = (const u64 *)plat_hpa_to_virt(hypr_hpa(entry & BITS(51, 12)));
		places[level].next = 0;
		result->tables++;
	}
	return result->rule;
}
