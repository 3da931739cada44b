// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registers of a local APIC: modes, priorities, the timer, commands and whom they reach,
 * and state in and out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "lapic.h"

#define ON		(LAPIC_GPA | LAPIC_BASE_ENABLED)
#define X2		(ON | LAPIC_BASE_X2APIC)
#define NOW		1000000000ull
#define SVR_ON		0x1ff

static struct lapic_ipi ipi;

static void make(struct lapic *lapic, u32 id, u64 base)
{
	lapic_reset(lapic, id, base);
	assert_int_equal(lapic_write(lapic, LAPIC_SVR, SVR_ON, NOW, &ipi), LAPIC_DONE);
}

static u32 read_at(const struct lapic *lapic, u32 offset, u64 now)
{
	u32 value = 0xdead;

	assert_int_equal(lapic_read(lapic, offset, now, &value), 0);
	return value;
}

static void set(struct lapic *lapic, u32 offset, u64 value)
{
	assert_true(lapic_write(lapic, offset, value, NOW, &ipi) >= 0);
}

/* ---- modes ------------------------------------------------------------------ */

static void test_reset(void **state)
{
	struct lapic lapic;
	u32 i;

	(void)state;
	lapic_reset(&lapic, 3, ON);
	assert_int_equal(lapic_mode(&lapic), LAPIC_XAPIC);
	assert_int_equal(read_at(&lapic, LAPIC_ID, NOW), 3u << 24);
	assert_int_equal(read_at(&lapic, LAPIC_VERSION, NOW), 0x50014);
	assert_int_equal(read_at(&lapic, LAPIC_SVR, NOW), 0xff);
	assert_int_equal(read_at(&lapic, LAPIC_DFR, NOW), 0xffffffff);
	for (i = LAPIC_LVT_TIMER; i <= LAPIC_LVT_ERROR; i += 16)
		assert_int_equal(read_at(&lapic, i, NOW), 0x10000);
	/* Switched off by software: nothing arrives. */
	assert_false(lapic_accept(&lapic, 0x40));
	assert_int_equal(lapic_next(&lapic), -1);
}

static void test_modes(void **state)
{
	static const struct {
		u64 from, to;
		int ret;
	} change[] = {
		{ ON, X2, 0 },
		{ ON, LAPIC_GPA, 0 },
		{ LAPIC_GPA, ON, 0 },
		{ X2, LAPIC_GPA, 0 },
		{ X2, ON, -EINVAL },
		{ LAPIC_GPA, X2, -EINVAL },
		{ ON, LAPIC_GPA | LAPIC_BASE_X2APIC, -EINVAL },
		{ ON, ON + 0x1000, -EINVAL },
		{ ON, ON | 1, -EINVAL },
		{ ON, ON | 1ull << 40, -EINVAL },
		{ ON, ON | LAPIC_BASE_BSP, 0 },
	};
	struct lapic lapic;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(change) / sizeof(change[0]); i++) {
		lapic_reset(&lapic, 1, change[i].from);
		if (lapic_set_base(&lapic, change[i].to) != change[i].ret)
			fail_msg("change %zu", i);
		assert_int_equal(lapic.base, change[i].ret ? change[i].from : change[i].to);
	}
	/* User space may set any of them. */
	lapic_reset(&lapic, 1, LAPIC_GPA);
	assert_int_equal(lapic_load_base(&lapic, X2), 0);
	assert_int_equal(read_at(&lapic, LAPIC_LDR, NOW), 2);
	assert_int_equal(lapic_load_base(&lapic, ON), 0);
	assert_int_equal(lapic_load_base(&lapic, X2 | 1), -EINVAL);
	/* Switched off and on, it has forgotten. */
	make(&lapic, 1, ON);
	lapic_accept(&lapic, 0x40);
	assert_int_equal(lapic_set_base(&lapic, LAPIC_GPA), 0);
	assert_int_equal(lapic_set_base(&lapic, ON), 0);
	set(&lapic, LAPIC_SVR, SVR_ON);
	assert_int_equal(lapic_next(&lapic), -1);
}

