// SPDX-License-Identifier: GPL-2.0-only
/*
 * Resets by a view's spare, on a KVM that is played: the VM goes on in the spare, whatever
 * was written; what it left is put back beside it, and nothing else happens to a spare until
 * that is done.
 */
#include "unit.h"

#include <pthread.h>

#include "fake_kvm.h"
#include "hypr/hypr.h"
#include "hypr/run.h"
#include "model/view.h"
#include "model/vm.h"
#include "played_vm.h"
#include "view/view.h"

#define PAGE	4096ull

/* ---- the mender is stopped before it asks what was written -------------------- */

static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_t asks;			/* the thread of the test, which goes on */
	bool is_shut;
	unsigned int waits;
} door = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

static void at_door(uint32_t view)
{
	(void)view;
	pthread_mutex_lock(&door.lock);
	door.waits++;
	pthread_cond_broadcast(&door.cond);
	while (door.is_shut && !pthread_equal(pthread_self(), door.asks))
		pthread_cond_wait(&door.cond, &door.lock);
	door.waits--;
	pthread_mutex_unlock(&door.lock);
}

static void door_set(bool is_shut)
{
	pthread_mutex_lock(&door.lock);
	door.is_shut = is_shut;
	door.asks = pthread_self();
	pthread_cond_broadcast(&door.cond);
	pthread_mutex_unlock(&door.lock);
}

static void door_await(void)
{
	pthread_mutex_lock(&door.lock);
	while (!door.waits)
		pthread_cond_wait(&door.cond, &door.lock);
	pthread_mutex_unlock(&door.lock);
}

/* ---- memory that runs out ---------------------------------------------------------- */

/* Of the thread that has set @fails_at, that calloc() fails. */
static _Thread_local unsigned int allocations, fails_at;

void *__real_calloc(size_t nr, size_t bytes);
void *__wrap_calloc(size_t nr, size_t bytes);

void *__wrap_calloc(size_t nr, size_t bytes)
{
	return fails_at && ++allocations == fails_at ? NULL : __real_calloc(nr, bytes);
}

/* ---- a VM with a view A that has a spare ---------------------------------------- */

static void start(struct played *p, unsigned int flags)
{
	played_end(p);
	played_start(p, flags);
	fake_kvm.tracks = true;
	fake_kvm.on_written = at_door;
	door_set(false);
}

static void view_make(struct played *p, const char *name)
{
	assert_int_equal(hypr_view_snapshot(p->vm, name, NULL), 0);
	assert_int_equal(hypr_view_spare(p->vm, name), 0);
}

static struct hypr_view *view_of(const struct played *p, const char *name)
{
	return hypr_view_find(p->vm, name);
}

/* As the guest of the view does, and KVM notices. */
static void dirty(const struct played *p, const char *name, unsigned int page)
{
	struct hypr_view *view = view_of(p, name);

	*(volatile uint64_t *)((uint8_t *)view->mem.host + page * PAGE) += 1;
	__atomic_fetch_or(&fake_kvm.written_in[view->number], 1ull << page, __ATOMIC_SEQ_CST);
}

static void swap_to(struct played *p, const char *view)
{
	assert_int_equal(hypr_view_swap(p->vm, view, 0, NULL), 0);
	assert_true(fake_kvm_runs());
}

static void reset(struct played *p, const char *view, unsigned int flags, int way, int spare,
		  int state_way)
{
	struct hypr_reset_result r;

	assert_int_equal(hypr_view_reset_by(p->vm, view, flags, &r), 0);
	assert_int_equal(r.way, way);
	assert_int_equal(r.spare, spare);
	assert_int_equal(r.state_way, state_way);
}

static void verify(struct played *p, const char *view)
{
	struct hypr_verify_result v;

	assert_int_equal(hypr_view_verify(p->vm, view, &v), 0);
	assert_int_equal(v.pages_compared, p->vm->mem_bytes / PAGE - 1);
	assert_int_equal(v.pages_mismatched, 0);
	assert_int_equal(v.spare_compared, v.spare == HYPR_SPARE_READY ? v.pages_compared : 0);
	assert_int_equal(v.spare_mismatched, 0);
}

