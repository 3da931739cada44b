// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The first memory of a function VM: the monitor with its tables in the lowest 2 MiB,
 * then the windows of the function, each with its own rights.  Guest-virtual and
 * guest-physical addresses are the same.
 */
#include <string.h>

#include "hypr/abi/func.h"
#include "base/error.h"
#include "base/page.h"
#include "func/image.h"
#include "func/map.h"

#define LARGE_BYTES	0x200000ull
#define NX		(1ull << 63)
#define MXCSR_DEFAULT	0x1f80
#define FCW_DEFAULT	0x037f
#define STACK_GUARD	0x10000ull

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

/* ---- where what is ------------------------------------------------------- */

/* From 2 MiB on, with room of @before below it; @at: the end so far. */
static struct hypr_func_window take(uint64_t *at, uint64_t before, uint64_t bytes)
{
	struct hypr_func_window window = {
		.start = round_up(*at, LARGE_BYTES) + before,
		.bytes = round_up(bytes, HYPR_PAGE_BYTES),
	};

	*at = window.start + window.bytes;
	return window;
}

/**
 * hypr_func_layout_plan() - Return: 0; -EINVAL a size is zero, or all are too much.
 */
int hypr_func_layout_plan(const struct hypr_func_elf *elf, uint64_t in_max, uint64_t heap_bytes,
			  uint64_t stack_bytes, uint64_t out_max, struct hypr_func_layout *layout)
{
	const uint64_t size[] = { in_max, heap_bytes, stack_bytes, out_max };
	uint64_t at = elf->end;
	unsigned int i;

	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		if (!size[i] || size[i] > FUNC_MEM_MAX)
			return hypr_fail(-EINVAL,
					 "%llu bytes of %s; 1 byte to %d MiB are possible",
					 (unsigned long long)size[i],
					 (const char *[]){ "input", "heap", "stack", "output" }[i],
					 FUNC_MEM_MAX >> 20);
	}
	layout->in = take(&at, HYPR_PAGE_BYTES, in_max);
	layout->info = layout->in.start - HYPR_PAGE_BYTES;
	layout->heap = take(&at, 0, heap_bytes);
	layout->stack = take(&at, STACK_GUARD, stack_bytes);
	layout->out = take(&at, 0, out_max);
	layout->mem_bytes = round_up(at, LARGE_BYTES);
	if (layout->mem_bytes > FUNC_MEM_MAX)
		return hypr_fail(-EINVAL,
				 "file, input, heap, stack and output need %llu MiB together; %d MiB are possible",
				 (unsigned long long)layout->mem_bytes >> 20, FUNC_MEM_MAX >> 20);
	return 0;
}

/* ---- page tables --------------------------------------------------------- */

static uint64_t *table(uint8_t *mem, uint64_t gpa)
{
	return (uint64_t *)(mem + gpa);
}

static uint64_t *pte(uint8_t *mem, uint64_t address)
{
	return table(mem, FUNC_PT) + address / HYPR_PAGE_BYTES;
}

static void map(uint8_t *mem, uint64_t start, uint64_t bytes, uint64_t rights)
{
	uint64_t at = start / HYPR_PAGE_BYTES * HYPR_PAGE_BYTES;

	for (; at < start + bytes; at += HYPR_PAGE_BYTES)
		*pte(mem, at) = at | rights | PTE_PRESENT;
}

/* Flags that are set already are not written: these pages stay as they are. */
static void map_monitor(uint8_t *mem)
{
	const uint64_t flags = PTE_WRITE | PTE_ACCESSED | PTE_DIRTY;

	map(mem, FUNC_PML4, FUNC_USER - FUNC_PML4, flags | NX);
	map(mem, FUNC_MONITOR, HYPR_PAGE_BYTES, PTE_ACCESSED);
}

static void map_upper(uint8_t *mem, uint64_t mem_bytes)
{
	const uint64_t flags = PTE_PRESENT | PTE_WRITE | PTE_USER;
	uint64_t i;

	table(mem, FUNC_PML4)[0] = FUNC_PDPT | flags | PTE_ACCESSED;
	table(mem, FUNC_PDPT)[0] = FUNC_PD | flags | PTE_ACCESSED;
	for (i = 0; i < mem_bytes / LARGE_BYTES; i++)
		table(mem, FUNC_PD)[i] = (FUNC_PT + i * HYPR_PAGE_BYTES) | flags;
	table(mem, FUNC_PD)[0] |= PTE_ACCESSED;
}

static void map_function(uint8_t *mem, const struct hypr_func_elf *elf,
			 const struct hypr_func_layout *layout)
{
	const uint64_t data = PTE_USER | PTE_WRITE | NX;
	unsigned int i;

	for (i = 0; i < elf->nr_segments; i++) {
		const struct hypr_func_segment *segment = &elf->segment[i];

		map(mem, segment->start, segment->bytes,
		    PTE_USER | (segment->write ? PTE_WRITE : 0) | (segment->execute ? 0 : NX));
	}
	map(mem, layout->info, HYPR_PAGE_BYTES + layout->in.bytes, PTE_USER | NX);
	map(mem, layout->heap.start, layout->heap.bytes, data);
	map(mem, layout->stack.start, layout->stack.bytes, data);
	map(mem, layout->out.start, layout->out.bytes, data);
}

