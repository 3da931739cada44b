/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HYPR views: what struct kvm_arch and struct kvm_vcpu_arch carry, and the
 * answers that KVM's address-space macros take from it.  With the option off
 * every macro is the constant that KVM has always used.
 */
#ifndef _ASM_X86_KVM_HYPR_H
#define _ASM_X86_KVM_HYPR_H

#include <linux/errno.h>
#include <linux/types.h>

#include <asm/apicdef.h>
#include <asm/msr-index.h>

#include <uapi/linux/kvm_hypr.h>

struct kvm;
struct kvm_cpuid_entry2;
struct kvm_enable_cap;
struct kvm_sregs;
struct hypr_kept;
struct hypr_segment;
struct kvm_hypr;
struct kvm_vcpu;

/* One of the requests of <asm/kvm_host.h>. */
#define KVM_REQ_HYPR_VIEW \
	KVM_ARCH_REQ_FLAGS(50, KVM_REQUEST_WAIT | KVM_REQUEST_NO_WAKEUP)

/* Another one: the guest of this vCPU wants back to its moment. */
#define KVM_REQ_HYPR_BACK \
	KVM_ARCH_REQ_FLAGS(51, KVM_REQUEST_NO_WAKEUP)

#ifdef CONFIG_KVM_HYPR_EPT_SWAP

/* Memslot generations rely on the number being a power of two. */
#define KVM_HYPR_NR_ADDRESS_SPACES	KVM_HYPR_MAX_VIEWS
static_assert((KVM_HYPR_NR_ADDRESS_SPACES & (KVM_HYPR_NR_ADDRESS_SPACES - 1)) == 0);

/**
 * struct kvm_hypr_arch - HYPR's part of struct kvm_arch
 * @vm: everything else, NULL until the capability is enabled
 * @nr_as_ids: address spaces of this VM; 0 as long as @vm is NULL.  Outlives
 *	@vm: the memslots are freed last.
 * @active: the view of the last swap; written under vm->lock
 * @no_eoi: HYPR_CONTROL_NO_EOI is in the control page
 * @kind: does the VM have views, or something that does not go with them?  See
 *	ept_kind.c
 */
struct kvm_hypr_arch {
	struct kvm_hypr *vm;
	u32 kind;
	u8 nr_as_ids;
	u8 active;
	bool no_eoi;
};

/**
 * struct kvm_hypr_vcpu - HYPR's part of struct kvm_vcpu_arch
 * @view: the address space in use.  Changes together with the MMU role, by the
 *	thread that holds vcpu->mutex, and by nobody else: a fault that looked
 *	up a slot of one view must not install it under the root of another.
 * @next: the view to take before the next VM-entry; written under vm->lock
 * @round: the swap in which this vCPU was last seen at the barrier
 * @flushes: for statistics; written by the thread that holds vcpu->mutex
 * @waits: this vCPU's ioctl waits for vm->lock and does nothing else
 * @met: in kvm_hypr.vcpus: swaps know this vCPU
 * @node: in kvm_hypr.vcpus, once @met; under vm->lock
 * @stale: views of which the TLB may hold stale translations: flush before
 *	taking one.  Set by anyone, cleared by the thread that holds vcpu->mutex.
 * @msrs_written: KVM may have set an MSR since this vCPU's state was last read or moved
 * @movable: the swap in which this vCPU was at the barrier and fit to move its state
 * @msrs_of: has the values of the MSRs, unless @msrs_written; or NULL.  Set by the thread
 *	that holds vcpu->mutex, and to NULL by others, under vm->lock
 * @kept: states for each view: as the vCPU left the view, and of the view's moment;
 *	NULL until there is one.  Under vm->lock.
 * @move_from: takes the state that the vCPU leaves
 * @move_to: the state to go on from; NULL: none.  Set under vm->lock with the vCPU
 *	held, cleared by the thread that holds vcpu->mutex
 * @back_port: with KVM_REQ_HYPR_BACK: where the guest has asked; of this vCPU's thread
 * @back_at: what it wrote there
 * @back_tsc: when
 */
