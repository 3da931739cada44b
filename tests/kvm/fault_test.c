// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each allocation and each copy from and to user space of each HYPR ioctl fails
 * once: the first, the second, and so on, until the ioctl ends without having
 * met a failure (fail-nth of the kernel's fault injection).  Every time the
 * errno is one that is documented, and VM and view are as before: the guest
 * goes on, and the same call without the failure succeeds.
 *
 * Every step starts with a new VM, so that each meets the same allocations.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define A		KVM_HYPR_VIEW_FIRST
#define GUEST_PORT	0x10
#define MAX_POINTS	400

/*
 * A call that is made to fail: @setup makes the VM, @call is the ioctl, @check
 * sees that nothing changed for worse after @ret, and ends with success.
 */
struct faulty {
	const char *name;
	struct vm *(*setup)(void);
	int (*call)(struct vm *vm);
	void (*check)(struct vm *vm, int ret);
};

static int fail_nth = -1;

static void set_knob(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	CHECK(write(fd, value, strlen(value)) == (ssize_t)strlen(value));
	close(fd);
}

static void need_fault_injection(void)
{
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_nth < 0)
		skip("this kernel has no fault injection (/proc/thread-self/fail-nth: %m)");
	/* Allocations that may sleep, of single pages, fail too, in silence. */
	set_knob("failslab/ignore-gfp-wait", "N");
	set_knob("failslab/verbose", "0");
	set_knob("fail_page_alloc/ignore-gfp-wait", "N");
	set_knob("fail_page_alloc/ignore-gfp-highmem", "N");
	set_knob("fail_page_alloc/min-order", "0");
	set_knob("fail_page_alloc/verbose", "0");
	set_knob("fail_usercopy/verbose", "0");
}

/* Returns whether the nth point was met; *ret is what the call returned. */
static bool call_failing(const struct faulty *f, struct vm *vm, unsigned int nth,
			 int *ret)
{
	char text[16] = "";
	ssize_t got;

	snprintf(text, sizeof(text), "%u", nth);
	CHECK(pwrite(fail_nth, text, strlen(text), 0) == (ssize_t)strlen(text));
	*ret = f->call(vm);
	memset(text, 0, sizeof(text));
	/* Reading is a point too: what fails there did not fail before. */
	got = pread(fail_nth, text, sizeof(text) - 1, 0);
	/* And so is writing; it is met once. */
	if (pwrite(fail_nth, "0", 1, 0) != 1)
		CHECK(pwrite(fail_nth, "0", 1, 0) == 1);
	return got > 0 && atoi(text) == 0;
}

/* HYPR_FAULT_STEP: only each such point, for a run that is short of time. */
static void fail_each_point(const struct faulty *f)
{
	const char *given = getenv("HYPR_FAULT_STEP");
	unsigned int step = given ? strtoul(given, NULL, 0) : 1;
	unsigned int nth, met = 0, failed = 0;
	bool reached;

	need_fault_injection();
	alarm(900);
	for (nth = 1;; nth += nth < 4 ? 1 : step) {
		struct vm *vm = f->setup();
		int ret;

		CHECK(nth < MAX_POINTS);
		reached = call_failing(f, vm, nth, &ret);
		if (!reached && ret)
			FAIL("%s: %d without a failure", f->name, ret);
		if (ret && ret != -ENOMEM && ret != -EFAULT)
			FAIL("%s: failure %u gives %d", f->name, nth, ret);
		met += reached;
		failed += !!ret;
		f->check(vm, ret);
		vm_close(vm);
		if (!reached)
			break;
	}
	note("%s: %u points of failure, %u of them made it fail", f->name, met,
	     failed);
	/* Its arguments are copied: there is always one. */
	CHECK(failed > 0);
}

static struct vm *small_vm(unsigned int nr_views)
{
	struct vm *vm = vm_new();

	vm_views_add(vm, nr_views);
	vm_vcpu_add(vm);
	return vm;
}

/* The guest says in which view it is. */
static void check_guest_in(struct vm *vm, unsigned int view)
{
	if (!vm->vcpu[0].started)
		vcpu_start(&vm->vcpu[0]);
	check_all_in_view(vm, view);
}

/* ---- enable ------------------------------------------------------------- */

static struct vm *setup_enable(void)
{
	return vm_new_plain();
}

