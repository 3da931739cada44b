// SPDX-License-Identifier: GPL-2.0-only
/*
 * Swaps and plain KVM, measured with the tiny guest of tests/guest: see
 * swap_bench.h.  What fails ends the program, as in the tests.
 */
#include "swap_bench.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "bench.h"
#include "tests/guest/harness.h"

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)
#define C	(KVM_HYPR_VIEW_FIRST + 2)
#define FORCE	KVM_EPT_SWAP_FORCE
#define WARM_UP	8

/* MSRs by which a guest says where it wants its time. */
#define MSR_KVM_SYSTEM_TIME	0x4b564d01
#define MSR_KVM_STEAL_TIME	0x4b564d03
#define TIME_GPA		GUEST_FREE_GPA
#define STEAL_GPA		(GUEST_FREE_GPA + 64)

/* CPUIDs between two looks at the clock. */
#define EXITS	16

static void add(struct samples *samples, uint64_t value)
{
	OK(samples_add(samples, value));
}

/* ---- without views ------------------------------------------------------- */

void bench_exit(unsigned int rounds, struct samples *cycles)
{
	struct vm *vm = vm_new_plain();
	struct vcpu *vcpu;
	unsigned int i;

	vm_view_add(vm, 0);
	vcpu = vm_vcpu_add(vm);
	vcpu_start(vcpu);
	for (i = 0; i < WARM_UP + rounds; i++) {
		vcpu_do(vcpu, GUEST_CPUID, EXITS, 0, 0);
		if (i >= WARM_UP)
			add(cycles, vcpu->guest->result[0] / EXITS);
	}
	vm_close(vm);
}

void bench_churn(unsigned int rounds, struct samples *cycles)
{
	struct vm *vm = vm_new_plain();
	struct vcpu *vcpu;
	unsigned int i;

	vm_view_add(vm, 0);
	vcpu = vm_vcpu_add(vm);
	vcpu_start(vcpu);
	for (i = 0; i < WARM_UP + rounds; i++) {
		vcpu_ask_churn(vcpu, EXITS);
		vcpu_wait_done(vcpu);
		CHECK_EQ(vcpu->guest->result[0], 0);
		if (i >= WARM_UP)
			add(cycles, vcpu->guest->result[1] / EXITS);
	}
	vm_close(vm);
}

/* This thread runs the vCPU; a few instructions of it lie between two OUTs. */
void bench_round_trip(unsigned int rounds, struct samples *cycles)
{
	struct vm *vm = vm_new_plain();
	uint64_t start, end;
	struct vcpu *vcpu;
	unsigned int i;

	vm_view_add(vm, 0);
	vcpu = vm_vcpu_add(vm);
	vcpu->guest->cmd = GUEST_OUT;
	vcpu->guest->arg[0] = 0x10;
	vcpu->guest->halt = 1;
	vcpu->guest->cmd_seq++;
	for (i = 0; i < WARM_UP + rounds; i++) {
		start = bench_tsc();
		OK(try_ioctl(vcpu->fd, KVM_RUN, NULL));
		end = bench_tsc();
		CHECK_EQ(vcpu->run->exit_reason, KVM_EXIT_IO);
		if (i >= WARM_UP)
			add(cycles, end - start);
	}
	vm_close(vm);
}

/* ---- views --------------------------------------------------------------- */

static void show_start(struct vm *vm)
{
	int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		struct guest_cpu *guest = vm->vcpu[i].guest;
		uint64_t beats = guest->beats;

		guest->halt = 1;
		vcpu_ask(&vm->vcpu[i], GUEST_SHOW, 0, 0, 0);
		WAIT_UNTIL(__atomic_load_n(&guest->beats, __ATOMIC_SEQ_CST) >
			   beats + 100);
	}
}

static void show_stop(struct vm *vm)
{
	int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		__atomic_store_n(&vm->vcpu[i].guest->halt, 0, __ATOMIC_SEQ_CST);
		vcpu_wait_done(&vm->vcpu[i]);
	}
}

/* Without a pause: on the emulator that would be time for others. */
static void wait_seen(struct vm *vm, unsigned int view)
{
	int i;

	for (i = 0; i < vm->nr_vcpus; i++) {
		uint64_t *seen = &vm->vcpu[i].guest->view;

		while (__atomic_load_n(seen, __ATOMIC_RELAXED) != view)
			;
	}
}

