/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why KVM gives no VM. */
#ifndef LIB_BASE_KVM_H
#define LIB_BASE_KVM_H

#include <stdbool.h>

/** hypr_hyprv_loaded() - does the module hyprv have VT-x? */
bool hypr_hyprv_loaded(void);

/**
 * hypr_fail_no_vm() - hypr_fail() after KVM_CREATE_VM has failed
 * @err: -errno
 * @device: that was asked
 *
 * Return: -ENODEV if hyprv has VT-x and KVM was asked, else @err.
 */
int hypr_fail_no_vm(int err, const char *device);

#endif /* LIB_BASE_KVM_H */
