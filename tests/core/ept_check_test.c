// SPDX-License-Identifier: GPL-2.0-only
/* The SDM's rules for EPT entries, bit by bit: tests/core/ept_check_test. */
#include "tests/core/ept_kit.h"
#include "tests/unit/unit.h"

#define G1	CORE_PAGE_1G
#define M2	CORE_PAGE_2M
#define K4	CORE_PAGE_4K

static const struct ept_check_cpu full = {
	.levels = 4, .maxphyaddr = 46, .page_2m = true, .page_1g = true,
	.execute_only = true, .user_execute = true,
};

/* Bits 51:46. */
#define BEYOND	0xfc00000000000ull

/* Each format of the SDM: an entry that is right, and the bits that it reserves. */
static const struct {
	u32 level;
	u64 entry;
	u64 reserved;
} formats[] = {
	{ 5, 0x7, BEYOND | 0xf8 },
	{ 4, 0x7, BEYOND | 0xf8 },
	{ 3, 0x7, BEYOND | 0x78 },
	{ 3, 0x87, BEYOND | 0x3ffff000 },
	{ 2, 0x7, BEYOND | 0x78 },
	{ 2, 0x87, BEYOND | 0x1ff000 },
	{ 1, 0x7, BEYOND },
};

static void test_every_single_bit_of_every_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		u32 level = formats[i].level;

		assert_int_equal(ept_check_entry(&full, level, formats[i].entry), EPT_RULE_NONE);
		for (u32 bit = 3; bit < 64; bit++) {
			u64 entry = formats[i].entry | 1ull << bit;
			enum ept_check_rule expected = EPT_RULE_NONE;

			if (formats[i].reserved >> bit & 1)
				expected = bit >= 46 ? EPT_RULE_BEYOND_MAXPHYADDR :
					EPT_RULE_RESERVED_BIT;
			/* Bit 7 of a directory entry makes another format of it. */
			if (bit == 7 && level <= 3)
				continue;
			/* Bit 4 alone is memory type 2. */
			if (bit == 4 && !(formats[i].reserved >> bit & 1))
				expected = EPT_RULE_MEMORY_TYPE;
			assert_int_equal(ept_check_entry(&full, level, entry), expected);
		}
	}
}

static void test_every_combination_of_permissions(void **state)
{
	(void)state;
	for (u32 bits = 0; bits < 64; bits++) {
		struct ept_check_cpu cpu = full;
		bool read = bits & 1, write = bits & 2, exec = bits & 4, user = bits & 8;
		enum ept_check_rule expected = EPT_RULE_NONE;

		cpu.execute_only = bits & 16;
		cpu.user_execute = bits & 32;
		if (write && !read)
			expected = EPT_RULE_WRITE_WITHOUT_READ;
		else if (exec && !read && !cpu.execute_only)
			expected = EPT_RULE_EXECUTE_WITHOUT_READ;
		else if (user && cpu.user_execute && !read && !cpu.execute_only)
			expected = EPT_RULE_USER_EXECUTE_WITHOUT_READ;
		for (u32 level = 1; level <= 5; level++)
			assert_int_equal(ept_check_entry(&cpu, level, (bits & 7) |
							 (user ? 1 << 10 : 0)), expected);
	}
}

static void test_nothing_is_wrong_with_what_is_not_present(void **state)
{
	struct ept_check_cpu no_user = full;

	(void)state;
	no_user.user_execute = false;
	for (u32 level = 1; level <= 5; level++) {
		assert_int_equal(ept_check_entry(&full, level, ~0x407ull), EPT_RULE_NONE);
		assert_int_equal(ept_check_entry(&no_user, level, ~0x7ull), EPT_RULE_NONE);
	}
}

static void test_memory_types(void **state)
{
	static const u64 pages[] = { 0, 0x7, 0x87, 0x87 };

	(void)state;
	for (u32 level = 1; level <= 3; level++) {
		for (u64 type = 0; type < 8; type++)
			assert_int_equal(ept_check_entry(&full, level, pages[level] | type << 3),
					 type == 2 || type == 3 || type == 7 ?
					 EPT_RULE_MEMORY_TYPE : EPT_RULE_NONE);
	}
}

