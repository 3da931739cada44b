// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Puts a Linux bzImage into guest memory the way a 64-bit boot loader does (the kernel's
 * Documentation/arch/x86/boot.rst): boot parameters, memory map, page tables,
 * GDT, initrd.  The file is not trusted: every field is checked before it is
 * used, and nothing is written outside the guest's memory.
 *
 * The control page is reserved in the memory map of every guest, so that one
 * without HYPR's patch does not use it as memory either.
 */
#include <asm/bootparam.h>
#include <linux/kvm_hypr.h>
#include <stdbool.h>

#include "base/error.h"
#include "pc/boot.h"

#define PAGE_BYTES		4096ull
#define SECTOR_BYTES		512u
#define HEADER_OFFSET		0x1f1u	/* of struct setup_header in the file */
#define HEADER_END_MIN		0x268u	/* end of the header in protocol 2.12 */
#define PROTOCOL_MIN		0x020c	/* the first with xloadflags */
#define ENTRY_64_OFFSET		0x200
#define LOADER_TYPE_OTHER	0xff

#define E820_RAM		1
#define E820_RESERVED		2

#define CONTROL_END		(HYPR_CONTROL_GPA + HYPR_CONTROL_SIZE)

struct layout {
	uint64_t kernel_gpa;
	uint64_t kernel_end;	/* with the room that the kernel wants to unpack */
	uint64_t initrd_gpa;
};

static uint64_t round_up(uint64_t value, uint64_t align)
{
	return (value + align - 1) & ~(align - 1);
}

static bool overlaps(uint64_t start, uint64_t end, uint64_t other, uint64_t other_end)
{
	return start < other_end && other < end;
}

/* Copy the header out of the file, as long as it says it is, and check it. */
static int header_read(const struct hypr_boot_image *image, struct setup_header *hdr)
{
	const char *name = image->kernel_name;
	size_t end, len;

	if (image->kernel_bytes < HEADER_END_MIN)
		return hypr_fail(-ENOEXEC, "%s: %zu bytes are too few for a kernel",
				 name, image->kernel_bytes);
	memcpy(hdr, image->kernel + HEADER_OFFSET, HEADER_END_MIN - HEADER_OFFSET);
	if (hdr->boot_flag != 0xaa55 || hdr->header != 0x53726448)
		return hypr_fail(-ENOEXEC, "%s: no Linux kernel (a bzImage is needed)", name);
	if (hdr->version < PROTOCOL_MIN)
		return hypr_fail(-ENOEXEC, "%s: boot protocol %d.%02d is too old, 2.12 is needed",
				 name, hdr->version >> 8, hdr->version & 0xff);

	/* The byte after the jump's opcode tells where the header ends. */
	end = 0x202 + image->kernel[0x201];
	if (end < HEADER_END_MIN || end > image->kernel_bytes)
		return hypr_fail(-ENOEXEC, "%s: damaged: the header ends at 0x%zx", name, end);
	len = end - HEADER_OFFSET;
	if (len > sizeof(*hdr))
		len = sizeof(*hdr);
	memset(hdr, 0, sizeof(*hdr));
	memcpy(hdr, image->kernel + HEADER_OFFSET, len);

	if (!(hdr->xloadflags & XLF_KERNEL_64))
		return hypr_fail(-ENOEXEC, "%s: not an x86-64 kernel", name);
	if (!(hdr->loadflags & LOADED_HIGH))
		return hypr_fail(-ENOEXEC, "%s: a zImage; a bzImage is needed", name);
	return 0;
}

/* Find the protected-mode part of the file. */
static int payload_find(const struct hypr_boot_image *image, const struct setup_header *hdr,
			size_t *offset, size_t *bytes)
{
	size_t sectors = hdr->setup_sects ? hdr->setup_sects : 4;
	uint64_t wanted = (uint64_t)hdr->syssize * 16;

	*offset = (sectors + 1) * SECTOR_BYTES;
	if (*offset + ENTRY_64_OFFSET >= image->kernel_bytes)
		return hypr_fail(-ENOEXEC, "%s: truncated: ends before the kernel's code",
				 image->kernel_name);
	*bytes = image->kernel_bytes - *offset;
	/* syssize counts paragraphs of 16 bytes, rounded up. */
	if (wanted > *bytes + 15)
		return hypr_fail(-ENOEXEC, "%s: truncated: %zu of %llu bytes of code",
				 image->kernel_name, *bytes, (unsigned long long)wanted);
	return 0;
}

static bool kernel_fits(uint64_t gpa, uint64_t bytes, uint64_t ram_bytes)
{
	return gpa >= HYPR_BOOT_HIGH_GPA && gpa <= ram_bytes && bytes <= ram_bytes - gpa &&
	       !overlaps(gpa, gpa + bytes, HYPR_CONTROL_GPA, CONTROL_END);
}

