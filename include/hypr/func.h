/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Function VMs: a C function in a virtual machine of its own, from the same moment in
 * each call.
 *
 * hypr_func_open() loads a function file (<hypr/guest.h>) and runs its init.  The memory
 * as it is then is the moment.  hypr_func_call() puts the input into a VM, runs the
 * function, takes its output, and puts the VM back to the moment: no call finds what
 * another one wrote.  Several threads may call at the same time, each in a VM of its own.
 *
 * The rules of <hypr/hypr.h> apply: 0 or a negative errno, and hypr_error() in words.
 * SIGRTMIN, which ends a call at its time limit, must not be blocked in threads that
 * call.  KVM ties VMs to the process that made them: a child of fork() cannot call.
 */
#ifndef HYPR_FUNC_H
#define HYPR_FUNC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HYPR_FUNC_VMS_MAX	64
#define HYPR_FUNC_TIMEOUT_MS	1000	/* of a call and of the init, unless another is given */
#define HYPR_FUNC_TIMEOUT_MAX_MS 3600000

struct hypr_func;

/**
 * struct hypr_func_config - what to load; fill with HYPR_FUNC_CONFIG_INIT first
 * @size: sizeof(struct hypr_func_config); fields are only ever appended
 * @flags, @reserved: 0
 * @path: the function file
 * @engine: NULL is HYPR_ENGINE_STOCK, any KVM.  All engines run a call in the same way;
 *	HYPR_ENGINE_EPT_SWAP refuses a host without the HYPR kernel, HYPR_ENGINE_HYPRV one
 *	without the module hyprv
 * @in_max, @out_max: most bytes of input and output; whole pages are taken
 * @heap_bytes, @stack_bytes: what the function has; memory is taken when it is touched
 * @vms: most VMs, and so calls at a time, up to HYPR_FUNC_VMS_MAX; further callers wait.
 *	0: one for each host CPU
 * @timeout_ms: of the init, and of calls that give none
 */
struct hypr_func_config {
	uint32_t size;
	uint32_t flags;
	const char *path;
	const char *engine;
	uint64_t in_max;
	uint64_t out_max;
	uint64_t heap_bytes;
	uint64_t stack_bytes;
	uint32_t vms;
	uint32_t timeout_ms;
	uint64_t reserved;
};

#define HYPR_FUNC_CONFIG_INIT {				\
	.size = sizeof(struct hypr_func_config),	\
	.in_max = 4 << 20,				\
	.out_max = 4 << 20,				\
	.heap_bytes = 16 << 20,				\
	.stack_bytes = 256 << 10,			\
	.timeout_ms = HYPR_FUNC_TIMEOUT_MS,		\
}

/**
 * hypr_func_open() - load a function file and run its init
 * @funcp: out: to be given back with hypr_func_close()
 *
 * Return: 0, or
 * -EINVAL: a field of @config is out of range;
 * -ENOENT, -EACCES: the file (or /dev/kvm) cannot be opened;
 * -ENODEV: there is no /dev/kvm, or the module hyprv has VT-x;
 * -ENOEXEC: the file is no function file, or of another ABI;
 * -EFBIG: it is larger than 256 MiB;
 * -EOPNOTSUPP: this host cannot do it with the engine asked for;
 * -EFAULT, -ECANCELED, -ENOBUFS, -ETIMEDOUT, -EIO: its init failed, as a call does;
 * -ENOMEM, or what KVM returned.
 */
int hypr_func_open(const struct hypr_func_config *config, struct hypr_func **funcp);

/** hypr_func_close() - no call may be under way.  NULL is allowed. */
void hypr_func_close(struct hypr_func *func);

/** hypr_func_engine_name() - the engine that runs it */
const char *hypr_func_engine_name(const struct hypr_func *func);

