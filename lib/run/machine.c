// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A KVM VM: interrupt controllers, timer and vCPUs, without memory.  With engine
 * ept-swap there is one, with engine stock one for each view.
 */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "model/vcpu.h"
#include "model/vm.h"
#include "pc/cpuid.h"
#include "pc/msr.h"
#include "run/machine.h"

/* KVM's own pages, below 4 GiB and above all memory that a VM may have. */
#define IDENTITY_MAP_GPA	0xfffbc000ull
#define TSS_GPA			0xfffbd000ull

/*
 * No performance counters: CPUID shows none, and on AMD they could be used all the
 * same and would count on through all views.  A KVM before Linux 5.18 has no such
 * switch.
 */
static int counters_off(int vm_fd)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_PMU_CAPABILITY, .args = { KVM_PMU_CAP_DISABLE },
	};
	int has = ioctl(vm_fd, KVM_CHECK_EXTENSION, (unsigned long)KVM_CAP_PMU_CAPABILITY);

	if (has <= 0 || !(has & KVM_PMU_CAP_DISABLE))
		return 0;
	if (ioctl(vm_fd, KVM_ENABLE_CAP, &cap) < 0)
		return hypr_fail_sys(-errno, "KVM_CAP_PMU_CAPABILITY");
	return 0;
}

static int apics_create(int vm_fd)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP };

	if (ioctl(vm_fd, KVM_ENABLE_CAP, &cap) < 0)
		return hypr_fail_sys(-errno, "KVM_CAP_SPLIT_IRQCHIP");
	return 0;
}

static int chips_create(int vm_fd)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity_map = IDENTITY_MAP_GPA;

	if (ioctl(vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0)
		return hypr_fail_sys(-errno, "KVM_SET_IDENTITY_MAP_ADDR");
	if (ioctl(vm_fd, KVM_SET_TSS_ADDR, (unsigned long)TSS_GPA) < 0)
		return hypr_fail_sys(-errno, "KVM_SET_TSS_ADDR");
	if (ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
		return hypr_fail_sys(-errno, "KVM_CREATE_IRQCHIP");
	if (ioctl(vm_fd, KVM_CREATE_PIT2, &pit) < 0)
		return hypr_fail_sys(-errno, "KVM_CREATE_PIT2");
	return 0;
}

static int chips_of(const struct hypr_vm *vm, int vm_fd)
{
	int ret;

	if (vm->apics_only)
		return apics_create(vm_fd);
	ret = counters_off(vm_fd);
	return ret ? ret : chips_create(vm_fd);
}

/** hypr_machine_chips() - what has to be there before the first vCPU */
int hypr_machine_chips(const struct hypr_vm *vm)
{
	return chips_of(vm, vm->vm_fd);
}

/**
 * hypr_machine_vcpu_open() - create a vCPU
 * @vcpu: out; after an error there is none
 */
int hypr_machine_vcpu_open(int vm_fd, unsigned int index, size_t run_bytes,
			   struct hypr_machine_vcpu *vcpu)
{
	void *run;
	int ret;

	vcpu->run = NULL;
	vcpu->fd = ioctl(vm_fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (vcpu->fd < 0)
		return hypr_fail_sys(-errno, "vCPU %u: KVM_CREATE_VCPU", index);
	run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED) {
		ret = hypr_fail_sys(-errno, "vCPU %u: mapping its run page", index);
		hypr_machine_vcpu_close(vcpu, run_bytes);
		return ret;
	}
	vcpu->run = run;
	return 0;
}

void hypr_machine_vcpu_close(struct hypr_machine_vcpu *vcpu, size_t run_bytes)
{
	if (vcpu->run)
		munmap(vcpu->run, run_bytes);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	vcpu->run = NULL;
	vcpu->fd = -1;
}

/** hypr_machine_tsc_khz() - at what frequency a vCPU's TSC runs; 0: KVM does not know */
uint64_t hypr_machine_tsc_khz(int vcpu_fd)
{
	int khz = ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0);

	return khz > 0 ? (uint64_t)khz : 0;
}

/* So close is the same: KVM scales nothing below (kvm.tsc_tolerance_ppm). */
#define TSC_TOLERANCE_PPM	250

bool hypr_machine_tsc_is_near(uint64_t khz, uint64_t other_khz)
{
	uint64_t apart = khz > other_khz ? khz - other_khz : other_khz - khz;

	return apart <= other_khz * TSC_TOLERANCE_PPM / 1000000;
}

/**
 * hypr_machine_set_tsc_khz() - have a vCPU's TSC run at the VM's frequency
 *
 * A host that cannot scale would serve a faster guest by letting its TSC leap from
 * time to time; KVM says nothing, so it is said here.
 */
