/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libhypr: one virtual machine, many memory states.
 *
 * A VM made here runs in the calling process, one thread for each vCPU.  Its
 * memory states are *views*: each has its own memory, its own prepared page
 * tables in the kernel, and the vCPU and device state that belongs to it.
 * Three things are done with them, and they are never mixed up:
 *
 *	hypr_view_swap()	go on in a view where it was left
 *	hypr_view_reset()	put a view back to its moment, byte for byte
 *	hypr_view_verify()	compare a view with its moment
 *
 * Rules for all calls:
 *
 * - They return 0 (or a count) or a negative errno; errno itself is not
 *   touched.  hypr_error() has the reason in words.
 * - They may be called from any thread, but not from a report callback.
 *   Operations on one VM are done one after the other, under the VM's lock.
 * - The library never prints and never exits.  It uses the real-time signal
 *   SIGRTMIN to bring vCPU threads back from the kernel, and installs an empty
 *   handler for it; leave that signal alone.
 *
 * The ABI between libhypr and the kernel, and between host and guest, is in
 * <linux/kvm_hypr.h>; nothing of it is needed to use this header.
 */
#ifndef HYPR_HYPR_H
#define HYPR_HYPR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HYPR_VERSION		"0.1.0"

#define HYPR_NAME_MAX		32	/* of a VM or view, the final NUL included */
#define HYPR_VIEW_BOOT_NAME	"boot"	/* the view that every VM starts in */

#define HYPR_ENGINE_EPT_SWAP	"ept-swap"	/* needs the HYPR host kernel */
#define HYPR_ENGINE_STOCK	"stock"		/* any KVM: a VM for each view */
#define HYPR_ENGINE_HYPRV	"hyprv"		/* the module hyprv: no guest with an operating system */

#define HYPR_MEM_MIN_BYTES	(16ull << 20)
#define HYPR_MEM_MAX_BYTES	(3ull << 30)
#define HYPR_VCPUS_MAX		64

/*
 * A guest reports to its host by writing a 32-bit word to this I/O port (one
 * outl instruction).  No answer is given; reads return 0xffffffff.
 */
#define HYPR_REPORT_PORT	0x5e0

/**
 * hypr_error() - why the last call of this thread failed
 *
 * Return: one line of text without a newline, never NULL, "" when nothing
 * failed yet.  Valid until the thread's next call into libhypr.
 */
const char *hypr_error(void);

/** hypr_version() - version of the library that is linked, as HYPR_VERSION */
const char *hypr_version(void);

/* ---- long operations ------------------------------------------------------ */

/**
 * hypr_progress_fn - how far a long operation is
 * @arg: as given to hypr_progress_set()
 * @done, @total: in any unit, which may change; both 0 when it cannot be told
 *
 * Called often, on the thread of the operation; must not call into libhypr.
 * Return: 0 to go on.  Anything else ends the operation, which then returns
 * -ECANCELED and leaves what it leaves after any other error: no file.
 */
typedef int (*hypr_progress_fn)(void *arg, uint64_t done, uint64_t total);

/**
 * hypr_progress_set() - be told of this thread's long operations
 * @fn: NULL: no longer
 *
 * Those are: writing, verifying, comparing and converting VMO files; snapshots and
 * comparisons of views, which are not told how far they are (0, 0); and
 * hypr_client_call(), which passes on what the VM's process tells.  A call to
 * another process that is no longer wanted is waited for all the same: its answer
 * says whether it was ended in time.
 */
void hypr_progress_set(hypr_progress_fn fn, void *arg);

/* ---- a VM ---------------------------------------------------------------- */

struct hypr_vm;

/**
 * hypr_report_fn - a vCPU wrote to HYPR_REPORT_PORT
 * @arg: hypr_vm_config.report_arg
 * @vcpu: number of the vCPU, from 0
 * @value: the word
 * @tsc: host TSC, read when the exit reached user space
 *
 * Runs on the vCPU's own thread with no lock held; the vCPU goes on when it
 * returns.  Must not call into libhypr and must not block for long: a pause
 * waits for it.
 */
typedef void (*hypr_report_fn)(void *arg, unsigned int vcpu, uint32_t value,
			       uint64_t tsc);

/* hypr_vm_config.flags */
#define HYPR_VM_FORCED		(1u << 0) /* never ask the guest to park */
#define HYPR_VM_END_HALTED	(1u << 1) /* a guest that halts all vCPUs for good ends it */
#define HYPR_VM_GUEST_REQUESTS	(1u << 2) /* its requests are served: <hypr/run.h> */
#define HYPR_VM_GUEST_SPARES	(1u << 3) /* with it: the moments it asks for get a spare */

/**
 * struct hypr_vm_config - what to build
 *
 * Fill with HYPR_VM_CONFIG_INIT, then set what differs.  Strings and arrays
 * are copied by hypr_vm_create().  Fields are only ever appended; @size tells
 * which the caller knew.
 */
