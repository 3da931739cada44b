// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* Shadow paging: shadow pages by key, bounded, the oldest one recycled. */
#include "shadow_page.h"

/* Pages of 4 KiB that the slots of a shadow page take. */
#define SLOT_PAGES	((u32)(CORE_ENTRIES * sizeof(struct shadow_slot) / CORE_PAGE_4K))

_Static_assert(SLOT_PAGES * CORE_PAGE_4K == CORE_ENTRIES * sizeof(struct shadow_slot),
	       "slots fill whole pages");
_Static_assert((u64)SHADOW_PAGES_MAX * CORE_ENTRIES < ~0u, "an entry's id fits u32");

static u32 power_of_two(u32 number)
{
	u32 power = 1;

	while (power < number)
		power *= 2;
	return power;
}

int shadow_pool_init(struct shadow_page_table *table)
{
	u32 max = table->params.max_pages, i;
	u32 buckets = power_of_two(2 * max), maps = power_of_two(16 * max);

	table->hash_mask = buckets - 1;
	table->maps_mask = maps - 1;
	table->pages = plat_alloc(max * sizeof(*table->pages));
	table->hash = plat_alloc(buckets * sizeof(struct shadow_page *));
	table->tracked = plat_alloc(buckets * sizeof(*table->tracked));
	table->maps = plat_alloc(maps * sizeof(*table->maps));
	if (!table->pages || !table->hash || !table->tracked || !table->maps) {
		shadow_pool_fini(table);
		return -ENOMEM;
	}
	for (i = max; i--;) {
		table->pages[i].hash_next = table->free;
		table->free = &table->pages[i];
	}
	return 0;
}

static void *memory_get(const struct shadow_page_table *table, u32 pages)
{
	const struct shadow_allocator *allocator = &table->params.allocator;

	return allocator->get ? allocator->get(allocator->context, pages) :
				plat_page_alloc(pages, PLAT_NODE_ANY);
}

static void memory_put(const struct shadow_page_table *table, void *memory, u32 pages)
{
	const struct shadow_allocator *allocator = &table->params.allocator;

	if (!allocator->get)
		plat_page_free(memory, pages);
	else if (memory)
		allocator->put(allocator->context, memory, pages);
}

static void take_memory(const struct shadow_page_table *table, struct shadow_page *page)
{
	memory_put(table, page->entries, 1);
	memory_put(table, page->slots, SLOT_PAGES);
	page->entries = NULL;
	page->slots = NULL;
}

void shadow_pool_fini(struct shadow_page_table *table)
{
	u32 i;

	for (i = 0; table->pages && i < table->params.max_pages; i++)
		take_memory(table, &table->pages[i]);
	plat_free(table->pages);
	plat_free(table->hash);
	plat_free(table->tracked);
	plat_free(table->maps);
}

static void age_remove(struct shadow_page_table *table, struct shadow_page *page)
{
	*(page->newer ? &page->newer->older : &table->newest) = page->older;
	*(page->older ? &page->older->newer : &table->oldest) = page->newer;
}

static void age_add(struct shadow_page_table *table, struct shadow_page *page)
{
	page->newer = NULL;
	page->older = table->newest;
	*(table->newest ? &table->newest->newer : &table->oldest) = page;
	table->newest = page;
}

static struct shadow_page **bucket_of(const struct shadow_page_table *table, u64 gfn)
{
	return &table->hash[shadow_hash(table, gfn, table->hash_mask)];
}

static u32 *region_of(const struct shadow_page_table *table, u64 gfn)
{
	return &table->tracked[shadow_hash(table, gfn >> 9, table->hash_mask)];
}

bool shadow_region_has_table(const struct shadow_page_table *table, u64 gfn)
{
	return *region_of(table, gfn);
}

/* The first page of the chain that shadows table @gfn. */
static struct shadow_page *of_table(struct shadow_page *page, u64 gfn)
{
	while (page && (page->key.gfn != gfn || page->key.direct))
		page = page->hash_next;
	return page;
}

struct shadow_page *shadow_page_first(const struct shadow_page_table *table, u64 gfn)
{
	return of_table(*bucket_of(table, gfn), gfn);
}

