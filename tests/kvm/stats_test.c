// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_HYPR_GET_STATS and the same figures in KVM's binary statistics: each
 * counter counts what it says and nothing else.
 */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)
#define BUCKETS	KVM_HYPR_STATS_BUCKETS

static struct kvm_hypr_stats get_stats(struct vm *vm)
{
	struct kvm_hypr_stats stats;
	unsigned int i;

	memset(&stats, 0xff, sizeof(stats));
	OK(try_ioctl(vm->fd, KVM_HYPR_GET_STATS, &stats));
	for (i = 0; i < sizeof(stats.reserved) / 8; i++)
		CHECK_EQ(stats.reserved[i], 0);
	return stats;
}

/* What must hold for any distribution. */
static void check_dist(const struct kvm_hypr_dist *dist)
{
	uint64_t in_buckets = 0;
	int low = -1, high = -1, i;

	for (i = 0; i < BUCKETS; i++) {
		in_buckets += dist->hist[i];
		if (dist->hist[i] && low < 0)
			low = i;
		if (dist->hist[i])
			high = i;
	}
	CHECK_EQ(in_buckets, dist->count);
	if (!dist->count) {
		CHECK_EQ(dist->sum | dist->min | dist->max, 0);
		return;
	}
	CHECK(dist->min <= dist->max);
	CHECK(dist->sum >= dist->count * dist->min);
	CHECK(dist->sum <= dist->count * dist->max);
	CHECK_EQ(low, dist->min ? 64 - __builtin_clzll(dist->min) : 0);
	CHECK_EQ(high, dist->max ? 64 - __builtin_clzll(dist->max) : 0);
}

static void test_nothing_yet(void)
{
	static const struct kvm_hypr_stats none;
	struct kvm_hypr_stats stats;
	struct vm *vm = vm_new();

	stats = get_stats(vm);
	CHECK(!memcmp(&stats, &none, sizeof(stats)));
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_GET_STATS, NULL), -EFAULT);
	vm = vm_new_plain();
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_GET_STATS, &stats), -EINVAL);
}

static void test_swaps(void)
{
	struct vm *vm = vm_new_prepared(2);
	struct kvm_hypr_stats stats;
	uint64_t sum = 0, min = ~0ull, max = 0;
	unsigned int i;

	vcpus_start(vm, 2);
	for (i = 0; i < 50; i++) {
		uint64_t cycles = vm_commit(vm, i % 2 ? B : A,
					    KVM_EPT_SWAP_FORCE).commit_cycles;

		sum += cycles;
		min = cycles < min ? cycles : min;
		max = cycles > max ? cycles : max;
	}
	stats = get_stats(vm);
	CHECK_EQ(stats.swaps, 50);
	CHECK_EQ(stats.forced, 100);
	CHECK_EQ(stats.commit.count, 50);
	CHECK_EQ(stats.commit.sum, sum);
	CHECK_EQ(stats.commit.min, min);
	CHECK_EQ(stats.commit.max, max);
	CHECK_EQ(stats.pause.count, 0);
	CHECK_EQ(stats.tail.count, 49);
	CHECK_EQ(stats.pause_timeouts, 0);
	check_dist(&stats.commit);
	check_dist(&stats.pause);
	check_dist(&stats.tail);
}

static void test_pauses(void)
{
	struct vm *vm = vm_new_prepared(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_hypr_stats stats;
	struct kvm_hypr_swap swap = {
		.view = A,
		.flags = KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME |
			 KVM_EPT_SWAP_FORCE,
	};
	uint64_t sum = 0;
	unsigned int i;

	vm_control_page_register(vm);
	vcpus_start(vm, 1);
	vcpu_do(vcpu, GUEST_ONLINE, 0, 0, 0);
	for (i = 0; i < 10; i++) {
		swap.view = i % 2 ? B : A;
		swap.timeout_ns = SWAP_WAIT_NS;
		OK(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap));
		CHECK_EQ(swap.forced, 0);
		sum += swap.pause_cycles;
	}
	stats = get_stats(vm);
	CHECK_EQ(stats.pause.count, 10);
	CHECK_EQ(stats.pause.sum, sum);
	CHECK_EQ(stats.forced, 0);
	check_dist(&stats.pause);

	/* A guest that does not answer: by force, and then not. */
	vcpu->guest->ignore_pause = 1;
	swap.timeout_ns = 5000000;
	OK(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap));
	swap.flags &= ~KVM_EPT_SWAP_FORCE;
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap), -EAGAIN);
	stats = get_stats(vm);
	CHECK_EQ(stats.pause.count, 10);
	CHECK_EQ(stats.pause_timeouts, 1);
	CHECK_EQ(stats.forced, 1);
	CHECK_EQ(stats.fail_pause, 1);
	CHECK_EQ(stats.fail_hold, 0);
	CHECK_EQ(stats.swaps, 11);
}

