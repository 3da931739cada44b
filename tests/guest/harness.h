/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMs with views for the ioctl tests (tests/kvm) and bench/: raw KVM ioctls, memory of
 * each view, and vCPUs that run the tiny guest of guest.c, each in a thread of its own
 * pinned to a CPU of its own (vCPU i on CPU 1 + i, the asking thread on CPU 0).  With
 * HYPR_UNPINNED in the environment too few CPUs are no reason to skip a test.
 *
 * Functions named try_ return 0 or -errno; the others end the test when
 * anything fails, so that a test reads as what it is about.
 */
#ifndef TESTS_GUEST_HARNESS_H
#define TESTS_GUEST_HARNESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/kvm.h>
#include <linux/kvm_hypr.h>

#include "guest.h"
#include "tap.h"

#define RAM_BYTES	0x200000	/* a view's own memory in most tests */
#define STATE_BYTES	0x4000	/* room for a nested state (KVM_GET_NESTED_STATE) */
#define SWAP_WAIT_NS	5000000000ull	/* the timeout of most swaps */
/*
 * How long a test waits for what must come, before it fails.  Under QEMU the
 * clock is that of the machine, which may have more to do.
 */
#define WAIT_NS		40000000000ull

/* Memory slots that vm_view_add() gives each view. */
enum { SLOT_RAM, SLOT_CONTROL, SLOT_SHARED, SLOT_TAIL, SLOT_FREE };

struct vcpu {
	struct vm *vm;
	struct kvm_run *run;
	struct guest_cpu *guest;
	pthread_t thread;
	int fd;
	int stats_fd;		/* opened early: a running vCPU takes no ioctl */
	int index;
	int tid;
	bool started;
	bool catch;		/* an unusual exit is the test's: see @caught */
	int caught;		/* exit reason, or -errno of KVM_RUN */
	atomic_bool stop;
	atomic_bool outside;	/* waits out of KVM_RUN for @resume */
	atomic_bool resume;
	atomic_bool finish;	/* there, to complete the I/O: vcpu_finish_io() */
};

struct vm {
	int kvm;
	int fd;
	bool nested;		/* before the first vCPU: it may nest */
	bool xapic;		/* before the first vCPU: see GUEST_APIC_VA */
	struct hypr_control_page *control;
	uint8_t *shared;
	uint8_t *ram[KVM_HYPR_MAX_VIEWS];
	size_t ram_bytes;
	struct kvm_cpuid2 *cpuid;
	struct vcpu vcpu[GUEST_MAX_VCPUS];
	int nr_vcpus;
};

/* The device that speaks KVM's API: HYPR_DEVICE in the environment, else /dev/kvm. */
const char *harness_device(void);
int harness_open(void);	/* skips the test when it cannot be opened */

/*
 * The engine behind the device: hyprv lacks what KVM has for a guest with an operating
 * system.  A test that needs such a thing names it here, and is skipped on hyprv.
 */
bool on_hyprv(void);
bool on_shadow(void);	/* hyprv with mmu=shadow */
void need_kvm(const char *what);

int try_ioctl(int fd, unsigned long request, void *arg);
uint64_t now_ns(void);
void need_cpus(int nr_vcpus);	/* skips the test when too few are online */
void pin_to_cpu(int cpu);	/* this thread; else it shares CPU 0 */

/* What the kernel emulates of the interrupt controllers. */
enum irqchip { IRQCHIP_FULL, IRQCHIP_SPLIT, IRQCHIP_NONE };

/*
 * A VM with an irqchip, on hyprv without: without views, or with them (skips without
 * HYPR).
 */
extern unsigned long harness_vm_type;	/* of KVM_CREATE_VM; 0 unless a test sets it */
struct vm *vm_new_plain(void);
struct vm *vm_new(void);
struct vm *vm_new_plain_irqchip(enum irqchip irqchip);
struct vm *vm_new_irqchip(enum irqchip irqchip);	/* with views */
void vm_close(struct vm *vm);
int try_enable_views(struct vm *vm);

int try_set_slot(struct vm *vm, unsigned int view, unsigned int n,
		 uint32_t flags, uint64_t gpa, uint64_t bytes, void *addr);
/* Memory with the view's number in it, the control page, the shared memory. */
void vm_view_add(struct vm *vm, unsigned int view);
void vm_views_add(struct vm *vm, unsigned int nr);	/* boot, 2, 3, ... */
/* A VM with the boot view and two others, prepared, and vCPUs that do not run. */
struct vm *vm_new_prepared(int nr_vcpus);
struct vm *vm_new_stopped(int nr_vcpus);	/* the same, and the vCPUs have run */
void *memory_new(size_t bytes);
/* Give each page of a view's own memory a page of the host, writable. */
void ram_touch(struct vm *vm, unsigned int view);
uint64_t *ram_word(struct vm *vm, unsigned int view, uint64_t gpa);
void vm_control_page_register(struct vm *vm);	/* skips the test on hyprv */

