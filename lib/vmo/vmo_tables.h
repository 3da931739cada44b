/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page tables of a guest, read from its VMO. */
#ifndef LIB_VMO_VMO_TABLES_H
#define LIB_VMO_VMO_TABLES_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>
#include "core/walk.h"

struct hypr_paging;
struct hypr_vmo;
struct hypr_vmo_page;

/**
 * struct hypr_vmo_tables - a way to walk them
 * @on: false: the vCPU has paging off
 * @error: why a page could not be read: then what a walk says counts for nothing
 * @page: tables that were read of late; @next: the one that gives way
 */
struct hypr_vmo_tables {
	struct hypr_vmo *vmo;
	struct walk walk;
	struct walk_memory memory;
	bool on;
	int error;
	struct hypr_vmo_page *page;
	unsigned int next;
};

/** struct hypr_vmo_registers - what a VCPU section begins with */
struct hypr_vmo_registers {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

int hypr_vmo_registers(struct hypr_vmo *vmo, uint32_t vcpu, struct hypr_vmo_registers *registers);
int hypr_vmo_tables_init(struct hypr_vmo_tables *tables, struct hypr_vmo *vmo,
			 const struct hypr_paging *paging);
void hypr_vmo_tables_fini(struct hypr_vmo_tables *tables);

#endif /* LIB_VMO_VMO_TABLES_H */
