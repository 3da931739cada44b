// SPDX-License-Identifier: GPL-2.0-only
/*
 * The long run: HYPR_SWAPS swaps (10,000 unless told otherwise) among 14 views
 * and the boot view with 3 running vCPUs, while other threads take pages away,
 * move them, write-protect them, add and remove slots, toggle dirty logging,
 * discard and prepare views, create vCPUs and send signals.  After each swap
 * every vCPU must say that it is in the new view, and must find there what was
 * last written to the part that it is asked to read.
 *
 * A view's own memory from GUEST_FREE_GPA on is cut into chunks.  For each the
 * test knows the seed of the words in it; nobody else writes them.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_RUNNING	3
#define NR_CREATED	12	/* more vCPUs, that do not run */
#define NR_VIEWS	15
#define CHUNK_BYTES	0x8000ull
#define FIRST_CHUNK	(GUEST_FREE_GPA / CHUNK_BYTES)
#define NR_CHUNKS	(GUEST_ID2_GPA / CHUNK_BYTES - FIRST_CHUNK)
#define EXTRA_GPA	0x2000000ull
#define EXTRA_BYTES	0x10000ull

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

enum tally {
	SWAPS, COOPERATIVE, PREPARED_AGAIN, REBUILT, FILLED, TAKEN, PROTECTED,
	COLLAPSED, COMPACTED, FORKED, SLOTS, LOGGED, DISCARDED, CREATED, KICKED,
	NR_TALLIES
};

static const char * const tally_names[NR_TALLIES] = {
	"swaps", "of them cooperative", "found unprepared", "views rebuilt",
	"chunks written by a vCPU", "chunks taken away", "mprotect",
	"collapsed to a huge page", "compactions", "forks", "slots changed",
	"dirty logs toggled", "views discarded", "vCPUs created", "signals",
};

struct soak {
	struct vm *vm;
	unsigned int view;		/* the active one, for those who steer clear of it */
	uint64_t seed[KVM_HYPR_MAX_VIEWS][NR_CHUNKS];
	uint32_t ram_flags[KVM_HYPR_MAX_VIEWS];
	/* Memory of a view: who replaces, protects or writes it. */
	pthread_mutex_t lock[KVM_HYPR_MAX_VIEWS];
	atomic_ulong tally[NR_TALLIES];
	atomic_bool stop;
	void *extra;
};

/**
 * struct disturber - a thread that does one kind of harm
 * @round: does it once
 * @every: after so many swaps, if the last time is over
 * @due: that many swaps are done
 */
struct disturber {
	struct soak *soak;
	void (*round)(struct soak *soak, uint64_t random);
	unsigned int every;
	uint64_t random;
	sem_t due;
	pthread_t thread;
};

/* tap_random() is the asker's; each thread has a sequence of its own. */
static uint64_t next_random(uint64_t *state)
{
	*state += 0x9E3779B97F4A7C15ull;
	return guest_pattern(*state, *state >> 17) * 0xBF58476D1CE4E5B9ull >> 7;
}

static unsigned int view_nr(uint64_t random)
{
	random %= NR_VIEWS;
	return random ? random + 1 : KVM_HYPR_VIEW_BOOT;
}

static void count(struct soak *soak, enum tally what)
{
	atomic_fetch_add(&soak->tally[what], 1);
}

static uint64_t chunk_gpa(unsigned int chunk)
{
	return (FIRST_CHUNK + chunk) * CHUNK_BYTES;
}

/* What the guest's GUEST_FILL does, by the host. */
static void chunk_write(struct soak *soak, unsigned int view, unsigned int chunk)
{
	uint64_t gpa = chunk_gpa(chunk), end = gpa + CHUNK_BYTES;

	for (; gpa < end; gpa += 4096)
		*ram_word(soak->vm, view, guest_pattern_at(gpa)) =
			guest_pattern(gpa, soak->seed[view][chunk]);
}

static void view_fill(struct soak *soak, unsigned int view)
{
	unsigned int chunk;

	for (chunk = 0; chunk < NR_CHUNKS; chunk++) {
		soak->seed[view][chunk] = tap_random();
		chunk_write(soak, view, chunk);
	}
}

/* ---- what others do meanwhile ------------------------------------------- */

