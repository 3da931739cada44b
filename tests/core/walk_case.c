// SPDX-License-Identifier: GPL-2.0-only
/* One walk by core/walk.c and by the oracle. */
#include "tests/core/walk_case.h"

#include <stdlib.h>

const struct walk_format *const walk_case_formats[ORACLE_KINDS] = {
	[ORACLE_32BIT] = &walk_x86_32bit,
	[ORACLE_PAE] = &walk_x86_pae,
	[ORACLE_4LEVEL] = &walk_x86_4level,
	[ORACLE_5LEVEL] = &walk_x86_5level,
	[ORACLE_EPT4] = &walk_ept_4level,
	[ORACLE_EPT5] = &walk_ept_5level,
};

static u8 *flat_at(struct flat_memory *flat, u64 address, u32 bytes)
{
	if ((bytes != 4 && bytes != 8) || address % bytes)
		flat->broken = true;
	if (flat->fold)
		address %= flat->bytes;
	if (address >= flat->bytes || flat->bytes - address < bytes)
		return NULL;
	return flat->base + address;
}

static bool flat_read(const struct walk_memory *memory, u64 address, u32 bytes, u64 *entry)
{
	struct flat_memory *flat = memory->data;
	u8 *at = flat_at(flat, address, bytes);

	flat->reads++;
	if (!at)
		return false;
	*entry = 0;
	memcpy(entry, at, bytes);
	return true;
}

static int flat_exchange(const struct walk_memory *memory, u64 address, u32 bytes,
			 u64 old_entry, u64 new_entry)
{
	struct flat_memory *flat = memory->data;
	u8 *at = flat_at(flat, address, bytes);

	flat->exchanges++;
	if (!at)
		return -ENXIO;
	if (flat->race)
		flat->race(flat, address);
	if (memcmp(at, &old_entry, bytes))
		return -EAGAIN;
	memcpy(at, &new_entry, bytes);
	return 0;
}

void flat_memory_init(struct flat_memory *flat, void *base, size_t bytes)
{
	memset(flat, 0, sizeof(*flat));
	flat->memory.read = flat_read;
	flat->memory.exchange = flat_exchange;
	flat->memory.data = flat;
	flat->base = base;
	flat->bytes = bytes;
}

static void fill_oracle(struct oracle *o, const struct walk_case *one, u8 *memory, size_t bytes)
{
	*o = (struct oracle){
		.kind = one->kind % ORACLE_KINDS,
		.wp = one->flags & WALK_WP,
		.pse = one->flags & WALK_PSE,
		.smep = one->flags & WALK_SMEP,
		.smap = one->flags & WALK_SMAP,
		.pke = one->flags & WALK_PKE,
		.pks = one->flags & WALK_PKS,
		.nxe = one->flags & WALK_NXE,
		.ac = one->flags & WALK_AC,
		.page_2m = one->flags & WALK_PAGE_2M,
		.page_1g = one->flags & WALK_PAGE_1G,
		.ept_ad = one->flags & WALK_EPT_AD,
		.mbec = one->flags & WALK_EPT_MBEC,
		.x_only = one->flags & WALK_EPT_X_ONLY,
		.maxphyaddr = one->maxphyaddr,
		.pkru = one->pkru,
		.pkrs = one->pkrs,
		.root = one->root,
		.memory = memory,
		.bytes = bytes,
		.fold = one->fold & 1,
	};
}

static const char *results_differ(int error, const struct walk_result *got,
				  const struct oracle_answer *want)
{
	static const enum walk_fault faults[] = {
		[ORACLE_PAGE] = WALK_FAULT_NONE,
		[ORACLE_PAGE_FAULT] = WALK_FAULT_PAGE,
		[ORACLE_NOT_CANONICAL] = WALK_FAULT_CANONICAL,
		[ORACLE_VIOLATION] = WALK_FAULT_EPT_VIOLATION,
		[ORACLE_MISCONFIG] = WALK_FAULT_EPT_MISCONFIG,
		[ORACLE_OUTSIDE] = WALK_FAULT_MEMORY,
	};
	int want_error = want->outcome == ORACLE_PAGE ? 0 :
			 want->outcome == ORACLE_INVALID ? -EINVAL : -EFAULT;

	if (error != want_error)
		return "return value";
	if (want->outcome == ORACLE_INVALID)
		return NULL;
	if (got->fault != faults[want->outcome])
		return "kind of fault";
	if (want->outcome == ORACLE_PAGE_FAULT)
		return got->error_code == want->code ? NULL : "page-fault error code";
	if (want->outcome == ORACLE_VIOLATION)
		return got->qualification == want->qualification ? NULL : "exit qualification";
	if (want->outcome != ORACLE_PAGE)
		return NULL;
	if (got->address != want->address || got->page_bytes != want->page_bytes)
		return "physical address";
	if (got->level != want->level || got->key != want->key)
		return "level or key";
	if (got->pat + got->memory_type != (int)want->memory_type)
		return "memory type";
	if (!!(got->rights & WALK_MAY_WRITE) != want->may_write ||
	    !!(got->rights & WALK_MAY_FETCH) != want->may_fetch ||
	    !!(got->rights & WALK_USER_PAGE) != want->user_page)
		return "rights";
	return NULL;
}

