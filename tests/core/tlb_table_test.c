// SPDX-License-Identifier: GPL-2.0-only
/*
 * tlb_decide() against an independent statement: tests/core/tlb_table_test.
 *
 * The statement enumerates the entries that a small CPU can hold.  For each set of
 * facts it marks those that are wrong and can be used, and for each flush those that
 * the SDM says it drops.  It knows no order among flushes and no reason.
 */
#include "tests/unit/unit.h"

#include "tests/core/tlb_broken.h"

/* ---- the entries of a small CPU --------------------------------------------- */

enum { VPIDS = 2, ROOTS = 3, ADDRESSES = 2 };
#define MAPPINGS	(VPIDS * ROOTS * ADDRESSES * 2)
#define ENTRIES		(MAPPINGS + ROOTS)

#define ROOT_HPA(root)	hypr_hpa(((root) + 1) * CORE_PAGE_4K)
#define ADDRESS(n)	hypr_gva(((n) + 1) * CORE_PAGE_4K)

/*
 * A linear or combined mapping of VPID 1 or 2, or a guest-physical mapping.  Without
 * root tags @root says where the entry came from, which the CPU does not know.
 */
struct entry {
	bool guest_physical;
	u16 vpid;
	u32 root;
	u32 address;
	bool global;
};

static struct entry entry_of(u32 n)
{
	struct entry entry = { 0 };

	if (n >= MAPPINGS) {
		entry.guest_physical = true;
		entry.root = n - MAPPINGS;
		return entry;
	}
	entry.global = n % 2;
	entry.address = n / 2 % ADDRESSES;
	entry.root = n / 2 / ADDRESSES % ROOTS;
	entry.vpid = (u16)(1 + n / 2 / ADDRESSES / ROOTS);
	return entry;
}

/* Entries of VPID 0 are none: no VM entry finds any. */
static bool exists(const struct entry *entry, const struct tlb_facts *facts)
{
	return facts->tag == TLB_TAG_ROOT || !entry->guest_physical;
}

/* May the entry be wrong, and be used by the vCPU, or with an edit of tables by any? */
static bool is_stale(const struct entry *entry, const struct tlb_facts *facts)
{
	bool by_root = facts->tag == TLB_TAG_ROOT;
	bool own = !entry->guest_physical && entry->vpid == facts->vpid;
	bool here = ROOT_HPA(entry->root).addr == facts->root.addr;
	bool usable = by_root || own;

	if (!facts->flushed) {
		if (facts->edit == TLB_EDIT_ALL)
			return true;
		if (facts->edit == TLB_EDIT_ROOT && usable &&
		    ROOT_HPA(entry->root).addr == facts->edited_root.addr)
			return true;
		if (facts->edit == TLB_EDIT_CONTEXT && own)
			return true;
		if (facts->edit == TLB_EDIT_NON_GLOBAL && own && !entry->global)
			return true;
		if (facts->edit == TLB_EDIT_ADDRESS && own &&
		    ADDRESS(entry->address).addr == facts->address.addr)
			return true;
	}
	if (facts->moved && usable)
		return true;
	if (facts->reused_root && usable && here)
		return true;
	if (facts->other_root && facts->last_root_only && by_root && here)
		return true;
	return facts->other_root && !by_root && own && !here;
}

/* SDM volume 3, "Operations That Invalidate Cached Mappings". */
static bool is_dropped(const struct entry *entry, const struct tlb_facts *facts,
		       const struct tlb_decision *flush)
{
	bool own = !entry->guest_physical && entry->vpid == flush->vpid;
	bool by_root = facts->tag == TLB_TAG_ROOT;

	switch (flush->flush) {
	case TLB_INVVPID_ADDRESS:
		return own && ADDRESS(entry->address).addr == flush->address.addr;
	case TLB_INVVPID_NON_GLOBAL:
		return own && !entry->global;
	case TLB_INVVPID_CONTEXT:
		return own;
	case TLB_INVVPID_ALL:
		return !entry->guest_physical;
	case TLB_INVEPT_ROOT:
		return by_root && ROOT_HPA(entry->root).addr == flush->root.addr;
	case TLB_INVEPT_ALL:
		return by_root;
	default:
		return false;
	}
}

