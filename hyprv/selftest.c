// SPDX-License-Identifier: GPL-2.0-only
/*
 * The self test, selftest=1: small guests, in memory of the process that loads the module,
 * before /dev/hyprv is there.  If one fails, the module does not load.  The guests are in
 * 64-bit mode, with EPT or with shadow paging as the parameter mmu says; one is in real mode.
 */
#include <linux/mman.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <asm/tlbflush.h>

#include "hyprv.h"
#include "selftest.h"

static bool selftest;
module_param(selftest, bool, 0444);
MODULE_PARM_DESC(selftest, "run small guests first, and do not load if one fails");

static unsigned int fail_selftest;
module_param(fail_selftest, uint, 0444);
MODULE_PARM_DESC(fail_selftest, "the self test that fails, for tests; 0 for none");

#define GUEST_BYTES	(8 * PAGE_SIZE)
#define DATA		0x1000
/* Tables that map the first 2 MiB. */
#define PML4		0x4000
#define PDPT		0x5000
#define PD		0x6000

/* A test returns 0, or the line of what was not so. */
#define EXPECT(condition) do {		\
	if (!(condition))		\
		return __LINE__;	\
} while (0)

/* What a test with a guest has; there is one test at a time. */
static struct {
	unsigned long address;
	struct vm *vm;
	struct vcpu *vcpu;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	int err;
} guest;

/* ---- a guest ------------------------------------------------------------ */

static int guest_setup(void)
{
	struct kvm_userspace_memory_region region = { .memory_size = GUEST_BYTES };
	struct vcpu *vcpu;
	unsigned long address;
	int err;

	memset(&guest, 0, sizeof(guest));
	address = vm_mmap(NULL, 0, GUEST_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(address))
		return (int)address;
	guest.address = address;
	guest.vm = vm_new(hypervisor.shadow);
	if (IS_ERR(guest.vm))
		return PTR_ERR(guest.vm);
	region.userspace_addr = address;
	vcpu = vcpu_create(guest.vm, 0);
	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);
	err = swap_add(guest.vm, vcpu);
	if (err) {
		vcpu_destroy(vcpu);
		return err;
	}
	guest.vcpu = vcpu;
	return memory_set_region(guest.vm, &region);
}

static void guest_teardown(void)
{
	if (!IS_ERR_OR_NULL(guest.vm))
		vm_put(guest.vm);
	if (guest.address)
		vm_munmap(guest.address, GUEST_BYTES);
}

static int table_write(u64 gpa, u64 entry)
{
	return copy_to_user((void __user *)(guest.address + gpa), &entry, sizeof(entry)) ?
	       -EFAULT : 0;
}

static int long_mode(struct kvm_sregs *sregs)
{
	sregs->cr0 = X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_PE;
	sregs->cr3 = PML4;
	sregs->cr4 = X86_CR4_PAE;
	sregs->efer = EFER_LME | EFER_LMA;
	sregs->cs.type = 11;
	sregs->cs.l = 1;
	return table_write(PML4, PDPT | 3) ?: table_write(PDPT, PD | 3) ?:
	       table_write(PD, 0x83);
}

/* The code at 0, until it needs user space. */
static int guest_start(const u8 *code, size_t bytes, bool real_mode)
{
	int err;

	if (copy_to_user((void __user *)guest.address, code, bytes))
		return -EFAULT;
	err = state_get_sregs(guest.vcpu, &guest.sregs);
	if (err)
		return err;
	guest.sregs.cs.base = 0;
	guest.sregs.cs.selector = 0;
	if (!real_mode)
		err = long_mode(&guest.sregs);
	if (!err)
		err = state_set_sregs(guest.vcpu, &guest.sregs);
	if (!err)
		err = state_set_regs(guest.vcpu, &(struct kvm_regs) {});
	if (!err)
		err = vcpu_run(guest.vcpu);
	return err ? err : state_get_regs(guest.vcpu, &guest.regs);
}

static int guest_run(const u8 *code, size_t bytes)
{
	guest.err = guest_start(code, bytes, false);
	return guest.err;
}

/* ---- the tests ---------------------------------------------------------- */

static int test_vtx_is_on(void)
{
	int cpu;

	for_each_online_cpu(cpu)
		EXPECT(per_cpu_ptr(hypervisor.cpu, cpu)->on);
	return 0;
}