static int set_ram_slot(struct soak *soak, unsigned int view, uint64_t bytes)
{
	return try_set_slot(soak->vm, view, SLOT_RAM, soak->ram_flags[view], 0,
			    bytes, soak->vm->ram[view]);
}

/* Bytes stay as they are; pages and the host's page tables do not. */
static void memory_round(struct soak *soak, uint64_t random)
{
	unsigned int view = view_nr(random >> 8);
	uint8_t *ram;

	pthread_mutex_lock(&soak->lock[view]);
	ram = soak->vm->ram[view];
	switch (random % 8) {
	case 0:
		if (!madvise(ram, RAM_BYTES, MADV_COLLAPSE))
			count(soak, COLLAPSED);
		break;
	case 1:
		/* Splits a huge page. */
		madvise(ram + (random >> 16) % 512 * 4096, 4096, MADV_COLD);
		break;
	default:
		ram += chunk_gpa((random >> 16) % NR_CHUNKS);
		CHECK(!mprotect(ram, CHUNK_BYTES, PROT_READ));
		CHECK(!mprotect(ram, CHUNK_BYTES, PROT_READ | PROT_WRITE));
		count(soak, PROTECTED);
	}
	pthread_mutex_unlock(&soak->lock[view]);
}

/* All memory becomes copy-on-write, or is moved together. */
static void migrate_round(struct soak *soak, uint64_t random)
{
	int fd;
	pid_t pid;

	if (random % 2) {
		fd = open("/proc/sys/vm/compact_memory", O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			return;
		if (write(fd, "1", 1) == 1)
			count(soak, COMPACTED);
		close(fd);
		return;
	}
	pid = fork();
	if (!pid)
		_exit(0);
	CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid);
	count(soak, FORKED);
}

static void slot_round(struct soak *soak, uint64_t random)
{
	unsigned int view = view_nr(random >> 8);
	struct vm *vm = soak->vm;

	if (random % 8 == 0) {
		pthread_mutex_lock(&soak->lock[view]);
		soak->ram_flags[view] ^= KVM_MEM_LOG_DIRTY_PAGES;
		OK(set_ram_slot(soak, view, RAM_BYTES));
		pthread_mutex_unlock(&soak->lock[view]);
		count(soak, LOGGED);
		return;
	}
	OK(try_set_slot(vm, view, SLOT_FREE, 0, EXTRA_GPA, EXTRA_BYTES,
			soak->extra));
	OK(try_set_slot(vm, view, SLOT_FREE, 0, EXTRA_GPA, 0, NULL));
	count(soak, SLOTS);
}

static void view_round(struct soak *soak, uint64_t random)
{
	unsigned int view = view_nr(random >> 8);
	int ret;

	if (random % 2) {
		ret = try_discard(soak->vm, view);
		if (ret && ret != -EBUSY)
			FAIL("discarding view %u gives %d", view, ret);
		if (!ret)
			count(soak, DISCARDED);
	} else {
		ret = try_prepare(soak->vm, view);
		if (ret && ret != -EAGAIN)
			FAIL("preparing view %u gives %d", view, ret);
	}
}

static void signal_round(struct soak *soak, uint64_t random)
{
	pthread_kill(soak->vm->vcpu[random % NR_RUNNING].thread, SIGUSR1);
	count(soak, KICKED);
}

/* New vCPUs find the active view, and take ioctls while it changes. */
static void vcpu_round(struct soak *soak, uint64_t random)
{
	static int fds[NR_CREATED];
	static unsigned int nr;
	struct kvm_hypr_eptp eptp = { 0 };
	struct kvm_sregs sregs;

	if (nr < NR_CREATED && random % 8 == 0) {
		fds[nr] = try_ioctl(soak->vm->fd, KVM_CREATE_VCPU,
				    (void *)(uintptr_t)(NR_RUNNING + nr));
		if (fds[nr] < 0)
			FAIL("KVM_CREATE_VCPU gives %d", fds[nr]);
		nr++;
		count(soak, CREATED);
	}
	if (!nr)
		return;
	random = (random >> 8) % nr;
	OK(try_ioctl(fds[random], KVM_GET_EPTP, &eptp));
	OK(try_ioctl(fds[random], KVM_GET_SREGS, &sregs));
	OK(try_ioctl(fds[random], KVM_SET_SREGS, &sregs));
}

