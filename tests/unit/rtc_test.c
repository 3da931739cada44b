// SPDX-License-Identifier: GPL-2.0-only
/* The clock chip: the time it tells, and that a guest never waits for it. */
#include "unit.h"

#include "lib/pc/rtc.h"

static int64_t fixed_now(void)
{
	return 1700000000;	/* Tuesday 2023-11-14 22:13:20 UTC */
}

static uint8_t cmos(struct hypr_rtc *rtc, uint8_t index)
{
	hypr_rtc_write(rtc, 0, index);
	return hypr_rtc_read(rtc, 1);
}

static void test_rtc_tells_the_time_in_bcd(void **ctx)
{
	static const uint8_t expected[][2] = {
		{ 0x00, 0x20 }, { 0x02, 0x13 }, { 0x04, 0x22 }, { 0x06, 0x03 },
		{ 0x07, 0x14 }, { 0x08, 0x11 }, { 0x09, 0x23 }, { 0x32, 0x20 },
	};
	struct hypr_rtc rtc;
	size_t i;

	(void)ctx;
	hypr_rtc_init(&rtc, fixed_now);
	for (i = 0; i < ARRAY_SIZE(expected); i++)
		assert_int_equal(cmos(&rtc, expected[i][0]), expected[i][1]);
}

static void test_rtc_is_never_updating(void **ctx)
{
	struct hypr_rtc rtc;

	(void)ctx;
	hypr_rtc_init(&rtc, fixed_now);
	assert_int_equal(cmos(&rtc, 0x0a) & 0x80, 0);
	hypr_rtc_write(&rtc, 1, 0xff);
	assert_int_equal(cmos(&rtc, 0x0a) & 0x80, 0);
	assert_int_equal(cmos(&rtc, 0x0d) & 0x80, 0x80);
	/* BCD and 24 hours, whatever is written. */
	cmos(&rtc, 0x0b);
	hypr_rtc_write(&rtc, 1, 0xff);
	assert_int_equal(cmos(&rtc, 0x0b) & 0x06, 0x02);
}

static void test_rtc_state_is_moved(void **ctx)
{
	struct hypr_rtc_state state;
	struct hypr_rtc rtc;

	(void)ctx;
	hypr_rtc_init(&rtc, fixed_now);
	cmos(&rtc, 0x40);
	hypr_rtc_write(&rtc, 1, 0x77);
	hypr_rtc_save(&rtc, &state);
	hypr_rtc_write(&rtc, 1, 0x11);
	hypr_rtc_set(&rtc, &state);
	assert_int_equal(hypr_rtc_read(&rtc, 1), 0x77);
	hypr_rtc_write(&rtc, 0, 0xff);	/* bit 7 is not the index's */
	hypr_rtc_write(&rtc, 1, 0x22);
	assert_int_equal(cmos(&rtc, 0x7f), 0x22);
}

/* Whoever made the state: an index is one of a register, and B is as a guest finds it. */
static void test_rtc_takes_no_wild_state(void **ctx)
{
	struct hypr_rtc_state state;
	struct hypr_rtc rtc;

	(void)ctx;
	memset(&state, 0xff, sizeof(state));
	hypr_rtc_init(&rtc, fixed_now);
	hypr_rtc_set(&rtc, &state);
	assert_int_equal(hypr_rtc_read(&rtc, 1), 0xff);
	hypr_rtc_write(&rtc, 1, 0x33);
	assert_int_equal(cmos(&rtc, 0x7f), 0x33);
	assert_int_equal(cmos(&rtc, 0x0a), 0x7f);
	assert_int_equal(cmos(&rtc, 0x0b), 0x7a);
	assert_ptr_equal(rtc.now, fixed_now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rtc_tells_the_time_in_bcd),
		cmocka_unit_test(test_rtc_is_never_updating),
		cmocka_unit_test(test_rtc_state_is_moved),
		cmocka_unit_test(test_rtc_takes_no_wild_state),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL) ? 1 : 0;
}
