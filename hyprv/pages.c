// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that CPUs read by VT-x: VMXON regions, VMCSs, areas for MSRs.  A pool on each NUMA
 * node; a page comes from the node of the CPU that will read it, or else from the next.
 */
#include <linux/topology.h>

#include "hyprv.h"

int pages_init(struct hypervisor *hv, u64 pages)
{
	return init_numa_info(&hv->numa, pages);
}

void pages_fini(struct hypervisor *hv)
{
	fini_numa_info(&hv->numa);
}

void *page_take(struct hypervisor *hv, int cpu)
{
	int node = cpu < 0 ? NUMA_NO_NODE : cpu_to_node(cpu);
	void *page = node == NUMA_NO_NODE ?
		     numa_aware_alloc(&hv->numa, PAGE_SIZE, NUMA_POLICY_LOCAL, 0) :
		     numa_aware_alloc(&hv->numa, PAGE_SIZE, NUMA_POLICY_PREFERRED, node);

	return page ? memset(page, 0, PAGE_SIZE) : NULL;
}

void page_give(struct hypervisor *hv, void *page)
{
	WARN_ON_ONCE(numa_aware_free(&hv->numa, page));
}

u64 pages_used(struct hypervisor *hv)
{
	struct pool_stats stats;
	u64 used = 0;
	u32 node;

	for (node = 0; node < hv->numa.nodes; node++) {
		pool_stats(&hv->numa.pool[node], &stats);
		used += stats.pages_used;
	}
	return used;
}
