// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the vCPU threads are to do.  This file owns run_lock: it ends a VM, says
 * whether one is alive, waits for its end, and holds its threads.
 *
 * A thread is in KVM_RUN, or it is *held*: in user space, with the I/O of its last
 * exit completed, waiting.  A held thread does jobs (save or set its vCPU's state),
 * so that a vCPU's ioctls always come from its own thread, on its own host CPU, and
 * those of several vCPUs run side by side.
 *
 * How a thread is brought back: immediate_exit makes the next KVM_RUN return
 * at once, the signal ends one that is under way.  KVM completes pending I/O
 * in both cases before it returns -EINTR, so -EINTR is the only place where a
 * thread looks whether it is to be held.
 */
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>

#include "hypr/hypr.h"
#include "base/error.h"
#include "base/kick.h"
#include "base/time.h"
#include "model/vcpu.h"
#include "model/vm.h"
#include "pc/console.h"
#include "run/hold.h"

#define HOLD_TIMEOUT_MS		10000
#define HOLD_ROUND_MS		250
#define HOLD_BREAK_MS		2

/* ---- its end --------------------------------------------------------------- */

/* Bring every thread out of KVM_RUN to its hold point.  Holds run_lock. */
void hypr_vcpus_kick_locked(struct hypr_vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		struct hypr_vcpu *vcpu = &vm->vcpu[i];

		if (!vcpu->has_thread)
			continue;
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
		if (!vcpu->held && !pthread_equal(vcpu->thread, pthread_self()))
			pthread_kill(vcpu->thread, HYPR_KICK_SIGNAL);
	}
	pthread_cond_broadcast(&vm->go_cond);
}

bool hypr_vm_has_ended(struct hypr_vm *vm)
{
	bool ended;

	pthread_mutex_lock(&vm->run_lock);
	ended = vm->ended;
	pthread_mutex_unlock(&vm->run_lock);
	return ended;
}

/* Holds op_lock.  Return: 0, or -ESHUTDOWN with the reason. */
int hypr_vm_check_alive(struct hypr_vm *vm)
{
	if (!vm->started)
		return hypr_fail(-ESHUTDOWN, "%s was not started", vm->name);
	if (hypr_vm_has_ended(vm))
		return hypr_fail(-ESHUTDOWN, "the guest has ended: %s", vm->end_reason);
	return 0;
}

/* Hold every vCPU; whoever waits on held_cond looks why.  Holds run_lock. */
static void hold_all_locked(struct hypr_vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++)
		vm->vcpu[i].hold = true;
	hypr_vcpus_kick_locked(vm);
	pthread_cond_broadcast(&vm->held_cond);
}

/* The vCPU whose thread this is; NULL: it is another thread. */
static const struct hypr_vcpu *own_vcpu(const struct hypr_vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpu[i].has_thread && pthread_equal(vm->vcpu[i].thread, pthread_self()))
			return &vm->vcpu[i];
	}
	return NULL;
}

/*
 * In hypr_vm_run() what a vCPU meets does not end the VM, nor that all have halted: the
 * caller may put the VM back to its moment.  Return: false: it ends the VM.
 */
static bool stop_run_locked(struct hypr_vm *vm, int end, const char *fmt, va_list ap)
{
	const struct hypr_vcpu *vcpu = own_vcpu(vm);
	struct hypr_runner *runner = &vm->runner;

	if (!runner->on || (!vcpu && end != HYPR_END_HALTED))
		return false;
	if (!runner->end) {
		vsnprintf(runner->reason, sizeof(runner->reason), fmt, ap);
		runner->end = end;
		runner->vcpu = vcpu ? vcpu->index : 0;
	}
	hold_all_locked(vm);
	return true;
}

static void end_locked(struct hypr_vm *vm, int end, const char *fmt, va_list ap)
{
	if (stop_run_locked(vm, end, fmt, ap))
		return;
	if (!vm->ended) {
		vsnprintf(vm->end_reason, sizeof(vm->end_reason), fmt, ap);
		vm->end = end;
		vm->ended = true;
	}
	hypr_vcpus_kick_locked(vm);
	pthread_cond_broadcast(&vm->held_cond);
}

/**
 * hypr_vm_end_as() - nothing runs any more; the first reason counts
 * @end: HYPR_END_*
 *
 * From any thread, without run_lock.
 */
void hypr_vm_end_as(struct hypr_vm *vm, int end, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pthread_mutex_lock(&vm->run_lock);
	end_locked(vm, end, fmt, ap);
	pthread_mutex_unlock(&vm->run_lock);
	va_end(ap);
}

/** hypr_vm_end() - the same; @failed: it cannot run on, else it was stopped */
void hypr_vm_end(struct hypr_vm *vm, bool failed, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pthread_mutex_lock(&vm->run_lock);
	end_locked(vm, failed ? HYPR_END_FAILED : HYPR_END_STOPPED, fmt, ap);
	pthread_mutex_unlock(&vm->run_lock);
	va_end(ap);
}

