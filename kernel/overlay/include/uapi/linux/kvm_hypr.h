/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * HYPR: memory states ("views") of a KVM virtual machine, and the swap between
 * them.  This header is the whole ABI: between user space and the host kernel
 * (ioctls on VM and vCPU file descriptors), and between host and guest (the
 * control page).  It compiles alone, in C and in C++.  The table of
 * <linux/kvm_hypr_layout.h> asserts where each field is.
 *
 * A view is a KVM address space: its number is what KVM_SET_USER_MEMORY_REGION
 * takes in bits 31:16 of the slot.  0 is the boot view, 1 is taken by KVM for
 * SMM and is no view, 2 to 15 are HYPR's.
 *
 * In every struct, reserved fields must be zero and unknown flags are -EINVAL.
 * "in" and "out" mark who fills a field; an out field is ignored on input.
 */
#ifndef _UAPI_LINUX_KVM_HYPR_H
#define _UAPI_LINUX_KVM_HYPR_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Capability, checked on the VM fd (or on /dev/kvm): the number of views
 * besides the boot view, 0 when this host cannot have any (no TDP MMU).
 * Enabled on the VM fd by KVM_ENABLE_CAP with all args 0, before the first
 * memory slot (one that was deleted again counts) and the first vCPU; otherwise
 * -EINVAL.  SEV, Xen, Hyper-V and devices that track the guest's writes do not go
 * with views: a VM that has one is refused the other, with -EINVAL, in both orders.
 *
 * Enabling also disables KVM_X86_QUIRK_SLOT_ZAP_ALL, so that removing a slot of
 * one view leaves the tables of the others alone.
 */
#define KVM_CAP_HYPR_EPT_SWAP		0x48595052

#define KVM_HYPR_MAX_VIEWS		16	/* address spaces, 0 and SMM included */
#define KVM_HYPR_VIEW_BOOT		0
#define KVM_HYPR_VIEW_SMM		1	/* reserved for SMM: not a view */
#define KVM_HYPR_VIEW_FIRST		2

/* The ioctl type is KVM's own (KVMIO). */
#define KVM_HYPR_IO			0xAE

/* Out of KVM_GET_EPTP: an AMD CPU, @eptp is a nested CR3 (APM, "nCR3"). */
#define KVM_HYPR_EPTP_NPT	0x1

/**
 * struct kvm_hypr_eptp - KVM_GET_EPTP, KVM_SET_EPTP (vCPU)
 * @eptp: GET out, SET in: an EPT pointer as the SDM defines it; on AMD the
 *	nested CR3
 * @generation: out: the VM's swap generation
 * @view: out: the view that the EPTP is the root of
 * @flags: GET out: KVM_HYPR_EPTP_*; SET in: must be 0
 */
struct kvm_hypr_eptp {
	__u64 eptp;
	__u64 generation;
	__u32 view;
	__u32 flags;
	__u64 reserved[5];
};

/* Build the tables of [gpa, gpa + size) alone. */
#define KVM_HYPR_PREPARE_RANGE	0x1

/**
 * struct kvm_hypr_prepare - KVM_PREPARE_EPT_SWAP (VM)
 * @view: in: the view whose tables are built
 * @flags: in: KVM_HYPR_PREPARE_*
 * @pages_mapped: out: 4 KiB pages that the tables map now, from all memory slots
 *	(of the range, with KVM_HYPR_PREPARE_RANGE)
 * @pages_skipped: out: pages left to be faulted in: not ordinary memory; or of
 *	kvm_hypr_moment.zeros, and the host does not map them
 * @cycles: out: TSC cycles that the build took
 * @gpa: in: with KVM_HYPR_PREPARE_RANGE, where to begin, page-aligned; else 0
 * @size: in: with KVM_HYPR_PREPARE_RANGE, bytes, page-aligned and not 0; @gpa +
 *	@size must not overflow; else 0
 * @next_gpa: out: with KVM_HYPR_PREPARE_RANGE, the address up to which the
 *	tables are built: @gpa + @size after success.  After -EINTR and -ENOMEM
 *	the caller may go on from there; after -EAGAIN KVM has dropped the tables,
 *	and the caller builds all parts again.  Without the flag 0.
 *
 * The kernel passes over memory that has no slot.  After success of any part the
 * view counts as prepared: the guest faults in what no part has built.  A signal
 * ends the call with -EINTR; what was built stays with the view until user space
 * discards the view.  The kernel fills the out fields after an error too.
 *
 * Access: a slot with KVM_MEM_READONLY is mapped read-only in its view, however
 * other views map the same memory; a write exits as KVM_EXIT_MMIO.  KVM has no
 * slot without execute permission: every page of a view can be executed by the
 * guest, and its own page tables alone can forbid that.
 */
struct kvm_hypr_prepare {
	__u32 view;
	__u32 flags;
	__u64 pages_mapped;
	__u64 pages_skipped;
	__u64 cycles;
	__u64 gpa;
	__u64 size;
	__u64 next_gpa;
	__u64 reserved;
};

/*
 * KVM_EPT_SWAP_ALL only: ask the guest, through the control page, to park.  Each
 * vCPU that may run needs an in-kernel local APIC and an entry in the page; else
 * -EINVAL.  After an error, and without KVM_EPT_SWAP_RESUME, the kernel releases
 * the vCPUs that this call has asked, and no others.
 */
