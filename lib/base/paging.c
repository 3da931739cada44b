// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A guest's page tables: which they are, by its registers and CPUID, and what they say
 * of an address.  core/walk.h reads them; this file decides nothing about an entry.
 */
#include "core/walk.h"

#include "base/error.h"
#include "base/paging.h"

#define CR0_PG		BIT_ULL(31)
#define CR4_PAE		BIT_ULL(5)
#define EFER_NXE	BIT_ULL(11)
#define EFER_LMA	BIT_ULL(10)

#define PAGE_FLAGS	(WALK_NXE | WALK_PSE | WALK_PAGE_1G)

/** hypr_paging_check() - that a caller gave.  Return: 0; -EINVAL. */
int hypr_paging_check(const struct hypr_paging *paging)
{
	if (paging->size != sizeof(*paging))
		return hypr_fail(-EINVAL, "struct hypr_paging: size %u, not %zu", paging->size,
				 sizeof(*paging));
	if (paging->flags & ~HYPR_PAGING_CR3 || paging->reserved)
		return hypr_fail(-EINVAL, "struct hypr_paging: unknown flags");
	return 0;
}

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid_entry2 *cpuid, size_t nr,
					   uint32_t function)
{
	for (; nr; nr--, cpuid++) {
		if (cpuid->function == function)
			return cpuid;
	}
	return NULL;
}

/**
 * hypr_paging_set() - format, mode and root; @walk->memory is the caller's
 * @sregs: of the vCPU; NULL: not known, and @paging has a CR3
 * @cpuid: the guest's, @nr_cpuid of them; none: a processor that is capable of all
 *
 * Return: false: the vCPU has paging off, and @paging asks for no tables.
 */
bool hypr_paging_set(struct walk *walk, const struct hypr_paging *paging,
		     const struct kvm_sregs *sregs, const struct kvm_cpuid_entry2 *cpuid,
		     size_t nr_cpuid)
{
	const struct kvm_cpuid_entry2 *features = find(cpuid, nr_cpuid, 0x80000001);
	const struct kvm_cpuid_entry2 *widths = find(cpuid, nr_cpuid, 0x80000008);
	bool has_1g = !features || (features->edx & BIT_ULL(26));
	bool on = sregs && (sregs->cr0 & CR0_PG);
	uint32_t width = widths ? widths->eax & 0xff : 52;

	walk_set_registers(walk, CR0_PG, on ? sregs->cr4 : CR4_PAE,
			   on ? sregs->efer : EFER_LMA | EFER_NXE, 0,
			   has_1g ? WALK_PAGE_1G : 0);
	/* Who may access is not asked here. */
	walk->mode.flags &= PAGE_FLAGS;
	walk->mode.maxphyaddr = width >= 32 && width <= 52 ? (uint8_t)width : 52;
	walk->root = paging->flags & HYPR_PAGING_CR3 ? paging->cr3 : sregs ? sregs->cr3 : 0;
	return on || (paging->flags & HYPR_PAGING_CR3);
}

/** hypr_paging_rights() - WALK_MAY_* as HYPR_RIGHT_* */
uint32_t hypr_paging_rights(uint32_t walk_rights)
{
	return (walk_rights & WALK_MAY_READ ? HYPR_RIGHT_READ : 0) |
	       (walk_rights & WALK_MAY_WRITE ? HYPR_RIGHT_WRITE : 0) |
	       (walk_rights & WALK_MAY_FETCH ? HYPR_RIGHT_EXECUTE : 0) |
	       (walk_rights & WALK_USER_PAGE ? HYPR_RIGHT_USER : 0);
}

static uint32_t fault_of(const struct walk_result *found)
{
	switch (found->fault) {
	case WALK_FAULT_MEMORY:
		return HYPR_FAULT_BEYOND;
	case WALK_FAULT_CANONICAL:
		return HYPR_FAULT_CANONICAL;
	default:
		return found->error_code & WALK_PF_RSVD ? HYPR_FAULT_RESERVED : HYPR_FAULT_ABSENT;
	}
}

/** hypr_paging_refuse() - say why an address is not mapped.  Return: -EFAULT. */
int hypr_paging_refuse(const struct hypr_translation *result)
{
	unsigned long long gva = result->gva, at = result->entry_gpa, entry = result->entry;

	switch (result->fault) {
	case HYPR_FAULT_CANONICAL:
		return hypr_fail(-EFAULT, "GVA 0x%llx is no address of %u-level tables", gva,
				 result->levels);
	case HYPR_FAULT_BEYOND:
		return hypr_fail(-EFAULT, "GVA 0x%llx is not mapped: its table of level %u is at GPA 0x%llx, beyond memory",
				 gva, result->level, at & ~4095ull);
	case HYPR_FAULT_RESERVED:
		return hypr_fail(-EFAULT, "GVA 0x%llx is not mapped: its entry of level %u, 0x%llx at GPA 0x%llx, has a reserved bit",
				 gva, result->level, entry, at);
	default:
		return hypr_fail(-EFAULT, "GVA 0x%llx is not mapped: its entry of level %u, 0x%llx at GPA 0x%llx, is not present",
				 gva, result->level, entry, at);
	}
}

/**
 * hypr_paging_translate() - one address
 * @on: what hypr_paging_set() returned; false: a GVA is a GPA
 *
 * Return: 0; -EFAULT, @result has the reason, hypr_paging_refuse() the words.
 */
int hypr_paging_translate(const struct walk *walk, bool on, uint64_t gva, uint64_t mem_bytes,
			  struct hypr_translation *result)
{
	struct walk_result found;
	int ret;

	*result = (struct hypr_translation){ .gva = gva, .gpa = gva, .in_memory = gva < mem_bytes };
	if (!on) {
		result->rights = HYPR_RIGHT_READ | HYPR_RIGHT_WRITE | HYPR_RIGHT_EXECUTE |
				 HYPR_RIGHT_USER;
		return 0;
	}
	result->gpa = 0;
	result->in_memory = 0;
	result->cr3 = walk->root;
	result->levels = walk->format->levels;
	ret = walk_peek(walk, gva, 0, &found);
	if (ret == -EINVAL) {		/* wider than the 32 bits of such tables */
		result->level = result->levels;
		result->fault = HYPR_FAULT_CANONICAL;
		return -EFAULT;
	}
	result->level = found.level;
	result->entry_gpa = found.step[found.level - 1].address;
	result->entry = found.step[found.level - 1].entry;
	if (ret) {
		result->fault = fault_of(&found);
		return -EFAULT;
	}
	result->gpa = walk_gpa(&found).addr;
	result->page_bytes = found.page_bytes;
	result->rights = hypr_paging_rights(found.rights);
	result->in_memory = result->gpa < mem_bytes;
	return 0;
}

static bool read_memory(const struct walk_memory *memory, u64 address, u32 bytes, u64 *entry)
{
	const struct hypr_paging_memory *guest = memory->data;

	*entry = 0;
	return address < guest->bytes && guest->read(guest->arg, address, bytes, entry);
}

/**
 * hypr_paging_look() - hypr_paging_translate() of any memory, by the registers of a vCPU
 * @sregs: never NULL
 */
int hypr_paging_look(const struct hypr_paging_memory *memory, const struct hypr_paging *paging,
		     const struct kvm_sregs *sregs, uint64_t gva,
		     struct hypr_translation *result)
{
	const struct walk_memory reader = { .read = read_memory, .data = (void *)memory };
	struct walk walk = { .memory = &reader };
	bool on = hypr_paging_set(&walk, paging, sregs, NULL, 0);

	return hypr_paging_translate(&walk, on, gva, memory->bytes, result);
}
