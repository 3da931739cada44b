/* SPDX-License-Identifier: GPL-2.0-only */
/* A function file of another ABI. */
#include "hypr/abi/func.h"

	.text
	.globl	_start
_start:
	movl	$HYPR_FUNC_READY, %eax
	movl	$HYPR_FUNC_ABI + 1, %edi
	int3

	.section .note.GNU-stack, "", @progbits
