// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLB rules, as far as they can be seen without a TLB that keeps something:
 * KVM counts the flushes of each vCPU.  A swap to tables that nobody changed
 * flushes nothing; a change that only user space knows of is announced, and
 * each vCPU flushes once when it takes the view, however late that is.
 *
 * The threads are pinned: a vCPU that changes its CPU flushes too.
 */
#include "harness.h"

#include <errno.h>
#include <sys/mman.h>

#define A		KVM_HYPR_VIEW_FIRST
#define B		(KVM_HYPR_VIEW_FIRST + 1)
#define FORCE		KVM_EPT_SWAP_FORCE

static int try_mark(struct vm *vm, unsigned int view)
{
	struct kvm_hypr_mark_edited mark = { .view = view };

	return try_ioctl(vm->fd, KVM_HYPR_MARK_EDITED, &mark);
}

/* All vCPUs run in the boot view and have had all roots once. */
static struct vm *warm_vm(int nr_vcpus)
{
	static const unsigned int views[] = { A, B, 0 };
	struct vm *vm;
	unsigned int i;

	need_cpus(nr_vcpus);
	vm = vm_new();
	vm_views_add(vm, 2);
	vcpus_start(vm, nr_vcpus);
	check_all_in_view(vm, 0);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	for (i = 0; i < 6; i++) {
		vm_commit(vm, views[i % 3], FORCE);
		check_all_in_view(vm, views[i % 3]);
	}
	return vm;
}

static uint64_t flushes(struct vcpu *vcpu)
{
	return vcpu_stat(vcpu, "tlb_flush");
}

static void go_to(struct vm *vm, unsigned int view)
{
	vm_commit(vm, view, FORCE);
	check_all_in_view(vm, view);
}

static void test_clean_swaps_flush_nothing(void)
{
	struct vm *vm = warm_vm(2);
	uint64_t before[2] = { flushes(&vm->vcpu[0]), flushes(&vm->vcpu[1]) };
	unsigned int i;

	for (i = 0; i < 100; i++) {
		go_to(vm, A);
		go_to(vm, B);
		go_to(vm, 0);
	}
	CHECK_EQ(flushes(&vm->vcpu[0]), before[0]);
	CHECK_EQ(flushes(&vm->vcpu[1]), before[1]);
}

static void test_flag_flushes_each_vcpu_once(void)
{
	struct vm *vm = warm_vm(2);
	uint64_t before[2] = { flushes(&vm->vcpu[0]), flushes(&vm->vcpu[1]) };

	vm_commit(vm, A, FORCE | KVM_EPT_SWAP_FLUSH);
	check_all_in_view(vm, A);
	CHECK_EQ(flushes(&vm->vcpu[0]), before[0] + 1);
	CHECK_EQ(flushes(&vm->vcpu[1]), before[1] + 1);
	go_to(vm, B);
	go_to(vm, A);
	CHECK_EQ(flushes(&vm->vcpu[0]), before[0] + 1);
}

/* Not at the mark, not at a swap elsewhere: when the view is taken. */
static void test_mark_waits_for_its_view(void)
{
	struct vm *vm = warm_vm(2);
	uint64_t before[2] = { flushes(&vm->vcpu[0]), flushes(&vm->vcpu[1]) };
	int i;

	OK(try_mark(vm, A));
	OK(try_mark(vm, A));
	go_to(vm, B);
	go_to(vm, 0);
	for (i = 0; i < 2; i++)
		CHECK_EQ(flushes(&vm->vcpu[i]), before[i]);
	go_to(vm, A);
	for (i = 0; i < 2; i++)
		CHECK_EQ(flushes(&vm->vcpu[i]), before[i] + 1);
	go_to(vm, B);
	go_to(vm, A);
	for (i = 0; i < 2; i++)
		CHECK_EQ(flushes(&vm->vcpu[i]), before[i] + 1);
}

static void test_mark_of_the_active_view(void)
{
	struct vm *vm = warm_vm(2);
	uint64_t before[2] = { flushes(&vm->vcpu[0]), flushes(&vm->vcpu[1]) };

	OK(try_mark(vm, 0));
	check_all_in_view(vm, 0);
	CHECK_EQ(flushes(&vm->vcpu[0]), before[0] + 1);
	CHECK_EQ(flushes(&vm->vcpu[1]), before[1] + 1);
}

