// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hypr_vm_run(): run until the guest reports or crashes, or time is up.
 *
 * A vCPU that makes a request, or meets what would end the VM, notes it and holds all vCPUs
 * (run/hold.c).  The caller's thread finds the note, brings the VM to a pause, serves what
 * the guest wants, and lets the VM go on or leaves it paused.  It does not hold op_lock
 * while it waits: another operation may come between, and a note whose registers are
 * gone is forgotten.
 */
#include <string.h>

#include "hypr/run.h"
#include "base/error.h"
#include "base/time.h"
#include "model/vcpu.h"
#include "model/vm.h"
#include "run/back.h"
#include "run/hold.h"
#include "run/op.h"
#include "swap/pause.h"
#include "swap/ask.h"

static struct hypr_vcpu *asking_locked(struct hypr_vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpu[i].asks)
			return &vm->vcpu[i];
	}
	return NULL;
}

static struct hypr_vcpu *asking(struct hypr_vm *vm)
{
	struct hypr_vcpu *vcpu;

	pthread_mutex_lock(&vm->run_lock);
	vcpu = asking_locked(vm);
	pthread_mutex_unlock(&vm->run_lock);
	return vcpu;
}

static bool is_past(uint64_t deadline)
{
	return deadline && hypr_now_ns() >= deadline;
}

/* Until there is a note, or the VM has ended, or time is up. */
static void wait_for_note(struct hypr_vm *vm, uint64_t deadline)
{
	int ret = 0;

	pthread_mutex_lock(&vm->run_lock);
	while (!ret && !vm->ended && !vm->runner.end && !asking_locked(vm)) {
		if (deadline)
			ret = hypr_cond_wait_until(&vm->held_cond, &vm->run_lock, deadline);
		else
			pthread_cond_wait(&vm->held_cond, &vm->run_lock);
	}
	pthread_mutex_unlock(&vm->run_lock);
}

/* Return: true: something that would have ended the VM was noted, and is in @result. */
static bool take_end(struct hypr_vm *vm, struct hypr_run_result *result)
{
	struct hypr_runner *runner = &vm->runner;
	bool ends;

	pthread_mutex_lock(&vm->run_lock);
	ends = runner->end != HYPR_END_NONE;
	if (ends) {
		result->what = hypr_end_is_bad(runner->end) ? HYPR_RUN_CRASH : HYPR_RUN_QUIT;
		result->end = runner->end;
		result->vcpu = runner->vcpu;
		memcpy(result->reason, runner->reason, sizeof(result->reason));
	}
	pthread_mutex_unlock(&vm->run_lock);
	return ends;
}

/* The vCPUs are held, or on their way: none of them can park. */
static int hold(struct hypr_vm *vm, struct hypr_run_result *result)
{
	uint64_t start = hypr_tsc();
	int ret;

	if (vm->paused)
		return 0;
	ret = hypr_vcpus_hold(vm);
	result->stop_cycles = hypr_tsc() - start;
	return ret;
}

static int go(struct hypr_vm *vm)
{
	vm->paused = false;
	vm->noted = false;
	/* The first thing that the guest does may be to ask. */
	hypr_back_allow(vm);
	return hypr_vm_go(vm);
}

/*
 * Serve what there is; op_lock held.  result->what is set when the run is over.  What needs
 * the vCPUs' state has it saved: hypr_vm_rest(); what leaves the VM paused has it noted.
 */
static int serve(struct hypr_vm *vm, const struct hypr_run_params *params, uint64_t deadline,
		 struct hypr_run_result *result)
{
	bool was_paused = vm->paused;
	struct hypr_vcpu *vcpu;
	int ret = hold(vm, result);

	if (ret)
		return ret;
	if (take_end(vm, result))
		return hypr_vm_rest_noted(vm);
	while (!ret && !result->what && !is_past(deadline) && (vcpu = asking(vm)))
		ret = hypr_ask_serve(vm, vcpu, params, result);
	if (!ret && !result->what && is_past(deadline)) {
		result->what = HYPR_RUN_TIMEOUT;
		ret = hypr_vm_rest_noted(vm);
	}
	if (ret || result->what || was_paused)
		return ret;
	if (vm->paused)
		return go(vm);
	hypr_back_allow(vm);
	hypr_vcpus_release(vm);
	return 0;
}

