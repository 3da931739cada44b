/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Random steps of a guest on shadow tables, each access checked against core/walk.c on
 * the guest's own tables.
 *
 * What the architecture lets the processor remember is modelled: each edit of an entry
 * leaves the old entry valid for a GVA until that GVA is invalidated.  An access is
 * right if its result is the one by the tables as they are, or if it succeeds as some
 * old entries allow.  Accessed and dirty flags must be those that the walk sets.
 */
#ifndef TESTS_CORE_SHADOW_MACHINE_H
#define TESTS_CORE_SHADOW_MACHINE_H

#include "tests/core/shadow_guest.h"

struct machine;

/* @draw(@source) is the only source of decisions; @levels: 4 or 5. */
struct machine *machine_create(u32 max_pages, u32 levels, u64 (*draw)(void *source),
			       void *source);
void machine_destroy(struct machine *machine);

/* One step; aborts with a message if the shadow is wrong. */
void machine_step(struct machine *machine);

struct machine_counts {
	u64 steps;
	u64 accesses;
	u64 reached;		/* accesses that went through */
	u64 stale;		/* of these, by old entries */
	u64 edits;
	u64 most_work;		/* entries that one step looked at */
	struct shadow_stats shadow;
};

void machine_counts(const struct machine *machine, struct machine_counts *counts);

#endif /* TESTS_CORE_SHADOW_MACHINE_H */
