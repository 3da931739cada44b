// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM-entry checker: a VMCS of a 64-bit guest passes, and each rule, broken alone, is
 * reported with the name of its field.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "vmcs_check.h"

#define ALL_32		0xffffffffu
#define RIGHTS_CODE	0xa09bu
#define RIGHTS_DATA	0xc093u
#define RIGHTS_TSS	0x008bu

static const struct vmx_capabilities can = {
	.maxphyaddr = 39,
	.linear_bits = 48,
	.pin = { 0x16, 0x7f },
	.cpu = { 0x4006172, 0xfff9fffe },
	.cpu2 = { 0, 0x18ff },
	.exit = { 0x36dfb, 0x7fffff },
	.entry = { 0x11fb, 0xffff },
	.misc = BIT_ULL(6) | BIT_ULL(7) | BIT_ULL(8),
	.ept_vpid = EPT_CAP_WALK_4 | EPT_CAP_WRITE_BACK,
	.cr0_fixed0 = 0x80000021,
	.cr0_fixed1 = ALL_32,
	.cr4_fixed0 = 0x2000,
	.cr4_fixed1 = 0x1727ff,
};

struct setting {
	enum vmcs_field field;
	u64 value;
};

#define PIN		0x1f
#define CPU		(0x4006172 | CPU_SECONDARY | CPU_MSR_BITMAPS)
#define CPU2		(CPU2_EPT | CPU2_VPID | CPU2_UNRESTRICTED)
#define EXIT		(0x36dfb | EXIT_HOST_64 | EXIT_LOAD_PAT | EXIT_LOAD_EFER)
#define ENTRY		(0x11fb | ENTRY_GUEST_64 | ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)

/* What is not named is 0. */
static const struct setting good[] = {
	{ VMCS_PIN_CONTROLS, PIN },
	{ VMCS_CPU_CONTROLS, CPU },
	{ VMCS_CPU_CONTROLS2, CPU2 },
	{ VMCS_EXIT_CONTROLS, EXIT },
	{ VMCS_ENTRY_CONTROLS, ENTRY },
	{ VMCS_VPID, 1 },
	{ VMCS_MSR_BITMAP, 0x5000 },
	{ VMCS_EPT_POINTER, 0x601e },
	{ VMCS_EXIT_MSR_STORE_ADDR, 0x7000 }, { VMCS_EXIT_MSR_STORE_COUNT, 6 },
	{ VMCS_EXIT_MSR_LOAD_ADDR, 0x7100 }, { VMCS_EXIT_MSR_LOAD_COUNT, 6 },
	{ VMCS_ENTRY_MSR_LOAD_ADDR, 0x7000 }, { VMCS_ENTRY_MSR_LOAD_COUNT, 6 },
	{ VMCS_VMCS_LINK_POINTER, ~0ull },
	{ VMCS_HOST_CR0, 0x80050033 }, { VMCS_HOST_CR3, 0x9000 }, { VMCS_HOST_CR4, 0x20a0 },
	{ VMCS_HOST_CS_SELECTOR, 0x10 }, { VMCS_HOST_SS_SELECTOR, 0x18 },
	{ VMCS_HOST_TR_SELECTOR, 0x40 },
	{ VMCS_HOST_RIP, 0xffffffff81000000ull }, { VMCS_HOST_RSP, 0xffffffff82000000ull },
	{ VMCS_HOST_GS_BASE, 0xffff888000000000ull },
	{ VMCS_HOST_PAT, 0x0407050600070106ull }, { VMCS_HOST_EFER, 0xd01 },
	{ VMCS_GUEST_CR0, 0x80010033 }, { VMCS_GUEST_CR3, 0x1000 }, { VMCS_GUEST_CR4, 0x2020 },
	{ VMCS_GUEST_EFER, 0x500 }, { VMCS_GUEST_PAT, 0x0007040600070406ull },
	{ VMCS_GUEST_DR7, 0x400 },
	{ VMCS_GUEST_CS_SELECTOR, 8 }, { VMCS_GUEST_CS_LIMIT, ALL_32 },
	{ VMCS_GUEST_CS_RIGHTS, RIGHTS_CODE },
	{ VMCS_GUEST_SS_SELECTOR, 16 }, { VMCS_GUEST_SS_LIMIT, ALL_32 },
	{ VMCS_GUEST_SS_RIGHTS, RIGHTS_DATA },
	{ VMCS_GUEST_DS_SELECTOR, 16 }, { VMCS_GUEST_DS_LIMIT, ALL_32 },
	{ VMCS_GUEST_DS_RIGHTS, RIGHTS_DATA },
	{ VMCS_GUEST_ES_SELECTOR, 16 }, { VMCS_GUEST_ES_LIMIT, ALL_32 },
	{ VMCS_GUEST_ES_RIGHTS, RIGHTS_DATA },
	{ VMCS_GUEST_FS_RIGHTS, RIGHTS_UNUSABLE }, { VMCS_GUEST_GS_RIGHTS, RIGHTS_UNUSABLE },
	{ VMCS_GUEST_LDTR_LIMIT, 0xffff }, { VMCS_GUEST_LDTR_RIGHTS, 0x82 },
	{ VMCS_GUEST_TR_SELECTOR, 24 }, { VMCS_GUEST_TR_LIMIT, 0x67 },
	{ VMCS_GUEST_TR_RIGHTS, RIGHTS_TSS },
	{ VMCS_GUEST_RIP, 0x8000 }, { VMCS_GUEST_RFLAGS, 0x202 },
};

