/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hyprv: a small VT-x hypervisor as a module.  Read main.c first, then this file, then
 * vcpu.h.
 *
 * One struct hypervisor, a struct hypervisor_cpu for each CPU, a struct vm for each
 * open VM and a struct vcpu for each of its vCPUs.
 *
 * Locks, in this order: vcpu->lock or vm->build_lock, vm->swap_lock (mutexes), vm->lock (a
 * spin lock).  The memory's callers take vm->lock; nobody sleeps or touches user memory under
 * it.  The statistics of shadow paging have a mutex before vm->lock (paging_memory.c).
 */
#ifndef HYPRV_HYPRV_H
#define HYPRV_HYPRV_H

#include <linux/cpumask.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include <linux/kvm_hypr.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "flush.h"
#include "mmu.h"
#include "numa.h"
#include "paging.h"
#include "tlb.h"
#include "vcpu.h"
#include "vmx_caps.h"

#define HYPRV_MAX_VCPUS		64
/* Of each view. */
#define HYPRV_REGIONS		32
#define HYPRV_CPUID_ENTRIES	100
/* Basic exit reasons that VT-x has (SDM volume 3D, appendix C). */
#define HYPRV_EXIT_REASONS	78
/* Table pages that one fault can need: three levels below the root. */
#define HYPRV_SPARE_PAGES	4

/**
 * struct hypervisor_cpu - what one CPU holds
 * @on: VMXON has been executed; changed by this CPU alone, with interrupts off
 * @page: the VMXON region
 * @current_vcpu: whose VMCS is current
 * @loaded: vCPUs whose VMCS is active here; interrupts off
 * @exits: VM exits here by basic reason
 * @entries: VM entries here
 * @invept, @invvpid: flushes here
 * @flushes: the same by reason
 */
struct hypervisor_cpu {
	bool on;
	void *page;
	struct vcpu *current_vcpu;
	struct list_head loaded;
	u64 exits[HYPRV_EXIT_REASONS];
	u64 entries;
	u64 invept;
	u64 invvpid;
	u64 flushes[FLUSH_REASONS];
};

/**
 * struct hypervisor - the one of this machine
 * @can: what VT-x has here
 * @ept: what EPT has here
 * @shadow: mmu=shadow: VMs have shadow paging unless they ask for EPT
 * @no_ept, @no_shadow: what VT-x lacks for it here; NULL if nothing
 * @tlb: INVVPID and INVEPT
 * @numa: VMXON regions, VMCSs and pages of vCPUs: pages.c
 * @msr_bitmap: one for all vCPUs
 * @xcr0: states that guests may enable
 * @l1d_flush: each VM entry empties the L1 data cache (L1TF)
 * @vpid: VPIDs in use; 0 is the host's
 * @vpid_lock: guards @vpid
 * @cpu: one for each CPU
 * @hotplug: state of the CPU hotplug machine, 0 if none
 * @vms: open VMs
 * @debugfs: /sys/kernel/debug/hyprv
 */
struct hypervisor {
	struct vmx_capabilities can;
	struct ept_capabilities ept;
	bool shadow;
	const char *no_ept;
	const char *no_shadow;
	struct tlb_ops tlb;
	struct numa_info numa;
	u8 *msr_bitmap;
	u64 xcr0;
	bool l1d_flush;
	unsigned long *vpid;
	struct mutex vpid_lock;
	struct hypervisor_cpu __percpu *cpu;
	int hotplug;
	atomic_t vms;
	struct dentry *debugfs;
};

extern struct hypervisor hypervisor;

static inline void flush_count(enum flush_reason reason)
{
	this_cpu_inc(hypervisor.cpu->flushes[reason]);
}

/**
 * struct region - guest memory as user space gave it
 * @slot: the caller's number
 * @flags: KVM_MEM_READONLY
 * @gpa, @bytes: where the guest sees it
 * @address: where the process has it
 * @shared: another view has some of it too; shadow paging
 */
struct region {
	u32 slot;
	u32 flags;
	u64 gpa;
	u64 bytes;
	unsigned long address;
	bool shared;
};

/**
 * struct view - a memory state of a VM: its regions, and the tables that map them
 * @vm: its VM
 * @number: as user space has it
 * @region: guest memory, @regions of them; vm->lock
 * @mmu: the tables; vm->lock
 * @eptp: their EPT pointer, which stays
 * @cpus: CPUs that may hold translations of these tables
 * @prepared: a vCPU may be swapped here; vm->swap_lock
 * @edited: how often user space has said that it changed bytes in place; vm->swap_lock
 * @caller: shadow paging: the vCPU whose call it is; vm->lock
 * @flushes: shadow paging: flushes of the tables; changed with vm->lock
 * @installs: shadow paging: faults that may have made entries of the tables; vm->lock
 * @open: shadow paging: pages that vCPUs may write just now; vm->lock
 * @on_stats: shadow paging: in the statistics
 */
