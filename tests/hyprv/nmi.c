// SPDX-License-Identifier: GPL-2.0-only
/*
 * NMIs by local APICs of hyprv: from another vCPU, from user space, held back while one is
 * in service, kept through swaps and memory that is taken away.  It is KVM's behaviour with
 * a split irqchip: the program also runs on /dev/kvm.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define MSR_ICR		0x830
#define NMI_IPI		0x4400
#define SMI_IPI		0x4200
#define TO_1		(1ull << 32)
#define VECTOR_NMI	2

static uint64_t nmis(struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->guest->wakes, __ATOMIC_SEQ_CST);
}

/* The handler of GUEST_WAKE_VECTOR takes NMIs too; its EOI finds no interrupt in service. */
static struct vm *vm_with_nmis(int views)
{
	struct vm *vm;
	uint8_t *idt;

	need_cpus(2);
	vm = views ? vm_new_irqchip(IRQCHIP_SPLIT) : vm_new_plain_irqchip(IRQCHIP_SPLIT);
	idt = vm->shared + GUEST_IDT;
	memcpy(idt + VECTOR_NMI * 16, idt + GUEST_WAKE_VECTOR * 16, 16);
	if (views)
		vm_views_add(vm, views);
	else
		vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	vcpus_start(vm, 2);
	return vm;
}

static void send(struct vm *vm, uint64_t command)
{
	vcpu_do(&vm->vcpu[0], GUEST_WRMSR, MSR_ICR, TO_1 | command, 0);
}

static int msi(struct vm *vm, uint32_t data)
{
	struct kvm_msi arg = { .address_lo = 0xfee00000 | 1 << 12, .data = data };

	return try_ioctl(vm->fd, KVM_SIGNAL_MSI, &arg);
}

/* Neither the priority nor the lack of a vector holds it back. */
static void test_one_arrives(void)
{
	struct vm *vm = vm_with_nmis(0);
	struct vcpu *to = &vm->vcpu[1];
	uint64_t i;

	vcpu_do(to, GUEST_SET_CR8, 15, 0, 0);
	for (i = 1; i <= 20; i++) {
		send(vm, NMI_IPI);
		WAIT_UNTIL(nmis(to) == i);
	}
	CHECK_RET(msi(vm, 0x400), 1);
	WAIT_UNTIL(nmis(to) == i);
	CHECK_EQ(nmis(&vm->vcpu[0]), 0);
}

static void test_one_wakes(void)
{
	struct vm *vm = vm_with_nmis(0);
	struct vcpu *to = &vm->vcpu[1];
	int i;

	for (i = 0; i < 20; i++) {
		vcpu_halt(to);
		__atomic_store_n(&to->guest->halt, 0, __ATOMIC_SEQ_CST);
		send(vm, NMI_IPI);
		vcpu_wait_done(to);
	}
	CHECK_EQ(nmis(to), 20);
}

static void events_get(struct vcpu *vcpu, struct kvm_vcpu_events *events)
{
	OK(try_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, events));
}

/* As within a handler: the next one waits, and only one of several does. */
static void test_blocked_ones_wait(void)
{
	struct vm *vm = vm_with_nmis(0);
	struct vcpu *to = &vm->vcpu[1];
	struct kvm_vcpu_events events;

	vcpu_stop(to);
	events_get(to, &events);
	CHECK(!events.nmi.pending && !events.nmi.masked && !events.nmi.injected);
	events.nmi.masked = 1;
	OK(try_ioctl(to->fd, KVM_SET_VCPU_EVENTS, &events));
	vcpu_start(to);
	send(vm, NMI_IPI);
	send(vm, NMI_IPI);
	/* An interrupt is not held back.  Its handler's IRET ends the blocking. */
	CHECK_EQ(vcpu_view(to), 0);
	CHECK_EQ(nmis(to), 0);
	vcpu_stop(to);
	events_get(to, &events);
	CHECK_EQ(events.nmi.pending, 1);
	CHECK_EQ(events.nmi.masked, 1);
	vcpu_start(to);
	CHECK_EQ(vcpu_view(to), 0);
	CHECK_EQ(nmis(to), 0);
	CHECK_RET(msi(vm, GUEST_WAKE_VECTOR), 1);
	WAIT_UNTIL(nmis(to) == 2);
	/* Back from the handler. */
	CHECK_EQ(vcpu_view(to), 0);
	vcpu_stop(to);
	events_get(to, &events);
	CHECK(!events.nmi.pending && !events.nmi.masked);
	CHECK_EQ(nmis(to), 2);
}

