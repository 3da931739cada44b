// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_HYPR_SET_REQUESTS: the guest asks to be put back to its moment, and the kernel does it,
 * without an exit to user space; what it cannot do, and what it does not know, is the exit
 * that it was without.
 */
#define _GNU_SOURCE
#include "back.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)
#define C	(KVM_HYPR_VIEW_FIRST + 2)	/* has memory alone */
#define PLANT	(GUEST_FREE_GPA + 0x3008)

#define RESET	(KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_RESET)

/* KVM's limit of devices on a bus, and a port where none of them is. */
#define BUS_DEVICES	1000
#define FREE_PORT	0x1000

static struct kvm_hypr_stats stats(struct vm *vm)
{
	struct kvm_hypr_stats stats;

	OK(try_ioctl(vm->fd, KVM_HYPR_GET_STATS, &stats));
	return stats;
}

static struct vm *vm_at_moment(struct back *moment, int nr_vcpus, bool control)
{
	struct vm *vm;
	int i;

	need_cpus(nr_vcpus);
	vm = vm_new();
	vm_views_add(vm, 3);
	while (vm->nr_vcpus < nr_vcpus)
		vm_vcpu_add(vm);
	if (control)
		vm_control_page_register(vm);
	vcpus_start(vm, nr_vcpus);
	for (i = 0; control && i < nr_vcpus; i++)
		vcpu_do(&vm->vcpu[i], GUEST_ONLINE, 0, 0, 0);
	back_take(moment, vm, A);
	moment->page->online = control ? ~0ull : 0;
	return vm;
}

static uint64_t asked(const struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->guest->result[0], __ATOMIC_SEQ_CST);
}

/* It is in its loop, which the moment is in. */
static void check_runs(struct vcpu *vcpu)
{
	uint64_t beats = __atomic_load_n(&vcpu->guest->beats, __ATOMIC_SEQ_CST);

	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->beats, __ATOMIC_SEQ_CST) > beats + 10);
}

static void requests_done(struct vcpu *vcpu)
{
	WAIT_UNTIL(!__atomic_load_n(&vcpu->guest->arg[3], __ATOMIC_SEQ_CST));
	check_runs(vcpu);
}

static void check_back(struct back *moment, struct vcpu *vcpu)
{
	uint64_t resets = back_resets(moment);

	back_request(vcpu, 1, PLANT);
	requests_done(vcpu);
	CHECK_EQ(back_resets(moment), resets + 1);
	back_check(moment);
}

/* ---- what is put back ----------------------------------------------------------- */

static void test_again_and_again(void)
{
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 1, false);
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_hypr_stats before = stats(vm), after;

	back_request(vcpu, 1000, PLANT);
	requests_done(vcpu);
	CHECK_EQ(asked(vcpu), 1000);
	CHECK_EQ(back_resets(&moment), 1000);
	/* It never went on behind a request, and never met what it had planted. */
	CHECK_EQ(vcpu->guest->result[1], 0);
	CHECK_EQ(vcpu->guest->result[2], 0);
	CHECK(!atomic_load(&vcpu->outside));
	back_check(&moment);

	after = stats(vm);
	CHECK_EQ(after.asked - before.asked, 1000);
	CHECK_EQ(after.swaps - before.swaps, 1000);
	CHECK_EQ(after.asked_user, before.asked_user);
	CHECK(moment.page->pages >= 1000);
	CHECK(moment.page->cycles >= 1000);
	vcpu_stop(vcpu);
	CHECK_EQ(moment.page->generation, vm_generation(vm));
}