struct shadow_page *shadow_page_next(const struct shadow_page *page)
{
	return of_table(page->hash_next, page->key.gfn);
}

bool shadow_is_tracked(const struct shadow_page_table *table, u64 gfn)
{
	const struct shadow_page *page = shadow_page_first(table, gfn);

	while (page && page->unsync)
		page = shadow_page_next(page);
	return page;
}

static bool same_key(const struct shadow_key *one, const struct shadow_key *two)
{
	return one->gfn == two->gfn && one->level == two->level &&
	       one->direct == two->direct && one->global == two->global &&
	       one->nxe == two->nxe && one->flip == two->flip;
}

static struct shadow_page *find(struct shadow_page_table *table, const struct shadow_key *key)
{
	struct shadow_page *page = *bucket_of(table, key->gfn);

	while (page && !same_key(&page->key, key))
		page = page->hash_next;
	return page;
}

static void empty(struct shadow_page_table *table, struct shadow_page *page)
{
	u32 index;

	for (index = 0; page->present && index < CORE_ENTRIES; index++)
		shadow_entry_clear(table, page, index);
}

void shadow_page_drop(struct shadow_page_table *table, struct shadow_page *page)
{
	struct shadow_page **link = bucket_of(table, page->key.gfn);

	empty(table, page);
	if (page->pins)
		return;
	shadow_chain_clear(table, &page->parents);
	if (page->unsync)
		shadow_unsync_drop(table, page);
	while (*link != page)
		link = &(*link)->hash_next;
	*link = page->hash_next;
	if (!page->key.direct)
		--*region_of(table, page->key.gfn);
	age_remove(table, page);
	page->used = false;
	page->hash_next = table->free;
	table->free = page;
	table->stats.pages--;
}

/* Drops the oldest page that no vCPU runs on. */
static bool recycle(struct shadow_page_table *table)
{
	struct shadow_page *page = table->oldest;

	while (page && page->pins)
		page = page->newer;
	if (!page)
		return false;
	shadow_page_drop(table, page);
	table->stats.recycled++;
	return true;
}

static bool give_memory(const struct shadow_page_table *table, struct shadow_page *page)
{
	if (!page->entries)
		page->entries = memory_get(table, 1);
	if (!page->slots)
		page->slots = memory_get(table, SLOT_PAGES);
	return page->entries && page->slots;
}

/* A free page with memory.  A recycled page brings its own. */
static struct shadow_page *take_free(struct shadow_page_table *table)
{
	struct shadow_page *page;

	if (!table->free && !recycle(table))
		return NULL;
	if (!give_memory(table, table->free) && !recycle(table))
		return NULL;
	page = table->free;
	table->free = page->hash_next;
	/* A processor may still hold pointers to the page that this one was. */
	shadow_flush_stale(table);
	return page;
}

void shadow_trim(struct shadow_page_table *table)
{
	struct shadow_page *page;

	/* A processor may still hold pointers to what these pages were. */
	shadow_flush_stale(table);
	for (page = table->free; page; page = page->hash_next)
		take_memory(table, page);
}

/* The guest's stores to the table no longer go unseen. */
static void track(struct shadow_page_table *table, u64 gfn)
{
	struct shadow_page *page, *next;

	for (page = shadow_page_first(table, gfn); page; page = next) {
		next = shadow_page_next(page);
		if (page->unsync)
			shadow_sync_page(table, page);
	}
	shadow_gfn_protect(table, gfn);
}

struct shadow_page *shadow_page_get(struct shadow_page_table *table,
				    const struct shadow_key *key)
{
	struct shadow_page *page = find(table, key);
	struct shadow_page **bucket = bucket_of(table, key->gfn);

	if (page) {
		age_remove(table, page);
		age_add(table, page);
		page->writes = 0;
		return page;
	}
	page = take_free(table);
	if (!page)
		return NULL;
	page->key = *key;
	page->used = true;
	page->writes = 0;
	page->hash_next = *bucket;
	*bucket = page;
	age_add(table, page);
	table->stats.pages++;
	if (!key->direct) {
		++*region_of(table, key->gfn);
		track(table, key->gfn);
	}
	return page;
}
