/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HYPR views, internal interface.  Calls go one way, from the ioctls down:
 *
 *	../ept_swap_ioctl	the arguments of user space
 *	ept_back		a guest asks for a reset
 *	ept_swap		the swap: start at hypr_swap()
 *	ept_vcpu		EPTPs of one vCPU
 *	ept_barrier		hold the vCPUs between two views
 *	ept_vm			enable views, destroy the VM, meet new vCPUs
 *	ept_prepare		build a view, discard it, rebuild an evicted view
 *	ept_cache, ept_shrink	which views keep their tables
 *	ept_kept, ept_board	states of vCPUs, and of chips, that are kept for views
 *	ept_take, ept_edit	a vCPU takes a view; which vCPU must flush
 *	ept_state, ept_events, ept_apic	what of a vCPU goes with a view
 *	ept_written, ept_notes	which pages were written, by dirty flags and without
 *	ept_reset, ept_find	memory back to its moment: which pages, and all of it
 *	ept_moment, ept_share	where the moment is; pages copied by several threads
 *	ept_view, ept_kind	which views exist; which VMs may have views
 *	ept_pause, ept_pv	the control page; guest memory that KVM itself writes
 *	ept_mmu, ept_root	tables, and pointers to them
 *	ept_fill, ept_host	many SPTEs at once, by the host's page tables
 *	ept_lock, ept_stats	waits for locks; statistics, tracepoints, log
 *	ept_lru, ../hypr/	arithmetic, each with a header of its own
 *
 * tests/layers has the table of who may call whom.
 *
 * Lock order, outermost first (docs/spec/locking.md):
 *	vcpu->mutex, kvm_hypr.build_lock, kvm->slots_lock, kvm_hypr.lock,
 *	kvm->srcu, kvm->mmu_lock
 */
#ifndef __KVM_X86_VMX_EPT_SWAP_H
#define __KVM_X86_VMX_EPT_SWAP_H

#include <linux/kvm_host.h>

#include <kvm/iodev.h>

#include "ept_lru.h"
#include "hypr/tlb_decide.h"

