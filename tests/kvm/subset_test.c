// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_EPT_SWAP_VCPUS: the vCPUs of the mask are swapped and no others, and the
 * VM's active view follows when all are together again.
 */
#include "harness.h"

#include <errno.h>
#include <string.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)
#define SWAPS	1000

static struct vm *vm_with_views(void)
{
	struct vm *vm = vm_new();

	vm_views_add(vm, 2);
	return vm;
}

static void prepare_views(struct vm *vm)
{
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
}

static struct vm *running_vm(int nr_vcpus)
{
	struct vm *vm;

	need_cpus(nr_vcpus);
	vm = vm_with_views();
	vcpus_start(vm, nr_vcpus);
	prepare_views(vm);
	return vm;
}

static int try_subset(struct vm *vm, unsigned int view, uint64_t mask,
		      uint32_t flags)
{
	struct kvm_hypr_swap swap = {
		.view = view,
		.flags = flags | KVM_EPT_SWAP_VCPUS,
		.vcpu_mask = mask,
		.timeout_ns = SWAP_WAIT_NS,
	};

	return try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap);
}

static struct kvm_hypr_swap subset(struct vm *vm, unsigned int view,
				   uint64_t mask)
{
	struct kvm_hypr_swap swap = {
		.view = view,
		.flags = KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_VCPUS,
		.vcpu_mask = mask,
		.timeout_ns = SWAP_WAIT_NS,
	};

	OK(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap));
	return swap;
}

/* A plain swap to where the VM is says where it was. */
static unsigned int active_view(struct vm *vm)
{
	struct kvm_hypr_swap swap = {
		.view = A,
		.flags = KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_EXPECT,
		.expected_view = KVM_HYPR_VIEW_SMM,
	};

	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap), -ESTALE);
	return swap.old_view;
}

static void test_form(void)
{
	struct kvm_hypr_swap swap = { .view = A, .vcpu_mask = 1 };
	struct vm *vm = vm_with_views();
	int bit;

	vm_vcpu_add(vm);
	vm_vcpu_add(vm);
	prepare_views(vm);
	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap), -EINVAL);
	CHECK_RET(try_subset(vm, A, 0, 0), -EINVAL);
	for (bit = 2; bit < 64; bit++) {
		CHECK_RET(try_subset(vm, A, 1ull << bit, 0), -EINVAL);
		CHECK_RET(try_subset(vm, A, 1ull << bit | 1, 0), -EINVAL);
	}
	swap.flags = KVM_EPT_SWAP_VCPUS;
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap), -EINVAL);
	CHECK_EQ(vm_generation(vm), 0);
	OK(try_subset(vm, A, 3, 0));
	CHECK_EQ(vm_generation(vm), 1);
}

/* The bits are IDs, not the order of creation. */
static void test_ids(void)
{
	struct vm *vm = vm_with_views();

	vm_vcpu_add(vm);
	prepare_views(vm);
	CHECK(try_ioctl(vm->fd, KVM_CREATE_VCPU, (void *)63) >= 0);
	CHECK_RET(try_subset(vm, A, 2, 0), -EINVAL);
	OK(try_subset(vm, A, 1ull << 63, 0));
	CHECK_EQ(active_view(vm), 0);
	OK(try_subset(vm, A, 1, 0));
	CHECK_EQ(active_view(vm), A);
}

static void test_others_stay(void)
{
	struct vm *vm = running_vm(3);
	struct kvm_hypr_swap swap;

	swap = subset(vm, A, 2);
	CHECK_EQ(swap.old_view, 0);
	CHECK_EQ(swap.forced, 1);
	CHECK_EQ(swap.generation, 1);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	CHECK_EQ(vcpu_view(&vm->vcpu[1]), A);
	CHECK_EQ(vcpu_view(&vm->vcpu[2]), 0);
	CHECK_EQ(active_view(vm), 0);

	swap = subset(vm, B, 6);
	CHECK_EQ(swap.old_view, A);
	CHECK_EQ(swap.forced, 2);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	CHECK_EQ(vcpu_view(&vm->vcpu[1]), B);
	CHECK_EQ(vcpu_view(&vm->vcpu[2]), B);
	CHECK_EQ(vm->vcpu[0].guest->log_count, 1);

	swap = vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(swap.old_view, 0);
	check_all_in_view(vm, A);
	CHECK_EQ(active_view(vm), A);
}

