// SPDX-License-Identifier: GPL-2.0-only
/*
 * The demonstration's judgement: it must notice a guest that did not go on
 * where it should, reports that got lost, and bars that are missed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/demo_result.h"
#include "bench/stats.h"
#include "bench/timeline.h"

/* Push a whole record; true when it was taken for one. */
static bool push(struct timeline *timeline, struct guest_checks *checks,
		 uint32_t epoch, uint32_t failures, uint32_t prev, uint32_t hash)
{
	const uint32_t word[EPOCH_REPORT_WORDS] = {
		EPOCH_REPORT_TAG, epoch, 2 * epoch, failures, prev, hash,
	};
	bool complete = false;
	unsigned int i;

	for (i = 0; i < EPOCH_REPORT_WORDS; i++)
		complete = timeline_push(timeline, "A", word[i], checks);
	return complete;
}

static void test_timeline_counts_what_comes_next(void **ctx)
{
	struct timeline timeline = { .has_last = false };
	struct guest_checks checks = { .records = 0 };

	(void)ctx;
	assert_true(push(&timeline, &checks, 1, 0, 10, 11));
	assert_true(push(&timeline, &checks, 2, 0, 11, 12));
	assert_true(push(&timeline, &checks, 3, 0, 12, 13));
	assert_int_equal(checks.records, 3);
	assert_int_equal(checks.checks, 6);
	assert_int_equal(checks.breaks, 0);
	assert_int_equal(checks.failures, 0);
}

static void test_timeline_notices_a_wrong_continuation(void **ctx)
{
	static const struct {
		uint32_t epoch;
		uint32_t prev;
	} wrong[] = {
		{ 5, 11 },	/* an epoch too many */
		{ 1, 11 },	/* the same again */
		{ 0, 11 },	/* back */
		{ 2, 12 },	/* the right epoch of another chain */
	};
	unsigned int i;

	(void)ctx;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct timeline timeline = { .has_last = false };
		struct guest_checks checks = { .records = 0 };

		push(&timeline, &checks, 1, 0, 10, 11);
		push(&timeline, &checks, wrong[i].epoch, 0, wrong[i].prev, 20);
		assert_int_equal(checks.breaks, 1);
		assert_string_not_equal(checks.first_break, "");
		assert_int_equal(checks.checks, 2);
	}
}

static void test_timeline_goes_back_to_its_moment(void **ctx)
{
	struct timeline timeline = { .has_last = false }, moment;
	struct guest_checks checks = { .records = 0 };
	unsigned int i;

	(void)ctx;
	push(&timeline, &checks, 1, 0, 10, 11);
	/* The moment is in the middle of a record. */
	timeline_push(&timeline, "A", EPOCH_REPORT_TAG, &checks);
	timeline_push(&timeline, "A", 2, &checks);
	moment = timeline;
	for (i = 0; i < 3; i++) {
		const uint32_t rest[] = { 4, 0, 11, 100 + i };
		unsigned int j;

		timeline = moment;
		for (j = 0; j < 4; j++)
			timeline_push(&timeline, "A", rest[j], &checks);
		assert_int_equal(timeline.last.hash, 100 + i);
		assert_int_equal(checks.breaks, 0);
	}
	assert_int_equal(checks.records, 4);
}

static void test_timeline_counts_failures_once(void **ctx)
{
	struct timeline timeline = { .has_last = false };
	struct guest_checks checks = { .records = 0 };

	(void)ctx;
	push(&timeline, &checks, 1, 0, 10, 11);
	push(&timeline, &checks, 2, 3, 11, 12);
	push(&timeline, &checks, 3, 3, 12, 13);
	assert_int_equal(checks.failures, 3);
}

static void test_timeline_notices_a_lost_word(void **ctx)
{
	struct timeline timeline = { .has_last = false };
	struct guest_checks checks = { .records = 0 };

	(void)ctx;
	timeline_push(&timeline, "A", 1234, &checks);
	assert_int_equal(checks.breaks, 1);
}

static void test_log_parts_words_by_time(void **ctx)
{
	static struct report_log log;
	struct report report;

	(void)ctx;
	report_log_init(&log);
	report_log_push(&log, 1, 100);
	report_log_push(&log, 2, 200);
	assert_true(report_log_pop(&log, 150, &report));
	assert_int_equal(report.word, 1);
	assert_false(report_log_pop(&log, 150, &report));
	assert_true(report_log_wait(&log, 0));
	assert_true(report_log_pop(&log, UINT64_MAX, &report));
	assert_int_equal(report.word, 2);
	assert_false(report_log_wait(&log, 0));
}

static void test_log_counts_what_does_not_fit(void **ctx)
{
	static struct report_log log;
	unsigned int i;

	(void)ctx;
	report_log_init(&log);
	for (i = 0; i < REPORT_LOG_SIZE + 3; i++)
		report_log_push(&log, i, i);
	assert_int_equal(log.lost, 3);
}

static void test_summary_of_samples(void **ctx)
{
	struct samples samples = { .nr = 0 };
	struct summary summary;
	uint64_t i;

	(void)ctx;
	samples_summarize(&samples, &summary);
	assert_int_equal(summary.max, 0);
	for (i = 1000; i; i--)
		assert_int_equal(samples_add(&samples, i), 0);
	samples_summarize(&samples, &summary);
	assert_int_equal(summary.median, 500);
	assert_int_equal(summary.p99, 990);
	assert_int_equal(summary.max, 1000);
	samples_fini(&samples);
}

static const struct demo_result good = {
	.emulated = true, .swaps_wanted = 1000, .swaps = 1000,
	.pages_verified = 8190, .commit = { .median = 4000 }, .ratio = 1000,
};

static void test_bars_are_met(void **ctx)
{
	(void)ctx;
	assert_int_equal(demo_result_bars(&good), 0);
}

static void test_each_bar_can_be_missed(void **ctx)
{
	struct demo_result bad[10];
	unsigned int i, n = 0;

	(void)ctx;
	for (i = 0; i < 10; i++)
		bad[i] = good;
	bad[n++].swaps = 999;
	bad[n++].guest.failures = 1;
	bad[n++].guest.breaks = 1;
	bad[n++].reports_lost = 1;
	bad[n++].unchecked = 1;
	bad[n++].pages_verified = 0;
	bad[n++].pages_mismatched = 1;
	bad[n++].commit.median = 4001;
	bad[n++].ratio = 999;
	for (i = 0; i < n; i++)
		assert_int_equal(demo_result_bars(&bad[i]), 1);
	/* On hardware, cycles are time and have no bar. */
	bad[7].emulated = false;
	assert_int_equal(demo_result_bars(&bad[7]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timeline_counts_what_comes_next),
		cmocka_unit_test(test_timeline_notices_a_wrong_continuation),
		cmocka_unit_test(test_timeline_goes_back_to_its_moment),
		cmocka_unit_test(test_timeline_counts_failures_once),
		cmocka_unit_test(test_timeline_notices_a_lost_word),
		cmocka_unit_test(test_log_parts_words_by_time),
		cmocka_unit_test(test_log_counts_what_does_not_fit),
		cmocka_unit_test(test_summary_of_samples),
		cmocka_unit_test(test_bars_are_met),
		cmocka_unit_test(test_each_bar_can_be_missed),
	};

	return cmocka_run_group_tests_name("demo", tests, NULL, NULL);
}