static void *disturb(void *arg)
{
	struct disturber *d = arg;
	cpu_set_t all;

	/* On any CPU: vCPUs then lose theirs at any place. */
	memset(&all, 0xff, sizeof(all));
	CHECK(!sched_setaffinity(0, sizeof(all), &all));
	for (;;) {
		while (sem_wait(&d->due))
			;
		if (atomic_load(&d->soak->stop))
			return NULL;
		d->round(d->soak, next_random(&d->random));
	}
}

static void disturbers_start(struct soak *soak, struct disturber *d,
			     unsigned int nr)
{
	for (; nr--; d++) {
		d->soak = soak;
		d->random = tap_random();
		sem_init(&d->due, 0, 0);
		CHECK(!pthread_create(&d->thread, NULL, disturb, d));
	}
}

static void disturbers_poke(struct disturber *d, unsigned int nr,
			    unsigned long swaps)
{
	int waiting;

	for (; nr--; d++)
		if (swaps % d->every == 0 && !sem_getvalue(&d->due, &waiting) &&
		    !waiting)
			sem_post(&d->due);
}

static void disturbers_stop(struct soak *soak, struct disturber *d,
			    unsigned int nr)
{
	atomic_store(&soak->stop, true);
	for (; nr--; d++) {
		sem_post(&d->due);
		pthread_join(d->thread, NULL);
	}
}

/* ---- the asker ---------------------------------------------------------- */

static void swap_to(struct soak *soak, unsigned int view)
{
	static const uint32_t ways[] = {
		KVM_EPT_SWAP_FORCE,
		KVM_EPT_SWAP_FORCE,
		KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_FLUSH,
		KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME,
	};
	struct kvm_hypr_swap swap = {
		.view = view,
		.flags = ways[tap_random() % 4],
		.timeout_ns = SWAP_WAIT_NS,
	};
	int ret;

	while ((ret = try_ioctl(soak->vm->fd, KVM_EPT_SWAP_ALL, &swap)) ==
	       -ENODATA) {
		count(soak, PREPARED_AGAIN);
		ret = try_prepare(soak->vm, view);
		if (ret && ret != -EAGAIN)
			FAIL("preparing view %u gives %d", view, ret);
	}
	if (ret)
		FAIL("swap %lu to view %u with flags %#x gives %d",
		     soak->tally[SWAPS], view, swap.flags, ret);
	if (swap.old_view != soak->view)
		FAIL("the old view is %u, not %u", swap.old_view, soak->view);
	soak->view = view;
	count(soak, SWAPS);
	if (swap.flags & KVM_EPT_SWAP_PAUSE)
		count(soak, COOPERATIVE);
}

/* Each vCPU reads a part of the view that is its own choice. */
static void check_contents(struct soak *soak)
{
	unsigned int i, chunk[NR_RUNNING];

	check_all_in_view(soak->vm, soak->view);
	for (i = 0; i < NR_RUNNING; i++) {
		chunk[i] = tap_random() % NR_CHUNKS;
		vcpu_ask(&soak->vm->vcpu[i], GUEST_VERIFY, chunk_gpa(chunk[i]),
			 chunk_gpa(chunk[i] + 1),
			 soak->seed[soak->view][chunk[i]]);
	}
	for (i = 0; i < NR_RUNNING; i++) {
		struct guest_cpu *guest = soak->vm->vcpu[i].guest;

		vcpu_wait_done(&soak->vm->vcpu[i]);
		if (guest->result[0])
			FAIL("swap %lu, view %u, vCPU %u: %llu pages of chunk %u are wrong, the first at %#llx",
			     soak->tally[SWAPS], soak->view, i,
			     (unsigned long long)guest->result[0], chunk[i],
			     (unsigned long long)guest->result[1]);
	}
}

static void write_by_vcpu(struct soak *soak)
{
	unsigned int chunk = tap_random() % NR_CHUNKS;
	uint64_t *seed = &soak->seed[soak->view][chunk];

	pthread_mutex_lock(&soak->lock[soak->view]);
	*seed = tap_random();
	vcpu_do(&soak->vm->vcpu[tap_random() % NR_RUNNING], GUEST_FILL,
		chunk_gpa(chunk), chunk_gpa(chunk + 1), *seed);
	pthread_mutex_unlock(&soak->lock[soak->view]);
	count(soak, FILLED);
}