static struct hypr_view_info info_of(struct played *p, const char *name)
{
	struct hypr_view_info info[16];
	int i, n = hypr_view_list(p->vm, info, 16);

	for (i = 0; i < n && strcmp(info[i].name, name); i++)
		;
	assert_true(i < n);
	return info[i];
}

static void ready_await(struct played *p, const char *view)
{
	int i;

	for (i = 0; i < 5000 && info_of(p, view).spare != HYPR_SPARE_READY; i++)
		usleep(1000);
	assert_int_equal(info_of(p, view).spare, HYPR_SPARE_READY);
}

#define ONLY_SPARE	HYPR_RESET_ONLY(HYPR_RESET_SPARE)

/* ---- resets that go by it --------------------------------------------------------- */

/* Other views between; after each reset every page is the moment's, and so is the spare's. */
static void test_resets_go_by_the_spare(void **ctx)
{
	struct played *p = *ctx;
	struct hypr_verify_result v;
	unsigned int i, number;

	start(p, FAKE_KEEPS);
	view_make(p, "A");
	number = info_of(p, "A").view;
	swap_to(p, "A");
	for (i = 0; i < 100; i++) {
		unsigned int before = view_of(p, "A")->number;

		if (i % 3 == 1) {
			swap_to(p, "boot");
			swap_to(p, "A");
		}
		dirty(p, "A", 20 + i % 40);
		fake_kvm.vcpu[1].cr2 = 0xc000;
		assert_int_equal(hypr_view_verify(p->vm, "A", &v), 0);
		assert_int_equal(v.pages_mismatched, 1);
		/* What it waits for is the put back of the one before. */
		reset(p, "A", ONLY_SPARE, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_KERNEL);
		assert_int_equal(fake_kvm.vcpu[1].cr2, 0);
		assert_int_not_equal(view_of(p, "A")->number, before);
		assert_int_equal(fake_kvm.active, view_of(p, "A")->number);
		verify(p, "A");
		assert_true(fake_kvm_runs());
		assert_int_equal(info_of(p, "A").view, number);
		assert_int_equal(info_of(p, "A").active, 1);
		assert_int_equal(info_of(p, "A").resets, i + 1);
	}
	assert_int_equal(fake_kvm.put_backs, 0);
}

/* A page of it that is not the moment's is found, whatever the view itself has. */
static void test_the_spare_is_verified(void **ctx)
{
	struct played *p = *ctx;
	struct hypr_verify_result v;

	start(p, FAKE_KEEPS);
	view_make(p, "A");
	verify(p, "A");
	assert_int_equal(hypr_view_verify(p->vm, "A", &v), 0);
	assert_int_equal(v.spare, HYPR_SPARE_READY);
	*((uint8_t *)view_of(p, "A")->spare->view->mem.host + 7 * PAGE) += 1;
	assert_int_equal(hypr_view_verify(p->vm, "A", &v), 0);
	assert_int_equal(v.pages_mismatched, 0);
	assert_int_equal(v.nr_ranges, 0);
	assert_int_equal(v.spare_compared, v.pages_compared);
	assert_int_equal(v.spare_mismatched, 1);
}

