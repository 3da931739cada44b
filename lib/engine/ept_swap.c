// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Engine "ept-swap": views are address spaces of the HYPR host kernel, and a
 * swap changes the EPT root of every vCPU inside the kernel.
 */
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/page.h"
#include "engine/engine.h"
#include "engine/ept_swap.h"
#include "model/state.h"
#include "model/vcpu.h"
#include "model/view.h"
#include "model/vm.h"

/* So long a reset that the guest asks for waits for vCPUs; then it is this process's. */
#define REQUEST_NS	100000000ull

static int ept_swap_enable(struct hypr_vm *vm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPR_EPT_SWAP };
	int views;

	views = ioctl(vm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_HYPR_EPT_SWAP);
	if (views <= 0)
		return hypr_fail(-EOPNOTSUPP,
				 "engine ept-swap: this host's KVM has no HYPR capability (hypr doctor says more)");
	if (ioctl(vm->vm_fd, KVM_ENABLE_CAP, &cap) < 0)
		return hypr_fail_sys(-errno, "engine ept-swap: KVM_ENABLE_CAP");
	vm->views_max = (unsigned int)views + 1;
	return 0;
}

static int ept_swap_control(struct hypr_vm *vm)
{
	struct kvm_hypr_control control = {
		.gpa = HYPR_CONTROL_GPA,
		.userspace_addr = (uintptr_t)vm->control,
	};

	if (ioctl(vm->vm_fd, KVM_HYPR_SET_CONTROL_PAGE, &control) < 0)
		return hypr_fail_sys(-errno, "KVM_HYPR_SET_CONTROL_PAGE");
	return 0;
}

