// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Doing what a request asks, and its answer.  Every answer has "ok"; one that
 * is ok names the VM, its engine and the operation, one that is not has "errno"
 * (a number) and "error" (words).  Field names are those of hypr.h.
 */
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "serve/protocol.h"
#include "vm/info.h"

#define INFO_WAIT_MS	100	/* for an operation to end, before the VM is called busy */

/* Also while an operation is under way, with what can be told then. */
static json_t *serve_info(struct hypr_vm *vm)
{
	struct hypr_vm_info info;
	json_t *answer;

	hypr_vm_info_within(vm, INFO_WAIT_MS, &info);
	answer = json_pack("{s:s, s:i, s:i, s:I, s:i, s:I, s:i}",
			   "state", hypr_vm_state_name(info.state),
			   "vcpus", (int)info.vcpus,
			   "views_max", (int)info.views_max,
			   "mem_bytes", (json_int_t)info.mem_bytes,
			   "guest_vcpus", (int)info.guest_vcpus,
			   "guest_pauses", (json_int_t)info.guest_pauses,
			   "pid", (int)getpid());
	if (info.state == HYPR_VM_BUSY)
		return answer;
	json_object_set_new(answer, "active_view", json_string(info.active_view));
	json_object_set_new(answer, "views", json_integer(info.views));
	json_object_set_new(answer, "swaps", json_integer((json_int_t)info.swaps));
	json_object_set_new(answer, "generation", json_integer((json_int_t)info.generation));
	return answer;
}

static json_t *serve_pause(struct hypr_vm *vm, int *ret)
{
	struct hypr_pause_result r;

	*ret = hypr_vm_pause(vm, &r);
	return json_pack("{s:s, s:I}",
			 "pause", hypr_pause_name(r.pause),
			 "pause_cycles", (json_int_t)r.pause_cycles);
}

static json_t *serve_save(struct hypr_vm *vm, const struct hypr_request *request, int *ret)
{
	const struct hypr_save_params params = {
		.size = sizeof(params),
		.flags = request->flags,
		.path = request->file,
		.parent = request->parent[0] ? request->parent : NULL,
	};
	const char *view = request->view[0] ? request->view : NULL;
	char root[2 * sizeof(((struct hypr_save_result *)0)->root) + 1];
	struct hypr_save_result r;
	size_t i;

	*ret = hypr_view_save(vm, view, &params, &r);
	for (i = 0; i < sizeof(r.root); i++)
		snprintf(root + 2 * i, 3, "%02x", r.root[i]);
	return json_pack("{s:s, s:s?, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I}",
			 "file", request->file,
			 "view", view,
			 "root", root,
			 "pause", hypr_pause_name(r.pause),
			 "pause_cycles", (json_int_t)r.pause_cycles,
			 "copy_cycles", (json_int_t)r.copy_cycles,
			 "write_ns", (json_int_t)r.write_ns,
			 "file_bytes", (json_int_t)r.file_bytes,
			 "pages_stored", (json_int_t)r.pages_stored,
			 "pages_zero", (json_int_t)r.pages_zero,
			 "pages_parent", (json_int_t)r.pages_parent,
			 "copy", hypr_copy_name(r.copy),
			 "precopy_cycles", (json_int_t)r.precopy_cycles,
			 "rounds", (json_int_t)r.rounds,
			 "pages_precopied", (json_int_t)r.pages_precopied,
			 "pages_in_pause", (json_int_t)r.pages_in_pause);
}

static json_t *serve_load(struct hypr_vm *vm, const struct hypr_request *request, int *ret)
{
	struct hypr_snapshot_result r;

	*ret = hypr_view_load(vm, request->view, request->file, request->flags, &r);
	return json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I}",
			 "view", request->view,
			 "file", request->file,
			 "number", (int)r.view,
			 "prepare_cycles", (json_int_t)r.prepare_cycles,
			 "total_cycles", (json_int_t)r.total_cycles,
			 "pages_total", (json_int_t)r.pages_total,
			 "pages_stored", (json_int_t)r.pages_stored,
			 "pages_mapped", (json_int_t)r.pages_mapped);
}

static json_t *serve_working_set(struct hypr_vm *vm, const struct hypr_request *request,
				 int *ret)
{
	const char *view = request->view[0] ? request->view : NULL;
	const char *file = request->file[0] ? request->file : NULL;
	struct hypr_working_set_result r;

	*ret = hypr_view_working_set(vm, view, file, request->flags, &r);
	return json_pack("{s:s?, s:i, s:s, s:I, s:I, s:I}",
			 "view", view,
			 "number", (int)r.view,
			 "file", r.path,
			 "pages", (json_int_t)r.pages,
			 "pages_total", (json_int_t)r.pages_total,
			 "ranges", (json_int_t)r.ranges);
}