/* Asked for nothing, a reset goes by the spare if it is ready. */
static void test_the_spare_is_the_first_choice(void **ctx)
{
	struct played *p = *ctx;
	struct hypr_swap_result r;

	start(p, FAKE_KEEPS);
	view_make(p, "A");
	assert_int_equal(info_of(p, "A").spare, HYPR_SPARE_READY);
	assert_int_equal(info_of(p, "boot").spare, HYPR_SPARE_NONE);
	swap_to(p, "A");
	dirty(p, "A", 20);
	assert_int_equal(hypr_view_swap(p->vm, "A", HYPR_SWAP_RESET, &r), 0);
	assert_int_equal(r.reset_way, HYPR_RESET_SPARE);
	assert_int_equal(r.reset_spare, HYPR_SPARE_READY);
	assert_int_equal(r.pause, HYPR_PAUSE_FORCED);
	assert_int_equal(r.pages_restored, 0);
	assert_int_equal(r.old_view, r.new_view);
	assert_string_equal(r.new_name, "A");
	ready_await(p, "A");
	/* And if it is not forbidden. */
	dirty(p, "A", 21);
	reset(p, "A", HYPR_RESET_ONLY(HYPR_RESET_COPY_BACK), HYPR_RESET_COPY_BACK,
	      HYPR_SPARE_READY, HYPR_STATE_KERNEL);
	verify(p, "A");
	/* A guest that insists on being asked is. */
	dirty(p, "A", 22);
	assert_int_equal(hypr_view_swap(p->vm, "A", HYPR_SWAP_RESET | HYPR_SWAP_COOPERATIVE, &r),
			 0);
	assert_int_equal(r.reset_way, HYPR_RESET_SPARE);
	assert_int_equal(r.pause, HYPR_PAUSE_COOPERATIVE);
	verify(p, "A");
}

static void test_what_the_host_wrote_is_put_back_too(void **ctx)
{
	struct played *p = *ctx;
	unsigned int i;

	start(p, FAKE_KEEPS);
	view_make(p, "A");
	swap_to(p, "A");
	for (i = 0; i < 4; i++) {
		assert_int_equal(hypr_view_write(p->vm, "A", 0x300000 + i * PAGE, "x", 1), 0);
		reset(p, "A", ONLY_SPARE, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_KERNEL);
		verify(p, "A");
	}
}

static void test_a_view_that_is_not_active(void **ctx)
{
	struct played *p = *ctx;
	unsigned int i;

	start(p, FAKE_KEEPS);
	view_make(p, "A");
	swap_to(p, "A");
	for (i = 0; i < 4; i++) {
		fake_kvm.vcpu[1].cr2 = 0xa000;
		dirty(p, "A", 20 + i);
		swap_to(p, "boot");
		reset(p, "A", i & 1 ? ONLY_SPARE : 0, HYPR_RESET_SPARE, HYPR_SPARE_READY,
		      HYPR_STATE_IOCTLS);
		verify(p, "A");
		swap_to(p, "A");
		assert_int_equal(fake_kvm.vcpu[1].cr2, 0);
		ready_await(p, "A");
	}
}

/* It has the moment's state from the view, which did not leave the moment by ioctls. */
static void test_a_spare_of_the_active_view(void **ctx)
{
	struct played *p = *ctx;
	unsigned int i;

	start(p, FAKE_KEEPS);
	assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), 0);
	swap_to(p, "A");
	assert_int_equal(hypr_view_spare(p->vm, "A"), 0);
	for (i = 0; i < 3; i++) {
		dirty(p, "A", 20 + i);
		fake_kvm.vcpu[1].cr2 = 0xc000;
		reset(p, "A", ONLY_SPARE, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_KERNEL);
		assert_int_equal(fake_kvm.vcpu[1].cr2, 0);
		verify(p, "A");
		assert_true(fake_kvm_runs());
	}
}

/* The threads are held and stay so: by ioctls. */
static void test_a_paused_vm(void **ctx)
{
	struct played *p = *ctx;
	struct hypr_vm_info info;
	unsigned int i;

	start(p, FAKE_KEEPS);
	view_make(p, "A");
	swap_to(p, "A");
	assert_int_equal(hypr_vm_pause(p->vm, NULL), 0);
	for (i = 0; i < 4; i++) {
		dirty(p, "A", 20 + i);
		fake_kvm.vcpu[1].cr2 = 0xc000;
		reset(p, "A", ONLY_SPARE, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_IOCTLS);
		assert_int_equal(fake_kvm.vcpu[1].cr2, 0);
		verify(p, "A");
	}
	hypr_vm_info(p->vm, &info);
	assert_int_equal(info.state, HYPR_VM_PAUSED);
	assert_string_equal(info.active_view, "A");
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	assert_true(fake_kvm_runs());
}

