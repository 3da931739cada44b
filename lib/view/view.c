// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Views: making one, finding one, giving one up.  The boot view of a guest that
 * boots has plain memory and no moment; every other view is a private mapping of a
 * moment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/error.h"
#include "engine/engine.h"
#include "memory/mem.h"
#include "memory/privmem.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/state.h"
#include "view/kept.h"
#include "view/moment.h"
#include "view/record.h"
#include "view/view.h"
#include "view/written.h"
#include "vmo/vmo.h"

struct hypr_view *hypr_view_find(struct hypr_vm *vm, const char *name)
{
	unsigned int i;

	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++) {
		if (vm->view[i] && !strcmp(vm->view[i]->name, name))
			return vm->view[i];
	}
	return NULL;
}

/* As hypr_view_find(); sets hypr_error() when there is none. */
struct hypr_view *hypr_view_lookup(struct hypr_vm *vm, const char *name)
{
	struct hypr_view *view = name ? hypr_view_find(vm, name) : NULL;
	char names[128] = "";
	unsigned int i;
	size_t len;

	if (view)
		return view;
	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++) {
		len = strlen(names);
		if (vm->view[i])
			snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "",
				 vm->view[i]->name);
	}
	hypr_fail(-ENOENT, "no view '%.40s': there is %s", name ? name : "", names);
	return NULL;
}

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

static void view_free(struct hypr_vm *vm, struct hypr_view *view)
{
	if (view->open) {
		vm->engine->close(vm, view);
		hypr_mem_slots_remove(view);
	}
	hypr_record_stop(view);
	if (view->mem.host)
		munmap(view->mem.host, view->mem.bytes);
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
 * hypr_view_create_boot() - the view that a VM starts in
 * @moment: what it starts from; NULL for empty memory.  Is taken over, also after
 *	an error
 */
int hypr_view_create_boot(struct hypr_vm *vm, struct hypr_moment *moment)
{
	struct hypr_view *view;
	int ret;

	view = view_alloc(vm, KVM_HYPR_VIEW_BOOT, HYPR_VIEW_BOOT_NAME);
	if (!view) {
		hypr_moment_destroy(vm, moment);
		return -ENOMEM;
	}
	view->moment = moment;
	if (moment) {
		hypr_state_copy(vm, view->state, moment->state);
		hypr_kept_at_moment(view);
	}
	ret = view_map(vm, view);
	if (!ret)
		ret = view_open(vm, view);
	if (ret) {
		view_free(vm, view);
		return ret;
	}
	/* It runs from the start, and so has tables. */
	view->prepared = true;
	vm->view[view->number] = view;
	vm->active = view;
	return 0;
}

/**
 * hypr_view_create() - a view of a moment; nothing maps its memory yet
 * @moment: is taken over, also after an error
 */
int hypr_view_create(struct hypr_vm *vm, const char *name, struct hypr_moment *moment,
		     struct hypr_view **viewp)
{
	struct hypr_view *view;
	unsigned int number = KVM_HYPR_VIEW_FIRST;
	int ret;

	while (number < KVM_HYPR_MAX_VIEWS && vm->view[number])
		number++;
	view = view_alloc(vm, number, name);
	if (!view) {
		hypr_moment_destroy(vm, moment);
		return -ENOMEM;
	}
	view->moment = moment;
	hypr_state_copy(vm, view->state, moment->state);
	hypr_kept_at_moment(view);
	ret = view_map(vm, view);
	if (!ret)
		ret = view_open(vm, view);
	if (ret) {
		view_free(vm, view);
		return ret;
	}
	hypr_written_start(vm, view);
	vm->view[number] = view;
	*viewp = view;
	return 0;
}

void hypr_view_destroy(struct hypr_vm *vm, struct hypr_view *view)
{
	if (!view)
		return;
	vm->view[view->number] = NULL;
	view_free(vm, view);
}

/** hypr_view_check_new() - may there be one more, of this name? */
int hypr_view_check_new(struct hypr_vm *vm, const char *name)
{
	unsigned int i, used = 0;
	int ret;

	ret = hypr_name_check(name);
	if (ret)
		return ret;
	if (hypr_view_find(vm, name))
		return hypr_fail(-EEXIST, "view '%s' exists already", name);
	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++)
		used += vm->view[i] != NULL;
	if (used >= vm->views_max)
		return hypr_fail(-ENOSPC, "all %u views are in use", vm->views_max);
	return 0;
}

static void view_describe(struct hypr_vm *vm, const struct hypr_view *view,
			  struct hypr_view_info *info)
{
	memset(info, 0, sizeof(*info));
	memcpy(info->name, view->name, sizeof(info->name));
	info->view = view->number;
	info->active = view == vm->active;
	info->prepared = view->prepared;
	info->has_moment = view->moment != NULL;
	info->swaps = view->swaps;
	info->resets = view->resets;
	if (view->moment)
		info->stored_pages = view->moment->pages_stored;
	if (hypr_privmem_count(&view->mem, &info->private_pages))
		info->private_pages = 0;
}

int hypr_view_list(struct hypr_vm *vm, struct hypr_view_info *info, unsigned int nr)
{
	unsigned int i, n = 0;

	pthread_mutex_lock(&vm->op_lock);
	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++) {
		if (!vm->view[i])
			continue;
		if (n < nr)
			view_describe(vm, vm->view[i], &info[n]);
		n++;
	}
	pthread_mutex_unlock(&vm->op_lock);
	return (int)n;
}

int hypr_view_remove(struct hypr_vm *vm, const char *name)
{
	struct hypr_view *view;
	int ret = 0;

	pthread_mutex_lock(&vm->op_lock);
	view = hypr_view_lookup(vm, name);
	if (!view)
		ret = -ENOENT;
	else if (view->number == KVM_HYPR_VIEW_BOOT)
		ret = hypr_fail(-EINVAL, "the boot view stays");
	else if (view == vm->active)
		ret = hypr_fail(-EBUSY, "view '%s' is active; swap to another first", name);
	else
		hypr_view_destroy(vm, view);
	pthread_mutex_unlock(&vm->op_lock);
	return ret;
}
