/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tiny guest does on every device that runs it, whatever interrupt controllers
 * its VM has.  Who includes this defines one_vcpu(): a running vCPU of a VM of its own.
 */
#ifndef TESTS_GUEST_BASICS_H
#define TESTS_GUEST_BASICS_H

#include "harness.h"

static struct vcpu *one_vcpu(void);

static void test_runs(void)
{
	CHECK_EQ(vcpu_view(one_vcpu()), KVM_HYPR_VIEW_BOOT);
}

static void test_reads_and_writes(void)
{
	struct vcpu *vcpu = one_vcpu();

	*ram_word(vcpu->vm, 0, GUEST_FREE_GPA) = 0x1234;
	CHECK_EQ(vcpu_read(vcpu, GUEST_FREE_GPA), 0x1234);
	vcpu_write(vcpu, GUEST_FREE_GPA, 0x5678);
	CHECK_EQ(*ram_word(vcpu->vm, 0, GUEST_FREE_GPA), 0x5678);
}

static void test_fills_and_verifies(void)
{
	struct vcpu *vcpu = one_vcpu();
	uint64_t seed = tap_random(), gpa = guest_pattern_at(0x35000);

	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
	CHECK_EQ(*ram_word(vcpu->vm, 0, gpa), guest_pattern(gpa, seed));
	vcpu_verify(vcpu, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
	*ram_word(vcpu->vm, 0, gpa) ^= 1;
	vcpu_do(vcpu, GUEST_VERIFY, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
	CHECK_EQ(vcpu->guest->result[0], 1);
	CHECK_EQ(vcpu->guest->result[1], 0x35000);
}

static void test_stops_and_goes_on(void)
{
	struct vcpu *vcpu = one_vcpu();

	vcpu_stop(vcpu);
	*ram_word(vcpu->vm, 0, GUEST_ID_GPA) = 7;
	*ram_word(vcpu->vm, 0, GUEST_ID2_GPA) = 7;
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 7);
}

#endif