struct hypr_vm_config {
	uint32_t size;			/* sizeof(struct hypr_vm_config) */
	uint32_t flags;			/* HYPR_VM_* */
	const char *name;		/* [A-Za-z0-9._-]{1,31}, no leading '.' or '-' */
	const char *engine;		/* strict; NULL is HYPR_ENGINE_EPT_SWAP */
	const char *kernel;		/* path of a bzImage with 64-bit entry */
	const char *initrd;		/* path, or NULL */
	const char *cmdline;		/* NULL is "console=ttyS0" */
	uint64_t mem_bytes;		/* multiple of 4096, HYPR_MEM_MIN..MAX_BYTES */
	uint32_t vcpus;			/* 1..HYPR_VCPUS_MAX */
	uint32_t nr_pin;		/* entries of @pin, 0 for none */
	const int *pin;			/* vCPU i runs on host CPU pin[i % nr_pin] */
	int console_in;			/* fd read for the serial line, or -1 */
	int console_out;		/* fd written by it, or -1; both stay the caller's */
	hypr_report_fn report;		/* or NULL */
	void *report_arg;
	uint32_t pause_timeout_ms;	/* for the guest to park; 0 is 2000 */
	uint32_t reserved;		/* 0 */
	const char *vmo;		/* path of a VMO to begin in: no kernel then, and
					 * memory and vCPUs are the file's; or NULL */
	uint32_t load_flags;		/* HYPR_LOAD_*, with @vmo */
	uint32_t reserved1;		/* 0 */
};

/* How a VMO is taken up. */
#define HYPR_LOAD_TIME_CONTINUE	(1u << 0) /* the guest's clock jumps to now; else it
					   * goes on from where it was stopped */
/* At most one of these; without: build the tables of all pages before it runs. */
#define HYPR_LOAD_PREFAULT_NONE	(1u << 1) /* build none: pages are faulted in */
#define HYPR_LOAD_PREFAULT_USED	(1u << 2) /* those of the recorded working set */
#define HYPR_LOAD_RECORD	(1u << 3) /* none, and note which pages are touched, for
					   * hypr_view_working_set() */

/**
 * hypr_prefault_flags() - the flag that a word stands for
 * @text: "all", "none", "used" or "record"
 *
 * Return: HYPR_LOAD_* or 0; -EINVAL, with hypr_error() set.
 */
int hypr_prefault_flags(const char *text);

#define HYPR_VM_CONFIG_INIT {					\
	.size = sizeof(struct hypr_vm_config),			\
	.mem_bytes = HYPR_MEM_MIN_BYTES,			\
	.vcpus = 1,						\
	.console_in = -1,					\
	.console_out = -1,					\
}

/**
 * hypr_vm_create() - build a VM and place its kernel; nothing runs yet
 * @config: what to build
 * @vmp: out: the VM, to be given back with hypr_vm_destroy()
 *
 * Return: 0, or
 * -EINVAL: a field of @config is out of range, or a name is not a name;
 * -ENOENT, -EACCES: the kernel or initrd (or /dev/kvm) cannot be opened;
 * -ENODEV: there is no /dev/kvm, or the module hyprv has VT-x;
 * -ENOEXEC: the kernel file is no x86-64 Linux kernel that can be started; the VMO
 *	is packed;
 * -E2BIG: the command line is longer than the kernel takes;
 * -EFBIG: kernel or initrd is larger than the memory of any VM;
 * -ENOSPC: kernel and initrd do not fit into the memory;
 * -EOPNOTSUPP: this host cannot do it with the engine asked for, or lacks what
 *	the VMO's guest needs, or does not know the VMO's version;
 * -EBADMSG: the VMO is damaged; see also hypr_vmo_open();
 * -ENODATA: it has no recorded working set (HYPR_LOAD_PREFAULT_USED); see also
 *	hypr_vmo_ws_read();
 * -ENOMEM, or what KVM returned.
 */
int hypr_vm_create(const struct hypr_vm_config *config, struct hypr_vm **vmp);

/**
 * hypr_vm_start() - let the vCPUs run
 *
 * Return: 0; -EALREADY it was started before; -ENOMEM no memory for a thread. With
 * hypr_vm_config.vmo also -ESHUTDOWN a vCPU ended before the state was in it; -EIO,
 * -EINVAL or what else KVM returned: KVM refused a part of the state. After a failure
 * other than -EALREADY the VM has ended.
 */
int hypr_vm_start(struct hypr_vm *vm);

/**
 * hypr_vm_wait() - wait until the guest has ended
 * @timeout_ms: how long to wait; negative for ever, 0 to look only
 *
 * A VM ends when the guest resets the machine (keyboard controller, port 0xcf9 or
 * 0x92, triple fault), powers it off (HYPR_VM_END_HALTED) or says that it panicked
 * (port 0x505, as pvpanic has it), when a vCPU cannot go on, or by hypr_vm_stop().
 * hypr_vm_info.end says which, and end_reason in words.  A guest that resets after
 * it said "Kernel panic" on its console has panicked.
 *
 * Return: 0 ended in order (reset, power off, stop); -EIO it panicked, had a triple
 * fault, or could not go on; -ETIMEDOUT it still runs.
 */
int hypr_vm_wait(struct hypr_vm *vm, int timeout_ms);

/** hypr_vm_stop() - end the VM now; its threads have left when this returns 0 */
int hypr_vm_stop(struct hypr_vm *vm);

/** hypr_vm_destroy() - stop, and give back everything.  NULL is allowed. */
void hypr_vm_destroy(struct hypr_vm *vm);

