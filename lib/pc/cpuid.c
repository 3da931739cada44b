// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The processor that a guest sees: what KVM supports, as one package of
 * single-threaded cores, and without what does not go through a swap.
 *
 * - MONITOR/MWAIT and UMONITOR/TPAUSE: a sleeping vCPU could not be parked.
 * - The performance counters: their state is large, and belongs to the host.
 * - KVM's paravirtual leaves: they share memory with the host outside the view.
 * - VMX and SVM: a nested guest has a root of its own.
 * - Memory encryption: it is the host's.
 *
 * Leaves that tell how cores, threads and caches belong together tell of the guest's,
 * also those that AMD has and Intel has not.
 *
 * Leaf 0x15 tells the frequency of the TSC, as KVM knows it, so that a guest
 * need not measure it: against the timer chip, where each look is an exit, that
 * takes long and may fail.
 */
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "model/vcpu.h"
#include "model/vm.h"
#include "pc/cpu.h"
#include "pc/cpuid.h"

#define ENTRIES_MAX		256
#define HYPERVISOR_LEAF		0x40000000u
#define HYPERVISOR_LEAF_END	0x50000000u

/* Leaf 1 */
#define ECX_MONITOR		(1u << 3)
#define ECX_VMX			(1u << 5)
#define ECX_PDCM		(1u << 15)
#define ECX_TSC_DEADLINE	(1u << 24)
#define ECX_HYPERVISOR		(1u << 31)
#define EDX_DS			(1u << 21)
#define EDX_HTT			(1u << 28)
/* Leaf 7 */
#define ECX_WAITPKG		(1u << 5)
/* Leaf 0x80000001 */
#define ECX_CMP_LEGACY		(1u << 1)
#define ECX_SVM			(1u << 2)
#define ECX_PERFCTR_CORE	(1u << 23)
#define ECX_PERFCTR_NB		(1u << 24)
#define ECX_PERFCTR_LLC		(1u << 28)
/* Leaf 0x8000001d */
#define CACHE_LEVEL(eax)	((eax) >> 5 & 7)
#define CACHE_SHARED_SHIFT	14

#define CRYSTAL_HZ		1000000000u	/* of the APIC timer: KVM's is 1 ns */
#define CRYSTAL_KHZ		(CRYSTAL_HZ / 1000)

#define LEAF_B_LEVEL_SMT	(1u << 8)
#define LEAF_B_LEVEL_CORE	(2u << 8)

/* @head first: vm->cpuid points to it, and is freed by it. */
struct cpuid {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entry[ENTRIES_MAX];
};

/* Bits that an APIC ID of this many vCPUs takes. */
static unsigned int id_bits(unsigned int vcpus)
{
	unsigned int bits = 0;

	while (1u << bits < vcpus)
		bits++;
	return bits;
}

static struct kvm_cpuid_entry2 *entry_find(struct cpuid *cpuid, uint32_t function)
{
	uint32_t i;

	for (i = 0; i < cpuid->head.nent; i++) {
		if (cpuid->entry[i].function == function)
			return &cpuid->entry[i];
	}
	return NULL;
}

static void entry_add(struct cpuid *cpuid, struct kvm_cpuid_entry2 entry)
{
	if (cpuid->head.nent < ENTRIES_MAX)
		cpuid->entry[cpuid->head.nent++] = entry;
}

/* Leaves that are left out, or written anew below. */
static bool entry_drop(const struct kvm_cpuid_entry2 *entry)
{
	return (entry->function >= HYPERVISOR_LEAF && entry->function < HYPERVISOR_LEAF_END) ||
	       entry->function == 0xb || entry->function == 0x1f ||
	       entry->function == 0x15 || entry->function == 0x16 ||
	       entry->function == 0x80000026;
}

static bool is_amd(const struct cpuid *cpuid)
{
	const struct kvm_cpuid_entry2 *basic = &cpuid->entry[0];

	/* "Auth"enticAMD, "Hygo"nGenuine */
	return cpuid->head.nent && basic->function == 0 &&
	       (basic->ebx == 0x68747541 || basic->ebx == 0x6f677948);
}

