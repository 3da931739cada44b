// SPDX-License-Identifier: LGPL-2.1-or-later
/* Looking at a VM, also while an operation is under way. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "engine/engine.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "vm/info.h"

int hypr_vm_fd(const struct hypr_vm *vm)
{
	return vm->vm_fd;
}

const char *hypr_vm_engine_name(const struct hypr_vm *vm)
{
	return vm->engine->name;
}

static int vm_state_locked(struct hypr_vm *vm)
{
	if (!vm->started)
		return HYPR_VM_CREATED;
	if (hypr_vm_has_ended(vm))
		return HYPR_VM_ENDED;
	return vm->paused ? HYPR_VM_PAUSED : HYPR_VM_RUNNING;
}

/* Whatever op_lock does not guard. */
static void info_always(struct hypr_vm *vm, struct hypr_vm_info *info)
{
	unsigned int i;

	memset(info, 0, sizeof(*info));
	memcpy(info->name, vm->name, sizeof(info->name));
	snprintf(info->engine, sizeof(info->engine), "%s", vm->engine->name);
	info->state = HYPR_VM_BUSY;
	info->vcpus = vm->nr_vcpus;
	info->views_max = vm->views_max;
	info->mem_bytes = vm->mem_bytes;
	for (i = 0; i < vm->nr_vcpus; i++) {
		const struct hypr_control_vcpu *vcpu = &vm->control->vcpu[i];

		info->guest_vcpus += __atomic_load_n(&vcpu->state, __ATOMIC_RELAXED) !=
				     HYPR_VCPU_OFFLINE;
		info->guest_pauses += __atomic_load_n(&vcpu->pauses, __ATOMIC_RELAXED);
	}
	pthread_mutex_lock(&vm->run_lock);
	memcpy(info->end_reason, vm->end_reason, sizeof(info->end_reason));
	info->end = (uint32_t)vm->end;
	info->requests_refused = vm->requests_refused;
	info->resets_in_kernel = hypr_back_count(vm);
	pthread_mutex_unlock(&vm->run_lock);
}

static void info_locked(struct hypr_vm *vm, struct hypr_vm_info *info)
{
	uint64_t more;
	unsigned int i;

	info_always(vm, info);
	/* Of one look: more may come. */
	more = info->resets_in_kernel - vm->back.settled;
	memcpy(info->active_view, vm->active->name, sizeof(info->active_view));
	info->state = vm_state_locked(vm);
	info->swaps = vm->swaps + more;
	info->generation = vm->generation;
	info->requests = vm->requests + more;
	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++)
		info->views += vm->view[i] != NULL;
}

int hypr_vm_info(struct hypr_vm *vm, struct hypr_vm_info *info)
{
	pthread_mutex_lock(&vm->op_lock);
	info_locked(vm, info);
	pthread_mutex_unlock(&vm->op_lock);
	return 0;
}

/**
 * hypr_vm_info_within() - as hypr_vm_info(), without waiting for an operation to end
 *
 * When one takes longer than @ms, the state is HYPR_VM_BUSY, and what only the
 * operation knows (the active view, the number of views, swaps, generation) is 0.
 */
void hypr_vm_info_within(struct hypr_vm *vm, unsigned int ms, struct hypr_vm_info *info)
{
	if (hypr_mutex_lock_until(&vm->op_lock, hypr_now_ns() + ms * 1000000ull)) {
		info_always(vm, info);
		return;
	}
	info_locked(vm, info);
	pthread_mutex_unlock(&vm->op_lock);
}
