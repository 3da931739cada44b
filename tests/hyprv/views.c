// SPDX-License-Identifier: GPL-2.0-only
/*
 * Views on /dev/hyprv, as far as the tests of tests/kvm, which run on it too, do not reach:
 * what the device has of HYPR and what not, the shared notifier, a swap that takes all
 * vCPUs or none, unfinished reads of a device, and a hostile guest beside swaps.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define A		KVM_HYPR_VIEW_FIRST
#define B		(KVM_HYPR_VIEW_FIRST + 1)
#define DEVICE_GPA	0x5000000ull
#define SHARED_GPA	0x2000000ull
#define SHARED_PAGES	16

static const unsigned int views[] = { 0, A, B };

static struct kvm_hypr_stats get_stats(struct vm *vm)
{
	struct kvm_hypr_stats stats;

	OK(try_ioctl(vm->fd, KVM_HYPR_GET_STATS, &stats));
	return stats;
}

static struct vm *running_vm(int nr_vcpus)
{
	struct vm *vm = vm_new_prepared(nr_vcpus);

	vcpus_start(vm, nr_vcpus);
	return vm;
}

static void go(struct vm *vm, unsigned int view)
{
	vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
	check_all_in_view(vm, view);
}

/* ---- what the device has of HYPR ------------------------------------------ */

static void test_other_ioctls(void)
{
	static uint64_t arg[64];
	struct vm *vm = vm_new_prepared(1);
	const unsigned long vm_requests[] = {
		KVM_HYPR_SET_CONTROL_PAGE, KVM_HYPR_SET_CACHE, KVM_HYPR_PIN_VIEW,
		KVM_HYPR_GET_WRITTEN, KVM_HYPR_GET_STATE,
	};
	const unsigned long on_views[] = {
		KVM_PREPARE_EPT_SWAP, KVM_COMMIT_EPT_SWAP, KVM_EPT_SWAP_ALL,
		KVM_HYPR_DISCARD_VIEW, KVM_HYPR_MARK_EDITED, KVM_HYPR_GET_STATS,
	};
	struct vm *plain = vm_new_plain();
	size_t i;

	for (i = 0; i < sizeof(vm_requests) / sizeof(vm_requests[0]); i++)
		CHECK_RET(try_ioctl(vm->fd, vm_requests[i], arg), -ENOTTY);
	CHECK_RET(try_ioctl(vm->vcpu[0].fd, KVM_HYPR_KEEP_STATE, arg), -ENOTTY);
	for (i = 0; i < sizeof(on_views) / sizeof(on_views[0]); i++)
		CHECK_RET(try_ioctl(plain->fd, on_views[i], arg), -EINVAL);
	vm_view_add(plain, KVM_HYPR_VIEW_BOOT);
	vm_vcpu_add(plain);
	CHECK_RET(try_ioctl(plain->vcpu[0].fd, KVM_GET_EPTP, arg), -EINVAL);
	CHECK_RET(try_set_slot(plain, A, 0, 0, 0, 4096, memory_new(4096)), -EINVAL);
	CHECK_RET(try_enable_views(plain), -EINVAL);
}

/* A view has 32 slots of its own, by whichever number. */
static void test_slots_of_a_view(void)
{
	struct vm *vm = vm_new();
	uint8_t *p = memory_new(4096);
	unsigned int i, view;

	for (view = 0; view < 4; view++) {
		int want = view == KVM_HYPR_VIEW_SMM ? -EINVAL : 0;

		for (i = 0; i < 32; i++)
			CHECK_RET(try_set_slot(vm, view, i * 1000, 0, i << 12, 4096, p), want);
		CHECK_RET(try_set_slot(vm, view, 1, 0, i << 12, 4096, p),
			  want ? want : -ENOSPC);
	}
	CHECK_RET(try_set_slot(vm, KVM_HYPR_MAX_VIEWS, 0, 0, 0, 4096, p), -EINVAL);
}

/* ---- the notifier --------------------------------------------------------- */

