/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The instructions of VT-x.
 *
 * An instruction fails by CF (no current VMCS) or ZF (VM-instruction error).  STC before
 * it makes a fault (VT-x is off), which the exception table skips, a failure as well.
 */
#ifndef HYPRV_VMX_H
#define HYPRV_VMX_H

#include <linux/printk.h>
#include <asm/asm.h>

#include "vmcs_field.h"

#define VMX_INSTRUCTION(name, text, ...)				\
static inline int name							\
{									\
	bool failed;							\
									\
	asm volatile("stc\n1: " text "\n2:\n" _ASM_EXTABLE(1b, 2b)	\
		     : "=@ccbe"(failed) : __VA_ARGS__ : "cc", "memory"); \
	return failed ? -EIO : 0;					\
}

struct vmx_invalidate {
	u64 tag;
	u64 address;
};

VMX_INSTRUCTION(vmx_on(u64 page), "vmxon %1", "m"(page))
VMX_INSTRUCTION(vmx_off(void), "vmxoff", "i"(0))
VMX_INSTRUCTION(vmx_clear(u64 page), "vmclear %1", "m"(page))
VMX_INSTRUCTION(vmx_load(u64 page), "vmptrld %1", "m"(page))
VMX_INSTRUCTION(vmx_invept(u64 type, struct vmx_invalidate what), "invept %1, %2",
		"m"(what), "r"(type))
VMX_INSTRUCTION(vmx_invvpid(u64 type, struct vmx_invalidate what), "invvpid %1, %2",
		"m"(what), "r"(type))
VMX_INSTRUCTION(vmx_write(u64 field, u64 value), "vmwrite %2, %1", "r"(field), "rm"(value))

/* 0 after a reboot's IPI has switched VT-x off under the caller. */
static inline u64 vmcs_read(enum vmcs_field field)
{
	u64 value = 0;

	asm volatile("1: vmread %1, %0\n2:\n" _ASM_EXTABLE(1b, 2b)
		     : "+r"(value) : "r"((u64)field) : "cc");
	return value;
}

/* The field exists and a VMCS is current: a failure is a bug in hyprv, or a reboot. */
static inline void vmcs_write(enum vmcs_field field, u64 value)
{
	if (unlikely(vmx_write(field, value)))
		pr_warn_once("hyprv: VMWRITE of field %#x failed\n", field);
}

#endif /* HYPRV_VMX_H */