#define KVM_EPT_SWAP_PAUSE	0x1
/* KVM_EPT_SWAP_ALL only: release all parked vCPUs, also after an error. */
#define KVM_EPT_SWAP_RESUME	0x2
/* Swap vCPUs that run (or that did not park in time) as well. */
#define KVM_EPT_SWAP_FORCE	0x4
/* Flush the TLB: bytes of the view were changed while it was inactive. */
#define KVM_EPT_SWAP_FLUSH	0x8
/* Only if the vCPUs to be swapped are in @expected_view; else -ESTALE. */
#define KVM_EPT_SWAP_EXPECT	0x10
/* KVM_COMMIT_EPT_SWAP only: swap the vCPUs of @vcpu_mask alone. */
#define KVM_EPT_SWAP_VCPUS	0x20
/*
 * KVM_EPT_SWAP_ALL only: each vCPU's state goes with its view, without leaving
 * KVM_RUN.  What the vCPU has is kept as that of the old view, and it goes on with
 * what is kept for the new one: see struct kvm_hypr_keep.
 */
#define KVM_EPT_SWAP_STATE	0x40
/*
 * With KVM_EPT_SWAP_STATE: go on with the state that is kept for the view's moment.
 * @view may be the active one: a reset.
 */
#define KVM_EPT_SWAP_MOMENT	0x80
/*
 * With KVM_EPT_SWAP_STATE: the VM's interrupt controllers and its PIT go with the view,
 * too.  No vCPU enters the guest before: see struct kvm_hypr_keep_board.
 */
#define KVM_EPT_SWAP_BOARD	0x100
/*
 * KVM_EPT_SWAP_ALL only: @view is the active view, and its memory gets the bytes of its
 * moment again while the vCPUs are held: see struct kvm_hypr_moment.  With
 * KVM_EPT_SWAP_STATE, KVM_EPT_SWAP_MOMENT must be set.
 */
#define KVM_EPT_SWAP_RESET	0x200

/*
 * With KVM_EPT_SWAP_STATE: raise HYPR_CONTROL_VECTOR on each vCPU in the new view, before it
 * enters the guest: one that does not wait in the guest's park loop learns of the swap so.
 */
#define KVM_EPT_SWAP_NOTIFY	0x400

/* Pages that one swap with KVM_EPT_SWAP_RESET puts back at most. */
#define KVM_HYPR_RESET_MAX_PAGES	16384u

#define KVM_EPT_SWAP_TIMEOUT_DEFAULT_NS	100000000ull	/* 100 ms */
#define KVM_EPT_SWAP_TIMEOUT_MAX_NS	10000000000ull	/* 10 s */

/**
 * struct kvm_hypr_swap - KVM_COMMIT_EPT_SWAP, KVM_EPT_SWAP_ALL (VM)
 * @view: in: the view to make active on every vCPU
 * @flags: in: KVM_EPT_SWAP_*
 * @timeout_ns: in: deadline of each wait: for other calls on the VM's views, for
 *	the guest to park, and for the vCPUs to leave the old view; and of the build
 *	of an evicted view, which the next swap continues; 0 is
 *	KVM_EPT_SWAP_TIMEOUT_DEFAULT_NS
 * @old_view: out: the view that was active; with KVM_EPT_SWAP_VCPUS, that of
 *	the first vCPU of the mask; after -ESTALE, the view that was not expected
 * @forced: out: vCPUs that were swapped without having paused
 * @generation: out: the VM's swap generation after the call
 * @pause_cycles: out: TSC cycles from the request until the vCPUs had parked; of a
 *	reset, also until pages of the moment that were missing were there
 * @commit_cycles: out: TSC cycles from the request until every vCPU had left
 *	the old view
 * @vcpu_mask: in: with KVM_EPT_SWAP_VCPUS, bit n is the vCPU with ID n; at least
 *	one, and no vCPU that does not exist; else 0
 * @expected_view: in: with KVM_EPT_SWAP_EXPECT, the view to be left; else 0
 * @pages: in: must be 0; out: with KVM_EPT_SWAP_RESET, pages that were put back
 *
 * KVM_EPT_SWAP_EXPECT is compare-and-swap, decided under the lock that
 * serialises swaps.  Every vCPU to be swapped must be in @expected_view, and
 * without KVM_EPT_SWAP_VCPUS the VM's active view must be it too; if not, -ESTALE
 * comes before anything is done to the VM: nothing is paused or released.
 *
 * KVM_EPT_SWAP_VCPUS: the vCPUs of the mask are swapped, all or none, and they
 * alone must be quiescent (or are forced) and are held.  The others run on where
 * they are.  The VM's active view, which new vCPUs start in and which VM-wide
 * accesses of KVM go to (pvclock, APIC-access page), changes only when the swap
 * leaves every vCPU in @view.  A later swap without the flag brings all vCPUs
 * together.  A view that any vCPU is in cannot be discarded.
 *
 * KVM_EPT_SWAP_STATE: every vCPU must be in 64-bit mode, without an NMI, SMI, INIT or SIPI
 * that has just come, and no hypervisor itself (CR4.VMXE, EFER.SVME).  It must have a state
 * kept for the old view (it is overwritten) and for the new one; both must have the same
 * XCR0, EFER and APIC base; else -EBUSY, and -ENXIO if a state is missing.  A vCPU
 * outside KVM_RUN, with no ioctl under way, is waited for until the deadline: it may be back
 * at once; else -EAGAIN.  After the call each vCPU has its new state, for the guest and for
 * every ioctl.  Without KVM_EPT_SWAP_MOMENT @view must not be the active view (-EINVAL).
 * Together with KVM_EPT_SWAP_RESUME -EINVAL, unless KVM_EPT_SWAP_BOARD is set: before the
 * guest goes on its devices have to be set, which is for user space to do while the vCPUs are
 * parked in the new view.
 *
 * KVM_EPT_SWAP_BOARD: a board must be kept for the old view (it is overwritten) and for
 * the new one, else -ENXIO; with KVM_EPT_SWAP_MOMENT, that of the moment.
 *
 * KVM_EPT_SWAP_RESET: what is written back are the pages that KVM_HYPR_GET_WRITTEN would
 * report, and for both "the last call" is the one that was last; and the pages of
 * kvm_hypr_moment.bitmap.  It needs no pause: what the guest does then is forgotten.
 * With KVM_EPT_SWAP_STATE, and without KVM_EPT_SWAP_RESUME, each vCPU's word in the
 * control page says PAUSED afterwards, if it said RUNNING or PAUSE_REQUESTED: a moment in
 * which the vCPU is parked waits for its release.  -EINVAL: @view is not the active view;
 * -ENXIO: the kernel was not told where the moment is; -EOPNOTSUPP: it is not known which
 * pages were written (KVM_HYPR_GET_WRITTEN would report all, or refuse), or vCPUs of
 * different address widths have tables of their own; -E2BIG: the view has memory beyond
 * kvm_hypr_moment.size, or more than KVM_HYPR_RESET_MAX_PAGES were written; -EFAULT: a
 * page of the moment, or one to be written, cannot be had; -EAGAIN also: they do not stay
 * long enough.  In all these cases nothing was changed.
 */
