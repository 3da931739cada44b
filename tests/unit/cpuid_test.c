// SPDX-License-Identifier: GPL-2.0-only
/*
 * The CPU that a guest of an AMD host sees, on a KVM that is played: cores, threads and
 * caches are the guest's own, and nothing is shown that does not go through a swap.
 */

#include "unit.h"

#include "hypr/hypr.h"
#include "fake_kernel.h"
#include "fake_kvm.h"
#include "lib/model/vcpu.h"
#include "lib/model/vm.h"

static char kernel[64];
static struct hypr_vm *vm;

static void create(unsigned int flags)
{
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;
	int fd;

	fake_kvm_reset();
	fake_kvm.flags = flags;
	strcpy(kernel, "/tmp/hypr-cpuid-XXXXXX");
	fd = mkstemp(kernel);
	assert_true(fd >= 0);
	close(fd);
	unlink(kernel);
	fake_kernel_write(kernel);
	c.name = "vm1";
	c.kernel = kernel;
	c.vcpus = FAKE_VCPUS;
	assert_int_equal(hypr_vm_create(&c, &vm), 0);
}

static int teardown(void **ctx)
{
	(void)ctx;
	hypr_vm_destroy(vm);
	vm = NULL;
	unlink(kernel);
	return 0;
}

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < vm->cpuid->nent; i++) {
		if (vm->cpuid->entries[i].function == function &&
		    vm->cpuid->entries[i].index == index)
			return &vm->cpuid->entries[i];
	}
	return NULL;
}

static void test_amd_topology(void **ctx)
{
	(void)ctx;
	create(FAKE_AMD);
	/* Two cores, one bit of APIC ID; widths are KVM's. */
	assert_int_equal(leaf(0x80000008, 0)->ecx, 1 | 1 << 12);
	assert_int_equal(leaf(0x80000008, 0)->eax, 0x3030);
	assert_true(leaf(0x80000001, 0)->ecx & 1u << 1);
	/* Levels 1 and 2 are each core's, level 3 is all's. */
	assert_int_equal(leaf(0x8000001d, 0)->eax, 0x21);
	assert_int_equal(leaf(0x8000001d, 1)->eax, 0x43);
	assert_int_equal(leaf(0x8000001d, 2)->eax, 0x63 | 1u << 14);
	assert_int_equal(leaf(0x8000001d, 3)->eax, 0);
	/* Each vCPU has its own number, and one thread. */
	assert_int_equal(fake_kvm.vcpu[0].apic_id, 0);
	assert_int_equal(fake_kvm.vcpu[0].core, 0);
	assert_int_equal(fake_kvm.vcpu[1].apic_id, 1);
	assert_int_equal(fake_kvm.vcpu[1].core, 1);
	assert_int_equal(leaf(0x8000001e, 0)->ecx, 0);
	assert_null(leaf(0x80000026, 0));
}

static void test_amd_hides(void **ctx)
{
	static const uint32_t empty[] = { 0x8000000a, 0x8000001f, 0x80000022 };
	const uint32_t zero[4] = { 0 };
	size_t i;

	(void)ctx;
	create(FAKE_AMD);
	for (i = 0; i < ARRAY_SIZE(empty); i++)
		assert_memory_equal(&leaf(empty[i], 0)->eax, zero, sizeof(zero));
	/* SVM and the counters. */
	assert_int_equal(leaf(0x80000001, 0)->ecx & (1u << 2 | 1u << 23 | 1u << 24 | 1u << 28),
			 0);
}

static void test_intel_keeps_its_leaves(void **ctx)
{
	(void)ctx;
	create(0);
	assert_null(leaf(0x8000001e, 0));
	assert_int_equal(leaf(0xb, 1)->ebx, FAKE_VCPUS);
	assert_true(leaf(0x80000001, 0)->ecx & 1u << 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_amd_topology, teardown),
		cmocka_unit_test_teardown(test_amd_hides, teardown),
		cmocka_unit_test_teardown(test_intel_keeps_its_leaves, teardown),
	};

	return cmocka_run_group_tests_name("cpuid", tests, NULL, NULL) ? 1 : 0;
}
