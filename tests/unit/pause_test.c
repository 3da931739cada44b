// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control-page protocol, host side: who makes which transition, what a
 * guest that does not answer leads to, and that nothing it writes matters more
 * than that.  Threads play the guest's vCPUs.
 */

#include "lib/model/state.h"
#include "lib/model/vcpu.h"
#include "lib/model/vm.h"
#include "lib/run/board.h"
#include "lib/run/hold.h"
#include "lib/run/state.h"
#include "lib/swap/pause.h"
#include "unit.h"

#include "fake_vm.h"

#define VCPUS	3

struct guest {
	struct hypr_vm *vm;
	unsigned int index;
	pthread_t thread;
	int parked;
	bool stop;
};

struct fixture {
	struct hypr_vm *vm;
	struct guest guest[VCPUS];
	unsigned int guests;
};

static uint32_t *state(struct hypr_vm *vm, unsigned int i)
{
	return &vm->control->vcpu[i].state;
}

static bool change(uint32_t *word, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/* As the guest kernel's handler: answer a request, spin until released. */
static void *guest_thread(void *arg)
{
	struct guest *guest = arg;
	uint32_t *word = state(guest->vm, guest->index);

	while (!__atomic_load_n(&guest->stop, __ATOMIC_SEQ_CST)) {
		if (!change(word, HYPR_VCPU_PAUSE_REQUESTED, HYPR_VCPU_PAUSED)) {
			usleep(100);
			continue;
		}
		guest->parked++;
		while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == HYPR_VCPU_PAUSED)
			usleep(100);
	}
	return NULL;
}

static void start_guests(struct fixture *f, unsigned int nr)
{
	for (f->guests = 0; f->guests < nr; f->guests++) {
		struct guest *guest = &f->guest[f->guests];

		guest->vm = f->vm;
		guest->index = f->guests;
		*state(f->vm, f->guests) = HYPR_VCPU_RUNNING;
		pthread_create(&guest->thread, NULL, guest_thread, guest);
	}
}

static int setup(void **ctx)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->vm = fake_vm_create(VCPUS);
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	struct fixture *f = *ctx;
	unsigned int i;

	hypr_vm_unpark(f->vm);
	for (i = 0; i < f->guests; i++) {
		__atomic_store_n(&f->guest[i].stop, true, __ATOMIC_SEQ_CST);
		pthread_join(f->guest[i].thread, NULL);
	}
	fake_vm_destroy(f->vm);
	free(f);
	return 0;
}

static void assert_states(struct hypr_vm *vm, uint32_t a, uint32_t b, uint32_t c)
{
	assert_int_equal(*state(vm, 0), a);
	assert_int_equal(*state(vm, 1), b);
	assert_int_equal(*state(vm, 2), c);
}

static void test_park_cooperative(void **ctx)
{
	struct hypr_pause_result r;
	struct fixture *f = *ctx;
	int i;

	start_guests(f, VCPUS);
	for (i = 1; i <= 10; i++) {
		assert_int_equal(hypr_vm_park(f->vm, 0, &r), 0);
		assert_int_equal(r.pause, HYPR_PAUSE_COOPERATIVE);
		assert_states(f->vm, HYPR_VCPU_PAUSED, HYPR_VCPU_PAUSED, HYPR_VCPU_PAUSED);
		hypr_vm_unpark(f->vm);
		assert_states(f->vm, HYPR_VCPU_RUNNING, HYPR_VCPU_RUNNING,
			      HYPR_VCPU_RUNNING);
		/* The next request must not come before the guest saw this. */
		usleep(2000);
	}
	assert_int_equal(f->guest[0].parked, 10);
}

static void test_park_does_not_wait_for_offline(void **ctx)
{
	struct hypr_pause_result r;
	struct fixture *f = *ctx;

	start_guests(f, 2);
	assert_int_equal(hypr_vm_park(f->vm, 0, &r), 0);
	assert_int_equal(r.pause, HYPR_PAUSE_COOPERATIVE);
	assert_states(f->vm, HYPR_VCPU_PAUSED, HYPR_VCPU_PAUSED, HYPR_VCPU_OFFLINE);
}

static void test_park_withdraws_after_the_deadline(void **ctx)
{
	struct hypr_pause_result r;
	struct fixture *f = *ctx;

	start_guests(f, 2);
	*state(f->vm, 2) = HYPR_VCPU_RUNNING;	/* and nobody there */
	assert_int_equal(hypr_vm_park(f->vm, 0, &r), 0);
	assert_int_equal(r.pause, HYPR_PAUSE_FORCED);
	assert_states(f->vm, HYPR_VCPU_RUNNING, HYPR_VCPU_RUNNING, HYPR_VCPU_RUNNING);
}