/**
 * hypr_vm_fd() - KVM's file descriptor of the VM, for measurements and tests
 *
 * Stays the library's.  Adding memory slots or vCPUs, or swapping views behind
 * the library's back is the caller's own risk.
 */
int hypr_vm_fd(const struct hypr_vm *vm);

/* How the vCPUs were brought to a stop. */
#define HYPR_PAUSE_NONE		0	/* the VM did not have to be stopped */
#define HYPR_PAUSE_COOPERATIVE	1	/* the guest parked itself */
#define HYPR_PAUSE_FORCED	2	/* the host took the vCPUs out of the guest */

/** hypr_pause_name() - "none", "cooperative" or "forced" */
const char *hypr_pause_name(int pause);

struct hypr_pause_result {
	int pause;			/* HYPR_PAUSE_* */
	uint32_t reserved;
	uint64_t pause_cycles;		/* request until every vCPU had stopped */
};

/**
 * hypr_vm_pause() - stop the vCPUs; the guest's clock stands still too
 * @result: out, or NULL
 *
 * A pause that the end of hypr_vm_run() left becomes the caller's.
 *
 * Return: 0; -EALREADY paused; -ESHUTDOWN the guest has ended or never started; -EIO a
 * vCPU did not leave the guest within 10 seconds, or KVM did not return its whole state.
 */
int hypr_vm_pause(struct hypr_vm *vm, struct hypr_pause_result *result);

/** hypr_vm_resume() - go on.  Return: 0; -EALREADY not paused; -ESHUTDOWN. */
int hypr_vm_resume(struct hypr_vm *vm);

/* hypr_vm_info.state */
#define HYPR_VM_CREATED		0
#define HYPR_VM_RUNNING		1
#define HYPR_VM_PAUSED		2
#define HYPR_VM_ENDED		3
#define HYPR_VM_BUSY		4	/* told by the control socket: an operation is under way */

/** hypr_vm_state_name() - "created", "running", "paused", "ended" or "busy" */
const char *hypr_vm_state_name(int state);

/* hypr_vm_info.end: how it ended */
#define HYPR_END_NONE		0	/* it lives */
#define HYPR_END_STOPPED	1	/* hypr_vm_stop(), or a request */
#define HYPR_END_RESET		2	/* the guest reset its machine, as a reboot does */
#define HYPR_END_HALTED		3	/* it powered itself off (HYPR_VM_END_HALTED) */
#define HYPR_END_PANIC		4	/* it said that it panicked, and reset or ended */
#define HYPR_END_TRIPLE_FAULT	5
#define HYPR_END_FAILED		6	/* the VM cannot run on */
#define HYPR_END_EXIT		7	/* the guest wrote 0 to its exit port 0xf4 */
#define HYPR_END_EXIT_FAILED	8	/* it wrote another value, which the reason names */

/**
 * hypr_end_name() - "none", "stopped", "reset", "halted", "panic", "triple-fault", "failed",
 *	"exit", "exit-failed"
 */
const char *hypr_end_name(int end);

struct hypr_vm_info {
	char name[HYPR_NAME_MAX];
	char engine[16];
	char active_view[HYPR_NAME_MAX];
	int state;			/* HYPR_VM_* */
	uint32_t vcpus;
	uint32_t views;			/* the boot view included */
	uint32_t views_max;
	uint64_t mem_bytes;
	uint64_t swaps;			/* done since the start */
	uint64_t generation;		/* as the kernel counts them */
	uint32_t guest_vcpus;		/* vCPUs that answer a cooperative pause */
	uint32_t end;			/* HYPR_END_* */
	uint64_t guest_pauses;		/* times they parked, as the guest counts */
	char end_reason[96];		/* "" while it lives */
	uint64_t requests;		/* of the guest, that were served; <hypr/run.h> */
	uint64_t requests_refused;
	uint64_t resets_in_kernel;	/* of @requests: resets that the kernel did by itself */
};

/** hypr_vm_info() - what the VM is and does.  Return: 0. */
int hypr_vm_info(struct hypr_vm *vm, struct hypr_vm_info *info);

/* ---- views --------------------------------------------------------------- */

/* How memory was copied for a snapshot. */
#define HYPR_COPY_NONE		0	/* it was not */
#define HYPR_COPY_PRECOPY	1	/* while the guest ran; the rest in the pause */
#define HYPR_COPY_PAUSED	2	/* as it stood: the VM had been paused before */
#define HYPR_COPY_STOPPED	3	/* in the pause: this KVM does not log writes */

/** hypr_copy_name() - "none", "precopy", "paused" or "stopped" */
const char *hypr_copy_name(int copy);

struct hypr_snapshot_result {
	uint32_t view;			/* number of the new view */
	int pause;			/* HYPR_PAUSE_* */
	uint64_t pause_cycles;		/* request until every vCPU had stopped */
	uint64_t copy_cycles;		/* copying memory, the VM stopped */
	uint64_t prepare_cycles;	/* building the view's tables (the VM runs) */
	uint64_t total_cycles;		/* the whole call */
	uint64_t pages_total;		/* pages of memory */
	uint64_t pages_stored;		/* of them, pages that are not zero */
	uint64_t pages_mapped;		/* 4 KiB pages that the tables map */
	uint64_t precopy_cycles;	/* copying memory before, the VM running */
	uint64_t pages_precopied;	/* looked at then; a page counts each time */
	uint64_t pages_in_pause;	/* looked at while the VM was stopped */
	uint32_t rounds;		/* of what was written meanwhile, before the pause */
	int copy;			/* HYPR_COPY_* */
};

