// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hostile user space.  Several threads throw ioctls with random and nearly
 * valid arguments at one VM and its vCPUs, change the memory behind its slots,
 * and the whole ends by exit, by closed file descriptors, or by SIGKILL; then
 * the next VM.  HYPR_FUZZ_MS (3,000) is how long, on the emulated PC's clock, and
 * HYPR_FUZZ_LIVES (1) how many VMs at least.
 * VMs are of many kinds (fuzz_vm.c), each printed with its seed; HYPR_FUZZ_LIFE
 * set to a seed runs that kind of life alone, again and again.
 * HYPR_FUZZ_STATES=1: states and boards are kept, read, and moved by swaps and resets, too.
 * Not on Debian's Bochs: it does not take a CPU out of a guest that is entered with
 * interrupts off.
 *
 * And: HYPR_KILLS (100) processes that are killed, or close what they have, in
 * the middle of prepare and swap; nothing of theirs may stay.
 *
 * The host's own checks tell whether it went well: the run fails by what the
 * kernel prints.  Here, HYPR's ioctls must answer with documented errnos.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define KICK_US		1500
#define STOP_US		3000
/* Where the machine has other work a life is longer, until so much is done. */
#define LIFE_STEPS	300
#define LIFE_MORE_NS	5000000000ull
/* Nothing is there: the guest's access ends in user space. */
#define DEVICE_GPA	0x5000000
#define DEVICE_PORT	0x10
#define PV_GPA		GUEST_FREE_GPA

/* HYPR_FUZZ_STATES */
static bool states;

static uint32_t any_flags(uint64_t *r, uint32_t known)
{
	return rarely(r, 10) ? next_random(r) : next_random(r) & known;
}

/* ---- ioctls of the VM --------------------------------------------------- */

static void do_prepare(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_prepare arg = { .view = fuzz_any_view(r) };

	fuzz_spoil(r, &arg, sizeof(arg));
	check_errno("prepare", try_ioctl(fuzz->vm->fd, KVM_PREPARE_EPT_SWAP,
					 fuzz_any_pointer(fuzz, r, &arg)));
}

/* One that can happen, if only the views and the vCPUs are as it needs them. */
static void swap_pick_valid(struct kvm_hypr_swap *arg, unsigned long request,
			    uint64_t *r)
{
	arg->view = PICK(r, 0, A, B);
	arg->flags = PICK(r, 0, KVM_EPT_SWAP_FLUSH) | (rarely(r, 4) ? 0 :
						       KVM_EPT_SWAP_FORCE);
	if (request == KVM_EPT_SWAP_ALL) {
		arg->flags |= PICK(r, 0, KVM_EPT_SWAP_PAUSE, KVM_EPT_SWAP_RESUME,
				   KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME);
		if (rarely(r, 4)) {
			arg->flags = KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_RESET;
		} else if (states && rarely(r, 2)) {
			arg->flags = KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_STATE |
				     PICK(r, 0, KVM_EPT_SWAP_NOTIFY) |
				     PICK(r, 0, KVM_EPT_SWAP_RESET) |
				     PICK(r, 0, KVM_EPT_SWAP_MOMENT, KVM_EPT_SWAP_BOARD,
					  KVM_EPT_SWAP_MOMENT | KVM_EPT_SWAP_BOARD);
		}
	} else if (rarely(r, 4)) {
		arg->flags |= KVM_EPT_SWAP_VCPUS;
		arg->vcpu_mask = PICK(r, 1, 2, 3, 4);
	}
	if (rarely(r, 8)) {
		arg->flags |= KVM_EPT_SWAP_EXPECT;
		arg->expected_view = PICK(r, 0, A, B);
	}
}

static void do_swap(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_swap arg = {
		.view = fuzz_any_view(r),
		.flags = any_flags(r, states ? 0x7ff : 0x23f),
		.timeout_ns = PICK(r, 0, 1, 1000, 100000, 1000000, 3000000),
	};
	unsigned long request = rarely(r, 2) ? KVM_COMMIT_EPT_SWAP :
					       KVM_EPT_SWAP_ALL;
	int ret;

	if (!rarely(r, 3))
		swap_pick_valid(&arg, request, r);
	fuzz_spoil(r, &arg, sizeof(arg));
	/* Not for ten seconds. */
	if (arg.timeout_ns > 10000000)
		arg.timeout_ns = ~0ull;
	ret = try_ioctl(fuzz->vm->fd, request, fuzz_any_pointer(fuzz, r, &arg));
	check_errno("swap", ret);
	atomic_fetch_add(&fuzz->met->swaps, !ret);
	atomic_fetch_add(&fuzz->met->moved, !ret && (arg.flags & KVM_EPT_SWAP_STATE));
	atomic_fetch_add(&fuzz->met->resets, !ret && (arg.flags & KVM_EPT_SWAP_RESET));
}

