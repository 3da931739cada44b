/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * EPT: the tables by which an Intel CPU translates GPA to HPA.
 *
 * A context owns one tree of table pages.  A mapping gives a range of GPAs to a
 * range of HPAs; the mapper takes the largest page that fits, splits a large page
 * of which a part changes, and merges 512 small pages that continue each other.
 *
 * No operation leaves a half change: it checks the whole range, then takes all
 * table pages that it needs, then edits, and the edit cannot fail.
 *
 * The caller serialises the operations on a context.  CPUs may walk the tables
 * concurrently and set accessed and dirty bits.  After an edit that reports
 * edit->invept the caller executes INVEPT for ept_context_eptp() on each CPU
 * that has used the context, then calls ept_release_tables().
 *
 * Rules of the entries: Intel SDM volume 3C, "EPT Translation Mechanism", "EPT
 * Misconfigurations", "Guidelines for Use of the INVEPT Instruction".
 * docs/spec/ept-rules.md lists them; ept_check.h checks them independently.
 */
#ifndef CORE_EPT_H
#define CORE_EPT_H

#include "plat.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Permissions and memory type of a mapping, at their places in an EPT entry
 * (SDM, "Format of an EPT Page-Table Entry that Maps a 4-KByte Page").
 */
#define EPT_READ	(1u << 0)
#define EPT_WRITE	(1u << 1)
/* Instruction fetches; with mode-based execute control: those of supervisor mode. */
#define EPT_EXEC	(1u << 2)
/* Instruction fetches from user-mode linear addresses; needs mode-based execute control. */
#define EPT_USER_EXEC	(1u << 10)
#define EPT_RWX		(EPT_READ | EPT_WRITE | EPT_EXEC)

/* Memory type: one of these. */
#define EPT_UC		(0u << 3)
#define EPT_WC		(1u << 3)
#define EPT_WT		(4u << 3)
#define EPT_WP		(5u << 3)
#define EPT_WB		(6u << 3)
#define EPT_TYPE	(7u << 3)
/* The guest's PAT does not change the memory type. */
#define EPT_IGNORE_PAT	(1u << 6)

#define EPT_ATTRIBUTES	(EPT_RWX | EPT_USER_EXEC | EPT_TYPE | EPT_IGNORE_PAT)

/* Accessed and dirty bits: what ept_ad_read() and ept_ad_clear() look for. */
#define EPT_ACCESSED	(1u << 8)
#define EPT_DIRTY	(1u << 9)

/**
 * enum ept_refusal - why an operation refused
 *
 * An operation checks in this order and returns the first reason.  After any
 * reason the context is as it was before the call.
 * ept_refusal_name() is the reason as text, ept_refusal_errno() as -errno.
 */
enum ept_refusal {
	/* The operation is done. */
	EPT_OK = 0,
	/* -EINVAL: a capability or the number of levels is out of range. */
	EPT_BAD_CAPABILITIES,
	/* -EINVAL: the size is 0. */
	EPT_ZERO_SIZE,
	/* -EINVAL: GPA, HPA or size is no multiple of 4 KiB. */
	EPT_UNALIGNED,
	/* -ERANGE: GPA + size or HPA + size wraps at 2^64. */
	EPT_WRAPS,
	/* -EINVAL: a bit outside of EPT_ATTRIBUTES is set, or @which is no A/D bit. */
	EPT_UNKNOWN_PERMISSIONS,
	/* -EINVAL: memory type 2, 3 or 7 (SDM, "EPT Misconfigurations"). */
	EPT_RESERVED_TYPE,
	/* -EINVAL: neither read, write nor execute; ept_unmap() does that. */
	EPT_NO_ACCESS,
	/* -EINVAL: write without read (SDM, "EPT Misconfigurations"). */
	EPT_WRITE_WITHOUT_READ,
	/* -EOPNOTSUPP: EPT_USER_EXEC without mode-based execute control. */
	EPT_NO_USER_EXECUTE,
	/* -EOPNOTSUPP: execute without read, which this CPU does not have. */
	EPT_NO_EXECUTE_ONLY,
	/* -EOPNOTSUPP: the context has no accessed and dirty bits. */
	EPT_NO_ACCESSED_DIRTY,
	/* -ERANGE: the range ends beyond 48 bits of GPA (4 levels) or 57 (5 levels). */
	EPT_BEYOND_GPA_WIDTH,
	/* -ERANGE: the range ends beyond MAXPHYADDR. */
	EPT_BEYOND_MAXPHYADDR,
	/* -EEXIST: a part of the range is mapped. */
	EPT_OVERLAP,
	/* -ENOENT: a part of the range is not mapped. */
	EPT_NOT_MAPPED,
	/* -ENOMEM: no table page. */
	EPT_NO_MEMORY,
	/* -ERANGE: the allocator returned a table page beyond MAXPHYADDR. */
	EPT_TABLE_BEYOND_MAXPHYADDR,
	EPT_REFUSAL_COUNT,
};