/* A guest that knows no control page, and a kernel that keeps no state. */
static void test_by_ioctls(void **ctx)
{
	struct played *p = *ctx;
	unsigned int i;

	start(p, FAKE_UNPATCHED);
	view_make(p, "A");
	swap_to(p, "A");
	for (i = 0; i < 4; i++) {
		dirty(p, "A", 20 + i);
		reset(p, "A", ONLY_SPARE, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_IOCTLS);
		verify(p, "A");
		assert_true(fake_kvm_runs());
	}
}

/* A VM more for the spare, and which of them runs changes. */
static void test_engine_stock(void **ctx)
{
	struct played *p = *ctx;
	int fd = 0;
	unsigned int i;

	start(p, FAKE_NO_HYPR);
	view_make(p, "A");
	assert_int_equal(fake_kvm.vms, 7);
	assert_int_equal(hypr_view_swap(p->vm, "A", 0, NULL), 0);
	for (i = 0; i < 4; i++) {
		*(volatile uint64_t *)((uint8_t *)view_of(p, "A")->mem.host + 20 * PAGE) += 1;
		assert_int_equal(hypr_view_reset_by(p->vm, "A", ONLY_SPARE, NULL), 0);
		assert_int_not_equal(hypr_vm_fd(p->vm), fd);
		fd = hypr_vm_fd(p->vm);
		verify(p, "A");
	}
	assert_int_equal(hypr_view_swap(p->vm, "boot", 0, NULL), 0);
	assert_int_equal(hypr_view_remove(p->vm, "A"), 0);
	assert_int_equal(fake_kvm.vms, 1);
}

/* Each view's own. */
static void test_two_views_have_spares(void **ctx)
{
	static const char *const names[] = { "A", "B" };
	struct played *p = *ctx;
	unsigned int i;

	start(p, FAKE_KEEPS);
	view_make(p, "A");
	view_make(p, "B");
	for (i = 0; i < 12; i++) {
		const char *name = names[i % 2];

		swap_to(p, name);
		dirty(p, name, 20 + i);
		reset(p, name, ONLY_SPARE, HYPR_RESET_SPARE, HYPR_SPARE_READY,
		      HYPR_STATE_KERNEL);
		verify(p, name);
		dirty(p, name, 1);
	}
	reset(p, "A", ONLY_SPARE, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_IOCTLS);
	reset(p, "B", ONLY_SPARE, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_KERNEL);
	verify(p, "A");
	verify(p, "B");
}

/* A moment from a file, of another boot than the guest that runs; and as the boot view. */
static void test_a_view_of_a_file(void **ctx)
{
	struct played *p = *ctx;
	unsigned int i;

	start(p, FAKE_KEEPS);
	played_save(p, p->file);
	start(p, FAKE_KEEPS);
	assert_int_equal(hypr_view_load(p->vm, "F", p->file, 0, NULL), 0);
	assert_int_equal(hypr_view_spare(p->vm, "F"), 0);
	swap_to(p, "F");
	for (i = 0; i < 4; i++) {
		dirty(p, "F", 20 + i);
		assert_int_equal(hypr_view_reset_by(p->vm, "F", ONLY_SPARE, NULL), 0);
		verify(p, "F");
		assert_true(fake_kvm_runs());
	}
	assert_int_equal(played_resurrect(p, p->file, FAKE_KEEPS), 0);
	fake_kvm.tracks = true;
	assert_int_equal(hypr_view_spare(p->vm, "boot"), 0);
	for (i = 0; i < 5; i++) {
		dirty(p, "boot", 20 + i);
		assert_int_equal(hypr_view_reset_by(p->vm, NULL, ONLY_SPARE, NULL), 0);
		verify(p, "boot");
		assert_true(fake_kvm_runs());
	}
}

/* ---- a spare that is not ready ------------------------------------------------------ */

struct call {
	struct played *p;
	pthread_t thread;
	int ret;
	struct hypr_reset_result r;
};

static void *reset_thread(void *arg)
{
	struct call *call = arg;

	call->ret = hypr_view_reset_by(call->p->vm, "A", ONLY_SPARE, &call->r);
	return NULL;
}

