// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* What one CPU has flushed, as arithmetic: see tlb_account.h. */
#include "tlb_account.h"

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

void hypr_tlb_flush_root(struct hypr_tlb_cpu *cpu, hypr_hpa_t root, u64 gen)
{
	struct hypr_tlb_slot *slot, *free = NULL;
	u32 i;

	for (i = 0; i < HYPR_TLB_SLOTS; i++) {
		slot = &cpu->slot[i];
		if (slot->root.addr == root.addr) {
			if (gen > slot->gen)
				slot->gen = gen;
			return;
		}
		/* What was flushed together with all others needs no slot. */
		if (!free && (!slot->root.addr || slot->gen <= cpu->all))
			free = slot;
	}
	if (!free)
		free = hypr_tlb_make_room(cpu);
	free->root = root;
	free->gen = gen;
}

u64 hypr_tlb_flushed(const struct hypr_tlb_cpu *cpu, hypr_hpa_t root)
{
	u64 gen = cpu->forgotten;
	u32 i;

	for (i = 0; i < HYPR_TLB_SLOTS; i++) {
		if (cpu->slot[i].root.addr == root.addr) {
			gen = cpu->slot[i].gen;
			break;
		}
	}
	/* A flush of all contexts is one of this root, too. */
	if (gen < cpu->all)
		gen = cpu->all;
	return gen;
}

bool hypr_tlb_is_stale(const struct hypr_tlb_cpu *cpu, hypr_hpa_t root, u64 edited)
{
	return edited > cpu->all && edited > hypr_tlb_flushed(cpu, root);
}
