// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache of prepared views: what they take is counted, a budget is kept by
 * evicting the view that was not in use for the longest time, pinned and active
 * views stay, a swap to an evicted view builds it anew, and memory pressure does
 * the same as a budget.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(A + 1)
#define C	(A + 2)
#define D	(A + 3)
#define E	(A + 4)
#define BIT(n)	(1u << (n))

/* Root, two levels below it, and last-level tables for three 2 MiB regions. */
#define VIEW_TABLES	6
#define VIEW_PAGES	((RAM_BYTES + HYPR_CONTROL_SIZE + GUEST_SHARED_BYTES) / 4096)
#define NO_LIMIT	0

static struct kvm_hypr_cache cache_get(struct vm *vm)
{
	struct kvm_hypr_cache arg = { .flags = KVM_HYPR_CACHE_GET };

	OK(try_ioctl(vm->fd, KVM_HYPR_SET_CACHE, &arg));
	return arg;
}

static struct kvm_hypr_cache cache_set(struct vm *vm, uint64_t max_tables,
				       uint64_t max_pages)
{
	struct kvm_hypr_cache arg = {
		.max_tables = max_tables,
		.max_pages = max_pages,
	};

	OK(try_ioctl(vm->fd, KVM_HYPR_SET_CACHE, &arg));
	return arg;
}

/* With time for the build of an evicted view, on a machine that has more to do. */
static int try_commit_slow(struct vm *vm, unsigned int view, uint32_t flags)
{
	struct kvm_hypr_swap swap = {
		.view = view,
		.flags = flags,
		.timeout_ns = KVM_EPT_SWAP_TIMEOUT_MAX_NS,
	};

	return try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap);
}

static int try_pin(struct vm *vm, unsigned int view, uint32_t flags)
{
	struct kvm_hypr_pin arg = { .view = view, .flags = flags };

	return try_ioctl(vm->fd, KVM_HYPR_PIN_VIEW, &arg);
}

static void prepare_all(struct vm *vm, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		OK(try_prepare(vm, A + i));
}

/* A vCPU that never runs: no tables but those of prepared views. */
static struct vm *idle_vm(unsigned int views)
{
	struct vm *vm = vm_new();

	vm_views_add(vm, views);
	vm_vcpu_add(vm);
	return vm;
}

static struct vm *running_vm(unsigned int views)
{
	struct vm *vm = vm_new();

	need_cpus(1);
	vm_views_add(vm, views);
	vcpus_start(vm, 1);
	return vm;
}

static void parameter_write(const char *name, const char *value)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/module/kvm/parameters/%s", name);
	f = fopen(path, "w");
	if (!f)
		skip("%s: %m", path);
	CHECK(fputs(value, f) >= 0);
	CHECK(!fclose(f));
}

static void parameters_reset(void)
{
	static const char * const names[] = {
		"ept_cache_tables", "ept_cache_pages",
		"ept_cache_vm_tables", "ept_cache_vm_pages",
	};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		parameter_write(names[i], "0");
}

/* The kernel asks each shrinker for all that it has, and does not log it (4). */
static void memory_pressure(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (fd < 0)
		skip("/proc/sys/vm/drop_caches: %m");
	CHECK(pwrite(fd, "4", 1, 0) == 1);
	CHECK(pwrite(fd, "2", 1, 0) == 1);
	close(fd);
}

static void test_counts(void)
{
	struct vm *vm = idle_vm(2);
	struct kvm_hypr_cache cache = cache_get(vm);

	CHECK_EQ(cache.tables, 0);
	CHECK_EQ(cache.pages, 0);
	CHECK_EQ(cache.prepared | cache.evicted | cache.pinned, 0);
	OK(try_prepare(vm, A));
	cache = cache_get(vm);
	CHECK_EQ(cache.tables, VIEW_TABLES);
	CHECK_EQ(cache.pages, VIEW_PAGES);
	CHECK_EQ(cache.prepared, BIT(A));
	OK(try_prepare(vm, B));
	OK(try_prepare(vm, B));
	cache = cache_get(vm);
	CHECK_EQ(cache.tables, 2 * VIEW_TABLES);
	CHECK_EQ(cache.pages, 2 * VIEW_PAGES);
	CHECK_EQ(cache.prepared, BIT(A) | BIT(B));
	OK(try_discard(vm, A));
	cache = cache_get(vm);
	CHECK_EQ(cache.tables, VIEW_TABLES);
	CHECK_EQ(cache.pages, VIEW_PAGES);
	CHECK_EQ(cache.prepared, BIT(B));
	CHECK_EQ(cache.evictions, 0);
	CHECK_EQ(cache.rebuilds, 0);
}

