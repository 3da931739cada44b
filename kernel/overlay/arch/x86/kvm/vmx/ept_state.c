// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state of a vCPU that goes with a view: registers, FPU, MSRs, local APIC and clock
 * (ept_apic.c), and what is under way (ept_events.c).  The vCPU's own thread reads the state of the
 * view that it leaves, and writes what differs in that of the view that it enters.  It does
 * not leave KVM_RUN for that.
 *
 * Reading and writing never fail half way: hypr_state_can_move() refuses every vCPU that has
 * more than is moved (SMM, a hypervisor or its guest, an NMI that has just come), and what is
 * written is what KVM has read from the same vCPU.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <asm/fpu/api.h>

#include "kvm_cache_regs.h"
#include "lapic.h"
#include "mmu.h"
#include "smm.h"
#include "x86.h"

#include "vmx_ept_swap.h"

/* ---- what can move ---------------------------------------------------------- */

/* Then KVM has more of it than CR4 or EFER say: where its VMCS12 is, or its GIF. */
static bool hypr_is_hypervisor(struct kvm_vcpu *vcpu)
{
	return kvm_is_cr4_bit_set(vcpu, X86_CR4_VMXE) || (vcpu->arch.efer & EFER_SVME);
}

/**
 * hypr_state_can_move() - is all that this vCPU has what this file moves?
 * @vcpu: loaded, its mutex held by this thread
 */
bool hypr_state_can_move(struct kvm_vcpu *vcpu)
{
	return lapic_in_kernel(vcpu) && is_long_mode(vcpu) &&
	       !vcpu->arch.guest_state_protected && !vcpu->guest_debug &&
	       !is_smm(vcpu) && !is_guest_mode(vcpu) && !hypr_is_hypervisor(vcpu) &&
	       !hypr_vcpu_has_io(vcpu) && hypr_events_can_move(vcpu);
}

/**
 * hypr_state_has_room() - can @kept take what the vCPU has?
 * @vcpu: loaded, its mutex held by this thread
 * @kept: a state of this vCPU: its FPU may have grown since
 */
bool hypr_state_has_room(struct kvm_vcpu *vcpu, const struct hypr_kept *kept)
{
	return kept && kept->fpu_bytes >= hypr_fpu_bytes(vcpu);
}

/* What no CPU changes in 64-bit mode. */
#define HYPR_CR4_FIXED	(X86_CR4_PAE | X86_CR4_LA57)

/**
 * hypr_state_fits() - can the vCPU go on from @kept?
 * @vcpu: loaded, its mutex held by this thread
 * @kept: a state of this vCPU
 *
 * What all contexts of one boot of a guest have alike is compared, not moved.
 */
bool hypr_state_fits(struct kvm_vcpu *vcpu, const struct hypr_kept *kept)
{
	const struct fpstate *fpu = vcpu->arch.guest_fpu.fpstate;

	return kept && kept->xcr0 == vcpu->arch.xcr0 &&
	       kept->sregs.efer == vcpu->arch.efer &&
	       kept->sregs.apic_base == vcpu->arch.apic_base &&
	       !((kept->sregs.cr4 ^ kvm_read_cr4(vcpu)) & HYPR_CR4_FIXED) &&
	       kept->fpu->size == fpu->size && kept->fpu->xfd == fpu->xfd;
}

/* ---- reading ---------------------------------------------------------------- */

/* The bits of a segment's access rights, as the VMCS has them. */
#define HYPR_AR_UNUSABLE	BIT(16)

static u32 hypr_segment_ar(const struct kvm_segment *segment)
{
	return segment->type | segment->s << 4 | segment->dpl << 5 | segment->present << 7 |
	       segment->avl << 12 | segment->l << 13 | segment->db << 14 | segment->g << 15 |
	       (segment->unusable ? HYPR_AR_UNUSABLE : 0);
}

static void hypr_segment_decode(const struct hypr_segment *from, struct kvm_segment *segment)
{
	*segment = (struct kvm_segment){
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.type = from->ar & 15,
		.s = from->ar >> 4 & 1,
		.dpl = from->ar >> 5 & 3,
		/* As vmx_get_segment() has it, with the reason. */
		.present = !(from->ar & HYPR_AR_UNUSABLE),
		.avl = from->ar >> 12 & 1,
		.l = from->ar >> 13 & 1,
		.db = from->ar >> 14 & 1,
		.g = from->ar >> 15 & 1,
		.unusable = !!(from->ar & HYPR_AR_UNUSABLE),
	};
}

