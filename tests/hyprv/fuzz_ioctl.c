// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random calls of /dev/hyprv by several threads at a time: on the same VMs and vCPUs, with
 * arguments from good to random, while the memory below the guests and the files change.
 * Each thread makes HYPR_FUZZ_CALLS calls (default 2000).  Every call returns 0 or a
 * documented error, and a good VM beside them runs on.
 */
#define _GNU_SOURCE
#include "abi.h"
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define THREADS		3
#define FILES		8
#define MEMORY_BYTES	0x40000
#define BUFFER_BYTES	0x2000
/* At the start of the memory: what a guest in 64-bit mode needs, of three levels. */
#define TABLE_BYTES	0x3000

/* What threads share: any of them closes and replaces any file. */
static struct {
	int device;
	int tables;		/* a file of TABLE_BYTES */
	atomic_int vm[FILES];
	atomic_int vcpu[FILES];
	uint8_t *memory;
	atomic_ullong results[134];
	atomic_ullong runs;
} all;

struct fuzzer {
	pthread_t thread;
	uint64_t random;
	uint64_t nr;
	uint8_t buffer[BUFFER_BYTES] __attribute__((aligned(16)));
};

static uint64_t draw(struct fuzzer *fuzzer, uint64_t limit)
{
	fuzzer->random ^= fuzzer->random >> 12;
	fuzzer->random ^= fuzzer->random << 25;
	fuzzer->random ^= fuzzer->random >> 27;
	return fuzzer->random * 0x2545f4914f6cdd1dull % limit;
}

static void note_result(const char *what, int ret)
{
	/* EBADF: another thread has closed the file. */
	static const int known[] = {
		0, EINVAL, EFAULT, ENOMEM, EEXIST, EIO, EINTR, EAGAIN, ENOTTY, E2BIG, ENOSPC, EBADF,
		ENODEV, ENOENT, ENODATA, ESTALE, EBUSY, ENXIO,
	};
	size_t i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (ret >= 0 || ret == -known[i])
			break;
	if (i == sizeof(known) / sizeof(known[0]))
		FAIL("%s returned %d", what, ret);
	atomic_fetch_add(&all.results[ret < 0 ? -ret : 0], 1);
}

static int call(int fd, unsigned long request, void *argument)
{
	int ret = try_ioctl(fd, request, argument);

	note_result("an ioctl", ret);
	return ret;
}

/* The file of a place, which is replaced by @fd; what was there is closed. */
static void file_put(atomic_int *place, int fd)
{
	int old = atomic_exchange(place, fd);

	if (old > 0)
		close(old);
}

/* An open file, if a few draws find one. */
static atomic_int *any(struct fuzzer *fuzzer, atomic_int *places)
{
	atomic_int *place;
	int draws = 4;

	do
		place = &places[draw(fuzzer, FILES)];
	while (*place < 0 && --draws);
	return place;
}

/* ---- VMs ----------------------------------------------------------------- */

static void make_vm(struct fuzzer *fuzzer)
{
	const unsigned long types[] = {
		0, 0, HYPRV_VM_EPT, HYPRV_VM_SHADOW, draw(fuzzer, 9), HYPRV_VM_EPT + draw(fuzzer, 9),
	};
	int fd = call(all.device, KVM_CREATE_VM, (void *)types[draw(fuzzer, 6)]);

	if (fd > 0 && draw(fuzzer, 4))
		call(fd, KVM_ENABLE_CAP, &(struct kvm_enable_cap) { .cap = KVM_CAP_HYPR_EPT_SWAP });
	if (fd > 0)
		file_put(&all.vm[draw(fuzzer, FILES)], fd);
}

/* At times too late, for a VM that has memory or vCPUs. */
static void enable_apics(struct fuzzer *fuzzer)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { draw(fuzzer, 26) } };

	call(*any(fuzzer, all.vm), KVM_ENABLE_CAP, &cap);
}