/* The bar: 16 MiB in 4 KiB pages for at most 64 KiB of tables. */
static void test_memory_of_16_mib(void)
{
	struct kvm_hypr_cache cache;
	struct vm *vm = vm_new();

	vm->ram_bytes = 0x1000000;
	vm_views_add(vm, 1);
	vm_vcpu_add(vm);
	OK(try_prepare(vm, A));
	cache = cache_get(vm);
	note("%llu KiB of tables for %llu pages",
	     (unsigned long long)cache.tables * 4,
	     (unsigned long long)cache.pages);
	/* 16 MiB, and the shared memory behind it. */
	CHECK_EQ(cache.pages, (0x1000000 + GUEST_SHARED_BYTES) / 4096);
	CHECK_EQ(cache.tables, 3 + 8 + 1);
	CHECK(cache.tables * 4096 <= 65536);
}

static void test_get_sets_nothing(void)
{
	struct kvm_hypr_cache arg = { .max_tables = 1, .max_pages = 1 };
	struct vm *vm = idle_vm(2);

	cache_set(vm, 100, 5000);
	prepare_all(vm, 2);
	arg.flags = KVM_HYPR_CACHE_GET;
	OK(try_ioctl(vm->fd, KVM_HYPR_SET_CACHE, &arg));
	CHECK_EQ(arg.max_tables, 100);
	CHECK_EQ(arg.max_pages, 5000);
	CHECK_EQ(arg.prepared, BIT(A) | BIT(B));
	CHECK_EQ(arg.evictions, 0);
}

static void test_within_budget(void)
{
	struct vm *vm = idle_vm(4);
	struct kvm_hypr_cache cache;

	cache_set(vm, 3 * VIEW_TABLES, 3 * VIEW_PAGES);
	prepare_all(vm, 3);
	cache = cache_get(vm);
	CHECK_EQ(cache.evictions, 0);
	CHECK_EQ(cache.tables, 3 * VIEW_TABLES);
	OK(try_prepare(vm, D));
	CHECK_EQ(cache_get(vm).evictions, 1);
}

static void check_lru_order(uint64_t max_tables, uint64_t max_pages)
{
	struct vm *vm = idle_vm(5);
	struct kvm_hypr_cache cache;

	cache_set(vm, max_tables, max_pages);
	prepare_all(vm, 3);
	/* Prepared again is used again: B is the oldest now. */
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, D));
	cache = cache_get(vm);
	CHECK_EQ(cache.evicted, BIT(B));
	CHECK_EQ(cache.prepared, BIT(A) | BIT(C) | BIT(D));
	OK(try_prepare(vm, E));
	cache = cache_get(vm);
	CHECK_EQ(cache.evicted, BIT(B) | BIT(C));
	CHECK_EQ(cache.prepared, BIT(A) | BIT(D) | BIT(E));
	OK(try_prepare(vm, B));
	cache = cache_get(vm);
	CHECK_EQ(cache.evicted, BIT(C) | BIT(A));
	CHECK_EQ(cache.evictions, 3);
	CHECK_EQ(cache.rebuilds, 0);
	CHECK_EQ(cache.tables, 3 * VIEW_TABLES);
	CHECK_EQ(cache.pages, 3 * VIEW_PAGES);
}

static void test_lru_order_by_tables(void)
{
	check_lru_order(3 * VIEW_TABLES, NO_LIMIT);
}

static void test_lru_order_by_pages(void)
{
	check_lru_order(NO_LIMIT, 3 * VIEW_PAGES);
}

/* Use ends when a view is left. */
static void test_swaps_are_use(void)
{
	struct vm *vm = idle_vm(4);

	prepare_all(vm, 3);
	vm_commit(vm, A, 0);
	vm_commit(vm, B, 0);
	cache_set(vm, 3 * VIEW_TABLES, NO_LIMIT);
	OK(try_prepare(vm, D));
	CHECK_EQ(cache_get(vm).evicted, BIT(C));
	vm_commit(vm, D, 0);
	vm_commit(vm, A, 0);
	vm_commit(vm, D, 0);
	OK(try_prepare(vm, C));
	CHECK_EQ(cache_get(vm).evicted, BIT(B));
}

