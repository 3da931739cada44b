// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A VM from its configuration to its end.  hypr_vm_create() builds the parts in
 * the order that KVM wants: the engine before memory slots and vCPUs, interrupt
 * controllers before vCPUs, memory before the kernel is placed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hypr/vmo.h"
#include "base/error.h"
#include "base/kvm.h"
#include "base/page.h"
#include "base/time.h"
#include "engine/engine.h"
#include "memory/mem.h"
#include "model/state.h"
#include "model/vcpu.h"
#include "model/view.h"
#include "model/vm.h"
#include "pc/console.h"
#include "pc/cpuid.h"
#include "pc/kernel.h"
#include "pc/msr.h"
#include "pc/rtc.h"
#include "run/back.h"
#include "run/back_watch.h"
#include "run/halt.h"
#include "run/hold.h"
#include "run/machine.h"
#include "run/state.h"
#include "run/vcpu.h"
#include "run/vmo_state.h"
#include "swap/resurrect.h"
#include "view/moment.h"
#include "view/spare.h"
#include "view/view.h"
#include "vm/config.h"
#include "vm/host.h"

/* The first version of struct hypr_vm_config ends with its reserved field. */
#define CONFIG_SIZE_MIN	offsetof(struct hypr_vm_config, vmo)

/* ---- building ------------------------------------------------------------ */

static void console_irq(void *arg, int level)
{
	struct hypr_vm *vm = arg;
	struct kvm_irq_level irq = { .irq = HYPR_CONSOLE_IRQ, .level = (uint32_t)level };

	/* Fails only for a line that there is not. */
	ioctl(vm->vm_fd, KVM_IRQ_LINE, &irq);
}

static void console_catch_up(void *arg)
{
	hypr_back_devices(arg);
}

static int kvm_open(struct hypr_vm *vm)
{
	const char *device = vm->engine->device;
	int version;

	vm->kvm_fd = open(device, O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0 && errno == ENOENT)
		return hypr_fail(-ENODEV, "%s: not there; %s (hypr doctor says more)", device,
				 vm->engine->remedy);
	if (vm->kvm_fd < 0)
		return hypr_fail_sys(-errno, "%s", device);
	version = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		return hypr_fail(-EOPNOTSUPP, "%s: API version %d, not %d", device, version,
				 KVM_API_VERSION);
	vm->vm_fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, vm->engine->vm_type);
	if (vm->vm_fd < 0 && errno == EOPNOTSUPP && vm->engine->vm_type)
		return hypr_fail(-EOPNOTSUPP,
				 "%s: this CPU has no EPT, and with shadow paging engine %s has no place for a guest that starts in 32-bit mode",
				 device, vm->engine->name);
	if (vm->vm_fd < 0)
		return hypr_fail_no_vm(-errno, device);
	return 0;
}

static int has(const struct hypr_vm *vm, unsigned long capability)
{
	return ioctl(vm->vm_fd, KVM_CHECK_EXTENSION, capability);
}

static int capabilities_check(struct hypr_vm *vm)
{
	const char *lacks = hypr_vm_lacks(vm->vm_fd, vm->apics_only);
	int bytes;

	if (lacks)
		return hypr_fail(-EOPNOTSUPP, "%s lacks %s",
				 vm->apics_only ? vm->engine->device : "this host's KVM", lacks);
	if (has(vm, KVM_CAP_MAX_VCPUS) < (int)vm->nr_vcpus)
		return hypr_fail(-EOPNOTSUPP, "this host's KVM has at most %d vCPUs",
				 has(vm, KVM_CAP_MAX_VCPUS));
	vm->has_deadline = has(vm, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	vm->has_tsc_control = has(vm, KVM_CAP_TSC_CONTROL) > 0;
	vm->has_pv_enforce = has(vm, KVM_CAP_ENFORCE_PV_FEATURE_CPUID) > 0;
	vm->mce_banks = has(vm, KVM_CAP_MCE) > 0 ? HYPR_MCE_BANKS : HYPR_MCE_BANKS_KVM;
	bytes = has(vm, KVM_CAP_XSAVE2);
	vm->has_xsave2 = bytes > 0;
	vm->xsave_bytes = bytes > (int)sizeof(struct kvm_xsave) ? (size_t)bytes :
								   sizeof(struct kvm_xsave);
	return 0;
}

static int tsc_offset_check(struct hypr_vm *vm)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
	};

	if (ioctl(vm->vcpu[0].fd, KVM_HAS_DEVICE_ATTR, &attr) < 0)
		return hypr_fail(-EOPNOTSUPP, "this host's KVM lacks KVM_VCPU_TSC_OFFSET (Linux 5.16)");
	return 0;
}

