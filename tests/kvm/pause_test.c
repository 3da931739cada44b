// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cooperative pause: KVM_EPT_SWAP_ALL with PAUSE and RESUME, guests that
 * answer, that answer late, and that never do.
 */
#include "harness.h"

#include <errno.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)
#define PAUSE	KVM_EPT_SWAP_PAUSE
#define RESUME	KVM_EPT_SWAP_RESUME
#define FORCE	KVM_EPT_SWAP_FORCE

static const unsigned int views[] = { A, B, 0 };

static uint32_t state_of(struct vm *vm, int vcpu)
{
	return __atomic_load_n(&vm->control->vcpu[vcpu].state, __ATOMIC_SEQ_CST);
}

static struct vm *running_vm(int nr_vcpus)
{
	struct vm *vm;
	int i;

	need_cpus(nr_vcpus);
	vm = vm_new();
	vm_views_add(vm, 2);
	vm_control_page_register(vm);
	vcpus_start(vm, nr_vcpus);
	for (i = 0; i < nr_vcpus; i++)
		vcpu_do(&vm->vcpu[i], GUEST_ONLINE, 0, 0, 0);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	return vm;
}

static void swap_many(int nr_vcpus)
{
	struct vm *vm = running_vm(nr_vcpus);
	uint64_t pause = 0, commit = 0;
	unsigned int i;
	int v;

	for (i = 0; i < 200; i++) {
		unsigned int view = views[i % 3];
		struct kvm_hypr_swap swap;

		swap = vm_swap_all(vm, view, PAUSE | RESUME);
		CHECK_EQ(swap.forced, 0);
		CHECK(swap.pause_cycles > 0);
		check_all_in_view(vm, view);
		for (v = 0; v < nr_vcpus; v++) {
			CHECK_EQ(state_of(vm, v), HYPR_VCPU_RUNNING);
			CHECK_EQ(vm->control->vcpu[v].pauses, i + 1);
			CHECK_EQ(vm->control->vcpu[v].generation,
				 swap.generation);
		}
		pause += swap.pause_cycles;
		commit += swap.commit_cycles;
	}
	note("%d vCPUs: pause %llu, commit %llu cycles on average", nr_vcpus,
	     (unsigned long long)pause / i, (unsigned long long)commit / i);
}

static void test_one_vcpu(void)
{
	swap_many(1);
}

static void test_two_vcpus(void)
{
	swap_many(2);
}

static void test_three_vcpus(void)
{
	swap_many(3);
}

static void test_pause_without_resume(void)
{
	struct vm *vm = running_vm(2);
	uint64_t beats;
	int v;

	CHECK_EQ(vm_swap_all(vm, A, PAUSE).forced, 0);
	for (v = 0; v < 2; v++)
		CHECK_EQ(state_of(vm, v), HYPR_VCPU_PAUSED);
	beats = vm->vcpu[0].guest->beats;
	/* Parked: neither flag is needed to go on swapping. */
	CHECK_EQ(vm_commit(vm, B, 0).forced, 0);
	CHECK_EQ(vm_swap_all(vm, A, 0).forced, 0);
	CHECK_EQ(vm_swap_all(vm, B, PAUSE).forced, 0);
	CHECK_EQ(vm->vcpu[0].guest->beats, beats);
	CHECK_EQ(vm->vcpu[0].guest->log_count, 1);
	CHECK_EQ(vm_swap_all(vm, A, RESUME).forced, 0);
	check_all_in_view(vm, A);
	CHECK_EQ(vm->vcpu[0].guest->log_count, 2);
}

static uint64_t elapsed_ns(struct vm *vm, struct kvm_hypr_swap *swap, int want)
{
	uint64_t start = now_ns();

	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, swap), want);
	return now_ns() - start;
}

/* Masked by the task priority, as a guest with interrupts off would be. */
static void test_never_parks(void)
{
	struct kvm_hypr_swap swap = {
		.view = A, .flags = PAUSE | RESUME, .timeout_ns = 3000000,
	};
	struct vm *vm = running_vm(1);
	uint64_t generation = vm->control->generation, ns;

	vcpu_do(&vm->vcpu[0], GUEST_SET_CR8, 15, 0, 0);
	ns = elapsed_ns(vm, &swap, -EAGAIN);
	CHECK(ns >= 3000000 && ns < 1000000000);
	CHECK_EQ(state_of(vm, 0), HYPR_VCPU_RUNNING);
	CHECK_EQ(vm->control->generation, generation);
	check_all_in_view(vm, 0);
	/* The interrupt that still comes finds no request. */
	vcpu_do(&vm->vcpu[0], GUEST_SET_CR8, 0, 0, 0);
	WAIT_UNTIL(vm->vcpu[0].guest->pause_irqs == 1);
	check_all_in_view(vm, 0);
	CHECK_EQ(vm->control->vcpu[0].pauses, 0);
	/* And the guest answers again. */
	vm_swap_all(vm, A, PAUSE | RESUME);
	check_all_in_view(vm, A);
}