static int test_computes_and_halts(void)
{
	/* mov $42, %eax; hlt */
	static const u8 code[] = { 0xb8, 0x2a, 0x00, 0x00, 0x00, 0xf4 };

	EXPECT(!guest_run(code, sizeof(code)));
	EXPECT(guest.vcpu->run->exit_reason == KVM_EXIT_HLT);
	EXPECT(guest.regs.rax == 42);
	return 0;
}

/* Shadow paging has no tables for it: a report, and the VM has ended. */
static int test_real_mode(void)
{
	static const u8 code[] = { 0xb8, 0x2a, 0x00, 0xf4 };	/* mov $42, %ax; hlt */

	guest.err = guest_start(code, sizeof(code), true);
	EXPECT(!guest.err);
	if (hypervisor.shadow) {
		EXPECT(guest.vcpu->run->exit_reason == KVM_EXIT_INTERNAL_ERROR);
		EXPECT(vcpu_run(guest.vcpu) == -EIO);
		return 0;
	}
	EXPECT(guest.vcpu->run->exit_reason == KVM_EXIT_HLT);
	EXPECT((u16)guest.regs.rax == 42);
	return 0;
}

static int test_exits_and_goes_on(void)
{
	/* mov $0x5a, %al; out %al, $0x80; hlt */
	static const u8 code[] = { 0xb0, 0x5a, 0xe6, 0x80, 0xf4 };
	struct kvm_run *run = guest.vcpu->run;

	EXPECT(!guest_run(code, sizeof(code)));
	EXPECT(run->exit_reason == KVM_EXIT_IO);
	EXPECT(run->io.port == 0x80 && run->io.direction == KVM_EXIT_IO_OUT);
	EXPECT(*guest.vcpu->data == 0x5a);
	EXPECT(!vcpu_run(guest.vcpu));
	EXPECT(run->exit_reason == KVM_EXIT_HLT);
	return 0;
}

static int test_cpuid_is_handled(void)
{
	static const u8 code[] = { 0x0f, 0xa2, 0xf4 };		/* cpuid; hlt */
	u64 before = HYPERVISOR_SUM(exits[10]);

	EXPECT(!guest_run(code, sizeof(code)));
	EXPECT(guest.vcpu->run->exit_reason == KVM_EXIT_HLT);
	EXPECT(guest.regs.rip == 3);
	EXPECT(HYPERVISOR_SUM(exits[10]) == before + 1);
	return 0;
}

/* movw $0x1234, 0x1000; hlt */
static const u8 write_code[] = {
	0x66, 0xc7, 0x04, 0x25, 0x00, 0x10, 0x00, 0x00, 0x34, 0x12, 0xf4,
};

static int test_writes_are_the_process_s(void)
{
	u16 word = 0;

	EXPECT(!guest_run(write_code, sizeof(write_code)));
	EXPECT(guest.vcpu->run->exit_reason == KVM_EXIT_HLT);
	EXPECT(!copy_from_user(&word, (void __user *)(guest.address + DATA), sizeof(word)));
	EXPECT(word == 0x1234);
	return 0;
}

static int test_taken_memory_is_gone(void)
{
	EXPECT(!guest_run(write_code, sizeof(write_code)));
	EXPECT(!vm_munmap(guest.address + DATA, PAGE_SIZE));
	EXPECT(guest_run(write_code, sizeof(write_code)) == -EFAULT);
	return 0;
}

/*
 * mov 0x6000, %rax; mov %rax, 0x6008; movq $0x11223344, 0x1000; mov 0x201000, %rbx; hlt;
 * movq $0, 0x6008; invlpg 0x201000; mov 0x201000, %rbx; hlt
 */
static const u8 table_code[] = {
	0x48, 0x8b, 0x04, 0x25, 0x00, 0x60, 0x00, 0x00,
	0x48, 0x89, 0x04, 0x25, 0x08, 0x60, 0x00, 0x00,
	0x48, 0xc7, 0x04, 0x25, 0x00, 0x10, 0x00, 0x00, 0x44, 0x33, 0x22, 0x11,
	0x48, 0x8b, 0x1c, 0x25, 0x00, 0x10, 0x20, 0x00,
	0xf4,
	0x48, 0xc7, 0x04, 0x25, 0x08, 0x60, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x0f, 0x01, 0x3c, 0x25, 0x00, 0x10, 0x20, 0x00,
	0x48, 0x8b, 0x1c, 0x25, 0x00, 0x10, 0x20, 0x00,
	0xf4,
};