/**
 * struct ept_capabilities - what the CPU's EPT can do
 * @maxphyaddr: width of a host-physical address in bits, [32, 52] (CPUID 80000008H)
 * @page_2m: 2 MiB pages; bit 16 of IA32_VMX_EPT_VPID_CAP
 * @page_1g: 1 GiB pages; bit 17.  Used with @page_2m only: a part of one changes by a split
 * @execute_only: execute without read; bit 0
 * @accessed_dirty: accessed and dirty bits, which the EPTP then enables; bit 21
 * @user_execute: the VMCS has "mode-based execute control for EPT" set
 *
 * SDM, "VPID and EPT Capabilities".
 */
struct ept_capabilities {
	u8 maxphyaddr;
	bool page_2m;
	bool page_1g;
	bool execute_only;
	bool accessed_dirty;
	bool user_execute;
};

/**
 * struct ept_allocator - where table pages come from
 * @get: returns a zeroed page of 4 KiB that plat_virt_to_hpa() accepts, aligned to
 *	its size; NULL if there is none
 * @put: takes back what @get returned; its bytes may have any value
 * @context: the first argument of both
 *
 * Both are called by the operations of ept.h alone, under the caller's lock.
 */
struct ept_allocator {
	void *(*get)(void *context);
	void (*put)(void *context, void *page);
	void *context;
};

/**
 * struct ept_statistics - what a context holds, and has done
 * @tables: table pages of the tree, with the root
 * @retired: table pages that wait for ept_release_tables()
 * @pages: mapped pages of 4 KiB, 2 MiB and 1 GiB
 * @splits: large pages split since init
 * @merges: tables merged into a large page since init
 * @ad_tables: table pages that ept_ad_read() and ept_ad_clear() have read since init
 */
struct ept_statistics {
	u64 tables;
	u64 retired;
	u64 pages[3];
	u64 splits;
	u64 merges;
	u64 ad_tables;
};

/**
 * struct ept_context - one tree of EPT tables
 * @root: the root table page, owned
 * @levels: 4 or 5
 * @can: capabilities, fixed at init
 * @keep_small: the caller may set it at any time: no merge while it is set.  A merge
 *	loses a dirty bit that a CPU sets between the merge and the INVEPT; a caller
 *	that edits while vCPUs run and reads dirty bits sets it.
 * @allocator: where table pages come from
 * @retired: table pages out of the tree that a CPU may still have cached
 * @stats: statistics, read-only for the caller
 */
struct ept_context {
	u64 *root;
	u32 levels;
	struct ept_capabilities can;
	bool keep_small;
	struct ept_allocator allocator;
	u64 *retired;
	struct ept_statistics stats;
};

/**
 * struct memory_mapping - a range of GPAs and the HPAs behind it
 * @gpa: first byte, a multiple of 4 KiB
 * @hpa: what @gpa translates to, a multiple of 4 KiB
 * @size: bytes, a multiple of 4 KiB
 * @permissions: bits of EPT_ATTRIBUTES
 */
