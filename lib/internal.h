/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of libhypr share: a VM and its parts.  The file to read first
 * is swap.c; pause.c and state.c are its two halves.
 *
 * Locks, outermost first:
 *	hypr_vm.gone_lock	vCPU threads that find no memory, one at a time
 *	hypr_vm.op_lock		operations on the VM, one at a time
 *	hypr_vm.run_lock	what the vCPU threads are to do (hold, job, ended)
 *	hypr_console.lock, hypr_rtc.lock
 *				device registers
 * Report callbacks run with none of them held.
 */
#ifndef LIB_INTERNAL_H
#define LIB_INTERNAL_H

#include <linux/kvm.h>
#include <linux/kvm_hypr.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hypr/abi/vmo_state.h"
#include "hypr/hypr.h"
#include "hypr/vmo.h"
#include "base/error.h"
#include "base/kick.h"
#include "pc/console.h"
#include "pc/rtc.h"

#define HYPR_PAGE_BYTES		4096ull
#define HYPR_PAUSE_TIMEOUT_MS	2000
#define HYPR_HOLD_TIMEOUT_MS	10000
#define HYPR_HOLD_ROUND_MS	250
#define HYPR_HOLD_BREAK_MS	2

/*
 * Machine check banks: each is four MSRs to save and load at every swap.  KVM gives a
 * vCPU 32 unless it is told otherwise, and so did hypr once.
 */
#define HYPR_MCE_BANKS		1
#define HYPR_MCE_BANKS_KVM	32
#define HYPR_MSR_MCG_CAP	0x179	/* in files; KVM sets it by an ioctl of its own */

struct hypr_engine;
struct hypr_vm;

/**
 * struct hypr_vcpu - one vCPU and its thread
 * @hold: the thread is to stay in user space		(run_lock)
 * @held: it does, with all I/O completed		(run_lock)
 * @job, @job_arg, @job_result: work for the held thread	(run_lock)
 */
struct hypr_vcpu {
	struct hypr_vm *vm;
	unsigned int index;		/* also its APIC ID */
	int fd;				/* it and @run: of the active view (run_lock) */
	struct kvm_run *run;
	pthread_t thread;
	bool has_thread;
	bool hold;
	bool held;
	int (*job)(struct hypr_vcpu *vcpu, void *arg);
	void *job_arg;
	int job_result;
};

/**
 * struct hypr_vcpu_state - what KVM knows of a vCPU
 * @tsc_offset: guest TSC - hypr_state.host_tsc when it was saved
 * @control: HYPR_VCPU_* that the control page is to have when it goes on
 * @parked: it waits in the guest's own park loop
 */
struct hypr_vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debugregs;
	struct kvm_mp_state mp_state;
	uint64_t tsc_offset;
	uint64_t tsc_deadline;
	uint32_t control;
	bool parked;
	struct kvm_msrs *msrs;		/* hypr_vm.nr_msrs entries */
	struct kvm_xsave *xsave;	/* hypr_vm.xsave_bytes */
};

/**
 * struct hypr_state - all of a VM that is not memory
 * @host_tsc: when the guest's clock was stopped: the host's TSC as KVM counts it for
 *	this guest (hypr_state_tsc_now()); 0 in a state from a file
 * @stopped_ns: Unix time then
 * @boot_id: of the guest that was saved, as the control page had it
 */
struct hypr_state {
	bool valid;
	uint64_t host_tsc;
	uint64_t stopped_ns;
	uint64_t boot_id[2];
	struct kvm_irqchip chip[3];	/* PIC master, PIC slave, I/O APIC */
	struct kvm_pit_state2 pit;
	struct hypr_console_state console;
	struct hypr_rtc_state rtc;
	struct hypr_vcpu_state vcpu[];	/* hypr_vm.nr_vcpus */
};

/* Memory that the guest may use alike. */
struct hypr_perm {
	uint64_t gpa;
	uint64_t bytes;
	uint32_t flags;			/* HYPR_VMO_RUN_R, W, X */
};

/* A memory slot of a view; its number is its place in the table. */
struct hypr_slot {
	uint64_t gpa;
	uint64_t bytes;
	bool readonly;
	bool control;			/* the control page, which is no view's own */
};

/*
 * Frozen memory, and the state that belongs to it: of this process (@fd), or from
 * a file (@vmo).  @mem of a file is not to be read: pages of it go away with a
 * file that is truncated, and that is a signal.  hypr_moment_read() is safe.
 */
