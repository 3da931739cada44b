/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entry of a program without a C library, and the one system call that cannot
 * be made from C: clone() returns on another stack.
 */
#include <asm/unistd_64.h>

/* CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | SYSVSEM */
#define THREAD_FLAGS	0x50f00

	.text
	.globl	_start
	.type	_start, @function
_start:
	xor	%ebp, %ebp
	mov	(%rsp), %rdi		/* argc */
	lea	8(%rsp), %rsi		/* argv */
	and	$-16, %rsp
	call	start_main
	ud2
	.size	_start, . - _start

/* long sys_thread(void (*fn)(void *), void *arg, void *stack_top) */
	.globl	sys_thread
	.type	sys_thread, @function
sys_thread:
	mov	%rdi, %r8		/* fn, for the child */
	mov	%rsi, %r9		/* arg */
	mov	%rdx, %rsi
	and	$-16, %rsi
	mov	$THREAD_FLAGS, %edi
	xor	%edx, %edx
	xor	%r10d, %r10d
	mov	$__NR_clone, %eax
	syscall
	test	%rax, %rax
	jz	1f
	ret
1:	xor	%ebp, %ebp
	mov	%r9, %rdi
	call	*%r8
	ud2
	.size	sys_thread, . - sys_thread

	.section .note.GNU-stack, "", @progbits
