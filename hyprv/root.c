// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_EPTP and KVM_SET_EPTP: the EPT pointer of one vCPU.  With shadow paging it is
 * that of the view's map from GPA to HPA, which no CPU walks: it names the view.
 */
#include "eptp.h"
#include "hyprv.h"
#include "vmx.h"

int eptp_get(struct vcpu *vcpu, struct kvm_hypr_eptp *arg)
{
	int err = vcpu->paging ? 0 : vmcs_get(vcpu);

	if (err)
		return err;
	arg->eptp = vcpu->view->eptp;
	if (!vcpu->paging) {
		view_load(vcpu);
		arg->eptp = vmcs_read(VMCS_EPT_POINTER);
		vmcs_put(vcpu);
	}
	arg->view = vcpu->view->number;
	arg->generation = READ_ONCE(vcpu->vm->generation);
	return 0;
}

static int eptp_find(struct vm *vm, u64 eptp, u32 *number)
{
	u32 i;

	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++) {
		struct view *view = view_at(vm, i);

		if (view && view->eptp == eptp && (view->prepared || i == vm->active)) {
			*number = i;
			return 0;
		}
	}
	return -EINVAL;
}

/* The value only selects a view: what the VMCS gets is that view's own. */
int eptp_set(struct vcpu *vcpu, struct kvm_hypr_eptp *arg)
{
	struct vm *vm = vcpu->vm;
	struct hypr_ept_caps caps;
	int err;

	hypr_ept_caps_decode(&caps, hypervisor.can.ept_vpid, hypervisor.can.maxphyaddr);
	err = hypr_eptp_check(arg->eptp, &caps);
	if (err)
		return err;
	if (vcpu->wait != WAIT_NOTHING)
		return -EBUSY;
	/* A swap that has the lock takes this vCPU for held. */
	WRITE_ONCE(vcpu->waits, true);
	err = mutex_lock_killable(&vm->swap_lock);
	WRITE_ONCE(vcpu->waits, false);
	if (err)
		return -EINTR;
	err = eptp_find(vm, arg->eptp, &arg->view);
	if (!err) {
		vcpu->next = arg->view;
		vcpu->view = vm->view[arg->view];
		arg->generation = vm->generation;
	}
	mutex_unlock(&vm->swap_lock);
	return err;
}
