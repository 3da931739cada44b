// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: EPTP validation, every field against every capability.  What is
 * expected is written from the Intel SDM, volume 3, "Extended-Page-Table Pointer
 * (EPTP)" and "Checks on VMX Controls", not from eptp.c.
 */
#include <kunit/test.h>

#include "eptp.h"

#define ROOT		0x12345000ull
#define FIELDS_GOOD	(3 << 3 | 6)	/* write-back, four levels */
#define GOOD		(ROOT | FIELDS_GOOD)

static const struct hypr_ept_caps everything = {
	.maxphyaddr = 46, .mt_uc = true, .mt_wb = true, .walk4 = true,
	.walk5 = true, .ad = true,
};

/* Field by field, with divisions instead of masks: a second opinion. */
static int eptp_expected(u64 eptp, const struct hypr_ept_caps *caps)
{
	unsigned int type = eptp & 7;
	unsigned int levels = (eptp >> 3 & 7) + 1;
	bool good;

	if (type == 0)
		good = caps->mt_uc;
	else
		good = type == 6 && caps->mt_wb;
	if (levels == 4)
		good &= caps->walk4;
	else
		good &= levels == 5 && caps->walk5;
	if (eptp >> 6 & 1)
		good &= caps->ad;
	good &= (eptp >> 7 & 31) == 0;
	good &= eptp < 1ull << caps->maxphyaddr;
	return good ? 0 : -EINVAL;
}

static void eptp_memory_types(struct kunit *test)
{
	struct hypr_ept_caps caps = everything;
	u64 type;

	for (type = 0; type < 8; type++) {
		u64 eptp = (GOOD & ~7ull) | type;

		caps.mt_uc = true;
		caps.mt_wb = true;
		KUNIT_EXPECT_EQ_MSG(test, hypr_eptp_check(eptp, &caps),
				    type == 0 || type == 6 ? 0 : -EINVAL,
				    "memory type %llu", type);
		caps.mt_uc = false;
		KUNIT_EXPECT_EQ_MSG(test, hypr_eptp_check(eptp, &caps),
				    type == 6 ? 0 : -EINVAL,
				    "memory type %llu, no UC", type);
		caps.mt_uc = true;
		caps.mt_wb = false;
		KUNIT_EXPECT_EQ_MSG(test, hypr_eptp_check(eptp, &caps),
				    type == 0 ? 0 : -EINVAL,
				    "memory type %llu, no WB", type);
	}
}

static void eptp_walk_lengths(struct kunit *test)
{
	struct hypr_ept_caps caps = everything;
	u64 field;

	for (field = 0; field < 8; field++) {
		u64 eptp = ROOT | field << 3 | 6;

		caps.walk4 = true;
		caps.walk5 = true;
		KUNIT_EXPECT_EQ_MSG(test, hypr_eptp_check(eptp, &caps),
				    field == 3 || field == 4 ? 0 : -EINVAL,
				    "length field %llu", field);
		caps.walk5 = false;
		KUNIT_EXPECT_EQ_MSG(test, hypr_eptp_check(eptp, &caps),
				    field == 3 ? 0 : -EINVAL,
				    "length field %llu, four levels", field);
		caps.walk4 = false;
		caps.walk5 = true;
		KUNIT_EXPECT_EQ_MSG(test, hypr_eptp_check(eptp, &caps),
				    field == 4 ? 0 : -EINVAL,
				    "length field %llu, five levels", field);
	}
}

static void eptp_accessed_dirty(struct kunit *test)
{
	struct hypr_ept_caps caps = everything;

	KUNIT_EXPECT_EQ(test, hypr_eptp_check(GOOD | BIT_ULL(6), &caps), 0);
	caps.ad = false;
	KUNIT_EXPECT_EQ(test, hypr_eptp_check(GOOD | BIT_ULL(6), &caps), -EINVAL);
	KUNIT_EXPECT_EQ(test, hypr_eptp_check(GOOD, &caps), 0);
}

static void eptp_reserved_bits(struct kunit *test)
{
	unsigned int bit;

	for (bit = 7; bit < 12; bit++)
		KUNIT_EXPECT_EQ_MSG(test,
				    hypr_eptp_check(GOOD | BIT_ULL(bit),
						    &everything),
				    -EINVAL, "bit %u", bit);
}

