// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_EPT_SWAP_RESET: while the vCPUs are held, each page that was written in the view
 * gets its moment's bytes again, whoever wrote it; or none does.
 */
#define _GNU_SOURCE
#include "moment.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MSR_SYSTEM_TIME	0x4b564d01

/* ---- what is put back ----------------------------------------------------------- */

static void test_random_pages(void)
{
	struct vm *vm = vm_reset(1);
	unsigned int round, i, few, more;

	few = reset(vm, RESET);
	for (round = 0; round < 100; round++) {
		unsigned int pages = tap_random() % 20;

		for (i = 0; i < pages; i++)
			write_page(vm, FIRST_PAGE + round + i * 20);
		/* The guest's commands and results are on shared pages. */
		more = reset(vm, RESET);
		CHECK(more >= pages && more <= pages + few + 4);
		CHECK_EQ(vcpu_read(&vm->vcpu[0], (FIRST_PAGE + round) * 4096 + 8),
			 *(uint64_t *)(moment + (FIRST_PAGE + round) * 4096 + 8));
	}
}

/* A report of what was written, and a reset, begin where the other has ended. */
static void test_reports(void)
{
	struct vm *vm = vm_reset(1);
	static uint64_t bits[ALL_PAGES / 64];
	unsigned int page = FIRST_PAGE + 70;

	write_page(vm, page);
	reset(vm, RESET);
	OK(try_written(vm, bits));
	CHECK(!(bits[page / 64] >> page % 64 & 1));
	write_page(vm, page);
	OK(try_written(vm, bits));
	CHECK(bits[page / 64] >> page % 64 & 1);
	OK(try_swap_all(vm, A, RESET));
	/* Who has taken the report has the page. */
	CHECK(memcmp(vm->ram[A] + page * 4096, moment + page * 4096, 4096));
	edited[page / 64] = 1ull << page % 64;
	reset(vm, RESET);
}

/* With the vCPU's state: KVM's own test of that is state_test.c. */
static void test_state(void)
{
	struct vm *vm = vm_reset(1);
	struct kvm_msrs none = { 0 };
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_regs regs;
	uint32_t kind;

	vcpu_stop(vcpu);
	for (kind = 0; kind <= KVM_HYPR_KEPT_MOMENT; kind++) {
		struct kvm_hypr_keep keep = {
			.view = A, .flags = kind, .msrs = (uintptr_t)&none,
		};

		OK(try_ioctl(vcpu->fd, KVM_HYPR_KEEP_STATE, &keep));
	}
	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	regs.r15 = 0x1234;
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	vcpu_start(vcpu);
	write_page(vm, FIRST_PAGE);
	reset(vm, RESET_ALL);
	CHECK_EQ(vcpu_view(vcpu), A);
	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
	CHECK(regs.r15 != 0x1234);
	/* A vCPU outside KVM_RUN cannot move, and then no byte moves. */
	vm->ram[A][FIRST_PAGE * 4096] ^= 1;
	edited[0] = 1ull << FIRST_PAGE;
	CHECK_RET(try_swap_all(vm, A, RESET_ALL), -EAGAIN);
	CHECK(memcmp(vm->ram[A] + FIRST_PAGE * 4096, moment + FIRST_PAGE * 4096, 4096));
	reset(vm, RESET);
}

/* A moment in which the vCPUs are parked has to be released. */
static void test_control_page(void)
{
	struct vm *vm = vm_reset(1);
	struct kvm_msrs none = { 0 };
	struct vcpu *vcpu = &vm->vcpu[0];
	uint32_t kind;

	vm_control_page_register(vm);
	vcpu_stop(vcpu);
	for (kind = 0; kind <= KVM_HYPR_KEPT_MOMENT; kind++) {
		struct kvm_hypr_keep keep = {
			.view = A, .flags = kind, .msrs = (uintptr_t)&none,
		};

		OK(try_ioctl(vcpu->fd, KVM_HYPR_KEEP_STATE, &keep));
	}
	vcpu_start(vcpu);
	vm->control->vcpu[0].state = HYPR_VCPU_RUNNING;
	vm->control->vcpu[0].pauses = 77;
	reset(vm, RESET);
	CHECK_EQ(vm->control->vcpu[0].state, HYPR_VCPU_RUNNING);
	edited[HYPR_CONTROL_GPA / 4096 / 64] = 1ull << HYPR_CONTROL_GPA / 4096 % 64;
	reset(vm, RESET_ALL);
	CHECK_EQ(vm->control->vcpu[0].state, HYPR_VCPU_PAUSED);
	/* It is no view's own. */
	CHECK_EQ(vm->control->vcpu[0].pauses, 77);
	vm->control->vcpu[0].state = HYPR_VCPU_OFFLINE;
	reset(vm, RESET_ALL);
	CHECK_EQ(vm->control->vcpu[0].state, HYPR_VCPU_OFFLINE);
}

