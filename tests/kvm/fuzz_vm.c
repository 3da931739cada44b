// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMs of the ioctl fuzzer: with each kind of irqchip, with views and
 * without, and with memory that user space delivers late; see fuzz.h.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPENING_STEPS	20
#define OPENING_SLOT	9
#define OPENING_GPA	0x9000000
/* vCPUs of the race have ids that no other vCPU gets, and never run. */
#define OPENING_VCPU	FUZZ_VCPUS
#define LATE_US		2000

uint64_t random_new(uint64_t seed, unsigned int n)
{
	return (seed + n) * 0x9E3779B97F4A7C15ull | 1;
}

uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545F4914F6CDD1Dull;
}

bool rarely(uint64_t *r, unsigned int n)
{
	return next_random(r) % n == 0;
}

/*
 * What include/uapi/linux/kvm_hypr.h and the kernel-doc promise; EBADF; and EIO, which
 * KVM answers to all ioctls of a VM that it has given up, as it does when an SMI finds
 * no memory for the vCPU's state (enter_smm()).
 */
void check_errno(const char *what, int ret)
{
	static const int known[] = {
		EINVAL, EFAULT, ENOENT, ENODATA, EAGAIN, EBUSY, EINTR, ENOMEM,
		EEXIST, EPERM, EOPNOTSUPP, ESTALE, EBADF, EIO, ENXIO, E2BIG,
	};
	size_t i;

	for (i = 0; ret < 0 && i < sizeof(known) / sizeof(known[0]); i++)
		if (ret == -known[i])
			return;
	if (ret < 0)
		FAIL("%s gives %d", what, ret);
}

/* ---- arguments ------------------------------------------------------------ */

uint32_t fuzz_any_view(uint64_t *r)
{
	return rarely(r, 12) ? next_random(r) >> next_random(r) % 64 :
			       PICK(r, 0, 0, A, A, B, B, 4, 1, 15, 16);
}

void *fuzz_any_pointer(struct fuzz *fuzz, uint64_t *r, void *arg)
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

void fuzz_spoil(uint64_t *r, void *arg, size_t bytes)
{
	uint8_t *byte = arg;

	if (rarely(r, 10))
		byte[next_random(r) % bytes] ^= 1 << next_random(r) % 8;
}

/* ---- kinds of VMs -------------------------------------------------------- */

struct fuzz_kind fuzz_kind_pick(uint64_t *r)
{
	struct fuzz_kind kind = {
		.irqchip = PICK(r, IRQCHIP_FULL, IRQCHIP_FULL, IRQCHIP_SPLIT,
				IRQCHIP_NONE),
		.first = rarely(r, 3) ? PICK(r, FIRST_RACE, FIRST_RACE,
					     FIRST_SLOT, FIRST_SEV) :
					FIRST_VIEWS,
	};

	kind.nested = rarely(r, 3);
	kind.late = rarely(r, 2);
	kind.resets = !kind.nested && rarely(r, 2);
	return kind;
}

void fuzz_kind_note(const struct fuzz_kind *kind, unsigned int life,
		    uint64_t seed)
{
	static const char * const irqchip[] = {
		[IRQCHIP_FULL] = "full irqchip",
		[IRQCHIP_SPLIT] = "split irqchip",
		[IRQCHIP_NONE] = "no irqchip",
	};
	static const char * const first[] = {
		[FIRST_VIEWS] = "views",
		[FIRST_SLOT] = "a slot first",
		[FIRST_SEV] = "SEV first",
		[FIRST_RACE] = "a race for views",
	};

	note("life %u: HYPR_FUZZ_LIFE=%#llx: %s, %s%s%s%s", life,
	     (unsigned long long)seed, kind->first == FIRST_RACE ?
	     "any irqchip" : irqchip[kind->irqchip], first[kind->first],
	     kind->nested ? ", nested" : "", kind->late ? ", late memory" : "",
	     kind->resets ? ", resets" : "");
}

static int try_opening_slot(struct fuzz *fuzz, uint64_t bytes)
{
	return try_set_slot(fuzz->vm, 0, OPENING_SLOT, 0, OPENING_GPA, bytes,
			    fuzz->pool);
}

/* Whatever the host answers; it has no SEV where these tests run. */
static int try_sev_init(struct vm *vm)
{
	struct kvm_sev_cmd cmd = { .id = KVM_SEV_INIT };

	return try_ioctl(vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd);
}

void try_other_kind(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hyperv_eventfd hyperv = { .fd = -1 };
	struct kvm_xen_hvm_config xen = { 0 };
	int ret;

	switch (next_random(r) % 3) {
	case 0:
		ret = try_sev_init(fuzz->vm);
		break;
	case 1:
		ret = try_ioctl(fuzz->vm->fd, KVM_XEN_HVM_CONFIG, &xen);
		break;
	default:
		ret = try_ioctl(fuzz->vm->fd, KVM_HYPERV_EVENTFD, &hyperv);
	}
	/* EBADF: its file descriptors are closed at the end of a life. */
	if (fuzz->has_views && ret != -EINVAL && ret != -EBADF)
		FAIL("a VM with views asks for another kind, and gets %d", ret);
}

static void opening_step(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_enable_cap split = {
		.cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 },
	};
	int vm = fuzz->vm->fd;

	switch (next_random(r) % 16) {
	case 0 ... 3:
		check_errno("enable", try_enable_views(fuzz->vm));
		break;
	case 4 ... 6:
		try_ioctl(vm, KVM_CREATE_IRQCHIP, NULL);
		break;
	case 7 ... 9:
		try_ioctl(vm, KVM_ENABLE_CAP, &split);
		break;
	case 10 ... 11:
		try_opening_slot(fuzz, 4096);
		break;
	case 12 ... 13:
		try_opening_slot(fuzz, 0);
		break;
	case 14:
		try_ioctl(vm, KVM_CREATE_VCPU, (void *)(uintptr_t)
			  (OPENING_VCPU + next_random(r) % 2));
		break;
	default:
		try_other_kind(fuzz, r);
	}
}

