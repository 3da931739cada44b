// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens to the machine: guests and the host edit tables, vCPUs take other roots
 * and CPUs, and the host flushes what tlb_decide() says.  What the host believes (struct
 * vcpu, and the marks of struct world) is all that goes into the facts.
 */
#include "tests/core/tlb_machine.h"

/* Steps that a machine of one kind lives. */
#define LIFE		2000

static u32 draw(struct world *world, u32 below)
{
	u64 x = world->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	world->random = x;
	return (u32)((x >> 32) * below >> 32);
}

static void run_guest(struct world *world, u32 v)
{
	struct vcpu *vcpu = &world->vcpu[v];
	struct tlb_soft *soft = &world->tlb[vcpu->cpu];

	for (u32 n = 0; n < 4; n++) {
		u32 page = draw(world, SOFT_PAGES);

		if (!draw(world, 4))
			vcpu->pcid = draw(world, SOFT_PCIDS);
		/* An eviction, so that paging-structure entries are used too. */
		if (!draw(world, 4))
			soft->page[vcpu->vpid][soft_root(soft, vcpu->root)]
				  [page < PER_REGION ? vcpu->pcid : SOFT_GLOBAL][page] = SOFT_NONE;
		world->counts->accesses++;
		world->counts->stale += machine_use_page(world, v, page) !=
			machine_page_frame(world, v, vcpu->pcid, vcpu->root, page);
	}
}

/* ---- decisions -------------------------------------------------------------- */

/* What the host may believe after a flush on the vCPU's CPU. */
static void believe(struct world *world, struct vcpu *vcpu, const struct tlb_decision *did)
{
	bool all = did->flush == TLB_INVEPT_ALL || did->flush == TLB_INVVPID_ALL;

	for (u32 v = 0; v < VCPUS; v++) {
		struct vcpu *each = &world->vcpu[v];
		bool own = each == vcpu && did->flush == TLB_INVVPID_CONTEXT;

		if ((all && each->cpu == vcpu->cpu && !each->moved) || own)
			each->flushed = true;
		/* Without root tags the ASID's flush is one of all that it used. */
		if (world->tag == TLB_TAG_ASID && ((all && each->cpu == vcpu->cpu) || own)) {
			memset(world->dirty[v], 0, sizeof(world->dirty[v]));
			memset(world->reused[v], 0, sizeof(world->reused[v]));
		}
	}
	for (u32 root = 0; world->tag == TLB_TAG_ROOT && root < SOFT_ROOTS; root++)
		if (did->flush == TLB_INVEPT_ALL ||
		    (did->flush == TLB_INVEPT_ROOT && did->root.addr == soft_root_hpa(root).addr)) {
			world->dirty[vcpu->cpu][root] = false;
			world->reused[vcpu->cpu][root] = false;
		}
}

static void decide(struct world *world, u32 v, struct tlb_facts *facts)
{
	struct vcpu *vcpu = &world->vcpu[v];
	struct tlb_soft *soft = &world->tlb[vcpu->cpu];
	struct world_counts *counts = world->counts;
	struct tlb_decision decision;
	u32 before;

	facts->tag = world->tag;
	facts->can = world->can;
	facts->vpid = vcpu->vpid;
	facts->root = soft_root_hpa(vcpu->root);
	facts->last_root_only = world->last_root_only;
	decision = world->decide(facts);
	counts->flush[decision.flush]++;
	counts->why[decision.why]++;
	if (decision.flush == TLB_FLUSH_NONE)
		return;
	if (decision.flush == TLB_FLUSH_IMPOSSIBLE) {
		/* As a host would: it never lets the vCPU go on with this TLB. */
		counts->failed += flush_tlb(&soft_ops, soft, &decision) != -EOPNOTSUPP;
		soft_reset(soft, world->tag);
		decision.flush = world->tag == TLB_TAG_ROOT ? TLB_INVEPT_ALL : TLB_INVVPID_ALL;
	} else {
		before = machine_stale_on(world, vcpu->cpu, v);
		counts->failed += flush_tlb(&soft_ops, soft, &decision) != 0;
		counts->unneeded += machine_stale_on(world, vcpu->cpu, v) == before;
	}
	believe(world, vcpu, &decision);
}

/* ---- edits ------------------------------------------------------------------ */

static void write_entry(struct world *world, u32 root, u32 gpa, u32 index)
{
	u8 frame = machine_ept_walk(world, root, gpa);

	if (frame != SOFT_NONE)
		world->frame[frame][index] =
			(u8)(draw(world, SOFT_GPAS) | (draw(world, 8) ? PRESENT : 0));
}

