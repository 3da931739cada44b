// SPDX-License-Identifier: GPL-2.0-only
/*
 * The price of exchanging memory without views: see memslot_replace.h.
 *
 * Both memories are private mappings of frozen memory, as a view's memory is,
 * and populated: what is measured are KVM's tables, not the host's page faults.
 * The guest only reads, which is the cheaper half of what a guest does.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memslot_replace.h"
#include "bench.h"
#include "stats.h"

#define PAGE_BYTES	4096u
#define CODE_GPA	0x1100u		/* in page 1, behind its first word */
#define TSS_GPA		0xfffbd000u	/* three pages that KVM wants */
#define DONE_PORT	0x10

/*
 * Flat 32-bit code: add up the first word of every page, then write to a port.
 * The end of memory is patched in at END_AT.
 */
static const uint8_t guest_code[] = {
	0x31, 0xdb,				/*    xor  %ebx, %ebx */
	0xbe, 0x00, 0x00, 0x00, 0x00,		/*    mov  $0, %esi */
	0x03, 0x1e,				/* 1: add  (%esi), %ebx */
	0x81, 0xc6, 0x00, 0x10, 0x00, 0x00,	/*    add  $4096, %esi */
	0x81, 0xfe, 0x00, 0x00, 0x00, 0x00,	/*    cmp  $END, %esi */
	0x72, 0xf0,				/*    jb   1b */
	0xe6, DONE_PORT,			/*    out  %al, $DONE_PORT */
	0xeb, 0xe5,				/*    jmp  start */
};
#define END_AT	17
#define OUT_AT	23			/* of the OUT */

struct scratch {
	int kvm;
	int vm;
	int vcpu;
	size_t run_bytes;
	struct kvm_run *run;
	uint64_t mem_bytes;
	uint8_t *mem[2];
};

/* First words that tell one memory from the other. */
static uint32_t marker(unsigned int which, uint32_t page)
{
	return (which + 1) * 0x01000193u + page;
}

/* Frozen memory: a file with the guest's code.  Return: its descriptor, or -1. */
static int file_create(uint64_t bytes, unsigned int which)
{
	int fd = memfd_create("memslot", MFD_CLOEXEC);
	uint32_t end = (uint32_t)bytes, page, word;
	uint8_t *mem;

	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)bytes))
		goto close_fd;
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		goto close_fd;
	for (page = 0; page < bytes / PAGE_BYTES; page++) {
		word = marker(which, page);
		memcpy(mem + (size_t)page * PAGE_BYTES, &word, sizeof(word));
	}
	memcpy(mem + CODE_GPA, guest_code, sizeof(guest_code));
	memcpy(mem + CODE_GPA + END_AT, &end, sizeof(end));
	munmap(mem, bytes);
	return fd;

close_fd:
	close(fd);
	return -1;
}

static uint8_t *mem_create(uint64_t bytes, unsigned int which)
{
	int fd = file_create(bytes, which);
	uint8_t *mem;

	if (fd < 0)
		return MAP_FAILED;
	/* Populating a writable private mapping copies it: no fault is left. */
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_POPULATE, fd, 0);
	close(fd);
	return mem;
}

