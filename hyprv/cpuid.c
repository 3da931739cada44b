// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPUID: what hyprv can give a guest, and what this guest was given.
 */
#include <asm/cpuid.h>
#include <asm/fpu/types.h>
#include <asm/processor.h>

#include "hyprv.h"
#include "lapic.h"
#include "vmx.h"

#define LEAF1_OSXSAVE	BIT(27)
#define LEAF1_HYPERVISOR BIT(31)
#define LEAF7_INVPCID	BIT(10)
/* With a local APIC; hyprv's own, whatever the host has. */
#define LEAF1_EDX_APIC	BIT(9)
#define LEAF1_ECX_X2APIC BIT(21)

/*
 * Features by bit.  Left out is what hyprv has no state or no emulation for: VMX, SMX,
 * MONITOR, the TSC deadline, performance counters, machine checks, MTRRs.
 */
#define LEAF1_EDX \
	(BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | \
	 BIT(11) | BIT(13) | BIT(15) | BIT(16) | BIT(17) | BIT(19) | BIT(23) | BIT(24) | \
	 BIT(25) | BIT(26) | BIT(27))
#define LEAF1_ECX \
	(BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) | BIT(20) | \
	 BIT(22) | BIT(23) | BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))
#define LEAF7_EBX \
	(BIT(0) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(18) | \
	 BIT(19) | BIT(20) | BIT(23) | BIT(24) | BIT(29))
#define LEAF81_EDX	(BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29))
#define LEAF81_ECX	(BIT(0) | BIT(5) | BIT(8))

/* Returns false if the guest gets no such leaf. */
static bool leaf(struct kvm_cpuid_entry2 *e)
{
	cpuid_count(e->function, e->index, &e->eax, &e->ebx, &e->ecx, &e->edx);
	switch (e->function) {
	case 0:
		e->eax = min(e->eax, 0xdu);
		return true;
	case 1:
		e->ecx = (e->ecx & LEAF1_ECX) | LEAF1_HYPERVISOR | LEAF1_ECX_X2APIC;
		e->edx = (e->edx & LEAF1_EDX) | LEAF1_EDX_APIC;
		e->ebx &= 0x0000ffff;
		e->ebx |= 1 << 16;
		if (!hypervisor.xcr0)
			e->ecx &= ~(BIT(26) | BIT(28));
		return true;
	case 4:
		e->eax &= 0x3ff;
		return true;
	case 7:
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		e->eax = 0;
		e->ebx &= LEAF7_EBX;
		if (!(hypervisor.can.cpu2.may & CPU2_INVPCID))
			e->ebx &= ~LEAF7_INVPCID;
		/* The kernel may have found that the firmware does not want fast strings. */
		if (!boot_cpu_has(X86_FEATURE_ERMS))
			e->ebx &= ~BIT(9);
		e->ecx = 0;
		e->edx = 0;
		return true;
	case 0xd:
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		if (!hypervisor.xcr0)
			return false;
		if (e->index == 0) {
			e->eax &= (u32)hypervisor.xcr0;
			e->edx = 0;
		} else if (e->index == 1) {
			e->eax &= BIT(0) | BIT(2);
			e->ebx = e->ecx = e->edx = 0;
		} else {
			return hypervisor.xcr0 & BIT_ULL(e->index);
		}
		return true;
	case 0x80000000:
		e->eax = min(e->eax, 0x80000008u);
		return true;
	case 0x80000001:
		e->ecx &= LEAF81_ECX;
		e->edx &= LEAF81_EDX;
		if (!(hypervisor.can.cpu2.may & CPU2_RDTSCP))
			e->edx &= ~BIT(27);
		return true;
	case 0x80000008:
		e->eax = hypervisor.can.maxphyaddr | 48 << 8;
		e->ebx = e->ecx = e->edx = 0;
		return true;
	default:
		return e->function >= 0x80000002 && e->function <= 0x80000006;
	}
}

/* @entries has room for @count, which becomes the number of leaves; -E2BIG if too few. */
int cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 *count)
{
	static const struct {
		u32 function, first, last;
	} leaves[] = {
		{ 0, 0, 0 }, { 1, 0, 0 }, { 7, 0, 0 }, { 0xd, 0, 9 },
		{ 0x80000000, 0, 0 }, { 0x80000001, 0, 0 }, { 0x80000002, 0, 0 },
		{ 0x80000003, 0, 0 }, { 0x80000004, 0, 0 }, { 0x80000006, 0, 0 },
		{ 0x80000008, 0, 0 },
	};
	u32 used = 0, index;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		for (index = leaves[i].first; index <= leaves[i].last; index++) {
			struct kvm_cpuid_entry2 entry = {
				.function = leaves[i].function, .index = index,
			};

			if (!leaf(&entry))
				continue;
			if (used == *count)
				return -E2BIG;
			entries[used++] = entry;
		}
	}
	*count = used;
	return 0;
}

static const struct kvm_cpuid_entry2 *find(const struct vcpu *vcpu, u32 function, u32 index)
{
	u32 i;

	for (i = 0; i < vcpu->cpuids; i++) {
		const struct kvm_cpuid_entry2 *e = &vcpu->cpuid[i];

		if (e->function == function &&
		    (e->index == index || !(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
			return e;
	}
	return NULL;
}

/* Size of the XSAVE area with the states that the guest has enabled. */
static u32 xsave_bytes(u64 xcr0)
{
	u32 bytes = 512 + 64, i;

	for (i = 2; i < 63; i++) {
		if (xcr0 & BIT_ULL(i)) {
			u32 eax, ebx, ecx, edx;

			cpuid_count(0xd, i, &eax, &ebx, &ecx, &edx);
			bytes = max(bytes, eax + ebx);
		}
	}
	return bytes;
}

void cpuid_guest(struct vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	u32 function = *eax, index = *ecx;
	const struct kvm_cpuid_entry2 *e = find(vcpu, function, index);

	*eax = *ebx = *ecx = *edx = 0;
	if (!e)
		return;
	*eax = e->eax;
	*ebx = e->ebx;
	*ecx = e->ecx;
	*edx = e->edx;
	if (function == 1) {
		*ecx &= ~LEAF1_OSXSAVE;
		if (state_cr4() & X86_CR4_OSXSAVE)
			*ecx |= LEAF1_OSXSAVE;
		if (!vcpu->apic)
			*ecx &= ~LEAF1_ECX_X2APIC;
		if (!vcpu->apic || !(vcpu->apic_base & LAPIC_BASE_ENABLED))
			*edx &= ~LEAF1_EDX_APIC;
	} else if (function == 7 && index == 0 && vcpu->paging) {
		*ebx &= ~LEAF7_INVPCID;
	} else if (function == 0xd && index == 0) {
		*ebx = xsave_bytes(vcpu->xcr0);
	}
}
