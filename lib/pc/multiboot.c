// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Puts a multiboot (version 1) ELF file into guest memory: a kernel without an operating
 * system's boot protocol, as test kernels are.  The file is not trusted: every field is
 * checked before it is used, and nothing is written outside the guest's memory.
 *
 * ELF files of 32 and of 64 bits; both start in 32-bit mode without paging.
 */
#include <elf.h>
#include <linux/kvm_hypr.h>
#include <string.h>

#include "base/error.h"
#include "pc/multiboot.h"

#define PAGE_BYTES		4096ull
#define SEARCH_BYTES		8192u

#define HEADER_MAGIC		0x1badb002u
#define WANTS_PAGE_ALIGN	(1u << 0)	/* of modules, as they are in any case */
#define WANTS_MEMORY		(1u << 1)	/* filled in in any case */
#define WANTS_KNOWN		(WANTS_PAGE_ALIGN | WANTS_MEMORY)
#define WANTS_REQUIRED		0xffffu		/* a loader must know these */
#define WANTS_ADDRESSES		(1u << 16)

#define HAS_MEMORY		(1u << 0)
#define HAS_CMDLINE		(1u << 2)
#define HAS_MODULES		(1u << 3)
#define HAS_MAP			(1u << 6)
#define HAS_LOADER		(1u << 9)

#define MAP_RAM			1
#define MAP_RESERVED		2

#define CONTROL_END		(HYPR_CONTROL_GPA + HYPR_CONTROL_SIZE)
#define SEGMENTS_MAX		64

struct header {
	uint32_t magic;
	uint32_t flags;
	uint32_t checksum;
};

struct map_entry {
	uint32_t size;		/* of what follows */
	uint64_t base;
	uint64_t bytes;
	uint32_t type;
} __attribute__((packed));

struct module {
	uint32_t start;
	uint32_t end;
	uint32_t string;
	uint32_t reserved;
};

/* The information structure, up to the last field that is filled, and what it points to. */
struct info {
	uint32_t flags;
	uint32_t mem_lower;	/* KiB */
	uint32_t mem_upper;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count;
	uint32_t mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length;
	uint32_t mmap_addr;
	uint32_t drives_length;
	uint32_t drives_addr;
	uint32_t config_table;
	uint32_t loader_name;
	uint32_t unused[12];
	struct module module;
	struct map_entry map[5];
	char loader[8];
};

_Static_assert(offsetof(struct info, mmap_length) == 44, "as the specification has it");
_Static_assert(offsetof(struct info, loader_name) == 64, "as the specification has it");
_Static_assert(sizeof(struct map_entry) == 24, "as the specification has it");

/* A part of the file that goes to memory, of either class of ELF. */
struct segment {
	uint64_t offset;
	uint64_t vaddr;
	uint64_t paddr;
	uint64_t filesz;
	uint64_t memsz;
};

struct program {
	const char *name;
	const uint8_t *data;
	size_t bytes;
	uint64_t entry;
	unsigned int nr;
	struct segment segment[SEGMENTS_MAX];
	uint64_t end;		/* of the highest segment in memory */
};

