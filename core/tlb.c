// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* Flushes and reasons as text, and their execution: see tlb.h. */
#include "tlb.h"

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
