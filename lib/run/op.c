// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The begin and the end of an operation: it has the VM for itself, the kernel serves no request
 * of the guest, and what a pause has only noted is saved.
 */
#include <pthread.h>

#include "model/view.h"
#include "model/vm.h"
#include "run/back.h"
#include "run/hold.h"
#include "run/op.h"
#include "run/state.h"

/**
 * hypr_vm_op_begin_memory() - as hypr_vm_op_begin(), for what looks at no vCPU and device
 *
 * Of a paused VM the state of the active view may be noted only: hypr_state_note().
 */
int hypr_vm_op_begin_memory(struct hypr_vm *vm)
{
	int ret;

	pthread_mutex_lock(&vm->op_lock);
	ret = hypr_vm_check_alive(vm);
	if (ret)
		pthread_mutex_unlock(&vm->op_lock);
	else
		hypr_back_forbid(vm);
	return ret;
}

/**
 * hypr_vm_op_begin() - take op_lock for an operation on a VM that runs or is paused
 *
 * Return: 0, and hypr_vm_op_end() gives it back; -ESHUTDOWN with the reason, or as
 * hypr_state_save(): it is not held.
 */
int hypr_vm_op_begin(struct hypr_vm *vm)
{
	int ret = hypr_vm_op_begin_memory(vm);

	if (ret)
		return ret;
	ret = hypr_state_complete(vm, vm->active->state);
	if (ret)
		hypr_vm_op_end(vm);
	return ret;
}

void hypr_vm_op_end(struct hypr_vm *vm)
{
	hypr_back_allow(vm);
	pthread_mutex_unlock(&vm->op_lock);
}
