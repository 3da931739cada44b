/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest for the tests of shadow paging: its memory, a processor that walks the
 * shadow tables with core/walk.c, and a TLB that keeps what it saw until it is told to
 * drop it.  Needs no test framework: a broken promise of the shadow aborts.
 */
#ifndef TESTS_CORE_SHADOW_GUEST_H
#define TESTS_CORE_SHADOW_GUEST_H

#include <stdio.h>
#include <stdlib.h>

#include "plat.h"
#include "shadow.h"

#define GUEST_PAGES	2048u		/* 8 MiB: four large pages */
#define GUEST_VCPUS	2
#define GUEST_TLB	128
#define GUEST_LOG	16

/* x86 entry flags of the guest's tables. */
#define G_P	1ull
#define G_W	2ull
#define G_U	4ull
#define G_A	0x20ull
#define G_D	0x40ull
#define G_LARGE	0x80ull
#define G_G	0x100ull
#define G_NX	(1ull << 63)

#define CR0_ON	0x80000001ull		/* PG, PE */
#define CR0_WP	(1ull << 16)
#define CR4_ON	0x20ull			/* PAE */
#define CR4_PGE	(1ull << 7)
#define CR4_LA57 (1ull << 12)
#define CR4_PCIDE (1ull << 17)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)
#define CR4_PKE	(1ull << 22)
#define EFER_ON	0x500ull		/* LME, LMA */
#define EFER_NXE (1ull << 11)
#define RFLAGS_AC (1ull << 18)
#define CR3_KEEP (1ull << 63)

#define guest_check(what) do {							\
	if (!(what)) {								\
		fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);	\
		abort();							\
	}									\
} while (0)

/* What the host allows of a page. */
#define HOST_MISSING	1u
#define HOST_READ_ONLY	2u
#define HOST_NO_EXECUTE	4u

struct guest_tlb_entry {
	bool valid;
	bool global;
	u16 pcid;
	u32 key;			/* kind of access, and the mode */
	u64 vpn;
	u64 page;			/* HPA */
};

struct guest {
	void *mapping;
	u8 *frames;			/* host memory: 2 * GUEST_PAGES */
	u32 frame[GUEST_PAGES];		/* host frame of each guest page */
	u32 home[GUEST_PAGES];		/* where it was at the start */
	u8 host[GUEST_PAGES];		/* HOST_* */
	struct walk_memory memory;	/* by GPA */
	struct shadow_page_table *table;
	struct shadow_vcpu vcpu[GUEST_VCPUS];
	u64 rflags;
	u32 next_free;			/* guest_table() */
	struct guest_tlb_entry tlb[GUEST_VCPUS][GUEST_TLB];
	u32 flushes_address, flushes_context, flushes_all;
	/* Entries that the shadow changed in the last access. */
	struct walk_step log[GUEST_LOG];
	u32 logged;
	u32 retries;			/* of the last access */
	/* Called by translate, once: the other processor. */
	void (*meddle)(struct guest *guest);
	bool no_table_write;		/* exchange finds no writable memory */
};

/* How an access ended. */
struct guest_outcome {
	enum mmu_result result;	/* MMU_RETRY: done, at .gpa */
	u32 error_code;
	u64 gpa;
	bool emulate;			/* done, and the write has to be emulated */
};

/* A guest with a shadow of @max_pages; NULL if that fails (-errno in *@err). */
struct guest *guest_create(u32 max_pages, int *err);
void guest_destroy(struct guest *guest);

/* Fills the parameters that guest_create() uses. */
void guest_params(struct guest *guest, u32 max_pages, struct shadow_params *params);

/* Guest memory by GPA. */
u64 *guest_at(struct guest *guest, u64 gpa);

/* Takes a page for a table: its GPA. */
u64 guest_table(struct guest *guest);

/*
 * Maps @gva to @gpa in the guest's tables below @cr3: @levels deep, the leaf at @level,
 * with @flags on the leaf; tables that are missing get P, W, U.  By direct writes,
 * reported with shadow_guest_wrote().
 */
void guest_map(struct guest *guest, u64 cr3, u32 levels, u32 level, u64 gva, u64 gpa,
	       u64 flags);

/* GPA of the entry for @gva at @level. */
u64 guest_entry(struct guest *guest, u64 cr3, u32 levels, u32 level, u64 gva);

/* The processor accesses @gva. */
struct guest_outcome guest_access(struct guest *guest, u32 vcpu, u64 gva, u32 access);

/* The guest's store of @value at @gva, emulated if it must be. */
struct guest_outcome guest_store(struct guest *guest, u32 vcpu, u64 gva, u64 value,
				 u32 access);

/* Gives guest page @gfn another host frame, with its bytes. */
void guest_move(struct guest *guest, u32 gfn);

#endif /* TESTS_CORE_SHADOW_GUEST_H */
