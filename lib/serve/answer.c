// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Doing what a request asks, and its answer.  Every answer has "ok"; one that
 * is ok names the VM and its engine, one that is not has "errno"
 * (a number) and "error" (words).  The rest is a result of hypr.h (result.c)
 * and what the request named.
 */
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/page.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "serve/protocol.h"
#include "serve/result.h"
#include "vm/info.h"

#define INFO_WAIT_MS	100	/* for an operation to end, before the VM is called busy */

/* Also while an operation is under way, with what can be told then. */
static json_t *serve_info(struct hypr_vm *vm)
{
	struct hypr_vm_info info;
	json_t *answer;

	hypr_vm_info_within(vm, INFO_WAIT_MS, &info);
	answer = hypr_json_vm_info(&info);
	json_object_set_new(answer, "pid", json_integer(getpid()));
	return answer;
}

/* What the request named, beside the result: strings that are "" are left out. */
static json_t *named(json_t *answer, const char *name, const char *file)
{
	if (name[0])
		json_object_set_new(answer, "name", json_string(name));
	if (file[0])
		json_object_set_new(answer, "file", json_string(file));
	return answer;
}

static const char *or_null(const char *text)
{
	return text[0] ? text : NULL;
}

static json_t *serve_pause(struct hypr_vm *vm, int *ret)
{
	struct hypr_pause_result r;

	*ret = hypr_vm_pause(vm, &r);
	return *ret ? NULL : hypr_json_pause(&r);
}

static json_t *serve_save(struct hypr_vm *vm, const struct hypr_request *request, int *ret)
{
	const struct hypr_save_params params = {
		.size = sizeof(params),
		.flags = request->flags,
		.path = request->file,
		.parent = or_null(request->parent),
	};
	struct hypr_save_result r;

	*ret = hypr_view_save(vm, or_null(request->view), &params, &r);
	return *ret ? NULL : named(hypr_json_save(&r), request->view, request->file);
}

/* All or nothing: a view without the spare that was asked for does not stay. */
static int add_spare(struct hypr_vm *vm, const struct hypr_request *request)
{
	char why[HYPR_ERROR_TEXT_MAX];
	int ret = request->spare ? hypr_view_spare(vm, request->view) : 0;

	if (!ret)
		return 0;
	snprintf(why, sizeof(why), "%s", hypr_error());
	hypr_view_remove(vm, request->view);
	return hypr_fail(ret, "%s", why);
}

static json_t *serve_load(struct hypr_vm *vm, const struct hypr_request *request, int *ret)
{
	struct hypr_snapshot_result r;

	*ret = hypr_view_load(vm, request->view, request->file, request->flags, &r);
	if (!*ret)
		*ret = add_spare(vm, request);
	return *ret ? NULL : named(hypr_json_snapshot(&r), request->view, request->file);
}

static json_t *serve_working_set(struct hypr_vm *vm, const struct hypr_request *request,
				 int *ret)
{
	struct hypr_working_set_result r;

	*ret = hypr_view_working_set(vm, or_null(request->view), or_null(request->file),
				     request->flags, &r);
	return *ret ? NULL : named(hypr_json_working_set(&r), request->view, "");
}

static json_t *serve_snapshot(struct hypr_vm *vm, const struct hypr_request *request, int *ret)
{
	struct hypr_snapshot_result r;

	*ret = hypr_view_snapshot(vm, request->view, &r);
	if (!*ret)
		*ret = add_spare(vm, request);
	return *ret ? NULL : named(hypr_json_snapshot(&r), request->view, "");
}

static json_t *serve_views(struct hypr_vm *vm)
{
	struct hypr_view_info view[KVM_HYPR_MAX_VIEWS];
	json_t *list = json_array();
	int i, n;

	n = hypr_view_list(vm, view, KVM_HYPR_MAX_VIEWS);
	for (i = 0; i < n && i < KVM_HYPR_MAX_VIEWS; i++)
		json_array_append_new(list, hypr_json_view_info(&view[i]));
	return json_pack("{s:o}", "views", list);
}

static json_t *serve_swap(struct hypr_vm *vm, const struct hypr_request *request, int *ret)
{
	struct hypr_swap_result r;
	json_t *answer;

	*ret = hypr_view_swap(vm, request->view, request->flags, &r);
	if (*ret)
		return NULL;
	answer = hypr_json_swap(&r);
	json_object_set_new(answer, "reset", json_boolean(request->flags & HYPR_SWAP_RESET));
	return answer;
}

static json_t *serve_reset(struct hypr_vm *vm, const struct hypr_request *request, int *ret)
{
	struct hypr_reset_result r;

	*ret = hypr_view_reset_by(vm, request->view, request->flags, &r);
	return *ret ? NULL : named(hypr_json_reset(&r), request->view, "");
}

/* With a file, or with the view's moment. */
static json_t *serve_verify(struct hypr_vm *vm, const struct hypr_request *request, int *ret)
{
	const char *view = or_null(request->view);
	struct hypr_verify_result r;

	*ret = request->op == HYPR_OP_COMPARE ? hypr_view_compare(vm, view, request->file, &r) :
						hypr_view_verify(vm, view, &r);
	return *ret ? NULL : named(hypr_json_verify(&r), "", request->file);
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

static int add_run(void *list, const struct hypr_page_run *run)
{
	if (json_array_size(list) == HYPR_RUNS_MAX)
		return hypr_fail(-E2BIG, "its pages are in more than %d runs, too many for an answer; draw a file of it (hypr snapshot -o FILE)",
				 HYPR_RUNS_MAX);
	if (json_array_append_new(list, json_pack("[I, I, i]",
						  (json_int_t)(run->gpa / HYPR_PAGE_BYTES),
						  (json_int_t)run->pages, (int)run->flags)))
		return hypr_fail(-ENOMEM, "no memory for a list of pages");
	return 0;
}

static json_t *serve_mem(struct hypr_vm *vm, const struct hypr_request *request, int *ret)
{
	json_t *list = request->runs ? json_array() : NULL, *answer = NULL;
	struct hypr_pages_result r;

	*ret = hypr_view_pages(vm, or_null(request->view), list ? add_run : NULL, list, &r);
	if (!*ret) {
		answer = hypr_json_pages(&r);
		if (list)
			json_object_set(answer, "run", list);
	}
	json_decref(list);
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
		return serve_snapshot(vm, request, ret);
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
		return serve_reset(vm, request, ret);
	case HYPR_OP_VERIFY:
	case HYPR_OP_COMPARE:
		return serve_verify(vm, request, ret);
	case HYPR_OP_TRANSLATE:
		return serve_translate(vm, request, ret);
	case HYPR_OP_MEM:
		return serve_mem(vm, request, ret);
	case HYPR_OP_REMOVE:
		*ret = hypr_view_remove(vm, request->view);
		return named(json_object(), request->view, "");
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
