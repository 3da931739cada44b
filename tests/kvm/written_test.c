// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_HYPR_GET_WRITTEN: every page that was written in a view since the last call is
 * reported, be it by the guest, by KVM, or in a table that KVM has dropped; pages
 * that were not are left out as far as KVM knows.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)

#define RAM_PAGES	(RAM_BYTES / 4096)
/* All that a view has, the shared memory included. */
#define ALL_PAGES	((GUEST_SHARED_GPA + GUEST_SHARED_BYTES) / 4096)
#define WORDS		(ALL_PAGES / 64)

#define FIRST_PAGE	(GUEST_FREE_GPA / 4096)
#define LAST_PAGE	(GUEST_ID2_GPA / 4096)

#define MSR_SYSTEM_TIME	0x4b564d01

static uint64_t bitmap[WORDS];

static int try_written(struct vm *vm, unsigned int view, uint64_t *bits)
{
	struct kvm_hypr_written arg = {
		.view = view,
		.nr_pages = ALL_PAGES,
		.bitmap = (uintptr_t)bits,
	};
	int ret = try_ioctl(vm->fd, KVM_HYPR_GET_WRITTEN, &arg);
	uint64_t count = 0;
	unsigned int i;

	if (ret)
		return ret;
	for (i = 0; i < WORDS; i++)
		count += __builtin_popcountll(bits[i]);
	CHECK_EQ(arg.pages, count);
	return 0;
}

static void written(struct vm *vm, unsigned int view)
{
	memset(bitmap, 0xff, sizeof(bitmap));
	OK(try_written(vm, view, bitmap));
}

static bool has(const uint64_t *bits, unsigned int page)
{
	return bits[page / 64] >> page % 64 & 1;
}

/* Of the view's own memory, exactly the pages of @want. */
static void check_written(const bool *want)
{
	unsigned int i;

	for (i = 0; i < RAM_PAGES; i++) {
		if (has(bitmap, i) != want[i])
			FAIL("page %u: written %u, reported %u", i, want[i],
			     has(bitmap, i));
	}
}

static void check_all(void)
{
	unsigned int i;

	for (i = 0; i < ALL_PAGES; i++) {
		if (!has(bitmap, i))
			FAIL("page %u is not reported", i);
	}
}

/* Views A and B, and the guest in A with nothing to report. */
static struct vm *vm_tracked(int nr_vcpus)
{
	struct vm *vm = vm_new();
	struct kvm_hypr_written arg = { .view = A, .nr_pages = ALL_PAGES };

	need_cpus(nr_vcpus);
	arg.bitmap = (uintptr_t)bitmap;
	vm_views_add(vm, 2);
	vcpus_start(vm, nr_vcpus);
	if (try_ioctl(vm->fd, KVM_HYPR_GET_WRITTEN, &arg) == -EOPNOTSUPP)
		skip("this CPU has no accessed and dirty flags");
	ram_touch(vm, A);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	written(vm, A);
	return vm;
}

static void write_page(struct vm *vm, unsigned int page, bool *want)
{
	vcpu_write(&vm->vcpu[0], (uint64_t)page * 4096, 1);
	want[page] = true;
}

/* ---- what is reported --------------------------------------------------------- */

static void test_first(void)
{
	struct vm *vm = vm_new();

	vm_views_add(vm, 1);
	vm_vcpu_add(vm);
	if (try_written(vm, A, bitmap) == -EOPNOTSUPP)
		skip("this CPU has no accessed and dirty flags");
	check_all();
	/* Nothing can have been written since. */
	written(vm, A);
	CHECK_EQ(bitmap[0], 0);
}

