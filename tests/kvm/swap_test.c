// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_COMMIT_EPT_SWAP and KVM_EPT_SWAP_ALL: the swap itself and the views that
 * it refuses.  A refused swap leaves the guest in the view it was in.
 */
#include "harness.h"

#include <errno.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)

typedef int (*swap_fn)(struct vm *vm, unsigned int view, uint32_t flags);

/* Boot view, A and B, one vCPU that has run, none prepared. */
static struct vm *vm_with_views(void)
{
	struct vm *vm;

	need_cpus(1);
	vm = vm_new();
	vm_views_add(vm, 2);
	vcpus_start(vm, 1);
	return vm;
}

static struct vm *vm_with_prepared_views(void)
{
	struct vm *vm = vm_with_views();

	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	return vm;
}

/* The guest is where it was, and so is the generation. */
static void check_refused(struct vm *vm, unsigned int view, uint32_t flags,
			  int want, unsigned int still)
{
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t generation;

	vcpu_stop(vcpu);
	generation = vm_generation(vm);
	vcpu_start(vcpu);
	CHECK_RET(try_commit(vm, view, flags), want);
	CHECK_EQ(vcpu_view(vcpu), still);
	CHECK_RET(try_swap_all(vm, view, flags), want);
	CHECK_EQ(vcpu_view(vcpu), still);
	vcpu_stop(vcpu);
	CHECK_EQ(vm_generation(vm), generation);
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), still);
}

static void check_round(struct vm *vm, swap_fn swap, uint32_t flags)
{
	static const unsigned int views[] = { A, B, A, 0, B, 0 };
	unsigned int i;

	for (i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		OK(swap(vm, views[i], flags));
		CHECK_EQ(vcpu_view(&vm->vcpu[0]), views[i]);
	}
}

static void test_commit_running(void)
{
	check_round(vm_with_prepared_views(), try_commit, KVM_EPT_SWAP_FORCE);
}

static void test_swap_all_running(void)
{
	check_round(vm_with_prepared_views(), try_swap_all, KVM_EPT_SWAP_FORCE);
}

static void check_round_stopped(swap_fn swap)
{
	static const unsigned int views[] = { A, B, A, 0, B, 0 };
	struct vm *vm = vm_with_prepared_views();
	unsigned int i;

	for (i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		vcpus_stop(vm);
		OK(swap(vm, views[i], 0));
		vcpus_start(vm, 1);
		CHECK_EQ(vcpu_view(&vm->vcpu[0]), views[i]);
	}
}

static void test_commit_stopped(void)
{
	check_round_stopped(try_commit);
}

static void test_swap_all_stopped(void)
{
	check_round_stopped(try_swap_all);
}

static void test_reports(void)
{
	struct vm *vm = vm_with_prepared_views();
	struct kvm_hypr_swap first, second;

	first = vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(first.old_view, 0);
	CHECK_EQ(first.forced, 1);
	CHECK(first.commit_cycles > 0);
	CHECK_EQ(first.pause_cycles, 0);
	vcpus_stop(vm);
	second = vm_swap_all(vm, B, 0);
	CHECK_EQ(second.old_view, A);
	CHECK_EQ(second.forced, 0);
	CHECK_EQ(second.generation, first.generation + 1);
	CHECK_EQ(vm_generation(vm), second.generation);
}

static void test_to_active_view(void)
{
	struct vm *vm = vm_with_prepared_views();
	struct kvm_hypr_swap first, second;

	first = vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	second = vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(second.generation, first.generation + 1);
	CHECK_EQ(second.old_view, A);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
}

static void test_no_such_view(void)
{
	struct vm *vm = vm_with_prepared_views();
	uint32_t flags = KVM_EPT_SWAP_FORCE;

	check_refused(vm, KVM_HYPR_VIEW_SMM, flags, -ENOENT, 0);
	check_refused(vm, B + 1, flags, -ENOENT, 0);
	check_refused(vm, KVM_HYPR_MAX_VIEWS, flags, -ENOENT, 0);
	check_refused(vm, ~0u, flags, -ENOENT, 0);
}

static void test_never_prepared(void)
{
	struct vm *vm = vm_with_views();

	OK(try_prepare(vm, A));
	check_refused(vm, B, KVM_EPT_SWAP_FORCE, -ENODATA, 0);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	check_refused(vm, B, KVM_EPT_SWAP_FORCE, -ENODATA, A);
}

static void test_discarded(void)
{
	struct vm *vm = vm_with_prepared_views();

	OK(try_discard(vm, B));
	check_refused(vm, B, KVM_EPT_SWAP_FORCE, -ENODATA, 0);
	OK(try_prepare(vm, B));
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), B);
}