static void test_smaller_budget_evicts_at_once(void)
{
	struct vm *vm = idle_vm(4);
	struct kvm_hypr_cache cache;

	prepare_all(vm, 4);
	cache = cache_set(vm, 2 * VIEW_TABLES, NO_LIMIT);
	CHECK_EQ(cache.evicted, BIT(A) | BIT(B));
	CHECK_EQ(cache.tables, 2 * VIEW_TABLES);
	cache = cache_set(vm, NO_LIMIT, NO_LIMIT);
	CHECK_EQ(cache.evicted, BIT(A) | BIT(B));
	prepare_all(vm, 4);
	CHECK_EQ(cache_get(vm).tables, 4 * VIEW_TABLES);
}

static void test_pinned_stays(void)
{
	struct vm *vm = idle_vm(4);

	cache_set(vm, 2 * VIEW_TABLES, NO_LIMIT);
	prepare_all(vm, 2);
	OK(try_pin(vm, A, 0));
	OK(try_pin(vm, A, 0));
	CHECK_EQ(cache_get(vm).pinned, BIT(A));
	OK(try_prepare(vm, C));
	CHECK_EQ(cache_get(vm).evicted, BIT(B));
	OK(try_prepare(vm, D));
	CHECK_EQ(cache_get(vm).evicted, BIT(B) | BIT(C));
	OK(try_pin(vm, A, KVM_HYPR_PIN_UNPIN));
	CHECK_EQ(cache_get(vm).pinned, 0);
	OK(try_prepare(vm, B));
	CHECK_EQ(cache_get(vm).evicted, BIT(A) | BIT(C));
}

static void test_pinned_before_prepared(void)
{
	struct vm *vm = idle_vm(3);

	cache_set(vm, 1, NO_LIMIT);
	OK(try_pin(vm, A, 0));
	prepare_all(vm, 3);
	CHECK_EQ(cache_get(vm).prepared, BIT(A) | BIT(C));
	CHECK_EQ(cache_get(vm).evicted, BIT(B));
}

static void test_pinned_is_discarded(void)
{
	struct vm *vm = idle_vm(1);

	OK(try_pin(vm, A, 0));
	OK(try_prepare(vm, A));
	OK(try_discard(vm, A));
	CHECK_EQ(cache_get(vm).tables, 0);
	CHECK_EQ(cache_get(vm).evicted, 0);
	CHECK_EQ(cache_get(vm).pinned, BIT(A));
	CHECK_RET(try_commit(vm, A, 0), -ENODATA);
}

static void test_pin_errors(void)
{
	struct vm *vm = idle_vm(1);

	CHECK_RET(try_pin(vm, B, 0), -ENOENT);
	CHECK_RET(try_pin(vm, KVM_HYPR_VIEW_SMM, 0), -ENOENT);
	CHECK_RET(try_pin(vm, KVM_HYPR_MAX_VIEWS, 0), -ENOENT);
	CHECK_RET(try_pin(vm, ~0u, 0), -ENOENT);
	CHECK_RET(try_pin(vm, KVM_HYPR_VIEW_SMM, KVM_HYPR_PIN_UNPIN), -ENOENT);
	CHECK_RET(try_pin(vm, KVM_HYPR_MAX_VIEWS, KVM_HYPR_PIN_UNPIN), -ENOENT);
	CHECK_RET(try_pin(vm, A, 2), -EINVAL);
	/* A view that lost its memory can be let go of. */
	OK(try_pin(vm, A, 0));
	OK(try_set_slot(vm, A, SLOT_RAM, 0, 0, 0, NULL));
	OK(try_set_slot(vm, A, SLOT_CONTROL, 0, 0, 0, NULL));
	OK(try_set_slot(vm, A, SLOT_SHARED, 0, 0, 0, NULL));
	CHECK_RET(try_pin(vm, A, 0), -ENOENT);
	OK(try_pin(vm, A, KVM_HYPR_PIN_UNPIN));
	CHECK_EQ(cache_get(vm).pinned, 0);
}

