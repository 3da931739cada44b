// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow paging of a vCPU: in place of the guest's CR3 the CPU has a table of core/shadow.h,
 * which leads from linear addresses to the host's pages.
 *
 * What the guest does to CR0, CR3, CR4 and EFER is noted, and takes effect in
 * paging_load(), the last step before VM entry.  The CPU's own CR0.WP and EFER.NXE are 1.
 * Without EPT the CPU has no unrestricted guests: paging is on, and core/shadow.h has
 * tables of 4 levels: a guest in any other mode ends with a report.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include "hyprv.h"
#include "vmx.h"

#define CR3_KEEP	BIT_ULL(63)

#define PF_WRITE	BIT(1)
#define PF_USER		BIT(2)
#define PF_FETCH	BIT(4)
#define VECTOR_DF	8
#define VECTOR_PF	14

/* ---- life --------------------------------------------------------------- */

int paging_create(struct vcpu *vcpu)
{
	vcpu->paging = kvzalloc(sizeof(*vcpu->paging), GFP_KERNEL_ACCOUNT);
	if (!vcpu->paging)
		return -ENOMEM;
	vcpu->paging->reload = PAGING_REGISTERS | PAGING_CR3;
	return paging_open_create(&vcpu->paging->open);
}

/* Its roots may be recycled from here on. */
void paging_destroy(struct vcpu *vcpu)
{
	struct paging *paging = vcpu->paging;
	u32 i;

	if (!paging)
		return;
	spin_lock(&vcpu->vm->lock);
	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++)
		if (paging->in[i].mmu)
			mmu_vcpu_fini(&paging->in[i]);
	list_del(&paging->open.on_view);
	spin_unlock(&vcpu->vm->lock);
	paging_open_destroy(&paging->open);
	kvfree(paging);
	vcpu->paging = NULL;
}

/* ---- registers ---------------------------------------------------------- */

void paging_changed(struct vcpu *vcpu, u32 what)
{
	if (vcpu->paging)
		vcpu->paging->reload |= what;
}

int paging_set_cr3(struct vcpu *vcpu, u64 cr3)
{
	struct paging *paging = vcpu->paging;
	bool keep = (state_cr4() & X86_CR4_PCIDE) && (cr3 & CR3_KEEP);

	if (keep)
		cr3 &= ~CR3_KEEP;
	if (cr3 >> hypervisor.can.maxphyaddr)
		return -EINVAL;
	paging->keep = keep && !(paging->reload & PAGING_CR3);
	paging->cr3 = cr3;
	paging->reload |= PAGING_CR3;
	return 0;
}

void paging_invlpg(struct vcpu *vcpu, u64 gva)
{
	struct view *view = vcpu->paging->view;

	spin_lock(&vcpu->vm->lock);
	view->caller = vcpu;
	paging_open_report(view);
	view->mmu.tlb->flush_address(&vcpu->paging->in[view->number], hypr_gva(gva));
	spin_unlock(&vcpu->vm->lock);
}

/* ---- in front of the guest ---------------------------------------------- */

/*
 * The guest has written memory that other views have too.  This view's shadow did not see
 * what was written there by way of another view.
 */
static void read_shared(struct view *view)
{
	u32 i;

	for (i = 0; i < view->regions; i++)
		if (view->region[i].shared)
			shadow_read_again(view->mmu.shadow, hypr_gpa(view->region[i].gpa),
					  view->region[i].bytes);
}

/* What has changed since the vCPU was in this view last goes to the shadow. */
static int registers_load(struct vcpu *vcpu, struct mmu_vcpu *in)
{
	struct paging *paging = vcpu->paging;
	const struct mmu_cache_ops *cache = vcpu->view->mmu.cache;
	int err = 0;

	if (!in->mmu)
		mmu_vcpu_init(in, &vcpu->view->mmu);
	if (paging->reload & PAGING_REGISTERS)
		err = cache->set_registers(in, state_cr0(), state_cr4(), state_efer(vcpu));
	if (!err && (paging->reload & PAGING_CR3))
		err = cache->load_root(in, paging->cr3 | (paging->keep ? CR3_KEEP : 0));
	if (err)
		return err;
	paging->reload = 0;
	paging->keep = false;
	return 0;
}

/* With vm->lock.  0, or -errno of core/shadow.h. */
static int load(struct vcpu *vcpu)
{
	struct paging *paging = vcpu->paging;
	struct view *view = vcpu->view;
	struct mmu_vcpu *in = &paging->in[view->number];
	u64 edited = READ_ONCE(view->edited), root = 0;
	bool again = vcpu->flushed[view->number] != edited ||
		     (paging->reload & PAGING_READ_AGAIN);
	bool other = paging->view != view;
	int err;

	view->caller = vcpu;
	if (again)
		view->mmu.cache->forget(&view->mmu);
	else if (other)
		read_shared(view);
	if (again || other) {
		paging->reload |= PAGING_REGISTERS | PAGING_CR3;
		paging->keep = false;
	}
	if (paging->reload)
		paging_open_report(view);
	err = registers_load(vcpu, in);
	if (err)
		return err;
	paging->view = view;
	vcpu->flushed[view->number] = edited;
	if (paging->open.armed)
		root = paging_open_begin(vcpu, in);
	if (again || other || root)
		paging_flush(vcpu, root ? FLUSH_OPEN : FLUSH_VIEW);
	vcpu->flushes += again || other;
	vmcs_write(VMCS_GUEST_CR3, (root ?: view->mmu.cache->root(in)) |
				   shadow_pcid(&in->shadow));
	return 0;
}

