/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest's side of the HYPR control page: the one call that setup_arch()
 * makes, and the one that random.c answers.  The page itself is described in
 * <uapi/linux/kvm_hypr.h>, what the guest does with it in
 * arch/x86/kernel/vmm_control.c.
 */
#ifndef _ASM_X86_VMM_CONTROL_H
#define _ASM_X86_VMM_CONTROL_H

#ifdef CONFIG_HYPR_VMM_CONTROL
#include <linux/types.h>

/* drivers/char/random_hypr.h */
bool random_memory_copied(const u64 id[2]);

void vmm_control_early_init(void);
#else
static inline void vmm_control_early_init(void) { }
#endif

#endif /* _ASM_X86_VMM_CONTROL_H */
