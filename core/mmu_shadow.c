// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Memory virtualisation by shadow paging.  No processor walks the map: its table pages
 * are free at once, and the shadow flushes what it has made of the map.
 */
#include "mmu.h"

static int map(struct mmu_virtualization *mmu, const struct memory_mapping *mapping)
{
	struct ept_edit edit;
	enum ept_refusal why = ept_map_memory(&mmu->map, mapping, &edit);

	ept_release_tables(&mmu->map);
	return ept_refusal_errno(why);
}

static int finish(struct mmu_virtualization *mmu, enum ept_refusal why, hypr_gpa_t gpa,
		  u64 size)
{
	if (why == EPT_OK)
		shadow_host_changed(mmu->shadow, gpa, size);
	ept_release_tables(&mmu->map);
	return ept_refusal_errno(why);
}

static int unmap(struct mmu_virtualization *mmu, hypr_gpa_t gpa, u64 size)
{
	struct ept_edit edit;
	enum ept_refusal why = ept_unmap(&mmu->map, gpa, size, &edit);

	return finish(mmu, why, gpa, size);
}

static int protect(struct mmu_virtualization *mmu, hypr_gpa_t gpa, u64 size, u32 permissions)
{
	struct ept_edit edit;
	enum ept_refusal why = ept_protect(&mmu->map, gpa, size, permissions, &edit);

	return finish(mmu, why, gpa, size);
}

static int translate(const struct mmu_virtualization *mmu, hypr_gpa_t gpa, u64 size,
		     struct memory_mapping *run)
{
	return ept_refusal_errno(ept_translate(&mmu->map, gpa, size, run));
}

static int fault(struct mmu_vcpu *vcpu, struct mmu_fault *fault)
{
	struct shadow_fault found;
	int err = shadow_fault(&vcpu->shadow, fault->gva, fault->access, fault->rflags, &found);

	if (err)
		return err;
	fault->result = found.result;
	fault->error_code = found.error_code;
	fault->gpa = found.gpa;
	return 0;
}

static void wrote(struct mmu_virtualization *mmu, hypr_gpa_t gpa, u64 bytes)
{
	shadow_guest_wrote(mmu->shadow, gpa, bytes);
}

const struct mmu_page_table_ops mmu_shadow_page_table = {
	.map = map,
	.unmap = unmap,
	.protect = protect,
	.translate = translate,
	.fault = fault,
	.wrote = wrote,
};

static void flush_address(struct mmu_vcpu *vcpu, hypr_gva_t gva)
{
	shadow_invlpg(&vcpu->shadow, gva);
}

static void flush_context(struct mmu_vcpu *vcpu)
{
	shadow_flush_context(&vcpu->shadow);
}

static void flush_all(struct mmu_virtualization *mmu)
{
	shadow_invalidate(mmu->shadow);
}

const struct mmu_tlb_ops mmu_shadow_tlb = {
	.flush_address = flush_address,
	.flush_context = flush_context,
	.flush_all = flush_all,
};

static int set_registers(struct mmu_vcpu *vcpu, u64 cr0, u64 cr4, u64 efer)
{
	return shadow_set_registers(&vcpu->shadow, cr0, cr4, efer);
}

static int load_root(struct mmu_vcpu *vcpu, u64 cr3)
{
	return shadow_load_cr3(&vcpu->shadow, cr3);
}

static u64 root(const struct mmu_vcpu *vcpu)
{
	return shadow_root(&vcpu->shadow).addr;
}

static void forget(struct mmu_virtualization *mmu)
{
	shadow_forget(mmu->shadow);
}

const struct mmu_cache_ops mmu_shadow_cache = {
	.set_registers = set_registers,
	.load_root = load_root,
	.root = root,
	.forget = forget,
};
