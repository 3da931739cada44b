// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_GET_EPTP and KVM_SET_EPTP: the pointer that is really in use, and that no
 * other is ever taken.  The form of an EPTP is that of the Intel SDM, volume 3,
 * "Extended-Page-Table Pointer (EPTP)"; on AMD it is the nested CR3, a page of
 * the host and nothing else.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)

#define NR_ROOTS	3	/* of views 0, A and B */

#define PARAMETER	"/sys/module/kvm/parameters/ept_swap_unprivileged"

static struct vm *prepared_vm(void)
{
	struct vm *vm = vm_new();

	need_cpus(1);
	vm_views_add(vm, 2);
	vm_vcpu_add(vm);
	OK(try_prepare(vm, 0));
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	return vm;
}

static struct kvm_hypr_eptp get_eptp(struct vcpu *vcpu)
{
	struct kvm_hypr_eptp eptp = { 0 };

	OK(try_ioctl(vcpu->fd, KVM_GET_EPTP, &eptp));
	return eptp;
}

/* NPT in place of EPT, as the CPU itself tells: not the ioctl in question. */
static bool host_is_amd(void)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) &&
	       (ecx & 1u << 2);
}

static int try_set_eptp(struct vcpu *vcpu, uint64_t value)
{
	struct kvm_hypr_eptp eptp = { .eptp = value };

	return try_ioctl(vcpu->fd, KVM_SET_EPTP, &eptp);
}

static unsigned int host_maxphyaddr(void)
{
	unsigned int eax, ebx, ecx, edx;

	CHECK(__get_cpuid(0x80000008, &eax, &ebx, &ecx, &edx));
	return eax & 0xff;
}

static void test_format(void)
{
	struct vm *vm = prepared_vm();
	struct kvm_hypr_eptp eptp = get_eptp(&vm->vcpu[0]);
	uint64_t address;

	note("EPTP %#llx, MAXPHYADDR %u", (unsigned long long)eptp.eptp,
	     host_maxphyaddr());
	address = eptp.eptp & ~0xfffull;
	if (host_is_amd()) {
		CHECK_EQ(eptp.flags, KVM_HYPR_EPTP_NPT);
		CHECK_EQ(eptp.eptp & 0xfff, 0);
	} else {
		CHECK_EQ(eptp.flags, 0);
		CHECK_EQ(eptp.eptp & 7, 6);		/* write-back */
		CHECK_EQ(eptp.eptp >> 3 & 7, 3);	/* four levels */
		/* A/D flags: hyprv leaves them off. */
		CHECK_EQ(eptp.eptp >> 6 & 1, on_hyprv() ? 0 : 1);
		CHECK_EQ(eptp.eptp >> 7 & 0x1f, 0);
	}
	CHECK(address != 0);
	CHECK_EQ(address >> host_maxphyaddr(), 0);
	CHECK_EQ(eptp.view, 0);
}

static void test_differs_between_views(void)
{
	struct vm *vm = prepared_vm();
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_hypr_eptp boot = get_eptp(vcpu), a, b;

	vm_commit(vm, A, 0);
	a = get_eptp(vcpu);
	vm_commit(vm, B, 0);
	b = get_eptp(vcpu);
	CHECK_EQ(a.view, A);
	CHECK_EQ(b.view, B);
	CHECK_EQ(b.generation, boot.generation + 2);
	CHECK(a.eptp != boot.eptp && b.eptp != boot.eptp && a.eptp != b.eptp);
	vm_commit(vm, A, 0);
	CHECK_EQ(get_eptp(vcpu).eptp, a.eptp);
}

static void test_same_on_all_vcpus(void)
{
	struct vm *vm = prepared_vm();
	struct vcpu *second = vm_vcpu_add(vm);

	CHECK_EQ(get_eptp(&vm->vcpu[0]).eptp, get_eptp(second).eptp);
	vm_commit(vm, A, 0);
	CHECK_EQ(get_eptp(&vm->vcpu[0]).eptp, get_eptp(second).eptp);
}

static void test_set(void)
{
	struct vm *vm = prepared_vm();
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_hypr_eptp boot = get_eptp(vcpu), a;

	vm_commit(vm, A, 0);
	a = get_eptp(vcpu);
	vm_commit(vm, 0, 0);
	OK(try_set_eptp(vcpu, a.eptp));
	CHECK_EQ(get_eptp(vcpu).eptp, a.eptp);
	CHECK_EQ(get_eptp(vcpu).view, A);
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), A);
	vcpu_stop(vcpu);
	OK(try_set_eptp(vcpu, boot.eptp));
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 0);
}

static void test_set_reports(void)
{
	struct vm *vm = prepared_vm();
	struct kvm_hypr_eptp a;

	vm_commit(vm, A, 0);
	a = get_eptp(&vm->vcpu[0]);
	vm_commit(vm, 0, 0);
	a.view = 99;
	a.generation = 99;
	a.flags = 0;
	OK(try_ioctl(vm->vcpu[0].fd, KVM_SET_EPTP, &a));
	CHECK_EQ(a.view, A);
	CHECK_EQ(a.generation, get_eptp(&vm->vcpu[0]).generation);
}