/* Guest tables of @v as its root shows them, no more than @edit says. */
static void edit_guest(struct world *world, u32 v, enum tlb_edit edit, u32 page)
{
	struct vcpu *vcpu = &world->vcpu[v];
	u32 region = page / PER_REGION, pcid = draw(world, SOFT_PCIDS);
	u8 frame, entry;

	if (edit != TLB_EDIT_ADDRESS && !draw(world, 2)) {
		write_entry(world, vcpu->root, machine_directory_gpa(v, pcid, region), region);
		return;
	}
	if (edit == TLB_EDIT_ADDRESS && !region)
		pcid = vcpu->pcid;
	frame = machine_ept_walk(world, vcpu->root, machine_directory_gpa(v, pcid, region));
	entry = frame == SOFT_NONE ? 0 : world->frame[frame][region];
	if (entry & PRESENT)
		write_entry(world, vcpu->root, machine_table_gpa(v, pcid, region, entry),
			    page % PER_REGION);
}

static u32 draw_page(struct world *world, enum tlb_edit edit)
{
	return draw(world, edit == TLB_EDIT_NON_GLOBAL ? PER_REGION : SOFT_PAGES);
}

static u8 *draw_ept_entry(struct world *world, u32 root)
{
	u32 table = root * SOFT_EPT_REGIONS * 2 + draw(world, SOFT_EPT_REGIONS * 2);

	return &world->ept[table][draw(world, PER_EPT_TABLE)];
}

/* Exchange two frames of a root, or one of its tables for the region's other one. */
static void edit_root(struct world *world, u32 root)
{
	u32 region = draw(world, SOFT_EPT_REGIONS);
	u8 *one = draw_ept_entry(world, root), *two = draw_ept_entry(world, root);
	u8 frame = *one;

	if (draw(world, 3)) {
		*one = *two;
		*two = frame;
	} else {
		world->ept_table[root][region] = draw(world, 16) ?
			(u8)((root * SOFT_EPT_REGIONS + region) * 2 + draw(world, 2)) :
			SOFT_NONE;
	}
}

static void mark(bool marks[VCPUS][SOFT_ROOTS], u32 root)
{
	for (u32 who = 0; who < VCPUS; who++)
		marks[who][root] = true;
}

/* Below a hypervisor that flushes on its own, for each vCPU the root that it used last. */
static void flush_from_below(struct world *world)
{
	for (u32 v = 0; v < VCPUS; v++) {
		struct vcpu *vcpu = &world->vcpu[v];

		if (!vcpu->other_root)
			soft_ops.invept(&world->tlb[vcpu->cpu], TLB_INVEPT_TYPE_ROOT,
					soft_root_hpa(vcpu->root));
	}
}

/* ---- steps ------------------------------------------------------------------ */

/* The guest changes its own tables and says so at once. */
static void step_guest_edit(struct world *world, u32 v)
{
	static const enum tlb_edit kinds[] = {
		TLB_EDIT_ADDRESS, TLB_EDIT_ADDRESS, TLB_EDIT_NON_GLOBAL, TLB_EDIT_CONTEXT,
	};
	enum tlb_edit edit = kinds[draw(world, 4)];
	u32 page = draw_page(world, edit);
	struct tlb_facts facts = { .edit = edit, .address = soft_gva(page) };
	struct tlb_soft *soft = &world->tlb[world->vcpu[v].cpu];

	edit_guest(world, v, edit, page);
	decide(world, v, &facts);
	if (!world->vcpu[v].vpid)
		soft_transition(soft);
	world->counts->missed += !!machine_stale_for(world, v);
	run_guest(world, v);
}

/* The host changes the tables of a guest that is not running. */
static void step_host_edit(struct world *world, u32 v)
{
	struct vcpu *vcpu = &world->vcpu[v];
	enum tlb_edit edit = (enum tlb_edit)(TLB_EDIT_ADDRESS + draw(world, 3));
	u32 page = draw_page(world, edit);

	edit_guest(world, v, edit, page);
	if (vcpu->edit != TLB_EDIT_NONE && !vcpu->flushed &&
	    (vcpu->edit != edit || vcpu->edit_page != page))
		edit = TLB_EDIT_CONTEXT;
	vcpu->edit = edit;
	vcpu->edit_page = page;
	vcpu->flushed = false;
}

static void step_root_edit(struct world *world, u32 v)
{
	struct vcpu *vcpu = &world->vcpu[v];
	u32 root = draw(world, SOFT_ROOTS);
	struct tlb_facts facts = { .edit = TLB_EDIT_ROOT, .edited_root = soft_root_hpa(root) };

	edit_root(world, root);
	if (world->last_root_only) {
		flush_from_below(world);
		return;
	}
	mark(world->dirty, root);
	/* Some flush at once, whichever root is in use. */
	if (world->tag == TLB_TAG_ROOT && !draw(world, 2)) {
		decide(world, v, &facts);
		world->dirty[vcpu->cpu][root] = false;
	}
}

/* Another root at the same address. */
static void step_root_reuse(struct world *world)
{
	u32 root = draw(world, SOFT_ROOTS);

	for (u32 n = 0; n < 16; n++)
		edit_root(world, root);
	mark(world->reused, root);
}