static void swap_once(struct vm *vm, unsigned int view, struct swap_times *times)
{
	struct kvm_hypr_swap swap = {
		.view = view,
		.flags = FORCE,
		.timeout_ns = 5000000000ull,
	};
	uint64_t start, called, seen;
	int ret;

	start = bench_tsc();
	ret = try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap);
	called = bench_tsc();
	OK(ret);
	wait_seen(vm, view);
	seen = bench_tsc();
	if (!times)
		return;
	add(&times->call, called - start);
	add(&times->seen, seen - start);
}

static struct vm *vm_with_memory(int nr_vcpus, unsigned int nr_views, bool pv, size_t ram_bytes)
{
	struct vm *vm = vm_new_plain();
	unsigned int i;

	vm->ram_bytes = ram_bytes;
	OK(try_enable_views(vm));
	vm_views_add(vm, nr_views);
	vcpus_start(vm, nr_vcpus);
	for (i = 0; i < nr_views; i++)
		OK(try_prepare(vm, KVM_HYPR_VIEW_FIRST + i));
	if (pv) {
		vcpu_do(&vm->vcpu[0], GUEST_WRMSR, MSR_KVM_SYSTEM_TIME,
			TIME_GPA | 1, 0);
		vcpu_do(&vm->vcpu[0], GUEST_WRMSR, MSR_KVM_STEAL_TIME,
			STEAL_GPA | 1, 0);
	}
	show_start(vm);
	return vm;
}

static struct vm *vm_with_views(int nr_vcpus, unsigned int nr_views, bool pv)
{
	return vm_with_memory(nr_vcpus, nr_views, pv, RAM_BYTES);
}

/* A, B and so on, @nr_views in turn; each has been loaded before. */
static void swap_in_turn(struct vm *vm, unsigned int nr_views,
			 unsigned int rounds, struct swap_times *times)
{
	const unsigned int warm_up = WARM_UP * nr_views;
	unsigned int i;

	for (i = 0; i < warm_up + rounds; i++)
		swap_once(vm, A + i % nr_views, i < warm_up ? NULL : times);
	show_stop(vm);
	check_all_in_view(vm, A + (i - 1) % nr_views);
}

void bench_swap_cached(int nr_vcpus, unsigned int rounds,
		       struct swap_times *times)
{
	struct vm *vm = vm_with_views(nr_vcpus, 2, false);

	swap_in_turn(vm, 2, rounds, times);
	vm_close(vm);
}

void bench_swap_size(unsigned long ram_bytes, unsigned int rounds, struct swap_times *times)
{
	struct vm *vm = vm_with_memory(1, 2, false, ram_bytes);

	swap_in_turn(vm, 2, rounds, times);
	vm_close(vm);
}

void bench_swap_pv(unsigned int rounds, struct swap_times *times)
{
	struct vm *vm = vm_with_views(1, 2, true);

	swap_in_turn(vm, 2, rounds, times);
	vm_close(vm);
}

void bench_swap_rotation(unsigned int nr_views, unsigned int rounds,
			 struct swap_times *times)
{
	struct vm *vm = vm_with_views(1, nr_views, false);

	swap_in_turn(vm, nr_views, rounds, times);
	vm_close(vm);
}

struct dontneed {
	struct vm *vm;
	atomic_uint taken;
	atomic_bool stop;
};

/* On a CPU of its own; without tables there would be nothing to take away. */
static void *dontneed_thread(void *arg)
{
	struct dontneed *dontneed = arg;
	struct vm *vm = dontneed->vm;

	pin_to_cpu(2);
	while (!atomic_load(&dontneed->stop)) {
		CHECK(!madvise(vm->ram[C], vm->ram_bytes, MADV_DONTNEED));
		atomic_fetch_add(&dontneed->taken, 1);
		OK(try_prepare(vm, C));
	}
	return NULL;
}

void bench_swap_dontneed(unsigned int rounds, struct swap_times *times)
{
	struct dontneed dontneed = { .vm = vm_with_views(1, 3, false) };
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, dontneed_thread, &dontneed));
	WAIT_UNTIL(atomic_load(&dontneed.taken));
	swap_in_turn(dontneed.vm, 2, rounds, times);
	atomic_store(&dontneed.stop, true);
	CHECK(!pthread_join(thread, NULL));
	vm_close(dontneed.vm);
}

void bench_swap_first(unsigned int vms, struct swap_times *times)
{
	const unsigned int nr = KVM_HYPR_MAX_VIEWS - KVM_HYPR_VIEW_FIRST;
	unsigned int i, view;

	for (i = 0; i < vms; i++) {
		struct vm *vm = vm_with_views(1, nr, false);

		for (view = A; view < A + nr; view++)
			swap_once(vm, view, times);
		show_stop(vm);
		vm_close(vm);
	}
}