struct hypr_moment {
	int fd;				/* sealed memfd, holes for zero pages; or -1 */
	struct hypr_vmo *vmo;		/* or NULL */
	char *path;			/* of @vmo */
	const uint8_t *mem;		/* mapped read-only */
	uint64_t pages_stored;
	struct hypr_perm *perm;		/* all memory, ascending; NULL: all RWX */
	size_t nr_perms;
	struct hypr_state *state;
};

/**
 * struct hypr_record - which pages of a view are touched
 * @fd: userfaultfd, while @on
 * @spoilt: what touched them all; NULL: nothing
 */
struct hypr_record {
	bool on;
	int fd;
	const char *spoilt;
};

/* Guarded by op_lock, but for what a running vCPU does to the memory. */
struct hypr_view {
	char name[HYPR_NAME_MAX];
	unsigned int number;		/* with ept-swap KVM's address space id */
	bool open;			/* it has a place for slots: the next three */
	int vm_fd;			/* the KVM VM that has its slots, or -1 */
	uint32_t slot_base;		/* what their numbers begin with */
	struct hypr_machine *machine;	/* engine stock: that VM, all of it */
	uint8_t *mem;
	struct hypr_slot *slot;
	unsigned int nr_slots;
	struct hypr_moment *moment;	/* NULL for the boot view */
	struct hypr_state *state;	/* where it was left, unless it is running */
	bool prepared;
	bool edited;			/* its bytes changed while no vCPU was in it */
	struct hypr_record record;
	uint64_t swaps;
	uint64_t resets;
};

struct hypr_vm {
	/* Set by hypr_vm_create(), then constant. */
	char name[HYPR_NAME_MAX];
	const struct hypr_engine *engine;
	uint64_t mem_bytes;
	unsigned int nr_vcpus;
	unsigned int flags;
	unsigned int pause_timeout_ms;
	unsigned int views_max;		/* the boot view included */
	int *pin;
	unsigned int nr_pin;
	hypr_report_fn report;
	void *report_arg;
	int console_in;
	int console_out;
	int kvm_fd;
	int vm_fd;			/* of the active view; changed with the vCPUs
					 * held, under console.lock */
	size_t run_bytes;
	size_t xsave_bytes;
	bool has_xsave2;
	bool has_deadline;
	bool has_pv_enforce;		/* KVM_CAP_ENFORCE_PV_FEATURE_CPUID */
	bool has_tsc_control;		/* this host can scale a TSC */
	bool tsc_scaled;		/* and does so for this guest */
	uint64_t tsc_khz;		/* of the guest */
	struct kvm_cpuid2 *cpuid;	/* of vCPU 0 */
	unsigned int mce_banks;		/* of the guest's CPU; see HYPR_MCE_BANKS */
	unsigned int nr_msrs;
	uint32_t *msr_index;
	uint64_t *msr_reset;		/* their values when a vCPU is created */
	struct hypr_control_page *control;
	struct hypr_vcpu *vcpu;
	struct hypr_console console;
	struct hypr_rtc rtc;

	pthread_mutex_t gone_lock;
	pthread_mutex_t op_lock;
	struct hypr_view *view[KVM_HYPR_MAX_VIEWS];	/* op_lock, by number */
	struct hypr_view *active;			/* op_lock */
	bool started;					/* op_lock */
	bool paused;					/* op_lock */
	int paused_how;					/* op_lock, HYPR_PAUSE_* */
	uint64_t swaps;					/* op_lock */
	uint64_t generation;				/* op_lock */
	struct hypr_vmo *vmo;		/* it begins in; until it is loaded */
	pthread_t halt_thread;
	bool has_halt_thread;

	pthread_mutex_t run_lock;
	pthread_cond_t go_cond;		/* to the vCPU threads: hold, job or ended changed */
	pthread_cond_t held_cond;	/* from them: held, job or ended changed */
	bool ended;					/* run_lock */
	int end;					/* run_lock, HYPR_END_* */
	char end_reason[96];				/* run_lock */
};

static inline uint64_t hypr_tsc(void)
{
	uint32_t lo, hi;

	/* rdtscp waits for what came before; lfence holds back what comes after. */
	asm volatile("rdtscp\n\tlfence" : "=a" (lo), "=d" (hi) : : "rcx", "memory");
	return (uint64_t)hi << 32 | lo;
}