static void test_x2apic(void **state)
{
	struct lapic lapic;
	u32 value;

	(void)state;
	make(&lapic, 0x23, X2);
	assert_int_equal(read_at(&lapic, LAPIC_ID, NOW), 0x23);
	assert_int_equal(read_at(&lapic, LAPIC_LDR, NOW), 2 << 16 | 1 << 3);
	/* What is not there, and what may not be written, faults. */
	assert_int_equal(lapic_read(&lapic, LAPIC_DFR, NOW, &value), -EINVAL);
	assert_int_equal(lapic_read(&lapic, LAPIC_ICR_HIGH, NOW, &value), -EINVAL);
	assert_int_equal(lapic_read(&lapic, LAPIC_EOI, NOW, &value), -EINVAL);
	assert_int_equal(lapic_read(&lapic, 0x3f0, NOW, &value), -EINVAL);
	assert_int_equal(lapic_read(&lapic, 0x40, NOW, &value), -EINVAL);
	assert_int_equal(lapic_write(&lapic, LAPIC_ID, 1, NOW, &ipi), -EINVAL);
	assert_int_equal(lapic_write(&lapic, LAPIC_LDR, 1, NOW, &ipi), -EINVAL);
	assert_int_equal(lapic_write(&lapic, LAPIC_EOI, 1, NOW, &ipi), -EINVAL);
	assert_int_equal(lapic_write(&lapic, LAPIC_TPR, 0x100, NOW, &ipi), -EINVAL);
	assert_int_equal(lapic_write(&lapic, LAPIC_TPR, 1ull << 32, NOW, &ipi), -EINVAL);
	assert_int_equal(lapic_write(&lapic, LAPIC_SELF_IPI, 0x45, NOW, &ipi), LAPIC_SEND);
	assert_int_equal(ipi.shorthand, LAPIC_TO_SELF);
	assert_int_equal(ipi.vector, 0x45);
}

/* ---- priorities --------------------------------------------------------------- */

static void test_priorities(void **state)
{
	struct lapic lapic;

	(void)state;
	make(&lapic, 0, ON);
	assert_true(lapic_accept(&lapic, 0x41));
	assert_true(lapic_accept(&lapic, 0x83));
	assert_true(lapic_accept(&lapic, 0xfe));
	assert_int_equal(lapic_next(&lapic), 0xfe);
	lapic_take(&lapic, 0xfe);
	assert_int_equal(lapic_next(&lapic), -1);
	assert_int_equal(read_at(&lapic, LAPIC_PPR, NOW), 0xf0);
	set(&lapic, LAPIC_EOI, 0);
	assert_int_equal(lapic_next(&lapic), 0x83);
	set(&lapic, LAPIC_TPR, 0x80);
	assert_int_equal(lapic_next(&lapic), -1);
	set(&lapic, LAPIC_TPR, 0x7f);
	assert_int_equal(lapic_next(&lapic), 0x83);
	lapic_take(&lapic, 0x83);
	/* Of the same class: not before the EOI. */
	assert_true(lapic_accept(&lapic, 0x8f));
	assert_int_equal(lapic_next(&lapic), -1);
	/* Of a higher one: nested, and the first EOI is its. */
	assert_true(lapic_accept(&lapic, 0x90));
	assert_int_equal(lapic_next(&lapic), 0x90);
	lapic_take(&lapic, 0x90);
	set(&lapic, LAPIC_EOI, 0);
	assert_int_equal(read_at(&lapic, LAPIC_PPR, NOW), 0x80);
	set(&lapic, LAPIC_EOI, 0);
	assert_int_equal(lapic_next(&lapic), 0x8f);
	lapic_take(&lapic, 0x8f);
	set(&lapic, LAPIC_EOI, 0);
	assert_int_equal(lapic_next(&lapic), -1);
	set(&lapic, LAPIC_TPR, 0);
	assert_int_equal(lapic_next(&lapic), 0x41);
	lapic_set_cr8(&lapic, 4);
	assert_int_equal(read_at(&lapic, LAPIC_TPR, NOW), 0x40);
	assert_int_equal(lapic_cr8(&lapic), 4);
	assert_int_equal(lapic_next(&lapic), -1);
}

static void test_errors(void **state)
{
	struct lapic lapic;

	(void)state;
	make(&lapic, 0, ON);
	set(&lapic, LAPIC_LVT_ERROR, 0x99);
	assert_false(lapic_accept(&lapic, 15));
	assert_int_equal(lapic_next(&lapic), 0x99);
	assert_int_equal(read_at(&lapic, LAPIC_ESR, NOW), 0);
	set(&lapic, LAPIC_ESR, 0);
	assert_int_equal(read_at(&lapic, LAPIC_ESR, NOW), LAPIC_ERROR_RECEIVE);
	assert_int_equal(lapic_write(&lapic, LAPIC_ICR, 0x3, NOW, &ipi), LAPIC_DONE);
	assert_int_equal(lapic_write(&lapic, 0x40, 1, NOW, &ipi), LAPIC_DONE);
	set(&lapic, LAPIC_ESR, 0);
	assert_int_equal(read_at(&lapic, LAPIC_ESR, NOW),
			 LAPIC_ERROR_SEND | LAPIC_ERROR_REGISTER);
	set(&lapic, LAPIC_ESR, 0);
	assert_int_equal(read_at(&lapic, LAPIC_ESR, NOW), 0);
}