#define hypr_dbg(fmt, ...)						\
do {									\
	if (READ_ONCE(ept_swap_debug))					\
		pr_info_ratelimited("EPT_SWAP: " fmt, ##__VA_ARGS__);	\
} while (0)

/* In kvm_hypr.round: odd rounds hold the vCPUs. */
#define HYPR_ROUND_CLOSED	1

/* Why the host gave a view's tables back, as the tracepoint reports it. */
enum hypr_evict_reason {
	HYPR_EVICT_VM_BUDGET,
	HYPR_EVICT_HOST_BUDGET,
	HYPR_EVICT_SHRINKER,
};

#define HYPR_REGION_PAGES	512u
#define HYPR_REGION_WORDS	(HYPR_REGION_PAGES / BITS_PER_LONG)

/**
 * struct hypr_note_map - pages of a view that were written, and no dirty flag shows it
 * @pages: that there is room for, the first at GPA 0
 * @used: a bit for each region of which a page is noted
 * @page: a bit for each page, in whole regions
 */
struct hypr_note_map {
	gfn_t pages;
	unsigned long *used;
	unsigned long page[];
};

/**
 * struct hypr_notes - writes into a view that no dirty flag shows
 * @map: which pages; NULL until somebody asks.  Set under kvm_hypr.build_lock
 * @all: any page may have been written
 * @slots_generation: of the view's memory slots and SMM's, added up, when user
 *	space asked last; under kvm_hypr.lock, as are the next two
 * @slots_end: the page behind the last one that these slots have
 * @slots_logged: KVM logs writes to one of them
 */
struct hypr_notes {
	struct hypr_note_map __rcu *map;
	bool all;
	bool slots_logged;
	u64 slots_generation;
	gfn_t slots_end;
};

/**
 * struct hypr_region - 2 MiB of a view, while it is put back
 * @entry: the entry of its table, or the one that maps it, whose flag is taken at the
 *	end; NULL: there is none, or the flag is not set
 * @sptes: its table; NULL if there is none, or if @huge
 * @huge: one writable entry maps it, of which @pfn is the first page of these 2 MiB
 * @unmapped: of the pages in @missing some are to be had by the view's own user address
 * @pfn: with @huge
 * @written: pages to be put back
 * @missing: pages that have to be faulted in before
 * @zero: pages that are zero in the moment
 *
 * What points into tables is valid as long as mmu_lock is held.
 */
struct hypr_region {
	u64 *entry;
	u64 *sptes;
	kvm_pfn_t pfn;
	bool huge;
	bool unmapped;
	DECLARE_BITMAP(written, HYPR_REGION_PAGES);
	DECLARE_BITMAP(missing, HYPR_REGION_PAGES);
	DECLARE_BITMAP(zero, HYPR_REGION_PAGES);
};

/**
 * struct hypr_moment - where the bytes of a view's moment are
 * @hva: of the page at GPA 0
 * @bitmap: user address of a bitmap with the pages that user space itself has written
 * @bitmap_missing: that bitmap has to be faulted in
 * @pages: how many; no page beyond them is put back
 * @nr_regions: in @region
 * @region: of all pages
 *
 * Under kvm_hypr.lock; to be exchanged, under kvm_hypr.build_lock as well.
 */
struct hypr_moment {
	unsigned long hva;
	unsigned long bitmap;
	bool bitmap_missing;
	gfn_t pages;
	unsigned int nr_regions;
	struct hypr_region region[];
};

struct kvm_hypr;
struct hypr_find;

/* In hypr_put.at: the page's address, not that of its SPTE; and with a reference. */
#define HYPR_PUT_ADDRESS	1ul
#define HYPR_PUT_HELD		2ul
#define HYPR_PUT_FLAGS		(HYPR_PUT_ADDRESS | HYPR_PUT_HELD)

/**
 * struct hypr_put - a page to put back
 * @at: the SPTE that maps it; or its address in the kernel, and HYPR_PUT_*; 0: nothing to do
 * @from: the moment's page, in the kernel, with a reference; 0: zeros
 */
struct hypr_put {
	unsigned long at;
	unsigned long from;
};

/**
 * struct hypr_share - work that threads do together, see ept_share.c
 * @work: what
 * @cursor: items of it, and in the lower half how many of them are taken
 * @batch: items that a thread takes at a time
 * @done: items that are done
 * @helped: of them, by other threads than the swap's
 * @find: for @work: which pages are to be put back
 * @put: for @work: a list of pages
 * @room: in @put
 */
struct hypr_share {
	void (*work)(struct kvm_hypr *h, u32 i);
	atomic64_t cursor;
	u32 batch;
	atomic_t done;
	atomic_t helped;
	struct hypr_find *find;
	struct hypr_put *put;
	unsigned int room;
};

/**
 * struct hypr_find - a reset looks for the pages to put back
 * @kvm: the VM
 * @moment: of the view
 * @view: its number
 * @shared_gfn: the control page, which is no view's own; or HYPR_GFN_END
 * @notes: of the view
 * @nr: pages, in the list of kvm_hypr.share if it has room
 * @held: there is a reference to some
 * @missing: some of them, or what is copied over them, have to be faulted in first
 */
struct hypr_find {
	struct kvm *kvm;
	struct hypr_moment *moment;
	u32 view;
	gfn_t shared_gfn;
	struct hypr_note_map *notes;
	atomic_t nr;
	bool held;
	bool missing;
};

/* Which state of a view: as the vCPU left the view, or of the view's moment. */
enum hypr_kept_kind {
	HYPR_KEPT_LEFT,
	HYPR_KEPT_MOMENT,
};

/* @flags: KVM_HYPR_KEPT_* */
static inline enum hypr_kept_kind hypr_kept_kind(u32 flags)
{
	return flags & KVM_HYPR_KEPT_MOMENT ? HYPR_KEPT_MOMENT : HYPR_KEPT_LEFT;
}

/* The segments have it. */
static inline bool hypr_msr_is_base(u32 index)
{
	return index == MSR_FS_BASE || index == MSR_GS_BASE;
}

/**
 * struct hypr_events - what is under way in a vCPU
 * @exception: being delivered, or waiting for that
 * @interrupt: one is being delivered, @interrupt_nr
 * @shadow: KVM_X86_SHADOW_INT_*
 * @nmi_pending: how many wait
 */
struct hypr_events {
	struct kvm_queued_exception exception;
	bool interrupt;
	u8 interrupt_nr;
	u8 shadow;
	bool nmi_injected;
	bool nmi_masked;
	unsigned int nmi_pending;
	int mp_state;
};

/* What of two local APICs differs: nothing, registers on which nothing rests, or more. */
enum hypr_apic_differs {
	HYPR_APIC_SAME,
	HYPR_APIC_PLAIN,
	HYPR_APIC_REST,
};

/* MSRs that a guest may write without a VM-exit: ept_kept.c has the list. */
#define HYPR_LIVE_MSRS	24

/**
 * struct hypr_kept - the state of a vCPU that does not run in the view now
 * @node: in kvm_hypr.kept
 * @broken: an MSR could not be read: cannot happen after KVM_HYPR_KEEP_STATE
 * @pkru: as @regs and the rest in the terms of KVM's own ioctls
 * @sregs: without the segments
 * @segment: by VCPU_SREG_*
 * @lapic: as on the APIC's page, and what is left of the timer's count
 * @nr_msrs: in @msr and @data
 * @nr_live: in @live, which has the values of those that a guest can write without a
 *	VM-exit; those in @data are 0
 * @data: values of the MSRs, apart from their numbers so that two states are compared fast
 * @data_id: states with the same one have the same @data
 * @host_tsc: the host's TSC, as KVM scales it for this vCPU, when the guest's clock
 *	stopped; the guest's TSC then was this plus @tsc_offset
 * @fpu: the register image and what describes it
 * @fpu_bytes: room at @fpu
 *
 * KVM fills it before anybody finds it.  Under kvm_hypr.lock, and while a committed swap
 * moves the vCPU, by its thread.
 */
struct hypr_kept {
	struct list_head node;
	bool broken;
	u32 pkru;
	unsigned int nr_msrs;
	unsigned long regs[NR_VCPU_REGS];
	unsigned long rflags;
	struct kvm_sregs sregs;
	struct hypr_segment segment[HYPR_SEGMENTS];
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct hypr_events events;
	u64 xcr0;
	u64 tsc_offset;
	u64 host_tsc;
	u64 tsc_deadline;
	struct fpstate *fpu;
	size_t fpu_bytes;
	unsigned int nr_live;
	struct {
		unsigned int at;
		u64 data;
	} live[HYPR_LIVE_MSRS];
	u64 *data;
	u64 data_id;
	struct hypr_kept_msr {
		u32 index;
		bool fixed;	/* the vCPU has none, or cannot set it: not moved */
		bool live;
	} msr[];
};

/**
 * struct hypr_board - the chips of a VM, while it does not run in the view
 * @pic: master and slave
 * @ioapic: as KVM_GET_IRQCHIP has it
 * @pit: as KVM_GET_PIT2 has it
 * @pit_runs: channel 0 will raise its interrupt: a one-shot has not run out
 */
struct hypr_board {
	struct kvm_pic_state pic[2];
	struct kvm_ioapic_state ioapic;
	struct kvm_pit_state2 pit;
	bool pit_runs;
};

/**
 * struct kvm_hypr - the views of one VM
 * @kvm: the VM
 * @shrink: in the list of VMs of a memory cgroup, see ept_shrink.c
 * @lock: serialises swaps; protects @prepared, @generation, @control* and the
 *	active view.  While the barrier is closed, its owner allocates nothing and
 *	touches no user memory.
 * @wq: vCPUs that wait at the barrier for longer than a short spin
 * @round: grows by one when a swap closes the barrier and when it opens it
 *	again; HYPR_ROUND_CLOSED is set in between, when vCPUs are held
 * @moving: the swap that has closed the barrier moves the vCPUs' state
 * @move_kind: to which state of the new view; with @moving
 * @move_view: the new view; with @moving
 * @move_tsc: the host's TSC at which the clock stops in the old view, and goes on in
 *	the new one; written with the vCPUs held
 * @unmoved: vCPUs that a committed swap moves and whose local APIC has not moved yet; and
 *	the board, if the swap moves it
 * @prepared: views whose tables were built, or that were active before
 * @generation: changes at each swap, published in the control page
 * @control_page: the registered page, pinned; NULL if there is none
 * @control: @control_page in the kernel's address space
 * @control_hva: @control_page in user space
 * @asked: vCPUs, by vcpu_id, that the last pause has asked to park; under @lock
 * @faults: page faults that all vCPUs had taken when they were last held
 * @faults_before: the same at the last swap that was counted
 * @lru: which views keep their tables; under @lock
 * @evictions: views that lost their tables to the cache; under @lock
 * @vcpus: the vCPUs that hypr_vcpus_update() has met, in order: every vCPU that
 *	can run or do anything else is there; under @lock
 * @nr_vcpus: how many
 * @first: of them, or NULL; read without a lock
 * @kept: all states that are kept for the vCPUs; under @lock
 * @board: what is kept of the chips for each view, by enum hypr_kept_kind; under @lock
 * @moment: where the moment of each view is, or NULL; under @lock
 * @share: pages that a reset puts back; the list under @lock
 * @asker: the vCPU whose thread does the swap, for its guest; else NULL; under @lock
 * @requests_page: where user space says what a guest may ask for, pinned; NULL if there is
 *	none; under kvm->slots_lock
 * @requests: @requests_page in the kernel's address space; constant once there is @asker, or
 *	@requests_device is on the bus
 * @requests_timeout_ns: each wait of such a swap; with @requests
 * @requests_event: signalled after a reset that went on in a spare; or NULL; with @requests
 * @requests_device: sees the guest's OUT
 * @build_lock: serialises users of @builder, and all that drop tables: while one
 *	thread holds it, no other thread can evict a view
 * @builder: a vCPU that never runs and that nobody can find; its MMU is the
 *	context in which the kernel builds tables off the vCPUs' path
 * @patience_ns: how long the present user of @builder may wait for other locks;
 *	under @build_lock
 * @build_end: when the present user of @builder gives a build up; under @build_lock
 * @budget: of this VM as user space set it, 0 is the default; under @build_lock
 * @existed: the generation of each view's slots, plus one, when user space was last found
 *	to have memory there; 0: never.  Without a lock
 * @notes: writes that no dirty flag shows: see ept_notes.c
 * @rebuilds: evicted views that a swap has rebuilt; under @build_lock
 */
struct kvm_hypr {
	struct kvm *kvm;
	struct list_head shrink;

	struct mutex lock;	/* swaps */
	wait_queue_head_t wq;
	u32 round;
	bool moving;
	enum hypr_kept_kind move_kind;
	u32 move_view;
	u64 move_tsc;
	atomic_t unmoved;
	DECLARE_BITMAP(prepared, KVM_HYPR_MAX_VIEWS);
	u64 generation;
	struct page *control_page;
	struct hypr_control_page *control;
	unsigned long control_hva;
	DECLARE_BITMAP(asked, HYPR_CONTROL_MAX_VCPUS);
	u64 faults;
	u64 faults_before;
	struct hypr_lru lru;
	u64 evictions;
	struct list_head vcpus;
	unsigned int nr_vcpus;
	struct kvm_vcpu *first;
	struct list_head kept;
	struct hypr_board *board[KVM_HYPR_MAX_VIEWS][2];
	struct hypr_moment *moment[KVM_HYPR_MAX_VIEWS];
	struct hypr_share share;
	struct kvm_vcpu *asker;
	struct page *requests_page;
	struct kvm_hypr_requests_page *requests;
	u64 requests_timeout_ns;
	struct eventfd_ctx *requests_event;
	struct kvm_io_device requests_device;

	struct mutex build_lock;	/* builder */
	struct kvm_vcpu *builder;
	u64 patience_ns;
	ktime_t build_end;
	struct hypr_use budget;
	u64 rebuilds;

	u64 existed[KVM_HYPR_MAX_VIEWS];
	struct hypr_notes notes[KVM_HYPR_MAX_VIEWS];
};

/*
 * As kvm_for_each_vcpu(), with kvm_hypr.lock held, and over the same vCPUs as long
 * as it is held.  A swap goes through the vCPUs half a dozen times, and a step in
 * KVM's XArray takes longer than what the swap does there.
 */
#define hypr_for_each_vcpu(vcpu, h)					\
	list_for_each_entry(vcpu, &(h)->vcpus, arch.hypr.node)

/* Beyond every GFN that a memslot can have. */
#define HYPR_GFN_END	((gfn_t)(~0ull >> PAGE_SHIFT))

static inline bool hypr_view_is_valid(u32 view)
{
	return view < KVM_HYPR_MAX_VIEWS && view != KVM_HYPR_VIEW_SMM;
}

/**
 * hypr_root_tags_tlb() - are the roots' TLB entries kept apart by the CPU?
 *
 * Return: true with EPT; false with NPT, where each vCPU that takes another
 * root must flush its TLB before the next VM-entry.
 */
static inline bool hypr_root_tags_tlb(void)
{
	return kvm_x86_ops.hypr_tdp->tagged_by_root;
}

/* In KVM_RUN it comes to the barrier in front of VM-entry, before all else. */
static inline bool hypr_vcpu_comes_by(struct kvm_vcpu *vcpu)
{
	int mp_state = READ_ONCE(vcpu->arch.mp_state);

	return mp_state == KVM_MP_STATE_RUNNABLE || mp_state == KVM_MP_STATE_HALTED;
}

/*
 * Did the vCPU's last exit leave an instruction half done?  KVM_RUN completes it,
 * with immediate_exit too.  The answer lasts while no KVM_RUN is under way.
 */
static inline bool hypr_vcpu_has_io(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->arch.complete_userspace_io);
}