static void test_only_this_vcpu(void)
{
	struct vm *vm = prepared_vm();
	uint64_t a;

	need_cpus(2);
	vm_vcpu_add(vm);
	vm_commit(vm, A, 0);
	a = get_eptp(&vm->vcpu[0]).eptp;
	vm_commit(vm, 0, 0);
	OK(try_set_eptp(&vm->vcpu[1], a));
	vcpus_start(vm, 2);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	CHECK_EQ(vcpu_view(&vm->vcpu[1]), A);
	/* The next swap brings all together again. */
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	check_all_in_view(vm, B);
}

/* A root of the VM with one thing about it wrong. */
static void check_invalid(struct vcpu *vcpu, uint64_t eptp, const char *why)
{
	int ret = try_set_eptp(vcpu, eptp);

	if (ret != -EINVAL)
		FAIL("EPTP %#llx (%s) gives %d", (unsigned long long)eptp, why,
		     ret);
}

static void test_invalid_fields(void)
{
	struct vm *vm = prepared_vm();
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t good = get_eptp(vcpu).eptp, i;

	if (host_is_amd())
		skip("NPT: the nested CR3 has no such fields");
	for (i = 0; i < 8; i++)
		if (i != 6)
			check_invalid(vcpu, (good & ~7ull) | i, "memory type");
	for (i = 0; i < 8; i++)
		if (i != 3)
			check_invalid(vcpu, (good & ~0x38ull) | i << 3,
				      "walk length");
	check_invalid(vcpu, good ^ 0x40, "A/D flags");
	for (i = 7; i < 12; i++)
		check_invalid(vcpu, good | 1ull << i, "reserved bit");
	for (i = host_maxphyaddr(); i < 64; i++)
		check_invalid(vcpu, good | 1ull << i, "beyond MAXPHYADDR");
	OK(try_set_eptp(vcpu, good));
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 0);
}

static void test_invalid_bits_of_ncr3(void)
{
	struct vm *vm = prepared_vm();
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t good = get_eptp(vcpu).eptp, i;

	if (!host_is_amd())
		skip("EPT: this is of AMD's nested CR3");
	for (i = 0; i < 12; i++)
		check_invalid(vcpu, good | 1ull << i, "not page aligned");
	for (i = host_maxphyaddr(); i < 64; i++)
		check_invalid(vcpu, good | 1ull << i, "beyond MAXPHYADDR");
	OK(try_set_eptp(vcpu, good));
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 0);
}

/* What GET says of the pointer's form is no flag of SET. */
static void test_out_flag_is_not_in(void)
{
	struct vm *vm = prepared_vm();
	struct kvm_hypr_eptp eptp = get_eptp(&vm->vcpu[0]);

	eptp.flags = KVM_HYPR_EPTP_NPT;
	CHECK_RET(try_ioctl(vm->vcpu[0].fd, KVM_SET_EPTP, &eptp), -EINVAL);
}

/* The views' roots come from one allocator and can be neighbours. */
static void check_no_root(struct vcpu *vcpu, uint64_t eptp,
			  const uint64_t root[NR_ROOTS], const char *why)
{
	unsigned int i;

	for (i = 0; i < NR_ROOTS; i++)
		if (!((eptp ^ root[i]) & ~0xfffull))
			return;
	check_invalid(vcpu, eptp, why);
}

static void test_not_a_root(void)
{
	static const unsigned int view[NR_ROOTS] = { 0, A, B };
	struct vm *vm = prepared_vm();
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t root[NR_ROOTS];
	unsigned int i;

	for (i = NR_ROOTS; i--;) {
		vm_commit(vm, view[i], 0);
		root[i] = get_eptp(vcpu).eptp;
	}
	check_invalid(vcpu, 0, "zero");
	check_invalid(vcpu, root[0] & 0xfff, "page 0");
	for (i = 0; i < NR_ROOTS; i++) {
		check_no_root(vcpu, root[i] + 4096, root,
			      "the page after a root");
		check_no_root(vcpu, root[i] - 4096, root,
			      "the page before a root");
	}
	for (i = 0; i < 1000; i++)
		check_no_root(vcpu,
			      (tap_random() & 0x7ffff000ull) | (root[0] & 0xfff),
			      root, "random");
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 0);
}

static void test_root_of_another_vm(void)
{
	struct vm *vm = prepared_vm(), *other = prepared_vm();

	check_invalid(&vm->vcpu[0], get_eptp(&other->vcpu[0]).eptp, "other VM");
	vm_commit(other, A, 0);
	check_invalid(&vm->vcpu[0], get_eptp(&other->vcpu[0]).eptp, "other VM");
	OK(try_set_eptp(&other->vcpu[0], get_eptp(&other->vcpu[0]).eptp));
}

