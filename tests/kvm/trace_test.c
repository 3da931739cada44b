// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can be watched from outside: the tracepoints of kvm_hypr through
 * tracefs, and the EPT_SWAP lines of the module parameter ept_swap_debug.
 */
#define _GNU_SOURCE
#include "back.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <unistd.h>

#define A		KVM_HYPR_VIEW_FIRST
#define B		(KVM_HYPR_VIEW_FIRST + 1)
#define TRACEFS		"/sys/kernel/tracing/"
#define EVENTS		TRACEFS "events/kvm_hypr/"
#define DEBUG_PARAMETER	"/sys/module/kvm/parameters/ept_swap_debug"
#define TEXT_BYTES	0x100000

#define VIEW_PAGES	((RAM_BYTES + HYPR_CONTROL_SIZE + GUEST_SHARED_BYTES) / 4096)

static int try_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	ssize_t n = strlen(text);
	int ret = 0;

	if (fd < 0 || write(fd, text, n) != n)
		ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

static char *read_file(const char *path)
{
	char *text = calloc(1, TEXT_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t at = 0;
	ssize_t n;

	CHECK(text && fd >= 0);
	while ((n = read(fd, text + at, TEXT_BYTES - 1 - at)) > 0)
		at += n;
	CHECK(!n && at < TEXT_BYTES - 1);
	close(fd);
	return text;
}

static unsigned int count(const char *text, const char *what)
{
	unsigned int n = 0;

	for (text = strstr(text, what); text; text = strstr(text + 1, what))
		n++;
	return n;
}

static struct vm *control_vm(int nr_vcpus)
{
	struct vm *vm;
	int i;

	need_cpus(nr_vcpus);
	vm = vm_new();
	vm_views_add(vm, 2);
	while (vm->nr_vcpus < nr_vcpus)
		vm_vcpu_add(vm);
	vm_control_page_register(vm);
	vcpus_start(vm, nr_vcpus);
	for (i = 0; i < nr_vcpus; i++)
		vcpu_do(&vm->vcpu[i], GUEST_ONLINE, 0, 0, 0);
	return vm;
}

static void tracing(const char *on)
{
	if (try_write_file(EVENTS "enable", on))
		skip("no trace events in " EVENTS);
	if (*on == '1')
		OK(try_write_file(TRACEFS "trace", ""));
}

/* Exactly one line with it, and its time order. */
static const char *only(const char *trace, const char *event, const char *text)
{
	char line[160];
	const char *at;

	snprintf(line, sizeof(line), "%s: vm %d %s", event, getpid(), text);
	at = strstr(trace, line);
	if (!at || count(trace, line) != 1)
		FAIL("the trace has %u lines with '%s'", count(trace, line),
		     line);
	return at;
}

static void test_each_event(void)
{
	struct vm *vm = control_vm(2);
	const char *pause, *commit, *resume;
	char text[160], *trace;

	tracing("1");
	OK(try_prepare(vm, A));
	vm_swap_all(vm, A, KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME |
		    KVM_EPT_SWAP_FLUSH);
	check_all_in_view(vm, A);
	OK(try_discard(vm, 0));
	tracing("0");
	trace = read_file(TRACEFS "trace");

	snprintf(text, sizeof(text), "view %u mapped %u skipped 0", A,
		 VIEW_PAGES);
	only(trace, "kvm_hypr_prepare", text);
	pause = only(trace, "kvm_hypr_pause", "for view 2 cycles");
	commit = only(trace, "kvm_hypr_commit", "view 0 -> 2 flags 0xb forced 0");
	resume = only(trace, "kvm_hypr_resume", "in view 2");
	only(trace, "kvm_hypr_flush", "vcpu 0 view 2 reason edited");
	only(trace, "kvm_hypr_flush", "vcpu 1 view 2 reason edited");
	only(trace, "kvm_hypr_discard", "view 0 ret 0");
	CHECK(pause < commit && commit < resume);
}

/* A guest that asks for its moment, and gets it; and one that does not. */
static void test_back(void)
{
	struct kvm_hypr_moment none = { .view = A };
	struct back moment;
	struct vm *vm;
	char *trace;

	need_cpus(1);
	vm = vm_new();
	vm_views_add(vm, 1);
	vcpus_start(vm, 1);
	back_take(&moment, vm, A);
	tracing("1");
	back_request(&vm->vcpu[0], 1, GUEST_FREE_GPA);
	WAIT_UNTIL(back_resets(&moment) == 1);
	WAIT_UNTIL(!vm->vcpu[0].guest->arg[3]);
	OK(try_ioctl(vm->fd, KVM_HYPR_SET_MOMENT, &none));
	back_request(&vm->vcpu[0], 1, 0);
	vcpu_wait_outside(&vm->vcpu[0]);
	tracing("0");
	trace = read_file(TRACEFS "trace");
	CHECK_EQ(count(trace, "kvm_hypr_back:"), 2);
	only(trace, "kvm_hypr_back", "vcpu 0 view 2 pages 0 cycles 0 ret -6");
}

static void test_failures(void)
{
	struct vm *vm = control_vm(1);
	struct kvm_hypr_swap swap = {
		.view = A,
		.flags = KVM_EPT_SWAP_PAUSE,
		.timeout_ns = 2000000,
	};
	char *trace;

	OK(try_prepare(vm, A));
	vm->vcpu[0].guest->ignore_pause = 1;
	tracing("1");
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap), -EAGAIN);
	CHECK_RET(try_discard(vm, 0), -EBUSY);
	tracing("0");
	trace = read_file(TRACEFS "trace");
	only(trace, "kvm_hypr_pause", "for view 2 cycles");
	only(trace, "kvm_hypr_discard", "view 0 ret -16");
	only(trace, "kvm_hypr_resume", "in view 0");
	CHECK_EQ(count(trace, "ret -11"), 1);
	CHECK_EQ(count(trace, "kvm_hypr_commit:"), 0);
}

