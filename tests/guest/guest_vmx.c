// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny guest as a hypervisor: VMXON and VMLAUNCH of a nested guest that
 * only loops, in the same page tables.  A test needs no more of it than a vCPU
 * that stays in a nested guest.
 */
#include "guest.h"
#include "guest_cpu.h"
#include "vmcs.h"

#define VMX_PAGE(n)	(GUEST_SHARED_GPA + GUEST_VMX + (n) * 0x1000)
#define NESTED_STACK	VMX_PAGE(4)
#define EXIT_STACK	VMX_PAGE(6)

#define CR4_VMXE	(1ull << 13)

GUEST static void vmwrite(uint64_t field, uint64_t value)
{
	asm volatile("vmwrite %1, %0" : : "r"(field), "r"(value) : "cc");
}

/* A control field with @want and what the CPU insists on. */
GUEST static void vmwrite_controls(uint64_t field, uint32_t msr, uint32_t want)
{
	uint64_t allowed = rdmsr(msr);

	vmwrite(field, (want | (uint32_t)allowed) & (uint32_t)(allowed >> 32));
}

/* Here the nested guest runs for good. */
GUEST static void nested_loop(volatile struct guest_cpu *me)
{
	for (;;) {
		me->nested = 1;
		me->beats++;
	}
}

/* And here it would come out: no exit is expected. */
GUEST static void nested_exit(void)
{
	uint64_t reason;

	asm volatile("vmread %1, %0" : "=r"(reason) : "r"((uint64_t)VMCS_EXIT_REASON) : "cc");
	asm volatile("outb %b0, %w1" : : "a"(reason), "d"(GUEST_FAULT_PORT));
	for (;;)
		asm volatile("pause");
}

GUEST static void write_controls(void)
{
	vmwrite_controls(VMCS_PIN_CONTROLS, MSR_VMX_TRUE_PIN_CONTROLS, 0);
	vmwrite_controls(VMCS_CPU_CONTROLS, MSR_VMX_TRUE_CPU_CONTROLS, 0);
	vmwrite_controls(VMCS_EXIT_CONTROLS, MSR_VMX_TRUE_EXIT_CONTROLS, VMCS_EXIT_HOST_64);
	vmwrite_controls(VMCS_ENTRY_CONTROLS, MSR_VMX_TRUE_ENTRY_CONTROLS, VMCS_ENTRY_IA32E);
	vmwrite(VMCS_EXCEPTION_BITMAP, 0);
	vmwrite(VMCS_ENTRY_INTERRUPTION, 0);		/* nothing injected */
	vmwrite(VMCS_LINK_POINTER, ~0ull);		/* no shadow VMCS */
}

GUEST static void write_guest_segments(void)
{
	uint64_t i;

	for (i = 0; i < VMCS_SEGMENTS; i++) {
		vmwrite(VMCS_OF(VMCS_GUEST_SELECTOR, i), i == VMCS_CS ? 8 : 16);
		vmwrite(VMCS_OF(VMCS_GUEST_LIMIT, i), 0xffffffff);
		vmwrite(VMCS_OF(VMCS_GUEST_ACCESS_RIGHTS, i), i == VMCS_CS ? 0xa09b : 0xc093);
		vmwrite(VMCS_OF(VMCS_GUEST_BASE, i), 0);
	}
	vmwrite(VMCS_OF(VMCS_GUEST_SELECTOR, VMCS_LDTR), 0);
	vmwrite(VMCS_OF(VMCS_GUEST_ACCESS_RIGHTS, VMCS_LDTR), 0x10000);	/* no LDT */
	vmwrite(VMCS_OF(VMCS_GUEST_SELECTOR, VMCS_TR), 0x18);
	vmwrite(VMCS_OF(VMCS_GUEST_LIMIT, VMCS_TR), 0x67);
	vmwrite(VMCS_OF(VMCS_GUEST_ACCESS_RIGHTS, VMCS_TR), 0x8b);
	vmwrite(VMCS_OF(VMCS_GUEST_BASE, VMCS_TR), GUEST_SHARED_GPA + GUEST_TSS);
}

GUEST static void write_guest_state(uint64_t cr0, uint64_t cr3, uint64_t cr4)
{
	write_guest_segments();
	vmwrite(VMCS_GUEST_GDTR_LIMIT, 0x2f);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, 0xfff);
	vmwrite(VMCS_GUEST_GDTR_BASE, GUEST_SHARED_GPA + GUEST_GDT);
	vmwrite(VMCS_GUEST_IDTR_BASE, GUEST_SHARED_GPA + GUEST_IDT);
	vmwrite(VMCS_GUEST_CR0, cr0);
	vmwrite(VMCS_GUEST_CR3, cr3);
	vmwrite(VMCS_GUEST_CR4, cr4);
	vmwrite(VMCS_GUEST_DR7, 0x400);
	vmwrite(VMCS_GUEST_RSP, NESTED_STACK - 8);
	vmwrite(VMCS_GUEST_RIP, (uintptr_t)nested_loop);
	vmwrite(VMCS_GUEST_RFLAGS, 0x202);
	vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	vmwrite(VMCS_GUEST_DEBUGCTL, 0);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmwrite(VMCS_GUEST_ACTIVITY, 0);		/* active */
}

GUEST static void write_host_state(uint64_t cr0, uint64_t cr3, uint64_t cr4)
{
	uint64_t i;

	for (i = VMCS_ES; i <= VMCS_GS; i++)
		vmwrite(VMCS_OF(VMCS_HOST_SELECTOR, i), i == VMCS_CS ? 8 : 16);
	vmwrite(VMCS_HOST_TR_SELECTOR, 0x18);
	vmwrite(VMCS_HOST_CR0, cr0);
	vmwrite(VMCS_HOST_CR3, cr3);
	vmwrite(VMCS_HOST_CR4, cr4);
	vmwrite(VMCS_HOST_FS_BASE, 0);
	vmwrite(VMCS_HOST_GS_BASE, 0);
	vmwrite(VMCS_HOST_TR_BASE, GUEST_SHARED_GPA + GUEST_TSS);
	vmwrite(VMCS_HOST_GDTR_BASE, GUEST_SHARED_GPA + GUEST_GDT);
	vmwrite(VMCS_HOST_IDTR_BASE, GUEST_SHARED_GPA + GUEST_IDT);
	vmwrite(VMCS_HOST_RSP, EXIT_STACK - 8);
	vmwrite(VMCS_HOST_RIP, (uintptr_t)nested_exit);
}

GUEST void guest_nested(volatile struct guest_cpu *me)
{
	uint64_t cr0, cr3, cr4, error, vmxon = VMX_PAGE(0), vmcs = VMX_PAGE(1);
	uint32_t revision = rdmsr(MSR_VMX_BASIC);

	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	asm volatile("mov %%cr4, %0" : "=r"(cr4));
	cr4 |= CR4_VMXE;
	asm volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
	*(volatile uint32_t *)vmxon = revision;
	*(volatile uint32_t *)vmcs = revision;
	asm volatile("vmxon %0" : : "m"(vmxon) : "cc", "memory");
	asm volatile("vmclear %0" : : "m"(vmcs) : "cc", "memory");
	asm volatile("vmptrld %0" : : "m"(vmcs) : "cc", "memory");
	write_controls();
	write_guest_state(cr0, cr3, cr4);
	write_host_state(cr0, cr3, cr4);
	asm volatile("vmlaunch" : : "D"(me) : "cc", "memory");
	asm volatile("vmread %1, %0" : "=r"(error) : "r"((uint64_t)VMCS_INSTRUCTION_ERROR) : "cc");
	me->nested = 2 + error;
}
