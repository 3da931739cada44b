// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One function VM.  It has one memory slot and one vCPU, and no interrupt controller.
 * Its memory is a private mapping of the moment, so that machines share what they do
 * not write.
 *
 * Registers are set once: the monitor gives the function its own in each call.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/kvm.h"
#include "base/page.h"
#include "func/machine.h"

#define CPUID_ENTRIES_MAX	256

/* Leaf 1 */
#define ECX_MONITOR	(1u << 3)
#define ECX_VMX		(1u << 5)
#define ECX_FMA		(1u << 12)
#define ECX_XSAVE	(1u << 26)
#define ECX_OSXSAVE	(1u << 27)
#define ECX_AVX		(1u << 28)
#define ECX_F16C	(1u << 29)
#define LEAF_1_HIDDEN	(ECX_MONITOR | ECX_VMX | ECX_FMA | ECX_XSAVE | ECX_OSXSAVE | \
			 ECX_AVX | ECX_F16C)
/* Leaf 7 */
#define EBX_FSGSBASE	(1u << 0)
#define EBX_AVX2	(1u << 5)

#define CR0		0x80010033ull	/* PG WP NE ET MP PE */
#define CR4		0x624ull	/* OSXMMEXCPT OSFXSR PAE TSD */
#define EFER		0xd00ull	/* NXE LMA LME */

/* ---- the host ------------------------------------------------------------ */

/* The monitor keeps the SSE registers: what is wider does not exist. */
static void hide(struct kvm_cpuid2 *cpuid)
{
	unsigned int i;

	for (i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == 1)
			entry->ecx &= ~LEAF_1_HIDDEN;
		else if (entry->function == 7 && entry->index == 0)
			*entry = (struct kvm_cpuid_entry2){
				.function = 7,
				.flags = entry->flags,
				.ebx = entry->ebx & 0xffff & ~(EBX_FSGSBASE | EBX_AVX2),
			};
		else if (entry->function == 7 || entry->function == 0xd)
			*entry = (struct kvm_cpuid_entry2){
				.function = entry->function,
				.index = entry->index,
				.flags = entry->flags,
			};
	}
}

static int ask_cpuid(struct hypr_func_host *host)
{
	host->cpuid = calloc(1, sizeof(*host->cpuid) +
			     CPUID_ENTRIES_MAX * sizeof(host->cpuid->entries[0]));
	if (!host->cpuid)
		return hypr_fail(-ENOMEM, "no memory for CPUID");
	host->cpuid->nent = CPUID_ENTRIES_MAX;
	if (ioctl(host->kvm_fd, KVM_GET_SUPPORTED_CPUID, host->cpuid) < 0)
		return hypr_fail_sys(-errno, "KVM_GET_SUPPORTED_CPUID");
	hide(host->cpuid);
	return 0;
}

/**
 * hypr_func_host_open() - open the device, and ask what all machines need
 * @host: its engine is set; to be given back with hypr_func_host_close() in any case
 */
int hypr_func_host_open(struct hypr_func_host *host)
{
	int bytes;

	host->kvm_fd = open(host->engine->device, O_RDWR | O_CLOEXEC);
	if (host->kvm_fd < 0)
		return hypr_fail_sys(errno == ENOENT ? -ENODEV : -errno, "%s%s",
				     host->engine->device, host->engine->remedy);
	bytes = ioctl(host->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (bytes < (int)sizeof(struct kvm_run))
		return hypr_fail(-EOPNOTSUPP, "%s: its run page has %d bytes",
				 host->engine->device, bytes);
	host->run_bytes = (size_t)bytes;
	return ask_cpuid(host);
}

void hypr_func_host_close(struct hypr_func_host *host)
{
	free(host->cpuid);
	if (host->kvm_fd >= 0)
		close(host->kvm_fd);
	host->cpuid = NULL;
	host->kvm_fd = -1;
}

/* ---- making one ---------------------------------------------------------- */

static struct kvm_segment segment(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.l = selector == FUNC_CS,
		.db = selector != FUNC_CS,
	};
}

