// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC goes with a view: its registers, the guest's clock, and the timer, which
 * KVM sets by that clock.
 *
 * What is kept are the registers as they are on the APIC's page.  KVM's own form of them,
 * that of KVM_GET_LAPIC, differs in x2APIC mode, and is made when somebody asks for it.
 */
#include "ioapic.h"
#include "lapic.h"

#include "vmx_ept_swap.h"

/* ---- reading ---------------------------------------------------------------- */

#define HYPR_APIC_REG	0x10	/* from one register to the next: each has 32 bits */

/* From @first up to @end.  Return: bits that @other has not alike. */
static u32 hypr_regs_read(const void *regs, struct kvm_lapic_state *lapic,
			  const struct kvm_lapic_state *other, unsigned int first,
			  unsigned int end)
{
	u32 differ = 0, reg;
	unsigned int at;

#pragma GCC unroll 8
	for (at = first; at < end; at += HYPR_APIC_REG) {
		reg = *(const u32 *)(regs + at);
		*(u32 *)(lapic->regs + at) = reg;
		differ |= reg ^ *(const u32 *)(other->regs + at);
	}
	return differ;
}

#define HYPR_LVT_MODE		GENMASK(18, 17)
#define HYPR_VALID_VECTOR	16

/*
 * A one-shot timer that has run out, and whose interrupt KVM has not raised yet,
 * leaves no trace in the registers: raise it.
 */
static void hypr_apic_note_expired(struct kvm_lapic_state *lapic)
{
	u32 lvt = __kvm_lapic_get_reg(lapic->regs, APIC_LVTT);
	u32 vector = lvt & APIC_VECTOR_MASK;
	u32 *irr = (u32 *)(lapic->regs + APIC_IRR + vector / 32 * HYPR_APIC_REG);

	if ((lvt & (HYPR_LVT_MODE | APIC_LVT_MASKED)) || vector < HYPR_VALID_VECTOR ||
	    !__kvm_lapic_get_reg(lapic->regs, APIC_TMICT) ||
	    __kvm_lapic_get_reg(lapic->regs, APIC_TMCCT))
		return;
	*irr |= BIT(vector % 32);
}

/* What the guest would read as the timer's count.  @scratch: overwritten. */
static u32 hypr_apic_count(struct kvm_vcpu *vcpu, struct kvm_lapic_state *scratch)
{
	kvm_apic_get_state(vcpu, scratch);
	return __kvm_lapic_get_reg(scratch->regs, APIC_TMCCT);
}

/**
 * hypr_apic_read() - what the local APIC has now
 * @vcpu: loaded, its mutex held by this thread
 * @host_tsc: as hypr_state_read() has it
 * @kept: its part is filled
 * @other: a state to compare with; may be @kept itself
 *
 * Return: what of @other differs.
 */
enum hypr_apic_differs hypr_apic_read(struct kvm_vcpu *vcpu, u64 host_tsc,
				      struct hypr_kept *kept, const struct hypr_kept *other)
{
	struct kvm_lapic_state *lapic = &kept->lapic;
	const struct kvm_lapic_state *to = &other->lapic;
	const void *regs = vcpu->arch.apic->regs;
	u32 plain, rest, count = 0;

	kept->tsc_offset = vcpu->arch.l1_tsc_offset;
	kept->host_tsc = host_tsc;
	kept->sregs.cr8 = kvm_get_cr8(vcpu);
	/* First: a deadline that passes now is then there twice, not nowhere. */
	kept->tsc_deadline = kvm_get_lapic_tscdeadline_msr(vcpu);
	kvm_x86_call(sync_pir_to_irr)(vcpu);
	if (kvm_lapic_get_reg(vcpu->arch.apic, APIC_TMICT))
		count = hypr_apic_count(vcpu, lapic);

	rest = hypr_regs_read(regs, lapic, to, APIC_ID, APIC_TASKPRI);
	plain = hypr_regs_read(regs, lapic, to, APIC_TASKPRI, APIC_LDR);
	rest |= hypr_regs_read(regs, lapic, to, APIC_LDR, APIC_ISR);
	plain |= hypr_regs_read(regs, lapic, to, APIC_ISR, APIC_ESR + HYPR_APIC_REG);
	rest |= hypr_regs_read(regs, lapic, to, APIC_LVTCMCI, APIC_ICR);
	plain |= hypr_regs_read(regs, lapic, to, APIC_ICR, APIC_LVTT);
	rest |= hypr_regs_read(regs, lapic, to, APIC_LVTT, KVM_APIC_REG_SIZE);
	/* In x2APIC mode this one has 64 bits. */
	*(u64 *)(lapic->regs + APIC_ICR) = *(const u64 *)(regs + APIC_ICR);
	plain |= *(u32 *)(lapic->regs + APIC_ICR + 4) ^ *(u32 *)(to->regs + APIC_ICR + 4);

