/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * One walker for every page table of the machine: 32-bit, PAE, 4-level and 5-level
 * x86 tables, 4-level and 5-level EPT.
 *
 * A struct walk_format describes a table level by level; walk_translate() reads any
 * of them through the caller's accessor, so that hostile guest tables cost a bounds
 * check and nothing more.  It reports the page, or the exact fault of the processor.
 * fast_page_walk() and walk_batch() are for tables that the host owns: no callbacks,
 * only the translation, prefetches.
 *
 * Section names are those of Intel's SDM, volume 3.
 */
#ifndef CORE_WALK_H
#define CORE_WALK_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Levels of the deepest table.  Level 1 holds entries of 4 KiB pages. */
#define WALK_LEVELS	5

/**
 * struct walk_level - one level of a table
 * @shift: lowest address bit of the index
 * @bits: bits of the index
 * @large: bit 7 of an entry makes the entry a page
 * @large_needs: WALK_* mode flag without which @large does not hold; 0 for none
 * @large_or_ignored: without @large_needs bit 7 is ignored; else bit 7 is reserved
 * @no_rights: entries have neither permissions nor an accessed flag (PAE's PDPTEs)
 * @table_reserved: reserved bits of an entry that points to a table
 * @page_reserved: reserved bits of an entry that is a page
 * @reserved_top: first bit above those that are reserved from MAXPHYADDR on
 */
struct walk_level {
	u8 shift;
	u8 bits;
	bool large;
	u32 large_needs;
	bool large_or_ignored;
	bool no_rights;
	u64 table_reserved;
	u64 page_reserved;
	u8 reserved_top;
};

/**
 * struct walk_format - how one kind of page table differs from the others
 * @name: for messages
 * @ept: rights, faults and memory types are those of EPT, else those of x86 paging
 * @levels: levels of the table, at most WALK_LEVELS
 * @entry_bytes: 8, or 4 for 32-bit paging
 * @address_bits: width of an address that the table translates
 * @canonical: the higher address bits repeat the last; else they are 0
 * @keys: leaf entries have a protection key
 * @root_mask: address bits of CR3 or of an EPTP
 * @address_mask: address bits of an entry
 * @present: an entry with one of these bits is present
 * @accessed: accessed flag
 * @dirty: dirty flag of a leaf
 * @no_execute: execute-disable flag; 0 if the format has none
 * @level: [level - 1]
 */
struct walk_format {
	const char *name;
	bool ept;
	u8 levels;
	u8 entry_bytes;
	u8 address_bits;
	bool canonical;
	bool keys;
	u64 root_mask;
	u64 address_mask;
	u64 present;
	u64 accessed;
	u64 dirty;
	u64 no_execute;
	struct walk_level level[WALK_LEVELS];
};

extern const struct walk_format walk_x86_32bit;
extern const struct walk_format walk_x86_pae;
extern const struct walk_format walk_x86_4level;
extern const struct walk_format walk_x86_5level;
extern const struct walk_format walk_ept_4level;
extern const struct walk_format walk_ept_5level;

/* Flags of a mode: control registers, and what the processor is capable of. */
#define WALK_WP		(1u << 0)	/* CR0.WP */
#define WALK_PSE	(1u << 1)	/* CR4.PSE: 4 MiB pages of 32-bit paging */
#define WALK_SMEP	(1u << 2)	/* CR4.SMEP */
#define WALK_SMAP	(1u << 3)	/* CR4.SMAP */
#define WALK_PKE	(1u << 4)	/* CR4.PKE */
#define WALK_PKS	(1u << 5)	/* CR4.PKS */
#define WALK_NXE	(1u << 6)	/* EFER.NXE */
#define WALK_AC		(1u << 7)	/* EFLAGS.AC */
#define WALK_PAGE_2M	(1u << 8)	/* EPT: 2 MiB pages */
#define WALK_PAGE_1G	(1u << 9)	/* x86 and EPT: 1 GiB pages */
#define WALK_EPT_AD	(1u << 10)	/* EPTP bit 6: accessed and dirty flags */
#define WALK_EPT_MBEC	(1u << 11)	/* mode-based execute control */
#define WALK_EPT_X_ONLY	(1u << 12)	/* execute-only translations */

/**
 * struct walk_mode - the state of the processor that a walk depends on
 * @flags: WALK_*
 * @maxphyaddr: physical-address width, 32 to 52
 * @pkru: rights of user pages by key, of use with WALK_PKE
 * @pkrs: rights of supervisor pages by key, of use with WALK_PKS
 */
struct walk_mode {
	u32 flags;
	u8 maxphyaddr;
	u32 pkru;
	u32 pkrs;
};