static void test_ignores_the_vector(void)
{
	struct kvm_hypr_swap swap = {
		.view = A, .flags = PAUSE, .timeout_ns = 2000000,
	};
	struct vm *vm = running_vm(1);

	vm->vcpu[0].guest->ignore_pause = 1;
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap), -EAGAIN);
	CHECK_EQ(state_of(vm, 0), HYPR_VCPU_RUNNING);
	CHECK(vm->vcpu[0].guest->pause_irqs >= 1);
	check_all_in_view(vm, 0);
}

static void test_one_of_three_never_parks(void)
{
	struct kvm_hypr_swap swap = {
		.view = A, .flags = PAUSE | RESUME, .timeout_ns = 3000000,
	};
	struct vm *vm = running_vm(3);
	int v;

	vm->vcpu[1].guest->ignore_pause = 1;
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap), -EAGAIN);
	check_all_in_view(vm, 0);
	for (v = 0; v < 3; v++) {
		CHECK_EQ(state_of(vm, v), HYPR_VCPU_RUNNING);
		CHECK_EQ(vm->vcpu[v].guest->log_count, 1);
	}
}

static void test_force_after_the_deadline(void)
{
	struct kvm_hypr_swap swap = {
		.view = A, .flags = PAUSE | RESUME | FORCE,
		.timeout_ns = 3000000,
	};
	struct vm *vm = running_vm(3);
	int v;

	vm->vcpu[1].guest->ignore_pause = 1;
	OK(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap));
	CHECK_EQ(swap.forced, 1);
	check_all_in_view(vm, A);
	for (v = 0; v < 3; v++)
		CHECK_EQ(state_of(vm, v), HYPR_VCPU_RUNNING);
}

static void test_deadline_without_resume(void)
{
	struct kvm_hypr_swap swap = {
		.view = A, .flags = PAUSE, .timeout_ns = 3000000,
	};
	struct vm *vm = running_vm(2);

	vm->vcpu[0].guest->ignore_pause = 1;
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap), -EAGAIN);
	CHECK_EQ(state_of(vm, 0), HYPR_VCPU_RUNNING);
	CHECK_EQ(state_of(vm, 1), HYPR_VCPU_RUNNING);
	check_all_in_view(vm, 0);
}

/*
 * vCPU 0 was parked by an earlier call, vCPU 1 came up since and does not answer:
 * the call that fails has asked vCPU 1 alone.
 */
static void test_failed_pause_keeps_the_parked(void)
{
	struct kvm_hypr_swap swap = {
		.view = B, .flags = PAUSE, .timeout_ns = 3000000,
	};
	struct vm *vm;
	struct vcpu *second;

	need_cpus(2);
	vm = running_vm(1);
	second = vm_vcpu_add(vm);
	vcpu_mp_state_set(second, KVM_MP_STATE_UNINITIALIZED);
	vm_swap_all(vm, A, PAUSE);
	CHECK_EQ(state_of(vm, 0), HYPR_VCPU_PAUSED);

	vcpu_mp_state_set(second, KVM_MP_STATE_RUNNABLE);
	second->guest->ignore_pause = 1;
	vcpu_start(second);
	vcpu_do(second, GUEST_ONLINE, 0, 0, 0);
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap), -EAGAIN);
	CHECK_EQ(state_of(vm, 0), HYPR_VCPU_PAUSED);
	CHECK_EQ(state_of(vm, 1), HYPR_VCPU_RUNNING);

	/* RESUME releases all, after an error too. */
	swap.flags = PAUSE | RESUME;
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap), -EAGAIN);
	CHECK_EQ(state_of(vm, 0), HYPR_VCPU_RUNNING);
	check_all_in_view(vm, A);
}

