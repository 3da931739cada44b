// SPDX-License-Identifier: GPL-2.0-only
/* The TLB in software: what each operation drops.  See tlb_soft.h. */
#include "tests/core/tlb_soft.h"

void soft_reset(struct tlb_soft *soft, enum tlb_tag tag)
{
	memset(soft, SOFT_NONE, sizeof(*soft));
	soft->tag = tag;
}

/* Linear and combined mappings of a VPID, with NPT the guest-physical ones too. */
static void drop_vpid(struct tlb_soft *soft, u16 vpid)
{
	memset(soft->page[vpid], SOFT_NONE, sizeof(soft->page[vpid]));
	memset(soft->table[vpid], SOFT_NONE, sizeof(soft->table[vpid]));
	if (soft->tag == TLB_TAG_ASID) {
		memset(soft->gpa[vpid], SOFT_NONE, sizeof(soft->gpa[vpid]));
		memset(soft->gpa_table[vpid], SOFT_NONE, sizeof(soft->gpa_table[vpid]));
	}
}

/* Global pages stay; entries of paging structures are never global. */
static void drop_non_global(struct tlb_soft *soft, u16 vpid)
{
	for (u32 root = 0; root < SOFT_ROOTS; root++)
		memset(soft->page[vpid][root], SOFT_NONE, SOFT_PCIDS * SOFT_PAGES);
	memset(soft->table[vpid], SOFT_NONE, sizeof(soft->table[vpid]));
}

/* All PCIDs and roots, global or not, and the paging structures that lead there. */
static void drop_address(struct tlb_soft *soft, u16 vpid, u32 page)
{
	u32 region = page / (SOFT_PAGES / SOFT_REGIONS);

	for (u32 root = 0; root < SOFT_ROOTS; root++) {
		for (u32 pcid = 0; pcid <= SOFT_GLOBAL; pcid++)
			soft->page[vpid][root][pcid][page] = SOFT_NONE;
		for (u32 pcid = 0; pcid < SOFT_PCIDS; pcid++)
			soft->table[vpid][root][pcid][region] = SOFT_NONE;
	}
}

static int soft_invvpid(void *context, u32 type, u16 vpid, hypr_gva_t address)
{
	struct tlb_soft *soft = context;
	u64 page = (address.addr >> CORE_PAGE_SHIFT) - 1;

	/* VMfail: SDM volume 3, INVVPID. */
	if (type != TLB_INVVPID_TYPE_ALL && !vpid)
		return -EINVAL;
	switch (type) {
	case TLB_INVVPID_TYPE_ADDRESS:
		if (page < SOFT_PAGES)
			drop_address(soft, vpid, (u32)page);
		return 0;
	case TLB_INVVPID_TYPE_NON_GLOBAL:
		drop_non_global(soft, vpid);
		return 0;
	case TLB_INVVPID_TYPE_CONTEXT:
		drop_vpid(soft, vpid);
		return 0;
	case TLB_INVVPID_TYPE_ALL:
		for (u16 each = 0; each < SOFT_VPIDS; each++)
			drop_vpid(soft, each);
		return 0;
	default:
		return -EINVAL;
	}
}

/* Guest-physical mappings of the root, and combined ones of all VPIDs and PCIDs. */
static void drop_root(struct tlb_soft *soft, u32 root)
{
	for (u32 vpid = 0; vpid < SOFT_VPIDS; vpid++) {
		memset(soft->page[vpid][root], SOFT_NONE, sizeof(soft->page[vpid][root]));
		memset(soft->table[vpid][root], SOFT_NONE, sizeof(soft->table[vpid][root]));
	}
	memset(soft->gpa[root], SOFT_NONE, sizeof(soft->gpa[root]));
	memset(soft->gpa_table[root], SOFT_NONE, sizeof(soft->gpa_table[root]));
}

static int soft_invept(void *context, u32 type, hypr_hpa_t root)
{
	struct tlb_soft *soft = context;
	u64 number = (root.addr >> CORE_PAGE_SHIFT) - 1;

	if (soft->tag != TLB_TAG_ROOT)
		return -ENODEV;
	if (type == TLB_INVEPT_TYPE_ALL) {
		soft_reset(soft, TLB_TAG_ROOT);
		return 0;
	}
	if (type != TLB_INVEPT_TYPE_ROOT || number >= SOFT_ROOTS)
		return -EINVAL;
	drop_root(soft, (u32)number);
	return 0;
}

void soft_transition(struct tlb_soft *soft)
{
	drop_vpid(soft, 0);
}

const struct tlb_ops soft_ops = { soft_invvpid, soft_invept };
