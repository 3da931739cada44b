// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Pages and NUMA nodes of core/plat.h in user space.  A file of its own, so that only
 * who takes pages needs libnuma.
 */
#include <numa.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "plat.h"


/* libnuma reads files: it is asked once.  Without NUMA there is one node. */
u32 plat_node_count(void)
{
	static u32 known;
	u32 count = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (count)
		return count;
	count = numa_available() < 0 ? 1 : (u32)numa_max_node() + 1;
	__atomic_store_n(&known, count, __ATOMIC_RELAXED);
	return count;
}

u32 plat_node_of_cpu(u32 cpu)
{
	int node = plat_node_count() > 1 ? numa_node_of_cpu((int)cpu) : 0;

	return node < 0 ? 0 : (u32)node;
}

u32 plat_node_distance(u32 from, u32 to)
{
	int said = plat_node_count() > 1 ? numa_distance((int)from, (int)to) : 0;

	if (said > 0)
		return (u32)said;
	return from == to ? 10 : 20;
}

/* A mapping of its own, since a node is a property of mappings. */
static void *map_on_node(size_t bytes, int node)
{
	size_t room = bytes > CORE_PAGE_4K ? 2 * bytes : bytes;
	u8 *map = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (map == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)map & (bytes - 1);
	if (before)
		munmap(map, before);
	if (room - before - bytes)
		munmap(map + before + bytes, room - before - bytes);
	if (node >= 0 && (u32)node < plat_node_count())
		numa_tonode_memory(map + before, bytes, node);
	return map + before;
}

/* Pages come from malloc where there is one node: leaks and overruns are found. */
void *plat_page_alloc(u32 count, int node)
{
	size_t bytes = count * CORE_PAGE_4K;
	void *page = plat_node_count() > 1 ? map_on_node(bytes, node) :
					     aligned_alloc(bytes, bytes);

	/* Also where it is zero already: the first write is what takes the memory. */
	if (page)
		memset(page, 0, bytes);
	return page;
}

void plat_page_free(void *page, u32 count)
{
	if (plat_node_count() > 1 && page)
		munmap(page, count * CORE_PAGE_4K);
	else
		free(page);
}