/* What the monitor looks through: one range for each 2 MiB with pages that can be written. */
static uint64_t list_ranges(uint8_t *mem, uint64_t mem_bytes)
{
	struct hypr_func_range *range = (struct hypr_func_range *)(mem + FUNC_RANGES);
	uint64_t page, nr = 0;

	for (page = FUNC_USER / HYPR_PAGE_BYTES; page < mem_bytes / HYPR_PAGE_BYTES; page++) {
		uint32_t pde = FUNC_PD + (uint32_t)(page * HYPR_PAGE_BYTES / LARGE_BYTES) * 8;

		if (!(table(mem, FUNC_PT)[page] & PTE_WRITE))
			continue;
		if (!nr || range[nr - 1].pde != pde)
			range[nr++] = (struct hypr_func_range){
				.pde = pde,
				.pte = FUNC_PT + (uint32_t)page * 8,
				.page = (uint32_t)page,
			};
		range[nr - 1].nr = (uint32_t)page - range[nr - 1].page + 1;
	}
	return nr;
}

/* ---- descriptors --------------------------------------------------------- */

/* A trap gate. */
static void set_gate(uint64_t *idt, unsigned int vector, uint64_t address)
{
	const uint64_t type = vector == FUNC_TRAP ? 0xef : 0x8f;

	idt[2 * vector] = (address & 0xffff) | (uint64_t)FUNC_CS << 16 | type << 40 |
			  (address >> 16 & 0xffff) << 48;
	idt[2 * vector + 1] = address >> 32;
}

/* The accessed bits are set, so that the processor writes none of them. */
static void build_descriptors(uint8_t *mem)
{
	uint64_t *gdt = table(mem, FUNC_GDT), *idt = table(mem, FUNC_IDT);
	const uint64_t rsp0 = FUNC_STACK_TOP, stubs = hypr_func_stubs - hypr_func_monitor;
	const uint16_t no_ports = 0x68;
	unsigned int i;

	gdt[FUNC_CS / 8] = 0x00af9b000000ffff;
	gdt[FUNC_DS / 8] = 0x00cf93000000ffff;
	gdt[FUNC_USER_DS / 8] = 0x00cff3000000ffff;
	gdt[FUNC_USER_CS / 8] = 0x00affb000000ffff;
	gdt[FUNC_TR / 8] = 0x00008b0000000067 | (uint64_t)FUNC_TSS << 16;
	memcpy(mem + FUNC_TSS + 4, &rsp0, sizeof(rsp0));
	memcpy(mem + FUNC_TSS + 102, &no_ports, sizeof(no_ports));
	for (i = 0; i < FUNC_EXCEPTIONS; i++)
		set_gate(idt, i, FUNC_MONITOR + stubs + i * FUNC_STUB_BYTES);
}

static void build_conf(uint8_t *mem, const struct hypr_func_elf *elf,
		       const struct hypr_func_layout *layout, uint64_t nr_ranges)
{
	struct hypr_func_conf *conf = (struct hypr_func_conf *)(mem + FUNC_CONF);
	const uint16_t fcw = FCW_DEFAULT;
	const uint32_t mxcsr = MXCSR_DEFAULT;

	conf->entry = elf->entry;
	conf->rsp = layout->stack.start + layout->stack.bytes;
	conf->info = layout->info;
	conf->nr_ranges = nr_ranges;
	memcpy(conf->fpu, &fcw, sizeof(fcw));
	memcpy(conf->fpu + 24, &mxcsr, sizeof(mxcsr));
}

/**
 * hypr_func_image_build() - fill memory
 * @mem: layout->mem_bytes of zeroes
 */
void hypr_func_image_build(uint8_t *mem, const struct hypr_func_elf *elf,
			   const struct hypr_func_layout *layout)
{
	struct hypr_func_info *info = (struct hypr_func_info *)(mem + layout->info);
	unsigned int i;

	map_upper(mem, layout->mem_bytes);
	map_monitor(mem);
	map_function(mem, elf, layout);
	build_descriptors(mem);
	build_conf(mem, elf, layout, list_ranges(mem, layout->mem_bytes));
	memcpy(mem + FUNC_MONITOR, hypr_func_monitor,
	       (size_t)(hypr_func_monitor_end - hypr_func_monitor));
	for (i = 0; i < elf->nr_segments; i++)
		memcpy(mem + elf->segment[i].start, elf->segment[i].data,
		       elf->segment[i].file_bytes);
	*info = (struct hypr_func_info){
		.abi = HYPR_FUNC_ABI,
		.phase = HYPR_FUNC_INIT,
		.in = layout->in.start,
		.out = layout->out.start,
		.out_max = layout->out.bytes,
		.heap = layout->heap.start,
		.heap_bytes = layout->heap.bytes,
	};
}