static void test_active_stays(void)
{
	struct vm *vm = running_vm(3);
	struct kvm_hypr_cache cache;

	OK(try_prepare(vm, A));
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	cache = cache_set(vm, 1, 1);
	CHECK_EQ(cache.evicted, BIT(KVM_HYPR_VIEW_BOOT));
	CHECK(cache.tables >= VIEW_TABLES);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	OK(try_prepare(vm, B));
	OK(try_prepare(vm, C));
	cache = cache_get(vm);
	CHECK_EQ(cache.prepared & BIT(A), BIT(A));
	CHECK_EQ(cache.evicted, BIT(KVM_HYPR_VIEW_BOOT) | BIT(B));
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
}

/* KVM_SET_EPTP put one vCPU elsewhere: that view is in use too. */
static void test_view_of_a_single_vcpu_stays(void)
{
	struct kvm_hypr_eptp eptp = { 0 };
	struct vm *vm = running_vm(3);
	struct vcpu *vcpu = &vm->vcpu[0];

	prepare_all(vm, 2);
	vcpu_stop(vcpu);
	vm_commit(vm, A, 0);
	OK(try_ioctl(vcpu->fd, KVM_GET_EPTP, &eptp));
	vm_commit(vm, 0, 0);
	OK(try_ioctl(vcpu->fd, KVM_SET_EPTP, &eptp));
	CHECK_EQ(cache_set(vm, 1, NO_LIMIT).evicted, BIT(B));
	OK(try_prepare(vm, C));
	CHECK_EQ(cache_get(vm).prepared & BIT(A), BIT(A));
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), A);
}

static void test_rebuild_on_swap(void)
{
	struct vm *vm = running_vm(2);
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t seed = tap_random(), faults;
	struct kvm_hypr_cache cache;

	prepare_all(vm, 2);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, ~seed);
	CHECK_EQ(cache_set(vm, 1, NO_LIMIT).evicted,
		 BIT(KVM_HYPR_VIEW_BOOT) | BIT(A));

	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	faults = vcpu_stat(vcpu, "pf_taken");
	CHECK_EQ(vcpu_view(vcpu), A);
	vcpu_verify(vcpu, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
	CHECK_EQ(vcpu_stat(vcpu, "pf_taken") - faults, 0);
	cache = cache_get(vm);
	CHECK_EQ(cache.rebuilds, 1);
	/* And the one that was left has made room. */
	CHECK_EQ(cache.evicted, BIT(KVM_HYPR_VIEW_BOOT) | BIT(B));

	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	vcpu_verify(vcpu, GUEST_FREE_GPA, GUEST_ID2_GPA, ~seed);
	vm_commit(vm, KVM_HYPR_VIEW_BOOT, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(vcpu), KVM_HYPR_VIEW_BOOT);
	CHECK_EQ(cache_get(vm).rebuilds, 3);
}

/* As many swaps as one likes, in a budget that holds one view. */
static void test_smallest_budget(void)
{
	struct vm *vm = running_vm(5);
	unsigned int i, view;

	prepare_all(vm, 5);
	cache_set(vm, 1, 1);
	for (i = 0; i < 50; i++) {
		view = A + tap_random() % 5;
		vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
		CHECK_EQ(vcpu_view(&vm->vcpu[0]), view);
		CHECK_EQ(cache_get(vm).tables, VIEW_TABLES);
	}
}

/* With KVM_EPT_SWAP_ALL and a pause: built before the guest is asked to park. */
static void test_rebuild_before_the_pause(void)
{
	struct vm *vm = vm_new();
	struct kvm_hypr_swap swap;

	need_cpus(1);
	vm_views_add(vm, 1);
	vm_control_page_register(vm);
	vcpus_start(vm, 1);
	vcpu_do(&vm->vcpu[0], GUEST_ONLINE, 0, 0, 0);
	OK(try_prepare(vm, A));
	CHECK_EQ(cache_set(vm, 1, NO_LIMIT).evicted, BIT(A));
	swap = vm_swap_all(vm, A, KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME);
	CHECK_EQ(swap.forced, 0);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	CHECK_EQ(vm->vcpu[0].guest->pause_irqs, 1);
	CHECK_EQ(cache_get(vm).rebuilds, 1);
}

/* ---- tables that KVM drops by itself ------------------------------------- */

#define NX_HUGE_PAGES	"/sys/module/kvm/parameters/nx_huge_pages"

