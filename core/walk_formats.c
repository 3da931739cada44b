// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * The level descriptors of every format, from the SDM's chapters "Paging" (32-bit,
 * PAE, 4-level and 5-level paging) and "The Extended Page Table Mechanism (EPT)".
 */
#include "walk.h"

#include "plat.h"

/* Bits [low, high] of an entry. */
#define BITS(high, low)	((~0ull >> (63 - (high))) & (~0ull << (low)))

#define PAGE_FLAG	BIT_ULL(7)

/* Bits 20:13 of a 4 MiB page are address bits 39:32 (PSE-36): the walker adds them. */
const struct walk_format walk_x86_32bit = {
	.name = "32-bit",
	.levels = 2,
	.entry_bytes = 4,
	.address_bits = 32,
	.root_mask = BITS(31, 12),
	.address_mask = BITS(31, 12),
	.present = BIT_ULL(0),
	.accessed = BIT_ULL(5),
	.dirty = BIT_ULL(6),
	.level = {
		{ .shift = 12, .bits = 10 },
		{ .shift = 22, .bits = 10, .large = true, .large_needs = WALK_PSE,
		  .large_or_ignored = true, .page_reserved = BIT_ULL(21) },
	},
};

#define X86_LONG(_name, _levels, _width)						\
	.name = _name,									\
	.levels = _levels,								\
	.entry_bytes = 8,								\
	.address_bits = _width,								\
	.canonical = true,								\
	.keys = true,									\
	.root_mask = BITS(51, 12),							\
	.address_mask = BITS(51, 12),							\
	.present = BIT_ULL(0),								\
	.accessed = BIT_ULL(5),								\
	.dirty = BIT_ULL(6),								\
	.no_execute = BIT_ULL(63),							\
	.level = {									\
		{ .shift = 12, .bits = 9, .reserved_top = 52 },				\
		{ .shift = 21, .bits = 9, .reserved_top = 52, .large = true,		\
		  .page_reserved = BITS(20, 13) },					\
		{ .shift = 30, .bits = 9, .reserved_top = 52, .large = true,		\
		  .large_needs = WALK_PAGE_1G, .page_reserved = BITS(29, 13) },		\
		{ .shift = 39, .bits = 9, .reserved_top = 52,				\
		  .table_reserved = PAGE_FLAG },					\
		{ .shift = 48, .bits = 9, .reserved_top = 52,				\
		  .table_reserved = PAGE_FLAG },					\
	}

const struct walk_format walk_x86_4level = { X86_LONG("4-level", 4, 48) };
const struct walk_format walk_x86_5level = { X86_LONG("5-level", 5, 57) };

/*
 * The processor loads the four PDPTEs at MOV to CR3, and refuses reserved bits there
 * with #GP.  The walker reads the PDPTE when it needs the PDPTE, and a reserved bit is
 * a page fault, as with nested paging on AMD.  A caller that has the loaded PDPTEs
 * gives them out of its walk_memory.
 */
const struct walk_format walk_x86_pae = {
	.name = "PAE",
	.levels = 3,
	.entry_bytes = 8,
	.address_bits = 32,
	.root_mask = BITS(31, 5),
	.address_mask = BITS(51, 12),
	.present = BIT_ULL(0),
	.accessed = BIT_ULL(5),
	.dirty = BIT_ULL(6),
	.no_execute = BIT_ULL(63),
	.level = {
		{ .shift = 12, .bits = 9, .reserved_top = 63 },
		{ .shift = 21, .bits = 9, .reserved_top = 63, .large = true,
		  .page_reserved = BITS(20, 13) },
		{ .shift = 30, .bits = 2, .reserved_top = 64, .no_rights = true,
		  .table_reserved = BITS(2, 1) | BITS(8, 5) },
	},
};

