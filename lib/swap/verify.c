// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Verify: compare every page of a view, and of its spare, with its moment, or of the view
 * with a file.  Reading makes no page private.  The control page is left out: it is shared
 * by all views and belongs to none.
 */
#include <stdlib.h>

#include "hypr/vmo.h"
#include "base/error.h"
#include "base/page.h"
#include "base/progress.h"
#include "base/time.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/mender.h"
#include "run/op.h"
#include "swap/pause.h"
#include "view/moment.h"
#include "view/peek.h"
#include "view/record.h"
#include "view/view.h"

static void note_mismatch(struct hypr_verify_result *result, uint64_t gpa)
{
	uint32_t n = result->nr_ranges;

	result->pages_mismatched++;
	if (n && result->range[n - 1].end == gpa) {
		result->range[n - 1].end += HYPR_PAGE_BYTES;
	} else if (n < HYPR_VERIFY_RANGES) {
		result->range[n].start = gpa;
		result->range[n].end = gpa + HYPR_PAGE_BYTES;
		result->nr_ranges++;
	}
}

/**
 * struct comparison - of a view with a moment, or with a file
 * @moment: or NULL
 * @buf: HYPR_PEEK_PAGES pages
 */
struct comparison {
	const struct hypr_view *view;
	const struct hypr_moment *moment;
	struct hypr_vmo *vmo;
	struct hypr_peek peek;
	uint8_t *buf;
};

static int read_other(const struct comparison *c, uint64_t gpa, uint64_t pages,
		      const uint8_t **memp)
{
	if (c->moment)
		return hypr_moment_read(c->moment, hypr_gpa(gpa), pages, c->buf, memp);
	*memp = c->buf;
	return hypr_vmo_read(c->vmo, gpa, c->buf, pages * HYPR_PAGE_BYTES);
}

static int compare_piece(const struct comparison *c, uint64_t gpa, uint64_t pages,
			 struct hypr_verify_result *result)
{
	const uint8_t *have, *want;
	uint64_t i;
	int ret;

	ret = read_other(c, gpa, pages, &want);
	if (!ret)
		ret = hypr_view_look(c->view, &c->peek, hypr_gpa(gpa), pages, &have);
	for (i = 0; !ret && i < pages * HYPR_PAGE_BYTES; i += HYPR_PAGE_BYTES) {
		if (gpa + i == HYPR_CONTROL_GPA)
			continue;
		result->pages_compared++;
		if (memcmp(have + i, want + i, HYPR_PAGE_BYTES))
			note_mismatch(result, gpa + i);
	}
	return ret;
}

static int compare(const struct hypr_vm *vm, const struct comparison *c,
		   struct hypr_verify_result *result)
{
	uint64_t start = hypr_tsc(), gpa, pages;
	int ret = 0;

	for (gpa = 0; !ret && gpa < vm->mem_bytes; gpa += pages * HYPR_PAGE_BYTES) {
		pages = (vm->mem_bytes - gpa) / HYPR_PAGE_BYTES;
		if (pages > HYPR_PEEK_PAGES)
			pages = HYPR_PEEK_PAGES;
		ret = compare_piece(c, gpa, pages, result);
		if (!ret)
			ret = hypr_progress_check();
	}
	result->cycles = hypr_tsc() - start;
	return ret;
}

static int halt_and_compare(struct hypr_vm *vm, const struct comparison *c,
			    struct hypr_verify_result *result)
{
	bool halted;
	int ret;

	ret = hypr_view_halt(vm, c->view, &halted);
	if (ret)
		return ret;
	return hypr_view_go(vm, halted, compare(vm, c, result));
}

static int verify(struct hypr_vm *vm, struct hypr_view *view, struct hypr_vmo *vmo,
		  struct hypr_verify_result *result)
{
	struct comparison c = {
		.view = view,
		.moment = vmo ? NULL : view->moment,
		.vmo = vmo,
		.peek = HYPR_PEEK_INIT,
	};
	int ret;

	c.buf = malloc(HYPR_PEEK_PAGES * HYPR_PAGE_BYTES);
	if (!c.buf)
		return hypr_fail(-ENOMEM, "view '%s': no memory to compare it", view->name);
	ret = hypr_view_is_on_file(view) ? hypr_peek_open(&c.peek) : 0;
	hypr_record_spoil(view, "was verified");
	if (!ret)
		ret = halt_and_compare(vm, &c, result);
	hypr_peek_close(&c.peek);
	free(c.buf);
	return ret;
}

/* One that is not READY is the mender's, or of no use. */
static int verify_spare(struct hypr_vm *vm, const struct hypr_view *view,
			struct hypr_verify_result *result)
{
	struct hypr_verify_result spare = { 0 };
	int ret;

	result->spare = hypr_spare_state(vm, view);
	if (result->spare != HYPR_SPARE_READY)
		return 0;
	ret = verify(vm, view->spare->view, NULL, &spare);
	result->spare_compared = spare.pages_compared;
	result->spare_mismatched = spare.pages_mismatched;
	result->cycles += spare.cycles;
	return ret;
}

static int verify_locked(struct hypr_vm *vm, struct hypr_view *view,
			 struct hypr_verify_result *result)
{
	int ret;

	result->view = view->id;
	memcpy(result->name, view->name, sizeof(result->name));
	if (!view->moment)
		return hypr_fail(-EINVAL, "view '%s' has no moment to be compared with",
				 view->name);
	ret = verify(vm, view, NULL, result);
	return ret ? ret : verify_spare(vm, view, result);
}

int hypr_view_verify(struct hypr_vm *vm, const char *name, struct hypr_verify_result *result)
{
	struct hypr_view *view;
	int ret;

	memset(result, 0, sizeof(*result));
	ret = hypr_vm_op_begin(vm);
	if (ret)
		return ret;
	view = hypr_view_lookup(vm, name);
	ret = view ? verify_locked(vm, view, result) : -ENOENT;
	hypr_vm_op_end(vm);
	return ret;
}

static int compare_locked(struct hypr_vm *vm, const char *name, const char *path,
			  struct hypr_verify_result *result)
{
	struct hypr_view *view = name ? hypr_view_lookup(vm, name) : vm->active;
	struct hypr_vmo_info info;
	struct hypr_vmo *vmo;
	int ret;

	if (!view)
		return -ENOENT;
	result->view = view->id;
	memcpy(result->name, view->name, sizeof(result->name));
	ret = hypr_vmo_open(path, &vmo);
	if (ret)
		return ret;
	hypr_vmo_info(vmo, &info);
	if (info.mem_bytes != vm->mem_bytes)
		ret = hypr_fail(-EINVAL, "%s: %llu MiB, where the VM has %llu", path,
				(unsigned long long)info.mem_bytes >> 20,
				(unsigned long long)vm->mem_bytes >> 20);
	else
		ret = verify(vm, view, vmo, result);
	hypr_vmo_close(vmo);
	return ret;
}

int hypr_view_compare(struct hypr_vm *vm, const char *name, const char *path,
		      struct hypr_verify_result *result)
{
	int ret;

	memset(result, 0, sizeof(*result));
	ret = hypr_vm_op_begin(vm);
	if (ret)
		return ret;
	ret = compare_locked(vm, name, path, result);
	hypr_vm_op_end(vm);
	return ret;
}