static uint64_t page_up(uint64_t value)
{
	return (value + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

static bool overlaps(uint64_t start, uint64_t end, uint64_t other, uint64_t other_end)
{
	return start < other_end && other < end;
}

/* ---- the header ------------------------------------------------------------ */

static bool header_find(const struct hypr_boot_image *image, struct header *header)
{
	size_t end = image->kernel_bytes < SEARCH_BYTES ? image->kernel_bytes : SEARCH_BYTES;
	size_t at;

	for (at = 0; at + sizeof(*header) <= end; at += 4) {
		memcpy(header, image->kernel + at, sizeof(*header));
		if (header->magic == HEADER_MAGIC &&
		    !(uint32_t)(header->magic + header->flags + header->checksum))
			return true;
	}
	return false;
}

static int header_check(const struct hypr_boot_image *image, const struct header *header)
{
	const char *name = image->kernel_name;
	uint32_t unknown = header->flags & WANTS_REQUIRED & ~WANTS_KNOWN;

	if (unknown)
		return hypr_fail(-ENOEXEC,
				 "%s: its multiboot header asks for what hypr does not have (flag %d%s)",
				 name, __builtin_ctz(unknown),
				 unknown & 4 ? ": a video mode" : "");
	if (header->flags & WANTS_ADDRESSES)
		return hypr_fail(-ENOEXEC,
				 "%s: its multiboot header has load addresses (flag 16); hypr takes those of an ELF file's segments",
				 name);
	return 0;
}

/* ---- the ELF file ---------------------------------------------------------- */

static int segment_check(const struct program *program, unsigned int index, uint64_t ram_bytes)
{
	const struct segment *s = &program->segment[index];
	const char *name = program->name;
	unsigned int i;

	if (s->filesz > s->memsz)
		return hypr_fail(-ENOEXEC, "%s: segment %u has more bytes in the file than in memory",
				 name, index);
	if (s->offset > program->bytes || s->filesz > program->bytes - s->offset)
		return hypr_fail(-ENOEXEC, "%s: truncated: segment %u ends behind the file", name,
				 index);
	if (s->paddr < HYPR_BOOT_HIGH_GPA)
		return hypr_fail(-ENOEXEC, "%s: segment %u goes to 0x%llx; below 1 MiB is no place for it",
				 name, index, (unsigned long long)s->paddr);
	if (s->paddr > ram_bytes || s->memsz > ram_bytes - s->paddr)
		return hypr_fail(-ENOSPC,
				 "%s: segment %u needs %llu KiB at 0x%llx, which %llu MiB of memory do not have",
				 name, index, (unsigned long long)s->memsz >> 10,
				 (unsigned long long)s->paddr, (unsigned long long)ram_bytes >> 20);
	if (overlaps(s->paddr, s->paddr + s->memsz, HYPR_CONTROL_GPA, CONTROL_END))
		return hypr_fail(-ENOSPC, "%s: segment %u goes to the control page at 0x%llx", name,
				 index, (unsigned long long)HYPR_CONTROL_GPA);
	for (i = 0; i < index; i++) {
		const struct segment *other = &program->segment[i];

		if (overlaps(s->paddr, s->paddr + s->memsz, other->paddr,
			     other->paddr + other->memsz))
			return hypr_fail(-ENOEXEC, "%s: segments %u and %u go to the same memory",
					 name, i, index);
	}
	return 0;
}

static int segment_add(struct program *program, const struct segment *segment, uint64_t ram_bytes)
{
	int ret;

	if (!segment->memsz)
		return 0;
	if (program->nr == SEGMENTS_MAX)
		return hypr_fail(-ENOEXEC, "%s: more than %d segments", program->name, SEGMENTS_MAX);
	program->segment[program->nr] = *segment;
	ret = segment_check(program, program->nr, ram_bytes);
	if (ret)
		return ret;
	program->nr++;
	if (segment->paddr + segment->memsz > program->end)
		program->end = segment->paddr + segment->memsz;
	return 0;
}

/* Both classes have the same fields, of other sizes and in another order. */
#define ELF_READ(bits)									\
static int read_##bits(struct program *program, uint64_t ram_bytes)			\
{											\
	const char *name = program->name;						\
	Elf##bits##_Ehdr head;								\
	Elf##bits##_Phdr phdr;								\
	unsigned int i;									\
	int ret = 0;									\
											\
	if (program->bytes < sizeof(head))						\
		return hypr_fail(-ENOEXEC, "%s: truncated: no ELF header", name);	\
	memcpy(&head, program->data, sizeof(head));					\
	if (head.e_type != ET_EXEC || head.e_version != EV_CURRENT)			\
		return hypr_fail(-ENOEXEC, "%s: no ELF program that is linked to its place", \
				 name);							\
	if (head.e_machine != EM_386 && head.e_machine != EM_X86_64)			\
		return hypr_fail(-ENOEXEC, "%s: an ELF file of machine %u, not x86", name, \
				 head.e_machine);					\
	if (head.e_phentsize != sizeof(phdr) || head.e_phoff > program->bytes ||	\
	    head.e_phnum > (program->bytes - head.e_phoff) / sizeof(phdr))		\
		return hypr_fail(-ENOEXEC, "%s: damaged: program headers behind the file", \
				 name);							\
	program->entry = head.e_entry;							\
	for (i = 0; i < head.e_phnum && !ret; i++) {					\
		memcpy(&phdr, program->data + head.e_phoff + i * sizeof(phdr), sizeof(phdr)); \
		if (phdr.p_type == PT_LOAD)						\
			ret = segment_add(program, &(struct segment){			\
				.offset = phdr.p_offset, .vaddr = phdr.p_vaddr,		\
				.paddr = phdr.p_paddr, .filesz = phdr.p_filesz,		\
				.memsz = phdr.p_memsz }, ram_bytes);			\
		else if (phdr.p_type == PT_INTERP || phdr.p_type == PT_DYNAMIC)		\
			ret = hypr_fail(-ENOEXEC, "%s: needs a dynamic linker", name);	\
	}										\
	return ret;									\
}

ELF_READ(32)
ELF_READ(64)

/* As its segment goes to memory, which may be elsewhere than where it is linked to. */
static int entry_find(struct program *program)
{
	unsigned int i;

	for (i = 0; i < program->nr; i++) {
		const struct segment *s = &program->segment[i];

		if (program->entry >= s->vaddr && program->entry - s->vaddr < s->memsz) {
			program->entry = s->paddr + (program->entry - s->vaddr);
			if (program->entry <= UINT32_MAX)
				return 0;
		}
	}
	return hypr_fail(-ENOEXEC, "%s: its entry point is in none of its segments, or above 4 GiB",
			 program->name);
}

static int program_read(struct program *program, uint64_t ram_bytes)
{
	int ret;

	if (program->bytes < EI_NIDENT || memcmp(program->data, ELFMAG, SELFMAG) ||
	    program->data[EI_DATA] != ELFDATA2LSB ||
	    (program->data[EI_CLASS] != ELFCLASS32 && program->data[EI_CLASS] != ELFCLASS64))
		return hypr_fail(-ENOEXEC, "%s: has a multiboot header, but is no ELF file of x86",
				 program->name);
	ret = program->data[EI_CLASS] == ELFCLASS32 ? read_32(program, ram_bytes) :
						      read_64(program, ram_bytes);
	if (!ret && !program->nr)
		ret = hypr_fail(-ENOEXEC, "%s: nothing in it to be loaded", program->name);
	return ret ? ret : entry_find(program);
}

/* ---- into memory ----------------------------------------------------------- */

/* Behind the program, or behind the control page. */
static int module_place(const struct program *program, const struct hypr_boot_image *image,
			uint64_t ram_bytes, uint64_t *gpa)
{
	uint64_t start = page_up(program->end);

	*gpa = 0;
	if (!image->initrd_bytes)
		return 0;
	if (start < CONTROL_END && image->initrd_bytes > HYPR_CONTROL_GPA - start)
		start = CONTROL_END;
	if (start > ram_bytes || image->initrd_bytes > ram_bytes - start ||
	    start + image->initrd_bytes > UINT32_MAX)
		return hypr_fail(-ENOSPC, "initrd of %zu KiB does not fit into %llu MiB behind the kernel",
				 image->initrd_bytes >> 10, (unsigned long long)ram_bytes >> 20);
	*gpa = start;
	return 0;
}

static void map_add(struct info *info, uint64_t start, uint64_t end, uint32_t type)
{
	struct map_entry *entry = &info->map[info->mmap_length / sizeof(*entry)];

	if (start >= end)
		return;
	*entry = (struct map_entry){
		.size = sizeof(*entry) - sizeof(entry->size),
		.base = start, .bytes = end - start, .type = type,
	};
	info->mmap_length += sizeof(*entry);
}

static int info_write(const struct hypr_guest *guest, const struct hypr_boot_image *image,
		      uint64_t module_gpa)
{
	const uint32_t base = HYPR_MULTIBOOT_INFO_GPA;
	struct info info = {
		.flags = HAS_MEMORY | HAS_CMDLINE | HAS_MODULES | HAS_MAP | HAS_LOADER,
		.mem_lower = HYPR_BOOT_EBDA_GPA >> 10,
		.mem_upper = (uint32_t)((HYPR_CONTROL_GPA - HYPR_BOOT_HIGH_GPA) >> 10),
		.cmdline = HYPR_BOOT_CMDLINE_GPA,
		.mods_count = module_gpa ? 1 : 0,
		.mods_addr = base + offsetof(struct info, module),
		.mmap_addr = base + offsetof(struct info, map),
		.loader_name = base + offsetof(struct info, loader),
		.module = { .start = (uint32_t)module_gpa,
			    .end = (uint32_t)(module_gpa + image->initrd_bytes),
			    .string = base + offsetof(struct info, loader) + 4 },
		.loader = "hypr",
	};

	map_add(&info, 0, HYPR_BOOT_EBDA_GPA, MAP_RAM);
	map_add(&info, HYPR_BOOT_EBDA_GPA, HYPR_BOOT_HIGH_GPA, MAP_RESERVED);
	map_add(&info, HYPR_BOOT_HIGH_GPA, HYPR_CONTROL_GPA, MAP_RAM);
	map_add(&info, HYPR_CONTROL_GPA, CONTROL_END, MAP_RESERVED);
	map_add(&info, CONTROL_END, guest->bytes, MAP_RAM);
	return hypr_guest_write(guest, hypr_gpa(base), &info, sizeof(info));
}

static int gdt_write(const struct hypr_guest *guest)
{
	/* Flat, 4 GiB: 32-bit code at HYPR_BOOT_CS, data at HYPR_BOOT_DS. */
	const uint64_t gdt[HYPR_BOOT_GDT_ENTRIES] = {
		[HYPR_BOOT_CS / 8] = 0x00cf9b000000ffffull,
		[HYPR_BOOT_DS / 8] = 0x00cf93000000ffffull,
	};

	return hypr_guest_write(guest, hypr_gpa(HYPR_BOOT_GDT_GPA), gdt, sizeof(gdt));
}

static int program_write(const struct hypr_guest *guest, const struct program *program)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < program->nr && !ret; i++) {
		const struct segment *s = &program->segment[i];

		ret = hypr_guest_write(guest, hypr_gpa(s->paddr), program->data + s->offset,
				       s->filesz);
	}
	return ret;
}