/* hypr_call_result.cause: why a call failed */
#define HYPR_CALL_OK		0
#define HYPR_CALL_ABORT		1	/* -ECANCELED: the function ended it, with a reason */
#define HYPR_CALL_TIMEOUT	2	/* -ETIMEDOUT */
#define HYPR_CALL_OUTPUT	3	/* -ENOBUFS: too much output */
#define HYPR_CALL_POINTER	4	/* -EFAULT, these also: a bad address */
#define HYPR_CALL_STACK		5	/* a stack overflow */
#define HYPR_CALL_DIVIDE	6	/* a division by zero, or its result does not fit */
#define HYPR_CALL_PRIVILEGED	7	/* a privileged instruction, or no canonical address */
#define HYPR_CALL_INSTRUCTION	8	/* no instruction, or one that this VM has not */
#define HYPR_CALL_EXCEPTION	9	/* another exception of the processor */
#define HYPR_CALL_MACHINE	10	/* -EIO: KVM could not run the VM on */

/** hypr_call_cause_name() - "ok", "abort", "timeout", "output", "pointer", ... */
const char *hypr_call_cause_name(int cause);

/**
 * struct hypr_call_params - one call
 * @size: sizeof(struct hypr_call_params)
 * @flags: 0
 * @in, @in_bytes: the input; NULL only with 0 bytes
 * @out, @out_room: buffer for the output; NULL only with 0 bytes
 * @timeout_ms: 0: that of hypr_func_config.  It counts from when the function begins
 * @reserved: 0
 */
struct hypr_call_params {
	uint32_t size;
	uint32_t flags;
	const void *in;
	size_t in_bytes;
	void *out;
	size_t out_room;
	uint32_t timeout_ms;
	uint32_t reserved;
};

/**
 * struct hypr_call_result - how a call went
 * @cause: HYPR_CALL_*
 * @value: what the function returned
 * @out_bytes: of output; with HYPR_CALL_OUTPUT how much it was, which is more than there
 *	is room for
 * @vector, @error_code, @address: of an exception, as the processor reports them;
 *	@address is that of a page fault
 * @rip: where the call ended: of an exception, or where the function was at its time
 *	limit, or the code that aborted or had too much output; else 0
 * @symbol: the function at @rip, as "name+0x12"; "" if the file has no symbol for it
 * @source, @line: of @rip: the name of the source file, without folders, and the line;
 *	"" and 0 if the file does not say (DWARF: gcc -g)
 * @reason: HYPR_CALL_ABORT: the function's words; bytes that are not printable are '?'
 * @pages_reset: pages that the call wrote, and that were put back
 * @run_cycles: host TSC cycles from KVM_RUN to the end of the function
 * @reset_cycles: putting the VM back.  With a VM that ended, making another is part of
 *	the next call
 * @total_cycles: the whole call
 */
struct hypr_call_result {
	int32_t cause;
	int32_t value;
	uint64_t out_bytes;
	uint32_t vector;
	uint32_t error_code;
	uint64_t rip;
	uint64_t address;
	char symbol[64];
	char source[60];
	uint32_t line;
	char reason[128];
	uint64_t pages_reset;
	uint64_t run_cycles;
	uint64_t reset_cycles;
	uint64_t total_cycles;
};

/**
 * hypr_func_call() - call the function
 * @result: out, or NULL; also after an error of the function
 *
 * After any error the next call works.
 *
 * Return: 0 the function returned;
 * -EINVAL: a field of @params is out of range;
 * -EMSGSIZE: more input than hypr_func_config.in_max;
 * -ENOBUFS: more output than hypr_func_config.out_max or than @params->out_room;
 * -ECANCELED: the function aborted, see hypr_call_result.reason;
 * -EFAULT: an exception of the processor ended it;
 * -ETIMEDOUT: it was not done in time;
 * -EIO: KVM could not run the VM on;
 * -ENOMEM, or what KVM returned when a VM was made.
 */
int hypr_func_call(struct hypr_func *func, const struct hypr_call_params *params,
		   struct hypr_call_result *result);

#ifdef __cplusplus
}
#endif

#endif /* HYPR_FUNC_H */
