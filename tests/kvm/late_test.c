// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory that comes late: a page that user space has yet to deliver
 * (userfaultfd), as one from a slow disk or from another machine would.  A swap
 * waits for the vCPU that waits for it, up to its deadline; a guest that takes
 * asynchronous page faults is not told in one view of a page of another.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define A		KVM_HYPR_VIEW_FIRST
#define PV_GPA		GUEST_FREE_GPA
#define LATE_GPA	0x30000
#define LATE_WORD	0x1a7e1a7e1a7e1a7eull

#define MSR_ASYNC_PF_EN	0x4b564d02
#define MSR_ASYNC_PF_INT 0x4b564d06

#define TIMEOUT_NS	20000000ull

/* The boot view's page at LATE_GPA is not there until page_deliver(). */
static int page_withhold(struct vm *vm)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = {
		.range.start = (uintptr_t)vm->ram[0] + LATE_GPA,
		.range.len = 4096,
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		skip("userfaultfd: %m");
	CHECK(!madvise(vm->ram[0] + LATE_GPA, 4096, MADV_DONTNEED));
	CHECK(!ioctl(fd, UFFDIO_API, &api));
	CHECK(!ioctl(fd, UFFDIO_REGISTER, &area));
	return fd;
}

/* Returns when somebody waits for the page. */
static void page_wait_wanted(int fd)
{
	struct pollfd wanted = { .fd = fd, .events = POLLIN };
	struct uffd_msg msg;

	CHECK(poll(&wanted, 1, 5000) == 1);
	CHECK(read(fd, &msg, sizeof(msg)) == sizeof(msg));
	CHECK_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
}

static void page_deliver(struct vm *vm, int fd)
{
	static uint64_t page[512] __attribute__((aligned(4096))) = { LATE_WORD };
	struct uffdio_copy copy = {
		.dst = (uintptr_t)vm->ram[0] + LATE_GPA,
		.src = (uintptr_t)page,
		.len = sizeof(page),
	};

	CHECK(!ioctl(fd, UFFDIO_COPY, &copy));
}

static int try_commit_within(struct vm *vm, unsigned int view, uint64_t ns)
{
	struct kvm_hypr_swap swap = {
		.view = view, .flags = KVM_EPT_SWAP_FORCE, .timeout_ns = ns,
	};

	return try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap);
}

/* vCPU 0 of @nr_vcpus waits for the page. */
static struct vm *vm_waiting(int nr_vcpus, int *fd)
{
	struct vm *vm = vm_new();

	need_cpus(nr_vcpus);
	vm_views_add(vm, 1);
	vcpus_start(vm, nr_vcpus);
	OK(try_prepare(vm, A));
	*fd = page_withhold(vm);
	vcpu_ask(&vm->vcpu[0], GUEST_READ, LATE_GPA, 0, 0);
	page_wait_wanted(*fd);
	return vm;
}

static void test_deadline(void)
{
	struct kvm_hypr_stats stats = { 0 };
	struct vm *vm;
	int fd;

	vm = vm_waiting(2, &fd);
	CHECK_RET(try_commit_within(vm, A, TIMEOUT_NS), -EAGAIN);
	CHECK_RET(try_commit_within(vm, A, TIMEOUT_NS), -EAGAIN);
	OK(try_ioctl(vm->fd, KVM_HYPR_GET_STATS, &stats));
	CHECK_EQ(stats.fail_hold, 2);
	CHECK_EQ(stats.swaps, 0);
	/* Neither is anywhere else. */
	CHECK_EQ(vcpu_view(&vm->vcpu[1]), 0);
	page_deliver(vm, fd);
	vcpu_wait_done(&vm->vcpu[0]);
	CHECK_EQ(vm->vcpu[0].guest->result[0], LATE_WORD);
	check_all_in_view(vm, 0);
	OK(try_commit_within(vm, A, 0));
	check_all_in_view(vm, A);
	close(fd);
}

/* ---- a fatal signal ------------------------------------------------------ */

/* In a process that is killed in the middle of its swap. */
static _Noreturn void swap_until_killed(int to_parent)
{
	int fd, stats;
	struct vm *vm = vm_waiting(1, &fd);

	stats = try_ioctl(vm->fd, KVM_GET_STATS_FD, NULL);
	CHECK(stats >= 0);
	CHECK(write(to_parent, &stats, sizeof(stats)) == sizeof(stats));
	try_commit_within(vm, A, KVM_EPT_SWAP_TIMEOUT_MAX_NS);
	FAIL("the swap has ended, and nobody killed it");
}

/* The thread that swaps sleeps between two looks, and does so nowhere else. */
static bool sleeps_in_kernel(pid_t pid)
{
	char path[64], text[256] = "", *state;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, pid);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	state = strrchr(text, ')');
	CHECK(state);
	return state[2] == 'D';
}