/* Real mode, as after a reset. */
static const struct setting real[] = {
	{ VMCS_ENTRY_CONTROLS, ENTRY & ~ENTRY_GUEST_64 },
	{ VMCS_GUEST_CR0, 0x20 }, { VMCS_GUEST_CR4, 0x2000 }, { VMCS_GUEST_EFER, 0 },
	{ VMCS_GUEST_CS_RIGHTS, 0x93 }, { VMCS_GUEST_CS_LIMIT, 0xffff },
	{ VMCS_GUEST_SS_RIGHTS, 0x93 }, { VMCS_GUEST_SS_LIMIT, 0xffff },
};

#define CHANGES 4

/* The VMCS, and what a case changes of it. */
struct image {
	const struct setting *change;
	size_t changes;
	bool real;
};

static bool look(const struct setting *settings, size_t count, enum vmcs_field field, u64 *value)
{
	for (size_t i = 0; i < count; i++) {
		if (settings[i].field == field) {
			*value = settings[i].value;
			return true;
		}
	}
	return false;
}

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static u64 read_image(void *context, enum vmcs_field field)
{
	const struct image *image = context;
	u64 value = 0;

	if (look(image->change, image->changes, field, &value) ||
	    (image->real && look(real, COUNT(real), field, &value)))
		return value;
	look(good, COUNT(good), field, &value);
	return value;
}

#define SET(f, v)	{ VMCS_##f, v }
#define EVENT(bits)	SET(ENTRY_EVENT, EVENT_VALID | (bits))
#define RESTRICTED	SET(CPU_CONTROLS2, CPU2_EPT | CPU2_VPID)
#define V86		SET(GUEST_RFLAGS, 0x20202)
#define NARROW		SET(ENTRY_CONTROLS, ENTRY & ~ENTRY_GUEST_64)

