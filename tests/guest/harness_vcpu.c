// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPUs of the ioctl tests: their registers, their threads, and the commands
 * to the tiny guest that runs on them; see harness.h.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CPUID_ENTRIES	256
#define KICK_SIGNAL	SIGUSR1

static void on_kick(int signal)
{
	(void)signal;
}

static void get_cpuid(struct vm *vm)
{
	size_t bytes = sizeof(*vm->cpuid) +
		       CPUID_ENTRIES * sizeof(vm->cpuid->entries[0]);

	vm->cpuid = calloc(1, bytes);
	CHECK(vm->cpuid);
	vm->cpuid->nent = CPUID_ENTRIES;
	OK(try_ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, vm->cpuid));
}

static void set_cpuid(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	uint32_t i;

	if (!vm->cpuid)
		get_cpuid(vm);
	for (i = 0; i < vm->cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &vm->cpuid->entries[i];

		if (entry->function == 1) {
			entry->ebx = (entry->ebx & 0xffffff) | vcpu->index << 24;
			entry->ecx |= 1u << 21;		/* x2APIC */
		} else if (entry->function == 0xb) {
			entry->edx = vcpu->index;
		}
	}
	OK(try_ioctl(vcpu->fd, KVM_SET_CPUID2, vm->cpuid));
}

static struct kvm_segment flat_segment(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment) {
		.limit = 0xffffffff, .selector = selector, .type = type,
		.present = 1, .s = 1, .g = 1,
	};
}

void real_mode_set(struct kvm_sregs *sregs, uint32_t base)
{
	struct kvm_segment segment = { .limit = 0xffff, .type = 3, .present = 1, .s = 1 };

	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = segment;
	segment.type = 11;
	segment.base = base;
	segment.selector = (uint16_t)(base >> 4);
	sregs->cs = segment;
	sregs->idt.base = 0;
	sregs->idt.limit = 0x3ff;
	sregs->cr0 = 0x30;		/* NE ET */
	sregs->cr4 = 0;
	sregs->efer = 0;
}

static void set_sregs(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	sregs.cs = flat_segment(8, 11);
	sregs.cs.l = 1;
	sregs.ds = flat_segment(16, 3);
	sregs.ds.db = 1;
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	sregs.tr = (struct kvm_segment) {
		.base = GUEST_SHARED_GPA + GUEST_TSS, .limit = 0x67,
		.selector = 0x18, .type = 11, .present = 1,
	};
	sregs.gdt.base = GUEST_SHARED_GPA + GUEST_GDT;
	sregs.gdt.limit = 0x2f;
	sregs.idt.base = GUEST_SHARED_GPA + GUEST_IDT;
	sregs.idt.limit = 0xfff;
	sregs.cr0 = 0x80010033;		/* PG WP NE ET MP PE */
	sregs.cr3 = GUEST_SHARED_GPA + GUEST_PML4;
	sregs.cr4 = 0x20;		/* PAE */
	sregs.efer = 0x500;		/* LMA LME */
	sregs.apic_base = 0xfee00000 | (vcpu->vm->xapic ? 0x800 : 0xc00) |
			  (vcpu->index ? 0 : 0x100);
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs));
}

void vcpu_mp_state_set(struct vcpu *vcpu, uint32_t value)
{
	struct kvm_mp_state mp_state = { .mp_state = value };

	OK(try_ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp_state));
}

static void set_registers(struct vcpu *vcpu)
{
	struct kvm_regs regs = {
		.rip = GUEST_SHARED_GPA + GUEST_CODE + (uintptr_t)guest_entry -
		       (uintptr_t)__start_guest_text,
		.rsp = GUEST_SHARED_GPA + GUEST_STACK_TOP(vcpu->index) - 8,
		.rdi = vcpu->index,
		.rflags = 0x202,
	};

	set_sregs(vcpu);
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	vcpu_mp_state_set(vcpu, KVM_MP_STATE_RUNNABLE);
}