static void test_a_spare_that_is_not_ready(void **ctx)
{
	struct played *p = *ctx;
	struct call call = { .p = p };

	start(p, FAKE_KEEPS);
	view_make(p, "A");
	swap_to(p, "A");
	door_set(true);
	dirty(p, "A", 20);
	reset(p, "A", 0, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_KERNEL);
	door_await();
	assert_int_equal(info_of(p, "A").spare, HYPR_SPARE_DIRTY);
	/* The next one does not wait, and says why it went another way. */
	dirty(p, "A", 21);
	reset(p, "A", 0, HYPR_RESET_COPY_BACK, HYPR_SPARE_DIRTY, HYPR_STATE_KERNEL);
	verify(p, "A");
	assert_int_equal(fake_kvm.put_backs, 1);
	/* Nothing else waits for it. */
	swap_to(p, "boot");
	swap_to(p, "A");
	assert_int_equal(hypr_view_snapshot(p->vm, "S", NULL), 0);
	/* One that may go by the spare alone does. */
	dirty(p, "A", 22);
	assert_int_equal(pthread_create(&call.thread, NULL, reset_thread, &call), 0);
	usleep(20000);
	door_set(false);
	assert_int_equal(pthread_join(call.thread, NULL), 0);
	assert_int_equal(call.ret, 0);
	assert_int_equal(call.r.way, HYPR_RESET_SPARE);
	verify(p, "A");
	ready_await(p, "A");
	reset(p, "A", 0, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_KERNEL);
	verify(p, "A");
}

static void *open_soon(void *arg)
{
	usleep(20000);
	door_set(false);
	return arg;
}

/* Neither a view nor its VM goes while its spare is being put back. */
static void test_a_view_goes_after_the_put_back(void **ctx)
{
	struct played *p = *ctx;
	pthread_t thread;
	unsigned int slots;

	start(p, FAKE_KEEPS);
	slots = fake_kvm.slots;
	view_make(p, "A");
	view_make(p, "B");
	assert_int_equal(fake_kvm.slots, 5 * slots);
	swap_to(p, "A");
	door_set(true);
	reset(p, "A", 0, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_KERNEL);
	swap_to(p, "boot");
	door_await();
	/* B's waits behind it: gone before its turn comes. */
	reset(p, "B", 0, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_IOCTLS);
	assert_int_equal(hypr_view_remove(p->vm, "B"), 0);
	assert_int_equal(fake_kvm.slots, 3 * slots);
	assert_int_equal(pthread_create(&thread, NULL, open_soon, NULL), 0);
	assert_int_equal(hypr_view_remove(p->vm, "A"), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(fake_kvm.slots, slots);
	assert_int_equal(fake_kvm.prepared, 0);

	view_make(p, "A");
	view_make(p, "B");
	swap_to(p, "A");
	door_set(true);
	reset(p, "A", 0, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_KERNEL);
	door_await();
	reset(p, "B", 0, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_IOCTLS);
	assert_int_equal(pthread_create(&thread, NULL, open_soon, NULL), 0);
	played_end(p);
	assert_int_equal(pthread_join(thread, NULL), 0);
	played_start(p, 0);
}

/* ---- what fails ------------------------------------------------------------------------ */

/* The VM cannot go on in the spare: it goes another way, or stays where it is. */
static void test_a_swap_to_the_spare_fails(void **ctx)
{
	struct played *p = *ctx;
	struct hypr_verify_result v;
	struct hypr_swap_result r;

	start(p, FAKE_KEEPS);
	view_make(p, "A");
	swap_to(p, "A");
	dirty(p, "A", 20);
	fake_kvm.swap_errno = ENOMEM;
	assert_int_equal(hypr_view_swap(p->vm, "A", HYPR_SWAP_RESET, &r), 0);
	assert_int_equal(r.reset_spare, HYPR_SPARE_FAILED);
	assert_int_equal(r.reset_way, HYPR_RESET_COPY_BACK);
	assert_string_equal(r.old_name, "A");
	assert_string_equal(r.new_name, "A");
	assert_int_equal(r.new_view, info_of(p, "A").view);
	dirty(p, "A", 20);
	fake_kvm.swap_errno = ENOMEM;
	assert_int_equal(hypr_view_reset_by(p->vm, "A", ONLY_SPARE, NULL), -ENOMEM);
	assert_int_equal(hypr_view_verify(p->vm, "A", &v), 0);
	assert_int_equal(v.pages_mismatched, 1);
	assert_true(fake_kvm_runs());
	fake_kvm.swap_errno = ENOMEM;
	reset(p, "A", 0, HYPR_RESET_COPY_BACK, HYPR_SPARE_FAILED, HYPR_STATE_KERNEL);
	verify(p, "A");
	assert_true(fake_kvm_runs());
	dirty(p, "A", 21);
	reset(p, "A", 0, HYPR_RESET_SPARE, HYPR_SPARE_READY, HYPR_STATE_KERNEL);
	verify(p, "A");
}

/* What it left cannot be put back: said at the next reset, and tried again. */
static void test_a_put_back_fails(void **ctx)
{
	struct played *p = *ctx;
	struct hypr_reset_result r;

	start(p, FAKE_KEEPS);
	played_save(p, p->file);
	assert_int_equal(hypr_view_load(p->vm, "F", p->file, 0, NULL), 0);
	assert_int_equal(hypr_view_spare(p->vm, "F"), 0);
	swap_to(p, "F");
	door_set(true);
	dirty(p, "F", 20);
	assert_int_equal(hypr_view_reset_by(p->vm, "F", ONLY_SPARE, NULL), 0);
	door_await();
	swap_to(p, "boot");
	assert_int_equal(truncate(p->file, 0), 0);
	door_set(false);
	assert_int_equal(hypr_view_reset_by(p->vm, "F", ONLY_SPARE, &r), -EOPNOTSUPP);
	assert_non_null(strstr(hypr_error(), "could not be put back"));
	assert_non_null(strstr(hypr_error(), "truncated"));
	assert_int_equal(info_of(p, "F").spare, HYPR_SPARE_FAILED);
	/* By another way it fails as well, with the reason. */
	assert_int_equal(hypr_view_reset(p->vm, "F", NULL), -EBADMSG);
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_view_remove(p->vm, "F"), 0);
}

