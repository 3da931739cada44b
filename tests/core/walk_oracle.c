// SPDX-License-Identifier: GPL-2.0-only
/* The second page walker.  Slow, flat, one bit at a time. */
#include "tests/core/walk_oracle.h"

#include <string.h>

struct path {
	uint64_t at[6], entry[6];	/* by level, 1 is the last */
	unsigned int from, to;		/* levels read: from, from - 1, ... to */
};

static bool bit(uint64_t value, unsigned int number)
{
	return (value >> number) & 1;
}

static uint64_t field(uint64_t value, unsigned int high, unsigned int low)
{
	uint64_t result = 0;

	for (unsigned int i = high + 1; i-- > low;)
		result = result * 2 + bit(value, i);
	return result;
}

static bool is_ept(const struct oracle *o)
{
	return o->kind == ORACLE_EPT4 || o->kind == ORACLE_EPT5;
}

static bool is_long(const struct oracle *o)
{
	return o->kind == ORACLE_4LEVEL || o->kind == ORACLE_5LEVEL;
}

static unsigned int entry_size(const struct oracle *o)
{
	return o->kind == ORACLE_32BIT ? 4 : 8;
}

static unsigned int depth(const struct oracle *o)
{
	switch (o->kind) {
	case ORACLE_32BIT:
		return 2;
	case ORACLE_PAE:
		return 3;
	case ORACLE_4LEVEL:
	case ORACLE_EPT4:
		return 4;
	default:
		return 5;
	}
}

static uint64_t index_at(const struct oracle *o, uint64_t address, unsigned int level)
{
	if (o->kind == ORACLE_32BIT)
		return level == 2 ? field(address, 31, 22) : field(address, 21, 12);
	switch (level) {
	case 1:
		return field(address, 20, 12);
	case 2:
		return field(address, 29, 21);
	case 3:
		return o->kind == ORACLE_PAE ? field(address, 31, 30) : field(address, 38, 30);
	case 4:
		return field(address, 47, 39);
	default:
		return field(address, 56, 48);
	}
}

static uint8_t *locate(const struct oracle *o, uint64_t address)
{
	if (o->fold)
		address %= o->bytes;
	if (address >= o->bytes || o->bytes - address < entry_size(o))
		return NULL;
	return o->memory + address;
}

static bool is_present(const struct oracle *o, uint64_t entry)
{
	if (!is_ept(o))
		return bit(entry, 0);
	return bit(entry, 0) || bit(entry, 1) || bit(entry, 2) || (o->mbec && bit(entry, 10));
}

/* Whether an entry with bit 7 at this level is a page; *bad if bit 7 is reserved. */
static bool bit7_is_page(const struct oracle *o, unsigned int level, bool *bad)
{
	*bad = false;
	if (o->kind == ORACLE_32BIT)
		return o->pse;
	if (o->kind == ORACLE_PAE && level == 3) {
		*bad = true;
		return false;
	}
	if (level == 2 && (!is_ept(o) || o->page_2m))
		return true;
	if (level == 3 && o->page_1g)
		return true;
	*bad = true;
	return false;
}

/* Whether bit @n of an entry must be 0.  Bit 7 is judged elsewhere, but for roots. */
static bool must_be_zero(const struct oracle *o, unsigned int level, bool page, unsigned int n)
{
	bool large = page && level > 1;

	if (o->kind == ORACLE_32BIT) {
		if (!large || n < 13 || n > 21)
			return false;
		return n == 21 || n - 13 + 32 >= o->maxphyaddr;
	}
	if (o->kind == ORACLE_PAE && level == 3)
		return n == 1 || n == 2 || (n >= 5 && n <= 8) || n >= o->maxphyaddr;
	if (n == 63)
		return !is_ept(o) && !o->nxe;
	if (n >= 52)
		return o->kind == ORACLE_PAE;
	if (n >= o->maxphyaddr)
		return true;
	if (large) {
		if (level == 2 && n < 21)
			return n > 12 || (is_ept(o) && n == 12);
		if (level == 3 && n < 30)
			return n > 12 || (is_ept(o) && n == 12);
	}
	if (is_ept(o) && !page)
		return n >= 3 && n <= 6;
	return false;
}

static bool is_bad(const struct oracle *o, unsigned int level, bool page, uint64_t entry)
{
	for (unsigned int n = 0; n < 64; n++)
		if (bit(entry, n) && must_be_zero(o, level, page, n))
			return true;
	if (!is_ept(o))
		return false;
	if (bit(entry, 1) && !bit(entry, 0))
		return true;
	if (!o->x_only && !bit(entry, 0) && (bit(entry, 2) || (o->mbec && bit(entry, 10))))
		return true;
	if (page)
		switch (field(entry, 5, 3)) {
		case 2:
		case 3:
		case 7:
			return true;
		}
	return false;
}

