// SPDX-License-Identifier: GPL-2.0-only
/*
 * Swaps between memory views: each view keeps what was written in it, whether
 * its vCPU stands still or runs, and its tables can be given back and built
 * again.
 */
#include <pthread.h>
#include <time.h>

#include "hypr.h"

#define VIEW_A		KVM_HYPR_VIEW_FIRST
#define VIEW_B		(KVM_HYPR_VIEW_FIRST + 1)
#define DEADLINE_S	60

/* Add one to a word on each page; tell the sum of what stood there before. */
static void guest_count(void)
{
	uint64_t *data = (void *)HYPR_DATA_GPA;
	uint64_t sum, word;
	int i;

	for (;;) {
		sum = 0;
		for (i = 0; i < HYPR_DATA_PAGES; i++) {
			word = READ_ONCE(data[i * 512]);
			WRITE_ONCE(data[i * 512], word + 1);
			sum += word;
		}
		GUEST_SYNC(sum);
	}
}

static uint64_t run_to_sync(struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
	/* A swap is refused as long as the I/O of the ucall is half done. */
	vcpu_run_complete_io(vcpu);
	return uc.args[1];
}

static void fill(uint64_t *data, uint64_t value)
{
	int i;

	for (i = 0; i < HYPR_DATA_PAGES; i++)
		data[i * 512] = value;
}

static void check(const uint64_t *data, uint64_t value, const char *name)
{
	int i;

	for (i = 0; i < HYPR_DATA_PAGES; i++)
		TEST_ASSERT(data[i * 512] == value, "%s, page %d: %lu, not %lu",
			    name, i, data[i * 512], value);
}

static void test_isolation(void)
{
	const uint32_t order[] = { VIEW_A, 0, VIEW_B, VIEW_A, VIEW_B, 0, 0 };
	uint64_t *data[VIEW_B + 1], count[VIEW_B + 1] = { 0 };
	struct kvm_hypr_swap swap;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	uint32_t view, old = 0;
	int i;

	vm = hypr_vm_create(&vcpu, guest_count, &data[0]);
	data[VIEW_A] = hypr_view_add(vm, VIEW_A);
	data[VIEW_B] = hypr_view_add(vm, VIEW_B);
	count[0] = 1000;
	count[VIEW_A] = 2000;
	count[VIEW_B] = 3000;
	fill(data[0], 1000);
	fill(data[VIEW_A], 2000);
	fill(data[VIEW_B], 3000);
	hypr_prepare(vm, VIEW_A);
	hypr_prepare(vm, VIEW_B);

	TEST_ASSERT_EQ(run_to_sync(vcpu), count[0]++ * HYPR_DATA_PAGES);
	for (i = 0; i < ARRAY_SIZE(order); i++) {
		view = order[i];
		swap = hypr_commit(vm, view, 0);
		TEST_ASSERT_EQ(swap.old_view, old);
		TEST_ASSERT_EQ(swap.generation, i + 1);
		TEST_ASSERT_EQ(run_to_sync(vcpu), count[view]++ * HYPR_DATA_PAGES);
		old = view;
	}
	check(data[0], count[0], "boot view");
	check(data[VIEW_A], count[VIEW_A], "view A");
	check(data[VIEW_B], count[VIEW_B], "view B");
	kvm_vm_free(vm);
}

/* Slot 0 is the same memory in all views: host and guest meet there. */
static uint64_t seen;
static uint64_t stop;

static void guest_watch(void)
{
	uint64_t *data = (void *)HYPR_DATA_GPA;

	/* Let the host's interrupts in. */
	asm volatile("sti");
	while (!READ_ONCE(stop))
		WRITE_ONCE(seen, READ_ONCE(*data));
	GUEST_DONE();
}

static void *vcpu_thread(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_DONE);
	return NULL;
}

static void wait_for(const uint64_t *word, uint64_t value)
{
	time_t end = time(NULL) + DEADLINE_S;

	while (READ_ONCE(*word) != value) {
		TEST_ASSERT(time(NULL) < end, "the guest sees %lu, not %lu",
			    READ_ONCE(*word), value);
		sched_yield();
	}
}

