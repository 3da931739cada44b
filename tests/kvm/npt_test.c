// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD only: the TLB knows a vCPU by its ASID and not by its root, so each way
 * by which a vCPU takes another view must flush.  The emulator flushes at every
 * VMRUN and would not show the omission: KVM's own count of flushes does.
 */
#include "harness.h"

#include <errno.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)

static struct vm *npt_vm(int nr_vcpus)
{
	struct kvm_hypr_eptp eptp = { 0 };
	struct vm *vm = vm_new();

	need_cpus(nr_vcpus);
	vm_views_add(vm, 2);
	while (vm->nr_vcpus < nr_vcpus)
		vm_vcpu_add(vm);
	OK(try_ioctl(vm->vcpu[0].fd, KVM_GET_EPTP, &eptp));
	if (!(eptp.flags & KVM_HYPR_EPTP_NPT))
		skip("EPT: entries are tagged by root");
	OK(try_prepare(vm, 0));
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	return vm;
}

static uint64_t flushes(struct vcpu *vcpu)
{
	return vcpu_stat(vcpu, "tlb_flush");
}

/* After the first round all roots are cached, and KVM itself flushes for none. */
static void test_forced_swap(void)
{
	struct vm *vm = npt_vm(2);
	uint64_t before[2];
	unsigned int i, v;

	vcpus_start(vm, 2);
	for (i = 0; i < 12; i++) {
		for (v = 0; v < 2; v++)
			before[v] = flushes(&vm->vcpu[v]);
		vm_commit(vm, i % 2 ? A : B, KVM_EPT_SWAP_FORCE);
		check_all_in_view(vm, i % 2 ? A : B);
		for (v = 0; v < 2; v++)
			CHECK(flushes(&vm->vcpu[v]) > before[v]);
	}
}

/* Outside KVM_RUN the view is taken by the next ioctl; the flush must keep. */
static void test_swap_of_a_stopped_vcpu(void)
{
	struct vm *vm = npt_vm(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_hypr_eptp eptp;
	unsigned int i;

	for (i = 0; i < 6; i++) {
		uint64_t before = flushes(vcpu);

		vm_commit(vm, i % 2 ? A : 0, 0);
		if (i & 2)
			OK(try_ioctl(vcpu->fd, KVM_GET_EPTP, &eptp));
		vcpu_start(vcpu);
		CHECK_EQ(vcpu_view(vcpu), i % 2 ? A : 0);
		CHECK(flushes(vcpu) > before);
		vcpu_stop(vcpu);
	}
}

static void test_set_eptp(void)
{
	struct vm *vm = npt_vm(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_hypr_eptp root[2] = { 0 };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		vm_commit(vm, i ? A : 0, 0);
		OK(try_ioctl(vcpu->fd, KVM_GET_EPTP, &root[i]));
		root[i].flags = 0;
	}
	for (i = 0; i < 6; i++) {
		struct kvm_hypr_eptp arg = root[i % 2];
		uint64_t before;

		vcpu_start(vcpu);
		vcpu_stop(vcpu);
		before = flushes(vcpu);
		OK(try_ioctl(vcpu->fd, KVM_SET_EPTP, &arg));
		vcpu_start(vcpu);
		CHECK_EQ(vcpu_view(vcpu), i % 2 ? A : 0);
		CHECK(flushes(vcpu) > before);
		vcpu_stop(vcpu);
	}
}

static const struct test tests[] = {
	{ "a forced swap flushes every vCPU", test_forced_swap },
	{ "a swap flushes a vCPU that was outside KVM_RUN",
	  test_swap_of_a_stopped_vcpu },
	{ "KVM_SET_EPTP flushes", test_set_eptp },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