/* What one vCPU has asked for is forgotten when the other one is first: one reset for two. */
static void test_two_ask_at_once(void)
{
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 2, false);
	int i;

	for (i = 0; i < 2; i++)
		back_request(&vm->vcpu[i], 500, PLANT + i * 0x1000);
	for (i = 0; i < 2; i++)
		requests_done(&vm->vcpu[i]);
	CHECK(back_resets(&moment) >= 500 && back_resets(&moment) <= 1000);
	for (i = 0; i < 2; i++) {
		CHECK_EQ(vm->vcpu[i].guest->result[1], 0);
		CHECK(!atomic_load(&vm->vcpu[i].outside));
	}
	CHECK_EQ(vm->vcpu[0].guest->result[2], 0);
	back_request(&vm->vcpu[1], 1, PLANT);
	requests_done(&vm->vcpu[1]);
	check_runs(&vm->vcpu[0]);
	back_check(&moment);
}

/* Both vCPUs ask without a rest. */
static void both_ask(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		back_request(&vm->vcpu[i], ~0ull >> 1, PLANT + i * 0x1000);
}

/* And none of them ever went on behind a request. */
static void both_stop(struct vm *vm)
{
	unsigned int i;

	for (i = 0; i < 2; i++)
		back_request(&vm->vcpu[i], 0, PLANT + i * 0x1000);
	for (i = 0; i < 2; i++) {
		check_runs(&vm->vcpu[i]);
		CHECK_EQ(vm->vcpu[i].guest->result[1], 0);
	}
}

/* Any swap by user space, to the active view. */
static void swap_of_any_kind(struct vm *vm)
{
	static const uint32_t flags[] = {
		KVM_EPT_SWAP_FORCE, RESET, RESET | KVM_EPT_SWAP_STATE | KVM_EPT_SWAP_MOMENT,
		KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_FLUSH,
	};
	struct kvm_hypr_swap swap = {
		.view = A, .flags = flags[tap_random() % 4], .timeout_ns = SWAP_WAIT_NS,
	};

	OK(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap));
}

/* User space swaps, resets and makes the view stale while two vCPUs ask; none comes out. */
static void check_while_user_space_swaps(bool comes_and_goes)
{
	unsigned int i, swaps = comes_and_goes ? 200 : 400;
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 2, false);

	both_ask(vm);
	for (i = 0; i < swaps; i++) {
		if (comes_and_goes && i % 8 == 0) {
			vcpu_stop(&vm->vcpu[1]);
			vcpu_start(&vm->vcpu[1]);
		}
		swap_of_any_kind(vm);
		CHECK_EQ(stats(vm).asked_user, 0);
	}
	both_stop(vm);
	CHECK(back_resets(&moment) > 100);
	check_back(&moment, &vm->vcpu[0]);
}

static void test_while_user_space_swaps(void)
{
	check_while_user_space_swaps(false);
}

/* From outside KVM_RUN to the barrier, while swaps follow each other. */
static void test_while_a_vcpu_comes_and_goes(void)
{
	check_while_user_space_swaps(true);
}

static void test_control_page(void)
{
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 2, true);
	struct hypr_control_page *control = vm->control;
	uint64_t irqs = vm->vcpu[1].guest->pause_irqs, jump[2], generation;

	memcpy(jump, control->jump, sizeof(jump));
	generation = control->generation;
	back_request(&vm->vcpu[0], 1, PLANT);
	requests_done(&vm->vcpu[0]);
	CHECK_EQ(back_resets(&moment), 1);
	CHECK(jump[0] != control->jump[0] && jump[1] != control->jump[1]);
	CHECK(generation != control->generation && control->generation >> 63);
	CHECK_EQ(control->vcpu[0].state, HYPR_VCPU_RUNNING);
	/* The one that has not asked looks, too. */
	WAIT_UNTIL(__atomic_load_n(&vm->vcpu[1].guest->pause_irqs, __ATOMIC_SEQ_CST) > irqs);

	moment.page->online = 1;
	irqs = vm->vcpu[1].guest->pause_irqs;
	back_request(&vm->vcpu[0], 1, PLANT);
	requests_done(&vm->vcpu[0]);
	CHECK_EQ(control->vcpu[0].state, HYPR_VCPU_RUNNING);
	CHECK_EQ(control->vcpu[1].state, HYPR_VCPU_OFFLINE);
	check_runs(&vm->vcpu[1]);
	CHECK_EQ(vm->vcpu[1].guest->pause_irqs, irqs);
}

