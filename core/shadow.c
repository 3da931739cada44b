// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* Shadow paging: create and destroy; registers and CR3 of a vCPU. */
#include "shadow_page.h"

#define CR0_WP		BIT_ULL(16)
#define CR0_PG		BIT_ULL(31)
#define CR4_LA57	BIT_ULL(12)
#define CR4_SMEP	BIT_ULL(20)
#define CR4_SMAP	BIT_ULL(21)
#define EFER_NXE	BIT_ULL(11)
#define CR3_KEEP	BIT_ULL(63)
#define CR3_PCID	0xfffull

/* Bits whose change takes another root or invalidates TLBs. */
#define CR0_ROOT	(CR0_WP | CR0_PG)
#define CR4_ROOT	(SHADOW_CR4_PGE | CR4_LA57 | SHADOW_CR4_PCIDE | CR4_SMEP | CR4_SMAP)

int create_shadow_page_table(const struct shadow_params *params,
			     struct shadow_page_table **table)
{
	struct shadow_page_table *new_table;
	int err;

	if (!params->memory || !params->memory->read || !params->memory->exchange ||
	    !params->translate || !params->tlb.flush_address || !params->tlb.flush_context ||
	    !params->tlb.flush_all || params->maxphyaddr < 32 || params->maxphyaddr > 52 ||
	    params->max_pages < SHADOW_PAGES_MIN || params->max_pages > SHADOW_PAGES_MAX)
		return -EINVAL;
	new_table = plat_alloc(sizeof(*new_table));
	if (!new_table)
		return -ENOMEM;
	new_table->params = *params;
	err = shadow_pool_init(new_table);
	if (err) {
		plat_free(new_table);
		return err;
	}
	*table = new_table;
	return 0;
}

void destroy_shadow_page_table(struct shadow_page_table *table)
{
	if (!table)
		return;
	shadow_pool_fini(table);
	plat_free(table);
}

void shadow_vcpu_init(struct shadow_vcpu *vcpu, struct shadow_page_table *table)
{
	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->table = table;
	vcpu->walk.memory = table->params.memory;
	vcpu->walk.mode.maxphyaddr = table->params.maxphyaddr;
}

void shadow_vcpu_fini(struct shadow_vcpu *vcpu)
{
	if (vcpu->root)
		vcpu->root->pins--;
	vcpu->root = NULL;
}

static int use_root(struct shadow_vcpu *vcpu, u64 cr3)
{
	struct shadow_key key = {
		.gfn = (cr3 & SPTE_ADDRESS) / CORE_PAGE_4K,
		.level = vcpu->walk.format->levels,
		.nxe = vcpu->efer & EFER_NXE,
		.flip = !(vcpu->cr0 & CR0_WP) && !(vcpu->cr4 & CR4_SMAP),
	};
	struct shadow_page *root = shadow_page_get(vcpu->table, &key);

	if (!root)
		return -ENOMEM;
	root->pins++;
	shadow_vcpu_fini(vcpu);
	vcpu->root = root;
	return 0;
}

int shadow_set_registers(struct shadow_vcpu *vcpu, u64 cr0, u64 cr4, u64 efer)
{
	const struct shadow_vcpu old = *vcpu;
	struct walk walk = vcpu->walk;
	int err;

	walk_set_registers(&walk, cr0, cr4, efer, 0, vcpu->table->params.cpu_flags);
	if (!(cr0 & CR0_PG) || walk.format->levels < 4 ||
	    (walk.mode.flags & (WALK_PKE | WALK_PKS)))
		return -EOPNOTSUPP;
	vcpu->walk = walk;
	vcpu->cr0 = cr0;
	vcpu->cr4 = cr4;
	vcpu->efer = efer;
	if (!vcpu->root || !(((old.cr0 ^ cr0) & CR0_ROOT) | ((old.cr4 ^ cr4) & CR4_ROOT) |
			     ((old.efer ^ efer) & EFER_NXE)))
		return 0;
	err = use_root(vcpu, vcpu->cr3);
	if (err) {
		*vcpu = old;
		return err;
	}
	memset(vcpu->known, 0, sizeof(vcpu->known));
	shadow_invalidate(vcpu->table);
	return 0;
}

/*
 * Notes that @pcid's TLB entries are those of @root from now on.
 *
 * Return: they were before.
 */
static bool remember(struct shadow_vcpu *vcpu, u64 root, u16 pcid)
{
	u32 at = 0;
	bool was;

	while (at < SHADOW_ROOTS - 1 &&
	       !(vcpu->known[at].valid && vcpu->known[at].pcid == pcid))
		at++;
	was = vcpu->known[at].valid && vcpu->known[at].pcid == pcid &&
	      vcpu->known[at].root == root;
	for (; at; at--)
		vcpu->known[at] = vcpu->known[at - 1];
	vcpu->known[0].root = root;
	vcpu->known[0].pcid = pcid;
	vcpu->known[0].valid = true;
	return was;
}

int shadow_load_cr3(struct shadow_vcpu *vcpu, u64 cr3)
{
	u64 reserved = ~(BIT_ULL(vcpu->table->params.maxphyaddr) - 1);
	bool keep = false;
	int err;

	if (vcpu->cr4 & SHADOW_CR4_PCIDE) {
		reserved &= ~CR3_KEEP;
		keep = cr3 & CR3_KEEP;
	}
	if (!vcpu->walk.format || (cr3 & reserved))
		return -EINVAL;
	cr3 &= ~CR3_KEEP;
	err = use_root(vcpu, cr3);
	if (err)
		return err;
	vcpu->cr3 = cr3;
	vcpu->walk.root = cr3;
	if (!remember(vcpu, cr3 & SPTE_ADDRESS, shadow_pcid(vcpu)) || !keep)
		shadow_flush_context(vcpu);
	return 0;
}

hypr_hpa_t shadow_root(const struct shadow_vcpu *vcpu)
{
	return plat_virt_to_hpa(vcpu->root->entries);
}

u16 shadow_pcid(const struct shadow_vcpu *vcpu)
{
	return vcpu->cr4 & SHADOW_CR4_PCIDE ? (u16)(vcpu->cr3 & CR3_PCID) : 0;
}

void shadow_stats(const struct shadow_page_table *table, struct shadow_stats *stats)
{
	*stats = table->stats;
}