static void message(struct fuzzer *fuzzer)
{
	struct kvm_msi msi = {
		.address_lo = 0xfee00000 | draw(fuzzer, 4) << 12 | (draw(fuzzer, 8) ? 0 : 4),
		.data = draw(fuzzer, 8) ? draw(fuzzer, 256) : draw(fuzzer, 0x1000),
	};

	call(*any(fuzzer, all.vm), KVM_SIGNAL_MSI, &msi);
}

static void make_vcpu(struct fuzzer *fuzzer)
{
	uint64_t index = draw(fuzzer, 8) ? draw(fuzzer, 3) : draw(fuzzer, 100);
	int fd = call(*any(fuzzer, all.vm), KVM_CREATE_VCPU, (void *)index);

	if (fd > 0)
		file_put(&all.vcpu[draw(fuzzer, FILES)], fd);
}

static void set_region(struct fuzzer *fuzzer)
{
	struct kvm_userspace_memory_region region = {
		.slot = draw(fuzzer, 3) | draw(fuzzer, 5) << 16,
		.flags = draw(fuzzer, 4) ? 0 : KVM_MEM_READONLY,
		.guest_phys_addr = draw(fuzzer, 3) * 0x10000,
		.memory_size = draw(fuzzer, 4) ? MEMORY_BYTES : 0,
		.userspace_addr = (uintptr_t)all.memory,
	};
	uint8_t *bytes = (uint8_t *)&region;

	if (!draw(fuzzer, 4))
		bytes[draw(fuzzer, sizeof(region))] ^= 1 << draw(fuzzer, 8);
	call(*any(fuzzer, all.vm), KVM_SET_USER_MEMORY_REGION, &region);
}

/* ---- views --------------------------------------------------------------- */

static void swap_views(struct fuzzer *fuzzer)
{
	struct kvm_hypr_swap swap = {
		.view = draw(fuzzer, 5),
		.flags = draw(fuzzer, 4) ? KVM_EPT_SWAP_FORCE : draw(fuzzer, 0x100),
		.timeout_ns = 1 + draw(fuzzer, 200000),
	};

	if (swap.flags & KVM_EPT_SWAP_VCPUS)
		swap.vcpu_mask = draw(fuzzer, 8);
	if (swap.flags & KVM_EPT_SWAP_EXPECT)
		swap.expected_view = draw(fuzzer, 5);
	call(*any(fuzzer, all.vm), draw(fuzzer, 2) ? KVM_COMMIT_EPT_SWAP : KVM_EPT_SWAP_ALL,
	     &swap);
}

static void build_view(struct fuzzer *fuzzer)
{
	struct kvm_hypr_prepare prepare = { .view = draw(fuzzer, 5) };
	struct kvm_hypr_discard discard = { .view = draw(fuzzer, 5) };
	struct kvm_hypr_mark_edited edited = { .view = draw(fuzzer, 5) };
	struct kvm_hypr_stats stats;
	int vm = *any(fuzzer, all.vm);

	if (!draw(fuzzer, 4)) {
		prepare.flags = KVM_HYPR_PREPARE_RANGE;
		prepare.gpa = draw(fuzzer, 64) * 4096;
		prepare.size = draw(fuzzer, 64) * 4096;
	}
	switch (draw(fuzzer, 6)) {
	case 0:
		call(vm, KVM_HYPR_DISCARD_VIEW, &discard);
		break;
	case 1:
		call(vm, KVM_HYPR_MARK_EDITED, &edited);
		break;
	case 2:
		call(vm, KVM_HYPR_GET_STATS, &stats);
		break;
	default:
		call(vm, KVM_PREPARE_EPT_SWAP, &prepare);
	}
}

static void move_eptp(struct fuzzer *fuzzer)
{
	struct kvm_hypr_eptp eptp = { 0 };

	call(*any(fuzzer, all.vcpu), KVM_GET_EPTP, &eptp);
	if (!draw(fuzzer, 4))
		eptp.eptp ^= 1ull << draw(fuzzer, 64);
	eptp.flags = 0;
	call(*any(fuzzer, all.vcpu), KVM_SET_EPTP, &eptp);
}

