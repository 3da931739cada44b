// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: which view is evicted, and when a budget is exceeded.
 */
#include <kunit/test.h>

#include "ept_lru.h"

#define A	2
#define B	3
#define C	4
#define ABC	(BIT(A) | BIT(B) | BIT(C))

static void touch_all(struct hypr_lru *lru)
{
	hypr_lru_touch(lru, A, 10);
	hypr_lru_touch(lru, B, 10);
	hypr_lru_touch(lru, C, 10);
}

static void lru_oldest_first(struct kunit *test)
{
	struct hypr_lru lru = {};

	touch_all(&lru);
	KUNIT_EXPECT_EQ(test, hypr_lru_oldest(&lru, ABC, 0), A);
	hypr_lru_touch(&lru, A, 10);
	KUNIT_EXPECT_EQ(test, hypr_lru_oldest(&lru, ABC, 0), B);
	hypr_lru_touch(&lru, B, 11);
	KUNIT_EXPECT_EQ(test, hypr_lru_oldest(&lru, ABC, 0), C);
}

static void lru_only_candidates(struct kunit *test)
{
	struct hypr_lru lru = {};

	touch_all(&lru);
	KUNIT_EXPECT_EQ(test, hypr_lru_oldest(&lru, BIT(B) | BIT(C), 0), B);
	KUNIT_EXPECT_EQ(test, hypr_lru_oldest(&lru, BIT(C), 0), C);
	KUNIT_EXPECT_EQ(test, hypr_lru_oldest(&lru, 0, 0), -1);
	/* One that was never in use has no place in the order. */
	KUNIT_EXPECT_EQ(test, hypr_lru_oldest(&lru, BIT(C + 1), 0), -1);
}

/* What could not be evicted is passed over: each view is tried once. */
static void lru_above_a_stamp(struct kunit *test)
{
	struct hypr_lru lru = {};
	u64 above = 0;
	int view, seen = 0;

	touch_all(&lru);
	while ((view = hypr_lru_oldest(&lru, ABC, above)) >= 0) {
		KUNIT_EXPECT_EQ(test, view, A + seen++);
		above = lru.stamp[view];
	}
	KUNIT_EXPECT_EQ(test, seen, 3);
}

static void lru_first_and_last_view(struct kunit *test)
{
	struct hypr_lru lru = {};
	u32 last = HYPR_LRU_VIEWS - 1;

	hypr_lru_touch(&lru, last, 5);
	hypr_lru_touch(&lru, 0, 5);
	KUNIT_EXPECT_EQ(test, hypr_lru_oldest(&lru, ~0u, 0), last);
	hypr_lru_touch(&lru, last, 5);
	KUNIT_EXPECT_EQ(test, hypr_lru_oldest(&lru, ~0u, 0), 0);
}

static void lru_stamps_grow(struct kunit *test)
{
	struct hypr_lru lru = {};
	u64 last = 0;
	int i;

	/* Within one jiffy, and even when jiffies go back. */
	for (i = 0; i < 1000; i++) {
		hypr_lru_touch(&lru, i % HYPR_LRU_VIEWS, i < 500 ? 7 : 6);
		KUNIT_EXPECT_GT(test, lru.clock, last);
		last = lru.clock;
	}
}

/* The later jiffy is the later stamp, also in another VM. */
static void lru_stamps_compare_vms(struct kunit *test)
{
	struct hypr_lru one = {}, other = {};
	int i;

	hypr_lru_touch(&one, A, 1000);
	for (i = 0; i < 10000; i++)
		hypr_lru_touch(&one, A, 1000);
	hypr_lru_touch(&other, A, 1001);
	KUNIT_EXPECT_LT(test, one.stamp[A], other.stamp[A]);
	hypr_lru_touch(&one, A, 1002);
	KUNIT_EXPECT_GT(test, one.stamp[A], other.stamp[A]);
}