static void test_left_view_stays_prepared(void)
{
	struct vm *vm = vm_with_views();

	OK(try_prepare(vm, A));
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	vm_commit(vm, 0, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
}

/* It has no tables yet: the swap builds them, as those of an evicted view. */
static void test_boot_view_that_never_ran(void)
{
	struct vm *vm = vm_new();

	vm_views_add(vm, 1);
	vm_vcpu_add(vm);
	OK(try_prepare(vm, A));
	vm_commit(vm, A, 0);
	vm_commit(vm, 0, 0);
}

static void test_commit_with_pause(void)
{
	struct vm *vm = vm_with_prepared_views();

	CHECK_RET(try_commit(vm, A, KVM_EPT_SWAP_PAUSE), -EINVAL);
	CHECK_RET(try_commit(vm, A, KVM_EPT_SWAP_RESUME), -EINVAL);
	CHECK_RET(try_commit(vm, A, KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_PAUSE),
		  -EINVAL);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
}

static void test_pause_without_control_page(void)
{
	struct vm *vm = vm_with_prepared_views();
	uint32_t force = KVM_EPT_SWAP_FORCE;

	CHECK_RET(try_swap_all(vm, A, KVM_EPT_SWAP_PAUSE | force), -EINVAL);
	CHECK_RET(try_swap_all(vm, A, KVM_EPT_SWAP_RESUME | force), -EINVAL);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
}

static void test_flush(void)
{
	check_round(vm_with_prepared_views(), try_commit,
		    KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_FLUSH);
}

/* Bytes of the view, its guest page tables among them, change meanwhile. */
static void test_flush_shows_new_page_tables(void)
{
	struct vm *vm = vm_with_prepared_views();
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t *pd = ram_word(vm, A, GUEST_PRIVATE_PD_GPA);

	*pd = 0xe3;	/* GUEST_PRIVATE_VA is GPA 0 */
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	*ram_word(vm, A, GUEST_FREE_GPA) = 0x1111;
	CHECK_EQ(vcpu_read(vcpu, GUEST_PRIVATE_VA + GUEST_FREE_GPA), 0x1111);
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	vm->shared[GUEST_SHARED_BYTES - 4096] = 0x22;
	*pd = GUEST_SHARED_GPA | 0xe3;
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_FLUSH);
	CHECK_EQ(vcpu_read(vcpu, GUEST_PRIVATE_VA + GUEST_SHARED_BYTES - 4096),
		 0x22);
}

static void test_new_vcpu_starts_in_active_view(void)
{
	struct vm *vm = vm_with_prepared_views();
	struct vcpu *vcpu;

	need_cpus(2);
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	vcpu = vm_vcpu_add(vm);
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), B);
	CHECK_EQ(vcpu->guest->log_count, 1);
}

/* No CPU for a second thread needed: the first vCPU rests. */
static void test_new_vcpu_before_it_runs(void)
{
	struct vm *vm = vm_new();
	struct vcpu *vcpu;

	need_cpus(1);
	vm_views_add(vm, 2);
	vcpu = vm_vcpu_add(vm);
	OK(try_prepare(vm, A));
	vm_commit(vm, A, 0);
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), A);
	CHECK_EQ(vcpu->guest->log_count, 1);
}

static void test_all_views(void)
{
	struct vm *vm = vm_new();
	unsigned int round, view;

	need_cpus(1);
	vm_views_add(vm, KVM_HYPR_MAX_VIEWS - KVM_HYPR_VIEW_FIRST);
	vcpus_start(vm, 1);
	for (view = KVM_HYPR_VIEW_FIRST; view < KVM_HYPR_MAX_VIEWS; view++)
		OK(try_prepare(vm, view));
	for (round = 0; round < 3; round++) {
		for (view = KVM_HYPR_VIEW_FIRST; view < KVM_HYPR_MAX_VIEWS;
		     view++) {
			vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
			CHECK_EQ(vcpu_view(&vm->vcpu[0]), view);
		}
	}
}

static void test_without_vcpu(void)
{
	struct vm *vm = vm_new();

	need_cpus(1);
	vm_views_add(vm, 1);
	CHECK_RET(try_commit(vm, A, 0), -ENODATA);
	vcpus_start(vm, 1);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
}

static const struct test tests[] = {
	{ "COMMIT swaps a running vCPU by force", test_commit_running },
	{ "SWAP_ALL swaps a running vCPU by force", test_swap_all_running },
	{ "COMMIT swaps a vCPU outside KVM_RUN", test_commit_stopped },
	{ "SWAP_ALL swaps a vCPU outside KVM_RUN", test_swap_all_stopped },
	{ "a swap reports old view, force, generation, cycles", test_reports },
	{ "a swap to the active view counts as a swap", test_to_active_view },
	{ "ENOENT: no such view, the guest stays", test_no_such_view },
	{ "ENODATA: never prepared, the guest stays", test_never_prepared },
	{ "ENODATA: discarded, the guest stays; prepared anew it goes",
	  test_discarded },
	{ "a view that was left stays prepared", test_left_view_stays_prepared },
	{ "back to a boot view that never ran",
	  test_boot_view_that_never_ran },
	{ "EINVAL: COMMIT with PAUSE or RESUME", test_commit_with_pause },
	{ "EINVAL: PAUSE or RESUME without a control page",
	  test_pause_without_control_page },
	{ "swaps with FLUSH", test_flush },
	{ "FLUSH: the guest sees page tables changed meanwhile",
	  test_flush_shows_new_page_tables },
	{ "a vCPU created after a swap starts in the active view",
	  test_new_vcpu_starts_in_active_view },
	{ "a vCPU that never ran starts in the view swapped to",
	  test_new_vcpu_before_it_runs },
	{ "all 14 views in turn", test_all_views },
	{ "ENODATA: a swap before there is a vCPU", test_without_vcpu },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