/* A halted vCPU and one outside KVM_RUN take the view, and flush, later. */
static void test_late_takers_flush_too(void)
{
	struct vm *vm = warm_vm(3);
	struct vcpu *halted = &vm->vcpu[1], *outside = &vm->vcpu[2];
	uint64_t before[3];
	int i;

	for (i = 0; i < 3; i++)
		before[i] = flushes(&vm->vcpu[i]);
	vcpu_halt(halted);
	vcpu_ask(outside, GUEST_OUT, 0x10, 0, 0);
	vcpu_wait_outside(outside);
	vcpu_finish_io(outside);
	OK(try_mark(vm, A));
	vm_commit(vm, A, FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	vcpu_resume(outside);
	vcpu_wait_done(outside);
	vcpu_wake(halted);
	check_all_in_view(vm, A);
	for (i = 0; i < 3; i++)
		CHECK_EQ(flushes(&vm->vcpu[i]), before[i] + 1);
}

/* What a vCPU left unflushed it still owes after two more swaps. */
static void test_mark_outlives_swaps_that_a_vcpu_slept_through(void)
{
	struct vm *vm = warm_vm(2);
	struct vcpu *outside = &vm->vcpu[1];
	uint64_t before = flushes(outside);

	vcpu_ask(outside, GUEST_OUT, 0x10, 0, 0);
	vcpu_wait_outside(outside);
	vcpu_finish_io(outside);
	OK(try_mark(vm, A));
	vm_commit(vm, A, FORCE);
	vm_commit(vm, B, FORCE);
	vcpu_resume(outside);
	vcpu_wait_done(outside);
	check_all_in_view(vm, B);
	CHECK_EQ(flushes(outside), before);
	go_to(vm, A);
	CHECK_EQ(flushes(outside), before + 1);
}

static void test_mark_and_set_eptp(void)
{
	struct vm *vm = warm_vm(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_hypr_eptp eptp = { 0 };
	uint64_t before;

	go_to(vm, A);
	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_EPTP, &eptp));
	CHECK_EQ(eptp.view, A);
	eptp.view = 0;
	vcpu_start(vcpu);
	go_to(vm, 0);
	vcpu_stop(vcpu);
	OK(try_mark(vm, A));
	before = flushes(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_SET_EPTP, &eptp));
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), A);
	CHECK(flushes(vcpu) > before);
}

/* The edit that needs it: the guest's page tables say something else. */
static void test_mark_shows_new_page_tables(void)
{
	struct vm *vm = warm_vm(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t *pd = ram_word(vm, A, GUEST_PRIVATE_PD_GPA);
	uint64_t last = GUEST_SHARED_BYTES - 4096;

	*pd = 0xe3;	/* GUEST_PRIVATE_VA is GPA 0 */
	OK(try_mark(vm, A));
	go_to(vm, A);
	*ram_word(vm, A, GUEST_FREE_GPA) = 0x1111;
	CHECK_EQ(vcpu_read(vcpu, GUEST_PRIVATE_VA + GUEST_FREE_GPA), 0x1111);
	go_to(vm, B);
	vm->shared[last] = 0x22;
	*pd = GUEST_SHARED_GPA | 0xe3;
	OK(try_mark(vm, A));
	go_to(vm, A);
	CHECK_EQ(vcpu_read(vcpu, GUEST_PRIVATE_VA + last), 0x22);
}

/* Tables of an inactive view change: every vCPU is told at once. */
static void test_notifier_on_an_inactive_view(void)
{
	struct vm *vm = warm_vm(2);
	uint64_t before[2] = { flushes(&vm->vcpu[0]), flushes(&vm->vcpu[1]) };

	CHECK(!madvise(vm->ram[A] + GUEST_FREE_GPA, 4096, MADV_DONTNEED));
	check_all_in_view(vm, 0);
	CHECK_EQ(flushes(&vm->vcpu[0]), before[0] + 1);
	CHECK_EQ(flushes(&vm->vcpu[1]), before[1] + 1);
}

static void test_mark_no_such_view(void)
{
	struct vm *vm = warm_vm(1);

	CHECK_RET(try_mark(vm, B + 1), -ENOENT);	/* no memory */
	CHECK_RET(try_mark(vm, KVM_HYPR_VIEW_SMM), -ENOENT);
	CHECK_RET(try_mark(vm, KVM_HYPR_MAX_VIEWS), -ENOENT);
	CHECK_RET(try_mark(vm, ~0u), -ENOENT);
}

static void test_mark_form(void)
{
	struct kvm_hypr_mark_edited mark = { .view = A };
	struct vm *vm = warm_vm(1);
	unsigned int i;

	for (i = 0; i < 32; i++) {
		mark.flags = 1u << i;
		CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_MARK_EDITED, &mark), -EINVAL);
	}
	mark.flags = 0;
	for (i = 0; i < 3; i++) {
		mark.reserved[i] = 1ull << 63;
		CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_MARK_EDITED, &mark), -EINVAL);
		mark.reserved[i] = 0;
	}
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_MARK_EDITED, NULL), -EFAULT);
	OK(try_ioctl(vm->fd, KVM_HYPR_MARK_EDITED, &mark));
}