/* time.c: deadlines on the monotonic clock; the time of day */
uint64_t hypr_now_ns(void);
uint64_t hypr_unix_ns(void);
int hypr_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, uint64_t ns);
int hypr_cond_init(pthread_cond_t *cond);
int hypr_mutex_lock_until(pthread_mutex_t *mutex, uint64_t ns);

/* vm.c */
const char *hypr_vm_engine_name(const struct hypr_vm *vm);
bool hypr_vm_has_ended(struct hypr_vm *vm);
void hypr_vm_end(struct hypr_vm *vm, bool failed, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void hypr_vm_end_as(struct hypr_vm *vm, int end, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int hypr_vm_check_alive(struct hypr_vm *vm);
const char *hypr_vm_lacks(int vm_fd);
void hypr_vm_info_within(struct hypr_vm *vm, unsigned int ms, struct hypr_vm_info *info);

/* load.c: kernel and initrd from files into the boot view */
int hypr_vm_load(struct hypr_vm *vm, const struct hypr_vm_config *config);

/* halt.c: a guest that has halted for good */
int hypr_halt_watch(struct hypr_vm *vm);
void hypr_halt_end(struct hypr_vm *vm);

/* cpuid.c */
int hypr_cpuid_set(struct hypr_vm *vm, const struct kvm_cpuid_entry2 *saved, size_t nr_saved,
		   const char *what);
int hypr_cpuid_give(const struct hypr_vm *vm, int vcpu_fd, unsigned int index);

/* msr.c: which MSRs belong to a state */
int hypr_msr_list_init(struct hypr_vm *vm);
int hypr_msr_place(const struct hypr_vm *vm, uint32_t index);
int hypr_msr_check(const struct hypr_vm *vm, const char *what, unsigned int place,
		   uint64_t value);

/* machine.c: a KVM VM, as every one of a hypr_vm is */
struct hypr_machine {
	int vm_fd;
	unsigned int nr_vcpus;
	size_t run_bytes;
	struct hypr_machine_vcpu {
		int fd;
		struct kvm_run *run;
	} vcpu[];
};
int hypr_machine_chips(int vm_fd);
int hypr_machine_vcpu_open(int vm_fd, unsigned int index, size_t run_bytes,
			   struct hypr_machine_vcpu *vcpu);
void hypr_machine_vcpu_close(struct hypr_machine_vcpu *vcpu, size_t run_bytes);
uint64_t hypr_machine_tsc_khz(int vcpu_fd);
bool hypr_machine_tsc_is_near(uint64_t khz, uint64_t other_khz);
int hypr_machine_set_tsc_khz(const struct hypr_vm *vm, int vcpu_fd);
int hypr_machine_set_features(const struct hypr_vm *vm, int vcpu_fd);
struct hypr_machine *hypr_machine_create(struct hypr_vm *vm, int *err);
struct hypr_machine *hypr_machine_of(struct hypr_vm *vm);
void hypr_machine_destroy(struct hypr_machine *machine);

/* vcpu.c */
int hypr_vcpu_init(struct hypr_vm *vm, unsigned int index);
void hypr_vcpu_fini(struct hypr_vcpu *vcpu);
int hypr_vcpu_start(struct hypr_vcpu *vcpu);
void hypr_vcpu_exit(struct hypr_vcpu *vcpu);
int hypr_vcpus_hold(struct hypr_vm *vm);
int hypr_vcpus_hold_first(struct hypr_vm *vm);
void hypr_vcpus_release(struct hypr_vm *vm);
void hypr_vcpus_kick_locked(struct hypr_vm *vm);
int hypr_vcpus_do(struct hypr_vm *vm, int (*job)(struct hypr_vcpu *vcpu, void *arg),
		  void *arg);

/* port.c: exits to devices */
void hypr_port_exit(struct hypr_vcpu *vcpu);
bool hypr_port_panic(struct hypr_vm *vm);

/* mem.c */
int hypr_mem_slots_check(struct hypr_vm *vm, const struct hypr_moment *moment);
int hypr_mem_slots_add(struct hypr_vm *vm, struct hypr_view *view);
void hypr_mem_slots_remove(struct hypr_view *view);
int hypr_mem_log_has_clear(const struct hypr_view *view, bool *has);
int hypr_mem_log_set(struct hypr_vm *vm, const struct hypr_view *view, unsigned int n, bool on);
int hypr_mem_log_get(const struct hypr_view *view, unsigned int n,
		     uint64_t *bitmap);
int hypr_mem_log_clear(const struct hypr_view *view, unsigned int n,
		       uint64_t *bitmap);
int hypr_mem_control_create(struct hypr_vm *vm);

/* Of a memory, from @gpa on.  Return: 0 to go on. */
typedef int (*hypr_pages_fn)(void *arg, uint64_t gpa, uint64_t pages);

/* dirty.c: which pages of a view were written */

/**
 * struct hypr_dirty - a view whose writes are logged
 * @has_clear: reading and clearing are two calls
 * @bitmap: whole words for each slot, one slot after another
 */
struct hypr_dirty {
	struct hypr_vm *vm;
	const struct hypr_view *view;
	bool has_clear;
	uint64_t *bitmap;
};

int hypr_dirty_start(struct hypr_dirty *dirty, struct hypr_vm *vm, const struct hypr_view *view);
int hypr_dirty_get(struct hypr_dirty *dirty, bool clear, uint64_t *pages);
int hypr_dirty_each(const struct hypr_dirty *dirty, hypr_pages_fn fn, void *arg);
int hypr_dirty_stop(struct hypr_dirty *dirty);

/* peek.c: reading memory that may be gone */
#define HYPR_PEEK_PAGES		64

/** struct hypr_peek - @buf has what was read; @fd < 0: not open */
struct hypr_peek {
	int fd;
	uint8_t *buf;
};

#define HYPR_PEEK_INIT	{ .fd = -1 }

int hypr_peek_open(struct hypr_peek *peek);
void hypr_peek_close(struct hypr_peek *peek);
uint64_t hypr_peek_pages(const struct hypr_peek *peek, const uint8_t *from, uint64_t pages);
bool hypr_view_is_on_file(const struct hypr_view *view);
int hypr_view_look(const struct hypr_view *view, const struct hypr_peek *peek, uint64_t gpa,
		   uint64_t pages, const uint8_t **memp);

/* pagemap.c: the pages of a mapping */
enum hypr_pages { HYPR_PAGES_PRESENT, HYPR_PAGES_PRIVATE };

int hypr_pagemap_scan(const uint8_t *mem, uint64_t bytes, enum hypr_pages kind,
		      hypr_pages_fn fn, void *fn_arg, uint64_t *pages);

/* privmem.c: the pages that a view does not share with its moment */
int hypr_privmem_count(uint8_t *mem, uint64_t bytes, uint64_t *pages);
int hypr_privmem_restore(uint8_t *mem, uint64_t bytes, const uint8_t *from,
			 uint64_t *pages, bool *dropped);
int hypr_privmem_restore_file(struct hypr_vm *vm, const struct hypr_view *view, uint64_t *pages,
			      bool *torn);

/* copy.c: a view's memory into that of a new moment */

/**
 * struct hypr_copy - a copy under way
 * @fd: a memfd, with holes for zero pages; given to the moment at the end
 * @stored: a bit for each page that is none
 */
struct hypr_copy {
	struct hypr_vm *vm;
	const struct hypr_view *view;
	int fd;
	uint64_t *stored;
	uint64_t pages_stored;
	struct hypr_peek peek;
};

int hypr_copy_open(struct hypr_copy *copy, struct hypr_vm *vm, const struct hypr_view *view);
int hypr_copy_pages(struct hypr_copy *copy, uint64_t gpa, uint64_t pages);
int hypr_copy_finish(struct hypr_copy *copy, struct hypr_moment *moment);
void hypr_copy_close(struct hypr_copy *copy);

/* precopy.c */
int hypr_precopy(struct hypr_copy *copy, struct hypr_snapshot_result *result);

/* moment.c */
struct hypr_moment *hypr_moment_create(struct hypr_vm *vm, const struct hypr_view *view);
int hypr_moment_take(struct hypr_vm *vm, struct hypr_snapshot_result *result,
		     struct hypr_moment **momentp);
int hypr_moment_load(struct hypr_vm *vm, struct hypr_vmo *vmo, const char *path,
		     unsigned int flags, struct hypr_moment **momentp);
int hypr_moment_map(struct hypr_vm *vm, const struct hypr_moment *moment, uint8_t **memp);
int hypr_moment_read(const struct hypr_moment *moment, uint64_t gpa, uint64_t pages,
		     uint8_t *buf, const uint8_t **memp);
void hypr_moment_destroy(struct hypr_vm *vm, struct hypr_moment *moment);

/* perm.c: what the guest may do with which memory */
int hypr_perm_from_file(struct hypr_moment *moment, uint64_t mem_bytes);
int hypr_perm_copy(struct hypr_moment *moment, const struct hypr_moment *from);

/* view.c */
struct hypr_view *hypr_view_find(struct hypr_vm *vm, const char *name);
struct hypr_view *hypr_view_lookup(struct hypr_vm *vm, const char *name);
int hypr_view_create_boot(struct hypr_vm *vm, struct hypr_moment *moment);
void hypr_view_destroy(struct hypr_vm *vm, struct hypr_view *view);
int hypr_view_prepare(struct hypr_vm *vm, struct hypr_view *view, uint64_t *pages);

/* working_set.c: which pages a guest touches; op_lock held */
int hypr_load_flags_check(unsigned int flags);
int hypr_view_prefault(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
		       uint64_t *pages);
void hypr_record_stop(struct hypr_view *view);
void hypr_record_spoil(struct hypr_view *view, const char *why);

/* timers.c */
void hypr_lapic_note_expired(struct kvm_lapic_state *lapic);
void hypr_lapic_advance(struct kvm_lapic_state *lapic, uint64_t ns);

/* vmo_state.c: vCPUs and devices as sections of a file */
int hypr_vmo_state_write(struct hypr_vm *vm, const struct hypr_state *state,
			 struct hypr_vmo_writer *writer);
int hypr_vmo_state_read(struct hypr_vm *vm, struct hypr_vmo *vmo, const char *path,
			unsigned int flags, struct hypr_state *state);
int hypr_vmo_check_plain(struct hypr_vmo *vmo, const char *path);
int hypr_vmo_cpu_read(struct hypr_vmo *vmo, const char *path,
		      const struct kvm_cpuid_entry2 **entry, size_t *nr);
int hypr_vmo_mce_banks_read(struct hypr_vmo *vmo, const char *path, unsigned int *banks);
int hypr_vmo_clock_read(struct hypr_vmo *vmo, const char *path,
			const struct hypr_vmo_clock **clock);

/* resurrect.c: a VM that begins in a file */
int hypr_vm_resurrect_open(struct hypr_vm *vm, const struct hypr_vm_config *config);
int hypr_vm_resurrect_load(struct hypr_vm *vm, unsigned int flags);
int hypr_vm_resurrect_go(struct hypr_vm *vm);

/* reset.c: op_lock held, the view not running */
int hypr_view_restore(struct hypr_vm *vm, struct hypr_view *view,
		      struct hypr_reset_result *result);

/* swap.c: op_lock held */
int hypr_swap_locked(struct hypr_vm *vm, struct hypr_view *to, unsigned int flags,
		     struct hypr_swap_result *result, struct hypr_reset_result *reset);

/* pause.c: op_lock held */
int hypr_vm_park(struct hypr_vm *vm, unsigned int flags, struct hypr_pause_result *result);
void hypr_vm_unpark(struct hypr_vm *vm);
int hypr_vm_halt(struct hypr_vm *vm, unsigned int flags, struct hypr_pause_result *result);
int hypr_vm_go(struct hypr_vm *vm);
void hypr_vm_release(struct hypr_vm *vm, const struct hypr_state *state);

/* state.c */
struct hypr_state *hypr_state_alloc(struct hypr_vm *vm);
void hypr_state_free(struct hypr_vm *vm, struct hypr_state *state);
void hypr_state_copy(struct hypr_vm *vm, struct hypr_state *to, const struct hypr_state *from);
int hypr_state_tsc_init(struct hypr_vm *vm);
int hypr_state_tsc_now(struct hypr_vm *vm, uint64_t *tsc);
int hypr_state_save(struct hypr_vm *vm, struct hypr_state *state);
int hypr_state_load(struct hypr_vm *vm, const struct hypr_state *state);
int hypr_state_load_time(struct hypr_vm *vm, const struct hypr_state *state);
void hypr_state_load_control(struct hypr_vm *vm, const struct hypr_state *state);

#endif /* LIB_INTERNAL_H */