static void check_enable(struct vm *vm, int ret)
{
	if (ret)
		OK(try_enable_views(vm));
	CHECK_RET(try_enable_views(vm), -EINVAL);
	vm_views_add(vm, 1);
	vm_vcpu_add(vm);
	check_guest_in(vm, 0);
	OK(try_prepare(vm, A));
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	check_guest_in(vm, A);
}

static void test_enable(void)
{
	static const struct faulty f = {
		"enable", setup_enable, try_enable_views, check_enable
	};

	fail_each_point(&f);
}

/* ---- prepare ------------------------------------------------------------ */

static struct vm *setup_prepare(void)
{
	struct vm *vm = small_vm(1);

	vcpu_start(&vm->vcpu[0]);
	return vm;
}

static int call_prepare(struct vm *vm)
{
	return try_prepare(vm, A);
}

static void check_prepare(struct vm *vm, int ret)
{
	check_guest_in(vm, 0);
	/* After EFAULT it is prepared or not, as with any ioctl. */
	if (ret == -ENOMEM)
		CHECK_RET(try_commit(vm, A, KVM_EPT_SWAP_FORCE), -ENODATA);
	OK(try_prepare(vm, A));
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	check_guest_in(vm, A);
	vm_commit(vm, 0, KVM_EPT_SWAP_FORCE);
	OK(try_discard(vm, A));
	check_guest_in(vm, 0);
}

static void test_prepare(void)
{
	static const struct faulty f = {
		"prepare", setup_prepare, call_prepare, check_prepare
	};

	fail_each_point(&f);
}

/* ---- swap --------------------------------------------------------------- */

static struct vm *setup_swap(void)
{
	struct vm *vm = setup_prepare();

	vm_control_page_register(vm);
	vcpu_do(&vm->vcpu[0], GUEST_ONLINE, 0, 0, 0);
	OK(try_prepare(vm, A));
	return vm;
}

static int call_commit(struct vm *vm)
{
	return try_commit(vm, A, KVM_EPT_SWAP_FORCE);
}

static int call_swap_all(struct vm *vm)
{
	return try_swap_all(vm, A, KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME);
}

/* EFAULT may be that the swap cannot be reported: then it is whole. */
static void check_swap(struct vm *vm, int ret)
{
	unsigned int view = vcpu_view(&vm->vcpu[0]);

	if (ret == -ENOMEM)
		CHECK_EQ(view, 0);
	else if (!ret)
		CHECK_EQ(view, A);
	vm_commit(vm, view ? 0 : A, KVM_EPT_SWAP_FORCE);
	check_guest_in(vm, view ? 0 : A);
	OK(try_swap_all(vm, A, KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME));
	check_guest_in(vm, A);
}

static void test_commit(void)
{
	static const struct faulty f = {
		"commit", setup_swap, call_commit, check_swap
	};

	fail_each_point(&f);
}

static void test_swap_all(void)
{
	static const struct faulty f = {
		"swap all", setup_swap, call_swap_all, check_swap
	};

	fail_each_point(&f);
}

/* ---- the vCPU's part of a swap ------------------------------------------ */

/* Swapped to a view whose root it never loaded, outside KVM_RUN. */
static struct vm *setup_enter(void)
{
	struct vm *vm = small_vm(1);
	struct vcpu *vcpu = &vm->vcpu[0];

	vcpu->guest->cmd = GUEST_OUT;
	vcpu->guest->arg[0] = GUEST_PORT;
	vcpu->guest->cmd_seq = 1;
	OK(try_prepare(vm, A));
	vm_commit(vm, A, 0);
	return vm;
}

static int call_run(struct vm *vm)
{
	return try_ioctl(vm->vcpu[0].fd, KVM_RUN, NULL);
}