static void test_park_fails_when_force_is_ruled_out(void **ctx)
{
	struct hypr_pause_result r;
	struct fixture *f = *ctx;

	*state(f->vm, 0) = HYPR_VCPU_RUNNING;
	assert_int_equal(hypr_vm_park(f->vm, HYPR_SWAP_COOPERATIVE, &r), -EAGAIN);
	assert_non_null(strstr(hypr_error(), "50 ms"));
	assert_int_equal(*state(f->vm, 0), HYPR_VCPU_RUNNING);
}

static void test_park_forced_is_not_asked(void **ctx)
{
	struct hypr_pause_result r;
	struct fixture *f = *ctx;

	start_guests(f, VCPUS);
	assert_int_equal(hypr_vm_park(f->vm, HYPR_SWAP_FORCE, &r), 0);
	assert_int_equal(r.pause, HYPR_PAUSE_FORCED);
	f->vm->flags = HYPR_VM_FORCED;
	assert_int_equal(hypr_vm_park(f->vm, 0, &r), 0);
	assert_int_equal(r.pause, HYPR_PAUSE_FORCED);
	usleep(5000);
	assert_int_equal(f->guest[0].parked, 0);
	assert_states(f->vm, HYPR_VCPU_RUNNING, HYPR_VCPU_RUNNING, HYPR_VCPU_RUNNING);
}

static void test_park_unpatched_guest_is_forced(void **ctx)
{
	struct hypr_pause_result r;
	struct fixture *f = *ctx;

	assert_int_equal(hypr_vm_park(f->vm, 0, &r), 0);
	assert_int_equal(r.pause, HYPR_PAUSE_FORCED);
	assert_states(f->vm, HYPR_VCPU_OFFLINE, HYPR_VCPU_OFFLINE, HYPR_VCPU_OFFLINE);
	assert_int_equal(hypr_vm_park(f->vm, HYPR_SWAP_COOPERATIVE, &r), -EAGAIN);
}

static void test_park_survives_nonsense(void **ctx)
{
	struct hypr_pause_result r;
	struct fixture *f = *ctx;

	*state(f->vm, 0) = HYPR_VCPU_RUNNING;
	*state(f->vm, 1) = 0xdeadbeef;
	assert_int_equal(hypr_vm_park(f->vm, 0, &r), 0);
	assert_int_equal(r.pause, HYPR_PAUSE_FORCED);
	/* Not ours to put right. */
	assert_int_equal(*state(f->vm, 1), 0xdeadbeef);
	memset(f->vm->control, 0xff, HYPR_CONTROL_SIZE);
	assert_int_equal(hypr_vm_park(f->vm, 0, &r), 0);
	assert_int_equal(r.pause, HYPR_PAUSE_FORCED);
}

static void test_park_after_the_end(void **ctx)
{
	struct hypr_pause_result r;
	struct fixture *f = *ctx;

	hypr_vm_end(f->vm, false, "guest reset (port 0x64)");
	assert_int_equal(hypr_vm_park(f->vm, 0, &r), -ESHUTDOWN);
	assert_non_null(strstr(hypr_error(), "port 0x64"));
	assert_int_equal(hypr_vm_pause(f->vm, NULL), -ESHUTDOWN);
	assert_int_equal(hypr_vm_wait(f->vm, -1), 0);
}

static void test_state_releases_what_was_parked(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_state *s = hypr_state_alloc(f->vm);

	s->vcpu[0].control = HYPR_VCPU_RUNNING;
	s->vcpu[1].control = HYPR_VCPU_RUNNING;
	s->vcpu[2].control = HYPR_VCPU_OFFLINE;
	*state(f->vm, 0) = HYPR_VCPU_PAUSED;
	*state(f->vm, 2) = HYPR_VCPU_PAUSED;
	hypr_state_set_control(f->vm, s);
	assert_states(f->vm, HYPR_VCPU_RUNNING, HYPR_VCPU_RUNNING, HYPR_VCPU_OFFLINE);
	hypr_state_free(f->vm, s);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_park_cooperative),
		T(test_park_does_not_wait_for_offline),
		T(test_park_withdraws_after_the_deadline),
		T(test_park_fails_when_force_is_ruled_out),
		T(test_park_forced_is_not_asked),
		T(test_park_unpatched_guest_is_forced),
		T(test_park_survives_nonsense),
		T(test_park_after_the_end),
		T(test_state_releases_what_was_parked),
	};

	return cmocka_run_group_tests_name("pause", tests, NULL, NULL) ? 1 : 0;
}
