// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prepare takes many pages at once from the host's page tables: that it maps what is
 * there, as it is there, and nothing that the host has taken away concurrently.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define VIEW		KVM_HYPR_VIEW_FIRST
#define GPA		0x10000000ull
#define PAGE		4096ul
#define HUGE		0x200000ul
/* Two tables and a half, and at another place in the host's tables than in the VM's. */
#define PAGES		1280ul
#define SHIFT		(5 * PAGE)

static struct vm *vm_running(void)
{
	struct vm *vm;

	need_cpus(1);
	vm = vm_new();
	vm_views_add(vm, 1);
	vcpus_start(vm, 1);
	return vm;
}

static struct kvm_hypr_prepare prepare(struct vm *vm, unsigned long pages)
{
	struct kvm_hypr_prepare arg = {
		.view = VIEW, .flags = KVM_HYPR_PREPARE_RANGE, .gpa = GPA, .size = pages * PAGE,
	};

	OK(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, &arg));
	return arg;
}

/* The rest of the view, and into it. */
static void enter(struct vm *vm)
{
	OK(try_prepare(vm, VIEW));
	vm_commit(vm, VIEW, KVM_EPT_SWAP_FORCE);
}

static uint64_t *word(uint8_t *mem, unsigned long page)
{
	return (uint64_t *)(mem + page * PAGE + page * 8 % PAGE);
}

static uint64_t gpa_of(unsigned long page)
{
	return GPA + page * PAGE + page * 8 % PAGE;
}

static uint8_t *map_shifted(int fd, int flags, unsigned long pages)
{
	uint8_t *room = mmap(NULL, pages * PAGE + 2 * HUGE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at = (uint8_t *)(((uintptr_t)room + HUGE) & -HUGE) + SHIFT;

	CHECK(room != MAP_FAILED);
	CHECK(mmap(at, pages * PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | flags, fd, 0) == at);
	return at;
}

static int file_create(unsigned long pages)
{
	int fd = memfd_create("bulk", MFD_CLOEXEC);
	unsigned long i;

	CHECK(fd >= 0);
	for (i = 0; i < pages; i++) {
		uint64_t value = i + 1;

		CHECK(pwrite(fd, &value, 8, (off_t)(i * PAGE + i * 8 % PAGE)) == 8);
	}
	CHECK(!ftruncate(fd, (off_t)(pages * PAGE)));
	return fd;
}

/* Of a private mapping some pages are the file's and some are its own. */
static void test_writable_where_the_host_is(void)
{
	struct vm *vm = vm_running();
	struct vcpu *vcpu = &vm->vcpu[0];
	int fd = file_create(PAGES);
	uint8_t *mem = map_shifted(fd, MAP_PRIVATE, PAGES);
	uint64_t faults, before, in_file;
	unsigned long i;

	CHECK(!madvise(mem, PAGES * PAGE, MADV_POPULATE_READ));
	for (i = 0; i < PAGES; i += 3)
		*word(mem, i) = 1000000 + i;
	OK(try_set_slot(vm, VIEW, SLOT_FREE, 0, GPA, PAGES * PAGE, mem));
	before = vm_stat(vm, "pages_4k");
	CHECK_EQ(prepare(vm, PAGES).pages_mapped, PAGES);
	CHECK_EQ(vm_stat(vm, "pages_4k") - before, PAGES);
	CHECK_EQ(prepare(vm, PAGES).pages_mapped, PAGES);
	CHECK_EQ(vm_stat(vm, "pages_4k") - before, PAGES);

	enter(vm);
	faults = vcpu_stat(vcpu, "pf_taken");
	for (i = 0; i < PAGES; i++)
		CHECK_EQ(vcpu_read(vcpu, gpa_of(i)), i % 3 ? i + 1 : 1000000 + i);
	for (i = 0; i < PAGES; i += 3)
		vcpu_write(vcpu, gpa_of(i), 2000000 + i);
	CHECK_EQ(vcpu_stat(vcpu, "pf_taken") - faults, 0);
	for (i = 1; i < PAGES; i += 99)
		vcpu_write(vcpu, gpa_of(i), 3000000 + i);
	CHECK(vcpu_stat(vcpu, "pf_taken") > faults);
	for (i = 0; i < PAGES; i++) {
		CHECK(pread(fd, &in_file, 8, (off_t)(i * PAGE + i * 8 % PAGE)) == 8);
		CHECK_EQ(in_file, i + 1);
		if (i % 3 == 0)
			CHECK_EQ(*word(mem, i), 2000000 + i);
	}
}

/* The zero page is everybody's. */
static void test_zero_page(void)
{
	struct vm *vm = vm_running();
	struct vcpu *vcpu = &vm->vcpu[0];
	uint8_t *mem = map_shifted(-1, MAP_PRIVATE | MAP_ANONYMOUS, PAGES);
	uint64_t faults;
	unsigned long i;

	CHECK(!madvise(mem, PAGES * PAGE, MADV_POPULATE_READ));
	OK(try_set_slot(vm, VIEW, SLOT_FREE, 0, GPA, PAGES * PAGE, mem));
	CHECK_EQ(prepare(vm, PAGES).pages_mapped, PAGES);
	enter(vm);
	faults = vcpu_stat(vcpu, "pf_taken");
	for (i = 0; i < PAGES; i += 7)
		CHECK_EQ(vcpu_read(vcpu, gpa_of(i)), 0);
	CHECK_EQ(vcpu_stat(vcpu, "pf_taken") - faults, 0);
	vcpu_write(vcpu, gpa_of(8), 1);
	CHECK_EQ(*word(mem, 8), 1);
	for (i = 9; i < PAGES; i += 7)
		CHECK_EQ(vcpu_read(vcpu, gpa_of(i)), 0);
}

/* Nothing of it is mapped by the host; the file has holes, too. */
static void test_faults_in_what_is_missing(void)
{
	struct vm *vm = vm_running();
	struct vcpu *vcpu = &vm->vcpu[0];
	int fd = file_create(PAGES);
	uint8_t *mem = map_shifted(fd, MAP_PRIVATE, PAGES);
	uint64_t faults;
	unsigned long i;

	CHECK(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100 * PAGE, 700 * PAGE));
	CHECK(!mprotect(mem + 300 * PAGE, 40 * PAGE, PROT_NONE));
	OK(try_set_slot(vm, VIEW, SLOT_FREE, 0, GPA, PAGES * PAGE, mem));
	CHECK_EQ(prepare(vm, PAGES).pages_mapped, PAGES - 40);
	CHECK_EQ(prepare(vm, PAGES).pages_skipped, 40);
	CHECK(!mprotect(mem + 300 * PAGE, 40 * PAGE, PROT_READ | PROT_WRITE));
	CHECK_EQ(prepare(vm, PAGES).pages_mapped, PAGES);
	enter(vm);
	faults = vcpu_stat(vcpu, "pf_taken");
	for (i = 0; i < PAGES; i += 3)
		CHECK_EQ(vcpu_read(vcpu, gpa_of(i)), i >= 100 && i < 800 ? 0 : i + 1);
	CHECK_EQ(vcpu_stat(vcpu, "pf_taken") - faults, 0);
}

