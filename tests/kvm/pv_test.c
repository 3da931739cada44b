// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM keeps for a vCPU in guest memory: kvmclock, wall clock, steal time,
 * PV EOI, at the same GPA in every view.  It must be written in the view that
 * the vCPU is in, must be right as soon as the guest runs there, and must leave
 * the other views' copies alone.  docs/spec/swap-semantics.md says why.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <string.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)

/* <asm/kvm_para.h> and <asm/pvclock-abi.h> have the rest. */
#define MSR_WALL_CLOCK	0x4b564d00
#define MSR_SYSTEM_TIME	0x4b564d01
#define MSR_ASYNC_PF_EN	0x4b564d02
#define MSR_STEAL_TIME	0x4b564d03
#define MSR_PV_EOI	0x4b564d04
#define MSR_ASYNC_PF_INT 0x4b564d06
#define MSR_ASYNC_PF_ACK 0x4b564d07

#define PV_GPA		GUEST_FREE_GPA

#define PREEMPTED	1
#define FLUSH_TLB	2

struct pvclock {
	uint32_t version;
	uint32_t pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad[2];
};

struct steal {
	uint64_t steal;
	uint32_t version;
	uint32_t flags;
	uint8_t preempted;
	uint8_t pad[47];
};

static struct vm *vm_running(int nr_vcpus)
{
	struct vm *vm = vm_new();

	need_cpus(nr_vcpus);
	vm_views_add(vm, 2);
	vcpus_start(vm, nr_vcpus);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	return vm;
}

static void go(struct vm *vm, unsigned int view)
{
	vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), view);
}

static void *pv_area(struct vm *vm, unsigned int view)
{
	return ram_word(vm, view, PV_GPA);
}

static void guest_wrmsr(struct vm *vm, uint32_t msr, uint64_t value)
{
	vcpu_do(&vm->vcpu[0], GUEST_WRMSR, msr, value, 0);
}

static uint32_t clock_version(struct vm *vm, unsigned int view)
{
	struct pvclock *clock = pv_area(vm, view);

	return __atomic_load_n(&clock->version, __ATOMIC_SEQ_CST);
}

/* Written whole: an even version, and a factor to multiply with. */
static void check_clock(struct vm *vm, unsigned int view)
{
	struct pvclock *clock = pv_area(vm, view);

	CHECK(clock_version(vm, view) && !(clock_version(vm, view) & 1));
	CHECK(clock->tsc_to_system_mul);
	CHECK(clock->system_time);
}

static void check_untouched(struct vm *vm, unsigned int view,
			    const void *before, size_t bytes)
{
	if (memcmp(pv_area(vm, view), before, bytes))
		FAIL("view %u was written while another was active", view);
}

/* Setting the register again has it written again, in the view it is in. */
static void update_clock(struct vm *vm, unsigned int view)
{
	uint32_t version = clock_version(vm, view);

	guest_wrmsr(vm, MSR_SYSTEM_TIME, PV_GPA | 1);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), view);
	CHECK(clock_version(vm, view) != version);
}

/* vcpu_view() in go() has made sure that the guest has run in the view. */
static void test_clock(void)
{
	struct vm *vm = vm_running(1);
	struct pvclock boot, a;

	guest_wrmsr(vm, MSR_SYSTEM_TIME, PV_GPA | 1);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	check_clock(vm, 0);
	CHECK_EQ(clock_version(vm, A), 0);

	go(vm, A);
	check_clock(vm, A);
	memcpy(&boot, pv_area(vm, 0), sizeof(boot));
	update_clock(vm, A);
	check_untouched(vm, 0, &boot, sizeof(boot));

	go(vm, B);
	check_clock(vm, B);
	memcpy(&a, pv_area(vm, A), sizeof(a));
	update_clock(vm, B);
	check_untouched(vm, 0, &boot, sizeof(boot));
	check_untouched(vm, A, &a, sizeof(a));
	CHECK(((struct pvclock *)pv_area(vm, B))->system_time >=
	      boot.system_time);
}

/* A view that comes back tells the time of now, under a newer version. */
static void test_clock_of_a_view_that_comes_back(void)
{
	struct vm *vm = vm_running(1);
	struct pvclock *clock = pv_area(vm, 0);
	struct pvclock left;

	guest_wrmsr(vm, MSR_SYSTEM_TIME, PV_GPA | 1);
	go(vm, A);
	left = *clock;
	/* As restored from a moment of long ago. */
	clock->system_time = 1;
	clock->tsc_timestamp = 1;
	go(vm, 0);
	check_clock(vm, 0);
	CHECK(clock->version != left.version);
	CHECK(clock->system_time >= left.system_time);
	CHECK(clock->tsc_timestamp >= left.tsc_timestamp);
}

