// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a caller asks for: whether it can be, and what it makes of a new VM. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/page.h"
#include "engine/engine.h"
#include "model/vcpu.h"
#include "model/vm.h"
#include "swap/resurrect.h"
#include "view/prefault.h"
#include "vm/config.h"

#define PAUSE_TIMEOUT_MS	2000
#define FLAGS			(HYPR_VM_FORCED | HYPR_VM_END_HALTED | HYPR_VM_GUEST_REQUESTS | \
				 HYPR_VM_GUEST_SPARES)

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

/** hypr_config_check() - Return: 0; -EINVAL with what is wrong in it. */
int hypr_config_check(const struct hypr_vm_config *config)
{
	int ret;

	if ((config->flags & ~FLAGS) || config->reserved)
		return hypr_fail(-EINVAL, "unknown flags 0x%x", config->flags);
	if ((config->flags & HYPR_VM_GUEST_SPARES) && !(config->flags & HYPR_VM_GUEST_REQUESTS))
		return hypr_fail(-EINVAL, "spares of moments that the guest asks for, which it may not");
	ret = hypr_name_check(config->name);
	if (ret)
		return ret;
	if (!hypr_engine_find(config->engine))
		return hypr_fail(-EINVAL, "no engine '%.20s'; there are %s, %s and %s",
				 config->engine, HYPR_ENGINE_EPT_SWAP, HYPR_ENGINE_STOCK,
				 HYPR_ENGINE_HYPRV);
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

/** hypr_config_copy() - set up a VM as it says, and open the file that it begins in */
int hypr_config_copy(struct hypr_vm *vm, const struct hypr_vm_config *config)
{
	unsigned int i;
	int ret;

	snprintf(vm->name, sizeof(vm->name), "%s", config->name);
	vm->engine = hypr_engine_find(config->engine);
	vm->mem_bytes = config->mem_bytes;
	vm->nr_vcpus = config->vcpus;
	vm->flags = config->flags;
	vm->pause_timeout_ms = config->pause_timeout_ms ? config->pause_timeout_ms :
							  PAUSE_TIMEOUT_MS;
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
	for (i = 0; vm->vcpu && i < vm->nr_vcpus; i++) {
		vm->vcpu[i].vm = vm;
		vm->vcpu[i].index = i;
		vm->vcpu[i].fd = -1;
	}
	if (config->nr_pin)
		vm->pin = calloc(config->nr_pin, sizeof(*vm->pin));
	if (!vm->vcpu || (config->nr_pin && !vm->pin))
		return hypr_fail(-ENOMEM, "no memory for a VM");
	for (i = 0; i < config->nr_pin; i++)
		vm->pin[i] = config->pin[i];
	vm->nr_pin = config->nr_pin;
	return 0;
}
