/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * What must leave the TLB before a vCPU goes on: one function of facts.
 *
 * tlb_decide() knows no page table and no CPU.  Whoever changed a translation, or
 * makes a vCPU use another root, states the facts; the function names the
 * narrowest flush that the CPU has and that leaves nothing stale, and why.
 * KVM's side of HYPR decides by the same function, in the way of each swap: it is
 * inline, and folds with the facts that a caller knows at compile time.
 *
 * The rules are those of SDM volume 3, "Caching Translation Information" of
 * virtual-machine extensions.  A CPU with EPT keeps guest-physical mappings (tagged
 * by EP4TA, the address in the EPTP) and combined mappings (tagged by VPID, PCID and
 * EP4TA); without EPT, linear mappings (tagged by VPID and PCID).  INVVPID drops
 * linear and combined mappings of whichever EP4TA, INVEPT guest-physical and combined
 * mappings of whichever VPID.  The source of each rule is SDM volume 3,
 * "Operations That Invalidate Cached Mappings".
 */
#ifndef CORE_TLB_DECIDE_H
#define CORE_TLB_DECIDE_H

#include "types.h"

/* By what the CPU keeps the entries of two roots apart. */
enum tlb_tag {
	/* EPT: by the root, besides VPID and PCID. */
	TLB_TAG_ROOT,
	/*
	 * Not at all: NPT, whose entries carry an ASID alone, and shadow paging,
	 * whose linear mappings carry a VPID.  The ASID is the facts' vpid.
	 */
	TLB_TAG_ASID,
};

/* Which translations somebody changed. */
enum tlb_edit {
	TLB_EDIT_NONE,
	TLB_EDIT_ADDRESS,	/* those of one linear address of one VPID */
	TLB_EDIT_NON_GLOBAL,	/* all linear ones of one VPID but global pages */
	TLB_EDIT_CONTEXT,	/* all linear ones of one VPID */
	TLB_EDIT_ROOT,		/* the EPT (NPT, shadow) tables of one root */
	TLB_EDIT_ALL,		/* anything, of whichever VPID and root */
};

/* What the CPU can, in the bits of IA32_VMX_EPT_VPID_CAP (SDM, appendix A.10). */
#define TLB_CAN_INVEPT			BIT_ULL(20)
#define TLB_CAN_INVEPT_ROOT		BIT_ULL(25)
#define TLB_CAN_INVEPT_ALL		BIT_ULL(26)
#define TLB_CAN_INVVPID			BIT_ULL(32)
#define TLB_CAN_INVVPID_ADDRESS		BIT_ULL(40)
#define TLB_CAN_INVVPID_CONTEXT		BIT_ULL(41)
#define TLB_CAN_INVVPID_ALL		BIT_ULL(42)
#define TLB_CAN_INVVPID_NON_GLOBAL	BIT_ULL(43)

/**
 * struct tlb_facts - all that a decision rests on
 * @tag: how the CPU keeps roots apart
 * @edit: what was changed
 * @flushed: this CPU has flushed what @edit changed, after the change
 * @other_root: the vCPU takes another root than the one it used last
 * @reused_root: at @root there was another table, and this CPU has not flushed since
 * @moved: the vCPU used another CPU last; what this CPU remembers of it is unknown
 * @last_root_only: whoever flushes on the vCPU's behalf (Hyper-V below KVM) flushes
 *	the root that the vCPU used last, and no other
 * @vpid: the vCPU's VPID or ASID; 0 if VM entries and exits drop what has no VPID
 * @address: for TLB_EDIT_ADDRESS
 * @root: HPA of the root that the vCPU uses next
 * @edited_root: HPA of the root whose tables changed, for TLB_EDIT_ROOT
 * @can: TLB_CAN_*; the register's other bits may be set
 */
struct tlb_facts {
	enum tlb_tag tag;
	enum tlb_edit edit;
	bool flushed;
	bool other_root;
	bool reused_root;
	bool moved;
	bool last_root_only;
	u16 vpid;
	hypr_gva_t address;
	hypr_hpa_t root;
	hypr_hpa_t edited_root;
	u64 can;
};

/* From nothing to everything, for each of the two instructions. */
enum tlb_flush {
	TLB_FLUSH_NONE,
	TLB_INVVPID_ADDRESS,
	TLB_INVVPID_NON_GLOBAL,
	TLB_INVVPID_CONTEXT,
	TLB_INVVPID_ALL,
	TLB_INVEPT_ROOT,
	TLB_INVEPT_ALL,
	/* The CPU has no flush for this: the vCPU must not go on. */
	TLB_FLUSH_IMPOSSIBLE,
};

/* Why; the first that holds, in this order, if several do. */
enum tlb_reason {
	TLB_WHY_MOVED,
	TLB_WHY_EDIT,
	TLB_WHY_REUSED_ROOT,
	TLB_WHY_LAST_ROOT_ONLY,
	TLB_WHY_ASID,
	/* Nothing to flush: */
	TLB_WHY_NO_VPID,
	TLB_WHY_FLUSHED,
	TLB_WHY_TAGGED,
	TLB_WHY_UNCHANGED,
};