/* Bit 7 is none of the reserved bits at levels 2 and 3: the walker judges it. */
#define EPT(_name, _levels, _width)							\
	.name = _name,									\
	.ept = true,									\
	.levels = _levels,								\
	.entry_bytes = 8,								\
	.address_bits = _width,								\
	.root_mask = BITS(51, 12),							\
	.address_mask = BITS(51, 12),							\
	.present = BITS(2, 0),								\
	.accessed = BIT_ULL(8),								\
	.dirty = BIT_ULL(9),								\
	.level = {									\
		{ .shift = 12, .bits = 9, .reserved_top = 52 },				\
		{ .shift = 21, .bits = 9, .reserved_top = 52, .large = true,		\
		  .large_needs = WALK_PAGE_2M,						\
		  .table_reserved = BITS(6, 3), .page_reserved = BITS(20, 12) },	\
		{ .shift = 30, .bits = 9, .reserved_top = 52, .large = true,		\
		  .large_needs = WALK_PAGE_1G,						\
		  .table_reserved = BITS(6, 3), .page_reserved = BITS(29, 12) },	\
		{ .shift = 39, .bits = 9, .reserved_top = 52,				\
		  .table_reserved = BITS(7, 3) },					\
		{ .shift = 48, .bits = 9, .reserved_top = 52,				\
		  .table_reserved = BITS(7, 3) },					\
	}

const struct walk_format walk_ept_4level = { EPT("4-level EPT", 4, 48) };
const struct walk_format walk_ept_5level = { EPT("5-level EPT", 5, 57) };

/* Where a register's flag goes. */
struct register_flag {
	u64 bit;
	u32 flag;
};

static u32 flags_of(u64 value, const struct register_flag *map, size_t count)
{
	u32 flags = 0;
	size_t i;

	for (i = 0; i < count; i++)
		if (value & map[i].bit)
			flags |= map[i].flag;
	return flags;
}

void walk_set_registers(struct walk *walk, u64 cr0, u64 cr4, u64 efer, u64 rflags,
			u32 cpu_flags)
{
	static const struct register_flag in_cr4[] = {
		{ BIT_ULL(4), WALK_PSE },
		{ BIT_ULL(20), WALK_SMEP },
		{ BIT_ULL(21), WALK_SMAP },
		{ BIT_ULL(22), WALK_PKE },
		{ BIT_ULL(24), WALK_PKS },
	};
	const u64 pae = BIT_ULL(5), la57 = BIT_ULL(12), lma = BIT_ULL(10);
	u32 flags = flags_of(cr4, in_cr4, sizeof(in_cr4) / sizeof(*in_cr4));

	if (cr0 & BIT_ULL(16))
		flags |= WALK_WP;
	if (efer & BIT_ULL(11))
		flags |= WALK_NXE;
	if (rflags & BIT_ULL(18))
		flags |= WALK_AC;
	walk->mode.flags = flags | (cpu_flags & WALK_PAGE_1G);

	if (!(cr4 & pae))
		walk->format = &walk_x86_32bit;
	else if (!(efer & lma))
		walk->format = &walk_x86_pae;
	else if (cr4 & la57)
		walk->format = &walk_x86_5level;
	else
		walk->format = &walk_x86_4level;
}

static bool host_read(const struct walk_memory *memory, u64 address, u32 bytes, u64 *entry)
{
	const void *at = plat_hpa_to_virt(hypr_hpa(address));

	(void)memory;
	if (bytes == 4)
		*entry = __atomic_load_n((const u32 *)at, __ATOMIC_RELAXED);
	else
		*entry = __atomic_load_n((const u64 *)at, __ATOMIC_RELAXED);
	return true;
}

static int host_exchange(const struct walk_memory *memory, u64 address, u32 bytes,
			 u64 old_entry, u64 new_entry)
{
	void *at = plat_hpa_to_virt(hypr_hpa(address));
	u32 old_half = (u32)old_entry;
	bool done;

	(void)memory;
	if (bytes == 4)
		done = __atomic_compare_exchange_n((u32 *)at, &old_half, (u32)new_entry, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	else
		done = __atomic_compare_exchange_n((u64 *)at, &old_entry, new_entry, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	return done ? 0 : -EAGAIN;
}

const struct walk_memory walk_host_memory = { host_read, host_exchange, NULL };
