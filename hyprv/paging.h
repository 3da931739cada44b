/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadow paging of a VM without EPT (mmu=shadow): the binding to core/shadow.h.
 *
 *	paging.c	registers, CR3, INVLPG, page faults of a vCPU
 *	paging_open.c	page tables that the guest writes, on tables of the vCPU's own
 *	paging_memory.c	a view's shadow: memory, TLB, statistics
 */
#ifndef HYPRV_PAGING_H
#define HYPRV_PAGING_H

#include <linux/kvm_hypr.h>
#include <linux/list.h>

#include "flush.h"
#include "mmu.h"

struct seq_file;
struct vcpu;
struct view;
struct vm;

/* What paging_load() has to do before the next entry. */
#define PAGING_REGISTERS	1u	/* CR0, CR4 or EFER changed */
#define PAGING_CR3		2u	/* CR3 was loaded */
#define PAGING_READ_AGAIN	4u	/* user space may have written page tables */

/**
 * struct paging_page - a page that is open for writes
 * @gva, @access: the write that asked for it
 * @gpa, @hpa: the page
 * @before: its bytes as last reported
 */
struct paging_page {
	hypr_gva_t gva;
	u32 access;
	hypr_gpa_t gpa;
	hypr_hpa_t hpa;
	u64 *before;
};

/**
 * struct paging_open - pages that a vCPU may write until its next exit
 * @armed: at the next VM entry there are some
 * @ended: the last exit ended that
 * @page: @pages of them
 * @flushes, @installs: the view's, as the tables were built
 * @opening: the tables
 * @on_view: in view->open; vm->lock
 */
struct paging_open {
	bool armed;
	bool ended;
	struct paging_page page[SHADOW_OPEN_PAGES];
	u32 pages;
	u64 flushes;
	u64 installs;
	struct shadow_opening opening;
	struct list_head on_view;
};

/**
 * struct paging - shadow paging of a vCPU
 * @in: its state in each view; vm->lock
 * @view: the view whose tables it ran on last
 * @cr3: the guest's
 * @no_execute: the guest's EFER.NXE; the CPU's is 1
 * @keep: the load of CR3 keeps TLB entries (its bit 63)
 * @reload: PAGING_*
 * @open: pages that are open for writes
 */
struct paging {
	struct mmu_vcpu in[KVM_HYPR_MAX_VIEWS];
	struct view *view;
	u64 cr3;
	bool no_execute;
	bool keep;
	u32 reload;
	struct paging_open open;
};

/**
 * struct paging_store - memory for shadow pages, taken before vm->lock
 * @page: pages, @pages of them
 * @pair: two contiguous pages each, @pairs of them
 */
struct paging_store {
	void *page[SHADOW_TAKES];
	void *pair[SHADOW_TAKES];
	u32 pages;
	u32 pairs;
};

/* ---- paging.c ------------------------------------------------------------ */

int paging_create(struct vcpu *vcpu);
void paging_destroy(struct vcpu *vcpu);
/* In place of an EPT pointer.  1: enter; 0: to user space; -EAGAIN: with the VMCS put. */
int paging_load(struct vcpu *vcpu);
/* The guest has left, for whichever reason. */
void paging_exited(struct vcpu *vcpu);
/* With interrupts off: what paging_load() made is no longer so. */
bool paging_is_stale(const struct vcpu *vcpu);
/* 0; -EINVAL: #GP. */
int paging_set_cr3(struct vcpu *vcpu, u64 cr3);
void paging_invlpg(struct vcpu *vcpu, u64 gva);
/* The guest's registers have changed: PAGING_*. */
void paging_changed(struct vcpu *vcpu, u32 what);
/* A #PF exit.  May put the VMCS: *@loaded is false then. */
int paging_fault(struct vcpu *vcpu, bool *loaded);

/* ---- paging_open.c ------------------------------------------------------- */

int paging_open_create(struct paging_open *open);
void paging_open_destroy(struct paging_open *open);
/* Open a page at the next VM entry. */
void paging_open_ask(struct paging_open *open, u64 gva, u32 access);
/* With vm->lock.  CR3 for the entry; 0 if there is nothing to open. */
u64 paging_open_begin(struct vcpu *vcpu, struct mmu_vcpu *in);
/* With vm->lock: the shadow learns what has been written in all open pages of the view. */
void paging_open_report(struct view *view);
void paging_open_end(struct vcpu *vcpu);

/* ---- paging_memory.c ------------------------------------------------------ */

/* For init_mmu_virtualization(). */
void paging_params(struct view *view, struct mmu_params *params);
/* As much as one call can need.  Without vm->lock. */
int paging_store_fill(struct vm *vm);
/* With vm->lock. */
bool paging_store_is_full(const struct vm *vm);
void paging_store_empty(struct vm *vm);
/* @view's shadow is in the statistics until it is destroyed. */
void paging_stats_add(struct view *view);
void paging_stats_remove(struct view *view);
void paging_stats_show(struct seq_file *file);
/* Drop what this vCPU's VPID has in this CPU's TLB; the VMCS is current. */
void paging_flush(struct vcpu *vcpu, enum flush_reason reason);

#endif /* HYPRV_PAGING_H */