static void test_switched_off_masks(void **state)
{
	struct lapic lapic;

	(void)state;
	make(&lapic, 0, ON);
	set(&lapic, LAPIC_LVT_TIMER, 0x50);
	set(&lapic, LAPIC_SVR, 0xff);
	assert_int_equal(read_at(&lapic, LAPIC_LVT_TIMER, NOW), 0x10050);
	set(&lapic, LAPIC_LVT_TIMER, 0x51);
	assert_int_equal(read_at(&lapic, LAPIC_LVT_TIMER, NOW), 0x10051);
}

/* ---- the timer ------------------------------------------------------------------ */

static void test_one_shot(void **state)
{
	static const u32 divides[] = { 0, 1, 2, 3, 8, 9, 10, 11 };
	static const u32 by[] = { 2, 4, 8, 16, 32, 64, 128, 1 };
	struct lapic lapic;
	u32 i;

	(void)state;
	for (i = 0; i < 8; i++) {
		u64 due = NOW + 1000ull * by[i];

		make(&lapic, 0, ON);
		set(&lapic, LAPIC_LVT_TIMER, 0x60);
		set(&lapic, LAPIC_TIMER_DIVIDE, divides[i]);
		assert_int_equal(lapic_write(&lapic, LAPIC_TIMER_INITIAL, 1000, NOW, &ipi),
				 LAPIC_TIMER);
		assert_int_equal(lapic.due_ns, due);
		assert_int_equal(read_at(&lapic, LAPIC_TIMER_CURRENT, NOW), 1000);
		assert_int_equal(read_at(&lapic, LAPIC_TIMER_CURRENT, due - 400 * by[i]), 400);
		assert_int_equal(read_at(&lapic, LAPIC_TIMER_CURRENT, due - 1), 1);
		assert_false(lapic_expire(&lapic, due - 1));
		assert_true(lapic_expire(&lapic, due));
		assert_int_equal(lapic_next(&lapic), 0x60);
		assert_int_equal(lapic.due_ns, 0);
		assert_int_equal(read_at(&lapic, LAPIC_TIMER_CURRENT, due), 0);
		assert_false(lapic_expire(&lapic, due + 1));
	}
	/* Masked, it runs out without an interrupt; 0 stops it. */
	make(&lapic, 0, ON);
	set(&lapic, LAPIC_LVT_TIMER, 0x10060);
	set(&lapic, LAPIC_TIMER_INITIAL, 1000);
	assert_true(lapic_expire(&lapic, NOW + 3000));
	assert_int_equal(lapic_next(&lapic), -1);
	set(&lapic, LAPIC_TIMER_INITIAL, 1000);
	set(&lapic, LAPIC_TIMER_INITIAL, 0);
	assert_int_equal(lapic.due_ns, 0);
}

static void test_periodic(void **state)
{
	struct lapic lapic;
	u64 due = NOW + 1000000;

	(void)state;
	make(&lapic, 0, ON);
	set(&lapic, LAPIC_TIMER_DIVIDE, 0xb);
	set(&lapic, LAPIC_LVT_TIMER, 0x20060);
	set(&lapic, LAPIC_TIMER_INITIAL, 1000000);
	assert_true(lapic_expire(&lapic, due + 100));
	assert_int_equal(lapic.due_ns, due + 1000000);
	lapic_take(&lapic, 0x60);
	/* Three periods late: one interrupt, and the next when it would be due. */
	assert_true(lapic_expire(&lapic, due + 4000100));
	assert_int_equal(lapic.due_ns, due + 5000000);
	/* A host is not kept busy by a period of a nanosecond. */
	set(&lapic, LAPIC_TIMER_INITIAL, 1);
	assert_int_equal(lapic.due_ns, NOW + LAPIC_PERIOD_MIN_NS);
	assert_int_equal(read_at(&lapic, LAPIC_TIMER_CURRENT, NOW), 1);
	assert_true(lapic_expire(&lapic, NOW + LAPIC_PERIOD_MIN_NS));
	assert_int_equal(lapic.due_ns, NOW + 2 * LAPIC_PERIOD_MIN_NS);
}

