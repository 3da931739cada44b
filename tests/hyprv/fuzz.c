// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hostile guests on /dev/hyprv: random bytes as code, random registers, in each mode that a
 * CPU has, half of them with a local APIC; HYPR_FUZZ_GUESTS of them (default 50).  Whatever
 * the guest does, KVM_RUN returns one of the documented exits or errors, and a good VM
 * beside it runs on.  No guest makes an invalid state of a valid one.
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

/* Page tables: of four levels, of 32-bit paging, and the top of PAE's. */
#define PML4		0x0
#define PDPT		0x1000
#define PD		0x2000
#define DIRECTORY	0x3000
#define PAE_TOP		0x4000

enum mode {
	REAL, SMALL, PROTECTED, PAGED, PAE, COMPATIBLE, LONG, LONG_USER, ODD, MODES,
};

static const char *const mode_name[MODES] = {
	"real mode", "16-bit protected mode", "32-bit protected mode", "32-bit paging",
	"PAE paging", "compatibility mode", "64-bit mode", "64-bit mode, level 3",
	"64-bit mode, one bit of its state odd",
};

static uint64_t counts[MODES][32];

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
		/* invlpg (%rax), iret, mov to CR8, syscall, fxsave (%rax), pop %ss, retf, sti */
		{ 0x0f, 0x01, 0x38 }, { 0x48, 0xcf }, { 0x44, 0x0f, 0x22 }, { 0x0f, 0x05 },
		{ 0x0f, 0xae, 0x00 }, { 0x17 }, { 0xcb }, { 0xfb },
	};
	const size_t nr = sizeof(hot) / sizeof(hot[0]);
	size_t i;

	for (i = 0; i < GUEST_BYTES; i += 8) {
		uint64_t word = tap_random();

		memcpy(memory + i, &word, sizeof(word));
	}
	for (i = 0; i < 2000; i++)
		memcpy(memory + CODE + tap_random() % 0x8000, hot[tap_random() % nr], 3);
}

/* Any frame, as any level's entry, the tables themselves among them. */
static uint64_t any_entry(void)
{
	return (tap_random() % (GUEST_BYTES >> 12) << 12) | (tap_random() % 8 ? 7 : 0) |
	       (tap_random() & 0x1e4);
}

/* Page tables that map the first GiB, at 0 and up, the first entry of each for sure. */
static void write_tables(uint8_t *memory)
{
	uint64_t *wide = (uint64_t *)memory, *pd = (uint64_t *)(memory + PD);
	uint32_t *directory = (uint32_t *)(memory + DIRECTORY);
	size_t i;

	memset(memory, 0, PAE_TOP + 0x1000);
	wide[PML4 / 8] = PDPT | 7;
	wide[PDPT / 8] = PD | 7;
	/* Of a PAE top, which has no permissions. */
	wide[PAE_TOP / 8] = PD | 1;
	for (i = 0; i < 512; i++)
		pd[i] = i << 21 | 0x87;
	for (i = 0; i < 1024; i++)
		directory[i] = (uint32_t)(i << 22 | 0x87);
	if (tap_random() % 2)
		return;
	for (i = 1; i < DIRECTORY / 8; i++)
		if (i % 512 && tap_random() % 4 == 0)
			wide[i] = any_entry();
	for (i = 1; i < 1024; i++)
		if (tap_random() % 4 == 0)
			directory[i] = (uint32_t)any_entry();
}

/* Shadow paging refuses what is not 64-bit mode, compatibility mode among it, at once. */
static enum mode mode_draw(void)
{
	if (on_shadow() && tap_random() % 8)
		return COMPATIBLE + tap_random() % (MODES - COMPATIBLE);
	return tap_random() % MODES;
}

