/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * What the TLB of one CPU has flushed, as arithmetic on generations: the fact
 * "flushed since the edit" of a TLB decision, and what KVM's CONFIG_KVM_HYPR_DEBUG_TLB
 * checks VM entries with.
 *
 * One counter counts the edits of all roots of all VMs.  A root carries the
 * count at which it was last edited; a CPU, the count up to which it has
 * flushed.  A root that was edited after the CPU flushed it is stale there.
 *
 * The caller serialises the calls for one CPU.
 */
#ifndef CORE_TLB_ACCOUNT_H
#define CORE_TLB_ACCOUNT_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Roots that a CPU flushed one by one, of which it keeps account. */
#define HYPR_TLB_SLOTS	64

/**
 * struct hypr_tlb_slot - a root that was flushed by itself
 * @root: HPA of the root, 0 in a free slot
 * @gen: edits up to this one are flushed
 */
struct hypr_tlb_slot {
	hypr_hpa_t root;
	u64 gen;
};

/**
 * struct hypr_tlb_cpu - what one CPU has flushed; all zero to begin with
 * @all: edits up to this one are flushed, whatever the root
 * @forgotten: the highest generation of a slot that had to make room: a root
 *	without a slot may have been flushed up to here.  Errs on the side of no
 *	warning, and only after HYPR_TLB_SLOTS roots.
 * @next: the slot that makes room next
 * @slot: roots flushed by themselves later than @all
 */
struct hypr_tlb_cpu {
	u64 all;
	u64 forgotten;
	u32 next;
	struct hypr_tlb_slot slot[HYPR_TLB_SLOTS];
};

/**
 * hypr_tlb_flush_all() - note an INVEPT of all contexts
 * @cpu: the CPU that executes it
 * @gen: the count of edits, read before the INVEPT
 */
void hypr_tlb_flush_all(struct hypr_tlb_cpu *cpu, u64 gen);

/**
 * hypr_tlb_flush_root() - note an INVEPT of a single context
 * @cpu: the CPU that executes it
 * @root: HPA of the root
 * @gen: the count of edits, read before the INVEPT
 */
void hypr_tlb_flush_root(struct hypr_tlb_cpu *cpu, hypr_hpa_t root, u64 gen);

/**
 * hypr_tlb_flushed() - up to which edit has this CPU flushed @root?
 * @cpu: the CPU
 * @root: HPA of the root
 */
u64 hypr_tlb_flushed(const struct hypr_tlb_cpu *cpu, hypr_hpa_t root);

/**
 * hypr_tlb_is_stale() - may this CPU hold translations from before an edit?
 * @cpu: the CPU
 * @root: HPA of the root
 * @edited: the count at which the root was last edited
 */
bool hypr_tlb_is_stale(const struct hypr_tlb_cpu *cpu, hypr_hpa_t root, u64 edited);

#ifdef __cplusplus
}
#endif

#endif /* CORE_TLB_ACCOUNT_H */