static void hypr_segments_read(struct kvm_vcpu *vcpu, struct hypr_segment *segments)
{
	struct kvm_segment segment;
	int i;

	if (kvm_x86_ops.hypr_tdp->get_segments) {
		kvm_x86_ops.hypr_tdp->get_segments(vcpu, segments);
		return;
	}
	for (i = 0; i < HYPR_SEGMENTS; i++) {
		kvm_x86_call(get_segment)(vcpu, &segment, i);
		segments[i] = (struct hypr_segment){
			.base = segment.base,
			.limit = segment.limit,
			.ar = hypr_segment_ar(&segment),
			.selector = segment.selector,
		};
	}
}

/* Without CR8, which the local APIC has. */
static void hypr_sregs_read(struct kvm_vcpu *vcpu, struct kvm_sregs *sregs)
{
	struct desc_ptr table;

	kvm_x86_call(get_idt)(vcpu, &table);
	sregs->idt.base = table.address;
	sregs->idt.limit = table.size;
	kvm_x86_call(get_gdt)(vcpu, &table);
	sregs->gdt.base = table.address;
	sregs->gdt.limit = table.size;

	sregs->cr0 = kvm_read_cr0(vcpu);
	sregs->cr2 = vcpu->arch.cr2;
	sregs->cr3 = kvm_read_cr3(vcpu);
	sregs->cr4 = kvm_read_cr4(vcpu);
	sregs->efer = vcpu->arch.efer;
	sregs->apic_base = vcpu->arch.apic_base;
}

/**
 * hypr_state_sregs() - the same as KVM_GET_SREGS would have it, but for a pending interrupt
 * @kept: the state
 * @sregs: filled
 */
void hypr_state_sregs(const struct hypr_kept *kept, struct kvm_sregs *sregs)
{
	*sregs = kept->sregs;
	hypr_segment_decode(&kept->segment[VCPU_SREG_CS], &sregs->cs);
	hypr_segment_decode(&kept->segment[VCPU_SREG_DS], &sregs->ds);
	hypr_segment_decode(&kept->segment[VCPU_SREG_ES], &sregs->es);
	hypr_segment_decode(&kept->segment[VCPU_SREG_FS], &sregs->fs);
	hypr_segment_decode(&kept->segment[VCPU_SREG_GS], &sregs->gs);
	hypr_segment_decode(&kept->segment[VCPU_SREG_SS], &sregs->ss);
	hypr_segment_decode(&kept->segment[VCPU_SREG_TR], &sregs->tr);
	hypr_segment_decode(&kept->segment[VCPU_SREG_LDTR], &sregs->ldt);
}

static void hypr_debugregs_read(struct kvm_vcpu *vcpu, struct kvm_debugregs *regs)
{
	memcpy(regs->db, vcpu->arch.db, sizeof(regs->db));
	regs->dr6 = vcpu->arch.dr6;
	regs->dr7 = vcpu->arch.dr7;
}

/*
 * In KVM_RUN the guest's FPU state is in the CPU's registers: this brings it to
 * memory, and hypr_fpu_load() brings it back.
 */
static bool hypr_fpu_unload(struct kvm_vcpu *vcpu)
{
	if (!vcpu->arch.guest_fpu.fpstate->in_use)
		return false;
	fpu_swap_kvm_fpstate(&vcpu->arch.guest_fpu, false);
	return true;
}

static void hypr_fpu_load(struct kvm_vcpu *vcpu)
{
	fpu_swap_kvm_fpstate(&vcpu->arch.guest_fpu, true);
}

/*
 * fpu_swap_kvm_fpstate() saves the CPU's registers to the task's present FPU state, and
 * loads the one that the task had before the guest's.  For the time of this call the two
 * are those of @from and @to: no register image is copied in memory.
 *
 * Return: false if the guest's FPU state is not in the registers.
 */