/* The vCPU's FPU state in memory: the register image, and what describes it. */
static inline size_t hypr_fpu_bytes(const struct kvm_vcpu *vcpu)
{
	return offsetof(struct fpstate, regs) + vcpu->arch.guest_fpu.fpstate->size;
}

/* ---- prototypes, the lowest file first: a file calls those above its own -------- */

/* ept_stats.c */
extern bool ept_swap_debug;

void hypr_stat_swap(struct kvm *kvm, const struct kvm_hypr_swap *swap, int r);
void hypr_stat_prepare(struct kvm *kvm, int r);
void hypr_stat_lock_timeout(struct kvm *kvm);
int hypr_stats_get(struct kvm *kvm, struct kvm_hypr_stats *stats);

/* ept_lock.c */
#define HYPR_NO_TIMEOUT	U64_MAX

int hypr_wait_step(unsigned int *spins, u64 timeout_ns, ktime_t *deadline);
int hypr_lock_within(struct mutex *lock, u64 timeout_ns);
int hypr_run_lock(struct kvm_vcpu *vcpu, u64 timeout_ns);
int hypr_lock_to_drop(struct kvm *kvm, u64 timeout_ns);
int hypr_vcpu_lock(struct kvm_vcpu *vcpu);

/* ept_root.c */
void hypr_root_read(struct kvm_vcpu *vcpu, struct kvm_hypr_eptp *arg);
u64 hypr_root_encode(hpa_t root, int level);
int hypr_root_check(u64 value);

