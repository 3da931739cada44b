// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Resets that the kernel does because the guest asks for them (engine/ept_swap.c allows them).
 * No call says so: a page that the kernel shares with this process counts them.
 *
 * The kernel puts back memory, vCPUs and chips; the devices of this process follow before
 * somebody touches them (back_devices.c).
 *
 * Only hypr_vm_run() allows them, and only while no operation is under way: an operation first
 * forbids them, waits for the one that may be under way, and settles what was done.  If the
 * kernel went on in the view's spare, the two change places then.
 */
#include <sched.h>
#include <string.h>

#include "base/page.h"
#include "model/state.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/back.h"
#include "run/mender.h"

/* What the control page is to say afterwards. */
static uint64_t online(const struct hypr_vm *vm, const struct hypr_state *state)
{
	uint64_t mask = 0;
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		if (state->vcpu[i].control != HYPR_VCPU_OFFLINE)
			mask |= 1ull << i;
	}
	return mask;
}

/* All that is needed for a reset without this process. */
static bool is_possible(struct hypr_vm *vm, const struct hypr_view *view)
{
	return vm->runner.on && !vm->paused && view->moment && view->put_back &&
	       view->written_known && view->keeps_left && view->keeps_moment &&
	       !memcmp(view->moment->state->boot_id, vm->control->boot_id,
		       sizeof(vm->control->boot_id));
}

/* Before the view is: until then the kernel looks at nothing. */
static void offer_spare(struct hypr_vm *vm, const struct hypr_spare *spare)
{
	pthread_mutex_lock(&vm->mender.lock);
	vm->back.spare = spare;
	hypr_spare_offer_locked(vm, spare);
	pthread_mutex_unlock(&vm->mender.lock);
}

static void take_spare(struct hypr_vm *vm)
{
	pthread_mutex_lock(&vm->mender.lock);
	vm->back.spare = NULL;
	vm->back.page->spare = 0;
	pthread_mutex_unlock(&vm->mender.lock);
}

/** hypr_back_allow() - an operation is over; op_lock held */
void hypr_back_allow(struct hypr_vm *vm)
{
	struct hypr_view *view = vm->active;

	if (!vm->back.page || vm->back.allowed || !is_possible(vm, view))
		return;
	vm->back.allowed = true;
	pthread_mutex_lock(&vm->back.lock);
	vm->back.state = view->moment->state;
	pthread_mutex_unlock(&vm->back.lock);
	vm->back.page->online = online(vm, view->moment->state);
	if (view->spare)
		offer_spare(vm, view->spare);
	__atomic_store_n(&vm->back.page->view, view->number, __ATOMIC_SEQ_CST);
}

/* The kernel went on in the spare.  At most once: it gets the next one when this is done. */
static void settle_spare(struct hypr_vm *vm, struct hypr_view *view)
{
	if (vm->back.spares == vm->back.page->spares)
		return;
	vm->back.spares = vm->back.page->spares;
	hypr_spare_exchange(view);
	hypr_spare_mend(vm, view);
	view->edited = false;
	view->at_moment = false;
	view->state_is_old = false;
}

/* No reset is under way. */
static void settle(struct hypr_vm *vm)
{
	uint64_t pages = vm->mem_bytes / HYPR_PAGE_BYTES, more = hypr_back_unsettled(vm);
	struct hypr_view *view = vm->active;

	if (!more)
		return;
	settle_spare(vm, view);
	vm->back.settled += more;
	vm->back.cycles = vm->back.page->cycles;
	vm->back.pages = vm->back.page->pages;
	vm->requests += more;
	vm->swaps += more;
	vm->generation = vm->back.page->generation;
	view->swaps += more;
	view->resets += more;
	/* What was noted as written before was put back, or is in the spare. */
	memset(view->written, 0, (pages + 63) / 64 * sizeof(*view->written));
}

/** hypr_back_forbid() - an operation begins; op_lock held: what was done is counted */
void hypr_back_forbid(struct hypr_vm *vm)
{
	if (!vm->back.allowed)
		return;
	vm->back.allowed = false;
	__atomic_store_n(&vm->back.page->view, 0, __ATOMIC_SEQ_CST);
	/* As long as the kernel waits for vCPUs, which wait for nothing here. */
	while (__atomic_load_n(&vm->back.page->serving, __ATOMIC_SEQ_CST))
		sched_yield();
	if (vm->back.spare)
		take_spare(vm);
	settle(vm);
}