static void test_failures(void)
{
	struct vm *vm = vm_new_prepared(1);
	struct kvm_hypr_swap stale = {
		.view = A,
		.flags = KVM_EPT_SWAP_EXPECT,
		.expected_view = B,
	};
	struct kvm_hypr_stats stats;
	unsigned int i;

	vm_view_add(vm, B + 1);
	vcpus_start(vm, 1);
	CHECK_RET(try_commit(vm, B + 2, 0), -ENOENT);
	for (i = 0; i < 2; i++)
		CHECK_RET(try_commit(vm, B + 1, 0), -ENODATA);
	for (i = 0; i < 3; i++)
		CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &stale),
			  -ESTALE);
	for (i = 0; i < 4; i++)
		CHECK_RET(try_commit(vm, A, 0), -EBUSY);
	/* hyprv does not know the flag: that is of the argument's form. */
	for (i = 0; i < 5; i++)
		CHECK_RET(try_swap_all(vm, A, KVM_EPT_SWAP_PAUSE), -EINVAL);
	/* Of the argument's form: not a swap at all. */
	CHECK_RET(try_commit(vm, A, 0x80000000), -EINVAL);
	stats = get_stats(vm);
	CHECK_EQ(stats.fail_no_view, 1);
	CHECK_EQ(stats.fail_unprepared, 2);
	CHECK_EQ(stats.fail_stale, 3);
	CHECK_EQ(stats.fail_busy, 4);
	CHECK_EQ(stats.fail_other, on_hyprv() ? 0 : 5);
	CHECK_EQ(stats.fail_pause | stats.fail_hold | stats.fail_signal, 0);
	CHECK_EQ(stats.swaps | stats.commit.count | stats.forced, 0);
}

static void test_prepares_and_discards(void)
{
	struct vm *vm = vm_new_prepared(1);
	struct kvm_hypr_prepare part = {
		.view = A,
		.flags = KVM_HYPR_PREPARE_RANGE,
		.size = 0x1000,
	};
	struct kvm_hypr_stats stats;

	OK(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &part));
	OK(try_discard(vm, A));
	OK(try_discard(vm, B));
	CHECK_RET(try_discard(vm, 0), -EBUSY);
	CHECK_RET(try_discard(vm, B + 1), -ENOENT);
	stats = get_stats(vm);
	CHECK_EQ(stats.prepares, 3);
	CHECK_EQ(stats.prepare_failures, 0);
	CHECK_EQ(stats.discards, 2);
}

/* One fault for each page that nobody built; none where all is there. */
static void test_fault_tail(void)
{
	struct kvm_hypr_prepare part = { .flags = KVM_HYPR_PREPARE_RANGE };
	struct vm *vm = vm_new_prepared(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_hypr_stats stats;

	/*
	 * What the host maps writable when the tables are built does not fault:
	 * hence after the guest has started, and touched.
	 */
	vcpus_start(vm, 1);
	ram_touch(vm, A);
	ram_touch(vm, B);
	OK(try_discard(vm, A));
	OK(try_discard(vm, B));
	OK(try_prepare(vm, A));
	part.view = B;
	part.size = GUEST_FREE_GPA;
	OK(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &part));
	part.gpa = GUEST_ID2_GPA;
	part.size = 0x1000;
	OK(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &part));
	part.gpa = GUEST_SHARED_GPA;
	part.size = GUEST_SHARED_BYTES;
	OK(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &part));

	CHECK_EQ(get_stats(vm).tail_open, 0);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(vcpu), A);
	vcpu_do(vcpu, GUEST_FILL, 0x10000, 0x90000, 1);
	stats = get_stats(vm);
	CHECK_EQ(stats.tail.count, 0);
	CHECK_EQ(stats.tail_open, 0);

	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(vcpu), B);
	vcpu_do(vcpu, GUEST_FILL, 0x10000, 0x90000, 1);
	stats = get_stats(vm);
	CHECK_EQ(stats.tail.count, 1);
	CHECK_EQ(stats.tail.max, 0);
	CHECK_EQ(stats.tail_open, 128);

	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(vcpu), A);
	stats = get_stats(vm);
	CHECK_EQ(stats.tail.count, 2);
	CHECK_EQ(stats.tail.sum, 128);
	CHECK_EQ(stats.tail.min, 0);
	CHECK_EQ(stats.tail.max, 128);
	CHECK_EQ(stats.tail.hist[0], 1);
	CHECK_EQ(stats.tail.hist[8], 1);
	CHECK_EQ(stats.tail_open, 0);
}