/* One memory of the process in all three views: what it loses, all of them lose. */
static void test_memory_in_three_views(void)
{
	const size_t bytes = SHARED_PAGES * 4096;
	struct vm *vm = vm_new();
	uint64_t *memory = memory_new(bytes);
	unsigned int round, i;

	need_cpus(1);
	vm_views_add(vm, 2);
	for (i = 0; i < 3; i++)
		OK(try_set_slot(vm, views[i], SLOT_FREE, 0, SHARED_GPA, bytes, memory));
	vcpus_start(vm, 1);
	for (i = 0; i < 3; i++)
		OK(try_prepare(vm, views[i]));
	for (round = 1; round <= 20; round++) {
		uint64_t gpa = SHARED_GPA + tap_random() % SHARED_PAGES * 4096;

		/* Each view has the page mapped, two of them while inactive. */
		for (i = 0; i < 3; i++) {
			go(vm, views[i]);
			vcpu_write(&vm->vcpu[0], gpa, round);
		}
		CHECK(!madvise((uint8_t *)memory + (gpa - SHARED_GPA), 4096, MADV_DONTNEED));
		for (i = 0; i < 3; i++) {
			go(vm, views[i]);
			CHECK_EQ(vcpu_read(&vm->vcpu[0], gpa), 0);
		}
	}
}

/* What was unmapped while the view was inactive is nobody's. */
static void test_munmap_of_an_inactive_view(void)
{
	struct vm *vm = running_vm(1);
	struct vcpu *vcpu = &vm->vcpu[0];

	go(vm, A);
	vcpu_write(vcpu, GUEST_FREE_GPA, 1);
	go(vm, B);
	CHECK(!munmap(vm->ram[A] + GUEST_FREE_GPA, 4096));
	go(vm, A);
	vcpu->catch = true;
	vcpu_ask(vcpu, GUEST_READ, GUEST_FREE_GPA, 0, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, -EFAULT);
}

/* ---- faults and flushes ---------------------------------------------------- */

static void test_prepared_views_do_not_fault(void)
{
	struct vm *vm = vm_new();
	struct vcpu *vcpu;
	unsigned int i;

	need_cpus(1);
	vm_views_add(vm, 2);
	vcpus_start(vm, 1);
	vcpu = &vm->vcpu[0];
	for (i = A; i <= B; i++) {
		struct kvm_hypr_prepare part = {
			.view = i, .flags = KVM_HYPR_PREPARE_RANGE, .size = 0x1000,
		};

		ram_touch(vm, i);
		if (i == A)
			OK(try_prepare(vm, i));
		else
			OK(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &part));
	}
	go(vm, A);
	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, 1);
	CHECK_EQ(get_stats(vm).tail_open, 0);
	/* Of this view one page was built alone. */
	go(vm, B);
	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, 1);
	CHECK(get_stats(vm).tail_open >= (GUEST_ID2_GPA - GUEST_FREE_GPA) / 4096);
	go(vm, A);
	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, 2);
	CHECK_EQ(get_stats(vm).tail_open, 0);
}

/*
 * A swap flushes nothing, unless user space has edited the view.  With shadow paging the
 * TLB does not keep views apart: each vCPU that takes another view flushes, once.
 */
static void test_flushes_only_what_was_edited(void)
{
	const uint64_t swap = on_shadow() ? 2 : 0;
	struct kvm_hypr_mark_edited edited = { .view = A };
	struct vm *vm = running_vm(2);
	uint64_t before = get_stats(vm).flushes;
	unsigned int i;

	/* The first is to where they are. */
	for (i = 0; i < 30; i++)
		go(vm, views[i % 3]);
	before += 29 * swap;
	CHECK_EQ(get_stats(vm).flushes, before);
	/* Both vCPUs are in B: they flush when they come to A. */
	OK(try_ioctl(vm->fd, KVM_HYPR_MARK_EDITED, &edited));
	go(vm, 0);
	before += swap;
	CHECK_EQ(get_stats(vm).flushes, before);
	go(vm, A);
	CHECK_EQ(get_stats(vm).flushes, before + 2);
	/* In A they flush before they go on. */
	OK(try_ioctl(vm->fd, KVM_HYPR_MARK_EDITED, &edited));
	check_all_in_view(vm, A);
	CHECK_EQ(get_stats(vm).flushes, before + 4);
	go(vm, B);
	go(vm, A);
	before += 2 * swap;
	CHECK_EQ(get_stats(vm).flushes, before + 4);
	edited.view = B + 1;
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_MARK_EDITED, &edited), -ENOENT);
	edited = (struct kvm_hypr_mark_edited) { .view = A, .flags = 1 };
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_MARK_EDITED, &edited), -EINVAL);
}