/*
 * What the host has in its cache it maps a table at a time: far fewer faults than pages, or
 * than the 16 pages that a fault maps by itself.
 */
static void test_file_in_cache(void)
{
	struct vm *vm = vm_running();
	struct vcpu *vcpu = &vm->vcpu[0];
	int fd = file_create(PAGES);
	uint8_t *mem = map_shifted(fd, MAP_PRIVATE, PAGES);
	struct rusage before, after;
	uint64_t faults;
	unsigned long i;

	/* A page of its own stays what it is. */
	*word(mem, 700) = 7;
	OK(try_set_slot(vm, VIEW, SLOT_FREE, 0, GPA, PAGES * PAGE, mem));
	CHECK(!getrusage(RUSAGE_SELF, &before));
	CHECK_EQ(prepare(vm, PAGES).pages_mapped, PAGES);
	CHECK(!getrusage(RUSAGE_SELF, &after));
	note("%lu pages by %ld faults of the host", PAGES, after.ru_minflt - before.ru_minflt);
	CHECK(after.ru_minflt - before.ru_minflt < (long)(PAGES / 64));
	enter(vm);
	faults = vcpu_stat(vcpu, "pf_taken");
	for (i = 0; i < PAGES; i++)
		CHECK_EQ(vcpu_read(vcpu, gpa_of(i)), i == 700 ? 7 : i + 1);
	CHECK_EQ(vcpu_stat(vcpu, "pf_taken") - faults, 0);
	vcpu_write(vcpu, gpa_of(5), 1);
	CHECK_EQ(*word(mem, 5), 1);
	CHECK(pread(fd, &faults, 8, 5 * PAGE + 40) == 8);
	CHECK_EQ(faults, 6);
}

static uint64_t zeros[(GPA / PAGE + PAGES + 63) / 64];