struct memory_mapping {
	hypr_gpa_t gpa;
	hypr_hpa_t hpa;
	u64 size;
	u32 permissions;
};

/**
 * struct ept_edit - what an operation changed
 * @start: first GPA whose entry was written
 * @end: GPA after the last one; @start == @end if nothing was written
 * @invept: a present entry was changed, or a table page was taken out of the tree:
 *	the caller must execute INVEPT.  Clear after not present became present
 *	(SDM, "Guidelines for Use of the INVEPT Instruction").
 */
struct ept_edit {
	hypr_gpa_t start;
	hypr_gpa_t end;
	bool invept;
};

/** ept_refusal_name() - @why as text for a person; "unknown" beyond the enum */
const char *ept_refusal_name(enum ept_refusal why);

/** ept_refusal_errno() - 0 for EPT_OK, else the -errno that enum ept_refusal gives */
int ept_refusal_errno(enum ept_refusal why);

/**
 * init_ept_context() - an empty context
 * @ept: caller's memory, its bytes may have any value
 * @levels: 4 or 5
 * @can: capabilities, copied
 * @allocator: copied; NULL for plat_page_alloc()
 *
 * Return: EPT_OK; EPT_BAD_CAPABILITIES; EPT_NO_MEMORY; EPT_TABLE_BEYOND_MAXPHYADDR.
 * After a refusal @ept holds nothing, and fini_ept_context() is allowed.
 */
enum ept_refusal init_ept_context(struct ept_context *ept, u32 levels,
				  const struct ept_capabilities *can,
				  const struct ept_allocator *allocator);

/** fini_ept_context() - give back all table pages; no CPU may use them; NULL is allowed */
void fini_ept_context(struct ept_context *ept);

/**
 * ept_context_eptp() - the EPT pointer of @ept
 *
 * Write-back tables, walk length, accessed and dirty bits if the context has them
 * (SDM, "Extended-Page-Table Pointer (EPTP)").
 */
u64 ept_context_eptp(const struct ept_context *ept);

/** ept_mapped_bytes() - bytes of GPA that are mapped */
u64 ept_mapped_bytes(const struct ept_context *ept);

/**
 * init_memory_mapping() - fill and check a mapping, as far as no context is needed
 * @mapping: caller's memory; unchanged after a refusal
 *
 * Return: EPT_OK, or a reason from EPT_ZERO_SIZE to EPT_WRITE_WITHOUT_READ.
 */
enum ept_refusal init_memory_mapping(struct memory_mapping *mapping, hypr_gpa_t gpa,
				     hypr_hpa_t hpa, u64 size, u32 permissions);

/**
 * ept_map_memory() - map a range that is not mapped
 * @edit: out; all zero after a refusal
 *
 * edit->invept is set only if small pages were merged.
 *
 * Return: EPT_OK; those of init_memory_mapping(); EPT_NO_USER_EXECUTE;
 * EPT_NO_EXECUTE_ONLY; EPT_BEYOND_GPA_WIDTH; EPT_BEYOND_MAXPHYADDR; EPT_OVERLAP;
 * EPT_NO_MEMORY; EPT_TABLE_BEYOND_MAXPHYADDR.
 */
enum ept_refusal ept_map_memory(struct ept_context *ept, const struct memory_mapping *mapping,
				struct ept_edit *edit);

/**
 * ept_unmap() - unmap what is mapped of a range
 * @size: bytes, a multiple of 4 KiB
 * @edit: out; all zero after a refusal
 *
 * Parts that are not mapped are passed over.  Needs table pages if an edge of the
 * range cuts a large page.
 *
 * Return: EPT_OK; EPT_ZERO_SIZE; EPT_UNALIGNED; EPT_WRAPS; EPT_BEYOND_GPA_WIDTH;
 * EPT_NO_MEMORY; EPT_TABLE_BEYOND_MAXPHYADDR.
 */
enum ept_refusal ept_unmap(struct ept_context *ept, hypr_gpa_t gpa, u64 size,
			   struct ept_edit *edit);