static void test_running(void)
{
	uint64_t *data[VIEW_A + 1], *seen_hva, *stop_hva;
	struct kvm_hypr_swap swap;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	pthread_t thread;
	int i;

	vm = hypr_vm_create(&vcpu, guest_watch, &data[0]);
	data[VIEW_A] = hypr_view_add(vm, VIEW_A);
	fill(data[0], 10);
	fill(data[VIEW_A], 20);
	hypr_prepare(vm, VIEW_A);
	seen_hva = addr_gva2hva(vm, (vm_vaddr_t)&seen);
	stop_hva = addr_gva2hva(vm, (vm_vaddr_t)&stop);

	pthread_create(&thread, NULL, vcpu_thread, vcpu);
	wait_for(seen_hva, 10);
	TEST_ASSERT(__hypr_commit(vm, VIEW_A, 0) == -1 && errno == EBUSY,
		    "a running vCPU was swapped without force, errno %d", errno);
	for (i = 0; i < 20; i++) {
		swap = hypr_commit(vm, i & 1 ? 0 : VIEW_A, KVM_EPT_SWAP_FORCE);
		TEST_ASSERT_EQ(swap.forced, 1);
		wait_for(seen_hva, i & 1 ? 10 : 20);
	}
	WRITE_ONCE(*stop_hva, 1);
	pthread_join(thread, NULL);
	kvm_vm_free(vm);
}

static void test_discard(void)
{
	struct kvm_hypr_discard discard = { .view = VIEW_A };
	uint64_t *data[VIEW_A + 1];
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	vm = hypr_vm_create(&vcpu, guest_count, &data[0]);
	data[VIEW_A] = hypr_view_add(vm, VIEW_A);
	fill(data[VIEW_A], 5);
	/* A boot view that never ran has no tables to come back to. */
	TEST_ASSERT_EQ(run_to_sync(vcpu), 0);
	hypr_prepare(vm, VIEW_A);
	hypr_commit(vm, VIEW_A, 0);
	TEST_ASSERT_EQ(run_to_sync(vcpu), 5 * HYPR_DATA_PAGES);

	TEST_ASSERT(__vm_ioctl(vm, KVM_HYPR_DISCARD_VIEW, &discard) == -1 &&
		    errno == EBUSY, "the active view was discarded");
	hypr_commit(vm, 0, 0);
	vm_ioctl(vm, KVM_HYPR_DISCARD_VIEW, &discard);
	/* The tables go, the memory stays. */
	hypr_prepare(vm, VIEW_A);
	hypr_commit(vm, VIEW_A, 0);
	TEST_ASSERT_EQ(run_to_sync(vcpu), 6 * HYPR_DATA_PAGES);
	check(data[0], 1, "boot view");
	check(data[VIEW_A], 7, "view A");
	kvm_vm_free(vm);
}

/* The EPTP that a view had takes a vCPU back to it. */
static void test_eptp(void)
{
	struct kvm_hypr_eptp boot = { 0 }, eptp = { 0 };
	uint64_t *data[VIEW_A + 1];
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	vm = hypr_vm_create(&vcpu, guest_count, &data[0]);
	data[VIEW_A] = hypr_view_add(vm, VIEW_A);
	fill(data[0], 1);
	fill(data[VIEW_A], 2);
	hypr_prepare(vm, VIEW_A);

	TEST_ASSERT_EQ(run_to_sync(vcpu), 1 * HYPR_DATA_PAGES);
	vcpu_ioctl(vcpu, KVM_GET_EPTP, &boot);
	TEST_ASSERT_EQ(boot.view, 0);
	hypr_commit(vm, VIEW_A, 0);
	vcpu_ioctl(vcpu, KVM_GET_EPTP, &eptp);
	TEST_ASSERT_EQ(eptp.view, VIEW_A);
	TEST_ASSERT(eptp.eptp != boot.eptp, "two views with one EPTP");

	eptp = (struct kvm_hypr_eptp) { .eptp = boot.eptp };
	vcpu_ioctl(vcpu, KVM_SET_EPTP, &eptp);
	TEST_ASSERT_EQ(eptp.view, 0);
	TEST_ASSERT_EQ(run_to_sync(vcpu), 2 * HYPR_DATA_PAGES);
	check(data[VIEW_A], 2, "view A");
	kvm_vm_free(vm);
}

static const struct {
	const char *name;
	void (*run)(void);
	bool needs_ept;
} tests[] = {
	{ "each view keeps what was written in it", test_isolation },
	{ "a running vCPU is swapped by force only", test_running },
	{ "a discarded view is built again", test_discard },
	{ "an EPTP names its view", test_eptp, .needs_ept = true },
};

int main(int argc, char *argv[])
{
	int i;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_HYPR_EPT_SWAP));

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(tests));
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (tests[i].needs_ept && !host_cpu_is_intel) {
			ksft_test_result_skip("%s: no EPT\n", tests[i].name);
			continue;
		}
		tests[i].run();
		ksft_test_result_pass("%s\n", tests[i].name);
	}
	ksft_finished();
}
