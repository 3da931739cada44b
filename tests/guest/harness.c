// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMs, their views and their memory for tests with tiny guests; see harness.h.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

int try_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* A CPU that sleeps lets the emulator run the others. */
void wait_relax(void)
{
	static unsigned int calls;
	const struct timespec pause = { .tv_nsec = 20000 };

	if (++calls % 64)
		asm volatile("pause");
	else
		nanosleep(&pause, NULL);
}

void need_cpus(int nr_vcpus)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (online < nr_vcpus + 1 && !getenv("HYPR_UNPINNED"))
		skip("%d vCPUs need %d CPUs, %ld are online", nr_vcpus,
		     nr_vcpus + 1, online);
}

void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) && !getenv("HYPR_UNPINNED"))
		FAIL("cannot pin a thread to CPU %d: %m", cpu);
}

void *memory_new(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		FAIL("mmap of %zu bytes: %m", bytes);
	return p;
}

/* One host address for all views: what a view shares is mapped once. */
static void *shared_memory_new(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		FAIL("mmap of %zu bytes: %m", bytes);
	return p;
}

static void write_gate(uint8_t *idt, int vector, uint64_t handler)
{
	uint64_t low = (handler & 0xffff) | (8ull << 16) | (0x8e00ull << 32) |
		       ((handler >> 16 & 0xffff) << 48);
	uint64_t high = handler >> 32;

	memcpy(idt + vector * 16, &low, sizeof(low));
	memcpy(idt + vector * 16 + 8, &high, sizeof(high));
}

static uint64_t guest_address(void (*function)(void))
{
	return GUEST_SHARED_GPA + GUEST_CODE +
	       ((uintptr_t)function - (uintptr_t)__start_guest_text);
}

/* The first GiB as it is, and one PD that each view has for itself. */
static void write_page_tables(uint8_t *shared)
{
	uint64_t *pml4 = (uint64_t *)(shared + GUEST_PML4);
	uint64_t *pdpt = (uint64_t *)(shared + GUEST_PDPT);
	uint64_t *pd = (uint64_t *)(shared + GUEST_PD);
	uint64_t i;

	pml4[0] = (GUEST_SHARED_GPA + GUEST_PDPT) | 0x23;
	pdpt[0] = (GUEST_SHARED_GPA + GUEST_PD) | 0x23;
	pdpt[1] = GUEST_PRIVATE_PD_GPA | 0x23;
	for (i = 0; i < 511; i++)
		pd[i] = i << 21 | 0xe3;
	pd[511] = 0xfee000f3;		/* GUEST_APIC_VA, uncached */
}

static void write_guest(struct vm *vm)
{
	size_t code_bytes = __stop_guest_text - __start_guest_text;
	uint64_t *gdt = (uint64_t *)(vm->shared + GUEST_GDT);
	uint8_t *idt = vm->shared + GUEST_IDT;
	int i;

	CHECK(code_bytes <= GUEST_CODE_BYTES);
	memcpy(vm->shared + GUEST_CODE, __start_guest_text, code_bytes);
	write_page_tables(vm->shared);
	gdt[1] = 0x00af9b000000ffffull;
	gdt[2] = 0x00cf93000000ffffull;
	for (i = 0; i < 32; i++)
		write_gate(idt, i, guest_address(guest_fault));
	write_gate(idt, GUEST_PF_VECTOR, guest_address(guest_page_fault));
	write_gate(idt, GUEST_WAKE_VECTOR, guest_address(guest_irq_wake));
	write_gate(idt, HYPR_CONTROL_VECTOR, guest_address(guest_irq_pause));
}

static void write_control_page(struct vm *vm)
{
	vm->control->magic = HYPR_CONTROL_MAGIC;
	vm->control->version = HYPR_CONTROL_VERSION;
	vm->control->nr_vcpus = GUEST_MAX_VCPUS;
}

const char *harness_device(void)
{
	const char *path = getenv("HYPR_DEVICE");

	return path && path[0] ? path : "/dev/kvm";
}

bool on_hyprv(void)
{
	const char *device = harness_device();
	size_t length = strlen(device);

	return length > 6 && !strcmp(device + length - 6, "/hyprv");
}

bool on_shadow(void)
{
	FILE *file = on_hyprv() ? fopen("/sys/module/hyprv/parameters/mmu", "r") : NULL;
	char mmu[16] = "";

	if (!file)
		return false;
	CHECK(fgets(mmu, sizeof(mmu), file));
	fclose(file);
	return !strcmp(mmu, "shadow\n");
}

void need_kvm(const char *what)
{
	if (on_hyprv())
		skip("engine hyprv has no %s", what);
}

