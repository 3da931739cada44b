/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest without an operating system: the head of a bzImage, the entry of vCPU 0 in
 * 64-bit mode, and that of vCPU 1, which begins in real mode.
 */
#define BASE		0x200000
#define TRAMPOLINE	0x8000		/* a free page below 1 MiB */
#define HOST_PML4	0x9000		/* as libhypr places them: 4 GiB mapped to themselves */
#define HOST_GDT	0x500
#define CODE		0x10
#define DATA		0x18

	.section .header, "a"
	.org 0x1f1
	.byte 4				/* sectors of this head, but for the first */
	.org 0x1fe
	.word 0xaa55
	.byte 0xeb, 0x6a		/* the head ends 0x6a bytes from here */
	.ascii "HdrS"
	.word 0x20f			/* boot protocol */
	.org 0x211
	.byte 1				/* loaded high */
	.org 0x22c
	.long 0x7fffffff
	.org 0x236
	.word 1				/* has a 64-bit entry, at 0x200 */
	.org 0x238
	.long 255
	.org 0x258
	.quad BASE
	.long guest_bytes
	.org 0xa00

	.section .start, "ax"
	.code64
	.org 0x200
	.globl _start
_start:
	lea	stack_0_end(%rip), %rsp
	xor	%ebp, %ebp
	call	guest_main
1:	hlt
	jmp	1b

vcpu_1:
	mov	$DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	lea	stack_1_end(%rip), %rsp
	xor	%ebp, %ebp
	call	guest_second
	jmp	1b

	/* Copied to TRAMPOLINE.  From real mode to 64-bit mode in one step. */
	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	TRAMPOLINE + gdtr - trampoline
	movl	$0x20, %eax		/* CR4.PAE */
	movl	%eax, %cr4
	movl	$HOST_PML4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	$0x80000011, %eax	/* CR0.PG, ET, PE */
	movl	%eax, %cr0
	ljmpl	$CODE, $vcpu_1
gdtr:	.word	31
	.long	HOST_GDT
trampoline_end:

	.section .bss
	.balign 16
	.skip	16384
stack_0_end:
	.skip	16384
stack_1_end:

	.section .note.GNU-stack, "", @progbits