static json_t *serve_snapshot(struct hypr_vm *vm, const char *view, int *ret)
{
	struct hypr_snapshot_result r;

	*ret = hypr_view_snapshot(vm, view, &r);
	return json_pack("{s:s, s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:I, s:I, s:I, s:I}",
			 "view", view,
			 "number", (int)r.view,
			 "pause", hypr_pause_name(r.pause),
			 "pause_cycles", (json_int_t)r.pause_cycles,
			 "copy_cycles", (json_int_t)r.copy_cycles,
			 "prepare_cycles", (json_int_t)r.prepare_cycles,
			 "total_cycles", (json_int_t)r.total_cycles,
			 "pages_total", (json_int_t)r.pages_total,
			 "pages_stored", (json_int_t)r.pages_stored,
			 "pages_mapped", (json_int_t)r.pages_mapped,
			 "copy", hypr_copy_name(r.copy),
			 "precopy_cycles", (json_int_t)r.precopy_cycles,
			 "rounds", (json_int_t)r.rounds,
			 "pages_precopied", (json_int_t)r.pages_precopied,
			 "pages_in_pause", (json_int_t)r.pages_in_pause);
}

static json_t *describe_view(const struct hypr_view_info *view)
{
	return json_pack("{s:s, s:i, s:b, s:b, s:b, s:I, s:I, s:I, s:I}",
			 "name", view->name,
			 "number", (int)view->view,
			 "active", view->active,
			 "prepared", view->prepared,
			 "has_moment", view->has_moment,
			 "swaps", (json_int_t)view->swaps,
			 "resets", (json_int_t)view->resets,
			 "private_pages", (json_int_t)view->private_pages,
			 "stored_pages", (json_int_t)view->stored_pages);
}

static json_t *serve_views(struct hypr_vm *vm)
{
	struct hypr_view_info view[KVM_HYPR_MAX_VIEWS];
	json_t *list = json_array();
	int i, n;

	n = hypr_view_list(vm, view, KVM_HYPR_MAX_VIEWS);
	for (i = 0; i < n && i < KVM_HYPR_MAX_VIEWS; i++)
		json_array_append_new(list, describe_view(&view[i]));
	return json_pack("{s:o}", "views", list);
}

static json_t *serve_swap(struct hypr_vm *vm, const struct hypr_request *request, int *ret)
{
	struct hypr_swap_result r;

	*ret = hypr_view_swap(vm, request->view, request->flags, &r);
	return json_pack("{s:s, s:s, s:i, s:i, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}",
			 "old_view", r.old_name,
			 "new_view", r.new_name,
			 "old_number", (int)r.old_view,
			 "new_number", (int)r.new_view,
			 "pause", hypr_pause_name(r.pause),
			 "forced_vcpus", (int)r.forced_vcpus,
			 "generation", (json_int_t)r.generation,
			 "pause_cycles", (json_int_t)r.pause_cycles,
			 "commit_cycles", (json_int_t)r.commit_cycles,
			 "ioctl_cycles", (json_int_t)r.ioctl_cycles,
			 "state_cycles", (json_int_t)r.state_cycles,
			 "total_cycles", (json_int_t)r.total_cycles,
			 "reset_cycles", (json_int_t)r.reset_cycles,
			 "pages_restored", (json_int_t)r.pages_restored,
			 "reset", !!(request->flags & HYPR_SWAP_RESET));
}

static json_t *serve_reset(struct hypr_vm *vm, const char *view, int *ret)
{
	struct hypr_reset_result r;

	*ret = hypr_view_reset(vm, view, &r);
	return json_pack("{s:s, s:i, s:s, s:I, s:I, s:I, s:I, s:I}",
			 "view", view,
			 "number", (int)r.view,
			 "pause", hypr_pause_name(r.pause),
			 "pages_restored", (json_int_t)r.pages_restored,
			 "pause_cycles", (json_int_t)r.pause_cycles,
			 "restore_cycles", (json_int_t)r.restore_cycles,
			 "prepare_cycles", (json_int_t)r.prepare_cycles,
			 "total_cycles", (json_int_t)r.total_cycles);
}

/* With a file, or with the view's moment. */
static json_t *serve_verify(struct hypr_vm *vm, const struct hypr_request *request, int *ret)
{
	const char *file = request->op == HYPR_OP_COMPARE ? request->file : NULL;
	const char *view = request->view[0] ? request->view : NULL;
	json_t *ranges = json_array();
	struct hypr_verify_result r;
	uint32_t i;

	*ret = file ? hypr_view_compare(vm, view, file, &r) : hypr_view_verify(vm, view, &r);
	for (i = 0; i < r.nr_ranges; i++)
		json_array_append_new(ranges,
				      json_pack("{s:I, s:I}",
						"start", (json_int_t)r.range[i].start,
						"end", (json_int_t)r.range[i].end));
	return json_pack("{s:s, s:s*, s:i, s:I, s:I, s:I, s:o}",
			 "view", r.name,
			 "file", file,
			 "number", (int)r.view,
			 "pages_compared", (json_int_t)r.pages_compared,
			 "pages_mismatched", (json_int_t)r.pages_mismatched,
			 "cycles", (json_int_t)r.cycles,
			 "mismatched", ranges);
}

