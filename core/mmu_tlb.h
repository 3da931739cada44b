/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * What the memory virtualisation asks of the processor's TLB.  The caller fills the
 * table with functions that decide and flush, or that count in a test.
 *
 * Each function returns after every CPU that runs the VM has dropped the entries.
 */
#ifndef CORE_MMU_TLB_H
#define CORE_MMU_TLB_H

#include "types.h"

/**
 * struct mmu_tlb - TLB operations
 * @flush_address: drop what translates @gva for @pcid, global entries included
 *	(INVVPID, individual address)
 * @flush_context: drop what is tagged with @pcid, global entries not included
 *	(INVVPID, single context retaining globals)
 * @flush_all: drop everything of this VM, the paging-structure caches and what came
 *	through its EPT root included
 * @context: the first argument of each
 */
struct mmu_tlb {
	void (*flush_address)(void *context, u16 pcid, hypr_gva_t gva);
	void (*flush_context)(void *context, u16 pcid);
	void (*flush_all)(void *context);
	void *context;
};

#endif /* CORE_MMU_TLB_H */
