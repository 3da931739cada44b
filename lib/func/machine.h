/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One function VM: a KVM VM with one vCPU, which runs in the caller's thread. */
#ifndef LIB_FUNC_MACHINE_H
#define LIB_FUNC_MACHINE_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "func/engine.h"
#include "func/map.h"

/* What all machines of a function share; constant once the first one is made. */
struct hypr_func_host {
	const struct hypr_func_engine *engine;
	int kvm_fd;
	size_t run_bytes;
	struct kvm_cpuid2 *cpuid;
	int moment_fd;
	uint8_t *moment;	/* its memory */
	uint64_t mem_bytes;
};

struct hypr_func_machine {
	int vm_fd;
	int vcpu_fd;
	struct kvm_run *run;
	size_t run_bytes;
	uint8_t *mem;		/* a private mapping of the moment */
	uint64_t mem_bytes;

	/* Of the pool, under its lock. */
	bool busy;
	bool expired;		/* it was kicked at its time limit */
	uint64_t deadline_ns;
	pthread_t thread;	/* that called it last */
};

int hypr_func_host_open(struct hypr_func_host *host);
void hypr_func_host_close(struct hypr_func_host *host);

int hypr_func_machine_create(const struct hypr_func_host *host,
			     struct hypr_func_machine **machinep);
void hypr_func_machine_destroy(struct hypr_func_machine *machine);

/**
 * hypr_func_machine_run() - until the monitor reports
 * @expired: read after each signal: give up
 * Return: 0 it reported; -EINTR @expired; -EIO the VM cannot go on, hypr_error() says why.
 */
int hypr_func_machine_run(struct hypr_func_machine *machine, const bool *expired);

/** hypr_func_machine_rip() - where a machine that gave up was; 0: KVM does not say */
uint64_t hypr_func_machine_rip(const struct hypr_func_machine *machine);

/** hypr_func_machine_report() - a copy of the monitor's report */
void hypr_func_machine_report(const struct hypr_func_machine *machine,
			      struct hypr_func_report *report);

/**
 * hypr_func_machine_reset() - put the written pages back
 * Return: pages; -EIO the report is not possible.
 */
int64_t hypr_func_machine_reset(struct hypr_func_machine *machine,
				const struct hypr_func_host *host, uint64_t nr_dirty);

/** hypr_func_machine_keep() - the written pages become the moment's */
int hypr_func_machine_keep(struct hypr_func_machine *machine,
			   const struct hypr_func_host *host, uint64_t nr_dirty);

#endif /* LIB_FUNC_MACHINE_H */