struct kvm_hypr_swap {
	__u32 view;
	__u32 flags;
	__u64 timeout_ns;
	__u32 old_view;
	__u32 forced;
	__u64 generation;
	__u64 pause_cycles;
	__u64 commit_cycles;
	__u64 vcpu_mask;
	__u32 expected_view;
	__u32 pages;
};

/**
 * struct kvm_hypr_discard - KVM_HYPR_DISCARD_VIEW (VM)
 * @view: in: the view whose tables are given back; its slots stay
 * @flags: in: must be 0
 */
struct kvm_hypr_discard {
	__u32 view;
	__u32 flags;
	__u64 reserved[3];
};

/**
 * struct kvm_hypr_control - KVM_HYPR_SET_CONTROL_PAGE (VM)
 * @gpa: in: HYPR_CONTROL_GPA
 * @userspace_addr: in: the page, as the memory slot at @gpa maps it in the
 *	boot view and must map it in every view that is prepared later
 * @flags: in: must be 0
 */
struct kvm_hypr_control {
	__u64 gpa;
	__u64 userspace_addr;
	__u32 flags;
	__u32 reserved0;
	__u64 reserved[5];
};

#define KVM_HYPR_STATS_BUCKETS	40

/**
 * struct kvm_hypr_dist - how a figure was distributed; the mean is @sum / @count
 * @count: out: how many values there were
 * @sum: out: their sum
 * @min: out: the smallest, 0 without any
 * @max: out: the greatest
 * @hist: out: bucket 0 counts the value 0, bucket n those in [2^(n-1), 2^n), and
 *	the last one all that are greater
 */
struct kvm_hypr_dist {
	__u64 count;
	__u64 sum;
	__u64 min;
	__u64 max;
	__u64 hist[KVM_HYPR_STATS_BUCKETS];
};

/**
 * struct kvm_hypr_stats - KVM_HYPR_GET_STATS (VM): since the VM enabled views
 * @swaps: out: swaps that happened, those of single vCPUs included
 * @forced: out: vCPUs that were swapped without having paused
 * @pause_timeouts: out: swaps that went on by force after the pause's deadline
 * @fail_no_view: out: swaps refused with -ENOENT
 * @fail_unprepared: out: with -ENODATA
 * @fail_stale: out: with -ESTALE
 * @fail_busy: out: with -EBUSY
 * @fail_pause: out: with -EAGAIN: the vCPUs did not park in time
 * @fail_hold: out: with -EAGAIN: they did not come to the barrier in time
 * @fail_signal: out: with -EINTR
 * @fail_lock: out: with -EAGAIN: other calls on the VM's views (a swap, a build,
 *	a discard) took longer than the deadline
 * @fail_other: out: with another error, those of the argument's form left out
 * @prepares: out: builds that ended well, of a view or of a part of one
 * @prepare_failures: out: builds that a signal, lack of memory or a zap ended
 * @discards: out: views discarded
 * @flushes: out: times that a vCPU flushed its TLB because it took a view
 * @asked: out: of @swaps, resets that the kernel did at a guest's request
 * @asked_user: out: requests for a reset that the kernel could not serve: user space got them
 * @tail_open: out: page faults of the VM's vCPUs since the last swap
 * @pause: out: cycles from the request until all vCPUs had parked, of each swap
 *	that asked for a pause and got it
 * @commit: out: cycles from the request until every vCPU had left the old view,
 *	of each swap that happened
 * @tail: out: the fault tail: EPT (NPT) faults that all vCPUs of the VM took
 *	together from one swap to the next, MMIO left out, as KVM counts them in
 *	the vCPU statistic pf_taken.  Of each swap but the last: that is @tail_open.
 *
 * The same figures, but @flushes and @tail_open, are in KVM's binary statistics
 * of the VM (KVM_GET_STATS_FD), named hypr.swaps, hypr.commit.hist and so on.  There
 * alone are hypr.reset_pages, the pages that KVM_EPT_SWAP_RESET has put back;
 * hypr.reset_shared, those of them that threads of held vCPUs have copied; and
 * hypr.reset_retries, how often a reset began again because pages were missing.
 */