static void test_flushes(void)
{
	struct vm *vm = vm_new_prepared(1);
	uint64_t before;

	vcpus_start(vm, 1);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), B);
	before = get_stats(vm).flushes;
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_FLUSH);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	CHECK_EQ(get_stats(vm).flushes, before + 1);
}

static void check_same(struct vm *vm, const char *name, uint64_t value)
{
	uint64_t stat = vm_stat(vm, name);

	if (stat != value)
		FAIL("%s is %llu, by ioctl %llu", name,
		     (unsigned long long)stat, (unsigned long long)value);
}

static void check_same_dist(struct vm *vm, const char *name,
			    const struct kvm_hypr_dist *dist)
{
	uint64_t hist[BUCKETS];
	char path[64];

	snprintf(path, sizeof(path), "hypr.%s.count", name);
	check_same(vm, path, dist->count);
	snprintf(path, sizeof(path), "hypr.%s.sum", name);
	check_same(vm, path, dist->sum);
	snprintf(path, sizeof(path), "hypr.%s.min", name);
	check_same(vm, path, dist->min);
	snprintf(path, sizeof(path), "hypr.%s.max", name);
	check_same(vm, path, dist->max);
	snprintf(path, sizeof(path), "hypr.%s.hist", name);
	CHECK_EQ(vm_stat_values(vm, path, hist, BUCKETS), BUCKETS);
	CHECK(!memcmp(hist, dist->hist, sizeof(hist)));
}

static void test_binary_stats(void)
{
	struct vm *vm = vm_new_prepared(1);
	struct kvm_hypr_stats stats;
	unsigned int i;

	vm_control_page_register(vm);
	vcpus_start(vm, 1);
	vcpu_do(&vm->vcpu[0], GUEST_ONLINE, 0, 0, 0);
	for (i = 0; i < 20; i++)
		vm_swap_all(vm, i % 2 ? B : A, KVM_EPT_SWAP_PAUSE |
			    KVM_EPT_SWAP_RESUME | KVM_EPT_SWAP_FORCE);
	CHECK_RET(try_commit(vm, B + 1, 0), -ENOENT);
	CHECK_RET(try_commit(vm, A, 0), -EBUSY);
	stats = get_stats(vm);
	CHECK_EQ(stats.swaps, 20);
	check_same(vm, "hypr.swaps", stats.swaps);
	check_same(vm, "hypr.forced", stats.forced);
	check_same(vm, "hypr.pause_timeouts", stats.pause_timeouts);
	check_same(vm, "hypr.fail_no_view", 1);
	check_same(vm, "hypr.fail_unprepared", 0);
	check_same(vm, "hypr.fail_stale", 0);
	check_same(vm, "hypr.fail_busy", 1);
	check_same(vm, "hypr.fail_pause", 0);
	check_same(vm, "hypr.fail_hold", 0);
	check_same(vm, "hypr.fail_signal", 0);
	check_same(vm, "hypr.fail_other", 0);
	check_same(vm, "hypr.prepares", 2);
	check_same(vm, "hypr.prepare_failures", 0);
	check_same(vm, "hypr.discards", 0);
	check_same_dist(vm, "pause", &stats.pause);
	check_same_dist(vm, "commit", &stats.commit);
	check_same_dist(vm, "tail", &stats.tail);
}

static const struct test tests[] = {
	{ "zero at first; EFAULT; EINVAL without views", test_nothing_yet },
	{ "swaps and their commit", test_swaps },
	{ "pauses, and pauses that nobody answered", test_pauses },
	{ "failures by reason", test_failures },
	{ "prepares and discards", test_prepares_and_discards },
	{ "the fault tail counts the pages that were not there",
	  test_fault_tail },
	{ "flushes that were asked for", test_flushes },
	{ "KVM's binary statistics say the same", test_binary_stats },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
