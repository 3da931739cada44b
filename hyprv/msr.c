// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs of the guest: an allow list.  What is not in the list is a #GP in the guest.
 *
 * The CPU reads and writes those marked direct itself, by the MSR bitmap; VM entries and
 * exits switch them.
 */
#include <asm/msr.h>
#include <asm/tsc.h>

#include "apic.h"
#include "hyprv.h"
#include "vmx.h"

enum kind {
	KIND_FIELD,	/* in the VMCS */
	KIND_SWITCHED,	/* in struct msr_page */
	KIND_EFER,
	KIND_TSC,
	KIND_APIC_BASE,
	KIND_FIXED,	/* reads as @where; writes of that value are ignored */
};

static const struct allowed {
	u32 index;
	enum kind kind;
	bool direct;
	u64 where;
} allowed[] = {
	{ MSR_FS_BASE, KIND_FIELD, true, VMCS_GUEST_FS_BASE },
	{ MSR_GS_BASE, KIND_FIELD, true, VMCS_GUEST_GS_BASE },
	{ MSR_IA32_SYSENTER_CS, KIND_FIELD, true, VMCS_GUEST_SYSENTER_CS },
	{ MSR_IA32_SYSENTER_ESP, KIND_FIELD, true, VMCS_GUEST_SYSENTER_ESP },
	{ MSR_IA32_SYSENTER_EIP, KIND_FIELD, true, VMCS_GUEST_SYSENTER_EIP },
	{ MSR_IA32_CR_PAT, KIND_FIELD, false, VMCS_GUEST_PAT },
	{ MSR_STAR, KIND_SWITCHED, true, SWITCHED_STAR },
	{ MSR_LSTAR, KIND_SWITCHED, true, SWITCHED_LSTAR },
	{ MSR_CSTAR, KIND_SWITCHED, true, SWITCHED_CSTAR },
	{ MSR_SYSCALL_MASK, KIND_SWITCHED, true, SWITCHED_SFMASK },
	{ MSR_KERNEL_GS_BASE, KIND_SWITCHED, true, SWITCHED_KERNEL_GS },
	{ MSR_TSC_AUX, KIND_SWITCHED, true, SWITCHED_TSC_AUX },
	{ MSR_EFER, KIND_EFER, false, 0 },
	{ MSR_IA32_TSC, KIND_TSC, false, 0 },
	{ MSR_IA32_APICBASE, KIND_APIC_BASE, false, 0 },
	{ MSR_IA32_MISC_ENABLE, KIND_FIXED, false, 1 },
	{ MSR_IA32_UCODE_REV, KIND_FIXED, false, 0 },
	{ MSR_IA32_DEBUGCTLMSR, KIND_FIXED, false, 0 },
};

static const struct allowed *find(u32 index)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(allowed); i++)
		if (allowed[i].index == index)
			return index == MSR_TSC_AUX && !boot_cpu_has(X86_FEATURE_RDTSCP) ?
			       NULL : &allowed[i];
	return NULL;
}

/* Four parts of 1 KiB: reads of low and high MSRs, writes of both.  A clear bit: no exit. */
void msr_bitmap_fill(u8 *bitmap)
{
	size_t i;

	memset(bitmap, 0xff, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(allowed); i++) {
		u32 index = allowed[i].index;
		u8 *part = bitmap + (index >= 0xc0000000 ? 1024 : 0);

		if (!allowed[i].direct || !find(index))
			continue;
		index &= 0x1fff;
		part[index / 8] &= ~BIT(index % 8);
		part[2048 + index / 8] &= ~BIT(index % 8);
	}
}

/* FS and GS base are in struct kvm_sregs, like the APIC's base and EFER. */
u32 msr_list(u32 index[MSR_LIST_MAX])
{
	u32 count = 0;
	size_t i;

	BUILD_BUG_ON(ARRAY_SIZE(allowed) > MSR_LIST_MAX);
	for (i = 0; i < ARRAY_SIZE(allowed); i++) {
		const struct allowed *msr = &allowed[i];

		if (find(msr->index) && msr->index != MSR_FS_BASE && msr->index != MSR_GS_BASE &&
		    (msr->kind == KIND_SWITCHED || msr->kind == KIND_FIELD))
			index[count++] = msr->index;
	}
	return count;
}

u32 msr_switched_count(void)
{
	return boot_cpu_has(X86_FEATURE_RDTSCP) ? SWITCHED_MSRS : SWITCHED_TSC_AUX;
}

/* SWITCHED_TSC_AUX and SWITCHED_KERNEL_GS of the host are filled in before each use. */
void msr_page_fill(struct msr_page *page)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(allowed); i++) {
		if (allowed[i].kind != KIND_SWITCHED || !find(allowed[i].index))
			continue;
		page->guest[allowed[i].where].index = allowed[i].index;
		page->host[allowed[i].where].index = allowed[i].index;
		rdmsrl(allowed[i].index, page->host[allowed[i].where].value);
	}
}

int msr_read(struct vcpu *vcpu, u32 index, u64 *value)
{
	const struct allowed *msr = find(index);

	if (!msr)
		return -EINVAL;
	switch (msr->kind) {
	case KIND_FIELD:
		*value = vmcs_read(msr->where);
		return 0;
	case KIND_SWITCHED:
		*value = vcpu->msrs->guest[msr->where].value;
		return 0;
	case KIND_EFER:
		*value = state_efer(vcpu);
		return 0;
	case KIND_TSC:
		*value = rdtsc() + vmcs_read(VMCS_TSC_OFFSET);
		return 0;
	case KIND_APIC_BASE:
		*value = vcpu->apic_base;
		return 0;
	case KIND_FIXED:
		*value = msr->where;
		return 0;
	}
	return -EINVAL;
}

/* What the CPU would refuse to load at VM entry is refused here. */
static bool loadable(u32 index, u64 value)
{
	int i;

	switch (index) {
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
		return (s64)(value << (64 - hypervisor.can.linear_bits)) >>
		       (64 - hypervisor.can.linear_bits) == (s64)value;
	case MSR_SYSCALL_MASK:
	case MSR_TSC_AUX:
	case MSR_IA32_SYSENTER_CS:
		return !(value >> 32);
	case MSR_IA32_CR_PAT:
		for (i = 0; i < 64; i += 8)
			if ((value >> i & 0xff) > 7 || (value >> i & 6) == 2)
				return false;
		return true;
	}
	return true;
}

int msr_write(struct vcpu *vcpu, u32 index, u64 value, bool host)
{
	const struct allowed *msr = find(index);

	if (!msr || !loadable(index, value))
		return -EINVAL;
	switch (msr->kind) {
	case KIND_FIELD:
		vmcs_write(msr->where, value);
		return 0;
	case KIND_SWITCHED:
		vcpu->msrs->guest[msr->where].value = value;
		return 0;
	case KIND_EFER:
		return state_set_efer(vcpu, value);
	case KIND_TSC:
		vmcs_write(VMCS_TSC_OFFSET, value - rdtsc());
		return 0;
	case KIND_APIC_BASE:
		if (vcpu->apic)
			return apic_set_base(vcpu, value, host);
		if (!host && value != vcpu->apic_base)
			return -EINVAL;
		vcpu->apic_base = value;
		return 0;
	case KIND_FIXED:
		return value == msr->where ? 0 : -EINVAL;
	}
	return -EINVAL;
}