static void lru_pinned_and_in_use(struct kunit *test)
{
	struct hypr_lru lru = {};

	KUNIT_EXPECT_EQ(test, hypr_lru_candidates(&lru, ABC, 0), ABC);
	KUNIT_EXPECT_EQ(test, hypr_lru_candidates(&lru, ABC, BIT(A)), ABC & ~BIT(A));
	KUNIT_EXPECT_EQ(test, hypr_lru_candidates(&lru, 0, 0), 0);
	hypr_lru_pin(&lru, B, true);
	hypr_lru_pin(&lru, B, true);
	KUNIT_EXPECT_EQ(test, hypr_lru_candidates(&lru, ABC, BIT(A)), BIT(C));
	hypr_lru_pin(&lru, B, false);
	KUNIT_EXPECT_EQ(test, hypr_lru_candidates(&lru, ABC, BIT(A)),
			BIT(B) | BIT(C));
	KUNIT_EXPECT_EQ(test, lru.pinned, 0);
}

static void lru_evicted_until_built(struct kunit *test)
{
	struct hypr_lru lru = {};

	hypr_lru_built(&lru, A, 12);
	hypr_lru_built(&lru, B, 30);
	KUNIT_EXPECT_EQ(test, hypr_lru_estimate(&lru, BIT(A) | BIT(B)), 42);
	hypr_lru_dropped(&lru, A, true);
	KUNIT_EXPECT_EQ(test, lru.evicted, BIT(A));
	KUNIT_EXPECT_EQ(test, lru.tables[A], 0);
	hypr_lru_built(&lru, A, 13);
	KUNIT_EXPECT_EQ(test, lru.evicted, 0);
	KUNIT_EXPECT_EQ(test, lru.tables[A], 13);
}

static void lru_discarded_is_not_evicted(struct kunit *test)
{
	struct hypr_lru lru = {};

	hypr_lru_built(&lru, A, 12);
	hypr_lru_dropped(&lru, A, false);
	KUNIT_EXPECT_EQ(test, lru.evicted, 0);
	hypr_lru_built(&lru, A, 12);
	hypr_lru_dropped(&lru, A, true);
	hypr_lru_dropped(&lru, A, false);
	KUNIT_EXPECT_EQ(test, lru.evicted, 0);
}

static void lru_estimate(struct kunit *test)
{
	struct hypr_lru lru = {};

	hypr_lru_built(&lru, A, 12);
	KUNIT_EXPECT_EQ(test, hypr_lru_estimate(&lru, 0), 0);
	KUNIT_EXPECT_EQ(test, hypr_lru_estimate(&lru, BIT(A)), 12);
	/* A further part. */
	hypr_lru_built(&lru, A, 3);
	KUNIT_EXPECT_EQ(test, hypr_lru_estimate(&lru, BIT(A)), 15);
	/* Never counted: at least its root. */
	KUNIT_EXPECT_EQ(test, hypr_lru_estimate(&lru, BIT(A) | BIT(0)), 16);
}

/* Against a list that is kept in order by moving views to its end. */
static void lru_model(struct kunit *test)
{
	u8 order[HYPR_LRU_VIEWS], view;
	struct hypr_lru lru = {};
	u32 random = 12345, mask;
	int step, i, j, want;

	for (i = 0; i < HYPR_LRU_VIEWS; i++) {
		order[i] = i;
		hypr_lru_touch(&lru, i, 1);
	}
	for (step = 0; step < 5000; step++) {
		random = random * 1664525 + 1013904223;
		view = random >> 16 & (HYPR_LRU_VIEWS - 1);
		mask = random >> 8;
		for (i = 0, j = 0; i < HYPR_LRU_VIEWS; i++) {
			if (order[i] != view)
				order[j++] = order[i];
		}
		order[j] = view;
		hypr_lru_touch(&lru, view, 1 + step / 100);

		want = -1;
		for (i = 0; i < HYPR_LRU_VIEWS && want < 0; i++) {
			if (mask & BIT(order[i]))
				want = order[i];
		}
		KUNIT_ASSERT_EQ_MSG(test, hypr_lru_oldest(&lru, mask, 0), want,
				    "step %d", step);
	}
}

static struct kunit_case hypr_lru_cases[] = {
	KUNIT_CASE(lru_oldest_first),
	KUNIT_CASE(lru_only_candidates),
	KUNIT_CASE(lru_above_a_stamp),
	KUNIT_CASE(lru_first_and_last_view),
	KUNIT_CASE(lru_stamps_grow),
	KUNIT_CASE(lru_stamps_compare_vms),
	KUNIT_CASE(lru_pinned_and_in_use),
	KUNIT_CASE(lru_evicted_until_built),
	KUNIT_CASE(lru_discarded_is_not_evicted),
	KUNIT_CASE(lru_estimate),
	KUNIT_CASE(lru_model),
	{}
};

