// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hostile user space.  Several threads throw ioctls with random and nearly
 * valid arguments at one VM and its vCPUs, change the memory behind its slots,
 * and the whole ends by exit, by closed file descriptors, or by SIGKILL; then
 * the next VM.  HYPR_FUZZ_MS (3,000) is how long, on the emulated PC's clock.
 *
 * And: HYPR_KILLS (100) processes that are killed, or close what they have, in
 * the middle of prepare and swap; nothing of theirs may stay.
 *
 * The host's own checks tell whether it went well: the run fails by what the
 * kernel prints.  Here, HYPR's ioctls must answer with documented errnos.
 */
#define _GNU_SOURCE
#include "harness.h"

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

#define A		KVM_HYPR_VIEW_FIRST
#define B		(KVM_HYPR_VIEW_FIRST + 1)
#define NR_THREADS	3
#define NR_VCPUS	6
#define POOL_BYTES	0x400000
#define KICK_US		1500

struct fuzz_vcpu {
	int fd;
	struct kvm_run *run;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	pthread_mutex_t running;
};

struct fuzz {
	struct vm *vm;
	uint8_t *pool;
	struct fuzz_vcpu vcpu[NR_VCPUS];
	atomic_int nr_vcpus;
	pthread_t thread[NR_THREADS];
	uint64_t random[NR_THREADS];
	int nr;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545F4914F6CDD1Dull;
}

#define PICK(r, ...) ({							\
	static const uint64_t of_[] = { __VA_ARGS__ };			\
									\
	of_[next_random(r) % (sizeof(of_) / sizeof(of_[0]))];		\
})

/* One time in @n. */
static bool rarely(uint64_t *r, unsigned int n)
{
	return next_random(r) % n == 0;
}

static uint32_t any_view(uint64_t *r)
{
	return rarely(r, 12) ? next_random(r) >> next_random(r) % 64 :
			       PICK(r, 0, 0, A, A, B, B, 4, 1, 15, 16);
}

static uint32_t any_flags(uint64_t *r, uint32_t known)
{
	return rarely(r, 10) ? next_random(r) : next_random(r) & known;
}

/* Mostly where @arg is, else somewhere that is no good. */
static void *any_pointer(struct fuzz *fuzz, uint64_t *r, void *arg)
{
	switch (next_random(r) % 40) {
	case 0: return NULL;
	/* Of the kernel, or not canonical: never of this program. */
	case 1: return (void *)(next_random(r) | 1ull << 63);
	case 2: return fuzz->pool + POOL_BYTES - 8;
	case 3: return fuzz->vm->control;
	default: return arg;
	}
}

static void spoil(uint64_t *r, void *arg, size_t bytes)
{
	uint8_t *byte = arg;

	if (rarely(r, 10))
		byte[next_random(r) % bytes] ^= 1 << next_random(r) % 8;
}

/* What include/uapi/linux/kvm_hypr.h and the kernel-doc promise, and EBADF. */
static void check_errno(const char *what, int ret)
{
	static const int known[] = {
		EINVAL, EFAULT, ENOENT, ENODATA, EAGAIN, EBUSY, EINTR, ENOMEM,
		EEXIST, EPERM, EOPNOTSUPP, ESTALE, EBADF,
	};
	size_t i;

	for (i = 0; ret < 0 && i < sizeof(known) / sizeof(known[0]); i++)
		if (ret == -known[i])
			return;
	if (ret < 0)
		FAIL("%s gives %d", what, ret);
}

/* ---- ioctls of the VM --------------------------------------------------- */

static void do_prepare(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_prepare arg = { .view = any_view(r) };

	spoil(r, &arg, sizeof(arg));
	check_errno("prepare", try_ioctl(fuzz->vm->fd, KVM_PREPARE_EPT_SWAP,
					 any_pointer(fuzz, r, &arg)));
}