static bool hypr_fpu_exchange(struct kvm_vcpu *vcpu, struct hypr_kept *from,
			      const struct hypr_kept *to)
{
	struct fpstate *own = vcpu->arch.guest_fpu.fpstate, *host;
	struct fpu_guest leaving = { .fpstate = from->fpu };
	struct fpu *fpu = &current->thread.fpu;
	bool loaded;

	fpregs_lock();
	loaded = fpu->fpstate == own && !test_thread_flag(TIF_NEED_FPU_LOAD);
	if (loaded) {
		memcpy(from->fpu, own, offsetof(struct fpstate, regs));
		host = fpu->__task_fpstate;
		fpu->fpstate = from->fpu;
		fpu->__task_fpstate = to->fpu;
		fpu_swap_kvm_fpstate(&leaving, false);
		fpu->fpstate = own;
		fpu->__task_fpstate = host;
	}
	fpregs_unlock();
	return loaded;
}

static void hypr_fpu_move(struct kvm_vcpu *vcpu, struct hypr_kept *from,
			  const struct hypr_kept *to)
{
	struct fpstate *own = vcpu->arch.guest_fpu.fpstate;
	bool loaded;

	if (hypr_fpu_exchange(vcpu, from, to))
		return;
	loaded = hypr_fpu_unload(vcpu);
	memcpy(from->fpu, own, hypr_fpu_bytes(vcpu));
	memcpy(&own->regs, &to->fpu->regs, own->size);
	if (loaded)
		hypr_fpu_load(vcpu);
}

static void hypr_msr_read(struct kvm_vcpu *vcpu, struct hypr_kept *kept, u32 index, u64 *data)
{
	const struct kvm_hypr_tdp *tdp = kvm_x86_ops.hypr_tdp;

	if (tdp->get_live_msr && tdp->get_live_msr(vcpu, index, data))
		return;
	kept->broken |= __kvm_get_msr(vcpu, index, data, true);
}

/* Of hypr_kept.data: those of one number are alike. */
static atomic64_t hypr_data_ids = ATOMIC64_INIT(0);

/*
 * Most MSRs change only when KVM sets them.  As long as it has not, their values are in
 * the state that the vCPU came from.
 */
static void hypr_msrs_read(struct kvm_vcpu *vcpu, struct hypr_kept *kept)
{
	const struct hypr_kept *known = READ_ONCE(vcpu->arch.hypr.msrs_of);
	unsigned int i;

	if (vcpu->arch.hypr.msrs_written)
		known = NULL;

	for (i = 0; i < kept->nr_live; i++)
		hypr_msr_read(vcpu, kept, kept->msr[kept->live[i].at].index,
			      &kept->live[i].data);
	if (known && known->data_id != kept->data_id) {
		memcpy(kept->data, known->data, kept->nr_msrs * sizeof(u64));
		kept->data_id = known->data_id;
	} else if (!known) {
		for (i = 0; i < kept->nr_msrs; i++) {
			if (!kept->msr[i].fixed && !kept->msr[i].live)
				hypr_msr_read(vcpu, kept, kept->msr[i].index,
					      &kept->data[i]);
		}
		kept->data_id = atomic64_inc_return(&hypr_data_ids);
	}
	vcpu->arch.hypr.msrs_written = false;
	WRITE_ONCE(vcpu->arch.hypr.msrs_of, kept);
}

/* All but the FPU, and what is the local APIC's. */
static void hypr_state_read_rest(struct kvm_vcpu *vcpu, struct hypr_kept *kept)
{
	hypr_events_read(vcpu, &kept->events);
	/* KVM may have left these two in the VMCS. */
	kvm_rsp_read(vcpu);
	kvm_rip_read(vcpu);
	memcpy(kept->regs, vcpu->arch.regs, sizeof(kept->regs));
	kept->rflags = kvm_get_rflags(vcpu);
	hypr_segments_read(vcpu, kept->segment);
	hypr_sregs_read(vcpu, &kept->sregs);
	hypr_debugregs_read(vcpu, &kept->debugregs);
	hypr_msrs_read(vcpu, kept);

	kept->xcr0 = vcpu->arch.xcr0;
	kept->pkru = vcpu->arch.pkru;
}