/* The one that only the cache of views fires. */
static void test_evict_is_declared(void)
{
	char *format;

	tracing("0");
	format = read_file(EVENTS "kvm_hypr_evict/format");
	CHECK(count(format, "vm-budget") && count(format, "field:u64 tables"));
}

static void test_off(void)
{
	struct vm *vm = control_vm(1);
	char *trace;

	OK(try_prepare(vm, A));
	tracing("1");
	tracing("0");
	vm_swap_all(vm, A, KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME);
	trace = read_file(TRACEFS "trace");
	CHECK_EQ(count(trace, "kvm_hypr_"), 0);
}

static void set_debug(const char *value)
{
	int ret = try_write_file(DEBUG_PARAMETER, value);

	if (ret)
		skip(DEBUG_PARAMETER ": %s", strerror(-ret));
}

/* What the kernel has logged since @marker was put there. */
static char *log_since(const char *marker)
{
	char *text = calloc(1, TEXT_BYTES), *at;

	CHECK(text);
	CHECK(klogctl(3, text, TEXT_BYTES - 1) >= 0);	/* READ_ALL */
	at = strstr(text, marker);
	CHECK(at);
	return at;
}

/* Without the newline the marker could be continued, and would not be read. */
static void debug_round(struct vm *vm, const char *marker)
{
	char line[64];

	snprintf(line, sizeof(line), "%s\n", marker);
	OK(try_write_file("/dev/kmsg", line));
	OK(try_prepare(vm, A));
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	check_all_in_view(vm, A);
	CHECK_RET(try_commit(vm, B, KVM_EPT_SWAP_FORCE), -ENODATA);
	vm_commit(vm, 0, KVM_EPT_SWAP_FORCE);
	check_all_in_view(vm, 0);
	OK(try_discard(vm, A));
}

static void test_debug(void)
{
	struct vm *vm = control_vm(1);
	char *log;

	set_debug("1");
	debug_round(vm, "trace_test: debug on");
	set_debug("0");
	log = log_since("trace_test: debug on");
	CHECK_EQ(count(log, "EPT_SWAP: prepare 2: 0, 769 pages, 0 skipped"), 1);
	CHECK_EQ(count(log, "EPT_SWAP: swap 0 -> 2: 0, 1 forced"), 1);
	CHECK_EQ(count(log, "EPT_SWAP: swap 2 -> 3: -61, 0 forced"), 1);
	CHECK_EQ(count(log, "EPT_SWAP: swap 2 -> 0: 0, 1 forced"), 1);
	CHECK_EQ(count(log, "EPT_SWAP: discard 2: 0"), 1);

	debug_round(vm, "trace_test: debug off");
	CHECK_EQ(count(log_since("trace_test: debug off"), "EPT_SWAP"), 0);
}

static const struct test tests[] = {
	{ "prepare, pause, commit, resume, flush, discard are traced, in order",
	  test_each_event },
	{ "a pause that nobody answers, a discard that is refused",
	  test_failures },
	{ "a guest that asks to be put back is traced", test_back },
	{ "evict can be traced", test_evict_is_declared },
	{ "nothing is traced when the events are off", test_off },
	{ "ept_swap_debug=1 makes EPT_SWAP lines, 0 makes none", test_debug },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
