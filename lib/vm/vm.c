// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A VM from its configuration to its end.  hypr_vm_create() builds the parts in
 * the order that KVM wants: the engine before memory slots and vCPUs, interrupt
 * controllers before vCPUs, memory before the kernel is loaded.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hypr/vmo.h"
#include "base/error.h"
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
#include "run/halt.h"
#include "run/hold.h"
#include "run/machine.h"
#include "run/state.h"
#include "run/vcpu.h"
#include "run/vmo_state.h"
#include "swap/resurrect.h"
#include "view/moment.h"
#include "view/prefault.h"
#include "view/view.h"
#include "vm/host.h"
#include "vm/info.h"

/* The first version of struct hypr_vm_config ends with its reserved field. */
#define CONFIG_SIZE_MIN	offsetof(struct hypr_vm_config, vmo)

#define HYPR_PAUSE_TIMEOUT_MS	2000

/* ---- the configuration --------------------------------------------------- */

static int config_check_memory(const struct hypr_vm_config *config)
{
	if (config->mem_bytes < HYPR_MEM_MIN_BYTES)
		return hypr_fail(-EINVAL, "memory of %llu KiB is too little; %llu MiB is the least",
				 (unsigned long long)config->mem_bytes >> 10,
				 HYPR_MEM_MIN_BYTES >> 20);
	if (config->mem_bytes > HYPR_MEM_MAX_BYTES)
		return hypr_fail(-EINVAL, "memory of %llu MiB is too much; %llu MiB is the most",
				 (unsigned long long)config->mem_bytes >> 20,
				 HYPR_MEM_MAX_BYTES >> 20);
	if (config->mem_bytes % HYPR_PAGE_BYTES)
		return hypr_fail(-EINVAL, "memory of %llu bytes is not a number of 4096-byte pages",
				 (unsigned long long)config->mem_bytes);
	return 0;
}

static int config_check_pins(const struct hypr_vm_config *config)
{
	cpu_set_t set;
	uint32_t i;

	if (!config->nr_pin)
		return 0;
	if (!config->pin || config->nr_pin > HYPR_VCPUS_MAX)
		return hypr_fail(-EINVAL, "a list of %u host CPUs", config->nr_pin);
	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return hypr_fail_sys(-errno, "asking which host CPUs may be used");
	for (i = 0; i < config->nr_pin; i++) {
		int cpu = config->pin[i];

		if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &set))
			return hypr_fail(-EINVAL, "host CPU %d cannot be used", cpu);
	}
	return 0;
}

/* Size and number of vCPUs are the file's. */
static int config_check_vmo(const struct hypr_vm_config *config)
{
	if (config->kernel || config->initrd || config->cmdline)
		return hypr_fail(-EINVAL, "a VM that begins in a VMO boots no kernel");
	if (hypr_load_flags_check(config->load_flags))
		return -EINVAL;
	return config_check_pins(config);
}

static int config_check(const struct hypr_vm_config *config)
{
	int ret;

	if ((config->flags & ~(HYPR_VM_FORCED | HYPR_VM_END_HALTED)) || config->reserved)
		return hypr_fail(-EINVAL, "unknown flags 0x%x", config->flags);
	ret = hypr_name_check(config->name);
	if (ret)
		return ret;
	if (!hypr_engine_find(config->engine))
		return hypr_fail(-EINVAL, "no engine '%.20s'; there are %s and %s",
				 config->engine, HYPR_ENGINE_EPT_SWAP, HYPR_ENGINE_STOCK);
	if (config->vmo)
		return config_check_vmo(config);
	if (config->load_flags)
		return hypr_fail(-EINVAL, "flags 0x%x go with a VMO", config->load_flags);
	if (!config->kernel)
		return hypr_fail(-EINVAL, "no kernel given");
	if (!config->vcpus || config->vcpus > HYPR_VCPUS_MAX)
		return hypr_fail(-EINVAL, "%u vCPUs; 1 to %d are possible", config->vcpus,
				 HYPR_VCPUS_MAX);
	ret = config_check_memory(config);
	if (ret)
		return ret;
	return config_check_pins(config);
}

