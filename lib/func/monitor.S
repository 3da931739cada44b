/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The monitor of a function VM: all that runs at privilege level 0 there.  libhypr
 * copies it to FUNC_MONITOR; it is not part of the function's file, and the function
 * can neither read nor write it.
 *
 * It puts every register that a function can change to its first value, enters the
 * function, and comes back by INT3 or by another exception.  Then it notes
 * which pages were written, by the dirty flags in its own page tables, and gives
 * control to libhypr by one OUT.  libhypr puts these pages back and runs the VM again.
 *
 * The flags are cleared here and not by libhypr: a KVM with shadow paging sees what the
 * guest writes to its tables, and not what the host writes.  The load of CR3 makes the
 * processor forget the old flags.
 *
 * Interrupts stay enabled (trap gates): none is ever sent, and an emulator of the
 * processor can hold back those of the host while a guest has them off.
 */
#include "func/map.h"

	.section .rodata.hypr_func_monitor, "a", @progbits
	.globl	hypr_func_monitor
	.globl	hypr_func_monitor_end
	.globl	hypr_func_stubs
	.balign	16
hypr_func_monitor:
	movl	$FUNC_PML4, %eax
	movq	%rax, %cr3
	movl	$FUNC_STACK_TOP, %esp
	fxrstor	FUNC_CONF + CONF_FPU
	movl	$FUNC_USER_DS, %eax
	movl	%eax, %ds
	movl	%eax, %es
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	pushq	$FUNC_USER_DS
	pushq	FUNC_CONF + CONF_RSP
	pushq	$0x202
	pushq	$FUNC_USER_CS
	pushq	FUNC_CONF + CONF_ENTRY
	movq	FUNC_CONF + CONF_INFO, %rdi
	xorl	%ebx, %ebx
	xorl	%ecx, %ecx
	xorl	%edx, %edx
	xorl	%esi, %esi
	xorl	%ebp, %ebp
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	xorl	%r11d, %r11d
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
	iretq

	/* On the stack: vector, error code, RIP, CS, RFLAGS, RSP, SS. */
report:
	cld
	movq	%rax, FUNC_REPORT + REPORT_RAX
	movq	%rdi, FUNC_REPORT + REPORT_RDI
	movq	%rsi, FUNC_REPORT + REPORT_RSI
	popq	FUNC_REPORT + REPORT_VECTOR
	popq	FUNC_REPORT + REPORT_ERROR
	popq	FUNC_REPORT + REPORT_RIP
	popq	FUNC_REPORT + REPORT_CS
	popq	%rax
	popq	FUNC_REPORT + REPORT_RSP
	movq	%cr2, %rax
	movq	%rax, FUNC_REPORT + REPORT_CR2

	/* ECX pages so far; ESI the next range, EDX ranges left. */
	xorl	%ecx, %ecx
	movl	$FUNC_RANGES, %esi
	movl	FUNC_CONF + CONF_NR_RANGES, %edx
	testl	%edx, %edx
	jz	5f
1:	movl	RANGE_PDE(%rsi), %edi
	testb	$PTE_ACCESSED, (%rdi)
	jz	4f
	andb	$~PTE_ACCESSED & 0xff, (%rdi)
	/* EDI the next entry, R8D its page, R9D entries left. */
	movl	RANGE_PTE(%rsi), %edi
	movl	RANGE_PAGE(%rsi), %r8d
	movl	RANGE_NR(%rsi), %r9d
2:	testb	$PTE_DIRTY, (%rdi)
	jz	3f
	andb	$~PTE_DIRTY & 0xff, (%rdi)
	movl	%r8d, FUNC_DIRTY(, %rcx, 4)
	incl	%ecx
3:	addl	$8, %edi
	incl	%r8d
	decl	%r9d
	jnz	2b
4:	addl	$RANGE_BYTES, %esi
	decl	%edx
	jnz	1b
5:	movq	%rcx, FUNC_REPORT + REPORT_NR_DIRTY
	outb	%al, $FUNC_PORT
	jmp	hypr_func_monitor

	/* Vectors 8, 10-14, 17, 21, 29 and 30 come with an error code. */
	.set	vector, 0
	.balign	FUNC_STUB_BYTES
hypr_func_stubs:
	.rept	FUNC_EXCEPTIONS
	.balign	FUNC_STUB_BYTES
	.if	!((0x60227d00 >> vector) & 1)
	pushq	$0
	.endif
	pushq	$vector
	jmp	report
	.set	vector, vector + 1
	.endr
	.balign	FUNC_STUB_BYTES
hypr_func_monitor_end:

	.section .note.GNU-stack, "", @progbits
