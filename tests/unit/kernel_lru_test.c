// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which view is evicted: the kernel's own arch/x86/kvm/vmx/ept_lru.c, compiled
 * here under the sanitizers.  Its cases one by one are KUnit tests
 * (ept_lru_kunit.c); here a whole cache is played, against a slow model of it,
 * for longer than the emulated PC could.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "plat_types.h"
#include "../../kernel/overlay/arch/x86/kvm/vmx/ept_lru.c"

#define VIEWS	HYPR_LRU_VIEWS
#define STEPS	200000

static u64 random_state;

static u32 random_below(u32 n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 32) % n;
}

static int seed(void **state)
{
	const char *given = getenv("HYPR_SEED");

	(void)state;
	random_state = given ? strtoull(given, NULL, 0) : (u64)time(NULL) << 20 | 1;
	if (!random_state)
		random_state = 1;
	print_message("# HYPR_SEED=%#llx\n", (unsigned long long)random_state);
	return 0;
}

/* A VM as a list: order[0] is the view that was not in use for longest. */
struct model {
	int order[VIEWS];
	u32 tables[VIEWS];
	bool prepared[VIEWS], evicted[VIEWS], pinned[VIEWS];
	int active;
	u64 budget;
};

static u64 model_total(const struct model *m)
{
	u64 total = 0;
	int i;

	for (i = 0; i < VIEWS; i++)
		total += m->tables[i];
	return total;
}

static void model_touch(struct model *m, int view)
{
	int i, j = 0;

	for (i = 0; i < VIEWS; i++)
		if (m->order[i] != view)
			m->order[j++] = m->order[i];
	m->order[j] = view;
}

static int model_victim(const struct model *m, int keep)
{
	int i;

	for (i = 0; i < VIEWS; i++) {
		int view = m->order[i];

		if (m->tables[view] && !m->pinned[view] && view != m->active &&
		    view != keep)
			return view;
	}
	return -1;
}

static u32 mask_of(const bool *flag)
{
	u32 mask = 0;
	int i;

	for (i = 0; i < VIEWS; i++)
		mask |= (u32)flag[i] << i;
	return mask;
}

static u32 resident_of(const struct model *m)
{
	u32 mask = 0;
	int i;

	for (i = 0; i < VIEWS; i++)
		mask |= (u32)!!m->tables[i] << i;
	return mask;
}

/* What ept_cache.c does around hypr_lru_oldest(), and the model next to it. */
static void make_room(struct hypr_lru *lru, struct model *m, int keep)
{
	const struct hypr_use budget = { .tables = m->budget };
	u64 above = 0;

	for (;;) {
		const struct hypr_use use = { .tables = model_total(m) };
		bool over = m->budget && use.tables > m->budget;
		int want = model_victim(m, keep), got;

		assert_int_equal(hypr_budget_is_exceeded(&budget, &use), over);
		if (!over)
			return;
		got = hypr_lru_oldest(lru, hypr_lru_candidates(lru,
				resident_of(m), 1u << m->active | 1u << keep),
				above);
		assert_int_equal(got, want);
		if (got < 0)
			return;
		above = lru->stamp[got];
		hypr_lru_dropped(lru, got, m->prepared[got]);
		m->evicted[got] = m->prepared[got];
		m->prepared[got] = false;
		m->tables[got] = 0;
	}
}

static void prepare(struct hypr_lru *lru, struct model *m, int view, u64 now)
{
	u32 more = m->tables[view] ? random_below(4) : 1 + random_below(40);

	m->tables[view] += more;
	m->prepared[view] = true;
	m->evicted[view] = false;
	hypr_lru_touch(lru, view, now);
	hypr_lru_built(lru, view, more);
	model_touch(m, view);
	make_room(lru, m, view);
}

static void swap_to(struct hypr_lru *lru, struct model *m, int view, u64 now)
{
	if (m->evicted[view])
		prepare(lru, m, view, now);
	if (!m->prepared[view])
		return;
	hypr_lru_touch(lru, m->active, now);
	model_touch(m, m->active);
	hypr_lru_touch(lru, view, now);
	model_touch(m, view);
	m->active = view;
}

static void discard(struct hypr_lru *lru, struct model *m, int view)
{
	if (view == m->active)
		return;
	hypr_lru_dropped(lru, view, false);
	m->tables[view] = 0;
	m->prepared[view] = m->evicted[view] = false;
}

static void check(const struct hypr_lru *lru, const struct model *m)
{
	u64 tables = 0;
	int i;

	assert_int_equal(lru->evicted, mask_of(m->evicted));
	assert_int_equal(lru->pinned, mask_of(m->pinned));
	for (i = 0; i < VIEWS; i++)
		tables += m->tables[i];
	assert_int_equal(hypr_lru_estimate(lru, resident_of(m)), tables);
}

static void test_cache_against_model(void **state)
{
	struct hypr_lru lru = { .clock = 0 };
	struct model m = { .budget = 100 };
	unsigned int step, evictions = 0;
	u64 now = 1000;
	int i;

	(void)state;
	for (i = 0; i < VIEWS; i++)
		m.order[i] = i;
	for (i = 0; i < VIEWS; i++)
		prepare(&lru, &m, i, now);
	for (step = 0; step < STEPS; step++) {
		int view = random_below(VIEWS);
		u32 before = lru.evicted;

		now += !random_below(4);
		switch (random_below(8)) {
		case 0 ... 2:
			prepare(&lru, &m, view, now);
			break;
		case 3 ... 5:
			swap_to(&lru, &m, view, now);
			break;
		case 6:
			m.pinned[view] = random_below(8) == 0;
			hypr_lru_pin(&lru, view, m.pinned[view]);
			break;
		case 7:
			if (random_below(4))
				m.budget = random_below(3) * 100;
			else
				discard(&lru, &m, view);
			break;
		}
		evictions += !!(lru.evicted & ~before);
		check(&lru, &m);
	}
	assert_in_range(evictions, STEPS / 100, STEPS);
}

/* Two VMs: of what was used in different jiffies the earlier is older. */
static void test_stamps_of_two_vms(void **state)
{
	struct hypr_lru vm[2] = { { .clock = 0 } };
	u64 now = 1, last[2] = { 0 };
	unsigned int step;

	(void)state;
	for (step = 0; step < STEPS; step++) {
		unsigned int which = random_below(2);
		struct hypr_lru *lru = &vm[which];

		hypr_lru_touch(lru, random_below(VIEWS), now);
		if (last[!which] && last[!which] < now)
			assert_true(lru->clock > vm[!which].clock);
		last[which] = now;
		now += !random_below(50);
	}
}

/* The longest uptime that 64 bits of jiffies at 1000 Hz need: 500 years. */
static void test_stamps_do_not_wrap(void **state)
{
	const u64 years = 500ull * 366 * 24 * 3600 * 1000;
	struct hypr_lru lru = { .clock = 0 };

	(void)state;
	hypr_lru_touch(&lru, 2, years - 1);
	hypr_lru_touch(&lru, 3, years);
	assert_true(lru.stamp[3] > lru.stamp[2]);
	assert_int_equal(lru.stamp[3] >> HYPR_STAMP_SHIFT, years);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache_against_model),
		cmocka_unit_test(test_stamps_of_two_vms),
		cmocka_unit_test(test_stamps_do_not_wrap),
	};

	return cmocka_run_group_tests(tests, seed, NULL);
}
