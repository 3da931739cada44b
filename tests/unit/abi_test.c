// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ABI header, <linux/kvm_hypr.h>: C and C++ lay it out alike, no struct has
 * a hole, and the numbers are those that were given out.  A change here breaks
 * programs that were built before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "abi_layout.h"

static const struct abi_value abi_values[] = { ABI_VALUES };

#define NR_VALUES (sizeof(abi_values) / sizeof(abi_values[0]))

static void test_c_and_cxx_agree(void **state)
{
	struct abi_place c[ABI_PLACES_MAX], cxx[ABI_PLACES_MAX];
	size_t nr = abi_places_fill(c), i;

	(void)state;
	assert_in_range(nr, 1, ABI_PLACES_MAX);
	assert_int_equal(abi_places_fill_cxx(cxx), nr);
	for (i = 0; i < nr; i++) {
		const char *field = c[i].field ? c[i].field : "(all)";

		if (c[i].offset != cxx[i].offset || c[i].size != cxx[i].size)
			fail_msg("%s.%s: %zu+%zu in C, %zu+%zu in C++", c[i].type, field,
				 c[i].offset, c[i].size, cxx[i].offset, cxx[i].size);
		if ((c[i].field ? c[i].offset : c[i].size) != c[i].want)
			fail_msg("%s.%s: %zu+%zu, and %zu in the table", c[i].type, field,
				 c[i].offset, c[i].size, c[i].want);
	}
	assert_int_equal(abi_values_cxx_nr, NR_VALUES);
	for (i = 0; i < NR_VALUES; i++) {
		assert_string_equal(abi_values[i].name, abi_values_cxx[i].name);
		if (abi_values[i].value != abi_values_cxx[i].value)
			fail_msg("%s: %lu in C, %lu in C++", abi_values[i].name,
				 abi_values[i].value, abi_values_cxx[i].value);
	}
}

/* Number, direction and size, as a program without this header has them. */
static void test_ioctl_numbers(void **state)
{
	(void)state;
	assert_int_equal(KVM_GET_EPTP, 0x8040aef0);
	assert_int_equal(KVM_SET_EPTP, 0xc040aef1);
	assert_int_equal(KVM_PREPARE_EPT_SWAP, 0xc040aef2);
	assert_int_equal(KVM_COMMIT_EPT_SWAP, 0xc040aef3);
	assert_int_equal(KVM_EPT_SWAP_ALL, 0xc040aef4);
	assert_int_equal(KVM_HYPR_DISCARD_VIEW, 0x4020aef5);
	assert_int_equal(KVM_HYPR_SET_CONTROL_PAGE, 0x4040aef6);
	assert_int_equal(KVM_HYPR_SET_CACHE, 0xc080aef7);
	assert_int_equal(KVM_HYPR_PIN_VIEW, 0x4020aef8);
	assert_int_equal(KVM_HYPR_GET_STATS, 0x8520aefa);
	assert_int_equal(KVM_HYPR_MARK_EDITED, 0x4020aef9);
	assert_int_equal(KVM_HYPR_COPY_STATE, 0x4020aeee);
}

static void test_flags(void **state)
{
	(void)state;
	assert_int_equal(KVM_EPT_SWAP_PAUSE, 1);
	assert_int_equal(KVM_EPT_SWAP_RESUME, 2);
	assert_int_equal(KVM_EPT_SWAP_FORCE, 4);
	assert_int_equal(KVM_EPT_SWAP_FLUSH, 8);
	assert_int_equal(KVM_EPT_SWAP_EXPECT, 0x10);
	assert_int_equal(KVM_EPT_SWAP_VCPUS, 0x20);
	assert_int_equal(KVM_HYPR_PREPARE_RANGE, 1);
	assert_int_equal(KVM_HYPR_EPTP_NPT, 1);
}

static void test_control_page_constants(void **state)
{
	uint64_t value = HYPR_CONTROL_MAGIC;

	(void)state;
	assert_int_equal(HYPR_CONTROL_GPA, 0xffe000);
	assert_int_equal(HYPR_CONTROL_GPA, 16 * 1024 * 1024 - 8 * 1024);
	/* "HYPRVMM!", read as a number: on x86 its bytes stand reversed. */
	assert_memory_equal(&value, "!MMVRPYH", 8);
	assert_int_equal(HYPR_CONTROL_VECTOR, 0xf0);
	assert_int_equal(HYPR_CONTROL_MAX_VCPUS, 64);
	assert_int_equal(KVM_CAP_HYPR_EPT_SWAP, 0x48595052);	/* "HYPR" */
}

/* 64 entries fit the page, whole, behind the header. */
static void test_control_page_layout(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct hypr_control_page), 4096);
	assert_int_equal(offsetof(struct hypr_control_page, vcpu[63]),
			 64 + 63 * 32);
	assert_int_equal(offsetof(struct hypr_control_page, reserved1),
			 64 + 64 * 32);
}

/*
 * Each field begins where the last one ends, and a struct ends with its last field: no
 * struct has a hole, and the table names every field.
 */
static void test_no_holes(void **state)
{
	struct abi_place places[ABI_PLACES_MAX];
	size_t nr = abi_places_fill(places), end = 0, structs = 0, i;
	const char *type = NULL;

	(void)state;
	assert_in_range(nr, 1, ABI_PLACES_MAX);
	for (i = 0; i < nr; i++) {
		const struct abi_place *place = &places[i];

		if (!type)
			type = place->type;
		assert_string_equal(place->type, type);
		if (place->field) {
			if (place->offset != end)
				fail_msg("%s.%s begins at %zu, the last field ends at %zu",
					 type, place->field, place->offset, end);
			end += place->size;
			continue;
		}
		if (place->size != end)
			fail_msg("%s has %zu bytes, its fields end at %zu", type,
				 place->size, end);
		structs++;
		type = NULL;
		end = 0;
	}
	assert_null(type);
	/* As many as the header has. */
	assert_int_equal(structs, 22);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_c_and_cxx_agree),
		cmocka_unit_test(test_ioctl_numbers),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_control_page_constants),
		cmocka_unit_test(test_control_page_layout),
		cmocka_unit_test(test_no_holes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