static void eptp_every_maxphyaddr(struct kunit *test)
{
	struct hypr_ept_caps caps = everything;
	unsigned int bit;

	for (caps.maxphyaddr = 32; caps.maxphyaddr <= 52; caps.maxphyaddr++) {
		for (bit = 12; bit < 64; bit++)
			KUNIT_EXPECT_EQ_MSG(test,
					    hypr_eptp_check(FIELDS_GOOD |
							    BIT_ULL(bit), &caps),
					    bit < caps.maxphyaddr ? 0 : -EINVAL,
					    "address bit %u, MAXPHYADDR %u", bit,
					    caps.maxphyaddr);
	}
}

/* Each set of capabilities with each value of the low 12 bits. */
static void eptp_all_fields_at_once(struct kunit *test)
{
	struct hypr_ept_caps caps = { .maxphyaddr = 40 };
	unsigned int set;
	u64 low;

	for (set = 0; set < 32; set++) {
		caps.mt_uc = set & 1;
		caps.mt_wb = set & 2;
		caps.walk4 = set & 4;
		caps.walk5 = set & 8;
		caps.ad = set & 16;
		for (low = 0; low < 4096; low++) {
			u64 eptp = ROOT | low;

			if (hypr_eptp_check(eptp, &caps) !=
			    eptp_expected(eptp, &caps))
				KUNIT_FAIL(test, "EPTP %#llx, capabilities %#x",
					   eptp, set);
		}
	}
}

static void eptp_encode(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, hypr_eptp_encode(hypr_hpa(ROOT), 4, false), ROOT | 0x1e);
	KUNIT_EXPECT_EQ(test, hypr_eptp_encode(hypr_hpa(ROOT), 4, true), ROOT | 0x5e);
	KUNIT_EXPECT_EQ(test, hypr_eptp_encode(hypr_hpa(ROOT), 5, false), ROOT | 0x26);
	KUNIT_EXPECT_EQ(test, hypr_eptp_encode(hypr_hpa(ROOT), 5, true), ROOT | 0x66);
}

static void eptp_encoded_is_taken(struct kunit *test)
{
	struct hypr_ept_caps caps = everything;
	unsigned int shift;
	int level;

	caps.maxphyaddr = 52;
	for (shift = 12; shift < 52; shift++) {
		for (level = 4; level <= 5; level++) {
			u64 eptp = hypr_eptp_encode(hypr_hpa(BIT_ULL(shift)),
						    level, shift % 2);

			KUNIT_EXPECT_EQ(test, hypr_eptp_check(eptp, &caps), 0);
		}
	}
}

/* Bit by bit, so that no capability is read from the wrong place. */
static void eptp_caps_decode(struct kunit *test)
{
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		struct hypr_ept_caps caps;

		hypr_ept_caps_decode(&caps, BIT_ULL(bit), 39);
		KUNIT_EXPECT_EQ(test, caps.maxphyaddr, 39);
		KUNIT_EXPECT_EQ_MSG(test, caps.walk4, bit == 6, "bit %u", bit);
		KUNIT_EXPECT_EQ_MSG(test, caps.walk5, bit == 7, "bit %u", bit);
		KUNIT_EXPECT_EQ_MSG(test, caps.mt_uc, bit == 8, "bit %u", bit);
		KUNIT_EXPECT_EQ_MSG(test, caps.mt_wb, bit == 14, "bit %u", bit);
		KUNIT_EXPECT_EQ_MSG(test, caps.ad, bit == 21, "bit %u", bit);
	}
}

static struct kunit_case hypr_eptp_cases[] = {
	KUNIT_CASE(eptp_memory_types),
	KUNIT_CASE(eptp_walk_lengths),
	KUNIT_CASE(eptp_accessed_dirty),
	KUNIT_CASE(eptp_reserved_bits),
	KUNIT_CASE(eptp_every_maxphyaddr),
	KUNIT_CASE(eptp_all_fields_at_once),
	KUNIT_CASE(eptp_encode),
	KUNIT_CASE(eptp_encoded_is_taken),
	KUNIT_CASE(eptp_caps_decode),
	{}
};

static struct kunit_suite hypr_eptp_suite = {
	.name = "hypr_eptp",
	.test_cases = hypr_eptp_cases,
};

kunit_test_suite(hypr_eptp_suite);