/* What user space gets and sets is what the guest then takes. */
static void test_state(void)
{
	struct vm *vm = vm_with_nmis(0);
	struct vcpu *to = &vm->vcpu[1];
	struct kvm_vcpu_events events;

	vcpu_stop(to);
	events_get(to, &events);
	events.nmi.injected = 1;
	events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
	OK(try_ioctl(to->fd, KVM_SET_VCPU_EVENTS, &events));
	events_get(to, &events);
	CHECK_EQ(events.nmi.injected, 1);
	vcpu_start(to);
	WAIT_UNTIL(nmis(to) == 1);
	vcpu_stop(to);
	events_get(to, &events);
	CHECK_EQ(events.nmi.injected, 0);
	events.nmi.pending = 1;
	OK(try_ioctl(to->fd, KVM_SET_VCPU_EVENTS, &events));
	vcpu_start(to);
	WAIT_UNTIL(nmis(to) == 2);
	/* One that was sent goes with the state that is replaced. */
	vcpu_stop(to);
	if (!on_hyprv())
		return;
	events_get(to, &events);
	send(vm, NMI_IPI);
	OK(try_ioctl(to->fd, KVM_SET_VCPU_EVENTS, &events));
	vcpu_start(to);
	CHECK_EQ(vcpu_view(to), 0);
	CHECK_EQ(nmis(to), 2);
	vcpu_stop(to);
	events.nmi.injected = events.interrupt.injected = 1;
	CHECK_RET(try_ioctl(to->fd, KVM_SET_VCPU_EVENTS, &events), -EINVAL);
}

/* The table of handlers, the stack and the handler fault while an NMI is delivered. */
static void test_memory_goes(void)
{
	struct vm *vm = vm_with_nmis(0);
	uint64_t i;

	for (i = 1; i <= 100; i++) {
		CHECK(!madvise(vm->shared, GUEST_SHARED_BYTES, MADV_DONTNEED));
		CHECK_RET(msi(vm, 0x400), 1);
		WAIT_UNTIL(nmis(&vm->vcpu[1]) == i);
	}
}

static void test_swaps(void)
{
	struct vm *vm = vm_with_nmis(1);
	int i;

	OK(try_prepare(vm, KVM_HYPR_VIEW_FIRST));
	for (i = 1; i <= 100; i++) {
		vcpu_ask(&vm->vcpu[0], GUEST_WRMSR, MSR_ICR, TO_1 | NMI_IPI, 0);
		vm_swap_all(vm, i & 1 ? KVM_HYPR_VIEW_FIRST : 0, KVM_EPT_SWAP_FORCE);
		WAIT_UNTIL(nmis(&vm->vcpu[1]) == (uint64_t)i);
		vcpu_wait_done(&vm->vcpu[0]);
	}
}

/* What hyprv does not have ends the VM, also for those that sleep. */
static void test_smi_ends_the_vm(void)
{
	struct vm *vm;
	int i;

	if (!on_hyprv())
		skip("KVM may have SMIs");
	vm = vm_with_nmis(0);
	vm->vcpu[0].catch = vm->vcpu[1].catch = true;
	vcpu_halt(&vm->vcpu[1]);
	vcpu_ask(&vm->vcpu[0], GUEST_WRMSR, MSR_ICR, TO_1 | SMI_IPI, 0);
	for (i = 0; i < 2; i++)
		vcpu_wait_outside(&vm->vcpu[i]);
	CHECK_EQ(vm->vcpu[0].caught, KVM_EXIT_INTERNAL_ERROR);
	CHECK_EQ(vm->vcpu[1].caught, -EIO);
}

static const struct test tests[] = {
	{ "an NMI arrives, from a vCPU and from user space", test_one_arrives },
	{ "an NMI wakes a halted vCPU", test_one_wakes },
	{ "one NMI waits while another is in service", test_blocked_ones_wait },
	{ "NMIs in KVM_GET and SET_VCPU_EVENTS", test_state },
	{ "no NMI is lost when memory is taken away", test_memory_goes },
	{ "no NMI is lost in 100 swaps", test_swaps },
	{ "an SMI ends the VM, also for a vCPU that sleeps", test_smi_ends_the_vm },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
