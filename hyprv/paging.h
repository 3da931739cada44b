/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadow paging of a VM without EPT (mmu=shadow): the binding to core/shadow.h.
 *
 *	paging.c	registers, CR3, INVLPG, page faults of a vCPU
 *	paging_step.c	a write to a page table, by one instruction on tables of its own
 *	paging_memory.c	a view's shadow: memory, TLB, statistics
 */
#ifndef HYPRV_PAGING_H
#define HYPRV_PAGING_H

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
 * struct paging_step - one instruction that may write a page
 * @armed: the next instruction is one
 * @gva, @access: the write
 * @tries: steps since one reached its end
 * @gpa, @hpa: the page
 * @flushes: the view's, as the tables were built
 * @table: tables of its own
 * @before: the page as it was
 */
struct paging_step {
	bool armed;
	hypr_gva_t gva;
	u32 access;
	u32 tries;
	hypr_gpa_t gpa;
	hypr_hpa_t hpa;
	u64 flushes;
	u64 *table[SHADOW_STEP_TABLES];
	u64 *before;
};

/**
 * struct paging - shadow paging of a vCPU
 * @in: its state in each view; vm->lock
 * @view: the view whose tables it ran on last
 * @cr3: the guest's
 * @no_execute: the guest's EFER.NXE; the CPU's is 1
 * @keep: the load of CR3 keeps TLB entries (its bit 63)
 * @reload: PAGING_*
 * @step: a step
 */
struct paging {
	struct mmu_vcpu in[KVM_HYPR_MAX_VIEWS];
	struct view *view;
	u64 cr3;
	bool no_execute;
	bool keep;
	u32 reload;
	struct paging_step step;
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

/* ---- paging_step.c ------------------------------------------------------- */

int paging_step_create(struct paging_step *step);
void paging_step_destroy(struct paging_step *step);
/* -EBUSY: it never gets to its end. */
int paging_step_arm(struct paging_step *step, u64 gva, u32 access);
/* With vm->lock.  CR3 for the step; 0 if there is nothing to step. */
u64 paging_step_begin(struct vcpu *vcpu, struct mmu_vcpu *in);
void paging_step_end(struct vcpu *vcpu);

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
void paging_flush(struct vcpu *vcpu);

#endif /* HYPRV_PAGING_H */