struct kvm_hypr_vcpu {
	u8 view;
	u8 next;
	bool waits;
	bool met;
	u32 round;
	struct list_head node;
	unsigned long stale;
	u64 flushes;
	bool msrs_written;
	u32 movable;
	struct hypr_kept *msrs_of;
	struct hypr_kept *kept[KVM_HYPR_MAX_VIEWS][2];
	struct hypr_kept *move_from;
	struct hypr_kept *move_to;
	u16 back_port;
	u32 back_at;
	u64 back_tsc;
};

/* HYPR's part of struct kvm_vm_stat, see struct kvm_hypr_stats; vm->lock. */
struct kvm_hypr_vm_stat {
	u64 swaps;
	u64 forced;
	u64 pause_timeouts;
	u64 fail_no_view;
	u64 fail_unprepared;
	u64 fail_stale;
	u64 fail_busy;
	u64 fail_pause;
	u64 fail_hold;
	u64 fail_signal;
	u64 fail_other;
	u64 prepares;
	u64 prepare_failures;
	u64 discards;
	u64 reset_retries;	/* resets that began again: pages were missing */
	u64 reset_pages;
	u64 reset_shared;	/* of them, those that threads of held vCPUs have copied */
	atomic64_t fail_lock;	/* counted without the lock */
	u64 asked;
	atomic64_t asked_user;	/* counted without the lock */
	struct kvm_hypr_dist pause;
	struct kvm_hypr_dist commit;
	struct kvm_hypr_dist tail;
};

/* ES, CS, SS, DS, FS, GS, TR, LDTR. */
#define HYPR_SEGMENTS	8

/**
 * struct hypr_segment - a segment register as the VMCS has it
 * @ar: access rights
 */
struct hypr_segment {
	u64 base;
	u32 limit;
	u32 ar;
	u32 selector;
};

/**
 * struct kvm_hypr_tdp - what the vendor module says of its root pointers, and of vCPUs
 * @eptp_flags: KVM_HYPR_EPTP_*, as KVM_GET_EPTP reports them
 * @tagged_by_root: TLB entries of one root are not used under another.  Where
 *	this is false, each change of the root needs a flush.
 * @get_eptp: the pointer that the next VM-entry of the loaded vCPU uses
 * @get_segments: the segment registers of the loaded vCPU, which is in 64-bit mode, by
 *	VCPU_SREG_*; NULL: one by one, by get_segment, is as fast
 * @get_live_msr: an MSR that guests write without a VM-exit, of the loaded vCPU; false: ask
 *	get_msr.  NULL: that is as fast
 */
struct kvm_hypr_tdp {
	u32 eptp_flags;
	bool tagged_by_root;
	u64 (*get_eptp)(struct kvm_vcpu *vcpu);
	void (*get_segments)(struct kvm_vcpu *vcpu, struct hypr_segment *segments);
	bool (*get_live_msr)(struct kvm_vcpu *vcpu, u32 index, u64 *data);
};

#define kvm_hypr_nr_as_ids(vm)						\
({									\
	struct kvm *_hypr_kvm = (vm);					\
									\
	kvm_arch_has_private_mem(_hypr_kvm) ? 1 :			\
		_hypr_kvm->arch.hypr.nr_as_ids ?: 2;			\
})
#define kvm_hypr_vcpu_view(vcpu)	((vcpu)->arch.hypr.view)
#define kvm_hypr_vcpu_as_id(vcpu)					\
({									\
	struct kvm_vcpu_arch *_hypr_arch = &(vcpu)->arch;		\
									\
	_hypr_arch->hflags & HF_SMM_MASK ? KVM_HYPR_VIEW_SMM :		\
		_hypr_arch->hypr.view;					\
})
#define kvm_hypr_role_as_id(role)	((role).smm)
#define kvm_arch_active_as_id(k) ({					\
	struct kvm *__kvm = (k);					\
									\
	__kvm->arch.hypr.vm ? kvm_hypr_current_view(__kvm) : 0;		\
})

/* Is @vector, which KVM is about to inject, never in service? */
#define kvm_hypr_needs_no_eoi(vcpu, vector)				\
	((vcpu)->kvm->arch.hypr.no_eoi && (vector) == HYPR_CONTROL_VECTOR)

