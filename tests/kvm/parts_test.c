// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_HYPR_PREPARE_RANGE: a view prepared in parts; and builds that a signal,
 * a killed process or a zap ends half way, after which nothing is left.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define VIEW		KVM_HYPR_VIEW_FIRST
#define BIG_BYTES	0x1000000	/* 4,096 pages, less the control page's */
#define PART_BYTES	0x80000

static struct vm *vm_with_view(size_t ram_bytes)
{
	struct vm *vm = vm_new();

	vm->ram_bytes = ram_bytes;
	vm_views_add(vm, 1);
	return vm;
}

static int try_range(struct vm *vm, uint64_t gpa, uint64_t size,
		     struct kvm_hypr_prepare *out)
{
	*out = (struct kvm_hypr_prepare) {
		.view = VIEW,
		.flags = KVM_HYPR_PREPARE_RANGE,
		.gpa = gpa,
		.size = size,
		.next_gpa = ~0ull,
	};
	return try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, out);
}

static struct kvm_hypr_prepare range(struct vm *vm, uint64_t gpa, uint64_t size)
{
	struct kvm_hypr_prepare out;

	OK(try_range(vm, gpa, size, &out));
	CHECK_EQ(out.next_gpa, gpa + size);
	CHECK_EQ(out.pages_skipped, 0);
	return out;
}

static void test_form(void)
{
	static const struct {
		uint64_t gpa, size;
	} bad[] = {
		{ 0, 0 }, { 0x1000, 0 }, { 0, 1 }, { 0, 0xfff }, { 0, 0x1001 },
		{ 1, 0x1000 }, { 0x800, 0x1000 }, { 0xfff, 0x1001 },
		{ 0x1000, ~0ull }, { 0x1000, -0x1000ull },
		{ -0x1000ull, 0x1000 }, { -0x1000ull, 0x2000 },
		{ 1ull << 63, 1ull << 63 },
	};
	struct kvm_hypr_prepare arg;
	struct vm *vm = vm_with_view(RAM_BYTES);
	unsigned int i;

	vm_vcpu_add(vm);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (try_range(vm, bad[i].gpa, bad[i].size, &arg) != -EINVAL)
			FAIL("[%#llx, +%#llx) is taken",
			     (unsigned long long)bad[i].gpa,
			     (unsigned long long)bad[i].size);

	arg = (struct kvm_hypr_prepare) { .view = VIEW, .gpa = 0x1000 };
	CHECK_RET(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &arg), -EINVAL);
	arg = (struct kvm_hypr_prepare) { .view = VIEW, .size = 0x1000 };
	CHECK_RET(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &arg), -EINVAL);
	/* None of these has made it prepared. */
	CHECK_RET(try_commit(vm, VIEW, 0), -ENODATA);

	/* next_gpa is an out field: what it held does not matter. */
	arg = (struct kvm_hypr_prepare) { .view = VIEW, .next_gpa = 5 };
	OK(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &arg));
	CHECK_EQ(arg.next_gpa, 0);
	/* Up to the last page that an address can name. */
	OK(try_range(vm, -0x2000ull, 0x1000, &arg));
	CHECK_EQ(arg.next_gpa, -0x1000ull);
}

static void test_no_such_view(void)
{
	struct kvm_hypr_prepare arg = {
		.flags = KVM_HYPR_PREPARE_RANGE, .size = 0x1000,
	};
	struct vm *vm = vm_with_view(RAM_BYTES);

	arg.view = VIEW;
	CHECK_RET(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &arg), -EINVAL);
	vm_vcpu_add(vm);
	arg.view = VIEW + 1;
	arg.pages_mapped = 7;
	CHECK_RET(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &arg), -ENOENT);
	CHECK_EQ(arg.pages_mapped, 0);
	CHECK_EQ(arg.next_gpa, 0);
}

