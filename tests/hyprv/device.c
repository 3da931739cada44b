// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny guest on /dev/hyprv: it runs, uses its memory, exits to user space and goes
 * on, with one vCPU and with three; its memory follows the process's.
 */
#define _GNU_SOURCE
#include "basics.h"
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static struct vm *plain(int nr_vcpus)
{
	struct vm *vm;

	need_cpus(nr_vcpus);
	vm = vm_new_plain_irqchip(IRQCHIP_NONE);
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	vcpus_start(vm, nr_vcpus);
	return vm;
}

static struct vcpu *one_vcpu(void)
{
	return &plain(1)->vcpu[0];
}

/* The thread's way to user space and back. */
static void go_outside(struct vcpu *vcpu)
{
	vcpu_ask(vcpu, GUEST_OUT, 0x10, 0, 0);
	vcpu_wait_outside(vcpu);
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
}

static void test_exits_to_user_space(void)
{
	struct vcpu *vcpu = one_vcpu();

	vcpu_ask(vcpu, GUEST_OUT, 0x10, 0, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.port, 0x10);
	CHECK_EQ(vcpu->run->io.direction, KVM_EXIT_IO_OUT);
	CHECK_EQ(vcpu->run->io.size, 1);
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 0);
}

static void test_three_vcpus(void)
{
	struct vm *vm = plain(3);
	uint64_t seed = tap_random();
	int i;

	for (i = 0; i < 3; i++)
		vcpu_do(&vm->vcpu[i], GUEST_FILL, GUEST_FREE_GPA + i * 0x80000,
			GUEST_FREE_GPA + (i + 1) * 0x80000, seed + i);
	for (i = 0; i < 3; i++)
		vcpu_verify(&vm->vcpu[(i + 1) % 3], GUEST_FREE_GPA + i * 0x80000,
			    GUEST_FREE_GPA + (i + 1) * 0x80000, seed + i);
	check_all_in_view(vm, 0);
}

static void test_two_vms(void)
{
	struct vcpu *first = one_vcpu(), *second;
	struct vm *vm = vm_new_plain_irqchip(IRQCHIP_NONE);

	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	second = vm_vcpu_add(vm);
	vcpus_start(vm, 1);
	vcpu_write(first, GUEST_FREE_GPA, 1);
	vcpu_write(second, GUEST_FREE_GPA, 2);
	CHECK_EQ(vcpu_read(first, GUEST_FREE_GPA), 1);
	CHECK_EQ(vcpu_read(second, GUEST_FREE_GPA), 2);
}

/* What the host takes away, the guest reads as zero, while it runs. */
static void test_memory_follows_madvise(void)
{
	struct vcpu *vcpu = one_vcpu();
	struct vm *vm = vcpu->vm;
	int i;

	for (i = 0; i < 50; i++) {
		vcpu_write(vcpu, GUEST_FREE_GPA, 0x77);
		CHECK(!madvise(vm->ram[0] + GUEST_FREE_GPA, 4096, MADV_DONTNEED));
		CHECK_EQ(vcpu_read(vcpu, GUEST_FREE_GPA), 0);
		CHECK_EQ(*ram_word(vm, 0, GUEST_FREE_GPA), 0);
	}
}

/* After a fork the guest's writes go to the parent's copy. */
static void test_memory_follows_fork(void)
{
	struct vcpu *vcpu = one_vcpu();
	int go[2], status;
	char byte;
	pid_t child;

	vcpu_write(vcpu, GUEST_FREE_GPA, 1);
	CHECK(!pipe(go));
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(2);
		_exit(*ram_word(vcpu->vm, 0, GUEST_FREE_GPA) == 1 ? 0 : 1);
	}
	vcpu_write(vcpu, GUEST_FREE_GPA, 2);
	CHECK_EQ(*ram_word(vcpu->vm, 0, GUEST_FREE_GPA), 2);
	CHECK(write(go[1], "g", 1) == 1);
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_EQ(status, 0);
	CHECK_EQ(vcpu_read(vcpu, GUEST_FREE_GPA), 2);
}

/* Of the page that is at @at; 0: the kernel does not say. */
static uint64_t frame_of(const void *at)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	CHECK(fd >= 0);
	CHECK(pread(fd, &entry, 8, (off_t)((uintptr_t)at / 4096 * 8)) == 8);
	close(fd);
	return entry & ((1ull << 55) - 1);
}