static bool cpuid_ecx_bit(struct vm *vm, uint32_t function, unsigned int bit)
{
	uint32_t i;

	if (!vm->cpuid)
		get_cpuid(vm);
	for (i = 0; i < vm->cpuid->nent; i++)
		if (vm->cpuid->entries[i].function == function)
			return vm->cpuid->entries[i].ecx >> bit & 1;
	return false;
}

bool vm_has_vmx(struct vm *vm)
{
	return cpuid_ecx_bit(vm, 1, 5);
}

bool vm_has_svm(struct vm *vm)
{
	return cpuid_ecx_bit(vm, 0x80000001, 2);
}

/* Without it VMXON faults. */
static void allow_vmxon(struct vcpu *vcpu)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry;
	} msrs = {
		.head.nmsrs = 1,
		.entry = { .index = 0x3a, .data = 5 },
	};

	CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_MSRS, &msrs), 1);
}

struct vcpu *vm_vcpu_add(struct vm *vm)
{
	struct vcpu *vcpu = &vm->vcpu[vm->nr_vcpus];
	int run_bytes = try_ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, NULL);
	struct kvm_lapic_state lapic;

	CHECK(vm->nr_vcpus < GUEST_MAX_VCPUS);
	vcpu->vm = vm;
	vcpu->index = vm->nr_vcpus++;
	vcpu->guest = (struct guest_cpu *)(vm->shared + GUEST_CPU(vcpu->index));
	vcpu->fd = try_ioctl(vm->fd, KVM_CREATE_VCPU,
			     (void *)(uintptr_t)vcpu->index);
	if (vcpu->fd < 0)
		FAIL("KVM_CREATE_VCPU: %s", strerror(-vcpu->fd));
	vcpu->run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vcpu->fd, 0);
	CHECK(vcpu->run != MAP_FAILED);
	vcpu->guest->xapic = vm->xapic;
	vcpu->guest->no_apic = try_ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic) ==
			       -EINVAL;
	vcpu->stats_fd = try_ioctl(vcpu->fd, KVM_GET_STATS_FD, NULL);
	set_cpuid(vcpu);
	set_registers(vcpu);
	if (vm->nested && vm_has_vmx(vm))
		allow_vmxon(vcpu);
	return vcpu;
}

static _Noreturn void fail_at_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs = { 0 };
	struct kvm_sregs sregs = { 0 };

	try_ioctl(vcpu->fd, KVM_GET_REGS, &regs);
	try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
	FAIL("vCPU %d: exit reason %u (%#llx, port %#x) at rip %#llx cr2 %#llx on stack %#llx %#llx",
	     vcpu->index, run->exit_reason,
	     (unsigned long long)run->hw.hardware_exit_reason,
	     run->exit_reason == KVM_EXIT_IO ? run->io.port : 0, regs.rip,
	     sregs.cr2, regs.rbx, regs.rcx);
}

/* By the vCPU's own thread: another CPU would flush its TLB. */
static void finish_io(struct vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	CHECK_RET(try_ioctl(vcpu->fd, KVM_RUN, NULL), -EINTR);
	vcpu->run->immediate_exit = 0;
	atomic_store(&vcpu->finish, false);
}

static void wait_outside(struct vcpu *vcpu)
{
	atomic_store(&vcpu->outside, true);
	while (!atomic_load(&vcpu->resume) && !atomic_load(&vcpu->stop)) {
		if (atomic_load(&vcpu->finish))
			finish_io(vcpu);
		wait_relax();
	}
	atomic_store(&vcpu->resume, false);
	atomic_store(&vcpu->outside, false);
}

