/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From multiboot's 32-bit mode, and from an application processor's real mode, to 64-bit
 * mode, and to C: main_first(EAX, EBX) and main_other(APIC ID).
 */
#define STACK_BYTES	0x1000
#define CPUS		8
#define STARTUP_PAGE	0x8000
#define CODE64		0x08
#define DATA64		0x10
#define CODE32		0x18

#define MAGIC		0x1badb002
#define FLAGS		0x3		/* aligned modules; memory information */

	.section .multiboot, "a"
	.align	4
	.long	MAGIC, FLAGS, -(MAGIC + FLAGS)

	.text
	.code32
	.globl	start
start:
	mov	$stacks + STACK_BYTES, %esp
	mov	%eax, %edi
	mov	%ebx, %esi
	lgdt	gdt_pointer
	call	long_mode
	ljmp	$CODE64, $first64

	.code64
first64:
	mov	$DATA64, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%edi, %edi
	mov	%esi, %esi
	call	main_first
1:	cli
	hlt
	jmp	1b

	/* Paging with the first 4 GiB mapped to themselves, in 2 MiB pages. */
	.code32
long_mode:
	cmpl	$0, pml4
	jne	2f
	movl	$pdpt + 3, pml4
	mov	$pd + 3, %eax
	xor	%ecx, %ecx
1:	mov	%eax, pdpt(, %ecx, 8)
	add	$0x1000, %eax
	inc	%ecx
	cmp	$4, %ecx
	jne	1b
	xor	%ecx, %ecx
	mov	$0x83, %eax
1:	mov	%eax, pd(, %ecx, 8)
	add	$0x200000, %eax
	inc	%ecx
	cmp	$2048, %ecx
	jne	1b
2:	mov	$pml4, %eax
	mov	%eax, %cr3
	mov	$0x20, %eax			/* PAE */
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	$0x80010031, %eax		/* PG WP NE ET PE */
	mov	%eax, %cr0
	ret

	/* Copied to STARTUP_PAGE.  CS is that page. */
	.code16
	.globl	other_start, other_end
other_start:
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	other_pointer - other_start
	mov	$0x31, %eax
	mov	%eax, %cr0
	ljmpl	$CODE32, $other32
	.align	4
other_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
other_end:

	.code32
other32:
	mov	$DATA64, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$1, %eax
	cpuid
	shr	$24, %ebx
	mov	%ebx, %edi
	inc	%ebx
	shl	$12, %ebx
	lea	stacks(%ebx), %esp
	call	long_mode
	ljmp	$CODE64, $other64

	.code64
other64:
	mov	%edi, %edi
	call	main_other
1:	cli
	hlt
	jmp	1b

	/* Vector of each: a word that counts, and EOI by the x2APIC's MSR or the page. */
	.globl	on_timer, on_ipi, on_work, on_exception
on_timer:
	push	%rdi
	lea	timer_ticks(%rip), %rdi
	jmp	count
on_ipi:
	push	%rdi
	lea	ipi_count(%rip), %rdi
	jmp	count
on_work:
	push	%rdi
	lea	work_count(%rip), %rdi
count:
	lock incl (%rdi)
	push	%rax
	push	%rcx
	push	%rdx
	xor	%eax, %eax
	xor	%edx, %edx
	cmpl	$0, use_x2apic(%rip)
	je	1f
	mov	$0x80b, %ecx
	wrmsr
	jmp	2f
1:	mov	$0xfee000b0, %ecx
	mov	%eax, (%rcx)
2:	pop	%rdx
	pop	%rcx
	pop	%rax
	pop	%rdi
	iretq

	/* No exception is expected: the test has failed. */
on_exception:
	mov	$0x7f, %eax
	out	%eax, $0xf4
	hlt
	jmp	on_exception

	.data
	.align	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
	.quad	0x00cf9b000000ffff
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt

	.bss
	.align	4096
pml4:	.skip	4096
pdpt:	.skip	4096
pd:	.skip	4 * 4096
	.globl	stacks
stacks:	.skip	CPUS * STACK_BYTES

	.section .note.GNU-stack, "", @progbits
