// SPDX-License-Identifier: GPL-2.0-only
/*
 * tlb_decide() and flush_tlb() against a software TLB: tests/core/tlb_random_test.
 * bench/core/tlb.c runs the same for longer.
 */
#include "tests/unit/unit.h"

#include "tests/core/tlb_soft.h"
#include "tests/core/tlb_world.h"

#define SEED	0x18c0de
#define STEPS	200000

static void test_no_translation_is_stale_and_no_flush_missed(void **state)
{
	struct world_counts counts;

	(void)state;
	print_message("seed %#x\n", SEED);
	world_run(tlb_decide, SEED, STEPS, &counts);
	assert_int_equal(counts.steps, STEPS);
	assert_int_equal(counts.stale, 0);
	assert_int_equal(counts.missed, 0);
	assert_int_equal(counts.failed, 0);
	/* Nothing that the function can say was left untried. */
	for (u32 n = 0; n < ARRAY_SIZE(counts.flush); n++)
		if (!counts.flush[n])
			fail_msg("no flush \"%s\"", tlb_flush_text((enum tlb_flush)n));
	for (u32 n = 0; n < ARRAY_SIZE(counts.why); n++)
		if (!counts.why[n])
			fail_msg("no reason \"%s\"", tlb_reason_text((enum tlb_reason)n));
}

static void test_a_flush_left_out_is_found(void **state)
{
	struct world_counts counts;

	(void)state;
	for (size_t i = 0; i < tlb_broken_count; i++) {
		world_run(tlb_broken[i].decide, SEED, STEPS / 4, &counts);
		if (!counts.missed || !counts.stale)
			fail_msg("not found: %s", tlb_broken[i].name);
	}
}

static struct tlb_decision flush_always(const struct tlb_facts *facts)
{
	struct tlb_decision decision = tlb_decide(facts);

	if (decision.flush == TLB_FLUSH_NONE && facts->tag == TLB_TAG_ROOT)
		decision.flush = TLB_INVEPT_ALL;
	return decision;
}

static void test_a_flush_too_many_is_counted(void **state)
{
	struct world_counts needed, always;

	(void)state;
	world_run(tlb_decide, SEED, STEPS / 4, &needed);
	world_run(flush_always, SEED, STEPS / 4, &always);
	assert_int_equal(always.missed, 0);
	assert_true(always.unneeded > needed.unneeded);
}

/* ---- flush_tlb() by itself -------------------------------------------------- */

struct call {
	u32 invvpid, invept;
	u32 type;
	u16 vpid;
	hypr_gva_t address;
	hypr_hpa_t root;
	int ret;
};

static int take_invvpid(void *context, u32 type, u16 vpid, hypr_gva_t address)
{
	struct call *call = context;

	call->invvpid++;
	call->type = type;
	call->vpid = vpid;
	call->address = address;
	return call->ret;
}

static int take_invept(void *context, u32 type, hypr_hpa_t root)
{
	struct call *call = context;

	call->invept++;
	call->type = type;
	call->root = root;
	return call->ret;
}

static const struct tlb_ops both = { take_invvpid, take_invept };

