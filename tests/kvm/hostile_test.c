// SPDX-License-Identifier: GPL-2.0-only
/*
 * A hostile guest: it writes over the control page, at random and without end,
 * while its VM is swapped in every way.  The host must come to no harm, each
 * swap must end in time with 0 or a documented errno and be whole, and a guest
 * that behaves again must be swapped like any other.
 */
#include "harness.h"

#include <errno.h>
#include <string.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)
#define SWAPS	300

static const unsigned int views[] = { A, B, 0 };

/* Releases who is parked, as often as the last scribbler parks it again. */
static bool all_done(struct vm *vm)
{
	bool done = true;
	int i;

	memset(vm->control, 0, sizeof(*vm->control));
	for (i = 0; i < vm->nr_vcpus; i++) {
		struct guest_cpu *guest = vm->vcpu[i].guest;

		if (__atomic_load_n(&guest->done_seq, __ATOMIC_SEQ_CST) !=
		    guest->cmd_seq)
			done = false;
	}
	return done;
}

static void make_guest_behave(struct vm *vm)
{
	int i;

	WAIT_UNTIL(all_done(vm));
	memset(vm->control, 0, sizeof(*vm->control));
	vm->control->magic = HYPR_CONTROL_MAGIC;
	vm->control->version = HYPR_CONTROL_VERSION;
	vm->control->nr_vcpus = GUEST_MAX_VCPUS;
	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_do(&vm->vcpu[i], GUEST_ONLINE, 0, 0, 0);
}

static struct vm *running_vm(int nr_vcpus)
{
	struct vm *vm;

	need_cpus(nr_vcpus);
	vm = vm_new();
	vm_views_add(vm, 2);
	vm_control_page_register(vm);
	vcpus_start(vm, nr_vcpus);
	make_guest_behave(vm);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	return vm;
}

static void scribble_start(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->guest->halt, 1, __ATOMIC_SEQ_CST);
	vcpu_ask(vcpu, GUEST_SCRIBBLE, tap_random(), 0, 0);
}

static void scribble_stop(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->guest->halt, 0, __ATOMIC_SEQ_CST);
}

static struct kvm_hypr_swap any_swap(void)
{
	static const uint32_t flags[] = {
		KVM_EPT_SWAP_FORCE,
		KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME,
		KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME | KVM_EPT_SWAP_FORCE,
		KVM_EPT_SWAP_PAUSE,
		KVM_EPT_SWAP_RESUME,
		KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_FORCE,
	};

	return (struct kvm_hypr_swap) {
		.view = views[tap_random() % 3],
		.flags = flags[tap_random() % (sizeof(flags) / sizeof(flags[0]))],
		.timeout_ns = 300000,
	};
}

/* @hostile: a bit for each vCPU that scribbles; the others do as they should. */
static void swap_against(int nr_vcpus, unsigned int hostile)
{
	struct vm *vm = running_vm(nr_vcpus);
	unsigned int i, active = 0, done = 0, late = 0, busy = 0;
	int v;

	for (v = 0; v < nr_vcpus; v++)
		if (hostile & 1u << v)
			scribble_start(&vm->vcpu[v]);
	for (i = 0; i < SWAPS; i++) {
		struct kvm_hypr_swap swap = any_swap();
		uint64_t start = now_ns();
		int ret = try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap);

		if (ret && ret != -EAGAIN && ret != -EBUSY)
			FAIL("swap %u with flags %#x gives %d", i, swap.flags, ret);
		/* The deadline counts for pause and commit each. */
		CHECK(now_ns() - start < SWAP_WAIT_NS);
		CHECK_EQ(swap.old_view, active);
		if (!ret)
			active = swap.view;
		done += !ret;
		late += ret == -EAGAIN;
		busy += ret == -EBUSY;
	}
	for (v = 0; v < nr_vcpus; v++)
		scribble_stop(&vm->vcpu[v]);
	make_guest_behave(vm);
	check_all_in_view(vm, active);
	for (i = 0; i < 9; i++) {
		vm_swap_all(vm, views[i % 3], KVM_EPT_SWAP_PAUSE |
			    KVM_EPT_SWAP_RESUME);
		check_all_in_view(vm, views[i % 3]);
		vm_commit(vm, views[(i + 1) % 3], KVM_EPT_SWAP_FORCE);
		check_all_in_view(vm, views[(i + 1) % 3]);
	}
	note("%u swaps done, %u too late, %u refused", done, late, busy);
	CHECK(done);
}

static void test_from_inside(void)
{
	swap_against(1, 1);
}

static void test_from_the_other(void)
{
	swap_against(2, 2);
}

static void test_all(void)
{
	swap_against(3, 7);
}

static const struct test tests[] = {
	{ "a vCPU that writes over its own state", test_from_inside },
	{ "a vCPU that writes over the state of another", test_from_the_other },
	{ "3 vCPUs that write over all of the control page", test_all },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