/* The port of programs takes an address of theirs, if a program may write there. */
static void test_virtual_address(void)
{
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 1, false);
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t *pd = (uint64_t *)(vm->shared + GUEST_PD);

	vcpu->guest->arg[0] = KVM_HYPR_REQUEST_PORT_VIRTUAL;
	back_request(vcpu, 1, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->run->io.port, KVM_HYPR_REQUEST_PORT_VIRTUAL);
	*(uint64_t *)(vm->shared + GUEST_PML4) |= 4;
	*(uint64_t *)(vm->shared + GUEST_PDPT) |= 4;
	pd[0] |= 4;
	vcpu_resume(vcpu);
	check_runs(vcpu);
	CHECK_EQ(back_resets(&moment), 0);
	CHECK_EQ(vcpu->guest->result[1], 1);
	back_request(vcpu, 10, PLANT);
	requests_done(vcpu);
	CHECK_EQ(back_resets(&moment), 10);
	CHECK_EQ(vcpu->guest->result[1], 1);
	back_check(&moment);
}

/* ---- to go on in a spare ---------------------------------------------------------- */

static bool is_signalled(const struct back *moment)
{
	struct pollfd fd = { .fd = moment->event, .events = POLLIN };
	uint64_t times;

	if (poll(&fd, 1, 0) <= 0)
		return false;
	CHECK_EQ(read(moment->event, &times, sizeof(times)), sizeof(times));
	return true;
}

static void offer(struct back *moment, uint32_t spare)
{
	__atomic_store_n(&moment->page->spare, spare, __ATOMIC_SEQ_CST);
}

/* One request, and the guest goes on in the other view, of which no byte was copied. */
static void check_goes_to(struct back *moment, struct vcpu *vcpu, uint32_t spare)
{
	struct kvm_hypr_requests_page *page = moment->page;
	uint64_t resets = page->resets, spares = page->spares, pages = page->pages;
	uint32_t left = page->view;

	offer(moment, spare);
	back_request(vcpu, 1, PLANT);
	requests_done(vcpu);
	CHECK_EQ(page->view, spare);
	CHECK_EQ(page->spare, 0);
	CHECK_EQ(page->resets, resets + 1);
	CHECK_EQ(page->spares, spares + 1);
	CHECK_EQ(page->pages, pages);
	CHECK(is_signalled(moment));
	back_check(moment);
	/* What the guest had planted is in the view that it has left. */
	CHECK(memcmp(moment->vm->ram[left] + (PLANT & ~0xfffull),
		     moment->memory + (PLANT & ~0xfffull), 4096));
}

static void test_spare(void)
{
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 1, false);
	struct vcpu *vcpu = &vm->vcpu[0];
	unsigned int i;

	back_spare(&moment, B);
	for (i = 0; i < 100; i++) {
		check_goes_to(&moment, vcpu, i % 2 ? A : B);
		back_mend(&moment, i % 2 ? B : A);
		/* There is none, and the pages are copied where it is now. */
		check_back(&moment, vcpu);
		CHECK(!is_signalled(&moment));
		CHECK_EQ(moment.page->view, i % 2 ? A : B);
	}
	CHECK_EQ(vcpu->guest->result[1], 0);
	CHECK_EQ(vcpu->guest->result[2], 0);
	CHECK(!atomic_load(&vcpu->outside));
	vcpu_stop(vcpu);
	CHECK_EQ(moment.page->generation, vm_generation(vm));
}