static void *run_thread(void *arg)
{
	struct vcpu *vcpu = arg;

	pin_to_cpu(1 + vcpu->index);
	vcpu->tid = syscall(SYS_gettid);
	while (!atomic_load(&vcpu->stop)) {
		int ret = try_ioctl(vcpu->fd, KVM_RUN, NULL);

		if (ret == -EINTR || ret == -EAGAIN)
			continue;
		if (ret < 0 && !vcpu->catch)
			FAIL("vCPU %d: KVM_RUN: %s", vcpu->index, strerror(-ret));
		vcpu->caught = ret < 0 ? ret : (int)vcpu->run->exit_reason;
		if (!vcpu->catch && (vcpu->caught != KVM_EXIT_IO ||
				     vcpu->run->io.port == GUEST_FAULT_PORT))
			fail_at_exit(vcpu);
		wait_outside(vcpu);
	}
	return NULL;
}

void vcpu_start(struct vcpu *vcpu)
{
	struct sigaction action = { .sa_handler = on_kick };
	uint64_t beats = __atomic_load_n(&vcpu->guest->beats, __ATOMIC_SEQ_CST);

	CHECK(!vcpu->started);
	sigaction(KICK_SIGNAL, &action, NULL);
	atomic_store(&vcpu->stop, false);
	vcpu->run->immediate_exit = 0;
	CHECK_RET(pthread_create(&vcpu->thread, NULL, run_thread, vcpu), 0);
	vcpu->started = true;
	if (!vcpu->guest->halt)
		WAIT_UNTIL(__atomic_load_n(&vcpu->guest->beats,
					   __ATOMIC_SEQ_CST) != beats);
}