/**
 * hypr_state_read() - what the vCPU has now
 * @vcpu: loaded, its mutex held by this thread, hypr_state_can_move()
 * @host_tsc: the host's TSC, as KVM scales it for this vCPU, at which the guest's
 *	clock stops for @kept
 * @kept: filled
 */
void hypr_state_read(struct kvm_vcpu *vcpu, u64 host_tsc, struct hypr_kept *kept)
{
	bool loaded = hypr_fpu_unload(vcpu);

	memcpy(kept->fpu, vcpu->arch.guest_fpu.fpstate, hypr_fpu_bytes(vcpu));
	if (loaded)
		hypr_fpu_load(vcpu);
	hypr_apic_read(vcpu, host_tsc, kept, kept);
	hypr_state_read_rest(vcpu, kept);
}

/* ---- writing ---------------------------------------------------------------- */

/*
 * Control registers as KVM_SET_SREGS does it, without the checks of a guest's MOV: these
 * depend on the other registers, of which some are still those of the other context.
 */
static void hypr_crs_write(struct kvm_vcpu *vcpu, const struct kvm_sregs *from,
			   const struct kvm_sregs *to)
{
	vcpu->arch.cr2 = to->cr2;
	if (from->cr3 != to->cr3) {
		/*
		 * The root of a TDP MMU does not depend on it: no reset of the MMU.
		 * Translations are tagged by root, so no flush either, except the
		 * one that hypr_view_edited() asks for.
		 */
		vcpu->arch.cr3 = to->cr3;
		kvm_register_mark_dirty(vcpu, VCPU_EXREG_CR3);
		kvm_make_request(KVM_REQ_LOAD_MMU_PGD, vcpu);
	}
	if (from->cr0 != to->cr0) {
		kvm_x86_call(set_cr0)(vcpu, to->cr0);
		kvm_post_set_cr0(vcpu, from->cr0, to->cr0);
	}
	if (from->cr4 != to->cr4) {
		kvm_x86_call(set_cr4)(vcpu, to->cr4);
		kvm_post_set_cr4(vcpu, from->cr4, to->cr4);
	}
}

static bool hypr_segments_match(const struct hypr_segment *one, const struct hypr_segment *other)
{
	return !((one->base ^ other->base) | (one->limit ^ other->limit) |
		 (one->ar ^ other->ar) | (one->selector ^ other->selector));
}

static void hypr_segments_write(struct kvm_vcpu *vcpu, const struct hypr_segment *from,
				const struct hypr_segment *to)
{
	struct kvm_segment segment;
	int i;

	for (i = 0; i < HYPR_SEGMENTS; i++) {
		if (hypr_segments_match(&from[i], &to[i]))
			continue;
		hypr_segment_decode(&to[i], &segment);
		kvm_x86_call(set_segment)(vcpu, &segment, i);
	}
}

static void hypr_sregs_write(struct kvm_vcpu *vcpu, const struct kvm_sregs *from,
			     const struct kvm_sregs *to)
{
	struct desc_ptr table;

	if (from->idt.base != to->idt.base || from->idt.limit != to->idt.limit) {
		table.address = to->idt.base;
		table.size = to->idt.limit;
		kvm_x86_call(set_idt)(vcpu, &table);
	}
	if (from->gdt.base != to->gdt.base || from->gdt.limit != to->gdt.limit) {
		table.address = to->gdt.base;
		table.size = to->gdt.limit;
		kvm_x86_call(set_gdt)(vcpu, &table);
	}
	hypr_crs_write(vcpu, from, to);
}

static int hypr_debugregs_write(struct kvm_vcpu *vcpu, const struct kvm_debugregs *from,
				const struct kvm_debugregs *to)
{
	int r, i;

	if (from->dr6 == to->dr6 && from->dr7 == to->dr7 &&
	    !memcmp(from->db, to->db, sizeof(to->db)))
		return 0;
	for (i = 0; i < ARRAY_SIZE(to->db); i++)
		kvm_set_dr(vcpu, i, to->db[i]);
	r = kvm_set_dr(vcpu, 6, to->dr6);
	return r | kvm_set_dr(vcpu, 7, to->dr7);
}

/* memcmp() goes byte by byte here. */
static bool hypr_words_match(const u64 *one, const u64 *other, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (one[i] != other[i])
			return false;
	}
	return true;
}

