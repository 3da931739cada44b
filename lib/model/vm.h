/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VM: the data only.  The file to read first is swap/swap.c; swap/pause.c and
 * run/state.c are its two halves.
 *
 * Locks, outermost first:
 *	hypr_vm.gone_lock	vCPU threads that find no memory, one at a time
 *	hypr_vm.gate_lock	a swap, until the devices are set: run/gate.c
 *	hypr_vm.op_lock		operations on the VM, one at a time
 *	hypr_mender.lock	which spares of views are to be put back
 *	hypr_vm.run_lock	what the vCPU threads are to do (hold, job, ended)
 *	hypr_vm.back.lock	the devices follow a reset by the kernel: run/back.c
 *	hypr_console.lock, hypr_rtc.lock
 *				device registers
 * Report callbacks run with none of them held.
 */
#ifndef LIB_MODEL_VM_H
#define LIB_MODEL_VM_H

#include <linux/kvm.h>
#include <linux/kvm_hypr.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypr/hypr.h"
#include "pc/console.h"
#include "pc/rtc.h"

struct hypr_engine;
struct hypr_spare;
struct hypr_state;
struct hypr_vcpu;
struct hypr_view;
struct hypr_vmo;

/**
 * struct hypr_runner - hypr_vm_run() at work	(run_lock)
 * @on: guest requests are taken, and what would end the VM stops it instead
 * @end: HYPR_END_*, the first that did; HYPR_END_NONE: nothing yet
 * @vcpu: on which
 * @reason: in words
 */
struct hypr_runner {
	bool on;
	int end;
	unsigned int vcpu;
	char reason[96];
};

/**
 * struct hypr_mender - the thread that puts back what resets have left: run/mender.c, view/spare.c
 * @on: there is the thread			(op_lock)
 * @ends: it is to end				(lock)
 * @first: the spares that wait for it		(lock)
 * @busy: the one that it puts back, or NULL	(lock)
 * @work: to the thread; @done: from it
 */
struct hypr_mender {
	pthread_mutex_t lock;
	pthread_cond_t work;
	pthread_cond_t done;
	pthread_t thread;
	bool on;
	bool ends;
	struct hypr_spare *first;
	struct hypr_spare *busy;
};

/**
 * struct hypr_back - resets that the kernel does at the guest's request: run/back.c
 * @page: shared with the kernel; NULL: it does none
 * @event: an eventfd: the kernel has used up a spare; or -1
 * @state: of the view's moment			(lock)
 * @devices: of @page->resets, those after which the devices were put back	(lock)
 * @allowed: it may do them now							(op_lock)
 * @spare: the active view's, while @allowed, or NULL	(op_lock and hypr_mender.lock to write)
 * @settled, @spares: of @page->resets and @page->spares, those that were counted	(op_lock)
 * @cycles, @pages: what these cost						(op_lock)
 * @watch: the thread that waits for @event, if @watches: run/back_watch.c	(op_lock)
 * @ends: it is to end; atomic
 */
struct hypr_back {
	struct kvm_hypr_requests_page *page;
	int event;
	pthread_mutex_t lock;
	const struct hypr_state *state;
	uint64_t devices;
	bool allowed;
	const struct hypr_spare *spare;
	uint64_t settled;
	uint64_t spares;
	uint64_t cycles;
	uint64_t pages;
	pthread_t watch;
	bool watches;
	bool ends;
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
	bool apics_only;		/* no PIC, I/O APIC and PIT beside the local APICs */
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
	struct hypr_back back;

	pthread_mutex_t gone_lock;
	pthread_mutex_t gate_lock;
	unsigned int gate;		/* see run/gate.c: a view's number + 1, or 0 */
	pthread_mutex_t op_lock;
	struct hypr_view *view[KVM_HYPR_MAX_VIEWS];	/* op_lock, by hypr_view.id */
	struct hypr_view *active;			/* op_lock */
	bool started;					/* op_lock */
	bool paused;					/* op_lock */
	bool noted;	/* op_lock: paused, and active->state is only noted: run/state.c */
	bool paused_by_run;	/* op_lock: paused, by the end of hypr_vm_run() and nobody else */
	int paused_how;					/* op_lock, HYPR_PAUSE_* */
	uint64_t swaps;					/* op_lock */
	uint64_t generation;				/* op_lock */
	uint64_t jump[2];				/* op_lock: the next hypr_control_page.jump */
	bool has_jump;					/* op_lock: it was drawn */
	struct hypr_vmo *vmo;		/* it begins in; until there is a moment of it */
	struct hypr_mender mender;
	pthread_t halt_thread;
	bool has_halt_thread;

	pthread_mutex_t run_lock;
	pthread_cond_t go_cond;		/* to the vCPU threads: hold, job or ended changed */
	pthread_cond_t held_cond;	/* from them: held, job or ended changed */
	struct hypr_runner runner;			/* run_lock */
	uint64_t requests;		/* that were served; op_lock */
	uint64_t requests_refused;			/* run_lock */
	unsigned int moments;		/* number of the guest's last one; op_lock */
	bool ended;					/* run_lock */
	int end;					/* run_lock, HYPR_END_* */
	char end_reason[96];				/* run_lock */
};

/** hypr_back_count() - how many resets the kernel has done; any thread */
static inline uint64_t hypr_back_count(const struct hypr_vm *vm)
{
	return vm->back.page ? __atomic_load_n(&vm->back.page->resets, __ATOMIC_ACQUIRE) : 0;
}

/** hypr_back_unsettled() - those that no operation has counted yet; op_lock held */
static inline uint64_t hypr_back_unsettled(const struct hypr_vm *vm)
{
	return hypr_back_count(vm) - vm->back.settled;
}

#endif /* LIB_MODEL_VM_H */