static const struct broken {
	struct setting change[CHANGES];
	u32 changes;
	enum vmcs_field field;
	const char *rule;
} broken[] = {
#define CASE(f, r, ...) { { __VA_ARGS__ }, COUNT(((struct setting[]){ __VA_ARGS__ })), VMCS_##f, r },
	CASE(PIN_CONTROLS, "must be 1 is 0", SET(PIN_CONTROLS, PIN & ~2u))
	CASE(PIN_CONTROLS, "must be 0 is 1", SET(PIN_CONTROLS, PIN | 0x80))
	CASE(CPU_CONTROLS, "must be 1 is 0", SET(CPU_CONTROLS, CPU & ~2u))
	CASE(CPU_CONTROLS2, "must be 0 is 1", SET(CPU_CONTROLS2, CPU2 | BIT_ULL(20)))
	CASE(CR3_TARGET_COUNT, "more than 4", SET(CR3_TARGET_COUNT, 5))
	CASE(MSR_BITMAP, "must be a page", SET(MSR_BITMAP, 0x5008))
	CASE(MSR_BITMAP, "must be a page", SET(MSR_BITMAP, BIT_ULL(39)))
	CASE(PIN_CONTROLS, "virtual NMIs need", SET(PIN_CONTROLS, 0x16 | PIN_VIRTUAL_NMI))
	CASE(CPU_CONTROLS, "an NMI window needs", SET(CPU_CONTROLS, CPU | CPU_NMI_WINDOW))
	CASE(VPID, "the VPID is 0", SET(VPID, 0))
	CASE(CPU_CONTROLS2, "needs EPT", SET(CPU_CONTROLS2, CPU2 & ~CPU2_EPT))
	CASE(EPT_POINTER, "memory type", SET(EPT_POINTER, 0x6018))
	CASE(EPT_POINTER, "number of levels", SET(EPT_POINTER, 0x6026))
	CASE(EPT_POINTER, "accessed and dirty", SET(EPT_POINTER, 0x605e))
	CASE(EPT_POINTER, "reserved", SET(EPT_POINTER, 0x609e))
	CASE(EPT_POINTER, "reserved", SET(EPT_POINTER, BIT_ULL(39) | 0x1e))
	CASE(EXIT_CONTROLS, "must be 1 is 0", SET(EXIT_CONTROLS, EXIT & ~1u))
	CASE(EXIT_CONTROLS, "preemption timer", SET(EXIT_CONTROLS, EXIT | BIT_ULL(22)))
	CASE(EXIT_MSR_STORE_ADDR, "16 bytes", SET(EXIT_MSR_STORE_ADDR, 0x7008))
	CASE(EXIT_MSR_LOAD_ADDR, "16 bytes", SET(EXIT_MSR_LOAD_ADDR, BIT_ULL(39)))
	CASE(EXIT_MSR_LOAD_COUNT, "must end below", SET(EXIT_MSR_LOAD_ADDR, 0x7ffffffff0ull))
	CASE(ENTRY_CONTROLS, "must be 1 is 0", SET(ENTRY_CONTROLS, ENTRY & ~1u))
	CASE(ENTRY_CONTROLS, "entry to SMM", SET(ENTRY_CONTROLS, ENTRY | ENTRY_SMM))
	CASE(ENTRY_MSR_LOAD_ADDR, "16 bytes", SET(ENTRY_MSR_LOAD_ADDR, 0x7001))
	CASE(ENTRY_EVENT, "reserved type", EVENT(1 << 8))
	CASE(ENTRY_EVENT, "vector 2", EVENT(EVENT_NMI | 3))
	CASE(ENTRY_EVENT, "up to 31", EVENT(EVENT_EXCEPTION | 32))
	CASE(ENTRY_EVENT, "vector 0", EVENT(EVENT_OTHER | 1))
	CASE(ENTRY_EVENT, "error code", EVENT(EVENT_EXCEPTION | 13))
	CASE(ENTRY_EVENT, "error code", EVENT(EVENT_EXCEPTION | EVENT_HAS_ERROR | 6))
	CASE(ENTRY_EVENT, "reserved bit", EVENT(EVENT_EXTERNAL | 32 | BIT_ULL(13)))
	CASE(ENTRY_EVENT_ERROR, "reserved bit", EVENT(EVENT_EXCEPTION | EVENT_HAS_ERROR | 13),
	     SET(ENTRY_EVENT_ERROR, BIT_ULL(16)))
	CASE(ENTRY_INSTRUCTION_BYTES, "1 to 15", EVENT(EVENT_SOFT_INTERRUPT | 0x80),
	     SET(ENTRY_INSTRUCTION_BYTES, 16))
	CASE(HOST_CR0, "fixes", SET(HOST_CR0, 0x33))
	CASE(HOST_CR4, "fixes", SET(HOST_CR4, 0xa0))
	CASE(HOST_CR3, "MAXPHYADDR", SET(HOST_CR3, BIT_ULL(39)))
	CASE(HOST_SYSENTER_ESP, "canonical", SET(HOST_SYSENTER_ESP, BIT_ULL(47)))
	CASE(HOST_SYSENTER_EIP, "canonical", SET(HOST_SYSENTER_EIP, BIT_ULL(47)))
	CASE(HOST_FS_BASE, "canonical", SET(HOST_FS_BASE, BIT_ULL(47)))
	CASE(HOST_GS_BASE, "canonical", SET(HOST_GS_BASE, BIT_ULL(47)))
	CASE(HOST_GDTR_BASE, "canonical", SET(HOST_GDTR_BASE, BIT_ULL(47)))
	CASE(HOST_IDTR_BASE, "canonical", SET(HOST_IDTR_BASE, BIT_ULL(47)))
	CASE(HOST_TR_BASE, "canonical", SET(HOST_TR_BASE, BIT_ULL(47)))
	CASE(HOST_RIP, "canonical", SET(HOST_RIP, BIT_ULL(47)))
	CASE(HOST_CR4, "PAE", SET(HOST_CR4, 0x2080))
	CASE(HOST_ES_SELECTOR, "RPL", SET(HOST_ES_SELECTOR, 0x2b))
	CASE(HOST_DS_SELECTOR, "RPL", SET(HOST_DS_SELECTOR, 4))
	CASE(HOST_CS_SELECTOR, "null", SET(HOST_CS_SELECTOR, 0))
	CASE(HOST_TR_SELECTOR, "null", SET(HOST_TR_SELECTOR, 0))
	CASE(HOST_PAT, "memory type", SET(HOST_PAT, 2))
	CASE(HOST_EFER, "reserved", SET(HOST_EFER, 0xd03))
	CASE(HOST_EFER, "LME and LMA", SET(HOST_EFER, 0x901))
	CASE(GUEST_CR0, "fixes", SET(GUEST_CR0, 0x80010013))
	CASE(GUEST_CR0, "PG without PE", SET(GUEST_CR0, 0x80010032))
	CASE(GUEST_CR0, "fixes", RESTRICTED, SET(GUEST_CR0, 0x10033), NARROW)
	CASE(GUEST_CR4, "fixes", SET(GUEST_CR4, 0x20))
	CASE(GUEST_CR4, "fixes", SET(GUEST_CR4, 0x2020 | BIT_ULL(22)))
	CASE(GUEST_DEBUGCTL, "reserved", SET(GUEST_DEBUGCTL, 4))
	CASE(GUEST_DR7, "reserved", SET(GUEST_DR7, BIT_ULL(32)))
	CASE(GUEST_CR0, "has paging", SET(GUEST_CR0, 0x33))
	CASE(GUEST_CR4, "has CR4.PAE", SET(GUEST_CR4, 0x2000))
	CASE(GUEST_CR4, "PCIDs need", NARROW, SET(GUEST_CR4, 0x2020 | BIT_ULL(17)))
	CASE(GUEST_CR3, "MAXPHYADDR", SET(GUEST_CR3, BIT_ULL(40)))
	CASE(GUEST_SYSENTER_ESP, "canonical", SET(GUEST_SYSENTER_ESP, BIT_ULL(50)))
	CASE(GUEST_SYSENTER_EIP, "canonical", SET(GUEST_SYSENTER_EIP, BIT_ULL(50)))
	CASE(GUEST_PAT, "memory type", SET(GUEST_PAT, 0x300))
	CASE(GUEST_EFER, "reserved", SET(GUEST_EFER, 0x502))
	CASE(GUEST_EFER, "VM-entry control", SET(GUEST_EFER, 0x100))
	CASE(GUEST_EFER, "LMA and LME", SET(GUEST_EFER, 0x400))
	CASE(GUEST_TR_SELECTOR, "TI", SET(GUEST_TR_SELECTOR, 28))
	CASE(GUEST_LDTR_SELECTOR, "TI", SET(GUEST_LDTR_SELECTOR, 4))
	CASE(GUEST_SS_SELECTOR, "RPL", RESTRICTED, SET(GUEST_SS_SELECTOR, 19))
	CASE(GUEST_CS_BASE, "16 times", V86, NARROW, SET(GUEST_ES_SELECTOR, 0),
	     SET(GUEST_EFER, 0))
	CASE(GUEST_TR_BASE, "canonical", SET(GUEST_TR_BASE, BIT_ULL(47)))
	CASE(GUEST_FS_BASE, "canonical", SET(GUEST_FS_BASE, BIT_ULL(47)))
	CASE(GUEST_GS_BASE, "canonical", SET(GUEST_GS_BASE, BIT_ULL(47)))
	CASE(GUEST_LDTR_BASE, "canonical", SET(GUEST_LDTR_BASE, BIT_ULL(47)))
	CASE(GUEST_CS_BASE, "32 bits", SET(GUEST_CS_BASE, BIT_ULL(32)))
	CASE(GUEST_SS_BASE, "32 bits", SET(GUEST_SS_BASE, BIT_ULL(32)))
	CASE(GUEST_CS_RIGHTS, "no accessed code", SET(GUEST_CS_RIGHTS, 0xa09a))
	CASE(GUEST_CS_RIGHTS, "system segment", SET(GUEST_CS_RIGHTS, 0xa08b))
	CASE(GUEST_CS_RIGHTS, "data has DPL 0", SET(GUEST_CS_RIGHTS, 0xc0f3))
	CASE(GUEST_CS_RIGHTS, "another DPL", SET(GUEST_CS_RIGHTS, 0xa0fb))
	CASE(GUEST_CS_RIGHTS, "conforming", SET(GUEST_CS_RIGHTS, 0xa0ff))
	CASE(GUEST_CS_RIGHTS, "L and D", SET(GUEST_CS_RIGHTS, 0xe09b))
	CASE(GUEST_CS_RIGHTS, "not present", SET(GUEST_CS_RIGHTS, 0xa01b))
	CASE(GUEST_CS_RIGHTS, "reserved", SET(GUEST_CS_RIGHTS, 0xa19b))
	CASE(GUEST_CS_RIGHTS, "with G", SET(GUEST_CS_LIMIT, 0xffff0000))
	CASE(GUEST_CS_RIGHTS, "without G", SET(GUEST_CS_RIGHTS, 0x209b))
	CASE(GUEST_SS_RIGHTS, "differs from RPL", RESTRICTED, SET(GUEST_SS_SELECTOR, 19),
	     SET(GUEST_CS_SELECTOR, 11))
	CASE(GUEST_SS_RIGHTS, "DPL must be 0", SET(GUEST_SS_RIGHTS, 0xc0f3),
	     SET(GUEST_CS_RIGHTS, 0xc093))
	CASE(GUEST_SS_RIGHTS, "no writable", SET(GUEST_SS_RIGHTS, 0xc091))
	CASE(GUEST_SS_RIGHTS, "system", SET(GUEST_SS_RIGHTS, 0xc083))
	CASE(GUEST_DS_RIGHTS, "not accessed", SET(GUEST_DS_RIGHTS, 0xc092))
	CASE(GUEST_ES_RIGHTS, "cannot be read", SET(GUEST_ES_RIGHTS, 0xc099))
	CASE(GUEST_FS_RIGHTS, "system segment", SET(GUEST_FS_RIGHTS, 0x83))
	CASE(GUEST_DS_RIGHTS, "below RPL", RESTRICTED, SET(GUEST_DS_SELECTOR, 19))
	CASE(GUEST_TR_RIGHTS, "unusable", SET(GUEST_TR_RIGHTS, 0x1008b))
	CASE(GUEST_TR_RIGHTS, "no busy TSS", SET(GUEST_TR_RIGHTS, 0x89))
	CASE(GUEST_TR_RIGHTS, "no system", SET(GUEST_TR_RIGHTS, 0x9b))
	CASE(GUEST_LDTR_RIGHTS, "no LDT", SET(GUEST_LDTR_RIGHTS, 0x83))
	CASE(GUEST_LDTR_RIGHTS, "no system", SET(GUEST_LDTR_RIGHTS, 0x92))
	CASE(GUEST_GDTR_BASE, "canonical", SET(GUEST_GDTR_BASE, BIT_ULL(47)))
	CASE(GUEST_IDTR_BASE, "canonical", SET(GUEST_IDTR_BASE, BIT_ULL(47)))
	CASE(GUEST_GDTR_LIMIT, "16 bits", SET(GUEST_GDTR_LIMIT, 0x10000))
	CASE(GUEST_IDTR_LIMIT, "16 bits", SET(GUEST_IDTR_LIMIT, 0x10000))
	CASE(GUEST_RIP, "canonical", SET(GUEST_RIP, BIT_ULL(47)))
	CASE(GUEST_RIP, "32 bits", SET(GUEST_RIP, BIT_ULL(32)), SET(GUEST_CS_RIGHTS, 0xc09b))
	CASE(GUEST_RFLAGS, "reserved", SET(GUEST_RFLAGS, 0x200))
	CASE(GUEST_RFLAGS, "reserved", SET(GUEST_RFLAGS, 0x20a))
	CASE(GUEST_RFLAGS, "needs IF", SET(GUEST_RFLAGS, 2), EVENT(EVENT_EXTERNAL | 32))
	CASE(GUEST_ACTIVITY, "does not exist", SET(GUEST_ACTIVITY, 4))
	CASE(GUEST_ACTIVITY, "STI pending", SET(GUEST_ACTIVITY, 1),
	     SET(GUEST_INTERRUPTIBILITY, 1))
	CASE(GUEST_ACTIVITY, "SS.DPL", SET(GUEST_ACTIVITY, 1), SET(GUEST_SS_RIGHTS, 0xc0f3),
	     SET(GUEST_CS_RIGHTS, 0xa0fb))
	CASE(GUEST_INTERRUPTIBILITY, "reserved", SET(GUEST_INTERRUPTIBILITY, 0x20))
	CASE(GUEST_INTERRUPTIBILITY, "at once", SET(GUEST_INTERRUPTIBILITY, 3))
	CASE(GUEST_INTERRUPTIBILITY, "without IF", SET(GUEST_INTERRUPTIBILITY, 1),
	     SET(GUEST_RFLAGS, 2))
	CASE(GUEST_INTERRUPTIBILITY, "an interrupt", SET(GUEST_INTERRUPTIBILITY, 1),
	     EVENT(EVENT_EXTERNAL | 32))
	CASE(GUEST_INTERRUPTIBILITY, "an NMI", SET(GUEST_INTERRUPTIBILITY, 2),
	     EVENT(EVENT_NMI | 2))
	CASE(GUEST_INTERRUPTIBILITY, "an NMI", SET(GUEST_INTERRUPTIBILITY, BLOCKED_BY_NMI),
	     SET(PIN_CONTROLS, 0x16 | PIN_NMI | PIN_VIRTUAL_NMI), EVENT(EVENT_NMI | 2))
	CASE(GUEST_INTERRUPTIBILITY, "SMI", SET(GUEST_INTERRUPTIBILITY, 4))
	CASE(GUEST_PENDING_DEBUG, "reserved", SET(GUEST_PENDING_DEBUG, 0x10))
	CASE(GUEST_PENDING_DEBUG, "BS", SET(GUEST_INTERRUPTIBILITY, 1),
	     SET(GUEST_RFLAGS, 0x302))
	CASE(VMCS_LINK_POINTER, "linked", SET(VMCS_LINK_POINTER, 0x1000))
	CASE(GUEST_PDPTE2, "reserved", NARROW, SET(GUEST_EFER, 0), SET(GUEST_PDPTE2, 3),
	     SET(GUEST_CS_RIGHTS, 0xc09b))
};