/* The guest maps its first 2 MiB once more, and takes that back: without an IDT, the end. */
static int test_page_tables_are_followed(void)
{
	EXPECT(!guest_run(table_code, sizeof(table_code)));
	EXPECT(guest.vcpu->run->exit_reason == KVM_EXIT_HLT);
	EXPECT(guest.regs.rbx == 0x11223344);
	guest.err = vcpu_run(guest.vcpu);
	EXPECT(!guest.err);
	EXPECT(guest.vcpu->run->exit_reason == KVM_EXIT_SHUTDOWN);
	return 0;
}

static void crash_and_come_back(void *failures)
{
	vmx_off_crash();
	if ((cr4_read_shadow() & X86_CR4_VMXE) || vmx_on_now())
		atomic_inc(failures);
}

/* No vCPU is on any CPU. */
static int test_a_crash_ends_vmx_operation(void)
{
	atomic_t failures = ATOMIC_INIT(0);

	on_each_cpu(crash_and_come_back, &failures, 1);
	EXPECT(!atomic_read(&failures));
	return 0;
}

static int test_the_machine_stays_awake(void)
{
	EXPECT(!power_may_sleep());
	return 0;
}

static u64 pages_at_start;

static int test_all_pages_came_back(void)
{
	EXPECT(pages_used(&hypervisor) == pages_at_start);
	EXPECT(!atomic_read(&hypervisor.vms));
	return 0;
}

/* ---- the table ---------------------------------------------------------- */

#define WITH_GUEST guest_setup, guest_teardown

static const struct {
	const char *name;
	int (*test)(void);
	int (*setup)(void);
	void (*teardown)(void);
} tests[] = {
	{ "VT-x is on, on each CPU", test_vtx_is_on },
	{ "a guest computes and halts", test_computes_and_halts, WITH_GUEST },
	{ "a guest in real mode", test_real_mode, WITH_GUEST },
	{ "OUT exits, and the guest goes on", test_exits_and_goes_on, WITH_GUEST },
	{ "CPUID is handled", test_cpuid_is_handled, WITH_GUEST },
	{ "a write is in the process's memory", test_writes_are_the_process_s, WITH_GUEST },
	{ "memory that is taken away is gone", test_taken_memory_is_gone, WITH_GUEST },
	{ "the guest's page tables are followed", test_page_tables_are_followed, WITH_GUEST },
	{ "a crash ends VMX operation", test_a_crash_ends_vmx_operation },
	{ "a guest runs after that", test_computes_and_halts, WITH_GUEST },
	{ "the machine does not sleep", test_the_machine_stays_awake },
	{ "all pages came back", test_all_pages_came_back },
};

static struct selftest_result results[ARRAY_SIZE(tests)];

static bool pass(size_t i)
{
	struct selftest_result *result = &results[i];
	int err = tests[i].setup ? tests[i].setup() : 0;
	int line = err ? 0 : tests[i].test();

	if (tests[i].teardown)
		tests[i].teardown();
	if (!err && !line && fail_selftest == i + 1)
		line = __LINE__;
	if (err)
		pr_err("hyprv: self test %zu, %s: its setup failed: error %d\n", i + 1,
		       tests[i].name, err);
	else if (line)
		pr_err("hyprv: self test %zu, %s: failed at selftest.c:%d (guest: %d)\n",
		       i + 1, tests[i].name, line, guest.err);
	else
		pr_info("hyprv: self test %zu, %s: ok\n", i + 1, tests[i].name);
	*result = (struct selftest_result){ tests[i].name, err, line };
	return !err && !line;
}

int selftest_run(struct hypervisor *hv)
{
	unsigned int failures = 0;
	size_t i;
	int err;

	if (!selftest)
		return 0;
	pages_at_start = pages_used(hv);
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		failures += !pass(i);
	err = selftest_kunit_init(results, ARRAY_SIZE(results));
	if (failures) {
		pr_err("hyprv: %u of %zu self tests failed\n", failures, ARRAY_SIZE(tests));
		err = -EIO;
	}
	if (err)
		selftest_forget(hv);
	return err;
}

void selftest_forget(struct hypervisor *hv)
{
	selftest_kunit_fini();
}
