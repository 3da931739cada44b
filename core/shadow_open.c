// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Shadow paging: a write that has to be emulated, done by the processor itself.
 *
 * The vCPU gets tables of its own until it leaves the guest: copies of the shadow tables on
 * the way to the page, and in the last of them an entry that lets it write.  No other vCPU
 * can reach these tables.
 */
#include "shadow_page.h"

#define RFLAGS_AC	BIT_ULL(18)

/* Rights that the entries above a copied table take away from its entries. */
struct above {
	u64 clear;
	u64 set;
};

static u64 *table_add(struct shadow_opening *opening, const struct shadow_page *page,
		      const struct above *above)
{
	u64 *to = opening->table[opening->tables++];
	u32 i;

	if (page)
		memcpy(to, page->entries, CORE_PAGE_4K);
	else
		memset(to, 0, CORE_PAGE_4K);
	for (i = 0; page && (above->clear | above->set) && i < CORE_ENTRIES; i++)
		if (to[i])
			to[i] = (to[i] & ~above->clear) | above->set;
	return to;
}

/* The table of the opening that @entry points to, or NULL. */
static u64 *table_at(const struct shadow_opening *opening, u64 entry)
{
	u32 i;

	for (i = 0; i < opening->tables; i++)
		if (plat_virt_to_hpa(opening->table[i]).addr == (entry & SPTE_ADDRESS))
			return opening->table[i];
	return NULL;
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

static u32 index_at(u64 gva, u32 level)
{
	return gva >> (CORE_PAGE_SHIFT + 9 * (level - 1)) & (CORE_ENTRIES - 1);
}

static void build(const struct shadow_vcpu *vcpu, struct shadow_opening *opening, u64 gva,
		  u64 leaf)
{
	const struct shadow_page *page = vcpu->root;
	struct above above = { 0, 0 };
	u64 *table = opening->tables ? opening->table[0] : table_add(opening, page, &above);
	u32 level;

	for (level = page->key.level; level > 1; level--) {
		u32 index = index_at(gva, level);
		u64 *below = table_at(opening, table[index]);
		u64 entry = page ? page->entries[index] : 0;

		if (entry) {
			above.clear |= ~entry & (SPTE_W | SPTE_U);
			above.set |= entry & SPTE_NX;
		}
		page = page ? shadow_child(vcpu->table, page, index) : NULL;
		if (!below) {
			below = table_add(opening, page, &above);
			table[index] = plat_virt_to_hpa(below).addr | SPTE_P | SPTE_W | SPTE_U |
				       SPTE_A;
		}
		table = below;
	}
	table[index_at(gva, 1)] = leaf;
}

bool shadow_open_page(const struct shadow_vcpu *vcpu, hypr_gva_t gva, u32 access, u64 rflags,
		      struct shadow_opening *opening, hypr_gpa_t *gpa, hypr_hpa_t *hpa)
{
	const struct shadow_params *params = &vcpu->table->params;
	struct shadow_host_page host;
	struct walk walk = vcpu->walk;
	struct walk_result guest;

	if (rflags & RFLAGS_AC)
		walk.mode.flags |= WALK_AC;
	if (!vcpu->root || walk_translate(&walk, gva.addr, access, &guest))
		return false;
	*gpa = hypr_gpa(guest.address & ~(CORE_PAGE_4K - 1));
	if (params->translate(params->context, *gpa, true, &host) || !host.writable)
		return false;
	*hpa = host.hpa;
	build(vcpu, opening, gva.addr, open_entry(&guest, &host));
	/* No chain leads to the entry: what takes the page away later must flush all. */
	vcpu->table->stale = true;
	return true;
}

hypr_hpa_t shadow_open_root(const struct shadow_opening *opening)
{
	return plat_virt_to_hpa(opening->table[0]);
}