int hypr_machine_set_tsc_khz(const struct hypr_vm *vm, int vcpu_fd)
{
	uint64_t now = hypr_machine_tsc_khz(vcpu_fd);

	if (!vm->tsc_khz || vm->tsc_khz == now)
		return 0;
	if ((now && !vm->has_tsc_control && !hypr_machine_tsc_is_near(vm->tsc_khz, now)) ||
	    ioctl(vcpu_fd, KVM_SET_TSC_KHZ, (unsigned long)vm->tsc_khz) < 0)
		return hypr_fail(-EOPNOTSUPP,
				 "the guest's TSC runs at %llu kHz, this host's at %llu, and KVM does not scale it",
				 (unsigned long long)vm->tsc_khz, (unsigned long long)now);
	return 0;
}

/**
 * hypr_machine_set_features() - what of a vCPU is not in CPUID
 *
 * Machine check banks as the VM has them.  KVM's paravirtual MSRs are gone where CPUID
 * does not show them (Linux 5.10): they write to guest memory and are no part of a
 * state.
 */
int hypr_machine_set_features(const struct hypr_vm *vm, int vcpu_fd)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = { 1 },
	};
	uint64_t mcg_cap = vm->mce_banks;

	if (vm->has_pv_enforce && ioctl(vcpu_fd, KVM_ENABLE_CAP, &cap) < 0)
		return hypr_fail_sys(-errno, "KVM_CAP_ENFORCE_PV_FEATURE_CPUID");
	if (vm->apics_only && vm->mce_banks != HYPR_MCE_BANKS_KVM)
		return hypr_fail(-EOPNOTSUPP,
				 "the file's guest has machine check banks, which engine %s does not have: it was saved on another engine",
				 HYPR_ENGINE_HYPRV);
	if (vm->mce_banks != HYPR_MCE_BANKS_KVM &&
	    ioctl(vcpu_fd, KVM_X86_SETUP_MCE, &mcg_cap) < 0)
		return hypr_fail_sys(-errno, "KVM_X86_SETUP_MCE: %u banks", vm->mce_banks);
	return 0;
}

static struct hypr_machine *machine_alloc(struct hypr_vm *vm)
{
	struct hypr_machine *machine;
	unsigned int i;

	machine = calloc(1, sizeof(*machine) + vm->nr_vcpus * sizeof(machine->vcpu[0]));
	if (!machine)
		return NULL;
	machine->vm_fd = -1;
	machine->nr_vcpus = vm->nr_vcpus;
	machine->run_bytes = vm->run_bytes;
	for (i = 0; i < vm->nr_vcpus; i++)
		machine->vcpu[i].fd = -1;
	return machine;
}

static int machine_build(struct hypr_vm *vm, struct hypr_machine *machine)
{
	unsigned int i;
	int ret;

	machine->vm_fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, 0);
	if (machine->vm_fd < 0)
		return hypr_fail_sys(-errno, "KVM_CREATE_VM for a further view");
	ret = chips_of(vm, machine->vm_fd);
	for (i = 0; i < vm->nr_vcpus && !ret; i++) {
		struct hypr_machine_vcpu *vcpu = &machine->vcpu[i];

		ret = hypr_machine_vcpu_open(machine->vm_fd, i, machine->run_bytes, vcpu);
		if (!ret)
			ret = hypr_machine_set_tsc_khz(vm, vcpu->fd);
		if (!ret)
			ret = hypr_machine_set_features(vm, vcpu->fd);
		if (!ret)
			ret = hypr_cpuid_give(vm, vcpu->fd, i);
	}
	return ret;
}

/**
 * hypr_machine_create() - one more, like the one that the VM has
 * Return: NULL with hypr_error() set, and *@err.
 */
struct hypr_machine *hypr_machine_create(struct hypr_vm *vm, int *err)
{
	struct hypr_machine *machine = machine_alloc(vm);

	*err = machine ? machine_build(vm, machine) :
			 hypr_fail(-ENOMEM, "no memory for a further KVM VM");
	if (*err) {
		hypr_machine_destroy(machine);
		return NULL;
	}
	return machine;
}

/** hypr_machine_of() - the one that the vCPU threads run, which stays theirs */
struct hypr_machine *hypr_machine_of(struct hypr_vm *vm)
{
	struct hypr_machine *machine = machine_alloc(vm);
	unsigned int i;

	if (!machine)
		return NULL;
	machine->vm_fd = vm->vm_fd;
	for (i = 0; i < vm->nr_vcpus; i++) {
		machine->vcpu[i].fd = vm->vcpu[i].fd;
		machine->vcpu[i].run = vm->vcpu[i].run;
	}
	return machine;
}

/** hypr_machine_destroy() - NULL is allowed */
void hypr_machine_destroy(struct hypr_machine *machine)
{
	unsigned int i;

	if (!machine)
		return;
	for (i = 0; i < machine->nr_vcpus; i++)
		hypr_machine_vcpu_close(&machine->vcpu[i], machine->run_bytes);
	if (machine->vm_fd >= 0)
		close(machine->vm_fd);
	free(machine);
}
