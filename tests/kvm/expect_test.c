// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_EPT_SWAP_EXPECT: a swap that happens only if the VM is where the caller
 * believes it to be.
 */
#include "harness.h"

#include <errno.h>
#include <string.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)

static struct kvm_hypr_swap swap_from(unsigned int from, unsigned int to)
{
	return (struct kvm_hypr_swap) {
		.view = to,
		.flags = KVM_EPT_SWAP_EXPECT | KVM_EPT_SWAP_FORCE,
		.expected_view = from,
		.timeout_ns = SWAP_WAIT_NS,
	};
}

/* COMMIT and SWAP_ALL take the flag alike. */
static void check_expected(struct vm *vm, unsigned long request)
{
	struct kvm_hypr_swap swap = swap_from(0, A);

	OK(try_ioctl(vm->fd, request, &swap));
	CHECK_EQ(swap.old_view, 0);
	check_all_in_view(vm, A);

	swap = swap_from(0, B);
	CHECK_RET(try_ioctl(vm->fd, request, &swap), -ESTALE);
	CHECK_EQ(swap.old_view, A);
	CHECK_EQ(swap.generation, 1);
	CHECK_EQ(swap.commit_cycles, 0);
	check_all_in_view(vm, A);

	/* Numbers that are no view are never where the VM is. */
	swap = swap_from(KVM_HYPR_VIEW_SMM, B);
	CHECK_RET(try_ioctl(vm->fd, request, &swap), -ESTALE);
	swap = swap_from(~0u, B);
	CHECK_RET(try_ioctl(vm->fd, request, &swap), -ESTALE);
	CHECK_EQ(swap.old_view, A);

	swap = swap_from(A, B);
	OK(try_ioctl(vm->fd, request, &swap));
	CHECK_EQ(swap.generation, 2);
	check_all_in_view(vm, B);
}

static void test_commit(void)
{
	struct vm *vm = vm_new_prepared(2);

	vcpus_start(vm, 2);
	check_expected(vm, KVM_COMMIT_EPT_SWAP);
}

static void test_swap_all(void)
{
	struct vm *vm = vm_new_prepared(2);

	vcpus_start(vm, 2);
	check_expected(vm, KVM_EPT_SWAP_ALL);
}

static void test_without_flag(void)
{
	struct kvm_hypr_swap swap = { .view = A, .expected_view = B };
	struct vm *vm = vm_new_prepared(1);

	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap), -EINVAL);
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap), -EINVAL);
	swap.expected_view = 0;
	OK(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap));
}

/* Neither a pause is asked for nor is a parked vCPU released. */
static void test_nothing_is_touched(void)
{
	struct kvm_hypr_swap swap = swap_from(B, A);
	struct vm *vm = vm_new_prepared(1);

	vm_control_page_register(vm);
	vcpus_start(vm, 1);
	vcpu_do(&vm->vcpu[0], GUEST_ONLINE, 0, 0, 0);
	swap.flags |= KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME;
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap), -ESTALE);
	CHECK_EQ(swap.pause_cycles, 0);
	check_all_in_view(vm, 0);
	CHECK_EQ(vm->vcpu[0].guest->pause_irqs, 0);
	CHECK_EQ(vm->control->generation, 0);

	swap = swap_from(0, A);
	swap.flags = KVM_EPT_SWAP_EXPECT | KVM_EPT_SWAP_PAUSE;
	OK(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap));
	swap = swap_from(0, A);
	swap.flags = KVM_EPT_SWAP_EXPECT | KVM_EPT_SWAP_RESUME;
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap), -ESTALE);
	CHECK_EQ(vm->control->vcpu[0].state, HYPR_VCPU_PAUSED);
	swap.expected_view = A;
	OK(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap));
	check_all_in_view(vm, A);
}

static void test_before_target(void)
{
	struct kvm_hypr_swap swap = swap_from(B, B + 1);
	struct vm *vm = vm_new_prepared(1);

	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap), -ESTALE);
	swap = swap_from(0, B + 1);
	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap), -ENOENT);
}

/* The VM is in the expected view, one of its vCPUs is not. */
static void test_one_vcpu_elsewhere(void)
{
	struct kvm_hypr_swap swap;
	struct vm *vm = vm_new_prepared(2);

	swap = swap_from(0, A);
	swap.flags |= KVM_EPT_SWAP_VCPUS;
	swap.vcpu_mask = 2;
	OK(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap));
	swap.expected_view = 0;
	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap), -ESTALE);
	CHECK_EQ(swap.old_view, A);

	swap = swap_from(0, B);
	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap), -ESTALE);
	CHECK_EQ(swap.old_view, A);

	/* Of the mask's vCPUs, each; of the others, none. */
	swap.flags |= KVM_EPT_SWAP_VCPUS;
	swap.vcpu_mask = 3;
	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap), -ESTALE);
	swap.vcpu_mask = 1;
	OK(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap));
	CHECK_EQ(swap.generation, 2);
}

struct chain {
	struct vm *vm;
	int cpu;
	unsigned int done;
	unsigned int stale;
};

static const unsigned int views[] = { 0, A, B };

/* Each thread moves the VM on by one view, from where it believes it to be. */
static void *chain_thread(void *arg)
{
	struct chain *chain = arg;
	unsigned int at = 0;

	pin_to_cpu(chain->cpu);
	while (chain->done < 200) {
		unsigned int next = (at + 1) % 3;
		struct kvm_hypr_swap swap = swap_from(views[at], views[next]);
		int ret = try_ioctl(chain->vm->fd, KVM_COMMIT_EPT_SWAP, &swap);

		if (ret == -ESTALE) {
			CHECK(swap.old_view != views[at]);
			chain->stale++;
			at = swap.old_view ? swap.old_view - A + 1 : 0;
			continue;
		}
		OK(ret);
		CHECK_EQ(swap.old_view, views[at]);
		chain->done++;
		at = next;
	}
	return NULL;
}

/* No step is done twice: what the vCPU saw is the one chain of all. */
static void test_two_askers(void)
{
	struct vm *vm = vm_new_prepared(1);
	struct chain chain[2] = { { vm, 2, 0, 0 }, { vm, 3, 0, 0 } };
	pthread_t threads[2];
	struct guest_cpu *guest;
	unsigned int i;

	need_cpus(3);
	vcpus_start(vm, 1);
	for (i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, chain_thread,
				      &chain[i]));
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	check_all_in_view(vm, views[400 % 3]);
	guest = vm->vcpu[0].guest;
	note("%u + %u stale attempts", chain[0].stale, chain[1].stale);
	CHECK(guest->log_count <= 401);
	vcpus_stop(vm);
	CHECK_EQ(vm_generation(vm), 400);
}

static const struct test tests[] = {
	{ "KVM_COMMIT_EPT_SWAP: ESTALE unless the VM is in the expected view",
	  test_commit },
	{ "KVM_EPT_SWAP_ALL: the same", test_swap_all },
	{ "EINVAL: an expected view without the flag", test_without_flag },
	{ "ESTALE pauses nobody and releases nobody", test_nothing_is_touched },
	{ "ESTALE comes before ENOENT", test_before_target },
	{ "ESTALE: one vCPU is in another view", test_one_vcpu_elsewhere },
	{ "two threads move a VM from view to view, no step is done twice",
	  test_two_askers },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