static int tsc_khz_set(struct hypr_vm *vm)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = hypr_machine_set_tsc_khz(vm, vm->vcpu[i].fd);
	return ret ? ret : hypr_state_tsc_init(vm);
}

static int vcpus_create(struct hypr_vm *vm, const char *vmo)
{
	const struct kvm_cpuid_entry2 *cpu = NULL;
	size_t nr_cpu = 0;
	int bytes = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	unsigned int i;
	int ret;

	if (bytes < (int)sizeof(struct kvm_run))
		return hypr_fail(-EOPNOTSUPP, "KVM_GET_VCPU_MMAP_SIZE: %d", bytes);
	vm->run_bytes = (size_t)bytes;
	for (i = 0; i < vm->nr_vcpus; i++) {
		ret = hypr_vcpu_init(vm, i);
		if (ret)
			return ret;
	}
	ret = tsc_offset_check(vm);
	if (ret)
		return ret;
	/* That of the host, or that which the guest is used to. */
	if (!vm->tsc_khz)
		vm->tsc_khz = hypr_machine_tsc_khz(vm->vcpu[0].fd);
	if (vmo)
		ret = hypr_vmo_cpu_read(vm->vmo, vmo, &cpu, &nr_cpu);
	/* As many as the guest has seen. */
	if (!ret && vmo)
		ret = hypr_vmo_mce_banks_read(vm->vmo, vmo, &vm->mce_banks);
	for (i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = hypr_machine_set_features(vm, vm->vcpu[i].fd);
	/* Before the frequency: it is the better reason on a host of another kind. */
	if (!ret)
		ret = hypr_cpuid_set(vm, cpu, nr_cpu, vmo);
	if (!ret)
		ret = tsc_khz_set(vm);
	if (ret)
		return ret;
	return hypr_msr_list_init(vm);
}

static int vm_build(struct hypr_vm *vm, const struct hypr_vm_config *config, const char *vmo,
		    unsigned int load_flags)
{
	struct hypr_moment *moment = NULL;
	int ret;

	ret = kvm_open(vm);
	if (ret)
		return ret;
	ret = vm->engine->enable(vm);
	if (ret)
		return ret;
	ret = capabilities_check(vm);
	if (ret)
		return ret;
	ret = hypr_machine_chips(vm);
	if (ret)
		return ret;
	/* The number of MSRs, part of a view's state, is known after this. */
	ret = vcpus_create(vm, vmo);
	if (ret)
		return ret;
	ret = hypr_mem_control_create(vm);
	if (ret)
		return ret;
	if (vmo) {
		ret = hypr_moment_from_vmo(vm, vm->vmo, vmo, load_flags, &moment);
		vm->vmo = NULL;
		if (ret)
			return ret;
	}
	ret = hypr_view_create_boot(vm, moment);
	if (ret)
		return ret;
	ret = vm->engine->control(vm);
	if (!ret && (vm->flags & HYPR_VM_GUEST_REQUESTS) && vm->engine->requests)
		ret = vm->engine->requests(vm);
	if (ret)
		return ret;
	return vmo ? hypr_vm_resurrect_prefault(vm, load_flags) : hypr_kernel_place(vm, config);
}

int hypr_vm_create(const struct hypr_vm_config *config, struct hypr_vm **vmp)
{
	struct hypr_vm_config given = { 0 };
	struct hypr_vm *vm;
	int ret;

	*vmp = NULL;
	if (config->size < CONFIG_SIZE_MIN)
		return hypr_fail(-EINVAL, "struct hypr_vm_config of %u bytes is not known",
				 config->size);
	/* What the caller does not know is zero. */
	memcpy(&given, config, config->size < sizeof(given) ? config->size : sizeof(given));
	config = &given;
	ret = hypr_config_check(config);
	if (ret)
		return ret;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return hypr_fail(-ENOMEM, "no memory for a VM");
	vm->kvm_fd = -1;
	vm->vm_fd = -1;
	vm->back.event = -1;
	pthread_mutex_init(&vm->gone_lock, NULL);
	pthread_mutex_init(&vm->gate_lock, NULL);
	pthread_mutex_init(&vm->op_lock, NULL);
	pthread_mutex_init(&vm->back.lock, NULL);
	pthread_mutex_init(&vm->run_lock, NULL);
	hypr_cond_init(&vm->go_cond);
	hypr_cond_init(&vm->held_cond);
	hypr_spare_init(vm);
	hypr_console_init(&vm->console, console_irq, vm);
	vm->console.catch_up = console_catch_up;
	hypr_rtc_init(&vm->rtc, NULL);

	ret = hypr_config_copy(vm, config);
	if (!ret)
		ret = vm_build(vm, config, config->vmo, config->load_flags);
	if (ret) {
		hypr_vm_destroy(vm);
		return ret;
	}
	*vmp = vm;
	return 0;
}

/* ---- running and ending -------------------------------------------------- */

/* The console last: what it reads goes into the state that has been set. */
static int start_threads(struct hypr_vm *vm)
{
	int ret = 0;

	if (vm->flags & HYPR_VM_END_HALTED)
		ret = hypr_halt_watch(vm);
	if (!ret) {
		ret = hypr_console_start(&vm->console, vm->console_in, vm->console_out);
		if (ret)
			ret = hypr_fail_thread(ret, "the console's thread");
	}
	if (ret)
		hypr_vm_end(vm, true, "not all of its threads could be started");
	return ret;
}

int hypr_vm_start(struct hypr_vm *vm)
{
	bool resurrect;
	unsigned int i;
	int ret = 0;

	pthread_mutex_lock(&vm->op_lock);
	if (vm->started) {
		ret = hypr_fail(-EALREADY, "%s was started before", vm->name);
		goto unlock;
	}
	resurrect = vm->active->state->valid;
	/* The line may move when its controllers are set, not before. */
	if (resurrect)
		hypr_console_freeze(&vm->console);
	vm->started = true;
	for (i = 0; i < vm->nr_vcpus && !ret; i++) {
		/* Not a step before its state is set. */
		vm->vcpu[i].hold = resurrect;
		vm->vcpu[i].run->immediate_exit = resurrect;
		ret = hypr_vcpu_start(&vm->vcpu[i]);
	}
	if (ret) {
		hypr_vm_end(vm, true, "not all vCPUs could be started");
	} else if (resurrect) {
		ret = hypr_vm_resurrect_go(vm);
		if (ret)
			hypr_vm_end(vm, true, "its state cannot be set");
	}
	if (!ret)
		ret = start_threads(vm);
unlock:
	pthread_mutex_unlock(&vm->op_lock);
	return ret;
}

/* Nobody sends a signal to a thread that has been joined. */
static void join(struct hypr_vm *vm, struct hypr_vcpu *vcpu)
{
	bool has_thread;

	pthread_mutex_lock(&vm->run_lock);
	has_thread = vcpu->has_thread;
	vcpu->has_thread = false;
	pthread_mutex_unlock(&vm->run_lock);
	if (has_thread)
		pthread_join(vcpu->thread, NULL);
}

int hypr_vm_stop(struct hypr_vm *vm)
{
	unsigned int i;

	/* Before the lock: an operation that waits for a vCPU ends by it. */
	hypr_vm_end(vm, false, "stopped");
	/* It looks at the vCPU threads. */
	hypr_halt_end(vm);
	pthread_mutex_lock(&vm->op_lock);
	for (i = 0; i < vm->nr_vcpus; i++)
		join(vm, &vm->vcpu[i]);
	hypr_console_stop(&vm->console);
	hypr_spare_end(vm);
	pthread_mutex_unlock(&vm->op_lock);
	hypr_back_watch_end(vm);
	return 0;
}

void hypr_vm_destroy(struct hypr_vm *vm)
{
	unsigned int i;

	if (!vm)
		return;
	if (vm->vcpu) {
		hypr_vm_stop(vm);
		for (i = 0; i < vm->nr_vcpus; i++)
			hypr_vcpu_fini(&vm->vcpu[i]);
	}
	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++) {
		if (vm->view[i] != vm->active)
			hypr_view_destroy(vm, vm->view[i]);
	}
	hypr_view_destroy(vm, vm->active);
	if (vm->control)
		munmap(vm->control, HYPR_CONTROL_SIZE);
	if (vm->back.page)
		munmap(vm->back.page, HYPR_PAGE_BYTES);
	if (vm->back.event >= 0)
		close(vm->back.event);
	if (vm->vm_fd >= 0)
		close(vm->vm_fd);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	hypr_vmo_close(vm->vmo);
	free(vm->cpuid);
	free(vm->msr_index);
	free(vm->msr_reset);
	free(vm->vcpu);
	free(vm->pin);
	free(vm);
}
