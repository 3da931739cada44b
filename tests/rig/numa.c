// SPDX-License-Identifier: GPL-2.0-only
/*
 * core/numa.h on the machine's own nodes; prints them, and TAP.  With one node there is
 * nothing to choose from, and the tests are skipped: run it on a machine with two, for
 * example on QEMU with
 *	-object memory-backend-ram,id=a,size=256M -object memory-backend-ram,id=b,size=256M
 *	-numa node,nodeid=0,memdev=a,cpus=0 -numa node,nodeid=1,memdev=b,cpus=1
 */
#include <netdb.h>
#include <numaif.h>
#include <stdio.h>

#include "numa.h"

#define BLOCKS	64

/* libnuma can look a network address up.  A static program cannot, and need not. */
int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		       struct addrinfo **found);

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
		       struct addrinfo **found)
{
	(void)node;
	(void)service;
	(void)hints;
	(void)found;
	return EAI_FAIL;
}

static int tests, failed;

static void result(bool ok, const char *what)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++tests, what);
	failed += !ok;
}

static void print_nodes(void)
{
	u32 nodes = plat_node_count();

	printf("# %u nodes, %u CPUs\n", nodes, plat_cpu_count());
	for (u32 cpu = 0; cpu < plat_cpu_count(); cpu++)
		printf("# CPU %u: node %u\n", cpu, plat_node_of_cpu(cpu));
	for (u32 from = 0; from < nodes; from++) {
		printf("# distances from node %u:", from);
		for (u32 to = 0; to < nodes; to++)
			printf(" %u", plat_node_distance(from, to));
		printf("\n");
	}
}

/* Where the kernel has put the page: a node, or -errno. */
static int node_of_page(void *page)
{
	int status = -ENOENT;

	page = (void *)((uintptr_t)page & ~(uintptr_t)(CORE_PAGE_4K - 1));
	if (move_pages(0, 1, &page, NULL, &status, 0) < 0)
		return -errno;
	return status;
}

/* Each block on the node that @want says, also after it was written. */
static bool blocks_lie_on(struct numa_info *info, enum numa_policy policy, u32 node)
{
	void *block[BLOCKS];
	bool ok = true;

	for (u32 n = 0; n < BLOCKS; n++) {
		block[n] = numa_aware_alloc(info, CORE_PAGE_4K, policy, node);
		if (!block[n])
			return false;
		memset(block[n], 0xa5, CORE_PAGE_4K);
		if (node_of_page(block[n]) != (int)node) {
			printf("# block %u lies on node %d, not %u\n", n,
			       node_of_page(block[n]), node);
			ok = false;
		}
	}
	for (u32 n = 0; n < BLOCKS; n++)
		ok = !numa_aware_free(info, block[n]) && ok;
	return ok;
}

static bool interleaved(struct numa_info *info)
{
	u32 seen[NUMA_NODES_MAX] = { 0 };
	bool ok = true;

	for (u32 n = 0; n < BLOCKS; n++) {
		void *block = numa_aware_alloc(info, CORE_PAGE_4K, NUMA_POLICY_INTERLEAVE, 0);
		int node = block ? node_of_page(block) : -ENOMEM;

		if (node < 0 || (u32)node >= info->nodes)
			return false;
		seen[node]++;
		numa_aware_free(info, block);
	}
	for (u32 node = 0; node < info->nodes; node++)
		ok = ok && seen[node] >= BLOCKS / info->nodes;
	return ok;
}

int main(void)
{
	struct numa_info info;
	u64 all = 0;

	printf("1..4\n");
	print_nodes();
	if (plat_node_count() < 2) {
		for (int n = 1; n <= 4; n++)
			printf("ok %d # SKIP one NUMA node\n", n);
		return 0;
	}
	if (init_numa_info(&info, 1024)) {
		printf("Bail out! no pools of 1024 pages\n");
		return 1;
	}
	for (u32 node = 0; node < 2; node++)
		result(blocks_lie_on(&info, NUMA_POLICY_BIND, node),
		       node ? "what is bound to node 1 lies there" :
			      "what is bound to node 0 lies there");
	result(interleaved(&info), "interleaved blocks lie on all nodes alike");
	for (u32 node = 0; node < info.nodes; node++) {
		struct numa_counts counts = numa_aware_counts(&info, node);

		printf("# node %u: %llu local, %llu remote\n", node,
		       (unsigned long long)counts.local, (unsigned long long)counts.remote);
		all += counts.local + counts.remote;
	}
	result(all == 3 * BLOCKS, "each allocation is counted once");
	fini_numa_info(&info);
	return failed != 0;
}