static void test_root_of_a_discarded_view(void)
{
	struct vm *vm = prepared_vm();
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t a;

	vm_commit(vm, A, 0);
	a = get_eptp(vcpu).eptp;
	vm_commit(vm, 0, 0);
	get_eptp(vcpu);
	OK(try_discard(vm, A));
	check_invalid(vcpu, a, "discarded");
}

/* Gives up root for good: only a test's own process can do it. */
static void become_nobody(void)
{
	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		FAIL("cannot give up root: %m");
}

static void test_unprivileged(void)
{
	struct vm *vm = prepared_vm();
	struct kvm_hypr_eptp eptp = get_eptp(&vm->vcpu[0]);

	if (geteuid())
		skip("needs root to begin with");
	become_nobody();
	CHECK_RET(try_ioctl(vm->vcpu[0].fd, KVM_GET_EPTP, &eptp), -EPERM);
	CHECK_RET(try_ioctl(vm->vcpu[0].fd, KVM_SET_EPTP, &eptp), -EPERM);
	/* Swaps by the number of a view need no privilege. */
	OK(try_commit(vm, A, 0));
}

static void write_parameter(int fd, const char *value)
{
	CHECK(pwrite(fd, value, 1, 0) == 1);
}

static void test_parameter_opens_it(void)
{
	struct vm *vm = prepared_vm();
	struct kvm_hypr_eptp eptp = get_eptp(&vm->vcpu[0]);
	int fd = open(PARAMETER, O_RDWR);

	if (on_hyprv())
		skip("the parameter is KVM's");
	if (fd < 0)
		skip("cannot write %s: %m", PARAMETER);
	write_parameter(fd, "1");
	become_nobody();
	if (try_ioctl(vm->vcpu[0].fd, KVM_GET_EPTP, &eptp) ||
	    try_set_eptp(&vm->vcpu[0], eptp.eptp)) {
		write_parameter(fd, "0");
		FAIL("refused although %s is set", PARAMETER);
	}
	write_parameter(fd, "0");
	CHECK_RET(try_ioctl(vm->vcpu[0].fd, KVM_GET_EPTP, &eptp), -EPERM);
}

/* From /dev/kvm on: what a user in the group kvm can do. */
static void ordinary_user(void)
{
	struct kvm_hypr_eptp eptp = { 0 };
	struct vm *vm;

	become_nobody();
	vm = prepared_vm();
	if (!on_hyprv())
		vm_control_page_register(vm);
	CHECK_RET(try_ioctl(vm->vcpu[0].fd, KVM_GET_EPTP, &eptp), -EPERM);
	CHECK_RET(try_ioctl(vm->vcpu[0].fd, KVM_SET_EPTP, &eptp), -EPERM);
	vm_commit(vm, A, 0);
	vcpu_start(&vm->vcpu[0]);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), A);
	vm_commit(vm, B, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), B);
	OK(try_discard(vm, A));
	vcpu_stop(&vm->vcpu[0]);
	_exit(0);
}

static void test_ordinary_user(void)
{
	struct stat before;
	int status = -1;
	pid_t pid;

	if (geteuid())
		skip("needs root to begin with");
	if (stat(harness_device(), &before))
		skip("%s: %m", harness_device());
	CHECK(!chmod(harness_device(), 0666));
	pid = fork();
	if (!pid)
		ordinary_user();
	if (pid > 0)
		waitpid(pid, &status, 0);
	CHECK(!chmod(harness_device(), before.st_mode & 07777));
	CHECK_EQ(status, 0);
}

static const struct test tests[] = {
	{ "GET: write-back, four levels, A/D, a page of the host", test_format },
	{ "GET: another root in each view, the same one again",
	  test_differs_between_views },
	{ "GET: one root for all vCPUs", test_same_on_all_vcpus },
	{ "SET: the vCPU runs in that view", test_set },
	{ "SET: reports view and generation", test_set_reports },
	{ "SET: changes this vCPU only", test_only_this_vcpu },
	{ "EINVAL: each invalid field", test_invalid_fields },
	{ "EINVAL: each invalid bit of a nested CR3",
	  test_invalid_bits_of_ncr3 },
	{ "EINVAL: SET with the flag that GET fills", test_out_flag_is_not_in },
	{ "EINVAL: an address that is no root", test_not_a_root },
	{ "EINVAL: a root of another VM", test_root_of_another_vm },
	{ "EINVAL: the root of a discarded view", test_root_of_a_discarded_view },
	{ "EPERM: without CAP_SYS_ADMIN", test_unprivileged },
	{ "ept_swap_unprivileged opens it to the VM's owner",
	  test_parameter_opens_it },
	{ "an ordinary user has all of HYPR but EPTPs", test_ordinary_user },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