static void test_good_vmcs_passes(void **state)
{
	struct image image = { .real = false };
	struct vmcs_fault fault = vmcs_check(&can, read_image, &image);

	(void)state;
	if (fault.field != VMCS_NO_FIELD)
		fail_msg("%s: %s", fault.name, fault.rule);
}

static void test_real_mode_passes(void **state)
{
	struct image image = { .real = true };
	struct vmcs_fault fault = vmcs_check(&can, read_image, &image);

	(void)state;
	if (fault.field != VMCS_NO_FIELD)
		fail_msg("%s: %s", fault.name, fault.rule);
}

static void test_each_rule_names_its_field(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(broken); i++) {
		const struct broken *b = &broken[i];
		struct image image = { b->change, b->changes, false };
		struct vmcs_fault fault = vmcs_check(&can, read_image, &image);

		if (fault.field != b->field || !strstr(fault.rule, b->rule))
			fail_msg("case %zu, %s by \"%s\": got %s: %s", i,
				 vmcs_field_name(b->field), b->rule, fault.name, fault.rule);
		assert_string_equal(fault.name, vmcs_field_name(b->field));
	}
}

static void test_real_mode_has_rules_of_its_own(void **state)
{
	const struct setting change[] = { SET(GUEST_SS_RIGHTS, 0xf3), SET(GUEST_CS_RIGHTS, 0xfb) };
	struct image image = { change, COUNT(change), true };
	struct vmcs_fault fault = vmcs_check(&can, read_image, &image);

	(void)state;
	assert_string_equal(fault.name, "GUEST_SS_RIGHTS");
	assert_non_null(strstr(fault.rule, "DPL must be 0"));
}

static void test_the_first_fault_counts(void **state)
{
	const struct setting change[] = { SET(GUEST_RIP, BIT_ULL(47)), SET(VPID, 0) };
	struct image image = { change, COUNT(change), false };

	(void)state;
	assert_int_equal(vmcs_check(&can, read_image, &image).field, VMCS_VPID);
}

static void test_unknown_field_has_no_name(void **state)
{
	(void)state;
	assert_string_equal(vmcs_field_name(0x1234), "no field");
	assert_string_equal(vmcs_field_name(VMCS_GUEST_RIP), "GUEST_RIP");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_vmcs_passes),
		cmocka_unit_test(test_real_mode_passes),
		cmocka_unit_test(test_each_rule_names_its_field),
		cmocka_unit_test(test_real_mode_has_rules_of_its_own),
		cmocka_unit_test(test_the_first_fault_counts),
		cmocka_unit_test(test_unknown_field_has_no_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
