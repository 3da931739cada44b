/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/* What /dev/hyprv has beyond <linux/kvm.h> and <linux/kvm_hypr.h>. */
#ifndef HYPRV_ABI_H
#define HYPRV_ABI_H

/* Types of KVM_CREATE_VM; 0 is what the module's parameter mmu says. */
#define HYPRV_VM_EPT	0x100
#define HYPRV_VM_SHADOW	0x101

#endif /* HYPRV_ABI_H */