static int begin(struct hypr_vm *vm, struct hypr_back *before)
{
	bool busy;
	int ret;

	ret = hypr_vm_op_begin_memory(vm);
	if (ret)
		return ret;
	pthread_mutex_lock(&vm->run_lock);
	busy = vm->runner.on;
	*before = vm->back;
	if (!busy)
		vm->runner = (struct hypr_runner){ .on = true };
	pthread_mutex_unlock(&vm->run_lock);
	hypr_vm_op_end(vm);
	return busy ? hypr_fail(-EBUSY, "%s: another thread is in hypr_vm_run()", vm->name) : 0;
}

static int set_off(struct hypr_vm *vm, unsigned int flags)
{
	int ret = hypr_vm_op_begin_memory(vm);

	if (ret)
		return ret;
	if (vm->paused && (vm->paused_by_run || !(flags & HYPR_RUN_KEEP_PAUSED)))
		ret = go(vm);
	hypr_vm_op_end(vm);
	return ret;
}

static void count_backs(const struct hypr_vm *vm, const struct hypr_back *before,
			struct hypr_run_result *result)
{
	result->resets_in_kernel = vm->back.settled - before->settled;
	result->requests += result->resets_in_kernel;
	result->resets += result->resets_in_kernel;
	result->resets_by_spare += vm->back.spares - before->spares;
	result->reset_cycles += vm->back.cycles - before->cycles;
	result->reset_pages += vm->back.pages - before->pages;
}

/*
 * A VM that still runs goes on by the ordinary rules, what was asked unanswered.
 * @before: vm->back at the begin
 */
static void end(struct hypr_vm *vm, const struct hypr_back *before, struct hypr_run_result *result)
{
	pthread_mutex_lock(&vm->op_lock);
	pthread_mutex_lock(&vm->run_lock);
	vm->runner.on = false;
	pthread_mutex_unlock(&vm->run_lock);
	hypr_back_forbid(vm);
	count_backs(vm, before, result);
	if (!vm->paused)
		hypr_vcpus_release(vm);
	pthread_mutex_unlock(&vm->op_lock);
}

static int check(const struct hypr_run_params *params)
{
	if (params->size != sizeof(*params))
		return hypr_fail(-EINVAL, "struct hypr_run_params of %u bytes is not known",
				 params->size);
	if (params->flags & ~HYPR_RUN_KEEP_PAUSED)
		return hypr_fail(-EINVAL, "run: unknown flags 0x%x", params->flags);
	if (params->input_bytes > UINT32_MAX)
		return hypr_fail(-EINVAL, "run: an input of %zu bytes", params->input_bytes);
	return 0;
}

/* Return: 0: there is none, which so long a time comes to. */
static uint64_t deadline_of(uint64_t timeout_us)
{
	const uint64_t most_us = INT64_MAX / 1000 / 2;

	return timeout_us && timeout_us <= most_us ? hypr_now_ns() + timeout_us * 1000 : 0;
}

int hypr_vm_run(struct hypr_vm *vm, const struct hypr_run_params *params,
		struct hypr_run_result *result)
{
	static const struct hypr_run_params none = { .size = sizeof(none) };
	uint64_t start = hypr_tsc(), deadline;
	struct hypr_back before;
	int ret;

	memset(result, 0, sizeof(*result));
	params = params ? params : &none;
	ret = check(params);
	if (!ret)
		ret = begin(vm, &before);
	if (ret)
		return ret;
	ret = set_off(vm, params->flags);
	deadline = deadline_of(params->timeout_us);
	while (!ret && !result->what) {
		wait_for_note(vm, deadline);
		ret = hypr_vm_op_begin_memory(vm);
		if (!ret) {
			ret = serve(vm, params, deadline, result);
			hypr_vm_op_end(vm);
		}
	}
	end(vm, &before, result);
	result->run_cycles = hypr_tsc() - start;
	return ret;
}

const char *hypr_run_name(int what)
{
	static const char *const names[] = {
		[HYPR_RUN_REPORT] = "report", [HYPR_RUN_CRASH] = "crash", [HYPR_RUN_QUIT] = "quit",
		[HYPR_RUN_INPUT] = "input", [HYPR_RUN_TIMEOUT] = "timeout",
	};

	return what > 0 && what <= HYPR_RUN_TIMEOUT ? names[what] : "none";
}
