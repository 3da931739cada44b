/* SPDX-License-Identifier: GPL-2.0-only */
/* What kernel files under test take from the kernel's <linux/bits.h>. */
#ifndef TESTS_UNIT_SHIM_LINUX_BITS_H
#define TESTS_UNIT_SHIM_LINUX_BITS_H

#define BIT_ULL(n)	(1ULL << (n))

#endif