/* Pages of VIEW [first, end) are zero in its moment; nothing is read of the moment here. */
static int try_zeros(struct vm *vm, unsigned long first, unsigned long end)
{
	struct kvm_hypr_moment arg = {
		.view = VIEW, .size = GPA + PAGES * PAGE, .userspace_addr = PAGE,
		.zeros = (uintptr_t)zeros,
	};
	unsigned long page;

	memset(zeros, 0, sizeof(zeros));
	for (page = GPA / PAGE + first; page < GPA / PAGE + end; page++)
		zeros[page / 64] |= 1ull << page % 64;
	return try_ioctl(vm->fd, KVM_HYPR_SET_MOMENT, &arg);
}

/* The host makes no page for what is zero and not there, and maps all that is there. */
static void test_zeros_of_a_moment(void)
{
	struct vm *vm = vm_running();
	struct vcpu *vcpu = &vm->vcpu[0];
	uint8_t *mem = map_shifted(-1, MAP_PRIVATE | MAP_ANONYMOUS, PAGES);
	struct kvm_hypr_prepare arg;
	unsigned char there[PAGES];
	uint64_t faults;
	unsigned long i;

	for (i = 0; i < 1190; i += 1 + i / 64)
		*word(mem, i) = i + 1;
	CHECK(*(volatile uint8_t *)(mem + 1200 * PAGE) == 0);
	OK(try_set_slot(vm, VIEW, SLOT_FREE, 0, GPA, PAGES * PAGE, mem));
	OK(try_zeros(vm, 3, PAGES));
	arg = prepare(vm, PAGES);
	CHECK(!mincore(mem, PAGES * PAGE, there));
	for (i = 0; i < PAGES; i++)
		arg.pages_mapped -= there[i] & 1;
	CHECK_EQ(arg.pages_mapped, 0);
	CHECK(arg.pages_skipped > PAGES / 2);
	CHECK(!(there[1201] & 1));
	enter(vm);
	faults = vcpu_stat(vcpu, "pf_taken");
	for (i = 0; i < 1190; i += 1 + i / 64)
		CHECK_EQ(vcpu_read(vcpu, gpa_of(i)), i + 1);
	CHECK_EQ(vcpu_read(vcpu, gpa_of(1200)), 0);
	CHECK_EQ(vcpu_stat(vcpu, "pf_taken") - faults, 0);
	CHECK_EQ(vcpu_read(vcpu, gpa_of(1201)), 0);
	vcpu_write(vcpu, gpa_of(1202), 5);
	CHECK_EQ(*word(mem, 1202), 5);
	/* Without zeros all of it is mapped. */
	OK(try_zeros(vm, 0, 0));
	CHECK_EQ(prepare(vm, PAGES).pages_mapped, PAGES);
}

static void test_read_only_slot(void)
{
	struct vm *vm = vm_running();
	struct vcpu *vcpu = &vm->vcpu[0];
	uint8_t *mem = map_shifted(-1, MAP_PRIVATE | MAP_ANONYMOUS, PAGES);

	memset(mem, 0, PAGES * PAGE);
	OK(try_set_slot(vm, VIEW, SLOT_FREE, KVM_MEM_READONLY, GPA, PAGES * PAGE, mem));
	CHECK_EQ(prepare(vm, PAGES).pages_mapped, PAGES);
	enter(vm);
	vcpu->catch = true;
	vcpu_ask(vcpu, GUEST_WRITE, gpa_of(77), 5, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_MMIO);
	vcpu->catch = false;
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
	CHECK_EQ(*word(mem, 77), 0);
}

