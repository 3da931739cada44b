// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hostile guests on /dev/hyprv: random bytes as code, random registers, in real mode,
 * protected mode and 64-bit mode, half of them with a local APIC; HYPR_FUZZ_GUESTS of them (default 50).  Whatever
 * the guest does, KVM_RUN returns one of the documented exits or errors, and a good VM
 * beside it runs on.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#define GUEST_BYTES	0x200000
#define CODE		0x10000
#define EXITS		40

static uint64_t counts[64];

static void on_alarm(int signal)
{
	(void)signal;
}

static void fill(uint8_t *memory)
{
	/* Instructions that exit, among bytes of any kind. */
	static const uint8_t hot[][3] = {
		{ 0x0f, 0xa2 }, { 0x0f, 0x30 }, { 0x0f, 0x32 }, { 0xf4 }, { 0xe6, 0x80 },
		{ 0x0f, 0x22, 0xc0 }, { 0x0f, 0x22, 0xe0 }, { 0x0f, 0x23, 0xf8 },
		{ 0x0f, 0x01, 0xd1 }, { 0x0f, 0x01, 0xc1 }, { 0x0f, 0x08 }, { 0x0f, 0x09 },
		{ 0x0f, 0x20, 0xc0 }, { 0x0f, 0x22, 0xd8 }, { 0xcd, 0x03 }, { 0x6c },
	};
	size_t i;

	for (i = 0; i < GUEST_BYTES; i += 8) {
		uint64_t word = tap_random();

		memcpy(memory + i, &word, sizeof(word));
	}
	for (i = 0; i < 2000; i++)
		memcpy(memory + CODE + tap_random() % 0x8000, hot[tap_random() % 16], 3);
}

/* Page tables that map the first GiB, at 0 and up. */
static void write_tables(uint8_t *memory)
{
	uint64_t *pml4 = (uint64_t *)memory, *pdpt = pml4 + 512, *pd = pdpt + 512;
	size_t i;

	memset(memory, 0, 0x3000);
	pml4[0] = 0x1003;
	pdpt[0] = 0x2003;
	for (i = 0; i < 512; i++)
		pd[i] = i << 21 | 0x83;
	if (tap_random() % 2)
		return;
	/* Beside them any, of any level at once, the tables themselves among them. */
	for (i = 1; i < 3 * 512; i++)
		if (i % 512 && tap_random() % 4 == 0)
			pml4[i] = (tap_random() % (GUEST_BYTES >> 12) << 12) |
				  (tap_random() % 8 ? 3 : 0) | (tap_random() & 0x1e4);
}

static void choose_mode(struct kvm_sregs *sregs)
{
	struct kvm_segment flat = {
		.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .g = 1,
	};
	uint64_t mode = tap_random() % 4;

	if (mode == 0) {
		sregs->cs.base = sregs->cs.selector = 0;
	} else {
		flat.l = mode > 1;
		flat.db = mode == 1;
		sregs->cs = flat;
		flat.type = 3;
		flat.l = 0;
		flat.db = 1;
		sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = flat;
		sregs->cr0 = mode > 1 ? 0x80000031 : 0x31;
		sregs->cr4 = mode > 1 ? 0x620 : 0;
		sregs->cr3 = 0;
		sregs->efer = mode > 1 ? 0x501 : 0;
	}
	if (mode == 3) {
		/* One thing is odd. */
		uint8_t *bytes = (uint8_t *)sregs;

		bytes[tap_random() % sizeof(*sregs)] ^= 1 << tap_random() % 8;
	}
}

/* Whatever it may return. */
static void check_exit(struct kvm_run *run, int ret)
{
	static const uint32_t known = 1u << KVM_EXIT_IO | 1u << KVM_EXIT_HLT |
		1u << KVM_EXIT_MMIO | 1u << KVM_EXIT_SHUTDOWN | 1u << KVM_EXIT_FAIL_ENTRY |
		1u << KVM_EXIT_INTERNAL_ERROR;

	if (ret == -EINTR || ret == -EIO)
		return;
	if (ret || run->exit_reason > 31 || !(known >> run->exit_reason & 1))
		FAIL("KVM_RUN returned %d, exit reason %u", ret, run->exit_reason);
	counts[run->exit_reason]++;
}

static void run_hostile(uint8_t *memory)
{
	/* Again and again: the first may come before KVM_RUN. */
	const struct itimerval soon = { { .tv_usec = 5000 }, { .tv_usec = 5000 } };
	const struct itimerval never = { { 0 }, { 0 } };
	struct vm *vm = vm_new_plain_irqchip(tap_random() & 1 ? IRQCHIP_SPLIT : IRQCHIP_NONE);
	struct kvm_regs regs = { .rip = CODE + tap_random() % 0x4000, .rflags = 0x202 };
	struct kvm_sregs sregs;
	struct vcpu *vcpu;
	int i;

	OK(try_set_slot(vm, 0, 0, 0, 0, GUEST_BYTES, memory));
	vcpu = vm_vcpu_add(vm);
	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	choose_mode(&sregs);
	try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
	for (i = 0; i < 16; i++)
		(&regs.rax)[i] = tap_random() >> tap_random() % 64;
	/* For RDMSR and WRMSR. */
	if (tap_random() & 1)
		regs.rcx = 0x800 + tap_random() % 0x40;
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	setitimer(ITIMER_REAL, &soon, NULL);
	for (i = 0; i < EXITS; i++) {
		int ret = try_ioctl(vcpu->fd, KVM_RUN, NULL);

		check_exit(vcpu->run, ret);
		if (ret == -EIO || vcpu->run->exit_reason == KVM_EXIT_FAIL_ENTRY ||
		    vcpu->run->exit_reason == KVM_EXIT_SHUTDOWN || (ret == -EINTR && i > 2))
			break;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	vm_close(vm);
}

static void test_hostile_guests(void)
{
	const char *text = getenv("HYPR_FUZZ_GUESTS");
	uint64_t guests = text ? strtoull(text, NULL, 0) : 50, start = now_ns();
	struct sigaction action = { .sa_handler = on_alarm };
	uint8_t *memory = memory_new(GUEST_BYTES);
	struct vm *good;
	size_t i;

	need_cpus(1);
	good = vm_new_plain_irqchip(IRQCHIP_NONE);
	vm_view_add(good, KVM_HYPR_VIEW_BOOT);
	vcpus_start(good, 1);
	sigaction(SIGALRM, &action, NULL);
	for (i = 0; i < guests; i++) {
		if (i % 8 == 0)
			fill(memory);
		write_tables(memory);
		run_hostile(memory);
		CHECK_EQ(vcpu_view(&good->vcpu[0]), 0);
	}
	note("%llu hostile guests in %llu ms", (unsigned long long)guests,
	     (unsigned long long)(now_ns() - start) / 1000000);
	for (i = 0; i < 64; i++)
		if (counts[i])
			note("exit reason %zu: %llu", i, (unsigned long long)counts[i]);
}

static const struct test tests[] = {
	{ "hostile guests end, the host goes on", test_hostile_guests },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
