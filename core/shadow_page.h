/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Inside of shadow paging: shadow pages, their entries, and the two kinds of chains
 * that lead back from a page to the entries that refer to it.
 *
 *	shadow_chain.c	chains and the setters of entries
 *	shadow_pool.c	shadow pages: find, make, recycle, drop
 *	shadow_sync.c	what the guest writes to its tables; what the host changes
 *	shadow_fault.c	page faults
 *	shadow_open.c	tables of one vCPU, for writes that are emulated
 *	shadow.c	create and destroy; registers, CR3
 *
 * Each present entry is on one chain: an entry that maps a page on the chain of the
 * GFN's bucket, an entry that points to a table on the chain of that shadow page.  A
 * full chain is emptied before the next entry joins, so that no walk along a chain is
 * longer than SHADOW_CHAIN_MAX, whatever the guest maps.
 *
 * Entries that lose rights or vanish set shadow_page_table.stale: TLBs may still hold
 * them.  The guest's own INVLPG and CR3 loads flush what the guest has to see.
 * Whatever the host relies on (a table becomes tracked, a table page is reused, the
 * host takes a page away) calls shadow_flush_stale() first.
 */
#ifndef CORE_SHADOW_PAGE_H
#define CORE_SHADOW_PAGE_H

#include "plat.h"
#include "shadow.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SHADOW_CHAIN_MAX	256u
#define SHADOW_UNSYNC_MAX	64u
/* Emulated writes to a table, without a fault that uses the table, until it is dropped. */
#define SHADOW_FLOOD		3u
/* Pages of a host change beyond which everything is dropped. */
#define SHADOW_RANGE_MAX	1024u
/* Shadow pages beyond which tables are dropped, not read again. */
#define SHADOW_READ_MAX		256u

/* Bits of an x86 entry ("Formats of Paging-Structure Entries with 4-Level Paging"). */
#define SPTE_P		BIT_ULL(0)
#define SPTE_W		BIT_ULL(1)
#define SPTE_U		BIT_ULL(2)
#define SPTE_A		BIT_ULL(5)
#define SPTE_D		BIT_ULL(6)
#define SPTE_LARGE	BIT_ULL(7)
#define SPTE_G		BIT_ULL(8)
#define SPTE_NX		BIT_ULL(63)
#define SPTE_ADDRESS	0x000ffffffffff000ull
/* Ignored by the processor: the entry maps a page, which the host lets be written,
 * which the host does not let be executed.
 */
#define SPTE_LEAF	BIT_ULL(9)
#define SPTE_HOST_W	BIT_ULL(10)
#define SPTE_HOST_NX	BIT_ULL(11)

#define SHADOW_CR4_PGE		BIT_ULL(7)
#define SHADOW_CR4_PCIDE	BIT_ULL(17)


/**
 * struct shadow_chain - a chain of entries
 * @first: id of an entry: index of its shadow page * 512 + its index + 1; 0 is none
 * @count: entries
 */
struct shadow_chain {
	u32 first;
	u32 count;
};

/**
 * struct shadow_slot - what the shadow knows of a present entry
 * @what: GFN that the entry maps, or index of the shadow page that it points to
 * @prev, @next: neighbours on the chain
 */
struct shadow_slot {
	u64 what;
	u32 prev;
	u32 next;
};

/**
 * struct shadow_key - what a shadow page is the shadow of
 * @gfn: the guest's table page; of a direct page the first page that it maps
 * @level: level of the entries
 * @direct: part of a large guest page: no table of the guest's
 * @nxe: EFER.NXE: bit 63 is a flag, else it is reserved
 * @global: a direct page of global pages: INVLPG drops those of all PCIDs
 * @flip: CR0.WP = 0 and CR4.SMAP = 0: leaf entries of read-only user pages may be those
 *	of writable supervisor pages
 */
struct shadow_key {
	u64 gfn;
	u8 level;
	bool direct;
	bool global;
	bool nxe;
	bool flip;
};

/**
 * struct shadow_page - a table that the processor walks
 * @key: what it shadows
 * @used: it is in the hash and on the list by age
 * @unsync: out of sync
 * @pins: vCPUs that run on it, and a fault that uses it
 * @present: present entries
 * @writes: emulated writes since the page was used
 * @entries: the table, 512 entries
 * @slots: 512
 * @parents: entries that point here
 * @hash_next: next page of the bucket, or of the free list
 * @older, @newer: list by age
 */
struct shadow_page {
	struct shadow_key key;
	bool used;
	bool unsync;
	u32 pins;
	u32 present;
	u32 writes;
	u64 *entries;
	struct shadow_slot *slots;
	struct shadow_chain parents;
	struct shadow_page *hash_next;
	struct shadow_page *older;
	struct shadow_page *newer;
};