static void close_one(struct fuzzer *fuzzer)
{
	file_put(any(fuzzer, draw(fuzzer, 2) ? all.vm : all.vcpu), -1);
}

/* ---- vCPUs --------------------------------------------------------------- */

/* With shadow paging nothing else runs. */
static void set_long_mode(struct kvm_sregs *sregs)
{
	const struct kvm_segment flat = {
		.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .g = 1, .l = 1,
	};

	sregs->cs = sregs->ss = flat;
	sregs->ss.type = 3;
	sregs->ss.l = 0;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss;
	sregs->cr0 = 0x80000031;
	sregs->cr3 = 0;
	sregs->cr4 = 0x620;
	sregs->efer = 0x501;
}

static void set_state(struct fuzzer *fuzzer)
{
	static const struct {
		unsigned long get, set;
		size_t bytes;
	} states[] = {
		{ KVM_GET_REGS, KVM_SET_REGS, sizeof(struct kvm_regs) },
		{ KVM_GET_SREGS, KVM_SET_SREGS, sizeof(struct kvm_sregs) },
		{ KVM_GET_FPU, KVM_SET_FPU, sizeof(struct kvm_fpu) },
		{ KVM_GET_XSAVE, KVM_SET_XSAVE, sizeof(struct kvm_xsave) },
		{ KVM_GET_MP_STATE, KVM_SET_MP_STATE, sizeof(struct kvm_mp_state) },
		{ KVM_GET_CPUID2, KVM_SET_CPUID2, 8 + 4 * sizeof(struct kvm_cpuid_entry2) },
		{ KVM_GET_MSRS, KVM_SET_MSRS, 8 + 8 * sizeof(struct kvm_msr_entry) },
		{ KVM_GET_LAPIC, KVM_SET_LAPIC, sizeof(struct kvm_lapic_state) },
		{ KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events) },
		{ KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, sizeof(struct kvm_debugregs) },
		{ KVM_GET_XCRS, KVM_SET_XCRS, 8 + sizeof(struct kvm_xcr) },
		{ KVM_GET_DEVICE_ATTR, KVM_SET_DEVICE_ATTR, sizeof(struct kvm_device_attr) },
	};
	size_t i = draw(fuzzer, sizeof(states) / sizeof(states[0])), flips = draw(fuzzer, 4);
	int vcpu = *any(fuzzer, all.vcpu);

	call(vcpu, states[i].get, fuzzer->buffer);
	while (flips--)
		fuzzer->buffer[draw(fuzzer, states[i].bytes)] ^= 1 << draw(fuzzer, 8);
	/* Real mode or 64-bit mode at the code, so that guests run. */
	if (states[i].set == KVM_SET_SREGS && draw(fuzzer, 2))
		set_long_mode((struct kvm_sregs *)fuzzer->buffer);
	else if (states[i].set == KVM_SET_SREGS && draw(fuzzer, 2))
		((struct kvm_sregs *)fuzzer->buffer)->cs.base = 0;
	if (states[i].set == KVM_SET_REGS && draw(fuzzer, 2))
		((struct kvm_regs *)fuzzer->buffer)->rip = draw(fuzzer, 0x8000);
	/* At times the structure ends beyond the memory that is there. */
	call(vcpu, states[i].set, draw(fuzzer, 16) ? (void *)fuzzer->buffer :
						     all.memory + MEMORY_BYTES - draw(fuzzer, 64));
}

static void run(struct fuzzer *fuzzer)
{
	if (!call(*any(fuzzer, all.vcpu), KVM_RUN, draw(fuzzer, 32) ? NULL : fuzzer))
		atomic_fetch_add(&all.runs, 1);
}

static void interrupt(struct fuzzer *fuzzer)
{
	struct kvm_interrupt interrupt = { .irq = draw(fuzzer, 300) };

	call(*any(fuzzer, all.vcpu), KVM_INTERRUPT, &interrupt);
}