/* What the guests of this KVM are given for nested guests of their own. */
bool vm_has_vmx(struct vm *vm);
bool vm_has_svm(struct vm *vm);

struct vcpu *vm_vcpu_add(struct vm *vm);
void vcpu_mp_state_set(struct vcpu *vcpu, uint32_t value);	/* KVM_MP_STATE_* */
/* All that differs from 64-bit mode: the code segment is at @base, the others at 0. */
void real_mode_set(struct kvm_sregs *sregs, uint32_t base);
void vcpu_start(struct vcpu *vcpu);	/* returns when the guest runs */
void vcpu_stop(struct vcpu *vcpu);	/* returns when the thread is gone */
void vcpus_start(struct vm *vm, int nr);
void vcpus_stop(struct vm *vm);
/*
 * The guest's OUT, or an exit that the test catches, leaves the vCPU's thread
 * in user space: wait for it, and let it run on.
 */
void vcpu_wait_outside(struct vcpu *vcpu);
/* It is outside: have KVM complete the instruction that led there. */
void vcpu_finish_io(struct vcpu *vcpu);
void vcpu_resume(struct vcpu *vcpu);

/* Commands to the guest; see guest.h. */
void vcpu_ask(struct vcpu *vcpu, enum guest_cmd cmd, uint64_t arg0,
	      uint64_t arg1, uint64_t arg2);
void vcpu_wait_done(struct vcpu *vcpu);
void vcpu_do(struct vcpu *vcpu, enum guest_cmd cmd, uint64_t arg0,
	     uint64_t arg1, uint64_t arg2);
uint64_t vcpu_read(struct vcpu *vcpu, uint64_t gpa);
void vcpu_write(struct vcpu *vcpu, uint64_t gpa, uint64_t value);
/* Ask for GUEST_CHURN in view 0, each vCPU in tables and memory of its own. */
void vcpu_ask_churn(struct vcpu *vcpu, uint64_t rounds);
void vcpu_verify(struct vcpu *vcpu, uint64_t start, uint64_t end,
		 uint64_t seed);
/* Its letter in /proc: S while it sleeps, D when no signal wakes it. */
char vcpu_thread_state(struct vcpu *vcpu);
void vcpu_wait_asleep(struct vcpu *vcpu); /* its thread, so that a signal wakes it */
/* Returns when its thread sleeps; skips the test on hyprv without APICs. */
void vcpu_halt(struct vcpu *vcpu);
void vcpu_wake(struct vcpu *vcpu);

/* The view in which the vCPU reads now, as its memory tells. */
unsigned int vcpu_view(struct vcpu *vcpu);
void check_all_in_view(struct vm *vm, unsigned int view);

/* HYPR's ioctls. */
int try_prepare(struct vm *vm, unsigned int view);
int try_discard(struct vm *vm, unsigned int view);
int try_commit(struct vm *vm, unsigned int view, uint32_t flags);
int try_swap_all(struct vm *vm, unsigned int view, uint32_t flags);
struct kvm_hypr_swap vm_commit(struct vm *vm, unsigned int view,
			       uint32_t flags);
struct kvm_hypr_swap vm_swap_all(struct vm *vm, unsigned int view,
				 uint32_t flags);
uint64_t vm_generation(struct vm *vm);

/*
 * A statistic of a vCPU or a VM by its name; ends the test if there is none, skips it on
 * hyprv.
 */
uint64_t vcpu_stat(struct vcpu *vcpu, const char *name);
uint64_t vm_stat(struct vm *vm, const char *name);
/* Up to @max values of it (a histogram has many); returns how many it has. */
size_t vm_stat_values(struct vm *vm, const char *name, uint64_t *values,
		      size_t max);
/* The same of a file descriptor by KVM_GET_STATS_FD. */
size_t stat_values(int stats, const char *name, uint64_t *values, size_t max);
/* A line of /proc/meminfo in KiB. */
long meminfo_kib(const char *name);

void wait_relax(void);

#define WAIT_UNTIL(cond) do {						\
	uint64_t end_ = now_ns() + WAIT_NS;				\
									\
	while (!(cond)) {						\
		if (now_ns() > end_)					\
			FAIL("waited in vain until: %s", #cond);	\
		wait_relax();						\
	}								\
} while (0)

#endif