struct kvm_hypr_stats {
	__u64 swaps;
	__u64 forced;
	__u64 pause_timeouts;
	__u64 fail_no_view;
	__u64 fail_unprepared;
	__u64 fail_stale;
	__u64 fail_busy;
	__u64 fail_pause;
	__u64 fail_hold;
	__u64 fail_signal;
	__u64 fail_other;
	__u64 prepares;
	__u64 prepare_failures;
	__u64 discards;
	__u64 flushes;
	__u64 tail_open;
	__u64 fail_lock;
	__u64 asked;
	__u64 asked_user;
	__u64 reserved[13];
	struct kvm_hypr_dist pause;
	struct kvm_hypr_dist commit;
	struct kvm_hypr_dist tail;
};

/* KVM_HYPR_SET_CACHE: set nothing, report the budget. */
#define KVM_HYPR_CACHE_GET	0x1

/**
 * struct kvm_hypr_cache - KVM_HYPR_SET_CACHE (VM)
 * @flags: in: KVM_HYPR_CACHE_*
 * @prepared: out: views with all their tables, bit n for view n
 * @evicted: out: views that were prepared and lost their tables to the cache; a
 *	swap to one of them rebuilds the tables
 * @pinned: out: views that are never evicted
 * @max_tables: in, with KVM_HYPR_CACHE_GET out: page-table pages that the views
 *	of this VM may take; 0 is the module parameter ept_cache_vm_tables
 * @max_pages: in, with KVM_HYPR_CACHE_GET out: 4 KiB pages that these tables may
 *	map; 0 is the module parameter ept_cache_vm_pages
 * @tables: out: page-table pages that all views take, the active one included
 * @pages: out: 4 KiB pages that these tables map
 * @evictions: out: how often a view was evicted
 * @rebuilds: out: how often a swap built a view that had lost its tables
 *
 * When a build or this call finds the VM over its budget, views lose their
 * tables, the one first that was not in use for the longest time, until it is
 * within the budget or none is left that may be evicted: the active view, one
 * that a vCPU is in, a pinned one, and the one that is built stay, whatever they
 * take.  So it is with the budget of the host for all VMs (module parameters
 * ept_cache_tables, ept_cache_pages), and under memory pressure.
 *
 * A view whose tables KVM has zapped by itself (MMIO generation wrapped around,
 * nx_huge_pages switched) counts as evicted as soon as a swap meets it.
 *
 * A swap to an evicted view can fail as KVM_PREPARE_EPT_SWAP can: -EINTR for any
 * signal, -ENOMEM, -EAGAIN, -EINVAL.  The VM stays in the old view; call again.
 *
 * -EINTR: a fatal signal.
 */
struct kvm_hypr_cache {
	__u32 flags;
	__u32 prepared;
	__u32 evicted;
	__u32 pinned;
	__u64 max_tables;
	__u64 max_pages;
	__u64 tables;
	__u64 pages;
	__u64 evictions;
	__u64 rebuilds;
	__u64 reserved[8];
};

/* KVM_HYPR_PIN_VIEW: let the view be evicted again. */
#define KVM_HYPR_PIN_UNPIN	0x1

/**
 * struct kvm_hypr_pin - KVM_HYPR_PIN_VIEW (VM)
 * @view: in: the view to keep: nothing evicts it; it need not be prepared yet
 * @flags: in: KVM_HYPR_PIN_*
 *
 * A view that is evicted already gets its tables by the next swap or by
 * KVM_PREPARE_EPT_SWAP.  KVM_HYPR_DISCARD_VIEW discards a pinned view too; the
 * pin stays.  -ENOENT: no such view.
 */
struct kvm_hypr_pin {
	__u32 view;
	__u32 flags;
	__u64 reserved[3];
};

/**
 * struct kvm_hypr_mark_edited - KVM_HYPR_MARK_EDITED (VM)
 * @view: in: the view of which user space changed bytes in place
 * @flags: in: must be 0
 *
 * Called after the change and before a vCPU runs in the view again: a vCPU may
 * hold translations that it made from what the guest's page tables said before.
 * Each vCPU flushes them when it takes the view next, at whichever swap or
 * KVM_SET_EPTP that is; a vCPU that is in the view flushes before it goes on.
 * Unlike with KVM_EPT_SWAP_FLUSH, the caller need not know which swap comes first.
 * User space need not call it when it exchanged pages (madvise, mmap, memory slots),
 * which KVM sees, unless the guest keeps page tables of a nested guest there: only
 * this call (and KVM_EPT_SWAP_FLUSH) drops KVM's shadows of them.
 */
