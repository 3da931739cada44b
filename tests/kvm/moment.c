// SPDX-License-Identifier: GPL-2.0-only
/* A view with a moment, for the tests of KVM_EPT_SWAP_RESET: see moment.h. */
#define _GNU_SOURCE
#include "moment.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

uint8_t *moment;
uint64_t edited[ALL_PAGES / 64];

int try_moment(struct vm *vm, unsigned int view, void *at, uint64_t size, void *bits)
{
	struct kvm_hypr_moment arg = {
		.view = view,
		.userspace_addr = (uintptr_t)at,
		.size = size,
		.bitmap = (uintptr_t)bits,
	};

	return try_ioctl(vm->fd, KVM_HYPR_SET_MOMENT, &arg);
}

int try_written(struct vm *vm, uint64_t *bits)
{
	struct kvm_hypr_written arg = {
		.view = A,
		.nr_pages = ALL_PAGES,
		.bitmap = (uintptr_t)bits,
	};

	return try_ioctl(vm->fd, KVM_HYPR_GET_WRITTEN, &arg);
}

void forget_written(struct vm *vm)
{
	static uint64_t bits[ALL_PAGES / 64];

	OK(try_written(vm, bits));
}

/*
 * The moment of A, as its memory is now.  What all views share is in the moment at the
 * same place: put back over itself, it stays.
 */
static void moment_take(struct vm *vm)
{
	if (!moment)
		moment = memory_new(ALL_BYTES);
	memcpy(moment, vm->ram[A], RAM_BYTES);
	CHECK(mremap(vm->shared, 0, GUEST_SHARED_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		     moment + GUEST_SHARED_GPA) == moment + GUEST_SHARED_GPA);
	memset(edited, 0, sizeof(edited));
	OK(try_moment(vm, A, moment, ALL_BYTES, edited));
}

static void fill(struct vm *vm, unsigned int view)
{
	unsigned int i;

	for (i = FIRST_PAGE; i < LAST_PAGE; i++)
		memset(vm->ram[view] + i * 4096, (int)i, 4096);
}

/* The guest in A, whose moment the kernel knows, and nothing written since. */
struct vm *vm_reset(int nr_vcpus)
{
	static uint64_t bits[ALL_PAGES / 64];
	struct vm *vm = vm_new();

	need_cpus(nr_vcpus);
	vm_views_add(vm, 2);
	fill(vm, A);
	ram_touch(vm, A);
	vcpus_start(vm, nr_vcpus);
	if (try_written(vm, bits) == -EOPNOTSUPP)
		skip("this CPU has no accessed and dirty flags");
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	moment_take(vm);
	forget_written(vm);
	return vm;
}

void check_is_moment(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < RAM_PAGES; i++) {
		if (memcmp(vm->ram[A] + i * 4096, moment + i * 4096, 4096))
			FAIL("page %u differs from the moment", i);
	}
}

/* Return: pages that were put back, without those that all views share. */
unsigned int reset(struct vm *vm, uint32_t flags)
{
	struct kvm_hypr_swap swap = { .view = A, .flags = flags, .timeout_ns = SWAP_WAIT_NS };

	OK(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap));
	CHECK_EQ(swap.old_view, A);
	check_is_moment(vm);
	return swap.pages;
}

void write_page(struct vm *vm, unsigned int page)
{
	vcpu_write(&vm->vcpu[0], (uint64_t)page * 4096 + 8, ~0ull);
}

void zap(struct vm *vm, unsigned int page, unsigned int pages)
{
	uint8_t *at = vm->ram[A] + page * 4096;

	CHECK(!mprotect(at, pages * 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
	CHECK(!mprotect(at, pages * 4096, PROT_READ | PROT_WRITE));
}