static void do_discard(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_discard arg = { .view = fuzz_any_view(r) };

	fuzz_spoil(r, &arg, sizeof(arg));
	check_errno("discard", try_ioctl(fuzz->vm->fd, KVM_HYPR_DISCARD_VIEW,
					 fuzz_any_pointer(fuzz, r, &arg)));
}

static void do_control(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_control arg = {
		.gpa = HYPR_CONTROL_GPA,
		.userspace_addr = (uintptr_t)(rarely(r, 3) ?
			fuzz->pool + next_random(r) % POOL_BYTES :
			(uint8_t *)fuzz->vm->control),
	};

	fuzz_spoil(r, &arg, sizeof(arg));
	check_errno("set control page",
		    try_ioctl(fuzz->vm->fd, KVM_HYPR_SET_CONTROL_PAGE,
			      fuzz_any_pointer(fuzz, r, &arg)));
}

/* The cache of views: how much it may have, what it must keep, what was edited. */
static void do_cache(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_cache cache = {
		.flags = next_random(r) & KVM_HYPR_CACHE_GET,
		.max_tables = PICK(r, 0, 0, 1, 4, 100),
		.max_pages = PICK(r, 0, 0, 0, 1, 600),
	};
	struct kvm_hypr_pin pin = {
		.view = fuzz_any_view(r),
		.flags = next_random(r) & KVM_HYPR_PIN_UNPIN,
	};
	struct kvm_hypr_mark_edited edited = { .view = fuzz_any_view(r) };

	fuzz_spoil(r, &cache, sizeof(cache));
	fuzz_spoil(r, &pin, sizeof(pin));
	fuzz_spoil(r, &edited, sizeof(edited));
	switch (next_random(r) % 3) {
	case 0:
		check_errno("set cache",
			    try_ioctl(fuzz->vm->fd, KVM_HYPR_SET_CACHE,
				      fuzz_any_pointer(fuzz, r, &cache)));
		break;
	case 1:
		check_errno("pin", try_ioctl(fuzz->vm->fd, KVM_HYPR_PIN_VIEW,
					     fuzz_any_pointer(fuzz, r, &pin)));
		break;
	default:
		check_errno("mark edited",
			    try_ioctl(fuzz->vm->fd, KVM_HYPR_MARK_EDITED,
				      fuzz_any_pointer(fuzz, r, &edited)));
	}
}

/* Address space 1 stays as it is: see smm_setup(). */
static void do_slot(struct fuzz *fuzz, uint64_t *r)
{
	uint32_t view = fuzz_any_view(r) & 15;

	if (view == KVM_HYPR_VIEW_SMM)
		return;
	try_set_slot(fuzz->vm, view, rarely(r, 20) ? next_random(r) & 0xffff :
		     PICK(r, SLOT_RAM, SLOT_CONTROL, SLOT_SHARED, SLOT_FREE, 5),
		     rarely(r, 10) ? next_random(r) : PICK(r, 0, 0, 1, 2, 3),
		     PICK(r, 0, HYPR_CONTROL_GPA, GUEST_SHARED_GPA, 0x2000000,
			  0x2010000, 0x7ffff000, 0xfee00000, ~0xfffull),
		     PICK(r, 0, 0, 4096, 0x10000, GUEST_SHARED_BYTES, RAM_BYTES),
		     rarely(r, 4) ? fuzz->vm->shared :
		     fuzz->pool + (next_random(r) % POOL_BYTES & ~0xfffull));
}

