/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/* The basic types of core/ in KVM, whose links to core/ are beside this file. */
#ifndef CORE_KVM_PLAT_TYPES_H
#define CORE_KVM_PLAT_TYPES_H

#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/types.h>

#endif /* CORE_KVM_PLAT_TYPES_H */
