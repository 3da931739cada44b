// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine: two CPUs with a TLB each, three vCPUs that share the EPT roots of one VM.
 *
 * A vCPU's guest has two PCIDs.  The lower half of its linear pages belongs to a PCID,
 * the upper half is global.  A page directory's entry chooses between two page tables;
 * tables are in guest memory, so that a root that maps other memory has other tables.
 * What the host believes (struct account below) is all that goes into the facts.
 */
#include "tests/core/tlb_soft.h"
#include "tests/core/tlb_world.h"

enum { CPUS = 2, VCPUS = 3, SLOTS = 8 };
#define PER_REGION	(SOFT_PAGES / SOFT_REGIONS)
#define PER_EPT_TABLE	(SOFT_GPAS / SOFT_EPT_REGIONS)
#define EPT_TABLES	(SOFT_ROOTS * SOFT_EPT_REGIONS * 2)
/* As many as EPT entries: no two map the same, so an edit is of one root's tables. */
#define FRAMES		(EPT_TABLES * PER_EPT_TABLE)
#define PRESENT		0x80
/* Steps that a machine of one kind lives. */
#define LIFE		2000

struct vcpu {
	u16 vpid;
	u32 cpu, root, pcid;
	/* What the host believes. */
	bool moved, other_root;
	enum tlb_edit edit;
	u32 edit_page;
	bool flushed;
};

struct world {
	tlb_decide_t decide;
	struct world_counts *counts;
	u64 random;
	/* The kind of machine. */
	enum tlb_tag tag;
	bool last_root_only;
	u64 can;
	/* Memory: four entries a frame.  EPT: a table of each region out of two. */
	u8 frame[FRAMES][PER_REGION];
	u8 ept_table[SOFT_ROOTS][SOFT_EPT_REGIONS];
	u8 ept[EPT_TABLES][PER_EPT_TABLE];
	struct vcpu vcpu[VCPUS];
	struct tlb_soft tlb[CPUS];
	/* Not yet flushed by a CPU; without root tags by a vCPU. */
	bool dirty[VCPUS][SOFT_ROOTS];
	bool reused[VCPUS][SOFT_ROOTS];
};

static u32 draw(struct world *world, u32 below)
{
	u64 x = world->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	world->random = x;
	return (u32)((x >> 32) * below >> 32);
}

/* ---- the tables ------------------------------------------------------------- */

static u8 ept_table(const struct world *world, u32 root, u32 gpa)
{
	return world->ept_table[root][gpa / PER_EPT_TABLE];
}

static u8 ept_walk(const struct world *world, u32 root, u32 gpa)
{
	u8 table = ept_table(world, root, gpa);

	return table == SOFT_NONE ? SOFT_NONE : world->ept[table][gpa % PER_EPT_TABLE];
}

/* Guest frames of vCPU v: 8v + PCID are directories, then two tables for each. */
static u32 directory_gpa(u32 v, u32 pcid, u32 region)
{
	return SLOTS * v + (region ? 0 : pcid);
}

static u32 table_gpa(u32 v, u32 pcid, u32 region, u8 entry)
{
	return SLOTS * v + 2 + (region ? 4 : 2 * pcid) + (entry & 1);
}

/* The frame of the guest's page table, given how to translate a GPA. */
static u8 table_frame(const struct world *world, u32 v, u32 pcid, u32 root, u32 region)
{
	u8 frame = ept_walk(world, root, directory_gpa(v, pcid, region));
	u8 entry = frame == SOFT_NONE ? 0 : world->frame[frame][region];

	if (!(entry & PRESENT))
		return SOFT_NONE;
	return ept_walk(world, root, table_gpa(v, pcid, region, entry));
}

static u8 page_frame(const struct world *world, u32 v, u32 pcid, u32 root, u32 page)
{
	u8 frame = table_frame(world, v, pcid, root, page / PER_REGION);
	u8 entry = frame == SOFT_NONE ? 0 : world->frame[frame][page % PER_REGION];

	if (!(entry & PRESENT))
		return SOFT_NONE;
	return ept_walk(world, root, entry % SOFT_GPAS);
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
				 differs(cached, page_frame(world, v, of, root, page));
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
		stale += differs(soft->gpa[at][gpa], ept_walk(world, root, gpa));
	for (u32 region = 0; region < SOFT_EPT_REGIONS; region++)
		stale += differs(soft->gpa_table[at][region], world->ept_table[root][region]);
	return stale;
}

static u32 stale_for(const struct world *world, u32 v)
{
	const struct vcpu *vcpu = &world->vcpu[v];
	const struct tlb_soft *soft = &world->tlb[vcpu->cpu];

	return stale_combined(world, soft, v, vcpu->root) +
	       stale_guest_physical(world, soft, vcpu->vpid, vcpu->root);
}

/* All of a CPU, for @v and the other vCPUs. */
static u32 stale_on(const struct world *world, u32 cpu, u32 v)
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
	frame = use_gpa(world, vcpu, directory_gpa(v, vcpu->pcid, region));
	entry = frame == SOFT_NONE ? 0 : world->frame[frame][region];
	if (entry & PRESENT)
		*cached = use_gpa(world, vcpu, table_gpa(v, vcpu->pcid, region, entry));
	return *cached;
}

static u8 use_page(struct world *world, u32 v, u32 page)
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
		world->counts->stale += use_page(world, v, page) !=
			page_frame(world, v, vcpu->pcid, vcpu->root, page);
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
		before = stale_on(world, vcpu->cpu, v);
		counts->failed += flush_tlb(&soft_ops, soft, &decision) != 0;
		counts->unneeded += stale_on(world, vcpu->cpu, v) == before;
	}
	believe(world, vcpu, &decision);
}

/* ---- edits ------------------------------------------------------------------ */

static void write_entry(struct world *world, u32 root, u32 gpa, u32 index)
{
	u8 frame = ept_walk(world, root, gpa);

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
		write_entry(world, vcpu->root, directory_gpa(v, pcid, region), region);
		return;
	}
	if (edit == TLB_EDIT_ADDRESS && !region)
		pcid = vcpu->pcid;
	frame = ept_walk(world, vcpu->root, directory_gpa(v, pcid, region));
	entry = frame == SOFT_NONE ? 0 : world->frame[frame][region];
	if (entry & PRESENT)
		write_entry(world, vcpu->root, table_gpa(v, pcid, region, entry),
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
	world->counts->missed += !!stale_for(world, v);
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
	world->counts->missed += !!stale_for(world, v);
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
