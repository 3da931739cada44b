// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Some engines keep the state of vCPUs and chips with a view, and exchange it in a swap
 * without bringing a vCPU's thread to user space.  The engine fills such a state from what
 * KVM has.  So it is kept where the vCPUs have it: when a moment is taken, as that of the
 * active view, of which the engine makes those of the view that begins in the moment; and
 * when a state was saved or set by ioctls.
 *
 * view->state has the state of an inactive view, unless view->state_is_old: then
 * hypr_kept_fetch() reads it from the engine first.
 */
#include "engine/engine.h"
#include "model/state.h"
#include "model/vcpu.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "run/state.h"
#include "view/kept.h"

struct keeping {
	const struct hypr_view *view;
	enum hypr_kept kept;
};

static int keep(struct hypr_vcpu *vcpu, void *arg)
{
	const struct keeping *keeping = arg;
	const struct hypr_view *view = keeping->view;
	struct hypr_vcpu_state *state = &view->state->vcpu[vcpu->index];
	uint64_t offset;
	int ret;

	ret = hypr_state_tsc_offset(vcpu, &offset);
	if (ret)
		return ret;
	/* The guest's TSC goes on from where the state has it. */
	return vcpu->vm->engine->keep(vcpu, view, keeping->kept,
				      view->state->host_tsc + state->tsc_offset - offset, state);
}

static bool keep_all(struct hypr_vm *vm, const struct hypr_view *view, enum hypr_kept kept)
{
	struct keeping keeping = { view, kept };

	/* An interrupt that a chip hands on meanwhile is found in the LAPIC. */
	return vm->engine->keep && !vm->engine->keep_board(vm, view, kept) &&
	       !hypr_vcpus_do(vm, keep, &keeping);
}

/** hypr_kept_left() - the vCPUs, held, leave @view, whose state was saved by ioctls */
void hypr_kept_left(struct hypr_vm *vm, struct hypr_view *view)
{
	view->keeps_left = keep_all(vm, view, HYPR_KEPT_LEFT);
	view->kept = view->keeps_left ? HYPR_KEPT_LEFT : HYPR_KEPT_NONE;
	view->state_is_old = false;
}

/**
 * hypr_kept_taken() - the vCPUs, held, are in the active view, and a moment is taken there
 *
 * Return: the engine keeps it, as the state in which they leave the view, until they do.
 */
bool hypr_kept_taken(struct hypr_vm *vm)
{
	bool taken = keep_all(vm, vm->active, HYPR_KEPT_LEFT);

	vm->active->keeps_left |= taken;
	return taken;
}

/**
 * hypr_kept_begin() - a new view begins in a state that the engine keeps
 * @from: the view that it is kept for
 * @kept: as which
 * @view: at its moment, which is that state
 */
void hypr_kept_begin(struct hypr_vm *vm, const struct hypr_view *from, enum hypr_kept kept,
		     struct hypr_view *view)
{
	view->keeps_moment = !vm->engine->copy_kept(vm, from, kept, view, HYPR_KEPT_MOMENT);
	view->keeps_left = !vm->engine->copy_kept(vm, from, kept, view, HYPR_KEPT_LEFT);
	hypr_kept_at_moment(view);
}

/** hypr_kept_entered() - the vCPUs, held, have the state of @view, set by ioctls */
void hypr_kept_entered(struct hypr_vm *vm, struct hypr_view *view)
{
	if (view->at_moment && !view->keeps_moment)
		view->keeps_moment = keep_all(vm, view, HYPR_KEPT_MOMENT);
	if (!view->keeps_left)
		view->keeps_left = keep_all(vm, view, HYPR_KEPT_LEFT);
}

/** hypr_kept_moved() - the engine has taken the state of vCPUs and chips from @from */
void hypr_kept_moved(struct hypr_view *from)
{
	from->kept = HYPR_KEPT_LEFT;
	from->at_moment = false;
	from->state_is_old = true;
}

/** hypr_kept_at_moment() - view->state is again that of the moment */
void hypr_kept_at_moment(struct hypr_view *view)
{
	view->at_moment = true;
	view->kept = view->keeps_moment ? HYPR_KEPT_MOMENT : HYPR_KEPT_NONE;
	view->state_is_old = false;
}

/**
 * hypr_kept_fetch() - vCPUs and chips of view->state, if the engine has newer ones
 * @view: inactive
 */
int hypr_kept_fetch(struct hypr_vm *vm, struct hypr_view *view)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && view->state_is_old && i < vm->nr_vcpus; i++)
		ret = vm->engine->kept(vm, view, i, &view->state->vcpu[i],
				       &view->state->host_tsc);
	if (!ret && view->state_is_old)
		ret = vm->engine->kept_board(vm, view, view->state);
	if (!ret)
		view->state_is_old = false;
	return ret;
}