/**
 * hypr_view_snapshot() - keep this moment, and make a view on it
 * @view: name of the new view
 * @result: out, or NULL
 *
 * The VM goes on in the view that it was in.  Memory is copied while it runs, and
 * what it writes meanwhile again: the pause grows with how fast it writes, not with
 * how much memory it has.  A page that it had written before and writes again
 * afterwards costs it one more fault.
 *
 * Return: 0; -EINVAL bad name; -EEXIST name in use; -ENOSPC all views in use;
 * -ENOMEM; -ESHUTDOWN the guest has ended; -EIO state could not be read;
 * -EBADMSG the file that the active view stands on was truncated; -ECANCELED the
 * progress callback said so, see hypr_progress_set().
 */
int hypr_view_snapshot(struct hypr_vm *vm, const char *view,
		       struct hypr_snapshot_result *result);

/**
 * hypr_view_load() - a further view, from a file
 * @view: name of the new view
 * @path: the VMO
 * @flags: HYPR_LOAD_*
 * @result: out, or NULL; nothing is paused, and copy_cycles is 0
 *
 * The file is mapped, not copied, and the view's tables are built while the VM
 * runs.  The file must stay as it is for as long as the view is there.
 *
 * Return: 0; -EINVAL bad name or flag; -EEXIST name in use; -ENOSPC all views in
 * use; -EOPNOTSUPP it has other memory, vCPUs or CPU features than the VM, or this
 * host cannot record; -ENOEXEC it is packed; -ENODATA no working set was recorded
 * (HYPR_LOAD_PREFAULT_USED); -EAGAIN the kernel dropped the tables again and again
 * while the library built them (HYPR_LOAD_PREFAULT_USED); -ESHUTDOWN; as for
 * hypr_vmo_open(), hypr_vmo_map() and hypr_vmo_ws_read().  Engine stock builds the
 * tables of all pages only: -EOPNOTSUPP for every other flag.
 */
int hypr_view_load(struct hypr_vm *vm, const char *view, const char *path, unsigned int flags,
		   struct hypr_snapshot_result *result);

struct hypr_working_set_result {
	uint32_t view;
	uint32_t reserved;
	uint64_t pages;			/* that were touched */
	uint64_t pages_total;		/* of memory */
	uint64_t ranges;
	char path[4096];		/* of the file */
};

/**
 * hypr_view_working_set() - record which pages of a view were touched
 * @view: its name; NULL: the active one.  It was loaded with HYPR_LOAD_RECORD
 * @path: of the file to write; NULL: beside the view's VMO, where
 *	HYPR_LOAD_PREFAULT_USED looks for it
 * @flags: HYPR_SAVE_REPLACE
 * @result: out, or NULL
 *
 * What counts is a page that the guest, or a device for it, has touched since the
 * view was loaded.  Nothing is paused, and recording goes on.
 *
 * Return: 0; -ENOENT no such view; -EINVAL it was not loaded to be recorded, or
 * unknown flags; -ESTALE hypr itself has read all of it since (snapshot, verify);
 * -ESHUTDOWN; as for hypr_vmo_ws_write().
 */
int hypr_view_working_set(struct hypr_vm *vm, const char *view, const char *path,
			  unsigned int flags, struct hypr_working_set_result *result);

/* hypr_save_params.flags */
#define HYPR_SAVE_REPLACE	(1u << 0)	/* a file that is there already */
#define HYPR_SAVE_COMPRESS	(1u << 1)	/* packed, for keeping: it cannot be run as it is */

/**
 * struct hypr_save_params - a file to write
 * @size: sizeof(struct hypr_save_params); fields are only ever appended
 * @path: its name
 * @parent: a VMO in the same folder: write only what differs from it; or NULL
 */
struct hypr_save_params {
	uint32_t size;
	uint32_t flags;			/* HYPR_SAVE_* */
	const char *path;
	const char *parent;
};

struct hypr_save_result {
	int pause;			/* HYPR_PAUSE_*; NONE for the moment of a view */
	uint32_t reserved;
	uint64_t pause_cycles;		/* request until every vCPU had stopped */
	uint64_t copy_cycles;		/* copying the memory, the VM stopped */
	uint64_t write_ns;		/* writing the file, the VM running */
	uint64_t file_bytes;
	uint64_t pages_stored;		/* in the file */
	uint64_t pages_zero;
	uint64_t pages_parent;		/* as in the parent */
	uint8_t root[32];		/* the file's identity */
	uint64_t precopy_cycles;	/* as in struct hypr_snapshot_result */
	uint64_t pages_precopied;
	uint64_t pages_in_pause;
	uint32_t rounds;
	int copy;			/* HYPR_COPY_*; NONE for the moment of a view */
};

