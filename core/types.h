/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Addresses and sizes, as the whole core uses them.
 *
 * A guest-physical, a host-physical and a guest-virtual address are structs, so
 * that one where another belongs does not compile.
 */
#ifndef CORE_TYPES_H
#define CORE_TYPES_H

#include "plat_types.h"

/** hypr_gpa_t - a guest-physical address, in bytes */
typedef struct { u64 addr; } hypr_gpa_t;

/** hypr_hpa_t - a host-physical address, in bytes */
typedef struct { u64 addr; } hypr_hpa_t;

/** hypr_gva_t - a guest-virtual (linear) address, in bytes */
typedef struct { u64 addr; } hypr_gva_t;

static inline hypr_gpa_t hypr_gpa(u64 addr)
{
	hypr_gpa_t gpa = { addr };

	return gpa;
}

static inline hypr_hpa_t hypr_hpa(u64 addr)
{
	hypr_hpa_t hpa = { addr };

	return hpa;
}

static inline hypr_gva_t hypr_gva(u64 addr)
{
	hypr_gva_t gva = { addr };

	return gva;
}

/* Bytes of a page at each level of an x86-64 or EPT table. */
#define CORE_PAGE_SHIFT	12
#define CORE_PAGE_4K	BIT_ULL(12)
#define CORE_PAGE_2M	BIT_ULL(21)
#define CORE_PAGE_1G	BIT_ULL(30)

/* Entries of a table page. */
#define CORE_ENTRIES	512

#endif /* CORE_TYPES_H */