/*
 * Where the kernel likes to be, when that is free; else, for one that can be
 * moved, the lowest place that is.
 */
static int kernel_place(const struct hypr_boot_image *image, const struct setup_header *hdr,
			size_t bytes, uint64_t ram_bytes, struct layout *layout)
{
	uint64_t size = hdr->init_size > bytes ? hdr->init_size : bytes;
	uint64_t align = hdr->kernel_alignment;
	uint64_t gpa = hdr->pref_address;

	size = round_up(size, PAGE_BYTES);
	if (!kernel_fits(gpa, size, ram_bytes)) {
		if (!hdr->relocatable_kernel || align < PAGE_BYTES || (align & (align - 1)))
			goto no_room;
		gpa = round_up(HYPR_BOOT_HIGH_GPA, align);
		if (overlaps(gpa, gpa + size, HYPR_CONTROL_GPA, CONTROL_END))
			gpa = round_up(CONTROL_END, align);
		if (!kernel_fits(gpa, size, ram_bytes))
			goto no_room;
	}
	layout->kernel_gpa = gpa;
	layout->kernel_end = gpa + size;
	return 0;

no_room:
	return hypr_fail(-ENOSPC, "%s: needs %llu KiB at 0x%llx, which %llu MiB of memory do not have",
			 image->kernel_name, (unsigned long long)size >> 10,
			 (unsigned long long)hdr->pref_address,
			 (unsigned long long)ram_bytes >> 20);
}

/* As high as it may be, below or above the control page, and clear of the kernel. */
static int initrd_place(const struct hypr_boot_image *image, const struct setup_header *hdr,
			uint64_t ram_bytes, struct layout *layout)
{
	uint64_t end = (uint64_t)hdr->initrd_addr_max + 1;
	uint64_t size, gpa;
	int tries;

	layout->initrd_gpa = 0;
	if (!image->initrd_bytes)
		return 0;
	if (image->initrd_bytes > ram_bytes)
		goto no_room;
	size = round_up(image->initrd_bytes, PAGE_BYTES);
	if (end > ram_bytes)
		end = ram_bytes;
	end &= ~(PAGE_BYTES - 1);

	/* Each step down passes one of the two things in the way. */
	for (tries = 0; tries < 3; tries++) {
		if (end < size || end - size < HYPR_BOOT_HIGH_GPA)
			goto no_room;
		gpa = end - size;
		if (overlaps(gpa, end, HYPR_CONTROL_GPA, CONTROL_END)) {
			end = HYPR_CONTROL_GPA;
		} else if (overlaps(gpa, end, layout->kernel_gpa, layout->kernel_end)) {
			end = layout->kernel_gpa & ~(PAGE_BYTES - 1);
		} else {
			layout->initrd_gpa = gpa;
			return 0;
		}
	}
no_room:
	return hypr_fail(-ENOSPC, "initrd of %zu KiB does not fit into %llu MiB beside the kernel",
			 image->initrd_bytes >> 10, (unsigned long long)ram_bytes >> 20);
}

static void e820_add(struct boot_params *params, uint64_t start, uint64_t end, uint32_t type)
{
	struct boot_e820_entry *entry;

	if (start >= end || params->e820_entries >= E820_MAX_ENTRIES_ZEROPAGE)
		return;
	entry = &params->e820_table[params->e820_entries++];
	entry->addr = start;
	entry->size = end - start;
	entry->type = type;
}

static void e820_fill(struct boot_params *params, uint64_t ram_bytes)
{
	e820_add(params, 0, HYPR_BOOT_EBDA_GPA, E820_RAM);
	e820_add(params, HYPR_BOOT_EBDA_GPA, HYPR_BOOT_HIGH_GPA, E820_RESERVED);
	e820_add(params, HYPR_BOOT_HIGH_GPA, HYPR_CONTROL_GPA, E820_RAM);
	e820_add(params, HYPR_CONTROL_GPA, CONTROL_END, E820_RESERVED);
	e820_add(params, CONTROL_END, ram_bytes, E820_RAM);
}

