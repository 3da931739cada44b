// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * walk_translate(): descend by the format's level descriptors, judge the access, then
 * set accessed and dirty flags.
 *
 * The order is the processor's: an entry that is not present or has a reserved bit
 * ends the walk where it is; the rights of all levels together are judged at the leaf
 * ("Access Rights", "Prioritization of EPT Misconfigurations and EPT Violations").
 */
#include "walk.h"

#define PAGE_FLAG	BIT_ULL(7)

/* Walks that start over because an entry changed, before the caller hears -EAGAIN. */
#define WALK_TRIES	8

enum step_kind {
	STEP_TABLE,
	STEP_PAGE,
	STEP_ABSENT,
	STEP_RESERVED,
};

/* Bits [low, top), none if low >= top. */
static u64 bits_from(u32 low, u32 top)
{
	if (low >= top)
		return 0;
	return (top == 64 ? ~0ull : BIT_ULL(top) - 1) & ~(BIT_ULL(low) - 1);
}

static u64 present_bits(const struct walk *walk)
{
	u64 present = walk->format->present;

	if (walk->format->ept && (walk->mode.flags & WALK_EPT_MBEC))
		present |= BIT_ULL(10);
	return present;
}

/*
 * A 4 MiB page of 32-bit paging has address bits 39:32 in bits 20:13; those from
 * MAXPHYADDR on are reserved ("32-Bit Paging").
 */
static u64 pse36_reserved(u32 maxphyaddr)
{
	return bits_from(maxphyaddr < 40 ? maxphyaddr - 19 : 21, 21);
}

static u64 reserved_bits(const struct walk *walk, const struct walk_level *level, bool page)
{
	const struct walk_format *format = walk->format;
	u64 reserved = page ? level->page_reserved : level->table_reserved;

	reserved |= bits_from(walk->mode.maxphyaddr, level->reserved_top);
	if (format->no_execute && !level->no_rights && !(walk->mode.flags & WALK_NXE))
		reserved |= format->no_execute;
	if (format->entry_bytes == 4 && page && level->shift > CORE_PAGE_SHIFT)
		reserved |= pse36_reserved(walk->mode.maxphyaddr);
	return reserved;
}

/* "EPT Misconfigurations", but reserved bits. */
static bool ept_misconfigured(u32 flags, u64 entry, bool page)
{
	u64 execute = BIT_ULL(2) | (flags & WALK_EPT_MBEC ? BIT_ULL(10) : 0);
	u32 type = (entry >> 3) & 7;

	if (!(entry & BIT_ULL(0))) {
		if (entry & BIT_ULL(1))
			return true;
		if ((entry & execute) && !(flags & WALK_EPT_X_ONLY))
			return true;
	}
	return page && (type == 2 || type == 3 || type == 7);
}

/* What @entry of level @number is.  Judges one copy: guest memory may change. */
static enum step_kind classify(const struct walk *walk, u32 number, u64 entry)
{
	const struct walk_level *level = &walk->format->level[number - 1];
	u32 flags = walk->mode.flags;
	bool page = number == 1;

	if (!(entry & present_bits(walk)))
		return STEP_ABSENT;
	if (level->large && (entry & PAGE_FLAG)) {
		page = (flags & level->large_needs) == level->large_needs;
		if (!page && !level->large_or_ignored)
			return STEP_RESERVED;
	}
	if (entry & reserved_bits(walk, level, page))
		return STEP_RESERVED;
	if (walk->format->ept && ept_misconfigured(flags, entry, page))
		return STEP_RESERVED;
	return page ? STEP_PAGE : STEP_TABLE;
}