int harness_open(void)
{
	int fd = open(harness_device(), O_RDWR | O_CLOEXEC);

	if (fd < 0)
		skip("%s: %m", harness_device());
	return fd;
}

static void irqchip_create(struct vm *vm, enum irqchip irqchip)
{
	struct kvm_enable_cap split = {
		.cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 },
	};

	if (irqchip == IRQCHIP_FULL)
		OK(try_ioctl(vm->fd, KVM_CREATE_IRQCHIP, NULL));
	else if (irqchip == IRQCHIP_SPLIT)
		OK(try_ioctl(vm->fd, KVM_ENABLE_CAP, &split));
}

unsigned long harness_vm_type;

struct vm *vm_new_plain_irqchip(enum irqchip irqchip)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	CHECK(vm);
	pin_to_cpu(0);
	vm->ram_bytes = RAM_BYTES;
	vm->kvm = harness_open();
	vm->fd = try_ioctl(vm->kvm, KVM_CREATE_VM, (void *)harness_vm_type);
	if (vm->fd < 0)
		FAIL("KVM_CREATE_VM: %s", strerror(-vm->fd));
	irqchip_create(vm, irqchip);
	vm->control = shared_memory_new(HYPR_CONTROL_SIZE);
	vm->shared = shared_memory_new(GUEST_SHARED_BYTES);
	write_control_page(vm);
	write_guest(vm);
	return vm;
}

struct vm *vm_new_plain(void)
{
	return vm_new_plain_irqchip(on_hyprv() ? IRQCHIP_NONE : IRQCHIP_FULL);
}

int try_enable_views(struct vm *vm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPR_EPT_SWAP };

	return try_ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

struct vm *vm_new_irqchip(enum irqchip irqchip)
{
	struct vm *vm = vm_new_plain_irqchip(irqchip);
	struct utsname uts;

	if (try_ioctl(vm->fd, KVM_CHECK_EXTENSION,
		      (void *)KVM_CAP_HYPR_EPT_SWAP) <= 0) {
		uname(&uts);
		skip("this host (%s) has no KVM_CAP_HYPR_EPT_SWAP", uts.release);
	}
	OK(try_enable_views(vm));
	return vm;
}

struct vm *vm_new(void)
{
	return vm_new_irqchip(on_hyprv() ? IRQCHIP_NONE : IRQCHIP_FULL);
}

/* For tests that make VMs in a loop; others leave it to the process's end. */
void vm_close(struct vm *vm)
{
	int i;

	vcpus_stop(vm);
	for (i = 0; i < vm->nr_vcpus; i++) {
		munmap(vm->vcpu[i].run, try_ioctl(vm->kvm,
						  KVM_GET_VCPU_MMAP_SIZE, NULL));
		close(vm->vcpu[i].stats_fd);
		close(vm->vcpu[i].fd);
	}
	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++)
		if (vm->ram[i])
			munmap(vm->ram[i], vm->ram_bytes);
	munmap(vm->control, HYPR_CONTROL_SIZE);
	munmap(vm->shared, GUEST_SHARED_BYTES);
	close(vm->fd);
	close(vm->kvm);
	free(vm->cpuid);
	free(vm);
}

int try_set_slot(struct vm *vm, unsigned int view, unsigned int n,
		 uint32_t flags, uint64_t gpa, uint64_t bytes, void *addr)
{
	struct kvm_userspace_memory_region region = {
		.slot = view << 16 | n,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)addr,
	};

	return try_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region);
}

uint64_t *ram_word(struct vm *vm, unsigned int view, uint64_t gpa)
{
	CHECK(view < KVM_HYPR_MAX_VIEWS && vm->ram[view]);
	CHECK(gpa + 8 <= vm->ram_bytes);
	return (uint64_t *)(vm->ram[view] + gpa);
}

void ram_touch(struct vm *vm, unsigned int view)
{
	volatile uint8_t *p = vm->ram[view];
	size_t i;

	for (i = 0; i < vm->ram_bytes; i += 4096)
		p[i] = p[i];
}

/*
 * With 16 MiB of memory the control page lies within: a slot before it, and
 * one behind it for the last page.
 */
void vm_view_add(struct vm *vm, unsigned int view)
{
	uint64_t before = vm->ram_bytes;

	vm->ram[view] = memory_new(vm->ram_bytes);
	*ram_word(vm, view, GUEST_ID_GPA) = view;
	*ram_word(vm, view, GUEST_ID2_GPA) = view;
	if (before > HYPR_CONTROL_GPA) {
		before = HYPR_CONTROL_GPA;
		OK(try_set_slot(vm, view, SLOT_TAIL, 0, before + 4096,
				vm->ram_bytes - before - 4096,
				vm->ram[view] + before + 4096));
	}
	OK(try_set_slot(vm, view, SLOT_RAM, 0, 0, before, vm->ram[view]));
	OK(try_set_slot(vm, view, SLOT_CONTROL, 0, HYPR_CONTROL_GPA,
			HYPR_CONTROL_SIZE, vm->control));
	OK(try_set_slot(vm, view, SLOT_SHARED, 0, GUEST_SHARED_GPA,
			GUEST_SHARED_BYTES, vm->shared));
}