/* The AND of one bit over the entries that have rights. */
static bool all(const struct oracle *o, const struct path *path, unsigned int n, bool value)
{
	for (unsigned int level = path->to; level <= path->from; level++) {
		if (o->kind == ORACLE_PAE && level == 3)
			continue;
		if (bit(path->entry[level], n) != value)
			return false;
	}
	return true;
}

static void describe_fault(const struct oracle *o, const struct oracle_access *a, bool present,
			   bool bad, bool key, struct oracle_answer *answer)
{
	bool nx_on = o->kind != ORACLE_32BIT && o->nxe;

	answer->outcome = ORACLE_PAGE_FAULT;
	answer->code = (present ? 1 : 0) + (a->write ? 2 : 0) + (a->user ? 4 : 0) +
		       (bad ? 8 : 0) + (a->fetch && (nx_on || o->smep) ? 16 : 0) +
		       (key ? 32 : 0);
}

static void describe_violation(const struct oracle *o, const struct oracle_access *a,
			       const struct path *path, bool nothing,
			       struct oracle_answer *answer)
{
	bool as_write = a->write || (a->table && o->ept_ad);
	bool as_read = a->table || (!a->write && !a->fetch);
	uint64_t q = 0;

	q += as_read ? 1 : 0;
	q += as_write ? 2 : 0;
	q += a->fetch ? 4 : 0;
	if (!nothing) {
		q += all(o, path, 0, true) ? 8 : 0;
		q += all(o, path, 1, true) ? 16 : 0;
		q += all(o, path, 2, true) ? 32 : 0;
		q += o->mbec && all(o, path, 10, true) ? 64 : 0;
	}
	q += a->linear ? 128 : 0;
	q += a->linear && !a->table ? 256 : 0;
	answer->outcome = ORACLE_VIOLATION;
	answer->qualification = q;
}

static void judge_ept(const struct oracle *o, const struct oracle_access *a,
		      const struct path *path, struct oracle_answer *answer)
{
	bool r = all(o, path, 0, true), w = all(o, path, 1, true);
	bool x = all(o, path, 2, true), xu = o->mbec ? all(o, path, 10, true) : x;
	bool good;

	if (a->fetch)
		good = a->user ? xu : x;
	else if (a->write)
		good = w;
	else
		good = r;
	if (a->table)
		good = good && r && (!o->ept_ad || w);
	answer->may_write = w;
	answer->may_fetch = x;
	if (!good)
		describe_violation(o, a, path, false, answer);
}

static bool key_refuses(const struct oracle *o, const struct oracle_access *a,
			const struct oracle_answer *answer)
{
	uint32_t rights = answer->user_page ? o->pkru : o->pkrs;
	bool ad = bit(rights, 2 * answer->key), wd = bit(rights, 2 * answer->key + 1);

	if (!is_long(o) || a->fetch)
		return false;
	if (answer->user_page)
		return o->pke && (ad || (wd && a->write && (a->user || o->wp)));
	return o->pks && (ad || (wd && a->write && o->wp));
}

static bool x86_allows(const struct oracle *o, const struct oracle_access *a,
		       const struct oracle_answer *answer)
{
	bool smap_stops = o->smap && (a->implicit || !o->ac);

	if (a->user) {
		if (!answer->user_page)
			return false;
		if (a->fetch)
			return answer->may_fetch;
		return a->write ? answer->may_write : true;
	}
	if (a->fetch) {
		if (answer->user_page && o->smep)
			return false;
		return answer->may_fetch;
	}
	if (answer->user_page && smap_stops)
		return false;
	return a->write && o->wp ? answer->may_write : true;
}

static void judge_x86(const struct oracle *o, const struct oracle_access *a,
		      const struct path *path, struct oracle_answer *answer)
{
	bool key;

	answer->may_write = all(o, path, 1, true);
	answer->user_page = all(o, path, 2, true);
	answer->may_fetch = o->kind == ORACLE_32BIT || all(o, path, 63, false);
	key = key_refuses(o, a, answer);
	if (key || !x86_allows(o, a, answer))
		describe_fault(o, a, true, false, key, answer);
}

static void find_page(const struct oracle *o, uint64_t address, const struct path *path,
		      struct oracle_answer *answer)
{
	uint64_t leaf = path->entry[path->to];
	bool large = path->to > 1;
	uint64_t size = 4096;