int paging_load(struct vcpu *vcpu)
{
	struct paging *paging = vcpu->paging;
	struct view *view = vcpu->view;
	int err;

	if (likely(vcpu->loaded == view && paging->view == view && !paging->reload &&
		   !paging->open.armed &&
		   vcpu->flushed[view->number] == READ_ONCE(view->edited)))
		return 1;
	if (!cpumask_test_cpu(smp_processor_id(), &view->cpus))
		cpumask_set_cpu(smp_processor_id(), &view->cpus);
	/*
	 * Whoever edits the tables flushes this CPU too; whoever asks this vCPU from now
	 * on sends the interrupt here, or vcpu_enter() sees the request.
	 */
	smp_mb();
	spin_lock(&vcpu->vm->lock);
	err = paging_store_is_full(vcpu->vm) ? load(vcpu) : -EAGAIN;
	spin_unlock(&vcpu->vm->lock);
	if (err == -EOPNOTSUPP)
		return vcpu_report(vcpu, "shadow paging (mmu=shadow) runs 64-bit guests alone, and this one is in another mode");
	if (err)
		return err;
	vcpu->loaded = view;
	return 1;
}

bool paging_is_stale(const struct vcpu *vcpu)
{
	const struct paging *paging = vcpu->paging;

	return paging->open.armed &&
	       READ_ONCE(paging->view->flushes) != paging->open.flushes;
}

void paging_exited(struct vcpu *vcpu)
{
	struct paging *paging = vcpu->paging;
	struct mmu_vcpu *in = &paging->in[paging->view->number];

	paging->open.ended = paging->open.armed;
	if (likely(!paging->open.armed))
		return;
	paging_open_end(vcpu);
	vmcs_write(VMCS_GUEST_CR3, paging->view->mmu.cache->root(in) |
				   shadow_pcid(&in->shadow));
}

/* ---- page faults -------------------------------------------------------- */

/*
 * SDM volume 3A, "Conditions for Generating a Double Fault".  An event whose delivery
 * faulted comes again when the guest returns; an interrupt waits for that.
 */
static int reflect(struct vcpu *vcpu, u64 gva, u32 error)
{
	u32 event = vcpu->event, type = event & EVENT_TYPE, under = event & EVENT_VECTOR;

	if (!(event & EVENT_VALID) || type != EVENT_EXCEPTION)
		under = 0;
	if (under == VECTOR_DF) {
		vcpu->event = 0;
		vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
		return 0;
	}
	if ((event & EVENT_VALID) && type == EVENT_EXTERNAL && vcpu->interrupt < 0)
		vcpu->interrupt = event & EVENT_VECTOR;
	if (under != VECTOR_PF && type != EVENT_NMI)
		vcpu->event = 0;
	vcpu->cr2 = gva;
	vcpu_inject(vcpu, VECTOR_PF, true, error);
	return 1;
}

/* The VMCS is put.  A table is written by the walk: its accessed and dirty flags. */
static int bring_table(struct vcpu *vcpu, u64 gpa)
{
	int ret = memory_fault(vcpu, gpa, WALK_WRITE);

	if (ret)
		return ret;
	if (memory_is_mapped(vcpu->view, gpa & PAGE_MASK))
		return vcpu_report(vcpu, "a page table in read-only memory, whose flags change");
	ret = memory_fault(vcpu, gpa, 0);
	return ret ? ret : vcpu_report(vcpu, "a page table where no memory is");
}

static int resolve(struct vcpu *vcpu, const struct mmu_fault *fault, bool *loaded)
{
	switch (fault->result) {
	case MMU_RETRY:
		return 1;
	case MMU_REFLECT:
		return reflect(vcpu, fault->gva.addr, fault->error_code);
	case MMU_EMULATE:
		paging_open_ask(&vcpu->paging->open, fault->gva.addr, fault->access);
		return 1;
	default:
		break;
	}
	vmcs_put(vcpu);
	*loaded = false;
	vcpu->exit.gpa = fault->gpa.addr;
	if (fault->result == MMU_NO_TABLE)
		return bring_table(vcpu, fault->gpa.addr);
	return exit_no_memory(vcpu, fault->access);
}

/* An access of the system to a table of its own, for code of level 3: implicit. */
static u32 access_of(u32 error)
{
	bool user_code = (vmcs_read(VMCS_GUEST_SS_RIGHTS) & RIGHTS_DPL) == RIGHTS_DPL;

	return (error & PF_WRITE ? WALK_WRITE : 0) | (error & PF_FETCH ? WALK_FETCH : 0) |
	       (error & PF_USER ? WALK_USER : user_code ? WALK_IMPLICIT : 0);
}

int paging_fault(struct vcpu *vcpu, bool *loaded)
{
	struct view *view = vcpu->paging->view;
	struct mmu_fault fault = {
		.gva = hypr_gva(vcpu->exit.qualification),
		.access = access_of(vcpu->exit.event_error),
		.rflags = vmcs_read(VMCS_GUEST_RFLAGS),
	};
	int err = -EAGAIN;

	spin_lock(&vcpu->vm->lock);
	view->caller = vcpu;
	if (paging_store_is_full(vcpu->vm))
		err = view->mmu.page_table->fault(&vcpu->paging->in[view->number], &fault);
	/* Without memory it may have made the upper ones. */
	view->installs += err || fault.result == MMU_RETRY || fault.result == MMU_EMULATE;
	spin_unlock(&vcpu->vm->lock);
	if (!err)
		return resolve(vcpu, &fault, loaded);
	if (err == -EINVAL)
		return vcpu_report(vcpu, "a page fault that the shadow does not know");
	/* The instruction faults again, with memory at hand. */
	return err;
}