int hypr_multiboot_place(const struct hypr_guest *guest, const struct hypr_boot_image *image,
			 struct hypr_multiboot_entry *entry)
{
	struct program program = {
		.name = image->kernel_name, .data = image->kernel, .bytes = image->kernel_bytes,
	};
	size_t cmdline_bytes = strlen(image->cmdline) + 1;
	uint64_t module_gpa = 0;
	struct header header;
	int ret;

	if (!header_find(image, &header))
		return 1;
	if (guest->bytes < CONTROL_END)
		return hypr_fail(-ENOSPC, "memory of %llu KiB ends before the control page",
				 (unsigned long long)guest->bytes >> 10);
	ret = header_check(image, &header);
	if (!ret)
		ret = program_read(&program, guest->bytes);
	if (!ret)
		ret = module_place(&program, image, guest->bytes, &module_gpa);
	if (ret)
		return ret;
	if (cmdline_bytes > HYPR_BOOT_EBDA_GPA - HYPR_BOOT_CMDLINE_GPA)
		return hypr_fail(-E2BIG, "command line of %zu bytes; there is room for %llu",
				 cmdline_bytes - 1, HYPR_BOOT_EBDA_GPA - HYPR_BOOT_CMDLINE_GPA - 1);
	ret = program_write(guest, &program);
	if (!ret)
		ret = hypr_guest_write(guest, hypr_gpa(module_gpa), image->initrd,
				       image->initrd_bytes);
	if (!ret)
		ret = hypr_guest_write(guest, hypr_gpa(HYPR_BOOT_CMDLINE_GPA), image->cmdline,
				       cmdline_bytes);
	if (!ret)
		ret = info_write(guest, image, module_gpa);
	if (!ret)
		ret = gdt_write(guest);
	if (ret)
		return hypr_fail(ret, "%s: placed outside of the guest's memory",
				 image->kernel_name);
	*entry = (struct hypr_multiboot_entry){
		.eip = (uint32_t)program.entry,
		.ebx = HYPR_MULTIBOOT_INFO_GPA,
		.esp = HYPR_BOOT_PARAMS_GPA,	/* grows down, into free memory */
		.gdt_base = HYPR_BOOT_GDT_GPA,
		.gdt_limit = 8 * HYPR_BOOT_GDT_ENTRIES - 1,
	};
	return 0;
}
