// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The devices of this process follow a reset that the kernel did (back.c), before somebody
 * touches them: a vCPU's exit (vcpu.c), the console's thread, and whoever saves them (board.c).
 * No vCPU that is in an exit was there when the reset was: the kernel had all of them in
 * KVM_RUN.
 */
#include "model/state.h"
#include "model/vm.h"
#include "run/back.h"
#include "run/device.h"

/** hypr_back_devices() - before a device is touched: it is as it was at the moment */
void hypr_back_devices(struct hypr_vm *vm)
{
	uint64_t resets = hypr_back_count(vm);

	if (__atomic_load_n(&vm->back.devices, __ATOMIC_ACQUIRE) == resets)
		return;
	pthread_mutex_lock(&vm->back.lock);
	resets = hypr_back_count(vm);
	if (vm->back.devices != resets) {
		hypr_devices_set(vm, vm->back.state);
		__atomic_store_n(&vm->back.devices, resets, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&vm->back.lock);
}