static void test_mark_without_views(void)
{
	CHECK_RET(try_mark(vm_new_plain(), 0), -EINVAL);
}

/*
 * The tables that a guest has built for its nested guest: KVM runs on shadows of
 * them, and the guest did not write.
 */
static void test_mark_drops_shadows(void)
{
	struct vm *vm;
	struct vcpu *vcpu;
	uint64_t *npt;

	need_cpus(1);
	vm = vm_new();
	if (!vm_has_svm(vm))
		skip("this KVM gives its guests no SVM (EPT is the same code)");
	vm->nested = true;
	vm_views_add(vm, 1);
	*ram_word(vm, 0, GUEST_FREE_GPA) = 0x1111;
	*ram_word(vm, 0, GUEST_FREE_GPA + 4096) = 0x2222;
	vcpus_start(vm, 1);
	vcpu = &vm->vcpu[0];
	vcpu_ask(vcpu, GUEST_NESTED, 1, 1, 0);
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->nested, __ATOMIC_SEQ_CST));
	CHECK_EQ(vcpu->guest->nested, 1);
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->result[1],
				   __ATOMIC_SEQ_CST) == 0x1111);

	npt = (uint64_t *)(vm->shared + GUEST_NPT_PT);
	CHECK_EQ(npt[GUEST_FREE_GPA / 4096] & ~0xfffull, GUEST_FREE_GPA);
	__atomic_store_n(&npt[GUEST_FREE_GPA / 4096],
			 (GUEST_FREE_GPA + 4096) | 0x67, __ATOMIC_SEQ_CST);
	OK(try_mark(vm, 0));
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->result[1],
				   __ATOMIC_SEQ_CST) == 0x2222);
}

static const struct test tests[] = {
	{ "300 swaps between unchanged views flush nothing",
	  test_clean_swaps_flush_nothing },
	{ "SWAP_FLUSH: each vCPU flushes once", test_flag_flushes_each_vcpu_once },
	{ "MARK_EDITED: a flush when the view is taken, and one only",
	  test_mark_waits_for_its_view },
	{ "MARK_EDITED of the active view: a flush at once",
	  test_mark_of_the_active_view },
	{ "MARK_EDITED: a halted and an absent vCPU flush when they come",
	  test_late_takers_flush_too },
	{ "MARK_EDITED: a vCPU that slept through the swap flushes at a later one",
	  test_mark_outlives_swaps_that_a_vcpu_slept_through },
	{ "MARK_EDITED, then KVM_SET_EPTP: a flush", test_mark_and_set_eptp },
	{ "MARK_EDITED: the guest sees page tables changed meanwhile",
	  test_mark_shows_new_page_tables },
	{ "a page taken from an inactive view: all vCPUs flush at once",
	  test_notifier_on_an_inactive_view },
	{ "MARK_EDITED: tables that a guest has built for a nested guest",
	  test_mark_drops_shadows },
	{ "ENOENT: MARK_EDITED of no view", test_mark_no_such_view },
	{ "EINVAL, EFAULT: MARK_EDITED, flags, reserved words, pointer",
	  test_mark_form },
	{ "EINVAL: MARK_EDITED in a VM without views", test_mark_without_views },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