/* ept_shadow.h, in mmu/mmu.c */
void hypr_shadows_drop(struct kvm *kvm, u32 view);

/* ept_host.c */
/* With the address of a page. */
#define HYPR_HOST_PRESENT	BIT(0)
#define HYPR_HOST_WRITABLE	BIT(1)
/* By an entry for 2 MiB. */
#define HYPR_HOST_HUGE		BIT(2)
/* Pages to look at in one go: their entries are on the stack. */
#define HYPR_HOST_PAGES		64u

/**
 * struct hypr_host_walk - pages one after another, most of one table of the host's
 * @mm: that has them
 * @hva: of the first page of @table
 * @table: the last-level table that was looked at last, or NULL
 */
struct hypr_host_walk {
	struct mm_struct *mm;
	unsigned long hva;
	pte_t *table;
};

unsigned int hypr_host_look(struct kvm *kvm, unsigned long hva, unsigned int n, u64 *page);
struct page *hypr_host_get(struct hypr_host_walk *walk, unsigned long hva);
unsigned int hypr_host_gap(struct kvm *kvm, unsigned long hva, unsigned int n);
unsigned int hypr_host_map(struct mm_struct *mm, unsigned long hva, unsigned int n);

/* ept_fill.c */
int hypr_table_fill(struct kvm_vcpu *builder, const struct kvm_memory_slot *slot, gfn_t gfn,
		    unsigned int n, bool *huge);