static int slot_set(struct scratch *vm, uint8_t *mem, uint64_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)mem,
	};

	return ioctl(vm->vm, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

/* Flat segments, no paging, interrupts on: an emulated host needs them. */
static int registers_set(struct scratch *vm, uint64_t rip)
{
	struct kvm_segment flat = {
		.limit = 0xffffffff, .type = 0x3, .present = 1, .s = 1,
		.db = 1, .g = 1, .selector = 0x10,
	};
	struct kvm_regs regs = { .rip = rip, .rflags = 0x202 };
	struct kvm_sregs sregs;

	if (ioctl(vm->vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = flat;
	sregs.cs = flat;
	sregs.cs.type = 0xb;
	sregs.cs.selector = 0x8;
	sregs.cr0 |= 1;
	if (ioctl(vm->vcpu, KVM_SET_SREGS, &sregs) ||
	    ioctl(vm->vcpu, KVM_SET_REGS, &regs))
		return -errno;
	return 0;
}

static int vcpu_create(struct scratch *vm, uint64_t rip)
{
	long bytes = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} cpuid = { .head.nent = 256 };

	if (bytes < 0)
		return -errno;
	vm->vcpu = ioctl(vm->vm, KVM_CREATE_VCPU, 0);
	if (vm->vcpu < 0)
		return -errno;
	vm->run_bytes = (size_t)bytes;
	vm->run = mmap(NULL, vm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		       vm->vcpu, 0);
	if (vm->run == MAP_FAILED)
		return -errno;
	/* Some kernels refuse registers before the CPUID is set. */
	if (ioctl(vm->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) ||
	    ioctl(vm->vcpu, KVM_SET_CPUID2, &cpuid))
		return -errno;
	return registers_set(vm, rip);
}

static void scratch_fini(struct scratch *vm)
{
	unsigned int i;

	if (vm->run != MAP_FAILED)
		munmap(vm->run, vm->run_bytes);
	if (vm->vcpu >= 0)
		close(vm->vcpu);
	if (vm->vm >= 0)
		close(vm->vm);
	if (vm->kvm >= 0)
		close(vm->kvm);
	for (i = 0; i < 2; i++)
		if (vm->mem[i] != MAP_FAILED)
			munmap(vm->mem[i], vm->mem_bytes);
}

/* A VM and its vCPU, which starts at @rip. */
static int vm_create(struct scratch *vm, uint64_t rip)
{
	vm->vm = ioctl(vm->kvm, KVM_CREATE_VM, 0);
	if (vm->vm < 0 || ioctl(vm->vm, KVM_SET_TSS_ADDR, TSS_GPA))
		return -errno;
	return vcpu_create(vm, rip);
}

static void scratch_none(struct scratch *vm, uint64_t mem_bytes)
{
	*vm = (struct scratch){
		.kvm = -1, .vm = -1, .vcpu = -1, .run = MAP_FAILED,
		.mem_bytes = mem_bytes, .mem = { MAP_FAILED, MAP_FAILED },
	};
}

static int scratch_init(struct scratch *vm, uint64_t mem_bytes)
{
	unsigned int i;

	scratch_none(vm, mem_bytes);
	for (i = 0; i < 2; i++) {
		vm->mem[i] = mem_create(mem_bytes, i);
		if (vm->mem[i] == MAP_FAILED)
			return -ENOMEM;
	}
	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		return -errno;
	return vm_create(vm, CODE_GPA);
}

/* Let the guest read all pages; it must find those of memory @which. */
static int touch(struct scratch *vm, unsigned int which, uint64_t *cycles)
{
	uint64_t start = bench_tsc();
	struct kvm_regs regs;
	uint32_t sum = 0, page;

	do {
		if (ioctl(vm->vcpu, KVM_RUN, 0) && errno != EINTR)
			return -errno;
	} while (vm->run->exit_reason == KVM_EXIT_INTR);
	*cycles = bench_tsc() - start;
	if (vm->run->exit_reason != KVM_EXIT_IO ||
	    vm->run->io.port != DONE_PORT)
		return -EIO;
	if (ioctl(vm->vcpu, KVM_GET_REGS, &regs))
		return -errno;
	for (page = 0; page < vm->mem_bytes / PAGE_BYTES; page++)
		sum += marker(which, page);
	return (uint32_t)regs.rbx == sum ? 0 : -EIO;
}

static int replace(struct scratch *vm, unsigned int which, uint64_t *cycles)
{
	uint64_t start = bench_tsc();
	int ret;

	ret = slot_set(vm, vm->mem[which], 0);
	if (!ret)
		ret = slot_set(vm, vm->mem[which], vm->mem_bytes);
	*cycles = bench_tsc() - start;
	return ret;
}

int memslot_replace_measure(uint64_t mem_bytes, unsigned int rounds,
			    struct memslot_replace *result)
{
	struct samples replaces = { 0 }, touches = { 0 }, totals = { 0 };
	uint64_t replaced = 0, touched = 0;
	struct summary summary;
	struct scratch vm;
	unsigned int i;
	int ret;

	ret = scratch_init(&vm, mem_bytes);
	if (!ret)
		ret = slot_set(&vm, vm.mem[0], mem_bytes);
	if (!ret)
		ret = touch(&vm, 0, &touched);
	for (i = 1; !ret && i <= rounds + 1; i++) {
		ret = replace(&vm, i % 2, &replaced);
		if (!ret)
			ret = touch(&vm, i % 2, &touched);
		if (ret || i == 1)
			continue;
		ret = samples_add(&replaces, replaced);
		if (!ret)
			ret = samples_add(&touches, touched);
		if (!ret)
			ret = samples_add(&totals, replaced + touched);
	}
	samples_summarize(&replaces, &summary);
	result->replace = summary.median;
	samples_summarize(&touches, &summary);
	result->touch = summary.median;
	samples_summarize(&totals, &summary);
	result->total = summary.median;
	samples_fini(&replaces);
	samples_fini(&touches);
	samples_fini(&totals);
	scratch_fini(&vm);
	return ret;
}

/* From the mapping to the OUT. */
static int new_vm(struct scratch *vm, int fd, uint64_t *cycles)
{
	uint64_t start = bench_tsc();
	int ret;

	vm->mem[0] = mmap(NULL, vm->mem_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (vm->mem[0] == MAP_FAILED)
		return -errno;
	ret = vm_create(vm, CODE_GPA + OUT_AT);
	if (!ret)
		ret = slot_set(vm, vm->mem[0], vm->mem_bytes);
	if (!ret && ioctl(vm->vcpu, KVM_RUN, 0))
		ret = -errno;
	*cycles = bench_tsc() - start;
	if (!ret && (vm->run->exit_reason != KVM_EXIT_IO || vm->run->io.port != DONE_PORT))
		ret = -EIO;
	return ret;
}

int memslot_new_vm_measure(uint64_t mem_bytes, unsigned int rounds, struct samples *first)
{
	int fd = file_create(mem_bytes, 0), ret = 0;
	uint64_t cycles = 0;
	struct scratch vm;
	unsigned int i;

	if (fd < 0)
		return -ENOMEM;
	for (i = 0; !ret && i <= rounds; i++) {
		scratch_none(&vm, mem_bytes);
		vm.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
		ret = vm.kvm < 0 ? -errno : new_vm(&vm, fd, &cycles);
		if (!ret && i)
			ret = samples_add(first, cycles);
		scratch_fini(&vm);
	}
	close(fd);
	return ret;
}