static void test_random_pages(void)
{
	struct vm *vm = vm_tracked(1);
	unsigned int round, i;

	for (round = 0; round < 100; round++) {
		bool want[RAM_PAGES] = { false };

		for (i = tap_random() % 20; i; i--)
			write_page(vm, FIRST_PAGE + tap_random() %
				   (LAST_PAGE - FIRST_PAGE), want);
		/* To read is not to write. */
		vcpu_read(&vm->vcpu[0], (uint64_t)FIRST_PAGE * 4096 +
			  tap_random() % (LAST_PAGE - FIRST_PAGE) * 4096);
		written(vm, A);
		check_written(want);
	}
}

static void test_other_view(void)
{
	struct vm *vm = vm_tracked(1);
	bool none[RAM_PAGES] = { false }, some[RAM_PAGES] = { false };

	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	written(vm, B);
	write_page(vm, FIRST_PAGE + 7, some);
	written(vm, A);
	check_written(none);
	written(vm, B);
	check_written(some);
	written(vm, B);
	check_written(none);
}

/* A vCPU does not have to run in the view: its dirty flags wait there. */
static void test_view_that_was_left(void)
{
	struct vm *vm = vm_tracked(1);
	bool some[RAM_PAGES] = { false };

	write_page(vm, FIRST_PAGE + 3, some);
	write_page(vm, LAST_PAGE - 1, some);
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	written(vm, A);
	check_written(some);
	/* Its first write after the way back is seen. */
	memset(some, 0, sizeof(some));
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	write_page(vm, FIRST_PAGE + 3, some);
	written(vm, A);
	check_written(some);
}