/* The switch zaps all tables of all VMs, and the second one puts it back. */
static void nx_huge_pages_switch(void)
{
	int fd = open(NX_HUGE_PAGES, O_RDWR | O_CLOEXEC);
	char now;
	bool on;

	if (fd < 0)
		skip(NX_HUGE_PAGES ": %m");
	CHECK(pread(fd, &now, 1, 0) == 1);
	on = now == 'Y';
	if (pwrite(fd, on ? "off" : "force", on ? 3 : 5, 0) < 0)
		skip("nx_huge_pages cannot be switched: %m");
	CHECK(pwrite(fd, on ? "force" : "off", on ? 5 : 3, 0) > 0);
	close(fd);
}

static void test_zapped_by_kvm(void)
{
	struct vm *vm = running_vm(2);
	unsigned int i;

	prepare_all(vm, 2);
	nx_huge_pages_switch();
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	CHECK_EQ(cache_get(vm).rebuilds, 1);
	CHECK_EQ(cache_get(vm).evictions, 0);
	/* The vCPU faults the active view in again; the others wait for swaps. */
	nx_huge_pages_switch();
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), B);
	for (i = 0; i < 3; i++) {
		vm_commit(vm, i ? A : 0, KVM_EPT_SWAP_FORCE);
		CHECK_EQ(vcpu_view(&vm->vcpu[0]), i ? A : 0);
	}
	CHECK_EQ(cache_get(vm).rebuilds, 3);
}

/* What is discarded stays so, and what is prepared is counted once. */
static void test_zapped_then_discarded_or_prepared(void)
{
	struct vm *vm = idle_vm(2);
	uint64_t tables;

	prepare_all(vm, 2);
	tables = cache_get(vm).tables;
	nx_huge_pages_switch();
	OK(try_discard(vm, A));
	CHECK_RET(try_commit(vm, A, 0), -ENODATA);
	prepare_all(vm, 2);
	CHECK_EQ(cache_get(vm).tables, tables);
	CHECK_EQ(cache_get(vm).rebuilds, 0);
	vm_commit(vm, A, 0);
}

static void test_not_rebuilt(void)
{
	struct vm *vm = idle_vm(3);

	prepare_all(vm, 2);
	CHECK_EQ(cache_set(vm, 1, NO_LIMIT).evicted, BIT(A) | BIT(B));
	CHECK_RET(try_commit(vm, C, 0), -ENODATA);
	OK(try_discard(vm, A));
	CHECK_EQ(cache_get(vm).evicted, BIT(B));
	CHECK_RET(try_commit(vm, A, 0), -ENODATA);
	OK(try_commit_slow(vm, B, 0));
	CHECK_EQ(cache_get(vm).rebuilds, 1);
}

static void test_rebuild_without_control_page(void)
{
	struct vm *vm = idle_vm(1);

	vm_control_page_register(vm);
	OK(try_prepare(vm, A));
	CHECK_EQ(cache_set(vm, 1, NO_LIMIT).evicted, BIT(A));
	OK(try_set_slot(vm, A, SLOT_CONTROL, 0, 0, 0, NULL));
	CHECK_RET(try_commit(vm, A, 0), -EINVAL);
	CHECK_EQ(cache_get(vm).evicted, BIT(A));
	OK(try_set_slot(vm, A, SLOT_CONTROL, 0, HYPR_CONTROL_GPA,
			HYPR_CONTROL_SIZE, vm->control));
	OK(try_commit_slow(vm, A, 0));
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void set_timer_us(unsigned int us)
{
	const struct itimerval timer = { .it_value.tv_usec = us };

	CHECK(!setitimer(ITIMER_REAL, &timer, NULL));
}

/* EINTR, the guest stays; what was built stays too, so that it gets ahead. */
/* The build of an evicted view has the swap's deadline, and goes on at the next swap. */
static void test_rebuild_deadline(void)
{
	struct vm *vm = running_vm(2);
	struct kvm_hypr_swap swap = {
		.view = A,
		.flags = KVM_EPT_SWAP_FORCE,
		.timeout_ns = 1,
	};

	prepare_all(vm, 2);
	memory_pressure();
	CHECK_EQ(cache_get(vm).evicted, BIT(A) | BIT(B));
	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap), -EAGAIN);
	CHECK_EQ(cache_get(vm).evicted, BIT(A) | BIT(B));
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), KVM_HYPR_VIEW_BOOT);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
}