static void test_fatal_signal(void)
{
	int ready[2], stats, status, pidfd;
	uint64_t value;
	pid_t pid;

	CHECK(!pipe(ready));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		swap_until_killed(ready[1]);
	close(ready[1]);
	if (read(ready[0], &stats, sizeof(stats)) != sizeof(stats)) {
		CHECK(waitpid(pid, &status, 0) == pid);
		skip("a VM that waits for a page could not be made");
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	CHECK(pidfd >= 0);
	stats = (int)syscall(SYS_pidfd_getfd, pidfd, stats, 0);
	CHECK(stats >= 0);
	WAIT_UNTIL(sleeps_in_kernel(pid));
	CHECK(!kill(pid, SIGKILL));
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	stat_values(stats, "hypr.fail_signal", &value, 1);
	CHECK_EQ(value, 1);
	stat_values(stats, "hypr.swaps", &value, 1);
	CHECK_EQ(value, 0);
}

/* ---- asynchronous page faults -------------------------------------------- */

static uint32_t *apf_token(struct vm *vm, unsigned int view)
{
	return (uint32_t *)ram_word(vm, view, PV_GPA) + 1;
}

/*
 * The guest is told that the page comes late, and is then in another view when
 * it comes: there it hears "wake all", once, and of that page nothing.
 */
static void test_page_of_the_view_that_was_left(void)
{
	struct vm *vm = vm_new();
	struct vcpu *vcpu;
	const uint32_t all = ~0u;
	uint64_t wakes, beats;
	int fd;

	need_cpus(1);
	vm_views_add(vm, 1);
	vcpus_start(vm, 1);
	vcpu = &vm->vcpu[0];
	OK(try_prepare(vm, A));
	vcpu_do(vcpu, GUEST_WRMSR, MSR_ASYNC_PF_INT, GUEST_WAKE_VECTOR, 0);
	vcpu_do(vcpu, GUEST_WRMSR, MSR_ASYNC_PF_EN, PV_GPA | 1 | 2 | 8, 0);
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->wakes, __ATOMIC_SEQ_CST) == 1);
	*apf_token(vm, 0) = 0;

	fd = page_withhold(vm);
	vcpu->guest->apf_gpa = PV_GPA;
	vcpu->guest->halt = 1;
	vcpu_ask(vcpu, GUEST_READ, LATE_GPA, 0, 0);
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->apf_missing,
				   __ATOMIC_SEQ_CST) == 1);
	page_wait_wanted(fd);
	wakes = vcpu->guest->wakes;

	/* It waits for the page in its own way, so the swap need not. */
	OK(try_commit_within(vm, A, 0));
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->view, __ATOMIC_SEQ_CST) == A);
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->wakes,
				   __ATOMIC_SEQ_CST) == wakes + 1);
	CHECK_EQ(*apf_token(vm, A), all);
	/* Room for another event, should there be one. */
	*apf_token(vm, A) = 0;
	page_deliver(vm, fd);
	beats = __atomic_load_n(&vcpu->guest->beats, __ATOMIC_SEQ_CST);
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->beats, __ATOMIC_SEQ_CST) >
		   beats + 1000);
	CHECK_EQ(*apf_token(vm, A), 0);
	CHECK_EQ(vcpu->guest->wakes, wakes + 1);

	/* Back where it waits: all pages may have come, and this one has. */
	OK(try_commit_within(vm, 0, 0));
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->wakes,
				   __ATOMIC_SEQ_CST) == wakes + 2);
	CHECK_EQ(*apf_token(vm, 0), all);
	__atomic_store_n(&vcpu->guest->halt, 0, __ATOMIC_SEQ_CST);
	vcpu_wait_done(vcpu);
	CHECK_EQ(vcpu->guest->result[0], LATE_WORD);
	CHECK_EQ(vcpu->guest->apf_missing, 1);
	close(fd);
}

/*
 * Thrown out of KVM_RUN while KVM has it halted for the page, and swapped: the page
 * is none of the new view's business.
 */
static void test_halt_for_a_page_is_left_behind(void)
{
	struct vm *vm;
	struct vcpu *vcpu;
	int fd;

	vm = vm_waiting(1, &fd);
	vcpu = &vm->vcpu[0];
	vcpu_stop(vcpu);
	vm_commit(vm, A, 0);
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), A);
	CHECK_EQ(vcpu_read(vcpu, LATE_GPA), 0);
	/* Nor does it matter there that it comes. */
	page_deliver(vm, fd);
	vcpu_halt(vcpu);
	vcpu_wake(vcpu);
	CHECK_EQ(vcpu_view(vcpu), A);
	vm_commit(vm, 0, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_read(vcpu, LATE_GPA), LATE_WORD);
	close(fd);
}

/* ---- waits of a swap, and their deadline --------------------------------- */

struct call {
	struct vm *vm;
	pthread_t thread;
	unsigned int view;
	atomic_int tid;
	int ret;
};

/* Asleep in the kernel, in a wait that signals do not end. */
static void wait_asleep(struct call *call)
{
	char path[64], text[256], *state;
	ssize_t bytes;
	bool asleep;

	WAIT_UNTIL(atomic_load(&call->tid));
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", call->tid);
	do {
		int fd = open(path, O_RDONLY);

		CHECK(fd >= 0);
		bytes = read(fd, text, sizeof(text) - 1);
		close(fd);
		CHECK(bytes > 0);
		text[bytes] = '\0';
		state = strrchr(text, ')');
		CHECK(state);
		asleep = state[2] == 'D';
	} while (!asleep);
}