/* As it was made: else little works after a while. */
static void do_repair(struct fuzz *fuzz, uint64_t *r)
{
	unsigned int view = PICK(r, 0, A, B);
	struct vm *vm = fuzz->vm;

	/* Memory that was taken away: a view is built of what can be mapped. */
	if (rarely(r, 2)) {
		mmap(vm->ram[view], RAM_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		return;
	}
	try_set_slot(vm, view, SLOT_FREE, 0, 0, 0, NULL);
	try_set_slot(vm, view, 5, 0, 0, 0, NULL);
	try_set_slot(vm, view, SLOT_RAM, 0, 0, RAM_BYTES, vm->ram[view]);
	try_set_slot(vm, view, SLOT_CONTROL, 0, HYPR_CONTROL_GPA, 4096,
		     vm->control);
	try_set_slot(vm, view, SLOT_SHARED, 0, GUEST_SHARED_GPA,
		     GUEST_SHARED_BYTES, vm->shared);
}

static void do_dirty_log(struct fuzz *fuzz, uint64_t *r)
{
	uint64_t bitmap[RAM_BYTES / 4096 / 64 + 1];
	struct kvm_dirty_log arg = {
		.slot = (fuzz_any_view(r) & 15) << 16 | PICK(r, SLOT_RAM, SLOT_FREE),
		.dirty_bitmap = bitmap,
	};

	try_ioctl(fuzz->vm->fd, KVM_GET_DIRTY_LOG, &arg);
}

static void do_vm_misc(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPR_EPT_SWAP };
	struct kvm_msi msi = {
		.address_lo = 0xfee00000 | next_random(r) % FUZZ_VCPUS << 12,
		.data = PICK(r, HYPR_CONTROL_VECTOR, GUEST_WAKE_VECTOR),
	};
	uint8_t arg[256];
	size_t i;
	int ret;

	switch (next_random(r) % 6) {
	case 0:
		fuzz_spoil(r, &cap, sizeof(cap));
		ret = try_ioctl(fuzz->vm->fd, KVM_ENABLE_CAP, &cap);
		/* Other capabilities have errnos of their own. */
		if (cap.cap == KVM_CAP_HYPR_EPT_SWAP)
			check_errno("enable", ret);
		break;
	case 1:
		try_ioctl(fuzz->vm->fd, KVM_SIGNAL_MSI, &msi);
		break;
	case 2:
		try_other_kind(fuzz, r);
		break;
	default:
		/* Any direction, any size, any number near HYPR's. */
		for (i = 0; i < sizeof(arg); i++)
			arg[i] = next_random(r);
		try_ioctl(fuzz->vm->fd, _IOC(next_random(r) % 4, KVMIO,
			  0xf0 | next_random(r) % 16, next_random(r) % 256), arg);
	}
}

/* ---- vCPUs -------------------------------------------------------------- */

static void vcpu_create(struct fuzz *fuzz)
{
	int nr = atomic_load(&fuzz->nr_vcpus);
	struct fuzz_vcpu *vcpu = &fuzz->vcpu[nr];

	if (nr >= FUZZ_VCPUS)
		return;
	vcpu->fd = try_ioctl(fuzz->vm->fd, KVM_CREATE_VCPU,
			     (void *)(uintptr_t)nr);
	/* Another thread may have made it, or the VM is closed. */
	if (vcpu->fd < 0)
		return;
	vcpu->run = NULL;
	pthread_mutex_init(&vcpu->running, NULL);
	atomic_store(&fuzz->nr_vcpus, nr + 1);
}

/* Out of a nested guest: no VMXON, no VMRUN. */
static int try_leave_nested(struct fuzz *fuzz, struct fuzz_vcpu *vcpu)
{
	struct kvm_nested_state state = { .size = sizeof(state) };

	if (vm_has_svm(fuzz->vm)) {
		state.format = KVM_STATE_NESTED_FORMAT_SVM;
		state.flags = KVM_STATE_NESTED_GIF_SET;
	} else {
		state.hdr.vmx.vmxon_pa = ~0ull;
		state.hdr.vmx.vmcs12_pa = ~0ull;
	}
	return try_ioctl(vcpu->fd, KVM_SET_NESTED_STATE, &state);
}

/* To the guest's first instruction, out of SMM, interrupts on. */
static void vcpu_reset(struct fuzz *fuzz, struct fuzz_vcpu *vcpu)
{
	struct kvm_vcpu_events events = { .flags = KVM_VCPUEVENT_VALID_SMM };
	struct kvm_mp_state mp_state = { .mp_state = KVM_MP_STATE_RUNNABLE };

	try_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	if (fuzz->kind.nested)
		try_leave_nested(fuzz, vcpu);
	try_ioctl(vcpu->fd, KVM_SET_SREGS, &vcpu->sregs);
	try_ioctl(vcpu->fd, KVM_SET_REGS, &vcpu->regs);
	try_ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp_state);
}