/* At the monitor's first instruction, at privilege level 0. */
static int set_registers(const struct hypr_func_machine *machine)
{
	struct kvm_regs regs = { .rip = FUNC_MONITOR, .rsp = FUNC_STACK_TOP, .rflags = 0x202 };
	const struct kvm_segment data = segment(FUNC_DS, 3);
	struct kvm_sregs sregs;

	if (ioctl(machine->vcpu_fd, KVM_GET_SREGS, &sregs) < 0)
		return hypr_fail_sys(-errno, "KVM_GET_SREGS");
	sregs.cs = segment(FUNC_CS, 11);
	sregs.ds = data;
	sregs.es = data;
	sregs.fs = data;
	sregs.gs = data;
	sregs.ss = data;
	sregs.tr = (struct kvm_segment){
		.base = FUNC_TSS, .limit = 0x67, .selector = FUNC_TR, .type = 11, .present = 1,
	};
	sregs.ldt = (struct kvm_segment){ .type = 2, .unusable = 1 };
	sregs.gdt = (struct kvm_dtable){ .base = FUNC_GDT, .limit = FUNC_TR + 15 };
	sregs.idt = (struct kvm_dtable){ .base = FUNC_IDT, .limit = FUNC_EXCEPTIONS * 16 - 1 };
	sregs.cr0 = CR0;
	sregs.cr3 = FUNC_PML4;
	sregs.cr4 = CR4;
	sregs.efer = EFER;
	if (ioctl(machine->vcpu_fd, KVM_SET_SREGS, &sregs) < 0)
		return hypr_fail_sys(-errno, "KVM_SET_SREGS");
	if (ioctl(machine->vcpu_fd, KVM_SET_REGS, &regs) < 0)
		return hypr_fail_sys(-errno, "KVM_SET_REGS");
	return 0;
}

static int make_vcpu(const struct hypr_func_host *host, struct hypr_func_machine *machine)
{
	void *run;

	machine->vcpu_fd = ioctl(machine->vm_fd, KVM_CREATE_VCPU, 0);
	if (machine->vcpu_fd < 0)
		return hypr_fail_sys(-errno, "KVM_CREATE_VCPU");
	run = mmap(NULL, host->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, machine->vcpu_fd,
		   0);
	if (run == MAP_FAILED)
		return hypr_fail_sys(-errno, "the vCPU's run page");
	machine->run = run;
	machine->run_bytes = host->run_bytes;
	if (ioctl(machine->vcpu_fd, KVM_SET_CPUID2, host->cpuid) < 0)
		return hypr_fail_sys(-errno, "KVM_SET_CPUID2");
	return set_registers(machine);
}

