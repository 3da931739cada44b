// SPDX-License-Identifier: GPL-2.0-only
/*
 * Swaps of running vCPUs: all or none.  After the ioctl returned, everything
 * that any vCPU reads comes from the new view, and each vCPU has seen each view
 * once, in order.
 */
#include "harness.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define A		KVM_HYPR_VIEW_FIRST
#define B		(KVM_HYPR_VIEW_FIRST + 1)
#define SWAPS		1000

static const unsigned int views[] = { A, B, 0 };

static struct vm *running_vm(int nr_vcpus)
{
	struct vm *vm;

	need_cpus(nr_vcpus);
	vm = vm_new();
	vm_views_add(vm, 2);
	vcpus_start(vm, nr_vcpus);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	check_all_in_view(vm, 0);
	return vm;
}

static void check_logs(struct vm *vm, unsigned int swaps)
{
	unsigned int i;
	int v;

	for (v = 0; v < vm->nr_vcpus; v++) {
		struct guest_cpu *guest = vm->vcpu[v].guest;

		CHECK_EQ(guest->log_count, swaps + 1);
		CHECK_EQ(guest->log[0], 0);
		for (i = 0; i < swaps; i++)
			if (guest->log[i + 1] != views[i % 3])
				FAIL("vCPU %d: entry %u is view %u", v, i + 1,
				     guest->log[i + 1]);
	}
}

static void swap_many(int nr_vcpus, bool commit)
{
	struct vm *vm = running_vm(nr_vcpus);
	uint64_t sum = 0, max = 0;
	unsigned int i, outside = 0;

	for (i = 0; i < SWAPS; i++) {
		unsigned int view = views[i % 3];
		struct kvm_hypr_swap swap;

		swap = commit ? vm_commit(vm, view, KVM_EPT_SWAP_FORCE) :
				vm_swap_all(vm, view, KVM_EPT_SWAP_FORCE);
		check_all_in_view(vm, view);
		CHECK(swap.forced <= (uint32_t)nr_vcpus);
		outside += nr_vcpus - swap.forced;
		sum += swap.commit_cycles;
		if (swap.commit_cycles > max)
			max = swap.commit_cycles;
	}
	/* hyprv lets a thread out to user space where the kernel's tick has work for it. */
	CHECK(outside <= (on_hyprv() ? SWAPS / 100 : 0));
	check_logs(vm, SWAPS);
	note("%d vCPUs, %u swaps: commit %llu cycles on average, at most %llu",
	     nr_vcpus, SWAPS, (unsigned long long)sum / SWAPS,
	     (unsigned long long)max);
}

static void test_one_vcpu(void)
{
	swap_many(1, true);
}

static void test_two_vcpus(void)
{
	swap_many(2, true);
}

static void test_three_vcpus(void)
{
	swap_many(3, true);
}

static void test_three_vcpus_swap_all(void)
{
	swap_many(3, false);
}

/*
 * Nothing is waited for in between: a swap starts while vCPUs are still about
 * to leave the barrier of the one before.
 */
static void test_without_pause(void)
{
	struct vm *vm = running_vm(3);
	unsigned int i, view = 0;

	for (i = 0; i < 5 * SWAPS; i++) {
		int ret;

		view = views[tap_random() % 3];
		ret = try_commit(vm, view, KVM_EPT_SWAP_FORCE);
		if (ret)
			FAIL("swap %u gives %d", i, ret);
	}
	check_all_in_view(vm, view);
}

/* One runs, one is halted, one outside KVM_RUN, in all combinations. */
static void test_mixed(void)
{
	struct vm *vm = running_vm(3);
	unsigned int i;
	int v;

	for (i = 0; i < 60; i++) {
		unsigned int view = views[i % 3];
		struct vcpu *halted = &vm->vcpu[i % 2];
		struct vcpu *outside = &vm->vcpu[(i + 1) % 2];

		vcpu_halt(halted);
		vcpu_ask(outside, GUEST_OUT, 0x10, 0, 0);
		vcpu_wait_outside(outside);
		vcpu_finish_io(outside);
		CHECK_EQ(vm_commit(vm, view, KVM_EPT_SWAP_FORCE).forced, 2);
		CHECK_EQ(vcpu_view(&vm->vcpu[2]), view);
		vcpu_resume(outside);
		vcpu_wait_done(outside);
		vcpu_wake(halted);
		check_all_in_view(vm, view);
	}
	for (v = 0; v < 3; v++)
		CHECK_EQ(vm->vcpu[v].guest->log_count, 61);
}

