/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An engine: how the memory under a guest is exchanged.  Chosen by name, never
 * silently; the rest of the library calls it through this table only.
 */
#ifndef LIB_ENGINE_ENGINE_H
#define LIB_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

struct hypr_state;
struct hypr_vcpu;
struct hypr_vcpu_state;
struct hypr_view;
struct hypr_vm;

#define HYPR_ENGINE_REMEDY_KVM	"load kvm_intel, or enable VT-x"

/* Which state of a view the engine itself keeps. */
enum hypr_kept {
	HYPR_KEPT_NONE,
	HYPR_KEPT_LEFT,			/* as the vCPUs left the view */
	HYPR_KEPT_MOMENT,		/* of the view's moment */
};

/**
 * struct hypr_engine_swap - one swap
 * @kept: in: the vCPUs and the chips go on from that state
 * @pause_ns: in: the engine has the guest park, and gives it so long; 0: it does not ask.
 *	After success the vCPUs are parked, or go on in the new view where they were not;
 *	after an error they run on
 * @hold_ns: in: with @kept and without @pause_ns: how long it waits for vCPUs that run
 * @notify: in: with @kept: each vCPU gets vector 0xF0 in the new view before it goes on
 * @put_back: in: to the active view, whose memory gets its moment's bytes again while no
 *	vCPU runs; the vCPUs need not have stopped before.  They are parked afterwards if
 *	they were in the moment
 * @pages: out: with @put_back, pages that were looked at
 * @pause_cycles: out: what that took
 * The rest: out.
 */
struct hypr_engine_swap {
	enum hypr_kept kept;
	uint64_t pause_ns;
	uint64_t hold_ns;
	bool notify;
	bool put_back;
	uint64_t pages;
	uint64_t pause_cycles;
	uint32_t old_view;
	uint64_t generation;
	uint64_t commit_cycles;
};

/**
 * struct hypr_engine - all return 0 or -errno with hypr_error() set
 * @name: as a user gives it and sees it
 * @device: that speaks KVM's API
 * @remedy: what to do where there is no such device
 * @vm_type: of KVM_CREATE_VM
 * @swaps_in_guest: @swap may find parked vCPUs in the guest; else they all have
 *	to be held
 * @keeps_vcpus: all views have the same vCPUs, so that what KVM has of one stays
 * @enable: on a VM without slots and vCPUs; sets vm->views_max and vm->apics_only;
 *	-EOPNOTSUPP when this host cannot
 * @control: tell it the control page, whose slot stands in the boot view
 * @requests: have resets that the guest asks for done by the engine, if it can: sets
 *	vm->back.page (run/back.c says when it may).  NULL: it cannot
 * @open: a place for a view's slots: sets view->vm_fd and view->slot_base.  The boot
 *	view comes first, when the vCPUs are there
 * @close: give back what belongs to a view; an active one goes with its VM
 * @prepare: build a view's tables ahead of time
 * @prepare_part: the same for a range of it, which is page-aligned; adds to
 *	@pages_mapped.  -EAGAIN: parts that were built before are lost.  NULL: it
 *	builds no parts
 * @written: fill @bitmap, @pages bits, with the pages that may have been written in the
 *	view since the last call.  NULL: it does not know
 * @moment: take note of where the view, its moment, and view->written are, for a swap with
 *	@put_back; without hypr_error().  @zeros has a bit for each page, and they are set of
 *	pages that are zero in the moment; or NULL.  NULL: it cannot put memory back
 * @keep: keep what a held vCPU has as a state of a view; on the vCPU's own thread, and
 *	without hypr_error().  Its clock stops at @host_tsc.  NULL: it keeps none
 * @kept: fill @state with what is kept for a view as it was left, and @host_tsc
 * @keep_board: keep what the VM's chips have as the state of a view; without hypr_error()
 * @copy_kept: what is kept for @from, as @from_kept, of vCPUs and chips is kept for @to, too,
 *	as @to_kept; without hypr_error().  The vCPUs may run
 * @kept_board: fill the chips of @state with what is kept for a view as it was left
 * @swap: make a view active on all vCPUs or on none.  -EBUSY a vCPU neither
 *	parked nor left the guest; -ENODATA not prepared.  @flush: bytes of the
 *	view changed while it was not active.  With @swap->kept also: the state of vCPUs
 *	and chips is exchanged for the one that is kept; -EBUSY, -ENXIO it cannot be.
 *	With @swap->pause_ns also: -EAGAIN the guest did not park; with @swap->hold_ns: a
 *	vCPU did not come in time.  With @swap->put_back
 *	also: -EOPNOTSUPP it is not known which pages were written; -E2BIG too many were;
 *	-EFAULT the moment is gone
 */
struct hypr_engine {
	const char *name;
	const char *device;
	const char *remedy;
	unsigned long vm_type;
	bool swaps_in_guest;
	bool keeps_vcpus;
	int (*enable)(struct hypr_vm *vm);
	int (*control)(struct hypr_vm *vm);
	int (*requests)(struct hypr_vm *vm);
	int (*open)(struct hypr_vm *vm, struct hypr_view *view);
	void (*close)(struct hypr_vm *vm, struct hypr_view *view);
	int (*prepare)(struct hypr_vm *vm, struct hypr_view *view, uint64_t *pages_mapped);
	int (*prepare_part)(struct hypr_vm *vm, struct hypr_view *view, uint64_t gpa,
			    uint64_t bytes, uint64_t *pages_mapped);
	int (*written)(struct hypr_vm *vm, struct hypr_view *view, uint64_t *bitmap,
		       uint64_t pages);
	int (*moment)(struct hypr_vm *vm, const struct hypr_view *view, bool map);
	int (*keep)(struct hypr_vcpu *vcpu, const struct hypr_view *view, enum hypr_kept kept,
		    uint64_t host_tsc, struct hypr_vcpu_state *state);
	int (*kept)(struct hypr_vm *vm, const struct hypr_view *view, unsigned int index,
		    struct hypr_vcpu_state *state, uint64_t *host_tsc);
	int (*keep_board)(struct hypr_vm *vm, const struct hypr_view *view, enum hypr_kept kept);
	int (*copy_kept)(struct hypr_vm *vm, const struct hypr_view *from, enum hypr_kept from_kept,
			 const struct hypr_view *to, enum hypr_kept to_kept);
	int (*kept_board)(struct hypr_vm *vm, const struct hypr_view *view,
			  struct hypr_state *state);
	int (*swap)(struct hypr_vm *vm, struct hypr_view *view, bool flush,
		    struct hypr_engine_swap *swap);
};

extern const struct hypr_engine hypr_engine_ept_swap;
extern const struct hypr_engine hypr_engine_stock;
extern const struct hypr_engine hypr_engine_hyprv;

/** hypr_engine_find() - by name, NULL for the default.  NULL when there is none. */
const struct hypr_engine *hypr_engine_find(const char *name);

#endif /* LIB_ENGINE_ENGINE_H */
