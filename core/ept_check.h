/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * The rules that an EPT entry must keep, or the CPU reports an EPT misconfiguration:
 * Intel SDM volume 3C, "EPT Misconfigurations" and the "Format of an EPT ..." tables.
 *
 * The check shares no code and no constant with the mapper of ept.h, so that a wrong
 * bit in one is found by the other.  docs/spec/ept-rules.md lists the rules.
 */
#ifndef CORE_EPT_CHECK_H
#define CORE_EPT_CHECK_H

#include "plat.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct ept_check_cpu - the CPU that reads the tables
 * @levels: walk length, 4 or 5
 * @maxphyaddr: width of a host-physical address in bits
 * @page_2m: 2 MiB pages
 * @page_1g: 1 GiB pages
 * @execute_only: execute-only translations
 * @user_execute: mode-based execute control for EPT is on
 */
struct ept_check_cpu {
	u32 levels;
	u32 maxphyaddr;
	bool page_2m;
	bool page_1g;
	bool execute_only;
	bool user_execute;
};

enum ept_check_rule {
	EPT_RULE_NONE = 0,
	/* Bit 1 is set and bit 0 is clear. */
	EPT_RULE_WRITE_WITHOUT_READ,
	/* Bit 2 is set and bit 0 is clear, without execute-only translations. */
	EPT_RULE_EXECUTE_WITHOUT_READ,
	/* The same for bit 10, with mode-based execute control. */
	EPT_RULE_USER_EXECUTE_WITHOUT_READ,
	/* Bit 7 of a PDPTE or PDE, without pages of that size. */
	EPT_RULE_PAGE_SIZE,
	/* A bit that the entry's format reserves. */
	EPT_RULE_RESERVED_BIT,
	/* A bit in 51:MAXPHYADDR. */
	EPT_RULE_BEYOND_MAXPHYADDR,
	/* Bits 5:3 of an entry that maps a page are 2, 3 or 7. */
	EPT_RULE_MEMORY_TYPE,
	EPT_RULE_COUNT,
};

/**
 * struct ept_check_result - what a check found
 * @rule: the first broken rule, or EPT_RULE_NONE
 * @level: the entry's level, 1 for a page-table entry
 * @gpa: the first GPA that the entry covers
 * @entry: the entry
 * @tables: table pages read
 * @pages: pages mapped by entries of level 1, 2, 3
 */
struct ept_check_result {
	enum ept_check_rule rule;
	u32 level;
	hypr_gpa_t gpa;
	u64 entry;
	u64 tables;
	u64 pages[3];
};

/** ept_rule_name() - @rule as text for a person; "unknown" beyond the enum */
const char *ept_rule_name(enum ept_check_rule rule);

/**
 * ept_check_entry() - check one entry
 * @level: [1, 5]
 *
 * Return: the first broken rule; EPT_RULE_NONE too for an entry that is not present.
 */
enum ept_check_rule ept_check_entry(const struct ept_check_cpu *cpu, u32 level, u64 entry);

/**
 * ept_check_tables() - check a whole tree
 * @root: the root table page
 * @result: out; after a broken rule its counts are those up to the entry
 *
 * The caller holds off edits.  Table pages are read through plat_hpa_to_virt(): the
 * tree must be the caller's own, not a guest's.  The check stops at the first entry
 * that breaks a rule, so it follows no wrong address that a rule can catch.
 *
 * Return: result->rule.
 */
enum ept_check_rule ept_check_tables(const struct ept_check_cpu *cpu, hypr_hpa_t root,
				     struct ept_check_result *result);

#ifdef __cplusplus
}
#endif

#endif /* CORE_EPT_CHECK_H */
