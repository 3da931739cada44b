/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sections of a VMO that are not memory, version 1 of each; see
 * docs/spec/vmo-format.md.  Little-endian, x86-64.  Structures of KVM are as
 * <linux/kvm.h> lays them out, which is ABI.
 */
#ifndef HYPR_ABI_VMO_STATE_H
#define HYPR_ABI_VMO_STATE_H

#include <linux/kvm.h>
#include <stdint.h>

#define HYPR_VMO_STATE_VERSION	1	/* of every section below */

/**
 * struct hypr_vmo_vcpu - VCPU: followed by @nr_msrs MSRs and @xsave_bytes of XSAVE
 * @regs, @sregs: first, so that debuggers find them
 * @guest_tsc: the guest's TSC when it was stopped
 * @tsc_deadline: IA32_TSC_DEADLINE
 * @mp_state: KVM_MP_STATE_*
 * @control: HYPR_VCPU_RUNNING or HYPR_VCPU_OFFLINE: what its word in the control
 *	page is to be when it goes on
 * @parked: 1: it waits in the park loop of the guest kernel
 */
struct hypr_vmo_vcpu {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint64_t guest_tsc;
	uint64_t tsc_deadline;
	uint32_t mp_state;
	uint32_t control;
	uint32_t parked;
	uint32_t nr_msrs;
	uint32_t xsave_bytes;
	uint32_t reserved;
	struct kvm_xcrs xcrs;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
};

struct hypr_vmo_msr {
	uint32_t index;
	uint32_t reserved;
	uint64_t value;
};

/** struct hypr_vmo_chips - CHIPS: PIC master, PIC slave, I/O APIC */
struct hypr_vmo_chips {
	struct kvm_irqchip chip[3];
};

/** struct hypr_vmo_pit - PIT */
struct hypr_vmo_pit {
	struct kvm_pit_state2 pit;
};

/**
 * struct hypr_vmo_clock - CLOCK
 * @tsc_khz: of the guest
 * @stopped_ns: Unix time when it was stopped
 * @boot_id: of the guest, from the control page; zero: it has none
 * @generation: the last that the guest can have seen
 */
struct hypr_vmo_clock {
	uint64_t tsc_khz;
	uint64_t stopped_ns;
	uint64_t boot_id[2];
	uint64_t generation;
};

#define HYPR_VMO_CONSOLE_RX	64

/**
 * struct hypr_vmo_console - CONSOLE: an 8250 with FIFO at 0x3f8, IRQ 4
 * @thre_pending: a THRE interrupt that IIR has not shown yet
 * @rx_head, @rx_tail: of the ring @rx: bytes taken out and put in, ever; at most
 *	HYPR_VMO_CONSOLE_RX lie between them
 */
struct hypr_vmo_console {
	uint8_t dll;
	uint8_t dlm;
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scr;
	uint8_t thre_pending;
	uint32_t rx_head;
	uint32_t rx_tail;
	uint8_t rx[HYPR_VMO_CONSOLE_RX];
};

/** struct hypr_vmo_rtc - RTC: the index port and the registers behind it */
struct hypr_vmo_rtc {
	uint8_t index;
	uint8_t reserved[7];
	uint8_t cmos[128];
};

/*
 * CPU: struct kvm_cpuid_entry2[], the CPUID of vCPU 0 as the guest sees it.
 */

#ifdef __cplusplus
#define HYPR_VMO_STATE_AT(type, field, offset) \
	static_assert(__builtin_offsetof(struct type, field) == (offset), #type "." #field)
#else
#define HYPR_VMO_STATE_AT(type, field, offset) \
	_Static_assert(__builtin_offsetof(struct type, field) == (offset), #type "." #field)
#endif
HYPR_VMO_STATE_AT(hypr_vmo_vcpu, sregs, 144);
HYPR_VMO_STATE_AT(hypr_vmo_vcpu, guest_tsc, 456);
HYPR_VMO_STATE_AT(hypr_vmo_vcpu, mp_state, 472);
HYPR_VMO_STATE_AT(hypr_vmo_vcpu, xcrs, 496);
HYPR_VMO_STATE_AT(hypr_vmo_vcpu, events, 888);
HYPR_VMO_STATE_AT(hypr_vmo_vcpu, debugregs, 952);
HYPR_VMO_STATE_AT(hypr_vmo_vcpu, lapic, 1080);
HYPR_VMO_STATE_AT(hypr_vmo_clock, boot_id, 16);
HYPR_VMO_STATE_AT(hypr_vmo_console, rx, 16);
HYPR_VMO_STATE_AT(hypr_vmo_rtc, cmos, 8);
#undef HYPR_VMO_STATE_AT

#endif /* HYPR_ABI_VMO_STATE_H */
