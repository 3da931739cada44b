// SPDX-License-Identifier: GPL-2.0-only
/*
 * EPTP encoding and validation: tests/core/eptp_test.  What is expected is
 * written from the Intel SDM, volume 3, "Extended-Page-Table Pointer (EPTP)"
 * and "Checks on VMX Controls", not from the code: expected() below is a second
 * opinion.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "eptp.h"

#define ROOT	0x12345000ull
#define GOOD	(ROOT | 3 << 3 | 6)

static const struct hypr_ept_caps everything = {
	.maxphyaddr = 46, .mt_uc = true, .mt_wb = true, .walk4 = true,
	.walk5 = true, .ad = true,
};

/* The emulated PC: a Haswell, without five-level walks. */
static const struct hypr_ept_caps haswell = {
	.maxphyaddr = 39, .mt_uc = true, .mt_wb = true, .walk4 = true,
	.ad = true,
};

/* Field by field, with divisions instead of masks. */
static int expected(u64 eptp, const struct hypr_ept_caps *caps)
{
	unsigned int type = eptp % 8;
	unsigned int levels = eptp / 8 % 8 + 1;
	unsigned int ad = eptp / 64 % 2;
	unsigned int reserved = eptp / 128 % 32;
	u64 beyond = eptp / (1ull << caps->maxphyaddr);

	if (type == 0 ? !caps->mt_uc : type == 6 ? !caps->mt_wb : true)
		return -EINVAL;
	if (levels == 4 ? !caps->walk4 : levels == 5 ? !caps->walk5 : true)
		return -EINVAL;
	if (ad && !caps->ad)
		return -EINVAL;
	return reserved || beyond ? -EINVAL : 0;
}

static void check(u64 eptp, const struct hypr_ept_caps *caps)
{
	int got = hypr_eptp_check(eptp, caps);

	if (got != expected(eptp, caps))
		fail_msg("EPTP %#llx gives %d, MAXPHYADDR %u",
			 (unsigned long long)eptp, got, caps->maxphyaddr);
}

static void test_eptp_check_takes_what_kvm_loads(void **state)
{
	(void)state;
	assert_int_equal(hypr_eptp_check(GOOD, &everything), 0);
	assert_int_equal(hypr_eptp_check(GOOD | 1 << 6, &everything), 0);
	assert_int_equal(hypr_eptp_check(GOOD | 1 << 6, &haswell), 0);
	assert_int_equal(hypr_eptp_check(ROOT | 4 << 3 | 6, &everything), 0);
	/* As formats go, root 0 is one: whether it is a root is asked later. */
	assert_int_equal(hypr_eptp_check(3 << 3 | 6, &everything), 0);
}

static void test_eptp_check_memory_types(void **state)
{
	struct hypr_ept_caps caps = everything;
	u64 type;

	(void)state;
	for (type = 0; type < 8; type++) {
		int want = type == 0 || type == 6 ? 0 : -EINVAL;

		assert_int_equal(hypr_eptp_check((GOOD & ~7ull) | type, &caps),
				 want);
	}
	caps.mt_uc = false;
	assert_int_equal(hypr_eptp_check(GOOD & ~7ull, &caps), -EINVAL);
	assert_int_equal(hypr_eptp_check(GOOD, &caps), 0);
	caps.mt_uc = true;
	caps.mt_wb = false;
	assert_int_equal(hypr_eptp_check(GOOD & ~7ull, &caps), 0);
	assert_int_equal(hypr_eptp_check(GOOD, &caps), -EINVAL);
}

static void test_eptp_check_walk_lengths(void **state)
{
	u64 field;

	(void)state;
	for (field = 0; field < 8; field++) {
		u64 eptp = ROOT | field << 3 | 6;
		int want4 = field == 3 ? 0 : -EINVAL;
		int want45 = field == 3 || field == 4 ? 0 : -EINVAL;

		assert_int_equal(hypr_eptp_check(eptp, &haswell), want4);
		assert_int_equal(hypr_eptp_check(eptp, &everything), want45);
	}
}

static void test_eptp_check_walk_of_four_unsupported(void **state)
{
	struct hypr_ept_caps caps = everything;

	(void)state;
	caps.walk4 = false;
	assert_int_equal(hypr_eptp_check(GOOD, &caps), -EINVAL);
	assert_int_equal(hypr_eptp_check(ROOT | 4 << 3 | 6, &caps), 0);
}

static void test_eptp_check_accessed_dirty(void **state)
{
	struct hypr_ept_caps caps = everything;

	(void)state;
	caps.ad = false;
	assert_int_equal(hypr_eptp_check(GOOD, &caps), 0);
	assert_int_equal(hypr_eptp_check(GOOD | 1 << 6, &caps), -EINVAL);
}

static void test_eptp_check_reserved_bits(void **state)
{
	unsigned int bit;

	(void)state;
	for (bit = 7; bit < 12; bit++)
		assert_int_equal(hypr_eptp_check(GOOD | 1ull << bit,
						 &everything), -EINVAL);
}

