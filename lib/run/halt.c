// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A guest that has halted for good.  A PC without ACPI has no way to tell that it is
 * to be switched off: Linux's poweroff and halt, and a bare-metal guest at its end,
 * halt every vCPU with interrupts off.  Only another vCPU could wake one of them
 * then, and they all halt.
 *
 * A thread looks twice a second whether the vCPU threads used any CPU time; only
 * when they did not, it takes them out of KVM_RUN to ask where they are.
 */
#include <sys/ioctl.h>
#include <time.h>

#include "base/error.h"
#include "base/thread.h"
#include "base/time.h"
#include "model/vcpu.h"
#include "model/vm.h"
#include "run/halt.h"
#include "run/hold.h"

#define LOOK_MS		500
#define BUSY_NS		(LOOK_MS * 10000ull)	/* in that time: one in a hundred */
#define RFLAGS_IF	(1ull << 9)

struct look {
	uint64_t used_ns;	/* when it was looked last */
	uint64_t asked_ns;	/* used when the vCPUs were asked last */
};

static uint64_t used_ns(struct hypr_vm *vm)
{
	uint64_t total = 0;
	struct timespec ts;
	clockid_t clock;
	unsigned int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		if (!pthread_getcpuclockid(vm->vcpu[i].thread, &clock) &&
		    !clock_gettime(clock, &ts))
			total += (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
	}
	return total;
}

/* A job of each vCPU.  Return: 0: nothing from outside wakes it. */
static int is_halted(struct hypr_vcpu *vcpu, void *arg)
{
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_regs regs;

	(void)arg;
	if (ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) < 0)
		return -errno;
	/* Never started, or waiting to be started once more. */
	if (mp.mp_state == KVM_MP_STATE_UNINITIALIZED || mp.mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return 0;
	if (mp.mp_state != KVM_MP_STATE_HALTED || ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
	    (regs.rflags & RFLAGS_IF))
		return -EBUSY;
	memset(&events, 0, sizeof(events));
	if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
		return -errno;
	return events.nmi.pending || events.smi.pending ? -EBUSY : 0;
}

/* Before op_lock is free: who waits for it may put the VM back. */
static void end_if_halted(struct hypr_vm *vm)
{
	/* An operation is under way, or the vCPUs are held: later. */
	if (pthread_mutex_trylock(&vm->op_lock))
		return;
	if (!vm->paused && !hypr_vcpus_hold(vm) && !hypr_vcpus_do(vm, is_halted, NULL))
		hypr_vm_end_as(vm, HYPR_END_HALTED, "guest halted, or powered itself off");
	if (!vm->paused)
		hypr_vcpus_release(vm);
	pthread_mutex_unlock(&vm->op_lock);
}

static void look(struct hypr_vm *vm, struct look *last)
{
	uint64_t now = used_ns(vm), before = last->used_ns;

	last->used_ns = now;
	/* Without a step since, they are where they were. */
	if (now - before > BUSY_NS || now == last->asked_ns)
		return;
	end_if_halted(vm);
	last->used_ns = last->asked_ns = used_ns(vm);
}

static void *halt_thread(void *arg)
{
	struct hypr_vm *vm = arg;
	struct look last = { 0 };
	bool ended;

	do {
		uint64_t deadline = hypr_now_ns() + LOOK_MS * 1000000ull;
		int ret = 0;

		pthread_mutex_lock(&vm->run_lock);
		while (!vm->ended && !ret)
			ret = hypr_cond_wait_until(&vm->held_cond, &vm->run_lock, deadline);
		ended = vm->ended;
		pthread_mutex_unlock(&vm->run_lock);
		if (!ended)
			look(vm, &last);
	} while (!ended);
	return NULL;
}

/** hypr_halt_watch() - end the VM when its guest has halted for good */
int hypr_halt_watch(struct hypr_vm *vm)
{
	int ret = hypr_thread_start(&vm->halt_thread, halt_thread, vm);

	__atomic_store_n(&vm->has_halt_thread, !ret, __ATOMIC_SEQ_CST);
	return ret ? hypr_fail_thread(ret, "the thread that looks for a guest's halt") : 0;
}

/** hypr_halt_end() - after the VM has ended, without op_lock */
void hypr_halt_end(struct hypr_vm *vm)
{
	if (__atomic_exchange_n(&vm->has_halt_thread, false, __ATOMIC_SEQ_CST))
		pthread_join(vm->halt_thread, NULL);
}
