// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * LAPIC timers in a saved state: one that runs out as it is saved, and those of a
 * state whose clock jumps ahead by the time that it was a file.  A TSC
 * deadline needs nothing: it is a time, and the TSC has gone past it or not.  A LAPIC
 * timer that counts down has to be taken down, or what waits for it would wait for
 * the time in between once more.  The PIT cannot be: KVM starts its counts anew.
 */
#include <string.h>

#include "run/timers.h"

#define LVT_TIMER	0x320
#define TIMER_INITIAL	0x380
#define TIMER_CURRENT	0x390
#define TIMER_DIVIDE	0x3e0
#define IRR		0x200

#define LVT_VECTOR	0xffu
#define LVT_MASKED	(1u << 16)
#define LVT_MODE	(3u << 17)
#define MODE_ONE_SHOT	(0u << 17)
#define MODE_PERIODIC	(1u << 17)

static uint32_t reg(const struct kvm_lapic_state *lapic, unsigned int at)
{
	uint32_t value;

	memcpy(&value, lapic->regs + at, sizeof(value));
	return value;
}

static void set_reg(struct kvm_lapic_state *lapic, unsigned int at, uint32_t value)
{
	memcpy(lapic->regs + at, &value, sizeof(value));
}

/* Nanoseconds that the timer takes for a count: KVM's APIC bus has 1 GHz. */
static unsigned int ns_per_count(const struct kvm_lapic_state *lapic)
{
	uint32_t divide = reg(lapic, TIMER_DIVIDE);

	return 1u << ((((divide & 3) | (divide & 8) >> 1) + 1) & 7);
}

static void raise_vector(struct kvm_lapic_state *lapic)
{
	uint32_t lvt = reg(lapic, LVT_TIMER), vector = lvt & LVT_VECTOR;
	unsigned int at = IRR + vector / 32 * 0x10;

	/* Vectors below 16 are none. */
	if (!(lvt & LVT_MASKED) && vector >= 16)
		set_reg(lapic, at, reg(lapic, at) | 1u << vector % 32);
}

/**
 * hypr_lapic_note_expired() - raise the interrupt of a timer that has run out
 *
 * A one-shot timer that has run out leaves no trace in the registers between
 * the host's timer and the next VM entry, which is when KVM would raise the
 * interrupt.  One too many does no harm, one too few stops the guest's clock for
 * good.
 */
void hypr_lapic_note_expired(struct kvm_lapic_state *lapic)
{
	if ((reg(lapic, LVT_TIMER) & LVT_MODE) == MODE_ONE_SHOT && reg(lapic, TIMER_INITIAL) &&
	    !reg(lapic, TIMER_CURRENT))
		raise_vector(lapic);
}

/**
 * hypr_lapic_advance() - let a LAPIC timer run on
 * @ns: by how long.  An interrupt that is due is raised, once.
 */
void hypr_lapic_advance(struct kvm_lapic_state *lapic, uint64_t ns)
{
	uint64_t left = reg(lapic, TIMER_CURRENT), initial = reg(lapic, TIMER_INITIAL);
	uint64_t counts = ns / ns_per_count(lapic);
	uint32_t mode = reg(lapic, LVT_TIMER) & LVT_MODE;

	if (!initial || !left || (mode != MODE_ONE_SHOT && mode != MODE_PERIODIC))
		return;
	if (counts < left) {
		set_reg(lapic, TIMER_CURRENT, (uint32_t)(left - counts));
		return;
	}
	raise_vector(lapic);
	left = mode == MODE_PERIODIC ? initial - (counts - left) % initial : 0;
	set_reg(lapic, TIMER_CURRENT, (uint32_t)left);
}