/* One node, cores of one thread, each with caches of its own but for the last level. */
static void filter_amd(const struct hypr_vm *vm, struct kvm_cpuid_entry2 *entry)
{
	unsigned int cores = 1u << id_bits(vm->nr_vcpus);

	switch (entry->function) {
	case 0x80000001:
		entry->ecx &= ~ECX_CMP_LEGACY;
		entry->ecx |= vm->nr_vcpus > 1 ? ECX_CMP_LEGACY : 0;
		break;
	case 0x80000008:
		entry->ecx = (vm->nr_vcpus - 1) | id_bits(vm->nr_vcpus) << 12;
		break;
	case 0x8000001d:
		if (!(entry->eax & 0x1f))
			break;
		entry->eax &= (1u << CACHE_SHARED_SHIFT) - 1;
		if (CACHE_LEVEL(entry->eax) > 2)
			entry->eax |= (cores - 1) << CACHE_SHARED_SHIFT;
		break;
	case 0x8000001e:
		/* APIC ID and core number are each vCPU's: set_id(). */
		entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
		break;
	}
}

static void filter(struct hypr_vm *vm, struct cpuid *cpuid)
{
	unsigned int cores = 1u << id_bits(vm->nr_vcpus);
	bool amd = is_amd(cpuid);
	uint32_t i, n = 0;

	for (i = 0; i < cpuid->head.nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entry[i];

		switch (entry->function) {
		case 0x1:
			entry->ecx &= ~(ECX_MONITOR | ECX_VMX | ECX_PDCM | ECX_TSC_DEADLINE);
			entry->ecx |= ECX_HYPERVISOR | (vm->has_deadline ? ECX_TSC_DEADLINE : 0);
			entry->edx &= ~(EDX_DS | EDX_HTT);
			entry->edx |= vm->nr_vcpus > 1 ? EDX_HTT : 0;
			entry->ebx = (entry->ebx & 0xffff) | cores << 16;
			break;
		case 0x4:
			if (entry->eax & 0x1f)
				entry->eax = (entry->eax & 0x3fff) | (cores - 1) << 26;
			break;
		case 0x5:
		case 0xa:
		case 0x8000000a:
		case 0x8000001f:
		case 0x80000022:
			entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
			break;
		case 0x7:
			if (entry->index == 0)
				entry->ecx &= ~ECX_WAITPKG;
			break;
		case 0x80000001:
			entry->ecx &= ~(ECX_SVM | ECX_PERFCTR_CORE | ECX_PERFCTR_NB |
					ECX_PERFCTR_LLC);
			break;
		}
		if (amd)
			filter_amd(vm, entry);
		if (!entry_drop(entry))
			cpuid->entry[n++] = *entry;
	}
	cpuid->head.nent = n;
}

static void topology_add(struct hypr_vm *vm, struct cpuid *cpuid)
{
	struct kvm_cpuid_entry2 *basic = entry_find(cpuid, 0);

	/* So that a guest does not take a leaf that is left out for another. */
	entry_add(cpuid, (struct kvm_cpuid_entry2){
		.function = HYPERVISOR_LEAF,
		.eax = HYPERVISOR_LEAF,
		.ebx = 0x52505948, .ecx = 0x52505948, .edx = 0x52505948, /* "HYPR" */
	});
	if (!basic || basic->eax < 0xb)
		return;
	entry_add(cpuid, (struct kvm_cpuid_entry2){
		.function = 0xb, .index = 0, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.ebx = 1, .ecx = LEAF_B_LEVEL_SMT,
	});
	entry_add(cpuid, (struct kvm_cpuid_entry2){
		.function = 0xb, .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = id_bits(vm->nr_vcpus), .ebx = vm->nr_vcpus,
		.ecx = 1 | LEAF_B_LEVEL_CORE,
	});
	entry_add(cpuid, (struct kvm_cpuid_entry2){
		.function = 0xb, .index = 2, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.ecx = 2,
	});
}

/*
 * TSC frequency = crystal * numerator / denominator.  A guest computes that in
 * kHz and 32 bits: the numerator has to be small, and the best one that is.
 */
