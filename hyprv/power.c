// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine reboots, crashes or sleeps.  A CPU in VMX operation ignores INIT and cannot
 * clear CR4.VMXE: the next kernel, that of kdump too, could not start it.
 */
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/suspend.h>
#include <asm/reboot.h>

#include "hyprv.h"

/*
 * The kernel has one place for such a call, and KVM takes the place with VT-x: it warns
 * if hyprv is there.  A KVM that is built in lets any of its users ask for VT-x.
 */
static bool emergency = !IS_BUILTIN(CONFIG_KVM);
module_param(emergency, bool, 0444);
MODULE_PARM_DESC(emergency, "leave VMX operation when the kernel crashes (not if KVM is built in)");

static void leave(void *unused)
{
	vmx_off_now();
}

static int on_reboot(struct notifier_block *block, unsigned long event, void *data)
{
	on_each_cpu(leave, NULL, 1);
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = { .notifier_call = on_reboot };

/* A sleeping machine forgets VMXON: refused as long as hyprv is there. */
static int on_power(struct notifier_block *block, unsigned long event, void *data)
{
	if (event != PM_SUSPEND_PREPARE && event != PM_HIBERNATION_PREPARE)
		return NOTIFY_DONE;
	pr_err("hyprv: unload hyprv before the machine sleeps\n");
	return NOTIFY_BAD;
}

static struct notifier_block power_block = { .notifier_call = on_power };

bool power_may_sleep(void)
{
	return on_power(&power_block, PM_SUSPEND_PREPARE, NULL) != NOTIFY_BAD ||
	       on_power(&power_block, PM_HIBERNATION_PREPARE, NULL) != NOTIFY_BAD;
}

int power_init(struct hypervisor *hv)
{
	int err = register_reboot_notifier(&reboot_block);

	if (err)
		return err;
	err = register_pm_notifier(&power_block);
	if (err) {
		unregister_reboot_notifier(&reboot_block);
		return err;
	}
	if (emergency)
		cpu_emergency_register_virt_callback(vmx_off_crash);
	return 0;
}

void power_fini(struct hypervisor *hv)
{
	if (emergency)
		cpu_emergency_unregister_virt_callback(vmx_off_crash);
	unregister_pm_notifier(&power_block);
	unregister_reboot_notifier(&reboot_block);
}