/* Two pages are there; writes of what the kernel reads from them. */
static void scribble(struct fuzzer *fuzzer)
{
	size_t pages = 1 + draw(fuzzer, 3);
	uint8_t *run = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			    *any(fuzzer, all.vcpu), 0);

	if (run == MAP_FAILED)
		return;
	run[draw(fuzzer, 0x200)] = draw(fuzzer, 256);
	((struct kvm_run *)run)->immediate_exit = !draw(fuzzer, 8);
	munmap(run, pages * 4096);
}

/* ---- below and beside ---------------------------------------------------- */

static void change_memory(struct fuzzer *fuzzer)
{
	uint64_t from = draw(fuzzer, MEMORY_BYTES / 4096) * 4096;
	uint64_t bytes = 4096 * (1 + draw(fuzzer, 4));
	uint8_t *at = all.memory + from;

	if (from + bytes > MEMORY_BYTES)
		bytes = MEMORY_BYTES - from;
	switch (draw(fuzzer, 5)) {
	case 0:
		madvise(at, bytes, MADV_DONTNEED);
		break;
	case 1:
		mprotect(at, bytes, PROT_READ);
		mprotect(at, bytes, PROT_READ | PROT_WRITE);
		break;
	case 2:
		CHECK(mmap(at, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
		break;
	case 3:
		/* By the kernel: another thread may have made the page read-only. */
		if (pread(all.tables, all.memory, TABLE_BYTES, 0) < 0)
			CHECK_EQ(errno, EFAULT);
		break;
	default:
		if (getrandom(at, 8, GRND_NONBLOCK) < 0)
			CHECK_EQ(errno, EFAULT);
	}
}

/* What the others do not call, on any of the three kinds of files. */
static void any_call(struct fuzzer *fuzzer)
{
	static const unsigned long requests[] = {
		KVM_GET_API_VERSION, KVM_CHECK_EXTENSION, KVM_GET_VCPU_MMAP_SIZE,
		KVM_GET_SUPPORTED_CPUID, KVM_GET_MSR_INDEX_LIST, KVM_GET_TSC_KHZ,
		KVM_HAS_DEVICE_ATTR, KVM_HYPR_SET_CONTROL_PAGE, KVM_HYPR_PIN_VIEW,
		KVM_HYPR_GET_WRITTEN, KVM_HYPR_KEEP_STATE, KVM_HYPR_GET_STATE,
	};
	int fd = draw(fuzzer, 3) == 0 ? all.device :
		 *any(fuzzer, draw(fuzzer, 2) ? all.vm : all.vcpu);
	size_t i;

	for (i = 0; i < 64; i += 8) {
		uint64_t word = draw(fuzzer, 4) ? draw(fuzzer, 64) : fuzzer->random;

		memcpy(fuzzer->buffer + i, &word, sizeof(word));
	}
	call(fd, requests[draw(fuzzer, sizeof(requests) / sizeof(requests[0]))], fuzzer->buffer);
}

static void any_number(struct fuzzer *fuzzer)
{
	/* Numbers of KVM's type; one in two with any size and direction. */
	unsigned long request = 0xae00 | draw(fuzzer, 0x100) |
				(draw(fuzzer, 2) ? draw(fuzzer, 0x10000) << 16 : 0);
	int fd = draw(fuzzer, 3) == 0 ? all.device :
		 *any(fuzzer, draw(fuzzer, 2) ? all.vm : all.vcpu);

	/* KVM_CREATE_VM would give a file that nobody closes. */
	if (request != KVM_CREATE_VM && request != KVM_CREATE_VCPU && request != KVM_RUN)
		call(fd, request, fuzzer->buffer);
}

/* ---- threads ------------------------------------------------------------- */

static const struct {
	void (*act)(struct fuzzer *fuzzer);
	unsigned int weight;
} acts[] = {
	{ make_vm, 4 }, { make_vcpu, 8 }, { set_region, 6 }, { close_one, 2 }, { set_state, 12 },
	{ run, 12 }, { interrupt, 2 }, { scribble, 3 }, { change_memory, 6 }, { any_number, 6 },
	{ any_call, 4 },
	{ swap_views, 8 }, { build_view, 8 }, { move_eptp, 3 }, { enable_apics, 4 }, { message, 6 },
};

static void on_signal(int signal)
{
	(void)signal;
}

/* A guest may run for ever: a signal for this thread ends its turn. */
static timer_t alarm_start(void)
{
	const struct itimerspec soon = { { .tv_nsec = 5000000 }, { .tv_nsec = 5000000 } };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2 };
	timer_t timer;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	CHECK(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK(!timer_settime(timer, 0, &soon, NULL));
	return timer;
}

static void *fuzz(void *argument)
{
	struct fuzzer *fuzzer = argument;
	timer_t timer = alarm_start();
	unsigned int weights = 0;
	size_t i;

	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		weights += acts[i].weight;
	while (fuzzer->nr--) {
		uint64_t at = draw(fuzzer, weights);

		for (i = 0; at >= acts[i].weight; i++)
			at -= acts[i].weight;
		acts[i].act(fuzzer);
	}
	timer_delete(timer);
	return NULL;
}

static int tables_file(void)
{
	uint64_t tables[TABLE_BYTES / 8] = { 0x1003 };
	int fd = memfd_create("tables", 0);
	size_t i;

	tables[0x1000 / 8] = 0x2003;
	for (i = 0; i < 512; i++)
		tables[0x2000 / 8 + i] = i << 21 | 0x83;
	CHECK(fd >= 0 && write(fd, tables, sizeof(tables)) == sizeof(tables));
	return fd;
}

static void test_random_calls(void)
{
	const char *text = getenv("HYPR_FUZZ_CALLS");
	struct sigaction action = { .sa_handler = on_signal };
	static struct fuzzer fuzzers[THREADS];
	uint64_t start = now_ns();
	struct vm *good;
	size_t i;

	need_cpus(1);
	/* The count ends it, and the runner's limit. */
	alarm(0);
	good = vm_new_plain_irqchip(IRQCHIP_NONE);
	vm_view_add(good, KVM_HYPR_VIEW_BOOT);
	vcpus_start(good, 1);
	sigaction(SIGUSR2, &action, NULL);
	all.device = good->kvm;
	all.memory = memory_new(MEMORY_BYTES);
	for (i = 0; i < MEMORY_BYTES; i += 8)
		*(uint64_t *)(all.memory + i) = tap_random();
	all.tables = tables_file();
	CHECK(pread(all.tables, all.memory, TABLE_BYTES, 0) == TABLE_BYTES);
	for (i = 0; i < FILES; i++)
		all.vm[i] = all.vcpu[i] = -1;
	for (i = 0; i < THREADS; i++) {
		fuzzers[i].random = tap_random() | 1;
		fuzzers[i].nr = text ? strtoull(text, NULL, 0) : 2000;
		CHECK(!pthread_create(&fuzzers[i].thread, NULL, fuzz, &fuzzers[i]));
	}
	for (i = 0; i < THREADS; i++)
		CHECK(!pthread_join(fuzzers[i].thread, NULL));
	CHECK_EQ(vcpu_view(&good->vcpu[0]), 0);
	for (i = 0; i < FILES; i++) {
		file_put(&all.vcpu[i], -1);
		file_put(&all.vm[i], -1);
	}
	note("%llu ms", (unsigned long long)(now_ns() - start) / 1000000);
	for (i = 0; i < sizeof(all.results) / sizeof(all.results[0]); i++)
		if (all.results[i])
			note("%s: %llu", i ? strerror((int)i) : "success",
			     (unsigned long long)all.results[i]);
	note("guests that ran: %llu", (unsigned long long)all.runs);
	CHECK(all.runs > 0);
}

static const struct test tests[] = {
	{ "random calls by several threads", test_random_calls },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