struct kvm_hypr_mark_edited {
	__u32 view;
	__u32 flags;
	__u64 reserved[3];
};

/* Pages that one call answers for at most: 64 GiB. */
#define KVM_HYPR_WRITTEN_MAX_PAGES	0x1000000ull

/**
 * struct kvm_hypr_written - KVM_HYPR_GET_WRITTEN (VM)
 * @view: in: the view
 * @flags: in: must be 0
 * @nr_pages: in: pages from GPA 0 on, a multiple of 64, up to
 *	KVM_HYPR_WRITTEN_MAX_PAGES; all memory of the view must be there
 * @bitmap: in: user address of @nr_pages / 8 bytes, which are filled: one bit for
 *	each page, the first in bit 0 of the first byte
 * @pages: out: bits that are set
 *
 * A bit is set for each page that the guest or KVM may have written in the view
 * since the last call for the view.  The first call sets all bits, and so does each
 * call with another @nr_pages, after a change of the view's memory slots, and while they
 * are logged (KVM_MEM_LOG_DIRTY_PAGES).  What user space itself writes into the memory is not
 * known here.
 *
 * The next call starts from here.  If the bitmap cannot be written (-EFAULT), the
 * next call sets all bits.  To ask with vCPUs running in the view is allowed: what
 * they write during the call is reported by this call or by the next one.
 *
 * -ENOENT: no such view; -E2BIG: the view has memory beyond @nr_pages;
 * -EOPNOTSUPP: the CPU has no accessed and dirty flags, or the VM has run nested
 * guests or has memory of SMM.
 */
struct kvm_hypr_written {
	__u32 view;
	__u32 flags;
	__u64 nr_pages;
	__u64 bitmap;
	__u64 pages;
	__u64 reserved[4];
};

/* KVM_HYPR_KEEP_STATE: it is the state of the view's moment. */
#define KVM_HYPR_KEPT_MOMENT	0x1

/* MSRs of one vCPU that are kept at most. */
#define KVM_HYPR_KEPT_MAX_MSRS	256

/**
 * struct kvm_hypr_keep - KVM_HYPR_KEEP_STATE (vCPU)
 * @view: in: the view
 * @flags: in: KVM_HYPR_KEPT_*
 * @host_tsc: in: the host's TSC, as KVM scales it for this vCPU, at which the guest's
 *	clock stops: it goes on from there when a swap takes this state
 * @msrs: in: user address of a struct kvm_msrs: the MSRs that are state.  KVM reads
 *	their values itself
 *
 * Keeps what the vCPU has now, for KVM_EPT_SWAP_STATE to go back to: registers, FPU,
 * debug registers, the MSRs of the list, local APIC and its timer, the offset of the
 * TSC, events under way, HLT.  A state that was kept before for the same view and kind is
 * replaced.  The states of a vCPU go with the VM.
 *
 * -EBUSY: the vCPU has more than that (see KVM_EPT_SWAP_STATE); -ENOENT: no such
 * view; -E2BIG: more than KVM_HYPR_KEPT_MAX_MSRS; -EINVAL: an MSR has no place in a state
 * (the TSC and its deadline, the local APIC's, KVM's own), or the list is not that of the
 * states which the vCPU has already, also for views without slots, or names an MSR twice;
 * -ENOMEM; -EINTR a fatal signal.  An MSR that the vCPU does not have, or that cannot be set,
 * is not moved.
 */
struct kvm_hypr_keep {
	__u32 view;
	__u32 flags;
	__u64 host_tsc;
	__u64 msrs;
	__u64 reserved[5];
};

/**
 * struct kvm_hypr_state - KVM_HYPR_GET_STATE (VM)
 * @view: in: the view
 * @flags: in: KVM_HYPR_KEPT_*
 * @vcpu: in: the vCPU's ID
 * @xsave_bytes: in: room at @xsave, as KVM_CAP_XSAVE2 gives it; 0 without @xsave
 * @host_tsc: out: see struct kvm_hypr_keep
 * @tsc_offset: out: the guest's TSC less @host_tsc, when its clock stopped
 * @tsc_deadline: out: MSR_IA32_TSC_DEADLINE
 * @regs: in: user address of a struct kvm_regs to fill, or 0; so are the next ones
 * @sregs: in: of a struct kvm_sregs
 * @xcrs: in: of a struct kvm_xcrs
 * @debugregs: in: of a struct kvm_debugregs
 * @lapic: in: of a struct kvm_lapic_state
 * @msrs: in: of a struct kvm_msrs with the list of KVM_HYPR_KEEP_STATE; the values
 *	are filled
 * @xsave: in: of a struct kvm_xsave
 * @events: in: of a struct kvm_vcpu_events
 * @mp_state: in: of a struct kvm_mp_state: runnable or halted
 *
 * Reads a state that is kept.
 *
 * -ENXIO: there is none; -ENOENT: no such view or vCPU; -EINVAL: @msrs has another
 * list, or @xsave_bytes is not the size that the vCPU's state takes; -ENOMEM;
 * -EINTR a fatal signal.
 */
struct kvm_hypr_state {
	__u32 view;
	__u32 flags;
	__u32 vcpu;
	__u32 xsave_bytes;
	__u64 host_tsc;
	__u64 tsc_offset;
	__u64 tsc_deadline;
	__u64 regs;
	__u64 sregs;
	__u64 xcrs;
	__u64 debugregs;
	__u64 lapic;
	__u64 msrs;
	__u64 xsave;
	__u64 events;
	__u64 mp_state;
	__u64 reserved[2];
};