/* ept_mmu.c */
struct kvm_vcpu *hypr_builder_create(struct kvm *kvm);
void hypr_builder_destroy(struct kvm_vcpu *builder);
int hypr_build_begin(struct kvm *kvm, u32 view);
int hypr_build_batch(struct kvm *kvm, gfn_t *gfn, gfn_t last,
		     struct kvm_hypr_prepare *arg);
int hypr_build_check(struct kvm *kvm);
void hypr_build_end(struct kvm *kvm);
void hypr_tables_invalidate(struct kvm *kvm, u32 view);
u64 hypr_tables_total(struct kvm *kvm);
u32 hypr_tables_resident(struct kvm *kvm);
hpa_t hypr_tables_root(struct kvm *kvm, u32 view, int *level);

/* ept_pv.c */
void hypr_vcpu_pv_switch(struct kvm_vcpu *vcpu, bool left);

/* ept_pause.c */
int hypr_control_register(struct kvm *kvm, const struct kvm_hypr_control *arg);
void hypr_control_release(struct kvm_hypr *h);
bool hypr_control_is_mapped(struct kvm *kvm, u32 view, unsigned long hva);
bool hypr_vcpu_is_quiescent(struct kvm_vcpu *vcpu);
int hypr_pause_check(struct kvm *kvm);
int hypr_pause_all(struct kvm *kvm, u64 timeout_ns);
void hypr_pause_undo(struct kvm *kvm);
void hypr_resume_all(struct kvm *kvm);
void hypr_notify_all(struct kvm *kvm);
void hypr_control_go_on(struct kvm *kvm);
void hypr_pause_assume(struct kvm *kvm);