/* In kvm_arch_async_pf.cr3: the vCPU has left the view that waited for the page. */
#define KVM_HYPR_APF_RETIRED	(~0ul)
#define kvm_hypr_apf_is_retired(work)	((work)->arch.cr3 == KVM_HYPR_APF_RETIRED)

/*
 * Has a swap asked for this vCPU, or its guest for a reset?  Before it may touch the guest's
 * memory.
 */
#define kvm_hypr_vcpu_poll(v, ret) ({					\
	struct kvm_vcpu *_hypr_vcpu = (v);				\
	int *_hypr_ret = (ret);						\
									\
	(kvm_check_request(KVM_REQ_HYPR_VIEW, _hypr_vcpu) &&		\
	 kvm_hypr_vcpu_sync(_hypr_vcpu, _hypr_ret)) ||			\
	(kvm_check_request(KVM_REQ_HYPR_BACK, _hypr_vcpu) &&		\
	 kvm_hypr_vcpu_back(_hypr_vcpu, _hypr_ret));			\
})

/* The same for one that is halted: it must come by there. */
#define kvm_hypr_wants_halted(v) ({					\
	struct kvm_vcpu *_hypr_vcpu = (v);				\
									\
	_hypr_vcpu->kvm->arch.hypr.vm && kvm_hypr_halted_poll(_hypr_vcpu); \
})

#define kvm_hypr_check_extension(kvm, ext)				\
	((ext) == KVM_CAP_HYPR_EPT_SWAP ? kvm_hypr_nr_views(kvm) : 0)

u8 kvm_hypr_current_view(struct kvm *kvm);
int kvm_hypr_nr_views(struct kvm *kvm);
bool kvm_hypr_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap, int *ret);
bool kvm_hypr_claim_other(struct kvm *kvm);
bool kvm_hypr_may_create_device(struct kvm *kvm, u32 type);
void kvm_hypr_note_written(struct kvm *kvm, int as_id, u64 gfn, u64 pages);
bool kvm_hypr_refuses_vcpu_cap(struct kvm_vcpu *vcpu, u32 cap);
bool kvm_hypr_refuses_cpuid(struct kvm_vcpu *vcpu,
			    const struct kvm_cpuid_entry2 *entries, int nent);
void kvm_hypr_destroy_vm(struct kvm *kvm);
bool kvm_hypr_vcpu_sync(struct kvm_vcpu *vcpu, int *ret);
bool kvm_hypr_vcpu_back(struct kvm_vcpu *vcpu, int *ret);
bool kvm_hypr_halted_poll(struct kvm_vcpu *vcpu);
int kvm_hypr_vcpu_ioctl_begin(struct kvm_vcpu *vcpu, unsigned int ioctl);
void kvm_hypr_tlb_stale(struct kvm_vcpu *vcpu);
bool kvm_hypr_vm_ioctl(struct kvm *kvm, unsigned int ioctl, unsigned long arg,
		       int *ret);
long kvm_hypr_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl,
			 unsigned long arg);

/* The local APIC goes with a view as a whole: its registers in x2APIC mode, its timer. */
static inline bool kvm_hypr_msr_is_apart(u32 index)
{
	return index == MSR_IA32_TSC_DEADLINE || (index & ~0xffu) == APIC_BASE_MSR;
}

#define kvm_hypr_note_msr(vcpu, index) do {				\
	if (!kvm_hypr_msr_is_apart(index))				\
		(vcpu)->arch.hypr.msrs_written = true;			\
} while (0)
#define kvm_arch_vcpu_ioctl_begin(vcpu, ioctl)				\
	kvm_hypr_vcpu_ioctl_begin(vcpu, ioctl)
#define kvm_arch_may_create_device(kvm, type)				\
	kvm_hypr_may_create_device(kvm, type)
#define kvm_arch_page_written(kvm, slot, gfn) do {			\
	const struct kvm_memory_slot *_hypr_slot = (slot);		\
									\
	if (_hypr_slot)							\
		kvm_hypr_note_written(kvm, _hypr_slot->as_id, gfn, 1);	\
} while (0)

