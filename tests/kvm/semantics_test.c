// SPDX-License-Identifier: GPL-2.0-only
/*
 * What belongs to the whole VM, and what a swap does with it: devices, events
 * and logs.  docs/spec/swap-semantics.md has a row for each; paravirtual state
 * in guest memory is in pv_test.c.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)

#define DEVICE_GPA	0x2000000ull	/* no memory, but in view B of some tests */
#define DEVICE_PORT	0x50
#define IRQFD_GSI	5

static const unsigned int views[] = { 0, A, B, A, 0, B };

#define NR_STEPS	(sizeof(views) / sizeof(views[0]))

/* A VM that is about to get its vCPU and its views. */
static struct vm *vm_with_views(void)
{
	struct vm *vm = vm_new();

	need_cpus(1);
	vm_views_add(vm, 2);
	return vm;
}

static void vm_run(struct vm *vm)
{
	vcpus_start(vm, 1);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
}

static struct vm *vm_running(void)
{
	struct vm *vm = vm_with_views();

	vm_run(vm);
	return vm;
}

static void go(struct vm *vm, unsigned int view)
{
	vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), view);
}

static int event_new(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static uint64_t event_take(int fd)
{
	uint64_t count = 0;

	if (read(fd, &count, sizeof(count)) < 0)
		CHECK(errno == EAGAIN);
	return count;
}

static int ioeventfd_new(struct vm *vm, uint64_t addr, uint32_t len,
			 uint32_t flags)
{
	struct kvm_ioeventfd io = {
		.addr = addr, .len = len, .flags = flags, .fd = event_new(),
	};

	OK(try_ioctl(vm->fd, KVM_IOEVENTFD, &io));
	return io.fd;
}

static void test_ioeventfd_port(void)
{
	struct vm *vm = vm_running();
	int fd = ioeventfd_new(vm, DEVICE_PORT, 1, KVM_IOEVENTFD_FLAG_PIO);
	unsigned int i;

	for (i = 0; i < NR_STEPS; i++) {
		go(vm, views[i]);
		vcpu_do(&vm->vcpu[0], GUEST_OUT, DEVICE_PORT, 0, 0);
		CHECK_EQ(event_take(fd), 1);
	}
}

/* The doorbell is where a view has no memory; else it is memory. */
static void test_ioeventfd_memory(void)
{
	struct vm *vm = vm_with_views();
	int fd = ioeventfd_new(vm, DEVICE_GPA, 4, 0);
	uint32_t *memory = memory_new(4096);
	unsigned int i;

	OK(try_set_slot(vm, B, SLOT_FREE, 0, DEVICE_GPA, 4096, memory));
	vm_run(vm);
	for (i = 0; i < NR_STEPS; i++) {
		go(vm, views[i]);
		vcpu_do(&vm->vcpu[0], GUEST_WRITE32, DEVICE_GPA, 100 + i, 0);
		CHECK_EQ(event_take(fd), views[i] != B);
		if (views[i] == B)
			CHECK_EQ(*memory, 100 + i);
	}
}

static void set_msi_route(struct vm *vm)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} routing = {
		.head.nr = 1,
		.entry = {
			.gsi = IRQFD_GSI,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi.address_lo = 0xfee00000,
			.u.msi.data = GUEST_WAKE_VECTOR,
		},
	};

	OK(try_ioctl(vm->fd, KVM_SET_GSI_ROUTING, &routing));
}

static uint64_t wakes(struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->guest->wakes, __ATOMIC_SEQ_CST);
}

static void test_irqfd(void)
{
	struct vm *vm = vm_running();
	struct kvm_irqfd irqfd = { .fd = event_new(), .gsi = IRQFD_GSI };
	struct vcpu *vcpu = &vm->vcpu[0];
	const uint64_t one = 1;
	unsigned int i;

	set_msi_route(vm);
	OK(try_ioctl(vm->fd, KVM_IRQFD, &irqfd));
	for (i = 0; i < NR_STEPS; i++) {
		go(vm, views[i]);
		CHECK(write(irqfd.fd, &one, sizeof(one)) == sizeof(one));
		WAIT_UNTIL(wakes(vcpu) == i + 1);
		CHECK_EQ(vcpu_view(vcpu), views[i]);
	}
}

