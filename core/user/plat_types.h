/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/* The basic types of core/ in user space, under the kernel's names. */
#ifndef CORE_USER_PLAT_TYPES_H
#define CORE_USER_PLAT_TYPES_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;

#define BIT_ULL(n)	(1ull << (n))

#endif /* CORE_USER_PLAT_TYPES_H */