/* ---- a pool of VMs ------------------------------------------------------- */

struct pool;

struct pool_thread {
	struct pool *pool;
	pthread_t thread;
	int index;
};

struct pool {
	struct vm *vm[2];
	struct pool_thread thread[BENCH_MAX_VCPUS];
	atomic_uint target;
	atomic_bool stop;
};

static __thread struct pool_thread *pool_self;

/* A signal that comes just before KVM_RUN must not be lost. */
static void pool_kick(int signal)
{
	struct pool_thread *self = pool_self;
	int i;

	(void)signal;
	for (i = 0; self && i < 2; i++)
		self->pool->vm[i]->vcpu[self->index].run->immediate_exit = 1;
}

static void *pool_run(void *arg)
{
	struct pool_thread *self = arg;
	struct pool *pool = self->pool;

	pool_self = self;
	pin_to_cpu(1 + self->index);
	while (!atomic_load(&pool->stop)) {
		struct vcpu *vcpu;
		unsigned int i;
		int ret;

		for (i = 0; i < 2; i++)
			pool->vm[i]->vcpu[self->index].run->immediate_exit = 0;
		atomic_signal_fence(memory_order_seq_cst);
		vcpu = &pool->vm[atomic_load(&pool->target)]->vcpu[self->index];
		ret = try_ioctl(vcpu->fd, KVM_RUN, NULL);
		if (ret != -EINTR && ret != -EAGAIN)
			FAIL("pool: KVM_RUN returned %d, exit reason %u", ret,
			     vcpu->run->exit_reason);
	}
	return NULL;
}

static void pool_vm_init(struct pool *pool, unsigned int which, int nr_vcpus)
{
	struct vm *vm = vm_new_plain();
	int i;

	vm_view_add(vm, 0);
	for (i = 0; i < nr_vcpus; i++) {
		struct vcpu *vcpu = vm_vcpu_add(vm);

		vcpu->guest->halt = 1;
		vcpu->guest->cmd = GUEST_SHOW;
		vcpu->guest->cmd_seq++;
	}
	pool->vm[which] = vm;
}

/* Seen: the guest of the other VM has made a step since the request. */
static uint64_t pool_switch(struct pool *pool, int nr_vcpus)
{
	unsigned int to = !atomic_load(&pool->target);
	uint64_t beats[BENCH_MAX_VCPUS], start;
	int i;

	for (i = 0; i < nr_vcpus; i++)
		beats[i] = pool->vm[to]->vcpu[i].guest->beats;
	start = bench_tsc();
	atomic_store(&pool->target, to);
	for (i = 0; i < nr_vcpus; i++)
		pthread_kill(pool->thread[i].thread, SIGUSR1);
	for (i = 0; i < nr_vcpus; i++) {
		uint64_t *now = &pool->vm[to]->vcpu[i].guest->beats;

		while (__atomic_load_n(now, __ATOMIC_RELAXED) == beats[i])
			;
	}
	return bench_tsc() - start;
}

void bench_pool(int nr_vcpus, unsigned int rounds, struct samples *seen)
{
	struct sigaction action = { .sa_handler = pool_kick };
	struct pool pool = { 0 };
	unsigned int i;
	int n;

	sigaction(SIGUSR1, &action, NULL);
	for (i = 0; i < 2; i++)
		pool_vm_init(&pool, i, nr_vcpus);
	for (n = 0; n < nr_vcpus; n++) {
		pool.thread[n].pool = &pool;
		pool.thread[n].index = n;
		CHECK(!pthread_create(&pool.thread[n].thread, NULL, pool_run,
				      &pool.thread[n]));
	}
	for (n = 0; n < nr_vcpus; n++)
		WAIT_UNTIL(__atomic_load_n(&pool.vm[0]->vcpu[n].guest->beats,
					   __ATOMIC_SEQ_CST) > 100);
	for (i = 0; i < WARM_UP + rounds; i++) {
		uint64_t cycles = pool_switch(&pool, nr_vcpus);

		if (i >= WARM_UP)
			add(seen, cycles);
	}
	atomic_store(&pool.stop, true);
	for (n = 0; n < nr_vcpus; n++) {
		pthread_kill(pool.thread[n].thread, SIGUSR1);
		pthread_join(pool.thread[n].thread, NULL);
	}
	for (i = 0; i < 2; i++)
		vm_close(pool.vm[i]);
}
