// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who copies the pages of a reset (KVM_EPT_SWAP_RESET), and what it does about pages that
 * are not there: the threads of held vCPUs help, missing pages are fetched at once, zeros
 * need none.  What it costs others is told.
 */
#define _GNU_SOURCE
#include "moment.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FREE_PAGES	(LAST_PAGE - FIRST_PAGE)

#define BIG_GPA		0x1200000ull
#define BIG_PAGES	15360ull		/* 60 MiB */
#define BIG_BYTES	(BIG_PAGES * 4096)

static void write_all(struct vm *vm, unsigned int vcpu)
{
	vcpu_do(&vm->vcpu[vcpu], GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, tap_random());
}

/* ---- the threads of held vCPUs ---------------------------------------------------- */

static void check_shares(int nr_vcpus)
{
	struct vm *vm = vm_reset(nr_vcpus);
	uint64_t pages = 0, shared = 0, end = now_ns() + WAIT_NS;
	unsigned int round;

	/* On a machine that is busy they may have gone to sleep at the barrier. */
	for (round = 0; round < 10 || (!shared && now_ns() < end); round++) {
		write_all(vm, round % nr_vcpus);
		pages += reset(vm, RESET);
		shared = vm_stat(vm, "hypr.reset_shared");
	}
	note("%d vCPUs: %llu of %llu pages by their threads", nr_vcpus,
	     (unsigned long long)shared, (unsigned long long)pages);
	CHECK(pages >= round * FREE_PAGES);
	CHECK_EQ(vm_stat(vm, "hypr.reset_pages"), pages);
	CHECK(shared > 0 && shared < pages);
}

static void test_one(void)
{
	check_shares(1);
}

static void test_two(void)
{
	check_shares(2);
}

/* Nothing is written in vain, and a vCPU that is not in KVM_RUN is not waited for. */
static void test_no_help(void)
{
	struct vm *vm = vm_reset(1);

	write_all(vm, 0);
	vcpu_stop(&vm->vcpu[0]);
	CHECK(reset(vm, RESET) >= FREE_PAGES);
	CHECK_EQ(vm_stat(vm, "hypr.reset_shared"), 0);
	vcpu_start(&vm->vcpu[0]);
	write_page(vm, FIRST_PAGE);
	reset(vm, RESET);
}

static atomic_bool stop;

/* Take the vCPUs' threads out of KVM_RUN, and of the barrier, all the time. */
static void *disturber(void *arg)
{
	struct vm *vm = arg;
	unsigned int i = 0;

	while (!atomic_load(&stop)) {
		pthread_kill(vm->vcpu[i++ % vm->nr_vcpus].thread, SIGUSR1);
		usleep(20);
	}
	return NULL;
}

static void test_signals(void)
{
	struct vm *vm = vm_reset(2);
	pthread_t thread;
	unsigned int round, i;

	atomic_store(&stop, false);
	CHECK(!pthread_create(&thread, NULL, disturber, vm));
	for (round = 0; round < 50; round++) {
		for (i = 0; i < 2; i++)
			vcpu_ask(&vm->vcpu[i], GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, round);
		for (i = 0; i < 5; i++)
			OK(try_swap_all(vm, A, RESET));
		for (i = 0; i < 2; i++)
			vcpu_wait_done(&vm->vcpu[i]);
		reset(vm, RESET);
	}
	atomic_store(&stop, true);
	CHECK(!pthread_join(thread, NULL));
	note("%llu of %llu pages by the vCPUs' threads",
	     (unsigned long long)vm_stat(vm, "hypr.reset_shared"),
	     (unsigned long long)vm_stat(vm, "hypr.reset_pages"));
}

/* The process ends while its threads copy: nobody waits for anybody for ever. */
static void test_killed(void)
{
	unsigned int life;
	int status;
	pid_t pid;

	need_cpus(2);
	for (life = 0; life < 12; life++) {
		int ready[2];
		char byte;

		CHECK(!pipe(ready));
		pid = fork();
		CHECK(pid >= 0);
		if (!pid) {
			struct vm *vm = vm_reset(2);

			CHECK(write(ready[1], "", 1) == 1);
			for (;;) {
				write_all(vm, 0);
				OK(try_swap_all(vm, A, RESET));
			}
		}
		close(ready[1]);
		/* A child that skips or fails says so itself. */
		if (read(ready[0], &byte, 1) == 1) {
			usleep(tap_random() % 20000);
			CHECK(!kill(pid, SIGKILL));
		}
		close(ready[0]);
		CHECK(waitpid(pid, &status, 0) == pid);
		if (WIFEXITED(status))
			_exit(WEXITSTATUS(status));
		CHECK_EQ(WTERMSIG(status), SIGKILL);
	}
	reset(vm_reset(2), RESET);
}

/* ---- pages that are not there ------------------------------------------------------ */

