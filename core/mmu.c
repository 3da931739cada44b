// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* Memory virtualisation: choose EPT or shadow paging; guest memory by GPA. */
#include "mmu.h"

/* The page behind @address in host memory; false if it does not allow @permission. */
static bool page_behind(const struct walk_memory *memory, u64 address, u32 permission,
			u64 *hpa)
{
	const struct mmu_virtualization *mmu = memory->data;
	struct memory_mapping run;

	if (ept_translate(&mmu->map, hypr_gpa(address & ~(CORE_PAGE_4K - 1)), CORE_PAGE_4K,
			  &run) != EPT_OK || !(run.permissions & permission))
		return false;
	*hpa = run.hpa.addr + address % CORE_PAGE_4K;
	return true;
}

static bool read_entry(const struct walk_memory *memory, u64 address, u32 bytes, u64 *entry)
{
	u64 hpa;

	return page_behind(memory, address, EPT_READ, &hpa) &&
	       walk_host_memory.read(&walk_host_memory, hpa, bytes, entry);
}

static int exchange_entry(const struct walk_memory *memory, u64 address, u32 bytes,
			  u64 old_entry, u64 new_entry)
{
	u64 hpa;

	if (!page_behind(memory, address, EPT_WRITE, &hpa))
		return -ENXIO;
	return walk_host_memory.exchange(&walk_host_memory, hpa, bytes, old_entry, new_entry);
}

/* What the shadow asks: the host's page behind a GPA. */
static int translate(void *context, hypr_gpa_t gpa, bool write, struct shadow_host_page *page)
{
	const struct mmu_virtualization *mmu = context;
	struct memory_mapping run;
	u32 level;

	(void)write;
	if (ept_translate(&mmu->map, gpa, CORE_PAGE_4K, &run) != EPT_OK)
		return -ENOENT;
	ept_entry(&mmu->map, gpa, &level);
	page->hpa = run.hpa;
	page->writable = run.permissions & EPT_WRITE;
	page->executable = run.permissions & EPT_EXEC;
	page->large = level > 1;
	return 0;
}

/* x86 entries cannot say more than these. */
static const struct ept_capabilities shadow_can = {
	.maxphyaddr = 52,
	.page_2m = true,
	.page_1g = true,
};

static int init_shadow(struct mmu_virtualization *mmu, const struct mmu_params *params)
{
	const struct shadow_params shadow = {
		.memory = &mmu->memory,
		.translate = translate,
		.context = mmu,
		.tlb = params->tlb,
		.maxphyaddr = params->maxphyaddr,
		.cpu_flags = params->cpu_flags,
		.max_pages = params->max_pages,
		.hash_key = params->hash_key,
		.allocator = params->allocator,
	};

	mmu->kind = MMU_SHADOW;
	mmu->page_table = &mmu_shadow_page_table;
	mmu->tlb = &mmu_shadow_tlb;
	mmu->cache = &mmu_shadow_cache;
	return create_shadow_page_table(&shadow, &mmu->shadow);
}

int init_mmu_virtualization(struct mmu_virtualization *mmu, const struct mmu_params *params)
{
	int err;

	memset(mmu, 0, sizeof(*mmu));
	if (!params->tlb.flush_address || !params->tlb.flush_context || !params->tlb.flush_all)
		return -EINVAL;
	mmu->hardware = params->tlb;
	mmu->memory.read = read_entry;
	mmu->memory.exchange = exchange_entry;
	mmu->memory.data = mmu;
	err = ept_refusal_errno(init_ept_context(&mmu->map, 4,
						 params->ept ? &params->can : &shadow_can,
						 NULL));
	if (err)
		return err;
	if (params->ept) {
		mmu->kind = MMU_EPT;
		mmu->page_table = &mmu_ept_page_table;
		mmu->tlb = &mmu_ept_tlb;
		mmu->cache = &mmu_ept_cache;
		return 0;
	}
	err = init_shadow(mmu, params);
	if (err)
		fini_ept_context(&mmu->map);
	return err;
}

void fini_mmu_virtualization(struct mmu_virtualization *mmu)
{
	destroy_shadow_page_table(mmu->shadow);
	fini_ept_context(&mmu->map);
}

void mmu_vcpu_init(struct mmu_vcpu *vcpu, struct mmu_virtualization *mmu)
{
	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->mmu = mmu;
	if (mmu->shadow)
		shadow_vcpu_init(&vcpu->shadow, mmu->shadow);
}

void mmu_vcpu_fini(struct mmu_vcpu *vcpu)
{
	if (vcpu->mmu->shadow)
		shadow_vcpu_fini(&vcpu->shadow);
}
