// SPDX-License-Identifier: GPL-2.0-only
/* What an access of the machine may do: core/walk.c on the guest's own tables. */
#include "tests/core/shadow_oracle.h"

/* The oracle reads memory, or the record that m->choice names for this level. */
bool oracle_read(const struct walk_memory *memory, u64 address, u32 bytes, u64 *entry)
{
	struct machine *m = memory->data;
	u32 read = m->reads++, nr = 0;

	guest_check(read < MAX_LEVELS);
	if (!m->guest->memory.read(&m->guest->memory, address, bytes, entry))
		return false;
	m->is_table[address / CORE_PAGE_4K] = true;
	m->used[read] = NULL;
	for (u32 i = 0; i < m->nr_records; i++) {
		if (m->record[i].gpa != address)
			continue;
		m->pending = true;
		if (++nr == m->choice[read]) {
			*entry = m->record[i].old;
			m->used[read] = &m->record[i];
		}
	}
	m->choices[read] = nr;
	/* A table that is used at two levels: what the walk itself has set. */
	for (u32 i = 0; i < m->logged; i++)
		if (m->log[i].address == address)
			*entry = m->log[i].entry;
	return true;
}

int oracle_exchange(const struct walk_memory *memory, u64 address, u32 bytes, u64 old_entry,
		    u64 new_entry)
{
	struct machine *m = memory->data;

	(void)bytes;
	for (u32 i = 0; i < m->logged; i++) {
		if (m->log[i].address == address && m->log[i].entry != old_entry) {
			/* The walk starts over. */
			m->reads = 0;
			return -EAGAIN;
		}
	}
	if (m->guest->host[address / CORE_PAGE_4K] & HOST_READ_ONLY)
		return -ENXIO;
	m->log[m->logged].address = address;
	m->log[m->logged++].entry = new_entry;
	return 0;
}

struct walk oracle_walk(struct machine *m, const struct shadow_vcpu *vcpu)
{
	struct walk walk = { .memory = &m->memory, .root = vcpu->cr3 };

	walk_set_registers(&walk, vcpu->cr0, vcpu->cr4, vcpu->efer, m->guest->rflags,
			   WALK_PAGE_1G);
	walk.mode.maxphyaddr = 40;
	return walk;
}

/* By the tables as they are. */
struct guest_outcome oracle_now(struct machine *m, const struct shadow_vcpu *vcpu, u64 gva,
				u32 access)
{
	struct walk walk = oracle_walk(m, vcpu);
	struct guest_outcome outcome = { 0 };
	struct walk_result result;
	int err;

	memset(m->choice, 0, sizeof(m->choice));
	m->pending = false;
	m->reads = 0;
	m->logged = 0;
	err = walk_translate(&walk, gva, access, &result);
	guest_check(!err || err == -EFAULT);
	if (err) {
		outcome.result = MMU_REFLECT;
		outcome.error_code = result.error_code;
		if (result.fault == WALK_FAULT_MEMORY) {
			outcome.result = MMU_NO_TABLE;
			outcome.gpa = result.step[result.level - 1].address;
		}
		return outcome;
	}
	outcome.gpa = result.address;
	if (result.address >= GUEST_PAGES * CORE_PAGE_4K) {
		outcome.result = MMU_NO_MEMORY;
	} else {
		u32 host = m->guest->host[result.address / CORE_PAGE_4K];

		if ((host & HOST_MISSING) || ((host & HOST_READ_ONLY) && (access & WALK_WRITE)) ||
		    ((host & HOST_NO_EXECUTE) && (access & WALK_FETCH)))
			outcome.result = MMU_NO_MEMORY;
	}
	return outcome;
}

u32 oracle_page_number(const struct machine *m, u64 gva)
{
	u32 number = 0;

	for (u32 level = m->levels; level; level--) {
		u32 index = gva >> (12 + 9 * (level - 1)) & 511;

		number = number * INDEXES + (index == 511 ? 3 : index & 3);
	}
	return number;
}

/* May vCPU @nr still use the records of the last walk? */
static bool remembered(const struct machine *m, u32 nr, u64 gva, bool global)
{
	const struct shadow_vcpu *vcpu = &m->guest->vcpu[nr];
	const struct times *times = &m->times[nr];
	u16 pcid = shadow_pcid(vcpu);
	u64 since = times->all;
	u32 page = oracle_page_number(m, gva);

	for (u32 p = 0; p < PCIDS; p++)
		if ((global || p == pcid) && times->page[p][page] > since)
			since = times->page[p][page];
	if (!global && times->context[pcid] > since)
		since = times->context[pcid];
	for (u32 i = 0; i < m->reads; i++)
		if (m->used[i] && m->used[i]->time <= since)
			return false;
	return true;
}

/* Only an entry whose accessed flag is set is cached; for a write, the dirty flag too. */
static bool cacheable(const struct machine *m, const struct walk_result *result, u32 access)
{
	for (u32 i = 0; i < m->reads; i++)
		if (m->used[i] && !(m->used[i]->old & G_A))
			return false;
	return !(access & WALK_WRITE) || !m->used[m->reads - 1] ||
	       (result->step[result->level - 1].entry & G_D);
}

/* Do some old entries lead from @root to @gpa? */
static bool explained_by(struct machine *m, u32 nr, u64 root, u64 gva, u32 access, u64 gpa)
{
	const struct shadow_vcpu *vcpu = &m->guest->vcpu[nr];
	struct walk walk = oracle_walk(m, vcpu);
	bool other = root != (vcpu->cr3 & ~0xfffull);
	struct walk_result result;

	walk.root = root;
	memset(m->choice, 0, sizeof(m->choice));
	m->logged = 0;
	for (;;) {
		bool global;
		int at;

		m->reads = 0;
		if (!walk_peek(&walk, gva, access, &result) && result.address == gpa &&
		    cacheable(m, &result, access)) {
			global = result.global && (vcpu->cr4 & CR4_PGE);
			if ((global || !other) && remembered(m, nr, gva, global))
				return true;
		}
		for (at = (int)m->reads - 1; at >= 0 && m->choice[at] == m->choices[at]; at--)
			m->choice[at] = 0;
		if (at < 0)
			return false;
		m->choice[at]++;
	}
}

/*
 * A global translation by any root serves every one: a guest that gives it another
 * meaning in another address space gets either.
 */
bool oracle_explains(struct machine *m, u32 nr, u64 gva, u32 access, u64 gpa)
{
	for (u32 root = 0; root < ROOTS; root++)
		if (explained_by(m, nr, root * CORE_PAGE_4K, gva, access, gpa))
			return true;
	return false;
}
