// SPDX-License-Identifier: GPL-2.0-only
/*
 * The views of a VM: which exist, their tables built ahead of time, and given back.
 *
 * A view's root stays from its first region to the VM's end.  What a build adds and a
 * discard takes is what hangs on the root: no CPU ever has the pointer of a root that is
 * gone.
 */
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <asm/tsc.h>

#include "hyprv.h"

/* A build skips a page that the process changes this often while it looks. */
#define BRING_TRIES	100

bool view_is_number(u32 number)
{
	return number < KVM_HYPR_MAX_VIEWS && number != KVM_HYPR_VIEW_SMM;
}

struct view *view_at(struct vm *vm, u32 number)
{
	if (number >= KVM_HYPR_MAX_VIEWS)
		return NULL;
	return READ_ONCE(vm->view[array_index_nospec(number, KVM_HYPR_MAX_VIEWS)]);
}

struct view *view_find(struct vm *vm, u32 number)
{
	struct view *view = view_at(vm, number);

	return view && READ_ONCE(view->regions) ? view : NULL;
}

int views_enable(struct vm *vm, const struct kvm_enable_cap *cap)
{
	int err = 0;

	if (cap->flags || memchr_inv(cap->args, 0, sizeof(cap->args)))
		return -EINVAL;
	if (mutex_lock_killable(&vm->swap_lock))
		return -EINTR;
	if (vm->views || vm->vcpus || READ_ONCE(vm->had_regions))
		err = -EINVAL;
	else
		WRITE_ONCE(vm->views, true);
	mutex_unlock(&vm->swap_lock);
	return err;
}

/* 1: it is mapped; 0: the guest will fault it in; -EINTR, -ENOMEM. */
static int build_page(struct view *view, u64 gpa)
{
	int ret = 1, tries;

	if (memory_is_mapped(view, gpa))
		return 1;
	for (tries = 0; tries < BRING_TRIES; tries++) {
		ret = memory_bring(view, gpa, 0);
		if (ret != -EAGAIN)
			break;
	}
	return ret == -EAGAIN || ret == -EFAULT ? 0 : ret;
}

static int build(struct view *view, struct kvm_hypr_prepare *arg)
{
	bool range = arg->flags & KVM_HYPR_PREPARE_RANGE;
	u64 gpa = arg->gpa, end = range ? gpa + arg->size : U64_MAX;

	for (; memory_next(view, &gpa) && gpa < end; gpa += PAGE_SIZE) {
		int ret;

		if (range)
			arg->next_gpa = gpa;
		if (signal_pending(current))
			return -EINTR;
		cond_resched();
		ret = build_page(view, gpa);
		if (ret < 0)
			return ret;
		arg->pages_mapped += ret;
		arg->pages_skipped += !ret;
	}
	if (range)
		arg->next_gpa = end;
	return 0;
}

int view_prepare(struct vm *vm, struct kvm_hypr_prepare *arg)
{
	struct view *view = view_find(vm, arg->view);
	u64 start = rdtsc_ordered();
	int err;

	arg->pages_mapped = 0;
	arg->pages_skipped = 0;
	arg->cycles = 0;
	arg->next_gpa = arg->gpa;
	if (!view)
		return -ENOENT;
	if (mutex_lock_killable(&vm->build_lock))
		return -EINTR;
	err = READ_ONCE(vm->vcpus) ? build(view, arg) : -EINVAL;
	if (mutex_lock_killable(&vm->swap_lock)) {
		err = -EINTR;
	} else {
		view->prepared |= !err;
		vm->stats.prepares += !err;
		vm->stats.prepare_failures += err == -EINTR || err == -ENOMEM;
		mutex_unlock(&vm->swap_lock);
	}
	mutex_unlock(&vm->build_lock);
	arg->cycles = rdtsc_ordered() - start;
	return err;
}

static bool in_use(struct vm *vm, u32 number)
{
	u32 i;

	lockdep_assert_held(&vm->swap_lock);
	for (i = 0; i < vm->vcpus; i++)
		if (vm->vcpu[i]->next == number)
			return true;
	return vm->active == number;
}

/* Between the two steps nobody can swap to it or build it. */
int view_discard(struct vm *vm, u32 number)
{
	struct view *view = view_find(vm, number);
	int err = 0;

	if (!view)
		return -ENOENT;
	if (mutex_lock_killable(&vm->build_lock))
		return -EINTR;
	if (mutex_lock_killable(&vm->swap_lock)) {
		mutex_unlock(&vm->build_lock);
		return -EINTR;
	}
	if (in_use(vm, number)) {
		err = -EBUSY;
	} else {
		view->prepared = false;
		vm->stats.discards++;
	}
	mutex_unlock(&vm->swap_lock);
	if (!err)
		memory_forget(view);
	mutex_unlock(&vm->build_lock);
	return err;
}