/* The exit is one of the guest's commands, which can be completed. */
static bool is_half_done(const struct kvm_run *run)
{
	if (run->exit_reason == KVM_EXIT_IO)
		return run->io.port == DEVICE_PORT;
	return run->exit_reason == KVM_EXIT_MMIO &&
	       run->mmio.phys_addr == DEVICE_GPA;
}

static void do_run(struct fuzz *fuzz, struct fuzz_vcpu *vcpu, uint64_t *r)
{
	const struct timespec no_time = { 0 };
	sigset_t in_run;
	int ret;

	if (!vcpu->run || pthread_mutex_trylock(&vcpu->running))
		return;
	vcpu->run->immediate_exit = rarely(r, 10);
	ret = try_ioctl(vcpu->fd, KVM_RUN, NULL);
	/* Whatever it was, a guest that goes on may have interrupts off. */
	if (!ret && is_half_done(vcpu->run) && rarely(r, 2))
		atomic_fetch_add(&fuzz->met->half_done, 1);
	else if (ret != -EINTR)
		vcpu_reset(fuzz, vcpu);
	pthread_mutex_unlock(&vcpu->running);
	/* Blocked outside of KVM_RUN: it would end each that follows. */
	sigemptyset(&in_run);
	sigaddset(&in_run, SIGUSR2);
	if (sigtimedwait(&in_run, NULL, &no_time) == SIGUSR2 && ret == -EINTR)
		atomic_fetch_add(&fuzz->met->masked, 1);
}

/* Another command to the guest, which may be in the middle of the last. */
static void do_ask(struct fuzz *fuzz, uint64_t *r)
{
	unsigned int n = next_random(r) % 2;
	struct guest_cpu *guest = (struct guest_cpu *)(fuzz->vm->shared +
						       GUEST_CPU(n));
	uint64_t late = LATE_GPA + (next_random(r) % LATE_BYTES & ~7ull);
	static const struct { uint32_t index, low; } pv[] = {
		{ 0x4b564d01, 1 },	/* kvmclock */
		{ 0x4b564d02, 1 | 2 | 8 }, /* asynchronous page faults */
		{ 0x4b564d03, 1 },	/* steal time */
		{ 0x4b564d04, 1 },	/* EOI without an exit */
	};
	unsigned int which = next_random(r) % 4;

	guest->halt = 0;
	guest->arg[0] = late;
	guest->arg[1] = next_random(r);
	switch (next_random(r) % (fuzz->kind.nested ? 14 : 9)) {
	case 0 ... 1: guest->cmd = GUEST_READ; break;
	case 2: guest->cmd = GUEST_WRITE; break;
	case 3: guest->cmd = GUEST_READ_CLI; break;
	case 4:
		guest->arg[1] = LATE_GPA + LATE_BYTES;
		guest->cmd = PICK(r, GUEST_FILL, GUEST_VERIFY);
		break;
	case 5:
		guest->arg[1] = late;
		guest->arg[0] = PICK(r, DEVICE_GPA, DEVICE_PORT);
		guest->cmd = guest->arg[0] == DEVICE_PORT ? GUEST_INS :
							    GUEST_MOVS;
		break;
	case 6:
		guest->halt = 1;
		guest->cmd = GUEST_HALT;
		break;
	case 7:
		guest->arg[0] = 0x4b564d06;
		guest->arg[1] = GUEST_WAKE_VECTOR;
		guest->cmd = GUEST_WRMSR;
		break;
	case 8:
		guest->arg[0] = pv[which].index;
		guest->arg[1] = rarely(r, 4) ? 0 : PV_GPA | pv[which].low;
		guest->apf_gpa = PV_GPA;
		guest->cmd = GUEST_WRMSR;
		break;
	default:
		/* The pages for a nested guest are there once. */
		if (n)
			return;
		guest->arg[0] = vm_has_svm(fuzz->vm);
		guest->arg[1] = rarely(r, 2);
		guest->cmd = GUEST_NESTED;
	}
	__atomic_fetch_add(&guest->cmd_seq, 1, __ATOMIC_SEQ_CST);
}

/*
 * What the first vCPU had in its nested guest is given to it or to another, later.
 * Only the header is spoiled: with other registers than its own the nested guest
 * might run with interrupts off.
 */
