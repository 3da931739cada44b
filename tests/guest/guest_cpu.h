/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Instructions that the tiny guest needs, and the section it stands in.
 */
#ifndef TESTS_GUEST_GUEST_CPU_H
#define TESTS_GUEST_GUEST_CPU_H

#include <stdint.h>

#define GUEST __attribute__((section("guest_text"), noinline))

#define X2APIC_ID	0x802
#define X2APIC_EOI	0x80b
#define X2APIC_SVR	0x80f

static inline __attribute__((always_inline)) uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline __attribute__((always_inline)) void wrmsr(uint32_t msr, uint64_t value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value),
		     "d"((uint32_t)(value >> 32)) : "memory");
}

static inline __attribute__((always_inline)) uint64_t read_cr8(void)
{
	uint64_t value;

	asm volatile("mov %%cr8, %0" : "=r"(value) : : "memory");
	return value;
}

static inline __attribute__((always_inline)) void write_cr8(uint64_t value)
{
	asm volatile("mov %0, %%cr8" : : "r"(value) : "memory");
}

#endif
