// SPDX-License-Identifier: GPL-2.0-only
/* What one CPU has flushed, as arithmetic: see ept_tlb.h. */
#include "ept_tlb.h"

/**
 * hypr_tlb_flush_all() - note an INVEPT of all contexts
 * @cpu: the CPU that executes it
 * @gen: the count of edits, read before the INVEPT
 */
void hypr_tlb_flush_all(struct hypr_tlb_cpu *cpu, u64 gen)
{
	if (gen > cpu->all)
		cpu->all = gen;
}

static struct hypr_tlb_slot *hypr_tlb_make_room(struct hypr_tlb_cpu *cpu)
{
	struct hypr_tlb_slot *slot = &cpu->slot[cpu->next];

	cpu->next = (cpu->next + 1) % HYPR_TLB_SLOTS;
	if (slot->gen > cpu->forgotten)
		cpu->forgotten = slot->gen;
	return slot;
}

/**
 * hypr_tlb_flush_root() - note an INVEPT of a single context
 * @cpu: the CPU that executes it
 * @root: HPA of the root
 * @gen: the count of edits, read before the INVEPT
 */
void hypr_tlb_flush_root(struct hypr_tlb_cpu *cpu, u64 root, u64 gen)
{
	struct hypr_tlb_slot *slot, *free = NULL;
	u32 i;

	for (i = 0; i < HYPR_TLB_SLOTS; i++) {
		slot = &cpu->slot[i];
		if (slot->root == root) {
			if (gen > slot->gen)
				slot->gen = gen;
			return;
		}
		/* What was flushed together with all others needs no slot. */
		if (!free && (!slot->root || slot->gen <= cpu->all))
			free = slot;
	}
	if (!free)
		free = hypr_tlb_make_room(cpu);
	free->root = root;
	free->gen = gen;
}

/**
 * hypr_tlb_flushed() - up to which edit has this CPU flushed @root?
 * @cpu: the CPU
 * @root: HPA of the root
 */
u64 hypr_tlb_flushed(const struct hypr_tlb_cpu *cpu, u64 root)
{
	u64 gen = cpu->forgotten;
	u32 i;

	for (i = 0; i < HYPR_TLB_SLOTS; i++) {
		if (cpu->slot[i].root == root) {
			gen = cpu->slot[i].gen;
			break;
		}
	}
	/* A flush of all contexts is one of this root, too. */
	if (gen < cpu->all)
		gen = cpu->all;
	return gen;
}

/**
 * hypr_tlb_is_stale() - may this CPU hold translations from before an edit?
 * @cpu: the CPU
 * @root: HPA of the root
 * @edited: the count at which the root was last edited
 */
bool hypr_tlb_is_stale(const struct hypr_tlb_cpu *cpu, u64 root, u64 edited)
{
	return edited > cpu->all && edited > hypr_tlb_flushed(cpu, root);
}
