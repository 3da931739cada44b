/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a host has of what a VM needs. */
#ifndef LIB_VM_HOST_H
#define LIB_VM_HOST_H

#include <stdbool.h>

const char *hypr_vm_lacks(int vm_fd, bool apics_only);

#endif /* LIB_VM_HOST_H */