int hypr_vm_wait(struct hypr_vm *vm, int timeout_ms)
{
	uint64_t deadline = hypr_now_ns() + (uint64_t)(timeout_ms < 0 ? 0 : timeout_ms) * 1000000;
	int ret = 0;

	pthread_mutex_lock(&vm->run_lock);
	while (!vm->ended && !ret) {
		if (timeout_ms < 0)
			pthread_cond_wait(&vm->held_cond, &vm->run_lock);
		else
			ret = hypr_cond_wait_until(&vm->held_cond, &vm->run_lock, deadline);
	}
	if (!vm->ended)
		ret = hypr_fail(-ETIMEDOUT, "the guest still runs");
	else
		ret = hypr_end_is_bad(vm->end) ? hypr_fail(-EIO, "%s", vm->end_reason) : 0;
	pthread_mutex_unlock(&vm->run_lock);
	return ret;
}

/* ---- a vCPU's own thread ------------------------------------------------------ */

static void run_job_locked(struct hypr_vcpu *vcpu)
{
	struct hypr_vm *vm = vcpu->vm;
	int ret;

	pthread_mutex_unlock(&vm->run_lock);
	ret = vcpu->job(vcpu, vcpu->job_arg);
	pthread_mutex_lock(&vm->run_lock);
	vcpu->job = NULL;
	vcpu->job_result = ret;
	pthread_cond_broadcast(&vm->held_cond);
}

/**
 * hypr_vcpu_hold_point() - a vCPU's thread, whose KVM_RUN returned with nothing to do
 * Return: false when the VM has ended.
 */
bool hypr_vcpu_hold_point(struct hypr_vcpu *vcpu)
{
	struct hypr_vm *vm = vcpu->vm;
	bool go_on;

	pthread_mutex_lock(&vm->run_lock);
	while (vcpu->hold && !vm->ended) {
		if (!vcpu->held) {
			vcpu->held = true;
			pthread_cond_broadcast(&vm->held_cond);
		}
		if (vcpu->job)
			run_job_locked(vcpu);
		else
			pthread_cond_wait(&vm->go_cond, &vm->run_lock);
	}
	vcpu->held = false;
	go_on = !vm->ended;
	if (vcpu->job) {
		vcpu->job = NULL;
		vcpu->job_result = -ESHUTDOWN;
	}
	pthread_cond_broadcast(&vm->held_cond);
	/* Under the lock: a kick that comes later sets it again. */
	if (go_on)
		__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&vm->run_lock);
	return go_on;
}

/**
 * hypr_vcpu_ask() - a guest's request: hold all vCPUs until it is served
 *
 * On the vCPU's own thread, in an exit.  The VM's owner did not allow it, nobody serves it,
 * one is under way, or KVM does not tell by which tables it is: it is refused, which only
 * counts.
 */
void hypr_vcpu_ask(struct hypr_vcpu *vcpu, uint32_t addr, bool is_virtual)
{
	struct hypr_ask ask = { .addr = addr, .is_virtual = is_virtual };
	struct hypr_vm *vm = vcpu->vm;
	bool allowed = vm->flags & HYPR_VM_GUEST_REQUESTS;

	if (allowed && is_virtual)
		allowed = !ioctl(vcpu->fd, KVM_GET_SREGS, &ask.sregs);
	pthread_mutex_lock(&vm->run_lock);
	if (allowed && vm->runner.on && !vcpu->asks) {
		vcpu->asks = true;
		vcpu->ask = ask;
		hold_all_locked(vm);
	} else {
		vm->requests_refused++;
	}
	pthread_mutex_unlock(&vm->run_lock);
}

/* ---- all of them ----------------------------------------------------------- */

static unsigned int count_held_locked(const struct hypr_vm *vm)
{
	unsigned int i, held = 0;

	for (i = 0; i < vm->nr_vcpus; i++)
		held += vm->vcpu[i].held;
	return held;
}

/* Return: 0; -ETIMEDOUT not all came back, and those that did are still held. */
static int hold_until(struct hypr_vm *vm, uint64_t deadline)
{
	unsigned int i;
	int ret = 0;

	pthread_mutex_lock(&vm->run_lock);
	for (i = 0; i < vm->nr_vcpus; i++)
		vm->vcpu[i].hold = true;
	hypr_vcpus_kick_locked(vm);
	while (!ret && !vm->ended && count_held_locked(vm) < vm->nr_vcpus)
		ret = hypr_cond_wait_until(&vm->held_cond, &vm->run_lock, deadline);
	if (vm->ended)
		ret = hypr_fail(-ESHUTDOWN, "the guest has ended: %s", vm->end_reason);
	pthread_mutex_unlock(&vm->run_lock);
	return ret;
}

