/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Shadow paging: tables that the processor walks from GVA to HPA, built on demand
 * from the guest's own tables, for a processor or a guest without EPT.
 *
 * The guest's tables are 4-level or 5-level.  32-bit and PAE tables, a guest with
 * paging off and protection keys are refused: -EOPNOTSUPP.
 *
 * The processor runs the guest on shadow_root() with CR0.WP = 1 and EFER.NXE = 1,
 * and with the guest's CR4.SMEP, CR4.SMAP, CR4.PGE, CR4.LA57 and RFLAGS.AC.  The
 * hypervisor intercepts page faults, INVLPG, INVPCID, and writes to CR0, CR3, CR4 and
 * EFER.  All guest memory is write-back: PWT, PCD and PAT are not followed.
 *
 * What a table page is to the shadow, and when it is read (SDM volume 3, "Caching
 * Translation Information" allows the processor the same):
 *
 *	tracked		the guest cannot write it; each write is emulated, and takes
 *			effect at once
 *	out of sync	a leaf table that the guest writes freely; the shadow follows at
 *			INVLPG and at loads of CR3
 *
 * One struct shadow_page_table serves all vCPUs of a VM.  The caller serialises all
 * calls for one table; they may sleep.
 */
#ifndef CORE_SHADOW_H
#define CORE_SHADOW_H

#include "mmu_types.h"
#include "types.h"
#include "walk.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Roots that each vCPU remembers with their PCID. */
#define SHADOW_ROOTS	8

/* Bounds of struct shadow_params.max_pages. */
#define SHADOW_PAGES_MIN	32u
#define SHADOW_PAGES_MAX	(1u << 20)

struct shadow_page_table;
struct shadow_page;

/**
 * struct shadow_host_page - the host's page behind a GPA
 * @hpa: its first byte, aligned to 4 KiB
 * @writable: the guest may write it
 * @executable: the guest may execute it
 * @large: @hpa's whole aligned 2 MiB are the GPA's whole aligned 2 MiB, all of them
 *	with the same @writable and @executable
 */
struct shadow_host_page {
	hypr_hpa_t hpa;
	bool writable;
	bool executable;
	bool large;
};

/**
 * struct shadow_allocator - where the memory of shadow pages comes from
 * @get: zeroed pages of 4 KiB, 1 or 2 and contiguous, that plat_virt_to_hpa() accepts;
 *	NULL if there are none
 * @put: takes back what @get returned
 * @context: the first argument of both
 *
 * Both are called under the caller's lock, by calls for one table alone.
 */
struct shadow_allocator {
	void *(*get)(void *context, u32 pages);
	void (*put)(void *context, void *memory, u32 pages);
	void *context;
};

/* What one call takes of @get at most: shadow pages, each with 1 page and with 2. */
#define SHADOW_TAKES	8

/**
 * struct shadow_params - what a shadow page table is made for
 * @memory: guest memory by GPA, for the guest's tables; exchange must not be NULL
 * @translate: finds the page behind @gpa, makes it writable if @write and possible;
 *	0, or any negative error if no memory is there; must not call shadow_*()
 * @context: first argument of @translate
 * @tlb: the TLB of this VM
 * @maxphyaddr: physical-address width that the guest sees, 32 to 52
 * @cpu_flags: WALK_PAGE_1G if the guest's processor has 1 GiB pages
 * @max_pages: shadow pages at most, SHADOW_PAGES_MIN to SHADOW_PAGES_MAX
 * @hash_key: random, so that no guest can choose pages that collide
 * @allocator: @get NULL: plat_page_alloc()
 */
struct shadow_params {
	const struct walk_memory *memory;
	int (*translate)(void *context, hypr_gpa_t gpa, bool write,
			 struct shadow_host_page *page);
	void *context;
	struct mmu_tlb tlb;
	u8 maxphyaddr;
	u32 cpu_flags;
	u32 max_pages;
	u64 hash_key;
	struct shadow_allocator allocator;
};

/**
 * struct shadow_stats - counters since create_shadow_page_table()
 * @pages: shadow pages in use now
 * @unsync: of these, out of sync
 * @faults: calls of shadow_fault()
 * @reflected: of these, page faults of the guest's own
 * @emulated: of these, writes that the caller has to emulate
 * @recycled: shadow pages dropped because the bound was reached
 * @flooded: shadow pages dropped because the guest kept writing their table
 * @synced: tables read again as a whole
 * @splits: large guest pages that needed smaller shadow entries
 * @work: entries looked at or changed; what one call adds is bounded
 * @flushes: calls of tlb.flush_all()
 */
struct shadow_stats {
	u64 pages;
	u64 unsync;
	u64 faults;
	u64 reflected;
	u64 emulated;
	u64 recycled;
	u64 flooded;
	u64 synced;
	u64 splits;
	u64 work;
	u64 flushes;
};

/**
 * struct shadow_vcpu - a vCPU; all fields are the shadow's
 * @table: the VM's
 * @walk: how to walk the guest's tables
 * @cr0, @cr3, @cr4, @efer: the guest's
 * @root: shadow page of the root table, pinned; NULL before shadow_load_cr3()
 * @known: roots whose PCID's TLB entries are this root's; [0] was used last
 */
struct shadow_vcpu {
	struct shadow_page_table *table;
	struct walk walk;
	u64 cr0;
	u64 cr3;
	u64 cr4;
	u64 efer;
	struct shadow_page *root;
	struct {
		u64 root;
		u16 pcid;
		bool valid;
	} known[SHADOW_ROOTS];
};

/**
 * struct shadow_fault - what shadow_fault() found
 * @result: what the caller does
 * @error_code: of MMU_REFLECT
 * @gpa: of MMU_EMULATE and MMU_NO_MEMORY; of MMU_NO_TABLE that of the table's entry
 */
struct shadow_fault {
	enum mmu_result result;
	u32 error_code;
	hypr_gpa_t gpa;
};

/**
 * create_shadow_page_table() - shadow page tables for one VM
 * @params: copied; what @params->memory points to is the caller's and stays
 * @table: receives the new table, destroyed by destroy_shadow_page_table()
 *
 * Return: 0; -EINVAL if a parameter is out of range; -ENOMEM.
 */
int create_shadow_page_table(const struct shadow_params *params,
			     struct shadow_page_table **table);

/**
 * destroy_shadow_page_table() - give everything back; NULL is allowed
 *
 * No CPU uses one of its roots any more.
 */
void destroy_shadow_page_table(struct shadow_page_table *table);

/** shadow_vcpu_init() - a vCPU of @table; @vcpu is the caller's memory */
void shadow_vcpu_init(struct shadow_vcpu *vcpu, struct shadow_page_table *table);

/** shadow_vcpu_fini() - @vcpu runs no more; its root may be recycled */
void shadow_vcpu_fini(struct shadow_vcpu *vcpu);

/**
 * shadow_set_registers() - the guest changed CR0, CR4 or EFER
 *
 * To be called before the first shadow_load_cr3() and at each change.  With a root
 * loaded, a change that the SDM lets invalidate the TLB (CR0.PG, CR0.WP, CR4.PGE,
 * CR4.PCIDE, CR4.SMEP, CR4.SMAP, CR4.LA57, EFER.NXE) synchronises, flushes, and
 * changes the root.
 *
 * Return: 0; -EOPNOTSUPP for a paging mode that is refused (see the top); -ENOMEM.  On
 * an error the vCPU is as before.
 */
int shadow_set_registers(struct shadow_vcpu *vcpu, u64 cr0, u64 cr4, u64 efer);

/**
 * shadow_load_cr3() - the guest loads CR3
 * @cr3: as the guest's instruction has it, bit 63 included: with CR4.PCIDE, bit 63
 *	keeps the PCID's entries ("Operations that Invalidate TLBs")
 *
 * Return: 0; -EINVAL if @cr3 has reserved bits (the guest gets #GP), or no registers
 * are set; -ENOMEM.  On an error the vCPU is as before.
 */
int shadow_load_cr3(struct shadow_vcpu *vcpu, u64 cr3);

/** shadow_root() - what the processor's CR3 holds while it runs @vcpu, without a PCID */
hypr_hpa_t shadow_root(const struct shadow_vcpu *vcpu);

/** shadow_pcid() - the guest's current PCID; 0 without CR4.PCIDE */
u16 shadow_pcid(const struct shadow_vcpu *vcpu);

/**
 * shadow_fault() - the processor reports a page fault on the shadow tables
 * @vcpu: with a root loaded
 * @gva: CR2
 * @access: WALK_WRITE, WALK_FETCH, WALK_USER, WALK_IMPLICIT: the access
 * @rflags: the guest's, for RFLAGS.AC
 * @fault: filled on success
 *
 * Walks the guest's tables as the processor does, accessed and dirty flags included,
 * and makes the shadow entries that the access needs.
 *
 * Return: 0; -ENOMEM; -EINVAL if no root is loaded, @gva is not canonical or @access
 * contradicts itself.
 */
int shadow_fault(struct shadow_vcpu *vcpu, hypr_gva_t gva, u32 access, u64 rflags,
		 struct shadow_fault *fault);

/* Pages that an opening has at most, and tables that it takes for them. */
#define SHADOW_OPEN_PAGES	2u
#define SHADOW_OPEN_TABLES	(1 + SHADOW_OPEN_PAGES * (WALK_LEVELS - 1))

/**
 * struct shadow_opening - tables of one vCPU's own, on which it writes what others may not
 * @table: pages of 4 KiB of plat_page_alloc(), the caller's; [0] becomes the root
 * @tables: in use; 0 before the first shadow_open_page()
 */
struct shadow_opening {
	u64 *table[SHADOW_OPEN_TABLES];
	u32 tables;
};

/**
 * shadow_open_page() - let the vCPU write a page, where shadow_fault() wants the write emulated
 * @gva, @access, @rflags: as for shadow_fault()
 * @opening: gets the page, beside those that it has: SHADOW_OPEN_PAGES at most, all added
 *	without another call for the shadow page table in between
 * @gpa, @hpa: the page
 *
 * Where @gva leads, the opening's tables let the vCPU write.  All else is as in the vCPU's
 * tables, which stay as they are.  The opening is like what a TLB holds: from the next
 * tlb.flush_all() on no processor may use it.  The caller flushes the vCPU's TLB before
 * and after, ends the opening at the vCPU's next exit, and reports what was written there
 * by shadow_guest_wrote(); to other vCPUs not later than their next INVLPG or load of CR3.
 *
 * Return: false if there is nothing to open: the vCPU runs on its own tables, and may fault
 * again.
 */
bool shadow_open_page(const struct shadow_vcpu *vcpu, hypr_gva_t gva, u32 access, u64 rflags,
		      struct shadow_opening *opening, hypr_gpa_t *gpa, hypr_hpa_t *hpa);

/** shadow_open_root() - what the processor's CR3 holds for an opening, without a PCID */
hypr_hpa_t shadow_open_root(const struct shadow_opening *opening);

/** shadow_invlpg() - the guest executes INVLPG, or INVPCID type 0 for its own PCID */
void shadow_invlpg(struct shadow_vcpu *vcpu, hypr_gva_t gva);

/** shadow_flush_context() - the guest drops the entries of its PCID that are not global */
void shadow_flush_context(struct shadow_vcpu *vcpu);

/** shadow_invalidate() - any other INVPCID: every table is synchronised, all is flushed */
void shadow_invalidate(struct shadow_page_table *table);

/**
 * shadow_guest_wrote() - guest memory has been written by something else than the
 * guest's own stores: by MMU_EMULATE, by a device, by the host
 * @gpa: first byte
 * @bytes: any number; the range does not wrap
 *
 * To be called after the write.
 */
void shadow_guest_wrote(struct shadow_page_table *table, hypr_gpa_t gpa, u64 bytes);

/**
 * shadow_read_again() - guest memory may have been written, by a way that nobody saw
 * @gpa: first byte
 * @bytes: any number; the range does not wrap
 *
 * As shadow_guest_wrote(), but for tables that are mostly as they were: what still agrees
 * with them stays.
 */
void shadow_read_again(struct shadow_page_table *table, hypr_gpa_t gpa, u64 bytes);

/**
 * shadow_host_changed() - what @translate answers for [@gpa, @gpa + @bytes) changes
 *
 * To be called after the change, and before the old pages are reused: no CPU can reach
 * them when it returns.
 */
void shadow_host_changed(struct shadow_page_table *table, hypr_gpa_t gpa, u64 bytes);

/** shadow_forget() - drop each shadow page that no vCPU runs on, and all entries */
void shadow_forget(struct shadow_page_table *table);

/** shadow_trim() - give back the memory of shadow pages that are not in use */
void shadow_trim(struct shadow_page_table *table);

/** shadow_stats() - the counters */
void shadow_stats(const struct shadow_page_table *table, struct shadow_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* CORE_SHADOW_H */
