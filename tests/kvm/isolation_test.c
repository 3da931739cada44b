// SPDX-License-Identifier: GPL-2.0-only
/*
 * Isolation: what one view writes no other sees, whatever the memory behind it
 * is, and what the host does to the memory of an inactive view is what the
 * guest finds when it comes there.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)

#define BIG_RAM_BYTES	0x1000000
#define TAIL_GPA	(HYPR_CONTROL_GPA + 4096)

static struct vm *vm_with_ram(size_t ram_bytes)
{
	struct vm *vm = vm_new();

	need_cpus(1);
	vm->ram_bytes = ram_bytes;
	vm_views_add(vm, 2);
	vcpus_start(vm, 1);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	return vm;
}

static void go(struct vm *vm, unsigned int view)
{
	vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), view);
}

static void test_words(void)
{
	struct vm *vm = vm_with_ram(RAM_BYTES);
	struct vcpu *vcpu = &vm->vcpu[0];
	static const unsigned int views[] = { 0, A, B };
	unsigned int i, round;

	for (round = 1; round <= 10; round++) {
		for (i = 0; i < 3; i++) {
			go(vm, views[i]);
			vcpu_write(vcpu, GUEST_FREE_GPA, round << 8 | i);
		}
		for (i = 0; i < 3; i++) {
			go(vm, views[i]);
			CHECK_EQ(vcpu_read(vcpu, GUEST_FREE_GPA), round << 8 | i);
			CHECK_EQ(*ram_word(vm, views[i], GUEST_FREE_GPA),
				 round << 8 | i);
		}
	}
}

static void check_host_pattern(struct vm *vm, unsigned int view, uint64_t seed)
{
	uint64_t gpa;

	for (gpa = 0; gpa < vm->ram_bytes; gpa += 4096) {
		uint64_t got;

		if (gpa == HYPR_CONTROL_GPA)
			continue;
		got = *ram_word(vm, view, guest_pattern_at(gpa));
		if (got != guest_pattern(gpa, seed))
			FAIL("view %u, page %#llx: the host reads %#llx", view,
			     (unsigned long long)gpa, (unsigned long long)got);
	}
}

/* 16 MiB less the control page, in three views, seen from both sides. */
static void test_all_pages(void)
{
	struct vm *vm = vm_with_ram(BIG_RAM_BYTES);
	struct vcpu *vcpu = &vm->vcpu[0];
	static const unsigned int views[] = { 0, A, B };
	uint64_t seed[3];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		seed[i] = tap_random();
		go(vm, views[i]);
		vcpu_do(vcpu, GUEST_FILL, 0, HYPR_CONTROL_GPA, seed[i]);
		vcpu_do(vcpu, GUEST_FILL, TAIL_GPA, BIG_RAM_BYTES, seed[i]);
	}
	for (i = 0; i < 3; i++) {
		go(vm, views[i]);
		vcpu_verify(vcpu, 0, HYPR_CONTROL_GPA, seed[i]);
		vcpu_verify(vcpu, TAIL_GPA, BIG_RAM_BYTES, seed[i]);
		check_host_pattern(vm, views[i], seed[i]);
	}
}

static void test_host_writes_inactive(void)
{
	struct vm *vm = vm_with_ram(RAM_BYTES);
	unsigned int i;

	for (i = 1; i < 20; i++) {
		go(vm, A);
		*ram_word(vm, B, GUEST_FREE_GPA) = i;
		go(vm, B);
		CHECK_EQ(vcpu_read(&vm->vcpu[0], GUEST_FREE_GPA), i);
	}
}

static void test_page_tables_of_its_own(void)
{
	struct vm *vm = vm_with_ram(RAM_BYTES);
	struct vcpu *vcpu = &vm->vcpu[0];
	const uint64_t va = GUEST_PRIVATE_VA + GUEST_SHARED_BYTES - 4096;
	unsigned int i;

	*ram_word(vm, A, GUEST_PRIVATE_PD_GPA) = 0xe3;	/* to GPA 0 */
	*ram_word(vm, B, GUEST_PRIVATE_PD_GPA) = GUEST_SHARED_GPA | 0xe3;
	*ram_word(vm, A, GUEST_SHARED_BYTES - 4096) = 0xa;
	vm->shared[GUEST_SHARED_BYTES - 4096] = 0xb;
	for (i = 0; i < 50; i++) {
		go(vm, i % 2 ? B : A);
		CHECK_EQ(vcpu_read(vcpu, va), i % 2 ? 0xb : 0xa);
	}
}

