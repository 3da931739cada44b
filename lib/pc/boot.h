/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Putting a Linux kernel into guest memory; knows nothing of KVM. */
#ifndef LIB_PC_BOOT_H
#define LIB_PC_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "base/guest.h"

/* Where things stand in guest memory, below 1 MiB. */
#define HYPR_BOOT_GDT_GPA	0x00000500ull
#define HYPR_BOOT_PARAMS_GPA	0x00007000ull	/* the "zero page" */
#define HYPR_BOOT_PML4_GPA	0x00009000ull	/* PML4, PDPT, four page directories */
#define HYPR_BOOT_CMDLINE_GPA	0x00020000ull
#define HYPR_BOOT_EBDA_GPA	0x0009fc00ull	/* end of low memory; MP table here */
#define HYPR_BOOT_HIGH_GPA	0x00100000ull

#define HYPR_BOOT_CS		0x10		/* __BOOT_CS, __BOOT_DS of the protocol */
#define HYPR_BOOT_DS		0x18
#define HYPR_BOOT_GDT_ENTRIES	4

struct hypr_boot_image {
	const uint8_t *kernel;
	size_t kernel_bytes;
	const char *kernel_name;	/* for messages */
	const uint8_t *initrd;		/* or NULL */
	size_t initrd_bytes;
	const char *cmdline;
};

/* Registers that the boot processor starts with, in 64-bit mode. */
struct hypr_boot_entry {
	uint64_t rip;
	uint64_t rsi;
	uint64_t rsp;
	uint64_t cr3;
	uint64_t gdt_base;
	uint16_t gdt_limit;
};

/**
 * hypr_boot_place() - put a bzImage into guest memory by the 64-bit boot protocol
 * @guest: its memory, zeroed
 * @image: files in memory, any bytes
 * @entry: out
 *
 * Return: 0; -ENOEXEC no kernel that can be started; -E2BIG command line too
 * long; -ENOSPC kernel and initrd do not fit.
 */
int hypr_boot_place(const struct hypr_guest *guest, const struct hypr_boot_image *image,
		    struct hypr_boot_entry *entry);

#endif /* LIB_PC_BOOT_H */