/* KVM's emulator writes what INS reads, through the memory slot. */
static void test_emulated_write(void)
{
	struct vm *vm = vm_reset(1);
	struct vcpu *vcpu = &vm->vcpu[0];

	vcpu_ask(vcpu, GUEST_INS, 0x77, GUEST_FREE_GPA + 0x5000, 0);
	vcpu_wait_outside(vcpu);
	vcpu_finish_io(vcpu);
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
	CHECK(memcmp(vm->ram[A] + GUEST_FREE_GPA + 0x5000, moment + GUEST_FREE_GPA + 0x5000,
		     4096));
	reset(vm, RESET);
}

static void test_kvmclock(void)
{
	struct vm *vm = vm_reset(1);

	vcpu_do(&vm->vcpu[0], GUEST_WRMSR, MSR_SYSTEM_TIME, GUEST_FREE_GPA | 1, 0);
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	CHECK(memcmp(vm->ram[A] + GUEST_FREE_GPA, moment + GUEST_FREE_GPA, 4096));
	vcpu_do(&vm->vcpu[0], GUEST_WRMSR, MSR_SYSTEM_TIME, 0, 0);
	reset(vm, RESET);
}

/* KVM drops an SPTE, and its dirty flag with it; the host may have the page elsewhere. */
static void test_zapped(void)
{
	struct vm *vm = vm_reset(1);
	unsigned int i;

	for (i = 0; i < 8; i++)
		write_page(vm, FIRST_PAGE + i);
	zap(vm, FIRST_PAGE, 4);
	CHECK(!madvise(vm->ram[A] + (FIRST_PAGE + 4) * 4096, 4 * 4096, MADV_DONTNEED));
	/* These are zero now, and not there. */
	reset(vm, RESET);
}

static void test_user_writes(void)
{
	struct vm *vm = vm_reset(1);
	unsigned int page;

	for (page = FIRST_PAGE; page < LAST_PAGE; page += 50) {
		memset(vm->ram[A] + page * 4096, 0xee, 4096);
		edited[page / 64] |= 1ull << page % 64;
	}
	reset(vm, RESET);
	CHECK(edited[FIRST_PAGE / 64]);
}

/*
 * Two vCPUs write all the while, and KVM drops what they have written; the reset has them
 * held.  KVM knows all the time what was written.
 */
static void test_running_guest(void)
{
	const uint64_t middle = (FIRST_PAGE + LAST_PAGE) / 2 * 4096;
	struct vm *vm = vm_reset(2);
	unsigned int round, i;

	for (round = 0; round < 50; round++) {
		for (i = 0; i < 2; i++)
			vcpu_ask(&vm->vcpu[i], GUEST_FILL, i ? middle : GUEST_FREE_GPA,
				 i ? GUEST_ID2_GPA : middle, round);
		do
			OK(try_swap_all(vm, A, RESET));
		while (tap_random() % 8);
		if (round % 4 == 0)
			zap(vm, FIRST_PAGE + round, 5 + round * 4);
		for (i = 0; i < 2; i++)
			vcpu_wait_done(&vm->vcpu[i]);
		reset(vm, RESET);
	}
}

/* ---- errors --------------------------------------------------------------------- */

/* After each of them the page is as the guest wrote it, and the next reset knows it. */
static void check_refused(struct vm *vm, unsigned int page, uint32_t flags, int error)
{
	write_page(vm, page);
	CHECK_RET(try_swap_all(vm, A, flags), error);
	CHECK_EQ(*(uint64_t *)(vm->ram[A] + page * 4096 + 8), ~0ull);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
}

static void test_einval(void)
{
	struct vm *vm = vm_reset(1);
	struct kvm_hypr_moment arg = { .view = A, .size = 4096, .userspace_addr = 4096 };

	check_refused(vm, FIRST_PAGE, RESET | KVM_EPT_SWAP_STATE, -EINVAL);
	CHECK_RET(try_swap_all(vm, B, RESET), -EINVAL);
	CHECK_RET(try_commit(vm, A, RESET), -EINVAL);
	reset(vm, RESET);

	CHECK_RET(try_moment(vm, A, moment + 1, 4096, NULL), -EINVAL);
	CHECK_RET(try_moment(vm, A, moment, 4095, NULL), -EINVAL);
	CHECK_RET(try_moment(vm, A, moment, 0, NULL), -EINVAL);
	CHECK_RET(try_moment(vm, A, moment, 4096, (void *)(uintptr_t)4), -EINVAL);
	CHECK_RET(try_moment(vm, A, moment, KVM_HYPR_WRITTEN_MAX_PAGES * 4096 + 4096, NULL),
		  -EINVAL);
	CHECK_RET(try_moment(vm, A, (void *)0xffff888000000000ull, 4096, NULL), -EINVAL);
	CHECK_RET(try_moment(vm, A, moment, 4096, (void *)0xffff888000000000ull), -EINVAL);
	arg.flags = 2;
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_MOMENT, &arg), -EINVAL);
	arg.flags = 0;
	arg.reserved[2] = 1;
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_MOMENT, &arg), -EINVAL);
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_MOMENT, NULL), -EFAULT);
}

