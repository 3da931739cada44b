// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A guest's page tables in a VMO.  Nothing of them is trusted: an address is checked
 * before it is read, and the walker judges the one copy that it was given.
 */
#include <stdlib.h>

#include "base/paging.h"
#include "vmo/vmo.h"
#include "vmo/vmo_tables.h"

#define PAGES	16	/* that are kept: a few of each level */

struct hypr_vmo_page {
	bool valid;
	uint64_t gpa;
	uint8_t bytes[HYPR_VMO_PAGE_BYTES];
};

/**
 * hypr_vmo_registers() - of a vCPU
 * Return: 0; -ENODATA its section is missing, or too short; as for hypr_vmo_read().
 */
int hypr_vmo_registers(struct hypr_vmo *vmo, uint32_t vcpu, struct hypr_vmo_registers *registers)
{
	const struct hypr_vmo_section *section = hypr_vmo_find(vmo, HYPR_VMO_VCPU, vcpu);
	void *content;
	int ret;

	if (!section || section->bytes < sizeof(*registers))
		return hypr_fail(-ENODATA, "%s: no registers of vCPU %u are in it", vmo->file.name,
				 vcpu);
	ret = hypr_vmo_content(vmo, section, &content);
	if (!ret)
		memcpy(registers, content, sizeof(*registers));
	return ret;
}

static const struct hypr_vmo_page *find_page(struct hypr_vmo_tables *tables, uint64_t gpa)
{
	struct hypr_vmo_page *page;
	unsigned int i;

	for (i = 0; i < PAGES; i++) {
		page = &tables->page[i];
		if (page->valid && page->gpa == gpa)
			return page;
	}
	page = &tables->page[tables->next++ % PAGES];
	page->valid = false;
	page->gpa = gpa;
	tables->error = hypr_vmo_read(tables->vmo, gpa, page->bytes, sizeof(page->bytes));
	page->valid = !tables->error;
	return page->valid ? page : NULL;
}

/* An entry is within a page: the walker aligns it to its size. */
static bool read_entry(const struct walk_memory *memory, u64 address, u32 bytes, u64 *entry)
{
	struct hypr_vmo_tables *tables = memory->data;
	uint64_t in_page = address % HYPR_VMO_PAGE_BYTES;
	const struct hypr_vmo_page *page;

	*entry = 0;
	if (tables->error || address >= tables->vmo->header.mem_bytes)
		return false;
	page = find_page(tables, address - in_page);
	if (page)
		memcpy(entry, page->bytes + in_page, bytes);	/* little-endian */
	return page;
}

static int read_cpuid(struct hypr_vmo *vmo, const struct kvm_cpuid_entry2 **entry, size_t *nr)
{
	const struct hypr_vmo_section *section = hypr_vmo_find(vmo, HYPR_VMO_CPU, 0);
	void *content;
	int ret;

	*nr = 0;
	if (!section)
		return 0;
	ret = hypr_vmo_content(vmo, section, &content);
	if (ret)
		return ret;
	*entry = content;
	*nr = section->bytes / sizeof(**entry);
	return 0;
}

static int choose(struct hypr_vmo_tables *tables, const struct hypr_paging *paging)
{
	const struct kvm_cpuid_entry2 *cpuid = NULL;
	struct hypr_vmo_registers registers;
	size_t nr_cpuid;
	bool known;
	int ret;

	ret = hypr_vmo_registers(tables->vmo, paging->vcpu, &registers);
	known = !ret;
	if (ret == -ENODATA && (paging->flags & HYPR_PAGING_CR3))
		ret = 0;
	if (!ret)
		ret = read_cpuid(tables->vmo, &cpuid, &nr_cpuid);
	if (!ret)
		tables->on = hypr_paging_set(&tables->walk, paging,
					     known ? &registers.sregs : NULL, cpuid, nr_cpuid);
	return ret;
}

/**
 * hypr_vmo_tables_init() - tables that @paging names, as hypr_vmo_translate() has it
 * Return: 0, to be given back with hypr_vmo_tables_fini(); -EINVAL; -ENODATA; -ENOMEM.
 */
int hypr_vmo_tables_init(struct hypr_vmo_tables *tables, struct hypr_vmo *vmo,
			 const struct hypr_paging *paging)
{
	static const struct hypr_paging first = { .size = sizeof(first) };
	int ret;

	*tables = (struct hypr_vmo_tables){ .vmo = vmo };
	ret = paging ? hypr_paging_check(paging) : 0;
	if (!ret)
		ret = choose(tables, paging ? paging : &first);
	if (ret)
		return ret;
	tables->page = calloc(PAGES, sizeof(*tables->page));
	if (!tables->page)
		return hypr_fail(-ENOMEM, "%s: no memory", vmo->file.name);
	tables->memory = (struct walk_memory){ .read = read_entry, .data = tables };
	tables->walk.memory = &tables->memory;
	return 0;
}

void hypr_vmo_tables_fini(struct hypr_vmo_tables *tables)
{
	free(tables->page);
}

int hypr_vmo_translate(struct hypr_vmo *vmo, uint64_t gva, const struct hypr_paging *paging,
		       struct hypr_translation *result)
{
	struct hypr_vmo_tables tables;
	int ret;

	memset(result, 0, sizeof(*result));
	ret = hypr_vmo_tables_init(&tables, vmo, paging);
	if (ret)
		return ret;
	ret = hypr_paging_translate(&tables.walk, tables.on, gva, vmo->header.mem_bytes, result);
	if (tables.error)
		ret = tables.error;
	else if (ret)
		ret = hypr_paging_refuse(result);
	hypr_vmo_tables_fini(&tables);
	return ret;
}