static void test_errors(void **ctx)
{
	struct played *p = *ctx;
	char name[HYPR_NAME_MAX];
	unsigned int i;

	start(p, FAKE_KEEPS);
	assert_int_equal(hypr_view_spare(p->vm, "boot"), -EINVAL);
	assert_int_equal(hypr_view_spare(p->vm, "none"), -ENOENT);
	assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_reset_by(p->vm, "A", ONLY_SPARE, NULL), -EOPNOTSUPP);
	assert_non_null(strstr(hypr_error(), "made without one"));
	assert_int_equal(hypr_view_reset_by(p->vm, "boot", ONLY_SPARE, NULL), -EINVAL);
	assert_int_equal(hypr_view_reset_by(p->vm, "A", ONLY_SPARE |
					    HYPR_RESET_ONLY(HYPR_RESET_DROP), NULL), -EINVAL);
	assert_int_equal(hypr_view_spare(p->vm, "A"), 0);
	assert_int_equal(hypr_view_spare(p->vm, "A"), -EEXIST);
	/* 15 in all: boot, A and its spare are 3. */
	for (i = 0; i < 11; i++) {
		snprintf(name, sizeof(name), "v%u", i);
		assert_int_equal(hypr_view_snapshot(p->vm, name, NULL), 0);
	}
	assert_int_equal(hypr_view_spare(p->vm, "v0"), 0);
	assert_int_equal(hypr_view_spare(p->vm, "v1"), -ENOSPC);
	assert_int_equal(hypr_view_snapshot(p->vm, "v11", NULL), -ENOSPC);
	assert_non_null(strstr(hypr_error(), "2 of them as spares"));
	assert_int_equal(hypr_view_remove(p->vm, "v0"), 0);
	assert_int_equal(hypr_view_snapshot(p->vm, "v11", NULL), 0);
	assert_int_equal(hypr_view_snapshot(p->vm, "v12", NULL), 0);
	assert_int_equal(hypr_vm_stop(p->vm), 0);
	assert_int_equal(hypr_view_spare(p->vm, "v1"), -ESHUTDOWN);
}

