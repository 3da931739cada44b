// SPDX-License-Identifier: GPL-2.0-only
/*
 * What views take is given back: page tables and slab memory of the host after
 * many VMs that were made, swapped and destroyed.
 */
#include "harness.h"

#include <stdlib.h>

#define A		KVM_HYPR_VIEW_FIRST
#define B		(KVM_HYPR_VIEW_FIRST + 1)
#define WARM_UP		70
#define ROUNDS		100
/* Less than a page a round; VMs without views leave up to 1 KiB a round. */
#define TOLERANCE_KIB	350

struct usage {
	long slab_kib;
	long tables_kib;
};

static struct usage usage_now(void)
{
	return (struct usage) {
		.slab_kib = meminfo_kib("SUnreclaim"),
		.tables_kib = meminfo_kib("PageTables") +
			      meminfo_kib("SecPageTables"),
	};
}

static void one_vm(bool run)
{
	struct vm *vm = vm_new();
	unsigned int i;

	vm_views_add(vm, 2);
	vm_vcpu_add(vm);
	if (!on_hyprv())
		vm_control_page_register(vm);
	if (run)
		vcpu_start(&vm->vcpu[0]);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	for (i = 0; i < 4; i++)
		vm_commit(vm, i % 2 ? B : A, KVM_EPT_SWAP_FORCE);
	if (run)
		CHECK_EQ(vcpu_view(&vm->vcpu[0]), B);
	OK(try_discard(vm, A));
	vm_close(vm);
}

static bool close_to(struct usage before)
{
	struct usage now = usage_now();

	return now.slab_kib - before.slab_kib < TOLERANCE_KIB &&
	       now.tables_kib - before.tables_kib < TOLERANCE_KIB;
}

static void check_no_leak(void (*round)(void))
{
	struct usage before, after;
	uint64_t end;
	unsigned int i;

	for (i = 0; i < WARM_UP; i++)
		round();
	before = usage_now();
	for (i = 0; i < ROUNDS; i++)
		round();
	/* Some is freed by RCU and workqueues a little later. */
	for (end = now_ns() + WAIT_NS; now_ns() < end && !close_to(before);)
		wait_relax();
	after = usage_now();
	note("after %u rounds: slab %+ld KiB, page tables %+ld KiB", ROUNDS,
	     after.slab_kib - before.slab_kib,
	     after.tables_kib - before.tables_kib);
	CHECK(close_to(before));
}

/* Every other VM is destroyed without having run. */
static void round_vm(void)
{
	static unsigned int rounds;

	one_vm(rounds++ % 2);
}

static void test_vms(void)
{
	need_cpus(1);
	check_no_leak(round_vm);
}

static struct vm *kept;

static void round_prepare(void)
{
	OK(try_prepare(kept, A));
	OK(try_discard(kept, A));
}

static void test_prepare_and_discard(void)
{
	kept = vm_new();
	vm_views_add(kept, 1);
	vm_vcpu_add(kept);
	check_no_leak(round_prepare);
}

static const struct test tests[] = {
	{ "100 VMs made, swapped, destroyed: nothing is left", test_vms },
	{ "a view prepared and discarded 100 times: nothing is left",
	  test_prepare_and_discard },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
