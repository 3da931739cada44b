/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few system calls of a program without a C library (x86-64 only).  Each
 * returns what the kernel returned: negative is -errno.
 */
#ifndef GUESTS_SYS_H
#define GUESTS_SYS_H

#include <stdint.h>
#include <asm/unistd_64.h>

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = f;
	long ret;

	asm volatile("syscall"
		     : "=a" (ret)
		     : "0" (nr), "D" (a), "S" (b), "d" (c), "r" (r10),
		       "r" (r8), "r" (r9)
		     : "rcx", "r11", "memory");
	return ret;
}

#define sys0(nr)		sys6(nr, 0, 0, 0, 0, 0, 0)
#define sys1(nr, a)		sys6(nr, (long)(a), 0, 0, 0, 0, 0)
#define sys2(nr, a, b)		sys6(nr, (long)(a), (long)(b), 0, 0, 0, 0)
#define sys3(nr, a, b, c)	sys6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define sys4(nr, a, b, c, d) \
	sys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define sys5(nr, a, b, c, d, e) \
	sys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

/*
 * A thread of this process that runs fn(arg) on @stack_top and never returns
 * from it.  No thread-local storage, nobody waits for it.
 */
long sys_thread(void (*fn)(void *arg), void *arg, void *stack_top);

#endif /* GUESTS_SYS_H */
