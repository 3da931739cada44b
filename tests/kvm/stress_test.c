// SPDX-License-Identifier: GPL-2.0-only
/*
 * Swaps, preparing and discarding under adverse conditions: a vCPU that gets no
 * CPU, an asker that is killed, signals, and several threads that work on the
 * views of one VM at the same time.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)
#define C	(KVM_HYPR_VIEW_FIRST + 2)

static const unsigned int views[] = { A, B, 0 };

static struct vm *running_vm(int nr_vcpus)
{
	struct vm *vm;

	need_cpus(nr_vcpus);
	vm = vm_new();
	vm_views_add(vm, 3);
	vcpus_start(vm, nr_vcpus);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	return vm;
}

struct worker {
	struct vm *vm;
	int cpu;
	pthread_t thread;
	atomic_bool running;
	atomic_bool stop;
	unsigned long rounds;
};

static void worker_start(struct worker *worker, void *(*fn)(void *))
{
	CHECK(!pthread_create(&worker->thread, NULL, fn, worker));
	WAIT_UNTIL(atomic_load(&worker->running));
}

static void worker_stop(struct worker *worker)
{
	atomic_store(&worker->stop, true);
	pthread_join(worker->thread, NULL);
}

/* Takes a CPU for itself: a vCPU's thread on it stands still. */
static void *hog_thread(void *arg)
{
	const struct sched_param param = { .sched_priority = 10 };
	struct worker *hog = arg;

	pin_to_cpu(hog->cpu);
	if (sched_setscheduler(0, SCHED_FIFO, &param))
		skip("cannot get a real-time priority: %m");
	atomic_store(&hog->running, true);
	while (!atomic_load(&hog->stop))
		hog->rounds++;
	return NULL;
}

static void test_starved_vcpu(void)
{
	struct kvm_hypr_swap swap = {
		.view = A, .flags = KVM_EPT_SWAP_FORCE, .timeout_ns = 2000000,
	};
	struct vm *vm = running_vm(2);
	struct worker hog = { .vm = vm, .cpu = 1 };

	worker_start(&hog, hog_thread);
	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap), -EAGAIN);
	CHECK_EQ(swap.old_view, 0);
	CHECK_EQ(vcpu_view(&vm->vcpu[1]), 0);
	worker_stop(&hog);
	check_all_in_view(vm, 0);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	check_all_in_view(vm, A);
	CHECK_EQ(vm->vcpu[0].guest->log_count, 2);
	CHECK_EQ(vm->vcpu[1].guest->log_count, 2);
}

/* In a process of its own: asks for a pause that never comes. */
static void ask_in_vain(int told)
{
	struct kvm_hypr_swap swap = {
		.view = A, .flags = KVM_EPT_SWAP_PAUSE,
		.timeout_ns = KVM_EPT_SWAP_TIMEOUT_MAX_NS,
	};
	struct vm *vm = vm_new();

	vm_views_add(vm, 1);
	vm_control_page_register(vm);
	vcpus_start(vm, 1);
	vcpu_do(&vm->vcpu[0], GUEST_ONLINE, 0, 0, 0);
	vm->vcpu[0].guest->ignore_pause = 1;
	OK(try_prepare(vm, A));
	CHECK(write(told, "", 1) == 1);
	try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &swap);
	_exit(1);
}

/* The fatal signal ends the wait, not the deadline of ten seconds. */
static void test_killed_asker(void)
{
	int told[2], status;
	uint64_t start;
	char byte;
	pid_t pid;

	need_kvm("control page");
	need_cpus(1);
	vm_close(vm_new());
	CHECK(!pipe(told));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		ask_in_vain(told[1]);
	close(told[1]);
	CHECK(read(told[0], &byte, 1) == 1);
	start = now_ns();
	/* It is in the ioctl or close to it: killed in both cases. */
	while (now_ns() - start < 5000000)
		wait_relax();
	start = now_ns();
	CHECK(!kill(pid, SIGKILL));
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	CHECK(now_ns() - start < 2000000000ull);
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void set_timer_us(unsigned int us)
{
	struct itimerval timer = { .it_value.tv_usec = us };

	CHECK(!setitimer(ITIMER_REAL, &timer, NULL));
}

/* What was built stays: asked again, it comes to its end. */
static void test_prepare_interrupted(void)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const uint64_t gpa = 0x2000000, bytes = 0x2000000;
	struct kvm_hypr_prepare prepare = { .view = A };
	struct vm *vm = vm_new();
	unsigned int interrupted = 0;
	int ret;

	vm_views_add(vm, 1);
	vm_vcpu_add(vm);
	OK(try_set_slot(vm, A, SLOT_FREE, 0, gpa, bytes, memory_new(bytes)));
	CHECK(!sigaction(SIGALRM, &action, NULL));
	do {
		set_timer_us(3000);
		ret = try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &prepare);
		interrupted += ret == -EINTR;
		if (ret == -EINTR && interrupted < 3)
			CHECK_RET(try_commit(vm, A, 0), -ENODATA);
		/* A build that never gets ahead would be stuck here. */
	} while (ret == -EINTR && interrupted < 3);
	set_timer_us(0);
	CHECK(interrupted > 0);
	OK(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &prepare));
	CHECK_EQ(prepare.pages_mapped, (RAM_BYTES + HYPR_CONTROL_SIZE +
					GUEST_SHARED_BYTES + bytes) / 4096);
	vm_commit(vm, A, 0);
}

