/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A second page walker, bit by bit and without a table, to judge core/walk.c.  It
 * shares no code and no constant with core/.
 */
#ifndef TESTS_CORE_WALK_ORACLE_H
#define TESTS_CORE_WALK_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum oracle_kind {
	ORACLE_32BIT,
	ORACLE_PAE,
	ORACLE_4LEVEL,
	ORACLE_5LEVEL,
	ORACLE_EPT4,
	ORACLE_EPT5,
	ORACLE_KINDS,
};

struct oracle {
	enum oracle_kind kind;
	bool wp, pse, smep, smap, pke, pks, nxe, ac;
	bool page_2m, page_1g, ept_ad, mbec, x_only;
	unsigned int maxphyaddr;
	uint32_t pkru, pkrs;
	uint64_t root;
	uint8_t *memory;	/* physical [0, bytes) */
	size_t bytes;
	bool fold;		/* addresses wrap at bytes, a power of two */
};

struct oracle_access {
	bool write, fetch, user, implicit, table, linear;
};

enum oracle_outcome {
	ORACLE_PAGE,
	ORACLE_PAGE_FAULT,
	ORACLE_NOT_CANONICAL,
	ORACLE_VIOLATION,
	ORACLE_MISCONFIG,
	ORACLE_OUTSIDE,
	ORACLE_INVALID,
};

struct oracle_answer {
	enum oracle_outcome outcome;
	uint64_t address;
	uint64_t page_bytes;
	unsigned int level;
	unsigned int memory_type;	/* x86: index into the PAT */
	unsigned int key;
	bool may_write, may_fetch, user_page;
	uint32_t code;			/* #PF error code */
	uint64_t qualification;
};

/* Translates, and sets accessed and dirty flags in the memory. */
void oracle_translate(const struct oracle *oracle, uint64_t address,
		      const struct oracle_access *access, struct oracle_answer *answer);

#endif /* TESTS_CORE_WALK_ORACLE_H */
