// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whole VMs on a KVM that is played (fake_kvm.c): each view goes on where it
 * was left, a swap that fails leaves the VM running where it was, whichever
 * ioctl it is that fails, and nothing leaks.
 */
#include "unit.h"

#include <pthread.h>

#include "fake_kernel.h"
#include "fake_kvm.h"
#include "hypr/hypr.h"
#include "model/vcpu.h"
#include "model/vm.h"
#include "run/gate.h"
#include "view/view.h"

static char kernel_path[] = "/tmp/hypr-engine-XXXXXX";

static int group_setup(void **ctx)
{
	int fd = mkstemp(kernel_path);

	(void)ctx;
	if (fd < 0 || close(fd) || unlink(kernel_path))
		return -1;
	fake_kernel_write(kernel_path);
	return 0;
}

static int group_teardown(void **ctx)
{
	(void)ctx;
	return unlink(kernel_path);
}

struct report {
	unsigned int count;
	unsigned int vcpu;
	uint32_t value;
};

static void on_report(void *arg, unsigned int vcpu, uint32_t value, uint64_t tsc)
{
	struct report *report = arg;

	report->vcpu = vcpu;
	report->value = value;
	assert_int_not_equal(tsc, 0);
	__atomic_add_fetch(&report->count, 1, __ATOMIC_SEQ_CST);
}

static struct hypr_vm_config config(struct report *report)
{
	struct hypr_vm_config config = HYPR_VM_CONFIG_INIT;

	config.name = "vm1";
	config.kernel = kernel_path;
	config.vcpus = FAKE_VCPUS;
	config.pause_timeout_ms = 200;
	config.report = on_report;
	config.report_arg = report;
	return config;
}

struct fixture {
	struct hypr_vm *vm;
	const char *engine;
	struct report report;
};

/* The VM of the test that is running. */
static struct hypr_vm *counted;

/* What KVM has of a vCPU in the view that is active. */
static struct fake_vcpu *played(unsigned int vcpu)
{
	return &fake_kvm.vcpu[fake_kvm_vcpus_of(hypr_vm_fd(counted)) + vcpu];
}

static uint64_t count(unsigned int vcpu)
{
	return __atomic_load_n(&played(vcpu)->regs.rax, __ATOMIC_SEQ_CST);
}

/* Until it has counted on; false when it does not within five seconds. */
static bool runs(void)
{
	uint64_t was[FAKE_VCPUS] = { count(0), count(1) };
	int i;

	for (i = 0; i < 5000; i++) {
		if (count(0) > was[0] && count(1) > was[1])
			return true;
		usleep(1000);
	}
	return false;
}

static bool answers(struct hypr_vm *vm, unsigned int vcpus)
{
	struct hypr_vm_info info;
	int i;

	for (i = 0; i < 5000; i++) {
		hypr_vm_info(vm, &info);
		if (info.guest_vcpus == vcpus)
			return true;
		usleep(1000);
	}
	return false;
}

static void start(struct fixture *f, unsigned int flags)
{
	struct hypr_vm_config c = config(&f->report);

	c.engine = f->engine;
	fake_kvm.flags = flags | (f->engine ? FAKE_NO_HYPR : 0);
	assert_int_equal(hypr_vm_create(&c, &f->vm), 0);
	counted = f->vm;
	assert_int_equal(hypr_vm_start(f->vm), 0);
	assert_true(runs());
	if (!(flags & FAKE_UNPATCHED))
		assert_true(answers(f->vm, FAKE_VCPUS));
}

/* @ctx: the engine, NULL for the default; then the fixture */
static int setup(void **ctx)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fake_kvm_reset();
	if (!f)
		return -1;
	f->engine = *ctx;
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	struct fixture *f = *ctx;

	fake_kvm.fail_at = 0;
	hypr_vm_destroy(f->vm);
	assert_int_equal(fake_kvm.slots, 0);
	assert_int_equal(fake_kvm.vms, 0);
	free(f);
	return 0;
}

static void assert_active(struct hypr_vm *vm, const char *view)
{
	struct hypr_vm_info info;

	hypr_vm_info(vm, &info);
	assert_int_equal(info.state, HYPR_VM_RUNNING);
	assert_string_equal(info.active_view, view);
}

/* ---- swaps that succeed -------------------------------------------------- */

static void go_round(struct fixture *f, int how, unsigned int forced)
{
	struct hypr_swap_result r;
	uint64_t at_a, left;

	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	assert_true(runs());
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	left = count(0);

	/*
	 * Into A: it goes on from its moment, which is earlier.  Paused, since on a loaded
	 * machine a guest that runs may have passed where it was left by any distance.
	 */
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, &r), 0);
	assert_string_equal(r.old_name, "boot");
	assert_string_equal(r.new_name, "A");
	assert_int_equal(r.new_view, 2);
	at_a = count(0);
	assert_true(at_a < left);
	assert_int_equal(hypr_vm_resume(f->vm), 0);
	assert_true(runs());

	/* Back to boot, while it runs: it goes on where it was left. */
	assert_int_equal(hypr_view_swap(f->vm, "boot", 0, &r), 0);
	assert_int_equal(r.pause, how);
	assert_int_equal(r.forced_vcpus, forced);
	assert_true(r.resume_tsc > r.request_tsc);
	assert_true(count(0) >= left);
	assert_active(f->vm, "boot");
	assert_true(runs());

	/* A where it was left; and from its moment. */
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, &r), 0);
	assert_true(count(0) > at_a);
	assert_int_equal(hypr_view_swap(f->vm, "A", HYPR_SWAP_RESET, &r), 0);
	assert_true(count(0) == at_a);
	assert_int_equal(r.resume_tsc, 0);
	assert_int_equal(hypr_vm_resume(f->vm), 0);
	assert_true(runs());
	assert_active(f->vm, "A");
}

static void test_swap_goes_on_where_left_cooperative(void **ctx)
{
	struct fixture *f = *ctx;

	start(f, 0);
	go_round(f, HYPR_PAUSE_COOPERATIVE, 0);
}

static void test_swap_goes_on_where_left_forced(void **ctx)
{
	struct fixture *f = *ctx;

	start(f, FAKE_UNPATCHED);
	go_round(f, HYPR_PAUSE_FORCED, FAKE_VCPUS);
	assert_int_equal(hypr_view_swap(f->vm, "boot", HYPR_SWAP_COOPERATIVE, NULL), -EAGAIN);
	assert_active(f->vm, "A");
	assert_true(runs());
}