static void do_nested(struct fuzz *fuzz, struct fuzz_vcpu *vcpu, uint64_t *r)
{
	uint64_t state[STATE_BYTES / 8];
	struct kvm_nested_state *now = (void *)state;

	switch (next_random(r) % 4) {
	case 0:
		try_leave_nested(fuzz, vcpu);
		break;
	case 1:
		now->size = STATE_BYTES;
		try_ioctl(vcpu->fd, KVM_GET_NESTED_STATE, now);
		break;
	default:
		memcpy(state, fuzz->nested_state, sizeof(state));
		fuzz_spoil(r, now, sizeof(*now));
		if (!try_ioctl(vcpu->fd, KVM_SET_NESTED_STATE, now))
			atomic_fetch_add(&fuzz->met->nested, 1);
	}
}

/* Which signals end KVM_RUN; SIGUSR1, which ends each life, always does. */
static void do_signal_mask(struct fuzz_vcpu *vcpu, uint64_t *r)
{
	/* struct kvm_signal_mask, whose bits begin right behind its length. */
	struct {
		uint32_t len;
		uint64_t set;
	} __attribute__((packed)) mask = {
		.len = sizeof(mask.set),
		.set = PICK(r, 0, 0, 1ull << (SIGUSR2 - 1),
			    ~(1ull << (SIGUSR1 - 1))),
	};

	try_ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, rarely(r, 4) ? NULL : &mask);
}

static void do_eptp(struct fuzz_vcpu *vcpu, uint64_t *r)
{
	struct kvm_hypr_eptp eptp = { 0 };

	check_errno("get EPTP", try_ioctl(vcpu->fd, KVM_GET_EPTP, &eptp));
	if (rarely(r, 4))
		eptp.eptp ^= 1ull << next_random(r) % 64;
	fuzz_spoil(r, &eptp, sizeof(eptp));
	check_errno("set EPTP", try_ioctl(vcpu->fd, KVM_SET_EPTP, &eptp));
}

static void do_vcpu(struct fuzz *fuzz, uint64_t *r)
{
	struct fuzz_vcpu *vcpu = &fuzz->vcpu[next_random(r) %
					     atomic_load(&fuzz->nr_vcpus)];
	struct kvm_mp_state mp_state = { .mp_state = PICK(r, 0, 0, 1, 2, 3) };
	struct kvm_sregs sregs;

	/* Most lives have two that run, and some that never do. */
	if (rarely(r, 2))
		vcpu = &fuzz->vcpu[next_random(r) % 2];
	switch (next_random(r) % 20) {
	case 0 ... 6: do_run(fuzz, vcpu, r); break;
	case 7 ... 9: do_eptp(vcpu, r); break;
	case 10: try_ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp_state); break;
	case 11:
		/*
		 * Not where a nested state may be taken away in SMM: KVM's
		 * free_nested() leaves smm.guest_mode set, and RSM then enters a
		 * nested guest without a VMCS, an oops of KVM's own (CAVEATS.md).
		 */
		if (!fuzz->kind.nested && !fuzz->kind.resets)
			try_ioctl(vcpu->fd, KVM_SMI, NULL);
		break;
	case 12: try_ioctl(vcpu->fd, KVM_NMI, NULL); break;
	case 13:
		if (!try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
			try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
		break;
	case 14:
		/* One that never runs is no vCPU that could be put back. */
		if (!fuzz->kind.resets)
			vcpu_create(fuzz);
		break;
	case 15: do_signal_mask(vcpu, r); break;
	case 16 ... 18:
		if (fuzz->kind.nested)
			do_nested(fuzz, vcpu, r);
		break;
	default:
		if (rarely(r, 50))
			close(vcpu->fd);
	}
}

/* ---- memory ------------------------------------------------------------- */

