// SPDX-License-Identifier: LGPL-2.1-or-later
/* Why KVM gives no VM: hyprv and KVM exclude each other (docs/hyprv.md). */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/kvm.h"

bool hypr_hyprv_loaded(void)
{
	return !access("/sys/module/hyprv", F_OK);
}

int hypr_fail_no_vm(int err, const char *device)
{
	if (err == -EIO && !strcmp(device, "/dev/kvm") && hypr_hyprv_loaded())
		return hypr_fail(-ENODEV,
				 "KVM_CREATE_VM: the module hyprv has VT-x; rmmod hyprv, or --engine hyprv");
	return hypr_fail_sys(err, "KVM_CREATE_VM");
}
