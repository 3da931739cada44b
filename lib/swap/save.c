// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A moment into a file: that of a view, or this one.  The VM runs on while the
 * file is written; nothing is under its name before all of it is on the disk.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "hypr/vmo.h"
#include "base/error.h"
#include "base/page.h"
#include "base/time.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/op.h"
#include "run/vmo_state.h"
#include "swap/snapshot.h"
#include "view/moment.h"
#include "view/hole.h"
#include "view/peek.h"
#include "view/view.h"

/*
 * A hole of so many pages is told to the writer and not read: reading one in memory
 * that is kept in a memfd fills it.  To a shorter one the writer goes without a stop.
 */
#define HOLE_PAGES	256

static uint64_t hole_find(const struct hypr_moment *moment, uint64_t gpa, uint64_t end,
			  uint64_t *hole_end)
{
	uint64_t hole, last;

	*hole_end = end;
	if (moment->vmo)
		return end;
	hole = hypr_hole_find(moment->zeros, gpa / HYPR_PAGE_BYTES, end / HYPR_PAGE_BYTES,
			      HOLE_PAGES, &last);
	*hole_end = last * HYPR_PAGE_BYTES;
	return hole * HYPR_PAGE_BYTES;
}

/* What is in a file is read piece by piece, what is in memory is written as it is. */
static int write_pages(const struct hypr_moment *moment, uint64_t gpa, uint64_t pages,
		       uint32_t flags, uint8_t *buf, struct hypr_vmo_writer *writer)
{
	const uint8_t *mem;
	uint64_t part;
	int ret = 0;

	for (; !ret && pages; pages -= part, gpa += part * HYPR_PAGE_BYTES) {
		part = moment->vmo && pages > HYPR_PEEK_PAGES ? HYPR_PEEK_PAGES : pages;
		ret = hypr_moment_read(moment, hypr_gpa(gpa), part, buf, &mem);
		if (!ret)
			ret = hypr_vmo_writer_pages(writer, gpa, mem, part, flags);
	}
	return ret;
}

static int write_perm(const struct hypr_moment *moment, const struct hypr_perm *perm,
		      uint8_t *buf, struct hypr_vmo_writer *writer)
{
	uint64_t gpa = perm->gpa, end = gpa + perm->bytes, hole, hole_end;
	int ret = 0;

	while (!ret && gpa < end) {
		hole = hole_find(moment, gpa, end, &hole_end);
		ret = write_pages(moment, gpa, (hole - gpa) / HYPR_PAGE_BYTES, perm->flags, buf,
				  writer);
		if (!ret && hole < end)
			ret = hypr_vmo_writer_pages(writer, hole, NULL,
						    (hole_end - hole) / HYPR_PAGE_BYTES,
						    perm->flags);
		gpa = hole < end ? hole_end : end;
	}
	return ret;
}

/* The control page's place is a hole in every moment. */
static int write_memory(struct hypr_vm *vm, const struct hypr_moment *moment,
			struct hypr_vmo_writer *writer)
{
	const struct hypr_perm all = { 0, vm->mem_bytes, HYPR_VMO_RUN_RWX };
	uint8_t *buf = malloc(HYPR_PEEK_PAGES * HYPR_PAGE_BYTES);
	size_t i;
	int ret = 0;

	if (!buf)
		return hypr_fail(-ENOMEM, "no memory to write a moment");
	if (!moment->nr_perms)
		ret = write_perm(moment, &all, buf, writer);
	for (i = 0; !ret && i < moment->nr_perms; i++)
		ret = write_perm(moment, &moment->perm[i], buf, writer);
	free(buf);
	return ret;
}

static int write_file(struct hypr_vm *vm, const struct hypr_moment *moment,
		      const struct hypr_save_params *params, struct hypr_vmo *parent,
		      struct hypr_vmo_written *written)
{
	const struct hypr_vmo_params vmo = {
		.size = sizeof(vmo),
		.flags = (params->flags & HYPR_SAVE_REPLACE ? HYPR_VMO_REPLACE : 0) |
			 (params->flags & HYPR_SAVE_COMPRESS ? HYPR_VMO_COMPRESS : 0),
		.mem_bytes = vm->mem_bytes,
		.nr_vcpus = vm->nr_vcpus,
		.parent = parent,
	};
	struct hypr_vmo_writer *writer;
	int ret;

	ret = hypr_vmo_writer_create(params->path, &vmo, &writer);
	if (ret)
		return ret;
	ret = write_memory(vm, moment, writer);
	if (!ret)
		ret = hypr_vmo_state_write(vm, moment->state, writer);
	if (!ret)
		ret = hypr_vmo_writer_commit(writer, written);
	hypr_vmo_writer_destroy(writer);
	return ret;
}

static int save_moment(struct hypr_vm *vm, const struct hypr_moment *moment,
		       const struct hypr_save_params *params, struct hypr_save_result *result)
{
	struct hypr_vmo_written written = { 0 };
	struct hypr_vmo *parent = NULL;
	uint64_t start = hypr_now_ns();
	int ret = 0;

	if (params->parent)
		ret = hypr_vmo_open(params->parent, &parent);
	if (!ret)
		ret = write_file(vm, moment, params, parent, &written);
	hypr_vmo_close(parent);
	result->write_ns = hypr_now_ns() - start;
	result->file_bytes = written.file_bytes;
	result->pages_stored = written.pages_stored;
	result->pages_zero = written.pages_zero;
	result->pages_parent = written.pages_parent;
	memcpy(result->root, written.root, sizeof(result->root));
	return ret;
}

static int save_this_moment(struct hypr_vm *vm, const struct hypr_save_params *params,
			    struct hypr_save_result *result)
{
	struct hypr_snapshot_result taken = { 0 };
	struct hypr_moment *moment;
	int ret;

	ret = hypr_moment_take(vm, &taken, &moment, NULL);
	if (ret)
		return ret;
	result->pause = taken.pause;
	result->pause_cycles = taken.pause_cycles;
	result->copy_cycles = taken.copy_cycles;
	result->precopy_cycles = taken.precopy_cycles;
	result->pages_precopied = taken.pages_precopied;
	result->pages_in_pause = taken.pages_in_pause;
	result->rounds = taken.rounds;
	result->copy = taken.copy;
	ret = save_moment(vm, moment, params, result);
	hypr_moment_destroy(vm, moment);
	return ret;
}

static int save_locked(struct hypr_vm *vm, const char *name,
		       const struct hypr_save_params *params, struct hypr_save_result *result)
{
	struct hypr_view *view;

	if (!name)
		return save_this_moment(vm, params, result);
	view = hypr_view_lookup(vm, name);
	if (!view)
		return -ENOENT;
	if (!view->moment)
		return hypr_fail(-EINVAL, "view '%s' has no moment to be kept; take a snapshot",
				 view->name);
	return save_moment(vm, view->moment, params, result);
}

int hypr_view_save(struct hypr_vm *vm, const char *view, const struct hypr_save_params *params,
		   struct hypr_save_result *result)
{
	struct hypr_save_result unused;
	int ret;

	if (!result)
		result = &unused;
	memset(result, 0, sizeof(*result));
	if (params->size < sizeof(*params) || !params->path ||
	    (params->flags & ~(HYPR_SAVE_REPLACE | HYPR_SAVE_COMPRESS)))
		return hypr_fail(-EINVAL, "save: unknown flags 0x%x, or no file", params->flags);
	ret = hypr_vm_op_begin(vm);
	if (ret)
		return ret;
	ret = save_locked(vm, view, params, result);
	hypr_vm_op_end(vm);
	return ret;
}
