/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest's page tables, from a file or from a VM: core's walker with KVM's registers. */
#ifndef LIB_BASE_PAGING_H
#define LIB_BASE_PAGING_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>

#include "hypr/hypr.h"

struct walk;

/**
 * struct hypr_paging_memory - how to reach the guest's memory
 * @read: an entry of @bytes, 4 or 8, into *@entry; false: there is no memory at @gpa
 */
struct hypr_paging_memory {
	bool (*read)(void *arg, uint64_t gpa, uint32_t bytes, uint64_t *entry);
	void *arg;
	uint64_t bytes;
};

int hypr_paging_check(const struct hypr_paging *paging);
bool hypr_paging_set(struct walk *walk, const struct hypr_paging *paging,
		     const struct kvm_sregs *sregs, const struct kvm_cpuid_entry2 *cpuid,
		     size_t nr_cpuid);
uint32_t hypr_paging_rights(uint32_t walk_rights);
int hypr_paging_translate(const struct walk *walk, bool on, uint64_t gva, uint64_t mem_bytes,
			  struct hypr_translation *result);
int hypr_paging_look(const struct hypr_paging_memory *memory, const struct hypr_paging *paging,
		     const struct kvm_sregs *sregs, uint64_t gva,
		     struct hypr_translation *result);
int hypr_paging_refuse(const struct hypr_translation *result);

#endif /* LIB_BASE_PAGING_H */