/* ---- all or none ----------------------------------------------------------- */

/*
 * A vCPU that waits for user space's answer to a read cannot be swapped, and then no
 * other is: the answer belongs to the view that the instruction began in.
 */
static void test_unfinished_read(void)
{
	struct vm *vm = running_vm(3);
	struct vcpu *vcpu = &vm->vcpu[1];
	struct kvm_hypr_swap swap = {
		.view = A, .flags = KVM_EPT_SWAP_FORCE, .timeout_ns = 2000000,
	};
	struct kvm_hypr_eptp eptp = { 0 };
	const uint64_t word = 0x1234567890ull;

	vcpu->catch = true;
	vcpu_ask(vcpu, GUEST_READ, DEVICE_GPA, 0, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_MMIO);
	memcpy(vcpu->run->mmio.data, &word, sizeof(word));
	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap), -EAGAIN);
	CHECK_EQ(swap.generation, 0);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	CHECK_EQ(vcpu_view(&vm->vcpu[2]), 0);
	OK(try_ioctl(vcpu->fd, KVM_GET_EPTP, &eptp));
	CHECK_EQ(eptp.view, 0);
	CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_EPTP, &eptp), -EBUSY);
	vcpu_finish_io(vcpu);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
	CHECK_EQ(vcpu->guest->result[0], word);
	check_all_in_view(vm, A);
	CHECK_EQ(get_stats(vm).fail_hold, 1);
	CHECK_EQ(vm->vcpu[0].guest->log_count, 2);
}

struct reader {
	struct vm *vm;
	atomic_bool stop;
	uint64_t reads;
};

static void *reader_thread(void *arg)
{
	struct reader *reader = arg;
	struct kvm_hypr_stats stats;
	uint64_t last = 0;

	while (!atomic_load(&reader->stop)) {
		stats = get_stats(reader->vm);
		CHECK(stats.swaps >= last);
		CHECK_EQ(stats.commit.count, stats.swaps);
		last = stats.swaps;
		reader->reads++;
		OK(try_prepare(reader->vm, B + 1));
		OK(try_discard(reader->vm, B + 1));
	}
	return NULL;
}

/* Builds, discards and statistics by another thread, and memory that comes and goes. */
static void test_swaps_beside_everything(void)
{
	struct vm *vm = running_vm(2);
	struct reader reader = { .vm = vm };
	pthread_t thread;
	unsigned int i;

	vm_view_add(vm, B + 1);
	CHECK(!pthread_create(&thread, NULL, reader_thread, &reader));
	for (i = 0; i < 200; i++) {
		unsigned int view = views[tap_random() % 3];

		CHECK(!madvise(vm->ram[B + 1] + tap_random() % 100 * 4096, 0x20000,
			       MADV_DONTNEED));
		go(vm, view);
	}
	atomic_store(&reader.stop, true);
	CHECK(!pthread_join(thread, NULL));
	CHECK(reader.reads > 0);
	CHECK_EQ(get_stats(vm).swaps, 200);
}

/* ---- memory of the host ----------------------------------------------------- */

/* Reading the first file adds up what each CPU has counted. */
static long tables_kib(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_RDONLY);
	char byte;

	if (fd < 0)
		skip("/proc/sys/vm/stat_refresh: %m");
	CHECK(read(fd, &byte, 1) >= 0);
	close(fd);
	return meminfo_kib("SecPageTables");
}

static void test_tables_are_given_back(void)
{
	long before = tables_kib(), open_kib, less_kib;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		struct vm *vm = running_vm(1);

		go(vm, B);
		go(vm, A);
		open_kib = tables_kib() - before;
		OK(try_discard(vm, B));
		less_kib = tables_kib() - before;
		vm_close(vm);
		note("three views take %ld KiB of tables, without one of them %ld", open_kib,
		     less_kib);
		/*
		 * Three levels, and a table for each of three 2 MiB; the boot view is not
		 * prepared, and the guest does not touch its control page.  Shadow paging
		 * has tables of its own beside these.
		 */
		if (on_shadow())
			CHECK(open_kib > (6 + 6 + 5) * 4);
		else
			CHECK_EQ(open_kib, (6 + 6 + 5) * 4);
		CHECK(less_kib <= open_kib - 5 * 4);
		CHECK_EQ(tables_kib(), before);
	}
}