static void do_memory(struct fuzz *fuzz, uint64_t *r)
{
	uint64_t at = next_random(r) % (POOL_BYTES - 0x20000) & ~0xfffull;
	uint8_t *p = rarely(r, 2) ? fuzz->pool + at :
		     fuzz->vm->ram[PICK(r, 0, A, B)] + at % (RAM_BYTES - 0x20000);
	size_t bytes = PICK(r, 4096, 0x4000, 0x20000);

	switch (next_random(r) % 6) {
	case 0: madvise(p, bytes, MADV_DONTNEED); break;
	case 1: mprotect(p, bytes, PROT_READ); break;
	case 2: mprotect(p, bytes, PROT_NONE); break;
	case 3: munmap(p, bytes); break;
	default:
		/* And back, as new memory or as it was. */
		if (rarely(r, 2))
			mmap(p, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			     MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		else
			mprotect(p, bytes, PROT_READ | PROT_WRITE);
	}
}

/* ---- lives -------------------------------------------------------------- */

/* To any thread that is in the middle of something, this one included. */
static void do_signal(struct fuzz *fuzz, uint64_t *r)
{
	pthread_kill(fuzz->thread[next_random(r) % FUZZ_THREADS],
		     (int)PICK(r, SIGUSR1, SIGUSR2));
}

/* Mostly in the guest: only there can it ask, and go on elsewhere. */
static void do_reset(struct fuzz *fuzz, uint64_t *r)
{
	if (rarely(r, 3))
		fuzz_reset(fuzz, r);
	else
		do_run(fuzz, &fuzz->vcpu[next_random(r) % 2], r);
}

static void *fuzz_thread(void *arg)
{
	struct fuzz *fuzz = arg;
	uint64_t *r = &fuzz->random[__atomic_fetch_add(&fuzz->nr, 1,
						       __ATOMIC_SEQ_CST)];
	sigset_t in_run;
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	sigemptyset(&in_run);
	sigaddset(&in_run, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &in_run, NULL);
	pthread_mutex_lock(&fuzz->start);
	pthread_mutex_unlock(&fuzz->start);
	for (;;) {
		if (fuzz->kind.resets && !rarely(r, 3))
			do_reset(fuzz, r);
		switch (next_random(r) % (states ? 29 : 26)) {
		case 0 ... 1: do_prepare(fuzz, r); break;
		case 2 ... 5: do_swap(fuzz, r); break;
		case 6: do_discard(fuzz, r); break;
		case 7: do_control(fuzz, r); break;
		case 8: do_slot(fuzz, r); break;
		case 9: do_repair(fuzz, r); break;
		case 10: do_dirty_log(fuzz, r); break;
		case 11: do_vm_misc(fuzz, r); break;
		case 12: do_memory(fuzz, r); break;
		case 13: do_ask(fuzz, r); break;
		case 14: late_withhold(fuzz, r); break;
		case 15: do_cache(fuzz, r); break;
		case 16: do_signal(fuzz, r); break;
		case 24 ... 25: fuzz_reset(fuzz, r); break;
		case 26 ... 28: fuzz_state(fuzz, r); break;
		default: do_vcpu(fuzz, r);
		}
		atomic_fetch_add(&fuzz->steps, 1);
	}
	return NULL;
}

static void on_signal(int signal)
{
	(void)signal;
}

/*
 * A vCPU in SMM finds RSM there, and nothing else: other code would run with
 * interrupts off, which the emulator does not bear, and without memory KVM ends
 * the VM.
 */
static void smm_setup(struct vm *vm)
{
	uint8_t *smm = memory_new(0x10000);

	smm[0x8000] = 0x0f;
	smm[0x8001] = 0xaa;
	OK(try_set_slot(vm, KVM_HYPR_VIEW_SMM, SLOT_RAM, 0, 0x30000, 0x10000,
			smm));
}

/* Without views the memory of A and B is only there to be mapped elsewhere. */
static void add_views(struct fuzz *fuzz)
{
	if (fuzz->has_views) {
		vm_views_add(fuzz->vm, 2);
		return;
	}
	vm_view_add(fuzz->vm, 0);
	fuzz->vm->ram[A] = memory_new(RAM_BYTES);
	fuzz->vm->ram[B] = memory_new(RAM_BYTES);
}

/* Run the first vCPU until it is in its nested guest, and keep what it has there. */
static void nested_setup(struct fuzz *fuzz)
{
	struct kvm_nested_state *state = (void *)fuzz->nested_state;
	struct vcpu *vcpu = &fuzz->vm->vcpu[0];

	if (!vm_has_vmx(fuzz->vm) && !vm_has_svm(fuzz->vm)) {
		fuzz->kind.nested = false;
		return;
	}
	vcpu_start(vcpu);
	vcpu_ask(vcpu, GUEST_NESTED, vm_has_svm(fuzz->vm), 0, 0);
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->nested, __ATOMIC_SEQ_CST) == 1);
	vcpu_stop(vcpu);
	vcpu->run->immediate_exit = 0;
	state->size = STATE_BYTES;
	OK(try_ioctl(vcpu->fd, KVM_GET_NESTED_STATE, state));
}

