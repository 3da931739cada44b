// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Shadow paging: a write that has to be emulated, done by the processor itself.
 *
 * The vCPU gets tables of its own for one instruction: copies of the shadow tables on the
 * way to the page, and in the last of them an entry that lets it write.  No other vCPU can
 * reach these tables.
 */
#include "shadow_page.h"

#define RFLAGS_AC	BIT_ULL(18)

/* Rights that the entries above a copied table take away from its entries. */
struct above {
	u64 clear;
	u64 set;
};

static void copy(u64 *to, const struct shadow_page *page, const struct above *above)
{
	u32 i;

	if (page)
		memcpy(to, page->entries, CORE_PAGE_4K);
	else
		memset(to, 0, CORE_PAGE_4K);
	for (i = 0; page && (above->clear | above->set) && i < CORE_ENTRIES; i++)
		if (to[i])
			to[i] = (to[i] & ~above->clear) | above->set;
}

/* The entry for the page: what the guest's own entries allow, and a write. */
static u64 open_entry(const struct walk_result *guest, const struct shadow_host_page *host)
{
	u64 entry = host->hpa.addr | SPTE_P | SPTE_W | SPTE_A | SPTE_D;

	if (guest->rights & WALK_USER_PAGE)
		entry |= SPTE_U;
	if (!(guest->rights & WALK_MAY_FETCH) || !host->executable)
		entry |= SPTE_NX;
	return entry;
}

static void build(const struct shadow_vcpu *vcpu, u64 gva, u64 leaf, u64 *const tables[])
{
	const struct shadow_page *page = vcpu->root;
	struct above above = { 0, 0 };
	u32 level;

	for (level = page->key.level;; level--) {
		u32 index = gva >> (CORE_PAGE_SHIFT + 9 * (level - 1)) & (CORE_ENTRIES - 1);

		copy(tables[level - 1], page, &above);
		if (level == 1) {
			tables[0][index] = leaf;
			return;
		}
		if (page && page->entries[index]) {
			above.clear |= ~page->entries[index] & (SPTE_W | SPTE_U);
			above.set |= page->entries[index] & SPTE_NX;
		}
		page = page ? shadow_child(vcpu->table, page, index) : NULL;
		tables[level - 1][index] = plat_virt_to_hpa(tables[level - 2]).addr | SPTE_P |
					   SPTE_W | SPTE_U | SPTE_A;
	}
}

void shadow_step(const struct shadow_vcpu *vcpu, hypr_gva_t gva, u32 access, u64 rflags,
		 u64 *const tables[SHADOW_STEP_TABLES], hypr_hpa_t *root,
		 struct shadow_fault *fault, hypr_hpa_t *page)
{
	const struct shadow_params *params = &vcpu->table->params;
	struct shadow_host_page host;
	struct walk walk = vcpu->walk;
	struct walk_result guest;

	memset(fault, 0, sizeof(*fault));
	fault->result = MMU_RETRY;
	if (rflags & RFLAGS_AC)
		walk.mode.flags |= WALK_AC;
	if (!vcpu->root || walk_translate(&walk, gva.addr, access, &guest))
		return;
	fault->gpa = walk_gpa(&guest);
	if (params->translate(params->context,
			      hypr_gpa(fault->gpa.addr & ~(CORE_PAGE_4K - 1)), true, &host) ||
	    !host.writable)
		return;
	build(vcpu, gva.addr, open_entry(&guest, &host), tables);
	*root = plat_virt_to_hpa(tables[vcpu->root->key.level - 1]);
	*page = host.hpa;
	fault->result = MMU_EMULATE;
}