static void test_divide_changes_while_it_runs(void **state)
{
	struct lapic lapic;

	(void)state;
	make(&lapic, 0, ON);
	set(&lapic, LAPIC_LVT_TIMER, 0x60);
	set(&lapic, LAPIC_TIMER_DIVIDE, 0xb);
	set(&lapic, LAPIC_TIMER_INITIAL, 1000);
	assert_int_equal(lapic_write(&lapic, LAPIC_TIMER_DIVIDE, 1, NOW + 400, &ipi), LAPIC_TIMER);
	assert_int_equal(read_at(&lapic, LAPIC_TIMER_CURRENT, NOW + 400), 600);
	assert_int_equal(lapic.due_ns, NOW + 400 + 2400);
}

/* ---- commands --------------------------------------------------------------------- */

static void test_commands(void **state)
{
	struct lapic lapic;

	(void)state;
	make(&lapic, 0, ON);
	set(&lapic, LAPIC_ICR_HIGH, 2u << 24);
	assert_int_equal(lapic_write(&lapic, LAPIC_ICR, 0x4500, NOW, &ipi), LAPIC_SEND);
	assert_int_equal(ipi.delivery, LAPIC_INIT);
	assert_int_equal(ipi.dest, 2);
	assert_false(ipi.deassert);
	assert_int_equal(lapic_write(&lapic, LAPIC_ICR, 0x8500, NOW, &ipi), LAPIC_SEND);
	assert_true(ipi.deassert);
	assert_int_equal(lapic_write(&lapic, LAPIC_ICR, 0x4608, NOW, &ipi), LAPIC_SEND);
	assert_int_equal(ipi.delivery, LAPIC_STARTUP);
	assert_int_equal(ipi.vector, 8);
	assert_int_equal(lapic_write(&lapic, LAPIC_ICR, 0xc1840, NOW, &ipi), LAPIC_SEND);
	assert_int_equal(ipi.shorthand, LAPIC_TO_OTHERS);
	assert_true(ipi.logical);
	/* It is delivered already. */
	assert_int_equal(read_at(&lapic, LAPIC_ICR, NOW) & 0x1000, 0);
	make(&lapic, 0, X2);
	assert_int_equal(lapic_write(&lapic, LAPIC_ICR, 0x11223344ull << 32 | 0x40, NOW, &ipi),
			 LAPIC_SEND);
	assert_true(ipi.wide);
	assert_int_equal(ipi.dest, 0x11223344);
	lapic_msi(&ipi, LAPIC_GPA | 5 << 12 | 4, 0x155);
	assert_int_equal(ipi.delivery, LAPIC_LOWEST);
	assert_int_equal(ipi.vector, 0x55);
	assert_int_equal(ipi.dest, 5);
	assert_true(ipi.logical);
}

static void test_targets(void **state)
{
	static const struct {
		u32 id;
		u64 base;
		u32 ldr, dfr;
		struct lapic_ipi ipi;
		bool reached;
	} row[] = {
		{ 2, ON, 0, 0xf, { .dest = 2 }, true },
		{ 2, ON, 0, 0xf, { .dest = 3 }, false },
		{ 2, ON, 0, 0xf, { .dest = 0xff }, true },
		{ 2, LAPIC_GPA, 0, 0xf, { .dest = 2 }, false },
		{ 2, ON, 0, 0xf, { .shorthand = LAPIC_TO_SELF }, false },
		{ 0, ON, 0, 0xf, { .shorthand = LAPIC_TO_SELF }, true },
		{ 2, ON, 0, 0xf, { .shorthand = LAPIC_TO_OTHERS }, true },
		{ 0, ON, 0, 0xf, { .shorthand = LAPIC_TO_OTHERS }, false },
		{ 0, ON, 0, 0xf, { .shorthand = LAPIC_TO_ALL }, true },
		/* Flat: a bit for each. */
		{ 2, ON, 4, 0xf, { .logical = true, .dest = 0x0c }, true },
		{ 2, ON, 4, 0xf, { .logical = true, .dest = 0x03 }, false },
		/* Clusters of four. */
		{ 2, ON, 0x12, 0, { .logical = true, .dest = 0x13 }, true },
		{ 2, ON, 0x12, 0, { .logical = true, .dest = 0x23 }, false },
		{ 2, ON, 0x12, 0, { .logical = true, .dest = 0x11 }, false },
		/* x2APIC. */
		{ 0x23, X2, 0, 0, { .wide = true, .dest = 0x23 }, true },
		{ 0x23, X2, 0, 0, { .wide = true, .dest = 0xff }, false },
		{ 0x23, X2, 0, 0, { .wide = true, .dest = 0xffffffff }, true },
		{ 0x23, X2, 0, 0, { .wide = true, .logical = true, .dest = 0x20008 }, true },
		{ 0x23, X2, 0, 0, { .wide = true, .logical = true, .dest = 0x20004 }, false },
		{ 0x23, X2, 0, 0, { .wide = true, .logical = true, .dest = 0x10008 }, false },
		/* A message's 8 bits are of cluster 0. */
		{ 2, X2, 0, 0, { .logical = true, .dest = 0x0c }, true },
		{ 2, X2, 0, 0, { .logical = true, .dest = 0x03 }, false },
		{ 0x23, X2, 0, 0, { .logical = true, .dest = 0x08 }, false },
	};
	struct lapic lapic;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		lapic_reset(&lapic, row[i].id, row[i].base);
		if (row[i].base == ON) {
			set(&lapic, LAPIC_LDR, row[i].ldr << 24);
			set(&lapic, LAPIC_DFR, (u64)row[i].dfr << 28);
		}
		if (lapic_is_target(&lapic, &row[i].ipi, 0) != row[i].reached)
			fail_msg("row %zu", i);
	}
}

