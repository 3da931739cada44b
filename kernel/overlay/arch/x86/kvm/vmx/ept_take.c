// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU takes a view: its own thread exchanges the address space, the MMU's role
 * and the root, and asks for the flush that is due.
 */
#include "mmu.h"
#include "smm.h"
#include "x86.h"

#include "ept_trace.h"
#include "vmx_ept_swap.h"

/*
 * Another view changes one byte of the MMU's role and nothing that KVM derives
 * from the role.  kvm_init_mmu() would compute the same permission bitmaps again,
 * which takes longer than all the rest of a swap on the vCPU's side.
 */
static void hypr_vcpu_role_switch(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->arch.root_mmu;
	union kvm_mmu_page_role role = mmu->root_role;

	if (vcpu->arch.mmu == mmu && mmu->cpu_role.ext.valid &&
	    role.direct && !is_smm(vcpu)) {
		mmu->cpu_role.base.smm = vcpu->arch.hypr.view;
		role.smm = vcpu->arch.hypr.view;
		/* The builder reads it: hypr_view_role(). */
		WRITE_ONCE(mmu->root_role.word, role.word);
	} else {
		kvm_init_mmu(vcpu);
	}
}

/*
 * Make a loaded vCPU use @view; @flush: drop all TLB entries before VM-entry, and @why.
 *
 * The vCPU takes a root among its previous ones without a flush: TLB entries are
 * tagged by EPT root, and whoever changed the root's tables in between has asked
 * all vCPUs for a flush.  kvm_mmu_load() looks any other root up, and flushes it,
 * before the next VM-entry.
 */
static void hypr_vcpu_mmu_switch(struct kvm_vcpu *vcpu, u8 view, bool flush,
				 enum tlb_reason why)
{
	bool left = vcpu->arch.hypr.view != view;

	/*
	 * The nested guest's shadow tables belong to the old view.  A swap checks
	 * the mode while it holds the vCPU, and the vCPU comes by here before
	 * anything can change the mode.
	 */
	if (WARN_ON_ONCE(left && is_guest_mode(vcpu)))
		kvm_leave_nested(vcpu);

	vcpu->arch.hypr.view = view;
	/*
	 * In a nested guest the vCPU is here to flush alone (hypr_view_edited()),
	 * and its MMU is not that of views: role and root stay.
	 */
	if (!is_guest_mode(vcpu)) {
		hypr_vcpu_role_switch(vcpu);
		kvm_mmu_new_pgd(vcpu, 0);
	}
	vcpu_clear_mmio_info(vcpu, MMIO_GVA_ANY);
	if (flush) {
		kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
		vcpu->arch.hypr.flushes++;
		trace_kvm_hypr_flush(vcpu, view, why);
	}
	hypr_vcpu_pv_switch(vcpu, left);
}

/**
 * hypr_vcpu_take_view() - go to the view that the last swap has chosen, with the
 * state that the swap moves
 * @vcpu: loaded, its mutex held by this thread, and kvm->srcu too: the MMU frees
 *	roots and looks at memslots on the way
 */
void hypr_vcpu_take_view(struct kvm_vcpu *vcpu)
{
	u8 next = READ_ONCE(vcpu->arch.hypr.next);
	enum tlb_reason why;
	bool flush;

	lockdep_assert_held(&vcpu->mutex);
	lockdep_assert_once(srcu_read_lock_held(&vcpu->kvm->srcu));

	if (READ_ONCE(vcpu->arch.hypr.move_to))
		hypr_state_move(vcpu);
	flush = hypr_vcpu_must_flush(vcpu, next, &why);
	if (next != vcpu->arch.hypr.view || flush)
		hypr_vcpu_mmu_switch(vcpu, next, flush, why);
}
