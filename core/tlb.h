/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * What must leave the TLB before a vCPU goes on: one function of facts.
 *
 * tlb_decide() knows no page table and no CPU.  Whoever changed a translation, or
 * makes a vCPU use another root, states the facts; the function names the
 * narrowest flush that the CPU has and that leaves nothing stale, and why.
 * flush_tlb() executes a decision through the platform's two instructions.
 *
 * The rules are those of SDM volume 3, "Caching Translation Information" of
 * virtual-machine extensions.  A CPU with EPT keeps guest-physical mappings (tagged
 * by EP4TA, the address in the EPTP) and combined mappings (tagged by VPID, PCID and
 * EP4TA); without EPT, linear mappings (tagged by VPID and PCID).  INVVPID drops
 * linear and combined mappings of whichever EP4TA, INVEPT guest-physical and combined
 * mappings of whichever VPID.
 */
#ifndef CORE_TLB_H
#define CORE_TLB_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

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
struct tlb_decision tlb_decide(const struct tlb_facts *facts);

/** tlb_flush_text() - a word for @flush, as traces print it */
const char *tlb_flush_text(enum tlb_flush flush);

/** tlb_reason_text() - a few words for @why, as traces print them */
const char *tlb_reason_text(enum tlb_reason why);

/* Types of the two instructions (SDM volume 3, INVVPID and INVEPT). */
#define TLB_INVVPID_TYPE_ADDRESS	0
#define TLB_INVVPID_TYPE_CONTEXT	1
#define TLB_INVVPID_TYPE_ALL		2
#define TLB_INVVPID_TYPE_NON_GLOBAL	3
#define TLB_INVEPT_TYPE_ROOT		1
#define TLB_INVEPT_TYPE_ALL		2

/**
 * struct tlb_ops - the two instructions, given by the platform
 * @invvpid: execute INVVPID of @type; with NPT, the ASID's flush that covers it
 * @invept: execute INVEPT of @type
 *
 * Both return 0, or -errno if the CPU refused (VMfail), and get flush_tlb()'s
 * context.  With TLB_TAG_ASID alone, @invept may be NULL.
 */
struct tlb_ops {
	int (*invvpid)(void *context, u32 type, u16 vpid, hypr_gva_t address);
	int (*invept)(void *context, u32 type, hypr_hpa_t root);
};

/**
 * flush_tlb() - execute a decision
 * @ops: the instructions of this CPU
 * @context: handed to @ops
 * @decision: what tlb_decide() said
 *
 * Context: the CPU that the decision is about, and the caller stays on it.
 * Return: 0; -EOPNOTSUPP if the decision is TLB_FLUSH_IMPOSSIBLE or @ops lacks the
 * instruction; what the instruction returned.  After a failure nothing is known
 * to be flushed: the vCPU must not go on.
 */
int flush_tlb(const struct tlb_ops *ops, void *context,
	      const struct tlb_decision *decision);

#ifdef __cplusplus
}
#endif

#endif /* CORE_TLB_H */
