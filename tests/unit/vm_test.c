// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making a VM: what is refused before KVM is asked, and, on a host whose KVM
 * knows nothing of HYPR, that the engine is refused by name and nothing else
 * is taken instead.
 */
#include "unit.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/kvm_hypr.h>
#include <sys/ioctl.h>

#include "hypr/hypr.h"

static struct hypr_vm_config good(void)
{
	struct hypr_vm_config config = HYPR_VM_CONFIG_INIT;

	config.name = "vm1";
	config.kernel = "/nowhere/vmlinuz";
	return config;
}

static void refused(const struct hypr_vm_config *config, const char *words)
{
	struct hypr_vm *vm = (struct hypr_vm *)1;

	assert_int_equal(hypr_vm_create(config, &vm), -EINVAL);
	assert_null(vm);
	if (!strstr(hypr_error(), words))
		fail_msg("'%s' is not in '%s'", words, hypr_error());
}

static void test_vm_refuses_bad_memory(void **ctx)
{
	struct hypr_vm_config config = good();

	(void)ctx;
	config.mem_bytes = (16 << 20) - 4096;
	refused(&config, "too little");
	config.mem_bytes = 0;
	refused(&config, "too little");
	config.mem_bytes = (3ull << 30) + 4096;
	refused(&config, "too much");
	config.mem_bytes = (16 << 20) + 1;
	refused(&config, "4096-byte pages");
}

static void test_vm_refuses_bad_names_and_numbers(void **ctx)
{
	struct hypr_vm_config config = good();
	static const int nowhere[] = { 100000 };

	(void)ctx;
	config.name = "a/b";
	refused(&config, "no name");
	config.name = NULL;
	refused(&config, "empty name");
	config = good();
	config.kernel = NULL;
	refused(&config, "no kernel");
	config = good();
	config.vcpus = 0;
	refused(&config, "vCPUs");
	config.vcpus = 65;
	refused(&config, "vCPUs");
	config = good();
	config.pin = nowhere;
	config.nr_pin = 1;
	refused(&config, "host CPU 100000");
	config = good();
	config.flags = 0x80;
	refused(&config, "flags");
	config.flags = HYPR_VM_GUEST_SPARES;
	refused(&config, "which it may not");
	config = good();
	config.size = 8;
	refused(&config, "not known");
}

static void test_vm_refuses_unknown_engine(void **ctx)
{
	struct hypr_vm_config config = good();

	(void)ctx;
	config.engine = "magic";
	refused(&config, "no engine 'magic'");
}

static int host_views(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, views;

	if (fd < 0)
		return -1;
	vm = ioctl(fd, KVM_CREATE_VM, 0);
	views = vm < 0 ? -1 : ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_HYPR_EPT_SWAP);
	if (vm >= 0)
		close(vm);
	close(fd);
	return views;
}

static void test_vm_engine_is_strict(void **ctx)
{
	struct hypr_vm_config config = good();
	int views = host_views();
	struct hypr_vm *vm;

	(void)ctx;
	if (views > 0)
		skip();	/* it would be taken, and rightly */
	assert_int_equal(hypr_vm_create(&config, &vm),
			 views < 0 && access("/dev/kvm", F_OK) ? -ENODEV :
			 views < 0 ? -EACCES : -EOPNOTSUPP);
	assert_null(vm);
	assert_true(strstr(hypr_error(), "ept-swap") || strstr(hypr_error(), "/dev/kvm"));
}

static void test_host_probe_says_what_to_do(void **ctx)
{
	/* What a processor needs is another list for each maker. */
	static const char *const names[][9] = {
		{ "kvm", "vmx", "ept", "vpid", "hyprv", "vm", "ept-swap", "rights" },
		{ "kvm", "svm", "npt", "vm", "ept-swap", "rights" },
		{ "kvm", "svm", "vm", "ept-swap", "rights" },
	};
	struct hypr_host_check check[16];
	int i, nr, list;

	(void)ctx;
	nr = hypr_host_probe(check, ARRAY_SIZE(check));
	assert_int_equal(hypr_host_probe(NULL, 0), nr);
	list = !strcmp(check[1].name, "vmx") ? 0 : !strcmp(check[2].name, "npt") ? 1 : 2;
	for (i = 0; i < nr; i++) {
		assert_non_null(names[list][i]);
		assert_string_equal(check[i].name, names[list][i]);
		assert_true(check[i].detail[0]);
		assert_int_equal(check[i].ok > 0, !check[i].advice[0]);
	}
	assert_null(names[list][nr]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vm_refuses_bad_memory),
		cmocka_unit_test(test_vm_refuses_bad_names_and_numbers),
		cmocka_unit_test(test_vm_refuses_unknown_engine),
		cmocka_unit_test(test_vm_engine_is_strict),
		cmocka_unit_test(test_host_probe_says_what_to_do),
	};

	return cmocka_run_group_tests_name("vm", tests, NULL, NULL) ? 1 : 0;
}