/* Whichever ioctl it is that fails, nothing of the spare stays, and the VM runs. */
static void test_a_spare_that_cannot_be_made(void **ctx)
{
	struct played *p = *ctx;
	unsigned int i, slots, prepared;

	start(p, FAKE_KEEPS);
	played_save(p, p->file);
	assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), 0);
	slots = fake_kvm.slots;
	prepared = fake_kvm.prepared;
	for (i = 0; i < 2; i++) {
		/* The first slot, the second one. */
		fake_kvm.fail_at = fake_kvm.ioctls + 1 + i;
		assert_int_not_equal(hypr_view_spare(p->vm, "A"), 0);
		fake_kvm.fail_at = 0;
		assert_int_equal(fake_kvm.slots, slots);
		assert_int_equal(fake_kvm.prepared, prepared);
		assert_int_equal(info_of(p, "A").spare, HYPR_SPARE_NONE);
	}
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_view_load(p->vm, "F", p->file, 0, NULL), 0);
	assert_int_equal(truncate(p->file, 0), 0);
	assert_int_equal(hypr_view_spare(p->vm, "F"), -EBADMSG);
	assert_int_equal(info_of(p, "F").spare, HYPR_SPARE_NONE);
	assert_int_equal(hypr_view_spare(p->vm, "A"), 0);
}

/* Each allocation in turn: there is no spare, and nothing of it, or there is all of it. */
static void test_no_memory_for_a_spare(void **ctx)
{
	struct played *p = *ctx;
	unsigned int at = 0, failed = 0, slots, prepared, met;
	int ret;

	start(p, FAKE_KEEPS);
	do {
		assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), 0);
		slots = fake_kvm.slots;
		prepared = fake_kvm.prepared;
		allocations = 0;
		fails_at = ++at;
		ret = hypr_view_spare(p->vm, "A");
		fails_at = 0;
		met = allocations;
		if (ret) {
			failed++;
			assert_int_equal(ret, -ENOMEM);
			assert_non_null(strstr(hypr_error(), "no memory for"));
			assert_int_equal(info_of(p, "A").spare, HYPR_SPARE_NONE);
			assert_int_equal(fake_kvm.slots, slots);
			assert_int_equal(fake_kvm.prepared, prepared);
		}
		swap_to(p, "A");
		dirty(p, "A", 20);
		assert_int_equal(hypr_view_reset(p->vm, "A", NULL), 0);
		verify(p, "A");
		swap_to(p, "boot");
		assert_int_equal(hypr_view_remove(p->vm, "A"), 0);
	} while (met >= at);
	assert_int_equal(ret, 0);
	assert_true(failed >= 3);
}

int main(void)
{
#define TEST(f)	cmocka_unit_test_setup_teardown(f, played_setup, played_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_resets_go_by_the_spare),
		TEST(test_the_spare_is_verified),
		TEST(test_the_spare_is_the_first_choice),
		TEST(test_what_the_host_wrote_is_put_back_too),
		TEST(test_a_view_that_is_not_active),
		TEST(test_a_spare_of_the_active_view),
		TEST(test_a_paused_vm),
		TEST(test_by_ioctls),
		TEST(test_engine_stock),
		TEST(test_two_views_have_spares),
		TEST(test_a_view_of_a_file),
		TEST(test_a_spare_that_is_not_ready),
		TEST(test_a_view_goes_after_the_put_back),
		TEST(test_a_swap_to_the_spare_fails),
		TEST(test_a_put_back_fails),
		TEST(test_errors),
		TEST(test_a_spare_that_cannot_be_made),
		TEST(test_no_memory_for_a_spare),
	};

	return cmocka_run_group_tests_name("spare", tests, NULL, NULL);
}
