// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny guest as a hypervisor: VMXON and VMLAUNCH of a nested guest that
 * only loops, in the same page tables.  A test needs no more of it than a vCPU
 * that stays in a nested guest.
 */
#include "guest.h"
#include "guest_cpu.h"

#define VMX_PAGE(n)	(GUEST_SHARED_GPA + GUEST_VMX + (n) * 0x1000)
#define NESTED_STACK	VMX_PAGE(4)
#define EXIT_STACK	VMX_PAGE(6)

#define MSR_VMX_BASIC	0x480
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

	asm volatile("vmread %1, %0" : "=r"(reason) : "r"(0x4402ull) : "cc");
	asm volatile("outb %b0, %w1" : : "a"(reason), "d"(GUEST_FAULT_PORT));
	for (;;)
		asm volatile("pause");
}

GUEST static void write_controls(void)
{
	vmwrite_controls(0x4000, 0x48d, 0);		/* pin */
	vmwrite_controls(0x4002, 0x48e, 0);		/* processor */
	vmwrite_controls(0x400c, 0x48f, 1u << 9);	/* exit: to 64 bits */
	vmwrite_controls(0x4012, 0x490, 1u << 9);	/* entry: IA-32e mode */
	vmwrite(0x4004, 0);				/* exceptions */
	vmwrite(0x4016, 0);				/* nothing injected */
	vmwrite(0x2800, ~0ull);				/* no shadow VMCS */
}

GUEST static void write_guest_segments(void)
{
	uint64_t i;

	/* ES CS SS DS FS GS LDTR TR: selector, limit, rights, base */
	for (i = 0; i < 8; i++) {
		vmwrite(0x800 + 2 * i, i == 1 ? 8 : 16);
		vmwrite(0x4800 + 2 * i, 0xffffffff);
		vmwrite(0x4814 + 2 * i, i == 1 ? 0xa09b : 0xc093);
		vmwrite(0x6806 + 2 * i, 0);
	}
	vmwrite(0x80c, 0);
	vmwrite(0x4820, 0x10000);			/* no LDT */
	vmwrite(0x80e, 0x18);
	vmwrite(0x480e, 0x67);
	vmwrite(0x4822, 0x8b);
	vmwrite(0x6814, GUEST_SHARED_GPA + GUEST_TSS);
}

GUEST static void write_guest_state(uint64_t cr0, uint64_t cr3, uint64_t cr4)
{
	write_guest_segments();
	vmwrite(0x4810, 0x2f);
	vmwrite(0x4812, 0xfff);
	vmwrite(0x6816, GUEST_SHARED_GPA + GUEST_GDT);
	vmwrite(0x6818, GUEST_SHARED_GPA + GUEST_IDT);
	vmwrite(0x6800, cr0);
	vmwrite(0x6802, cr3);
	vmwrite(0x6804, cr4);
	vmwrite(0x681a, 0x400);				/* DR7 */
	vmwrite(0x681c, NESTED_STACK - 8);
	vmwrite(0x681e, (uintptr_t)nested_loop);
	vmwrite(0x6820, 0x202);
	vmwrite(0x6822, 0);
	vmwrite(0x2802, 0);				/* DEBUGCTL */
	vmwrite(0x4824, 0);
	vmwrite(0x4826, 0);				/* active */
}

GUEST static void write_host_state(uint64_t cr0, uint64_t cr3, uint64_t cr4)
{
	uint64_t i;

	for (i = 0; i < 6; i++)
		vmwrite(0xc00 + 2 * i, i == 1 ? 8 : 16);
	vmwrite(0xc0c, 0x18);
	vmwrite(0x6c00, cr0);
	vmwrite(0x6c02, cr3);
	vmwrite(0x6c04, cr4);
	vmwrite(0x6c06, 0);
	vmwrite(0x6c08, 0);
	vmwrite(0x6c0a, GUEST_SHARED_GPA + GUEST_TSS);
	vmwrite(0x6c0c, GUEST_SHARED_GPA + GUEST_GDT);
	vmwrite(0x6c0e, GUEST_SHARED_GPA + GUEST_IDT);
	vmwrite(0x6c14, EXIT_STACK - 8);
	vmwrite(0x6c16, (uintptr_t)nested_exit);
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
	asm volatile("vmread %1, %0" : "=r"(error) : "r"(0x4400ull) : "cc");
	me->nested = 2 + error;
}
