/* SPDX-License-Identifier: GPL-2.0-only */
/* What hyprv needs of VT-x.  Compiles in the kernel and in user space. */
#ifndef HYPRV_VMX_NEED_H
#define HYPRV_VMX_NEED_H

#include "vmx_caps.h"

enum vmx_need { VMX_FOR_ALL, VMX_FOR_EPT, VMX_FOR_SHADOW };

/** vmx_missing() - what @can lacks for such VMs, in words; NULL if nothing */
const char *vmx_missing(const struct vmx_capabilities *can, enum vmx_need what);

/** vmx_is_allowed() - by the firmware, in IA32_FEATURE_CONTROL; VMXON needs its lock, too */
bool vmx_is_allowed(u64 feature_control);

#endif /* HYPRV_VMX_NEED_H */
