// SPDX-License-Identifier: GPL-2.0-only
/*
 * hyprv: a small VT-x hypervisor for an unpatched Linux kernel, on core/.  The whole
 * life of the module is in this file: the steps up, and the same steps down.
 */
#include <linux/module.h>

#include "hyprv.h"
#include "plat_linux.h"

static unsigned int fail_step;
module_param(fail_step, uint, 0444);
MODULE_PARM_DESC(fail_step, "the step of the start that fails, for tests; 0 for none");

static unsigned int pool_pages = 1024;
module_param(pool_pages, uint, 0444);
MODULE_PARM_DESC(pool_pages, "pages on each NUMA node for the VMCSs and MSR areas of all vCPUs");

static char *mmu = "ept";
module_param(mmu, charp, 0444);
MODULE_PARM_DESC(mmu, "how VMs translate addresses unless they ask: ept or shadow");

struct hypervisor hypervisor;

/* ---- the steps ---------------------------------------------------------- */

static int mmu_choose(struct hypervisor *hv)
{
	hv->shadow = !strcmp(mmu, "shadow");
	if (hv->shadow || !strcmp(mmu, "ept"))
		return vmx_probe(hv);
	pr_err("hyprv: mmu=%s: it is ept or shadow\n", mmu);
	return -EINVAL;
}

static int memory_start(struct hypervisor *hv)
{
	return pages_init(hv, pool_pages);
}

static int ept_start(struct hypervisor *hv)
{
	hv->ept = (struct ept_capabilities) {
		.maxphyaddr = hv->can.maxphyaddr,
		.page_2m = hv->can.ept_vpid & EPT_CAP_2M,
		.page_1g = hv->can.ept_vpid & EPT_CAP_1G,
		.execute_only = hv->can.ept_vpid & EPT_CAP_EXECUTE_ONLY,
		/* With these flags the CPU would need page tables to be writable. */
		.accessed_dirty = false,
	};
	return 0;
}

static const struct {
	const char *name;
	int (*start)(struct hypervisor *hv);
	void (*stop)(struct hypervisor *hv);
} steps[] = {
	{ "look for VT-x", mmu_choose, NULL },
	{ "describe EPT", ept_start, NULL },
	{ "take memory", memory_start, pages_fini },
	{ "prepare for vCPUs", vcpus_init, vcpus_fini },
	{ "switch VT-x on", vmx_on_all, vmx_off_all },
	{ "watch for reboots", power_init, power_fini },
	{ "publish statistics", debugfs_init, debugfs_fini },
	{ "pass the self test", selftest_run, selftest_forget },
	{ "publish /dev/hyprv", device_init, device_fini },
};

static void undo_steps(struct hypervisor *hv, size_t count)
{
	while (count--)
		if (steps[count].stop)
			steps[count].stop(hv);
}

/* All steps, or none. */
static int init_hypervisor(struct hypervisor *hv)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		int err = fail_step == i + 1 ? -ECANCELED : steps[i].start(hv);

		if (err) {
			pr_err("hyprv: cannot %s: error %d\n", steps[i].name, err);
			undo_steps(hv, i);
			return err;
		}
	}
	return 0;
}

static void fini_hypervisor(struct hypervisor *hv)
{
	undo_steps(hv, ARRAY_SIZE(steps));
}

/* ---- the module --------------------------------------------------------- */

static int __init hyprv_init(void)
{
	int err;

	plat_linux_init();
	err = init_hypervisor(&hypervisor);
	if (!err)
		pr_info("hyprv: VT-x is on, VMs by /dev/hyprv, mmu=%s\n", mmu);
	return err;
}

/* Open files of /dev/hyprv hold the module: no VM is left here. */
static void __exit hyprv_exit(void)
{
	fini_hypervisor(&hypervisor);
	pr_info("hyprv: VT-x is off\n");
}

module_init(hyprv_init);
module_exit(hyprv_exit);
MODULE_DESCRIPTION("HYPR's stand-alone VT-x hypervisor");
MODULE_LICENSE("GPL");
