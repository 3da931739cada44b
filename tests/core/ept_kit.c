// SPDX-License-Identifier: GPL-2.0-only
/* An EPT context under test: ept_kit.h. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/core/ept_kit.h"

const struct ept_capabilities ept_kit_all = {
	.maxphyaddr = 52,
	.page_2m = true,
	.page_1g = true,
	.execute_only = true,
	.accessed_dirty = true,
	.user_execute = true,
};

static void *kit_get(void *context)
{
	struct ept_kit *kit = context;

	if (!kit->fuse)
		return NULL;
	kit->fuse--;
	kit->live++;
	return plat_page_alloc(1, PLAT_NODE_ANY);
}

static void kit_put(void *context, void *page)
{
	struct ept_kit *kit = context;

	kit->live--;
	memset(page, 0xff, CORE_PAGE_4K);
	plat_page_free(page, 1);
}

struct ept_allocator ept_kit_allocator(struct ept_kit *kit)
{
	struct ept_allocator allocator = { kit_get, kit_put, kit };

	return allocator;
}

void ept_kit_init(struct ept_kit *kit, u32 levels, const struct ept_capabilities *can)
{
	struct ept_allocator allocator = ept_kit_allocator(kit);

	memset(kit, 0, sizeof(*kit));
	kit->fuse = UINT64_MAX;
	if (init_ept_context(&kit->ept, levels, can, &allocator))
		abort();
}

bool ept_kit_fini(struct ept_kit *kit)
{
	fini_ept_context(&kit->ept);
	return kit->live == 0;
}

bool ept_kit_clean(const struct ept_kit *kit)
{
	const struct ept_context *ept = &kit->ept;
	struct ept_check_cpu cpu = {
		.levels = ept->levels,
		.maxphyaddr = ept->can.maxphyaddr,
		.page_2m = ept->can.page_2m,
		.page_1g = ept->can.page_1g,
		.execute_only = ept->can.execute_only,
		.user_execute = ept->can.user_execute,
	};
	struct ept_check_result found;

	if (ept_check_tables(&cpu, plat_virt_to_hpa(ept->root), &found)) {
		printf("%s: entry %#llx of level %u at GPA %#llx\n", ept_rule_name(found.rule),
		       (unsigned long long)found.entry, found.level,
		       (unsigned long long)found.gpa.addr);
		return false;
	}
	if (found.tables == ept->stats.tables &&
	    kit->live == ept->stats.tables + ept->stats.retired &&
	    !memcmp(found.pages, ept->stats.pages, sizeof(found.pages)))
		return true;
	printf("counted %llu tables; the context says %llu, and %llu retired\n",
	       (unsigned long long)found.tables, (unsigned long long)ept->stats.tables,
	       (unsigned long long)ept->stats.retired);
	for (u32 i = 0; i < 3; i++)
		printf("counted %llu pages of level %u; the context says %llu\n",
		       (unsigned long long)found.pages[i], i + 1,
		       (unsigned long long)ept->stats.pages[i]);
	return false;
}

int ept_kit_start(void **state, u32 levels, const struct ept_capabilities *can)
{
	*state = calloc(1, sizeof(struct ept_kit));
	if (!*state)
		return -1;
	ept_kit_init(*state, levels, can);
	return 0;
}

int ept_kit_setup(void **state)
{
	return ept_kit_start(state, 4, &ept_kit_all);
}

int ept_kit_teardown(void **state)
{
	bool clean = ept_kit_clean(*state);
	bool nothing_lost = ept_kit_fini(*state);

	free(*state);
	return clean && nothing_lost ? 0 : -1;
}

enum ept_refusal ept_kit_map(struct ept_kit *kit, u64 gpa, u64 hpa, u64 size, u32 permissions)
{
	struct memory_mapping mapping = { hypr_gpa(gpa), hypr_hpa(hpa), size, permissions };

	return ept_map_memory(&kit->ept, &mapping, &kit->edit);
}

void ept_kit_touch(struct ept_kit *kit, u64 gpa, bool write)
{
	u64 *table = kit->ept.root;
	u32 level = kit->ept.levels;

	for (;; level--) {
		u64 *entry = &table[gpa >> (3 + 9 * level) & 511];
		bool leaf = level == 1 || *entry & 1 << 7;

		if (!(*entry & 0x407))
			return;
		*entry |= 1 << 8 | (leaf && write ? 1 << 9 : 0);
		if (leaf)
			return;
		table = plat_hpa_to_virt(hypr_hpa(*entry & 0xffffffffff000));
	}
}
