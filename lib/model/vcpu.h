/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A vCPU and its thread: the data only; what is done with them is in run/. */
#ifndef LIB_MODEL_VCPU_H
#define LIB_MODEL_VCPU_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct hypr_vm;

/**
 * struct hypr_ask - where a guest says that its request is: @addr is hostile
 * @sregs: the vCPU's, by which @addr and the block's addresses are translated, if @is_virtual
 */
struct hypr_ask {
	uint32_t addr;
	bool is_virtual;
	struct kvm_sregs sregs;
};

/**
 * struct hypr_vcpu - one vCPU and its thread
 * @hold: the thread is to stay in user space		(run_lock)
 * @held: it does, with all I/O completed		(run_lock)
 * @job, @job_arg, @job_result: work for the held thread	(run_lock)
 * @asks: it made a request, and is held until that is served	(run_lock)
 * @ask: the request						(run_lock)
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
	bool asks;
	struct hypr_ask ask;
	struct kvm_msrs *msrs_set;	/* room for those MSRs that a state sets */
};

#endif /* LIB_MODEL_VCPU_H */
