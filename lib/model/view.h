/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Views and moments: the data only; what is done with them is in view/. */
#ifndef LIB_MODEL_VIEW_H
#define LIB_MODEL_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypr/hypr.h"
#include "base/guest.h"

struct hypr_machine;
struct hypr_state;
struct hypr_vmo;

/* Memory that the guest may use alike. */
struct hypr_perm {
	uint64_t gpa;
	uint64_t bytes;
	uint32_t flags;			/* HYPR_VMO_RUN_R, W, X */
};

/* A memory slot of a view; its number is its place in the table. */
struct hypr_slot {
	uint64_t gpa;
	uint64_t bytes;
	bool readonly;
	bool control;			/* the control page, which is no view's own */
};

/*
 * Frozen memory, and the state that belongs to it: of this process (@fd), or from
 * a file (@vmo).  @mem of a file is not to be read: pages of it go away with a
 * file that is truncated, and that is a signal.  hypr_moment_read() is safe.
 */
struct hypr_moment {
	int fd;				/* sealed memfd, holes for zero pages; or -1 */
	uint64_t *zeros;		/* of @fd: a bit for each page that is a hole; or NULL */
	bool mapped;			/* the kernel has mapped @mem of @fd: KVM_HYPR_MOMENT_MAP */
	struct hypr_vmo *vmo;		/* or NULL */
	char *path;			/* of @vmo */
	struct hypr_guest mem;		/* mapped read-only */
	uint64_t pages_stored;
	struct hypr_perm *perm;		/* all memory, ascending; NULL: all RWX */
	size_t nr_perms;
	struct hypr_state *state;
};

/**
 * struct hypr_record - which pages of a view are touched
 * @fd: userfaultfd, while @on
 * @spoilt: what touched them all; NULL: nothing
 */
struct hypr_record {
	bool on;
	int fd;
	const char *spoilt;
};

/**
 * struct hypr_spare - a second copy of a view's moment: see view/spare.c
 * @view: of the same name, in no table; it has the view's moment and does not own it.
 *	Its owner is the mender's thread while @state is HYPR_SPARE_DIRTY, else who has op_lock
 * @state: HYPR_SPARE_*			(hypr_mender.lock)
 * @next: to be put back after it		(hypr_mender.lock)
 * @why: HYPR_SPARE_FAILED: the reason		(hypr_mender.lock)
 */
struct hypr_spare {
	struct hypr_view *view;
	int state;
	struct hypr_spare *next;
	char why[160];
};

/*
 * Guarded by op_lock, but for what a running vCPU does to the memory.  A view and its spare
 * change places (hypr_spare_exchange()): all fields but the first block go with the memory.
 */
struct hypr_view {
	char name[HYPR_NAME_MAX];
	unsigned int id;		/* as users see it: its place in hypr_vm.view[] */
	bool is_spare;			/* it is a hypr_spare.view */
	struct hypr_spare *spare;	/* or NULL */
	uint64_t swaps;
	uint64_t resets;

	unsigned int number;		/* with ept-swap KVM's address space id */
	bool open;			/* it has a place for slots: the next three */
	int vm_fd;			/* the KVM VM that has its slots, or -1 */
	uint32_t slot_base;		/* what their numbers begin with */
	struct hypr_machine *machine;	/* engine stock: that VM, all of it */
	struct hypr_guest mem;
	struct hypr_slot *slot;
	unsigned int nr_slots;
	struct hypr_moment *moment;	/* NULL for the boot view */
	struct hypr_state *state;	/* where it was left, unless it is running */
	bool prepared;
	bool edited;			/* its bytes changed while no vCPU was in it */
	bool at_moment;			/* it has not run since it was at its moment */
	bool keeps_left;		/* the engine has room for the state as it is left, */
	bool keeps_moment;		/* and keeps that of the moment: see view/kept.c */
	int kept;			/* enum hypr_kept: which of the two is @state now */
	bool state_is_old;		/* vCPUs and chips of @state: the engine's are newer */
	uint64_t *written;		/* see view/written.c, or NULL; */
	bool written_known;		/* what is not in it was not written; */
	bool put_back;			/* the engine knows it and the moment */
	struct hypr_record record;
};

/* hypr_view_is_on_file() - is its memory that of a file, which may be truncated? */
static inline bool hypr_view_is_on_file(const struct hypr_view *view)
{
	return view->moment && view->moment->vmo;
}

#endif /* LIB_MODEL_VIEW_H */