static void test_rebuild_interrupted(void)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const uint64_t gpa = 0x2000000, bytes = 0x2000000;
	struct kvm_hypr_swap swap = {
		.view = A,
		.timeout_ns = KVM_EPT_SWAP_TIMEOUT_MAX_NS,
	};
	struct vm *vm = idle_vm(1);
	unsigned int interrupted = 0;
	int ret;

	OK(try_set_slot(vm, A, SLOT_FREE, 0, gpa, bytes, memory_new(bytes)));
	OK(try_prepare(vm, A));
	CHECK_EQ(cache_set(vm, 1, NO_LIMIT).evicted, BIT(A));
	CHECK(!sigaction(SIGALRM, &action, NULL));
	do {
		set_timer_us(3000);
		ret = try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap);
		interrupted += ret == -EINTR;
		if (ret == -EINTR)
			CHECK_EQ(cache_get(vm).evicted, BIT(A));
	} while (ret == -EINTR && interrupted < 3);
	set_timer_us(0);
	CHECK(interrupted > 0);
	OK(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap));
	CHECK_EQ(cache_get(vm).pages, VIEW_PAGES + bytes / 4096);
	CHECK_EQ(cache_get(vm).rebuilds, 1);
}

static void test_default_budget(void)
{
	struct vm *vm = idle_vm(4);

	parameter_write("ept_cache_vm_tables", "12");
	prepare_all(vm, 3);
	CHECK_EQ(cache_get(vm).evicted, BIT(A));
	CHECK_EQ(cache_get(vm).max_tables, 0);
	cache_set(vm, 100, NO_LIMIT);
	prepare_all(vm, 4);
	CHECK_EQ(cache_get(vm).evicted, 0);
	parameter_write("ept_cache_vm_tables", "0");
	parameter_write("ept_cache_vm_pages", "800");
	CHECK_EQ(cache_set(vm, 100, NO_LIMIT).evicted, BIT(A) | BIT(B) | BIT(C));
	parameters_reset();
}

static void test_host_budget(void)
{
	struct vm *one = idle_vm(3), *other = idle_vm(3);

	prepare_all(one, 2);
	prepare_all(other, 2);
	parameter_write("ept_cache_tables", "24");
	/* Over: the oldest of all is the first VM's A. */
	OK(try_prepare(other, C));
	CHECK_EQ(cache_get(one).evicted, BIT(A));
	CHECK_EQ(cache_get(other).evicted, 0);
	/* A pin of one VM leaves the next in turn. */
	OK(try_pin(one, B, 0));
	OK(try_prepare(one, C));
	CHECK_EQ(cache_get(one).evicted, BIT(A));
	CHECK_EQ(cache_get(other).evicted, BIT(A));
	/* A swap that builds anew counts too. */
	OK(try_commit_slow(one, A, 0));
	CHECK_EQ(cache_get(one).evicted, 0);
	CHECK_EQ(cache_get(other).evicted, BIT(A) | BIT(B));
	CHECK_EQ(cache_get(one).tables + cache_get(other).tables, 24);
	parameter_write("ept_cache_tables", "0");
	parameter_write("ept_cache_pages", "800");
	OK(try_prepare(other, A));
	CHECK_EQ(cache_get(other).evicted, BIT(B) | BIT(C));
	CHECK_EQ(cache_get(one).evicted, BIT(C));
	parameters_reset();
}

static void test_shrinker(void)
{
	struct vm *vm = running_vm(3);
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t seed = tap_random();
	struct kvm_hypr_cache cache;

	prepare_all(vm, 3);
	vm_commit(vm, C, KVM_EPT_SWAP_FORCE);
	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
	OK(try_pin(vm, B, 0));
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	memory_pressure();
	cache = cache_get(vm);
	CHECK_EQ(cache.evicted, BIT(KVM_HYPR_VIEW_BOOT) | BIT(C));
	CHECK_EQ(cache.prepared, BIT(A) | BIT(B));
	CHECK_EQ(cache.evictions, 2);
	CHECK_EQ(cache.tables, 2 * VIEW_TABLES);
	CHECK_EQ(vcpu_view(vcpu), A);
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(vcpu), B);
	CHECK_EQ(cache_get(vm).rebuilds, 0);
	vm_commit(vm, C, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(vcpu), C);
	vcpu_verify(vcpu, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
	CHECK_EQ(cache_get(vm).rebuilds, 1);
}

static void test_shrinker_takes_all_vms(void)
{
	struct vm *one = idle_vm(2), *other = idle_vm(2);

	prepare_all(one, 2);
	prepare_all(other, 2);
	memory_pressure();
	CHECK_EQ(cache_get(one).evicted, BIT(A) | BIT(B));
	CHECK_EQ(cache_get(other).evicted, BIT(A) | BIT(B));
	CHECK_EQ(cache_get(one).tables, 0);
	CHECK_EQ(cache_get(other).tables, 0);
}

