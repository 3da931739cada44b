// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_EPT_SWAP_STATE: what is under way in a vCPU goes with its view, and so does HLT.
 * With a class left out of vmx/ept_events.c, a check of it fails.
 */
#include "harness.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#define A	KVM_HYPR_VIEW_FIRST

#define FORCED_STATE	(KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_STATE)

/* No MSR is state here. */
static int try_keep(struct vcpu *vcpu, unsigned int view)
{
	static const struct kvm_msrs none;
	struct kvm_hypr_keep keep = { .view = view, .msrs = (uintptr_t)&none };

	return try_ioctl(vcpu->fd, KVM_HYPR_KEEP_STATE, &keep);
}

/* One vCPU in the boot view, with room for its state there and a state in A. */
static struct vm *vm_with_room(void)
{
	struct vm *vm = vm_new_stopped(1);
	struct vcpu *vcpu = &vm->vcpu[0];

	OK(try_keep(vcpu, A));
	OK(try_keep(vcpu, 0));
	vcpu_start(vcpu);
	return vm;
}

/* Each class of it has a value.  None of it wakes a vCPU that is halted. */
static void set_events(struct kvm_vcpu_events *events)
{
	events->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	events->exception.injected = 1;
	events->exception.nr = 13;
	events->exception.has_error_code = 1;
	events->exception.error_code = 0x58;
	events->interrupt.injected = 1;
	events->interrupt.nr = 0x83;
	events->interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	events->nmi.injected = 1;
	events->nmi.pending = 1;
	events->nmi.masked = 1;
}

static void check_events(const struct kvm_vcpu_events *is)
{
	struct kvm_vcpu_events events = *is;

	set_events(&events);
	CHECK_EQ(is->exception.injected, events.exception.injected);
	CHECK_EQ(is->exception.nr, events.exception.nr);
	CHECK_EQ(is->exception.has_error_code, events.exception.has_error_code);
	CHECK_EQ(is->exception.error_code, events.exception.error_code);
	CHECK_EQ(is->interrupt.injected, events.interrupt.injected);
	CHECK_EQ(is->interrupt.nr, events.interrupt.nr);
	/* AMD does not tell one kind from the other. */
	CHECK(is->interrupt.shadow & events.interrupt.shadow);
	CHECK_EQ(is->nmi.injected, events.nmi.injected);
	CHECK_EQ(is->nmi.pending, events.nmi.pending);
	CHECK_EQ(is->nmi.masked, events.nmi.masked);
}

static uint32_t mp_state_get(struct vcpu *vcpu)
{
	struct kvm_mp_state mp_state;

	OK(try_ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp_state));
	return mp_state.mp_state;
}

/* The vCPU stands still in A, halted, so that nothing is delivered between two looks. */
static void test_events(void)
{
	struct vm *vm = vm_with_room();
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_vcpu_events events, none;
	struct kvm_mp_state mp_state = { 0 };
	struct kvm_hypr_state state = {
		.view = A,
		.events = (uintptr_t)&events,
		.mp_state = (uintptr_t)&mp_state,
	};
	unsigned int i;

	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &none));
	events = none;
	set_events(&events);
	OK(try_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
	/* The NMI is queued, and reading them makes it wait. */
	OK(try_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	vcpu_mp_state_set(vcpu, KVM_MP_STATE_HALTED);
	OK(try_keep(vcpu, A));
	OK(try_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &none));
	vcpu_mp_state_set(vcpu, KVM_MP_STATE_RUNNABLE);
	vcpu_start(vcpu);

	for (i = 0; i < 3; i++) {
		memset(&events, 0, sizeof(events));
		OK(try_ioctl(vm->fd, KVM_HYPR_GET_STATE, &state));
		check_events(&events);
		CHECK_EQ(mp_state.mp_state, KVM_MP_STATE_HALTED);

		OK(try_swap_all(vm, A, FORCED_STATE));
		/* First without a stop in between. */
		if (i) {
			vcpu_stop(vcpu);
			OK(try_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
			check_events(&events);
			CHECK_EQ(mp_state_get(vcpu), KVM_MP_STATE_HALTED);
			vcpu->guest->halt = 1;
			vcpu_start(vcpu);
			vcpu->guest->halt = 0;
		}
		OK(try_swap_all(vm, 0, FORCED_STATE));
		CHECK_EQ(vcpu_view(vcpu), 0);
	}
	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	CHECK_EQ(events.exception.injected, 0);
	CHECK_EQ(events.interrupt.injected, 0);
	CHECK_EQ(events.nmi.injected, 0);
	CHECK_EQ(events.nmi.pending, 0);
	CHECK_EQ(events.nmi.masked, 0);
	CHECK_EQ(mp_state_get(vcpu), KVM_MP_STATE_RUNNABLE);
}

/* An interrupt that was being delivered is delivered in its view, once. */
static void test_injected(void)
{
	struct vm *vm = vm_with_room();
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_vcpu_events events, none;
	uint64_t wakes = vcpu->guest->wakes;

	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &none));
	events = none;
	events.interrupt.injected = 1;
	events.interrupt.nr = GUEST_WAKE_VECTOR;
	OK(try_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
	OK(try_keep(vcpu, A));
	OK(try_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &none));
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 0);
	CHECK_EQ(vcpu->guest->wakes, wakes);
	OK(try_swap_all(vm, A, FORCED_STATE));
	CHECK_EQ(vcpu_view(vcpu), A);
	CHECK_EQ(vcpu->guest->wakes, wakes + 1);
	OK(try_swap_all(vm, 0, FORCED_STATE));
	OK(try_swap_all(vm, A, FORCED_STATE));
	CHECK_EQ(vcpu_view(vcpu), A);
	CHECK_EQ(vcpu->guest->wakes, wakes + 1);
}