/* KVM's emulator writes what INS reads, through the memory slot. */
static void test_emulated_write(void)
{
	struct vm *vm = vm_tracked(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	bool some[RAM_PAGES] = { false };

	vcpu_ask(vcpu, GUEST_INS, 0x77, GUEST_FREE_GPA + 0x5000, 0);
	vcpu_wait_outside(vcpu);
	vcpu_finish_io(vcpu);
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
	some[FIRST_PAGE + 5] = true;
	written(vm, A);
	check_written(some);
}

static void test_kvmclock(void)
{
	struct vm *vm = vm_tracked(1);
	bool some[RAM_PAGES] = { false };

	vcpu_do(&vm->vcpu[0], GUEST_WRMSR, MSR_SYSTEM_TIME, GUEST_FREE_GPA | 1, 0);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	some[FIRST_PAGE] = true;
	written(vm, A);
	check_written(some);
	/* A swap has KVM write the clock of the view that comes. */
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	written(vm, A);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	written(vm, A);
	check_written(some);
}

static void check_reported(const bool *want)
{
	unsigned int i;

	for (i = 0; i < RAM_PAGES; i++) {
		if (want[i] && !has(bitmap, i))
			FAIL("page %u was written and is not reported", i);
	}
}

/*
 * KVM drops an SPTE, and its dirty flag with it; the page is still reported.  The
 * guest may write it all the while.
 */
static void zap(struct vm *vm, unsigned int page, unsigned int pages)
{
	uint8_t *at = vm->ram[A] + page * 4096;

	CHECK(!mprotect(at, pages * 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
	CHECK(!mprotect(at, pages * 4096, PROT_READ | PROT_WRITE));
}

static void test_zapped(void)
{
	struct vm *vm = vm_tracked(1);
	bool some[RAM_PAGES] = { false };

	write_page(vm, FIRST_PAGE + 1, some);
	write_page(vm, FIRST_PAGE + 9, some);
	zap(vm, FIRST_PAGE + 9, 1);
	written(vm, A);
	check_reported(some);
}

/* However many they are, no other page counts as written. */
static void test_zapped_many(void)
{
	struct vm *vm = vm_tracked(1);
	bool some[RAM_PAGES] = { false }, none[RAM_PAGES] = { false };
	unsigned int page;

	vcpu_do(&vm->vcpu[0], GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA - 8 * 4096, 1);
	for (page = FIRST_PAGE; page < LAST_PAGE - 8; page++)
		some[page] = true;
	zap(vm, FIRST_PAGE, LAST_PAGE - FIRST_PAGE);
	written(vm, A);
	/* The pages that it reads all the time may be new in the tables, and count as written. */
	for (page = FIRST_PAGE; page < LAST_PAGE; page++)
		CHECK_EQ(has(bitmap, page), some[page]);
	written(vm, A);
	check_written(none);
}

/* KVM has room for notes of as many pages as were asked about last. */
static void test_another_size(void)
{
	struct vm *vm = vm_tracked(1);
	static uint64_t more[WORDS + 8];
	struct kvm_hypr_written arg = {
		.view = A, .nr_pages = (WORDS + 8) * 64, .bitmap = (uintptr_t)more,
	};
	bool some[RAM_PAGES] = { false };

	write_page(vm, FIRST_PAGE + 4, some);
	zap(vm, FIRST_PAGE + 4, 1);
	OK(try_ioctl(vm->fd, KVM_HYPR_GET_WRITTEN, &arg));
	CHECK_EQ(arg.pages, (WORDS + 8) * 64);
	OK(try_ioctl(vm->fd, KVM_HYPR_GET_WRITTEN, &arg));
	/* The guest's results are on pages that all views share. */
	CHECK(arg.pages < 64 && !has(more, FIRST_PAGE + 4));
	write_page(vm, FIRST_PAGE + 4, some);
	zap(vm, FIRST_PAGE + 4, 1);
	written(vm, A);
	check_all();
	memset(some, 0, sizeof(some));
	write_page(vm, FIRST_PAGE + 5, some);
	zap(vm, FIRST_PAGE + 5, 1);
	written(vm, A);
	check_reported(some);
	CHECK(!has(bitmap, FIRST_PAGE + 6));
}

static void test_discarded(void)
{
	struct vm *vm = vm_tracked(1);
	bool some[RAM_PAGES] = { false };

	write_page(vm, FIRST_PAGE + 2, some);
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	OK(try_discard(vm, A));
	written(vm, A);
	check_reported(some);
	/* Built again, it starts with nothing. */
	OK(try_prepare(vm, A));
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	written(vm, A);
	memset(some, 0, sizeof(some));
	write_page(vm, FIRST_PAGE + 2, some);
	written(vm, A);
	check_written(some);
}

/* Dirty logging may clear flags for its own use. */
static void test_logging(void)
{
	struct vm *vm = vm_tracked(1);
	bool none[RAM_PAGES] = { false };

	OK(try_set_slot(vm, A, SLOT_RAM, KVM_MEM_LOG_DIRTY_PAGES, 0, RAM_BYTES,
			vm->ram[A]));
	written(vm, A);
	check_all();
	written(vm, A);
	check_all();
	OK(try_set_slot(vm, A, SLOT_RAM, 0, 0, RAM_BYTES, vm->ram[A]));
	written(vm, A);
	check_all();
	written(vm, A);
	check_written(none);
}

/* ---- while the guest runs ------------------------------------------------------ */

static atomic_bool writer_stop;

static void *writer(void *arg)
{
	struct vcpu *vcpu = arg;
	uint64_t seed = 1;

	while (!atomic_load(&writer_stop))
		vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, seed++);
	return NULL;
}

/* A copy that is brought up to date from the reports alone equals the memory. */
static void test_running_guest(void)
{
	struct vm *vm = vm_tracked(2);
	uint8_t *copy = memory_new(RAM_BYTES);
	unsigned int rounds, i, copied = 0;
	pthread_t thread[2];

	memcpy(copy, vm->ram[A], RAM_BYTES);
	written(vm, A);
	atomic_store(&writer_stop, false);
	for (i = 0; i < 2; i++)
		CHECK(!pthread_create(&thread[i], NULL, writer, &vm->vcpu[i]));
	for (rounds = 0; rounds < 60; rounds++) {
		if (rounds == 59) {
			atomic_store(&writer_stop, true);
			for (i = 0; i < 2; i++)
				pthread_join(thread[i], NULL);
		}
		/* To a view and back now and then. */
		if (rounds % 16 == 15) {
			vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
			vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
		}
		if (rounds % 8 == 7)
			zap(vm, FIRST_PAGE + tap_random() % 300, 20);
		written(vm, A);
		for (i = 0; i < RAM_PAGES; i++) {
			if (!has(bitmap, i))
				continue;
			memcpy(copy + i * 4096, vm->ram[A] + i * 4096, 4096);
			copied++;
		}
	}
	note("%u pages reported in %u rounds", copied, rounds);
	CHECK(copied > RAM_PAGES);
	CHECK(!memcmp(copy, vm->ram[A], RAM_BYTES));
}

/* ---- what is refused ----------------------------------------------------------- */

static int try_arg(struct vm *vm, struct kvm_hypr_written arg)
{
	if (!arg.bitmap)
		arg.bitmap = (uintptr_t)bitmap;
	return try_ioctl(vm->fd, KVM_HYPR_GET_WRITTEN, &arg);
}

static void test_einval(void)
{
	struct vm *vm = vm_tracked(1);
	const struct kvm_hypr_written good = { .view = A, .nr_pages = ALL_PAGES };
	struct kvm_hypr_written arg;
	unsigned int i;

	OK(try_arg(vm, good));
	arg = good;
	arg.flags = 1;
	CHECK_RET(try_arg(vm, arg), -EINVAL);
	for (i = 0; i < sizeof(arg.reserved) / sizeof(arg.reserved[0]); i++) {
		arg = good;
		arg.reserved[i] = 1;
		CHECK_RET(try_arg(vm, arg), -EINVAL);
	}
	arg = good;
	arg.nr_pages = 0;
	CHECK_RET(try_arg(vm, arg), -EINVAL);
	arg.nr_pages = ALL_PAGES + 1;
	CHECK_RET(try_arg(vm, arg), -EINVAL);
	arg.nr_pages = KVM_HYPR_WRITTEN_MAX_PAGES + 64;
	CHECK_RET(try_arg(vm, arg), -EINVAL);
	vm = vm_new_plain();
	CHECK_RET(try_arg(vm, good), -EINVAL);
}

static void test_enoent(void)
{
	static const unsigned int views[] = {
		KVM_HYPR_VIEW_SMM, B + 1, KVM_HYPR_MAX_VIEWS, ~0u,
	};
	struct vm *vm = vm_tracked(1);
	unsigned int i;

	for (i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		CHECK_RET(try_written(vm, views[i], bitmap), -ENOENT);
}

static void test_e2big(void)
{
	struct vm *vm = vm_tracked(1);

	CHECK_RET(try_arg(vm, (struct kvm_hypr_written){
		.view = A, .nr_pages = ALL_PAGES - 64 }), -E2BIG);
}

/* What the caller did not get is reported once more. */
static void test_efault(void)
{
	struct vm *vm = vm_tracked(1);
	bool some[RAM_PAGES] = { false };

	write_page(vm, FIRST_PAGE + 2, some);
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_GET_WRITTEN, (void *)8), -EFAULT);
	CHECK_RET(try_arg(vm, (struct kvm_hypr_written){
		.view = A, .nr_pages = ALL_PAGES, .bitmap = 8 }), -EFAULT);
	written(vm, A);
	check_all();
}

static void test_smm_memory(void)
{
	struct vm *vm = vm_tracked(1);

	OK(try_set_slot(vm, KVM_HYPR_VIEW_SMM, 0, 0, 0, RAM_BYTES, vm->ram[A]));
	CHECK_RET(try_written(vm, A, bitmap), -EOPNOTSUPP);
}

/* Nor is it known what the handler wrote there. */
static void test_smm_memory_that_went(void)
{
	struct vm *vm = vm_tracked(1);
	bool none[RAM_PAGES] = { false };

	OK(try_set_slot(vm, KVM_HYPR_VIEW_SMM, 0, 0, 0, RAM_BYTES, vm->ram[A]));
	OK(try_set_slot(vm, KVM_HYPR_VIEW_SMM, 0, 0, 0, 0, NULL));
	written(vm, A);
	check_all();
	written(vm, A);
	check_written(none);
}

/* It runs in the view's memory by a root of its own, which has no tables of L1. */
static void test_nested_without_tables(void)
{
	const unsigned int page = (GUEST_SHARED_GPA + GUEST_CPU(0)) / 4096;
	struct vm *vm = vm_new();
	struct guest_cpu *guest;
	struct vcpu *vcpu;
	uint64_t beats;
	bool svm;

	vm->nested = true;
	svm = vm_has_svm(vm);
	if (!svm && !vm_has_vmx(vm))
		skip("no nested guests here");
	need_cpus(1);
	vm_views_add(vm, 1);
	vcpus_start(vm, 1);
	vcpu = &vm->vcpu[0];
	guest = vcpu->guest;
	OK(try_prepare(vm, A));
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	vcpu_ask(vcpu, GUEST_NESTED, svm, 0, 0);
	WAIT_UNTIL(__atomic_load_n(&guest->nested, __ATOMIC_SEQ_CST));
	CHECK_EQ(guest->nested, 1);
	if (try_written(vm, A, bitmap) == -EOPNOTSUPP)
		skip("this CPU has no accessed and dirty flags");
	written(vm, A);
	beats = __atomic_load_n(&guest->beats, __ATOMIC_SEQ_CST);
	WAIT_UNTIL(__atomic_load_n(&guest->beats, __ATOMIC_SEQ_CST) > beats + 10);
	written(vm, A);
	if (!has(bitmap, page))
		FAIL("page %#x, which the nested guest writes, is not reported", page);
}

static void test_nested(void)
{
	struct vm *vm = vm_new();
	struct vcpu *vcpu;
	bool svm;

	vm->nested = true;
	svm = vm_has_svm(vm);
	if (!svm && !vm_has_vmx(vm))
		skip("no nested guests here");
	need_cpus(1);
	vm_views_add(vm, 1);
	vcpus_start(vm, 1);
	vcpu = &vm->vcpu[0];
	if (try_written(vm, A, bitmap) == -EOPNOTSUPP)
		skip("this CPU has no accessed and dirty flags");
	vcpu_ask(vcpu, GUEST_NESTED, svm, svm, 0);
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->nested, __ATOMIC_SEQ_CST));
	if (try_written(vm, A, bitmap) == 0)
		skip("the nested guest has no tables of its own");
	CHECK_RET(try_written(vm, A, bitmap), -EOPNOTSUPP);
}