static void test_page_sizes_that_the_cpu_does_not_have(void **state)
{
	struct ept_check_cpu cpu = full;

	(void)state;
	cpu.page_1g = false;
	assert_int_equal(ept_check_entry(&cpu, 3, 0x87), EPT_RULE_PAGE_SIZE);
	assert_int_equal(ept_check_entry(&cpu, 2, 0x87), EPT_RULE_NONE);
	cpu.page_2m = false;
	assert_int_equal(ept_check_entry(&cpu, 2, 0x87), EPT_RULE_PAGE_SIZE);
	/* Bit 7 of a page-table entry is ignored. */
	assert_int_equal(ept_check_entry(&cpu, 1, 0x87), EPT_RULE_NONE);
}

static void test_maxphyaddr_of_52_reserves_no_address_bit(void **state)
{
	struct ept_check_cpu cpu = full;

	(void)state;
	cpu.maxphyaddr = 52;
	assert_int_equal(ept_check_entry(&cpu, 1, 0xffffffffff007), EPT_RULE_NONE);
	cpu.maxphyaddr = 51;
	assert_int_equal(ept_check_entry(&cpu, 1, 0xffffffffff007), EPT_RULE_BEYOND_MAXPHYADDR);
}

/* Break one entry of a tree; the check says which. */
static void test_a_broken_entry_is_found_in_its_tree(void **state)
{
	static const struct {
		u64 gpa;
		u32 level;
		u64 break_bits;
		enum ept_check_rule rule;
	} cases[] = {
		{ 0, 4, 1 << 7, EPT_RULE_RESERVED_BIT },
		{ 3 * G1, 3, 1 << 3, EPT_RULE_RESERVED_BIT },
		{ 3 * G1 + 2 * M2, 2, 1 << 12, EPT_RULE_RESERVED_BIT },
		{ 3 * G1 + 4 * M2 + 7 * K4, 1, 7 << 3, EPT_RULE_MEMORY_TYPE },
	};
	struct ept_check_cpu cpu = full;
	struct ept_check_result found;
	struct ept_kit kit;

	(void)state;
	cpu.maxphyaddr = 52;
	ept_kit_init(&kit, 4, &ept_kit_all);
	ept_kit_map(&kit, 2 * G1, 0, G1 + 4 * M2 + 8 * K4, EPT_RWX | EPT_WB);
	assert_int_equal(ept_check_tables(&cpu, plat_virt_to_hpa(kit.ept.root), &found),
			 EPT_RULE_NONE);
	assert_int_equal(found.tables, 4);
	assert_int_equal(found.pages[0], 8);
	assert_int_equal(found.pages[1], 4);
	assert_int_equal(found.pages[2], 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 *table = kit.ept.root, *entry, old;
		u32 level;

		for (level = 4;; level--) {
			entry = &table[cases[i].gpa >> (3 + 9 * level) & 511];
			if (level == cases[i].level)
				break;
			table = plat_hpa_to_virt(hypr_hpa(*entry & 0xffffffffff000));
		}
		old = *entry;
		*entry |= cases[i].break_bits;
		assert_int_equal(ept_check_tables(&cpu, plat_virt_to_hpa(kit.ept.root), &found),
				 cases[i].rule);
		assert_int_equal(found.rule, cases[i].rule);
		assert_int_equal(found.level, cases[i].level);
		assert_int_equal(found.gpa.addr, cases[i].gpa);
		assert_int_equal(found.entry, *entry);
		assert_false(ept_kit_clean(&kit));
		*entry = old;
	}
	assert_true(ept_kit_clean(&kit));
	assert_true(ept_kit_fini(&kit));
}

static void test_every_rule_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (u32 i = 0; i < EPT_RULE_COUNT; i++) {
		assert_non_null(ept_rule_name(i));
		for (u32 j = 0; j < i; j++)
			assert_string_not_equal(ept_rule_name(i), ept_rule_name(j));
	}
	assert_string_equal(ept_rule_name(EPT_RULE_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_single_bit_of_every_format),
		cmocka_unit_test(test_every_combination_of_permissions),
		cmocka_unit_test(test_nothing_is_wrong_with_what_is_not_present),
		cmocka_unit_test(test_memory_types),
		cmocka_unit_test(test_page_sizes_that_the_cpu_does_not_have),
		cmocka_unit_test(test_maxphyaddr_of_52_reserves_no_address_bit),
		cmocka_unit_test(test_a_broken_entry_is_found_in_its_tree),
		cmocka_unit_test(test_every_rule_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