/* ept_kind.c */
int hypr_vm_claim(struct kvm *kvm);
bool hypr_refuses_vm_ioctl(unsigned int ioctl);
bool hypr_refuses_vm_cap(u32 cap);
bool hypr_refuses_vcpu_ioctl(unsigned int ioctl);

/* ept_view.c */
bool hypr_has_user_slots(struct kvm *kvm, u32 as_id);
bool hypr_view_exists(struct kvm *kvm, u32 view);
bool hypr_view_in_use(struct kvm *kvm, u32 view);

/* ept_edit.c */
bool hypr_vcpu_must_flush(struct kvm_vcpu *vcpu, u8 view, enum tlb_reason *why);
void hypr_view_edited(struct kvm *kvm, u32 view);
int hypr_view_mark_edited(struct kvm *kvm, u32 view);

/* ept_notes.c */
int hypr_notes_fit(struct kvm_hypr *h, u32 view, gfn_t pages);
void hypr_notes_take(struct hypr_note_map *map, unsigned int region, unsigned long *to,
		     unsigned int words);
void hypr_notes_return(struct hypr_note_map *map, unsigned int region,
		       const unsigned long *from);
void hypr_notes_free(struct kvm_hypr *h);

/* ept_written.c */
int hypr_written_check(struct kvm *kvm, u32 view, u64 nr, bool *all);
int hypr_view_written(struct kvm *kvm, u32 view, unsigned int nr,
		      unsigned long *bitmap);

