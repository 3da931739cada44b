/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of mmu_test.c: operations, accesses, and what the guest sees of them. */
#ifndef TESTS_CORE_MMU_ROWS_H
#define TESTS_CORE_MMU_ROWS_H

#include "mmu.h"

#define PAGES	1024u			/* of host memory: 4 MiB, aligned */
#define CR3	0x1000ull		/* the guest's root; its tables follow */
#define RWU	7u
#define LEAF(n)	(0x4000ull + (n) * 8)	/* GPA of the entry of GVA(n) */
#define GVA(n)	((n) * CORE_PAGE_4K)
#define SUPER	0u
#define USER	WALK_USER

/* One row: an operation with up to three arguments, or an access and what the guest sees. */
enum what {
	MAP,		/* a: GPA, b: pages, c: host page, d: permissions; want */
	UNMAP,		/* a: GPA, b: pages; want */
	PROTECT,	/* a: GPA, b: pages, c: permissions; want */
	TRANSLATE,	/* a: GPA; c: host page; want */
	ENTRY,		/* the guest's tables: a: GPA, b: value; by the host */
	STORE,		/* the guest stores b at GVA a, in supervisor mode */
	INVLPG,		/* a: GVA */
	FLUSH,		/* the entries of the PCID */
	FLUSH_ALL,
	LOAD,		/* CR3 */
	FORGET,
	MODE,		/* a: CR0.WP, b: CR4.SMEP */
	ACCESS,		/* a: GVA, b: access; c: host address, or error code; want */
};

struct row {
	const char *why;
	enum what what;
	u64 a, b, c, d;
	int want;
};

#define RWX	(EPT_RWX | EPT_WB)
#define RX	(EPT_READ | EPT_EXEC | EPT_WB)
#define RW	(EPT_READ | EPT_WRITE | EPT_WB)