static u32 entry_rights(const struct walk *walk, const struct walk_level *level, u64 entry)
{
	u32 rights = WALK_MAY_READ;

	if (walk->format->ept) {
		rights = entry & (WALK_MAY_READ | WALK_MAY_WRITE | WALK_MAY_FETCH);
		if (entry & (walk->mode.flags & WALK_EPT_MBEC ? BIT_ULL(10) : BIT_ULL(2)))
			rights |= WALK_MAY_FETCH_USER;
		return rights;
	}
	if (level->no_rights || (entry & BIT_ULL(1)))
		rights |= WALK_MAY_WRITE;
	if (level->no_rights || (entry & BIT_ULL(2)))
		rights |= WALK_USER_PAGE;
	if (level->no_rights || !(entry & walk->format->no_execute))
		rights |= WALK_MAY_FETCH | WALK_MAY_FETCH_USER;
	return rights;
}

/*
 * "Protection Keys": only data accesses, only with 4 or 5 levels.  PKRU governs user
 * pages, whoever accesses; PKRS governs supervisor pages.
 */
static bool key_denies(const struct walk *walk, const struct walk_result *result, u32 access)
{
	const struct walk_mode *mode = &walk->mode;
	bool user_page = result->rights & WALK_USER_PAGE;
	bool user = access & WALK_USER;
	u32 bits;

	if (!walk->format->keys || (access & WALK_FETCH))
		return false;
	if (!(mode->flags & (user_page ? WALK_PKE : WALK_PKS)))
		return false;
	bits = (user_page ? mode->pkru : mode->pkrs) >> (2 * result->key);
	if (bits & 1)
		return true;
	return (bits & 2) && (access & WALK_WRITE) &&
	       ((user && user_page) || (mode->flags & WALK_WP));
}

/* "Determination of Access Rights", but protection keys. */
static bool rights_deny(const struct walk *walk, u32 rights, u32 access)
{
	u32 flags = walk->mode.flags;
	bool user_page = rights & WALK_USER_PAGE;

	if ((access & WALK_FETCH) && !(rights & WALK_MAY_FETCH))
		return true;
	if (access & WALK_USER)
		return !user_page || ((access & WALK_WRITE) && !(rights & WALK_MAY_WRITE));
	if ((access & WALK_WRITE) && (flags & WALK_WP) && !(rights & WALK_MAY_WRITE))
		return true;
	if (!user_page)
		return false;
	if (access & WALK_FETCH)
		return flags & WALK_SMEP;
	return (flags & WALK_SMAP) && ((access & WALK_IMPLICIT) || !(flags & WALK_AC));
}

/* "Page-Fault Exceptions": the part of the error code that describes the access. */
static u32 access_error_code(const struct walk *walk, u32 access)
{
	bool reports_fetch = (walk->mode.flags & WALK_SMEP) ||
			     (walk->format->no_execute && (walk->mode.flags & WALK_NXE));
	u32 code = 0;

	if (access & WALK_WRITE)
		code |= WALK_PF_WRITE;
	if (access & WALK_USER)
		code |= WALK_PF_USER;
	if ((access & WALK_FETCH) && reports_fetch)
		code |= WALK_PF_FETCH;
	return code;
}

/* With A/D flags of EPT an access to a guest's paging structure counts as a write. */
static bool ept_writes(const struct walk *walk, u32 access)
{
	return (access & WALK_WRITE) ||
	       ((access & WALK_TABLE) && (walk->mode.flags & WALK_EPT_AD));
}

static bool ept_reads(u32 access)
{
	return (access & WALK_TABLE) || !(access & (WALK_WRITE | WALK_FETCH));
}

static bool ept_denies(const struct walk *walk, u32 rights, u32 access)
{
	u32 fetch = access & WALK_USER ? WALK_MAY_FETCH_USER : WALK_MAY_FETCH;

	if (ept_reads(access) && !(rights & WALK_MAY_READ))
		return true;
	if (ept_writes(walk, access) && !(rights & WALK_MAY_WRITE))
		return true;
	return (access & WALK_FETCH) && !(rights & fetch);
}

