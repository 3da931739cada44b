/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What this CPU's VT-x can do, as the capability MSRs report it (SDM volume 3D, appendix
 * A).  Compiles in the kernel and in user space.
 */
#ifndef HYPRV_VMX_CAPS_H
#define HYPRV_VMX_CAPS_H

#include "types.h"

/**
 * struct vmx_controls - one word of controls
 * @must: bits that must be 1
 * @may: bits that may be 1
 */
struct vmx_controls {
	u32 must;
	u32 may;
};

/**
 * struct vmx_capabilities - the capability MSRs
 * @revision: VMCS revision identifier, of IA32_VMX_BASIC
 * @maxphyaddr: CPUID 80000008H
 * @linear_bits: width of a linear address
 * @pin, @cpu, @cpu2, @exit, @entry: the controls, by the TRUE MSRs where they exist
 * @misc: IA32_VMX_MISC
 * @ept_vpid: IA32_VMX_EPT_VPID_CAP
 * @cr0_fixed0, @cr0_fixed1: bits of CR0 that must be 1, that may be 1
 * @cr4_fixed0, @cr4_fixed1: likewise for CR4
 */
struct vmx_capabilities {
	u32 revision;
	u8 maxphyaddr;
	u8 linear_bits;
	struct vmx_controls pin;
	struct vmx_controls cpu;
	struct vmx_controls cpu2;
	struct vmx_controls exit;
	struct vmx_controls entry;
	u64 misc;
	u64 ept_vpid;
	u64 cr0_fixed0;
	u64 cr0_fixed1;
	u64 cr4_fixed0;
	u64 cr4_fixed1;
};

/* IA32_VMX_EPT_VPID_CAP beyond what core/tlb.h and core/ept.h name. */
#define EPT_CAP_EXECUTE_ONLY	BIT_ULL(0)
#define EPT_CAP_WALK_4		BIT_ULL(6)
#define EPT_CAP_WALK_5		BIT_ULL(7)
#define EPT_CAP_UNCACHED	BIT_ULL(8)
#define EPT_CAP_WRITE_BACK	BIT_ULL(14)
#define EPT_CAP_2M		BIT_ULL(16)
#define EPT_CAP_1G		BIT_ULL(17)
#define EPT_CAP_ACCESSED_DIRTY	BIT_ULL(21)

/** vmx_controls_choose() - @wanted as far as @can allows, and what it demands */
static inline u32 vmx_controls_choose(struct vmx_controls can, u32 wanted)
{
	return (wanted & can.may) | can.must;
}

#endif /* HYPRV_VMX_CAPS_H */