static u32 dropped_by(const struct tlb_facts *facts, const struct tlb_decision *flush)
{
	u32 set = 0;

	for (u32 n = 0; n < ENTRIES; n++) {
		struct entry entry = entry_of(n);

		if (exists(&entry, facts) && is_dropped(&entry, facts, flush))
			set |= 1u << n;
	}
	return set;
}

static u32 stale_by(const struct tlb_facts *facts)
{
	u32 set = 0;

	for (u32 n = 0; n < ENTRIES; n++) {
		struct entry entry = entry_of(n);

		if (exists(&entry, facts) && is_stale(&entry, facts))
			set |= 1u << n;
	}
	return set;
}

static bool cpu_has(u64 can, enum tlb_flush flush)
{
	static const struct { u32 instruction, type; } bits[] = {
		[TLB_INVVPID_ADDRESS] = { 32, 40 },
		[TLB_INVVPID_NON_GLOBAL] = { 32, 43 },
		[TLB_INVVPID_CONTEXT] = { 32, 41 },
		[TLB_INVVPID_ALL] = { 32, 42 },
		[TLB_INVEPT_ROOT] = { 20, 25 },
		[TLB_INVEPT_ALL] = { 20, 26 },
	};

	return can >> bits[flush].instruction & can >> bits[flush].type & 1;
}

/* ---- the comparison --------------------------------------------------------- */

struct verdict {
	u64 asked;
	u64 stale;		/* an entry that is wrong stays */
	u64 unneeded;		/* a flush although nothing is wrong */
	u64 too_wide;		/* a narrower flush of this CPU would do */
	u64 not_there;		/* a flush that this CPU lacks */
	u64 given_up;		/* impossible, although a flush would do */
};

#define CANDIDATES	(TLB_INVVPID_ALL + ROOTS + 1)

/* Every flush there is, INVEPT of a single context once for each root. */
static struct tlb_decision candidate(const struct tlb_facts *facts, u32 n)
{
	struct tlb_decision flush = { .vpid = facts->vpid, .address = facts->address };

	if (n < TLB_INVVPID_ALL) {
		flush.flush = (enum tlb_flush)(n + 1);
	} else if (n < TLB_INVVPID_ALL + ROOTS) {
		flush.flush = TLB_INVEPT_ROOT;
		flush.root = ROOT_HPA(n - TLB_INVVPID_ALL);
	} else {
		flush.flush = TLB_INVEPT_ALL;
	}
	return flush;
}

static void judge(tlb_decide_t decide, const struct tlb_facts *facts, u32 stale,
		  const u32 *drops, struct verdict *verdict)
{
	struct tlb_decision decision = decide(facts);
	u32 drop = dropped_by(facts, &decision);

	verdict->asked++;
	if (decision.flush == TLB_FLUSH_IMPOSSIBLE) {
		for (u32 n = 0; n < CANDIDATES; n++)
			if (cpu_has(facts->can, candidate(facts, n).flush) &&
			    !(stale & ~drops[n])) {
				verdict->given_up++;
				return;
			}
		return;
	}
	if (stale & ~drop)
		verdict->stale++;
	if (decision.flush == TLB_FLUSH_NONE)
		return;
	if (!stale)
		verdict->unneeded++;
	if (!cpu_has(facts->can, decision.flush))
		verdict->not_there++;
	for (u32 n = 0; n < CANDIDATES; n++)
		if (cpu_has(facts->can, candidate(facts, n).flush) && !(stale & ~drops[n]) &&
		    (drops[n] & drop) == drops[n] && drops[n] != drop) {
			verdict->too_wide++;
			return;
		}
}

