// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * In a swap in which the engine moves the vCPUs, a vCPU that does not wait in the guest's
 * park loop goes on in the new view before the devices have that view's registers.  An
 * access from there must wait for them.  One from the old view must not: the swap waits for
 * that vCPU.  The kernel knows which of the two it is.
 */
#include <pthread.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>
#include <linux/kvm_hypr.h>

#include "model/vcpu.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/gate.h"

/** hypr_gate_close() - from here on exits of vCPUs in @to wait, until hypr_gate_open() */
void hypr_gate_close(struct hypr_vm *vm, const struct hypr_view *to)
{
	pthread_mutex_lock(&vm->gate_lock);
	__atomic_store_n(&vm->gate, to->number + 1, __ATOMIC_SEQ_CST);
}

/** hypr_gate_open() - by the thread that may have closed it */
void hypr_gate_open(struct hypr_vm *vm)
{
	if (!vm->gate)
		return;
	__atomic_store_n(&vm->gate, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&vm->gate_lock);
}

/** hypr_gate_pass() - before a device is touched; on the vCPU's own thread, in an exit */
void hypr_gate_pass(struct hypr_vcpu *vcpu)
{
	struct hypr_vm *vm = vcpu->vm;
	unsigned int gate = __atomic_load_n(&vm->gate, __ATOMIC_SEQ_CST);
	struct kvm_hypr_eptp eptp = { 0 };

	if (!gate)
		return;
	if (!ioctl(vcpu->fd, KVM_GET_EPTP, &eptp) && eptp.view + 1 != gate)
		return;
	pthread_mutex_lock(&vm->gate_lock);
	pthread_mutex_unlock(&vm->gate_lock);
}