/* The kernel moves the guest's pages into a large one. */
static void test_memory_follows_migration(void)
{
	const uint64_t gpa = 0x4000000, bytes = 2 << 20, step = 0x11000;
	struct vcpu *vcpu = one_vcpu();
	uint8_t *mem = memory_new(2 * bytes);
	uint64_t at, frame, value = 1;
	int round;

	mem = (uint8_t *)(((uintptr_t)mem + bytes - 1) & ~(uintptr_t)(bytes - 1));
	vcpu_stop(vcpu);
	OK(try_set_slot(vcpu->vm, 0, 9, 0, gpa, bytes, mem));
	vcpu_start(vcpu);
	for (round = 0; round < 5; round++, value += 1000) {
		/* Small pages, taken one by one. */
		CHECK(!madvise(mem, bytes, MADV_DONTNEED));
		CHECK(!madvise(mem, bytes, MADV_NOHUGEPAGE));
		for (at = 0; at < bytes; at += step)
			vcpu_write(vcpu, gpa + at, value + at);
		frame = frame_of(mem);
		CHECK(!madvise(mem, bytes, MADV_HUGEPAGE));
		if (madvise(mem, bytes, MADV_COLLAPSE))
			FAIL("MADV_COLLAPSE: %m");
		CHECK(frame && frame_of(mem) != frame);
		for (at = 0; at < bytes; at += step) {
			CHECK_EQ(vcpu_read(vcpu, gpa + at), value + at);
			vcpu_write(vcpu, gpa + at, value + at + 1);
			CHECK_EQ(*(uint64_t *)(mem + at), value + at + 1);
		}
	}
}

static void move_to_cpu(const struct vcpu *vcpu, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(!pthread_setaffinity_np(vcpu->thread, sizeof(set), &set));
}

/* How often a vCPU came to another CPU, since the module was loaded. */
static unsigned long long moves(void)
{
	FILE *file = fopen("/sys/kernel/debug/hyprv/flushes", "r");
	unsigned long long value, found = 0;
	char reason[80];

	CHECK(file);
	while (fscanf(file, "%llu %79[^\n]", &value, reason) == 2)
		if (!strcmp(reason, "a vCPU came to another CPU"))
			found = value;
	fclose(file);
	return found;
}

/* Each comes back to CPUs where it was before the memory changed. */
static void test_vcpus_move_between_cpus(void)
{
	struct vm *vm = plain(3);
	unsigned long long before = moves();
	int i, j;

	for (i = 0; i < 60; i++) {
		for (j = 0; j < 3; j++)
			move_to_cpu(&vm->vcpu[j], 1 + (i + j) % 3);
		vcpu_write(&vm->vcpu[i % 3], GUEST_FREE_GPA, 100 + i);
		for (j = 0; j < 3; j++)
			CHECK_EQ(vcpu_read(&vm->vcpu[j], GUEST_FREE_GPA), 100 + i);
		CHECK(!madvise(vm->ram[0] + GUEST_FREE_GPA, 4096, MADV_DONTNEED));
		for (j = 0; j < 3; j++)
			CHECK_EQ(vcpu_read(&vm->vcpu[j], GUEST_FREE_GPA), 0);
	}
	CHECK(moves() >= before + 60);
}

/* A slot that goes away leaves nothing mapped behind. */
static void test_slot_is_deleted_and_added(void)
{
	struct vcpu *vcpu = one_vcpu();
	struct vm *vm = vcpu->vm;
	uint8_t *other = memory_new(RAM_BYTES);

	vcpu_write(vcpu, GUEST_FREE_GPA, 5);
	vcpu_stop(vcpu);
	memcpy(other, vm->ram[0], RAM_BYTES);
	*(uint64_t *)(other + GUEST_FREE_GPA) = 6;
	OK(try_set_slot(vm, 0, SLOT_RAM, 0, 0, 0, vm->ram[0]));
	OK(try_set_slot(vm, 0, SLOT_RAM, 0, 0, RAM_BYTES, other));
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_read(vcpu, GUEST_FREE_GPA), 6);
}

static void test_reads_of_a_device(void)
{
	struct vcpu *vcpu = one_vcpu();
	uint64_t gpa = 0x800000, value = 0x1122334455667788ull;

	vcpu_stop(vcpu);
	vcpu->catch = true;
	vcpu_start(vcpu);
	vcpu_ask(vcpu, GUEST_READ, gpa, 0, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_MMIO);
	CHECK_EQ(vcpu->run->mmio.phys_addr, gpa);
	CHECK_EQ(vcpu->run->mmio.len, 8);
	CHECK_EQ(vcpu->run->mmio.is_write, 0);
	memcpy(vcpu->run->mmio.data, &value, sizeof(value));
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
	CHECK_EQ(vcpu->guest->result[0], value);
}