/* Spares come and go, while two vCPUs ask without a rest. */
static void test_spare_while_two_ask(void)
{
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 2, true);
	uint64_t spares;

	back_spare(&moment, B);
	both_ask(vm);
	for (spares = 1; spares <= 200; spares++) {
		offer(&moment, spares % 2 ? B : A);
		WAIT_UNTIL(__atomic_load_n(&moment.page->spares, __ATOMIC_SEQ_CST) == spares);
		back_mend(&moment, spares % 2 ? A : B);
	}
	both_stop(vm);
	CHECK(back_resets(&moment) >= 200);
	CHECK_EQ(stats(vm).asked_user, 0);
	check_back(&moment, &vm->vcpu[0]);
}

/* Each is passed over, and the pages are copied. */
static void test_no_good_spare(void)
{
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 1, false);
	const uint32_t none[] = { A, KVM_HYPR_MAX_VIEWS, ~0u, C, KVM_HYPR_MAX_VIEWS - 1 };
	unsigned int i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		offer(&moment, none[i]);
		check_back(&moment, &vm->vcpu[0]);
		CHECK_EQ(moment.page->view, A);
		CHECK_EQ(moment.page->spares, 0);
	}
	/* It has tables, and no state is kept. */
	ram_touch(vm, C);
	OK(try_prepare(vm, C));
	offer(&moment, C);
	check_back(&moment, &vm->vcpu[0]);
	CHECK_EQ(moment.page->spares, 0);
	CHECK(!is_signalled(&moment));
	CHECK_EQ(stats(vm).asked_user, 0);
}

/* As libhypr does between operations. */
static void forbid(struct back *moment)
{
	__atomic_store_n(&moment->page->view, 0, __ATOMIC_SEQ_CST);
	WAIT_UNTIL(!__atomic_load_n(&moment->page->serving, __ATOMIC_SEQ_CST));
}

/* Behind that nothing changes any more, whatever was under way. */
static void test_allowed_and_forbidden(void)
{
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 1, false);
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t spares = 0, kept = 0;
	unsigned int i;

	back_spare(&moment, B);
	back_request(vcpu, ~0ull >> 1, PLANT);
	for (i = 0; i < 200; i++) {
		unsigned int rest = tap_random() % 4000;
		uint64_t resets;

		while (rest--)
			__builtin_ia32_pause();
		forbid(&moment);
		CHECK_EQ(moment.page->view, 0);
		resets = back_resets(&moment);
		vcpu_wait_outside(vcpu);
		CHECK_EQ(back_resets(&moment), resets);
		if (moment.page->spares == spares)
			kept++;
		else
			back_mend(&moment, spares++ % 2 ? B : A);
		CHECK_EQ(moment.page->spares, spares);
		offer(&moment, spares % 2 ? A : B);
		__atomic_store_n(&moment.page->view, spares % 2 ? B : A, __ATOMIC_SEQ_CST);
		vcpu_resume(vcpu);
	}
	printf("# %llu of 200 times it was still where it was\n", (unsigned long long)kept);
	CHECK(spares);
	back_request(vcpu, 0, PLANT);
	check_runs(vcpu);
	offer(&moment, 0);
	check_back(&moment, vcpu);
}

/* ---- what is user space's ------------------------------------------------------- */