/* vCPUs come and go between KVM_RUN and user space while views are swapped. */
static void test_while_exiting(void)
{
	struct vm *vm = running_vm(2);
	struct vcpu *vcpu = &vm->vcpu[0];
	unsigned int i;

	for (i = 0; i < 500; i++) {
		unsigned int view = views[i % 3];

		/* It comes back by itself: the swap may be waiting for that. */
		atomic_store(&vcpu->resume, true);
		vcpu_ask(vcpu, GUEST_OUT, 0x10, 0, 0);
		vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
		vcpu_wait_done(vcpu);
		check_all_in_view(vm, view);
	}
}

/* Start and stop of the threads around a swap. */
static void test_while_starting(void)
{
	struct vm *vm = running_vm(2);
	unsigned int i;

	for (i = 0; i < 100; i++) {
		unsigned int view = views[i % 3];

		vcpu_stop(&vm->vcpu[i % 2]);
		vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
		vcpu_start(&vm->vcpu[i % 2]);
		check_all_in_view(vm, view);
	}
}

struct swapper {
	struct vm *vm;
	atomic_bool stop;
	unsigned int swaps;
};

static void *swap_thread(void *arg)
{
	struct swapper *swapper = arg;

	pin_to_cpu(3);
	while (!atomic_load(&swapper->stop)) {
		OK(try_commit(swapper->vm, views[swapper->swaps % 3],
			      KVM_EPT_SWAP_FORCE));
		swapper->swaps++;
	}
	return NULL;
}

static bool both_have_moved(struct vm *vm)
{
	int v, moved = 0;

	for (v = 0; v < 2; v++)
		moved += *(volatile uint64_t *)&vm->vcpu[v].guest->log_count > 2;
	return moved == 2;
}

/*
 * Two askers: each swap is whole, in whatever order.  With shadow paging a vCPU needs many
 * of them to see a few: it is in no view for long, and faults in each.
 */
static void test_two_askers(void)
{
	struct vm *vm = running_vm(2);
	struct swapper swapper = { .vm = vm };
	pthread_t thread;
	unsigned int i;

	need_cpus(3);
	CHECK(!pthread_create(&thread, NULL, swap_thread, &swapper));
	for (i = 0; i < 300 || !both_have_moved(vm); i++)
		vm_commit(vm, views[i % 3], KVM_EPT_SWAP_FORCE);
	WAIT_UNTIL(*(volatile unsigned int *)&swapper.swaps >= 300);
	atomic_store(&swapper.stop, true);
	pthread_join(thread, NULL);
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	check_all_in_view(vm, B);
}

/* The memory under the guest changes while it is swapped. */
static void test_notifier_storm(void)
{
	struct vm *vm = running_vm(3);
	unsigned int i;

	for (i = 0; i < 300; i++) {
		unsigned int view = views[i % 3];
		unsigned int edited = views[(i + 1) % 3];

		*ram_word(vm, edited, GUEST_FREE_GPA) = i;
		CHECK(!madvise(vm->ram[view] + 0x20000, 0x10000, MADV_DONTNEED));
		vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
		CHECK_EQ(vcpu_read(&vm->vcpu[0], 0x20000), 0);
		vcpu_write(&vm->vcpu[1], 0x20000, 1);
		CHECK_EQ(vcpu_read(&vm->vcpu[2], 0x20000), 1);
		check_all_in_view(vm, view);
	}
}

static const struct test tests[] = {
	{ "1,000 swaps of 1 running vCPU", test_one_vcpu },
	{ "1,000 swaps of 2 running vCPUs", test_two_vcpus },
	{ "1,000 swaps of 3 running vCPUs", test_three_vcpus },
	{ "1,000 swaps of 3 running vCPUs by SWAP_ALL",
	  test_three_vcpus_swap_all },
	{ "5,000 swaps of 3 vCPUs one upon the other", test_without_pause },
	{ "a running, a halted and an absent vCPU", test_mixed },
	{ "swaps while a vCPU goes to user space and back",
	  test_while_exiting },
	{ "swaps around the start and stop of a vCPU's thread",
	  test_while_starting },
	{ "two threads swap at the same time", test_two_askers },
	{ "swaps while the host takes pages away", test_notifier_storm },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
