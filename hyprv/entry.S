/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * int hyprv_enter(u64 regs[REG_COUNT], bool launched): run the guest until its next VM
 * exit.  0; 1 if VMLAUNCH or VMRESUME failed, and then only flags say more.  Interrupts
 * are off before and after.
 *
 * The mitigations are those that the kernel has chosen for this CPU: it patches them in.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/unwind_hints.h>

#define HOST_RSP	0x6c14

	.text
SYM_FUNC_START(hyprv_enter)
	push	%rbp
	mov	%rsp, %rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi
	mov	$HOST_RSP, %eax
	vmwrite	%rsp, %rax
	mov	%rdi, %rax
	bt	$0, %esi
	mov	8(%rax), %rcx
	mov	16(%rax), %rdx
	mov	24(%rax), %rbx
	mov	40(%rax), %rbp
	mov	48(%rax), %rsi
	mov	56(%rax), %rdi
	mov	64(%rax), %r8
	mov	72(%rax), %r9
	mov	80(%rax), %r10
	mov	88(%rax), %r11
	mov	96(%rax), %r12
	mov	104(%rax), %r13
	mov	112(%rax), %r14
	mov	120(%rax), %r15
	mov	(%rax), %rax
	/* Leaves CF.  From here on nothing reads memory. */
	CLEAR_CPU_BUFFERS
	UNWIND_HINT_SAVE
	jc	1f
0:	vmlaunch
	jmp	2f
1:	vmresume
2:	mov	$1, %eax
	pop	%rdi
	jmp	3f
	_ASM_EXTABLE(0b, 2b)
	_ASM_EXTABLE(1b, 2b)

/* The CPU comes here at a VM exit, with the stack of the entry. */
SYM_INNER_LABEL(hyprv_exit_point, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	push	%rax
	mov	8(%rsp), %rax
	pop	(%rax)
	mov	%rcx, 8(%rax)
	mov	%rdx, 16(%rax)
	mov	%rbx, 24(%rax)
	mov	%rbp, 40(%rax)
	mov	%rsi, 48(%rax)
	mov	%rdi, 56(%rax)
	mov	%r8, 64(%rax)
	mov	%r9, 72(%rax)
	mov	%r10, 80(%rax)
	mov	%r11, 88(%rax)
	mov	%r12, 96(%rax)
	mov	%r13, 104(%rax)
	mov	%r14, 112(%rax)
	mov	%r15, 120(%rax)
	pop	%rdi
	xor	%eax, %eax
3:	/* No value of the guest reaches the host's code. */
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%ebx, %ebx
	xor	%ebp, %ebp
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
	mov	%eax, %ebx
	/* Before the first RET that has no CALL here. */
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
		X86_FEATURE_RSB_VMEXIT_LITE
	/* IBRS without the enhancement works from its write on. */
	ALTERNATIVE "jmp .Librs_done", "", X86_FEATURE_KERNEL_IBRS
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	mov	PER_CPU_VAR(x86_spec_ctrl_current), %eax
	mov	PER_CPU_VAR(x86_spec_ctrl_current + 4), %edx
	wrmsr
.Librs_done:
	CLEAR_BRANCH_HISTORY_VMEXIT
	mov	%ebx, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(hyprv_enter)