/**
 * hypr_view_save() - keep a state as a VMO
 * @view: the view whose moment is kept; NULL: this moment of the active view
 * @result: out, or NULL
 *
 * Nothing is under the file's name before all of it is on the disk; after an
 * error nothing is left of it, and the VM runs on.
 *
 * Return: 0; -ENOENT no such view; -EINVAL it has no moment, or unknown flags;
 * -EEXIST there is such a file; -ENOSPC; -ENOMEM; -ESHUTDOWN the guest has ended;
 * -EBADMSG the file that the view stands on was truncated; -ECANCELED see
 * hypr_progress_set(); as for hypr_vmo_open() of the parent and
 * hypr_vmo_writer_create().
 */
int hypr_view_save(struct hypr_vm *vm, const char *view, const struct hypr_save_params *params,
		   struct hypr_save_result *result);

/* hypr_view_swap() flags */
#define HYPR_SWAP_RESET		(1u << 0) /* put the view back to its moment first */
#define HYPR_SWAP_FORCE		(1u << 1) /* do not ask the guest to park */
#define HYPR_SWAP_COOPERATIVE	(1u << 2) /* -EAGAIN rather than force */
					  /* and, with HYPR_SWAP_RESET, HYPR_RESET_ONLY() */

/* How the vCPUs' state went with the memory. */
#define HYPR_STATE_IOCTLS	0	/* their threads held, saved and set in user space */
#define HYPR_STATE_KERNEL	1	/* exchanged in the kernel, the threads in KVM_RUN */

/** hypr_state_way_name() - "ioctls" or "kernel" */
const char *hypr_state_way_name(int way);

struct hypr_swap_result {
	char old_name[HYPR_NAME_MAX];
	char new_name[HYPR_NAME_MAX];
	uint32_t old_view;
	uint32_t new_view;
	uint64_t generation;		/* the VM's, after the swap */
	int pause;			/* HYPR_PAUSE_* */
	uint32_t forced_vcpus;		/* vCPUs that had not parked */
	uint64_t request_tsc;		/* host TSC at the call (after a reset) */
	uint64_t resume_tsc;		/* host TSC when the vCPUs were let go, 0 if paused */
	uint64_t pause_cycles;		/* request until every vCPU had stopped */
	uint64_t commit_cycles;		/* the kernel's: request until every vCPU had
					 * left the old view */
	uint64_t ioctl_cycles;		/* around the commit's system call, which may
					 * have all three parts in it */
	uint64_t state_cycles;		/* saving and setting vCPU and device state */
	uint64_t total_cycles;		/* request until the vCPUs were let go */
	uint64_t reset_cycles;		/* HYPR_SWAP_RESET: what the reset took */
	uint64_t pages_restored;	/* HYPR_SWAP_RESET: as in struct hypr_reset_result */
	int reset_way;			/* HYPR_SWAP_RESET: HYPR_RESET_* */
	int state_way;			/* HYPR_STATE_* */
	int reset_spare;		/* HYPR_SWAP_RESET: as in struct hypr_reset_result */
	uint32_t reserved;
};

/**
 * hypr_view_swap() - make another view the active one, on every vCPU
 * @view: its name; "boot" is the one the VM started in
 * @flags: HYPR_SWAP_*
 * @result: out, or NULL
 *
 * All or none: after an error the VM goes on in the view that it was in.
 * A paused VM stays paused.  Swapping to the active view is allowed and leaves
 * it where it is.
 *
 * Return: 0; -ENOENT no such view; -EINVAL unknown flag, or HYPR_SWAP_RESET of
 * the boot view, which has no moment; -EOPNOTSUPP as for hypr_view_reset_by(); -EAGAIN the guest did not park in time
 * (HYPR_SWAP_COOPERATIVE); -EBUSY a vCPU is in SMM or in a nested guest;
 * -EBADMSG the file that the view stands on was truncated;
 * -ESHUTDOWN the guest has ended; -EIO the state could not be moved.
 */
int hypr_view_swap(struct hypr_vm *vm, const char *view, unsigned int flags,
		   struct hypr_swap_result *result);

/* How a reset finds the pages that differ from the moment.  (Any: the cheapest.) */
#define HYPR_RESET_ANY		(-1)
#define HYPR_RESET_COPY_BACK	0	/* the kernel tells which were written */
#define HYPR_RESET_COMPARE	1	/* it compares all private pages */
#define HYPR_RESET_DROP		2	/* it drops all pages: they fault in again */
#define HYPR_RESET_SPARE	3	/* the VM goes on in the view's spare: hypr_view_spare() */

/* The flag with which a reset goes by @way or not at all; at most one of the four. */
#define HYPR_RESET_ONLY(way)	(1u << (8 + (way)))

/** hypr_reset_name() - "copy-back", "compare", "drop" or "spare" */
const char *hypr_reset_name(int way);

/* What a view's spare is. */
#define HYPR_SPARE_NONE		0	/* there is none */
#define HYPR_SPARE_READY	1	/* it equals the moment */
#define HYPR_SPARE_DIRTY	2	/* it is being put back */
#define HYPR_SPARE_FAILED	3	/* it could not be put back, or the VM not go on in it */

/** hypr_spare_name() - "none", "ready", "not-ready" or "failed" */
const char *hypr_spare_name(int spare);

