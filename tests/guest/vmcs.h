/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMCS fields by name: encodings of the Intel SDM, volume 3, appendix "Field Encoding
 * in VMCS", and the MSRs that say which controls a CPU has
 * (appendix "VMX Capability Reporting Facility").  Only what guest_vmx.c writes.
 */
#ifndef TESTS_GUEST_VMCS_H
#define TESTS_GUEST_VMCS_H

/* Segment registers in the order of their fields, which are 2 apart. */
enum { VMCS_ES, VMCS_CS, VMCS_SS, VMCS_DS, VMCS_FS, VMCS_GS, VMCS_LDTR, VMCS_TR, VMCS_SEGMENTS };
#define VMCS_OF(first_field, segment)	((first_field) + 2 * (segment))

/* 16 bits wide. */
#define VMCS_GUEST_SELECTOR		0x0800	/* of ES; see VMCS_OF() */
#define VMCS_HOST_SELECTOR		0x0c00	/* of ES to GS */
#define VMCS_HOST_TR_SELECTOR		0x0c0c	/* there is no LDTR before it */

/* 64 bits wide. */
#define VMCS_LINK_POINTER		0x2800
#define VMCS_GUEST_DEBUGCTL		0x2802

/* 32 bits wide: controls, what an exit says, guest state. */
#define VMCS_PIN_CONTROLS		0x4000
#define VMCS_CPU_CONTROLS		0x4002
#define VMCS_EXCEPTION_BITMAP		0x4004
#define VMCS_EXIT_CONTROLS		0x400c
#define VMCS_ENTRY_CONTROLS		0x4012
#define VMCS_ENTRY_INTERRUPTION		0x4016
#define VMCS_INSTRUCTION_ERROR		0x4400
#define VMCS_EXIT_REASON		0x4402
#define VMCS_GUEST_LIMIT		0x4800	/* of ES */
#define VMCS_GUEST_GDTR_LIMIT		0x4810
#define VMCS_GUEST_IDTR_LIMIT		0x4812
#define VMCS_GUEST_ACCESS_RIGHTS	0x4814	/* of ES */
#define VMCS_GUEST_INTERRUPTIBILITY	0x4824
#define VMCS_GUEST_ACTIVITY		0x4826

/* As wide as a register. */
#define VMCS_GUEST_CR0			0x6800
#define VMCS_GUEST_CR3			0x6802
#define VMCS_GUEST_CR4			0x6804
#define VMCS_GUEST_BASE			0x6806	/* of ES */
#define VMCS_GUEST_GDTR_BASE		0x6816
#define VMCS_GUEST_IDTR_BASE		0x6818
#define VMCS_GUEST_DR7			0x681a
#define VMCS_GUEST_RSP			0x681c
#define VMCS_GUEST_RIP			0x681e
#define VMCS_GUEST_RFLAGS		0x6820
#define VMCS_GUEST_PENDING_DEBUG	0x6822
#define VMCS_HOST_CR0			0x6c00
#define VMCS_HOST_CR3			0x6c02
#define VMCS_HOST_CR4			0x6c04
#define VMCS_HOST_FS_BASE		0x6c06
#define VMCS_HOST_GS_BASE		0x6c08
#define VMCS_HOST_TR_BASE		0x6c0a
#define VMCS_HOST_GDTR_BASE		0x6c0c
#define VMCS_HOST_IDTR_BASE		0x6c0e
#define VMCS_HOST_RSP			0x6c14
#define VMCS_HOST_RIP			0x6c16

#define MSR_VMX_BASIC			0x480
#define MSR_VMX_TRUE_PIN_CONTROLS	0x48d
#define MSR_VMX_TRUE_CPU_CONTROLS	0x48e
#define MSR_VMX_TRUE_EXIT_CONTROLS	0x48f
#define MSR_VMX_TRUE_ENTRY_CONTROLS	0x490

#define VMCS_EXIT_HOST_64		(1u << 9)	/* the host is in 64-bit mode */
#define VMCS_ENTRY_IA32E		(1u << 9)	/* the guest is in IA-32e mode */

#endif