/**
 * struct kvm_hypr_keep_board - KVM_HYPR_KEEP_BOARD (VM)
 * @view: in: the view
 * @flags: in: KVM_HYPR_KEPT_*
 *
 * Keeps what the VM's PIC pair, I/O APIC and PIT have now, for KVM_EPT_SWAP_BOARD to go
 * back to.  What was kept before for the same view and kind is replaced.
 *
 * -ENXIO: the VM has no PIC, I/O APIC and PIT in the kernel (KVM_CREATE_IRQCHIP,
 * KVM_CREATE_PIT2); -ENOENT: no such view; -ENOMEM; -EINTR a fatal signal.
 */
struct kvm_hypr_keep_board {
	__u32 view;
	__u32 flags;
	__u64 reserved[3];
};

/**
 * struct kvm_hypr_board - KVM_HYPR_GET_BOARD (VM)
 * @view: in: the view
 * @flags: in: KVM_HYPR_KEPT_*
 * @pic_master: in: user address of a struct kvm_pic_state to fill, or 0
 * @pic_slave: in: the same
 * @ioapic: in: of a struct kvm_ioapic_state, or 0
 * @pit: in: of a struct kvm_pit_state2, or 0
 *
 * Reads a board that is kept.
 *
 * -ENXIO: there is none; -ENOENT: no such view; -ENOMEM; -EINTR a fatal signal.
 */
struct kvm_hypr_board {
	__u32 view;
	__u32 flags;
	__u64 pic_master;
	__u64 pic_slave;
	__u64 ioapic;
	__u64 pit;
	__u64 reserved[3];
};

/*
 * Have the host map the moment at @userspace_addr, but for zeros, as far as the page cache
 * has it: then no reset has to fetch pages of the moment.
 */
#define KVM_HYPR_MOMENT_MAP	0x1

/**
 * struct kvm_hypr_moment - KVM_HYPR_SET_MOMENT (VM)
 * @view: in: the view
 * @flags: in: KVM_HYPR_MOMENT_*; with @size 0, 0
 * @userspace_addr: in: where the moment's bytes are mapped: the page at GPA 0, and behind
 *	it the others in order, whatever slots the view has; page-aligned
 * @size: in: bytes, page-aligned, up to KVM_HYPR_WRITTEN_MAX_PAGES pages; 0 to forget
 * @bitmap: in: user address of a bitmap, a bit for each page of the moment, in whole
 *	words of 64, aligned to 8: pages that user space itself has written in the view,
 *	which are put back as well.  Read at each reset; user space clears it.  0: none
 * @zeros: in: user address of another such bitmap: pages that are zero in the moment.  The
 *	kernel reads it once, and clears these pages without a look at the moment.  What
 *	the host maps of them not, KVM_PREPARE_EPT_SWAP leaves to be faulted in.  0: none
 *
 * For KVM_EPT_SWAP_RESET.  Memory that has no slot is passed over, and so is the control
 * page.  The kernel reads the bytes at each reset; it keeps no page.
 *
 * -ENOENT: no such view; -EFAULT: @zeros cannot be read; -ENOMEM; -EINTR a fatal signal.
 */
struct kvm_hypr_moment {
	__u32 view;
	__u32 flags;
	__u64 userspace_addr;
	__u64 size;
	__u64 bitmap;
	__u64 zeros;
	__u64 reserved[3];
};

/**
 * struct kvm_hypr_copy - KVM_HYPR_COPY_STATE (VM)
 * @view: in: the view that gets a state
 * @flags: in: KVM_HYPR_KEPT_*, of @view
 * @from_view: in: the view that has one
 * @from_flags: in: KVM_HYPR_KEPT_*, of @from_view
 *
 * Copies what is kept of each vCPU, and of the board if one is kept, to another view or
 * kind: two views begin in the same moment, or one is left for the first time.  The vCPUs
 * may run.  What was kept before for the same view and kind is replaced, of one vCPU after
 * the other: after an error, of some.
 *
 * -ENXIO: there is no such state of some vCPU; -ENOENT: no such view; -EINVAL: it would be
 * copied to itself; -ENOMEM; -EINTR a fatal signal.
 */
struct kvm_hypr_copy {
	__u32 view;
	__u32 flags;
	__u32 from_view;
	__u32 from_flags;
	__u64 reserved[2];
};

/*
 * What a guest may ask for, by 32 bits written to a port: the address of a block of
 * KVM_HYPR_REQUEST_BYTES in its memory, aligned to as many.  User space serves requests.  The
 * kernel serves one of them itself, if user space allows it: KVM_HYPR_REQUEST_BACK.
 */
#define KVM_HYPR_REQUEST_PORT		0x5e8	/* the address is guest-physical */
#define KVM_HYPR_REQUEST_PORT_VIRTUAL	0x5ec	/* virtual, of a page that user code may write */
#define KVM_HYPR_REQUEST_BYTES		32
#define KVM_HYPR_REQUEST_BACK		5	/* put me back to my moment */