/* No memory there in one view: nothing breaks, and the others go on. */
static void test_clock_without_memory(void)
{
	struct vm *vm = vm_new();
	const uint64_t gpa = 0x2000000;
	struct pvclock *clock = memory_new(4096);
	uint32_t version;

	need_cpus(1);
	vm_views_add(vm, 1);
	OK(try_set_slot(vm, 0, SLOT_FREE, 0, gpa, 4096, clock));
	vcpus_start(vm, 1);
	OK(try_prepare(vm, A));
	guest_wrmsr(vm, MSR_SYSTEM_TIME, gpa | 1);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	version = clock->version;
	CHECK(version);
	go(vm, A);
	CHECK_EQ(clock->version, version);
	go(vm, 0);
	CHECK(clock->version != version && !(clock->version & 1));
}

/* KVM_SET_EPTP takes one vCPU away from the active view, its clock too. */
static void test_clock_of_a_single_vcpu(void)
{
	struct vm *vm = vm_running(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_hypr_eptp eptp = { 0 };
	struct pvclock boot;

	guest_wrmsr(vm, MSR_SYSTEM_TIME, PV_GPA | 1);
	vcpu_stop(vcpu);
	vm_commit(vm, B, 0);
	OK(try_ioctl(vcpu->fd, KVM_GET_EPTP, &eptp));
	vm_commit(vm, 0, 0);
	eptp.flags = 0;
	OK(try_ioctl(vcpu->fd, KVM_SET_EPTP, &eptp));
	memcpy(&boot, pv_area(vm, 0), sizeof(boot));
	memset(pv_area(vm, B), 0, sizeof(boot));
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), B);
	check_clock(vm, B);
	check_untouched(vm, 0, &boot, sizeof(boot));
}

static void test_wall_clock(void)
{
	struct vm *vm = vm_running(1);
	uint32_t *seconds;

	go(vm, A);
	guest_wrmsr(vm, MSR_WALL_CLOCK, PV_GPA);
	seconds = (uint32_t *)pv_area(vm, A) + 1;
	CHECK(*seconds);
	CHECK_EQ(*(uint64_t *)pv_area(vm, 0), 0);
	CHECK_EQ(*(uint64_t *)pv_area(vm, B), 0);
}

static struct steal *steal_area(struct vm *vm, unsigned int view)
{
	return pv_area(vm, view);
}

static void test_steal_time(void)
{
	struct vm *vm = vm_running(1);
	struct steal boot;
	uint32_t version;

	guest_wrmsr(vm, MSR_STEAL_TIME, PV_GPA | 1);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	CHECK(steal_area(vm, 0)->version);
	go(vm, A);
	memcpy(&boot, steal_area(vm, 0), sizeof(boot));
	version = steal_area(vm, A)->version;
	CHECK(version && !(version & 1));
	CHECK_EQ(steal_area(vm, B)->version, 0);
	/* Coming back into KVM_RUN has it written again. */
	vcpu_stop(&vm->vcpu[0]);
	vcpu_start(&vm->vcpu[0]);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	CHECK(steal_area(vm, A)->version != version);
	CHECK_EQ(steal_area(vm, B)->version, 0);
	check_untouched(vm, 0, &boot, sizeof(boot));
}

/*
 * "Preempted" was true when the view was left.  A guest that believes it now
 * spins in vain, or leaves a TLB flush to the host that never comes.
 */
static void test_steal_time_preempted(void)
{
	struct vm *vm = vm_running(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t flushes;

	guest_wrmsr(vm, MSR_STEAL_TIME, PV_GPA | 1);
	steal_area(vm, A)->preempted = PREEMPTED;
	go(vm, A);
	CHECK_EQ(steal_area(vm, A)->preempted, 0);

	steal_area(vm, 0)->preempted = PREEMPTED | FLUSH_TLB;
	flushes = vcpu_stat(vcpu, "tlb_flush");
	go(vm, 0);
	CHECK_EQ(steal_area(vm, 0)->preempted, 0);
	CHECK(vcpu_stat(vcpu, "tlb_flush") > flushes);
}

static void wake(struct vcpu *vcpu)
{
	uint64_t wakes = vcpu->guest->wakes;
	struct kvm_msi msi = {
		.address_lo = 0xfee00000 | vcpu->index << 12,
		.data = GUEST_WAKE_VECTOR,
	};

	CHECK_RET(try_ioctl(vcpu->vm->fd, KVM_SIGNAL_MSI, &msi), 1);
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->wakes, __ATOMIC_SEQ_CST) ==
		   wakes + 1);
}