/* The moment's own pages, in a file that nobody has mapped before. */
static void moment_unmap(void)
{
	uint8_t *pages = moment + FIRST_PAGE * 4096;
	int fd = memfd_create("moment", 0);

	CHECK(fd >= 0 && pwrite(fd, pages, FREE_PAGES * 4096, 0) == FREE_PAGES * 4096);
	CHECK(mmap(pages, FREE_PAGES * 4096, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == pages);
	/* Without it one fault has the pages around. */
	CHECK(!madvise(pages, FREE_PAGES * 4096, MADV_RANDOM));
	close(fd);
}

static void test_all_missing(void)
{
	struct vm *vm = vm_reset(1);

	moment_unmap();
	write_all(vm, 0);
	CHECK(reset(vm, RESET) >= FREE_PAGES);
	CHECK_EQ(vm_stat(vm, "hypr.reset_retries"), 1);
	write_all(vm, 0);
	reset(vm, RESET);
	CHECK_EQ(vm_stat(vm, "hypr.reset_retries"), 1);
}

/* User space has said that they should be there, and made no page of what is zero. */
static void test_all_mapped(void)
{
	struct vm *vm = vm_reset(1);
	struct kvm_hypr_moment arg = {
		.view = A, .flags = KVM_HYPR_MOMENT_MAP, .userspace_addr = (uintptr_t)moment,
		.size = ALL_BYTES, .bitmap = (uintptr_t)edited,
	};
	uint64_t retries;

	/* From here on the pages that all views share are there. */
	reset(vm, RESET);
	retries = vm_stat(vm, "hypr.reset_retries");
	moment_unmap();
	OK(try_ioctl(vm->fd, KVM_HYPR_SET_MOMENT, &arg));
	write_all(vm, 0);
	CHECK(reset(vm, RESET) >= FREE_PAGES);
	CHECK_EQ(vm_stat(vm, "hypr.reset_retries"), retries);
	/* What cannot be mapped is left. */
	CHECK(!mprotect(moment + FIRST_PAGE * 4096, 4096, PROT_NONE));
	CHECK(!munmap(moment + (LAST_PAGE - 1) * 4096, 4096));
	OK(try_ioctl(vm->fd, KVM_HYPR_SET_MOMENT, &arg));
	arg.size = 0;
	arg.userspace_addr = 0;
	arg.bitmap = 0;
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_MOMENT, &arg), -EINVAL);
}

/* The view's own, which user space and the guest have written, are fetched as well. */
static void test_all_dropped(void)
{
	struct vm *vm = vm_reset(1);
	unsigned int page;

	moment_unmap();
	write_all(vm, 0);
	CHECK(!madvise(vm->ram[A] + FIRST_PAGE * 4096, FREE_PAGES * 4096, MADV_DONTNEED));
	for (page = FIRST_PAGE; page < LAST_PAGE; page++)
		edited[page / 64] |= 1ull << page % 64;
	CHECK(reset(vm, RESET) >= FREE_PAGES);
	CHECK_EQ(vm_stat(vm, "hypr.reset_retries"), 1);
}

/* ---- pages that are zero in the moment --------------------------------------------- */

static int try_zeros(struct vm *vm, void *zeros)
{
	struct kvm_hypr_moment arg = {
		.view = A, .userspace_addr = (uintptr_t)moment, .size = ALL_BYTES,
		.bitmap = (uintptr_t)edited, .zeros = (uintptr_t)zeros,
	};

	return try_ioctl(vm->fd, KVM_HYPR_SET_MOMENT, &arg);
}

