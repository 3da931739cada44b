// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading a function file.  The file is hostile: all that it says of itself is checked
 * against its size and against the memory of a function before anything is mapped.
 * The whole file is read first, so that nobody can change it between check and use.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypr/abi/func.h"
#include "base/error.h"
#include "base/page.h"
#include "base/text.h"
#include "func/elf.h"

#define FILE_MAX	(256ull << 20)

/* Is [offset, offset + bytes) within the file? */
static bool within(size_t file_bytes, uint64_t offset, uint64_t bytes)
{
	return offset <= file_bytes && bytes <= file_bytes - offset;
}

static uint64_t page_of(uint64_t address)
{
	return address / HYPR_PAGE_BYTES;
}

static int check_head(const Elf64_Ehdr *head, size_t bytes, const char *name)
{
	if (bytes < sizeof(*head) || memcmp(head->e_ident, ELFMAG, SELFMAG))
		return hypr_fail(-ENOEXEC, "%s: it is no ELF file", name);
	if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_ident[EI_DATA] != ELFDATA2LSB ||
	    head->e_machine != EM_X86_64)
		return hypr_fail(-ENOEXEC, "%s: it is not for x86-64", name);
	if (head->e_type != ET_EXEC)
		return hypr_fail(-ENOEXEC,
				 "%s: it has no fixed address; link it as pkg-config --libs hypr-guest says",
				 name);
	if (head->e_phentsize != sizeof(Elf64_Phdr) ||
	    !within(bytes, head->e_phoff, (uint64_t)head->e_phnum * sizeof(Elf64_Phdr)))
		return hypr_fail(-ENOEXEC, "%s: its program headers are not in the file", name);
	return 0;
}

static int check_segment(const Elf64_Phdr *head, size_t bytes, const struct hypr_func_elf *elf,
			 const char *name)
{
	unsigned long long start = head->p_vaddr, size = head->p_memsz;

	if (start < HYPR_FUNC_IMAGE_START || start >= HYPR_FUNC_IMAGE_END ||
	    size > HYPR_FUNC_IMAGE_END - start)
		return hypr_fail(-ENOEXEC, "%s: a segment at 0x%llx, 0x%llx bytes, is not within 0x%x-0x%x",
				 name, start, size, HYPR_FUNC_IMAGE_START, HYPR_FUNC_IMAGE_END);
	if (head->p_filesz > size || !within(bytes, head->p_offset, head->p_filesz))
		return hypr_fail(-ENOEXEC, "%s: the segment at 0x%llx is not in the file", name,
				 start);
	if ((head->p_flags & PF_W) && (head->p_flags & PF_X))
		return hypr_fail(-ENOEXEC,
				 "%s: the segment at 0x%llx can be written and executed", name, start);
	/* Rights are those of pages. */
	if (elf->nr_segments && page_of(start) <= page_of(elf->end - 1))
		return hypr_fail(-ENOEXEC,
				 "%s: the segment at 0x%llx begins before or in the last page of another",
				 name, start);
	if (elf->nr_segments == FUNC_SEGMENTS_MAX)
		return hypr_fail(-ENOEXEC, "%s: it has more than %d segments", name,
				 FUNC_SEGMENTS_MAX);
	return 0;
}

static int check_entry(const struct hypr_func_elf *elf, const char *name)
{
	unsigned int i;

	for (i = 0; i < elf->nr_segments; i++) {
		const struct hypr_func_segment *segment = &elf->segment[i];

		if (segment->execute && elf->entry >= segment->start &&
		    elf->entry - segment->start < segment->bytes)
			return 0;
	}
	return hypr_fail(-ENOEXEC, "%s: its entry point 0x%llx is in no code", name,
			 (unsigned long long)elf->entry);
}

/**
 * hypr_func_elf_parse() - what a function file holds
 * @file: stays the caller's, and @elf points into it
 * Return: 0; -ENOEXEC with what is wrong.
 */
int hypr_func_elf_parse(const uint8_t *file, size_t bytes, const char *name,
			struct hypr_func_elf *elf)
{
	Elf64_Ehdr head;
	unsigned int i;
	int ret;

	*elf = (struct hypr_func_elf){ 0 };
	if (bytes < sizeof(head))
		return hypr_fail(-ENOEXEC, "%s: it is no ELF file", name);
	memcpy(&head, file, sizeof(head));
	ret = check_head(&head, bytes, name);
	if (ret)
		return ret;
	for (i = 0; i < head.e_phnum; i++) {
		struct hypr_func_segment *segment = &elf->segment[elf->nr_segments];
		Elf64_Phdr part;

		memcpy(&part, file + head.e_phoff + i * sizeof(part), sizeof(part));
		if (part.p_type == PT_INTERP || part.p_type == PT_DYNAMIC)
			return hypr_fail(-ENOEXEC, "%s: it is linked dynamically", name);
		if (part.p_type == PT_TLS && part.p_memsz)
			return hypr_fail(-ENOEXEC, "%s: it has thread-local variables", name);
		if (part.p_type != PT_LOAD || !part.p_memsz)
			continue;
		ret = check_segment(&part, bytes, elf, name);
		if (ret)
			return ret;
		*segment = (struct hypr_func_segment){
			.start = part.p_vaddr,
			.bytes = part.p_memsz,
			.file_bytes = part.p_filesz,
			.data = file + part.p_offset,
			.write = part.p_flags & PF_W,
			.execute = part.p_flags & PF_X,
		};
		elf->end = part.p_vaddr + part.p_memsz;
		elf->nr_segments++;
	}
	elf->entry = head.e_entry;
	return check_entry(elf, name);
}

