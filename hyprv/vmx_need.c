// SPDX-License-Identifier: GPL-2.0-only
/* What hyprv needs of VT-x.  Sources: SDM volume 3D, appendix A; volume 3C, "VMXON". */
#include "tlb.h"
#include "vmcs_field.h"
#include "vmx_need.h"

#define FEATURE_LOCKED		BIT_ULL(0)
#define FEATURE_VMX		BIT_ULL(2)	/* outside of SMX */

const char *vmx_missing(const struct vmx_capabilities *can, enum vmx_need what)
{
	const struct {
		enum vmx_need what;
		const char *name;
		bool there;
	} need[] = {
		{ VMX_FOR_ALL, "secondary processor-based controls", can->cpu.may & CPU_SECONDARY },
		{ VMX_FOR_ALL, "exits at HLT", can->cpu.may & CPU_HLT },
		{ VMX_FOR_ALL, "exits at I/O", can->cpu.may & CPU_UNCONDITIONAL_IO },
		{ VMX_FOR_ALL, "exits at MOV DR", can->cpu.may & CPU_MOV_DR },
		{ VMX_FOR_ALL, "MSR bitmaps", can->cpu.may & CPU_MSR_BITMAPS },
		{ VMX_FOR_ALL, "TSC offsetting", can->cpu.may & CPU_TSC_OFFSETTING },
		{ VMX_FOR_ALL, "no exits at CR3 writes", !(can->cpu.must & CPU_CR3_LOAD) },
		{ VMX_FOR_ALL, "no exits at CR3 reads", !(can->cpu.must & CPU_CR3_STORE) },
		{ VMX_FOR_ALL, "no exits at INVLPG", !(can->cpu.must & CPU_INVLPG) },
		{ VMX_FOR_ALL, "VPID", can->cpu2.may & CPU2_VPID },
		{ VMX_FOR_ALL, "INVVPID of one VPID", can->ept_vpid & TLB_CAN_INVVPID_CONTEXT },
		{ VMX_FOR_ALL, "exits at interrupts", can->pin.may & PIN_EXTERNAL_INTERRUPT },
		{ VMX_FOR_ALL, "exits at NMIs", can->pin.may & PIN_NMI },
		{ VMX_FOR_ALL, "virtual NMIs", can->pin.may & PIN_VIRTUAL_NMI },
		{ VMX_FOR_ALL, "exits when NMIs are no longer blocked", can->cpu.may & CPU_NMI_WINDOW },
		{ VMX_FOR_ALL, "a 64-bit host", can->exit.may & EXIT_HOST_64 },
		{ VMX_FOR_ALL, "saving EFER at exits", can->exit.may & EXIT_SAVE_EFER },
		{ VMX_FOR_ALL, "EFER at exits", can->exit.may & EXIT_LOAD_EFER },
		{ VMX_FOR_ALL, "saving PAT at exits", can->exit.may & EXIT_SAVE_PAT },
		{ VMX_FOR_ALL, "PAT at exits", can->exit.may & EXIT_LOAD_PAT },
		{ VMX_FOR_ALL, "EFER at entries", can->entry.may & ENTRY_LOAD_EFER },
		{ VMX_FOR_ALL, "PAT at entries", can->entry.may & ENTRY_LOAD_PAT },
		{ VMX_FOR_ALL, "64-bit guests", can->entry.may & ENTRY_GUEST_64 },
		{ VMX_FOR_EPT, "EPT", can->cpu2.may & CPU2_EPT },
		{ VMX_FOR_EPT, "unrestricted guests", can->cpu2.may & CPU2_UNRESTRICTED },
		{ VMX_FOR_EPT, "EPT tables of 4 levels", can->ept_vpid & EPT_CAP_WALK_4 },
		{ VMX_FOR_EPT, "EPT tables in write-back memory", can->ept_vpid & EPT_CAP_WRITE_BACK },
		{ VMX_FOR_EPT, "INVEPT of one root", can->ept_vpid & TLB_CAN_INVEPT_ROOT },
		{ VMX_FOR_EPT, "INVEPT of all roots", can->ept_vpid & TLB_CAN_INVEPT_ALL },
		{ VMX_FOR_SHADOW, "INVVPID of all VPIDs", can->ept_vpid & TLB_CAN_INVVPID_ALL },
		{ VMX_FOR_SHADOW, "exits at INVLPG", can->cpu.may & CPU_INVLPG },
	};
	size_t i;

	for (i = 0; i < sizeof(need) / sizeof(need[0]); i++)
		if (!need[i].there && need[i].what == what)
			return need[i].name;
	return NULL;
}

bool vmx_is_allowed(u64 feature_control)
{
	const u64 on = FEATURE_LOCKED | FEATURE_VMX;

	return (feature_control & on) == on;
}