static void test_swap_of_a_deaf_guest_is_forced_after_the_deadline(void **ctx)
{
	struct hypr_swap_result r;
	struct fixture *f = *ctx;

	start(f, FAKE_DEAF);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_swap(f->vm, "A", HYPR_SWAP_COOPERATIVE, &r), -EAGAIN);
	assert_active(f->vm, "boot");
	assert_true(runs());
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, &r), 0);
	assert_int_equal(r.pause, HYPR_PAUSE_FORCED);
	assert_true(runs());
}

static void test_hold_lets_go_of_the_owner_of_a_lock(void **ctx)
{
	struct fixture *f = *ctx;

	start(f, FAKE_UNPATCHED);
	__atomic_or_fetch(&fake_kvm.flags, FAKE_SPINNING, __ATOMIC_SEQ_CST);
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	assert_false(__atomic_load_n(&fake_kvm.flags, __ATOMIC_SEQ_CST) & FAKE_SPINNING);
	assert_int_equal(hypr_vm_resume(f->vm), 0);
	assert_true(runs());
}

/* KVM puts the address into CR2 when it is asked for events, and not before. */
static void test_a_fault_on_its_way_keeps_its_address(void **ctx)
{
	struct fixture *f = *ctx;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	played(1)->fault = 0x12345000;
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	assert_int_equal(played(1)->cr2, 0);
	assert_int_equal(hypr_view_swap(f->vm, "boot", 0, NULL), 0);
	assert_int_equal(played(1)->cr2, 0x12345000);
}

/* ---- the kernel moves the vCPUs' state -------------------------------------- */

static void swap_to(struct fixture *f, const char *view, unsigned int flags, int state_way)
{
	struct hypr_swap_result r;

	assert_int_equal(hypr_view_swap(f->vm, view, flags, &r), 0);
	assert_int_equal(r.state_way, state_way);
	assert_active(f->vm, view);
	assert_true(runs());
}

/* From the first swap on: of the moment the kernel has kept what both begin with. */
static void test_kernel_moves_the_state(void **ctx)
{
	struct fixture *f = *ctx;
	unsigned int i, ioctls;

	start(f, FAKE_KEEPS);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	played(1)->cr2 = 0xb000;
	ioctls = fake_kvm.ioctls;
	swap_to(f, "A", 0, HYPR_STATE_KERNEL);
	/* One is the swap; the others are the console's. */
	assert_in_range(fake_kvm.ioctls - ioctls, 1, 3);
	assert_int_equal(played(1)->cr2, 0);
	played(1)->cr2 = 0xa000;
	for (i = 0; i < 3; i++) {
		swap_to(f, "boot", 0, HYPR_STATE_KERNEL);
		assert_int_equal(played(1)->cr2, 0xb000);
		swap_to(f, "A", 0, HYPR_STATE_KERNEL);
		assert_int_equal(played(1)->cr2, 0xa000);
	}
	assert_int_equal(fake_kvm.moves, 7);
}

/* And of a paused VM, which the swap does not find paused any more. */
static void test_kernel_keeps_a_paused_moment(void **ctx)
{
	struct fixture *f = *ctx;

	start(f, FAKE_KEEPS);
	played(1)->cr2 = 0x9000;
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	assert_int_equal(hypr_vm_resume(f->vm), 0);
	played(1)->cr2 = 0xb000;
	swap_to(f, "A", 0, HYPR_STATE_KERNEL);
	assert_int_equal(played(1)->cr2, 0x9000);
	swap_to(f, "boot", 0, HYPR_STATE_KERNEL);
	assert_int_equal(played(1)->cr2, 0xb000);
}

/* A kernel that copies no state keeps each in the first swap that sets it. */
static void test_kernel_copies_no_state(void **ctx)
{
	struct fixture *f = *ctx;

	start(f, FAKE_KEEPS | FAKE_NO_COPY);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	swap_to(f, "A", 0, HYPR_STATE_IOCTLS);
	played(1)->cr2 = 0xa000;
	swap_to(f, "boot", 0, HYPR_STATE_KERNEL);
	assert_int_equal(played(1)->cr2, 0);
	swap_to(f, "A", 0, HYPR_STATE_KERNEL);
	assert_int_equal(played(1)->cr2, 0xa000);
}

/* One call has the guest park, and moves vCPUs and chips. */
static void test_kernel_moves_the_chips(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_swap_result r;

	start(f, FAKE_KEEPS);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	swap_to(f, "A", 0, HYPR_STATE_KERNEL);
	fake_kvm.irr = 0x20;
	fake_kvm.chip_ioctls = 0;
	fake_kvm.pauses = 0;
	swap_to(f, "boot", 0, HYPR_STATE_KERNEL);
	assert_int_equal(fake_kvm.irr, 0);
	assert_int_equal(hypr_view_swap(f->vm, "A", HYPR_SWAP_COOPERATIVE, &r), 0);
	assert_int_equal(r.pause, HYPR_PAUSE_COOPERATIVE);
	assert_int_equal(r.state_way, HYPR_STATE_KERNEL);
	assert_int_equal(fake_kvm.irr, 0x20);
	assert_int_equal(fake_kvm.pauses, 2);
	assert_int_equal(fake_kvm.chip_ioctls, 0);
	/* By ioctls they come back from the kernel. */
	swap_to(f, "boot", 0, HYPR_STATE_KERNEL);
	fake_kvm.swap_errno = EBUSY;
	swap_to(f, "A", HYPR_SWAP_FORCE, HYPR_STATE_IOCTLS);
	assert_int_equal(fake_kvm.irr, 0x20);
}

static struct hypr_vm *moved_vm;
static uint64_t moved_jump[2];

static void while_moved(void)
{
	unsigned int i;

	for (i = 0; i < FAKE_VCPUS; i++)
		assert_int_equal(__atomic_load_n(&moved_vm->control->vcpu[i].state,
						 __ATOMIC_ACQUIRE), HYPR_VCPU_PAUSED);
	/* No thread of the guest's reaches the line's other end, either. */
	assert_int_equal(hypr_console_receive(&moved_vm->console, (const uint8_t *)"x", 1), 0);
	memcpy(moved_jump, moved_vm->control->jump, sizeof(moved_jump));
}