/**
 * ept_protect() - give a mapped range other permissions and memory type
 * @permissions: bits of EPT_ATTRIBUTES; they replace the old ones
 * @edit: out; all zero after a refusal
 *
 * Accessed and dirty bits stay.  Entries that have @permissions are not written.
 *
 * Return: as ept_map_memory(), with EPT_NOT_MAPPED if a part is not mapped instead of
 * EPT_OVERLAP.
 */
enum ept_refusal ept_protect(struct ept_context *ept, hypr_gpa_t gpa, u64 size,
			     u32 permissions, struct ept_edit *edit);

/**
 * ept_translate() - the first run of a range
 * @size: bytes to look at, a multiple of 4 KiB
 * @run: out: as many bytes from @gpa on, at most @size, as one struct memory_mapping
 *	can say.  After EPT_NOT_MAPPED run->size is the bytes that are not mapped, and
 *	run->hpa and run->permissions are 0.
 *
 * A caller that wants the whole range continues at @gpa + run->size.
 *
 * Return: EPT_OK; EPT_NOT_MAPPED; EPT_ZERO_SIZE; EPT_UNALIGNED; EPT_WRAPS;
 * EPT_BEYOND_GPA_WIDTH.
 */
enum ept_refusal ept_translate(const struct ept_context *ept, hypr_gpa_t gpa, u64 size,
			       struct memory_mapping *run);

/**
 * ept_entry() - the entry that ends the walk for @gpa
 * @level: out: the entry's level, 1 for a page-table entry
 *
 * Return: the entry as the CPU reads it: a page, or not present.  0 at the root's
 * level for a GPA beyond the context's width.
 */
u64 ept_entry(const struct ept_context *ept, hypr_gpa_t gpa, u32 *level);

/**
 * ept_touched_fn - called for each page that has a wanted bit, in order of GPA
 * @gpa: first byte of the page, or of its part in the range
 * @size: bytes of the page that lie in the range
 * @bits: EPT_ACCESSED, EPT_DIRTY
 *
 * It must not edit the context.
 */
typedef void (*ept_touched_fn)(void *argument, hypr_gpa_t gpa, u64 size, u32 bits);

/**
 * ept_ad_read() - report pages whose accessed or dirty bit is set
 * @which: EPT_ACCESSED, EPT_DIRTY or both
 * @touched: called for each; NULL is allowed
 *
 * The read passes over a whole table if the entry above it has not been accessed
 * (SDM, "Accessed and Dirty Flags for EPT").
 *
 * Return: EPT_OK; EPT_ZERO_SIZE; EPT_UNALIGNED; EPT_WRAPS; EPT_UNKNOWN_PERMISSIONS;
 * EPT_NO_ACCESSED_DIRTY; EPT_BEYOND_GPA_WIDTH.
 */
enum ept_refusal ept_ad_read(struct ept_context *ept, hypr_gpa_t gpa, u64 size, u32 which,
			     ept_touched_fn touched, void *argument);

/**
 * ept_ad_clear() - report as ept_ad_read(), and clear the bits reported
 * @edit: out; edit->invept is set if a bit was cleared
 *
 * A large page that lies only in part in the range keeps its bits.
 *
 * No CPU may run on the context from this call to the end of the INVEPT: a CPU that
 * has the upper entries cached sets the bits of a page without those above it, and
 * the next read would pass over them.
 *
 * Return: as ept_ad_read().
 */
enum ept_refusal ept_ad_clear(struct ept_context *ept, hypr_gpa_t gpa, u64 size, u32 which,
			      ept_touched_fn touched, void *argument, struct ept_edit *edit);

/**
 * ept_release_tables() - give retired table pages back to the allocator
 *
 * The caller has executed INVEPT on each CPU that used the context since the first
 * edit that retired one.
 */
void ept_release_tables(struct ept_context *ept);

#ifdef __cplusplus
}
#endif

#endif /* CORE_EPT_H */
