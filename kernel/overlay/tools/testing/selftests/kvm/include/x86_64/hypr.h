/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory views of a VM: set-up that the hypr_* tests share.  All views of a VM
 * see the same slot 0, where the library keeps program, stack and page tables,
 * and a slot of data with memory of their own.
 */
#ifndef SELFTEST_KVM_HYPR_H
#define SELFTEST_KVM_HYPR_H

#include <linux/kvm_hypr.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"

#define HYPR_DATA_SLOT		1
#define HYPR_DATA_GPA		0x10000000ull
#define HYPR_DATA_PAGES		16
#define HYPR_DATA_SIZE		(HYPR_DATA_PAGES * 4096ull)
#define HYPR_SLOT0_PAGES	2048

static inline uint32_t hypr_slot(uint32_t view, uint32_t slot)
{
	return view << 16 | slot;
}

/* Give a view its data slot; the memory is zeroed and its address returned. */
static inline uint64_t *hypr_data_add(struct kvm_vm *vm, uint32_t view)
{
	void *data = mmap(NULL, HYPR_DATA_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(data != MAP_FAILED, "mmap() failed");
	vm_set_user_memory_region(vm, hypr_slot(view, HYPR_DATA_SLOT), 0,
				  HYPR_DATA_GPA, HYPR_DATA_SIZE, data);
	return data;
}

static inline uint64_t *hypr_view_add(struct kvm_vm *vm, uint32_t view)
{
	struct userspace_mem_region *slot0 = memslot2region(vm, 0);

	vm_set_user_memory_region(vm, hypr_slot(view, 0), 0,
				  slot0->region.guest_phys_addr,
				  slot0->region.memory_size,
				  (void *)slot0->region.userspace_addr);
	return hypr_data_add(vm, view);
}

/*
 * As vm_create_with_one_vcpu(), with views switched on before the first slot.
 * The boot view's data is mapped at HYPR_DATA_GPA; @data is its memory.
 */
static inline struct kvm_vm *hypr_vm_create(struct kvm_vcpu **vcpu,
					    void *guest_code, uint64_t **data)
{
	struct userspace_mem_region *slot0;
	struct kvm_vm *vm;
	int i;

	vm = ____vm_create(VM_SHAPE_DEFAULT);
	vm_enable_cap(vm, KVM_CAP_HYPR_EPT_SWAP, 0);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, 0, 0,
				    HYPR_SLOT0_PAGES, 0);
	for (i = 0; i < NR_MEM_REGIONS; i++)
		vm->memslots[i] = 0;
	kvm_vm_elf_load(vm, program_invocation_name);
	slot0 = memslot2region(vm, 0);
	ucall_init(vm, slot0->region.guest_phys_addr + slot0->region.memory_size);
	kvm_arch_vm_post_create(vm);
	*data = hypr_data_add(vm, KVM_HYPR_VIEW_BOOT);
	virt_map(vm, HYPR_DATA_GPA, HYPR_DATA_GPA, HYPR_DATA_PAGES);
	*vcpu = vm_vcpu_add(vm, 0, guest_code);
	return vm;
}

static inline int __hypr_prepare(struct kvm_vm *vm, uint32_t view)
{
	struct kvm_hypr_prepare arg = { .view = view };

	return __vm_ioctl(vm, KVM_PREPARE_EPT_SWAP, &arg);
}

static inline void hypr_prepare(struct kvm_vm *vm, uint32_t view)
{
	struct kvm_hypr_prepare arg = { .view = view };

	vm_ioctl(vm, KVM_PREPARE_EPT_SWAP, &arg);
}

static inline int __hypr_commit(struct kvm_vm *vm, uint32_t view, uint32_t flags)
{
	struct kvm_hypr_swap arg = { .view = view, .flags = flags };

	return __vm_ioctl(vm, KVM_COMMIT_EPT_SWAP, &arg);
}

/*
 * The deadline is for a loaded machine: a swap that succeeds does not wait for
 * it.
 */
static inline struct kvm_hypr_swap hypr_commit(struct kvm_vm *vm, uint32_t view,
					       uint32_t flags)
{
	struct kvm_hypr_swap arg = {
		.view = view,
		.flags = flags,
		.timeout_ns = 5 * 1000000000ull,
	};

	vm_ioctl(vm, KVM_COMMIT_EPT_SWAP, &arg);
	return arg;
}

#endif /* SELFTEST_KVM_HYPR_H */