static void test_each_page_once(void)
{
	struct vm *vm = vm_with_view(RAM_BYTES);
	uint64_t gpa;

	vm_vcpu_add(vm);
	for (gpa = 0; gpa < RAM_BYTES; gpa += PART_BYTES) {
		uint64_t before = vm_stat(vm, "pages_4k");

		CHECK_EQ(range(vm, gpa, PART_BYTES).pages_mapped,
			 PART_BYTES / 4096);
		CHECK_EQ(vm_stat(vm, "pages_4k") - before, PART_BYTES / 4096);
		/* Again: it is there, and stays as it is. */
		CHECK_EQ(range(vm, gpa, PART_BYTES).pages_mapped,
			 PART_BYTES / 4096);
		CHECK_EQ(vm_stat(vm, "pages_4k") - before, PART_BYTES / 4096);
	}
}

/* Odd borders, holes between slots, and more than one slot in a range. */
static void test_borders(void)
{
	struct vm *vm = vm_with_view(RAM_BYTES);

	vm_vcpu_add(vm);
	CHECK_EQ(range(vm, 0x1fe000, 0x1000).pages_mapped, 1);
	CHECK_EQ(range(vm, 0x1fe000, 0x4000).pages_mapped, 2);
	CHECK_EQ(range(vm, 0x200000, 0x100000).pages_mapped, 0);
	CHECK_EQ(range(vm, 0x1ff000, HYPR_CONTROL_GPA - 0x1ff000).pages_mapped,
		 1);
	CHECK_EQ(range(vm, 0x1ff000,
		       HYPR_CONTROL_GPA + 0x1000 - 0x1ff000).pages_mapped, 2);
	CHECK_EQ(range(vm, HYPR_CONTROL_GPA, 0x3000).pages_mapped, 2);
	CHECK_EQ(range(vm, GUEST_SHARED_GPA, GUEST_SHARED_BYTES).pages_mapped,
		 GUEST_SHARED_BYTES / 4096);
	CHECK_EQ(range(vm, 0, 1ull << 40).pages_mapped,
		 (RAM_BYTES + 4096 + GUEST_SHARED_BYTES) / 4096);
}

/* One part makes the view one that can be swapped to; the rest is faulted in. */
static void test_part_then_swap(void)
{
	struct vm *vm = vm_with_view(RAM_BYTES);
	struct vcpu *vcpu;
	uint64_t faults;

	need_cpus(1);
	vcpus_start(vm, 1);
	vcpu = &vm->vcpu[0];
	CHECK_RET(try_commit(vm, VIEW, KVM_EPT_SWAP_FORCE), -ENODATA);
	ram_touch(vm, VIEW);
	range(vm, 0, 0x100000);
	range(vm, GUEST_ID2_GPA, 0x1000);
	range(vm, GUEST_SHARED_GPA, GUEST_SHARED_BYTES);
	vm_commit(vm, VIEW, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(vcpu), VIEW);
	faults = vcpu_stat(vcpu, "pf_taken");
	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, 0x100000, 1);
	CHECK_EQ(vcpu_stat(vcpu, "pf_taken") - faults, 0);
	vcpu_do(vcpu, GUEST_FILL, 0x100000, 0x120000, 1);
	CHECK_EQ(vcpu_stat(vcpu, "pf_taken") - faults, 32);
	vcpu_verify(vcpu, GUEST_FREE_GPA, 0x120000, 1);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
	(void)number;
	alarms++;
}

/* No SA_RESTART, though the ioctl does not restart in any case. */
static void alarm_every(unsigned int first_us, unsigned int every_us)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct itimerval timer = {
		.it_value.tv_usec = first_us,
		.it_interval.tv_usec = every_us,
	};

	CHECK(!sigaction(SIGALRM, &action, NULL));
	CHECK(!setitimer(ITIMER_REAL, &timer, NULL));
}

/* The deadline of the test is an alarm too: set it again. */
static void alarm_off(void)
{
	alarm_every(0, 0);
	signal(SIGALRM, SIG_DFL);
	alarm(TAP_DEADLINE_S);
}