/* The pages go; other ones with other bytes come in their place. */
static void take_chunk(struct soak *soak, unsigned int view)
{
	unsigned int chunk = tap_random() % NR_CHUNKS;

	pthread_mutex_lock(&soak->lock[view]);
	CHECK(!madvise(soak->vm->ram[view] + chunk_gpa(chunk), CHUNK_BYTES,
		       MADV_DONTNEED));
	soak->seed[view][chunk] = tap_random();
	chunk_write(soak, view, chunk);
	pthread_mutex_unlock(&soak->lock[view]);
	count(soak, TAKEN);
}

/* Slot and memory of a view that is not active go, and come back as others. */
static void rebuild_view(struct soak *soak, unsigned int view)
{
	struct vm *vm = soak->vm;

	if (view == soak->view)
		return;
	pthread_mutex_lock(&soak->lock[view]);
	OK(set_ram_slot(soak, view, 0));
	CHECK(!munmap(vm->ram[view], RAM_BYTES));
	OK(try_discard(vm, view));
	vm->ram[view] = memory_new(RAM_BYTES);
	*ram_word(vm, view, GUEST_ID_GPA) = view;
	*ram_word(vm, view, GUEST_ID2_GPA) = view;
	view_fill(soak, view);
	soak->ram_flags[view] = 0;
	OK(set_ram_slot(soak, view, RAM_BYTES));
	pthread_mutex_unlock(&soak->lock[view]);
	count(soak, REBUILT);
}

static void soak_step(struct soak *soak)
{
	uint64_t random = tap_random();

	swap_to(soak, view_nr(random >> 32));
	check_contents(soak);
	if (random % 4 == 0)
		write_by_vcpu(soak);
	if (random % 8 == 1)
		take_chunk(soak, view_nr(random >> 8));
	if (random % 512 == 2)
		rebuild_view(soak, view_nr(random >> 8));
}

static struct soak *soak_new(void)
{
	struct soak *soak = calloc(1, sizeof(*soak));
	unsigned int i;

	CHECK(soak);
	soak->vm = vm_new();
	soak->extra = memory_new(EXTRA_BYTES);
	vm_views_add(soak->vm, NR_VIEWS - 1);
	for (i = 0; i < NR_VIEWS; i++) {
		view_fill(soak, view_nr(i));
		pthread_mutex_init(&soak->lock[view_nr(i)], NULL);
	}
	vm_control_page_register(soak->vm);
	vcpus_start(soak->vm, NR_RUNNING);
	for (i = 0; i < NR_RUNNING; i++)
		vcpu_do(&soak->vm->vcpu[i], GUEST_ONLINE, 0, 0, 0);
	for (i = 1; i < NR_VIEWS; i++)
		OK(try_prepare(soak->vm, view_nr(i)));
	return soak;
}

static void test_soak(void)
{
	const char *given = getenv("HYPR_SWAPS");
	unsigned long i, swaps = given ? strtoul(given, NULL, 0) : 10000;
	struct disturber disturbers[] = {
		{ .round = memory_round, .every = 15 },
		{ .round = migrate_round, .every = 700 },
		{ .round = slot_round, .every = 6 },
		{ .round = view_round, .every = 40 },
		{ .round = signal_round, .every = 4 },
		{ .round = vcpu_round, .every = 10 },
	};
	const unsigned int nr = sizeof(disturbers) / sizeof(disturbers[0]);
	struct soak *soak;
	uint64_t start;
	unsigned int t;

	need_cpus(NR_RUNNING);
	alarm(120 + swaps / 20);
	soak = soak_new();
	disturbers_start(soak, disturbers, nr);
	start = now_ns();
	for (i = 1; i <= swaps; i++) {
		soak_step(soak);
		disturbers_poke(disturbers, nr, i);
		if (i * 10 % swaps == 0)
			note("%lu swaps after %llu ms", i, (unsigned long long)
			     (now_ns() - start) / 1000000);
	}
	disturbers_stop(soak, disturbers, nr);
	for (t = 0; t < NR_TALLIES; t++) {
		note("%s: %lu", tally_names[t], soak->tally[t]);
		/* What did not happen was not tested; few swaps give no time. */
		if (swaps >= 10000)
			CHECK(soak->tally[t]);
	}
	vcpus_stop(soak->vm);
}

static const struct test tests[] = {
	{ "swaps of 3 vCPUs among 15 views while all else changes", test_soak },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