static void fuzz_setup(struct fuzz *fuzz, uint64_t *r)
{
	struct sigaction action = { .sa_handler = on_signal };
	int i;

	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	fuzz->pool = memory_new(POOL_BYTES);
	fuzz_vm_make(fuzz, r);
	add_views(fuzz);
	if (!fuzz->kind.resets)
		smm_setup(fuzz->vm);
	for (i = 0; i < 2; i++) {
		struct vcpu *vcpu = vm_vcpu_add(fuzz->vm);
		struct fuzz_vcpu *v = &fuzz->vcpu[i];

		v->fd = vcpu->fd;
		v->run = vcpu->run;
		pthread_mutex_init(&v->running, NULL);
		OK(try_ioctl(v->fd, KVM_GET_REGS, &v->regs));
		OK(try_ioctl(v->fd, KVM_GET_SREGS, &v->sregs));
	}
	atomic_store(&fuzz->nr_vcpus, 2);
	if (fuzz->has_views && !rarely(r, 4)) {
		OK(try_prepare(fuzz->vm, A));
		OK(try_prepare(fuzz->vm, B));
	}
	if (fuzz->has_views && !rarely(r, 3))
		vm_control_page_register(fuzz->vm);
	if (fuzz->kind.nested)
		nested_setup(fuzz);
	fuzz_reset_setup(fuzz);
}

/* A process with a VM of its own; ends by itself, or by its parent's signal. */
static void fuzz_life(uint64_t seed, struct fuzz_kind kind, struct fuzz_met *met)
{
	static struct fuzz fuzz;
	uint64_t r = random_new(seed, FUZZ_THREADS);
	uint64_t life_us = 30000 + next_random(&r) % 200000, stop;
	unsigned int end = next_random(&r) % 3;
	int i;

	fuzz.kind = kind;
	fuzz.met = met;
	fuzz.states = states;
	fuzz_setup(&fuzz, &r);
	if (kind.late)
		late_start(&fuzz, random_new(seed, FUZZ_THREADS + 1));
	/* The guest's first command; in most lives with late memory it waits. */
	late_withhold(&fuzz, &r);
	do_ask(&fuzz, &r);
	for (i = 0; i < FUZZ_THREADS; i++)
		fuzz.random[i] = random_new(seed, i);
	/* Threads signal each other: none begins before all are there. */
	pthread_mutex_lock(&fuzz.start);
	for (i = 0; i < FUZZ_THREADS; i++)
		CHECK(!pthread_create(&fuzz.thread[i], NULL, fuzz_thread, &fuzz));
	pthread_mutex_unlock(&fuzz.start);
	atomic_store(&met->going, true);
	stop = now_ns() + life_us * 1000;
	while (now_ns() < stop || (now_ns() < stop + LIFE_MORE_NS &&
				   atomic_load(&fuzz.steps) < LIFE_STEPS)) {
		usleep(KICK_US);
		for (i = 0; i < FUZZ_THREADS; i++)
			pthread_kill(fuzz.thread[i], SIGUSR1);
	}
	fuzz_reset_count(&fuzz);
	if (end == 0)
		kill(getpid(), SIGKILL);
	if (end == 1) {
		close(fuzz.vm->fd);
		for (i = 0; i < atomic_load(&fuzz.nr_vcpus); i++)
			close(fuzz.vcpu[i].fd);
		usleep(2000);
	}
	_exit(0);
}

static unsigned long number_given(const char *name, unsigned long otherwise)
{
	const char *given = getenv(name);

	return given ? strtoul(given, NULL, 0) : otherwise;
}

/* Stopped and continued, as by a shell: that ends waits as a signal does. */
static int stop_and_go(pid_t pid, struct fuzz_met *met)
{
	int status;
	pid_t ended;

	while (!(ended = waitpid(pid, &status, WNOHANG))) {
		if (atomic_load(&met->going)) {
			kill(pid, SIGSTOP);
			kill(pid, SIGCONT);
		}
		usleep(STOP_US);
	}
	CHECK(ended == pid);
	return status;
}

static void run_life(unsigned int life, uint64_t seed, struct fuzz_met *met)
{
	uint64_t r = random_new(seed, FUZZ_THREADS + 2);
	struct fuzz_kind kind = fuzz_kind_pick(&r);
	int status;
	pid_t pid;

	fuzz_kind_note(&kind, life, seed);
	atomic_store(&met->going, false);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		fuzz_life(seed, kind, met);
	if (rarely(&r, 4))
		status = stop_and_go(pid, met);
	else
		CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) ? WEXITSTATUS(status) :
				WTERMSIG(status) != SIGKILL)
		FAIL("life %u, seed %#llx, ends with status %#x", life,
		     (unsigned long long)seed, status);
}

