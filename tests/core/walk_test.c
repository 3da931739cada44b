// SPDX-License-Identifier: GPL-2.0-only
/* core/walk.c and core/walk_fast.c: addresses, attributes, A/D flags, errors. */
#include "tests/unit/unit.h"

#include "plat.h"
#include "tests/core/walk_case.h"

#define P	BIT_ULL(0)
#define W	BIT_ULL(1)
#define U	BIT_ULL(2)
#define PWU	(P | W | U)
#define A	BIT_ULL(5)
#define D	BIT_ULL(6)
#define PS	BIT_ULL(7)
#define EPT_A	BIT_ULL(8)
#define EPT_D	BIT_ULL(9)
#define RWX	7ull
#define WB	(6ull << 3)

static u8 bytes[0x10000];
static struct flat_memory flat;

static void put(u64 address, u64 entry)
{
	memcpy(bytes + address, &entry, sizeof(entry));
}

static void put32(u64 address, u32 entry)
{
	memcpy(bytes + address, &entry, sizeof(entry));
}

static u64 get(u64 address)
{
	u64 entry;

	memcpy(&entry, bytes + address, sizeof(entry));
	return entry;
}

static struct walk walk_of(const struct walk_format *format)
{
	struct walk walk = {
		.format = format,
		.mode = { .flags = WALK_PSE | WALK_PAGE_1G | WALK_PAGE_2M, .maxphyaddr = 46 },
		.memory = &flat.memory,
		.root = 0x1000,
	};

	memset(bytes, 0, sizeof(bytes));
	flat_memory_init(&flat, bytes, sizeof(bytes));
	return walk;
}

/* Tables at 0x1000, 0x2000, ... for index 1 at each level; the page at 0x123000. */
static struct walk chain_of(const struct walk_format *format)
{
	struct walk walk = walk_of(format);

	for (u32 level = format->levels, table = 0x1000; level >= 1; level--, table += 0x1000)
		put(table + 8, level > 1 ? (table + 0x1000) | PWU :
				0x123000 | PWU | (format->ept ? WB : 0));
	return walk;
}

/* The address of index 1 at each of @levels. */
static u64 chain_address(u32 levels)
{
	u64 address = 0x456;

	for (u32 level = 1; level <= levels; level++)
		address |= 1ull << (12 + 9 * (level - 1));
	return address;
}

static void test_translates_4_kib_pages(void **state)
{
	static const struct walk_format *const formats[] = {
		&walk_x86_pae, &walk_x86_4level, &walk_x86_5level,
		&walk_ept_4level, &walk_ept_5level,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct walk walk = chain_of(formats[i]);
		struct walk_result result;

		if (formats[i] == &walk_x86_pae)
			put(0x1008, 0x2000 | P);
		assert_int_equal(walk_translate(&walk, chain_address(formats[i]->levels), 0,
						&result), 0);
		assert_int_equal(result.address, 0x123456);
		assert_int_equal(walk_gpa(&result).addr, 0x123456);
		assert_int_equal(walk_hpa(&result).addr, 0x123456);
		assert_int_equal(result.page_bytes, CORE_PAGE_4K);
		assert_int_equal(result.level, 1);
		assert_int_equal(result.top, formats[i]->levels);
		assert_int_equal(result.memory_type, formats[i]->ept ? 6 : 0);
		assert_int_equal(result.step[0].address, 0x1000 * formats[i]->levels + 8);
		assert_int_equal(result.step[formats[i]->levels - 1].address, 0x1008);
	}
}

static void test_translates_large_pages(void **state)
{
	static const struct {
		const struct walk_format *format;
		u32 level;
		u64 bytes;
	} rows[] = {
		{ &walk_x86_pae, 2, CORE_PAGE_2M },
		{ &walk_x86_4level, 2, CORE_PAGE_2M }, { &walk_x86_4level, 3, CORE_PAGE_1G },
		{ &walk_x86_5level, 2, CORE_PAGE_2M }, { &walk_x86_5level, 3, CORE_PAGE_1G },
		{ &walk_ept_4level, 2, CORE_PAGE_2M }, { &walk_ept_4level, 3, CORE_PAGE_1G },
		{ &walk_ept_5level, 2, CORE_PAGE_2M }, { &walk_ept_5level, 3, CORE_PAGE_1G },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct walk_format *format = rows[i].format;
		struct walk walk = chain_of(format);
		u64 base = 0x2bc0000000, address = chain_address(format->levels);
		struct walk_result result;

		if (format == &walk_x86_pae)
			put(0x1008, 0x2000 | P);
		put(0x1000 * (1 + format->levels - rows[i].level) + 8,
		    base | PWU | PS | (format->ept ? WB : 0));
		assert_int_equal(walk_translate(&walk, address, 0, &result), 0);
		assert_int_equal(result.address, base | (address & (rows[i].bytes - 1)));
		assert_int_equal(result.page_bytes, rows[i].bytes);
		assert_int_equal(result.level, rows[i].level);
	}
}