void vcpu_stop(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	atomic_store(&vcpu->stop, true);
	/* Seen by a KVM_RUN that starts late, where a signal would be lost. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(vcpu->thread, KICK_SIGNAL);
	pthread_join(vcpu->thread, NULL);
	vcpu->started = false;
}

void vcpus_start(struct vm *vm, int nr)
{
	int i;

	while (vm->nr_vcpus < nr)
		vm_vcpu_add(vm);
	for (i = 0; i < nr; i++)
		vcpu_start(&vm->vcpu[i]);
}

void vcpus_stop(struct vm *vm)
{
	int i;

	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_stop(&vm->vcpu[i]);
}

void vcpu_wait_outside(struct vcpu *vcpu)
{
	WAIT_UNTIL(atomic_load(&vcpu->outside));
}

void vcpu_finish_io(struct vcpu *vcpu)
{
	CHECK(atomic_load(&vcpu->outside));
	atomic_store(&vcpu->finish, true);
	WAIT_UNTIL(!atomic_load(&vcpu->finish));
}

void vcpu_resume(struct vcpu *vcpu)
{
	vcpu_wait_outside(vcpu);
	atomic_store(&vcpu->resume, true);
	WAIT_UNTIL(!atomic_load(&vcpu->outside));
}

void vcpu_ask(struct vcpu *vcpu, enum guest_cmd cmd, uint64_t arg0,
	      uint64_t arg1, uint64_t arg2)
{
	struct guest_cpu *guest = vcpu->guest;

	CHECK(vcpu->started);
	guest->cmd = cmd;
	guest->arg[0] = arg0;
	guest->arg[1] = arg1;
	guest->arg[2] = arg2;
	__atomic_fetch_add(&guest->cmd_seq, 1, __ATOMIC_SEQ_CST);
}

void vcpu_wait_done(struct vcpu *vcpu)
{
	struct guest_cpu *guest = vcpu->guest;

	WAIT_UNTIL(__atomic_load_n(&guest->done_seq, __ATOMIC_SEQ_CST) ==
		   guest->cmd_seq);
}

void vcpu_do(struct vcpu *vcpu, enum guest_cmd cmd, uint64_t arg0,
	     uint64_t arg1, uint64_t arg2)
{
	vcpu_ask(vcpu, cmd, arg0, arg1, arg2);
	vcpu_wait_done(vcpu);
}

uint64_t vcpu_read(struct vcpu *vcpu, uint64_t gpa)
{
	vcpu_do(vcpu, GUEST_READ, gpa, 0, 0);
	return vcpu->guest->result[0];
}

void vcpu_write(struct vcpu *vcpu, uint64_t gpa, uint64_t value)
{
	vcpu_do(vcpu, GUEST_WRITE, gpa, value, 0);
}

void vcpu_ask_churn(struct vcpu *vcpu, uint64_t rounds)
{
	uint64_t nr = vcpu->index + 1, memory = GUEST_FREE_GPA + nr * CHURN_BYTES, i;

	for (i = 0; i < CHURN_FRAMES; i++)
		*ram_word(vcpu->vm, 0, memory + 0x2000 + i * 0x1000) = i + 1;
	vcpu->guest->arg[3] = GUEST_PRIVATE_VA + (nr << 21);
	vcpu_ask(vcpu, GUEST_CHURN, rounds, memory, GUEST_PRIVATE_PD_GPA + nr * 8);
}

void vcpu_verify(struct vcpu *vcpu, uint64_t start, uint64_t end,
		 uint64_t seed)
{
	vcpu_do(vcpu, GUEST_VERIFY, start, end, seed);
	if (vcpu->guest->result[0])
		FAIL("%llu pages of [%#llx, %#llx) differ, the first at %#llx",
		     (unsigned long long)vcpu->guest->result[0],
		     (unsigned long long)start, (unsigned long long)end,
		     (unsigned long long)vcpu->guest->result[1]);
}

char vcpu_thread_state(struct vcpu *vcpu)
{
	char path[64], line[256] = "", *paren;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", vcpu->tid);
	f = fopen(path, "r");
	CHECK(f);
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	paren = strrchr(line, ')');
	CHECK(paren && paren[1] == ' ');
	return paren[2];
}

void vcpu_wait_asleep(struct vcpu *vcpu)
{
	WAIT_UNTIL(vcpu_thread_state(vcpu) == 'S');
}

void vcpu_halt(struct vcpu *vcpu)
{
	if (vcpu->guest->no_apic)
		need_kvm("halted vCPU inside KVM_RUN, without an APIC");
	vcpu->guest->halt = 1;
	vcpu_ask(vcpu, GUEST_HALT, 0, 0, 0);
	vcpu_wait_asleep(vcpu);
}

void vcpu_wake(struct vcpu *vcpu)
{
	struct kvm_msi msi = {
		.address_lo = 0xfee00000 | vcpu->index << 12,
		.data = GUEST_WAKE_VECTOR,
	};

	__atomic_store_n(&vcpu->guest->halt, 0, __ATOMIC_SEQ_CST);
	CHECK_RET(try_ioctl(vcpu->vm->fd, KVM_SIGNAL_MSI, &msi), 1);
	vcpu_wait_done(vcpu);
}

unsigned int vcpu_view(struct vcpu *vcpu)
{
	struct guest_cpu *guest = vcpu->guest;
	uint64_t ask = __atomic_add_fetch(&guest->ask, 1, __ATOMIC_SEQ_CST);

	CHECK(vcpu->started);
	WAIT_UNTIL(__atomic_load_n(&guest->answer, __ATOMIC_SEQ_CST) == ask);
	CHECK_EQ(guest->view2, guest->view);
	return guest->view;
}

void check_all_in_view(struct vm *vm, unsigned int view)
{
	int i;

	for (i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpu[i].started)
			CHECK_EQ(vcpu_view(&vm->vcpu[i]), view);
}

struct vm *vm_new_prepared(int nr_vcpus)
{
	struct vm *vm;

	need_cpus(nr_vcpus);
	vm = vm_new();
	vm_views_add(vm, 2);
	while (vm->nr_vcpus < nr_vcpus)
		vm_vcpu_add(vm);
	OK(try_prepare(vm, KVM_HYPR_VIEW_FIRST));
	OK(try_prepare(vm, KVM_HYPR_VIEW_FIRST + 1));
	return vm;
}

struct vm *vm_new_stopped(int nr_vcpus)
{
	struct vm *vm = vm_new_prepared(nr_vcpus);

	vcpus_start(vm, nr_vcpus);
	vcpus_stop(vm);
	return vm;
}
