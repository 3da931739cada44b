// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * vCPU threads.  A thread is in KVM_RUN, or it is *held*: in user space, with
 * the I/O of its last exit completed, waiting.  A held thread does jobs (save
 * or load its vCPU's state), so that a vCPU's ioctls always come from its own
 * thread, on its own host CPU, and those of several vCPUs run side by side.
 *
 * How a thread is brought back: immediate_exit makes the next KVM_RUN return
 * at once, the signal ends one that is under way.  KVM completes pending I/O
 * in both cases before it returns -EINTR, so -EINTR is the only place where a
 * thread looks whether it is to be held.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/kick.h"
#include "base/time.h"
#include "model/vcpu.h"
#include "model/view.h"
#include "model/vm.h"
#include "pc/console.h"
#include "run/hold.h"
#include "run/machine.h"
#include "run/port.h"
#include "run/vcpu.h"
#include "vmo/vmo.h"

int hypr_vcpu_init(struct hypr_vm *vm, unsigned int index)
{
	struct hypr_vcpu *vcpu = &vm->vcpu[index];
	struct hypr_machine_vcpu made;
	int ret;

	ret = hypr_machine_vcpu_open(vm->vm_fd, index, vm->run_bytes, &made);
	vcpu->fd = made.fd;
	vcpu->run = made.run;
	return ret;
}

void hypr_vcpu_fini(struct hypr_vcpu *vcpu)
{
	struct hypr_machine_vcpu made = { .fd = vcpu->fd, .run = vcpu->run };

	hypr_machine_vcpu_close(&made, vcpu->vm->run_bytes);
	vcpu->fd = -1;
	vcpu->run = NULL;
}

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

/* KVM_RUN returned with nothing to do.  Return: false when the VM has ended. */
static bool hold_point(struct hypr_vcpu *vcpu)
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

/*
 * Nothing is there: reads are all ones, writes go nowhere.  All memory is in slots,
 * so that a write to it means that its slot is read-only.
 */
static void mmio_exit(struct hypr_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (!run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	else if (run->mmio.phys_addr < vcpu->vm->mem_bytes)
		hypr_vm_end(vcpu->vm, true, "vCPU %u: write to read-only memory at GPA 0x%llx",
			    vcpu->index, (unsigned long long)run->mmio.phys_addr);
}

/* A page of the guest cannot be had: of a file, it may have been truncated. */
static void memory_gone(struct hypr_vcpu *vcpu)
{
	struct hypr_vm *vm = vcpu->vm;
	const struct hypr_vmo *vmo = NULL;
	char name[41] = "";
	size_t len;

	pthread_mutex_lock(&vm->gone_lock);
	/*
	 * Not while an operation is under way: it waits for this thread, and will
	 * name the file itself.
	 */
	if (!pthread_mutex_trylock(&vm->op_lock)) {
		if (hypr_view_is_on_file(vm->active))
			vmo = hypr_vmo_truncated(vm->active->moment->vmo);
		if (vmo) {
			len = strlen(vmo->path);
			snprintf(name, sizeof(name), "%s", vmo->path + (len > 40 ? len - 40 : 0));
		}
		pthread_mutex_unlock(&vm->op_lock);
	}
	hypr_vm_end(vm, true, "vCPU %u: KVM_RUN: EFAULT: memory is gone%s%s", vcpu->index,
		    name[0] ? ", truncated in use: " : "", name);
	pthread_mutex_unlock(&vm->gone_lock);
}

static void system_event(struct hypr_vcpu *vcpu, uint32_t type)
{
	int end = type == KVM_SYSTEM_EVENT_SHUTDOWN ? HYPR_END_HALTED :
		  type == KVM_SYSTEM_EVENT_RESET ? HYPR_END_RESET : HYPR_END_PANIC;

	hypr_vm_end_as(vcpu->vm, end, "vCPU %u: system event %u", vcpu->index, type);
}

/** hypr_vcpu_exit() - do what the exit in vcpu->run asks for */
void hypr_vcpu_exit(struct hypr_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct hypr_vm *vm = vcpu->vm;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		hypr_port_exit(vcpu);
		break;
	case KVM_EXIT_MMIO:
		mmio_exit(vcpu);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN:
		if (!hypr_port_panic(vm))
			hypr_vm_end_as(vm, HYPR_END_TRIPLE_FAULT, "vCPU %u: triple fault",
				       vcpu->index);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		system_event(vcpu, run->system_event.type);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		hypr_vm_end(vm, true, "vCPU %u: VM entry failed, hardware reason 0x%llx",
			    vcpu->index,
			    (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		hypr_vm_end(vm, true, "vCPU %u: KVM internal error, suberror %u",
			    vcpu->index, run->internal.suberror);
		break;
	default:
		hypr_vm_end(vm, true, "vCPU %u: exit reason %u is not handled",
			    vcpu->index, run->exit_reason);
	}
}

static void *vcpu_thread(void *arg)
{
	struct hypr_vcpu *vcpu = arg;
	struct hypr_vm *vm = vcpu->vm;

	for (;;) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
			hypr_vcpu_exit(vcpu);
		} else if (errno == EFAULT) {
			memory_gone(vcpu);
		} else if (errno != EINTR && errno != EAGAIN) {
			hypr_vm_end(vm, true, "vCPU %u: KVM_RUN: %s", vcpu->index,
				    strerrorname_np(errno));
		} else if (!hold_point(vcpu)) {
			return NULL;
		}
	}
}

static int thread_attr(const struct hypr_vcpu *vcpu, pthread_attr_t *attr)
{
	const struct hypr_vm *vm = vcpu->vm;
	cpu_set_t *set;
	size_t bytes;
	int cpu, ret;

	ret = pthread_attr_init(attr);
	if (ret || !vm->nr_pin)
		return -ret;

	cpu = vm->pin[vcpu->index % vm->nr_pin];
	set = CPU_ALLOC(cpu + 1);
	if (!set) {
		pthread_attr_destroy(attr);
		return -ENOMEM;
	}
	bytes = CPU_ALLOC_SIZE(cpu + 1);
	CPU_ZERO_S(bytes, set);
	CPU_SET_S(cpu, bytes, set);
	ret = pthread_attr_setaffinity_np(attr, bytes, set);
	CPU_FREE(set);
	if (ret)
		pthread_attr_destroy(attr);
	return -ret;
}

int hypr_vcpu_start(struct hypr_vcpu *vcpu)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int ret;

	hypr_kick_install();
	ret = thread_attr(vcpu, &attr);
	if (ret)
		return hypr_fail_sys(ret, "vCPU %u: thread attributes", vcpu->index);

	/* The thread inherits the mask: no signal but the kick is its business. */
	sigfillset(&all);
	sigdelset(&all, HYPR_KICK_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(&vcpu->thread, &attr, vcpu_thread, vcpu);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (ret == -EAGAIN)
		return hypr_fail_thread(ret, "vCPU threads");
	if (ret && vcpu->vm->nr_pin)
		return hypr_fail_sys(ret, "vCPU %u: thread on host CPU %d", vcpu->index,
				     vcpu->vm->pin[vcpu->index % vcpu->vm->nr_pin]);
	if (ret)
		return hypr_fail_sys(ret, "vCPU %u: thread", vcpu->index);
	vcpu->has_thread = true;
	return 0;
}

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
	int ret = hold_until(vm, hypr_now_ns() + HYPR_HOLD_TIMEOUT_MS * 1000000ull);

	if (ret == -ETIMEDOUT)
		return hypr_fail(-EIO, "a vCPU's thread did not start within %d s",
				 HYPR_HOLD_TIMEOUT_MS / 1000);
	return ret;
}