static void test_dontneed(void)
{
	struct vm *vm = vm_with_ram(RAM_BYTES);
	struct vcpu *vcpu = &vm->vcpu[0];
	unsigned int i;

	for (i = 0; i < 10; i++) {
		go(vm, A);
		vcpu_write(vcpu, GUEST_FREE_GPA, 0x77);
		go(vm, B);
		vcpu_write(vcpu, GUEST_FREE_GPA, 0x88);
		CHECK(!madvise(vm->ram[A] + GUEST_FREE_GPA, 0x10000,
			       MADV_DONTNEED));
		go(vm, A);
		CHECK_EQ(vcpu_read(vcpu, GUEST_FREE_GPA), 0);
		go(vm, B);
		CHECK_EQ(vcpu_read(vcpu, GUEST_FREE_GPA), 0x88);
	}
}

/* The pages that the view lost are given to others. */
static void test_dontneed_then_write(void)
{
	struct vm *vm = vm_with_ram(RAM_BYTES);
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t seed = tap_random();
	uint8_t *taken;
	size_t i;

	go(vm, A);
	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
	go(vm, B);
	CHECK(!madvise(vm->ram[A] + GUEST_FREE_GPA,
		       GUEST_ID2_GPA - GUEST_FREE_GPA, MADV_DONTNEED));
	taken = memory_new(4 * RAM_BYTES);
	memset(taken, 0x5a, 4 * RAM_BYTES);
	go(vm, A);
	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, ~seed);
	vcpu_verify(vcpu, GUEST_FREE_GPA, GUEST_ID2_GPA, ~seed);
	for (i = 0; i < 4 * RAM_BYTES; i++)
		if (taken[i] != 0x5a)
			FAIL("memory of the host changed at %zu", i);
}

static void test_mprotect(void)
{
	struct vm *vm = vm_with_ram(RAM_BYTES);
	struct vcpu *vcpu = &vm->vcpu[0];

	go(vm, A);
	vcpu_write(vcpu, GUEST_FREE_GPA, 0x11);
	go(vm, B);
	CHECK(!mprotect(vm->ram[A] + GUEST_FREE_GPA, 4096, PROT_READ));
	go(vm, A);
	CHECK_EQ(vcpu_read(vcpu, GUEST_FREE_GPA), 0x11);
	vcpu->catch = true;
	vcpu_ask(vcpu, GUEST_WRITE, GUEST_FREE_GPA, 0x22, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, -EFAULT);
	CHECK_EQ(*ram_word(vm, A, GUEST_FREE_GPA), 0x11);
	CHECK(!mprotect(vm->ram[A] + GUEST_FREE_GPA, 4096,
			PROT_READ | PROT_WRITE));
	vcpu->catch = false;
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
	CHECK_EQ(*ram_word(vm, A, GUEST_FREE_GPA), 0x22);
}