static void test_enoent(void)
{
	struct vm *vm = vm_reset(1);

	CHECK_RET(try_moment(vm, KVM_HYPR_VIEW_SMM, moment, 4096, NULL), -ENOENT);
	CHECK_RET(try_moment(vm, B + 1, moment, 4096, NULL), -ENOENT);
	CHECK_RET(try_moment(vm, ~0u, moment, 4096, NULL), -ENOENT);
}

static void test_enxio(void)
{
	struct vm *vm = vm_reset(1);

	OK(try_moment(vm, A, NULL, 0, NULL));
	check_refused(vm, FIRST_PAGE, RESET, -ENXIO);
	OK(try_moment(vm, A, moment, ALL_BYTES, edited));
	reset(vm, RESET);
}

static void test_ebusy(void)
{
	struct vm *vm = vm_reset(1);

	check_refused(vm, FIRST_PAGE, KVM_EPT_SWAP_RESET, -EBUSY);
	reset(vm, RESET);
}

/* Nobody knows what was written: the caller has to look at all pages. */
static void test_eopnotsupp(void)
{
	struct vm *vm = vm_reset(1);

	OK(try_set_slot(vm, A, SLOT_RAM, KVM_MEM_LOG_DIRTY_PAGES, 0, RAM_BYTES, vm->ram[A]));
	check_refused(vm, FIRST_PAGE, RESET, -EOPNOTSUPP);
	OK(try_set_slot(vm, A, SLOT_RAM, 0, 0, RAM_BYTES, vm->ram[A]));
	check_refused(vm, FIRST_PAGE, RESET, -EOPNOTSUPP);
	/* It stays so until somebody has asked. */
	check_refused(vm, FIRST_PAGE, RESET, -EOPNOTSUPP);
	forget_written(vm);
	memcpy(vm->ram[A], moment, RAM_BYTES);
	write_page(vm, FIRST_PAGE + 1);
	reset(vm, RESET);
}

static void test_e2big(void)
{
	struct vm *vm = vm_reset(1);
	static uint64_t bits[(KVM_HYPR_RESET_MAX_PAGES + 64) / 64];
	uint64_t bytes = sizeof(bits) * 8 * 4096;
	uint8_t *more = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	OK(try_moment(vm, A, moment, RAM_BYTES, NULL));
	check_refused(vm, FIRST_PAGE, RESET, -E2BIG);
	CHECK(more != MAP_FAILED);
	memset(bits, 0xff, sizeof(bits));
	OK(try_moment(vm, A, more, bytes, bits));
	check_refused(vm, FIRST_PAGE, RESET, -E2BIG);
	OK(try_moment(vm, A, moment, ALL_BYTES, edited));
	reset(vm, RESET);
}

/* The guest runs while a page of its moment is fetched: that is no part of the hold. */
static void test_missing(void)
{
	struct vm *vm = vm_reset(1);
	struct kvm_hypr_swap swap = { .view = A, .flags = RESET, .timeout_ns = SWAP_WAIT_NS };
	struct kvm_hypr_swap again = swap;
	uint8_t *page = moment + FIRST_PAGE * 4096;
	int fd = memfd_create("moment", 0);

	CHECK(fd >= 0 && pwrite(fd, page, 4096, 0) == 4096);
	CHECK(mmap(page, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == page);
	write_page(vm, FIRST_PAGE);
	OK(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap));
	check_is_moment(vm);
	CHECK(swap.pause_cycles > 0);

	write_page(vm, FIRST_PAGE);
	OK(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &again));
	check_is_moment(vm);
	CHECK_EQ(again.pause_cycles, 0);
	close(fd);
}

