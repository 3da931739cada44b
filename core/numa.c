// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* NUMA-aware allocation: see numa.h. */
#include "numa.h"

/* A node is nearest to itself, whatever a firmware's table says. */
static u32 distance(u32 from, u32 to)
{
	return from == to ? 0 : plat_node_distance(from, to);
}

/* All nodes by their distance from @from; of equals the lower number comes first. */
static void sort_by_distance(u32 *order, u32 nodes, u32 from)
{
	for (u32 node = 0; node < nodes; node++) {
		u32 at = node;

		while (at && distance(from, node) < distance(from, order[at - 1])) {
			order[at] = order[at - 1];
			at--;
		}
		order[at] = node;
	}
}

static void release(struct numa_info *info)
{
	for (u32 node = 0; info->pool && node < info->nodes; node++)
		fini_memory_pool(&info->pool[node]);
	plat_free(info->counts);
	plat_free(info->order);
	plat_free(info->pool);
	memset(info, 0, sizeof(*info));
}

int init_numa_info(struct numa_info *info, u64 pages)
{
	u32 nodes = plat_node_count();
	int ret = -ENOMEM;

	memset(info, 0, sizeof(*info));
	if (nodes > NUMA_NODES_MAX)
		return -E2BIG;
	info->nodes = nodes;
	info->pool = (struct memory_pool *)plat_alloc(nodes * sizeof(*info->pool));
	info->order = (u32 *)plat_alloc((size_t)nodes * nodes * sizeof(*info->order));
	info->counts = (struct numa_counts *)plat_alloc(nodes * sizeof(*info->counts));
	if (!info->pool || !info->order || !info->counts)
		goto give_back;
	for (u32 node = 0; node < nodes; node++) {
		sort_by_distance(&info->order[node * nodes], nodes, node);
		ret = init_memory_pool(&info->pool[node], pages, (int)node);
		if (ret)
			goto give_back;
	}
	return 0;

give_back:
	release(info);
	return ret;
}

void fini_numa_info(struct numa_info *info)
{
	if (info)
		release(info);
}

static void *take(struct numa_info *info, size_t bytes, u32 node)
{
	void *memory = pool_alloc(&info->pool[node], bytes, 0);
	struct numa_counts *counts = &info->counts[node];

	if (memory)
		__atomic_fetch_add(plat_node_of_cpu(plat_cpu()) == node ? &counts->local :
									  &counts->remote,
				   1, __ATOMIC_RELAXED);
	return memory;
}

/* @from first, then the others by their distance from it. */
static void *take_by_distance(struct numa_info *info, size_t bytes, u32 from)
{
	void *memory = NULL;

	for (u32 n = 0; !memory && n < info->nodes; n++)
		memory = take(info, bytes, info->order[from * info->nodes + n]);
	return memory;
}

void *numa_aware_alloc(struct numa_info *info, size_t bytes, enum numa_policy policy,
		       u32 node)
{
	void *memory = NULL;
	u32 start;

	switch (policy) {
	case NUMA_POLICY_LOCAL:
		return take_by_distance(info, bytes, plat_node_of_cpu(plat_cpu()));
	case NUMA_POLICY_BIND:
		return node < info->nodes ? take(info, bytes, node) : NULL;
	case NUMA_POLICY_PREFERRED:
		return node < info->nodes ? take_by_distance(info, bytes, node) : NULL;
	case NUMA_POLICY_INTERLEAVE:
		start = __atomic_fetch_add(&info->next, 1, __ATOMIC_RELAXED) % info->nodes;
		for (u32 n = 0; !memory && n < info->nodes; n++)
			memory = take(info, bytes, (start + n) % info->nodes);
		return memory;
	default:
		return NULL;
	}
}

int numa_aware_node(const struct numa_info *info, const void *memory)
{
	for (u32 node = 0; node < info->nodes; node++)
		if (pool_owns(&info->pool[node], memory))
			return (int)node;
	return PLAT_NODE_ANY;
}

int numa_aware_free(struct numa_info *info, void *memory)
{
	int node;

	if (!memory)
		return 0;
	node = numa_aware_node(info, memory);
	return node == PLAT_NODE_ANY ? -EINVAL : pool_free(&info->pool[node], memory);
}

struct numa_counts numa_aware_counts(const struct numa_info *info, u32 node)
{
	struct numa_counts counts = {
		.local = __atomic_load_n(&info->counts[node].local, __ATOMIC_RELAXED),
		.remote = __atomic_load_n(&info->counts[node].remote, __ATOMIC_RELAXED),
	};

	return counts;
}