/* ---- memory cgroups ------------------------------------------------------ */

static char cgroups[32];

static void cgroup_write(const char *file, const char *text, bool must)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", cgroups, file);
	fd = open(path, O_WRONLY);
	CHECK(fd >= 0);
	/* Reclaim says EAGAIN when it got less than it was asked for. */
	if (write(fd, text, strlen(text)) < 0 && must)
		FAIL("%s: %s: %m", path, text);
	close(fd);
}

static void cgroup_enter(const char *group)
{
	char file[64];

	snprintf(file, sizeof(file), "%s/cgroup.procs", group);
	cgroup_write(file, "0", true);
}

static void cgroups_remove(void)
{
	char path[64];

	cgroup_enter(".");
	snprintf(path, sizeof(path), "%s/inner", cgroups);
	CHECK(!rmdir(path));
	CHECK(!umount(cgroups));
	CHECK(!rmdir(cgroups));
}

static void cgroups_make(void)
{
	char path[64];

	strcpy(cgroups, "/tmp/cgroups-XXXXXX");
	CHECK(mkdtemp(cgroups));
	if (mount("none", cgroups, "cgroup2", 0, NULL)) {
		rmdir(cgroups);
		skip("no cgroup2: %m");
	}
	cgroup_write("cgroup.subtree_control", "+memory", true);
	snprintf(path, sizeof(path), "%s/inner", cgroups);
	CHECK(!mkdir(path, 0700));
}

/* Reclaim from one cgroup takes views of its VMs, and of no others. */
static void test_cgroup(void)
{
	struct vm *outer, *inner, *other;
	struct kvm_hypr_cache cache;

	cgroups_make();
	outer = idle_vm(2);
	cgroup_enter("inner");
	inner = idle_vm(3);
	other = idle_vm(1);
	/* Nothing to evict yet: the kernel must ask again later. */
	cgroup_write("inner/memory.reclaim", "64M", false);
	prepare_all(inner, 3);
	prepare_all(other, 1);
	OK(try_pin(inner, B, 0));
	cgroup_enter(".");
	prepare_all(outer, 2);

	cgroup_write("inner/memory.reclaim", "64M", false);
	cache = cache_get(inner);
	CHECK_EQ(cache.evicted, BIT(A) | BIT(C));
	CHECK_EQ(cache.prepared, BIT(B));
	CHECK_EQ(cache_get(other).evicted, BIT(A));
	CHECK_EQ(cache_get(outer).evicted, 0);
	CHECK_EQ(cache_get(outer).tables, 2 * VIEW_TABLES);

	/* A swap builds what the cgroup lost. */
	OK(try_commit_slow(inner, A, 0));
	CHECK_EQ(cache_get(inner).rebuilds, 1);
	/* VMs of a cgroup that is gone belong to the one above. */
	OK(try_prepare(other, A));
	CHECK_EQ(cache_get(other).evicted, 0);
	cgroups_remove();
	/* The kernel hands them over some time after it has removed the cgroup. */
	WAIT_UNTIL((memory_pressure(), cache_get(other).evicted == BIT(A)));
	CHECK_EQ(cache_get(outer).evicted, BIT(A) | BIT(B));
}

static atomic_bool pressure_stop;

static void *pressure_thread(void *arg)
{
	unsigned int *rounds = arg;

	pin_to_cpu(2);
	while (!atomic_load(&pressure_stop)) {
		memory_pressure();
		(*rounds)++;
	}
	return NULL;
}

/* Many where they take seconds. */
static unsigned int pressure_swaps(void)
{
	const char *given = getenv("HYPR_PRESSURE_SWAPS");

	return given ? (unsigned int)strtoul(given, NULL, 0) : 800;
}

/*
 * A swap between two looks of the shrinker is never refused.  The shrinker goes past
 * a VM whose lock is held, so now and then the swaps wait until it was there.
 */