static void test_active_follows(void)
{
	struct vm *vm = running_vm(2);

	subset(vm, A, 1);
	CHECK_EQ(active_view(vm), 0);
	subset(vm, B, 2);
	CHECK_EQ(active_view(vm), 0);
	subset(vm, A, 2);
	CHECK_EQ(active_view(vm), A);
	subset(vm, B, 3);
	CHECK_EQ(active_view(vm), B);
	check_all_in_view(vm, B);
	vcpu_start(vm_vcpu_add(vm));
	CHECK_EQ(vcpu_view(&vm->vcpu[2]), B);
}

static void test_new_vcpu_starts_in_active(void)
{
	struct vm *vm;

	need_cpus(2);
	vm = running_vm(1);
	vm_vcpu_add(vm);
	subset(vm, A, 1);
	vcpu_start(vm_vcpu_add(vm));
	CHECK_EQ(vcpu_view(&vm->vcpu[2]), 0);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
}

static void test_discard(void)
{
	struct vm *vm = running_vm(2);

	subset(vm, A, 2);
	CHECK_RET(try_discard(vm, A), -EBUSY);
	CHECK_RET(try_discard(vm, 0), -EBUSY);
	OK(try_discard(vm, B));
	subset(vm, A, 1);
	OK(try_discard(vm, 0));
	CHECK_RET(try_discard(vm, A), -EBUSY);
	CHECK_RET(try_subset(vm, 0, 1, KVM_EPT_SWAP_FORCE), -ENODATA);
	check_all_in_view(vm, A);
}

static void test_only_masked_must_be_quiet(void)
{
	struct vm *vm = running_vm(2);

	vcpu_stop(&vm->vcpu[1]);
	CHECK_RET(try_subset(vm, A, 1, 0), -EBUSY);
	CHECK_RET(try_subset(vm, A, 3, 0), -EBUSY);
	OK(try_subset(vm, A, 2, 0));
	vcpu_start(&vm->vcpu[1]);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	CHECK_EQ(vcpu_view(&vm->vcpu[1]), A);
}

static void test_smm_elsewhere(void)
{
	struct kvm_vcpu_events events;
	struct vcpu *smm;
	struct vm *vm;

	need_kvm("SMM");
	vm = running_vm(1);
	smm = vm_vcpu_add(vm);
	if (try_ioctl(vm->fd, KVM_CHECK_EXTENSION,
		      (void *)KVM_CAP_X86_SMM) <= 0)
		skip("this KVM has no SMM");
	OK(try_ioctl(smm->fd, KVM_GET_VCPU_EVENTS, &events));
	events.flags |= KVM_VCPUEVENT_VALID_SMM;
	events.smi.smm = 1;
	OK(try_ioctl(smm->fd, KVM_SET_VCPU_EVENTS, &events));
	CHECK_RET(try_subset(vm, A, 3, KVM_EPT_SWAP_FORCE), -EBUSY);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	subset(vm, A, 1);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
}

/* They neither stop nor see anything of it. */
static void test_others_are_not_held(void)
{
	struct vm *vm = running_vm(2);
	uint64_t beats;
	unsigned int i;

	for (i = 0; i < 200; i++) {
		beats = vm->vcpu[0].guest->beats;
		subset(vm, i % 2 ? B : A, 2);
		WAIT_UNTIL(__atomic_load_n(&vm->vcpu[0].guest->beats,
					   __ATOMIC_SEQ_CST) > beats);
		/* It logs a view only if it comes round in it. */
		CHECK_EQ(vcpu_view(&vm->vcpu[1]), i % 2 ? B : A);
	}
	CHECK_EQ(vm->vcpu[0].guest->log_count, 1);
	CHECK_EQ(vm->vcpu[1].guest->log_count, 201);
}