/* One request, which comes out, and behind which the guest goes on, once. */
static void check_comes_out(struct back *moment, struct vcpu *vcpu, uint16_t port, uint32_t at)
{
	struct kvm_run *run = vcpu->run;
	uint64_t resets = back_resets(moment), behind = vcpu->guest->result[1];
	uint32_t value;

	vcpu->guest->arg[0] = port;
	vcpu->guest->arg[1] = at;
	back_request(vcpu, 1, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(run->exit_reason, KVM_EXIT_IO);
	CHECK_EQ(run->io.direction, KVM_EXIT_IO_OUT);
	CHECK_EQ(run->io.port, port);
	CHECK_EQ(run->io.size, 4);
	CHECK_EQ(run->io.count, 1);
	memcpy(&value, (uint8_t *)run + run->io.data_offset, sizeof(value));
	CHECK_EQ(value, at);
	vcpu_resume(vcpu);
	check_runs(vcpu);
	CHECK_EQ(vcpu->guest->result[1], behind + 1);
	CHECK_EQ(back_resets(moment), resets);
	vcpu->guest->arg[0] = KVM_HYPR_REQUEST_PORT;
	vcpu->guest->arg[1] = BACK_BLOCK_GPA;
}

static void test_not_allowed(void)
{
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 1, false);

	moment.page->view = 0;
	check_comes_out(&moment, &vm->vcpu[0], KVM_HYPR_REQUEST_PORT, BACK_BLOCK_GPA);
	moment.page->view = A + 1;
	check_comes_out(&moment, &vm->vcpu[0], KVM_HYPR_REQUEST_PORT, BACK_BLOCK_GPA);
	moment.page->view = A;
	check_back(&moment, &vm->vcpu[0]);
}

static void test_other_requests(void)
{
	static const uint32_t places[] = {
		BACK_BLOCK_GPA + 4, 31, 0xffffffe0, 0x40000000, HYPR_CONTROL_GPA, RAM_BYTES,
		HYPR_CONTROL_GPA + 4096 - 32, 0xffffffff, GUEST_SHARED_GPA + GUEST_SHARED_BYTES,
	};
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 1, false);
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_hypr_request *block = (void *)ram_word(vm, A, BACK_BLOCK_GPA);
	unsigned int i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		/* A block in the control page would be one, elsewhere. */
		((struct kvm_hypr_request *)((uint8_t *)vm->control + 4096 - 32))->op =
			KVM_HYPR_REQUEST_BACK;
		check_comes_out(&moment, vcpu, KVM_HYPR_REQUEST_PORT, places[i]);
		check_comes_out(&moment, vcpu, KVM_HYPR_REQUEST_PORT_VIRTUAL, places[i]);
	}
	check_comes_out(&moment, vcpu, KVM_HYPR_REQUEST_PORT + 2, BACK_BLOCK_GPA);
	for (i = 0; i < 8; i++) {
		block->op = i;
		if (i != KVM_HYPR_REQUEST_BACK)
			check_comes_out(&moment, vcpu, KVM_HYPR_REQUEST_PORT, BACK_BLOCK_GPA);
	}
	block->op = KVM_HYPR_REQUEST_BACK;
	block->reserved = 1;
	check_comes_out(&moment, vcpu, KVM_HYPR_REQUEST_PORT, BACK_BLOCK_GPA);
	block->reserved = 0;
	CHECK_EQ(stats(vm).asked_user, 0);
	check_back(&moment, vcpu);
}

/* Each of them is tried, fails with nothing done, and comes out with the OUT complete. */
static void test_what_cannot_be_done(void)
{
	struct back moment;
	struct kvm_hypr_moment none = { .view = A };
	struct kvm_hypr_moment again;
	struct vm *vm = vm_at_moment(&moment, 1, false);
	struct vcpu *vcpu = &vm->vcpu[0];

	again = (struct kvm_hypr_moment){
		.view = A, .size = moment.bytes, .userspace_addr = (uintptr_t)moment.memory,
		.bitmap = (uintptr_t)moment.written,
	};
	/* ENXIO: no moment. */
	OK(try_ioctl(vm->fd, KVM_HYPR_SET_MOMENT, &none));
	check_comes_out(&moment, vcpu, KVM_HYPR_REQUEST_PORT, BACK_BLOCK_GPA);
	OK(try_ioctl(vm->fd, KVM_HYPR_SET_MOMENT, &again));
	check_back(&moment, vcpu);
	/* EFAULT: a page of it cannot be had. */
	moment.written[0] = 1ull << GUEST_FREE_GPA / 4096;
	CHECK(!mprotect(moment.memory + GUEST_FREE_GPA, 4096, PROT_NONE));
	check_comes_out(&moment, vcpu, KVM_HYPR_REQUEST_PORT, BACK_BLOCK_GPA);
	CHECK(!mprotect(moment.memory + GUEST_FREE_GPA, 4096, PROT_READ));
	check_back(&moment, vcpu);
	/* EOPNOTSUPP: nobody knows what was written. */
	OK(try_set_slot(vm, A, SLOT_RAM, KVM_MEM_LOG_DIRTY_PAGES, 0, RAM_BYTES, vm->ram[A]));
	check_comes_out(&moment, vcpu, KVM_HYPR_REQUEST_PORT, BACK_BLOCK_GPA);
	CHECK_EQ(stats(vm).asked_user, 3);
}