/* ---- state -------------------------------------------------------------------------- */

static void test_state_comes_back(void **state)
{
	struct lapic lapic, other;
	u32 reg[LAPIC_REGS];

	(void)state;
	make(&lapic, 1, ON);
	set(&lapic, LAPIC_TPR, 0x20);
	set(&lapic, LAPIC_LVT_TIMER, 0x20060);
	set(&lapic, LAPIC_TIMER_DIVIDE, 0xb);
	set(&lapic, LAPIC_TIMER_INITIAL, 1000000);
	lapic_accept(&lapic, 0x70);
	lapic_accept(&lapic, 0x80);
	lapic_take(&lapic, 0x80);
	lapic_save(&lapic, reg, NOW + 400000);
	lapic_reset(&other, 1, ON);
	assert_int_equal(lapic_load(&other, reg, 2 * NOW), 0);
	assert_int_equal(other.due_ns, 2 * NOW + 600000);
	assert_int_equal(read_at(&other, LAPIC_PPR, NOW), 0x80);
	assert_int_equal(lapic_next(&other), -1);
	set(&other, LAPIC_EOI, 0);
	assert_int_equal(lapic_next(&other), 0x70);
	/* Another CPU's. */
	lapic_reset(&other, 2, ON);
	assert_int_equal(lapic_load(&other, reg, NOW), -EINVAL);
	/* Vectors that cannot be are dropped. */
	reg[LAPIC_IRR / 16] = reg[LAPIC_ISR / 16] = 0xffff;
	lapic_reset(&other, 1, ON);
	assert_int_equal(lapic_load(&other, reg, NOW), 0);
	set(&other, LAPIC_TPR, 0);
	set(&other, LAPIC_EOI, 0);
	assert_int_equal(lapic_next(&other), 0x70);
}

/* Whatever a file says: nothing is read or written beyond the registers. */
static void test_any_state_is_survived(void **state)
{
	struct lapic lapic;
	u32 reg[LAPIC_REGS], i, round, offset, value;
	u64 seed = 1;

	(void)state;
	for (round = 0; round < 2000; round++) {
		for (i = 0; i < LAPIC_REGS; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			reg[i] = seed >> 32;
		}
		reg[LAPIC_ID / 16] = 1 << 24;
		lapic_reset(&lapic, 1, round & 1 ? ON : X2);
		assert_int_equal(lapic_load(&lapic, reg, NOW), 0);
		for (offset = 0; offset < 0x1000; offset += 16) {
			lapic_read(&lapic, offset, NOW, &value);
			lapic_write(&lapic, offset, reg[offset / 16 % LAPIC_REGS], NOW, &ipi);
		}
		lapic_expire(&lapic, ~0ull >> 1);
		if (lapic_next(&lapic) >= 0)
			lapic_take(&lapic, (u8)lapic_next(&lapic));
		lapic_save(&lapic, reg, NOW);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_x2apic),
		cmocka_unit_test(test_priorities),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_switched_off_masks),
		cmocka_unit_test(test_one_shot),
		cmocka_unit_test(test_periodic),
		cmocka_unit_test(test_divide_changes_while_it_runs),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_state_comes_back),
		cmocka_unit_test(test_any_state_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
