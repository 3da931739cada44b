// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Memory virtualisation by EPT.  The processor walks the guest's own tables and then
 * the map; the guest's CR3, INVLPG and page faults do not exit.
 */
#include "mmu.h"

#define CR4_PCIDE	BIT_ULL(17)

static void flush_all(struct mmu_virtualization *mmu)
{
	mmu->hardware.flush_all(mmu->hardware.context);
}

/* The TLB follows an edit of the map, then the pages that it took out are free. */
static int finish(struct mmu_virtualization *mmu, enum ept_refusal why,
		  const struct ept_edit *edit)
{
	if (why == EPT_OK && edit->invept)
		flush_all(mmu);
	ept_release_tables(&mmu->map);
	return ept_refusal_errno(why);
}

static int map(struct mmu_virtualization *mmu, const struct memory_mapping *mapping)
{
	struct ept_edit edit;
	enum ept_refusal why = ept_map_memory(&mmu->map, mapping, &edit);

	return finish(mmu, why, &edit);
}

static int unmap(struct mmu_virtualization *mmu, hypr_gpa_t gpa, u64 size)
{
	struct ept_edit edit;
	enum ept_refusal why = ept_unmap(&mmu->map, gpa, size, &edit);

	return finish(mmu, why, &edit);
}

static int protect(struct mmu_virtualization *mmu, hypr_gpa_t gpa, u64 size, u32 permissions)
{
	struct ept_edit edit;
	enum ept_refusal why = ept_protect(&mmu->map, gpa, size, permissions, &edit);

	return finish(mmu, why, &edit);
}

static int translate(const struct mmu_virtualization *mmu, hypr_gpa_t gpa, u64 size,
		     struct memory_mapping *run)
{
	return ept_refusal_errno(ept_translate(&mmu->map, gpa, size, run));
}

/* The right that an access needs; fetches from user-mode addresses have their own. */
static u32 right_for(const struct mmu_virtualization *mmu, u32 access)
{
	if (access & WALK_WRITE)
		return EPT_WRITE;
	if (!(access & WALK_FETCH))
		return EPT_READ;
	return mmu->map.can.user_execute && (access & WALK_USER) ? EPT_USER_EXEC : EPT_EXEC;
}

/*
 * An EPT violation.  If the map allows the access, the TLB had an older entry, which the
 * violation has dropped (SDM, "Operations that Invalidate Cached Mappings").
 */
static int fault(struct mmu_vcpu *vcpu, struct mmu_fault *fault)
{
	hypr_gpa_t page = hypr_gpa(fault->gpa.addr & ~(CORE_PAGE_4K - 1));
	struct memory_mapping run;

	fault->error_code = 0;
	if (ept_translate(&vcpu->mmu->map, page, CORE_PAGE_4K, &run) == EPT_OK &&
	    (run.permissions & right_for(vcpu->mmu, fault->access)))
		fault->result = MMU_RETRY;
	else
		fault->result = MMU_NO_MEMORY;
	return 0;
}

/* The processor sees what is written. */
static void wrote(struct mmu_virtualization *mmu, hypr_gpa_t gpa, u64 bytes)
{
	(void)mmu;
	(void)gpa;
	(void)bytes;
}

const struct mmu_page_table_ops mmu_ept_page_table = {
	.map = map,
	.unmap = unmap,
	.protect = protect,
	.translate = translate,
	.fault = fault,
	.wrote = wrote,
};

static u16 pcid_of(const struct mmu_vcpu *vcpu)
{
	return vcpu->cr4 & CR4_PCIDE ? (u16)(vcpu->cr3 & 0xfff) : 0;
}

static void flush_address(struct mmu_vcpu *vcpu, hypr_gva_t gva)
{
	const struct mmu_tlb *tlb = &vcpu->mmu->hardware;

	tlb->flush_address(tlb->context, pcid_of(vcpu), gva);
}

static void flush_context(struct mmu_vcpu *vcpu)
{
	const struct mmu_tlb *tlb = &vcpu->mmu->hardware;

	tlb->flush_context(tlb->context, pcid_of(vcpu));
}

const struct mmu_tlb_ops mmu_ept_tlb = {
	.flush_address = flush_address,
	.flush_context = flush_context,
	.flush_all = flush_all,
};

static int set_registers(struct mmu_vcpu *vcpu, u64 cr0, u64 cr4, u64 efer)
{
	(void)cr0;
	(void)efer;
	vcpu->cr4 = cr4;
	return 0;
}

static int load_root(struct mmu_vcpu *vcpu, u64 cr3)
{
	vcpu->cr3 = cr3;
	return 0;
}

static u64 root(const struct mmu_vcpu *vcpu)
{
	return ept_context_eptp(&vcpu->mmu->map);
}

const struct mmu_cache_ops mmu_ept_cache = {
	.set_registers = set_registers,
	.load_root = load_root,
	.root = root,
	/* Nothing is kept but what the processor has cached. */
	.forget = flush_all,
};
