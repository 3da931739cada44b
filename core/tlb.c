// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * The TLB decision.  Each fact asks for one flush; the widest that was asked for
 * wins, and the CPU's capabilities have the last word.  The source of each rule is
 * SDM volume 3, "Operations That Invalidate Cached Mappings".
 */
#include "tlb.h"

/* Bits 63:47 of an address that INVVPID takes on every CPU are all equal. */
static bool is_canonical(hypr_gva_t address)
{
	u64 top = address.addr >> 47;

	return !top || top == (1ull << 17) - 1;
}

/*
 * Ask for @flush.  INVVPID leaves guest-physical mappings alone, and INVEPT of one
 * root the combined mappings of all other roots: two that differ in kind, or two
 * roots, need INVEPT of all.
 */
static void ask(struct tlb_decision *decision, enum tlb_flush flush,
		enum tlb_reason why, hypr_hpa_t root)
{
	enum tlb_flush had = decision->flush;

	if (had == TLB_FLUSH_NONE) {
		decision->flush = flush;
		decision->why = why;
		decision->root = root;
		return;
	}
	if (had <= TLB_INVVPID_ALL && flush <= TLB_INVVPID_ALL)
		decision->flush = had > flush ? had : flush;
	else if (had != TLB_INVEPT_ROOT || flush != TLB_INVEPT_ROOT ||
		 decision->root.addr != root.addr)
		decision->flush = TLB_INVEPT_ALL;
}

/* What an edit makes stale. */
static enum tlb_flush edit_flush(const struct tlb_facts *facts)
{
	bool by_root = facts->tag == TLB_TAG_ROOT;

	switch (facts->edit) {
	case TLB_EDIT_ADDRESS:
		return is_canonical(facts->address) ? TLB_INVVPID_ADDRESS :
						      TLB_INVVPID_CONTEXT;
	case TLB_EDIT_NON_GLOBAL:
		return TLB_INVVPID_NON_GLOBAL;
	case TLB_EDIT_CONTEXT:
		return TLB_INVVPID_CONTEXT;
	case TLB_EDIT_ROOT:
		return by_root ? TLB_INVEPT_ROOT : TLB_INVVPID_CONTEXT;
	case TLB_EDIT_ALL:
		return by_root ? TLB_INVEPT_ALL : TLB_INVVPID_ALL;
	default:
		return TLB_FLUSH_NONE;
	}
}

/*
 * Without VPIDs each VM entry and exit drops the linear and combined mappings of
 * the guest, but not the guest-physical ones.
 */
static bool entry_drops(const struct tlb_facts *facts, enum tlb_flush flush)
{
	return !facts->vpid && flush <= TLB_INVVPID_CONTEXT;
}

static u64 capability(enum tlb_flush flush)
{
	switch (flush) {
	case TLB_INVVPID_ADDRESS:
		return TLB_CAN_INVVPID | TLB_CAN_INVVPID_ADDRESS;
	case TLB_INVVPID_NON_GLOBAL:
		return TLB_CAN_INVVPID | TLB_CAN_INVVPID_NON_GLOBAL;
	case TLB_INVVPID_CONTEXT:
		return TLB_CAN_INVVPID | TLB_CAN_INVVPID_CONTEXT;
	case TLB_INVVPID_ALL:
		return TLB_CAN_INVVPID | TLB_CAN_INVVPID_ALL;
	case TLB_INVEPT_ROOT:
		return TLB_CAN_INVEPT | TLB_CAN_INVEPT_ROOT;
	case TLB_INVEPT_ALL:
		return TLB_CAN_INVEPT | TLB_CAN_INVEPT_ALL;
	default:
		return 0;
	}
}

/* The next flush that drops all that @flush drops. */
static enum tlb_flush wider(enum tlb_flush flush, enum tlb_tag tag)
{
	switch (flush) {
	case TLB_INVVPID_ADDRESS:	/* the address may be a global page's */
	case TLB_INVVPID_NON_GLOBAL:
		return TLB_INVVPID_CONTEXT;
	case TLB_INVVPID_CONTEXT:
		return TLB_INVVPID_ALL;
	case TLB_INVVPID_ALL:		/* INVEPT leaves linear mappings alone */
		return tag == TLB_TAG_ROOT ? TLB_INVEPT_ALL : TLB_FLUSH_IMPOSSIBLE;
	case TLB_INVEPT_ROOT:
		return TLB_INVEPT_ALL;
	default:
		return TLB_FLUSH_IMPOSSIBLE;
	}
}

/* Why nothing has to be flushed. */
static enum tlb_reason why_nothing(const struct tlb_facts *facts)
{
	if (facts->edit != TLB_EDIT_NONE && facts->flushed)
		return TLB_WHY_FLUSHED;
	if (facts->edit != TLB_EDIT_NONE)
		return TLB_WHY_NO_VPID;
	if (!facts->other_root && !facts->reused_root && !facts->moved)
		return TLB_WHY_UNCHANGED;
	return facts->tag == TLB_TAG_ROOT ? TLB_WHY_TAGGED : TLB_WHY_NO_VPID;
}