/* Pages of the moment that are missing are fetched, with nothing held. */
static void test_missing(void)
{
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 1, false);
	uint8_t *page = moment.memory + (PLANT & ~0xfffull);
	int fd = memfd_create("moment", 0);

	CHECK(fd >= 0 && pwrite(fd, page, 4096, 0) == 4096);
	CHECK(mmap(page, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == page);
	check_back(&moment, &vm->vcpu[0]);
	CHECK_EQ(stats(vm).asked_user, 0);
	close(fd);
}

/* A vCPU that waits for its start does not come to a barrier, and is not waited for. */
static void test_vcpu_that_is_down(void)
{
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 2, false);
	uint64_t start;

	vcpu_stop(&vm->vcpu[1]);
	vcpu_mp_state_set(&vm->vcpu[1], KVM_MP_STATE_UNINITIALIZED);
	start = now_ns();
	check_comes_out(&moment, &vm->vcpu[0], KVM_HYPR_REQUEST_PORT, BACK_BLOCK_GPA);
	CHECK(now_ns() - start < SWAP_WAIT_NS);
	CHECK_EQ(stats(vm).fail_busy, 1);
	CHECK_EQ(stats(vm).asked_user, 1);
}

/*
 * The other vCPU is out of KVM_RUN, and is waited for.  A signal takes the asking one out, and
 * what it asked for waits, or is forgotten if somebody looks at the vCPU.
 */
static void test_signal(void)
{
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 2, false);
	struct vcpu *vcpu = &vm->vcpu[0];
	struct kvm_regs regs;
	unsigned int look;

	for (look = 0; look < 2; look++) {
		uint64_t resets = back_resets(&moment), behind = vcpu->guest->result[1];
		uint64_t n = asked(vcpu);

		vcpu_stop(&vm->vcpu[1]);
		back_request(vcpu, 1, PLANT);
		WAIT_UNTIL(asked(vcpu) == n + 1);
		/* Between two looks at the other one. */
		WAIT_UNTIL(vcpu_thread_state(vcpu) == 'D');
		vcpu_stop(vcpu);
		CHECK_EQ(back_resets(&moment), resets);
		CHECK_EQ(vcpu->guest->result[1], behind);
		if (look)
			OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &regs));
		vcpu_start(&vm->vcpu[1]);
		vcpu_start(vcpu);
		check_runs(vcpu);
		CHECK_EQ(back_resets(&moment), resets + !look);
		CHECK_EQ(vcpu->guest->result[1], behind + look);
	}
	check_back(&moment, vcpu);
}

/* A vCPU that stays away costs the time that user space has set, and no more. */
static void test_deadline(void)
{
	struct back moment;
	struct vm *vm = vm_at_moment(&moment, 2, false);

	vcpu_stop(&vm->vcpu[1]);
	check_comes_out(&moment, &vm->vcpu[0], KVM_HYPR_REQUEST_PORT, BACK_BLOCK_GPA);
	CHECK_EQ(stats(vm).fail_hold, 1);
	vcpu_start(&vm->vcpu[1]);
	check_back(&moment, &vm->vcpu[0]);
}

