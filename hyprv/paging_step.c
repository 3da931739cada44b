// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow paging: the guest writes to one of its page tables that the shadow follows.  No
 * instruction is decoded: the CPU executes it, on tables of its own in which the page can
 * be written, and the monitor trap flag ends the step behind it.  What has changed in the
 * page goes to the shadow.
 *
 * The tables are as good as entries of a TLB: a flush of the view makes them stale.  The
 * flush's interrupt brings the vCPU out of the guest, and each exit ends the step.
 */
#include "hyprv.h"
#include "vmx.h"

/* A step ends early where an interrupt or another fault comes first. */
#define TRIES	1000u

int paging_step_create(struct paging_step *step)
{
	u32 i;

	for (i = 0; i < SHADOW_STEP_TABLES; i++) {
		step->table[i] = plat_page_alloc(1, PLAT_NODE_ANY);
		if (!step->table[i])
			return -ENOMEM;
	}
	step->before = plat_page_alloc(1, PLAT_NODE_ANY);
	return step->before ? 0 : -ENOMEM;
}

void paging_step_destroy(struct paging_step *step)
{
	u32 i;

	for (i = 0; i < SHADOW_STEP_TABLES; i++)
		plat_page_free(step->table[i], 1);
	plat_page_free(step->before, 1);
}

int paging_step_arm(struct paging_step *step, u64 gva, u32 access)
{
	if (step->tries++ >= TRIES)
		return -EBUSY;
	step->armed = true;
	step->gva = hypr_gva(gva);
	step->access = access;
	return 0;
}

static void trap_set(struct vcpu *vcpu, bool wanted)
{
	u32 controls = vcpu->cpu_controls & ~CPU_MONITOR_TRAP;

	vcpu->cpu_controls = controls | (wanted ? CPU_MONITOR_TRAP : 0);
	vmcs_write(VMCS_CPU_CONTROLS, vcpu->cpu_controls);
}

u64 paging_step_begin(struct vcpu *vcpu, struct mmu_vcpu *in)
{
	struct paging_step *step = &vcpu->paging->step;
	struct shadow_fault fault;
	hypr_hpa_t root;

	lockdep_assert_held(&vcpu->vm->lock);
	shadow_step(&in->shadow, step->gva, step->access, vmcs_read(VMCS_GUEST_RFLAGS),
		    step->table, &root, &fault, &step->hpa);
	step->armed = fault.result == MMU_EMULATE;
	trap_set(vcpu, step->armed);
	if (!step->armed)
		return 0;
	step->gpa = hypr_gpa(fault.gpa.addr & PAGE_MASK);
	step->flushes = vcpu->view->flushes;
	/* What another vCPU changes now is that vCPU's to report. */
	memcpy(step->before, plat_hpa_to_virt(step->hpa), PAGE_SIZE);
	return root.addr;
}

/* With vm->lock: tell the shadow what the guest has written. */
static void report(struct view *view, const struct paging_step *step)
{
	const u64 *page = plat_hpa_to_virt(step->hpa);
	struct memory_mapping run;
	u32 i, first = CORE_ENTRIES, last = 0;

	/* Taken away in the meantime: the shadow has dropped all that came of it. */
	if (view->mmu.page_table->translate(&view->mmu, step->gpa, PAGE_SIZE, &run) ||
	    run.hpa.addr != step->hpa.addr || !memcmp(page, step->before, PAGE_SIZE))
		return;
	for (i = 0; i < CORE_ENTRIES; i++) {
		if (READ_ONCE(page[i]) == step->before[i])
			continue;
		first = min(first, i);
		last = i;
	}
	if (first <= last)
		view->mmu.page_table->wrote(&view->mmu, hypr_gpa(step->gpa.addr + 8 * first),
					    8 * (last - first + 1));
}

void paging_step_end(struct vcpu *vcpu)
{
	struct paging *paging = vcpu->paging;
	struct paging_step *step = &paging->step;

	step->armed = false;
	if (vcpu->exit.basic == EXIT_MONITOR_TRAP)
		step->tries = 0;
	trap_set(vcpu, false);
	paging_flush(vcpu);
	spin_lock(&vcpu->vm->lock);
	report(paging->view, step);
	spin_unlock(&vcpu->vm->lock);
}
