/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The entry point of a function file: <hypr/abi/func.h>. */
#include "hypr/abi/func.h"

	.text
	.globl	_start
	.type	_start, @function
_start:
	xorl	%ebp, %ebp
	call	hypr_guest_begin
	ud2
	.size	_start, . - _start

/* void hypr_guest_end(uint64_t how, uint64_t first, uint64_t second) */
	.globl	hypr_guest_end
	.type	hypr_guest_end, @function
hypr_guest_end:
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	int3
	ud2
	.size	hypr_guest_end, . - hypr_guest_end

	.section .note.GNU-stack, "", @progbits