static void *prepare_thread(void *arg)
{
	struct worker *worker = arg;

	pin_to_cpu(worker->cpu);
	atomic_store(&worker->running, true);
	while (!atomic_load(&worker->stop)) {
		OK(try_prepare(worker->vm, C));
		OK(try_discard(worker->vm, C));
		worker->rounds++;
	}
	return NULL;
}

static void swap_until(struct vm *vm, struct worker *worker,
		       unsigned long rounds)
{
	unsigned int i = 0;

	while (*(volatile unsigned long *)&worker->rounds < rounds) {
		unsigned int view = views[i++ % 3];

		vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
		check_all_in_view(vm, view);
	}
	CHECK(i > 0);
}

/* The worker has the CPU behind those of the two vCPUs. */
static void test_prepare_and_discard_meanwhile(void)
{
	struct vm *vm = running_vm(2);
	struct worker worker = { .vm = vm, .cpu = 3 };

	need_cpus(3);
	worker_start(&worker, prepare_thread);
	swap_until(vm, &worker, 30);
	worker_stop(&worker);
}

static void *slot_thread(void *arg)
{
	struct worker *worker = arg;
	const uint64_t gpa = 0x2000000, bytes = 0x10000;
	void *memory = memory_new(bytes);

	pin_to_cpu(worker->cpu);
	atomic_store(&worker->running, true);
	while (!atomic_load(&worker->stop)) {
		unsigned int view = views[worker->rounds % 3];

		OK(try_set_slot(worker->vm, view, SLOT_FREE, 0, gpa, bytes,
				memory));
		OK(try_set_slot(worker->vm, view, SLOT_FREE, 0, gpa, 0, NULL));
		worker->rounds++;
	}
	return NULL;
}

static void test_slots_change_meanwhile(void)
{
	struct vm *vm = running_vm(2);
	struct worker worker = { .vm = vm, .cpu = 3 };

	need_cpus(3);
	worker_start(&worker, slot_thread);
	swap_until(vm, &worker, 100);
	worker_stop(&worker);
}

static void *prepare_and_try_discard_thread(void *arg)
{
	struct worker *worker = arg;

	pin_to_cpu(worker->cpu);
	atomic_store(&worker->running, true);
	while (!atomic_load(&worker->stop)) {
		int ret;

		OK(try_prepare(worker->vm, C));
		ret = try_discard(worker->vm, C);
		if (ret && ret != -EBUSY)
			FAIL("discard gives %d", ret);
		worker->rounds++;
	}
	return NULL;
}

/* A swap to a view that comes and goes finds it prepared, or refuses. */
static void test_swap_races_with_discard(void)
{
	struct vm *vm = running_vm(2);
	struct worker worker = { .vm = vm, .cpu = 3 };
	unsigned int done = 0, refused = 0;
	uint64_t end = now_ns() + WAIT_NS;

	need_cpus(3);
	worker_start(&worker, prepare_and_try_discard_thread);
	while ((done < 20 || refused < 20) && now_ns() < end) {
		int ret = try_commit(vm, C, KVM_EPT_SWAP_FORCE);

		if (ret && ret != -ENODATA)
			FAIL("commit gives %d", ret);
		check_all_in_view(vm, ret ? 0 : C);
		done += !ret;
		refused += !!ret;
		vm_commit(vm, 0, KVM_EPT_SWAP_FORCE);
	}
	worker_stop(&worker);
	note("%u swaps done, %u refused", done, refused);
	CHECK(done && refused);
}

/* Destroyed in the middle of everything: the rig's kernel would complain. */
static void test_killed_in_the_middle(void)
{
	unsigned int i;

	need_cpus(3);
	vm_close(vm_new());
	for (i = 0; i < 10; i++) {
		uint64_t start = now_ns(), after = tap_random() % 20000000;
		int status;
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (!pid) {
			struct vm *vm = running_vm(2);
			struct worker worker = { .vm = vm, .cpu = 3 };

	worker_start(&worker, prepare_thread);
			swap_until(vm, &worker, ~0ul);
		}
		while (now_ns() - start < 30000000 + after)
			wait_relax();
		CHECK(!kill(pid, SIGKILL));
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(WIFSIGNALED(status));
	}
}

static const struct test tests[] = {
	{ "EAGAIN: a vCPU that gets no CPU, all stay", test_starved_vcpu },
	{ "a killed asker does not wait for its deadline", test_killed_asker },
	{ "EINTR: preparing is interrupted, and goes on where it was",
	  test_prepare_interrupted },
	{ "another view is prepared and discarded meanwhile",
	  test_prepare_and_discard_meanwhile },
	{ "memory slots come and go meanwhile", test_slots_change_meanwhile },
	{ "a swap finds a view prepared or refuses it",
	  test_swap_races_with_discard },
	{ "a process killed between swaps and preparations",
	  test_killed_in_the_middle },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