/* A pending interrupt is the VM's: it waits for the guest, not for the view. */
static void test_interrupt_across_a_swap(void)
{
	struct vm *vm = vm_running();
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_msi msi = {
		.address_lo = 0xfee00000, .data = GUEST_WAKE_VECTOR,
	};

	vcpu_do(vcpu, GUEST_SET_CR8, 15, 0, 0);
	CHECK_RET(try_ioctl(vm->fd, KVM_SIGNAL_MSI, &msi), 1);
	CHECK_EQ(vcpu_view(vcpu), 0);
	CHECK_EQ(wakes(vcpu), 0);
	go(vm, A);
	CHECK_EQ(wakes(vcpu), 0);
	vcpu_do(vcpu, GUEST_SET_CR8, 0, 0, 0);
	WAIT_UNTIL(wakes(vcpu) == 1);
	CHECK_EQ(vcpu_view(vcpu), A);
}

static struct kvm_coalesced_mmio_ring *coalesced_ring(struct vm *vm)
{
	int page = try_ioctl(vm->kvm, KVM_CHECK_EXTENSION,
			     (void *)KVM_CAP_COALESCED_MMIO);

	if (page <= 0)
		skip("this KVM has no coalesced MMIO");
	return (void *)((uint8_t *)vm->vcpu[0].run +
			page * sysconf(_SC_PAGESIZE));
}

/* One ring for the VM, in the order of the writes, whatever their view. */
static void test_coalesced_mmio(void)
{
	struct vm *vm = vm_running();
	struct kvm_coalesced_mmio_zone zone = { .addr = DEVICE_GPA, .size = 64 };
	struct kvm_coalesced_mmio_ring *ring = coalesced_ring(vm);
	unsigned int i;

	OK(try_ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone));
	for (i = 0; i < NR_STEPS; i++) {
		go(vm, views[i]);
		vcpu_do(&vm->vcpu[0], GUEST_WRITE32, DEVICE_GPA + i * 4,
			200 + i, 0);
	}
	CHECK_EQ(ring->last - ring->first, NR_STEPS);
	for (i = 0; i < NR_STEPS; i++) {
		struct kvm_coalesced_mmio *entry =
			&ring->coalesced_mmio[ring->first + i];
		uint32_t value;

		memcpy(&value, entry->data, sizeof(value));
		CHECK_EQ(entry->phys_addr, DEVICE_GPA + i * 4);
		CHECK_EQ(entry->len, 4);
		CHECK_EQ(value, 200 + i);
	}
}

/* The local APIC's registers, read and written at its page, in each view. */
static void test_apic_page(void)
{
	struct vm *vm = vm_with_views();
	struct vcpu *vcpu;
	uint64_t version;
	unsigned int i;

	vm->xapic = true;
	vm_run(vm);
	vcpu = &vm->vcpu[0];
	vcpu_do(vcpu, GUEST_READ32, GUEST_APIC_VA + 0x30, 0, 0);
	version = vcpu->guest->result[0];
	CHECK((version & 0xf0) == 0x10);
	for (i = 0; i < NR_STEPS; i++) {
		go(vm, views[i]);
		vcpu_do(vcpu, GUEST_READ32, GUEST_APIC_VA + 0x30, 0, 0);
		CHECK_EQ(vcpu->guest->result[0], version);
		/* The logical destination: what the last view left is there. */
		vcpu_do(vcpu, GUEST_READ32, GUEST_APIC_VA + 0xd0, 0, 0);
		CHECK_EQ(vcpu->guest->result[0], (uint64_t)i << 24);
		vcpu_do(vcpu, GUEST_WRITE32, GUEST_APIC_VA + 0xd0,
			(i + 1ull) << 24, 0);
	}
}

/* Under a vCPU that KVM_SET_EPTP took there, while another view is active. */
static void test_slot_added_under_a_single_vcpu(void)
{
	struct vm *vm = vm_running();
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_hypr_eptp eptp = { 0 };
	uint64_t *memory = memory_new(4096);
	const uint64_t answer = 0x77;

	*memory = 0x99;
	vcpu_stop(vcpu);
	vm_commit(vm, A, 0);
	OK(try_ioctl(vcpu->fd, KVM_GET_EPTP, &eptp));
	vm_commit(vm, 0, 0);
	eptp.flags = 0;
	OK(try_ioctl(vcpu->fd, KVM_SET_EPTP, &eptp));
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), A);

	vcpu->catch = true;
	vcpu_ask(vcpu, GUEST_READ, DEVICE_GPA, 0, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_MMIO);
	memcpy(vcpu->run->mmio.data, &answer, sizeof(answer));
	vcpu->catch = false;
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
	CHECK_EQ(vcpu->guest->result[0], answer);

	OK(try_set_slot(vm, A, SLOT_FREE, 0, DEVICE_GPA, 4096, memory));
	CHECK_EQ(vcpu_read(vcpu, DEVICE_GPA), 0x99);
}