/* The moment has nothing to read there. */
static void test_zeros(void)
{
	struct vm *vm = vm_reset(1);
	static uint64_t zeros[ALL_PAGES / 64];
	uint8_t *pages = moment + FIRST_PAGE * 4096;
	uint64_t retries;
	unsigned int page;

	/* From here on the pages that all views share are there. */
	reset(vm, RESET);
	retries = vm_stat(vm, "hypr.reset_retries");
	for (page = FIRST_PAGE; page < LAST_PAGE - 100; page++)
		zeros[page / 64] |= 1ull << page % 64;
	CHECK(mmap(pages, (FREE_PAGES - 100) * 4096, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == pages);
	OK(try_zeros(vm, zeros));
	/* It is read once. */
	memset(zeros, 0, sizeof(zeros));
	write_all(vm, 0);
	OK(try_swap_all(vm, A, RESET));
	CHECK_EQ(vm_stat(vm, "hypr.reset_retries"), retries);
	/* Some are not mapped by the tables, some are gone. */
	write_all(vm, 0);
	zap(vm, FIRST_PAGE + 2, 2);
	CHECK(!madvise(vm->ram[A] + (FIRST_PAGE + 5) * 4096, 2 * 4096, MADV_DONTNEED));
	OK(try_swap_all(vm, A, RESET));
	CHECK_EQ(vm_stat(vm, "hypr.reset_retries"), retries + 1);
	CHECK(!mprotect(pages, (FREE_PAGES - 100) * 4096, PROT_READ));
	check_is_moment(vm);
	CHECK_EQ(vm->ram[A][FIRST_PAGE * 4096], 0);
	CHECK(vm->ram[A][(LAST_PAGE - 1) * 4096]);
	CHECK_EQ(vcpu_read(&vm->vcpu[0], FIRST_PAGE * 4096), 0);
}

static void test_zeros_errors(void)
{
	struct vm *vm = vm_reset(1);
	uint8_t *gone = memory_new(4096);

	CHECK(!munmap(gone, 4096));
	CHECK_RET(try_zeros(vm, gone), -EFAULT);
	CHECK_RET(try_zeros(vm, (void *)0xffff888000000000ull), -EFAULT);
	CHECK_RET(try_zeros(vm, (uint8_t *)edited + 1), -EINVAL);
	/* What was said before stays. */
	write_page(vm, FIRST_PAGE);
	reset(vm, RESET);
}

/* ---- what it costs others ----------------------------------------------------------- */

struct waiter {
	struct vm *vm;
	uint64_t most;
	unsigned int times;
};

/* KVM's MMU notifier takes mmu_lock, as memory reclaim of the host does. */
static void *waiter(void *arg)
{
	struct waiter *waiter = arg;
	uint64_t start, took;

	pin_to_cpu(3);
	while (!atomic_load(&stop)) {
		start = __builtin_ia32_rdtsc();
		zap(waiter->vm, FIRST_PAGE, 1);
		took = __builtin_ia32_rdtsc() - start;
		if (took > waiter->most)
			waiter->most = took;
		waiter->times++;
	}
	return NULL;
}

static uint64_t longest_wait(struct vm *vm, struct kvm_hypr_swap *swap)
{
	struct waiter data = { .vm = vm };
	unsigned int before;
	pthread_t thread;

	atomic_store(&stop, false);
	CHECK(!pthread_create(&thread, NULL, waiter, &data));
	WAIT_UNTIL(__atomic_load_n(&data.times, __ATOMIC_RELAXED) > 5);
	if (swap)
		OK(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, swap));
	before = __atomic_load_n(&data.times, __ATOMIC_RELAXED);
	WAIT_UNTIL(__atomic_load_n(&data.times, __ATOMIC_RELAXED) > before + 5);
	atomic_store(&stop, true);
	CHECK(!pthread_join(thread, NULL));
	return data.most;
}

/* As many pages as a reset takes at once, or nearly. */
static void test_others_wait(void)
{
	static uint64_t bits[(BIG_GPA + BIG_BYTES) / 4096 / 64];
	struct kvm_hypr_swap swap = { .view = A, .flags = RESET, .timeout_ns = SWAP_WAIT_NS };
	struct kvm_hypr_written written = {
		.view = A, .nr_pages = (BIG_GPA + BIG_BYTES) / 4096, .bitmap = (uintptr_t)bits,
	};
	struct vm *vm = vm_reset(2);
	uint8_t *big = memory_new(BIG_BYTES), *all = memory_new(BIG_GPA + BIG_BYTES);
	uint64_t page, alone, meanwhile;

	need_cpus(3);
	memcpy(all, moment, RAM_BYTES);
	CHECK(mremap(vm->shared, 0, GUEST_SHARED_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		     all + GUEST_SHARED_GPA) == all + GUEST_SHARED_GPA);
	memset(big, 1, BIG_BYTES);
	memset(all + BIG_GPA, 2, BIG_BYTES);
	OK(try_set_slot(vm, A, SLOT_FREE, 0, BIG_GPA, BIG_BYTES, big));
	OK(try_prepare(vm, A));
	OK(try_ioctl(vm->fd, KVM_HYPR_GET_WRITTEN, &written));
	memset(bits, 0, sizeof(bits));
	for (page = BIG_GPA / 4096; page < (BIG_GPA + BIG_BYTES) / 4096; page++)
		bits[page / 64] |= 1ull << page % 64;
	OK(try_moment(vm, A, all, BIG_GPA + BIG_BYTES, bits));
	alone = longest_wait(vm, NULL);
	meanwhile = longest_wait(vm, &swap);
	note("to protect a page takes %llu cycles; while %llu pages are put back, in %llu: %llu",
	     (unsigned long long)alone, BIG_PAGES, (unsigned long long)swap.commit_cycles,
	     (unsigned long long)meanwhile);
	CHECK(swap.pages >= BIG_PAGES);
	CHECK(!memcmp(big, all + BIG_GPA, BIG_BYTES));
}

static const struct test tests[] = {
	{ "one vCPU: its thread copies pages, too", test_one },
	{ "two vCPUs: their threads do", test_two },
	{ "no vCPU in KVM_RUN: nobody helps", test_no_help },
	{ "threads that signals take out of KVM_RUN", test_signals },
	{ "a process that is killed meanwhile", test_killed },
	{ "all pages of the moment missing: fetched at once", test_all_missing },
	{ "the moment is mapped in advance: none is missing", test_all_mapped },
	{ "all pages of the view gone as well: the same", test_all_dropped },
	{ "pages that are zero in the moment are not read there", test_zeros },
	{ "EFAULT, EINVAL: the bitmap of zeros", test_zeros_errors },
	{ "how long others wait for the tables", test_others_wait },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