static void test_swaps_under_pressure(void)
{
	unsigned int swaps = pressure_swaps();
	struct vm *vm = running_vm(4);
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t seed = tap_random();
	unsigned int i, view, rounds = 0;
	pthread_t thread;

	need_cpus(2);
	prepare_all(vm, 4);
	for (view = A; view < A + 4; view++) {
		vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
		vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA,
			seed + view);
	}
	CHECK(!pthread_create(&thread, NULL, pressure_thread, &rounds));
	for (i = 0; i < swaps; i++) {
		if (i % 32 == 0)
			WAIT_UNTIL(cache_get(vm).evicted);
		view = A + tap_random() % 4;
		vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
		CHECK_EQ(vcpu_view(vcpu), view);
		if (i % 8 == 0)
			vcpu_verify(vcpu, GUEST_FREE_GPA, GUEST_ID2_GPA,
				    seed + view);
	}
	atomic_store(&pressure_stop, true);
	pthread_join(thread, NULL);
	note("%u swaps, %u rounds of the shrinker, %llu evictions", i, rounds,
	     (unsigned long long)cache_get(vm).evictions);
	CHECK(cache_get(vm).rebuilds >= swaps / 40);
}

/* The rig's kernel would complain of what is touched after it was freed. */
static void test_vms_go_under_pressure(void)
{
	unsigned int i, rounds = 0;
	pthread_t thread;
	struct vm *vm;

	need_cpus(2);
	CHECK(!pthread_create(&thread, NULL, pressure_thread, &rounds));
	for (i = 0; i < 20; i++) {
		vm = idle_vm(2);
		prepare_all(vm, 2);
		OK(try_commit_slow(vm, A, 0));
		vm_close(vm);
	}
	atomic_store(&pressure_stop, true);
	pthread_join(thread, NULL);
	note("%u rounds of the shrinker", rounds);
	CHECK(rounds > 0);
}

static const struct test tests[] = {
	{ "tables and pages are counted exactly", test_counts },
	{ "16 MiB in 4 KiB pages take at most 64 KiB of tables",
	  test_memory_of_16_mib },
	{ "KVM_HYPR_CACHE_GET sets nothing", test_get_sets_nothing },
	{ "nothing is evicted within the budget", test_within_budget },
	{ "over the budget of tables the oldest view goes",
	  test_lru_order_by_tables },
	{ "over the budget of pages the oldest view goes",
	  test_lru_order_by_pages },
	{ "being swapped to is use, up to the swap away", test_swaps_are_use },
	{ "a smaller budget evicts at once", test_smaller_budget_evicts_at_once },
	{ "a pinned view stays, unpinned it goes", test_pinned_stays },
	{ "a view can be pinned before it is prepared",
	  test_pinned_before_prepared },
	{ "a pinned view can be discarded", test_pinned_is_discarded },
	{ "ENOENT, EINVAL: pin", test_pin_errors },
	{ "the active view stays", test_active_stays },
	{ "the view that one vCPU was put into stays",
	  test_view_of_a_single_vcpu_stays },
	{ "a swap builds an evicted view anew, with its memory",
	  test_rebuild_on_swap },
	{ "a budget for less than one view", test_smallest_budget },
	{ "an evicted view is built before the pause",
	  test_rebuild_before_the_pause },
	{ "a swap builds tables that KVM has zapped by itself",
	  test_zapped_by_kvm },
	{ "ENODATA: zapped by KVM, then discarded; prepared it is back",
	  test_zapped_then_discarded_or_prepared },
	{ "ENODATA: never prepared, or evicted and then discarded",
	  test_not_rebuilt },
	{ "EINVAL: an evicted view that lost the control page",
	  test_rebuild_without_control_page },
	{ "EAGAIN: the rebuild takes longer than the swap may", test_rebuild_deadline },
	{ "EINTR: a signal ends the rebuild, the next swap goes on",
	  test_rebuild_interrupted },
	{ "the default budget of a VM", test_default_budget },
	{ "the budget of the host, over all VMs", test_host_budget },
	{ "memory pressure evicts what is not in use", test_shrinker },
	{ "memory pressure reaches every VM", test_shrinker_takes_all_vms },
	{ "reclaim from a memory cgroup evicts its VMs' views alone",
	  test_cgroup },
	{ "swaps under memory pressure are never refused",
	  test_swaps_under_pressure },
	{ "VMs come and go under memory pressure", test_vms_go_under_pressure },
};

int main(int argc, char **argv)
{
	/* Left behind by a test that failed. */
	if (!access("/sys/module/kvm/parameters/ept_cache_tables", W_OK))
		parameters_reset();
	return TAP_RUN(tests, argc, argv);
}