struct hypr_reset_result {
	uint32_t view;
	int pause;			/* HYPR_PAUSE_*; NONE for a view that is not active */
	int way;			/* HYPR_RESET_* */
	int state_way;			/* HYPR_STATE_*, of the active view */
	uint64_t pages_restored;	/* pages looked at, and put back if they differed */
	uint64_t pause_cycles;
	uint64_t restore_cycles;	/* finding and putting them back */
	uint64_t prepare_cycles;	/* completing the tables, if it had to be */
	uint64_t total_cycles;
	int spare;			/* HYPR_SPARE_*, when the reset began, or what came of it */
	uint32_t reserved;
};

/**
 * hypr_view_reset() - put a view back to its moment: memory, vCPUs, devices
 * @view: NULL: the active one
 *
 * The active view is paused, put back, and goes on from its moment.
 *
 * A view on a file that was truncated stays as it is.  When the file is truncated
 * during the reset of the active view, or the kernel refuses the swap that ends such a
 * reset, the VM ends: its memory and its registers are of two moments.
 *
 * Return: 0; -ENOENT; -EINVAL the boot view has no moment; -ESHUTDOWN; -EIO;
 * -EBADMSG the file was truncated; -EBUSY a vCPU is in SMM or in a nested guest;
 * -ENOMEM.
 */
int hypr_view_reset(struct hypr_vm *vm, const char *view,
		    struct hypr_reset_result *result);

/**
 * hypr_view_reset_by() - the same, by one way or not at all
 * @flags: HYPR_RESET_ONLY(HYPR_RESET_*), or 0 for hypr_view_reset()
 *
 * Return: as hypr_view_reset(); -EINVAL also for other flags; -EOPNOTSUPP this view
 * cannot be put back by that way now: the kernel does not report which pages were written
 * (HYPR_RESET_COPY_BACK) or are private (HYPR_RESET_COMPARE), or the view stands on a
 * file (HYPR_RESET_DROP), or has no spare, or one that cannot be put back
 * (HYPR_RESET_SPARE, which waits while it is being put back).  The view is as it was then.
 */
int hypr_view_reset_by(struct hypr_vm *vm, const char *view, unsigned int flags,
		       struct hypr_reset_result *result);

/**
 * hypr_view_spare() - give a view a spare: a second prepared copy of its moment
 *
 * A reset of the view then goes on in the spare at once, whatever was written, and the
 * memory that it left is put back by a thread of the VM, and is the spare from then on.
 * If the next reset comes before that is done, it goes by another way, and its result says
 * so.  The spare has the view's name and counts as a view of hypr_vm_info.views_max; it
 * takes tables, and memory for each page that was ever written in it.  It goes with
 * the view.
 *
 * Return: 0; -ENOENT; -EINVAL the view has no moment, or is being recorded
 * (HYPR_LOAD_RECORD); -EEXIST it has one; -ENOSPC all views in use; -ENOMEM; -ESHUTDOWN;
 * -EBADMSG the file that the view stands on was truncated.
 */
int hypr_view_spare(struct hypr_vm *vm, const char *view);

#define HYPR_VERIFY_RANGES	8

struct hypr_gpa_range {
	uint64_t start;			/* guest physical, bytes, [start, end) */
	uint64_t end;
};

struct hypr_verify_result {
	uint32_t view;
	uint32_t nr_ranges;		/* entries of @range in use */
	uint64_t pages_compared;	/* all but the control page, which is shared */
	uint64_t pages_mismatched;
	uint64_t spare_compared;	/* pages of the view's spare, if @spare is READY, else 0 */
	uint64_t spare_mismatched;
	uint64_t cycles;
	int spare;			/* HYPR_SPARE_*; NONE in a comparison with a file */
	struct hypr_gpa_range range[HYPR_VERIFY_RANGES]; /* the first that differ */
	char name[HYPR_NAME_MAX];	/* of the view */
};

/**
 * hypr_view_verify() - compare every page of a view with its moment
 *
 * Reads only: no page of the view becomes private by it.  The active view is
 * paused while it is compared.  A view that has run differs from its moment;
 * one that was reset must not.  A spare that is ready is compared as well, and must
 * not differ either.
 *
 * Return: 0 compared (see @result); -ENOENT; -EINVAL the boot view has no
 * moment; -ESHUTDOWN; -EBADMSG the file that it stands on was truncated; -EIO a vCPU
 * did not leave the guest within 10 seconds; -ECANCELED as for hypr_view_snapshot();
 * -ENOMEM.
 */
int hypr_view_verify(struct hypr_vm *vm, const char *view,
		     struct hypr_verify_result *result);

/**
 * hypr_view_compare() - compare every page of a view with a VMO
 * @view: NULL: the active one
 * @path: the VMO, which may be packed and have parents
 *
 * As hypr_view_verify(), and any view will do.
 *
 * Return: 0 compared (see @result); -ENOENT no such view, or file; -EINVAL the
 * file has memory of another size; -ESHUTDOWN; -EBADMSG; -EIO; -ECANCELED; -ENOMEM;
 * as for hypr_vmo_open() and hypr_vmo_read().
 */
int hypr_view_compare(struct hypr_vm *vm, const char *view, const char *path,
		      struct hypr_verify_result *result);