/**
 * struct kvm_hypr_request - the head of a block, filled by the guest
 * @op: KVM_HYPR_REQUEST_BACK, or what only user space knows
 * @reserved: of KVM_HYPR_REQUEST_BACK: 0
 */
struct kvm_hypr_request {
	__u32 op;
	__u32 other[6];
	__u32 reserved;
};

/**
 * struct kvm_hypr_requests_page - what user space and the kernel share, and no guest
 * @view: by user space: the view in which the kernel serves requests; 0: it serves none
 * @spare: by user space: a prepared view that is at the same moment as @view, and in which a
 *	reset goes on; 0: there is none.  The kernel then writes it to @view, if that is
 *	still the same, and 0 here
 * @serving: by the kernel: not 0 while it looks at @view or serves a request
 * @online: by user space: bit n: after a reset the control page says RUNNING of vCPU n, else
 *	OFFLINE.  A request to park that nobody has answered stays
 * @resets: by the kernel: resets that it did at a guest's request.  It is counted with all
 *	vCPUs held: a vCPU that comes to user space afterwards finds it
 * @spares: by the kernel: of these, those that went on in @spare, counted likewise
 * @pages: by the kernel: pages that the others put back, added up
 * @cycles: by the kernel: TSC cycles that they all took, from the request until the asking
 *	vCPU went on, added up
 * @generation: by the kernel: the VM's swap generation after the last of them
 *
 * User space clears @view, and after a memory barrier waits until @serving is 0: after that
 * no reset is under way, and none begins.
 */
struct kvm_hypr_requests_page {
	__u32 view;
	__u32 spare;
	__u32 serving;
	__u32 reserved0;
	__u64 online;
	__u64 resets;
	__u64 spares;
	__u64 pages;
	__u64 cycles;
	__u64 generation;
};

#define KVM_HYPR_REQUESTS_EVENTFD	0x1

/**
 * struct kvm_hypr_requests - KVM_HYPR_SET_REQUESTS (VM)
 * @userspace_addr: in: a page, aligned, that begins with a struct kvm_hypr_requests_page; the
 *	kernel pins it until the VM goes
 * @timeout_ns: in: how long a reset waits for other calls on the VM's views, and for the other
 *	vCPUs; 0 is KVM_EPT_SWAP_TIMEOUT_DEFAULT_NS
 * @flags: in: KVM_HYPR_REQUESTS_EVENTFD
 * @eventfd: in: with that flag: it is signalled after each reset that went on in the spare
 *
 * A guest's KVM_HYPR_REQUEST_BACK is then a KVM_EPT_SWAP_ALL to the active view, on the
 * asking vCPU's thread and without an exit to user space, with KVM_EPT_SWAP_RESET, STATE,
 * MOMENT, FORCE, and BOARD if the VM has chips.  If there is a spare it goes there, and without
 * KVM_EPT_SWAP_RESET; a spare that has no tables, or no state, is passed over.  Afterwards
 * the vCPUs go on in the moment, those that are parked in it as well: the control page has
 * new random bits in @jump, and each vCPU of @online gets HYPR_CONTROL_VECTOR.  User space's
 * devices are not put back: an exit that finds another @resets does that first.
 *
 * What the kernel cannot do, and each other request, is a KVM_EXIT_IO, as without this call.
 * If the kernel has tried, the instruction is complete.  A vCPU ioctl other than KVM_RUN and
 * KVM_GET_EPTP, and a swap that moves the vCPU's state, forget a request that waits.
 *
 * -EINVAL: not a page, unknown flags, or not an eventfd; -EBADF: no file; -EEXIST: there is
 * one; -EFAULT: it cannot be pinned; -ENOMEM; -ENOSPC: the VM has too many devices.
 */
struct kvm_hypr_requests {
	__u64 userspace_addr;
	__u64 timeout_ns;
	__u32 flags;
	__s32 eventfd;
	__u64 reserved;
};

#define KVM_GET_EPTP		_IOR(KVM_HYPR_IO, 0xf0, struct kvm_hypr_eptp)
#define KVM_SET_EPTP		_IOWR(KVM_HYPR_IO, 0xf1, struct kvm_hypr_eptp)
#define KVM_PREPARE_EPT_SWAP	_IOWR(KVM_HYPR_IO, 0xf2, struct kvm_hypr_prepare)
#define KVM_COMMIT_EPT_SWAP	_IOWR(KVM_HYPR_IO, 0xf3, struct kvm_hypr_swap)
#define KVM_EPT_SWAP_ALL	_IOWR(KVM_HYPR_IO, 0xf4, struct kvm_hypr_swap)
#define KVM_HYPR_DISCARD_VIEW	_IOW(KVM_HYPR_IO, 0xf5, struct kvm_hypr_discard)
#define KVM_HYPR_SET_CONTROL_PAGE \
				_IOW(KVM_HYPR_IO, 0xf6, struct kvm_hypr_control)
