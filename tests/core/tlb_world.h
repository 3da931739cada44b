/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small machine that changes its page tables at random and flushes its software TLBs
 * only as a decision function says.  Each entry that a vCPU can use is compared with the
 * tables.  Used by tests/core/tlb_random_test.c and bench/core/tlb.c.
 */
#ifndef TESTS_CORE_TLB_WORLD_H
#define TESTS_CORE_TLB_WORLD_H

#include "tests/core/tlb_broken.h"

/**
 * struct world_counts - what a run came to
 * @steps: VM entries
 * @accesses: linear addresses that vCPUs used
 * @stale: accesses that a TLB led to another frame than the tables
 * @missed: VM entries with an entry at hand that would have
 * @unneeded: flushes that dropped nothing but right entries
 * @failed: flushes that flush_tlb() could not execute
 * @flush: decisions, by flush
 * @why: decisions, by reason
 */
struct world_counts {
	u64 steps;
	u64 accesses;
	u64 stale;
	u64 missed;
	u64 unneeded;
	u64 failed;
	u64 flush[TLB_FLUSH_IMPOSSIBLE + 1];
	u64 why[TLB_WHY_UNCHANGED + 1];
};

/**
 * world_run() - let the machine run
 * @decide: the decision function under test
 * @seed: of all random choices
 * @steps: VM entries
 * @counts: filled
 */
void world_run(tlb_decide_t decide, u64 seed, u64 steps, struct world_counts *counts);

#endif /* TESTS_CORE_TLB_WORLD_H */