struct opening {
	struct fuzz *fuzz;
	pthread_t thread;
	pthread_barrier_t *start;
	uint64_t random;
};

static void *opening_thread(void *arg)
{
	struct opening *opening = arg;
	unsigned int i;
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	sched_setaffinity(0, sizeof(all), &all);
	pthread_barrier_wait(opening->start);
	for (i = next_random(&opening->random) % OPENING_STEPS; i; i--)
		opening_step(opening->fuzz, &opening->random);
	return NULL;
}

/* The first of them decides, and no order of them may let two pass. */
static void opening_race(struct fuzz *fuzz, uint64_t *r)
{
	struct opening opening[FUZZ_THREADS];
	pthread_barrier_t start;
	unsigned int i;

	CHECK(!pthread_barrier_init(&start, NULL, FUZZ_THREADS));
	for (i = 0; i < FUZZ_THREADS; i++) {
		opening[i] = (struct opening) {
			.fuzz = fuzz, .start = &start,
			.random = next_random(r) | 1,
		};
		CHECK(!pthread_create(&opening[i].thread, NULL, opening_thread,
				      &opening[i]));
	}
	for (i = 0; i < FUZZ_THREADS; i++)
		CHECK(!pthread_join(opening[i].thread, NULL));
	try_opening_slot(fuzz, 0);
}

static bool vm_has_views(struct vm *vm)
{
	struct kvm_hypr_stats stats;

	return !try_ioctl(vm->fd, KVM_HYPR_GET_STATS, &stats);
}

void fuzz_vm_make(struct fuzz *fuzz, uint64_t *r)
{
	enum fuzz_first first = fuzz->kind.first;
	int want = first == FIRST_VIEWS ? 0 : -EINVAL;

	fuzz->vm = vm_new_plain_irqchip(first == FIRST_RACE ? IRQCHIP_NONE :
					fuzz->kind.irqchip);
	fuzz->vm->nested = fuzz->kind.nested;
	if (first == FIRST_RACE) {
		opening_race(fuzz, r);
		fuzz->has_views = vm_has_views(fuzz->vm);
		atomic_fetch_add(&fuzz->met->raced, fuzz->has_views);
		return;
	}
	if (first == FIRST_SLOT) {
		OK(try_opening_slot(fuzz, 4096));
		OK(try_opening_slot(fuzz, 0));
	} else if (first == FIRST_SEV) {
		try_sev_init(fuzz->vm);
	}
	CHECK_RET(try_enable_views(fuzz->vm), want);
	fuzz->has_views = vm_has_views(fuzz->vm);
	CHECK_EQ(fuzz->has_views, first == FIRST_VIEWS);
}

/* ---- memory that comes late ---------------------------------------------- */

struct late {
	struct fuzz *fuzz;
	uint64_t random;
};

/* Its page may be gone, or be there again; then only the waiters go on. */
static void late_deliver(struct fuzz *fuzz, uint64_t address)
{
	static const uint8_t page[4096] __attribute__((aligned(4096)));
	struct uffdio_copy copy = {
		.dst = address & ~0xfffull,
		.src = (uintptr_t)page,
		.len = sizeof(page),
	};
	struct uffdio_range range = { .start = copy.dst, .len = copy.len };

	if (!ioctl(fuzz->late_fd, UFFDIO_COPY, &copy))
		atomic_fetch_add(&fuzz->met->late, 1);
	else
		ioctl(fuzz->late_fd, UFFDIO_WAKE, &range);
}

static void *late_thread(void *arg)
{
	struct late *late = arg;
	struct uffd_msg msg;

	for (;;) {
		if (read(late->fuzz->late_fd, &msg, sizeof(msg)) != sizeof(msg) ||
		    msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		/* The lateness itself. */
		usleep(next_random(&late->random) % LATE_US);
		late_deliver(late->fuzz, msg.arg.pagefault.address);
	}
	return NULL;
}

void late_start(struct fuzz *fuzz, uint64_t seed)
{
	struct uffdio_api api = { .api = UFFD_API };
	static struct late late;
	pthread_t thread;

	fuzz->late_fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fuzz->late_fd < 0)
		FAIL("userfaultfd: %m");
	CHECK(!ioctl(fuzz->late_fd, UFFDIO_API, &api));
	late.fuzz = fuzz;
	late.random = seed;
	CHECK(!pthread_create(&thread, NULL, late_thread, &late));
}

void late_withhold(struct fuzz *fuzz, uint64_t *r)
{
	uint8_t *ram = fuzz->vm->ram[PICK(r, 0, A, B)];
	uint64_t at = next_random(r) % LATE_BYTES & ~0xfffull;
	struct uffdio_register area = {
		.range.start = (uintptr_t)ram + LATE_GPA + at,
		.range.len = rarely(r, 2) ? 4096 : LATE_BYTES - at,
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (!fuzz->kind.late)
		return;
	if (rarely(r, 8)) {
		ioctl(fuzz->late_fd, UFFDIO_UNREGISTER, &area.range);
		return;
	}
	madvise((void *)(uintptr_t)area.range.start, area.range.len,
		MADV_DONTNEED);
	ioctl(fuzz->late_fd, UFFDIO_REGISTER, &area);
}
