// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Views: making one, finding one, giving one up.  The boot view of a guest that
 * boots has plain memory and no moment; every other view is a private mapping of a
 * moment.
 */
#include <stdio.h>

#include "base/error.h"
#include "memory/privmem.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/mender.h"
#include "view/build.h"
#include "view/spare.h"
#include "view/view.h"
#include "view/written.h"

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

/**
 * hypr_view_create_boot() - the view that a VM starts in
 * @moment: what it starts from; NULL for empty memory.  Is taken over, also after
 *	an error
 */
int hypr_view_create_boot(struct hypr_vm *vm, struct hypr_moment *moment)
{
	struct hypr_view *view;
	int ret;

	view = hypr_view_build(vm, HYPR_VIEW_BOOT_NAME, KVM_HYPR_VIEW_BOOT, moment, false, &ret);
	if (!view)
		return ret;
	/* It runs from the start, and so has tables. */
	view->prepared = true;
	vm->view[view->id] = view;
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
	unsigned int id = KVM_HYPR_VIEW_FIRST;
	struct hypr_view *view;
	int ret;

	while (id < KVM_HYPR_MAX_VIEWS && vm->view[id])
		id++;
	view = hypr_view_build(vm, name, hypr_spare_free_number(vm, id), moment, false, &ret);
	if (!view)
		return ret;
	view->id = id;
	hypr_written_start(vm, view);
	vm->view[id] = view;
	*viewp = view;
	return 0;
}

void hypr_view_destroy(struct hypr_vm *vm, struct hypr_view *view)
{
	if (!view)
		return;
	vm->view[view->id] = NULL;
	hypr_spare_remove(vm, view);
	hypr_view_free(vm, view);
}

/** hypr_view_check_new() - may there be one more, of this name? */
int hypr_view_check_new(struct hypr_vm *vm, const char *name)
{
	int ret;

	ret = hypr_name_check(name);
	if (ret)
		return ret;
	if (hypr_view_find(vm, name))
		return hypr_fail(-EEXIST, "view '%s' exists already", name);
	return hypr_spare_check_room(vm);
}

static void view_describe(struct hypr_vm *vm, const struct hypr_view *view,
			  struct hypr_view_info *info)
{
	uint64_t more = view == vm->active ? hypr_back_unsettled(vm) : 0;

	memset(info, 0, sizeof(*info));
	memcpy(info->name, view->name, sizeof(info->name));
	info->view = view->id;
	info->active = view == vm->active;
	info->prepared = view->prepared;
	info->has_moment = view->moment != NULL;
	info->spare = (uint8_t)hypr_spare_state(vm, view);
	info->swaps = view->swaps + more;
	info->resets = view->resets + more;
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
	else if (view->id == KVM_HYPR_VIEW_BOOT)
		ret = hypr_fail(-EINVAL, "the boot view stays");
	else if (view == vm->active)
		ret = hypr_fail(-EBUSY, "view '%s' is active; swap to another first", name);
	else
		hypr_view_destroy(vm, view);
	pthread_mutex_unlock(&vm->op_lock);
	return ret;
}