/* The same slot number, logged in one view and not in the other. */
static void test_dirty_log_of_one_view(void)
{
	struct vm *vm = vm_with_views();
	uint64_t bitmap[RAM_BYTES / 4096 / 64] = { 0 };
	struct kvm_dirty_log log = { .dirty_bitmap = bitmap };

	OK(try_set_slot(vm, A, SLOT_RAM, KVM_MEM_LOG_DIRTY_PAGES, 0,
			RAM_BYTES, vm->ram[A]));
	vm_run(vm);
	go(vm, B);
	vcpu_write(&vm->vcpu[0], 0x45000, 1);
	go(vm, A);
	vcpu_write(&vm->vcpu[0], 0x46000, 1);
	go(vm, B);
	vcpu_write(&vm->vcpu[0], 0x46000, 1);
	log.slot = B << 16 | SLOT_RAM;
	CHECK_RET(try_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log), -ENOENT);
	log.slot = A << 16 | SLOT_RAM;
	OK(try_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	CHECK_EQ(bitmap[1], 1ull << 6);
}

#define RING_ENTRIES	1024

static struct vm *vm_with_dirty_ring(void)
{
	struct vm *vm = vm_new();
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_DIRTY_LOG_RING,
		.args[0] = RING_ENTRIES * sizeof(struct kvm_dirty_gfn),
	};
	unsigned int view;

	need_cpus(1);
	if (try_ioctl(vm->fd, KVM_CHECK_EXTENSION,
		      (void *)KVM_CAP_DIRTY_LOG_RING) <= 0)
		skip("this KVM has no dirty ring");
	OK(try_ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	vm_views_add(vm, 2);
	for (view = A; view <= B; view++)
		OK(try_set_slot(vm, view, SLOT_RAM, KVM_MEM_LOG_DIRTY_PAGES, 0,
				RAM_BYTES, vm->ram[view]));
	return vm;
}

/* Each entry names its view, and is taken back from that view. */
static void test_dirty_ring(void)
{
	struct vm *vm = vm_with_dirty_ring();
	struct kvm_dirty_gfn *ring;
	unsigned int i, next = 0, round;

	vm_run(vm);
	ring = mmap(NULL, RING_ENTRIES * sizeof(*ring), PROT_READ | PROT_WRITE,
		    MAP_SHARED, vm->vcpu[0].fd,
		    KVM_DIRTY_LOG_PAGE_OFFSET * sysconf(_SC_PAGESIZE));
	CHECK(ring != MAP_FAILED);
	for (round = 0; round < 3; round++) {
		go(vm, A);
		vcpu_write(&vm->vcpu[0], 0x45000, round);
		go(vm, B);
		vcpu_write(&vm->vcpu[0], 0x47000, round);
		for (i = A; i <= B; i++, next++) {
			CHECK_EQ(ring[next].flags, KVM_DIRTY_GFN_F_DIRTY);
			CHECK_EQ(ring[next].slot, i << 16 | SLOT_RAM);
			CHECK_EQ(ring[next].offset, i == A ? 0x45 : 0x47);
			ring[next].flags = KVM_DIRTY_GFN_F_RESET;
		}
		CHECK_EQ(ring[next].flags, 0);
		CHECK_RET(try_ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, NULL), 2);
	}
}

static const struct test tests[] = {
	{ "an ioeventfd on a port fires in every view", test_ioeventfd_port },
	{ "an ioeventfd in memory fires where the view has no memory",
	  test_ioeventfd_memory },
	{ "an irqfd injects in every view", test_irqfd },
	{ "a pending interrupt outlasts a swap", test_interrupt_across_a_swap },
	{ "coalesced MMIO is one ring for all views", test_coalesced_mmio },
	{ "the APIC page works in every view, the APIC is one", test_apic_page },
	{ "a slot added to the view of a single vCPU is seen at once",
	  test_slot_added_under_a_single_vcpu },
	{ "a dirty log in one view logs that view alone",
	  test_dirty_log_of_one_view },
	{ "entries of the dirty ring name their view", test_dirty_ring },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