static void test_translates_32_bit_tables(void **state)
{
	struct walk walk = walk_of(&walk_x86_32bit);
	struct walk_result result;

	(void)state;
	put32(0x1000 + 4 * 1023, 0x2000 | PWU);
	put32(0x2000 + 4 * 1022, 0xfffff000 | P);
	assert_int_equal(walk_translate(&walk, 0xffffe321, 0, &result), 0);
	assert_int_equal(result.address, 0xfffff321);
	assert_int_equal(result.page_bytes, CORE_PAGE_4K);
	/* The neighbours of the 4 bytes are untouched by the accessed flags. */
	assert_int_equal(get(0x1000 + 4 * 1022), (0x2000 | PWU | A) << 32);
	assert_int_equal(get(0x2000 + 4 * 1022), 0xfffff000 | P | A);

	/* PSE-36: bits 20:13 are address bits 39:32. */
	put32(0x1000, 0xffc00000 | 0xa5 << 13 | PS | P);
	assert_int_equal(walk_translate(&walk, 0x3fffff, 0, &result), 0);
	assert_int_equal(result.address, 0xa5ffffffff);
	assert_int_equal(result.page_bytes, 4 << 20);
	walk.mode.maxphyaddr = 39;
	assert_int_equal(walk_translate(&walk, 0, 0, &result), -EFAULT);
	assert_int_equal(result.error_code, WALK_PF_P | WALK_PF_RSVD);
}

static void test_reports_attributes(void **state)
{
	struct walk walk = chain_of(&walk_x86_4level);
	u64 address = chain_address(4), leaf = 0x4008;
	struct walk_result result;

	(void)state;
	put(leaf, 0x123000 | P | BIT_ULL(3) | BIT_ULL(7) | BIT_ULL(8) | 9ull << 59);
	assert_int_equal(walk_peek(&walk, address, 0, &result), 0);
	assert_int_equal(result.pat, 5);
	assert_int_equal(result.key, 9);
	assert_true(result.global);
	assert_int_equal(result.rights, WALK_MAY_READ | WALK_MAY_FETCH | WALK_MAY_FETCH_USER);

	walk.mode.flags |= WALK_NXE;
	put(leaf, 0x123000 | PWU | BIT_ULL(4) | BIT_ULL(63));
	assert_int_equal(walk_peek(&walk, address, 0, &result), 0);
	assert_int_equal(result.pat, 2);
	assert_false(result.global);
	assert_int_equal(result.rights, WALK_MAY_READ | WALK_MAY_WRITE | WALK_USER_PAGE);

	/* The PAT flag of a large page is bit 12. */
	put(0x3008, 0x200000 | PWU | PS | BIT_ULL(12));
	assert_int_equal(walk_peek(&walk, address, 0, &result), 0);
	assert_int_equal(result.pat, 4);

	walk = chain_of(&walk_ept_4level);
	put(leaf, 0x123000 | 1 | 1 << 3 | BIT_ULL(6));
	assert_int_equal(walk_peek(&walk, address, 0, &result), 0);
	assert_int_equal(result.memory_type, 1);
	assert_true(result.ignore_pat);
	assert_int_equal(result.rights, WALK_MAY_READ);
}