/*
 * Let every held thread go into the guest for a moment.  The moment begins when
 * the last of them has set off: on a busy host that takes longer than it lasts.
 */
static void let_go(struct hypr_vm *vm)
{
	const struct timespec moment = { .tv_nsec = HYPR_HOLD_BREAK_MS * 1000000l };
	uint64_t deadline = hypr_now_ns() + HYPR_HOLD_ROUND_MS * 1000000ull;
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
	int rounds = HYPR_HOLD_TIMEOUT_MS / HYPR_HOLD_ROUND_MS;
	int ret;

	for (;;) {
		ret = hold_until(vm, hypr_now_ns() + HYPR_HOLD_ROUND_MS * 1000000ull);
		if (ret != -ETIMEDOUT)
			return ret;
		if (--rounds == 0)
			return hypr_fail(-EIO, "a vCPU did not leave the guest within %d s",
					 HYPR_HOLD_TIMEOUT_MS / 1000);
		let_go(vm);
	}
}

/** hypr_vcpus_release() - let the held threads go on, and what is connected to the VM */
void hypr_vcpus_release(struct hypr_vm *vm)
{
	unsigned int i;

	hypr_console_thaw(&vm->console);
	pthread_mutex_lock(&vm->run_lock);
	for (i = 0; i < vm->nr_vcpus; i++)
		vm->vcpu[i].hold = false;
	pthread_cond_broadcast(&vm->go_cond);
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