/* What the VM's process itself has of a view is exchanged while the vCPUs are parked. */
static void test_devices_follow_before_the_release(void **ctx)
{
	struct fixture *f = *ctx;
	unsigned int i;

	uint64_t jump[2];

	start(f, FAKE_KEEPS);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	swap_to(f, "A", 0, HYPR_STATE_KERNEL);
	hypr_console_write(&f->vm->console, 7, 0xaa);
	hypr_rtc_write(&f->vm->rtc, 0, 0x40);
	hypr_rtc_write(&f->vm->rtc, 1, 0x55);
	moved_vm = f->vm;
	fake_kvm.on_moved = while_moved;
	for (i = 0; i < 2; i++) {
		memcpy(jump, f->vm->control->jump, sizeof(jump));
		swap_to(f, "boot", 0, HYPR_STATE_KERNEL);
		assert_int_equal(hypr_console_read(&f->vm->console, 7), 0);
		assert_int_equal(f->vm->rtc.s.cmos[0x40], 0);
		/* A vCPU that does not wait for the release finds the jump. */
		assert_memory_not_equal(moved_jump, jump, sizeof(jump));
		assert_memory_equal(moved_jump, f->vm->control->jump, sizeof(moved_jump));
		swap_to(f, "A", 0, HYPR_STATE_KERNEL);
		assert_int_equal(hypr_console_read(&f->vm->console, 7), 0xaa);
		assert_int_equal(f->vm->rtc.s.cmos[0x40], 0x55);
	}
	assert_int_equal(hypr_console_receive(&f->vm->console, (const uint8_t *)"x", 1), 1);
}

/* Its vCPUs have parked before, and now they do not. */
static void test_guest_does_not_park_for_the_kernel(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_swap_result r;
	unsigned int moves;

	start(f, FAKE_KEEPS);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	swap_to(f, "A", 0, HYPR_STATE_KERNEL);
	played(1)->cr2 = 0xa000;
	swap_to(f, "boot", 0, HYPR_STATE_KERNEL);
	moves = fake_kvm.moves;
	f->vm->pause_timeout_ms = 20;
	__atomic_or_fetch(&fake_kvm.flags, FAKE_DEAF, __ATOMIC_SEQ_CST);
	assert_int_equal(hypr_view_swap(f->vm, "A", HYPR_SWAP_COOPERATIVE, &r), -EAGAIN);
	assert_non_null(strstr(hypr_error(), "did not park within 20 ms"));
	assert_active(f->vm, "boot");
	assert_true(runs());
	assert_int_equal(hypr_console_receive(&f->vm->console, (const uint8_t *)"x", 1), 1);
	/* By force. */
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, &r), 0);
	assert_int_equal(r.pause, HYPR_PAUSE_FORCED);
	assert_int_equal(r.state_way, HYPR_STATE_KERNEL);
	assert_int_equal(r.forced_vcpus, FAKE_VCPUS);
	assert_int_equal(fake_kvm.moves, moves + 1);
	assert_int_equal(played(1)->cr2, 0xa000);
	assert_true(runs());
}

/* What the kernel keeps comes by ioctl where the kernel cannot move it. */
static void test_kernel_gives_a_state_back(void **ctx)
{
	struct fixture *f = *ctx;

	start(f, FAKE_KEEPS);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	swap_to(f, "A", 0, HYPR_STATE_KERNEL);
	played(0)->cr2 = 0xa000;
	swap_to(f, "boot", 0, HYPR_STATE_KERNEL);
	played(0)->cr2 = 0xb000;
	fake_kvm.swap_errno = EBUSY;
	swap_to(f, "A", HYPR_SWAP_FORCE, HYPR_STATE_IOCTLS);
	assert_int_equal(played(0)->cr2, 0xa000);
	fake_kvm.swap_errno = ENXIO;
	swap_to(f, "boot", HYPR_SWAP_FORCE, HYPR_STATE_IOCTLS);
	assert_int_equal(played(0)->cr2, 0xb000);
}

/* A guest that is not asked: its state is exchanged all the same, from the first swap on. */
static void test_kernel_moves_by_force(void **ctx)
{
	struct fixture *f = *ctx;
	unsigned int i;

	start(f, FAKE_KEEPS);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	swap_to(f, "A", HYPR_SWAP_FORCE, HYPR_STATE_KERNEL);
	played(1)->cr2 = 0xa000;
	fake_kvm.pauses = 0;
	for (i = 0; i < 3; i++) {
		swap_to(f, "boot", HYPR_SWAP_FORCE, HYPR_STATE_KERNEL);
		assert_int_equal(played(1)->cr2, 0);
		assert_true(runs());
		swap_to(f, "A", HYPR_SWAP_FORCE, HYPR_STATE_KERNEL);
		assert_int_equal(played(1)->cr2, 0xa000);
		assert_true(runs());
	}
	assert_int_equal(fake_kvm.pauses, 0);
}

static int gate_opens;

static void *gate_thread(void *arg)
{
	hypr_gate_pass(arg);
	return (void *)(intptr_t)__atomic_load_n(&gate_opens, __ATOMIC_SEQ_CST);
}

/* An exit from the new view waits for the devices, one from the old view does not. */
static void test_exits_wait_for_the_devices(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_vcpu *vcpu;
	pthread_t thread;
	void *opened;

	start(f, FAKE_KEEPS);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	vcpu = &f->vm->vcpu[0];
	hypr_gate_close(f->vm, hypr_view_lookup(f->vm, "A"));
	hypr_gate_pass(vcpu);
	hypr_gate_open(f->vm);

	hypr_gate_close(f->vm, hypr_view_lookup(f->vm, "boot"));
	assert_int_equal(pthread_create(&thread, NULL, gate_thread, vcpu), 0);
	__atomic_store_n(&gate_opens, 1, __ATOMIC_SEQ_CST);
	hypr_gate_open(f->vm);
	assert_int_equal(pthread_join(thread, &opened), 0);
	assert_int_equal((intptr_t)opened, 1);
	hypr_gate_pass(vcpu);
	assert_int_equal(hypr_vm_resume(f->vm), 0);
}

/* The first word of a page of view A, which no vCPU is in. */
static volatile uint64_t *word_of_a(unsigned int page)
{
	return (uint64_t *)(uintptr_t)(fake_kvm_slot(KVM_HYPR_VIEW_FIRST, 0)->userspace_addr +
				       page * 4096ull);
}

/* The guest in A, and the kernel can put it back. */
static void start_in_a(struct fixture *f)
{
	fake_kvm.tracks = true;
	start(f, FAKE_KEEPS);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	swap_to(f, "A", 0, HYPR_STATE_KERNEL);
}

static void dirty(unsigned int page)
{
	*word_of_a(page) += 1;
	fake_kvm.written |= 1ull << page;
	played(1)->cr2 = 0xc000;
}

static void reset_active(struct fixture *f, unsigned int flags, int pause, int state_way,
			 uint64_t pages)
{
	struct hypr_verify_result v;
	struct hypr_swap_result r;

	assert_int_equal(hypr_view_swap(f->vm, "A", HYPR_SWAP_RESET | flags, &r), 0);
	assert_int_equal(r.pause, pause);
	assert_int_equal(r.state_way, state_way);
	assert_int_equal(r.reset_way, HYPR_RESET_COPY_BACK);
	assert_int_equal(r.pages_restored, pages);
	assert_int_equal(played(1)->cr2, 0);
	assert_true(runs());
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	assert_int_equal(hypr_view_verify(f->vm, "A", &v), 0);
	assert_int_equal(v.pages_mismatched, 0);
	assert_int_equal(hypr_vm_resume(f->vm), 0);
	assert_true(runs());
}

