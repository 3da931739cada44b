/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the vCPU threads are to do, guarded by run_lock: be held, do a job, go on,
 * or end with the VM.
 */
#ifndef LIB_RUN_HOLD_H
#define LIB_RUN_HOLD_H

#include "hypr/hypr.h"
#include <stdbool.h>

struct hypr_ask;
struct hypr_vcpu;
struct hypr_vm;

bool hypr_vm_has_ended(struct hypr_vm *vm);
void hypr_vm_end(struct hypr_vm *vm, bool failed, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void hypr_vm_end_as(struct hypr_vm *vm, int end, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int hypr_vm_check_alive(struct hypr_vm *vm);

void hypr_vcpu_ask(struct hypr_vcpu *vcpu, uint32_t addr, bool is_virtual);
bool hypr_vcpu_hold_point(struct hypr_vcpu *vcpu);
int hypr_vcpus_hold(struct hypr_vm *vm);
int hypr_vcpus_hold_first(struct hypr_vm *vm);
void hypr_vcpus_release(struct hypr_vm *vm);
void hypr_vcpus_forget(struct hypr_vm *vm);
void hypr_vcpus_kick_locked(struct hypr_vm *vm);
int hypr_vcpus_do(struct hypr_vm *vm, int (*job)(struct hypr_vcpu *vcpu, void *arg),
		  void *arg);

/** hypr_end_is_bad() - is that end of a VM (HYPR_END_*) an error, of the guest or of the host? */
static inline bool hypr_end_is_bad(int end)
{
	return end >= HYPR_END_PANIC && end != HYPR_END_EXIT;
}

#endif /* LIB_RUN_HOLD_H */