/* The bit is granted at each entry and taken back at each exit. */
static void test_pv_eoi(void)
{
	static const unsigned int views[] = { 0, A, B, 0 };
	struct vm *vm = vm_running(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	const uint64_t mark = 0xabcdef00;
	unsigned int i, j, view;
	uint64_t before;

	guest_wrmsr(vm, MSR_PV_EOI, PV_GPA | 1);
	vcpu->guest->pv_eoi_gpa = PV_GPA;
	for (i = 0; i < 4; i++) {
		go(vm, views[i]);
		for (view = 0; view <= B; view++)
			if (view != KVM_HYPR_VIEW_SMM && view != views[i])
				*(uint64_t *)pv_area(vm, view) = mark;
		/* A VM-exit in the handler, by a tick say, takes one back. */
		before = vcpu->guest->pv_eois;
		for (j = 0; j < 20; j++)
			wake(vcpu);
		CHECK(vcpu->guest->pv_eois > before);
		for (view = 0; view <= B; view++)
			if (view != KVM_HYPR_VIEW_SMM && view != views[i])
				CHECK_EQ(*(uint64_t *)pv_area(vm, view), mark);
	}
}

static uint32_t *apf_token(struct vm *vm, unsigned int view)
{
	return (uint32_t *)pv_area(vm, view) + 1;
}

static void wait_wakes(struct vm *vm, uint64_t count)
{
	WAIT_UNTIL(__atomic_load_n(&vm->vcpu[0].guest->wakes,
				   __ATOMIC_SEQ_CST) == count);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), vm->vcpu[0].guest->view);
	CHECK_EQ(vm->vcpu[0].guest->wakes, count);
}

/* KVM tells so once when the register is set, HYPR in each view that is taken. */
static void test_wake_all_of_async_page_faults(void)
{
	struct vm *vm = vm_running(1);
	const uint32_t all = ~0u;

	guest_wrmsr(vm, MSR_ASYNC_PF_INT, GUEST_WAKE_VECTOR);
	guest_wrmsr(vm, MSR_ASYNC_PF_EN, PV_GPA | 1 | 2 | 8);
	wait_wakes(vm, 1);
	CHECK_EQ(*apf_token(vm, 0), all);

	go(vm, A);
	wait_wakes(vm, 2);
	CHECK_EQ(*apf_token(vm, A), all);
	CHECK_EQ(*apf_token(vm, B), 0);

	/* The guest of the boot view has not taken its event: no room. */
	go(vm, 0);
	wait_wakes(vm, 2);
	/* That one is not told to the next view, which has its own. */
	go(vm, B);
	wait_wakes(vm, 3);
	CHECK_EQ(*apf_token(vm, B), all);
	/* And it is told in the boot view as soon as there is room. */
	go(vm, 0);
	wait_wakes(vm, 3);
	*apf_token(vm, 0) = 0;
	guest_wrmsr(vm, MSR_ASYNC_PF_ACK, 1);
	wait_wakes(vm, 4);
	CHECK_EQ(*apf_token(vm, 0), all);
}

/* What KVM writes by itself is in the log of the view that it wrote to. */
static void test_clock_in_the_dirty_log(void)
{
	struct vm *vm = vm_running(1);
	uint64_t bitmap[RAM_BYTES / 4096 / 64] = { 0 };
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };
	unsigned int view;

	guest_wrmsr(vm, MSR_SYSTEM_TIME, PV_GPA | 1);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	for (view = A; view <= B; view++)
		OK(try_set_slot(vm, view, SLOT_RAM, KVM_MEM_LOG_DIRTY_PAGES, 0,
				RAM_BYTES, vm->ram[view]));
	OK(try_prepare(vm, A));
	go(vm, A);
	log.slot = A << 16 | SLOT_RAM;
	OK(try_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	CHECK_EQ(bitmap[0], 1ull << (PV_GPA >> 12));
	memset(bitmap, 0, sizeof(bitmap));
	log.slot = B << 16 | SLOT_RAM;
	OK(try_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	CHECK_EQ(bitmap[0], 0);
}

static const struct test tests[] = {
	{ "kvmclock is written in the new view, before the guest reads it",
	  test_clock },
	{ "kvmclock of a view that comes back is that of now",
	  test_clock_of_a_view_that_comes_back },
	{ "kvmclock where a view has no memory", test_clock_without_memory },
	{ "kvmclock of a vCPU in a view of its own", test_clock_of_a_single_vcpu },
	{ "the wall clock is written in the active view", test_wall_clock },
	{ "steal time is written in the active view", test_steal_time },
	{ "a stale 'preempted' is cleared, and its TLB flush is done",
	  test_steal_time_preempted },
	{ "PV EOI works in every view", test_pv_eoi },
	{ "async page faults: 'wake all' in each view that is taken",
	  test_wake_all_of_async_page_faults },
	{ "kvmclock's writes are in the view's dirty log",
	  test_clock_in_the_dirty_log },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
