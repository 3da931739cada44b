// SPDX-License-Identifier: GPL-2.0-only
/* The MP table, read as a guest reads it: checksums, counts, identities. */
#include "unit.h"

#include "hypr/hypr.h"
#include "lib/pc/mptable.h"

#define RAM_BYTES	0x100000

static uint8_t sum(const uint8_t *p, size_t bytes)
{
	uint8_t total = 0;

	while (bytes--)
		total += *p++;
	return total;
}

static uint32_t get32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

struct census {
	int by_type[5];
	int boot_processors;
	uint64_t apic_ids;	/* a bit for each */
};

/* Walk the entries by their lengths, to the end and no further. */
static struct census walk(const uint8_t *table)
{
	const uint8_t *p = table + 44, *end = table + get16(table + 4);
	int left = get16(table + 34);
	struct census census = { 0 };

	for (; left; left--) {
		assert_true(p < end);
		assert_in_range(*p, 0, 4);
		census.by_type[*p]++;
		if (*p == 0) {
			assert_true(p[3] & 1);
			census.boot_processors += (p[3] & 2) != 0;
			assert_int_equal(census.apic_ids & 1ull << p[1], 0);
			census.apic_ids |= 1ull << p[1];
		}
		p += *p == 0 ? 20 : 8;
	}
	assert_ptr_equal(p, end);
	return census;
}

static void check(unsigned int vcpus)
{
	uint8_t *ram = calloc(1, RAM_BYTES);
	const uint8_t *pointer = ram + HYPR_MP_POINTER_GPA, *table;
	struct census census;

	assert_int_equal(hypr_mptable_write(&(struct hypr_guest){ ram, RAM_BYTES }, vcpus), 0);
	assert_memory_equal(pointer, "_MP_", 4);
	assert_int_equal(sum(pointer, 16), 0);
	assert_int_equal(get32(pointer + 4), HYPR_MP_TABLE_GPA);
	table = ram + get32(pointer + 4);
	assert_memory_equal(table, "PCMP", 4);
	assert_int_equal(sum(table, get16(table + 4)), 0);
	assert_int_equal(get32(table + 36), 0xfee00000);

	census = walk(table);
	assert_int_equal(census.by_type[0], vcpus);
	assert_int_equal(census.by_type[1], 1);
	assert_int_equal(census.by_type[2], 1);
	assert_int_equal(census.by_type[3], 16);
	assert_int_equal(census.by_type[4], 2);
	assert_int_equal(census.boot_processors, 1);
	assert_int_equal(census.apic_ids, vcpus == 64 ? UINT64_MAX : (1ull << vcpus) - 1);
	free(ram);
}

static void test_mptable_for_1_vcpu(void **ctx)
{
	(void)ctx;
	check(1);
}

static void test_mptable_for_2_vcpus(void **ctx)
{
	(void)ctx;
	check(2);
}

static void test_mptable_for_64_vcpus(void **ctx)
{
	(void)ctx;
	check(64);
}

static void test_mptable_refuses_what_has_no_room(void **ctx)
{
	uint8_t *ram = calloc(1, RAM_BYTES);
	struct hypr_guest guest = { ram, RAM_BYTES };

	(void)ctx;
	assert_int_equal(hypr_mptable_write(&guest, 65), -EINVAL);
	guest.bytes = HYPR_MP_TABLE_GPA + 100;
	assert_int_equal(hypr_mptable_write(&guest, 1), -EFAULT);
	assert_non_null(strstr(hypr_error(), "0xf0000"));
	guest.bytes = HYPR_MP_TABLE_GPA + 1024;
	assert_int_equal(hypr_mptable_write(&guest, 1), 0);
	free(ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mptable_for_1_vcpu),
		cmocka_unit_test(test_mptable_for_2_vcpus),
		cmocka_unit_test(test_mptable_for_64_vcpus),
		cmocka_unit_test(test_mptable_refuses_what_has_no_room),
	};

	return cmocka_run_group_tests_name("mptable", tests, NULL, NULL) ? 1 : 0;
}