static void test_remap(void)
{
	struct vm *vm = vm_with_ram(RAM_BYTES);
	struct vcpu *vcpu = &vm->vcpu[0];
	uint8_t *at = vm->ram[A] + GUEST_FREE_GPA;

	go(vm, A);
	vcpu_write(vcpu, GUEST_FREE_GPA, 0x11);
	go(vm, B);
	CHECK(mmap(at, 4096, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
	*ram_word(vm, A, GUEST_FREE_GPA) = 0x33;
	go(vm, A);
	CHECK_EQ(vcpu_read(vcpu, GUEST_FREE_GPA), 0x33);
	vcpu_write(vcpu, GUEST_FREE_GPA, 0x44);
	CHECK_EQ(*ram_word(vm, A, GUEST_FREE_GPA), 0x44);
}

/* A moment: one frozen memory, mapped privately by each view. */
static int moment_new(uint64_t seed)
{
	int fd = memfd_create("moment", MFD_CLOEXEC);
	uint64_t gpa, word;

	CHECK(fd >= 0);
	CHECK(!ftruncate(fd, RAM_BYTES));
	for (gpa = 0; gpa < RAM_BYTES; gpa += 4096) {
		word = guest_pattern(gpa, seed);
		CHECK(pwrite(fd, &word, 8, guest_pattern_at(gpa)) == 8);
	}
	return fd;
}

static void map_moment(struct vm *vm, unsigned int view, int fd)
{
	void *at = vm->ram[view];

	CHECK(mmap(at, RAM_BYTES, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_FIXED, fd, 0) == at);
}

static void check_moment(int fd, uint64_t seed)
{
	uint64_t gpa, word;

	for (gpa = 0; gpa < RAM_BYTES; gpa += 4096) {
		CHECK(pread(fd, &word, 8, guest_pattern_at(gpa)) == 8);
		CHECK_EQ(word, guest_pattern(gpa, seed));
	}
}

static struct vm *vm_with_moment(int fd)
{
	struct vm *vm = vm_new();
	unsigned int view;

	need_cpus(1);
	vm_views_add(vm, 2);
	for (view = A; view <= B; view++) {
		map_moment(vm, view, fd);
		*ram_word(vm, view, GUEST_ID_GPA) = view;
		*ram_word(vm, view, GUEST_ID2_GPA) = view;
	}
	vcpus_start(vm, 1);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	return vm;
}

static void test_private_mappings_of_one_file(void)
{
	uint64_t seed = tap_random(), seed_a = tap_random();
	int fd = moment_new(seed);
	struct vm *vm = vm_with_moment(fd);
	struct vcpu *vcpu = &vm->vcpu[0];

	go(vm, A);
	vcpu_verify(vcpu, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
	vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA, seed_a);
	go(vm, B);
	vcpu_verify(vcpu, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
	go(vm, A);
	vcpu_verify(vcpu, GUEST_FREE_GPA, GUEST_ID2_GPA, seed_a);
	check_moment(fd, seed);
}

/* The reset of a view: its private pages are dropped while it is inactive. */
static void test_reset_to_the_file(void)
{
	uint64_t seed = tap_random();
	int fd = moment_new(seed);
	struct vm *vm = vm_with_moment(fd);
	struct vcpu *vcpu = &vm->vcpu[0];
	unsigned int i;

	for (i = 0; i < 5; i++) {
		go(vm, A);
		vcpu_verify(vcpu, GUEST_FREE_GPA, GUEST_ID2_GPA, seed);
		vcpu_do(vcpu, GUEST_FILL, GUEST_FREE_GPA, GUEST_ID2_GPA,
			tap_random());
		go(vm, B);
		CHECK(!madvise(vm->ram[A] + GUEST_FREE_GPA,
			       GUEST_ID2_GPA - GUEST_FREE_GPA, MADV_DONTNEED));
		OK(try_prepare(vm, A));
	}
	check_moment(fd, seed);
}

/* Preparing must not make a private copy of what is only read. */
static void test_prepare_keeps_pages_shared(void)
{
	uint64_t seed = tap_random();
	int fd = moment_new(seed);
	struct vm *vm = vm_with_moment(fd);
	uint64_t word = 0x99;

	CHECK(pwrite(fd, &word, 8, GUEST_FREE_GPA) == 8);
	go(vm, A);
	CHECK_EQ(vcpu_read(&vm->vcpu[0], GUEST_FREE_GPA), 0x99);
}

static void test_slot_removed(void)
{
	struct vm *vm = vm_with_ram(RAM_BYTES);
	struct vcpu *vcpu = &vm->vcpu[0];
	const uint64_t gpa = 0x2000000;

	OK(try_set_slot(vm, A, SLOT_FREE, 0, gpa, 4096, memory_new(4096)));
	OK(try_prepare(vm, A));
	go(vm, A);
	vcpu_write(vcpu, gpa, 0x55);
	go(vm, B);
	OK(try_set_slot(vm, A, SLOT_FREE, 0, gpa, 0, NULL));
	go(vm, A);
	vcpu->catch = true;
	vcpu_ask(vcpu, GUEST_READ, gpa, 0, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_MMIO);
	CHECK_EQ(vcpu->run->mmio.phys_addr, gpa);
}

/* An address that is MMIO in one view may be memory in another. */
static void test_mmio_in_one_view_memory_in_another(void)
{
	struct vm *vm = vm_with_ram(RAM_BYTES);
	struct vcpu *vcpu = &vm->vcpu[0];
	const uint64_t gpa = 0x2000000, answer = 0x1234567;
	unsigned int i;

	OK(try_set_slot(vm, B, SLOT_FREE, 0, gpa, 4096, memory_new(4096)));
	OK(try_prepare(vm, B));
	for (i = 1; i < 10; i++) {
		go(vm, A);
		vcpu->catch = true;
		vcpu_ask(vcpu, GUEST_READ, gpa, 0, 0);
		vcpu_wait_outside(vcpu);
		CHECK_EQ(vcpu->caught, KVM_EXIT_MMIO);
		memcpy(vcpu->run->mmio.data, &answer, sizeof(answer));
		vcpu->catch = false;
		vcpu_resume(vcpu);
		vcpu_wait_done(vcpu);
		CHECK_EQ(vcpu->guest->result[0], answer);
		go(vm, B);
		vcpu_write(vcpu, gpa, i);
		CHECK_EQ(vcpu_read(vcpu, gpa), i);
	}
}

static void test_read_only_slot(void)
{
	struct vm *vm = vm_with_ram(RAM_BYTES);
	struct vcpu *vcpu = &vm->vcpu[0];
	const uint64_t gpa = 0x2000000;
	uint64_t *memory = memory_new(4096);

	*memory = 0x66;
	OK(try_set_slot(vm, A, SLOT_FREE, KVM_MEM_READONLY, gpa, 4096, memory));
	OK(try_set_slot(vm, B, SLOT_FREE, 0, gpa, 4096, memory));
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	go(vm, B);
	vcpu_write(vcpu, gpa, 0x67);
	go(vm, A);
	CHECK_EQ(vcpu_read(vcpu, gpa), 0x67);
	vcpu->catch = true;
	vcpu_ask(vcpu, GUEST_WRITE, gpa, 0x68, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_MMIO);
	CHECK_EQ(*memory, 0x67);
}

static uint64_t dirty_bits(struct vm *vm, unsigned int view)
{
	uint64_t bitmap[RAM_BYTES / 4096 / 64] = { 0 };
	struct kvm_dirty_log log = {
		.slot = view << 16 | SLOT_RAM,
		.dirty_bitmap = bitmap,
	};

	OK(try_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	return bitmap[1];
}

/* Preparing a logged slot must not hide the guest's first write. */
static void test_dirty_log(void)
{
	struct vm *vm = vm_with_ram(RAM_BYTES);
	struct vcpu *vcpu = &vm->vcpu[0];
	unsigned int view;

	need_kvm("dirty log");
	for (view = A; view <= B; view++)
		OK(try_set_slot(vm, view, SLOT_RAM, KVM_MEM_LOG_DIRTY_PAGES, 0,
				RAM_BYTES, vm->ram[view]));
	OK(try_discard(vm, A));
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	go(vm, A);
	vcpu_write(vcpu, 0x45000, 1);
	go(vm, B);
	vcpu_write(vcpu, 0x47000, 1);
	CHECK_EQ(dirty_bits(vm, A), 1ull << 5);
	CHECK_EQ(dirty_bits(vm, B), 1ull << 7);
	go(vm, A);
	vcpu_write(vcpu, 0x45000, 2);
	vcpu_write(vcpu, 0x46000, 2);
	CHECK_EQ(dirty_bits(vm, A), 3ull << 5);
	CHECK_EQ(dirty_bits(vm, B), 0);
}

static void *huge_memory_new(size_t bytes)
{
	const size_t huge = 0x200000;
	uintptr_t p = (uintptr_t)memory_new(bytes + huge);

	p = (p + huge - 1) & ~(huge - 1);
	if (madvise((void *)p, bytes, MADV_HUGEPAGE))
		skip("no transparent huge pages: %m");
	memset((void *)p, 0, bytes);
	return (void *)p;
}

static void test_huge_pages(void)
{
	const uint64_t gpa = 0x2000000, end = gpa + 0x400000;
	struct vm *vm = vm_with_ram(RAM_BYTES);
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t seed = tap_random();
	uint8_t *memory[2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		memory[i] = huge_memory_new(0x400000);
		OK(try_set_slot(vm, A + i, SLOT_FREE, 0, gpa, 0x400000,
				memory[i]));
		OK(try_prepare(vm, A + i));
	}
	for (i = 0; i < 2; i++) {
		go(vm, A + i);
		vcpu_do(vcpu, GUEST_FILL, gpa, end, seed + i);
	}
	go(vm, A);
	vcpu_verify(vcpu, gpa, end, seed);
	CHECK(!madvise(memory[1], 4096, MADV_DONTNEED));
	go(vm, B);
	CHECK_EQ(vcpu_read(vcpu, guest_pattern_at(gpa)), 0);
	vcpu_verify(vcpu, gpa + 4096, end, seed + 1);
}

static const struct test tests[] = {
	{ "a word written in one view is seen in no other", test_words },
	{ "all pages of 16 MiB, three views, from guest and host",
	  test_all_pages },
	{ "what the host writes into an inactive view is there",
	  test_host_writes_inactive },
	{ "each view has its own guest page tables",
	  test_page_tables_of_its_own },
	{ "MADV_DONTNEED of an inactive view is honoured", test_dontneed },
	{ "memory taken from an inactive view is not written any more",
	  test_dontneed_then_write },
	{ "mprotect of an inactive view is honoured", test_mprotect },
	{ "a remapped page of an inactive view is honoured", test_remap },
	{ "views that map one file privately do not see each other",
	  test_private_mappings_of_one_file },
	{ "dropped private pages bring the file back", test_reset_to_the_file },
	{ "preparing copies no page", test_prepare_keeps_pages_shared },
	{ "a slot removed from an inactive view is gone", test_slot_removed },
	{ "MMIO in one view is memory in another",
	  test_mmio_in_one_view_memory_in_another },
	{ "a slot read-only in one view only", test_read_only_slot },
	{ "each view has its own dirty log", test_dirty_log },
	{ "huge pages", test_huge_pages },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