static void test_fuzz(void)
{
	unsigned long ms = number_given("HYPR_FUZZ_MS", 3000);
	unsigned long least = number_given("HYPR_FUZZ_LIVES", 1);
	uint64_t only = number_given("HYPR_FUZZ_LIFE", 0);
	uint64_t stop = now_ns() + ms * 1000000ull;
	unsigned int lives = 0;
	struct fuzz_met *met;

	states = number_given("HYPR_FUZZ_STATES", 0);
	need_cpus(3);
	met = mmap(NULL, sizeof(*met), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(met != MAP_FAILED);
	vm_close(vm_new());		/* skips without HYPR */
	alarm(120 + ms / 100 + least * 10);
	while (now_ns() < stop || lives < least) {
		uint64_t seed = tap_random();

		run_life(lives++, only ? only : seed, met);
	}
	note("%u lives in %lu ms or more: %u swaps, %u nested states, %u late pages, %u instructions half done, %u masked signals, %u races won by views, %u states kept, %u swaps with states, %u resets, %u of %u asked by guests done",
	     lives, ms, met->swaps, met->nested, met->late, met->half_done,
	     met->masked, met->raced, met->kept, met->moved, met->resets, met->asked_back,
	     met->asked);
}

/* ---- killed in the middle ----------------------------------------------- */

static void *prepare_thread(void *arg)
{
	struct vm *vm = arg;

	pin_to_cpu(3);
	for (;;) {
		try_prepare(vm, B);
		try_discard(vm, B);
	}
	return NULL;
}

static void *close_thread(void *arg)
{
	struct vm *vm = arg;
	int i;

	usleep(tap_random() % 5000);
	close(vm->fd);
	for (i = 0; i < vm->nr_vcpus; i++)
		close(vm->vcpu[i].fd);
	return NULL;
}

static void victim(int told, bool closes)
{
	struct vm *vm = vm_new();
	pthread_t thread;
	unsigned int i;

	vm_views_add(vm, 2);
	vcpus_start(vm, 2);
	OK(try_prepare(vm, A));
	CHECK(!pthread_create(&thread, NULL, prepare_thread, vm));
	if (closes)
		CHECK(!pthread_create(&thread, NULL, close_thread, vm));
	CHECK(write(told, "", 1) == 1);
	for (i = 0;; i++)
		try_commit(vm, i % 2 ? A : 0, KVM_EPT_SWAP_FORCE);
}

static void kill_one(bool closes)
{
	uint64_t end, after = tap_random() % 8000000;
	int told[2], status;
	char byte;
	pid_t pid;

	CHECK(!pipe(told));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		victim(told[1], closes);
	close(told[1]);
	CHECK(read(told[0], &byte, 1) == 1);
	close(told[0]);
	for (end = now_ns() + after; now_ns() < end;)
		wait_relax();
	CHECK(!kill(pid, SIGKILL));
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static long host_memory_kib(void)
{
	return meminfo_kib("SUnreclaim") + meminfo_kib("PageTables") +
	       meminfo_kib("SecPageTables") + meminfo_kib("KernelStack");
}

static void test_kill(void)
{
	unsigned long i, kills = number_given("HYPR_KILLS", 100);
	/* Caches grow at first; what stays of each VM would go on growing. */
	const unsigned long warm_up = kills / 4;
	long before = 0, allowed = 400 + kills / 2;
	uint64_t end;

	need_cpus(3);
	alarm(120 + kills * 2);
	for (i = 0; i < kills; i++) {
		if (i == warm_up)
			before = host_memory_kib();
		kill_one(i % 3 == 0);
	}
	/* Some is freed by RCU and workqueues a little later. */
	for (end = now_ns() + WAIT_NS;
	     now_ns() < end && host_memory_kib() - before > allowed;)
		wait_relax();
	note("%lu killed: %+ld KiB since the first %lu", kills,
	     host_memory_kib() - before, warm_up);
	CHECK(host_memory_kib() - before <= allowed);
}

static const struct test tests[] = {
	{ "random ioctls by several threads", test_fuzz },
	{ "processes killed in the middle of prepare and swap", test_kill },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
