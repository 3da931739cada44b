/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The local APICs of a VM's vCPUs: lapic.c's registers, bound to the host's timer, to the
 * vCPU's run and to one another.  A VM has them if user space enables KVM_CAP_SPLIT_IRQCHIP;
 * else vcpu->apic is NULL.
 *
 * Registers and activity belong to the vCPU's thread, which has vcpu->lock.  All others post:
 * they set bits, and wake or kick the vCPU, which takes what was posted before it enters the
 * guest.
 */
#ifndef HYPRV_APIC_H
#define HYPRV_APIC_H

#include <linux/bitops.h>
#include <linux/hrtimer.h>
#include <linux/kvm.h>
#include <linux/wait.h>

#include "hyprv.h"
#include "lapic.h"

/* Bits of @posted. */
enum { POSTED_VECTORS, POSTED_TIMER, POSTED_INIT, POSTED_STARTUP, POSTED_NMI };

/**
 * struct apic - of one vCPU
 * @regs: the registers
 * @vcpu: whose
 * @activity: KVM_MP_STATE_*
 * @posted: what others want
 * @vectors: interrupts, with POSTED_VECTORS
 * @startup: the vector of POSTED_STARTUP
 * @timer: for regs.due_ns
 * @wake: the vCPU sleeps here while it is halted or not started
 */
struct apic {
	struct lapic regs;
	struct vcpu *vcpu;
	u32 activity;
	unsigned long posted;
	unsigned long vectors[BITS_TO_LONGS(256)];
	u8 startup;
	struct hrtimer timer;
	wait_queue_head_t wake;
};

int apics_enable(struct vm *vm, const struct kvm_enable_cap *cap);
int apic_create(struct vcpu *vcpu);
void apic_destroy(struct vcpu *vcpu);

static inline bool apic_is_posted(const struct vcpu *vcpu)
{
	return vcpu->apic && READ_ONCE(vcpu->apic->posted);
}

static inline bool apic_is_idle(const struct vcpu *vcpu)
{
	return vcpu->apic && vcpu->apic->activity != KVM_MP_STATE_RUNNABLE;
}

/* 1: it reached an APIC; 0: none; -EOPNOTSUPP: hyprv has no such interrupt. */
int apic_send(struct vm *vm, const struct lapic_ipi *ipi, u32 from);

/* The vCPU of another thread looks at what it was asked, in the guest or asleep. */
void apic_wake(struct vcpu *vcpu);

/* The VM has ended: those that sleep go to user space. */
void apics_wake(struct vm *vm);

/* The VMCS is current: take what was posted.  false: the vCPU is idle. */
bool apic_sync(struct vcpu *vcpu);

/* The same without a look at whether it is idle. */
void apic_collect(struct vcpu *vcpu);
/* The host's timer follows regs.due_ns. */
void apic_timer_set(struct apic *apic);

/* Sleep until the vCPU is no longer idle: 1; -EINTR, -EIO, -EAGAIN as vmcs_get(). */
int apic_wait(struct vcpu *vcpu);

/* The guest executed HLT. */
void apic_halt(struct vcpu *vcpu);

/* The interrupt that the vCPU should take, or -1; and: it takes it. */
int apic_next(const struct vcpu *vcpu);
void apic_take(struct vcpu *vcpu, u8 vector);

u64 apic_cr8(const struct vcpu *vcpu);
void apic_set_cr8(struct vcpu *vcpu, u64 value);

/* Is this the page of the guest's APIC, now? */
bool apic_is_page(const struct vcpu *vcpu, u64 gpa);

/*
 * The guest's access; the VMCS is current.  0; -EINVAL: #GP; -EOPNOTSUPP: it sends what
 * hyprv does not have.
 */
int apic_page_access(struct vcpu *vcpu, u64 gpa, bool write, u32 bytes, u64 *value);
bool apic_is_msr(const struct vcpu *vcpu, u32 index);
int apic_msr_read(struct vcpu *vcpu, u32 index, u64 *value);
int apic_msr_write(struct vcpu *vcpu, u32 index, u64 value);
int apic_set_base(struct vcpu *vcpu, u64 base, bool host);

/* User space: 0 or -errno. */
int apic_get_state(struct vcpu *vcpu, struct kvm_lapic_state *state);
int apic_set_state(struct vcpu *vcpu, const struct kvm_lapic_state *state);
int apic_get_activity(struct vcpu *vcpu, u32 *activity);
int apic_set_activity(struct vcpu *vcpu, u32 activity);
/* How many APICs it reached: 1 or 0; -EINVAL. */
int apic_signal_msi(struct vm *vm, const struct kvm_msi *msi);

#endif /* HYPRV_APIC_H */
