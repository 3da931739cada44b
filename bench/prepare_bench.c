// SPDX-License-Identifier: GPL-2.0-only
/* Building tables ahead of time, by a view and by KVM alone: see prepare_bench.h. */
#include "prepare_bench.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"
#include "tests/guest/harness.h"

#define VIEW		KVM_HYPR_VIEW_FIRST
#define GPA		(1ul << 30)
#define BYTES		(16ul << 20)
#define PAGE_BYTES	4096ul
#define HUGE_BYTES	(2ul << 20)
#define WARM_UP		1

/* As in <linux/kvm.h> of Linux 6.11. */
#ifndef KVM_PRE_FAULT_MEMORY
struct kvm_pre_fault_memory {
	uint64_t gpa;
	uint64_t size;
	uint64_t flags;
	uint64_t padding[5];
};

#define KVM_PRE_FAULT_MEMORY	_IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#endif

/* At an address where the host may map pages of 2 MiB. */
static uint8_t *memory_map(int fd, int flags)
{
	void *room = mmap(NULL, BYTES + HUGE_BYTES, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t start = (uintptr_t)room, at = (start + HUGE_BYTES - 1) & -HUGE_BYTES;
	void *mem;

	CHECK(room != MAP_FAILED);
	mem = mmap((void *)at, BYTES, PROT_READ | PROT_WRITE,
		   MAP_FIXED | MAP_PRIVATE | MAP_NORESERVE | flags, fd, 0);
	CHECK(mem != MAP_FAILED);
	if (at > start)
		CHECK(!munmap(room, at - start));
	CHECK(!munmap((void *)(at + BYTES), HUGE_BYTES - (at - start)));
	return mem;
}

/* Frozen memory, or a hole of that size. */
static int file_create(bool hole)
{
	int fd = memfd_create("prepare", MFD_CLOEXEC);
	uint8_t *mem;

	CHECK(fd >= 0);
	CHECK(!ftruncate(fd, BYTES));
	if (hole)
		return fd;
	mem = mmap(NULL, BYTES, PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(mem != MAP_FAILED);
	memset(mem, 1, BYTES);
	CHECK(!munmap(mem, BYTES));
	return fd;
}

static uint8_t *memory_of_kind(enum prepare_memory kind)
{
	uint8_t *mem;
	int fd;

	if (kind == PREPARE_WRITTEN || kind == PREPARE_EMPTY || kind == PREPARE_HUGE) {
		mem = memory_map(-1, MAP_ANONYMOUS);
		CHECK(!madvise(mem, BYTES, kind == PREPARE_HUGE ? MADV_HUGEPAGE :
			       MADV_NOHUGEPAGE));
		if (kind != PREPARE_EMPTY)
			memset(mem, 1, BYTES);
		return mem;
	}
	fd = file_create(kind == PREPARE_HOLES);
	mem = memory_map(fd, 0);
	CHECK(!close(fd));
	if (kind == PREPARE_SHARED)
		CHECK(!madvise(mem, BYTES, MADV_POPULATE_READ));
	return mem;
}

static struct vm *vm_with_vcpu(bool views)
{
	struct vm *vm = vm_new_plain();

	if (views) {
		OK(try_enable_views(vm));
		vm_views_add(vm, 1);
	} else {
		vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	}
	vm_vcpu_add(vm);
	return vm;
}

static void prepare_once(struct vm *vm, enum prepare_memory kind, struct samples *cycles)
{
	const uint64_t pages = BYTES / (kind == PREPARE_HUGE ? HUGE_BYTES : PAGE_BYTES);
	struct kvm_hypr_prepare arg = {
		.view = VIEW, .flags = KVM_HYPR_PREPARE_RANGE, .gpa = GPA, .size = BYTES,
	};
	const char *stat = kind == PREPARE_HUGE ? "pages_2m" : "pages_4k";
	uint8_t *mem = memory_of_kind(kind);
	uint64_t before, took;
	bool given;

	OK(try_set_slot(vm, VIEW, SLOT_FREE, 0, GPA, BYTES, mem));
	before = vm_stat(vm, stat);
	took = bench_tsc();
	OK(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &arg));
	took = bench_tsc() - took;
	CHECK_EQ(arg.pages_mapped, BYTES / PAGE_BYTES);
	/* A host may have no huge page to give. */
	given = kind != PREPARE_HUGE || vm_stat(vm, stat) > before;
	if (given)
		CHECK_EQ(vm_stat(vm, stat) - before, pages);
	if (cycles && given)
		OK(samples_add(cycles, took / pages));
	OK(try_discard(vm, VIEW));
	OK(try_set_slot(vm, VIEW, SLOT_FREE, 0, 0, 0, NULL));
	CHECK(!munmap(mem, BYTES));
}

void bench_prepare(enum prepare_memory kind, unsigned int rounds, struct samples *cycles)
{
	struct vm *vm = vm_with_vcpu(true);
	unsigned int i;

	for (i = 0; i < WARM_UP + rounds; i++)
		prepare_once(vm, kind, i < WARM_UP ? NULL : cycles);
	vm_close(vm);
}