static int config_copy(struct hypr_vm *vm, const struct hypr_vm_config *config)
{
	unsigned int i;
	int ret;

	snprintf(vm->name, sizeof(vm->name), "%s", config->name);
	vm->engine = hypr_engine_find(config->engine);
	vm->mem_bytes = config->mem_bytes;
	vm->nr_vcpus = config->vcpus;
	vm->flags = config->flags;
	vm->pause_timeout_ms = config->pause_timeout_ms ? config->pause_timeout_ms :
							  HYPR_PAUSE_TIMEOUT_MS;
	vm->report = config->report;
	vm->report_arg = config->report_arg;
	vm->console_in = config->console_in;
	vm->console_out = config->console_out;

	if (config->vmo) {
		ret = hypr_vm_resurrect_open(vm, config);
		if (ret)
			return ret;
	}
	vm->vcpu = calloc(vm->nr_vcpus, sizeof(*vm->vcpu));
	if (config->nr_pin)
		vm->pin = calloc(config->nr_pin, sizeof(*vm->pin));
	if (!vm->vcpu || (config->nr_pin && !vm->pin))
		return hypr_fail(-ENOMEM, "no memory for a VM");
	for (i = 0; i < vm->nr_vcpus; i++) {
		vm->vcpu[i].vm = vm;
		vm->vcpu[i].index = i;
		vm->vcpu[i].fd = -1;
	}
	for (i = 0; i < config->nr_pin; i++)
		vm->pin[i] = config->pin[i];
	vm->nr_pin = config->nr_pin;
	return 0;
}

/* ---- building ------------------------------------------------------------ */

static void console_irq(void *arg, int level)
{
	struct hypr_vm *vm = arg;
	struct kvm_irq_level irq = { .irq = HYPR_CONSOLE_IRQ, .level = (uint32_t)level };

	/* Fails only for a line that there is not. */
	ioctl(vm->vm_fd, KVM_IRQ_LINE, &irq);
}

static int kvm_open(struct hypr_vm *vm)
{
	int version;

	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0 && errno == ENOENT)
		return hypr_fail(-ENODEV,
				 "/dev/kvm: not there; load kvm_intel, or enable VT-x (hypr doctor says more)");
	if (vm->kvm_fd < 0)
		return hypr_fail_sys(-errno, "/dev/kvm");
	version = ioctl(vm->kvm_fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		return hypr_fail(-EOPNOTSUPP, "/dev/kvm: API version %d, not %d", version,
				 KVM_API_VERSION);
	vm->vm_fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	if (vm->vm_fd < 0)
		return hypr_fail_sys(-errno, "KVM_CREATE_VM");
	return 0;
}

static int has(const struct hypr_vm *vm, unsigned long capability)
{
	return ioctl(vm->vm_fd, KVM_CHECK_EXTENSION, capability);
}

