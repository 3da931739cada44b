// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny guest and the harness themselves, on any KVM: what the other tests
 * lean on must hold without views.
 */
#include "basics.h"
#include "harness.h"

static struct vcpu *one_vcpu(void)
{
	struct vm *vm;

	need_cpus(1);
	vm = vm_new_plain();
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	vcpus_start(vm, 1);
	return &vm->vcpu[0];
}

static void test_halts_and_wakes(void)
{
	struct vcpu *vcpu = one_vcpu();
	uint64_t beats;

	vcpu_halt(vcpu);
	beats = vcpu->guest->beats;
	vcpu_wake(vcpu);
	WAIT_UNTIL(vcpu->guest->beats > beats);
	CHECK_EQ(vcpu->guest->wakes, 1);
}

static void test_exits_to_user_space(void)
{
	struct vcpu *vcpu = one_vcpu();

	vcpu_ask(vcpu, GUEST_OUT, 0x10, 0, 0);
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 0);
}

/* The control-page protocol, driven from here as the kernel drives it. */
static void request_pause(struct vcpu *vcpu)
{
	struct kvm_msi msi = {
		.address_lo = 0xfee00000 | vcpu->index << 12,
		.data = HYPR_CONTROL_VECTOR,
	};
	uint32_t running = HYPR_VCPU_RUNNING;

	CHECK(__atomic_compare_exchange_n(&vcpu->vm->control->vcpu[vcpu->index].state,
					  &running, HYPR_VCPU_PAUSE_REQUESTED,
					  0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	CHECK_RET(try_ioctl(vcpu->vm->fd, KVM_SIGNAL_MSI, &msi), 1);
}

static void test_parks_and_resumes(void)
{
	struct vcpu *vcpu = one_vcpu();
	struct hypr_control_vcpu *control = &vcpu->vm->control->vcpu[0];
	uint64_t beats;
	int i;

	vcpu_do(vcpu, GUEST_ONLINE, 0, 0, 0);
	for (i = 1; i <= 10; i++) {
		request_pause(vcpu);
		WAIT_UNTIL(__atomic_load_n(&control->state, __ATOMIC_SEQ_CST) ==
			   HYPR_VCPU_PAUSED);
		beats = vcpu->guest->beats;
		vcpu->vm->control->generation = i;
		CHECK_EQ(vcpu->guest->beats, beats);
		__atomic_store_n(&control->state, HYPR_VCPU_RUNNING,
				 __ATOMIC_SEQ_CST);
		WAIT_UNTIL(__atomic_load_n(&control->generation,
					   __ATOMIC_SEQ_CST) == (uint64_t)i);
		vcpu_view(vcpu);
		CHECK_EQ(control->pauses, i);
	}
}

static void test_does_not_park_when_masked(void)
{
	struct vcpu *vcpu = one_vcpu();
	struct hypr_control_vcpu *control = &vcpu->vm->control->vcpu[0];

	vcpu_do(vcpu, GUEST_ONLINE, 0, 0, 0);
	vcpu_do(vcpu, GUEST_SET_CR8, 15, 0, 0);
	request_pause(vcpu);
	vcpu_view(vcpu);
	vcpu_view(vcpu);
	CHECK_EQ(vcpu->guest->pause_irqs, 0);
	/* Not vcpu_do(): the guest parks before it can say that it is done. */
	vcpu_ask(vcpu, GUEST_SET_CR8, 0, 0, 0);
	WAIT_UNTIL(__atomic_load_n(&control->state, __ATOMIC_SEQ_CST) ==
		   HYPR_VCPU_PAUSED);
	__atomic_store_n(&control->state, HYPR_VCPU_RUNNING, __ATOMIC_SEQ_CST);
	vcpu_wait_done(vcpu);
	CHECK_EQ(vcpu->guest->pause_irqs, 1);
}

static void test_three_vcpus(void)
{
	struct vm *vm;
	int i;

	need_cpus(3);
	vm = vm_new_plain();
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	vcpus_start(vm, 3);
	for (i = 0; i < 3; i++)
		vcpu_do(&vm->vcpu[i], GUEST_ONLINE, 0, 0, 0);
	for (i = 0; i < 3; i++)
		request_pause(&vm->vcpu[i]);
	for (i = 0; i < 3; i++) {
		WAIT_UNTIL(__atomic_load_n(&vm->control->vcpu[i].state,
					   __ATOMIC_SEQ_CST) == HYPR_VCPU_PAUSED);
		__atomic_store_n(&vm->control->vcpu[i].state, HYPR_VCPU_RUNNING,
				 __ATOMIC_SEQ_CST);
	}
	check_all_in_view(vm, 0);
}

static const struct test tests[] = {
	{ "the guest runs and tells its view", test_runs },
	{ "the guest reads and writes its memory", test_reads_and_writes },
	{ "the guest fills pages and finds a changed one", test_fills_and_verifies },
	{ "the guest halts and is woken", test_halts_and_wakes },
	{ "the guest exits to user space and goes on", test_exits_to_user_space },
	{ "a stopped vCPU goes on where it was", test_stops_and_goes_on },
	{ "the guest parks and resumes by the control page", test_parks_and_resumes },
	{ "a masked guest does not park before it is unmasked",
	  test_does_not_park_when_masked },
	{ "three vCPUs run and park", test_three_vcpus },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
