/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Flush the TLB as tlb_decide() says, through the platform's two instructions.
 */
#ifndef CORE_TLB_H
#define CORE_TLB_H

#include "tlb_decide.h"

#ifdef __cplusplus
extern "C" {
#endif

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
