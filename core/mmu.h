/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Memory virtualisation behind one interface: EPT if the processor has it, else
 * shadow paging.  Read this file first, then ept.h and shadow.h.
 *
 * Both keep the map from GPA to HPA in a struct ept_context.  With EPT the processor
 * walks it behind the guest's own tables; without, the shadow looks pages up in it
 * and no processor sees it.
 *
 * The caller serialises all calls for one struct mmu_virtualization; they may sleep.
 */
#ifndef CORE_MMU_H
#define CORE_MMU_H

#include "ept.h"
#include "shadow.h"

#ifdef __cplusplus
extern "C" {
#endif

enum mmu_kind {
	MMU_EPT,
	MMU_SHADOW,
};

struct mmu_virtualization;
struct mmu_vcpu;

/**
 * struct mmu_fault - an exit of the processor, and what to do about it
 * @gva: in: linear address; shadow paging
 * @gpa: in: guest-physical address, EPT; out: of MMU_EMULATE and MMU_NO_MEMORY, and of
 *	the table's entry of MMU_NO_TABLE
 * @access: in: WALK_WRITE, WALK_FETCH, WALK_USER; shadow paging: WALK_IMPLICIT too
 * @rflags: in: the guest's; shadow paging
 * @result: out
 * @error_code: out: of MMU_REFLECT
 */
struct mmu_fault {
	hypr_gva_t gva;
	hypr_gpa_t gpa;
	u32 access;
	u64 rflags;
	enum mmu_result result;
	u32 error_code;
};

/**
 * struct mmu_page_table_ops - the map from GPA to HPA, and faults
 * @map: map a range that is not mapped; -errno of ept_map_memory()
 * @unmap: unmap what is mapped of a range; -errno of ept_unmap()
 * @protect: other permissions for a mapped range; -errno of ept_protect()
 * @translate: the first run of a range; -errno of ept_translate()
 * @fault: EPT violation, or page fault on shadow tables: 0; -ENOMEM; -EINVAL, see
 *	shadow_fault()
 * @wrote: guest memory was written by something else than the guest's own stores
 *
 * Ranges are multiples of 4 KiB.  After @unmap and @protect no CPU uses the old
 * translation.  A range is changed as a whole or not at all.
 */
struct mmu_page_table_ops {
	int (*map)(struct mmu_virtualization *mmu, const struct memory_mapping *mapping);
	int (*unmap)(struct mmu_virtualization *mmu, hypr_gpa_t gpa, u64 size);
	int (*protect)(struct mmu_virtualization *mmu, hypr_gpa_t gpa, u64 size,
		       u32 permissions);
	int (*translate)(const struct mmu_virtualization *mmu, hypr_gpa_t gpa, u64 size,
			 struct memory_mapping *run);
	int (*fault)(struct mmu_vcpu *vcpu, struct mmu_fault *fault);
	void (*wrote)(struct mmu_virtualization *mmu, hypr_gpa_t gpa, u64 bytes);
};

/**
 * struct mmu_tlb_ops - the guest invalidates its TLB, where that exits
 * @flush_address: INVLPG
 * @flush_context: the entries of the vCPU's PCID that are not global
 * @flush_all: everything of the VM
 */
struct mmu_tlb_ops {
	void (*flush_address)(struct mmu_vcpu *vcpu, hypr_gva_t gva);
	void (*flush_context)(struct mmu_vcpu *vcpu);
	void (*flush_all)(struct mmu_virtualization *mmu);
};

/**
 * struct mmu_cache_ops - what is kept for each address space of the guest
 * @set_registers: CR0, CR4 or EFER changed: 0 or -errno of shadow_set_registers()
 * @load_root: the guest loads CR3: 0 or -errno of shadow_load_cr3()
 * @root: what the processor walks: the EPTP, or CR3 of the shadow tables
 * @forget: drop what can be rebuilt
 *
 * With EPT the guest changes these registers without an exit; the operations only
 * note them.
 */
struct mmu_cache_ops {
	int (*set_registers)(struct mmu_vcpu *vcpu, u64 cr0, u64 cr4, u64 efer);
	int (*load_root)(struct mmu_vcpu *vcpu, u64 cr3);
	u64 (*root)(const struct mmu_vcpu *vcpu);
	void (*forget)(struct mmu_virtualization *mmu);
};

/**
 * struct mmu_params - what the machine can, and what the guest sees
 * @ept: the processor has EPT, and the caller wants it
 * @can: EPT: its capabilities
 * @tlb: flushes the TLB of this VM
 * @maxphyaddr, @cpu_flags, @max_pages, @hash_key, @allocator: as in struct shadow_params, which is
 *	made from them without EPT
 */
struct mmu_params {
	bool ept;
	struct ept_capabilities can;
	struct mmu_tlb tlb;
	u8 maxphyaddr;
	u32 cpu_flags;
	u32 max_pages;
	u64 hash_key;
	struct shadow_allocator allocator;
};

/**
 * struct mmu_virtualization - the memory of one VM
 * @kind: which implementation
 * @page_table, @tlb, @cache: its operations
 * @hardware: params.tlb
 * @map: GPA to HPA
 * @memory: guest memory by GPA, as the map has it, for walks of the guest's tables
 * @shadow: the shadow tables; NULL with EPT
 */
struct mmu_virtualization {
	enum mmu_kind kind;
	const struct mmu_page_table_ops *page_table;
	const struct mmu_tlb_ops *tlb;
	const struct mmu_cache_ops *cache;
	struct mmu_tlb hardware;
	struct ept_context map;
	struct walk_memory memory;
	struct shadow_page_table *shadow;
};

/**
 * struct mmu_vcpu - a vCPU
 * @mmu: its VM
 * @cr3, @cr4: EPT: noted by load_root and set_registers
 * @shadow: shadow paging
 */
struct mmu_vcpu {
	struct mmu_virtualization *mmu;
	u64 cr3;
	u64 cr4;
	struct shadow_vcpu shadow;
};

extern const struct mmu_page_table_ops mmu_ept_page_table;
extern const struct mmu_tlb_ops mmu_ept_tlb;
extern const struct mmu_cache_ops mmu_ept_cache;
extern const struct mmu_page_table_ops mmu_shadow_page_table;
extern const struct mmu_tlb_ops mmu_shadow_tlb;
extern const struct mmu_cache_ops mmu_shadow_cache;

/**
 * init_mmu_virtualization() - an empty memory; EPT if @params->ept, else shadow paging
 * @mmu: the caller's; must not move until fini_mmu_virtualization()
 * @params: copied
 *
 * Return: 0; -EINVAL for a parameter out of range; -ENOMEM; -ERANGE if a table page lies
 * beyond MAXPHYADDR.  After an error @mmu holds nothing.
 */
int init_mmu_virtualization(struct mmu_virtualization *mmu, const struct mmu_params *params);

/** fini_mmu_virtualization() - give everything back; all vCPUs are gone */
void fini_mmu_virtualization(struct mmu_virtualization *mmu);

/** mmu_vcpu_init() - a vCPU of @mmu in the caller's memory */
void mmu_vcpu_init(struct mmu_vcpu *vcpu, struct mmu_virtualization *mmu);

/** mmu_vcpu_fini() - @vcpu runs no more */
void mmu_vcpu_fini(struct mmu_vcpu *vcpu);

#ifdef __cplusplus
}
#endif

#endif /* CORE_MMU_H */
