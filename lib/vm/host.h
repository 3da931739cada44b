/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a host has of what a VM needs. */
#ifndef LIB_VM_HOST_H
#define LIB_VM_HOST_H

const char *hypr_vm_lacks(int vm_fd);

#endif /* LIB_VM_HOST_H */
