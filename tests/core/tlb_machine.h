/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The machine of tlb_world.c: two CPUs with a TLB each, three vCPUs that share the EPT
 * roots of one VM.
 *
 * A vCPU's guest has two PCIDs.  The lower half of its linear pages belongs to a PCID,
 * the upper half is global.  A page directory's entry chooses between two page tables;
 * tables are in guest memory, so that a root that maps other memory has other tables.
 */
#ifndef TESTS_CORE_TLB_MACHINE_H
#define TESTS_CORE_TLB_MACHINE_H

#include "tests/core/tlb_soft.h"
#include "tests/core/tlb_world.h"

enum { CPUS = 2, VCPUS = 3, SLOTS = 8 };
#define PER_REGION	(SOFT_PAGES / SOFT_REGIONS)
#define PER_EPT_TABLE	(SOFT_GPAS / SOFT_EPT_REGIONS)
#define EPT_TABLES	(SOFT_ROOTS * SOFT_EPT_REGIONS * 2)
/* As many as EPT entries: no two map the same, so an edit is of one root's tables. */
#define FRAMES		(EPT_TABLES * PER_EPT_TABLE)
#define PRESENT		0x80

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

/* Where vCPU @v's tables are: guest frames. */
u32 machine_directory_gpa(u32 v, u32 pcid, u32 region);
u32 machine_table_gpa(u32 v, u32 pcid, u32 region, u8 entry);

/* What the tables say now: a host frame, or SOFT_NONE. */
u8 machine_ept_walk(const struct world *world, u32 root, u32 gpa);
u8 machine_page_frame(const struct world *world, u32 v, u32 pcid, u32 root, u32 page);

/* What vCPU @v gets, by way of its CPU's TLB, which keeps what it finds. */
u8 machine_use_page(struct world *world, u32 v, u32 page);

/* TLB entries that differ from the tables: those that @v can use; all of a CPU. */
u32 machine_stale_for(const struct world *world, u32 v);
u32 machine_stale_on(const struct world *world, u32 cpu, u32 v);

#endif /* TESTS_CORE_TLB_MACHINE_H */
