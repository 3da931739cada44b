/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * void hold(const struct registers *in, struct registers *out, uint64_t spins)
 *
 * Load all registers that a program has from @in, wait, and store them to @out: what is
 * in them then has come through every interrupt, signal, and swap in between.  The
 * layout is that of registers.c.  RSP holds the stack and RCX counts.
 */
#define R_GENERAL	0	/* 14 x 8 */
#define R_X87		112	/* 8 x 8 */
#define R_MXCSR		176
#define R_FLAGS		184
#define R_VECTOR	192	/* 16 x 32 */

	.text
	.globl	hold
	.type	hold, @function
hold:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rsi
	mov	%rdx, %rcx

	fninit
	.irp	n, 7, 6, 5, 4, 3, 2, 1, 0
	fildll	R_X87 + \n * 8(%rdi)
	.endr
	ldmxcsr	R_MXCSR(%rdi)
	cmpb	$0, have_avx(%rip)
	je	1f
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqu	R_VECTOR + \n * 32(%rdi), %ymm\n
	.endr
	jmp	2f
1:	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu	R_VECTOR + \n * 32(%rdi), %xmm\n
	.endr
2:	pushq	R_FLAGS(%rdi)
	mov	(%rdi), %rax
	mov	8(%rdi), %rbx
	mov	16(%rdi), %rdx
	mov	24(%rdi), %rsi
	mov	32(%rdi), %rbp
	mov	40(%rdi), %r8
	mov	48(%rdi), %r9
	mov	56(%rdi), %r10
	mov	64(%rdi), %r11
	mov	72(%rdi), %r12
	mov	80(%rdi), %r13
	mov	88(%rdi), %r14
	mov	96(%rdi), %r15
	mov	104(%rdi), %rdi
	popf
	/* LOOP and PAUSE change no flag. */
3:	pause
	loop	3b

	pushf
	push	%rdi
	mov	16(%rsp), %rdi
	mov	%rax, (%rdi)
	mov	%rbx, 8(%rdi)
	mov	%rdx, 16(%rdi)
	mov	%rsi, 24(%rdi)
	mov	%rbp, 32(%rdi)
	mov	%r8, 40(%rdi)
	mov	%r9, 48(%rdi)
	mov	%r10, 56(%rdi)
	mov	%r11, 64(%rdi)
	mov	%r12, 72(%rdi)
	mov	%r13, 80(%rdi)
	mov	%r14, 88(%rdi)
	mov	%r15, 96(%rdi)
	pop	104(%rdi)
	pop	R_FLAGS(%rdi)
	stmxcsr	R_MXCSR(%rdi)
	cmpb	$0, have_avx(%rip)
	je	4f
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqu	%ymm\n, R_VECTOR + \n * 32(%rdi)
	.endr
	vzeroupper
	jmp	5f
4:	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu	%xmm\n, R_VECTOR + \n * 32(%rdi)
	.endr
5:	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	fistpll	R_X87 + \n * 8(%rdi)
	.endr
	cld
	pop	%rsi
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.size	hold, . - hold

/* What a signal handler returns to. */
	.globl	signal_return
	.type	signal_return, @function
signal_return:
	mov	$15, %eax		/* rt_sigreturn */
	syscall
	ud2
	.size	signal_return, . - signal_return

	.section .note.GNU-stack, "", @progbits