static int hypr_msr_write(struct kvm_vcpu *vcpu, u32 index, u64 from, u64 to)
{
	struct msr_data msr = { .host_initiated = true, .index = index, .data = to };

	return from == to ? 0 : kvm_x86_call(set_msr)(vcpu, &msr);
}

static int hypr_msrs_write(struct kvm_vcpu *vcpu, const struct hypr_kept *from,
			   struct hypr_kept *to)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < to->nr_live; i++)
		r |= hypr_msr_write(vcpu, to->msr[to->live[i].at].index, from->live[i].data,
				    to->live[i].data);
	if (from->data_id != to->data_id) {
		if (hypr_words_match(from->data, to->data, to->nr_msrs))
			to->data_id = from->data_id;
		for (i = 0; i < to->nr_msrs && from->data_id != to->data_id; i++) {
			if (!to->msr[i].fixed)
				r |= hypr_msr_write(vcpu, to->msr[i].index,
						    from->data[i], to->data[i]);
		}
	}
	vcpu->arch.hypr.msrs_written = false;
	WRITE_ONCE(vcpu->arch.hypr.msrs_of, to);
	return r;
}

/* What hypr_state_read_rest() has read; not 0 if KVM takes it no more. */
static int hypr_state_write_rest(struct kvm_vcpu *vcpu, const struct hypr_kept *from,
				 struct hypr_kept *to)
{
	int r;

	memcpy(vcpu->arch.regs, to->regs, sizeof(to->regs));
	kvm_register_mark_dirty(vcpu, VCPU_REGS_RSP);
	kvm_register_mark_dirty(vcpu, VCPU_REGS_RIP);
	vcpu->arch.emulate_regs_need_sync_from_vcpu = true;
	vcpu->arch.emulate_regs_need_sync_to_vcpu = false;
	kvm_set_rflags(vcpu, to->rflags);

	hypr_sregs_write(vcpu, &from->sregs, &to->sregs);
	hypr_segments_write(vcpu, from->segment, to->segment);
	r = hypr_debugregs_write(vcpu, &from->debugregs, &to->debugregs);
	r |= hypr_msrs_write(vcpu, from, to);
	vcpu->arch.pkru = to->pkru;
	hypr_events_write(vcpu, &from->events, &to->events);
	return r;
}

/**
 * hypr_state_move() - the vCPU leaves one state and goes on in another
 * @vcpu: loaded, its mutex held by this thread; held by a swap that was committed
 *
 * Both were found fit before the swap was committed.  Others look at a vCPU's local APIC
 * alone: when all vCPUs have theirs, the swap's thread and vCPUs that are ready go on, while
 * this one still exchanges what nobody else sees.
 */
void hypr_state_move(struct kvm_vcpu *vcpu)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	u64 host_tsc = kvm_scale_tsc(h->move_tsc, vcpu->arch.l1_tsc_scaling_ratio);
	struct hypr_kept *from = vcpu->arch.hypr.move_from;
	struct hypr_kept *to = vcpu->arch.hypr.move_to;
	enum hypr_apic_differs differs;
	int r;

	/* What the guest has asked for here it asks there again. */
	kvm_clear_request(KVM_REQ_HYPR_BACK, vcpu);
	differs = hypr_apic_read(vcpu, host_tsc, from, to);
	r = hypr_apic_write(vcpu, host_tsc, from, to, differs);
	/* Pairs with hypr_wait_moved() and hypr_wait_others(). */
	smp_mb__before_atomic();
	atomic_dec(&h->unmoved);

	hypr_fpu_move(vcpu, from, to);
	hypr_state_read_rest(vcpu, from);
	r |= hypr_state_write_rest(vcpu, from, to);
	hypr_apic_start_timer(vcpu, to);

	/*
	 * KVM itself read all of it from this vCPU.  User space can take it back: by a
	 * CPUID, or an APIC mode, that the states do not go with.
	 */
	if (r || from->broken || to->broken) {
		hypr_dbg("vcpu %d: its state cannot be set: the VM ends\n", vcpu->vcpu_id);
		kvm_vm_dead(vcpu->kvm);
	}
	/* Both are whole: hypr_kept_is_whole(). */
	smp_store_release(&vcpu->arch.hypr.move_to, NULL);
}
