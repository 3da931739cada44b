// SPDX-License-Identifier: GPL-2.0-only
/*
 * core-read CORE ADDRESS: print the string at a virtual address of an ELF core, as a
 * debugger finds it: by the program headers.  For tests/rig/vmo.sh; the emulated PC has
 * no gdb.  Exit status: 1 if no segment has the address, 2 if CORE is no ELF core.
 */
#include <elf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(int status, const char *what)
{
	fprintf(stderr, "core-read: %s\n", what);
	return status;
}

/* The segment with @address.  Return: 0, -ENOENT, or -EINVAL for headers that are cut. */
static int segment_find(FILE *core, const Elf64_Ehdr *head, uint64_t address, Elf64_Phdr *found)
{
	unsigned int i;

	for (i = 0; i < head->e_phnum; i++) {
		if (fseek(core, (long)(head->e_phoff + i * sizeof(*found)), SEEK_SET) ||
		    fread(found, sizeof(*found), 1, core) != 1)
			return -EINVAL;
		if (found->p_type == PT_LOAD && address - found->p_vaddr < found->p_filesz)
			return 0;
	}
	return -ENOENT;
}

int main(int argc, char **argv)
{
	uint64_t address, left;
	Elf64_Phdr segment;
	Elf64_Ehdr head;
	FILE *core;
	int ret, c;

	if (argc != 3)
		return fail(2, "usage: core-read CORE ADDRESS");
	core = fopen(argv[1], "r");
	if (!core || fread(&head, sizeof(head), 1, core) != 1 ||
	    memcmp(head.e_ident, ELFMAG, SELFMAG) || head.e_type != ET_CORE ||
	    head.e_phentsize != sizeof(segment))
		return fail(2, "no ELF core");
	address = strtoull(argv[2], NULL, 0);
	ret = segment_find(core, &head, address, &segment);
	if (ret)
		return ret == -ENOENT ? fail(1, "no segment has the address") :
					fail(2, "the headers are cut");
	left = segment.p_filesz - (address - segment.p_vaddr);
	if (fseek(core, (long)(segment.p_offset + (address - segment.p_vaddr)), SEEK_SET))
		return fail(2, "the segment is cut");
	while (left-- && (c = getc(core)) > 0)
		putchar(c);
	putchar('\n');
	fclose(core);
	return 0;
}