/* All of a reset in one call: nobody asks the guest, and no thread leaves KVM_RUN. */
static void test_kernel_resets_the_active_view(void **ctx)
{
	struct fixture *f = *ctx;

	start_in_a(f);
	/* Most of the moment is a hole; what is not is put back from it. */
	assert_in_range(fake_kvm.zeros, 1, f->vm->mem_bytes / 4096 - 1);
	dirty(20);
	reset_active(f, 0, HYPR_PAUSE_FORCED, HYPR_STATE_KERNEL, 1);
	assert_int_equal(fake_kvm.put_backs, 1);
	dirty(21);
	dirty(22);
	reset_active(f, HYPR_SWAP_COOPERATIVE, HYPR_PAUSE_COOPERATIVE, HYPR_STATE_KERNEL, 2);
	/* In the middle of something a vCPU has to come out of it. */
	fake_kvm.swap_errno = EBUSY;
	dirty(23);
	reset_active(f, 0, HYPR_PAUSE_COOPERATIVE, HYPR_STATE_KERNEL, 1);
	assert_int_equal(fake_kvm.put_backs, 3);
	/* And from another view and back. */
	swap_to(f, "boot", 0, HYPR_STATE_KERNEL);
	swap_to(f, "A", 0, HYPR_STATE_KERNEL);
	dirty(24);
	reset_active(f, 0, HYPR_PAUSE_FORCED, HYPR_STATE_KERNEL, 1);
}

/* What the kernel cannot do goes the old way, and the result says so. */
static void test_kernel_cannot_reset(void **ctx)
{
	const int errors[] = { EOPNOTSUPP, E2BIG, EFAULT, ENXIO, EAGAIN };
	struct fixture *f = *ctx;
	unsigned int i;

	start_in_a(f);
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		fake_kvm.put_back_errno = errors[i];
		dirty(20);
		reset_active(f, HYPR_RESET_ONLY(HYPR_RESET_COPY_BACK),
			     HYPR_PAUSE_COOPERATIVE, HYPR_STATE_IOCTLS, 1);
	}
	assert_int_equal(fake_kvm.put_backs, 0);
	/* A guest that never parks, and by a way that is not the kernel's. */
	fake_kvm.put_back_errno = 0;
	__atomic_fetch_or(&fake_kvm.flags, FAKE_DEAF, __ATOMIC_SEQ_CST);
	f->vm->pause_timeout_ms = 20;
	dirty(20);
	reset_active(f, 0, HYPR_PAUSE_FORCED, HYPR_STATE_IOCTLS, 1);
	assert_int_equal(fake_kvm.put_backs, 0);
}

/* Put back while it is not active: its moment's state, by the kernel. */
static void test_kernel_enters_a_moment(void **ctx)
{
	struct fixture *f = *ctx;

	start_in_a(f);
	dirty(20);
	swap_to(f, "boot", 0, HYPR_STATE_KERNEL);
	assert_int_equal(hypr_view_reset(f->vm, "A", NULL), 0);
	swap_to(f, "A", 0, HYPR_STATE_KERNEL);
	assert_int_equal(played(1)->cr2, 0);
}

/* The state that a pause has saved is newer than the one that the kernel keeps. */
static void test_paused_state_is_newer(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_swap_result r;

	start(f, FAKE_KEEPS);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	swap_to(f, "A", 0, HYPR_STATE_KERNEL);
	played(0)->cr2 = 0xa000;
	swap_to(f, "boot", 0, HYPR_STATE_KERNEL);
	swap_to(f, "A", 0, HYPR_STATE_KERNEL);
	played(0)->cr2 = 0xd000;
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, &r), 0);
	assert_int_equal(hypr_view_swap(f->vm, "boot", 0, &r), 0);
	assert_int_equal(played(0)->cr2, 0);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, &r), 0);
	assert_int_equal(played(0)->cr2, 0xd000);
	assert_int_equal(hypr_vm_resume(f->vm), 0);
	assert_true(runs());
}

static void test_kernel_cannot_move_the_state(void **ctx)
{
	struct fixture *f = *ctx;

	start(f, FAKE_KEEPS);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	swap_to(f, "A", 0, HYPR_STATE_KERNEL);
	played(1)->cr2 = 0xa000;
	fake_kvm.swap_errno = EBUSY;
	swap_to(f, "boot", 0, HYPR_STATE_IOCTLS);
	assert_int_equal(played(1)->cr2, 0);
	fake_kvm.swap_errno = ENXIO;
	swap_to(f, "A", 0, HYPR_STATE_IOCTLS);
	assert_int_equal(played(1)->cr2, 0xa000);
	swap_to(f, "boot", 0, HYPR_STATE_KERNEL);
	assert_int_equal(played(1)->cr2, 0);
}

#define MTRR_DEF_TYPE	0x2ff

/* With ept-swap, where all views have the same vCPUs. */
static void test_only_what_differs_is_loaded(void **ctx)
{
	struct fixture *f = *ctx;
	unsigned int i;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	for (i = 0; i < FAKE_VCPUS; i++)
		played(i)->sets = 0;
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	assert_int_equal(hypr_view_swap(f->vm, "boot", 0, NULL), 0);
	assert_int_equal(played(0)->sets + played(1)->sets, 0);
	/* One vCPU's MSR becomes another one in boot. */
	played(1)->msr[MTRR_DEF_TYPE] = 0xc06;
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	assert_int_equal(played(1)->msr[MTRR_DEF_TYPE], 0);
	assert_int_equal(hypr_view_swap(f->vm, "boot", 0, NULL), 0);
	assert_int_equal(played(1)->msr[MTRR_DEF_TYPE], 0xc06);
	assert_int_equal(played(0)->sets, 0);
	assert_int_equal(played(1)->sets, 2);
	/* What a paused VM has may have been changed: all of it. */
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	assert_true(played(0)->sets > 2);
	assert_int_equal(played(1)->msr[MTRR_DEF_TYPE], 0);
	assert_int_equal(hypr_vm_resume(f->vm), 0);
}

static void test_swap_mixes_forced_and_cooperative(void **ctx)
{
	struct hypr_swap_result r;
	struct fixture *f = *ctx;
	int i;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	for (i = 0; i < 6; i++) {
		assert_int_equal(hypr_view_swap(f->vm, i & 1 ? "boot" : "A",
						i % 3 ? 0 : HYPR_SWAP_FORCE, &r), 0);
		assert_int_equal(r.pause, i % 3 ? HYPR_PAUSE_COOPERATIVE : HYPR_PAUSE_FORCED);
		assert_int_equal(r.generation, i + 1);
		assert_true(runs());
	}
}

