// SPDX-License-Identifier: GPL-2.0-only
/*
 * What does not go with views is refused in both orders: a VM with views cannot
 * ask for it, and a VM that has asked for it cannot enable views.  The kernel's
 * tables are in arch/x86/kvm/vmx/ept_kind.c; what they refuse is refused by kernels
 * too that are built without the thing itself.
 */
#include "harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define VM_TYPES	8

static struct vm *vm_on_hypr_host(void)
{
	struct vm *vm = vm_new_plain();
	struct utsname uts;

	uname(&uts);
	if (try_ioctl(vm->fd, KVM_CHECK_EXTENSION,
		      (void *)KVM_CAP_HYPR_EPT_SWAP) <= 0)
		skip("this host (%s) has no KVM_CAP_HYPR_EPT_SWAP", uts.release);
	return vm;
}

static const struct {
	const char *name;
	unsigned long request;
} refused_ioctls[] = {
	{ "KVM_MEMORY_ENCRYPT_OP", KVM_MEMORY_ENCRYPT_OP },
	{ "KVM_MEMORY_ENCRYPT_REG_REGION", KVM_MEMORY_ENCRYPT_REG_REGION },
	{ "KVM_XEN_HVM_CONFIG", KVM_XEN_HVM_CONFIG },
	{ "KVM_XEN_HVM_SET_ATTR", KVM_XEN_HVM_SET_ATTR },
	{ "KVM_XEN_HVM_EVTCHN_SEND", KVM_XEN_HVM_EVTCHN_SEND },
	{ "KVM_HYPERV_EVENTFD", KVM_HYPERV_EVENTFD },
};

static const struct {
	const char *name;
	uint32_t cap;
} refused_caps[] = {
	{ "KVM_CAP_VM_COPY_ENC_CONTEXT_FROM", KVM_CAP_VM_COPY_ENC_CONTEXT_FROM },
	{ "KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM", KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM },
};

#define NR(list)	(sizeof(list) / sizeof((list)[0]))

static int try_refused_ioctl(struct vm *vm, unsigned int i)
{
	static uint8_t arg[4096];

	memset(arg, 0, sizeof(arg));
	return try_ioctl(vm->fd, refused_ioctls[i].request, arg);
}

static int try_refused_cap(struct vm *vm, unsigned int i)
{
	struct kvm_enable_cap cap = { .cap = refused_caps[i].cap };

	cap.args[0] = -1;
	return try_ioctl(vm->fd, KVM_ENABLE_CAP, &cap);
}

static void test_ioctls_with_views(void)
{
	struct vm *vm = vm_on_hypr_host();
	unsigned int i;

	OK(try_enable_views(vm));
	for (i = 0; i < NR(refused_ioctls); i++)
		if (try_refused_ioctl(vm, i) != -EINVAL)
			FAIL("a VM with views takes %s", refused_ioctls[i].name);
	for (i = 0; i < NR(refused_caps); i++)
		if (try_refused_cap(vm, i) != -EINVAL)
			FAIL("a VM with views takes %s", refused_caps[i].name);
}

/* Whether the VM got it or not. */
static void test_ioctls_before_views(void)
{
	unsigned int i;

	for (i = 0; i < NR(refused_ioctls) + NR(refused_caps); i++) {
		struct vm *vm = vm_on_hypr_host();
		bool is_cap = i >= NR(refused_ioctls);
		unsigned int n = is_cap ? i - NR(refused_ioctls) : i;

		if (is_cap)
			try_refused_cap(vm, n);
		else
			try_refused_ioctl(vm, n);
		if (try_enable_views(vm) != -EINVAL)
			FAIL("views are enabled after %s", is_cap ?
			     refused_caps[n].name : refused_ioctls[n].name);
		vm_close(vm);
	}
}

/* A device that does DMA knows the memory of one view. */
static int try_device(struct vm *vm, uint32_t type)
{
	struct kvm_create_device arg = { .type = type };
	int ret = try_ioctl(vm->fd, KVM_CREATE_DEVICE, &arg);

	if (!ret)
		close(arg.fd);
	return ret;
}

