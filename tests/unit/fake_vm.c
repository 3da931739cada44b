// SPDX-License-Identifier: GPL-2.0-only
/* A VM without KVM; see fake_vm.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fake_vm.h"
#include "lib/base/time.h"
#include "lib/engine/engine.h"
#include "lib/memory/mem.h"
#include "lib/model/vcpu.h"
#include "lib/model/view.h"
#include "lib/model/vm.h"
#include "lib/run/state.h"

struct hypr_vm *fake_vm_create(unsigned int vcpus)
{
	struct hypr_vm *vm = calloc(1, sizeof(*vm));
	struct hypr_view *boot = calloc(1, sizeof(*boot));

	strcpy(vm->name, "fake");
	vm->engine = hypr_engine_find(NULL);
	vm->mem_bytes = FAKE_MEM_BYTES;
	vm->nr_vcpus = vcpus;
	vm->pause_timeout_ms = 50;
	vm->views_max = 15;
	vm->kvm_fd = -1;
	vm->vm_fd = -1;
	vm->xsave_bytes = sizeof(struct kvm_xsave);
	vm->started = true;
	pthread_mutex_init(&vm->op_lock, NULL);
	pthread_mutex_init(&vm->run_lock, NULL);
	hypr_cond_init(&vm->go_cond);
	hypr_cond_init(&vm->held_cond);
	hypr_console_init(&vm->console, NULL, NULL);
	hypr_rtc_init(&vm->rtc, NULL);
	vm->vcpu = calloc(vcpus, sizeof(*vm->vcpu));
	hypr_mem_control_create(vm);

	strcpy(boot->name, HYPR_VIEW_BOOT_NAME);
	boot->state = hypr_state_alloc(vm);
	boot->mem.host = mmap(NULL, FAKE_MEM_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	boot->mem.bytes = FAKE_MEM_BYTES;
	vm->view[0] = boot;
	vm->active = boot;
	return vm;
}

void fake_vm_destroy(struct hypr_vm *vm)
{
	munmap(vm->view[0]->mem.host, FAKE_MEM_BYTES);
	hypr_state_free(vm, vm->view[0]->state);
	free(vm->view[0]);
	munmap(vm->control, HYPR_CONTROL_SIZE);
	free(vm->vcpu);
	free(vm);
}