static const struct test tests[] = {
	{ "the first call reports all, the second nothing", test_first },
	{ "100 times: the pages that the guest wrote, and no others",
	  test_random_pages },
	{ "each view has reports of its own", test_other_view },
	{ "writes before a swap are reported after it", test_view_that_was_left },
	{ "an instruction that KVM emulates", test_emulated_write },
	{ "kvmclock, written by KVM", test_kvmclock },
	{ "a dirty page that KVM has zapped", test_zapped },
	{ "hundreds of them, and no other page", test_zapped_many },
	{ "another number of pages than last time: all pages, once", test_another_size },
	{ "a view that was discarded", test_discarded },
	{ "dirty logging: all pages, and exact again after it", test_logging },
	{ "a copy from the reports alone, while two vCPUs write",
	  test_running_guest },
	{ "EINVAL: flags, reserved fields, sizes, no views", test_einval },
	{ "ENOENT: no such view", test_enoent },
	{ "E2BIG: memory beyond the bitmap", test_e2big },
	{ "EFAULT: and the next call reports all", test_efault },
	{ "EOPNOTSUPP: memory of SMM", test_smm_memory },
	{ "memory of SMM that came and went: all pages",
	  test_smm_memory_that_went },
	{ "a nested guest that has no tables of its own",
	  test_nested_without_tables },
	{ "EOPNOTSUPP: nested guests", test_nested },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