static void test_devices(void)
{
	struct kvm_create_device asked = {
		.type = KVM_DEV_TYPE_VFIO,
		.flags = KVM_CREATE_DEVICE_TEST,
	};
	struct vm *vm = vm_on_hypr_host();

	if (try_ioctl(vm->fd, KVM_CREATE_DEVICE, &asked))
		skip("this kernel has no VFIO devices");
	/* Asking whether there are any is no claim. */
	OK(try_enable_views(vm));
	CHECK_RET(try_device(vm, KVM_DEV_TYPE_VFIO), -EINVAL);

	vm = vm_on_hypr_host();
	OK(try_device(vm, KVM_DEV_TYPE_VFIO));
	CHECK_RET(try_enable_views(vm), -EINVAL);
	OK(try_device(vm, KVM_DEV_TYPE_VFIO));
}

/* The VM without views is none of the tables' business. */
static void test_other_vms(void)
{
	struct vm *vm = vm_on_hypr_host();
	unsigned int i;

	for (i = 0; i < NR(refused_ioctls); i++)
		try_refused_ioctl(vm, i);
	need_cpus(1);
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	vcpus_start(vm, 1);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
}

/* CPUID of a guest that is to see Hyper-V. */
static int try_hyperv_cpuid(struct vm *vm)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) +
					  3 * sizeof(cpuid->entries[0]));
	int fd, ret;

	CHECK(cpuid);
	fd = try_ioctl(vm->fd, KVM_CREATE_VCPU, (void *)9ul);
	CHECK(fd >= 0);
	cpuid->nent = 2;
	cpuid->entries[0].function = 0x40000000;
	cpuid->entries[0].eax = 0x40000001;
	memcpy(&cpuid->entries[0].ebx, "Micr", 4);
	memcpy(&cpuid->entries[0].ecx, "osof", 4);
	memcpy(&cpuid->entries[0].edx, "t Hv", 4);
	cpuid->entries[1].function = 0x40000001;
	memcpy(&cpuid->entries[1].eax, "Hv#1", 4);
	ret = try_ioctl(fd, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	return ret;
}

static void test_hyperv_cpuid(void)
{
	struct vm *vm = vm_on_hypr_host();

	OK(try_hyperv_cpuid(vm));
	vm = vm_new();
	CHECK_RET(try_hyperv_cpuid(vm), -EINVAL);
}

static void test_vcpu_ioctls(void)
{
	static const uint32_t caps[] = {
		KVM_CAP_HYPERV_SYNIC, KVM_CAP_HYPERV_SYNIC2,
		KVM_CAP_HYPERV_ENLIGHTENED_VMCS, KVM_CAP_HYPERV_DIRECT_TLBFLUSH,
	};
	static uint8_t arg[4096];
	struct vm *vm = vm_new();
	struct vcpu *vcpu = vm_vcpu_add(vm);
	unsigned int i;

	CHECK_RET(try_ioctl(vcpu->fd, KVM_XEN_VCPU_SET_ATTR, arg), -EINVAL);
	for (i = 0; i < NR(caps); i++) {
		struct kvm_enable_cap cap = { .cap = caps[i] };

		CHECK_RET(try_ioctl(vcpu->fd, KVM_ENABLE_CAP, &cap), -EINVAL);
	}
}

/* Only the default type has memory that several views can share. */
static void test_other_types(void)
{
	struct vm *vm = vm_on_hypr_host();
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPR_EPT_SWAP };
	unsigned long type;
	unsigned int made = 0;

	for (type = 1; type < VM_TYPES; type++) {
		int fd = try_ioctl(vm->kvm, KVM_CREATE_VM, (void *)type);

		if (fd < 0)
			continue;
		made++;
		CHECK_EQ(try_ioctl(fd, KVM_CHECK_EXTENSION,
				   (void *)KVM_CAP_HYPR_EPT_SWAP), 0);
		CHECK_RET(try_ioctl(fd, KVM_ENABLE_CAP, &cap), -EINVAL);
	}
	note("%u other types of VMs", made);
}

static const struct test tests[] = {
	{ "EINVAL: SEV, Xen, Hyper-V asked for by a VM with views",
	  test_ioctls_with_views },
	{ "EINVAL: views of a VM that has asked for SEV, Xen, Hyper-V",
	  test_ioctls_before_views },
	{ "EINVAL: devices of VFIO and views, in both orders", test_devices },
	{ "a VM without views is asked nothing", test_other_vms },
	{ "EINVAL: a vCPU that is to see Hyper-V, with views",
	  test_hyperv_cpuid },
	{ "EINVAL: a vCPU's part of Xen and Hyper-V, with views",
	  test_vcpu_ioctls },
	{ "EINVAL: views of a VM of another type", test_other_types },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