/* "Exit Qualification for EPT Violations" */
static u64 ept_qualification(const struct walk *walk, u32 rights, u32 access)
{
	u64 bits = 0;

	if (ept_reads(access))
		bits |= WALK_EQ_READ;
	if (ept_writes(walk, access))
		bits |= WALK_EQ_WRITE;
	if (access & WALK_FETCH)
		bits |= WALK_EQ_FETCH;
	if (rights & WALK_MAY_READ)
		bits |= WALK_EQ_READABLE;
	if (rights & WALK_MAY_WRITE)
		bits |= WALK_EQ_WRITABLE;
	if (rights & WALK_MAY_FETCH)
		bits |= WALK_EQ_FETCHABLE;
	if ((walk->mode.flags & WALK_EPT_MBEC) && (rights & WALK_MAY_FETCH_USER))
		bits |= WALK_EQ_FETCHABLE_USER;
	if (access & WALK_LINEAR) {
		bits |= WALK_EQ_LINEAR_VALID;
		if (!(access & WALK_TABLE))
			bits |= WALK_EQ_TRANSLATED;
	}
	return bits;
}

static int fault(struct walk_result *result, enum walk_fault kind)
{
	result->fault = kind;
	return -EFAULT;
}

static int page_fault(const struct walk *walk, u32 access, u32 code,
		      struct walk_result *result)
{
	result->error_code = code | access_error_code(walk, access);
	return fault(result, WALK_FAULT_PAGE);
}

static int ept_violation(const struct walk *walk, u32 access, struct walk_result *result)
{
	result->qualification = ept_qualification(walk, result->rights, access);
	return fault(result, WALK_FAULT_EPT_VIOLATION);
}

static int absent(const struct walk *walk, u32 access, struct walk_result *result)
{
	if (!walk->format->ept)
		return page_fault(walk, access, 0, result);
	result->rights = 0;
	return ept_violation(walk, access, result);
}

static int reserved(const struct walk *walk, u32 access, struct walk_result *result)
{
	if (!walk->format->ept)
		return page_fault(walk, access, WALK_PF_P | WALK_PF_RSVD, result);
	return fault(result, WALK_FAULT_EPT_MISCONFIG);
}

/* The leaf's page and attributes. */
static void describe_page(const struct walk *walk, u64 address, struct walk_result *result)
{
	const struct walk_format *format = walk->format;
	u32 shift = format->level[result->level - 1].shift;
	u64 entry = result->step[result->level - 1].entry;
	u64 offset = BIT_ULL(shift) - 1;
	u64 pat_flag = result->level == 1 ? BIT_ULL(7) : BIT_ULL(12);

	result->page_bytes = BIT_ULL(shift);
	result->address = (entry & format->address_mask & ~offset) | (address & offset);
	if (format->entry_bytes == 4 && result->level > 1)
		result->address |= ((entry >> 13) & 0xff) << 32;
	if (format->ept) {
		result->memory_type = (entry >> 3) & 7;
		result->ignore_pat = entry & BIT_ULL(6);
		return;
	}
	result->pat = ((entry >> 3) & 3) | (entry & pat_flag ? 4 : 0);
	result->global = entry & BIT_ULL(8);
	if (format->keys)
		result->key = (entry >> 59) & 15;
}

static int judge(const struct walk *walk, u32 access, struct walk_result *result)
{
	u32 code = WALK_PF_P;
	bool denied;

	if (walk->format->ept)
		return ept_denies(walk, result->rights, access) ?
		       ept_violation(walk, access, result) : 0;
	denied = rights_deny(walk, result->rights, access);
	if (key_denies(walk, result, access)) {
		code |= WALK_PF_PK;
		denied = true;
	}
	return denied ? page_fault(walk, access, code, result) : 0;
}

/* From the root to the leaf, then the verdict.  Each entry is read once. */
static int descend(const struct walk *walk, u64 address, u32 access,
		   struct walk_result *result)
{
	const struct walk_format *format = walk->format;
	u64 table = walk->root & format->root_mask;
	u32 number;

	memset(result, 0, sizeof(*result));
	result->top = format->levels;
	result->rights = WALK_MAY_READ | WALK_MAY_WRITE | WALK_MAY_FETCH |
			 WALK_MAY_FETCH_USER | (format->ept ? 0 : WALK_USER_PAGE);