static void test_sets_accessed_and_dirty_flags(void **state)
{
	static const struct {
		const struct walk_format *format;
		u32 flags, access;
		u64 upper, leaf;	/* flags set */
	} rows[] = {
		{ &walk_x86_4level, 0, 0, A, A },
		{ &walk_x86_4level, 0, WALK_FETCH, A, A },
		{ &walk_x86_4level, 0, WALK_WRITE, A, A | D },
		{ &walk_ept_4level, 0, WALK_WRITE, 0, 0 },
		{ &walk_ept_4level, WALK_EPT_AD, 0, EPT_A, EPT_A },
		{ &walk_ept_4level, WALK_EPT_AD, WALK_WRITE, EPT_A, EPT_A | EPT_D },
		{ &walk_ept_4level, WALK_EPT_AD, WALK_TABLE, EPT_A, EPT_A | EPT_D },
		{ &walk_ept_4level, 0, WALK_TABLE, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct walk walk = chain_of(rows[i].format);
		u64 leaf = get(0x4008), address = chain_address(4);
		struct walk_result result;
		unsigned int exchanges;

		walk.mode.flags |= rows[i].flags;
		assert_int_equal(walk_peek(&walk, address, rows[i].access, &result), 0);
		assert_int_equal(get(0x1008), 0x2000 | PWU);
		assert_int_equal(get(0x4008), leaf);
		assert_int_equal(flat.reads, 4);

		assert_int_equal(walk_translate(&walk, address, rows[i].access, &result), 0);
		for (u64 table = 0x1000; table < 0x4000; table += 0x1000)
			assert_int_equal(get(table + 8), (table + 0x1000) | PWU | rows[i].upper);
		assert_int_equal(get(0x4008), leaf | rows[i].leaf);
		assert_int_equal(result.step[0].entry, leaf | rows[i].leaf);

		/* Nothing is left to set. */
		exchanges = flat.exchanges;
		assert_int_equal(walk_translate(&walk, address, rows[i].access, &result), 0);
		assert_int_equal(flat.exchanges, exchanges);
	}
}

static unsigned int races;

/* Another CPU changes the entry, @races times. */
static void race(struct flat_memory *memory, u64 address)
{
	(void)memory;
	if (!races)
		return;
	races--;
	put(address, get(address) ^ BIT_ULL(9));
}

static void test_starts_over_when_an_entry_changes(void **state)
{
	struct walk walk = chain_of(&walk_x86_4level);
	struct walk_result result;

	(void)state;
	flat.race = race;
	races = 3;
	assert_int_equal(walk_translate(&walk, chain_address(4), WALK_WRITE, &result), 0);
	assert_int_equal(result.step[0].entry, get(0x4008));
	assert_int_equal(get(0x4008) & (A | D), A | D);
	assert_int_equal(flat.reads, 16);
}

static void test_gives_up_on_a_table_that_changes_all_the_time(void **state)
{
	struct walk walk = chain_of(&walk_x86_4level);
	struct walk_result result;

	(void)state;
	flat.race = race;
	races = ~0u;
	assert_int_equal(walk_translate(&walk, chain_address(4), WALK_WRITE, &result), -EAGAIN);
	assert_true(flat.reads <= 8 * 4);
}

/* Another CPU takes the right to write away from the page. */
static void revoke_write(struct flat_memory *memory, u64 address)
{
	(void)memory;
	(void)address;
	put(0x4008, 0x123000 | P);
}

static void test_a_right_that_goes_meets_the_second_look(void **state)
{
	struct walk walk = chain_of(&walk_x86_4level);
	struct walk_result result;

	(void)state;
	flat.race = revoke_write;
	assert_int_equal(walk_translate(&walk, chain_address(4), WALK_USER | WALK_WRITE,
					&result), -EFAULT);
	assert_int_equal(result.error_code, WALK_PF_P | WALK_PF_WRITE | WALK_PF_USER);
	assert_int_equal(get(0x4008), 0x123000 | P);
}

static void test_a_recursive_table_is_walked(void **state)
{
	struct walk walk = walk_of(&walk_x86_4level);
	struct walk_result result;

	(void)state;
	put(0x1008, 0x1000 | PWU);
	assert_int_equal(walk_translate(&walk, chain_address(4), WALK_WRITE, &result), 0);
	assert_int_equal(result.address, 0x1456);
	assert_int_equal(get(0x1008), 0x1000 | PWU | A | D);
}

static void test_tables_outside_of_memory(void **state)
{
	struct walk walk = chain_of(&walk_x86_4level);
	struct walk_result result;

	(void)state;
	put(0x2008, sizeof(bytes) | PWU);
	assert_int_equal(walk_translate(&walk, chain_address(4), 0, &result), -EFAULT);
	assert_int_equal(result.fault, WALK_FAULT_MEMORY);
	assert_int_equal(result.level, 2);
	assert_int_equal(result.step[1].address, sizeof(bytes) + 8);
	assert_int_equal(get(0x1008), 0x2000 | PWU);

	walk.root = ~0ull;
	assert_int_equal(walk_translate(&walk, chain_address(4), 0, &result), -EFAULT);
	assert_int_equal(result.fault, WALK_FAULT_MEMORY);
	assert_int_equal(result.level, 4);
}

static int exchange_refused(const struct walk_memory *memory, u64 address, u32 size,
			    u64 old_entry, u64 new_entry)
{
	(void)memory;
	(void)size;
	(void)old_entry;
	(void)new_entry;
	return address == 0x4008 ? -ENXIO : 0;
}

static void test_tables_in_read_only_memory(void **state)
{
	struct walk walk = chain_of(&walk_x86_4level);
	struct walk_result result;

	(void)state;
	flat.memory.exchange = NULL;
	assert_int_equal(walk_peek(&walk, chain_address(4), WALK_WRITE, &result), 0);
	assert_int_equal(walk_translate(&walk, chain_address(4), 0, &result), -EFAULT);
	assert_int_equal(result.fault, WALK_FAULT_MEMORY);
	assert_int_equal(result.level, 4);

	flat.memory.exchange = exchange_refused;
	assert_int_equal(walk_translate(&walk, chain_address(4), 0, &result), -EFAULT);
	assert_int_equal(result.fault, WALK_FAULT_MEMORY);
	assert_int_equal(result.level, 1);
}

static void test_addresses_wider_than_the_table(void **state)
{
	struct walk_result result;
	struct walk walk = walk_of(&walk_x86_4level);

	(void)state;
	assert_int_equal(walk_peek(&walk, BIT_ULL(47), 0, &result), -EFAULT);
	assert_int_equal(result.fault, WALK_FAULT_CANONICAL);
	assert_int_equal(walk_peek(&walk, ~0ull << 47, 0, &result), -EFAULT);
	assert_int_equal(result.fault, WALK_FAULT_PAGE);
	walk.format = &walk_x86_5level;
	assert_int_equal(walk_peek(&walk, BIT_ULL(47), 0, &result), -EFAULT);
	assert_int_equal(result.fault, WALK_FAULT_PAGE);
	assert_int_equal(walk_peek(&walk, BIT_ULL(56), 0, &result), -EFAULT);
	assert_int_equal(result.fault, WALK_FAULT_CANONICAL);

	walk = chain_of(&walk_ept_4level);
	assert_int_equal(walk_peek(&walk, chain_address(4) | BIT_ULL(48), WALK_WRITE, &result),
			 -EFAULT);
	assert_int_equal(result.fault, WALK_FAULT_EPT_VIOLATION);
	assert_int_equal(result.qualification, WALK_EQ_WRITE);
	walk = chain_of(&walk_ept_5level);
	assert_int_equal(walk_peek(&walk, BIT_ULL(57), 0, &result), -EFAULT);
	assert_int_equal(result.fault, WALK_FAULT_EPT_VIOLATION);
	assert_int_equal(flat.reads, 0);
}

static void test_arguments_that_contradict_themselves(void **state)
{
	struct walk walk = chain_of(&walk_x86_4level);
	struct walk_result result;

	(void)state;
	assert_int_equal(walk_translate(&walk, 0, WALK_WRITE | WALK_FETCH, &result), -EINVAL);
	assert_int_equal(walk_peek(&walk, 0, WALK_USER | WALK_IMPLICIT, &result), -EINVAL);
	walk.mode.maxphyaddr = 31;
	assert_int_equal(walk_translate(&walk, 0, 0, &result), -EINVAL);
	walk.mode.maxphyaddr = 53;
	assert_int_equal(walk_translate(&walk, 0, 0, &result), -EINVAL);
	walk.mode.maxphyaddr = 52;
	walk.format = &walk_x86_pae;
	assert_int_equal(walk_translate(&walk, BIT_ULL(32), 0, &result), -EINVAL);
	walk.format = &walk_x86_32bit;
	assert_int_equal(walk_translate(&walk, BIT_ULL(32), 0, &result), -EINVAL);
}

static void test_registers_choose_format_and_mode(void **state)
{
	const u64 wp = BIT_ULL(16), pse = BIT_ULL(4), pae = BIT_ULL(5), la57 = BIT_ULL(12);
	const u64 smep = BIT_ULL(20), smap = BIT_ULL(21), pke = BIT_ULL(22), pks = BIT_ULL(24);
	const u64 lma = BIT_ULL(10), nxe = BIT_ULL(11), ac = BIT_ULL(18);
	const struct {
		u64 cr0, cr4, efer, rflags;
		u32 cpu;
		const struct walk_format *format;
		u32 flags;
	} rows[] = {
		{ 0, 0, 0, 0, 0, &walk_x86_32bit, 0 },
		{ wp, pse, 0, 0, 0, &walk_x86_32bit, WALK_WP | WALK_PSE },
		{ 0, pae, nxe, 0, 0, &walk_x86_pae, WALK_NXE },
		{ 0, pae, lma, 0, WALK_PAGE_1G, &walk_x86_4level, WALK_PAGE_1G },
		{ 0, pae | smep, lma, ac, ~0u, &walk_x86_4level,
		  WALK_PAGE_1G | WALK_SMEP | WALK_AC },
		{ 0, pae | la57 | smap, lma, 0, 0, &walk_x86_5level, WALK_SMAP },
		{ 0, pae | pke | pks, lma, 0, 0, &walk_x86_4level, WALK_PKE | WALK_PKS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct walk walk = { .mode = { .maxphyaddr = 40, .pkru = 7 } };

		walk_set_registers(&walk, rows[i].cr0, rows[i].cr4, rows[i].efer,
				   rows[i].rflags, rows[i].cpu);
		assert_ptr_equal(walk.format, rows[i].format);
		assert_int_equal(walk.mode.flags, rows[i].flags);
		assert_int_equal(walk.mode.maxphyaddr, 40);
		assert_int_equal(walk.mode.pkru, 7);
	}
}

static void *host_page(void)
{
	void *page = plat_page_alloc(1, PLAT_NODE_ANY);

	assert_non_null(page);
	return page;
}

static u64 to(const void *page)
{
	return plat_virt_to_hpa(page).addr;
}

static void test_host_memory(void **state)
{
	u64 *table[4];
	u32 *small;
	struct walk walk = { &walk_x86_4level, { .maxphyaddr = 52 }, &walk_host_memory, 0 };
	const struct walk_memory *memory = &walk_host_memory;
	struct walk_result result;
	u64 entry;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		table[i] = host_page();
	for (size_t i = 0; i < 3; i++)
		table[i][0] = to(table[i + 1]) | PWU;
	table[3][0] = 0x123000 | PWU;
	walk.root = to(table[0]);
	assert_int_equal(walk_translate(&walk, 0x456, WALK_WRITE, &result), 0);
	assert_int_equal(result.address, 0x123456);
	assert_int_equal(table[0][0], to(table[1]) | PWU | A);
	assert_int_equal(table[3][0], 0x123000 | PWU | A | D);
	assert_int_equal(memory->exchange(memory, to(&table[3][0]), 8, 1, 2), -EAGAIN);
	assert_int_equal(table[3][0], 0x123000 | PWU | A | D);

	small = (u32 *)table[2];
	small[0] = 1;
	small[1] = 2;
	assert_true(memory->read(memory, to(&small[1]), 4, &entry));
	assert_int_equal(entry, 2);
	assert_int_equal(memory->exchange(memory, to(&small[0]), 4, 1, 3), 0);
	assert_int_equal(memory->exchange(memory, to(&small[0]), 4, 1, 4), -EAGAIN);
	assert_int_equal(small[0], 3);
	assert_int_equal(small[1], 2);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		plat_page_free(table[i], 1);
}

/* Index 0: down to 4 KiB pages; index 1 of a level: a large page; index 2: absent. */
static void test_fast_walks_of_every_page_size(void **state)
{
	static const struct {
		u64 address;
		u64 hpa;
		int error;
	} rows[] = {
		{ 0x000000456, 0x123456, 0 },
		{ 0x000001456, 0, -ENOENT },
		{ 0x000200000, 0xe00000, 0 },
		{ 0x0003fffff, 0xffffff, 0 },
		{ 0x000400000, 0, -ENOENT },
		{ 0x040000000, 0x80000000, 0 },
		{ 0x07fffffff, 0xbfffffff, 0 },
		{ 0x080000000, 0, -ENOENT },
		{ BIT_ULL(39), 0, -ENOENT },
		{ BIT_ULL(48), 0, -EINVAL },
		{ ~0ull, 0, -EINVAL },
	};
	struct walk_item items[ARRAY_SIZE(rows) * 40];
	u64 *root = host_page(), *pdpt = host_page(), *pd = host_page(), *pt = host_page();
	struct walk_tables tables = walk_tables_ept(plat_virt_to_hpa(root), false);

	(void)state;
	root[0] = to(pdpt) | RWX;
	pdpt[0] = to(pd) | RWX;
	pdpt[1] = 0x80000000 | RWX | WB | PS;
	pd[0] = to(pt) | RWX;
	pd[1] = 0xe00000 | RWX | WB | PS;
	pt[0] = 0x123000 | 1 | WB;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		hypr_hpa_t hpa = { 0 };

		assert_int_equal(fast_page_walk(&tables, rows[i].address, &hpa), rows[i].error);
		assert_int_equal(hpa.addr, rows[i].hpa);
	}

	/* Every count, so that the pipeline starts and ends everywhere. */
	for (size_t count = 0; count <= ARRAY_SIZE(items); count += count < 70 ? 1 : 37) {
		size_t mapped = 0;

		for (size_t i = 0; i < count; i++) {
			items[i].address = rows[i % ARRAY_SIZE(rows)].address;
			items[i].hpa.addr = 0;
			items[i].error = 1;
			mapped += !rows[i % ARRAY_SIZE(rows)].error;
		}
		assert_int_equal(walk_batch(&tables, items, count), mapped);
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(items[i].error, rows[i % ARRAY_SIZE(rows)].error);
			assert_int_equal(items[i].hpa.addr, rows[i % ARRAY_SIZE(rows)].hpa);
		}
	}
	plat_page_free(root, 1);
	plat_page_free(pdpt, 1);
	plat_page_free(pd, 1);
	plat_page_free(pt, 1);
}

