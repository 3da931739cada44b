/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The registers of one local APIC, and what they decide (SDM volume 3A, "Advanced
 * Programmable Interrupt Controller").  Pure: no locks, no clock of its own, no other APICs.
 * apic.c binds it to vCPUs, to the host's timer and to one another.
 *
 * Only the vCPU's own thread uses one, but for lapic_is_target().  Times are nanoseconds of
 * any clock that does not go back.
 */
#ifndef HYPRV_LAPIC_H
#define HYPRV_LAPIC_H

#include "types.h"

/* Offsets in the xAPIC page; an x2APIC MSR is 0x800 + offset / 16. */
#define LAPIC_ID		0x20
#define LAPIC_VERSION		0x30
#define LAPIC_TPR		0x80
#define LAPIC_PPR		0xa0
#define LAPIC_EOI		0xb0
#define LAPIC_LDR		0xd0
#define LAPIC_DFR		0xe0
#define LAPIC_SVR		0xf0
#define LAPIC_ISR		0x100
#define LAPIC_TMR		0x180
#define LAPIC_IRR		0x200
#define LAPIC_ESR		0x280
#define LAPIC_ICR		0x300
#define LAPIC_ICR_HIGH		0x310
#define LAPIC_LVT_TIMER		0x320
#define LAPIC_LVT_THERMAL	0x330
#define LAPIC_LVT_COUNTER	0x340
#define LAPIC_LVT_LINT0		0x350
#define LAPIC_LVT_LINT1		0x360
#define LAPIC_LVT_ERROR		0x370
#define LAPIC_TIMER_INITIAL	0x380
#define LAPIC_TIMER_CURRENT	0x390
#define LAPIC_TIMER_DIVIDE	0x3e0
#define LAPIC_SELF_IPI		0x3f0	/* x2APIC alone */

#define LAPIC_REGS		64
#define LAPIC_GPA		0xfee00000ull
#define LAPIC_MSR		0x800

/* IA32_APIC_BASE */
#define LAPIC_BASE_BSP		(1ull << 8)
#define LAPIC_BASE_X2APIC	(1ull << 10)
#define LAPIC_BASE_ENABLED	(1ull << 11)

#define LAPIC_ERROR_SEND	(1u << 5)	/* a vector below 16 */
#define LAPIC_ERROR_RECEIVE	(1u << 6)
#define LAPIC_ERROR_REGISTER	(1u << 7)

/* A periodic timer is not faster: a guest must not keep its host busy with it. */
#define LAPIC_PERIOD_MIN_NS	200000

enum lapic_mode { LAPIC_OFF, LAPIC_XAPIC, LAPIC_X2APIC };

/**
 * struct lapic - one local APIC
 * @reg: registers by offset / 16, as KVM_GET_LAPIC has them; LAPIC_ID as in xAPIC mode
 * @errors: since the guest last wrote LAPIC_ESR
 * @id: of its CPU
 * @base: IA32_APIC_BASE
 * @due_ns: when the timer runs out; 0: it does not run
 */
struct lapic {
	u32 reg[LAPIC_REGS];
	u32 errors;
	u32 id;
	u64 base;
	u64 due_ns;
};

/* What a write asks for beyond the register. */
enum lapic_todo {
	LAPIC_DONE,
	LAPIC_SEND,	/* the command in *ipi */
	LAPIC_TIMER,	/* @due_ns has changed */
};

enum lapic_delivery {
	LAPIC_FIXED, LAPIC_LOWEST, LAPIC_SMI, LAPIC_DELIVERY_3, LAPIC_NMI, LAPIC_INIT,
	LAPIC_STARTUP, LAPIC_EXTERNAL,
};

enum lapic_shorthand { LAPIC_TO_DEST, LAPIC_TO_SELF, LAPIC_TO_ALL, LAPIC_TO_OTHERS };

/**
 * struct lapic_ipi - an interrupt for one or more APICs
 * @wide: @dest has 32 bits, as in x2APIC mode
 * @deassert: INIT's level goes down: nothing happens
 */
struct lapic_ipi {
	enum lapic_delivery delivery;
	enum lapic_shorthand shorthand;
	u8 vector;
	bool logical;
	bool wide;
	bool deassert;
	u32 dest;
};

/** lapic_reset() - after RESET (@base with the BSP flag) or INIT */
void lapic_reset(struct lapic *lapic, u32 id, u64 base);

enum lapic_mode lapic_mode(const struct lapic *lapic);

/** lapic_base_is_valid() - false: reserved bits, another page, x2APIC without enabled */
bool lapic_base_is_valid(u64 base);

/** lapic_load_base() - user space sets it, from any mode to any other: 0 or -EINVAL */
int lapic_load_base(struct lapic *lapic, u64 base);

/** lapic_set_base() - the guest writes it: 0; -EINVAL, also from x2APIC to xAPIC mode */
int lapic_set_base(struct lapic *lapic, u64 base);

/** lapic_read() - @offset is a multiple of 16; 0, or -EINVAL if there is no such register */
int lapic_read(const struct lapic *lapic, u32 offset, u64 now_ns, u32 *value);

/**
 * lapic_write() - the guest writes a register
 * @value: bits 63:32 are LAPIC_ICR_HIGH's, in x2APIC mode
 * @ipi: out, with LAPIC_SEND
 *
 * Return: enum lapic_todo; -EINVAL if there is no such register, or no such value of an
 * x2APIC MSR.
 */
int lapic_write(struct lapic *lapic, u32 offset, u64 value, u64 now_ns, struct lapic_ipi *ipi);

/** lapic_accept() - an interrupt arrives; false: switched off, or no such vector */
bool lapic_accept(struct lapic *lapic, u32 vector);

/** lapic_next() - the vector that its CPU should take now; -1: none above its priority */
int lapic_next(const struct lapic *lapic);

/** lapic_take() - the CPU takes @vector */
void lapic_take(struct lapic *lapic, u8 vector);

/** lapic_is_target() - does an interrupt from the CPU @from reach this one? */
bool lapic_is_target(const struct lapic *lapic, const struct lapic_ipi *ipi, u32 from);

/** lapic_msi() - a message as a device writes it */
void lapic_msi(struct lapic_ipi *ipi, u64 address, u32 data);

/** lapic_expire() - the timer has run out if it is @now_ns: true, and its interrupt arrives */
bool lapic_expire(struct lapic *lapic, u64 now_ns);

/**
 * lapic_load() - registers as KVM_SET_LAPIC has them; the timer goes on from its count
 *
 * Return: 0; -EINVAL: another CPU's ID.
 */
int lapic_load(struct lapic *lapic, const u32 *reg, u64 now_ns);

/** lapic_save() - registers as KVM_GET_LAPIC has them */
void lapic_save(const struct lapic *lapic, u32 *reg, u64 now_ns);

static inline u8 lapic_cr8(const struct lapic *lapic)
{
	return lapic->reg[LAPIC_TPR / 16] >> 4 & 0xf;
}

static inline void lapic_set_cr8(struct lapic *lapic, u8 cr8)
{
	lapic->reg[LAPIC_TPR / 16] = cr8 << 4;
}

#endif /* HYPRV_LAPIC_H */
