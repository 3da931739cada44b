// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ABI header, <linux/kvm_hypr.h>: C and C++ lay it out alike, no struct has
 * a hole, and the numbers are those that were given out.  A change here breaks
 * programs that were built before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "abi_layout.h"

static const struct abi_entry abi_in_c[] = { ABI_ENTRIES };

#define NR_ENTRIES (sizeof(abi_in_c) / sizeof(abi_in_c[0]))

static void test_c_and_cxx_agree(void **state)
{
	size_t i;

	(void)state;
	assert_int_equal(abi_in_cxx_nr, NR_ENTRIES);
	for (i = 0; i < NR_ENTRIES; i++) {
		assert_string_equal(abi_in_c[i].name, abi_in_cxx[i].name);
		if (abi_in_c[i].value != abi_in_cxx[i].value)
			fail_msg("%s: %lu in C, %lu in C++", abi_in_c[i].name,
				 abi_in_c[i].value, abi_in_cxx[i].value);
	}
}

/* Number, direction and size, as a program without this header has them. */
static void test_ioctl_numbers(void **state)
{
	(void)state;
	assert_int_equal(KVM_GET_EPTP, 0x8040aef0);
	assert_int_equal(KVM_SET_EPTP, 0xc040aef1);
	assert_int_equal(KVM_PREPARE_EPT_SWAP, 0xc040aef2);
	assert_int_equal(KVM_COMMIT_EPT_SWAP, 0xc040aef3);
	assert_int_equal(KVM_EPT_SWAP_ALL, 0xc040aef4);
	assert_int_equal(KVM_HYPR_DISCARD_VIEW, 0x4020aef5);
	assert_int_equal(KVM_HYPR_SET_CONTROL_PAGE, 0x4040aef6);
	assert_int_equal(KVM_HYPR_SET_CACHE, 0xc080aef7);
	assert_int_equal(KVM_HYPR_PIN_VIEW, 0x4020aef8);
	assert_int_equal(KVM_HYPR_GET_STATS, 0x8520aefa);
	assert_int_equal(KVM_HYPR_MARK_EDITED, 0x4020aef9);
}

static void test_flags(void **state)
{
	(void)state;
	assert_int_equal(KVM_EPT_SWAP_PAUSE, 1);
	assert_int_equal(KVM_EPT_SWAP_RESUME, 2);
	assert_int_equal(KVM_EPT_SWAP_FORCE, 4);
	assert_int_equal(KVM_EPT_SWAP_FLUSH, 8);
	assert_int_equal(KVM_EPT_SWAP_EXPECT, 0x10);
	assert_int_equal(KVM_EPT_SWAP_VCPUS, 0x20);
	assert_int_equal(KVM_HYPR_PREPARE_RANGE, 1);
	assert_int_equal(KVM_HYPR_EPTP_NPT, 1);
}

static void test_control_page_constants(void **state)
{
	uint64_t value = HYPR_CONTROL_MAGIC;

	(void)state;
	assert_int_equal(HYPR_CONTROL_GPA, 0xffe000);
	assert_int_equal(HYPR_CONTROL_GPA, 16 * 1024 * 1024 - 8 * 1024);
	/* "HYPRVMM!", read as a number: on x86 its bytes stand reversed. */
	assert_memory_equal(&value, "!MMVRPYH", 8);
	assert_int_equal(HYPR_CONTROL_VECTOR, 0xf0);
	assert_int_equal(HYPR_CONTROL_MAX_VCPUS, 64);
	assert_int_equal(KVM_CAP_HYPR_EPT_SWAP, 0x48595052);	/* "HYPR" */
}

/* 64 entries fit the page, whole, behind the header. */
static void test_control_page_layout(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct hypr_control_page), 4096);
	assert_int_equal(offsetof(struct hypr_control_page, vcpu[63]),
			 64 + 63 * 32);
	assert_int_equal(offsetof(struct hypr_control_page, reserved1),
			 64 + 64 * 32);
}

/* Fields follow one another: the sum of their sizes is the size. */
static void test_no_holes(void **state)
{
	struct kvm_hypr_eptp eptp;
	struct kvm_hypr_prepare prepare;
	struct kvm_hypr_swap swap;
	struct kvm_hypr_discard discard;
	struct kvm_hypr_control control;
	struct kvm_hypr_dist dist;
	struct kvm_hypr_stats stats;
	struct kvm_hypr_cache cache;
	struct kvm_hypr_pin pin;
	struct kvm_hypr_mark_edited mark;

	(void)state;
	assert_int_equal(sizeof(mark), sizeof(mark.view) + sizeof(mark.flags) +
			 sizeof(mark.reserved));
	assert_int_equal(sizeof(eptp), sizeof(eptp.eptp) +
			 sizeof(eptp.generation) + sizeof(eptp.view) +
			 sizeof(eptp.flags) + sizeof(eptp.reserved));
	assert_int_equal(sizeof(prepare), sizeof(prepare.view) +
			 sizeof(prepare.flags) + sizeof(prepare.pages_mapped) +
			 sizeof(prepare.pages_skipped) + sizeof(prepare.cycles) +
			 sizeof(prepare.gpa) + sizeof(prepare.size) +
			 sizeof(prepare.next_gpa) + sizeof(prepare.reserved));
	assert_int_equal(sizeof(swap), sizeof(swap.view) + sizeof(swap.flags) +
			 sizeof(swap.timeout_ns) + sizeof(swap.old_view) +
			 sizeof(swap.forced) + sizeof(swap.generation) +
			 sizeof(swap.pause_cycles) + sizeof(swap.commit_cycles) +
			 sizeof(swap.vcpu_mask) + sizeof(swap.expected_view) +
			 sizeof(swap.reserved));
	assert_int_equal(sizeof(discard), sizeof(discard.view) +
			 sizeof(discard.flags) + sizeof(discard.reserved));
	assert_int_equal(sizeof(control), sizeof(control.gpa) +
			 sizeof(control.userspace_addr) + sizeof(control.flags) +
			 sizeof(control.reserved0) + sizeof(control.reserved));
	assert_int_equal(sizeof(dist), sizeof(dist.count) + sizeof(dist.sum) +
			 sizeof(dist.min) + sizeof(dist.max) + sizeof(dist.hist));
	assert_int_equal(sizeof(stats), offsetof(struct kvm_hypr_stats, reserved) +
			 sizeof(stats.reserved) + 3 * sizeof(dist));
	assert_int_equal(sizeof(cache), sizeof(cache.flags) +
			 sizeof(cache.prepared) + sizeof(cache.evicted) +
			 sizeof(cache.pinned) + sizeof(cache.max_tables) +
			 sizeof(cache.max_pages) + sizeof(cache.tables) +
			 sizeof(cache.pages) + sizeof(cache.evictions) +
			 sizeof(cache.rebuilds) + sizeof(cache.reserved));
	assert_int_equal(sizeof(pin), sizeof(pin.view) + sizeof(pin.flags) +
			 sizeof(pin.reserved));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_c_and_cxx_agree),
		cmocka_unit_test(test_ioctl_numbers),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_control_page_constants),
		cmocka_unit_test(test_control_page_layout),
		cmocka_unit_test(test_no_holes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