#define KVM_HYPR_SET_CACHE	_IOWR(KVM_HYPR_IO, 0xf7, struct kvm_hypr_cache)
#define KVM_HYPR_PIN_VIEW	_IOW(KVM_HYPR_IO, 0xf8, struct kvm_hypr_pin)
#define KVM_HYPR_MARK_EDITED	_IOW(KVM_HYPR_IO, 0xf9, struct kvm_hypr_mark_edited)
#define KVM_HYPR_GET_STATS	_IOR(KVM_HYPR_IO, 0xfa, struct kvm_hypr_stats)
#define KVM_HYPR_GET_WRITTEN	_IOWR(KVM_HYPR_IO, 0xfb, struct kvm_hypr_written)
#define KVM_HYPR_KEEP_STATE	_IOW(KVM_HYPR_IO, 0xfc, struct kvm_hypr_keep)
#define KVM_HYPR_GET_STATE	_IOWR(KVM_HYPR_IO, 0xfd, struct kvm_hypr_state)
#define KVM_HYPR_KEEP_BOARD	_IOW(KVM_HYPR_IO, 0xfe, struct kvm_hypr_keep_board)
#define KVM_HYPR_GET_BOARD	_IOW(KVM_HYPR_IO, 0xff, struct kvm_hypr_board)
#define KVM_HYPR_SET_MOMENT	_IOW(KVM_HYPR_IO, 0xef, struct kvm_hypr_moment)
#define KVM_HYPR_COPY_STATE	_IOW(KVM_HYPR_IO, 0xee, struct kvm_hypr_copy)
#define KVM_HYPR_SET_REQUESTS	_IOW(KVM_HYPR_IO, 0xed, struct kvm_hypr_requests)

/*
 * The control page: one page that host and guest share, the same page in every
 * view.  The VMM clears it, fills @magic and @version before the guest starts,
 * and reports its page as reserved in the guest's memory map.
 */
#define HYPR_CONTROL_GPA	0x00FFE000ull		/* 16 MiB - 8 KiB */
#define HYPR_CONTROL_SIZE	4096
#define HYPR_CONTROL_MAGIC	0x48595052564D4D21ull	/* "HYPRVMM!" */
#define HYPR_CONTROL_VERSION	1
#define HYPR_CONTROL_MAX_VCPUS	64
#define HYPR_CONTROL_VECTOR	0xF0

/*
 * The host moves each vCPU's local APIC, its timer and its TSC with the memory: the guest
 * need not program its timer when it learns of a swap.
 */
#define HYPR_CONTROL_MOVES_TIMERS	0x1

/*
 * Vector HYPR_CONTROL_VECTOR is never in service in a vCPU's local APIC: its handler must
 * do no EOI, which would be that of another interrupt.
 */
#define HYPR_CONTROL_NO_EOI		0x2

/*
 * State of a vCPU, and who may make which transition (host: the kernel or the
 * VMM, whichever of them drives the pause; never both at a time):
 *
 *	OFFLINE         -> RUNNING		guest: the CPU is up and answers 0xF0
 *	RUNNING         -> OFFLINE		guest: the CPU goes down
 *	RUNNING         -> PAUSE_REQUESTED	host, by cmpxchg; then sends 0xF0
 *	PAUSE_REQUESTED -> PAUSED		guest, by cmpxchg: parked, spinning
 *	PAUSE_REQUESTED -> RUNNING		host, by cmpxchg: request withdrawn
 *	PAUSED          -> RUNNING		host: released
 *
 * The host believes none of it: a lie makes the guest's own pause fail.
 */
#define HYPR_VCPU_OFFLINE		0
#define HYPR_VCPU_RUNNING		1
#define HYPR_VCPU_PAUSE_REQUESTED	2
#define HYPR_VCPU_PAUSED		3

/**
 * struct hypr_control_vcpu - one vCPU's part of the control page
 * @state: HYPR_VCPU_*
 * @pauses: filled by guest: how often it parked
 * @generation: filled by guest: the generation that it last resumed in
 */
struct hypr_control_vcpu {
	__u32 state;
	__u32 reserved0;
	__u64 pauses;
	__u64 generation;
	__u64 reserved1;
};

/**
 * struct hypr_control_page - the control page
 * @magic: filled by VMM: HYPR_CONTROL_MAGIC
 * @version: filled by VMM: HYPR_CONTROL_VERSION
 * @nr_vcpus: filled by VMM: entries of @vcpu in use
 * @generation: filled by host: changes whenever the memory under the guest was
 *	swapped or put back
 * @boot_id: filled by guest: random, one for each boot
 * @jump: filled by VMM: 128 random bits, others each time before vCPUs go on in a
 *	state that they were not in last: after a swap, a reset, from a file.  A count
 *	does not do: a state from a file may have seen the same count elsewhere, and
 *	two VMs from one file count alike.  Zero from a VMM that does not fill it
 * @features: filled by VMM before the guest starts: HYPR_CONTROL_MOVES_TIMERS; and by KVM
 *	at KVM_HYPR_SET_CONTROL_PAGE: HYPR_CONTROL_NO_EOI.  Others are for later, and a
 *	guest takes no notice of them
 * @vcpu: indexed by APIC ID
 */
struct hypr_control_page {
	__u64 magic;
	__u32 version;
	__u32 nr_vcpus;
	__u64 generation;
	__u64 boot_id[2];
	__u64 jump[2];
	__u64 features;
	struct hypr_control_vcpu vcpu[HYPR_CONTROL_MAX_VCPUS];
	__u8 reserved1[HYPR_CONTROL_SIZE - 64 - 32 * HYPR_CONTROL_MAX_VCPUS];
};

/* Asserts all of the layout. */
#include <linux/kvm_hypr_layout.h>

#endif /* _UAPI_LINUX_KVM_HYPR_H */