static void test_swap_prepares_a_view_that_lost_its_tables(void **ctx)
{
	struct fixture *f = *ctx;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	fake_kvm.prepared = 0;
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	assert_int_equal(fake_kvm.active, 2);
	assert_true(runs());
}

static void test_clock_stands_still_while_paused(void **ctx)
{
	struct fixture *f = *ctx;
	uint64_t offset[FAKE_VCPUS];
	int i;

	start(f, 0);
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	for (i = 0; i < FAKE_VCPUS; i++) {
		played(i)->tsc_offset = 1000 * (i + 1);
		played(i)->deadline = 77;
	}
	/* Both of these read the offsets anew. */
	assert_int_equal(hypr_vm_resume(f->vm), 0);
	assert_true(runs());
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	for (i = 0; i < FAKE_VCPUS; i++)
		offset[i] = played(i)->tsc_offset;
	usleep(20000);
	assert_int_equal(hypr_vm_resume(f->vm), 0);
	/* Set back by the time that passed, the same on all: they stay in step. */
	assert_true((int64_t)(played(0)->tsc_offset - offset[0]) < -1000000);
	assert_int_equal(played(0)->tsc_offset - offset[0],
			 played(1)->tsc_offset - offset[1]);
}

static void test_tsc_comes_before_its_deadline(void **ctx)
{
	struct fixture *f = *ctx;
	int i;

	start(f, 0);
	for (i = 0; i < FAKE_VCPUS; i++)
		played(i)->deadline = 0x1000;
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	for (i = 0; i < FAKE_VCPUS; i++) {
		assert_int_equal(played(i)->deadline, 0x1000);
		assert_true(played(i)->offset_fresh);
		assert_false(played(i)->deadline_early);
	}
}

/* ---- swaps that fail ----------------------------------------------------- */

static void test_refused_swap_leaves_the_vm_running(void **ctx)
{
	/* -EBUSY of a parked guest: it is held, and asked again; hence twice. */
	static const int errors[] = { EIO, EPERM, EAGAIN, EINVAL };
	struct fixture *f = *ctx;
	uint64_t before;
	size_t i;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		before = count(0);
		fake_kvm.swap_errno = errors[i];
		assert_int_equal(hypr_view_swap(f->vm, "A", i & 1 ? HYPR_SWAP_FORCE : 0, NULL),
				 -errors[i]);
		assert_active(f->vm, "boot");
		assert_true(runs());
		assert_true(count(0) > before);
	}
	fake_kvm.swap_errno = EBUSY;
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	assert_active(f->vm, "A");
}

/* Fail the first ioctl, the second, ... until the operation does without. */
static void test_swap_is_all_or_none_whatever_fails(void **ctx)
{
	struct fixture *f = *ctx;
	unsigned int n, failed = 0, back = 0;
	int ret;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	for (n = 1; n < 200; n++) {
		const char *from = n & 1 ? "boot" : "A", *to = n & 1 ? "A" : "boot";
		unsigned int flags = n % 4 < 2 ? 0 : HYPR_SWAP_FORCE;

		/* Get to where this round starts from. */
		fake_kvm.fail_at = 0;
		assert_int_equal(hypr_view_swap(f->vm, from, 0, NULL), 0);
		fake_kvm.fail_at = fake_kvm.ioctls + (n + 1) / 2;
		ret = hypr_view_swap(f->vm, to, flags, NULL);
		if (!ret && fake_kvm.ioctls < fake_kvm.fail_at)
			break;
		assert_active(f->vm, ret ? from : to);
		if (!f->engine)
			assert_int_equal(fake_kvm.active, strcmp(ret ? from : to, "A") ? 0 : 2);
		failed += ret != 0;
		/* Back to where the VM was, memory alone. */
		if (ret && !f->engine && fake_kvm.asked.view == (strcmp(from, "A") ? 0 : 2)) {
			assert_int_equal(fake_kvm.asked.flags & ~KVM_EPT_SWAP_FLUSH, 0);
			assert_int_equal(fake_kvm.asked.timeout_ns, KVM_EPT_SWAP_TIMEOUT_MAX_NS);
			back++;
		}
		fake_kvm.fail_at = 0;
		assert_true(runs());
		assert_true(answers(f->vm, FAKE_VCPUS));
	}
	assert_true(f->engine || back > 5);
	assert_in_range(n, 40, 199);
	assert_true(failed > 20);
}

static void test_snapshot_fails_whole_whatever_fails(void **ctx)
{
	struct hypr_view_info views[4];
	struct fixture *f = *ctx;
	unsigned int n;
	int ret;

	start(f, 0);
	for (n = 1; n < 200; n++) {
		fake_kvm.fail_at = fake_kvm.ioctls + n;
		ret = hypr_view_snapshot(f->vm, "A", NULL);
		if (!ret && fake_kvm.ioctls < fake_kvm.fail_at)
			break;
		fake_kvm.fail_at = 0;
		assert_int_equal(hypr_view_list(f->vm, views, 4), ret ? 1 : 2);
		assert_int_equal(fake_kvm.slots, ret ? 3 : 6);
		assert_true(runs());
		if (!ret)
			assert_int_equal(hypr_view_remove(f->vm, "A"), 0);
	}
	assert_in_range(n, 20, 199);
}

static void test_create_fails_whole_whatever_fails(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_vm_config c = config(&f->report);
	unsigned int n, failed = 0;
	struct hypr_vm *vm;
	int ret;

	c.engine = f->engine;
	for (n = 1; n < 300; n++) {
		fake_kvm_reset();
		fake_kvm.fail_at = n;
		ret = hypr_vm_create(&c, &vm);
		if (!ret && fake_kvm.ioctls < n)
			break;
		failed += ret != 0;
		assert_true(ret < 0 ? vm == NULL && hypr_error()[0] : vm != NULL);
		fake_kvm.fail_at = 0;
		hypr_vm_destroy(vm);
		assert_int_equal(fake_kvm.slots, 0);
		assert_int_equal(fake_kvm.vms, 0);
	}
	assert_true(failed > 20);
	fake_kvm.fail_at = 0;
	hypr_vm_destroy(vm);
}

static void test_create_refuses_a_host_without_hypr(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_vm_config c = config(&f->report);

	fake_kvm.flags = FAKE_NO_HYPR;
	assert_int_equal(hypr_vm_create(&c, &f->vm), -EOPNOTSUPP);
	assert_null(f->vm);
}

