// SPDX-License-Identifier: GPL-2.0-only
/* Planted mistakes: see tlb_broken.h.  Each leaves a flush out, or takes one too narrow. */
#include "tests/core/tlb_broken.h"

static struct tlb_decision forget(const struct tlb_facts *facts, enum tlb_reason why)
{
	struct tlb_decision decision = tlb_decide(facts);

	if (decision.why == why)
		decision.flush = TLB_FLUSH_NONE;
	return decision;
}

static struct tlb_decision narrow(const struct tlb_facts *facts, enum tlb_flush from,
				  enum tlb_flush to)
{
	struct tlb_decision decision = tlb_decide(facts);

	if (decision.flush == from) {
		decision.flush = to;
		decision.root = facts->root;
	}
	return decision;
}

static struct tlb_decision no_edit(const struct tlb_facts *facts)
{
	return forget(facts, TLB_WHY_EDIT);
}

static struct tlb_decision no_moved(const struct tlb_facts *facts)
{
	return forget(facts, TLB_WHY_MOVED);
}

static struct tlb_decision no_reused(const struct tlb_facts *facts)
{
	return forget(facts, TLB_WHY_REUSED_ROOT);
}

static struct tlb_decision no_asid(const struct tlb_facts *facts)
{
	return forget(facts, TLB_WHY_ASID);
}

static struct tlb_decision no_last_root(const struct tlb_facts *facts)
{
	return forget(facts, TLB_WHY_LAST_ROOT_ONLY);
}

static struct tlb_decision context_as_non_global(const struct tlb_facts *facts)
{
	return narrow(facts, TLB_INVVPID_CONTEXT, TLB_INVVPID_NON_GLOBAL);
}

static struct tlb_decision context_as_address(const struct tlb_facts *facts)
{
	return narrow(facts, TLB_INVVPID_CONTEXT, TLB_INVVPID_ADDRESS);
}

static struct tlb_decision ept_as_vpid(const struct tlb_facts *facts)
{
	return narrow(facts, TLB_INVEPT_ROOT, TLB_INVVPID_CONTEXT);
}

static struct tlb_decision all_as_one_root(const struct tlb_facts *facts)
{
	return narrow(facts, TLB_INVEPT_ALL, TLB_INVEPT_ROOT);
}

static struct tlb_decision wrong_root(const struct tlb_facts *facts)
{
	return narrow(facts, TLB_INVEPT_ROOT, TLB_INVEPT_ROOT);
}

const struct tlb_broken tlb_broken[] = {
	{ "no flush after an edit", no_edit },
	{ "no flush on another CPU", no_moved },
	{ "no flush of a reused root", no_reused },
	{ "no flush for another root of one ASID", no_asid },
	{ "no flush where others flush the last root only", no_last_root },
	{ "globals stay", context_as_non_global },
	{ "one address for a context", context_as_address },
	{ "INVVPID for an EPT edit", ept_as_vpid },
	{ "one root for all", all_as_one_root },
	{ "the root in use for the edited one", wrong_root },
};

const size_t tlb_broken_count = sizeof(tlb_broken) / sizeof(tlb_broken[0]);