/* In the new view at its first instruction, however often it had to try. */
static void check_enter(struct vm *vm, int ret)
{
	struct guest_cpu *guest = vm->vcpu[0].guest;
	struct kvm_run *run = vm->vcpu[0].run;

	/* Where the CPU does not tell the next RIP, KVM reads the OUT: that can fail. */
	if (ret || run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		OK(call_run(vm));
	CHECK_EQ(run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(guest->view, A);
	CHECK_EQ(guest->log[0], A);
	CHECK_EQ(guest->log_count, 1);
}

static void test_enter(void)
{
	static const struct faulty f = {
		"KVM_RUN after a swap", setup_enter, call_run, check_enter
	};

	fail_each_point(&f);
}

/* ---- discard ------------------------------------------------------------ */

static struct vm *setup_discard(void)
{
	struct vm *vm = setup_prepare();

	OK(try_prepare(vm, A));
	return vm;
}

static int call_discard(struct vm *vm)
{
	return try_discard(vm, A);
}

static void check_discard(struct vm *vm, int ret)
{
	check_guest_in(vm, 0);
	if (ret)
		vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	else
		CHECK_RET(try_commit(vm, A, KVM_EPT_SWAP_FORCE), -ENODATA);
	check_guest_in(vm, ret ? A : 0);
}

static void test_discard(void)
{
	static const struct faulty f = {
		"discard", setup_discard, call_discard, check_discard
	};

	fail_each_point(&f);
}

/* ---- control page ------------------------------------------------------- */

static int call_control(struct vm *vm)
{
	struct kvm_hypr_control control = {
		.gpa = HYPR_CONTROL_GPA,
		.userspace_addr = (uintptr_t)vm->control,
	};

	return try_ioctl(vm->fd, KVM_HYPR_SET_CONTROL_PAGE, &control);
}

static void check_control(struct vm *vm, int ret)
{
	check_guest_in(vm, 0);
	if (ret)
		OK(call_control(vm));
	CHECK_RET(call_control(vm), -EEXIST);
	vcpu_do(&vm->vcpu[0], GUEST_ONLINE, 0, 0, 0);
	OK(try_prepare(vm, A));
	OK(call_swap_all(vm));
	check_guest_in(vm, A);
}

static void test_control(void)
{
	static const struct faulty f = {
		"set control page", setup_prepare, call_control, check_control
	};

	fail_each_point(&f);
}

/* ---- EPTP --------------------------------------------------------------- */

static struct vm *setup_eptp(void)
{
	struct vm *vm = small_vm(1);

	OK(try_prepare(vm, A));
	return vm;
}

static int call_get_eptp(struct vm *vm)
{
	struct kvm_hypr_eptp eptp = { 0 };

	return try_ioctl(vm->vcpu[0].fd, KVM_GET_EPTP, &eptp);
}

static void check_get_eptp(struct vm *vm, int ret)
{
	(void)ret;
	OK(call_get_eptp(vm));
	check_guest_in(vm, 0);
}

static void test_get_eptp(void)
{
	static const struct faulty f = {
		"get EPTP", setup_eptp, call_get_eptp, check_get_eptp
	};

	fail_each_point(&f);
}

static uint64_t eptp_of_a;

static struct vm *setup_set_eptp(void)
{
	struct vm *vm = setup_eptp();
	struct kvm_hypr_eptp eptp = { 0 };

	OK(try_prepare(vm, 0));
	vm_commit(vm, A, 0);
	OK(try_ioctl(vm->vcpu[0].fd, KVM_GET_EPTP, &eptp));
	eptp_of_a = eptp.eptp;
	vm_commit(vm, 0, 0);
	return vm;
}

static int call_set_eptp(struct vm *vm)
{
	struct kvm_hypr_eptp eptp = { .eptp = eptp_of_a };

	return try_ioctl(vm->vcpu[0].fd, KVM_SET_EPTP, &eptp);
}

static void check_set_eptp(struct vm *vm, int ret)
{
	if (ret)
		OK(call_set_eptp(vm));
	check_guest_in(vm, A);
}

static void test_set_eptp(void)
{
	static const struct faulty f = {
		"set EPTP", setup_set_eptp, call_set_eptp, check_set_eptp
	};

	fail_each_point(&f);
}

static const struct test tests[] = {
	{ "each failure of enabling views", test_enable },
	{ "each failure of preparing a view", test_prepare },
	{ "each failure of a commit", test_commit },
	{ "each failure of a swap with pause and resume", test_swap_all },
	{ "each failure of the first entry to a view", test_enter },
	{ "each failure of discarding a view", test_discard },
	{ "each failure of setting the control page", test_control },
	{ "each failure of KVM_GET_EPTP", test_get_eptp },
	{ "each failure of KVM_SET_EPTP", test_set_eptp },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
