// SPDX-License-Identifier: GPL-2.0-only
/* KVM played in user space; see fake_kvm.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fake_kvm.h"

#define MAX_FD		256
#define RUN_BYTES	(3 * 4096)
#define IO_OFFSET	4096
#define MSR_TSC		0x10
#define MSR_DEADLINE	0x6e0
#define MSR_LSTAR	0xc0000082
#define MSR_ARCH_CAPABILITIES	0x10a

/* KVM_PRE_FAULT_MEMORY of Linux 6.11. */
struct pre_fault {
	uint64_t gpa;
	uint64_t size;
	uint64_t flags;
	uint64_t padding[5];
};

#define PRE_FAULT	_IOWR(KVMIO, 0xd5, struct pre_fault)

enum kind { OTHER, KVM, VM, VCPU };

struct fake_kvm fake_kvm;

static enum kind kind[MAX_FD];
static unsigned int vm_of[MAX_FD];	/* of a VM and of its vCPUs */
static unsigned int vcpu_of[MAX_FD];	/* index into fake_kvm.vcpu */
static struct kvm_run *run_of[FAKE_VMS * FAKE_VCPUS];
static struct hypr_control_page *control;

#define VIEWS		16
#define SLOTS		512
#define LOG_PAGES	4096	/* of 16 MiB */

static pthread_mutex_t slot_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kvm_userspace_memory_region slots[VIEWS][SLOTS];	/* slot_lock;
									 * by view or VM */
static uint64_t dirty[VIEWS][LOG_PAGES / 64];			/* slot_lock */
static bool two_calls;						/* slot_lock */

static pthread_mutex_t line_lock = PTHREAD_MUTEX_INITIALIZER;

int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_close(int fd);
int __wrap_ioctl(int fd, unsigned long request, ...);
static void close_vm(unsigned int vm);
static void count_slots(void);

void fake_kvm_reset(void)
{
	memset(&fake_kvm, 0, sizeof(fake_kvm));
	control = NULL;
	memset(slots, 0, sizeof(slots));
	memset(dirty, 0, sizeof(dirty));
	two_calls = false;
}

uint64_t fake_kvm_count(unsigned int vcpu)
{
	return __atomic_load_n(&fake_kvm.vcpu[vcpu].regs.rax, __ATOMIC_SEQ_CST);
}

bool fake_kvm_runs(void)
{
	uint64_t was[FAKE_VCPUS] = { fake_kvm_count(0), fake_kvm_count(1) };
	int i;

	for (i = 0; i < 5000; i++) {
		if (fake_kvm_count(0) > was[0] && fake_kvm_count(1) > was[1])
			return true;
		usleep(1000);
	}
	return false;
}

unsigned int fake_kvm_vcpus_of(int vm_fd)
{
	return vm_of[vm_fd] * FAKE_VCPUS;
}

/* A memfd is a file descriptor that can be mapped. */
static int make_fd(enum kind what)
{
	int fd = memfd_create("fake-kvm", MFD_CLOEXEC);

	if (fd < 0 || fd >= MAX_FD || ftruncate(fd, RUN_BYTES) < 0)
		return -1;
	__atomic_store_n(&kind[fd], what, __ATOMIC_SEQ_CST);
	return fd;
}

static int create_vm(void)
{
	unsigned int vm = 0;
	int fd = make_fd(VM);

	while (fake_kvm.vms & 1u << vm)
		vm++;
	if (fd < 0 || vm >= FAKE_VMS) {
		errno = ENOMEM;
		return -1;
	}
	fake_kvm.vms |= 1u << vm;
	fake_kvm.counters_off = false;
	vm_of[fd] = vm;
	memset(&fake_kvm.vcpu[vm * FAKE_VCPUS], 0, FAKE_VCPUS * sizeof(fake_kvm.vcpu[0]));
	return fd;
}

static void close_vm(unsigned int vm)
{
	fake_kvm.vms &= ~(1u << vm);
	pthread_mutex_lock(&slot_lock);
	memset(slots[vm], 0, sizeof(slots[vm]));
	count_slots();
	pthread_mutex_unlock(&slot_lock);
}

int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode;
	va_list ap;

	if (!strcmp(path, "/dev/kvm"))
		return make_fd(KVM);
	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return __real_open(path, flags, mode);
}

int __wrap_close(int fd)
{
	enum kind what;

	if (fd >= 0 && fd < MAX_FD) {
		what = __atomic_exchange_n(&kind[fd], OTHER, __ATOMIC_SEQ_CST);
		if (what == VCPU)
			munmap(run_of[vcpu_of[fd]], RUN_BYTES);
		if (what == VM)
			close_vm(vm_of[fd]);
	}
	return __real_close(fd);
}

static bool has_flag(unsigned int flag)
{
	return __atomic_load_n(&fake_kvm.flags, __ATOMIC_SEQ_CST) & flag;
}

/* ---- /dev/kvm ------------------------------------------------------------ */

static void get_cpuid_amd(struct kvm_cpuid2 *cpuid)
{
#define SUBLEAF(f, i, a)	{ .function = f, .index = i, .eax = a,		\
				  .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX }
#define FULL(f)			{ .function = f, .eax = ~0u, .ebx = ~0u, .ecx = ~0u, .edx = ~0u }
	static const struct kvm_cpuid_entry2 amd[] = {
		{ .function = 0, .eax = 0x10, .ebx = 0x68747541, .edx = 0x69746e65,
		  .ecx = 0x444d4163 },
		FULL(1), FULL(0x80000001),
		{ .function = 0x80000008, .eax = 0x3030, .ecx = 0x501f },
		FULL(0x8000000a),
		SUBLEAF(0x8000001d, 0, 0x4021), SUBLEAF(0x8000001d, 1, 0x4043),
		SUBLEAF(0x8000001d, 2, 0x3c063), SUBLEAF(0x8000001d, 3, 0),
		{ .function = 0x8000001e, .eax = 17, .ebx = 0x108, .ecx = 0x300 },
		FULL(0x8000001f), FULL(0x80000022), FULL(0x80000026),
	};

	memcpy(cpuid->entries, amd, sizeof(amd));
	cpuid->nent = sizeof(amd) / sizeof(amd[0]);
}

static int get_cpuid(struct kvm_cpuid2 *cpuid)
{
	static const uint32_t leaf[] = { 0, 1, 4, 5, 7, 0xa, 0xb, 0x40000000, 0x80000001 };
	unsigned int i, nr = sizeof(leaf) / sizeof(leaf[0]);

	if (has_flag(FAKE_AMD)) {
		get_cpuid_amd(cpuid);
		return 0;
	}
	for (i = 0; i < nr; i++) {
		cpuid->entries[i] = (struct kvm_cpuid_entry2){
			.function = leaf[i],
			.eax = UINT32_MAX, .ebx = UINT32_MAX,
			.ecx = UINT32_MAX, .edx = UINT32_MAX,
		};
	}
	cpuid->entries[0].eax = 0xd;
	cpuid->nent = nr;
	return 0;
}