static void step_move(struct vcpu *vcpu)
{
	vcpu->cpu = (vcpu->cpu + 1) % CPUS;
	vcpu->moved = true;
}

static void step_switch(struct world *world, struct vcpu *vcpu)
{
	vcpu->root = (vcpu->root + 1 + draw(world, SOFT_ROOTS - 1)) % SOFT_ROOTS;
	vcpu->other_root = true;
}

static void enter(struct world *world, u32 v)
{
	struct vcpu *vcpu = &world->vcpu[v];
	u32 who = world->tag == TLB_TAG_ROOT ? vcpu->cpu : v, root = vcpu->root;
	struct tlb_facts facts = {
		.edit = vcpu->edit,
		.flushed = vcpu->flushed,
		.address = soft_gva(vcpu->edit_page),
		.other_root = vcpu->other_root,
		.moved = vcpu->moved,
		.reused_root = world->reused[who][root],
	};
	struct tlb_facts edited = {
		.edit = TLB_EDIT_ROOT,
		.edited_root = soft_root_hpa(root),
	};

	/* A host that keeps no better account. */
	if (!draw(world, 16)) {
		facts.edit = TLB_EDIT_ALL;
		facts.flushed = false;
	}
	decide(world, v, &facts);
	vcpu->edit = TLB_EDIT_NONE;
	vcpu->other_root = false;
	vcpu->moved = false;
	world->reused[who][root] = false;
	if (world->dirty[who][root])
		decide(world, v, &edited);
	world->dirty[who][root] = false;

	if (!vcpu->vpid)
		soft_transition(&world->tlb[vcpu->cpu]);
	world->counts->steps++;
	world->counts->missed += !!machine_stale_for(world, v);
	run_guest(world, v);
	if (!draw(world, 4))
		step_guest_edit(world, v);
	if (!vcpu->vpid)
		soft_transition(&world->tlb[vcpu->cpu]);
}

static void step(struct world *world)
{
	u32 v = draw(world, VCPUS);
	struct vcpu *vcpu = &world->vcpu[v];

	switch (draw(world, 12)) {
	case 0:
	case 1:
		step_root_edit(world, v);
		break;
	case 2:
	case 3:
		step_switch(world, vcpu);
		break;
	case 4:
	case 5:
		step_host_edit(world, v);
		break;
	case 6:
		step_move(vcpu);
		break;
	case 7:
		if (!draw(world, 4))
			step_root_reuse(world);
		break;
	default:
		break;
	}
	enter(world, draw(world, 2) ? v : draw(world, VCPUS));
}

/* Another kind of machine, all tables filled, all TLBs empty. */
static void rebuild(struct world *world)
{
	static const u64 bits[] = {
		TLB_CAN_INVEPT, TLB_CAN_INVEPT_ROOT, TLB_CAN_INVEPT_ALL, TLB_CAN_INVVPID,
		TLB_CAN_INVVPID_ADDRESS, TLB_CAN_INVVPID_CONTEXT, TLB_CAN_INVVPID_ALL,
		TLB_CAN_INVVPID_NON_GLOBAL,
	};
	bool vpids = draw(world, 4), old = !draw(world, 2);

	world->tag = draw(world, 3) ? TLB_TAG_ROOT : TLB_TAG_ASID;
	world->last_root_only = world->tag == TLB_TAG_ROOT && !draw(world, 4);
	world->can = 0;
	for (u32 n = 0; n < sizeof(bits) / sizeof(bits[0]); n++)
		if (!old || draw(world, 4))
			world->can |= bits[n];
	for (u32 n = 0; n < FRAMES * PER_REGION; n++)
		world->frame[n / PER_REGION][n % PER_REGION] =
			(u8)(draw(world, SOFT_GPAS) | PRESENT);
	for (u32 n = 0; n < SOFT_ROOTS * SOFT_EPT_REGIONS; n++)
		world->ept_table[n / SOFT_EPT_REGIONS][n % SOFT_EPT_REGIONS] = (u8)(n * 2);
	for (u32 n = 0; n < FRAMES; n++)
		world->ept[n / PER_EPT_TABLE][n % PER_EPT_TABLE] = (u8)n;
	for (u32 v = 0; v < VCPUS; v++)
		world->vcpu[v] = (struct vcpu){ .vpid = vpids ? (u16)(v + 1) : 0 };
	for (u32 cpu = 0; cpu < CPUS; cpu++)
		soft_reset(&world->tlb[cpu], world->tag);
	memset(world->dirty, 0, sizeof(world->dirty));
	memset(world->reused, 0, sizeof(world->reused));
}

void world_run(tlb_decide_t decide, u64 seed, u64 steps, struct world_counts *counts)
{
	static struct world world;

	memset(&world, 0, sizeof(world));
	memset(counts, 0, sizeof(*counts));
	world.decide = decide;
	world.counts = counts;
	world.random = seed | 1;
	for (u64 n = 0; n < steps; n++) {
		if (!(n % LIFE))
			rebuild(&world);
		step(&world);
	}
}
