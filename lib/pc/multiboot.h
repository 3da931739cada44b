/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Multiboot ELF files: guests without an operating system.  Knows nothing of KVM. */
#ifndef LIB_PC_MULTIBOOT_H
#define LIB_PC_MULTIBOOT_H

#include <stdint.h>

#include "base/guest.h"
#include "pc/boot.h"

/* What the boot processor has in EAX. */
#define HYPR_MULTIBOOT_EAX	0x2badb002u

/* Where things stand in guest memory, below 1 MiB. */
#define HYPR_MULTIBOOT_INFO_GPA	0x00009000ull

/* Registers that the boot processor starts with, in 32-bit mode without paging. */
struct hypr_multiboot_entry {
	uint32_t eip;
	uint32_t ebx;
	uint32_t esp;
	uint64_t gdt_base;
	uint16_t gdt_limit;
};

/**
 * hypr_multiboot_place() - put a multiboot ELF file into guest memory (Multiboot 0.6.96)
 * @guest: its memory, zeroed
 * @image: files in memory, any bytes; the initrd becomes module 0
 * @entry: out
 *
 * Return: 0; 1: no multiboot file, which has a header in its first 8 KiB; -ENOEXEC no file that can be started; -E2BIG command line too long; -ENOSPC
 * it does not fit.
 */
int hypr_multiboot_place(const struct hypr_guest *guest, const struct hypr_boot_image *image,
			 struct hypr_multiboot_entry *entry);

#endif /* LIB_PC_MULTIBOOT_H */