static int get_msr_list(struct kvm_msr_list *list)
{
	static const uint32_t msr[] = {
		MSR_TSC, MSR_LSTAR, 0x4b564d00, MSR_DEADLINE, MSR_ARCH_CAPABILITIES,
	};
	uint32_t room = list->nmsrs;

	list->nmsrs = sizeof(msr) / sizeof(msr[0]);
	if (room < list->nmsrs) {
		errno = E2BIG;
		return -1;
	}
	memcpy(list->indices, msr, sizeof(msr));
	return 0;
}

static int check_extension(unsigned long capability)
{
	switch (capability) {
	case KVM_CAP_HYPR_EPT_SWAP:
		return has_flag(FAKE_NO_HYPR) ? 0 : 14;
	case KVM_CAP_XCRS:
		return !has_flag(FAKE_NO_XCRS);
	case KVM_CAP_XSAVE2:
		return 4096;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return has_flag(FAKE_ONE_CALL) ? 0 : 3;
	case KVM_CAP_READONLY_MEM:
		return !has_flag(FAKE_NO_ROM);
	case KVM_CAP_TSC_CONTROL:
		return !has_flag(FAKE_NO_SCALING);
	case KVM_CAP_MAX_VCPUS:
		return FAKE_VCPUS;
	default:
		return 1;
	}
}

static int kvm_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_CREATE_VM:
		return create_vm();
	case KVM_GET_VCPU_MMAP_SIZE:
		return RUN_BYTES;
	case KVM_GET_SUPPORTED_CPUID:
		return get_cpuid(arg);
	case KVM_GET_MSR_INDEX_LIST:
		return get_msr_list(arg);
	default:
		return 0;
	}
}

/* ---- the VM -------------------------------------------------------------- */