/* It sleeps in one view, runs in the other, and sleeps on. */
static void test_halted(void)
{
	struct vm *vm = vm_with_room();
	struct vcpu *vcpu = &vm->vcpu[0];
	unsigned int i;

	vcpu_halt(vcpu);
	/* The command is at its end where the vCPU is awake. */
	vcpu->guest->halt = 0;
	for (i = 0; i < 3; i++) {
		OK(try_swap_all(vm, A, FORCED_STATE));
		CHECK_EQ(vcpu_view(vcpu), A);
		OK(try_swap_all(vm, 0, FORCED_STATE));
	}
	vcpu_stop(vcpu);
	CHECK_EQ(mp_state_get(vcpu), KVM_MP_STATE_HALTED);
	vcpu->guest->halt = 1;
	vcpu_start(vcpu);
	vcpu_wake(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 0);
}

/* One of two is halted: both move. */
static void test_one_of_two_halted(void)
{
	struct vm *vm = vm_new_stopped(2);
	int i;

	for (i = 0; i < 2; i++) {
		OK(try_keep(&vm->vcpu[i], 0));
		OK(try_keep(&vm->vcpu[i], A));
	}
	vcpu_start(&vm->vcpu[0]);
	vcpu_start(&vm->vcpu[1]);
	vcpu_halt(&vm->vcpu[1]);
	vm->vcpu[1].guest->halt = 0;
	OK(try_swap_all(vm, A, FORCED_STATE));
	check_all_in_view(vm, A);
	OK(try_swap_all(vm, 0, FORCED_STATE));
	vcpu_wake(&vm->vcpu[1]);
	check_all_in_view(vm, 0);
}

/* An NMI that has come, and that KVM has not looked at. */
static void test_nmi_comes(void)
{
	struct vm *vm = vm_with_room();
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_vcpu_events events;

	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING;
	events.nmi.pending = 1;
	OK(try_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
	CHECK_RET(try_keep(vcpu, A), -EBUSY);
	OK(try_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	OK(try_keep(vcpu, A));
}

/* Vector 0xF0 is there before the guest's next instruction in the new view. */
static void test_notify(void)
{
	struct vm *vm = vm_with_room();
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t irqs = vcpu->guest->pause_irqs;

	OK(try_swap_all(vm, A, FORCED_STATE));
	CHECK_EQ(vcpu_view(vcpu), A);
	CHECK_EQ(vcpu->guest->pause_irqs, irqs);
	OK(try_swap_all(vm, 0, FORCED_STATE | KVM_EPT_SWAP_NOTIFY));
	CHECK_EQ(vcpu_view(vcpu), 0);
	CHECK_EQ(vcpu->guest->pause_irqs, irqs + 1);
	CHECK_RET(try_swap_all(vm, A, KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_NOTIFY), -EINVAL);
	CHECK_EQ(vcpu_view(vcpu), 0);
}

static const struct test tests[] = {
	{ "each event under way goes with its view", test_events },
	{ "an interrupt that is being delivered arrives in its view, once", test_injected },
	{ "a halted vCPU runs in the other view, and sleeps on", test_halted },
	{ "one of two is halted: both move", test_one_of_two_halted },
	{ "EBUSY: an NMI that has just come", test_nmi_comes },
	{ "a vCPU is notified in the new view", test_notify },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