static void test_create_refuses_a_kernel_larger_than_any_memory(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_vm_config c = config(&f->report);
	char large[] = "/tmp/hypr-large-XXXXXX";
	int fd = mkstemp(large);

	assert_true(fd >= 0);
	/* Sparse: it takes no space. */
	assert_int_equal(ftruncate(fd, (off_t)HYPR_MEM_MAX_BYTES + 1), 0);
	c.kernel = large;
	assert_int_equal(hypr_vm_create(&c, &f->vm), -EFBIG);
	assert_non_null(strstr(hypr_error(), "more than any VM's memory"));
	close(fd);
	unlink(large);
}

/* ---- views --------------------------------------------------------------- */

static int say_stop(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	(void)done;
	(void)total;
	return 1;
}

/* The progress callback ends them; the VM runs on, and no view is left half made. */
static void test_progress_ends_what_is_long(void **ctx)
{
	struct hypr_verify_result verified;
	struct hypr_view_info views[4];
	struct fixture *f = *ctx;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	hypr_progress_set(say_stop, NULL);
	assert_int_equal(hypr_view_snapshot(f->vm, "B", NULL), -ECANCELED);
	assert_int_equal(hypr_view_verify(f->vm, "A", &verified), -ECANCELED);
	hypr_progress_set(NULL, NULL);
	assert_int_equal(hypr_view_list(f->vm, views, 4), 2);
	assert_true(runs());
	assert_int_equal(hypr_view_verify(f->vm, "A", &verified), 0);
}

static void test_views_have_an_end(void **ctx)
{
	struct hypr_view_info views[16];
	struct fixture *f = *ctx;
	char name[16];
	int i;

	start(f, 0);
	for (i = 1; i <= 14; i++) {
		snprintf(name, sizeof(name), "v%d", i);
		assert_int_equal(hypr_view_snapshot(f->vm, name, NULL), 0);
	}
	assert_int_equal(hypr_view_snapshot(f->vm, "v15", NULL), -ENOSPC);
	assert_int_equal(hypr_view_remove(f->vm, "v7"), 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "v15", NULL), 0);
	assert_int_equal(hypr_view_list(f->vm, views, 2), 15);
	assert_string_equal(views[1].name, "v1");
}

static void test_view_errors(void **ctx)
{
	struct fixture *f = *ctx;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), -EEXIST);
	assert_int_equal(hypr_view_snapshot(f->vm, "", NULL), -EINVAL);
	assert_int_equal(hypr_view_swap(f->vm, "B", 0, NULL), -ENOENT);
	assert_int_equal(hypr_view_swap(f->vm, NULL, 0, NULL), -ENOENT);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0x100, NULL), -EINVAL);
	assert_int_equal(hypr_view_swap(f->vm, "A", HYPR_SWAP_FORCE | HYPR_SWAP_COOPERATIVE,
					NULL), -EINVAL);
	assert_int_equal(hypr_view_swap(f->vm, "boot", HYPR_SWAP_RESET, NULL), -EINVAL);
	assert_int_equal(hypr_view_reset(f->vm, "boot", NULL), -EINVAL);
	assert_int_equal(hypr_view_reset(f->vm, "B", NULL), -ENOENT);
	assert_int_equal(hypr_view_remove(f->vm, "boot"), -EINVAL);
	assert_int_equal(hypr_view_remove(f->vm, "B"), -ENOENT);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	assert_int_equal(hypr_view_remove(f->vm, "A"), -EBUSY);
	assert_int_equal(hypr_vm_resume(f->vm), -EALREADY);
	assert_int_equal(hypr_vm_start(f->vm), -EALREADY);
	assert_true(runs());
}

static void check_reset(struct hypr_vm *vm, int way, uint64_t looked_at, uint64_t differ)
{
	struct hypr_verify_result v;
	struct hypr_reset_result r;

	assert_int_equal(hypr_view_reset(vm, "A", &r), 0);
	assert_int_equal(r.way, way);
	if (looked_at)
		assert_int_equal(r.pages_restored, looked_at);
	assert_int_equal(hypr_view_verify(vm, "A", &v), 0);
	assert_int_equal(v.pages_mismatched, differ);
}

static void test_reset_looks_at_what_the_kernel_reports(void **ctx)
{
	struct fixture *f = *ctx;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	*word_of_a(20) += 1;
	/* Of a view that nobody asked about before, all pages are reported. */
	check_reset(f->vm, HYPR_RESET_COMPARE, 0, 0);
	fake_kvm.tracks = true;
	fake_kvm.written = 1ull << 20 | 1ull << 21 | 1ull << 63;
	*word_of_a(20) += 1;
	*word_of_a(21) += 1;
	*word_of_a(63) += 1;
	check_reset(f->vm, HYPR_RESET_COPY_BACK, 3, 0);
	/* It believes the kernel: a page that is not reported stays. */
	*word_of_a(22) += 1;
	fake_kvm.written = 1ull << 21;
	check_reset(f->vm, HYPR_RESET_COPY_BACK, 1, 1);
	/* A kernel that does not tell has them compared. */
	fake_kvm.written_errno = EOPNOTSUPP;
	check_reset(f->vm, HYPR_RESET_COMPARE, 0, 0);
}

/* The kernel is asked when the view is made, so that its first reset copies back. */
static void test_first_reset_copies_back(void **ctx)
{
	struct fixture *f = *ctx;

	fake_kvm.tracks = true;
	fake_kvm.written = ~0ull;
	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	assert_int_equal(fake_kvm.written, 0);
	*word_of_a(20) += 1;
	fake_kvm.written = 1ull << 20;
	check_reset(f->vm, HYPR_RESET_COPY_BACK, 1, 0);
}

static int reset_by(struct hypr_vm *vm, int way, int *done)
{
	struct hypr_reset_result r;
	int ret = hypr_view_reset_by(vm, "A", HYPR_RESET_ONLY(way), &r);

	*done = r.way;
	return ret;
}

static void check_equals_moment(struct hypr_vm *vm)
{
	struct hypr_verify_result v;

	assert_int_equal(hypr_view_verify(vm, "A", &v), 0);
	assert_int_equal(v.pages_mismatched, 0);
}

/* By each way, asked for, of a view that is not active and of one that is. */
static void test_reset_goes_by_the_way_that_is_asked_for(void **ctx)
{
	struct hypr_swap_result s;
	struct fixture *f = *ctx;
	int way, done;

	fake_kvm.tracks = true;
	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	for (way = HYPR_RESET_COPY_BACK; way <= HYPR_RESET_DROP; way++) {
		*word_of_a(20) += 1;
		fake_kvm.written = 1ull << 20;
		assert_int_equal(reset_by(f->vm, way, &done), 0);
		assert_int_equal(done, way);
		check_equals_moment(f->vm);
	}
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	for (way = HYPR_RESET_COPY_BACK; way <= HYPR_RESET_DROP; way++) {
		*word_of_a(20) += 1;
		fake_kvm.written = 1ull << 20;
		assert_int_equal(hypr_view_swap(f->vm, "A", HYPR_SWAP_RESET | HYPR_RESET_ONLY(way),
						&s), 0);
		assert_int_equal(s.reset_way, way);
		check_equals_moment(f->vm);
	}
}

