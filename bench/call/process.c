// SPDX-License-Identifier: GPL-2.0-only
/* The empty function as a process that is as small as can be: no C library, no more pages. */
#include <hypr/guest.h>
#include <sys/syscall.h>

__attribute__((used)) static int run(void)
{
	return hypr_main("", 0, NULL);
}

asm(".globl _start\n"
    "_start:\n"
    "	andq $-16, %rsp\n"
    "	call run\n"
    "	movl %eax, %edi\n"
    "	movl $60, %eax\n"
    "	syscall\n");

_Static_assert(SYS_exit == 60, "exit(2)");