/**
 * struct tlb_decision - what to flush, and why
 * @flush: the flush
 * @why: the reason
 * @widened: the CPU lacks a narrower flush that would have been enough
 * @vpid: for the INVVPID that take one
 * @address: for TLB_INVVPID_ADDRESS
 * @root: HPA of the root, for TLB_INVEPT_ROOT
 */
struct tlb_decision {
	enum tlb_flush flush;
	enum tlb_reason why;
	bool widened;
	u16 vpid;
	hypr_gva_t address;
	hypr_hpa_t root;
};

/* Bits 63:47 of an address that INVVPID takes on every CPU are all equal. */
static inline bool tlb_is_canonical(hypr_gva_t address)
{
	u64 top = address.addr >> 47;

	return !top || top == BIT_ULL(17) - 1;
}

/*
 * Ask for @flush.  INVVPID leaves guest-physical mappings alone, and INVEPT of one
 * root the combined mappings of all other roots: two that differ in kind, or two
 * roots, need INVEPT of all.
 */
static inline void tlb_ask(struct tlb_decision *decision, enum tlb_flush flush,
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
static inline enum tlb_flush tlb_edit_flush(const struct tlb_facts *facts)
{
	bool by_root = facts->tag == TLB_TAG_ROOT;

	switch (facts->edit) {
	case TLB_EDIT_ADDRESS:
		return tlb_is_canonical(facts->address) ? TLB_INVVPID_ADDRESS :
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
static inline bool tlb_entry_drops(const struct tlb_facts *facts, enum tlb_flush flush)
{
	return !facts->vpid && flush <= TLB_INVVPID_CONTEXT;
}

static inline u64 tlb_capability(enum tlb_flush flush)
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
static inline enum tlb_flush tlb_wider(enum tlb_flush flush, enum tlb_tag tag)
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
static inline enum tlb_reason tlb_why_nothing(const struct tlb_facts *facts)
{
	if (facts->edit != TLB_EDIT_NONE && facts->flushed)
		return TLB_WHY_FLUSHED;
	if (facts->edit != TLB_EDIT_NONE)
		return TLB_WHY_NO_VPID;
	if (!facts->other_root && !facts->reused_root && !facts->moved)
		return TLB_WHY_UNCHANGED;
	return facts->tag == TLB_TAG_ROOT ? TLB_WHY_TAGGED : TLB_WHY_NO_VPID;
}

/**
 * tlb_decide() - the narrowest flush that leaves nothing stale
 * @facts: one edit, and the change of root or CPU that comes with it
 *
 * Stale means: made before the edit, and usable by this vCPU on this CPU.  Of
 * TLB_EDIT_ALL, and of TLB_EDIT_ROOT with TLB_TAG_ROOT, a decision that is executed
 * covers all vCPUs of this CPU; other edits are up to each vCPU.  A vCPU with several
 * edits behind it asks once for each.  An address that is not canonical with 48 bits is
 * flushed with its whole context, since INVVPID may refuse it.
 *
 * Context: any; neither locks nor memory.
 * Return: the decision, by value.
 */
static inline struct tlb_decision tlb_decide(const struct tlb_facts *facts)
{
	struct tlb_decision decision = {
		.flush = TLB_FLUSH_NONE,
		.why = TLB_WHY_UNCHANGED,
		.widened = false,
		.vpid = facts->vpid,
		.address = facts->address,
		.root = hypr_hpa(0),
	};
	bool by_root = facts->tag == TLB_TAG_ROOT;
	enum tlb_flush mine = by_root ? TLB_INVEPT_ROOT : TLB_INVVPID_CONTEXT;
	enum tlb_flush edit = tlb_edit_flush(facts);

	if (facts->moved && (by_root || facts->vpid))
		tlb_ask(&decision, by_root ? TLB_INVEPT_ALL : TLB_INVVPID_CONTEXT,
			TLB_WHY_MOVED, facts->root);
	if (edit != TLB_FLUSH_NONE && !facts->flushed && !tlb_entry_drops(facts, edit))
		tlb_ask(&decision, edit, TLB_WHY_EDIT, facts->edited_root);
	if (facts->reused_root && (by_root || facts->vpid))
		tlb_ask(&decision, mine, TLB_WHY_REUSED_ROOT, facts->root);
	if (facts->other_root && by_root && facts->last_root_only)
		tlb_ask(&decision, mine, TLB_WHY_LAST_ROOT_ONLY, facts->root);
	if (facts->other_root && !by_root && facts->vpid)
		tlb_ask(&decision, mine, TLB_WHY_ASID, facts->root);

	if (decision.flush == TLB_FLUSH_NONE) {
		decision.why = tlb_why_nothing(facts);
		return decision;
	}
	while (decision.flush != TLB_FLUSH_IMPOSSIBLE &&
	       tlb_capability(decision.flush) & ~facts->can) {
		decision.flush = tlb_wider(decision.flush, facts->tag);
		decision.widened = true;
	}
	return decision;
}

#endif /* CORE_TLB_DECIDE_H */
