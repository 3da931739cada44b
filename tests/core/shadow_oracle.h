/* SPDX-License-Identifier: GPL-2.0-only */
/* Inside of shadow_machine.h: the machine, and the oracle of its accesses. */
#ifndef TESTS_CORE_SHADOW_ORACLE_H
#define TESTS_CORE_SHADOW_ORACLE_H

#include "tests/core/shadow_machine.h"

#define TABLES		24u		/* guest pages 0 to 23: tables that change */
#define ROOTS		3u		/* the first of them */
#define PCIDS		4u
#define WINDOW_TABLES	100u		/* first page of the window's own tables */
#define WINDOW_SMALL	300u		/* entry of the root: pages of 4 KiB */
#define WINDOW_LARGE	301u		/* the same by pages of 2 MiB */
#define INDEXES		4u		/* entries that a table uses */
#define PAGES		1024u		/* INDEXES ^ 5: pages that have a GVA */
#define RECORDS		128u
#define RECORDS_OF_ENTRY 4u
#define HOT		4u
#define AUDIT		64u		/* steps between audits */
#define MAX_LEVELS	5u
/* What no step may exceed; see shadow_fault.c. */
#define WORK_MAX	50000u

/* An entry that was replaced. */
struct record {
	u64 gpa;
	u64 old;
	u64 time;
};

/* When a vCPU's TLB was told to forget. */
struct times {
	u64 all;
	u64 context[PCIDS];
	u64 page[PCIDS][PAGES];
	u64 root[PCIDS];		/* root of the PCID; ~0: none */
};

struct machine {
	struct guest *guest;
	u64 (*draw)(void *source);
	void *source;
	u32 levels;
	u64 now;
	struct record record[RECORDS];
	u32 nr_records;
	/*
	 * Pages that the oracle has read an entry of.  A leaf table that is used one level
	 * higher makes tables of data pages.  The walk before each access reads what the
	 * access may cache: a write to any other page leaves no old entry.  forget_all()
	 * keeps the flags: a shadow entry lives on, and its table may go out of sync.
	 */
	bool is_table[GUEST_PAGES];
	struct times times[GUEST_VCPUS];
	u64 hot[HOT];			/* GVAs that were reached */
	struct machine_counts counts;
	/* The oracle's walk. */
	struct walk_memory memory;
	u32 choice[MAX_LEVELS];		/* which record to read; 0: memory */
	u32 choices[MAX_LEVELS];
	const struct record *used[MAX_LEVELS];
	u32 reads;
	bool pending;			/* it met an entry that has a record */
	struct walk_step log[GUEST_LOG];
	u32 logged;
};

/* The oracle's callbacks, for m->memory. */
bool oracle_read(const struct walk_memory *memory, u64 address, u32 bytes, u64 *entry);
int oracle_exchange(const struct walk_memory *memory, u64 address, u32 bytes, u64 old_entry,
		    u64 new_entry);

/* How to walk the guest's tables for @vcpu. */
struct walk oracle_walk(struct machine *m, const struct shadow_vcpu *vcpu);

/* What an access does by the tables as they are; m->pending, m->log. */
struct guest_outcome oracle_now(struct machine *m, const struct shadow_vcpu *vcpu, u64 gva,
				u32 access);

/* May the processor of vCPU @nr remember that @gva is at @gpa? */
bool oracle_explains(struct machine *m, u32 nr, u64 gva, u32 access, u64 gpa);

/* Number of @gva's page among those that have one. */
u32 oracle_page_number(const struct machine *m, u64 gva);

#endif /* TESTS_CORE_SHADOW_ORACLE_H */