/* Flags of an access.  None of them: an explicit supervisor read. */
#define WALK_WRITE	(1u << 0)
#define WALK_FETCH	(1u << 1)
#define WALK_USER	(1u << 2)	/* CPL 3; EPT with MBEC: a user-mode linear address */
#define WALK_IMPLICIT	(1u << 3)	/* implicit supervisor access: GDT, IDT, TSS, ... */
#define WALK_TABLE	(1u << 4)	/* EPT: to a guest paging-structure entry */
#define WALK_LINEAR	(1u << 5)	/* EPT: the access has a guest-linear address */

/**
 * struct walk_memory - how the walker reaches the memory that holds the tables
 * @read: reads the entry of @bytes (4 or 8) at physical address @address, once and
 *	atomically, into *@entry; false if no memory is there
 * @exchange: replaces the entry by @new_entry if it is @old_entry: 0; -EAGAIN if it
 *	is not; -ENXIO if no writable memory is there.  NULL: nothing is writable
 * @data: the caller's
 *
 * @address is aligned to @bytes.  The callbacks of a guest that has an EPT of its own
 * translate @address with another walk.
 */
struct walk_memory {
	bool (*read)(const struct walk_memory *memory, u64 address, u32 bytes, u64 *entry);
	int (*exchange)(const struct walk_memory *memory, u64 address, u32 bytes,
			u64 old_entry, u64 new_entry);
	void *data;
};

/* Tables in pages of plat_page_alloc(), by HPA. */
extern const struct walk_memory walk_host_memory;

/**
 * struct walk - a table, and how to walk it; the caller's, read only
 * @format: its format
 * @mode: its processor's state
 * @memory: the memory that it lies in
 * @root: CR3, or an EPTP; bits that are no address are ignored
 */
struct walk {
	const struct walk_format *format;
	struct walk_mode mode;
	const struct walk_memory *memory;
	u64 root;
};

/* Rights of a translation, all levels together. */
#define WALK_MAY_READ		(1u << 0)
#define WALK_MAY_WRITE		(1u << 1)
#define WALK_MAY_FETCH		(1u << 2)	/* EPT with MBEC: in supervisor mode */
#define WALK_MAY_FETCH_USER	(1u << 3)	/* EPT: in user mode; x86: as WALK_MAY_FETCH */
#define WALK_USER_PAGE		(1u << 4)	/* x86: a user-mode address */

enum walk_fault {
	WALK_FAULT_NONE,
	WALK_FAULT_PAGE,		/* #PF with walk_result.error_code */
	WALK_FAULT_CANONICAL,		/* the address is not canonical: #GP or #SS */
	WALK_FAULT_EPT_VIOLATION,	/* with walk_result.qualification */
	WALK_FAULT_EPT_MISCONFIG,
	WALK_FAULT_MEMORY,		/* an entry lies where no (writable) memory is */
};

/* Error code of #PF ("Page-Fault Exceptions"). */
#define WALK_PF_P	(1u << 0)
#define WALK_PF_WRITE	(1u << 1)
#define WALK_PF_USER	(1u << 2)
#define WALK_PF_RSVD	(1u << 3)
#define WALK_PF_FETCH	(1u << 4)
#define WALK_PF_PK	(1u << 5)

/* Exit qualification ("Exit Qualification for EPT Violations"). */
#define WALK_EQ_READ		BIT_ULL(0)
#define WALK_EQ_WRITE		BIT_ULL(1)
#define WALK_EQ_FETCH		BIT_ULL(2)
#define WALK_EQ_READABLE	BIT_ULL(3)
#define WALK_EQ_WRITABLE	BIT_ULL(4)
#define WALK_EQ_FETCHABLE	BIT_ULL(5)
#define WALK_EQ_FETCHABLE_USER	BIT_ULL(6)
#define WALK_EQ_LINEAR_VALID	BIT_ULL(7)
#define WALK_EQ_TRANSLATED	BIT_ULL(8)

/**
 * struct walk_step - one entry of a walk
 * @address: physical address of the entry
 * @entry: the entry, with the flags that the walk has set
 */
struct walk_step {
	u64 address;
	u64 entry;
};

/**
 * struct walk_result - what a walk found
 * @address: physical address that the access goes to; see walk_gpa(), walk_hpa()
 * @page_bytes: bytes of the page that holds it
 * @rights: WALK_MAY_*, WALK_USER_PAGE
 * @level: level of the last entry that was read; of the leaf without a fault
 * @top: level of the root table; step[top - 1] to step[level - 1] are filled
 * @pat: x86: index into the PAT, from PAT, PCD and PWT of the leaf
 * @memory_type: EPT: memory type of the leaf
 * @ignore_pat: EPT: bit 6 of the leaf
 * @global: x86: the leaf's G flag, whatever CR4.PGE is
 * @key: protection key of the leaf, 0 if the format has none
 * @fault: why the access is refused; then only @level, @top, @step and the field that
 *	belongs to the fault are of use
 * @error_code: of WALK_FAULT_PAGE
 * @qualification: of WALK_FAULT_EPT_VIOLATION
 * @step: [level - 1]
 */
