/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A TLB in software, as SDM volume 3 describes it in "Caching Translation Information":
 * guest-physical mappings tagged by EPT root, combined mappings tagged by VPID, PCID and
 * EPT root, both of pages and of paging structures, and global pages for all PCIDs.
 *
 * It has room for every entry there can be, so nothing that was not flushed is ever
 * forgotten, unless the caller evicts it.  Without root tags (NPT) roots share their
 * entries and guest-physical mappings carry the ASID.
 */
#ifndef TESTS_CORE_TLB_SOFT_H
#define TESTS_CORE_TLB_SOFT_H

#include "tlb.h"

#define SOFT_VPIDS	4	/* 0 is that of no VPID */
#define SOFT_PCIDS	2
#define SOFT_ROOTS	3
#define SOFT_REGIONS	2	/* pages below one entry of a page directory */
#define SOFT_PAGES	8	/* linear pages, half of them in each region */
#define SOFT_GPAS	32	/* guest frames */
#define SOFT_EPT_REGIONS 4

#define SOFT_NONE	0xff
#define SOFT_GLOBAL	SOFT_PCIDS	/* the PCID of global pages */

/* The address of a root, and of a linear page. */
static inline hypr_hpa_t soft_root_hpa(u32 root)
{
	return hypr_hpa((root + 1) * CORE_PAGE_4K);
}

static inline hypr_gva_t soft_gva(u32 page)
{
	return hypr_gva((page + 1) * CORE_PAGE_4K);
}

/* All values are host frames, table numbers, or SOFT_NONE. */
struct tlb_soft {
	enum tlb_tag tag;
	u8 page[SOFT_VPIDS][SOFT_ROOTS][SOFT_PCIDS + 1][SOFT_PAGES];
	u8 table[SOFT_VPIDS][SOFT_ROOTS][SOFT_PCIDS][SOFT_REGIONS];
	u8 gpa[SOFT_VPIDS][SOFT_GPAS];			/* by root, or ASID */
	u8 gpa_table[SOFT_VPIDS][SOFT_EPT_REGIONS];	/* by root, or ASID */
};

void soft_reset(struct tlb_soft *soft, enum tlb_tag tag);

/* Under which root combined mappings, and under what guest-physical ones are kept. */
static inline u32 soft_root(const struct tlb_soft *soft, u32 root)
{
	return soft->tag == TLB_TAG_ROOT ? root : 0;
}

static inline u32 soft_gpa_tag(const struct tlb_soft *soft, u16 vpid, u32 root)
{
	return soft->tag == TLB_TAG_ROOT ? root : vpid;
}

/* VM entry or exit without VPIDs: what has VPID 0 goes. */
void soft_transition(struct tlb_soft *soft);

/* The two instructions as operations of flush_tlb(); the context is a tlb_soft. */
extern const struct tlb_ops soft_ops;

#endif /* TESTS_CORE_TLB_SOFT_H */