static json_t *json_address(uint64_t address)
{
	return json_sprintf("0x%llx", (unsigned long long)address);
}

/* An address that is not mapped is an answer, too. */
static json_t *serve_translate(struct hypr_vm *vm, const struct hypr_request *request, int *ret)
{
	const char *view = request->view[0] ? request->view : NULL;
	char rights[] = "----";
	struct hypr_translation r;
	json_t *answer;
	unsigned int i;

	*ret = hypr_view_translate(vm, view, request->gva, &request->paging, &r);
	for (i = 0; i < 4; i++)
		rights[i] = r.rights & 1u << i ? "rwxu"[i] : '-';
	answer = json_pack("{s:o, s:o, s:I, s:s, s:s, s:i, s:i, s:b, s:o, s:o, s:o}",
			   "gva", json_address(request->gva), "gpa", json_address(r.gpa),
			   "page_bytes", (json_int_t)r.page_bytes, "rights", rights,
			   "fault", hypr_fault_name((int)r.fault), "level", (int)r.level,
			   "levels", (int)r.levels, "in_memory", (int)r.in_memory,
			   "entry_gpa", json_address(r.entry_gpa),
			   "entry", json_address(r.entry), "cr3", json_address(r.cr3));
	if (*ret == -EFAULT && r.fault) {
		json_object_set_new(answer, "reason", json_string(hypr_error()));
		*ret = 0;
	}
	return answer;
}

static json_t *serve(struct hypr_vm *vm, const struct hypr_request *request, bool *stop,
		     int *ret)
{
	*ret = 0;
	switch (request->op) {
	case HYPR_OP_INFO:
		return serve_info(vm);
	case HYPR_OP_PAUSE:
		return serve_pause(vm, ret);
	case HYPR_OP_RESUME:
		*ret = hypr_vm_resume(vm);
		return json_object();
	case HYPR_OP_SNAPSHOT:
		return serve_snapshot(vm, request->view, ret);
	case HYPR_OP_SAVE:
		return serve_save(vm, request, ret);
	case HYPR_OP_LOAD:
		return serve_load(vm, request, ret);
	case HYPR_OP_WORKING_SET:
		return serve_working_set(vm, request, ret);
	case HYPR_OP_VIEWS:
		return serve_views(vm);
	case HYPR_OP_SWAP:
		return serve_swap(vm, request, ret);
	case HYPR_OP_RESET:
		return serve_reset(vm, request->view, ret);
	case HYPR_OP_VERIFY:
	case HYPR_OP_COMPARE:
		return serve_verify(vm, request, ret);
	case HYPR_OP_TRANSLATE:
		return serve_translate(vm, request, ret);
	case HYPR_OP_REMOVE:
		*ret = hypr_view_remove(vm, request->view);
		return json_pack("{s:s}", "view", request->view);
	default:
		/* Its owner joins the threads; the answer goes out first. */
		hypr_vm_end(vm, false, "stopped");
		*stop = true;
		return json_object();
	}
}

char *hypr_request_serve(struct hypr_vm *vm, const struct hypr_request *request, bool *stop)
{
	json_t *answer;
	char *text;
	int ret;

	*stop = false;
	answer = serve(vm, request, stop, &ret);
	if (ret) {
		json_decref(answer);
		if (ret == -ECANCELED && hypr_vm_has_ended(vm))
			ret = hypr_fail(-ESHUTDOWN, "given up: the guest has ended: %s",
					vm->end_reason);
		return hypr_answer_error(ret, hypr_error());
	}
	json_object_set_new(answer, "ok", json_true());
	json_object_set_new(answer, "vm", json_string(vm->name));
	json_object_set_new(answer, "engine", json_string(hypr_vm_engine_name(vm)));
	text = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	return text;
}

char *hypr_answer_error(int err, const char *text)
{
	/* Words may quote what a request had in it: whatever is not UTF-8 goes. */
	json_t *answer = json_pack("{s:b, s:i, s:s}", "ok", 0, "errno", -err, "error", text);
	char *line;

	if (!answer)
		answer = json_pack("{s:b, s:i, s:s}", "ok", 0, "errno", -err,
				   "error", "request failed");
	line = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	return line;
}