static int read_all(int fd, uint8_t *file, size_t bytes, const char *path)
{
	size_t done = 0;
	ssize_t n;

	while (done < bytes) {
		n = pread(fd, file + done, bytes - done, (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return hypr_fail_sys(-errno, "%s", path);
		if (!n)
			return hypr_fail(-ENOEXEC, "%s: it was truncated while it was read", path);
		done += (size_t)n;
	}
	return 0;
}

/** hypr_func_elf_read() - the whole file; @filep to be freed */
int hypr_func_elf_read(const char *path, uint8_t **filep, size_t *bytesp)
{
	struct stat stat;
	uint8_t *file;
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &stat) < 0) {
		ret = hypr_fail_sys(-errno, "%s", path);
	} else if (!S_ISREG(stat.st_mode)) {
		ret = hypr_fail(-ENOEXEC, "%s: it is no regular file", path);
	} else if ((uint64_t)stat.st_size > FILE_MAX) {
		ret = hypr_fail(-EFBIG, "%s: it is larger than %llu MiB", path, FILE_MAX >> 20);
	} else {
		file = malloc((size_t)stat.st_size + 1);
		ret = file ? read_all(fd, file, (size_t)stat.st_size, path) :
			     hypr_fail(-ENOMEM, "%s: no memory for it", path);
		if (ret) {
			free(file);
			file = NULL;
		}
		*filep = file;
		*bytesp = (size_t)stat.st_size;
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

/* ---- sections ------------------------------------------------------------ */

static int section(const uint8_t *file, size_t bytes, unsigned int index, Elf64_Shdr *shdr)
{
	Elf64_Ehdr head;

	memcpy(&head, file, sizeof(head));
	if (index >= head.e_shnum || head.e_shentsize != sizeof(*shdr) ||
	    !within(bytes, head.e_shoff, (uint64_t)head.e_shnum * sizeof(*shdr)))
		return -ENOENT;
	memcpy(shdr, file + head.e_shoff + index * sizeof(*shdr), sizeof(*shdr));
	return shdr->sh_type == SHT_NOBITS || within(bytes, shdr->sh_offset, shdr->sh_size) ?
	       0 : -ENOENT;
}

/**
 * hypr_func_elf_section() - where in the file the bytes of a section are
 * @file: which hypr_func_elf_parse() accepted
 * Return: 0; -ENOENT there is no section of this name, or it is compressed.
 */
int hypr_func_elf_section(const uint8_t *file, size_t bytes, const char *name, uint64_t *start,
			  uint64_t *size)
{
	size_t name_bytes = strlen(name) + 1;
	Elf64_Shdr names, one;
	Elf64_Ehdr head;
	unsigned int i;

	memcpy(&head, file, sizeof(head));
	if (section(file, bytes, head.e_shstrndx, &names) || names.sh_type != SHT_STRTAB)
		return -ENOENT;
	for (i = 0; i < head.e_shnum; i++) {
		if (section(file, bytes, i, &one) || one.sh_type != SHT_PROGBITS ||
		    (one.sh_flags & SHF_COMPRESSED) ||
		    !within(names.sh_size, one.sh_name, name_bytes) ||
		    memcmp(file + names.sh_offset + one.sh_name, name, name_bytes))
			continue;
		*start = one.sh_offset;
		*size = one.sh_size;
		return 0;
	}
	return -ENOENT;
}

/* ---- names of addresses -------------------------------------------------- */

static int symbol_in(const uint8_t *file, size_t bytes, const Elf64_Shdr *table,
		     uint64_t address, char *text, size_t size)
{
	Elf64_Shdr strings;
	Elf64_Sym symbol;
	char printable[41];
	const char *name;
	uint64_t i;

	if (section(file, bytes, table->sh_link, &strings) || strings.sh_type != SHT_STRTAB)
		return -ENOENT;
	for (i = 0; i < table->sh_size / sizeof(symbol); i++) {
		memcpy(&symbol, file + table->sh_offset + i * sizeof(symbol), sizeof(symbol));
		if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || address < symbol.st_value ||
		    address - symbol.st_value >= symbol.st_size ||
		    symbol.st_name >= strings.sh_size)
			continue;
		name = (const char *)file + strings.sh_offset + symbol.st_name;
		if (!memchr(name, 0, strings.sh_size - symbol.st_name))
			continue;
		hypr_text_printable(printable, sizeof(printable), name, strlen(name));
		snprintf(text, size, "%s+0x%llx", printable,
			 (unsigned long long)(address - symbol.st_value));
		return 0;
	}
	return -ENOENT;
}

/**
 * hypr_func_elf_symbol() - the function of the file that has an address, as "name+0x12"
 * @file: which hypr_func_elf_parse() accepted
 * Return: 0; -ENOENT no symbol has it.
 */
int hypr_func_elf_symbol(const uint8_t *file, size_t bytes, uint64_t address, char *text,
			 size_t size)
{
	Elf64_Shdr table;
	Elf64_Ehdr head;
	unsigned int i;

	memcpy(&head, file, sizeof(head));
	for (i = 0; i < head.e_shnum; i++) {
		if (!section(file, bytes, i, &table) && table.sh_type == SHT_SYMTAB &&
		    !symbol_in(file, bytes, &table, address, text, size))
			return 0;
	}
	return -ENOENT;
}