/* No other way is taken instead: the view stays as it is. */
static void test_reset_refuses_a_way_that_cannot_be_had(void **ctx)
{
	const int ways[] = { HYPR_RESET_COPY_BACK, HYPR_RESET_COMPARE };
	const char * const why[] = { "does not report yet which pages were written",
				     "does not report private pages" };
	struct hypr_verify_result v;
	struct fixture *f = *ctx;
	unsigned int i;
	int done;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	*word_of_a(20) += 1;
	fake_kvm.written_errno = EOPNOTSUPP;
	fake_kvm.pagemap_errno = ENOTTY;
	for (i = 0; i < 2; i++) {
		assert_int_equal(reset_by(f->vm, ways[i], &done), -EOPNOTSUPP);
		assert_non_null(strstr(hypr_error(), why[i]));
		assert_int_equal(hypr_view_swap(f->vm, "A", HYPR_SWAP_RESET |
						HYPR_RESET_ONLY(ways[i]), NULL), -EOPNOTSUPP);
	}
	assert_int_equal(hypr_view_verify(f->vm, "A", &v), 0);
	assert_int_equal(v.pages_mismatched, 1);
	assert_int_equal(reset_by(f->vm, HYPR_RESET_DROP, &done), 0);
	check_equals_moment(f->vm);

	assert_int_equal(hypr_view_reset_by(f->vm, "A", HYPR_SWAP_FORCE, NULL), -EINVAL);
	assert_int_equal(hypr_view_reset_by(f->vm, "A", HYPR_RESET_ONLY(0) | HYPR_RESET_ONLY(2),
					    NULL), -EINVAL);
	assert_int_equal(hypr_view_swap(f->vm, "A", HYPR_RESET_ONLY(0), NULL), -EINVAL);
}

static void test_reset_of_the_active_view(void **ctx)
{
	struct hypr_reset_result r;
	struct hypr_verify_result v;
	struct fixture *f = *ctx;
	uint64_t left;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	assert_true(runs());
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	left = count(0);
	assert_int_equal(hypr_view_reset(f->vm, "A", &r), 0);
	assert_true(count(0) < left);
	assert_int_equal(r.pause, HYPR_PAUSE_COOPERATIVE);
	assert_int_equal(hypr_view_verify(f->vm, "A", &v), 0);
	assert_int_equal(v.pages_mismatched, 0);
	assert_int_equal(hypr_vm_resume(f->vm), 0);
	assert_true(runs());
}

/*
 * Memory is back at its moment when the kernel refuses the rest: the vCPUs, with the
 * registers they have, must not go on in it.
 */
static void test_reset_that_fails_half_way(void **ctx)
{
	struct hypr_reset_result r;
	struct fixture *f = *ctx;
	struct hypr_vm_info info;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	assert_true(runs());
	fake_kvm.swap_errno = EBUSY;
	assert_int_equal(hypr_view_reset(f->vm, "A", &r), -EBUSY);
	hypr_vm_info(f->vm, &info);
	assert_int_equal(info.state, HYPR_VM_ENDED);
	assert_non_null(strstr(info.end_reason, "reset failed half way"));
}

/* Page tables of the guest are among the bytes that a reset exchanges. */
static void test_swap_after_a_reset_flushes_once(void **ctx)
{
	struct fixture *f = *ctx;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_reset(f->vm, "A", NULL), 0);
	fake_kvm.swap_errno = EAGAIN;
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), -EAGAIN);
	assert_int_equal(fake_kvm.flushes, 0);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	assert_int_equal(fake_kvm.flushes, 1);
	assert_int_equal(hypr_view_swap(f->vm, "boot", 0, NULL), 0);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	assert_int_equal(fake_kvm.flushes, 1);
	assert_int_equal(hypr_view_swap(f->vm, "A", HYPR_SWAP_RESET, NULL), 0);
	assert_int_equal(fake_kvm.flushes, 2);
}

/* Engine stock: by a change of CR3, which the state then puts right. */
static void test_stock_flushes_after_a_reset(void **ctx)
{
	struct fixture *f = *ctx;
	uint64_t cr3;
	int i;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	cr3 = played(0)->cr3;
	assert_int_equal(hypr_view_swap(f->vm, "boot", 0, NULL), 0);
	fake_kvm.cr3_flushes = 0;
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	assert_int_equal(fake_kvm.cr3_flushes, 0);
	assert_int_equal(hypr_view_swap(f->vm, "boot", 0, NULL), 0);
	for (i = 0; i < 2; i++) {
		/* To another view, then to the active one. */
		fake_kvm.cr3_flushes = 0;
		assert_int_equal(hypr_view_swap(f->vm, "A", HYPR_SWAP_RESET, NULL), 0);
		assert_true(fake_kvm.cr3_flushes >= FAKE_VCPUS);
		assert_int_equal(played(0)->cr3, cr3);
	}
	assert_true(runs());
}

static void test_stock_has_a_vm_for_each_view(void **ctx)
{
	struct fixture *f = *ctx;
	int boot, a;

	start(f, 0);
	boot = hypr_vm_fd(f->vm);
	assert_int_equal(fake_kvm.vms, 1);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "B", NULL), 0);
	assert_int_equal(fake_kvm.vms, 7);
	assert_int_equal(fake_kvm.slots, 9);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	a = hypr_vm_fd(f->vm);
	assert_int_not_equal(a, boot);
	assert_int_equal(hypr_view_remove(f->vm, "B"), 0);
	assert_int_equal(fake_kvm.vms, 3);
	assert_int_equal(hypr_view_swap(f->vm, "boot", 0, NULL), 0);
	assert_int_equal(hypr_vm_fd(f->vm), boot);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	/* The end, in another view than that which it began in. */
}

/* ---- exits and the end --------------------------------------------------- */

static void test_report_reaches_its_callback(void **ctx)
{
	struct fixture *f = *ctx;
	int i;

	start(f, 0);
	fake_kvm.port = HYPR_REPORT_PORT;
	fake_kvm.value = 0xcafe1234;
	__atomic_store_n(&fake_kvm.exit_reason, KVM_EXIT_IO, __ATOMIC_SEQ_CST);
	for (i = 0; i < 5000 && !__atomic_load_n(&f->report.count, __ATOMIC_SEQ_CST); i++)
		usleep(1000);
	assert_int_equal(f->report.count, 1);
	assert_int_equal(f->report.value, 0xcafe1234);
	assert_int_equal(f->report.vcpu, 0);
	assert_true(runs());
}

