// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The two ends of a spare's way: it changes places with its view and waits for the mender
 * (view/spare.c), which puts it back; and then it is there to go on in, for the kernel as well
 * (back.c).
 */
#include <stddef.h>
#include <string.h>

#include "model/view.h"
#include "model/vm.h"
#include "run/mender.h"

/** hypr_spare_state() - HYPR_SPARE_*; unless it is DIRTY, it stays so under op_lock */
int hypr_spare_state(struct hypr_vm *vm, const struct hypr_view *view)
{
	int state = HYPR_SPARE_NONE;

	if (!view->spare)
		return state;
	pthread_mutex_lock(&vm->mender.lock);
	state = view->spare->state;
	pthread_mutex_unlock(&vm->mender.lock);
	return state;
}

/**
 * hypr_spare_exchange() - the view and its spare, which is READY, change places
 *
 * The spare is as the view was: hypr_spare_mend() comes next.
 */
void hypr_spare_exchange(struct hypr_view *view)
{
	struct hypr_view *other = view->spare->view;
	const size_t at = offsetof(struct hypr_view, number), bytes = sizeof(*view) - at;
	uint8_t tmp[sizeof(*view)];

	memcpy(tmp, (uint8_t *)view + at, bytes);
	memcpy((uint8_t *)view + at, (uint8_t *)other + at, bytes);
	memcpy((uint8_t *)other + at, tmp, bytes);
}

/** hypr_spare_mend() - have the view's spare put back; it may be in any state */
void hypr_spare_mend(struct hypr_vm *vm, struct hypr_view *view)
{
	struct hypr_mender *mender = &vm->mender;
	struct hypr_spare *spare = view->spare, **last;

	pthread_mutex_lock(&mender->lock);
	if (spare->state != HYPR_SPARE_DIRTY) {
		for (last = &mender->first; *last; last = &(*last)->next)
			;
		*last = spare;
		spare->next = NULL;
		spare->state = HYPR_SPARE_DIRTY;
		pthread_cond_signal(&mender->work);
	}
	pthread_mutex_unlock(&mender->lock);
}

/* All that the kernel needs to go on in it without this process, and once more from there. */
static bool is_offered(const struct hypr_spare *spare)
{
	const struct hypr_view *view = spare->view;

	return spare->state == HYPR_SPARE_READY && view->prepared && view->put_back &&
	       view->written_known && view->keeps_left && view->keeps_moment && view->at_moment;
}

/**
 * hypr_spare_offer_locked() - a guest's reset may go on in it; hypr_mender.lock held
 * @spare: if it is that of the view in which the kernel serves requests, and is READY; or NULL
 */
void hypr_spare_offer_locked(struct hypr_vm *vm, const struct hypr_spare *spare)
{
	if (spare && spare == vm->back.spare && is_offered(spare))
		__atomic_store_n(&vm->back.page->spare, spare->view->number, __ATOMIC_RELEASE);
}