static void tsc_frequency_add(struct cpuid *cpuid, uint64_t tsc_khz)
{
	struct kvm_cpuid_entry2 *basic = entry_find(cpuid, 0);
	uint64_t best_error = UINT64_MAX;
	struct kvm_cpuid_entry2 leaf = { .function = 0x15, .ecx = CRYSTAL_HZ };
	uint32_t num;

	if (!basic || !tsc_khz)
		return;
	for (num = 1; num <= UINT32_MAX / CRYSTAL_KHZ; num++) {
		uint64_t den = ((uint64_t)num * CRYSTAL_KHZ + tsc_khz / 2) / tsc_khz;
		uint64_t khz = den ? (uint64_t)num * CRYSTAL_KHZ / den : 0;
		uint64_t error = khz > tsc_khz ? khz - tsc_khz : tsc_khz - khz;

		if (error < best_error) {
			best_error = error;
			leaf.eax = (uint32_t)den;
			leaf.ebx = num;
		}
	}
	entry_add(cpuid, leaf);
	/* Leaves in between that KVM does not name read as zero. */
	if (basic->eax < 0x15)
		basic->eax = 0x15;
}

static void set_id(struct kvm_cpuid2 *cpuid, uint32_t id)
{
	uint32_t i;

	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		switch (entry->function) {
		case 0x1:
			entry->ebx = (entry->ebx & 0x00ffffff) | id << 24;
			break;
		case 0xb:
			entry->edx = id;
			break;
		case 0x8000001e:
			entry->eax = id;
			entry->ebx = (entry->ebx & ~0xffu) | id;
			break;
		}
	}
}

/* What a guest of this VM is given; the ID is that of vCPU 0. */
static int host_cpuid(struct hypr_vm *vm, struct cpuid *cpuid)
{
	cpuid->head.nent = ENTRIES_MAX;
	if (ioctl(vm->kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
		return hypr_fail_sys(-errno, "KVM_GET_SUPPORTED_CPUID");
	filter(vm, cpuid);
	topology_add(vm, cpuid);
	tsc_frequency_add(cpuid, vm->tsc_khz);
	set_id(&cpuid->head, 0);
	return 0;
}

static int take_saved(struct cpuid *cpuid, const struct kvm_cpuid_entry2 *saved,
		      size_t nr_saved, const char *what)
{
	int ret;

	if (nr_saved > ENTRIES_MAX)
		return hypr_fail(-EBADMSG, "%s: section CPU: %zu entries of CPUID", what,
				 nr_saved);
	ret = hypr_cpu_check(saved, nr_saved, cpuid->entry, cpuid->head.nent, what);
	if (ret)
		return ret;
	memcpy(cpuid->entry, saved, nr_saved * sizeof(*saved));
	cpuid->head.nent = (uint32_t)nr_saved;
	return 0;
}

/** hypr_cpuid_give() - to one more vCPU what those of the VM have, with its own ID */
int hypr_cpuid_give(const struct hypr_vm *vm, int vcpu_fd, unsigned int index)
{
	size_t bytes = sizeof(*vm->cpuid) + vm->cpuid->nent * sizeof(vm->cpuid->entries[0]);
	struct kvm_cpuid2 *cpuid = malloc(bytes);
	int ret = 0;

	if (!cpuid)
		return hypr_fail(-ENOMEM, "no memory for CPUID");
	memcpy(cpuid, vm->cpuid, bytes);
	set_id(cpuid, index);
	if (ioctl(vcpu_fd, KVM_SET_CPUID2, cpuid) < 0)
		ret = hypr_fail_sys(-errno, "vCPU %u: KVM_SET_CPUID2", index);
	free(cpuid);
	return ret;
}

/**
 * hypr_cpuid_set() - give the vCPUs their CPUID
 * @saved, @nr_saved: what the guest saw before, or NULL for a guest that boots
 * @what: whose they are, for messages
 *
 * Sets vm->cpuid.  Needs vm->tsc_khz.
 * Return: 0; -EOPNOTSUPP this host lacks something, by name; -EBADMSG.
 */
int hypr_cpuid_set(struct hypr_vm *vm, const struct kvm_cpuid_entry2 *saved, size_t nr_saved,
		   const char *what)
{
	struct cpuid *cpuid;
	unsigned int i;
	int ret;

	cpuid = calloc(1, sizeof(*cpuid));
	if (!cpuid)
		return hypr_fail(-ENOMEM, "no memory for CPUID");
	ret = host_cpuid(vm, cpuid);
	if (!ret && saved)
		ret = take_saved(cpuid, saved, nr_saved, what);
	if (ret) {
		free(cpuid);
		return ret;
	}
	vm->cpuid = &cpuid->head;
	for (i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = hypr_cpuid_give(vm, vm->vcpu[i].fd, i);
	return ret;
}
