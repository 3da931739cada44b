// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * vCPU threads: they run the guest, and do what its exits ask for.  How they are
 * held is in hold.c.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/kick.h"
#include "model/vcpu.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/back.h"
#include "run/device.h"
#include "run/gate.h"
#include "run/hold.h"
#include "run/machine.h"
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
	free(vcpu->msrs_set);
	vcpu->msrs_set = NULL;
	vcpu->fd = -1;
	vcpu->run = NULL;
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
		hypr_gate_pass(vcpu);
		hypr_back_devices(vm);
		hypr_device_port_exit(vcpu);
		break;
	case KVM_EXIT_MMIO:
		hypr_gate_pass(vcpu);
		hypr_back_devices(vm);
		hypr_device_memory_exit(vcpu);
		break;
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		break;
	case KVM_EXIT_SHUTDOWN:
		hypr_back_devices(vm);
		if (!hypr_device_panic(vm))
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
		} else if (!hypr_vcpu_hold_point(vcpu)) {
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
