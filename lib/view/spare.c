// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Spares: a second prepared copy of a view's moment.  A reset of the view goes on in the
 * spare at once.  Then the two change places: the spare's memory is the view's, and what the
 * guest has written is in the spare, where a thread of the VM, the mender, puts it back.
 *
 * The mender takes no lock of an operation's.  A spare that waits for it, or that it has, is
 * HYPR_SPARE_DIRTY, and nobody else touches hypr_spare.view; any other is the operation's, or
 * between operations the kernel's (run/back.c).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypr/hypr.h"
#include "base/error.h"
#include "base/thread.h"
#include "base/time.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/back_watch.h"
#include "run/mender.h"
#include "view/build.h"
#include "view/kept.h"
#include "view/restore.h"
#include "view/spare.h"
#include "view/written.h"

/* ---- the engine's numbers, which views and spares share ---------------------- */

static bool is_taken(const struct hypr_vm *vm, unsigned int number)
{
	unsigned int i;

	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++) {
		const struct hypr_view *view = vm->view[i];

		if (view && (view->number == number ||
			     (view->spare && view->spare->view->number == number)))
			return true;
	}
	return false;
}

/** hypr_spare_free_number() - one that no memory has, @wish if it may be */
unsigned int hypr_spare_free_number(const struct hypr_vm *vm, unsigned int wish)
{
	unsigned int number = KVM_HYPR_VIEW_FIRST;

	if (!is_taken(vm, wish))
		return wish;
	while (is_taken(vm, number))
		number++;
	return number;
}

/** hypr_spare_check_room() - may there be one view more, or one spare?  0, -ENOSPC */
int hypr_spare_check_room(const struct hypr_vm *vm)
{
	unsigned int i, views = 0, spares = 0;

	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++) {
		views += vm->view[i] != NULL;
		spares += vm->view[i] && vm->view[i]->spare;
	}
	if (views + spares < vm->views_max)
		return 0;
	if (!spares)
		return hypr_fail(-ENOSPC, "all %u views are in use", vm->views_max);
	return hypr_fail(-ENOSPC, "all %u views are in use, %u of them as spares", vm->views_max,
			 spares);
}

/* ---- the mender --------------------------------------------------------------- */

static struct hypr_spare *next_locked(struct hypr_mender *mender)
{
	struct hypr_spare *spare;

	while (!mender->ends && !mender->first)
		pthread_cond_wait(&mender->work, &mender->lock);
	if (mender->ends)
		return NULL;
	spare = mender->first;
	mender->first = spare->next;
	mender->busy = spare;
	return spare;
}

static void *mender_thread(void *arg)
{
	struct hypr_vm *vm = arg;
	struct hypr_mender *mender = &vm->mender;
	struct hypr_reset_result result;
	struct hypr_spare *spare;
	int ret;

	pthread_mutex_lock(&mender->lock);
	while ((spare = next_locked(mender))) {
		pthread_mutex_unlock(&mender->lock);
		ret = hypr_view_restore(vm, spare->view, 0, &result);
		pthread_mutex_lock(&mender->lock);
		mender->busy = NULL;
		spare->state = ret ? HYPR_SPARE_FAILED : HYPR_SPARE_READY;
		snprintf(spare->why, sizeof(spare->why), "%s", ret ? hypr_error() : "");
		hypr_spare_offer_locked(vm, spare);
		pthread_cond_broadcast(&mender->done);
	}
	pthread_mutex_unlock(&mender->lock);
	return NULL;
}

static int mender_start(struct hypr_vm *vm)
{
	int ret;

	if (vm->mender.on)
		return 0;
	ret = hypr_thread_start(&vm->mender.thread, mender_thread, vm);
	vm->mender.on = !ret;
	return ret ? hypr_fail_thread(ret, "the thread that puts spares back") : 0;
}

void hypr_spare_init(struct hypr_vm *vm)
{
	pthread_mutex_init(&vm->mender.lock, NULL);
	hypr_cond_init(&vm->mender.work);
	hypr_cond_init(&vm->mender.done);
}

/** hypr_spare_end() - the VM has ended: what is not put back by now stays as it is */
void hypr_spare_end(struct hypr_vm *vm)
{
	struct hypr_mender *mender = &vm->mender;

	if (!mender->on)
		return;
	pthread_mutex_lock(&mender->lock);
	mender->ends = true;
	pthread_cond_broadcast(&mender->work);
	pthread_mutex_unlock(&mender->lock);
	pthread_join(mender->thread, NULL);
	mender->on = false;
}

