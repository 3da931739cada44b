/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of vCPUs and devices: the data only; run/state.c saves and sets it. */
#ifndef LIB_MODEL_STATE_H
#define LIB_MODEL_STATE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "pc/console.h"
#include "pc/rtc.h"

/**
 * struct hypr_vcpu_state - what KVM knows of a vCPU
 * @tsc_offset: guest TSC - hypr_state.host_tsc when it was saved
 * @control: HYPR_VCPU_* that the control page is to have when it goes on
 * @parked: it waits in the guest's own park loop
 */
struct hypr_vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debugregs;
	struct kvm_mp_state mp_state;
	uint64_t tsc_offset;
	uint64_t tsc_deadline;
	uint32_t control;
	bool parked;
	struct kvm_msrs *msrs;		/* hypr_vm.nr_msrs entries */
	struct kvm_xsave *xsave;	/* hypr_vm.xsave_bytes */
};

/**
 * struct hypr_state - all of a VM that is not memory
 * @host_tsc: when the guest's clock was stopped: the host's TSC as KVM counts it for
 *	this guest (hypr_state_tsc_now()); 0 in a state from a file
 * @stopped_ns: Unix time then
 * @boot_id: of the guest that was saved, as the control page had it
 */
struct hypr_state {
	bool valid;
	uint64_t host_tsc;
	uint64_t stopped_ns;
	uint64_t boot_id[2];
	struct kvm_irqchip chip[3];	/* PIC master, PIC slave, I/O APIC */
	struct kvm_pit_state2 pit;
	struct hypr_console_state console;
	struct hypr_rtc_state rtc;
	struct hypr_vcpu_state vcpu[];	/* hypr_vm.nr_vcpus */
};

#endif /* LIB_MODEL_STATE_H */
