/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table that tells a guest without ACPI its processors and interrupts. */
#ifndef LIB_PC_MPTABLE_H
#define LIB_PC_MPTABLE_H

#include <stdint.h>

#define HYPR_MP_POINTER_GPA	0x0009fc00ull	/* first KiB of the EBDA: searched */
#define HYPR_MP_TABLE_GPA	0x000f0000ull	/* room for 64 processors */

/**
 * hypr_mptable_write() - write the MP floating pointer and configuration table
 * @ram: guest memory from GPA 0, at least 1 MiB
 * @vcpus: 1..64; the APIC ID of a vCPU is its number
 */
void hypr_mptable_write(uint8_t *ram, unsigned int vcpus);

#endif /* LIB_PC_MPTABLE_H */