/* ept_apic.c */
enum hypr_apic_differs hypr_apic_read(struct kvm_vcpu *vcpu, u64 host_tsc,
				      struct hypr_kept *kept, const struct hypr_kept *other);
void hypr_apic_to_user(struct kvm *kvm, struct hypr_kept *kept);
int hypr_apic_write(struct kvm_vcpu *vcpu, u64 host_tsc, const struct hypr_kept *from,
		    struct hypr_kept *to, enum hypr_apic_differs differs);
void hypr_apic_start_timer(struct kvm_vcpu *vcpu, const struct hypr_kept *to);

/* ept_events.c */
bool hypr_events_have_come(struct kvm_vcpu *vcpu);
bool hypr_events_can_move(struct kvm_vcpu *vcpu);
void hypr_events_read(struct kvm_vcpu *vcpu, struct hypr_events *events);
void hypr_events_write(struct kvm_vcpu *vcpu, const struct hypr_events *from,
		       const struct hypr_events *to);
void hypr_events_copy(struct kvm *kvm, const struct hypr_events *events,
		      struct kvm_vcpu_events *user);

/* ept_share.c */
bool hypr_share_help(struct kvm_hypr *h);
void hypr_share_run(struct kvm_hypr *h, void (*work)(struct kvm_hypr *h, u32 i), u32 nr,
		    u32 batch);
void hypr_pages_copy(struct kvm_hypr *h, u32 nr);
struct hypr_put *hypr_share_room(unsigned int pages);

/* ept_moment.c */
long hypr_moment_set(struct kvm *kvm, const struct kvm_hypr_moment *arg);
int hypr_moment_check(struct kvm *kvm, u32 view);
int hypr_missing_fault_in(struct kvm *kvm, u32 view, u64 timeout_ns, struct kvm_vcpu *asker);
void hypr_moments_free(struct kvm_hypr *h);

/* ept_find.c */
int hypr_pages_find(struct hypr_find *f);
void hypr_pages_forget(struct hypr_find *f);

/* ept_reset.c */
int hypr_put_back(struct kvm *kvm, struct kvm_hypr_swap *swap);

/* ept_state.c */
bool hypr_state_can_move(struct kvm_vcpu *vcpu);
bool hypr_state_has_room(struct kvm_vcpu *vcpu, const struct hypr_kept *kept);
bool hypr_state_fits(struct kvm_vcpu *vcpu, const struct hypr_kept *kept);
void hypr_state_sregs(const struct hypr_kept *kept, struct kvm_sregs *sregs);
void hypr_state_read(struct kvm_vcpu *vcpu, u64 host_tsc, struct hypr_kept *kept);
void hypr_state_move(struct kvm_vcpu *vcpu);

/* ept_kept.c */
struct hypr_kept *hypr_kept_create(size_t fpu_bytes, unsigned int nr_msrs);
void hypr_kept_destroy(struct hypr_kept *kept);
int hypr_kept_put(struct kvm_vcpu *vcpu, u32 view, enum hypr_kept_kind kind,
		  struct hypr_kept **kept);
long hypr_kept_keep(struct kvm_vcpu *vcpu, const struct kvm_hypr_keep *arg);
void hypr_kept_free(struct kvm_hypr *h);

/* ept_copy.c */
long hypr_kept_get(struct kvm *kvm, struct kvm_hypr_state *arg);
long hypr_kept_copy_to(struct kvm *kvm, const struct kvm_hypr_copy *arg);

/* ept_board.c */
bool hypr_has_board(struct kvm *kvm);
unsigned int hypr_board_leave(struct kvm *kvm, struct hypr_board *from,
			      const struct hypr_board *to);
