// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What guests ask for: docs/spec/guest-requests.md.  All that a guest says is hostile:
 * its block is read once, checked, and each address goes through poke.c.
 *
 * The vCPU waits behind its request, so a moment that it asks for has the answer
 * already, and a request goes on at most once.  A request that is still unanswered when
 * other registers are set is forgotten (hypr_vcpus_forget()), and the guest asks again.
 */
#include <stdio.h>
#include <string.h>

#include "hypr/abi/request.h"
#include "hypr/run.h"
#include "base/error.h"
#include "base/page.h"
#include "base/paging.h"
#include "model/vcpu.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "swap/ask.h"
#include "swap/back.h"
#include "swap/pause.h"
#include "swap/snapshot.h"
#include "swap/swap.h"
#include "view/poke.h"
#include "view/spare.h"
#include "view/view.h"

/**
 * struct asking - a request that is being served
 * @block_gpa: of its block
 */
struct asking {
	struct hypr_vm *vm;
	struct hypr_vcpu *vcpu;
	uint64_t block_gpa;
	struct hypr_request block;
};

/* ---- addresses ------------------------------------------------------------- */

static bool read_entry(void *arg, uint64_t gpa, uint32_t bytes, uint64_t *entry)
{
	*entry = 0;
	return !hypr_poke_get(arg, gpa, entry, bytes);
}

/* Pages that a user program of the vCPU may write, and no others. */
static int translate(const struct asking *asking, uint64_t gva, uint64_t *gpa)
{
	static const struct hypr_paging paging = { .size = sizeof(paging) };
	struct hypr_view *view = asking->vm->active;
	const struct hypr_paging_memory memory = { read_entry, view, asking->vm->mem_bytes };
	const uint32_t wanted = HYPR_RIGHT_WRITE | HYPR_RIGHT_USER;
	struct hypr_translation result = { 0 };

	if (hypr_paging_look(&memory, &paging, &asking->vcpu->ask.sregs, gva, &result) ||
	    !result.in_memory || (result.rights & wanted) != wanted)
		return -EFAULT;
	*gpa = result.gpa;
	return 0;
}

static int translate_addr(const struct asking *asking, uint64_t addr, uint64_t *gpa)
{
	*gpa = addr;
	return asking->vcpu->ask.is_virtual ? translate(asking, addr, gpa) : 0;
}

/*
 * Bytes to where the guest wants them.  All their pages are looked up before the first is
 * written, so that a request that fails writes nothing.
 */
static int give(const struct asking *asking, const uint8_t *from, uint64_t bytes)
{
	uint64_t at, part, gpa;
	uint8_t unused;
	int ret = 0, pass;

	if (!asking->vcpu->ask.is_virtual)
		return hypr_poke_put(asking->vm->active, asking->block.addr, from, bytes);
	for (pass = 0; pass < 2; pass++) {
		for (at = 0; !ret && at < bytes; at += part) {
			uint64_t addr = asking->block.addr + at;

			part = HYPR_PAGE_BYTES - addr % HYPR_PAGE_BYTES;
			part = part < bytes - at ? part : bytes - at;
			ret = translate(asking, addr, &gpa);
			if (!ret && pass)
				ret = hypr_poke_put(asking->vm->active, gpa, from + at, part);
			else if (!ret)
				ret = hypr_poke_get(asking->vm->active, gpa, &unused, 1);
		}
	}
	return ret;
}

/* ---- the block ------------------------------------------------------------- */

/* Return: false: there is no block; the guest gets no answer. */
static bool read_block(struct asking *asking)
{
	uint32_t addr = asking->vcpu->ask.addr;

	return addr % HYPR_REQUEST_BYTES == 0 &&
	       !translate_addr(asking, addr, &asking->block_gpa) &&
	       !hypr_poke_get(asking->vm->active, asking->block_gpa, &asking->block,
			      sizeof(asking->block));
}

static void answer(const struct asking *asking, uint32_t status)
{
	struct hypr_view *view = asking->vm->active;

	hypr_poke_put(view, asking->block_gpa + offsetof(struct hypr_request, bytes),
		      &asking->block.bytes, sizeof(asking->block.bytes));
	hypr_poke_put(view, asking->block_gpa + offsetof(struct hypr_request, status), &status,
		      sizeof(status));
}

/* ---- the requests ---------------------------------------------------------- */

static void finish(const struct asking *asking, int what, struct hypr_run_result *result)
{
	result->what = what;
	result->vcpu = asking->vcpu->index;
	result->value = asking->block.value;
}

static void report(const struct asking *asking, struct hypr_run_result *result)
{
	answer(asking, HYPR_REQUEST_DONE);
	finish(asking, HYPR_RUN_REPORT, result);
}

static void panic(const struct asking *asking, struct hypr_run_result *result)
{
	answer(asking, HYPR_REQUEST_DONE);
	finish(asking, HYPR_RUN_CRASH, result);
	result->end = HYPR_END_PANIC;
	snprintf(result->reason, sizeof(result->reason), "guest panicked, by a request: 0x%llx",
		 (unsigned long long)result->value);
}

static bool has_input(const struct hypr_run_params *params, const struct hypr_run_result *result)
{
	return params->input && !result->inputs;
}

/* Return: false: it waits for the next hypr_vm_run(). */
static bool input(struct asking *asking, const struct hypr_run_params *params,
		  struct hypr_run_result *result)
{
	uint32_t room = asking->block.bytes;

