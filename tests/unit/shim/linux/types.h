/* SPDX-License-Identifier: GPL-2.0-only */
/* The types of the kernel's <linux/types.h> that user space lacks. */
#ifndef TESTS_UNIT_SHIM_LINUX_TYPES_H
#define TESTS_UNIT_SHIM_LINUX_TYPES_H

#include_next <linux/types.h>

#include <stdbool.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

#endif
