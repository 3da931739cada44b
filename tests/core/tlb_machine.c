// SPDX-License-Identifier: GPL-2.0-only
/* The machine's tables, its walks by way of a TLB, and where the two differ. */
#include "tests/core/tlb_machine.h"

/* ---- the tables ------------------------------------------------------------- */

static u8 ept_table(const struct world *world, u32 root, u32 gpa)
{
	return world->ept_table[root][gpa / PER_EPT_TABLE];
}

u8 machine_ept_walk(const struct world *world, u32 root, u32 gpa)
{
	u8 table = ept_table(world, root, gpa);

	return table == SOFT_NONE ? SOFT_NONE : world->ept[table][gpa % PER_EPT_TABLE];
}

/* Guest frames of vCPU v: 8v + PCID are directories, then two tables for each. */
u32 machine_directory_gpa(u32 v, u32 pcid, u32 region)
{
	return SLOTS * v + (region ? 0 : pcid);
}

u32 machine_table_gpa(u32 v, u32 pcid, u32 region, u8 entry)
{
	return SLOTS * v + 2 + (region ? 4 : 2 * pcid) + (entry & 1);
}

/* The frame of the guest's page table, given how to translate a GPA. */
static u8 table_frame(const struct world *world, u32 v, u32 pcid, u32 root, u32 region)
{
	u8 frame = machine_ept_walk(world, root, machine_directory_gpa(v, pcid, region));
	u8 entry = frame == SOFT_NONE ? 0 : world->frame[frame][region];

	if (!(entry & PRESENT))
		return SOFT_NONE;
	return machine_ept_walk(world, root, machine_table_gpa(v, pcid, region, entry));
}

u8 machine_page_frame(const struct world *world, u32 v, u32 pcid, u32 root, u32 page)
{
	u8 frame = table_frame(world, v, pcid, root, page / PER_REGION);
	u8 entry = frame == SOFT_NONE ? 0 : world->frame[frame][page % PER_REGION];

	if (!(entry & PRESENT))
		return SOFT_NONE;
	return machine_ept_walk(world, root, entry % SOFT_GPAS);
}

/* ---- entries that differ from the tables ------------------------------------ */

static bool differs(u8 cached, u8 now)
{
	return cached != SOFT_NONE && cached != now;
}

static u32 stale_combined(const struct world *world, const struct tlb_soft *soft, u32 v,
			  u32 root)
{
	u32 at = soft_root(soft, root), stale = 0;
	u16 vpid = world->vcpu[v].vpid;

	for (u32 pcid = 0; pcid <= SOFT_GLOBAL; pcid++) {
		u32 of = pcid % SOFT_GLOBAL;

		for (u32 page = 0; page < SOFT_PAGES; page++) {
			u8 cached = soft->page[vpid][at][pcid][page];

			stale += cached != SOFT_NONE &&
				 differs(cached, machine_page_frame(world, v, of, root, page));
		}
		for (u32 region = 0; pcid < SOFT_PCIDS && region < SOFT_REGIONS; region++) {
			u8 cached = soft->table[vpid][at][pcid][region];

			stale += cached != SOFT_NONE &&
				 differs(cached, table_frame(world, v, pcid, root, region));
		}
	}
	return stale;
}

static u32 stale_guest_physical(const struct world *world, const struct tlb_soft *soft,
				u16 vpid, u32 root)
{
	u32 at = soft_gpa_tag(soft, vpid, root), stale = 0;

	for (u32 gpa = 0; gpa < SOFT_GPAS; gpa++)
		stale += differs(soft->gpa[at][gpa], machine_ept_walk(world, root, gpa));
	for (u32 region = 0; region < SOFT_EPT_REGIONS; region++)
		stale += differs(soft->gpa_table[at][region], world->ept_table[root][region]);
	return stale;
}

u32 machine_stale_for(const struct world *world, u32 v)
{
	const struct vcpu *vcpu = &world->vcpu[v];
	const struct tlb_soft *soft = &world->tlb[vcpu->cpu];

	return stale_combined(world, soft, v, vcpu->root) +
	       stale_guest_physical(world, soft, vcpu->vpid, vcpu->root);
}

/* All of a CPU, for @v and the other vCPUs. */
u32 machine_stale_on(const struct world *world, u32 cpu, u32 v)
{
	const struct tlb_soft *soft = &world->tlb[cpu];
	u32 stale = 0;

	for (u32 each = 0; each < VCPUS; each++) {
		const struct vcpu *vcpu = &world->vcpu[each];

		if (!vcpu->vpid && each != v)
			continue;
		if (world->tag == TLB_TAG_ASID) {
			stale += stale_combined(world, soft, each, vcpu->root) +
				 stale_guest_physical(world, soft, vcpu->vpid, vcpu->root);
			continue;
		}
		for (u32 root = 0; root < SOFT_ROOTS; root++)
			stale += stale_combined(world, soft, each, root);
	}
	for (u32 root = 0; world->tag == TLB_TAG_ROOT && root < SOFT_ROOTS; root++)
		stale += stale_guest_physical(world, soft, 0, root);
	return stale;
}

/* ---- accesses --------------------------------------------------------------- */

/* Each step takes what the TLB has, and leaves what it found there. */
static u8 use_gpa(struct world *world, const struct vcpu *vcpu, u32 gpa)
{
	struct tlb_soft *soft = &world->tlb[vcpu->cpu];
	u32 at = soft_gpa_tag(soft, vcpu->vpid, vcpu->root);
	u8 *cached = &soft->gpa[at][gpa];
	u8 *table = &soft->gpa_table[at][gpa / PER_EPT_TABLE];

	if (*cached != SOFT_NONE)
		return *cached;
	if (*table == SOFT_NONE)
		*table = ept_table(world, vcpu->root, gpa);
	if (*table != SOFT_NONE)
		*cached = world->ept[*table][gpa % PER_EPT_TABLE];
	return *cached;
}

static u8 use_table(struct world *world, u32 v, u32 region)
{
	const struct vcpu *vcpu = &world->vcpu[v];
	struct tlb_soft *soft = &world->tlb[vcpu->cpu];
	u8 *cached = &soft->table[vcpu->vpid][soft_root(soft, vcpu->root)][vcpu->pcid][region];
	u8 frame, entry;

	if (*cached != SOFT_NONE)
		return *cached;
	frame = use_gpa(world, vcpu, machine_directory_gpa(v, vcpu->pcid, region));
	entry = frame == SOFT_NONE ? 0 : world->frame[frame][region];
	if (entry & PRESENT)
		*cached = use_gpa(world, vcpu, machine_table_gpa(v, vcpu->pcid, region, entry));
	return *cached;
}

u8 machine_use_page(struct world *world, u32 v, u32 page)
{
	const struct vcpu *vcpu = &world->vcpu[v];
	struct tlb_soft *soft = &world->tlb[vcpu->cpu];
	u32 region = page / PER_REGION;
	u32 pcid = region ? SOFT_GLOBAL : vcpu->pcid;
	u8 *cached = &soft->page[vcpu->vpid][soft_root(soft, vcpu->root)][pcid][page];
	u8 frame, entry;

	if (*cached != SOFT_NONE)
		return *cached;
	frame = use_table(world, v, region);
	entry = frame == SOFT_NONE ? 0 : world->frame[frame][page % PER_REGION];
	if (entry & PRESENT)
		*cached = use_gpa(world, vcpu, entry % SOFT_GPAS);
	return *cached;
}