void hypr_board_enter(struct kvm *kvm, struct hypr_board *to, unsigned int differs);
struct hypr_board *hypr_board_find(struct kvm_hypr *h, u32 view, enum hypr_kept_kind kind);
long hypr_board_keep(struct kvm *kvm, const struct kvm_hypr_keep_board *arg);
long hypr_board_get(struct kvm *kvm, const struct kvm_hypr_board *arg);
void hypr_boards_free(struct kvm_hypr *h);

/* ept_take.c */
void hypr_vcpu_take_view(struct kvm_vcpu *vcpu);

/**
 * struct hypr_victim - a view to evict
 * @kvm: its VM
 * @view: the view
 * @stamp: when it was last in use
 */
struct hypr_victim {
	struct kvm *kvm;
	u32 view;
	u64 stamp;
};

/* ept_cache.c */
int hypr_cache_set(struct kvm *kvm, struct kvm_hypr_cache *arg);
int hypr_view_pin(struct kvm *kvm, u32 view, bool pin);
int hypr_view_drop(struct kvm *kvm, u32 view, bool evict, u64 timeout_ns);
void hypr_cache_touch(struct kvm_hypr *h, u32 view);
void hypr_cache_lost(struct kvm_hypr *h, u32 view);
u32 hypr_cache_candidates(struct kvm *kvm);
void hypr_cache_make_room(struct kvm *kvm, u32 keep);
void hypr_host_make_room(struct kvm *self, u32 keep, u64 timeout_ns);
void hypr_victim_consider(struct hypr_victim *victim, struct kvm *kvm, u32 keep,
			  u64 above);
bool hypr_victim_find(struct hypr_victim *victim, struct kvm *self, u32 keep,
		      u64 above);
u64 hypr_victim_evict(const struct hypr_victim *victim,
		      enum hypr_evict_reason reason);

/* ept_shrink.c */
struct kvm_hypr *hypr_shrinker_join(struct kvm *kvm);
void hypr_shrinker_leave(struct kvm_hypr *h);

/* ept_prepare.c */
int hypr_view_prepare(struct kvm *kvm, struct kvm_hypr_prepare *arg);
int hypr_view_discard(struct kvm *kvm, u32 view);
int hypr_rebuild_begin(struct kvm *kvm, u32 view, u64 timeout_ns);
void hypr_rebuild_end(struct kvm *kvm, u32 view);

/* ept_vm.c */
int hypr_enable(struct kvm *kvm, struct kvm_enable_cap *cap);
void hypr_vcpus_update(struct kvm *kvm);
int hypr_vcpu_meet(struct kvm_vcpu *vcpu);

/* ept_barrier.c */
bool hypr_swap_takes(const struct kvm_hypr_swap *swap, struct kvm_vcpu *vcpu);
void hypr_close(struct kvm *kvm, const struct kvm_hypr_swap *swap);
int hypr_hold(struct kvm *kvm, const struct kvm_hypr_swap *swap);
void hypr_release(struct kvm_hypr *h);
void hypr_wait_moved(struct kvm_hypr *h, int left, u64 timeout_ns);

/* ept_swap.c */
/* Attempts to have all pages of a reset there at once. */
#define HYPR_RESET_TRIES	100

int hypr_swap_locked(struct kvm *kvm, struct kvm_hypr_swap *swap);
int hypr_swap(struct kvm *kvm, struct kvm_hypr_swap *swap);

/* ept_vcpu.c */
int hypr_vcpu_get_eptp(struct kvm_vcpu *vcpu, struct kvm_hypr_eptp *arg);
int hypr_vcpu_set_eptp(struct kvm_vcpu *vcpu, struct kvm_hypr_eptp *arg);

/* ept_back.c */
long hypr_requests_set(struct kvm *kvm, const struct kvm_hypr_requests *arg);

#endif /* __KVM_X86_VMX_EPT_SWAP_H */