/**
 * struct shadow_page_table - the shadow of one VM
 * @params: the caller's
 * @stats: counters
 * @stale: a TLB may hold more than the entries allow
 * @pages: [params.max_pages]
 * @free: pages without a key
 * @newest, @oldest: list by age
 * @hash: pages by GFN, @hash_mask + 1 buckets
 * @tracked: tables in each 2 MiB region, by hash: 0 means none
 * @maps: entries that map a GFN, @maps_mask + 1 buckets
 * @unsync: pages that are out of sync, @stats.unsync of them; [0] is the oldest
 */
struct shadow_page_table {
	struct shadow_params params;
	struct shadow_stats stats;
	bool stale;
	struct shadow_page *pages;
	struct shadow_page *free;
	struct shadow_page *newest;
	struct shadow_page *oldest;
	struct shadow_page **hash;
	u32 *tracked;
	u32 hash_mask;
	struct shadow_chain *maps;
	u32 maps_mask;
	struct shadow_page *unsync[SHADOW_UNSYNC_MAX];
};

/* shadow_chain.c */

u32 shadow_hash(const struct shadow_page_table *table, u64 number, u32 mask);

/** shadow_flush_stale() - after it no TLB holds more than the entries allow */
void shadow_flush_stale(struct shadow_page_table *table);

/** shadow_entry_clear() - make entry @index of @page not present */
void shadow_entry_clear(struct shadow_page_table *table, struct shadow_page *page,
			u32 index);

/** shadow_entry_map() - entry @index of @page maps @gfn by @entry */
void shadow_entry_map(struct shadow_page_table *table, struct shadow_page *page,
		      u32 index, u64 gfn, u64 entry);

/** shadow_entry_link() - entry @index of @page points to @child, with rights @rights */
void shadow_entry_link(struct shadow_page_table *table, struct shadow_page *page,
		       u32 index, struct shadow_page *child, u64 rights);

/** shadow_entry_set() - change the rights of a present entry */
void shadow_entry_set(struct shadow_page_table *table, struct shadow_page *page,
		      u32 index, u64 entry);

/** shadow_child() - the shadow page that entry @index of @page points to, or NULL */
struct shadow_page *shadow_child(struct shadow_page_table *table,
				 const struct shadow_page *page, u32 index);

/** shadow_chain_clear() - clear every entry of @chain */
void shadow_chain_clear(struct shadow_page_table *table, struct shadow_chain *chain);

/** shadow_gfn_protect() - no entry lets the guest write @gfn; flushes */
void shadow_gfn_protect(struct shadow_page_table *table, u64 gfn);

/** shadow_gfn_clear() - no entry maps @gfn */
void shadow_gfn_clear(struct shadow_page_table *table, u64 gfn);

/* shadow_pool.c */

int shadow_pool_init(struct shadow_page_table *table);
void shadow_pool_fini(struct shadow_page_table *table);

/**
 * shadow_page_get() - the shadow page of @key, used from now on
 *
 * A new one is empty; its table is tracked, and no other shadow of it is out of sync.
 * Takes the place of the oldest page without pins if there is no room or no memory.
 *
 * Return: the page; NULL without memory.
 */
struct shadow_page *shadow_page_get(struct shadow_page_table *table,
				    const struct shadow_key *key);

/** shadow_page_drop() - empty @page and free it; a pinned one is only emptied */
void shadow_page_drop(struct shadow_page_table *table, struct shadow_page *page);

/** shadow_page_first() - first shadow page of table @gfn, or NULL */
struct shadow_page *shadow_page_first(const struct shadow_page_table *table, u64 gfn);

/** shadow_page_next() - the next one of the same table, or NULL */
struct shadow_page *shadow_page_next(const struct shadow_page *page);

/** shadow_is_tracked() - the guest must not write @gfn */
bool shadow_is_tracked(const struct shadow_page_table *table, u64 gfn);

/** shadow_region_has_table() - a table lies in the 2 MiB around @gfn, or may */
bool shadow_region_has_table(const struct shadow_page_table *table, u64 gfn);

/* shadow_sync.c */

/** shadow_sync_page() - read the table of @page again; it is tracked then */
void shadow_sync_page(struct shadow_page_table *table, struct shadow_page *page);

/** shadow_sync_all() - no page is out of sync */
void shadow_sync_all(struct shadow_page_table *table);

/** shadow_unsync_drop() - @page is on the list of pages out of sync: take it off */
void shadow_unsync_drop(struct shadow_page_table *table, struct shadow_page *page);

/**
 * shadow_unsync_gfn() - let the guest write the table @gfn, if all its shadows are leaf
 * tables
 */
void shadow_unsync_gfn(struct shadow_page_table *table, u64 gfn);

#ifdef __cplusplus
}
#endif

#endif /* CORE_SHADOW_PAGE_H */