static void test_dirty_log(void)
{
	static uint64_t bitmap[PAGES / 64];
	struct kvm_dirty_log log = { .slot = VIEW << 16 | SLOT_FREE, .dirty_bitmap = bitmap };
	struct vm *vm = vm_running();
	uint8_t *mem = map_shifted(-1, MAP_PRIVATE | MAP_ANONYMOUS, PAGES);
	unsigned long i;

	memset(mem, 0, PAGES * PAGE);
	OK(try_set_slot(vm, VIEW, SLOT_FREE, KVM_MEM_LOG_DIRTY_PAGES, GPA, PAGES * PAGE, mem));
	CHECK_EQ(prepare(vm, PAGES).pages_mapped, PAGES);
	enter(vm);
	OK(try_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (i = 0; i < PAGES / 64; i++)
		CHECK_EQ(bitmap[i], 0);
	vcpu_write(&vm->vcpu[0], gpa_of(600), 1);
	OK(try_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (i = 0; i < PAGES / 64; i++)
		CHECK_EQ(bitmap[i], i == 600 / 64 ? 1ull << 600 % 64 : 0);
}

/* ---- huge pages ------------------------------------------------------------- */

static void huge_pages_need(void)
{
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_WRONLY);

	if (fd < 0 || write(fd, "madvise", 7) != 7)
		skip("no transparent huge pages here: %m");
	close(fd);
}

static uint8_t *huge_memory(unsigned long bytes)
{
	uint8_t *room = mmap(NULL, bytes + HUGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at = (uint8_t *)(((uintptr_t)room + HUGE - 1) & -HUGE);
	long before = meminfo_kib("AnonHugePages");
	unsigned long i;

	CHECK(room != MAP_FAILED);
	CHECK(!madvise(at, bytes, MADV_HUGEPAGE));
	for (i = 0; i < bytes / PAGE; i++)
		*word(at, i) = i + 1;
	if (meminfo_kib("AnonHugePages") - before < (long)(bytes / 1024))
		skip("the host has no huge page left");
	return at;
}

/* @gap: pages from where the slot would have the huge pages that the host has */
static void check_huge(unsigned long gap, unsigned long huge, unsigned long small)
{
	const unsigned long pages = 2 * HUGE / PAGE - gap;
	uint64_t before_2m, before_4k, faults;
	struct vm *vm = vm_running();
	struct vcpu *vcpu = &vm->vcpu[0];
	unsigned long i;
	uint8_t *mem;

	huge_pages_need();
	mem = huge_memory(2 * HUGE);
	before_2m = vm_stat(vm, "pages_2m");
	before_4k = vm_stat(vm, "pages_4k");
	OK(try_set_slot(vm, VIEW, SLOT_FREE, 0, GPA, pages * PAGE, mem + gap * PAGE));
	CHECK_EQ(prepare(vm, pages).pages_mapped, pages);
	CHECK_EQ(vm_stat(vm, "pages_2m") - before_2m, huge);
	CHECK_EQ(vm_stat(vm, "pages_4k") - before_4k, small);
	enter(vm);
	faults = vcpu_stat(vcpu, "pf_taken");
	for (i = 0; i < pages; i += 5) {
		uint64_t gpa = GPA + i * PAGE + (i + gap) * 8 % PAGE;

		CHECK_EQ(vcpu_read(vcpu, gpa), i + gap + 1);
		vcpu_write(vcpu, gpa, i);
		CHECK_EQ(*word(mem, i + gap), i);
	}
	CHECK_EQ(vcpu_stat(vcpu, "pf_taken") - faults, 0);
}

static void test_huge(void)
{
	check_huge(0, 2, 0);
}

static void test_huge_that_does_not_fit(void)
{
	check_huge(3, 0, 2 * HUGE / PAGE - 3);
}

/* ---- what only get_user_pages() may judge ------------------------------------- */

static void test_secret_memory(void)
{
#ifdef SYS_memfd_secret
	struct vm *vm = vm_running();
	int fd = (int)syscall(SYS_memfd_secret, 0);
	uint8_t *mem;

	if (fd < 0)
		skip("no memfd_secret(): %m");
	CHECK(!ftruncate(fd, 4 * PAGE));
	mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(mem != MAP_FAILED);
	memset(mem, 1, 4 * PAGE);
	OK(try_set_slot(vm, VIEW, SLOT_FREE, 0, GPA, 4 * PAGE, mem));
	CHECK_EQ(prepare(vm, 4).pages_skipped, 4);
#else
	skip("built without memfd_secret()");
#endif
}

/* ---- the host changes its mind -------------------------------------------------- */

#define MEANWHILE_NS	20000000000ull

struct changer {
	struct vm *vm;
	uint8_t *mem;
	pthread_t thread;
	atomic_bool stop;
	atomic_uint rounds;
};

/* New pages, and new bytes in them. */
static void *change_thread(void *arg)
{
	struct changer *changer = arg;
	unsigned int round;
	unsigned long i;

	pin_to_cpu(2);
	do {
		round = atomic_fetch_add(&changer->rounds, 1) + 1;
		CHECK(!madvise(changer->mem, PAGES * PAGE, MADV_DONTNEED));
		for (i = 0; i < PAGES; i++)
			*word(changer->mem, i) = (uint64_t)round << 32 | i;
	} while (!atomic_load(&changer->stop));
	return NULL;
}

static void test_memory_goes_meanwhile(void)
{
	const uint64_t end = now_ns() + MEANWHILE_NS;
	struct changer changer = { 0 };
	unsigned int i, round;
	struct vm *vm;

	need_cpus(3);
	vm = vm_running();
	changer.vm = vm;
	changer.mem = map_shifted(-1, MAP_PRIVATE | MAP_ANONYMOUS, PAGES);
	OK(try_set_slot(vm, VIEW, SLOT_FREE, 0, GPA, PAGES * PAGE, changer.mem));
	CHECK(!pthread_create(&changer.thread, NULL, change_thread, &changer));
	WAIT_UNTIL(atomic_load(&changer.rounds) > 1);
	/* With a kernel that checks all it does, a round takes long. */
	for (i = 0; i < 3 || atomic_load(&changer.rounds) < 3 ||
		    (atomic_load(&changer.rounds) < 60 && now_ns() < end); i++) {
		struct kvm_hypr_prepare arg = prepare(vm, PAGES);

		CHECK_EQ(arg.pages_mapped + arg.pages_skipped, PAGES);
	}
	atomic_store(&changer.stop, true);
	CHECK(!pthread_join(changer.thread, NULL));

	round = atomic_load(&changer.rounds);
	enter(vm);
	for (i = 0; i < PAGES; i++)
		CHECK_EQ(vcpu_read(&vm->vcpu[0], gpa_of(i)), (uint64_t)round << 32 | i);
}

/* The child's memory is what the parent's was: a write of the guest may not reach it. */
static int child_looks(uint8_t *mem, uint64_t value)
{
	unsigned int round;
	unsigned long i;

	for (round = 0; round < 20; round++)
		for (i = 0; i < PAGES; i += 5)
			if (*(volatile uint64_t *)word(mem, i) != value)
				return 1;
	return 0;
}

static void *write_thread(void *arg)
{
	struct changer *changer = arg;
	unsigned long i = 0;

	pin_to_cpu(2);
	while (!atomic_load(&changer->stop)) {
		/* The guest writes what is there: the parent's bytes stay. */
		vcpu_write(&changer->vm->vcpu[0], gpa_of(i), 1000 + atomic_load(&changer->rounds));
		i = (i + 5) % PAGES;
	}
	return NULL;
}

static void test_forks_meanwhile(void)
{
	const uint64_t end = now_ns() + MEANWHILE_NS;
	struct changer changer = { 0 };
	int status, to_child[2];
	struct vm *vm;
	unsigned long i;
	pid_t pid;

	need_cpus(3);
	vm = vm_running();
	changer.vm = vm;
	changer.mem = map_shifted(-1, MAP_PRIVATE | MAP_ANONYMOUS, PAGES);
	memset(changer.mem, 0, PAGES * PAGE);
	OK(try_set_slot(vm, VIEW, SLOT_FREE, 0, GPA, PAGES * PAGE, changer.mem));
	prepare(vm, PAGES);
	enter(vm);
	for (atomic_store(&changer.rounds, 1);
	     atomic_load(&changer.rounds) <= 2 ||
	     (atomic_load(&changer.rounds) <= 10 && now_ns() < end);
	     atomic_fetch_add(&changer.rounds, 1)) {
		for (i = 0; i < PAGES; i += 5)
			*word(changer.mem, i) = atomic_load(&changer.rounds);
		CHECK(!pipe(to_child));
		pid = fork();
		CHECK(pid >= 0);
		if (!pid) {
			char byte;

			/* Until the guest has begun. */
			if (read(to_child[0], &byte, 1) != 1)
				_exit(2);
			_exit(child_looks(changer.mem, atomic_load(&changer.rounds)));
		}
		atomic_store(&changer.stop, false);
		CHECK(!pthread_create(&changer.thread, NULL, write_thread, &changer));
		CHECK(write(to_child[1], "", 1) == 1);
		do
			prepare(vm, PAGES);
		while (!waitpid(pid, &status, WNOHANG));
		atomic_store(&changer.stop, true);
		CHECK(!pthread_join(changer.thread, NULL));
		close(to_child[0]);
		close(to_child[1]);
		CHECK_EQ(status, 0);
	}
}

static const struct test tests[] = {
	{ "pages are writable where the host maps them writable", test_writable_where_the_host_is },
	{ "the zero page is mapped, and a write to it goes elsewhere", test_zero_page },
	{ "what the host does not map is faulted in, or skipped",
	  test_faults_in_what_is_missing },
	{ "a file that is in the host's cache: a table at a time", test_file_in_cache },
	{ "zeros of a moment: mapped where the host maps them alone", test_zeros_of_a_moment },
	{ "a read-only slot stays read-only over writable memory", test_read_only_slot },
	{ "the dirty log misses nothing, and has nothing too much", test_dirty_log },
	{ "pages of 2 MiB are mapped as such", test_huge },
	{ "pages of 2 MiB where the slot cannot have them", test_huge_that_does_not_fit },
	{ "secret memory is not mapped", test_secret_memory },
	{ "memory that goes during prepare is not mapped", test_memory_goes_meanwhile },
	{ "a fork during prepare: copy-on-write holds", test_forks_meanwhile },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