static void test_random(void)
{
	struct vm *vm = running_vm(3);
	unsigned int i, view_of[3] = { 0 };
	int v;

	for (i = 0; i < SWAPS; i++) {
		unsigned int view = (unsigned int[]){ 0, A, B }[tap_random() % 3];
		uint64_t mask = tap_random() % 8;

		if (mask)
			subset(vm, view, mask);
		else
			vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
		for (v = 0; v < 3; v++) {
			if (!mask || mask & 1u << v)
				view_of[v] = view;
			if (vcpu_view(&vm->vcpu[v]) != view_of[v])
				FAIL("swap %u: vCPU %d is in view %u", i, v,
				     vcpu_view(&vm->vcpu[v]));
		}
		if (!mask || (view_of[0] == view_of[1] &&
			      view_of[1] == view_of[2]))
			CHECK_EQ(active_view(vm), view);
	}
}

/* ---- vCPUs that come while swaps go on ----------------------------------- */

#define LAST_ID	60

struct maker {
	struct vm *vm;
	atomic_int fd[LAST_ID + 1];
};

static void *make_vcpus(void *arg)
{
	struct maker *maker = arg;
	uintptr_t id;

	for (id = 1; id <= LAST_ID; id++) {
		int fd = try_ioctl(maker->vm->fd, KVM_CREATE_VCPU, (void *)id);

		CHECK(fd > 0);
		atomic_store(&maker->fd[id], fd);
	}
	return NULL;
}

/* As soon as a swap takes a vCPU for one that exists, the vCPU is swapped. */
static void test_new_vcpu_is_swapped_or_refused(void)
{
	struct kvm_hypr_eptp eptp = { 0 };
	static struct maker maker;
	pthread_t thread;
	unsigned int id;
	int ret;

	need_cpus(1);
	maker.vm = vm_with_views();
	vm_vcpu_add(maker.vm);
	prepare_views(maker.vm);
	CHECK_RET(pthread_create(&thread, NULL, make_vcpus, &maker), 0);
	for (id = 1; id <= LAST_ID; id++) {
		while ((ret = try_subset(maker.vm, A, 1ull << id, 0)) == -EINVAL)
			;
		OK(ret);
		WAIT_UNTIL(atomic_load(&maker.fd[id]));
		OK(try_ioctl(maker.fd[id], KVM_GET_EPTP, &eptp));
		if (eptp.view != A)
			FAIL("vCPU %u was swapped, and is in view %u", id,
			     eptp.view);
	}
	CHECK_RET(pthread_join(thread, NULL), 0);
}

static const struct test tests[] = {
	{ "EINVAL: no mask, an empty mask, a vCPU that does not exist, SWAP_ALL",
	  test_form },
	{ "a bit is the ID of a vCPU", test_ids },
	{ "the vCPUs of the mask are swapped, the others stay",
	  test_others_stay },
	{ "the active view changes when all vCPUs are in the new one",
	  test_active_follows },
	{ "a new vCPU starts in the active view",
	  test_new_vcpu_starts_in_active },
	{ "EBUSY: discarding a view that some vCPU is in", test_discard },
	{ "only the vCPUs of the mask must be quiescent",
	  test_only_masked_must_be_quiet },
	{ "a vCPU in SMM that is not of the mask is no obstacle",
	  test_smm_elsewhere },
	{ "the other vCPUs run on while one is swapped to and fro",
	  test_others_are_not_held },
	{ "a vCPU that is just being created is swapped or refused",
	  test_new_vcpu_is_swapped_or_refused },
	{ "1,000 swaps of random sets of 3 running vCPUs", test_random },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