static int create_vcpu(unsigned int vm, unsigned long index)
{
	int fd = make_fd(VCPU);

	if (fd < 0)
		return -1;
	index += vm * FAKE_VCPUS;
	vm_of[fd] = vm;
	vcpu_of[fd] = (unsigned int)index;
	fake_kvm.vcpu[index].msr[MSR_ARCH_CAPABILITIES] = fake_kvm.arch_capabilities;
	run_of[index] = mmap(NULL, RUN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return fd;
}

static unsigned int place(unsigned int vm, uint32_t id)
{
	return (vm + (id >> 16)) % VIEWS;
}

static struct kvm_userspace_memory_region *slot_of(unsigned int vm, uint32_t id)
{
	return &slots[place(vm, id)][id & (SLOTS - 1)];
}

const struct kvm_userspace_memory_region *fake_kvm_slot(unsigned int view, unsigned int n)
{
	const struct kvm_userspace_memory_region *slot = slot_of(0, view << 16 | n);

	return slot->memory_size ? slot : NULL;
}

static void count_slots(void)
{
	unsigned int view, n;

	fake_kvm.slots = 0;
	fake_kvm.logging = 0;
	for (view = 0; view < VIEWS; view++) {
		for (n = 0; n < SLOTS; n++) {
			fake_kvm.slots += !!slots[view][n].memory_size;
			fake_kvm.logging += !!(slots[view][n].flags & KVM_MEM_LOG_DIRTY_PAGES);
		}
	}
}

/* Only the dirty log of a slot that there is can be changed. */
static bool may_set(const struct kvm_userspace_memory_region *old,
		    const struct kvm_userspace_memory_region *region)
{
	if ((region->flags & KVM_MEM_LOG_DIRTY_PAGES) && has_flag(FAKE_NO_LOG))
		return false;
	/* Deleting what is not there is no success in KVM either. */
	if (!old->memory_size || !region->memory_size)
		return old->memory_size || region->memory_size;
	return old->guest_phys_addr == region->guest_phys_addr &&
	       old->memory_size == region->memory_size &&
	       old->userspace_addr == region->userspace_addr &&
	       !((old->flags ^ region->flags) & ~KVM_MEM_LOG_DIRTY_PAGES);
}

static uint64_t slot_page(const struct kvm_userspace_memory_region *slot, uint64_t i)
{
	return slot->guest_phys_addr / 4096 + i;
}

static bool log_bit(unsigned int view, uint64_t page, bool clear)
{
	uint64_t bit = 1ull << page % 64, *word = &dirty[view][page / 64];
	bool was = *word & bit;

	if (clear)
		*word &= ~bit;
	return was;
}

static int set_slot(unsigned int vm, const struct kvm_userspace_memory_region *region)
{
	struct kvm_userspace_memory_region *slot = slot_of(vm, region->slot);
	int ret = -1;

	pthread_mutex_lock(&slot_lock);
	if (may_set(slot, region)) {
		/* A log begins empty. */
		if (~slot->flags & region->flags & KVM_MEM_LOG_DIRTY_PAGES)
			for (uint64_t i = 0; i < region->memory_size / 4096; i++)
				log_bit(place(vm, region->slot), slot_page(region, i), true);
		*slot = *region;
		if (!region->memory_size)
			memset(slot, 0, sizeof(*slot));
		count_slots();
		ret = 0;
	}
	pthread_mutex_unlock(&slot_lock);
	if (ret)
		errno = EINVAL;
	else if (region->guest_phys_addr == HYPR_CONTROL_GPA)
		__atomic_store_n(&control, (void *)(uintptr_t)region->userspace_addr,
				 __ATOMIC_SEQ_CST);
	return ret;
}

static int enable_cap(const struct kvm_enable_cap *cap)
{
	if (cap->cap == KVM_CAP_PMU_CAPABILITY)
		fake_kvm.counters_off = cap->args[0] == KVM_PMU_CAP_DISABLE;
	if (cap->cap != KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
		return 0;
	if (cap->flags || cap->args[0] != KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE) {
		errno = EINVAL;
		return -1;
	}
	two_calls = true;
	return 0;
}

static int get_log(unsigned int vm, const struct kvm_dirty_log *log)
{
	const struct kvm_userspace_memory_region *slot = slot_of(vm, log->slot);
	uint64_t i, pages = slot->memory_size / 4096, *bitmap = log->dirty_bitmap;

	if (!(log->slot & 0xffff)) {
		if (fake_kvm.on_log_read)
			fake_kvm.on_log_read(fake_kvm.log_reads);
		fake_kvm.log_reads++;
	}
	if (!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES)) {
		errno = ENOENT;
		return -1;
	}
	pthread_mutex_lock(&slot_lock);
	memset(bitmap, 0, (pages + 63) / 64 * 8);
	for (i = 0; i < pages; i++) {
		if (log_bit(place(vm, log->slot), slot_page(slot, i), !two_calls))
			bitmap[i / 64] |= 1ull << i % 64;
	}
	pthread_mutex_unlock(&slot_lock);
	return 0;
}

static int clear_log(unsigned int vm, const struct kvm_clear_dirty_log *log)
{
	const struct kvm_userspace_memory_region *slot = slot_of(vm, log->slot);
	uint64_t i, pages = slot->memory_size / 4096, *bitmap = log->dirty_bitmap;

	if (!(slot->flags & KVM_MEM_LOG_DIRTY_PAGES) || !two_calls || log->first_page ||
	    log->num_pages != pages) {
		errno = EINVAL;
		return -1;
	}
	pthread_mutex_lock(&slot_lock);
	for (i = 0; i < pages; i++) {
		if (bitmap[i / 64] >> i % 64 & 1)
			log_bit(place(vm, log->slot), slot_page(slot, i), true);
	}
	pthread_mutex_unlock(&slot_lock);
	return 0;
}

/* Written and logged in one: between the two nobody reads the log. */
bool fake_kvm_write(uint64_t gpa, uint64_t value)
{
	struct kvm_userspace_memory_region *slot = slots[fake_kvm.active];
	bool done = false;
	unsigned int n;

	pthread_mutex_lock(&slot_lock);
	for (n = 0; n < SLOTS; n++, slot++) {
		if (gpa < slot->guest_phys_addr ||
		    gpa - slot->guest_phys_addr >= slot->memory_size ||
		    (slot->flags & KVM_MEM_READONLY))
			continue;
		*(volatile uint64_t *)(uintptr_t)(slot->userspace_addr + gpa -
						  slot->guest_phys_addr) = value;
		if (slot->flags & KVM_MEM_LOG_DIRTY_PAGES)
			dirty[fake_kvm.active][gpa / 4096 / 64] |= 1ull << gpa / 4096 % 64;
		done = true;
	}
	pthread_mutex_unlock(&slot_lock);
	return done;
}

/* Above what a boot writes; every third time the page becomes zero. */
uint64_t fake_kvm_written_gpa(uint64_t k)
{
	return 0x800000 + k % FAKE_WRITTEN_PAGES * 4096;
}

uint64_t fake_kvm_written_value(uint64_t k)
{
	return k % 3 ? k : 0;
}

/* ---- states that are kept for views ---------------------------------------- */

static struct fake_kept {
	bool valid;
	uint64_t host_tsc;
	struct fake_vcpu vcpu;
} kept_states[FAKE_VMS * FAKE_VCPUS][KVM_HYPR_MAX_VIEWS][2];

static struct fake_kept *kept_state(unsigned int i, uint32_t view, bool moment)
{
	return &kept_states[i][view % KVM_HYPR_MAX_VIEWS][moment];
}

static int keep_state(unsigned int i, const struct kvm_hypr_keep *arg)
{
	if (!has_flag(FAKE_KEEPS)) {
		errno = EINVAL;
		return -1;
	}
	*kept_state(i, arg->view, arg->flags & KVM_HYPR_KEPT_MOMENT) = (struct fake_kept){
		.valid = true,
		.host_tsc = arg->host_tsc,
		.vcpu = fake_kvm.vcpu[i],
	};
	return 0;
}

static int get_state(unsigned int vm, struct kvm_hypr_state *arg)
{
	struct fake_kept *from = kept_state(vm * FAKE_VCPUS + arg->vcpu, arg->view,
					    arg->flags & KVM_HYPR_KEPT_MOMENT);
	struct kvm_msrs *list = (void *)(uintptr_t)arg->msrs;
	struct kvm_sregs *sregs = (void *)(uintptr_t)arg->sregs;
	uint32_t i;

	if (!from->valid) {
		errno = ENXIO;
		return -1;
	}
	*(struct kvm_regs *)(uintptr_t)arg->regs = from->vcpu.regs;
	memset(sregs, 0, sizeof(*sregs));
	sregs->cr2 = from->vcpu.cr2;
	sregs->cr3 = from->vcpu.cr3;
	*(struct kvm_lapic_state *)(uintptr_t)arg->lapic = from->vcpu.lapic;
	for (i = 0; i < list->nmsrs; i++) {
		if (list->entries[i].index < FAKE_MSRS)
			list->entries[i].data = from->vcpu.msr[list->entries[i].index];
	}
	((struct kvm_mp_state *)(uintptr_t)arg->mp_state)->mp_state = KVM_MP_STATE_RUNNABLE;
	arg->host_tsc = from->host_tsc;
	arg->tsc_offset = from->vcpu.tsc_offset;
	arg->tsc_deadline = from->vcpu.deadline;
	return 0;
}

/* Held by a vCPU in the guest, and by a swap that has all vCPUs in front of their entry. */
static pthread_rwlock_t barrier = PTHREAD_RWLOCK_INITIALIZER;

/* All of a parked vCPU that goes with a view. */
static void move_state(struct fake_vcpu *vcpu, struct fake_kept *from, struct fake_kept *to,
		       uint64_t now)
{
	struct fake_vcpu next = to->vcpu;

	next.tsc_offset += to->host_tsc - now;
	*from = (struct fake_kept){ .valid = true, .host_tsc = now, .vcpu = *vcpu };
	vcpu->regs = next.regs;
	vcpu->cr2 = next.cr2;
	vcpu->cr3 = next.cr3;
	vcpu->lapic = next.lapic;
	vcpu->tsc_offset = next.tsc_offset;
	vcpu->deadline = next.deadline;
	memcpy(vcpu->msr, next.msr, sizeof(vcpu->msr));
}

/* Of the chips, the pins of the I/O APIC. */
static struct fake_board {
	bool valid;
	uint32_t irr;
} boards[KVM_HYPR_MAX_VIEWS][2];

static int keep_board(const struct kvm_hypr_keep_board *arg)
{
	if (!has_flag(FAKE_KEEPS)) {
		errno = EINVAL;
		return -1;
	}
	boards[arg->view % KVM_HYPR_MAX_VIEWS][arg->flags & KVM_HYPR_KEPT_MOMENT] =
		(struct fake_board){ true, fake_kvm.irr };
	return 0;
}

static int get_board(const struct kvm_hypr_board *arg)
{
	const struct fake_board *board = &boards[arg->view % KVM_HYPR_MAX_VIEWS]
						[arg->flags & KVM_HYPR_KEPT_MOMENT];

	if (!board->valid) {
		errno = ENXIO;
		return -1;
	}
	((struct kvm_ioapic_state *)(uintptr_t)arg->ioapic)->irr = board->irr;
	return 0;
}

static int copy_state(unsigned int vm, const struct kvm_hypr_copy *arg)
{
	bool moment = arg->flags & KVM_HYPR_KEPT_MOMENT;
	bool from_moment = arg->from_flags & KVM_HYPR_KEPT_MOMENT;
	unsigned int i, first = vm * FAKE_VCPUS;

	if (!has_flag(FAKE_KEEPS) || has_flag(FAKE_NO_COPY)) {
		errno = EINVAL;
		return -1;
	}
	for (i = first; i < first + FAKE_VCPUS; i++) {
		if (!kept_state(i, arg->from_view, from_moment)->valid) {
			errno = ENXIO;
			return -1;
		}
		*kept_state(i, arg->view, moment) = *kept_state(i, arg->from_view, from_moment);
	}
	boards[arg->view % KVM_HYPR_MAX_VIEWS][moment] =
		boards[arg->from_view % KVM_HYPR_MAX_VIEWS][from_moment];
	return 0;
}

static bool is_kept(unsigned int vm, const struct kvm_hypr_swap *swap)
{
	bool moment = swap->flags & KVM_EPT_SWAP_MOMENT;
	unsigned int i, first = vm * FAKE_VCPUS;

	for (i = first; i < first + FAKE_VCPUS; i++) {
		if (!kept_state(i, swap->view, moment)->valid ||
		    !kept_state(i, fake_kvm.active, false)->valid)
			return false;
	}
	return !(swap->flags & KVM_EPT_SWAP_BOARD) ||
	       (boards[swap->view % KVM_HYPR_MAX_VIEWS][moment].valid &&
		boards[fake_kvm.active % KVM_HYPR_MAX_VIEWS][0].valid);
}

static bool all_parked(void)
{
	unsigned int i;

	for (i = 0; i < FAKE_VCPUS; i++) {
		if (__atomic_load_n(&control->vcpu[i].state, __ATOMIC_SEQ_CST) !=
		    HYPR_VCPU_PAUSED)
			return false;
	}
	return true;
}

static void change_all(uint32_t from, uint32_t to)
{
	unsigned int i;

	for (i = 0; i < FAKE_VCPUS; i++) {
		uint32_t expected = from;

		__atomic_compare_exchange_n(&control->vcpu[i].state, &expected, to, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	}
}

static void unpark_all(void)
{
	change_all(HYPR_VCPU_PAUSE_REQUESTED, HYPR_VCPU_RUNNING);
	change_all(HYPR_VCPU_PAUSED, HYPR_VCPU_RUNNING);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int park_all(uint64_t timeout_ns)
{
	uint64_t end = now_ns() + timeout_ns;

	change_all(HYPR_VCPU_RUNNING, HYPR_VCPU_PAUSE_REQUESTED);
	while (!all_parked()) {
		if (now_ns() > end) {
			unpark_all();
			errno = EAGAIN;
			return -1;
		}
		sched_yield();
	}
	fake_kvm.pauses++;
	return 0;
}

/* ---- memory back to its moment --------------------------------------------- */

static struct kvm_hypr_moment moments[KVM_HYPR_MAX_VIEWS];
/* Read once, as the kernel does; of the first pages alone. */
static uint64_t moment_zeros[KVM_HYPR_MAX_VIEWS][64];

static int set_moment(const struct kvm_hypr_moment *arg)
{
	uint64_t *zeros = moment_zeros[arg->view % KVM_HYPR_MAX_VIEWS];
	size_t bytes = arg->size / 4096 / 8, i;

	if (!has_flag(FAKE_KEEPS)) {
		errno = EINVAL;
		return -1;
	}
	moments[arg->view % KVM_HYPR_MAX_VIEWS] = *arg;
	memset(zeros, 0, sizeof(moment_zeros[0]));
	if (arg->zeros)
		memcpy(zeros, (void *)(uintptr_t)arg->zeros,
		       bytes < sizeof(moment_zeros[0]) ? bytes : sizeof(moment_zeros[0]));
	fake_kvm.zeros = 0;
	for (i = 0; i < 64; i++)
		fake_kvm.zeros += __builtin_popcountll(zeros[i]);
	return 0;
}

static bool is_zero_at_moment(unsigned int view, uint64_t page)
{
	return page / 64 < 64 && moment_zeros[view % KVM_HYPR_MAX_VIEWS][page / 64] >> page % 64 & 1;
}

/* @tracks: from any thread. */
static uint64_t written_take(uint32_t view)
{
	return __atomic_exchange_n(&fake_kvm.written_in[view % KVM_HYPR_MAX_VIEWS], 0,
				   __ATOMIC_SEQ_CST) |
	       __atomic_exchange_n(&fake_kvm.written, fake_kvm.written_again, __ATOMIC_SEQ_CST);
}

/* The pages that were written, and those of the caller's bitmap. */
static int put_back(unsigned int vm, struct kvm_hypr_swap *swap)
{
	const struct kvm_hypr_moment *moment = &moments[swap->view % KVM_HYPR_MAX_VIEWS];
	const uint64_t *bits = (const uint64_t *)(uintptr_t)moment->bitmap;
	uint8_t *to = (uint8_t *)(uintptr_t)slot_of(vm, swap->view << 16)->userspace_addr;
	uint64_t page, written;

	if (fake_kvm.put_back_errno) {
		errno = fake_kvm.put_back_errno;
		return -1;
	}
	if (!moment->size || swap->view != fake_kvm.active || !fake_kvm.tracks) {
		errno = !moment->size ? ENXIO : fake_kvm.tracks ? EINVAL : EOPNOTSUPP;
		return -1;
	}
	written = written_take(swap->view);
	for (page = 0; page < moment->size / 4096; page++) {
		if (!((bits[page / 64] | (page < 64 ? written : 0)) >> page % 64 & 1))
			continue;
		if (is_zero_at_moment(swap->view, page))
			memset(to + page * 4096, 0, 4096);
		else
			memcpy(to + page * 4096,
			       (uint8_t *)(uintptr_t)moment->userspace_addr + page * 4096, 4096);
		swap->pages++;
	}
	fake_kvm.put_backs++;
	return 0;
}

/* Where user space says in which view the guest may ask for a reset, and learns of it. */
static struct kvm_hypr_requests_page *requests;
static int requests_event;

static int set_requests(const struct kvm_hypr_requests *arg)
{
	if (!has_flag(FAKE_KEEPS)) {
		errno = ENOTTY;
		return -1;
	}
	requests = (struct kvm_hypr_requests_page *)(uintptr_t)arg->userspace_addr;
	requests_event = arg->flags & KVM_HYPR_REQUESTS_EVENTFD ? arg->eventfd : -1;
	return 0;
}

static bool go_on_in_spare(void)
{
	uint32_t spare = __atomic_load_n(&requests->spare, __ATOMIC_SEQ_CST);

	if (!spare)
		return false;
	fake_kvm.active = spare;
	requests->view = spare;
	requests->spare = 0;
	requests->spares++;
	return true;
}

static bool is_back_allowed(void)
{
	return requests &&
	       __atomic_load_n(&requests->view, __ATOMIC_SEQ_CST) == fake_kvm.active;
}

static bool go_back(void)
{
	struct kvm_hypr_swap swap = { .view = fake_kvm.active };
	const uint64_t once = 1;
	bool spare = go_on_in_spare();

	if (!spare && put_back(0, &swap))
		return false;
	requests->pages += swap.pages;
	requests->generation = ++fake_kvm.generation;
	__atomic_fetch_add(&requests->resets, 1, __ATOMIC_SEQ_CST);
	return !spare || write(requests_event, &once, sizeof(once)) == sizeof(once);
}

bool fake_kvm_back(void)
{
	return is_back_allowed() && go_back();
}

bool fake_kvm_back_late(bool (*is_late)(void))
{
	unsigned int i;
	bool done;

	if (!requests)
		return false;
	__atomic_store_n(&requests->serving, 1, __ATOMIC_SEQ_CST);
	done = is_back_allowed();
	while (done && is_back_allowed())
		sched_yield();
	/* Time for who does not wait. */
	for (i = 0; i < 1000 && !is_late(); i++)
		sched_yield();
	done = done && !is_late() && go_back();
	__atomic_store_n(&requests->serving, 0, __ATOMIC_SEQ_CST);
	return done;
}

uint32_t fake_kvm_back_spare(void)
{
	return requests ? __atomic_load_n(&requests->spare, __ATOMIC_SEQ_CST) : 0;
}

uint32_t fake_kvm_await_spare(void)
{
	unsigned int i;

	for (i = 0; i < 10000 && !fake_kvm_back_spare(); i++)
		usleep(1000);
	return fake_kvm_back_spare();
}

uint32_t fake_kvm_back_view(void)
{
	return requests ? __atomic_load_n(&requests->view, __ATOMIC_SEQ_CST) : 0;
}

static int move_all(unsigned int vm, const struct kvm_hypr_swap *swap)
{
	bool moment = swap->flags & KVM_EPT_SWAP_MOMENT;
	struct fake_board *from = &boards[fake_kvm.active % KVM_HYPR_MAX_VIEWS][0];
	uint64_t now = __builtin_ia32_rdtsc();
	unsigned int i, first = vm * FAKE_VCPUS;

	if (fake_kvm.swap_errno == EBUSY ||
	    !(all_parked() || (swap->flags & KVM_EPT_SWAP_FORCE))) {
		fake_kvm.swap_errno = 0;
		errno = EBUSY;
		return -1;
	}
	pthread_rwlock_wrlock(&barrier);
	for (i = first; i < first + FAKE_VCPUS; i++)
		move_state(&fake_kvm.vcpu[i], kept_state(i, fake_kvm.active, false),
			   kept_state(i, swap->view, moment), now);
	pthread_rwlock_unlock(&barrier);
	if (swap->flags & KVM_EPT_SWAP_BOARD) {
		*from = (struct fake_board){ true, fake_kvm.irr };
		fake_kvm.irr = boards[swap->view % KVM_HYPR_MAX_VIEWS][moment].irr;
	}
	fake_kvm.moves++;
	if (fake_kvm.on_moved)
		fake_kvm.on_moved();
	return 0;
}

/*
 * A running guest is held where it is: here, by having it park.  One that does not counts
 * as in the middle of something.
 */
static int hold_and_put_back(unsigned int vm, struct kvm_hypr_swap *swap)
{
	if (!all_parked() && park_all(20000000)) {
		errno = EBUSY;
		return -1;
	}
	if (fake_kvm.swap_errno == EBUSY && !(swap->flags & KVM_EPT_SWAP_PAUSE)) {
		fake_kvm.swap_errno = 0;
		unpark_all();
		errno = EBUSY;
		return -1;
	}
	if (!put_back(vm, swap))
		return 0;
	if (!(swap->flags & KVM_EPT_SWAP_PAUSE))
		unpark_all();
	return -1;
}

/* In the kernel's order: what is missing, pause, memory, state. */
static int pause_and_move(unsigned int vm, struct kvm_hypr_swap *swap)
{
	bool pauses = swap->flags & KVM_EPT_SWAP_PAUSE;

	if ((swap->flags & KVM_EPT_SWAP_STATE) && !is_kept(vm, swap)) {
		errno = ENXIO;
		return -1;
	}
	if (pauses && park_all(swap->timeout_ns))
		return -1;
	if ((swap->flags & KVM_EPT_SWAP_RESET) && hold_and_put_back(vm, swap)) {
		if (pauses)
			unpark_all();
		return -1;
	}
	if (!(swap->flags & KVM_EPT_SWAP_STATE) || !move_all(vm, swap))
		return 0;
	if (pauses)
		unpark_all();
	return -1;
}

static int swap_all(unsigned int vm, struct kvm_hypr_swap *swap)
{
	fake_kvm.asked = *swap;
	/* EBUSY comes after the pause. */
	if (fake_kvm.swap_errno &&
	    (fake_kvm.swap_errno != EBUSY || !(swap->flags & KVM_EPT_SWAP_STATE))) {
		errno = fake_kvm.swap_errno;
		fake_kvm.swap_errno = 0;
		return -1;
	}
	if (swap->view && !(fake_kvm.prepared & 1u << swap->view)) {
		errno = ENODATA;
		return -1;
	}
	if (swap->timeout_ns > KVM_EPT_SWAP_TIMEOUT_MAX_NS) {
		errno = EINVAL;
		return -1;
	}
	if (pause_and_move(vm, swap))
		return -1;
	swap->old_view = fake_kvm.active;
	fake_kvm.active = swap->view;
	fake_kvm.swaps++;
	fake_kvm.flushes += !!(swap->flags & KVM_EPT_SWAP_FLUSH);
	swap->generation = ++fake_kvm.generation;
	if (control)
		__atomic_store_n(&control->generation, swap->generation, __ATOMIC_SEQ_CST);
	swap->commit_cycles = 1000;
	return 0;
}

/* A part that fails was built up to its middle; with EAGAIN all of it is lost. */
static int prepare(struct kvm_hypr_prepare *arg)
{
	uint64_t pages = arg->size / 4096;

	if (!(arg->flags & KVM_HYPR_PREPARE_RANGE)) {
		fake_kvm.prepared |= 1u << arg->view;
		return 0;
	}
	if (arg->gpa % 4096 || arg->size % 4096 || !arg->size ||
	    fake_kvm.nr_parts == FAKE_PARTS) {
		errno = EINVAL;
		return -1;
	}
	if (fake_kvm.part_errno && fake_kvm.nr_parts == fake_kvm.part_fails) {
		errno = fake_kvm.part_errno;
		fake_kvm.part_errno = 0;
		pages /= 2;
		arg->next_gpa = arg->gpa + pages * 4096;
		arg->pages_mapped = pages;
		if (errno == EAGAIN)
			fake_kvm.nr_parts = 0;
		else if (pages)
			fake_kvm.part[fake_kvm.nr_parts++] = (struct kvm_hypr_prepare){
				.view = arg->view, .gpa = arg->gpa, .size = pages * 4096 };
		return -1;
	}
	arg->pages_mapped = pages;
	arg->next_gpa = arg->gpa + arg->size;
	fake_kvm.part[fake_kvm.nr_parts++] = *arg;
	fake_kvm.prepared |= 1u << arg->view;
	return 0;
}

#define LAPIC_IRR	0x200

bool fake_kvm_is_raised(const struct kvm_lapic_state *lapic, unsigned int vector)
{
	return lapic->regs[LAPIC_IRR + vector / 32 * 16 + vector % 32 / 8] & 1 << vector % 8;
}

/* Pins that were low before: each is an edge. */
static void raise_pins(unsigned int vm, uint32_t pins)
{
	char *regs = fake_kvm.vcpu[vm * FAKE_VCPUS].lapic.regs;

	if (pins & ~fake_kvm.irr)
		regs[LAPIC_IRR + FAKE_LINE_VECTOR / 32 * 16 + FAKE_LINE_VECTOR % 32 / 8] |=
			1 << FAKE_LINE_VECTOR % 8;
	fake_kvm.irr |= pins;
}

static int irq_line(unsigned int vm, const struct kvm_irq_level *line)
{
	pthread_mutex_lock(&line_lock);
	if (line->level)
		raise_pins(vm, 1u << line->irq);
	else
		fake_kvm.irr &= ~(1u << line->irq);
	pthread_mutex_unlock(&line_lock);
	return 0;
}

/* What waits in the I/O APIC is handed on once more. */
static int set_chip(unsigned int vm, const struct kvm_irqchip *chip)
{
	if (chip->chip_id != KVM_IRQCHIP_IOAPIC)
		return 0;
	pthread_mutex_lock(&line_lock);
	fake_kvm.irr = 0;
	raise_pins(vm, chip->chip.ioapic.irr);
	pthread_mutex_unlock(&line_lock);
	return 0;
}

/* As they are after power-on. */
static int get_chip(struct kvm_irqchip *chip)
{
	if (fake_kvm.on_save)
		fake_kvm.on_save();
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
		chip->chip.pic.elcr_mask = 0xf8;
		return 0;
	case KVM_IRQCHIP_PIC_SLAVE:
		chip->chip.pic.elcr_mask = 0xde;
		return 0;
	default:
		chip->chip.ioapic.base_address = 0xfec00000;
		chip->chip.ioapic.irr = fake_kvm.irr;
		return 0;
	}
}

static int get_written(struct kvm_hypr_written *arg)
{
	uint64_t *bitmap = (uint64_t *)(uintptr_t)arg->bitmap;

	if (fake_kvm.on_written)
		fake_kvm.on_written(arg->view);
	if (fake_kvm.written_errno) {
		errno = fake_kvm.written_errno;
		return -1;
	}
	memset(bitmap, fake_kvm.tracks ? 0 : 0xff, arg->nr_pages / 8);
	arg->pages = arg->nr_pages;
	if (fake_kvm.tracks) {
		bitmap[0] = written_take(arg->view);
		arg->pages = (uint64_t)__builtin_popcountll(bitmap[0]);
	}
	return 0;
}

static int vm_ioctl(unsigned int vm, unsigned long request, void *arg)
{
	switch (request) {
	case KVM_CHECK_EXTENSION:
		return check_extension((unsigned long)arg);
	case KVM_CREATE_VCPU:
		return create_vcpu(vm, (unsigned long)arg);
	case KVM_SET_USER_MEMORY_REGION:
		return set_slot(vm, arg);
	case KVM_ENABLE_CAP:
		return enable_cap(arg);
	case KVM_GET_DIRTY_LOG:
		return get_log(vm, arg);
	case KVM_CLEAR_DIRTY_LOG:
		return clear_log(vm, arg);
	case KVM_GET_IRQCHIP:
		fake_kvm.chip_ioctls++;
		return get_chip(arg);
	case KVM_SET_IRQCHIP:
		fake_kvm.chip_ioctls++;
		return set_chip(vm, arg);
	case KVM_IRQ_LINE:
		return irq_line(vm, arg);
	case KVM_PREPARE_EPT_SWAP:
		return prepare(arg);
	case KVM_HYPR_GET_WRITTEN:
		return get_written(arg);
	case KVM_HYPR_DISCARD_VIEW:
		fake_kvm.prepared &= ~(1u << ((struct kvm_hypr_discard *)arg)->view);
		return 0;
	case KVM_EPT_SWAP_ALL:
		return swap_all(vm, arg);
	case KVM_HYPR_GET_STATE:
		return get_state(vm, arg);
	case KVM_HYPR_KEEP_BOARD:
		return keep_board(arg);
	case KVM_HYPR_GET_BOARD:
		return get_board(arg);
	case KVM_HYPR_SET_MOMENT:
		return set_moment(arg);
	case KVM_HYPR_COPY_STATE:
		return copy_state(vm, arg);
	case KVM_HYPR_SET_REQUESTS:
		return set_requests(arg);
	default:
		return 0;
	}
}

/* ---- a vCPU -------------------------------------------------------------- */

static bool change(uint32_t *word, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/* RAX counts the writes, too: what stands in memory can be told by it. */
static void write_some(struct fake_vcpu *vcpu)
{
	unsigned int writes = __atomic_load_n(&fake_kvm.writes, __ATOMIC_SEQ_CST);
	uint64_t k;

	do {
		k = __atomic_add_fetch(&vcpu->regs.rax, 1, __ATOMIC_SEQ_CST);
		if (writes)
			fake_kvm_write(fake_kvm_written_gpa(k), fake_kvm_written_value(k));
	} while (writes-- > 1);
}

/* One step of the guest: answer the control page, or count. */
static void guest_step(unsigned int i)
{
	struct hypr_control_page *page = __atomic_load_n(&control, __ATOMIC_SEQ_CST);
	unsigned int flags = __atomic_load_n(&fake_kvm.flags, __ATOMIC_SEQ_CST);
	struct fake_vcpu *vcpu = &fake_kvm.vcpu[i];
	uint32_t *state = page ? &page->vcpu[i % FAKE_VCPUS].state : NULL;

	if (state && !(flags & FAKE_UNPATCHED)) {
		if (!vcpu->up)
			vcpu->up = change(state, HYPR_VCPU_OFFLINE, HYPR_VCPU_RUNNING);
		if (!(flags & FAKE_DEAF))
			change(state, HYPR_VCPU_PAUSE_REQUESTED, HYPR_VCPU_PAUSED);
		if (__atomic_load_n(state, __ATOMIC_SEQ_CST) == HYPR_VCPU_PAUSED)
			return;
	}
	if ((flags & FAKE_SLOW_START) && !vcpu->loaded)
		fake_kvm.ran_unloaded = true;
	if (i == 0)
		write_some(vcpu);
	else
		__atomic_add_fetch(&vcpu->regs.rax, 1, __ATOMIC_SEQ_CST);
}

static int exit_now(struct kvm_run *run)
{
	run->exit_reason = fake_kvm.exit_reason;
	fake_kvm.exit_reason = 0;
	if (run->exit_reason == KVM_EXIT_IO) {
		run->io.direction = KVM_EXIT_IO_OUT;
		run->io.size = 4;
		run->io.port = fake_kvm.port;
		run->io.count = 1;
		run->io.data_offset = IO_OFFSET;
		memcpy((uint8_t *)run + IO_OFFSET, &fake_kvm.value, 4);
	} else if (run->exit_reason == KVM_EXIT_MMIO) {
		run->mmio.phys_addr = fake_kvm.gpa;
		run->mmio.is_write = 1;
		run->mmio.len = 8;
	}
	return 0;
}

/*
 * vCPU 1 waits for a lock with interrupts off, on a host that cannot take it out
 * of the guest then: it leaves when vCPU 0 has gone on by a few steps, which
 * releases the lock.  Gives up after 30 s, so that a test fails instead of
 * hanging.
 */
static void spin_for_vcpu_0(void)
{
	uint64_t was = __atomic_load_n(&fake_kvm.vcpu[0].regs.rax, __ATOMIC_SEQ_CST);
	int i;

	for (i = 0; i < 300000; i++) {
		if (__atomic_load_n(&fake_kvm.vcpu[0].regs.rax, __ATOMIC_SEQ_CST) >= was + 2)
			break;
		usleep(100);
	}
}

static int vcpu_run(unsigned int i)
{
	const struct timespec step = { .tv_nsec = 100000 }, asleep = { .tv_nsec = 300000000 };
	struct kvm_run *run = run_of[i];

	if (has_flag(FAKE_SLOW_START) && !fake_kvm.vcpu[i].loaded && i % FAKE_VCPUS)
		usleep(400000);
	while (!__atomic_load_n(&run->immediate_exit, __ATOMIC_SEQ_CST)) {
		if (i % FAKE_VCPUS == 0 && fake_kvm.on_step && !fake_kvm.exit_reason)
			fake_kvm.on_step();
		if (has_flag(FAKE_HALTED | FAKE_IDLE)) {
			/* Until it is kicked: the signal, or the word it sets before. */
			nanosleep(&asleep, NULL);
			continue;
		}
		if (i % FAKE_VCPUS == 0 && __atomic_load_n(&fake_kvm.exit_reason, __ATOMIC_SEQ_CST))
			return exit_now(run);
		if (__atomic_load_n(&fake_kvm.run_errno[i % FAKE_VCPUS], __ATOMIC_SEQ_CST)) {
			errno = __atomic_exchange_n(&fake_kvm.run_errno[i % FAKE_VCPUS], 0,
						    __ATOMIC_SEQ_CST);
			return -1;
		}
		pthread_rwlock_rdlock(&barrier);
		guest_step(i);
		pthread_rwlock_unlock(&barrier);
		nanosleep(&step, NULL);
	}
	/* Once: the lock is taken and released again. */
	if (i == 1 && (__atomic_fetch_and(&fake_kvm.flags, ~FAKE_SPINNING,
					  __ATOMIC_SEQ_CST) & FAKE_SPINNING))
		spin_for_vcpu_0();
	errno = EINTR;
	return -1;
}

static int device_attr(struct fake_vcpu *vcpu, unsigned long request,
		       const struct kvm_device_attr *attr)
{
	uint64_t *offset = (uint64_t *)(uintptr_t)attr->addr;

	if (request == KVM_GET_DEVICE_ATTR)
		*offset = vcpu->tsc_offset;
	if (request == KVM_SET_DEVICE_ATTR) {
		vcpu->tsc_offset = *offset;
		vcpu->offset_fresh = true;
	}
	return 0;
}

static uint64_t read_tsc(void)
{
	uint32_t lo, hi, aux;

	asm volatile("rdtscp" : "=a" (lo), "=d" (hi), "=c" (aux) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

/* As KVM does: what is within 250 ppm is not scaled, and neither is what cannot be. */
uint64_t fake_kvm_scaled(uint64_t host_tsc, uint64_t khz)
{
	uint64_t apart = khz > FAKE_TSC_KHZ ? khz - FAKE_TSC_KHZ : FAKE_TSC_KHZ - khz;

	if (!khz || has_flag(FAKE_NO_SCALING) || apart <= FAKE_TSC_KHZ * 250 / 1000000)
		return host_tsc;
	return (uint64_t)((unsigned __int128)host_tsc * khz / FAKE_TSC_KHZ);
}

/* Where its value is; NULL: this KVM has no such MSR. */
static uint64_t *msr_of(struct fake_vcpu *vcpu, uint32_t index)
{
	unsigned int banks = vcpu->mce_banks ? (unsigned int)vcpu->mce_banks : 32;

	if (index == MSR_LSTAR)
		return &vcpu->msr[0];
	if (index == MSR_DEADLINE)
		return &vcpu->deadline;
	if (index == MSR_TSC || index == MSR_ARCH_CAPABILITIES)
		return &vcpu->msr[index];
	if ((index >= 0x200 && index < 0x210) || index == 0x250 || index == 0x258 ||
	    index == 0x259 || (index >= 0x268 && index < 0x270) || index == 0x2ff ||
	    (index >= 0x400 && index < 0x400 + 4 * banks))
		return &vcpu->msr[index];
	return NULL;
}

/* As KVM: up to the first that it does not have. */
static int msrs(struct fake_vcpu *vcpu, bool set, struct kvm_msrs *list)
{
	uint32_t i;

	for (i = 0; i < list->nmsrs; i++) {
		struct kvm_msr_entry *msr = &list->entries[i];
		uint64_t *value = msr_of(vcpu, msr->index);

		if (!value)
			break;
		vcpu->sets += set && msr->index != MSR_DEADLINE;
		if (set)
			*value = msr->data;
		else if (msr->index == MSR_TSC)
			msr->data = fake_kvm_scaled(read_tsc(), vcpu->tsc_khz) +
				    vcpu->tsc_offset;
		else
			msr->data = *value;
		if (set && msr->index == MSR_DEADLINE)
			vcpu->deadline_early |= msr->data && !vcpu->offset_fresh;
	}
	return (int)i;
}

static int set_cpuid(struct fake_vcpu *vcpu, const struct kvm_cpuid2 *cpuid)
{
	uint32_t i;

	for (i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == 0x8000001e) {
			vcpu->apic_id = cpuid->entries[i].eax;
			vcpu->core = cpuid->entries[i].ebx;
		}
	}
	return 0;
}

static int vcpu_enable_cap(struct fake_vcpu *vcpu, const struct kvm_enable_cap *cap)
{
	if (cap->cap == KVM_CAP_ENFORCE_PV_FEATURE_CPUID)
		vcpu->pv_enforced = cap->args[0];
	return 0;
}

static int vcpu_ioctl(unsigned int i, unsigned long request, void *arg)
{
	struct fake_vcpu *vcpu = &fake_kvm.vcpu[i];

	switch (request) {
	case KVM_RUN:
		return vcpu_run(i);
	case KVM_GET_REGS:
		*(struct kvm_regs *)arg = vcpu->regs;
		if (has_flag(FAKE_IDLE))
			((struct kvm_regs *)arg)->rflags |= 1 << 9;
		return 0;
	case KVM_GET_MP_STATE:
		((struct kvm_mp_state *)arg)->mp_state =
			has_flag(FAKE_HALTED | FAKE_IDLE) ? KVM_MP_STATE_HALTED :
							    KVM_MP_STATE_RUNNABLE;
		return 0;
	case KVM_SET_REGS:
		vcpu->regs = *(struct kvm_regs *)arg;
		vcpu->loaded = true;
		vcpu->offset_fresh = false;
		return 0;
	case KVM_GET_SREGS:
		memset(arg, 0, sizeof(struct kvm_sregs));
		((struct kvm_sregs *)arg)->cr3 = vcpu->cr3;
		((struct kvm_sregs *)arg)->cr2 = vcpu->cr2;
		if (has_flag(FAKE_LONG)) {
			((struct kvm_sregs *)arg)->cr0 = 1u << 31 | 1;
			((struct kvm_sregs *)arg)->cr4 = 1u << 5;
			((struct kvm_sregs *)arg)->efer = 1u << 10 | 1u << 8;
		}
		return 0;
	case KVM_SET_SREGS:
		/* As KVM: CR8 is of four bits. */
		if (((struct kvm_sregs *)arg)->cr8 > 15) {
			errno = EINVAL;
			return -1;
		}
		/* KVM flushes what the guest's TLB has when this changes. */
		if (((struct kvm_sregs *)arg)->cr3 != vcpu->cr3)
			__atomic_add_fetch(&fake_kvm.cr3_flushes, 1, __ATOMIC_SEQ_CST);
		vcpu->cr3 = ((struct kvm_sregs *)arg)->cr3;
		vcpu->cr2 = ((struct kvm_sregs *)arg)->cr2;
		return 0;
	case KVM_GET_VCPU_EVENTS:
		/* As KVM: an exception is told without its payload, which takes effect. */
		if (vcpu->fault)
			vcpu->cr2 = vcpu->fault;
		vcpu->fault = 0;
		return 0;
	case PRE_FAULT:
		((struct pre_fault *)arg)->gpa += ((struct pre_fault *)arg)->size;
		((struct pre_fault *)arg)->size = 0;
		return 0;
	case KVM_GET_LAPIC:
		pthread_mutex_lock(&line_lock);
		*(struct kvm_lapic_state *)arg = vcpu->lapic;
		pthread_mutex_unlock(&line_lock);
		if (i == 0 && fake_kvm.on_save)
			fake_kvm.on_save();
		return 0;
	case KVM_SET_LAPIC:
		pthread_mutex_lock(&line_lock);
		vcpu->lapic = *(struct kvm_lapic_state *)arg;
		pthread_mutex_unlock(&line_lock);
		return 0;
	case KVM_GET_TSC_KHZ:
		return (int)(vcpu->tsc_khz ? vcpu->tsc_khz : FAKE_TSC_KHZ);
	case KVM_SET_CPUID2:
		return set_cpuid(vcpu, arg);
	case KVM_ENABLE_CAP:
		return vcpu_enable_cap(vcpu, arg);
	case KVM_X86_SETUP_MCE:
		vcpu->mce_banks = *(uint64_t *)arg;
		return 0;
	case KVM_HYPR_KEEP_STATE:
		return keep_state(i, arg);
	case KVM_GET_EPTP:
		((struct kvm_hypr_eptp *)arg)->view =
			__atomic_load_n(&fake_kvm.active, __ATOMIC_SEQ_CST);
		return 0;
	case KVM_SET_TSC_KHZ:
		vcpu->tsc_khz = (uintptr_t)arg;
		return 0;
	case KVM_GET_MSRS:
	case KVM_SET_MSRS:
		return msrs(vcpu, request == KVM_SET_MSRS, arg);
	case KVM_HAS_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR:
		return device_attr(vcpu, request, arg);
	default:
		return 0;
	}
}

/* ---- all of them --------------------------------------------------------- */

static bool fails_now(unsigned long request)
{
	unsigned int n;

	/* KVM_RUN is no step of an operation, a line's level may be lost. */
	if (request == KVM_RUN || request == KVM_IRQ_LINE || request == KVM_SIGNAL_MSI)
		return false;
	n = __atomic_add_fetch(&fake_kvm.ioctls, 1, __ATOMIC_SEQ_CST);
	return n == __atomic_load_n(&fake_kvm.fail_at, __ATOMIC_SEQ_CST);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	enum kind what;
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (_IOC_TYPE(request) == 'f' && _IOC_NR(request) == 16 && fake_kvm.pagemap_errno) {
		errno = fake_kvm.pagemap_errno;
		return -1;
	}
	what = fd < 0 || fd >= MAX_FD ? OTHER : __atomic_load_n(&kind[fd], __ATOMIC_SEQ_CST);
	if (what == OTHER)
		return __real_ioctl(fd, request, arg);
	if (fails_now(request)) {
		errno = EIO;
		return -1;
	}
	switch (what) {
	case KVM:
		return kvm_ioctl(request, arg);
	case VM:
		return vm_ioctl(vm_of[fd], request, arg);
	default:
		return vcpu_ioctl(vcpu_of[fd], request, arg);
	}
}