static void *prepare_thread(void *arg)
{
	struct call *call = arg;

	atomic_store(&call->tid, (int)syscall(SYS_gettid));
	call->ret = try_prepare(call->vm, call->view);
	return NULL;
}

static void *discard_thread(void *arg)
{
	struct call *call = arg;

	atomic_store(&call->tid, (int)syscall(SYS_gettid));
	call->ret = try_discard(call->vm, call->view);
	return NULL;
}

static void *slot_thread(void *arg)
{
	struct call *call = arg;

	atomic_store(&call->tid, (int)syscall(SYS_gettid));
	call->ret = try_set_slot(call->vm, call->view, SLOT_FREE, 0, 0x8000000,
				 4096, memory_new(4096));
	return NULL;
}

/* The views do not exclude each other: the build of one waits for its memory. */
static void test_rebuild_behind_a_build(void)
{
	struct kvm_hypr_cache cache = { .max_tables = 1 };
	struct kvm_hypr_stats stats = { 0 };
	struct call build = { .view = 0 };
	struct vm *vm = vm_new();
	int fd;

	vm_views_add(vm, 1);
	vm_vcpu_add(vm);
	OK(try_prepare(vm, A));
	OK(try_ioctl(vm->fd, KVM_HYPR_SET_CACHE, &cache));
	CHECK_EQ(cache.evicted, 1u << A);
	cache = (struct kvm_hypr_cache) { 0 };
	OK(try_ioctl(vm->fd, KVM_HYPR_SET_CACHE, &cache));

	fd = page_withhold(vm);
	build.vm = vm;
	CHECK_RET(pthread_create(&build.thread, NULL, prepare_thread, &build), 0);
	page_wait_wanted(fd);
	CHECK_RET(try_commit_within(vm, A, TIMEOUT_NS), -EAGAIN);
	/* A swap that needs no build goes on. */
	OK(try_commit_within(vm, 0, TIMEOUT_NS));
	page_deliver(vm, fd);
	CHECK_RET(pthread_join(build.thread, NULL), 0);
	CHECK_EQ(build.ret, 0);
	OK(try_commit_within(vm, A, 0));
	OK(try_ioctl(vm->fd, KVM_HYPR_GET_STATS, &stats));
	CHECK_EQ(stats.swaps, 2);
	CHECK_EQ(stats.fail_lock, 1);
	close(fd);
}

/*
 * vCPU 0 waits for its page as a reader of memslots, a change of slots waits for
 * vCPU 0, a discard waits for the change.  A swap of vCPU 1 waits for none of them.
 */
static void test_swap_beside_a_discard(void)
{
	struct kvm_hypr_swap swap = {
		.view = A,
		.flags = KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_VCPUS,
		.vcpu_mask = 2,
		.timeout_ns = TIMEOUT_NS,
	};
	struct call slots = { .view = 0 }, discard = { .view = A + 1 };
	struct vm *vm;
	int fd;

	need_cpus(2);
	vm = vm_new();
	vm_views_add(vm, 2);
	vcpus_start(vm, 2);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, A + 1));
	fd = page_withhold(vm);
	/* With interrupts off KVM waits for the page in the fault itself. */
	vcpu_ask(&vm->vcpu[0], GUEST_READ_CLI, LATE_GPA, 0, 0);
	page_wait_wanted(fd);

	slots.vm = discard.vm = vm;
	CHECK_RET(pthread_create(&slots.thread, NULL, slot_thread, &slots), 0);
	wait_asleep(&slots);
	CHECK_RET(pthread_create(&discard.thread, NULL, discard_thread, &discard),
		  0);
	wait_asleep(&discard);
	OK(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap));
	CHECK_EQ(vcpu_view(&vm->vcpu[1]), A);

	page_deliver(vm, fd);
	vcpu_wait_done(&vm->vcpu[0]);
	CHECK_RET(pthread_join(slots.thread, NULL), 0);
	CHECK_RET(pthread_join(discard.thread, NULL), 0);
	CHECK_EQ(slots.ret, 0);
	CHECK_EQ(discard.ret, 0);
	close(fd);
}

static const struct test tests[] = {
	{ "EAGAIN: a vCPU that waits for its memory, the guest stays",
	  test_deadline },
	{ "EINTR: killed in the middle of a swap", test_fatal_signal },
	{ "a late page of the view that was left is not told to the next",
	  test_page_of_the_view_that_was_left },
	{ "a vCPU that was halted for a late page runs in the next view",
	  test_halt_for_a_page_is_left_behind },
	{ "EAGAIN: a swap that must build, behind a build that waits",
	  test_rebuild_behind_a_build },
	{ "a swap beside a discard that waits for memslots",
	  test_swap_beside_a_discard },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
