// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The engines for function VMs.  A call needs no view: the monitor in the VM knows what
 * was written (docs/call.md).  So engines differ in the device and in what they ask of it.
 */
#include <linux/kvm.h>
#include <linux/kvm_hypr.h>
#include <stddef.h>
#include <string.h>

#include "hypr/hypr.h"
#include "func/engine.h"

static const struct hypr_func_engine engines[] = {
	{ HYPR_ENGINE_STOCK, "/dev/kvm", 0, "" },
	{ HYPR_ENGINE_EPT_SWAP, "/dev/kvm", KVM_CAP_HYPR_EPT_SWAP, "" },
	{ HYPR_ENGINE_HYPRV, "/dev/hyprv", 0, " (load the module hyprv as root: hyprv(4))" },
};

const struct hypr_func_engine *hypr_func_engine_find(const char *name)
{
	size_t i;

	if (!name)
		return &engines[0];
	for (i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		if (!strcmp(engines[i].name, name))
			return &engines[i];
	}
	return NULL;
}
