/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A function file without the runtime: it returns a bit for each kind of register that
 * is not as <hypr/abi/func.h> has it when the function begins, and leaves all of them
 * changed for the next call.
 */
#include "hypr/abi/func.h"

#define BAD_GENERAL	1
#define BAD_FLAGS	2
#define BAD_SEGMENTS	4
#define BAD_SSE		8
#define BAD_X87		16
#define BAD_STACK	32

	.text
	.globl	_start
_start:
	orq	%rbx, %rax
	orq	%rcx, %rax
	orq	%rdx, %rax
	orq	%rsi, %rax
	orq	%rbp, %rax
	orq	%r8, %rax
	orq	%r9, %rax
	orq	%r10, %rax
	orq	%r11, %rax
	orq	%r12, %rax
	orq	%r13, %rax
	orq	%r14, %rax
	orq	%r15, %rax
	/* From here on ESI has what was found.  MOV and SETcc change no flags. */
	testq	%rax, %rax
	setnz	%sil
	movzbl	%sil, %esi

	testq	$15, %rsp
	jz	1f
	orl	$BAD_STACK, %esi
	andq	$~15, %rsp
	/* The flags that no instruction here has changed: TF, IF, DF, IOPL, NT, AC. */
1:	pushfq
	popq	%rax
	andl	$0x47700, %eax
	cmpl	$0x200, %eax
	je	1f
	orl	$BAD_FLAGS, %esi

1:	xorl	%eax, %eax
	xorl	%ebx, %ebx
	movw	%ds, %ax
	movw	%es, %bx
	cmpw	%ax, %bx
	jne	2f
	movw	%fs, %ax
	movw	%gs, %bx
	orw	%bx, %ax
	jz	1f
2:	orl	$BAD_SEGMENTS, %esi

1:	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	orps	%xmm\n, %xmm0
	.endr
	subq	$64, %rsp
	movups	%xmm0, (%rsp)
	movq	(%rsp), %rax
	orq	8(%rsp), %rax
	jnz	2f
	stmxcsr	(%rsp)
	cmpl	$0x1f80, (%rsp)
	je	1f
2:	orl	$BAD_SSE, %esi

	/* Control, status and tag word as FNINIT leaves them. */
1:	fnstenv	(%rsp)
	cmpw	$0x37f, (%rsp)
	jne	2f
	cmpw	$0, 4(%rsp)
	jne	2f
	cmpw	$0xffff, 8(%rsp)
	je	1f
2:	orl	$BAD_X87, %esi

1:	cmpl	$HYPR_FUNC_INIT, 4(%rdi)
	je	1f
	movl	$HYPR_FUNC_DONE, %eax
	jmp	2f
1:	movl	$HYPR_FUNC_READY, %eax
	/* RDI: 0 bytes of output, or the ABI, which is 1. */
2:	movl	$0, %edi
	cmpl	$HYPR_FUNC_READY, %eax
	jne	1f
	movl	$HYPR_FUNC_ABI, %edi

1:	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	pcmpeqd	%xmm\n, %xmm\n
	.endr
	movl	$0x7fbf, (%rsp)
	ldmxcsr	(%rsp)
	fldpi
	fldpi
	movw	$0x27f, (%rsp)
	fldcw	(%rsp)
	movl	$0x23 - 8, %ecx
	movl	%ecx, %fs
	movl	%ecx, %gs
	xorl	%ecx, %ecx
	movl	%ecx, %es
	movq	$-1, %rbx
	.irp	r, rcx, rdx, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	movq	%rbx, %\r
	.endr
	/* AC and DF, and as good as any address for the stack. */
	pushq	$0x40602
	popfq
	movq	$16, %rsp
	int3
	ud2

	.section .note.GNU-stack, "", @progbits