struct tlb_decision tlb_decide(const struct tlb_facts *facts)
{
	struct tlb_decision decision = {
		.flush = TLB_FLUSH_NONE,
		.vpid = facts->vpid,
		.address = facts->address,
	};
	bool by_root = facts->tag == TLB_TAG_ROOT;
	enum tlb_flush mine = by_root ? TLB_INVEPT_ROOT : TLB_INVVPID_CONTEXT;
	enum tlb_flush edit = edit_flush(facts);

	if (facts->moved && (by_root || facts->vpid))
		ask(&decision, by_root ? TLB_INVEPT_ALL : TLB_INVVPID_CONTEXT,
		    TLB_WHY_MOVED, facts->root);
	if (edit != TLB_FLUSH_NONE && !facts->flushed && !entry_drops(facts, edit))
		ask(&decision, edit, TLB_WHY_EDIT, facts->edited_root);
	if (facts->reused_root && (by_root || facts->vpid))
		ask(&decision, mine, TLB_WHY_REUSED_ROOT, facts->root);
	if (facts->other_root && by_root && facts->last_root_only)
		ask(&decision, mine, TLB_WHY_LAST_ROOT_ONLY, facts->root);
	if (facts->other_root && !by_root && facts->vpid)
		ask(&decision, mine, TLB_WHY_ASID, facts->root);

	if (decision.flush == TLB_FLUSH_NONE) {
		decision.why = why_nothing(facts);
		return decision;
	}
	while (decision.flush != TLB_FLUSH_IMPOSSIBLE &&
	       capability(decision.flush) & ~facts->can) {
		decision.flush = wider(decision.flush, facts->tag);
		decision.widened = true;
	}
	return decision;
}

const char *tlb_flush_text(enum tlb_flush flush)
{
	static const char * const text[] = {
		[TLB_FLUSH_NONE] = "none",
		[TLB_INVVPID_ADDRESS] = "INVVPID address",
		[TLB_INVVPID_NON_GLOBAL] = "INVVPID all but globals",
		[TLB_INVVPID_CONTEXT] = "INVVPID single context",
		[TLB_INVVPID_ALL] = "INVVPID all",
		[TLB_INVEPT_ROOT] = "INVEPT single",
		[TLB_INVEPT_ALL] = "INVEPT all",
		[TLB_FLUSH_IMPOSSIBLE] = "impossible",
	};

	return (u32)flush <= TLB_FLUSH_IMPOSSIBLE ? text[flush] : "unknown";
}

const char *tlb_reason_text(enum tlb_reason why)
{
	static const char * const text[] = {
		[TLB_WHY_MOVED] = "the vCPU comes from another CPU",
		[TLB_WHY_EDIT] = "translations were edited",
		[TLB_WHY_REUSED_ROOT] = "the root's address was another root's",
		[TLB_WHY_LAST_ROOT_ONLY] = "others flush the last root only",
		[TLB_WHY_ASID] = "another root under the same ASID",
		[TLB_WHY_NO_VPID] = "VM entry drops what has no VPID",
		[TLB_WHY_FLUSHED] = "flushed since the edit",
		[TLB_WHY_TAGGED] = "entries are tagged by root",
		[TLB_WHY_UNCHANGED] = "nothing changed",
	};

	return (u32)why <= TLB_WHY_UNCHANGED ? text[why] : "unknown";
}

int flush_tlb(const struct tlb_ops *ops, void *context,
	      const struct tlb_decision *decision)
{
	static const u8 types[] = {
		[TLB_INVVPID_ADDRESS] = TLB_INVVPID_TYPE_ADDRESS,
		[TLB_INVVPID_NON_GLOBAL] = TLB_INVVPID_TYPE_NON_GLOBAL,
		[TLB_INVVPID_CONTEXT] = TLB_INVVPID_TYPE_CONTEXT,
		[TLB_INVVPID_ALL] = TLB_INVVPID_TYPE_ALL,
		[TLB_INVEPT_ROOT] = TLB_INVEPT_TYPE_ROOT,
		[TLB_INVEPT_ALL] = TLB_INVEPT_TYPE_ALL,
	};
	enum tlb_flush flush = decision->flush;

	if (flush == TLB_FLUSH_NONE)
		return 0;
	if (flush >= TLB_INVVPID_ADDRESS && flush <= TLB_INVVPID_ALL)
		return ops->invvpid ? ops->invvpid(context, types[flush], decision->vpid,
						   decision->address) : -EOPNOTSUPP;
	if (flush == TLB_INVEPT_ROOT || flush == TLB_INVEPT_ALL)
		return ops->invept ? ops->invept(context, types[flush], decision->root) :
				     -EOPNOTSUPP;
	return -EOPNOTSUPP;
}
