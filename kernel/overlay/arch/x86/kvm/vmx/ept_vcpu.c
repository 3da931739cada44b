// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_EPTP and KVM_SET_EPTP: the root pointer of one vCPU.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include "mmu.h"
#include "smm.h"
#include "x86.h"

#include "vmx_ept_swap.h"

/**
 * hypr_vcpu_get_eptp() - KVM_GET_EPTP
 * @vcpu: loaded, its mutex is held
 * @arg: filled
 *
 * The EPTP comes from the VMCS (AMD: the nested CR3 from the VMCB): the kernel does
 * not compute it.
 *
 * Return: 0; -EBUSY in SMM or in a nested guest, where the EPTP in use is not that
 * of a view; errors of loading the MMU.
 */
int hypr_vcpu_get_eptp(struct kvm_vcpu *vcpu, struct kvm_hypr_eptp *arg)
{
	struct kvm *kvm = vcpu->kvm;
	int r, idx;

	if (is_smm(vcpu) || is_guest_mode(vcpu))
		return -EBUSY;

	idx = srcu_read_lock(&kvm->srcu);
	r = kvm_mmu_reload(vcpu);
	if (!r) {
		kvm_mmu_load_pgd(vcpu);
		hypr_root_read(vcpu, arg);
	}
	srcu_read_unlock(&kvm->srcu, idx);

	arg->view = vcpu->arch.hypr.view;
	arg->generation = READ_ONCE(kvm->arch.hypr.vm->generation);
	return r;
}

static int hypr_eptp_to_view(struct kvm *kvm, u64 eptp, u32 *view)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	u32 i;

	lockdep_assert_held(&h->lock);

	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++) {
		int level = 0;
		hpa_t root;

		if (!hypr_view_is_valid(i) ||
		    (i != kvm->arch.hypr.active && !test_bit(i, h->prepared)))
			continue;
		root = hypr_tables_root(kvm, i, &level);
		if (VALID_PAGE(root) && eptp == hypr_root_encode(root, level)) {
			*view = i;
			return 0;
		}
	}
	return -EINVAL;
}

/**
 * hypr_vcpu_set_eptp() - KVM_SET_EPTP: one vCPU takes the view of a root
 * @vcpu: loaded; its mutex is held, so it is not in KVM_RUN: that is the pause
 * @arg: @arg->eptp is untrusted; the out fields are filled
 *
 * KVM never loads the value.  The value selects a view, and KVM loads the view's
 * root.
 *
 * Return: 0; -EINVAL if VM-entry would refuse the EPTP or if the EPTP is not the
 * root of a prepared view of this VM; -EBUSY in SMM, in a nested guest, or with an
 * instruction half done; -EINTR a fatal signal.
 */
int hypr_vcpu_set_eptp(struct kvm_vcpu *vcpu, struct kvm_hypr_eptp *arg)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	int r, idx;

	r = hypr_root_check(arg->eptp);
	if (r)
		return r;
	if (is_smm(vcpu) || is_guest_mode(vcpu) || hypr_vcpu_has_io(vcpu))
		return -EBUSY;

	r = hypr_vcpu_lock(vcpu);
	if (r)
		return r;
	r = hypr_eptp_to_view(vcpu->kvm, arg->eptp, &arg->view);
	if (!r) {
		WRITE_ONCE(vcpu->arch.hypr.next, arg->view);
		hypr_cache_touch(h, arg->view);
		arg->generation = h->generation;
	}
	mutex_unlock(&h->lock);

	/*
	 * Without the lock: taking a view may fault in pages of guest memory, which
	 * may take long.  A swap waits for the end of this ioctl.
	 */
	if (!r) {
		idx = srcu_read_lock(&vcpu->kvm->srcu);
		hypr_vcpu_take_view(vcpu);
		srcu_read_unlock(&vcpu->kvm->srcu, idx);
	}

	hypr_dbg("vcpu %d: set EPTP %llx: %d\n", vcpu->vcpu_id, arg->eptp, r);
	return r;
}
