/* SPDX-License-Identifier: GPL-2.0-only */
/* An EPT context under test: its table pages counted, and refused on demand. */
#ifndef TESTS_CORE_EPT_KIT_H
#define TESTS_CORE_EPT_KIT_H

#include "ept.h"
#include "ept_check.h"

/* A CPU that has everything, and HPAs wide enough for user-space table pages. */
extern const struct ept_capabilities ept_kit_all;

struct ept_kit {
	struct ept_context ept;
	struct ept_edit edit;
	/* Table pages that the context holds. */
	u64 live;
	/* Table pages that it can still get. */
	u64 fuse;
};

/* Make kit->ept; an unlimited fuse. */
void ept_kit_init(struct ept_kit *kit, u32 levels, const struct ept_capabilities *can);
/* Give all back; false if a table page is lost. */
bool ept_kit_fini(struct ept_kit *kit);

/* The same as a test's setup and teardown; the kit is *state. */
int ept_kit_start(void **state, u32 levels, const struct ept_capabilities *can);
int ept_kit_setup(void **state);		/* 4 levels, of a CPU that has everything */
int ept_kit_teardown(void **state);	/* fails unless all is clean and nothing lost */

struct ept_allocator ept_kit_allocator(struct ept_kit *kit);

/*
 * The checker finds nothing, and the statistics are what it counts; else print what
 * is wrong.
 */
bool ept_kit_clean(const struct ept_kit *kit);

/* Map, the mapping made on the way. */
enum ept_refusal ept_kit_map(struct ept_kit *kit, u64 gpa, u64 hpa, u64 size, u32 permissions);

/* Set the accessed bits on the way to @gpa, and the dirty bit, as a CPU does that touches it. */
void ept_kit_touch(struct ept_kit *kit, u64 gpa, bool write);

#endif /* TESTS_CORE_EPT_KIT_H */
