// SPDX-License-Identifier: GPL-2.0-only
/* Whatever one thing a CPU lacks, or its firmware forbids: the refusal names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tlb.h"
#include "vmcs_field.h"
#include "vmx_need.h"

static struct vmx_capabilities all(void)
{
	const struct vmx_controls any = { .must = 0, .may = ~0u };

	return (struct vmx_capabilities) {
		.pin = any, .cpu = any, .cpu2 = any, .exit = any, .entry = any, .ept_vpid = ~0ull,
	};
}

/* One control taken away, or one demanded. */
static const struct lack {
	size_t offset;
	unsigned long long bit;
	enum vmx_need what;
	const char *name;
} lacks[] = {
#define MAY(word, bit)	offsetof(struct vmx_capabilities, word.may), bit
#define MUST(word, bit)	offsetof(struct vmx_capabilities, word.must), bit
#define CAP(bit)	offsetof(struct vmx_capabilities, ept_vpid), bit
	{ MAY(cpu, CPU_SECONDARY), VMX_FOR_ALL, "secondary" },
	{ MAY(cpu, CPU_HLT), VMX_FOR_ALL, "exits at HLT" },
	{ MAY(cpu, CPU_UNCONDITIONAL_IO), VMX_FOR_ALL, "exits at I/O" },
	{ MAY(cpu, CPU_MOV_DR), VMX_FOR_ALL, "exits at MOV DR" },
	{ MAY(cpu, CPU_MSR_BITMAPS), VMX_FOR_ALL, "MSR bitmaps" },
	{ MAY(cpu, CPU_TSC_OFFSETTING), VMX_FOR_ALL, "TSC offsetting" },
	{ MUST(cpu, CPU_CR3_LOAD), VMX_FOR_ALL, "no exits at CR3 writes" },
	{ MUST(cpu, CPU_CR3_STORE), VMX_FOR_ALL, "no exits at CR3 reads" },
	{ MUST(cpu, CPU_INVLPG), VMX_FOR_ALL, "no exits at INVLPG" },
	{ MAY(cpu2, CPU2_VPID), VMX_FOR_ALL, "VPID" },
	{ CAP(TLB_CAN_INVVPID_CONTEXT), VMX_FOR_ALL, "INVVPID of one" },
	{ MAY(pin, PIN_EXTERNAL_INTERRUPT), VMX_FOR_ALL, "exits at interrupts" },
	{ MAY(pin, PIN_NMI), VMX_FOR_ALL, "exits at NMIs" },
	{ MAY(pin, PIN_VIRTUAL_NMI), VMX_FOR_ALL, "virtual NMIs" },
	{ MAY(cpu, CPU_NMI_WINDOW), VMX_FOR_ALL, "no longer blocked" },
	{ MAY(exit, EXIT_HOST_64), VMX_FOR_ALL, "64-bit host" },
	{ MAY(exit, EXIT_SAVE_EFER), VMX_FOR_ALL, "saving EFER" },
	{ MAY(exit, EXIT_LOAD_EFER), VMX_FOR_ALL, "EFER at exits" },
	{ MAY(exit, EXIT_SAVE_PAT), VMX_FOR_ALL, "saving PAT" },
	{ MAY(exit, EXIT_LOAD_PAT), VMX_FOR_ALL, "PAT at exits" },
	{ MAY(entry, ENTRY_LOAD_EFER), VMX_FOR_ALL, "EFER at entries" },
	{ MAY(entry, ENTRY_LOAD_PAT), VMX_FOR_ALL, "PAT at entries" },
	{ MAY(entry, ENTRY_GUEST_64), VMX_FOR_ALL, "64-bit guests" },
	{ MAY(cpu2, CPU2_EPT), VMX_FOR_EPT, "EPT" },
	{ MAY(cpu2, CPU2_UNRESTRICTED), VMX_FOR_EPT, "unrestricted" },
	{ CAP(EPT_CAP_WALK_4), VMX_FOR_EPT, "4 levels" },
	{ CAP(EPT_CAP_WRITE_BACK), VMX_FOR_EPT, "write-back" },
	{ CAP(TLB_CAN_INVEPT_ROOT), VMX_FOR_EPT, "INVEPT of one root" },
	{ CAP(TLB_CAN_INVEPT_ALL), VMX_FOR_EPT, "INVEPT of all roots" },
	{ CAP(TLB_CAN_INVVPID_ALL), VMX_FOR_SHADOW, "INVVPID of all" },
	{ MAY(cpu, CPU_INVLPG), VMX_FOR_SHADOW, "exits at INVLPG" },
};

static struct vmx_capabilities without(const struct lack *lack)
{
	struct vmx_capabilities can = all();

	if (lack->offset == offsetof(struct vmx_capabilities, ept_vpid))
		can.ept_vpid &= ~lack->bit;
	else
		*(u32 *)((char *)&can + lack->offset) ^= (u32)lack->bit;
	return can;
}

static void test_whole_cpu_lacks_nothing(void **ctx)
{
	const struct vmx_capabilities can = all();

	(void)ctx;
	assert_null(vmx_missing(&can, VMX_FOR_ALL));
	assert_null(vmx_missing(&can, VMX_FOR_EPT));
	assert_null(vmx_missing(&can, VMX_FOR_SHADOW));
}

static void test_each_lack_is_named_where_it_matters(void **ctx)
{
	enum vmx_need what;
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++) {
		const struct vmx_capabilities can = without(&lacks[i]);

		for (what = VMX_FOR_ALL; what <= VMX_FOR_SHADOW; what++) {
			const char *missing = vmx_missing(&can, what);

			if (what != lacks[i].what)
				assert_null(missing);
			else if (!missing || !strstr(missing, lacks[i].name))
				fail_msg("'%s', not '%s'", missing, lacks[i].name);
		}
	}
}

static void test_firmware_allows_and_locks(void **ctx)
{
	(void)ctx;
	assert_false(vmx_is_allowed(0));
	assert_false(vmx_is_allowed(1));	/* locked off */
	assert_false(vmx_is_allowed(4));	/* VMXON is a #GP without the lock */
	assert_false(vmx_is_allowed(3));	/* within SMX alone */
	assert_true(vmx_is_allowed(5));
	assert_true(vmx_is_allowed(~0ull));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_cpu_lacks_nothing),
		cmocka_unit_test(test_each_lack_is_named_where_it_matters),
		cmocka_unit_test(test_firmware_allows_and_locks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