static void test_eptp_check_every_maxphyaddr(void **state)
{
	struct hypr_ept_caps caps = everything;
	unsigned int bit;

	(void)state;
	for (caps.maxphyaddr = 36; caps.maxphyaddr <= 52; caps.maxphyaddr++) {
		for (bit = 12; bit < 64; bit++) {
			int want = bit < caps.maxphyaddr ? 0 : -EINVAL;

			assert_int_equal(hypr_eptp_check((GOOD & 0xfff) |
							 1ull << bit, &caps),
					 want);
		}
	}
}

/* All low 12 bits, with all capabilities: every combination of fields. */
static void test_eptp_check_all_fields_at_once(void **state)
{
	struct hypr_ept_caps caps = { .maxphyaddr = 40 };
	unsigned int set;
	u64 low;

	(void)state;
	for (set = 0; set < 32; set++) {
		caps.mt_uc = set & 1;
		caps.mt_wb = set & 2;
		caps.walk4 = set & 4;
		caps.walk5 = set & 8;
		caps.ad = set & 16;
		for (low = 0; low < 4096; low++) {
			check(low, &caps);
			check(ROOT | low, &caps);
			check(1ull << 40 | low, &caps);
		}
	}
}

static void test_eptp_check_random(void **state)
{
	struct hypr_ept_caps caps = everything;
	u64 x = 0x9E3779B97F4A7C15ull;
	unsigned int i;

	(void)state;
	for (i = 0; i < 1000000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		caps.maxphyaddr = 36 + i % 17;
		check(x, &caps);
		check((x & ((1ull << caps.maxphyaddr) - 1) & ~0xfffull) |
		      (GOOD & 0xfff), &caps);
	}
}

static void test_eptp_encode(void **state)
{
	(void)state;
	assert_int_equal(hypr_eptp_encode(hypr_hpa(ROOT), 4, false), ROOT | 0x1e);
	assert_int_equal(hypr_eptp_encode(hypr_hpa(ROOT), 4, true), ROOT | 0x5e);
	assert_int_equal(hypr_eptp_encode(hypr_hpa(ROOT), 5, false), ROOT | 0x26);
	assert_int_equal(hypr_eptp_encode(hypr_hpa(ROOT), 5, true), ROOT | 0x66);
}

static void test_eptp_encode_passes_check(void **state)
{
	unsigned int shift;
	int level;

	(void)state;
	for (shift = 12; shift < 46; shift++)
		for (level = 4; level <= 5; level++)
			assert_int_equal(hypr_eptp_check(
				hypr_eptp_encode(hypr_hpa(1ull << shift), level, shift % 2),
				&everything), 0);
}

/* Bit by bit, so that no capability is read from the wrong place. */
static void test_caps_decode(void **state)
{
	unsigned int bit;

	(void)state;
	for (bit = 0; bit < 64; bit++) {
		struct hypr_ept_caps caps;

		hypr_ept_caps_decode(&caps, 1ull << bit, 39);
		assert_int_equal(caps.maxphyaddr, 39);
		assert_int_equal(caps.walk4, bit == 6);
		assert_int_equal(caps.walk5, bit == 7);
		assert_int_equal(caps.mt_uc, bit == 8);
		assert_int_equal(caps.mt_wb, bit == 14);
		assert_int_equal(caps.ad, bit == 21);
	}
}

static void test_caps_decode_haswell(void **state)
{
	struct hypr_ept_caps caps;

	(void)state;
	hypr_ept_caps_decode(&caps, 0xf0106334141ull, 39);
	assert_true(caps.walk4 && caps.mt_uc && caps.mt_wb && caps.ad);
	assert_false(caps.walk5);
}

static void test_ncr3_check_every_bit(void **state)
{
	const uint64_t c_bit = 1ull << 47;
	unsigned int width, bit;

	(void)state;
	for (width = 32; width <= 52; width++) {
		assert_int_equal(hypr_ncr3_check(0x1000, width, 0), 0);
		for (bit = 0; bit < 64; bit++)
			assert_int_equal(hypr_ncr3_check(1ull << bit, width, 0),
				bit >= 12 && bit < width ? 0 : -EINVAL);
	}
	/* The encryption bit stands above the width that is left. */
	assert_int_equal(hypr_ncr3_check(0x1000 | c_bit, 43, c_bit), 0);
	assert_int_equal(hypr_ncr3_check(0x1000 | c_bit, 43, 0), -EINVAL);
	assert_int_equal(hypr_ncr3_check(0x1000 | c_bit << 1, 43, c_bit),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eptp_check_takes_what_kvm_loads),
		cmocka_unit_test(test_eptp_check_memory_types),
		cmocka_unit_test(test_eptp_check_walk_lengths),
		cmocka_unit_test(test_eptp_check_walk_of_four_unsupported),
		cmocka_unit_test(test_eptp_check_accessed_dirty),
		cmocka_unit_test(test_eptp_check_reserved_bits),
		cmocka_unit_test(test_eptp_check_every_maxphyaddr),
		cmocka_unit_test(test_eptp_check_all_fields_at_once),
		cmocka_unit_test(test_eptp_check_random),
		cmocka_unit_test(test_eptp_encode),
		cmocka_unit_test(test_eptp_encode_passes_check),
		cmocka_unit_test(test_caps_decode),
		cmocka_unit_test(test_caps_decode_haswell),
		cmocka_unit_test(test_ncr3_check_every_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