static void do_swap(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_swap arg = {
		.view = any_view(r),
		.flags = any_flags(r, 0x3f),
		.timeout_ns = PICK(r, 0, 1, 1000, 100000, 1000000, 3000000),
	};
	unsigned long request = rarely(r, 2) ? KVM_COMMIT_EPT_SWAP :
					       KVM_EPT_SWAP_ALL;

	spoil(r, &arg, sizeof(arg));
	/* Not for ten seconds. */
	if (arg.timeout_ns > 10000000)
		arg.timeout_ns = ~0ull;
	check_errno("swap", try_ioctl(fuzz->vm->fd, request,
				      any_pointer(fuzz, r, &arg)));
}

static void do_discard(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_discard arg = { .view = any_view(r) };

	spoil(r, &arg, sizeof(arg));
	check_errno("discard", try_ioctl(fuzz->vm->fd, KVM_HYPR_DISCARD_VIEW,
					 any_pointer(fuzz, r, &arg)));
}

static void do_control(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_control arg = {
		.gpa = HYPR_CONTROL_GPA,
		.userspace_addr = (uintptr_t)(rarely(r, 3) ?
			fuzz->pool + next_random(r) % POOL_BYTES :
			(uint8_t *)fuzz->vm->control),
	};

	spoil(r, &arg, sizeof(arg));
	check_errno("set control page",
		    try_ioctl(fuzz->vm->fd, KVM_HYPR_SET_CONTROL_PAGE,
			      any_pointer(fuzz, r, &arg)));
}

/* Address space 1 stays as it is: see smm_setup(). */
static void do_slot(struct fuzz *fuzz, uint64_t *r)
{
	uint32_t view = any_view(r) & 15;

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
		.slot = (any_view(r) & 15) << 16 | PICK(r, SLOT_RAM, SLOT_FREE),
		.dirty_bitmap = bitmap,
	};

	try_ioctl(fuzz->vm->fd, KVM_GET_DIRTY_LOG, &arg);
}

static void do_vm_misc(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPR_EPT_SWAP };
	struct kvm_msi msi = {
		.address_lo = 0xfee00000 | next_random(r) % NR_VCPUS << 12,
		.data = PICK(r, HYPR_CONTROL_VECTOR, GUEST_WAKE_VECTOR),
	};
	uint8_t arg[256];
	size_t i;
	int ret;

	switch (next_random(r) % 4) {
	case 0:
		spoil(r, &cap, sizeof(cap));
		ret = try_ioctl(fuzz->vm->fd, KVM_ENABLE_CAP, &cap);
		/* Other capabilities have errnos of their own. */
		if (cap.cap == KVM_CAP_HYPR_EPT_SWAP)
			check_errno("enable", ret);
		break;
	case 1:
		try_ioctl(fuzz->vm->fd, KVM_SIGNAL_MSI, &msi);
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

	if (nr >= NR_VCPUS)
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

/* To the guest's first instruction, out of SMM, interrupts on. */
static void vcpu_reset(struct fuzz_vcpu *vcpu)
{
	struct kvm_vcpu_events events = { .flags = KVM_VCPUEVENT_VALID_SMM };
	struct kvm_mp_state mp_state = { .mp_state = KVM_MP_STATE_RUNNABLE };

	try_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
	try_ioctl(vcpu->fd, KVM_SET_SREGS, &vcpu->sregs);
	try_ioctl(vcpu->fd, KVM_SET_REGS, &vcpu->regs);
	try_ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp_state);
}

static void do_run(struct fuzz_vcpu *vcpu, uint64_t *r)
{
	int ret;

	if (!vcpu->run || pthread_mutex_trylock(&vcpu->running))
		return;
	vcpu->run->immediate_exit = rarely(r, 10);
	ret = try_ioctl(vcpu->fd, KVM_RUN, NULL);
	/* Whatever it was, a guest that goes on may have interrupts off. */
	if (ret != -EINTR)
		vcpu_reset(vcpu);
	pthread_mutex_unlock(&vcpu->running);
}

static void do_eptp(struct fuzz_vcpu *vcpu, uint64_t *r)
{
	struct kvm_hypr_eptp eptp = { 0 };

	check_errno("get EPTP", try_ioctl(vcpu->fd, KVM_GET_EPTP, &eptp));
	if (rarely(r, 4))
		eptp.eptp ^= 1ull << next_random(r) % 64;
	spoil(r, &eptp, sizeof(eptp));
	check_errno("set EPTP", try_ioctl(vcpu->fd, KVM_SET_EPTP, &eptp));
}