/* ---- translating guest addresses ----------------------------------------- */

#define HYPR_PAGING_CR3		(1u << 0)	/* the tables of hypr_paging.cr3 */

/**
 * struct hypr_paging - whose page tables
 * @size: sizeof(struct hypr_paging); fields are only ever appended
 * @flags: HYPR_PAGING_CR3, or 0: the tables that the vCPU uses
 * @vcpu: whose CR4 and EFER say what kind of tables they are
 */
struct hypr_paging {
	uint32_t size;
	uint32_t flags;
	uint32_t vcpu;
	uint32_t reserved;
	uint64_t cr3;
};

/* What all levels of the tables together allow. */
#define HYPR_RIGHT_READ		(1u << 0)
#define HYPR_RIGHT_WRITE	(1u << 1)
#define HYPR_RIGHT_EXECUTE	(1u << 2)
#define HYPR_RIGHT_USER		(1u << 3)

enum hypr_fault {
	HYPR_FAULT_NONE,
	HYPR_FAULT_ABSENT,		/* an entry is not present */
	HYPR_FAULT_RESERVED,		/* an entry has a reserved bit */
	HYPR_FAULT_BEYOND,		/* a table is beyond memory */
	HYPR_FAULT_CANONICAL,		/* the address is none that the tables can have */
};

/**
 * struct hypr_translation - what the tables say of an address
 * @gpa, @page_bytes, @rights: with HYPR_FAULT_NONE; @page_bytes is 0 with paging off
 * @fault: enum hypr_fault
 * @level: of the entry that ended the walk; 1 is that of 4 KiB pages; 0: paging is off
 * @levels: of the tables
 * @in_memory: memory is at @gpa; else it is a device's
 * @entry_gpa, @entry: the entry of @level; @entry is 0 with HYPR_FAULT_BEYOND
 * @cr3: whose tables they are
 */
struct hypr_translation {
	uint64_t gva;
	uint64_t gpa;
	uint64_t page_bytes;
	uint32_t rights;
	uint32_t fault;
	uint8_t level;
	uint8_t levels;
	uint8_t in_memory;
	uint8_t reserved[5];
	uint64_t entry_gpa;
	uint64_t entry;
	uint64_t cr3;
};

/** hypr_fault_name() - "none", "not-present", "reserved-bit", "beyond-memory" or "not-canonical" */
const char *hypr_fault_name(int fault);

/**
 * hypr_view_translate() - guest-virtual to guest-physical address, by a view's page tables
 * @view: NULL: the active one
 * @paging: NULL: the tables that vCPU 0 uses
 * @result: out, also with -EFAULT
 *
 * Changes no accessed or dirty flag.  The active view is paused while its tables are read;
 * of another view, the registers are those with which the VM left it.
 *
 * Return: 0; -EFAULT the tables do not map it: @result has the reason, hypr_error() has
 * it in words; -ENOENT no such view; -EINVAL @paging, or no such vCPU; -ENODATA the view has
 * no registers; -ESHUTDOWN; -EBADMSG the file that the view is on was truncated; -EIO a vCPU
 * did not leave the guest within 10 seconds; -ENOMEM.
 */
int hypr_view_translate(struct hypr_vm *vm, const char *view, uint64_t gva,
			const struct hypr_paging *paging, struct hypr_translation *result);

/* ---- what the pages of a view are ---------------------------------------- */

#define HYPR_PAGE_TOUCHED	(1u << 0)	/* the host has it: the guest, a device or hypr used it */
#define HYPR_PAGE_PRIVATE	(1u << 1)	/* it is the view's own: it was written at some time */
#define HYPR_PAGE_WRITTEN	(1u << 2)	/* it may have been written since the last reset */

/** struct hypr_page_run - pages with the same HYPR_PAGE_* */
struct hypr_page_run {
	uint64_t gpa;
	uint64_t pages;
	uint32_t flags;
	uint32_t reserved;
};

/**
 * struct hypr_pages_result - how many pages of a view there are of each kind
 * @written_known: 0: the kernel does not report what was written: no page has
 *	HYPR_PAGE_WRITTEN.  So it is from a snapshot taken in the view until its next
 *	reset, and always of a view without a moment and with engine stock
 * @nr_runs: that @fn was called for, or would have been
 */
struct hypr_pages_result {
	char name[HYPR_NAME_MAX];
	uint32_t view;
	uint8_t written_known;
	uint8_t reserved[3];
	uint64_t pages_total;		/* of memory */
	uint64_t pages_touched;
	uint64_t pages_private;
	uint64_t pages_written;
	uint64_t nr_runs;
};

/** hypr_page_run_fn - Return: 0 to go on */
typedef int (*hypr_page_run_fn)(void *arg, const struct hypr_page_run *run);

/**
 * hypr_view_pages() - which pages of a view were touched, are private, were written
 * @view: NULL: the active one
 * @fn: called with ascending addresses, neighbours unlike; pages without a flag are left
 *	out.  The VM goes on while it is called, and it may call libhypr.  Or NULL
 * @result: out, or NULL
 *
 * Reads no page.  The active view is paused while the kernel is asked.  A view without
 * a moment has nothing to share: all its touched pages are private.
 *
 * Return: 0; -ENOENT no such view; -EOPNOTSUPP this kernel does not report which pages
 * are there (it is older than Linux 6.7, or /proc is not mounted); -ESHUTDOWN; -EIO a vCPU
 * did not leave the guest within 10 seconds; -ENOMEM; what @fn returned; as for open(2).
 */