/* A caller that goes on where the signal stopped it builds each page once. */
static void test_signals_and_on(void)
{
	struct vm *vm = vm_with_view(BIG_BYTES);
	uint64_t gpa = 0, end = BIG_BYTES, mapped = 0, before;
	unsigned int interrupted = 0;
	int ret;

	vm_vcpu_add(vm);
	before = vm_stat(vm, "pages_4k");
	alarm_every(1000, 3000);
	do {
		struct kvm_hypr_prepare out;

		ret = try_range(vm, gpa, end - gpa, &out);
		if (ret && ret != -EINTR)
			FAIL("prepare gives %d at %#llx", ret,
			     (unsigned long long)gpa);
		CHECK(out.next_gpa >= gpa && out.next_gpa <= end);
		CHECK(!(out.next_gpa % 4096));
		CHECK_EQ(out.pages_mapped, (out.next_gpa - gpa) / 4096);
		mapped += out.pages_mapped;
		gpa = out.next_gpa;
		interrupted += ret == -EINTR;
		if (ret)
			CHECK_RET(try_commit(vm, VIEW, 0), -ENODATA);
	} while (ret);
	alarm_off();
	note("interrupted %u times", interrupted);
	CHECK(interrupted > 1);
	CHECK_EQ(gpa, end);
	CHECK_EQ(mapped, BIG_BYTES / 4096);
	CHECK_EQ(vm_stat(vm, "pages_4k") - before, BIG_BYTES / 4096);
	OK(try_commit(vm, VIEW, 0));
}

/* Without a range the whole call is made again: it finds what is there. */
static void test_signals_whole_view(void)
{
	struct vm *vm = vm_with_view(BIG_BYTES);
	struct kvm_hypr_prepare out;
	unsigned int interrupted = 0;
	uint64_t mapped = 0;
	int ret;

	vm_vcpu_add(vm);
	alarm_every(1000, 20000);
	do {
		out = (struct kvm_hypr_prepare) { .view = VIEW };
		ret = try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &out);
		CHECK(!ret || ret == -EINTR);
		interrupted += ret == -EINTR;
		mapped = out.pages_mapped;
	} while (ret);
	alarm_off();
	note("interrupted %u times", interrupted);
	CHECK(interrupted > 0);
	CHECK_EQ(mapped, (BIG_BYTES + GUEST_SHARED_BYTES) / 4096);
}

/* Page tables that KVM holds: back to what they were, maybe a little later. */
static void check_tables_given_back(long before_kib)
{
	uint64_t end = now_ns() + WAIT_NS;

	while (meminfo_kib("SecPageTables") > before_kib && now_ns() < end)
		wait_relax();
	CHECK(meminfo_kib("SecPageTables") <= before_kib);
}

/* Cancelled at a random instant, then discarded. */
static void test_cancel_leaves_nothing(void)
{
	struct vm *vm = vm_with_view(BIG_BYTES);
	uint64_t pages;
	long tables_kib;
	unsigned int i, interrupted = 0;

	vm_vcpu_add(vm);
	OK(try_prepare(vm, VIEW));
	OK(try_discard(vm, VIEW));
	pages = vm_stat(vm, "pages_4k");
	tables_kib = meminfo_kib("SecPageTables");
	for (i = 0; i < 60; i++) {
		struct kvm_hypr_prepare out = { .view = VIEW };
		int ret;

		alarm_every(1 + tap_random() % 20000, 0);
		ret = try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &out);
		alarm_off();
		CHECK(!ret || ret == -EINTR);
		if (ret)
			CHECK_RET(try_commit(vm, VIEW, 0), -ENODATA);
		if (ret && out.pages_mapped)
			interrupted++;
		OK(try_discard(vm, VIEW));
		CHECK_EQ(vm_stat(vm, "pages_4k"), pages);
	}
	note("%u of 60 builds were cut short", interrupted);
	CHECK(interrupted > 5);
	check_tables_given_back(tables_kib);
}