static void test_flush_tlb_executes_the_instruction(void **state)
{
	static const struct { enum tlb_flush flush; bool invept; u32 type; } cases[] = {
		{ TLB_INVVPID_ADDRESS, false, 0 },
		{ TLB_INVVPID_CONTEXT, false, 1 },
		{ TLB_INVVPID_ALL, false, 2 },
		{ TLB_INVVPID_NON_GLOBAL, false, 3 },
		{ TLB_INVEPT_ROOT, true, 1 },
		{ TLB_INVEPT_ALL, true, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tlb_decision decision = {
			.flush = cases[i].flush,
			.vpid = 7,
			.address = hypr_gva(0x5000),
			.root = hypr_hpa(0x9000),
		};
		struct call call = { 0 };

		assert_int_equal(flush_tlb(&both, &call, &decision), 0);
		assert_int_equal(call.invept, cases[i].invept);
		assert_int_equal(call.invvpid, !cases[i].invept);
		assert_int_equal(call.type, cases[i].type);
		if (cases[i].invept) {
			assert_int_equal(call.root.addr, 0x9000);
		} else {
			assert_int_equal(call.vpid, 7);
			assert_int_equal(call.address.addr, 0x5000);
		}
		/* VMfail is reported. */
		call.ret = -EIO;
		assert_int_equal(flush_tlb(&both, &call, &decision), -EIO);
	}
}

static void test_flush_tlb_refuses_what_is_not_there(void **state)
{
	static const struct tlb_ops none;
	struct tlb_decision decision = { .flush = TLB_FLUSH_NONE };
	struct call call = { 0 };

	(void)state;
	assert_int_equal(flush_tlb(&none, &call, &decision), 0);
	decision.flush = TLB_INVVPID_CONTEXT;
	assert_int_equal(flush_tlb(&none, &call, &decision), -EOPNOTSUPP);
	decision.flush = TLB_INVEPT_ROOT;
	assert_int_equal(flush_tlb(&none, &call, &decision), -EOPNOTSUPP);
	decision.flush = TLB_FLUSH_IMPOSSIBLE;
	assert_int_equal(flush_tlb(&both, &call, &decision), -EOPNOTSUPP);
	assert_int_equal(call.invvpid + call.invept, 0);
}

/* ---- KVM's side: each row of docs/spec/tlb.md ------------------------------- */

#define ALL_CAN	(TLB_CAN_INVEPT | TLB_CAN_INVEPT_ROOT | TLB_CAN_INVEPT_ALL | TLB_CAN_INVVPID | \
		 TLB_CAN_INVVPID_ADDRESS | TLB_CAN_INVVPID_CONTEXT | TLB_CAN_INVVPID_ALL | \
		 TLB_CAN_INVVPID_NON_GLOBAL)
#define KVM_CAN	(TLB_CAN_INVEPT | TLB_CAN_INVEPT_ROOT | TLB_CAN_INVEPT_ALL)

