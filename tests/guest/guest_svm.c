// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny guest as a hypervisor on AMD: VMRUN of a nested guest that only
 * loops, in the same page tables; guest_vmx.c is the same for Intel.  Offsets
 * are those of the APM, volume 2, "VMCB Layout".
 */
#include "guest.h"
#include "guest_cpu.h"

#define SVM_PAGE(n)	(GUEST_SHARED_GPA + GUEST_VMX + (n) * 0x1000)
#define VMCB		SVM_PAGE(0)
#define HOST_SAVE	SVM_PAGE(1)
#define NESTED_STACK	SVM_PAGE(4)
#define NPT(n)		SVM_PAGE(8 + (n))	/* PML4, PDPT, PD, PT */

#define MSR_EFER	0xc0000080
#define MSR_VM_HSAVE_PA	0xc0010117
#define EFER_SVME	(1ull << 12)

GUEST static void put64(uint32_t offset, uint64_t value)
{
	*(volatile uint64_t *)(VMCB + offset) = value;
}

GUEST static void put32(uint32_t offset, uint32_t value)
{
	*(volatile uint32_t *)(VMCB + offset) = value;
}

GUEST static void put_segment(uint32_t offset, uint32_t selector,
			      uint32_t rights, uint32_t limit, uint64_t base)
{
	put32(offset, selector | rights << 16);
	put32(offset + 4, limit);
	put64(offset + 8, base);
}

GUEST static void nested_loop_svm(volatile struct guest_cpu *me)
{
	for (;;) {
		me->nested = 1;
		me->beats++;
		me->result[1] = *(volatile uint64_t *)GUEST_FREE_GPA;
	}
}

/* The first GiB as it is, of which the first 2 MiB page by page. */
GUEST static void write_npt(void)
{
	volatile uint64_t *pml4 = (volatile uint64_t *)NPT(0);
	volatile uint64_t *pdpt = (volatile uint64_t *)NPT(1);
	volatile uint64_t *pd = (volatile uint64_t *)NPT(2);
	volatile uint64_t *pt = (volatile uint64_t *)NPT(3);
	uint64_t i;

	pml4[0] = NPT(1) | 0x67;
	pdpt[0] = NPT(2) | 0x67;
	for (i = 0; i < 512; i++) {
		pd[i] = i << 21 | 0xe7;
		pt[i] = i << 12 | 0x67;
	}
	pd[0] = NPT(3) | 0x67;
	put64(0x90, 1);
	put64(0xb0, NPT(0));
}

GUEST static void write_vmcb(uint64_t cr0, uint64_t cr3, uint64_t cr4)
{
	uint32_t i;

	put32(0x10, 1);				/* intercept VMRUN: a must */
	put32(0x58, 1);				/* ASID */
	for (i = 0; i < 4; i++)			/* ES CS SS DS */
		put_segment(0x400 + i * 16, i == 1 ? 8 : 16,
			    i == 1 ? 0xa9b : 0xc93, 0xffffffff, 0);
	put_segment(0x460, 0, 0, 0x2f, GUEST_SHARED_GPA + GUEST_GDT);
	put_segment(0x480, 0, 0, 0xfff, GUEST_SHARED_GPA + GUEST_IDT);
	put64(0x4d0, rdmsr(MSR_EFER));
	put64(0x548, cr4);
	put64(0x550, cr3);
	put64(0x558, cr0);
	put64(0x560, 0x400);			/* DR7 */
	put64(0x568, 0xffff0ff0);		/* DR6 */
	put64(0x570, 0x202);
	put64(0x578, (uintptr_t)nested_loop_svm);
	put64(0x5d8, NESTED_STACK - 8);
	put64(0x668, 0x0007040600070406ull);	/* PAT as after reset */
}

GUEST void guest_nested_svm(volatile struct guest_cpu *me)
{
	uint64_t cr0, cr3, cr4, vmcb = VMCB;

	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	asm volatile("mov %%cr4, %0" : "=r"(cr4));
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, HOST_SAVE);
	write_vmcb(cr0, cr3, cr4);
	if (me->arg[1])
		write_npt();
	/* RDI goes into the nested guest as it is. */
	asm volatile("vmrun %0" : "+a"(vmcb) : "D"(me) : "cc", "memory");
	/* No exit is expected. */
	me->nested = 2 + *(volatile uint32_t *)(VMCB + 0x70);
}
