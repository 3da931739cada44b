// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz target: a function file.  The input is the file, byte for byte.
 *
 * Beside the sanitizers, what must hold of a file that is accepted: the function can
 * reach no page of the monitor, a page is at its own address, and none can be written
 * and executed.
 */
#include <sys/mman.h>

#include "fuzz.h"
#include "lib/func/elf.h"
#include "lib/func/image.h"
#include "lib/func/map.h"

#define NX	(1ull << 63)
#define ADDRESS	0x000ffffffffff000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tables(const uint8_t *mem, uint64_t mem_bytes)
{
	const uint64_t *pte = (const uint64_t *)(mem + FUNC_PT);
	uint64_t page;

	for (page = 0; page < mem_bytes / 4096; page++) {
		if (!(pte[page] & PTE_PRESENT))
			continue;
		fuzz_check((pte[page] & ADDRESS) == page * 4096);
		fuzz_check(!(pte[page] & PTE_USER) == (page < FUNC_USER / 4096));
		fuzz_check(!(pte[page] & PTE_WRITE) || (pte[page] & NX));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hypr_func_layout layout;
	struct hypr_func_elf elf;
	unsigned int i;
	char text[64];
	uint8_t *mem;

	if (hypr_func_elf_parse(data, size, "f.vmo", &elf))
		return 0;
	fuzz_check(!hypr_func_layout_plan(&elf, 1, 1, 1, 1, &layout));
	/* Not of the heap: ASan would clear megabytes for each input. */
	mem = mmap(NULL, layout.mem_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fuzz_check(mem != MAP_FAILED);
	hypr_func_image_build(mem, &elf, &layout);
	check_tables(mem, layout.mem_bytes);
	munmap(mem, layout.mem_bytes);
	for (i = 0; i < elf.nr_segments; i++)
		hypr_func_elf_symbol(data, size, elf.segment[i].start, text, sizeof(text));
	hypr_func_elf_symbol(data, size, elf.entry, text, sizeof(text));
	return 0;
}
