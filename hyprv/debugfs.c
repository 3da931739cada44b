// SPDX-License-Identifier: GPL-2.0-only
/* /sys/kernel/debug/hyprv: VMs, exits by reason, flushes, the pool, shadow paging. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "hyprv.h"

u64 hypervisor_sum(size_t offset)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*(u64 *)((void *)per_cpu_ptr(hypervisor.cpu, cpu) + offset));
	return sum;
}

static int exits_show(struct seq_file *file, void *unused)
{
	u32 reason;

	for (reason = 0; reason < HYPRV_EXIT_REASONS; reason++) {
		u64 count = HYPERVISOR_SUM(exits[reason]);

		if (count)
			seq_printf(file, "%u %llu %s\n", reason, count, exit_name(reason));
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(exits);

static int summary_show(struct seq_file *file, void *unused)
{
	seq_printf(file, "mmu %s\nvms %d\nentries %llu\ninvept %llu\ninvvpid %llu\n",
		   hypervisor.shadow ? "shadow" : "ept", atomic_read(&hypervisor.vms),
		   HYPERVISOR_SUM(entries), HYPERVISOR_SUM(invept), HYPERVISOR_SUM(invvpid));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(summary);

static int flushes_show(struct seq_file *file, void *unused)
{
	static const char *const name[FLUSH_REASONS] = {
		[FLUSH_TAKEN] = "the process's memory or a page table changed",
		[FLUSH_GUEST] = "the guest asked, with shadow paging",
		[FLUSH_OPEN] = "a page table is no longer open for writes",
		[FLUSH_STATE] = "control registers or state were set",
		[FLUSH_MOVED] = "a vCPU came to another CPU",
		[FLUSH_VIEW] = "a vCPU took a view, or one that was edited",
		[FLUSH_VPID] = "a vCPU ended",
	};
	u32 reason;

	for (reason = 0; reason < FLUSH_REASONS; reason++)
		seq_printf(file, "%llu %s\n", HYPERVISOR_SUM(flushes[reason]), name[reason]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(flushes);

/* A line for each NUMA node. */
static int pool_show(struct seq_file *file, void *unused)
{
	const struct numa_info *numa = &hypervisor.numa;
	struct numa_counts counts;
	struct pool_stats stats;
	u32 node;

	for (node = 0; node < numa->nodes; node++) {
		pool_stats(&numa->pool[node], &stats);
		counts = numa_aware_counts(numa, node);
		seq_printf(file, "node %u: pages %llu free %llu used %llu peak %llu exhausted %llu local %llu remote %llu\n",
			   node, stats.pages, stats.pages_free + stats.pages_cached,
			   stats.pages_used, stats.pages_peak, stats.exhausted, counts.local,
			   counts.remote);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(pool);

static int shadow_show(struct seq_file *file, void *unused)
{
	paging_stats_show(file);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(shadow);

/* A kernel without debugfs is no reason to fail. */
int debugfs_init(struct hypervisor *hv)
{
	hv->debugfs = debugfs_create_dir("hyprv", NULL);
	debugfs_create_file("exits", 0400, hv->debugfs, NULL, &exits_fops);
	debugfs_create_file("summary", 0400, hv->debugfs, NULL, &summary_fops);
	debugfs_create_file("flushes", 0400, hv->debugfs, NULL, &flushes_fops);
	debugfs_create_file("pool", 0400, hv->debugfs, NULL, &pool_fops);
	debugfs_create_file("shadow", 0400, hv->debugfs, NULL, &shadow_fops);
	return 0;
}

void debugfs_fini(struct hypervisor *hv)
{
	debugfs_remove_recursive(hv->debugfs);
	hv->debugfs = NULL;
}