/* ---- errors --------------------------------------------------------------------- */

static int try_requests(struct vm *vm, void *page)
{
	struct kvm_hypr_requests arg = { .userspace_addr = (uintptr_t)page };

	return try_ioctl(vm->fd, KVM_HYPR_SET_REQUESTS, &arg);
}

static void test_errors(void)
{
	struct vm *vm = vm_new();
	uint8_t *page = memory_new(4096), *gone = memory_new(4096);
	struct kvm_hypr_requests arg = {
		.userspace_addr = (uintptr_t)page,
		.timeout_ns = KVM_EPT_SWAP_TIMEOUT_MAX_NS + 1,
	};

	vm_view_add(vm, 0);
	CHECK_RET(try_requests(vm, NULL), -EINVAL);
	CHECK_RET(try_requests(vm, page + 8), -EINVAL);
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_REQUESTS, &arg), -EINVAL);
	arg.timeout_ns = 0;
	arg.reserved = 1;
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_REQUESTS, &arg), -EINVAL);
	arg.reserved = 0;
	arg.eventfd = 1;
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_REQUESTS, &arg), -EINVAL);
	arg.flags = KVM_HYPR_REQUESTS_EVENTFD << 1;
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_REQUESTS, &arg), -EINVAL);
	arg.flags = KVM_HYPR_REQUESTS_EVENTFD;
	arg.eventfd = vm->fd;
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_REQUESTS, &arg), -EINVAL);
	arg.eventfd = -1;
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_REQUESTS, &arg), -EBADF);
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_REQUESTS, NULL), -EFAULT);
	CHECK(!munmap(gone, 4096));
	CHECK_RET(try_requests(vm, gone), -EFAULT);
	OK(try_requests(vm, page));
	CHECK_RET(try_requests(vm, page), -EEXIST);

	vm = vm_new_plain();
	CHECK_RET(try_requests(vm, page), -EINVAL);
}

static void test_enospc(void)
{
	struct vm *vm = vm_new();
	struct kvm_coalesced_mmio_zone zone = { .size = 1, .pio = 1 };
	uint8_t *page = memory_new(4096);
	unsigned int i;
	int ret = 0;

	for (i = 0; i < BUS_DEVICES && !ret; i++) {
		zone.addr = FREE_PORT + i;
		ret = try_ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, &zone);
	}
	CHECK_RET(ret, -ENOSPC);
	CHECK_RET(try_requests(vm, page), -ENOSPC);
	zone.addr = FREE_PORT;
	OK(try_ioctl(vm->fd, KVM_UNREGISTER_COALESCED_MMIO, &zone));
	OK(try_requests(vm, page));
}

static const struct test tests[] = {
	{ "1,000 times, and nothing of before is left", test_again_and_again },
	{ "two vCPUs at once", test_two_ask_at_once },
	{ "while user space swaps and resets", test_while_user_space_swaps },
	{ "while a vCPU comes and goes", test_while_a_vcpu_comes_and_goes },
	{ "the control page, and who is told", test_control_page },
	{ "by a program's address", test_virtual_address },
	{ "in a spare, and back in the view", test_spare },
	{ "spares come and go, while two vCPUs ask", test_spare_while_two_ask },
	{ "a spare that is no good is passed over", test_no_good_spare },
	{ "allowed and forbidden while the guest asks", test_allowed_and_forbidden },
	{ "not allowed, or in another view", test_not_allowed },
	{ "other requests, and blocks that are none", test_other_requests },
	{ "what the kernel cannot do", test_what_cannot_be_done },
	{ "pages of the moment that are not there yet", test_missing },
	{ "a vCPU that is down", test_vcpu_that_is_down },
	{ "a signal while it waits", test_signal },
	{ "the deadline", test_deadline },
	{ "EINVAL, EBADF, EFAULT, EEXIST", test_errors },
	{ "ENOSPC: no room on the bus", test_enospc },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
