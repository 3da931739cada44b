/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/* The basic types of core/ in the kernel. */
#ifndef CORE_LINUX_PLAT_TYPES_H
#define CORE_LINUX_PLAT_TYPES_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/pgtable.h>
#include <linux/types.h>

/* The kernel has a function of that name, declared above. */
#define init_memory_mapping core_init_memory_mapping

#endif /* CORE_LINUX_PLAT_TYPES_H */