static struct kunit_suite hypr_lru_suite = {
	.name = "hypr_lru",
	.test_cases = hypr_lru_cases,
};

static bool exceeded(u64 max_tables, u64 max_pages, u64 tables, u64 pages)
{
	const struct hypr_use budget = { .tables = max_tables, .pages = max_pages };
	const struct hypr_use use = { .tables = tables, .pages = pages };

	return hypr_budget_is_exceeded(&budget, &use);
}

static void budget_none(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, exceeded(0, 0, 0, 0));
	KUNIT_EXPECT_FALSE(test, exceeded(0, 0, U64_MAX, U64_MAX));
}

static void budget_edges(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, exceeded(10, 0, 9, 1000));
	KUNIT_EXPECT_FALSE(test, exceeded(10, 0, 10, 1000));
	KUNIT_EXPECT_TRUE(test, exceeded(10, 0, 11, 0));
	KUNIT_EXPECT_FALSE(test, exceeded(0, 10, 1000, 10));
	KUNIT_EXPECT_TRUE(test, exceeded(0, 10, 0, 11));
	KUNIT_EXPECT_TRUE(test, exceeded(1, 0, 2, 0));
	KUNIT_EXPECT_FALSE(test, exceeded(U64_MAX, U64_MAX, U64_MAX, U64_MAX));
}

/* Either of the two is enough. */
static void budget_either(struct kunit *test)
{
	KUNIT_EXPECT_FALSE(test, exceeded(10, 20, 10, 20));
	KUNIT_EXPECT_TRUE(test, exceeded(10, 20, 11, 20));
	KUNIT_EXPECT_TRUE(test, exceeded(10, 20, 10, 21));
	KUNIT_EXPECT_TRUE(test, exceeded(10, 20, 11, 21));
}

static void budget_default(struct kunit *test)
{
	const struct hypr_use fallback = { .tables = 7, .pages = 8 };
	struct hypr_use budget = {};

	hypr_budget_default(&budget, &fallback);
	KUNIT_EXPECT_EQ(test, budget.tables, 7);
	KUNIT_EXPECT_EQ(test, budget.pages, 8);

	budget = (struct hypr_use) { .tables = 3 };
	hypr_budget_default(&budget, &fallback);
	KUNIT_EXPECT_EQ(test, budget.tables, 3);
	KUNIT_EXPECT_EQ(test, budget.pages, 8);

	budget = (struct hypr_use) { .pages = 9 };
	hypr_budget_default(&budget, &fallback);
	KUNIT_EXPECT_EQ(test, budget.tables, 7);
	KUNIT_EXPECT_EQ(test, budget.pages, 9);
}

static void budget_pages_of_all_sizes(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, hypr_use_pages(0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, hypr_use_pages(5, 0, 0), 5);
	KUNIT_EXPECT_EQ(test, hypr_use_pages(0, 1, 0), 512);
	KUNIT_EXPECT_EQ(test, hypr_use_pages(0, 0, 1), 262144);
	KUNIT_EXPECT_EQ(test, hypr_use_pages(1, 2, 3), 1 + 2 * 512 + 3 * 262144);
	/* 4 TiB in pages of 1 GiB: more than 32 bits of bytes, fewer of pages. */
	KUNIT_EXPECT_EQ(test, hypr_use_pages(0, 0, 1ull << 24), 1ull << 42);
}

static void budget_sum(struct kunit *test)
{
	const struct hypr_use one = { .tables = 12, .pages = 4096 };
	struct hypr_use sum = {};

	hypr_use_add(&sum, &one);
	hypr_use_add(&sum, &one);
	KUNIT_EXPECT_EQ(test, sum.tables, 24);
	KUNIT_EXPECT_EQ(test, sum.pages, 8192);
}

static struct kunit_case hypr_budget_cases[] = {
	KUNIT_CASE(budget_none),
	KUNIT_CASE(budget_edges),
	KUNIT_CASE(budget_either),
	KUNIT_CASE(budget_default),
	KUNIT_CASE(budget_pages_of_all_sizes),
	KUNIT_CASE(budget_sum),
	{}
};

static struct kunit_suite hypr_budget_suite = {
	.name = "hypr_budget",
	.test_cases = hypr_budget_cases,
};

kunit_test_suites(&hypr_lru_suite, &hypr_budget_suite);
