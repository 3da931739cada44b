/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Memory by NUMA node: a pool for each node, and an allocation that says from which
 * nodes it may come.  What the machine looks like comes from plat.h.
 */
#ifndef CORE_NUMA_H
#define CORE_NUMA_H

#include "pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* plat_node_count() beyond this is refused. */
#define NUMA_NODES_MAX	64

enum numa_policy {
	NUMA_POLICY_LOCAL,	/* the caller's node, then by distance from it */
	NUMA_POLICY_BIND,	/* the named node, and no other */
	NUMA_POLICY_PREFERRED,	/* the named node, then by distance from it */
	NUMA_POLICY_INTERLEAVE,	/* node after node; one that is empty is passed over */
};

/**
 * struct numa_counts - allocations from one node's pool
 * @local: by CPUs of the node
 * @remote: by CPUs of other nodes
 */
struct numa_counts {
	u64 local;
	u64 remote;
};

/**
 * struct numa_info - the nodes and their pools
 * @nodes: number of nodes
 * @next: where NUMA_POLICY_INTERLEAVE goes on
 * @pool: of each node
 * @order: for each node all nodes, by distance from it: @nodes x @nodes numbers
 * @counts: of each node
 */
struct numa_info {
	u32 nodes;
	u32 next;
	struct memory_pool *pool;
	u32 *order;
	struct numa_counts *counts;
};

/**
 * init_numa_info() - a pool on each node
 * @info: the caller's; undone by fini_numa_info()
 * @pages: pages of each pool, rounded up as init_memory_pool() does
 *
 * Context: may sleep in the kernel.
 * Return: 0; -EINVAL for @pages; -ENOMEM, with everything given back; -E2BIG beyond
 * NUMA_NODES_MAX nodes; what plat_lock_init() returns.
 */
int init_numa_info(struct numa_info *info, u64 pages);

/** fini_numa_info() - give all pools back; NULL, or one whose init failed, is allowed */
void fini_numa_info(struct numa_info *info);

/**
 * numa_aware_alloc() - take a block from the nodes that a policy allows
 * @info: the pools
 * @bytes: as for pool_alloc()
 * @policy: which nodes
 * @node: for NUMA_POLICY_BIND and NUMA_POLICY_PREFERRED, below info->nodes
 *
 * Takes and drops the pools' locks, one at a time.
 *
 * Return: the block, not zeroed; NULL if no node that @policy allows has one, or @node
 * or @policy is unknown.
 */
void *numa_aware_alloc(struct numa_info *info, size_t bytes, enum numa_policy policy,
		       u32 node);

/**
 * numa_aware_free() - give back what numa_aware_alloc() returned
 * @info: the pools
 * @memory: NULL is allowed
 *
 * Return: 0; -EINVAL, -EALREADY as pool_free().
 */
int numa_aware_free(struct numa_info *info, void *memory);

/** numa_aware_node() - the node whose pool has @memory; PLAT_NODE_ANY if none has */
int numa_aware_node(const struct numa_info *info, const void *memory);

/** numa_aware_counts() - the counts of @node, below info->nodes */
struct numa_counts numa_aware_counts(const struct numa_info *info, u32 node);

#ifdef __cplusplus
}
#endif

#endif /* CORE_NUMA_H */