struct view {
	struct vm *vm;
	u32 number;
	struct region region[HYPRV_REGIONS];
	u32 regions;
	struct mmu_virtualization mmu;
	u64 eptp;
	cpumask_t cpus;
	bool prepared;
	u64 edited;
	struct vcpu *caller;
	u64 flushes;
	u64 installs;
	struct list_head open;
	struct list_head on_stats;
};

/**
 * struct vm - a virtual machine
 * @users: the VM's file and its vCPUs' files
 * @shadow: its views have shadow paging, not EPT
 * @lock: guards what follows up to @spares, and all edits of the tables
 * @mm: the process whose memory it has
 * @notifier: follows that memory
 * @invalidating: invalidations under way
 * @sequence: counts those that ended, and changes of regions
 * @had_regions: it has or once had a region
 * @spare: zeroed table pages, @spares of them
 * @store: memory for shadow pages
 * @view: by number; one that was made stays until the VM ends
 * @build_lock: serialises builds and discards of views
 * @swap_lock: serialises swaps; guards what follows up to @faults
 * @views: user space has enabled views
 * @active: the view of new vCPUs
 * @generation: counts swaps
 * @vcpu: in order of creation; @vcpus of them
 * @stats: of swaps
 * @faults: EPT violations of all vCPUs up to the last swap
 * @lock_timeouts: swaps that did not get @swap_lock in time
 * @barrier: vCPUs sleep here until a swap has ended
 * @by_index: the vCPU with that number, for senders of interrupts, under RCU
 * @apics: vCPUs have local APICs
 * @dead: an exit that nobody can handle ended the VM
 */
struct vm {
	refcount_t users;
	bool shadow;
	spinlock_t lock;
	struct mm_struct *mm;
	struct mmu_notifier notifier;
	atomic_t invalidating;
	atomic64_t sequence;
	bool had_regions;
	void *spare[HYPRV_SPARE_PAGES];
	u32 spares;
	struct paging_store store;
	struct view *view[KVM_HYPR_MAX_VIEWS];
	struct mutex build_lock;
	struct mutex swap_lock;
	bool views;
	u32 active;
	u64 generation;
	struct vcpu *vcpu[HYPRV_MAX_VCPUS];
	u32 vcpus;
	struct kvm_hypr_stats stats;
	u64 faults;
	atomic64_t lock_timeouts;
	wait_queue_head_t barrier;
	struct vcpu *by_index[HYPRV_MAX_VCPUS];
	bool apics;
	bool dead;
};

/* ---- pages.c: pages that VT-x reads --------------------------------------- */

int pages_init(struct hypervisor *hv, u64 pages);
void pages_fini(struct hypervisor *hv);
/* A zeroed one, near that CPU, or with -1 near this one; or NULL. */
void *page_take(struct hypervisor *hv, int cpu);
/* NULL is allowed. */
void page_give(struct hypervisor *hv, void *page);
u64 pages_used(struct hypervisor *hv);

/* ---- vmxon.c: VT-x on this machine -------------------------------------- */

int vmx_probe(struct hypervisor *hv);
int vmx_on_all(struct hypervisor *hv);
void vmx_off_all(struct hypervisor *hv);
/* This CPU alone, which cannot change under the caller. */
int vmx_on_now(void);
void vmx_off_now(void);
/* The same for a kernel that crashes: in any context with interrupts off; no way back. */
void vmx_off_crash(void);

/* ---- power.c: reboot, crash and sleep ----------------------------------- */

int power_init(struct hypervisor *hv);
void power_fini(struct hypervisor *hv);
/* Would the machine sleep? */
bool power_may_sleep(void);

/* ---- memory.c: guest memory --------------------------------------------- */

int memory_init(struct vm *vm);
void memory_fini(struct vm *vm);
int memory_set_region(struct vm *vm, const struct kvm_userspace_memory_region *region);
/* Make it unless it is there: -EINVAL for a number that is no view's; -ENOMEM, -ERANGE. */
struct view *view_make(struct vm *vm, u32 number);
/* 1: mapped, run on; 0: no memory there (or not writable); -errno. */
int memory_fault(struct vcpu *vcpu, u64 gpa, u32 access);
/* The same without a vCPU; -EAGAIN: the process's memory has changed concurrently. */
int memory_bring(struct view *view, u64 gpa, u32 access);
bool memory_is_mapped(struct view *view, u64 gpa);
/* The first address from *@gpa on with memory; false if there is none. */
bool memory_next(struct view *view, u64 *gpa);
/* The process's address of a GPA, or 0. */
unsigned long memory_address(struct view *view, u64 gpa);
/* With vm->lock. */
void memory_unmap(struct view *view, u64 gpa, u64 bytes);