static _Noreturn void prepare_for_ever(int ready)
{
	struct vm *vm = vm_with_view(BIG_BYTES);

	vm_vcpu_add(vm);
	CHECK(write(ready, "", 1) == 1);
	for (;;) {
		OK(try_prepare(vm, VIEW));
		OK(try_discard(vm, VIEW));
	}
}

/* SIGKILL in the middle: the VM goes with its process, and so do the tables. */
static void test_killed(void)
{
	long tables_kib = 0;
	unsigned int i;

	for (i = 0; i < 12; i++) {
		struct timespec nap = { .tv_nsec = tap_random() % 30000000 };
		int ready[2], status;
		pid_t pid;
		char c;

		/* The first rounds fill caches. */
		if (i == 2)
			tables_kib = meminfo_kib("SecPageTables");
		CHECK(!pipe(ready));
		pid = fork();
		CHECK(pid >= 0);
		if (!pid)
			prepare_for_ever(ready[1]);
		close(ready[1]);
		CHECK(read(ready[0], &c, 1) == 1);
		close(ready[0]);
		nanosleep(&nap, NULL);
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	check_tables_given_back(tables_kib);
}

#define NX_PARAMETER	"/sys/module/kvm/parameters/nx_huge_pages"

/* Any change of it makes KVM drop all tables of all VMs. */
static void set_nx_huge_pages(char value)
{
	FILE *f = fopen(NX_PARAMETER, "w");

	CHECK(f && fputc(value, f) == value && !fclose(f));
}

static char get_nx_huge_pages(void)
{
	FILE *f = fopen(NX_PARAMETER, "r");
	int value;

	if (!f)
		skip("no %s", NX_PARAMETER);
	value = fgetc(f);
	fclose(f);
	CHECK(value == 'Y' || value == 'N');
	return value;
}

static atomic_bool zap_stop;

static void *zap_thread(void *arg)
{
	char value = get_nx_huge_pages(), before = value;

	(void)arg;
	pin_to_cpu(1);
	while (!atomic_load(&zap_stop) || value != before) {
		value = value == 'Y' ? 'N' : 'Y';
		set_nx_huge_pages(value);
		wait_relax();
	}
	return NULL;
}

static void test_dropped_meanwhile(void)
{
	struct kvm_hypr_prepare out;
	uint64_t end = now_ns() + WAIT_NS;
	pthread_t thread;
	struct vm *vm;
	int ret;

	need_cpus(1);
	get_nx_huge_pages();
	vm = vm_with_view(BIG_BYTES);
	vm_vcpu_add(vm);
	CHECK(!pthread_create(&thread, NULL, zap_thread, NULL));
	do {
		ret = try_range(vm, 0, BIG_BYTES, &out);
	} while (!ret && now_ns() < end);
	atomic_store(&zap_stop, true);
	pthread_join(thread, NULL);
	CHECK_RET(ret, -EAGAIN);
	CHECK(out.next_gpa < BIG_BYTES);
	CHECK_RET(try_commit(vm, VIEW, 0), -ENODATA);

	/* Built anew, nothing is missing. */
	CHECK_EQ(range(vm, 0, BIG_BYTES).pages_mapped, BIG_BYTES / 4096);
	OK(try_commit(vm, VIEW, 0));
}

static const struct test tests[] = {
	{ "EINVAL: a range that is not aligned, empty, or ends nowhere",
	  test_form },
	{ "ENOENT, EINVAL: a range of no view, or without a vCPU",
	  test_no_such_view },
	{ "parts build each page once", test_each_page_once },
	{ "odd borders, holes, several slots in a range", test_borders },
	{ "a view of which a part is prepared can be swapped to",
	  test_part_then_swap },
	{ "EINTR: the caller goes on where a signal stopped it",
	  test_signals_and_on },
	{ "EINTR: a whole view, called again", test_signals_whole_view },
	{ "a prepare cancelled by a signal leaves nothing behind",
	  test_cancel_leaves_nothing },
	{ "nor does one whose process is killed", test_killed },
	{ "EAGAIN: the tables are dropped while they are built",
	  test_dropped_meanwhile },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