static void test_the_rows_of_a_swap(void **state)
{
	static const struct {
		const char *row;
		struct tlb_facts facts;
		enum tlb_flush flush;
		enum tlb_reason why;
		bool widened;
	} rows[] = {
		{ "a view whose root is among the previous ones",
		  { .vpid = 1, .other_root = true, .can = ALL_CAN },
		  TLB_FLUSH_NONE, TLB_WHY_TAGGED, false },
		{ "any other root",
		  { .vpid = 1, .other_root = true, .reused_root = true, .can = ALL_CAN },
		  TLB_INVEPT_ROOT, TLB_WHY_REUSED_ROOT, false },
		{ "a vCPU from another CPU",
		  { .vpid = 1, .moved = true, .can = ALL_CAN },
		  TLB_INVEPT_ALL, TLB_WHY_MOVED, false },
		{ "an SPTE of any view",
		  { .vpid = 1, .edit = TLB_EDIT_ALL, .can = ALL_CAN },
		  TLB_INVEPT_ALL, TLB_WHY_EDIT, false },
		{ "MARK_EDITED",
		  { .vpid = 1, .edit = TLB_EDIT_CONTEXT, .other_root = true, .can = ALL_CAN },
		  TLB_INVVPID_CONTEXT, TLB_WHY_EDIT, false },
		{ "MARK_EDITED without INVVPID",
		  { .vpid = 1, .edit = TLB_EDIT_CONTEXT, .other_root = true, .can = KVM_CAN },
		  TLB_INVEPT_ALL, TLB_WHY_EDIT, true },
		{ "MARK_EDITED without VPIDs",
		  { .edit = TLB_EDIT_CONTEXT, .other_root = true, .can = KVM_CAN },
		  TLB_FLUSH_NONE, TLB_WHY_NO_VPID, false },
		{ "the mode of a vCPU's APIC, the next view",
		  { .vpid = 1, .edit = TLB_EDIT_ROOT, .other_root = true, .can = ALL_CAN },
		  TLB_INVEPT_ROOT, TLB_WHY_EDIT, false },
		{ "the same, flushed since",
		  { .vpid = 1, .edit = TLB_EDIT_ROOT, .flushed = true, .can = ALL_CAN },
		  TLB_FLUSH_NONE, TLB_WHY_FLUSHED, false },
		{ "a pending flush of the root that the vCPU leaves for a new one",
		  { .vpid = 1, .edit = TLB_EDIT_ROOT, .other_root = true, .reused_root = true,
		    .root = { 0x1000 }, .edited_root = { 0x2000 }, .can = ALL_CAN },
		  TLB_INVEPT_ALL, TLB_WHY_EDIT, false },
		{ "Hyper-V",
		  { .vpid = 1, .other_root = true, .last_root_only = true, .can = ALL_CAN },
		  TLB_INVEPT_ROOT, TLB_WHY_LAST_ROOT_ONLY, false },
		{ "NPT",
		  { .tag = TLB_TAG_ASID, .vpid = 1, .other_root = true, .can = ALL_CAN },
		  TLB_INVVPID_CONTEXT, TLB_WHY_ASID, false },
		{ "NPT, the same view",
		  { .tag = TLB_TAG_ASID, .vpid = 1, .can = ALL_CAN },
		  TLB_FLUSH_NONE, TLB_WHY_UNCHANGED, false },
		{ "shadow paging without VPIDs",
		  { .tag = TLB_TAG_ASID, .other_root = true, .can = ALL_CAN },
		  TLB_FLUSH_NONE, TLB_WHY_NO_VPID, false },
		{ "an address that INVVPID may refuse",
		  { .vpid = 1, .edit = TLB_EDIT_ADDRESS, .address = { 1ull << 50 },
		    .can = ALL_CAN },
		  TLB_INVVPID_CONTEXT, TLB_WHY_EDIT, false },
		{ "an address of a kernel",
		  { .vpid = 1, .edit = TLB_EDIT_ADDRESS, .address = { ~0xfffull },
		    .can = ALL_CAN },
		  TLB_INVVPID_ADDRESS, TLB_WHY_EDIT, false },
		{ "no flush at all",
		  { .vpid = 1, .edit = TLB_EDIT_ROOT, .can = TLB_CAN_INVEPT },
		  TLB_FLUSH_IMPOSSIBLE, TLB_WHY_EDIT, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct tlb_decision decision = tlb_decide(&rows[i].facts);

		if (decision.flush != rows[i].flush || decision.why != rows[i].why ||
		    decision.widened != rows[i].widened)
			fail_msg("%s: %s, because %s", rows[i].row,
				 tlb_flush_text(decision.flush), tlb_reason_text(decision.why));
	}
}

static void test_every_flush_and_reason_has_a_text(void **state)
{
	(void)state;
	for (u32 n = 0; n <= TLB_FLUSH_IMPOSSIBLE; n++)
		assert_string_not_equal(tlb_flush_text((enum tlb_flush)n), "unknown");
	for (u32 n = 0; n <= TLB_WHY_UNCHANGED; n++)
		assert_string_not_equal(tlb_reason_text((enum tlb_reason)n), "unknown");
	assert_string_equal(tlb_flush_text((enum tlb_flush)99), "unknown");
	assert_string_equal(tlb_reason_text((enum tlb_reason)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_translation_is_stale_and_no_flush_missed),
		cmocka_unit_test(test_a_flush_left_out_is_found),
		cmocka_unit_test(test_a_flush_too_many_is_counted),
		cmocka_unit_test(test_flush_tlb_executes_the_instruction),
		cmocka_unit_test(test_flush_tlb_refuses_what_is_not_there),
		cmocka_unit_test(test_the_rows_of_a_swap),
		cmocka_unit_test(test_every_flush_and_reason_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