/* ---- a view's spare ------------------------------------------------------------ */

/**
 * hypr_spare_await() - until the spare is put back; one for which that failed is tried again
 *
 * Return: 0: it is READY; -EOPNOTSUPP there is none, or it cannot be put back.
 */
int hypr_spare_await(struct hypr_vm *vm, struct hypr_view *view)
{
	struct hypr_spare *spare = view->spare;
	int ret = 0;

	if (!spare)
		return hypr_fail(-EOPNOTSUPP, "view '%s' cannot be reset by spare: it was made without one",
				 view->name);
	if (hypr_spare_state(vm, view) == HYPR_SPARE_FAILED)
		hypr_spare_mend(vm, view);
	pthread_mutex_lock(&vm->mender.lock);
	while (spare->state == HYPR_SPARE_DIRTY)
		pthread_cond_wait(&vm->mender.done, &vm->mender.lock);
	if (spare->state != HYPR_SPARE_READY)
		ret = hypr_fail(-EOPNOTSUPP, "view '%s' cannot be reset by spare, which could not be put back: %s",
				view->name, spare->why);
	pthread_mutex_unlock(&vm->mender.lock);
	return ret;
}

/**
 * hypr_spare_kept() - the vCPUs, held, have the state of @view, set by ioctls
 *
 * If that is its moment's, the engine can keep it for the spare as well.
 */
void hypr_spare_kept(struct hypr_vm *vm, struct hypr_view *view)
{
	if (!view->at_moment || hypr_spare_state(vm, view) != HYPR_SPARE_READY)
		return;
	hypr_kept_entered(vm, view->spare->view);
	hypr_kept_at_moment(view->spare->view);
}

static int build(struct hypr_vm *vm, struct hypr_view *view, struct hypr_spare *spare)
{
	unsigned int number = hypr_spare_free_number(vm, KVM_HYPR_VIEW_FIRST);
	int ret;

	spare->view = hypr_view_build(vm, view->name, number, view->moment, true, &ret);
	if (!spare->view)
		return ret;
	spare->view->id = view->id;
	spare->state = HYPR_SPARE_READY;
	hypr_written_start(vm, spare->view);
	if (view->keeps_moment)
		hypr_kept_begin(vm, view, HYPR_KEPT_MOMENT, spare->view);
	ret = hypr_view_prepare(vm, spare->view, NULL);
	if (!ret)
		ret = mender_start(vm);
	if (!ret)
		ret = hypr_back_watch(vm);
	if (ret)
		hypr_view_free(vm, spare->view);
	return ret;
}

/**
 * hypr_spare_add() - give a view a spare
 *
 * Return: 0; -EINVAL it has no moment, or is recorded; -EEXIST it has one; -ENOSPC; -ENOMEM;
 * as for hypr_view_prepare().
 */
int hypr_spare_add(struct hypr_vm *vm, struct hypr_view *view)
{
	struct hypr_spare *spare;
	int ret;

	if (!view->moment)
		return hypr_fail(-EINVAL, "view '%s' has no moment that a spare could be a copy of",
				 view->name);
	if (view->record.on)
		return hypr_fail(-EINVAL, "view '%s' records which of its pages are touched, and a spare has others",
				 view->name);
	if (view->spare)
		return hypr_fail(-EEXIST, "view '%s' has a spare already", view->name);
	ret = hypr_spare_check_room(vm);
	if (ret)
		return ret;
	spare = calloc(1, sizeof(*spare));
	if (!spare)
		return hypr_fail(-ENOMEM, "no memory for a spare of view '%s'", view->name);
	ret = build(vm, view, spare);
	if (ret)
		free(spare);
	else
		view->spare = spare;
	return ret;
}

/** hypr_spare_remove() - a view's, if there is one; waits until the mender has left it */
void hypr_spare_remove(struct hypr_vm *vm, struct hypr_view *view)
{
	struct hypr_mender *mender = &vm->mender;
	struct hypr_spare *spare = view->spare, **at;

	if (!spare)
		return;
	pthread_mutex_lock(&mender->lock);
	for (at = &mender->first; *at && *at != spare; at = &(*at)->next)
		;
	if (*at)
		*at = spare->next;
	while (mender->busy == spare)
		pthread_cond_wait(&mender->done, &mender->lock);
	pthread_mutex_unlock(&mender->lock);
	view->spare = NULL;
	hypr_view_free(vm, spare->view);
	free(spare);
}