/* The first 4 GiB, mapped to themselves by 2 MiB pages: PML4, PDPT, four directories. */
static int page_tables_build(const struct hypr_guest *guest)
{
	const uint64_t table = 0x3, large = 0x83;	/* present, writable (, large) */
	const uint64_t pdpt = HYPR_BOOT_PML4_GPA + PAGE_BYTES, pd = pdpt + PAGE_BYTES;
	uint64_t *entry = hypr_guest_at(guest, hypr_gpa(HYPR_BOOT_PML4_GPA), 6 * PAGE_BYTES);
	unsigned int i;

	if (!entry)
		return -EFAULT;
	entry[0] = pdpt | table;
	for (i = 0; i < 4; i++)
		entry[512 + i] = (pd + PAGE_BYTES * i) | table;
	for (i = 0; i < 4 * 512; i++)
		entry[2 * 512 + i] = ((uint64_t)i << 21) | large;
	return 0;
}

static int gdt_build(const struct hypr_guest *guest)
{
	/* Flat, 4 GiB: 64-bit code at __BOOT_CS, data at __BOOT_DS. */
	const uint64_t gdt[HYPR_BOOT_GDT_ENTRIES] = {
		[HYPR_BOOT_CS / 8] = 0x00af9b000000ffffull,
		[HYPR_BOOT_DS / 8] = 0x00cf93000000ffffull,
	};

	return hypr_guest_write(guest, hypr_gpa(HYPR_BOOT_GDT_GPA), gdt, sizeof(gdt));
}

static int params_write(const struct hypr_guest *guest, const struct hypr_boot_image *image,
			const struct layout *layout, struct setup_header *hdr)
{
	struct boot_params *params = hypr_guest_at(guest, hypr_gpa(HYPR_BOOT_PARAMS_GPA),
						   sizeof(*params));

	if (!params)
		return -EFAULT;
	memset(params, 0, sizeof(*params));
	hdr->type_of_loader = LOADER_TYPE_OTHER;
	hdr->cmd_line_ptr = HYPR_BOOT_CMDLINE_GPA;
	hdr->ramdisk_image = (uint32_t)layout->initrd_gpa;
	hdr->ramdisk_size = (uint32_t)image->initrd_bytes;
	hdr->code32_start = (uint32_t)layout->kernel_gpa;
	hdr->setup_data = 0;
	params->hdr = *hdr;
	e820_fill(params, guest->bytes);
	return 0;
}

int hypr_boot_place(const struct hypr_guest *guest, const struct hypr_boot_image *image,
		    struct hypr_boot_entry *entry)
{
	uint64_t ram_bytes = guest->bytes;
	size_t cmdline_bytes = strlen(image->cmdline) + 1;
	struct setup_header hdr;
	struct layout layout = { 0 };
	size_t offset = 0, bytes = 0;
	int ret;

	if (ram_bytes < CONTROL_END)
		return hypr_fail(-ENOSPC, "memory of %llu KiB ends before the control page",
				 (unsigned long long)ram_bytes >> 10);
	ret = header_read(image, &hdr);
	if (ret)
		return ret;
	ret = payload_find(image, &hdr, &offset, &bytes);
	if (ret)
		return ret;
	if (cmdline_bytes - 1 > hdr.cmdline_size ||
	    cmdline_bytes > HYPR_BOOT_EBDA_GPA - HYPR_BOOT_CMDLINE_GPA)
		return hypr_fail(-E2BIG, "command line of %zu bytes; this kernel takes %u",
				 cmdline_bytes - 1, hdr.cmdline_size);
	ret = kernel_place(image, &hdr, bytes, ram_bytes, &layout);
	if (ret)
		return ret;
	ret = initrd_place(image, &hdr, ram_bytes, &layout);
	if (ret)
		return ret;

	ret = hypr_guest_write(guest, hypr_gpa(layout.kernel_gpa), image->kernel + offset, bytes);
	if (!ret)
		ret = hypr_guest_write(guest, hypr_gpa(layout.initrd_gpa), image->initrd,
				       image->initrd_bytes);
	if (!ret)
		ret = hypr_guest_write(guest, hypr_gpa(HYPR_BOOT_CMDLINE_GPA), image->cmdline,
				       cmdline_bytes);
	if (!ret)
		ret = params_write(guest, image, &layout, &hdr);
	if (!ret)
		ret = page_tables_build(guest);
	if (!ret)
		ret = gdt_build(guest);
	if (ret)
		return hypr_fail(ret, "%s: placed outside of the guest's memory",
				 image->kernel_name);

	*entry = (struct hypr_boot_entry){
		.rip = layout.kernel_gpa + ENTRY_64_OFFSET,
		.rsi = HYPR_BOOT_PARAMS_GPA,
		.rsp = HYPR_BOOT_PARAMS_GPA,	/* grows down, into free memory */
		.cr3 = HYPR_BOOT_PML4_GPA,
		.gdt_base = HYPR_BOOT_GDT_GPA,
		.gdt_limit = 8 * HYPR_BOOT_GDT_ENTRIES - 1,
	};
	return 0;
}
