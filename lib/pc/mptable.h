/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table that tells a guest without ACPI its processors and interrupts. */
#ifndef LIB_PC_MPTABLE_H
#define LIB_PC_MPTABLE_H

#include "base/guest.h"

#define HYPR_MP_POINTER_GPA	0x0009fc00ull	/* first KiB of the EBDA: searched */
#define HYPR_MP_TABLE_GPA	0x000f0000ull	/* room for 64 processors */

/**
 * hypr_mptable_write() - write the MP floating pointer and configuration table
 * @vcpus: 1..64; the APIC ID of a vCPU is its number
 *
 * Return: 0; -EINVAL more vCPUs; -EFAULT the memory ends below the table.
 */
int hypr_mptable_write(const struct hypr_guest *guest, unsigned int vcpus);

#endif /* LIB_PC_MPTABLE_H */