	for (number = format->levels;; number--) {
		const struct walk_level *level = &format->level[number - 1];
		struct walk_step *step = &result->step[number - 1];
		u64 index = (address >> level->shift) & (BIT_ULL(level->bits) - 1);

		result->level = number;
		step->address = table + index * format->entry_bytes;
		if (!walk->memory->read(walk->memory, step->address, format->entry_bytes,
					&step->entry))
			return fault(result, WALK_FAULT_MEMORY);

		switch (classify(walk, number, step->entry)) {
		case STEP_ABSENT:
			return absent(walk, access, result);
		case STEP_RESERVED:
			return reserved(walk, access, result);
		case STEP_PAGE:
			result->rights &= entry_rights(walk, level, step->entry);
			describe_page(walk, address, result);
			return judge(walk, access, result);
		case STEP_TABLE:
			result->rights &= entry_rights(walk, level, step->entry);
			table = step->entry & format->address_mask;
			break;
		}
	}
}

/* "Accessed and Dirty Flags", "Accessed and Dirty Flags for EPT" */
static int set_flags(const struct walk *walk, u32 access, struct walk_result *result)
{
	const struct walk_format *format = walk->format;
	const struct walk_memory *memory = walk->memory;
	bool writes = access & WALK_WRITE;
	u32 number;

	if (format->ept) {
		if (!(walk->mode.flags & WALK_EPT_AD))
			return 0;
		writes = ept_writes(walk, access);
	}
	for (number = result->top; number >= result->level; number--) {
		struct walk_step *step = &result->step[number - 1];
		u64 want = format->accessed;
		int error;

		if (format->level[number - 1].no_rights)
			continue;
		if (number == result->level && writes)
			want |= format->dirty;
		if ((step->entry & want) == want)
			continue;
		error = memory->exchange ?
			memory->exchange(memory, step->address, format->entry_bytes,
					 step->entry, step->entry | want) : -ENXIO;
		if (error == -EAGAIN)
			return error;
		if (error) {
			result->level = number;
			return fault(result, WALK_FAULT_MEMORY);
		}
		step->entry |= want;
	}
	return 0;
}

static int check_arguments(const struct walk *walk, u64 address, u32 access)
{
	const struct walk_format *format = walk->format;

	if (walk->mode.maxphyaddr < 32 || walk->mode.maxphyaddr > 52)
		return -EINVAL;
	if ((access & WALK_WRITE) && (access & WALK_FETCH))
		return -EINVAL;
	if ((access & WALK_USER) && (access & WALK_IMPLICIT))
		return -EINVAL;
	if (!format->canonical && !format->ept && address >> format->address_bits)
		return -EINVAL;
	return 0;
}

/* The address bits above those that the table translates. */
static bool address_fits(const struct walk_format *format, u64 address)
{
	u32 unused = 64 - format->address_bits;

	if (format->canonical)
		return (u64)((s64)(address << unused) >> unused) == address;
	return !(address >> format->address_bits);
}

static int start(const struct walk *walk, u64 address, u32 access,
		 struct walk_result *result)
{
	if (address_fits(walk->format, address))
		return descend(walk, address, access, result);
	memset(result, 0, sizeof(*result));
	result->top = walk->format->levels;
	result->level = result->top;
	return walk->format->ept ? absent(walk, access, result) :
	       fault(result, WALK_FAULT_CANONICAL);
}

int walk_peek(const struct walk *walk, u64 address, u32 access, struct walk_result *result)
{
	int error = check_arguments(walk, address, access);

	return error ? error : start(walk, address, access, result);
}

int walk_translate(const struct walk *walk, u64 address, u32 access,
		   struct walk_result *result)
{
	int tries, error;

	for (tries = 0; tries < WALK_TRIES; tries++) {
		error = walk_peek(walk, address, access, result);
		if (error)
			return error;
		error = set_flags(walk, access, result);
		if (error != -EAGAIN)
			return error;
	}
	return -EAGAIN;
}