/* Each step must be what the memory holds now. */
static bool steps_hold(struct flat_memory *flat, const struct walk *walk,
		       const struct walk_result *result)
{
	for (u32 level = result->top; level >= result->level; level--) {
		const struct walk_step *step = &result->step[level - 1];
		u32 bytes = walk->format->entry_bytes;
		u8 *at = flat_at(flat, step->address, bytes);
		u64 entry = 0;

		if (!at)
			return false;
		memcpy(&entry, at, bytes);
		/* A recursive table has one entry at two levels: the lower adds flags. */
		if ((entry & step->entry) != step->entry)
			return false;
	}
	return true;
}

/*
 * A PDPTE that is its own PDE and PTE: the accessed flag of the PDE is a reserved bit of
 * the PDPTE, so that a second walk differs from the first.  A processor keeps the PDPTE.
 */
static bool is_own_pdpte(const struct flat_memory *flat, const struct walk *walk,
			 const struct walk_result *result)
{
	u64 fold = flat->fold ? flat->bytes - 1 : ~0ull;

	return walk->format == &walk_x86_pae && result->level == 1 &&
	       !((result->step[0].address ^ result->step[1].address) & fold) &&
	       !((result->step[1].address ^ result->step[2].address) & fold);
}

const char *walk_case_differs(const struct walk_case *one, const u8 *memory, size_t bytes,
			      enum oracle_outcome *outcome)
{
	u8 *ours = malloc(bytes), *theirs = malloc(bytes);
	struct flat_memory flat;
	struct walk walk = {
		.format = walk_case_formats[one->kind % ORACLE_KINDS],
		.mode = { one->flags, one->maxphyaddr, one->pkru, one->pkrs },
		.memory = &flat.memory,
		.root = one->root,
	};
	struct oracle_access access = {
		.write = one->access & WALK_WRITE,
		.fetch = one->access & WALK_FETCH,
		.user = one->access & WALK_USER,
		.implicit = one->access & WALK_IMPLICIT,
		.table = one->access & WALK_TABLE,
		.linear = one->access & WALK_LINEAR,
	};
	struct oracle_answer answer;
	struct walk_result result;
	const char *difference = "no memory for the case";
	struct oracle oracle;
	int error;

	if (!ours || !theirs)
		goto free_copies;
	memcpy(ours, memory, bytes);
	memcpy(theirs, memory, bytes);
	flat_memory_init(&flat, ours, bytes);
	flat.fold = one->fold & 1;
	fill_oracle(&oracle, one, theirs, bytes);

	error = walk_peek(&walk, one->address, one->access, &result);
	oracle_translate(&oracle, one->address, &access, &answer);
	*outcome = answer.outcome;
	difference = results_differ(error, &result, &answer);
	if (difference)
		goto free_copies;
	difference = "a peek writes, or reads an entry twice";
	if (memcmp(ours, memory, bytes) || flat.reads > walk.format->levels)
		goto free_copies;
	difference = NULL;
	if (!error && is_own_pdpte(&flat, &walk, &result))
		goto free_copies;

	error = walk_translate(&walk, one->address, one->access, &result);
	difference = "accesses to memory";
	if (flat.broken || (error && flat.exchanges))
		goto free_copies;
	difference = results_differ(error, &result, &answer);
	if (!difference && memcmp(ours, theirs, bytes))
		difference = "accessed and dirty flags";
	if (!difference && !error && !steps_hold(&flat, &walk, &result))
		difference = "steps";
free_copies:
	free(ours);
	free(theirs);
	return difference;
}