	if (!has_input(params, result)) {
		finish(asking, HYPR_RUN_INPUT, result);
		result->value = 0;
		return false;
	}
	asking->block.bytes = (uint32_t)params->input_bytes;
	if (params->input_bytes > room) {
		answer(asking, HYPR_REQUEST_TOO_LONG);
		return true;
	}
	if (give(asking, params->input, params->input_bytes)) {
		asking->block.bytes = 0;
		answer(asking, HYPR_REQUEST_FAULT);
		return true;
	}
	result->inputs++;
	answer(asking, HYPR_REQUEST_DONE);
	return true;
}

/* The view that an earlier request made, and that nobody can want any more. */
static void drop_moment(struct hypr_vm *vm, struct hypr_view *view, unsigned int number)
{
	char name[HYPR_NAME_MAX];

	snprintf(name, sizeof(name), "guest.%u", number);
	if (view != vm->active && !strcmp(view->name, name))
		hypr_view_destroy(vm, view);
}

/* Return: 0, the guest goes on in @to; else @to may be destroyed. */
static int enter_moment(struct hypr_vm *vm, struct hypr_view *to)
{
	struct hypr_swap_result swap = { 0 };
	int ret = vm->flags & HYPR_VM_GUEST_SPARES ? hypr_spare_add(vm, to) : 0;

	return ret ? ret : hypr_swap_locked(vm, to, 0, &swap, NULL);
}

/* A name that is free: the host may have views of such names, too. */
static unsigned int next_moment(struct hypr_vm *vm, char name[HYPR_NAME_MAX])
{
	unsigned int number = vm->moments;

	do
		snprintf(name, HYPR_NAME_MAX, "guest.%u", ++number);
	while (hypr_view_find(vm, name));
	return number;
}

static int moment(struct asking *asking, struct hypr_run_result *result)
{
	struct hypr_vm *vm = asking->vm;
	struct hypr_snapshot_result snapshot = { 0 };
	struct hypr_view *from = vm->active, *to;
	unsigned int number;
	char name[HYPR_NAME_MAX];
	int ret;

	number = next_moment(vm, name);
	answer(asking, HYPR_REQUEST_DONE);
	ret = hypr_snapshot_locked(vm, name, &snapshot);
	if (ret) {
		answer(asking, HYPR_REQUEST_FAILED);
		return hypr_vm_check_alive(vm);
	}
	to = hypr_view_lookup(vm, name);
	ret = enter_moment(vm, to);
	if (ret) {
		hypr_view_destroy(vm, to);
		answer(asking, HYPR_REQUEST_FAILED);
		return hypr_vm_check_alive(vm);
	}
	drop_moment(vm, from, vm->moments);
	vm->moments = number;
	result->moments++;
	return 0;
}

static int back(struct asking *asking, struct hypr_run_result *result)
{
	struct hypr_vm *vm = asking->vm;
	struct hypr_swap_result swap = { 0 };
	struct hypr_reset_result reset = { 0 };

	if (!vm->active->moment) {
		answer(asking, HYPR_REQUEST_NO_MOMENT);
		return 0;
	}
	if (hypr_reset_active(vm, vm->active, 0, &swap, &reset)) {
		if (hypr_vm_check_alive(vm))
			return -ESHUTDOWN;
		answer(asking, HYPR_REQUEST_FAILED);
		return 0;
	}
	result->resets++;
	result->resets_by_spare += reset.way == HYPR_RESET_SPARE;
	result->reset_cycles += swap.total_cycles;
	result->reset_pages += reset.pages_restored;
	return 0;
}

static void done(struct hypr_vcpu *vcpu, bool served, struct hypr_run_result *result)
{
	struct hypr_vm *vm = vcpu->vm;

	pthread_mutex_lock(&vm->run_lock);
	vcpu->asks = false;
	vm->requests_refused += !served;
	pthread_mutex_unlock(&vm->run_lock);
	vm->requests += served;
	result->requests += served;
}

int hypr_ask_serve(struct hypr_vm *vm, struct hypr_vcpu *vcpu,
		       const struct hypr_run_params *params, struct hypr_run_result *result)
{
	struct asking asking = { .vm = vm, .vcpu = vcpu };
	bool served = true;
	int ret = 0;

	if (!read_block(&asking)) {
		done(vcpu, false, result);
		return 0;
	}
	if (asking.block.reserved)
		asking.block.op = 0;
	/* An input that is there is handed over, and that is all. */
	if (asking.block.op == HYPR_REQUEST_MOMENT || asking.block.op == HYPR_REQUEST_BACK)
		ret = hypr_vm_rest(vm);
	else if (asking.block.op != HYPR_REQUEST_INPUT || !has_input(params, result))
		ret = hypr_vm_rest_noted(vm);
	if (ret)
		return ret;
	switch (asking.block.op) {
	case HYPR_REQUEST_REPORT:
		report(&asking, result);
		break;
	case HYPR_REQUEST_PANIC:
		panic(&asking, result);
		break;
	case HYPR_REQUEST_INPUT:
		if (!input(&asking, params, result))
			return 0;
		break;
	case HYPR_REQUEST_MOMENT:
		ret = moment(&asking, result);
		break;
	case HYPR_REQUEST_BACK:
		ret = back(&asking, result);
		break;
	default:
		answer(&asking, HYPR_REQUEST_INVALID);
		served = false;
	}
	done(vcpu, served, result);
	return ret;
}