	if (count || kvm_lapic_get_reg(vcpu->arch.apic, APIC_TMICT)) {
		*(u32 *)(lapic->regs + APIC_TMCCT) = count;
		hypr_apic_note_expired(lapic);
		return HYPR_APIC_REST;
	}
	if (rest || __kvm_lapic_get_reg((char *)to->regs, APIC_TMICT))
		return HYPR_APIC_REST;
	return plain ? HYPR_APIC_PLAIN : HYPR_APIC_SAME;
}

/**
 * hypr_apic_to_user() - give the registers the form that KVM_GET_LAPIC has
 * @kvm: the VM
 * @kept: of one of its vCPUs
 */
void hypr_apic_to_user(struct kvm *kvm, struct hypr_kept *kept)
{
	char *regs = kept->lapic.regs;

	if (!(kept->sregs.apic_base & X2APIC_ENABLE))
		return;
	if (!kvm_x86_ops.x2apic_icr_is_split)
		*(u32 *)(regs + APIC_ICR2) = *(u32 *)(regs + APIC_ICR + 4);
	if (!kvm->arch.x2apic_format)
		*(u32 *)(regs + APIC_ID) <<= 24;
}

/* ---- writing ---------------------------------------------------------------- */

/*
 * Registers on which nothing else rests: priorities, the interrupts in service and
 * requested, the last one sent, errors.  All of KVM_SET_LAPIC takes longer than the rest of
 * a vCPU's state: it makes a new map of all local APICs.
 */
static void hypr_apic_set_plain(struct kvm_vcpu *vcpu, const struct kvm_lapic_state *lapic)
{
	void *regs = vcpu->arch.apic->regs;
	unsigned int at;

	for (at = APIC_TASKPRI; at <= APIC_PROCPRI; at += HYPR_APIC_REG)
		*(u32 *)(regs + at) = *(const u32 *)(lapic->regs + at);
	for (at = APIC_ISR; at <= APIC_ESR; at += HYPR_APIC_REG)
		*(u32 *)(regs + at) = *(const u32 *)(lapic->regs + at);
	*(u64 *)(regs + APIC_ICR) = *(const u64 *)(lapic->regs + APIC_ICR);
	*(u32 *)(regs + APIC_ICR2) = *(const u32 *)(lapic->regs + APIC_ICR2);
	kvm_apic_update_apicv(vcpu);
	kvm_apic_update_ppr(vcpu);
	if (ioapic_in_kernel(vcpu->kvm))
		kvm_rtc_eoi_tracking_restore_one(vcpu);
}

/* kvm_apic_set_state() takes the one form, and leaves the other. */
static int hypr_apic_set(struct kvm_vcpu *vcpu, struct hypr_kept *kept)
{
	hypr_apic_to_user(vcpu->kvm, kept);
	return kvm_apic_set_state(vcpu, &kept->lapic);
}

/**
 * hypr_apic_write() - go on with the local APIC of the other view
 * @vcpu: loaded, its mutex held by this thread
 * @host_tsc: now, as KVM scales it for this vCPU
 * @from: what hypr_apic_read() has found in this vCPU
 * @to: from the same vCPU
 * @differs: what of the two differs
 *
 * The clock goes before the timer, which KVM sets by the guest's TSC, and a deadline, a
 * time of it, comes last: hypr_apic_start_timer().
 *
 * Return: not 0 if KVM takes the registers no more.
 */
int hypr_apic_write(struct kvm_vcpu *vcpu, u64 host_tsc, const struct hypr_kept *from,
		    struct hypr_kept *to, enum hypr_apic_differs differs)
{
	u64 offset = to->tsc_offset + to->host_tsc - host_tsc;
	int r = 0;

	/* APICv has copies of its own. */
	if (differs == HYPR_APIC_PLAIN && vcpu->arch.apic->apicv_active)
		differs = HYPR_APIC_REST;
	/*
	 * A timer of the view that is left must not fire in this one.  A deadline of this
	 * view takes the place of the old one.
	 */
	if (from->tsc_deadline && (differs == HYPR_APIC_REST || !to->tsc_deadline))
		kvm_set_lapic_tscdeadline_msr(vcpu, 0);
	vcpu->arch.apic->lapic_timer.expired_tscdeadline = 0;

	vcpu->arch.l1_tsc_offset = offset;
	vcpu->arch.tsc_offset = offset;
	kvm_x86_call(write_tsc_offset)(vcpu);
	if (vcpu->arch.pv_time.active)
		kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);

	if (differs == HYPR_APIC_REST)
		r = hypr_apic_set(vcpu, to);
	else if (differs == HYPR_APIC_PLAIN)
		hypr_apic_set_plain(vcpu, &to->lapic);
	return r;
}

/**
 * hypr_apic_start_timer() - the deadline of the other view, if it has one
 * @vcpu: after hypr_apic_write()
 * @to: as there
 *
 * If that of the view that was left passes before, KVM forgets it here.
 */
void hypr_apic_start_timer(struct kvm_vcpu *vcpu, const struct hypr_kept *to)
{
	if (to->tsc_deadline)
		kvm_set_lapic_tscdeadline_msr(vcpu, to->tsc_deadline);
}
