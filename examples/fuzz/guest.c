// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest with two vCPUs and no operating system.  It says where its coverage is, makes
 * that its moment, takes one input and reports what came of it.  When the host lets it run on
 * it asks to be put back to its moment: it goes on behind HYPR_REQUEST_MOMENT.
 */
#include <hypr/guest-requests.h>

#include "guest.h"

#define TRAMPOLINE	0x8000u
#define APIC		0xfee00000u

uint8_t coverage[COVERAGE_BYTES] __attribute__((aligned(4096)));
static uint8_t input[INPUT_MAX] __attribute__((aligned(4096)));
static struct hypr_request block __attribute__((aligned(HYPR_REQUEST_BYTES)));
static volatile uint32_t second_is_up;

extern const uint8_t trampoline[], trampoline_end[];

/* The compiler calls it in each basic block of target.c. */
void __sanitizer_cov_trace_pc(void)
{
	uint32_t pc = (uint32_t)(uintptr_t)__builtin_return_address(0);

	coverage[(pc * 0x9e3779b1u) >> 20]++;
}

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %b0, %w1" : : "a" (value), "Nd" (port));
}

static void apic_write(uint32_t at, uint32_t value)
{
	*(volatile uint32_t *)(uintptr_t)(APIC + at) = value;
}

/* No interrupt comes, and yet they are on: some emulators stop no guest without. */
static void interrupts_on(void)
{
	__asm__ volatile("sti");
}

static void start_second(void)
{
	volatile uint8_t *to = (volatile uint8_t *)(uintptr_t)TRAMPOLINE;
	const uint8_t *from;

	for (from = trampoline; from < trampoline_end; from++)
		*to++ = *from;
	apic_write(0xf0, 0x1ff);		/* on */
	apic_write(0x310, 1u << 24);
	apic_write(0x300, 0x4500);		/* INIT */
	apic_write(0x300, 0x4600 | TRAMPOLINE >> 12);
	while (!second_is_up)
		__asm__ volatile("pause");
}

void guest_second(void)
{
	interrupts_on();
	second_is_up = 1;
	target_second();
}

static uint32_t ask(uint32_t op, uint64_t value, const void *to, uint32_t bytes)
{
	uint32_t status;

	do
		status = hypr_request_make(HYPR_REQUEST_PORT, &block, (uint32_t)(uintptr_t)&block,
					   op, value, (uintptr_t)to, bytes);
	while (status == HYPR_REQUEST_UNANSWERED);
	return status;
}

void guest_main(void)
{
	uint32_t result;

	out8(0x21, 0xff);
	out8(0xa1, 0xff);
	interrupts_on();
	/* Without requests there is nobody to work for. */
	if (hypr_requests_version(HYPR_REQUEST_PORT) != HYPR_REQUEST_VERSION)
		return;
	start_second();
	ask(HYPR_REQUEST_REPORT, (uintptr_t)coverage, 0, 0);
	ask(HYPR_REQUEST_MOMENT, 0, 0, 0);
	for (;;) {
		if (ask(HYPR_REQUEST_INPUT, 0, input, sizeof(input)) != HYPR_REQUEST_DONE)
			continue;
		result = target(input, block.bytes);
		ask(result == TARGET_RACE ? HYPR_REQUEST_PANIC : HYPR_REQUEST_REPORT, result, 0, 0);
		ask(HYPR_REQUEST_BACK, 0, 0, 0);
	}
}