	if (o->kind == ORACLE_32BIT && large)
		size = 4 << 20;
	else if (path->to == 2)
		size = 2 << 20;
	else if (path->to == 3)
		size = 1 << 30;

	answer->level = path->to;
	answer->page_bytes = size;
	answer->address = field(leaf, o->kind == ORACLE_32BIT ? 31 : 51, 12) * 4096;
	answer->address = answer->address / size * size + address % size;
	if (o->kind == ORACLE_32BIT && large)
		answer->address += field(leaf, 20, 13) << 32;
	if (is_ept(o)) {
		answer->memory_type = field(leaf, 5, 3);
		return;
	}
	answer->memory_type = bit(leaf, 3) + 2 * bit(leaf, 4) + 4 * bit(leaf, large ? 12 : 7);
	if (is_long(o))
		answer->key = field(leaf, 62, 59);
}

static void mark(const struct oracle *o, const struct oracle_access *a, const struct path *path)
{
	unsigned int accessed = is_ept(o) ? 8 : 5, dirty = is_ept(o) ? 9 : 6;
	bool writes = a->write || (is_ept(o) && a->table);

	if (is_ept(o) && !o->ept_ad)
		return;
	for (unsigned int level = path->from; level >= path->to; level--) {
		uint8_t *at = locate(o, path->at[level]);

		if (o->kind == ORACLE_PAE && level == 3)
			continue;
		at[accessed / 8] |= 1 << accessed % 8;
		if (level == path->to && writes)
			at[dirty / 8] |= 1 << dirty % 8;
	}
}

static bool is_invalid(const struct oracle *o, uint64_t address, const struct oracle_access *a)
{
	bool narrow = o->kind == ORACLE_32BIT || o->kind == ORACLE_PAE;

	return (a->write && a->fetch) || (a->user && a->implicit) ||
	       o->maxphyaddr < 32 || o->maxphyaddr > 52 || (narrow && address > UINT32_MAX);
}

/* Whether all bits above the translated ones are what they must be. */
static bool is_in_width(const struct oracle *o, uint64_t address)
{
	unsigned int width = depth(o) == 5 ? 57 : 48;

	for (unsigned int n = width; n < 64; n++)
		if (bit(address, n) != (is_long(o) ? bit(address, width - 1) : 0))
			return false;
	return true;
}

void oracle_translate(const struct oracle *o, uint64_t address,
		      const struct oracle_access *a, struct oracle_answer *answer)
{
	struct path path = { .from = depth(o), .to = depth(o) };
	uint64_t table = o->kind == ORACLE_32BIT ? field(o->root, 31, 12) * 4096 :
			 o->kind == ORACLE_PAE ? field(o->root, 31, 5) * 32 :
			 field(o->root, 51, 12) * 4096;
	bool page = false;

	memset(answer, 0, sizeof(*answer));
	if (is_invalid(o, address, a)) {
		answer->outcome = ORACLE_INVALID;
		return;
	}
	if (depth(o) >= 4 && !is_in_width(o, address)) {
		if (is_ept(o))
			describe_violation(o, a, &path, true, answer);
		else
			answer->outcome = ORACLE_NOT_CANONICAL;
		return;
	}
	while (!page) {
		unsigned int level = path.to;
		uint64_t at = table + index_at(o, address, level) * entry_size(o);
		uint8_t *bytes = locate(o, at);
		bool bad = false;

		if (!bytes) {
			answer->outcome = ORACLE_OUTSIDE;
			return;
		}
		path.at[level] = at;
		memcpy(&path.entry[level], bytes, entry_size(o));
		if (!is_present(o, path.entry[level])) {
			if (is_ept(o))
				describe_violation(o, a, &path, true, answer);
			else
				describe_fault(o, a, false, false, false, answer);
			return;
		}
		page = level == 1;
		if (level > 1 && bit(path.entry[level], 7))
			page = bit7_is_page(o, level, &bad);
		if (bad || is_bad(o, level, page, path.entry[level])) {
			if (is_ept(o))
				answer->outcome = ORACLE_MISCONFIG;
			else
				describe_fault(o, a, true, true, false, answer);
			return;
		}
		table = field(path.entry[level], o->kind == ORACLE_32BIT ? 31 : 51, 12) * 4096;
		if (!page)
			path.to--;
	}
	find_page(o, address, &path, answer);
	if (is_ept(o))
		judge_ept(o, a, &path, answer);
	else
		judge_x86(o, a, &path, answer);
	if (answer->outcome == ORACLE_PAGE)
		mark(o, a, &path);
}