/* ---- memory_notify.c: the process takes memory away ------------------------ */

/* The caller's process, whose memory the VM has; memory_fini() ends it. */
int memory_follow(struct vm *vm);
/* Unmap everything: no CPU uses the tables any more. */
void memory_forget(struct view *view);

/* ---- memory_read.c: what the host reads ---------------------------------- */

/* Copy from guest memory; -EFAULT if there is none. */
int memory_read(struct view *view, u64 gpa, void *buffer, u32 bytes);

/* ---- view.c: the views of a VM ------------------------------------------- */

bool view_is_number(u32 number);
/* NULL for a number from user space that has no view. */
struct view *view_at(struct vm *vm, u32 number);
/* The same with memory in it: else no view. */
struct view *view_find(struct vm *vm, u32 number);
int views_enable(struct vm *vm, const struct kvm_enable_cap *cap);
int view_prepare(struct vm *vm, struct kvm_hypr_prepare *arg);
int view_discard(struct vm *vm, u32 number);

/* ---- barrier.c: in front of the guest ------------------------------------- */

/*
 * true: the barrier is open, and vcpu->view is where the vCPU goes on; false: a swap takes
 * longer, call swap_sleep() with the VMCS put.
 */
bool swap_pass(struct vcpu *vcpu);
/* 0: try again; -EINTR: a signal, with @killable a fatal one. */
int swap_sleep(struct vcpu *vcpu, bool killable);
/* The vCPU must not enter the guest, but look at the barrier. */
static inline bool swap_is_asked(const struct vcpu *vcpu)
{
	return READ_ONCE(vcpu->asked) != vcpu->came;
}

/* Out of the guest, if it is there: the exit leads to the barrier. */
void vcpu_kick(struct vcpu *vcpu);

/*
 * The VMCS is current: one VMWRITE if the vCPU changes its view, a flush if it must.
 * 1; with shadow paging, what paging_load() returns.
 */
int view_load(struct vcpu *vcpu);
/* Is @vcpu one of those that the call swaps? */
bool swap_takes(const struct kvm_hypr_swap *swap, const struct vcpu *vcpu);
/*
 * With vm->swap_lock.  @may_wait: a vCPU that waits for user space's answer counts as held.
 * 0, -EAGAIN, -EINTR; barrier_open() follows in any case.
 */
int barrier_close(struct vm *vm, const struct kvm_hypr_swap *swap, bool may_wait);
void barrier_open(struct vm *vm, const struct kvm_hypr_swap *swap);
/* Take vm->swap_lock: 0, -EAGAIN, -EINTR. */
int swap_lock_within(struct vm *vm, u64 timeout_ns);

/* ---- swap.c: all vCPUs to another view, or none --------------------------- */

/* A new vCPU: it starts in the active view.  -EEXIST, -EINTR. */
int swap_add(struct vm *vm, struct vcpu *vcpu);
void swap_remove(struct vm *vm, struct vcpu *vcpu);
int swap_views(struct vm *vm, struct kvm_hypr_swap *swap);
int swap_mark_edited(struct vm *vm, u32 number);
/* With vm->swap_lock. */
void swap_stats(struct vm *vm, struct kvm_hypr_stats *stats);

/* ---- root.c: one vCPU's EPT pointer ---------------------------------------- */

int eptp_get(struct vcpu *vcpu, struct kvm_hypr_eptp *arg);
int eptp_set(struct vcpu *vcpu, struct kvm_hypr_eptp *arg);

/* ---- ioctl_view.c: the ABI of <linux/kvm_hypr.h> --------------------------- */

/* -ENOTTY: none of HYPR's. */
long view_vm_ioctl(struct vm *vm, unsigned int request, void __user *user);
long view_vcpu_ioctl(struct vcpu *vcpu, unsigned int request, void __user *user);

/* ---- ioctl.c, ioctl_vcpu.c, debugfs.c ------------------------------------------------- */

int device_init(struct hypervisor *hv);
void device_fini(struct hypervisor *hv);
/** hypervisor_sum() - a counter of struct hypervisor_cpu, at this offset, over all CPUs */
u64 hypervisor_sum(size_t offset);
#define HYPERVISOR_SUM(counter)	hypervisor_sum(offsetof(struct hypervisor_cpu, counter))

int debugfs_init(struct hypervisor *hv);
void debugfs_fini(struct hypervisor *hv);
/* A VM of the caller's process, with one reference: the last one frees it. */
struct vm *vm_new(bool shadow);
void vm_put(struct vm *vm);
extern const struct file_operations vcpu_fops;

/* ---- selftest.c: small guests while the module loads -------------------- */

int selftest_run(struct hypervisor *hv);
/* KUnit has its results until then. */
void selftest_forget(struct hypervisor *hv);

#endif /* HYPRV_HYPRV_H */