static void mode_set(struct kvm_sregs *sregs, enum mode mode)
{
	const uint8_t level = mode == LONG_USER ? 3 : 0;
	struct kvm_segment flat = {
		.limit = 0xffffffff, .selector = 8 | level, .type = 11, .present = 1, .s = 1,
		.g = 1, .dpl = level,
	};
	bool is_long = mode >= COMPATIBLE;

	if (mode == REAL) {
		real_mode_set(sregs, CODE);
		return;
	}
	flat.l = mode >= LONG;
	flat.db = mode == PROTECTED || mode == PAGED || mode == PAE ||
		  (mode == COMPATIBLE && tap_random() % 2);
	sregs->cs = flat;
	if (mode == SMALL)
		sregs->cs.base = CODE;
	flat.type = 3;
	flat.l = 0;
	flat.db = mode != SMALL;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = flat;
	sregs->cr0 = mode >= PAGED ? 0x80000031 : 0x31;
	sregs->cr4 = is_long ? 0x620 : mode == PAE ? 0x20 : mode == PAGED ? 0x10 : 0;
	sregs->cr3 = mode == PAGED ? DIRECTORY : mode == PAE ? PAE_TOP : PML4;
	sregs->efer = is_long ? 0x501 : 0;
	if (mode == ODD) {
		uint8_t *bytes = (uint8_t *)sregs;

		bytes[tap_random() % sizeof(*sregs)] ^= 1 << tap_random() % 8;
	}
}

/* Whatever it may return. */
static void check_exit(struct kvm_run *run, int ret, enum mode mode)
{
	static const uint32_t known = 1u << KVM_EXIT_IO | 1u << KVM_EXIT_HLT |
		1u << KVM_EXIT_MMIO | 1u << KVM_EXIT_SHUTDOWN | 1u << KVM_EXIT_FAIL_ENTRY |
		1u << KVM_EXIT_INTERNAL_ERROR;

	if (ret == -EINTR || ret == -EIO)
		return;
	if (ret || run->exit_reason > 31 || !(known >> run->exit_reason & 1))
		FAIL("KVM_RUN returned %d, exit reason %u (%s)", ret, run->exit_reason,
		     mode_name[mode]);
	if (run->exit_reason == KVM_EXIT_FAIL_ENTRY && mode != ODD)
		FAIL("no entry (%#llx) for a guest in %s",
		     (unsigned long long)run->fail_entry.hardware_entry_failure_reason,
		     mode_name[mode]);
	counts[mode][run->exit_reason]++;
}

static void run_hostile(uint8_t *memory)
{
	/* Again and again: the first may come before KVM_RUN. */
	const struct itimerval soon = { { .tv_usec = 5000 }, { .tv_usec = 5000 } };
	const struct itimerval never = { { 0 }, { 0 } };
	struct vm *vm = vm_new_plain_irqchip(tap_random() & 1 ? IRQCHIP_SPLIT : IRQCHIP_NONE);
	struct kvm_regs regs = { .rip = tap_random() % 0x4000, .rflags = 0x202 };
	enum mode mode = mode_draw();
	struct kvm_sregs sregs;
	struct vcpu *vcpu;
	int i, ret;

	OK(try_set_slot(vm, 0, 0, 0, 0, GUEST_BYTES, memory));
	vcpu = vm_vcpu_add(vm);
	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs));
	mode_set(&sregs, mode);
	ret = try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
	if (ret && mode != ODD)
		FAIL("KVM_SET_SREGS of %s: %s", mode_name[mode], strerror(-ret));
	for (i = 0; i < 16; i++)
		(&regs.rax)[i] = tap_random() >> tap_random() % 64;
	/* With 16 bits the code segment begins there. */
	if (mode > SMALL)
		regs.rip += CODE;
	/* For RDMSR and WRMSR. */
	if (tap_random() & 1)
		regs.rcx = 0x800 + tap_random() % 0x40;
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, &regs));
	setitimer(ITIMER_REAL, &soon, NULL);
	for (i = 0; i < EXITS; i++) {
		ret = try_ioctl(vcpu->fd, KVM_RUN, NULL);
		check_exit(vcpu->run, ret, mode);
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
	size_t i, reason;

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
		if ((i + 1) % 1000 == 0)
			note("%zu so far", i + 1);
	}
	note("%llu hostile guests in %llu ms", (unsigned long long)guests,
	     (unsigned long long)(now_ns() - start) / 1000000);
	for (i = 0; i < MODES; i++)
		for (reason = 0; reason < 32; reason++)
			if (counts[i][reason])
				note("%s, exit reason %zu: %llu", mode_name[i], reason,
				     (unsigned long long)counts[i][reason]);
}

static const struct test tests[] = {
	{ "hostile guests end, the host goes on", test_hostile_guests },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