static const struct row rows[] = {
	{ "all memory, identical", MAP, 0, PAGES / 2, 0, RWX, 0 },
	{ "mapped already", MAP, 0x5000, 1, 9, RWX, -EEXIST },
	{ "no page", MAP, 0x500000, 0, 9, RWX, -EINVAL },
	{ "where a page is", TRANSLATE, 0x5000, 0, 5, 0, 0 },
	{ "where none is", TRANSLATE, 0x500000, 0, 0, 0, -ENOENT },
	{ "nothing mapped by the guest", ACCESS, GVA(1), USER, 4, 0, MMU_REFLECT },

	{ "root", ENTRY, 0x1000, 0x2000 | RWU, 0, 0, 0 },
	{ "level 3", ENTRY, 0x2000, 0x3000 | RWU, 0, 0, 0 },
	{ "level 2", ENTRY, 0x3000, 0x4000 | RWU, 0, 0, 0 },
	{ "level 1: a window to the leaf table", ENTRY, LEAF(0), 0x4000 | 3, 0, 0, 0 },
	{ "a page", ENTRY, LEAF(1), 0x9000 | RWU, 0, 0, 0 },
	{ "a read-only page", ENTRY, LEAF(2), 0xa000 | 5, 0, 0, 0 },
	{ "a page of the kernel", ENTRY, LEAF(3), 0xb000 | 3, 0, 0, 0 },
	{ "beyond memory", ENTRY, LEAF(4), 0x700000 | RWU, 0, 0, 0 },
	{ "no execution", ENTRY, LEAF(5), 0xc000 | RWU | 1ull << 63, 0, 0, 0 },
	{ "2 MiB beyond memory", ENTRY, 0x3008, 0x200000 | RWU | 0x80, 0, 0, 0 },
	{ "2 MiB", ENTRY, 0x3010, 0 | RWU | 0x80, 0, 0, 0 },

	{ "read", ACCESS, GVA(1) + 8, USER, 0x9008, 0, MMU_RETRY },
	{ "write", ACCESS, GVA(1), USER | WALK_WRITE, 0x9000, 0, MMU_RETRY },
	{ "fetch", ACCESS, GVA(1), USER | WALK_FETCH, 0x9000, 0, MMU_RETRY },
	{ "write to read-only", ACCESS, GVA(2), USER | WALK_WRITE, 7, 0, MMU_REFLECT },
	{ "the kernel's write", ACCESS, GVA(2), WALK_WRITE, 3, 0, MMU_REFLECT },
	{ "user in the kernel's page", ACCESS, GVA(3), USER, 5, 0, MMU_REFLECT },
	{ "kernel there", ACCESS, GVA(3), SUPER, 0xb000, 0, MMU_RETRY },
	{ "fetch of NX", ACCESS, GVA(5), USER | WALK_FETCH, 0x15, 0, MMU_REFLECT },
	{ "no memory", ACCESS, GVA(4), USER, 0, 0, MMU_NO_MEMORY },
	{ "large", ACCESS, 2 * CORE_PAGE_2M + 0xe010, USER, 0xe010, 0, MMU_RETRY },
	{ "large, no memory", ACCESS, CORE_PAGE_2M, USER, 0, 0, MMU_NO_MEMORY },

	{ "without CR0.WP", MODE, 0, 0, 0, 0, 0 },
	{ "the kernel writes", ACCESS, GVA(2), WALK_WRITE, 0xa000, 0, MMU_RETRY },
	{ "the user does not", ACCESS, GVA(2), USER | WALK_WRITE, 7, 0, MMU_REFLECT },
	{ "the user reads", ACCESS, GVA(2), USER, 0xa000, 0, MMU_RETRY },
	{ "with SMEP", MODE, 1, 1, 0, 0, 0 },
	{ "the kernel runs no user page", ACCESS, GVA(1), WALK_FETCH, 0x11, 0, MMU_REFLECT },
	{ "WP is back", ACCESS, GVA(2), WALK_WRITE, 3, 0, MMU_REFLECT },
	{ "as before", MODE, 1, 0, 0, 0, 0 },

	{ "host: read-only", PROTECT, 0x9000, 1, RX, 0, 0 },
	{ "not mapped", PROTECT, 0x700000, 1, RX, 0, -ENOENT },
	{ "the guest reads", ACCESS, GVA(1), USER, 0x9000, 0, MMU_RETRY },
	{ "a write exits", ACCESS, GVA(1), USER | WALK_WRITE, 0, 0, MMU_NO_MEMORY },
	{ "host: no execution", PROTECT, 0x9000, 1, RW, 0, 0 },
	{ "a fetch exits", ACCESS, GVA(1), USER | WALK_FETCH, 0, 0, MMU_NO_MEMORY },
	{ "a write is fine", ACCESS, GVA(1), USER | WALK_WRITE, 0x9000, 0, MMU_RETRY },
	{ "host: gone", UNMAP, 0x9000, 1, 0, 0, 0 },
	{ "the guest's read exits", ACCESS, GVA(1), USER, 0, 0, MMU_NO_MEMORY },
	{ "nothing to unmap", UNMAP, 0x9000, 1, 0, 0, 0 },
	{ "an odd size", UNMAP, 0x9001, 1, 0, 0, -EINVAL },
	{ "another page there", MAP, 0x9000, 1, 600, RWX, 0 },
	{ "the guest reads it", ACCESS, GVA(1), USER, 600 * 4096, 0, MMU_RETRY },
	{ "by the large page too", ACCESS, 2 * CORE_PAGE_2M + 0x9000, USER, 600 * 4096, 0,
	  MMU_RETRY },

	{ "the guest edits", STORE, GVA(0) + 8, 0xd000 | RWU, 0, 0, 0 },
	{ "and invalidates", INVLPG, GVA(1), 0, 0, 0, 0 },
	{ "the new page", ACCESS, GVA(1), USER, 0xd000, 0, MMU_RETRY },
	{ "again", STORE, GVA(0) + 8, 0xe000 | RWU, 0, 0, 0 },
	{ "flushes the PCID", FLUSH, 0, 0, 0, 0, 0 },
	{ "the new page", ACCESS, GVA(1), USER, 0xe000, 0, MMU_RETRY },
	{ "again", STORE, GVA(0) + 8, 0xf000 | RWU, 0, 0, 0 },
	{ "flushes all", FLUSH_ALL, 0, 0, 0, 0, 0 },
	{ "the new page", ACCESS, GVA(1), USER, 0xf000, 0, MMU_RETRY },
	{ "takes it away", STORE, GVA(0) + 8, 0, 0, 0, 0 },
	{ "loads CR3", LOAD, 0, 0, 0, 0, 0 },
	{ "not present", ACCESS, GVA(1), USER | WALK_WRITE, 6, 0, MMU_REFLECT },
	{ "and back", STORE, GVA(0) + 8, 0xf000 | RWU, 0, 0, 0 },
	{ "nothing to invalidate", ACCESS, GVA(1), USER, 0xf000, 0, MMU_RETRY },
	{ "a device edits", ENTRY, LEAF(1), 0x10000 | RWU, 0, 0, 0 },
	{ "and the guest invalidates", INVLPG, GVA(1), 0, 0, 0, 0 },
	{ "the new page", ACCESS, GVA(1), USER, 0x10000, 0, MMU_RETRY },
	{ "everything forgotten", FORGET, 0, 0, 0, 0, 0 },
	{ "is found again", ACCESS, GVA(1), USER, 0x10000, 0, MMU_RETRY },

	{ "host: a table is read-only", PROTECT, 0x3000, 1, RX, 0, 0 },
	{ "no accessed flag to set", ACCESS, GVA(1), USER, 0x10000, 0, MMU_RETRY },
	{ "a table without its flag", ENTRY, 0x3000, 0x4000 | RWU, 0, 0, 0 },
	{ "invalidated", INVLPG, GVA(1), 0, 0, 0, 0 },
	{ "a flag to set", ACCESS, GVA(1), USER, 0, 0, MMU_NO_TABLE },
	{ "host: the table is gone", UNMAP, 0x3000, 1, 0, 0, 0 },
	{ "nowhere to go", ACCESS, GVA(1), USER, 0, 0, MMU_NO_TABLE },
	{ "host: all is gone", UNMAP, 0, PAGES, 0, 0, 0 },
	{ "nowhere at all", ACCESS, GVA(3), SUPER, 0, 0, MMU_NO_TABLE },
};

#endif /* TESTS_CORE_MMU_ROWS_H */