/* All capabilities: each of the six types, with and without its instruction. */
static u64 capabilities(u32 n)
{
	static const u64 bit[] = {
		TLB_CAN_INVEPT, TLB_CAN_INVEPT_ROOT, TLB_CAN_INVEPT_ALL, TLB_CAN_INVVPID,
		TLB_CAN_INVVPID_ADDRESS, TLB_CAN_INVVPID_CONTEXT, TLB_CAN_INVVPID_ALL,
		TLB_CAN_INVVPID_NON_GLOBAL,
	};
	u64 can = 0;

	for (u32 i = 0; i < ARRAY_SIZE(bit); i++)
		if (n >> i & 1)
			can |= bit[i];
	return can;
}

static struct verdict judge_all(tlb_decide_t decide)
{
	struct verdict verdict = { 0 };

	for (u32 n = 0; n < 2 * 6 * 3 * 64; n++) {
		u32 bits = n % 64, edit = n / 64 % 6, root = n / 64 / 6 % 3;
		struct tlb_facts facts = {
			.tag = n / 64 / 6 / 3 ? TLB_TAG_ASID : TLB_TAG_ROOT,
			.edit = (enum tlb_edit)edit,
			.flushed = bits & 1,
			.other_root = bits & 2,
			.reused_root = bits & 4,
			.moved = bits & 8,
			.last_root_only = bits & 16,
			.vpid = bits & 32 ? 1 : 0,
			.address = ADDRESS(0),
			.root = ROOT_HPA(0),
			.edited_root = ROOT_HPA(root),
		};
		u32 drops[CANDIDATES], stale = stale_by(&facts);

		for (u32 i = 0; i < CANDIDATES; i++) {
			struct tlb_decision flush = candidate(&facts, i);

			drops[i] = dropped_by(&facts, &flush);
		}
		for (u32 can = 0; can < 256; can++) {
			facts.can = capabilities(can);
			judge(decide, &facts, stale, drops, &verdict);
		}
	}
	return verdict;
}

static void test_every_decision_is_the_narrowest_that_leaves_nothing_stale(void **state)
{
	struct verdict verdict = judge_all(tlb_decide);

	(void)state;
	assert_int_equal(verdict.asked, 2 * 6 * 3 * 64 * 256);
	assert_int_equal(verdict.stale, 0);
	assert_int_equal(verdict.unneeded, 0);
	assert_int_equal(verdict.too_wide, 0);
	assert_int_equal(verdict.not_there, 0);
	assert_int_equal(verdict.given_up, 0);
}

static void test_a_flush_left_out_is_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < tlb_broken_count; i++) {
		struct verdict verdict = judge_all(tlb_broken[i].decide);

		if (!verdict.stale)
			fail_msg("not found: %s", tlb_broken[i].name);
	}
}

static struct tlb_decision flush_always(const struct tlb_facts *facts)
{
	struct tlb_decision decision = tlb_decide(facts);

	if (decision.flush == TLB_FLUSH_NONE)
		decision.flush = TLB_INVVPID_ALL;
	if (decision.flush == TLB_INVEPT_ROOT)
		decision.flush = TLB_INVEPT_ALL;
	return decision;
}

static struct tlb_decision give_up(const struct tlb_facts *facts)
{
	struct tlb_decision decision = tlb_decide(facts);

	if (decision.widened)
		decision.flush = TLB_FLUSH_IMPOSSIBLE;
	return decision;
}

static void test_a_flush_too_many_is_found(void **state)
{
	struct verdict wide = judge_all(flush_always), none = judge_all(give_up);

	(void)state;
	assert_true(wide.unneeded > 0);
	assert_true(wide.too_wide > 0);
	assert_true(wide.not_there > 0);
	assert_true(none.given_up > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_every_decision_is_the_narrowest_that_leaves_nothing_stale),
		cmocka_unit_test(test_a_flush_left_out_is_found),
		cmocka_unit_test(test_a_flush_too_many_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
