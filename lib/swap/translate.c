// SPDX-License-Identifier: LGPL-2.1-or-later
/* Translate: a guest's address by the page tables in a view's memory. */
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "base/page.h"
#include "base/paging.h"
#include "model/state.h"
#include "model/vcpu.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "run/op.h"
#include "swap/pause.h"
#include "view/kept.h"
#include "view/peek.h"
#include "view/record.h"
#include "view/view.h"

/**
 * struct look - at the memory of a view
 * @error: why memory could not be read: then what the walk says counts for nothing
 */
struct look {
	const struct hypr_view *view;
	struct hypr_peek peek;
	int error;
};

static bool read_entry(void *arg, uint64_t gpa, uint32_t bytes, uint64_t *entry)
{
	struct look *look = arg;
	uint64_t in_page = gpa % HYPR_PAGE_BYTES;
	const uint8_t *page;

	if (look->error)
		return false;
	look->error = hypr_view_look(look->view, &look->peek, hypr_gpa(gpa - in_page), 1,
					     &page);
	if (look->error)
		return false;
	if (bytes == sizeof(uint32_t))
		*entry = __atomic_load_n((const uint32_t *)(page + in_page), __ATOMIC_RELAXED);
	else
		*entry = __atomic_load_n((const uint64_t *)(page + in_page), __ATOMIC_RELAXED);
	return true;
}

struct registers {
	uint32_t vcpu;
	struct kvm_sregs sregs;
};

static int get_registers(struct hypr_vcpu *vcpu, void *arg)
{
	struct registers *registers = arg;

	if (vcpu->index != registers->vcpu)
		return 0;
	return ioctl(vcpu->fd, KVM_GET_SREGS, &registers->sregs) < 0 ? -errno : 0;
}

/* With the vCPUs halted if @view is the active one. */
static int find_registers(struct hypr_vm *vm, struct hypr_view *view,
			  struct registers *registers)
{
	int ret;

	if (view == vm->active) {
		ret = hypr_vcpus_do(vm, get_registers, registers);
		return ret ? hypr_fail_sys(ret, "vCPU %u: KVM_GET_SREGS", registers->vcpu) : 0;
	}
	if (!view->state || !view->state->valid)
		return hypr_fail(-ENODATA, "view '%s' has no registers", view->name);
	ret = hypr_kept_fetch(vm, view);
	if (ret)
		return ret;
	registers->sregs = view->state->vcpu[registers->vcpu].sregs;
	return 0;
}

static int translate(struct hypr_vm *vm, struct hypr_view *view, uint64_t gva,
		     const struct hypr_paging *paging, struct hypr_translation *result)
{
	struct look look = { .view = view, .peek = HYPR_PEEK_INIT };
	const struct hypr_paging_memory memory = { read_entry, &look, vm->mem_bytes };
	struct registers registers = { .vcpu = paging->vcpu };
	int ret;

	ret = find_registers(vm, view, &registers);
	if (!ret && hypr_view_is_on_file(view))
		ret = hypr_peek_open(&look.peek);
	if (ret)
		return ret;
	ret = hypr_paging_look(&memory, paging, &registers.sregs, gva, result);
	hypr_peek_close(&look.peek);
	if (look.error)
		return look.error;
	return ret ? hypr_paging_refuse(result) : 0;
}

static int translate_locked(struct hypr_vm *vm, struct hypr_view *view, uint64_t gva,
			    const struct hypr_paging *paging, struct hypr_translation *result)
{
	bool halted;
	int ret;

	if (paging->vcpu >= vm->nr_vcpus)
		return hypr_fail(-EINVAL, "the VM has no vCPU %u", paging->vcpu);
	ret = hypr_view_halt(vm, view, &halted);
	if (ret)
		return ret;
	hypr_record_spoil(view, "was translated in");
	return hypr_view_go(vm, halted, translate(vm, view, gva, paging, result));
}

int hypr_view_translate(struct hypr_vm *vm, const char *name, uint64_t gva,
			const struct hypr_paging *paging, struct hypr_translation *result)
{
	static const struct hypr_paging first = { .size = sizeof(first) };
	struct hypr_view *view;
	int ret;

	memset(result, 0, sizeof(*result));
	ret = paging ? hypr_paging_check(paging) : 0;
	if (!ret)
		ret = hypr_vm_op_begin(vm);
	if (ret)
		return ret;
	view = name ? hypr_view_lookup(vm, name) : vm->active;
	ret = view ? translate_locked(vm, view, gva, paging ? paging : &first, result) : -ENOENT;
	hypr_vm_op_end(vm);
	return ret;
}
