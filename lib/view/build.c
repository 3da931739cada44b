// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The memory of a view: mapped, with slots in KVM, and its tables built.  A spare
 * (spare.c) is built as a view is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/error.h"
#include "engine/engine.h"
#include "memory/mem.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/state.h"
#include "view/build.h"
#include "view/kept.h"
#include "view/moment.h"
#include "view/record.h"
#include "view/written.h"
#include "vmo/vmo.h"

/** hypr_view_prepare() - build the tables of all its memory */
int hypr_view_prepare(struct hypr_vm *vm, struct hypr_view *view, uint64_t *pages)
{
	int ret = 0;

	/* The kernel would leave out what is gone. */
	if (hypr_view_is_on_file(view))
		ret = hypr_vmo_check_length(view->moment->vmo);
	if (!ret)
		ret = vm->engine->prepare(vm, view, pages);
	view->prepared = !ret;
	return ret;
}

static struct hypr_view *view_alloc(struct hypr_vm *vm, unsigned int number, const char *name)
{
	struct hypr_view *view;

	view = calloc(1, sizeof(*view));
	if (!view) {
		hypr_fail(-ENOMEM, "no memory for view '%s'", name);
		return NULL;
	}
	view->state = hypr_state_alloc(vm);
	if (!view->state) {
		free(view);
		return NULL;
	}
	view->number = number;
	view->vm_fd = -1;
	snprintf(view->name, sizeof(view->name), "%s", name);
	return view;
}

/**
 * hypr_view_free() - give back all that hypr_view_build() has made, and the moment
 * @view: in no table, and without a spare; a spare leaves the moment to its owner
 */
void hypr_view_free(struct hypr_vm *vm, struct hypr_view *view)
{
	if (view->open) {
		vm->engine->close(vm, view);
		hypr_mem_slots_remove(view);
	}
	hypr_record_stop(view);
	if (view->mem.host)
		munmap(view->mem.host, view->mem.bytes);
	if (!view->is_spare)
		hypr_moment_destroy(vm, view->moment);
	hypr_state_free(vm, view->state);
	free(view->written);
	free(view);
}

static int view_map(struct hypr_vm *vm, struct hypr_view *view)
{
	void *mem;

	if (view->moment)
		return hypr_moment_map(vm, view->moment, &view->mem);
	mem = mmap(NULL, vm->mem_bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_NORESERVE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return hypr_fail_sys(-errno, "view '%s': %llu MiB of memory", view->name,
				     (unsigned long long)vm->mem_bytes >> 20);
	view->mem = (struct hypr_guest){ mem, vm->mem_bytes };
	return 0;
}

static int view_open(struct hypr_vm *vm, struct hypr_view *view)
{
	int ret = vm->engine->open(vm, view);

	if (ret)
		return ret;
	view->open = true;
	return hypr_mem_slots_add(vm, view);
}

/**
 * hypr_view_build() - a view of a moment, in no table yet
 * @number: of its memory in the engine, which no other has
 * @moment: NULL for empty memory.  Is taken over, after an error as well, unless @is_spare
 *
 * Return: NULL with hypr_error() set, and the reason in @ret.
 */
struct hypr_view *hypr_view_build(struct hypr_vm *vm, const char *name, unsigned int number,
				  struct hypr_moment *moment, bool is_spare, int *ret)
{
	struct hypr_view *view = view_alloc(vm, number, name);

	*ret = -ENOMEM;
	if (!view) {
		if (!is_spare)
			hypr_moment_destroy(vm, moment);
		return NULL;
	}
	view->is_spare = is_spare;
	view->moment = moment;
	if (moment) {
		hypr_state_copy(vm, view->state, moment->state);
		hypr_kept_at_moment(view);
	}
	*ret = view_map(vm, view);
	if (!*ret)
		*ret = view_open(vm, view);
	if (!*ret)
		return view;
	hypr_view_free(vm, view);
	return NULL;
}