/* 64-bit code has no base; its instruction is found all the same. */
static void test_reads_of_a_device_with_a_base(void)
{
	struct vcpu *vcpu = one_vcpu();
	struct kvm_sregs sregs;

	vcpu_stop(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	sregs.cs.base = 0x1000;
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
	vcpu->catch = true;
	vcpu_start(vcpu);
	vcpu_ask(vcpu, GUEST_READ, 0x800000, 0, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_MMIO);
	CHECK_EQ(vcpu->run->mmio.phys_addr, 0x800000);
}

static void test_writes_to_a_device(void)
{
	struct vcpu *vcpu = one_vcpu();
	uint64_t gpa = 0x800010;
	uint32_t value;

	vcpu_stop(vcpu);
	vcpu->catch = true;
	vcpu_start(vcpu);
	vcpu_ask(vcpu, GUEST_WRITE32, gpa, 0xabcd1234, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_MMIO);
	CHECK_EQ(vcpu->run->mmio.phys_addr, gpa);
	CHECK_EQ(vcpu->run->mmio.len, 4);
	CHECK_EQ(vcpu->run->mmio.is_write, 1);
	memcpy(&value, vcpu->run->mmio.data, sizeof(value));
	CHECK_EQ(value, 0xabcd1234);
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
}

/* INS writes memory, which hyprv does not emulate: the VM ends, the host goes on. */
static void test_unknown_exit_ends_the_vm(void)
{
	struct vcpu *vcpu = one_vcpu();

	vcpu_stop(vcpu);
	vcpu->catch = true;
	vcpu_start(vcpu);
	vcpu_ask(vcpu, GUEST_INS, 0x80, GUEST_FREE_GPA, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_INTERNAL_ERROR);
	CHECK_EQ(vcpu->run->internal.suberror, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON);
	vcpu_stop(vcpu);
	vcpu->run->immediate_exit = 0;
	CHECK_RET(try_ioctl(vcpu->fd, KVM_RUN, NULL), -EIO);
}

/* An MSR that is not in the list: #GP, whose handler reports to port 0x99. */
static void test_unknown_msr_faults(void)
{
	struct vcpu *vcpu = one_vcpu();

	vcpu_stop(vcpu);
	vcpu->catch = true;
	vcpu_start(vcpu);
	vcpu_ask(vcpu, GUEST_RDMSR, 0x3a, 0, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(vcpu->run->io.port, GUEST_FAULT_PORT);
}

static void test_msrs_are_switched(void)
{
	static const uint32_t msrs[] = {
		0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102,
		0x174, 0x175, 0x176, 0xc0000100, 0xc0000101,
	};
	struct vcpu *vcpu = one_vcpu();
	size_t i;

	for (i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		vcpu_do(vcpu, GUEST_WRMSR, msrs[i], 0x1000 + i, 0);
		go_outside(vcpu);
	}
	for (i = 0; i < sizeof(msrs) / sizeof(msrs[0]); i++) {
		vcpu_do(vcpu, GUEST_RDMSR, msrs[i], 0, 0);
		CHECK_EQ(vcpu->guest->result[0], 0x1000 + i);
	}
}

static void test_cpuid_costs(void)
{
	struct vcpu *vcpu = one_vcpu();

	vcpu_do(vcpu, GUEST_CPUID, 1000, 0, 0);
	note("a CPUID exit takes %llu cycles",
	     (unsigned long long)vcpu->guest->result[0] / 1000);
}

static const struct test tests[] = {
	{ "the guest runs and tells its view", test_runs },
	{ "the guest reads and writes its memory", test_reads_and_writes },
	{ "the guest fills pages and finds a changed one", test_fills_and_verifies },
	{ "the guest exits to user space and goes on", test_exits_to_user_space },
	{ "a stopped vCPU goes on where it was", test_stops_and_goes_on },
	{ "three vCPUs share their memory", test_three_vcpus },
	{ "vCPUs move between CPUs", test_vcpus_move_between_cpus },
	{ "two VMs do not share memory", test_two_vms },
	{ "guest memory follows madvise", test_memory_follows_madvise },
	{ "guest memory follows fork", test_memory_follows_fork },
	{ "guest memory follows migration", test_memory_follows_migration },
	{ "a slot is deleted and added", test_slot_is_deleted_and_added },
	{ "a read of a device goes to user space", test_reads_of_a_device },
	{ "so does one of code whose segment has a base", test_reads_of_a_device_with_a_base },
	{ "a write to a device goes to user space", test_writes_to_a_device },
	{ "an exit that hyprv does not handle ends the VM", test_unknown_exit_ends_the_vm },
	{ "an MSR that is not in the list is a #GP", test_unknown_msr_faults },
	{ "the guest's MSRs are its own", test_msrs_are_switched },
	{ "CPUID exits a thousand times", test_cpuid_costs },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
