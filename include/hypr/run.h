/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhypr: running a VM until something happens, and its memory and registers.  For
 * fuzzers and others that do the same again and again:
 *
 *	hypr_vm_run()		until the guest reports, crashes, or time is up
 *	hypr_view_reset()	back to the moment (hypr.h)
 *
 * The rules of hypr.h hold here, too.  docs/fuzzing.md begins with an example;
 * docs/spec/guest-requests.md says what a guest can ask for.
 */
#ifndef HYPR_RUN_H
#define HYPR_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "hypr/hypr.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- memory ---------------------------------------------------------------- */

/**
 * hypr_view_read() - read memory of a view
 * @view: NULL: the active one
 * @gpa: any address
 * @to, @bytes: out
 *
 * If the VM runs in the view, the call stops its vCPUs first.
 *
 * Return: 0; -EFAULT the range is not within memory, or is of the control page: nothing is
 * read; -ENOENT no such view; -ESHUTDOWN; -EBADMSG the file that the view is on was
 * truncated; -EIO a vCPU did not leave the guest within 10 seconds; -ENOMEM.
 */
int hypr_view_read(struct hypr_vm *vm, const char *view, uint64_t gpa, void *to, size_t bytes);

/**
 * hypr_view_write() - write memory of a view
 *
 * As hypr_view_read().  A reset puts the bytes back.  The guest may not be allowed to write
 * there; the host is.  A guest whose page tables are written flushes its TLB itself.
 */
int hypr_view_write(struct hypr_vm *vm, const char *view, uint64_t gpa, const void *from,
		    size_t bytes);

/* ---- registers ------------------------------------------------------------- */

/** struct hypr_registers - @size: sizeof(struct hypr_registers) */
struct hypr_registers {
	uint32_t size;
	uint32_t reserved;		/* 0 */
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags;
	uint64_t cr0, cr2, cr3, cr4, cr8, efer;
	uint64_t fs_base, gs_base;
};

/**
 * hypr_vcpu_get_registers() - registers of a vCPU of a VM that is paused
 * @registers: out, but for @size
 *
 * A guest that parked is in its park loop.
 *
 * Return: 0; -EBUSY the VM is not paused; -EINVAL no such vCPU, or the size is not known;
 * -ESHUTDOWN.
 */
int hypr_vcpu_get_registers(struct hypr_vm *vm, unsigned int vcpu,
			    struct hypr_registers *registers);

/**
 * hypr_vcpu_set_registers() - the vCPU goes on with these
 *
 * A vCPU that halted, or was never started, stays so.  A reset puts them back.
 *
 * Return: as hypr_vcpu_get_registers(); -EINVAL also if KVM refused them: the vCPU
 * has what it had.
 */
int hypr_vcpu_set_registers(struct hypr_vm *vm, unsigned int vcpu,
			    const struct hypr_registers *registers);

/* ---- running until something happens --------------------------------------- */

/* hypr_run_result.what */
#define HYPR_RUN_REPORT		1	/* the guest reported, by a request */
#define HYPR_RUN_CRASH		2	/* it panicked, had a triple fault, or cannot run on */
#define HYPR_RUN_QUIT		3	/* it reset its machine, or powered it off */
#define HYPR_RUN_INPUT		4	/* it asks for one more input */
#define HYPR_RUN_TIMEOUT	5

/** hypr_run_name() - "report", "crash", "quit", "input" or "timeout" */
const char *hypr_run_name(int what);

/* hypr_run_params.flags */
#define HYPR_RUN_KEEP_PAUSED	(1u << 0) /* a VM that hypr_vm_pause() paused waits for its resume */

/**
 * struct hypr_run_params - how far to run
 * @size: sizeof(struct hypr_run_params); fields are only ever appended
 * @flags: HYPR_RUN_KEEP_PAUSED or 0
 * @timeout_us: of the guest's running; 0: no limit
 * @input, @input_bytes: for the guest's first request for one; @input NULL: there is none
 */
struct hypr_run_params {
	uint32_t size;
	uint32_t flags;
	uint64_t timeout_us;
	const void *input;
	size_t input_bytes;
};

/**
 * struct hypr_run_result - what happened
 * @what: HYPR_RUN_*
 * @end: HYPR_RUN_CRASH, HYPR_RUN_QUIT: HYPR_END_*, as if that had ended the VM
 * @vcpu: on which it happened; 0 with HYPR_RUN_TIMEOUT
 * @inputs: how often the guest got the input: 0 or 1
 * @value: HYPR_RUN_REPORT, and HYPR_RUN_CRASH by a request: the guest's number
 * @reason: HYPR_RUN_CRASH, HYPR_RUN_QUIT: in words
 */
struct hypr_run_result {
	int what;
	int end;
	uint32_t vcpu;
	uint32_t inputs;
	uint64_t value;
	uint64_t requests;		/* served in the run */
	uint64_t moments;		/* of them, that made a moment */
	uint64_t resets;		/* of them, that went back to it */
	uint64_t run_cycles;		/* the whole call */
	uint64_t stop_cycles;		/* of it: bringing the vCPUs to a stop, last time */
	char reason[96];
	uint64_t resets_in_kernel;	/* of @resets: the kernel did them, and nothing stopped */
	uint64_t reset_cycles;		/* of all @resets, from request until the guest goes on */
	uint64_t reset_pages;		/* looked at in them */
	uint64_t resets_by_spare;	/* of @resets: went on in a spare, of which no page is */
};

/**
 * hypr_vm_run() - run until the guest reports or crashes, or time is up
 * @params: NULL: no limit, no input
 * @result: out
 *
 * The VM may be paused or run before; it is paused afterwards, with all vCPUs as they were
 * when it happened.  What otherwise ends a VM does not end it here: hypr_view_reset() puts it
 * back to its moment.  Without a reset the vCPU meets the same fault again.
 *
 * Requests of the guest are served in here only, and only with HYPR_VM_GUEST_REQUESTS.
 * With HYPR_RUN_INPUT the request waits for the next call.
 *
 * Other threads may use the VM during the run.  A VM that they pause stays paused; the limit
 * goes on.
 *
 * Return: 0 see @result; -EINVAL unknown flags or size; -EBUSY another thread is in
 * hypr_vm_run() of this VM; -ESHUTDOWN the VM was never started, or was stopped; -EIO a vCPU
 * did not leave the guest within 10 seconds.  After an error the VM runs, or has ended.
 */
int hypr_vm_run(struct hypr_vm *vm, const struct hypr_run_params *params,
		struct hypr_run_result *result);

#ifdef __cplusplus
}
#endif

#endif /* HYPR_RUN_H */