static void do_vcpu(struct fuzz *fuzz, uint64_t *r)
{
	struct fuzz_vcpu *vcpu = &fuzz->vcpu[next_random(r) %
					     atomic_load(&fuzz->nr_vcpus)];
	struct kvm_mp_state mp_state = { .mp_state = PICK(r, 0, 0, 1, 2, 3) };
	struct kvm_sregs sregs;

	switch (next_random(r) % 16) {
	case 0 ... 6: do_run(vcpu, r); break;
	case 7 ... 9: do_eptp(vcpu, r); break;
	case 10: try_ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp_state); break;
	case 11: try_ioctl(vcpu->fd, KVM_SMI, NULL); break;
	case 12: try_ioctl(vcpu->fd, KVM_NMI, NULL); break;
	case 13:
		if (!try_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
			try_ioctl(vcpu->fd, KVM_SET_SREGS, &sregs);
		break;
	case 14: vcpu_create(fuzz); break;
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

static void *fuzz_thread(void *arg)
{
	struct fuzz *fuzz = arg;
	uint64_t *r = &fuzz->random[__atomic_fetch_add(&fuzz->nr, 1,
						       __ATOMIC_SEQ_CST)];
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	for (;;) {
		switch (next_random(r) % 16) {
		case 0 ... 1: do_prepare(fuzz, r); break;
		case 2 ... 4: do_swap(fuzz, r); break;
		case 5: do_discard(fuzz, r); break;
		case 6: do_control(fuzz, r); break;
		case 7: do_slot(fuzz, r); break;
		case 8: do_repair(fuzz, r); break;
		case 9: do_dirty_log(fuzz, r); break;
		case 10: do_vm_misc(fuzz, r); break;
		case 11: do_memory(fuzz, r); break;
		default: do_vcpu(fuzz, r);
		}
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

static void fuzz_setup(struct fuzz *fuzz)
{
	struct sigaction action = { .sa_handler = on_signal };
	int i;

	sigaction(SIGUSR1, &action, NULL);
	fuzz->vm = vm_new();
	fuzz->pool = memory_new(POOL_BYTES);
	vm_views_add(fuzz->vm, 2);
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
}

/* A process with a VM of its own; ends by itself, or by its parent's signal. */
static void fuzz_life(uint64_t seed, uint64_t life_us, unsigned int end)
{
	static struct fuzz fuzz;
	uint64_t stop;
	int i;

	fuzz_setup(&fuzz);
	for (i = 0; i < NR_THREADS; i++) {
		fuzz.random[i] = (seed + i) * 0x9E3779B97F4A7C15ull | 1;
		CHECK(!pthread_create(&fuzz.thread[i], NULL, fuzz_thread, &fuzz));
	}
	for (stop = now_ns() + life_us * 1000; now_ns() < stop;) {
		usleep(KICK_US);
		for (i = 0; i < NR_THREADS; i++)
			pthread_kill(fuzz.thread[i], SIGUSR1);
	}
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

static void test_fuzz(void)
{
	unsigned long ms = number_given("HYPR_FUZZ_MS", 3000);
	uint64_t stop = now_ns() + ms * 1000000ull;
	unsigned int lives = 0;

	need_cpus(3);
	alarm(120 + ms / 100);
	while (now_ns() < stop) {
		uint64_t seed = tap_random(), us = 30000 + tap_random() % 200000;
		unsigned int end = tap_random() % 3;
		int status;
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (!pid)
			fuzz_life(seed, us, end);
		CHECK(waitpid(pid, &status, 0) == pid);
		if (WIFEXITED(status) ? WEXITSTATUS(status) :
					WTERMSIG(status) != SIGKILL)
			FAIL("life %u, seed %#llx, ends with status %#x", lives,
			     (unsigned long long)seed, status);
		lives++;
	}
	note("%u lives in %lu ms", lives, ms);
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
