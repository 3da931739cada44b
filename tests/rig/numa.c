// SPDX-License-Identifier: GPL-2.0-only
/*
 * core/numa.h on the machine's own nodes: numa [NODES].  Prints them, and TAP; a machine
 * with fewer than NODES is a failure.  With one node there is nothing to choose from, and
 * the tests are skipped.  The emulated PC has two with numa=fake=2 on the kernel's command
 * line.  The second opinion on where a page lies is the kernel's: move_pages().
 */
#include <netdb.h>
#include <numaif.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "numa.h"

#define BLOCKS	64
/* Of each node's pool. */
#define PAGES	1024
#define TESTS	9

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

static bool lies_on(void *block, u32 node)
{
	return block && node_of_page(block) == (int)node;
}

/* The platform's own pages, which no pool has in between. */
static bool pages_lie_on(u32 node)
{
	bool ok = true;

	for (u32 count = 1; count <= 64; count *= 8) {
		u8 *pages = plat_page_alloc(count, (int)node);

		for (u32 n = 0; n < count; n++)
			ok = ok && pages && lies_on(pages + n * CORE_PAGE_4K, node);
		plat_page_free(pages, count);
	}
	return ok;
}

static bool local_is_the_cpus_node(struct numa_info *info)
{
	cpu_set_t one, all;
	void *block;
	bool ok;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_getaffinity(0, sizeof(all), &all) || sched_setaffinity(0, sizeof(one), &one))
		return false;
	block = numa_aware_alloc(info, CORE_PAGE_4K, NUMA_POLICY_LOCAL, 0);
	ok = lies_on(block, plat_node_of_cpu(0));
	ok = !numa_aware_free(info, block) && ok;
	return !sched_setaffinity(0, sizeof(all), &all) && ok;
}

/*
 * Node 1 until it is empty: strict takes no other, preferred takes the next one, and
 * node 1 again as soon as it has a block.
 */
static void empty_node(struct numa_info *info)
{
	static void *block[2 * PAGES];
	u32 count = 0, stray = 0;
	void *next, *other, *back;

	while (count < 2 * PAGES) {
		next = numa_aware_alloc(info, CORE_PAGE_4K, NUMA_POLICY_BIND, 1);
		if (!next)
			break;
		stray += !lies_on(next, 1);
		block[count++] = next;
	}
	other = numa_aware_alloc(info, CORE_PAGE_4K, NUMA_POLICY_BIND, 0);
	printf("# node 1 gave %u blocks\n", count);
	result(count >= PAGES && count < 2 * PAGES && !stray && lies_on(other, 0),
	       "bound to node 1: all of its pool, then nothing, with node 0 still full");
	numa_aware_free(info, other);

	other = numa_aware_alloc(info, CORE_PAGE_4K, NUMA_POLICY_PREFERRED, 1);
	numa_aware_free(info, block[--count]);
	back = numa_aware_alloc(info, CORE_PAGE_4K, NUMA_POLICY_PREFERRED, 1);
	result(other && !lies_on(other, 1) && numa_aware_node(info, other) != 1 &&
	       lies_on(back, 1),
	       "node 1 preferred: another node while node 1 is empty, then node 1 again");
	numa_aware_free(info, other);
	numa_aware_free(info, back);
	while (count)
		numa_aware_free(info, block[--count]);
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

/* Local and remote allocations of all nodes, printed and added up. */
static u64 counted(struct numa_info *info)
{
	u64 all = 0;

	for (u32 node = 0; node < info->nodes; node++) {
		struct numa_counts counts = numa_aware_counts(info, node);

		printf("# node %u: %llu local, %llu remote\n", node,
		       (unsigned long long)counts.local, (unsigned long long)counts.remote);
		all += counts.local + counts.remote;
	}
	return all;
}

int main(int argc, char **argv)
{
	u32 wanted = argc > 1 ? (u32)atoi(argv[1]) : 1;
	struct numa_info info;

	printf("1..%d\n", TESTS);
	print_nodes();
	if (plat_node_count() < wanted) {
		printf("Bail out! %u nodes, not %u\n", plat_node_count(), wanted);
		return 1;
	}
	if (plat_node_count() < 2) {
		for (int n = 1; n <= TESTS; n++)
			printf("ok %d # SKIP one NUMA node\n", n);
		return 0;
	}
	if (init_numa_info(&info, PAGES)) {
		printf("Bail out! no pools of %u pages\n", PAGES);
		return 1;
	}
	for (u32 node = 0; node < 2; node++)
		result(blocks_lie_on(&info, NUMA_POLICY_BIND, node),
		       node ? "what is bound to node 1 lies there" :
			      "what is bound to node 0 lies there");
	result(blocks_lie_on(&info, NUMA_POLICY_PREFERRED, 1),
	       "what prefers node 1 lies there while it has room");
	result(interleaved(&info), "interleaved blocks lie on all nodes alike");
	result(counted(&info) == 4 * BLOCKS, "each allocation is counted once");
	result(local_is_the_cpus_node(&info), "a local block lies on the CPU's node");
	empty_node(&info);
	fini_numa_info(&info);
	result(pages_lie_on(0) && pages_lie_on(1), "pages of the platform lie on their node");
	return failed != 0;
}