#else /* CONFIG_KVM_HYPR_EPT_SWAP */

#define KVM_HYPR_NR_ADDRESS_SPACES	2
#define kvm_hypr_nr_as_ids(kvm)		(kvm_arch_has_private_mem(kvm) ? 1 : 2)
#define kvm_hypr_vcpu_view(vcpu)	((void)(vcpu), 0)
#define kvm_hypr_note_msr(vcpu, index)	((void)(vcpu), (void)(index))
#define kvm_hypr_apf_is_retired(work)	((void)(work), false)
#define kvm_hypr_needs_no_eoi(vcpu, vector)	((void)(vcpu), (void)(vector), false)
#define kvm_hypr_vcpu_as_id(vcpu)	((vcpu)->arch.hflags & HF_SMM_MASK ? 1 : 0)
#define kvm_hypr_role_as_id(role)	((role).smm ? 1 : 0)

struct kvm_hypr_vm_stat {
};

static inline int kvm_hypr_check_extension(struct kvm *kvm, long ext)
{
	return 0;
}

static inline bool kvm_hypr_wants_halted(struct kvm_vcpu *vcpu)
{
	return false;
}

static inline bool kvm_hypr_enable_cap(struct kvm *kvm,
				       struct kvm_enable_cap *cap, int *ret)
{
	return false;
}

static inline bool kvm_hypr_claim_other(struct kvm *kvm)
{
	return true;
}

static inline void kvm_hypr_note_written(struct kvm *kvm, int as_id, u64 gfn,
					 u64 pages)
{
}

static inline bool kvm_hypr_refuses_vcpu_cap(struct kvm_vcpu *vcpu, u32 cap)
{
	return false;
}

static inline bool kvm_hypr_refuses_cpuid(struct kvm_vcpu *vcpu,
					  const struct kvm_cpuid_entry2 *entries,
					  int nent)
{
	return false;
}

static inline void kvm_hypr_destroy_vm(struct kvm *kvm)
{
}

static inline bool kvm_hypr_vcpu_poll(struct kvm_vcpu *vcpu, int *ret)
{
	return false;
}

static inline void kvm_hypr_tlb_stale(struct kvm_vcpu *vcpu)
{
}

static inline bool kvm_hypr_vm_ioctl(struct kvm *kvm, unsigned int ioctl,
				     unsigned long arg, int *ret)
{
	return false;
}

static inline long kvm_hypr_vcpu_ioctl(struct kvm_vcpu *vcpu,
				       unsigned int ioctl, unsigned long arg)
{
	return -EINVAL;
}

#endif /* CONFIG_KVM_HYPR_EPT_SWAP */

#ifdef CONFIG_KVM_HYPR_DEBUG_TLB

bool kvm_hypr_tlb_flush(u64 eptp);
void kvm_hypr_tlb_root_created(u64 *spt);
void kvm_hypr_tlb_spte_lost(u64 *sptep);
void kvm_hypr_tlb_spte_changed(u64 *sptep, u64 old_spte, u64 new_spte);
void kvm_hypr_tlb_view_edited(struct kvm *kvm, u32 view);
void kvm_hypr_tlb_check(struct kvm_vcpu *vcpu);

#else /* CONFIG_KVM_HYPR_DEBUG_TLB */

static inline bool kvm_hypr_tlb_flush(u64 eptp)
{
	return false;
}

static inline void kvm_hypr_tlb_root_created(u64 *spt)
{
}

static inline void kvm_hypr_tlb_spte_lost(u64 *sptep)
{
}

static inline void kvm_hypr_tlb_spte_changed(u64 *sptep, u64 old_spte,
					     u64 new_spte)
{
}

static inline void kvm_hypr_tlb_view_edited(struct kvm *kvm, u32 view)
{
}

static inline void kvm_hypr_tlb_check(struct kvm_vcpu *vcpu)
{
}

#endif /* CONFIG_KVM_HYPR_DEBUG_TLB */

#endif /* _ASM_X86_KVM_HYPR_H */
