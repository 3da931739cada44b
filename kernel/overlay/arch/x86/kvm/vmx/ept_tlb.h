/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What CONFIG_KVM_HYPR_DEBUG_TLB knows of the TLB of one CPU, as arithmetic on
 * generations.  No KVM state is touched here, so that the same file is tested in
 * user space and by KUnit.
 *
 * One counter counts the edits of all roots of all VMs.  A root carries the
 * count at which it was last edited; a CPU, the count up to which it has
 * flushed.  A root that was edited after the CPU flushed it is stale there.
 */
#ifndef __KVM_X86_VMX_EPT_TLB_H
#define __KVM_X86_VMX_EPT_TLB_H

#include <linux/types.h>

/* Roots that a CPU flushed one by one, of which it keeps account. */
#define HYPR_TLB_SLOTS	64

/**
 * struct hypr_tlb_slot - a root that was flushed by itself
 * @root: HPA of the root, 0 in a free slot
 * @gen: edits up to this one are flushed
 */
struct hypr_tlb_slot {
	u64 root;
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

void hypr_tlb_flush_all(struct hypr_tlb_cpu *cpu, u64 gen);
void hypr_tlb_flush_root(struct hypr_tlb_cpu *cpu, u64 root, u64 gen);
u64 hypr_tlb_flushed(const struct hypr_tlb_cpu *cpu, u64 root);
bool hypr_tlb_is_stale(const struct hypr_tlb_cpu *cpu, u64 root, u64 edited);

#endif /* __KVM_X86_VMX_EPT_TLB_H */