static void test_efault(void)
{
	struct vm *vm = vm_reset(1);
	uint8_t *page = moment + (FIRST_PAGE + 9) * 4096, *bits = memory_new(4096);

	write_page(vm, FIRST_PAGE);
	CHECK(!mprotect(page, 4096, PROT_NONE));
	check_refused(vm, FIRST_PAGE + 9, RESET, -EFAULT);
	CHECK_EQ(*(uint64_t *)(vm->ram[A] + FIRST_PAGE * 4096 + 8), ~0ull);
	CHECK(!mprotect(page, 4096, PROT_READ));
	reset(vm, RESET);

	CHECK(!munmap(bits, 4096));
	OK(try_moment(vm, A, moment, ALL_BYTES, bits));
	check_refused(vm, FIRST_PAGE, RESET, -EFAULT);
	OK(try_moment(vm, A, moment, ALL_BYTES, edited));
	reset(vm, RESET);
}

static atomic_bool stop;
static atomic_uint drop_cycles;

/* So often that a reset never has all of them; so seldom that it mostly has. */
#define OFTEN_CYCLES	40000
#define SELDOM_CYCLES	300000

/* The moment's pages come and go, one each drop_cycles. */
static void *dropper(void *arg)
{
	unsigned int page = 0;
	uint64_t start;

	(void)arg;
	pin_to_cpu(2);
	while (!atomic_load(&stop)) {
		madvise(moment + (FIRST_PAGE + page++ % (LAST_PAGE - FIRST_PAGE)) * 4096, 4096,
			MADV_DONTNEED);
		start = __builtin_ia32_rdtsc();
		while (__builtin_ia32_rdtsc() - start < atomic_load(&drop_cycles))
			;
	}
	return NULL;
}

/* Each page is as it was in the moment, or as it is there since it was dropped: zero. */
static void check_put_back(struct vm *vm)
{
	unsigned int page, i;

	for (page = FIRST_PAGE; page < LAST_PAGE; page++) {
		const uint8_t *byte = vm->ram[A] + page * 4096;

		CHECK(byte[0] == (uint8_t)page || !byte[0]);
		for (i = 1; i < 4096; i++)
			CHECK_EQ(byte[i], byte[0]);
	}
}

/* All of the reset, or -EAGAIN with nothing done: the guest runs on in any case. */
static void test_moment_that_goes(void)
{
	static uint8_t before[GUEST_ID2_GPA - GUEST_FREE_GPA];
	struct vm *vm = vm_reset(1);
	unsigned int round, done = 0, undone = 0;
	pthread_t thread;

	need_cpus(2);
	atomic_store(&stop, false);
	atomic_store(&drop_cycles, SELDOM_CYCLES);
	CHECK(!pthread_create(&thread, NULL, dropper, NULL));
	for (round = 0; round < 150; round++) {
		int ret;

		atomic_store(&drop_cycles, round % 2 ? OFTEN_CYCLES : SELDOM_CYCLES);
		vcpu_do(&vm->vcpu[0], GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, round + 1);
		memcpy(before, vm->ram[A] + GUEST_FREE_GPA, sizeof(before));
		ret = try_swap_all(vm, A, RESET);
		if (ret) {
			CHECK_RET(ret, -EAGAIN);
			CHECK(!memcmp(before, vm->ram[A] + GUEST_FREE_GPA, sizeof(before)));
		} else {
			check_put_back(vm);
		}
		done += !ret;
		undone += !!ret;
	}
	atomic_store(&stop, true);
	CHECK(!pthread_join(thread, NULL));
	note("%u resets, and %u not done", done, undone);
	CHECK(done && undone);
	write_page(vm, FIRST_PAGE);
	vcpu_do(&vm->vcpu[0], GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, 1);
	reset(vm, RESET);
}

static const struct test tests[] = {
	{ "100 times: the pages that the guest wrote", test_random_pages },
	{ "a reset and a report begin where the other ended", test_reports },
	{ "with the vCPU's state, or not at all", test_state },
	{ "the control page stays, and says that the vCPU has parked", test_control_page },
	{ "an instruction that KVM emulates", test_emulated_write },
	{ "kvmclock, written by KVM", test_kvmclock },
	{ "pages that KVM has zapped, or the host dropped", test_zapped },
	{ "pages that user space wrote", test_user_writes },
	{ "while two vCPUs write", test_running_guest },
	{ "pages of the moment that are not there yet", test_missing },
	{ "EINVAL: another view, flags, addresses, sizes", test_einval },
	{ "ENOENT: no such view", test_enoent },
	{ "ENXIO: no moment", test_enxio },
	{ "EBUSY: a vCPU that runs, without force", test_ebusy },
	{ "EOPNOTSUPP: nobody knows what was written", test_eopnotsupp },
	{ "E2BIG: memory beyond the moment, too many pages", test_e2big },
	{ "EFAULT: a page of the moment, or the bitmap, cannot be had", test_efault },
	{ "EAGAIN: a moment that goes away meanwhile", test_moment_that_goes },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