void vm_views_add(struct vm *vm, unsigned int nr)
{
	unsigned int i;

	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	for (i = 0; i < nr; i++)
		vm_view_add(vm, KVM_HYPR_VIEW_FIRST + i);
}

void vm_control_page_register(struct vm *vm)
{
	struct kvm_hypr_control control = {
		.gpa = HYPR_CONTROL_GPA,
		.userspace_addr = (uintptr_t)vm->control,
	};

	need_kvm("control page");
	OK(try_ioctl(vm->fd, KVM_HYPR_SET_CONTROL_PAGE, &control));
}

int try_prepare(struct vm *vm, unsigned int view)
{
	struct kvm_hypr_prepare prepare = { .view = view };

	return try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &prepare);
}

int try_discard(struct vm *vm, unsigned int view)
{
	struct kvm_hypr_discard discard = { .view = view };

	return try_ioctl(vm->fd, KVM_HYPR_DISCARD_VIEW, &discard);
}

int try_commit(struct vm *vm, unsigned int view, uint32_t flags)
{
	struct kvm_hypr_swap swap = { .view = view, .flags = flags };

	return try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap);
}

int try_swap_all(struct vm *vm, unsigned int view, uint32_t flags)
{
	struct kvm_hypr_swap swap = { .view = view, .flags = flags };

	return try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap);
}

struct kvm_hypr_swap vm_commit(struct vm *vm, unsigned int view, uint32_t flags)
{
	/* A vCPU thread may lose its emulated CPU for longer than the default. */
	struct kvm_hypr_swap swap = {
		.view = view,
		.flags = flags,
		.timeout_ns = SWAP_WAIT_NS,
	};

	OK(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap));
	return swap;
}

struct kvm_hypr_swap vm_swap_all(struct vm *vm, unsigned int view,
				 uint32_t flags)
{
	struct kvm_hypr_swap swap = { .view = view, .flags = flags };

	OK(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap));
	return swap;
}

uint64_t vm_generation(struct vm *vm)
{
	struct kvm_hypr_eptp eptp = { 0 };

	CHECK(vm->nr_vcpus && !vm->vcpu[0].started);
	OK(try_ioctl(vm->vcpu[0].fd, KVM_GET_EPTP, &eptp));
	return eptp.generation;
}

size_t stat_values(int stats, const char *name, uint64_t *values,
			  size_t max)
{
	struct kvm_stats_header header;
	size_t desc_bytes;
	uint32_t i;
	struct {
		struct kvm_stats_desc desc;
		char name[256];
	} entry;

	need_kvm("KVM_GET_STATS_FD");
	CHECK(stats >= 0);
	CHECK(pread(stats, &header, sizeof(header), 0) == sizeof(header));
	CHECK(header.name_size < sizeof(entry.name));
	desc_bytes = sizeof(entry.desc) + header.name_size;
	for (i = 0; i < header.num_desc; i++) {
		CHECK(pread(stats, &entry, desc_bytes, header.desc_offset +
			    i * desc_bytes) == (ssize_t)desc_bytes);
		if (strcmp(entry.desc.name, name))
			continue;
		if (max > entry.desc.size)
			max = entry.desc.size;
		CHECK(pread(stats, values, max * sizeof(*values),
			    header.data_offset + entry.desc.offset) ==
		      (ssize_t)(max * sizeof(*values)));
		return entry.desc.size;
	}
	FAIL("KVM has no statistic %s", name);
}

uint64_t vcpu_stat(struct vcpu *vcpu, const char *name)
{
	uint64_t value;

	stat_values(vcpu->stats_fd, name, &value, 1);
	return value;
}

size_t vm_stat_values(struct vm *vm, const char *name, uint64_t *values,
		      size_t max)
{
	int stats = try_ioctl(vm->fd, KVM_GET_STATS_FD, NULL);
	size_t nr = stat_values(stats, name, values, max);

	close(stats);
	return nr;
}

uint64_t vm_stat(struct vm *vm, const char *name)
{
	uint64_t value;

	vm_stat_values(vm, name, &value, 1);
	return value;
}

long meminfo_kib(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = -1;

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) &&
		    line[strlen(name)] == ':')
			kib = strtol(line + strlen(name) + 1, NULL, 10);
	fclose(f);
	return kib;
}