static void test_fast_walks_of_x86_and_mbec_tables(void **state)
{
	u64 *root = host_page(), *pdpt = host_page();
	struct walk_tables tables = walk_tables_x86(plat_virt_to_hpa(root));
	hypr_hpa_t hpa;

	(void)state;
	root[511] = to(pdpt) | P;
	pdpt[511] = 0x40000000 | P | PS;
	pdpt[510] = 0x40000000 | W | U | PS;
	assert_int_equal(fast_page_walk(&tables, ~0ull, &hpa), 0);
	assert_int_equal(hpa.addr, 0x7fffffff);
	assert_int_equal(fast_page_walk(&tables, ~0ull << 47, &hpa), -ENOENT);
	assert_int_equal(fast_page_walk(&tables, ~0ull - CORE_PAGE_1G, &hpa), -ENOENT);
	assert_int_equal(fast_page_walk(&tables, BIT_ULL(47), &hpa), -EINVAL);
	assert_int_equal(fast_page_walk(&tables, (~0ull << 47) - 1, &hpa), -EINVAL);

	/* Only user execution: present with mode-based execute control. */
	root[0] = to(pdpt) | BIT_ULL(10);
	pdpt[0] = 0x40000000 | BIT_ULL(10) | PS;
	tables = walk_tables_ept(plat_virt_to_hpa(root), true);
	assert_int_equal(fast_page_walk(&tables, 0, &hpa), 0);
	tables = walk_tables_ept(plat_virt_to_hpa(root), false);
	assert_int_equal(fast_page_walk(&tables, 0, &hpa), -ENOENT);
	plat_page_free(root, 1);
	plat_page_free(pdpt, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_translates_4_kib_pages),
		cmocka_unit_test(test_translates_large_pages),
		cmocka_unit_test(test_translates_32_bit_tables),
		cmocka_unit_test(test_reports_attributes),
		cmocka_unit_test(test_sets_accessed_and_dirty_flags),
		cmocka_unit_test(test_starts_over_when_an_entry_changes),
		cmocka_unit_test(test_gives_up_on_a_table_that_changes_all_the_time),
		cmocka_unit_test(test_a_right_that_goes_meets_the_second_look),
		cmocka_unit_test(test_a_recursive_table_is_walked),
		cmocka_unit_test(test_tables_outside_of_memory),
		cmocka_unit_test(test_tables_in_read_only_memory),
		cmocka_unit_test(test_addresses_wider_than_the_table),
		cmocka_unit_test(test_arguments_that_contradict_themselves),
		cmocka_unit_test(test_registers_choose_format_and_mode),
		cmocka_unit_test(test_host_memory),
		cmocka_unit_test(test_fast_walks_of_every_page_size),
		cmocka_unit_test(test_fast_walks_of_x86_and_mbec_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