int hypr_view_pages(struct hypr_vm *vm, const char *view, hypr_page_run_fn fn, void *arg,
		    struct hypr_pages_result *result);

struct hypr_view_info {
	char name[HYPR_NAME_MAX];
	uint32_t view;			/* number: KVM's address space id, without a spare */
	uint8_t active;
	uint8_t prepared;
	uint8_t has_moment;		/* 0 for the boot view of a guest that booted */
	uint8_t spare;			/* HYPR_SPARE_* */
	uint64_t swaps;			/* times it was swapped to */
	uint64_t resets;
	uint64_t private_pages;		/* pages that differ from being shared */
	uint64_t stored_pages;		/* pages that its moment keeps */
};

/**
 * hypr_view_list() - the views of a VM, boot view first
 * @info: out: the first @nr views
 * Return: the number of views that there are, which may be more than @nr.
 */
int hypr_view_list(struct hypr_vm *vm, struct hypr_view_info *info,
		   unsigned int nr);

/**
 * hypr_view_remove() - give up a view that is not active, and its moment
 * Return: 0; -ENOENT; -EINVAL the boot view stays; -EBUSY it is active.
 */
int hypr_view_remove(struct hypr_vm *vm, const char *view);

/* ---- control socket ------------------------------------------------------ */

/*
 * A VM's process can offer these operations to others: a UNIX socket NAME.sock
 * (mode 0600) in the runtime directory, on which requests and answers are JSON
 * objects, one a line.  hypr(1) lists them.
 */
struct hypr_server;

/**
 * hypr_runtime_dir() - where the sockets are
 * @buf, @size: out: $HYPR_RUNTIME_DIR, else $XDG_RUNTIME_DIR/hypr, else
 *	/run/hypr
 * Return: 0; -ENAMETOOLONG; -EINVAL it is not absolute.
 */
int hypr_runtime_dir(char *buf, size_t size);

/**
 * hypr_server_start() - offer a VM's operations on its control socket
 *
 * Makes the runtime directory when it is missing.  A socket that nobody
 * answers on is taken for stale and replaced.
 *
 * Return: 0; -EADDRINUSE a VM of this name runs; -EPERM the directory belongs to
 * another user, or others may write to it; or what the system returned.
 */
int hypr_server_start(struct hypr_vm *vm, struct hypr_server **serverp);

/** hypr_server_stop() - close and remove the socket.  NULL is allowed. */
void hypr_server_stop(struct hypr_server *server);

/**
 * hypr_client_call() - one request to a running VM, and its answer
 * @vm: name of the VM
 * @request: a JSON object
 * @answer: out: a JSON object, to be freed with free()
 *
 * Return: 0 when there is an answer (which may tell a failure); -ESRCH no VM
 * of this name runs (a stale socket counts as none); -EINVAL bad name;
 * -EACCES not allowed, or the process there is another user's; -EPERM as for
 * hypr_server_start(); -EPROTO the answer is no JSON; -ECONNRESET the VM
 * ended before it answered; -ETIMEDOUT it accepted no connection within five
 * seconds, or did not answer within five minutes: its process is stopped, or hangs.
 */
int hypr_client_call(const char *vm, const char *request, char **answer);

/** hypr_client_call_within() - as hypr_client_call(), with a limit of @timeout_ms */
int hypr_client_call_within(const char *vm, const char *request, int timeout_ms, char **answer);

/**
 * hypr_client_check() - does a VM of this name run?  Asks nothing, waits for nothing.
 * Return: 0 it does, perhaps without answering; -ESRCH; -EINVAL bad name; -EACCES;
 * -EPERM, -ENOTDIR as for hypr_server_start(); -ENAMETOOLONG the runtime folder's path
 * is too long for a socket's.
 */
int hypr_client_check(const char *vm);

/**
 * hypr_client_list() - names of the VMs that run
 * @fn: called for each; a return other than 0 ends the list
 * @arg: passed to it
 *
 * Removes stale sockets on its way.  Return: number of names, or -errno.
 */
int hypr_client_list(int (*fn)(void *arg, const char *vm), void *arg);

/** hypr_name_check() - may this be a VM's or view's name?  Return: 0, -EINVAL. */
int hypr_name_check(const char *name);

/* ---- the host ------------------------------------------------------------ */

struct hypr_host_check {
	const char *name;		/* "kvm", "vmx", "ept", ... */
	int ok;				/* 1 ok, 0 missing, -1 cannot be told */
	char detail[128];		/* what was found */
	char advice[192];		/* what to do when missing, or "" */
};

/**
 * hypr_host_probe() - what this host has of what HYPR needs
 * @check: out: the first @nr checks
 * Return: the number of checks that there are.
 */
int hypr_host_probe(struct hypr_host_check *check, unsigned int nr);

#ifdef __cplusplus
}
#endif

#endif /* HYPR_HYPR_H */