/** hypr_vm_lacks() - the first capability that a VM needs and KVM lacks, or NULL */
const char *hypr_vm_lacks(int vm_fd)
{
	static const struct {
		unsigned long capability;
		const char *name;
	} needed[] = {
		{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
		{ KVM_CAP_PIT2, "KVM_CAP_PIT2" },
		{ KVM_CAP_PIT_STATE2, "KVM_CAP_PIT_STATE2" },
		{ KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI" },
		{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
		{ KVM_CAP_XSAVE, "KVM_CAP_XSAVE" },
		{ KVM_CAP_XCRS, "KVM_CAP_XCRS" },
		{ KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS" },
		{ KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS" },
	};
	size_t i;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (ioctl(vm_fd, KVM_CHECK_EXTENSION, needed[i].capability) <= 0)
			return needed[i].name;
	}
	return NULL;
}

static int capabilities_check(struct hypr_vm *vm)
{
	const char *lacks = hypr_vm_lacks(vm->vm_fd);
	int bytes;

	if (lacks)
		return hypr_fail(-EOPNOTSUPP, "this host's KVM lacks %s", lacks);
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
	ret = hypr_machine_chips(vm->vm_fd);
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
		ret = hypr_moment_load(vm, vm->vmo, vmo, load_flags, &moment);
		vm->vmo = NULL;
		if (ret)
			return ret;
	}
	ret = hypr_view_create_boot(vm, moment);
	if (ret)
		return ret;
	ret = vm->engine->control(vm);
	if (ret)
		return ret;
	return vmo ? hypr_vm_resurrect_load(vm, load_flags) : hypr_vm_load(vm, config);
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
	ret = config_check(config);
	if (ret)
		return ret;
	vm = calloc(1, sizeof(*vm));
	if (!vm)
		return hypr_fail(-ENOMEM, "no memory for a VM");
	vm->kvm_fd = -1;
	vm->vm_fd = -1;
	pthread_mutex_init(&vm->gone_lock, NULL);
	pthread_mutex_init(&vm->op_lock, NULL);
	pthread_mutex_init(&vm->run_lock, NULL);
	hypr_cond_init(&vm->go_cond);
	hypr_cond_init(&vm->held_cond);
	hypr_console_init(&vm->console, console_irq, vm);
	hypr_rtc_init(&vm->rtc, NULL);

	ret = config_copy(vm, config);
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

/* The console last: what it reads goes into the state that has been loaded. */
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
	/* The line may move when its controllers are loaded, not before. */
	if (resurrect)
		hypr_console_freeze(&vm->console);
	vm->started = true;
	for (i = 0; i < vm->nr_vcpus && !ret; i++) {
		/* Not a step before its state is loaded. */
		vm->vcpu[i].hold = resurrect;
		vm->vcpu[i].run->immediate_exit = resurrect;
		ret = hypr_vcpu_start(&vm->vcpu[i]);
	}
	if (ret) {
		hypr_vm_end(vm, true, "not all vCPUs could be started");
	} else if (resurrect) {
		ret = hypr_vm_resurrect_go(vm);
		if (ret)
			hypr_vm_end(vm, true, "its state cannot be loaded");
	}
	if (!ret)
		ret = start_threads(vm);
unlock:
	pthread_mutex_unlock(&vm->op_lock);
	return ret;
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

static void end_locked(struct hypr_vm *vm, int end, const char *fmt, va_list ap)
{
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
		ret = vm->end >= HYPR_END_PANIC ? hypr_fail(-EIO, "%s", vm->end_reason) : 0;
	pthread_mutex_unlock(&vm->run_lock);
	return ret;
}

int hypr_vm_stop(struct hypr_vm *vm)
{
	unsigned int i;

	/* Before the lock: an operation that waits for a vCPU ends by it. */
	hypr_vm_end(vm, false, "stopped");
	/* It looks at the vCPU threads. */
	hypr_halt_end(vm);
	pthread_mutex_lock(&vm->op_lock);
	for (i = 0; i < vm->nr_vcpus; i++) {
		if (vm->vcpu[i].has_thread)
			pthread_join(vm->vcpu[i].thread, NULL);
		vm->vcpu[i].has_thread = false;
	}
	hypr_console_stop(&vm->console);
	pthread_mutex_unlock(&vm->op_lock);
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

/* ---- looking at it ------------------------------------------------------- */

int hypr_vm_fd(const struct hypr_vm *vm)
{
	return vm->vm_fd;
}

const char *hypr_vm_engine_name(const struct hypr_vm *vm)
{
	return vm->engine->name;
}

static int vm_state_locked(struct hypr_vm *vm)
{
	if (!vm->started)
		return HYPR_VM_CREATED;
	if (hypr_vm_has_ended(vm))
		return HYPR_VM_ENDED;
	return vm->paused ? HYPR_VM_PAUSED : HYPR_VM_RUNNING;
}

/* Whatever op_lock does not guard. */
static void info_always(struct hypr_vm *vm, struct hypr_vm_info *info)
{
	unsigned int i;

	memset(info, 0, sizeof(*info));
	memcpy(info->name, vm->name, sizeof(info->name));
	snprintf(info->engine, sizeof(info->engine), "%s", vm->engine->name);
	info->state = HYPR_VM_BUSY;
	info->vcpus = vm->nr_vcpus;
	info->views_max = vm->views_max;
	info->mem_bytes = vm->mem_bytes;
	for (i = 0; i < vm->nr_vcpus; i++) {
		const struct hypr_control_vcpu *vcpu = &vm->control->vcpu[i];

		info->guest_vcpus += __atomic_load_n(&vcpu->state, __ATOMIC_RELAXED) !=
				     HYPR_VCPU_OFFLINE;
		info->guest_pauses += __atomic_load_n(&vcpu->pauses, __ATOMIC_RELAXED);
	}
	pthread_mutex_lock(&vm->run_lock);
	memcpy(info->end_reason, vm->end_reason, sizeof(info->end_reason));
	info->end = (uint32_t)vm->end;
	pthread_mutex_unlock(&vm->run_lock);
}

static void info_locked(struct hypr_vm *vm, struct hypr_vm_info *info)
{
	unsigned int i;

	info_always(vm, info);
	memcpy(info->active_view, vm->active->name, sizeof(info->active_view));
	info->state = vm_state_locked(vm);
	info->swaps = vm->swaps;
	info->generation = vm->generation;
	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++)
		info->views += vm->view[i] != NULL;
}

int hypr_vm_info(struct hypr_vm *vm, struct hypr_vm_info *info)
{
	pthread_mutex_lock(&vm->op_lock);
	info_locked(vm, info);
	pthread_mutex_unlock(&vm->op_lock);
	return 0;
}

/**
 * hypr_vm_info_within() - as hypr_vm_info(), without waiting for an operation to end
 *
 * When one takes longer than @ms, the state is HYPR_VM_BUSY, and what only the
 * operation knows (the active view, the number of views, swaps, generation) is 0.
 */
void hypr_vm_info_within(struct hypr_vm *vm, unsigned int ms, struct hypr_vm_info *info)
{
	if (hypr_mutex_lock_until(&vm->op_lock, hypr_now_ns() + ms * 1000000ull)) {
		info_always(vm, info);
		return;
	}
	info_locked(vm, info);
	pthread_mutex_unlock(&vm->op_lock);
}
