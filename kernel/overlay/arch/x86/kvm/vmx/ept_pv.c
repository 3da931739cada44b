// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM keeps for a vCPU in guest memory (kvmclock, steal time, page-ready
 * events).  It follows the view that the vCPU is in.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "x86.h"

#include "vmx_ept_swap.h"

/**
 * kvm_hypr_current_view() - the view that VM-wide accessors look at
 * @kvm: a VM with views
 *
 * On a vCPU's own thread it is that vCPU's view: KVM_SET_EPTP may have taken the
 * vCPU to another view than the rest of the VM.  Elsewhere it is the view of the
 * last swap.
 */
u8 kvm_hypr_current_view(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu = kvm_get_running_vcpu();

	if (vcpu && vcpu->kvm == kvm)
		return vcpu->arch.hypr.view;
	return READ_ONCE(kvm->arch.hypr.active);
}
EXPORT_SYMBOL_GPL(kvm_hypr_current_view);

/*
 * A page under way concerns only the view that waits for it.  When the page comes,
 * nothing of it may reach the view that the vCPU takes: no event, no mapping, no end
 * of a halt, and above all not KVM_MP_STATE_RUNNABLE, by which KVM answers a page.
 * Nor may the new view wait for a page because of its GFN.
 *
 * To cancel the work item would mean to wait for the page.  So this marks the item,
 * by a page table root that no guest has (kvm_hypr_apf_is_retired()).
 */
static void hypr_vcpu_apf_retire(struct kvm_vcpu *vcpu)
{
	struct kvm_async_pf *work;

	/*
	 * Only the vCPU's own thread changes the queue or looks at these.  A GFN that is
	 * waited for has a page in the queue.
	 */
	list_for_each_entry(work, &vcpu->async_pf.queue, queue) {
		work->notpresent_injected = false;
		work->arch.direct_map = false;
		work->arch.cr3 = KVM_HYPR_APF_RETIRED;
	}
	if (!list_empty(&vcpu->async_pf.queue))
		memset(vcpu->arch.apf.gfns, 0xff, sizeof(vcpu->arch.apf.gfns));
	kvm_clear_request(KVM_REQ_APF_HALT, vcpu);
	vcpu->arch.apf.halted = false;
}

/*
 * Page-ready events of the view that the vCPU leaves must not reach the view that
 * it takes: the guest there knows nothing of them.  This drops them.  The view that
 * the vCPU takes gets "wake all", all its pages may be ready, because its own events
 * were dropped the same way when the vCPU left it.
 *
 * KVM queues "wake all" only when no completed page is queued.  So this first takes
 * the completed pages off, with delivery switched off.  If a page becomes ready in
 * between, it tries again, at most once for each page that can be under way.
 */
static void hypr_vcpu_apf_switch(struct kvm_vcpu *vcpu)
{
	u64 enabled = vcpu->arch.apf.msr_en_val;
	unsigned int queued;
	int i;

	for (i = 0; i <= ASYNC_PF_PER_VCPU; i++) {
		vcpu->arch.apf.msr_en_val = 0;
		kvm_check_async_pf_completion(vcpu);
		vcpu->arch.apf.msr_en_val = enabled;

		queued = vcpu->async_pf.queued;
		if (kvm_async_pf_wakeup_all(vcpu) ||
		    vcpu->async_pf.queued != queued)
			break;
	}
}

/**
 * hypr_vcpu_pv_switch() - paravirtual state in guest memory follows the view
 * @vcpu: has just taken a view, or flushes the view that it is in; loaded, its
 *	mutex and kvm->srcu held by this thread
 * @left: it was in another view
 *
 * It makes requests, which KVM serves before the next VM-entry.  So the guest never
 * runs on a clock that stopped while no vCPU was in its view, nor with a "preempted"
 * mark from before, for which another vCPU would leave a TLB flush to the host.
 *
 * PV EOI needs nothing: KVM takes the grant back at each VM-exit.
 */
void hypr_vcpu_pv_switch(struct kvm_vcpu *vcpu, bool left)
{
	if (left)
		hypr_vcpu_apf_retire(vcpu);
	if (vcpu->arch.pv_time.active)
		kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
	if (vcpu->arch.st.msr_val & KVM_MSR_ENABLED)
		kvm_make_request(KVM_REQ_STEAL_UPDATE, vcpu);
	if (vcpu->arch.apf.msr_en_val & KVM_ASYNC_PF_ENABLED)
		hypr_vcpu_apf_switch(vcpu);
}
