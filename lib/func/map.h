/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lowest 2 MiB of a function VM, which only the monitor and libhypr can reach;
 * addresses are guest-physical and virtual at once.  For C and for monitor.S.
 */
#ifndef LIB_FUNC_MAP_H
#define LIB_FUNC_MAP_H

#define FUNC_PML4		0x1000
#define FUNC_PDPT		0x2000
#define FUNC_PD			0x3000
#define FUNC_CONF		0x4000	/* struct hypr_func_conf */
#define FUNC_STACK_TOP		0x6000	/* of the monitor: one page */
#define FUNC_REPORT		0x6000	/* struct hypr_func_report */
#define FUNC_GDT		0x7000
#define FUNC_TSS		0x7800
#define FUNC_MONITOR		0x8000	/* code: one page */
#define FUNC_IDT		0x9000
#define FUNC_RANGES		0xa000	/* struct hypr_func_range[] */
#define FUNC_PT			0xc000	/* a page for each 2 MiB of memory */
#define FUNC_DIRTY		0x10c000	/* uint32_t[], numbers of written pages */
#define FUNC_USER		0x200000	/* the function's memory begins here */
#define FUNC_MEM_MAX		0x20000000

/* Selectors */
#define FUNC_CS			0x08
#define FUNC_DS			0x10
#define FUNC_USER_DS		0x1b
#define FUNC_USER_CS		0x23
#define FUNC_TR			0x28

/* One OUT to this port ends each run. */
#define FUNC_PORT		0xf4

/* Offsets in struct hypr_func_conf */
#define CONF_ENTRY		0
#define CONF_RSP		8
#define CONF_INFO		16
#define CONF_NR_RANGES		24
#define CONF_FPU		64	/* for FXRSTOR */

/* In struct hypr_func_report */
#define REPORT_RAX		0
#define REPORT_RDI		8
#define REPORT_RSI		16
#define REPORT_VECTOR		24
#define REPORT_ERROR		32
#define REPORT_RIP		40
#define REPORT_CS		48
#define REPORT_RSP		56
#define REPORT_CR2		64
#define REPORT_NR_DIRTY		72

/* In struct hypr_func_range */
#define RANGE_PDE		0
#define RANGE_PTE		4
#define RANGE_PAGE		8
#define RANGE_NR		12
#define RANGE_BYTES		16

/* Bits of page table entries */
#define PTE_PRESENT		0x01
#define PTE_WRITE		0x02
#define PTE_USER		0x04
#define PTE_ACCESSED		0x20
#define PTE_DIRTY		0x40

#define FUNC_STUB_BYTES		16	/* of code for each exception */
#define FUNC_EXCEPTIONS		32
#define FUNC_TRAP		3	/* INT3: the one that a function may call */

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

struct hypr_func_conf {
	uint64_t entry;
	uint64_t rsp;
	uint64_t info;
	uint64_t nr_ranges;
	uint64_t reserved[4];
	uint8_t fpu[512];
};

/* Hostile like all guest memory, although only the monitor can write it. */
struct hypr_func_report {
	uint64_t rax;
	uint64_t rdi;
	uint64_t rsi;
	uint64_t vector;
	uint64_t error;
	uint64_t rip;
	uint64_t cs;
	uint64_t rsp;
	uint64_t cr2;
	uint64_t nr_dirty;
};

/* The entries from the first to the last page of 2 MiB that can be written. */
struct hypr_func_range {
	uint32_t pde;		/* address of its entry in the page directory */
	uint32_t pte;		/* of the first entry */
	uint32_t page;		/* number of the first page */
	uint32_t nr;
};

_Static_assert(offsetof(struct hypr_func_conf, entry) == CONF_ENTRY, "map");
_Static_assert(offsetof(struct hypr_func_conf, rsp) == CONF_RSP, "map");
_Static_assert(offsetof(struct hypr_func_conf, info) == CONF_INFO, "map");
_Static_assert(offsetof(struct hypr_func_conf, nr_ranges) == CONF_NR_RANGES, "map");
_Static_assert(offsetof(struct hypr_func_conf, fpu) == CONF_FPU, "map");
_Static_assert(offsetof(struct hypr_func_report, rsi) == REPORT_RSI, "map");
_Static_assert(offsetof(struct hypr_func_report, vector) == REPORT_VECTOR, "map");
_Static_assert(offsetof(struct hypr_func_report, rip) == REPORT_RIP, "map");
_Static_assert(offsetof(struct hypr_func_report, cr2) == REPORT_CR2, "map");
_Static_assert(offsetof(struct hypr_func_report, nr_dirty) == REPORT_NR_DIRTY, "map");
_Static_assert(sizeof(struct hypr_func_range) == RANGE_BYTES, "map");
_Static_assert(FUNC_PT + FUNC_MEM_MAX / 0x200000 * 4096 == FUNC_DIRTY, "map");
_Static_assert(FUNC_DIRTY + FUNC_MEM_MAX / 4096 * 4 <= FUNC_USER, "map");
_Static_assert(FUNC_RANGES + FUNC_MEM_MAX / 0x200000 * RANGE_BYTES <= FUNC_PT, "map");

/* monitor.S: to be copied to FUNC_MONITOR */
extern const uint8_t hypr_func_monitor[], hypr_func_monitor_end[];
extern const uint8_t hypr_func_stubs[];		/* FUNC_STUB_BYTES for each exception */

#endif /* !__ASSEMBLER__ */

#endif /* LIB_FUNC_MAP_H */