/**
 * hypr_vcpus_hold_first() - the same for threads that were started held
 *
 * They have no state yet and must not go into the guest, however long it takes until
 * each of them has been on a CPU.
 */
int hypr_vcpus_hold_first(struct hypr_vm *vm)
{
	int ret = hold_until(vm, hypr_now_ns() + HOLD_TIMEOUT_MS * 1000000ull);

	if (ret == -ETIMEDOUT)
		return hypr_fail(-EIO, "a vCPU's thread did not start within %d s",
				 HOLD_TIMEOUT_MS / 1000);
	return ret;
}

/*
 * Let every held thread go into the guest for a moment.  The moment begins when
 * the last of them has set off: on a busy host that takes longer than it lasts.
 */
static void let_go(struct hypr_vm *vm)
{
	const struct timespec moment = { .tv_nsec = HOLD_BREAK_MS * 1000000l };
	uint64_t deadline = hypr_now_ns() + HOLD_ROUND_MS * 1000000ull;
	int ret = 0;

	hypr_vcpus_release(vm);
	pthread_mutex_lock(&vm->run_lock);
	while (!ret && !vm->ended && count_held_locked(vm))
		ret = hypr_cond_wait_until(&vm->held_cond, &vm->run_lock, deadline);
	pthread_mutex_unlock(&vm->run_lock);
	nanosleep(&moment, NULL);
}

/**
 * hypr_vcpus_hold() - every vCPU thread to user space, I/O completed
 *
 * There are hosts (emulated ones) that cannot take a vCPU out of a guest that
 * was entered with interrupts off and leaves them off.  When it waits for a
 * lock whose owner is held already, it would do so for ever: so the others are
 * let go for a moment now and then.
 *
 * Return: 0; -ESHUTDOWN the VM has ended; -EIO a thread does not come back.
 */
int hypr_vcpus_hold(struct hypr_vm *vm)
{
	int rounds = HOLD_TIMEOUT_MS / HOLD_ROUND_MS;
	int ret;

	for (;;) {
		ret = hold_until(vm, hypr_now_ns() + HOLD_ROUND_MS * 1000000ull);
		if (ret != -ETIMEDOUT)
			return ret;
		if (--rounds == 0)
			return hypr_fail(-EIO, "a vCPU did not leave the guest within %d s",
					 HOLD_TIMEOUT_MS / 1000);
		let_go(vm);
	}
}

/**
 * hypr_vcpus_release() - let the held threads go on, and what is connected to the VM
 *
 * But for those whose request will be served, and for all if hypr_vm_run() has an end to tell.
 */
void hypr_vcpus_release(struct hypr_vm *vm)
{
	unsigned int i;

	hypr_console_thaw(&vm->console);
	pthread_mutex_lock(&vm->run_lock);
	for (i = 0; i < vm->nr_vcpus; i++) {
		vm->vcpu[i].asks &= vm->runner.on;
		vm->vcpu[i].hold = vm->vcpu[i].asks ||
				   (vm->runner.on && vm->runner.end != HYPR_END_NONE);
	}
	pthread_cond_broadcast(&vm->go_cond);
	pthread_mutex_unlock(&vm->run_lock);
}

/** hypr_vcpus_forget() - the held vCPUs get other registers: what they asked, or met, is past */
void hypr_vcpus_forget(struct hypr_vm *vm)
{
	unsigned int i;

	pthread_mutex_lock(&vm->run_lock);
	for (i = 0; i < vm->nr_vcpus; i++)
		vm->vcpu[i].asks = false;
	vm->runner.end = HYPR_END_NONE;
	pthread_mutex_unlock(&vm->run_lock);
}

static bool any_job_locked(const struct hypr_vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpu[i].job)
			return true;
	}
	return false;
}

/**
 * hypr_vcpus_do() - have every held thread do a job
 * @job: called on each vCPU's own thread; returns 0 or -errno
 *
 * Return: 0, or the first -errno; hypr_error() is not set by a job.
 */
int hypr_vcpus_do(struct hypr_vm *vm, int (*job)(struct hypr_vcpu *vcpu, void *arg),
		  void *arg)
{
	unsigned int i;
	int ret = 0;

	pthread_mutex_lock(&vm->run_lock);
	if (vm->ended) {
		/* The threads may be gone; from here on they clear their jobs. */
		pthread_mutex_unlock(&vm->run_lock);
		return -ESHUTDOWN;
	}
	for (i = 0; i < vm->nr_vcpus; i++) {
		vm->vcpu[i].job = job;
		vm->vcpu[i].job_arg = arg;
		vm->vcpu[i].job_result = 0;
	}
	pthread_cond_broadcast(&vm->go_cond);
	while (any_job_locked(vm))
		pthread_cond_wait(&vm->held_cond, &vm->run_lock);
	for (i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = vm->vcpu[i].job_result;
	pthread_mutex_unlock(&vm->run_lock);
	return ret;
}