struct walk_result {
	u64 address;
	u64 page_bytes;
	u32 rights;
	u8 level;
	u8 top;
	u8 pat;
	u8 memory_type;
	bool ignore_pat;
	bool global;
	u8 key;
	enum walk_fault fault;
	u32 error_code;
	u64 qualification;
	struct walk_step step[WALK_LEVELS];
};

/* The result of a walk of a guest's x86 tables, and of one of host-owned tables. */
static inline hypr_gpa_t walk_gpa(const struct walk_result *result)
{
	return hypr_gpa(result->address);
}

static inline hypr_hpa_t walk_hpa(const struct walk_result *result)
{
	return hypr_hpa(result->address);
}

/**
 * walk_translate() - translate one access as the processor does
 * @walk: the table
 * @address: linear address of x86 tables, guest-physical address of EPT
 * @access: WALK_WRITE, WALK_FETCH, ...
 * @result: filled, also with a fault
 *
 * Reads each entry once, at most @walk->format->levels of them.  Then, if the access
 * is allowed, sets the accessed flag of every entry used, and the dirty flag of the
 * leaf for a write ("Accessed and Dirty Flags"), each by one compare-and-exchange.
 * The walk starts over if an entry has changed in between, 8 times at most.  A refused
 * access sets no flag; a processor may set accessed flags there.
 *
 * Takes no lock.  The caller keeps the walked memory mapped.
 *
 * Return: 0; -EFAULT if the access faults, @result->fault reports how; -EAGAIN if the
 * table changes all the time: repeat later; -EINVAL if @access contradicts itself,
 * maxphyaddr is out of range or an address of 32-bit or PAE tables is wider than 32 bits.
 */
int walk_translate(const struct walk *walk, u64 address, u32 access,
		   struct walk_result *result);

/**
 * walk_peek() - walk_translate() that changes no entry
 *
 * Return: as walk_translate(), without -EAGAIN.
 */
int walk_peek(const struct walk *walk, u64 address, u32 access,
	      struct walk_result *result);

/**
 * walk_set_registers() - format and mode flags of a guest with paging on
 * @walk: format and the flags of mode are set, the rest is left
 * @cr0, @cr4, @efer, @rflags: the guest's
 * @cpu_flags: WALK_PAGE_1G if the guest's processor has 1 GiB pages
 */
void walk_set_registers(struct walk *walk, u64 cr0, u64 cr4, u64 efer, u64 rflags,
			u32 cpu_flags);

/**
 * struct walk_tables - 4-level tables that the host owns, read through the direct map
 * @root: the root table
 * @present: an entry without any of these bits is not present
 * @below_zero: bytes of the address space below 0, where it begins: 2^47 for linear
 *	addresses, whose bits 63:48 repeat bit 47; 0 for guest-physical ones
 *
 * Entries are the host's own: well-formed, below MAXPHYADDR, their tables reachable.
 */
struct walk_tables {
	hypr_hpa_t root;
	u64 present;
	u64 below_zero;
};

static inline struct walk_tables walk_tables_x86(hypr_hpa_t root)
{
	struct walk_tables tables = { root, 1, BIT_ULL(47) };

	return tables;
}

/* @mbec: an entry that allows only execution in user mode is present, too. */
static inline struct walk_tables walk_tables_ept(hypr_hpa_t root, bool mbec)
{
	struct walk_tables tables = { root, mbec ? 0x407u : 7u, 0 };

	return tables;
}

/**
 * fast_page_walk() - translate an address by tables that the host owns
 * @tables: the tables
 * @address: GVA or GPA
 * @hpa: receives the translation; untouched on an error
 *
 * Checks no permissions and changes no entry.  The caller keeps the table pages from
 * being freed; entries may change concurrently, the walk then sees the old or the new.
 *
 * Return: 0; -ENOENT if the address is not mapped; -EINVAL if it is wider than the tables.
 */
int fast_page_walk(const struct walk_tables *tables, u64 address, hypr_hpa_t *hpa);

/**
 * struct walk_item - one walk of a batch
 * @address: in: GVA or GPA
 * @hpa: out: the translation, if @error is 0
 * @error: out: what fast_page_walk() returns
 */
struct walk_item {
	u64 address;
	hypr_hpa_t hpa;
	int error;
};

/**
 * walk_batch() - fast_page_walk() of many addresses, many of them in flight at a time
 * @tables: the tables
 * @items: the walks
 * @count: how many, any number
 *
 * Return: the walks whose error is 0.
 */
size_t walk_batch(const struct walk_tables *tables, struct walk_item *items, size_t count);

#ifdef __cplusplus
}
#endif

#endif /* CORE_WALK_H */