struct ending {
	uint32_t exit_reason;
	uint16_t port;
	uint32_t value;
	int ret;
	const char *reason;
};

static void test_guest_can_end_its_vm(void **ctx)
{
	static const struct ending endings[] = {
		{ KVM_EXIT_SHUTDOWN, 0, 0, -EIO, "triple fault" },
		{ KVM_EXIT_IO, 0x64, 0xfe, 0, "port 0x64" },
		{ KVM_EXIT_IO, 0xcf9, 0x06, 0, "port 0xcf9" },
		{ KVM_EXIT_IO, 0x92, 0x01, 0, "port 0x92" },
		{ KVM_EXIT_INTERNAL_ERROR, 0, 0, -EIO, "internal error" },
		{ KVM_EXIT_FAIL_ENTRY, 0, 0, -EIO, "VM entry failed" },
		{ 99, 0, 0, -EIO, "exit reason 99" },
	};
	struct hypr_vm_info info;
	struct fixture *f = *ctx;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(endings); i++) {
		fake_kvm_reset();
		start(f, 0);
		assert_int_equal(hypr_vm_wait(f->vm, 0), -ETIMEDOUT);
		fake_kvm.port = endings[i].port;
		fake_kvm.value = endings[i].value;
		__atomic_store_n(&fake_kvm.exit_reason, endings[i].exit_reason,
				 __ATOMIC_SEQ_CST);
		assert_int_equal(hypr_vm_wait(f->vm, 10000), endings[i].ret);
		hypr_vm_info(f->vm, &info);
		assert_int_equal(info.state, HYPR_VM_ENDED);
		assert_non_null(strstr(info.end_reason, endings[i].reason));
		assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), -ESHUTDOWN);
		hypr_vm_destroy(f->vm);
		f->vm = NULL;
	}
}

static void *stop_soon(void *arg)
{
	usleep(20000);
	hypr_vm_stop(arg);
	return NULL;
}

static void test_stop_cuts_operations_short(void **ctx)
{
	struct fixture *f = *ctx;
	pthread_t thread;
	int i, ret = 0;

	start(f, 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	pthread_create(&thread, NULL, stop_soon, f->vm);
	for (i = 0; i < 100000 && !ret; i++)
		ret = hypr_view_swap(f->vm, i & 1 ? "boot" : "A", 0, NULL);
	pthread_join(thread, NULL);
	assert_int_equal(ret, -ESHUTDOWN);
	assert_int_equal(hypr_vm_wait(f->vm, -1), 0);
}

static void test_vm_that_was_not_started(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_vm_config c = config(&f->report);

	assert_int_equal(hypr_vm_create(&c, &f->vm), 0);
	assert_int_equal(hypr_vm_pause(f->vm, NULL), -ESHUTDOWN);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), -ESHUTDOWN);
	assert_int_equal(hypr_vm_stop(f->vm), 0);
	hypr_vm_destroy(NULL);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
#define STOCK(name) { #name " (stock)", name, setup, teardown, HYPR_ENGINE_STOCK }

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_swap_goes_on_where_left_cooperative),
		T(test_swap_goes_on_where_left_forced),
		T(test_swap_of_a_deaf_guest_is_forced_after_the_deadline),
		T(test_hold_lets_go_of_the_owner_of_a_lock),
		T(test_a_fault_on_its_way_keeps_its_address),
		T(test_kernel_moves_the_chips),
		T(test_devices_follow_before_the_release),
		T(test_guest_does_not_park_for_the_kernel),
		T(test_kernel_moves_the_state),
		T(test_kernel_keeps_a_paused_moment),
		T(test_kernel_copies_no_state),
		T(test_kernel_gives_a_state_back),
		T(test_kernel_moves_by_force),
		T(test_exits_wait_for_the_devices),
		T(test_kernel_resets_the_active_view),
		T(test_kernel_cannot_reset),
		T(test_kernel_enters_a_moment),
	T(test_paused_state_is_newer),
		T(test_kernel_cannot_move_the_state),
		T(test_only_what_differs_is_loaded),
		T(test_swap_mixes_forced_and_cooperative),
		T(test_swap_prepares_a_view_that_lost_its_tables),
		T(test_clock_stands_still_while_paused),
		T(test_tsc_comes_before_its_deadline),
		T(test_refused_swap_leaves_the_vm_running),
		T(test_swap_is_all_or_none_whatever_fails),
		T(test_snapshot_fails_whole_whatever_fails),
		T(test_create_fails_whole_whatever_fails),
		T(test_create_refuses_a_host_without_hypr),
		T(test_create_refuses_a_kernel_larger_than_any_memory),
		T(test_progress_ends_what_is_long),
		T(test_views_have_an_end),
		T(test_view_errors),
		T(test_reset_looks_at_what_the_kernel_reports),
		T(test_first_reset_copies_back),
		T(test_reset_goes_by_the_way_that_is_asked_for),
		T(test_reset_refuses_a_way_that_cannot_be_had),
		T(test_reset_of_the_active_view),
		T(test_reset_that_fails_half_way),
		T(test_swap_after_a_reset_flushes_once),
		T(test_report_reaches_its_callback),
		T(test_guest_can_end_its_vm),
		T(test_stop_cuts_operations_short),
		T(test_vm_that_was_not_started),
		STOCK(test_swap_goes_on_where_left_cooperative),
		STOCK(test_swap_goes_on_where_left_forced),
		STOCK(test_swap_of_a_deaf_guest_is_forced_after_the_deadline),
		STOCK(test_swap_mixes_forced_and_cooperative),
		STOCK(test_clock_stands_still_while_paused),
		STOCK(test_tsc_comes_before_its_deadline),
		STOCK(test_swap_is_all_or_none_whatever_fails),
		STOCK(test_snapshot_fails_whole_whatever_fails),
		STOCK(test_create_fails_whole_whatever_fails),
		STOCK(test_views_have_an_end),
		STOCK(test_view_errors),
		STOCK(test_reset_of_the_active_view),
		STOCK(test_stock_flushes_after_a_reset),
		STOCK(test_stock_has_a_vm_for_each_view),
		STOCK(test_report_reaches_its_callback),
		STOCK(test_guest_can_end_its_vm),
		STOCK(test_stop_cuts_operations_short),
	};

	return cmocka_run_group_tests_name("engine", tests, group_setup, group_teardown) ? 1 : 0;
}