/* ---- a hostile guest -------------------------------------------------------- */

struct hostile {
	struct vcpu *vcpu;
	atomic_bool stop;
	atomic_bool done;
};

static void *hostile_thread(void *arg)
{
	struct hostile *hostile = arg;
	struct kvm_regs regs;
	unsigned int i;
	int ret = 0;

	pin_to_cpu(1);
	for (i = 0; i < 20 && ret != -EIO && !atomic_load(&hostile->stop); i++) {
		OK(try_ioctl(hostile->vcpu->fd, KVM_GET_REGS, &regs));
		regs.rip = GUEST_FREE_GPA + tap_random() % 0x100000;
		OK(try_ioctl(hostile->vcpu->fd, KVM_SET_REGS, &regs));
		ret = try_ioctl(hostile->vcpu->fd, KVM_RUN, NULL);
	}
	atomic_store(&hostile->done, true);
	return NULL;
}

/*
 * Random bytes run in views that are swapped under them.  A swap happens or is refused as
 * documented, and the swaps of a good VM beside it go on.
 */
static void test_hostile_guest(void)
{
	struct vm *good;
	unsigned int round, swaps = 0;

	need_cpus(2);
	good = vm_new();
	vm_views_add(good, 2);
	vm_vcpu_add(good);
	vm_vcpu_add(good);
	vcpu_start(&good->vcpu[1]);
	OK(try_prepare(good, A));
	for (round = 0; round < 12; round++) {
		struct vm *vm = vm_new();
		struct hostile hostile = { 0 };
		pthread_t thread;
		unsigned int i, end;

		vm_views_add(vm, 2);
		for (i = 0; i < 3; i++) {
			uint64_t gpa;

			for (gpa = GUEST_FREE_GPA; gpa < GUEST_FREE_GPA + 0x101000; gpa += 8)
				*ram_word(vm, views[i], gpa) = tap_random();
		}
		hostile.vcpu = vm_vcpu_add(vm);
		OK(try_prepare(vm, A));
		OK(try_prepare(vm, B));
		CHECK(!pthread_create(&thread, NULL, hostile_thread, &hostile));
		for (end = 0; end < 1000 && !atomic_load(&hostile.done); end++) {
			int ret = try_commit(vm, views[tap_random() % 3], KVM_EPT_SWAP_FORCE);

			if (ret && ret != -EAGAIN)
				FAIL("a swap of the hostile guest returned %d", ret);
			swaps += !ret;
			vm_commit(good, end % 2 ? 0 : A, KVM_EPT_SWAP_FORCE);
			CHECK_EQ(vcpu_view(&good->vcpu[1]), end % 2 ? 0 : A);
		}
		/* The guest may loop. */
		atomic_store(&hostile.stop, true);
		while (!atomic_load(&hostile.done)) {
			pthread_kill(thread, SIGUSR1);
			wait_relax();
		}
		CHECK(!pthread_join(thread, NULL));
		vm_close(vm);
	}
	note("%u swaps of hostile guests", swaps);
	CHECK(swaps > 0);
}

static const struct test tests[] = {
	{ "ioctls that are not there, and VMs without views", test_other_ioctls },
	{ "each view has 32 slots", test_slots_of_a_view },
	{ "memory that three views map leaves all three", test_memory_in_three_views },
	{ "memory unmapped from an inactive view is gone", test_munmap_of_an_inactive_view },
	{ "a prepared view does not fault, another does", test_prepared_views_do_not_fault },
	{ "a swap flushes only what was edited", test_flushes_only_what_was_edited },
	{ "a vCPU that waits for an answer holds up the swap of all", test_unfinished_read },
	{ "swaps beside builds, discards and madvise", test_swaps_beside_everything },
	{ "tables are given back: of a view, and of a VM", test_tables_are_given_back },
	{ "swaps of a hostile guest", test_hostile_guest },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