static int make_memory(const struct hypr_func_host *host, struct hypr_func_machine *machine)
{
	struct kvm_userspace_memory_region region = { .memory_size = host->mem_bytes };
	void *mem;

	mem = mmap(NULL, host->mem_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
		   host->moment_fd, 0);
	if (mem == MAP_FAILED)
		return hypr_fail_sys(-errno, "memory of a function VM");
	machine->mem = mem;
	machine->mem_bytes = host->mem_bytes;
	region.userspace_addr = (uintptr_t)mem;
	if (ioctl(machine->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return hypr_fail_sys(-errno, "KVM_SET_USER_MEMORY_REGION");
	return 0;
}

static int make(const struct hypr_func_host *host, struct hypr_func_machine *machine)
{
	const struct hypr_func_engine *engine = host->engine;
	int ret;

	do
		machine->vm_fd = ioctl(host->kvm_fd, KVM_CREATE_VM, 0);
	while (machine->vm_fd < 0 && errno == EINTR);
	if (machine->vm_fd < 0)
		return hypr_fail_no_vm(-errno, engine->device);
	if (engine->capability &&
	    ioctl(machine->vm_fd, KVM_CHECK_EXTENSION, engine->capability) <= 0)
		return hypr_fail(-EOPNOTSUPP,
				 "engine %s: this host's KVM has no HYPR capability (hypr doctor says more)",
				 engine->name);
	ret = make_memory(host, machine);
	return ret ? ret : make_vcpu(host, machine);
}

int hypr_func_machine_create(const struct hypr_func_host *host,
			     struct hypr_func_machine **machinep)
{
	struct hypr_func_machine *machine = calloc(1, sizeof(*machine));
	int ret;

	if (!machine)
		return hypr_fail(-ENOMEM, "no memory for a function VM");
	machine->vm_fd = -1;
	machine->vcpu_fd = -1;
	ret = make(host, machine);
	if (ret)
		hypr_func_machine_destroy(machine);
	else
		*machinep = machine;
	return ret;
}

/** hypr_func_machine_destroy() - NULL is allowed */
void hypr_func_machine_destroy(struct hypr_func_machine *machine)
{
	if (!machine)
		return;
	if (machine->run)
		munmap(machine->run, machine->run_bytes);
	if (machine->vcpu_fd >= 0)
		close(machine->vcpu_fd);
	if (machine->vm_fd >= 0)
		close(machine->vm_fd);
	if (machine->mem)
		munmap(machine->mem, machine->mem_bytes);
	free(machine);
}

/* ---- running ------------------------------------------------------------- */

static int check_exit(const struct hypr_func_machine *machine)
{
	const struct kvm_run *run = machine->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		if (run->io.port == FUNC_PORT && run->io.direction == KVM_EXIT_IO_OUT)
			return 0;
		return hypr_fail(-EIO, "an I/O exit of port 0x%x", run->io.port);
	case KVM_EXIT_SHUTDOWN:
		return hypr_fail(-EIO, "a triple fault");
	case KVM_EXIT_FAIL_ENTRY:
		return hypr_fail(-EIO, "VM entry failed, hardware reason 0x%llx",
				 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_INTERNAL_ERROR:
		return hypr_fail(-EIO, "KVM internal error, suberror %u", run->internal.suberror);
	default:
		return hypr_fail(-EIO, "exit reason %u is not handled", run->exit_reason);
	}
}

int hypr_func_machine_run(struct hypr_func_machine *machine, const bool *expired)
{
	while (ioctl(machine->vcpu_fd, KVM_RUN, 0) < 0) {
		if (errno != EINTR && errno != EAGAIN)
			return hypr_fail(-EIO, "KVM_RUN: %s", strerrorname_np(errno));
		if (__atomic_load_n(expired, __ATOMIC_ACQUIRE))
			return -EINTR;
	}
	return check_exit(machine);
}

uint64_t hypr_func_machine_rip(const struct hypr_func_machine *machine)
{
	struct kvm_regs regs;

	return ioctl(machine->vcpu_fd, KVM_GET_REGS, &regs) < 0 ? 0 : regs.rip;
}

void hypr_func_machine_report(const struct hypr_func_machine *machine,
			      struct hypr_func_report *report)
{
	memcpy(report, machine->mem + FUNC_REPORT, sizeof(*report));
}

/* The monitor's list, and the pages that it may have in it: all but its own. */
static int check_dirty(const struct hypr_func_machine *machine, uint64_t nr)
{
	const uint32_t *dirty = (const uint32_t *)(machine->mem + FUNC_DIRTY);
	uint64_t i;

	if (nr > machine->mem_bytes / HYPR_PAGE_BYTES)
		return hypr_fail(-EIO, "the monitor reports %llu written pages",
				 (unsigned long long)nr);
	for (i = 0; i < nr; i++) {
		if (dirty[i] < FUNC_USER / HYPR_PAGE_BYTES ||
		    dirty[i] >= machine->mem_bytes / HYPR_PAGE_BYTES)
			return hypr_fail(-EIO, "the monitor reports a written page %u", dirty[i]);
	}
	return 0;
}

static void copy_pages(const struct hypr_func_machine *machine, uint64_t nr, uint8_t *to,
		       const uint8_t *from)
{
	const uint32_t *dirty = (const uint32_t *)(machine->mem + FUNC_DIRTY);
	uint64_t i;

	for (i = 0; i < nr; i++)
		memcpy(to + dirty[i] * HYPR_PAGE_BYTES, from + dirty[i] * HYPR_PAGE_BYTES,
		       HYPR_PAGE_BYTES);
}

int64_t hypr_func_machine_reset(struct hypr_func_machine *machine,
				const struct hypr_func_host *host, uint64_t nr_dirty)
{
	int ret = check_dirty(machine, nr_dirty);

	if (ret)
		return ret;
	copy_pages(machine, nr_dirty, machine->mem, host->moment);
	return (int64_t)nr_dirty;
}

int hypr_func_machine_keep(struct hypr_func_machine *machine,
			   const struct hypr_func_host *host, uint64_t nr_dirty)
{
	int ret = check_dirty(machine, nr_dirty);

	if (!ret)
		copy_pages(machine, nr_dirty, host->moment, machine->mem);
	return ret;
}