/* A refused swap that paused the guest releases it. */
static void test_refused_before_the_pause(void)
{
	struct vm *vm = running_vm(1);

	OK(try_discard(vm, A));
	CHECK_RET(try_swap_all(vm, A, PAUSE | RESUME), -ENODATA);
	CHECK_RET(try_swap_all(vm, B + 1, PAUSE | RESUME), -ENOENT);
	CHECK_EQ(vm->vcpu[0].guest->pause_irqs, 0);
	check_all_in_view(vm, 0);
}

static void test_resume_alone(void)
{
	struct vm *vm = running_vm(1);

	vm_swap_all(vm, A, PAUSE);
	CHECK_EQ(state_of(vm, 0), HYPR_VCPU_PAUSED);
	vm_swap_all(vm, A, RESUME);
	check_all_in_view(vm, A);
}

static void test_force_skips_the_wait(void)
{
	struct vm *vm = running_vm(2);

	CHECK_EQ(vm_swap_all(vm, A, FORCE).forced, 2);
	CHECK_EQ(vm->vcpu[0].guest->pause_irqs, 0);
	check_all_in_view(vm, A);
}

/* A CPU that the guest has offline is not waited for. */
static void test_offline_vcpu(void)
{
	struct vm *vm = running_vm(1);
	struct vcpu *second = vm_vcpu_add(vm);

	vcpu_mp_state_set(second, KVM_MP_STATE_UNINITIALIZED);
	CHECK_EQ(vm_swap_all(vm, A, PAUSE | RESUME).forced, 0);
	CHECK_EQ(state_of(vm, 1), HYPR_VCPU_OFFLINE);
	check_all_in_view(vm, A);
}

static void test_halted_vcpu_parks(void)
{
	struct vm *vm = running_vm(2);
	unsigned int i;

	for (i = 0; i < 30; i++) {
		vcpu_halt(&vm->vcpu[1]);
		CHECK_EQ(vm_swap_all(vm, views[i % 3], PAUSE | RESUME).forced, 0);
		vcpu_wake(&vm->vcpu[1]);
		check_all_in_view(vm, views[i % 3]);
	}
}

/* A guest that writes what it likes into its states. */
static void test_garbage_states(void)
{
	struct kvm_hypr_swap swap = {
		.view = A, .flags = PAUSE | RESUME, .timeout_ns = 2000000,
	};
	struct vm *vm = running_vm(1);
	unsigned int i;

	for (i = 0; i < 20; i++) {
		uint32_t garbage = 4 + (uint32_t)tap_random() % 0xfffffff0;

		__atomic_store_n(&vm->control->vcpu[0].state, garbage,
				 __ATOMIC_SEQ_CST);
		CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap), -EAGAIN);
		CHECK_EQ(state_of(vm, 0), garbage);
		check_all_in_view(vm, 0);
	}
	__atomic_store_n(&vm->control->vcpu[0].state, HYPR_VCPU_RUNNING,
			 __ATOMIC_SEQ_CST);
	vm_swap_all(vm, A, PAUSE | RESUME);
	check_all_in_view(vm, A);
}

static const struct test tests[] = {
	{ "200 cooperative swaps, 1 vCPU", test_one_vcpu },
	{ "200 cooperative swaps, 2 vCPUs", test_two_vcpus },
	{ "200 cooperative swaps, 3 vCPUs", test_three_vcpus },
	{ "PAUSE without RESUME leaves the vCPUs parked",
	  test_pause_without_resume },
	{ "EAGAIN: a guest that masks the vector, the request is withdrawn",
	  test_never_parks },
	{ "EAGAIN: a guest that ignores the vector", test_ignores_the_vector },
	{ "EAGAIN: one of three does not park, all stay",
	  test_one_of_three_never_parks },
	{ "EAGAIN without RESUME releases the vCPUs too",
	  test_deadline_without_resume },
	{ "EAGAIN: a failed pause keeps what an earlier one has parked",
	  test_failed_pause_keeps_the_parked },
	{ "FORCE takes along who did not park, and counts it",
	  test_force_after_the_deadline },
	{ "a swap that cannot be does not pause the guest",
	  test_refused_before_the_pause },
	{ "RESUME alone releases parked vCPUs", test_resume_alone },
	{ "FORCE without PAUSE sends no interrupt", test_force_skips_the_wait },
	{ "a vCPU that was never started is not waited for",
	  test_offline_vcpu },
	{ "a halted vCPU parks", test_halted_vcpu_parks },
	{ "EAGAIN: garbage in the control page, which stays as it is",
	  test_garbage_states },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