static int ept_swap_requests(struct hypr_vm *vm)
{
	struct kvm_hypr_requests arg = {
		.timeout_ns = REQUEST_NS,
		.flags = KVM_HYPR_REQUESTS_EVENTFD,
	};
	void *page;
	int ret = 0;

	vm->back.event = eventfd(0, EFD_CLOEXEC);
	if (vm->back.event < 0)
		return hypr_fail_sys(-errno, "an eventfd for the guest's requests");
	arg.eventfd = vm->back.event;

	page = mmap(NULL, HYPR_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return hypr_fail_sys(-errno, "a page for the guest's requests");
	arg.userspace_addr = (uintptr_t)page;
	if (ioctl(vm->vm_fd, KVM_HYPR_SET_REQUESTS, &arg) < 0)
		ret = -errno;
	if (!ret) {
		vm->back.page = page;
		return 0;
	}
	munmap(page, HYPR_PAGE_BYTES);
	/* A kernel that cannot: requests are served here, as the result of each run says. */
	return ret == -ENOTTY ? 0 : hypr_fail_sys(ret, "KVM_HYPR_SET_REQUESTS");
}

int hypr_ept_swap_open(struct hypr_vm *vm, struct hypr_view *view)
{
	view->vm_fd = vm->vm_fd;
	view->slot_base = view->number << 16;
	return 0;
}

/* Nothing can be done about an error; the slots go in any case. */
void hypr_ept_swap_close(struct hypr_vm *vm, struct hypr_view *view)
{
	struct kvm_hypr_discard discard = { .view = view->number };

	if (view->number != KVM_HYPR_VIEW_BOOT)
		ioctl(vm->vm_fd, KVM_HYPR_DISCARD_VIEW, &discard);
}

int hypr_ept_swap_prepare(struct hypr_vm *vm, struct hypr_view *view, uint64_t *pages_mapped)
{
	struct kvm_hypr_prepare prepare;
	int ret;

	do {
		prepare = (struct kvm_hypr_prepare){ .view = view->number };
		ret = ioctl(vm->vm_fd, KVM_PREPARE_EPT_SWAP, &prepare);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	if (ret < 0)
		return hypr_fail_sys(-errno, "view %u: KVM_PREPARE_EPT_SWAP", view->number);
	if (pages_mapped)
		*pages_mapped = prepare.pages_mapped;
	return 0;
}

int hypr_ept_swap_prepare_part(struct hypr_vm *vm, struct hypr_view *view, uint64_t gpa,
			       uint64_t bytes, uint64_t *pages_mapped)
{
	uint64_t end = gpa + bytes;
	int ret = 0;

	while (!ret && gpa < end) {
		struct kvm_hypr_prepare prepare = {
			.view = view->number,
			.flags = KVM_HYPR_PREPARE_RANGE,
			.gpa = gpa,
			.size = end - gpa,
		};

		ret = ioctl(vm->vm_fd, KVM_PREPARE_EPT_SWAP, &prepare) < 0 ? -errno : 0;
		*pages_mapped += prepare.pages_mapped;
		/* A signal: what was built stays. */
		if (ret == -EINTR)
			ret = 0;
		if (prepare.next_gpa > gpa)
			gpa = prepare.next_gpa;
	}
	return ret ? hypr_fail_sys(ret, "view %u: KVM_PREPARE_EPT_SWAP", view->number) : 0;
}

static int ept_swap_written(struct hypr_vm *vm, struct hypr_view *view, uint64_t *bitmap,
			    uint64_t pages)
{
	struct kvm_hypr_written arg = {
		.view = view->number,
		.nr_pages = pages,
		.bitmap = (uintptr_t)bitmap,
	};

	if (ioctl(vm->vm_fd, KVM_HYPR_GET_WRITTEN, &arg) < 0)
		return hypr_fail_sys(-errno, "view '%s': KVM_HYPR_GET_WRITTEN", view->name);
	return 0;
}

static int ept_swap_moment(struct hypr_vm *vm, const struct hypr_view *view, bool map)
{
	struct kvm_hypr_moment arg = {
		.view = view->number,
		.flags = map ? KVM_HYPR_MOMENT_MAP : 0,
		.userspace_addr = (uintptr_t)view->moment->mem.host,
		.size = view->moment->mem.bytes,
		.bitmap = (uintptr_t)view->written,
		.zeros = (uintptr_t)view->moment->zeros,
	};

	return ioctl(vm->vm_fd, KVM_HYPR_SET_MOMENT, &arg) < 0 ? -errno : 0;
}

static uint32_t kept_flags(enum hypr_kept kept)
{
	return kept == HYPR_KEPT_MOMENT ? KVM_HYPR_KEPT_MOMENT : 0;
}

static int ept_swap_keep(struct hypr_vcpu *vcpu, const struct hypr_view *view,
			 enum hypr_kept kept, uint64_t host_tsc, struct hypr_vcpu_state *state)
{
	struct kvm_hypr_keep keep = {
		.view = view->number,
		.flags = kept_flags(kept),
		.host_tsc = host_tsc,
		.msrs = (uintptr_t)state->msrs,
	};

	return ioctl(vcpu->fd, KVM_HYPR_KEEP_STATE, &keep) < 0 ? -errno : 0;
}

static int ept_swap_kept(struct hypr_vm *vm, const struct hypr_view *view, unsigned int index,
			 struct hypr_vcpu_state *state, uint64_t *host_tsc)
{
	struct kvm_hypr_state kept = {
		.view = view->number,
		.vcpu = index,
		.regs = (uintptr_t)&state->regs,
		.sregs = (uintptr_t)&state->sregs,
		.xcrs = (uintptr_t)&state->xcrs,
		.debugregs = (uintptr_t)&state->debugregs,
		.lapic = (uintptr_t)&state->lapic,
		.msrs = (uintptr_t)state->msrs,
		.xsave = (uintptr_t)state->xsave,
		.xsave_bytes = (uint32_t)vm->xsave_bytes,
		.events = (uintptr_t)&state->events,
		.mp_state = (uintptr_t)&state->mp_state,
	};

	if (ioctl(vm->vm_fd, KVM_HYPR_GET_STATE, &kept) < 0)
		return hypr_fail_sys(-errno, "view '%s', vCPU %u: KVM_HYPR_GET_STATE", view->name,
				     index);
	*host_tsc = kept.host_tsc;
	state->tsc_offset = kept.tsc_offset;
	state->tsc_deadline = kept.tsc_deadline;
	return 0;
}

static int ept_swap_keep_board(struct hypr_vm *vm, const struct hypr_view *view,
			       enum hypr_kept kept)
{
	struct kvm_hypr_keep_board keep = {
		.view = view->number,
		.flags = kept_flags(kept),
	};

	return ioctl(vm->vm_fd, KVM_HYPR_KEEP_BOARD, &keep) < 0 ? -errno : 0;
}

static int ept_swap_copy_kept(struct hypr_vm *vm, const struct hypr_view *from,
			      enum hypr_kept from_kept, const struct hypr_view *to,
			      enum hypr_kept to_kept)
{
	struct kvm_hypr_copy copy = {
		.view = to->number,
		.flags = kept_flags(to_kept),
		.from_view = from->number,
		.from_flags = kept_flags(from_kept),
	};

	return ioctl(vm->vm_fd, KVM_HYPR_COPY_STATE, &copy) < 0 ? -errno : 0;
}

static int ept_swap_kept_board(struct hypr_vm *vm, const struct hypr_view *view,
			       struct hypr_state *state)
{
	struct kvm_hypr_board board = {
		.view = view->number,
		.pic_master = (uintptr_t)&state->chip[0].chip.pic,
		.pic_slave = (uintptr_t)&state->chip[1].chip.pic,
		.ioapic = (uintptr_t)&state->chip[2].chip.ioapic,
		.pit = (uintptr_t)&state->pit,
	};

	if (ioctl(vm->vm_fd, KVM_HYPR_GET_BOARD, &board) < 0)
		return hypr_fail_sys(-errno, "view '%s': KVM_HYPR_GET_BOARD", view->name);
	return 0;
}

static uint32_t swap_flags(bool flush, const struct hypr_engine_swap *swap)
{
	return (flush ? KVM_EPT_SWAP_FLUSH : 0) |
	       (swap->pause_ns ? KVM_EPT_SWAP_PAUSE : 0) |
	       (swap->hold_ns ? KVM_EPT_SWAP_FORCE : 0) |
	       (swap->notify ? KVM_EPT_SWAP_NOTIFY : 0) |
	       (swap->kept ? KVM_EPT_SWAP_STATE | KVM_EPT_SWAP_BOARD : 0) |
	       (swap->kept == HYPR_KEPT_MOMENT ? KVM_EPT_SWAP_MOMENT : 0) |
	       (swap->put_back ? KVM_EPT_SWAP_RESET : 0);
}

int hypr_ept_swap_swap(struct hypr_vm *vm, struct hypr_view *view, bool flush,
		       struct hypr_engine_swap *swap)
{
	uint64_t timeout_ns = swap->pause_ns ? swap->pause_ns : swap->hold_ns;
	struct kvm_hypr_swap arg = {
		.view = view->number,
		.flags = swap_flags(flush, swap),
		.timeout_ns = timeout_ns ? timeout_ns : KVM_EPT_SWAP_TIMEOUT_MAX_NS,
	};
	int ret;

	/* A signal can end the build of a view that the kernel had evicted. */
	do
		ret = ioctl(vm->vm_fd, KVM_EPT_SWAP_ALL, &arg);
	while (ret < 0 && errno == EINTR);
	swap->pause_cycles = arg.pause_cycles;
	if (ret < 0)
		return hypr_fail_sys(-errno, "view %u: KVM_EPT_SWAP_ALL", view->number);
	swap->old_view = arg.old_view;
	swap->generation = arg.generation;
	swap->commit_cycles = arg.commit_cycles;
	swap->pages = arg.pages;
	return 0;
}

const struct hypr_engine hypr_engine_ept_swap = {
	.name = HYPR_ENGINE_EPT_SWAP,
	.device = "/dev/kvm",
	.remedy = HYPR_ENGINE_REMEDY_KVM,
	.swaps_in_guest = true,
	.keeps_vcpus = true,
	.enable = ept_swap_enable,
	.control = ept_swap_control,
	.requests = ept_swap_requests,
	.open = hypr_ept_swap_open,
	.close = hypr_ept_swap_close,
	.prepare = hypr_ept_swap_prepare,
	.prepare_part = hypr_ept_swap_prepare_part,
	.written = ept_swap_written,
	.moment = ept_swap_moment,
	.keep = ept_swap_keep,
	.kept = ept_swap_kept,
	.keep_board = ept_swap_keep_board,
	.copy_kept = ept_swap_copy_kept,
	.kept_board = ept_swap_kept_board,
	.swap = hypr_ept_swap_swap,
};
