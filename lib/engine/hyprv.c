// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Engine "hyprv": the module hyprv, a hypervisor of its own for guests without an operating
 * system.  Its views are those of engine ept-swap, by the same ABI.  Its vCPUs have local
 * APICs and nothing else of a PC's chips; it keeps no state of a view and reports no written
 * pages, so that the vCPUs are held in a swap, and a reset compares.
 */
#include <sys/ioctl.h>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/ept_swap.h"
#include "model/vm.h"

/* As in hyprv/abi.h: with shadow paging a guest is in 64-bit mode from its start. */
#define HYPRV_VM_EPT	0x100

static int hyprv_enable(struct hypr_vm *vm)
{
	struct kvm_enable_cap views = { .cap = KVM_CAP_HYPR_EPT_SWAP };
	int nr = ioctl(vm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_HYPR_EPT_SWAP);

	if (nr <= 0)
		return hypr_fail(-EOPNOTSUPP, "engine hyprv: /dev/hyprv has no views");
	if (ioctl(vm->vm_fd, KVM_ENABLE_CAP, &views) < 0)
		return hypr_fail_sys(-errno, "engine hyprv: KVM_ENABLE_CAP");
	vm->views_max = (unsigned int)nr + 1;
	vm->apics_only = true;
	return 0;
}

/* It is a page like others. */
static int hyprv_control(struct hypr_vm *vm)
{
	(void)vm;
	return 0;
}

/* Nobody but the library tells the guest. */
static int hyprv_swap(struct hypr_vm *vm, struct hypr_view *view, bool flush,
		      struct hypr_engine_swap *swap)
{
	int ret = hypr_ept_swap_swap(vm, view, flush, swap);

	if (!ret)
		__atomic_store_n(&vm->control->generation, swap->generation, __ATOMIC_RELEASE);
	return ret;
}

const struct hypr_engine hypr_engine_hyprv = {
	.name = HYPR_ENGINE_HYPRV,
	.device = "/dev/hyprv",
	.remedy = "load the module hyprv, as root",
	.vm_type = HYPRV_VM_EPT,
	.swaps_in_guest = false,
	.keeps_vcpus = true,
	.enable = hyprv_enable,
	.control = hyprv_control,
	.open = hypr_ept_swap_open,
	.close = hypr_ept_swap_close,
	.prepare = hypr_ept_swap_prepare,
	.prepare_part = hypr_ept_swap_prepare_part,
	.swap = hyprv_swap,
};
