// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A VM that begins in a file: its size and its CPU are the file's, its boot view
 * is a view on the file, and its vCPUs begin where the file has them.
 */
#include "hypr/vmo.h"
#include "base/error.h"
#include "model/state.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "run/state.h"
#include "run/vmo_state.h"
#include "swap/pause.h"
#include "swap/resurrect.h"
#include "view/prefault.h"

/** hypr_vm_resurrect_open() - open the file, and take from it what the VM is to be */
int hypr_vm_resurrect_open(struct hypr_vm *vm, const struct hypr_vm_config *config)
{
	const struct hypr_vmo_clock *clock;
	struct hypr_vmo_info info;
	int ret;

	ret = hypr_vmo_open(config->vmo, &vm->vmo);
	if (ret)
		return ret;
	ret = hypr_vmo_check_plain(vm->vmo, config->vmo);
	if (ret)
		return ret;
	hypr_vmo_info(vm->vmo, &info);
	if (!info.nr_vcpus || info.nr_vcpus > HYPR_VCPUS_MAX ||
	    info.mem_bytes < HYPR_MEM_MIN_BYTES || info.mem_bytes > HYPR_MEM_MAX_BYTES)
		return hypr_fail(-EOPNOTSUPP, "%s: %u vCPUs and %llu MiB, which no VM here has",
				 config->vmo, info.nr_vcpus,
				 (unsigned long long)info.mem_bytes >> 20);
	ret = hypr_vmo_clock_read(vm->vmo, config->vmo, &clock);
	if (ret)
		return ret;
	vm->mem_bytes = info.mem_bytes;
	vm->nr_vcpus = info.nr_vcpus;
	vm->tsc_khz = clock->tsc_khz;
	return 0;
}

/** hypr_vm_resurrect_prefault() - build of the boot view what @flags ask for */
int hypr_vm_resurrect_prefault(struct hypr_vm *vm, unsigned int flags)
{
	const struct hypr_state *state = vm->active->state;

	memcpy(vm->control->boot_id, state->boot_id, sizeof(state->boot_id));
	return hypr_view_prefault(vm, vm->active, flags, NULL);
}

/** hypr_vm_resurrect_go() - set the vCPUs, whose threads are held, and let them go */
int hypr_vm_resurrect_go(struct hypr_vm *vm)
{
	int ret;

	ret = hypr_vcpus_hold_first(vm);
	if (!ret)
		ret = hypr_state_set(vm, vm->active->state, NULL);
	if (!ret)
		hypr_vm_release(vm, vm->active->state);
	return ret;
}
