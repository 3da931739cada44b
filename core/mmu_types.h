/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * What EPT and shadow paging have in common with their caller: the flushes that they
 * ask for, and what they want done about a fault.
 */
#ifndef CORE_MMU_TYPES_H
#define CORE_MMU_TYPES_H

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
 *
 * The caller fills in functions that decide (tlb.h) and flush, or count in a test.  Each
 * returns after every CPU that runs the VM has dropped the entries.
 */
struct mmu_tlb {
	void (*flush_address)(void *context, u16 pcid, hypr_gva_t gva);
	void (*flush_context)(void *context, u16 pcid);
	void (*flush_all)(void *context);
	void *context;
};

enum mmu_result {
	/* Run the guest's instruction again. */
	MMU_RETRY,
	/* Inject #PF with .error_code; CR2 is the GVA. */
	MMU_REFLECT,
	/* Do the write to .gpa, report it (wrote, shadow_guest_wrote()), and go on. */
	MMU_EMULATE,
	/* No memory is at .gpa, or none that allows the access. */
	MMU_NO_MEMORY,
	/* One of the guest's tables lies where no memory is. */
	MMU_NO_TABLE,
};

#endif /* CORE_MMU_TYPES_H */
