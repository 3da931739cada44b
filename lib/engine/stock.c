// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Engine "stock": a KVM without HYPR's extension.  Each view is a KVM VM of its own
 * in this process, with vCPUs of its own, and a swap has the vCPU threads run those
 * of the other view.  They are held meanwhile; swap.c moves their state.
 *
 * The control page is the same memory in all of the VMs, so that a guest parks and
 * learns of a swap as it does with the other engine.
 */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/page.h"
#include "base/time.h"
#include "engine/engine.h"
#include "model/vcpu.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "run/machine.h"

/* From <linux/kvm.h> of Linux 6.11; the headers of Debian 12 are older. */
#define STOCK_CAP_PRE_FAULT	236

struct stock_pre_fault {
	uint64_t gpa;
	uint64_t size;
	uint64_t flags;
	uint64_t padding[5];
};

#define STOCK_PRE_FAULT		_IOWR(KVMIO, 0xd5, struct stock_pre_fault)

static int stock_enable(struct hypr_vm *vm)
{
	vm->views_max = KVM_HYPR_MAX_VIEWS - 1;
	return 0;
}

/* It is a page like others to this KVM. */
static int stock_control(struct hypr_vm *vm)
{
	(void)vm;
	return 0;
}

static int stock_open(struct hypr_vm *vm, struct hypr_view *view)
{
	int ret = 0;

	if (view->number == KVM_HYPR_VIEW_BOOT)
		view->machine = hypr_machine_of(vm);
	else
		view->machine = hypr_machine_create(vm, &ret);
	if (!view->machine)
		return ret ? ret : hypr_fail(-ENOMEM, "no memory for view '%s'", view->name);
	view->vm_fd = view->machine->vm_fd;
	view->slot_base = 0;
	return 0;
}

static void stock_close(struct hypr_vm *vm, struct hypr_view *view)
{
	/* That of the active view is the one that the VM has, and closes. */
	if (view->vm_fd == vm->vm_fd)
		free(view->machine);
	else
		hypr_machine_destroy(view->machine);
	view->machine = NULL;
	view->vm_fd = -1;
}

/* Have KVM map what is there, where it can (Linux 6.11).  Return: pages. */
static uint64_t pre_fault(const struct hypr_view *view, uint64_t bytes)
{
	struct stock_pre_fault range = { .size = bytes };

	if (ioctl(view->vm_fd, KVM_CHECK_EXTENSION, STOCK_CAP_PRE_FAULT) <= 0)
		return 0;
	while (range.size) {
		if (ioctl(view->machine->vcpu[0].fd, STOCK_PRE_FAULT, &range) < 0 &&
		    errno != EINTR && errno != EAGAIN)
			break;
	}
	return range.gpa / HYPR_PAGE_BYTES;
}

/*
 * The process's own page tables first: one call for all of them.  What KVM maps is
 * only a hint; a page that it does not know yet faults when it is touched.
 */
static int stock_prepare(struct hypr_vm *vm, struct hypr_view *view, uint64_t *pages_mapped)
{
	uint64_t pages;

	if (madvise(view->mem.host, view->mem.bytes, MADV_POPULATE_READ) < 0 && errno != EINVAL)
		return hypr_fail_sys(-errno, "view '%s': mapping its memory", view->name);
	pages = pre_fault(view, vm->mem_bytes);
	if (pages_mapped)
		*pages_mapped = pages;
	return 0;
}

/*
 * What the TLB knows of the guest's page tables may be wrong: their bytes were put
 * back.  KVM flushes it when CR3 changes; the state that is set after this has the
 * right one.
 */
static int flush(struct hypr_vcpu *vcpu, void *arg)
{
	struct kvm_sregs sregs;

	(void)arg;
	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	sregs.cr3 ^= HYPR_PAGE_BYTES;
	return ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) < 0 ? -errno : 0;
}

/* The vCPU threads are held, and run from here on what @machine has. */
static void run_machine(struct hypr_vm *vm, const struct hypr_machine *machine)
{
	unsigned int i;

	/* The console's thread raises its line in the VM that runs. */
	pthread_mutex_lock(&vm->console.lock);
	vm->vm_fd = machine->vm_fd;
	pthread_mutex_unlock(&vm->console.lock);
	/* And a kick writes to the run page. */
	pthread_mutex_lock(&vm->run_lock);
	for (i = 0; i < vm->nr_vcpus; i++) {
		vm->vcpu[i].fd = machine->vcpu[i].fd;
		vm->vcpu[i].run = machine->vcpu[i].run;
	}
	pthread_mutex_unlock(&vm->run_lock);
}

static int stock_swap(struct hypr_vm *vm, struct hypr_view *view, bool edited,
		      struct hypr_engine_swap *swap)
{
	struct hypr_view *from = vm->active;
	uint64_t start = hypr_tsc();
	int ret;

	run_machine(vm, view->machine);
	ret = edited ? hypr_vcpus_do(vm, flush, NULL) : 0;
	if (ret) {
		run_machine(vm, from->machine);
		return hypr_fail_sys(ret, "view '%s': flushing its TLBs", view->name);
	}
	swap->old_view = from->number;
	swap->generation = vm->generation + 1;
	__atomic_store_n(&vm->control->generation, swap->generation, __ATOMIC_RELEASE);
	swap->commit_cycles = hypr_tsc() - start;
	return 0;
}

const struct hypr_engine hypr_engine_stock = {
	.name = HYPR_ENGINE_STOCK,
	.device = "/dev/kvm",
	.remedy = HYPR_ENGINE_REMEDY_KVM,
	.swaps_in_guest = false,
	.enable = stock_enable,
	.control = stock_control,
	.open = stock_open,
	.close = stock_close,
	.prepare = stock_prepare,
	.swap = stock_swap,
};
